/*
 * explore --list                     the cases
 * explore [--seconds N] CASE...      explores them, each for at most N seconds
 * explore --seconds N --all          explores all cases, in N seconds altogether
 * explore --replay CASE SCHEDULE     prints one run, access by access
 * explore --seed N ...               draws other random runs
 * explore --first ...                ends with the first case that fails
 *
 * A case that does not come to its end in half of its time gets random runs for the other half. Ends with the number of
 * cases that passed and failed, and with 1 if any failed.
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

static void print_tally(const ex_case_t *what, const ex_tally_t *all, const ex_tally_t *random, double seconds)
{
    printf("%-44s %s passes %u %9llu states %10llu steps %8llu ends %9.2g schedules depth %4u deaths %8llu solo %6llu", what->name,
           all->complete ? "all " : "part", (unsigned)all->passes, (unsigned long long)all->states, (unsigned long long)all->steps,
           (unsigned long long)all->ends, all->schedules, all->depth, (unsigned long long)all->deaths,
           (unsigned long long)all->solos);
    if (random->ends > 0)
        printf(" + random %llu runs %llu deaths", (unsigned long long)random->ends, (unsigned long long)random->deaths);
    printf(" violations %d  %.1f s\n", ex_violation[0] != 0, seconds);
}

/* Returns whether the case passed. */
static bool explore(const ex_case_t *what, double seconds)
{
    ex_tally_t all, random = {0};
    double began = ex_now();
    ex_violation[0] = '\0';
    ex_search_all(what, seconds / 2, &all);
    if (!all.complete && !ex_violation[0])
        ex_search_random(what, seconds - (ex_now() - began), seed, &random);
    print_tally(what, &all, &random, ex_now() - began);
    if (ex_violation[0]) {
        printf("  VIOLATION %s\n  explore --replay %s %s\n", ex_violation, what->name, ex_search_schedule());
        ex_history_print(stdout);
    }
    fflush(stdout);
    return !ex_violation[0];
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
        bool good = explore(&ex_cases[i], (until - ex_now()) / (double)(ex_case_count - i));
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
