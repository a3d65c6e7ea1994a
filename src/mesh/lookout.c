/* The lookout's thread, and who needs it; see lookout.h. */
#include "mesh/lookout.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/log.h"
#include "base/thread.h"
#include "life/sign.h"
#include "mesh/notices.h"

#define STACK_BYTES (256u * 1024)
#define DESERTED_NS 1000000000ull /* how often to ask whether the program has ended */

/* ---------------------------------------------------------------- holding */

void cmy_lookout_hold(cmy_lookout_t *lookout)
{
    atomic_fetch_add_explicit(&lookout->holders, 1, memory_order_relaxed);
}

void cmy_lookout_let_go(cmy_lookout_t *lookout)
{
    if (atomic_fetch_sub_explicit(&lookout->holders, 1, memory_order_acq_rel) > 1)
        return;
    if (cmy_fork_same(lookout->generation)) {
        pthread_mutex_destroy(&lookout->list);
        pthread_mutex_destroy(&lookout->running);
    }
    free(lookout);
}

static void feed_all(cmy_lookout_t *lookout)
{
    pthread_mutex_lock(&lookout->list);
    for (commy_watcher_t *watcher = lookout->watchers; watcher; watcher = watcher->next) {
        cmy_watcher_feed(watcher);
        cmy_watcher_ring(watcher);
    }
    pthread_mutex_unlock(&lookout->list);
}

static void stop(cmy_lookout_t *lookout)
{
    int cancel;
    if (!lookout->started)
        return;
    atomic_store(&lookout->stop, 1);
    cmy_lookout_ring(lookout);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_join(lookout->thread, NULL);
    pthread_setcancelstate(cancel, NULL);
    atomic_store(&lookout->stop, 0);
    lookout->started = false;
}

/* With the handle. */
static void end(cmy_annex_t *annex)
{
    cmy_lookout_t *lookout = (cmy_lookout_t *)annex;
    if (cmy_fork_same(lookout->generation)) {
        pthread_mutex_lock(&lookout->running);
        stop(lookout);
        cmy_rcu_store(&lookout->mesh, NULL);
        pthread_mutex_unlock(&lookout->running);
        feed_all(lookout);
    }
    cmy_notices_end(lookout->notices, !cmy_fork_same(lookout->generation));
    lookout->notices = NULL;
    cmy_lookout_let_go(lookout);
}

cmy_lookout_t *cmy_lookout_of(commy_mesh_t *mesh)
{
    cmy_annex_t *there = cmy_rcu_load(&mesh->lookout);
    if (there)
        return (cmy_lookout_t *)there;
    cmy_lookout_t *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->annex.end = end;
    made->mesh = mesh;
    made->generation = cmy_fork_generation();
    atomic_init(&made->holders, 1);
    pthread_mutex_init(&made->list, NULL); /* with default attributes neither can fail */
    pthread_mutex_init(&made->running, NULL);
    if (cmy_rcu_swap(&mesh->lookout, &there, &made->annex))
        return made;
    cmy_lookout_let_go(made);
    return (cmy_lookout_t *)there;
}

