/*
 * Leases that ended.
 *
 * next_expiry holds the soonest end that anybody noted. When it has passed, a sweep looks at every lease, and puts the
 * soonest one left in its place by CAS on the word it began with: a lease that was noted meanwhile has moved the word's
 * counter, the CAS fails, and the next sweep looks at everything again. Killed anywhere: the old end stands, and the
 * next sweep starts over. (The counter has 16 bits: a sweep that is stopped for exactly 65,536 notes could miss one
 * until the next end that is known of.)
 */
#include "reap/lease.h"

uint32_t cmy_reap_leases(cmy_actor_t *actor)
{
    cmy_region_t *region = actor->region;
    cmy_word64_t *word = &region->header->next_expiry;
    uint64_t began = cmy_load64_acquire(word);
    if (began >> 16 == 0 || cmy_clock_monotonic_ns() / 1000000 < began >> 16)
        return 0;

    uint64_t soonest = 0;
    uint32_t taken = 0, records = cmy_region_reserved_again(region, CMY_SERVICES);
    for (uint32_t record = 0; record < records; record++) {
        const cmy_service_shm_t *service = cmy_service_at(region, record);
        uint64_t state = cmy_load64_acquire(&service->state);
        uint64_t lease = cmy_load64_relaxed(&service->lease);
        if (cmy_state_phase(state) != CMY_LIVE || lease == 0)
            continue;
        if (cmy_service_expire(region, record)) {
            if (cmy_state_owner(state) == CMY_NOBODY)
                taken += cmy_service_retire(actor, record, state);
            continue;
        }
        uint64_t end_ms = (cmy_load64_relaxed(&service->lease) >> 1) / 1000000 + 1;
        if (soonest == 0 || end_ms < soonest)
            soonest = end_ms;
    }
    cmy_swap64_acq_rel(word, began, soonest << 16 | ((began + 1) & 0xffff));
    return taken;
}
