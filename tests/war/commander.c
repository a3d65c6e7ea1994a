/*
 * The commander of a war, and what it does in a battle.
 *
 * A war is a row of battles, each in a region of its own, which the first who comes makes while others race it. In a
 * battle the commander (this process) starts fighters, kills them after a moment or a number of operations of its choice,
 * and stops some for a while. An auditor, a process of its own, audits all the time. In the middle the commander stops all
 * of them wherever they are, and lets another process do one of everything; towards the end it calls a truce, for an exact
 * audit with everybody alive. Then all are killed, and nothing may be left.
 *
 * The commander is attached read-only, so that it is the fighters who have to reap. It has one thread: forking is cheap,
 * which decides how many can be killed.
 */
#include "war.h"

#include <sys/resource.h>

#define MS 1000000ull
#define PATIENCE_NS (20000 * MS) /* for a call to end, on a machine that is busy with other things */
#define REST_NS (2200 * MS)      /* what a truce and the end of a battle take */
#define FIGHTERS_NICE 5

/* What the commander intends with a process. */
typedef struct seat {
    pid_t pid; /* 0: nobody */
    uint64_t dies_at_ns, goes_on_at_ns;
    uint64_t dies_after; /* operations of its first thread */
    bool stopped;
} seat_t;

static seat_t seats[PLACES];
static commy_mesh_t *mesh; /* read-only; null until there is a region */
static uint64_t random_state;
war_tally_t war_tally;
static uint32_t active; /* of this battle */

/* ------------------------------------------------------------------ burials */

static void bury_entry(uint32_t e)
{
    char id[128];
    commy_target_t target;
    if (atomic_load(&war_entry(e)->content) & WAR_DETACHED)
        return;
    war_id(e, id);
    commy_status_t status = commy_service_find(mesh, id, &target);
    war_hold(WAR_BURIED, status == COMMY_STATUS_NOT_FOUND, "entry %u, word %" PRIx64 ", is found: code %d", e,
             atomic_load(&war_entry(e)->word), (int)status);
}

static void bury_all(uint32_t number)
{
    char node[64];
    commy_iterator_t walk;
    commy_view_t view;
    commy_service_info_t info;
    uint32_t found = 0;
    war_node(number, atomic_load(&war->place[number].doom) / 2, node);
    commy_iterate_all(mesh, &walk);
    while (commy_iterate_next(mesh, &walk, &view))
        found += commy_view_info(mesh, &view, &info) == COMMY_STATUS_SUCCESS && strcmp(info.node_id, node) == 0;
    war_hold(WAR_BURIED, found == 0, "a walk finds %u services of %s", found, node);
}

/* Whether it died between the two lines of the log that stand around a change. */
static bool is_in_doubt(uint32_t number)
{
    bool doubt = false;
    for (uint32_t e = number * ENTRIES; e < number * ENTRIES + LEASED; e++) {
        uint64_t word = atomic_load(&war_entry(e)->word);
        doubt |= war_state(word) != WAR_NONE && war_state(word) != WAR_HELD;
    }
    return doubt;
}

/* waitpid() has just returned it. */
static void bury(uint32_t number, int status)
{
    war_place_t *place = &war->place[number];
    bool was_doomed = atomic_fetch_or(&place->doom, 1) & 1;
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, ended = WIFEXITED(status) && !WEXITSTATUS(status);
    /* `commy run` says so when the region is full. */
    ended |= atomic_load(&place->kind) == WAR_WRAPPER && !war->roomy && WIFEXITED(status) && WEXITSTATUS(status) == 125;
    war_hold(WAR_ENDED, was_doomed ? killed || ended : ended, "place %u, kind %u: wait status %x", number,
             atomic_load(&place->kind), (unsigned)status);
    war_tally.ends += !killed;
    war_tally.outside += killed && atomic_load(&place->joined) == 0;
    war_tally.inside += killed && is_in_doubt(number);
    if (atomic_load(&place->kind) == WAR_SCRIPT && killed && atomic_load(&place->threads) > 0)
        war_hold(WAR_SCRIPTED, true, " ");
    for (uint32_t e = number * ENTRIES; mesh && e < (number + 1) * ENTRIES; e++)
        bury_entry(e);
    if (mesh && below(&random_state, 32) == 0)
        bury_all(number);
    war_place_clear(number);
    seats[number] = (seat_t){0};
}

