/*
 * session.h - the contenders at one mesh, taking turns.
 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "plan.h"
#include "results.h"

/* Whether a list with commas, null for everything, holds a word. */
bool bench_listed(const char *list, const char *word);

/* Runs all of the plan that this mesh is for. */
void session_run(const bench_options_t *options, results_t *results, uint64_t size, bench_profile_t profile,
                 const char *dir);

#endif /* BENCH_SESSION_H */
