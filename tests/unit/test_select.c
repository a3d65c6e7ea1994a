/*
 * Selecting one instance of a name: who may be selected, how often, in which order, and how soon a change is seen.
 *
 * Distributions of what is drawn are judged by chi-square, turned into a normal deviate (Wilson and Hilferty 1931),
 * which may be six at most: once in a thousand million runs a sound one is more.
 */
#include <math.h>
#include <stdlib.h>

#include "mesh/picker.h"
#include "support_registry.h"

TestSuite(select, .init = set_up, .fini = tear_down, .timeout = 60);

static const int32_t policies[] = {COMMY_POLICY_ROUND_ROBIN,
                                   COMMY_POLICY_LEAST_CONNECTIONS,
                                   COMMY_POLICY_WEIGHTED_ROUND_ROBIN,
                                   COMMY_POLICY_PERFORMANCE,
                                   COMMY_POLICY_RANDOM,
                                   COMMY_POLICY_CONSISTENT_HASH};
#define POLICIES (sizeof policies / sizeof policies[0])

static commy_status_t try_select(commy_mesh_t *from, const char *name, int32_t policy, const char *client,
                                 commy_target_t *target)
{
    const commy_select_options_t options = {.size = sizeof options, .policy = policy, .client_id = client};
    return commy_service_select(from, name, &options, target);
}

