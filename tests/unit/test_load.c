/*
 * Selecting the better of two: least connections and performance.
 *
 * Shares are judged by chi-square, turned into a normal deviate (Wilson and Hilferty 1931), which may be six at most:
 * once in a thousand million runs a sound one is more.
 */
#include <math.h>
#include <stdlib.h>

#include <sys/mman.h>

#include "mesh/load.h"
#include "support_registry.h"

TestSuite(load, .init = set_up, .fini = tear_down, .timeout = 60);

#define PICKS 100000u
static const int32_t least = COMMY_POLICY_LEAST_CONNECTIONS, fastest = COMMY_POLICY_PERFORMANCE;

static uint16_t port_of(commy_mesh_t *from, int32_t policy)
{
    commy_target_t target;
    const commy_select_options_t options = {.size = sizeof options, .policy = policy};
    cr_assert_eq(commy_service_select(from, "web", &options, &target), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    return target.port;
}

static uint64_t add_at(commy_mesh_t *to, uint16_t port, uint32_t weight)
{
    char id[32];
    uint64_t reference;
    snprintf(id, sizeof id, "web-%u", port);
    commy_service_config_t config = config_of("web", id);
    config.port = port;
    config.weight = weight;
    cr_assert_eq(commy_service_register(to, &config, &reference), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    return reference;
}

static uint64_t begin_one(commy_mesh_t *by, uint64_t reference)
{
    uint64_t token = 0;
    cr_assert_eq(commy_service_begin(by, reference, &token), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return token;
}

/* Begins and ends one, of a known latency: the first of an instance is its mean. */
static void answer(commy_mesh_t *by, uint64_t reference, uint64_t ns, bool success)
{
    cr_assert_eq(commy_service_end(by, begin_one(by, reference), ns, success), COMMY_STATUS_SUCCESS);
}

/* How often each port was selected, of so many times. */
static void count_picks(commy_mesh_t *from, int32_t policy, uint32_t picks, uint32_t seen[64])
{
    memset(seen, 0, 64 * sizeof *seen);
    for (uint32_t i = 0; i < picks; i++)
        seen[port_of(from, policy) % 64]++;
}

static double deviate(const uint32_t *seen, const double *expected, uint32_t n)
{
    double sum = 0, k = n - 1;
    for (uint32_t i = 0; i < n; i++)
        sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
    return (cbrt(sum / k) - (1 - 2 / (9 * k))) / sqrt(2 / (9 * k));
}

/* ------------------------------------------------------------- comparing two */

Test(load, fewer_in_flight_is_by_weight_and_a_tie_the_first_s)
{
    const struct {
        cmy_load_t first, second;
        bool second_is_taken;
    } cases[] = {
        {{.in_flight = 0, .weight = 1}, {.in_flight = 0, .weight = 65535}, false},
        {{.in_flight = 1, .weight = 1}, {.in_flight = 0, .weight = 1}, true},
        {{.in_flight = 2, .weight = 2}, {.in_flight = 1, .weight = 1}, false},
        {{.in_flight = 3, .weight = 2}, {.in_flight = 1, .weight = 1}, true},
        {{.in_flight = 1, .weight = 2}, {.in_flight = 1, .weight = 1}, false},
        {{.in_flight = UINT32_MAX, .weight = 65535}, {.in_flight = UINT32_MAX, .weight = 65534}, false},
        {{.in_flight = UINT32_MAX, .weight = 65534}, {.in_flight = UINT32_MAX, .weight = 65535}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_eq(cmy_load_fewer(&cases[i].first, &cases[i].second), cases[i].second_is_taken, "case %zu", i);
}

Test(load, faster_is_what_a_request_would_wait_for)
{
    const uint64_t ms = 1000000;
    const struct {
        cmy_load_t first, second;
        bool second_is_taken;
    } cases[] = {
        {{10 * ms, 0, 1}, {10 * ms, 0, 1}, false},
        {{10 * ms, 0, 1}, {9 * ms, 0, 1}, true},
        {{10 * ms, 0, 1}, {4 * ms, 2, 1}, false},
        {{10 * ms, 0, 1}, {3 * ms, 2, 1}, true},
        {{10 * ms, 0, 3}, {9 * ms, 0, 1}, false},
        {{0, 0, 1}, {0, 0, 9}, false},                                     /* nothing known: fewer in flight */
        {{0, 1, 1}, {0, 0, 1}, true},                                      /* likewise */
        {{1, 0, 1}, {0, CMY_LOAD_UNTRIED - 1, 1}, true},                   /* not tried yet */
        {{0, CMY_LOAD_UNTRIED - 1, 1}, {1, 0, 1}, false},                  /* likewise */
        {{1, 0, 1}, {0, CMY_LOAD_UNTRIED, 1}, false},                      /* its trial is under way */
        {{0, CMY_LOAD_UNTRIED, 1}, {1, 0, 1}, true},                       /* likewise */
        {{UINT64_MAX, UINT32_MAX, 1}, {UINT64_MAX, UINT32_MAX, 2}, true},  /* any bytes */
        {{UINT64_MAX, UINT32_MAX, 2}, {UINT64_MAX, UINT32_MAX, 1}, false}, /* likewise */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(cmy_load_faster(&cases[i].first, &cases[i].second, 1), cases[i].second_is_taken, "case %zu", i);
        cr_assert_not(cmy_load_faster(&cases[i].first, &cases[i].second, CMY_LOAD_EXPLORE), "explores: %zu", i);
    }
}

/* ---------------------------------------------------------------- the shares */

Test(load, with_nothing_in_flight_shares_are_the_weights)
{
    begin(64);
    uint32_t seen[64];
    double expected[8];
    for (uint16_t port = 1; port <= 8; port++) {
        add_at(mesh, port, port);
        expected[port - 1] = PICKS * port / 36.0;
    }
    count_picks(mesh, least, PICKS, seen);
    cr_assert_lt(deviate(seen + 1, expected, 8), 6);
    count_picks(mesh, fastest, PICKS, seen);
    cr_assert_lt(deviate(seen + 1, expected, 8), 6);
}

/* Of n of which k are better, the (k + 1)th wins with each of the n - 1 - k worse ones: 2 (n - 1 - k) of n (n - 1). */
Test(load, of_many_that_differ_each_wins_against_the_worse)
{
    begin(64);
    const uint32_t n = 10;
    uint32_t seen[64];
    double fewer[9], faster[10];
    for (uint32_t k = 0; k < n; k++) {
        uint64_t reference = add_at(mesh, (uint16_t)(k + 1), 100);
        answer(mesh, reference, 1000000 * (k + 1), true);
        double wins = 2.0 * (n - 1 - k) / (n * (n - 1));
        faster[k] = PICKS * (wins * (CMY_LOAD_EXPLORE - 1) / CMY_LOAD_EXPLORE + 1.0 / n / CMY_LOAD_EXPLORE);
        if (k < n - 1)
            fewer[k] = PICKS * wins;
    }
    count_picks(mesh, fastest, PICKS, seen);
    cr_assert_lt(deviate(seen + 1, faster, n), 6);
    for (uint32_t k = 0; k < n; k++) {
        char id[8];
        commy_target_t target;
        snprintf(id, sizeof id, "web-%u", k + 1);
        cr_assert_eq(commy_service_find(mesh, id, &target), COMMY_STATUS_SUCCESS);
        for (uint32_t i = 0; i < k; i++)
            begin_one(mesh, target.reference);
    }
    count_picks(mesh, least, PICKS, seen);
    cr_assert_lt(deviate(seen + 1, fewer, n - 1), 6);
    cr_assert_eq(seen[n], 0, "the most loaded of all loses to any");
}

Test(load, requests_that_stay_settle_by_weight)
{
    begin(64);
    uint32_t weight[5] = {0, 50, 100, 200, 400}, sum = 750;
    for (uint16_t port = 1; port <= 4; port++)
        add_at(mesh, port, weight[port]);
    for (uint32_t i = 1; i <= 3000; i++) {
        commy_target_t target;
        const commy_select_options_t options = {.size = sizeof options, .policy = least};
        cr_assert_eq(commy_service_select(mesh, "web", &options, &target), COMMY_STATUS_SUCCESS);
        begin_one(mesh, target.reference);
    }
    for (uint16_t port = 1; port <= 4; port++) {
        char id[8];
        commy_service_stats_t stats;
        snprintf(id, sizeof id, "web-%u", port);
        cr_assert_eq(commy_service_stats(mesh, id, &stats), COMMY_STATUS_SUCCESS);
        double even = 3000.0 * weight[port] / sum;
        cr_assert(fabs((double)stats.in_flight - even) <= 20, "%s has %" PRIu64 ", not %.0f", id, stats.in_flight,
                  even);
    }
    audit();
}

/* So many that what the next ones read is asked for ahead. Half of them have one in flight, or answer slowly; a fifth has no
 * statistics at all. */
Test(load, of_hundreds_the_better_half_is_taken_but_where_two_of_the_other_meet)
{
    begin(512);
    const uint32_t n = 300;
    double share = 150.0 * 149 / (300.0 * 299), deviation = sqrt(PICKS * share * (1 - share));
    uint32_t loaded = 0, slow = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t reference = add_at(mesh, (uint16_t)(i + 1), 100);
        if (i % 2)
            begin_one(mesh, reference);
        else if (i % 5)
            answer(mesh, reference, 1000000, true);
    }
    for (uint32_t i = 0; i < PICKS; i++)
        loaded += port_of(mesh, least) % 2 == 0;
    cr_assert(fabs(loaded - PICKS * share) < 6 * deviation, "%u, not %.0f", loaded, PICKS * share);
    for (uint32_t i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "web-%u", i + 1);
        drop(mesh, id);
        answer(mesh, add_at(mesh, (uint16_t)(i + 1), 100), i % 2 ? 2000000 : 1000000, true);
    }
    share = share * (CMY_LOAD_EXPLORE - 1) / CMY_LOAD_EXPLORE + 0.5 / CMY_LOAD_EXPLORE;
    deviation = sqrt(PICKS * share * (1 - share));
    for (uint32_t i = 0; i < PICKS; i++)
        slow += port_of(mesh, fastest) % 2 == 0;
    cr_assert(fabs(slow - PICKS * share) < 6 * deviation, "%u, not %.0f", slow, PICKS * share);
    audit();
}

/* -------------------------------------------------------------- whose load it is */

static void hold_a_hundred_at_web_1(commy_mesh_t *own)
{
    commy_target_t target;
    uint64_t token;
    for (int i = 0; i < 100; i++)
        if (commy_service_find(own, "web-1", &target) != COMMY_STATUS_SUCCESS ||
            commy_service_begin(own, target.reference, &token) != COMMY_STATUS_SUCCESS)
            _exit(3);
}

Test(load, what_other_processes_have_in_flight_counts_and_what_the_dead_had_does_not)
{
    begin(64);
    uint32_t seen[64];
    add_at(mesh, 1, 100);
    add_at(mesh, 2, 100);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY), *other = attach(0);
    commy_mesh_t *const all[] = {mesh, other, reader};
    const double even[] = {500, 500};
    for (int round = 0; round < 5; round++) {
        pid_t client = start_owner(hold_a_hundred_at_web_1);
        for (size_t who = 0; who < 3; who++) {
            count_picks(all[who], least, 1000, seen);
            cr_assert_eq(seen[1], 0, "the process's hundred are at 1");
        }
        kill_owner(client);
        for (size_t who = 0; who < 3; who++) {
            count_picks(all[who], least, 1000, seen);
            double off = (seen[1] - even[0]) / sqrt(250);
            cr_assert_lt(fabs(off), 6, "1 came %u times of 1000 right after the death", seen[1]);
        }
        cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    }
    commy_mesh_detach(&other);
    commy_mesh_detach(&reader);
    audit();
}

Test(load, a_slow_instance_gets_what_exploring_gives_and_comes_back_when_it_is_fast)
{
    begin(64);
    uint32_t seen[64];
    uint64_t slow = add_at(mesh, 1, 100), fast = add_at(mesh, 2, 100);
    answer(mesh, slow, 100000000, true);
    answer(mesh, fast, 1000000, true);
    count_picks(mesh, fastest, PICKS, seen);
    const double expected[] = {PICKS / 2.0 / CMY_LOAD_EXPLORE, PICKS - PICKS / 2.0 / CMY_LOAD_EXPLORE};
    cr_assert_lt(deviate(seen + 1, expected, 2), 6, "the slow one has %u, not %.0f", seen[1], expected[0]);
    /* From 100 ms to 0.9 ms: each answer takes an eighth of what is left; 50 of them at a 64th of the selections. */
    uint32_t until = 0;
    for (uint32_t picks = 1; picks <= 8000 && until == 0; picks++) {
        if (port_of(mesh, fastest) == 1)
            answer(mesh, slow, 900000, true);
        count_picks(mesh, fastest, 4, seen);
        if (seen[1] >= 3)
            until = picks;
    }
    cr_assert_gt(until, 0, "it never came back");
}

Test(load, an_instance_without_a_sample_is_tried_by_few_at_once)
{
    begin(64);
    uint32_t seen[64];
    uint64_t known = add_at(mesh, 1, 100), fresh = add_at(mesh, 2, 100), token[CMY_LOAD_UNTRIED];
    answer(mesh, known, 1000000, true);
    for (uint32_t i = 0; i < CMY_LOAD_UNTRIED; i++) {
        count_picks(mesh, fastest, 1000, seen);
        cr_assert_gt(seen[2], 900, "with %u in flight it came %u times", i, seen[2]);
        token[i] = begin_one(mesh, fresh);
    }
    count_picks(mesh, fastest, 1000, seen);
    cr_assert_lt(seen[2], 100, "%u are under way: it came %u times", CMY_LOAD_UNTRIED, seen[2]);
    for (uint32_t i = 0; i < CMY_LOAD_UNTRIED; i++)
        cr_assert_eq(commy_service_end(mesh, token[i], 500000, true), COMMY_STATUS_SUCCESS);
    count_picks(mesh, fastest, 1000, seen);
    cr_assert_gt(seen[2], 900, "it is the faster one");
}

Test(load, who_fails_fast_attracts_nobody)
{
    begin(64);
    uint32_t seen[64], failures = 0;
    uint64_t failing = add_at(mesh, 1, 100), sound = add_at(mesh, 2, 100);
    answer(mesh, failing, 10000000, true);
    answer(mesh, sound, 10000000, true);
    /* 9.9 ms at each answer of the one, a tenth of a microsecond at each failure of the other. */
    for (uint32_t i = 0; i < 2000; i++) {
        bool fails = port_of(mesh, fastest) == 1;
        failures += fails;
        answer(mesh, fails ? failing : sound, fails ? 100 : 9900000, !fails);
    }
    cr_assert_lt(failures, 2000 / 2 / CMY_LOAD_EXPLORE + 40, "%u of 2000 failed", failures);
    uint64_t first_fails = add_at(mesh, 3, 100); /* fails at once, before it ever succeeded */
    answer(mesh, first_fails, 100, false);
    count_picks(mesh, fastest, 3000, seen);
    cr_assert_lt(seen[3], 100);
    for (int i = 0; i < 60; i++)
        answer(mesh, failing, 1000000, true);
    count_picks(mesh, fastest, 3000, seen);
    cr_assert_gt(seen[1], 1500, "forgiven: %u", seen[1]);
}

/* ------------------------------------------------------------- what is remembered */

static uint32_t block_of_id(const char *id)
{
    uint32_t record;
    uint64_t state, link;
    cr_assert_eq(cmy_mesh_look_up(mesh, id, &record, &state), COMMY_STATUS_SUCCESS);
    link = cmy_load64_acquire(&cmy_service_at(mesh->region, record)->stats);
    return cmy_link_names_block(link) ? cmy_link_block(link) : UINT32_MAX;
}

static cmy_picker_t *picker_of(commy_mesh_t *of, int32_t policy)
{
    cmy_key_t key;
    cmy_key_make(&key, of->region->seed, "web", 3);
    return cmy_picker_find((cmy_pickers_t *)of->pickers, &key, policy, NULL);
}

/* Records and cold halves of a mapping of its own are taken away: whoever looks there is ended. */
Test(load, of_instances_that_were_met_neither_records_nor_cold_halves_are_read_before_one_is_chosen)
{
    begin(512);
    const uint32_t n = 300;
    for (uint32_t i = 0; i < n; i++)
        answer(mesh, add_at(mesh, (uint16_t)(i + 1), 100), 1000000, true);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    const int32_t both[] = {least, fastest};
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < 40 * n; i++)
            port_of(reader, both[k]);
        cmy_region_t *region = reader->region;
        cmy_picker_t *picker = picker_of(reader, both[k]);
        cr_assert(picker && picker->count == n);
        uint64_t end = region->layout.slab[CMY_SERVICES].cold_offset;
        const struct {
            uint64_t from, bytes;
        } shut[] = {
            {region->layout.slab[CMY_SERVICES].offset, end - region->layout.slab[CMY_SERVICES].offset},
            {region->layout.slab[CMY_STATS].cold_offset, (uint64_t)n * sizeof(cmy_tally_shm_t)},
        };
        for (int i = 0; i < 2; i++)
            cr_assert_eq(mprotect(region->base + shut[i].from, shut[i].bytes, PROT_NONE), 0);
        uint64_t stands = 1, sum = 0;
        for (uint32_t i = 0; i < 10000; i++)
            sum += cmy_load_choose(region, picker, stands += CMY_MIX_STEP);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(mprotect(region->base + shut[i].from, shut[i].bytes, PROT_READ), 0);
        cr_assert_gt(sum, 0);
    }
    commy_mesh_detach(&reader);
}

