/*
 * Circuit breakers: what opens one, who may try, what closes it, and what the dead and the stopped leave of it.
 *
 * Times are told in units of 16.8 ms, so that a breaker that is to be open for n ms is so for up to 34 ms more.
 */
#include "mesh/breaker.h"
#include "support_breaker.h"

TestSuite(breaker, .init = set_up, .fini = tear_down, .timeout = 60);

static int32_t state_of(const char *id)
{
    return breaker_of(id).state;
}

static commy_status_t try_select(commy_mesh_t *from, int32_t policy, commy_target_t *target)
{
    const commy_select_options_t options = {.size = sizeof options, .policy = policy, .client_id = "me"};
    return commy_service_select(from, "web", &options, target);
}

static uint64_t selected_by(commy_mesh_t *from)
{
    commy_target_t target;
    cr_assert_eq(try_select(from, COMMY_POLICY_ROUND_ROBIN, &target), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    return target.reference;
}

static int times_selected(commy_mesh_t *from, const char *id, int of)
{
    uint64_t reference = reference_of(id);
    int times = 0;
    for (int i = 0; i < of; i++)
        times += selected_by(from) == reference;
    return times;
}

/* The same until it is that one, at most ten seconds. */
static uint64_t selected_in_time(const char *id)
{
    uint64_t selected = 0, reference = reference_of(id);
    cr_assert(EVENTUALLY(selected == reference || (selected = selected_by(mesh)) == reference));
    return selected;
}

/* Waits until it may be tried. */
static void become_due(const char *id)
{
    cr_assert(EVENTUALLY(state_of(id) == COMMY_BREAKER_HALF_OPEN));
}

static const int32_t policies[] = {COMMY_POLICY_ROUND_ROBIN, COMMY_POLICY_WEIGHTED_ROUND_ROBIN, COMMY_POLICY_RANDOM,
                                   COMMY_POLICY_CONSISTENT_HASH};
#define POLICIES (sizeof policies / sizeof policies[0])

/* The newest event of web-2's: what, and why. */
static void expect_told(int32_t kind, int32_t reason)
{
    static commy_event_t told[COMMY_LIMIT_EVENTS];
    size_t count;
    cr_assert_eq(commy_mesh_events(mesh, told, COMMY_LIMIT_EVENTS, &count), COMMY_STATUS_SUCCESS);
    while (count > 0 && strcmp(told[count - 1].id, "web-2") != 0)
        count--;
    cr_assert(count > 0);
    cr_assert_eq(told[count - 1].kind, kind, "%s", commy_event_kind_name(told[count - 1].kind));
    cr_assert_eq(told[count - 1].reason, reason, "%s", commy_event_reason_name(told[count - 1].reason));
    cr_assert_eq(told[count - 1].pid, (uint32_t)getpid());
}

Test(breaker, what_becomes_of_it_is_recorded)
{
    begin_with(3);
    configure((commy_breaker_config_t){.consecutive_failures = 2, .open_ms = 20});
    report(mesh, "web-2", false, 2);
    expect_told(COMMY_EVENT_BREAKER_OPENED, COMMY_REASON_FAILURES);
    become_due("web-2");
    cr_assert_eq(times_selected(mesh, "web-2", 1), 1);
    expect_told(COMMY_EVENT_BREAKER_HALF_OPENED, COMMY_REASON_TIME);
    report(mesh, "web-2", false, 1);
    expect_told(COMMY_EVENT_BREAKER_OPENED, COMMY_REASON_PROBE_FAILED);
    become_due("web-2");
    cr_assert_eq(times_selected(mesh, "web-2", 1), 1);
    report(mesh, "web-2", true, 1);
    expect_told(COMMY_EVENT_BREAKER_CLOSED, COMMY_REASON_PROBE_SUCCEEDED);
    report(mesh, "web-2", false, 2);
    cr_assert_eq(commy_service_reset_breaker(mesh, "web-2"), COMMY_STATUS_SUCCESS);
    expect_told(COMMY_EVENT_BREAKER_CLOSED, COMMY_REASON_RESET);
}

/* ----------------------------------------------------------------- opening */

Test(breaker, without_a_configuration_nothing_opens)
{
    begin_with(1);
    report(mesh, "web-1", false, 1000);
    const commy_breaker_status_t status = breaker_of("web-1");
    cr_assert_eq(status.state, COMMY_BREAKER_CLOSED);
    cr_assert_eq(status.failures, 0);
    cr_assert_eq(times_selected(mesh, "web-1", 10), 10);
    audit();
}

Test(breaker, failures_in_a_row_open_it_and_no_policy_selects_it)
{
    begin_with(3);
    configure((commy_breaker_config_t){.consecutive_failures = 4, .open_ms = 60000});
    report(mesh, "web-2", false, 3);
    cr_assert_eq(breaker_of("web-2").failures, 3);
    report(mesh, "web-2", true, 1);
    cr_assert_eq(breaker_of("web-2").failures, 0, "a success begins anew");
    report(mesh, "web-2", false, 3);
    cr_assert_eq(state_of("web-2"), COMMY_BREAKER_CLOSED);
    for (size_t i = 0; i < POLICIES; i++) {
        commy_target_t target;
        cr_assert_eq(try_select(mesh, policies[i], &target), COMMY_STATUS_SUCCESS, "a picker is there");
    }
    report(mesh, "web-2", false, 1);
    const commy_breaker_status_t status = breaker_of("web-2");
    cr_assert_eq(status.state, COMMY_BREAKER_OPEN);
    cr_assert_eq(status.openings, 1);
    cr_assert(status.probe_in_ms > 50000 && status.probe_in_ms <= 60034, "%" PRIu64 " ms", status.probe_in_ms);
    uint64_t ejected = reference_of("web-2");
    for (size_t i = 0; i < POLICIES; i++)
        for (int k = 0; k < 300; k++) {
            commy_target_t target;
            cr_assert_eq(try_select(mesh, policies[i], &target), COMMY_STATUS_SUCCESS);
            cr_assert_neq(target.reference, ejected, "policy %d", policies[i]);
        }
    audit();
}

static void fail_twice(commy_mesh_t *own)
{
    commy_target_t target;
    for (int i = 0; i < 2; i++)
        if (commy_service_find(own, "web-1", &target) != COMMY_STATUS_SUCCESS ||
            commy_service_report(own, target.reference, 1, false) != COMMY_STATUS_SUCCESS)
            _exit(3);
}

Test(breaker, failures_of_all_processes_come_together)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 6, .open_ms = 60000});
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    cr_assert_gt(times_selected(reader, "web-1", 20), 0);
    pid_t one = start_owner(fail_twice), other = start_owner(fail_twice);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    report(mesh, "web-1", false, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    report(mesh, "web-1", false, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_OPEN);
    cr_assert_eq(times_selected(reader, "web-1", 20), 0, "seen without writing");
    kill_owner(one);
    kill_owner(other);
    commy_mesh_detach(&reader);
    audit();
}

