/* The handle table: opening and destroying handles. What it promises, and why it holds, is in handle.h. */
#include "ffi/handle.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/node.h"
#include "mesh/lookout.h"

static _Atomic uint64_t last_sequence;
static _Atomic uint64_t sequence_generation; /* the one that last_sequence has jumped for */
static _Atomic(cmy_handle_t *) kept;         /* inherited handles that could not be freed */

/* ------------------------------------------------------------------ numbers */

static uint32_t random_number(void)
{
    uint32_t number;
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) == (ssize_t)sizeof(number))
        return number;
    struct timespec now; /* early in the boot: no secret is needed, only a number that others do not have */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_nsec * 2654435761u + (uint32_t)getpid();
}

/*
 * Never the same twice, and in a child beyond all that its parent may go on to draw, unless both jumps are nearly the
 * same. Threads that meet here in a new process may jump twice, which does no harm; none draws before a jump.
 */
uint64_t cmy_handle_sequence(void)
{
    uint64_t generation = cmy_fork_generation();
    if (atomic_load_explicit(&sequence_generation, memory_order_acquire) != generation) {
        atomic_fetch_add_explicit(&last_sequence, random_number(), memory_order_relaxed);
        atomic_store_explicit(&sequence_generation, generation, memory_order_release);
    }
    return atomic_fetch_add_explicit(&last_sequence, 1, memory_order_relaxed) + 1;
}

/* ---------------------------------------------------------------- destroying */

