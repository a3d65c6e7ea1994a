/*
 * options.h - what the command line said.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_MOST_TURNS 64u

typedef struct bench_options {
    bool quick;
    bool cpu_time; /* ns are those that the workers ran: for a machine that others use, too */
    uint64_t seed;
    unsigned repeats, turn_ms;
    const char *only;       /* workloads, with commas; null: all */
    const char *contenders; /* names, with commas; null: all */
    const char *sizes;      /* with commas; null: the plan's */
    const char *plant;      /* a contender whose answers are made wrong; null: none */
    const char *output;
} bench_options_t;

#endif /* BENCH_OPTIONS_H */
