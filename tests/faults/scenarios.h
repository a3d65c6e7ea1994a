/*
 * What is run while its system calls fail: every call of the C API that makes any, from where each starts, and how it is
 * tried again when the fault is gone. All of it runs in the victim (inject.h), which shares a board with the tracer.
 */
#ifndef COMMY_TESTS_FAULTS_SCENARIOS_H
#define COMMY_TESTS_FAULTS_SCENARIOS_H

#include "inject.h"

#include <commy/ffi.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sys/prctl.h>

#include "registry/mesh.h"

/* What the victim tells. */
typedef struct board {
    int32_t status;   /* of the call under the fault */
    int32_t recorded; /* commy_last_error() after it */
    int32_t again;    /* of the same call when the fault is gone */
    int32_t proof;    /* of a round through the whole API after that */
    char sentence[512], proof_sentence[512];
    property_t clean; /* for the auditor */
} board_t;
static board_t *board;

static commy_mesh_t *mesh; /* the victim's */
static uint64_t reference;
static bool armed; /* allocations ask the tracer */

#define DEAD_SERVICES 3

typedef struct scenario {
    const char *name;
    bool region;           /* the region is there before */
    void (*prepare)(void); /* null: nothing */
    int32_t (*act)(void);  /* under the fault, and once more if it failed */
    const lack_t *lack;    /* calls that this host lacks throughout */
    uint32_t also_fine;    /* code that the second try may come to, besides success */
} scenario_t;

/* ------------------------------------------------------------------------ pieces */

static commy_open_options_t region_options(uint32_t flags)
{
    return (commy_open_options_t){.size = sizeof(commy_open_options_t),
                                  .flags = flags,
                                  .dir = test_dir,
                                  .mesh = "m",
                                  .node_id = "v",
                                  .capacity = 16};
}

static void must(int32_t status, const char *what)
{
    if (status == COMMY_STATUS_SUCCESS)
        return;
    printf("  %s: %s\n", what, commy_last_error_message());
    fflush(stdout);
    _exit(3);
}

static void to_attached(void)
{
    const commy_open_options_t options = region_options(COMMY_OPEN_MUST_EXIST);
    must((int32_t)commy_mesh_attach(&options, &mesh), "attach");
}

static void to_joined(void)
{
    to_attached();
    must((int32_t)commy_mesh_join(mesh, NULL, 0), "join");
}

static int32_t register_as(const char *name, const char *id, const char *metadata)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = name,
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .metadata = metadata,
                                           .port = 80};
    return (int32_t)commy_service_register(mesh, &config, &reference);
}

static void to_registered(void)
{
    to_joined();
    must(register_as("name", "id", NULL), "register");
}

/* Somebody sleeps, or did, on the stripe and the bell: whoever announces has to wake. */
static void to_waited_for(void)
{
    uint64_t version;
    to_registered();
    must((int32_t)commy_mesh_wait(mesh, "name", 0, 0, &version), "version");
    commy_mesh_wait(mesh, "name", version, 1, &version);
    must((int32_t)commy_mesh_wait(mesh, NULL, 0, 0, &version), "version");
    commy_mesh_wait(mesh, NULL, version, 1, &version);
}

/* A neighbour that joins, registers and dies. bent: it spoils its word first, so that only the second sign tells. */
static void lose_neighbour(bool bent)
{
    pid_t neighbour = fork();
    if (neighbour == 0) {
        char id[16];
        to_joined();
        for (int i = 0; i < DEAD_SERVICES; i++) {
            snprintf(id, sizeof id, "dead-%d", i);
            must(register_as("name", id, "{}"), "register");
        }
        if (bent)
            cmy_store32_relaxed(&mesh->region->life[cmy_owner_slot(mesh->actor.owner)].word, FUTEX_WAITERS | 1);
        raise(SIGKILL);
    }
    waitpid(neighbour, NULL, 0);
}

/*
 * A death that the call under test finds, and nobody before it. Keepers ask for the second sign when they begin and once
 * a second: a death that ours has to notice by the mark shows that it has begun.
 */
