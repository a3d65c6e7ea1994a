/*
 * What must hold.
 *
 * At every state on the way (checked at a sample of them, everybody stopped where he is):
 *     each process ends its call alone within a bound of accesses; a bystander can do one of every call; the audit finds
 *     nothing, but for the two things that a stopped process may leave for as long as it is stopped (check.c, d)
 *
 * When nobody has anything left to do:
 *     sleepers   whoever waits for a version wakes if anything changed; without a death, without help of the clock
 *     lookups    an observer looks everything up, reaps, looks everything up again; an order of all calls, his among
 *                them, explains all results
 *     walks      hold each service that was live throughout once, and none that was not live at any instant
 *     audit      nothing wrong, nothing in flight, after the observer has reaped
 *     leaks      services are FREE, or LIVE and somebody was told so; groups without instances can be collected
 *     counters   what was acknowledged, and no more than was begun
 *     breakers   turns.c
 *     checkers   one at a time checks a service; where that one has died, the next comer does; each result counts once
 *     in flight  what processes that live have begun and not ended; for who reads it on the way no more than may be
 */
#include <stdarg.h>

#include "explore.h"

#define CALL_BOUND 20000u /* accesses of one call that nobody disturbs */

char ex_violation[1024];

static uint8_t flags; /* of the case at hand */

void ex_blame(const char *format, ...)
{
    if (ex_violation[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ex_violation, sizeof ex_violation, format, arguments);
    va_end(arguments);
}

/* Runs one process on until it has ended the call at hand, or all of them. */
static void run_on(uint32_t who, bool to_the_end)
{
    uint8_t op = ex_process[who].op;
    for (uint32_t steps = 0; ex_process[who].status == EX_READY; steps++) {
        bool between = ex_process[who].pending == ex_start_word(who);
        if (between && !to_the_end && (steps > 0 || op == 0))
            return;
        if (between)
            op = ex_process[who].op, steps = steps > 0 ? 1 : 0;
        if (steps > CALL_BOUND) {
            ex_blame("%c does not end its call within %u accesses, alone", "ABCD*?"[who], CALL_BOUND);
            return;
        }
        ex_world_step(who);
    }
}

static void observe(const char *program)
{
    ex_program_observe(program);
    ex_fiber_start(EX_OBSERVER);
    run_on(EX_OBSERVER, true);
}

/* ------------------------------------------------------------------- audit */

static void finding(void *user, const char *where, const char *what)
{
    (void)user;
    ex_blame("the audit: %s: %s", where, what);
}

static void audit(bool quiescent)
{
    uint64_t findings;
    /* As if just attached: what was known of marks that were taken back since is no longer so. */
    for (int kind = 0; kind < CMY_SLABS; kind++)
        atomic_store_explicit(&ex_region()->reserved[kind], 0, memory_order_relaxed);
    cmy_check_region(ex_region(), quiescent, finding, NULL, &findings);
}

void ex_verdict_audit(void)
{
    audit(false);
}

/* ------------------------------------------------------------- in the middle */

void ex_verdict_solo(uint32_t who)
{
    ex_snapshot_t *snapshot = ex_snapshot_take(who);
    run_on(who, false);
    ex_snapshot_back(snapshot);
}

void ex_verdict_bystander(void)
{
    static const char program[] = "D1 F1 R44m F4 K4 G4 D4 M4 Q4 X4 S4 O4 I4 Y4 B4 E4 Z4 !4 H4 D0 U4 R11 U1 C P F1";
    ex_snapshot_t *snapshot = ex_snapshot_take(EX_OBSERVER);
    observe(program);
    ex_snapshot_back(snapshot);
}

/* ------------------------------------------------------------------ results */

/* Codes that a call of a kind may end with. */
static void check_codes(void)
{
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = &ex_history.event[event];
        if (!is->begun || !is->ended || is->kind == EX_DEATH)
            continue;
        bool fits = is->status == COMMY_STATUS_SUCCESS;
        fits |= is->status == COMMY_STATUS_EXISTS && is->kind == 'R';
        fits |= is->status == COMMY_STATUS_NOT_FOUND && strchr("UFGK%MNQXHSZBEOIAY!~", is->kind);
        fits |= is->status == COMMY_STATUS_BUSY && is->kind == 'A';
        fits |= is->status == COMMY_STATUS_CIRCUIT_OPEN && is->kind == 'K';
        fits |= is->status == COMMY_STATUS_FULL && (flags & EX_MAY_BE_FULL) && strchr("RMNSBO", is->kind);
        fits |= (is->status == COMMY_STATUS_INVALID || is->status == COMMY_STATUS_NOT_RUNNING) && is->kind == 'E';
        if (!fits)
            ex_blame("[%u] %c%u ended with \"%s\"", event, is->kind, is->id, commy_status_string(is->status));
    }
}

