/*
 * Requests: begun, ended, reported, and what there is to know of their latencies.
 *
 * begin:  count it in the participant's cell (stat/flight.h), then open a token. Killed in between: in flight, of a process
 *         that is dead. No token left: the cell is lowered again.
 * end:    close the token, which decides among several ends; count the request; lower the cell. Killed in between:
 *         counted or not, and in flight no more.
 */
#include "registry/breaker.h"

static commy_status_t gone(const commy_mesh_t *mesh, uint64_t reference)
{
    return cmy_fail(COMMY_STATUS_NOT_FOUND,
                    "reference %llu names no live registration of mesh %s any more; find the service again",
                    (unsigned long long)reference, mesh->region->mesh);
}

/* Tells the breaker of a report that was counted; where the handle is leaving, nobody. */
static __attribute__((cold, noinline)) commy_status_t heed(commy_mesh_t *mesh, uint64_t reference, bool success)
{
    uint32_t record;
    uint64_t state;
    if ((success || cmy_rules_on(mesh->region)) && cmy_mesh_begin(mesh)) {
        if (cmy_service_refer(mesh->region, reference, &record, &state))
            cmy_breaker_heed(mesh, record, state, success);
        cmy_mesh_exit(mesh);
    }
    return COMMY_STATUS_SUCCESS;
}

/* The first report on a service, or by the handle, and whatever goes wrong. */
static __attribute__((cold)) commy_status_t report_slowly(commy_mesh_t *mesh, uint64_t reference, uint64_t latency_ns,
                                                          bool success)
{
    uint32_t record;
    uint64_t state;
    commy_status_t status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = COMMY_STATUS_NOT_FOUND;
    if (cmy_service_refer(mesh->region, reference, &record, &state))
        status = cmy_counter_report(&mesh->actor, record, state, latency_ns, success);
    if (status == COMMY_STATUS_SUCCESS)
        cmy_breaker_heed(mesh, record, state, success);
    cmy_mesh_exit(mesh);
    return status == COMMY_STATUS_NOT_FOUND ? gone(mesh, reference) : status;
}

/*
 * Counting in a block that is there needs no section: it claims nothing and acts under nobody's name, so that a leave need not
 * wait for it, and the section would cost as much as the additions. The mapping stays: detaching is the handle's last call.
 */
commy_status_t commy_service_report(commy_mesh_t *mesh, uint64_t reference, uint64_t latency_ns, bool success)
{
    uint32_t record;
    uint64_t state;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (__builtin_expect(status != COMMY_STATUS_SUCCESS, 0))
        return status;
    cmy_region_t *region = mesh->region;
    if (__builtin_expect(atomic_load_explicit(&mesh->phase, memory_order_acquire) != CMY_MESH_JOINED, 0) ||
        !cmy_service_refer(region, reference, &record, &state))
        return report_slowly(mesh, reference, latency_ns, success);
    cmy_tally_shm_t *tally = cmy_tally_linked(region, record, state);
    if (__builtin_expect(tally == NULL, 0))
        return report_slowly(mesh, reference, latency_ns, success);
    cmy_counter_add_here(region, tally, latency_ns, success);
    bool heeds = !success || cmy_breaker_heeds(cmy_service_at(region, record), tally);
    return __builtin_expect(heeds, 0) ? heed(mesh, reference, success) : COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ in flight */

/* The handle's table, made by the first who wants it. A section is open, which leaving waits for. */
static commy_status_t tokens_of(commy_mesh_t *mesh, cmy_tokens_t **tokens)
{
    *tokens = cmy_rcu_load(&mesh->tokens);
    if (*tokens)
        return COMMY_STATUS_SUCCESS;
    cmy_tokens_t *made, *seen = NULL;
    commy_status_t status = cmy_tokens_make(&made);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (cmy_rcu_swap(&mesh->tokens, &seen, made)) {
        *tokens = made;
        return COMMY_STATUS_SUCCESS;
    }
    cmy_tokens_free(&made);
    *tokens = seen;
    return COMMY_STATUS_SUCCESS;
}

/* In an open section. NOT_FOUND without a sentence. */
static commy_status_t begin(commy_mesh_t *mesh, uint64_t reference, uint64_t *token)
{
    uint32_t record;
    uint64_t state;
    cmy_tokens_t *tokens;
    cmy_flight_t flight;
    commy_status_t status = tokens_of(mesh, &tokens);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!cmy_service_refer(mesh->region, reference, &record, &state))
        return COMMY_STATUS_NOT_FOUND;
    status = cmy_flight_begin(&mesh->actor, record, state, &flight);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_token_open(tokens, &flight, token);
    if (status != COMMY_STATUS_SUCCESS)
        cmy_flight_drop(&mesh->actor, &flight);
    return status;
}

commy_status_t commy_service_begin(commy_mesh_t *mesh, uint64_t reference, uint64_t *token)
{
    if (!token)
        return cmy_mesh_null("token");
    *token = 0;
    commy_status_t status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = begin(mesh, reference, token);
    cmy_mesh_exit(mesh);
    return status == COMMY_STATUS_NOT_FOUND ? gone(mesh, reference) : status;
}

/* Tells the breaker of a request that was ended and counted. */
static __attribute__((cold, noinline)) void heed_end(commy_mesh_t *mesh, const cmy_flight_t *flight, bool success)
{
    uint64_t state = cmy_load64_acquire(&cmy_service_at(mesh->region, flight->service)->state);
    if ((success || cmy_rules_on(mesh->region)) && cmy_link_of(flight->link, state) &&
        cmy_state_phase(state) == CMY_LIVE)
        cmy_breaker_heed(mesh, flight->service, state, success);
}

