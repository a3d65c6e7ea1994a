/*
 * The registry, question by question: who owns an id, how long a registration lives, what a handle may do before, while
 * and after it is in the mesh, what the dead leave, and which code and sentence answers a call that cannot be served.
 */
#include "support_registry.h"

TestSuite(registry, .init = set_up, .fini = tear_down, .timeout = 60);

/* -------------------------------------------------------------- ids and owners */

Test(registry, a_live_id_is_refused_whoever_asks_and_the_holder_is_named)
{
    char process[32];
    begin(64);
    add(mesh, "web", "web-1");
    snprintf(process, sizeof process, "process %d", (int)getpid());
    expect(try_add(mesh, "web", "web-1"), COMMY_STATUS_EXISTS, "'web-1' is held by node tester");
    expect(try_add(mesh, "another", "web-1"), COMMY_STATUS_EXISTS, process);
    commy_mesh_t *other = attach(0);
    expect(try_add(other, "web", "web-1"), COMMY_STATUS_EXISTS, "127.0.0.1:8080");
    cr_assert_eq(count_of(mesh, "web"), 1);
    cr_assert_eq(count_of(mesh, "another"), 0);
    drop(mesh, "web-1");
    add(other, "web", "web-1");
    expect(try_add(mesh, "web", "web-1"), COMMY_STATUS_EXISTS, "web-1");
    add_with_ttl(mesh, "web", "loose", COMMY_SERVICE_DETACHED, 60000);
    expect(try_add(mesh, "web", "loose"), COMMY_STATUS_EXISTS, "detached registration of 127.0.0.1:8080");
    commy_mesh_detach(&other);
    audit();
}

Test(registry, anybody_may_change_and_unregister_what_somebody_else_registered)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_mesh_t *other = attach(0);
    cr_assert_eq(commy_service_set_weight(other, "web-1", 7), COMMY_STATUS_SUCCESS);
    cr_assert_eq(info_of(mesh, "web-1").weight, 7);
    drop(other, "web-1");
    cr_assert_not(there(mesh, "web-1"));
    expect(commy_service_unregister(mesh, "web-1"), COMMY_STATUS_NOT_FOUND, "no live service has the id web-1");
    commy_mesh_detach(&other);
    audit();
}

static void own_web_1_and_2(commy_mesh_t *own)
{
    add(own, "web", "web-1");
    commy_service_config_t config = config_of("web", "web-2");
    config.metadata = "{\"of\":\"the dead\"}";
    cr_assert_eq(commy_service_register(own, &config, NULL), COMMY_STATUS_SUCCESS);
}

Test(registry, what_the_dead_owned_is_gone_and_its_ids_can_be_taken_at_once)
{
    begin(64);
    add(mesh, "web", "of-the-living");
    for (int round = 0; round < 5; round++) {
        pid_t owner = start_owner(own_web_1_and_2);
        cr_assert(there(mesh, "web-1"));
        cr_assert_eq(count_of(mesh, "web"), 3);
        kill_owner(owner);
        cr_assert_not(there(mesh, "web-1"), "the first lookup after waitpid()");
        cr_assert_eq(count_of(mesh, "web"), 1);
        cr_assert_eq(numbers_of(mesh).total_services, 1);
        add(mesh, "web", "web-1");
        cr_assert_eq(info_of(mesh, "web-1").owner_pid, (uint32_t)getpid());
        cr_assert_eq(info_of(mesh, "web-1").metadata_bytes, 0);
        drop(mesh, "web-1");
        cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
        cr_assert(EVENTUALLY(participants_of(mesh) == 1));
        cr_assert(EVENTUALLY(records_in_use(mesh, CMY_SERVICES) == 1));
        cr_assert(EVENTUALLY(records_in_use(mesh, CMY_SMALL_TEXTS) == 0));
    }
    audit();
}

Test(registry, reaping_reports_what_it_gave_back_and_finds_nothing_twice)
{
    begin(64);
    commy_mesh_t *reader = attach(0); /* has no keeper before it joins */
    pid_t owner = start_owner(own_web_1_and_2);
    kill_owner(owner);
    cr_assert_eq(records_in_use(reader, CMY_SERVICES), 2, "nobody was there to reap");
    commy_reap_report_t report;
    cr_assert_eq(commy_mesh_reap(reader, &report), COMMY_STATUS_SUCCESS);
    cr_assert(EVENTUALLY(records_in_use(reader, CMY_SERVICES) == 0));
    cr_assert(EVENTUALLY(records_in_use(reader, CMY_SMALL_TEXTS) == 0));
    cr_assert_leq(report.services, 2);
    cr_assert_eq(commy_mesh_reap(reader, &report), COMMY_STATUS_SUCCESS);
    cr_assert_eq(report.participants + report.services + report.groups + report.blocks, 0);
    commy_mesh_detach(&reader);
    audit();
}

