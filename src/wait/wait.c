/* Event counts over futexes; see wait.h. Technique: futex(2), "Futexes are tricky" (Drepper, 2011). */
#include "wait/wait.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"

#define LOOK_MS 10 /* where only one word can be slept on */

static _Atomic bool no_waitv; /* futex_waitv(2) was refused */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a futex is the low half of a version");

static cmy_stripe_shm_t *stripe_of(const cmy_region_t *region, uint64_t name_hash)
{
    return &region->stripes[name_hash >> 57];
}

static cmy_stripe_shm_t *bell_of(const cmy_region_t *region)
{
    return &region->stripes[CMY_STRIPES];
}

/* Bumps a stripe's version and wakes who sleeps on it. */
static void bump(cmy_stripe_shm_t *stripe)
{
    uint64_t mine = cmy_add64_seq_cst(&stripe->version, 1) + 1; /* pairs with the waiter's second look */
    uint64_t waiting = cmy_load64_seq_cst(&stripe->waiting);
    if (waiting == 0)
        return;
    syscall(SYS_futex, &stripe->version, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    if (waiting < mine + 1) /* the flag holds one more than the version that is slept on, so that it is never 0 */
        cmy_swap64_seq_cst(&stripe->waiting, waiting, 0);
}

static void ring(cmy_region_t *region)
{
    cmy_stripe_shm_t *bell = bell_of(region);
    if (cmy_load64_seq_cst(&bell->waiting) != 0)
        bump(bell);
}

void cmy_wait_announce(cmy_region_t *region, uint64_t name_hash)
{
    bump(stripe_of(region, name_hash));
    ring(region);
}

void cmy_wait_announce_all(cmy_region_t *region)
{
    for (uint32_t i = 0; i < CMY_STRIPES; i++)
        bump(&region->stripes[i]);
    ring(region);
}

/* A slot's share: FREE(i) to ARMED(i) 2i, marked or DEAD 2i + 1, FREE(i + 1) 2i + 2. */
static uint64_t life(const cmy_life_shm_t *life)
{
    uint64_t phase = cmy_load64_acquire(&life->phase), dead = 0;
    for (int turn = 0; turn < 4; turn++) {
        dead = cmy_life_phase(phase) == CMY_SLOT_DEAD;
        if (cmy_life_phase(phase) == CMY_SLOT_ARMED || cmy_life_phase(phase) == CMY_SLOT_LEAVING)
            dead = (cmy_load32_acquire(&life->word) & FUTEX_OWNER_DIED) != 0;
        uint64_t again = cmy_load64_acquire(&life->phase);
        if (again == phase)
            break; /* the word was this tenant's */
        phase = again;
    }
    return 2ull * cmy_life_incarnation(phase) + dead;
}

/* What lives and deaths add to every version. */
static uint64_t lives(const cmy_region_t *region)
{
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        sum += life(&region->life[slot]);
    }
    return sum;
}

uint64_t cmy_wait_version(const cmy_region_t *region, const uint64_t *name_hash)
{
    uint64_t sum = lives(region) + 1;
    if (name_hash)
        return sum + cmy_load64_seq_cst(&stripe_of(region, *name_hash)->version);
    for (uint32_t i = 0; i < CMY_STRIPES; i++)
        sum += cmy_load64_seq_cst(&region->stripes[i].version);
    return sum;
}

/* Says that somebody sleeps. Gives the value to sleep on, which was read before the version is looked at again. */
static uint32_t raise_flag(const cmy_region_t *region, cmy_stripe_shm_t *stripe)
{
    uint64_t slept_on = cmy_load64_seq_cst(&stripe->version);
    if (region->writable) {
        uint64_t flag = slept_on + 1, seen = cmy_load64_relaxed(&stripe->waiting);
        /* Raised, never lowered here: a later sleeper's version covers an earlier one's. Whoever fails so often that the
         * bound is reached sleeps one slice at most, as everybody does. */
        for (int turn = 0; turn < 64 && seen < flag; turn++)
            if (cmy_cas64_seq_cst(&stripe->waiting, &seen, flag))
                break;
    }
    return (uint32_t)slept_on;
}

