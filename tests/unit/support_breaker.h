/* What the tests of circuit breakers share. */
#ifndef COMMY_TESTS_SUPPORT_BREAKER_H
#define COMMY_TESTS_SUPPORT_BREAKER_H

#include "support_registry.h"

static inline void configure(commy_breaker_config_t config)
{
    config.size = sizeof config;
    config.enabled = 1;
    cr_assert_eq(commy_mesh_set_breaker(mesh, &config), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static inline uint64_t reference_of(const char *id)
{
    commy_target_t target;
    cr_assert_eq(commy_service_find(mesh, id, &target), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return target.reference;
}

static inline void report(commy_mesh_t *by, const char *id, bool success, int times)
{
    uint64_t reference = reference_of(id);
    for (int i = 0; i < times; i++)
        cr_assert_eq(commy_service_report(by, reference, 1000, success), COMMY_STATUS_SUCCESS, "%s",
                     commy_last_error_message());
}

static inline commy_breaker_status_t breaker_of(const char *id)
{
    commy_breaker_status_t status;
    cr_assert_eq(commy_service_breaker(mesh, id, &status), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return status;
}

static inline void begin_with(int instances)
{
    begin(64);
    for (int i = 1; i <= instances; i++) {
        char id[16];
        snprintf(id, sizeof id, "web-%d", i);
        add(mesh, "web", id);
    }
}

#endif /* COMMY_TESTS_SUPPORT_BREAKER_H */
