/*
 * Runs of one call from one scene: judged at every stop, killed at one, stopped at one while others work.
 *
 * The first run notes where the victim stood at each stop. Later ones get there at full speed, by a breakpoint on that
 * instruction, and pass it as often as the first one did; only what lies behind a part of its keeper's is stepped again.
 */
#include "kill.h"

property_t p_killed = {"every victim was stepped to the end of its call, or killed where it should be", 0, 0};

world_t worlds[2];
bool plant;
uint64_t worst_steps[16];
struct trail trail;

static image_t images[2];
static watch_t watches[2];

#define STEPS_MOST 1000000u /* more than any call takes, by far */

/* --------------------------------------------------------------------- victims */

static void make_call(const void *argument)
{
    const scene_t *scene = argument;
    commy_mesh_t *mesh = attach_to(scene->world->dir, scene->world->name, COMMY_OPEN_MUST_EXIST);
    if (scene->call->flags & WANT_JOINED && commy_mesh_join(mesh, "victim", 4711) != COMMY_STATUS_SUCCESS)
        _exit(3);
    cmy_rcu_read_lock(); /* a thread's first section registers it */
    cmy_rcu_read_unlock();
    trap();
    board->status = (int)scene->call->run(&mesh, scene->call, scene->reference);
    atomic_store(&board->done, 1);
    trap();
}

/* A victim in front of its call, in its scene. */
static void start(const scene_t *scene, victim_t *victim)
{
    const world_t *world = scene->world;
    bool joins_first = scene->call->flags & WANT_JOINED;
    world_restore(world, joins_first ? world->calm : scene->bytes);
    victim_begin(victim, make_call, scene);
    victim->blocks = scene->call->flags & CALL_BLOCKS;
    if (!joins_first)
        return;
    victim_freeze_keeper(victim);
    cmy_life_shm_t life;
    cmy_participant_shm_t participant;
    memcpy(&life, &world->region->life[SLOT_VICTIM], sizeof life);
    memcpy(&participant, &world->region->participants[SLOT_VICTIM], sizeof participant);
    world_restore(world, scene->bytes);
    memcpy(&world->region->life[SLOT_VICTIM], &life, sizeof life);
    memcpy(&world->region->participants[SLOT_VICTIM], &participant, sizeof participant);
}

static void finish(const scene_t *scene, victim_t *victim)
{
    victim_kill(victim);
    world_restore(scene->world, scene->world->calm);
}

static run_t new_run(const scene_t *scene)
{
    return (run_t){.scene = scene, .image = &images[scene->world - worlds], .plant = plant};
}

void add_up(tally_t *sum, const tally_t *more)
{
    sum->stops += more->stops;
    sum->changes += more->changes;
    sum->audits += more->audits;
    sum->kills += more->kills;
    sum->others += more->others;
    sum->real_others += more->real_others;
    sum->violations += more->violations;
    sum->stepped += more->stepped;
    sum->missed += more->missed;
    sum->many += more->many;
    sum->beside += more->beside;
}

/* Somebody who waits for the subject's name is woken. */
static void announce(const void *argument)
{
    const scene_t *scene = argument;
    const char *name = scene->call->config->service_name;
    if (scene->call->flags & CALL_SLEEPS)
        cmy_wait_announce(scene->world->region, cmy_key_hash(name, strlen(name), scene->world->region->seed));
}

/* A victim that is about to sleep is told of a change, so that it goes on; it has noted that it sleeps by then. */
static void tell_sleeper(const run_t *run, const victim_t *victim)
{
    if (!(run->scene->call->flags & CALL_SLEEPS) || trail.told != 0 || run->change == 0 || !victim_calls(victim))
        return;
    announce(run->scene);
    trail.told = run->stop;
}

/* ---------------------------------------------------------------- first: judging */

/* Where victims were stopped, each address once: 0 is none, and there is always room. */
#define ADDRESSES (1u << 20)
static uint64_t seen[ADDRESSES], seen_count;

uint64_t instructions_seen(void)
{
    return seen_count;
}

static void note_address(uint64_t address)
{
    uint64_t at = address * 0x9e3779b97f4a7c15u >> 44;
    while (seen[at] != 0 && seen[at] != address)
        at = (at + 1) % ADDRESSES;
    if (seen[at] == 0 && seen_count < ADDRESSES / 2) {
        seen[at] = address;
        seen_count++;
    }
}

static void note_stop(const victim_t *victim, bool changed, bool alone)
{
    static uint64_t room;
    if (trail.stops + 1 >= room) {
        room = room ? 2 * room : 1 << 16;
        trail.address = realloc(trail.address, room * sizeof *trail.address);
        trail.changed_at = realloc(trail.changed_at, room * sizeof *trail.changed_at);
        if (!trail.address || !trail.changed_at)
            exit(2);
    }
    trail.address[++trail.stops] = victim->main_runs ? 0 : victim_address(victim);
    if (!victim->main_runs)
        note_address(trail.address[trail.stops]);
    if (alone && trail.alone == trail.stops - 1)
        trail.alone = trail.stops;
    if (changed)
        trail.changed_at[++trail.changes] = trail.stops;
}

