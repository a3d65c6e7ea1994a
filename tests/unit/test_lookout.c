/*
 * Watchers and callbacks where threads and processes are stopped between two steps of theirs, which the tests here do in
 * their stead: descriptors neither stay readable for nothing nor unreadable with a reason.
 */
#include "ffi/handle.h"
#include "mesh/notices.h"
#include "support_watch.h"

#include <sys/socket.h>

TestSuite(lookout, .init = set_up, .fini = tear_down, .timeout = 60);

static commy_watcher_t *watch_name(commy_mesh_t *on, const char *name)
{
    const commy_watch_options_t options = {.size = sizeof options, .name = name};
    commy_watcher_t *watcher;
    cr_assert_eq(commy_watcher_create(on, &options, &watcher), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_SUCCESS, "the first wait");
    return watcher;
}

/* How often a program that polls and waits comes round in so long. */
static unsigned rounds(commy_watcher_t *watcher, int fd, uint64_t ms)
{
    unsigned count = 0;
    for (uint64_t end = now_ms() + ms; now_ms() < end;)
        if (readable(fd, 10)) {
            count++;
            (void)commy_watcher_wait(watcher, 0, NULL);
        }
    return count;
}

Test(lookout, a_byte_that_is_sent_late_is_taken_out_by_the_next_wait)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_watcher_t *watcher = watch_name(mesh, "web");
    int fd = fd_of(watcher);
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_TIMED_OUT);
    cr_assert(nothing_to_read(watcher, fd, 150));
    /* The thread is stopped between its two steps, and a wait comes in between. */
    cr_assert(!atomic_exchange(&watcher->fed, true));
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_TIMED_OUT);
    cr_assert_eq(send(atomic_load(&watcher->feed), "", 1, 0), 1);
    cr_assert(readable(fd, 0), "once for nothing");
    cr_assert_leq(rounds(watcher, fd, 300), 2);
    add(mesh, "web", "web-2");
    cr_assert(readable(fd, 2000), "and it still tells of what is new");
    commy_watcher_destroy(&watcher);
}

Test(lookout, a_change_whose_maker_is_stopped_before_it_is_announced_does_not_keep_a_descriptor_readable)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_watcher_t *watcher = watch_name(mesh, "web");
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, "web-1", &record, &state), COMMY_STATUS_SUCCESS);
    cmy_word64_t *condition = &cmy_service_at(mesh->region, record)->condition;
    cmy_store64_release(condition, cmy_load64_relaxed(condition) + 1); /* its weight */
    int fd = fd_of(watcher);
    cr_assert_leq(rounds(watcher, fd, 500), 5);
    cmy_wait_announce(mesh->region, cmy_service_name_hash(mesh->region, record));
    cr_assert(readable(fd, 2000));
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_leq(rounds(watcher, fd, 300), 3);
    commy_watcher_destroy(&watcher);
}

Test(lookout, nor_does_one_that_a_read_only_wait_saw_before_the_thread_looks_again)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_watcher_t *watcher = watch_name(reader, "web");
    uint32_t record;
    uint64_t state;
    cr_assert_eq(cmy_mesh_look_up(mesh, "web-1", &record, &state), COMMY_STATUS_SUCCESS);
    cmy_word64_t *condition = &cmy_service_at(mesh->region, record)->condition;
    int fd = fd_of(watcher);
    cr_assert(nothing_to_read(watcher, fd, 200));
    pthread_mutex_lock(&watcher->lookout->list);
    watcher->look_at_ns = cmy_clock_monotonic_ns() + 1000000000u; /* its last look took long */
    cmy_store64_release(condition, cmy_load64_relaxed(condition) + 1);
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_SUCCESS);
    pthread_mutex_unlock(&watcher->lookout->list);
    cr_assert_leq(rounds(watcher, fd, 500), 5);
    commy_watcher_destroy(&watcher);
    commy_mesh_detach(&reader);
}

/* What a first wait would tell is there still. */
Test(lookout, a_first_wait_that_is_woken_leaves_the_descriptor_readable)
{
    begin(64);
    add(mesh, "web", "web-1");
    const commy_watch_options_t options = {.size = sizeof options, .name = "web"};
    commy_watcher_t *watcher;
    cr_assert_eq(commy_watcher_create(mesh, &options, &watcher), COMMY_STATUS_SUCCESS);
    int fd = fd_of(watcher);
    cr_assert_eq(commy_watcher_wake(watcher), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_watcher_wait(watcher, 5000, NULL), COMMY_STATUS_INTERRUPTED);
    cr_assert(readable(fd, 2000));
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_SUCCESS);
    cr_assert(nothing_to_read(watcher, fd, 150));
    commy_watcher_destroy(&watcher);
}

Test(lookout, a_version_that_stepped_back_is_known_after_one_wait)
{
    begin(64);
    add(mesh, "web", "web-1");
    commy_watcher_t *watcher = watch_name(mesh, "web");
    watcher->known.version += 2u << 20; /* a slot has had 2^20 tenants since (wait.h) */
    watcher->known.stripe_version += 2u << 20;
    cr_assert_eq(commy_watcher_wait(watcher, 200, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_TIMED_OUT);
    add(mesh, "web", "web-2");
    cr_assert_eq(commy_watcher_wait(watcher, 2000, NULL), COMMY_STATUS_SUCCESS);
    commy_watcher_destroy(&watcher);
}

/* ------------------------------------- what ends, while a wait ends with success */

typedef struct waiter {
    commy_watcher_t *watcher;
    uint64_t watch;
    int32_t status;
} waiter_t;

static void *wait_long(void *argument)
{
    waiter_t *waiter = argument;
    waiter->status = waiter->watch ? commy_watch_wait(waiter->watch, 5000, NULL)
                                   : (int32_t)commy_watcher_wait(waiter->watcher, 5000, NULL);
    return NULL;
}

/* Begins a wait that comes to success and is held before its last step. */
static pthread_t held_wait(waiter_t *waiter, commy_watcher_t *watcher, commy_mesh_t *by)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_long, waiter), 0);
    sleep_ms(200);
    atomic_store(&watcher->fed, true); /* so that the thread does not wait for the same lock */
    cr_assert_eq(pthread_mutex_lock(&watcher->turn), 0);
    add(by, "web", "web-2");
    sleep_ms(200);
    return thread;
}

