/*
 * Memory runs out: whichever allocation of a call fails, the call says so, leaves nothing behind, and the next try
 * succeeds. The same of threads.
 */
#include <commy/ffi.h>

#include "life/sign.h"
#include "support_scarce.h"
#include "support_server.h"

TestSuite(memory, .init = set_up, .fini = tear_down, .timeout = 60);

/* A call is made once for each of its allocations, which fails, and once more where none does. */
typedef struct trial {
    const char *what;
    void (*prepare)(void);
    commy_status_t (*call)(void);
    void (*undo)(void);
    int least; /* allocations that it makes */
} trial_t;

static void try_each(const trial_t *trial)
{
    int refused, nth = 0;
    do {
        if (trial->prepare)
            trial->prepare();
        run_short(false, ++nth, 1);
        commy_status_t status = trial->call();
        refused = run_plenty();
        if (refused) {
            expect(status, COMMY_STATUS_NO_MEMORY, "no memory");
            status = trial->call();
        }
        cr_assert_eq(status, COMMY_STATUS_SUCCESS, "%s, %d: %s", trial->what, nth, commy_last_error_message());
        trial->undo();
    } while (refused);
    cr_assert_geq(nth, trial->least + 1, "%s asked for memory %d times", trial->what, nth - 1);
}

/* ---------------------------------------------------------------- handles */

static commy_mesh_t *own;
static size_t others; /* participants, before it joins */

static void attach_own(void)
{
    others = participants_of(mesh);
    own = attach(COMMY_OPEN_MUST_EXIST);
}

static void detach_own(void)
{
    commy_mesh_detach(&own);
    cr_assert_eq(participants_of(mesh), others);
}

static commy_status_t try_attach(void)
{
    const commy_open_options_t options = options_for(0, COMMY_OPEN_MUST_EXIST);
    return commy_mesh_attach(&options, &own);
}

static commy_status_t try_join(void)
{
    return commy_mesh_join(own, NULL, 0);
}

Test(memory, attaching_and_joining_say_that_there_is_none)
{
    begin(64);
    try_each(&(trial_t){"attach", NULL, try_attach, detach_own, 2});
    try_each(&(trial_t){"join", attach_own, try_join, detach_own, 1});
    audit();
}

Test(memory, a_region_is_attached_without_memory_for_its_name)
{
    commy_target_t target;
    const commy_open_options_t options = options_for(64, 0);
    cr_assert_eq(commy_mesh_create(&options), COMMY_STATUS_SUCCESS);
    run_short(false, 3, 1); /* behind the handle and the mapping */
    commy_status_t status = commy_mesh_attach(&options, &mesh);
    cr_assert_eq(run_plenty(), 1);
    cr_assert_eq(status, COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    expect(commy_service_find(mesh, "web-1", &target), COMMY_STATUS_NOT_FOUND, "web-1 in mesh (unnamed) of (unnamed)");
    add(mesh, "web", "web-1");
    cr_assert(there(mesh, "web-1"));
    audit();
}

static commy_status_t try_create_for_group(void)
{
    commy_open_options_t options = options_for(64, 0);
    options.group = "root";
    options.mode = 0660;
    return commy_mesh_create(&options);
}

static void remove_it(void)
{
    const commy_open_options_t options = options_for(0, 0);
    cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(test_dir_count(test_dir), 0, "nothing is left in the directory");
}

Test(memory, a_group_is_looked_up_or_no_region_is_made)
{
    if (geteuid() != 0)
        cr_skip_test("only root gives a region to the group root");
    try_each(&(trial_t){"create", NULL, try_create_for_group, remove_it, 1});
}

/* -------------------------------------------------------------------- audit */

static commy_status_t try_audit(void)
{
    uint64_t findings = 0;
    commy_status_t status = commy_mesh_check(mesh, NULL, NULL, &findings);
    cr_assert_eq(findings > 0, status == COMMY_STATUS_CORRUPT);
    return status;
}

Test(memory, an_audit_that_cannot_remember_what_it_suspects_says_so_and_not_that_all_is_well)
{
    begin(64);
    add(mesh, "web", "web-1");
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, "web-1", &record, &state), COMMY_STATUS_SUCCESS);
    cmy_word64_t *hash = &cmy_service_at(mesh->region, record)->hash;
    cmy_store64_relaxed(hash, cmy_load64_relaxed(hash) ^ 1);
    for (int nth = 1; nth <= 2; nth++) {
        run_short(false, nth, 1);
        commy_status_t status = try_audit();
        cr_assert_eq(run_plenty(), 1);
        expect(status, COMMY_STATUS_NO_MEMORY, "no memory to audit");
    }
    cr_assert_eq(try_audit(), COMMY_STATUS_CORRUPT);
    cmy_store64_relaxed(hash, cmy_load64_relaxed(hash) ^ 1);
    audit();
}

