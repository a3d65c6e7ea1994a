/*
 * cmd_top.c - `commy top`: services and their load, as they change.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "common.h"
#include "regions.h"
#include "stopping.h"
#include "text.h"
#include "top.h"

#ifdef COMMY_HAVE_CURSES
#include <curses.h>
#endif

enum { KEY_INTERVAL = KEY_FIRST, KEY_ONCE };

#define INTERVAL_MS 1000u

struct arguments {
    const char *name;
    uint32_t interval_ms;
    bool once;
};

static const struct argp_option options[] = {
    {"interval", KEY_INTERVAL, "MS", 0, "Look every so many milliseconds, 100 to 60000 (default: 1000)", 0},
    {"once", KEY_ONCE, NULL, 0, "Look twice, print, and exit, as where the output is no terminal", 0},
    {0},
};

static const char doc[] =
    "Show services and their load as it changes, the busiest first. Rates and shares of errors are those between two "
    "looks; percentiles are of all requests of a service's life.\v"
    "Keys: arrows, PgUp, PgDn, Home and End select; s sorts by something else; / filters; d drains what is selected, "
    "or takes it back; Enter shows all about it; ? helps; q quits.\n\n"
    "Example:\n"
    "  commy top web\n"
    "  commy top --json --interval 200 | jq '.services[] | select(.failed_share > 0.01) | .id'\n\n"
    "Where the output is no terminal, or with --once or --json, it prints what it saw once; exits with 1 where NAME is "
    "given and has no instance then.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_INTERVAL:
        to->interval_ms = (uint32_t)parse_number(state, "--interval", arg, 100, 60000);
        return 0;
    case KEY_ONCE:
        to->once = true;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->name, arg);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int print_once(struct top_model *model, struct top_view *view)
{
    struct timespec interval = {.tv_sec = view->interval_ms / 1000, .tv_nsec = view->interval_ms % 1000 * 1000000L};
    commy_status_t status = top_look(model);

    if (status == COMMY_STATUS_SUCCESS) {
        while (nanosleep(&interval, &interval) != 0 && errno == EINTR)
            ;
        status = top_look(model);
    }
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    top_print(model, view);
    if (model->name == NULL || model->count != 0)
        return EXIT_YES;
    return tool.json ? EXIT_NO : complain_none(model->name, false);
}

#ifdef COMMY_HAVE_CURSES
/* What ended it is said when the screen is closed. */
static int run(struct top_model *model, struct top_view *view, commy_mesh_t *mesh)
{
    struct region_file file;
    uint64_t look_at_ns = 0;
    commy_status_t status = COMMY_STATUS_SUCCESS;
    bool same = true;

    region_file_note(&file, mesh);
    if (!top_screen_open())
        return EXIT_ERROR;
    stopping_prepare();
    /* A terminal that was hung up is none any more. */
    while (!view->quit && !stopping() && same && status == COMMY_STATUS_SUCCESS && isatty(STDIN_FILENO)) {
        uint64_t now_ns = monotonic_ns();
        if (now_ns >= look_at_ns) {
            status = top_look(model);
            look_at_ns = now_ns + view->interval_ms * 1000000ull;
            same = region_file_same(&file);
        }
        top_view_update(view, model);
        top_draw(model, view);
        now_ns = monotonic_ns();
        timeout(now_ns < look_at_ns ? (int)((look_at_ns - now_ns) / 1000000) + 1 : 0);
        int key = getch();
        if (key != ERR)
            top_key(view, mesh, key);
    }
    top_screen_close();
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status) == EXIT_YES ? EXIT_YES : EXIT_ERROR;
    return same ? EXIT_YES : complain("mesh %s is gone: %s was removed or replaced", mesh_name(), file.path);
}
#else
static int run(struct top_model *model, struct top_view *view, commy_mesh_t *mesh)
{
    (void)mesh;
    complain("this commy was built without ncurses, so it shows everything once; build it with libncurses-dev, or use "
             "`watch commy top --once'");
    return print_once(model, view);
}
#endif

int cmd_top(int argc, char **argv)
{
    struct argp argp = {options, parse, "[NAME]", doc, common_children, NULL, NULL};
    struct arguments given = {.interval_ms = INTERVAL_MS};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    commy_status_t status = attach_as_allowed(&mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    struct top_model model = {.mesh = mesh, .name = given.name};
    struct top_view view = {.interval_ms = given.interval_ms};
    bool once = given.once || tool.json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    int code = once ? print_once(&model, &view) : run(&model, &view, mesh);
    top_view_free(&view);
    top_model_free(&model);
    commy_mesh_detach(&mesh);
    return code;
}
