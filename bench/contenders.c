/*
 * contenders.c - who takes part, in the order of their turns. meson says which peers this host has.
 */
#include "contender.h"

extern const bench_contender_t bench_commy, bench_commy_ffi, bench_ck, bench_lfht, bench_boost, bench_lmdb, bench_redis,
    bench_etcd, bench_chase;

/* clang-format off */
const bench_contender_t *const bench_contenders[] = {
    &bench_commy,
    &bench_commy_ffi,
    &bench_ck,
#ifdef BENCH_LFHT
    &bench_lfht,
#endif
#ifdef BENCH_BOOST
    &bench_boost,
#endif
#ifdef BENCH_LMDB
    &bench_lmdb,
#endif
#ifdef BENCH_REDIS
    &bench_redis,
#endif
    &bench_etcd,
    &bench_chase,
    NULL,
};

/* Pairs: which one, and why. */
const char *const bench_left_out[] = {
#ifndef BENCH_LFHT
    "cds_lfht", "built without liburcu-qsbr and liburcu-cds (Debian: liburcu-dev)",
#endif
#ifndef BENCH_BOOST
    "boost", "built without Boost and a C++ compiler (Debian: libboost-dev, g++)",
#endif
#ifndef BENCH_LMDB
    "lmdb", "built without lmdb (Debian: liblmdb-dev)",
#endif
#ifndef BENCH_REDIS
    "redis", "built without hiredis (Debian: libhiredis-dev)",
#endif
    NULL,
};
/* clang-format on */
