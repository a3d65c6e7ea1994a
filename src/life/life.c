/*
 * Slots of participants: who is alive, who is dead, and how a slot gets from one tenant to the next.
 *
 *              claim             arm              leave
 *     FREE(i) ------> JOINING(i) ----> ARMED(i) --------> LEAVING(i)
 *        ^               |                 \                 /
 *        |               | thread gone      \ word marked,  / thread gone, core dump
 *        |               v                   v             v
 *        |          FREE(i + 1)              DEAD(i, keeper) --settle--> DEAD(i, 0)
 *        |                                                                   |
 *        +----- i + 1 ----------------- free, nothing of i is left ----------+
 *
 * Every arrow is one CAS on the phase word, which holds the incarnation: whoever decided on what an earlier tenant left
 * behind fails, however late it comes. keeper.c draws the first line, this file all others.
 *
 * Guarantees
 *
 * a. Never wrongly. ARMED and LEAVING end by the kernel's mark or by a sign (sign.h) that the caller of the CAS found
 *    between two equal readings of the phase word, so that the process id and the namespace it asked about are those of
 *    this incarnation. Both signs are for good: a thread that is gone does not come back.
 *
 * b. A late mark hits nobody. The kernel marks a word that holds the dying thread's id, and an id says nothing across
 *    PID namespaces: were a slot given to a new tenant while the old keeper may yet be walked, and had both the same
 *    number, the new one would be marked alive. Hence a DEAD word keeps the keeper's id for as long as a mark may come,
 *    and has 0 there once none can: the word is marked (the kernel is done with it, and what it stored names no
 *    thread), or the thread is gone. Only then is the slot freed. Only a core dump takes the detour.
 *    It serves once more: threads of a process that is being stopped may finish what they are at while its core dump
 *    begins. The slot stays DEAD at their incarnation until they cannot, so a reaper comes by again.
 *
 * c. A tenant that never armed was never seen, owns nothing and has no word to mark: its slot skips DEAD.
 *
 * d. The death epoch is raised once by whoever moved a slot to DEAD. Killed here (between the CAS and the add) it is
 *    not raised for that death; nothing but haste depends on it, since every lookup looks at the word itself and
 *    reaping moves the versions of the names it empties. Stopped here: the same, for as long as the stop lasts.
 *
 * e. One thing is not certain: while JOINING, only the 18 low bits of the namespace are known. Somebody else's joiner
 *    could be taken for one of ours if the host had namespace inodes a multiple of 2^18 apart, both in this region, and
 *    the joiner was looked at in its microseconds between claim and arm. It finds the slot gone when it arms and fails,
 *    but what it filled in may then lie in the record of its successor.
 *
 * Progress: wait-free; the one loop that tries again is bounded by the number of phases. Only cmy_life_certify() makes
 * system calls.
 */
#include "life/life.h"

#include "base/text.h"
#include "life/sign.h"

/* A slot moves forward at most this often while one tenant has it. */
#define PHASES 4

static bool marked(const cmy_life_shm_t *life)
{
    return cmy_load32_acquire(&life->word) & FUTEX_OWNER_DIED; /* pairs with the kernel's cmpxchg, a full barrier */
}

static uint64_t free_word(uint64_t phase)
{
    return cmy_life_word(CMY_SLOT_FREE, 0, cmy_life_incarnation(phase) + 1, 0);
}

static uint64_t dead_word(uint64_t phase, uint32_t keeper)
{
    return cmy_life_word(CMY_SLOT_DEAD, cmy_life_space(phase), cmy_life_incarnation(phase), keeper);
}

/* Moves ARMED or LEAVING to DEAD. seen: the phase word, and on failure what stands there instead. */
static bool bury(cmy_region_t *region, uint32_t slot, uint64_t *seen, bool mark_may_come)
{
    uint64_t dead = dead_word(*seen, mark_may_come ? cmy_life_tid(*seen) : 0);
    if (!cmy_cas64_acq_rel(&region->life[slot].phase, seen, dead))
        return false;
    cmy_add64_seq_cst(&region->header->death_epoch, 1);
    return true;
}

bool cmy_life_dead(cmy_region_t *region, uint32_t owner)
{
    if (owner == CMY_NOBODY)
        return false;
    uint32_t slot = cmy_owner_slot(owner);
    if (slot >= COMMY_LIMIT_PARTICIPANTS)
        return true; /* bytes that name nobody who could ever come back for them */
    cmy_life_shm_t *life = &region->life[slot];
    uint64_t phase = cmy_load64_acquire(&life->phase);
    for (int i = 0; i < PHASES; i++) {
        if (cmy_life_incarnation(phase) != cmy_owner_incarnation(owner))
            return true;
        switch (cmy_life_phase(phase)) {
        case CMY_SLOT_DEAD:
            return true;
        case CMY_SLOT_ARMED:
        case CMY_SLOT_LEAVING:
            /* Raced here, the word may be a later tenant's, unmarked: then the slot was freed, nothing of this owner
             * was left, and the caller's next CAS on its record says so. A mark that is seen may be anybody's who had
             * the slot, but the CAS succeeds only while it is this one's. */
            if (!marked(life))
                return false;
            if (bury(region, slot, &phase, false))
                return true;
            break;
        default:
            return false; /* owns nothing yet: not certain, so not dead */
        }
    }
    return false;
}

