/*
 * Wards: services of one name to which nothing happens but that their breakers open, are tried and close again.
 *
 * Detached, and registered by the first who come, they are all there for a whole battle: so it is known how many of them
 * may be open. What is promised of their breakers (registry/breaker.h) is held up against the log, and against condition and
 * turn, which are read before and after a call: where they are the same, they were so throughout.
 *
 * trying   whoever selects a ward that was open throughout has its turn until it reports, or the time is over that it began
 *          with before the selection, or it dies. It says so here; then it looks whether another says the same, of the same
 *          change. Of two at least one sees both.
 * failing  a ward too many may stay open for each who was killed, or stopped, between opening it and counting again. Whoever
 *          reports a failure writes it down before, and again after, unless it took so long that others may have tried
 *          the ward in between. So what was begun and not ended is the most that there may be too many.
 */
#include "ward.h"

#define CHANGES 9u /* bits of the count of a condition's changes */

const commy_breaker_config_t war_ward_rules = {.size = sizeof war_ward_rules,
                                               .enabled = 1,
                                               .consecutive_failures = 3,
                                               .failure_percent = 80,
                                               .minimum_requests = 12,
                                               .most_ejected_percent = 30,
                                               .window_ms = 500,
                                               .open_ms = 40,
                                               .longest_open_ms = 300};

void war_ward_id(uint32_t w, char id[16])
{
    snprintf(id, 16, "ward-%u", w);
}

/* ----------------------------------------------------------------- admission */

static void admit(commy_mesh_t *mesh, uint32_t w)
{
    char id[16];
    war_ward_id(w, id);
    const char *tags[] = {id};
    const commy_service_config_t ward = {.size = sizeof ward,
                                         .flags = COMMY_SERVICE_DETACHED,
                                         .service_name = WARD_NAME,
                                         .service_id = id,
                                         .endpoint = "ward",
                                         .tags = tags,
                                         .tag_count = 1,
                                         .ttl_ms = 3600000,
                                         .port = (uint16_t)(1 + w)};
    commy_status_t status = commy_service_register(mesh, &ward, NULL);
    if (status == COMMY_STATUS_EXISTS || war_called(status, "register a ward", w))
        atomic_store(&war->ward[w], 1);
}

void war_ward_begin(commy_mesh_t *mesh)
{
    if (!atomic_load(&war->breakers) &&
        war_called(commy_mesh_set_breaker(mesh, &war_ward_rules), "configure breakers", 0))
        atomic_store(&war->breakers, 1);
    for (uint32_t w = 0; war->roomy && w < WARDS; w++)
        if (!atomic_load(&war->ward[w]))
            admit(mesh, w);
}

uint32_t war_inmates(const commy_mesh_t *mesh, const char *stem, uint32_t of)
{
    char id[16];
    uint32_t there = 0;
    commy_target_t target;
    for (uint32_t i = 0; i < of; i++) {
        snprintf(id, sizeof id, "%s-%u", stem, i);
        there += commy_service_find(mesh, id, &target) == COMMY_STATUS_SUCCESS;
    }
    return there;
}

void war_discharge(commy_mesh_t *mesh, const char *stem, uint32_t of)
{
    char id[16];
    for (uint32_t i = 0; i < of; i++) {
        snprintf(id, sizeof id, "%s-%u", stem, i);
        commy_service_unregister(mesh, id);
    }
}

/* --------------------------------------------------------------------- turns */

static uint64_t change_of(uint64_t condition)
{
    return condition >> CMY_CHANGES_SHIFT & ((1u << CHANGES) - 1);
}

static bool has_passed(const ward_look_t *look)
{
    return cmy_turn_left(look->turn, cmy_tick(now_ns())) == 0;
}
static bool is_of_the_dead(const commy_mesh_t *mesh, const ward_look_t *look)
{
    uint32_t owner = cmy_turn_owner(look->turn);
    return owner != CMY_NOBODY && !cmy_life_alive(mesh->region, owner);
}

void war_forget_turns(uint32_t place)
{
    for (uint32_t w = 0; w < WARDS; w++)
        atomic_store(&war->place[place].trying[w], 0);
}

