/*
 * names.c - see names.h.
 */
#include "names.h"

#include <stdio.h>

#define HOT_NUMBERS BENCH_SPARE_OF(4096) /* no worker has them */

bench_name_t bench_hot_name(unsigned instances)
{
    bench_name_t name = {""};

    snprintf(name.text, sizeof name.text, "hot-%u", instances);
    return name;
}

/* By hand, since contenders write it in their loops. */
bench_name_t bench_spread_name(uint64_t i)
{
    bench_name_t name = {"name-0000000"};

    i /= BENCH_PER_NAME;
    for (char *digit = name.text + 11; i > 0; digit--, i /= 10)
        *digit = (char)('0' + i % 10);
    return name;
}

static void make_instance(bench_instance_t *instance, uint64_t seed, uint64_t number)
{
    bench_write_id(&instance->id, seed, number);
    bench_write_record(&instance->record, seed, number);
}

void bench_each_instance(const bench_place_t *place, bench_instance_fn *each, void *user)
{
    static const unsigned hot[] = {1, 10, 1000, 10000};
    uint64_t seed = place->keys->seed, number = HOT_NUMBERS;
    bench_instance_t instance;

    for (uint64_t i = 0; i < place->keys->size; i++) {
        bench_name_t name = bench_spread_name(i);
        make_instance(&instance, seed, i);
        each(user, &name, &instance);
    }
    for (unsigned k = 0; place->profile == PROFILE_NAMES && k < sizeof hot / sizeof hot[0]; k++) {
        bench_name_t name = bench_hot_name(hot[k]);
        for (unsigned i = 0; i < hot[k]; i++) {
            make_instance(&instance, seed, ++number);
            each(user, &name, &instance);
        }
    }
}
