/* Consistent hashing: see policy.h. */
#include <stdlib.h>
#include <string.h>

#include "mesh/policy.h"

#define NOBODY UINT32_MAX

/*
 * Visits to one table, before places that nobody came to are given to anybody. The last place is visited after
 * ln(16,384), or 10, visits for each place, give or take one or two; 64 are needed where instances have the same hash,
 * in a region that is damaged.
 */
#define MOST_VISITS (64ull * CMY_PLACES)

static uint32_t scale(uint64_t bits, uint32_t to)
{
    return (uint32_t)((bits & 0xffffffffu) * to >> 32);
}

/* Of two who come to a place in the same round: a lot of their own for each place. */
static bool wins(const uint64_t *hash, uint32_t one, uint32_t other, uint32_t place)
{
    uint64_t a = cmy_mix(hash[one] + place * CMY_MIX_STEP), b = cmy_mix(hash[other] + place * CMY_MIX_STEP);
    return a < b || (a == b && hash[one] < hash[other]);
}

/* when: the round in which a place was taken. */
static void fill(uint32_t *place, uint32_t *when, const uint64_t *hash, uint32_t n, uint32_t table)
{
    uint32_t taken = 0;
    memset(place, 0xff, CMY_PLACES * sizeof *place);
    for (uint64_t round = 0; taken < CMY_PLACES && round * n <= MOST_VISITS; round++) {
        uint64_t salt = cmy_mix((uint64_t)table << 32 | round);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t at = scale(cmy_mix(hash[i] ^ salt), CMY_PLACES);
            if (place[at] == NOBODY) {
                place[at] = i;
                when[at] = (uint32_t)round;
                taken++;
            } else if (when[at] == round && wins(hash, i, place[at], at)) {
                place[at] = i;
            }
        }
    }
    for (uint32_t at = 0; taken < CMY_PLACES && at < CMY_PLACES; at++)
        if (place[at] == NOBODY)
            place[at] = at % n;
}

/* Jumps from table to table, each time as far as the next one that would take the sort over, were there so many. */
static uint32_t choose_table(uint32_t n, uint64_t sort)
{
    double tables = (double)n / CMY_PLACES_INSTANCES, next = 0;
    uint32_t table = 0;
    for (uint64_t turn = 1; next < tables; turn++) {
        table = (uint32_t)next;
        double chance = (double)((cmy_mix(sort + turn * CMY_MIX_STEP) >> 11) + 1) * 0x1p-53;
        next = (table + 1.0) / chance;
    }
    return table;
}

static void choose_tables(uint16_t *table_of, uint32_t n)
{
    for (uint32_t sort = 0; sort < CMY_PLACES_SORTS; sort++)
        table_of[sort] = (uint16_t)choose_table(n, cmy_mix(sort));
}

uint32_t *cmy_places_make(const uint64_t *hash, uint32_t n)
{
    if (n == 0)
        return NULL;
    uint32_t tables = cmy_places_tables(n);
    uint32_t *places = malloc(cmy_places_bytes(n));
    uint32_t *when = malloc(CMY_PLACES * sizeof *when);
    for (uint32_t table = 0; places && when && table < tables; table++)
        fill(places + (size_t)table * CMY_PLACES, when, hash, n, table);
    if (places && tables > 1)
        choose_tables((uint16_t *)(places + (size_t)tables * CMY_PLACES), n);
    if (!when) {
        free(places);
        places = NULL;
    }
    free(when);
    return places;
}
