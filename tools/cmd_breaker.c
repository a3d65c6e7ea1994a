/*
 * cmd_breaker.c - `commy breaker`: what opens circuit breakers, which are open, and closing one.
 */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "service.h"
#include "table.h"

enum {
    KEY_RESET = KEY_FIRST,
    KEY_ON,
    KEY_OFF,
    KEY_FAILURES,
    KEY_PERCENT,
    KEY_MINIMUM,
    KEY_MOST,
    KEY_WINDOW,
    KEY_OPEN,
    KEY_LONGEST
};

struct arguments {
    const char *id;
    bool reset, configures;
    commy_breaker_config_t config; /* enabled: 0 or 1; 2: leave it */
};

static const struct argp_option options[] = {
    {"reset", KEY_RESET, NULL, 0, "Close the breaker of service ID", 0},
    {"on", KEY_ON, NULL, 0, "Have breakers in the mesh", 1},
    {"off", KEY_OFF, NULL, 0, "Have none", 1},
    {"failures", KEY_FAILURES, "N", 0, "Open after so many failures in a row, 1 to 10000 (default: 5)", 2},
    {"percent", KEY_PERCENT, "PERCENT", 0, "Or after that share of a window's requests, 1 to 100; 0: not", 2},
    {"minimum", KEY_MINIMUM, "N", 0, "Requests that the share is judged by, 1 to 10000 (default: 20)", 2},
    {"window", KEY_WINDOW, "MS", 0, "Length of a window, 1 to 1800000 ms (default: 10000)", 2},
    {"most", KEY_MOST, "PERCENT", 0, "Instances of a name that may be open, 1 to 100 (default: 100)", 2},
    {"open", KEY_OPEN, "MS", 0, "Time until it is tried, 1 to 3600000 ms (default: 5000); doubled when that fails", 2},
    {"longest", KEY_LONGEST, "MS", 0, "And at most, 1 to 86400000 ms (default: 300000)", 2},
    {0},
};

static const char doc[] = "Show the circuit breakers of the mesh, or of one service; close one; configure them.\v"
                          "Breakers are the mesh's: every process reports to them and obeys them. Numbers that are not "
                          "given stay as they are.\n\n"
                          "Example:\n"
                          "  commy breaker --on --failures 10 --open 2000\n"
                          "  commy breaker\n"
                          "  commy breaker web-1 --reset\n\n"
                          "Exits with 1 where there is no such service.";

static error_t finish_parsing(const struct argp_state *state, struct arguments *given)
{
    if (given->reset && given->id == NULL)
        refuse(state, "--reset needs the id of a service");
    if (given->configures && given->id != NULL)
        refuse(state, "breakers are configured for the whole mesh: leave out the id '%s'", given->id);
    return 0;
}

static uint64_t configured(const struct argp_state *state, struct arguments *to, const char *option, const char *text,
                           uint64_t low, uint64_t high)
{
    to->configures = true;
    return parse_number(state, option, text, low, high);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_RESET:
        to->reset = true;
        return 0;
    case KEY_ON:
    case KEY_OFF:
        to->configures = true;
        to->config.enabled = key == KEY_ON;
        return 0;
    case KEY_FAILURES:
        to->config.consecutive_failures = (uint32_t)configured(state, to, "--failures", arg, 1, 10000);
        return 0;
    case KEY_PERCENT:
        to->config.failure_percent = (uint32_t)configured(state, to, "--percent", arg, 0, 100);
        return 0;
    case KEY_MINIMUM:
        to->config.minimum_requests = (uint32_t)configured(state, to, "--minimum", arg, 1, 10000);
        return 0;
    case KEY_MOST:
        to->config.most_ejected_percent = (uint32_t)configured(state, to, "--most", arg, 1, 100);
        return 0;
    case KEY_WINDOW:
        to->config.window_ms = configured(state, to, "--window", arg, 1, 1800000);
        return 0;
    case KEY_OPEN:
        to->config.open_ms = configured(state, to, "--open", arg, 1, 3600000);
        return 0;
    case KEY_LONGEST:
        to->config.longest_open_ms = configured(state, to, "--longest", arg, 1, 86400000);
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->id, arg);
    case ARGP_KEY_END:
        return finish_parsing(state, to);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------- configuring */

#define NOT_GIVEN UINT32_MAX
#define DEFAULT_OPEN_MS 5000u /* the library's, where nobody has configured anything */

