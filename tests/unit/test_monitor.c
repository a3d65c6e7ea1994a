/*
 * Monitoring: what results make of a service's status, who checks it, and what happens when that one dies, is stopped, leaves
 * or forks. Servers are real, and count who asks.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "mesh/monitor.h"
#include "support_server.h"

TestSuite(monitor, .init = set_up, .fini = tear_down, .timeout = 60);

static const commy_health_config_t quick = {20, 500, 3, 2};

/* A bound for what takes the processor, which valgrind makes slow. */
static uint64_t bound_ms(uint64_t ms)
{
    return test_rounds(10) == 1 ? 10 * ms : ms;
}

static void watch(commy_mesh_t *by, const char *id, const commy_health_config_t *config)
{
    cr_assert_eq(commy_service_monitor(by, id, config), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static uint64_t checked_of(const char *id)
{
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, id, &record, &state), COMMY_STATUS_SUCCESS);
    return cmy_checked_read(mesh->region, record);
}

static uint32_t checker_of(const char *id)
{
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, id, &record, &state), COMMY_STATUS_SUCCESS);
    return cmy_state_owner(cmy_load64_acquire(&cmy_cold_at(mesh->region, record)->checker));
}

static uint32_t owner_of(const commy_mesh_t *who)
{
    return who->actor.owner;
}

/* ------------------------------------------------------------------ status */

Test(monitor, the_first_result_decides_and_thresholds_decide_afterwards)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) >= 2));
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
    double ms = 0;
    int32_t status;
    cr_assert_eq(commy_service_health(mesh, "web", &status, &ms), COMMY_STATUS_SUCCESS);
    cr_assert(ms > 0 && ms < 500, "%f ms", ms);

    /* Failures below the threshold change nothing; the third does. What is seen when is told by the words. */
    atomic_store(&server.status, 500);
    uint64_t seen;
    while (status = status_of(mesh, "web"), seen = checked_of("web"), status == COMMY_HEALTH_HEALTHY)
        sleep_ms(1);
    cr_assert(cmy_checked_failed(seen) && cmy_checked_run(seen) >= 3, "after %u", cmy_checked_run(seen));
    atomic_store(&server.status, 200);
    while (status = status_of(mesh, "web"), seen = checked_of("web"), status == COMMY_HEALTH_UNHEALTHY)
        sleep_ms(1);
    cr_assert(!cmy_checked_failed(seen) && cmy_checked_run(seen) >= 2, "after %u", cmy_checked_run(seen));
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
    server_stop(&server);
    audit();
}

Test(monitor, it_is_unknown_until_the_first_result_which_may_be_a_failure)
{
    begin(64);
    uint16_t port = 0;
    int fd = listen_at(&port);
    add_checked(mesh, "silent", port, "check=http");
    uint64_t version = 0, next;
    cr_assert_eq(commy_mesh_wait(mesh, "web", 0, 0, &version), COMMY_STATUS_SUCCESS);
    watch(mesh, "silent", &(commy_health_config_t){1000, 300, 3, 2});
    cr_assert_eq(commy_mesh_wait(mesh, "web", version, 2000, &next), COMMY_STATUS_SUCCESS, "it is announced");
    cr_assert_eq(status_of(mesh, "silent"), COMMY_HEALTH_UNKNOWN);
    cr_assert(EVENTUALLY(status_of(mesh, "silent") != COMMY_HEALTH_UNKNOWN));
    cr_assert_eq(status_of(mesh, "silent"), COMMY_HEALTH_UNHEALTHY, "one failure decides");
    cr_assert_eq(cmy_checked_run(checked_of("silent")), 1);
    close(fd);
}

