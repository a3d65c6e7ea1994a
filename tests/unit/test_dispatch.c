/*
 * Callbacks: who is told what, in which order; what a callback may do; that a ring which is full loses no last state;
 * and the log.
 */
#include <commy/commy.h>
#include <commy/ffi.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

static void set_up(void)
{
    test_dir_make();
}

static void tear_down(void)
{
    commy_set_log_callback(NULL, NULL);
    commy_ffi_cleanup();
    test_dir_destroy();
}

TestSuite(dispatch, .init = set_up, .fini = tear_down, .timeout = 60);

static commy_handle_t open_with(uint32_t flags, uint32_t capacity)
{
    const commy_open_options_t options = {.size = sizeof(options),
                                          .flags = flags,
                                          .dir = test_dir,
                                          .mesh = "m",
                                          .node_id = "tester",
                                          .capacity = capacity};
    commy_handle_t h = commy_open_mesh(&options);
    cr_assert_neq(h.instance_id, 0, "%s", commy_last_error_message());
    return h;
}

static void add(commy_handle_t h, const char *name, const char *id)
{
    cr_assert_eq(commy_register_service_simple(h, name, id, "127.0.0.1", 8080), 0, "%s", commy_last_error_message());
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* What was told, one line each: "+name/id", "-...", "~...", "name/id 1>2", "level: text". */
static char told[1 << 16];
static pid_t teller; /* the thread that every callback ran on */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    size_t used = strlen(told);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(told + used, sizeof told - used, format, arguments);
    va_end(arguments);
    pid_t thread = (pid_t)syscall(SYS_gettid);
    cr_assert(teller == 0 || teller == thread);
    teller = thread;
}

static void on_service(void *user, int32_t event, const char *name, const char *id)
{
    cr_assert_eq(user, told);
    cr_assert(event >= COMMY_CALLBACK_REGISTERED && event <= COMMY_CALLBACK_CHANGED);
    note("%c%s/%s\n", " +-~"[event], name, id);
}

static void on_health(void *user, const char *name, const char *id, int32_t before, int32_t now)
{
    cr_assert_eq(user, told);
    note("%s/%s %d>%d\n", name, id, before, now);
}

static void on_log(void *user, int32_t level, const char *text)
{
    cr_assert_eq(user, told);
    note("%d: %s\n", level, text);
}

/* Dispatches until all of `expected` was told and no more, or five seconds have passed. */
static void expect_told(commy_handle_t h, const char *expected)
{
    uint64_t end = now_ms() + 5000;
    while (strcmp(told, expected) != 0 && now_ms() < end)
        cr_assert_geq(commy_dispatch(h, 50), 0, "%s", commy_last_error_message());
    cr_assert_eq(commy_dispatch(h, 20), 0);
    cr_assert_str_eq(told, expected);
    told[0] = '\0';
}

static void listen_to_all(commy_handle_t h)
{
    cr_assert_eq(commy_set_service_callback(h, on_service, told), 0, "%s", commy_last_error_message());
    cr_assert_eq(commy_set_health_callback(h, on_health, told), 0, "%s", commy_last_error_message());
}

/* ----------------------------------------------------------- who is told what */

static void tells_all(uint32_t flags)
{
    commy_handle_t h = open_with(0, 16), listener = open_with(flags, 16);
    teller = 0;
    add(h, "web", "web-1");
    listen_to_all(listener);
    expect_told(listener, "+web/web-1\n");
    add(h, "db", "db-1");
    expect_told(listener, "+db/db-1\n");
    cr_assert_eq(commy_set_service_weight(h, "web-1", 7), 0);
    expect_told(listener, "~web/web-1\n");
    cr_assert_eq(commy_update_service_metadata(h, "web-1", "{}"), 0);
    expect_told(listener, "~web/web-1\n");
    cr_assert_eq(commy_unregister_service(h, "web-1"), 0);
    expect_told(listener, "-web/web-1\n");
    add(h, "web", "web-1");
    expect_told(listener, "+web/web-1\n");
    cr_assert_eq(commy_stop_mesh(h), 0);
    uint64_t end = now_ms() + 5000;
    while (strlen(told) < 2 * strlen("-web/web-1\n") - 2 && now_ms() < end)
        commy_dispatch(listener, 50);
    cr_assert(strstr(told, "-web/web-1\n") && strstr(told, "-db/db-1\n"), "%s", told);
    told[0] = '\0';
    cr_assert_eq(commy_set_service_callback(listener, NULL, NULL), 0);
    cr_assert_eq(commy_start_mesh(h), 0);
    add(h, "web", "web-1");
    expect_told(listener, "");
    cr_assert_eq(commy_set_service_callback(listener, on_service, told), 0);
    expect_told(listener, "+web/web-1\n");
    commy_ffi_cleanup();
}