Test(breaker, requests_in_flight_count_as_reports_do)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 2, .open_ms = 60000});
    uint64_t token[2], reference = reference_of("web-1");
    for (int i = 0; i < 2; i++)
        cr_assert_eq(commy_service_begin(mesh, reference, &token[i]), COMMY_STATUS_SUCCESS);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(commy_service_end(mesh, token[i], 1000, false), COMMY_STATUS_SUCCESS);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_OPEN);
    audit();
}

Test(breaker, the_share_of_failures_in_a_window_opens_it)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 10000,
                                       .failure_percent = 50,
                                       .minimum_requests = 10,
                                       .open_ms = 60000,
                                       .window_ms = 60000});
    report(mesh, "web-1", true, 1000); /* long ago: before the first failure */
    for (int i = 0; i < 4; i++) {
        report(mesh, "web-1", false, 1);
        report(mesh, "web-1", true, 1);
    }
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED, "eight requests are too few");
    report(mesh, "web-1", true, 20);
    for (int i = 0; i < 19; i++)
        report(mesh, "web-1", false, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED, "23 of 47");
    report(mesh, "web-1", false, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_OPEN, "24 of 48");
    audit();
}

Test(breaker, failures_of_an_earlier_window_do_not_count)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 10000,
                                       .failure_percent = 50,
                                       .minimum_requests = 4,
                                       .open_ms = 60000,
                                       .window_ms = 20});
    report(mesh, "web-1", false, 3);
    sleep_ms(100);
    report(mesh, "web-1", false, 3);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    audit();
}

