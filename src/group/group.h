/*
 * Groups: a name and the services that carry it.
 *
 * A group is a record in the index of names; its members stand in its own cells and in those of a chain of lines. Groups
 * and lines are both called containers here. A group outlives its last member until its room is wanted.
 *
 * a. Joining and leaving are one CAS on a cell; discovering is one pass over the cells.
 * b. A pass gives every member that is live throughout exactly once, and nothing that was not live at some instant of it:
 *    a service counts only while it is LIVE, says itself that this is its cell, and the container still belongs to the
 *    group when both have been seen.
 * c. A group is collected only while it is empty: the collector puts it into CLOSING, looks at all cells, and retires it
 *    from that very state. A joiner puts its cell first and then looks at the group: either the collector sees the
 *    cell or the joiner sees CLOSING and takes it back to LIVE. (Dekker: both sides are seq_cst, and so are the CASes that
 *    link a line and make it LIVE, which come before a cell in it.)
 * d. A line is linked first (CAS on NIL) and made LIVE, for the container that links to it, by whoever comes. So a line
 *    that a dead process was about to use is either FREE or in a chain, never lost.
 *
 * What a crash leaves: a cell that names a CLAIMED service (its executor clears it), a group CLAIMED or DYING (reaped), a
 * link to a FREE line (the next comer makes it LIVE), a group in CLOSING (the next joiner or collector takes it on).
 */
#ifndef CMY_GROUP_GROUP_H
#define CMY_GROUP_GROUP_H

#include "index/index.h"

/* Containers by number: twice the record's, plus one for a line. */
static inline uint32_t cmy_container_of_group(uint32_t group)
{
    return group << 1;
}
static inline uint32_t cmy_container_of_line(uint32_t line)
{
    return line << 1 | 1;
}

/* Where a service's member cell is: group (21 bits), container (23), cell (5). */
static inline uint64_t cmy_position(uint32_t group, uint32_t container, uint32_t cell)
{
    return (uint64_t)group << 28 | (uint64_t)container << 5 | cell;
}
static inline uint32_t cmy_position_group(uint64_t position)
{
    return (uint32_t)(position >> 28) & 0x1fffffu;
}
static inline uint32_t cmy_position_container(uint64_t position)
{
    return (uint32_t)(position >> 5) & 0x7fffffu;
}
static inline uint32_t cmy_position_cell(uint64_t position)
{
    return (uint32_t)position & 31;
}
static inline bool cmy_position_is(uint64_t position, uint32_t container, uint32_t cell)
{
    return (position & 0xfffffffu) == cmy_position(0, container, cell);
}

/* Next words: kind, line, and the lower 20 bits of the line's version and of the container's own. */
#define CMY_NEXT_VERSION_MASK 0xfffffu
#define CMY_NEXT_NO_LINE 0x3fffffu /* in a hint: the group itself */
static inline uint64_t cmy_next(cmy_next_kind_t kind, uint32_t line, uint32_t line_version, uint32_t own_version)
{
    return (uint64_t)kind | (uint64_t)(line & CMY_NEXT_NO_LINE) << 2 |
           (uint64_t)(line_version & CMY_NEXT_VERSION_MASK) << 24 |
           (uint64_t)(own_version & CMY_NEXT_VERSION_MASK) << 44;
}
static inline cmy_next_kind_t cmy_next_kind(uint64_t next)
{
    return (cmy_next_kind_t)(next & 3);
}
static inline uint32_t cmy_next_line(uint64_t next)
{
    return (uint32_t)(next >> 2) & CMY_NEXT_NO_LINE;
}
static inline uint32_t cmy_next_line_version(uint64_t next)
{
    return (uint32_t)(next >> 24) & CMY_NEXT_VERSION_MASK;
}
static inline bool cmy_next_owned(uint64_t next, uint64_t container_state)
{
    return (uint32_t)(next >> 44) == (cmy_state_version(container_state) & CMY_NEXT_VERSION_MASK);
}

/* A container, and the state under which it belongs to its group. */
typedef struct cmy_container {
    uint32_t number, cells;
    uint64_t state;
    cmy_word64_t *state_word, *next;
    cmy_word32_t *cell;
} cmy_container_t;

/* Points at a container by number; false where that is out of bounds. state is what the caller knows. */
static inline bool cmy_container_open(const cmy_region_t *region, uint32_t number, uint64_t state,
                                      cmy_container_t *container)
{
    uint32_t record = number >> 1;
    if (number & 1) {
        if (!cmy_region_holds(region, CMY_LINES, record))
            return false;
        cmy_line_shm_t *line = cmy_line_at(region, record);
        *container = (cmy_container_t){number, CMY_LINE_MEMBERS, state, &line->state, &line->next, line->cell};
    } else {
        if (!cmy_region_holds(region, CMY_GROUPS, record))
            return false;
        cmy_group_shm_t *group = cmy_group_at(region, record);
        *container = (cmy_container_t){number, CMY_GROUP_CELLS, state, &group->state, &group->next, group->cell};
    }
    return true;
}

/* Whether a container still is what it was: a line in the very same state, a group LIVE or CLOSING in the same life. */
static inline bool cmy_container_same(const cmy_container_t *container)
{
    uint64_t now = cmy_load64_acquire(container->state_word);
    if (now == container->state)
        return true;
    return !(container->number & 1) && cmy_state_version(now) == cmy_state_version(container->state) &&
           (cmy_state_phase(now) == CMY_LIVE || cmy_state_phase(now) == CMY_CLOSING);
}

/* Moves on to the line that a container links to, if it is LIVE for it. */
bool cmy_container_follow(const cmy_region_t *region, cmy_container_t *container);

/* The group of a name: LIVE or CLOSING. */
bool cmy_group_find(const cmy_region_t *region, const cmy_key_t *name, uint32_t *group, uint64_t *state);

/*
 * Puts a service that is CLAIMED by the actor into a cell of its name's group, made first where it is missing; the
 * service's position is written before. Nobody counts it before it is LIVE.
 * Errors: FULL, with a sentence; those of cmy_slab_claim(); BUSY.
 */
commy_status_t cmy_group_join(cmy_actor_t *actor, const cmy_key_t *name, uint32_t service);

/*
 * Takes a service that is DYING(me) out of the cell that its position names, if it is there. member: it is known to
 * have been LIVE, so that the cell is its group's for certain and may be hinted at to the next joiner.
 */
void cmy_group_leave(cmy_actor_t *actor, uint32_t service, uint64_t position, bool member);

/* Retires and finishes a group if it has no members. Returns whether it did. */
bool cmy_group_collect(cmy_actor_t *actor, uint32_t group);

/* Collects every group without members; returns how many there were. */
uint32_t cmy_group_collect_all(cmy_actor_t *actor);

/* Finishes a group that is DYING(me): out of the index, lines given back, FREE. */
void cmy_group_finish(cmy_actor_t *actor, uint32_t group, uint64_t state);

#endif /* CMY_GROUP_GROUP_H */
