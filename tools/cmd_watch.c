/*
 * cmd_watch.c - `commy watch`: a line for each change, or a run of a command (watch_command.c), until told to stop.
 *
 * Driven by the region's versions. Some changes happen without anybody writing: a lease runs out, an owner dies while
 * no other participant is there to reap. So it looks again without being woken, too: every 100 ms, or so seldom that
 * looking takes no more than a twentieth of the time. What came and went between two looks is not seen.
 */
#include <signal.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "regions.h"
#include "snapshot.h"
#include "stopping.h"
#include "text.h"
#include "watch_command.h"

#define LOOK_AGAIN_MS 100
#define SHARE_OF_TIME 20

static const char doc[] =
    "Print a line for each change: added, removed, changed. Services that are there already come first, as added. A "
    "service that is registered anew under its id is removed and added. With a command: run it now and after each "
    "change, with the services as a JSON array on its standard input; one run at a time, after which the next one gets "
    "the last state.\v"
    "Example:\n"
    "  commy watch web\n"
    "  commy watch --json | jq -r 'select(.event == \"removed\") | .id'\n"
    "  commy watch web -- sh -c 'jq -r \".[].port\" > ports && nginx -s reload'\n\n"
    "Exits with 0 when it is told to stop (SIGINT, SIGTERM, SIGHUP; the command is told, too, and killed by a second "
    "signal) or nobody reads its output any more, with 2 when the mesh is removed; 126 where the command cannot be "
    "run, "
    "127 where it is not found. What the command ends with is said where it is not 0, and ends nothing.";

struct arguments {
    const char *name;
    char **command;
};

static error_t take_word(struct argp_state *state, struct arguments *to, char *arg)
{
    if (!behind_dashes(state))
        return take_argument(state, &to->name, arg);
    to->command = &state->argv[state->next - 1];
    state->next = state->argc;
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    return key == ARGP_KEY_ARG ? take_word(state, state->input, arg) : ARGP_ERR_UNKNOWN;
}

static void print_change(const char *event, const char *when, const char *text)
{
    if (tool.json) {
        /* The text is an object that is not empty: the event goes in front of its first key. */
        printf("{\"event\":\"%s\",\"time\":\"%s\",%s\n", event, when, text + 1);
        return;
    }
    printf("%s %-7s ", when, event);
    print_text(stdout, text);
    putchar('\n');
}

/* Removals first, so that an id that was registered anew goes before it comes. */
static void print_changes(const struct snapshot *before, const struct snapshot *now)
{
    static const char *const events[] = {[ADDED] = "added", [CHANGED] = "changed"};
    char when[TIME_TEXT_BYTES];

    time_text(realtime_ns(), when);
    for (size_t i = 0; i < before->count; i++)
        if (before->sightings[i].text != NULL)
            print_change("removed", when, before->sightings[i].text);
    for (size_t i = 0; i < now->count; i++)
        if (now->sightings[i].change != UNCHANGED)
            print_change(events[now->sightings[i].change], when, now->sightings[i].text);
}

struct watch {
    const commy_mesh_t *mesh;
    const char *name;
    struct region_file file;
    struct snapshot seen;
    uint64_t version, look_again_ns;
};

static commy_status_t look(struct watch *watch)
{
    struct snapshot now;
    uint64_t started_ns = monotonic_ns();
    commy_status_t status = snapshot_take(watch->mesh, watch->name, &watch->seen, &now);

    if (status == COMMY_STATUS_SUCCESS) {
        print_changes(&watch->seen, &now);
        snapshot_free(&watch->seen);
        watch->seen = now;
    } else {
        snapshot_free(&now);
    }
    uint64_t ended_ns = monotonic_ns();
    watch->look_again_ns = ended_ns + (ended_ns - started_ns) * SHARE_OF_TIME;
    return status;
}

/* Returns SUCCESS when another look is due, INTERRUPTED when it is time to go. */
static commy_status_t pause_watching(struct watch *watch)
{
    commy_status_t status;

    do {
        if (stopping() || !output_is_read())
            return COMMY_STATUS_INTERRUPTED;
        status = commy_mesh_wait(watch->mesh, watch->name, watch->version, LOOK_AGAIN_MS, &watch->version);
        if (status == COMMY_STATUS_SUCCESS || !may_wait_again(status))
            return status;
    } while (monotonic_ns() < watch->look_again_ns);
    return COMMY_STATUS_SUCCESS;
}

static int watch_changes(struct watch *watch)
{
    commy_status_t status = commy_mesh_wait(watch->mesh, watch->name, 0, 0, &watch->version);

    while (may_wait_again(status)) {
        status = look(watch);
        if (status != COMMY_STATUS_SUCCESS)
            break;
        int code = finish_output(EXIT_YES);
        if (code != EXIT_YES)
            return code;
        status = pause_watching(watch);
        if (status == COMMY_STATUS_INTERRUPTED)
            return EXIT_YES;
        if (status == COMMY_STATUS_SUCCESS && !region_file_same(&watch->file))
            return complain("mesh %s is gone: %s was removed or replaced", mesh_name(), watch->file.path);
    }
    complain_status(status);
    return EXIT_ERROR;
}

static int watch_lines(const commy_mesh_t *mesh, const char *name)
{
    struct watch watch = {.mesh = mesh, .name = name};

    stopping_prepare();
    signal(SIGPIPE, SIG_IGN);
    region_file_note(&watch.file, mesh);
    int code = watch_changes(&watch);
    snapshot_free(&watch.seen);
    return code;
}

int cmd_watch(int argc, char **argv)
{
    struct argp argp = {NULL, parse, "[NAME] [-- COMMAND [ARGUMENT...]]", doc, common_children, NULL, NULL};
    struct arguments given = {0};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &given);
    commy_status_t status = attach_as_allowed(&mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    int code = given.command != NULL ? watch_command(mesh, given.name, given.command) : watch_lines(mesh, given.name);
    commy_mesh_detach(&mesh);
    return code;
}
