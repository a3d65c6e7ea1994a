/*
 * What fighters do.
 *
 * Every thread of a fighter has entries of its own, and writes each step into the log: intent before a call, what came of
 * it after. In between it looks at others' entries as an auditor would, so that nearly every operation of the war is also
 * a check. Killed anywhere: the entry stays in doubt until waitpid(), and after that nothing of it may be found.
 */
#include "war.h"

static war_cell_t *cell_of(const war_fighter_t *f)
{
    return &war->place[f->place].cell[f->thread];
}

/* Holds a code up against what any call may come to. */
bool war_called(commy_status_t status, const char *what, uint32_t e)
{
    bool full = status == COMMY_STATUS_FULL || status == COMMY_STATUS_NO_SPACE;
    war_hold(WAR_ROOM, !full || !war->roomy, "%s, entry %u: %s", what, e, commy_last_error_message());
    war_hold(WAR_CALLS, full || status == COMMY_STATUS_SUCCESS, "%s, entry %u: code %d, %s", what, e, (int)status,
             commy_last_error_message());
    return status == COMMY_STATUS_SUCCESS;
}

/* -------------------------------------------------------------- own entries */

/* The version of a name, or (WAR_WALK) of the mesh. What was seen before is remembered for the first names. */
static uint64_t version_of(war_fighter_t *f, uint32_t name)
{
    uint64_t now = 0;
    commy_mesh_wait(f->mesh, name == WAR_WALK ? NULL : war_name(name), 0, 0, &now);
    if (name >= NAMES && name != WAR_WALK)
        return now;
    uint64_t *last = &f->version[name == WAR_WALK ? NAMES : name];
    war_hold(WAR_GROWS, now >= *last, "%s: %" PRIu64 " after %" PRIu64, name == WAR_WALK ? "the mesh" : war_name(name),
             now, *last);
    *last = now;
    return now;
}

/* A change was acknowledged: its name's version, or the mesh's, is another than before the call. */
static void moved(war_fighter_t *f, uint32_t name, uint64_t before, const char *what)
{
    if (before != 0)
        war_hold(WAR_MOVES, version_of(f, name) > before, "%s: %" PRIu64 " still", what, before);
}

/* Which version to watch over a change, and what it is; 0 most of the time. */
static uint64_t look_before(war_fighter_t *f, uint32_t e, uint64_t word, uint32_t *which)
{
    *which = below(&f->random, 2) ? WAR_WALK : war_name_of(e, war_registration(word));
    return below(&f->random, 4) == 0 ? version_of(f, *which) : 0;
}

static uint64_t step(war_entry_t *entry, uint64_t word, uint32_t state)
{
    word = war_next(word, state);
    atomic_store(&entry->word, word);
    return word;
}

static void enlist(war_fighter_t *f, uint32_t e)
{
    static _Thread_local war_service_t service;
    char text[1024];
    uint32_t which;
    war_entry_t *entry = war_entry(e);
    bool detached = e % ENTRIES == LEASED;
    uint64_t ttl_ms = detached || below(&f->random, 6) == 0 ? 20 + below(&f->random, 400)
                      : below(&f->random, 4) == 0           ? 3600000
                                                            : 0;
    uint64_t word = step(entry, atomic_load(&entry->word), WAR_ENTERING);
    uint64_t content = (1 + below(&f->random, 65535)) | 1u << 16 | (detached ? WAR_DETACHED : 0) |
                       (chance(&f->random) & 0xffffffff00000000u);
    atomic_store(&entry->content, content);
    atomic_store(&entry->reports, word & 0xffffffff00000000u);
    atomic_store(&entry->tried, word & 0xffffffff00000000u);
    atomic_store(&entry->lasts_until_ns, 0);
    atomic_store(&entry->ends_by_ns, UINT64_MAX);
    atomic_store(&entry->ttl_ns, ttl_ms * 1000000);
    war_describe(e, war_registration(word), content, &service);
    war_metadata(e, content, text);
    const commy_service_config_t config = {.size = sizeof config,
                                           .flags = detached ? COMMY_SERVICE_DETACHED : 0,
                                           .service_name = war_name(service.name),
                                           .service_id = service.id,
                                           .endpoint = service.endpoint,
                                           .metadata = text,
                                           .version = service.version,
                                           .zone = service.zone,
                                           .tags = service.tag,
                                           .tag_count = service.tag_count,
                                           .weight = content & 0xffff,
                                           .ttl_ms = ttl_ms,
                                           .port = service.port};
    uint64_t before = look_before(f, e, word, &which), began = now_ns();
    uint64_t *reference = &f->held[e % ENTRIES];
    bool done = war_called(commy_service_register(f->mesh, &config, reference), "register", e);
    if (done) {
        atomic_store(&entry->lasts_until_ns, began + ttl_ms * 1000000);
        atomic_store(&entry->ends_by_ns, ttl_ms ? now_ns() + ttl_ms * 1000000 : UINT64_MAX);
        moved(f, which, before, "register");
    }
    step(entry, word, done ? WAR_HELD : WAR_NONE);
}

