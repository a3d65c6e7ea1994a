/*
 * The language ABI: what every function does with handles that are none, with null pointers and in forked children; the
 * life of a handle; and what languages rely on beyond commy.h (counts, codes of a batch, the error record).
 */
#include <commy/ffi.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define HANDLES 1024 /* that a process can have open */

static void set_up(void)
{
    test_dir_make();
}

static void tear_down(void)
{
    commy_ffi_cleanup();
    test_dir_destroy();
}

TestSuite(ffi, .init = set_up, .fini = tear_down, .timeout = 60);

static commy_handle_t open_with(uint32_t flags, const char *node_id)
{
    const commy_open_options_t options = {
        .size = sizeof(options), .flags = flags, .dir = test_dir, .mesh = "m", .node_id = node_id, .capacity = 16};
    return commy_open_mesh(&options);
}

static commy_handle_t open_one(void)
{
    commy_handle_t h = open_with(0, "tester");
    cr_assert_neq(h.instance_id, 0, "%s", commy_last_error_message());
    return h;
}

static void add(commy_handle_t h, const char *name, const char *id)
{
    int32_t code = commy_register_service_simple(h, name, id, "127.0.0.1", 8080);
    cr_assert_eq(code, 0, "%s: %s", id, commy_last_error_message());
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ------------------------------------------- every function that takes a handle, with sound parameters otherwise */

static commy_service_info_t info;
static commy_target_t target;
static commy_mesh_stats_t stats;
static size_t count;
static uint64_t version, watch;
static int32_t codes[1];
static char text[64];
static const char *const ids[] = {"a-1"};
static const commy_service_config_t config = {
    .size = sizeof(config), .service_name = "a", .service_id = "a-2", .endpoint = "127.0.0.1", .port = 80};

static double milliseconds;
static const commy_health_config_t health = {1000, 100, 2, 2};
static const commy_load_balancer_config_t balancer = {.algorithm = COMMY_POLICY_CONSISTENT_HASH};

static int32_t call_node_id(commy_handle_t h)
{
    char *node = commy_get_node_id(h);
    commy_free_string(node);
    return node ? 0 : commy_last_error();
}

#define CALL(function, expression)                                                                                     \
    static int32_t function(commy_handle_t h)                                                                          \
    {                                                                                                                  \
        return (expression);                                                                                           \
    }
CALL(call_running, commy_is_mesh_running(h))
CALL(call_stats, commy_get_mesh_stats(h, &stats))
CALL(call_register_simple, commy_register_service_simple(h, "a", "a-1", "127.0.0.1", 80))
CALL(call_register, commy_register_service(h, &config))
CALL(call_count, commy_discover_services_count(h, "a"))
CALL(call_active, commy_get_active_service_count(h))
CALL(call_discover, commy_discover_services(h, "a", &info, 1, &count))
CALL(call_all, commy_get_all_services(h, &info, 1, &count))
CALL(call_get, commy_get_service(h, "a-1", &info))
CALL(call_find, commy_find(h, "a-1", &target))
CALL(call_find_many, commy_find_many(h, ids, 1, &target, codes))
CALL(call_metadata, commy_get_service_metadata(h, "a-1", text, sizeof(text), &count))
CALL(call_update, commy_update_service_metadata(h, "a-1", "{}"))
CALL(call_weight, commy_set_service_weight(h, "a-1", 5))
CALL(call_set_health, commy_set_health(h, "a-1", COMMY_HEALTH_DEGRADED))
CALL(call_admin, commy_set_admin(h, "a-1", COMMY_ADMIN_ENABLED))
CALL(call_heartbeat, commy_heartbeat(h, "a-1"))
CALL(call_report_by_id, commy_report_service_performance(h, "a-1", 3, 1))
CALL(call_report, commy_report(h, target.reference, 3000, 1))
CALL(call_wait, commy_wait(h, NULL, 0, 0, &version))
CALL(call_watch_open, commy_watch_open(h, "a", &watch))
CALL(call_on_service, commy_set_service_callback(h, NULL, NULL))
CALL(call_on_health, commy_set_health_callback(h, NULL, NULL))
CALL(call_dispatch, commy_dispatch(h, 0))
CALL(call_configure, commy_configure_load_balancer(h, &balancer))
CALL(call_select, commy_select_service(h, "a", "me", &target))
CALL(call_balancer_stats, commy_get_load_balancer_stats(h, "a", NULL, NULL, NULL, NULL))
CALL(call_configure_mesh, commy_configure_mesh(h, &health, &balancer))
CALL(call_monitor, commy_start_health_monitoring(h, "a-1", NULL))
CALL(call_unmonitor, commy_stop_health_monitoring(h, "a-1"))
CALL(call_health, commy_get_service_health(h, "a-1", codes, &milliseconds))
CALL(call_check, commy_manual_health_check(h, "a-1", codes, &milliseconds))
CALL(call_unregister, commy_unregister_service(h, "a-1"))
CALL(call_start, commy_start_mesh(h))
CALL(call_stop, commy_stop_mesh(h))
CALL(call_destroy, commy_destroy_mesh(h))

/* In an order in which all succeed on a fresh handle. serves: refused after a stop. */
static const struct {
    const char *name;
    int32_t (*call)(commy_handle_t);
    bool serves, counts;
} every[] = {
    {"get_node_id", call_node_id, false, false},
    {"is_mesh_running", call_running, false, true},
    {"get_mesh_stats", call_stats, true, false},
    {"register_service_simple", call_register_simple, true, false},
    {"register_service", call_register, true, false},
    {"discover_services_count", call_count, true, true},
    {"get_active_service_count", call_active, true, true},
    {"discover_services", call_discover, true, false},
    {"get_all_services", call_all, true, false},
    {"get_service", call_get, true, false},
    {"find", call_find, true, false},
    {"find_many", call_find_many, true, false},
    {"update_service_metadata", call_update, true, false},
    {"get_service_metadata", call_metadata, true, false},
    {"set_service_weight", call_weight, true, false},
    {"set_health", call_set_health, true, false},
    {"set_admin", call_admin, true, false},
    {"heartbeat", call_heartbeat, true, false},
    {"report_service_performance", call_report_by_id, true, false},
    {"report", call_report, true, false},
    {"wait", call_wait, true, false},
    {"watch_open", call_watch_open, true, false},
    {"set_service_callback", call_on_service, true, false},
    {"set_health_callback", call_on_health, true, false},
    {"dispatch", call_dispatch, true, true},
    {"configure_load_balancer", call_configure, false, false},
    {"select_service", call_select, true, false},
    {"get_load_balancer_stats", call_balancer_stats, true, false},
    {"configure_mesh", call_configure_mesh, false, false},
    {"start_health_monitoring", call_monitor, true, false},
    {"stop_health_monitoring", call_unmonitor, true, false},
    {"get_service_health", call_health, true, false},
    {"manual_health_check", call_check, true, false},
    {"unregister_service", call_unregister, true, false},
    {"start_mesh", call_start, false, false},
    {"stop_mesh", call_stop, false, false},
    {"destroy_mesh", call_destroy, false, false},
};
#define EVERY (sizeof(every) / sizeof(every[0]))

/* What call i came to as a code, however it returns it. */
static int32_t code_of(size_t i, commy_handle_t h)
{
    int32_t code = every[i].call(h);
    return !every[i].counts ? code : code < 0 ? -code : 0;
}

static void all_refuse(commy_handle_t h, int32_t expected)
{
    for (size_t i = 0; i < EVERY; i++) {
        int32_t code = code_of(i, h);
        cr_assert_eq(code, expected, "commy_%s(%llu) gave %d", every[i].name, (unsigned long long)h.instance_id, code);
        cr_assert_eq(commy_last_error(), expected);
        cr_assert_neq(commy_last_error_message()[0], '\0');
    }
}

Test(ffi, every_function_succeeds_on_a_sound_handle)
{
    commy_handle_t h = open_one();
    for (size_t i = 0; i < EVERY; i++)
        cr_assert_eq(code_of(i, h), 0, "commy_%s: %s", every[i].name, commy_last_error_message());
}

Test(ffi, every_function_refuses_a_handle_that_is_none)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    const uint64_t none[] = {0,
                             1,
                             HANDLES,
                             h.instance_id + 1,
                             h.instance_id + HANDLES,
                             h.instance_id - HANDLES,
                             h.instance_id | 1ull << 63,
                             UINT64_MAX,
                             0xdeadbeefcafef00dull};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        all_refuse((commy_handle_t){none[i]}, COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_find(h, "a-1", &target), 0, "the sound handle beside them works");
}

