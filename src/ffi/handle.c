/* The handle table: finding and holding handles. What it promises, and why it holds, is in handle.h. */
#include "ffi/handle.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "mesh/lookout.h"

cmy_handle_t *cmy_handle_slots[CMY_HANDLE_SLOTS];

/* Why a call may not go on with what is in its slot; no words yet, since it may yet be started. */
static commy_status_t examine(const cmy_handle_t *handle, uint64_t id, cmy_handle_need_t need)
{
    if (!handle || handle->id != id)
        return COMMY_STATUS_NO_HANDLE;
    if (handle->generation != cmy_fork_generation())
        return COMMY_STATUS_FORKED;
    return cmy_handle_runs_for(handle, need) ? COMMY_STATUS_SUCCESS : COMMY_STATUS_NOT_RUNNING;
}

commy_status_t cmy_handle_refuse(uint64_t id, commy_status_t status)
{
    unsigned long long number = id;
    if (number == 0)
        return cmy_fail(status, "handle 0 is none: opening the mesh failed, or was not tried");
    if (status == COMMY_STATUS_NO_HANDLE)
        return cmy_fail(status, "no open handle has the number %llu: it was destroyed or is not of this process",
                        number);
    if (status == COMMY_STATUS_FORKED)
        return cmy_fail(status, "handle %llu is the parent's, opened before a fork: open the mesh again here", number);
    return cmy_fail(status, "handle %llu was stopped: call commy_start_mesh() to use it again", number);
}

static void count_in(cmy_handle_t *handle)
{
    /* Relaxed: the read section keeps destroy from looking at the count before it is there. */
    atomic_fetch_add_explicit(&handle->references, 1, memory_order_relaxed);
}

void cmy_handle_unpin(cmy_handle_t **handle)
{
    _Atomic uint32_t *references = &(*handle)->references;
    *handle = NULL;
    /* Release pairs with drain()'s acquire. From then on the handle may be gone: the futex is woken by address only, and
     * a wake for whatever lies there by then is one more spurious wake-up, which every futex must bear with. */
    if (atomic_fetch_sub_explicit(references, 1, memory_order_release) == (CMY_HANDLE_CLOSING | 1))
        syscall(SYS_futex, references, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Joins, in turn with other starts and stops. only_new: a handle that others started or stopped meanwhile is left so. */
static commy_status_t join(cmy_handle_t *handle, bool only_new)
{
    commy_status_t status = COMMY_STATUS_SUCCESS;
    pthread_mutex_lock(&handle->turn);
    if (cmy_handle_closing(handle)) {
        status = cmy_handle_refuse(handle->id, COMMY_STATUS_NO_HANDLE);
    } else if (!only_new || atomic_load_explicit(&handle->run, memory_order_relaxed) == CMY_HANDLE_NEW) {
        status = commy_mesh_join(handle->mesh, handle->node_id, handle->listen_port);
        if (status == COMMY_STATUS_SUCCESS)
            atomic_store_explicit(&handle->run, CMY_HANDLE_STARTED, memory_order_relaxed);
    }
    pthread_mutex_unlock(&handle->turn);
    return status;
}

commy_status_t cmy_handle_start(cmy_handle_t *handle)
{
    return join(handle, false);
}

commy_status_t cmy_handle_stop(cmy_handle_t *handle)
{
    if (handle->read_only)
        return COMMY_STATUS_SUCCESS;
    pthread_mutex_lock(&handle->turn);
    /* First the word that turns calls away, then those that came before it are waited for. */
    atomic_store_explicit(&handle->run, CMY_HANDLE_STOPPED, memory_order_relaxed);
    cmy_lookout_alarm(handle->mesh);
    commy_status_t status = commy_mesh_leave(handle->mesh);
    pthread_mutex_unlock(&handle->turn);
    return status;
}

commy_status_t cmy_handle_enter_slowly(uint64_t id, cmy_handle_need_t need, cmy_handle_t **handle)
{
    /* Twice at most: a handle is new until it is started or stopped, and never again. */
    for (;;) {
        cmy_rcu_read_lock();
        cmy_handle_t *found = cmy_rcu_load(cmy_handle_slot(id));
        commy_status_t status = examine(found, id, need);
        if (status == COMMY_STATUS_SUCCESS) {
            *handle = found;
            return status;
        }
        if (status != COMMY_STATUS_NOT_RUNNING ||
            atomic_load_explicit(&found->run, memory_order_relaxed) == CMY_HANDLE_STOPPED) {
            cmy_rcu_read_unlock();
            return cmy_handle_refuse(id, status);
        }

        /* Joining waits for a thread to start, and for those who are leaving: not in a read section. */
        count_in(found);
        cmy_rcu_read_unlock();
        status = join(found, true);
        cmy_handle_unpin(&found);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
    }
}

commy_status_t cmy_handle_pin(uint64_t id, cmy_handle_need_t need, cmy_handle_t **handle)
{
    commy_status_t status = cmy_handle_enter(id, need, handle);
    if (status == COMMY_STATUS_SUCCESS) {
        count_in(*handle);
        cmy_handle_exit();
    }
    return status;
}
