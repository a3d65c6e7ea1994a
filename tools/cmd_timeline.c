/*
 * cmd_timeline.c - `commy timeline`: what the flight recorder holds, and what it is told from now on.
 *
 * To follow is to look again: whenever the mesh's version moves, and every 100 ms, since to join a mesh moves none. What was
 * printed is told by the numbers of events, not by their time: of two that are written at once on two processors the later
 * one may be there first.
 */
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "event.h"
#include "json.h"
#include "regions.h"
#include "stopping.h"
#include "text.h"

enum { KEY_SINCE = KEY_FIRST, KEY_ID, KEY_NAME };

#define LOOK_AGAIN_MS 100
#define SINCE_MAX_S 31536000u /* a year */

struct arguments {
    const char *id, *name;
    uint64_t since_ns; /* Unix time; 0: all */
    bool follow;
};

static const struct argp_option options[] = {
    {"follow", 'f', NULL, 0, "Go on with what happens from now on", 0},
    {"since", KEY_SINCE, "TIME", 0, "Only the last 90s, 5m, 2h or 1d", 0},
    {"id", KEY_ID, "ID", 0, "Only of this service", 0},
    {"name", KEY_NAME, "NAME", 0, "Only of services of this name, or of this node", 0},
    {0},
};

static const char doc[] =
    "Print what happened last in the mesh, a line an event: who joined, left or died, what was registered, taken away "
    "or "
    "set, and by whom.\v"
    "The region keeps the last 128 events of each of 8 rings; a writer takes the one of its processor. Events survive "
    "those that they tell of; one whose writer was killed before it was written is missing.\n\n"
    "Example:\n"
    "  commy timeline --since 5m\n"
    "  commy timeline --follow --json | jq -r 'select(.event == \"owner-died\") | .id'\n\n"
    "With --follow it exits with 0 when it is told to stop (SIGINT, SIGTERM, SIGHUP) or nobody reads its output any "
    "more, with 2 when the mesh is removed.";

/* A number and its unit. */
static uint64_t parse_since(const struct argp_state *state, const char *text)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    uint64_t number = strtoull(text, &end, 10), now_ns = realtime_ns();

    for (size_t i = 0; isdigit((unsigned char)*text) && i < sizeof(units) / sizeof(units[0]); i++) {
        if (end[0] != units[i].unit || end[1] != '\0' || number > SINCE_MAX_S / units[i].seconds)
            continue;
        uint64_t ago_ns = number * units[i].seconds * 1000000000u;
        return ago_ns < now_ns ? now_ns - ago_ns : 1;
    }
    refuse(state, "--since '%s' is no time such as 90s, 5m, 2h or 1d, up to a year", text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case 'f':
        to->follow = true;
        return 0;
    case KEY_SINCE:
        to->since_ns = parse_since(state, arg);
        return 0;
    case KEY_ID:
        to->id = arg;
        return 0;
    case KEY_NAME:
        to->name = arg;
        return 0;
    case ARGP_KEY_ARG:
        return parse_nothing(key, arg, state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool is_wanted(const struct arguments *given, const commy_event_t *event)
{
    if (event->time_ns < given->since_ns)
        return false;
    if (given->id != NULL && !event_is_of_service(event, given->id))
        return false;
    return given->name == NULL || event_text_is(event->name, event->name_cut, given->name);
}

/* ------------------------------------------------------------------- looking */

struct timeline {
    const commy_mesh_t *mesh;
    const struct arguments *given;
    commy_event_t events[COMMY_LIMIT_EVENTS];
    size_t count;
    uint64_t printed[COMMY_LIMIT_EVENTS]; /* numbers of the events of the last look, in order */
    size_t printed_count;
    struct json_list list;
};

static int by_number(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return (one > other) - (one < other);
}

static void print_event(struct timeline *timeline, const commy_event_t *event)
{
    if (!tool.json) {
        event_print(event);
    } else if (timeline->given->follow) {
        char *line = json_line(event_json(event));
        puts(line);
        free(line);
    } else {
        json_list_add(&timeline->list, event_json(event));
    }
}

/* Prints what was not there at the last look. */
static commy_status_t look(struct timeline *timeline)
{
    commy_status_t status = commy_mesh_events(timeline->mesh, timeline->events, COMMY_LIMIT_EVENTS, &timeline->count);

    if (status != COMMY_STATUS_SUCCESS)
        return status;
    for (size_t i = 0; i < timeline->count; i++) {
        const commy_event_t *event = &timeline->events[i];
        if (!is_wanted(timeline->given, event) || bsearch(&event->sequence, timeline->printed, timeline->printed_count,
                                                          sizeof(timeline->printed[0]), by_number) != NULL)
            continue;
        print_event(timeline, event);
    }
    for (size_t i = 0; i < timeline->count; i++)
        timeline->printed[i] = timeline->events[i].sequence;
    timeline->printed_count = timeline->count;
    qsort(timeline->printed, timeline->printed_count, sizeof(timeline->printed[0]), by_number);
    return COMMY_STATUS_SUCCESS;
}

static int print_once(struct timeline *timeline)
{
    if (tool.json)
        json_list_open(&timeline->list);
    commy_status_t status = look(timeline);
    if (tool.json)
        json_list_close(&timeline->list);
    return status == COMMY_STATUS_SUCCESS ? EXIT_YES : complain_status(status);
}

static int follow(struct timeline *timeline)
{
    struct region_file file;
    uint64_t version = 0;
    commy_status_t status = COMMY_STATUS_SUCCESS;

    stopping_prepare();
    signal(SIGPIPE, SIG_IGN);
    region_file_note(&file, timeline->mesh);
    status = commy_mesh_wait(timeline->mesh, NULL, 0, 0, &version);
    while (may_wait_again(status)) {
        status = look(timeline);
        if (status != COMMY_STATUS_SUCCESS)
            break;
        int code = finish_output(EXIT_YES);
        if (code != EXIT_YES || stopping() || !output_is_read())
            return code;
        status = commy_mesh_wait(timeline->mesh, NULL, version, LOOK_AGAIN_MS, &version);
        if (may_wait_again(status) && !region_file_same(&file))
            return complain("mesh %s is gone: %s was removed or replaced", mesh_name(), file.path);
    }
    complain_status(status);
    return EXIT_ERROR;
}

int cmd_timeline(int argc, char **argv)
{
    struct argp argp = {options, parse, NULL, doc, common_children, NULL, NULL};
    struct arguments given = {0};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    int code = EXIT_YES;
    if (given.follow) {
        commy_status_t status = attach_as_allowed(&mesh);
        code = status == COMMY_STATUS_SUCCESS ? EXIT_YES : complain_status(status);
    } else {
        code = open_mesh(COMMY_OPEN_READ_ONLY, &mesh);
    }
    if (code != EXIT_YES)
        return code;
    struct timeline *timeline = must_have(calloc(1, sizeof(*timeline)));
    timeline->mesh = mesh;
    timeline->given = &given;
    code = given.follow ? follow(timeline) : print_once(timeline);
    free(timeline);
    commy_mesh_detach(&mesh);
    return code;
}