Test(monitor, results_in_a_row_are_counted_by_words_that_name_the_registration)
{
    uint64_t state = cmy_state(0x2345678, CMY_NOBODY, CMY_LIVE), seen = cmy_checked_none(state);
    cr_assert(cmy_checked_of(seen, state) && cmy_checked_run(seen) == 0);
    for (uint32_t i = 1; i <= 300; i++) {
        uint64_t next = cmy_checked_next(seen, true, 1ull << 40);
        cr_assert(next != seen, "a result is a change");
        seen = next;
        cr_assert_eq(cmy_checked_run(seen), i < 255 ? i : 255);
        cr_assert(cmy_checked_failed(seen) && cmy_checked_of(seen, state));
        cr_assert_eq(cmy_checked_latency_us(seen), CMY_CHECKED_LATENCY_MAX_US);
    }
    seen = cmy_checked_next(seen, false, 7);
    cr_assert(!cmy_checked_failed(seen) && cmy_checked_run(seen) == 1 && cmy_checked_latency_us(seen) == 7);
    cr_assert(!cmy_checked_of(seen, cmy_state_released(state)));
}

Test(monitor, a_status_set_by_hand_stays_until_a_result_says_otherwise)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) >= 2));
    cr_assert_eq(commy_service_set_health(mesh, "web", COMMY_HEALTH_UNHEALTHY), COMMY_STATUS_SUCCESS);
    cr_assert(EVENTUALLY(status_of(mesh, "web") == COMMY_HEALTH_HEALTHY), "the next success says so");
    cr_assert_eq(commy_service_set_health(mesh, "web", COMMY_HEALTH_DEGRADED), COMMY_STATUS_SUCCESS);
    uint64_t before = checked_of("web");
    cr_assert(EVENTUALLY(checked_of("web") != before));
    before = checked_of("web");
    cr_assert(EVENTUALLY(checked_of("web") != before));
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_DEGRADED, "degraded is left to who set it");
    atomic_store(&server.status, 500);
    cr_assert(EVENTUALLY(status_of(mesh, "web") == COMMY_HEALTH_UNHEALTHY));
    server_stop(&server);
}

Test(monitor, a_service_that_is_registered_again_is_checked_again)
{
    begin(64);
    static server_t server;
    server_start(&server, 500);
    add_checked(mesh, "web", closed_port(), "check=http");
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(status_of(mesh, "web") == COMMY_HEALTH_UNHEALTHY));
    drop(mesh, "web");
    sleep_ms(50);
    add_checked(mesh, "web", server.port, "check=http");
    atomic_store(&server.status, 200);
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) >= 1));
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY, "its own first result decided");
    drop(mesh, "web");
    add_checked(mesh, "web", server.port, "check=none");
    unsigned asked = atomic_load(&server.requests);
    sleep_ms(300);
    cr_assert(atomic_load(&server.requests) <= asked + 1, "it does not want to be checked any more");
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
    server_stop(&server);
    audit();
}

Test(monitor, a_monitor_that_stops_gives_the_service_back_and_checks_no_more)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > 0));
    cr_assert_eq(checker_of("web"), owner_of(mesh));
    cr_assert_eq(commy_service_unmonitor(mesh, "web"), COMMY_STATUS_SUCCESS);
    cr_assert_eq(checker_of("web"), CMY_NOBODY);
    sleep_ms(50);
    unsigned asked = atomic_load(&server.requests);
    sleep_ms(200);
    cr_assert_eq(atomic_load(&server.requests), asked);
    cr_assert_eq(commy_service_unmonitor(mesh, "web"), COMMY_STATUS_NOT_FOUND);
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > asked));
    server_stop(&server);
}

Test(monitor, what_is_said_again_replaces_what_was_said)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "web", &(commy_health_config_t){200, 100, 1, 1});
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > 10));
    cr_assert_eq(mesh->monitor ? ((cmy_monitor_t *)mesh->monitor)->count : 0, 1);
    server_stop(&server);
}

/* ---------------------------------------------------------- many at once */

