/* What the files of this room share. */
#ifndef CMY_GROUP_INTERNAL_H
#define CMY_GROUP_INTERNAL_H

#include "group/group.h"

static inline bool cmy_group_in_use(uint64_t state)
{
    return cmy_state_phase(state) == CMY_LIVE || cmy_state_phase(state) == CMY_CLOSING;
}

/* Whether a line's state is the one that a next word speaks of: of its version, and FREE, or LIVE for that container. */
static inline bool cmy_line_is_version(uint64_t line_state, uint64_t next)
{
    return (cmy_state_version(line_state) & CMY_NEXT_VERSION_MASK) == cmy_next_line_version(next);
}
static inline bool cmy_line_is_free(uint64_t line_state, uint64_t next)
{
    return cmy_state_phase(line_state) == CMY_FREE && cmy_line_is_version(line_state, next);
}
static inline bool cmy_line_is_live(uint64_t line_state, uint64_t next, uint32_t container)
{
    return cmy_state_phase(line_state) == CMY_LIVE && cmy_state_owner(line_state) == container &&
           cmy_line_is_version(line_state, next);
}

/* The group of a name, made by the actor or by whoever was first. Errors: FULL, with a sentence; BUSY. */
commy_status_t cmy_group_make(cmy_actor_t *actor, const cmy_key_t *name, uint32_t *group, uint64_t *state);

#endif /* CMY_GROUP_INTERNAL_H */
