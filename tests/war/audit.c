/*
 * Audits.
 *
 * While the war goes on, nobody is paused: about once a second every entry, every name, all totals and versions, and the
 * region's own audit. In a truce every call has come to its end, so that numbers must be equal, versions stand still,
 * and sleepers have seen what there is. When all are dead and buried, nothing may be left.
 */
#include "war.h"

#include "registry/check.h"
#include "registry/mesh.h"

#define AUDIT_EVERY_US 900000u

typedef struct sums {
    uint64_t begun[2], done[2], refused[2];
} sums_t;

static void add_up(sums_t *sums)
{
    *sums = (sums_t){0};
    for (uint32_t p = 0; p < PLACES; p++) {
        for (uint32_t t = 0; t < THREADS; t++) {
            const war_cell_t *cell = &war->place[p].cell[t];
            for (int i = 0; i < 2; i++) {
                sums->begun[i] += atomic_load(&cell->begun[i]);
                sums->done[i] += atomic_load(&cell->done[i]);
                sums->refused[i] += atomic_load(&cell->refused[i]);
            }
        }
    }
}

/* Acknowledged before the look <= what is seen <= begun by then and not known to be refused. */
static void audit_totals(const commy_mesh_t *mesh)
{
    static uint64_t last[2];
    static uint32_t battle;
    sums_t before, after;
    commy_mesh_stats_t stats;
    if (battle != atomic_load(&war->battle))
        last[0] = last[1] = 0;
    battle = atomic_load(&war->battle);
    add_up(&before);
    if (!war_hold(WAR_CALLS, commy_mesh_stats(mesh, &stats) == COMMY_STATUS_SUCCESS, "mesh stats"))
        return;
    add_up(&after);
    const uint64_t seen[2] = {stats.failed_requests, stats.successful_requests};
    for (int i = 0; i < 2; i++) {
        uint64_t most = after.begun[i] - before.refused[i];
        war_hold(WAR_TOTALS, before.done[i] <= seen[i] && seen[i] <= most,
                 "%s: %" PRIu64 ", acknowledged %" PRIu64 ", with in doubt %" PRIu64, i ? "successes" : "failures",
                 seen[i], before.done[i], most);
        war_hold(WAR_FORWARD, seen[i] >= last[i], "%s of the mesh: %" PRIu64 " after %" PRIu64,
                 i ? "successes" : "failures", seen[i], last[i]);
        last[i] = seen[i];
    }
}

/* A service's counts never go back within one registration. */
static void audit_forward(const commy_mesh_t *mesh, uint32_t e)
{
    static struct {
        uint32_t registration, battle;
        uint64_t successes, failures;
    } last[ALL];
    char id[128];
    commy_service_stats_t stats;
    uint32_t battle = atomic_load(&war->battle);
    uint64_t word = atomic_load(&war_entry(e)->word);
    war_id(e, id);
    if (!war_is_in(word) || commy_service_stats(mesh, id, &stats) != COMMY_STATUS_SUCCESS)
        return;
    uint64_t again = atomic_load(&war_entry(e)->word);
    if (!war_is_in(again) || war_registration(again) != war_registration(word))
        return;
    if (last[e].battle == battle && last[e].registration == war_registration(word))
        war_hold(WAR_FORWARD,
                 stats.successful_requests >= last[e].successes && stats.failed_requests >= last[e].failures,
                 "entry %u: %" PRIu64 " and %" PRIu64 " after %" PRIu64 " and %" PRIu64, e, stats.successful_requests,
                 stats.failed_requests, last[e].successes, last[e].failures);
    last[e].battle = battle;
    last[e].registration = war_registration(word);
    last[e].successes = stats.successful_requests;
    last[e].failures = stats.failed_requests;
}

void war_audit_all(const commy_mesh_t *mesh)
{
    static uint64_t random = 4711;
    for (uint32_t e = 0; e < ALL; e++) {
        war_expect_entry(mesh, e, true);
        audit_forward(mesh, e);
    }
    for (uint32_t name = 0; name < NAMES; name++)
        war_expect_name(mesh, name);
    for (uint32_t i = 0; war->names > NAMES && i < NAMES; i++)
        war_expect_name(mesh, below(&random, war->names));
    war_expect_name(mesh, WAR_WALK);
    audit_totals(mesh);
    war_audit_wards(mesh);
    war_audit_events(mesh);
    atomic_fetch_add(&war->audits, 1);
}

/* ------------------------------------------------------------ the region's audit */

static void keep_finding(void *user, const char *where, const char *what)
{
    char *first = user;
    if (!first[0])
        snprintf(first, 512, "%s: %s", where, what);
}

/* A process that is stopped between two certain instructions makes a finding that goes when it goes on (check.c, d), and
 * so may one that gets no processor for so long: what is found is looked for again while nobody is stopped. */
