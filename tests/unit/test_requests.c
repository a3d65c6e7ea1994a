/* Requests in flight: begun and ended, by threads and processes that come, leave and die; tokens; latencies. */
#include "support_registry.h"

#include <commy/ffi.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

TestSuite(requests, .init = set_up, .fini = tear_down);
TestSuite(latency, .init = set_up, .fini = tear_down);

static uint64_t add_service(commy_mesh_t *to, const char *name, const char *id)
{
    uint64_t reference;
    const commy_service_config_t config = config_of(name, id);
    cr_assert_eq(commy_service_register(to, &config, &reference), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    return reference;
}

static uint64_t begin_one(commy_mesh_t *by, uint64_t reference)
{
    uint64_t token = 0;
    cr_assert_eq(commy_service_begin(by, reference, &token), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_neq(token, 0);
    return token;
}

static void end_one(commy_mesh_t *by, uint64_t token)
{
    cr_assert_eq(commy_service_end(by, token, 1000000, true), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static commy_service_stats_t stats_of(const commy_mesh_t *in, const char *id)
{
    commy_service_stats_t stats;
    cr_assert_eq(commy_service_stats(in, id, &stats), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return stats;
}

static uint64_t flying(const commy_mesh_t *in, const char *id)
{
    return stats_of(in, id).in_flight;
}

/* ------------------------------------------------------------------ begin and end */

Test(requests, are_in_flight_between_begin_and_end_and_then_counted)
{
    begin(64);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    uint64_t reference = add_service(mesh, "web", "web-1");
    cr_assert_eq(flying(reader, "web-1"), 0);
    uint64_t first = begin_one(mesh, reference), second = begin_one(mesh, reference);
    cr_assert_neq(first, second);
    cr_assert_eq(flying(reader, "web-1"), 2);
    cr_assert_eq(stats_of(reader, "web-1").total_requests, 0);
    cr_assert_eq(commy_service_end(mesh, second, 3000000, false), COMMY_STATUS_SUCCESS);
    cr_assert_eq(flying(reader, "web-1"), 1);
    cr_assert_eq(commy_service_end(mesh, first, 1000000, true), COMMY_STATUS_SUCCESS);
    commy_service_stats_t stats = stats_of(reader, "web-1");
    cr_assert_eq(stats.in_flight, 0);
    cr_assert_eq(stats.successful_requests, 1);
    cr_assert_eq(stats.failed_requests, 1);
    cr_assert_float_eq(stats.average_response_time_ms, 2.0, 1e-9);
    commy_mesh_detach(&reader);
    audit();
}

Test(requests, an_end_without_a_begin_or_twice_is_refused_and_changes_nothing)
{
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1"), token = begin_one(mesh, reference);
    commy_mesh_t *other = attach(0);
    uint64_t elsewhere = begin_one(other, reference);
    const uint64_t wrong[] = {
        0, 1, UINT64_MAX, token ^ 1, token ^ 1ull << 16, token ^ 1ull << 47, token ^ 1ull << 48, elsewhere};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect(commy_service_end(mesh, wrong[i], 1, true), COMMY_STATUS_INVALID, "of no open request");
    cr_assert_eq(flying(mesh, "web-1"), 2);
    end_one(mesh, token);
    expect(commy_service_end(mesh, token, 1, true), COMMY_STATUS_INVALID, "ended before");
    expect(commy_service_end(other, token, 1, true), COMMY_STATUS_INVALID, "another handle's");
    uint64_t next = begin_one(mesh, reference);
    cr_assert_neq(next, token, "the place is used again, the token is not");
    expect(commy_service_end(mesh, token, 1, true), COMMY_STATUS_INVALID, "ended before");
    end_one(mesh, next);
    end_one(other, elsewhere);
    cr_assert_eq(flying(mesh, "web-1"), 0);
    cr_assert_eq(stats_of(mesh, "web-1").total_requests, 3);
    commy_mesh_detach(&other);
    audit();
}

Test(requests, bad_parameters_and_handles_are_told_apart)
{
    begin(64);
    uint64_t token = 7, reference = add_service(mesh, "web", "web-1");
    expect(commy_service_begin(mesh, reference, NULL), COMMY_STATUS_INVALID, "token");
    expect(commy_service_begin(NULL, reference, &token), COMMY_STATUS_INVALID, "mesh");
    expect(commy_service_end(NULL, 1, 1, true), COMMY_STATUS_INVALID, "mesh");
    cr_assert_eq(token, 0);
    expect(commy_service_begin(mesh, 0, &token), COMMY_STATUS_NOT_FOUND, "reference 0");
    expect(commy_service_begin(mesh, UINT64_MAX, &token), COMMY_STATUS_NOT_FOUND, "find the service again");
    cr_assert_eq(token, 0);

    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    expect(commy_service_begin(reader, reference, &token), COMMY_STATUS_READ_ONLY, "read-only");
    expect(commy_service_end(reader, 1, 1, true), COMMY_STATUS_READ_ONLY, "read-only");
    commy_mesh_detach(&reader);

    commy_mesh_t *idle = attach(0);
    size_t before = participants_of(mesh);
    expect(commy_service_end(idle, 1, 1, true), COMMY_STATUS_INVALID, "of no open request");
    cr_assert_eq(participants_of(mesh), before, "an end does not join");
    commy_mesh_detach(&idle);

    token = begin_one(mesh, reference);
    drop(mesh, "web-1");
    expect(commy_service_begin(mesh, reference, &token), COMMY_STATUS_NOT_FOUND, "names no live registration");
    audit();
}

Test(requests, a_forked_child_can_neither_begin_nor_end)
{
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1"), token = begin_one(mesh, reference), other;
    pid_t child = test_fork();
    if (child == 0) {
        if (commy_service_begin(mesh, reference, &other) != COMMY_STATUS_FORKED)
            _exit(1);
        if (commy_service_end(mesh, token, 1, true) != COMMY_STATUS_FORKED)
            _exit(2);
        commy_mesh_detach(&mesh);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_eq(flying(mesh, "web-1"), 1);
    end_one(mesh, token);
    audit();
}

/* ------------------------------------------------------------------ ends of others */

Test(requests, that_outlive_their_service_count_for_the_mesh_alone)
{
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1"),
             token[2] = {begin_one(mesh, reference), begin_one(mesh, reference)};
    drop(mesh, "web-1");
    end_one(mesh, token[0]);
    cr_assert_eq(numbers_of(mesh).successful_requests, 1);
    uint64_t next = begin_one(mesh, add_service(mesh, "web", "web-1"));
    cr_assert_eq(flying(mesh, "web-1"), 1, "those of the former life do not count");
    cr_assert_eq(commy_service_end(mesh, token[1], 2000000, false), COMMY_STATUS_SUCCESS);
    cr_assert_eq(flying(mesh, "web-1"), 1);
    cr_assert_eq(stats_of(mesh, "web-1").total_requests, 0);
    end_one(mesh, next);
    commy_service_stats_t stats = stats_of(mesh, "web-1");
    cr_assert_eq(stats.total_requests, 1);
    cr_assert_eq(stats.in_flight, 0);
    commy_mesh_stats_t numbers = numbers_of(mesh);
    cr_assert_eq(numbers.total_requests, 3);
    cr_assert_eq(numbers.failed_requests, 1);
    cr_assert_float_eq(numbers.average_response_time_ms, 4.0 / 3, 1e-9);
    audit();
}

Test(requests, end_when_their_handle_leaves)
{
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1");
    commy_mesh_t *client = attach(0);
    uint64_t token = begin_one(client, reference);
    begin_one(client, reference);
    cr_assert_eq(flying(mesh, "web-1"), 2);
    cr_assert_eq(commy_mesh_leave(client), COMMY_STATUS_SUCCESS);
    cr_assert_eq(flying(mesh, "web-1"), 0);
    expect(commy_service_end(client, token, 1, true), COMMY_STATUS_NOT_RUNNING, "start it again");
    expect(commy_service_begin(client, reference, &(uint64_t){0}), COMMY_STATUS_NOT_RUNNING, "start it again");
    cr_assert_eq(commy_mesh_join(client, NULL, 0), COMMY_STATUS_SUCCESS);
    expect(commy_service_end(client, token, 1, true), COMMY_STATUS_INVALID, "by leaving the mesh");
    uint64_t next = begin_one(client, reference);
    cr_assert_neq(next, token);
    expect(commy_service_end(client, token, 1, true), COMMY_STATUS_INVALID, "by leaving the mesh");
    cr_assert_eq(flying(mesh, "web-1"), 1);
    commy_mesh_detach(&client);
    cr_assert_eq(flying(mesh, "web-1"), 0);
    cr_assert_eq(stats_of(mesh, "web-1").total_requests, 0, "what was cut is not counted");
    audit();
}

Test(requests, of_a_slots_next_tenant_are_its_own)
{
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1");
    for (int tenant = 0; tenant < 20; tenant++) {
        commy_mesh_t *client = attach(0);
        for (int i = 0; i <= tenant; i++)
            begin_one(client, reference);
        cr_assert_eq(flying(mesh, "web-1"), (uint64_t)tenant + 1);
        cr_assert_eq(cmy_owner_slot(client->actor.owner), 1, "the same slot each time");
        commy_mesh_detach(&client);
        cr_assert_eq(flying(mesh, "web-1"), 0);
    }
    audit();
}

#define KILLED_WITH 100

static void begin_a_hundred(commy_mesh_t *own)
{
    commy_target_t target;
    uint64_t token;
    for (int i = 0; i < KILLED_WITH; i++)
        if (commy_service_find(own, i % 2 ? "web-2" : "web-1", &target) != COMMY_STATUS_SUCCESS ||
            commy_service_begin(own, target.reference, &token) != COMMY_STATUS_SUCCESS)
            _exit(3);
}

Test(requests, of_a_killed_client_are_gone_at_once)
{
    begin(64);
    uint64_t mine = begin_one(mesh, add_service(mesh, "web", "web-1"));
    add(mesh, "web", "web-2");
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    pid_t client = start_owner(begin_a_hundred);
    cr_assert_eq(flying(reader, "web-1"), KILLED_WITH / 2 + 1);
    cr_assert_eq(flying(reader, "web-2"), KILLED_WITH / 2);
    kill_owner(client);
    cr_assert_eq(flying(reader, "web-1"), 1);
    cr_assert_eq(flying(reader, "web-2"), 0);
    cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_eq(flying(reader, "web-1"), 1);
    cr_assert_eq(flying(reader, "web-2"), 0);
    end_one(mesh, mine);
    cr_assert_eq(flying(reader, "web-1"), 0);
    commy_mesh_detach(&reader);
    audit();
}

/* ------------------------------------------------------------------ many */

Test(requests, of_more_participants_than_a_block_has_cells_for_are_summed)
{
    enum { CLIENTS = 120 };
    static commy_mesh_t *client[CLIENTS];
    static uint64_t token[CLIENTS];
    uint64_t sum = 0;
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1");
    for (uint64_t i = 0; i < CLIENTS; i++) {
        client[i] = attach(0);
        for (uint64_t j = 0; j <= i % 3; j++, sum++)
            token[i] = begin_one(client[i], reference);
    }
    cr_assert_eq(cmy_owner_slot(client[CLIENTS - 1]->actor.owner), CLIENTS);
    cr_assert_eq(flying(mesh, "web-1"), sum);
    cr_assert_eq(records_in_use(mesh, CMY_CELLS), 2, "slots 7 to 92, and 93 to 178");
    audit();
    for (uint64_t i = 0; i < CLIENTS; i += 2) {
        end_one(client[i], token[i]);
        sum--;
    }
    cr_assert_eq(flying(mesh, "web-1"), sum);
    for (uint64_t i = 1; i < CLIENTS; i += 2) {
        commy_mesh_detach(&client[i]);
        sum -= i % 3 + 1;
        cr_assert_eq(flying(mesh, "web-1"), sum);
    }
    drop(mesh, "web-1");
    add(mesh, "web", "web-1");
    cr_assert_eq(flying(mesh, "web-1"), 0);
    for (uint64_t i = 0; i < CLIENTS; i += 2)
        commy_mesh_detach(&client[i]);
    audit();
}

Test(requests, for_which_there_is_no_cell_are_refused_and_nothing_is_lost)
{
    enum { CLIENTS = 9 };
    commy_mesh_t *client[CLIENTS];
    uint64_t token;
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1");
    for (int i = 0; i < CLIENTS; i++) {
        client[i] = attach(0);
        cr_assert_eq(commy_mesh_join(client[i], NULL, 0), COMMY_STATUS_SUCCESS);
    }
    commy_mesh_t *last = client[CLIENTS - 1];
    uint32_t limit = last->region->layout.slab[CMY_CELLS].limit;
    last->region->layout.slab[CMY_CELLS].limit = 0;
    expect(commy_service_begin(last, reference, &token), COMMY_STATUS_FULL, "--capacity");
    cr_assert_eq(token, 0);
    cr_assert_eq(flying(mesh, "web-1"), 0);
    last->region->layout.slab[CMY_CELLS].limit = limit;
    end_one(last, begin_one(last, reference));
    cr_assert_eq(stats_of(mesh, "web-1").total_requests, 1);
    for (int i = 0; i < CLIENTS; i++)
        commy_mesh_detach(&client[i]);
    audit();
}

/* The last of so many participants that its cell is not in the block itself. */
static commy_mesh_t *join_as_ninth(commy_mesh_t *client[9])
{
    for (int i = 0; i < 9; i++) {
        client[i] = attach(0);
        cr_assert_eq(commy_mesh_join(client[i], NULL, 0), COMMY_STATUS_SUCCESS);
    }
    cr_assert_geq(cmy_owner_slot(client[8]->actor.owner), CMY_STAT_CELLS);
    return client[8];
}

static void detach_nine(commy_mesh_t *client[9])
{
    for (int i = 0; i < 9; i++)
        commy_mesh_detach(&client[i]);
}

Test(requests, whose_cells_are_not_there_tell_of_the_damage)
{
    commy_mesh_t *client[9];
    uint64_t token;
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1");
    cr_assert_eq(commy_service_report(mesh, reference, 1000, true), COMMY_STATUS_SUCCESS);
    commy_mesh_t *last = join_as_ninth(client);
    cmy_word32_t *further = cmy_stat_at(mesh->region, 0)->further;
    cmy_store32_relaxed(&further[0], 100000);
    expect(commy_service_begin(last, reference, &token), COMMY_STATUS_CORRUPT, "commy check");
    cr_assert_eq(flying(mesh, "web-1"), 0);
    cmy_store32_relaxed(&further[0], 0);
    end_one(last, begin_one(last, reference));
    detach_nine(client);
    audit();
}

Test(requests, for_which_the_file_system_has_no_room_are_refused_and_nothing_is_lost)
{
    commy_mesh_t *client[9];
    uint64_t token;
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", test_dir, "tmpfs", 0, "size=16m,mode=0700") != 0)
        cr_skip_test("this environment lets nobody mount a file system");
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1");
    cr_assert_eq(commy_service_report(mesh, reference, 1000, true), COMMY_STATUS_SUCCESS);
    commy_mesh_t *last = join_as_ninth(client);
    char filler[512];
    static char block[65536];
    snprintf(filler, sizeof filler, "%s/filler", test_dir);
    int file = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (size_t bytes = sizeof block; bytes > 0;)
        if (write(file, block, bytes) <= 0)
            bytes /= 2;
    close(file);
    expect(commy_service_begin(last, reference, &token), COMMY_STATUS_NO_SPACE, "df ");
    cr_assert_eq(flying(mesh, "web-1"), 0);
    cr_assert_eq(unlink(filler), 0);
    end_one(last, begin_one(last, reference));
    cr_assert_eq(stats_of(mesh, "web-1").total_requests, 2);
    detach_nine(client);
    audit();
    commy_mesh_detach(&mesh);
    cr_assert_eq(umount2(test_dir, MNT_DETACH), 0);
}

Test(requests, are_limited_and_none_is_lost_at_the_limit)
{
    static uint64_t token[COMMY_LIMIT_TOKENS];
    uint64_t more;
    begin(64);
    uint64_t reference[2] = {add_service(mesh, "web", "web-1"), add_service(mesh, "web", "web-2")};
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < COMMY_LIMIT_TOKENS; i++)
            token[i] = begin_one(mesh, reference[0]);
        cr_assert_eq(flying(mesh, "web-1"), COMMY_LIMIT_TOKENS);
        for (int i = 0; i < 2; i++) {
            expect(commy_service_begin(mesh, reference[i], &more), COMMY_STATUS_LIMIT, "65535");
            cr_assert_eq(more, 0);
        }
        cr_assert_eq(flying(mesh, "web-1"), COMMY_LIMIT_TOKENS);
        cr_assert_eq(flying(mesh, "web-2"), 0, "what was refused is not in flight");
        end_one(mesh, token[4711]);
        token[4711] = begin_one(mesh, reference[1]);
        cr_assert_eq(flying(mesh, "web-2"), 1);
        for (uint32_t i = 0; i < COMMY_LIMIT_TOKENS; i++)
            end_one(mesh, token[i]);
        cr_assert_eq(flying(mesh, "web-1") + flying(mesh, "web-2"), 0);
    }
    cr_assert_eq(numbers_of(mesh).total_requests, 2 * (COMMY_LIMIT_TOKENS + 1));
    audit();
}

typedef struct worker {
    pthread_t thread;
    commy_mesh_t *with;
    const uint64_t *reference;
    uint64_t rounds, refused;
} worker_t;

/* Some in flight at once, ended in another order, some of them twice. */
static void *work(void *argument)
{
    worker_t *my = argument;
    uint64_t token[5];
    for (uint64_t i = 0; i < my->rounds; i++) {
        for (int j = 0; j < 5; j++)
            if (commy_service_begin(my->with, my->reference[(i + (uint64_t)j) % 2], &token[j]))
                return (void *)1;
        for (int j = 0; j < 5; j++)
            if (commy_service_end(my->with, token[(j * 2) % 5], 1000, j != 3))
                return (void *)2;
        my->refused += commy_service_end(my->with, token[i % 5], 1000, true) == COMMY_STATUS_INVALID;
    }
    return NULL;
}

Test(requests, of_many_threads_add_up_exactly)
{
    enum { WORKERS = 6, ROUNDS = 3000 };
    worker_t worker[WORKERS];
    begin(64);
    commy_mesh_t *other = attach(0);
    const uint64_t reference[2] = {add_service(mesh, "web", "web-1"), add_service(mesh, "web", "web-2")};
    for (int i = 0; i < WORKERS; i++) {
        worker[i] = (worker_t){.with = i % 2 ? mesh : other, .reference = reference, .rounds = ROUNDS};
        cr_assert_eq(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        void *failed;
        pthread_join(worker[i].thread, &failed);
        cr_assert_null(failed);
        cr_assert_eq(worker[i].refused, ROUNDS, "a second end is always refused");
    }
    cr_assert_eq(flying(mesh, "web-1") + flying(mesh, "web-2"), 0);
    cr_assert_eq(numbers_of(mesh).total_requests, WORKERS * ROUNDS * 5);
    cr_assert_eq(numbers_of(mesh).failed_requests, WORKERS * ROUNDS);
    commy_mesh_detach(&other);
    audit();
}

/* Blocks go from one service to the next while threads begin and end at whatever is there. */
static _Atomic bool caught_enough;
static _Atomic uint64_t caught;

static void *chase(void *argument)
{
    commy_mesh_t *with = argument;
    commy_target_t target;
    uint64_t token;
    while (!atomic_load(&caught_enough)) {
        if (commy_service_find(with, "web-1", &target) != COMMY_STATUS_SUCCESS)
            continue;
        commy_status_t status = commy_service_begin(with, target.reference, &token);
        if (status == COMMY_STATUS_NOT_FOUND)
            continue;
        if (status != COMMY_STATUS_SUCCESS || commy_service_end(with, token, 1000, true) != COMMY_STATUS_SUCCESS)
            return (void *)1;
        atomic_fetch_add(&caught, 1);
    }
    return NULL;
}

Test(requests, count_right_while_services_come_and_go)
{
    enum { WORKERS = 4 };
    pthread_t worker[WORKERS];
    begin(64);
    add(mesh, "web", "web-1");
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(pthread_create(&worker[i], NULL, chase, mesh), 0);
    uint64_t began = now_ms();
    for (int i = 0; i < 2000 || (atomic_load(&caught) < 2000 && now_ms() - began < 10000); i++) {
        drop(mesh, "web-1");
        add(mesh, "web", "web-1");
    }
    atomic_store(&caught_enough, true);
    for (int i = 0; i < WORKERS; i++) {
        void *failed;
        pthread_join(worker[i], &failed);
        cr_assert_null(failed);
    }
    cr_assert_geq(atomic_load(&caught), 2000);
    cr_assert_eq(numbers_of(mesh).total_requests, atomic_load(&caught),
                 "each is counted once, whatever became of its service");
    cr_assert_eq(flying(mesh, "web-1"), 0);
    cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    audit();
}

/* A cell remembers 28 bits of its block's version: the life behind the last of them is another one still. */
Test(requests, of_a_block_whose_version_wraps_in_its_cells_are_of_one_life)
{
    begin(64);
    cr_assert_eq(cmy_region_grow(mesh->region, CMY_STATS, 0), COMMY_STATUS_SUCCESS);
    uint32_t blocks = cmy_region_reserved(mesh->region, CMY_STATS);
    for (uint32_t block = 0; block < blocks; block++)
        cmy_store64_relaxed(cmy_state_at(mesh->region, CMY_STATS, block), cmy_state(0xfffffff, CMY_NOBODY, CMY_FREE));
    for (uint64_t life = 1; life <= 3; life++) {
        uint64_t reference = add_service(mesh, "web", "web-1"), token = 0;
        for (uint64_t i = 0; i <= life; i++)
            token = begin_one(mesh, reference);
        cr_assert_eq(flying(mesh, "web-1"), life + 1);
        end_one(mesh, token);
        cr_assert_eq(flying(mesh, "web-1"), life);
        audit();
        drop(mesh, "web-1");
    }
    audit();
}

/* ------------------------------------------------------------------ tokens */

Test(tokens, name_a_place_a_generation_and_a_life)
{
    cmy_tokens_t *one, *other;
    cmy_flight_t in = {.service = 7, .link = 8, .cell = 9}, out;
    uint64_t first, second, again;
    cr_assert_eq(cmy_tokens_make(&one), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_tokens_make(&other), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_token_open(one, &in, &first), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_token_open(one, &in, &second), COMMY_STATUS_SUCCESS);
    cr_assert_neq(first & 0xffff, second & 0xffff);
    cr_assert_not(cmy_token_close(other, first, &out), "of another life");
    cr_assert(cmy_token_close(one, first, &out));
    cr_assert(out.service == 7 && out.link == 8 && out.cell == 9);
    cr_assert_not(cmy_token_close(one, first, &out), "closed");
    for (uint32_t i = 1; i < 1000; i++) {
        cr_assert_eq(cmy_token_open(one, &in, &again), COMMY_STATUS_SUCCESS);
        cr_assert_eq(again, first + ((uint64_t)i << 16), "the place, a generation on");
        cr_assert_not(cmy_token_close(one, again - (1u << 16), &out), "of the generation before");
        cr_assert_not(cmy_token_close(one, again + (1u << 16), &out), "of the next");
        cr_assert(cmy_token_close(one, again, &out));
    }
    cr_assert(cmy_token_close(one, second, &out));
    cmy_tokens_free(&one);
    cr_assert_null(one);
    cmy_tokens_free(&one);
    cmy_tokens_free(&other);
}

Test(tokens, of_generations_wrap_and_of_65535_lives_none_is_another)
{
    static bool seen[1 << 16];
    cmy_flight_t flight = {0};
    uint64_t token;
    for (uint32_t i = 0; i < 0xffff; i++) {
        cmy_tokens_t *tokens;
        cr_assert_eq(cmy_tokens_make(&tokens), COMMY_STATUS_SUCCESS);
        cr_assert_eq(cmy_token_open(tokens, &flight, &token), COMMY_STATUS_SUCCESS);
        cr_assert_neq(token >> 48, 0, "never 0");
        cr_assert_not(seen[token >> 48]);
        seen[token >> 48] = true;
        cmy_tokens_free(&tokens);
    }
}

/* ------------------------------------------------------------------ latencies */

static uint64_t quantile_of(const char *id, double quantile)
{
    uint64_t ns = 1;
    cr_assert_eq(commy_service_latency(mesh, id, quantile, &ns), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    return ns;
}

static double error_of(uint64_t got, uint64_t exact)
{
    return fabs((double)got - (double)exact) / (double)exact;
}

Test(latency, every_range_is_spoken_of_within_seven_percent_from_a_microsecond_to_an_hour)
{
    uint32_t last = 0;
    double worst = 0;
    for (uint64_t ns = 1000; ns <= CMY_LATENCY_LIMIT_NS; ns += ns < 100000 ? 1 : ns / 3001) {
        uint32_t bucket = cmy_latency_bucket(ns);
        cr_assert(bucket == last || bucket == last + 1, "none is left out");
        cr_assert_lt(bucket, CMY_LATENCY_BUCKETS);
        last = bucket;
        worst = fmax(worst, error_of(cmy_latency_of_bucket(bucket), ns));
    }
    last = cmy_latency_bucket(CMY_LATENCY_LIMIT_NS);
    cr_assert_eq(last, CMY_LATENCY_BUCKETS - 1, "an hour is in the last");
    cr_assert_leq(worst, 0.07, "%f", worst);
    cr_log_warn("at most %.2f %% off, over %u ranges", worst * 100, CMY_LATENCY_BUCKETS);
    for (uint64_t ns = 0; ns < 1000; ns++)
        cr_assert_eq(cmy_latency_bucket(ns), 0);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Of several shapes: spread over all magnitudes, around a millisecond with a long tail, two humps. */
static uint64_t draw(int shape, unsigned *seed)
{
    double u = (rand_r(seed) + 1.0) / (RAND_MAX + 2.0), v = (rand_r(seed) + 1.0) / (RAND_MAX + 2.0);
    double normal = sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
    double ns = shape == 0   ? 1000 * pow(3.6e9, u)
                : shape == 1 ? 1e6 * exp(normal)
                             : (v < 0.9 ? 2e5 : 5e8) * (1 + 0.1 * fabs(normal));
    return (uint64_t)fmin(fmax(ns, 1000), 3.6e12);
}

Test(latency, quantiles_of_a_hundred_thousand_samples_are_within_seven_percent)
{
    enum { SAMPLES = 100000 };
    static uint64_t sample[SAMPLES];
    static const double quantiles[] = {0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1};
    unsigned seed = 1;
    begin(64);
    for (int shape = 0; shape < 3; shape++) {
        double worst = 0;
        char id[] = "web-0";
        id[4] = (char)('0' + shape);
        uint64_t reference = add_service(mesh, "web", id);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            sample[i] = draw(shape, &seed);
            cr_assert_eq(commy_service_report(mesh, reference, sample[i], true), COMMY_STATUS_SUCCESS);
        }
        qsort(sample, SAMPLES, sizeof sample[0], by_size);
        for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
            size_t place = (size_t)ceil(quantiles[i] * SAMPLES);
            worst = fmax(worst, error_of(quantile_of(id, quantiles[i]), sample[place == 0 ? 0 : place - 1]));
        }
        cr_assert_leq(worst, 0.07, "shape %d: %f", shape, worst);
        cr_log_warn("shape %d: at most %.2f %% off", shape, worst * 100);
    }
    audit();
}

Test(latency, is_of_a_service_a_name_or_the_mesh)
{
    uint64_t ns;
    begin(64);
    uint64_t one = add_service(mesh, "web", "web-1"), two = add_service(mesh, "web", "web-2"),
             three = add_service(mesh, "db", "db-1");
    cr_assert_eq(quantile_of("web-1", 0.5), 0, "nothing was reported");
    cr_assert_eq(quantile_of(NULL, 0.5), 0);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(commy_service_report(mesh, one, 1000000, true), COMMY_STATUS_SUCCESS);
        cr_assert_eq(commy_service_report(mesh, two, 10000000, false), COMMY_STATUS_SUCCESS);
        cr_assert_eq(commy_service_report(mesh, three, 100000000, true), COMMY_STATUS_SUCCESS);
    }
    end_one(mesh, begin_one(mesh, one));
    cr_assert_leq(error_of(quantile_of("web-1", 1), 1000000), 0.07);
    cr_assert_leq(error_of(quantile_of("web-2", 0), 10000000), 0.07);
    cr_assert_eq(commy_name_latency(mesh, "web", 0.5, &ns), COMMY_STATUS_SUCCESS);
    cr_assert_leq(error_of(ns, 1000000), 0.07, "11 of 21");
    cr_assert_eq(commy_name_latency(mesh, "web", 1, &ns), COMMY_STATUS_SUCCESS);
    cr_assert_leq(error_of(ns, 10000000), 0.07);
    cr_assert_leq(error_of(quantile_of(NULL, 0.34), 1000000), 0.07, "11 of 31");
    cr_assert_leq(error_of(quantile_of(NULL, 0.5), 10000000), 0.07);
    cr_assert_leq(error_of(quantile_of(NULL, 0.99), 100000000), 0.07);
    drop(mesh, "db-1");
    cr_assert_leq(error_of(quantile_of(NULL, 1), 10000000), 0.07, "what is registered counts");
    cr_assert_eq(commy_service_report(mesh, one, UINT64_MAX, true), COMMY_STATUS_SUCCESS);
    cr_assert_leq(error_of(quantile_of("web-1", 1), CMY_LATENCY_LIMIT_NS), 0.07);
    audit();
}

Test(requests, are_summed_for_a_name_somewhere)
{
    commy_service_stats_t stats;
    begin(64);
    expect(commy_name_stats(mesh, "web", NULL), COMMY_STATUS_INVALID, "stats");
    expect(commy_name_stats(mesh, "web", &stats), COMMY_STATUS_NOT_FOUND, "service name 'web' has no instance");
    expect(commy_name_stats(mesh, "", &stats), COMMY_STATUS_INVALID, "service name");
}

Test(latency, asks_for_a_share_and_somewhere_to_put_it)
{
    static const double bad[] = {-0.1, 1.0000001, NAN, -NAN, INFINITY, -INFINITY};
    uint64_t ns = 7;
    begin(64);
    add(mesh, "web", "web-1");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect(commy_service_latency(mesh, "web-1", bad[i], &ns), COMMY_STATUS_INVALID, "quantile");
        expect(commy_name_latency(mesh, "web", bad[i], &ns), COMMY_STATUS_INVALID, "quantile");
        cr_assert_eq(ns, 0);
    }
    expect(commy_service_latency(mesh, "web-1", 0.5, NULL), COMMY_STATUS_INVALID, "ns");
    expect(commy_name_latency(mesh, "web", 0.5, NULL), COMMY_STATUS_INVALID, "ns");
    expect(commy_service_latency(NULL, "web-1", 0.5, &ns), COMMY_STATUS_INVALID, "mesh");
    expect(commy_service_latency(mesh, "web-9", 0.5, &ns), COMMY_STATUS_NOT_FOUND, "web-9");
    expect(commy_name_latency(mesh, "cache", 0.5, &ns), COMMY_STATUS_NOT_FOUND, "cache");
    expect(commy_service_latency(mesh, "", 0.5, &ns), COMMY_STATUS_INVALID, "id");
    expect(commy_name_latency(mesh, NULL, 0.5, &ns), COMMY_STATUS_INVALID, "name");
}

/* As if a range had been counted in for a day: the shares stay. */
Test(latency, counts_are_halved_before_they_wrap)
{
    uint32_t record, mine;
    uint64_t state, link;
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(cmy_cpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    mine = cmy_cpu() % CMY_LATENCY_STRIPES;
    begin(64);
    uint64_t reference = add_service(mesh, "web", "web-1");
    cr_assert_eq(commy_service_report(mesh, reference, 1000000, true), COMMY_STATUS_SUCCESS);
    cr_assert(cmy_service_refer(mesh->region, reference, &record, &state));
    cmy_tally_shm_t *tally = cmy_tally_follow(mesh->region, record, state, &link);
    cmy_word32_t *often = &tally->bucket[mine][cmy_latency_bucket(1000000)],
                 *seldom = &tally->bucket[mine][cmy_latency_bucket(1000000000)],
                 *other = &tally->bucket[1 - mine][cmy_latency_bucket(1000000)];
    const uint32_t begins[] = {CMY_LATENCY_MANY - 3, 0xc0000000u - 3, 0u - (1u << 20) - 3};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        uint32_t rare = begins[i] / 200;
        cmy_store32_relaxed(often, begins[i]);
        cmy_store32_relaxed(seldom, rare);
        cmy_store32_relaxed(other, 12345);
        for (uint32_t count = 1; count <= 10; count++) {
            cr_assert_eq(commy_service_report(mesh, reference, 1000000, true), COMMY_STATUS_SUCCESS);
            if (count <= 3)
                cr_assert_eq(cmy_load32_relaxed(often), begins[i] + count);
        }
        cr_assert_eq(cmy_load32_relaxed(often), (begins[i] + 5) / 2 + 6, "halved by the fourth, and none is lost");
        cr_assert_eq(cmy_load32_relaxed(seldom), rare - rare / 2);
        cr_assert_eq(cmy_load32_relaxed(other), 12345, "another stripe's stay");
        cr_assert_leq(error_of(quantile_of("web-1", 0.99), 1000000), 0.07);
        cr_assert_leq(error_of(quantile_of("web-1", 0.999), 1000000000), 0.07);
    }
    audit();
}

Test(latency, of_a_next_tenant_begins_with_nothing)
{
    uint32_t record;
    uint64_t state, was;
    begin(64);
    for (int life = 0; life < 3; life++) {
        uint64_t reference = add_service(mesh, "web", "web-1");
        cr_assert(cmy_service_refer(mesh->region, reference, &record, &state));
        cr_assert_eq(cmy_latency_recent(mesh->region, record, state), 0);
        cr_assert_eq(quantile_of("web-1", 1), 0);
        uint64_t ns = 1000000ull << 2 * life;
        cr_assert_eq(commy_service_end(mesh, begin_one(mesh, reference), ns, true), COMMY_STATUS_SUCCESS);
        cr_assert_leq(error_of(quantile_of("web-1", 0), ns), 0.07);
        cr_assert_eq(cmy_latency_recent(mesh->region, record, state), ns, "the first is all there is to know");
        for (int i = 0; i < 100; i++)
            cr_assert_eq(commy_service_end(mesh, begin_one(mesh, reference), ns / 2, true), COMMY_STATUS_SUCCESS);
        was = cmy_latency_recent(mesh->region, record, state);
        cr_assert_leq(error_of(was, ns / 2), 0.01, "the latest count most");
        for (int i = 0; i < 2000; i++) /* of which one in 64 is looked at */
            cr_assert_eq(commy_service_report(mesh, reference, ns, true), COMMY_STATUS_SUCCESS);
        was = cmy_latency_recent(mesh->region, record, state);
        cr_assert_leq(error_of(was, ns), 0.05, "reports, too");
        drop(mesh, "web-1");
    }
    audit();
}

/* ------------------------------------------------------------------ the language ABI */

Test(requests, go_through_the_language_abi)
{
    begin(64);
    const commy_open_options_t options = options_for(0, COMMY_OPEN_MUST_EXIST);
    commy_handle_t h = commy_open_mesh(&options), none = {0};
    uint64_t token, ns, again;
    cr_assert_neq(h.instance_id, 0);
    uint64_t reference = add_service(mesh, "web", "web-1");
    cr_assert_eq(commy_begin_request(h, reference, &token), COMMY_STATUS_SUCCESS);
    cr_assert_eq(flying(mesh, "web-1"), 1);
    cr_assert_eq(commy_end_request(h, token, 1000000, 1), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_end_request(h, token, 1000000, 1), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_begin_request(h, reference, NULL), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_begin_request(none, reference, &token), COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_end_request(none, token, 1, 1), COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_get_latency(none, NULL, 0.5, &ns), COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(commy_get_latency(h, "web-1", 0.5, &ns), COMMY_STATUS_SUCCESS);
    cr_assert_leq(error_of(ns, 1000000), 0.07);
    (void)commy_end_request(h, 0, 1, 1); /* a failure to be left alone */
    char before[256];
    snprintf(before, sizeof before, "%s", commy_last_error_message());
    cr_assert_eq(commy_get_latency(h, "web", 0.5, &again), COMMY_STATUS_SUCCESS, "a name");
    cr_assert_eq(again, ns);
    cr_assert_str_eq(commy_last_error_message(), before, "success leaves the last failure alone");
    cr_assert_eq(commy_get_latency(h, NULL, 0.5, &again), COMMY_STATUS_SUCCESS, "the mesh");
    cr_assert_eq(again, ns);
    cr_assert_eq(commy_get_latency(h, "nobody", 0.5, &ns), COMMY_STATUS_NOT_FOUND);
    cr_assert(strstr(commy_last_error_message(), "the id or the name 'nobody'"));
    cr_assert_eq(commy_last_error(), COMMY_STATUS_NOT_FOUND);
    cr_assert_eq(commy_get_latency(h, "web", NAN, &ns), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_get_latency(h, "web", 0.5, NULL), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_begin_request(h, reference, &token), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_stop_mesh(h), COMMY_STATUS_SUCCESS);
    cr_assert_eq(flying(mesh, "web-1"), 0);
    cr_assert_eq(commy_end_request(h, token, 1, 1), COMMY_STATUS_NOT_RUNNING);
    cr_assert_eq(commy_start_mesh(h), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_end_request(h, token, 1, 1), COMMY_STATUS_INVALID);
    cr_assert_eq(commy_begin_request(h, reference, &token), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_destroy_mesh(h), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_end_request(h, token, 1, 1), COMMY_STATUS_NO_HANDLE);
    cr_assert_eq(flying(mesh, "web-1"), 0);
    audit();
}