Test(ffi, every_function_refuses_a_destroyed_handle_even_when_its_slot_was_taken_again)
{
    commy_handle_t old = open_one();
    cr_assert_eq(commy_destroy_mesh(old), 0);
    all_refuse(old, COMMY_STATUS_NO_HANDLE);
    commy_handle_t next = open_one();
    all_refuse(old, COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_is_mesh_running(next), 0);
}

Test(ffi, null_pointers_are_invalid_parameters)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    const char *const holes[] = {"a-1", NULL};
    commy_target_t two[2];
    int32_t their[2];
    const int32_t given[] = {
        commy_get_mesh_stats(h, NULL),
        commy_register_service(h, NULL),
        commy_register_service_simple(h, NULL, "b", "e", 1),
        commy_register_service_simple(h, "b", NULL, "e", 1),
        commy_register_service_simple(h, "b", "b", NULL, 1),
        commy_unregister_service(h, NULL),
        -commy_discover_services_count(h, NULL),
        commy_discover_services(h, NULL, NULL, 0, &count),
        commy_discover_services(h, "a", NULL, 0, NULL),
        commy_discover_services(h, "a", NULL, 1, &count),
        commy_get_all_services(h, NULL, 0, NULL),
        commy_get_all_services(h, NULL, 1, &count),
        commy_get_service(h, NULL, &info),
        commy_get_service(h, "a-1", NULL),
        commy_find(h, NULL, &target),
        commy_find(h, "a-1", NULL),
        commy_find_many(h, NULL, 1, two, their),
        commy_find_many(h, holes, 1, NULL, their),
        commy_find_many(h, holes, 1, two, NULL),
        commy_find_many(h, holes, 2, two, their),
        commy_get_service_metadata(h, NULL, text, sizeof(text), &count),
        commy_get_service_metadata(h, "a-1", NULL, sizeof(text), &count),
        commy_update_service_metadata(h, NULL, "{}"),
        commy_set_service_weight(h, NULL, 1),
        commy_set_health(h, NULL, 1),
        commy_set_health(h, "a-1", 4),
        commy_set_admin(h, NULL, 1),
        commy_set_admin(h, "a-1", 3),
        commy_get_load_balancer_stats(h, NULL, NULL, NULL, NULL, NULL),
        commy_heartbeat(h, NULL),
        commy_report_service_performance(h, NULL, 1, 1),
        commy_wait(h, NULL, 0, 0, NULL),
        commy_configure_load_balancer(h, NULL),
        commy_watch_open(h, "a", NULL),
        commy_watch_open(h, "", &version),
        commy_select_service(h, NULL, NULL, &target),
        commy_select_service(h, "a", NULL, NULL),
        commy_start_health_monitoring(h, NULL, NULL),
        commy_stop_health_monitoring(h, NULL),
        commy_get_service_health(h, NULL, codes, &milliseconds),
        commy_get_service_health(h, "a-1", NULL, &milliseconds),
        commy_get_service_health(h, "a-1", codes, NULL),
        commy_manual_health_check(h, NULL, codes, &milliseconds),
        commy_manual_health_check(h, "a-1", NULL, &milliseconds),
        commy_manual_health_check(h, "a-1", codes, NULL),
        commy_set_health(h, NULL, 1),
        commy_set_admin(h, NULL, 1),
    };
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
        cr_expect_eq(given[i], COMMY_STATUS_INVALID, "call %zu gave %d", i, given[i]);
    cr_assert_eq(their[0], COMMY_STATUS_SUCCESS);
    cr_assert_eq(their[1], COMMY_STATUS_INVALID);
    commy_free_string(NULL);
    cr_assert_eq(commy_update_service_metadata(h, "a-1", NULL), 0, "no metadata is null metadata");
    cr_assert_eq(commy_get_service_metadata(h, "a-1", NULL, 0, NULL), 0);
    cr_assert_eq(commy_find_many(h, NULL, 0, NULL, NULL), 0, "nothing to find");
    cr_assert_eq(commy_get_active_service_count(h), 1, "nothing was changed");
}

