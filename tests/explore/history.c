/*
 * Histories: what was called, in which order, with what result.
 *
 * Two calls are ordered if one had ended when the other began. A history is explained if all calls can be put in one
 * order that keeps to that, in which each result follows from the calls before it (linearizability; Herlihy, Wing 1990).
 * Found by trying: take any call all of whose predecessors are taken, see whether its result fits, go on; what was tried
 * in vain is remembered (Wing, Gong 1993; Lowe 2017).
 *
 * A death is an event without duration: it takes away what its process registered. A call cut by the death may have had
 * its effect, before the death, or none. Three things happen without a call, and may be put wherever they are possible:
 *
 *     a leave takes away the services of its process, one after the other
 *     a lease that nobody renewed since ends when a TTL has passed: its service hides, until a heartbeat renews it
 *     a detached registration that was committed may be published by a helper after the death of who made it
 */
#include "explore.h"

ex_history_t ex_history;

void ex_history_begin(uint32_t event)
{
    ex_event_t *is = &ex_history.event[event];
    is->begun = true;
    is->ended = false;
    is->before = ex_history.ended;
    ex_history.hash = 0;
}

void ex_history_end(uint32_t event)
{
    ex_history.event[event].ended = true;
    ex_history.ended |= 1ull << event;
    ex_history.hash = 0;
}

/* Which calls ended before which began, and their results: not in which order calls began that overlap. */
uint64_t ex_history_hash(void)
{
    if (ex_history.hash == 0)
        ex_history.hash = XXH3_64bits(ex_history.event, sizeof ex_history.event) | 1;
    return ex_history.hash;
}

/* ------------------------------------------------------------- explaining */

typedef struct entry {
    uint8_t holder; /* event of the registration, and one; 0: nobody */
    uint8_t text, weight, renewed;
    bool hidden;
} entry_t;

typedef struct order {
    uint64_t done;
    entry_t entry[EX_IDS];
} order_t;

#define TRIED 16384u
static uint64_t tried[TRIED];
static uint32_t tried_count;
static uint64_t in_question; /* events that are to be explained */

static const ex_event_t *event_at(uint32_t event)
{
    return &ex_history.event[event];
}

static bool tried_before(const order_t *order)
{
    uint64_t hash = XXH3_64bits(order, sizeof *order) | 1;
    for (uint32_t at = (uint32_t)(hash >> 32) % TRIED;; at = (at + 1) % TRIED) {
        if (tried[at] == hash)
            return true;
        if (tried[at] != 0)
            continue;
        if (tried_count < TRIED - 1) {
            tried[at] = hash;
            tried_count++;
        }
        return false;
    }
}

static bool is_detached(const entry_t *entry)
{
    return entry->holder != 0 && (event_at(entry->holder - 1u)->flags & EX_DETACHED);
}

static bool registers(const ex_event_t *is, uint32_t event, entry_t *entry)
{
    if (is->ended && is->status == COMMY_STATUS_EXISTS)
        return entry->holder != 0 && !entry->hidden;
    if (is->ended && is->status != COMMY_STATUS_SUCCESS)
        return true; /* refused for want of room: told elsewhere */
    if (entry->holder != 0 && !entry->hidden)
        return false;
    uint8_t text = is->flags & (EX_WITH_TEXT | EX_LONG_TEXT) ? (uint8_t)event : EX_EVENTS;
    *entry = (entry_t){(uint8_t)(event + 1), text, EX_EVENTS, (uint8_t)event, false};
    return true;
}

/* Whether a call's result follows from the entry, and what it makes of it. */
static bool applies(const ex_event_t *is, uint32_t event, entry_t *entry)
{
    bool missing = is->ended && is->status == COMMY_STATUS_NOT_FOUND;
    bool failed = is->ended && is->status != COMMY_STATUS_SUCCESS;
    if (is->kind == 'R')
        return registers(is, event, entry);
    if (missing)
        return entry->holder == 0 || entry->hidden;
    if (failed)
        return true;
    if (entry->holder == 0)
        return false;
    switch (is->kind) {
    case 'U':
        *entry = (entry_t){0};
        return true;
    case 'M':
    case 'N':
        entry->text = (uint8_t)event;
        return true;
    case 'X':
        entry->weight = (uint8_t)event;
        return true;
    case 'H':
        entry->hidden = false;
        entry->renewed = (uint8_t)event;
        return true;
    case 'Q':
        return !is->ended || is->value == entry->text;
    default: /* F, G */
        return !is->ended || (!entry->hidden && is->value == entry->holder - 1u && is->detail == entry->weight);
    }
}

/* Whether a selection's result is somebody who was there. That nobody was is told elsewhere. */
static bool selects(const ex_event_t *is, const order_t *order)
{
    bool fits = !is->ended || is->status != COMMY_STATUS_SUCCESS;
    for (uint32_t id = 0; id < EX_IDS && !fits; id++) {
        const entry_t *entry = &order->entry[id];
        fits = entry->holder != 0 && !entry->hidden && is->value == entry->holder - 1u && is->detail == entry->weight;
    }
    return fits;
}

static void remove_all_of(order_t *order, uint32_t who)
{
    for (uint32_t id = 0; id < EX_IDS; id++) {
        entry_t *entry = &order->entry[id];
        if (entry->holder != 0 && event_at(entry->holder - 1u)->who == who && !is_detached(entry))
            *entry = (entry_t){0};
    }
}