Test(lookout, a_descriptor_stays_readable_when_the_region_is_removed_during_a_wait)
{
    begin(64);
    commy_watcher_t *watcher = watch_name(mesh, "web");
    int fd = fd_of(watcher);
    waiter_t waiter = {.watcher = watcher};
    pthread_t thread = held_wait(&waiter, watcher, mesh);
    const commy_open_options_t options = options_for(0, 0);
    cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    sleep_ms(300);
    pthread_mutex_unlock(&watcher->turn);
    pthread_join(thread, NULL);
    cr_assert_eq(waiter.status, COMMY_STATUS_SUCCESS);
    cr_assert(readable(fd, 1000), "so that the program comes to know it");
    cr_assert_eq(commy_watcher_wait(watcher, 0, NULL), COMMY_STATUS_REMOVED);
    cr_assert(readable(fd, 0));
    commy_watcher_destroy(&watcher);
}

Test(lookout, and_when_the_handle_is_stopped_during_one)
{
    begin(64);
    const commy_open_options_t options = options_for(0, 0);
    commy_handle_t h = commy_open_mesh(&options);
    waiter_t waiter = {0};
    cr_assert_eq(commy_watch_open(h, "web", &waiter.watch), 0);
    cr_assert_eq(commy_watch_wait(waiter.watch, 0, NULL), 0);
    int fd = commy_watch_fd(waiter.watch);
    cr_assert_geq(fd, 0);
    cmy_lookout_t *lookout = (cmy_lookout_t *)(*cmy_handle_slot(h.instance_id))->mesh->lookout;
    commy_watcher_t *watcher = lookout->watchers;
    pthread_t thread = held_wait(&waiter, watcher, mesh);
    cr_assert_eq(commy_stop_mesh(h), 0);
    pthread_mutex_unlock(&watcher->turn);
    pthread_join(thread, NULL);
    cr_assert_eq(waiter.status, 0);
    cr_assert(readable(fd, 1000));
    cr_assert_eq(commy_watch_wait(waiter.watch, 0, NULL), COMMY_STATUS_NOT_RUNNING);
    cr_assert_eq(commy_watch_close(waiter.watch), 0);
    commy_ffi_cleanup();
}

/* --------------------------------------------------------------- callbacks */

#define FULL 2048u

static _Atomic int moves; /* odd: one is under way */

/* Registers "moved" anew, in the record of another that leaves for its: there is no third one that is free. */
static void *move(void *argument)
{
    commy_mesh_t *by = argument;
    for (int i = 0; i < test_rounds(300); i++) {
        while (atomic_load(&moves) & 1)
            continue;
        sleep_ms(1);
        atomic_fetch_add(&moves, 1);
        drop(by, "moved");
        drop(by, "other");
        add(by, "web", "moved");
        add(by, "web", "other");
        atomic_fetch_add(&moves, 1);
        while (!(atomic_load(&moves) & 4))
            sleep_ms(1);
        atomic_fetch_and(&moves, ~6);
    }
    atomic_store(&moves, 1024);
    return NULL;
}

static void none(void)
{
}

/* Looks once, and hears what there is to be told of "moved": 1 that it is there, 2 that it went; else `last`. */
static int32_t hear(cmy_notices_t *notices, int32_t last)
{
    cmy_notice_t notice;
    cmy_listener_t listener;
    notices->walk_at_ns = 0;
    (void)cmy_notices_look(notices, mesh);
    while (cmy_notices_take(notices, &notice, &listener))
        last = strcmp(notice.id, "moved") == 0 ? notice.now : last;
    return last;
}

Test(lookout, a_service_that_is_registered_anew_during_a_walk_does_not_come_before_it_went)
{
    begin(FULL);
    add(mesh, "web", "other");
    for (unsigned i = 0; i < FULL - 2; i++) {
        char id[16];
        snprintf(id, sizeof id, "s-%u", i);
        add(mesh, "web", id);
    }
    add(mesh, "web", "moved");
    cmy_notices_t *notices = cmy_notices_of(mesh);
    cr_assert_not_null(notices);
    notices->listener[CMY_FOR_SERVICES] = (cmy_listener_t){none, NULL, 1};
    int32_t last = 0;
    for (int i = 0; i < 10; i++)
        last = hear(notices, last);
    cr_assert_eq(last, 1);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, move, mesh), 0);
    while (atomic_load(&moves) != 1024) {
        int before = atomic_load(&moves);
        notices->version = 0;
        last = hear(notices, last);
        if (!(before & 2) || before & 4)
            continue;
        for (int i = 0; i < 3; i++)
            last = hear(notices, last);
        cr_assert_eq(last, 1, "it is there, and the last that was said is that it went");
        atomic_fetch_or(&moves, 4);
    }
    pthread_join(thread, NULL);
}
