/*
 * Taking services away; see service.h.
 *
 * finish, by the executor named in DYING:
 *   announce   the name's stripe: lookups have not seen the record since it is DYING, whoever waits looks again
 *   index      bit, then cell                                              Killed before, between, after: the next
 *   group      its member cell                                             executor does all of it again; what is
 *   blocks     statistics and metadata, each by CAS on its link            gone already is not found again.
 *   release    FREE, version + 1
 */
#include "service/service.h"

#include "base/error.h"

#define RETRIES 100000u

/* Takes a block out of its link, leaving the word of the record's next life behind. */
static void drop_block(cmy_actor_t *actor, cmy_word64_t *word, uint64_t state, bool text)
{
    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        uint64_t link = cmy_load64_acquire(word);
        if (!cmy_link_of(link, state))
            return;
        if (!cmy_swap64_acq_rel(word, link, cmy_link_none(cmy_state_released(state))))
            continue;
        cmy_slab_kind_t kind = !text ? CMY_STATS : cmy_link_large(link) ? CMY_LARGE_TEXTS : CMY_SMALL_TEXTS;
        cmy_block_unlinked(actor, kind, link);
        return;
    }
}

static void finish(cmy_actor_t *actor, uint32_t record, uint64_t state, bool live)
{
    cmy_region_t *region = actor->region;
    cmy_service_shm_t *hot = cmy_service_at(region, record);
    cmy_wait_announce(region, cmy_service_name_hash(region, record));
    cmy_index_remove(actor, CMY_SERVICES, cmy_load64_relaxed(&hot->hash), record);
    cmy_group_leave(actor, record, cmy_load64_relaxed(&hot->position), live);
    drop_block(actor, &hot->stats, state, false);
    drop_block(actor, &cmy_cold_at(region, record)->metadata, state, true);
    cmy_slab_release(actor, CMY_SERVICES, record, state);
}

static bool retire(cmy_actor_t *actor, uint32_t record, uint64_t state, bool leaving)
{
    uint64_t dying = cmy_state_with(state, actor->owner, CMY_DYING);
    if (!cmy_swap64_acq_rel(&cmy_service_at(actor->region, record)->state, state, dying))
        return false;
    if (cmy_state_phase(state) == CMY_LIVE)
        cmy_service_note_retired(actor, record, state, leaving);
    finish(actor, record, dying, cmy_state_phase(state) == CMY_LIVE);
    return true;
}

bool cmy_service_retire(cmy_actor_t *actor, uint32_t record, uint64_t state)
{
    return retire(actor, record, state, false);
}

bool cmy_service_give_up(cmy_actor_t *actor, uint32_t record, uint64_t state)
{
    return retire(actor, record, state, true);
}

bool cmy_service_expire(cmy_region_t *region, uint32_t record)
{
    cmy_service_shm_t *hot = cmy_service_at(region, record);
    uint64_t state = cmy_load64_acquire(&hot->state), lease = cmy_load64_acquire(&hot->lease);
    if (lease & 1)
        return true;
    uint64_t seen = lease;
    if (!cmy_lease_ended(lease))
        return false;
    if (!cmy_cas64_acq_rel(&hot->lease, &seen, lease | 1))
        return seen & 1; /* somebody else declared it, or renewed it */
    if (cmy_state_phase(state) == CMY_LIVE)
        cmy_service_note_lease(region, record, state, false);
    cmy_wait_announce(region, cmy_service_name_hash(region, record));
    return true;
}

bool cmy_service_gone(cmy_region_t *region, uint32_t record, uint64_t state)
{
    if (cmy_state_owner(state) != CMY_NOBODY)
        return cmy_life_dead(region, cmy_state_owner(state));
    return cmy_state_phase(state) == CMY_LIVE && cmy_service_expire(region, record);
}

void cmy_lease_note(cmy_region_t *region, uint64_t lease)
{
    cmy_word64_t *word = &region->header->next_expiry;
    uint64_t end_ms = (lease >> 1) / 1000000 + 1, seen = cmy_load64_relaxed(word);
    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        uint64_t soonest = seen >> 16;
        if (soonest == 0 || end_ms < soonest)
            soonest = end_ms;
        /* The counter moves even where the end does not: see cmy_header_shm_t.next_expiry. */
        if (cmy_cas64_acq_rel(word, &seen, soonest << 16 | ((seen + 1) & 0xffff)))
            return;
    }
}

/* --------------------------------------------------- as the index of ids sees a service */

static bool matches(const cmy_region_t *region, uint32_t record, const cmy_key_t *key)
{
    return cmy_service_has_id(region, cmy_service_at(region, record), record, key);
}

static uint64_t published(const cmy_region_t *region, uint32_t record, uint64_t claimed)
{
    cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&cmy_service_at(region, record)->shape));
    uint32_t owner = shape.flags & CMY_SHAPE_DETACHED ? CMY_NOBODY : cmy_state_owner(claimed);
    return cmy_state_with(claimed, owner, CMY_LIVE);
}

static void retired(cmy_actor_t *actor, uint32_t record, uint64_t state)
{
    cmy_service_note_retired(actor, record, state, false);
}

static void helped(cmy_actor_t *actor, uint32_t record)
{
    cmy_wait_announce(actor->region, cmy_service_name_hash(actor->region, record));
}

const cmy_index_kind_t cmy_service_kind = {
    .slab = CMY_SERVICES,
    .matches = matches,
    .gone = cmy_service_gone,
    .published = published,
    .helped = helped,
    .retired = retired,
    .finish = finish,
};
