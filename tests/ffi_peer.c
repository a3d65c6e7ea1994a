/*
 * A process that speaks commy's language ABI, and nothing but the ABI, from C: reads calls from its standard input, one a
 * line, and answers each with one line of JSON. tests/ffi_two_languages.py holds the other end.
 *
 * A line is words separated by tabs; in a word, \n, \t and \\ stand for newline, tab and backslash, and "*" for a null
 * pointer. The process has one handle. Exits at the end of its input.
 */
#include <commy/ffi.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 32
#define ROOM 64

static commy_handle_t h;
static char *word[WORDS];
static int words;

/* -------------------------------------------------------------------- answers */

static void put_text(const char *key, const char *text)
{
    printf(", \"%s\": ", key);
    if (!text) {
        printf("null");
        return;
    }
    putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_number(const char *key, uint64_t number)
{
    printf(", \"%s\": %" PRIu64, key, number);
}

static void put_real(const char *key, double number)
{
    printf(", \"%s\": %.17g", key, number);
}

static void begin(int32_t code)
{
    printf("{\"code\": %" PRId32, code);
}

static void end(void)
{
    puts("}");
    fflush(stdout);
}

static void put_info(const commy_service_info_t *info)
{
    put_text("name", info->name);
    put_text("id", info->id);
    put_text("endpoint", info->endpoint);
    put_text("version", info->version);
    put_text("zone", info->zone);
    put_text("node_id", info->node_id);
    printf(", \"tags\": [");
    for (uint32_t i = 0; i < info->tag_count; i++)
        printf("%s\"%s\"", i ? ", " : "", info->tags[i]);
    printf("]");
    put_number("weight", info->weight);
    put_number("owner_pid", info->owner_pid);
    printf(", \"status\": %" PRId32 ", \"admin\": %" PRId32, info->status, info->admin);
    put_number("port", info->port);
    put_number("registered_at_ns", info->registered_at_ns);
    put_number("metadata_bytes", info->metadata_bytes);
    put_real("response_time_ms", info->response_time_ms);
}

static void put_target(const commy_target_t *target)
{
    put_number("reference", target->reference);
    put_number("weight", target->weight);
    printf(", \"status\": %" PRId32, target->status);
    put_number("port", target->port);
    put_text("endpoint", target->endpoint);
}

/* An answer that is a code only. */
static void answer(int32_t code)
{
    begin(code);
    end();
}

static void answer_list(int32_t code, const commy_service_info_t *list, size_t capacity, size_t count)
{
    begin(code);
    put_number("count", count);
    printf(", \"services\": [");
    for (size_t i = 0; code == 0 && i < count && i < capacity; i++) {
        printf("%s{\"at\": %zu", i ? ", " : "", i);
        put_info(&list[i]);
        printf("}");
    }
    printf("]");
    end();
}

/* ---------------------------------------------------------------------- calls */

static uint64_t number(int i)
{
    return i < words && word[i] ? strtoull(word[i], NULL, 10) : 0;
}

static char *given(int i)
{
    return i < words ? word[i] : NULL;
}

static void do_open(void)
{
    const commy_open_options_t options = {.size = sizeof(options),
                                          .flags = (uint32_t)number(4),
                                          .dir = given(1),
                                          .mesh = given(2),
                                          .node_id = given(3),
                                          .capacity = (uint32_t)number(5)};
    h = commy_open_mesh(&options);
    answer(h.instance_id ? 0 : commy_last_error());
}

static void do_node(void)
{
    char *node = commy_get_node_id(h);
    begin(node ? 0 : commy_last_error());
    put_text("node", node);
    end();
    commy_free_string(node);
}

/* register NAME ID ENDPOINT PORT VERSION ZONE WEIGHT TTL METADATA TAG... */
static void do_register(void)
{
    const commy_service_config_t config = {.size = sizeof(config),
                                           .service_name = given(1),
                                           .service_id = given(2),
                                           .endpoint = given(3),
                                           .port = (uint16_t)number(4),
                                           .version = given(5),
                                           .zone = given(6),
                                           .weight = (uint32_t)number(7),
                                           .ttl_ms = number(8),
                                           .metadata = given(9),
                                           .tags = words > 10 ? (const char *const *)&word[10] : NULL,
                                           .tag_count = words > 10 ? (uint32_t)(words - 10) : 0};
    answer(commy_register_service(h, &config));
}

static void do_stats(void)
{
    commy_mesh_stats_t stats = {0};
    begin(commy_get_mesh_stats(h, &stats));
    put_number("total_services", stats.total_services);
    put_number("healthy_services", stats.healthy_services);
    put_number("unhealthy_services", stats.unhealthy_services);
    put_number("registered_services", stats.registered_services);
    put_number("total_requests", stats.total_requests);
    put_number("successful_requests", stats.successful_requests);
    put_number("failed_requests", stats.failed_requests);
    put_real("average_response_time_ms", stats.average_response_time_ms);
    end();
}

static void do_list(bool all)
{
    static commy_service_info_t list[ROOM];
    size_t count = 0, capacity = (size_t)number(all ? 1 : 2);
    commy_service_info_t *out = capacity ? list : NULL;
    int32_t code = all ? commy_get_all_services(h, out, capacity, &count)
                       : commy_discover_services(h, given(1), out, capacity, &count);
    answer_list(code, list, capacity, count);
}

static void do_get(void)
{
    commy_service_info_t info = {0};
    begin(commy_get_service(h, given(1), &info));
    put_info(&info);
    end();
}

static void do_find(void)
{
    commy_target_t target = {0};
    begin(commy_find(h, given(1), &target));
    put_target(&target);
    end();
}

static void do_select(void)
{
    commy_target_t target = {0};
    begin(commy_select_service(h, given(1), given(2), &target));
    put_target(&target);
    end();
}

static int32_t configure(void)
{
    const commy_load_balancer_config_t config = {.algorithm = (int32_t)strtol(word[1], NULL, 10),
                                                 .enable_circuit_breaker = (uint32_t)number(2),
                                                 .circuit_breaker_threshold = (uint32_t)number(3),
                                                 .circuit_breaker_timeout_ms = number(4)};
    return commy_configure_load_balancer(h, &config);
}

static void do_breaker(void)
{
    int32_t state = -1;
    uint32_t failures = 0;
    begin(commy_get_circuit_breaker_status(h, given(1), &state, &failures));
    put_number("state", (uint64_t)(int64_t)state);
    put_number("failures", failures);
    end();
}

static void do_find_many(void)
{
    commy_target_t targets[WORDS] = {{0}};
    int32_t codes[WORDS];
    size_t n = (size_t)words - 1;
    begin(commy_find_many(h, (const char *const *)&word[1], n, targets, codes));
    printf(", \"found\": [");
    for (size_t i = 0; i < n; i++) {
        printf("%s{\"code\": %" PRId32, i ? ", " : "", codes[i]);
        if (codes[i] == 0)
            put_target(&targets[i]);
        printf("}");
    }
    printf("]");
    end();
}

static void do_metadata(void)
{
    static char text[4097];
    size_t length = 0, capacity = (size_t)number(2);
    text[0] = '\0';
    begin(commy_get_service_metadata(h, given(1), capacity ? text : NULL, capacity, &length));
    put_text("text", text);
    put_number("length", length);
    end();
}

static void do_begin(void)
{
    uint64_t token = 0;
    int32_t code = commy_begin_request(h, number(1), &token);
    begin(code);
    put_number("token", token);
    end();
}

static void do_latency(void)
{
    uint64_t ns = 0;
    int32_t code = commy_get_latency(h, given(1), given(2) ? strtod(given(2), NULL) : -1, &ns);
    begin(code);
    put_number("ns", ns);
    end();
}

static void do_balancer_stats(void)
{
    uint64_t total = 0, successful = 0, failed = 0;
    double average_ms = 0;
    begin(commy_get_load_balancer_stats(h, given(1), &total, &successful, &failed, &average_ms));
    put_number("total", total);
    put_number("successful", successful);
    put_number("failed", failed);
    put_number("average_us", (uint64_t)(average_ms * 1000 + 0.5));
    end();
}

static void do_wait(void)
{
    uint64_t version = 0;
    begin(commy_wait(h, given(1), number(2), (int32_t)strtol(given(3), NULL, 10), &version));
    put_number("version", version);
    end();
}

static void do_error(void)
{
    begin(commy_last_error());
    put_text("message", commy_last_error_message());
    end();
}

static void do_string(void)
{
    begin(0);
    put_text("text", commy_status_string((int32_t)strtol(given(1), NULL, 10)));
    end();
}

static void do_version(void)
{
    begin(commy_ffi_init());
    put_text("version", commy_ffi_version());
    end();
}

static bool is(const char *call, int arguments)
{
    return strcmp(word[0], call) == 0 && words > arguments;
}

static bool obey(void)
{
    if (is("open", 5))
        do_open();
    else if (is("version", 0))
        do_version();
    else if (is("cleanup", 0))
        answer(commy_ffi_cleanup());
    else if (is("start", 0))
        answer(commy_start_mesh(h));
    else if (is("stop", 0))
        answer(commy_stop_mesh(h));
    else if (is("running", 0))
        answer(commy_is_mesh_running(h));
    else if (is("destroy", 0))
        answer(commy_destroy_mesh(h));
    else if (is("node", 0))
        do_node();
    else if (is("stats", 0))
        do_stats();
    else if (is("register_simple", 4))
        answer(commy_register_service_simple(h, word[1], word[2], word[3], (uint16_t)number(4)));
    else if (is("register", 9))
        do_register();
    else if (is("unregister", 1))
        answer(commy_unregister_service(h, word[1]));
    else if (is("count", 1))
        answer(commy_discover_services_count(h, word[1]));
    else if (is("active", 0))
        answer(commy_get_active_service_count(h));
    else if (is("discover", 2))
        do_list(false);
    else if (is("all", 1))
        do_list(true);
    else if (is("get", 1))
        do_get();
    else if (is("find", 1))
        do_find();
    else if (is("find_many", 1))
        do_find_many();
    else if (is("configure", 4))
        answer(configure());
    else if (is("select", 2))
        do_select();
    else if (is("breaker", 1))
        do_breaker();
    else if (is("reset_breaker", 1))
        answer(commy_reset_circuit_breaker(h, given(1)));
    else if (is("metadata", 2))
        do_metadata();
    else if (is("set_metadata", 2))
        answer(commy_update_service_metadata(h, word[1], word[2]));
    else if (is("weight", 2))
        answer(commy_set_service_weight(h, word[1], (uint32_t)number(2)));
    else if (is("set_health", 2))
        answer(commy_set_health(h, word[1], (int32_t)number(2)));
    else if (is("set_admin", 2))
        answer(commy_set_admin(h, word[1], (int32_t)number(2)));
    else if (is("balancer_stats", 1))
        do_balancer_stats();
    else if (is("heartbeat", 1))
        answer(commy_heartbeat(h, word[1]));
    else if (is("report_id", 3))
        answer(commy_report_service_performance(h, word[1], number(2), (int32_t)number(3)));
    else if (is("report", 3))
        answer(commy_report(h, number(1), number(2), (int32_t)number(3)));
    else if (is("begin", 1))
        do_begin();
    else if (is("end", 3))
        answer(commy_end_request(h, number(1), number(2), (int32_t)number(3)));
    else if (is("latency", 2))
        do_latency();
    else if (is("wait", 3))
        do_wait();
    else if (is("error", 0))
        do_error();
    else if (is("string", 1))
        do_string();
    else
        return false;
    return true;
}

/* --------------------------------------------------------------------- the line */

static char *unescape(char *text)
{
    char *to = text;
    if (strcmp(text, "*") == 0)
        return NULL;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '\\' && from[1]) {
            from++;
            c = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from;
        }
        *to++ = c;
    }
    *to = '\0';
    return text;
}

int main(void)
{
    static char line[16384];
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        words = 0;
        for (char *rest = line, *next; words < WORDS && (next = strsep(&rest, "\t"));)
            word[words++] = unescape(next);
        if (!word[0] || !obey()) {
            fprintf(stderr, "ffi_peer: what is \"%s\" with %d words?\n", word[0] ? word[0] : "*", words);
            return 2;
        }
    }
    return 0;
}