/* The port of the instance that was selected: instances are told apart by it. */
static uint16_t port_of(commy_mesh_t *from, const char *name, int32_t policy, const char *client)
{
    commy_target_t target;
    memset(&target, 0xff, sizeof target);
    cr_assert_eq(try_select(from, name, policy, client, &target), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    return target.port;
}

static void add_at(commy_mesh_t *to, const char *name, uint16_t port, uint32_t weight)
{
    char id[32];
    snprintf(id, sizeof id, "%s-%u", name, port);
    commy_service_config_t config = config_of(name, id);
    config.port = port;
    config.weight = weight;
    cr_assert_eq(commy_service_register(to, &config, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static double deviate(const uint32_t *seen, const double *expected, uint32_t n)
{
    double sum = 0, k = n - 1;
    for (uint32_t i = 0; i < n; i++)
        sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
    return (cbrt(sum / k) - (1 - 2 / (9 * k))) / sqrt(2 / (9 * k));
}

/* ------------------------------------------------------------- the policies */

Test(select, round_robin_takes_everybody_in_turn)
{
    begin(64);
    for (uint16_t port = 1; port <= 7; port++)
        add_at(mesh, "web", port, port);
    commy_target_t target;
    uint16_t first[7];
    for (int i = 0; i < 7; i++) {
        cr_assert_eq(commy_service_select(mesh, "web", NULL, &target), COMMY_STATUS_SUCCESS);
        first[i] = target.port;
        for (int k = 0; k < i; k++)
            cr_assert_neq(first[k], target.port, "once in a round");
    }
    for (int i = 0; i < 700; i++)
        cr_assert_eq(port_of(mesh, "web", COMMY_POLICY_ROUND_ROBIN, NULL), first[i % 7]);
}

Test(select, the_target_is_what_a_lookup_gives)
{
    begin(64);
    char endpoint[COMMY_LIMIT_ENDPOINT_BYTES + 1];
    memset(endpoint, 'e', sizeof endpoint - 1);
    endpoint[sizeof endpoint - 1] = '\0';
    commy_service_config_t config = config_of("web", "web-1");
    config.endpoint = endpoint;
    uint64_t reference;
    cr_assert_eq(commy_service_register(mesh, &config, &reference), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_set_health(mesh, "web-1", COMMY_HEALTH_DEGRADED), COMMY_STATUS_SUCCESS);
    for (size_t i = 0; i < POLICIES; i++) {
        commy_target_t found, selected;
        memset(&found, 0, sizeof found);
        memset(&selected, 0, sizeof selected);
        cr_assert_eq(commy_service_find(mesh, "web-1", &found), COMMY_STATUS_SUCCESS);
        cr_assert_eq(try_select(mesh, "web", policies[i], "me", &selected), COMMY_STATUS_SUCCESS);
        cr_assert_eq(memcmp(&found, &selected, sizeof found), 0);
        cr_assert_eq(selected.reference, reference);
        cr_assert_eq(commy_service_report(mesh, selected.reference, 1000, true), COMMY_STATUS_SUCCESS);
    }
}

#define PROCESSES 4
#define PICKS 25000u

/* Four processes select at once; what they got, added up. */
static void from_processes(int32_t policy, uint32_t ports, uint32_t *seen)
{
    int results[2];
    cr_assert_eq(pipe(results), 0);
    for (int p = 0; p < PROCESSES; p++) {
        pid_t child = test_fork();
        cr_assert_neq(child, -1);
        if (child > 0)
            continue;
        uint32_t mine[64] = {0};
        char client[32];
        commy_mesh_t *own;
        const commy_open_options_t options = options_for(0, COMMY_OPEN_MUST_EXIST);
        if (commy_mesh_attach(&options, &own) != COMMY_STATUS_SUCCESS)
            _exit(1);
        for (uint32_t i = 0; i < PICKS; i++) {
            commy_target_t target;
            snprintf(client, sizeof client, "client %u", p * PICKS + i);
            if (try_select(own, "web", policy, client, &target) != COMMY_STATUS_SUCCESS || target.port > ports)
                _exit(2);
            mine[target.port]++;
        }
        commy_mesh_detach(&own);
        _exit(write(results[1], mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 3);
    }
    close(results[1]);
    for (int p = 0; p < PROCESSES; p++) {
        uint32_t theirs[64];
        int status;
        cr_assert_eq(read(results[0], theirs, sizeof theirs), (ssize_t)sizeof theirs, "a process failed");
        for (uint32_t port = 0; port <= ports; port++)
            seen[port] += theirs[port];
        cr_assert(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    close(results[0]);
}

Test(select, round_robin_is_one_rotation_for_all_processes)
{
    begin(64);
    for (uint16_t port = 1; port <= 10; port++)
        add_at(mesh, "web", port, 100);
    uint32_t seen[64] = {0};
    from_processes(COMMY_POLICY_ROUND_ROBIN, 10, seen);
    for (uint16_t port = 1; port <= 10; port++)
        cr_assert_eq(seen[port], PROCESSES * PICKS / 10, "port %u came %u times", port, seen[port]);
}

Test(select, weighted_round_robin_is_one_rotation_for_all_processes)
{
    begin(64);
    add_at(mesh, "web", 1, 50);
    add_at(mesh, "web", 2, 30);
    add_at(mesh, "web", 3, 20);
    uint32_t seen[64] = {0};
    from_processes(COMMY_POLICY_WEIGHTED_ROUND_ROBIN, 3, seen);
    cr_assert_eq(seen[1], PROCESSES * PICKS / 10 * 5);
    cr_assert_eq(seen[2], PROCESSES * PICKS / 10 * 3);
    cr_assert_eq(seen[3], PROCESSES * PICKS / 10 * 2);
}

Test(select, weighted_round_robin_never_is_a_whole_turn_off)
{
    begin(64);
    uint32_t seen[8] = {0}, sum = 0;
    const uint32_t weight[] = {0, 1, 2, 3, 5, 8, 13, 21};
    for (uint16_t port = 1; port < 8; port++) {
        add_at(mesh, "web", port, weight[port]);
        sum += weight[port];
    }
    for (uint32_t turn = 1; turn <= 10 * sum; turn++) {
        seen[port_of(mesh, "web", COMMY_POLICY_WEIGHTED_ROUND_ROBIN, NULL)]++;
        for (uint16_t port = 1; port < 8; port++)
            cr_assert(fabs(seen[port] - (double)turn * weight[port] / sum) < 1, "port %u after %u turns", port, turn);
    }
}

Test(select, random_follows_the_weights_from_one_process_and_from_four)
{
    begin(64);
    double expected[8] = {0};
    uint32_t sum = 0;
    for (uint16_t port = 1; port <= 8; port++)
        sum += (uint32_t)port * port;
    for (uint16_t port = 1; port <= 8; port++) {
        add_at(mesh, "web", port, (uint32_t)port * port);
        expected[port - 1] = 1e5 * port * port / sum;
    }
    uint32_t seen[64] = {0};
    for (uint32_t i = 0; i < 100000; i++)
        seen[port_of(mesh, "web", COMMY_POLICY_RANDOM, NULL)]++;
    cr_assert_lt(deviate(seen + 1, expected, 8), 6);
    memset(seen, 0, sizeof seen);
    from_processes(COMMY_POLICY_RANDOM, 8, seen);
    cr_assert_lt(deviate(seen + 1, expected, 8), 6);
}

/* The port that each of 100,000 clients gets. */
static uint16_t *ports_of_clients(commy_mesh_t *from)
{
    uint16_t *ports = calloc(100000, sizeof *ports);
    char client[32];
    for (uint32_t i = 0; i < 100000; i++) {
        snprintf(client, sizeof client, "client %u", i);
        ports[i] = port_of(from, "web", COMMY_POLICY_CONSISTENT_HASH, client);
    }
    return ports;
}

Test(select, a_client_keeps_its_instance_and_few_move_when_one_goes)
{
    begin(64);
    for (uint16_t port = 1; port <= 10; port++)
        add_at(mesh, "web", port, 100);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    uint16_t *before = ports_of_clients(mesh), *elsewhere = ports_of_clients(reader);
    cr_assert_eq(memcmp(before, elsewhere, 100000 * sizeof *before), 0, "the same for every handle");
    uint32_t seen[64] = {0}, sum = 0;
    from_processes(COMMY_POLICY_CONSISTENT_HASH, 10, seen);
    for (uint32_t i = 0; i < 100000; i++)
        seen[before[i]]--;
    for (uint16_t port = 1; port <= 10; port++)
        sum += seen[port] != 0;
    cr_assert_eq(sum, 0, "the same in every process");

    drop(mesh, "web-4");
    uint16_t *without = ports_of_clients(mesh);
    uint32_t moved = 0, share = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        moved += before[i] != without[i];
        share += before[i] == 4;
        cr_assert(before[i] == 4 || before[i] == without[i], "others stay");
    }
    cr_assert_leq(moved, 10000 + 2000, "%u of 100,000 clients moved", moved);
    cr_assert_eq(moved, share);
    cr_assert_gt(share, 8000);
    add_at(mesh, "web", 4, 100);
    uint16_t *again = ports_of_clients(mesh);
    cr_assert_eq(memcmp(before, again, 100000 * sizeof *before), 0, "all come back");
    commy_mesh_detach(&reader);
    free(before), free(elsewhere), free(without), free(again);
}

/* --------------------------------------------------------- who may be selected */

/* Selects often enough that everybody who may be selected would be, whatever the policy; a bit for each port. */
static uint32_t ports_seen(commy_mesh_t *from, int32_t policy)
{
    uint32_t seen = 0;
    char client[32];
    for (uint32_t i = 0; i < 400; i++) {
        snprintf(client, sizeof client, "%u", i);
        seen |= 1u << port_of(from, "web", policy, client);
    }
    return seen;
}

Test(select, every_change_is_seen_by_the_next_selection)
{
    begin(64);
    for (uint16_t port = 1; port <= 3; port++)
        add_at(mesh, "web", port, 100);
    commy_mesh_t *other = attach(0), *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_mesh_t *const all[] = {mesh, other, reader};
    for (size_t who = 0; who < 3; who++)
        for (size_t i = 0; i < POLICIES; i++) {
            int32_t policy = policies[i];
            bool weighs = policy != COMMY_POLICY_ROUND_ROBIN && policy != COMMY_POLICY_CONSISTENT_HASH;
            cr_assert_eq(ports_seen(all[who], policy), 0xe);
            add_at(mesh, "web", 4, 100);
            cr_assert_eq(ports_seen(all[who], policy), 0x1e, "joined");
            commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_DRAINING);
            cr_assert_eq(ports_seen(all[who], policy), 0x1c, "drained");
            commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_MAINTENANCE);
            cr_assert_eq(ports_seen(all[who], policy), 0x1c, "in maintenance");
            commy_service_set_health(mesh, "web-2", COMMY_HEALTH_UNHEALTHY);
            cr_assert_eq(ports_seen(all[who], policy), 0x18, "unhealthy");
            commy_service_set_health(mesh, "web-2", COMMY_HEALTH_UNKNOWN);
            cr_assert_eq(ports_seen(all[who], policy), 0x18, "unknown");
            commy_service_set_weight(mesh, "web-3", 0);
            cr_assert_eq(ports_seen(all[who], policy), weighs ? 0x10 : 0x18, "weightless");
            drop(mesh, "web-4");
            commy_service_set_health(mesh, "web-2", COMMY_HEALTH_DEGRADED);
            cr_assert_eq(ports_seen(all[who], policy), weighs ? 0x4 : 0xc, "left; degraded is good enough");
            commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_ENABLED);
            commy_service_set_health(mesh, "web-2", COMMY_HEALTH_HEALTHY);
            commy_service_set_weight(mesh, "web-3", 100);
            cr_assert_eq(ports_seen(all[who], policy), 0xe, "all are back");
        }
    commy_mesh_detach(&other);
    commy_mesh_detach(&reader);
    audit();
}

static void own_ports_4_and_5(commy_mesh_t *own)
{
    add_at(own, "web", 4, 100);
    add_at(own, "web", 5, 100);
}

Test(select, a_death_is_seen_by_the_next_selection)
{
    begin(64);
    for (uint16_t port = 1; port <= 3; port++)
        add_at(mesh, "web", port, 100);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_mesh_t *const all[] = {mesh, reader};
    for (int round = 0; round < 8; round++) {
        pid_t owner = start_owner(own_ports_4_and_5);
        for (size_t i = 0; i < 2 * POLICIES; i++)
            cr_assert_eq(ports_seen(all[i % 2], policies[i / 2]), 0x3e);
        kill_owner(owner);
        for (size_t i = 0; i < 2 * POLICIES; i++)
            cr_assert_eq(ports_seen(all[i % 2], policies[(i / 2 + (size_t)round) % POLICIES]), 0xe);
        cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    }
    commy_mesh_detach(&reader);
    audit();
}

/* With nobody to reap or to raise a version: only the look at the life word tells. */
Test(select, a_death_that_nobody_announces_is_seen_too)
{
    begin(64);
    pid_t owner = start_owner(own_ports_4_and_5);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_service_config_t config = config_of("web", "loose");
    config.flags = COMMY_SERVICE_DETACHED;
    config.ttl_ms = 60000;
    config.port = 6;
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    commy_mesh_detach(&mesh);
    for (size_t i = 0; i < POLICIES; i++)
        cr_assert_eq(ports_seen(reader, policies[i]), 0x70);
    kill_owner(owner);
    for (size_t i = 0; i < POLICIES; i++)
        cr_assert_eq(ports_seen(reader, policies[i]), 0x40);
    mesh = reader;
}

Test(select, a_missed_ttl_is_seen_and_a_heartbeat_mends_it)
{
    begin(64);
    add_at(mesh, "web", 1, 100);
    commy_service_config_t config = config_of("web", "web-2");
    config.port = 2;
    config.ttl_ms = 300;
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    for (size_t i = 0; i < POLICIES; i++) {
        uint64_t beat = now_ms();
        cr_assert_eq(commy_service_heartbeat(mesh, "web-2"), COMMY_STATUS_SUCCESS);
        unsigned seen = ports_seen(mesh, policies[i]);
        cr_assert(seen == 0x6 || now_ms() - beat >= 300, "%x", seen);
        sleep_ms(310);
        cr_assert_eq(ports_seen(mesh, policies[i]), 0x2);
    }
}

Test(select, what_cannot_be_selected_is_counted_by_its_reason)
{
    begin(64);
    commy_target_t target;
    expect(commy_service_select(mesh, "web", NULL, &target), COMMY_STATUS_NOT_FOUND, "name 'web' has no instance");
    const int32_t random = COMMY_POLICY_RANDOM;
    for (uint16_t port = 1; port <= 7; port++)
        add_at(mesh, "web", port, 100);
    commy_service_set_health(mesh, "web-1", COMMY_HEALTH_UNHEALTHY);
    commy_service_set_health(mesh, "web-2", COMMY_HEALTH_UNHEALTHY);
    commy_service_set_health(mesh, "web-3", COMMY_HEALTH_UNKNOWN);
    commy_service_set_admin(mesh, "web-4", COMMY_ADMIN_DRAINING);
    commy_service_set_admin(mesh, "web-5", COMMY_ADMIN_MAINTENANCE);
    commy_service_set_weight(mesh, "web-6", 0);
    cr_assert_eq(commy_service_select(mesh, "web", NULL, &target), COMMY_STATUS_SUCCESS);
    drop(mesh, "web-7");
    cr_assert_eq(commy_service_select(mesh, "web", NULL, &target), COMMY_STATUS_SUCCESS);
    cr_assert_eq(target.port, 6, "round robin does not weigh");
    expect(try_select(mesh, "web", random, NULL, &target), COMMY_STATUS_NO_HEALTHY, "none of the 6 instances");
    expect(try_select(mesh, "web", random, NULL, &target), COMMY_STATUS_NO_HEALTHY,
           "2 unhealthy, 1 of unknown health, 1 draining, 1 in maintenance, 1 of weight 0");
    commy_service_set_weight(mesh, "web-6", 1);
    cr_assert_eq(try_select(mesh, "web", random, NULL, &target), COMMY_STATUS_SUCCESS);
    for (uint16_t port = 1; port <= 6; port++) {
        char id[8];
        snprintf(id, sizeof id, "web-%u", port);
        drop(mesh, id);
    }
    expect(try_select(mesh, "web", random, NULL, &target), COMMY_STATUS_NOT_FOUND, "has no instance");
    expect(commy_service_select(mesh, "web", NULL, &target), COMMY_STATUS_NOT_FOUND, "has no instance");
}

/* ----------------------------------------------------------------- many of them */

Test(select, ten_thousand_instances_come_once_in_a_round)
{
    begin(16384);
    static uint8_t came[20001];
    for (uint32_t port = 10001; port <= 20000; port++)
        add_at(mesh, "web", (uint16_t)port, 100);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 10000; i++)
            came[port_of(mesh, "web", round ? COMMY_POLICY_WEIGHTED_ROUND_ROBIN : COMMY_POLICY_ROUND_ROBIN, NULL)]++;
    for (uint32_t port = 10001; port <= 20000; port++)
        cr_assert_eq(came[port], 2);
    drop(mesh, "web-12345");
    for (uint32_t i = 0; i < 9999; i++)
        came[port_of(mesh, "web", COMMY_POLICY_ROUND_ROBIN, NULL)]++;
    for (uint32_t port = 10001; port <= 20000; port++)
        cr_assert_eq(came[port], port == 12345 ? 2 : 3);
    for (uint32_t i = 0; i < 20000; i++)
        cr_assert_neq(port_of(mesh, "web", COMMY_POLICY_RANDOM, NULL), 12345);
}

static uint32_t pickers_of(const commy_mesh_t *of)
{
    const cmy_pickers_t *pickers = (const cmy_pickers_t *)of->pickers;
    uint32_t count = 0;
    for (uint32_t set = 0; pickers && set < CMY_PICKER_SETS; set++)
        for (uint32_t way = 0; way < CMY_PICKER_WAYS; way++)
            count += pickers->way[set][way] != NULL;
    return count;
}

Test(select, any_number_of_names_leaves_a_bounded_number_of_pickers)
{
    begin(8192);
    char name[32];
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "name-%u", i);
        add_at(mesh, name, (uint16_t)(i + 1), 100);
    }
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 5000; i++) {
            snprintf(name, sizeof name, "name-%u", i);
            cr_assert_eq(port_of(mesh, name, policies[(i + (uint32_t)round) % POLICIES], "me"), i + 1);
        }
    cr_assert_eq(pickers_of(mesh), CMY_PICKERS);
    commy_target_t target;
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "unknown-%u", i);
        cr_assert_eq(commy_service_select(mesh, name, NULL, &target), COMMY_STATUS_NOT_FOUND);
    }
    for (uint32_t i = 0; i < 50; i++)
        cr_assert_eq(port_of(mesh, "name-7", COMMY_POLICY_ROUND_ROBIN, NULL), 8);
    cr_assert_leq(atomic_load(&((cmy_pickers_t *)mesh->pickers)->retired_count), 32);
}

