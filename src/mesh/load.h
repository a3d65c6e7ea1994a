/*
 * The better of two (Mitzenmacher, "The power of two choices in randomized load balancing", 2001): two instances are
 * drawn by weight, and the one that is loaded less by what all processes have in flight is taken.
 *
 * Drawing. The first is drawn from the alias table, so that its shares are the weights'. The second is drawn likewise;
 * if that is the same one, evenly from the others. So two are always distinct, where there are two; of equal weights
 * each pair is as likely as another.
 *
 * Least connections. Compared is what is in flight by weight, f / w: an instance of twice the weight is to have twice as
 * many. A tie is the first's, so that with nothing in flight shares are the weights' exactly.
 *
 * Performance. Compared is r (f + 1) / w, r being the mean of the latest latencies (cmy_stat_shm_t.recent_ns): what a
 * request that is sent there now may have to wait for. (Finagle's "peak EWMA" compares the like, over one client.)
 * - One without a sample is taken before one that has some, while fewer than CMY_LOAD_UNTRIED requests are in flight
 *   there from the whole host; from then on it is given the other's latency. It is drawn no more often than its share
 *   of the pairs besides: of n equal ones, for 2 of n selections. So nobody is swamped before the first answer.
 * - A failure makes the mean twice as long (latency.h), so that who fails fast attracts nobody.
 * - One selection in CMY_LOAD_EXPLORE takes the first drawn whatever its load. So the worst of all has a CMY_LOAD_EXPLOREth
 *   of its share at least, whose answers tell when it has recovered: a mean that nobody adds to stays what it is.
 *
 * Blocks. A service keeps the block of statistics that it was given (stat/block.h), so that a picker remembers which it is,
 * and neither record is read before the loads are compared. Where an instance has gone since, it is another service's load
 * that is compared, and the instance is not taken.
 *
 * What is read may be old, or of another life of the record or block: the numbers decide who is taken first, not who may be
 * taken, which select.c looks at afterwards. Constant cost at any number of instances: two blocks of statistics are
 * read, and in each one cell for each participant slot that was used there (flight.h).
 */
#ifndef CMY_MESH_LOAD_H
#define CMY_MESH_LOAD_H

#include "mesh/picker.h"

#define CMY_LOAD_UNTRIED 4u
#define CMY_LOAD_EXPLORE 32u
#define CMY_LOAD_MANY 128u /* instances from which on those of a later selection are asked for (draw.h) */

/* What is known of an instance's load. */
typedef struct cmy_load {
    uint64_t recent_ns; /* 0: no sample */
    uint32_t in_flight, weight;
} cmy_load_t;

/* Whether the second is taken, and not the first, by least connections and by performance. Weights are above 0; random: any
 * number, which performance explores by. */
bool cmy_load_fewer(const cmy_load_t *first, const cmy_load_t *second);
bool cmy_load_faster(const cmy_load_t *first, const cmy_load_t *second, uint32_t random);

/* Remembers the blocks of a picker's instances, of those that have one by now. Before it is published. */
void cmy_load_meet(const cmy_region_t *region, const cmy_picker_t *picker);

/* The number of a picker's instance, of a policy that takes the better of two. stands: where the picker's random numbers
 * stand; the next selection gets it with CMY_MIX_STEP added. */
uint32_t cmy_load_choose(const cmy_region_t *region, cmy_picker_t *picker, uint64_t stands);

/* Asks for an instance's record. */
static inline void cmy_load_ask_for(const cmy_region_t *region, const cmy_pick_t *pick)
{
    const cmy_service_shm_t *service = cmy_service_at(region, pick->record);
    __builtin_prefetch(service);
    __builtin_prefetch((const char *)service + CMY_CACHE_LINE);
}

#endif /* CMY_MESH_LOAD_H */
