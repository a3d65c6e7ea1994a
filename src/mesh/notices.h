/*
 * Notices on their way to a program's callbacks.
 *
 *     lookout: walk over the region --difference to `sightings`--> ring --take--> dispatch, on the program's thread
 *
 * a. The lookout is the only producer; takers take turns under `turn`, which they need for the listener anyway. So the ring is
 *    ConcurrencyKit's for one producer and one consumer, wait-free on the lookout's side: a program that does not dispatch,
 *    or is stopped inside, delays nothing.
 * b. A sighting is advanced only when the notice that tells of it is in the ring. Where the ring is full the walk ends, `full`
 *    is set, and the rest of the difference is told once half of the ring is empty, as it is then: what came and went
 *    meanwhile is never told, the last state always is.
 * c. Setting a callback starts an epoch of its own: services that are there come as registered, and notices of an earlier
 *    epoch are dropped when they are taken.
 * d. No lock is held, and nothing of the handle, while a callback runs: it may do whatever any thread may.
 *
 * Sightings belong to the lookout's thread. Order of locks: setting; turn. The lookout takes `turn` only, and only to read
 * the listeners; starting and ending its thread is under `setting`, which it never takes.
 *
 * `full`: set by the lookout, which then looks at the ring again; cleared by whoever finds the ring half empty, with a ring
 * of the lookout's bell. Both are seq_cst: either the lookout sees the room, or the taker sees `full`.
 */
#ifndef CMY_MESH_NOTICES_H
#define CMY_MESH_NOTICES_H

#include <ck_ring.h>

#include "mesh/lookout.h"

typedef enum cmy_listener_kind { CMY_FOR_SERVICES, CMY_FOR_HEALTH, CMY_LISTENERS } cmy_listener_kind_t;

typedef struct cmy_listener {
    void (*call)(void); /* of a type that only the room above knows; null: none */
    void *user;
    uint32_t epoch;
} cmy_listener_t;

/* What happened to a service: for CMY_FOR_SERVICES `now` says what (1 registered, 2 gone, 3 changed), for CMY_FOR_HEALTH
 * both are a commy_health_t. */
typedef struct cmy_notice {
    cmy_listener_kind_t kind;
    uint32_t epoch;
    int32_t before, now;
    char name[COMMY_LIMIT_NAME_BYTES + 1], id[COMMY_LIMIT_ID_BYTES + 1];
} cmy_notice_t;

#define CMY_NOTICES 1024u /* places in the ring, one of which stays empty */

typedef struct cmy_sighting cmy_sighting_t;

struct cmy_notices {
    cmy_lookout_t *lookout;
    pthread_mutex_t setting, turn;
    cmy_listener_t listener[CMY_LISTENERS]; /* under turn */
    bool uses_thread;                       /* under setting */
    _Atomic bool full;
    /* Counted up after a notice was put in, and after one was taken out. They say what the ring's own numbers say, which
     * are assembly to the compiler, in a way that the thread sanitizer understands. */
    _Atomic uint32_t sent, taken;
    _Atomic uint32_t arrived; /* futex of those who wait for a notice; also rung */
    _Atomic uint32_t sleepers;
    ck_ring_t ring;
    ck_ring_buffer_t place[CMY_NOTICES]; /* pointers into the next, in turn */
    cmy_notice_t notice[CMY_NOTICES];

    /* The lookout's thread's. */
    cmy_sighting_t *sighting; /* by record */
    uint32_t sightings;
    uint32_t epoch[CMY_LISTENERS]; /* that the sightings are of */
    uint64_t version;              /* of everything, at the last whole walk; 0: there is more to tell */
    uint64_t walk_at_ns;
};

/* The handle's, made by the first who asks. Null: no memory. */
cmy_notices_t *cmy_notices_of(commy_mesh_t *mesh);

/* With the lookout, whose thread has ended. forked: in a child, where the thread may have been in the middle of something. */
void cmy_notices_end(cmy_notices_t *notices, bool forked);

/* Sets a listener. call: null: none. Errors: LIMIT (the lookout's thread), and then nothing was set. */
commy_status_t cmy_notices_set(cmy_notices_t *notices, cmy_listener_kind_t kind, void (*call)(void), void *user);

/* Takes the next notice and copies who is to be told. False: there is none. */
bool cmy_notices_take(cmy_notices_t *notices, cmy_notice_t *notice, cmy_listener_t *listener);

/* Sleeps until a notice arrives that came after `heard` was read from `arrived`, or somebody rings, or for slice_ms. */
void cmy_notices_await(cmy_notices_t *notices, uint32_t heard, int slice_ms);
void cmy_notices_ring(cmy_notices_t *notices);

/* On the lookout's thread: walks if there is reason to, and puts what is new into the ring. Returns when to come again: at a
 * time, whatever changes until then; on the next change; or (0) when it is rung. */
#define CMY_NOTICES_ON_CHANGE UINT64_MAX
uint64_t cmy_notices_look(cmy_notices_t *notices, const commy_mesh_t *mesh);

/* Notices in the ring. */
uint32_t cmy_notices_waiting(const cmy_notices_t *notices);

/* Puts a notice in; false where there is no room. */
bool cmy_notices_put(cmy_notices_t *notices, const cmy_notice_t *notice);

#endif /* CMY_MESH_NOTICES_H */