/* A picker that is in use is not the one to go when its set is full of others that are not. */
Test(select, a_name_in_use_stays_when_others_come_and_go)
{
    begin(8192);
    char name[32];
    add_at(mesh, "hot", 1, 100);
    uint32_t lost = 0;
    for (uint32_t i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "name-%u", i);
        add_at(mesh, name, 2, 100);
    }
    (void)port_of(mesh, "hot", COMMY_POLICY_ROUND_ROBIN, NULL);
    const cmy_picker_t *before = NULL;
    for (uint32_t i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "name-%u", i);
        (void)port_of(mesh, name, COMMY_POLICY_ROUND_ROBIN, NULL);
        (void)port_of(mesh, "hot", COMMY_POLICY_ROUND_ROBIN, NULL);
        cmy_key_t key;
        cmy_key_make(&key, mesh->region->seed, "hot", 3);
        const cmy_picker_t *picker =
            cmy_picker_find((cmy_pickers_t *)mesh->pickers, &key, COMMY_POLICY_ROUND_ROBIN, NULL);
        lost += before && picker != before;
        before = picker;
    }
    cr_assert_eq(lost, 0);
}

/* --------------------------------------------------------------- odd questions */

Test(select, a_reader_has_a_rotation_of_its_own_and_writes_nothing)
{
    begin(64);
    for (uint16_t port = 1; port <= 5; port++)
        add_at(mesh, "web", port, 100);
    uint16_t first = port_of(mesh, "web", COMMY_POLICY_ROUND_ROBIN, NULL);
    const cmy_group_shm_t *group = cmy_group_at(mesh->region, 0);
    cr_assert_eq(cmy_load64_relaxed(&group->rotation), 1);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    for (size_t i = 0; i < POLICIES; i++)
        cr_assert_eq(ports_seen(reader, policies[i]), 0x3e);
    cr_assert_eq(cmy_load64_relaxed(&group->rotation), 1, "the host's stands where it stood");
    cr_assert_eq(cmy_load64_relaxed(&group->weighted_rotation), 0);
    cr_assert_neq(port_of(mesh, "web", COMMY_POLICY_ROUND_ROBIN, NULL), first);
    uint16_t own = port_of(reader, "web", COMMY_POLICY_ROUND_ROBIN, NULL);
    commy_service_set_weight(mesh, "web-1", 50);
    cr_assert_eq(port_of(reader, "web", COMMY_POLICY_ROUND_ROBIN, NULL), own % 5 + 1, "and goes on after a change");
    commy_mesh_detach(&reader);
}