Test(dispatch, what_becomes_of_services_is_told)
{
    tells_all(0);
}

Test(dispatch, a_read_only_handle_is_told_as_well)
{
    tells_all(COMMY_OPEN_READ_ONLY);
}

Test(dispatch, an_id_that_was_registered_anew_goes_before_it_comes)
{
    commy_handle_t h = open_with(0, 16);
    add(h, "web", "one");
    add(h, "web", "two");
    listen_to_all(h);
    expect_told(h, "+web/one\n+web/two\n");
    for (int i = 0; i < 10; i++) { /* not dispatched: the lookout sees some or none of what is in between */
        cr_assert_eq(commy_unregister_service(h, "two"), 0);
        add(h, i % 2 ? "web" : "db", "two");
    }
    const char *last = "+web/two\n";
    for (uint64_t end = now_ms() + 5000; now_ms() < end;) {
        int32_t ran = commy_dispatch(h, 200);
        if (ran == 0 && strlen(told) > strlen(last) && strcmp(told + strlen(told) - strlen(last), last) == 0)
            break;
    }
    cr_assert_gt(strlen(told), strlen(last));
    cr_assert_str_eq(told + strlen(told) - strlen(last), last, "%s", told);
    int there = 1; /* goes and comes in turn */
    for (const char *line = told; *line; line = strchr(line, '\n') + 1) {
        cr_assert_eq(*line, there ? '-' : '+', "%s", told);
        there = !there;
    }
    cr_assert(there);
}

Test(dispatch, health_is_told_with_what_it_was)
{
    commy_service_config_t config = {.size = sizeof config,
                                     .service_name = "web",
                                     .service_id = "web-1",
                                     .endpoint = "127.0.0.1",
                                     .port = 80,
                                     .ttl_ms = 1000};
    commy_handle_t h = open_with(0, 16), reader = open_with(COMMY_OPEN_READ_ONLY, 16);
    cr_assert_eq(commy_set_health_callback(h, on_health, told), 0);
    cr_assert_eq(commy_register_service(h, &config), 0);
    expect_told(h, "");
    sleep_ms(1100);
    expect_told(h, "web/web-1 1>2\n");
    cr_assert_eq(commy_heartbeat(h, "web-1"), 0);
    expect_told(h, "web/web-1 2>1\n");
    cr_assert_eq(commy_set_health_callback(reader, on_health, told), 0);
    sleep_ms(200);
    cr_assert_eq(commy_heartbeat(h, "web-1"), 0);
    expect_told(reader, "");
    sleep_ms(1100);
    expect_told(reader, "web/web-1 1>2\n");
}

Test(dispatch, whoever_listens_is_told_first_of_those_that_are_not_healthy)
{
    commy_handle_t h = open_with(0, 16);
    add(h, "web", "web-1");
    add(h, "web", "web-2");
    cr_assert_eq(commy_set_health(h, "web-1", COMMY_HEALTH_DEGRADED), 0);
    cr_assert_eq(commy_set_health_callback(h, on_health, told), 0);
    cr_assert_eq(commy_set_health(h, "web-2", COMMY_HEALTH_UNHEALTHY), 0, "before anybody can have looked, perhaps");
    expect_told(h, "web/web-1 1>3\nweb/web-2 1>2\n");
    cr_assert_eq(commy_set_health(h, "web-1", COMMY_HEALTH_HEALTHY), 0);
    expect_told(h, "web/web-1 3>1\n");
}

