/*
 * commy_api.c - commy through its C API, from processes that share nothing but the region.
 */
#include <stdlib.h>

#include "commy_mesh.h"

static commy_mesh_t *filler; /* the host's: owns all services, and lives as long as the crew */

typedef struct worker {
    commy_mesh_t *mesh;
    commy_change_t change;
    uint64_t hot_reference, *references; /* of the services that the stream names, from `references_of` on */
    uint64_t steps;                      /* of mixes */
    commy_service_info_t *infos;         /* room for the instances of a name */
} worker_t;

static const char *open_mesh(const bench_place_t *place)
{
    const commy_open_options_t options = commy_bench_options(place, COMMY_OPEN_MUST_NOT_EXIST);

    commy_must(commy_mesh_attach(&options, &filler), "making the mesh");
    return NULL;
}

static void fill_in(void *user, const bench_name_t *name, const bench_instance_t *instance)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = name->text,
                                           .service_id = instance->id.text,
                                           .endpoint = instance->record.endpoint,
                                           .weight = instance->record.weight,
                                           .port = instance->record.port};

    commy_must(commy_service_register(user, &config, NULL), "registering");
}

static const unsigned selected_from[] = {10, 10000};
#define SELECTED_FROM (sizeof selected_from / sizeof selected_from[0])

/* Instances that are selected from by what is in flight have had requests, and a fourth of them one in flight. */
static void use_instances(const bench_name_t *name)
{
    commy_iterator_t iterator;
    commy_view_t view;
    uint64_t token, number = 0;

    commy_must(commy_iterate_name(filler, name->text, &iterator), "walking");
    while (commy_iterate_next(filler, &iterator, &view)) {
        commy_must(commy_service_begin(filler, view.reference, &token), "beginning a request");
        if (++number % 4 > 0)
            commy_must(commy_service_end(filler, token, 1000000 + number, true), "ending a request");
    }
}

static void fill(const bench_place_t *place)
{
    bench_each_instance(place, fill_in, filler);
    for (unsigned i = 0; place->profile == PROFILE_NAMES && i < SELECTED_FROM; i++) {
        const bench_name_t name = bench_hot_name(selected_from[i]);
        use_instances(&name);
    }
}

static uint64_t bytes(const bench_place_t *place)
{
    commy_mesh_info_t info;

    (void)place;
    commy_must(commy_mesh_info(filler, &info), "asking for sizes");
    return info.reserved_bytes;
}

static void close_mesh(const bench_place_t *place)
{
    (void)place;
    commy_mesh_detach(&filler);
}

/* A handle meets a name once, and then selects from what it keeps of it: what the first selection costs is no part of the
 * figures, as filling is none. */
static void meet_names(const bench_place_t *place, commy_mesh_t *mesh)
{
    const unsigned policies = COMMY_POLICY_CONSISTENT_HASH + 1;

    for (unsigned i = 0; place->profile == PROFILE_NAMES && i < SELECTED_FROM * policies; i++) {
        const bench_name_t name = bench_hot_name(selected_from[i / policies]);
        const commy_select_options_t how = {
            .size = sizeof how, .policy = (int32_t)(i % policies), .client_id = "anybody"};
        commy_target_t target;
        commy_must(commy_service_select(mesh, name.text, &how, &target), "selecting");
    }
}

static void *begin(const bench_place_t *place, unsigned number)
{
    const commy_open_options_t options = commy_bench_options(place, COMMY_OPEN_MUST_EXIST);
    worker_t *worker = calloc(1, sizeof *worker);

    commy_must(commy_mesh_attach(&options, &worker->mesh), "attaching");
    meet_names(place, worker->mesh);
    commy_change_make(&worker->change, place, number);
    worker->infos = calloc(BENCH_MOST_DISCOVERED, sizeof *worker->infos);
    return worker;
}

static void end(void *self)
{
    worker_t *worker = self;

    commy_mesh_detach(&worker->mesh);
    free(worker->infos);
    free(worker->references);
    free(worker);
}

/* ------------------------------------------------------------------------ finding by id */

static uint64_t find(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_keys_t *keys = job->place->keys;
    commy_target_t target;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (commy_service_find(mesh, bench_hit(keys, first + i), &target) == COMMY_STATUS_SUCCESS)
            sum += bench_answer(target.endpoint, target.weight, target.port);
    return sum;
}

static uint64_t miss(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_keys_t *keys = job->place->keys;
    commy_target_t target;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += commy_service_find(mesh, bench_miss(keys, first + i), &target) != COMMY_STATUS_NOT_FOUND;
    return sum;
}

/* A view has no weight, so that its answers cannot be summed up as the others are: they are counted. */
static uint64_t view(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_keys_t *keys = job->place->keys;
    commy_view_t view;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (commy_service_view(mesh, bench_hit(keys, first + i), &view) == COMMY_STATUS_SUCCESS &&
            view.endpoint_bytes == BENCH_ENDPOINT_BYTES && view.port != 0 && commy_view_valid(mesh, &view))
            sum++;
    return sum;
}

