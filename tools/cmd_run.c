/*
 * cmd_run.c - `commy run`: registers an unmodified program for as long as it lives.
 *
 * In order: join the mesh and look whether the id is free, so that what can fail does before anything runs; start the
 * program; register once exec has succeeded, so that a program that is not there is never seen by anybody. If the
 * program dies, the wrapper unregisters it; if the wrapper dies, the kernel's word takes the registration away and the
 * parent-death signal takes the program along.
 */
#include <string.h>

#include "check_command.h"
#include "commands.h"
#include "common.h"
#include "holding.h"
#include "service_options.h"

enum { KEY_CHECK_CMD = KEY_FIRST, KEY_CHECK_INTERVAL, KEY_CHECK_TIMEOUT };

#define CHECK_INTERVAL_MS 5000u
#define CHECK_TIMEOUT_MS 1000u

struct arguments {
    struct service_options service;
    struct check_command check;
    char **command;
    char id[COMMY_LIMIT_NAME_BYTES + 16];
};

static const struct argp_option options[] = {
    {"check-cmd", KEY_CHECK_CMD, "CMD", 0,
     "Run CMD with sh now and then: exit 0 is healthy, 1 degraded, anything else unhealthy", 2},
    {"check-interval", KEY_CHECK_INTERVAL, "MS", 0, "From one start of it to the next (default: 5000)", 2},
    {"check-timeout", KEY_CHECK_TIMEOUT, "MS", 0, "Kill it, as unhealthy, when it takes longer (default: 1000)", 2},
    {0},
};

static const char doc[] =
    "Run a program, and register it as a service for as long as it lives. The id is NAME-PID and the endpoint "
    "127.0.0.1 where none is given. Signals are passed on to the program, and its exit code is passed on by this "
    "command (128 + the signal that killed it). A wrapper that is killed takes its program along: the program gets "
    "SIGKILL as parent-death signal.\v"
    "Example:\n"
    "  commy run --name web --port 8080 -- python3 -m http.server 8080\n"
    "  commy run --name db --port 5432 --check-cmd 'pg_isready -q' -- postgres\n\n"
    "Exits with the program's code; 125 where commy itself failed, 126 where the program cannot be run, 127 where it "
    "is not found.";

static void complete(const struct argp_state *state, struct arguments *given)
{
    commy_service_config_t *config = &given->service.config;

    if (config->endpoint == NULL)
        config->endpoint = "127.0.0.1";
    service_options_complete(state, &given->service);
    if (given->command == NULL)
        refuse(state, "which program? put it behind --, as in `commy run --name web --port 80 -- nginx'");
    if (given->check.command == NULL && (given->check.interval_ms != 0 || given->check.timeout_ms != 0))
        refuse(state, "--check-%s goes with --check-cmd: what is to be run?",
               given->check.interval_ms != 0 ? "interval" : "timeout");
    if (given->check.interval_ms == 0)
        given->check.interval_ms = CHECK_INTERVAL_MS;
    if (given->check.timeout_ms == 0)
        given->check.timeout_ms = CHECK_TIMEOUT_MS;
}

/* The first word that is no option starts the program's command line, `--` or not. */
static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->service;
        return 0;
    case KEY_CHECK_CMD:
        if (*arg == '\0')
            refuse(state, "--check-cmd is empty: what is to be run?");
        to->check.command = arg;
        return 0;
    case KEY_CHECK_INTERVAL:
        to->check.interval_ms = parse_number(state, "--check-interval", arg, 1, COMMY_LIMIT_CHECK_INTERVAL_MS);
        return 0;
    case KEY_CHECK_TIMEOUT:
        to->check.timeout_ms = parse_number(state, "--check-timeout", arg, 1, COMMY_LIMIT_CHECK_INTERVAL_MS);
        return 0;
    case ARGP_KEY_ARG:
        to->command = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        complete(state, to);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Whether the mesh would take this name and id, as far as that can be known before there is a program. */
static bool is_welcome(const commy_mesh_t *mesh, const commy_service_config_t *config)
{
    commy_service_info_t holder;
    size_t instances;
    commy_status_t status = commy_name_count(mesh, config->service_name, &instances);

    if (status == COMMY_STATUS_SUCCESS && config->service_id != NULL) {
        status = commy_service_get(mesh, config->service_id, &holder);
        if (status == COMMY_STATUS_SUCCESS) {
            if (holder.owner_pid != 0)
                complain("id %s is taken: %s registered it (pid %u); unregister it, or give another --id",
                         config->service_id, holder.node_id, holder.owner_pid);
            else
                complain("id %s is taken by a detached registration; unregister it, or give another --id",
                         config->service_id);
            return false;
        }
    }
    if (status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_FOUND)
        return true;
    complain_status(status);
    return false;
}

static int accompany(commy_mesh_t *mesh, struct arguments *given, const struct child_signals *signals, pid_t pid,
                     uint64_t reference)
{
    const commy_service_config_t *config = &given->service.config;
    struct holding holding;
    int code = EXIT_OWN_FAILURE;
    bool held = true;

    holding_start(&holding, mesh, config->service_id, reference, config->ttl_ms);
    check_command_start(&given->check, mesh, config->service_id, signals);
    while (!child_await(pid, signals, check_command_pause_ns(&given->check, holding_pause_ns(&holding)), &code)) {
        check_command_look(&given->check);
        if (!held || holding_look(&holding))
            continue;
        check_command_end(&given->check);
        complain("service %s is no longer registered: %s; %s goes on running", config->service_id,
                 holding_lost(&holding), given->command[0]);
        held = false;
    }
    check_command_end(&given->check);
    holding_end(&holding);
    return code;
}

static int run(commy_mesh_t *mesh, struct arguments *given, const struct child_signals *signals)
{
    commy_service_config_t *config = &given->service.config;
    uint64_t reference;
    bool from_exec;
    pid_t pid;

    if (!is_welcome(mesh, config))
        return EXIT_OWN_FAILURE;
    int error = child_start(given->command, signals, &pid, &from_exec);
    if (from_exec)
        return complain_exec(given->command[0], error);
    if (error != 0) {
        complain("no process can be started: %s", strerror(error));
        return EXIT_OWN_FAILURE;
    }
    if (config->service_id == NULL) {
        snprintf(given->id, sizeof(given->id), "%s-%d", config->service_name, (int)pid);
        config->service_id = given->id;
    }
    commy_status_t status = service_options_register(mesh, &given->service, &reference);
    if (status != COMMY_STATUS_SUCCESS) {
        complain_status(status);
        child_kill(pid);
        return EXIT_OWN_FAILURE;
    }
    return accompany(mesh, given, signals, pid, reference);
}

int cmd_run(int argc, char **argv)
{
    static const struct argp_child children[] = {SERVICE_CHILD, COMMON_CHILD, {0}};
    struct argp argp = {options, parse, "-- COMMAND [ARGUMENT...]", doc, children, NULL, NULL};
    struct arguments given = {0};
    struct child_signals signals;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &given);
    child_signals_prepare(&signals);
    if (open_mesh_as(given.service.node, &mesh) != EXIT_YES)
        return EXIT_OWN_FAILURE;
    int code = run(mesh, &given, &signals);
    commy_mesh_detach(&mesh);
    return code;
}
