/* fuzz_mutate() for AFL++, which takes its mutators from a shared object (AFL_CUSTOM_MUTATOR_LIBRARY). Of its own
 * changes it makes as many as of these. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

typedef struct mutator {
    uint64_t chance;
    uint8_t changed[FUZZ_INPUT_BYTES];
} mutator_t;

void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(void *data, uint8_t *input, size_t bytes, uint8_t **changed, uint8_t *other, size_t other_bytes,
                       size_t room);
void afl_custom_deinit(void *data);

void *afl_custom_init(void *afl, unsigned seed)
{
    (void)afl;
    mutator_t *mutator = calloc(1, sizeof *mutator);
    if (mutator)
        mutator->chance = seed;
    return mutator;
}

size_t afl_custom_fuzz(void *data, uint8_t *input, size_t bytes, uint8_t **changed, uint8_t *other, size_t other_bytes,
                       size_t room)
{
    mutator_t *mutator = data;
    (void)other;
    (void)other_bytes;
    bytes = bytes < FUZZ_INPUT_BYTES ? bytes : FUZZ_INPUT_BYTES;
    memcpy(mutator->changed, input, bytes);
    *changed = mutator->changed;
    return fuzz_mutate(mutator->changed, bytes, room, fuzz_chance(&mutator->chance));
}

void afl_custom_deinit(void *data)
{
    free(data);
}