Test(monitor, checks_that_hang_delay_no_other)
{
    enum { HUNG = 40, SOUND = 20 };
    begin(128);
    static server_t server;
    server_start(&server, 200);
    uint16_t port = 0;
    int silent = listen_at(&port);
    char id[32];
    for (int i = 0; i < HUNG; i++) {
        snprintf(id, sizeof id, "hung-%d", i);
        add_checked(mesh, id, port, "check=http");
        watch(mesh, id, &(commy_health_config_t){20, 10000, 1, 1});
    }
    for (int i = 0; i < SOUND; i++) {
        snprintf(id, sizeof id, "sound-%d", i);
        add_checked(mesh, id, server.port, "check=http");
        watch(mesh, id, &(commy_health_config_t){50, 2000, 1, 1});
    }
    uint64_t began = now_ms();
    cr_assert(EVENTUALLY(atomic_load(&server.requests) >= 10 * SOUND));
    uint64_t took = now_ms() - began;
    cr_assert(took < bound_ms(5000), "ten rounds at 50 ms took %llu ms beside checks that hang",
              (unsigned long long)took);
    for (int i = 0; i < SOUND; i++) {
        snprintf(id, sizeof id, "sound-%d", i);
        cr_assert_eq(status_of(mesh, id), COMMY_HEALTH_HEALTHY);
    }
    cr_assert_eq(status_of(mesh, "hung-0"), COMMY_HEALTH_UNKNOWN, "its timeout is not over");
    began = now_ms();
    commy_mesh_leave(mesh);
    took = now_ms() - began;
    cr_assert(took < bound_ms(1000), "leaving took %llu ms", (unsigned long long)took);
    server_stop(&server);
    close(silent);
}

/* In a network of its own, whose one name server takes questions and never answers. */
static void go_where_names_are_slow(void)
{
    char map[32];
    uid_t uid = getuid();
    bool alone = unshare(CLONE_NEWNS | CLONE_NEWNET) == 0;
    if (!alone && unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) == 0) {
        snprintf(map, sizeof map, "0 %u 1", uid);
        int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        alone = write(fd, map, strlen(map)) > 0;
        close(fd);
    }
    FILE *config = fopen(test_path("resolv.conf"), "we");
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(53)};
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int deaf = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!alone || !config || fputs("nameserver 127.0.0.1\n", config) < 0 || fclose(config) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(test_path("resolv.conf"), "/etc/resolv.conf", NULL, MS_BIND, NULL) != 0 ||
        ioctl(deaf, SIOCSIFFLAGS, &loopback) != 0 || bind(deaf, (const struct sockaddr *)&address, sizeof address) != 0)
        _exit(77);
}

static void check_beside_a_slow_name(void)
{
    static server_t server;
    commy_service_config_t config = config_of("web", "slow");
    commy_check_result_t result;
    alarm(55);
    go_where_names_are_slow();
    begin(64);
    server_start(&server, 200);
    config.endpoint = "slow.example";
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "slow", &(commy_health_config_t){50, 100, 1, 1});
    watch(mesh, "web", &quick);
    uint64_t began = now_ms();
    cr_assert(EVENTUALLY(atomic_load(&server.requests) >= 25));
    uint64_t took = now_ms() - began;
    cr_assert(took < bound_ms(2500), "25 checks at 20 ms took %llu ms beside a name that does not resolve",
              (unsigned long long)took);
    cr_assert(EVENTUALLY(status_of(mesh, "slow") == COMMY_HEALTH_UNHEALTHY));
    cr_assert(now_ms() - began < bound_ms(3000), "its timeout is 100 ms, the resolver's is ten seconds");
    began = now_ms();
    cr_assert_eq(commy_service_check(mesh, "slow", 200, &result), COMMY_STATUS_SUCCESS);
    cr_assert_eq(result.status, COMMY_HEALTH_UNHEALTHY);
    commy_mesh_leave(mesh);
    took = now_ms() - began;
    cr_assert(took < bound_ms(1500), "a check and leaving took %llu ms", (unsigned long long)took);

    /* Resolvers that are left behind are counted, and bounded. */
    const cmy_aim_t slow = {.named = true, .url = "http://slow.example:80/"}, plain = {.url = "http://127.0.0.1:1/"};
    cmy_pings_t *pings = cmy_pings_make();
    cmy_outcome_t outcome;
    uint32_t begun = 0;
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 32; i++)
            begun += cmy_ping_begin(pings, &slow, 10, pings) != NULL;
        for (int turn = 0; turn < 10; turn++)
            cmy_pings_drive(pings, 10);
        while (cmy_pings_next(pings, &outcome))
            cr_assert(outcome.failed);
    }
    cr_assert_eq(begun, CMY_PINGS_NAMES, "%u", begun);
    cr_assert(cmy_ping_begin(pings, &plain, 10, pings), "what needs no resolver goes on");
    cmy_pings_free(&pings);
}

