/*
 * kill -9 of clients with requests in flight, again and again: what they had in flight is gone at once, what others have
 * stays, and after any number of kills nothing has drifted.
 *
 * Usage: requests [KILLS [SEED]]                    1,000 kills, some ten seconds
 *
 * In each round ten clients come, of which some are busy: they begin and end requests at random until they are killed,
 * at a random moment, before they have joined, in the middle of a call or between two. Others are steady: they begin a
 * hundred requests, tell at which services, and wait to be killed. Once the busy ones are dead the counts are exactly
 * those of the steady ones that live, after every further death too; then all are 0. Who selects by least connections sees
 * them so: the most loaded service is never selected, by the judge or by a reader. Meanwhile a service is registered
 * anew now and then. More clients than a block has cells for, so that further cells are linked, too.
 */
#include "acceptance.h"

#include "registry/mesh.h"

#define CAPACITY 64u
#define SERVICES 6u
#define CLIENTS 10u
#define STEADY_WITH 100u
#define BUSY_WITH 60u

typedef struct client {
    pid_t pid;
    bool busy, dead;
    uint64_t random;
} client_t;

/* Of steady clients: what each has in flight, by service; written by it before it is ready. */
static struct board {
    _Atomic uint32_t ready[CLIENTS], refused;
    _Atomic uint32_t in_flight[CLIENTS][SERVICES];
    _Atomic uint64_t ending, ended; /* requests, by all clients of all rounds */
} * board;

static property_t exact = {"what the living have in flight is counted, and nothing else, after every death", 0, 0};
static property_t none = {"with nothing in flight every count is 0", 0, 0};
static property_t seen = {"least connections never selects the most loaded service, whoever died before", 0, 0};
static property_t settled = {"once the dead are reaped no cell is left of them", 0, 0};
static property_t counted = {"every end that was acknowledged is counted once, and at most those that were called", 0,
                             0};
static property_t sound = {"the audit finds nothing", 0, 0};
static property_t worked = {"a client's own calls succeed", 0, 0};

static void name_of(uint32_t service, char id[16])
{
    snprintf(id, 16, "service-%u", service);
}

/* ------------------------------------------------------------------ clients */

static bool refused(commy_status_t status)
{
    if (status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_FOUND) /* registered anew in between */
        return status != COMMY_STATUS_SUCCESS;
    atomic_fetch_add(&board->refused, 1);
    printf("  a client: %s\n", commy_last_error_message());
    return true;
}

static bool begin_at(commy_mesh_t *mesh, uint32_t service, uint64_t *token)
{
    char id[16];
    commy_target_t target;
    name_of(service, id);
    return !refused(commy_service_find(mesh, id, &target)) &&
           !refused(commy_service_begin(mesh, target.reference, token));
}

static uint32_t number;

static void be_steady(void *argument)
{
    client_t *me = argument;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "steady");
    for (uint32_t begun = 0; begun < STEADY_WITH;) {
        uint32_t service = below(&me->random, SERVICES);
        uint64_t token;
        if (!begin_at(mesh, service, &token))
            continue;
        begun++;
        atomic_fetch_add(&board->in_flight[number][service], 1);
    }
    atomic_store(&board->ready[number], 1);
    for (;;)
        pause();
}

static void be_busy(void *argument)
{
    client_t *me = argument;
    uint64_t token[BUSY_WITH];
    uint32_t begun = 0;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "busy");
    for (;;) {
        if (begun < BUSY_WITH && below(&me->random, 3) > 0) {
            begun += begin_at(mesh, below(&me->random, SERVICES), &token[begun]);
        } else if (begun > 0) {
            uint32_t which = below(&me->random, begun);
            atomic_fetch_add(&board->ending, 1);
            atomic_fetch_add(&board->ended, !refused(commy_service_end(mesh, token[which], 1000, true)));
            token[which] = token[--begun];
        }
    }
}

/* ------------------------------------------------------------------ the judge */

static void register_service(commy_mesh_t *mesh, uint32_t service)
{
    char id[16];
    name_of(service, id);
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = "services",
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .port = (uint16_t)(8080 + service)};
    (void)commy_service_unregister(mesh, id);
    if (commy_service_register(mesh, &config, NULL) != COMMY_STATUS_SUCCESS) {
        printf("register: %s\n", commy_last_error_message());
        exit(2);
    }
}

static uint64_t in_flight(const commy_mesh_t *mesh, uint32_t service)
{
    char id[16];
    commy_service_stats_t stats = {.in_flight = UINT64_MAX};
    name_of(service, id);
    (void)commy_service_stats(mesh, id, &stats);
    return stats.in_flight;
}

/* The service with more in flight than any other; SERVICES: there is none. */
static uint32_t most_loaded(const uint64_t *should)
{
    uint32_t most = 0, as_many = 0;
    for (uint32_t service = 1; service < SERVICES; service++)
        most = should[service] > should[most] ? service : most;
    for (uint32_t service = 0; service < SERVICES; service++)
        as_many += should[service] == should[most];
    return as_many == 1 ? most : SERVICES;
}

static void judge_selection(commy_mesh_t *mesh, const uint64_t *should, uint32_t kills)
{
    const commy_select_options_t how = {.size = sizeof how, .policy = COMMY_POLICY_LEAST_CONNECTIONS};
    uint32_t most = most_loaded(should);
    for (int i = 0; i < 30; i++) {
        commy_target_t target = {0};
        commy_status_t status = commy_service_select(mesh, "services", &how, &target);
        hold(&seen, status == COMMY_STATUS_SUCCESS && target.port != 8080 + most,
             "after %u kills: code %d, service %u of %u", kills, (int)status, target.port - 8080u, most);
    }
}