void cmy_lookout_ring(cmy_lookout_t *lookout)
{
    atomic_fetch_add(&lookout->bell, 1);
    syscall(SYS_futex, &lookout->bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void cmy_lookout_alarm(commy_mesh_t *mesh)
{
    cmy_lookout_t *lookout = (cmy_lookout_t *)cmy_rcu_load(&mesh->lookout);
    if (!lookout)
        return;
    feed_all(lookout);
    cmy_notices_t *notices = cmy_rcu_load(&lookout->notices);
    if (notices)
        cmy_notices_ring(notices);
}

/* ---------------------------------------------------------------- looking */

/* What to sleep on: the stripes of what is watched, each once; too many of them are everything. Copies, since a watcher
 * may go meanwhile. */
typedef struct rest {
    cmy_wait_for_t on[CMY_WAIT_MOST];
    uint64_t name_hash[CMY_WAIT_MOST];
    uint32_t count;
    uint64_t whole_version; /* older than every look */
    uint64_t until_ns;
    uint32_t heard; /* of the bell, before the look */
    bool pending;   /* somebody wants to be looked at before anything changes */
} rest_t;

static void rest_on_all(rest_t *rest)
{
    rest->on[0] = (cmy_wait_for_t){NULL, rest->whole_version};
    rest->count = 1;
}

static void rest_on(rest_t *rest, const cmy_look_t *look)
{
    if (look->whole || rest->count == CMY_WAIT_MOST) {
        rest_on_all(rest);
        return;
    }
    for (uint32_t i = 0; i < rest->count; i++) {
        if (!rest->on[i].name_hash)
            return; /* on all, already */
        if (!cmy_wait_same_stripe(rest->name_hash[i], look->name_hash))
            continue;
        if (look->stripe_version < rest->on[i].version) /* the older one ends the sleep */
            rest->on[i].version = look->stripe_version;
        return;
    }
    rest->name_hash[rest->count] = look->name_hash;
    rest->on[rest->count] = (cmy_wait_for_t){&rest->name_hash[rest->count], look->stripe_version};
    rest->count++;
}

/* Whether a watcher's descriptor has to be fed, by the rules for a wait. Under list. */
static bool due(const commy_mesh_t *mesh, commy_watcher_t *watcher, rest_t *rest)
{
    pthread_mutex_lock(&watcher->turn);
    const cmy_look_t known = watcher->known;
    pthread_mutex_unlock(&watcher->turn);
    uint64_t now_ns = cmy_clock_monotonic_ns();
    bool blind = !mesh->region->writable && now_ns >= watcher->look_at_ns;
    if (known.version == 0)
        return true;
    /* What differs though no version moved says something only to those who look without one. To others it is not announced
     * yet: a wait would not return for it. */
    bool differs = !mesh->region->writable && watcher->seen.digest != known.digest;
    if (watcher->seen.version == 0 || cmy_watch_moved(mesh, &watcher->seen) || blind || differs) {
        if (cmy_watch_look(mesh, watcher, &watcher->seen) != COMMY_STATUS_SUCCESS)
            return true; /* the wait says why */
        watcher->look_at_ns = cmy_watch_again_ns(now_ns);
    }
    bool moved = cmy_watch_moved(mesh, &known);
    watcher->moved_at_ns = !moved ? 0 : watcher->moved_at_ns ? watcher->moved_at_ns : now_ns;
    differs = watcher->seen.digest != known.digest && (moved || !mesh->region->writable);
    if (differs || (moved && now_ns - watcher->moved_at_ns >= CMY_WATCH_SLICE_NS)) {
        watcher->moved_at_ns = 0;
        return true;
    }
    if (moved && watcher->moved_at_ns + CMY_WATCH_SLICE_NS < rest->until_ns)
        rest->until_ns = watcher->moved_at_ns + CMY_WATCH_SLICE_NS;
    rest->pending |= moved;
    rest_on(rest, &watcher->seen);
    return false;
}

/* One look for all that are watched through descriptors and are not fed, and for the callbacks. */
static void look(cmy_lookout_t *lookout, const commy_mesh_t *mesh, rest_t *rest, uint32_t heard)
{
    *rest = (rest_t){.whole_version = cmy_wait_version(mesh->region, NULL),
                     .until_ns = cmy_clock_monotonic_ns() + CMY_WATCH_SLICE_NS,
                     .heard = heard,
                     .pending = !mesh->region->writable};
    pthread_mutex_lock(&lookout->list);
    for (commy_watcher_t *watcher = lookout->watchers; watcher; watcher = watcher->next)
        if (atomic_load(&watcher->feed) >= 0 && !atomic_load(&watcher->fed) && due(mesh, watcher, rest))
            cmy_watcher_feed(watcher);
    pthread_mutex_unlock(&lookout->list);
    cmy_notices_t *notices = cmy_rcu_load(&lookout->notices);
    uint64_t walk_at_ns = notices ? cmy_notices_look(notices, mesh) : 0;
    if (walk_at_ns == CMY_NOTICES_ON_CHANGE)
        rest_on_all(rest);
    else if (walk_at_ns != 0)
        rest->pending = true;
    if (walk_at_ns != 0 && walk_at_ns < rest->until_ns)
        rest->until_ns = walk_at_ns;
}

/* Whether the last look would come to the same now, so that a thousand idle watchers cost what one does. */
static bool nothing_new(const commy_mesh_t *mesh, const rest_t *rest, uint32_t heard)
{
    return rest->heard == heard && !rest->pending && cmy_wait_version(mesh->region, NULL) == rest->whole_version;
}

/* Whether the thread has to go: it was told to, the region is gone, or the program. */
static bool over(cmy_lookout_t *lookout, const commy_mesh_t *mesh, uint64_t *ask_at_ns)
{
    if (atomic_load(&lookout->stop))
        return true;
    if (!cmy_region_is_usable(mesh->region)) {
        cmy_log(CMY_LOG_WARNING, "mesh %s of %s was removed: detach, and attach to the one made after it",
                mesh->region->mesh, mesh->region->dir);
        feed_all(lookout); /* and whoever comes from now on sees it for himself */
        return true;
    }
    uint64_t now_ns = cmy_clock_monotonic_ns();
    if (now_ns < *ask_at_ns)
        return false;
    *ask_at_ns = now_ns + DESERTED_NS;
    return cmy_life_only_keepers(); /* the process ends with its last thread */
}

static void *run(void *argument)
{
    cmy_lookout_t *lookout = argument;
    commy_mesh_t *mesh = cmy_rcu_load(&lookout->mesh); /* which waits for this thread before it goes */
    uint64_t ask_at_ns = cmy_clock_monotonic_ns() + DESERTED_NS;
    rest_t rest = {.pending = true};
    pthread_setname_np(pthread_self(), CMY_LOOKOUT_NAME);
    for (;;) {
        uint32_t heard = atomic_load(&lookout->bell); /* before the look: what is rung during it ends the sleep */
        if (over(lookout, mesh, &ask_at_ns))
            return NULL;
        if (nothing_new(mesh, &rest, heard))
            rest.until_ns = cmy_clock_monotonic_ns() + CMY_WATCH_SLICE_NS;
        else
            look(lookout, mesh, &rest, heard);
        uint64_t now_ns = cmy_clock_monotonic_ns();
        uint64_t left_ns = rest.until_ns > now_ns ? rest.until_ns - now_ns : 0;
        cmy_wait_slice_any(mesh->region, rest.on, rest.count, &lookout->bell, heard, (int)(left_ns / 1000000) + 1);
        if (mesh->region->writable)
            cmy_lease_declare(mesh->region);
    }
}

/* ------------------------------------------------------- starting, ending */

commy_status_t cmy_lookout_use(cmy_lookout_t *lookout)
{
    int error = 0;
    pthread_mutex_lock(&lookout->running);
    if (!lookout->started)
        error = cmy_thread_start(&lookout->thread, STACK_BYTES, run, lookout);
    if (!error) {
        lookout->started = true;
        lookout->users++;
    }
    pthread_mutex_unlock(&lookout->running);
    if (!error)
        return COMMY_STATUS_SUCCESS;
    errno = error;
    return cmy_fail_errno(COMMY_STATUS_LIMIT, "no thread could be started to look out for changes");
}

void cmy_lookout_disuse(cmy_lookout_t *lookout)
{
    pthread_mutex_lock(&lookout->running);
    if (--lookout->users == 0)
        stop(lookout);
    pthread_mutex_unlock(&lookout->running);
}
