/*
 * redis.c - Redis over its Unix socket: a daemon and a round trip for each lookup.
 *
 * The host starts a redis-server that listens on a socket in the mesh's directory alone and saves nothing; it dies with
 * the host. Each worker has a connection. A service is a string of 64 bytes under its id,
 * and a member of its name's set. The server is bound to no CPU.
 */
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "names.h"

#define FILL_AT_ONCE 1000u
#define START_MS 10000u

typedef struct worker {
    redisContext *server;
    bench_id_t own;
    bench_record_t record;
    bool there;
    uint64_t steps;
} worker_t;

static pid_t server;

static redisContext *connect_to(const bench_place_t *place)
{
    char path[BENCH_PATH_BYTES + 16];

    snprintf(path, sizeof path, "%s/redis.sock", place->dir);
    redisContext *context = redisConnectUnix(path);
    if (context && context->err == 0)
        return context;
    if (context)
        redisFree(context);
    return NULL;
}

static void run_server(const bench_place_t *place, pid_t host)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

    bench_die_with(host);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    if (chdir(place->dir) == 0)
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", "",
               "--appendonly", "no", "--daemonize", "no", (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

static const char *open_server(const bench_place_t *place)
{
    pid_t host = getpid();
    int status;

    server = fork();
    if (server == 0)
        run_server(place, host);
    for (unsigned waited = 0; waited < START_MS; waited++) {
        redisContext *context = connect_to(place);
        if (context) {
            redisFree(context);
            return NULL;
        }
        if (waitpid(server, &status, WNOHANG) == server)
            return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "there is no redis-server (Debian: redis-server)"
                                                                   : "redis-server ended when it should have started";
        bench_sleep_us(1000);
    }
    bench_die("redis-server does not listen after %u ms", START_MS);
}

static redisReply *reply_of(redisContext *context)
{
    redisReply *reply = NULL;

    if (redisGetReply(context, (void **)&reply) != REDIS_OK || !reply || reply->type == REDIS_REPLY_ERROR)
        bench_die("redis: %s", reply ? reply->str : context->errstr);
    return reply;
}

typedef struct filler {
    redisContext *server;
    bool with_names;
    unsigned asked; /* and not answered yet */
} filler_t;

static void take_answers(filler_t *filler)
{
    for (; filler->asked > 0; filler->asked--)
        freeReplyObject(reply_of(filler->server));
}

static void fill_in(void *user, const bench_name_t *name, const bench_instance_t *instance)
{
    filler_t *filler = user;

    redisAppendCommand(filler->server, "SET %b %b", instance->id.text, (size_t)BENCH_ID_BYTES, &instance->record,
                       sizeof instance->record);
    filler->asked++;
    if (filler->with_names) {
        redisAppendCommand(filler->server, "SADD %s %b", name->text, instance, sizeof *instance);
        filler->asked++;
    }
    if (filler->asked >= FILL_AT_ONCE)
        take_answers(filler);
}

static void fill(const bench_place_t *place)
{
    filler_t filler = {.server = connect_to(place), .with_names = place->profile == PROFILE_NAMES};

    bench_each_instance(place, fill_in, &filler);
    take_answers(&filler);
    redisFree(filler.server);
}

static uint64_t bytes(const bench_place_t *place)
{
    unsigned long long used = 0;
    redisContext *context = connect_to(place);

    redisAppendCommand(context, "INFO memory");
    redisReply *reply = reply_of(context);
    const char *line = strstr(reply->str, "used_memory:");
    if (!line || sscanf(line, "used_memory:%llu", &used) != 1)
        bench_die("redis: no used_memory in INFO");
    freeReplyObject(reply);
    redisFree(context);
    return used;
}

static void *begin(const bench_place_t *place, unsigned number)
{
    worker_t *worker = calloc(1, sizeof *worker);

    worker->server = connect_to(place);
    if (!worker->server)
        bench_die("redis: a worker could not connect");
    bench_write_id(&worker->own, place->keys->seed, BENCH_SPARE_OF(number));
    bench_write_record(&worker->record, place->keys->seed, BENCH_SPARE_OF(number));
    return worker;
}

static void end(void *self)
{
    worker_t *worker = self;

    redisFree(worker->server);
    free(worker);
}

static void close_server(const bench_place_t *place)
{
    (void)place;
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
}

static bool take_record(redisContext *context, bench_record_t *record)
{
    redisReply *reply = reply_of(context);
    bool found = reply->type == REDIS_REPLY_STRING && (size_t)reply->len == sizeof *record;

    if (found)
        memcpy(record, reply->str, sizeof *record);
    freeReplyObject(reply);
    return found;
}

static inline bool get(worker_t *worker, const char *id, bench_record_t *record)
{
    redisAppendCommand(worker->server, "GET %b", id, (size_t)BENCH_ID_BYTES);
    return take_record(worker->server, record);
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

/* A pipeline of 16: written at once, answered at once. */
static uint64_t batch(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
        unsigned some = count - done < BENCH_BATCH ? (unsigned)(count - done) : BENCH_BATCH;
        for (unsigned i = 0; i < some; i++)
            redisAppendCommand(worker->server, "GET %b", bench_hit(keys, first + done + i), (size_t)BENCH_ID_BYTES);
        for (unsigned i = 0; i < some; i++)
            if (take_record(worker->server, &record))
                sum += bench_record_answer(&record);
    }
    return sum;
}

static uint64_t count_instances(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const bench_name_t name = bench_hot_name(job->instances);
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++) {
        redisAppendCommand(worker->server, "SCARD %s", name.text);
        redisReply *reply = reply_of(worker->server);
        sum += (uint64_t)reply->integer;
        freeReplyObject(reply);
    }
    return sum;
}

static uint64_t discover(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    worker_t *worker = self;
    const bench_name_t name = bench_hot_name(job->instances);
    bench_instance_t instance;
    uint64_t sum = 0;

    (void)first;
    for (uint64_t i = 0; i < count; i++) {
        redisAppendCommand(worker->server, "SMEMBERS %s", name.text);
        redisReply *reply = reply_of(worker->server);
        for (size_t k = 0; k < reply->elements; k++) {
            memcpy(&instance, reply->element[k]->str, sizeof instance);
            sum += instance.record.port != 0;
        }
        freeReplyObject(reply);
    }
    return sum;
}

static bool add(worker_t *worker)
{
    redisAppendCommand(worker->server, "SET %b %b NX", worker->own.text, (size_t)BENCH_ID_BYTES, &worker->record,
                       sizeof worker->record);
    redisReply *reply = reply_of(worker->server);
    bool done = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return done;
}

static bool take_away(worker_t *worker)
{
    redisAppendCommand(worker->server, "DEL %b", worker->own.text, (size_t)BENCH_ID_BYTES);
    redisReply *reply = reply_of(worker->server);
    bool done = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    return done;
}

static uint64_t change(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    uint64_t sum = 0;

    (void)job, (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += add(self) && take_away(self);
    return sum;
}

const bench_contender_t bench_redis = {
    .name = "redis",
    .about = "redis-server on its Unix socket, nothing saved, hiredis, processes, a connection each",
    .most = UINT64_MAX,
    .open = open_server,
    .fill = fill,
    .bytes = bytes,
    .begin = begin,
    .ops = {[OP_FIND] = find,
            [OP_MISS] = miss,
            [OP_BATCH] = batch,
            [OP_REGISTER] = change,
            [OP_COUNT] = count_instances,
            [OP_DISCOVER] = discover},
    .end = end,
    .close = close_server,
};
