/*
 * libcurl as it may be elsewhere, or fail: old, without a function or an option, out of memory, without an end. What is here
 * stands between it and the library, which asks dlsym(3) for its functions (--wrap).
 */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdarg.h>

#include "mesh/monitor.h"
#include "support_server.h"

TestSuite(curl, .init = set_up, .fini = tear_down, .timeout = 60);

/* What is to go wrong. */
static struct {
    const char *lacks;
    unsigned version;       /* 0: as it is */
    int without_features;   /* bits */
    bool init, easy, multi; /* cannot be made */
    bool add, poll;         /* refused */
    int option;             /* number of the one that is refused; 0: none */
    bool endless;           /* no check ends */
    bool other_messages;    /* before each, and before there is none */
    CURLcode result;        /* of each */
} wrong;

static _Atomic int options, made, polled;

static struct {
    curl_version_info_data *(*version)(CURLversion);
    CURLcode (*init)(long);
    CURL *(*easy_make)(void);
    CURLcode (*easy_set)(CURL *, CURLoption, ...);
    CURLM *(*multi_make)(void);
    CURLMcode (*multi_add)(CURLM *, CURL *);
    CURLMcode (*multi_poll)(CURLM *, struct curl_waitfd *, unsigned, int, int *);
    CURLMsg *(*multi_next)(CURLM *, int *);
} real;

static curl_version_info_data *version(CURLversion which)
{
    static curl_version_info_data info;
    static char words[32];
    info = *real.version(which);
    info.features &= ~wrong.without_features;
    if (wrong.version) {
        info.version_num = wrong.version;
        snprintf(words, sizeof words, "%u.%u.%u", wrong.version >> 16, wrong.version >> 8 & 0xff, wrong.version & 0xff);
        info.version = words;
    }
    return &info;
}

static CURLcode init(long flags)
{
    return wrong.init ? CURLE_FAILED_INIT : real.init(flags);
}

static CURL *easy_make(void)
{
    atomic_fetch_add(&made, 1);
    return wrong.easy ? NULL : real.easy_make();
}

static CURLcode easy_set(CURL *easy, CURLoption option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    void *value = va_arg(arguments, void *); /* or a long, which is as wide and passed in the same way */
    va_end(arguments);
    if (atomic_fetch_add(&options, 1) + 1 == wrong.option)
        return CURLE_UNKNOWN_OPTION;
    return real.easy_set(easy, option, value);
}

static CURLM *multi_make(void)
{
    return wrong.multi ? NULL : real.multi_make();
}

static CURLMcode multi_add(CURLM *multi, CURL *easy)
{
    return wrong.add ? CURLM_OUT_OF_MEMORY : real.multi_add(multi, easy);
}

static CURLMcode multi_poll(CURLM *multi, struct curl_waitfd *fds, unsigned count, int timeout_ms, int *ready)
{
    atomic_fetch_add(&polled, 1);
    return wrong.poll ? CURLM_OUT_OF_MEMORY : real.multi_poll(multi, fds, count, timeout_ms, ready);
}

static CURLMsg *multi_next(CURLM *multi, int *left)
{
    static CURLMsg other = {.msg = CURLMSG_NONE};
    static bool told;
    if (wrong.endless)
        return NULL;
    if (wrong.other_messages && (told = !told))
        return &other;
    CURLMsg *message = real.multi_next(multi, left);
    if (message && wrong.result != CURLE_OK)
        message->data.result = wrong.result;
    return message;
}

#define FAKE(called, field, function)                                                                                  \
    if (strcmp(name, called) == 0) {                                                                                   \
        memcpy(&real.field, &symbol, sizeof symbol);                                                                   \
        void *fake_;                                                                                                   \
        __typeof__(&function) pointer_ = function;                                                                     \
        memcpy(&fake_, &pointer_, sizeof fake_);                                                                       \
        return fake_;                                                                                                  \
    }

void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name)
{
    void *symbol = __real_dlsym(library, name);
    if (wrong.lacks && strcmp(name, wrong.lacks) == 0)
        return NULL;
    FAKE("curl_version_info", version, version)
    FAKE("curl_global_init", init, init)
    FAKE("curl_easy_init", easy_make, easy_make)
    FAKE("curl_easy_setopt", easy_set, easy_set)
    FAKE("curl_multi_init", multi_make, multi_make)
    FAKE("curl_multi_add_handle", multi_add, multi_add)
    FAKE("curl_multi_poll", multi_poll, multi_poll)
    FAKE("curl_multi_info_read", multi_next, multi_next)
    return symbol;
}