/* ----------------------------------------------------------------- selecting */

Test(ffi, selecting_follows_what_the_handle_was_configured_to)
{
    commy_handle_t h = open_one();
    commy_load_balancer_config_t given = {.algorithm = COMMY_POLICY_CONSISTENT_HASH};
    uint64_t one, other;
    add(h, "a", "a-1");
    add(h, "a", "a-2");
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), 0, "round robin");
    one = target.reference;
    cr_assert_eq(commy_select_service(h, "a", "me", &target), 0);
    cr_assert_neq(target.reference, one);
    cr_assert_eq(commy_configure_load_balancer(h, &given), 0);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_select_service(h, "a", "me", &target), 0);
    one = target.reference;
    cr_assert_eq(commy_select_service(h, "a", "me", &target), 0);
    other = target.reference;
    cr_assert_eq(one, other);
    const commy_load_balancer_config_t refused[] = {
        {.algorithm = -1},
        {.algorithm = 6},
        {.enable_circuit_breaker = 2, .circuit_breaker_threshold = 1, .circuit_breaker_timeout_ms = 1},
        {.enable_circuit_breaker = 1, .circuit_breaker_threshold = 0, .circuit_breaker_timeout_ms = 1},
        {.enable_circuit_breaker = 1, .circuit_breaker_threshold = 1, .circuit_breaker_timeout_ms = 0},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        cr_assert_eq(commy_configure_load_balancer(h, &refused[i]), COMMY_STATUS_INVALID, "config %zu", i);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), COMMY_STATUS_INVALID, "what was refused changed nothing");
    given = (commy_load_balancer_config_t){.algorithm = COMMY_POLICY_RANDOM,
                                           .enable_circuit_breaker = 1,
                                           .circuit_breaker_threshold = 5,
                                           .circuit_breaker_timeout_ms = 30000};
    cr_assert_eq(commy_configure_load_balancer(h, &given), 0);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), 0);
    cr_assert_eq(commy_stop_mesh(h), 0);
    cr_assert_eq(commy_configure_load_balancer(h, &given), 0, "may be done while stopped");
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), COMMY_STATUS_NOT_RUNNING);
}

Test(ffi, breakers_are_the_meshs_and_a_handle_switches_off_what_it_switched_on)
{
    commy_handle_t h = open_one(), other = open_one();
    commy_load_balancer_config_t on = {.enable_circuit_breaker = 1,
                                       .circuit_breaker_threshold = 2,
                                       .circuit_breaker_timeout_ms = 60000},
                                 off = {.algorithm = COMMY_POLICY_RANDOM};
    int32_t state = -1;
    uint32_t failures = 99;
    add(other, "a", "a-1");
    cr_assert_eq(commy_get_circuit_breaker_status(h, "none", &state, &failures), COMMY_STATUS_NOT_FOUND);
    cr_assert_eq(commy_get_circuit_breaker_status(h, "a-1", NULL, NULL), COMMY_STATUS_INVALID);
    cr_assert(state == -1 && failures == 99);
    cr_assert_eq(commy_configure_load_balancer(h, &on), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(commy_report_service_performance(h, "a-1", 1, 0), 0);
    cr_assert_eq(commy_get_circuit_breaker_status(h, "a-1", &state, &failures), 0);
    cr_assert(state == COMMY_BREAKER_OPEN && failures == 2);
    cr_assert_eq(commy_get_circuit_breaker_status(h, "a-1", &state, NULL), 0);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), COMMY_STATUS_CIRCUIT_OPEN);

    cr_assert_eq(commy_configure_load_balancer(other, &off), 0);
    cr_assert_eq(commy_select_service(other, "a", NULL, &target), COMMY_STATUS_CIRCUIT_OPEN, "not its to switch off");
    cr_assert_eq(commy_reset_circuit_breaker(other, "none"), COMMY_STATUS_NOT_FOUND);
    cr_assert_eq(commy_reset_circuit_breaker(other, "a-1"), 0);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(commy_report(other, target.reference, 1, 0), 0);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), COMMY_STATUS_CIRCUIT_OPEN);
    on.circuit_breaker_threshold = 10001;
    cr_assert_eq(commy_configure_load_balancer(h, &on), COMMY_STATUS_INVALID);
    on.circuit_breaker_threshold = 1;
    on.circuit_breaker_timeout_ms = 3600001;
    cr_assert_eq(commy_configure_load_balancer(h, &on), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_configure_load_balancer(h, &off), 0);
    cr_assert_eq(commy_select_service(other, "a", NULL, &target), 0, "off for all");
    on.circuit_breaker_timeout_ms = 3600000;
    cr_assert_eq(commy_stop_mesh(h), 0);
    cr_assert_eq(commy_configure_load_balancer(h, &on), 0, "may be done while stopped");
    cr_assert_eq(commy_select_service(other, "a", NULL, &target), COMMY_STATUS_CIRCUIT_OPEN, "and is the mesh's");
    cr_assert_eq(commy_reset_circuit_breaker(h, "a-1"), COMMY_STATUS_NOT_RUNNING);
}

Test(ffi, what_came_of_a_name_is_the_sum_of_its_instances)
{
    commy_handle_t h = open_one();
    uint64_t total = 7, successful = 7, failed = 7;
    double average = 7;
    add(h, "a", "a-1");
    add(h, "a", "a-2");
    add(h, "b", "b-1");
    cr_assert_eq(commy_get_load_balancer_stats(h, "a", &total, &successful, &failed, &average), 0);
    cr_assert(total == 0 && successful == 0 && failed == 0 && average == 0.0);
    cr_assert_eq(commy_report_service_performance(h, "a-1", 10, 1), 0);
    cr_assert_eq(commy_report_service_performance(h, "a-1", 20, 0), 0);
    cr_assert_eq(commy_report_service_performance(h, "a-2", 60, 1), 0);
    cr_assert_eq(commy_report_service_performance(h, "b-1", 1000, 1), 0);
    cr_assert_eq(commy_get_load_balancer_stats(h, "a", &total, &successful, &failed, &average), 0);
    cr_assert(total == 3 && successful == 2 && failed == 1);
    cr_assert_float_eq(average, 30.0, 1e-9);
    cr_assert_eq(commy_set_health(h, "a-1", COMMY_HEALTH_UNHEALTHY), 0);
    cr_assert_eq(commy_set_admin(h, "a-2", COMMY_ADMIN_DRAINING), 0);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), COMMY_STATUS_NO_HEALTHY);
    cr_assert_eq(commy_get_load_balancer_stats(h, "a", &total, NULL, NULL, NULL), 0, "whatever may be selected");
    cr_assert_eq(total, 3);
    cr_assert_eq(commy_unregister_service(h, "a-1"), 0);
    cr_assert_eq(commy_get_load_balancer_stats(h, "a", &total, NULL, NULL, &average), 0);
    cr_assert(total == 1);
    cr_assert_float_eq(average, 60.0, 1e-9);
    cr_assert_eq(commy_get_load_balancer_stats(h, "c", &total, NULL, NULL, NULL), COMMY_STATUS_NOT_FOUND);
    cr_assert_eq(total, 1, "left alone");
}

