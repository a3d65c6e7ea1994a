/*
 * The hottest paths, run one after the other, for tests/guard/run to learn from callgrind what is executed in each.
 *
 *     valgrind --tool=callgrind --collect-atstart=no paths [SEED]
 *
 * Prints each path's name and how many operations it makes; callgrind writes a profile for each. Linked to the shared
 * library, as users' programs are. What a count depends on besides the code is held still:
 *
 * a. The region's seed, which decides what ids share a line and a tag, is drawn with getrandom(2), which is defined here.
 * b. Texts and results lie in static memory, so that how they are aligned does not change from run to run.
 * c. Each path runs once right before it is counted: memory is reserved, blocks of statistics and pickers are there.
 * d. It stays on the processor where it is, since reports are counted in a stripe of each.
 * e. Callgrind counts this thread only, while it is in a path: not the keepers.
 *
 * A call that does not come to what it should ends the program.
 */
#include <commy/commy.h>
#include <commy/ffi.h>

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#define SERVICES 1000u
#define INSTANCES 10u /* of one name */
#define NAMES (SERVICES / INSTANCES)
#define BATCH 16u
#define BATCHES (SERVICES / BATCH)
#define BATCHED (BATCHES * BATCH)
#define MANY 10000u /* instances of one name, in a mesh of their own */
#define TEXT 32u    /* a power of two: no text crosses a cache line */

static uint64_t seed = 1;
static char dir[] = "/dev/shm/commy-guard-XXXXXX";
static commy_mesh_t *mesh, *many;
static commy_handle_t handle;

static _Alignas(64) char ids[SERVICES][TEXT], short_ids[SERVICES][TEXT], absent[SERVICES][TEXT], added[SERVICES][TEXT];
static _Alignas(64) char names[NAMES][TEXT];
static const char *id_list[SERVICES];
static uint64_t references[SERVICES];
static commy_target_t targets[BATCH];
static int32_t codes[BATCH];
static commy_service_info_t infos[INSTANCES];
static commy_view_t view;
static _Alignas(64) char clients[SERVICES][TEXT];
static commy_select_options_t how;

static void clean_up(void)
{
    static char path[sizeof dir + 16];
    commy_mesh_detach(&mesh);
    commy_mesh_detach(&many);
    commy_ffi_cleanup();
    snprintf(path, sizeof path, "%s/default", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/many", dir);
    unlink(path);
    rmdir(dir);
}

static inline void expect(bool holds, const char *what)
{
    if (__builtin_expect(holds, 1))
        return;
    fprintf(stderr, "paths: %s: %s\n", what, commy_last_error_message());
    exit(1);
}

/* In the place of the C library's, for the library too: numbers that are the same in every run. */
ssize_t getrandom(void *out, size_t bytes, unsigned flags)
{
    unsigned char *at = out;
    (void)flags;
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        at[i] = (unsigned char)(seed >> 56);
    }
    return (ssize_t)bytes;
}

/* ------------------------------------------------------------------- paths */

static void find_hit(void)
{
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_service_find(mesh, ids[i], &targets[0]) == COMMY_STATUS_SUCCESS, "find");
}

static void find_hit_short(void)
{
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_service_find(mesh, short_ids[i], &targets[0]) == COMMY_STATUS_SUCCESS, "find of a short id");
}

static void find_miss(void)
{
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_service_find(mesh, absent[i], &targets[0]) == COMMY_STATUS_NOT_FOUND, "find of no service");
}

static void find_through_ffi(void)
{
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_find(handle, ids[i], &targets[0]) == COMMY_STATUS_SUCCESS, "find through the language ABI");
}

static void find_batch(void)
{
    for (uint32_t i = 0; i < BATCHES; i++)
        expect(commy_service_find_many(mesh, &id_list[i * BATCH], BATCH, targets, codes) == COMMY_STATUS_SUCCESS,
               "find of many");
}

static void view_and_check(void)
{
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_service_view(mesh, ids[i], &view) == COMMY_STATUS_SUCCESS && commy_view_valid(mesh, &view),
               "view");
}

static void discover(void)
{
    size_t count;
    for (uint32_t i = 0; i < NAMES; i++)
        expect(commy_name_discover(mesh, names[i], infos, INSTANCES, &count) == COMMY_STATUS_SUCCESS &&
                   count == INSTANCES,
               "discover");
}

