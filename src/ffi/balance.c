/*
 * The language ABI: how a handle selects, selecting, and what came of it.
 *
 * Most selections need a picker that is there, and run in a read section. The few that make one hold a reference to the
 * handle instead, since they may wait for read sections (handle.h, mesh/select.h).
 */
#include <commy/ffi.h>

#include "base/error.h"
#include "ffi/handle.h"
#include "mesh/breaker.h"
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

/* The mesh's breakers: threshold and time-out are the handle's to say, all else stays as the mesh has it. Off: only by who
 * switched them on, since a handle that says nothing of breakers should not end those of others. */
static commy_status_t configure_breaker(const cmy_handle_t *handle, const commy_load_balancer_config_t *config)
{
    commy_breaker_config_t breaker;
    cmy_rules_t rules;
    if (!config->enable_circuit_breaker && !handle->balancer.enable_circuit_breaker)
        return COMMY_STATUS_SUCCESS;
    commy_status_t status = commy_mesh_breaker(handle->mesh, &breaker);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!handle->mesh->region->writable)
        return cmy_fail(
            COMMY_STATUS_READ_ONLY,
            "circuit breakers are the mesh's, and this handle is attached read-only: attach it for writing, "
            "or set enable_circuit_breaker to 0");
    breaker.enabled = 1;
    breaker.consecutive_failures = config->circuit_breaker_threshold;
    breaker.open_ms = config->circuit_breaker_timeout_ms;
    if (breaker.longest_open_ms < breaker.open_ms)
        breaker.longest_open_ms = 0;
    if (config->enable_circuit_breaker)
        status = cmy_breaker_check(&breaker, &rules);
    if (status == COMMY_STATUS_SUCCESS)
        cmy_breaker_configure(handle->mesh->region, config->enable_circuit_breaker ? &rules : NULL);
    return status;
}

commy_status_t cmy_handle_set_balancer(cmy_handle_t *handle, const commy_load_balancer_config_t *config)
{
    pthread_mutex_lock(&handle->turn);
    commy_status_t status = configure_breaker(handle, config);
    if (status == COMMY_STATUS_SUCCESS) {
        handle->balancer = *config;
        atomic_store_explicit(&handle->policy, config->algorithm, memory_order_relaxed);
    }
    pthread_mutex_unlock(&handle->turn);
    return status;
}

int32_t commy_configure_load_balancer(commy_handle_t h, const commy_load_balancer_config_t *config)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_ANY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_handle_check_balancer(config);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_handle_set_balancer(handle, config);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_get_circuit_breaker_status(commy_handle_t h, const char *id, int32_t *state, uint32_t *failures)
{
    cmy_handle_t *handle;
    commy_breaker_status_t breaker;
    if (!state && !failures)
        return cmy_fail(COMMY_STATUS_INVALID, "state and failures are null; pass one at least");
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_breaker(handle->mesh, id, &breaker);
    cmy_handle_exit();
    if (status == COMMY_STATUS_SUCCESS && state)
        *state = breaker.state;
    if (status == COMMY_STATUS_SUCCESS && failures)
        *failures = breaker.failures;
    return status;
}

int32_t commy_reset_circuit_breaker(commy_handle_t h, const char *id)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_CHANGE, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_service_reset_breaker(handle->mesh, id);
    cmy_handle_exit();
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

int32_t commy_get_load_balancer_stats(commy_handle_t h, const char *name, uint64_t *total, uint64_t *successful,
                                      uint64_t *failed, double *average_ms)
{
    cmy_handle_t *handle;
    commy_service_stats_t stats;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_name_stats(handle->mesh, name, &stats);
    cmy_handle_unpin(&handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (total)
        *total = stats.total_requests;
    if (successful)
        *successful = stats.successful_requests;
    if (failed)
        *failed = stats.failed_requests;
    if (average_ms)
        *average_ms = stats.average_response_time_ms;
    return COMMY_STATUS_SUCCESS;
}
