/*
 * What the linker puts in the place of a few functions (--wrap): the library is the one that is shipped, and its calls
 * of these go through here.
 *
 * a. mmap of a region leaves guard pages before and behind it; and in one that is mapped read-only, what lies beyond
 *    the header's marks is shut as well, so that following a number without asking whether it is reserved is a signal.
 *    (Marks move only while somebody writes, and nobody does while an image is being read.)
 * b. cmy_life_join can do without a thread: it takes a slot as the keeper does, and what the keeper would do in its
 *    sweeps is a call of the property's. The same input then does the same each time. Some inputs ask for real ones.
 * c. The thread that holds the property up has a time of its own: it stands where the seeds were made, and goes on by what a
 *    look at a clock takes in this image, from a tenth of a microsecond to milliseconds. So a lease ends, or an open breaker's
 *    wait, between the same two looks each time, and the seeds do not age while a fuzzer runs. Who sleeps wakes when his time
 *    is over, at once: nobody else is there to wake him. Images with real keepers have the machine's time.
 * d. getrandom gives the same numbers each time, so that a seed's index, and what an image's calls draw, are the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/futex.h"
#include "fuzz.h"
#include "life/participant.h"

#define GUARD_BYTES ((size_t)1 << 20)

void *__real_mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
int __real_munmap(void *address, size_t bytes);
int __wrap_munmap(void *address, size_t bytes);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
ssize_t __wrap_getrandom(void *to, size_t bytes, unsigned flags);
commy_status_t __real_cmy_life_join(cmy_region_t *region, const char *node_id, uint16_t listen_port,
                                    cmy_housekeeping_fn *housekeeping, void *user, cmy_participant_t **participant);
commy_status_t __wrap_cmy_life_join(cmy_region_t *region, const char *node_id, uint16_t listen_port,
                                    cmy_housekeeping_fn *housekeeping, void *user, cmy_participant_t **participant);
void __real_cmy_life_leave(cmy_participant_t **participant);
void __wrap_cmy_life_leave(cmy_participant_t **participant);

/* ----------------------------------------------------------------- mapping */

static fuzz_guard_t guarding;
static unsigned char *guarded; /* one at a time: where the region starts */

void fuzz_guard(fuzz_guard_t how)
{
    guarding = how;
}

/* Shuts the pages that hold nothing but records from `mark` on. */
static void shut(unsigned char *base, uint64_t offset, uint64_t stride, uint32_t mark, uint32_t limit)
{
    uint64_t from = (offset + mark * stride + CMY_PAGE - 1) / CMY_PAGE * CMY_PAGE;
    uint64_t to = (offset + limit * stride + CMY_PAGE - 1) / CMY_PAGE * CMY_PAGE;
    if (stride != 0 && from < to)
        mprotect(base + from, to - from, PROT_NONE);
}

static void shut_unreserved(unsigned char *base)
{
    const cmy_header_shm_t *header = (const cmy_header_shm_t *)base;
    cmy_layout_t layout;
    cmy_layout_compute(header->capacity, &layout);
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        const cmy_slab_layout_t *slab = &layout.slab[kind];
        uint64_t mark = cmy_load64_relaxed(&header->reserved[kind]);
        shut(base, slab->offset, slab->stride, (uint32_t)mark, slab->limit);
        shut(base, slab->cold_offset, slab->cold_stride, (uint32_t)mark, slab->limit);
    }
}

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    if (guarding == FUZZ_OPEN || file < 0 || address || guarded)
        return __real_mmap(address, bytes, protection, flags, file, offset);
    size_t all = bytes + 2 * GUARD_BYTES;
    unsigned char *room = __real_mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    void *base = __real_mmap(room + GUARD_BYTES, bytes, protection, flags | MAP_FIXED, file, offset);
    if (base == MAP_FAILED) {
        __real_munmap(room, all);
        return MAP_FAILED;
    }
    guarded = base;
    if (guarding == FUZZ_SHUT && !(protection & PROT_WRITE))
        shut_unreserved(base);
    return base;
}

/* The name that it has where files may be large. */
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    return __wrap_mmap(address, bytes, protection, flags, file, offset);
}

int __wrap_munmap(void *address, size_t bytes)
{
    if (!address || address != guarded)
        return __real_munmap(address, bytes);
    guarded = NULL;
    return __real_munmap((unsigned char *)address - GUARD_BYTES, bytes + 2 * GUARD_BYTES);
}

/* -------------------------------------------------------------- life, light */

static bool real = true;
static cmy_participant_t *light; /* the one that has no thread */
static uint32_t light_tid;

void fuzz_keeper_is_real(bool is_real)
{
    real = is_real;
}

