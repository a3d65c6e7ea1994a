/*
 * cmd_monitor.c - `commy monitor`: checks the health of all services that say how, for as long as it runs.
 *
 * A walk over the services finds those with a tag check=; each that is new is monitored from then on, and each that
 * has gone is not any more, so that ids that come and go (NAME-PID) do not pile up. Walks follow changes, at most ten a
 * second.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "stopping.h"

enum { KEY_INTERVAL = KEY_FIRST, KEY_TIMEOUT, KEY_FAILURES, KEY_RECOVERIES };

#define PAUSE_MS 100

struct arguments {
    const char *name;
    commy_health_config_t health;
};

/* A service that is monitored, or cannot be: of one registration. */
struct known {
    uint64_t reference, round;
    bool monitored;
    struct known *next; /* of those that have gone */
    char id[COMMY_LIMIT_ID_BYTES + 1];
};

struct monitor {
    commy_mesh_t *mesh;
    const struct arguments *given;
    void *known; /* tree by id */
    uint64_t round;
    struct known *gone;
};

static const struct argp_option options[] = {
    {"interval", KEY_INTERVAL, "MS", 0, "Time between two checks of a service, 1 to 86400000 (default: 5000)", 0},
    {"timeout", KEY_TIMEOUT, "MS", 0, "Time for an answer, 1 to 240000 (default: 1000)", 0},
    {"failures", KEY_FAILURES, "N", 0, "Failures in a row that make a service unhealthy, 1 to 255 (default: 3)", 0},
    {"recoveries", KEY_RECOVERIES, "N", 0, "Successes in a row that make it healthy again, 1 to 255 (default: 2)", 0},
    {0},
};

static const char doc[] =
    "Check the health of all services with a tag check=, or of the instances of a name that have one, until SIGINT, "
    "SIGTERM or SIGHUP comes; those too that are registered later. Any number of these may run: one at a time checks "
    "a service, and when it dies another goes on.\v"
    "Example:\n"
    "  commy register --name web --id web-1 --endpoint ::1 --port 80 --check http &\n"
    "  commy monitor --interval 1000 &\n"
    "  commy watch web\n\n"
    "Exits with 0 after a signal, and with 2 where the mesh was removed or checks cannot be made.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_INTERVAL:
        to->health.check_interval_ms = parse_number(state, "--interval", arg, 1, COMMY_LIMIT_CHECK_INTERVAL_MS);
        return 0;
    case KEY_TIMEOUT:
        to->health.timeout_ms = parse_number(state, "--timeout", arg, 1, COMMY_LIMIT_CHECK_TIMEOUT_MS);
        return 0;
    case KEY_FAILURES:
        to->health.max_failures = (uint32_t)parse_number(state, "--failures", arg, 1, COMMY_LIMIT_CHECKS);
        return 0;
    case KEY_RECOVERIES:
        to->health.recovery_checks = (uint32_t)parse_number(state, "--recoveries", arg, 1, COMMY_LIMIT_CHECKS);
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->name, arg);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->id, ((const struct known *)b)->id);
}

static bool wants_checks(const commy_service_info_t *info)
{
    for (uint32_t i = 0; i < info->tag_count; i++)
        if (strncmp(info->tags[i], "check=", 6) == 0)
            return strcmp(info->tags[i], "check=none") != 0;
    return false;
}

/* The entry of an id; made where there is none. */
static struct known *entry_of(struct monitor *monitor, const char *id)
{
    struct known key, *made;
    snprintf(key.id, sizeof(key.id), "%s", id);
    void *found = tfind(&key, &monitor->known, by_id);
    if (found != NULL)
        return *(struct known **)found;
    made = must_have(calloc(1, sizeof(*made)));
    memcpy(made->id, key.id, sizeof(made->id));
    must_have(tsearch(made, &monitor->known, by_id));
    return made;
}

/* Takes note of a service. False where no check can be made at all. */
static bool meet(struct monitor *monitor, const commy_view_t *view)
{
    commy_service_info_t info;

    if (commy_view_info(monitor->mesh, view, &info) != COMMY_STATUS_SUCCESS || !wants_checks(&info))
        return true; /* it went meanwhile, or wants none */
    struct known *known = entry_of(monitor, info.id);
    known->round = monitor->round;
    if (known->reference == view->reference)
        return true;
    known->reference = view->reference;
    commy_status_t status = commy_service_monitor(monitor->mesh, info.id, &monitor->given->health);
    known->monitored |= status == COMMY_STATUS_SUCCESS;
    if (status == COMMY_STATUS_INVALID)
        complain("%s", commy_last_error_message()); /* that one alone, and once */
    else if (status != COMMY_STATUS_SUCCESS && status != COMMY_STATUS_NOT_FOUND)
        return false;
    return true;
}

static struct monitor *walked; /* twalk() passes nothing on */

static void note_gone(const void *node, VISIT visit, int depth)
{
    struct known *known = *(struct known *const *)node;

    (void)depth;
    if ((visit != postorder && visit != leaf) || known->round == walked->round)
        return;
    known->next = walked->gone;
    walked->gone = known;
}

static void forget_gone(struct monitor *monitor)
{
    monitor->gone = NULL;
    walked = monitor;
    twalk(monitor->known, note_gone);
    while (monitor->gone != NULL) {
        struct known *known = monitor->gone;
        monitor->gone = known->next;
        if (known->monitored)
            (void)commy_service_unmonitor(monitor->mesh, known->id);
        tdelete(known, &monitor->known, by_id);
        free(known);
    }
}

/* One walk. Returns an exit code. */
static int look_around(struct monitor *monitor)
{
    const char *name = monitor->given->name;
    commy_iterator_t iterator;
    commy_view_t view;
    bool able = true;

    monitor->round++;
    commy_status_t status =
        name != NULL ? commy_iterate_name(monitor->mesh, name, &iterator) : commy_iterate_all(monitor->mesh, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    while (able && commy_iterate_next(monitor->mesh, &iterator, &view))
        able = meet(monitor, &view);
    if (!able)
        return complain("%s", commy_last_error_message());
    forget_gone(monitor);
    return EXIT_YES;
}

static int watch_over(struct monitor *monitor)
{
    uint64_t version = 0, looked_at = 1;
    commy_status_t status = COMMY_STATUS_SUCCESS;
    int code = EXIT_YES;

    while (code == EXIT_YES && !stopping()) {
        if (version != looked_at)
            code = look_around(monitor);
        looked_at = version;
        status = commy_mesh_wait(monitor->mesh, monitor->given->name, version, PAUSE_MS, &version);
        if (code == EXIT_YES && !may_wait_again(status))
            code = complain_status(status);
    }
    monitor->round++;
    forget_gone(monitor);
    return code;
}

int cmd_monitor(int argc, char **argv)
{
    struct argp argp = {options, parse, "[NAME]", doc, common_children, NULL, NULL};
    struct arguments given = {.health = {COMMY_DEFAULT_CHECK_INTERVAL_MS, COMMY_DEFAULT_CHECK_TIMEOUT_MS,
                                         COMMY_DEFAULT_MAX_FAILURES, COMMY_DEFAULT_RECOVERY_CHECKS}};
    struct monitor monitor = {.given = &given};

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    stopping_prepare();
    int code = open_mesh(0, &monitor.mesh);
    if (code != EXIT_YES)
        return code;
    code = watch_over(&monitor);
    commy_mesh_detach(&monitor.mesh);
    return code;
}
