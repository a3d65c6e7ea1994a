/*
 * commy_mesh.h - the mesh that both ways into commy look at.
 */
#ifndef BENCH_COMMY_MESH_H
#define BENCH_COMMY_MESH_H

#include <commy/commy.h>

#include "names.h"
#include "probe.h"

#define COMMY_BENCH_MESH PROBE_MESH
#define COMMY_BENCH_ROOM 2048u /* beyond the services of the keys: for those that come and go */

commy_open_options_t commy_bench_options(const bench_place_t *place, uint32_t flags);

/* A registration that one worker makes again and again: an id of its own, under a name of its own or a shared one. */
typedef struct commy_change {
    bench_id_t id;
    bench_record_t record;
    char name[24], shared[24];
    commy_service_config_t config;
    bool there; /* for mixes: whether it stands */
} commy_change_t;
void commy_change_make(commy_change_t *change, const bench_place_t *place, unsigned worker);

void commy_must(int32_t status, const char *what);

#endif /* BENCH_COMMY_MESH_H */
