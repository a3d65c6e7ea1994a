/*
 * Faults that are put in on purpose. A war that does not find them is worth nothing.
 *
 *     lost      acknowledged registrations of live processes are taken away behind their backs
 *     ghost     a service is there that nobody registered, under the id of a process that never has any
 *     leak      a record is claimed and never given back, by a process that lives
 *     counter   the mesh's count of successes is set back
 */
#include "war.h"

#include "registry/mesh.h"

bool war_plant_named(const char *name, war_plant_t *plant)
{
    static const char *const names[] = {"nothing", "lost", "ghost", "leak", "counter"};
    for (int i = 1; i < 5; i++) {
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
    switch (*(const war_plant_t *)argument) {
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
        break;
    }
    for (;;)
        pause();
}
