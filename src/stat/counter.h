/*
 * Counters: of each service, and of the mesh.
 *
 * Striped by CPU, relaxed adds, summed by readers; never zeroed and never folded, so they cannot go back and no death can
 * lose what was counted. A service's block remembers what its stripes held when it was claimed. Requests are the sum of
 * successes and failures, not a third word that could disagree. Nor are the mesh's totals words of their own: what all
 * blocks hold, whosever they are, is all that was ever counted, but for requests that were begun and ended when their
 * service had gone: those are counted in the header. A report is three additions, the third of which is the latency's
 * (latency.h), and who wants totals adds up.
 *
 * Killed inside a report: it is counted or not; the latency sample may be missing. Nothing needs repair.
 */
#ifndef CMY_STAT_COUNTER_H
#define CMY_STAT_COUNTER_H

#include "stat/cpu.h"
#include "stat/latency.h"

typedef struct cmy_counts {
    uint64_t successes, failures, latency_ns;
} cmy_counts_t;

/* Gives a service that has none its block, or finds that somebody else has: look again. link: what was read. Errors:
 * NOT_FOUND without a sentence (the record's life ended), FULL with a sentence, those of cmy_slab_claim(). */
commy_status_t cmy_stat_attach(cmy_actor_t *actor, uint32_t service, uint64_t service_state, uint64_t link)
    __attribute__((cold));

/*
 * Counts a request for a service record in a given LIVE state. A latency over an hour counts as an hour. The first one
 * claims and links the service's block. Errors: those of cmy_stat_attach().
 */
commy_status_t cmy_counter_report(cmy_actor_t *actor, uint32_t service, uint64_t service_state, uint64_t latency_ns,
                                  bool success);

static inline uint64_t cmy_counter_limited(uint64_t latency_ns)
{
    return latency_ns < CMY_LATENCY_LIMIT_NS ? latency_ns : CMY_LATENCY_LIMIT_NS;
}

/* Counts a request in a block. Claims nothing, and so is nobody's act. */
static inline void cmy_counter_add_here(const cmy_region_t *region, cmy_tally_shm_t *tally, uint64_t latency_ns,
                                        bool success)
{
    uint32_t cpu = cmy_cpu();
    cmy_stat_stripe_shm_t *stripe = &tally->stripe[cpu % CMY_STAT_STRIPES];
    latency_ns = cmy_counter_limited(latency_ns);
    uint64_t number = cmy_add64_relaxed(success ? &stripe->successes : &stripe->failures, 1);
    cmy_add64_relaxed(&stripe->latency_ns, latency_ns);
    cmy_latency_add(region, tally, cpu, number, latency_ns, success);
}

/* Counts a request in the block that a link names, and its latency among the latest; and one in the mesh's totals alone. */
void cmy_counter_add(const cmy_region_t *region, uint64_t link, uint64_t latency_ns, bool success);
void cmy_counter_add_stray(cmy_region_t *region, uint64_t latency_ns, bool success);

/* Reads a service's counters; zero where it has no block yet. */
void cmy_counter_read_service(const cmy_region_t *region, uint32_t service, uint64_t service_state,
                              cmy_counts_t *counts);

/* Reads the mesh's: one pass over the blocks that memory is reserved for. */
void cmy_counter_read_mesh(const cmy_region_t *region, cmy_counts_t *counts);

static inline double cmy_counts_average_ms(const cmy_counts_t *counts)
{
    uint64_t requests = counts->successes + counts->failures;
    return requests == 0 ? 0.0 : (double)counts->latency_ns / (double)requests / 1e6;
}

#endif /* CMY_STAT_COUNTER_H */