/* -------------------------------------------------------------------- a handle */

Test(registry, queries_do_not_join_and_changes_do)
{
    begin(64);
    commy_mesh_info_t info;
    commy_target_t target;
    cr_assert_eq(commy_mesh_info(mesh, &info), COMMY_STATUS_SUCCESS);
    cr_assert_eq(info.joined, 0);
    cr_assert_eq(info.capacity, 64);
    cr_assert_eq(info.read_only, 0);
    cr_assert_eq(info.mode & 0777, 0600);
    cr_assert_eq(info.owner_uid, geteuid());
    cr_assert_str_eq(info.dir, test_dir);
    cr_assert_str_eq(info.mesh, "m");
    cr_assert_str_eq(info.node_id, "tester");
    cr_assert(info.reserved_bytes <= info.region_bytes && info.statistics_bytes <= info.reserved_bytes);
    expect(commy_service_find(mesh, "x", &target), COMMY_STATUS_NOT_FOUND, "no live service has the id x");
    cr_assert(strstr(commy_last_error_message(), test_dir), "names the directory");
    cr_assert_eq(participants_of(mesh), 0);
    expect(commy_service_unregister(mesh, "x"), COMMY_STATUS_NOT_FOUND, "id x");
    cr_assert_eq(commy_mesh_info(mesh, &info), COMMY_STATUS_SUCCESS);
    cr_assert_eq(info.joined, 1);
    cr_assert_eq(info.participants, 1);
    cr_assert_eq(participants_of(mesh), 1);
}