Test(select, questions_without_sense_are_refused)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_target_t target;
    char long_name[65], long_client[10241];
    memset(long_name, 'n', sizeof long_name);
    long_name[64] = '\0';
    memset(long_client, 'c', sizeof long_client);
    long_client[10240] = '\0';
    const int32_t hash = COMMY_POLICY_CONSISTENT_HASH;
    expect(commy_service_select(NULL, "web", NULL, &target), COMMY_STATUS_INVALID, "mesh is null");
    expect(commy_service_select(mesh, NULL, NULL, &target), COMMY_STATUS_INVALID, "service name is null");
    expect(commy_service_select(mesh, "", NULL, &target), COMMY_STATUS_INVALID, "service name");
    expect(commy_service_select(mesh, long_name, NULL, &target), COMMY_STATUS_INVALID, "service name");
    expect(commy_service_select(mesh, "web", NULL, NULL), COMMY_STATUS_INVALID, "target is null");
    expect(try_select(mesh, "web", hash, NULL, &target), COMMY_STATUS_INVALID, "client_id is null");
    expect(try_select(mesh, "web", hash, "", &target), COMMY_STATUS_INVALID, "client_id has 0 bytes");
    expect(try_select(mesh, "web", hash, long_client, &target), COMMY_STATUS_INVALID, "more than 255");
    long_client[255] = '\0';
    cr_assert_eq(try_select(mesh, "web", hash, long_client, &target), COMMY_STATUS_SUCCESS);
    cr_assert_eq(try_select(mesh, "web", COMMY_POLICY_RANDOM, "", &target), COMMY_STATUS_SUCCESS);
    const int32_t unknown[] = {-1, 6, 7, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        expect(try_select(mesh, "web", unknown[i], "me", &target), COMMY_STATUS_INVALID,
               "none of 0 round robin, 1 least connections, 2 weighted round robin, 3 performance, 4 random, 5 "
               "consistent hash");
    commy_select_options_t options = {.size = sizeof options, .flags = 2};
    expect(commy_service_select(mesh, "web", &options, &target), COMMY_STATUS_INVALID, "options.flags 0x2");
    options = (commy_select_options_t){0};
    expect(commy_service_select(mesh, "web", &options, &target), COMMY_STATUS_INVALID, "options.size is 0");
}