static pid_t start_owner(const char *name, const char *id)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t child = test_fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        commy_handle_t own = open_with(0, 16);
        if (commy_register_service_simple(own, name, id, "127.0.0.1", 80) != 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

Test(dispatch, a_death_is_told_as_going)
{
    commy_handle_t h = open_with(0, 16);
    pid_t owner = start_owner("web", "web-1");
    listen_to_all(h);
    expect_told(h, "+web/web-1\n");
    kill(owner, SIGKILL);
    cr_assert_eq(waitpid(owner, NULL, 0), owner);
    expect_told(h, "-web/web-1\n");
}

/* -------------------------------------------------------- what a callback may do */

static commy_handle_t of_callback;
static int calls;

static void unregisters_itself(void *user, int32_t event, const char *name, const char *id)
{
    (void)user;
    (void)name;
    calls++;
    if (event == COMMY_CALLBACK_REGISTERED)
        cr_assert_eq(commy_unregister_service(of_callback, id), 0, "%s", commy_last_error_message());
}

Test(dispatch, a_callback_may_unregister_its_own_service)
{
    of_callback = open_with(0, 16);
    cr_assert_eq(commy_set_service_callback(of_callback, unregisters_itself, NULL), 0);
    add(of_callback, "web", "web-1");
    for (uint64_t end = now_ms() + 5000; calls < 2 && now_ms() < end;)
        commy_dispatch(of_callback, 50);
    cr_assert_eq(calls, 2, "came and went");
    cr_assert_eq(commy_get_active_service_count(of_callback), 0);
}

static void changes_callbacks(void *user, int32_t event, const char *name, const char *id)
{
    (void)user;
    calls++;
    cr_assert_eq(event, COMMY_CALLBACK_REGISTERED);
    cr_assert_str_eq(name, "web");
    cr_assert_eq(commy_set_service_callback(of_callback, NULL, NULL), 0);
    cr_assert_eq(commy_set_health_callback(of_callback, NULL, NULL), 0);
    cr_assert_eq(commy_set_service_callback(of_callback, on_service, told), 0);
    cr_assert(id[0] != '\0');
}

Test(dispatch, a_callback_may_set_callbacks)
{
    of_callback = open_with(0, 16);
    add(of_callback, "web", "web-1");
    add(of_callback, "web", "web-2");
    cr_assert_eq(commy_set_service_callback(of_callback, changes_callbacks, NULL), 0);
    expect_told(of_callback, "+web/web-1\n+web/web-2\n");
    cr_assert_eq(calls, 1, "the other event was the former callback's");
}

static void dispatches_again(void *user, int32_t event, const char *name, const char *id)
{
    (void)user;
    (void)event;
    (void)name;
    static int depth;
    cr_assert_leq(++depth, 10);
    calls++;
    if (strcmp(id, "web-9") != 0)
        cr_assert_geq(commy_dispatch(of_callback, 1000), 0);
    depth--;
}

Test(dispatch, a_callback_may_dispatch)
{
    of_callback = open_with(0, 16);
    char id[16];
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "web-%d", i);
        add(of_callback, "web", id);
    }
    cr_assert_eq(commy_set_service_callback(of_callback, dispatches_again, NULL), 0);
    for (uint64_t end = now_ms() + 5000; calls < 10 && now_ms() < end;)
        cr_assert_geq(commy_dispatch(of_callback, 50), 0);
    cr_assert_eq(calls, 10);
}

static void stops(void *user, int32_t event, const char *name, const char *id)
{
    (void)event;
    (void)name;
    (void)id;
    calls++;
    cr_assert_eq(user ? commy_destroy_mesh(of_callback) : commy_stop_mesh(of_callback), 0);
}

static void cleans_up(void *user, int32_t event, const char *name, const char *id)
{
    (void)user;
    (void)event;
    (void)name;
    (void)id;
    calls++;
    cr_assert_eq(commy_ffi_cleanup(), 0);
}

static void ends_by(commy_service_callback_t callback, void *user, int32_t code)
{
    int32_t ran = 0;
    of_callback = open_with(0, 16);
    calls = 0;
    add(of_callback, "web", "web-1");
    add(of_callback, "web", "web-2");
    cr_assert_eq(commy_set_service_callback(of_callback, callback, user), 0);
    sleep_ms(100);
    for (uint64_t end = now_ms() + 5000; ran == 0 && now_ms() < end;)
        ran = commy_dispatch(of_callback, 50);
    cr_assert_eq(ran, 1, "what ran is told, whatever became of the handle");
    cr_assert_eq(calls, 1);
    cr_assert_eq(commy_dispatch(of_callback, -1), -code);
    commy_ffi_cleanup();
}

Test(dispatch, a_callback_may_stop_and_destroy_the_handle_and_clean_up)
{
    ends_by(stops, NULL, COMMY_STATUS_NOT_RUNNING);
    ends_by(stops, told, COMMY_STATUS_NO_HANDLE);
    ends_by(cleans_up, NULL, COMMY_STATUS_NO_HANDLE);
}

