/* Counting requests; see counter.h. */
#include "stat/counter.h"

#include "base/error.h"
#include "stat/breaker.h"

/* Remembers what a newly claimed block's stripes hold: late reports to its former service may still come in. */
static void take_base(cmy_tally_shm_t *tally)
{
    for (uint32_t i = 0; i < CMY_STAT_STRIPES; i++) {
        cmy_stat_stripe_shm_t *stripe = &tally->stripe[i];
        cmy_store64_relaxed(&stripe->base_successes, cmy_load64_relaxed(&stripe->successes));
        cmy_store64_relaxed(&stripe->base_failures, cmy_load64_relaxed(&stripe->failures));
        cmy_store64_relaxed(&stripe->base_latency_ns, cmy_load64_relaxed(&stripe->latency_ns));
    }
}

/* Gives a service its block, or finds that somebody else has. */
static commy_status_t attach_block(cmy_actor_t *actor, uint32_t service, uint64_t service_state)
{
    cmy_region_t *region = actor->region;
    uint32_t block;
    uint64_t claimed;
    commy_status_t status = cmy_block_claim(actor, CMY_STATS, service, &block, &claimed);
    if (status == COMMY_STATUS_FULL)
        return cmy_fail(status, "region %s/%s is full: %u of %u statistics blocks; create one with a larger --capacity",
                        region->dir, region->mesh, region->layout.slab[CMY_STATS].limit,
                        region->layout.slab[CMY_STATS].limit);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    take_base(cmy_tally_at(region, block));
    cmy_latency_clear(region, block);
    cmy_breaker_clear(cmy_tally_at(region, block));
    uint64_t link = cmy_link_to(service_state, block, claimed, false);
    if (cmy_swap64_acq_rel(cmy_block_link(region, CMY_STATS, service), cmy_link_none(service_state), link))
        cmy_block_linked(actor, CMY_STATS, block, claimed);
    else
        cmy_block_unlinked(actor, CMY_STATS, link);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_stat_attach(cmy_actor_t *actor, uint32_t service, uint64_t service_state, uint64_t link)
{
    if (!cmy_link_of(link, service_state) || cmy_link_names_block(link))
        return COMMY_STATUS_NOT_FOUND; /* unlinked under our eyes: the service is being finished */
    if (cmy_load64_acquire(&cmy_service_at(actor->region, service)->state) != service_state)
        return COMMY_STATUS_NOT_FOUND;
    return attach_block(actor, service, service_state);
}

void cmy_counter_add(const cmy_region_t *region, uint64_t link, uint64_t latency_ns, bool success)
{
    cmy_latency_take_recent(cmy_stat_at(region, cmy_link_block(link)), cmy_counter_limited(latency_ns), success);
    cmy_counter_add_here(region, cmy_tally_of(region, link), latency_ns, success);
}

void cmy_counter_add_stray(cmy_region_t *region, uint64_t latency_ns, bool success)
{
    cmy_header_shm_t *header = region->header;
    cmy_add64_relaxed(success ? &header->stray_successes : &header->stray_failures, 1);
    cmy_add64_relaxed(&header->stray_latency_ns, cmy_counter_limited(latency_ns));
}

commy_status_t cmy_counter_report(cmy_actor_t *actor, uint32_t service, uint64_t service_state, uint64_t latency_ns,
                                  bool success)
{
    for (int turn = 0; turn < 2; turn++) {
        uint64_t link;
        if (cmy_tally_follow(actor->region, service, service_state, &link)) {
            cmy_counter_add(actor->region, link, latency_ns, success);
            return COMMY_STATUS_SUCCESS;
        }
        commy_status_t status = cmy_stat_attach(actor, service, service_state, link);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
    }
    return COMMY_STATUS_NOT_FOUND; /* attached, and gone again before it could be used */
}

void cmy_counter_read_service(const cmy_region_t *region, uint32_t service, uint64_t service_state,
                              cmy_counts_t *counts)
{
    *counts = (cmy_counts_t){0};
    uint64_t link;
    const cmy_tally_shm_t *tally = cmy_tally_follow(region, service, service_state, &link);
    for (uint32_t i = 0; tally && i < CMY_STAT_STRIPES; i++) {
        const cmy_stat_stripe_shm_t *stripe = &tally->stripe[i];
        counts->successes += cmy_load64_relaxed(&stripe->successes) - cmy_load64_relaxed(&stripe->base_successes);
        counts->failures += cmy_load64_relaxed(&stripe->failures) - cmy_load64_relaxed(&stripe->base_failures);
        counts->latency_ns += cmy_load64_relaxed(&stripe->latency_ns) - cmy_load64_relaxed(&stripe->base_latency_ns);
    }
}

void cmy_counter_read_mesh(const cmy_region_t *region, cmy_counts_t *counts)
{
    *counts = (cmy_counts_t){
        .successes = cmy_load64_relaxed(&region->header->stray_successes),
        .failures = cmy_load64_relaxed(&region->header->stray_failures),
        .latency_ns = cmy_load64_relaxed(&region->header->stray_latency_ns),
    };
    uint32_t blocks = cmy_region_reserved_again(region, CMY_STATS);
    for (uint32_t block = 0; block < blocks; block++) {
        const cmy_tally_shm_t *tally = cmy_tally_at(region, block);
        for (uint32_t i = 0; i < CMY_STAT_STRIPES; i++) {
            counts->successes += cmy_load64_relaxed(&tally->stripe[i].successes);
            counts->failures += cmy_load64_relaxed(&tally->stripe[i].failures);
            counts->latency_ns += cmy_load64_relaxed(&tally->stripe[i].latency_ns);
        }
    }
}
