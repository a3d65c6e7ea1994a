/*
 * lfht.c - liburcu's cds_lfht, in one process: a lock-free hash table, whose readers are protected by RCU.
 *
 * The flavour is QSBR, the fastest for readers: entering and leaving a read-side section costs nothing, and each thread
 * says every 256 lookups that it holds nothing. The table has two to four buckets for each entry (with one to two it is
 * slower), does not resize, and keeps its buckets in one piece (the mmap scheme, which it takes where a maximum is given).
 * Keys are compared in full, records of 64 bytes are copied out. The hash is XXH3. Nodes that were taken away are freed by
 * call_rcu().
 */
#define _LGPL_SOURCE
#include <stdlib.h>
#include <urcu/urcu-qsbr.h>

#include <urcu/rculfhash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "contender.h"

#define QUIET_EVERY 256u

typedef struct entry {
    struct cds_lfht_node node;
    bench_id_t id;
    uint32_t bytes; /* of the id */
    bench_record_t record;
    struct rcu_head head;
} __attribute__((aligned(64))) entry_t;

static struct cds_lfht *table;
static uint64_t seed, before, after;

static const char *open_table(const bench_place_t *place)
{
    unsigned long buckets = 64;

    before = bench_resident_bytes();
    seed = place->keys->seed;
    while (buckets < place->keys->size * 2)
        buckets *= 2;
    table = cds_lfht_new_flavor(buckets, buckets, buckets, 0, &urcu_qsbr_flavor, NULL);
    if (!table)
        bench_die("cds_lfht_new failed");
    urcu_qsbr_get_default_call_rcu_data(); /* its thread starts here, bound to no CPU */
    return NULL;
}

typedef struct question {
    const char *text;
    size_t bytes;
} question_t;

static inline unsigned long hash(const question_t *key)
{
    return XXH3_64bits_withSeed(key->text, key->bytes, seed);
}

static int match(struct cds_lfht_node *node, const void *asked)
{
    const question_t *key = asked;
    const entry_t *entry = caa_container_of(node, entry_t, node);

    return entry->bytes == key->bytes && memcmp(entry->id.text, key->text, key->bytes) == 0;
}

static bool add(entry_t *entry)
{
    const question_t key = {entry->id.text, bench_id_length(entry->id.text)};

    entry->bytes = (uint32_t)key.bytes;
    urcu_qsbr_read_lock();
    struct cds_lfht_node *there = cds_lfht_add_unique(table, hash(&key), match, &key, &entry->node);
    urcu_qsbr_read_unlock();
    return there == &entry->node;
}

static void fill(const bench_place_t *place)
{
    const bench_keys_t *keys = place->keys;
    entry_t *entries = aligned_alloc(64, keys->size * sizeof *entries);

    urcu_qsbr_register_thread();
    for (uint64_t i = 0; i < keys->size; i++) {
        cds_lfht_node_init(&entries[i].node);
        entries[i].id = keys->ids[i];
        bench_write_record(&entries[i].record, keys->seed, i);
        if (!add(&entries[i]))
            bench_die("cds_lfht: id %s could not be added", entries[i].id.text);
    }
    urcu_qsbr_unregister_thread();
    after = bench_resident_bytes();
}

static uint64_t bytes(const bench_place_t *place)
{
    (void)place;
    return after - before;
}

typedef struct worker {
    entry_t *own; /* for mixes: what it has added, or null */
    uint64_t steps;
} worker_t;

/* A thread is online only while it has a turn, so that those who sleep do not hold up grace periods. */
static void *begin(const bench_place_t *place, unsigned number)
{
    (void)place, (void)number;
    urcu_qsbr_register_thread();
    urcu_qsbr_thread_offline();
    return calloc(1, sizeof(worker_t));
}

