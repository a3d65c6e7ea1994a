/*
 * What is exact of wards: how many are open at one instant while the war goes on, and, where all others rest, what comes of
 * resetting, failing and trying them, and of dying meanwhile. See ward.c.
 */
#include "ward.h"

#include <sched.h>

#define FAILERS 3u
#define ROUNDS 20u

static bool is_open_now(const commy_mesh_t *mesh, uint32_t w)
{
    const ward_look_t look = ward_look_at(mesh, w);
    return ward_is_open(&look);
}

/* -------------------------------------------------------------------- auditing */

/* Failures of wards: begun (or ended soon), by all, ever. */
static uint32_t failures(bool begun)
{
    uint32_t sum = 0;
    for (uint32_t p = 0; p < PLACES; p++)
        for (uint32_t t = 0; t < THREADS; t++)
            sum += atomic_load(begun ? &war->place[p].failing[t] : &war->place[p].failed[t]);
    return sum;
}

/* How many are open at one instant, and may be, where so many more died long ago. */
static uint32_t count_open(const commy_mesh_t *mesh, uint32_t *most, uint32_t before)
{
    ward_look_t first[WARDS], second[WARDS];
    uint32_t open = 0, there = 0, ended = failures(false);
    ward_look_at_all(mesh, first);
    ward_look_at_all(mesh, second);
    for (uint32_t w = 0; w < WARDS; w++) {
        open += ward_stayed_open(&first[w], &second[w]);
        there += atomic_load(&war->ward[w]) || second[w].condition != 0;
    }
    *most = there * war_ward_rules.most_ejected_percent / 100 + (failures(true) - ended) - before;
    return open;
}

static void audit_one(const commy_mesh_t *mesh, uint32_t w)
{
    static struct {
        uint32_t battle;
        uint64_t openings;
    } last[WARDS];
    char id[16];
    commy_breaker_status_t status;
    war_ward_id(w, id);
    commy_status_t code = commy_service_breaker(mesh, id, &status);
    if (!war_hold(WAR_FOUND, code == COMMY_STATUS_SUCCESS, "%s: %s", id, commy_last_error_message()))
        return;
    bool closed = status.state == COMMY_BREAKER_CLOSED, open = status.state == COMMY_BREAKER_OPEN;
    war_hold(WAR_WHOLE,
             (closed || open || status.state == COMMY_BREAKER_HALF_OPEN) && status.failed_probes <= CMY_EXPONENT_MAX &&
                 status.probe_in_ms <= war_ward_rules.longest_open_ms + 40 &&
                 (!closed || (status.probe_in_ms == 0 && status.failed_probes == 0)) &&
                 (status.state == COMMY_BREAKER_HALF_OPEN || status.prober_pid == 0),
             "ward %u: state %d, failed %u, prober %u, %" PRIu64 " ms", w, (int)status.state, status.failed_probes,
             status.prober_pid, status.probe_in_ms);
    uint32_t battle = atomic_load(&war->battle);
    if (last[w].battle == battle)
        war_hold(WAR_FORWARD, status.openings >= last[w].openings, "ward %u: %" PRIu64 " openings after %" PRIu64, w,
                 status.openings, last[w].openings);
    last[w].battle = battle;
    last[w].openings = status.openings;
}

void war_audit_wards(const commy_mesh_t *mesh)
{
    commy_breaker_config_t is = {0};
    if (atomic_load(&war->breakers)) {
        commy_mesh_breaker(mesh, &is);
        war_hold(WAR_CONFIGURED, memcmp(&is, &war_ward_rules, sizeof is) == 0,
                 "enabled %u, failures %u, open %" PRIu64 " ms", is.enabled, is.consecutive_failures, is.open_ms);
    }
    if (!war->roomy)
        return;
    for (uint32_t w = 0; w < WARDS; w++)
        if (atomic_load(&war->ward[w]))
            audit_one(mesh, w);
    uint32_t most, open = count_open(mesh, &most, 0);
    war_hold(WAR_SHARE, open <= most, "%u wards are open, %u may be", open, most);
}

/* ---------------------------------------------------------------------- at rest */

static void reset_all(war_fighter_t *f)
{
    ward_look_t before[WARDS];
    char id[16];
    commy_breaker_status_t status = {0};
    for (uint32_t w = 0; w < WARDS; w++)
        war_ward_reset(f->mesh, w);
    for (uint32_t w = 0; w < WARDS; w++) {
        war_ward_id(w, id);
        commy_service_breaker(f->mesh, id, &status);
        war_hold(WAR_RESET,
                 status.state == COMMY_BREAKER_CLOSED && status.failures == 0 && war_ward_choose(f, id, before) == w,
                 "ward %u at rest: state %d, %u failures", w, (int)status.state, status.failures);
    }
}

