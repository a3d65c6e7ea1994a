/*
 * What must hold of circuit breakers:
 *
 *     a turn to try an instance is taken by one, until it reports, leaves or dies, the time passes, or somebody resets
 *     what opens it are as many failures as were reported, each counted once; no more than a share of a name is open
 *     what is open is not selected, before its time has passed
 *     what is open is closed by who took the turn, or a reset
 *     whoever tries and dies is replaced at once; what is open can be tried when its time has passed, and closed
 */
#include "explore.h"
#include "stat/breaker.h"

static const ex_event_t *event_at(uint32_t event)
{
    return &ex_history.event[event];
}

static bool succeeded(const ex_event_t *is)
{
    return is->begun && is->ended && is->status == COMMY_STATUS_SUCCESS;
}

static bool came_before(uint32_t event, uint32_t other)
{
    return event_at(other)->before >> event & 1;
}

/* Whether an event may end the turn of one or of the other. */
static bool ends_turn(const ex_event_t *is, const ex_event_t *one, const ex_event_t *other)
{
    bool theirs = is->who == one->who || is->who == other->who, same = is->id == one->id;
    if (!is->begun)
        return false;
    return is->kind == 'T' || (is->kind == 'Y' && same) || ((is->kind == 'L' || is->kind == EX_DEATH) && theirs) ||
           (strchr("SOE", is->kind) && same && theirs);
}

/* Two took the turn of one registration: something that ends a turn is not before both, and not behind both. */
static void check_two(uint32_t one, uint32_t other)
{
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++)
        if (ends_turn(event_at(event), event_at(one), event_at(other)) &&
            !(came_before(event, one) && came_before(event, other)) &&
            !(came_before(one, event) && came_before(other, event)))
            return;
    ex_blame("[%u] and [%u] both took the turn to try id %u", one, other, event_at(one)->id);
}

static void check_turns(void)
{
    for (uint32_t one = 0; one < EX_SCRATCH_EVENT; one++)
        for (uint32_t other = one + 1; other < EX_SCRATCH_EVENT; other++)
            if (event_at(one)->kind == 'A' && event_at(other)->kind == 'A' && succeeded(event_at(one)) &&
                succeeded(event_at(other)) && event_at(one)->value == event_at(other)->value)
                check_two(one, other);
}

/* How many of a kind were begun, or acknowledged, on an id. */
static uint32_t count(const char *kinds, uint32_t id, bool acknowledged)
{
    uint32_t found = 0;
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = event_at(event);
        found += is->begun && is->who != EX_OBSERVER && strchr(kinds, is->kind) && is->id == id &&
                 (!acknowledged || succeeded(is));
    }
    return found;
}

/* The record of an id that is there; null: none. */
static const cmy_service_shm_t *service_of(uint32_t id, uint32_t *record, uint64_t *state)
{
    cmy_key_t key;
    const char *text = ex_id_text(id);
    cmy_key_make(&key, ex_region()->seed, text, strlen(text));
    return cmy_service_find(ex_region(), &key, record, state) ? cmy_service_at(ex_region(), *record) : NULL;
}

static bool is_open(const cmy_service_shm_t *service)
{
    return service && (ex_peek(&service->condition) & CMY_CONDITION_OPEN);
}

static const cmy_tally_shm_t *tally_of(uint32_t id)
{
    uint32_t record;
    uint64_t state;
    return service_of(id, &record, &state) ? cmy_tally_linked(ex_region(), record, state) : NULL;
}

bool ex_turn_is_free(uint32_t id)
{
    uint32_t record;
    uint64_t state;
    const cmy_tally_shm_t *tally = tally_of(id);
    if (!tally || !is_open(service_of(id, &record, &state)))
        return false;
    uint32_t owner = cmy_turn_owner(ex_peek(&tally->breaker.turn));
    return owner != CMY_NOBODY && !cmy_life_alive(ex_region(), owner);
}

/* Failures of the setup, which nothing followed there. */
static uint32_t count_settled(uint32_t id)
{
    uint32_t found = 0;
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = event_at(event);
        if (is->who == EX_SETTLER && is->begun && is->id == id)
            found = is->kind == 'O' ? found + 1 : is->kind == 'T' ? found : 0;
    }
    return found;
}

static uint32_t count_dead(void)
{
    uint32_t dead = 0;
    for (uint32_t who = 0; who < ex_process_count; who++)
        dead += ex_process[who].status == EX_DEAD;
    return dead;
}

/* Failures that an opening, or the count of openings, may be of: of a block that goes from one to another, all. */
static uint32_t count_reported(const ex_case_t *what, uint32_t id)
{
    uint32_t found = 0;
    for (uint32_t other = 1; other <= EX_IDS; other++)
        found += other == id || what->blocks == 1 ? count("O", other, false) : 0;
    return found;
}

