/*
 * lmdb.c - LMDB: a B+tree in a memory-mapped file, one writer and many readers, in processes.
 *
 * The file lies in memory, and nothing is ever synced to it (MDB_NOSYNC, MDB_WRITEMAP): durability is no part of the
 * comparison. A lookup takes a fresh snapshot, as it must see what was changed before it, in the cheapest way there is: a
 * read transaction of the worker's own that is renewed and reset. A change is a transaction of its own. Ids lie in the
 * unnamed database, which is found fastest; names are a database in which each key has many values of one size, the
 * instances (MDB_DUPFIXED).
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "names.h"

#define FILL_AT_ONCE 10000u
/* Address space for the map, backed only as it fills. A reader that the machine does not let run keeps the pages that it
 * reads from being used again, so that writers take new ones meanwhile. */
#define MAP_BYTES(size) ((4ull << 30) + (size)*1000ull)

typedef struct worker {
    MDB_env *env;
    MDB_dbi dbi, names;
    MDB_txn *read;
    MDB_cursor *cursor; /* of names */
    bench_id_t own;
    bench_record_t record;
    bool there; /* for mixes: whether the worker's own id stands */
    uint64_t steps;
} worker_t;

static void must(int code, const char *what)
{
    if (code != 0)
        bench_die("lmdb: %s: %s", what, mdb_strerror(code));
}

static void open_env(const bench_place_t *place, worker_t *worker)
{
    MDB_txn *txn;
    char path[BENCH_PATH_BYTES + 8];

    snprintf(path, sizeof path, "%s/lmdb", place->dir);
    must(mdb_env_create(&worker->env), "mdb_env_create");
    must(mdb_env_set_mapsize(worker->env, MAP_BYTES(place->keys->size)), "mdb_env_set_mapsize");
    must(mdb_env_set_maxdbs(worker->env, 2), "mdb_env_set_maxdbs");
    must(mdb_env_set_maxreaders(worker->env, place->workers + 8), "mdb_env_set_maxreaders");
    must(mdb_env_open(worker->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NORDAHEAD, 0600),
         "mdb_env_open");
    must(mdb_txn_begin(worker->env, NULL, 0, &txn), "mdb_txn_begin");
    must(mdb_dbi_open(txn, NULL, 0, &worker->dbi), "mdb_dbi_open");
    if (place->profile == PROFILE_NAMES)
        must(mdb_dbi_open(txn, "names", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &worker->names), "mdb_dbi_open");
    must(mdb_txn_commit(txn), "mdb_txn_commit");
}

static const char *open_nothing(const bench_place_t *place)
{
    (void)place;
    return NULL;
}

static int put(MDB_txn *txn, MDB_dbi dbi, const bench_id_t *id, const bench_record_t *record)
{
    MDB_val key = {bench_id_length(id->text), (void *)id->text}, value = {sizeof *record, (void *)record};

    return mdb_put(txn, dbi, &key, &value, MDB_NOOVERWRITE);
}

typedef struct filler {
    worker_t worker;
    bool with_names;
    MDB_txn *txn;
    uint64_t count;
} filler_t;

static void fill_in(void *user, const bench_name_t *name, const bench_instance_t *instance)
{
    filler_t *filler = user;

    if (!filler->txn)
        must(mdb_txn_begin(filler->worker.env, NULL, 0, &filler->txn), "mdb_txn_begin");
    must(put(filler->txn, filler->worker.dbi, &instance->id, &instance->record), "mdb_put");
    if (filler->with_names) {
        MDB_val key = {strlen(name->text), (void *)name->text}, value = {sizeof *instance, (void *)instance};
        must(mdb_put(filler->txn, filler->worker.names, &key, &value, 0), "mdb_put");
    }
    if (++filler->count % FILL_AT_ONCE == 0) {
        must(mdb_txn_commit(filler->txn), "mdb_txn_commit");
        filler->txn = NULL;
    }
}

/* An environment must not be used across a fork: the host closes its own before there are workers. */
static void fill(const bench_place_t *place)
{
    filler_t filler = {.with_names = place->profile == PROFILE_NAMES};

    open_env(place, &filler.worker);
    bench_each_instance(place, fill_in, &filler);
    if (filler.txn)
        must(mdb_txn_commit(filler.txn), "mdb_txn_commit");
    mdb_env_close(filler.worker.env);
}

static uint64_t bytes(const bench_place_t *place)
{
    char path[BENCH_PATH_BYTES + 8];

    snprintf(path, sizeof path, "%s/lmdb", place->dir);
    return bench_backed_bytes(path);
}

static void *begin(const bench_place_t *place, unsigned number)
{
    worker_t *worker = calloc(1, sizeof *worker);

    open_env(place, worker);
    must(mdb_txn_begin(worker->env, NULL, MDB_RDONLY, &worker->read), "mdb_txn_begin");
    if (place->profile == PROFILE_NAMES)
        must(mdb_cursor_open(worker->read, worker->names, &worker->cursor), "mdb_cursor_open");
    mdb_txn_reset(worker->read);
    bench_write_id(&worker->own, place->keys->seed, BENCH_SPARE_OF(number));
    bench_write_record(&worker->record, place->keys->seed, BENCH_SPARE_OF(number));
    return worker;
}

static void end(void *self)
{
    worker_t *worker = self;

    if (worker->cursor)
        mdb_cursor_close(worker->cursor);
    mdb_txn_abort(worker->read);
    mdb_env_close(worker->env);
    free(worker);
}

