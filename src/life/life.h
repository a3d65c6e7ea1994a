/*
 * Life and death of participants.
 *
 * A participant is a joined handle: a slot, an incarnation, and a keeper thread that holds the slot's life word, a robust
 * futex. When the process dies in any way, or execs, or the keeper ends, the kernel marks the word. Nobody else ever
 * marks or releases it.
 *
 * a. A participant that is ARMED and whose word is unmarked is alive; a marked word is a certain death.
 * b. Closing descriptors, forks, children that exec, PID reuse, other PID or time namespaces and pauses mark nothing.
 * c. What the kernel could not mark (killed while JOINING; a core dump under way; a broken robust list) is told by a
 *    second certain sign: same boot, same PID namespace, and the keeper's thread is gone, or its process is dumping
 *    core. Whatever is not certain is alive.
 *
 * Technique: robust futexes, Documentation/locking/robust-futex-ABI.rst; set_robust_list(2).
 */
#ifndef CMY_LIFE_LIFE_H
#define CMY_LIFE_LIFE_H

#include <linux/futex.h>

#include <commy/commy.h>

#include "region/region.h"

typedef enum cmy_life_phase {
    CMY_SLOT_FREE = 0,
    CMY_SLOT_JOINING = 1,
    CMY_SLOT_ARMED = 2,
    CMY_SLOT_LEAVING = 3,
    CMY_SLOT_DEAD = 4
} cmy_life_phase_t;

/* Phase word: phase (3) | 1 | incarnation (20) | low bits of the PID namespace's inode (18) | keeper's thread id (22). */
#define CMY_LIFE_NAMESPACE_BITS 18u
static inline uint64_t cmy_life_word(cmy_life_phase_t phase, uint64_t pid_namespace, uint32_t incarnation, uint32_t tid)
{
    return (uint64_t)phase | (uint64_t)cmy_owner(0, incarnation) << 3 |
           (pid_namespace & ((1u << CMY_LIFE_NAMESPACE_BITS) - 1)) << 24 | (uint64_t)(tid & 0x3fffffu) << 42;
}
static inline cmy_life_phase_t cmy_life_phase(uint64_t word)
{
    return (cmy_life_phase_t)(word & 7);
}
static inline uint32_t cmy_life_incarnation(uint64_t word)
{
    return (uint32_t)(word >> 4) & CMY_INCARNATION_MASK;
}
/* As much of the PID namespace's inode as the word holds. */
static inline uint64_t cmy_life_space(uint64_t word)
{
    return word >> 24 & ((1u << CMY_LIFE_NAMESPACE_BITS) - 1);
}
static inline uint32_t cmy_life_tid(uint64_t word)
{
    return (uint32_t)(word >> 42);
}
static inline uint64_t cmy_life_with_phase(uint64_t word, cmy_life_phase_t phase)
{
    return (word & ~(uint64_t)7) | (uint64_t)phase;
}

/*
 * Whether the owner that a record names is alive. Nobody (a detached service's owner) is. Read after the record's state
 * and followed by another look at it: state, life, state.
 */
static inline bool cmy_life_alive(const cmy_region_t *region, uint32_t owner)
{
    uint32_t slot = cmy_owner_slot(owner);
    if (__builtin_expect(slot >= COMMY_LIMIT_PARTICIPANTS, 0))
        return owner == CMY_NOBODY;
    const cmy_life_shm_t *life = &region->life[slot];
    /* ARMED in this incarnation, whatever the rest says. */
    uint64_t differs =
        cmy_load64_acquire(&life->phase) ^ cmy_life_word(CMY_SLOT_ARMED, 0, cmy_owner_incarnation(owner), 0);
    if ((differs & cmy_life_word((cmy_life_phase_t)7, 0, CMY_INCARNATION_MASK, 0)) != 0)
        return false;
    return !(cmy_load32_acquire(&life->word) & FUTEX_OWNER_DIED);
}

