/*
 * cmd_heartbeat.c - `commy heartbeat`: renews the lease of a service that has a TTL.
 */
#include "commands.h"
#include "common.h"

static const char doc[] = "Renew the lease of a service: it expires its TTL after this. A service without a TTL is "
                          "left as it is.\v"
                          "Example:\n"
                          "  while sleep 5; do commy heartbeat backup-1 || break; done\n\n"
                          "Exits with 1 where there is no such service, also when it has expired.";

int cmd_heartbeat(int argc, char **argv)
{
    struct argp argp = {NULL, parse_id, "ID", doc, common_children, NULL, NULL};
    const char *id = NULL;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &id);
    int code = open_mesh(COMMY_OPEN_MUST_EXIST, &mesh);
    if (code != EXIT_YES)
        return code;

    commy_status_t status = commy_service_heartbeat(mesh, id);
    if (status != COMMY_STATUS_SUCCESS)
        code = complain_status(status);
    commy_mesh_detach(&mesh);
    return code;
}
