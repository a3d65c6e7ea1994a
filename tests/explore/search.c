/*
 * Which runs are made.
 *
 * A search in depth over all choices: at each state, whichever process can go on goes on by one shared access (and what
 * follows it up to the next), or somebody dies. States are remembered by hash, with the number of different ways from
 * there to an end.
 *
 * Where that takes too long, the same with a bound of preemptions: of changes to another process while the one that
 * went last could have gone on (Musuvathi, Qadeer, "Iterative context bounding", 2007).
 *
 * A process that nobody can disturb any more runs to its end at once: where only one can go on and nobody may die any more,
 * there is no choice.
 */
#include <stdlib.h>
#include <time.h>

#include "explore.h"

/* How often states are looked at more closely: one of so many. */
#define SOLO_EVERY 16u
#define AUDIT_EVERY 32u
#define BYSTANDER_EVERY 128u
#define DEPTH 8192u
#define RUN_BOUND 100000u /* accesses of one run */

double ex_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --------------------------------------------------------------- snapshots */

struct ex_snapshot {
    uint32_t who;
    size_t mark, bytes;
    ex_snapshot_t *last;
    ex_process_t process[EX_ACTORS];
    ex_history_t history;
    commy_mesh_t shared_mesh;
    unsigned char stack[];
};

#define ARENA_BYTES ((size_t)1 << 28)
static unsigned char *arena;
static size_t arena_used;

ex_snapshot_t *ex_snapshot_take(uint32_t who)
{
    if (!arena && !(arena = malloc(ARENA_BYTES)))
        abort();
    if (arena_used + sizeof(ex_snapshot_t) + EX_STACK_BYTES + sizeof(ex_private_t) > ARENA_BYTES)
        abort();
    ex_snapshot_t *snapshot = (ex_snapshot_t *)(void *)(arena + arena_used);
    snapshot->who = who;
    snapshot->mark = ex_world_mark();
    memcpy(snapshot->process, ex_process, sizeof ex_process);
    snapshot->history = ex_history;
    memcpy(&snapshot->shared_mesh, &ex_shared_mesh, sizeof ex_shared_mesh);
    snapshot->bytes = who < EX_ACTORS ? ex_fiber_save(who, snapshot->stack) : 0;
    arena_used += (sizeof *snapshot + snapshot->bytes + 15) & ~(size_t)15;
    return snapshot;
}

void ex_snapshot_back(ex_snapshot_t *snapshot)
{
    ex_world_back_to(snapshot->mark);
    memcpy(ex_process, snapshot->process, sizeof ex_process);
    ex_history = snapshot->history;
    memcpy(&ex_shared_mesh, &snapshot->shared_mesh, sizeof ex_shared_mesh);
    if (snapshot->who < EX_ACTORS)
        ex_fiber_restore(snapshot->who, snapshot->stack);
    arena_used = (size_t)((unsigned char *)snapshot - arena);
}

/* ---------------------------------------------------------------- schedules */

/* A run: letters of processes with the number of accesses they make, +A for a death; /A, /o and /a for what was checked
 * at its end: A alone, a bystander, the audit. */
typedef struct ex_leg {
    uint8_t kind, who;
    uint32_t steps;
} ex_leg_t;

static ex_leg_t legs[DEPTH];
static uint32_t leg_count;
static char schedule[65536];
static char checked[4];

const char *ex_search_schedule(void)
{
    return schedule;
}

void ex_search_found(const char *instead)
{
    snprintf(schedule, sizeof schedule, "%s", instead);
}

static void write_schedule(void)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < leg_count && bytes < sizeof schedule - 32; i++) {
        uint32_t steps = legs[i].steps;
        if (legs[i].kind == EX_DEATH) {
            bytes += (size_t)snprintf(schedule + bytes, sizeof schedule - bytes, "+%c", 'A' + legs[i].who);
            continue;
        }
        while (i + 1 < leg_count && legs[i + 1].kind == legs[i].kind && legs[i + 1].who == legs[i].who)
            steps += legs[++i].steps;
        bytes += (size_t)snprintf(schedule + bytes, sizeof schedule - bytes, "%c%u", 'A' + legs[i].who, steps);
    }
    snprintf(schedule + bytes, sizeof schedule - bytes, "%s", checked);
}

