/* top_print.c - `commy top` once: a table, or one object of JSON. */
#include "common.h"
#include "json.h"
#include "service.h"
#include "table.h"
#include "top.h"

static json_t *share_json(double share)
{
    return share < 0 ? json_null() : json_real(share);
}

static json_t *row_json(const struct top_row *row)
{
    json_t *object = must_have(json_object());

    json_put_text(object, "name", row->name);
    json_put_text(object, "id", row->id);
    json_put_text(object, "status", health_name(row->status));
    json_put_text(object, "admin", admin_name(row->admin));
    json_put(object, "requests_per_second", json_real(row->rate));
    json_put(object, "failed_share", share_json(row->failed));
    json_put_number(object, "total_requests", row->requests);
    json_put_number(object, "failed_requests", row->failures);
    json_put_number(object, "p50_ns", row->p50_ns);
    json_put_number(object, "p99_ns", row->p99_ns);
    json_put_number(object, "in_flight", row->in_flight);
    json_put_number(object, "weight", row->weight);
    json_put_text_or_null(object, "node", row->node);
    json_put(object, "pid", row->pid != 0 ? json_integer(row->pid) : json_null());
    return object;
}

static void print_json(const struct top_model *model, const struct top_view *view)
{
    json_t *object = must_have(json_object()), *services = must_have(json_array());

    json_put_text(object, "mesh", model->about.mesh);
    json_put_number(object, "interval_ms", view->interval_ms);
    json_put_number(object, "participants", model->about.participants);
    json_put_number(object, "total_services", model->stats.total_services);
    json_put_number(object, "healthy_services", model->stats.healthy_services);
    json_put_number(object, "unhealthy_services", model->stats.unhealthy_services);
    json_put_number(object, "total_requests", model->stats.total_requests);
    json_put_number(object, "failed_requests", model->stats.failed_requests);
    json_put(object, "requests_per_second", json_real(model->rate));
    json_put(object, "failed_share", share_json(model->failed));
    json_put_number(object, "in_flight", model->in_flight);
    json_put_number(object, "services_left_out", model->left_out);
    for (size_t i = 0; i < view->count; i++)
        if (json_array_append_new(services, row_json(view->shown[i])) != 0)
            must_have(NULL);
    json_put(object, "services", services);
    json_print(object);
}

static void print_table(const struct top_view *view)
{
    struct column columns[TOP_COLUMNS_MOST];
    const char *cells[TOP_COLUMNS_MOST];
    char texts[TOP_COLUMNS_MOST][TOP_CELL_BYTES];

    for (size_t i = 0; i < top_column_count; i++) {
        bool extra = top_columns[i].rank > 1, right = top_columns[i].right;
        columns[i] = (struct column){top_columns[i].heading, right ? (extra ? COLUMN_EXTRA_NUMBER : COLUMN_NUMBER)
                                                                   : (extra ? COLUMN_EXTRA_TEXT : COLUMN_TEXT)};
        cells[i] = texts[i];
    }
    struct table *table = table_open(columns, top_column_count);
    for (size_t row = 0; row < view->count; row++) {
        for (size_t i = 0; i < top_column_count; i++)
            top_columns[i].text(view->shown[row], texts[i], sizeof(texts[i]));
        table_row(table, cells);
    }
    table_close(&table);
}

void top_print(struct top_model *model, struct top_view *view)
{
    top_view_update(view, model);
    if (tool.json)
        print_json(model, view);
    else
        print_table(view);
}
