/*
 * The language ABI: looking services up.
 *
 * One service is looked up in a read section, which adds a few nanoseconds to the lookup itself; what walks many holds a
 * reference to its handle (handle.h).
 */
#include <commy/ffi.h>

#include "base/error.h"
#include "ffi/handle.h"
#include "registry/find.h"

static __attribute__((noinline)) int32_t find_any(commy_handle_t h, const char *id, commy_target_t *target)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (__builtin_expect(status != COMMY_STATUS_SUCCESS, 0))
        return status;
    status = commy_service_find(handle->mesh, id, target);
    cmy_handle_exit();
    return status;
}

/*
 * As lookups usually go (registry/find.h), and without a call inside the section; the rest is left to find_any(), from the
 * start. bytes: of the id, at most 32; what the compiler knows of them makes another function of this.
 */
static inline __attribute__((always_inline)) int32_t find_usual(commy_handle_t h, const char *id, uint32_t bytes,
                                                                commy_target_t *target)
{
    cmy_rcu_read_lock();
    const cmy_handle_t *handle = cmy_rcu_load(cmy_handle_slot(h.instance_id));
    if (__builtin_expect(cmy_handle_fits(handle, h.instance_id, CMY_HANDLE_FOR_QUERY), 1)) {
        const cmy_region_t *region = handle->mesh->region;
        cmy_found_t found = CMY_FOUND_UNUSUAL;
        if (__builtin_expect(cmy_region_is_usable(region), 1))
            found = cmy_find_usual(region, id, bytes, cmy_hash_to_32(&region->salt, id, bytes), target);
        if (__builtin_expect(found == CMY_FOUND, 1)) {
            cmy_rcu_read_unlock();
            return COMMY_STATUS_SUCCESS;
        }
        if (found == CMY_FOUND_NONE) {
            const cmy_place_t *place = region->place; /* which is kept, whatever becomes of the handle */
            cmy_rcu_read_unlock();
            return cmy_fail_no_short_service(place, id, bytes);
        }
    }
    cmy_rcu_read_unlock();
    return find_any(h, id, target);
}

static __attribute__((noinline)) int32_t find_to_16(commy_handle_t h, const char *id, commy_target_t *target,
                                                    uint32_t bytes)
{
    return bytes - 9 > 7 ? find_any(h, id, target) : find_usual(h, id, bytes, target);
}

int32_t commy_find(commy_handle_t h, const char *id, commy_target_t *target)
{
    if (__builtin_expect(!id, 0) || __builtin_expect(!target, 0))
        return find_any(h, id, target);
    uint32_t bytes = cmy_bytes_short_length(id);
    return bytes - 17 > 15 ? find_to_16(h, id, target, bytes) : find_usual(h, id, bytes, target);
}

int32_t commy_get_service(commy_handle_t h, const char *id, commy_service_info_t *info)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_get(handle->mesh, id, info);
    cmy_handle_exit();
    return status;
}

int32_t commy_get_service_metadata(commy_handle_t h, const char *id, char *out, size_t capacity, size_t *length)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_metadata(handle->mesh, id, out, capacity, length);
    cmy_handle_exit();
    return status;
}

int32_t commy_find_many(commy_handle_t h, const char *const *ids, size_t n, commy_target_t *out, int32_t *codes)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (n == 0)
        status = COMMY_STATUS_SUCCESS;
    else if (!ids || !out || !codes)
        status = cmy_fail(COMMY_STATUS_INVALID, "%s is null, with %zu ids to find",
                          !ids   ? "ids"
                          : !out ? "out"
                                 : "codes",
                          n);
    else
        status = commy_service_find_many(handle->mesh, ids, n, out, codes);
    cmy_handle_unpin(&handle);
    return status;
}

/* An id first, then a name. */
static commy_status_t latency_of(const commy_mesh_t *mesh, const char *id_or_name, double quantile, uint64_t *ns)
{
    cmy_error_t error;
    cmy_error_save(&error);
    commy_status_t status = commy_service_latency(mesh, id_or_name, quantile, ns);
    if (status != COMMY_STATUS_NOT_FOUND)
        return status;
    if (commy_name_latency(mesh, id_or_name, quantile, ns) != COMMY_STATUS_SUCCESS)
        return cmy_fail(status, "no live service has the id or the name '%s'", id_or_name);
    cmy_error_restore(&error);
    return COMMY_STATUS_SUCCESS;
}

int32_t commy_get_latency(commy_handle_t h, const char *id_or_name, double quantile, uint64_t *ns)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = latency_of(handle->mesh, id_or_name, quantile, ns);
    cmy_handle_unpin(&handle);
    return status;
}

/* name null: all services of the mesh. */
static commy_status_t discover(commy_handle_t h, const char *name, commy_service_info_t *out, size_t capacity,
                               size_t *count)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!count || (!out && capacity))
        status = cmy_fail(COMMY_STATUS_INVALID, "%s is null", !count ? "count" : "out");
    else
        status = commy_name_discover(handle->mesh, name, out, capacity, count);
    cmy_handle_unpin(&handle);
    return status;
}

static commy_status_t no_name(void)
{
    return cmy_fail(COMMY_STATUS_INVALID, "the service name is null: commy_get_all_services() lists all services");
}

int32_t commy_discover_services(commy_handle_t h, const char *name, commy_service_info_t *out, size_t capacity,
                                size_t *count)
{
    return name ? discover(h, name, out, capacity, count) : no_name();
}

int32_t commy_get_all_services(commy_handle_t h, commy_service_info_t *out, size_t capacity, size_t *count)
{
    return discover(h, NULL, out, capacity, count);
}

/* A count or a negated code. */
static int32_t counted(commy_status_t status, size_t count)
{
    if (status != COMMY_STATUS_SUCCESS)
        return -(int32_t)status;
    return count > INT32_MAX ? INT32_MAX : (int32_t)count;
}

int32_t commy_discover_services_count(commy_handle_t h, const char *name)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return -(int32_t)status;
    size_t count = 0;
    status = name ? commy_name_count(handle->mesh, name, &count) : no_name();
    cmy_handle_unpin(&handle);
    return counted(status, count);
}

int32_t commy_get_active_service_count(commy_handle_t h)
{
    size_t count = 0;
    commy_status_t status = discover(h, NULL, NULL, 0, &count);
    return counted(status, count);
}
