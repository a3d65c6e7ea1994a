/*
 * Circuit breakers where a report comes late, a reporter was killed halfway, bytes are damaged, or many report at once. Those
 * who were stopped between finding a service and acting on it are stood for by calls with what they had found.
 */
#include "registry/breaker.h"
#include "support_breaker.h"

TestSuite(breaker_edges, .init = set_up, .fini = tear_down, .timeout = 60);

/* What somebody found. */
typedef struct found {
    uint32_t record;
    uint64_t state;
    cmy_service_shm_t *hot;
} found_t;

static found_t find(const char *id)
{
    found_t found;
    cr_assert_eq(cmy_mesh_look_up(mesh, id, &found.record, &found.state), COMMY_STATUS_SUCCESS);
    found.hot = cmy_service_at(mesh->region, found.record);
    return found;
}

static cmy_tally_shm_t *tally_of(const found_t *found)
{
    return cmy_tally_linked(mesh->region, found->record, found->state);
}

/* ------------------------------------------------------------------------ late */

static void heed(const found_t *found, bool success)
{
    cr_assert(cmy_mesh_begin(mesh));
    cmy_breaker_heed(mesh, found->record, found->state, success);
    cmy_mesh_exit(mesh);
}

static bool try_it(const found_t *found, uint64_t *tick)
{
    cmy_rcu_read_lock();
    bool tries = cmy_breaker_try(mesh, found->record, found->state, tick);
    cmy_rcu_read_unlock();
    return tries;
}

Test(breaker_edges, what_was_meant_for_an_earlier_registration_changes_nothing_of_the_next)
{
    begin_with(1);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 1});
    found_t before = find("web-1");
    uint64_t tick;
    heed(&before, false); /* and without any statistics of its own */
    cr_assert(!try_it(&before, &tick));
    report(mesh, "web-1", true, 1);
    drop(mesh, "web-1");
    add(mesh, "web", "web-1");
    found_t next = find("web-1");
    cr_assert_eq(next.record, before.record, "the record is used again");
    report(mesh, "web-1", true, 1);
    uint64_t condition = cmy_load64_acquire(&next.hot->condition);
    heed(&before, false);
    heed(&before, true);
    cmy_breaker_close(mesh, before.record, before.state, COMMY_REASON_RESET);
    cr_assert_eq(cmy_load64_acquire(&next.hot->condition), condition);
    cr_assert_eq(breaker_of("web-1").failures, 0);
    report(mesh, "web-1", false, 1);
    cr_assert(EVENTUALLY(breaker_of("web-1").state == COMMY_BREAKER_HALF_OPEN));
    condition = cmy_load64_acquire(&next.hot->condition);
    cr_assert(!try_it(&before, &tick));
    heed(&before, true);
    cmy_breaker_close(mesh, before.record, before.state, COMMY_REASON_RESET);
    cr_assert_eq(cmy_load64_acquire(&next.hot->condition), condition);
    cr_assert(try_it(&next, &tick), "its own may");
    audit();
}

Test(breaker_edges, a_failure_that_is_heard_of_when_breakers_are_off_leaves_it_as_it_is)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 1});
    report(mesh, "web-1", false, 1);
    cr_assert_eq(commy_mesh_set_breaker(mesh, NULL), COMMY_STATUS_SUCCESS);
    found_t found = find("web-1");
    uint64_t condition = cmy_load64_acquire(&found.hot->condition);
    uint64_t streak = cmy_load64_relaxed(&tally_of(&found)->breaker.streak);
    heed(&found, false); /* it asked whether they were on before they were switched off */
    cr_assert_eq(cmy_load64_acquire(&found.hot->condition), condition);
    cr_assert_eq(cmy_load64_relaxed(&tally_of(&found)->breaker.streak), streak);
    heed(&found, true);
    cr_assert_eq(cmy_load64_acquire(&found.hot->condition) & CMY_CONDITION_OPEN, 0);
    audit();
}

Test(breaker_edges, a_handle_that_has_left_heeds_nothing_of_what_it_counted)
{
    begin_with(1);
    cr_assert(cmy_mesh_begin(mesh));
    cmy_mesh_exit(mesh);
    cr_assert_eq(commy_mesh_leave(mesh), COMMY_STATUS_SUCCESS);
    cr_assert(!cmy_mesh_begin(mesh), "which is asked before it is told to the breaker");
}

