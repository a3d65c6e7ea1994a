/*
 * top_model.c - looking at the mesh, and what happened since the look before.
 *
 * A service's counters belong to one registration: a service that was registered anew under its id begins at 0, and its
 * reference is another. Each look goes through all services once, by the walk that holds each exactly once.
 */
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "text.h"
#include "top.h"

static int by_reference(const void *a, const void *b)
{
    uint64_t one = ((const struct top_count *)a)->reference, other = ((const struct top_count *)b)->reference;

    return (one > other) - (one < other);
}

/* Keeps the counts of the rows for the next look. */
static void remember(struct top_model *model)
{
    model->before = must_have(realloc(model->before, (model->count + 1) * sizeof(*model->before)));
    model->before_count = model->count;
    for (size_t i = 0; i < model->count; i++)
        model->before[i] =
            (struct top_count){model->rows[i].reference, model->rows[i].requests, model->rows[i].failures};
    qsort(model->before, model->before_count, sizeof(*model->before), by_reference);
}

/* More of a number that only grows; 0 for one that was read amid a change. */
static uint64_t more(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static double share(uint64_t failures, uint64_t requests)
{
    if (requests == 0)
        return -1;
    return failures < requests ? (double)failures / (double)requests : 1;
}

/* seconds: since the look before; 0: there was none. */
static void rate(struct top_model *model, struct top_row *row, double seconds)
{
    const struct top_count wanted = {.reference = row->reference};
    const struct top_count *before =
        model->before_count == 0 ? NULL
                                 : bsearch(&wanted, model->before, model->before_count, sizeof(wanted), by_reference);
    uint64_t requests = more(row->requests, before != NULL ? before->requests : 0);
    uint64_t failures = more(row->failures, before != NULL ? before->failures : 0);

    row->rate = seconds > 0 ? (double)requests / seconds : 0;
    row->failed = seconds > 0 ? share(failures, requests) : -1;
}

static struct top_row *add_row(struct top_model *model)
{
    if (model->count == model->room) {
        model->room = model->room != 0 ? 2 * model->room : 64;
        model->rows = must_have(realloc(model->rows, model->room * sizeof(*model->rows)));
    }
    return &model->rows[model->count];
}

/* A service that goes while it is being read is left out. */
static void take_row(struct top_model *model, const commy_view_t *view, double seconds)
{
    commy_service_info_t info;
    commy_service_stats_t stats;
    struct top_row *row = add_row(model);

    if (commy_view_info(model->mesh, view, &info) != COMMY_STATUS_SUCCESS ||
        commy_service_stats(model->mesh, info.id, &stats) != COMMY_STATUS_SUCCESS)
        return;
    *row = (struct top_row){
        .reference = view->reference,
        .weight = info.weight,
        .pid = info.owner_pid,
        .status = info.status,
        .admin = info.admin,
        .requests = stats.total_requests,
        .failures = stats.failed_requests,
        .in_flight = stats.in_flight,
    };
    memcpy(row->name, info.name, sizeof(row->name));
    memcpy(row->id, info.id, sizeof(row->id));
    memcpy(row->node, info.node_id, sizeof(row->node));
    if (stats.total_requests != 0) {
        commy_service_latency(model->mesh, info.id, 0.5, &row->p50_ns);
        commy_service_latency(model->mesh, info.id, 0.99, &row->p99_ns);
    }
    if (!commy_view_valid(model->mesh, view))
        return; /* what was read by id may be another's */
    rate(model, row, seconds);
    model->in_flight += row->in_flight;
    model->count++;
}

commy_status_t top_look(struct top_model *model)
{
    commy_iterator_t iterator;
    commy_view_t view;
    uint64_t now_ns = monotonic_ns();
    double seconds = model->looked_ns != 0 ? (double)(now_ns - model->looked_ns) / 1e9 : 0;
    commy_status_t status = commy_mesh_info(model->mesh, &model->about);

    if (status == COMMY_STATUS_SUCCESS)
        status = commy_mesh_stats(model->mesh, &model->stats);
    if (status == COMMY_STATUS_SUCCESS)
        status = model->name != NULL ? commy_iterate_name(model->mesh, model->name, &iterator)
                                     : commy_iterate_all(model->mesh, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    model->count = model->left_out = model->in_flight = 0;
    while (commy_iterate_next(model->mesh, &iterator, &view)) {
        if (model->count < TOP_MOST_ROWS)
            take_row(model, &view, seconds);
        else
            model->left_out++;
    }
    uint64_t requests = more(model->stats.total_requests, model->total_before);
    uint64_t failures = more(model->stats.failed_requests, model->failed_before);
    model->rate = seconds > 0 ? (double)requests / seconds : 0;
    model->failed = seconds > 0 ? share(failures, requests) : -1;
    model->total_before = model->stats.total_requests;
    model->failed_before = model->stats.failed_requests;
    model->looked_ns = now_ns;
    remember(model);
    return COMMY_STATUS_SUCCESS;
}

void top_model_free(struct top_model *model)
{
    free(model->rows);
    free(model->before);
    *model = (struct top_model){0};
}