/* Nobody is busy: the counts are those of the steady that live. anew: a service whose former life they were of. */
static void judge(commy_mesh_t *own, commy_mesh_t *reader, const client_t *clients, uint32_t anew, uint32_t kills)
{
    uint64_t should[SERVICES] = {0};
    for (uint32_t service = 0; service < SERVICES; service++) {
        uint64_t is = in_flight(reader, service);
        for (uint32_t i = 0; i < CLIENTS && service != anew; i++)
            should[service] += clients[i].busy || clients[i].dead ? 0 : atomic_load(&board->in_flight[i][service]);
        hold(&exact, is == should[service],
             "after %u kills %" PRIu64 " requests to service %u are in flight, not %" PRIu64, kills, is, service,
             should[service]);
    }
    judge_selection(own, should, kills);
    judge_selection(reader, should, kills);
}

static void kill_one(client_t *client, uint32_t *kills)
{
    kill(client->pid, SIGKILL);
    end_process(client->pid, false);
    client->dead = true;
    ++*kills;
}

static uint32_t cells_in_use(const cmy_region_t *region)
{
    uint32_t used = 0;
    for (uint32_t block = 0; block < cmy_region_reserved_again(region, CMY_STATS); block++) {
        const cmy_stat_shm_t *stat = cmy_record_at(region, CMY_STATS, block);
        for (uint32_t i = 0; i < CMY_STAT_CELLS; i++)
            used += cmy_flight_count_of(cmy_load64_relaxed(&stat->cell[i])) != 0;
    }
    for (uint32_t number_of = 0; number_of < cmy_region_reserved_again(region, CMY_CELLS); number_of++) {
        const cmy_cells_shm_t *cells = cmy_record_at(region, CMY_CELLS, number_of);
        for (uint32_t i = 0; i < CMY_FURTHER_CELLS; i++)
            used += cmy_flight_count_of(cmy_load64_relaxed(&cells->cell[i])) != 0;
    }
    return used;
}

static void start_all(client_t *clients, uint64_t *random)
{
    memset(board->ready, 0, sizeof board->ready);
    memset(board->in_flight, 0, sizeof board->in_flight);
    for (number = 0; number < CLIENTS; number++) {
        clients[number] = (client_t){.busy = below(random, 3) > 0, .random = chance(random) | 1};
        clients[number].pid = start_process(clients[number].busy ? be_busy : be_steady, &clients[number]);
    }
}

static void play(commy_mesh_t *mesh, commy_mesh_t *reader, uint32_t round, uint32_t *kills, uint64_t *random)
{
    client_t clients[CLIENTS];
    uint32_t anew = SERVICES;
    start_all(clients, random);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (!clients[i].busy)
            continue;
        sleep_us(below(random, 3000));
        kill_one(&clients[i], kills);
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        while (!clients[i].busy && !atomic_load(&board->ready[i]))
            sleep_us(100);
    if (round % 4 == 3) {
        anew = below(random, SERVICES);
        register_service(mesh, anew);
    }
    judge(mesh, reader, clients, anew, *kills);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (clients[i].busy)
            continue;
        kill_one(&clients[i], kills);
        judge(mesh, reader, clients, anew, *kills);
    }
    for (uint32_t service = 0; service < SERVICES; service++)
        hold(&none, in_flight(reader, service) == 0, "after %u kills", *kills);
    if (round % 8 == 0 || commy_mesh_reap(mesh, NULL) != COMMY_STATUS_SUCCESS)
        return; /* keepers reap, too */
    hold(&settled, cells_in_use(mesh->region) == 0, "%u cells count something", cells_in_use(mesh->region));
    hold(&sound, is_clean(mesh), "round %u", round);
}

int main(int argc, char **argv)
{
    uint32_t most = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000, kills = 0, round = 0;
    uint64_t random = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 0x9e3779b97f4a7c15u;
    test_begin(60 + most / 10);
    board = share(sizeof *board);
    commy_mesh_t *mesh = attach_or_exit(CAPACITY, 0, "judge");
    for (uint32_t service = 0; service < SERVICES; service++)
        register_service(mesh, service);
    commy_mesh_t *reader = attach_or_exit(0, COMMY_OPEN_READ_ONLY, NULL);
    uint64_t began = now_ns();
    while (kills < most && exact.violated < SHOWN_VIOLATIONS)
        play(mesh, reader, round++, &kills, &random);
    hold(&worked, atomic_load(&board->refused) == 0, "%u calls were refused", atomic_load(&board->refused));

    commy_mesh_stats_t numbers;
    commy_status_t status = commy_mesh_stats(mesh, &numbers);
    uint64_t ended = atomic_load(&board->ended), ending = atomic_load(&board->ending);
    hold(&counted,
         status == COMMY_STATUS_SUCCESS && numbers.total_requests >= ended && numbers.total_requests <= ending &&
             ended > 0 && numbers.failed_requests == 0,
         "%" PRIu64 " requests are counted, of %" PRIu64 " acknowledged and %" PRIu64 " begun", numbers.total_requests,
         ended, ending);
    printf("%u kills in %u rounds and %.1f s; %" PRIu64 " requests were ended\n", kills, round,
           (double)(now_ns() - began) / 1e9, numbers.total_requests);
    commy_mesh_detach(&reader);
    commy_mesh_detach(&mesh);
    const property_t all[] = {exact, seen, none, settled, counted, sound, worked};
    return verdict(all, sizeof all / sizeof all[0]);
}
