/*
 * cmd_get.c - `commy get`: all about one service.
 */
#include "commands.h"
#include "common.h"
#include "service.h"

static const char doc[] = "Show all about one service.\v"
                          "Example:\n"
                          "  commy get web-1 --json | jq -r .endpoint\n\n"
                          "Exits with 1 where there is no such service.";

int cmd_get(int argc, char **argv)
{
    struct argp argp = {NULL, parse_id, "ID", doc, common_children, NULL, NULL};
    const char *id = NULL;
    struct service service;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &id);
    int code = open_mesh(COMMY_OPEN_READ_ONLY, &mesh);
    if (code != EXIT_YES)
        return code;

    commy_status_t status = service_find(mesh, id, &service);
    if (status == COMMY_STATUS_SUCCESS)
        service_print(&service);
    else
        code = complain_status(status);
    commy_mesh_detach(&mesh);
    return code;
}
