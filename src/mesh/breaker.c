/* Circuit breakers: configuring, asking and resetting them, and seeking one to try; see breaker.h and registry/breaker.h. */
#include "mesh/breaker.h"

/* --------------------------------------------------------------- configuration */

typedef struct bounded {
    const char *what;
    uint64_t value, most, otherwise;
    uint32_t *to;
} bounded_t;

commy_status_t cmy_breaker_check(const commy_breaker_config_t *from, cmy_rules_t *rules)
{
    commy_breaker_config_t config;
    commy_status_t status = cmy_mesh_sized("config", from, &config, sizeof config);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (config.enabled > 1)
        return cmy_fail(COMMY_STATUS_INVALID, "config.enabled is %u; it is 0 or 1", config.enabled);
    uint64_t longest_ms = config.open_ms > 300000 ? config.open_ms : 300000;
    const bounded_t fields[] = {
        {"consecutive_failures", config.consecutive_failures, CMY_RULES_MOST_FAILURES, 5, &rules->streak},
        {"failure_percent", config.failure_percent, 100, 0, &rules->share},
        {"minimum_requests", config.minimum_requests, CMY_RULES_MOST_FAILURES, 20, &rules->minimum},
        {"most_ejected_percent", config.most_ejected_percent, 100, 100, &rules->most},
        {"window_ms", config.window_ms, CMY_RULES_MOST_WINDOW_MS, 10000, &rules->window_ms},
        {"open_ms", config.open_ms, CMY_RULES_MOST_OPEN_MS, 5000, &rules->open_ms},
        {"longest_open_ms", config.longest_open_ms, CMY_RULES_MOST_LONGEST_MS, longest_ms, &rules->longest_ms},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].value > fields[i].most)
            return cmy_fail(COMMY_STATUS_INVALID, "config.%s is %llu; give 1 to %llu, or 0 for the default",
                            fields[i].what, (unsigned long long)fields[i].value, (unsigned long long)fields[i].most);
        *fields[i].to = (uint32_t)(fields[i].value ? fields[i].value : fields[i].otherwise);
    }
    rules->on = config.enabled;
    if (rules->longest_ms >= rules->open_ms)
        return COMMY_STATUS_SUCCESS;
    return cmy_fail(COMMY_STATUS_INVALID,
                    "config.longest_open_ms is %u, which is less than open_ms, %u; give that or more, or 0",
                    rules->longest_ms, rules->open_ms);
}

/* How long before what opens: killed in between, breakers that were off still are. Killed before the announcement: pickers
 * that pass somebody over find that they need not, as they look whether breakers are on. */
void cmy_breaker_configure(cmy_region_t *region, const cmy_rules_t *rules)
{
    if (rules) {
        cmy_store64_release(&region->header->breaker_times, cmy_times_pack(rules));
        cmy_store64_release(&region->header->breaker_rules, cmy_rules_pack(rules));
    } else {
        cmy_and64_acq_rel(&region->header->breaker_rules, ~CMY_RULES_ON);
    }
    cmy_wait_announce_all(region);
}

commy_status_t commy_mesh_set_breaker(commy_mesh_t *mesh, const commy_breaker_config_t *config)
{
    cmy_rules_t rules = {0};
    commy_status_t status = config ? cmy_breaker_check(config, &rules) : COMMY_STATUS_SUCCESS;
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_breaker_configure(mesh->region, config ? &rules : NULL);
    cmy_mesh_exit(mesh);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_mesh_breaker(const commy_mesh_t *mesh, commy_breaker_config_t *config)
{
    if (!config)
        return cmy_mesh_null("config");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const cmy_rules_t rules = cmy_rules(mesh->region);
    *config = (commy_breaker_config_t){
        .size = sizeof *config,
        .enabled = rules.on,
        .consecutive_failures = rules.streak,
        .failure_percent = rules.share,
        .minimum_requests = rules.minimum,
        .most_ejected_percent = rules.most,
        .window_ms = rules.window_ms,
        .open_ms = rules.open_ms,
        .longest_open_ms = rules.longest_ms,
    };
    return COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ of a service */

commy_status_t commy_service_breaker(const commy_mesh_t *mesh, const char *id, commy_breaker_status_t *answer)
{
    uint32_t record;
    uint64_t state;
    if (!answer)
        return cmy_mesh_null("status");
    commy_status_t status = cmy_mesh_look_up(mesh, id, &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_breaker_read(mesh->region, record, state, answer);
    return cmy_service_same(cmy_service_at(mesh->region, record), state) ? COMMY_STATUS_SUCCESS
                                                                         : cmy_mesh_no_service(mesh, id);
}

commy_status_t commy_service_reset_breaker(commy_mesh_t *mesh, const char *id)
{
    uint32_t record;
    uint64_t state;
    commy_status_t status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_mesh_look_up(mesh, id, &record, &state);
    if (status == COMMY_STATUS_SUCCESS)
        cmy_breaker_close(mesh, record, state, COMMY_REASON_RESET);
    cmy_mesh_exit(mesh);
    return status;
}

/* ------------------------------------------------------------------------ seeking */

/* How often a handle that may not try looks whether others were let in: 100 ms. */
#define LOOK_TICKS 6

/*
 * A walk over all that is open begins behind where the last one ended, so that those who come one after another do not pass
 * the same again; one that finds nothing says when to come again. Which of two says that does not matter: a walk that ends
 * with a turn taken says nothing, and what is said too late was too late by the time of one walk.
 */
bool cmy_breaker_seek(commy_mesh_t *mesh, cmy_picker_t *picker, cmy_breaker_fits *fits, void *user)
{
    uint64_t soonest = UINT64_MAX, now = cmy_tick(cmy_clock_monotonic_ns());
    if (now < atomic_load_explicit(&picker->try_at, memory_order_relaxed))
        return false;
    bool joined = atomic_load_explicit(&mesh->phase, memory_order_acquire) == CMY_MESH_JOINED;
    uint32_t first = atomic_load_explicit(&picker->tried, memory_order_relaxed) % picker->open_count;
    for (uint32_t i = 0; i < picker->open_count; i++) {
        uint32_t number = (first + i) % picker->open_count;
        const cmy_pick_t *pick = &picker->open[number];
        uint64_t tick = now + 1; /* of one that would not do: not at every selection */
        uint64_t condition = cmy_load64_relaxed(&cmy_service_at(mesh->region, pick->record)->condition);
        if (!(condition & CMY_CONDITION_OPEN) && cmy_condition_of(condition, pick->state)) {
            atomic_store_explicit(&picker->stale, 1, memory_order_relaxed);
            return false;
        }
        if (joined && fits(user, pick) && cmy_breaker_try(mesh, pick->record, pick->state, &tick)) {
            atomic_store_explicit(&picker->tried, number + 1, memory_order_relaxed);
            return true;
        }
        if (tick < soonest)
            soonest = tick;
    }
    atomic_store_explicit(&picker->try_at, joined ? soonest : now + LOOK_TICKS, memory_order_relaxed);
    return false;
}

uint64_t cmy_breaker_soonest_ms(const cmy_region_t *region, const cmy_picker_t *picker)
{
    uint64_t soonest = UINT64_MAX;
    for (uint32_t i = 0; i < picker->open_count; i++) {
        commy_breaker_status_t status;
        cmy_breaker_read(region, picker->open[i].record, picker->open[i].state, &status);
        if (status.probe_in_ms < soonest)
            soonest = status.probe_in_ms;
    }
    return soonest;
}
