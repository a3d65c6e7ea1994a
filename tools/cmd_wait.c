/*
 * cmd_wait.c - `commy wait`: until so many instances of a name are up, and then, if asked to, runs a command.
 *
 * The mesh need not be there yet, and may be removed and made again meanwhile: a missing region is waited for through
 * its directory, a present one through its own versions.
 */
#include <errno.h>
#include <unistd.h>

#include "commands.h"
#include "common.h"
#include "dirwatch.h"
#include "regions.h"
#include "service.h"
#include "text.h"

#define LOOK_AGAIN_MS 100
#define REMOVED_FOR_NS 1000000000u /* a region is being removed for microseconds; one that stays so is a copy */

enum { KEY_HEALTHY = KEY_FIRST, KEY_TIMEOUT };

struct arguments {
    const char *name;
    char **command;
    uint64_t count;
    bool healthy;
    uint64_t deadline_ns, timeout_ms; /* deadline UINT64_MAX: none */
    uint64_t seen;                    /* instances at the last look */
    uint64_t removed_since_ns;
};

enum outcome { ENOUGH, TIMED_OUT, GONE, FAILED };

static const struct argp_option options[] = {
    {"count", 'n', "COUNT", 0, "So many instances (default: 1)", 0},
    {"healthy", KEY_HEALTHY, NULL, 0, "Count only healthy and degraded ones", 0},
    {"timeout", KEY_TIMEOUT, "MS", 0, "Give up after so many milliseconds", 0},
    {0},
};

static const char doc[] =
    "Wait until instances of a name are up; the mesh need not exist yet. Then run a command, if there is one.\v"
    "Example:\n"
    "  commy wait db --healthy --timeout 5000 && ./migrate\n"
    "  commy wait web -n 2 -- ./load-test\n\n"
    "Exits with 0, or with the command's code; 124 where the time has passed. With a command, 125 where commy itself "
    "failed, 126 where the command cannot be run, 127 where it is not found.";

static error_t take_word(const struct argp_state *state, struct arguments *to, char *arg)
{
    if (!behind_dashes(state))
        return take_argument(state, &to->name, arg);
    to->command = &state->argv[state->next - 1];
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case 'n':
        to->count = parse_number(state, "-n", arg, 1, COMMY_LIMIT_SERVICES_MAX);
        return 0;
    case KEY_HEALTHY:
        to->healthy = true;
        return 0;
    case KEY_TIMEOUT:
        to->timeout_ms = parse_number(state, "--timeout", arg, 0, COMMY_LIMIT_TTL_MS);
        to->deadline_ns = monotonic_ns() + to->timeout_ms * 1000000u;
        return 0;
    case ARGP_KEY_ARG:
        take_word(state, to, arg);
        if (to->command != NULL)
            state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        if (to->name == NULL)
            refuse(state, "which name? give it before the --, as in `commy wait web -- ./client'");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* How long the next sleep may last: 0 once the time has passed. */
static int pause_ms(const struct arguments *given)
{
    uint64_t now = monotonic_ns();

    if (given->deadline_ns <= now)
        return 0;
    uint64_t left_ms = (given->deadline_ns - now) / 1000000u + 1;
    return left_ms < LOOK_AGAIN_MS ? (int)left_ms : LOOK_AGAIN_MS;
}

static commy_status_t count_healthy(const commy_mesh_t *mesh, const char *name, uint64_t *count)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_service_info_t info;
    commy_status_t status = commy_iterate_name(mesh, name, &iterator);

    *count = 0;
    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        status = commy_view_info(mesh, &view, &info);
        if (status == COMMY_STATUS_SUCCESS)
            *count += is_healthy(&info);
        if (status == COMMY_STATUS_NOT_FOUND)
            status = COMMY_STATUS_SUCCESS;
    }
    return status;
}

static commy_status_t count_instances(const commy_mesh_t *mesh, struct arguments *given)
{
    size_t count = 0;

    if (given->healthy)
        return count_healthy(mesh, given->name, &given->seen);
    commy_status_t status = commy_name_count(mesh, given->name, &count);
    given->seen = count;
    return status;
}

/* In a mesh that is there. */
static enum outcome wait_inside(const commy_mesh_t *mesh, struct arguments *given)
{
    struct region_file file;
    uint64_t version = 0;
    commy_status_t status = commy_mesh_wait(mesh, given->name, 0, 0, &version);

    region_file_note(&file, mesh);
    while (may_wait_again(status)) {
        status = count_instances(mesh, given);
        if (status != COMMY_STATUS_SUCCESS)
            break;
        if (given->seen >= given->count)
            return ENOUGH;
        int pause = pause_ms(given);
        if (pause == 0)
            return TIMED_OUT;
        status = commy_mesh_wait(mesh, given->name, version, pause, &version);
        if (!region_file_same(&file))
            return GONE;
    }
    if (status == COMMY_STATUS_REMOVED)
        return GONE;
    complain_status(status);
    return FAILED;
}

/* Whether a region that could not be attached to may still turn up. */
static bool may_come(commy_status_t status, struct arguments *given)
{
    if (status == COMMY_STATUS_MESH_NOT_FOUND) {
        given->removed_since_ns = 0;
        return true;
    }
    if (status != COMMY_STATUS_REMOVED)
        return false;
    if (given->removed_since_ns == 0)
        given->removed_since_ns = monotonic_ns();
    return monotonic_ns() - given->removed_since_ns < REMOVED_FOR_NS;
}

/* Attaches and waits inside; GONE where there is nothing to attach to. */
static enum outcome try(struct arguments *given)
{
    commy_mesh_t *mesh = NULL;
    commy_status_t status = attach_as_allowed(&mesh);

    if (status == COMMY_STATUS_SUCCESS) {
        enum outcome outcome = wait_inside(mesh, given);
        commy_mesh_detach(&mesh);
        return outcome;
    }
    if (may_come(status, given))
        return GONE;
    complain_status(status);
    return FAILED;
}

static enum outcome wait_for_all(struct arguments *given)
{
    struct dirwatch watch;
    enum outcome outcome;
    char dir[PATH_MAX];

    mesh_directory(dir);
    dirwatch_open(&watch);
    for (;;) {
        dirwatch_arm(&watch, dir);
        outcome = try(given);
        if (outcome != GONE)
            break;
        given->seen = 0;
        int pause = pause_ms(given);
        if (pause == 0) {
            outcome = TIMED_OUT;
            break;
        }
        dirwatch_sleep(&watch, pause);
    }
    dirwatch_close(&watch);
    return outcome;
}

static int finish(const struct arguments *given, enum outcome outcome)
{
    if (outcome == FAILED)
        return given->command != NULL ? EXIT_OWN_FAILURE : EXIT_ERROR;
    if (outcome == TIMED_OUT) {
        complain("%ju of %ju instances of %s are up in mesh %s after %ju ms", (uintmax_t)given->seen,
                 (uintmax_t)given->count, given->name, mesh_name(), (uintmax_t)given->timeout_ms);
        return EXIT_TIMED_OUT;
    }
    if (given->command == NULL)
        return EXIT_YES;
    execvp(given->command[0], given->command);
    return complain_exec(given->command[0], errno);
}

int cmd_wait(int argc, char **argv)
{
    struct argp argp = {options, parse, "NAME [-- COMMAND [ARGUMENT...]]", doc, common_children, NULL, NULL};
    struct arguments given = {.count = 1, .deadline_ns = UINT64_MAX};

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &given);
    return finish(&given, wait_for_all(&given));
}
