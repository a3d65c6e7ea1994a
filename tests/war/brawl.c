/*
 * Brawls: what many want at once, and what comes and goes in crowds. None of it is in the log's entries; each act takes away
 * what it made, so that at rest nothing is left of it, and what a process that is killed leaves goes with it.
 *
 *     shared ids    one holder at a time, who is in the log. All stand on one home line of the index, so that every
 *                   insertion scans what others are about to change. Others change and count what is held meanwhile.
 *     anybody's     ids that anybody registers, changes and unregisters, on that line too: of every two who take the same
 *                   service away one must fail, and nobody else's may go instead
 *     brinks        detached services of a millisecond or two, renewed without pause by whoever is there: leases end while
 *                   they are renewed, and others are after the id. Found until their end, and given away only after it
 *     crowds        more instances of a name than its group has cells, under a name that nobody else uses: lines and groups
 *                   come and go, and every instance is counted
 *     references    to what was unregistered: refused, whoever has the record by now
 */
#include "war.h"

#include "registry/mesh.h"

#define ANYBODYS 4u
#define CROWD 25u /* one more than a group's own cells, and a few */
#define CROWD_NAMES 500u

static char shared_id[SHARED][64], anybodys_id[ANYBODYS][64];
static char long_text[901]; /* more than a small block has room for */

/* ------------------------------------------------------------- one home line */

static uint32_t home_of(const commy_mesh_t *mesh, const char *id)
{
    return cmy_index_home(XXH3_64bits_withSeed(id, strlen(id), mesh->region->seed), mesh->region->layout.id_lines);
}

/* The first id of a stem on that line. */
static void find_id(const commy_mesh_t *mesh, uint32_t home, const char *stem, uint32_t number, char id[64])
{
    uint32_t turn = 0;
    do
        snprintf(id, 64, number % 2 ? "%s-%u-%u" : "%s-%u-%u-with-an-id-for-the-cold", stem, number, turn++);
    while (home_of(mesh, id) != home);
}

void war_brawl_begin(const commy_mesh_t *mesh)
{
    uint32_t home = home_of(mesh, "shared");
    memset(long_text, 'x', sizeof long_text - 1);
    for (uint32_t i = 0; i < SHARED; i++)
        find_id(mesh, home, "shared", i, shared_id[i]);
    for (uint32_t i = 0; i < ANYBODYS; i++)
        find_id(mesh, home, "anybodys", i, anybodys_id[i]);
}

/* ------------------------------------------------------------------ changing */

/* It is there, or it is not. */
static bool be_there(commy_status_t status, const char *what, uint32_t number)
{
    return status != COMMY_STATUS_NOT_FOUND && war_called(status, what, number);
}

/* Changes what may be anybody's, in whatever life of it. */
static void meddle(war_fighter_t *f, const char *id, uint32_t number)
{
    static const char *const texts[] = {"", "short", "of a brawler"};
    commy_target_t target;
    uint32_t dice = below(&f->random, 8);
    switch (dice) {
    case 0:
        be_there(commy_service_set_weight(f->mesh, id, dice), "meddle with a weight", number);
        break;
    case 1:
        be_there(commy_service_set_admin(f->mesh, id, COMMY_ADMIN_DRAINING), "meddle with an admin state", number);
        break;
    case 2:
        be_there(commy_service_heartbeat(f->mesh, id), "meddle with a lease", number);
        break;
    case 3:
    case 4:
        if (commy_service_find(f->mesh, id, &target) == COMMY_STATUS_SUCCESS)
            be_there(war_report(f, target.reference, dice == 3), "report to what is brawled for", number);
        break;
    case 5:
        be_there(commy_service_set_metadata(f->mesh, id, long_text), "meddle with long metadata", number);
        break;
    default:
        be_there(commy_service_set_metadata(f->mesh, id, texts[below(&f->random, 3)]), "meddle with metadata", number);
    }
}

/* --------------------------------------------------------------- shared ids */

