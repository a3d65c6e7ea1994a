/* What the thread of a monitor does; see monitor.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "life/sign.h"
#include "mesh/monitor.h"

#define MS 1000000ull
#define PATIENCE_LEAST_NS 1000000000ull
#define FIRST_MOST_NS (50 * MS) /* a first check comes by then */
#define DRIVE_MOST_MS 20u       /* while checks run, the thread is not woken by a condition */

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define UNSHARE_TABLE 2u /* CLOSE_RANGE_UNSHARE */

/* Under a sanitizer or valgrind, who follow descriptors, the table stays the program's. */
#if defined(__SANITIZE_ADDRESS__) || CMY_THREAD_SANITIZER
#define OWN_TABLE 0
#else
#define OWN_TABLE 1
#endif

static void take_own_table(void)
{
    if (!OWN_TABLE || syscall(SYS_close_range, 0u, ~0u, UNSHARE_TABLE) != 0)
        return;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 2 && fd >= 0; i++)
        fd = dup(fd);
}

static uint64_t draw(cmy_monitor_t *monitor, uint64_t below)
{
    uint64_t x = monitor->random += 0x9e3779b97f4a7c15ull; /* splitmix64 (Steele, Lea, Flood 2014) */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    x ^= x >> 31;
    return below ? x % below : 0;
}

/* ---------------------------------------------------------- one service */

static void end_ping(cmy_monitor_t *monitor, cmy_monitored_t *one)
{
    monitor->checks -= one->ping != NULL;
    cmy_ping_cancel(monitor->pings, &one->ping);
}

/* Whether it is registered and can be checked; finds its record where it is not the known one. */
static bool present(cmy_monitor_t *monitor, cmy_monitored_t *one)
{
    cmy_region_t *region = monitor->region;
    if (one->state) {
        const cmy_service_shm_t *service = cmy_service_at(region, one->record);
        uint64_t state = cmy_load64_acquire(&service->state);
        if (state == one->state && cmy_service_visible(region, service, state))
            return one->checkable;
    }
    end_ping(monitor, one);
    one->mine = false;
    one->state = 0;
    one->watch = (cmy_checker_watch_t){0};
    uint64_t state;
    uint32_t record;
    commy_service_info_t info;
    if (!cmy_service_find(region, &one->key, &record, &state))
        return false;
    cmy_service_copy_info(region, record, state, &info);
    if (!cmy_service_same(cmy_service_at(region, record), state))
        return false; /* the next look will tell */
    one->record = record;
    one->state = state;
    one->checkable =
        cmy_aim_make(&info, &one->aim) == COMMY_STATUS_SUCCESS && cmy_ping_ready(&one->aim) == COMMY_STATUS_SUCCESS;
    return one->checkable;
}

/* An interval, give or take a tenth, so that services do not go in step. */
static uint64_t interval_ns(cmy_monitor_t *monitor, const cmy_monitored_t *one)
{
    uint64_t interval = one->config.check_interval_ms * MS;
    return interval - interval / 10 + draw(monitor, interval / 5 + 1);
}

static void begin_check(cmy_monitor_t *monitor, cmy_monitored_t *one, uint64_t now)
{
    one->due_ns = now + interval_ns(monitor, one);
    one->before = cmy_checked_read(monitor->region, one->record);
    one->ping = cmy_ping_begin(monitor->pings, &one->aim, (uint32_t)one->config.timeout_ms, one);
    one->lost_ns = now + (one->config.timeout_ms + CMY_PING_GRACE_MS) * MS;
    monitor->checks += one->ping != NULL;
}

/* Looks at one; returns when to look again, at the latest. */
static uint64_t look(cmy_monitor_t *monitor, cmy_monitored_t *one, uint64_t now)
{
    uint64_t later = now + CMY_MONITOR_SLICE_NS;
    if (!present(monitor, one))
        return later;
    const commy_health_config_t *config = &one->config;
    uint64_t patience = (3 * config->check_interval_ms + config->timeout_ms) * MS;
    if (!cmy_checker_elect(monitor->region, monitor->owner, one->record, one->state, &one->watch,
                           patience > PATIENCE_LEAST_NS ? patience : PATIENCE_LEAST_NS, now)) {
        end_ping(monitor, one);
        one->mine = false;
        return later;
    }
    if (!one->mine) {
        uint64_t most = config->check_interval_ms * MS / 10;
        one->mine = true;
        one->due_ns = now + draw(monitor, most < FIRST_MOST_NS ? most : FIRST_MOST_NS);
    }
    if (one->ping && now >= one->lost_ns)
        end_ping(monitor, one);
    if (one->ping)
        return later;
    uint64_t latest = now + config->check_interval_ms * MS / 10 * 11;
    one->due_ns = one->due_ns < latest ? one->due_ns : latest; /* what was said anew may be shorter */
    if (now >= one->due_ns && monitor->checks < CMY_MONITOR_RUNNING)
        begin_check(monitor, one, now);
    /* One that is due and finds no room is looked at when a check has ended. */
    return one->ping || one->due_ns > later || one->due_ns <= now ? later : one->due_ns;
}

