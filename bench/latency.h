/*
 * latency.h - how long events take: a change until a waiting process runs, a SIGKILL until a service is gone, and what
 * attaching adds to the start of a process. Each beside what the kernel alone takes for the same, in turns.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "contender.h"
#include "results.h"

/* Both make a mesh of their own in `dir`. */
void latency_wake(results_t *results, const char *dir, unsigned samples);
void latency_kill(results_t *results, const char *dir, unsigned samples);

/* Starts commy-probe again and again, which does nothing, or attaches and looks. */
void latency_process(results_t *results, const bench_place_t *place, unsigned samples);

/*
 * Counts the cache lines of the region that a find touches. Lines that all finds touch (the header, the owner's life word)
 * stay in the cache and are counted apart.
 */
void latency_lines(results_t *results, const bench_place_t *place);

/* The path of commy-probe, which lies beside this program. */
const char *latency_probe(void);

#endif /* BENCH_LATENCY_H */
