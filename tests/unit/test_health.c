/*
 * Checking a service once: what counts as healthy, what may be checked at all, and what it says where it is not. The servers
 * are real ones on loopback.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "mesh/ping.h"
#include "support_server.h"

TestSuite(health, .init = set_up, .fini = tear_down, .timeout = 60);

static commy_check_result_t check(const char *id, uint32_t timeout_ms)
{
    commy_check_result_t result;
    memset(&result, 0xff, sizeof result);
    cr_assert_eq(commy_service_check(mesh, id, timeout_ms, &result), COMMY_STATUS_SUCCESS, "%s: %s", id,
                 commy_last_error_message());
    cr_assert_eq(result.reason[0] == '\0', result.status == COMMY_HEALTH_HEALTHY, "'%s'", result.reason);
    return result;
}

Test(health, a_port_that_listens_is_healthy_and_one_that_is_closed_is_not)
{
    begin(64);
    uint16_t port = 0;
    int fd = listen_at(&port);
    add_checked(mesh, "open", port, NULL);
    add_checked(mesh, "closed", closed_port(), "check=tcp");
    commy_check_result_t result = check("open", 1000);
    cr_assert_eq(result.status, COMMY_HEALTH_HEALTHY);
    cr_assert_eq(result.http_status, 0);
    cr_assert(result.response_time_ms > 0 && result.response_time_ms < 1000, "%f ms", result.response_time_ms);
    result = check("closed", 1000);
    cr_assert_eq(result.status, COMMY_HEALTH_UNHEALTHY);
    cr_assert(strstr(result.reason, "onnect"), "%s", result.reason);
    cr_assert_eq(status_of(mesh, "closed"), COMMY_HEALTH_HEALTHY, "a check by hand changes nothing");
    close(fd);
    audit();
}

Test(health, an_http_answer_of_200_to_399_is_healthy_and_redirects_are_not_followed)
{
    static const struct {
        int status, health;
    } cases[] = {{200, COMMY_HEALTH_HEALTHY},   {204, COMMY_HEALTH_HEALTHY},   {302, COMMY_HEALTH_HEALTHY},
                 {399, COMMY_HEALTH_HEALTHY},   {404, COMMY_HEALTH_UNHEALTHY}, {500, COMMY_HEALTH_UNHEALTHY},
                 {503, COMMY_HEALTH_UNHEALTHY}, {400, COMMY_HEALTH_UNHEALTHY}};
    begin(64);
    static server_t server;
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, "check=http:/health?full=1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        atomic_store(&server.status, cases[i].status);
        commy_check_result_t result = check("web", 2000);
        cr_assert_eq(result.status, cases[i].health, "%d: %s", cases[i].status, result.reason);
        cr_assert_eq(result.http_status, cases[i].status);
    }
    cr_assert_eq(atomic_load(&server.requests), sizeof cases / sizeof cases[0], "one request each");
    cr_assert_eq(strncmp(server.seen, "GET /health?full=1 HTTP/1.1\r\n", 29), 0, "%s", server.seen);
    cr_assert(strstr(server.seen, "User-Agent: commy/"), "%s", server.seen);
    server_stop(&server);
}

Test(health, a_server_that_never_answers_fails_at_the_timeout)
{
    begin(64);
    uint16_t port = 0;
    int fd = listen_at(&port);
    add_checked(mesh, "silent", port, "check=http");
    uint64_t began = now_ms();
    commy_check_result_t result = check("silent", 200);
    uint64_t took = now_ms() - began;
    cr_assert_eq(result.status, COMMY_HEALTH_UNHEALTHY);
    cr_assert(took >= 190 && took < 2000, "%llu ms", (unsigned long long)took);
    cr_assert(strcasestr(result.reason, "time"), "%s", result.reason);
    close(fd);
}

Test(health, no_proxy_of_the_environment_is_used)
{
    begin(64);
    static server_t server, proxy;
    server_start(&server, 200);
    server_start(&proxy, 500);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", proxy.port);
    setenv("http_proxy", url, 1);
    setenv("all_proxy", url, 1);
    setenv("ALL_PROXY", url, 1);
    add_checked(mesh, "web", server.port, "check=http");
    cr_assert_eq(check("web", 2000).status, COMMY_HEALTH_HEALTHY);
    cr_assert_eq(atomic_load(&proxy.connections), 0);
    server_stop(&server);
    server_stop(&proxy);
}

/* Sends a body without an end. */
static void *flood(void *argument)
{
    int fd = accept(*(int *)argument, NULL, NULL);
    static char block[65536];
    const char *head = "HTTP/1.1 200 OK\r\n\r\n";
    (void)!send(fd, head, strlen(head), MSG_NOSIGNAL);
    size_t sent = 0;
    for (ssize_t bytes; sent < (64u << 20) && (bytes = send(fd, block, sizeof block, MSG_NOSIGNAL)) > 0;)
        sent += (size_t)bytes;
    close(fd);
    return (void *)sent;
}

