/*
 * cmd_nodes.c - `commy nodes`: the participants, which are what owns services.
 */
#include <stdlib.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "table.h"
#include "text.h"

static const char doc[] = "List the participants of the mesh: programs that joined it, and so may own services.\v"
                          "Example:\n"
                          "  commy nodes";

static void print_table(const commy_participant_t *nodes, size_t count)
{
    static const struct column columns[] = {
        {"NODE", COLUMN_TEXT},  {"PID", COLUMN_NUMBER},  {"UID", COLUMN_NUMBER},        {"SERVICES", COLUMN_NUMBER},
        {"STATE", COLUMN_TEXT}, {"PORT", COLUMN_NUMBER}, {"JOINED", COLUMN_EXTRA_TEXT},
    };
    struct table *table = table_open(columns, sizeof(columns) / sizeof(columns[0]));

    for (size_t i = 0; i < count; i++) {
        const commy_participant_t *node = &nodes[i];
        char pid[16], uid[16], services[16], port[8], joined[TIME_TEXT_BYTES];
        snprintf(pid, sizeof(pid), "%u", node->pid);
        snprintf(uid, sizeof(uid), "%u", node->uid);
        snprintf(services, sizeof(services), "%u", node->services);
        snprintf(port, sizeof(port), "%u", node->listen_port);
        table_row(table, (const char *[]){node->node_id, pid, uid, services, node->alive ? "alive" : "dead",
                                          node->listen_port != 0 ? port : "", time_text(node->joined_at_ns, joined)});
        table_paint(table, 4, node->alive ? "green" : "red");
    }
    table_close(&table);
}

static void print_json(const commy_participant_t *nodes, size_t count)
{
    struct json_list list;

    json_list_open(&list);
    for (size_t i = 0; i < count; i++) {
        json_t *object = must_have(json_object());
        json_put_text(object, "node", nodes[i].node_id);
        json_put_number(object, "pid", nodes[i].pid);
        json_put_number(object, "uid", nodes[i].uid);
        json_put_number(object, "slot", nodes[i].slot);
        json_put_number(object, "services", nodes[i].services);
        json_put(object, "alive", json_boolean(nodes[i].alive));
        json_put_number(object, "listen_port", nodes[i].listen_port);
        json_put_time(object, "joined_at", nodes[i].joined_at_ns);
        json_list_add(&list, object);
    }
    json_list_close(&list);
}

int cmd_nodes(int argc, char **argv)
{
    struct argp argp = {NULL, parse_nothing, NULL, doc, common_children, NULL, NULL};
    commy_participant_t *nodes = must_have(calloc(COMMY_LIMIT_PARTICIPANTS, sizeof(*nodes)));
    size_t count = 0;
    commy_mesh_t *mesh = NULL;

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    int code = open_mesh(COMMY_OPEN_READ_ONLY, &mesh);
    if (code != EXIT_YES)
        goto out;

    commy_status_t status = commy_mesh_participants(mesh, nodes, COMMY_LIMIT_PARTICIPANTS, &count);
    if (status != COMMY_STATUS_SUCCESS) {
        code = complain_status(status);
        goto out;
    }
    if (count > COMMY_LIMIT_PARTICIPANTS)
        count = COMMY_LIMIT_PARTICIPANTS;
    if (tool.json)
        print_json(nodes, count);
    else
        print_table(nodes, count);
out:
    commy_mesh_detach(&mesh);
    free(nodes);
    return code;
}
