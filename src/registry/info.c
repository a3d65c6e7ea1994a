/* What there is to know of a mesh as a whole: where it is, who is in it, its numbers, and when it changes. */
#include "registry/mesh.h"

#include <stdio.h>

commy_status_t commy_mesh_info(const commy_mesh_t *mesh, commy_mesh_info_t *info)
{
    if (!info)
        return cmy_mesh_null("info");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const cmy_region_t *region = mesh->region;
    *info = (commy_mesh_info_t){
        .capacity = region->layout.capacity,
        .reserved_services = cmy_region_reserved_again(region, CMY_SERVICES),
        .participants = cmy_life_count(region),
        .read_only = !region->writable,
        .joined = atomic_load_explicit(&mesh->phase, memory_order_relaxed) == CMY_MESH_JOINED,
        .owner_uid = region->uid,
        .owner_gid = region->gid,
        .mode = region->mode,
        .region_bytes = region->layout.region_bytes,
        .reserved_bytes = cmy_region_reserved_bytes(region),
        .statistics_bytes = cmy_slab_reserved_bytes(region, CMY_STATS),
        .created_at_ns = region->created_at_ns,
    };
    snprintf(info->dir, sizeof info->dir, "%s", region->dir);
    snprintf(info->mesh, sizeof info->mesh, "%s", region->mesh);
    snprintf(info->node_id, sizeof info->node_id, "%s", mesh->node_id);
    return COMMY_STATUS_SUCCESS;
}

/* Services by owner's slot. */
static void count_services(const cmy_region_t *region, uint32_t by_slot[COMMY_LIMIT_PARTICIPANTS])
{
    memset(by_slot, 0, COMMY_LIMIT_PARTICIPANTS * sizeof by_slot[0]);
    for (uint32_t record = 0; cmy_region_holds(region, CMY_SERVICES, record); record++) {
        uint64_t state = cmy_load64_relaxed(&cmy_service_at(region, record)->state);
        uint32_t slot = cmy_owner_slot(cmy_state_owner(state));
        if (cmy_state_phase(state) == CMY_LIVE && slot < COMMY_LIMIT_PARTICIPANTS)
            by_slot[slot]++;
    }
}

commy_status_t commy_mesh_participants(const commy_mesh_t *mesh, commy_participant_t *out, size_t capacity,
                                       size_t *count)
{
    uint32_t services[COMMY_LIMIT_PARTICIPANTS];
    if (!count)
        return cmy_mesh_null("count");
    *count = 0;
    if (!out && capacity > 0)
        return cmy_mesh_null("out");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (capacity > 0)
        count_services(mesh->region, services);
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        commy_participant_t participant;
        if (!cmy_life_describe(mesh->region, slot, &participant))
            continue;
        if (*count < capacity) {
            participant.services = services[slot];
            out[*count] = participant;
        }
        ++*count;
    }
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_mesh_stats(const commy_mesh_t *mesh, commy_mesh_stats_t *stats)
{
    cmy_counts_t counts;
    if (!stats)
        return cmy_mesh_null("stats");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const cmy_region_t *region = mesh->region;
    uint32_t me = CMY_NOBODY;
    cmy_rcu_read_lock(); /* the owner changes only between a grace period and the next JOINED */
    if (atomic_load_explicit(&mesh->phase, memory_order_acquire) == CMY_MESH_JOINED)
        me = mesh->actor.owner;
    cmy_rcu_read_unlock();
    *stats = (commy_mesh_stats_t){0};
    for (uint32_t record = 0; cmy_region_holds(region, CMY_SERVICES, record); record++) {
        const cmy_service_shm_t *service = cmy_service_at(region, record);
        uint64_t state = cmy_load64_acquire(&service->state);
        if (!cmy_service_visible(region, service, state))
            continue;
        int32_t health = cmy_service_health(service);
        if (!cmy_service_same(service, state))
            continue;
        stats->total_services++;
        stats->healthy_services += health == COMMY_HEALTH_HEALTHY || health == COMMY_HEALTH_DEGRADED;
        stats->unhealthy_services += health == COMMY_HEALTH_UNHEALTHY;
        stats->registered_services += me != CMY_NOBODY && cmy_state_owner(state) == me;
    }
    cmy_counter_read_mesh(region, &counts);
    stats->successful_requests = counts.successes;
    stats->failed_requests = counts.failures;
    stats->total_requests = counts.successes + counts.failures;
    stats->average_response_time_ms = cmy_counts_average_ms(&counts);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_mesh_wait(const commy_mesh_t *mesh, const char *name, uint64_t version, int32_t timeout_ms,
                               uint64_t *new_version)
{
    cmy_key_t key;
    if (!new_version)
        return cmy_mesh_null("new_version");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS && name)
        status = cmy_mesh_key(mesh->region, "service name", name, COMMY_LIMIT_NAME_BYTES, &key);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const uint64_t *hash = name ? &key.hash : NULL;
    uint64_t began = cmy_clock_monotonic_ns();
    while ((*new_version = cmy_wait_version(mesh->region, hash)) == version) {
        int64_t left = CMY_WAIT_SLICE_MS;
        if (timeout_ms >= 0) {
            left = timeout_ms - (int64_t)((cmy_clock_monotonic_ns() - began) / 1000000);
            if (left <= 0)
                return cmy_fail(COMMY_STATUS_TIMED_OUT, "nothing changed in mesh %s within %d ms", mesh->region->mesh,
                                timeout_ms);
        }
        status =
            cmy_wait_slice(mesh->region, hash, version, (int)(left < CMY_WAIT_SLICE_MS ? left : CMY_WAIT_SLICE_MS));
        if (status == COMMY_STATUS_INTERRUPTED)
            return cmy_fail(status, "a signal arrived while waiting for a change in mesh %s; call again to go on",
                            mesh->region->mesh);
        status = cmy_mesh_usable(mesh);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
        if (mesh->region->writable)
            cmy_lease_declare(mesh->region);
    }
    return COMMY_STATUS_SUCCESS;
}
