/*
 * latency.c - see latency.h.
 */
#include "latency.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commy_mesh.h"
#include "crew.h"
#include "probe.h"

#define ASLEEP_US 300u /* between a waiter's last sign and the change: it is asleep by then */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void conclude(results_t *results, const char *workload, const char *contender, uint64_t size, unsigned workers,
                     uint64_t *samples, unsigned count)
{
    qsort(samples, count, sizeof *samples, compare);
    const figure_t figure = {.workload = workload,
                             .contender = contender,
                             .size = size,
                             .workers = workers,
                             .sorted_ns = samples,
                             .samples = count};
    results_add(results, &figure);
    fprintf(stderr, "  %-14s %-10s p50 %8.1f us, p99 %8.1f us\n", workload, contender, (double)samples[count / 2] / 1e3,
            (double)samples[count * 99 / 100] / 1e3);
}

static pid_t start(void (*body)(void *argument), void *argument)
{
    pid_t self = getpid();

    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        bench_die("fork: %s", strerror(errno));
    if (child > 0)
        return child;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    bench_die_with(self);
    body(argument);
    _exit(0);
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void attach(const char *dir, uint32_t flags, commy_mesh_t **mesh)
{
    const commy_open_options_t options = {
        .size = sizeof options, .flags = flags, .dir = dir, .mesh = "latency", .capacity = 1024};

    commy_must(commy_mesh_attach(&options, mesh), "attaching");
}

static void register_one(commy_mesh_t *mesh, const char *name, const char *id)
{
    const commy_service_config_t config = {
        .size = sizeof config, .service_name = name, .service_id = id, .endpoint = "127.0.0.1", .port = 1};

    commy_must(commy_service_register(mesh, &config, NULL), "registering");
}

/* --------------------------------------------------------------------------------- wake */

typedef struct bell {
    _Atomic uint32_t word;        /* what the bare waiter sleeps on */
    _Atomic uint32_t about;       /* raised by a waiter that is about to sleep */
    _Atomic uint64_t woken_at_ns; /* 0 until it has woken */
    const char *dir;
} bell_t;

static long futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
    return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void woken(bell_t *bell)
{
    atomic_store(&bell->woken_at_ns, bench_now_ns());
}

static void wait_bare(void *argument)
{
    bell_t *bell = argument;

    bench_pin(0);
    for (;;) {
        uint32_t seen = atomic_load(&bell->word);
        atomic_fetch_add(&bell->about, 1);
        while (atomic_load(&bell->word) == seen)
            futex(&bell->word, FUTEX_WAIT, seen);
        woken(bell);
    }
}

static void wait_commy(void *argument)
{
    bell_t *bell = argument;
    commy_mesh_t *mesh;
    uint64_t version, seen;

    bench_pin(0);
    attach(bell->dir, COMMY_OPEN_MUST_EXIST, &mesh);
    commy_must(commy_mesh_wait(mesh, "wake", 0, 0, &version), "asking for the version");
    for (;;) {
        seen = version;
        atomic_fetch_add(&bell->about, 1);
        while (version == seen)
            commy_must(commy_mesh_wait(mesh, "wake", seen, -1, &version), "waiting");
        woken(bell);
    }
}

static void ring_bare(commy_mesh_t *mesh, bell_t *bell)
{
    (void)mesh;
    atomic_fetch_add(&bell->word, 1);
    futex(&bell->word, FUTEX_WAKE, 1);
}

static void ring_commy(commy_mesh_t *mesh, bell_t *bell)
{
    static uint32_t weight;

    (void)bell;
    commy_must(commy_service_set_weight(mesh, "wake-1", ++weight % 1000), "changing a weight");
}

static uint64_t wake_once(void (*ring)(commy_mesh_t *, bell_t *), commy_mesh_t *mesh, bell_t *bell, uint32_t turn)
{
    while (atomic_load(&bell->about) < turn)
        sched_yield();
    bench_sleep_us(ASLEEP_US);
    atomic_store(&bell->woken_at_ns, 0);
    uint64_t rang = bench_now_ns(), woke;
    ring(mesh, bell);
    while ((woke = atomic_load(&bell->woken_at_ns)) == 0)
        sched_yield();
    return woke - rang;
}

void latency_wake(results_t *results, const char *dir, unsigned samples)
{
    bell_t *bare = bench_share(sizeof *bare), *belled = bench_share(sizeof *belled);
    uint64_t *bare_ns = calloc(samples, sizeof *bare_ns), *commy_ns = calloc(samples, sizeof *commy_ns);
    commy_mesh_t *mesh;

    belled->dir = dir;
    attach(dir, 0, &mesh);
    register_one(mesh, "wake", "wake-1");
    pid_t bare_waiter = start(wait_bare, bare), commy_waiter = start(wait_commy, belled);
    bench_pin(1);
    for (unsigned i = 0; i < samples; i++) {
        bench_go_on();
        bare_ns[i] = wake_once(ring_bare, mesh, bare, i + 1);
        commy_ns[i] = wake_once(ring_commy, mesh, belled, i + 1);
    }
    bench_unpin();
    end(bare_waiter);
    end(commy_waiter);
    commy_mesh_detach(&mesh);
    conclude(results, "wake", "futex", 0, 2, bare_ns, samples);
    conclude(results, "wake", "commy", 0, 2, commy_ns, samples);
    free(bare_ns);
    free(commy_ns);
    munmap(bare, sizeof *bare);
    munmap(belled, sizeof *belled);
}

/* --------------------------------------------------------------------------------- kill */

/* A victim, and what it holds: a robust mutex, or a service. Both hold it by a second thread, as commy does. */
typedef struct victim {
    pthread_mutex_t mutex;
    _Atomic bool ready;
    const char *dir;
} victim_t;

static void *hold_mutex(void *argument)
{
    victim_t *victim = argument;

    pthread_mutex_lock(&victim->mutex);
    atomic_store(&victim->ready, true);
    for (;;)
        pause();
    return NULL;
}

static void be_bare(void *argument)
{
    pthread_t holder;

    bench_pin(1);
    pthread_create(&holder, NULL, hold_mutex, argument);
    pthread_join(holder, NULL);
}

static void be_registered(void *argument)
{
    victim_t *victim = argument;
    commy_mesh_t *mesh;

    bench_pin(1);
    attach(victim->dir, COMMY_OPEN_MUST_EXIST, &mesh);
    register_one(mesh, "victim", "victim-1");
    atomic_store(&victim->ready, true);
    for (;;)
        pause();
}

static pid_t raise_victim(void (*body)(void *), victim_t *victim)
{
    atomic_store(&victim->ready, false);
    pid_t child = start(body, victim);
    while (!atomic_load(&victim->ready))
        sched_yield();
    bench_sleep_us(ASLEEP_US);
    return child;
}

/* The kernel's mark lies in the mutex itself. */
static bool is_marked(const victim_t *victim)
{
    return (__atomic_load_n(&victim->mutex.__data.__lock, __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED) != 0;
}

static uint64_t kill_bare(victim_t *victim)
{
    pthread_mutexattr_t kind;

    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&victim->mutex, &kind);
    pid_t child = raise_victim(be_bare, victim);
    uint64_t killed = bench_now_ns();
    kill(child, SIGKILL);
    while (!is_marked(victim))
        ;
    uint64_t took = bench_now_ns() - killed;
    waitpid(child, NULL, 0);
    return took;
}

static uint64_t kill_registered(const commy_mesh_t *mesh, victim_t *victim)
{
    commy_target_t target;
    pid_t child = raise_victim(be_registered, victim);

    commy_must(commy_service_find(mesh, "victim-1", &target), "finding the victim");
    uint64_t killed = bench_now_ns();
    kill(child, SIGKILL);
    while (commy_service_find(mesh, "victim-1", &target) == COMMY_STATUS_SUCCESS)
        ;
    uint64_t took = bench_now_ns() - killed;
    waitpid(child, NULL, 0);
    return took;
}

void latency_kill(results_t *results, const char *dir, unsigned samples)
{
    victim_t *victim = bench_share(sizeof *victim);
    uint64_t *bare_ns = calloc(samples, sizeof *bare_ns), *commy_ns = calloc(samples, sizeof *commy_ns);
    commy_mesh_t *mesh;

    victim->dir = dir;
    attach(dir, 0, &mesh);
    bench_pin(0);
    for (unsigned i = 0; i < samples; i++) {
        bench_go_on();
        bare_ns[i] = kill_bare(victim);
        commy_ns[i] = kill_registered(mesh, victim);
    }
    bench_unpin();
    commy_mesh_detach(&mesh);
    conclude(results, "kill", "futex", 0, 2, bare_ns, samples);
    conclude(results, "kill", "commy", 0, 2, commy_ns, samples);
    free(bare_ns);
    free(commy_ns);
    munmap(victim, sizeof *victim);
}

/* ------------------------------------------------------------------------------ process */

const char *latency_probe(void)
{
    static char path[512];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof "commy-probe");

    if (length < 0)
        bench_die("readlink: %s", strerror(errno));
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, "commy-probe");
    return path;
}

