/*
 * Changing what may change in a live service: weight, health, admin state, lease, metadata.
 *
 * Each is one CAS on a word that names the record's life (or, for a lease, holds an end that never recurs), so that a writer
 * that was stopped cannot change the next tenant. Killed before it: nothing changed. Killed after it and before the
 * announcement: the reaper of the killed announces.
 */
#include "event/event.h"
#include "registry/mesh.h"

#define RETRIES 100000u

/* Finds the service for a change and opens a section. */
static commy_status_t begin(commy_mesh_t *mesh, const char *id, cmy_key_t *key, uint32_t *record, uint64_t *state)
{
    commy_status_t status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_mesh_key(mesh->region, "service id", id, COMMY_LIMIT_ID_BYTES, key);
    if (status == COMMY_STATUS_SUCCESS && !cmy_service_find(mesh->region, key, record, state))
        status = cmy_mesh_no_service(mesh, id);
    if (status != COMMY_STATUS_SUCCESS)
        cmy_mesh_exit(mesh);
    return status;
}

/*
 * The change was made: announces it, if it shows, and closes the section. Whether the service has been unregistered by
 * now does not matter: the CAS can win only in the life that was found, so the change came before the end of it.
 */
static commy_status_t made(commy_mesh_t *mesh, uint32_t record, bool shows)
{
    if (shows)
        cmy_wait_announce(mesh->region, cmy_service_name_hash(mesh->region, record));
    cmy_mesh_exit(mesh);
    return COMMY_STATUS_SUCCESS;
}

/* The service went before the change could be made: closes the section. */
static commy_status_t gone(commy_mesh_t *mesh, const char *id)
{
    commy_status_t status = cmy_mesh_no_service(mesh, id);
    cmy_mesh_exit(mesh);
    return status;
}

/* Others changed the same word as often as we try, and closes the section. */
static commy_status_t busy(commy_mesh_t *mesh, const char *id)
{
    cmy_mesh_exit(mesh);
    return cmy_fail(COMMY_STATUS_BUSY, "service id '%s' was changed by others %u times meanwhile; try again", id,
                    RETRIES);
}

/* A weight is not worth an event; nor is what was set to what it was. */
static void note_change(commy_mesh_t *mesh, uint32_t record, uint64_t state, uint64_t before, uint64_t after)
{
    uint32_t health = cmy_condition_health(before), admin = cmy_condition_admin(before);
    if (health != cmy_condition_health(after))
        cmy_service_note(mesh->region, record, state, mesh->actor.owner, COMMY_EVENT_HEALTH,
                         cmy_event_change(health, cmy_condition_health(after)));
    if (admin != cmy_condition_admin(after))
        cmy_service_note(mesh->region, record, state, mesh->actor.owner, COMMY_EVENT_ADMIN,
                         cmy_event_change(admin, cmy_condition_admin(after)));
}