Test(health, a_body_without_an_end_is_not_read_to_it)
{
    begin(64);
    uint16_t port = 0;
    int fd = listen_at(&port);
    pthread_t thread;
    void *sent;
    cr_assert_eq(pthread_create(&thread, NULL, flood, &fd), 0);
    add_checked(mesh, "endless", port, "check=http");
    cr_assert_eq(check("endless", 5000).status, COMMY_HEALTH_HEALTHY, "its status was 200");
    pthread_join(thread, &sent);
    cr_assert((size_t)sent < (32u << 20), "%zu bytes", (size_t)sent);
    close(fd);
}

/* Sends headers without an end. */
static void *flood_headers(void *argument)
{
    int fd = accept(*(int *)argument, NULL, NULL);
    static char line[1024];
    const char *head = "HTTP/1.1 200 OK\r\n";
    (void)!send(fd, head, strlen(head), MSG_NOSIGNAL);
    memset(line, 'x', sizeof line);
    memcpy(line, "X-A: ", 5);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    size_t sent = 0;
    for (ssize_t bytes; sent < (64u << 20) && (bytes = send(fd, line, sizeof line, MSG_NOSIGNAL)) > 0;)
        sent += (size_t)bytes;
    close(fd);
    return (void *)sent;
}

Test(health, nor_are_headers_without_one)
{
    begin(64);
    uint16_t port = 0;
    int fd = listen_at(&port);
    pthread_t thread;
    void *sent;
    cr_assert_eq(pthread_create(&thread, NULL, flood_headers, &fd), 0);
    add_checked(mesh, "endless", port, "check=http");
    cr_assert_eq(check("endless", 5000).status, COMMY_HEALTH_HEALTHY, "its status was 200");
    pthread_join(thread, &sent);
    cr_assert((size_t)sent < (32u << 20), "%zu bytes", (size_t)sent);
    close(fd);
}

Test(health, unix_sockets_are_checked_too)
{
    begin(64);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", test_path("socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 8), 0);
    char endpoint[256];
    commy_service_config_t config = config_of("web", "socket");
    config.port = 0;
    config.endpoint = endpoint;
    snprintf(endpoint, sizeof endpoint, "unix:%s", address.sun_path);
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    config.service_id = "nothing";
    snprintf(endpoint, sizeof endpoint, "unix:%s", test_path("nothing"));
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_eq(check("socket", 1000).status, COMMY_HEALTH_HEALTHY);
    cr_assert_eq(check("nothing", 1000).status, COMMY_HEALTH_UNHEALTHY);
    close(fd);
}

/* Accepts, and closes at once; with a reset, where it is so wanted. */
typedef struct curt {
    int fd;
    bool resets;
} curt_t;