/* What was given over what there is. */
static void take_over(commy_breaker_config_t *config, const commy_breaker_config_t *given)
{
    if (given->enabled != NOT_GIVEN)
        config->enabled = given->enabled;
    if (given->consecutive_failures != 0)
        config->consecutive_failures = given->consecutive_failures;
    if (given->failure_percent != NOT_GIVEN)
        config->failure_percent = given->failure_percent;
    if (given->minimum_requests != 0)
        config->minimum_requests = given->minimum_requests;
    if (given->most_ejected_percent != 0)
        config->most_ejected_percent = given->most_ejected_percent;
    if (given->window_ms != 0)
        config->window_ms = given->window_ms;
    if (given->open_ms != 0)
        config->open_ms = given->open_ms;
    if (given->longest_open_ms != 0)
        config->longest_open_ms = given->longest_open_ms;
    else if (config->longest_open_ms < config->open_ms)
        config->longest_open_ms = 0;
}

static int configure(commy_mesh_t *mesh, const commy_breaker_config_t *given)
{
    commy_breaker_config_t config;
    commy_status_t status = commy_mesh_breaker(mesh, &config);

    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    take_over(&config, given);
    uint64_t open_ms = config.open_ms != 0 ? config.open_ms : DEFAULT_OPEN_MS;
    if (config.longest_open_ms != 0 && config.longest_open_ms < open_ms)
        return complain("--longest %ju is less than --open, which is %ju: give that or more",
                        (uintmax_t)config.longest_open_ms, (uintmax_t)open_ms);
    status = commy_mesh_set_breaker(mesh, &config);
    return status == COMMY_STATUS_SUCCESS ? EXIT_YES : complain_status(status);
}

static void put_config(json_t *object, const commy_breaker_config_t *config)
{
    json_put(object, "enabled", json_boolean(config->enabled));
    json_put_number(object, "consecutive_failures", config->consecutive_failures);
    json_put_number(object, "failure_percent", config->failure_percent);
    json_put_number(object, "minimum_requests", config->minimum_requests);
    json_put_number(object, "most_ejected_percent", config->most_ejected_percent);
    json_put_number(object, "window_ms", config->window_ms);
    json_put_number(object, "open_ms", config->open_ms);
    json_put_number(object, "longest_open_ms", config->longest_open_ms);
}

/* In a sentence, above the table. */
static void print_config(const commy_breaker_config_t *config)
{
    if (!config->enabled) {
        printf("Breakers are off; `commy breaker --on' switches them on.\n");
        return;
    }
    printf("Breakers open after %u failures in a row", config->consecutive_failures);
    if (config->failure_percent != 0)
        printf(", or when %u %% of %u requests or more fail in %ju ms", config->failure_percent,
               config->minimum_requests, (uintmax_t)config->window_ms);
    printf(", for %ju ms to %ju ms", (uintmax_t)config->open_ms, (uintmax_t)config->longest_open_ms);
    if (config->most_ejected_percent < 100)
        printf(", at most %u %% of a name's instances", config->most_ejected_percent);
    printf(".\n");
}

/* ----------------------------------------------------------------- showing */

/* "in 250 ms", "now", or nothing. */
#define NEXT_TEXT_BYTES 32
static const char *next_text(const commy_breaker_status_t *breaker, char buffer[NEXT_TEXT_BYTES])
{
    if (breaker->state == COMMY_BREAKER_CLOSED)
        buffer[0] = '\0';
    else if (breaker->probe_in_ms == 0)
        snprintf(buffer, NEXT_TEXT_BYTES, "now");
    else
        snprintf(buffer, NEXT_TEXT_BYTES, "in %ju ms", (uintmax_t)breaker->probe_in_ms);
    return buffer;
}

#define PROBER_TEXT_BYTES 96
static const char *prober_text(const commy_breaker_status_t *breaker, char buffer[PROBER_TEXT_BYTES])
{
    buffer[0] = '\0';
    if (breaker->prober_pid != 0)
        snprintf(buffer, PROBER_TEXT_BYTES, "%s, pid %u", breaker->prober, breaker->prober_pid);
    return buffer;
}

