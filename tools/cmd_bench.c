/*
 * cmd_bench.c - `commy bench`: what commy's calls cost on this host, in ten seconds, at a mesh of its own that it removes.
 *
 * Each measurement is cut into slices, of which the median counts, since a shell's host has other things to do as well. Only
 * the wait has a second process. scripts/bench of the source tree compares commy with others.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "stopping.h"
#include "table.h"

#define SLICES 15
#define PER_NAME 10u
#define BATCH 16u
#define ASLEEP_NS 200000 /* between a waiter's last sign and the next change */
#define MOST_WAKES 20000u

enum { KEY_SERVICES = KEY_FIRST, KEY_SECONDS };

typedef struct bench {
    commy_mesh_t *mesh;
    uint32_t services, seconds;
    char (*ids)[24];     /* in the order in which they are asked for, which is no order */
    char (*missing)[24]; /* as many that are not there */
    uint64_t reference;
    uint64_t step;
} bench_t;

/* Does something so many times; false: the library refused. */
typedef bool work_fn(bench_t *bench, uint64_t times);

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* --------------------------------------------------------------------------- what is timed */

static bool find(bench_t *bench, uint64_t times)
{
    commy_target_t target;

    for (uint64_t i = 0; i < times; i++)
        if (commy_service_find(bench->mesh, bench->ids[bench->step++ % bench->services], &target) !=
            COMMY_STATUS_SUCCESS)
            return false;
    return true;
}

static bool miss(bench_t *bench, uint64_t times)
{
    commy_target_t target;

    for (uint64_t i = 0; i < times; i++)
        if (commy_service_find(bench->mesh, bench->missing[bench->step++ % bench->services], &target) !=
            COMMY_STATUS_NOT_FOUND)
            return false;
    return true;
}

static bool find_many(bench_t *bench, uint64_t times)
{
    const char *ids[BATCH];
    commy_target_t targets[BATCH];
    int32_t codes[BATCH];

    for (uint64_t done = 0; done < times; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            ids[i] = bench->ids[bench->step++ % bench->services];
        if (commy_service_find_many(bench->mesh, ids, BATCH, targets, codes) != COMMY_STATUS_SUCCESS)
            return false;
    }
    return true;
}

static void write_name(char name[24], uint32_t number)
{
    snprintf(name, 24, "name-%u", number / PER_NAME);
}

static bool discover(bench_t *bench, uint64_t times)
{
    commy_iterator_t iterator;
    commy_view_t view;
    char name[24];

    write_name(name, 0);
    for (uint64_t i = 0; i < times; i++) {
        unsigned found = 0;
        if (commy_iterate_name(bench->mesh, name, &iterator) != COMMY_STATUS_SUCCESS)
            return false;
        while (commy_iterate_next(bench->mesh, &iterator, &view))
            found += view.port != 0;
        if (found != PER_NAME)
            return false;
    }
    return true;
}

static commy_status_t register_one(bench_t *bench, const char *name, const char *id, uint64_t *reference)
{
    const commy_service_config_t config = {
        .size = sizeof config, .service_name = name, .service_id = id, .endpoint = "127.0.0.1", .port = 8080};

    return commy_service_register(bench->mesh, &config, reference);
}

static bool come_and_go(bench_t *bench, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++)
        if (register_one(bench, "comes-and-goes", "comes-and-goes-1", NULL) != COMMY_STATUS_SUCCESS ||
            commy_service_unregister(bench->mesh, "comes-and-goes-1") != COMMY_STATUS_SUCCESS)
            return false;
    return true;
}

static bool report(bench_t *bench, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++)
        if (commy_service_report(bench->mesh, bench->reference, i, true) != COMMY_STATUS_SUCCESS)
            return false;
    return true;
}

static bool begin_and_end(bench_t *bench, uint64_t times)
{
    uint64_t token;
    for (uint64_t i = 0; i < times; i++)
        if (commy_service_begin(bench->mesh, bench->reference, &token) != COMMY_STATUS_SUCCESS ||
            commy_service_end(bench->mesh, token, i, true) != COMMY_STATUS_SUCCESS)
            return false;
    return true;
}

static const struct measurement {
    const char *key, *what;
    work_fn *work;
} measurements[] = {
    {"find_ns", "find a service by id", find},
    {"miss_ns", "look for one that is not there", miss},
    {"find_many_ns", "find each of 16 at once", find_many},
    {"discover_10_ns", "discover the 10 instances of a name", discover},
    {"register_unregister_ns", "register and unregister", come_and_go},
    {"report_ns", "report a request", report},
    {"begin_end_ns", "begin and end a request", begin_and_end},
};
#define MEASUREMENTS (sizeof(measurements) / sizeof(measurements[0]))