static uint64_t get(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_keys_t *keys = job->place->keys;
    commy_service_info_t *info = ((worker_t *)self)->infos;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (commy_service_get(mesh, bench_hit(keys, first + i), info) == COMMY_STATUS_SUCCESS)
            sum += bench_answer(info->endpoint, info->weight, info->port);
    return sum;
}

static uint64_t batch(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_keys_t *keys = job->place->keys;
    const char *ids[BENCH_BATCH];
    commy_target_t targets[BENCH_BATCH];
    int32_t codes[BENCH_BATCH];
    uint64_t sum = 0;

    for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
        unsigned some = count - done < BENCH_BATCH ? (unsigned)(count - done) : BENCH_BATCH;
        for (unsigned i = 0; i < some; i++)
            ids[i] = bench_hit(keys, first + done + i);
        commy_service_find_many(mesh, ids, some, targets, codes);
        for (unsigned i = 0; i < some; i++)
            if (codes[i] == COMMY_STATUS_SUCCESS)
                sum += bench_answer(targets[i].endpoint, targets[i].weight, targets[i].port);
    }
    return sum;
}

static uint64_t dependent(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_keys_t *keys = job->place->keys;
    commy_target_t target;
    uint64_t sum = 0, answer = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (commy_service_find(mesh, bench_hit(keys, first + i + bench_nothing_of(answer)), &target) !=
            COMMY_STATUS_SUCCESS)
            break;
        sum += answer = bench_answer(target.endpoint, target.weight, target.port);
    }
    return sum;
}

/* ---------------------------------------------------------------------- finding by name */

static uint64_t count_instances(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_name_t name = bench_hot_name(job->instances);
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++) {
        size_t found;
        if (commy_name_count(mesh, name.text, &found) == COMMY_STATUS_SUCCESS)
            sum += found;
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
        if (commy_name_discover(worker->mesh, name.text, worker->infos, BENCH_MOST_DISCOVERED, &found) !=
            COMMY_STATUS_SUCCESS)
            continue;
        for (size_t k = 0; k < found; k++)
            sum += worker->infos[k].port != 0;
    }
    return sum;
}

static inline uint64_t walk(const commy_mesh_t *mesh, commy_iterator_t *iterator)
{
    commy_view_t view;
    uint64_t sum = 0;

    while (commy_iterate_next(mesh, iterator, &view))
        sum += view.port != 0 && view.endpoint_bytes == BENCH_ENDPOINT_BYTES;
    return sum;
}

static uint64_t iterate(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_name_t name = bench_hot_name(job->instances);
    commy_iterator_t iterator;
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++)
        if (commy_iterate_name(mesh, name.text, &iterator) == COMMY_STATUS_SUCCESS)
            sum += walk(mesh, &iterator);
    return sum;
}

static uint64_t iterate_spread(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_keys_t *keys = job->place->keys;
    commy_iterator_t iterator;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        const bench_name_t name = bench_spread_name(keys->numbers[(first + i) & (keys->stream - 1)]);
        if (commy_iterate_name(mesh, name.text, &iterator) == COMMY_STATUS_SUCCESS)
            sum += walk(mesh, &iterator) > 0;
    }
    return sum;
}

static uint64_t select_one(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_name_t name = bench_hot_name(job->instances);
    commy_target_t target;
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += commy_service_select(mesh, name.text, NULL, &target) == COMMY_STATUS_SUCCESS && target.port != 0;
    return sum;
}

static inline uint64_t select_by(void *self, const bench_job_t *job, uint64_t first, uint64_t count, int32_t policy)
{
    commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    const bench_name_t name = bench_hot_name(job->instances);
    commy_target_t target;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        const commy_select_options_t how = {
            .size = sizeof how, .policy = policy, .client_id = bench_hit(job->place->keys, first + i)};
        sum += commy_service_select(mesh, name.text, &how, &target) == COMMY_STATUS_SUCCESS && target.port != 0;
    }
    return sum;
}

static uint64_t select_least(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return select_by(self, job, first, count, COMMY_POLICY_LEAST_CONNECTIONS);
}

static uint64_t select_fastest(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return select_by(self, job, first, count, COMMY_POLICY_PERFORMANCE);
}

static uint64_t select_weighted(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return select_by(self, job, first, count, COMMY_POLICY_WEIGHTED_ROUND_ROBIN);
}

static uint64_t select_random(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return select_by(self, job, first, count, COMMY_POLICY_RANDOM);
}

static uint64_t select_client(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return select_by(self, job, first, count, COMMY_POLICY_CONSISTENT_HASH);
}

static uint64_t iterate_all(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_mesh_t *mesh = ((worker_t *)self)->mesh;
    commy_iterator_t iterator;
    uint64_t sum = 0;

    (void)first, (void)job;
    for (uint64_t i = 0; i < count; i++)
        if (commy_iterate_all(mesh, &iterator) == COMMY_STATUS_SUCCESS)
            sum += walk(mesh, &iterator);
    return sum;
}

/* ----------------------------------------------------------------------------- changing */

