/*
 * One look at what a watcher watches: a version, read before anything else, and a digest of the services behind it.
 *
 * A digest adds up one number for each service, so that it does not matter in which order a walk comes to them. It holds
 * what a program can see change: the registration itself, condition, metadata, and whether the lease has ended.
 */
#include "mesh/lookout.h"

#include "mesh/policy.h"

/* One service's share. */
static uint64_t share(const cmy_region_t *region, uint32_t record, uint64_t state)
{
    const cmy_service_shm_t *service = cmy_service_at(region, record);
    uint64_t mixed = cmy_mix(state + record * CMY_MIX_STEP);
    mixed = cmy_mix(mixed + cmy_load64_relaxed(&service->condition));
    mixed = cmy_mix(mixed + cmy_load64_relaxed(cmy_block_link(region, CMY_SMALL_TEXTS, record)));
    return cmy_mix(mixed + cmy_lease_ended(cmy_load64_relaxed(&service->lease)));
}

static bool has_tag(const commy_service_info_t *info, const char *tag)
{
    for (uint32_t i = 0; i < info->tag_count && i < COMMY_LIMIT_TAGS; i++)
        if (strncmp(info->tags[i], tag, sizeof info->tags[i]) == 0)
            return true;
    return false;
}

/* Whether an instance is among those that are watched. */
static bool passes(const cmy_region_t *region, const commy_watcher_t *watcher, uint32_t record, uint64_t state)
{
    commy_service_info_t info;
    if (!watcher->filtered)
        return true;
    cmy_service_copy_info(region, record, state, &info);
    return (!watcher->tag[0] || has_tag(&info, watcher->tag)) &&
           (!watcher->version[0] || strcmp(info.version, watcher->version) == 0) &&
           (!watcher->zone[0] || strcmp(info.zone, watcher->zone) == 0);
}

static commy_status_t look_at_name(const commy_mesh_t *mesh, const commy_watcher_t *watcher, cmy_look_t *look)
{
    const cmy_region_t *region = mesh->region;
    commy_iterator_t iterator;
    commy_view_t view;
    look->name_hash = watcher->key.hash;
    look->version = look->stripe_version = cmy_wait_version(region, &look->name_hash);
    commy_status_t status = commy_iterate_name(mesh, watcher->text, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    while (commy_iterate_next(mesh, &iterator, &view)) {
        uint64_t its = share(region, view._index, view._state);
        bool passed = passes(region, watcher, view._index, view._state);
        if (cmy_service_same(cmy_service_at(region, view._index), view._state) && passed)
            look->digest += its;
    }
    if (iterator._endless)
        return cmy_fail(COMMY_STATUS_CORRUPT,
                        "region %s/%s is damaged: the lines of name '%s' have no end; run `commy check`", region->dir,
                        region->mesh, watcher->text);
    return COMMY_STATUS_SUCCESS;
}

/*
 * Whatever becomes of a registration is announced on the stripe of its name, so that one that is there is slept on there;
 * one that is not, may come under any name. The stripe's version has to be older than the look at the service, and which
 * stripe it is only the service tells: it is looked up twice.
 */
static commy_status_t look_at_id(const commy_mesh_t *mesh, const commy_watcher_t *watcher, cmy_look_t *look)
{
    const cmy_region_t *region = mesh->region;
    uint32_t record, again;
    uint64_t state, state_again;
    look->whole = true;
    look->version = look->stripe_version = cmy_wait_version(region, NULL);
    if (!cmy_service_find(region, &watcher->key, &record, &state))
        return COMMY_STATUS_SUCCESS;
    uint64_t hash = cmy_service_name_hash(region, record);
    uint64_t version = cmy_wait_version(region, &hash);
    if (!cmy_service_find(region, &watcher->key, &again, &state_again))
        return COMMY_STATUS_SUCCESS;
    look->digest = share(region, again, state_again);
    bool same = cmy_service_same(cmy_service_at(region, again), state_again);
    if (same && again == record && state_again == state) {
        look->whole = false;
        look->name_hash = hash;
        look->stripe_version = version;
    }
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_watch_look(const commy_mesh_t *mesh, const commy_watcher_t *watcher, cmy_look_t *look)
{
    *look = (cmy_look_t){0};
    if (watcher->kind == CMY_WATCH_NAME)
        return look_at_name(mesh, watcher, look);
    if (watcher->kind == CMY_WATCH_ID)
        return look_at_id(mesh, watcher, look);
    look->whole = true;
    look->version = look->stripe_version = look->digest = cmy_wait_version(mesh->region, NULL);
    return COMMY_STATUS_SUCCESS;
}