/* Nanoseconds for one time, or 0: refused, or told to stop. */
static double measure(bench_t *bench, work_fn *work)
{
    uint64_t slice_ns = bench->seconds * 1000000000ull / (MEASUREMENTS + 1) / (SLICES + 1), took = 0, times = BATCH;
    double slices[SLICES];

    for (; took < slice_ns / 4 && !stopping(); times *= 2) {
        uint64_t began = now_ns();
        if (!work(bench, times))
            return 0;
        took = now_ns() - began;
    }
    times = times * slice_ns / 2 / (took > 0 ? took : 1) / BATCH * BATCH + BATCH;
    for (int i = 0; i < SLICES; i++) {
        uint64_t began = now_ns();
        if (stopping() || !work(bench, times))
            return 0;
        slices[i] = (double)(now_ns() - began) / (double)times;
    }
    qsort(slices, SLICES, sizeof slices[0], compare);
    return slices[SLICES / 2];
}

/* ------------------------------------------------------------------------------------ wake */

/* Shared with the process that waits. */
typedef struct bell {
    _Atomic uint64_t about, woken_at_ns; /* how often it was about to sleep; when it woke, or 0 */
} bell_t;

static void wait_for_changes(bell_t *bell)
{
    commy_mesh_t *mesh;
    uint64_t version, seen;

    if (open_mesh(COMMY_OPEN_MUST_EXIST, &mesh) != EXIT_YES ||
        commy_mesh_wait(mesh, "name-0", 0, 0, &version) != COMMY_STATUS_SUCCESS)
        _exit(EXIT_ERROR);
    for (;;) {
        seen = version;
        atomic_fetch_add(&bell->about, 1);
        while (version == seen)
            if (commy_mesh_wait(mesh, "name-0", seen, -1, &version) != COMMY_STATUS_SUCCESS)
                _exit(EXIT_ERROR);
        atomic_store(&bell->woken_at_ns, now_ns());
    }
}

/* Waits until a word of the bell is what it should be; false: the waiter has died, or it is time to stop. */
static bool heard(_Atomic uint64_t *word, uint64_t least, pid_t waiter)
{
    for (unsigned looks = 1; atomic_load(word) < least; looks++) {
        if (looks % 256 == 0)
            sched_yield();
        if (looks % 65536 == 0 && (stopping() || waitpid(waiter, NULL, WNOHANG) != 0))
            return false;
    }
    return true;
}

static uint32_t wake_often(bench_t *bench, bell_t *bell, pid_t waiter, double *ns)
{
    const struct timespec asleep = {.tv_nsec = ASLEEP_NS};
    uint64_t end = now_ns() + bench->seconds * 1000000000ull / (MEASUREMENTS + 1);
    uint32_t count = 0;

    while (count < MOST_WAKES && now_ns() < end && heard(&bell->about, count + 1, waiter)) {
        nanosleep(&asleep, NULL);
        atomic_store(&bell->woken_at_ns, 0);
        uint64_t rang = now_ns();
        if (commy_service_set_weight(bench->mesh, bench->ids[0], count % 1000) != COMMY_STATUS_SUCCESS ||
            !heard(&bell->woken_at_ns, 1, waiter))
            break;
        ns[count++] = (double)(atomic_load(&bell->woken_at_ns) - rang);
    }
    return count;
}

/* How long a change takes to wake another process: the median, and what 99 of 100 stay below. */
static bool measure_wake(bench_t *bench, double *p50, double *p99)
{
    bell_t *bell = mmap(NULL, sizeof *bell, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double *ns = must_have(calloc(MOST_WAKES, sizeof *ns));
    pid_t self = getpid();

    must_have(bell == MAP_FAILED ? NULL : bell);
    fflush(stdout);
    pid_t waiter = fork();
    if (waiter == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == self)
            wait_for_changes(bell);
        _exit(EXIT_ERROR);
    }
    uint32_t count = waiter > 0 ? wake_often(bench, bell, waiter, ns) : 0;
    if (waiter > 0 && kill(waiter, SIGKILL) == 0)
        waitpid(waiter, NULL, 0);
    if (count > 0) {
        qsort(ns, count, sizeof *ns, compare);
        *p50 = ns[count / 2];
        *p99 = ns[(uint64_t)count * 99 / 100];
    }
    munmap(bell, sizeof *bell);
    free(ns);
    return count > 0;
}

/* ---------------------------------------------------------------------------------- running */

static bool fill(bench_t *bench)
{
    char name[24];

    bench->ids = must_have(calloc(bench->services, sizeof *bench->ids));
    bench->missing = must_have(calloc(bench->services, sizeof *bench->missing));
    for (uint32_t i = 0; i < bench->services; i++) {
        snprintf(bench->ids[i], sizeof bench->ids[i], "instance-%08u", i);
        snprintf(bench->missing[i], sizeof bench->missing[i], "missing-%08u", i);
        write_name(name, i);
        if (stopping() ||
            register_one(bench, name, bench->ids[i], i == 0 ? &bench->reference : NULL) != COMMY_STATUS_SUCCESS)
            return false;
    }
    /* The first one stays where it is: its name is the one that is waited for. */
    for (uint32_t i = bench->services - 1, seed = 1; i > 1; i--) {
        char swap[24];
        seed = seed * 1664525u + 1013904223u;
        uint32_t other = 1 + (uint32_t)((uint64_t)seed * i >> 32);
        memcpy(swap, bench->ids[i], sizeof swap);
        memcpy(bench->ids[i], bench->ids[other], sizeof swap);
        memcpy(bench->ids[other], swap, sizeof swap);
    }
    return true;
}

