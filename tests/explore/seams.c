/*
 * What the library takes from outside, in its simulated form.
 *
 *     kernel     threads that end mark life words (world.c); whoever asks about a thread hears whether its process lives
 *     futexes    a sleeper sleeps until it is woken, or until nobody else can go on: then its time is over
 *     clocks     time passes by one nanosecond a look, and by leaps when a process of the case makes it leap
 *     errors     codes without sentences
 *
 * Calls are caught by the linker (--wrap), or the file that has the real one is left out.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>

#include "explore.h"
#include "life/sign.h"

ex_sizes_t ex_sizes;

void cmy_schedule_point(const void *word)
{
    if (ex_running == EX_KERNEL)
        return; /* the explorer itself: audits, and looks at results */
    ex_process[ex_running].status = EX_READY;
    ex_process[ex_running].pending = word;
    ex_fiber_yield();
}

/* ------------------------------------------------------------------ errors */

/* Nobody reads sentences here, and what a thread said last is no part of a state. */
commy_status_t __wrap_cmy_fail(commy_status_t status, const char *format, ...);
commy_status_t __wrap_cmy_fail(commy_status_t status, const char *format, ...)
{
    (void)format;
    return status;
}

void __wrap_cmy_error_save(cmy_error_t *saved);
void __wrap_cmy_error_save(cmy_error_t *saved)
{
    memset(saved, 0, sizeof *saved);
}

void __wrap_cmy_error_restore(const cmy_error_t *saved);
void __wrap_cmy_error_restore(const cmy_error_t *saved)
{
    (void)saved;
}

/* ------------------------------------------------------------------ memory */

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void __wrap_free(void *memory);
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *memory);

static ex_heap_t *heap_at_hand(void)
{
    return ex_running == EX_KERNEL ? NULL : ex_private(ex_running)->heap;
}

/* Nothing is given back before the selection ends. */
static void *take(ex_heap_t *heap, size_t bytes)
{
    size_t rounded = (bytes + 63) / 64 * 64;
    if (rounded > sizeof heap->memory - heap->used)
        return NULL;
    heap->used += rounded;
    return heap->memory + heap->used - rounded;
}

void *__wrap_malloc(size_t bytes)
{
    ex_heap_t *heap = heap_at_hand();
    return heap ? take(heap, bytes) : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    ex_heap_t *heap = heap_at_hand(); /* all zero, where it was not taken yet */
    return heap ? take(heap, count * bytes) : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    ex_heap_t *heap = heap_at_hand();
    if (!heap)
        return __real_realloc(old, bytes);
    unsigned char *taken = take(heap, bytes);
    if (taken && old) /* and what lies behind it, which does no harm */
        memcpy(taken, old,
               (size_t)(taken - (unsigned char *)old) < bytes ? (size_t)(taken - (unsigned char *)old) : bytes);
    return taken;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    ex_heap_t *heap = heap_at_hand();
    return heap ? take(heap, bytes) : __real_aligned_alloc(alignment, bytes);
}

void __wrap_free(void *memory)
{
    if (!heap_at_hand())
        __real_free(memory);
}

/* The same for all, so that equal states are equal. */
ssize_t __wrap_getrandom(void *out, size_t bytes, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t bytes, unsigned flags)
{
    (void)flags;
    memset(out, 7, bytes);
    return (ssize_t)bytes;
}

/* ------------------------------------------------------------------ clocks */

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (ex_running == EX_KERNEL)
        return __real_clock_gettime(clock, now);
    uint64_t ns;
    if (clock == CLOCK_REALTIME) {
        ns = 1000000000; /* for people; the same for all */
    } else {
        ns = cmy_load64_relaxed(ex_clock_word()) + 1;
        ex_poke64(ex_clock_word(), ns);
    }
    *now = (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    return 0;
}

/* An audit pauses before it looks again; here nobody moves meanwhile. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time;
    (void)left;
    return 0;
}

int __wrap_sched_getcpu(void);
int __wrap_sched_getcpu(void)
{
    return (int)ex_running; /* each process has its own */
}

/* ----------------------------------------------------------------- futexes */

static long futex_wait(const cmy_word32_t *word, uint32_t expected)
{
    ex_process_t *me = &ex_process[ex_running];
    if (cmy_load32_relaxed(word) != expected) {
        errno = EAGAIN;
        return -1;
    }
    me->status = EX_ASLEEP;
    me->pending = NULL;
    me->asleep_on = word;
    me->timed_out = false;
    ex_fiber_yield();
    me->asleep_on = NULL;
    errno = ETIMEDOUT;
    return me->timed_out ? -1 : 0;
}

