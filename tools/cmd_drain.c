/*
 * cmd_drain.c - `commy drain`: takes a service out of selection, and waits, if asked to, until its last request is done.
 *
 * A client may have selected the service right before and not begun its request: so nothing in flight is believed when it
 * is seen twice, a look apart.
 */
#include <string.h>
#include <time.h>

#include "commands.h"
#include "common.h"
#include "service.h"
#include "text.h"

#define LOOK_AGAIN_MS 25
#define LOOKS 2

enum { KEY_WAIT = KEY_FIRST, KEY_TIMEOUT };

struct arguments {
    const char *id;
    bool wait;
    uint64_t deadline_ns, timeout_ms; /* deadline UINT64_MAX: none */
};

static const struct argp_option options[] = {
    {"wait", KEY_WAIT, NULL, 0, "Return when its last request in flight is done", 0},
    {"timeout", KEY_TIMEOUT, "MS", 0, "Wait for so many milliseconds at most; means --wait", 0},
    {0},
};

static const char doc[] =
    "Take a service out of selection: it gets no new requests, and lookups still find it.\v"
    "Example:\n"
    "  commy drain web-1 --timeout 30000 && systemctl restart web-1\n"
    "  commy set web-1 --enabled\n\n"
    "Exits with 0; 1 where there is no such service, or somebody put it back into selection during "
    "the wait; 124 where the time has passed. It stays drained until `commy set ID --enabled'.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_WAIT:
        to->wait = true;
        return 0;
    case KEY_TIMEOUT:
        to->wait = true;
        to->timeout_ms = parse_number(state, "--timeout", arg, 0, COMMY_LIMIT_TTL_MS);
        to->deadline_ns = monotonic_ns() + to->timeout_ms * 1000000u;
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

static void pause_until(uint64_t deadline_ns)
{
    uint64_t now = monotonic_ns(), left_ns = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec time = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};

    if (left_ns < (uint64_t)time.tv_nsec)
        time.tv_nsec = (long)left_ns;
    nanosleep(&time, NULL);
}

/* Service as it was found; gone where that registration is not there any more, which drains it too. */
static commy_status_t look(const commy_mesh_t *mesh, const commy_view_t *view, struct service *service, bool *gone)
{
    commy_status_t status = service_read(mesh, view, service);

    *gone = status == COMMY_STATUS_NOT_FOUND;
    return *gone ? COMMY_STATUS_SUCCESS : status;
}

static int wait_until_idle(const commy_mesh_t *mesh, const commy_view_t *view, const struct arguments *given)
{
    struct service service;
    int idle = 0;
    bool gone;

    for (;;) {
        bool late = monotonic_ns() >= given->deadline_ns;
        commy_status_t status = look(mesh, view, &service, &gone);
        if (status != COMMY_STATUS_SUCCESS)
            return complain_status(status);
        if (gone)
            return EXIT_YES;
        if (service.info.admin == COMMY_ADMIN_ENABLED) {
            complain("service id '%s' was enabled again during the wait; drain it anew", given->id);
            return EXIT_NO;
        }
        idle = service.in_flight == 0 ? idle + 1 : 0;
        if (idle == LOOKS)
            return EXIT_YES;
        if (late && idle == 0) {
            complain("%ju requests to service id '%s' are in flight after %ju ms; it stays drained until `commy set %s "
                     "--enabled'",
                     (uintmax_t)service.in_flight, given->id, (uintmax_t)given->timeout_ms, given->id);
            return EXIT_TIMED_OUT;
        }
        pause_until(late ? UINT64_MAX : given->deadline_ns); /* idle at the end: the second look decides */
    }
}

static int drain(commy_mesh_t *mesh, const struct arguments *given)
{
    commy_view_t view;
    commy_status_t status = commy_service_view(mesh, given->id, &view);

    if (status == COMMY_STATUS_SUCCESS)
        status = commy_service_set_admin(mesh, given->id, COMMY_ADMIN_DRAINING);
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    return given->wait ? wait_until_idle(mesh, &view, given) : EXIT_YES;
}

int cmd_drain(int argc, char **argv)
{
    struct argp argp = {options, parse, "ID", doc, common_children, NULL, NULL};
    struct arguments given = {.deadline_ns = UINT64_MAX};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    int code = open_mesh(COMMY_OPEN_MUST_EXIST, &mesh);
    if (code != EXIT_YES)
        return code;
    code = drain(mesh, &given);
    commy_mesh_detach(&mesh);
    return code;
}
