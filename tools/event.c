/* event.c - see event.h. */
#include "event.h"

#include <stdio.h>
#include <string.h>

#include "common.h"
#include "json.h"
#include "service.h"
#include "table.h"
#include "text.h"

bool event_is_of_participant(const commy_event_t *event)
{
    return event->kind == COMMY_EVENT_JOINED || event->kind == COMMY_EVENT_LEFT || event->kind == COMMY_EVENT_DIED;
}

bool event_text_is(const char *text, bool cut, const char *wanted)
{
    size_t length = strlen(text);

    return cut ? strncmp(text, wanted, length) == 0 && wanted[length] != '\0' : strcmp(text, wanted) == 0;
}

bool event_is_of_service(const commy_event_t *event, const char *id)
{
    return !event_is_of_participant(event) && event_text_is(event->id, event->id_cut, id);
}

static const char *cut_text(const char *text, bool cut, char buffer[EVENT_TEXT_BYTES])
{
    snprintf(buffer, EVENT_TEXT_BYTES, "%s%s", text, cut ? "\xe2\x80\xa6" : "");
    return buffer;
}

const char *event_id(const commy_event_t *event, char buffer[EVENT_TEXT_BYTES])
{
    return cut_text(event->id, event->id_cut, buffer);
}

const char *event_name(const commy_event_t *event, char buffer[EVENT_TEXT_BYTES])
{
    return cut_text(event->name, event->name_cut, buffer);
}

static const char *state_name(const commy_event_t *event, int32_t state)
{
    return event->kind == COMMY_EVENT_ADMIN ? admin_name(state) : health_name(state);
}

static bool is_change(const commy_event_t *event)
{
    return event->kind == COMMY_EVENT_HEALTH || event->kind == COMMY_EVENT_ADMIN || event->kind == COMMY_EVENT_CHECK;
}

const char *event_detail(const commy_event_t *event, char buffer[EVENT_DETAIL_BYTES])
{
    if (is_change(event))
        snprintf(buffer, EVENT_DETAIL_BYTES, "%s -> %s", state_name(event, event->from), state_name(event, event->to));
    else
        snprintf(buffer, EVENT_DETAIL_BYTES, "%s", commy_event_reason_name(event->reason));
    return buffer;
}

json_t *event_json(const commy_event_t *event)
{
    json_t *object = must_have(json_object());

    json_put_number(object, "sequence", event->sequence);
    json_put_time(object, "time", event->time_ns);
    json_put_text(object, "event", commy_event_kind_name(event->kind));
    if (event_is_of_participant(event)) {
        json_put_text(object, "node", event->name);
    } else {
        json_put_text(object, "id", event->id);
        json_put_text(object, "name", event->name);
    }
    json_put(object, "cut", json_boolean(event->id_cut || event->name_cut));
    if (is_change(event)) {
        json_put_text(object, "from", state_name(event, event->from));
        json_put_text(object, "to", state_name(event, event->to));
    }
    json_put_text_or_null(object, "reason", commy_event_reason_name(event->reason));
    json_put(object, "pid", event->pid != 0 ? json_integer(event->pid) : json_null());
    json_put(object, "slot", event->slot != UINT32_MAX ? json_integer(event->slot) : json_null());
    return object;
}

static const char *color_of(const commy_event_t *event)
{
    switch (event->kind) {
    case COMMY_EVENT_DIED:
    case COMMY_EVENT_OWNER_DIED:
    case COMMY_EVENT_EXPIRED:
    case COMMY_EVENT_TTL_MISSED:
    case COMMY_EVENT_BREAKER_OPENED:
        return "\x1b[31m";
    case COMMY_EVENT_JOINED:
    case COMMY_EVENT_REGISTERED:
    case COMMY_EVENT_TTL_RENEWED:
    case COMMY_EVENT_BREAKER_CLOSED:
        return "\x1b[32m";
    case COMMY_EVENT_LEFT:
    case COMMY_EVENT_UNREGISTERED:
        return "";
    default:
        return "\x1b[33m";
    }
}

void event_print(const commy_event_t *event)
{
    char when[TIME_TEXT_BYTES], text[EVENT_TEXT_BYTES], detail[EVENT_DETAIL_BYTES];
    const char *color = colors_wanted() ? color_of(event) : "";

    printf("%s  %s%-19s%s  ", time_text(event->time_ns, when), color, commy_event_kind_name(event->kind),
           *color != '\0' ? "\x1b[0m" : "");
    if (event_is_of_participant(event)) {
        fputs("node ", stdout);
        print_text(stdout, event_name(event, text));
    } else {
        print_text(stdout, event_id(event, text));
        fputs(" (", stdout);
        print_text(stdout, event_name(event, text));
        putchar(')');
    }
    if (*event_detail(event, detail) != '\0')
        printf("  %s", detail);
    if (event->pid != 0)
        printf("  process %u", event->pid);
    putchar('\n');
}