/* ----------------------------------------------------------------- requests */

Test(memory, a_request_for_which_there_is_no_table_is_refused_and_the_next_is_not)
{
    commy_target_t target;
    commy_service_stats_t stats;
    uint64_t token = 0;
    begin(64);
    add(mesh, "web", "web-1");
    cr_assert_eq(commy_service_find(mesh, "web-1", &target), COMMY_STATUS_SUCCESS);
    atomic_store(&mappings_refused, 1);
    commy_status_t status = commy_service_begin(mesh, target.reference, &token);
    cr_assert_eq(atomic_exchange(&mappings_refused, 0), 0);
    expect(status, COMMY_STATUS_NO_MEMORY, "no memory for a table of");
    cr_assert_eq(commy_service_begin(mesh, target.reference, &token), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_name_stats(mesh, "web", &stats), COMMY_STATUS_SUCCESS);
    cr_assert_eq(stats.in_flight, 1, "what was refused is not in flight");
    cr_assert_eq(commy_service_end(mesh, token, 1000, true), COMMY_STATUS_SUCCESS);
    audit();
}

/* ---------------------------------------------------------------- selecting */

#define INSTANCES 20
#define OPEN 6

/* Twenty instances of different weights, and six that are passed over. */
static void fill(void)
{
    const commy_breaker_config_t breaker = {
        .size = sizeof breaker, .enabled = 1, .consecutive_failures = 1, .open_ms = 600000};
    begin(64);
    cr_assert_eq(commy_mesh_set_breaker(mesh, &breaker), COMMY_STATUS_SUCCESS);
    for (uint32_t i = 0; i < INSTANCES + OPEN; i++) {
        char id[16];
        commy_target_t target;
        snprintf(id, sizeof id, "web-%u", i);
        commy_service_config_t config = config_of("web", id);
        config.weight = i % 3 + 1;
        cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
        cr_assert_eq(commy_service_find(mesh, id, &target), COMMY_STATUS_SUCCESS);
        if (i % 4 == 0 && i / 4 < OPEN)
            cr_assert_eq(commy_service_report(mesh, target.reference, 1, false), COMMY_STATUS_SUCCESS);
    }
}

static int32_t policy;
static commy_target_t selected;

static commy_status_t try_select(void)
{
    const commy_select_options_t options = {.size = sizeof options, .policy = policy, .client_id = "me"};
    return commy_service_select(own, "web", &options, &selected);
}

static void detach_reader(void)
{
    commy_mesh_detach(&own);
}

Test(memory, a_selection_that_lacks_it_for_anything_says_so)
{
    fill();
    for (policy = COMMY_POLICY_ROUND_ROBIN; policy <= COMMY_POLICY_CONSISTENT_HASH; policy++) {
        int tables = policy == COMMY_POLICY_ROUND_ROBIN ? 0 : 1;
        /* All pickers, the picker, three arrays that grow once, those that are open, which do too; the table. */
        try_each(&(trial_t){"select", attach_own, try_select, detach_reader, 10 + tables});
    }
    audit();
}

