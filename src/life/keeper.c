/*
 * The keeper: the one thread of a joined handle. It holds the life word, and watches those of others (watch.c).
 *
 * Joining, all by the keeper itself, since its own thread id is what the kernel will look for:
 *
 *     1  give the kernel an empty robust list
 *     2  FREE(i) -> JOINING(i, thread id, namespace)          one CAS; the slot is ours
 *     3  fill the participant record
 *     4  put the node that stands for the life word on the list
 *     5  life word = thread id | FUTEX_WAITERS
 *     6  JOINING -> ARMED                                     one CAS; from here on others see us
 *
 * Killed before 2: nothing happened. Killed from 2 to 6: the slot is JOINING by a thread that is gone, which any
 * process of this PID namespace finds out (life.c, c.); whether the kernel marked the word does not matter, since
 * nobody looks at it before ARMED. Killed after 6: the kernel marks the word, for 4 and 5 came first. Stopped anywhere:
 * the slot stays taken, and nobody waits for it.
 *
 * FUTEX_WAITERS is set from the start, so that the kernel wakes a sleeper when it marks the word, and no sleeper ever
 * has to write it.
 *
 * The list's head and its one node lie in a page of their own, shared and anonymous: of ordinary private memory the OOM
 * reaper may take the pages before the kernel walks the list. The node stands for the word at a distance
 * (futex_offset); nothing of the list is in the region, where others could bend it. glibc keeps a robust list for its
 * own mutexes in every thread; this thread uses no such mutex, and its list is replaced.
 *
 * Leaving is dying, with notice: ARMED -> LEAVING, the keeper returns, and the kernel marks the word on the way out of
 * the thread, before pthread_join() can see it gone. Killed or stopped anywhere in it: LEAVING with the mark coming by
 * itself. Raced by somebody who declares the slot DEAD: what had to be done is done.
 *
 * Descriptors: the keeper has a table of its own, empty. A program that closes all it has (closefrom(3), daemon(3))
 * never closes one that the keeper is reading from, or lets it read from a file that got the same number; and the
 * keeper keeps no pipe of the program's open.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "base/thread.h"
#include "life/participant.h"
#include "life/sign.h"

#define STACK_BYTES (256u * 1024)

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define UNSHARE_TABLE 2u /* CLOSE_RANGE_UNSHARE */

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
/* A sanitizer writes its report on the thread that made the mistake, and needs a descriptor for it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || HAS_FEATURE(address_sanitizer) ||                 \
    HAS_FEATURE(thread_sanitizer) || HAS_FEATURE(memory_sanitizer)
#define KEEPER_DROPS_DESCRIPTORS 0
#else
#define KEEPER_DROPS_DESCRIPTORS 1
#endif

/* ------------------------------------------------------------------ arming */

/* 1: whether the kernel will walk our list. An emulator may lack the call, or accept it and forget it. */
static bool give_list(cmy_robust_page_t *page)
{
    struct robust_list_head *head = NULL;
    size_t bytes = 0;
    page->head.list.next = &page->head.list;
    page->head.list_op_pending = NULL;
    if (syscall(SYS_set_robust_list, &page->head, sizeof page->head) != 0 ||
        syscall(SYS_get_robust_list, 0, &head, &bytes) != 0)
        return false;
    errno = ENOSYS; /* for the sentence, should it have been forgotten */
    return head == &page->head && bytes == sizeof page->head;
}

/* 2: takes the lowest slot that is FREE. */
static bool claim(cmy_participant_t *participant, uint32_t tid, uint64_t namespace_inode, uint64_t *joining)
{
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        cmy_word64_t *word = &participant->region->life[slot].phase;
        uint64_t phase = cmy_load64_acquire(word);
        if (cmy_life_phase(phase) != CMY_SLOT_FREE)
            continue;
        *joining = cmy_life_word(CMY_SLOT_JOINING, namespace_inode, cmy_life_incarnation(phase), tid);
        if (!cmy_swap64_acq_rel(word, phase, *joining))
            continue;
        participant->slot = slot;
        participant->owner = cmy_owner(slot, cmy_life_incarnation(phase));
        /* Whoever sees anything of what is filled in now, sees the claim too: pairs with the acquire fences in life.c,
         * sign_of() and cmy_life_describe(). */
        cmy_fence_release();
        return true;
    }
    return false;
}