static void collect(void)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (uint32_t p = 0; p < PLACES; p++) /* one that is nobody's: a child of a fighter that was killed */
            if (atomic_load(&war->place[p].pid) == pid && atomic_load(&war->place[p].taken)) {
                bury(p, status);
                break;
            }
}

/* ------------------------------------------------------------------ starting */

static war_kind_t kind_of(uint32_t number)
{
    if (number % 16 < 2)
        return WAR_WATCHER;
    if (number == 2 && war_has_script())
        return WAR_SCRIPT;
    if (number % 16 == 3 && war_has_tool())
        return WAR_WRAPPER;
    if (number % 4 != 0)
        return WAR_BRIEF;
    return number % 8 == 0 ? WAR_FORKER : WAR_CHURNER;
}

static uint64_t between_ms(uint32_t from, uint32_t to)
{
    return (from * 1000u + below(&random_state, (to - from) * 1000u)) * 1000ull;
}

static void choose_end(seat_t *seat, war_kind_t kind)
{
    uint64_t now = now_ns();
    seat->dies_after = UINT64_MAX;
    switch (kind) {
    case WAR_BRIEF:
        if (below(&random_state, 8) == 0) {
            seat->dies_at_ns = now + between_ms(0, 6);
        } else {
            seat->dies_at_ns = now + between_ms(50, 250);
            seat->dies_after = 1 + below(&random_state, 1u << below(&random_state, 10));
        }
        break;
    case WAR_SCRIPT:
        seat->dies_at_ns = now + between_ms(500, 4000);
        break;
    case WAR_WATCHER:
        seat->dies_at_ns = now + between_ms(100, 6000);
        break;
    case WAR_CHILD:
        seat->dies_at_ns = now + between_ms(0, 200);
        break;
    default:
        seat->dies_at_ns = now + between_ms(20, 1500);
    }
}

