/* Watchers: making them, waiting, waking, descriptors; what they promise, and why it holds, is in lookout.h. */
#include <commy/commy.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/futex.h"
#include "mesh/lookout.h"

/* ----------------------------------------------------------------- making */

static commy_status_t copy_filter(const char *what, const char *from, size_t max, char *to, bool *filtered)
{
    size_t bytes;
    if (!from)
        return COMMY_STATUS_SUCCESS;
    commy_status_t status = cmy_text_check(what, from, 1, max, false, &bytes);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    memcpy(to, from, bytes);
    *filtered = true;
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t read_options(const commy_watch_options_t *from, commy_watch_options_t *options)
{
    *options = (commy_watch_options_t){.size = sizeof *options};
    if (!from)
        return COMMY_STATUS_SUCCESS;
    commy_status_t status = cmy_mesh_sized("options", from, options, sizeof *options);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (options->flags != 0)
        return cmy_fail(COMMY_STATUS_INVALID, "options.flags 0x%x has bits that mean nothing; use 0", options->flags);
    if (options->id && options->name)
        return cmy_fail(COMMY_STATUS_INVALID, "options has both an id and a name; watch one service or the instances "
                                              "of one name, with two watchers if need be");
    if (!options->name && (options->tag || options->version || options->zone))
        return cmy_fail(COMMY_STATUS_INVALID,
                        "options has a %s and no name; tag, version and zone choose among the "
                        "instances of a name",
                        options->tag       ? "tag"
                        : options->version ? "version"
                                           : "zone");
    return COMMY_STATUS_SUCCESS;
}

/* Takes over what is to be watched. */
static commy_status_t choose(const commy_mesh_t *mesh, const commy_watch_options_t *options, commy_watcher_t *watcher)
{
    const char *text = options->id ? options->id : options->name;
    size_t max = options->id ? COMMY_LIMIT_ID_BYTES : COMMY_LIMIT_NAME_BYTES;
    if (!text)
        return COMMY_STATUS_SUCCESS;
    watcher->kind = options->id ? CMY_WATCH_ID : CMY_WATCH_NAME;
    commy_status_t status =
        cmy_mesh_key(mesh->region, options->id ? "service id" : "service name", text, max, &watcher->key);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    memcpy(watcher->text, text, watcher->key.bytes);
    watcher->key.text = watcher->text;
    status = copy_filter("tag", options->tag, COMMY_LIMIT_TAG_BYTES, watcher->tag, &watcher->filtered);
    if (status == COMMY_STATUS_SUCCESS)
        status =
            copy_filter("version", options->version, COMMY_LIMIT_VERSION_BYTES, watcher->version, &watcher->filtered);
    if (status == COMMY_STATUS_SUCCESS)
        status = copy_filter("zone", options->zone, COMMY_LIMIT_ZONE_BYTES, watcher->zone, &watcher->filtered);
    return status;
}

static void enlist(cmy_lookout_t *lookout, commy_watcher_t *watcher)
{
    cmy_lookout_hold(lookout);
    watcher->lookout = lookout;
    pthread_mutex_lock(&lookout->list);
    watcher->next = lookout->watchers;
    lookout->watchers = watcher;
    pthread_mutex_unlock(&lookout->list);
}

commy_status_t commy_watcher_create(commy_mesh_t *mesh, const commy_watch_options_t *from, commy_watcher_t **watcher)
{
    commy_watch_options_t options;
    if (!watcher)
        return cmy_mesh_null("where the watcher is to be stored");
    *watcher = NULL;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = read_options(from, &options);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_lookout_t *lookout = cmy_lookout_of(mesh);
    commy_watcher_t *made = lookout ? calloc(1, sizeof *made) : NULL;
    if (!made)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for a watcher of %zu bytes", sizeof *made);
    status = choose(mesh, &options, made);
    if (status != COMMY_STATUS_SUCCESS) {
        free(made);
        return status;
    }
    made->ends[0] = made->ends[1] = -1;
    atomic_init(&made->feed, -1);
    pthread_mutex_init(&made->turn, NULL);
    enlist(lookout, made);
    *watcher = made;
    return COMMY_STATUS_SUCCESS;
}

static void strike_off(cmy_lookout_t *lookout, commy_watcher_t *watcher)
{
    pthread_mutex_lock(&lookout->list);
    commy_watcher_t **link = &lookout->watchers;
    while (*link != watcher)
        link = &(*link)->next;
    *link = watcher->next;
    pthread_mutex_unlock(&lookout->list);
}

void commy_watcher_destroy(commy_watcher_t **watcher)
{
    if (!watcher || !*watcher)
        return;
    commy_watcher_t *gone = *watcher;
    cmy_lookout_t *lookout = gone->lookout;
    *watcher = NULL;
    if (cmy_fork_same(lookout->generation)) {
        strike_off(lookout, gone); /* from here on the lookout does not know it */
        if (gone->ends[0] >= 0) {
            cmy_lookout_disuse(lookout);
            close(gone->ends[0]);
            close(gone->ends[1]);
        }
        pthread_mutex_destroy(&gone->turn);
    }
    free(gone);
    cmy_lookout_let_go(lookout);
}

/* ------------------------------------------------------- feeding, ringing */

void cmy_watcher_feed(commy_watcher_t *watcher)
{
    int feed = atomic_load(&watcher->feed), error = errno;
    if (feed < 0 || atomic_exchange(&watcher->fed, true))
        return;
    (void)!send(feed, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    errno = error;
}

void cmy_watcher_ring(commy_watcher_t *watcher)
{
    atomic_fetch_add(&watcher->bell, 1);
    syscall(SYS_futex, &watcher->bell, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* After a wait: the descriptor says what is new since then, and nothing else. A byte may be there though nobody is `fed`: whoever
 * sent it was stopped between the two. The lookout does not sleep on what is watched by those it has fed, so that it has to be
 * rung in any case. */
static void drain(commy_watcher_t *watcher, const commy_mesh_t *mesh)
{
    char bytes[16];
    bool came = false;
    if (atomic_load(&watcher->feed) < 0)
        return;
    while (recv(watcher->ends[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        came = true;
    if (!atomic_exchange(&watcher->fed, false) && !came)
        return;
    if (!cmy_region_is_usable(mesh->region)) /* removed since the look: the lookout has fed for the last time */
        cmy_watcher_feed(watcher);
    if (atomic_load(&watcher->wakes) != atomic_load(&watcher->answered))
        cmy_watcher_feed(watcher);
    cmy_lookout_ring(watcher->lookout);
}

/* ---------------------------------------------------------------- waiting */

/* Why a call may not go on: not null, of this process, attached, usable. */
static commy_status_t usable(const commy_watcher_t *watcher, commy_mesh_t **mesh)
{
    *mesh = NULL;
    if (!watcher)
        return cmy_mesh_null("watcher");
    if (!cmy_fork_same(watcher->lookout->generation))
        return cmy_fail(COMMY_STATUS_FORKED, "the watcher is the parent's, made before a fork: attach and watch here");
    *mesh = cmy_rcu_load(&watcher->lookout->mesh);
    if (!*mesh)
        return cmy_fail(COMMY_STATUS_NOT_RUNNING, "the mesh that is watched was detached: destroy the watcher");
    return cmy_mesh_usable(*mesh);
}

/* Whether somebody called wake() since the wait began; all that came until now is then answered. */
static bool interrupted(commy_watcher_t *watcher, uint32_t answered)
{
    uint32_t wakes = atomic_load(&watcher->wakes), seen = atomic_load(&watcher->answered);
    if (wakes == answered)
        return false;
    while ((int32_t)(wakes - seen) > 0 && !atomic_compare_exchange_weak(&watcher->answered, &seen, wakes))
        continue;
    return true;
}

/* One wait, on the waiter's stack. */
typedef struct wait {
    commy_mesh_t *mesh;
    cmy_look_t known, now;
    uint32_t answered;
    uint64_t end_ns, moved_at_ns, look_at_ns; /* end UINT64_MAX: none */
} wait_t;

/* Looks, if there is reason to. *due: the wait comes to success with what was seen. */
static commy_status_t look(const commy_watcher_t *watcher, wait_t *wait, uint64_t now_ns, bool *due)
{
    bool moved = wait->known.version == 0 || cmy_watch_moved(wait->mesh, &wait->now);
    bool blind = !wait->mesh->region->writable && now_ns >= wait->look_at_ns;
    commy_status_t status = COMMY_STATUS_SUCCESS;
    if (moved || blind) {
        status = cmy_watch_look(wait->mesh, watcher, &wait->now);
        wait->look_at_ns = cmy_watch_again_ns(now_ns);
    }
    if (moved && wait->moved_at_ns == 0)
        wait->moved_at_ns = now_ns;
    bool waited =
        wait->moved_at_ns != 0 && (now_ns - wait->moved_at_ns >= CMY_WATCH_SLICE_NS || now_ns >= wait->end_ns);
    *due = wait->known.version == 0 || wait->now.digest != wait->known.digest || waited;
    return status;
}

/* How long the next sleep may last. */
static int pause_ms(const wait_t *wait, uint64_t now_ns)
{
    uint64_t left_ns = wait->end_ns - now_ns;
    uint64_t until_ns = wait->moved_at_ns ? wait->moved_at_ns + CMY_WATCH_SLICE_NS - now_ns : CMY_WATCH_SLICE_NS;
    left_ns = left_ns < until_ns ? left_ns : until_ns;
    return (int)((left_ns + 999999) / 1000000); /* rounded up: what ends early ends in a busy loop */
}

static commy_status_t wait_for_change(commy_watcher_t *watcher, wait_t *wait, cmy_watch_ask_fn *ask, void *user)
{
    bool due;
    for (;;) {
        uint32_t heard = atomic_load(&watcher->bell); /* before everything that is looked for */
        if (interrupted(watcher, wait->answered))
            return cmy_fail(COMMY_STATUS_INTERRUPTED, "somebody called commy_watcher_wake() or commy_watch_wake()");
        commy_status_t status = ask ? ask(user) : COMMY_STATUS_SUCCESS;
        if (status == COMMY_STATUS_SUCCESS)
            status = cmy_mesh_usable(wait->mesh);
        uint64_t now_ns = cmy_clock_monotonic_ns();
        if (status == COMMY_STATUS_SUCCESS)
            status = look(watcher, wait, now_ns, &due);
        if (status != COMMY_STATUS_SUCCESS || due)
            return status;
        if (now_ns >= wait->end_ns)
            return COMMY_STATUS_TIMED_OUT;
        const cmy_wait_for_t on = cmy_watch_sleeps_on(&wait->now);
        status = cmy_wait_slice_any(wait->mesh->region, &on, 1, &watcher->bell, heard, pause_ms(wait, now_ns));
        if (status == COMMY_STATUS_INTERRUPTED)
            return cmy_fail(status, "a signal arrived while waiting for a change in mesh %s; call again to go on",
                            wait->mesh->region->mesh);
        if (wait->mesh->region->writable)
            cmy_lease_declare(wait->mesh->region);
    }
}

static commy_status_t timed_out(const commy_watcher_t *watcher, const commy_mesh_t *mesh, int32_t timeout_ms)
{
    const char *place = mesh->region->mesh;
    if (watcher->kind == CMY_WATCH_ALL)
        return cmy_fail(COMMY_STATUS_TIMED_OUT, "nothing changed in mesh %s within %d ms", place, timeout_ms);
    return cmy_fail(COMMY_STATUS_TIMED_OUT, "%s '%s' did not change in mesh %s within %d ms",
                    watcher->kind == CMY_WATCH_ID ? "service id" : "name", watcher->text, place, timeout_ms);
}

commy_status_t cmy_watcher_wait(commy_watcher_t *watcher, int32_t timeout_ms, uint64_t *version, cmy_watch_ask_fn *ask,
                                void *user)
{
    wait_t wait = {.end_ns = UINT64_MAX};
    commy_status_t status = usable(watcher, &wait.mesh);
    if (status != COMMY_STATUS_SUCCESS || !wait.mesh)
        return status;
    if (timeout_ms >= 0)
        wait.end_ns = cmy_clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
    wait.answered = atomic_load(&watcher->answered);
    pthread_mutex_lock(&watcher->turn);
    wait.known = wait.now = watcher->known;
    pthread_mutex_unlock(&watcher->turn);
    status = wait_for_change(watcher, &wait, ask, user);

    pthread_mutex_lock(&watcher->turn);
    /* A wait that began before another one's end does not go back behind it. Where there was none it is not asked which is
     * later: versions may take a step back, once in a long while (wait.h). */
    bool alone = watcher->known.version == wait.known.version;
    if (status == COMMY_STATUS_SUCCESS && (alone || wait.now.version >= watcher->known.version))
        watcher->known = wait.now;
    wait.known = watcher->known;
    pthread_mutex_unlock(&watcher->turn);
    if (status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_TIMED_OUT || status == COMMY_STATUS_INTERRUPTED)
        drain(watcher, wait.mesh);
    if (version)
        *version = status == COMMY_STATUS_SUCCESS ? wait.now.version : wait.known.version;
    return status == COMMY_STATUS_TIMED_OUT ? timed_out(watcher, wait.mesh, timeout_ms) : status;
}

commy_status_t commy_watcher_wait(commy_watcher_t *watcher, int32_t timeout_ms, uint64_t *version)
{
    return cmy_watcher_wait(watcher, timeout_ms, version, NULL, NULL);
}

commy_status_t commy_watcher_wake(commy_watcher_t *watcher)
{
    if (!watcher)
        return cmy_mesh_null("watcher");
    if (!cmy_fork_same(watcher->lookout->generation))
        return cmy_fail(COMMY_STATUS_FORKED, "the watcher is the parent's, made before a fork: attach and watch here");
    atomic_fetch_add(&watcher->wakes, 1);
    cmy_watcher_ring(watcher);
    cmy_watcher_feed(watcher);
    return COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------- descriptor */

/* Under turn. */
static commy_status_t open_ends(commy_watcher_t *watcher)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return cmy_fail_errno(errno == EMFILE || errno == ENFILE ? COMMY_STATUS_LIMIT : COMMY_STATUS_NO_MEMORY,
                              "no pair of sockets for a watcher could be made");
    watcher->ends[0] = ends[0];
    watcher->ends[1] = ends[1];
    atomic_store(&watcher->feed, ends[1]);
    if (watcher->known.version == 0 || atomic_load(&watcher->wakes) != atomic_load(&watcher->answered))
        cmy_watcher_feed(watcher);
    return COMMY_STATUS_SUCCESS;
}

/* The thread is wanted before the lock: whoever ends it waits for it, and it may wait for the lock. */
static commy_status_t open_once(commy_watcher_t *watcher)
{
    commy_status_t status = cmy_lookout_use(watcher->lookout);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    pthread_mutex_lock(&watcher->turn);
    bool first = watcher->ends[0] < 0;
    if (first)
        status = open_ends(watcher);
    pthread_mutex_unlock(&watcher->turn);
    if (first && status == COMMY_STATUS_SUCCESS)
        cmy_lookout_ring(watcher->lookout);
    else
        cmy_lookout_disuse(watcher->lookout);
    return status;
}

commy_status_t commy_watcher_fd(commy_watcher_t *watcher, int *fd)
{
    commy_mesh_t *mesh;
    if (!fd)
        return cmy_mesh_null("fd");
    *fd = -1;
    commy_status_t status = usable(watcher, &mesh);
    if (status == COMMY_STATUS_SUCCESS && atomic_load(&watcher->feed) < 0)
        status = open_once(watcher);
    if (status == COMMY_STATUS_SUCCESS)
        *fd = watcher->ends[0];
    return status;
}