/* ------------------------------------------------------------------- states */

typedef struct ex_search {
    const ex_case_t *what;
    ex_tally_t *tally;
    double until;
    uint32_t bound; /* of preemptions */
    bool late;
} ex_search_t;

static ex_search_t search;

/* How a state was come by, as far as it matters for what may follow. */
typedef struct ex_here {
    uint32_t deaths, preemptions;
    uint32_t last; /* who went last; EX_KERNEL: nobody, or he cannot go on */
} ex_here_t;

static bool can_go_on(uint32_t who)
{
    return ex_process[who].status == EX_READY;
}

static bool bounded(void)
{
    return search.bound != EX_UNBOUNDED;
}

typedef struct ex_table {
    uint64_t *key;
    double *schedules;
    size_t room, count;
} ex_table_t;

static ex_table_t table;

static void table_clear(void)
{
    if (table.room == 0) {
        table.room = 1 << 16;
        table.key = calloc(table.room, sizeof *table.key);
        table.schedules = calloc(table.room, sizeof *table.schedules);
    } else {
        memset(table.key, 0, table.room * sizeof *table.key);
    }
    table.count = 0;
    if (!table.key || !table.schedules)
        abort();
}

static size_t table_find(uint64_t key)
{
    size_t at = (size_t)(key >> 20) & (table.room - 1);
    while (table.key[at] != 0 && table.key[at] != key)
        at = (at + 1) & (table.room - 1);
    return at;
}

static void table_grow(void)
{
    ex_table_t old = table;
    table.room *= 2;
    table.key = calloc(table.room, sizeof *table.key);
    table.schedules = calloc(table.room, sizeof *table.schedules);
    if (!table.key || !table.schedules)
        abort();
    for (size_t i = 0; i < old.room; i++) {
        if (old.key[i] == 0)
            continue;
        size_t at = table_find(old.key[i]);
        table.key[at] = old.key[i];
        table.schedules[at] = old.schedules[i];
    }
    free(old.key);
    free(old.schedules);
}

static uint64_t key_of_state(const ex_here_t *here)
{
    uint64_t words[5 + 3 * EX_PROCESSES];
    size_t count = 0;
    if (search.what->flags & EX_THREADS)
        words[count++] = XXH3_64bits(&ex_shared_mesh, sizeof ex_shared_mesh);
    words[count++] = ex_world_hash;
    words[count++] = ex_history_hash();
    words[count++] = here->deaths;
    words[count++] = bounded() ? here->last | (uint64_t)here->preemptions << 32 : 0;
    for (uint32_t who = 0; who < ex_process_count; who++) {
        const ex_process_t *process = &ex_process[who];
        bool runs = process->status == EX_READY || process->status == EX_ASLEEP;
        words[count++] = process->status;
        words[count++] = runs ? ex_fiber_hash(who) : 0;
        words[count++] = (uint64_t)(uintptr_t)process->pending ^ (uint64_t)(uintptr_t)process->asleep_on << 1;
    }
    return XXH3_64bits(words, count * sizeof words[0]) | 1;
}

/* -------------------------------------------------------------------- depth */

/* One shared access, and on until somebody else may care. */
static uint32_t advance(uint32_t who, bool alone)
{
    uint32_t steps = 0;
    do {
        ex_world_step(who);
        steps++;
    } while (ex_process[who].status == EX_READY && steps < RUN_BOUND &&
             (alone || !ex_is_shared(ex_process[who].pending)));
    if (steps == RUN_BOUND)
        ex_blame("%c does not come to an end", "ABCD"[who]);
    return steps;
}