/* From a selection that began then: until when the turn is sure to be ours, in us. */
static uint64_t sure_until_us(uint64_t condition, uint64_t began_ns)
{
    uint64_t ms = war_ward_rules.open_ms << cmy_condition_exponent(condition);
    return (began_ns + (ms < war_ward_rules.longest_open_ms ? ms : war_ward_rules.longest_open_ms) * 1000000) / 1000;
}

/* Whether another has the same turn at a time at which it was ours, by what both have written down. */
static bool is_shared_with(uint32_t p, uint32_t w, uint64_t mine)
{
    const war_place_t *place = &war->place[p];
    uint32_t doom = atomic_load(&place->doom);
    uint64_t its = atomic_load(&place->trying[w]), now_us = now_ns() / 1000;
    return doom % 2 == 0 && ((its ^ mine) & ((1u << CHANGES) - 1)) == 0 && now_us < its >> CHANGES &&
           now_us < mine >> CHANGES && atomic_load(&place->trying[w]) == its && atomic_load(&place->doom) == doom;
}

/* A ward was selected that was open throughout: so it is ours to try. */
static void hold_turn(war_fighter_t *f, uint32_t w, uint64_t condition, uint64_t began_ns)
{
    _Atomic uint64_t *trying = &war->place[f->place].trying[w];
    uint64_t until_us = sure_until_us(condition, began_ns), mine = until_us << CHANGES | change_of(condition);
    atomic_store(trying, mine);
    const ward_look_t look = ward_look_at(f->mesh, w);
    /* Another thread of ours may have reported by now, and given it away. */
    if (f->threads == 1 && look.condition == condition && now_ns() / 1000 < until_us)
        war_hold(WAR_SPARED, cmy_turn_owner(look.turn) == f->mesh->actor.owner,
                 "ward %u, condition %" PRIx64 ", was selected, and turn %" PRIx64 " is not ours", w, condition,
                 look.turn);
    for (uint32_t p = 0; p < PLACES; p++) {
        bool shared = p != f->place && is_shared_with(p, w, mine) && atomic_load(trying) == mine;
        if (p + 1 == PLACES || shared)
            war_hold(WAR_TURN, !shared, "ward %u, change %" PRIu64 ": places %u and %u", w, change_of(condition),
                     f->place, p);
        if (shared)
            return;
    }
}

void war_ward_tell(war_fighter_t *f, uint32_t w, bool success)
{
    char id[16];
    commy_target_t target;
    war_place_t *place = &war->place[f->place];
    war_ward_id(w, id);
    if (commy_service_find(f->mesh, id, &target) != COMMY_STATUS_SUCCESS)
        return;
    atomic_store(&place->trying[w], 0);
    if (!success)
        atomic_fetch_add(&place->failing[f->thread], 1);
    uint64_t began = now_ns();
    war_called(war_report(f, target.reference, success), "report to a ward", w);
    if (!success && now_ns() - began < war_ward_rules.open_ms * 1000000)
        atomic_fetch_add(&place->failed[f->thread], 1);
}

/* ----------------------------------------------------------------- selecting */

/* Selects any ward, or one by its tag. WARDS: none. */
uint32_t war_ward_choose(war_fighter_t *f, const char *tag, ward_look_t before[WARDS])
{
    commy_target_t target;
    const commy_select_options_t options = {
        .size = sizeof options, .policy = (int32_t)below(&f->random, 6), .client_id = "w", .tag = tag};
    ward_look_at_all(f->mesh, before);
    uint64_t began = now_ns();
    commy_status_t status = commy_service_select(f->mesh, WARD_NAME, &options, &target);
    if (status == COMMY_STATUS_SUCCESS) {
        uint32_t w = target.port - 1u;
        if (!war_hold(WAR_WHOLE, w < WARDS, "a ward with port %u", target.port))
            return WARDS;
        const ward_look_t after = ward_look_at(f->mesh, w);
        if (ward_stayed_open(&before[w], &after))
            hold_turn(f, w, after.condition, began);
        return w;
    }
    war_hold(WAR_CALLS, status == COMMY_STATUS_CIRCUIT_OPEN, "select a ward: code %d, %s", (int)status,
             commy_last_error_message());
    for (uint32_t w = 0; w < WARDS; w++) {
        char id[16];
        const ward_look_t after = ward_look_at(f->mesh, w);
        war_ward_id(w, id);
        if ((!tag || strcmp(tag, id) == 0) && ward_stayed_closed(&before[w], &after))
            war_hold(WAR_FIT, false, "ward %u was closed: code %d, %s", w, (int)status, commy_last_error_message());
    }
    return WARDS;
}

