/*
 * session.c - see session.h.
 *
 * A measurement is one workload with one number of workers. Each contender is first asked how many operations fill a turn;
 * then they take turns, A B C A B C, so that whatever else the machine does hits all of them alike. A turn is warmed up by
 * as many operations as it has, or twice the number of services where that is less.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "crew.h"
#include "latency.h"

#define MOST_CREWS 16u
#define CHECKED 4096u /* questions; a slow contender takes a second or two for them */
#define CALIBRATE_NS 1000000u
#define WORTH_TIMING_NS 300.0 /* an operation; below it the clock would be a tenth of what it shows */

typedef struct session {
    const bench_options_t *options;
    results_t *results;
    bench_place_t place;
    crew_t *crews[MOST_CREWS];
    unsigned crew_count;
} session_t;

/* One contender's part of a measurement. */
typedef struct part {
    crew_t *crew;
    turn_t turn;
    double ns[BENCH_MOST_TURNS], million_per_s[BENCH_MOST_TURNS];
} part_t;

bool bench_listed(const char *list, const char *word)
{
    size_t length = strlen(word);

    if (!list)
        return true;
    while (*list) {
        size_t item = strcspn(list, ",");
        if (item == length && strncmp(list, word, item) == 0)
            return true;
        list += item + (list[item] == ',');
    }
    return false;
}

/* ------------------------------------------------------------------------------- checks */

static uint64_t expected(const session_t *session, const bench_workload_t *workload, const bench_contender_t *contender,
                         uint64_t first, uint64_t count)
{
    if (contender->yardstick)
        return count;
    switch (workload->check) {
    case CHECK_ANSWERS:
        return bench_expected(session->place.keys, first, count);
    case CHECK_NOTHING:
        return 0;
    case CHECK_INSTANCES:
        return count * workload->instances;
    case CHECK_ALL:
        return count * session->place.keys->size;
    default:
        return count;
    }
}

static void check(const session_t *session, const bench_workload_t *workload, const part_t *part, const stint_t *stints)
{
    const bench_contender_t *contender = crew_contender(part->crew);

    for (unsigned i = 0; i < part->turn.workers; i++) {
        uint64_t wanted = expected(session, workload, contender, stints[i].first, part->turn.count);
        if (stints[i].sum != wanted)
            bench_die("%s answers otherwise: %s at %llu services, worker %u of %u: %016llx, not %016llx",
                      contender->name, workload->name, (unsigned long long)session->place.keys->size, i,
                      part->turn.workers, (unsigned long long)stints[i].sum, (unsigned long long)wanted);
    }
}

/* -------------------------------------------------------------------------------- turns */

static double mean_ns(const session_t *session, const stint_t *stints, const turn_t *turn)
{
    bool ran = session->options->cpu_time;
    double sum = 0;

    for (unsigned i = 0; i < turn->workers; i++)
        sum += (double)(ran ? stints[i].ran_ns : stints[i].ended_ns - stints[i].began_ns) / (double)turn->count;
    return sum / turn->workers;
}

static double together_million_per_s(const stint_t *stints, const turn_t *turn)
{
    uint64_t began = UINT64_MAX, ended = 0;

    for (unsigned i = 0; i < turn->workers; i++) {
        began = stints[i].began_ns < began ? stints[i].began_ns : began;
        ended = stints[i].ended_ns > ended ? stints[i].ended_ns : ended;
    }
    return (double)turn->count * turn->workers * 1e3 / (double)(ended - began);
}