static void become(uint32_t number, war_kind_t kind, uint64_t random)
{
    signal(SIGALRM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpriority(PRIO_PROCESS, 0, FIGHTERS_NICE);
    if (kind == WAR_WRAPPER)
        war_run_wrapper(number);
    if (kind == WAR_SCRIPT)
        war_run_script(number, random);
    if (kind == WAR_WATCHER)
        war_watch(number, random);
    war_fight(number, kind, random);
}

static void start(uint32_t number)
{
    war_place_t *place = &war->place[number];
    war_kind_t kind = kind_of(number);
    uint64_t random = chance(&random_state);
    if (!mesh && (kind == WAR_WRAPPER || kind == WAR_SCRIPT))
        return; /* they would make a region of another size */
    atomic_store(&place->kind, kind);
    atomic_store(&place->taken, 1);
    if (kind == WAR_WRAPPER) {
        war_entry_t *entry = &place->entry[0];
        atomic_store(&entry->word, war_next(atomic_load(&entry->word), WAR_ENTERING));
        atomic_store(&entry->content, COMMY_DEFAULT_WEIGHT | 1u << 16 | WAR_PLAIN);
    }
    atomic_store(&place->doom, (atomic_load(&place->doom) | 1) + 1);
    choose_end(&seats[number], kind);
    seats[number].dies_after += seats[number].dies_after == UINT64_MAX ? 0 : atomic_load(&place->cell[0].operations);
    pid_t pid = fork();
    if (pid == 0) {
        atomic_store(&place->pid, getpid()); /* as the parent does, whoever comes first */
        become(number, kind, random);
    }
    if (pid < 0) {
        atomic_fetch_or(&place->doom, 1);
        atomic_store(&place->taken, 0);
        return;
    }
    atomic_store(&place->pid, pid);
    seats[number].pid = pid;
    war_tally.started[kind]++;
}

/* Children of fighters tell their number themselves. */
static void adopt(uint32_t number)
{
    const war_place_t *place = &war->place[number];
    if (seats[number].pid != 0 || !atomic_load(&place->taken) || atomic_load(&place->pid) == 0)
        return;
    seats[number].pid = atomic_load(&place->pid);
    choose_end(&seats[number], WAR_CHILD);
    war_tally.started[WAR_CHILD]++;
}

/* ---------------------------------------------------------- killing, stopping */

static void kill_one(uint32_t number)
{
    if (atomic_fetch_or(&war->place[number].doom, 1) & 1)
        return; /* it leaves by itself, or was killed and is waited for by its parent */
    kill(seats[number].pid, SIGKILL);
    war_tally.kills++;
}

static void stop_one(uint32_t number, uint64_t for_ns)
{
    if (seats[number].pid == 0 || seats[number].stopped || atomic_load(&war->place[number].doom) & 1)
        return;
    kill(seats[number].pid, SIGSTOP);
    seats[number].stopped = true;
    seats[number].goes_on_at_ns = now_ns() + for_ns;
    war_tally.stops++;
}

static void go_on(uint32_t number)
{
    if (seats[number].pid != 0 && seats[number].stopped)
        kill(seats[number].pid, SIGCONT);
    seats[number].stopped = false;
}

static void tend(uint32_t number, uint64_t now)
{
    seat_t *seat = &seats[number];
    if (number >= SEATS)
        adopt(number);
    if (seat->pid == 0) {
        if (number < active)
            start(number);
        return;
    }
    if (mesh && atomic_load(&war->place[number].kind) == WAR_WRAPPER)
        war_see_wrapper(mesh, number);
    if (seat->stopped && (now >= seat->goes_on_at_ns || atomic_load(&war->calm)))
        go_on(number);
    if (now >= seat->dies_at_ns || atomic_load(&war->place[number].cell[0].operations) >= seat->dies_after)
        kill_one(number);
}

/* The war, for so long. */
static void fight(uint64_t for_ns)
{
    uint64_t began = now_ns(), now;
    while ((now = now_ns()) - began < for_ns && !war_is_decided()) {
        if (!mesh && test_dir_count(war->dir) > 0)
            mesh = war_attach(COMMY_OPEN_READ_ONLY, 0);
        for (uint32_t p = 0; p < PLACES; p++)
            tend(p, now);
        collect();
        for (uint32_t i = 0; i < active / 8 && !atomic_load(&war->calm);
             i++) /* most for moments only: where, is what counts */
            stop_one(below(&random_state, SEATS + SEATS / 4),
                     below(&random_state, 8) ? between_ms(0, 3) : between_ms(0, 60));
        sleep_us(50);
    }
}

/* ------------------------------------------------------------ truces and halts */

static bool has_parked(uint32_t number, uint32_t truce, bool late)
{
    const war_place_t *place = &war->place[number];
    uint32_t kind = atomic_load(&place->kind), threads = atomic_load(&place->threads);
    if (!atomic_load(&place->taken) || atomic_load(&place->doom) % 2 == 1 || kind == WAR_WATCHER)
        return true;
    if (atomic_load(&place->pid) == 0)
        return late; /* the parent died before it had forked, or the child has not come to write its number */
    if (kind == WAR_WRAPPER)
        return war_state(atomic_load(&place->entry[0].word)) == WAR_HELD;
    for (uint32_t t = 0; t < threads; t++)
        if (atomic_load(&place->cell[t].parked) != truce)
            return false;
    return threads > 0;
}

static void truce(void)
{
    uint32_t number = atomic_fetch_add(&war->truce, 1) + 1;
    uint64_t began = now_ns();
    uint32_t late = PLACES;
    bool parked = false;
    while (!parked && now_ns() - began < PATIENCE_NS) {
        parked = true;
        for (uint32_t p = 0; p < PLACES; p++) {
            adopt(p);
            go_on(p);
            if (mesh && atomic_load(&war->place[p].kind) == WAR_WRAPPER)
                war_see_wrapper(mesh, p);
            if (has_parked(p, number, now_ns() - began > 3000 * MS))
                continue;
            parked = false;
            late = p;
        }
        collect();
        sleep_us(500);
    }
    war_hold(WAR_PARKED, parked, "place %u, kind %u, process %d does not come to the end of a call", late,
             late < PLACES ? atomic_load(&war->place[late].kind) : 0, late < PLACES ? (int)seats[late].pid : 0);
    if (mesh && parked)
        war_audit_truce(mesh);
    atomic_fetch_add(&war->truce, 1);
    war_tally.truces++;
}

/* Stops all, wherever they are; another does one of everything; then half of them never go on. */
static void halt(void)
{
    if (!mesh || atomic_load(&war->calm))
        return;
    for (uint32_t p = 0; p < PLACES; p++)
        stop_one(p, 0);
    sleep_us(2000); /* until the signals have arrived */
    war_hold(WAR_PROGRESS, war_probe(15), "the probe did not come to its end");
    war_audit_all(mesh);
    for (uint32_t p = 0; p < PLACES; p++) {
        if (seats[p].stopped && below(&random_state, 2))
            kill_one(p);
        go_on(p);
    }
    war_tally.halts++;
}

/* ------------------------------------------------------------------- battles */

static void kill_all(void)
{
    siginfo_t info;
    uint64_t began = now_ns();
    int left = 0;
    while (left == 0 && now_ns() - began < PATIENCE_NS) {
        for (uint32_t p = 0; p < PLACES; p++) {
            adopt(p);
            if (seats[p].pid != 0)
                kill_one(p);
        }
        collect();
        left = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT); /* -1: there is no child left */
        sleep_us(200);
    }
    war_hold(WAR_PARKED, left != 0, "somebody outlives its death");
    for (uint32_t p = 0; p < PLACES; p++) {
        atomic_fetch_or(&war->place[p].doom, 1);
        war_place_clear(p);
        seats[p] = (seat_t){0};
    }
}

