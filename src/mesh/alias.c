/* Weighted random selection: see policy.h. Each column holds as much as an even share, of one or two instances. */
#include <stdlib.h>

#include "mesh/policy.h"

#define WHOLE (1ull << 32)

/*
 * left: what an instance has yet to place, in units of which an even share is `sum`. Instances with less than a share
 * are completed, each in its own column, out of those with more, whose rest then may be less in turn.
 */
static void fill(cmy_alias_t *columns, uint64_t *left, uint32_t *stack, uint32_t n, uint64_t sum)
{
    uint32_t small = 0, large = n; /* two stacks that grow towards each other */
    for (uint32_t i = 0; i < n; i++) {
        columns[i] = (cmy_alias_t){UINT32_MAX, i};
        if (left[i] < sum)
            stack[small++] = i;
        else
            stack[--large] = i;
    }
    while (small > 0 && large < n) {
        uint32_t poor = stack[--small], rich = stack[large];
        columns[poor] = (cmy_alias_t){(uint32_t)((unsigned __int128)left[poor] * WHOLE / sum), rich};
        left[rich] -= sum - left[poor];
        if (left[rich] >= sum)
            continue;
        large++;
        stack[small++] = rich;
    }
}

cmy_alias_t *cmy_alias_make(const uint32_t *weight, uint32_t n)
{
    uint64_t sum = 0, *left = malloc(n * sizeof *left);
    uint32_t *stack = malloc(n * sizeof *stack);
    cmy_alias_t *columns = malloc(n * sizeof *columns);
    if (left && stack && columns) {
        for (uint32_t i = 0; i < n; i++)
            sum += weight[i];
        for (uint32_t i = 0; i < n; i++)
            left[i] = (uint64_t)weight[i] * n;
        fill(columns, left, stack, n, sum);
    } else {
        free(columns);
        columns = NULL;
    }
    free(stack);
    free(left);
    return columns;
}
