/*
 * The language ABI: watches. A table of numbers and the watchers behind them, as that of handles (handle.h), from whose
 * sequence its numbers are drawn: none is ever a handle's, or another watch's.
 *
 *     slot: null --open--> watch --close--> null
 *     references: 0 <--> n; with CLOSING, once it is out of its slot: only down
 *
 * a. Every call but closing holds a reference, counted in a read section. Closing takes the watch out of its slot (a CAS,
 *    which decides who closes), marks it CLOSING, waits for a grace period, after which nobody can count one any more, rings
 *    the watcher, so that who waits on it looks up and sees the mark, and waits for the references to go.
 * b. A wait holds the handle as well, and asks whether it was stopped or destroyed. A watch outlives its handle and
 *    refuses with what the handle's number is refused with then. Order of holding: watch, handle.
 * c. In a forked child a watch is refused with FORKED; closing it there gives back memory only, and none where nobody can
 *    tell whether a thread that is not here was using it.
 */
#include "ffi/watch.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/futex.h"
#include "ffi/handle.h"
#include "mesh/lookout.h"

#define SLOTS 1024u
#define CLOSING 0x80000000u

typedef struct watch {
    uint64_t id;
    uint64_t generation; /* of the process that opened it */
    commy_handle_t handle;
    commy_watcher_t *watcher;
    _Atomic uint32_t references; /* and CLOSING; also the futex that closing sleeps on */
} watch_t;

static watch_t *slots[SLOTS];

/* ---------------------------------------------------------------- holding */

static commy_status_t refuse(uint64_t id, commy_status_t status)
{
    unsigned long long number = id;
    if (number == 0)
        return cmy_fail(status, "watch 0 is none: opening it failed, or was not tried");
    if (status == COMMY_STATUS_FORKED)
        return cmy_fail(status, "watch %llu is the parent's, opened before a fork: open the mesh and watch here",
                        number);
    return cmy_fail(status, "no open watch has the number %llu: it was closed or is not of this process", number);
}

static commy_status_t pin(uint64_t id, watch_t **watch)
{
    commy_status_t status = COMMY_STATUS_NO_HANDLE;
    cmy_rcu_read_lock();
    watch_t *found = cmy_rcu_load(&slots[id % SLOTS]);
    if (found && found->id == id && id != 0)
        status = cmy_fork_same(found->generation) ? COMMY_STATUS_SUCCESS : COMMY_STATUS_FORKED;
    if (status == COMMY_STATUS_SUCCESS)
        atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
    cmy_rcu_read_unlock();
    *watch = found;
    return status == COMMY_STATUS_SUCCESS ? status : refuse(id, status);
}

