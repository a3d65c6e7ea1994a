/*
 * Weighted round robin: an even order.
 *
 * Of L turns an instance takes r. Its j-th turn may be at any of the positions from floor((j - 1) L / r) up to, and not
 * including, ceil(j L / r): then it never is a whole turn ahead or behind. Taking at each position the turn that may
 * wait the least, of those that may be taken, meets all of these windows (Baruah et al., "Proportionate progress",
 * 1996: the turns are L unit tasks with whole-numbered windows, which a fractional schedule meets, and the earliest
 * deadline first meets what any schedule meets). O(L log n).
 */
#include <stdlib.h>

#include "mesh/policy.h"

/* The most turns of a period. */
static uint64_t limit_of(uint32_t n)
{
    return n > 1024 ? 8ull * n : 8192;
}

static uint32_t common_divisor(const uint32_t *weight, uint32_t n)
{
    uint32_t divisor = weight[0];
    for (uint32_t i = 1; i < n && divisor > 1; i++)
        for (uint32_t rest = weight[i]; rest != 0;) {
            uint32_t smaller = divisor % rest;
            divisor = rest;
            rest = smaller;
        }
    return divisor;
}

/* How often each is to come in a period; returns the period's length. */
static uint64_t count_turns(const uint32_t *weight, uint32_t n, uint32_t *often)
{
    uint64_t sum = 0, limit = limit_of(n), length = 0;
    uint32_t divisor = common_divisor(weight, n);
    for (uint32_t i = 0; i < n; i++)
        sum += weight[i];
    bool exact = sum / divisor <= limit;
    /* Rounded sums of the first i shares: differences of these add up to the whole. */
    for (uint64_t i = 0, before = 0, so_far = 0; i < n; i++) {
        so_far += weight[i];
        uint64_t upto = so_far * limit / sum;
        often[i] = exact ? weight[i] / divisor : (uint32_t)(upto - before);
        if (often[i] == 0)
            often[i] = 1;
        before = upto;
        length += often[i];
    }
    return length;
}

/* ------------------------------------------------- the turn that may wait the least */

/* A heap of deadline and number, smallest first. */
typedef struct heap {
    uint64_t *entry;
    uint32_t count;
} heap_t;

static void put(heap_t *heap, uint64_t entry)
{
    uint32_t at = heap->count++;
    for (; at > 0 && heap->entry[(at - 1) / 2] > entry; at = (at - 1) / 2)
        heap->entry[at] = heap->entry[(at - 1) / 2];
    heap->entry[at] = entry;
}

static uint64_t take(heap_t *heap)
{
    uint64_t first = heap->entry[0], last = heap->entry[--heap->count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < heap->count; child = 2 * at + 1) {
        if (child + 1 < heap->count && heap->entry[child + 1] < heap->entry[child])
            child++;
        if (heap->entry[child] >= last)
            break;
        heap->entry[at] = heap->entry[child];
        at = child;
    }
    heap->entry[at] = last;
    return first;
}

/* What is needed while an order is made. */
typedef struct plan {
    uint64_t length;
    uint32_t *often, *taken; /* turns of an instance, in all and so far */
    uint32_t *first, *next;  /* whose next turn may be taken from a position on: chains of instances, plus 1 */
    heap_t heap;
} plan_t;

static void release_at(plan_t *plan, uint64_t position, uint32_t instance)
{
    plan->next[instance] = plan->first[position];
    plan->first[position] = instance + 1;
}

static void order(plan_t *plan, uint32_t *turn)
{
    for (uint64_t t = 0; t < plan->length; t++) {
        for (uint32_t chain = plan->first[t]; chain != 0; chain = plan->next[chain - 1]) {
            uint32_t i = chain - 1;
            uint64_t until = ((plan->taken[i] + 1ull) * plan->length + plan->often[i] - 1) / plan->often[i];
            put(&plan->heap, until << 32 | i);
        }
        uint32_t i = (uint32_t)take(&plan->heap); /* never empty: L turns fill L positions */
        turn[t] = i;
        uint32_t taken = ++plan->taken[i], often = plan->often[i];
        if (taken >= often)
            continue;
        uint64_t from = taken * plan->length / often;
        release_at(plan, from > t ? from : t + 1, i);
    }
}

uint32_t *cmy_turns_make(const uint32_t *weight, uint32_t n, uint32_t *turns)
{
    plan_t plan = {0};
    uint32_t *made = NULL;
    plan.often =
        calloc(4ull * n + limit_of(n), sizeof *plan.often); /* the limit is passed by one turn for each at most */
    plan.heap.entry = calloc(n, sizeof *plan.heap.entry);
    if (!plan.often || !plan.heap.entry)
        goto done;
    plan.taken = plan.often + n;
    plan.next = plan.taken + n;
    plan.length = count_turns(weight, n, plan.often);
    plan.first = plan.next + n;
    made = malloc(plan.length * sizeof *made);
    if (!made)
        goto done;
    for (uint32_t i = n; i-- > 0;)
        release_at(&plan, 0, i);
    order(&plan, made);
    *turns = (uint32_t)plan.length;
done:
    free(plan.heap.entry);
    free(plan.often);
    return made;
}