/* Whether a registration had ended for certain before an event began; may have been live after it began. */
static bool gone_before(uint32_t registration, const ex_event_t *walk)
{
    const ex_event_t *is = &ex_history.event[registration];
    if (!(is->flags & EX_DETACHED) && (walk->before >> ex_death_event(is->who) & 1))
        return true;
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *end = &ex_history.event[event];
        if (!(walk->before >> event & 1) || end->status != COMMY_STATUS_SUCCESS)
            continue;
        if (end->kind == 'U' && end->id == is->id && (end->before >> registration & 1) && is->ended) {
            /* Of this one, if no other of that id can have been meant. */
            bool only = true;
            for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++)
                only &= other == registration || ex_history.event[other].kind != 'R' ||
                        ex_history.event[other].id != is->id || !ex_history.event[other].begun;
            if (only)
                return true;
        }
        if (end->kind == 'L' && end->who == is->who && event > registration)
            return true;
    }
    return false;
}

/* Whether anything may have ended a registration before the walk ended. */
static bool may_have_ended(uint32_t registration, uint32_t walk)
{
    const ex_event_t *is = &ex_history.event[registration];
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *end = &ex_history.event[event];
        if (!end->begun || (end->before >> walk & 1) || (is->before >> event & 1))
            continue;
        if (end->ended && end->status != COMMY_STATUS_SUCCESS)
            continue;
        if ((end->kind == 'U' && end->id == is->id) || (end->kind == 'L' && end->who == is->who) ||
            (end->kind == EX_DEATH && end->who == is->who && !(is->flags & EX_DETACHED)) ||
            (end->kind == 'T' && (is->flags & EX_DETACHED)))
            return true;
    }
    return false;
}

/* value: a bit for each registration that came; whole: none that was live throughout may be missing. */
static void check_walk(uint32_t event, uint64_t value, bool whole)
{
    const ex_event_t *walk = &ex_history.event[event];
    for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++) {
        const ex_event_t *is = &ex_history.event[other];
        bool came = value >> other & 1;
        if (came && (is->kind != 'R' || !is->begun || (is->before >> event & 1)))
            ex_blame("[%u] %c%u returned [%u], which had not been registered", event, walk->kind, walk->name, other);
        if (is->kind != 'R' || !is->begun)
            continue;
        if (came && walk->name != 0 && is->name != walk->name)
            ex_blame("[%u] %c%u returned [%u], which has another name", event, walk->kind, walk->name, other);
        if (came && is->ended && is->status != COMMY_STATUS_SUCCESS)
            ex_blame("[%u] %c%u returned [%u], which was refused", event, walk->kind, walk->name, other);
        if (came && gone_before(other, walk))
            ex_blame("[%u] %c%u returned [%u], which had gone before", event, walk->kind, walk->name, other);
        bool throughout =
            (walk->before >> other & 1) && is->status == COMMY_STATUS_SUCCESS && !may_have_ended(other, event);
        if (whole && !came && throughout && (walk->name == 0 || is->name == walk->name))
            ex_blame("[%u] %c%u missed [%u], which was live throughout", event, walk->kind, walk->name, other);
    }
}