static json_t *breaker_json(const struct service *service)
{
    const commy_breaker_status_t *breaker = &service->breaker;
    json_t *object = must_have(json_object());

    json_put_text(object, "name", service->info.name);
    json_put_text(object, "id", service->info.id);
    json_put_text(object, "state", breaker_name(breaker->state));
    json_put_number(object, "failures", breaker->failures);
    json_put_number(object, "openings", breaker->openings);
    json_put_number(object, "failed_probes", breaker->failed_probes);
    json_put_number(object, "probe_in_ms", breaker->probe_in_ms);
    json_put_text_or_null(object, "prober", breaker->prober);
    json_put(object, "prober_pid", breaker->prober_pid != 0 ? json_integer(breaker->prober_pid) : json_null());
    return object;
}

static void add_row(struct table *table, const struct service *service)
{
    static const char *const colors[] = {"green", "red", "yellow"};
    const commy_breaker_status_t *breaker = &service->breaker;
    char failures[16], openings[24], next[NEXT_TEXT_BYTES], prober[PROBER_TEXT_BYTES];

    snprintf(failures, sizeof(failures), "%u", breaker->failures);
    snprintf(openings, sizeof(openings), "%ju", (uintmax_t)breaker->openings);
    table_row(table, (const char *[]){service->info.name, service->info.id, breaker_name(breaker->state), failures,
                                      openings, next_text(breaker, next), prober_text(breaker, prober)});
    table_paint(table, 2, breaker->state >= 0 && breaker->state <= 2 ? colors[breaker->state] : NULL);
}

static struct table *open_table(void)
{
    static const struct column columns[] = {
        {"NAME", COLUMN_TEXT},           {"ID", COLUMN_TEXT},         {"BREAKER", COLUMN_TEXT},
        {"FAILURES", COLUMN_NUMBER},     {"OPENINGS", COLUMN_NUMBER}, {"NEXT TRY", COLUMN_TEXT},
        {"TRIED BY", COLUMN_EXTRA_TEXT},
    };
    struct table *table = table_open(columns, sizeof(columns) / sizeof(columns[0]));

    table_sort(table, 0, 1);
    return table;
}

static commy_status_t show_one(const commy_mesh_t *mesh, const char *id)
{
    struct service service;
    commy_status_t status = service_find(mesh, id, &service);

    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (tool.json) {
        json_print(breaker_json(&service));
        return status;
    }
    struct table *table = open_table();
    add_row(table, &service);
    table_close(&table);
    return status;
}

/* The configuration, and all services. */
static commy_status_t show_all(const commy_mesh_t *mesh)
{
    commy_breaker_config_t config;
    commy_iterator_t iterator;
    commy_view_t view;
    struct service service;
    json_t *object = NULL, *list = NULL;
    struct table *table = NULL;
    commy_status_t status = commy_mesh_breaker(mesh, &config);

    if (status == COMMY_STATUS_SUCCESS)
        status = commy_iterate_all(mesh, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (tool.json) {
        object = must_have(json_object());
        list = must_have(json_array());
        put_config(object, &config);
    } else {
        print_config(&config);
        table = open_table();
    }
    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        status = service_read(mesh, &view, &service);
        if (status == COMMY_STATUS_SUCCESS && tool.json)
            json_array_append_new(list, breaker_json(&service));
        else if (status == COMMY_STATUS_SUCCESS)
            add_row(table, &service);
        if (status == COMMY_STATUS_NOT_FOUND) /* gone since the iterator met it */
            status = COMMY_STATUS_SUCCESS;
    }
    if (tool.json) {
        json_put(object, "services", list);
        json_print(object);
    } else {
        table_close(&table);
    }
    return status;
}

int cmd_breaker(int argc, char **argv)
{
    struct argp argp = {options, parse, "[ID]", doc, common_children, NULL, NULL};
    struct arguments given = {.config = {.enabled = NOT_GIVEN, .failure_percent = NOT_GIVEN}};
    commy_mesh_t *mesh;
    commy_status_t status = COMMY_STATUS_SUCCESS;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    int code = open_mesh(given.reset || given.configures ? COMMY_OPEN_MUST_EXIST : COMMY_OPEN_READ_ONLY, &mesh);
    if (code != EXIT_YES)
        return code;

    if (given.configures)
        code = configure(mesh, &given.config);
    else if (given.reset)
        status = commy_service_reset_breaker(mesh, given.id);
    else
        status = given.id != NULL ? show_one(mesh, given.id) : show_all(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        code = complain_status(status);
    commy_mesh_detach(&mesh);
    return code;
}
