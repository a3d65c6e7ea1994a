/*
 * Views and walks.
 *
 * A walk over a name goes through the containers of its group. A service counts when it is LIVE and alive, says itself that
 * this cell is its place, is unchanged when looked at again, and the container then still belongs to the group: a service
 * that is LIVE keeps its cell, a cell in use keeps its container in the group, and so all four together mean that it was
 * an instance of this name at that instant. A service has one place while it lives, so nothing comes twice.
 */
#include "registry/mesh.h"

/* Fills in a view of a record seen in a state; the caller has checked or will check the state again. */
static void make_view(const cmy_region_t *region, uint32_t record, uint64_t state, commy_view_t *view)
{
    const cmy_service_shm_t *hot = cmy_service_at(region, record);
    const cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape));
    /* Lengths are bounded by their fields, whatever the bytes say. */
    view->id_bytes = shape.id_bytes <= COMMY_LIMIT_ID_BYTES ? shape.id_bytes : COMMY_LIMIT_ID_BYTES;
    view->name_bytes = shape.name_bytes <= COMMY_LIMIT_NAME_BYTES ? shape.name_bytes : COMMY_LIMIT_NAME_BYTES;
    view->endpoint_bytes = shape.endpoint_bytes;
    view->id = (const char *)(view->id_bytes < CMY_HOT_ID_BYTES ? hot->id : cold->id);
    view->name = (const char *)cold->name;
    view->endpoint = (const char *)(view->endpoint_bytes < CMY_HOT_ENDPOINT_BYTES ? hot->endpoint : cold->endpoint);
    view->reference = cmy_reference(record, state);
    view->port = shape.port;
    view->_record = hot;
    view->_state = state;
    view->_index = record;
}

commy_status_t commy_service_view(const commy_mesh_t *mesh, const char *id, commy_view_t *view)
{
    uint32_t record;
    uint64_t state;
    if (!view)
        return cmy_mesh_null("view");
    commy_status_t status = cmy_mesh_look_up(mesh, id, &record, &state);
    if (status == COMMY_STATUS_SUCCESS)
        make_view(mesh->region, record, state, view);
    return status;
}

/* The record behind a view, which is the caller's memory and may hold anything. */
static const cmy_service_shm_t *behind(const commy_mesh_t *mesh, const commy_view_t *view)
{
    if (!view || cmy_mesh_usable(mesh) != COMMY_STATUS_SUCCESS ||
        !cmy_region_holds(mesh->region, CMY_SERVICES, view->_index))
        return NULL;
    return cmy_service_at(mesh->region, view->_index);
}

bool commy_view_valid(const commy_mesh_t *mesh, const commy_view_t *view)
{
    const cmy_service_shm_t *service = behind(mesh, view);
    return service && cmy_service_visible(mesh->region, service, view->_state) &&
           cmy_service_same(service, view->_state);
}

static commy_status_t view_gone(const commy_mesh_t *mesh, const commy_view_t *view)
{
    if (!view)
        return cmy_mesh_null("view");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    return cmy_fail(COMMY_STATUS_NOT_FOUND,
                    "the service behind the view is no longer registered in mesh %s; look it up "
                    "again",
                    mesh->region->mesh);
}

commy_status_t commy_view_target(const commy_mesh_t *mesh, const commy_view_t *view, commy_target_t *target)
{
    if (!target)
        return cmy_mesh_null("target");
    const cmy_service_shm_t *service = behind(mesh, view);
    if (!service || !cmy_service_visible(mesh->region, service, view->_state))
        return view_gone(mesh, view);
    cmy_service_copy_target(mesh->region, view->_index, view->_state, target);
    return cmy_service_same(service, view->_state) ? COMMY_STATUS_SUCCESS : view_gone(mesh, view);
}

commy_status_t commy_view_info(const commy_mesh_t *mesh, const commy_view_t *view, commy_service_info_t *info)
{
    if (!info)
        return cmy_mesh_null("info");
    const cmy_service_shm_t *service = behind(mesh, view);
    if (!service || !cmy_service_visible(mesh->region, service, view->_state))
        return view_gone(mesh, view);
    cmy_service_copy_info(mesh->region, view->_index, view->_state, info);
    return cmy_service_same(service, view->_state) ? COMMY_STATUS_SUCCESS : view_gone(mesh, view);
}

/* ------------------------------------------------------------------ walks */

#define NO_CONTAINER UINT32_MAX
static const commy_iterator_t nowhere = {._container = NO_CONTAINER};

void cmy_iterate_key(const cmy_region_t *region, const cmy_key_t *name, commy_iterator_t *iterator)
{
    *iterator = nowhere;
    if (!cmy_group_find(region, name, &iterator->_group, &iterator->_group_state))
        return;
    iterator->_container = cmy_container_of_group(iterator->_group);
    iterator->_container_state = iterator->_group_state;
}

commy_status_t commy_iterate_name(const commy_mesh_t *mesh, const char *name, commy_iterator_t *iterator)
{
    cmy_key_t key;
    if (!iterator)
        return cmy_mesh_null("iterator");
    *iterator = nowhere;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_key(mesh->region, "service name", name, COMMY_LIMIT_NAME_BYTES, &key);
    if (status == COMMY_STATUS_SUCCESS)
        cmy_iterate_key(mesh->region, &key, iterator);
    return status;
}