static void to_dead_neighbour(void)
{
    to_joined();
    uint64_t noticed = cmy_load64_acquire(&mesh->region->header->death_epoch);
    lose_neighbour(false);
    while (cmy_load64_acquire(&mesh->region->header->death_epoch) == noticed)
        usleep(100);
    do {
        noticed = cmy_load64_acquire(&mesh->region->header->death_epoch);
        lose_neighbour(true);
    } while (cmy_load64_acquire(&mesh->region->header->death_epoch) != noticed);
}

static const char large_text[] =
    "{\"text\":\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
    "\"}";

/* -------------------------------------------------------------------------- acts */

static int32_t act_create(void)
{
    const commy_open_options_t options = region_options(0);
    return (int32_t)commy_mesh_create(&options);
}

/* In the default directory of a user, which is made first; here it has another name. */
static int32_t act_create_own(void)
{
    cmy_region_name_t name = {.mesh = "m", .own_dir = true};
    snprintf(name.dir, sizeof name.dir, "%s/own", test_dir);
    return (int32_t)cmy_region_create(&name, 16, "0", 0640);
}

static int32_t act_attach(void)
{
    const commy_open_options_t options = region_options(0);
    return (int32_t)commy_mesh_attach(&options, &mesh);
}

static int32_t act_attach_read_only(void)
{
    const commy_open_options_t options = region_options(COMMY_OPEN_READ_ONLY);
    int32_t status = (int32_t)commy_mesh_attach(&options, &mesh);
    return status;
}

static int32_t act_join(void)
{
    int32_t status = (int32_t)commy_mesh_join(mesh, NULL, 0);
    sleep_us(2000); /* the keeper's first rounds */
    return status;
}

static int32_t act_register(void)
{
    return register_as("name", "id", NULL);
}

static int32_t act_register_large(void)
{
    return register_as("name", "id", large_text);
}

static int32_t act_set_metadata(void)
{
    int32_t status = (int32_t)commy_service_set_metadata(mesh, "id", "{\"small\":1}");
    return status ? status : (int32_t)commy_service_set_metadata(mesh, "id", large_text);
}

static int32_t act_report(void)
{
    return (int32_t)commy_service_report(mesh, reference, 1000, true);
}

static int32_t act_unregister(void)
{
    return (int32_t)commy_service_unregister(mesh, "id");
}

static int32_t act_change(void)
{
    int32_t status = (int32_t)commy_service_heartbeat(mesh, "id");
    status = status ? status : (int32_t)commy_service_set_weight(mesh, "id", 7);
    status = status ? status : (int32_t)commy_service_set_admin(mesh, "id", COMMY_ADMIN_DRAINING);
    return status ? status : (int32_t)commy_service_set_health(mesh, "id", COMMY_HEALTH_DEGRADED);
}

/* Threads that change something for the first time, one after the other: each is entered into liburcu's registry. */
#define NEWCOMERS 12
static sem_t may_go[NEWCOMERS], gone_on;
static int32_t newcomer_status[NEWCOMERS];

static void *newcomer(void *number)
{
    size_t n = (size_t)(uintptr_t)number;
    while (sem_wait(&may_go[n]) != 0)
        ;
    newcomer_status[n] = (int32_t)commy_service_heartbeat(mesh, "id");
    sem_post(&gone_on);
    pause(); /* a thread that ends makes room */
    return NULL;
}

static void to_newcomers(void)
{
    pthread_t thread;
    to_registered();
    sem_init(&gone_on, 0, 0);
    for (size_t n = 0; n < NEWCOMERS; n++) {
        sem_init(&may_go[n], 0, 0);
        must(pthread_create(&thread, NULL, newcomer, (void *)(uintptr_t)n), "thread");
        pthread_detach(thread);
    }
}

static int32_t act_newcomers(void)
{
    int32_t status = COMMY_STATUS_SUCCESS;
    static bool over;
    for (size_t n = 0; n < NEWCOMERS && !over; n++) {
        sem_post(&may_go[n]);
        while (sem_wait(&gone_on) != 0)
            ;
        status = status ? status : newcomer_status[n];
    }
    over = true; /* each goes once */
    return status;
}

