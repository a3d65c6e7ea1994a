/*
 * cmd_reap.c - `commy reap`: gives back what the dead left. Lookups are right without it.
 */
#include "commands.h"
#include "common.h"
#include "json.h"

static const char doc[] = "Give back what the dead left: services, half-made records, places of participants, expired "
                          "detached services. Participants do this all the time; lookups are right without it.\v"
                          "Example:\n"
                          "  commy reap";

static void print_report(const commy_reap_report_t *report)
{
    if (!tool.json) {
        printf("given back: %u participants, %u services, %u groups, %u blocks\n", report->participants,
               report->services, report->groups, report->blocks);
        return;
    }
    json_t *object = must_have(json_object());
    json_put_number(object, "participants", report->participants);
    json_put_number(object, "services", report->services);
    json_put_number(object, "groups", report->groups);
    json_put_number(object, "blocks", report->blocks);
    json_print(object);
}

int cmd_reap(int argc, char **argv)
{
    struct argp argp = {NULL, parse_nothing, NULL, doc, common_children, NULL, NULL};
    commy_reap_report_t report = {0};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    int code = open_mesh(COMMY_OPEN_MUST_EXIST, &mesh);
    if (code != EXIT_YES)
        return code;

    commy_status_t status = commy_mesh_reap(mesh, &report);
    if (status == COMMY_STATUS_SUCCESS)
        print_report(&report);
    else
        code = complain_status(status);
    commy_mesh_detach(&mesh);
    return code;
}
