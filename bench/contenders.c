/*
 * contenders.c - who takes part, in the order of their turns. meson says which peers this host has.
 */
#include "contender.h"

extern const bench_contender_t bench_commy, bench_commy_ffi, bench_ck, bench_lfht, bench_chase;

const bench_contender_t *const bench_contenders[] = {
    &bench_commy, &bench_commy_ffi,
    &bench_ck,
#ifdef BENCH_LFHT
    &bench_lfht,
#endif
    &bench_chase, NULL,
};

/* Pairs: which one, and why. */
const char *const bench_left_out[] = {
#ifndef BENCH_LFHT
    "cds_lfht",
    "built without liburcu-qsbr and liburcu-cds (Debian: liburcu-dev)",
#endif
    NULL,
};
