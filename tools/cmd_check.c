/*
 * cmd_check.c - `commy check`: audits a region while others go on using it.
 */
#include <inttypes.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "text.h"

static const char doc[] = "Audit every structure of a region. Others may go on using it meanwhile.\v"
                          "Example:\n"
                          "  commy check && echo sound\n\n"
                          "Exits with 0 where nothing is wrong, 1 with findings, 2 where the region cannot be audited.";

static void print_finding(void *user, const char *where, const char *what)
{
    struct json_list *findings = user;

    if (tool.json) {
        json_t *object = must_have(json_object());
        json_put_text(object, "where", where);
        json_put_text(object, "what", what);
        json_list_add(findings, object);
        return;
    }
    print_text(stdout, where);
    fputs(": ", stdout);
    print_text(stdout, what);
    putchar('\n');
}

int cmd_check(int argc, char **argv)
{
    struct argp argp = {NULL, parse_nothing, NULL, doc, common_children, NULL, NULL};
    struct json_list findings;
    uint64_t count = 0;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    if (open_mesh(COMMY_OPEN_READ_ONLY, &mesh) != EXIT_YES)
        return EXIT_ERROR; /* also where there is no region: 1 means findings here */

    if (tool.json)
        json_list_open(&findings);
    commy_status_t status = commy_mesh_check(mesh, print_finding, &findings, &count);
    if (tool.json)
        json_list_close(&findings);
    else if (count != 0)
        printf("%" PRIu64 " %s\n", count, count == 1 ? "finding" : "findings");
    else if (status == COMMY_STATUS_SUCCESS)
        puts("nothing is wrong");

    int code = count != 0 ? EXIT_NO : EXIT_YES;
    if (count == 0 && status != COMMY_STATUS_SUCCESS) {
        complain_status(status);
        code = EXIT_ERROR;
    }
    commy_mesh_detach(&mesh);
    return code;
}
