/*
 * cmd_wait.c - `commy wait`: until a name has so many instances, and then, if asked to, runs a command.
 *
 * The mesh need not be there yet, and may be removed and made again meanwhile: a missing region is waited for through
 * its directory, a present one through its own versions.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "common.h"
#include "condition.h"
#include "dirwatch.h"
#include "regions.h"
#include "text.h"

#define LOOK_AGAIN_MS 100
#define REMOVED_FOR_NS 1000000000u /* a region is being removed for microseconds; one that stays so is a copy */

enum { KEY_HEALTHY = KEY_FIRST, KEY_TIMEOUT };

struct arguments {
    const char *text; /* a name, or a whole condition */
    char **command;
    uint64_t count; /* 0: not given */
    bool healthy;
    struct condition condition;
    uint64_t deadline_ns, timeout_ms; /* deadline UINT64_MAX: none */
    uint64_t seen;                    /* instances at the last look */
    bool missing;                     /* there was no mesh at the last look */
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
    "Wait until a name has so many instances; the mesh need not exist yet, and has none of any name then. Then run a "
    "command, if there is one. What to wait for: a NAME, with -n and --healthy, or a condition in one word, such as "
    "'web>=2 healthy': one of >= > <= < = !=, a count, and one of healthy, degraded, unhealthy, unknown, or nothing "
    "(degraded ones count as healthy, too).\v"
    "Example:\n"
    "  commy wait db --healthy --timeout 5000 && ./migrate\n"
    "  commy wait 'web>=2 healthy' -- ./load-test\n"
    "  commy wait worker=0 && ./upgrade\n\n"
    "Exits with 0, or with the command's code; 124 where the time has passed. With a command, 125 where commy itself "
    "failed, 126 where the command cannot be run, 127 where it is not found.";

static error_t take_word(const struct argp_state *state, struct arguments *to, char *arg)
{
    if (!behind_dashes(state))
        return take_argument(state, &to->text, arg);
    to->command = &state->argv[state->next - 1];
    return 0;
}

/* With -n or --healthy the argument is a name, whatever is in it. */
static void complete(const struct argp_state *state, struct arguments *to)
{
    struct condition *condition = &to->condition;

    if (to->text == NULL)
        refuse(state, "which name? give it before the --, as in `commy wait web -- ./client'");
    enum condition_error error = to->count != 0 || to->healthy ? CONDITION_NONE : condition_parse(to->text, condition);
    if (error == CONDITION_NAME)
        refuse(state, "condition '%s' has no name of 1 to %u bytes before the comparison, as in 'web>=2'", to->text,
               COMMY_LIMIT_NAME_BYTES);
    if (error == CONDITION_COUNT)
        refuse(state, "condition '%s' has no count from 0 to %u behind the comparison, as in 'web>=2'", to->text,
               COMMY_LIMIT_SERVICES_MAX);
    if (error == CONDITION_HEALTH)
        refuse(state, "condition '%s' ends with none of healthy, degraded, unhealthy and unknown", to->text);
    if (error == CONDITION_FINE)
        return;
    if (strlen(to->text) > COMMY_LIMIT_NAME_BYTES)
        refuse(state, "name '%s' has more than %u bytes", to->text, COMMY_LIMIT_NAME_BYTES);
    *condition = (struct condition){.comparison = AT_LEAST,
                                    .count = to->count != 0 ? to->count : 1,
                                    .health = to->healthy ? COMMY_HEALTH_HEALTHY : -1};
    strcpy(condition->name, to->text);
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
        complete(state, to);
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

/* In a mesh that is there. */
static enum outcome wait_inside(const commy_mesh_t *mesh, struct arguments *given)
{
    struct region_file file;
    uint64_t version = 0;
    const char *name = given->condition.name;
    commy_status_t status = commy_mesh_wait(mesh, name, 0, 0, &version);

    region_file_note(&file, mesh);
    while (may_wait_again(status)) {
        status = condition_count(mesh, &given->condition, &given->seen);
        if (status != COMMY_STATUS_SUCCESS)
            break;
        if (condition_holds(&given->condition, given->seen))
            return ENOUGH;
        int pause = pause_ms(given);
        if (pause == 0)
            return TIMED_OUT;
        status = commy_mesh_wait(mesh, name, version, pause, &version);
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
        given->missing = outcome == GONE;
        if (outcome != GONE)
            break;
        given->seen = 0;
        if (condition_holds(&given->condition, 0)) {
            outcome = ENOUGH;
            break;
        }
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

static int say_late(const struct arguments *given)
{
    const struct condition *condition = &given->condition;
    const char *missing = given->missing ? ": there is no such mesh" : "";
    char text[CONDITION_TEXT_BYTES], dir[PATH_MAX];

    if (condition->comparison == AT_LEAST && condition->health < 0)
        complain("%ju of %ju instances of %s are up in mesh %s of %s after %ju ms%s", (uintmax_t)given->seen,
                 (uintmax_t)condition->count, condition->name, mesh_name(), mesh_directory(dir),
                 (uintmax_t)given->timeout_ms, missing);
    else
        complain("%s has %ju instances in mesh %s of %s after %ju ms, and not %s%s", condition->name,
                 (uintmax_t)given->seen, mesh_name(), mesh_directory(dir), (uintmax_t)given->timeout_ms,
                 condition_text(condition, text), missing);
    return EXIT_TIMED_OUT;
}

static int finish(const struct arguments *given, enum outcome outcome)
{
    if (outcome == FAILED)
        return given->command != NULL ? EXIT_OWN_FAILURE : EXIT_ERROR;
    if (outcome == TIMED_OUT)
        return say_late(given);
    if (given->command == NULL)
        return EXIT_YES;
    execvp(given->command[0], given->command);
    return complain_exec(given->command[0], errno);
}

int cmd_wait(int argc, char **argv)
{
    struct argp argp = {options, parse, "NAME|CONDITION [-- COMMAND [ARGUMENT...]]", doc, common_children, NULL, NULL};
    struct arguments given = {.deadline_ns = UINT64_MAX};

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &given);
    return finish(&given, wait_for_all(&given));
}