/* The block that an instance had is another name's by now, and full of requests. */
Test(load, a_block_that_went_to_another_name_is_not_compared_for_who_comes_back)
{
    begin(64);
    uint32_t seen[64];
    uint64_t one = add_at(mesh, 1, 100), other = add_at(mesh, 2, 100);
    begin_one(mesh, one);
    begin_one(mesh, other);
    begin_one(mesh, other);
    for (int round = 0; round < 2; round++) {
        count_picks(mesh, least, 100, seen);
        cr_assert_eq(seen[1], 100);
        uint32_t former = block_of_id("web-1");
        drop(mesh, "web-1");
        char id[16];
        snprintf(id, sizeof id, "db-%d", round);
        uint64_t elsewhere;
        commy_service_config_t config = config_of("db", id);
        cr_assert_eq(commy_service_register(mesh, &config, &elsewhere), COMMY_STATUS_SUCCESS);
        for (int i = 0; i < 50; i++)
            begin_one(mesh, elsewhere);
        cr_assert_eq(block_of_id(id), former, "it takes the one that is free");
        begin_one(mesh, add_at(mesh, 1, 100));
        cr_assert_neq(block_of_id("web-1"), former);
    }
    count_picks(mesh, least, 100, seen);
    cr_assert_eq(seen[1], 100);
    audit();
}

/* A link that leads out of the mapping is followed by nobody, and not remembered: what it says afterwards counts. */
Test(load, a_link_that_leads_nowhere_is_not_remembered)
{
    begin(64);
    uint32_t seen[64], record;
    uint64_t state, one = add_at(mesh, 1, 100), other = add_at(mesh, 2, 100);
    begin_one(mesh, one);
    begin_one(mesh, other);
    begin_one(mesh, other);
    cr_assert(cmy_service_refer(mesh->region, other, &record, &state));
    cmy_word64_t *link = &cmy_service_at(mesh->region, record)->stats;
    uint64_t was = cmy_load64_acquire(link);
    cmy_store64_release(link, cmy_link_to(state, 0x3ffffd, cmy_state(0, 0, CMY_LIVE), false));
    count_picks(mesh, least, 1000, seen);
    cr_assert_eq(seen[1], 0, "the other seems to have none");
    cmy_store64_release(link, was);
    count_picks(mesh, least, 1000, seen);
    cr_assert_eq(seen[2], 0, "it has two");
    audit();
}
