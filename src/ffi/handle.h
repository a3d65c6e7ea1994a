/*
 * The handle table: numbers that other languages hold, and the attachments behind them.
 *
 *      63                                   10 9        0
 *     +---------------------------------------+----------+
 *     | sequence, counts up from a random one | slot     |      instance_id; below 2^53, so that a double keeps it
 *     +---------------------------------------+----------+
 *
 *     slots   [ 0 ]--> handle (id, generation, run, policy, mesh | turn, balancer, references)
 *             [ 1 ]    null
 *             [...]
 *
 * a. A number that names no open handle of this process (0, stale, foreign, garbage) is an error, never a crash: a slot
 *    answers only to the whole number that its handle was given.
 * b. A number is never given out twice in a process, nor in a child to what its parent gave it to. Another process's
 *    number is taken for one's own only if two random starts of 32 bits meet.
 * c. While a call is between enter and exit, or between pin and unpin, the handle and its mesh stay.
 * d. Two threads may destroy, stop, start and use the same handle at once. One destroy wins; the others find no handle.
 * e. In a forked child every number that the parent gave out before the fork is refused with FORKED; nothing behind it
 *    is touched, and what the parent's threads were doing to it is never waited for.
 *
 * Two ways to hold a handle. Enter/exit is an RCU read section: it costs a few nanoseconds, shares no written cache line
 * between threads, and is for calls that end by themselves after a few cache misses. Pin/unpin counts a reference: it is
 * for whatever walks the region, reserves memory, waits or sleeps, and for whatever itself waits for read sections.
 *
 * Destroying takes the handle out of its slot (a CAS, which decides who destroys), marks it CLOSING, waits for a grace
 * period, after which nobody can enter or pin it any more, stops it, waits for the references to go, and frees it. A
 * call that sleeps looks at CLOSING at least every CMY_HANDLE_SLICE_MS, which bounds how long a destroy waits for it.
 *
 * Progress: enter, exit, pin, unpin and opening are lock-free. Start and stop of one handle take turns. Crash: all of
 * this is private memory and goes with the process.
 */
#ifndef CMY_FFI_HANDLE_H
#define CMY_FFI_HANDLE_H

#include <commy/commy.h>
#include <commy/ffi.h>

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "base/fork.h"
#include "base/rcu.h"

#define CMY_HANDLE_SLOTS 1024u
#define CMY_HANDLE_SLICE_MS 100

/* NEW --first change or start--> STARTED <--start, stop--> STOPPED; NEW --stop--> STOPPED. Never back to NEW. */
typedef enum cmy_handle_run { CMY_HANDLE_NEW = 0, CMY_HANDLE_STARTED = 1, CMY_HANDLE_STOPPED = 2 } cmy_handle_run_t;

typedef struct cmy_handle {
    /* Constant while published, but for run, policy and balancer, which change under `turn`. */
    uint64_t id;
    uint64_t generation; /* of the process that opened it */
    commy_mesh_t *mesh;
    _Atomic uint32_t run;   /* cmy_handle_run_t */
    _Atomic int32_t policy; /* commy_policy_t: the algorithm of `balancer` */
    uint16_t listen_port;
    bool read_only;
    char node_id[COMMY_LIMIT_MESH_BYTES + 1];
    commy_load_balancer_config_t balancer; /* as configured; changes under `turn` */
    commy_health_config_t health;          /* the same; zeroes: not configured */

    /* Apart from the above, which every call reads. */
    alignas(64) _Atomic uint32_t references; /* and CMY_HANDLE_CLOSING; also the futex that destroy sleeps on */
    pthread_mutex_t turn;                    /* of start, stop and configuring; never taken in a forked child */
    struct cmy_handle *kept;                 /* next of those that a child could not free */
} cmy_handle_t;

#define CMY_HANDLE_CLOSING 0x80000000u

/* What a call asks of a handle. */
typedef enum cmy_handle_need {
    CMY_HANDLE_FOR_ANY,    /* that it is there */
    CMY_HANDLE_FOR_QUERY,  /* and was not stopped */
    CMY_HANDLE_FOR_CHANGE, /* and is started; a new one is started for it */
} cmy_handle_need_t;

extern cmy_handle_t *cmy_handle_slots[CMY_HANDLE_SLOTS] __attribute__((visibility("hidden")));

static inline cmy_handle_t **cmy_handle_slot(uint64_t id)
{
    return &cmy_handle_slots[id % CMY_HANDLE_SLOTS];
}