Test(monitor, a_name_that_resolves_slowly_delays_no_other)
{
    int status;
    pid_t child = test_fork();
    if (child == 0) {
        check_beside_a_slow_name();
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        cr_skip_test("no network of one's own can be had here");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it ended with %x", status);
}

/* --------------------------------------------------------- who checks it */

static server_t shared; /* the parent's thread serves; children only know the port */

static void monitor_web(commy_mesh_t *own)
{
    if (commy_service_monitor(own, "web", &quick) != COMMY_STATUS_SUCCESS)
        _exit(3);
}

/* The participant that checks it is one of three; which? */
static int checking_of(const pid_t *owners)
{
    uint32_t slot = cmy_owner_slot(checker_of("web"));
    commy_participant_t participant;
    if (slot >= COMMY_LIMIT_PARTICIPANTS || !cmy_life_describe(mesh->region, slot, &participant) || !participant.alive)
        return -1;
    for (int i = 0; i < 3; i++)
        if (owners[i] == (pid_t)participant.pid)
            return i;
    return -1;
}

static void start_three(pid_t *owners)
{
    begin(64);
    server_start(&shared, 200);
    add_checked(mesh, "web", shared.port, "check=http");
    for (int i = 0; i < 3; i++)
        owners[i] = start_owner(monitor_web);
    cr_assert(EVENTUALLY(checking_of(owners) >= 0));
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) >= 3));
}

Test(monitor, of_three_processes_one_checks)
{
    pid_t owners[3];
    start_three(owners);
    /* At 20 ms give or take a tenth, one process asks 25 to 28 times in 500 ms; two would ask 50 times. */
    unsigned began = atomic_load(&shared.requests);
    uint64_t from = now_ms();
    sleep_ms(500);
    unsigned asked = atomic_load(&shared.requests) - began;
    double rounds = (double)(now_ms() - from) / 20;
    cr_assert(asked >= 3 && asked < rounds * 1.4, "%u requests in %.0f rounds", asked, rounds);
    for (int i = 0; i < 3; i++)
        kill_owner(owners[i]);
    server_stop(&shared);
    audit();
}

Test(monitor, a_killed_checker_is_replaced_at_once_and_its_results_go_on)
{
    pid_t owners[3];
    start_three(owners);
    for (int left = 3; left > 1; left--) {
        int who = checking_of(owners);
        cr_assert_geq(who, 0);
        kill_owner(owners[who]);
        owners[who] = 0;
        uint64_t killed = now_ms();
        uint64_t last = checked_of("web");
        while (checked_of("web") == last && now_ms() - killed < 5000)
            sleep_ms(1);
        uint64_t took = now_ms() - killed;
        cr_assert(took < bound_ms(500), "nothing was checked for %llu ms", (unsigned long long)took);
        cr_log_warn("a checker that was killed was replaced, and had checked, after %llu ms", (unsigned long long)took);
        cr_assert(cmy_checked_run(checked_of("web")) > 3, "the successor went on counting");
        cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY, "and it was never unknown again");
    }
    for (int i = 0; i < 3; i++)
        if (owners[i])
            kill_owner(owners[i]);
    server_stop(&shared);
    audit();
}

Test(monitor, a_stopped_checker_is_replaced_when_the_patience_of_others_ends)
{
    pid_t owners[3];
    start_three(owners);
    int who = checking_of(owners);
    cr_assert_eq(kill(owners[who], SIGSTOP), 0);
    sleep_ms(50);
    uint64_t last = checked_of("web"), stopped = now_ms();
    cr_assert(EVENTUALLY(checked_of("web") != last));
    uint64_t took = now_ms() - stopped;
    cr_assert(took > 300 && took < bound_ms(3000), "after %llu ms", (unsigned long long)took);
    int next = checking_of(owners);
    cr_assert(next >= 0 && next != who);
    cr_assert_eq(kill(owners[who], SIGCONT), 0);
    sleep_ms(300);
    cr_assert_eq(checking_of(owners), next, "the former is a candidate like the other");
    for (int i = 0; i < 3; i++)
        kill_owner(owners[i]);
    server_stop(&shared);
    audit();
}