static void audit_region(const commy_mesh_t *mesh)
{
    char first[512];
    uint64_t findings = 0;
    for (int turn = 0; turn < 6; turn++) {
        first[0] = '\0';
        if (commy_mesh_check(mesh, keep_finding, first, &findings) == COMMY_STATUS_SUCCESS)
            break;
        atomic_store(&war->calm, 1);
        sleep_us(300000);
    }
    atomic_store(&war->calm, 0);
    war_hold(WAR_SOUND, findings == 0, "%" PRIu64 " findings; %s", findings, first);
}

void war_audit(void *argument)
{
    uint64_t version[NAMES + 1] = {0}, now;
    commy_mesh_t *mesh;
    (void)argument;
    while (!(mesh = war_attach(COMMY_OPEN_READ_ONLY, PLACES - 1))) {
        if (atomic_load(&war->closing))
            _exit(0);
        sleep_us(1000);
    }
    while (!atomic_load(&war->closing)) {
        war_audit_all(mesh);
        for (uint32_t i = 0; i <= NAMES; i++) {
            commy_mesh_wait(mesh, i < NAMES ? war_name(i) : NULL, 0, 0, &now);
            war_hold(WAR_GROWS, now >= version[i], "%s: %" PRIu64 " after %" PRIu64,
                     i < NAMES ? war_name(i) : "the mesh", now, version[i]);
            version[i] = now;
        }
        audit_region(mesh);
        for (int i = 0; i < 50 && !atomic_load(&war->closing); i++) {
            sleep_us(AUDIT_EVERY_US / 50);
            for (uint32_t e = 0; i % 5 == 4 && e < ALL; e++)
                audit_forward(mesh, e);
        }
    }
    _exit(0);
}

/* -------------------------------------------------------------------- at rest */

static uint32_t in_use(const commy_mesh_t *mesh, cmy_slab_kind_t kind)
{
    uint32_t used = 0, records = cmy_region_reserved_again(mesh->region, kind);
    for (uint32_t i = 0; i < records; i++)
        used += cmy_state_phase(cmy_load64_acquire(cmy_state_at(mesh->region, kind, i))) != CMY_FREE;
    return used;
}

/* Slots that are taken; UINT32_MAX while one is neither FREE nor ARMED. */
static uint32_t slots(const commy_mesh_t *mesh)
{
    uint32_t armed = 0;
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        cmy_life_phase_t phase = cmy_life_phase(cmy_load64_acquire(&mesh->region->life[slot].phase));
        if (phase != CMY_SLOT_FREE && phase != CMY_SLOT_ARMED)
            return UINT32_MAX;
        armed += phase == CMY_SLOT_ARMED;
    }
    return armed;
}

typedef struct wanted {
    uint32_t services, small, large, slots;
} wanted_t;

/* What the log says is in use. Everybody is parked or dead, and leases have ended. */
static wanted_t wanted(const commy_mesh_t *mesh)
{
    wanted_t all = {.services = war_inmates(mesh, "ward", WARDS) + war_inmates(mesh, "patient", PATIENTS),
                    .slots = atomic_load(&war->guests)};
    char text[1024];
    for (uint32_t p = 0; p < PLACES; p++) {
        const war_place_t *place = &war->place[p];
        if (atomic_load(&place->doom) % 2 == 1)
            continue;
        all.slots += atomic_load(&place->joined);
        for (uint32_t e = p * ENTRIES; e < (p + 1) * ENTRIES; e++) {
            uint64_t content = atomic_load(&war_entry(e)->content);
            if (!war_is_in(atomic_load(&war_entry(e)->word)) || (content & WAR_DETACHED))
                continue;
            size_t bytes = war_metadata(e, content, text);
            all.services++;
            all.small += bytes > 0 && bytes <= CMY_SMALL_TEXT_BYTES;
            all.large += bytes > CMY_SMALL_TEXT_BYTES;
        }
    }
    return all;
}

static void compare(const commy_mesh_t *mesh)
{
    uint64_t began = now_ns();
    wanted_t want = wanted(mesh);
    uint32_t services, small, large, stats, armed;
    bool same;
    do {
        services = in_use(mesh, CMY_SERVICES);
        small = in_use(mesh, CMY_SMALL_TEXTS);
        large = in_use(mesh, CMY_LARGE_TEXTS);
        stats = in_use(mesh, CMY_STATS);
        armed = slots(mesh);
        same = services == want.services && small == want.small && large == want.large && stats <= services &&
               armed == want.slots;
        if (!same)
            sleep_us(5000);
    } while (!same && now_ns() - began < war_patience_ns());
    war_hold(WAR_NO_LEAK, services == want.services && small == want.small && large == want.large && stats <= services,
             "services %u of %u, small texts %u of %u, large texts %u of %u, statistics %u", services, want.services,
             small, want.small, large, want.large, stats);
    war_hold(WAR_SLOTS, armed == want.slots, "%d slots of %u", (int)armed, want.slots);
}