/* As by one that looked at the clock, was stopped, and comes when others have begun a window. */
Test(breaker, who_comes_late_leaves_a_window_that_began_since_as_it_is)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 10000,
                                       .failure_percent = 50,
                                       .minimum_requests = 10,
                                       .open_ms = 60000,
                                       .window_ms = 60000});
    report(mesh, "web-1", true, 3);
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, "web-1", &record, &state), COMMY_STATUS_SUCCESS);
    cmy_tally_shm_t *tally = cmy_tally_linked(mesh->region, record, state);
    uint32_t later = (uint32_t)cmy_tick(now_ns()) + 200000; /* an hour */
    cmy_store64_relaxed(&tally->breaker.window, cmy_window(later, 8));
    cmy_store64_relaxed(&tally->breaker.before, cmy_window(later, 3));
    report(mesh, "web-1", false, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    report(mesh, "web-1", false, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_OPEN, "the tenth");
    audit();
}

/* ------------------------------------------------------------------ trying */

Test(breaker, a_success_of_the_one_who_tries_closes_it)
{
    begin_with(3);
    configure((commy_breaker_config_t){.consecutive_failures = 2, .open_ms = 40, .longest_open_ms = 60000});
    report(mesh, "web-1", false, 2);
    cr_assert_eq(times_selected(mesh, "web-1", 1), 0);
    become_due("web-1");
    /* A policy gives it at once, though all pickers pass it over. */
    cr_assert_eq(selected_by(mesh), reference_of("web-1"));
    const commy_breaker_status_t status = breaker_of("web-1");
    cr_assert_eq(status.state, COMMY_BREAKER_HALF_OPEN);
    cr_assert_eq(status.prober_pid, (uint32_t)getpid());
    cr_assert_str_eq(status.prober, "tester");
    report(mesh, "web-1", true, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    cr_assert_eq(breaker_of("web-1").failures, 0);
    cr_assert_eq(times_selected(mesh, "web-1", 30), 10, "an even share again");
    audit();
}

Test(breaker, a_failure_of_the_one_who_tries_doubles_the_time)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 100, .longest_open_ms = 350});
    report(mesh, "web-1", false, 1);
    uint64_t least[] = {200, 350, 350};
    for (uint32_t i = 0; i < 3; i++) {
        become_due("web-1");
        cr_assert_eq(selected_by(mesh), reference_of("web-1"));
        report(mesh, "web-1", false, 1);
        const commy_breaker_status_t status = breaker_of("web-1");
        cr_assert_eq(status.state, COMMY_BREAKER_OPEN);
        cr_assert_eq(status.failed_probes, i + 1);
        cr_assert(status.probe_in_ms + 40 > least[i] && status.probe_in_ms <= least[i] + 34, "%" PRIu64 " ms",
                  status.probe_in_ms);
        cr_assert_eq(status.openings, 1);
    }
    become_due("web-1");
    cr_assert_eq(selected_by(mesh), reference_of("web-1"));
    report(mesh, "web-1", true, 1);
    report(mesh, "web-1", false, 1);
    cr_assert_eq(breaker_of("web-1").failed_probes, 0, "the next time begins with the shortest");
    cr_assert_eq(breaker_of("web-1").openings, 2);
    audit();
}