/* Who holds an id: place and thread, epoch; dead where its process is doomed or another one's time has begun. */
static uint64_t holder(const war_fighter_t *f)
{
    return (uint64_t)(f->place * THREADS + f->thread + 1) << 32 | f->epoch;
}
static bool is_dead(uint64_t who)
{
    return who == 0 || atomic_load(&war->place[((who >> 32) - 1) / THREADS].doom) != (uint32_t)who * 2;
}

static commy_service_config_t config_of(const char *name, const char *id)
{
    return (commy_service_config_t){
        .size = sizeof(commy_service_config_t), .service_name = name, .service_id = id, .endpoint = "brawl", .port = 1};
}

/* An id is ours: it can be nobody else's. */
static void take(const war_fighter_t *f, uint32_t i)
{
    uint64_t before = atomic_exchange(&war->holder[i], holder(f));
    war_hold(WAR_UNIQUE, is_dead(before), "%s was given to %" PRIx64 " while %" PRIx64 " held it", shared_id[i],
             holder(f), before);
}

static void contend(war_fighter_t *f)
{
    commy_service_info_t info;
    uint32_t i = below(&f->random, SHARED);
    const char *id = shared_id[i];
    const commy_service_config_t config = config_of(war_name(below(&f->random, war->names)), id);
    commy_status_t status = commy_service_register(f->mesh, &config, NULL);
    if (status == COMMY_STATUS_EXISTS) {
        meddle(f, id, i);
        return;
    }
    if (!war_called(status, "register shared", i))
        return;
    take(f, i);
    for (uint32_t n = below(&f->random, 4); n > 0; n--) {
        war_hold(WAR_FOUND,
                 commy_service_get(f->mesh, id, &info) == COMMY_STATUS_SUCCESS && info.owner_pid == (uint32_t)getpid(),
                 "%s: %s", id, commy_last_error_message());
        war_hold(WAR_UNIQUE, commy_service_register(f->mesh, &config, NULL) == COMMY_STATUS_EXISTS, "%s twice", id);
        meddle(f, id, i);
    }
    atomic_store(&war->holder[i], 0);
    war_called(commy_service_unregister(f->mesh, id), "unregister shared", i);
}

/* Nothing but taking ids and giving them back: whoever loses the processor here has it back in another world. */
static void storm(war_fighter_t *f)
{
    commy_service_info_t info;
    for (uint32_t n = 8 + below(&f->random, 32); n > 0; n--) {
        uint32_t i = below(&f->random, SHARED);
        const commy_service_config_t config = config_of(war_name(i % NAMES), shared_id[i]);
        commy_status_t status = commy_service_register(f->mesh, &config, NULL);
        if (status == COMMY_STATUS_EXISTS)
            continue;
        if (!war_called(status, "storm an id", i))
            return;
        take(f, i);
        war_hold(WAR_UNIQUE,
                 commy_service_get(f->mesh, shared_id[i], &info) != COMMY_STATUS_SUCCESS ||
                     info.owner_pid == (uint32_t)getpid(),
                 "%s is held by us, and shown as held by process %u", shared_id[i], info.owner_pid);
        atomic_store(&war->holder[i], 0);
        war_called(commy_service_unregister(f->mesh, shared_id[i]), "leave a storm", i);
    }
}

/* -------------------------------------------------------------- anybody's ids */

/* Whoever registers one unregisters it before he goes, or finds that somebody did: the last to come leaves nothing. */
static void scuffle(war_fighter_t *f)
{
    uint32_t i = below(&f->random, ANYBODYS);
    const char *id = anybodys_id[i];
    const commy_service_config_t config = config_of(war_name(below(&f->random, war->names)), id);
    commy_status_t status = commy_service_register(f->mesh, &config, NULL);
    if (status != COMMY_STATUS_EXISTS && !war_called(status, "register anybody's", i))
        return;
    for (uint32_t n = below(&f->random, 4); n > 0; n--)
        meddle(f, id, i);
    if (status == COMMY_STATUS_SUCCESS || below(&f->random, 2))
        be_there(commy_service_unregister(f->mesh, id), "unregister anybody's", i);
}

/* ------------------------------------------------------------------- brinks */

