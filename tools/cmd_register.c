/*
 * cmd_register.c - `commy register`: registers a service and holds it until a signal comes, or leaves it to its TTL.
 */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "holding.h"
#include "service.h"
#include "service_options.h"
#include "stopping.h"

enum { KEY_DETACHED = KEY_FIRST };

struct arguments {
    struct service_options service;
    bool detached;
};

static const struct argp_option options[] = {
    {"detached", KEY_DETACHED, NULL, 0, "Return at once; the service lives until its --ttl passes without a heartbeat",
     2},
    {0},
};

static const char doc[] = "Register a service, and hold it until SIGINT, SIGTERM or SIGHUP comes. With --ttl its lease "
                          "is renewed meanwhile.\v"
                          "Example:\n"
                          "  commy register --name db --id db-1 --endpoint 127.0.0.1 --port 5432 &\n"
                          "  commy register --name job --id job-7 --endpoint unix:/run/7 \\\n"
                          "      --detached --ttl 60000\n\n"
                          "Exits with 0 after a signal, and with 1 where somebody else unregistered the service.";

static void require_all(const struct argp_state *state, const struct arguments *given)
{
    const commy_service_config_t *config = &given->service.config;

    if (config->service_id == NULL)
        refuse(state, "--id is missing: which instance is this?");
    if (given->detached && config->ttl_ms == 0)
        refuse(state, "--detached needs --ttl: nobody else would ever take the service away");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->service;
        return 0;
    case KEY_DETACHED:
        to->detached = true;
        to->service.config.flags |= COMMY_SERVICE_DETACHED;
        return 0;
    case ARGP_KEY_ARG:
        refuse(state, "'%s' is one argument too many; to run a program there is `commy run'", arg);
        return 0;
    case ARGP_KEY_END:
        service_options_complete(state, &to->service);
        require_all(state, to);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Says that the service is there, for scripts that wait for the line. */
static void announce(const commy_mesh_t *mesh, const char *id)
{
    struct service service;

    if (!tool.json)
        printf("registered %s\n", id);
    else if (service_find(mesh, id, &service) == COMMY_STATUS_SUCCESS)
        service_print(&service);
    fflush(stdout);
}

/* Sleeps until something may have happened to the service, or its lease is to be renewed. */
static bool pause_holding(const commy_mesh_t *mesh, const char *name, const struct holding *holding, uint64_t *version)
{
    int32_t pause_ms = (int32_t)(holding_pause_ns(holding) / 1000000u) + 1;

    return may_wait_again(commy_mesh_wait(mesh, name, *version, pause_ms, version));
}

static int hold(commy_mesh_t *mesh, const struct arguments *given, uint64_t reference)
{
    const commy_service_config_t *config = &given->service.config;
    struct holding holding;
    uint64_t version = 0;
    bool held = true;

    holding_start(&holding, mesh, config->service_id, reference, config->ttl_ms);
    while (held && !stopping())
        held = holding_look(&holding) && pause_holding(mesh, config->service_name, &holding, &version);
    if (!held)
        complain("service %s is no longer registered: %s", config->service_id, holding_lost(&holding));
    holding_end(&holding);
    return held ? EXIT_YES : EXIT_NO;
}

int cmd_register(int argc, char **argv)
{
    static const struct argp_child children[] = {SERVICE_CHILD, COMMON_CHILD, {0}};
    struct argp argp = {options, parse, NULL, doc, children, NULL, NULL};
    struct arguments given = {0};
    uint64_t reference;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    if (!given.detached)
        stopping_prepare();
    int code = open_mesh_as(given.service.node, &mesh);
    if (code != EXIT_YES)
        return code;

    commy_status_t status = service_options_register(mesh, &given.service, &reference);
    if (status != COMMY_STATUS_SUCCESS) {
        code = complain_status(status);
    } else {
        announce(mesh, given.service.config.service_id);
        if (!given.detached)
            code = hold(mesh, &given, reference);
    }
    commy_mesh_detach(&mesh);
    return code;
}
