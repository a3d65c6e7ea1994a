/* Latencies by range; see latency.h. */
#include "stat/latency.h"

/* The first latency of a range but the first; that of the one behind the last is its end. */
static uint64_t start_of(uint32_t bucket)
{
    uint32_t octave = CMY_LATENCY_OCTAVE + (bucket - 1) / CMY_LATENCY_PARTS, part = (bucket - 1) % CMY_LATENCY_PARTS;
    uint64_t width = 1ull << octave;
    return width + (part * width + CMY_LATENCY_PARTS - 1) / CMY_LATENCY_PARTS;
}

uint64_t cmy_latency_of_bucket(uint32_t bucket)
{
    if (bucket == 0)
        return 991; /* within 7 % of all that is not below a microsecond */
    double from = (double)start_of(bucket), to = (double)start_of(bucket + 1) - 1;
    return (uint64_t)(2 * from * to / (from + to) + 0.5);
}

void cmy_latency_clear(cmy_region_t *region, uint32_t block)
{
    cmy_stat_shm_t *stat = cmy_stat_at(region, block);
    cmy_tally_shm_t *tally = cmy_tally_at(region, block);
    for (uint32_t stripe = 0; stripe < CMY_LATENCY_STRIPES; stripe++)
        for (uint32_t i = 0; i < CMY_LATENCY_BUCKETS; i++)
            if (cmy_load32_relaxed(&tally->bucket[stripe][i]) != 0)
                cmy_store32_relaxed(&tally->bucket[stripe][i], 0);
    if (cmy_load64_relaxed(&stat->recent_ns) != 0)
        cmy_store64_relaxed(&stat->recent_ns, 0);
}

void cmy_latency_halve(cmy_tally_shm_t *tally, uint32_t stripe)
{
    for (uint32_t i = 0; i < CMY_LATENCY_BUCKETS; i++) {
        uint32_t half = cmy_load32_relaxed(&tally->bucket[stripe][i]) / 2;
        cmy_add32_relaxed(&tally->bucket[stripe][i], -half);
    }
}

void cmy_latency_read_block(const cmy_tally_shm_t *tally, cmy_latencies_t *to)
{
    for (uint32_t stripe = 0; stripe < CMY_LATENCY_STRIPES; stripe++)
        for (uint32_t i = 0; i < CMY_LATENCY_BUCKETS; i++)
            to->count[i] += cmy_load32_relaxed(&tally->bucket[stripe][i]);
}

void cmy_latency_read_service(const cmy_region_t *region, uint32_t service, uint64_t service_state, cmy_latencies_t *to)
{
    uint64_t link;
    const cmy_tally_shm_t *tally = cmy_tally_follow(region, service, service_state, &link);
    if (tally)
        cmy_latency_read_block(tally, to);
}

uint64_t cmy_latency_quantile(const cmy_latencies_t *of, double quantile)
{
    uint64_t samples = 0, passed = 0;
    for (uint32_t i = 0; i < CMY_LATENCY_BUCKETS; i++)
        samples += of->count[i];
    if (samples == 0)
        return 0;
    /* Of n samples in order, the first whose place is not below the share. Sums of hostile bytes may be anything. */
    double place = quantile * (double)samples;
    uint32_t last = 0;
    for (uint32_t i = 0; i < CMY_LATENCY_BUCKETS; i++) {
        if (of->count[i] == 0)
            continue;
        last = i;
        passed += of->count[i];
        if ((double)passed >= place)
            break;
    }
    return cmy_latency_of_bucket(last);
}

uint64_t cmy_latency_recent(const cmy_region_t *region, uint32_t service, uint64_t service_state)
{
    uint64_t link, state;
    const cmy_stat_shm_t *stat = cmy_stat_follow(region, service, service_state, &link, &state);
    return stat ? cmy_load64_relaxed(&stat->recent_ns) : 0;
}