Test(monitor, a_verdict_is_recorded)
{
    static commy_event_t told[COMMY_LIMIT_EVENTS];
    size_t count;
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "web", &quick);
    const int32_t expected[][2] = {{COMMY_HEALTH_HEALTHY, COMMY_HEALTH_UNKNOWN},
                                   {COMMY_HEALTH_UNKNOWN, COMMY_HEALTH_HEALTHY}};
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) >= 2));
    cr_assert_eq(commy_service_unmonitor(mesh, "web"), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_events(mesh, told, COMMY_LIMIT_EVENTS, &count), COMMY_STATUS_SUCCESS);
    size_t seen = 0;
    for (size_t i = 0; i < count; i++) {
        if (told[i].kind != COMMY_EVENT_CHECK)
            continue;
        cr_assert_lt(seen, 2);
        cr_assert_eq(told[i].from, expected[seen][0]);
        cr_assert_eq(told[i].to, expected[seen++][1]);
        cr_assert_str_eq(told[i].id, "web");
        cr_assert_eq(told[i].pid, (uint32_t)getpid());
    }
    cr_assert_eq(seen, 2);
    server_stop(&server);
    audit();
}

Test(monitor, leaving_hands_over_without_a_wait)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    commy_mesh_t *first = attach(0), *second = attach(0);
    watch(first, "web", &quick);
    cr_assert(EVENTUALLY(checker_of("web") == owner_of(first) && owner_of(first) != CMY_NOBODY));
    watch(second, "web", &quick);
    cr_assert_eq(commy_mesh_leave(first), COMMY_STATUS_SUCCESS);
    cr_assert(EVENTUALLY(checker_of("web") == owner_of(second)));
    cr_assert_eq(commy_service_monitor(first, "web", &quick), COMMY_STATUS_NOT_RUNNING);
    cr_assert_eq(commy_service_unmonitor(first, "web"), COMMY_STATUS_NOT_RUNNING);
    cr_assert_eq(commy_mesh_join(first, NULL, 0), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_unmonitor(first, "web"), COMMY_STATUS_NOT_FOUND, "it begins with nothing");
    watch(first, "web", &quick);
    commy_mesh_detach(&second);
    cr_assert(EVENTUALLY(checker_of("web") == owner_of(first)));
    commy_mesh_detach(&first);
    cr_assert_eq(checker_of("web"), CMY_NOBODY);
    server_stop(&server);
    audit();
}

/* ---------------------------------------------------- the process around it */

static volatile sig_atomic_t handled_elsewhere;
static pthread_t main_thread;

static void handle_signal(int signal)
{
    (void)signal;
    handled_elsewhere += !pthread_equal(pthread_self(), main_thread);
}

Test(monitor, its_thread_takes_no_signal_of_the_programs)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    main_thread = pthread_self();
    signal(SIGUSR1, handle_signal);
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > 2));
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR1);
    server_stop(&server); /* no other thread of the test's is left */
    pthread_sigmask(SIG_BLOCK, &mine, NULL);
    for (int i = 0; i < 50; i++)
        kill(getpid(), SIGUSR1), sleep_ms(1);
    pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
    cr_assert_eq(handled_elsewhere, 0);
}

Test(monitor, a_program_that_closes_all_its_descriptors_goes_on_checking)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    pid_t child = test_fork();
    if (child == 0) {
        commy_mesh_t *own;
        commy_open_options_t options = options_for(0, COMMY_OPEN_MUST_EXIST);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (commy_mesh_attach(&options, &own) != COMMY_STATUS_SUCCESS ||
            commy_service_monitor(own, "web", &quick) != COMMY_STATUS_SUCCESS)
            _exit(1);
        sleep_ms(100);
        for (int fd = 0; fd < 256; fd++)
            close(fd);
        for (;;)
            pause();
    }
    sleep_ms(400);
    unsigned asked = atomic_load(&server.requests);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > asked + 5));
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
    kill_owner(child);
    server_stop(&server);
}