static void look_closely(uint64_t key)
{
    uint64_t lot = key >> 1;
    for (uint32_t who = 0; lot % SOLO_EVERY == 0 && who < ex_process_count && !ex_violation[0]; who++) {
        if (!can_go_on(who))
            continue;
        snprintf(checked, sizeof checked, "/%c", 'A' + who);
        ex_verdict_solo(who);
        search.tally->solos++;
    }
    if (lot % AUDIT_EVERY == 0 && !ex_violation[0]) {
        snprintf(checked, sizeof checked, "/a");
        ex_verdict_audit();
    }
    if (lot % BYSTANDER_EVERY == 0 && !ex_violation[0]) {
        snprintf(checked, sizeof checked, "/o");
        ex_verdict_bystander();
        search.tally->solos++;
    }
    if (!ex_violation[0])
        checked[0] = '\0';
}

static double visit(const ex_here_t *here);

static double go(const ex_here_t *here, uint32_t who, bool alone)
{
    ex_here_t next = *here;
    if (here->last != EX_KERNEL && here->last != who && ++next.preemptions > search.bound)
        return 0;
    ex_snapshot_t *snapshot = ex_snapshot_take(who);
    uint32_t steps = advance(who, alone);
    next.last = can_go_on(who) ? who : EX_KERNEL;
    legs[leg_count++] = (ex_leg_t){'A', (uint8_t)who, steps};
    search.tally->steps += steps;
    double schedules = ex_violation[0] ? 0 : visit(&next);
    if (ex_violation[0])
        return 0;
    leg_count--;
    ex_snapshot_back(snapshot);
    return schedules;
}

static double die(const ex_here_t *here, uint32_t who)
{
    ex_here_t next = {here->deaths + 1, here->preemptions, here->last == who ? EX_KERNEL : here->last};
    ex_snapshot_t *snapshot = ex_snapshot_take(EX_KERNEL);
    ex_world_kill(who);
    legs[leg_count++] = (ex_leg_t){EX_DEATH, (uint8_t)who, 0};
    search.tally->deaths++;
    double schedules = visit(&next);
    if (ex_violation[0])
        return 0;
    leg_count--;
    ex_snapshot_back(snapshot);
    return schedules;
}

/* Who has not begun has nothing to leave behind. */
static bool may_die(uint32_t who, uint32_t deaths)
{
    const ex_process_t *process = &ex_process[who];
    return deaths < search.what->deaths && process->status != EX_DEAD && process->op > 0;
}

/* All that may follow. Returns how many different ways there are. */
static double choose(const ex_here_t *here)
{
    uint32_t ready = 0;
    double schedules = 0;
    bool more_die = here->deaths < search.what->deaths;
    for (uint32_t who = 0; who < ex_process_count; who++)
        ready += can_go_on(who);
    for (uint32_t who = 0; who < ex_process_count && !ex_violation[0] && !search.late; who++) {
        if (can_go_on(who))
            schedules += go(here, who, ready == 1 && !more_die);
        if (!ex_violation[0] && !search.late && may_die(who, here->deaths))
            schedules += die(here, who);
    }
    if (ready == 0 && !ex_violation[0]) {
        ex_verdict_end(search.what);
        search.tally->ends++;
        schedules += 1;
    }
    return schedules;
}

static double visit(const ex_here_t *here)
{
    ex_tally_t *tally = search.tally;
    uint64_t key = key_of_state(here);
    size_t at = table_find(key);
    if (table.key[at] == key)
        return table.schedules[at];
    if ((tally->states++ & 255) == 0 && ex_now() > search.until)
        search.late = true;
    if (search.late)
        return 0;
    if (table.count * 4 > table.room * 3) {
        table_grow();
        at = table_find(key);
    }
    table.key[at] = key;
    table.schedules[at] = 0;
    table.count++;
    if (leg_count > tally->depth)
        tally->depth = leg_count;
    if (leg_count + 8 > DEPTH) {
        ex_blame("a run has more than %u shared accesses", DEPTH);
        return 0;
    }
    look_closely(key);
    double schedules = choose(here);
    table.schedules[table_find(key)] = schedules;
    return schedules;
}