static commy_status_t not_open(uint64_t token)
{
    return cmy_fail(
        COMMY_STATUS_INVALID,
        "token %llu is of no open request of this handle: it was ended before, or by leaving the mesh, or is "
        "another handle's",
        (unsigned long long)token);
}

commy_status_t commy_service_end(commy_mesh_t *mesh, uint64_t token, uint64_t latency_ns, bool success)
{
    cmy_flight_t flight;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    /* A handle that never joined has begun nothing, and need not join to be told so. */
    if (mesh->region->writable && atomic_load_explicit(&mesh->phase, memory_order_acquire) == CMY_MESH_ATTACHED)
        return not_open(token);
    status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_tokens_t *tokens = cmy_rcu_load(&mesh->tokens);
    bool open = tokens && cmy_token_close(tokens, token, &flight);
    if (open) {
        const cmy_tally_shm_t *tally = cmy_flight_end(&mesh->actor, &flight, latency_ns, success);
        const cmy_service_shm_t *service = cmy_service_at(mesh->region, flight.service);
        if (__builtin_expect(tally && (!success || cmy_breaker_heeds(service, tally)), 0))
            heed_end(mesh, &flight, success);
    }
    cmy_mesh_exit(mesh);
    return open ? COMMY_STATUS_SUCCESS : not_open(token);
}

/* ------------------------------------------------------------------ counters of a name */

static commy_status_t no_instance(const commy_mesh_t *mesh, const char *name)
{
    return cmy_fail(COMMY_STATUS_NOT_FOUND,
                    "service name '%s' has no instance in mesh %s of %s; `commy ls` shows which have", name,
                    mesh->region->mesh, mesh->region->dir);
}

/* Adds what an instance counts; false where it went meanwhile. */
static bool add_instance(const cmy_region_t *region, const commy_view_t *view, cmy_counts_t *sum, uint64_t *in_flight)
{
    cmy_counts_t counts;
    cmy_counter_read_service(region, view->_index, view->_state, &counts);
    uint32_t flying = cmy_flight_count(region, view->_index, view->_state);
    if (!cmy_service_same(cmy_service_at(region, view->_index), view->_state))
        return false;
    sum->successes += counts.successes;
    sum->failures += counts.failures;
    sum->latency_ns += counts.latency_ns;
    *in_flight += flying;
    return true;
}

commy_status_t commy_name_stats(const commy_mesh_t *mesh, const char *name, commy_service_stats_t *stats)
{
    commy_iterator_t iterator;
    commy_view_t view;
    cmy_counts_t sum = {0};
    uint64_t in_flight = 0;
    bool any = false;
    if (!stats)
        return cmy_mesh_null("stats");
    commy_status_t status = commy_iterate_name(mesh, name, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    while (commy_iterate_next(mesh, &iterator, &view))
        any |= add_instance(mesh->region, &view, &sum, &in_flight);
    if (!any)
        return no_instance(mesh, name);
    *stats = (commy_service_stats_t){
        .total_requests = sum.successes + sum.failures,
        .successful_requests = sum.successes,
        .failed_requests = sum.failures,
        .average_response_time_ms = cmy_counts_average_ms(&sum),
        .in_flight = in_flight,
    };
    return COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ latencies */

static commy_status_t check_quantile(double quantile)
{
    if (quantile >= 0.0 && quantile <= 1.0) /* not so for what is no number */
        return COMMY_STATUS_SUCCESS;
    return cmy_fail(COMMY_STATUS_INVALID, "the quantile is %g; give one from 0 to 1: 0.99 for the 99th percentile",
                    quantile);
}

/* All services that count. One that goes while it is read adds what its block held then, or nothing. */
static void read_mesh(const cmy_region_t *region, cmy_latencies_t *latencies)
{
    for (uint32_t record = 0; cmy_region_holds(region, CMY_SERVICES, record); record++) {
        const cmy_service_shm_t *service = cmy_service_at(region, record);
        uint64_t state = cmy_load64_acquire(&service->state);
        if (cmy_service_visible(region, service, state))
            cmy_latency_read_service(region, record, state, latencies);
    }
}

commy_status_t commy_service_latency(const commy_mesh_t *mesh, const char *id, double quantile, uint64_t *ns)
{
    uint32_t record;
    uint64_t state;
    cmy_latencies_t latencies = {0};
    if (!ns)
        return cmy_mesh_null("ns");
    *ns = 0;
    commy_status_t status = check_quantile(quantile);
    if (status == COMMY_STATUS_SUCCESS)
        status = id ? cmy_mesh_look_up(mesh, id, &record, &state) : cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (id)
        cmy_latency_read_service(mesh->region, record, state, &latencies);
    else
        read_mesh(mesh->region, &latencies);
    if (id && !cmy_service_same(cmy_service_at(mesh->region, record), state))
        return cmy_mesh_no_service(mesh, id);
    *ns = cmy_latency_quantile(&latencies, quantile);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_name_latency(const commy_mesh_t *mesh, const char *name, double quantile, uint64_t *ns)
{
    commy_iterator_t iterator;
    commy_view_t view;
    cmy_latencies_t latencies = {0};
    bool any = false;
    if (!ns)
        return cmy_mesh_null("ns");
    *ns = 0;
    commy_status_t status = check_quantile(quantile);
    if (status == COMMY_STATUS_SUCCESS)
        status = commy_iterate_name(mesh, name, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    for (; commy_iterate_next(mesh, &iterator, &view); any = true) /* of one that goes meanwhile as above */
        cmy_latency_read_service(mesh->region, view._index, view._state, &latencies);
    if (!any)
        return no_instance(mesh, name);
    *ns = cmy_latency_quantile(&latencies, quantile);
    return COMMY_STATUS_SUCCESS;
}
