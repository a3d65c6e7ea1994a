/*
 * How often each instance is selected, by each policy, against what the policy is defined to do; from one process, and
 * from four at once.
 *
 * Usage: distribution [PICKS]                       100,000 for each comparison, some ten seconds
 *
 * In turn, and in turn by weight, the counts are exact. What is drawn is judged by chi-square against the shares that
 * follow from the definition (mesh/load.h, mesh/policy.h); the bound is the quantile that a sound policy passes once in a
 * thousand million comparisons, by the approximation of Wilson and Hilferty (1931): k (1 - 2 / 9k + 6 sqrt(2 / 9k))^3 for
 * k degrees of freedom, which is 59.2 for 7 and 63.5 for 9.
 */
#include "acceptance.h"

#include <math.h>

#include "mesh/load.h"

#define NAME "web"
#define INSTANCES 10u
#define MANY 10000u
#define WORKERS 4u
#define HELD 25u /* requests that a worker has in flight */
#define SAMPLES 2000u

static property_t turns = {"in turn, each instance comes as often as every other", 0, 0};
static property_t weighted = {"in turn by weight, each comes as often as its weight says", 0, 0};
static property_t drawn = {"at random, shares are the weights' by chi-square", 0, 0};
static property_t idle = {"the better of two takes the weights' shares where all are alike, by chi-square", 0, 0};
static property_t ranked = {"the better of two wins against the worse alone, by chi-square", 0, 0};
static property_t even = {"least connections: in flight differs by 5 on average, and by 7 and more at random", 0, 0};
static property_t slow = {"performance: an instance ten times as slow gets below 1 % and not nothing", 0, 0};
static property_t clients = {"consistent hash: shares within six standard deviations, the same in every process", 0, 0};
static property_t moved = {"consistent hash: at most 1 / n + 2 % move when one of n leaves, and nobody else's", 0, 0};
static property_t dead = {"of 10,000 instances none of the dead is selected from the next selection on", 0, 0};
static property_t worked = {"calls succeed", 0, 0};

static uint32_t picks = 100000;

/* What all processes fill in. */
static struct board {
    _Atomic uint32_t seen[MANY + 1], go, done;
    _Atomic uint16_t of_client[1000000];
} * board;

/* ------------------------------------------------------------------ instances */

static void must(commy_status_t status, const char *what)
{
    if (!hold(&worked, status == COMMY_STATUS_SUCCESS, "%s: %s", what, commy_last_error_message()))
        exit(2);
}

static uint64_t add_at(commy_mesh_t *mesh, uint32_t port, uint32_t weight)
{
    char id[32];
    uint64_t reference;
    snprintf(id, sizeof id, "web-%u", port);
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = NAME,
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .weight = weight,
                                           .port = (uint16_t)port};
    must(commy_service_register(mesh, &config, &reference), "register");
    return reference;
}

static void drop(commy_mesh_t *mesh, uint32_t port)
{
    char id[32];
    snprintf(id, sizeof id, "web-%u", port);
    must(commy_service_unregister(mesh, id), "unregister");
}

static void drop_all(commy_mesh_t *mesh, uint32_t instances)
{
    for (uint32_t port = 1; port <= instances; port++)
        drop(mesh, port);
}

static commy_target_t select_one(commy_mesh_t *mesh, int32_t policy, const char *client)
{
    commy_target_t target;
    const commy_select_options_t how = {.size = sizeof how, .policy = policy, .client_id = client};
    must(commy_service_select(mesh, NAME, &how, &target), "select");
    return target;
}

static uint64_t begin_at(commy_mesh_t *mesh, uint64_t reference)
{
    uint64_t token;
    must(commy_service_begin(mesh, reference, &token), "begin");
    return token;
}

/* ------------------------------------------------------------------ counting picks */

typedef struct job {
    int32_t policy;
    uint32_t first, count;
} job_t;

static void pick(commy_mesh_t *mesh, const job_t *job)
{
    char client[32];
    for (uint32_t i = job->first; i < job->first + job->count; i++) {
        snprintf(client, sizeof client, "client %u", i);
        uint16_t port = select_one(mesh, job->policy, client).port;
        atomic_fetch_add_explicit(&board->seen[port % (MANY + 1)], 1, memory_order_relaxed);
        if (job->policy == COMMY_POLICY_CONSISTENT_HASH)
            atomic_store_explicit(&board->of_client[i], port, memory_order_relaxed);
    }
}

static void pick_alone(void *argument)
{
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, NULL);
    while (!atomic_load(&board->go))
        continue;
    pick(mesh, argument);
    commy_mesh_detach(&mesh);
    _exit(worked.violated > 0);
}