/* Of a lease that has ended, or whose holder died in the middle of a change, not to be found is right. */
static bool may_be_gone(const war_entry_t *entry, uint64_t lasts, commy_status_t status)
{
    return status == COMMY_STATUS_NOT_FOUND && (atomic_load(&entry->content) & WAR_DETACHED) && now_ns() >= lasts;
}

static void discharge(war_fighter_t *f, uint32_t e)
{
    char id[128];
    uint32_t which;
    war_entry_t *entry = war_entry(e);
    war_id(e, id);
    uint64_t lasts = atomic_load(&entry->lasts_until_ns);
    bool sure = war_is_in(atomic_load(&entry->word));
    uint64_t word = step(entry, atomic_load(&entry->word), WAR_LEAVING);
    atomic_store(&entry->lasts_until_ns, 0); /* should this process die now */
    uint64_t before = look_before(f, e, word, &which);
    commy_status_t status = commy_service_unregister(f->mesh, id);
    if (!may_be_gone(entry, sure ? lasts : 0, status) && war_called(status, "unregister", e))
        moved(f, which, before, "unregister");
    f->gone[e % ENTRIES] = f->held[e % ENTRIES]; /* what an earlier process left here is not among them */
    step(entry, word, WAR_NONE);
}

/* Renews a lease: until when it lasts is known again when that is acknowledged. */
static commy_status_t renew(war_fighter_t *f, war_entry_t *entry, const char *id)
{
    uint64_t ttl_ns = atomic_load(&entry->ttl_ns), began = now_ns();
    atomic_store(&entry->ends_by_ns, UINT64_MAX);
    commy_status_t status = commy_service_heartbeat(f->mesh, id);
    if (status == COMMY_STATUS_SUCCESS) {
        atomic_store(&entry->lasts_until_ns, began + ttl_ns);
        atomic_store(&entry->ends_by_ns, ttl_ns ? now_ns() + ttl_ns : UINT64_MAX);
    }
    return status;
}

/* One change of a service that is held; `content` becomes what it is after success. */
static commy_status_t change(war_fighter_t *f, uint32_t e, const char *id, uint64_t *content, bool *announced)
{
    char text[1024];
    uint64_t random = chance(&f->random);
    *announced = true;
    switch (below(&f->random, (*content & WAR_DETACHED) ? 2 : 5)) {
    case 0:
        *announced = false;
        return renew(f, war_entry(e), id);
    case 1:
        *content = (*content & ~0xffffull) | (random & 0xffff);
        return commy_service_set_weight(f->mesh, id, *content & 0xffff);
    case 2:
        *content = (*content & ~(3ull << 16)) | (random & 3) << 16;
        return commy_service_set_health(f->mesh, id, (int32_t)(*content >> 16 & 3));
    case 3:
        *content = (*content & ~(3ull << 18)) | (random % 3) << 18;
        return commy_service_set_admin(f->mesh, id, (int32_t)(*content >> 18 & 3));
    default:
        *content = (*content & 0xffffffffu) | (random & 0xffffffff00000000u);
        war_metadata(e, *content, text);
        return commy_service_set_metadata(f->mesh, id, text);
    }
}

static void update(war_fighter_t *f, uint32_t e)
{
    char id[128];
    uint32_t which;
    bool announced;
    war_entry_t *entry = war_entry(e);
    war_id(e, id);
    uint64_t lasts = atomic_load(&entry->lasts_until_ns), content = atomic_load(&entry->content);
    war_sight_t sight;
    war_sight_open(f, e, war_name_of(e, war_registration(atomic_load(&entry->word))), &sight);
    uint64_t word = step(entry, atomic_load(&entry->word), WAR_UPDATING), before = look_before(f, e, word, &which);
    commy_status_t status = change(f, e, id, &content, &announced);
    war_sight_close(&sight, announced && status == COMMY_STATUS_SUCCESS);
    if (may_be_gone(entry, lasts, status)) {
        step(entry, word, WAR_NONE);
        return;
    }
    /* Refused for want of room: nothing was changed. */
    if (war_called(status, "change", e)) {
        atomic_store(&entry->content, content);
        if (announced)
            moved(f, which, before, "change");
        war_expect_drained(f, e, content);
    }
    step(entry, word, WAR_HELD);
}

