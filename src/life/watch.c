/*
 * What a keeper does while its participant lives: sleep until somebody dies, and see to it that deaths are noticed.
 *
 * The keeper sleeps on its bell and on the words of the next few participants in the ring of slots; whoever of them
 * dies wakes one sleeper. That is haste, not visibility: a keeper that is stopped or killed, a wake that went to it, or
 * a kernel without futex_waitv(2) cost others 100 ms at most, after which everybody looks at all words. What no mark
 * tells (sign.h) takes system calls; once a second each keeper asks about some slots behind its own, so that every slot
 * has several who ask, and about some others in turn, so that every slot has everybody in the long run.
 *
 * The sleep cannot miss a mark: each word is waited on with the unmarked value that the survey read, and a word marked
 * since then ends the sleep at once. Nor can it spin: a marked word is moved to DEAD by the survey that meets it.
 *
 * A keeper does not keep its program alive: where all the program's threads have ended (pthread_exit(3) in the first one),
 * it ends within a second too.
 *
 * Killed or stopped anywhere here: others watch the same words, and look at all of them by themselves.
 */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "life/participant.h"
#include "life/sign.h"

#define SWEEP_NS 100000000ull
#define SLICE_NS 10000000ll /* where only one word can be slept on */
#define EXAMINE_NS 1000000000ull
#define EXAMINED_BEHIND 4u /* participants behind our own slot to ask about, each second */
#define EXAMINED_IN_TURN 4u

/* Asks about up to `count` participants of our namespace from slot `from` on, and gives the slot to go on from. */
static uint32_t examine(const cmy_participant_t *participant, uint32_t from, uint32_t count)
{
    cmy_region_t *region = participant->region;
    uint64_t ours = cmy_life_word(0, cmy_life_namespace(), 0, 0);
    uint32_t slot = from % COMMY_LIMIT_PARTICIPANTS;
    for (uint32_t step = 0; step < COMMY_LIMIT_PARTICIPANTS && count > 0; step++) {
        uint64_t phase = cmy_load64_acquire(&region->life[slot].phase);
        bool worth = cmy_life_phase(phase) >= CMY_SLOT_ARMED && cmy_life_tid(phase) != 0 &&
                     cmy_life_word(0, cmy_life_space(phase), 0, 0) == ours && slot != participant->slot;
        if (worth) {
            cmy_life_certify(region, slot);
            count--;
        }
        slot = (slot + 1) % COMMY_LIMIT_PARTICIPANTS;
    }
    return slot;
}

/* Looks at all words once: moves the marked ones to DEAD, and notes the next few others to sleep on. */
static void survey(cmy_participant_t *participant)
{
    cmy_region_t *region = participant->region;
    cmy_watch_t *watch = &participant->watch;
    watch->count = 0;
    for (uint32_t step = 1; step < COMMY_LIMIT_PARTICIPANTS; step++) {
        uint32_t slot = (participant->slot + step) % COMMY_LIMIT_PARTICIPANTS;
        cmy_life_shm_t *life = &region->life[slot];
        uint64_t phase = cmy_load64_acquire(&life->phase);
        if (cmy_life_phase(phase) == CMY_SLOT_JOINING)
            cmy_life_certify(region, slot);
        if (cmy_life_phase(phase) != CMY_SLOT_ARMED && cmy_life_phase(phase) != CMY_SLOT_LEAVING)
            continue;
        uint32_t word = cmy_load32_acquire(&life->word);
        if (word & FUTEX_OWNER_DIED) {
            cmy_life_dead(region, cmy_owner(slot, cmy_life_incarnation(phase)));
        } else if (watch->count < CMY_WATCHED) {
            watch->word[watch->count] = &life->word;
            watch->value[watch->count++] = word;
        }
    }
    uint64_t now = cmy_clock_monotonic_ns();
    if (now < watch->examine_at_ns)
        return;
    watch->examine_at_ns = now + EXAMINE_NS;
    watch->deserted = cmy_life_only_keepers();
    examine(participant, participant->slot + 1, EXAMINED_BEHIND);
    watch->in_turn = examine(participant, watch->in_turn, EXAMINED_IN_TURN);
}

/* Sleeps on the bell and all words. False where the kernel cannot. bell: the value that the survey began with. */
static bool sleep_on_all(cmy_participant_t *participant, uint32_t bell)
{
    cmy_watch_t *watch = &participant->watch;
    cmy_sleep_on_t set[1 + CMY_WATCHED];
    set[0] = (cmy_sleep_on_t){bell, (uintptr_t)&participant->bell, CMY_WAITV_32 | FUTEX_PRIVATE_FLAG, 0};
    for (uint32_t i = 0; i < watch->count; i++)
        set[1 + i] = (cmy_sleep_on_t){watch->value[i], (uintptr_t)watch->word[i], CMY_WAITV_32, 0};
    uint64_t until = cmy_clock_monotonic_ns() + SWEEP_NS;
    struct __kernel_timespec deadline = {(long long)(until / 1000000000u), (long long)(until % 1000000000u)};
    if (syscall(SYS_futex_waitv, set, 1 + watch->count, 0, &deadline, CLOCK_MONOTONIC) >= 0)
        return true;
    if (errno == ETIMEDOUT || errno == EAGAIN || errno == EINTR)
        return true;
    watch->no_waitv = errno != ENOMEM; /* memory comes back; what a kernel or a sandbox lacks does not */
    return false;
}

static bool unchanged(const cmy_watch_t *watch)
{
    for (uint32_t i = 0; i < watch->count; i++)
        if (cmy_load32_acquire(watch->word[i]) != watch->value[i])
            return false;
    return true;
}

/* The same on one futex, for kernels before 5.16 and sandboxes that refuse the newer call. */
static void sleep_on_bell(const cmy_participant_t *participant, uint32_t bell)
{
    const struct __kernel_old_timespec slice = {0, SLICE_NS};
    for (uint64_t slept = 0; slept < SWEEP_NS && unchanged(&participant->watch); slept += SLICE_NS)
        if (!syscall(SYS_futex, &participant->bell, FUTEX_WAIT_PRIVATE, bell, &slice, NULL, 0) || errno != ETIMEDOUT)
            return;
}

void cmy_life_watch(cmy_participant_t *participant)
{
    for (;;) {
        /* Read before the survey: a bell that rings during it ends the sleep that follows. */
        uint32_t bell = atomic_load_explicit(&participant->bell, memory_order_acquire);
        if (bell & CMY_BELL_STOP)
            return;
        survey(participant);
        if (participant->watch.deserted)
            return; /* as a program's last thread would: the process ends with it, and the kernel marks the word */
        if (participant->housekeeping)
            participant->housekeeping(participant->user);
        if (!participant->watch.no_waitv && sleep_on_all(participant, bell))
            continue;
        sleep_on_bell(participant, bell);
    }
}
