/* Circuit breakers; states, and what a crash leaves of them, are argued in breaker.h. */
#include "registry/breaker.h"

#include "base/text.h"

#define RETRIES 1000u

/* Whether a condition is the one that was seen, as far as the breaker goes: of the same registration and change. */
static bool same_change(uint64_t condition, uint64_t seen)
{
    const uint64_t others = cmy_condition(0, 0xffff, 3, 3);
    return ((condition ^ seen) & ~others) == 0;
}

/* The same of a service that is in the state yet in which it was found: so what was read of its block before was its own, and
 * not another's that has the block by now. */
static bool still(const cmy_service_shm_t *service, uint64_t state, uint64_t seen)
{
    return same_change(cmy_load64_acquire(&service->condition), seen) && cmy_service_same(service, state);
}

/* One arrow: from the change that was seen, whatever else of the condition is changed meanwhile. */
static bool turn_over(cmy_service_shm_t *service, uint64_t seen, bool open, uint32_t exponent)
{
    uint64_t now = seen;
    for (uint32_t turn = 0; turn < RETRIES && same_change(now, seen); turn++)
        if (cmy_cas64_seq_cst(&service->condition, &now, cmy_condition_turned(now, open, exponent)))
            return true;
    return false;
}

/* It opened or closed. */
static void tell(commy_mesh_t *mesh, uint32_t record, uint64_t state, commy_event_kind_t kind, uint32_t reason)
{
    cmy_service_note(mesh->region, record, state, mesh->actor.owner, kind, reason);
    cmy_wait_announce(mesh->region, cmy_service_name_hash(mesh->region, record));
}

/* So that it begins anew when it is closed: before the CAS that closes. */
static void forget(cmy_tally_shm_t *tally)
{
    cmy_store64_relaxed(&tally->breaker.streak, 0);
    cmy_store64_relaxed(&tally->breaker.window, 0);
}

/* ------------------------------------------------------------------ share of failures */

static uint64_t successes_of(const cmy_tally_shm_t *tally)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < CMY_STAT_STRIPES; i++)
        sum += cmy_load64_relaxed(&tally->stripe[i].successes);
    return sum;
}

/* Begins a window with this failure; false where another did. */
static bool begin_window(cmy_tally_shm_t *tally, uint64_t seen, uint32_t now, uint32_t successes)
{
    uint64_t before = cmy_load64_acquire(&tally->breaker.before);
    if (!cmy_swap64_acq_rel(&tally->breaker.window, seen, cmy_window(now, 1)))
        return false;
    cmy_swap64_acq_rel(&tally->breaker.before, before, cmy_window(now, successes));
    return true;
}

/* Counts a failure in the window; whether their share is too large. Successes are those since the window's first failure,
 * that one included; they cost nothing, being counted anyway. */
static bool share_is_over(cmy_tally_shm_t *tally, const cmy_rules_t *rules)
{
    uint32_t now = (uint32_t)cmy_tick(cmy_clock_monotonic_ns()), successes = (uint32_t)successes_of(tally);
    uint32_t length = (uint32_t)cmy_tick((uint64_t)rules->window_ms * 1000000) + 1;
    uint64_t seen = cmy_load64_acquire(&tally->breaker.window), failures = 1;
    if (cmy_window_over(seen, now, length)) {
        if (begin_window(tally, seen, now, successes))
            return rules->minimum <= 1;
        seen = cmy_load64_acquire(&tally->breaker.window);
    }
    failures += (uint32_t)cmy_add64_relaxed(&tally->breaker.window, 1);
    uint64_t before = cmy_load64_acquire(&tally->breaker.before);
    if (cmy_window_start(before) != cmy_window_start(seen))
        return false; /* begun by who did not come to say how many successes there had been */
    uint64_t requests = failures + ((uint32_t)successes_of(tally) - (uint32_t)before);
    return requests >= rules->minimum && failures * 100 >= requests * rules->share;
}

/* ------------------------------------------------------------------------- opening */

/* Whether too many of the name would be open, with this one, or are. What cannot be counted is too many. */
static bool too_many(const commy_mesh_t *mesh, uint32_t record, const cmy_rules_t *rules)
{
    char name[COMMY_LIMIT_NAME_BYTES + 1];
    cmy_key_t key;
    commy_iterator_t iterator;
    commy_view_t view;
    uint64_t all = 0, open = 1;
    if (rules->most >= 100)
        return false;
    cmy_text_load(cmy_cold_at(mesh->region, record)->name, COMMY_LIMIT_NAME_BYTES, name);
    cmy_key_make_salted(&key, &mesh->region->salt, name, cmy_bytes_length(name, sizeof name));
    cmy_iterate_key(mesh->region, &key, &iterator);
    while (commy_iterate_next(mesh, &iterator, &view)) {
        uint64_t condition = cmy_load64_seq_cst(&cmy_service_at(mesh->region, view._index)->condition);
        all++;
        open += view._index != record && (condition & CMY_CONDITION_OPEN);
    }
    return iterator._endless || open * 100 > all * rules->most;
}

/* CLOSED -> OPEN(0), from a change that was seen. First the turn, which nobody has: pairs with the acquire of the
 * condition by who wants it. */
