/*
 * All events, oldest first; and their words for people.
 *
 * Two passes, so that the list of all takes 24 kilobytes of the caller's stack and no memory: the first notes time and
 * number of each, the second reads those that are wanted. What was written over in between is left out.
 */
#include "event/event.h"

typedef struct place {
    uint64_t time_ns, number;
    uint32_t place;
} place_t;

static bool is_older(const place_t *a, const place_t *b)
{
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns;
    return a->number != b->number ? a->number < b->number : a->place < b->place;
}

static void sift(place_t *places, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && is_older(&places[child], &places[child + 1]))
            child++;
        if (!is_older(&places[root], &places[child]))
            return;
        place_t swapped = places[root];
        places[root] = places[child];
        places[child] = swapped;
    }
}

/* By heaps: the C library's qsort() may ask for memory. */
static void sort(place_t *places, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(places, i, count);
    for (size_t end = count; end-- > 1;) {
        place_t newest = places[0];
        places[0] = places[end];
        places[end] = newest;
        sift(places, 0, end);
    }
}

static bool is_change(uint32_t kind)
{
    return kind == COMMY_EVENT_HEALTH || kind == COMMY_EVENT_ADMIN || kind == COMMY_EVENT_CHECK;
}

static void describe(const cmy_event_t *event, uint32_t place, commy_event_t *out)
{
    uint32_t reason = cmy_event_reason(event->what);
    memset(out, 0, sizeof *out);
    out->sequence = cmy_event_number(event->ticket) * CMY_EVENT_RINGS + place / CMY_EVENT_ENTRIES + 1;
    out->time_ns = event->time_ns;
    out->kind = (int32_t)cmy_event_kind(event->what);
    if (is_change((uint32_t)out->kind)) {
        out->from = (int32_t)(reason >> 4);
        out->to = (int32_t)(reason & 0xf);
    } else {
        out->reason = (int32_t)reason;
    }
    out->slot = cmy_event_slot(event->what);
    out->pid = cmy_event_pid(event->what);
    out->id_cut = (event->what & CMY_EVENT_CUT_ID) != 0;
    out->name_cut = (event->what & CMY_EVENT_CUT_NAME) != 0;
    memcpy(out->id, event->id, sizeof event->id);
    memcpy(out->name, event->name, sizeof event->name);
}
_Static_assert(COMMY_EVENT_TEXT_BYTES == CMY_EVENT_TEXT_BYTES + 1, "texts");

size_t cmy_event_list(const cmy_region_t *region, commy_event_t *out, size_t capacity)
{
    place_t places[COMMY_LIMIT_EVENTS];
    cmy_event_t event;
    size_t count = 0, listed = 0;
    for (uint32_t place = 0; place < CMY_EVENT_RINGS * CMY_EVENT_ENTRIES; place++)
        if (cmy_event_read(region, place, &event))
            places[count++] = (place_t){event.time_ns, cmy_event_number(event.ticket), place};
    if (capacity == 0)
        return count;
    sort(places, count);
    for (size_t i = count > capacity ? count - capacity : 0; i < count; i++) {
        if (cmy_event_read(region, places[i].place, &event) && cmy_event_number(event.ticket) == places[i].number &&
            event.time_ns == places[i].time_ns)
            describe(&event, places[i].place, &out[listed++]);
    }
    return listed;
}

/* ------------------------------------------------------------------- words */

static const char *const kinds[] = {
    [COMMY_EVENT_JOINED] = "joined",
    [COMMY_EVENT_LEFT] = "left",
    [COMMY_EVENT_DIED] = "died",
    [COMMY_EVENT_REGISTERED] = "registered",
    [COMMY_EVENT_UNREGISTERED] = "unregistered",
    [COMMY_EVENT_OWNER_DIED] = "owner-died",
    [COMMY_EVENT_EXPIRED] = "expired",
    [COMMY_EVENT_TTL_MISSED] = "ttl-missed",
    [COMMY_EVENT_TTL_RENEWED] = "ttl-renewed",
    [COMMY_EVENT_HEALTH] = "health",
    [COMMY_EVENT_ADMIN] = "admin",
    [COMMY_EVENT_CHECK] = "check",
    [COMMY_EVENT_BREAKER_OPENED] = "breaker-opened",
    [COMMY_EVENT_BREAKER_HALF_OPENED] = "breaker-half-opened",
    [COMMY_EVENT_BREAKER_CLOSED] = "breaker-closed",
};

static const char *const reasons[] = {
    [COMMY_REASON_NONE] = "",
    [COMMY_REASON_OWNER] = "owner",
    [COMMY_REASON_ANOTHER] = "another",
    [COMMY_REASON_OWNER_LEFT] = "owner-left",
    [COMMY_REASON_FAILURES] = "failures-in-a-row",
    [COMMY_REASON_FAILURE_RATE] = "failure-rate",
    [COMMY_REASON_PROBE_FAILED] = "probe-failed",
    [COMMY_REASON_PROBE_SUCCEEDED] = "probe-succeeded",
    [COMMY_REASON_TIME] = "time",
    [COMMY_REASON_RESET] = "reset",
    [COMMY_REASON_SHARE] = "share-of-the-name",
};

static const char *word_of(const char *const *words, size_t count, int32_t number)
{
    return number >= 0 && (size_t)number < count && words[number] ? words[number] : "unknown";
}

const char *commy_event_kind_name(int32_t kind)
{
    return word_of(kinds, sizeof kinds / sizeof kinds[0], kind);
}

const char *commy_event_reason_name(int32_t reason)
{
    return word_of(reasons, sizeof reasons / sizeof reasons[0], reason);
}
