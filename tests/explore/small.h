/*
 * Included in front of everything else, in every file of the explorer and of the library that is built into it.
 *
 * Makes the structures small where the library walks through them, so that a run takes hundreds of accesses instead of
 * thousands and lines of members, full windows and collisions come about with two or three services. The layout of the
 * region stays what it is: arrays keep their size, and the code uses the first cells of each.
 *
 * Takes the place of base/rcu.h: a simulated process has one thread, which never waits for a reader of its own.
 */
#ifndef EX_SMALL_H
#define EX_SMALL_H

#include <stdbool.h>

#define CMY_BASE_RCU_H
static inline void cmy_rcu_read_lock(void)
{
}
static inline void cmy_rcu_read_unlock(void)
{
}
static inline void cmy_rcu_synchronize(void)
{
}
#define cmy_rcu_load(place) (*(place))
#define cmy_rcu_exchange(place, pointer) __atomic_exchange_n((place), (pointer), __ATOMIC_RELAXED)
#define cmy_rcu_swap(place, seen, to)                                                                                  \
    __atomic_compare_exchange_n((place), (seen), (to), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

/* Waiting longer after each failure changes nothing here but the time it takes. */
#include <ck_backoff.h>
#define ck_backoff_eb(backoff) ((void)(backoff))

#include "region/shm.h"

/* As the case at hand wants them; see cases.c. */
typedef struct ex_sizes {
    uint32_t line_cells, group_cells, line_members, stat_cells;
} ex_sizes_t;
extern ex_sizes_t ex_sizes;

#undef CMY_LINE_CELLS
#define CMY_LINE_CELLS (ex_sizes.line_cells)
#undef CMY_WINDOW_CELLS
#define CMY_WINDOW_CELLS (2 * ex_sizes.line_cells)
#undef CMY_GROUP_CELLS
#define CMY_GROUP_CELLS (ex_sizes.group_cells)
#undef CMY_LINE_MEMBERS
#define CMY_LINE_MEMBERS (ex_sizes.line_members)
#undef CMY_EVENT_RINGS
#define CMY_EVENT_RINGS 1u
#undef CMY_EVENT_ENTRIES
#define CMY_EVENT_ENTRIES 1u
#undef CMY_STAT_STRIPES
#define CMY_STAT_STRIPES 2u
#undef CMY_STAT_CELLS
#define CMY_STAT_CELLS (ex_sizes.stat_cells)
#undef CMY_STAT_FURTHER
#define CMY_STAT_FURTHER 1u
#undef CMY_FURTHER_CELLS
#define CMY_FURTHER_CELLS 6u
#undef CMY_LATENCY_BUCKETS
#define CMY_LATENCY_BUCKETS 1u
#undef CMY_LATENCY_STRIPES
#define CMY_LATENCY_STRIPES 1u
#undef COMMY_LIMIT_PARTICIPANTS
#define COMMY_LIMIT_PARTICIPANTS 7u

#endif /* EX_SMALL_H */