static void note_start(const victim_t *victim)
{
    trail.stops = trail.changes = trail.alone = trail.told = 0;
    note_stop(victim, false, false);
    trail.stops = 0;
    trail.address[0] = 0;
}

/* What others do at a stop: in copies of the region, and, where that takes a real one, in the region itself, which then
 * becomes what it was. */
static void let_others(run_t *run, const watch_t *watch, uint32_t times)
{
    const char *why = "";
    judge_others(run, watch->shadow, times);
    run->tally.real_others++;
    bool good = other_lifecycle(run->scene->world, false, &why);
    run_holds(run, &p_progress, good, "to attach, join, leave, create and remove: %s", why);
    world_restore(run->scene->world, watch->shadow);
}

/* Steps through the whole call and judges. others_often: how often others make each operation at 1 % of the stops. */
void judge_all(const scene_t *scene, tally_t *tally, uint32_t others_often)
{
    run_t run = new_run(scene);
    victim_t victim;
    watch_t *watch = &watches[scene->world - worlds];
    uint64_t tried = UINT64_MAX; /* the last change at which others were let loose so often */
    start(scene, &victim);
    watch_begin(watch);
    run.victim_pid = victim.pid;
    run_begin(&run, watch->shadow);
    judge_image(&run, watch->shadow);
    let_others(&run, watch, 1);
    note_start(&victim);
    pid_t keeper = victim.keeper;
    step_t step = STEP_STOPPED;
    while (run.stop < STEPS_MOST && (step = victim_step(&victim)) == STEP_STOPPED) {
        run.stop++;
        bool changed = watch_changed(watch);
        note_stop(&victim, changed, victim.keeper == keeper && !victim.main_runs);
        if (changed) {
            run.change++;
            judge_image(&run, watch->shadow);
            let_others(&run, watch, 1);
        }
        /* Every 80th: 1 % of all stops, also of those in calls on files, beside which others do other things. */
        if (others_often > 1 && run.stop % 80 == 40) {
            if (tried != run.change) /* else it would be the same again, byte by byte */
                judge_others(&run, watch->shadow, others_often);
            tried = run.change;
            run.tally.many++;
        }
        tell_sleeper(&run, &victim);
    }
    run_holds(&run, &p_killed, step == STEP_DONE, "%s",
              step == STEP_STUCK     ? "it waits for nobody"
              : step == STEP_STOPPED ? "it does not come to its end"
                                     : "it crashed");
    watch_changed(watch);
    run_holds(&run, &p_watched, watch_complete(watch), "something changed where nobody looked");
    judge_end(&run, watch->shadow, board->status);
    run.tally.stops = run.stop;
    run.tally.changes = run.change;
    finish(scene, &victim);
    add_up(tally, &run.tally);
}

/* --------------------------------------------------------------- second: killing */

/* At full speed from one stop of the trail to a later one: to that instruction, as many times as the trail came by. */
static bool run_on(const victim_t *victim, uint64_t from, uint64_t to)
{
    uint64_t address = trail.address[to], times = 0;
    /* An instruction that repeats itself is one to a breakpoint. */
    for (uint64_t i = from + 1; i <= to; i++)
        times += trail.address[i] == address && trail.address[i - 1] != address;
    return victim_run_to(victim, address, times);
}

/* Step by step: where the keeper has a part in it, or to an instruction that a run at full speed does not come by, as where
 * a clock is read in another second. */
static bool step_on(run_t *run, victim_t *victim, uint64_t stop)
{
    for (run->stop = 0; run->stop < stop;) {
        if (victim_step(victim) != STEP_STOPPED)
            return false;
        if (++run->stop == trail.told)
            announce(run->scene);
    }
    return true;
}

static bool try_to_bring(const scene_t *scene, victim_t *victim, run_t *run, uint64_t stop, bool stepping)
{
    watch_t *watch = &watches[scene->world - worlds];
    start(scene, victim);
    watch_begin(watch);
    run->victim_pid = victim->pid;
    run->stop = stop;
    run_begin(run, watch->shadow);
    bool there;
    if (stepping || stop > trail.alone) {
        there = step_on(run, victim, stop);
    } else if (trail.told != 0 && stop > trail.told) {
        there = run_on(victim, 0, trail.told);
        announce(scene);
        there = there && run_on(victim, trail.told, stop);
    } else {
        there = run_on(victim, 0, stop);
    }
    watch_changed(watch);
    image_load(run->image, watch->shadow);
    return there;
}

/* Brings a fresh victim to a stop of the trail, at full speed if it gets there. */
static bool bring_to(const scene_t *scene, victim_t *victim, run_t *run, uint64_t stop)
{
    if (try_to_bring(scene, victim, run, stop, false))
        return true;
    finish(scene, victim);
    return try_to_bring(scene, victim, run, stop, true);
}