static inline uint64_t change_once(worker_t *worker)
{
    return commy_service_register(worker->mesh, &worker->change.config, NULL) == COMMY_STATUS_SUCCESS &&
           commy_service_unregister(worker->mesh, worker->change.id.text) == COMMY_STATUS_SUCCESS;
}

static uint64_t change(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    uint64_t sum = 0;

    (void)job, (void)first;
    worker->change.config.service_name = worker->change.name;
    for (uint64_t i = 0; i < count; i++)
        sum += change_once(worker);
    return sum;
}

static uint64_t change_same(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    uint64_t sum = 0;

    (void)job, (void)first;
    worker->change.config.service_name = worker->change.shared;
    for (uint64_t i = 0; i < count; i++)
        sum += change_once(worker);
    return sum;
}

static inline uint64_t half_change(worker_t *worker)
{
    worker->change.config.service_name = worker->change.name;
    commy_status_t status = worker->change.there ? commy_service_unregister(worker->mesh, worker->change.id.text)
                                                 : commy_service_register(worker->mesh, &worker->change.config, NULL);
    worker->change.there = !worker->change.there;
    return status == COMMY_STATUS_SUCCESS;
}

static inline uint64_t mix(worker_t *worker, const bench_keys_t *keys, uint64_t first, uint64_t count, unsigned every)
{
    commy_target_t target;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (++worker->steps % every == 0)
            sum += half_change(worker);
        else
            sum += commy_service_find(worker->mesh, bench_hit(keys, first + i), &target) == COMMY_STATUS_SUCCESS;
    }
    if (worker->change.there)
        half_change(worker); /* the next turn may be another workload's */
    return sum;
}

static uint64_t mix_99(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(self, job->place->keys, first, count, 100);
}

static uint64_t mix_90(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(self, job->place->keys, first, count, 10);
}

/* ---------------------------------------------------------------------------- reporting */

static uint64_t reference_of(const worker_t *worker, const char *id)
{
    commy_target_t target;

    commy_must(commy_service_find(worker->mesh, id, &target), "finding what to report on");
    return target.reference;
}

static uint64_t report(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    uint64_t sum = 0;

    if (worker->hot_reference == 0)
        worker->hot_reference = reference_of(worker, job->place->keys->ids[0].text);
    for (uint64_t i = 0; i < count; i++)
        sum += commy_service_report(worker->mesh, worker->hot_reference, first + i, true) == COMMY_STATUS_SUCCESS;
    return sum;
}

static uint64_t report_spread(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const bench_keys_t *keys = job->place->keys;
    uint64_t sum = 0;

    if (!worker->references) {
        worker->references = calloc(keys->stream, sizeof *worker->references);
        for (uint64_t i = 0; i < keys->stream; i++)
            worker->references[i] = reference_of(worker, keys->hits[i].text);
    }
    for (uint64_t i = 0; i < count; i++)
        sum += commy_service_report(worker->mesh, worker->references[(first + i) & (keys->stream - 1)], first + i,
                                    true) == COMMY_STATUS_SUCCESS;
    return sum;
}

static uint64_t attach(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const commy_open_options_t options = commy_bench_options(job->place, COMMY_OPEN_MUST_EXIST);
    commy_mesh_t *mesh;
    uint64_t sum = 0;

    (void)self, (void)first;
    for (uint64_t i = 0; i < count; i++) {
        sum += commy_mesh_attach(&options, &mesh) == COMMY_STATUS_SUCCESS;
        commy_mesh_detach(&mesh);
    }
    return sum;
}

const bench_contender_t bench_commy = {
    .name = "commy",
    .about = "commy.h of the shared library, processes; the answer is a commy_target_t with an endpoint of 15 bytes",
    .most = COMMY_LIMIT_SERVICES_MAX - COMMY_BENCH_ROOM,
    .why = "more than a region holds",
    .open = open_mesh,
    .fill = fill,
    .bytes = bytes,
    .begin = begin,
    .ops = {[OP_FIND] = find,
            [OP_MISS] = miss,
            [OP_VIEW] = view,
            [OP_GET] = get,
            [OP_BATCH] = batch,
            [OP_DEPENDENT] = dependent,
            [OP_REGISTER] = change,
            [OP_REGISTER_SAME] = change_same,
            [OP_MIX_99] = mix_99,
            [OP_MIX_90] = mix_90,
            [OP_COUNT] = count_instances,
            [OP_DISCOVER] = discover,
            [OP_ITERATE] = iterate,
            [OP_DISCOVER_SPREAD] = iterate_spread,
            [OP_SELECT] = select_one,
            [OP_SELECT_LEAST] = select_least,
            [OP_SELECT_WEIGHTED] = select_weighted,
            [OP_SELECT_FASTEST] = select_fastest,
            [OP_SELECT_RANDOM] = select_random,
            [OP_SELECT_CLIENT] = select_client,
            [OP_ALL] = iterate_all,
            [OP_REPORT] = report,
            [OP_REPORT_SPREAD] = report_spread,
            [OP_ATTACH] = attach},
    .end = end,
    .close = close_mesh,
};