/* ------------------------------------------------------------- ends and bounds */

static _Atomic bool began;

static void *dispatch_for_ever(void *argument)
{
    int32_t *code = argument;
    atomic_store(&began, true);
    do
        *code = commy_dispatch(of_callback, -1);
    while (*code >= 0);
    return NULL;
}

enum ending { STOP, DESTROY, REMOVE, ENDINGS };

/* How long it takes from the ending to the end of the dispatch. */
static uint64_t end_with(enum ending ending)
{
    static const int32_t codes[] = {COMMY_STATUS_NOT_RUNNING, COMMY_STATUS_NO_HANDLE, COMMY_STATUS_REMOVED};
    const commy_open_options_t options = {.size = sizeof options, .dir = test_dir, .mesh = "m"};
    pthread_t thread;
    int32_t code = 0;
    of_callback = open_with(0, 16);
    atomic_store(&began, false);
    cr_assert_eq(commy_set_service_callback(of_callback, on_service, told), 0);
    cr_assert_eq(pthread_create(&thread, NULL, dispatch_for_ever, &code), 0);
    while (!atomic_load(&began))
        sleep_ms(1);
    sleep_ms(30);
    uint64_t start = now_ms();
    int32_t ended = ending == STOP      ? commy_stop_mesh(of_callback)
                    : ending == DESTROY ? commy_destroy_mesh(of_callback)
                                        : (int32_t)commy_mesh_remove(&options, true);
    pthread_join(thread, NULL);
    uint64_t took = now_ms() - start;
    cr_assert_eq(ended, 0, "%s", commy_last_error_message());
    cr_assert_eq(code, -codes[ending], "%d gave %d", (int)ending, code);
    commy_ffi_cleanup();
    return took;
}

Test(dispatch, a_dispatch_that_waits_ends_with_the_handle_and_the_region)
{
    for (int ending = 0; ending < ENDINGS; ending++) {
        uint64_t best = UINT64_MAX, most = ending == REMOVE ? 200 : 90; /* at once, or with the next look */
        for (int tries = 0; tries < 5 && best >= most; tries++) {
            uint64_t took = end_with((enum ending)ending);
            best = took < best ? took : best;
        }
        cr_assert_lt(best, most, "ending %d took %d ms", ending, (int)best);
    }
}

Test(dispatch, without_a_handle_or_in_a_forked_child_it_is_refused)
{
    int status;
    commy_handle_t none = {0};
    cr_assert_eq(commy_dispatch(none, 0), -COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_set_service_callback(none, on_service, told), COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_set_health_callback(none, on_health, told), COMMY_STATUS_NO_HANDLE);
    commy_handle_t h = open_with(0, 16);
    uint64_t start = now_ms();
    cr_assert_eq(commy_dispatch(h, 0), 0, "no callback, nothing to run");
    cr_assert_eq(commy_dispatch(h, 120), 0);
    cr_assert_geq(now_ms() - start, 120, "and waits as it was told to");
    listen_to_all(h);
    cr_assert_eq(commy_set_log_callback(on_log, told), 0);
    pid_t child = test_fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        bool refused = commy_dispatch(h, -1) == -COMMY_STATUS_FORKED &&
                       commy_set_service_callback(h, NULL, NULL) == COMMY_STATUS_FORKED;
        told[0] = '\0';
        commy_handle_t mine = open_with(0, 16);
        bool quiet = commy_start_mesh(mine) == 0 && commy_dispatch(mine, 0) == 0;
        bool heard = commy_set_log_callback(on_log, told) == 0 && commy_stop_mesh(mine) == 0 &&
                     commy_start_mesh(mine) == 0 && commy_dispatch(mine, 0) == 2;
        commy_ffi_cleanup();
        _exit(refused ? quiet ? heard ? 0 : 3 : 2 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "0x%x", (unsigned)status);
}

static uint32_t came, went;
static char last_of[3000];

static void count_up(void *user, int32_t event, const char *name, const char *id)
{
    (void)user;
    (void)name;
    uint32_t number = (uint32_t)atoi(id);
    cr_assert_lt(number, 3000);
    if (event != COMMY_CALLBACK_CHANGED)
        cr_assert_eq(last_of[number], event == COMMY_CALLBACK_GONE, "%s", id);
    came += event == COMMY_CALLBACK_REGISTERED;
    went += event == COMMY_CALLBACK_GONE;
    last_of[number] = event != COMMY_CALLBACK_GONE;
}

