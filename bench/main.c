/*
 * commy-bench - commy and its peers, measured side by side.
 *
 * Every contender holds the same services and is asked the same questions, in turns, by processes that are pinned to
 * CPUs (threads where it lives within one process). The results go to a file; bench/report.py makes of them the table, the
 * verdicts and the plots. An answer that differs ends the run with 1.
 */
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "crew.h"
#include "latency.h"
#include "session.h"

static char base[] = "/dev/shm/commy-bench-XXXXXX";
static bool base_made;
static pid_t runner;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void clean_up(void)
{
    if (getpid() == runner && base_made)
        nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void kill_and_clean(void)
{
    if (getpid() == runner)
        crew_kill_all();
    clean_up();
}

static void stop(int number)
{
    /* The second time there is nobody left who would answer. */
    if (bench_stopping++)
        _exit(128 + number);
    crew_kill_all();
}

enum { KEY_QUICK = 256, KEY_ONLY, KEY_CONTENDERS, KEY_SIZES, KEY_REPEATS, KEY_TURN, KEY_SEED, KEY_CPU_TIME, KEY_PLANT };

static const struct argp_option known[] = {
    {"quick", KEY_QUICK, NULL, 0, "Shorter turns, fewer of them, fewer numbers of workers", 0},
    {"only", KEY_ONLY, "LIST", 0, "Only these workloads, with commas between them", 0},
    {"contenders", KEY_CONTENDERS, "LIST", 0, "Only these contenders", 0},
    {"sizes", KEY_SIZES, "LIST", 0, "Numbers of services (default: 1000,65536,1000000)", 0},
    {"repeats", KEY_REPEATS, "N", 0, "Turns of each contender at each workload", 0},
    {"turn-ms", KEY_TURN, "MS", 0, "Length of a turn", 0},
    {"seed", KEY_SEED, "N", 0, "Of keys, records and questions", 0},
    {"cpu-time", KEY_CPU_TIME, NULL, 0, "Count only the time that workers ran, on a machine that others use, too", 0},
    {"plant", KEY_PLANT, "CONTENDER", OPTION_HIDDEN, "Make its answers wrong, which must end the run", 0},
    {"output", 'o', "FILE", 0, "Where the results go, as JSON", 0},
    {0},
};

static unsigned long number(const struct argp_state *state, const char *text, unsigned long most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*end != '\0' || end == text || value < 1 || value > most)
        argp_error(state, "'%s' is not a number from 1 to %lu", text, most);
    return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    bench_options_t *options = state->input;

    switch (key) {
    case KEY_QUICK:
        options->quick = true;
        return 0;
    case KEY_ONLY:
        options->only = arg;
        return 0;
    case KEY_CONTENDERS:
        options->contenders = arg;
        return 0;
    case KEY_SIZES:
        options->sizes = arg;
        return 0;
    case KEY_REPEATS:
        options->repeats = (unsigned)number(state, arg, BENCH_MOST_TURNS);
        return 0;
    case KEY_TURN:
        options->turn_ms = (unsigned)number(state, arg, 10000);
        return 0;
    case KEY_SEED:
        options->seed = number(state, arg, UINT32_MAX);
        return 0;
    case KEY_CPU_TIME:
        options->cpu_time = true;
        return 0;
    case KEY_PLANT:
        options->plant = arg;
        return 0;
    case 'o':
        options->output = arg;
        return 0;
    case ARGP_KEY_END:
        if (!options->output)
            argp_error(state, "where do the results go? -o FILE");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What all contenders together put there, for each service and besides. */
#define ROOM_PER_SERVICE 2500u
#define ROOM_ANYHOW (200u << 20)

/* Whether there is room for so many services; says so where there is not. */
static bool has_room(results_t *results, uint64_t size)
{
    struct statvfs room;
    char what[64];

    if (statvfs(base, &room) == 0 && (uint64_t)room.f_bavail * room.f_frsize >= ROOM_ANYHOW + size * ROOM_PER_SERVICE)
        return true;
    snprintf(what, sizeof what, "%llu services", (unsigned long long)size);
    results_skip(results, what, "/dev/shm has no room for all contenders");
    return false;
}

/* Each mesh has a directory of its own, which is removed before the next one takes the memory. */
static void run_mesh(const bench_options_t *options, results_t *results, uint64_t size, bench_profile_t profile)
{
    char dir[BENCH_PATH_BYTES];

    snprintf(dir, sizeof dir, "%s/%s-%llu", base, profile == PROFILE_PLAIN ? "plain" : "names",
             (unsigned long long)size);
    if (mkdir(dir, 0700) != 0)
        bench_die("%s: %s", dir, strerror(errno));
    session_run(options, results, size, profile, dir);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void run_sizes(const bench_options_t *options, results_t *results)
{
    const char *list = options->sizes ? options->sizes : "1000,65536,1000000";

    while (*list) {
        char *end;
        uint64_t size = strtoull(list, &end, 10);
        if (end == list || size < 100 || size > 1000000 || (*end != ',' && *end != '\0'))
            bench_die("--sizes %s: numbers from 100 to 1000000, with commas", options->sizes);
        bool fits = has_room(results, size);
        if (fits)
            run_mesh(options, results, size, PROFILE_PLAIN);
        if (fits && size <= SIZE_MIDDLE)
            run_mesh(options, results, size, PROFILE_NAMES);
        list = end + (*end == ',');
    }
}

static void run_events(const bench_options_t *options, results_t *results)
{
    char dir[BENCH_PATH_BYTES];

    snprintf(dir, sizeof dir, "%s/events", base);
    if (mkdir(dir, 0700) != 0)
        bench_die("%s: %s", dir, strerror(errno));
    if (bench_listed(options->only, "wake"))
        latency_wake(results, dir, options->quick ? 1000 : 10000);
    if (bench_listed(options->only, "kill"))
        latency_kill(results, dir, options->quick ? 300 : 2000);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.options = known, .parser = parse, .doc = "Measures commy and its peers."};
    bench_options_t options = {.seed = 1};
    const struct sigaction action = {.sa_handler = stop};

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    options.repeats = options.repeats ? options.repeats : options.quick ? 5 : 15;
    options.turn_ms = options.turn_ms ? options.turn_ms : options.quick ? 25 : 100;
    runner = getpid();
    bench_cpus();
    atexit(kill_and_clean);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* whoever reads along may go */
    if (!mkdtemp(base))
        bench_die("%s: %s", base, strerror(errno));
    base_made = true;
    results_t *results = results_new(&options);
    for (unsigned i = 0; bench_left_out[i]; i += 2)
        results_skip(results, bench_left_out[i], bench_left_out[i + 1]);
    run_sizes(&options, results);
    if (bench_listed(options.contenders, "commy"))
        run_events(&options, results);
    results_write(&results, options.output);
    return 0;
}
