/*
 * Watchers: processes that look, and sleep until something changes; read-only or not, they join nothing.
 *
 * What is watched is looked at only when a wait says that it changed, and what was seen is written into the log, so that a
 * change which no wait tells of stays unseen: at rest an audit compares. A third each waits for a version, by a watcher
 * of the library's, and by that one's descriptor.
 *
 * Fighters make a watcher, too, for one change of their own: it has seen what there was before, so it must tell.
 */
#include "war.h"

#include <poll.h>

#define LONGEST_LIFE_S 60u
#define WAIT_MS 1000

typedef enum how { BY_VERSION, BY_WATCHER, BY_DESCRIPTOR } how_t;

typedef struct sight {
    commy_mesh_t *mesh;
    uint64_t watched; /* 0 the mesh, up to NAMES a name, behind these an entry */
    how_t how;
    uint64_t version;
    commy_watcher_t *watcher;
    int fd;
} sight_t;

static void publish(const sight_t *sight, war_place_t *place)
{
    uint64_t digest = war_digest_watched(sight->mesh, sight->watched);
    atomic_fetch_add(&place->turn, 1);
    atomic_store(&place->watched, sight->watched);
    atomic_store(&place->by_watcher, sight->how != BY_VERSION);
    atomic_store(&place->version, sight->version);
    atomic_store(&place->digest, digest);
    atomic_fetch_add(&place->turn, 1);
}

/* SIGSTOP and SIGCONT may interrupt a wait. */
static bool is_right(commy_status_t status)
{
    return status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_TIMED_OUT || status == COMMY_STATUS_INTERRUPTED;
}

static void open_watcher(sight_t *sight)
{
    char id[128];
    commy_watch_options_t options = {.size = sizeof options};
    if (sight->watched > NAMES) {
        war_id((uint32_t)sight->watched - NAMES - 1, id);
        options.id = id;
    } else if (sight->watched > 0) {
        options.name = war_name((uint32_t)sight->watched - 1);
    }
    commy_status_t status = commy_watcher_create(sight->mesh, &options, &sight->watcher);
    if (status == COMMY_STATUS_SUCCESS && sight->how == BY_DESCRIPTOR)
        status = commy_watcher_fd(sight->watcher, &sight->fd);
    war_hold(WAR_CALLS, status == COMMY_STATUS_SUCCESS, "watch: code %d, %s", (int)status, commy_last_error_message());
}

static commy_status_t await(const sight_t *sight, uint64_t *version)
{
    const char *name = sight->watched ? war_name((uint32_t)sight->watched - 1) : NULL;
    struct pollfd readable = {.fd = sight->fd, .events = POLLIN};
    switch (sight->how) {
    case BY_VERSION:
        return commy_mesh_wait(sight->mesh, name, sight->version, WAIT_MS, version);
    case BY_DESCRIPTOR:
        if (poll(&readable, 1, WAIT_MS) <= 0) {
            *version = sight->version;
            return COMMY_STATUS_TIMED_OUT;
        }
        return commy_watcher_wait(sight->watcher, 0, version);
    default:
        return commy_watcher_wait(sight->watcher, WAIT_MS, version);
    }
}

static void choose(sight_t *sight, uint64_t *random)
{
    sight->how = (how_t)below(random, 3);
    sight->watched = below(random, 3) == 0 ? 0 : 1 + below(random, NAMES);
    if (sight->how != BY_VERSION && below(random, 3) == 0)
        sight->watched = NAMES + 1 + below(random, SEATS * ENTRIES);
}

void war_watch(uint32_t number, uint64_t random)
{
    war_place_t *place = &war->place[number];
    sight_t sight = {.fd = -1};
    uint64_t next;
    uint32_t e;
    commy_target_t target;
    alarm(LONGEST_LIFE_S);
    random |= 1;
    choose(&sight, &random);
    uint32_t flags = below(&random, 2) ? COMMY_OPEN_READ_ONLY : COMMY_OPEN_MUST_EXIST;
    while (!(sight.mesh = war_attach(flags, number)))
        sleep_us(1000);
    if (sight.how != BY_VERSION)
        open_watcher(&sight);
    for (;;) {
        commy_status_t status = await(&sight, &next);
        war_hold(WAR_CALLS, is_right(status), "wait: code %d, %s", (int)status, commy_last_error_message());
        war_hold(WAR_GROWS, next >= sight.version, "a watcher was given %" PRIu64 " after %" PRIu64, next,
                 sight.version);
        if (status == COMMY_STATUS_SUCCESS) {
            sight.version = next;
            publish(&sight, place);
            atomic_fetch_add(&place->wakes, 1);
        }
        for (int i = 0; i < 4; i++)
            war_expect_entry(sight.mesh, below(&random, ALL), i == 0);
        war_expect_name(sight.mesh, below(&random, war->names));
        war_select(sight.mesh, &random, &e, &target);
        atomic_fetch_add(&place->cell[0].operations, 7);
    }
}

/* ------------------------------------------------------------- one's own changes */

#define TELLS_WITHIN 10 /* waits, so that the time in which we are stopped does not count */

void war_sight_open(war_fighter_t *f, uint32_t e, uint32_t name, war_sight_t *sight)
{
    char id[128];
    commy_watch_options_t options = {.size = sizeof options};
    *sight = (war_sight_t){.fd = -1};
    if (below(&f->random, 64) != 0)
        return;
    uint32_t dice = below(&f->random, 3);
    war_id(e, id);
    options.id = dice == 1 ? id : NULL;
    options.name = dice == 2 ? war_name(name) : NULL;
    commy_status_t status = commy_watcher_create(f->mesh, &options, &sight->watcher);
    if (status == COMMY_STATUS_SUCCESS && below(&f->random, 2))
        status = commy_watcher_fd(sight->watcher, &sight->fd);
    war_called(status, "watch one's own", e);
    /* The first wait tells of what there is; what is told again by the second came meanwhile. */
    for (int turn = 0; turn < 2 && sight->watcher; turn++)
        status = commy_watcher_wait(sight->watcher, 0, NULL);
    war_hold(WAR_CALLS, is_right(status), "look at one's own: code %d", (int)status);
}

/* One wait; a descriptor may be readable without need, and then the wait has nothing to tell. */
static commy_status_t be_told(const war_sight_t *sight)
{
    struct pollfd readable = {.fd = sight->fd, .events = POLLIN};
    int ready = sight->fd < 0 ? 1 : poll(&readable, 1, WAIT_MS);
    if (ready <= 0)
        return ready < 0 ? COMMY_STATUS_INTERRUPTED : COMMY_STATUS_TIMED_OUT;
    return commy_watcher_wait(sight->watcher, sight->fd < 0 ? WAIT_MS : 0, NULL);
}

/* Jolts interrupt it all the time. */
static bool tells(const war_sight_t *sight)
{
    commy_status_t status = COMMY_STATUS_TIMED_OUT;
    for (int turn = 0; status != COMMY_STATUS_SUCCESS && turn < TELLS_WITHIN;
         turn += status != COMMY_STATUS_INTERRUPTED)
        status = be_told(sight);
    return status == COMMY_STATUS_SUCCESS;
}

void war_sight_close(war_sight_t *sight, bool changed)
{
    if (sight->watcher && changed)
        war_hold(WAR_WATCHED, tells(sight), "an own change is not told of, by descriptor %d: %s", sight->fd,
                 commy_last_error_message());
    commy_watcher_destroy(&sight->watcher);
}
