/*
 * The audit finds nothing wrong in what the library made, whoever is at work or has died, and survives any bytes.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_check.h"

TestSuite(audit, .init = set_up, .fini = tear_down, .timeout = 120);

/* ------------------------------------------------------------------- nothing */

Test(audit, an_empty_region_is_clean)
{
    expect_clean();
    expect_quiet();
}

Test(audit, a_region_in_use_is_clean_and_stays_so_when_it_is_emptied)
{
    fill_with(mesh, false);
    expect_clean();
    expect_quiet();
    cr_assert_eq(audit(mesh), 0, "%s", found);
    commy_mesh_leave(mesh);
    expect_clean();
    expect_quiet();
}

Test(audit, a_clean_audit_leaves_the_last_error_alone)
{
    uint64_t findings;
    cmy_fail(COMMY_STATUS_TIMED_OUT, "before");
    cr_assert_eq(commy_mesh_check(reader, NULL, NULL, &findings), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_TIMED_OUT);
    cr_assert_str_eq(commy_last_error_message(), "before");
    cr_assert_eq(commy_mesh_check(reader, NULL, NULL, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_mesh_check(NULL, NULL, NULL, NULL), COMMY_STATUS_INVALID);
}

Test(audit, detached_services_and_groups_without_members_are_clean)
{
    fill_with(mesh, true);
    commy_mesh_leave(mesh);
    expect_clean();
    expect_quiet();
}

/* What a live owner holds is in flight, however long; what a collector left in CLOSING is in use. */
Test(audit, what_a_live_participant_has_under_way_is_no_finding)
{
    fill_with(mesh, false);
    set_state(CMY_SERVICES, free_record(CMY_SERVICES), mesh->actor.owner, CMY_CLAIMED);
    set_state(CMY_GROUPS, free_record(CMY_GROUPS), mesh->actor.owner, CMY_DYING);
    set_state(CMY_SMALL_TEXTS, free_record(CMY_SMALL_TEXTS), mesh->actor.owner, CMY_CLAIMED);
    set_state(CMY_GROUPS, group_number("mail"), 17, CMY_CLOSING);
    cmy_group_shm_t *group = group_of("auth"); /* linked, and nobody has come to make the line LIVE */
    uint32_t line = free_record(CMY_LINES);
    cmy_store64_relaxed(&group->next,
                        cmy_next(CMY_NEXT_LINE, line, 0, cmy_state_version(cmy_load64_relaxed(&group->state))));
    uint32_t joining = free_record(CMY_SERVICES); /* a joiner that was stopped, in a line that went meanwhile */
    set_state(CMY_SERVICES, joining, mesh->actor.owner, CMY_CLAIMED);
    uint32_t late = free_record(CMY_LINES);
    cmy_store64_relaxed(&cmy_service_at(region, joining)->position,
                        cmy_position(0, cmy_container_of_line(late + 1), 3));
    cmy_store32_relaxed(&cmy_line_at(region, late + 1)->cell[3], joining + 1);
    expect_clean();
}

/* ------------------------------------------------------------------- at work */

static _Atomic bool stop;

/* Registers, changes, reports and unregisters at random, until told to stop or killed. */
static void churn(commy_mesh_t *with, unsigned seed)
{
    char id[32], name[16], text[700];
    memset(text, 'm', sizeof text);
    while (!atomic_load(&stop)) {
        uint64_t reference = 0;
        snprintf(id, sizeof id, "id-%u", rand_r(&seed) % 150);
        snprintf(name, sizeof name, "name-%u", rand_r(&seed) % 4 * (rand_r(&seed) % 20));
        size_t bytes = rand_r(&seed) % sizeof text;
        text[bytes] = '\0';
        commy_service_config_t config = {.size = sizeof config,
                                         .service_name = name,
                                         .service_id = id,
                                         .endpoint = "10.0.0.1",
                                         .port = 1,
                                         .metadata = text,
                                         .ttl_ms = rand_r(&seed) % 3 == 0 ? 1 + rand_r(&seed) % 50 : 0};
        config.flags = config.ttl_ms && rand_r(&seed) % 2 ? COMMY_SERVICE_DETACHED : 0;
        switch (rand_r(&seed) % 6) {
        case 0:
        case 1:
            if (commy_service_register(with, &config, &reference) == COMMY_STATUS_SUCCESS)
                commy_service_report(with, reference, 100, true);
            break;
        case 2:
        case 3:
            commy_service_unregister(with, id);
            break;
        case 4:
            commy_service_set_metadata(with, id, text);
            break;
        default:
            commy_service_heartbeat(with, id);
        }
        text[bytes] = 'm';
    }
}

static void *churn_here(void *seed)
{
    churn(mesh, (unsigned)(uintptr_t)seed);
    return NULL;
}

static pid_t churn_elsewhere(unsigned seed)
{
    pid_t child = test_fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        commy_mesh_t *own;
        attach(&own, 0);
        churn(own, seed);
        _exit(1);
    }
    return child;
}

