/*
 * ck.c - ConcurrencyKit's ck_ht, in one process: a hash table for one writer and many readers, who take no lock.
 *
 * Made for twice as many entries, so that it is half full at most, and with CK_HT_WORKLOAD_DELETE, which costs a hit
 * nothing that can be measured and makes misses a third faster; keys are compared in full, records of 64 bytes are
 * copied out. The hash is XXH3, inlined into the callback. Writers take a lock, as the table demands it; records that
 * were taken away are used again at once, which real programs could not do without a scheme to reclaim memory.
 */
#include <ck_ht.h>
#include <pthread.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "contender.h"

typedef struct entry {
    bench_id_t id;
    bench_record_t record;
} __attribute__((aligned(32))) entry_t;

static ck_ht_t table;
static pthread_spinlock_t writers;
static uint64_t before, after;

static void *take(size_t bytes)
{
    return malloc(bytes);
}

static void give(void *memory, size_t bytes, bool defer)
{
    (void)bytes;
    if (!defer)
        free(memory); /* what readers may still look at is left alone: a table grown twice is no leak to speak of */
}

static struct ck_malloc memory = {.malloc = take, .free = give};

static void hash(ck_ht_hash_t *hash, const void *key, size_t bytes, uint64_t seed)
{
    hash->value = XXH3_64bits_withSeed(key, bytes, seed);
}

static const char *open_table(const bench_place_t *place)
{
    before = bench_resident_bytes();
    pthread_spin_init(&writers, PTHREAD_PROCESS_PRIVATE);
    if (!ck_ht_init(&table, CK_HT_MODE_BYTESTRING | CK_HT_WORKLOAD_DELETE, hash, &memory, place->keys->size * 2,
                    place->keys->seed))
        bench_die("ck_ht_init failed");
    return NULL;
}

static bool add(entry_t *entry)
{
    ck_ht_entry_t cell;
    ck_ht_hash_t key;

    ck_ht_hash(&key, &table, entry->id.text, BENCH_ID_BYTES);
    ck_ht_entry_set(&cell, key, entry->id.text, BENCH_ID_BYTES, entry);
    return ck_ht_put_spmc(&table, key, &cell);
}

static bool take_away(const entry_t *entry)
{
    ck_ht_entry_t cell;
    ck_ht_hash_t key;

    ck_ht_hash(&key, &table, entry->id.text, BENCH_ID_BYTES);
    ck_ht_entry_key_set(&cell, entry->id.text, BENCH_ID_BYTES);
    return ck_ht_remove_spmc(&table, key, &cell);
}

static void fill(const bench_place_t *place)
{
    const bench_keys_t *keys = place->keys;
    entry_t *entries = aligned_alloc(64, (keys->size * sizeof *entries + 63) / 64 * 64);

    for (uint64_t i = 0; i < keys->size; i++) {
        entries[i].id = keys->ids[i];
        bench_write_record(&entries[i].record, keys->seed, i);
        if (!add(&entries[i]))
            bench_die("ck_ht: id %s could not be put", entries[i].id.text);
    }
    after = bench_resident_bytes();
}

static uint64_t bytes(const bench_place_t *place)
{
    (void)place;
    return after - before;
}

typedef struct worker {
    entry_t own; /* what it adds and takes away */
    bool there;  /* for mixes: whether its own entry stands */
    uint64_t steps;
} worker_t;

static void *begin(const bench_place_t *place, unsigned number)
{
    worker_t *worker = aligned_alloc(64, (sizeof *worker + 63) / 64 * 64);

    memset(worker, 0, sizeof *worker);
    bench_write_id(&worker->own.id, place->keys->seed, BENCH_SPARE_OF(number));
    bench_write_record(&worker->own.record, place->keys->seed, BENCH_SPARE_OF(number));
    return worker;
}

static inline bool get(const char *id, bench_record_t *record)
{
    ck_ht_entry_t cell;
    ck_ht_hash_t key;

    uint16_t bytes = (uint16_t)bench_id_length(id);

    ck_ht_hash(&key, &table, id, bytes);
    ck_ht_entry_key_set(&cell, id, bytes);
    if (!ck_ht_get_spmc(&table, key, &cell))
        return false;
    memcpy(record, &((const entry_t *)ck_ht_entry_value(&cell))->record, sizeof *record);
    __asm__ volatile("" : : "r"(record) : "memory"); /* all 64 bytes are wanted */
    return true;
}

static uint64_t find(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    (void)self;
    for (uint64_t i = 0; i < count; i++)
        if (get(bench_hit(keys, first + i), &record))
            sum += bench_record_answer(&record);
    return sum;
}

static uint64_t miss(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    (void)self;
    for (uint64_t i = 0; i < count; i++)
        sum += get(bench_miss(keys, first + i), &record);
    return sum;
}

static uint64_t dependent(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0, answer = 0;

    (void)self;
    for (uint64_t i = 0; i < count; i++) {
        if (!get(bench_hit(keys, first + i + bench_nothing_of(answer)), &record))
            return 0;
        sum += answer = bench_record_answer(&record);
    }
    return sum;
}

static bool add_locked(entry_t *own)
{
    pthread_spin_lock(&writers);
    bool done = add(own);
    pthread_spin_unlock(&writers);
    return done;
}

static bool take_away_locked(entry_t *own)
{
    pthread_spin_lock(&writers);
    bool done = take_away(own);
    pthread_spin_unlock(&writers);
    return done;
}

static uint64_t change(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    entry_t *own = &((worker_t *)self)->own;
    uint64_t sum = 0;

    (void)job, (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += add_locked(own) && take_away_locked(own);
    return sum;
}

static inline uint64_t half_change(worker_t *worker)
{
    bool done = worker->there ? take_away_locked(&worker->own) : add_locked(&worker->own);

    worker->there = !worker->there;
    return done;
}

static inline uint64_t mix(worker_t *worker, const bench_keys_t *keys, uint64_t first, uint64_t count, unsigned every)
{
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += ++worker->steps % every == 0 ? half_change(worker) : get(bench_hit(keys, first + i), &record);
    if (worker->there)
        half_change(worker); /* the next turn may be another workload's */
    return sum;
}

static uint64_t mix_99(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(self, job->place->keys, first, count, 100);
}

static uint64_t mix_90(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(self, job->place->keys, first, count, 10);
}

const bench_contender_t bench_ck = {
    .name = "ck_ht",
    .about = "ConcurrencyKit, CK_HT_MODE_BYTESTRING | CK_HT_WORKLOAD_DELETE, in one process, threads, XXH3, "
             "sized for twice the entries; a spin lock around changes",
    .threads = true,
    .most = UINT64_MAX,
    .open = open_table,
    .fill = fill,
    .bytes = bytes,
    .begin = begin,
    .ops = {[OP_FIND] = find,
            [OP_MISS] = miss,
            [OP_DEPENDENT] = dependent,
            [OP_REGISTER] = change,
            [OP_MIX_99] = mix_99,
            [OP_MIX_90] = mix_90},
    .end = free,
};