static void leave_battlefield(void)
{
    const commy_open_options_t options = {.size = sizeof options, .mesh = "m", .dir = war->dir};
    if (!mesh)
        return;
    commy_mesh_detach(&mesh);
    commy_mesh_t *own = war_attach(COMMY_OPEN_MUST_EXIST, 0);
    if (!own)
        return;
    if (war_called(commy_mesh_join(own, "undertaker", 0), "join", 0))
        war_audit_deserted(own);
    commy_mesh_detach(&own);
    commy_status_t status = commy_mesh_remove(&options, false);
    war_hold(WAR_REMOVED, status == COMMY_STATUS_SUCCESS && test_dir_count(war->dir) == 0,
             "code %d, %s; %d files are left", (int)status, commy_last_error_message(), test_dir_count(war->dir));
}

static pid_t auxiliary(void (*body)(void *argument), void *argument)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body(argument);
    }
    return pid;
}

void war_battle(uint64_t ns, uint64_t random, war_plant_t plant)
{
    static const uint32_t sizes[] = {24, 64, 8, 40, 64, 16};
    uint32_t number = atomic_fetch_add(&war->battle, 1);
    int status = -1;
    random_state = random | 1;
    active = sizes[number % 6];
    war->roomy = number % 2 == 0;
    war->names = war->roomy ? NAMES : MANY_NAMES;
    war->capacity = war->roomy ? 4096 : 16 + below(&random_state, number % 4 == 1 ? 300 : 1200);
    war_log_clear();
    war->began_real_ns = war_real_ns();
    atomic_store(&war->guests, 0);
    atomic_store(&war->closing, 0);
    pid_t auditor = auxiliary(war_audit, NULL), host = auxiliary(war_host, NULL);
    pid_t planter = plant != WAR_PLANT_NOTHING ? auxiliary(war_plant, &plant) : 0;
    uint64_t began = now_ns();
    fight(ns * 4 / 10);
    halt();
    uint64_t gone = now_ns() - began;
    fight(gone + REST_NS < ns ? ns - gone - REST_NS : ns / 10);
    truce();
    atomic_store(&war->closing, 1);
    if (planter > 0) {
        kill(planter, SIGKILL);
        waitpid(planter, &status, 0);
    }
    waitpid(auditor, &status, 0);
    war_hold(WAR_ENDED, WIFEXITED(status) && WEXITSTATUS(status) == 0, "the auditor: wait status %x", (unsigned)status);
    waitpid(host, &status, 0);
    war_hold(WAR_ENDED, WIFEXITED(status) && WEXITSTATUS(status) == 0, "the host: wait status %x", (unsigned)status);
    kill_all();
    leave_battlefield();
    war_tally.battles++;
}
