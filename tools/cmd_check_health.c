/*
 * cmd_check_health.c - `commy check-health`: checks a service once, on the spot.
 */
#include "commands.h"
#include "common.h"
#include "json.h"
#include "service.h"
#include "text.h"

enum { KEY_TIMEOUT = KEY_FIRST };

struct arguments {
    const char *id;
    uint32_t timeout_ms;
};

static const struct argp_option options[] = {
    {"timeout", KEY_TIMEOUT, "MS", 0, "Time for an answer, 1 to 240000 (default: 1000)", 0},
    {0},
};

static const char doc[] =
    "Check a service once, as its tag check= says (without one: a TCP connect), and print what came "
    "of it. Changes nothing in the mesh.\v"
    "Example:\n"
    "  commy check-health web-1 --timeout 200 || echo 'web-1 does not answer'\n\n"
    "Exits with 0 where it is healthy, 1 where it is not or where there is no such service, and 2 "
    "where it cannot be checked.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_TIMEOUT:
        to->timeout_ms = (uint32_t)parse_number(state, "--timeout", arg, 1, COMMY_LIMIT_CHECK_TIMEOUT_MS);
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->id, arg);
    case ARGP_KEY_END:
        if (to->id == NULL)
            refuse(state, "which service? give its id");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_json(const char *id, const commy_check_result_t *result)
{
    json_t *object = must_have(json_object());

    json_put_text(object, "id", id);
    json_put_text(object, "status", health_name(result->status));
    json_put(object, "response_time_ms", must_have(json_real(result->response_time_ms)));
    json_put_number(object, "http_status", (uint64_t)result->http_status);
    json_put_text(object, "reason", result->reason);
    json_print(object);
}

static void print_line(const char *id, const commy_check_result_t *result)
{
    print_text(stdout, id);
    printf(" %s %.3f ms", health_name(result->status), result->response_time_ms);
    if (result->reason[0] != '\0') {
        fputs(": ", stdout);
        print_text(stdout, result->reason);
    }
    putchar('\n');
}

int cmd_check_health(int argc, char **argv)
{
    struct argp argp = {options, parse, "ID", doc, common_children, NULL, NULL};
    struct arguments given = {.timeout_ms = COMMY_DEFAULT_CHECK_TIMEOUT_MS};
    commy_check_result_t result;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    int code = open_mesh(COMMY_OPEN_READ_ONLY, &mesh);
    if (code != EXIT_YES)
        return code;
    commy_status_t status = commy_service_check(mesh, given.id, given.timeout_ms, &result);
    if (status != COMMY_STATUS_SUCCESS) {
        code = complain_status(status);
    } else {
        tool.json ? print_json(given.id, &result) : print_line(given.id, &result);
        code = result.status == COMMY_HEALTH_HEALTHY ? EXIT_YES : EXIT_NO;
    }
    commy_mesh_detach(&mesh);
    return code;
}