static uint64_t run_probe(const char *const *arguments)
{
    pid_t child;
    int status = -1;
    uint64_t began = bench_now_ns();

    if (posix_spawn(&child, latency_probe(), NULL, NULL, (char *const *)arguments, environ) != 0)
        bench_die("the probe could not be started");
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    uint64_t took = bench_now_ns() - began;
    if (status != 0)
        bench_die("commy-probe ended badly (status 0x%x)", (unsigned)status);
    return took;
}

void latency_process(results_t *results, const bench_place_t *place, unsigned samples)
{
    const char *const bare[] = {"commy-probe", NULL};
    const char *const attached[] = {"commy-probe", PROBE_ATTACH, place->dir, place->keys->ids[0].text, NULL};
    uint64_t *bare_ns = calloc(samples, sizeof *bare_ns), *commy_ns = calloc(samples, sizeof *commy_ns);

    bench_pin(0);
    for (unsigned i = 0; i < samples; i++) {
        bench_go_on();
        bare_ns[i] = run_probe(bare);
        commy_ns[i] = run_probe(attached);
    }
    bench_unpin();
    conclude(results, "process", "bare", place->keys->size, 1, bare_ns, samples);
    conclude(results, "process", "commy", place->keys->size, 1, commy_ns, samples);
    free(bare_ns);
    free(commy_ns);
}