Test(monitor, its_thread_keeps_no_program_alive)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    pid_t child = test_fork();
    if (child == 0) {
        static commy_mesh_t *own;
        commy_open_options_t options = options_for(0, COMMY_OPEN_MUST_EXIST);
        alarm(55);
        if (commy_mesh_attach(&options, &own) != COMMY_STATUS_SUCCESS)
            _exit(1);
        monitor_web(own);
        sleep_ms(100);
        pthread_exit(NULL); /* the first thread, and the last of the program's */
    }
    int status;
    uint64_t began = now_ms();
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
    cr_assert(now_ms() - began < bound_ms(5000));
    cr_assert(atomic_load(&server.requests) > 0);
    server_stop(&server);
}

Test(monitor, a_forked_child_can_detach_what_its_parent_monitors_with)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > 2));
    pid_t child = test_fork();
    if (child == 0) {
        alarm(10);
        bool refused = commy_service_monitor(mesh, "web", &quick) == COMMY_STATUS_FORKED &&
                       commy_service_unmonitor(mesh, "web") == COMMY_STATUS_FORKED;
        commy_mesh_detach(&mesh);
        _exit(refused ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
    unsigned asked = atomic_load(&server.requests);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > asked + 2), "the parent goes on");
    server_stop(&server);
}

/* A thread was changing the list at the fork: it is not there to let go of the lock. */
Test(monitor, a_forked_child_can_detach_what_its_parent_was_changing)
{
    begin(64);
    add_checked(mesh, "web", closed_port(), NULL);
    watch(mesh, "web", &quick);
    cmy_monitor_t *monitor = (cmy_monitor_t *)mesh->monitor;
    pthread_mutex_lock(&monitor->lock);
    pid_t child = test_fork();
    if (child == 0) {
        alarm(10);
        commy_mesh_detach(&mesh);
        _exit(mesh ? 1 : 0);
    }
    pthread_mutex_unlock(&monitor->lock);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
    cr_assert(EVENTUALLY(status_of(mesh, "web") == COMMY_HEALTH_UNHEALTHY), "the parent goes on");
}

Test(monitor, of_a_removed_region_nothing_is_checked)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(atomic_load(&server.requests) > 2));
    const commy_open_options_t options = options_for(0, 0);
    cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    sleep_ms(700); /* for those that run */
    unsigned asked = atomic_load(&server.requests);
    sleep_ms(300);
    cr_assert_eq(atomic_load(&server.requests), asked);
    expect(commy_service_monitor(mesh, "web", &quick), COMMY_STATUS_REMOVED, "removed");
    commy_mesh_detach(&mesh);
    server_stop(&server);
}

Test(monitor, what_is_not_monitored_cannot_be_dropped)
{
    begin(64);
    add_checked(mesh, "web", closed_port(), NULL);
    cr_assert_eq(commy_mesh_join(mesh, NULL, 0), COMMY_STATUS_SUCCESS);
    expect(commy_service_unmonitor(mesh, "web"), COMMY_STATUS_NOT_FOUND, "'web' is not monitored by this handle");
    watch(mesh, "web", &quick);
    expect(commy_service_unmonitor(mesh, "wab"), COMMY_STATUS_NOT_FOUND, "'wab' is not monitored by this handle");
    cr_assert_eq(commy_service_unmonitor(mesh, "web"), COMMY_STATUS_SUCCESS);
    expect(commy_service_unmonitor(mesh, "web"), COMMY_STATUS_NOT_FOUND, "'web' is not monitored by this handle");
}

Test(monitor, what_is_said_anew_holds_from_the_next_check_on_and_not_after_an_old_interval)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    watch(mesh, "web", &(commy_health_config_t){3600000, 500, 3, 2});
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) == 1));
    watch(mesh, "web", &quick);
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) >= 3));
    server_stop(&server);
}

static uint64_t used_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

