/*
 * chase.c - the machine's own limit: pointers that lead from line to line, at random, over as much memory as commy's
 * lookups touch. Per service that is a hot record of 128 bytes and its share of the index, 18 bytes; the memory is of
 * the same kind as a region (shared, pages of 4 KiB).
 */
#include <stdlib.h>

#include "contender.h"

#define RECORD_BYTES 128u
#define TOUCHED_BYTES 146u

typedef struct node {
    struct node *next;
    uint8_t pad[RECORD_BYTES - sizeof(struct node *)];
} node_t;

static node_t *nodes;
static uint64_t length;

static const char *open_nodes(const bench_place_t *place)
{
    length = place->keys->size * TOUCHED_BYTES / RECORD_BYTES;
    nodes = bench_share(length * sizeof *nodes);
    return NULL;
}

/* One cycle through all of them (Sattolo 1986). */
static void fill(const bench_place_t *place)
{
    uint32_t *order = malloc(length * sizeof *order);

    for (uint64_t i = 0; i < length; i++)
        order[i] = (uint32_t)i;
    for (uint64_t i = length - 1; i > 0; i--) {
        uint64_t other = bench_mix(place->keys->seed + i) % i;
        uint32_t swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
    for (uint64_t i = 0; i < length; i++)
        nodes[order[i]].next = &nodes[order[(i + 1) % length]];
    free(order);
}

static uint64_t bytes(const bench_place_t *place)
{
    (void)place;
    return length * sizeof *nodes;
}

typedef struct worker {
    const node_t *at;
    uint64_t word;
} worker_t;

static void *begin(const bench_place_t *place, unsigned number)
{
    worker_t *worker = aligned_alloc(64, 64);

    worker->at = &nodes[length / place->workers * number];
    worker->word = 0;
    return worker;
}

static uint64_t dependent(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const node_t *at = worker->at;

    (void)job, (void)first;
    for (uint64_t i = 0; i < count; i++) {
        at = at->next;
        __asm__ volatile("" : "+r"(at));
    }
    worker->at = at;
    return count;
}

static uint64_t add(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;

    (void)job, (void)first;
    for (uint64_t i = 0; i < count; i++)
        __atomic_fetch_add(&worker->word, 1, __ATOMIC_RELAXED);
    return count;
}

const bench_contender_t bench_chase = {
    .name = "memory",
    .about = "no contender but the machine: dependent loads at random over as many bytes as commy's lookups touch",
    .yardstick = true,
    .most = UINT64_MAX,
    .open = open_nodes,
    .fill = fill,
    .bytes = bytes,
    .begin = begin,
    .ops = {[OP_DEPENDENT] = dependent, [OP_ADD] = add},
    .end = free,
};
