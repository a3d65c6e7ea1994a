/*
 * Many threads on the handle table at once: opening, finding, registering, waiting, stopping and destroying the same
 * handles. A plain program, made to be run under the thread sanitizer, which then speaks for the memory that handles give
 * back; by itself it counts calls that returned what they never may.
 *
 * Usage: tsan_ffi [SECONDS]. Works in a directory of its own and removes it.
 */
#include <commy/ffi.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHARED 4
#define WORKERS 6

static _Atomic uint64_t shared[SHARED]; /* handles that everybody uses and anybody destroys */
static _Atomic bool over;
static _Atomic uint64_t calls, violations;
static char dir[64];

static commy_handle_t open_one(uint32_t flags)
{
    const commy_open_options_t options = {
        .size = sizeof(options), .flags = flags, .dir = dir, .mesh = "tsan", .node_id = "tsan", .capacity = 1024};
    return commy_open_mesh(&options);
}

/* Counts a call, and a violation if what it returned is none of the codes it may return here. */
static void expect(const char *what, int32_t code, const char *allowed)
{
    char number[16];
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    snprintf(number, sizeof(number), " %d ", code < 0 ? -code : code);
    if (code != 0 && !strstr(allowed, number)) {
        atomic_fetch_add_explicit(&violations, 1, memory_order_relaxed);
        fprintf(stderr, "%s returned %d: %s\n", what, code, commy_last_error_message());
    }
}

static commy_handle_t any_handle(unsigned *seed)
{
    uint64_t id = atomic_load_explicit(&shared[(unsigned)rand_r(seed) % SHARED], memory_order_relaxed);
    return (commy_handle_t){id};
}

static void register_and_report(commy_handle_t h, unsigned *seed, int worker)
{
    char id[32];
    snprintf(id, sizeof(id), "w%d-%d", worker, rand_r(seed) % 8);
    expect("register", commy_register_service_simple(h, "tsan", id, "127.0.0.1", 80), " 3 6 12 ");
    expect("report by id", commy_report_service_performance(h, id, 3, rand_r(seed) & 1), " 3 5 12 ");
    expect("weight", commy_set_service_weight(h, id, 7), " 3 5 12 ");
    expect("health", commy_set_health(h, id, COMMY_HEALTH_HEALTHY), " 3 5 12 ");
    expect("admin", commy_set_admin(h, id, COMMY_ADMIN_ENABLED), " 3 5 12 ");
    expect("heartbeat", commy_heartbeat(h, id), " 3 5 12 ");
    if (rand_r(seed) & 1)
        expect("unregister", commy_unregister_service(h, id), " 3 5 12 ");
}

static void look_up(commy_handle_t h, unsigned *seed)
{
    char id[32];
    commy_target_t target;
    for (int i = 0; i < 32; i++) {
        snprintf(id, sizeof(id), "w%d-%d", rand_r(seed) % WORKERS, rand_r(seed) % 8);
        int32_t code = commy_find(h, id, &target);
        expect("find", code, " 3 5 12 ");
        expect("select", commy_select_service(h, "tsan", id, &target), " 3 5 12 ");
        if (code == 0)
            expect("report", commy_report(h, target.reference, 1000, 1), " 3 5 12 ");
        uint64_t token = 0;
        if (code == 0 && commy_begin_request(h, target.reference, &token) == 0)
            expect("end", commy_end_request(h, token, 1000, 1), " 2 3 12 ");
    }
    uint64_t ns;
    expect("latency", commy_get_latency(h, rand_r(seed) & 1 ? "tsan" : NULL, 0.5, &ns), " 3 5 12 ");
    uint64_t total;
    expect("balancer stats", commy_get_load_balancer_stats(h, "tsan", &total, NULL, NULL, NULL), " 3 5 12 ");
    commy_mesh_stats_t stats;
    expect("stats", commy_get_mesh_stats(h, &stats), " 3 12 ");
    int32_t count = commy_discover_services_count(h, "tsan");
    expect("count", count < 0 ? -count : 0, " 3 12 ");
    char *node = commy_get_node_id(h);
    if (node && strcmp(node, "tsan") != 0)
        expect("node id", 99, " ");
    commy_free_string(node);
}

static void wait_a_little(commy_handle_t h, unsigned *seed)
{
    uint64_t version = 0;
    expect("version", commy_wait(h, "tsan", 0, 0, &version), " 3 12 ");
    if (version)
        expect("wait", commy_wait(h, "tsan", version, rand_r(seed) % 50, &version), " 3 11 12 24 ");
}

static void come_and_go(unsigned *seed)
{
    unsigned slot = (unsigned)rand_r(seed) % SHARED;
    commy_handle_t fresh = open_one(0);
    expect("open", fresh.instance_id ? 0 : commy_last_error(), " ");
    commy_handle_t old = {atomic_exchange_explicit(&shared[slot], fresh.instance_id, memory_order_relaxed)};
    if (rand_r(seed) & 1)
        expect("stop", commy_stop_mesh(old), " 3 ");
    expect("destroy", commy_destroy_mesh(old), " 3 ");
    int32_t again = commy_destroy_mesh(old);
    expect("destroy again", again == COMMY_STATUS_NO_HANDLE ? 0 : 99, " ");
}

static void *work(void *argument)
{
    int worker = (int)(intptr_t)argument;
    unsigned seed = (unsigned)worker * 7919u + 1;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        commy_handle_t h = any_handle(&seed);
        switch (rand_r(&seed) % 8) {
        case 0:
            come_and_go(&seed);
            break;
        case 1:
            wait_a_little(h, &seed);
            break;
        case 2:
            expect("stop", commy_stop_mesh(h), " 3 ");
            expect("start", commy_start_mesh(h), " 3 ");
            break;
        case 3:
            expect("destroy", commy_destroy_mesh(h), " 3 ");
            break;
        case 4:
        case 5:
            register_and_report(h, &seed, worker);
            break;
        default:
            look_up(h, &seed);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[WORKERS];
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(dir, sizeof(dir), "%s/commy-tsan-XXXXXX", base);
    if (!mkdtemp(dir)) {
        perror(dir);
        return 2;
    }
    for (int i = 0; i < SHARED; i++)
        atomic_store(&shared[i], open_one(0).instance_id);
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i))
            return 2;
    sleep(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 3);
    atomic_store(&over, true);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    expect("cleanup", commy_ffi_cleanup(), " ");
    for (int i = 0; i < SHARED; i++)
        expect("a handle after cleanup",
               commy_is_mesh_running((commy_handle_t){atomic_load(&shared[i])}) == -3 ? 0 : 99, " ");

    char path[96];
    snprintf(path, sizeof(path), "%s/tsan", dir);
    unlink(path);
    rmdir(dir);
    printf("%llu calls, %llu violations\n", (unsigned long long)atomic_load(&calls),
           (unsigned long long)atomic_load(&violations));
    return atomic_load(&violations) != 0;
}