static void *be_curt(void *argument)
{
    const curt_t *curt = argument;
    const struct linger none = {1, 0};
    for (int visit; (visit = accept(curt->fd, NULL, NULL)) >= 0; close(visit))
        if (curt->resets)
            setsockopt(visit, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return NULL;
}

static void expect_healthy_though_curt(const char *id, int fd, bool resets)
{
    pthread_t thread;
    curt_t curt = {fd, resets};
    cr_assert_eq(pthread_create(&thread, NULL, be_curt, &curt), 0);
    for (int i = 0; i < test_rounds(200); i++)
        cr_assert_eq(check(id, 1000).status, COMMY_HEALTH_HEALTHY, "check %d of '%s'", i, id);
    shutdown(fd, SHUT_RDWR); /* ends the accept */
    pthread_join(thread, NULL);
    close(fd);
}

Test(health, a_connection_that_the_server_closes_at_once_was_made)
{
    begin(64);
    char endpoint[256];
    commy_service_config_t config = config_of("web", "socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", test_path("socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 64), 0);
    config.port = 0;
    config.endpoint = endpoint;
    snprintf(endpoint, sizeof endpoint, "unix:%s", address.sun_path);
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    expect_healthy_though_curt("socket", fd, false);
    cr_assert_eq(check("socket", 1000).status, COMMY_HEALTH_UNHEALTHY, "nobody listens there any more");

    uint16_t port = 0;
    fd = listen_at(&port);
    add_checked(mesh, "port", port, NULL);
    expect_healthy_though_curt("port", fd, true);
    cr_assert_eq(check("port", 1000).status, COMMY_HEALTH_UNHEALTHY, "nor there");
}

Test(health, a_read_only_attachment_may_check)
{
    begin(64);
    add_checked(mesh, "closed", closed_port(), NULL);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_check_result_t result;
    cr_assert_eq(commy_service_check(reader, "closed", 1000, &result), COMMY_STATUS_SUCCESS);
    cr_assert_eq(result.status, COMMY_HEALTH_UNHEALTHY);
    cr_assert_eq(commy_service_monitor(reader, "closed", NULL), COMMY_STATUS_READ_ONLY);
    commy_mesh_detach(&reader);
}

/* -------------------------------------------------------------- bad input */

Test(health, what_cannot_be_checked_is_refused_with_a_reason)
{
    static const struct {
        const char *endpoint, *tag, *part;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1", "check=none", "check=none", 80},
        {"127.0.0.1", "check=exec:/bin/sh", "exec:/bin/sh", 80},
        {"127.0.0.1", "check=http:health", "health", 80},
        {"127.0.0.1", "check=http:/a b", "/a b", 80},
        {"127.0.0.1", "check=http:/#x", "/#x", 80},
        {"127.0.0.1", "check=file:/etc/passwd", "file:/etc/passwd", 80},
        {"file:///etc/passwd", NULL, "file:///etc/passwd", 80},
        {"user:word@127.0.0.1", NULL, "user:word@", 80},
        {"127.0.0.1/path", NULL, "127.0.0.1/path", 80},
        {"127.0.0.1 ", NULL, "127.0.0.1 ", 80},
        {"-oProxyCommand", NULL, "-oProxyCommand", 80},
        {"b\xc3\xbc"
         "cher.example",
         NULL, "cher.example", 80},
        {"[::1", NULL, "[::1", 80},
        {"[127.0.0.1]", NULL, "[127.0.0.1]", 80},
        {"fe80::1%eth0", NULL, "fe80::1%eth0", 80},
        {"1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:10:11:12:13:14:15:16", NULL, "1:2:3:4", 80},
        {"unix:relative", NULL, "unix:relative", 0},
        {"unix:/"
         "a-path-of-more-than-one-hundred-and-seven-bytes-which-is-what-a-socket-s-address-has-room-for-and-no-more-"
         "than-it",
         NULL, "107", 0},
    };
    begin(64);
    commy_check_result_t result;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        commy_service_config_t config = config_of("web", "odd");
        config.endpoint = cases[i].endpoint;
        config.port = cases[i].port;
        config.tags = &cases[i].tag;
        config.tag_count = cases[i].tag != NULL;
        cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS, "%s",
                     commy_last_error_message());
        expect(commy_service_check(mesh, "odd", 100, &result), COMMY_STATUS_INVALID, cases[i].part);
        expect(commy_service_monitor(mesh, "odd", NULL), COMMY_STATUS_INVALID, cases[i].part);
        drop(mesh, "odd");
    }
}

Test(health, the_tag_that_says_how_may_stand_behind_others)
{
    begin(64);
    commy_check_result_t result;
    const char *const tags[] = {"blue", "checked", "check=none"};
    commy_service_config_t config = config_of("web", "odd");
    config.tags = (const char *const *)tags;
    config.tag_count = 3;
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    expect(commy_service_check(mesh, "odd", 100, &result), COMMY_STATUS_INVALID, "its tag check=none says so");
}

/* Whatever a service says of itself: what is made of it is a URL of HTTP to a host and a port, and nothing else. */
Test(health, an_aim_of_any_bytes_is_a_plain_url)
{
    static const char bytes[] = "ab.-_:/[]%@#?&= \\\"\x01\x7f\xc3\xa9"
                                "127.0.0.1::1http:unix:/";
    unsigned made = 0;
    srandom(1);
    for (int round = 0; round < 200000; round++) {
        commy_service_info_t info = {.id = "x", .tag_count = 1};
        cmy_aim_t aim;
        size_t length = (size_t)random() % 12, start = (size_t)random() % 3 ? 0 : 11;
        strcpy(info.tags[0], random() % 2 ? "check=http:/" : "check=tcp");
        for (size_t i = strlen(info.tags[0]); random() % 4 && i < sizeof info.tags[0] - 1; i++)
            info.tags[0][i] = bytes[(size_t)random() % (sizeof bytes - 1)];
        strcpy(info.endpoint, start ? "unix:/run/x" : "");
        for (size_t i = start; i < start + length; i++)
            info.endpoint[i] = bytes[(size_t)random() % (sizeof bytes - 1)];
        info.port = (uint16_t)(random() % 3);
        if (cmy_aim_make(&info, &aim) != COMMY_STATUS_SUCCESS)
            continue;
        made++;
        const char *host = aim.url + 7, *slash = strchr(host, '/');
        cr_assert(strncmp(aim.url, "http://", 7) == 0 && slash, "%s", aim.url);
        for (const char *c = host; c < slash; c++)
            cr_assert((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr(".-_:[]", *c), "%s", aim.url);
        for (const char *c = slash; *c; c++)
            cr_assert(*c > ' ' && *c <= '~' && *c != '#', "%s", aim.url);
        cr_assert(aim.unix_path[0] == '\0' || aim.unix_path[0] == '/');
    }
    cr_assert(made > 1000, "%u", made);
}

Test(health, hosts_are_addresses_and_names)
{
    static const struct {
        const char *endpoint, *url;
    } cases[] = {
        {"127.0.0.1", "http://127.0.0.1:80/"},
        {"::1", "http://[::1]:80/"},
        {"[::1]", "http://[::1]:80/"},
        {"localhost", "http://localhost:80/"},
        {"a-b_c.example", "http://a-b_c.example:80/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        commy_service_info_t info = {.port = 80, .id = "x"};
        cmy_aim_t aim;
        strcpy(info.endpoint, cases[i].endpoint);
        cr_assert_eq(cmy_aim_make(&info, &aim), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
        cr_assert_str_eq(aim.url, cases[i].url);
        cr_assert_eq(aim.named, strchr(cases[i].endpoint, '_') != NULL);
    }
}

/* libcurl takes names below localhost for loopback, and needs no resolver for them. */
Test(health, a_name_that_was_resolved_leaves_no_resolver_behind)
{
    commy_service_info_t info = {.id = "x", .endpoint = "web.localhost"};
    cmy_aim_t aim;
    int fd = listen_at(&info.port);
    cr_assert_eq(cmy_aim_make(&info, &aim), COMMY_STATUS_SUCCESS);
    cr_assert(aim.named);
    if (cmy_ping_ready(&aim) != COMMY_STATUS_SUCCESS)
        cr_skip_test("this libcurl checks no names");
    cmy_pings_t *pings = cmy_pings_make();
    for (uint32_t i = 0; i < CMY_PINGS_NAMES + 2; i++) { /* as many may be left behind */
        cmy_outcome_t outcome = {0};
        void *ended = NULL;
        cr_assert(cmy_ping_begin(pings, &aim, 5000, pings), "check %u", i);
        cr_assert(EVENTUALLY(ended || (cmy_pings_drive(pings, 10), ended = cmy_pings_next(pings, &outcome))));
        if (i == 0 && outcome.failed)
            cr_skip_test("names below localhost are no loopback here");
        cr_assert(!outcome.failed, "%s", outcome.reason);
    }
    cmy_pings_free(&pings);
    close(fd);
}

Test(health, parameters_are_checked)
{
    begin(64);
    int32_t status;
    double ms;
    commy_check_result_t result;
    add(mesh, "web", "web");
    expect(commy_service_check(mesh, "web", 0, &result), COMMY_STATUS_INVALID, "timeout_ms is 0");
    expect(commy_service_check(mesh, "web", 240001, &result), COMMY_STATUS_INVALID, "240001");
    expect(commy_service_check(mesh, "web", 1, NULL), COMMY_STATUS_INVALID, "result");
    expect(commy_service_check(mesh, NULL, 1, &result), COMMY_STATUS_INVALID, "id");
    expect(commy_service_check(mesh, "none", 1, &result), COMMY_STATUS_NOT_FOUND, "none");
    expect(commy_service_check(NULL, "web", 1, &result), COMMY_STATUS_INVALID, "mesh");
    expect(commy_service_health(mesh, "none", &status, &ms), COMMY_STATUS_NOT_FOUND, "none");
    expect(commy_service_health(mesh, "web", NULL, &ms), COMMY_STATUS_INVALID, "status");
    expect(commy_service_health(mesh, "web", &status, NULL), COMMY_STATUS_INVALID, "response_time_ms");
    const commy_health_config_t wrong[] = {{0, 1, 1, 1},   {1, 0, 1, 1},        {1, 1, 0, 1},
                                           {1, 1, 1, 0},   {86400001, 1, 1, 1}, {1, 240001, 1, 1},
                                           {1, 1, 256, 1}, {1, 1, 1, 256},      {UINT64_MAX, 1, 1, 1}};
    const char *const parts[] = {"check_interval_ms is 0",
                                 "timeout_ms is 0",
                                 "max_failures is 0",
                                 "recovery_checks is 0",
                                 "86400001",
                                 "240001",
                                 "256",
                                 "256",
                                 "check_interval_ms"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect(commy_service_monitor(mesh, "web", &wrong[i]), COMMY_STATUS_INVALID, parts[i]);
    expect(commy_service_monitor(mesh, "none", NULL), COMMY_STATUS_NOT_FOUND, "none");
    expect(commy_service_monitor(mesh, NULL, NULL), COMMY_STATUS_INVALID, "id");
    expect(commy_service_monitor(NULL, "web", NULL), COMMY_STATUS_INVALID, "mesh");
    expect(commy_service_unmonitor(mesh, "web"), COMMY_STATUS_NOT_FOUND, "not monitored");
}

Test(health, a_process_without_descriptors_says_so_and_blames_nobody)
{
    begin(64);
    uint16_t port = 0;
    int fd = listen_at(&port);
    add_checked(mesh, "open", port, NULL);
    cr_assert_eq(check("open", 1000).status, COMMY_HEALTH_HEALTHY, "and libcurl is there");
    struct rlimit before, none;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    int next = dup(fd);
    close(next);
    commy_check_result_t result;
    for (int more = 0; more < 8; more++) { /* with room for none, one, two: whatever libcurl opens first */
        none.rlim_cur = (rlim_t)(next + more);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        commy_status_t status = commy_service_check(mesh, "open", 1000, &result);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        cr_assert(status == COMMY_STATUS_LIMIT || status == COMMY_STATUS_NO_MEMORY ||
                      (status == COMMY_STATUS_SUCCESS && result.status == COMMY_HEALTH_HEALTHY),
                  "%d descriptors: %d, %s", more, status, result.reason);
    }
    close(fd);
}

/* In a name space where the file that the loader would take for libcurl.so.4 is empty. */
static void hide_libcurl(void)
{
    struct link_map *map = NULL;
    char path[512] = "";
    void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
    if (!library || dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
        _exit(77);
    snprintf(path, sizeof path, "%s", map->l_name);
    dlclose(library);
    if (dlopen("libcurl.so.4", RTLD_LAZY | RTLD_NOLOAD) || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("/dev/null", path, NULL, MS_BIND, NULL) != 0)
        _exit(77);
}

Test(health, without_libcurl_checks_are_refused_and_all_else_works)
{
    int status;
    pid_t child = test_fork();
    if (child == 0) {
        commy_check_result_t result;
        hide_libcurl();
        begin(64);
        add(mesh, "web", "web");
        expect(commy_service_check(mesh, "web", 100, &result), COMMY_STATUS_INIT_FAILED, "Debian: libcurl4");
        expect(commy_service_monitor(mesh, "web", NULL), COMMY_STATUS_INIT_FAILED, "Debian: libcurl4");
        cr_assert(there(mesh, "web"));
        cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
        audit();
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        cr_skip_test("libcurl cannot be hidden here");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it ended with %x", status);
}

Test(health, the_time_is_the_last_checks_or_else_the_reported_average)
{
    begin(64);
    int32_t status;
    double ms;
    uint64_t reference;
    commy_service_config_t config = config_of("web", "web");
    cr_assert_eq(commy_service_register(mesh, &config, &reference), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_health(mesh, "web", &status, &ms), COMMY_STATUS_SUCCESS);
    cr_assert(status == COMMY_HEALTH_HEALTHY && ms == 0);
    cr_assert_eq(commy_service_report(mesh, reference, 4000000, true), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_health(mesh, "web", &status, &ms), COMMY_STATUS_SUCCESS);
    cr_assert(ms > 3.9 && ms < 4.1, "%f", ms);
    add_with_ttl(mesh, "web", "late", 0, 1);
    cr_assert(EVENTUALLY(status_of(mesh, "late") == COMMY_HEALTH_UNHEALTHY), "as every reader sees it");
}