Test(breaker, one_tries_and_nobody_else_decides)
{
    begin_with(2);
    commy_mesh_t *other = attach(COMMY_OPEN_MUST_EXIST), *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_mesh_t *outsider = attach(COMMY_OPEN_MUST_EXIST);
    cr_assert_eq(commy_mesh_join(other, "other", 0), COMMY_STATUS_SUCCESS);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 40});
    report(mesh, "web-1", false, 1);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000}); /* for whoever tries */
    become_due("web-1");
    cr_assert_eq(times_selected(reader, "web-1", 20), 0, "who may only read does not try");
    cr_assert_eq(times_selected(outsider, "web-1", 20), 0, "nor who never joined");
    cr_assert_eq(times_selected(other, "web-1", 20), 1);
    cr_assert_eq(times_selected(mesh, "web-1", 20), 0);
    report(mesh, "web-1", true, 5);
    report(mesh, "web-1", false, 5);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_HALF_OPEN);
    cr_assert_eq(breaker_of("web-1").failed_probes, 0);
    cr_assert_str_eq(breaker_of("web-1").prober, "other");
    report(other, "web-1", true, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    commy_mesh_detach(&other);
    commy_mesh_detach(&reader);
    commy_mesh_detach(&outsider);
    audit();
}

static void take_the_turn(commy_mesh_t *own)
{
    commy_target_t found, selected;
    if (commy_mesh_join(own, NULL, 0) != COMMY_STATUS_SUCCESS ||
        commy_service_find(own, "web-1", &found) != COMMY_STATUS_SUCCESS ||
        commy_service_select(own, "web", NULL, &selected) != COMMY_STATUS_SUCCESS ||
        selected.reference != found.reference)
        _exit(3);
}

Test(breaker, one_who_dies_trying_is_replaced_at_once)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 40});
    report(mesh, "web-1", false, 1);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000});
    become_due("web-1");
    pid_t first = start_owner(take_the_turn);
    cr_assert_eq(times_selected(mesh, "web-1", 10), 0);
    cr_assert_str_eq(breaker_of("web-1").prober, "child");
    kill_owner(first);
    cr_assert_eq(breaker_of("web-1").probe_in_ms, 0);
    cr_assert_eq(selected_in_time("web-1"), reference_of("web-1"), "as soon as the death is noticed");
    report(mesh, "web-1", true, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    audit();
}

Test(breaker, one_who_leaves_is_replaced_and_one_who_says_nothing_in_time)
{
    begin_with(2);
    commy_mesh_t *other = attach(COMMY_OPEN_MUST_EXIST);
    cr_assert_eq(commy_mesh_join(other, NULL, 0), COMMY_STATUS_SUCCESS);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 200});
    report(mesh, "web-1", false, 1);
    become_due("web-1");
    cr_assert_eq(selected_by(other), reference_of("web-1"));
    cr_assert_eq(times_selected(mesh, "web-1", 5), 0);
    commy_mesh_detach(&other);
    cr_assert_eq(selected_by(mesh), reference_of("web-1"), "who left");
    uint64_t before = now_ms();
    cr_assert_eq(selected_in_time("web-1"), reference_of("web-1"), "who said nothing");
    cr_assert(now_ms() - before >= 150, "after %" PRIu64 " ms", now_ms() - before);
    audit();
}

/* --------------------------------------------------------------- all of them */

Test(breaker, where_all_are_open_the_sentence_says_until_when)
{
    begin_with(2);
    commy_target_t target;
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000});
    report(mesh, "web-1", false, 1);
    report(mesh, "web-2", false, 1);
    for (size_t i = 0; i < POLICIES; i++)
        expect(try_select(mesh, policies[i], &target), COMMY_STATUS_CIRCUIT_OPEN, "may be tried in");
    cr_assert_eq(commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_DRAINING), COMMY_STATUS_SUCCESS);
    expect(try_select(mesh, 0, &target), COMMY_STATUS_CIRCUIT_OPEN, "1 ejected by the circuit breaker, 1 draining");
    cr_assert_eq(commy_service_set_admin(mesh, "web-2", COMMY_ADMIN_DRAINING), COMMY_STATUS_SUCCESS);
    expect(try_select(mesh, 0, &target), COMMY_STATUS_NO_HEALTHY, "2 draining");
    cr_assert_eq(commy_service_set_admin(mesh, "web-2", COMMY_ADMIN_ENABLED), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_reset_breaker(mesh, "web-2"), COMMY_STATUS_SUCCESS);
    cr_assert_eq(selected_by(mesh), reference_of("web-2"));
    audit();
}