/* Half-way through, something changes under another name: both kinds of wait see whether they may go on. */
static int32_t act_wait(void)
{
    uint64_t version;
    int32_t status = (int32_t)commy_mesh_wait(mesh, "other", 0, 0, &version);
    status = status ? status : (int32_t)commy_mesh_wait(mesh, "other", version, 5, &version);
    if (status != COMMY_STATUS_TIMED_OUT)
        return status;
    status = (int32_t)commy_mesh_wait(mesh, NULL, 0, 0, &version);
    status = status ? status : (int32_t)commy_mesh_wait(mesh, NULL, version, 5, &version);
    return status == COMMY_STATUS_TIMED_OUT ? COMMY_STATUS_SUCCESS : status;
}

static int32_t act_query(void)
{
    commy_mesh_info_t info;
    commy_mesh_stats_t stats;
    commy_participant_t nodes[4];
    size_t count;
    int32_t status = (int32_t)commy_mesh_info(mesh, &info);
    status = status ? status : (int32_t)commy_mesh_stats(mesh, &stats);
    status = status ? status : (int32_t)commy_mesh_participants(mesh, nodes, 4, &count);
    return status ? status : (int32_t)commy_mesh_check(mesh, NULL, NULL, NULL);
}

/* By every policy, 0 to 5: pickers are made, and made anew after changes. */
static int32_t select_turns(uint32_t turns)
{
    commy_target_t target;
    int32_t status = COMMY_STATUS_SUCCESS;
    for (uint32_t turn = 0; turn < turns && status == COMMY_STATUS_SUCCESS; turn++) {
        const commy_select_options_t options = {
            .size = sizeof options, .policy = (int32_t)(turn % 6), .client_id = "me"};
        commy_service_set_weight(mesh, "id", 1 + turn);
        status = (int32_t)commy_service_select(mesh, "name", &options, &target);
    }
    return status;
}

static int32_t act_select(void)
{
    return select_turns(12);
}

/* So many pickers wait to be freed that the next ones are. */
static void to_selected(void)
{
    to_registered();
    must(select_turns(36), "select");
}

/* Of a port that is closed: whatever fails on the way, the check ends, and the library with it or not. */
static int32_t act_check_health(void)
{
    commy_check_result_t result;
    return (int32_t)commy_service_check(mesh, "id", 50, &result);
}

/* libcurl is there: what the loader needs for it is the loader's. */
static void to_checked(void)
{
    to_registered();
    must(act_check_health(), "check health");
}

/* Until a first result, or for a while; then it leaves, which ends the thread. */
static int32_t act_monitor(void)
{
    const commy_health_config_t often = {1, 50, 1, 1};
    int32_t health = COMMY_HEALTH_HEALTHY, status = (int32_t)commy_mesh_join(mesh, NULL, 0), left;
    double ms;
    if (status == COMMY_STATUS_SUCCESS && commy_service_find(mesh, "id", &(commy_target_t){0}) != COMMY_STATUS_SUCCESS)
        status = register_as("name", "id", NULL);
    if (status == COMMY_STATUS_SUCCESS)
        status = (int32_t)commy_service_monitor(mesh, "id", &often);
    for (int turn = 0; turn < 50 && status == COMMY_STATUS_SUCCESS && health != COMMY_HEALTH_UNHEALTHY; turn++) {
        sleep_us(2000);
        status = (int32_t)commy_service_health(mesh, "id", &health, &ms);
    }
    left = (int32_t)commy_mesh_leave(mesh);
    return status ? status : left;
}

static int32_t act_reap(void)
{
    return (int32_t)commy_mesh_reap(mesh, NULL);
}

static int32_t act_leave(void)
{
    return (int32_t)commy_mesh_leave(mesh);
}

static int32_t act_detach(void)
{
    commy_mesh_detach(&mesh);
    return COMMY_STATUS_SUCCESS;
}

static int32_t act_remove(void)
{
    const commy_open_options_t options = region_options(0);
    return (int32_t)commy_mesh_remove(&options, true);
}

/* The language ABI from the first call to the last. */
static int32_t act_ffi(void)
{
    const commy_open_options_t options = region_options(0);
    commy_handle_t handle = commy_open_mesh(&options);
    if (handle.instance_id == 0)
        return commy_last_error();
    int32_t status = commy_start_mesh(handle);
    if (status == COMMY_STATUS_SUCCESS)
        status = commy_register_service_simple(handle, "name", "ffi", "127.0.0.1", 80);
    int32_t ended = commy_destroy_mesh(handle);
    return status ? status : ended;
}

