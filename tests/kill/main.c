/*
 * Death and stopping at every instruction, for real.
 *
 * Usage: kill [full] [--seed N] [--call NAME] [--state NAME] [--first] [--plant | --catch]
 *
 * A tracer single-steps a victim through every call that changes a region, from every starting state. At each stop at which
 * the region's bytes differ from those at the stop before, it judges them (verdict.c): as they are, as they would be had
 * the victim died there, and as they become when others work while the victim is stopped there. Where the bytes are the
 * same as at the stop before, so is all that others can see, and nothing new is to be judged.
 *
 * The same call is then made again from the same state by fresh victims: some are killed by SIGKILL, behind every store of
 * registering and unregistering, and at some stops of every call; some are stopped, behind every store and elsewhere, while
 * others make every operation in the real region, and one of them dies, and then run to their end in what those left.
 *
 * Without arguments this is a slice for CI, which audits all changes of all calls from a few states each and kills at a
 * sample. "full" does everything; see docs/reliability.md for its figures. --first ends at the first violation. --plant
 * spoils every copy before it is audited, to show that the audit is looked at: the test then ends with 1. --catch does so
 * from one state, and passes if that fault and nothing else was seen, at every audit.
 */
#include "kill.h"

static struct plan {
    bool full, plant, catches;
    const char *call, *state;
    uint64_t seed;
} plan;

property_t p_enough = {"there were stops enough, and kills enough that hit where they should", 0, 0};

#define STOPS_LEAST 10000u

static tally_t total;
static uint64_t pairs, left_out;

/* ------------------------------------------------------------------------ pairs */

static void print_row(const char *call, const char *state, const tally_t *tally)
{
    printf("%-21s %-17s %8" PRIu64 " %7" PRIu64 " %8" PRIu64 " %6" PRIu64 " %9" PRIu64 " %7" PRIu64 " %4" PRIu64 "\n",
           call, state, tally->stops, tally->changes, tally->audits, tally->kills, tally->others, tally->real_others,
           tally->violations);
}

static void tell(const char *call, const char *state, const tally_t *tally)
{
    print_row(call, state, tally);
    add_up(&total, tally);
    pairs++;
}

/* How much of a pair is done. */
typedef struct effort {
    bool judge;           /* step through it at all */
    uint32_t others;      /* how often others make each operation, at 1 % of the stops; 0: once, at each change */
    uint32_t each_change; /* kill behind every nth; 0: none */
    uint32_t each_stop;   /* kill at one of n stops, by chance; 0: none */
    uint32_t kills_most;  /* of these */
    uint32_t beside;      /* how often others make each operation in the real region at a stop */
    uint32_t beside_at;   /* at so many stops, by chance */
    bool count;           /* and are stepped at the first of these */
    uint32_t go_on;       /* they do so once behind every nth change, and the victim goes on; 0: never */
} effort_t;

static bool takes_long(const call_t *call, size_t state)
{
    static const char *const those[] = {"attach",          "wait",   "reap",         "register, long texts",
                                        "metadata, large", "select", "select, least"};
    for (size_t i = 0; i < sizeof those / sizeof those[0]; i++)
        if (strcmp(call->name, those[i]) == 0)
            return true;
    return is_registering(call) && strncmp(states[state], "full", 4) == 0; /* reaps, twice */
}

/* The slice: calls that take long from one state each, the others from two thirds of them; killed behind every store of
 * registering and unregistering from some states. Everything else is left to the full run. */
static effort_t effort_of(size_t call, size_t state)
{
    const call_t *it = &calls[call];
    bool named = plan.call || plan.state, stores = it->flags & CALL_STORES, turn = state == call * 3 % states_count;
    if (plan.full)
        return (effort_t){true, 1000, 1, 100, UINT32_MAX, 250, 4, turn, 1};
    if (takes_long(it, state))
        return (effort_t){
            .judge = turn || named, .each_change = stores ? 8 : 0, .each_stop = 1000, .kills_most = 4, .go_on = 4};
    effort_t some = {.judge = (state + call) % 3 != 0 || turn || named,
                     .each_stop = 100,
                     .kills_most = it->flags & CALL_BLOCKS ? 2 : 6};
    if (stores && !(it->flags & CALL_BLOCKS) && (turn || state % 5 == call % 5))
        some.each_change = 1;
    /* Ids that swap their places need company on their line. */
    some.go_on = turn || (is_registering(it) && strcmp(states[state], "same home line") == 0);
    if (turn) {
        some.others = 100;
        some.beside = 20;
        some.beside_at = it->flags & CALL_BLOCKS ? 0 : 1;
        some.count = call % 8 == 1;
    }
    return some;
}

