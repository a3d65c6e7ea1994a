/* A service's health: asked for, and checked once. */
#include "mesh/monitor.h"

#include <stdio.h>

#include "mesh/curl.h"

commy_status_t commy_service_health(const commy_mesh_t *mesh, const char *id, int32_t *status, double *response_time_ms)
{
    uint32_t record;
    uint64_t state;
    if (!status || !response_time_ms)
        return cmy_mesh_null(status ? "response_time_ms" : "status");
    commy_status_t found = cmy_mesh_look_up(mesh, id, &record, &state);
    if (found != COMMY_STATUS_SUCCESS)
        return found;
    const cmy_region_t *region = mesh->region;
    const cmy_service_shm_t *service = cmy_service_at(region, record);
    int32_t health = cmy_service_health(service);
    uint64_t checked = cmy_checked_read(region, record);
    double ms = cmy_checked_latency_us(checked) / 1000.0;
    if (!cmy_checked_of(checked, state) || cmy_checked_run(checked) == 0) {
        cmy_counts_t counts;
        cmy_counter_read_service(region, record, state, &counts);
        ms = cmy_counts_average_ms(&counts);
    }
    if (!cmy_service_same(service, state))
        return cmy_mesh_no_service(mesh, id);
    *status = health;
    *response_time_ms = ms;
    return COMMY_STATUS_SUCCESS;
}

/* Drives the one ping of a set to its end. */
static commy_status_t run(cmy_pings_t *pings, uint32_t timeout_ms, bool (*stop)(const void *user), const void *user,
                          cmy_outcome_t *outcome)
{
    uint64_t end_ns = cmy_clock_monotonic_ns() + (timeout_ms + CMY_PING_GRACE_MS) * 1000000ull;
    cmy_pings_drive(pings, 0);
    while (!cmy_pings_next(pings, outcome)) {
        if (cmy_clock_monotonic_ns() >= end_ns)
            return cmy_fail(COMMY_STATUS_LIMIT, "libcurl did not end the check within %u ms; is poll(2) refused here?",
                            timeout_ms + CMY_PING_GRACE_MS);
        if (stop && stop(user))
            return COMMY_STATUS_NOT_RUNNING;
        cmy_pings_drive(pings, CMY_WAIT_SLICE_MS);
    }
    if (!outcome->made)
        return cmy_fail(COMMY_STATUS_LIMIT, "%s", outcome->reason);
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t ping(const cmy_aim_t *aim, uint32_t timeout_ms, bool (*stop)(const void *user), const void *user,
                           cmy_outcome_t *outcome)
{
    cmy_pings_t *pings = cmy_pings_make();
    if (!pings)
        return commy_last_error();
    commy_status_t status;
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* libcurl waits where a thread may be cancelled */
    if (cmy_ping_begin(pings, aim, timeout_ms, pings))
        status = run(pings, timeout_ms, stop, user, outcome);
    else
        status = cmy_fail(COMMY_STATUS_NO_MEMORY,
                          "no memory for a health check, or libcurl %s was built without something that it takes",
                          cmy_curl()->version);
    cmy_pings_free(&pings);
    pthread_setcancelstate(cancel, NULL);
    return status;
}

commy_status_t cmy_health_check(const commy_mesh_t *mesh, const char *id, uint64_t timeout_ms,
                                bool (*stop)(const void *user), const void *user, commy_check_result_t *result)
{
    commy_service_info_t info;
    cmy_aim_t aim;
    cmy_outcome_t outcome = {0};
    if (!result)
        return cmy_mesh_null("result");
    if (timeout_ms == 0 || timeout_ms > COMMY_LIMIT_CHECK_TIMEOUT_MS)
        return cmy_fail(COMMY_STATUS_INVALID, "timeout_ms is %llu; give 1 to %llu ms", (unsigned long long)timeout_ms,
                        COMMY_LIMIT_CHECK_TIMEOUT_MS);
    commy_status_t status = commy_service_get(mesh, id, &info);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_aim_make(&info, &aim);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_ping_ready(&aim);
    if (status == COMMY_STATUS_SUCCESS)
        status = ping(&aim, (uint32_t)timeout_ms, stop, user, &outcome);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    *result = (commy_check_result_t){
        .status = outcome.failed ? COMMY_HEALTH_UNHEALTHY : COMMY_HEALTH_HEALTHY,
        .http_status = outcome.http_status,
        .response_time_ms = (double)outcome.latency_us / 1000.0,
    };
    snprintf(result->reason, sizeof result->reason, "%s", outcome.reason);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_service_check(const commy_mesh_t *mesh, const char *id, uint32_t timeout_ms,
                                   commy_check_result_t *result)
{
    return cmy_health_check(mesh, id, timeout_ms, NULL, NULL, result);
}
