/* The better of two instances; see load.h. */
#include "mesh/load.h"

bool cmy_load_fewer(const cmy_load_t *first, const cmy_load_t *second)
{
    return (uint64_t)second->in_flight * first->weight < (uint64_t)first->in_flight * second->weight;
}

static bool is_faster(const cmy_load_t *first, uint64_t first_ns, const cmy_load_t *second, uint64_t second_ns)
{
    unsigned __int128 one = (unsigned __int128)first_ns * ((uint64_t)first->in_flight + 1) * second->weight;
    unsigned __int128 other = (unsigned __int128)second_ns * ((uint64_t)second->in_flight + 1) * first->weight;
    return other < one;
}

bool cmy_load_faster(const cmy_load_t *first, const cmy_load_t *second, uint32_t random)
{
    uint64_t first_ns = first->recent_ns, second_ns = second->recent_ns;
    if (random % CMY_LOAD_EXPLORE == 0)
        return false;
    if (first_ns == 0 && second_ns == 0)
        return cmy_load_fewer(first, second);
    if (first_ns == 0) {
        if (first->in_flight < CMY_LOAD_UNTRIED)
            return false;
        first_ns = second_ns;
    } else if (second_ns == 0) {
        if (second->in_flight < CMY_LOAD_UNTRIED)
            return true;
        second_ns = first_ns;
    }
    return is_faster(first, first_ns, second, second_ns);
}

/* A service without a block has had no request. */
static cmy_load_t look(const cmy_region_t *region, const cmy_pick_t *pick)
{
    uint64_t link, state;
    cmy_load_t load = {.weight = pick->weight};
    const cmy_stat_shm_t *stat = cmy_stat_follow(region, pick->record, pick->state, &link, &state);
    if (stat) {
        load.recent_ns = cmy_load64_relaxed(&stat->recent_ns);
        load.in_flight = cmy_flight_count_block(region, stat, state);
    }
    return load;
}

/* Another one than the first; there is one. */
static uint32_t draw_second(const cmy_picker_t *picker, uint32_t first, uint64_t random)
{
    uint32_t second = cmy_alias_draw(picker->memory, picker->count, random);
    if (second != first)
        return second;
    second = (uint32_t)((cmy_mix(random + CMY_MIX_STEP) >> 32) * (picker->count - 1) >> 32);
    return second + (second >= first);
}

uint32_t cmy_load_choose(const cmy_region_t *region, const cmy_picker_t *picker, uint64_t random)
{
    uint32_t first = cmy_alias_draw(picker->memory, picker->count, random);
    if (picker->count == 1)
        return first;
    uint64_t next = cmy_mix(random + CMY_MIX_STEP);
    uint32_t second = draw_second(picker, first, next);
    cmy_load_t one = look(region, &picker->pick[first]), other = look(region, &picker->pick[second]);
    bool better = picker->policy == COMMY_POLICY_PERFORMANCE ? cmy_load_faster(&one, &other, (uint32_t)next)
                                                             : cmy_load_fewer(&one, &other);
    return better ? second : first;
}