/* Selects that very ward. Its turn was free where *was_free says so; whether it was given to us. */
bool war_ward_take(war_fighter_t *f, uint32_t w, bool *was_free)
{
    char id[16];
    ward_look_t before[WARDS];
    war_ward_id(w, id);
    const ward_look_t first = ward_look_at(f->mesh, w);
    bool dead = is_of_the_dead(f->mesh, &first), passed = has_passed(&first);
    *was_free = ward_is_open(&first) && (dead || passed);
    bool taken = war_ward_choose(f, id, before) == w;
    const ward_look_t after = ward_look_at(f->mesh, w);
    /* Where it was refused, nobody else has it, in the very same state of things. */
    bool left = !taken && after.turn == first.turn && ward_stayed_open(&first, &after);
    if (*was_free)
        war_hold(WAR_FREE_TURN, !left, "ward %u, turn %" PRIx64 ": %s", w, first.turn, commy_last_error_message());
    if (*was_free && dead && !passed)
        war_hold(WAR_HEIR, !left, "ward %u, turn %" PRIx64 ": %s", w, first.turn, commy_last_error_message());
    return taken;
}

/* -------------------------------------------------------------------- fighting */

void war_ward_reset(commy_mesh_t *mesh, uint32_t w)
{
    char id[16];
    war_ward_id(w, id);
    const ward_look_t before = ward_look_at(mesh, w);
    if (!war_called(commy_service_reset_breaker(mesh, id), "reset a ward", w))
        return;
    const ward_look_t after = ward_look_at(mesh, w);
    war_hold(WAR_RESET, !ward_stayed_open(&before, &after), "ward %u, condition %" PRIx64 ", was reset", w,
             after.condition);
}

/* It was selected: tries it for a moment, and says how it is, mostly. */
static void use(war_fighter_t *f, uint32_t w)
{
    if (below(&f->random, 4) == 0)
        sleep_us(below(&f->random, 1000));
    uint32_t dice = below(&f->random, 8);
    if (dice < 6)
        war_ward_tell(f, w, dice < 2);
}

/* The first that is open, from anywhere. */
static void seek(war_fighter_t *f)
{
    uint32_t first = below(&f->random, WARDS);
    for (uint32_t i = 0; i < WARDS; i++) {
        uint32_t w = (first + i) % WARDS;
        const ward_look_t look = ward_look_at(f->mesh, w);
        if (!ward_is_open(&look) || (!has_passed(&look) && !is_of_the_dead(f->mesh, &look)))
            continue;
        bool was_free;
        if (war_ward_take(f, w, &was_free))
            use(f, w);
        return;
    }
}

/* Those who live longer fail, so that few die of it. */
void war_ward(war_fighter_t *f)
{
    ward_look_t before[WARDS];
    uint32_t kind = atomic_load(&war->place[f->place].kind), w = below(&f->random, WARDS), dice = below(&f->random, 64);
    if (!war->roomy || !atomic_load(&war->ward[w]))
        return;
    if (dice < 1)
        war_ward_reset(f->mesh, w);
    else if (dice < 24 && (kind == WAR_CHURNER || kind == WAR_FORKER))
        for (uint32_t n = 3 + below(&f->random, 4); n > 0; n--)
            war_ward_tell(f, w, false);
    else if (dice < 40)
        seek(f);
    else if ((w = war_ward_choose(f, NULL, before)) < WARDS &&
             (atomic_load(&war->place[f->place].trying[w]) || dice < 44))
        use(f, w);
}