/* Does something with one of its own entries. */
static void tend(war_fighter_t *f)
{
    uint32_t mine = below(&f->random, ENTRIES / f->threads) * f->threads + f->thread;
    uint32_t e = f->place * ENTRIES + mine;
    /* Half of those who live long is left alone for long, so that audits meet it at rest. */
    if (mine >= ENTRIES / 2 && mine != LEASED && atomic_load(&war->place[f->place].kind) != WAR_BRIEF &&
        war_state(atomic_load(&war_entry(e)->word)) == WAR_HELD && below(&f->random, 4096) != 0)
        return;
    if (war_state(atomic_load(&war_entry(e)->word)) == WAR_NONE)
        enlist(f, e);
    else if (below(&f->random, 3) == 0)
        discharge(f, e);
    else
        update(f, e);
}

void war_settle(war_fighter_t *f)
{
    for (uint32_t i = f->thread; i < ENTRIES; i += f->threads) {
        uint32_t e = f->place * ENTRIES + i;
        uint32_t state = war_state(atomic_load(&war_entry(e)->word));
        if (state != WAR_NONE && state != WAR_HELD)
            discharge(f, e);
    }
}

/* --------------------------------------------------------------- counting */

/* Counts a request to a registration, if it still is that one. */
bool war_count(_Atomic uint64_t *word, uint32_t registration)
{
    uint64_t seen = atomic_load(word);
    while (seen >> 32 == registration)
        if (atomic_compare_exchange_weak(word, &seen, seen + 1))
            return true;
    return false;
}

commy_status_t war_report(war_fighter_t *f, uint64_t reference, bool success)
{
    war_cell_t *cell = cell_of(f);
    atomic_fetch_add(&cell->begun[success], 1);
    commy_status_t status = commy_service_report(f->mesh, reference, below(&f->random, 5000000), success);
    atomic_fetch_add(status == COMMY_STATUS_SUCCESS ? &cell->done[success] : &cell->refused[success], 1);
    return status;
}

/* Reports to anybody's service. */
static void report(war_fighter_t *f)
{
    char id[128];
    commy_target_t target;
    uint32_t e = below(&f->random, ALL);
    for (int turn = 0; turn < 8 && war_state(atomic_load(&war_entry(e)->word)) != WAR_HELD; turn++)
        e = below(&f->random, ALL);
    war_entry_t *entry = war_entry(e);
    uint64_t word = atomic_load(&entry->word);
    war_id(e, id);
    if (commy_service_find(f->mesh, id, &target) != COMMY_STATUS_SUCCESS)
        return;
    war_expect_target(e, &target);
    uint64_t again = atomic_load(&entry->word);
    if (!war_is_in(word) || !war_is_in(again) || war_registration(word) != war_registration(again))
        return; /* nobody knows whose reference it is */
    bool success = below(&f->random, 3) != 0;
    for (uint32_t n = 1 + below(&f->random, 4); n > 0 && war_count(&entry->tried, war_registration(word)); n--) {
        commy_status_t status = war_report(f, target.reference, success);
        if (status == COMMY_STATUS_NOT_FOUND)
            return;
        if (war_called(status, "report", e))
            war_count(&entry->reports, war_registration(word));
    }
}

/* ------------------------------------------------------------------- looking */

static uint64_t shown_by(const commy_service_info_t *info)
{
    return info->weight | (uint64_t)info->status << 16 | (uint64_t)info->admin << 18;
}

/* Waits a while for the end of somebody's change; false where it does not come, or was not the next one's. */
static bool change_is_over(const war_entry_t *entry, uint64_t word)
{
    for (int turn = 0; turn < 40; turn++) {
        uint64_t now = atomic_load(&entry->word);
        if (now != word)
            return now == war_next(word, WAR_HELD);
        sleep_us(100);
    }
    return false;
}

/* Somebody is in the midst of a change, stopped perhaps. A version that was read before a look which did not show the
 * change is not the last one: whoever slept on it would sleep for ever. */
static void await_change(war_fighter_t *f)
{
    const uint64_t bits = (1u << 20) - 1;
    char id[128];
    commy_service_info_t info;
    uint64_t word = 0, version, later;
    uint32_t e = below(&f->random, ALL), left = ALL;
    for (; left > 0 && war_state(word) != WAR_UPDATING; left--) {
        e = (e + 1) % ALL;
        word = atomic_load(&war_entry(e)->word);
    }
    uint64_t content = atomic_load(&war_entry(e)->content);
    const char *name = war_name(war_name_of(e, war_registration(word)));
    if (left == 0 || commy_mesh_wait(f->mesh, name, 0, 0, &version) != COMMY_STATUS_SUCCESS)
        return;
    war_id(e, id);
    if (commy_service_get(f->mesh, id, &info) != COMMY_STATUS_SUCCESS || shown_by(&info) != (content & bits) ||
        !change_is_over(war_entry(e), word) || ((atomic_load(&war_entry(e)->content) ^ content) & bits) == 0)
        return;
    commy_mesh_wait(f->mesh, name, 0, 0, &later);
    war_hold(WAR_MOVES, later > version, "entry %u changed after %" PRIu64 " was read, which stands still", e, version);
}