static void unpin(watch_t *watch)
{
    _Atomic uint32_t *references = &watch->references;
    /* From here on the watch may be gone; the wake is by address only. */
    if (atomic_fetch_sub_explicit(references, 1, memory_order_release) == (CLOSING | 1))
        syscall(SYS_futex, references, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool closing(const watch_t *watch)
{
    return atomic_load_explicit(&watch->references, memory_order_relaxed) & CLOSING;
}

/* Empties a slot if what is in it is watch `id`, or (id 0) any. */
static watch_t *take_out(watch_t **slot, uint64_t id, bool only_inherited)
{
    cmy_rcu_read_lock();
    watch_t *watch = cmy_rcu_load(slot), *seen = watch;
    if (!watch || (id && watch->id != id) || (only_inherited && cmy_fork_same(watch->generation)) ||
        !cmy_rcu_swap(slot, &seen, NULL))
        watch = NULL;
    cmy_rcu_read_unlock();
    return watch;
}

static commy_status_t forget(watch_t *watch)
{
    if (cmy_rcu_sound() && atomic_load_explicit(&watch->references, memory_order_relaxed) == 0) {
        cmy_rcu_synchronize();
        commy_watcher_destroy(&watch->watcher);
        free(watch);
    }
    return COMMY_STATUS_FORKED;
}

static commy_status_t dispose(watch_t *watch)
{
    uint32_t seen;
    if (!cmy_fork_same(watch->generation))
        return forget(watch);
    atomic_fetch_or_explicit(&watch->references, CLOSING, memory_order_relaxed);
    cmy_rcu_synchronize();
    cmy_watcher_ring(watch->watcher);
    while ((seen = atomic_load_explicit(&watch->references, memory_order_acquire)) != CLOSING)
        syscall(SYS_futex, &watch->references, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    commy_watcher_destroy(&watch->watcher);
    free(watch);
    return COMMY_STATUS_SUCCESS;
}

int32_t commy_watch_close(uint64_t id)
{
    watch_t *watch = id ? take_out(&slots[id % SLOTS], id, false) : NULL;
    commy_status_t status = watch ? dispose(watch) : COMMY_STATUS_NO_HANDLE;
    return status == COMMY_STATUS_SUCCESS ? status : refuse(id, status);
}

void cmy_watches_close_all(void)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        watch_t *watch = take_out(&slots[i], 0, false);
        if (watch)
            (void)dispose(watch);
    }
}

/* ---------------------------------------------------------------- opening */

static bool put_in(uint32_t slot, uint64_t sequence, watch_t *watch)
{
    watch_t *none = NULL;
    watch->id = sequence * SLOTS + slot;
    return cmy_rcu_swap(&slots[slot], &none, watch);
}

/* Puts a watch into a free slot; only where there is none, into one that is a parent's. */
static commy_status_t publish(watch_t *watch)
{
    uint64_t sequence = cmy_handle_sequence();
    for (uint32_t i = 0; i < SLOTS; i++)
        if (!cmy_rcu_load(&slots[i]) && put_in(i, sequence, watch))
            return COMMY_STATUS_SUCCESS;
    for (uint32_t i = 0; i < SLOTS; i++) {
        watch_t *evicted = take_out(&slots[i], 0, true);
        if (evicted)
            (void)dispose(evicted);
        if (evicted && put_in(i, sequence, watch))
            return COMMY_STATUS_SUCCESS;
    }
    return cmy_fail(COMMY_STATUS_LIMIT,
                    "this process has %u watches open, which is the most: close some with commy_watch_close()", SLOTS);
}

static commy_status_t open_on(cmy_handle_t *handle, const char *name, uint64_t *id)
{
    const commy_watch_options_t options = {.size = sizeof options, .name = name};
    watch_t *watch = calloc(1, sizeof *watch);
    if (!watch)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for a watch");
    commy_status_t status = commy_watcher_create(handle->mesh, &options, &watch->watcher);
    if (status == COMMY_STATUS_SUCCESS) {
        watch->generation = cmy_fork_generation();
        watch->handle.instance_id = handle->id;
        status = publish(watch);
    }
    if (status == COMMY_STATUS_SUCCESS) {
        *id = watch->id;
        return status;
    }
    commy_watcher_destroy(&watch->watcher);
    free(watch);
    return status;
}

int32_t commy_watch_open(commy_handle_t h, const char *name, uint64_t *watch)
{
    cmy_handle_t *handle;
    if (watch)
        *watch = 0;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (watch)
        status = open_on(handle, name, watch);
    else
        status = cmy_fail(COMMY_STATUS_INVALID, "watch is null: it receives the number to wait with");
    cmy_handle_unpin(&handle);
    return status;
}

/* ------------------------------------------------------------------ using */

typedef struct held {
    watch_t *watch;
    cmy_handle_t *handle;
} held_t;

/* A watch and the handle that it was opened with. */
static commy_status_t hold(uint64_t id, held_t *held)
{
    commy_status_t status = pin(id, &held->watch);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_handle_pin(held->watch->handle.instance_id, CMY_HANDLE_FOR_QUERY, &held->handle);
    if (status != COMMY_STATUS_SUCCESS)
        unpin(held->watch);
    return status;
}

static void let_go(held_t *held)
{
    cmy_handle_unpin(&held->handle);
    unpin(held->watch);
}

static commy_status_t ask(void *user)
{
    const held_t *held = user;
    if (closing(held->watch))
        return cmy_fail(COMMY_STATUS_INTERRUPTED, "watch %llu was closed during the wait",
                        (unsigned long long)held->watch->id);
    if (cmy_handle_closing(held->handle) || !cmy_handle_runs_for(held->handle, CMY_HANDLE_FOR_QUERY))
        return cmy_fail(COMMY_STATUS_NOT_RUNNING, "handle %llu was stopped or destroyed during the wait",
                        (unsigned long long)held->handle->id);
    return COMMY_STATUS_SUCCESS;
}

int32_t commy_watch_wait(uint64_t watch, int32_t timeout_ms, uint64_t *version)
{
    held_t held;
    commy_status_t status = hold(watch, &held);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_watcher_wait(held.watch->watcher, timeout_ms, version, ask, &held);
    /* Stopped while the wait came to success, which took out what the stop had fed. */
    if (!cmy_handle_runs_for(held.handle, CMY_HANDLE_FOR_QUERY))
        cmy_watcher_feed(held.watch->watcher);
    let_go(&held);
    return status;
}

int32_t commy_watch_fd(uint64_t watch)
{
    held_t held;
    int fd = -1;
    commy_status_t status = hold(watch, &held);
    if (status != COMMY_STATUS_SUCCESS)
        return -(int32_t)status;
    status = commy_watcher_fd(held.watch->watcher, &fd);
    let_go(&held);
    return status == COMMY_STATUS_SUCCESS ? fd : -(int32_t)status;
}

int32_t commy_watch_wake(uint64_t id)
{
    watch_t *watch;
    commy_status_t status = pin(id, &watch);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_watcher_wake(watch->watcher);
    unpin(watch);
    return status;
}