/* What may have been in flight at an id at any instant of a selection, of requests that nobody ends. */
static void bound_flight(uint32_t id, uint32_t event, uint32_t *least, uint32_t *most)
{
    const ex_event_t *selection = &ex_history.event[event];
    *least = *most = 0;
    for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++) {
        const ex_event_t *is = &ex_history.event[other], *death = &ex_history.event[ex_death_event(is->who)];
        if (is->kind != 'B' || is->id != id || !is->begun || (is->ended && is->status != COMMY_STATUS_SUCCESS) ||
            (is->before >> event & 1) || (selection->before >> ex_death_event(is->who) & 1))
            continue;
        bool dies = death->begun && !(death->before >> event & 1);
        ++*most;
        *least += (selection->before >> other & 1) && !dies;
    }
}

/* Of two instances that were there all the time, least connections does not select the one with more in flight. */
static void check_least(uint32_t event)
{
    const ex_event_t *is = &ex_history.event[event];
    uint32_t least, most, ignored;
    bound_flight(ex_history.event[is->value].id, event, &least, &ignored);
    for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++) {
        const ex_event_t *another = &ex_history.event[other];
        if (another->kind != 'R' || other == is->value || another->name != is->name || !(is->before >> other & 1) ||
            another->status != COMMY_STATUS_SUCCESS || may_have_ended(other, event))
            continue;
        bound_flight(another->id, event, &ignored, &most);
        if (least > most)
            ex_blame("[%u] %%%u returned [%u] with %u requests in flight, and [%u] had %u", event, is->name,
                     (uint32_t)is->value, least, other, most);
    }
}

/* A selection is a walk of which one came, or none because there was none. */
static void check_names(const ex_event_t *is, uint32_t event)
{
    bool selected = strchr("K%", is->kind) && is->status == COMMY_STATUS_SUCCESS;
    if (is->ended && is->kind == 'D')
        check_walk(event, is->value, true);
    else if (is->ended && strchr("K%", is->kind))
        check_walk(event, selected ? 1ull << is->value : 0,
                   is->status != COMMY_STATUS_SUCCESS && is->status != COMMY_STATUS_CIRCUIT_OPEN);
    if (is->ended && is->kind == '%' && selected && !ex_violation[0])
        check_least(event);
}

/* An event that was read later is the same or a later one: where there is room for one, a writer that comes late gives up. */
static void check_events(const ex_event_t *is, uint32_t event)
{
    if (is->kind != '?' || !is->ended || is->value == 0)
        return;
    for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++)
        if (ex_history.event[other].kind == '?' && (is->before >> other & 1) &&
            ex_history.event[other].value > is->value)
            ex_blame("[%u] read an event of ticket %u, after [%u] had read one of %u", event, (unsigned)is->value >> 1,
                     other, (unsigned)ex_history.event[other].value >> 1);
}

static void check_history(void)
{
    static uint64_t explained[65536];
    uint64_t hash = ex_history_hash(), *known = &explained[hash % 65536];
    if (*known == hash)
        return;
    check_codes();
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++)
        check_names(&ex_history.event[event], event), check_events(&ex_history.event[event], event);
    if (!ex_violation[0] && !ex_history_explained())
        ex_blame("no order of the calls explains their results");
    if (!ex_violation[0])
        *known = hash;
}

/* ------------------------------------------------------------------ sleepers */

/* Whether something changed for whoever waits at `wait` that began when the version had been read. */
static bool changed(uint32_t wait, bool deaths)
{
    const ex_event_t *waits = &ex_history.event[wait];
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = &ex_history.event[event];
        if (!is->ended || !(is->before >> (wait - 1) & 1))
            continue;
        if (deaths && is->kind == EX_DEATH)
            return true;
        if (is->status != COMMY_STATUS_SUCCESS || !strchr("RUMNX", is->kind))
            continue;
        uint32_t name = is->name;
        for (uint32_t other = 0; name == 0 && other < EX_SCRATCH_EVENT; other++)
            if (ex_history.event[other].kind == 'R' && ex_history.event[other].id == is->id)
                name = ex_history.event[other].name; /* in the cases with sleepers an id has one name */
        if (waits->name == 0 || waits->name == name)
            return true;
    }
    return false;
}