/* ------------------------------------------------------------------------ proof */

/* A round through the API without a fault: everything works, and nothing that the fault left is in the way. */
static int32_t prove(void)
{
    commy_target_t target;
    int32_t status = COMMY_STATUS_SUCCESS;
    if (mesh && !mesh->region->writable)
        commy_mesh_detach(&mesh);
    if (mesh && commy_mesh_info(mesh, &(commy_mesh_info_t){0}) == COMMY_STATUS_REMOVED)
        commy_mesh_detach(&mesh);
    if (!mesh) {
        const commy_open_options_t options = region_options(0);
        status = (int32_t)commy_mesh_attach(&options, &mesh);
    }
    status = status ? status : (int32_t)commy_mesh_join(mesh, NULL, 0);
    status = status ? status : register_as("proof", "proof", large_text);
    status = status ? status : (int32_t)commy_service_report(mesh, reference, 1, true);
    status = status ? status : (int32_t)commy_service_find(mesh, "proof", &target);
    status = status ? status : (int32_t)commy_service_unregister(mesh, "proof");
    status = status ? status : (int32_t)commy_mesh_reap(mesh, NULL);
    if (status == COMMY_STATUS_SUCCESS && commy_service_find(mesh, "proof", &target) != COMMY_STATUS_NOT_FOUND)
        status = COMMY_STATUS_INTERNAL;
    commy_mesh_detach(&mesh);
    return status;
}

/* ------------------------------------------------------------------------- list */

static const lack_t no_populate[] = {{SYS_madvise, 23, EINVAL}, {0, 0, 0}};
static const lack_t old_kernel[] = {
    {SYS_madvise, 23, EINVAL}, {449, UINT64_MAX, ENOSYS}, {436, UINT64_MAX, ENOSYS}, {0, 0, 0}};

static const scenario_t scenarios[] = {
    {"create", false, NULL, act_create, NULL, COMMY_STATUS_EXISTS},
    {"create in a directory of its own", false, NULL, act_create_own, NULL, COMMY_STATUS_EXISTS},
    {"attach, made", false, NULL, act_attach, NULL, 0},
    {"attach", true, NULL, act_attach, NULL, 0},
    {"attach read-only", true, NULL, act_attach_read_only, NULL, 0},
    {"join", true, to_attached, act_join, NULL, 0},
    {"join on an older kernel", true, to_attached, act_join, old_kernel, 0},
    {"register, joining first", true, to_attached, act_register, NULL, COMMY_STATUS_EXISTS},
    {"register, growing", true, to_joined, act_register_large, NULL, COMMY_STATUS_EXISTS},
    {"register, growing by the file", true, to_joined, act_register_large, no_populate, COMMY_STATUS_EXISTS},
    {"set metadata, growing", true, to_registered, act_set_metadata, NULL, 0},
    {"report, growing", true, to_registered, act_report, NULL, 0},
    {"report, growing by the file", true, to_registered, act_report, no_populate, 0},
    {"unregister under waiters", true, to_waited_for, act_unregister, NULL, COMMY_STATUS_NOT_FOUND},
    {"heartbeat, set", true, to_registered, act_change, NULL, 0},
    {"heartbeat of new threads", true, to_newcomers, act_newcomers, NULL, 0},
    {"wait", true, to_registered, act_wait, NULL, 0},
    {"query and check", true, to_registered, act_query, NULL, 0},
    {"select", true, to_registered, act_select, NULL, 0},
    {"select again", true, to_selected, act_select, NULL, 0},
    {"check health", true, to_checked, act_check_health, NULL, 0},
    {"monitor", true, to_checked, act_monitor, NULL, 0},
    {"reap", true, to_dead_neighbour, act_reap, NULL, 0},
    {"leave", true, to_waited_for, act_leave, NULL, 0},
    {"detach", true, to_waited_for, act_detach, NULL, 0},
    {"remove", true, NULL, act_remove, NULL, COMMY_STATUS_MESH_NOT_FOUND},
    {"language ABI", true, NULL, act_ffi, NULL, 0},
};
#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

#endif /* COMMY_TESTS_FAULTS_SCENARIOS_H */