/* -------------------------------------------------------------- all of them */

/* One look at each, beginning with another each time, so that none is always the last to find room. The lock is held. */
static uint64_t look_at_all(cmy_monitor_t *monitor)
{
    uint64_t now = cmy_clock_monotonic_ns(), next = now + CMY_MONITOR_SLICE_NS;
    for (uint32_t i = 0; i < monitor->count;) {
        cmy_monitored_t *one = monitor->list[i];
        if (!one->dropped) {
            i++;
            continue;
        }
        end_ping(monitor, one);
        free(one);
        monitor->list[i] = monitor->list[--monitor->count];
    }
    if (!cmy_region_is_usable(monitor->region))
        return next;
    uint32_t first = monitor->count ? (uint32_t)draw(monitor, monitor->count) : 0;
    for (uint32_t i = 0; i < monitor->count; i++) {
        uint64_t at = look(monitor, monitor->list[(first + i) % monitor->count], now);
        next = at < next ? at : next;
    }
    return next;
}

/* Writes the results of those that have ended. The lock is held. */
static void collect(cmy_monitor_t *monitor)
{
    cmy_outcome_t outcome;
    for (cmy_monitored_t *one; (one = cmy_pings_next(monitor->pings, &outcome)) != NULL;) {
        one->ping = NULL;
        monitor->checks--;
        /* The record is that in which it was begun: finding another one ends the ping. */
        if (outcome.made && !one->dropped)
            cmy_checker_note(monitor->region, monitor->owner, one->record, one->state, one->before, outcome.failed,
                             outcome.latency_us, one->config.max_failures, one->config.recovery_checks);
    }
}

/* Until the bell rings, or then. The lock is held, and let go meanwhile. */
static void sleep_until(cmy_monitor_t *monitor, uint64_t then_ns)
{
    struct timespec until = {.tv_sec = (time_t)(then_ns / 1000000000u), .tv_nsec = (long)(then_ns % 1000000000u)};
    pthread_cond_timedwait(&monitor->changed, &monitor->lock, &until);
}

/* Goes on with the checks that run. The lock is held, and let go meanwhile. */
static void drive(cmy_monitor_t *monitor, uint64_t then_ns)
{
    uint64_t now = cmy_clock_monotonic_ns(), left_ms = then_ns > now ? (then_ns - now + MS - 1) / MS : 0;
    pthread_mutex_unlock(&monitor->lock);
    cmy_pings_drive(monitor->pings, (uint32_t)(left_ms < DRIVE_MOST_MS ? left_ms : DRIVE_MOST_MS));
    pthread_mutex_lock(&monitor->lock);
    collect(monitor);
}

void *cmy_monitor_work(void *argument)
{
    cmy_monitor_t *monitor = argument;
    pthread_setname_np(pthread_self(), CMY_MONITOR_NAME);
    take_own_table();
    pthread_mutex_lock(&monitor->lock);
    while (!monitor->stop && cmy_life_alive(monitor->region, monitor->owner)) {
        if (!monitor->pings)
            monitor->pings = cmy_pings_make(); /* with descriptors of this thread's */
        uint64_t next = monitor->pings ? look_at_all(monitor) : cmy_clock_monotonic_ns() + CMY_MONITOR_SLICE_NS;
        if (monitor->checks > 0)
            drive(monitor, next);
        else
            sleep_until(monitor, next);
    }
    cmy_pings_free(&monitor->pings);
    monitor->checks = 0;
    for (uint32_t i = 0; i < monitor->count; i++)
        monitor->list[i]->ping = NULL;
    pthread_mutex_unlock(&monitor->lock);
    return NULL;
}