commy_status_t commy_iterate_all(const commy_mesh_t *mesh, commy_iterator_t *iterator)
{
    if (!iterator)
        return cmy_mesh_null("iterator");
    *iterator = nowhere;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        *iterator = (commy_iterator_t){._all = 1};
    return status;
}

/* Whether a record is an instance that stands in cell `position` of a container that still is the group's. */
static inline bool is_member(const cmy_region_t *region, const cmy_container_t *at, uint32_t position, uint32_t record,
                             uint64_t *state)
{
    if (!cmy_region_holds(region, CMY_SERVICES, record))
        return false;
    const cmy_service_shm_t *service = cmy_service_at(region, record);
    *state = cmy_load64_acquire(&service->state);
    return cmy_position_is(cmy_load64_relaxed(&service->position), at->number, position) &&
           cmy_service_visible(region, service, *state) && cmy_service_same(service, *state) && cmy_container_same(at);
}

/* On to the next container; false at the end of the chain, or of what a chain can hold. */
static __attribute__((noinline)) bool next_container(const cmy_region_t *region, commy_iterator_t *iterator)
{
    cmy_container_t at;
    bool more = cmy_container_open(region, iterator->_container, iterator->_container_state, &at) &&
                cmy_container_follow(region, &at);
    iterator->_endless = more && iterator->_steps++ >= region->layout.slab[CMY_LINES].limit;
    iterator->_position = 0;
    iterator->_container = more && !iterator->_endless ? at.number : NO_CONTAINER;
    iterator->_container_state = more ? at.state : 0;
    return iterator->_container != NO_CONTAINER;
}

static inline __attribute__((always_inline)) bool next_of_name(const cmy_region_t *region, commy_iterator_t *iterator,
                                                               uint32_t *record, uint64_t *state)
{
    if (iterator->_container == NO_CONTAINER)
        return false;
    do {
        cmy_container_t at; /* in registers: its address is given to nobody */
        if (!cmy_container_open(region, iterator->_container, iterator->_container_state, &at))
            return false;
        for (uint32_t position = iterator->_position; position < at.cells; position++) {
            uint32_t cell = cmy_load32_acquire(&at.cell[position]);
            if (cell == 0 || !is_member(region, &at, position, cell - 1, state))
                continue;
            iterator->_position = position + 1;
            *record = cell - 1;
            return true;
        }
    } while (next_container(region, iterator));
    return false;
}

/* After a walk: it came to an end, or to its bound. */
static commy_status_t walked(const commy_mesh_t *mesh, const commy_iterator_t *iterator)
{
    if (!iterator->_endless)
        return COMMY_STATUS_SUCCESS;
    return cmy_fail(COMMY_STATUS_CORRUPT, "region %s/%s is damaged: the lines of a name have no end; run `commy check`",
                    mesh->region->dir, mesh->region->mesh);
}

static __attribute__((noinline)) bool next_of_all(const cmy_region_t *region, commy_iterator_t *iterator,
                                                  uint32_t *record, uint64_t *state)
{
    while (cmy_region_holds(region, CMY_SERVICES, iterator->_position)) {
        *record = iterator->_position++;
        const cmy_service_shm_t *service = cmy_service_at(region, *record);
        *state = cmy_load64_acquire(&service->state);
        if (cmy_service_visible(region, service, *state) && cmy_service_same(service, *state))
            return true;
    }
    return false;
}

bool commy_iterate_next(const commy_mesh_t *mesh, commy_iterator_t *iterator, commy_view_t *view)
{
    uint32_t record;
    uint64_t state;
    if (!iterator || !view || !mesh || cmy_region_is_forked(mesh->region)) {
        (void)cmy_mesh_usable(mesh); /* for its sentence */
        return false;
    }
    bool found = iterator->_all ? next_of_all(mesh->region, iterator, &record, &state)
                                : next_of_name(mesh->region, iterator, &record, &state);
    if (found)
        make_view(mesh->region, record, state, view);
    return found;
}

commy_status_t commy_name_count(const commy_mesh_t *mesh, const char *name, size_t *count)
{
    commy_iterator_t iterator;
    uint32_t record;
    uint64_t state;
    if (!count)
        return cmy_mesh_null("count");
    *count = 0;
    commy_status_t status = commy_iterate_name(mesh, name, &iterator);
    while (status == COMMY_STATUS_SUCCESS && next_of_name(mesh->region, &iterator, &record, &state))
        ++*count;
    return status == COMMY_STATUS_SUCCESS ? walked(mesh, &iterator) : status;
}

commy_status_t commy_name_discover(const commy_mesh_t *mesh, const char *name, commy_service_info_t *out,
                                   size_t capacity, size_t *count)
{
    commy_iterator_t iterator;
    commy_view_t view;
    if (!count)
        return cmy_mesh_null("count");
    *count = 0;
    if (!out && capacity > 0)
        return cmy_mesh_null("out");
    commy_status_t status = name ? commy_iterate_name(mesh, name, &iterator) : commy_iterate_all(mesh, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    while (commy_iterate_next(mesh, &iterator, &view)) {
        if (*count < capacity) {
            const cmy_service_shm_t *service = cmy_service_at(mesh->region, view._index);
            cmy_service_copy_info(mesh->region, view._index, view._state, &out[*count]);
            if (!cmy_service_same(service, view._state))
                continue; /* it went while it was copied, so it was not live throughout */
        }
        ++*count;
    }
    return walked(mesh, &iterator);
}
