/* top_details.c - all about one service, on the screen of `commy top`. */
#include <curses.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "event.h"
#include "service.h"
#include "text.h"
#include "top.h"

#define FIRST_LINE 4
#define VALUE_COLUMN 14

/* Where the next line goes. */
static int line;

static void pair(const char *heading, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void pair(const char *heading, const char *format, ...)
{
    char text[COMMY_LIMIT_METADATA_BYTES + 64];
    va_list arguments;

    if (line >= LINES - 1)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    attron(A_DIM);
    top_put(line, 1, VALUE_COLUMN - 2, false, heading);
    attroff(A_DIM);
    top_put(line++, VALUE_COLUMN, COLS - VALUE_COLUMN, false, text);
}

static void draw_requests(const struct top_model *model, const struct top_row *row)
{
    static const struct {
        const char *word;
        double quantile;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
    char text[128] = "", number[TOP_NUMBER_BYTES], share[TOP_NUMBER_BYTES];
    size_t length = 0;

    pair("requests", "%" PRIu64 ", %" PRIu64 " failed; now %s/s, %s%s failed; %" PRIu64 " in flight", row->requests,
         row->failures, top_number_text(row->rate, number),
         row->failed < 0 ? "none" : top_share_text(row->failed, share), row->failed < 0 ? "" : " %", row->in_flight);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        uint64_t ns = 0;
        if (commy_service_latency(model->mesh, row->id, quantiles[i].quantile, &ns) == COMMY_STATUS_SUCCESS)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s %s", length != 0 ? "  " : "",
                                       quantiles[i].word, top_time_text(ns, number));
    }
    pair("latency", "%s", row->requests != 0 ? text : "");
}

/* What the flight recorder knows of it, the newest first. */
static void draw_events(const struct top_model *model, const struct top_row *row)
{
    static commy_event_t events[COMMY_LIMIT_EVENTS];
    size_t count = 0;
    const char *heading = "events";

    if (commy_mesh_events(model->mesh, events, COMMY_LIMIT_EVENTS, &count) != COMMY_STATUS_SUCCESS)
        return;
    for (size_t i = count; i-- > 0 && line < LINES - 1;) {
        char when[TIME_TEXT_BYTES], detail[EVENT_DETAIL_BYTES], process[32] = "";
        if (!event_is_of_service(&events[i], row->id))
            continue;
        event_detail(&events[i], detail);
        if (events[i].pid != 0)
            snprintf(process, sizeof(process), "process %u", events[i].pid);
        pair(heading, "%s  %s  %s%s%s", time_text(events[i].time_ns, when), commy_event_kind_name(events[i].kind),
             detail, detail[0] != '\0' ? "  " : "", process);
        heading = "";
    }
}

void top_draw_details(const struct top_model *model, const struct top_view *view)
{
    const struct top_row *row = top_view_selected(view);
    char address[ADDRESS_TEXT_BYTES], when[TIME_TEXT_BYTES], tags[COMMY_LIMIT_TAGS * (COMMY_LIMIT_TAG_BYTES + 1) + 1];
    struct service service;

    line = FIRST_LINE;
    if (row == NULL || service_find(model->mesh, row->id, &service) != COMMY_STATUS_SUCCESS) {
        pair("", "the service has gone");
        return;
    }
    const commy_service_info_t *info = &service.info;
    pair("name", "%s", info->name);
    pair("id", "%s", info->id);
    pair("address", "%s", address_text(info->endpoint, info->port, address));
    pair("status", "%s, %s", health_name(info->status), admin_name(info->admin));
    pair("weight", "%u", info->weight);
    draw_requests(model, row);
    if (info->owner_pid != 0)
        pair("owner", "%s, process %u", info->node_id, info->owner_pid);
    else
        pair("owner", "none: detached, lives as long as its TTL is renewed");
    pair("registered", "%s", time_text(info->registered_at_ns, when));
    pair("version", "%s", info->version);
    pair("zone", "%s", info->zone);
    service_tags(info, tags, sizeof(tags));
    pair("tags", "%s", tags);
    pair("metadata", "%s", service.metadata);
    draw_events(model, row);
}