static void end(pid_t child)
{
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

Test(audit, threads_at_work_make_no_findings)
{
    pthread_t thread[4];
    for (uintptr_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, churn_here, (void *)(i + 1)), 0);
    uint64_t until = cmy_clock_monotonic_ns() + 2000000000u;
    int audits = 0;
    for (; cmy_clock_monotonic_ns() < until; audits++)
        expect_clean();
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    cr_assert_gt(audits, 1);
    expect_quiet();
}

Test(audit, processes_at_work_and_dying_make_no_findings)
{
    pid_t child[4];
    for (unsigned i = 0; i < 4; i++)
        child[i] = churn_elsewhere(i);
    uint64_t until = cmy_clock_monotonic_ns() + 3000000000u;
    for (unsigned turn = 0; cmy_clock_monotonic_ns() < until; turn++) {
        expect_clean();
        if (turn % 4 == 0) {
            end(child[turn / 4 % 4]);
            expect_clean(); /* nobody need have reaped it yet */
            child[turn / 4 % 4] = churn_elsewhere(turn + 100);
        }
    }
    for (int i = 0; i < 4; i++)
        end(child[i]);
    expect_clean();
    cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    expect_clean();
    usleep(60000); /* what is detached expires */
    for (int i = 0; i < 3; i++)
        cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    commy_mesh_leave(mesh);
    expect_quiet();
}

/* Whatever bytes are there, it ends, and stays within them. Nobody is joined: only the audit reads what is scribbled.
 * */
Test(audit, any_bytes_are_survived)
{
    fill_with(mesh, true);
    commy_mesh_leave(mesh);
    cr_assert_eq(cmy_region_grow(mesh->region, CMY_CELLS, 0), COMMY_STATUS_SUCCESS);
    uint64_t bytes = region->layout.region_bytes;
    unsigned char *before = malloc(bytes);
    cr_assert_not_null(before);
    memcpy(before, region->base, bytes);
    unsigned seed = 1;
    for (int round = 0; round < 24; round++) {
        uint32_t changes = 1u << rand_r(&seed) % 17;
        for (uint32_t i = 0; i < changes; i++) {
            /* Half of it among what is in use, past the words that the attachment itself goes by. */
            uint64_t span = rand_r(&seed) % 2 ? region->layout.fixed_bytes + (64 << 10) : bytes;
            uint64_t at = 256 + ((uint64_t)rand_r(&seed) << 16 ^ (uint64_t)rand_r(&seed)) % (span - 256);
            region->base[at] = (unsigned char)(rand_r(&seed) % 3 ? rand_r(&seed) : 255);
        }
        audit(reader);
        memcpy(region->base + 256, before + 256, bytes - 256);
        expect_clean();
    }
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        const cmy_slab_layout_t *slab = &region->layout.slab[kind];
        memset(region->base + slab->offset, 0xff, slab->limit * slab->stride);
        cr_assert_neq(audit(reader), 0);
        memset(region->base + slab->offset, 0xa2, slab->limit * slab->stride); /* LIVE */
        cr_assert_neq(audit(reader), 0);
        memcpy(region->base + 256, before + 256, bytes - 256);
    }
    free(before);
}

/* ------------------------------------------------------------------ the dead */

Test(audit, what_the_dead_left_is_no_finding_until_their_slot_is_given_back)
{
    pid_t child = test_fork();
    if (child == 0) {
        commy_mesh_t *own;
        attach(&own, 0);
        region = own->region;
        fill_with(own, false);
        /* Killed in the middle of this and that. */
        set_state(CMY_SERVICES, free_record(CMY_SERVICES), own->actor.owner, CMY_CLAIMED);
        set_state(CMY_GROUPS, free_record(CMY_GROUPS), own->actor.owner, CMY_CLAIMED);
        set_state(CMY_LARGE_TEXTS, free_record(CMY_LARGE_TEXTS), own->actor.owner, CMY_CLAIMED);
        set_state(CMY_STATS, free_record(CMY_STATS), CMY_NOBODY, CMY_LIVE);
        uint32_t hidden = free_record(CMY_LINES);
        flip(cmy_slab_map(region, CMY_LINES, hidden), 1ull << hidden % 64);
        raise(SIGKILL);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    expect_clean();
    cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    expect_clean();
    expect_quiet();
}