static void end_sleep(uint32_t who, bool died)
{
    uint32_t wait = ex_process[who].event;
    if (!died && changed(wait, false))
        ex_blame("%c sleeps in [%u] although something changed, and nobody died", "ABCD"[who], wait);
    for (int slice = 0; slice < 2 && ex_process[who].status == EX_ASLEEP; slice++) {
        ex_world_time_out(who);
        run_on(who, true);
    }
    if (ex_process[who].status == EX_ASLEEP && changed(wait, true))
        ex_blame("%c sleeps in [%u] for ever, although something changed", "ABCD"[who], wait);
}

/* ------------------------------------------------------------------- records */

static void check_services(void)
{
    const cmy_region_t *region = ex_region();
    for (uint32_t record = 0; record < region->layout.slab[CMY_SERVICES].limit; record++) {
        uint64_t state = ex_peek(&cmy_service_at(region, record)->state);
        if (cmy_state_phase(state) != CMY_LIVE)
            continue; /* the audit has seen to the others */
        commy_target_t target = {0};
        cmy_service_copy_target(region, record, state, &target);
        uint32_t event = target.port - 1000u;
        const ex_event_t *is = &ex_history.event[event < EX_EVENTS ? event : EX_SCRATCH_EVENT];
        bool acknowledged = is->kind == 'R' && is->ended && is->status == COMMY_STATUS_SUCCESS;
        bool survived = is->kind == 'R' && is->begun && !is->ended && (is->flags & EX_DETACHED);
        if (!acknowledged && !survived)
            ex_blame("service %u is live, but its registration [%u] was not acknowledged", record, event);
        uint64_t end = ex_peek(&cmy_service_at(region, record)->lease) >> 1;
        if (cmy_state_owner(state) == CMY_NOBODY && end <= ex_peek(ex_clock_word()))
            ex_blame("service %u is detached, its lease has ended, and reaping leaves it", record);
    }
}

static void check_groups(void)
{
    const cmy_region_t *region = ex_region();
    for (uint32_t group = 0; group < region->layout.slab[CMY_GROUPS].limit; group++) {
        if (cmy_state_phase(ex_peek(&cmy_group_at(region, group)->state)) == CMY_FREE)
            continue;
        bool used = false;
        for (uint32_t record = 0; record < region->layout.slab[CMY_SERVICES].limit; record++) {
            const cmy_service_shm_t *service = cmy_service_at(region, record);
            used |= cmy_state_phase(ex_peek(&service->state)) == CMY_LIVE &&
                    cmy_position_group(ex_peek(&service->position)) == group;
        }
        if (!used)
            ex_blame("group %u has no instances, and cannot be collected", group);
    }
}

static void check_counters(void)
{
    uint64_t acknowledged = 0, begun = 0, before = 0;
    cmy_counts_t counts;
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = &ex_history.event[event];
        if ((is->kind == 'S' || is->kind == 'E') && is->begun) {
            begun++;
            acknowledged += is->ended && is->status == COMMY_STATUS_SUCCESS;
            before += is->ended && is->status != COMMY_STATUS_SUCCESS;
        }
    }
    cmy_counter_read_mesh(ex_region(), &counts);
    if (counts.successes < acknowledged || counts.successes > begun - before ||
        (counts.failures != 0 && ex_region()->header->breaker_rules.value == 0))
        ex_blame("the mesh counts %u successes, of %u acknowledged and %u begun", (unsigned)counts.successes,
                 (unsigned)acknowledged, (unsigned)begun);
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *stats = &ex_history.event[event], *found = stats - 1;
        if (stats->who != EX_OBSERVER || stats->kind != 'Z' || !stats->ended || stats->status != COMMY_STATUS_SUCCESS)
            continue;
        uint64_t elsewhere = 0;
        acknowledged = 0;
        for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++) {
            const ex_event_t *is = &ex_history.event[other];
            if ((is->kind != 'S' && is->kind != 'E') || !is->begun ||
                (ex_history.event[found->value].before >> other & 1))
                continue; /* over when this one was registered */
            bool its = is->ended && is->status == COMMY_STATUS_SUCCESS && is->value == found->value;
            acknowledged += its;
            elsewhere += !its; /* cut, or of a former life and still on its way */
        }
        if (stats->value < acknowledged || stats->value > acknowledged + elsewhere)
            ex_blame("id %u counts %u successes, of %u acknowledged", stats->id, (unsigned)stats->value,
                     (unsigned)acknowledged);
    }
}