void kill_at(const scene_t *scene, tally_t *tally, uint64_t stop)
{
    run_t run = new_run(scene);
    victim_t victim;
    bool there = bring_to(scene, &victim, &run, stop);
    victim_kill(&victim);
    if (there)
        judge_real(&run);
    run.tally.missed += !there;
    world_restore(scene->world, scene->world->calm);
    add_up(tally, &run.tally);
}

/* ------------------------------------------------- third: others in the real region */

static void let_others_work(run_t *run, const company_t *company)
{
    const world_t *world = run->scene->world;
    others_t others = {.call = run->scene->call};
    const char *why = "";
    bool good = !company->swaps || other_swaps(world->mesh, &others, &why);
    run_holds(run, &p_progress, good, "to swap ids: %s", why);
    for (uint32_t turn = 1; turn <= company->times; turn++) {
        others.last = turn == company->times && company->takes_subject;
        good = other_lifecycle(world, turn == 1, &why);
        run_holds(run, &p_progress, good, "to attach, join, leave, create and remove: %s", why);
        run->tally.real_others++;
        for (size_t operation = 0; operation < operations_count; operation++, run->tally.real_others++) {
            good = other_operation(world->mesh, &others, operation, &why);
            run_holds(run, &p_progress, good, "%s: %s", operations[operation], why);
        }
    }
}

/* Another process that is stepped through one of every operation. */
static void make_operations(const void *argument)
{
    const scene_t *scene = argument;
    commy_mesh_t *mesh = attach_to(scene->world->dir, scene->world->name, COMMY_OPEN_MUST_EXIST);
    others_t others = {.call = scene->call, .last = true};
    const char *why;
    mesh->actor.owner = scene->world->mesh->actor.owner;
    atomic_store(&mesh->phase, CMY_MESH_JOINED);
    cmy_rcu_read_lock();
    cmy_rcu_read_unlock();
    trap();
    for (size_t operation = 0; operation < operations_count; operation++) {
        atomic_store(&board->operation, (uint32_t)operation);
        board->status |= !other_operation(mesh, &others, operation, &why);
    }
    atomic_store(&board->done, 1);
    trap();
}

/* No operation takes more instructions than this beside a stopped victim; what it takes is printed. */
#define INSTRUCTIONS_MOST 200000u

static void count_steps(run_t *run)
{
    victim_t other;
    uint64_t steps[16] = {0};
    victim_begin(&other, make_operations, run->scene);
    uint64_t all = 0;
    step_t step;
    while ((step = victim_step(&other)) == STEP_STOPPED && all < STEPS_MOST) {
        all++;
        steps[atomic_load(&board->operation)]++;
    }
    run_holds(run, &p_progress, step == STEP_DONE && board->status == 0, "an operation that was stepped failed");
    for (size_t i = 0; i < operations_count; i++) {
        run_holds(run, &p_bound, steps[i] < INSTRUCTIONS_MOST, "%s takes %" PRIu64 " instructions", operations[i],
                  steps[i]);
        worst_steps[i] = steps[i] > worst_steps[i] ? steps[i] : worst_steps[i];
    }
    run->tally.stepped += all;
    victim_kill(&other);
}

/* At rest, with the victim dead and reaped. */
static void judge_rest(run_t *run)
{
    const world_t *world = run->scene->world;
    run_holds(run, &p_progress, commy_mesh_reap(world->mesh, NULL) == COMMY_STATUS_SUCCESS, "reap: %s",
              commy_last_error_message());
    judge_remains(run, world->mesh);
}

/* The victim is stopped, others work where it stands, and it goes on to its end in what they left. */
void stop_at(const scene_t *scene, tally_t *tally, uint64_t stop, const company_t *company)
{
    run_t run = new_run(scene);
    victim_t victim;
    if (bring_to(scene, &victim, &run, stop)) {
        if (company->count)
            count_steps(&run);
        atomic_store(&board->done, 0);
        let_others_work(&run, company);
        bool ended = victim_finish(&victim, announce, scene);
        run_holds(&run, &p_progress, ended, "the victim itself does not come to its end");
        if (ended)
            judge_answer(&run, board->status, company->takes_subject || company->count);
        victim_kill(&victim);
        judge_rest(&run);
        run.tally.beside++;
        world_restore(scene->world, scene->world->calm);
    } else {
        run.tally.missed++;
        finish(scene, &victim);
    }
    add_up(tally, &run.tally);
}

/* ---------------------------------------------------------------- set up */

/* Participants A and B have joined both worlds. */
void runs_begin(const char *dir)
{
    for (int i = 0; i < 2; i++) {
        world_open(&worlds[i], dir, worlds[i].name, worlds[i].capacity);
        image_open(&images[i], &worlds[i]);
        watch_open(&watches[i], &worlds[i]);
    }
    helper_begin();
}

void runs_end(void)
{
    helper_end();
    for (int i = 0; i < 2; i++) {
        watch_close(&watches[i]);
        image_close(&images[i]);
        world_close(&worlds[i]);
    }
    free(trail.address);
    free(trail.changed_at);
}
