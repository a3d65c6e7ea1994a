/*
 * Many threads on watches and callbacks at once: opening, waiting, polling, waking, closing, dispatching, setting callbacks,
 * while services change and handles are stopped and destroyed under them; beside them, two threads on a handle of their
 * own, of which one changes a service only when the other has seen the last change. A plain program, made to be run under the
 * thread sanitizer; by itself it counts what must not be.
 *
 * Usage: tsan_watch [SECONDS]            3 seconds
 */
#include <commy/ffi.h>

#include <poll.h>
#include <pthread.h>

#include "acceptance.h"

#define SHARED 3u
#define WATCHES 6u
#define WORKERS 6u
#define MOST_WEIGHT 60000u

static _Atomic uint64_t handle[SHARED]; /* that everybody uses and anybody destroys */
static _Atomic uint64_t watch[WATCHES];
static _Atomic bool over;

/* Counted by all threads, in a way that orders nothing among them. */
enum { ALLOWED, ON_CALLER, TURNS, PROPERTIES };
static _Atomic uint64_t looked[PROPERTIES], violated[PROPERTIES];

static void __attribute__((format(printf, 3, 4))) judge(int property, bool holds, const char *format, ...)
{
    va_list arguments;
    atomic_fetch_add_explicit(&looked[property], 1, memory_order_relaxed);
    if (holds || atomic_fetch_add_explicit(&violated[property], 1, memory_order_relaxed) >= SHOWN_VIOLATIONS)
        return;
    va_start(arguments, format);
    printf("  violated: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

/* A call came to success or to one of the codes that it may come to here, " 3 12 ". */
static void expect(const char *what, int32_t code, const char *allowed)
{
    char number[16];
    snprintf(number, sizeof number, " %d ", code < 0 ? -code : code);
    judge(ALLOWED, code == 0 || strstr(allowed, number), "%s came to %d: %s", what, code, commy_last_error_message());
}

static commy_handle_t open_one(uint32_t flags)
{
    const commy_open_options_t options = {
        .size = sizeof options, .flags = flags, .dir = test_dir, .mesh = "m", .node_id = "tsan", .capacity = 256};
    return commy_open_mesh(&options);
}

static commy_handle_t any_handle(uint64_t *random)
{
    return (commy_handle_t){atomic_load_explicit(&handle[below(random, SHARED)], memory_order_relaxed)};
}

static uint64_t any_watch(uint64_t *random)
{
    return atomic_load_explicit(&watch[below(random, WATCHES)], memory_order_relaxed);
}

/* --------------------------------------------------------------- callbacks */

static __thread bool dispatching;

static void on_service(void *user, int32_t event, const char *name, const char *id)
{
    judge(ON_CALLER, dispatching && user == &over && event >= 1 && event <= 3 && *name && *id, "%d %s %s", (int)event,
          name, id);
}

static void on_health(void *user, const char *name, const char *id, int32_t before, int32_t now)
{
    judge(ON_CALLER, dispatching && user == &over && before != now && *name && *id, "%s %s", name, id);
}

static void on_log(void *user, int32_t level, const char *text)
{
    judge(ON_CALLER, dispatching && user == &over && level >= 1 && level <= 3 && *text, "%s", text);
}

static void set_callbacks(commy_handle_t h, uint64_t *random)
{
    expect("service callback", commy_set_service_callback(h, below(random, 4) ? on_service : NULL, &over), " 3 12 ");
    expect("health callback", commy_set_health_callback(h, below(random, 2) ? on_health : NULL, &over), " 3 12 ");
    expect("log callback", commy_set_log_callback(below(random, 2) ? on_log : NULL, &over), " ");
}

static void dispatch(commy_handle_t h, uint64_t *random)
{
    dispatching = true;
    int32_t ran = commy_dispatch(h, (int32_t)below(random, 20));
    dispatching = false;
    expect("dispatch", ran < 0 ? ran : 0, " 3 12 ");
}

/* ------------------------------------------------------------------ work */

static void change(commy_handle_t h, uint64_t *random)
{
    char id[16];
    snprintf(id, sizeof id, "id-%u", below(random, 8));
    expect("register", commy_register_service_simple(h, below(random, 2) ? "web" : "db", id, "::1", 80), " 3 6 12 ");
    expect("weight", commy_set_service_weight(h, id, below(random, 100)), " 3 5 12 ");
    expect("metadata", commy_update_service_metadata(h, id, "{}"), " 3 5 12 ");
    if (below(random, 2))
        expect("unregister", commy_unregister_service(h, id), " 3 5 12 ");
}

static void open_watch(commy_handle_t h, uint64_t *random)
{
    uint64_t fresh = 0;
    const char *const names[] = {"web", "db", NULL};
    expect("watch", commy_watch_open(h, names[below(random, 3)], &fresh), " 3 12 ");
    if (!fresh)
        return;
    uint64_t old = atomic_exchange_explicit(&watch[below(random, WATCHES)], fresh, memory_order_relaxed);
    expect("close", commy_watch_close(old), " 3 ");
    judge(ALLOWED, commy_watch_close(old) == COMMY_STATUS_NO_HANDLE, "closed twice");
}

static void wait_and_poll(uint64_t *random)
{
    uint64_t version = 0, one = any_watch(random);
    expect("wait", commy_watch_wait(one, (int32_t)below(random, 20), &version), " 3 11 12 24 ");
    if (below(random, 2))
        return;
    struct pollfd poll_fd = {.fd = commy_watch_fd(one), .events = POLLIN};
    expect("descriptor", poll_fd.fd < 0 ? poll_fd.fd : 0, " 3 12 ");
    if (poll_fd.fd >= 0) /* which may be closed, and another's, by now */
        poll(&poll_fd, 1, (int)below(random, 20));
    expect("wait", commy_watch_wait(one, 0, &version), " 3 11 12 24 ");
}

static void replace_handle(uint64_t *random)
{
    uint32_t slot = below(random, SHARED);
    commy_handle_t fresh = open_one(slot == 0 ? COMMY_OPEN_READ_ONLY : 0);
    expect("open", fresh.instance_id ? 0 : commy_last_error(), " ");
    commy_handle_t old = {atomic_exchange_explicit(&handle[slot], fresh.instance_id, memory_order_relaxed)};
    expect("destroy", commy_destroy_mesh(old), " 3 ");
}

static void *work(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument * 7919u + 1;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        commy_handle_t h = any_handle(&random);
        switch (below(&random, 16)) {
        case 0:
            replace_handle(&random);
            break;
        case 1:
            expect("stop", commy_stop_mesh(h), " 3 ");
            expect("start", commy_start_mesh(h), " 3 21 ");
            break;
        case 2:
            set_callbacks(h, &random);
            break;
        case 3:
        case 4:
            dispatch(h, &random);
            break;
        case 5:
        case 6:
            open_watch(h, &random);
            break;
        case 7:
            expect("wake", commy_watch_wake(any_watch(&random)), " 3 ");
            break;
        case 8:
        case 9:
        case 10:
            wait_and_poll(&random);
            break;
        default:
            h.instance_id = atomic_load_explicit(&handle[1 + below(&random, SHARED - 1)], memory_order_relaxed);
            change(h, &random);
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------- turns */

static commy_handle_t own;
static _Atomic uint32_t seen; /* the last weight that was seen; relaxed, and no other word between the two */
static _Atomic bool missed;

static void *turn(void *argument)
{
    (void)argument;
    uint32_t weight = 0;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        uint32_t next = weight % MOST_WEIGHT + 1;
        expect("turn", commy_set_service_weight(own, "turn", next), " ");
        uint64_t began = now_ns();
        while (atomic_load_explicit(&seen, memory_order_relaxed) != next && now_ns() - began < 20000000000ull)
            sleep_us(20);
        bool came = atomic_load_explicit(&seen, memory_order_relaxed) == next;
        judge(TURNS, came, "weight %u was not seen within 20 s", next);
        if (!came)
            break;
        weight = next;
    }
    atomic_store(&missed, true);
    return NULL;
}

/* By waiting and by polling in turn, without a time-out but for the end of the test. */
static void *follow(void *argument)
{
    uint64_t mine = 0, random = 99;
    (void)argument;
    expect("watch", commy_watch_open(own, "turn", &mine), " ");
    struct pollfd poll_fd = {.fd = commy_watch_fd(mine), .events = POLLIN};
    while (!atomic_load(&missed)) {
        commy_target_t target;
        if (below(&random, 2)) {
            poll(&poll_fd, 1, 1000);
            expect("wait", commy_watch_wait(mine, 0, NULL), " 11 ");
        } else {
            expect("wait", commy_watch_wait(mine, 1000, NULL), " 11 ");
        }
        if (commy_find(own, "turn", &target) == 0)
            atomic_store_explicit(&seen, target.weight, memory_order_relaxed);
    }
    expect("close", commy_watch_close(mine), " ");
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    pthread_t thread[WORKERS + 2];
    test_begin((unsigned)seconds + 100);
    own = open_one(0);
    if (commy_register_service_simple(own, "turn", "turn", "::1", 80) != 0)
        return 2;
    for (uint32_t i = 0; i < SHARED; i++)
        atomic_store(&handle[i], open_one(i == 0 ? COMMY_OPEN_READ_ONLY : 0).instance_id);
    for (uint32_t i = 0; i < WORKERS + 2; i++)
        if (pthread_create(&thread[i], NULL,
                           i < WORKERS    ? work
                           : i == WORKERS ? turn
                                          : follow,
                           (void *)(uintptr_t)i) != 0)
            return 2;
    sleep_us((uint64_t)(seconds * 1e6));
    atomic_store(&over, true);
    for (uint32_t i = 0; i < WORKERS + 2; i++)
        pthread_join(thread[i], NULL);
    expect("cleanup", commy_ffi_cleanup(), " ");
    for (uint32_t i = 0; i < WATCHES; i++)
        judge(ALLOWED, commy_watch_wake(atomic_load(&watch[i])) == COMMY_STATUS_NO_HANDLE, "a watch after cleaning up");
    static property_t all[PROPERTIES] = {
        {"every call comes to a code that it may come to", 0, 0},
        {"callbacks run on the thread that dispatches", 0, 0},
        {"whoever waits or polls for a change sees the last one", 0, 0},
    };
    for (int i = 0; i < PROPERTIES; i++) {
        all[i].looked = atomic_load(&looked[i]);
        all[i].violated = atomic_load(&violated[i]);
    }
    return verdict(all, PROPERTIES);
}
