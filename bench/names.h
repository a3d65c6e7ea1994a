/*
 * names.h - the names that services go by, for contenders that know names.
 */
#ifndef BENCH_NAMES_H
#define BENCH_NAMES_H

#include "contender.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bench_name {
    char text[16]; /* ends with NUL */
} bench_name_t;

/* A name with so many instances: 1, 10, 1,000 or 10,000; there in meshes of PROFILE_NAMES. */
bench_name_t bench_hot_name(unsigned instances);
#define BENCH_HOT_SERVICES 11011u
#define BENCH_MOST_DISCOVERED 1000u /* instances of the names whose instances are copied */

/* The name of service i: ten services each. */
bench_name_t bench_spread_name(uint64_t i);

/* An instance of a name, as contenders keep it that have a table of names. */
typedef struct bench_instance {
    bench_id_t id;
    bench_record_t record;
} bench_instance_t;

/* Calls a function for each service of a mesh: those of the keys first, then the instances of the hot names. */
typedef void bench_instance_fn(void *user, const bench_name_t *name, const bench_instance_t *instance);
void bench_each_instance(const bench_place_t *place, bench_instance_fn *each, void *user);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_NAMES_H */