/* From so many processes: 1 is this one. Returns the counts by port. */
static const uint32_t *count_picks(commy_mesh_t *mesh, int32_t policy, uint32_t processes_count)
{
    static uint32_t seen[MANY + 1];
    job_t job[WORKERS];
    pid_t child[WORKERS];
    memset(board->seen, 0, sizeof board->seen);
    atomic_store(&board->go, 0);
    for (uint32_t i = 0; i < processes_count; i++) {
        job[i] = (job_t){policy, i * (picks / processes_count), picks / processes_count};
        if (processes_count == 1)
            pick(mesh, &job[i]);
        else
            child[i] = start_process(pick_alone, &job[i]);
    }
    atomic_store(&board->go, 1);
    for (uint32_t i = 0; processes_count > 1 && i < processes_count; i++)
        hold(&worked, end_process(child[i], false) == 0, "a process failed");
    for (uint32_t port = 0; port <= MANY; port++)
        seen[port] = atomic_load_explicit(&board->seen[port], memory_order_relaxed);
    return seen;
}

static double bound_of(uint32_t k)
{
    double part = 2.0 / (9.0 * k);
    return k * pow(1 - part + 6 * sqrt(part), 3);
}

/* Of shares above 0. */
static void judge(property_t *property, const char *what, uint32_t from, const uint32_t *seen, const double *share,
                  uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (seen[i] - picks * share[i]) * (seen[i] - picks * share[i]) / (picks * share[i]);
    printf("%-40s from %u: chi-square %5.1f of %.1f\n", what, from, sum, bound_of(n - 1));
    hold(property, sum <= bound_of(n - 1), "%s from %u: %.1f", what, from, sum);
}

/* ------------------------------------------------------------------ the policies */

static void check_turns(commy_mesh_t *mesh)
{
    const uint32_t weight[] = {50, 30, 20};
    for (uint32_t port = 1; port <= INSTANCES; port++)
        add_at(mesh, port, port);
    for (uint32_t from = 1; from <= WORKERS; from += WORKERS - 1) {
        const uint32_t *seen = count_picks(mesh, COMMY_POLICY_ROUND_ROBIN, from);
        for (uint32_t port = 1; port <= INSTANCES; port++)
            hold(&turns, seen[port] == picks / INSTANCES, "%u came %u times from %u", port, seen[port], from);
    }
    drop_all(mesh, INSTANCES);
    for (uint32_t port = 1; port <= 3; port++)
        add_at(mesh, port, weight[port - 1]);
    for (uint32_t from = 1; from <= WORKERS; from += WORKERS - 1) {
        const uint32_t *seen = count_picks(mesh, COMMY_POLICY_WEIGHTED_ROUND_ROBIN, from);
        for (uint32_t port = 1; port <= 3; port++)
            hold(&weighted, seen[port] == picks / 100 * weight[port - 1], "%u came %u times from %u", port, seen[port],
                 from);
    }
    drop_all(mesh, 3);
}

static void check_shares(commy_mesh_t *mesh)
{
    double share[8];
    for (uint32_t port = 1; port <= 8; port++) {
        add_at(mesh, port, port * port);
        share[port - 1] = port * port / 204.0;
    }
    for (uint32_t from = 1; from <= WORKERS; from += WORKERS - 1) {
        judge(&drawn, "random", from, count_picks(mesh, COMMY_POLICY_RANDOM, from) + 1, share, 8);
        judge(&idle, "least connections, nothing in flight", from,
              count_picks(mesh, COMMY_POLICY_LEAST_CONNECTIONS, from) + 1, share, 8);
        judge(&idle, "performance, nothing known", from, count_picks(mesh, COMMY_POLICY_PERFORMANCE, from) + 1, share,
              8);
    }
    drop_all(mesh, 8);
}

/* Of n alike but for their load, of which k are loaded less, the next wins 2 (n - 1 - k) of n (n - 1) pairs. */
static void check_ranks(commy_mesh_t *mesh)
{
    double fewer[INSTANCES], faster[INSTANCES];
    const uint32_t n = INSTANCES;
    uint64_t reference[INSTANCES];
    for (uint32_t k = 0; k < n; k++) {
        reference[k] = add_at(mesh, k + 1, 100);
        must(commy_service_end(mesh, begin_at(mesh, reference[k]), 1000000 * (k + 1), true), "end");
        fewer[k] = 2.0 * (n - 1 - k) / (n * (n - 1));
        faster[k] = fewer[k] * (CMY_LOAD_EXPLORE - 1) / CMY_LOAD_EXPLORE + 1.0 / n / CMY_LOAD_EXPLORE;
    }
    for (uint32_t from = 1; from <= WORKERS; from += WORKERS - 1)
        judge(&ranked, "performance", from, count_picks(mesh, COMMY_POLICY_PERFORMANCE, from) + 1, faster, n);
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < k; i++)
            begin_at(mesh, reference[k]);
    for (uint32_t from = 1; from <= WORKERS; from += WORKERS - 1) {
        const uint32_t *seen = count_picks(mesh, COMMY_POLICY_LEAST_CONNECTIONS, from);
        judge(&ranked, "least connections", from, seen + 1, fewer, n - 1);
        hold(&ranked, seen[n] == 0, "the most loaded one came %u times", seen[n]);
    }
    drop_all(mesh, n);
}

