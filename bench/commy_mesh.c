/*
 * commy_mesh.c - see commy_mesh.h.
 */
#include "commy_mesh.h"

#include <stdio.h>

void commy_must(int32_t status, const char *what)
{
    if (status != COMMY_STATUS_SUCCESS)
        bench_die("commy: %s: %s", what, commy_last_error_message());
}

commy_open_options_t commy_bench_options(const bench_place_t *place, uint32_t flags)
{
    uint32_t hot = place->profile == PROFILE_NAMES ? BENCH_HOT_SERVICES : 0;

    return (commy_open_options_t){.size = sizeof(commy_open_options_t),
                                  .flags = flags,
                                  .mesh = COMMY_BENCH_MESH,
                                  .dir = place->dir,
                                  .capacity = (uint32_t)place->keys->size + COMMY_BENCH_ROOM + hot};
}

void commy_change_make(commy_change_t *change, const bench_place_t *place, unsigned worker)
{
    bench_write_id(&change->id, place->keys->seed, BENCH_SPARE_OF(worker));
    bench_write_record(&change->record, place->keys->seed, BENCH_SPARE_OF(worker));
    snprintf(change->name, sizeof change->name, "own-%u", worker);
    snprintf(change->shared, sizeof change->shared, "shared");
    change->config = (commy_service_config_t){.size = sizeof change->config,
                                              .service_name = change->name,
                                              .service_id = change->id.text,
                                              .endpoint = change->record.endpoint,
                                              .weight = change->record.weight,
                                              .port = change->record.port};
    change->there = false;
}