static cmy_stripe_shm_t *sleeps_on(const cmy_region_t *region, const uint64_t *name_hash)
{
    return name_hash ? stripe_of(region, *name_hash) : bell_of(region);
}

commy_status_t cmy_wait_slice(const cmy_region_t *region, const uint64_t *name_hash, uint64_t version, int slice_ms)
{
    cmy_stripe_shm_t *stripe = sleeps_on(region, name_hash);
    uint32_t slept_on = raise_flag(region, stripe);
    if (cmy_wait_version(region, name_hash) != version)
        return COMMY_STATUS_SUCCESS;
    struct timespec timeout = {.tv_nsec = (slice_ms < CMY_WAIT_SLICE_MS ? slice_ms : CMY_WAIT_SLICE_MS) * 1000000L};
    if (syscall(SYS_futex, &stripe->version, FUTEX_WAIT, slept_on, &timeout, NULL, 0) < 0 && errno == EINTR)
        return COMMY_STATUS_INTERRUPTED;
    return COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------ several words */

static bool moved(const cmy_region_t *region, const cmy_wait_for_t *set, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (cmy_wait_version(region, set[i].name_hash) != set[i].version)
            return true;
    return false;
}

/* Where only one word can be slept on: on the caller's, which needs no flag in the region. */
static commy_status_t sleep_on_one(const cmy_region_t *region, const cmy_wait_for_t *set, uint32_t count,
                                   const void *word, uint32_t heard, int slice_ms)
{
    for (int slept = 0; slept < slice_ms && !moved(region, set, count); slept += LOOK_MS) {
        const struct timespec look = {.tv_nsec = (slice_ms < LOOK_MS ? slice_ms : LOOK_MS) * 1000000L};
        if (!syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, heard, &look, NULL, 0))
            break;
        if (errno != ETIMEDOUT)
            return errno == EINTR ? COMMY_STATUS_INTERRUPTED : COMMY_STATUS_SUCCESS;
    }
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_wait_slice_any(const cmy_region_t *region, const cmy_wait_for_t *set, uint32_t count,
                                  const void *word, uint32_t heard, int slice_ms)
{
    cmy_sleep_on_t words[1 + CMY_WAIT_MOST];
    slice_ms = slice_ms < CMY_WAIT_SLICE_MS ? slice_ms : CMY_WAIT_SLICE_MS;
    uint64_t until = cmy_clock_monotonic_ns() + (uint64_t)slice_ms * 1000000u;
    struct __kernel_timespec deadline = {(long long)(until / 1000000000u), (long long)(until % 1000000000u)};
    words[0] = (cmy_sleep_on_t){heard, (uintptr_t)word, CMY_WAITV_32 | FUTEX_PRIVATE_FLAG, 0};
    for (uint32_t i = 0; i < count; i++) {
        cmy_stripe_shm_t *stripe = sleeps_on(region, set[i].name_hash);
        words[1 + i] = (cmy_sleep_on_t){raise_flag(region, stripe), (uintptr_t)&stripe->version, CMY_WAITV_32, 0};
    }
    if (moved(region, set, count))
        return COMMY_STATUS_SUCCESS;
    if (!atomic_load_explicit(&no_waitv, memory_order_relaxed)) {
        if (syscall(SYS_futex_waitv, words, 1 + count, 0, &deadline, CLOCK_MONOTONIC) >= 0 || errno == ETIMEDOUT ||
            errno == EAGAIN)
            return COMMY_STATUS_SUCCESS;
        if (errno == EINTR)
            return COMMY_STATUS_INTERRUPTED;
        /* Memory comes back; what a kernel or a sandbox lacks does not. */
        atomic_store_explicit(&no_waitv, errno != ENOMEM, memory_order_relaxed);
    }
    return sleep_on_one(region, set, count, word, heard, slice_ms);
}