static void look_many(war_fighter_t *f)
{
    enum { MANY = 24 };
    uint32_t entry[MANY];
    char id[MANY][128];
    const char *ids[MANY];
    commy_target_t target[MANY];
    int32_t code[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        entry[i] = below(&f->random, ALL);
        war_id(entry[i], id[i]);
        ids[i] = id[i];
    }
    commy_service_find_many(f->mesh, ids, MANY, target, code);
    for (uint32_t i = 0; i < MANY; i++) {
        if (code[i] == COMMY_STATUS_SUCCESS)
            war_expect_target(entry[i], &target[i]);
        war_hold(WAR_CALLS, code[i] == COMMY_STATUS_SUCCESS || code[i] == COMMY_STATUS_NOT_FOUND, "find many: code %d",
                 code[i]);
    }
}

void war_act(war_fighter_t *f)
{
    size_t instances;
    switch (f->place % 8 == 5 && below(&f->random, 2) ? 2 : below(&f->random, 36)) {
    case 0:
    case 1:
    case 2:
        war_brawl(f);
        break;
    case 3:
    case 4:
        report(f);
        break;
    case 5:
        look_many(f);
        break;
    case 6:
        version_of(f, below(&f->random, 2) ? WAR_WALK : below(&f->random, war->names));
        break;
    case 7:
        if (below(&f->random, 8) == 0)
            war_expect_name(f->mesh, below(&f->random, 2) ? WAR_WALK : below(&f->random, war->names));
        break;
    case 8:
        if (below(&f->random, 16) == 0)
            war_called(commy_mesh_reap(f->mesh, NULL), "reap", 0);
        break;
    case 9:
        await_change(f);
        war_called(commy_name_count(f->mesh, war_name(below(&f->random, war->names)), &instances), "count", 0);
        break;
    case 10:
    case 11:
        war_serve(f);
        break;
    case 12:
    case 13:
    case 14:
    case 15:
        war_expect_entry(f->mesh, below(&f->random, ALL), below(&f->random, 4) == 0);
        break;
    case 16:
    case 17:
    case 18:
        war_ward(f);
        break;
    case 19:
        war_consult(f);
        break;
    default:
        tend(f);
    }
    atomic_fetch_add_explicit(&cell_of(f)->operations, 1, memory_order_relaxed);
}

/* ------------------------------------------------------------------- leaving */

/* Gives everything up, for a handle of one thread; nothing of it is found when the call returns. */
void war_desert(war_fighter_t *f)
{
    char id[128], node[64];
    commy_target_t target;
    war_place_t *place = &war->place[f->place];
    uint32_t first = f->place * ENTRIES;
    for (uint32_t e = first; e < first + LEASED; e++)
        if (war_is_in(atomic_load(&war_entry(e)->word)))
            step(war_entry(e), atomic_load(&war_entry(e)->word), WAR_LEAVING);
    atomic_store(&place->joined, 0);
    war_forget_turns(f->place);
    for (uint32_t i = 0; i < PATIENTS; i++)
        atomic_store(&place->monitors[i], 0);
    for (uint32_t i = 0; i < OPEN; i++)
        atomic_store(&place->open[f->thread][i], 0);
    if (below(&f->random, 2)) {
        war_called(commy_mesh_leave(f->mesh), "leave", first);
        war_hold(WAR_CALLS, commy_service_unregister(f->mesh, "any") == COMMY_STATUS_NOT_RUNNING,
                 "a change after leaving");
    } else {
        commy_mesh_detach(&f->mesh);
        f->mesh = war_attach(0, f->place);
    }
    for (uint32_t e = first; e < first + LEASED; e++) {
        if (war_state(atomic_load(&war_entry(e)->word)) != WAR_LEAVING)
            continue;
        war_id(e, id);
        commy_status_t status = commy_service_find(f->mesh, id, &target);
        war_hold(WAR_ABSENT, status == COMMY_STATUS_NOT_FOUND, "%s is found after leaving: code %d", id, (int)status);
        step(war_entry(e), atomic_load(&war_entry(e)->word), WAR_NONE);
    }
    war_forget_requests(f);
    war_node(f->place, f->epoch, node);
    if (war_called(commy_mesh_join(f->mesh, node, 0), "join", first))
        atomic_store(&place->joined, 1);
}
