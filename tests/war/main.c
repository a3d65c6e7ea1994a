/*
 * The random war: 8 to 64 processes of many kinds work in one region and are killed, and stopped, at random.
 *
 * Usage: war [--seconds N] [--seed S]          30 seconds; a seed tells the commander's choices, not the kernel's
 *        war --first ...                       ends soon after the first violation
 *        war --plant FAULT                     with a fault put in, which must make it exit 1: lost, ghost, leak, counter,
 *                                              turn, crowded, quack, erased (plant.c)
 *        war --catch                           wages a short war with each fault, and passes if that very fault is found
 *
 * COMMY_TOOL, COMMY_LIBRARY and WAR_CLIENT name the command, the shared library and client.py; what is not given does
 * not take part, and the war says so.
 */
#include "war.h"

#include <fcntl.h>

#define MS 1000000ull

static uint64_t operations(void)
{
    uint64_t sum = 0;
    for (uint32_t p = 0; p < PLACES; p++)
        for (uint32_t t = 0; t < THREADS; t++)
            sum += atomic_load(&war->place[p].cell[t].operations);
    return sum;
}

static int tell(double seconds, uint64_t seed)
{
    static const char *const kinds[WAR_KINDS] = {"brief",    "churners", "forkers", "forked children",
                                                 "watchers", "wrappers", "scripts"};
    uint64_t violations = 0;
    for (int i = 0; i < WAR_PROPERTY_COUNT; i++)
        violations += atomic_load(&war->violated[i]);
    printf("%.0f s, seed 0x%" PRIx64 ": %" PRIu64 " battles, %" PRIu64 " kills (%.0f a second), %" PRIu64
           " ends by own will, %" PRIu64 " stops, %" PRIu64 " operations\n",
           seconds, seed, war_tally.battles, war_tally.kills, (double)war_tally.kills / seconds, war_tally.ends,
           war_tally.stops, operations());
    printf("killed in the middle of a change of their own services: %" PRIu64 "; while not joined: %" PRIu64 "\n",
           war_tally.inside, war_tally.outside);
    printf("processes:");
    for (int i = 0; i < WAR_KINDS; i++)
        printf(" %" PRIu64 " %s%s", war_tally.started[i], kinds[i], i + 1 < WAR_KINDS ? "," : "\n");
    printf("%" PRIu64 " audits, %" PRIu64 " exact audits, %" PRIu64 " truces, %" PRIu64 " halts of all, %" PRIu64
           " violations\n",
           atomic_load(&war->audits), atomic_load(&war->exact_audits), war_tally.truces, war_tally.halts, violations);
    return war_verdict();
}

static int wage(uint32_t seconds, uint64_t seed, war_plant_t plant, bool first)
{
    test_begin(seconds * 2 + 180);
    war_log_make();
    war->first = first;
    war->planted = plant != WAR_PLANT_NOTHING;
    snprintf(war->dir, sizeof war->dir, "%s", test_dir);
    war->commander = getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* children of fighters that were killed come to us */
    uint64_t began = now_ns(), ns = seconds * 1000 * MS, random = seed | 1;
    uint32_t battles = (seconds + 7) / 8;
    for (uint32_t i = 0; i < battles && !war_is_decided(); i++) {
        uint64_t gone = now_ns() - began;
        if (gone < ns)
            war_battle((ns - gone) / (battles - i), chance(&random), plant);
    }
    return tell((double)(now_ns() - began) / 1e9, seed);
}

/* ------------------------------------------------------------------- catching */

/* Which property must have failed in a war with a fault planted. */
static const struct {
    const char *plant, *found_by;
} catches[] = {
    {"lost", "FAILED an acknowledged registration of a live process is found"},
    {"ghost", "FAILED nothing is found that was refused, unregistered, or never registered"},
    {"leak", "FAILED records in use at rest are those acknowledged or in doubt"},
    {"counter", "FAILED mesh totals lie between acknowledged and acknowledged with in doubt"},
    {"turn", "FAILED one at a time has the turn to try an open instance"},
    {"crowded", "FAILED no more are open than the share"},
    {"quack", "FAILED at rest a monitored service has one checker"},
    {"erased", "FAILED it tells once of what was acknowledged"},
};

/* A war that is waged in another process. */
typedef struct lost_war {
    pid_t child;
    int output;
} lost_war_t;

static lost_war_t declare(const char *self, const char *plant)
{
    int ends[2];
    lost_war_t lost = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return lost;
    lost = (lost_war_t){fork(), ends[0]};
    if (lost.child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(ends[1], 1);
        execl(self, self, "--seconds", "4", "--plant", plant, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return lost;
}

/* Its output, up to the room, and whether it exited 1. */
static bool lose(const lost_war_t *lost, char *output, size_t room)
{
    int status;
    size_t bytes = 0;
    for (ssize_t got = 1; got > 0 && bytes < room - 1; bytes += (size_t)(got > 0 ? got : 0))
        got = read(lost->output, output + bytes, room - 1 - bytes);
    output[bytes] = '\0';
    close(lost->output);
    return lost->child > 0 && waitpid(lost->child, &status, 0) == lost->child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 1;
}

#define AT_ONCE 3u

static int catch_all(void)
{
    static char output[65536];
    uint32_t failed = 0, count = sizeof catches / sizeof catches[0];
    lost_war_t wars[sizeof catches / sizeof catches[0]];
    for (uint32_t i = 0, declared = 0; i < count; i++) {
        for (; declared < count && declared < i + AT_ONCE; declared++)
            wars[declared] = declare("/proc/self/exe", catches[declared].plant);
        bool lost = lose(&wars[i], output, sizeof output);
        bool caught = lost && strstr(output, catches[i].found_by) != NULL;
        failed += !caught;
        printf("%s a planted fault is found: %s\n", caught ? "ok    " : "FAILED", catches[i].plant);
        if (!caught)
            printf("%s", output);
    }
    printf("%u passed, %u failed\n", count - failed, failed);
    return failed == 0 ? 0 : 1;
}

static int usage(void)
{
    fputs("usage: war [--seconds N] [--seed S] [--first] [--plant FAULT] | --catch\n"
          "FAULT: lost, ghost, leak, counter, turn, crowded, quack, erased\n",
          stderr);
    return 64;
}

int main(int argc, char **argv)
{
    uint32_t seconds = 30;
    uint64_t seed = now_ns();
    war_plant_t plant = WAR_PLANT_NOTHING;
    bool first = false;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--catch") == 0)
        return catch_all();
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--first") == 0)
            first = true;
        else if (!value)
            return usage();
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--plant") != 0 || !war_plant_named(argv[++i], &plant))
            return usage();
    }
    return seconds > 0 ? wage(seconds, seed, plant, first) : usage();
}
