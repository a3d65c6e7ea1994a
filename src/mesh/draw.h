/*
 * Drawing: the number of a picker's instance, by its policy.
 *
 * Turns are counted up, and random numbers are a function of how many were drawn: what later selections will come to is
 * known. So where there are so many instances that they do not stay in the cache, their records are asked for a few
 * selections ahead, step by step as one leads to the next. Only a client's place cannot be known before it asks.
 */
#ifndef CMY_MESH_DRAW_H
#define CMY_MESH_DRAW_H

#include "mesh/load.h"

/* How far ahead the records of a rotation are asked for, and from how many instances on. */
#define CMY_DRAW_AHEAD 4u
#define CMY_DRAW_MANY 256u

/* x % turns: the quotient is one too small at most, as the inverse is rounded down. */
static inline uint32_t cmy_draw_remainder(uint64_t x, const cmy_picker_t *picker)
{
    uint64_t quotient = (uint64_t)((unsigned __int128)x * picker->inverse >> 64), rest = x - quotient * picker->turns;
    while (rest >= picker->turns)
        rest -= picker->turns;
    return (uint32_t)rest;
}

/* The instance whose turn it is. */
static inline uint32_t cmy_draw_in_order(const cmy_picker_t *picker, uint32_t turn)
{
    return picker->memory ? ((const uint32_t *)picker->memory)[turn] : turn;
}

static inline const cmy_pick_t *cmy_draw_ahead(const cmy_picker_t *picker, uint32_t turn, uint32_t by)
{
    uint32_t ahead = turn + by;
    if (ahead >= picker->turns)
        ahead -= picker->turns;
    return &picker->pick[cmy_draw_in_order(picker, ahead)];
}

static inline uint32_t cmy_draw_turn(const cmy_region_t *region, cmy_picker_t *picker)
{
    uint64_t count = picker->rotation ? cmy_add64_relaxed(picker->rotation, 1)
                                      : atomic_fetch_add_explicit(&picker->own_rotation, 1, memory_order_relaxed);
    uint32_t turn = cmy_draw_remainder(count, picker);
    if (picker->count >= CMY_DRAW_MANY) {
        __builtin_prefetch(cmy_draw_ahead(picker, turn, 2 * CMY_DRAW_AHEAD));
        cmy_load_ask_for(region, cmy_draw_ahead(picker, turn, CMY_DRAW_AHEAD));
    }
    return cmy_draw_in_order(picker, turn);
}

static inline uint32_t cmy_draw_random(const cmy_region_t *region, cmy_picker_t *picker, uint64_t stands)
{
    if (picker->count >= CMY_DRAW_MANY) {
        const cmy_alias_t *columns = picker->memory;
        const uint64_t farther = cmy_mix(stands + 3 * CMY_DRAW_AHEAD * CMY_MIX_STEP),
                       far = cmy_mix(stands + 2 * CMY_DRAW_AHEAD * CMY_MIX_STEP),
                       near = cmy_mix(stands + CMY_DRAW_AHEAD * CMY_MIX_STEP);
        __builtin_prefetch(&columns[cmy_alias_column(picker->count, farther)]);
        __builtin_prefetch(&picker->pick[cmy_alias_draw(picker->memory, picker->count, far)]);
        cmy_load_ask_for(region, &picker->pick[cmy_alias_draw(picker->memory, picker->count, near)]);
    }
    return cmy_alias_draw(picker->memory, picker->count, cmy_mix(stands));
}

/* client: hash of who asks, for consistent hash. */
static inline uint32_t cmy_draw(const cmy_region_t *region, cmy_picker_t *picker, uint64_t client)
{
    if (picker->policy == COMMY_POLICY_ROUND_ROBIN || picker->policy == COMMY_POLICY_WEIGHTED_ROUND_ROBIN)
        return cmy_draw_turn(region, picker);
    if (picker->policy == COMMY_POLICY_CONSISTENT_HASH)
        return cmy_places_find(picker->memory, picker->count, client);
    uint64_t stands = atomic_fetch_add_explicit(&picker->own_rotation, CMY_MIX_STEP, memory_order_relaxed);
    return picker->policy == COMMY_POLICY_RANDOM ? cmy_draw_random(region, picker, stands)
                                                 : cmy_load_choose(region, picker, stands);
}

#endif /* CMY_MESH_DRAW_H */