/* How many operations fill a turn, from a short one. */
static void calibrate(const session_t *session, const bench_workload_t *workload, part_t *part)
{
    double ns = 0;

    for (part->turn.count = 1;; part->turn.count *= 8) {
        const stint_t *stints = crew_turn(part->crew, &part->turn);
        check(session, workload, part, stints);
        ns = mean_ns(session, stints, &part->turn);
        if ((double)(stints[0].ended_ns - stints[0].began_ns) >= CALIBRATE_NS)
            break;
    }
    double count = session->options->turn_ms * 1e6 / ns;
    part->turn.count = count < 1 ? 1 : (uint64_t)count;
    if (part->turn.count > BENCH_BATCH)
        part->turn.count -= part->turn.count % BENCH_BATCH;
    uint64_t twice = 2 * session->place.keys->size;
    part->turn.warm_up = part->turn.count < twice ? part->turn.count : twice;
    part->turn.warm_up += BENCH_BATCH - 1 - (part->turn.warm_up - 1) % BENCH_BATCH;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* One more turn in which each operation is timed; all workers' samples, sorted. */
static uint64_t *time_each(const session_t *session, const bench_workload_t *workload, part_t *part, uint64_t *samples)
{
    if (part->turn.count > CREW_SAMPLES)
        part->turn.count = CREW_SAMPLES;
    part->turn.single = true;
    const stint_t *stints = crew_turn(part->crew, &part->turn);
    check(session, workload, part, stints);
    uint64_t *sorted = malloc(CREW_SAMPLES * part->turn.workers * sizeof *sorted);
    *samples = 0;
    for (unsigned i = 0; i < part->turn.workers; i++)
        for (unsigned k = 0; k < stints[i].samples; k++)
            sorted[(*samples)++] = stints[i].sample_ns[k];
    qsort(sorted, *samples, sizeof *sorted, compare_u64);
    return sorted;
}

static void conclude(const session_t *session, const bench_workload_t *workload, part_t *part)
{
    unsigned turns = session->options->repeats;
    figure_t figure = {.workload = workload->name,
                       .contender = crew_contender(part->crew)->name,
                       .size = session->place.keys->size,
                       .workers = part->turn.workers,
                       .instances = workload->instances,
                       .repeats = part->ns,
                       .million_per_s = part->million_per_s,
                       .turns = turns,
                       .count = part->turn.count};
    double copy[BENCH_MOST_TURNS];
    uint64_t *sorted = NULL;

    memcpy(copy, part->ns, turns * sizeof *copy);
    double ns = bench_median(copy, turns);
    if (ns >= WORTH_TIMING_NS && workload->op != OP_ALL && workload->op != OP_BATCH)
        sorted = time_each(session, workload, part, &figure.samples);
    figure.sorted_ns = sorted;
    results_add(session->results, &figure);
    fprintf(stderr, "  %-14s %4.0u %8llu services %3u workers %-10s %12.1f ns\n", workload->name, figure.instances,
            (unsigned long long)figure.size, figure.workers, figure.contender, ns);
    free(sorted);
}

static void measure(session_t *session, const bench_workload_t *workload, unsigned workers)
{
    static part_t parts[MOST_CREWS];
    unsigned count = 0;

    for (unsigned i = 0; i < session->crew_count; i++) {
        const bench_contender_t *contender = crew_contender(session->crews[i]);
        if (!contender->ops[workload->op] || (contender->most_workers > 0 && workers > contender->most_workers))
            continue;
        parts[count].crew = session->crews[i];
        parts[count].turn = (turn_t){.op = workload->op, .workers = workers, .instances = workload->instances};
        calibrate(session, workload, &parts[count++]);
    }
    for (unsigned turn = 0; turn < session->options->repeats; turn++)
        for (unsigned i = 0; i < count; i++) {
            const stint_t *stints = crew_turn(parts[i].crew, &parts[i].turn);
            check(session, workload, &parts[i], stints);
            parts[i].ns[turn] = mean_ns(session, stints, &parts[i].turn);
            parts[i].million_per_s[turn] = together_million_per_s(stints, &parts[i].turn);
        }
    for (unsigned i = 0; i < count; i++)
        conclude(session, workload, &parts[i]);
}

/* ------------------------------------------------------------------------------- the mesh */

/* What a contender answers to the first questions of the stream, which is what every other one must answer. */
static void print_checksum(session_t *session, crew_t *crew)
{
    const bench_contender_t *contender = crew_contender(crew);
    const bench_keys_t *keys = session->place.keys;
    const turn_t turn = {.op = OP_FIND, .workers = 1, .count = CHECKED};

    if (!contender->ops[OP_FIND])
        return;
    const stint_t *stints = crew_turn(crew, &turn);
    printf("checksum %8llu services %-10s %016llx\n", (unsigned long long)keys->size, contender->name,
           (unsigned long long)stints[0].sum);
    fflush(stdout);
    results_checksum(session->results, contender->name, keys->size, stints[0].sum);
    if (stints[0].sum != bench_expected(keys, 0, CHECKED))
        bench_die("%s answers otherwise: %016llx is expected", contender->name,
                  (unsigned long long)bench_expected(keys, 0, CHECKED));
}

static bool wanted(const session_t *session, const bench_workload_t *workload)
{
    uint64_t size = session->place.keys->size;
    bool quick = session->options->quick;
    uint64_t most = quick ? workload->quick_most : workload->most;
    uint64_t least = quick ? workload->quick_least : workload->least;

    return workload->profile == session->place.profile && bench_listed(session->options->only, workload->name) &&
           (most == 0 || size <= most) && size >= least;
}

/* Whether anything that will be measured here is what this contender does. */
static bool useful(const session_t *session, const bench_contender_t *contender)
{
    for (unsigned i = 0; i < bench_plan_length; i++)
        if (wanted(session, &bench_plan[i]) && contender->ops[bench_plan[i].op])
            return true;
    return session->place.profile == PROFILE_PLAIN && strcmp(contender->name, "commy") == 0 &&
           (bench_listed(session->options->only, "process") || bench_listed(session->options->only, "lines"));
}

static void start_crew(session_t *session, const bench_contender_t *contender)
{
    uint64_t size = session->place.keys->size;
    char what[64], reason[256];

    if (!bench_listed(session->options->contenders, contender->name) || !useful(session, contender))
        return;
    snprintf(what, sizeof what, "%s at %llu services", contender->name, (unsigned long long)size);
    if (size > contender->most) {
        results_skip(session->results, what, contender->why);
        return;
    }
    if (session->crew_count == MOST_CREWS)
        bench_die("too many contenders");
    crew_t *crew = crew_start(contender, &session->place, reason, sizeof reason);
    if (!crew) {
        results_skip(session->results, what, reason);
        return;
    }
    session->crews[session->crew_count++] = crew;
    results_contender(session->results, contender);
    if (session->place.profile == PROFILE_PLAIN && crew_bytes(crew) > 0)
        results_memory(session->results, contender->name, size, crew_bytes(crew));
    print_checksum(session, crew);
}

/* So many a CPU, as far as a crew goes. */
static unsigned most_workers(unsigned each)
{
    unsigned workers = bench_cpus() * each;

    return workers < CREW_WORKERS ? workers : CREW_WORKERS;
}

/* One worker, two, four, ... up to all, and four times as many; each number once. */
static void measure_crowds(session_t *session, const bench_workload_t *workload)
{
    unsigned all = most_workers(1), over = most_workers(4);
    unsigned crowds = session->options->quick ? workload->quick_crowds : workload->crowds;

    for (unsigned workers = 1; workers <= over; workers++) {
        bool doubled = (workers & (workers - 1)) == 0 && workers > 1 && workers < all;
        if ((crowds & CROWD_ONE && workers == 1) || (crowds & CROWD_TWO && workers == 2) ||
            (crowds & CROWD_MORE && doubled) || (crowds & CROWD_ALL && workers == all) ||
            (crowds & CROWD_OVER && workers == over))
            measure(session, workload, workers);
    }
}

/* What processes that come for once find; they need a mesh that is filled. */
static void run_probes(session_t *session)
{
    const bench_options_t *options = session->options;

    if (session->crew_count == 0)
        return;
    if (bench_listed(options->only, "process"))
        latency_process(session->results, &session->place, options->quick ? 100 : 1000);
    if (options->only ? bench_listed(options->only, "lines") : session->place.keys->size >= SIZE_LARGE)
        latency_lines(session->results, &session->place);
}

void session_run(const bench_options_t *options, results_t *results, uint64_t size, bench_profile_t profile,
                 const char *dir)
{
    session_t session = {.options = options, .results = results};
    bench_keys_t *keys = bench_keys_make(size, options->seed);

    session.place =
        (bench_place_t){.keys = keys, .profile = profile, .workers = most_workers(4), .plant = options->plant};
    snprintf(session.place.dir, sizeof session.place.dir, "%s", dir);
    for (unsigned i = 0; bench_contenders[i]; i++)
        start_crew(&session, bench_contenders[i]);
    for (unsigned i = 0; session.crew_count > 0 && i < bench_plan_length; i++)
        if (wanted(&session, &bench_plan[i]))
            measure_crowds(&session, &bench_plan[i]);
    if (profile == PROFILE_PLAIN && bench_listed(options->contenders, "commy"))
        run_probes(&session);
    while (session.crew_count > 0)
        crew_stop(&session.crews[--session.crew_count]);
    bench_keys_free(keys);
}
