/*
 * explore --list                     the cases
 * explore [--seconds N] CASE...      explores them, each for at most N seconds of processor time
 * explore --seconds N --all          explores all cases, in N seconds altogether
 * explore --replay CASE SCHEDULE     prints one run, access by access
 * explore --seed N ...               draws other random runs
 * explore --first ...                ends with the first case that fails
 *
 * A case gets all interleavings, if its time is enough; else all with 0, 1, 2 ... preemptions, as far as time goes, and
 * then random ones. A violation is looked for again with as few preemptions as it takes. Ends with the number of cases that
 * passed and failed, and with 1 if any failed.
 *
 * schedules: different runs that what was searched stands for; executions: ends that were judged, states told apart;
 * solo: runs of one process, or of a bystander, with all others stopped where they were.
 */
#include <stdlib.h>

#include "explore.h"

static uint64_t seed = 1;

static const ex_case_t *case_of(const char *name)
{
    for (size_t i = 0; i < ex_case_count; i++)
        if (strcmp(ex_cases[i].name, name) == 0)
            return &ex_cases[i];
    return NULL;
}

static void list(void)
{
    for (size_t i = 0; i < ex_case_count; i++) {
        const ex_case_t *what = &ex_cases[i];
        printf("%-44s %s%s%s%s, deaths %u\n", what->name, what->setup, what->settler_dies ? " (dead)" : "",
               *what->setup ? " -> " : "", what->program, what->deaths);
    }
}

/* What was done on a case, over all searches. */
typedef struct outcome {
    ex_tally_t tally;
    uint32_t bound; /* the largest that was searched to its end; EX_UNBOUNDED: all runs */
    bool any;       /* whether one was */
} outcome_t;

static void add(ex_tally_t *sum, const ex_tally_t *more)
{
    sum->states += more->states;
    sum->steps += more->steps;
    sum->ends += more->ends;
    sum->deaths += more->deaths;
    sum->solos += more->solos;
    if (more->complete && more->schedules > sum->schedules)
        sum->schedules = more->schedules;
    if (more->depth > sum->depth)
        sum->depth = more->depth;
}

/* Searches within a bound; returns whether to go on. */
static bool search_within(const ex_case_t *what, uint32_t bound, double seconds, outcome_t *outcome)
{
    ex_tally_t tally;
    ex_search_all(what, seconds, bound, &tally);
    add(&outcome->tally, &tally);
    if (tally.complete) {
        outcome->bound = bound;
        outcome->any = true;
    }
    return tally.complete && !ex_violation[0];
}

static void print_outcome(const ex_case_t *what, const outcome_t *outcome, uint64_t random_runs, double seconds)
{
    const ex_tally_t *tally = &outcome->tally;
    char extent[32] = "a part";
    if (outcome->any && outcome->bound == EX_UNBOUNDED)
        snprintf(extent, sizeof extent, "all runs");
    else if (outcome->any)
        snprintf(extent, sizeof extent, "%u preemptions", outcome->bound);
    printf(
        "%-44s %-13s %9.3g schedules %8llu executions %9llu states %10llu steps %8llu deaths %7llu solo %8llu random "
        "depth %4u violations %d %6.1f s\n",
        what->name, extent, tally->schedules, (unsigned long long)tally->ends, (unsigned long long)tally->states,
        (unsigned long long)tally->steps, (unsigned long long)tally->deaths, (unsigned long long)tally->solos,
        (unsigned long long)random_runs, tally->depth, ex_violation[0] != 0, seconds);
}

/* A shorter run to the same end, where there is one: with as few preemptions as possible. */
static void simplify(const ex_case_t *what)
{
    static char first[sizeof ex_violation], schedule[65536];
    memcpy(first, ex_violation, sizeof first);
    snprintf(schedule, sizeof schedule, "%s", ex_search_schedule());
    for (uint32_t bound = 0; bound < 6; bound++) {
        ex_tally_t tally;
        ex_violation[0] = '\0';
        ex_search_all(what, 1, bound, &tally);
        if (!ex_violation[0] && tally.complete)
            continue;
        if (ex_violation[0])
            return;
        break;
    }
    memcpy(ex_violation, first, sizeof first);
    ex_search_found(schedule);
}

