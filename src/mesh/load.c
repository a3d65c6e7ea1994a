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

/* An instance's statistics block, which is remembered when it is met; null: it has none yet, having had no request. */
static inline const cmy_stat_shm_t *block_of(const cmy_region_t *region, const cmy_picker_t *picker, uint32_t instance)
{
    uint64_t link, state;
    uint32_t number = atomic_load_explicit(&picker->block[instance], memory_order_relaxed);
    if (__builtin_expect(number != 0, 1))
        return cmy_stat_at(region, number - 1);
    const cmy_pick_t *pick = &picker->pick[instance];
    const cmy_stat_shm_t *stat = cmy_stat_follow(region, pick->record, pick->state, &link, &state);
    if (stat)
        atomic_store_explicit(&picker->block[instance], cmy_link_block(link) + 1, memory_order_relaxed);
    return stat;
}

void cmy_load_meet(const cmy_region_t *region, const cmy_picker_t *picker)
{
    for (uint32_t i = 0; i < picker->count; i++)
        block_of(region, picker, i);
}

static cmy_load_t look(const cmy_region_t *region, const cmy_picker_t *picker, uint32_t instance)
{
    cmy_load_t load = {.weight = picker->pick[instance].weight};
    const cmy_stat_shm_t *stat = block_of(region, picker, instance);
    if (stat) {
        load.recent_ns = cmy_load64_relaxed(&stat->recent_ns);
        load.in_flight = cmy_flight_count_block(region, stat, cmy_load64_acquire(&stat->block.state));
    }
    return load;
}

/* ----------------------------------------------------------------- drawing */

typedef struct pair {
    uint32_t first, second;
    uint32_t random; /* nobody's use of it hangs on that of the two */
} pair_t;

/* Two of a picker's instances, distinct if there are two. */
static pair_t draw_two(const cmy_picker_t *picker, uint64_t stands)
{
    const cmy_alias_t *columns = picker->memory;
    uint32_t n = picker->count;
    uint64_t one = cmy_mix(stands), other = cmy_mix(one + CMY_MIX_STEP);
    pair_t pair = {.first = cmy_alias_draw(columns, n, one),
                   .second = cmy_alias_draw(columns, n, other),
                   .random = (uint32_t)other};
    if (pair.second == pair.first && n > 1) {
        pair.second = (uint32_t)((cmy_mix(other + CMY_MIX_STEP) >> 32) * (n - 1) >> 32);
        pair.second += pair.second >= pair.first;
    }
    return pair;
}

/* Asks for an instance's load and record. */
static void ask_for(const cmy_region_t *region, const cmy_picker_t *picker, uint32_t instance)
{
    uint32_t number = atomic_load_explicit(&picker->block[instance], memory_order_relaxed);
    if (number != 0) {
        const cmy_stat_shm_t *stat = cmy_stat_at(region, number - 1);
        __builtin_prefetch(stat);
        __builtin_prefetch(stat->cell); /* and the mean behind them */
    }
    cmy_load_ask_for(region, &picker->pick[instance]);
}

/* A pair that is kept: its numbers, of which there are 2^20, five bits of the random ones, and of where it was drawn. */
#define KEPT_BITS 20
#define KEPT_RANDOM_BITS 5
#define KEPT_WHERE_SHIFT (2 * KEPT_BITS + KEPT_RANDOM_BITS)
#define KEPT_MASK ((1u << KEPT_BITS) - 1)
_Static_assert(COMMY_LIMIT_SERVICES_MAX <= 1u << KEPT_BITS && CMY_LOAD_EXPLORE <= 1u << KEPT_RANDOM_BITS,
               "a pair fits");

static uint64_t keep(pair_t pair, uint64_t stands)
{
    uint64_t random = pair.random & ((1u << KEPT_RANDOM_BITS) - 1);
    return stands >> KEPT_WHERE_SHIFT << KEPT_WHERE_SHIFT | random << 2 * KEPT_BITS |
           (uint64_t)pair.second << KEPT_BITS | pair.first;
}

/*
 * Draws two, and those of the selection after the next, which are asked for and kept: in one of two places by turns, since the
 * step is odd. What another thread kept there is of another selection, and told by it; if not, once in 2^19, then two
 * selections compare the same pair.
 */
static pair_t draw_ahead(const cmy_region_t *region, cmy_picker_t *picker, uint64_t stands)
{
    _Atomic uint64_t *place = &picker->kept[stands & 1];
    uint64_t kept = atomic_load_explicit(place, memory_order_relaxed), later = stands + 2 * CMY_MIX_STEP;
    pair_t next = draw_two(picker, later);
    ask_for(region, picker, next.first);
    ask_for(region, picker, next.second);
    atomic_store_explicit(place, keep(next, later), memory_order_relaxed);
    if (__builtin_expect((kept ^ stands) >> KEPT_WHERE_SHIFT != 0, 0))
        return draw_two(picker, stands);
    return (pair_t){.first = (uint32_t)kept & KEPT_MASK,
                    .second = (uint32_t)(kept >> KEPT_BITS) & KEPT_MASK,
                    .random = (uint32_t)(kept >> 2 * KEPT_BITS)};
}

uint32_t cmy_load_choose(const cmy_region_t *region, cmy_picker_t *picker, uint64_t stands)
{
    if (picker->count == 1)
        return 0;
    pair_t pair = picker->count < CMY_LOAD_MANY ? draw_two(picker, stands) : draw_ahead(region, picker, stands);
    cmy_load_t one = look(region, picker, pair.first), other = look(region, picker, pair.second);
    bool better = picker->policy == COMMY_POLICY_PERFORMANCE ? cmy_load_faster(&one, &other, pair.random)
                                                             : cmy_load_fewer(&one, &other);
    return better ? pair.second : pair.first;
}