Test(breaker, the_only_instance_is_tried_when_the_time_has_passed)
{
    begin_with(1);
    commy_target_t target;
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 50});
    report(mesh, "web-1", false, 1);
    expect(try_select(mesh, 0, &target), COMMY_STATUS_CIRCUIT_OPEN, "web");
    become_due("web-1");
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    expect(try_select(reader, 0, &target), COMMY_STATUS_CIRCUIT_OPEN, "by a handle that joined");
    commy_mesh_detach(&reader);
    cr_assert_eq(try_select(mesh, 0, &target), COMMY_STATUS_SUCCESS);
    expect(try_select(mesh, 0, &target), COMMY_STATUS_CIRCUIT_OPEN, "web");
    report(mesh, "web-1", true, 1);
    cr_assert_eq(times_selected(mesh, "web-1", 3), 3);
    audit();
}

Test(breaker, no_more_than_a_share_is_ejected)
{
    begin_with(5);
    configure((commy_breaker_config_t){.consecutive_failures = 2, .open_ms = 60000, .most_ejected_percent = 50});
    for (int i = 1; i <= 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "web-%d", i);
        report(mesh, id, false, 8);
        cr_assert_eq(state_of(id), i <= 2 ? COMMY_BREAKER_OPEN : COMMY_BREAKER_CLOSED, "instance %d", i);
    }
    cr_assert_eq(times_selected(mesh, "web-3", 30), 10);
    cr_assert_eq(commy_service_reset_breaker(mesh, "web-1"), COMMY_STATUS_SUCCESS);
    report(mesh, "web-3", false, 2);
    cr_assert_eq(state_of("web-3"), COMMY_BREAKER_OPEN, "there is room again");
    report(mesh, "web-4", false, 4);
    cr_assert_eq(state_of("web-4"), COMMY_BREAKER_CLOSED);
    audit();
}

/* --------------------------------------------------------------- from outside */

Test(breaker, a_reset_closes_it_and_ends_the_turn_of_who_tries)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 3, .open_ms = 40});
    cr_assert_eq(commy_service_reset_breaker(mesh, "web-1"), COMMY_STATUS_SUCCESS, "nothing was ever reported");
    report(mesh, "web-1", false, 3);
    become_due("web-1");
    cr_assert_eq(selected_by(mesh), reference_of("web-1"));
    cr_assert_eq(commy_service_reset_breaker(mesh, "web-1"), COMMY_STATUS_SUCCESS);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    report(mesh, "web-1", false, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED, "one failure of three");
    cr_assert_eq(breaker_of("web-1").failures, 1);
    expect(commy_service_reset_breaker(mesh, "no"), COMMY_STATUS_NOT_FOUND, "the id no");
    commy_breaker_status_t status;
    expect(commy_service_breaker(mesh, "no", &status), COMMY_STATUS_NOT_FOUND, "the id no");
    expect(commy_service_breaker(mesh, "web-1", NULL), COMMY_STATUS_INVALID, "status");
    audit();
}