static bool is_possible(const order_t *order, uint32_t event)
{
    const ex_event_t *is = event_at(event);
    if ((is->before & in_question & ~order->done) != 0)
        return false;
    uint32_t death = ex_death_event(is->who);
    bool survives = is->kind == 'R' && (is->flags & EX_DETACHED);
    return is->ended || survives || !(order->done >> death & 1);
}

static bool search(const order_t *order);

/* Whether a leap of the clock has come that may have ended a lease since it was renewed. */
static bool has_passed(const order_t *order, const entry_t *entry, uint32_t event)
{
    const ex_event_t *is = event_at(event);
    return is->begun && is->kind == 'T' && (is->before & in_question & ~order->done) == 0 &&
           !(event_at(entry->renewed)->before >> event & 1);
}

/* Whether it did: one leap of a whole TTL, or two of half of one. */
static bool may_end(const order_t *order, const entry_t *entry, uint32_t event)
{
    bool enough = !(event_at(event)->flags & EX_HALF);
    if (!has_passed(order, entry, event))
        return false;
    for (uint32_t other = 0; other < EX_SCRATCH_EVENT && !enough; other++)
        enough = other != event && has_passed(order, entry, other);
    return enough;
}

/* What happens without a call: see the top of the file. */
static bool try_silent(const order_t *order)
{
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = event_at(event);
        if (!is->begun || (is->kind != 'T' && is->kind != 'L') || (is->before & in_question & ~order->done) != 0)
            continue;
        for (uint32_t id = 0; id < EX_IDS; id++) {
            order_t next = *order;
            entry_t *entry = &next.entry[id];
            if (entry->holder == 0)
                continue;
            if (is->kind == 'L') {
                if ((order->done >> event & 1) || is_detached(entry) || event_at(entry->holder - 1u)->who != is->who)
                    continue;
                *entry = (entry_t){0};
            } else {
                if (entry->hidden || !is_detached(entry) || !may_end(order, entry, event))
                    continue;
                entry->hidden = true;
            }
            if (search(&next))
                return true;
        }
    }
    return false;
}

static bool search(const order_t *order)
{
    uint64_t left = in_question & ~order->done, must = left & ex_history.ended;
    if (must == 0)
        return true;
    if (tried_before(order))
        return false;
    for (uint64_t bits = left; bits != 0; bits &= bits - 1) {
        uint32_t event = (uint32_t)__builtin_ctzll(bits);
        const ex_event_t *is = event_at(event);
        if (!is_possible(order, event))
            continue;
        order_t next = *order;
        next.done |= 1ull << event;
        if (is->kind == EX_DEATH || is->kind == 'L')
            remove_all_of(&next, is->who);
        else if (strchr("K%", is->kind) && !selects(is, &next))
            continue;
        else if (!strchr("TK%", is->kind) && !applies(is, event, &next.entry[is->id - 1]))
            continue;
        if (search(&next))
            return true;
    }
    return try_silent(order);
}

bool ex_history_explained(void)
{
    memset(tried, 0, sizeof tried);
    tried_count = 0;
    in_question = 0;
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++)
        if (event_at(event)->begun && strchr("RUFGK%MNQXHLT+", event_at(event)->kind))
            in_question |= 1ull << event;
    order_t order;
    memset(&order, 0, sizeof order);
    return search(&order);
}

/* ---------------------------------------------------------------- printing */

static void print_result(FILE *out, const ex_event_t *is)
{
    if (!is->ended) {
        fprintf(out, "did not end");
        return;
    }
    fprintf(out, "%s", commy_status_string(is->status));
    if (is->status != COMMY_STATUS_SUCCESS || strchr("UHXMNCPLJTRY", is->kind))
        return;
    if (is->kind == 'D') {
        fprintf(out, ", %u:", (unsigned)is->detail);
        for (uint64_t bits = is->value; bits != 0; bits &= bits - 1)
            fprintf(out, " [%d]", __builtin_ctzll(bits));
    } else if (strchr("VW", is->kind)) {
        fprintf(out, ", %llu", (unsigned long long)is->value);
    } else if (is->kind == 'I') {
        fprintf(out, ", %s, opened %u times",
                is->value == 0   ? "closed"
                : is->value == 1 ? "open"
                                 : "half-open",
                (unsigned)is->detail);
    } else if (is->kind == 'Z') {
        fprintf(out, ", %u, %u in flight", (unsigned)is->value, (unsigned)is->detail);
    } else if (is->value < EX_EVENTS) {
        fprintf(out, ", of [%u]", (unsigned)is->value);
    }
}

void ex_history_print(FILE *out)
{
    static const char *const actors[EX_ACTORS] = {"A", "B", "C", "D", "the setup", "the observer"};
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = event_at(event);
        if (!is->begun)
            continue;
        if (is->kind == EX_DEATH) {
            fprintf(out, "  [%u] %s dies; after", event, actors[is->who]);
        } else {
            fprintf(out, "  [%u] %s: %c", event, actors[is->who], is->kind);
            if (is->id)
                fprintf(out, "%u", is->id);
            if (is->name)
                fprintf(out, "%u", is->name);
            fprintf(out, " ");
            print_result(out, is);
            fprintf(out, "; after");
        }
        for (uint64_t bits = is->before; bits != 0; bits &= bits - 1)
            fprintf(out, " [%d]", __builtin_ctzll(bits));
        fprintf(out, "\n");
    }
}
