/*
 * Faults that are put in on purpose. A war that does not find them is worth nothing.
 *
 *     lost      acknowledged registrations of live processes are taken away behind their backs
 *     ghost     a service is there that nobody registered, under the id of a process that never has any
 *     leak      a record is claimed and never given back, by a process that lives
 *     counter   the mesh's count of successes is set back
 *     turn      the turns of those who try open instances are given away again
 *     crowded   more breakers are opened than may be
 *     quack     one who checks nothing has himself for the checker of all patients
 *     erased    the flight recorder forgets
 */
#include "ward.h"

#include "event/event.h"
#include "service/checker.h"

bool war_plant_named(const char *name, war_plant_t *plant)
{
    static const char *const names[WAR_PLANTS] = {"nothing", "lost",    "ghost", "leak",  "counter",
                                                  "turn",    "crowded", "quack", "erased"};
    for (int i = 1; i < WAR_PLANTS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *plant = (war_plant_t)i;
            return true;
        }
    }
    return false;
}

/* Unregisters what belongs to those who live longest, one at a time. */
static void lose(commy_mesh_t *mesh, uint64_t random)
{
    char id[128];
    for (;;) {
        uint32_t e = below(&random, ALL), kind = atomic_load(&war->place[e / ENTRIES].kind);
        if (kind != WAR_CHURNER || e % ENTRIES == LEASED || war_state(atomic_load(&war_entry(e)->word)) != WAR_HELD)
            continue;
        war_id(e, id);
        commy_service_unregister(mesh, id);
        sleep_us(50000);
    }
}

static void haunt(commy_mesh_t *mesh)
{
    char id[128];
    for (uint32_t p = 0; p < SEATS; p++) {
        if (atomic_load(&war->place[p].kind) != WAR_WATCHER)
            continue;
        war_id(p * ENTRIES + 1, id);
        const commy_service_config_t config = {
            .size = sizeof config, .service_name = "ghost", .service_id = id, .endpoint = "ghost", .port = 1};
        commy_service_register(mesh, &config, NULL);
    }
}

/* The record of a ward or patient, and its state; false: not there yet. */
static bool find(const commy_mesh_t *mesh, const char *stem, uint32_t number, uint32_t *record, uint64_t *state)
{
    char id[16];
    snprintf(id, sizeof id, "%s-%u", stem, number);
    return cmy_mesh_look_up(mesh, id, record, state) == COMMY_STATUS_SUCCESS;
}

static void give_turn_away(const commy_mesh_t *mesh, uint32_t w)
{
    uint32_t record;
    uint64_t state, link;
    if (!find(mesh, "ward", w, &record, &state))
        return;
    cmy_tally_shm_t *tally = cmy_tally_follow(mesh->region, record, state, &link);
    if (tally && cmy_turn_owner(cmy_load64_relaxed(&tally->breaker.turn)) != CMY_NOBODY)
        cmy_store64_relaxed(&tally->breaker.turn, cmy_turn(CMY_NOBODY, cmy_tick(now_ns())));
}

static void open_one(const commy_mesh_t *mesh, uint32_t w)
{
    uint32_t record;
    uint64_t state;
    if (!find(mesh, "ward", w, &record, &state))
        return;
    cmy_word64_t *condition = &cmy_service_at(mesh->region, record)->condition;
    uint64_t seen = cmy_load64_relaxed(condition);
    if (!(seen & CMY_CONDITION_OPEN))
        cmy_swap64_acq_rel(condition, seen, cmy_condition_turned(seen, true, 0));
}

static void treat(const commy_mesh_t *mesh, uint32_t i)
{
    uint32_t record;
    uint64_t state;
    if (find(mesh, "patient", i, &record, &state))
        cmy_store64_release(&cmy_cold_at(mesh->region, record)->checker, cmy_checker_word(state, mesh->actor.owner));
}

static void erase(const commy_mesh_t *mesh)
{
    for (uint32_t ring = 0; ring < CMY_EVENT_RINGS; ring++)
        for (uint32_t i = 0; i < CMY_EVENT_ENTRIES; i++)
            cmy_store64_relaxed(&mesh->region->events[ring].entry[i].ticket, 0);
}

/* Those that have to be put in again and again. */
static void interfere(const commy_mesh_t *mesh, war_plant_t plant)
{
    for (;; sleep_us(200)) {
        for (uint32_t w = 0; plant == WAR_PLANT_TURN && w < WARDS; w++)
            give_turn_away(mesh, w);
        for (uint32_t w = 0; plant == WAR_PLANT_CROWDED && w < WARDS; w++)
            open_one(mesh, w);
        for (uint32_t i = 0; plant == WAR_PLANT_QUACK && i < PATIENTS; i++)
            treat(mesh, i);
        if (plant == WAR_PLANT_ERASED)
            erase(mesh);
    }
}

void war_plant(void *argument)
{
    uint32_t record;
    uint64_t claimed;
    commy_mesh_t *mesh;
    sleep_us(1000000);
    while (!(mesh = war_attach(COMMY_OPEN_MUST_EXIST, 0)))
        sleep_us(1000);
    if (commy_mesh_join(mesh, "planter", 0) != COMMY_STATUS_SUCCESS)
        _exit(1);
    atomic_store(&war->guests, 1);
    const war_plant_t plant = *(const war_plant_t *)argument;
    switch (plant) {
    case WAR_PLANT_LOST:
        lose(mesh, now_ns() | 1);
        break;
    case WAR_PLANT_GHOST:
        haunt(mesh);
        break;
    case WAR_PLANT_LEAK:
        cmy_slab_claim(&mesh->actor, CMY_SERVICES, &record, &claimed);
        break;
    case WAR_PLANT_COUNTER:
        for (uint32_t block = 0; block < cmy_region_reserved_again(mesh->region, CMY_STATS); block++) {
            cmy_tally_shm_t *tally = cmy_tally_at(mesh->region, block);
            for (uint32_t i = 0; i < CMY_STAT_STRIPES; i++)
                cmy_store64_relaxed(&tally->stripe[i].successes, 0);
        }
        break;
    default:
        interfere(mesh, plant);
    }
    for (;;)
        pause();
}