Test(breaker, switched_off_everything_is_selected_and_a_success_closes)
{
    begin_with(3);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000});
    report(mesh, "web-1", false, 1);
    report(mesh, "web-2", false, 1);
    cr_assert_eq(times_selected(reader, "web-1", 6), 0);
    /* As one who is killed before the announcement. */
    cmy_and64_acq_rel(&mesh->region->header->breaker_rules, ~CMY_RULES_ON);
    cr_assert_eq(times_selected(reader, "web-1", 6), 2);
    cr_assert_eq(times_selected(mesh, "web-1", 6), 2);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    cr_assert_eq(commy_mesh_set_breaker(mesh, NULL), COMMY_STATUS_SUCCESS);
    report(mesh, "web-1", true, 1);
    report(mesh, "web-2", false, 1);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000});
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    cr_assert_eq(state_of("web-2"), COMMY_BREAKER_OPEN, "as it was");
    cr_assert_eq(times_selected(reader, "web-2", 6), 0);
    commy_mesh_detach(&reader);
    audit();
}

Test(breaker, a_configuration_is_kept_and_checked)
{
    begin_with(1);
    commy_breaker_config_t config, none = {.size = sizeof none};
    cr_assert_eq(commy_mesh_breaker(mesh, &config), COMMY_STATUS_SUCCESS);
    cr_assert_eq(config.enabled, 0);
    configure((commy_breaker_config_t){0});
    cr_assert_eq(commy_mesh_breaker(mesh, &config), COMMY_STATUS_SUCCESS);
    const commy_breaker_config_t defaults = {sizeof defaults, 1, 5, 0, 20, 100, 10000, 5000, 300000};
    cr_assert_eq(memcmp(&config, &defaults, sizeof config), 0);
    const commy_breaker_config_t most = {sizeof most, 1, 10000, 100, 10000, 100, 1800000, 3600000, 86400000};
    cr_assert_eq(commy_mesh_set_breaker(mesh, &most), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_breaker(mesh, &config), COMMY_STATUS_SUCCESS);
    cr_assert_eq(memcmp(&config, &most, sizeof config), 0);
    const struct {
        commy_breaker_config_t config;
        const char *part;
    } wrong[] = {
        {{.enabled = 2}, "enabled is 2"},
        {{.consecutive_failures = 10001}, "consecutive_failures is 10001; give 1 to 10000"},
        {{.failure_percent = 101}, "failure_percent is 101; give 1 to 100"},
        {{.minimum_requests = 10001}, "minimum_requests"},
        {{.most_ejected_percent = 101}, "most_ejected_percent"},
        {{.window_ms = 1800001}, "window_ms"},
        {{.open_ms = UINT64_MAX}, "open_ms is 18446744073709551615; give 1 to 3600000"},
        {{.longest_open_ms = 86400001}, "longest_open_ms"},
        {{.open_ms = 100, .longest_open_ms = 99}, "less than open_ms, 100"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        commy_breaker_config_t given = wrong[i].config;
        given.size = sizeof given;
        expect(commy_mesh_set_breaker(mesh, &given), COMMY_STATUS_INVALID, wrong[i].part);
    }
    none.size = 3;
    expect(commy_mesh_set_breaker(mesh, &none), COMMY_STATUS_INVALID, "config.size");
    expect(commy_mesh_breaker(mesh, NULL), COMMY_STATUS_INVALID, "config");
    cr_assert_eq(commy_mesh_breaker(mesh, &config), COMMY_STATUS_SUCCESS);
    cr_assert_eq(memcmp(&config, &most, sizeof config), 0, "what was refused changed nothing");
    cr_assert_eq(commy_mesh_set_breaker(mesh, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_breaker(mesh, &config), COMMY_STATUS_SUCCESS);
    cr_assert_eq(config.enabled, 0);
    cr_assert_eq(config.open_ms, 3600000, "the rest is kept");
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    expect(commy_mesh_set_breaker(reader, &most), COMMY_STATUS_READ_ONLY, "read-only");
    cr_assert_eq(commy_mesh_breaker(reader, &config), COMMY_STATUS_SUCCESS);
    commy_mesh_detach(&reader);
}

/* ---------------------------------------------------------------------------- time */

Test(breaker, times_are_told_where_their_bits_begin_anew)
{
    const uint64_t all = 1ull << 33; /* 4.6 years */
    for (uint64_t now = 5 * all - 3; now < 5 * all + 3; now++) {
        cr_assert_eq(cmy_turn_left(cmy_turn(CMY_NOBODY, now + 1), now), 1);
        cr_assert_eq(cmy_turn_left(cmy_turn(0x7fffffff, now), now), 0);
        cr_assert_eq(cmy_turn_left(cmy_turn(0x7fffffff, now - 1), now), 0);
        cr_assert_eq(cmy_turn_left(cmy_turn(CMY_NOBODY, now - all / 2), now), 0, "more than two years ago");
        uint64_t longest = cmy_tick(CMY_RULES_MOST_LONGEST_MS * 1000000ull) + 2;
        cr_assert_eq(cmy_turn_left(cmy_turn(0x7fffffff, now + longest), now), longest);
    }
}

Test(breaker, a_time_that_nobody_can_have_given_is_waited_for_by_nobody)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000});
    report(mesh, "web-1", false, 1);
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, "web-1", &record, &state), COMMY_STATUS_SUCCESS);
    cmy_tally_shm_t *tally = cmy_tally_linked(mesh->region, record, state);
    cmy_store64_relaxed(&tally->breaker.turn, cmy_turn(mesh->actor.owner, cmy_tick(now_ns()) + CMY_TURN_TIME_MASK / 2));
    cr_assert_eq(breaker_of("web-1").state, COMMY_BREAKER_HALF_OPEN);
    cr_assert_eq(breaker_of("web-1").probe_in_ms, 0);
    cr_assert_eq(selected_by(mesh), reference_of("web-1"));
    report(mesh, "web-1", true, 1);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED);
    audit();
}