/* The lowest slot that is FREE, as the keeper takes it. */
static bool take_slot(cmy_participant_t *participant)
{
    uint64_t namespace_inode = cmy_life_namespace();
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        cmy_life_shm_t *life = &participant->region->life[slot];
        cmy_participant_shm_t *record = &participant->region->participants[slot];
        uint64_t phase = cmy_load64_acquire(&life->phase);
        if (cmy_life_phase(phase) != CMY_SLOT_FREE)
            continue;
        cmy_text_store(record->node_id, 8, participant->node_id, participant->node_id_bytes);
        cmy_store64_relaxed(&record->pid_namespace, namespace_inode);
        cmy_store64_relaxed(&record->joined_at_ns, cmy_clock_real_ns());
        cmy_store32_relaxed(&record->pid, (uint32_t)getpid());
        cmy_store32_relaxed(&record->listen_port, participant->listen_port);
        cmy_store32_release(&life->word, light_tid | FUTEX_WAITERS);
        cmy_store64_release(&life->phase,
                            cmy_life_word(CMY_SLOT_ARMED, namespace_inode, cmy_life_incarnation(phase), light_tid));
        participant->slot = slot;
        participant->owner = cmy_owner(slot, cmy_life_incarnation(phase));
        return true;
    }
    return false;
}

commy_status_t __wrap_cmy_life_join(cmy_region_t *region, const char *node_id, uint16_t listen_port,
                                    cmy_housekeeping_fn *housekeeping, void *user, cmy_participant_t **participant)
{
    if (real || light)
        return __real_cmy_life_join(region, node_id, listen_port, housekeeping, user, participant);
    *participant = NULL;
    cmy_participant_t *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for a participant");
    light_tid = (uint32_t)syscall(SYS_gettid);
    fresh->region = region;
    fresh->listen_port = listen_port;
    fresh->node_id_bytes = strnlen(node_id, COMMY_LIMIT_MESH_BYTES);
    memcpy(fresh->node_id, node_id, fresh->node_id_bytes);
    fresh->housekeeping = housekeeping;
    fresh->user = user;
    if (!take_slot(fresh)) {
        free(fresh);
        return cmy_fail(COMMY_STATUS_LIMIT, "all slots are taken");
    }
    light = *participant = fresh;
    return COMMY_STATUS_SUCCESS;
}

/* As the keeper's thread and the kernel leave a slot behind. */
void __wrap_cmy_life_leave(cmy_participant_t **participant)
{
    if (!*participant || *participant != light) {
        __real_cmy_life_leave(participant);
        return;
    }
    cmy_life_shm_t *life = &light->region->life[light->slot];
    uint64_t phase = cmy_load64_acquire(&life->phase);
    if (cmy_life_phase(phase) == CMY_SLOT_ARMED && cmy_life_incarnation(phase) == cmy_owner_incarnation(light->owner))
        cmy_swap64_acq_rel(&life->phase, phase, cmy_life_with_phase(phase, CMY_SLOT_LEAVING));
    if ((cmy_load32_acquire(&life->word) & FUTEX_TID_MASK) == light_tid)
        cmy_store32_release(&life->word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
    cmy_life_certify(light->region, light->slot);
    free(light);
    light = NULL;
    *participant = NULL;
}

void fuzz_housekeeping(void)
{
    if (light && light->housekeeping)
        light->housekeeping(light->user);
}

/* ----------------------------------------------------------- time and chance */

static uint64_t start_ns, start_real_ns; /* when the seeds were made */
static uint64_t chance_of_calls = 1;
static _Thread_local bool own_time;
static _Thread_local uint64_t now_ns, look_ns;

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

void fuzz_time_starts(void)
{
    start_ns = cmy_clock_monotonic_ns();
    start_real_ns = cmy_clock_real_ns();
}

void fuzz_time_is_own(bool own, uint64_t chance)
{
    own_time = own;
    now_ns = start_ns;
    look_ns = (uint64_t)100 << fuzz_chance(&chance) % 16;
    chance_of_calls = 1;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!own_time || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME))
        return __real_clock_gettime(clock, now);
    now_ns += look_ns;
    uint64_t ns = clock == CLOCK_MONOTONIC ? now_ns : now_ns - start_ns + start_real_ns;
    *now = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    now_ns += nanoseconds(time);
    return 0;
}

/* Sleeps on futexes that have an end: FUTEX_WAIT by a time-out, futex_waitv by an instant. */
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    const struct timespec *end = (const struct timespec *)d;
    if (!own_time || !end ||
        (number != SYS_futex_waitv && (number != SYS_futex || ((int)b & ~FUTEX_PRIVATE_FLAG) != FUTEX_WAIT)))
        return __real_syscall(number, a, b, c, d, e, f);
    errno = ETIMEDOUT;
    if (number == SYS_futex && __atomic_load_n((const uint32_t *)a, __ATOMIC_ACQUIRE) != (uint32_t)c)
        errno = EAGAIN;
    else if (number == SYS_futex)
        now_ns += nanoseconds(end);
    else if (now_ns < nanoseconds(end))
        now_ns = nanoseconds(end);
    return -1;
}

ssize_t __wrap_getrandom(void *to, size_t bytes, unsigned flags)
{
    unsigned char *at = to;
    (void)flags;
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)fuzz_chance(&chance_of_calls);
    return (ssize_t)bytes;
}