/* ------------------------------------------------------------------- opening */

/* -------------------------------------------------------------------- health */

/* A port of loopback where connections are taken, and nothing is answered. */
static uint16_t silent_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, bytes), 0);
    cr_assert_eq(listen(fd, 16), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    return ntohs(address.sin_port);
}

static commy_handle_t open_with_a_silent_service(void)
{
    static const char *const tags[] = {"check=http"};
    commy_service_config_t silent = config;
    silent.port = silent_port();
    silent.tags = tags;
    silent.tag_count = 1;
    commy_handle_t h = open_one();
    cr_assert_eq(commy_register_service(h, &silent), 0, "%s", commy_last_error_message());
    return h;
}

Test(ffi, checking_follows_what_the_handle_was_configured_to)
{
    commy_handle_t h = open_with_a_silent_service();
    int32_t status = -1;
    cr_assert_eq(commy_configure_mesh(h, &(commy_health_config_t){1000, 150, 1, 1}, NULL), 0);
    uint64_t began = now_ms();
    cr_assert_eq(commy_manual_health_check(h, "a-2", &status, &milliseconds), 0, "%s", commy_last_error_message());
    uint64_t took = now_ms() - began;
    cr_assert_eq(status, COMMY_HEALTH_UNHEALTHY);
    cr_assert(took >= 140 && took < 900, "%llu ms, not the second that is the default", (unsigned long long)took);
    cr_assert(milliseconds >= 140 && milliseconds <= (double)took + 1, "%f ms", milliseconds);
    cr_assert_eq(commy_get_service_health(h, "a-2", &status, &milliseconds), 0);
    cr_assert(status == COMMY_HEALTH_HEALTHY && milliseconds == 0, "which changed nothing");
    cr_assert_eq(commy_start_health_monitoring(h, "a-2", NULL), 0);
    while (commy_get_service_health(h, "a-2", &status, &milliseconds) == 0 && status != COMMY_HEALTH_UNHEALTHY)
        cr_assert(now_ms() - began < 3000, "its first failure is after 150 ms, not after the default");
    cr_assert(milliseconds >= 140, "%f ms", milliseconds);
    cr_assert_eq(commy_stop_health_monitoring(h, "a-2"), 0);
    cr_assert_eq(commy_stop_health_monitoring(h, "a-2"), COMMY_STATUS_NOT_FOUND);
}

Test(ffi, configuring_a_mesh_is_all_or_nothing)
{
    commy_handle_t h = open_one();
    const commy_load_balancer_config_t wrong = {.algorithm = 99};
    const commy_health_config_t zeroes[] = {{0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 0, 1}, {1, 1, 1, 0}};
    cr_assert_eq(commy_configure_mesh(h, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof(zeroes) / sizeof(zeroes[0]); i++) {
        cr_assert_eq(commy_configure_mesh(h, &zeroes[i], &balancer), COMMY_STATUS_INVALID);
        cr_assert_eq(commy_start_health_monitoring(h, "a-1", &zeroes[i]), COMMY_STATUS_INVALID);
    }
    cr_assert_eq(commy_configure_mesh(h, &health, &wrong), COMMY_STATUS_INVALID);
    add(h, "a", "a-1");
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), 0, "consistent hash would have asked for a client");
    cr_assert_eq(commy_configure_mesh(h, NULL, &balancer), 0);
    cr_assert_eq(commy_select_service(h, "a", NULL, &target), COMMY_STATUS_INVALID, "and does now");
}

static _Atomic bool checking;

static void *check_slowly(void *argument)
{
    static int32_t code;
    int32_t status;
    double ms;
    atomic_store(&checking, true);
    code = commy_manual_health_check(*(commy_handle_t *)argument, "a-2", &status, &ms);
    return &code;
}

Test(ffi, destroying_a_handle_ends_its_checks_soon)
{
    commy_handle_t h = open_with_a_silent_service();
    pthread_t thread;
    void *code;
    cr_assert_eq(commy_configure_mesh(h, &(commy_health_config_t){1000, 30000, 1, 1}, NULL), 0);
    cr_assert_eq(commy_start_health_monitoring(h, "a-2", NULL), 0);
    cr_assert_eq(pthread_create(&thread, NULL, check_slowly, &h), 0);
    while (!atomic_load(&checking))
        usleep(1000);
    usleep(100000);
    uint64_t began = now_ms();
    cr_assert_eq(commy_destroy_mesh(h), 0);
    uint64_t took = now_ms() - began;
    pthread_join(thread, &code);
    cr_assert_eq(*(int32_t *)code, COMMY_STATUS_NOT_RUNNING);
    cr_assert(took < 1000, "it took %llu ms", (unsigned long long)took);
}

Test(ffi, health_and_admin_states_are_set_by_number)
{
    commy_handle_t h = open_one();
    int32_t status;
    add(h, "a", "a-1");
    cr_assert_eq(commy_set_health(h, "a-1", 4), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_set_admin(h, "a-1", 3), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_set_health(h, "a-1", COMMY_HEALTH_DEGRADED), 0);
    cr_assert_eq(commy_get_service_health(h, "a-1", &status, &milliseconds), 0);
    cr_assert_eq(status, COMMY_HEALTH_DEGRADED);
    cr_assert_eq(commy_set_admin(h, "a-1", COMMY_ADMIN_DRAINING), 0);
    cr_assert_eq(commy_get_service(h, "a-1", &info), 0);
    cr_assert_eq(info.admin, COMMY_ADMIN_DRAINING);
}