/* Whoever reads what is in flight; the observer looks at all of the service first. */
static void check_in_flight(void)
{
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *stats = &ex_history.event[event], *found = stats - 1;
        if (stats->kind != 'Z' || !stats->ended || stats->status != COMMY_STATUS_SUCCESS)
            continue;
        uint64_t most = 0, exactly = 0;
        for (uint32_t other = 0; other < EX_SCRATCH_EVENT; other++) {
            const ex_event_t *is = &ex_history.event[other];
            if (is->kind != 'B' || is->id != stats->id || !is->begun || (is->before >> event & 1) ||
                (is->ended && is->status != COMMY_STATUS_SUCCESS))
                continue;
            uint32_t end = ex_end_of_request(other);
            most += end == EX_EVENTS || !(stats->before >> end & 1);
            exactly += end == EX_EVENTS && is->value == found->value;
        }
        if (stats->detail > most)
            ex_blame("[%u] %u requests to id %u are in flight, of %u at most", event, (unsigned)stats->detail,
                     stats->id, (unsigned)most);
        if (stats->who == EX_OBSERVER && stats->detail != exactly)
            ex_blame("%u requests to id %u are in flight, not %u", (unsigned)stats->detail, stats->id,
                     (unsigned)exactly);
    }
}

/* ---------------------------------------------------------------- breakers */

/* The observer tries what the dead left; what is open when its time has passed can be tried, and closed. */
static void check_breakers(const ex_case_t *what)
{
    bool free[2] = {ex_turn_is_free(1), ex_turn_is_free(2)};
    ex_verdict_breakers(what);
    for (uint32_t id = 1; id <= 2 && !ex_violation[0]; id++) {
        char program[] = "F0 A0 I0 T I0 A0 S0 I0";
        for (char *at = program; *at; at++)
            *at = *at == '0' ? (char)('0' + id) : *at;
        observe(program);
        ex_verdict_tried(id, free[id - 1]);
    }
}

/* --------------------------------------------------------------------- end */

void ex_verdict_end(const ex_case_t *what)
{
    bool died = false;
    ex_snapshot_t *snapshot[EX_PROCESSES];
    flags = what->flags;
    for (uint32_t who = 0; who < ex_process_count; who++) {
        snapshot[who] = ex_snapshot_take(ex_process[who].status == EX_ASLEEP ? who : EX_KERNEL);
        died |= ex_process[who].status == EX_DEAD;
    }
    for (uint32_t who = 0; who < ex_process_count && !ex_violation[0]; who++)
        if (ex_process[who].status == EX_ASLEEP)
            end_sleep(who, died);

    ex_snapshot_t *bystander = ex_snapshot_take(EX_OBSERVER);
    /* What a dead process left is read by whoever comes, so that its last writes are of concern to others. */
    ex_observer_counts = what->deaths > 0;
    if (!ex_violation[0])
        observe(strchr(what->program, '!') ? "D0 D1 F1 P G1 !1 F1"
                                           : "D0 D1 D2 F1 F2 F3 P G1 Z1 G2 Z2 Q1 Q2 F1 F2 F3 D1");
    if (!ex_violation[0])
        check_history();
    if (!ex_violation[0])
        check_counters();
    if (!ex_violation[0])
        check_in_flight();
    if (!ex_violation[0])
        ex_verdict_checkers();
    if (!ex_violation[0])
        audit(true);
    if (!ex_violation[0])
        check_services();
    if (!ex_violation[0] && what->failures)
        check_breakers(what);
    if (!ex_violation[0]) {
        observe("C");
        check_groups();
    }
    ex_observer_counts = false;
    ex_snapshot_back(bystander);
    for (uint32_t who = ex_process_count; who-- > 0;)
        ex_snapshot_back(snapshot[who]);
}
