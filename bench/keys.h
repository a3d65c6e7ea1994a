/*
 * keys.h - what all contenders hold and are asked for.
 *
 * Service number i has an id of 21 bytes and a record of 64, which follow from the seed alone. Questions come from a
 * stream that was drawn before: numbers at random, with replacement, out of all of them, written out as ids one behind
 * the other, so that fetching the next question costs everybody the same and next to nothing.
 */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include <stdint.h>
#include <string.h>

#include "support.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_ID_BYTES 21u
#define BENCH_ENDPOINT_BYTES 15u

typedef struct bench_id {
    char text[24]; /* ends with NUL */
} bench_id_t;

/*
 * Ids are asked for as C strings, which is how programs have them, so that everybody has to find out how long one is. A
 * length that the compiler knows would spare the tables in this process a third of their instructions, and a registry, whose
 * ids are of any length, never has it.
 */
static inline size_t bench_id_length(const char *id)
{
    return strlen(id);
}

typedef struct bench_record {
    char endpoint[16]; /* ends with NUL */
    uint32_t weight;   /* 1 to 65,535 */
    uint16_t port;     /* 1 to 65,535 */
    uint8_t rest[42];
} bench_record_t;

typedef struct bench_keys {
    uint64_t size, seed;
    uint64_t stream;          /* its length, a power of two and not below size */
    const bench_id_t *ids;    /* of the services, 0 to size - 1 */
    const bench_id_t *hits;   /* the stream: ids that are there */
    const bench_id_t *misses; /* another one: ids that never are */
    const uint32_t *numbers;  /* of the services that the hits name */
    const uint64_t *sums;     /* stream + 1 of them: sums[i] is that over the first i hits */
} bench_keys_t;

/* Makes the keys for so many services, in memory that forked children share. */
bench_keys_t *bench_keys_make(uint64_t size, uint64_t seed);
void bench_keys_free(bench_keys_t *keys);

/* An id by number; numbers from BENCH_SPARE on belong to no service, and each worker has a million of its own. */
#define BENCH_SPARE (1ull << 40)
#define BENCH_SPARE_OF(worker) (BENCH_SPARE + ((uint64_t)(worker) << 20))
void bench_write_id(bench_id_t *id, uint64_t seed, uint64_t number);

void bench_write_record(bench_record_t *record, uint64_t seed, uint64_t number);

/*
 * What a lookup's answer comes to: every contender adds it up over its answers, and all must get the same sum. Takes
 * the parts that commy_target_t holds as well.
 */
static inline uint64_t bench_answer(const char *endpoint, uint32_t weight, uint16_t port)
{
    uint64_t head, tail;

    memcpy(&head, endpoint, 8);
    memcpy(&tail, endpoint + BENCH_ENDPOINT_BYTES - 8, 8);
    return (head ^ tail * 31) + ((uint64_t)weight << 32 | port);
}

static inline uint64_t bench_record_answer(const bench_record_t *record)
{
    return bench_answer(record->endpoint, record->weight, record->port);
}

/* The sum over the hits from `first` on; the stream starts again at its end. */
uint64_t bench_expected(const bench_keys_t *keys, uint64_t first, uint64_t count);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_KEYS_H */