/* 3 */
static void fill(const cmy_participant_t *participant, uint64_t namespace_inode)
{
    cmy_participant_shm_t *record = &participant->region->participants[participant->slot];
    cmy_text_store(record->node_id, sizeof record->node_id / sizeof *record->node_id, participant->node_id,
                   participant->node_id_bytes);
    cmy_store64_relaxed(&record->pid_namespace, namespace_inode);
    cmy_store64_relaxed(&record->joined_at_ns, cmy_clock_real_ns());
    cmy_store32_relaxed(&record->pid, (uint32_t)getpid());
    cmy_store32_relaxed(&record->uid, (uint32_t)geteuid());
    cmy_store32_relaxed(&record->listen_port, participant->listen_port);
    cmy_store32_relaxed(&record->leaves, 0);
}

/* 4 and 5. The kernel reads the list as this thread has written it up to its death, so only the compiler must keep the
 * order. */
static void take_word(const cmy_participant_t *participant, uint32_t tid)
{
    cmy_robust_page_t *page = participant->page;
    cmy_word32_t *word = &participant->region->life[participant->slot].word;
    page->head.futex_offset = (long)((uintptr_t)word - (uintptr_t)&page->node);
    page->node.next = &page->head.list;
    atomic_signal_fence(memory_order_seq_cst);
    page->head.list.next = &page->node;
    atomic_signal_fence(memory_order_seq_cst);
    cmy_store32_release(word, tid | FUTEX_WAITERS); /* pairs with the acquire loads of the word */
}

static commy_status_t arm(cmy_participant_t *participant)
{
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    uint64_t namespace_inode = cmy_life_namespace(), joining;
    if (!give_list(participant->page)) {
        participant->error = errno;
        return COMMY_STATUS_KERNEL;
    }
    if (!claim(participant, tid, namespace_inode, &joining))
        return COMMY_STATUS_LIMIT;
    fill(participant, namespace_inode);
    take_word(participant, tid);
    if (cmy_swap64_acq_rel(&participant->region->life[participant->slot].phase, joining,
                           cmy_life_with_phase(joining, CMY_SLOT_ARMED)))
        return COMMY_STATUS_SUCCESS;
    /* The word is not ours to hold any more, whosever it is. */
    participant->page->head.list.next = &participant->page->head.list;
    return COMMY_STATUS_CORRUPT;
}

/* ------------------------------------------------------- joining, leaving */