Test(select, a_forked_child_is_refused_and_gives_back_what_it_inherits)
{
    begin(64);
    for (uint16_t port = 1; port <= 5; port++)
        add_at(mesh, "web", port, 100);
    for (size_t i = 0; i < POLICIES; i++)
        cr_assert_eq(ports_seen(mesh, policies[i]), 0x3e);
    fflush(stdout);
    pid_t child = test_fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        commy_target_t target;
        commy_status_t refused = commy_service_select(mesh, "web", NULL, &target);
        commy_mesh_detach(&mesh);
        _exit(refused == COMMY_STATUS_FORKED && !mesh ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (size_t i = 0; i < POLICIES; i++)
        cr_assert_eq(ports_seen(mesh, policies[i]), 0x3e);
}

Test(select, a_region_that_was_removed_is_refused)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_target_t target;
    cr_assert_eq(commy_service_select(mesh, "web", NULL, &target), COMMY_STATUS_SUCCESS);
    const commy_open_options_t options = options_for(0, 0);
    cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_select(mesh, "web", NULL, &target), COMMY_STATUS_REMOVED);
}

Test(select, a_handle_that_left_or_never_joined_selects)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_mesh_t *other = attach(0);
    commy_target_t target;
    cr_assert_eq(commy_service_select(other, "web", NULL, &target), COMMY_STATUS_SUCCESS);
    cr_assert_eq(participants_of(mesh), 1, "and does not join for it");
    cr_assert_eq(commy_mesh_join(other, NULL, 0), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_leave(other), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_select(other, "web", NULL, &target), COMMY_STATUS_SUCCESS);
    commy_mesh_detach(&other);
}