static void check_openings(const ex_case_t *what, uint32_t id)
{
    uint32_t record, failures = count("O", id, true);
    uint64_t state;
    const cmy_service_shm_t *service = service_of(id, &record, &state);
    const cmy_tally_shm_t *tally = tally_of(id);
    if (!tally)
        return;
    uint64_t openings = ex_peek(&tally->breaker.opened);
    if (openings * what->failures > count_reported(what, id))
        ex_blame("id %u was opened %u times, after %u failures", id, (unsigned)openings, count_reported(what, id));
    if (is_open(service) && openings == 0 && count_dead() == 0)
        ex_blame("id %u is open, and was never opened", id);
    if (is_open(service) && count("O", id, false) < what->failures)
        ex_blame("id %u is open, after %u failures", id, count("O", id, false));
    /* With nothing to close it, and one registration. */
    if (!is_open(service) && failures >= what->failures && what->most == 0 && count("SEYUR", id, false) == 1)
        ex_blame("id %u is closed, after %u failures", id, failures);
    if (!is_open(service) && count_settled(id) >= what->failures && count("AYUR", id, false) == 1)
        ex_blame("id %u was open, and closed by nobody who had tried it", id);
}

/* Whether it has nothing to do with an event, or came before it. */
static bool is_apart(uint32_t event, uint32_t tried)
{
    const ex_event_t *is = event_at(event), *of = event_at(tried);
    return !is->begun || event == tried || came_before(event, tried) || is->who == EX_OBSERVER ||
           (is->kind != 'T' && is->kind != EX_DEATH && is->id != of->id);
}

/* Who took the turn reported a success, and nobody did anything else to that service since: it is closed. */
static void check_decision(uint32_t tried)
{
    uint32_t record, successes = 0;
    uint64_t state;
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = event_at(event);
        if (is_apart(event, tried))
            continue;
        if (is->kind != 'S' || is->who != event_at(tried)->who || !succeeded(is) || !came_before(tried, event))
            return;
        successes++;
    }
    if (successes > 0 && is_open(service_of(event_at(tried)->id, &record, &state)))
        ex_blame("[%u] tried id %u, reported a success, and it is open", tried, event_at(tried)->id);
}

/* One more for each process that died between its two counts, or was stopped there while time passed. */
static void check_share(const ex_case_t *what)
{
    uint32_t all = 0, open = 0, dead = count_dead(), stopped = 0;
    for (uint32_t id = 1; id <= EX_IDS; id++) {
        uint32_t record;
        uint64_t state;
        const cmy_service_shm_t *service = service_of(id, &record, &state);
        all += service != NULL;
        open += is_open(service);
    }
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++)
        stopped += event_at(event)->begun && event_at(event)->kind == 'T';
    if (what->most != 0 && open > all * what->most / 100 + dead + stopped)
        ex_blame("%u of %u are open, of %u %%", open, all, what->most);
}

/* A selection of what was open before it, with nothing that may have closed it or let time pass. */
static void check_selection(const ex_case_t *what, uint32_t event)
{
    const ex_event_t *is = event_at(event), *selected = event_at((uint32_t)is->value);
    uint32_t failures = 0, others = 0;
    for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++) {
        const ex_event_t *that = event_at(other);
        bool its = that->begun && that->id == selected->id;
        failures += its && that->kind == 'O' && came_before(other, event) && succeeded(that);
        others += (its && strchr("SEYUR", that->kind)) || (that->begun && that->kind == 'T');
    }
    if (failures >= what->failures && others == 1 && what->most == 0)
        ex_blame("[%u] selected [%u], which was open", event, (unsigned)is->value);
}

/* Who is said to try has begun to. */
static void check_prober(uint32_t event)
{
    const ex_event_t *is = event_at(event);
    uint32_t prober = (uint32_t)(is->detail >> 32);
    for (uint32_t tried = 0; tried < EX_SCRATCH_EVENT && prober != 0; tried++)
        if (event_at(tried)->begun && event_at(tried)->kind == 'A' && event_at(tried)->who + 1u == prober)
            return;
    if (prober != 0)
        ex_blame("[%u] was told that process %u tries id %u, which never did", event, prober - 1, is->id);
}

void ex_verdict_breakers(const ex_case_t *what)
{
    check_turns();
    check_share(what);
    for (uint32_t id = 1; id <= EX_IDS; id++)
        check_openings(what, id);
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++)
        if (event_at(event)->kind == 'K' && succeeded(event_at(event)))
            check_selection(what, event);
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++)
        if (event_at(event)->kind == 'A' && succeeded(event_at(event)))
            check_decision(event);
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++)
        if (event_at(event)->kind == 'I' && succeeded(event_at(event)))
            check_prober(event);
}

void ex_verdict_tried(uint32_t id, bool free)
{
    const ex_event_t *found = event_at(ex_observed_event(0)), *tried = event_at(ex_observed_event(1)),
                     *due = event_at(ex_observed_event(4)), *again = event_at(ex_observed_event(5)),
                     *end = event_at(ex_observed_event(7));
    if (!succeeded(found))
        return;
    if (free && !succeeded(tried))
        ex_blame("who tries id %u is dead, and is not replaced", id);
    bool open = due->value != COMMY_BREAKER_CLOSED;
    if (open && !succeeded(again))
        ex_blame("id %u is open, its time has passed, and it cannot be tried", id);
    if (end->value != COMMY_BREAKER_CLOSED)
        ex_blame("id %u was tried with success, and is open", id);
}