/* ------------------------------------------------------------------ under load */

/* Keeps HELD requests in flight: ends the oldest, and begins one where the policy says. */
static void keep_busy(void *argument)
{
    const job_t *job = argument;
    uint64_t token[HELD];
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, NULL);
    for (uint32_t i = 0;; i = (i + 1) % HELD) {
        bool full = atomic_load(&board->done) >= WORKERS * HELD;
        if (full || atomic_load(&board->seen[job->first]) >= HELD)
            must(commy_service_end(mesh, token[i], 1000000, true), "end");
        token[i] = begin_at(mesh, select_one(mesh, job->policy, "").reference);
        if (atomic_load(&board->seen[job->first]) < HELD) {
            atomic_fetch_add(&board->seen[job->first], 1);
            atomic_fetch_add(&board->done, 1);
        }
    }
}

/* How far apart the instances' counts are, on average over samples. */
static double spread_of(commy_mesh_t *mesh, int32_t policy)
{
    job_t job[WORKERS];
    pid_t child[WORKERS];
    double sum = 0;
    memset(board->seen, 0, sizeof board->seen);
    atomic_store(&board->done, 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        job[i] = (job_t){.policy = policy, .first = i};
        child[i] = start_process(keep_busy, &job[i]);
    }
    while (atomic_load(&board->done) < WORKERS * HELD)
        sleep_us(100);
    for (uint32_t sample = 0; sample < SAMPLES; sample++) {
        uint64_t least = UINT64_MAX, most = 0;
        for (uint32_t port = 1; port <= INSTANCES; port++) {
            char id[16];
            commy_service_stats_t stats;
            snprintf(id, sizeof id, "web-%u", port);
            must(commy_service_stats(mesh, id, &stats), "stats");
            least = stats.in_flight < least ? stats.in_flight : least;
            most = stats.in_flight > most ? stats.in_flight : most;
        }
        sum += (double)(most - least);
        sleep_us(200);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        end_process(child[i], true);
    return sum / SAMPLES;
}

static void check_load(commy_mesh_t *mesh)
{
    for (uint32_t port = 1; port <= INSTANCES; port++)
        add_at(mesh, port, 100);
    double least = spread_of(mesh, COMMY_POLICY_LEAST_CONNECTIONS), random = spread_of(mesh, COMMY_POLICY_RANDOM);
    printf("in flight of 10 instances, %u requests of %u processes: from the least to the most %.1f by least "
           "connections, %.1f at random\n",
           WORKERS * HELD, WORKERS, least, random);
    hold(&even, least <= 5, "least connections: %.2f", least);
    hold(&even, random >= 7, "random: %.2f", random);
    drop_all(mesh, INSTANCES);
}

/* Each request takes as long as its instance does, of which one takes ten times as long. */
static void use_all(void *argument)
{
    const job_t *job = argument;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, NULL);
    for (uint32_t i = 0; i < job->count; i++) {
        commy_target_t target = select_one(mesh, COMMY_POLICY_PERFORMANCE, "");
        atomic_fetch_add_explicit(&board->seen[target.port], 1, memory_order_relaxed);
        must(commy_service_end(mesh, begin_at(mesh, target.reference), target.port == 1 ? 10000000 : 1000000, true),
             "end");
    }
    commy_mesh_detach(&mesh);
    _exit(worked.violated > 0);
}

static void check_slow(commy_mesh_t *mesh)
{
    job_t job = {.count = picks / WORKERS};
    pid_t child[WORKERS];
    memset(board->seen, 0, sizeof board->seen);
    for (uint32_t port = 1; port <= INSTANCES; port++)
        add_at(mesh, port, 100);
    for (uint32_t i = 0; i < WORKERS; i++)
        child[i] = start_process(use_all, &job);
    for (uint32_t i = 0; i < WORKERS; i++)
        hold(&worked, end_process(child[i], false) == 0, "a process failed");
    uint32_t got = atomic_load(&board->seen[1]);
    printf("the slow one of 10 got %u of %u; exploring gives it %u\n", got, picks,
           picks / INSTANCES / CMY_LOAD_EXPLORE);
    hold(&slow, got < picks / 100 && got > 0, "%u of %u", got, picks);
    drop_all(mesh, INSTANCES);
}