Test(ffi, creating_needs_a_node_id_and_a_port)
{
    setenv("COMMY_DIR", test_dir, 1);
    cr_assert_eq(commy_create_mesh(NULL, 80).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_create_mesh("", 80).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_create_mesh("a node", 80).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_create_mesh("node", 0).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_INVALID);
    cr_assert_eq(test_dir_count(test_dir), 0, "nothing was made");

    commy_handle_t h = commy_create_mesh("node", 80);
    cr_assert_neq(h.instance_id, 0, "%s", commy_last_error_message());
    cr_assert_eq(commy_is_mesh_running(h), 0, "creating does not start");
    char *node = commy_get_node_id(h);
    cr_assert_str_eq(node, "node");
    commy_free_string(node);
    unsetenv("COMMY_DIR");
}

Test(ffi, opening_reports_what_the_core_reports)
{
    commy_open_options_t options = {
        .size = sizeof(options), .flags = COMMY_OPEN_MUST_EXIST, .dir = test_dir, .mesh = "none", .capacity = 16};
    cr_assert_eq(commy_open_mesh(&options).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_MESH_NOT_FOUND);
    options.size = 1;
    cr_assert_eq(commy_open_mesh(&options).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_INVALID);
    options = (commy_open_options_t){.size = sizeof(options), .dir = test_dir, .node_id = "bad node"};
    cr_assert_eq(commy_open_mesh(&options).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_INVALID);
}

Test(ffi, fields_beyond_the_size_of_older_options_are_not_read)
{
    struct {
        uint32_t size, flags;
        const char *mesh, *dir;
        const char *not_part_of_it;
    } older = {
        .size = offsetof(commy_open_options_t, node_id), .mesh = "m", .dir = test_dir, .not_part_of_it = (char *)8};
    commy_handle_t h = commy_open_mesh((const commy_open_options_t *)&older);
    cr_assert_neq(h.instance_id, 0, "%s", commy_last_error_message());
    cr_assert_eq(commy_start_mesh(h), 0, "%s", commy_last_error_message());
}

Test(ffi, a_node_without_a_name_is_called_by_host_and_process)
{
    commy_handle_t h = open_with(0, NULL);
    char *before = commy_get_node_id(h), end[16];
    cr_assert_not_null(before);
    snprintf(end, sizeof(end), "-%ld", (long)getpid());
    cr_assert_gt(strlen(before), strlen(end));
    cr_assert_str_eq(before + strlen(before) - strlen(end), end);
    add(h, "a", "a-1");
    cr_assert_eq(commy_get_service(h, "a-1", &info), 0);
    cr_assert_str_eq(info.node_id, before, "the name it has before the start is the one it joins under");
    commy_free_string(before);
}

Test(ffi, numbers_are_never_used_again_and_fit_a_double)
{
    enum { ROUNDS = 300 };
    static uint64_t seen[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        commy_handle_t h = open_one();
        cr_assert_lt(h.instance_id, 1ull << 53);
        for (int j = 0; j < i; j++)
            cr_assert_neq(seen[j], h.instance_id);
        seen[i] = h.instance_id;
        cr_assert_eq(commy_destroy_mesh(h), 0);
    }
}

/* ----------------------------------------------------------------- lifecycle */

Test(ffi, queries_work_before_the_start_and_the_first_change_starts)
{
    commy_handle_t h = open_one();
    cr_assert_eq(commy_is_mesh_running(h), 0);
    cr_assert_eq(commy_get_active_service_count(h), 0);
    cr_assert_eq(commy_find(h, "a-1", &target), COMMY_STATUS_NOT_FOUND);
    cr_assert_eq(commy_wait(h, NULL, 0, 0, &version), 0);
    cr_assert_eq(commy_is_mesh_running(h), 0, "queries do not start");
    add(h, "a", "a-1");
    cr_assert_eq(commy_is_mesh_running(h), 1);
    cr_assert_eq(commy_start_mesh(h), 0, "starting twice is success");
    cr_assert_eq(commy_find(h, "a-1", &target), 0, "and changes nothing");
}

Test(ffi, a_stopped_handle_serves_nothing_until_it_is_started_again)
{
    commy_handle_t h = open_one(), other = open_one();
    add(h, "a", "a-1");
    add(other, "a", "a-3");
    cr_assert_eq(commy_stop_mesh(h), 0);
    cr_assert_eq(commy_stop_mesh(h), 0, "stopping twice is success");
    for (size_t i = 0; i < EVERY; i++)
        if (every[i].serves)
            cr_expect_eq(code_of(i, h), COMMY_STATUS_NOT_RUNNING, "commy_%s", every[i].name);
    cr_assert_eq(commy_is_mesh_running(h), 0);
    cr_assert_eq(call_node_id(h), 0, "its name is known all the same");
    cr_assert_eq(commy_find(other, "a-1", &target), COMMY_STATUS_NOT_FOUND, "stopping unregisters");
    cr_assert_eq(commy_find(other, "a-3", &target), 0, "what is its own");

    cr_assert_eq(commy_start_mesh(h), 0);
    cr_assert_eq(commy_is_mesh_running(h), 1);
    cr_assert_eq(commy_discover_services_count(h, "a"), 1);
    add(h, "a", "a-1");
    cr_assert_eq(commy_destroy_mesh(h), 0);
    cr_assert_eq(commy_find(other, "a-1", &target), COMMY_STATUS_NOT_FOUND, "destroying unregisters");
}

Test(ffi, stopping_a_handle_that_never_started_stops_it)
{
    commy_handle_t h = open_one();
    cr_assert_eq(commy_stop_mesh(h), 0);
    cr_assert_eq(call_register_simple(h), COMMY_STATUS_NOT_RUNNING, "no change starts it behind one's back");
    cr_assert_eq(commy_start_mesh(h), 0);
    cr_assert_eq(call_register_simple(h), 0);
}

