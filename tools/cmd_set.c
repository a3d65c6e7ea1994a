/*
 * cmd_set.c - `commy set`: changes what may change about a live service.
 *
 * The command line is checked before the first change. The changes themselves are one after another: each is seen by
 * others as soon as it is made, and a failure of one leaves those before it in place.
 */
#include "commands.h"
#include "common.h"
#include "service.h"
#include "service_options.h"

enum { KEY_WEIGHT = KEY_FIRST, KEY_META, KEY_HEALTH, KEY_ADMIN, KEY_ENABLED, KEY_DRAINING, KEY_MAINTENANCE };

_Static_assert(COMMY_ADMIN_DRAINING == COMMY_ADMIN_ENABLED + 1 && COMMY_ADMIN_MAINTENANCE == COMMY_ADMIN_ENABLED + 2,
               "keys in their order");

struct arguments {
    const char *id, *metadata;
    int64_t weight;        /* -1: leave it */
    int32_t health, admin; /* -1: leave it */
};

static const struct argp_option options[] = {
    {"weight", KEY_WEIGHT, "WEIGHT", 0, "Share of the load, 0 (never selected by weight) to 65535", 0},
    {"meta", KEY_META, "JSON", 0, "Metadata; an empty text takes it away", 0},
    {"health", KEY_HEALTH, "HEALTH", 0, "unknown, healthy, unhealthy or degraded", 0},
    {"admin", KEY_ADMIN, "STATE", 0, "enabled, draining or maintenance", 0},
    {"enabled", KEY_ENABLED, NULL, 0, "The same as --admin enabled", 0},
    {"draining", KEY_DRAINING, NULL, 0, "The same as --admin draining; see `commy drain', which can wait", 0},
    {"maintenance", KEY_MAINTENANCE, NULL, 0, "The same as --admin maintenance", 0},
    {0},
};

static const char doc[] = "Change what may change about a service while it is registered.\v"
                          "Example:\n"
                          "  commy set web-1 --weight 10 --meta '{\"build\": 42}'\n"
                          "  commy set web-1 --maintenance\n\n"
                          "Exits with 1 where there is no such service.";

static int32_t parse_word(const struct argp_state *state, const char *option, const char *words, int32_t number,
                          const char *text)
{
    if (number < 0)
        refuse(state, "%s '%s' is none of %s", option, text, words);
    return number;
}

static void require_a_change(const struct argp_state *state, const struct arguments *given)
{
    if (given->id == NULL)
        refuse(state, "which service? give its id");
    if (given->weight < 0 && given->metadata == NULL && given->health < 0 && given->admin < 0)
        refuse(state,
               "nothing to set: give --weight, --meta, --health, --admin, --enabled, --draining or --maintenance");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_WEIGHT:
        to->weight = (int64_t)parse_number(state, "--weight", arg, 0, COMMY_LIMIT_WEIGHT);
        return 0;
    case KEY_META:
        to->metadata = parse_metadata(state, arg);
        return 0;
    case KEY_HEALTH:
        to->health = parse_word(state, "--health", "unknown, healthy, unhealthy and degraded", health_number(arg), arg);
        return 0;
    case KEY_ADMIN:
        to->admin = parse_word(state, "--admin", "enabled, draining and maintenance", admin_number(arg), arg);
        return 0;
    case KEY_ENABLED:
    case KEY_DRAINING:
    case KEY_MAINTENANCE:
        to->admin = COMMY_ADMIN_ENABLED + (key - KEY_ENABLED);
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->id, arg);
    case ARGP_KEY_END:
        require_a_change(state, to);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static commy_status_t apply(commy_mesh_t *mesh, const struct arguments *given)
{
    commy_status_t status = COMMY_STATUS_SUCCESS;

    if (given->metadata != NULL) /* first: the only change that may find no room */
        status = commy_service_set_metadata(mesh, given->id, given->metadata);
    if (status == COMMY_STATUS_SUCCESS && given->weight >= 0)
        status = commy_service_set_weight(mesh, given->id, (uint32_t)given->weight);
    if (status == COMMY_STATUS_SUCCESS && given->health >= 0)
        status = commy_service_set_health(mesh, given->id, given->health);
    if (status == COMMY_STATUS_SUCCESS && given->admin >= 0)
        status = commy_service_set_admin(mesh, given->id, given->admin);
    return status;
}

int cmd_set(int argc, char **argv)
{
    struct argp argp = {options, parse, "ID", doc, common_children, NULL, NULL};
    struct arguments given = {.weight = -1, .health = -1, .admin = -1};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    int code = open_mesh(COMMY_OPEN_MUST_EXIST, &mesh);
    if (code != EXIT_YES)
        return code;

    commy_status_t status = apply(mesh, &given);
    if (status != COMMY_STATUS_SUCCESS)
        code = complain_status(status);
    commy_mesh_detach(&mesh);
    return code;
}
