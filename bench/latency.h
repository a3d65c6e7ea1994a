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

/* Starts this program again and again, as a probe (probe.h) that does nothing, and as one that attaches and looks. */
void latency_process(results_t *results, const bench_place_t *place, unsigned samples);

#endif /* BENCH_LATENCY_H */
