/*
 * What the acceptance tests share: properties that are counted instead of asserted, processes that never outlive the
 * test, and a private directory for it.
 *
 * A program declares its properties, holds them up against what it sees as often as it likes, and ends with verdict(),
 * which prints each one and "N passed, N failed". A property that was never looked at has failed.
 */
#ifndef COMMY_TESTS_ACCEPTANCE_H
#define COMMY_TESTS_ACCEPTANCE_H

#include <commy/commy.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/support.h"

/* ------------------------------------------------------------------ properties */

#define SHOWN_VIOLATIONS 5u

typedef struct property {
    const char *what;
    uint64_t looked, violated;
} property_t;

/* Looks at a property once. The rest is printed where it does not hold, the first few times. */
static inline bool __attribute__((format(printf, 3, 4))) hold(property_t *property, bool holds, const char *format, ...)
{
    property->looked++;
    if (holds || property->violated++ >= SHOWN_VIOLATIONS)
        return holds;
    va_list arguments;
    va_start(arguments, format);
    printf("  violated: %s: ", property->what);
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    return holds;
}

static inline int verdict(const property_t *properties, size_t count)
{
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        const property_t *property = &properties[i];
        bool good = property->looked > 0 && property->violated == 0;
        failed += !good;
        printf("%s %s (looked at %" PRIu64 " times", good ? "ok    " : "FAILED", property->what, property->looked);
        if (property->violated)
            printf(", %" PRIu64 " violations", property->violated);
        printf(")\n");
    }
    printf("%zu passed, %zu failed\n", count - failed, failed);
    return failed == 0 ? 0 : 1;
}

/* Whether the test runs under a checker (tests/under): "asan", "tsan" or "valgrind". */
static inline bool is_under(const char *checker)
{
    const char *name = getenv("COMMY_UNDER");
    return name && strcmp(name, checker) == 0;
}

/* ---------------------------------------------------------------- time and chance */

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void sleep_us(uint64_t us)
{
    struct timespec time = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

/* xorshift64*, Vigna 2016; the state is never 0. */
static inline uint64_t chance(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

/* 0 to n - 1. */
static inline uint32_t below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((chance(state) >> 32) * n >> 32);
}

static inline int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The q-th of n sorted values, 0 <= q <= 1. */
static inline uint64_t quantile(const uint64_t *sorted, size_t n, double q)
{
    return n == 0 ? 0 : sorted[(size_t)((double)(n - 1) * q + 0.5)];
}

/* --------------------------------------------------------------------- processes */

#define PROCESSES 16
static volatile pid_t processes[PROCESSES]; /* 0: none */
static pid_t test_process;

/* Ends all that was started, and gives the region's memory back; only what a signal handler may call. */
static inline void end_processes(void)
{
    if (getpid() != test_process)
        return;
    for (int i = 0; i < PROCESSES; i++) {
        if (processes[i] > 0) {
            kill(processes[i], SIGKILL);
            waitpid(processes[i], NULL, 0);
        }
        processes[i] = 0;
    }
}

static char region_path[96];

static inline void give_up(int signal_number)
{
    static const char late[] = "took too long\n0 passed, 1 failed\n", stopped[] = "interrupted\n0 passed, 1 failed\n";
    if (getpid() == test_process) {
        end_processes();
        unlink(region_path);
        rmdir(test_dir);
        ssize_t ignored =
            signal_number == SIGALRM ? write(1, late, sizeof late - 1) : write(1, stopped, sizeof stopped - 1);
        (void)ignored;
    }
    _exit(1);
}

static inline void clean_up(void)
{
    if (getpid() != test_process)
        return;
    end_processes();
    test_dir_destroy();
}

/* First of all: a private directory, and an end to everything after so many seconds. */
static inline void test_begin(unsigned most_seconds)
{
    const struct sigaction action = {.sa_handler = give_up};
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_process = getpid();
    test_dir_make();
    snprintf(region_path, sizeof region_path, "%s/m", test_dir);
    atexit(clean_up);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    alarm(most_seconds);
}

/* Starts a process; it dies with the test. Call it on the main thread. */
static inline pid_t start_process(void (*body)(void *argument), void *argument)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != test_process)
            _exit(1);
        body(argument);
        fflush(stdout);
        _exit(0);
    }
    int slot = 0;
    while (slot < PROCESSES - 1 && processes[slot] != 0)
        slot++;
    if (child < 0 || processes[slot] != 0) {
        perror("fork");
        exit(1);
    }
    processes[slot] = child;
    return child;
}

/* Waits for a process, which is killed first if so wanted; returns its wait status. */
static inline int end_process(pid_t child, bool kill_it)
{
    int status = -1;
    if (kill_it)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < PROCESSES; i++)
        if (processes[i] == child)
            processes[i] = 0;
    return status;
}

/* Memory that all processes of the test share. */
static inline void *share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return memory;
}

/* ------------------------------------------------------------------------- mesh */

/* Attaches to the test's region, made with this capacity where it is missing; ends the process where that fails. */
static inline commy_mesh_t *attach_or_exit(uint32_t capacity, uint32_t flags, const char *node_id)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = {
        .size = sizeof options, .flags = flags, .dir = test_dir, .mesh = "m", .node_id = node_id, .capacity = capacity};
    if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS) {
        printf("attach: %s\n", commy_last_error_message());
        fflush(stdout);
        exit(2);
    }
    return mesh;
}

static inline void print_finding(void *user, const char *where, const char *what)
{
    (void)user;
    printf("  check: %s: %s\n", where, what);
}

/* Audits the region; findings are printed. */
static inline bool is_clean(const commy_mesh_t *mesh)
{
    uint64_t findings;
    return commy_mesh_check(mesh, print_finding, NULL, &findings) == COMMY_STATUS_SUCCESS && findings == 0;
}

#endif /* COMMY_TESTS_ACCEPTANCE_H */