static void iterate(void)
{
    static commy_iterator_t iterator;
    for (uint32_t i = 0; i < NAMES; i++) {
        uint32_t count = 0;
        expect(commy_iterate_name(mesh, names[i], &iterator) == COMMY_STATUS_SUCCESS, "iterate");
        while (commy_iterate_next(mesh, &iterator, &view))
            count++;
        expect(count == INSTANCES, "iterate to the end");
    }
}

static void select_in_turn(void)
{
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_service_select(mesh, names[i % NAMES], NULL, &targets[0]) == COMMY_STATUS_SUCCESS, "select");
}

/* By a policy, from names of ten instances, and from one of ten thousand. */
static inline void select_by(int32_t policy)
{
    how = (commy_select_options_t){.size = sizeof how, .policy = policy};
    for (uint32_t i = 0; i < SERVICES; i++) {
        how.client_id = clients[i];
        expect(commy_service_select(mesh, names[i % NAMES], &how, &targets[0]) == COMMY_STATUS_SUCCESS, "select");
    }
}

static inline void select_many_by(int32_t policy)
{
    how = (commy_select_options_t){.size = sizeof how, .policy = policy};
    for (uint32_t i = 0; i < SERVICES; i++) {
        how.client_id = clients[i];
        expect(commy_service_select(many, names[0], &how, &targets[0]) == COMMY_STATUS_SUCCESS, "select of many");
    }
}

#define SELECTS(name, policy)                                                                                          \
    static void select_##name(void)                                                                                    \
    {                                                                                                                  \
        select_by(policy);                                                                                             \
    }                                                                                                                  \
    static void select_##name##_many(void)                                                                             \
    {                                                                                                                  \
        select_many_by(policy);                                                                                        \
    }
SELECTS(turn, COMMY_POLICY_ROUND_ROBIN)
SELECTS(least, COMMY_POLICY_LEAST_CONNECTIONS)
SELECTS(weighted, COMMY_POLICY_WEIGHTED_ROUND_ROBIN)
SELECTS(fastest, COMMY_POLICY_PERFORMANCE)
SELECTS(random, COMMY_POLICY_RANDOM)
SELECTS(client, COMMY_POLICY_CONSISTENT_HASH)

static void select_in_zone(void)
{
    how = (commy_select_options_t){.size = sizeof how, .zone = "eu-1"};
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_service_select(mesh, names[i % NAMES], &how, &targets[0]) == COMMY_STATUS_SUCCESS, "in a zone");
}

static void register_and_unregister(void)
{
    static commy_service_config_t config;
    config = (commy_service_config_t){.size = sizeof config, .endpoint = "110.120.130.140", .port = 8080};
    for (uint32_t i = 0; i < SERVICES; i++) {
        config.service_name = names[i % NAMES];
        config.service_id = added[i];
        expect(commy_service_register(mesh, &config, NULL) == COMMY_STATUS_SUCCESS, "register");
        expect(commy_service_unregister(mesh, added[i]) == COMMY_STATUS_SUCCESS, "unregister");
    }
}

static void report_requests(void)
{
    for (uint32_t i = 0; i < SERVICES; i++)
        expect(commy_service_report(mesh, references[i], 1000000, true) == COMMY_STATUS_SUCCESS, "report");
}

static void begin_and_end_requests(void)
{
    static uint64_t token;
    for (uint32_t i = 0; i < SERVICES; i++) {
        expect(commy_service_begin(mesh, references[i], &token) == COMMY_STATUS_SUCCESS, "begin");
        expect(commy_service_end(mesh, token, 1000000, true) == COMMY_STATUS_SUCCESS, "end");
    }
}

