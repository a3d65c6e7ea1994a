/*
 * A handle: one attachment, and what it is in the mesh.
 *
 *     ATTACHED --first change, or join--> JOINED --leave--> LEAVING --> LEFT --join--> JOINED
 *
 * Changes run between cmy_mesh_enter() and cmy_mesh_exit(), which is an RCU read-side section: leaving closes the gate
 * and waits for a grace period, after which no thread of the process acts under the participant's owner any more. Only
 * then is the kernel asked to certify its end.
 *
 * Locks, both private to the process: `leaving` is held through a whole commy_mesh_join() or commy_mesh_leave(), which
 * nobody calls from inside a section; `lifecycle` is held while the participant is made or given back, never across a
 * grace period, since a change may wait for it inside a section of a caller's.
 */
#ifndef CMY_REGISTRY_MESH_H
#define CMY_REGISTRY_MESH_H

#include <pthread.h>

#include <commy/commy.h>

#include "base/error.h"
#include "base/rcu.h"
#include "base/text.h"
#include "reap/lease.h"
#include "reap/reap.h"
#include "registry/token.h"

typedef enum cmy_mesh_phase { CMY_MESH_ATTACHED, CMY_MESH_JOINED, CMY_MESH_LEAVING, CMY_MESH_LEFT } cmy_mesh_phase_t;

/* What a room above keeps with a handle, at the head of its own structure: put there once, by cmy_rcu_swap(), and given back
 * when the handle is, in a forked child too. */
typedef struct cmy_annex {
    void (*end)(struct cmy_annex *annex);
    /* The handle leaves: ends what it does under the participant's name, before that ends. Null: nothing. Runs when no change
     * is under way any more, without `lifecycle`. */
    void (*leave)(struct cmy_annex *annex);
} cmy_annex_t;

struct commy_mesh {
    cmy_region_t *region;
    cmy_actor_t actor; /* its owner is set while JOINED */
    _Atomic int phase; /* cmy_mesh_phase_t */
    cmy_participant_t *participant;
    cmy_tokens_t *tokens; /* of requests in flight; null before the first, and when the handle has left */
    pthread_mutex_t leaving, lifecycle;
    char node_id[COMMY_LIMIT_MESH_BYTES + 1];
    uint16_t listen_port;
    cmy_annex_t *pickers; /* mesh/picker.h; null before the first selection */
    cmy_annex_t *lookout; /* mesh/lookout.h; null before the first watcher */
    cmy_annex_t *monitor; /* mesh/monitor.h; null before the first service is monitored */
};

/* A null handle or parameter. */
commy_status_t cmy_mesh_null(const char *what) __attribute__((cold));

/* Whether a query may run: not null, not forked, not removed. */
static inline commy_status_t cmy_mesh_usable(const commy_mesh_t *mesh)
{
    if (__builtin_expect(mesh == NULL, 0))
        return cmy_mesh_null("mesh");
    return cmy_region_usable(mesh->region);
}

/*
 * Opens a section in which the mesh may be changed, joining first where the handle never did. Errors: those of
 * cmy_mesh_usable() and commy_mesh_join(), READ_ONLY, NOT_RUNNING; no section is open then.
 */
commy_status_t cmy_mesh_enter_slowly(commy_mesh_t *mesh);
static inline commy_status_t cmy_mesh_enter(commy_mesh_t *mesh)
{
    commy_status_t status = cmy_mesh_usable(mesh);
    if (__builtin_expect(status != COMMY_STATUS_SUCCESS, 0))
        return status;
    cmy_rcu_read_lock();
    /* JOINED only where it may write. */
    if (__builtin_expect(atomic_load_explicit(&mesh->phase, memory_order_acquire) == CMY_MESH_JOINED, 1))
        return COMMY_STATUS_SUCCESS;
    cmy_rcu_read_unlock();
    return cmy_mesh_enter_slowly(mesh);
}
/* The same where the handle is joined; false where it is not, without a sentence, and no section is open. */
static inline bool cmy_mesh_begin(commy_mesh_t *mesh)
{
    cmy_rcu_read_lock();
    if (atomic_load_explicit(&mesh->phase, memory_order_acquire) == CMY_MESH_JOINED)
        return true;
    cmy_rcu_read_unlock();
    return false;
}
static inline void cmy_mesh_exit(commy_mesh_t *mesh)
{
    (void)mesh;
    cmy_rcu_read_unlock();
}

/* Makes a key of a service id or name. Errors: INVALID, for a length out of bounds. */
void cmy_mesh_bad_key(const char *what, const char *text, size_t max) __attribute__((cold));
static inline __attribute__((always_inline)) commy_status_t cmy_mesh_key(const cmy_region_t *region, const char *what,
                                                                         const char *text, size_t max, cmy_key_t *key)
{
    size_t bytes = text ? cmy_bytes_length(text, max + 1) : 0;
    if (__builtin_expect(bytes == 0 || bytes > max, 0)) {
        cmy_mesh_bad_key(what, text, max);
        return COMMY_STATUS_INVALID;
    }
    cmy_key_make_salted(key, &region->salt, text, bytes);
    return COMMY_STATUS_SUCCESS;
}

/* NOT_FOUND, with a sentence that names the id; not cold, since a miss is an answer like another. */
commy_status_t cmy_mesh_no_service(const commy_mesh_t *mesh, const char *id);

/* The visible service of an id, seen twice in the same state. Errors: those of a query; NOT_FOUND. */
commy_status_t cmy_mesh_look_up(const commy_mesh_t *mesh, const char *id, uint32_t *record, uint64_t *state);

/* Starts a walk over the instances of a name, as commy_iterate_name() does in a region that may be asked. */
void cmy_iterate_key(const cmy_region_t *region, const cmy_key_t *name, commy_iterator_t *iterator);

/* Copies a size-prefixed structure over zeroes. Errors: INVALID, for a size that makes no sense. */
commy_status_t cmy_mesh_sized(const char *what, const void *from, void *to, size_t bytes);

/* Makes a text block for a service that holds `text`, and links it in place of what `expected` says. Frees what was
 * linked before. bytes 0: no block. Errors: FULL, NO_SPACE; BUSY without a sentence: the link is not what was expected. */
commy_status_t cmy_metadata_replace(cmy_actor_t *actor, uint32_t record, uint64_t state, uint64_t expected,
                                    const char *text, size_t bytes);

#endif /* CMY_REGISTRY_MESH_H */