/*
 * Asks the kernel about a slot's tenant. NONE where that is in another namespace, or changed while it was read. All of
 * the record was written before the phase word became ARMED, and the next tenant's fence stands between its claim and
 * its first store, so that equal readings of the word mean that what was read between them is this tenant's.
 */
static cmy_life_sign_t sign_of(const cmy_region_t *region, uint32_t slot, uint64_t phase)
{
    uint64_t ours = cmy_life_namespace();
    if (!ours || cmy_life_word(0, ours, 0, 0) != cmy_life_word(0, cmy_life_space(phase), 0, 0))
        return CMY_SIGN_NONE;
    if (cmy_life_phase(phase) == CMY_SLOT_JOINING)
        return cmy_life_sign(0, cmy_life_tid(phase));
    const cmy_participant_shm_t *participant = &region->participants[slot];
    uint64_t theirs = cmy_load64_relaxed(&participant->pid_namespace);
    uint32_t pid = cmy_load32_relaxed(&participant->pid);
    cmy_fence_acquire(); /* pairs with the release fence in keeper.c, claim() */
    if (theirs != ours || pid == 0 || cmy_load64_relaxed(&region->life[slot].phase) != phase)
        return CMY_SIGN_NONE;
    return cmy_life_sign(pid, cmy_life_tid(phase));
}

bool cmy_life_certify(cmy_region_t *region, uint32_t slot)
{
    if (slot >= COMMY_LIMIT_PARTICIPANTS)
        return false;
    cmy_life_shm_t *life = &region->life[slot];
    uint64_t phase = cmy_load64_acquire(&life->phase);
    cmy_life_sign_t sign;
    switch (cmy_life_phase(phase)) {
    case CMY_SLOT_JOINING:
        if (sign_of(region, slot, phase) == CMY_SIGN_GONE)
            cmy_swap64_acq_rel(&life->phase, phase, free_word(phase)); /* c. */
        return false;
    case CMY_SLOT_ARMED:
    case CMY_SLOT_LEAVING:
        if (marked(life))
            return cmy_life_dead(region, cmy_owner(slot, cmy_life_incarnation(phase)));
        sign = sign_of(region, slot, phase);
        if (sign == CMY_SIGN_NONE)
            return false;
        return bury(region, slot, &phase, sign == CMY_SIGN_DUMPING) || cmy_life_phase(phase) == CMY_SLOT_DEAD;
    case CMY_SLOT_DEAD:
        if (cmy_life_tid(phase) != 0 && (marked(life) || sign_of(region, slot, phase) == CMY_SIGN_GONE))
            cmy_swap64_acq_rel(&life->phase, phase, dead_word(phase, 0)); /* b. */
        return true;
    default:
        return false;
    }
}

bool cmy_life_free(cmy_region_t *region, uint32_t slot, uint64_t phase)
{
    if (slot >= COMMY_LIMIT_PARTICIPANTS || cmy_life_phase(phase) != CMY_SLOT_DEAD)
        return false;
    if (cmy_life_tid(phase) != 0 && !marked(&region->life[slot]))
        return false; /* b.: a later sweep settles it */
    return cmy_swap64_acq_rel(&region->life[slot].phase, phase, free_word(phase));
}

static bool alive_now(const cmy_region_t *region, uint32_t slot, uint64_t phase)
{
    return cmy_life_phase(phase) == CMY_SLOT_ARMED &&
           cmy_life_alive(region, cmy_owner(slot, cmy_life_incarnation(phase)));
}

bool cmy_life_describe(const cmy_region_t *region, uint32_t slot, commy_participant_t *out)
{
    if (slot >= COMMY_LIMIT_PARTICIPANTS)
        return false;
    const cmy_word64_t *word = &region->life[slot].phase;
    uint64_t phase = cmy_load64_acquire(word);
    if (cmy_life_phase(phase) < CMY_SLOT_ARMED || cmy_life_phase(phase) > CMY_SLOT_DEAD)
        return false;
    const cmy_participant_shm_t *participant = &region->participants[slot];
    *out = (commy_participant_t){
        .pid = cmy_load32_relaxed(&participant->pid),
        .uid = cmy_load32_relaxed(&participant->uid),
        .slot = slot,
        .alive = alive_now(region, slot, phase),
        .listen_port = (uint16_t)cmy_load32_relaxed(&participant->listen_port),
        .joined_at_ns = cmy_load64_relaxed(&participant->joined_at_ns),
    };
    cmy_text_load(participant->node_id, COMMY_LIMIT_MESH_BYTES, out->node_id);
    cmy_fence_acquire(); /* as in sign_of() */
    return cmy_load64_relaxed(word) == phase;
}

uint32_t cmy_life_count(const cmy_region_t *region)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++)
        count += alive_now(region, slot, cmy_load64_acquire(&region->life[slot].phase));
    return count;
}
