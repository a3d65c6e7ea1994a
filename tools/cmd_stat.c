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

static const char doc[] =
    "Show counters, latencies and requests in flight: of the mesh, of the instances of a name, or of one "
    "service.\v"
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

/* What percentiles are shown of. */
static const struct {
    const char *word, *key;
    double quantile;
} shares[] = {{"p50", "p50_ns", 0.5}, {"p90", "p90_ns", 0.9}, {"p99", "p99_ns", 0.99}, {"p99.9", "p99_9_ns", 0.999}};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

struct sum {
    commy_mesh_stats_t mesh;
    uint64_t in_flight, latency_ns[SHARES];
    uint32_t ejected; /* their breakers are open, or half-open */
};

static void add_requests(struct sum *sum, const commy_service_stats_t *more)
{
    uint64_t requests = sum->mesh.total_requests + more->total_requests;

    if (requests != 0)
        sum->mesh.average_response_time_ms = (sum->mesh.average_response_time_ms * (double)sum->mesh.total_requests +
                                              more->average_response_time_ms * (double)more->total_requests) /
                                             (double)requests;
    sum->mesh.total_requests = requests;
    sum->mesh.successful_requests += more->successful_requests;
    sum->mesh.failed_requests += more->failed_requests;
    sum->in_flight += more->in_flight;
}

static bool is_ejected(const commy_mesh_t *mesh, const char *id)
{
    commy_breaker_status_t breaker;

    return commy_service_breaker(mesh, id, &breaker) == COMMY_STATUS_SUCCESS && breaker.state != COMMY_BREAKER_CLOSED;
}

/* One service more in the sum. A service that goes while it is being read counts for nothing. */
static commy_status_t add_service(const commy_mesh_t *mesh, const commy_service_info_t *info, struct sum *sum)
{
    commy_service_stats_t counters;
    commy_status_t status = commy_service_stats(mesh, info->id, &counters);

    if (status != COMMY_STATUS_SUCCESS)
        return status;
    sum->mesh.total_services++;
    sum->mesh.healthy_services += is_healthy(info);
    sum->mesh.unhealthy_services += info->status == COMMY_HEALTH_UNHEALTHY;
    sum->ejected += is_ejected(mesh, info->id);
    add_requests(sum, &counters);
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t sum_of_name(const commy_mesh_t *mesh, const char *name, struct sum *sum)
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

static commy_status_t sum_of_service(const commy_mesh_t *mesh, const struct arguments *given, struct sum *sum)
{
    commy_service_info_t info;
    commy_status_t status = commy_service_get(mesh, given->id, &info);

    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (given->name != NULL && strcmp(given->name, info.name) != 0)
        return COMMY_STATUS_SUCCESS; /* nothing of that name has the id: the sum stays empty */
    return add_service(mesh, &info, sum);
}

/* The library's own totals, which also know of services that have gone; in flight is what it is of those that are there. */
static commy_status_t sum_of_mesh(const commy_mesh_t *mesh, struct sum *sum)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_service_info_t info;
    commy_service_stats_t counters;
    commy_status_t status = commy_mesh_stats(mesh, &sum->mesh);

    if (status == COMMY_STATUS_SUCCESS)
        status = commy_iterate_all(mesh, &iterator);
    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        if (commy_view_info(mesh, &view, &info) == COMMY_STATUS_SUCCESS &&
            commy_service_stats(mesh, info.id, &counters) == COMMY_STATUS_SUCCESS) {
            sum->in_flight += counters.in_flight;
            sum->ejected += is_ejected(mesh, info.id);
        }
    }
    return status;
}

/* Percentiles; none of what has gone meanwhile. */
static commy_status_t add_latencies(const commy_mesh_t *mesh, const struct arguments *given, struct sum *sum)
{
    for (size_t i = 0; i < SHARES; i++) {
        commy_status_t status = given->id == NULL && given->name != NULL
                                    ? commy_name_latency(mesh, given->name, shares[i].quantile, &sum->latency_ns[i])
                                    : commy_service_latency(mesh, given->id, shares[i].quantile, &sum->latency_ns[i]);
        if (status != COMMY_STATUS_SUCCESS && status != COMMY_STATUS_NOT_FOUND)
            return status;
    }
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t sum_up(const commy_mesh_t *mesh, const struct arguments *given, struct sum *sum)
{
    commy_status_t status = given->id != NULL     ? sum_of_service(mesh, given, sum)
                            : given->name != NULL ? sum_of_name(mesh, given->name, sum)
                                                  : sum_of_mesh(mesh, sum);

    if (status != COMMY_STATUS_SUCCESS || (sum->mesh.total_services == 0 && (given->id != NULL || given->name != NULL)))
        return status;
    return add_latencies(mesh, given, sum);
}

static void print_json(const struct sum *sum, const commy_mesh_info_t *about, const struct arguments *given)
{
    json_t *object = must_have(json_object());

    json_put_text(object, "mesh", about->mesh);
    if (given->name != NULL)
        json_put_text(object, "name", given->name);
    if (given->id != NULL)
        json_put_text(object, "id", given->id);
    json_put_number(object, "total_services", sum->mesh.total_services);
    json_put_number(object, "healthy_services", sum->mesh.healthy_services);
    json_put_number(object, "unhealthy_services", sum->mesh.unhealthy_services);
    json_put_number(object, "ejected_services", sum->ejected);
    json_put_number(object, "total_requests", sum->mesh.total_requests);
    json_put_number(object, "successful_requests", sum->mesh.successful_requests);
    json_put_number(object, "failed_requests", sum->mesh.failed_requests);
    json_put(object, "average_response_time_ms", json_real(sum->mesh.average_response_time_ms));
    for (size_t i = 0; i < SHARES; i++)
        json_put_number(object, shares[i].key, sum->latency_ns[i]);
    json_put_number(object, "in_flight", sum->in_flight);
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

static void print_table(const struct sum *sum, const commy_mesh_info_t *about, const struct arguments *given)
{
    struct table *table = table_open_pairs();
    char backed[SIZE_TEXT_BYTES], statistics[SIZE_TEXT_BYTES], when[TIME_TEXT_BYTES];
    uint32_t unknown = sum->mesh.total_services - sum->mesh.healthy_services - sum->mesh.unhealthy_services;

    table_pair(table, "services", "%u (%u healthy, %u unhealthy, %u unknown)", sum->mesh.total_services,
               sum->mesh.healthy_services, sum->mesh.unhealthy_services, unknown);
    table_pair(table, "ejected", "%u", sum->ejected);
    table_pair(table, "requests", "%ju (%ju succeeded, %ju failed)", (uintmax_t)sum->mesh.total_requests,
               (uintmax_t)sum->mesh.successful_requests, (uintmax_t)sum->mesh.failed_requests);
    table_pair(table, "average response", "%.3f ms", sum->mesh.average_response_time_ms);
    for (size_t i = 0; i < SHARES; i++)
        table_pair(table, shares[i].word, "%.3f ms", (double)sum->latency_ns[i] / 1e6);
    table_pair(table, "in flight", "%ju", (uintmax_t)sum->in_flight);
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
    struct sum sum = {0};
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
    if ((given.name != NULL || given.id != NULL) && sum.mesh.total_services == 0)
        code = tool.json ? EXIT_NO : complain_none(given.name, given.id != NULL);
out:
    commy_mesh_detach(&mesh);
    return code;
}