static inline bool get(worker_t *worker, const char *id, bench_record_t *record)
{
    MDB_val key = {bench_id_length(id), (void *)id}, value;

    must(mdb_txn_renew(worker->read), "mdb_txn_renew");
    bool found = mdb_get(worker->read, worker->dbi, &key, &value) == 0 && value.mv_size == sizeof *record;
    if (found) {
        memcpy(record, value.mv_data, sizeof *record);
        __asm__ volatile("" : : "r"(record) : "memory"); /* all 64 bytes are wanted */
    }
    mdb_txn_reset(worker->read);
    return found;
}

static uint64_t find(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (get(self, bench_hit(keys, first + i), &record))
            sum += bench_record_answer(&record);
    return sum;
}

static uint64_t miss(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += get(self, bench_miss(keys, first + i), &record);
    return sum;
}

static uint64_t batch(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const bench_keys_t *keys = job->place->keys;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        const char *id = bench_hit(keys, first + i);
        MDB_val key = {bench_id_length(id), (void *)id}, value;
        bench_record_t record;
        if (i % BENCH_BATCH == 0)
            must(mdb_txn_renew(worker->read), "mdb_txn_renew");
        if (mdb_get(worker->read, worker->dbi, &key, &value) == 0 && value.mv_size == sizeof record) {
            memcpy(&record, value.mv_data, sizeof record);
            sum += bench_record_answer(&record);
        }
        if (i % BENCH_BATCH == BENCH_BATCH - 1 || i == count - 1)
            mdb_txn_reset(worker->read);
    }
    return sum;
}

static uint64_t dependent(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0, answer = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (!get(self, bench_hit(keys, first + i + bench_nothing_of(answer)), &record))
            break;
        sum += answer = bench_record_answer(&record);
    }
    return sum;
}

/* Pages of values, read in place. A single value is no page, but what the cursor was set to. */
static inline uint64_t walk(worker_t *worker, const bench_name_t *name)
{
    MDB_val key = {strlen(name->text), (void *)name->text}, values;
    uint64_t sum = 0;

    must(mdb_txn_renew(worker->read), "mdb_txn_renew");
    must(mdb_cursor_renew(worker->read, worker->cursor), "mdb_cursor_renew");
    int code = mdb_cursor_get(worker->cursor, &key, &values, MDB_SET);
    if (code == 0)
        code = mdb_cursor_get(worker->cursor, &key, &values, MDB_GET_MULTIPLE);
    while (code == 0) {
        const bench_instance_t *instances = values.mv_data;
        for (size_t i = 0; i < values.mv_size / sizeof *instances; i++)
            sum += instances[i].record.port != 0;
        code = mdb_cursor_get(worker->cursor, &key, &values, MDB_NEXT_MULTIPLE);
    }
    mdb_txn_reset(worker->read);
    return sum;
}

static uint64_t iterate(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_name_t name = bench_hot_name(job->instances);
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += walk(self, &name);
    return sum;
}

static uint64_t iterate_spread(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        const bench_name_t name = bench_spread_name(keys->numbers[(first + i) & (keys->stream - 1)]);
        sum += walk(self, &name) > 0;
    }
    return sum;
}

static bool add(worker_t *worker)
{
    MDB_txn *txn;

    must(mdb_txn_begin(worker->env, NULL, 0, &txn), "mdb_txn_begin");
    if (put(txn, worker->dbi, &worker->own, &worker->record) != 0) {
        mdb_txn_abort(txn);
        return false;
    }
    must(mdb_txn_commit(txn), "mdb_txn_commit");
    return true;
}

static bool take_away(worker_t *worker)
{
    MDB_val key = {BENCH_ID_BYTES, worker->own.text};
    MDB_txn *txn;

    must(mdb_txn_begin(worker->env, NULL, 0, &txn), "mdb_txn_begin");
    if (mdb_del(txn, worker->dbi, &key, NULL) != 0) {
        mdb_txn_abort(txn);
        return false;
    }
    must(mdb_txn_commit(txn), "mdb_txn_commit");
    return true;
}

static uint64_t change(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    uint64_t sum = 0;

    (void)job, (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += add(self) && take_away(self);
    return sum;
}

static inline uint64_t half_change(worker_t *worker)
{
    bool done = worker->there ? take_away(worker) : add(worker);

    worker->there = !worker->there;
    return done;
}

static inline uint64_t mix(worker_t *worker, const bench_keys_t *keys, uint64_t first, uint64_t count, unsigned every)
{
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += ++worker->steps % every == 0 ? half_change(worker) : get(worker, bench_hit(keys, first + i), &record);
    if (worker->there)
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

const bench_contender_t bench_lmdb = {
    .name = "lmdb",
    .about =
        MDB_VERSION_STRING ", MDB_NOSYNC | MDB_WRITEMAP, file in memory, processes, a renewed read transaction for "
                           "each lookup, a write transaction for each change",
    .most = UINT64_MAX,
    .open = open_nothing,
    .fill = fill,
    .bytes = bytes,
    .begin = begin,
    .ops = {[OP_FIND] = find,
            [OP_MISS] = miss,
            [OP_BATCH] = batch,
            [OP_DEPENDENT] = dependent,
            [OP_ITERATE] = iterate,
            [OP_DISCOVER_SPREAD] = iterate_spread,
            [OP_REGISTER] = change,
            [OP_MIX_99] = mix_99,
            [OP_MIX_90] = mix_90},
    .end = end,
};