static long futex_wake(const void *word)
{
    long woken = 0;
    cmy_schedule_point(word);
    for (uint32_t who = 0; who < EX_ACTORS; who++) {
        if (ex_process[who].status != EX_ASLEEP || ex_process[who].asleep_on != word)
            continue;
        ex_process[who].status = EX_READY;
        ex_process[who].pending = ex_start_word(who);
        woken++;
    }
    return woken;
}

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    const void *word = va_arg(arguments, const void *);
    int operation = va_arg(arguments, int);
    uint32_t value = va_arg(arguments, uint32_t);
    va_end(arguments);
    if (number == SYS_futex && operation == FUTEX_WAIT)
        return futex_wait(word, value);
    if (number == SYS_futex && operation == FUTEX_WAKE)
        return futex_wake(word);
    errno = ENOSYS;
    return -1;
}

/* ------------------------------------------------------------------ tokens */

/* A process's own, of which a search takes steps back; a thread has some for itself. The real ones: registry/token.c. */
struct cmy_tokens {
    char nothing;
};

static cmy_tokens_t all_tokens;

commy_status_t cmy_tokens_make(cmy_tokens_t **tokens)
{
    *tokens = &all_tokens;
    return COMMY_STATUS_SUCCESS;
}

void cmy_tokens_free(cmy_tokens_t **tokens)
{
    *tokens = NULL;
    ex_private(ex_running)->open = 0;
}

commy_status_t cmy_token_open(cmy_tokens_t *tokens, const cmy_flight_t *flight, uint64_t *token)
{
    ex_private_t *mine = ex_private(ex_running);
    (void)tokens;
    for (uint32_t i = 0; i < EX_IDS * EX_TOKENS; i++) {
        if (mine->open >> i & 1)
            continue;
        mine->open |= (uint8_t)(1u << i);
        mine->flight[i] = *flight;
        *token = i + 1;
        return COMMY_STATUS_SUCCESS;
    }
    return COMMY_STATUS_LIMIT;
}

bool cmy_token_close(cmy_tokens_t *tokens, uint64_t token, cmy_flight_t *flight)
{
    ex_private_t *mine = ex_private(ex_running);
    (void)tokens;
    if (token == 0 || token > EX_IDS * EX_TOKENS || !(mine->open >> (token - 1) & 1))
        return false;
    mine->open &= (uint8_t) ~(1u << (token - 1));
    *flight = mine->flight[token - 1];
    return true;
}

/* -------------------------------------------------------------------- life */

#define NAMESPACE 0x10001u
#define TIDS 64u /* of one process: a keeper each time that it joins */

struct cmy_participant {
    char nothing; /* stands for the process that has its address */
};

static cmy_participant_t participants[EX_ACTORS];

uint64_t cmy_life_namespace(void)
{
    return NAMESPACE;
}

/* Gone: its process is dead, or has left and perhaps joined again with another keeper. */
cmy_life_sign_t cmy_life_sign(uint32_t pid, uint32_t tid)
{
    (void)pid;
    uint32_t who = tid / TIDS - 1;
    if (who >= EX_ACTORS)
        return CMY_SIGN_NONE;
    cmy_schedule_point(ex_start_word(who)); /* a death comes before or after */
    return ex_process[who].status == EX_DEAD || ex_private(who)->tid != tid ? CMY_SIGN_GONE : CMY_SIGN_NONE;
}

/* What the keeper does until it arms, on the joiner's own fiber; the real one is life/keeper.c. */
commy_status_t cmy_life_join(cmy_region_t *region, const char *node_id, uint16_t listen_port,
                             cmy_housekeeping_fn *housekeeping, void *user, cmy_participant_t **participant)
{
    ex_private_t *mine = ex_private(ex_running);
    (void)housekeeping;
    (void)user;
    mine->tid = mine->tid ? mine->tid + 1 : (ex_running + 1) * TIDS;
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        cmy_word64_t *word = &region->life[slot].phase;
        uint64_t phase = cmy_load64_acquire(word);
        if (cmy_life_phase(phase) != CMY_SLOT_FREE)
            continue;
        uint64_t joining = cmy_life_word(CMY_SLOT_JOINING, NAMESPACE, cmy_life_incarnation(phase), mine->tid);
        if (!cmy_swap64_acq_rel(word, phase, joining))
            continue;
        cmy_participant_shm_t *record = &region->participants[slot];
        cmy_text_store(record->node_id, sizeof record->node_id / sizeof *record->node_id, node_id, strlen(node_id));
        cmy_store64_relaxed(&record->pid_namespace, NAMESPACE);
        cmy_store64_relaxed(&record->joined_at_ns, 1);
        cmy_store32_relaxed(&record->pid, ex_running + 1);
        cmy_store32_relaxed(&record->listen_port, listen_port);
        cmy_store32_release(&region->life[slot].word, mine->tid | FUTEX_WAITERS);
        if (!cmy_swap64_acq_rel(word, joining, cmy_life_with_phase(joining, CMY_SLOT_ARMED)))
            return COMMY_STATUS_CORRUPT;
        mine->owner = cmy_owner(slot, cmy_life_incarnation(phase));
        *participant = &participants[ex_running];
        return COMMY_STATUS_SUCCESS;
    }
    return COMMY_STATUS_LIMIT;
}

