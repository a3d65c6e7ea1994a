/* Notices that find no room: what a program that dispatches seldom is told of those who go, and of health. */
#include <commy/ffi.h>

#include "support_registry.h"

TestSuite(notices, .init = set_up, .fini = tear_down, .timeout = 60);

#define SERVICES 1500 /* the ring holds 1,023 notices */

static commy_handle_t handle;
static uint32_t came, went, worse, better;

static void on_service(void *user, int32_t event, const char *name, const char *id)
{
    (void)user;
    (void)name;
    (void)id;
    came += event == COMMY_CALLBACK_REGISTERED;
    went += event == COMMY_CALLBACK_GONE;
}

static void on_health(void *user, const char *name, const char *id, int32_t before, int32_t now)
{
    (void)user;
    (void)name;
    (void)id;
    worse += before == COMMY_HEALTH_HEALTHY && now == COMMY_HEALTH_UNHEALTHY;
    better += before == COMMY_HEALTH_UNHEALTHY && now == COMMY_HEALTH_HEALTHY;
}

static bool told(const uint32_t *count)
{
    for (uint64_t end = now_ms() + 10000; *count < SERVICES && now_ms() < end;)
        cr_assert_geq(commy_dispatch(handle, 50), 0, "%s", commy_last_error_message());
    cr_assert_eq(commy_dispatch(handle, 200), 0, "and nothing else");
    return *count == SERVICES;
}

static const char *id_of(int number)
{
    static char id[16];
    snprintf(id, sizeof id, "web-%d", number);
    return id;
}

static void begin_full(void)
{
    begin(2048);
    const commy_open_options_t options = options_for(0, 0);
    handle = commy_open_mesh(&options);
    cr_assert_neq(handle.instance_id, 0, "%s", commy_last_error_message());
    for (int i = 0; i < SERVICES; i++)
        add(mesh, "web", id_of(i));
}

Test(notices, everybody_who_went_is_told_of_once_there_is_room)
{
    begin_full();
    cr_assert_eq(commy_set_service_callback(handle, on_service, NULL), 0);
    cr_assert(told(&came), "%u came", came);
    for (int i = 0; i < SERVICES; i++)
        drop(mesh, id_of(i));
    sleep_ms(300); /* until the ring is full */
    cr_assert(told(&went), "%u went", went);
    cr_assert_eq(came, SERVICES);
    commy_ffi_cleanup();
    audit();
}

static void set_all(int32_t health)
{
    for (int i = 0; i < SERVICES; i++)
        cr_assert_eq(commy_service_set_health(mesh, id_of(i), health), COMMY_STATUS_SUCCESS);
    sleep_ms(300);
}

Test(notices, the_health_of_everybody_is_told_once_there_is_room)
{
    begin_full();
    cr_assert_eq(commy_set_health_callback(handle, on_health, NULL), 0);
    cr_assert_eq(commy_dispatch(handle, 200), 0, "healthy is what a service is at first");
    set_all(COMMY_HEALTH_UNHEALTHY);
    cr_assert(told(&worse), "%u of them", worse);
    set_all(COMMY_HEALTH_HEALTHY);
    cr_assert(told(&better), "%u of them", better);
    cr_assert_eq(worse, SERVICES);
    commy_ffi_cleanup();
    audit();
}
