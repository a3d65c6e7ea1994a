/*
 * Somebody else comes first while a call allocates: what two threads begin to use at once is made once, and what changes
 * while it is selected from is not selected.
 */
#include <commy/ffi.h>

#include "mesh/lookout.h"
#include "mesh/monitor.h"
#include "mesh/picker.h"
#include "support_scarce.h"
#include "support_server.h"

TestSuite(meanwhile, .init = set_up, .fini = tear_down, .timeout = 60);

static bool came; /* the other one */

static void begin_meanwhile(void (*call)(bool aligned))
{
    came = false;
    meanwhile = call;
}

static void end_meanwhile(void)
{
    meanwhile = NULL;
    cr_assert(came, "nobody came in between");
}

static bool comes_first(void)
{
    bool first = !came;
    came = true;
    return first;
}

/* ------------------------------------------------------------- made only once */

static commy_watcher_t *watchers[2];

static void watch(commy_watcher_t **watcher)
{
    const commy_watch_options_t options = {.size = sizeof options, .name = "web"};
    cr_assert_eq(commy_watcher_create(mesh, &options, watcher), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(commy_watcher_wait(*watcher, 0, NULL), COMMY_STATUS_SUCCESS);
}

static void watch_too(bool aligned)
{
    (void)aligned;
    if (comes_first())
        watch(&watchers[1]);
}

Test(meanwhile, a_handle_has_one_lookout_whoever_watches_first)
{
    begin(64);
    begin_meanwhile(watch_too);
    watch(&watchers[0]);
    end_meanwhile();
    cr_assert_eq(watchers[0]->lookout, watchers[1]->lookout);
    cr_assert_eq((void *)watchers[0]->lookout, (void *)mesh->lookout);
    add(mesh, "web", "web-1");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(commy_watcher_wait(watchers[i], 5000, NULL), COMMY_STATUS_SUCCESS);
        commy_watcher_destroy(&watchers[i]);
    }
}

static const commy_health_config_t quick = {20, 500, 1, 1};