/* A keeper may be at the last of its housekeeping, so what is found is looked for again for a while. */
static void audit_exactly(const commy_mesh_t *mesh)
{
    char first[512];
    uint64_t findings = 0, began = now_ns();
    commy_status_t status;
    do {
        first[0] = '\0';
        status = cmy_check_region(mesh->region, true, keep_finding, first, &findings);
        if (findings > 0)
            sleep_us(5000);
    } while (findings > 0 && now_ns() - began < war_patience_ns());
    war_hold(WAR_EXACT, status == COMMY_STATUS_SUCCESS && findings == 0, "%" PRIu64 " findings; %s", findings, first);
    atomic_fetch_add(&war->exact_audits, 1);
}

/* Nothing changes, so no version does. */
static void stand_still(const commy_mesh_t *mesh)
{
    uint64_t before[NAMES + 1], after;
    for (uint32_t i = 0; i <= NAMES; i++)
        commy_mesh_wait(mesh, i < NAMES ? war_name(i) : NULL, 0, 0, &before[i]);
    sleep_us(150000);
    for (uint32_t i = 0; i <= NAMES; i++) {
        commy_mesh_wait(mesh, i < NAMES ? war_name(i) : NULL, 0, 0, &after);
        war_hold(WAR_STANDS, after == before[i], "%s: %" PRIu64 " after %" PRIu64, i < NAMES ? war_name(i) : "the mesh",
                 after, before[i]);
    }
}

/* What a watcher saw after it was woken last is what there is. A wake takes its time on a busy machine. */
static void audit_watcher(const commy_mesh_t *mesh, const war_place_t *place)
{
    uint32_t doom = atomic_load(&place->doom);
    uint64_t began = now_ns(), digest = 0, is = 1, watched = 0;
    war_property_t property = WAR_LAST;
    for (bool same = false; !same && now_ns() - began < war_patience_ns();) {
        uint64_t turn = atomic_load(&place->turn);
        watched = atomic_load(&place->watched);
        property = atomic_load(&place->by_watcher) ? WAR_WATCHED : WAR_LAST;
        digest = atomic_load(&place->digest);
        is = war_digest_watched(mesh, watched);
        same = turn > 0 && turn % 2 == 0 && atomic_load(&place->turn) == turn && digest == is;
        if (!same)
            sleep_us(2000);
    }
    if (doom % 2 == 0 && atomic_load(&place->doom) == doom)
        war_hold(property, digest == is, "a watcher of %s %" PRIu64 " saw %" PRIx64 ", there is %" PRIx64,
                 watched == 0       ? "the mesh"
                 : watched <= NAMES ? war_name((uint32_t)watched - 1)
                                    : "entry",
                 watched > NAMES ? watched - NAMES - 1 : 0, digest, is);
}

void war_audit_truce(const commy_mesh_t *mesh)
{
    sleep_us(600000); /* leases are shorter */
    if (wanted(mesh).slots == 0)
        return; /* nobody is left who would reap */
    compare(mesh);
    audit_exactly(mesh);
    war_audit_requests(mesh);
    for (uint32_t p = 0; p < SEATS; p++)
        if (atomic_load(&war->place[p].taken) && atomic_load(&war->place[p].kind) == WAR_WATCHER)
            audit_watcher(mesh, &war->place[p]);
    war_audit_patients(mesh);
    stand_still(mesh);
    war_audit_all(mesh);
    war_hold(WAR_PROGRESS, war_peace(30), "the one who keeps the peace did not come to its end");
}

void war_audit_deserted(commy_mesh_t *mesh)
{
    uint32_t left = 0, armed = 0;
    uint64_t began = now_ns();
    war_discharge(mesh, "ward", WARDS);
    war_discharge(mesh, "patient", PATIENTS);
    do {
        commy_mesh_reap(mesh, NULL);
        left = in_use(mesh, CMY_SERVICES) + in_use(mesh, CMY_STATS) + in_use(mesh, CMY_SMALL_TEXTS) +
               in_use(mesh, CMY_LARGE_TEXTS);
        armed = slots(mesh);
        if (left > 0 || armed != 1)
            sleep_us(2000);
    } while ((left > 0 || armed != 1) && now_ns() - began < war_patience_ns());
    war_hold(WAR_NO_LEAK, left == 0, "%u records are left when all are dead", left);
    war_hold(WAR_SLOTS, armed == 1, "%d slots when all are dead", (int)armed);
    audit_exactly(mesh);
    audit_totals(mesh);
}
