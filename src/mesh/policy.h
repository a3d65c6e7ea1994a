/*
 * What the policies make of a name's instances: tables from which one is selected in constant time, each built once and
 * never changed. Pure functions of what they are given, so that processes that see the same instances in the same order
 * make the same tables.
 */
#ifndef CMY_MESH_POLICY_H
#define CMY_MESH_POLICY_H

#include <stdbool.h>

#include <commy/types.h>

/* splitmix64's finaliser (Steele, Lea, Flood 2014): every bit of the result hangs on every bit of x. */
static inline uint64_t cmy_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}
#define CMY_MIX_STEP 0x9e3779b97f4a7c15ull

/* Whether a policy selects by weight, so that instances of weight 0 are left out. */
static inline bool cmy_policy_weighs(int32_t policy)
{
    return policy != COMMY_POLICY_ROUND_ROBIN && policy != COMMY_POLICY_CONSISTENT_HASH;
}

/* Whether a policy compares how much two instances are loaded. */
static inline bool cmy_policy_compares(int32_t policy)
{
    return policy == COMMY_POLICY_LEAST_CONNECTIONS || policy == COMMY_POLICY_PERFORMANCE;
}

/* ------------------------------------------------- weighted round robin */

/*
 * A period of turns, each the number of an instance. In any t turns from the start of a period, an instance with the
 * share s has had more than t * s - 1 of them and less than t * s + 1 (Tijdeman, "The chairman assignment problem",
 * 1980).
 *
 * Shares are the weights' own where the weights, divided by what divides all of them, add up to no more than
 * max(8192, 8 n). Otherwise they are rounded to that many turns, L, one at least for each instance: a share is then
 * wrong by less than 1 / L, and, where there are k instances with a share of less than 1 / L, by less than (1 + k *
 * share) / L.
 *
 * weight: n of them, each above 0. turns: receives the length. Returns the period, to be freed; null: no memory.
 */
uint32_t *cmy_turns_make(const uint32_t *weight, uint32_t n, uint32_t *turns);

/* ------------------------------------- random, and the better of two (load.h) */

/*
 * The alias method (Walker 1977, Vose 1991): of n columns, each with a threshold and an alias, one is drawn evenly; it
 * stands for itself below its threshold and for its alias otherwise. Shares are exact to 2^-32.
 */
typedef struct cmy_alias {
    uint32_t threshold, other;
} cmy_alias_t;

/* weight: n of them, above 0. Returns n columns, to be freed; null: no memory. */
cmy_alias_t *cmy_alias_make(const uint32_t *weight, uint32_t n);

static inline uint32_t cmy_alias_column(uint32_t n, uint64_t random)
{
    return (uint32_t)((random >> 32) * n >> 32);
}

static inline uint32_t cmy_alias_draw(const cmy_alias_t *columns, uint32_t n, uint64_t random)
{
    uint32_t column = cmy_alias_column(n, random);
    uint32_t other = columns[column].other ^ column;
    return column ^ (other & -(uint32_t)((uint32_t)random >=
                                         columns[column].threshold)); /* no branch: nobody could foresee it */
}

/* ------------------------------------------------------ consistent hash */

/*
 * Tables of 16,384 places, one for every 1,024 instances or part of them; a client falls on one place of one table.
 *
 * In each table every instance visits one place a round, in an order of its own, until all places are taken; a place
 * goes to whoever comes first. Where an instance goes does not depend on which others there are: when one goes, only
 * its own places change hands, and when it comes back it gets the same ones again. (As in Maglev, Eisenbud et al. 2016,
 * but for the turns that are taken there for evenness: these move clients between bystanders.)
 *
 * The last table of several takes part by the share of 1,024 that it stands for, so that their number grows without a
 * jump: with the n-th instance comes or goes, besides its own, one client in n, and none while n stays below 1,024.
 * (Jump consistent hash, Lamping and Veach 2014, with a number of buckets that is no whole one.) Where there are several,
 * that is settled beforehand for 65,536 sorts of clients: jumps are divisions and branches that nobody foresees.
 *
 * What an instance gets has the standard deviation of an even share's square root, in places, of which that has 16 or
 * more: 1 % of a share with two instances, 8 % with a hundred, 25 % with a thousand and more.
 */
#define CMY_PLACES 16384u
#define CMY_PLACES_INSTANCES 1024u

#define CMY_PLACES_SORTS 65536u

static inline uint32_t cmy_places_tables(uint32_t n)
{
    return (n + CMY_PLACES_INSTANCES - 1) / CMY_PLACES_INSTANCES;
}

/* Of what cmy_places_make() returns: the tables one after another, and behind several the table of each sort. */
static inline size_t cmy_places_bytes(uint32_t n)
{
    uint32_t tables = cmy_places_tables(n);
    return (size_t)tables * CMY_PLACES * sizeof(uint32_t) + (tables > 1 ? CMY_PLACES_SORTS * sizeof(uint16_t) : 0);
}

/* hash: n of them, one an instance; up to 67 million. Returns the tables, to be freed; null: no memory, or n is 0. */
uint32_t *cmy_places_make(const uint64_t *hash, uint32_t n);

/* The number of the client's instance. */
static inline uint32_t cmy_places_find(const uint32_t *places, uint32_t n, uint64_t client_hash)
{
    uint32_t place = (uint32_t)((client_hash & 0xffffffffu) * CMY_PLACES >> 32);
    if (n <= CMY_PLACES_INSTANCES)
        return places[place];
    const uint16_t *table_of = (const uint16_t *)(places + (size_t)cmy_places_tables(n) * CMY_PLACES);
    return places[(size_t)table_of[client_hash >> 48] * CMY_PLACES + place];
}

#endif /* CMY_MESH_POLICY_H */