Test(monitor, services_that_wait_for_others_to_be_checked_do_not_take_the_processor)
{
    begin(512);
    uint16_t port = 0;
    int fd = listen_at(&port); /* which never answers */
    for (unsigned i = 0; i < CMY_MONITOR_RUNNING + 44; i++) {
        char id[16];
        snprintf(id, sizeof id, "s-%u", i);
        add_checked(mesh, id, port, "check=http");
        watch(mesh, id, &(commy_health_config_t){20, 20000, 3, 2});
    }
    sleep_ms(1500); /* so many run as may, and the others are due */
    uint64_t before = used_ms();
    sleep_ms(1000);
    uint64_t used = used_ms() - before;
    cr_assert_lt(used, bound_ms(300), "%lu ms of the processor in a second", (unsigned long)used);
    close(fd);
}

/* Opening libcurl takes time; here as much as is wanted. */
static _Atomic int gate; /* 1: whoever opens it waits; 2: somebody does */

void *dlopen(const char *file, int flags)
{
    void *(*real)(const char *, int);
    void *symbol = dlsym(RTLD_NEXT, "dlopen");
    memcpy(&real, &symbol, sizeof symbol);
    if (file && strstr(file, "libcurl")) {
        int closed = 1;
        atomic_compare_exchange_strong(&gate, &closed, 2);
        while (atomic_load(&gate) != 0)
            sleep_ms(1);
    }
    return real(file, flags);
}

static void *monitor_once(void *argument)
{
    return (void *)(intptr_t)commy_service_monitor(argument, "web", &quick);
}

Test(monitor, a_call_that_the_handle_has_left_and_joined_behind_more_than_once_starts_nothing)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    commy_mesh_t *own = attach(0);
    cr_assert_eq(commy_mesh_join(own, NULL, 0), COMMY_STATUS_SUCCESS);
    atomic_store(&gate, 1);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, monitor_once, own), 0);
    cr_assert(EVENTUALLY(atomic_load(&gate) == 2));
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(commy_mesh_leave(own), COMMY_STATUS_SUCCESS);
        cr_assert_eq(commy_mesh_join(own, NULL, 0), COMMY_STATUS_SUCCESS);
    }
    atomic_store(&gate, 0);
    void *status;
    pthread_join(thread, &status);
    cr_assert_eq((intptr_t)status, COMMY_STATUS_NOT_RUNNING);
    watch(own, "web", &quick);
    cr_assert(EVENTUALLY(cmy_checked_run(checked_of("web")) >= 2), "it is checked in the handle's present life");
    commy_mesh_detach(&own);
    server_stop(&server);
    audit();
}

static _Atomic bool over;

/* Until it has monitored once at least: the handle is joined at the end. */
static void *monitor_and_stop(void *argument)
{
    commy_mesh_t *own = argument;
    unsigned long monitored = 0;
    while (!atomic_load(&over) || monitored == 0) {
        commy_status_t status = commy_service_monitor(own, "web", &quick);
        monitored += status == COMMY_STATUS_SUCCESS;
        if (status == COMMY_STATUS_SUCCESS && monitored % 3 == 0)
            status = commy_service_unmonitor(own, "web");
        cr_assert(status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_RUNNING ||
                      status == COMMY_STATUS_NOT_FOUND,
                  "%s", commy_last_error_message());
    }
    return (void *)monitored;
}

Test(monitor, threads_may_monitor_while_others_leave_and_join)
{
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http");
    commy_mesh_t *own = attach(0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, monitor_and_stop, own), 0);
    for (int round = 0; round < test_rounds(50); round++) {
        sleep_ms(5);
        cr_assert_eq(commy_mesh_leave(own), COMMY_STATUS_SUCCESS);
        cr_assert_neq(checker_of("web"), owner_of(own), "what it checked is given back before leaving has ended");
        cr_assert_eq(commy_mesh_join(own, NULL, 0), COMMY_STATUS_SUCCESS);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++) {
        void *monitored;
        pthread_join(threads[i], &monitored);
        cr_assert(monitored != NULL);
    }
    commy_mesh_detach(&own);
    cr_assert_eq(checker_of("web"), CMY_NOBODY);
    server_stop(&server);
    audit();
}