/* ------------------------------------------------------------- what is left behind */

static cmy_service_shm_t *hot_of(const char *id, uint32_t *record, uint64_t *state)
{
    cr_assert_eq(cmy_mesh_look_up(mesh, id, record, state), COMMY_STATUS_SUCCESS);
    return cmy_service_at(mesh->region, *record);
}

Test(breaker, one_that_was_opened_and_not_announced_is_passed_over_and_tried)
{
    begin_with(3);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000});
    report(mesh, "web-1", true, 1);
    cr_assert_eq(times_selected(mesh, "web-1", 30), 10);
    uint32_t record;
    uint64_t state;
    cmy_service_shm_t *hot = hot_of("web-1", &record, &state);
    cmy_tally_shm_t *tally = cmy_tally_linked(mesh->region, record, state);
    uint64_t condition = cmy_load64_acquire(&hot->condition);
    cmy_store64_relaxed(&tally->breaker.turn, cmy_turn(CMY_NOBODY, cmy_tick_after(now_ns(), 150)));
    cr_assert(cmy_swap64_acq_rel(&hot->condition, condition, cmy_condition_turned(condition, true, 0)));
    cr_assert_eq(times_selected(mesh, "web-1", 30), 0);
    become_due("web-1");
    cr_assert_eq(times_selected(mesh, "web-1", 3), 1, "within a rotation");
    audit();
}

Test(breaker, one_that_was_closed_and_not_announced_is_selected_when_its_time_has_passed)
{
    begin_with(3);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 150});
    report(mesh, "web-1", false, 1);
    cr_assert_eq(times_selected(mesh, "web-1", 6) + times_selected(reader, "web-1", 6), 0);
    uint32_t record;
    uint64_t state;
    cmy_service_shm_t *hot = hot_of("web-1", &record, &state);
    uint64_t condition = cmy_load64_acquire(&hot->condition);
    cr_assert(cmy_swap64_acq_rel(&hot->condition, condition, cmy_condition_turned(condition, false, 0)));
    sleep_ms(250);
    cr_assert_eq(times_selected(mesh, "web-1", 30), 10);
    cr_assert_eq(times_selected(reader, "web-1", 30), 10);
    commy_mesh_detach(&reader);
    audit();
}

