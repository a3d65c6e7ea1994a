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

/* Whether the soonest end that is known of has passed; its word. */
static bool is_due(const cmy_region_t *region, uint64_t *word)
{
    *word = cmy_load64_acquire(&region->header->next_expiry);
    return *word >> 16 != 0 && cmy_clock_monotonic_ns() / 1000000 >= *word >> 16;
}

/* Whether a record is LIVE and has a lease. */
static bool has_lease(const cmy_region_t *region, uint32_t record, uint64_t *state, uint64_t *lease)
{
    const cmy_service_shm_t *service = cmy_service_at(region, record);
    *state = cmy_load64_acquire(&service->state);
    *lease = cmy_load64_relaxed(&service->lease);
    return cmy_state_phase(*state) == CMY_LIVE && *lease != 0;
}

void cmy_lease_declare(cmy_region_t *region)
{
    uint64_t due, state, lease;
    if (!is_due(region, &due))
        return;
    uint32_t records = cmy_region_reserved_again(region, CMY_SERVICES);
    for (uint32_t record = 0; record < records; record++)
        if (has_lease(region, record, &state, &lease))
            cmy_service_expire(region, record);
}

void cmy_lease_note_all(cmy_region_t *region)
{
    uint64_t state, lease;
    uint32_t records = cmy_region_reserved_again(region, CMY_SERVICES);
    for (uint32_t record = 0; record < records; record++)
        if (has_lease(region, record, &state, &lease) && (!(lease & 1) || cmy_state_owner(state) == CMY_NOBODY))
            cmy_lease_note(region, lease);
}

uint32_t cmy_reap_leases(cmy_actor_t *actor)
{
    cmy_region_t *region = actor->region;
    uint64_t began, soonest = 0, state, lease;
    if (!is_due(region, &began))
        return 0;

    uint32_t taken = 0, records = cmy_region_reserved_again(region, CMY_SERVICES);
    for (uint32_t record = 0; record < records; record++) {
        const cmy_service_shm_t *service = cmy_service_at(region, record);
        if (!has_lease(region, record, &state, &lease))
            continue;
        if (cmy_service_expire(region, record)) {
            if (cmy_state_owner(state) == CMY_NOBODY)
                taken += cmy_service_retire(actor, record, state);
            continue;
        }
        lease = cmy_load64_relaxed(&service->lease);
        uint64_t end_ms = (lease >> 1) / 1000000 + 1;
        if (lease == 0)
            continue; /* another tenant by now */
        if (soonest == 0 || end_ms < soonest)
            soonest = end_ms;
    }
    cmy_swap64_acq_rel(&region->header->next_expiry, began, soonest << 16 | ((began + 1) & 0xffff));
    return taken;
}
