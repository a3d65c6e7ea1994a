/*
 * cmd_unregister.c - `commy unregister`: takes a service out, whoever registered it.
 */
#include "commands.h"
#include "common.h"

static const char doc[] = "Unregister a service, whoever registered it.\v"
                          "Example:\n"
                          "  commy unregister web-1\n\n"
                          "Exits with 1 where there is no such service.";

int cmd_unregister(int argc, char **argv)
{
    struct argp argp = {NULL, parse_id, "ID", doc, common_children, NULL, NULL};
    const char *id = NULL;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &id);
    int code = open_mesh(COMMY_OPEN_MUST_EXIST, &mesh);
    if (code != EXIT_YES)
        return code;

    commy_status_t status = commy_service_unregister(mesh, id);
    if (status != COMMY_STATUS_SUCCESS)
        code = complain_status(status);
    commy_mesh_detach(&mesh);
    return code;
}
