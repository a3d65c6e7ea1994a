/*
 * The language ABI: registering services, changing them, and reporting on them.
 *
 * What may reserve memory or touch many records holds a reference to its handle; what is done after a lookup and an
 * atomic operation or two (heartbeat, weight, health, admin state, reports, requests) runs in a read section (handle.h).
 */
#include <commy/ffi.h>

#include "base/error.h"
#include "ffi/handle.h"

int32_t commy_register_service(commy_handle_t h, const commy_service_config_t *config)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_register(handle->mesh, config, NULL);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_register_service_simple(commy_handle_t h, const char *name, const char *id, const char *endpoint,
                                      uint16_t port)
{
    const commy_service_config_t config = {
        .size = sizeof(config), .service_name = name, .service_id = id, .endpoint = endpoint, .port = port};
    return commy_register_service(h, &config);
}

int32_t commy_unregister_service(commy_handle_t h, const char *id)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_unregister(handle->mesh, id);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_update_service_metadata(commy_handle_t h, const char *id, const char *metadata)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_set_metadata(handle->mesh, id, metadata);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_set_service_weight(commy_handle_t h, const char *id, uint32_t weight)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_set_weight(handle->mesh, id, weight);
    cmy_handle_exit();
    return status;
}

int32_t commy_set_health(commy_handle_t h, const char *id, int32_t health)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_set_health(handle->mesh, id, health);
    cmy_handle_exit();
    return status;
}

int32_t commy_set_admin(commy_handle_t h, const char *id, int32_t admin)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_set_admin(handle->mesh, id, admin);
    cmy_handle_exit();
    return status;
}

int32_t commy_heartbeat(commy_handle_t h, const char *id)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_heartbeat(handle->mesh, id);
    cmy_handle_exit();
    return status;
}

int32_t commy_report(commy_handle_t h, uint64_t reference, uint64_t latency_ns, int32_t success)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_report(handle->mesh, reference, latency_ns, success != 0);
    cmy_handle_exit();
    return status;
}

int32_t commy_report_service_performance(commy_handle_t h, const char *id, uint64_t response_time_ms, int32_t success)
{
    const uint64_t ns_per_ms = 1000000;
    uint64_t latency_ns = response_time_ms > UINT64_MAX / ns_per_ms ? UINT64_MAX : response_time_ms * ns_per_ms;
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    commy_view_t view;
    status = commy_service_view(handle->mesh, id, &view);
    if (status == COMMY_STATUS_SUCCESS)
        status = commy_service_report(handle->mesh, view.reference, latency_ns, success != 0);
    cmy_handle_exit();
    return status;
}

int32_t commy_begin_request(commy_handle_t h, uint64_t reference, uint64_t *token)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_begin(handle->mesh, reference, token);
    cmy_handle_exit();
    return status;
}

int32_t commy_end_request(commy_handle_t h, uint64_t token, uint64_t latency_ns, int32_t success)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_end(handle->mesh, token, latency_ns, success != 0);
    cmy_handle_exit();
    return status;
}