/* Waits for the references to go. Nobody can add one any more. */
static void drain(cmy_handle_t *handle)
{
    uint32_t seen;
    while ((seen = atomic_load_explicit(&handle->references, memory_order_acquire)) != CMY_HANDLE_CLOSING)
        syscall(SYS_futex, &handle->references, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void keep(cmy_handle_t *handle)
{
    handle->kept = atomic_load_explicit(&kept, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&kept, &handle->kept, handle, memory_order_release,
                                                  memory_order_relaxed))
        continue;
}

/* A handle of the parent's, out of its slot. Its mutex may be held by a thread that is not here: it is left alone. */
static void forget(cmy_handle_t *handle)
{
    if (!cmy_rcu_sound() || atomic_load_explicit(&handle->references, memory_order_relaxed) != 0) {
        keep(handle);
        return;
    }
    cmy_rcu_synchronize();
    commy_mesh_detach(&handle->mesh);
    free(handle);
}

/* A handle of this process's, out of its slot. */
static void take_down(cmy_handle_t *handle)
{
    cmy_error_t error;
    cmy_error_save(&error);
    atomic_fetch_or_explicit(&handle->references, CMY_HANDLE_CLOSING, memory_order_relaxed);
    cmy_rcu_synchronize();
    cmy_lookout_alarm(handle->mesh);
    (void)cmy_handle_stop(handle); /* services go now, not when the last sleeper wakes; detaching leaves in any case */
    drain(handle);
    commy_mesh_detach(&handle->mesh);
    pthread_mutex_destroy(&handle->turn);
    free(handle);
    cmy_error_restore(&error);
}

static bool inherited(const cmy_handle_t *handle)
{
    return handle->generation != cmy_fork_generation();
}

/*
 * Empties a slot if what is in it is handle `id`, or (id 0) any, and returns it; null if it is not. The read section
 * keeps what was read from being freed, and another from being allocated in its place, before the CAS.
 */
static cmy_handle_t *take_out(cmy_handle_t **slot, uint64_t id, bool only_inherited)
{
    cmy_rcu_read_lock();
    cmy_handle_t *handle = cmy_rcu_load(slot), *seen = handle;
    if (!handle || (id && handle->id != id) || (only_inherited && !inherited(handle)) ||
        !cmy_rcu_swap(slot, &seen, NULL))
        handle = NULL;
    cmy_rcu_read_unlock();
    return handle;
}

static commy_status_t dispose(cmy_handle_t *handle)
{
    bool foreign = inherited(handle);
    if (foreign)
        forget(handle);
    else
        take_down(handle);
    return foreign ? COMMY_STATUS_FORKED : COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_handle_destroy(uint64_t id)
{
    cmy_handle_t *handle = id ? take_out(cmy_handle_slot(id), id, false) : NULL;
    commy_status_t status = handle ? dispose(handle) : COMMY_STATUS_NO_HANDLE;
    return status == COMMY_STATUS_SUCCESS ? status : cmy_handle_refuse(id, status);
}

void cmy_handle_destroy_all(void)
{
    for (uint32_t i = 0; i < CMY_HANDLE_SLOTS; i++) {
        cmy_handle_t *handle = take_out(&cmy_handle_slots[i], 0, false);
        if (handle)
            (void)dispose(handle);
    }
}

/* ------------------------------------------------------------------- opening */

/* Whether a handle could be put somewhere now: asked before anything is made, so that a full table changes nothing. */
static bool room_left(void)
{
    bool found = false;
    cmy_rcu_read_lock();
    for (uint32_t i = 0; i < CMY_HANDLE_SLOTS && !found; i++) {
        cmy_handle_t *handle = cmy_rcu_load(&cmy_handle_slots[i]);
        found = !handle || inherited(handle);
    }
    cmy_rcu_read_unlock();
    return found;
}

static bool put_in(uint32_t slot, uint64_t sequence, cmy_handle_t *handle)
{
    cmy_handle_t *none = NULL;
    handle->id = sequence * CMY_HANDLE_SLOTS + slot;
    return cmy_rcu_swap(&cmy_handle_slots[slot], &none, handle);
}

/* Puts a handle into a free slot; only where there is none, into one that is a parent's. */
static commy_status_t publish(cmy_handle_t *handle)
{
    uint64_t sequence = cmy_handle_sequence();
    for (uint32_t i = 0; i < CMY_HANDLE_SLOTS; i++)
        if (!cmy_rcu_load(&cmy_handle_slots[i]) && put_in(i, sequence, handle))
            return COMMY_STATUS_SUCCESS;
    for (uint32_t i = 0; i < CMY_HANDLE_SLOTS; i++) {
        cmy_handle_t *evicted = take_out(&cmy_handle_slots[i], 0, true);
        if (evicted)
            (void)dispose(evicted);
        if (evicted && put_in(i, sequence, handle))
            return COMMY_STATUS_SUCCESS;
    }
    return COMMY_STATUS_LIMIT;
}

static commy_status_t no_room(void)
{
    return cmy_fail(COMMY_STATUS_LIMIT,
                    "this process has %u handles open, which is the most: destroy some with commy_destroy_mesh()",
                    CMY_HANDLE_SLOTS);
}

/* Takes over what start needs later. The options were checked by commy_mesh_attach(). */
static void remember(cmy_handle_t *handle, const commy_open_options_t *options)
{
    commy_open_options_t known = {0};
    if (options)
        memcpy(&known, options, options->size < sizeof(known) ? options->size : sizeof(known));
    if (known.node_id && known.node_id[0])
        strncpy(handle->node_id, known.node_id, COMMY_LIMIT_MESH_BYTES);
    else
        cmy_node_default(handle->node_id);
    handle->listen_port = known.listen_port;
    handle->read_only = known.flags & COMMY_OPEN_READ_ONLY;
}

commy_status_t cmy_handle_ready(void)
{
    if (!cmy_rcu_ready())
        return cmy_fail(COMMY_STATUS_INIT_FAILED, "the library could not install its fork handlers: out of memory");
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_handle_open(const commy_open_options_t *options, uint64_t *id)
{
    commy_status_t status = cmy_handle_ready();
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!room_left())
        return no_room();
    cmy_handle_t *handle = aligned_alloc(alignof(cmy_handle_t), sizeof(*handle));
    if (!handle)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for a handle");
    memset(handle, 0, sizeof(*handle));

    status = commy_mesh_attach(options, &handle->mesh);
    if (status != COMMY_STATUS_SUCCESS)
        goto failed;
    remember(handle, options);
    handle->generation = cmy_fork_generation();
    pthread_mutex_init(&handle->turn, NULL);
    status = publish(handle);
    if (status != COMMY_STATUS_SUCCESS) {
        status = no_room();
        goto detach;
    }
    *id = handle->id;
    return status;

detach:
    pthread_mutex_destroy(&handle->turn);
    commy_mesh_detach(&handle->mesh);
failed:
    free(handle);
    return status;
}
