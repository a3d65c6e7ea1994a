/*
 * The language ABI: health. Monitoring may open a library and start a thread, a check waits for an answer: both hold a
 * reference to the handle (handle.h), and whoever stops or destroys it does not wait for the answer.
 */
#include <commy/ffi.h>

#include "base/error.h"
#include "ffi/handle.h"
#include "mesh/monitor.h"

int32_t commy_configure_mesh(commy_handle_t h, const commy_health_config_t *health,
                             const commy_load_balancer_config_t *balancer)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_ANY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (health)
        status = cmy_health_config_check(health);
    if (status == COMMY_STATUS_SUCCESS && balancer)
        status = cmy_handle_check_balancer(balancer);
    if (status == COMMY_STATUS_SUCCESS && balancer)
        status = cmy_handle_set_balancer(handle, balancer);
    if (status == COMMY_STATUS_SUCCESS && health) {
        pthread_mutex_lock(&handle->turn);
        handle->health = *health;
        pthread_mutex_unlock(&handle->turn);
    }
    cmy_handle_unpin(&handle);
    return status;
}

/* As configured; false: never. */
static bool configured(cmy_handle_t *handle, commy_health_config_t *config)
{
    pthread_mutex_lock(&handle->turn);
    *config = handle->health;
    pthread_mutex_unlock(&handle->turn);
    return config->check_interval_ms != 0;
}

int32_t commy_start_health_monitoring(commy_handle_t h, const char *id, const commy_health_config_t *config)
{
    cmy_handle_t *handle;
    commy_health_config_t own;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!config && configured(handle, &own))
        config = &own;
    status = commy_service_monitor(handle->mesh, id, config);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_stop_health_monitoring(commy_handle_t h, const char *id)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_unmonitor(handle->mesh, id);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_get_service_health(commy_handle_t h, const char *id, int32_t *status, double *response_time_ms)
{
    cmy_handle_t *handle;
    commy_status_t code = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (code != COMMY_STATUS_SUCCESS)
        return code;
    code = commy_service_health(handle->mesh, id, status, response_time_ms);
    cmy_handle_exit();
    return code;
}

static bool given_up(const void *user)
{
    const cmy_handle_t *handle = user;
    return cmy_handle_closing(handle) || !cmy_handle_runs_for(handle, CMY_HANDLE_FOR_QUERY);
}

int32_t commy_manual_health_check(commy_handle_t h, const char *id, int32_t *status, double *response_time_ms)
{
    cmy_handle_t *handle;
    commy_health_config_t config;
    commy_check_result_t result;
    if (!status || !response_time_ms)
        return cmy_mesh_null(status ? "response_time_ms" : "status");
    commy_status_t code = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (code != COMMY_STATUS_SUCCESS)
        return code;
    uint64_t timeout_ms = configured(handle, &config) ? config.timeout_ms : COMMY_DEFAULT_CHECK_TIMEOUT_MS;
    code = cmy_health_check(handle->mesh, id, timeout_ms, given_up, handle, &result);
    if (code == COMMY_STATUS_SUCCESS) {
        *status = result.status;
        *response_time_ms = result.response_time_ms;
    } else if (code == COMMY_STATUS_NOT_RUNNING) {
        cmy_fail(code, "handle %llu was stopped or destroyed during the check", (unsigned long long)h.instance_id);
    }
    cmy_handle_unpin(&handle);
    return code;
}
