/*
 * keys.c - see keys.h.
 */
#include "keys.h"

#include <stdio.h>
#include <sys/mman.h>

#define SHORTEST_STREAM 8192u
#define MISSES (1ull << 41)

void bench_write_id(bench_id_t *id, uint64_t seed, uint64_t number)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = bench_mix(seed ^ number);

    memset(id, 0, sizeof *id);
    memcpy(id->text, "node-", 5);
    for (unsigned i = 0; i < 16; i++, bits >>= 4)
        id->text[5 + i] = digits[bits & 15];
}

void bench_write_record(bench_record_t *record, uint64_t seed, uint64_t number)
{
    uint64_t bits = bench_mix(seed + 1 + number);
    char endpoint[32];

    snprintf(endpoint, sizeof endpoint, "%03u.%03u.%03u.%03u", 100 + (unsigned)(bits & 127),
             (unsigned)(bits >> 8 & 255), (unsigned)(bits >> 16 & 255), (unsigned)(bits >> 24 & 255));
    memcpy(record->endpoint, endpoint, sizeof record->endpoint);
    record->weight = 1 + (uint32_t)(bits >> 32) % 65535;
    record->port = (uint16_t)(1 + (bits >> 48) % 65535);
    for (unsigned i = 0; i < sizeof record->rest; i++)
        record->rest[i] = (uint8_t)(bench_mix(bits + i / 8) >> i % 8 * 8);
}

static uint64_t stream_length(uint64_t size)
{
    uint64_t length = SHORTEST_STREAM;

    while (length < size)
        length *= 2;
    return length;
}

static void draw(bench_keys_t *keys, bench_id_t *hits, bench_id_t *misses, uint32_t *numbers, uint64_t *sums)
{
    bench_record_t record;

    sums[0] = 0;
    for (uint64_t i = 0; i < keys->stream; i++) {
        uint64_t number = (uint64_t)((unsigned __int128)bench_mix(keys->seed * 3 + i) * keys->size >> 64);
        numbers[i] = (uint32_t)number;
        hits[i] = keys->ids[number];
        bench_write_id(&misses[i], keys->seed, MISSES + i);
        bench_write_record(&record, keys->seed, number);
        sums[i + 1] = sums[i] + bench_record_answer(&record);
    }
}

bench_keys_t *bench_keys_make(uint64_t size, uint64_t seed)
{
    bench_keys_t *keys = bench_share(sizeof *keys);
    uint64_t stream = stream_length(size);
    bench_id_t *ids = bench_share(size * sizeof *ids);
    bench_id_t *hits = bench_share(stream * sizeof *hits), *misses = bench_share(stream * sizeof *misses);
    uint32_t *numbers = bench_share(stream * sizeof *numbers);
    uint64_t *sums = bench_share((stream + 1) * sizeof *sums);

    for (uint64_t i = 0; i < size; i++)
        bench_write_id(&ids[i], seed, i);
    *keys = (bench_keys_t){.size = size,
                           .seed = seed,
                           .stream = stream,
                           .ids = ids,
                           .hits = hits,
                           .misses = misses,
                           .numbers = numbers,
                           .sums = sums};
    draw(keys, hits, misses, numbers, sums);
    return keys;
}

void bench_keys_free(bench_keys_t *keys)
{
    munmap((void *)keys->ids, keys->size * sizeof *keys->ids);
    munmap((void *)keys->hits, keys->stream * sizeof *keys->hits);
    munmap((void *)keys->misses, keys->stream * sizeof *keys->misses);
    munmap((void *)keys->numbers, keys->stream * sizeof *keys->numbers);
    munmap((void *)keys->sums, (keys->stream + 1) * sizeof *keys->sums);
    munmap(keys, sizeof *keys);
}

uint64_t bench_expected(const bench_keys_t *keys, uint64_t first, uint64_t count)
{
    uint64_t start = first % keys->stream, whole = count / keys->stream, rest = count % keys->stream;
    uint64_t sum = whole * keys->sums[keys->stream];

    if (start + rest <= keys->stream)
        return sum + keys->sums[start + rest] - keys->sums[start];
    return sum + keys->sums[keys->stream] - keys->sums[start] + keys->sums[start + rest - keys->stream];
}