/* ------------------------------------------------------------------ no memory */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ALLOCATIONS_FAIL 1
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static long allocations = -1; /* that still succeed; negative: all do */

static bool may_allocate(void)
{
    if (allocations > 0)
        allocations--;
    return allocations != 0;
}

void *malloc(size_t bytes)
{
    return may_allocate() ? __libc_malloc(bytes) : NULL;
}

void *calloc(size_t count, size_t bytes)
{
    return may_allocate() ? __libc_calloc(count, bytes) : NULL;
}

void *realloc(void *old, size_t bytes)
{
    return may_allocate() ? __libc_realloc(old, bytes) : NULL;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return may_allocate() ? __libc_memalign(alignment, bytes) : NULL;
}
#endif

Test(select, without_memory_nothing_is_lost)
{
#ifdef ALLOCATIONS_FAIL
    for (size_t i = 0; i < POLICIES; i++) {
        begin(64);
        for (uint16_t port = 1; port <= 3; port++)
            add_at(mesh, "web", port, 100);
        commy_target_t target;
        for (int fresh = 0; fresh < 2; fresh++) { /* the first picker, and one that replaces another */
            bool selected = false;
            for (int n = 1; n < 40 && !selected; n++) {
                allocations = n; /* the nth fails, and all behind it */
                commy_status_t status = try_select(mesh, "web", policies[i], "me", &target);
                allocations = -1;
                selected = status == COMMY_STATUS_SUCCESS;
                cr_assert(selected || n < 20, "policy %d needs %d allocations", (int)policies[i], n);
                if (!selected)
                    expect(status, COMMY_STATUS_NO_MEMORY, "no memory");
            }
            cr_assert(selected);
            add_at(mesh, "web", (uint16_t)(4 + fresh), 100);
        }
        cr_assert_eq(ports_seen(mesh, policies[i]), 0x3e);
        const commy_open_options_t options = options_for(0, 0);
        cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS);
        commy_mesh_detach(&mesh);
    }
    begin(64);