Test(breaker, an_opener_or_a_decider_that_comes_late_changes_nothing)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 40});
    uint32_t record;
    uint64_t state;
    cmy_service_shm_t *hot = hot_of("web-1", &record, &state);
    uint64_t closed = cmy_load64_acquire(&hot->condition);
    report(mesh, "web-1", false, 1);
    uint64_t open = cmy_load64_acquire(&hot->condition);
    cr_assert_eq(commy_service_reset_breaker(mesh, "web-1"), COMMY_STATUS_SUCCESS);
    cr_assert_not(cmy_swap64_acq_rel(&hot->condition, closed, open), "closed again is not as it was");
    report(mesh, "web-1", false, 1);
    uint64_t again = cmy_load64_acquire(&hot->condition);
    cr_assert_neq(again, open, "nor open");
    cr_assert_eq(commy_service_set_weight(mesh, "web-1", 7), COMMY_STATUS_SUCCESS);
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_OPEN, "a weight changes nothing of it");
    drop(mesh, "web-1");
    add(mesh, "web", "web-1");
    cr_assert_eq(state_of("web-1"), COMMY_BREAKER_CLOSED, "the next registration begins closed");
    report(mesh, "web-1", true, 1);
    cr_assert_eq(breaker_of("web-1").openings, 0);
    audit();
}

/* ------------------------------------------------------------------------ races */

#define RACERS 4

static struct {
    pthread_barrier_t together;
    const char *id[RACERS];
    uint64_t reference;
    _Atomic int taken;
} race;

static void *fail_at_once(void *number)
{
    uint64_t reference = reference_of(race.id[(uintptr_t)number]);
    pthread_barrier_wait(&race.together);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(commy_service_report(mesh, reference, 1, false), COMMY_STATUS_SUCCESS);
    return NULL;
}

static void run_race(void *(*body)(void *))
{
    pthread_t threads[RACERS];
    pthread_barrier_init(&race.together, NULL, RACERS);
    for (uintptr_t i = 0; i < RACERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.together);
}

Test(breaker, instances_that_fail_at_once_never_exceed_the_share)
{
    begin_with(4);
    configure((commy_breaker_config_t){.consecutive_failures = 5, .open_ms = 60000, .most_ejected_percent = 50});
    for (int i = 0; i < RACERS; i++)
        race.id[i] = (const char *[]){"web-1", "web-2", "web-3", "web-4"}[i];
    for (int round = 0; round < test_rounds(200); round++) {
        run_race(fail_at_once);
        int open = 0;
        for (int i = 0; i < RACERS; i++)
            open += state_of(race.id[i]) == COMMY_BREAKER_OPEN;
        cr_assert(open <= 2, "%d of 4 are open", open);
        for (int i = 0; i < RACERS; i++)
            cr_assert_eq(commy_service_reset_breaker(mesh, race.id[i]), COMMY_STATUS_SUCCESS);
    }
    audit();
}

static void *select_at_once(void *unused)
{
    (void)unused;
    commy_mesh_t *own = attach(COMMY_OPEN_MUST_EXIST);
    cr_assert_eq(commy_mesh_join(own, NULL, 0), COMMY_STATUS_SUCCESS);
    pthread_barrier_wait(&race.together);
    for (int i = 0; i < 100; i++)
        race.taken += selected_by(own) == race.reference;
    pthread_barrier_wait(&race.together);
    commy_mesh_detach(&own);
    return NULL;
}

Test(breaker, of_all_who_select_at_once_one_tries)
{
    begin_with(3);
    for (int round = 0; round < test_rounds(50); round++) {
        configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 1});
        report(mesh, "web-2", false, 1);
        configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 60000});
        become_due("web-2");
        race.reference = reference_of("web-2");
        race.taken = 0;
        run_race(select_at_once);
        cr_assert_eq(race.taken, 1, "%d tried", race.taken);
        cr_assert_eq(commy_service_reset_breaker(mesh, "web-2"), COMMY_STATUS_SUCCESS);
    }
    audit();
}