static void select_and_add(void)
{
    attach_own();
    cr_assert_eq(try_select(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    add(mesh, "web", "newcomer");
}

static void find_newcomer_and_drop_it(void)
{
    commy_target_t newcomer;
    int turns = 0;
    cr_assert_eq(commy_service_find(mesh, "newcomer", &newcomer), COMMY_STATUS_SUCCESS);
    do
        cr_assert_eq(try_select(), COMMY_STATUS_SUCCESS);
    while (selected.reference != newcomer.reference && ++turns <= INSTANCES);
    cr_assert_leq(turns, INSTANCES, "it is not among those that are selected from");
    detach_reader();
    drop(mesh, "newcomer");
}

Test(memory, a_selection_that_could_not_learn_of_a_change_learns_of_it_the_next_time)
{
    fill();
    policy = COMMY_POLICY_ROUND_ROBIN;
    try_each(&(trial_t){"select again", select_and_add, try_select, find_newcomer_and_drop_it, 8});
    audit();
}

/* ---------------------------------------------------------------- watching */

static commy_watcher_t *watcher;

static commy_status_t try_watch(void)
{
    const commy_watch_options_t options = {.size = sizeof options, .name = "web"};
    return commy_watcher_create(own, &options, &watcher);
}

static void watch_and_detach(void)
{
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_SUCCESS);
    commy_watcher_destroy(&watcher);
    detach_reader();
}

Test(memory, a_watcher_is_there_whole_or_not_at_all)
{
    begin(64);
    try_each(&(trial_t){"watch", attach_own, try_watch, watch_and_detach, 2});
}

static commy_handle_t handle;
static uint64_t watch;

static commy_status_t try_open(void)
{
    const commy_open_options_t options = options_for(0, 0);
    handle = commy_open_mesh(&options);
    return handle.instance_id == 0 ? (commy_status_t)commy_last_error() : COMMY_STATUS_SUCCESS;
}

static void open_it(void)
{
    cr_assert_eq(try_open(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static void close_it(void)
{
    cr_assert_eq(commy_destroy_mesh(handle), 0);
}

static commy_status_t try_watch_by_number(void)
{
    commy_status_t status = (commy_status_t)commy_watch_open(handle, "web", &watch);
    cr_assert_eq(watch == 0, status != COMMY_STATUS_SUCCESS);
    return status;
}

static void close_watch(void)
{
    cr_assert_eq(commy_watch_wait(watch, 0, NULL), 0);
    cr_assert_eq(commy_watch_close(watch), 0);
    close_it();
}

Test(memory, no_number_is_given_for_what_could_not_be_opened)
{
    begin(64);
    try_each(&(trial_t){"open", NULL, try_open, close_it, 2});
    try_each(&(trial_t){"watch by number", open_it, try_watch_by_number, close_watch, 3});
    commy_ffi_cleanup();
}

/* --------------------------------------------------------------- callbacks */

static int told;

static void on_service(void *user, int32_t event, const char *name, const char *id)
{
    cr_assert_eq(user, &told);
    cr_assert_eq(event, COMMY_CALLBACK_REGISTERED);
    cr_assert_str_eq(name, "web");
    cr_assert_str_eq(id, "web-1");
    told++;
}

static void on_log(void *user, int32_t level, const char *text)
{
    cr_assert_eq(user, &told);
    (void)level;
    told += strstr(text, "joined") != NULL;
}

static commy_status_t try_listen(void)
{
    return (commy_status_t)commy_set_service_callback(handle, on_service, &told);
}

Test(memory, a_callback_is_set_or_refused)
{
    begin(64);
    try_each(&(trial_t){"listen", open_it, try_listen, close_it, 2});
    commy_ffi_cleanup();
}

static commy_status_t try_log(void)
{
    return (commy_status_t)commy_set_log_callback(on_log, &told);
}

static void log_and_stop(void)
{
    told = 0;
    open_it();
    cr_assert_eq(commy_start_mesh(handle), 0);
    cr_assert_geq(commy_dispatch(handle, 0), 1);
    cr_assert_eq(told, 1);
    close_it();
    commy_set_log_callback(NULL, NULL);
}

Test(memory, a_log_is_kept_or_refused)
{
    begin(64);
    try_each(&(trial_t){"log", NULL, try_log, log_and_stop, 1});
    commy_ffi_cleanup();
}

/* What the lookout's thread lacks is no call's to tell: it tries again. */
Test(memory, what_could_not_be_noted_for_want_of_it_is_told_later)
{
    begin(64);
    add(mesh, "web", "web-1");
    open_it();
    told = 0;
    run_short(true, 1, 5); /* the sightings, and when there are some, the texts */
    cr_assert_eq(try_listen(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert(EVENTUALLY(commy_dispatch(handle, 10) >= 0 && told > 0));
    cr_assert_eq(run_plenty(), 5);
    cr_assert_eq(told, 1);
    cr_assert_eq(commy_set_service_callback(handle, NULL, NULL), 0);
    run_short(true, 1, 1); /* a text, of sightings that are there */
    cr_assert_eq(try_listen(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert(EVENTUALLY(commy_dispatch(handle, 10) >= 0 && told > 1));
    cr_assert_eq(run_plenty(), 1);
    commy_ffi_cleanup();
}

/* ------------------------------------------------------------------ health */

static server_t server;
static const commy_health_config_t quick = {20, 5000, 3, 2}; /* no check fails for being slow */

static commy_status_t try_check(void)
{
    commy_check_result_t result;
    commy_status_t status = commy_service_check(mesh, "web-1", 1000, &result);
    cr_assert(status != COMMY_STATUS_SUCCESS || result.status == COMMY_HEALTH_HEALTHY, "%s", result.reason);
    return status;
}

static commy_status_t try_monitor(void)
{
    return commy_service_monitor(own, "web-1", &quick);
}

static void nothing(void)
{
}

Test(memory, a_check_is_made_or_says_that_it_was_not)
{
    begin(64);
    server_start(&server, 200);
    add_checked(mesh, "web-1", server.port, NULL);
    run_short(false, 1, 1);
    commy_status_t status = try_check();
    cr_assert_eq(run_plenty(), 1);
    expect(status, COMMY_STATUS_NO_MEMORY, "no memory for the functions of libcurl");
    cr_assert_eq(try_check(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    try_each(&(trial_t){"check", NULL, try_check, nothing, 2});
    try_each(&(trial_t){"monitor", attach_own, try_monitor, detach_own, 3});
    cr_assert_neq(status_of(mesh, "web-1"), COMMY_HEALTH_UNHEALTHY, "unknown, where the handle left before a result");
    server_stop(&server);
    audit();
}

/* As above: for the set of all checks, and for one. */
Test(memory, a_check_that_lacks_it_is_made_later)
{
    begin(64);
    server_start(&server, 500);
    add_checked(mesh, "web-1", server.port, "check=http");
    for (int first = 1; first <= 2; first++) {
        attach_own();
        cr_assert_eq(commy_service_set_health(mesh, "web-1", COMMY_HEALTH_HEALTHY), COMMY_STATUS_SUCCESS);
        run_short(true, first, 3);
        cr_assert_eq(try_monitor(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
        cr_assert(EVENTUALLY(atomic_load(&scarcity.refused) == 3));
        cr_assert(EVENTUALLY(status_of(mesh, "web-1") == COMMY_HEALTH_UNHEALTHY));
        cr_assert_eq(run_plenty(), 3);
        commy_mesh_detach(&own);
    }
    server_stop(&server);
    audit();
}

/* ----------------------------------------------------------------- threads */

static int threads_of(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], comm[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(comm, sizeof comm, file))
            count += strncmp(comm, name, strlen(name)) == 0;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return count;
}

static void expect_no_thread(commy_status_t (*call)(void), const char *name)
{
    int before = threads_of(name);
    atomic_store(&threads_refused, 1);
    commy_status_t status = call();
    cr_assert_eq(atomic_exchange(&threads_refused, 0), 0);
    expect(status, COMMY_STATUS_LIMIT, "no thread could be started");
    cr_assert_eq(threads_of(name), before);
    cr_assert_eq(call(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert(EVENTUALLY(threads_of(name) == before + 1), "%s", name);
}

static commy_status_t try_descriptor(void)
{
    int fd;
    commy_status_t status = commy_watcher_fd(watcher, &fd);
    cr_assert_eq(fd < 0, status != COMMY_STATUS_SUCCESS);
    return status;
}

Test(memory, a_thread_that_cannot_be_started_is_asked_for_again_by_the_next_call)
{
    begin(64);
    server_start(&server, 200);
    add_checked(mesh, "web-1", server.port, NULL);
    attach_own();
    expect_no_thread(try_join, "commy-keeper");
    expect_no_thread(try_monitor, CMY_MONITOR_NAME);
    cr_assert_eq(try_watch(), COMMY_STATUS_SUCCESS);
    expect_no_thread(try_descriptor, CMY_LOOKOUT_NAME);
    commy_watcher_destroy(&watcher);
    commy_mesh_detach(&own);
    open_it();
    expect_no_thread(try_listen, CMY_LOOKOUT_NAME);
    commy_ffi_cleanup();
    server_stop(&server);
    audit();
}