static inline bool get(const char *id, bench_record_t *record)
{
    const question_t key = {id, bench_id_length(id)};
    struct cds_lfht_iter iterator;

    urcu_qsbr_read_lock();
    cds_lfht_lookup(table, hash(&key), match, &key, &iterator);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iterator);
    if (node) {
        memcpy(record, &caa_container_of(node, entry_t, node)->record, sizeof *record);
        __asm__ volatile("" : : "r"(record) : "memory"); /* all 64 bytes are wanted */
    }
    urcu_qsbr_read_unlock();
    return node != NULL;
}

static inline void breathe(uint64_t i)
{
    if (i % QUIET_EVERY == 0)
        urcu_qsbr_quiescent_state();
}

static uint64_t find(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    (void)self;
    urcu_qsbr_thread_online();
    for (uint64_t i = 0; i < count; i++) {
        breathe(i);
        if (get(bench_hit(keys, first + i), &record))
            sum += bench_record_answer(&record);
    }
    urcu_qsbr_thread_offline();
    return sum;
}

static uint64_t miss(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    (void)self;
    urcu_qsbr_thread_online();
    for (uint64_t i = 0; i < count; i++) {
        breathe(i);
        sum += get(bench_miss(keys, first + i), &record);
    }
    urcu_qsbr_thread_offline();
    return sum;
}

static uint64_t dependent(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0, answer = 0;

    (void)self;
    urcu_qsbr_thread_online();
    for (uint64_t i = 0; i < count; i++) {
        breathe(i);
        if (!get(bench_hit(keys, first + i + bench_nothing_of(answer)), &record))
            break;
        sum += answer = bench_record_answer(&record);
    }
    urcu_qsbr_thread_offline();
    return sum;
}

static void free_entry(struct rcu_head *head)
{
    free(caa_container_of(head, entry_t, head));
}

/* Null: its id is there already. */
static entry_t *add_own(const bench_job_t *job)
{
    entry_t *entry = aligned_alloc(64, sizeof *entry);

    cds_lfht_node_init(&entry->node);
    bench_write_id(&entry->id, seed, BENCH_SPARE_OF(job->worker));
    memset(&entry->record, 1, sizeof entry->record);
    if (add(entry))
        return entry;
    free(entry);
    return NULL;
}

static bool take_away(entry_t *entry)
{
    urcu_qsbr_read_lock();
    bool gone = cds_lfht_del(table, &entry->node) == 0;
    urcu_qsbr_read_unlock();
    if (gone)
        urcu_qsbr_call_rcu(&entry->head, free_entry);
    return gone;
}

static uint64_t change(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    uint64_t sum = 0;

    (void)self, (void)first;
    urcu_qsbr_thread_online();
    for (uint64_t i = 0; i < count; i++) {
        breathe(i);
        entry_t *own = add_own(job);
        sum += own && take_away(own);
    }
    urcu_qsbr_thread_offline();
    return sum;
}

static inline uint64_t half_change(worker_t *worker, const bench_job_t *job)
{
    if (!worker->own)
        return (worker->own = add_own(job)) != NULL;
    bool gone = take_away(worker->own);
    worker->own = NULL;
    return gone;
}

static inline uint64_t mix(worker_t *worker, const bench_job_t *job, uint64_t first, uint64_t count, unsigned every)
{
    bench_record_t record;
    uint64_t sum = 0;

    urcu_qsbr_thread_online();
    for (uint64_t i = 0; i < count; i++) {
        breathe(i);
        sum += ++worker->steps % every == 0 ? half_change(worker, job)
                                            : get(bench_hit(job->place->keys, first + i), &record);
    }
    if (worker->own)
        half_change(worker, job); /* the next turn may be another workload's */
    urcu_qsbr_thread_offline();
    return sum;
}

static uint64_t mix_99(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(self, job, first, count, 100);
}

static uint64_t mix_90(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(self, job, first, count, 10);
}

static void end(void *self)
{
    urcu_qsbr_unregister_thread();
    free(self);
}

const bench_contender_t bench_lfht = {
    .name = "cds_lfht",
    .about = "liburcu, QSBR flavour with a quiescent state each 256 lookups, in one process, threads, XXH3, "
             "two to four buckets for each entry, no resizing",
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
    .end = end,
};