Test(registry, participants_are_listed_with_what_they_own)
{
    begin(64);
    commy_participant_t list[4];
    size_t count;
    add(mesh, "a", "a-1");
    add(mesh, "a", "a-2");
    commy_mesh_t *other = attach(0);
    cr_assert_eq(commy_mesh_join(other, "second-node", 99), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_join(other, "not-looked-at", 100), COMMY_STATUS_SUCCESS, "joined already");
    memset(list, 0xff, sizeof list);
    cr_assert_eq(commy_mesh_participants(mesh, list, 4, &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, 2);
    const commy_participant_t *first = &list[strcmp(list[0].node_id, "tester") != 0], *second = &list[first == list];
    cr_assert_str_eq(first->node_id, "tester");
    cr_assert_eq(first->services, 2);
    cr_assert_eq(first->listen_port, 4711);
    cr_assert_eq(first->pid, (uint32_t)getpid());
    cr_assert_eq(first->uid, geteuid());
    cr_assert_eq(first->alive, 1);
    cr_assert_str_eq(second->node_id, "second-node");
    cr_assert_eq(second->services, 0);
    cr_assert_eq(second->listen_port, 99);
    memset(list, 0xff, sizeof list);
    cr_assert_eq(commy_mesh_participants(mesh, list, 1, &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, 2, "the full number");
    cr_assert_eq(list[1].alive, UINT32_MAX, "not written");
    commy_mesh_detach(&other);
    cr_assert_eq(participants_of(mesh), 1);
}

Test(registry, leaving_unregisters_what_the_handle_registered_and_nothing_else)
{
    begin(64);
    commy_mesh_t *other = attach(0);
    add(mesh, "web", "of-the-leaver");
    commy_service_config_t config = config_of("web", "of-the-leaver-too");
    config.metadata = "text";
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    add_with_ttl(mesh, "web", "detached", COMMY_SERVICE_DETACHED, 60000);
    add(other, "web", "of-the-other");
    cr_assert_eq(numbers_of(mesh).registered_services, 2);
    cr_assert_eq(numbers_of(other).registered_services, 1);
    cr_assert_eq(commy_mesh_leave(mesh), COMMY_STATUS_SUCCESS);
    cr_assert_not(there(other, "of-the-leaver"));
    cr_assert_not(there(other, "of-the-leaver-too"));
    cr_assert(there(other, "detached"));
    cr_assert(there(other, "of-the-other"));
    cr_assert_eq(participants_of(other), 1);
    cr_assert_eq(count_of(other, "web"), 2);
    cr_assert_eq(records_in_use(other, CMY_SERVICES), 2, "given back before leaving returned");
    cr_assert_eq(records_in_use(other, CMY_SMALL_TEXTS), 0);
    cr_assert_eq(numbers_of(mesh).registered_services, 0);
    add(other, "web", "of-the-leaver");
    commy_mesh_detach(&other);
    audit();
}

Test(registry, after_leaving_changes_are_refused_queries_are_not_and_joining_again_works)
{
    begin(64);
    commy_target_t target;
    commy_reap_report_t report;
    add(mesh, "web", "web-1");
    commy_mesh_t *other = attach(0);
    add(other, "web", "web-2");
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(commy_mesh_leave(mesh), COMMY_STATUS_SUCCESS);
        cr_assert_eq(commy_mesh_leave(mesh), COMMY_STATUS_SUCCESS, "twice is once");
        expect(try_add(mesh, "web", "web-3"), COMMY_STATUS_NOT_RUNNING, "start it again");
        expect(commy_service_unregister(mesh, "web-2"), COMMY_STATUS_NOT_RUNNING, "has left mesh m");
        expect(commy_service_heartbeat(mesh, "web-2"), COMMY_STATUS_NOT_RUNNING, test_dir);
        expect(commy_service_set_weight(mesh, "web-2", 1), COMMY_STATUS_NOT_RUNNING, "left");
        expect(commy_service_set_health(mesh, "web-2", 1), COMMY_STATUS_NOT_RUNNING, "left");
        expect(commy_service_set_admin(mesh, "web-2", 1), COMMY_STATUS_NOT_RUNNING, "left");
        expect(commy_service_set_metadata(mesh, "web-2", "x"), COMMY_STATUS_NOT_RUNNING, "left");
        expect(commy_mesh_reap(mesh, &report), COMMY_STATUS_NOT_RUNNING, "left");
        cr_assert_eq(commy_service_find(mesh, "web-2", &target), COMMY_STATUS_SUCCESS);
        expect(commy_service_report(mesh, target.reference, 1, true), COMMY_STATUS_NOT_RUNNING, "left");
        cr_assert_eq(participants_of(mesh), 1);
        cr_assert_eq(count_of(mesh, "web"), 1);
        cr_assert_eq(commy_mesh_join(mesh, NULL, 0), COMMY_STATUS_SUCCESS);
        cr_assert_eq(commy_mesh_join(mesh, NULL, 0), COMMY_STATUS_SUCCESS, "twice is once");
        cr_assert_eq(participants_of(mesh), 2);
        add(mesh, "web", "web-1");
        cr_assert_eq(count_of(other, "web"), 2);
    }
    commy_mesh_detach(&other);
    cr_assert_eq(count_of(mesh, "web"), 1);
    audit();
}

Test(registry, detaching_leaves)
{
    begin(64);
    commy_mesh_t *other = attach(0);
    add(other, "web", "web-1");
    commy_mesh_detach(&other);
    cr_assert_null(other);
    commy_mesh_detach(&other);
    commy_mesh_detach(NULL);
    cr_assert_not(there(mesh, "web-1"));
    cr_assert_eq(participants_of(mesh), 0);
    cr_assert_eq(records_in_use(mesh, CMY_SERVICES), 0);
    audit();
}

Test(registry, a_read_only_attachment_answers_every_query_and_refuses_every_change)
{
    begin(64);
    commy_service_config_t config = config_of("web", "web-1");
    config.metadata = "text";
    uint64_t reference, version;
    cr_assert_eq(commy_service_register(mesh, &config, &reference), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_report(mesh, reference, 4000000, true), COMMY_STATUS_SUCCESS);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_target_t target;
    commy_view_t view;
    commy_service_stats_t stats;
    commy_mesh_info_t info;
    char text[8];
    size_t length;
    cr_assert_eq(commy_service_find(reader, "web-1", &target), COMMY_STATUS_SUCCESS);
    cr_assert_eq(target.reference, reference);
    cr_assert_str_eq(info_of(reader, "web-1").name, "web");
    cr_assert_eq(commy_service_view(reader, "web-1", &view), COMMY_STATUS_SUCCESS);
    cr_assert(commy_view_valid(reader, &view));
    cr_assert_eq(commy_service_metadata(reader, "web-1", text, sizeof text, &length), COMMY_STATUS_SUCCESS);
    cr_assert_str_eq(text, "text");
    cr_assert_eq(commy_service_stats(reader, "web-1", &stats), COMMY_STATUS_SUCCESS);
    cr_assert_eq(stats.total_requests, 1);
    cr_assert_eq(count_of(reader, "web"), 1);
    cr_assert_eq(numbers_of(reader).total_requests, 1);
    cr_assert_eq(participants_of(reader), 1);
    cr_assert_eq(commy_mesh_wait(reader, "web", 0, 0, &version), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_info(reader, &info), COMMY_STATUS_SUCCESS);
    cr_assert_eq(info.read_only, 1);

    expect(commy_mesh_join(reader, NULL, 0), COMMY_STATUS_READ_ONLY, "attach it for writing");
    expect(try_add(reader, "web", "web-2"), COMMY_STATUS_READ_ONLY, test_dir);
    expect(commy_service_unregister(reader, "web-1"), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_service_heartbeat(reader, "web-1"), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_service_set_health(reader, "web-1", 2), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_service_set_admin(reader, "web-1", 1), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_service_set_weight(reader, "web-1", 1), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_service_set_metadata(reader, "web-1", "x"), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_service_report(reader, reference, 1, true), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_mesh_reap(reader, NULL), COMMY_STATUS_READ_ONLY, "read-only");
    cr_assert_eq(commy_mesh_leave(reader), COMMY_STATUS_SUCCESS, "it never joined");
    cr_assert_eq(participants_of(mesh), 1);
    commy_mesh_detach(&reader);
}

/* ------------------------------------------------------- refusals for everything */

static int wrong; /* calls that came to something else; a forked child cannot use Criterion's assertions */

static void must(const char *call, commy_status_t got, commy_status_t wanted, const char *part)
{
    const char *sentence = commy_last_error_message();
    if (got == wanted && commy_last_error() == (int32_t)wanted && strstr(sentence, part))
        return;
    wrong++;
    fprintf(stderr, "%s: %s, not %s with '%s': %s\n", call, commy_status_string((int32_t)got),
            commy_status_string((int32_t)wanted), part, sentence);
}
#define MUST(call) must(#call, call, wanted, part)

/* Every call that takes a handle, one after the other; each must come to `wanted`. */
static void every_call_is(commy_mesh_t *on, commy_status_t wanted, const char *part)
{
    commy_target_t target;
    commy_service_info_t info;
    commy_view_t view = {0};
    commy_iterator_t walk;
    commy_service_stats_t stats;
    commy_mesh_stats_t numbers;
    commy_mesh_info_t about;
    commy_reap_report_t report;
    const char *ids[1] = {"web-1"};
    int32_t code;
    uint64_t version, findings;
    size_t count;
    const commy_service_config_t config = config_of("web", "web-9");

    MUST(commy_service_find(on, "web-1", &target));
    MUST(commy_service_find_many(on, ids, 1, &target, &code));
    MUST(commy_service_get(on, "web-1", &info));
    MUST(commy_service_metadata(on, "web-1", NULL, 0, &count));
    MUST(commy_service_stats(on, "web-1", &stats));
    MUST(commy_service_view(on, "web-1", &view));
    wrong += commy_view_valid(on, &view);
    MUST(commy_view_target(on, &view, &target));
    MUST(commy_view_info(on, &view, &info));
    MUST(commy_iterate_name(on, "web", &walk));
    wrong += commy_iterate_next(on, &walk, &view);
    MUST(commy_iterate_all(on, &walk));
    wrong += commy_iterate_next(on, &walk, &view);
    MUST(commy_name_count(on, "web", &count));
    MUST(commy_name_discover(on, "web", &info, 1, &count));
    MUST(commy_name_discover(on, NULL, &info, 1, &count));
    MUST(commy_mesh_stats(on, &numbers));
    MUST(commy_mesh_info(on, &about));
    MUST(commy_mesh_participants(on, NULL, 0, &count));
    MUST(commy_mesh_wait(on, "web", 0, 0, &version));
    MUST(commy_mesh_wait(on, NULL, 1, -1, &version));
    MUST(commy_mesh_check(on, NULL, NULL, &findings));
    MUST(commy_mesh_join(on, NULL, 0));
    MUST(commy_service_register(on, &config, NULL));
    MUST(commy_service_unregister(on, "web-1"));
    MUST(commy_service_heartbeat(on, "web-1"));
    MUST(commy_service_set_health(on, "web-1", 1));
    MUST(commy_service_set_admin(on, "web-1", 1));
    MUST(commy_service_set_weight(on, "web-1", 1));
    MUST(commy_service_set_metadata(on, "web-1", "x"));
    MUST(commy_service_report(on, 1, 1, true));
    MUST(commy_mesh_reap(on, &report));
}

Test(registry, a_null_handle_is_refused_by_every_call)
{
    every_call_is(NULL, COMMY_STATUS_INVALID, "mesh is null");
    cr_assert_eq(wrong, 0);
    expect(commy_mesh_leave(NULL), COMMY_STATUS_INVALID, "mesh is null");
    expect(commy_mesh_attach(NULL, NULL), COMMY_STATUS_INVALID, "null");
}

Test(registry, a_removed_region_refuses_every_call_and_can_be_detached_and_made_again)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_mesh_t *other = attach(0), *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_open_options_t options = options_for(64, 0);
    expect(commy_mesh_remove(&options, false), COMMY_STATUS_BUSY, "1 live participant");
    cr_assert(there(mesh, "web-1"), "refusing changed nothing");
    cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS);
    every_call_is(mesh, COMMY_STATUS_REMOVED, test_dir);
    every_call_is(other, COMMY_STATUS_REMOVED, "removed");
    every_call_is(reader, COMMY_STATUS_REMOVED, "removed");
    commy_mesh_detach(&other);
    commy_mesh_detach(&reader);
    expect(commy_mesh_remove(&options, true), COMMY_STATUS_MESH_NOT_FOUND, test_dir);
    commy_mesh_t *fresh = attach(0);
    cr_assert_not(there(fresh, "web-1"));
    add(fresh, "web", "web-1");
    every_call_is(mesh, COMMY_STATUS_REMOVED, "removed");
    cr_assert_eq(wrong, 0);
    commy_mesh_detach(&mesh);
    mesh = fresh;
    audit();
}