uint32_t cmy_life_owner(const cmy_participant_t *participant)
{
    return ex_private((uint32_t)(participant - participants))->owner;
}

void cmy_life_leave(cmy_participant_t **participant)
{
    if (!*participant)
        return;
    ex_private_t *mine = ex_private((uint32_t)(*participant - participants));
    uint32_t slot = cmy_owner_slot(mine->owner);
    cmy_life_shm_t *life = &ex_region()->life[slot];
    *participant = NULL;
    uint64_t phase = cmy_load64_acquire(&life->phase);
    if (cmy_life_phase(phase) == CMY_SLOT_ARMED && cmy_life_incarnation(phase) == cmy_owner_incarnation(mine->owner))
        cmy_swap64_acq_rel(&life->phase, phase, cmy_life_with_phase(phase, CMY_SLOT_LEAVING));
    ex_kernel_marks(slot, mine->tid);
    cmy_life_certify(ex_mesh(ex_running)->region, slot);
}

/* The kernel walks the list of a thread that ends: it marks the word if the thread holds it. */
void ex_kernel_marks(uint32_t slot, uint32_t tid)
{
    cmy_word32_t *word = &ex_region()->life[slot].word;
    cmy_schedule_point(word);
    uint32_t seen = (uint32_t)ex_peek(word);
    if ((seen & FUTEX_TID_MASK) == tid)
        ex_poke32(word, (seen & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
}

/* ------------------------------------------------------------------ events */

/* Events come from programs alone (program.c): what the changes would record is a string of accesses to words that nothing
 * else looks at. */
void __wrap_cmy_event_participant(cmy_region_t *region, uint32_t slot, commy_event_kind_t kind);
void __wrap_cmy_event_participant(cmy_region_t *region, uint32_t slot, commy_event_kind_t kind)
{
    (void)region, (void)slot, (void)kind;
}

void __wrap_cmy_event_of_participant(const cmy_region_t *region, uint32_t slot, commy_event_kind_t kind,
                                     cmy_event_node_t *node);
void __wrap_cmy_event_of_participant(const cmy_region_t *region, uint32_t slot, commy_event_kind_t kind,
                                     cmy_event_node_t *node)
{
    (void)region, (void)slot, (void)kind;
    memset(node, 0, sizeof *node);
}

void __real_cmy_event_record_source(cmy_region_t *region, const cmy_event_source_t *source);
void __wrap_cmy_event_record_source(cmy_region_t *region, const cmy_event_source_t *source);
void __wrap_cmy_event_record_source(cmy_region_t *region, const cmy_event_source_t *source)
{
    if (cmy_event_kind(source->what) == EX_EVENT_KIND)
        __real_cmy_event_record_source(region, source);
}

void __wrap_cmy_service_note(cmy_region_t *region, uint32_t record, uint64_t state, uint32_t owner,
                             commy_event_kind_t kind, uint32_t reason);
void __wrap_cmy_service_note(cmy_region_t *region, uint32_t record, uint64_t state, uint32_t owner,
                             commy_event_kind_t kind, uint32_t reason)
{
    (void)region, (void)record, (void)state, (void)owner, (void)kind, (void)reason;
}

void __wrap_cmy_service_note_registered(cmy_actor_t *actor, uint32_t record, uint64_t claimed);
void __wrap_cmy_service_note_registered(cmy_actor_t *actor, uint32_t record, uint64_t claimed)
{
    (void)actor, (void)record, (void)claimed;
}

void __wrap_cmy_service_note_retired(cmy_actor_t *actor, uint32_t record, uint64_t state, bool leaving);
void __wrap_cmy_service_note_retired(cmy_actor_t *actor, uint32_t record, uint64_t state, bool leaving)
{
    (void)actor, (void)record, (void)state, (void)leaving;
}

void __wrap_cmy_service_note_lease(cmy_region_t *region, uint32_t record, uint64_t state, bool renewed);
void __wrap_cmy_service_note_lease(cmy_region_t *region, uint32_t record, uint64_t state, bool renewed)
{
    (void)region, (void)record, (void)state, (void)renewed;
}

/* ------------------------------------------------------------------ region */

/* Structures are smaller than those that the real one speaks of; see small.h. */
uint64_t cmy_layout_fingerprint(void)
{
    return 1;
}