Test(breaker_edges, one_that_is_closed_is_not_tried)
{
    begin_with(1);
    configure((commy_breaker_config_t){.consecutive_failures = 1, .open_ms = 1});
    report(mesh, "web-1", true, 1);
    found_t found = find("web-1");
    uint64_t tick = 0, turn = cmy_load64_relaxed(&tally_of(&found)->breaker.turn);
    cr_assert(!try_it(&found, &tick));
    cr_assert_gt(tick, cmy_tick(now_ns()) - 2, "and not again at once");
    cr_assert_eq(cmy_load64_relaxed(&tally_of(&found)->breaker.turn), turn);
    audit();
}

/* -------------------------------------------------------------------- half done */

/* Killed between the two words of a window: nobody knows how many successes there had been, so it opens nothing. */
Test(breaker_edges, a_window_whose_beginner_was_killed_ejects_nobody_and_the_next_one_does)
{
    begin_with(2);
    configure((commy_breaker_config_t){.consecutive_failures = 10000,
                                       .failure_percent = 50,
                                       .minimum_requests = 4,
                                       .open_ms = 60000,
                                       .window_ms = 1000});
    report(mesh, "web-1", true, 1);
    found_t found = find("web-1");
    cmy_tally_shm_t *tally = tally_of(&found);
    cmy_store64_relaxed(&tally->breaker.window, cmy_window((uint32_t)cmy_tick(now_ns()), 1));
    report(mesh, "web-1", false, 20);
    cr_assert_eq(breaker_of("web-1").state, COMMY_BREAKER_CLOSED);
    sleep_ms(1100);
    report(mesh, "web-1", false, 4);
    cr_assert_eq(breaker_of("web-1").state, COMMY_BREAKER_OPEN);
    audit();
}

/* --------------------------------------------------------------------- damaged */

Test(breaker_edges, where_instances_cannot_be_counted_none_is_ejected_for_its_share)
{
    begin_with(4);
    configure((commy_breaker_config_t){.consecutive_failures = 2, .open_ms = 60000, .most_ejected_percent = 50});
    report(mesh, "web-1", true, 1);
    found_t found = find("web-1");
    cmy_word64_t *name = cmy_cold_at(mesh->region, found.record)->name;
    uint64_t was = cmy_load64_relaxed(name);
    cmy_store64_relaxed(name, 0);
    report(mesh, "web-1", false, 8);
    cr_assert_eq(breaker_of("web-1").state, COMMY_BREAKER_CLOSED);
    cmy_store64_relaxed(name, was);
    report(mesh, "web-1", false, 2);
    cr_assert_eq(breaker_of("web-1").state, COMMY_BREAKER_OPEN);
    audit();
}

Test(breaker_edges, a_count_of_failures_that_nobody_can_have_made_is_told_as_the_most)
{
    begin_with(1);
    report(mesh, "web-1", true, 1);
    found_t found = find("web-1");
    cmy_store64_relaxed(&tally_of(&found)->breaker.streak, 1ull << 40);
    cr_assert_eq(breaker_of("web-1").failures, UINT32_MAX);
}

/* ----------------------------------------------------------------- all at once */

#define THREADS 4
#define FAILURES 25

static pthread_barrier_t together;

static void *fail_often(void *reference)
{
    pthread_barrier_wait(&together);
    for (int i = 0; i < FAILURES; i++)
        cr_assert_eq(commy_service_report(mesh, *(const uint64_t *)reference, 1, false), COMMY_STATUS_SUCCESS);
    return NULL;
}

Test(breaker_edges, a_window_counts_every_failure_whoever_begins_it)
{
    begin_with(1);
    configure((commy_breaker_config_t){.consecutive_failures = 10000,
                                       .failure_percent = 100,
                                       .minimum_requests = 10000,
                                       .open_ms = 60000,
                                       .window_ms = 600000});
    report(mesh, "web-1", true, 1);
    uint64_t reference = reference_of("web-1");
    found_t found = find("web-1");
    pthread_barrier_init(&together, NULL, THREADS);
    for (int round = 0; round < test_rounds(300); round++) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, fail_often, &reference), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        cr_assert_eq((uint32_t)cmy_load64_relaxed(&tally_of(&found)->breaker.window), THREADS * FAILURES);
        cr_assert_eq(breaker_of("web-1").failures, THREADS * FAILURES);
        cr_assert_eq(commy_service_reset_breaker(mesh, "web-1"), COMMY_STATUS_SUCCESS);
    }
    pthread_barrier_destroy(&together);
    audit();
}
