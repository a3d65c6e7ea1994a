/*
 * What clients do: select one instance of a name, and have requests to it in flight.
 *
 * The log knows what may be selected: what is HELD under the same word before and after a selection had that content
 * throughout. So what is selected must have been fit, and where something was fit throughout, nothing may be refused.
 *
 * A request that is in flight stands in the log of its place, from after begin was acknowledged to before it is ended. At
 * rest, where no call is under way, the places of the living hold all there is.
 */
#include "war.h"

#include "registry/mesh.h"

/* The entry that a reference is a registration of; false: of none, or it went. */
static bool entry_of_reference(const commy_mesh_t *mesh, uint64_t reference, uint32_t *e)
{
    static _Thread_local commy_service_info_t info;
    uint32_t record;
    uint64_t state;
    if (!cmy_service_refer(mesh->region, reference, &record, &state))
        return false;
    const cmy_service_shm_t *service = cmy_service_at(mesh->region, record);
    cmy_service_copy_info(mesh->region, record, state, &info);
    return cmy_service_same(service, state) && war_entry_of(info.id, e);
}

/* ------------------------------------------------------------------- selecting */

typedef struct before {
    uint64_t word[ALL], content[ALL], lasts[ALL], ends_by[ALL], began;
    uint32_t doom[PLACES];
} before_t;

static void look_at_all(before_t *before)
{
    for (uint32_t p = 0; p < PLACES; p++)
        before->doom[p] = atomic_load(&war->place[p].doom);
    for (uint32_t e = 0; e < ALL; e++) {
        before->word[e] = atomic_load(&war_entry(e)->word);
        before->content[e] = atomic_load(&war_entry(e)->content);
        before->lasts[e] = war_lasts_until(war_entry(e));
        before->ends_by[e] = atomic_load(&war_entry(e)->ends_by_ns);
    }
    before->began = now_ns();
}

static bool weighs(int32_t policy)
{
    return policy != COMMY_POLICY_ROUND_ROBIN && policy != COMMY_POLICY_CONSISTENT_HASH;
}

static bool is_fit(uint64_t content, int32_t policy)
{
    uint32_t health = content >> 16 & 3, admin = content >> 18 & 3;
    return (health == COMMY_HEALTH_HEALTHY || health == COMMY_HEALTH_DEGRADED) && admin == COMMY_ADMIN_ENABLED &&
           (!weighs(policy) || (content & 0xffff) > 0);
}

/* Whether an entry's breaker never opened in this registration. */
static bool never_opened(const commy_mesh_t *mesh, uint32_t e)
{
    char id[128];
    uint32_t record;
    uint64_t state;
    war_id(e, id);
    return cmy_mesh_look_up(mesh, id, &record, &state) == COMMY_STATUS_SUCCESS &&
           (cmy_load64_relaxed(&cmy_service_at(mesh->region, record)->condition) & CMY_CONDITION_BREAKER) == 0;
}

/* Nothing was selected: nothing was fit throughout, or it was open. What is detached may have ended. */
static void expect_none(const commy_mesh_t *mesh, const before_t *before, uint32_t name, int32_t policy,
                        commy_status_t status)
{
    uint64_t now = now_ns();
    for (uint32_t e = 0; e < ALL; e++) {
        uint64_t word = before->word[e];
        uint32_t doom = before->doom[e / ENTRIES];
        if (war_state(word) != WAR_HELD || (before->content[e] & WAR_DETACHED) || doom % 2 == 1 ||
            war_name_of(e, war_registration(word)) != name || !is_fit(before->content[e], policy) ||
            now >= before->lasts[e] || (status == COMMY_STATUS_CIRCUIT_OPEN && !never_opened(mesh, e)) ||
            atomic_load(&war_entry(e)->word) != word || atomic_load(&war->place[e / ENTRIES].doom) != doom)
            continue;
        war_hold(WAR_FIT, false, "entry %u, word %" PRIx64 ", was fit, and policy %d says %d: %s", e, word, policy,
                 (int)status, commy_last_error_message());
        return;
    }
    war_hold(WAR_FIT, true, " ");
}

/* An entry was selected. */
static void expect_one(const before_t *before, uint32_t e, int32_t policy, const commy_target_t *target)
{
    uint64_t word = before->word[e];
    war_expect_target(e, target);
    if (atomic_load(&war_entry(e)->word) != word)
        return;
    if (war_state(word) == WAR_NONE)
        war_hold(WAR_SELECTED, false, "entry %u, word %" PRIx64 ", is not registered", e, word);
    if (war_state(word) != WAR_HELD || before->content[e] != atomic_load(&war_entry(e)->content))
        return;
    war_hold(WAR_SELECTED, is_fit(before->content[e], policy), "entry %u, content %" PRIx64 ", by policy %d", e,
             before->content[e], policy);
    if (before->lasts[e] != UINT64_MAX && atomic_load(&war_entry(e)->ends_by_ns) == before->ends_by[e])
        war_hold(before->content[e] & WAR_DETACHED ? WAR_LEASE : WAR_LAPSED, before->began <= before->ends_by[e],
                 "entry %u is selected %" PRIu64 " us after its end", e, (before->began - before->ends_by[e]) / 1000);
}