/*
 * The same of a LIVE record's owner, of whom it is asked on every lookup, in fewer steps; nobody is not alive here. Slots have
 * no number out of range, and what has to be the same in both words lies alike (region/shm.h).
 */
static inline bool cmy_life_owns(const cmy_region_t *region, uint64_t state)
{
#ifndef CMY_SCHEDULE /* where participants are few, and no bytes but the library's are in the region */
    _Static_assert(COMMY_LIMIT_PARTICIPANTS == 1u << CMY_SLOT_BITS, "every number is one of a slot");
#endif
    _Static_assert((int)CMY_SLOT_ARMED == (int)CMY_LIVE, "phases can be compared");
    const cmy_life_shm_t *life = &region->life[state >> (4 + CMY_INCARNATION_BITS) & ((1u << CMY_SLOT_BITS) - 1)];
    uint64_t differs = cmy_load64_acquire(&life->phase) ^ state;
    return (differs & ((1u << (4 + CMY_INCARNATION_BITS)) - 1)) == 0 &&
           (cmy_load32_acquire(&life->word) & FUTEX_OWNER_DIED) == 0;
}

/*
 * Whether records of this owner may be taken from it: its slot is DEAD at its incarnation, or a later incarnation has
 * begun (then nothing of it can be left, and the CAS that follows fails). A slot that is ARMED or LEAVING with a marked
 * word is moved to DEAD here (phase, then word, then CAS). Weaker than !cmy_life_alive(): a LEAVING owner is invisible
 * to lookups but still at work until its word is marked; JOINING owners own nothing.
 */
bool cmy_life_dead(cmy_region_t *region, uint32_t owner);

/* A participant of this process. One keeper each. */
typedef struct cmy_participant cmy_participant_t;

/* What the keeper calls, on its own thread, after a death was seen and at least every 100 ms. Must not block, and finds
 * no descriptor of the process open: the thread has a table of its own. */
typedef void cmy_housekeeping_fn(void *user);

/*
 * Joins: starts the keeper, which takes a FREE slot, fills it, takes the life word and arms. Returns once ARMED.
 * node_id was checked. Errors: LIMIT (no slot; threads), KERNEL, NO_MEMORY, NO_SPACE.
 * housekeeping may run before this returns, but not before *participant is set; null for none.
 */
commy_status_t cmy_life_join(cmy_region_t *region, const char *node_id, uint16_t listen_port,
                             cmy_housekeeping_fn *housekeeping, void *user, cmy_participant_t **participant);

/* Packed slot and incarnation, as records name it. */
uint32_t cmy_life_owner(const cmy_participant_t *participant);

/*
 * Leaves: phase LEAVING, the keeper ends, and the kernel marks the word before this returns. The caller has seen to it
 * that no thread of the process acts under this owner any more. Clears *participant. In a forked child it only frees
 * private memory.
 */
void cmy_life_leave(cmy_participant_t **participant);

/* Asks the keeper for a housekeeping run soon. */
void cmy_life_nudge(cmy_participant_t *participant);

/*
 * Looks for the second certain sign of a death in a slot (c. above) and moves it to DEAD when it is there; a slot that
 * died JOINING owns nothing and goes straight to FREE. Makes system calls; called from the slow sweep only. Returns
 * whether the slot is DEAD now.
 */
bool cmy_life_certify(cmy_region_t *region, uint32_t slot);

/*
 * DEAD(i) -> FREE(i + 1): nothing of that incarnation is left. phase: the DEAD word that was seen. The slot stays DEAD
 * while the kernel may yet mark its word (a core dump under way); try again at the next sweep. Returns whether the slot
 * was freed by this call, which is so for one caller alone.
 */
bool cmy_life_free(cmy_region_t *region, uint32_t slot, uint64_t phase);

/* Copies a slot's details; false where it has no tenant (FREE, JOINING) or changed while it was read. */
bool cmy_life_describe(const cmy_region_t *region, uint32_t slot, commy_participant_t *out);

/* Participants that live. */
uint32_t cmy_life_count(const cmy_region_t *region);

#endif /* CMY_LIFE_LIFE_H */
