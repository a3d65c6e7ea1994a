/*
 * Latencies: how many fell into which range, and what that says of quantiles.
 *
 *     ns   0 ... 1,023 | 1,024 ...  1,170 | ... 2,047 | 2,048 ... | ...             | ... 2^41 + 4/7 ... an hour
 *          bucket 0    | bucket 1         | bucket 7  | bucket 8  | 7 an octave     | bucket 222
 *
 * An octave is cut into seven ranges of equal width, the first of which is from a to a 8/7. A range is spoken of by the
 * harmonic mean of its ends, 2 a b / (a + b), which is off by (b - a) / (b + a) at both of them, by less in between: at
 * most 1/15, 6.7 %, and a little for ends being whole numbers. What is below a microsecond is spoken of as 991 ns.
 *
 * One relaxed addition a report, to one of two stripes. A block's counts are set to zero when it is claimed, unlike the
 * counters, so that a histogram is of the services that are registered now; a report that was under way since the block's
 * former life may be counted in this one. Killed inside a report: its sample may be missing.
 *
 * Counts are of 32 bits, to be half as large. One that has reached 2^31 is nearly a stripe's only one that matters: whoever
 * makes it pass each further 2^20 halves all counts of the stripe, each by one subtraction of half of what it found, which
 * loses no addition and leaves the shares what they are. Killed in between: some shares are twice too large, until the
 * count passes again.
 *
 * Of a service's latest latencies there is a mean (cmy_stat_shm_t.recent_ns), for who selects by it. A failure counts
 * there as nine times the mean, which makes it twice as long, at least: who fails at once must not look fast. It raises the
 * mean to CMY_LATENCY_FAILURE_NS at most, so that some fifty answers of a millisecond make up for any number of failures;
 * with nothing known yet it counts as that. One failure in six answers and more makes the mean grow.
 */
#ifndef CMY_STAT_LATENCY_H
#define CMY_STAT_LATENCY_H

#include "stat/block.h"

/* An hour: longer ones count as one, so that no sample can make a sum wrap within the life of a machine. */
#define CMY_LATENCY_LIMIT_NS 3600000000000ull
#define CMY_LATENCY_OCTAVE 10u /* the first that is cut, from 2^10 ns on */
#define CMY_LATENCY_PARTS 7u
#define CMY_LATENCY_MANY 0x80000000u
#define CMY_LATENCY_FAILURE_NS 1000000000ull

/* The range that a latency falls into; ns: CMY_LATENCY_LIMIT_NS at most. */
static inline uint32_t cmy_latency_bucket(uint64_t ns)
{
    if (ns < 1u << CMY_LATENCY_OCTAVE)
        return 0;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(ns);
    uint32_t part = (uint32_t)((ns - (1ull << octave)) * CMY_LATENCY_PARTS >> octave);
    return 1 + (octave - CMY_LATENCY_OCTAVE) * CMY_LATENCY_PARTS + part;
}

/* How a range is spoken of. */
uint64_t cmy_latency_of_bucket(uint32_t bucket);

/* Sums of counts, by range. */
typedef struct cmy_latencies {
    uint64_t count[CMY_LATENCY_BUCKETS];
} cmy_latencies_t;

/* Halves a stripe's counts. */
void cmy_latency_halve(cmy_tally_shm_t *tally, uint32_t stripe) __attribute__((cold));

/* What a failure counts as in a mean of the latest. */
static inline uint64_t cmy_latency_of_failure(uint64_t recent, uint64_t ns)
{
    uint64_t least = recent == 0 || recent > CMY_LATENCY_FAILURE_NS / 9 ? CMY_LATENCY_FAILURE_NS : 9 * recent;
    return ns > least ? ns : least;
}

/* Takes a sample into the mean of the latest. */
static inline void cmy_latency_take_recent(cmy_stat_shm_t *stat, uint64_t ns, bool success)
{
    uint64_t recent = cmy_load64_relaxed(&stat->recent_ns);
    if (!success)
        ns = cmy_latency_of_failure(recent, ns);
    uint64_t next = recent == 0 ? ns : recent - recent / 8 + ns / 8;
    cmy_store64_relaxed(&stat->recent_ns, next | (next == 0));
}

/* Adds one sample to a block's, and one in 64 to the mean, whose line would else change hands with every report. number:
 * one more from report to report. */
static inline void cmy_latency_add(const cmy_region_t *region, cmy_tally_shm_t *tally, uint32_t cpu, uint64_t number,
                                   uint64_t ns, bool success)
{
    uint32_t stripe = cpu % CMY_LATENCY_STRIPES;
    uint32_t before = cmy_add32_relaxed(&tally->bucket[stripe][cmy_latency_bucket(ns)], 1);
    if (__builtin_expect(before >= CMY_LATENCY_MANY, 0) && before % (1u << 20) == 0)
        cmy_latency_halve(tally, stripe);
    if (__builtin_expect(number % 64 == 0, 0))
        cmy_latency_take_recent(cmy_stat_of(region, tally), ns, success);
}

/* Forgets a block's former life. The block is CLAIMED by the caller. */
void cmy_latency_clear(cmy_region_t *region, uint32_t block);

/* Adds a block's counts, whosever they are. */
void cmy_latency_read_block(const cmy_tally_shm_t *tally, cmy_latencies_t *to);

/* Adds a service's counts; none where it has no block. */
void cmy_latency_read_service(const cmy_region_t *region, uint32_t service, uint64_t service_state,
                              cmy_latencies_t *to);

/* The latency that a share of the samples does not exceed; 0 where there is none. quantile: 0 to 1. */
uint64_t cmy_latency_quantile(const cmy_latencies_t *of, double quantile);

/* The mean of a service's latest latencies (cmy_stat_shm_t.recent_ns); 0 before the first. */
uint64_t cmy_latency_recent(const cmy_region_t *region, uint32_t service, uint64_t service_state);

#endif /* CMY_STAT_LATENCY_H */