/* Replaces the bits of `mask` in a service's condition. */
static commy_status_t change_condition(commy_mesh_t *mesh, const char *id, uint64_t mask, uint64_t bits)
{
    cmy_key_t key;
    uint32_t record;
    uint64_t state;
    commy_status_t status = begin(mesh, id, &key, &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_word64_t *word = &cmy_service_at(mesh->region, record)->condition;
    uint64_t seen = cmy_load64_acquire(word);
    bool changed = false;
    for (uint32_t turn = 0; !changed && turn < RETRIES && cmy_condition_of(seen, state); turn++)
        changed = cmy_cas64_acq_rel(word, &seen, (seen & ~mask) | bits);
    if (changed) {
        note_change(mesh, record, state, seen, (seen & ~mask) | bits);
        return made(mesh, record, true);
    }
    return cmy_condition_of(seen, state) ? busy(mesh, id) : gone(mesh, id);
}

commy_status_t commy_service_set_weight(commy_mesh_t *mesh, const char *id, uint32_t weight)
{
    if (weight > COMMY_LIMIT_WEIGHT)
        return cmy_fail(COMMY_STATUS_INVALID, "weight %u is over %u", weight, COMMY_LIMIT_WEIGHT);
    return change_condition(mesh, id, 0xffffu, weight);
}

commy_status_t commy_service_set_health(commy_mesh_t *mesh, const char *id, int32_t health)
{
    if (health < COMMY_HEALTH_UNKNOWN || health > COMMY_HEALTH_DEGRADED)
        return cmy_fail(COMMY_STATUS_INVALID, "health %d is none of 0 unknown, 1 healthy, 2 unhealthy, 3 degraded",
                        health);
    return change_condition(mesh, id, 3ull << CMY_HEALTH_SHIFT, (uint64_t)health << CMY_HEALTH_SHIFT);
}

commy_status_t commy_service_set_admin(commy_mesh_t *mesh, const char *id, int32_t admin)
{
    if (admin < COMMY_ADMIN_ENABLED || admin > COMMY_ADMIN_MAINTENANCE)
        return cmy_fail(COMMY_STATUS_INVALID, "admin state %d is none of 0 enabled, 1 draining, 2 maintenance", admin);
    return change_condition(mesh, id, 3ull << CMY_ADMIN_SHIFT, (uint64_t)admin << CMY_ADMIN_SHIFT);
}

commy_status_t commy_service_heartbeat(commy_mesh_t *mesh, const char *id)
{
    cmy_key_t key;
    uint32_t record;
    uint64_t state;
    commy_status_t status = begin(mesh, id, &key, &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_word64_t *word = &cmy_service_at(mesh->region, record)->lease;
    uint64_t ttl_ms = cmy_load64_relaxed(&cmy_cold_at(mesh->region, record)->ttl_ms);
    uint64_t seen = cmy_load64_acquire(word), renewed = 0;
    bool detached = cmy_state_owner(state) == CMY_NOBODY, done = seen == 0, late = false, mended = false;
    for (uint32_t turn = 0; !done && turn < RETRIES; turn++) {
        mended = cmy_lease_ended(seen);
        late = !cmy_service_same(cmy_service_at(mesh->region, record), state) || (detached && (seen & 1));
        if (late)
            break; /* unregistered, or declared expired */
        renewed = (cmy_clock_monotonic_ns() + ttl_ms * 1000000ull) << 1;
        done = cmy_cas64_acq_rel(word, &seen, renewed);
    }
    if (!done)
        return late ? gone(mesh, id) : busy(mesh, id);
    if (mended)
        cmy_lease_note(mesh->region, renewed);
    if (mended && (seen & 1) != 0)
        cmy_service_note_lease(mesh->region, record, state, true);
    return made(mesh, record, mended);
}

/* -------------------------------------------------------------- metadata */

static cmy_slab_kind_t text_kind(size_t bytes)
{
    return bytes <= CMY_SMALL_TEXT_BYTES ? CMY_SMALL_TEXTS : CMY_LARGE_TEXTS;
}

static commy_status_t make_text(cmy_actor_t *actor, uint32_t record, const char *text, size_t bytes, uint32_t *block,
                                uint64_t *claimed)
{
    cmy_region_t *region = actor->region;
    cmy_slab_kind_t kind = text_kind(bytes);
    commy_status_t status = cmy_block_claim(actor, kind, record, block, claimed);
    if (status == COMMY_STATUS_FULL)
        return cmy_fail(status,
                        "region %s/%s is full: %u of %u %s metadata texts; shorten the metadata or create a "
                        "region with a larger --capacity",
                        region->dir, region->mesh, region->layout.slab[kind].limit, region->layout.slab[kind].limit,
                        kind == CMY_SMALL_TEXTS ? "small (496 bytes)" : "large (4096 bytes)");
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_block_shm_t *head = cmy_record_at(region, kind, *block);
    cmy_store32_relaxed(&head->bytes, (uint32_t)bytes);
    cmy_text_store((cmy_word64_t *)(head + 1), (bytes + 7) / 8, text, bytes);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_metadata_replace(cmy_actor_t *actor, uint32_t record, uint64_t state, uint64_t expected,
                                    const char *text, size_t bytes)
{
    cmy_slab_kind_t kind = text_kind(bytes);
    uint64_t link = cmy_link_none(state), claimed = 0;
    uint32_t block = 0;
    if (bytes > 0) {
        commy_status_t status = make_text(actor, record, text, bytes, &block, &claimed);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
        link = cmy_link_to(state, block, claimed, kind == CMY_LARGE_TEXTS);
    }
    cmy_word64_t *word = cmy_block_link(actor->region, kind, record);
    if (!cmy_swap64_acq_rel(word, expected, link)) {
        cmy_block_unlinked(actor, kind, link);
        return COMMY_STATUS_BUSY;
    }
    if (bytes > 0)
        cmy_block_linked(actor, kind, block, claimed);
    cmy_block_unlinked(actor, cmy_link_large(expected) ? CMY_LARGE_TEXTS : CMY_SMALL_TEXTS, expected);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_service_set_metadata(commy_mesh_t *mesh, const char *id, const char *metadata)
{
    cmy_key_t key;
    uint32_t record;
    uint64_t state;
    size_t bytes;
    const char *text = metadata ? metadata : "";
    commy_status_t status = cmy_text_check("metadata", text, 0, COMMY_LIMIT_METADATA_BYTES, true, &bytes);
    if (status == COMMY_STATUS_SUCCESS)
        status = begin(mesh, id, &key, &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const cmy_word64_t *word = cmy_block_link(mesh->region, CMY_SMALL_TEXTS, record);
    status = COMMY_STATUS_BUSY;
    for (uint32_t turn = 0; status == COMMY_STATUS_BUSY && turn < RETRIES; turn++) {
        uint64_t link = cmy_load64_acquire(word);
        if (!cmy_link_of(link, state))
            return gone(mesh, id);
        status = cmy_metadata_replace(&mesh->actor, record, state, link, text, bytes);
    }
    if (status == COMMY_STATUS_SUCCESS)
        return made(mesh, record, true);
    if (status == COMMY_STATUS_BUSY)
        return busy(mesh, id);
    cmy_mesh_exit(mesh);
    return status;
}