/* A lease of a brink was begun or renewed by a call that began then, and acknowledged. */
static void lengthen(_Atomic uint64_t *until, uint64_t to)
{
    uint64_t seen = atomic_load(until);
    while (seen < to && !atomic_compare_exchange_weak(until, &seen, to))
        ;
}

/* `until` was read before a call that has just said that the service is not there, or has just given its id away. */
static void expect_ended(uint32_t i, uint64_t until, const char *what)
{
    uint64_t now = now_ns();
    war_hold(WAR_LEASE, now >= until, "brink %u is %s %" PRIu64 " us before its end", i, what, (until - now) / 1000);
}

static void hold_on(war_fighter_t *f)
{
    char id[32];
    uint32_t i = below(&f->random, BRINKS);
    uint64_t ttl_ms = 1 + i % 2, length = ttl_ms * 1000000;
    _Atomic uint64_t *end = &war->brink[i];
    snprintf(id, sizeof id, "brink-%u", i);
    commy_service_config_t config = config_of(war_name(i), id);
    config.flags = COMMY_SERVICE_DETACHED;
    config.ttl_ms = ttl_ms;
    uint64_t until = atomic_load(end), began = now_ns();
    commy_status_t status = commy_service_register(f->mesh, &config, NULL);
    if (status != COMMY_STATUS_EXISTS) {
        if (!war_called(status, "register on the brink", i))
            return;
        expect_ended(i, until, "given away");
        lengthen(end, began + length);
    }
    for (uint32_t n = below(&f->random, 60); n > 0; n--) {
        until = atomic_load(end);
        began = now_ns();
        status = commy_service_heartbeat(f->mesh, id);
        if (status == COMMY_STATUS_NOT_FOUND) {
            expect_ended(i, until, "not found");
            return;
        }
        if (war_called(status, "renew on the brink", i))
            lengthen(end, began + length);
    }
}

/* -------------------------------------------------------------------- crowds */

static size_t count_of(const war_fighter_t *f, const char *name)
{
    size_t count = 0;
    war_called(commy_name_count(f->mesh, name, &count), "count a crowd", 0);
    return count;
}

static void crowd(war_fighter_t *f)
{
    char name[48], id[CROWD + 10][48];
    uint32_t wanted = CROWD + below(&f->random, 10), made = 0;
    snprintf(name, sizeof name, "crowd-%u-%u-%u", f->place, f->thread, below(&f->random, CROWD_NAMES));
    for (; made < wanted; made++) {
        snprintf(id[made], sizeof id[made], "crowd-%u-%u-%u-%u", f->place, f->thread, f->epoch, made);
        const commy_service_config_t config = config_of(name, id[made]);
        if (!war_called(commy_service_register(f->mesh, &config, NULL), "register a crowd", made))
            break;
    }
    size_t counted = count_of(f, name);
    war_hold(WAR_ONCE, counted == made, "%s has %zu instances, not %u", name, counted, made);
    for (uint32_t i = 0; i < made; i++)
        war_called(commy_service_unregister(f->mesh, id[i]), "unregister a crowd", i);
    counted = count_of(f, name);
    war_hold(WAR_ABSENT, counted == 0, "%s has %zu instances after all went", name, counted);
}

/* ------------------------------------------------------------------ references */

static void refer_to_the_past(war_fighter_t *f)
{
    uint64_t reference = f->gone[below(&f->random, ENTRIES)];
    if (reference == 0)
        return;
    commy_status_t status = commy_service_report(f->mesh, reference, 1, true);
    war_hold(WAR_STALE, status == COMMY_STATUS_NOT_FOUND, "reference %" PRIx64 ": code %d", reference, (int)status);
}

void war_brawl(war_fighter_t *f)
{
    uint32_t dice = below(&f->random, 64);
    if (f->place % 8 == 5 && dice % 2)
        storm(f); /* a few do little else: were they many, all ids would be taken all the time */
    else if (dice < 24)
        contend(f);
    else if (dice < 40)
        scuffle(f);
    else if (dice < 56)
        hold_on(f);
    else if (dice < 62)
        refer_to_the_past(f);
    else if (dice == 62)
        crowd(f);
}
