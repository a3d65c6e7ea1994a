/*
 * Registering and unregistering.
 *
 * register:  claim a record, fill it, put it into its group (invisible there), hang its metadata on it, enter the index by
 *            id, publish. Killed before the index's CAS: nothing was registered, the reaper gives everything back.
 *            Killed after it: the registration stands until the owner's death is seen, which is at once; a detached
 *            service stands for good.
 * A failure on the way retires the record from CLAIMED and finishes it: there is one way to clean up.
 */
#include <stdio.h>

#include "registry/mesh.h"

/* -------------------------------------------------------------- checking */

static commy_status_t optional(const char *what, const char *text, size_t max, const char **out, size_t *bytes)
{
    *out = text ? text : "";
    return cmy_text_check(what, *out, 0, max, false, bytes);
}

static commy_status_t check_endpoint(const commy_service_config_t *config, cmy_draft_t *draft)
{
    commy_status_t status =
        cmy_text_check("endpoint", config->endpoint, 1, COMMY_LIMIT_ENDPOINT_BYTES, false, &draft->endpoint_bytes);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (config->port == 0 && strncmp(config->endpoint, "unix:", 5) != 0)
        return cmy_fail(COMMY_STATUS_INVALID, "port is 0; give one from 1 to 65535, or an endpoint unix:/path");
    draft->endpoint = config->endpoint;
    draft->port = config->port;
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t check_tags(const commy_service_config_t *config, cmy_draft_t *draft)
{
    if (config->tag_count > COMMY_LIMIT_TAGS)
        return cmy_fail(COMMY_STATUS_INVALID, "%u tags are more than the %u a service may have", config->tag_count,
                        COMMY_LIMIT_TAGS);
    if (config->tag_count > 0 && !config->tags)
        return cmy_fail(COMMY_STATUS_INVALID, "tags is null but tag_count is %u", config->tag_count);
    for (uint32_t i = 0; i < config->tag_count; i++) {
        commy_status_t status = cmy_text_check("tag", config->tags[i], 1, COMMY_LIMIT_TAG_BYTES, false, NULL);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
    }
    draft->tags = config->tags;
    draft->tag_count = config->tag_count;
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t check_numbers(const commy_service_config_t *config, cmy_draft_t *draft)
{
    if (config->flags & ~COMMY_SERVICE_DETACHED)
        return cmy_fail(COMMY_STATUS_INVALID, "flags 0x%x has bits that mean nothing; use COMMY_SERVICE_DETACHED or 0",
                        config->flags);
    if (config->weight > COMMY_LIMIT_WEIGHT)
        return cmy_fail(COMMY_STATUS_INVALID, "weight %u is over %u", config->weight, COMMY_LIMIT_WEIGHT);
    if (config->ttl_ms > COMMY_LIMIT_TTL_MS)
        return cmy_fail(COMMY_STATUS_INVALID, "ttl_ms %llu is over %llu, a year", (unsigned long long)config->ttl_ms,
                        (unsigned long long)COMMY_LIMIT_TTL_MS);
    draft->detached = config->flags & COMMY_SERVICE_DETACHED;
    if (draft->detached && config->ttl_ms == 0)
        return cmy_fail(COMMY_STATUS_INVALID,
                        "a detached service has no owner whose death would end it; give it a ttl_ms");
    draft->weight = config->weight ? config->weight : COMMY_DEFAULT_WEIGHT;
    draft->ttl_ms = config->ttl_ms;
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t check(const commy_mesh_t *mesh, const commy_service_config_t *config, cmy_draft_t *draft)
{
    size_t name_bytes, id_bytes;
    uint64_t seed = mesh->region->seed;
    commy_status_t status =
        cmy_text_check("service name", config->service_name, 1, COMMY_LIMIT_NAME_BYTES, false, &name_bytes);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_text_check("service id", config->service_id, 1, COMMY_LIMIT_ID_BYTES, false, &id_bytes);
    if (status == COMMY_STATUS_SUCCESS)
        status = check_endpoint(config, draft);
    if (status == COMMY_STATUS_SUCCESS)
        status =
            optional("version", config->version, COMMY_LIMIT_VERSION_BYTES, &draft->version, &draft->version_bytes);
    if (status == COMMY_STATUS_SUCCESS)
        status = optional("zone", config->zone, COMMY_LIMIT_ZONE_BYTES, &draft->zone, &draft->zone_bytes);
    if (status == COMMY_STATUS_SUCCESS) {
        draft->metadata = config->metadata ? config->metadata : "";
        status =
            cmy_text_check("metadata", draft->metadata, 0, COMMY_LIMIT_METADATA_BYTES, true, &draft->metadata_bytes);
    }
    if (status == COMMY_STATUS_SUCCESS)
        status = check_tags(config, draft);
    if (status == COMMY_STATUS_SUCCESS)
        status = check_numbers(config, draft);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_key_make(&draft->name, seed, config->service_name, name_bytes);
    cmy_key_make(&draft->id, seed, config->service_id, id_bytes);
    return COMMY_STATUS_SUCCESS;
}

/* ----------------------------------------------------------- registering */

static commy_status_t region_full(const cmy_region_t *region)
{
    uint32_t limit = region->layout.slab[CMY_SERVICES].limit;
    return cmy_fail(COMMY_STATUS_FULL, "region %s/%s is full: %u of %u services; create one with a larger --capacity",
                    region->dir, region->mesh, limit, limit);
}

static commy_status_t bucket_full(const cmy_region_t *region, const cmy_draft_t *draft)
{
    return cmy_fail(COMMY_STATUS_FULL,
                    "region %s/%s is full where id '%.*s' belongs: %u of %u cells; create one with a "
                    "larger --capacity, or choose another id",
                    region->dir, region->mesh, (int)draft->id.bytes, draft->id.text, CMY_WINDOW_CELLS,
                    CMY_WINDOW_CELLS);
}

static commy_status_t held(const cmy_region_t *region, const cmy_draft_t *draft, const cmy_holder_t *holder)
{
    commy_service_info_t info;
    char port[8] = "";
    cmy_service_copy_info(region, holder->record, holder->state, &info);
    if (info.port != 0)
        snprintf(port, sizeof port, ":%u", info.port);
    if (!info.node_id[0])
        return cmy_fail(COMMY_STATUS_EXISTS,
                        "service id '%.*s' is held by a detached registration of %s%s; unregister "
                        "it first or choose another id",
                        (int)draft->id.bytes, draft->id.text, info.endpoint, port);
    return cmy_fail(COMMY_STATUS_EXISTS,
                    "service id '%.*s' is held by node %s (process %u) at %s%s; unregister it "
                    "first or choose another id",
                    (int)draft->id.bytes, draft->id.text, info.node_id, info.owner_pid, info.endpoint, port);
}

/* From a filled record to a published one. On failure the record is retired. */
static commy_status_t enter(cmy_actor_t *actor, const cmy_draft_t *draft, uint32_t record, uint64_t claimed)
{
    cmy_holder_t holder;
    commy_status_t status = cmy_group_join(actor, &draft->name, record);
    bool joined = status == COMMY_STATUS_SUCCESS;
    if (joined && draft->metadata_bytes > 0)
        status = cmy_metadata_replace(actor, record, claimed, cmy_link_none(claimed), draft->metadata,
                                      draft->metadata_bytes);
    if (joined && status == COMMY_STATUS_BUSY)
        status = cmy_fail(COMMY_STATUS_CORRUPT,
                          "region %s/%s is damaged: the record for id '%.*s' was written to by others; "
                          "run `commy check`",
                          actor->region->dir, actor->region->mesh, (int)draft->id.bytes, draft->id.text);
    if (status == COMMY_STATUS_SUCCESS) {
        status = cmy_index_insert(actor, &cmy_service_kind, &draft->id, record, claimed, &holder);
        if (status == COMMY_STATUS_EXISTS)
            held(actor->region, draft, &holder);
        else if (status == COMMY_STATUS_FULL)
            bucket_full(actor->region, draft);
    }
    if (status != COMMY_STATUS_SUCCESS)
        cmy_service_retire(actor, record, claimed);
    return status;
}

static commy_status_t register_once(cmy_actor_t *actor, const cmy_draft_t *draft, uint64_t *reference)
{
    uint32_t record;
    uint64_t claimed;
    commy_status_t status = cmy_slab_claim(actor, CMY_SERVICES, &record, &claimed);
    if (status == COMMY_STATUS_FULL)
        return region_full(actor->region);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_service_fill(actor->region, record, claimed, draft);
    uint64_t lease = cmy_load64_relaxed(&cmy_service_at(actor->region, record)->lease);
    if (lease != 0)
        cmy_lease_note(actor->region, lease); /* should we be stopped right after it is published */
    status = enter(actor, draft, record, claimed);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (lease != 0)
        cmy_lease_note(actor->region, lease); /* a sweep in between may have passed over it */
    cmy_service_note_registered(actor, record, claimed);
    cmy_wait_announce(actor->region, draft->name.hash);
    if (reference)
        *reference = cmy_reference(record, claimed);
    return COMMY_STATUS_SUCCESS;
}

static bool no_room(commy_status_t status)
{
    return status == COMMY_STATUS_FULL || status == COMMY_STATUS_NO_SPACE;
}

commy_status_t commy_service_register(commy_mesh_t *mesh, const commy_service_config_t *from, uint64_t *reference)
{
    commy_service_config_t config;
    cmy_draft_t draft;
    if (!from)
        return cmy_mesh_null("config");
    commy_status_t status = cmy_mesh_sized("config", from, &config, sizeof config);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = check(mesh, &config, &draft);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;

    cmy_error_t before;
    cmy_holder_t holder;
    cmy_error_save(&before);
    status = register_once(&mesh->actor, &draft, reference);
    /* The dead may make room, those too of whom only the slow signs tell. */
    for (int certify = 0; certify < 2 && no_room(status); certify++) {
        cmy_reap(&mesh->actor, certify, NULL);
        status = register_once(&mesh->actor, &draft, reference);
        if (status == COMMY_STATUS_SUCCESS)
            cmy_error_restore(&before);
    }
    /* A live id is refused as such, in a full region too. */
    if (no_room(status) && cmy_service_find(mesh->region, &draft.id, &holder.record, &holder.state))
        status = held(mesh->region, &draft, &holder);
    cmy_mesh_exit(mesh);
    return status;
}

commy_status_t commy_service_unregister(commy_mesh_t *mesh, const char *id)
{
    cmy_key_t key;
    uint32_t record;
    uint64_t state;
    commy_status_t status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_mesh_key(mesh->region, "service id", id, COMMY_LIMIT_ID_BYTES, &key);
    if (status == COMMY_STATUS_SUCCESS) {
        bool retired = false;
        /* Losing the CAS means that somebody else took it away; the id may be registered anew by then: look again. */
        for (int turn = 0; !retired && turn < 1000 && cmy_service_find(mesh->region, &key, &record, &state); turn++)
            retired = cmy_service_retire(&mesh->actor, record, state);
        if (!retired)
            status = cmy_mesh_no_service(mesh, id);
    }
    cmy_mesh_exit(mesh);
    return status;
}
