/*
 * cmd_ls.c - `commy ls`: lists services, all or those of one name, as they come out of the region: neither the table
 * nor the JSON is held in memory as a whole.
 */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "service.h"
#include "table.h"
#include "text.h"

enum { KEY_TAG = KEY_FIRST, KEY_ZONE, KEY_VERSION, KEY_HEALTHY, KEY_NODE };

struct arguments {
    const char *name, *zone, *version, *node;
    const char *tags[COMMY_LIMIT_TAGS];
    uint32_t tag_count;
    bool healthy;
};

static const struct argp_option options[] = {
    {"tag", KEY_TAG, "TAG", 0, "Only those with this tag; given again: with all of them", 0},
    {"zone", KEY_ZONE, "ZONE", 0, "Only those of this zone", 0},
    {"version", KEY_VERSION, "VERSION", 0, "Only those of this version", 0},
    {"healthy", KEY_HEALTHY, NULL, 0, "Only healthy and degraded ones", 0},
    {"node", KEY_NODE, "NODE", 0, "Only those registered by this participant", 0},
    {0},
};

static const char doc[] = "List services: all, or the instances of one name.\v"
                          "Example:\n"
                          "  commy ls web --healthy --zone eu-1\n"
                          "  commy ls --json | jq -r '.[].id'\n\n"
                          "Exits with 1 where NAME is given and nothing is listed.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_TAG:
        if (to->tag_count == COMMY_LIMIT_TAGS)
            refuse(state, "--tag '%s' is one too many: a service has up to %u tags", arg, COMMY_LIMIT_TAGS);
        to->tags[to->tag_count++] = arg;
        return 0;
    case KEY_ZONE:
        to->zone = arg;
        return 0;
    case KEY_VERSION:
        to->version = arg;
        return 0;
    case KEY_HEALTHY:
        to->healthy = true;
        return 0;
    case KEY_NODE:
        to->node = arg;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->name, arg);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool has_tag(const commy_service_info_t *info, const char *tag)
{
    for (uint32_t i = 0; i < info->tag_count && i < COMMY_LIMIT_TAGS; i++)
        if (strcmp(info->tags[i], tag) == 0)
            return true;
    return false;
}

static bool differs(const char *wanted, const char *actual)
{
    return wanted != NULL && strcmp(wanted, actual) != 0;
}

static bool wanted(const struct arguments *given, const commy_service_info_t *info)
{
    if (differs(given->zone, info->zone) || differs(given->version, info->version) ||
        differs(given->node, info->node_id))
        return false;
    if (given->healthy && !is_healthy(info))
        return false;
    for (uint32_t i = 0; i < given->tag_count; i++)
        if (!has_tag(info, given->tags[i]))
            return false;
    return true;
}

/* Where the list goes: rows of a table or elements of an array. */
struct listing {
    struct table *table;
    struct json_list json;
    uint64_t count;
};

static void listing_open(struct listing *listing)
{
    static const struct column columns[] = {
        {"NAME", COLUMN_TEXT},
        {"ID", COLUMN_TEXT},
        {"ADDRESS", COLUMN_TEXT},
        {"STATUS", COLUMN_TEXT},
        {"WEIGHT", COLUMN_EXTRA_NUMBER},
        {"VERSION", COLUMN_EXTRA_TEXT},
        {"ZONE", COLUMN_EXTRA_TEXT},
        {"NODE", COLUMN_EXTRA_TEXT},
        {"IN FLIGHT", COLUMN_EXTRA_NUMBER},
    };

    listing->count = 0;
    if (tool.json) {
        json_list_open(&listing->json);
        return;
    }
    listing->table = table_open(columns, sizeof(columns) / sizeof(columns[0]));
    table_sort(listing->table, 0, 1);
}

static void listing_add(struct listing *listing, const struct service *service)
{
    const commy_service_info_t *info = &service->info;
    char address[ADDRESS_TEXT_BYTES], state[STATE_TEXT_BYTES], shown[STATE_TEXT_BYTES + 16], weight[16], in_flight[24];

    listing->count++;
    if (tool.json) {
        json_list_add(&listing->json, service_json(service));
        return;
    }
    snprintf(weight, sizeof(weight), "%u", info->weight);
    snprintf(in_flight, sizeof(in_flight), "%ju", (uintmax_t)service->in_flight);
    state_text(info, state);
    if (service->breaker.state != COMMY_BREAKER_CLOSED)
        snprintf(shown, sizeof(shown), "%s, %s", state, breaker_name(service->breaker.state));
    else
        snprintf(shown, sizeof(shown), "%s", state);
    table_row(listing->table, (const char *[]){info->name, info->id, address_text(info->endpoint, info->port, address),
                                               shown, weight, info->version, info->zone, info->node_id, in_flight});
    table_paint(listing->table, 3, service->breaker.state == COMMY_BREAKER_OPEN ? "red" : state_color(info));
}

static void listing_close(struct listing *listing)
{
    if (tool.json)
        json_list_close(&listing->json);
    else
        table_close(&listing->table);
}

static commy_status_t list(const commy_mesh_t *mesh, const struct arguments *given, struct listing *listing)
{
    commy_iterator_t iterator;
    commy_view_t view;
    struct service service;
    commy_status_t status =
        given->name != NULL ? commy_iterate_name(mesh, given->name, &iterator) : commy_iterate_all(mesh, &iterator);

    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        status = service_read(mesh, &view, &service);
        if (status == COMMY_STATUS_SUCCESS && wanted(given, &service.info))
            listing_add(listing, &service);
        if (status == COMMY_STATUS_NOT_FOUND) /* gone since the iterator met it */
            status = COMMY_STATUS_SUCCESS;
    }
    return status;
}

/* An answer, not an error: programs have it from the exit code and the empty array. */
static int say_none(const struct arguments *given)
{
    bool conditions = given->tag_count != 0 || given->zone || given->version || given->node || given->healthy;

    return tool.json ? EXIT_NO : complain_none(given->name, conditions);
}

int cmd_ls(int argc, char **argv)
{
    struct argp argp = {options, parse, "[NAME]", doc, common_children, NULL, NULL};
    struct arguments given = {0};
    struct listing listing = {0};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    int code = open_mesh(COMMY_OPEN_READ_ONLY, &mesh);
    if (code != EXIT_YES)
        return code;

    listing_open(&listing);
    commy_status_t status = list(mesh, &given, &listing);
    listing_close(&listing);
    if (status != COMMY_STATUS_SUCCESS)
        code = complain_status(status);
    else if (given.name != NULL && listing.count == 0)
        code = say_none(&given);
    commy_mesh_detach(&mesh);
    return code;
}