static void ring(cmy_participant_t *participant, uint32_t what)
{
    atomic_fetch_add_explicit(&participant->bell, what, memory_order_release);
    syscall(SYS_futex, &participant->bell, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void move_stage(cmy_participant_t *participant, cmy_stage_t stage)
{
    pthread_mutex_lock(&participant->mutex);
    participant->stage = stage;
    pthread_cond_broadcast(&participant->moved);
    pthread_mutex_unlock(&participant->mutex);
}

static cmy_stage_t await_stage(cmy_participant_t *participant, cmy_stage_t other_than)
{
    pthread_mutex_lock(&participant->mutex);
    while (participant->stage == other_than)
        pthread_cond_wait(&participant->moved, &participant->mutex);
    cmy_stage_t stage = participant->stage;
    pthread_mutex_unlock(&participant->mutex);
    return stage;
}

static void *keeper(void *argument)
{
    cmy_participant_t *participant = argument;
    pthread_setname_np(pthread_self(), CMY_KEEPER_NAME);
    /* The joiner waits and shares its table with us, so this makes a new one and closes nothing of the program's. */
    if (KEEPER_DROPS_DESCRIPTORS && syscall(SYS_close_range, 0u, ~0u, UNSHARE_TABLE) != 0)
        cmy_life_sign_without_files();
    participant->status = arm(participant);
    if (participant->status != COMMY_STATUS_SUCCESS) {
        move_stage(participant, CMY_STAGE_FAILED);
        return NULL;
    }
    move_stage(participant, CMY_STAGE_ARMED);
    await_stage(participant, CMY_STAGE_ARMED);
    cmy_life_watch(participant);
    return NULL;
}

static commy_status_t refuse(const cmy_participant_t *participant)
{
    const cmy_region_t *region = participant->region;
    switch (participant->status) {
    case COMMY_STATUS_LIMIT:
        return cmy_fail(COMMY_STATUS_LIMIT,
                        "all %u participant slots of region %s/%s are taken; stop programs that joined it, or let them "
                        "share one handle",
                        COMMY_LIMIT_PARTICIPANTS, region->dir, region->mesh);
    case COMMY_STATUS_KERNEL:
        errno = participant->error;
        return cmy_fail_errno(COMMY_STATUS_KERNEL,
                              "the kernel offers no robust futexes here (an emulator, or a sandbox that forbids "
                              "set_robust_list or get_robust_list), so region %s/%s can be read but not joined",
                              region->dir, region->mesh);
    default:
        return cmy_fail(COMMY_STATUS_CORRUPT,
                        "participant slot %u of region %s/%s was taken away while it was being filled; the region's "
                        "bytes cannot be relied on",
                        participant->slot, region->dir, region->mesh);
    }
}

static void dispose(cmy_participant_t *participant)
{
    if (participant->page)
        munmap(participant->page, sizeof *participant->page);
    pthread_cond_destroy(&participant->moved);
    pthread_mutex_destroy(&participant->mutex);
    free(participant);
}

static cmy_participant_t *prepare(cmy_region_t *region, const char *node_id, uint16_t listen_port)
{
    cmy_participant_t *participant = calloc(1, sizeof *participant);
    if (!participant)
        return NULL;
    participant->region = region;
    participant->listen_port = listen_port;
    participant->node_id_bytes = strnlen(node_id, COMMY_LIMIT_MESH_BYTES);
    memcpy(participant->node_id, node_id, participant->node_id_bytes);
    pthread_mutex_init(&participant->mutex, NULL); /* with default attributes neither can fail */
    pthread_cond_init(&participant->moved, NULL);
    void *page = mmap(NULL, sizeof *participant->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        int error = errno;
        dispose(participant);
        errno = error;
        return NULL;
    }
    participant->page = page;
    madvise(page, sizeof *participant->page, MADV_DONTFORK); /* a courtesy: a forked child has no use for it */
    return participant;
}

commy_status_t cmy_life_join(cmy_region_t *region, const char *node_id, uint16_t listen_port,
                             cmy_housekeeping_fn *housekeeping, void *user, cmy_participant_t **participant)
{
    *participant = NULL;
    cmy_participant_t *fresh = prepare(region, node_id, listen_port);
    if (!fresh) /* a shared page is a file to the kernel, whose table may be full */
        return cmy_fail_errno(errno == ENFILE ? COMMY_STATUS_LIMIT : COMMY_STATUS_NO_MEMORY,
                              "no memory for joining region %s/%s", region->dir, region->mesh);
    fresh->housekeeping = housekeeping;
    fresh->user = user;

    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    commy_status_t status = COMMY_STATUS_SUCCESS;
    int error = cmy_thread_start(&fresh->thread, STACK_BYTES, keeper, fresh);
    if (error) {
        errno = error;
        status = cmy_fail_errno(COMMY_STATUS_LIMIT, "no thread could be started to join region %s/%s", region->dir,
                                region->mesh);
        dispose(fresh);
    } else if (await_stage(fresh, CMY_STAGE_STARTING) == CMY_STAGE_FAILED) {
        pthread_join(fresh->thread, NULL);
        status = refuse(fresh);
        dispose(fresh);
    } else {
        *participant = fresh;
        move_stage(fresh, CMY_STAGE_RUNNING);
    }
    pthread_setcancelstate(cancel, NULL);
    return status;
}

void cmy_life_leave(cmy_participant_t **participant)
{
    cmy_participant_t *leaving = *participant;
    *participant = NULL;
    if (!leaving)
        return;
    cmy_region_t *region = leaving->region;
    if (!*(const volatile unsigned char *)region->alive_page) {
        /* A forked child: it has neither the thread, nor the region, nor the page; something else may lie there by now.
         * The mutex may be in any state. */
        free(leaving);
        return;
    }
    uint32_t slot = leaving->slot;
    cmy_word64_t *word = &region->life[slot].phase;
    uint64_t phase = cmy_load64_acquire(word);
    if (cmy_life_phase(phase) == CMY_SLOT_ARMED &&
        cmy_life_incarnation(phase) == cmy_owner_incarnation(leaving->owner)) {
        cmy_store32_relaxed(&region->participants[slot].leaves, 1);
        cmy_swap64_acq_rel(word, phase, cmy_life_with_phase(phase, CMY_SLOT_LEAVING));
    }
    ring(leaving, CMY_BELL_STOP);

    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_join(leaving->thread, NULL);
    pthread_setcancelstate(cancel, NULL);
    cmy_life_certify(region, slot); /* LEAVING -> DEAD by the mark; where it lacks, anybody's sweep comes to it */
    dispose(leaving);
}

uint32_t cmy_life_owner(const cmy_participant_t *participant)
{
    return participant->owner;
}

void cmy_life_nudge(cmy_participant_t *participant)
{
    ring(participant, CMY_BELL_NUDGE);
}