static bool begin(const ex_case_t *what, double seconds, uint32_t bound, ex_tally_t *tally)
{
    search = (ex_search_t){.what = what, .tally = tally, .until = ex_now() + seconds, .bound = bound};
    arena_used = 0;
    leg_count = 0;
    checked[0] = '\0';
    table_clear();
    if (ex_world_make(what))
        return true;
    write_schedule();
    return false;
}

void ex_search_all(const ex_case_t *what, double seconds, uint32_t bound, ex_tally_t *tally)
{
    double until = ex_now() + seconds;
    *tally = (ex_tally_t){0};
    do {
        *tally = (ex_tally_t){.passes = tally->passes + 1};
        if (!begin(what, until - ex_now(), bound, tally))
            return;
        tally->schedules = visit(&(ex_here_t){.last = EX_KERNEL});
        if (ex_violation[0]) {
            write_schedule();
            return;
        }
        if (search.late)
            return;
    } while (ex_newly_shared > 0);
    tally->complete = true;
}

/* ------------------------------------------------------------------- random */

static uint64_t random_state;

static uint32_t drawn(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 24) % below);
}

static void perish(uint32_t who, uint32_t *deaths)
{
    ++*deaths;
    ex_world_kill(who);
    legs[leg_count++] = (ex_leg_t){EX_DEATH, (uint8_t)who, 0};
    search.tally->deaths++;
}

/* Who goes on: the one of the highest priority. EX_PROCESSES where nobody can. */
static uint32_t chosen(const uint32_t priority[EX_PROCESSES])
{
    uint32_t who = EX_PROCESSES;
    for (uint32_t other = 0; other < ex_process_count; other++)
        if (can_go_on(other) && (who == EX_PROCESSES || priority[other] > priority[who]))
            who = other;
    return who;
}

/* Priorities that change at a few points (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of
 * finding bugs", 2010), drawn among shared accesses; and deaths at random ones. */
static void random_run(void)
{
    uint32_t priority[EX_PROCESSES], deaths = 0, spread = 20 + drawn(400), lowest = 1000;
    for (uint32_t who = 0; who < ex_process_count; who++)
        priority[who] = 1000 + drawn(1000);
    while (!ex_violation[0] && leg_count + 8 < DEPTH) {
        uint32_t who = chosen(priority), dies = drawn(ex_process_count);
        if (who == EX_PROCESSES)
            break;
        if (drawn(spread) == 0 && may_die(dies, deaths)) {
            perish(dies, &deaths);
            continue;
        }
        if (drawn(spread) == 0)
            priority[who] = --lowest;
        uint32_t steps = advance(who, false);
        legs[leg_count++] = (ex_leg_t){'A', (uint8_t)who, steps};
        search.tally->steps += steps;
        look_closely((uint64_t)drawn(1u << 30) << 1);
    }
    if (leg_count > search.tally->depth)
        search.tally->depth = leg_count;
    if (!ex_violation[0])
        ex_verdict_end(search.what);
    search.tally->ends++;
}

void ex_search_random(const ex_case_t *what, double seconds, uint64_t seed, ex_tally_t *tally)
{
    *tally = (ex_tally_t){.passes = 1};
    random_state = seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
    if (!begin(what, seconds, EX_UNBOUNDED, tally))
        return;
    ex_snapshot_t *snapshot[EX_PROCESSES];
    for (uint32_t who = 0; who < ex_process_count; who++)
        snapshot[who] = ex_snapshot_take(who);
    while (ex_now() < search.until) {
        leg_count = 0;
        random_run();
        if (ex_violation[0]) {
            write_schedule();
            return;
        }
        for (uint32_t who = 0; who < ex_process_count; who++) {
            size_t used = arena_used;
            ex_snapshot_back(snapshot[who]);
            arena_used = used;
        }
    }
}