static server_t server;
static commy_check_result_t result;

static void begin_with_server(void)
{
    begin(64);
    server_start(&server, 200);
    add_checked(mesh, "web", server.port, NULL);
}

static commy_status_t check(uint32_t timeout_ms)
{
    result = (commy_check_result_t){.status = -1};
    return commy_service_check(mesh, "web", timeout_ms, &result);
}

static void expect_healthy(void)
{
    cr_assert_eq(check(5000), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(result.status, COMMY_HEALTH_HEALTHY, "%s", result.reason);
}

static void add_at(const char *endpoint)
{
    commy_service_config_t config = config_of("web", "web");
    config.endpoint = endpoint;
    config.port = server.port;
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static uint64_t checked(void)
{
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, "web", &record, &state), COMMY_STATUS_SUCCESS);
    return cmy_checked_read(mesh->region, record);
}

/* ------------------------------------------------------------------- opening */

Test(curl, one_that_lacks_any_function_is_refused_and_looked_at_again)
{
    const char *const names[] = {"curl_version_info",     "curl_global_init",         "curl_easy_init",
                                 "curl_easy_cleanup",     "curl_easy_setopt",         "curl_easy_getinfo",
                                 "curl_easy_strerror",    "curl_multi_init",          "curl_multi_cleanup",
                                 "curl_multi_add_handle", "curl_multi_remove_handle", "curl_multi_perform",
                                 "curl_multi_poll",       "curl_multi_info_read"};
    begin_with_server();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        wrong.lacks = names[i];
        expect(check(1000), COMMY_STATUS_INIT_FAILED, "or cannot be set up; install it (Debian: libcurl4");
        expect(commy_service_monitor(mesh, "web", NULL), COMMY_STATUS_INIT_FAILED, "libcurl.so.4 is of version");
        cr_assert_null(cmy_pings_make());
    }
    wrong.lacks = NULL;
    expect_healthy();
    server_stop(&server);
}

Test(curl, one_that_is_too_old_or_cannot_be_set_up_is_named)
{
    begin_with_server();
    wrong.version = 0x074100;
    expect(check(1000), COMMY_STATUS_INIT_FAILED, "is of version 7.65.0, which is older than 7.66");
    wrong.version = 0;
    wrong.init = true;
    expect(check(1000), COMMY_STATUS_INIT_FAILED, "cannot be set up");
    wrong.init = false;
    expect_healthy();
    server_stop(&server);
}

static void names_are_refused(void)
{
    static const commy_health_config_t quick = {20, 500, 1, 1};
    begin_with_server();
    expect_healthy();
    cr_assert_eq(commy_service_monitor(mesh, "web", &quick), COMMY_STATUS_SUCCESS);
    cr_assert(EVENTUALLY(cmy_checked_run(checked()) > 0));
    drop(mesh, "web");
    add_at("some-host"); /* the next registration; while it is so, nothing is checked */
    expect(check(1000), COMMY_STATUS_INIT_FAILED, "register the endpoint as an address, or install a newer libcurl");
    expect(commy_service_monitor(mesh, "web", &quick), COMMY_STATUS_INIT_FAILED, "register the endpoint as an address");
    sleep_ms(300);
    cr_assert_eq(cmy_checked_run(checked()), 0);
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
    drop(mesh, "web");
    add_at("localhost"); /* is no name to libcurl */
    cr_assert(EVENTUALLY(cmy_checked_run(checked()) > 0));
    server_stop(&server);
    audit();
}

Test(curl, one_whose_resolver_cannot_be_left_checks_addresses_only)
{
    wrong.version = 0x075600;
    names_are_refused();
}

Test(curl, one_without_a_threaded_resolver_checks_addresses_only)
{
    wrong.without_features = CURL_VERSION_ASYNCHDNS;
    names_are_refused();
}

/* ------------------------------------------------------------------ checking */

