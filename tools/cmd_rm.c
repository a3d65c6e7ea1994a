/*
 * cmd_rm.c - `commy rm`: removes a region, and tells everybody attached to it.
 */
#include "commands.h"
#include "common.h"

enum { KEY_FORCE = KEY_FIRST };

struct arguments {
    const char *mesh;
    bool force;
};

static const struct argp_option options[] = {
    {"force", KEY_FORCE, NULL, 0, "Remove it even while participants live", 0},
    {0},
};

static const char doc[] = "Remove a mesh: mark it removed for everybody who is attached, then unlink its file. Refused "
                          "while participants live.\v"
                          "Example:\n"
                          "  commy rm games";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_FORCE:
        to->force = true;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->mesh, arg);
    case ARGP_KEY_END:
        if (to->mesh == NULL && tool.mesh == NULL)
            refuse(state, "which mesh? name it, as in `commy rm default'");
        choose_mesh(state, to->mesh);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_rm(int argc, char **argv)
{
    struct argp argp = {options, parse, "MESH", doc, common_children, NULL, NULL};
    struct arguments given = {0};

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    commy_open_options_t which = mesh_options(0);
    commy_status_t status = commy_mesh_remove(&which, given.force);
    if (status == COMMY_STATUS_SUCCESS)
        return EXIT_YES;
    return status == COMMY_STATUS_MESH_NOT_FOUND ? complain_no_mesh() : complain_status(status);
}
