/* top_view.c - which services are shown, in which order, and which of them is selected. */
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "top.h"

const char *top_sort_name(enum top_sort sort)
{
    static const char *const names[TOP_SORTS] = {
        [TOP_BY_RATE] = "rate",           [TOP_BY_FAILED] = "errors", [TOP_BY_P99] = "p99",
        [TOP_BY_IN_FLIGHT] = "in flight", [TOP_BY_NAME] = "name",
    };

    return names[sort];
}

static int by_name(const struct top_row *a, const struct top_row *b)
{
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : strcmp(a->id, b->id);
}

static int falling(double a, double b)
{
    return (a < b) - (a > b);
}

static int compare(const void *a, const void *b, void *user)
{
    const struct top_row *one = *(struct top_row *const *)a, *other = *(struct top_row *const *)b;
    int order = 0;

    switch (((const struct top_view *)user)->sort) {
    case TOP_BY_RATE:
        order = falling(one->rate, other->rate);
        break;
    case TOP_BY_FAILED:
        order = falling(one->failed, other->failed);
        break;
    case TOP_BY_P99:
        order = falling((double)one->p99_ns, (double)other->p99_ns);
        break;
    case TOP_BY_IN_FLIGHT:
        order = falling((double)one->in_flight, (double)other->in_flight);
        break;
    default:
        break;
    }
    return order != 0 ? order : by_name(one, other);
}

static bool is_shown(const struct top_view *view, const struct top_row *row)
{
    return view->filter[0] == '\0' || strcasestr(row->name, view->filter) != NULL ||
           strcasestr(row->id, view->filter) != NULL;
}

/* What is selected is followed; where it has gone, what stands in its place is selected. */
static void select_again(struct top_view *view)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->shown[i]->reference == view->selected_reference) {
            view->selected = i;
            return;
        }
    if (view->selected >= view->count)
        view->selected = view->count != 0 ? view->count - 1 : 0;
    view->selected_reference = view->count != 0 ? view->shown[view->selected]->reference : 0;
}

void top_view_update(struct top_view *view, struct top_model *model)
{
    if (view->room < model->count) {
        view->room = model->count;
        view->shown = must_have(reallocarray(view->shown, view->room, sizeof(void *)));
    }
    view->count = 0;
    for (size_t i = 0; i < model->count; i++)
        if (is_shown(view, &model->rows[i]))
            view->shown[view->count++] = &model->rows[i];
    if (view->count != 0)
        qsort_r(view->shown, view->count, sizeof(void *), compare, view);
    select_again(view);
}

void top_view_move(struct top_view *view, long by)
{
    if (view->count == 0)
        return;
    long to = (long)view->selected + by;
    long last = (long)view->count - 1;
    view->selected = (size_t)(to < 0 ? 0 : to > last ? last : to);
    view->selected_reference = view->shown[view->selected]->reference;
}

void top_view_scroll(struct top_view *view, size_t lines)
{
    if (view->selected < view->first)
        view->first = view->selected;
    if (lines != 0 && view->selected >= view->first + lines)
        view->first = view->selected - lines + 1;
    if (view->first != 0 && view->first + lines > view->count)
        view->first = view->count > lines ? view->count - lines : 0;
}

struct top_row *top_view_selected(const struct top_view *view)
{
    return view->selected < view->count ? view->shown[view->selected] : NULL;
}

void top_view_free(struct top_view *view)
{
    free(view->shown);
    *view = (struct top_view){0};
}