#else
    cr_skip_test("sanitizers have allocators of their own");
#endif
}

/* ------------------------------------------------------------------ the table */

Test(select, names_that_share_a_set_make_room_for_each_other)
{
    enum { NAMES = CMY_PICKER_WAYS + 2 };
    char names[NAMES][16];
    cmy_key_t key[NAMES];
    cmy_picker_t **set = NULL;
    uint32_t count = 0;
    begin(64);
    cmy_pickers_t *pickers = cmy_pickers_of(mesh);
    for (uint32_t i = 0; count < NAMES; i++) {
        snprintf(names[count], sizeof names[count], "n%u", i);
        cmy_key_make(&key[count], mesh->region->seed, names[count], strlen(names[count]));
        cmy_picker_t **its = cmy_pickers_set(pickers, key[count].hash, COMMY_POLICY_ROUND_ROBIN);
        set = set ? set : its;
        if (its == set)
            add_at(mesh, names[count++], 80, 1);
    }
    for (int round = 0; round < 10; round++)
        for (uint32_t i = 0; i < NAMES; i++) {
            /* Again and again, so that all that stand in the set are in use when another comes. */
            for (int turn = 0; turn < 3; turn++)
                cr_assert_eq(port_of(mesh, names[i], COMMY_POLICY_ROUND_ROBIN, NULL), 80);
            cmy_rcu_read_lock();
            cr_assert(cmy_picker_find(pickers, &key[i], COMMY_POLICY_ROUND_ROBIN, NULL), "who came last has a place");
            uint32_t standing = 0;
            for (uint32_t other = 0; other < NAMES; other++)
                standing += cmy_picker_find(pickers, &key[other], COMMY_POLICY_ROUND_ROBIN, NULL) != NULL;
            cmy_rcu_read_unlock();
            cr_assert_eq(standing, round == 0 && i < CMY_PICKER_WAYS ? i + 1 : CMY_PICKER_WAYS);
        }
    audit();
}

/* Each takes 200 KB here. */
Test(select, pickers_of_many_instances_that_were_replaced_are_freed_before_they_take_more_than_4_mib)
{
    enum { INSTANCES = 4096 };
    begin(INSTANCES + 16);
    for (uint16_t port = 1; port <= INSTANCES; port++)
        add_at(mesh, "web", port, port % 97 + 1);
    cmy_pickers_t *pickers = cmy_pickers_of(mesh);
    size_t most = 0;
    for (uint32_t change = 0; change < 40; change++) {
        cr_assert_eq(commy_service_set_weight(mesh, "web-7", 2 + change % 2), COMMY_STATUS_SUCCESS);
        port_of(mesh, "web", COMMY_POLICY_WEIGHTED_ROUND_ROBIN, NULL);
        size_t waiting = atomic_load(&pickers->retired_bytes);
        most = waiting > most ? waiting : most;
        cr_assert_lt(waiting, 4u << 20);
        cr_assert_lt(atomic_load(&pickers->retired_count), 32);
    }
    cr_assert_gt(most, 3u << 20, "only %zu bytes waited", most);
}
