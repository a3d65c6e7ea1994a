/*
 * results.h - what was measured, as JSON. bench/report.py reads it, judges and draws.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <jansson.h>

#include "contender.h"
#include "options.h"

/* A figure: one contender at one workload. */
typedef struct figure {
    const char *workload, *contender;
    uint64_t size;               /* services; 0 where there is none */
    unsigned workers, instances; /* 0: does not apply */
    const double *repeats;       /* ns for an operation, as a worker sees it; one a turn */
    const double *million_per_s; /* of all workers together; one a turn; may be null */
    unsigned turns;              /* how many of both */
    uint64_t count;              /* operations of one worker in one turn */
    const uint64_t *sorted_ns;   /* operations timed one by one, ascending; may be null */
    uint64_t samples;
} figure_t;

typedef struct results results_t;

results_t *results_new(const bench_options_t *options);
void results_contender(results_t *results, const bench_contender_t *contender);
void results_add(results_t *results, const figure_t *figure);
void results_memory(results_t *results, const char *contender, uint64_t size, uint64_t bytes);
void results_checksum(results_t *results, const char *contender, uint64_t size, uint64_t sum);
void results_skip(results_t *results, const char *what, const char *reason);
void results_number(results_t *results, const char *key, double value);

/* Writes them and frees all. */
void results_write(results_t **results, const char *path);

/* The middle one of n values, which are sorted for it. */
double bench_median(double *values, unsigned n);

#endif /* BENCH_RESULTS_H */
