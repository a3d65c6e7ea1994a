/*
 * cmd_stat.c - `commy stat`: counters of the mesh, of the instances of a name, or of one service.
 */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "service.h"
#include "table.h"
#include "text.h"

enum { KEY_ID = KEY_FIRST };

struct arguments {
    const char *name, *id;
};

static const struct argp_option options[] = {
    {"id", KEY_ID, "ID", 0, "Only this service", 0},
    {0},
};

static const char doc[] = "Show counters: of the mesh, of the instances of a name, or of one service.\v"
                          "Example:\n"
                          "  commy stat web\n"
                          "  commy stat --id web-1 --json | jq .failed_requests\n\n"
                          "Exits with 1 where NAME or ID is given and there is no such service.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_ID:
        to->id = arg;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->name, arg);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void add_requests(commy_mesh_stats_t *sum, const commy_service_stats_t *more)
{
    uint64_t requests = sum->total_requests + more->total_requests;

    if (requests != 0)
        sum->average_response_time_ms = (sum->average_response_time_ms * (double)sum->total_requests +
                                         more->average_response_time_ms * (double)more->total_requests) /
                                        (double)requests;
    sum->total_requests = requests;
    sum->successful_requests += more->successful_requests;
    sum->failed_requests += more->failed_requests;
}

/* One service more in the sum. A service that goes while it is being read counts for nothing. */
static commy_status_t add_service(const commy_mesh_t *mesh, const commy_service_info_t *info, commy_mesh_stats_t *sum)
{
    commy_service_stats_t counters;
    commy_status_t status = commy_service_stats(mesh, info->id, &counters);

    if (status != COMMY_STATUS_SUCCESS)
        return status;
    sum->total_services++;
    sum->healthy_services += is_healthy(info);
    sum->unhealthy_services += info->status == COMMY_HEALTH_UNHEALTHY;
    add_requests(sum, &counters);
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t sum_of_name(const commy_mesh_t *mesh, const char *name, commy_mesh_stats_t *sum)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_service_info_t info;
    commy_status_t status = commy_iterate_name(mesh, name, &iterator);

    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        status = commy_view_info(mesh, &view, &info);
        if (status == COMMY_STATUS_SUCCESS)
            status = add_service(mesh, &info, sum);
        if (status == COMMY_STATUS_NOT_FOUND)
            status = COMMY_STATUS_SUCCESS;
    }
    return status;
}

static commy_status_t sum_of_service(const commy_mesh_t *mesh, const struct arguments *given, commy_mesh_stats_t *sum)
{
    commy_service_info_t info;
    commy_status_t status = commy_service_get(mesh, given->id, &info);

    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (given->name != NULL && strcmp(given->name, info.name) != 0)
        return COMMY_STATUS_SUCCESS; /* nothing of that name has the id: the sum stays empty */
    return add_service(mesh, &info, sum);
}

static commy_status_t sum_up(const commy_mesh_t *mesh, const struct arguments *given, commy_mesh_stats_t *sum)
{
    if (given->id != NULL)
        return sum_of_service(mesh, given, sum);
    if (given->name != NULL)
        return sum_of_name(mesh, given->name, sum);
    return commy_mesh_stats(mesh, sum);
}

static void print_json(const commy_mesh_stats_t *sum, const commy_mesh_info_t *about, const struct arguments *given)
{
    json_t *object = must_have(json_object());

    json_put_text(object, "mesh", about->mesh);
    if (given->name != NULL)
        json_put_text(object, "name", given->name);
    if (given->id != NULL)
        json_put_text(object, "id", given->id);
    json_put_number(object, "total_services", sum->total_services);
    json_put_number(object, "healthy_services", sum->healthy_services);
    json_put_number(object, "unhealthy_services", sum->unhealthy_services);
    json_put_number(object, "total_requests", sum->total_requests);
    json_put_number(object, "successful_requests", sum->successful_requests);
    json_put_number(object, "failed_requests", sum->failed_requests);
    json_put(object, "average_response_time_ms", json_real(sum->average_response_time_ms));
    if (given->name == NULL && given->id == NULL) {
        json_put_number(object, "participants", about->participants);
        json_put_number(object, "capacity", about->capacity);
        json_put_number(object, "reserved_services", about->reserved_services);
        json_put_number(object, "region_bytes", about->region_bytes);
        json_put_number(object, "reserved_bytes", about->reserved_bytes);
        json_put_number(object, "statistics_bytes", about->statistics_bytes);
        json_put_time(object, "created_at", about->created_at_ns);
    }
    json_print(object);
}

static void print_table(const commy_mesh_stats_t *sum, const commy_mesh_info_t *about, const struct arguments *given)
{
    struct table *table = table_open_pairs();
    char backed[SIZE_TEXT_BYTES], statistics[SIZE_TEXT_BYTES], when[TIME_TEXT_BYTES];
    uint32_t unknown = sum->total_services - sum->healthy_services - sum->unhealthy_services;

    table_pair(table, "services", "%u (%u healthy, %u unhealthy, %u unknown)", sum->total_services,
               sum->healthy_services, sum->unhealthy_services, unknown);
    table_pair(table, "requests", "%ju (%ju succeeded, %ju failed)", (uintmax_t)sum->total_requests,
               (uintmax_t)sum->successful_requests, (uintmax_t)sum->failed_requests);
    table_pair(table, "average response", "%.3f ms", sum->average_response_time_ms);
    if (given->name == NULL && given->id == NULL) {
        table_pair(table, "participants", "%u", about->participants);
        table_pair(table, "capacity", "%u services, %u of them reserved", about->capacity, about->reserved_services);
        table_pair(table, "memory", "%s, %s of it for statistics", size_text(about->reserved_bytes, backed),
                   size_text(about->statistics_bytes, statistics));
        table_pair(table, "region", "%s/%s", about->dir, about->mesh);
        table_pair(table, "made", "%s", time_text(about->created_at_ns, when));
    }
    table_close(&table);
}

int cmd_stat(int argc, char **argv)
{
    struct argp argp = {options, parse, "[NAME]", doc, common_children, NULL, NULL};
    struct arguments given = {0};
    commy_mesh_stats_t sum = {0};
    commy_mesh_info_t about;
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    int code = open_mesh(COMMY_OPEN_READ_ONLY, &mesh);
    if (code != EXIT_YES)
        return code;

    commy_status_t status = commy_mesh_info(mesh, &about);
    if (status == COMMY_STATUS_SUCCESS)
        status = sum_up(mesh, &given, &sum);
    if (status != COMMY_STATUS_SUCCESS) {
        code = complain_status(status);
        goto out;
    }
    if (tool.json)
        print_json(&sum, &about, &given);
    else
        print_table(&sum, &about, &given);
    if ((given.name != NULL || given.id != NULL) && sum.total_services == 0)
        code = EXIT_NO;
out:
    commy_mesh_detach(&mesh);
    return code;
}