/* More digits than that are chance. */
static json_t *tenths(double ns)
{
    return json_real((double)(uint64_t)(ns * 10 + 0.5) / 10);
}

static void print_figures(const bench_t *bench, const double *ns, double p50, double p99)
{
    if (tool.json) {
        json_t *object = must_have(json_object());
        json_put_number(object, "services", bench->services);
        for (size_t i = 0; i < MEASUREMENTS; i++)
            json_put(object, measurements[i].key, tenths(ns[i]));
        json_put(object, "wake_p50_ns", tenths(p50));
        json_put(object, "wake_p99_ns", tenths(p99));
        json_print(object);
        return;
    }
    static const struct column columns[] = {
        {"WHAT", COLUMN_TEXT}, {"TAKES", COLUMN_NUMBER}, {"A SECOND", COLUMN_NUMBER}};
    struct table *table = table_open(columns, 3);
    char takes[32], rate[32];
    for (size_t i = 0; i < MEASUREMENTS; i++) {
        snprintf(takes, sizeof takes, "%.0f ns", ns[i]);
        snprintf(rate, sizeof rate, "%.0f", 1e9 / ns[i]);
        table_row(table, (const char *[]){measurements[i].what, takes, rate});
    }
    snprintf(takes, sizeof takes, "%.1f us", p50 / 1e3);
    table_row(table, (const char *[]){"wake a process that waits", takes, ""});
    snprintf(takes, sizeof takes, "%.1f us", p99 / 1e3);
    table_row(table, (const char *[]){"the same, 99 of 100 within", takes, ""});
    table_close(&table);
    printf("%u services, one process; medians\n", bench->services);
}

static int run(bench_t *bench)
{
    double ns[MEASUREMENTS], p50, p99;

    if (!fill(bench))
        return stopping() ? EXIT_ERROR : complain_status((commy_status_t)commy_last_error());
    for (size_t i = 0; i < MEASUREMENTS; i++) {
        ns[i] = measure(bench, measurements[i].work);
        if (stopping())
            return EXIT_ERROR;
        if (ns[i] == 0)
            return complain("'%s' went wrong: %s", measurements[i].what, commy_last_error_message());
    }
    if (!measure_wake(bench, &p50, &p99))
        return stopping() ? EXIT_ERROR : complain("no process could be woken");
    print_figures(bench, ns, p50, p99);
    return EXIT_YES;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    bench_t *bench = state->input;

    switch (key) {
    case KEY_SERVICES:
        bench->services = (uint32_t)parse_number(state, "--services", arg, PER_NAME, COMMY_LIMIT_SERVICES_MAX - 1);
        return 0;
    case KEY_SECONDS:
        bench->seconds = (uint32_t)parse_number(state, "--seconds", arg, 1, 3600);
        return 0;
    case ARGP_KEY_ARG:
        return parse_nothing(key, arg, state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"services", KEY_SERVICES, "N", 0, "Among so many services, 10 to 1048575 (default: 10000)", 0},
    {"seconds", KEY_SECONDS, "N", 0, "For about so long, 1 to 3600 (default: 10)", 0},
    {0},
};

static const char doc[] =
    "Measure what commy's calls cost on this host. Takes ten seconds, at a mesh of its own, bench-PID, "
    "which it makes in the directory and removes.\v"
    "Example:\n"
    "  commy bench\n"
    "  commy bench --services 1000000 --json";

int cmd_bench(int argc, char **argv)
{
    struct argp argp = {options, parse, NULL, doc, common_children, NULL, NULL};
    bench_t bench = {.services = 10000, .seconds = 10};
    char mesh[32];

    argp_parse(&argp, argc, argv, 0, NULL, &bench);
    snprintf(mesh, sizeof mesh, "bench-%d", (int)getpid());
    if (tool.mesh == NULL)
        tool.mesh = mesh;
    stopping_prepare();
    commy_open_options_t which = mesh_options(COMMY_OPEN_MUST_NOT_EXIST);
    which.capacity = bench.services + 1 > COMMY_LIMIT_SERVICES_MIN ? bench.services + 1 : COMMY_LIMIT_SERVICES_MIN;
    commy_status_t status = commy_mesh_attach(&which, &bench.mesh);
    if (status == COMMY_STATUS_EXISTS)
        return complain("mesh %s exists, and this needs one of its own: give --mesh a new name, or none", tool.mesh);
    if (status != COMMY_STATUS_SUCCESS) {
        complain_status(status);
        return EXIT_ERROR;
    }
    int code = run(&bench);
    if (code != EXIT_YES && stopping())
        complain("stopped by a signal before all was measured");
    commy_mesh_detach(&bench.mesh);
    which.flags = 0;
    status = commy_mesh_remove(&which, true);
    if (status != COMMY_STATUS_SUCCESS)
        code = complain_status(status);
    free(bench.ids);
    free(bench.missing);
    return code;
}