/* ------------------------------------------------------------------ clients */

static void check_clients(commy_mesh_t *mesh)
{
    static uint16_t before[1000000];
    for (uint32_t port = 1; port <= INSTANCES; port++)
        add_at(mesh, port, 100);
    /* Places are won by chance, and clients fall on them by chance. */
    const double places = CMY_PLACES / (double)INSTANCES, share = picks / (double)INSTANCES,
                 deviation = share / sqrt(places) + sqrt(share);
    for (uint32_t from = 1; from <= WORKERS; from += WORKERS - 1) {
        const uint32_t *seen = count_picks(mesh, COMMY_POLICY_CONSISTENT_HASH, from);
        for (uint32_t port = 1; port <= INSTANCES; port++)
            hold(&clients, fabs(seen[port] - share) <= 6 * deviation, "%u has %u of %u", port, seen[port], picks);
        for (uint32_t i = 0; i < picks; i++) {
            uint16_t port = atomic_load(&board->of_client[i]);
            hold(&clients, from == 1 || port == before[i], "client %u: %u, elsewhere %u", i, port, before[i]);
            before[i] = port;
        }
    }
    for (uint32_t gone = 1; gone <= 3; gone++) {
        uint32_t others = 0, all = 0;
        drop(mesh, gone);
        count_picks(mesh, COMMY_POLICY_CONSISTENT_HASH, 1);
        for (uint32_t i = 0; i < picks; i++) {
            all += atomic_load(&board->of_client[i]) != before[i];
            others += atomic_load(&board->of_client[i]) != before[i] && before[i] != gone;
        }
        printf("%u of %u clients moved when one of 10 left, %u of them others'\n", all, picks, others);
        hold(&moved, all <= picks / INSTANCES + picks / 50 && others == 0, "%u, %u others", all, others);
        add_at(mesh, gone, 100);
    }
    drop_all(mesh, INSTANCES);
}

/* ------------------------------------------------------------------ death */

static void own_half(void *argument)
{
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "owns");
    for (uint32_t port = *(const uint32_t *)argument; port <= MANY; port += 2)
        add_at(mesh, port, 100);
    atomic_fetch_add(&board->done, 1);
    for (;;)
        pause();
}

/* Selects until one of those comes that are about to die: in turn, they are next then. */
static bool comes_to_odd(commy_mesh_t *mesh, int32_t policy)
{
    char client[16];
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        snprintf(client, sizeof client, "%u", i);
        if (select_one(mesh, policy, client).port % 2)
            return true;
    }
    return false;
}

static void check_death(commy_mesh_t *mesh)
{
    uint32_t odd = 1, ports = 2;
    commy_mesh_t *reader = attach_or_exit(0, COMMY_OPEN_READ_ONLY, NULL);
    atomic_store(&board->done, 0);
    start_process(own_half, &ports);
    for (int32_t policy = COMMY_POLICY_ROUND_ROBIN; policy <= COMMY_POLICY_CONSISTENT_HASH; policy++) {
        pid_t owner = start_process(own_half, &odd);
        while (atomic_load(&board->done) < (uint32_t)policy + 2)
            sleep_us(1000);
        hold(&dead, comes_to_odd(mesh, policy) && comes_to_odd(reader, policy), "policy %d: they never came",
             (int)policy);
        end_process(owner, true);
        for (uint32_t i = 0; i < 1000; i++) {
            char client[16];
            snprintf(client, sizeof client, "%u", i);
            uint16_t port = select_one(i % 2 ? mesh : reader, policy, client).port;
            hold(&dead, port % 2 == 0, "policy %d: %u, %u selections after its death", (int)policy, port, i);
        }
    }
    commy_mesh_detach(&reader);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        picks = (uint32_t)atoi(argv[1]) / 400 * 400;
    if (picks == 0 || picks > 1000000)
        return fprintf(stderr, "distribution: give 400 to 1000000 picks\n"), 2;
    test_begin(120);
    board = share(sizeof *board);
    commy_mesh_t *mesh = attach_or_exit(2 * MANY, 0, "judge");
    check_turns(mesh);
    check_shares(mesh);
    check_ranks(mesh);
    check_load(mesh);
    check_slow(mesh);
    check_clients(mesh);
    check_death(mesh);
    commy_mesh_detach(&mesh);
    const property_t all[] = {turns, weighted, drawn, idle, ranked, even, slow, clients, moved, dead, worked};
    return verdict(all, sizeof all / sizeof all[0]);
}