/* Selects by any policy. False: nothing, or nobody's of the log. */
bool war_select(commy_mesh_t *mesh, uint64_t *random, uint32_t *e, commy_target_t *target)
{
    static _Thread_local before_t *before;
    char client[16];
    if (!before && !(before = malloc(sizeof *before)))
        return false;
    uint32_t name = below(random, war->names);
    snprintf(client, sizeof client, "client-%u", below(random, 4096));
    const commy_select_options_t options = {
        .size = sizeof options, .policy = (int32_t)below(random, 6), .client_id = client};
    look_at_all(before);
    commy_status_t status = commy_service_select(mesh, war_name(name), &options, target);
    if (status == COMMY_STATUS_NO_HEALTHY || status == COMMY_STATUS_NOT_FOUND || status == COMMY_STATUS_CIRCUIT_OPEN) {
        expect_none(mesh, before, name, options.policy, status);
        return false;
    }
    if (!war_hold(WAR_CALLS, status == COMMY_STATUS_SUCCESS, "select: code %d, %s", (int)status,
                  commy_last_error_message()))
        return false;
    if (!entry_of_reference(mesh, target->reference, e))
        return false;
    expect_one(before, *e, options.policy, target);
    return true;
}

/* Said of an own entry and acknowledged: if it is not fit any more, then from now on. */
void war_expect_drained(war_fighter_t *f, uint32_t e, uint64_t content)
{
    commy_target_t target;
    uint64_t reference = f->held[e % ENTRIES];
    uint32_t name = war_name_of(e, war_registration(atomic_load(&war_entry(e)->word)));
    if (reference == 0 || is_fit(content, COMMY_POLICY_ROUND_ROBIN))
        return;
    for (int turn = 0; turn < 3; turn++) {
        const commy_select_options_t options = {
            .size = sizeof options, .policy = (int32_t)below(&f->random, 6), .client_id = "drained"};
        commy_status_t status = commy_service_select(f->mesh, war_name(name), &options, &target);
        war_hold(WAR_DRAINED, status != COMMY_STATUS_SUCCESS || target.reference != reference,
                 "entry %u, content %" PRIx64 ", by policy %d", e, content, options.policy);
    }
}

/* -------------------------------------------------------------------- requests */

static void begin(war_fighter_t *f, uint32_t i)
{
    commy_target_t target;
    war_open_t *open = &f->open[i];
    if (!war_select(f->mesh, &f->random, &open->entry, &target))
        return;
    open->registration = war_registration_of(open->entry, target.port);
    commy_status_t status = commy_service_begin(f->mesh, target.reference, &open->token);
    if (status == COMMY_STATUS_NOT_FOUND) {
        war_hold(WAR_CALLS, open->token == 0, "a begin that failed gave token %" PRIu64, open->token);
    } else if (war_called(status, "begin", open->entry)) {
        war_hold(WAR_CALLS, open->token != 0, "a begin that succeeded gave no token");
        atomic_store(&war->place[f->place].open[f->thread][i], target.reference);
    }
}

/* It counts if its service still is there, or in the mesh's totals alone. */
static void end(war_fighter_t *f, uint32_t i)
{
    war_open_t *open = &f->open[i];
    war_cell_t *cell = &war->place[f->place].cell[f->thread];
    bool success = below(&f->random, 3) != 0;
    war_count(&war_entry(open->entry)->tried, open->registration);
    atomic_store(&war->place[f->place].open[f->thread][i], 0);
    atomic_fetch_add(&cell->begun[success], 1);
    commy_status_t status = commy_service_end(f->mesh, open->token, below(&f->random, 5000000), success);
    atomic_fetch_add(status == COMMY_STATUS_SUCCESS ? &cell->done[success] : &cell->refused[success], 1);
    if (war_called(status, "end", open->entry))
        war_count(&war_entry(open->entry)->reports, open->registration);
    open->token = 0;
}

void war_serve(war_fighter_t *f)
{
    uint32_t i = below(&f->random, OPEN);
    if (f->open[i].token == 0)
        begin(f, i);
    else
        end(f, i);
}

/* The handle has left: nothing of it is in flight, and no token of it is good. */
void war_forget_requests(war_fighter_t *f)
{
    for (uint32_t i = 0; i < OPEN; i++) {
        if (f->open[i].token == 0)
            continue;
        commy_status_t status = commy_service_end(f->mesh, f->open[i].token, 1, true);
        war_hold(WAR_CALLS, status == COMMY_STATUS_INVALID || status == COMMY_STATUS_NOT_RUNNING,
                 "an end of what was begun before leaving: code %d", (int)status);
        f->open[i].token = 0;
    }
}

/* ---------------------------------------------------------------------- at rest */

static uint64_t open_at(uint64_t reference)
{
    uint64_t sum = 0;
    for (uint32_t p = 0; p < PLACES; p++)
        for (uint32_t i = 0; atomic_load(&war->place[p].doom) % 2 == 0 && i < THREADS * OPEN; i++)
            sum += atomic_load(&war->place[p].open[i / OPEN][i % OPEN]) == reference;
    return sum;
}

void war_audit_requests(const commy_mesh_t *mesh)
{
    char id[128];
    commy_target_t target;
    commy_service_stats_t stats;
    for (uint32_t e = 0; e < ALL; e++) {
        war_id(e, id);
        if (commy_service_find(mesh, id, &target) != COMMY_STATUS_SUCCESS ||
            commy_service_stats(mesh, id, &stats) != COMMY_STATUS_SUCCESS)
            continue;
        uint64_t open = open_at(target.reference);
        war_hold(WAR_IN_FLIGHT, stats.in_flight == open, "entry %u has %" PRIu64 " requests in flight, not %" PRIu64, e,
                 stats.in_flight, open);
    }
}