static void monitor(const char *id)
{
    cr_assert_eq(commy_service_monitor(mesh, id, &quick), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static void monitor_too(bool aligned)
{
    (void)aligned;
    if (comes_first())
        monitor("web-2");
}

Test(meanwhile, a_handle_has_one_monitor_whoever_monitors_first)
{
    begin(64);
    add_checked(mesh, "web-1", closed_port(), NULL);
    add_checked(mesh, "web-2", closed_port(), NULL);
    begin_meanwhile(monitor_too);
    monitor("web-1");
    end_meanwhile();
    cr_assert_eq(((cmy_monitor_t *)mesh->monitor)->count, 2);
    cr_assert(EVENTUALLY(status_of(mesh, "web-1") == COMMY_HEALTH_UNHEALTHY &&
                         status_of(mesh, "web-2") == COMMY_HEALTH_UNHEALTHY));
    audit();
}

static void check_it(void)
{
    commy_check_result_t result;
    cr_assert_eq(commy_service_check(mesh, "web-1", 1000, &result), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    cr_assert_eq(result.status, COMMY_HEALTH_UNHEALTHY);
}

static void check_too(bool aligned)
{
    (void)aligned;
    if (comes_first())
        check_it();
}

Test(meanwhile, libcurl_is_opened_once_whoever_checks_first)
{
    begin(64);
    add_checked(mesh, "web-1", closed_port(), NULL);
    begin_meanwhile(check_too);
    check_it();
    end_meanwhile();
    check_it();
}

static commy_handle_t handle;
static int told[2];

static void on_service(void *user, int32_t event, const char *name, const char *id)
{
    cr_assert_eq(user, &told[0]);
    cr_assert_eq(event, COMMY_CALLBACK_REGISTERED);
    cr_assert_str_eq(name, "web");
    cr_assert_str_eq(id, "web-1");
    told[0]++;
}

static void on_health(void *user, const char *name, const char *id, int32_t before, int32_t now)
{
    cr_assert_eq(user, &told[1]);
    cr_assert_str_eq(name, "web");
    cr_assert_str_eq(id, "web-1");
    cr_assert(before == COMMY_HEALTH_HEALTHY && now == COMMY_HEALTH_UNHEALTHY);
    told[1]++;
}

static void open_handle(void)
{
    const commy_open_options_t options = options_for(0, 0);
    handle = commy_open_mesh(&options);
    cr_assert_neq(handle.instance_id, 0, "%s", commy_last_error_message());
}

static void listen_too(bool aligned)
{
    (void)aligned;
    if (came)
        return;
    came = true;
    /* The first allocation is the lookout's, behind which this one makes its own and the notices. */
    cr_assert_eq(commy_set_health_callback(handle, on_health, &told[1]), 0, "%s", commy_last_error_message());
}

static int allocations;

/* Behind the lookout, when the notices are made. */
static void listen_a_bit_later(bool aligned)
{
    if (++allocations == 2)
        listen_too(aligned);
}

Test(meanwhile, both_callbacks_are_told_whichever_was_set_first)
{
    void (*const when[])(bool) = {listen_too, listen_a_bit_later};
    begin(64);
    for (int i = 0; i < 2; i++) {
        open_handle();
        told[0] = told[1] = allocations = 0;
        begin_meanwhile(when[i]);
        cr_assert_eq(commy_set_service_callback(handle, on_service, &told[0]), 0, "%s", commy_last_error_message());
        end_meanwhile();
        add(mesh, "web", "web-1");
        cr_assert_eq(commy_service_set_health(mesh, "web-1", COMMY_HEALTH_UNHEALTHY), COMMY_STATUS_SUCCESS);
        cr_assert(EVENTUALLY(commy_dispatch(handle, 10) >= 0 && told[0] == 1 && told[1] == 1), "%d %d", told[0],
                  told[1]);
        cr_assert_eq(commy_destroy_mesh(handle), 0);
        drop(mesh, "web-1");
    }
    commy_ffi_cleanup();
}

static void on_log(void *user, int32_t level, const char *text)
{
    (void)level;
    *(int *)user += strstr(text, "joined") != NULL;
}

static void log_too(bool aligned)
{
    (void)aligned;
    if (comes_first())
        cr_assert_eq(commy_set_log_callback(on_log, &told[1]), 0);
}

Test(meanwhile, of_two_listeners_to_the_log_the_last_one_is_told)
{
    begin(64);
    open_handle();
    begin_meanwhile(log_too);
    cr_assert_eq(commy_set_log_callback(on_log, &told[0]), 0);
    end_meanwhile();
    cr_assert_eq(commy_start_mesh(handle), 0);
    cr_assert_eq(commy_dispatch(handle, 0), 1);
    cr_assert(told[0] == 1 && told[1] == 0, "%d %d", told[0], told[1]);
    commy_set_log_callback(NULL, NULL);
    commy_ffi_cleanup();
}

/* ------------------------------------------------------------------- selecting */

static commy_mesh_t *own;

static commy_status_t try_select(int32_t policy, commy_target_t *target)
{
    const commy_select_options_t options = {.size = sizeof options, .policy = policy};
    return commy_service_select(own, "web", &options, target);
}

static void select_too(bool aligned)
{
    commy_target_t target;
    (void)aligned;
    if (comes_first())
        cr_assert_eq(try_select(COMMY_POLICY_RANDOM, &target), COMMY_STATUS_SUCCESS);
}

Test(meanwhile, a_handle_has_one_set_of_pickers_whoever_selects_first)
{
    commy_target_t target;
    begin(64);
    add(mesh, "web", "web-1");
    own = attach(COMMY_OPEN_MUST_EXIST);
    begin_meanwhile(select_too);
    cr_assert_eq(try_select(COMMY_POLICY_ROUND_ROBIN, &target), COMMY_STATUS_SUCCESS);
    end_meanwhile();
    cr_assert_eq(atomic_load(&((cmy_pickers_t *)own->pickers)->serial), 2, "one picker for each policy");
    commy_mesh_detach(&own);
}

static void set_admin(const char *id, int32_t admin)
{
    cr_assert_eq(commy_service_set_admin(mesh, id, admin), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

/* The ninth allocation is behind the walk: all pickers, the picker, three arrays that grow once, the table. */
static void drain_all_but_one(bool aligned)
{
    (void)aligned;
    if (++allocations != 9)
        return;
    came = true;
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "web-%d", i);
        if (i != 7)
            set_admin(id, COMMY_ADMIN_DRAINING);
    }
}

Test(meanwhile, the_one_instance_that_is_left_is_selected_whatever_is_drawn)
{
    commy_target_t target, left;
    begin(64);
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "web-%d", i);
        add(mesh, "web", id);
    }
    cr_assert_eq(commy_service_find(mesh, "web-7", &left), COMMY_STATUS_SUCCESS);
    for (int round = 0; round < 20; round++) { /* four draws find it once in five times */
        for (int i = 0; i < 20; i++) {
            char id[16];
            snprintf(id, sizeof id, "web-%d", i);
            set_admin(id, COMMY_ADMIN_ENABLED);
        }
        own = attach(COMMY_OPEN_MUST_EXIST);
        allocations = 0;
        begin_meanwhile(drain_all_but_one);
        cr_assert_eq(try_select(COMMY_POLICY_RANDOM, &target), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
        end_meanwhile();
        cr_assert_eq(target.reference, left.reference);
        commy_mesh_detach(&own);
    }
    audit();
}

/* It may be selected when a picker is begun, and not any more when it is done. */
static void come_and_go(bool aligned)
{
    came = true;
    set_admin("web-1", aligned ? COMMY_ADMIN_ENABLED : COMMY_ADMIN_DRAINING);
}

Test(meanwhile, a_selection_whose_instances_change_all_the_while_ends_and_says_so)
{
    commy_target_t target;
    begin(64);
    add(mesh, "web", "web-1");
    own = attach(COMMY_OPEN_MUST_EXIST);
    begin_meanwhile(come_and_go);
    commy_status_t status = try_select(COMMY_POLICY_ROUND_ROBIN, &target);
    end_meanwhile();
    expect(status, COMMY_STATUS_BUSY, "name 'web' changed each of the 16 times");
    expect(try_select(COMMY_POLICY_ROUND_ROBIN, &target), COMMY_STATUS_NO_HEALTHY, "1 draining");
    set_admin("web-1", COMMY_ADMIN_ENABLED);
    cr_assert_eq(try_select(COMMY_POLICY_ROUND_ROBIN, &target), COMMY_STATUS_SUCCESS);
    commy_mesh_detach(&own);
    audit();
}