static inline bool cmy_handle_runs_for(const cmy_handle_t *handle, cmy_handle_need_t need)
{
    uint32_t run = atomic_load_explicit(&handle->run, memory_order_relaxed);
    if (need == CMY_HANDLE_FOR_ANY)
        return true;
    return need == CMY_HANDLE_FOR_QUERY ? run != CMY_HANDLE_STOPPED : run == CMY_HANDLE_STARTED;
}

/* Whether what a slot holds is the handle of that number, and does what a call asks of it. Inside a read section. */
static inline bool cmy_handle_fits(const cmy_handle_t *found, uint64_t id, cmy_handle_need_t need)
{
    return found && found->id == id && cmy_fork_same(found->generation) && cmy_handle_runs_for(found, need);
}

/* Finds the words for NO_HANDLE, FORKED or NOT_RUNNING; returns the code. */
commy_status_t cmy_handle_refuse(uint64_t id, commy_status_t status) __attribute__((cold));

/* The part of cmy_handle_enter() that starts new handles and finds words for refused ones. */
commy_status_t cmy_handle_enter_slowly(uint64_t id, cmy_handle_need_t need, cmy_handle_t **handle)
    __attribute__((cold));

/*
 * Opens a read section in which *handle stays. Closed by cmy_handle_exit() on success, already closed on failure.
 * Errors: NO_HANDLE, FORKED, NOT_RUNNING; for a change also those of commy_mesh_join().
 */
static inline commy_status_t cmy_handle_enter(uint64_t id, cmy_handle_need_t need, cmy_handle_t **handle)
{
    cmy_rcu_read_lock();
    cmy_handle_t *found = cmy_rcu_load(cmy_handle_slot(id));
    if (__builtin_expect(cmy_handle_fits(found, id, need), 1)) {
        *handle = found;
        return COMMY_STATUS_SUCCESS;
    }
    cmy_rcu_read_unlock();
    return cmy_handle_enter_slowly(id, need, handle);
}

static inline void cmy_handle_exit(void)
{
    cmy_rcu_read_unlock();
}

/* Counts a reference, given back with cmy_handle_unpin(). Errors as cmy_handle_enter(). */
commy_status_t cmy_handle_pin(uint64_t id, cmy_handle_need_t need, cmy_handle_t **handle);

/* Clears *handle. */
void cmy_handle_unpin(cmy_handle_t **handle);

/* Whether a pinned handle is being destroyed. */
static inline bool cmy_handle_closing(const cmy_handle_t *handle)
{
    return atomic_load_explicit(&handle->references, memory_order_relaxed) & CMY_HANDLE_CLOSING;
}

/* The upper part of a new number, of a handle or of anything else that has one; never given twice. */
uint64_t cmy_handle_sequence(void);

/* Whether the process is set up for handles. Errors: INIT_FAILED. */
commy_status_t cmy_handle_ready(void);

/*
 * Attaches and gives the attachment a number. Errors: those of commy_mesh_attach(), INIT_FAILED; LIMIT when the table is
 * full, before anything is made.
 */
commy_status_t cmy_handle_open(const commy_open_options_t *options, uint64_t *id);

/* Joins the mesh. Starting a started handle is success. The handle is pinned. Errors: those of commy_mesh_join(). */
commy_status_t cmy_handle_start(cmy_handle_t *handle);

/*
 * Leaves the mesh. Stopping a stopped handle is success; so is stopping a read-only one, which changes nothing: it never
 * runs and could not be started again. The handle is pinned, or the caller destroys it.
 */
commy_status_t cmy_handle_stop(cmy_handle_t *handle);

/*
 * Stops a handle, takes its number out of use and frees it. Waits for calls under way.
 *
 * In a forked child, an inherited handle loses its number and the private memory behind it; the mesh is the parent's and
 * not touched. Where memory may still be in use by a call that the fork interrupted, or by nobody can tell whom
 * (cmy_rcu_sound()), it is kept.
 *
 * Errors: NO_HANDLE; FORKED (inherited; the number is out of use all the same).
 */
commy_status_t cmy_handle_destroy(uint64_t id);

/* How a handle selects: checked, and set (balance.c). The handle is pinned. Errors: INVALID. */
commy_status_t cmy_handle_check_balancer(const commy_load_balancer_config_t *config);
commy_status_t cmy_handle_set_balancer(cmy_handle_t *handle, const commy_load_balancer_config_t *config);

/* Destroys them all, inherited ones too. */
void cmy_handle_destroy_all(void);

#endif /* CMY_FFI_HANDLE_H */