Test(ffi, a_read_only_handle_serves_queries_and_never_starts)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    commy_handle_t reader = open_with(COMMY_OPEN_READ_ONLY, NULL);
    cr_assert_neq(reader.instance_id, 0, "%s", commy_last_error_message());
    for (int turn = 0; turn < 2; turn++) {
        cr_assert_eq(commy_start_mesh(reader), COMMY_STATUS_READ_ONLY);
        cr_assert_eq(call_register(reader), COMMY_STATUS_READ_ONLY);
        cr_assert_eq(call_unregister(reader), COMMY_STATUS_READ_ONLY);
        cr_assert_eq(call_report_by_id(reader), COMMY_STATUS_READ_ONLY);
        cr_assert_eq(commy_is_mesh_running(reader), 0);
        cr_assert_eq(commy_find(reader, "a-1", &target), 0);
        cr_assert_eq(commy_discover_services_count(reader, "a"), 1);
        cr_assert_eq(commy_wait(reader, "a", 0, 0, &version), 0);
        cr_assert_eq(commy_get_mesh_stats(reader, &stats), 0);
        cr_assert_eq(stats.total_services, 1);
        cr_assert_eq(commy_stop_mesh(reader), 0, "there is nothing to stop: the second turn finds all as it was");
    }
}

Test(ffi, cleanup_destroys_every_handle_and_is_repeatable)
{
    commy_handle_t first = open_one(), second = open_one();
    add(first, "a", "a-1");
    cr_assert_eq(commy_ffi_init(), 0);
    cr_assert_eq(commy_ffi_cleanup(), 0);
    cr_assert_eq(commy_ffi_cleanup(), 0);
    all_refuse(first, COMMY_STATUS_NO_HANDLE);
    all_refuse(second, COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_ffi_init(), 0);
    cr_assert_eq(commy_get_active_service_count(open_one()), 0);
}

Test(ffi, a_full_table_is_an_error_and_a_destroyed_handle_makes_room)
{
    commy_handle_t h = open_one(), last = {0};
    for (int i = 1; i < HANDLES; i++) {
        last = open_with(COMMY_OPEN_READ_ONLY, NULL);
        cr_assert_neq(last.instance_id, 0, "handle %d: %s", i, commy_last_error_message());
    }
    cr_assert_eq(open_with(COMMY_OPEN_READ_ONLY, NULL).instance_id, 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_LIMIT);
    cr_assert_not_null(strstr(commy_last_error_message(), "1024"));
    cr_assert_eq(commy_destroy_mesh(h), 0);
    h = open_one();
    cr_assert_eq(commy_is_mesh_running(last), 0);
    cr_assert_eq(commy_is_mesh_running(h), 0);
}

/* --------------------------------------------------------- counts and codes */

Test(ffi, the_count_is_the_full_number_even_when_there_is_less_room)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    add(h, "a", "a-2");
    add(h, "a", "a-3");
    add(h, "b", "b-1");
    commy_service_info_t two[3];
    memset(two, 0x5a, sizeof(two));
    cr_assert_eq(commy_discover_services(h, "a", two, 2, &count), 0);
    cr_assert_eq(count, 3);
    cr_assert_eq(two[0].id[0], 'a');
    cr_assert_eq(two[1].id[0], 'a');
    cr_assert_eq(two[2].id[0], 0x5a, "not beyond the capacity");
    cr_assert_eq(commy_get_all_services(h, two, 1, &count), 0);
    cr_assert_eq(count, 4);
    cr_assert_eq(commy_get_all_services(h, NULL, 0, &count), 0);
    cr_assert_eq(count, 4);
    cr_assert_eq(commy_discover_services(h, "nobody", NULL, 0, &count), 0);
    cr_assert_eq(count, 0);
    cr_assert_eq(commy_discover_services_count(h, "a"), 3);
    cr_assert_eq(commy_discover_services_count(h, "nobody"), 0);
    cr_assert_eq(commy_discover_services_count(h, ""), -COMMY_STATUS_INVALID);
    cr_assert_eq(commy_get_active_service_count(h), 4);
}

Test(ffi, a_batch_has_a_code_for_each)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    add(h, "b", "b-1");
    const char *const four[] = {"a-1", "nobody", "", "b-1"};
    commy_target_t found[4];
    int32_t each[4] = {-1, -1, -1, -1};
    cr_assert_eq(commy_find_many(h, four, 4, found, each), COMMY_STATUS_NOT_FOUND, "the first that is not success");
    cr_assert_eq(each[0], 0);
    cr_assert_eq(each[1], COMMY_STATUS_NOT_FOUND);
    cr_assert_eq(each[2], COMMY_STATUS_INVALID);
    cr_assert_eq(each[3], 0);
    cr_assert_str_eq(found[3].endpoint, "127.0.0.1");
    cr_assert_eq(found[3].port, 8080);
    cr_assert_eq(commy_find_many(h, four, 1, found, each), 0);
}

Test(ffi, reports_by_id_and_by_reference_are_counted)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    cr_assert_eq(commy_find(h, "a-1", &target), 0);
    cr_assert_eq(commy_report(h, target.reference, 4000000, 1), 0);
    cr_assert_eq(commy_report_service_performance(h, "a-1", 2, 7), 0, "any number but 0 is success");
    cr_assert_eq(commy_report_service_performance(h, "a-1", UINT64_MAX, 0), 0,
                 "more milliseconds than nanoseconds hold");
    cr_assert_eq(commy_report_service_performance(h, "nobody", 1, 1), COMMY_STATUS_NOT_FOUND);
    cr_assert_eq(commy_get_mesh_stats(h, &stats), 0);
    cr_assert_eq(stats.total_requests, 3);
    cr_assert_eq(stats.successful_requests, 2);
    cr_assert_eq(stats.failed_requests, 1);
    cr_assert_eq(stats.registered_services, 1);
    cr_assert_eq(commy_unregister_service(h, "a-1"), 0);
    cr_assert_eq(commy_report(h, target.reference, 1, 1), COMMY_STATUS_NOT_FOUND);
}

Test(ffi, metadata_is_cut_where_there_is_less_room_and_its_length_is_whole)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    cr_assert_eq(commy_update_service_metadata(h, "a-1", "{\"k\":\n1}"), 0);
    cr_assert_eq(commy_get_service_metadata(h, "a-1", NULL, 0, &count), 0);
    cr_assert_eq(count, 8);
    cr_assert_eq(commy_get_service_metadata(h, "a-1", text, sizeof(text), &count), 0);
    cr_assert_str_eq(text, "{\"k\":\n1}");
    cr_assert_eq(commy_get_service_metadata(h, "a-1", text, 4, &count), 0);
    cr_assert_eq(count, 8);
    cr_assert_eq(strlen(text), 3);
}

