/*
 * support.h - what all of the bench needs: failing loudly, time, chance, shared memory, CPUs.
 */
#ifndef BENCH_SUPPORT_H
#define BENCH_SUPPORT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Prints a sentence on stderr and ends the process with 1: a benchmark that went wrong has no result. */
void bench_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Set by a signal; bench_go_on() ends the process then. To be called now and then by whatever takes long. */
extern volatile sig_atomic_t bench_stopping;
void bench_go_on(void);

/* CLOCK_MONOTONIC. */
uint64_t bench_now_ns(void);

/* What the calling thread has run for. */
uint64_t bench_cpu_time_ns(void);

void bench_sleep_us(uint64_t us);

/* A bijection of 64 bits without visible pattern (the finalizer of SplitMix64; Steele, Lea, Flood 2014). */
static inline uint64_t bench_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Zeroed memory that forked children share. Pages are touched by whoever uses them first. */
void *bench_share(size_t bytes);

/* Private memory of this process that is not in a file, in bytes: what an in-process table has cost. */
uint64_t bench_resident_bytes(void);

/* Bytes that a file system has backed for a file; 0 where there is none. */
uint64_t bench_backed_bytes(const char *path);

/* The CPUs this program may use, counted once. */
unsigned bench_cpus(void);

/* Pins the calling thread to the n-th of them, modulo their number; and lets it run on all of them again. */
void bench_pin(unsigned n);
void bench_unpin(void);

/* Ends the calling process when its parent dies; to be called by a child right after the fork. */
void bench_die_with(int parent);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_SUPPORT_H */