Test(dispatch, a_ring_that_is_full_loses_no_last_state)
{
    char id[16];
    commy_handle_t h = open_with(0, 3000);
    cr_assert_eq(commy_set_service_callback(h, count_up, NULL), 0);
    for (int i = 0; i < 3000; i++) {
        snprintf(id, sizeof id, "%d", i);
        add(h, i % 3 ? "web" : "db", id);
    }
    sleep_ms(300); /* three times as much as fits */
    for (int i = 0; i < 3000; i += 2) {
        snprintf(id, sizeof id, "%d", i);
        cr_assert_eq(commy_unregister_service(h, id), 0);
    }
    int32_t most = 0;
    for (uint64_t end = now_ms() + 10000; came - went != 1500 && now_ms() < end;) {
        int32_t ran = commy_dispatch(h, 100);
        cr_assert_geq(ran, 0, "%s", commy_last_error_message());
        most = ran > most ? ran : most;
    }
    cr_assert_eq(came - went, 1500, "%u came, %u went", came, went);
    for (int i = 0; i < 3000; i++)
        cr_assert_eq(last_of[i], i % 2, "%d", i);
    cr_assert_leq(most, 1024);
    cr_assert_eq(commy_dispatch(h, 200), 0);
}

/* --------------------------------------------------------------------- log */

Test(dispatch, the_log_says_what_the_library_does)
{
    commy_handle_t h = open_with(0, 16);
    cr_assert_eq(commy_set_log_callback(on_log, told), 0);
    cr_assert_eq(commy_start_mesh(h), 0);
    cr_assert_eq(commy_dispatch(h, 0), 1);
    cr_assert(strstr(told, "3: joined mesh m of ") && strstr(told, "as node tester"), "%s", told);
    told[0] = '\0';
    pid_t owner = start_owner("web", "web-1");
    kill(owner, SIGKILL);
    cr_assert_eq(waitpid(owner, NULL, 0), owner);
    for (uint64_t end = now_ms() + 5000; !strstr(told, "1 participants, 1 services") && now_ms() < end;)
        cr_assert_geq(commy_dispatch(h, 50), 0);
    cr_assert(strstr(told, "1 participants, 1 services"), "%s", told);
    for (int i = 0; i < 300; i++)
        cr_assert_eq(i % 2 ? commy_start_mesh(h) : commy_stop_mesh(h), 0);
    told[0] = '\0';
    cr_assert_eq(commy_dispatch(h, 0), 257);
    cr_assert(strstr(told, "2: 44 lines of the log were lost") == told, "%.80s", told);
    cr_assert_eq(commy_set_log_callback(NULL, NULL), 0);
    cr_assert_eq(commy_stop_mesh(h), 0);
    cr_assert_eq(commy_start_mesh(h), 0);
    cr_assert_eq(commy_dispatch(h, 0), 0);
}

Test(dispatch, a_new_listener_is_not_told_what_a_former_one_lost)
{
    commy_handle_t h = open_with(0, 16);
    cr_assert_eq(commy_set_log_callback(on_log, told), 0);
    for (int i = 0; i < 300; i++)
        cr_assert_eq(i % 2 ? commy_stop_mesh(h) : commy_start_mesh(h), 0);
    cr_assert_eq(commy_set_log_callback(NULL, NULL), 0);
    cr_assert_eq(commy_set_log_callback(on_log, told), 0);
    cr_assert_eq(commy_dispatch(h, 0), -COMMY_STATUS_NOT_RUNNING);
    cr_assert_eq(commy_start_mesh(h), 0);
    cr_assert_eq(commy_dispatch(h, 0), 1);
    cr_assert(strstr(told, "3: joined mesh m of ") == told, "%s", told);
}

Test(dispatch, a_removed_region_is_told_of_without_waiting_too)
{
    commy_handle_t h = open_with(0, 16);
    const commy_open_options_t options = {.size = sizeof(options), .dir = test_dir, .mesh = "m"};
    listen_to_all(h);
    cr_assert_eq(commy_dispatch(h, 0), 0);
    cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(commy_dispatch(h, 0), -COMMY_STATUS_REMOVED);
    cr_assert_eq(commy_dispatch(h, 10), -COMMY_STATUS_REMOVED);
    cr_assert_eq(commy_dispatch(h, -1), -COMMY_STATUS_REMOVED);
}