static const struct {
    const char *name;
    void (*run)(void);
    uint32_t operations;
} paths[] = {
    {"find_hit", find_hit, SERVICES},
    {"find_hit_short", find_hit_short, SERVICES},
    {"find_miss", find_miss, SERVICES},
    {"find_through_ffi", find_through_ffi, SERVICES},
    {"find_batch", find_batch, BATCHED},
    {"view", view_and_check, SERVICES},
    {"discover", discover, NAMES},
    {"iterate", iterate, NAMES},
    {"select", select_in_turn, SERVICES},
    {"register", register_and_unregister, SERVICES},
    {"report", report_requests, SERVICES},
    {"begin_and_end", begin_and_end_requests, SERVICES},
    /* From here on each instance has its statistics, as those have that are in use. */
    {"select_turn", select_turn, SERVICES},
    {"select_turn_many", select_turn_many, SERVICES},
    {"select_least", select_least, SERVICES},
    {"select_least_many", select_least_many, SERVICES},
    {"select_weighted", select_weighted, SERVICES},
    {"select_weighted_many", select_weighted_many, SERVICES},
    {"select_fastest", select_fastest, SERVICES},
    {"select_fastest_many", select_fastest_many, SERVICES},
    {"select_random", select_random, SERVICES},
    {"select_random_many", select_random_many, SERVICES},
    {"select_client", select_client, SERVICES},
    {"select_client_many", select_client_many, SERVICES},
    {"select_in_zone", select_in_zone, SERVICES},
};

/* ------------------------------------------------------------------- set-up */

static void populate_with(commy_mesh_t *to, const char *name, const char *id, uint64_t *reference)
{
    commy_service_config_t config = {.size = sizeof config,
                                     .service_name = name,
                                     .service_id = id,
                                     .endpoint = "110.120.130.140",
                                     .zone = "eu-1",
                                     .port = 8080};
    expect(commy_service_register(to, &config, reference) == COMMY_STATUS_SUCCESS, "register");
}

/* Each has had a request, and of some one is in flight. */
static void populate_many(void)
{
    char id[TEXT];
    uint64_t reference, token;
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(id, TEXT, "payments-%05" PRIu32 "-eu-west1", i);
        populate_with(many, names[0], id, &reference);
        expect(commy_service_begin(many, reference, &token) == COMMY_STATUS_SUCCESS, "begin");
        if (i % 4 > 0)
            expect(commy_service_end(many, token, 1000000 + i, true) == COMMY_STATUS_SUCCESS, "end");
    }
}

static void populate(void)
{
    for (uint32_t i = 0; i < NAMES; i++)
        snprintf(names[i], TEXT, "payments-%02" PRIu32, i);
    for (uint32_t i = 0; i < SERVICES; i++) {
        snprintf(ids[i], TEXT, "payments-%03" PRIu32 "-eu-west1", i);
        snprintf(short_ids[i], TEXT, "payments-%03" PRIu32, i);
        snprintf(absent[i], TEXT, "payables-%03" PRIu32 "-eu-west1", i);
        snprintf(added[i], TEXT, "shipping-%03" PRIu32 "-eu-west1", i);
        snprintf(clients[i], TEXT, "client-%03" PRIu32, i);
        id_list[i] = ids[i];
        populate_with(mesh, names[i % NAMES], ids[i], &references[i]);
        populate_with(mesh, "others", short_ids[i], NULL);
    }
}

static void stay_here(void)
{
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((unsigned)sched_getcpu(), &here);
    expect(sched_setaffinity(0, sizeof here, &here) == 0, "sched_setaffinity");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    if (!mkdtemp(dir))
        return perror("paths: a directory in /dev/shm"), 1;
    atexit(clean_up);
    commy_open_options_t options = {.size = sizeof options, .dir = dir, .mesh = "default", .node_id = "guard"};
    expect(commy_mesh_attach(&options, &mesh) == COMMY_STATUS_SUCCESS, "attach");
    expect(commy_mesh_join(mesh, "guard", 0) == COMMY_STATUS_SUCCESS, "join");
    handle = commy_open_mesh(&options);
    expect(handle.instance_id != 0, "open");
    options.mesh = "many";
    options.capacity = 2 * MANY;
    expect(commy_mesh_attach(&options, &many) == COMMY_STATUS_SUCCESS, "attach");
    populate();
    populate_many();
    stay_here();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        paths[i].run();
        CALLGRIND_TOGGLE_COLLECT;
        paths[i].run();
        CALLGRIND_TOGGLE_COLLECT;
        CALLGRIND_DUMP_STATS_AT(paths[i].name);
        printf("%s %" PRIu32 "\n", paths[i].name, paths[i].operations);
    }
    return 0;
}