Test(ffi, success_leaves_the_last_error_alone)
{
    commy_handle_t h = open_one(), gone = open_one();
    cr_assert_eq(commy_find(h, "nobody", &target), COMMY_STATUS_NOT_FOUND);
    char sentence[512];
    snprintf(sentence, sizeof(sentence), "%s", commy_last_error_message());
    for (size_t i = 0; i + 1 < EVERY; i++)
        cr_assert_eq(code_of(i, h), 0, "commy_%s", every[i].name);
    cr_assert_eq(commy_destroy_mesh(gone), 0);
    cr_assert_eq(commy_ffi_init(), 0);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_NOT_FOUND);
    cr_assert_str_eq(commy_last_error_message(), sentence);
}

/* ------------------------------------------------------------------- waiting */

struct sleeper {
    commy_handle_t h;
    int32_t timeout_ms, code, error;
    uint64_t version, new_version;
    _Atomic bool done;
};

static void *sleep_on(void *argument)
{
    struct sleeper *sleeper = argument;
    sleeper->code = commy_wait(sleeper->h, "a", sleeper->version, sleeper->timeout_ms, &sleeper->new_version);
    sleeper->error = commy_last_error();
    atomic_store(&sleeper->done, true);
    return NULL;
}

static pthread_t put_to_sleep(struct sleeper *sleeper)
{
    pthread_t thread;
    cr_assert_eq(commy_wait(sleeper->h, "a", 0, 0, &sleeper->version), 0, "%s", commy_last_error_message());
    cr_assert_gt(sleeper->version, 0);
    cr_assert_eq(pthread_create(&thread, NULL, sleep_on, sleeper), 0);
    usleep(150000);
    cr_assert_not(atomic_load(&sleeper->done));
    return thread;
}

Test(ffi, a_wait_ends_with_a_change_and_leaves_the_error_record_alone)
{
    struct sleeper sleeper = {.h = open_one(), .timeout_ms = -1};
    pthread_t thread = put_to_sleep(&sleeper);
    usleep(200000); /* more than one slice has timed out by now */
    add(sleeper.h, "a", "a-1");
    pthread_join(thread, NULL);
    cr_assert_eq(sleeper.code, 0);
    cr_assert_gt(sleeper.new_version, sleeper.version);
    cr_assert_eq(sleeper.error, 0);
}

Test(ffi, a_wait_times_out_when_its_time_has_passed_and_not_before)
{
    commy_handle_t h = open_one();
    uint64_t next = 0;
    cr_assert_eq(commy_wait(h, "a", 0, 0, &version), 0);
    uint64_t start = now_ms();
    cr_assert_eq(commy_wait(h, "a", version, 250, &next), COMMY_STATUS_TIMED_OUT);
    uint64_t took = now_ms() - start;
    cr_assert(took >= 249 && took < 2000, "%llu ms", (unsigned long long)took);
    cr_assert_eq(next, version);
    cr_assert_eq(commy_wait(h, "a", version, 0, &next), COMMY_STATUS_TIMED_OUT, "0: do not wait");
}

Test(ffi, stopping_a_handle_ends_its_waits)
{
    struct sleeper sleeper = {.h = open_one(), .timeout_ms = -1};
    pthread_t thread = put_to_sleep(&sleeper);
    cr_assert_eq(commy_stop_mesh(sleeper.h), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(sleeper.code, COMMY_STATUS_NOT_RUNNING);
}

Test(ffi, destroying_a_handle_ends_its_waits_soon)
{
    struct sleeper sleeper = {.h = open_one(), .timeout_ms = -1};
    pthread_t thread = put_to_sleep(&sleeper);
    uint64_t start = now_ms();
    cr_assert_eq(commy_destroy_mesh(sleeper.h), 0);
    cr_assert_lt(now_ms() - start, 2000);
    pthread_join(thread, NULL);
    cr_assert_eq(sleeper.code, COMMY_STATUS_NOT_RUNNING);
}

/* ------------------------------------------------------------------- threads */

static _Atomic uint64_t current;
static _Atomic bool over;
static _Atomic int won, lost, odd;

static void *destroy_it(void *unused)
{
    (void)unused;
    switch (commy_destroy_mesh((commy_handle_t){atomic_load(&current)})) {
    case COMMY_STATUS_SUCCESS:
        atomic_fetch_add(&won, 1);
        break;
    case COMMY_STATUS_NO_HANDLE:
        atomic_fetch_add(&lost, 1);
        break;
    default:
        atomic_fetch_add(&odd, 1);
    }
    return NULL;
}

Test(ffi, of_many_who_destroy_a_handle_one_wins)
{
    enum { THREADS = 6, ROUNDS = 50 };
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        atomic_store(&current, open_one().instance_id);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, destroy_it, NULL), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    cr_assert_eq(atomic_load(&won), ROUNDS);
    cr_assert_eq(atomic_load(&lost), ROUNDS * (THREADS - 1));
    cr_assert_eq(atomic_load(&odd), 0);
}

static void *open_and_destroy(void *unused)
{
    (void)unused;
    while (!atomic_load(&over)) {
        commy_handle_t h = open_with(0, "tester");
        if (h.instance_id == 0 || commy_register_service_simple(h, "a", "a-1", "127.0.0.1", 80) == 99)
            atomic_fetch_add(&odd, 1);
        atomic_store(&current, h.instance_id);
        if (commy_destroy_mesh(h) != 0)
            atomic_fetch_add(&odd, 1);
    }
    return NULL;
}

static void *use_whatever_is_there(void *unused)
{
    (void)unused;
    commy_target_t mine;
    commy_mesh_stats_t sums;
    while (!atomic_load(&over)) {
        commy_handle_t h = {atomic_load(&current)};
        int32_t find = commy_find(h, "a-1", &mine);
        int32_t sum = commy_get_mesh_stats(h, &sums);
        int32_t counted = commy_discover_services_count(h, "a");
        if ((find != 0 && find != COMMY_STATUS_NOT_FOUND && find != COMMY_STATUS_NO_HANDLE &&
             find != COMMY_STATUS_NOT_RUNNING) ||
            (sum != 0 && sum != COMMY_STATUS_NO_HANDLE && sum != COMMY_STATUS_NOT_RUNNING) ||
            (counted < 0 && counted != -COMMY_STATUS_NO_HANDLE && counted != -COMMY_STATUS_NOT_RUNNING))
            atomic_fetch_add(&odd, 1);
    }
    return NULL;
}

