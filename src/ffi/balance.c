/*
 * The language ABI: how a handle selects, and selecting.
 *
 * Most selections need a picker that is there, and run in a read section. The few that make one hold a reference to the
 * handle instead, since they may wait for read sections (handle.h, mesh/select.h).
 */
#include <commy/ffi.h>

#include "base/error.h"
#include "ffi/handle.h"
#include "mesh/select.h"

commy_status_t cmy_handle_check_balancer(const commy_load_balancer_config_t *config)
{
    if (!config)
        return cmy_fail(COMMY_STATUS_INVALID, "config is null; pass one");
    commy_status_t status = cmy_policy_check(config->algorithm);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (config->enable_circuit_breaker > 1)
        return cmy_fail(COMMY_STATUS_INVALID, "enable_circuit_breaker is %u; it is 0 or 1",
                        config->enable_circuit_breaker);
    if (config->enable_circuit_breaker && config->circuit_breaker_threshold == 0)
        return cmy_fail(COMMY_STATUS_INVALID, "circuit_breaker_threshold is 0 failures; give 1 or more");
    if (config->enable_circuit_breaker && config->circuit_breaker_timeout_ms == 0)
        return cmy_fail(COMMY_STATUS_INVALID, "circuit_breaker_timeout_ms is 0; give 1 or more");
    return COMMY_STATUS_SUCCESS;
}

void cmy_handle_set_balancer(cmy_handle_t *handle, const commy_load_balancer_config_t *config)
{
    pthread_mutex_lock(&handle->turn);
    handle->balancer = *config;
    atomic_store_explicit(&handle->policy, config->algorithm, memory_order_relaxed);
    pthread_mutex_unlock(&handle->turn);
}

int32_t commy_configure_load_balancer(commy_handle_t h, const commy_load_balancer_config_t *config)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_ANY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_handle_check_balancer(config);
    if (status == COMMY_STATUS_SUCCESS)
        cmy_handle_set_balancer(handle, config);
    cmy_handle_unpin(&handle);
    return status;
}

static commy_status_t select_slowly(commy_handle_t h, const char *name, const char *client_id, commy_target_t *target)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const commy_select_options_t options = {
        .size = sizeof(options),
        .policy = atomic_load_explicit(&handle->policy, memory_order_relaxed),
        .client_id = client_id,
    };
    status = commy_service_select(handle->mesh, name, &options, target);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_select_service(commy_handle_t h, const char *name, const char *client_id, commy_target_t *target)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (__builtin_expect(status != COMMY_STATUS_SUCCESS, 0))
        return status;
    bool selected = cmy_select_at_once(handle->mesh, name, atomic_load_explicit(&handle->policy, memory_order_relaxed),
                                       client_id, target);
    cmy_handle_exit();
    return __builtin_expect(selected, 1) ? COMMY_STATUS_SUCCESS : select_slowly(h, name, client_id, target);
}