Test(registry, a_region_nobody_is_in_can_be_removed_without_force)
{
    begin(64);
    commy_open_options_t options = options_for(64, 0);
    add(mesh, "web", "web-1");
    cr_assert_eq(commy_mesh_leave(mesh), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_remove(&options, false), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(test_dir_count(test_dir), 0);
}

Test(registry, a_forked_child_is_refused_by_every_call_and_harms_nobody)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    pid_t child = test_fork();
    if (child == 0) {
        commy_mesh_t *own;
        commy_target_t target;
        const commy_open_options_t options = options_for(0, COMMY_OPEN_MUST_EXIST);
        every_call_is(mesh, COMMY_STATUS_FORKED, "attach");
        every_call_is(reader, COMMY_STATUS_FORKED, "attach");
        must("leave", commy_mesh_leave(mesh), COMMY_STATUS_FORKED, "attach");
        wrong += commy_mesh_attach(&options, &own) != COMMY_STATUS_SUCCESS;
        wrong += try_add(own, "web", "of-the-child") != COMMY_STATUS_SUCCESS;
        commy_mesh_detach(&mesh);
        commy_mesh_detach(&reader);
        wrong += commy_service_find(own, "web-1", &target) != COMMY_STATUS_SUCCESS; /* the parent's is the parent's */
        commy_mesh_detach(&own);
        _exit(wrong == 0 ? 42 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status 0x%x", (unsigned)status);
    cr_assert(there(mesh, "web-1"));
    cr_assert(there(reader, "web-1"));
    cr_assert_eq(participants_of(mesh), 1);
    cr_assert_eq(count_of(mesh, "web"), 1);
    commy_mesh_detach(&reader);
    audit();
}

Test(registry, null_parameters_are_refused)
{
    begin(64);
    commy_target_t target;
    commy_service_info_t info;
    commy_view_t view = {0};
    int32_t code = 77;
    size_t count;
    const char *ids[1] = {"x"};
    add(mesh, "n", "x");
    expect(commy_service_find(mesh, NULL, &target), COMMY_STATUS_INVALID, "service id is null");
    expect(commy_service_find(mesh, "x", NULL), COMMY_STATUS_INVALID, "target is null");
    expect(commy_service_find(mesh, "", &target), COMMY_STATUS_INVALID, "service id is empty");
    expect(commy_service_get(mesh, "x", NULL), COMMY_STATUS_INVALID, "info is null");
    expect(commy_service_view(mesh, "x", NULL), COMMY_STATUS_INVALID, "view is null");
    expect(commy_view_target(mesh, NULL, &target), COMMY_STATUS_INVALID, "view is null");
    expect(commy_view_target(mesh, &view, NULL), COMMY_STATUS_INVALID, "target is null");
    expect(commy_view_info(mesh, NULL, &info), COMMY_STATUS_INVALID, "view is null");
    cr_assert_not(commy_view_valid(mesh, NULL));
    expect(commy_service_metadata(mesh, "x", NULL, 1, &count), COMMY_STATUS_INVALID, "out is null");
    cr_assert_eq(commy_service_metadata(mesh, "x", NULL, 0, NULL), COMMY_STATUS_SUCCESS, "nothing is wanted");
    expect(commy_service_stats(mesh, "x", NULL), COMMY_STATUS_INVALID, "stats is null");
    expect(commy_mesh_stats(mesh, NULL), COMMY_STATUS_INVALID, "stats is null");
    expect(commy_mesh_info(mesh, NULL), COMMY_STATUS_INVALID, "info is null");
    expect(commy_mesh_participants(mesh, NULL, 0, NULL), COMMY_STATUS_INVALID, "count is null");
    expect(commy_mesh_participants(mesh, NULL, 1, &count), COMMY_STATUS_INVALID, "out is null");
    expect(commy_name_count(mesh, "n", NULL), COMMY_STATUS_INVALID, "count is null");
    expect(commy_name_count(mesh, NULL, &count), COMMY_STATUS_INVALID, "service name is null");
    expect(commy_name_discover(mesh, "n", NULL, 1, &count), COMMY_STATUS_INVALID, "out is null");
    expect(commy_name_discover(mesh, "n", &info, 1, NULL), COMMY_STATUS_INVALID, "count is null");
    expect(commy_iterate_name(mesh, "n", NULL), COMMY_STATUS_INVALID, "iterator is null");
    expect(commy_iterate_all(mesh, NULL), COMMY_STATUS_INVALID, "iterator is null");
    cr_assert_not(commy_iterate_next(mesh, NULL, &view));
    expect(commy_mesh_wait(mesh, "n", 0, 0, NULL), COMMY_STATUS_INVALID, "new_version is null");
    expect(commy_service_find_many(mesh, NULL, 1, &target, &code), COMMY_STATUS_INVALID, "ids is null");
    expect(commy_service_find_many(mesh, ids, 1, NULL, &code), COMMY_STATUS_INVALID, "targets is null");
    expect(commy_service_find_many(mesh, ids, 1, &target, NULL), COMMY_STATUS_INVALID, "codes is null");
    cr_assert_eq(commy_service_find_many(mesh, NULL, 0, NULL, NULL), COMMY_STATUS_SUCCESS, "nothing is wanted");
    expect(commy_service_register(mesh, NULL, NULL), COMMY_STATUS_INVALID, "config is null");
    expect(commy_mesh_join(mesh, "not a token", 0), COMMY_STATUS_INVALID, "not a token");
}

/* --------------------------------------------------------------- batches, views */

Test(registry, a_batch_finds_what_single_lookups_find)
{
    begin(256);
    enum { MANY = 100 };
    char text[MANY][16], too_long[200];
    const char *ids[MANY];
    commy_target_t targets[MANY], single;
    int32_t codes[MANY];
    memset(too_long, 'l', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    for (int i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "id-%d", i);
        ids[i] = text[i];
        if (i % 3 != 0)
            add(mesh, "many", text[i]);
    }
    cr_assert_eq(commy_service_find_many(mesh, ids + 1, 2, targets, codes), COMMY_STATUS_SUCCESS, "all found");
    ids[40] = "";
    ids[41] = NULL;
    ids[43] = too_long;
    memset(codes, 0xff, sizeof codes);
    cr_assert_eq(commy_service_find_many(mesh, ids, MANY, targets, codes), COMMY_STATUS_NOT_FOUND,
                 "the first that is not found");
    for (int i = 0; i < MANY; i++) {
        if (i == 40 || i == 41 || i == 43) {
            cr_assert_eq(codes[i], COMMY_STATUS_INVALID);
            continue;
        }
        cr_assert_eq(codes[i], i % 3 != 0 ? COMMY_STATUS_SUCCESS : COMMY_STATUS_NOT_FOUND, "%d", i);
        cr_assert_eq(commy_service_find(mesh, ids[i], &single), (commy_status_t)codes[i]);
        if (codes[i] == COMMY_STATUS_SUCCESS) {
            cr_assert_eq(single.reference, targets[i].reference);
            cr_assert_eq(single.port, targets[i].port);
            cr_assert_str_eq(single.endpoint, targets[i].endpoint);
        }
    }
    cr_assert_eq(commy_service_find_many(mesh, ids + 40, 2, targets, codes), COMMY_STATUS_INVALID);
}

Test(registry, a_batch_explains_the_first_code_that_is_not_success)
{
    begin(64);
    enum { MANY = 20 };
    const char *ids[MANY];
    commy_target_t targets[MANY];
    int32_t codes[MANY];
    add(mesh, "web", "web-1");
    for (int i = 0; i < MANY; i++)
        ids[i] = "web-1";
    ids[1] = "absent";
    ids[2] = "";
    ids[3] = "an-absent-one-whose-id-is-longer-than-the-hot-half";
    ids[4] = "gone";
    ids[18] = NULL; /* in a batch of its own */
    expect(commy_service_find_many(mesh, ids, MANY, targets, codes), COMMY_STATUS_NOT_FOUND, "has the id absent ");
    cr_assert_eq(codes[18], COMMY_STATUS_INVALID);
    cr_assert_eq(codes[19], COMMY_STATUS_SUCCESS);
    expect(commy_service_find_many(mesh, ids + 2, MANY - 2, targets, codes), COMMY_STATUS_INVALID,
           "service id is empty");
    expect(commy_service_find_many(mesh, ids + 3, 2, targets, codes), COMMY_STATUS_NOT_FOUND, "longer-than");
    expect(commy_service_find_many(mesh, ids + 4, MANY - 4, targets, codes), COMMY_STATUS_NOT_FOUND, "id gone ");
}

static void own_other_1(commy_mesh_t *own)
{
    add(own, "other", "other-1");
}

Test(registry, a_view_is_valid_for_as_long_as_its_registration_is)
{
    begin(64);
    commy_view_t view, again;
    commy_target_t target;
    commy_service_info_t info;
    add(mesh, "web", "web-1");
    cr_assert_eq(commy_service_view(mesh, "web-1", &view), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_set_metadata(mesh, "web-1", "text"), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_set_weight(mesh, "web-1", 3), COMMY_STATUS_SUCCESS);
    cr_assert(commy_view_valid(mesh, &view), "changes do not end it");
    cr_assert_eq(commy_view_target(mesh, &view, &target), COMMY_STATUS_SUCCESS);
    cr_assert_eq(target.weight, 3);
    cr_assert_eq(target.reference, view.reference);
    cr_assert_eq(commy_view_info(mesh, &view, &info), COMMY_STATUS_SUCCESS);
    cr_assert_eq(info.metadata_bytes, 4);
    drop(mesh, "web-1");
    for (int round = 0; round < 2; round++) {
        cr_assert_not(commy_view_valid(mesh, &view));
        expect(commy_view_target(mesh, &view, &target), COMMY_STATUS_NOT_FOUND, "look it up again");
        expect(commy_view_info(mesh, &view, &info), COMMY_STATUS_NOT_FOUND, "no longer registered");
        if (round == 0)
            add(mesh, "web", "web-1"); /* in the very same record */
    }
    cr_assert_eq(commy_service_view(mesh, "web-1", &again), COMMY_STATUS_SUCCESS);
    cr_assert_neq(again.reference, view.reference, "a reference names one registration");
    cr_assert_eq(again._index, view._index);

    pid_t owner = start_owner(own_other_1);
    cr_assert_eq(commy_service_view(mesh, "other-1", &view), COMMY_STATUS_SUCCESS);
    kill_owner(owner);
    cr_assert_not(commy_view_valid(mesh, &view), "its owner died");

    memset(&view, 0xff, sizeof view);
    cr_assert_not(commy_view_valid(mesh, &view), "bytes that are no view");
    memset(&view, 0, sizeof view);
    cr_assert_not(commy_view_valid(mesh, &view));
}