static bool open_from(cmy_service_shm_t *service, uint64_t state, cmy_tally_shm_t *tally, uint64_t seen,
                      const cmy_rules_t *rules)
{
    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        uint64_t before = cmy_load64_acquire(&tally->breaker.turn);
        if (!still(service, state, seen))
            return false; /* behind the turn: while it is closed nobody takes one */
        uint64_t after = cmy_turn(CMY_NOBODY, cmy_tick_after(cmy_clock_monotonic_ns(), rules->open_ms));
        if (before == after || cmy_swap64_acq_rel(&tally->breaker.turn, before, after))
            return turn_over(service, seen, true, 0);
    }
    return false;
}

/* A failure of one that is closed. Where it may not be opened for others that are, it is not asked at every failure, since
 * counting walks the name's instances. */
static void count_failure(commy_mesh_t *mesh, uint32_t record, uint64_t state, cmy_tally_shm_t *tally, uint64_t seen,
                          const cmy_rules_t *rules)
{
    cmy_service_shm_t *service = cmy_service_at(mesh->region, record);
    uint64_t streak = cmy_add64_relaxed(&tally->breaker.streak, 1) + 1;
    bool in_a_row = streak >= rules->streak && (rules->most >= 100 || streak % rules->streak == 0);
    bool over = rules->share > 0 && share_is_over(tally, rules);
    if (!in_a_row && !over)
        return;
    bool refused = too_many(mesh, record, rules);
    if (!refused && open_from(service, state, tally, seen, rules)) {
        /* Taken back late, when it was tried meanwhile: it stays open. */
        refused = too_many(mesh, record, rules) && turn_over(service, cmy_condition_turned(seen, true, 0), false, 0);
        if (!refused)
            cmy_add64_relaxed(&tally->breaker.opened, 1);
        tell(mesh, record, state, refused ? COMMY_EVENT_BREAKER_CLOSED : COMMY_EVENT_BREAKER_OPENED,
             refused    ? COMMY_REASON_SHARE
             : in_a_row ? COMMY_REASON_FAILURES
                        : COMMY_REASON_FAILURE_RATE);
    }
    if (refused)
        cmy_store64_relaxed(&tally->breaker.window, 0);
}

/* ---------------------------------------------------------------------- half-open */

static bool due(const cmy_region_t *region, uint64_t turn, uint64_t now)
{
    uint32_t owner = cmy_turn_owner(turn);
    return cmy_turn_left(turn, now) == 0 || (owner != CMY_NOBODY && !cmy_life_alive(region, owner));
}

bool cmy_breaker_try(commy_mesh_t *mesh, uint32_t record, uint64_t state, uint64_t *tick)
{
    cmy_region_t *region = mesh->region;
    const cmy_service_shm_t *service = cmy_service_at(region, record);
    uint64_t now_ns = cmy_clock_monotonic_ns(), link, seen = cmy_load64_acquire(&service->condition);
    cmy_tally_shm_t *tally = cmy_tally_follow(region, record, state, &link);
    *tick = cmy_tick(now_ns) + 1;
    if (!tally || !cmy_condition_of(seen, state) || !(seen & CMY_CONDITION_OPEN))
        return false;
    uint64_t turn = cmy_load64_acquire(&tally->breaker.turn);
    if (!due(region, turn, cmy_tick(now_ns))) {
        *tick = cmy_tick(now_ns) + cmy_turn_left(turn, cmy_tick(now_ns));
        return false;
    }
    const cmy_rules_t rules = cmy_rules(region);
    uint64_t until = cmy_tick_after(now_ns, cmy_rules_wait_ms(&rules, cmy_condition_exponent(seen)));
    if (!still(service, state, seen) ||
        !cmy_swap64_acq_rel(&tally->breaker.turn, turn, cmy_turn(mesh->actor.owner, until)) ||
        !still(service, state, seen))
        return false;
    cmy_service_note(region, record, state, mesh->actor.owner, COMMY_EVENT_BREAKER_HALF_OPENED, COMMY_REASON_TIME);
    return true;
}

static bool succeed(commy_mesh_t *mesh, uint32_t record, uint64_t state, cmy_tally_shm_t *tally, uint64_t seen)
{
    forget(tally);
    if (!turn_over(cmy_service_at(mesh->region, record), seen, false, 0))
        return false;
    tell(mesh, record, state, COMMY_EVENT_BREAKER_CLOSED, COMMY_REASON_PROBE_SUCCEEDED);
    return true;
}

static bool fail(commy_mesh_t *mesh, uint32_t record, uint64_t state, cmy_tally_shm_t *tally, uint64_t mine,
                 uint64_t seen)
{
    const cmy_rules_t rules = cmy_rules(mesh->region);
    uint32_t exponent = cmy_condition_exponent(seen);
    exponent += exponent < CMY_EXPONENT_MAX;
    uint64_t later = cmy_tick_after(cmy_clock_monotonic_ns(), cmy_rules_wait_ms(&rules, exponent));
    if (!cmy_swap64_acq_rel(&tally->breaker.turn, mine, cmy_turn(CMY_NOBODY, later)))
        return false;
    if (turn_over(cmy_service_at(mesh->region, record), seen, true, exponent))
        cmy_service_note(mesh->region, record, state, mesh->actor.owner, COMMY_EVENT_BREAKER_OPENED,
                         COMMY_REASON_PROBE_FAILED);
    return true;
}

