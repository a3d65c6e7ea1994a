/*
 * plan.h - what is measured: which operation, in which mesh, by how many workers.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include "contender.h"

/* What an operation's sum must be. */
typedef enum bench_check {
    CHECK_ANSWERS,   /* that over the records of the ids asked for */
    CHECK_NOTHING,   /* 0: what should not be found was not */
    CHECK_EACH,      /* 1 for each operation */
    CHECK_INSTANCES, /* as many as the name has, for each operation */
    CHECK_ALL        /* as many as there are services, for each operation */
} bench_check_t;

typedef enum bench_crowd {
    CROWD_ONE = 1,  /* one worker */
    CROWD_MORE = 2, /* two, four, ... below all */
    CROWD_ALL = 4,  /* one a CPU */
    CROWD_OVER = 8, /* four a CPU */
    CROWD_TWO = 16  /* two */
} bench_crowd_t;

typedef struct bench_workload {
    const char *name;
    bench_op_t op;
    bench_check_t check;
    bench_profile_t profile;
    unsigned crowds;       /* of bench_crowd_t */
    unsigned quick_crowds; /* in a quick run */
    uint64_t most, least;  /* sizes; 0: any */
    uint64_t quick_most, quick_least;
    unsigned instances;
} bench_workload_t;

extern const bench_workload_t bench_plan[];
extern const unsigned bench_plan_length;

#define SIZE_SMALL 1000u
#define SIZE_MIDDLE 65536u
#define SIZE_LARGE 1000000u

#endif /* BENCH_PLAN_H */