static void expect_not_made(void)
{
    expect(check(1000), COMMY_STATUS_NO_MEMORY, "no memory");
}

Test(curl, a_check_that_it_does_not_begin_is_no_result)
{
    begin_with_server();
    wrong.multi = true;
    expect_not_made();
    wrong.multi = false;
    wrong.easy = true;
    expect_not_made();
    wrong.easy = false;
    wrong.add = true;
    expect_not_made();
    wrong.add = false;
    expect_healthy();
    server_stop(&server);
}

Test(curl, a_check_is_made_with_all_that_keeps_it_safe_or_not_at_all)
{
    char path[300];
    begin_with_server();
    snprintf(path, sizeof path, "unix:%s", test_path("socket"));
    for (int kind = 0; kind < 2; kind++) {
        int refused = 0;
        do {
            atomic_store(&options, 0);
            wrong.option = ++refused;
            commy_status_t status = check(1000);
            if (atomic_load(&options) >= refused)
                expect(status, COMMY_STATUS_NO_MEMORY, "was built without something that it takes");
        } while (atomic_load(&options) >= refused);
        cr_assert_gt(refused, 20 + kind);
        drop(mesh, "web");
        add_at(path);
    }
    server_stop(&server);
}

Test(curl, a_check_goes_on_where_it_refuses_to_wait_and_does_not_take_the_processor)
{
    begin_with_server();
    atomic_store(&server.status, SERVER_SILENT);
    drop(mesh, "web");
    add_checked(mesh, "web", server.port, "check=http");
    wrong.poll = true;
    cr_assert_eq(check(300), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(result.status, COMMY_HEALTH_UNHEALTHY);
    cr_assert_leq(atomic_load(&polled), 10, "%d times", atomic_load(&polled));
    atomic_store(&server.status, 200);
    expect_healthy();
    server_stop(&server);
}

Test(curl, a_check_that_it_never_ends_is_given_up)
{
    static const commy_health_config_t quick = {20, 20, 1, 1};
    begin_with_server();
    expect_healthy();
    wrong.endless = true;
    uint64_t began = now_ms();
    expect(check(1), COMMY_STATUS_LIMIT, "libcurl did not end the check within 1001 ms");
    cr_assert_lt(now_ms() - began, 5000);
    atomic_store(&made, 0);
    cr_assert_eq(commy_service_monitor(mesh, "web", &quick), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert(EVENTUALLY(atomic_load(&made) >= 2), "and made again");
    cr_assert_eq(cmy_checked_run(checked()), 0, "it is no result");
    wrong.endless = false;
    cr_assert(EVENTUALLY(cmy_checked_run(checked()) > 0));
    cr_assert_eq(status_of(mesh, "web"), COMMY_HEALTH_HEALTHY);
    commy_mesh_leave(mesh);
    server_stop(&server);
    audit();
}

Test(curl, messages_of_other_kinds_say_nothing)
{
    begin_with_server();
    wrong.other_messages = true;
    expect_healthy();
    server_stop(&server);
}

Test(curl, what_this_process_lacks_is_no_failure_of_the_service)
{
    static const commy_health_config_t quick = {20, 500, 1, 1};
    begin_with_server();
    wrong.result = CURLE_OUT_OF_MEMORY;
    expect(check(1000), COMMY_STATUS_LIMIT, "the check could not be made: ");
    cr_assert_eq(commy_service_monitor(mesh, "web", &quick), COMMY_STATUS_SUCCESS);
    atomic_store(&made, 0);
    cr_assert(EVENTUALLY(atomic_load(&made) >= 3));
    cr_assert_eq(cmy_checked_run(checked()), 0);
    wrong.result = CURLE_COULDNT_CONNECT; /* of which it says nothing itself */
    cr_assert_eq(check(1000), COMMY_STATUS_SUCCESS);
    cr_assert_eq(result.status, COMMY_HEALTH_UNHEALTHY);
    cr_assert_neq(result.reason[0], '\0');
    cr_assert(EVENTUALLY(status_of(mesh, "web") == COMMY_HEALTH_UNHEALTHY));
    wrong.result = CURLE_OK;
    cr_assert(EVENTUALLY(status_of(mesh, "web") == COMMY_HEALTH_HEALTHY));
    server_stop(&server);
    audit();
}