Test(ffi, stale_handles_are_harmless_while_others_open_and_destroy)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    commy_handle_t stays = open_one();
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i % 2 ? use_whatever_is_there : open_and_destroy, NULL), 0);
    usleep(1000000);
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&odd), 0);
    cr_assert_eq(commy_discover_services_count(stays, "a"), 0, "all that came is gone");
}

/* --------------------------------------------------------------------- forks */

/* Fails the test unless the child calls _exit(0) within 20 s. */
static void expect_child(pid_t pid)
{
    int status = 0;
    cr_assert_gt(pid, 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "the child was killed by signal %d", WTERMSIG(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "the child stopped at line %d of this file (mod 256)", WEXITSTATUS(status));
}

/* For children, where an assertion would take the test framework along. */
#define CHILD_EXPECT(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            _exit(__LINE__ % 256 ? __LINE__ % 256 : 255);                                                              \
    } while (0)

static void live_as_a_child(commy_handle_t inherited)
{
    alarm(20);
    for (size_t i = 0; i + 1 < EVERY; i++)
        CHILD_EXPECT(code_of(i, inherited) == COMMY_STATUS_FORKED && commy_last_error() == COMMY_STATUS_FORKED);
    commy_handle_t own = open_with(0, "child");
    CHILD_EXPECT(own.instance_id != 0 && own.instance_id != inherited.instance_id);
    CHILD_EXPECT(commy_find(own, "a-1", &target) == 0);
    CHILD_EXPECT(commy_register_service_simple(own, "a", "child-1", "127.0.0.1", 80) == 0);
    CHILD_EXPECT(commy_discover_services_count(own, "a") == 2);
    CHILD_EXPECT(commy_wait(own, "a", 0, 0, &version) == 0 &&
                 commy_wait(own, "a", version, 10, &version) == COMMY_STATUS_TIMED_OUT);
    CHILD_EXPECT(commy_destroy_mesh(inherited) == COMMY_STATUS_FORKED);
    CHILD_EXPECT(commy_destroy_mesh(inherited) == COMMY_STATUS_NO_HANDLE);
    CHILD_EXPECT(commy_find(own, "child-1", &target) == 0);
    CHILD_EXPECT(commy_destroy_mesh(own) == 0);
}

Test(ffi, a_forked_child_must_open_for_itself_and_can)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    pid_t pid = test_fork();
    if (pid == 0) {
        live_as_a_child(h);
        CHILD_EXPECT(commy_ffi_cleanup() == 0);
        _exit(0);
    }
    expect_child(pid);
    cr_assert_eq(commy_find(h, "a-1", &target), 0, "the parent's goes on");
    cr_assert_eq(commy_discover_services_count(h, "a"), 1, "the child's is gone");
    cr_assert_eq(commy_is_mesh_running(h), 1);
}

Test(ffi, a_child_that_no_fork_handler_saw_is_told_apart_too)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        live_as_a_child(h);
        _exit(0);
    }
    expect_child(pid);
    cr_assert_eq(commy_find(h, "a-1", &target), 0);
}

Test(ffi, a_grandchild_tells_both_from_its_own)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    pid_t pid = test_fork();
    if (pid == 0) {
        commy_handle_t mine = open_with(0, "child");
        CHILD_EXPECT(mine.instance_id != 0);
        pid_t inner = test_fork();
        if (inner == 0) {
            CHILD_EXPECT(commy_find(mine, "a-1", &target) == COMMY_STATUS_FORKED);
            live_as_a_child(h);
            _exit(0);
        }
        int status = 0;
        CHILD_EXPECT(waitpid(inner, &status, 0) == inner && WIFEXITED(status));
        CHILD_EXPECT(commy_find(mine, "a-1", &target) == 0);
        _exit(WEXITSTATUS(status));
    }
    expect_child(pid);
}

Test(ffi, a_table_full_of_inherited_handles_has_room_for_a_childs_own)
{
    commy_handle_t h = open_one();
    add(h, "a", "a-1");
    for (int i = 1; i < HANDLES; i++)
        cr_assert_neq(open_with(COMMY_OPEN_READ_ONLY, NULL).instance_id, 0, "%s", commy_last_error_message());
    pid_t pid = test_fork();
    if (pid == 0) {
        alarm(20);
        commy_handle_t own = open_with(0, "child"), second = open_with(0, "child");
        CHILD_EXPECT(own.instance_id != 0 && second.instance_id != 0);
        CHILD_EXPECT(commy_find(own, "a-1", &target) == 0 && commy_find(second, "a-1", &target) == 0);
        CHILD_EXPECT(commy_ffi_cleanup() == 0);
        CHILD_EXPECT(commy_is_mesh_running(own) == -COMMY_STATUS_NO_HANDLE);
        _exit(0);
    }
    expect_child(pid);
}

Test(ffi, forks_among_busy_threads_neither_hang_nor_harm_the_child)
{
    enum { THREADS = 3 };
    const int forks = test_rounds(40);
    pthread_t threads[THREADS];
    commy_handle_t h = open_one();
    add(h, "b", "b-1");
    struct sleeper sleeper = {.h = h, .timeout_ms = -1};
    pthread_t sleeping = put_to_sleep(&sleeper);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i ? open_and_destroy : use_whatever_is_there, NULL), 0);
    for (int i = 0; i < forks; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            CHILD_EXPECT(commy_find(h, "b-1", &target) == COMMY_STATUS_FORKED);
            commy_handle_t own = open_with(0, "child");
            CHILD_EXPECT(own.instance_id != 0);
            CHILD_EXPECT(commy_find(own, "b-1", &target) == 0);
            CHILD_EXPECT(commy_destroy_mesh(own) == 0);
            CHILD_EXPECT(commy_ffi_cleanup() == 0);
            /* What other threads had in hand at the fork is lost to the child: no end at which leaks are counted. */
            raise(SIGKILL);
        }
        int status = 0;
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child stopped with wait status %d", status);
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(commy_stop_mesh(h), 0);
    pthread_join(sleeping, NULL);
    cr_assert_eq(atomic_load(&odd), 0);
}