static void run_pair(size_t call, size_t state, uint64_t *random)
{
    scene_t scene;
    tally_t tally = {0};
    const call_t *it = &calls[call];
    effort_t effort = effort_of(call, state);
    if (!effort.judge) {
        left_out++;
        return;
    }
    scene_make(&scene, it, state);
    judge_all(&scene, &tally, effort.others);
    uint64_t stops = trail.stops;
    for (uint64_t change = 1; effort.each_change && change <= trail.changes; change += effort.each_change)
        kill_at(&scene, &tally, trail.changed_at[change]);
    for (uint64_t i = 0; effort.each_stop && i <= stops / effort.each_stop && i < effort.kills_most; i++)
        kill_at(&scene, &tally, 1 + below(random, (uint32_t)stops));
    for (uint32_t i = 0; i < effort.beside_at; i++) {
        uint64_t change = trail.changes ? 1 + below(random, (uint32_t)trail.changes) : 0;
        uint64_t stop = i % 2 && change ? trail.changed_at[change] : 1 + below(random, (uint32_t)stops);
        const company_t company = {effort.beside, i % 2, false, effort.count && i == 0};
        stop_at(&scene, &tally, stop, &company);
    }
    /* In front of every store, and behind the last. */
    const company_t companies[] = {{.times = 1}, {.times = 1, .takes_subject = true}, {.swaps = true}};
    for (uint64_t change = 0; effort.go_on && change <= trail.changes; change += effort.go_on)
        for (int i = 0; i < 2 + is_registering(it); i++)
            stop_at(&scene, &tally, change ? trail.changed_at[change] : 1, &companies[i]);
    tell(it->name, states[state], &tally);
    scene_free(&scene);
}

static bool wanted(const char *call, const char *state)
{
    return (!plan.call || strcmp(plan.call, call) == 0) && (!plan.state || strcmp(plan.state, state) == 0);
}

static void run_all(void)
{
    uint64_t random = plan.seed;
    for (size_t call = 0; call < calls_count; call++)
        for (size_t state = 0; state < states_count; state++)
            if (wanted(calls[call].name, states[state]))
                run_pair(call, state, &random);
}

static void print_summary(void)
{
    double percent = total.stops ? 100.0 * (double)total.kills / (double)total.stops : 0;
    print_row("all", "", &total);
    if (left_out)
        printf("the slice leaves %" PRIu64 " pairs of a call and a state to the full run\n", left_out);
    printf("%" PRIu64 " pairs of a call and a state, %" PRIu64 " distinct stops at %" PRIu64
           " instructions; the region had changed at %" PRIu64 "\n",
           pairs, total.stops, instructions_seen(), total.changes);
    printf("%" PRIu64 " audits, %" PRIu64 " kills (%.2f %% of the stops; %" PRIu64
           " more missed their stop, and killed nobody)\n",
           total.audits, total.kills, percent, total.missed);
    printf("others: %" PRIu64 " operations in copies (%d of each at %" PRIu64 " stops, %.2f %%), %" PRIu64
           " in the real region, after which %" PRIu64 " victims went on; longest %" PRIu64
           " us of the processor (%s)\ninstructions at most, stepped, with a look before and after:",
           total.others, plan.full ? 1000 : 100, total.many,
           total.stops ? 100.0 * (double)total.many / (double)total.stops : 0, total.real_others, total.beside,
           longest_operation_ns / 1000, operations[longest_operation]);
    for (size_t i = 0; i < operations_count; i++)
        printf(" %s %" PRIu64 "%s", operations[i], worst_steps[i], i + 1 < operations_count ? "," : "\n");
}

