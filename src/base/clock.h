/* The two clocks: monotonic for leases and latencies, real for what people read. Neither makes a system call. */
#ifndef CMY_BASE_CLOCK_H
#define CMY_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t cmy_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static inline uint64_t cmy_clock_monotonic_ns(void)
{
    return cmy_clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t cmy_clock_real_ns(void)
{
    return cmy_clock_ns(CLOCK_REALTIME);
}

#endif /* CMY_BASE_CLOCK_H */
