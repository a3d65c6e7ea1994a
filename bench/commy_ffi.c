/*
 * commy_ffi.c - commy through its language ABI, on the mesh that commy_api.c has filled.
 */
#include <commy/ffi.h>
#include <stdlib.h>

#include "commy_mesh.h"

typedef struct worker {
    commy_handle_t handle;
    commy_change_t change;
    uint64_t hot_reference;
    commy_service_info_t *infos;
} worker_t;

#define FFI_WORKERS 1024u /* numbers of its workers, apart from those of commy_api.c */

static const char *open_nothing(const bench_place_t *place)
{
    (void)place;
    return NULL;
}

static void *begin(const bench_place_t *place, unsigned number)
{
    const commy_open_options_t options = commy_bench_options(place, COMMY_OPEN_MUST_EXIST);
    worker_t *worker = calloc(1, sizeof *worker);

    worker->handle = commy_open_mesh(&options);
    if (worker->handle.instance_id == 0)
        commy_must(commy_last_error(), "opening");
    commy_must(commy_start_mesh(worker->handle), "starting");
    commy_change_make(&worker->change, place, FFI_WORKERS + number);
    worker->infos = calloc(BENCH_MOST_DISCOVERED, sizeof *worker->infos);
    return worker;
}

static void end(void *self)
{
    worker_t *worker = self;

    commy_destroy_mesh(worker->handle);
    free(worker->infos);
    free(worker);
}

static uint64_t find(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    commy_handle_t handle = ((worker_t *)self)->handle;
    const bench_keys_t *keys = job->place->keys;
    commy_target_t target;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (commy_find(handle, bench_hit(keys, first + i), &target) == COMMY_STATUS_SUCCESS)
            sum += bench_answer(target.endpoint, target.weight, target.port);
    return sum;
}

static uint64_t miss(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    commy_handle_t handle = ((worker_t *)self)->handle;
    const bench_keys_t *keys = job->place->keys;
    commy_target_t target;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += commy_find(handle, bench_miss(keys, first + i), &target) != COMMY_STATUS_NOT_FOUND;
    return sum;
}

static uint64_t get(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const bench_keys_t *keys = job->place->keys;
    commy_service_info_t *info = worker->infos;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (commy_get_service(worker->handle, bench_hit(keys, first + i), info) == COMMY_STATUS_SUCCESS)
            sum += bench_answer(info->endpoint, info->weight, info->port);
    return sum;
}

static uint64_t batch(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    commy_handle_t handle = ((worker_t *)self)->handle;
    const bench_keys_t *keys = job->place->keys;
    const char *ids[BENCH_BATCH];
    commy_target_t targets[BENCH_BATCH];
    int32_t codes[BENCH_BATCH];
    uint64_t sum = 0;

    for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
        unsigned some = count - done < BENCH_BATCH ? (unsigned)(count - done) : BENCH_BATCH;
        for (unsigned i = 0; i < some; i++)
            ids[i] = bench_hit(keys, first + done + i);
        commy_find_many(handle, ids, some, targets, codes);
        for (unsigned i = 0; i < some; i++)
            if (codes[i] == COMMY_STATUS_SUCCESS)
                sum += bench_answer(targets[i].endpoint, targets[i].weight, targets[i].port);
    }
    return sum;
}

static uint64_t dependent(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    commy_handle_t handle = ((worker_t *)self)->handle;
    const bench_keys_t *keys = job->place->keys;
    commy_target_t target;
    uint64_t sum = 0, answer = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (commy_find(handle, bench_hit(keys, first + i + bench_nothing_of(answer)), &target) != COMMY_STATUS_SUCCESS)
            break;
        sum += answer = bench_answer(target.endpoint, target.weight, target.port);
    }
    return sum;
}

static uint64_t select_one(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    commy_handle_t handle = ((worker_t *)self)->handle;
    const bench_name_t name = bench_hot_name(job->instances);
    commy_target_t target;
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += commy_select_service(handle, name.text, NULL, &target) == COMMY_STATUS_SUCCESS && target.port != 0;
    return sum;
}

static uint64_t count_instances(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    commy_handle_t handle = ((worker_t *)self)->handle;
    const bench_name_t name = bench_hot_name(job->instances);
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++) {
        int32_t found = commy_discover_services_count(handle, name.text);
        sum += found > 0 ? (uint64_t)found : 0;
    }
    return sum;
}

static uint64_t discover(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const bench_name_t name = bench_hot_name(job->instances);
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++) {
        size_t found;
        if (commy_discover_services(worker->handle, name.text, worker->infos, BENCH_MOST_DISCOVERED, &found) !=
            COMMY_STATUS_SUCCESS)
            continue;
        for (size_t k = 0; k < found; k++)
            sum += worker->infos[k].port != 0;
    }
    return sum;
}

static uint64_t change(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    uint64_t sum = 0;

    (void)job, (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += commy_register_service(worker->handle, &worker->change.config) == COMMY_STATUS_SUCCESS &&
               commy_unregister_service(worker->handle, worker->change.id.text) == COMMY_STATUS_SUCCESS;
    return sum;
}

static uint64_t report(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    commy_target_t target;
    uint64_t sum = 0;

    if (worker->hot_reference == 0) {
        commy_must(commy_find(worker->handle, job->place->keys->ids[0].text, &target), "finding what to report on");
        worker->hot_reference = target.reference;
    }
    for (uint64_t i = 0; i < count; i++)
        sum += commy_report(worker->handle, worker->hot_reference, first + i, 1) == COMMY_STATUS_SUCCESS;
    return sum;
}

static uint64_t attach(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_open_options_t options = commy_bench_options(job->place, COMMY_OPEN_MUST_EXIST);
    uint64_t sum = 0;

    (void)self, (void)first;
    for (uint64_t i = 0; i < count; i++) {
        commy_handle_t handle = commy_open_mesh(&options);
        sum += commy_destroy_mesh(handle) == COMMY_STATUS_SUCCESS;
    }
    return sum;
}

const bench_contender_t bench_commy_ffi = {
    .name = "commy-ffi",
    .about = "ffi.h of the shared library, processes, on the same region as commy",
    .most = COMMY_LIMIT_SERVICES_MAX - COMMY_BENCH_ROOM,
    .why = "more than a region holds",
    .open = open_nothing,
    .begin = begin,
    .ops = {[OP_FIND] = find,
            [OP_MISS] = miss,
            [OP_GET] = get,
            [OP_BATCH] = batch,
            [OP_DEPENDENT] = dependent,
            [OP_REGISTER] = change,
            [OP_COUNT] = count_instances,
            [OP_SELECT] = select_one,
            [OP_DISCOVER] = discover,
            [OP_REPORT] = report,
            [OP_ATTACH] = attach},
    .end = end,
};