/* A report while it is open: of the one whose turn it is, or of no account. */
static void decide(commy_mesh_t *mesh, uint32_t record, uint64_t state, cmy_tally_shm_t *tally, uint64_t seen,
                   bool success)
{
    cmy_service_shm_t *service = cmy_service_at(mesh->region, record);
    for (uint32_t turn = 0; turn < RETRIES && (seen & CMY_CONDITION_OPEN); turn++) {
        uint64_t mine = cmy_load64_acquire(&tally->breaker.turn), now = cmy_load64_acquire(&service->condition);
        if (!same_change(now, seen)) { /* somebody who failed long ago raised e, or it is closed */
            seen = now;
            continue;
        }
        if (cmy_turn_owner(mine) != mesh->actor.owner || !still(service, state, seen))
            return;
        if (success ? succeed(mesh, record, state, tally, seen) : fail(mesh, record, state, tally, mine, seen))
            return;
    }
}

/* ------------------------------------------------------------------------ reports */

void cmy_breaker_heed(commy_mesh_t *mesh, uint32_t record, uint64_t state, bool success)
{
    cmy_region_t *region = mesh->region;
    cmy_tally_shm_t *tally = cmy_tally_linked(region, record, state);
    uint64_t condition = cmy_load64_acquire(&cmy_service_at(region, record)->condition);
    const cmy_rules_t rules = cmy_rules(region);
    if (!tally || !cmy_condition_of(condition, state))
        return;
    bool open = condition & CMY_CONDITION_OPEN;
    if (open && rules.on)
        decide(mesh, record, state, tally, condition, success);
    else if (open && success)
        cmy_breaker_close(mesh, record, state, COMMY_REASON_NONE);
    else if (success)
        cmy_store64_relaxed(&tally->breaker.streak, 0);
    else if (rules.on && rules.streak > 0)
        count_failure(mesh, record, state, tally, condition, &rules);
}

void cmy_breaker_close(commy_mesh_t *mesh, uint32_t record, uint64_t state, uint32_t reason)
{
    cmy_service_shm_t *service = cmy_service_at(mesh->region, record);
    cmy_tally_shm_t *tally = cmy_tally_linked(mesh->region, record, state);
    uint64_t seen = cmy_load64_acquire(&service->condition);
    if (!cmy_condition_of(seen, state))
        return;
    if (tally)
        forget(tally);
    for (uint32_t turn = 0; turn < RETRIES && cmy_condition_of(seen, state) && (seen & CMY_CONDITION_OPEN); turn++) {
        if (turn_over(service, seen, false, 0)) {
            tell(mesh, record, state, COMMY_EVENT_BREAKER_CLOSED, reason);
            return;
        }
        seen = cmy_load64_acquire(&service->condition);
    }
}

/* ------------------------------------------------------------------------ reading */

void cmy_breaker_read(const cmy_region_t *region, uint32_t record, uint64_t state, commy_breaker_status_t *status)
{
    uint64_t condition = cmy_load64_acquire(&cmy_service_at(region, record)->condition), link;
    const cmy_tally_shm_t *tally = cmy_tally_follow(region, record, state, &link);
    uint64_t now_ns = cmy_clock_monotonic_ns();
    *status = (commy_breaker_status_t){.state = COMMY_BREAKER_CLOSED};
    if (!tally)
        return;
    uint64_t streak = cmy_load64_relaxed(&tally->breaker.streak);
    status->failures = streak < UINT32_MAX ? (uint32_t)streak : UINT32_MAX;
    status->openings = cmy_load64_relaxed(&tally->breaker.opened);
    if (!(condition & CMY_CONDITION_OPEN) || !cmy_rules_on(region))
        return;
    uint64_t turn = cmy_load64_acquire(&tally->breaker.turn);
    bool now = due(region, turn, cmy_tick(now_ns)), tried = !now && cmy_turn_owner(turn) != CMY_NOBODY;
    status->state = now || tried ? COMMY_BREAKER_HALF_OPEN : COMMY_BREAKER_OPEN;
    status->failed_probes = cmy_condition_exponent(condition);
    uint64_t at_ns = (cmy_tick(now_ns) + cmy_turn_left(turn, cmy_tick(now_ns))) << CMY_TICK_SHIFT;
    status->probe_in_ms = now ? 0 : (at_ns - now_ns + 999999) / 1000000; /* not due: at_ns is later */
    commy_participant_t prober;
    /* Alive still: so the slot was not another's while it was described. */
    if (tried && cmy_life_describe(region, cmy_owner_slot(cmy_turn_owner(turn)), &prober) &&
        cmy_life_alive(region, cmy_turn_owner(turn))) {
        status->prober_pid = prober.pid;
        memcpy(status->prober, prober.node_id, sizeof status->prober);
    }
}