/* Returns whether the case passed. */
static bool explore(const ex_case_t *what, double seconds)
{
    outcome_t outcome = {.bound = 0};
    ex_tally_t random = {0};
    double began = ex_now(), until = began + seconds;
    ex_violation[0] = '\0';
    /* A few random runs first: they tell most of the words that are shared. */
    ex_search_random(what, seconds * 0.04, seed, &random);
    add(&outcome.tally, &random);
    uint64_t random_runs = random.ends;
    bool all = !ex_violation[0] && search_within(what, EX_UNBOUNDED, seconds * 0.4, &outcome);
    for (uint32_t bound = 0; !all && !ex_violation[0] && ex_now() < until - seconds * 0.2; bound++)
        if (!search_within(what, bound, until - seconds * 0.2 - ex_now(), &outcome))
            break;
    if (!all && !ex_violation[0]) {
        ex_search_random(what, until - ex_now(), seed + 1, &random);
        add(&outcome.tally, &random);
        random_runs += random.ends;
    }
    if (ex_violation[0])
        simplify(what);
    print_outcome(what, &outcome, random_runs, ex_now() - began);
    if (ex_violation[0]) {
        printf("  VIOLATION %s\n  explore --replay %s %s\n", ex_violation, what->name, ex_search_schedule());
        ex_history_print(stdout);
    }
    fflush(stdout);
    return !ex_violation[0];
}

/* What a case gets of the time that is left for it and all behind it. */
static double share_of(size_t number)
{
    unsigned mine = ex_cases[number].weight ? ex_cases[number].weight : 1, all = 0;
    for (size_t i = number; i < ex_case_count; i++)
        all += ex_cases[i].weight ? ex_cases[i].weight : 1;
    return (double)mine / all;
}

static int replay(const char *name, const char *schedule)
{
    const ex_case_t *what = case_of(name);
    if (!what || !ex_replay(what, schedule, stdout)) {
        fprintf(stderr, "explore: %s\n", what ? "the schedule does not fit the case" : "there is no such case");
        return 2;
    }
    printf("%s\n", ex_violation[0] ? ex_violation : "no violation");
    return ex_violation[0] != 0;
}

int main(int argc, char **argv)
{
    double seconds = 60;
    bool all = false, first = false;
    unsigned passed = 0, failed = 0;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--list") == 0) {
            list();
            return 0;
        }
        if (strcmp(argv[at], "--replay") == 0 && at + 2 < argc)
            return replay(argv[at + 1], argv[at + 2]);
        if (strcmp(argv[at], "--seconds") == 0 && at + 1 < argc)
            seconds = strtod(argv[++at], NULL);
        else if (strcmp(argv[at], "--seed") == 0 && at + 1 < argc)
            seed = strtoull(argv[++at], NULL, 10);
        else if (strcmp(argv[at], "--all") == 0)
            all = true;
        else if (strcmp(argv[at], "--first") == 0)
            first = true;
        else {
            fprintf(stderr, "explore: %s is not understood; see the top of tests/explore/main.c\n", argv[at]);
            return 2;
        }
    }
    double until = ex_now() + seconds;
    for (size_t i = 0; all && i < ex_case_count && !(first && failed); i++) {
        bool good = explore(&ex_cases[i], (until - ex_now()) * share_of(i));
        passed += good;
        failed += !good;
    }
    for (; !all && at < argc && !(first && failed); at++) {
        const ex_case_t *what = case_of(argv[at]);
        if (!what) {
            fprintf(stderr, "explore: there is no case %s; --list shows which there are\n", argv[at]);
            return 2;
        }
        bool good = explore(what, seconds);
        passed += good;
        failed += !good;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