/* A child of the one who keeps the peace; as if it fought under the place behind his. */
static void rejoin(war_fighter_t *f)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    f->place = 1;
    f->random += 4711;
    f->mesh = war_attach(COMMY_OPEN_MUST_EXIST, 0);
    if (!f->mesh || !war_called(commy_mesh_join(f->mesh, "peace-child", 0), "join in peace", 0))
        _exit(1);
}

/* Fails every so many-th of them often enough to open it, whenever the next round begins. */
static void fail_rounds(war_fighter_t *f, uint32_t child)
{
    rejoin(f);
    f->thread = child;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        for (uint64_t began = now_ns(); atomic_load(&war->round) < round; sched_yield())
            if (now_ns() - began > war_patience_ns())
                _exit(1);
        for (uint32_t w = child; w < WARDS; w += FAILERS)
            for (uint32_t n = 0; n < war_ward_rules.consecutive_failures; n++)
                war_ward_tell(f, w, false);
        atomic_fetch_add(&war->arrived, 1);
    }
    commy_mesh_detach(&f->mesh);
    _exit(0);
}

/* Several fail all there are at the same time, again and again: of who opens at once all see that they are too many. */
static void fail_all(war_fighter_t *f)
{
    uint32_t most, open, children = 0;
    atomic_store(&war->round, 0);
    atomic_store(&war->arrived, 0);
    for (uint32_t child = 0; child < FAILERS; child++) {
        pid_t pid = fork();
        if (pid == 0)
            fail_rounds(f, child);
        children += pid > 0;
    }
    for (uint32_t round = 1; round <= ROUNDS && children == FAILERS; round++) {
        for (uint32_t w = 0; w < WARDS; w++)
            war_ward_reset(f->mesh, w);
        uint32_t before = failures(true) - failures(false);
        atomic_store(&war->round, round);
        for (uint64_t began = now_ns(); atomic_load(&war->arrived) < round * FAILERS; sched_yield())
            if (now_ns() - began > war_patience_ns())
                break;
        open = count_open(f->mesh, &most, before);
        war_hold(WAR_SHARE, open <= most, "%u wards are open at rest, %u may be", open, most);
    }
    atomic_store(&war->round, ROUNDS);
    while (wait(NULL) > 0)
        ;
}

/* What is reported of a ward that another tries moves nothing. */
static void speak_out_of_turn(war_fighter_t *f, uint32_t w)
{
    for (int success = 0; success < 2; success++) {
        const ward_look_t before = ward_look_at(f->mesh, w);
        war_ward_tell(f, w, success);
        const ward_look_t after = ward_look_at(f->mesh, w);
        war_hold(WAR_DECIDED, ward_stayed_open(&before, &after) && before.turn == after.turn,
                 "ward %u at rest: condition %" PRIx64 ", turn %" PRIx64 " after another's report", w, after.condition,
                 after.turn);
    }
}

/* A child that takes a ward's turn, and is killed when it has it. */
static bool die_with_turn(war_fighter_t *f, uint32_t w)
{
    int ends[2];
    char byte = 0;
    if (pipe(ends) != 0)
        return false;
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    if (child == 0) {
        bool was_free = false;
        rejoin(f);
        for (uint64_t until = now_ns() + 2000000000; now_ns() < until && !was_free; sleep_us(2000))
            if (!war_ward_take(f, w, &was_free))
                was_free = false;
        if (was_free && write(ends[1], "!", 1) == 1)
            pause();
        _exit(0);
    }
    close(ends[1]);
    bool taken = read(ends[0], &byte, 1) == 1;
    if (taken)
        speak_out_of_turn(f, w);
    close(ends[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    war_forget_turns(1);
    return taken;
}

void war_wards_at_rest(war_fighter_t *f)
{
    bool was_free;
    uint32_t w = 0;
    reset_all(f);
    fail_all(f);
    while (w < WARDS && !is_open_now(f->mesh, w))
        w++;
    if (war_hold(WAR_DECIDED, w < WARDS, "none is open after all were failed") && die_with_turn(f, w)) {
        bool taken = war_ward_take(f, w, &was_free);
        war_hold(WAR_HEIR, taken, "ward %u at rest: %s", w, commy_last_error_message());
        war_ward_tell(f, w, true);
        war_hold(WAR_DECIDED, !taken || !is_open_now(f->mesh, w), "ward %u is open after it was tried well", w);
    }
    reset_all(f);
}