/* A test that stepped nobody, or whose victims were never where they were to be killed, has shown nothing. */
static void judge_effort(void)
{
    bool all = !plan.call && !plan.state;
    hold(&p_enough, total.stops >= (all ? STOPS_LEAST : 1), "%" PRIu64 " stops", total.stops);
    hold(&p_enough, total.missed <= 1 + total.kills / 50,
         "%" PRIu64 " of %" PRIu64 " victims were not there to be killed", total.missed, total.kills + total.missed);
    if (plan.full)
        hold(&p_enough, total.kills * 100 >= total.stops, "%" PRIu64 " kills at %" PRIu64 " stops", total.kills,
             total.stops);
    if (plan.full && all)
        hold(&p_enough, pairs >= calls_count * states_count && left_out == 0 && total.many * 101 >= total.stops,
             "%" PRIu64 " pairs; others made a thousand of each at %" PRIu64 " stops", pairs, total.many);
}

static void read_arguments(int count, char **argument)
{
    plan.seed = 1;
    for (int i = 1; i < count; i++) {
        bool value = i + 1 < count;
        if (strcmp(argument[i], "full") == 0)
            plan.full = true;
        else if (strcmp(argument[i], "--first") == 0)
            first_only = true;
        else if (strcmp(argument[i], "--plant") == 0)
            plan.plant = true;
        else if (strcmp(argument[i], "--catch") == 0) {
            plan.plant = plan.catches = true;
            plan.call = "register";
            plan.state = "one entry";
        } else if (strcmp(argument[i], "--call") == 0 && value)
            plan.call = argument[++i];
        else if (strcmp(argument[i], "--state") == 0 && value)
            plan.state = argument[++i];
        else if (strcmp(argument[i], "--seed") == 0 && value)
            plan.seed = strtoull(argument[++i], NULL, 10) | 1;
        else {
            fprintf(stderr, "usage: %s [full] [--seed N] [--call NAME] [--state NAME] [--first] [--plant | --catch]\n",
                    argument[0]);
            exit(64);
        }
    }
}

/* all: the audit's property is the first. */
static int verdict_on_plant(const property_t *all, size_t count)
{
    bool others_hold = true;
    for (size_t i = 1; i < count; i++)
        others_hold = others_hold && all[i].looked > 0 && all[i].violated == 0;
    bool seen = all[0].looked > 0 && all[0].violated == all[0].looked;
    printf("%s the planted fault is seen by every audit (%" PRIu64 " of %" PRIu64 ")\n", seen ? "ok    " : "FAILED",
           all[0].violated, all[0].looked);
    printf("%s nothing else is\n", others_hold ? "ok    " : "FAILED");
    printf("%d passed, %d failed\n", seen + others_hold, 2 - seen - others_hold);
    return seen && others_hold ? 0 : 1;
}

/* Keeps the properties that a part of the test has looked at: not every call can hurt each of them. */
static size_t looked_at(property_t *all, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (all[i].looked > 0)
            all[kept++] = all[i];
    return kept;
}

/* Else a function's first call looks its symbol up, in the victims until this process has made that call itself: later ones
 * would not come by the instructions of those before. */
static void bind_now(char **argument)
{
    if (getenv("LD_BIND_NOW"))
        return;
    setenv("LD_BIND_NOW", "1", 1);
    execv("/proc/self/exe", argument);
}

int main(int count, char **argument)
{
    read_arguments(count, argument);
    bind_now(argument);
    test_begin(plan.full ? 4 * 3600 : 1240);
    board = share(sizeof *board);
    for (int i = 0; i < 2; i++)
        worlds[i] = (world_t){.dir = test_dir, .name = i ? "large" : "small", .capacity = i ? 64 : 16};
    pid_t holder = hold_participants();
    runs_begin(test_dir);
    plant = plan.plant;
    printf("%-21s %-17s %8s %7s %8s %6s %9s %7s %4s\n", "call", "state", "stops", "changes", "audits", "kills",
           "others", "real", "bad");
    run_all();
    left_out += files_run(test_dir, plan.full || plan.call || plan.state, wanted, tell);
    print_summary();
    judge_effort();
    runs_end();
    kill(holder, SIGKILL);
    while (waitpid(-1, NULL, __WALL) > 0)
        ;
    property_t all[] = {p_audit,    p_whole, p_unhurt,  p_no_leak, p_dead_unseen, p_result, p_told,
                        p_progress, p_bound, p_watched, p_killed,  p_enough,      p_files};
    size_t properties = sizeof all / sizeof all[0];
    if (plan.catches)
        return verdict_on_plant(all, properties - 1); /* no files */
    if (plan.call || plan.state)
        properties = looked_at(all, properties);
    return verdict(all, properties);
}
