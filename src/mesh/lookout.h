/*
 * The lookout: what a handle keeps for those who do not sleep in a wait of their own, and watchers, which it keeps.
 *
 * A watcher remembers what its last wait gave (`known`): a version, and a digest of what is watched. In a wait:
 *
 *     look:  version of the stripe (of everything); walk over what is watched; digest
 *     another digest than known                     return at once
 *     another version, the same digest              another name's change, most likely: return after 100 ms all the same
 *     neither                                       sleep until the stripe moves, `bell` is rung, or 100 ms are over
 *
 * a. The last state is never missed: a change is seen before its version moves, and every move of the version since `known`
 *    ends a wait. The digest only says how soon. It may not say whether: a state may have come, been read by the
 *    program, and gone between two looks that saw the same, and what a look saw may not have been announced yet.
 * b. wake() counts `wakes` up and rings. A wait ends when `wakes` is not what was `answered` when it began, so that one
 *    wake ends all waits that are under way, or the next one.
 * c. A watcher whose descriptor was asked for has a pair of sockets. `fed` says that a byte is on its way:
 *
 *        feeder:  reason (version, wakes) is there; fed = true, was false -> send a byte
 *        waiter:  after its look: read all; fed = false; look for removal and wakes again, feed; ring the lookout, which looks
 *                 for the rest
 *
 *    All of fed is seq_cst: either the feeder finds false and sends, or the waiter, which clears it after the reading, or
 *    the lookout that it rings, sees the reason. So there is a byte as long as there is a reason. A feeder that is stopped
 *    before it sends leaves a byte for which there is none any more, and which the next wait takes out.
 * d. Nobody sends but wake() and the lookout's thread, which is started with the first descriptor (or callback, notices.h)
 *    and ended with the last, or with the handle. It runs no code of the program's, blocks all signals, and sleeps on the
 *    stripes of what is watched; where nobody watches through a descriptor there is none.
 * e. A region that was removed feeds every descriptor for good, and so does detaching.
 *
 * The list of watchers is under `list`, which the thread holds while it looks; starting and ending the thread are under
 * `running`, which it never takes; a watcher's `known` under its `turn`. Order: running; list, turn. A forked child has
 * neither the thread nor sound locks: it is refused by the generation before any is taken, and gives back memory only.
 *
 * Crash: all of this is private memory and goes with the process. What it writes to the region is the flag of a sleeper,
 * which wait.h argues.
 */
#ifndef CMY_MESH_LOOKOUT_H
#define CMY_MESH_LOOKOUT_H

#include <stdatomic.h>

#include "base/fork.h"
#include "registry/mesh.h"

typedef struct cmy_notices cmy_notices_t; /* notices.h */

typedef struct cmy_lookout {
    cmy_annex_t annex;
    uint64_t generation;      /* of the process that made it */
    _Atomic uint32_t holders; /* the mesh and every watcher: who lets go last frees it */
    commy_mesh_t *mesh;       /* read with cmy_rcu_load(); null once detached */
    pthread_mutex_t list;
    commy_watcher_t *watchers;
    pthread_mutex_t running;
    pthread_t thread; /* while `started` */
    bool started;
    uint32_t users;        /* that need the thread */
    _Atomic uint32_t bell; /* rung when the thread has to look again */
    _Atomic uint32_t stop;
    cmy_notices_t *notices; /* read with cmy_rcu_load(); null before the first callback */
} cmy_lookout_t;

/* What is watched: constant. */
typedef enum cmy_watch_kind { CMY_WATCH_ALL, CMY_WATCH_NAME, CMY_WATCH_ID } cmy_watch_kind_t;

/* What a look saw, and what to sleep on until there may be more to see. */
typedef struct cmy_look {
    uint64_t version; /* for the program; grows only. 0: before the first look */
    uint64_t digest;
    uint64_t stripe_version;
    uint64_t name_hash; /* whose stripe; unless `whole` */
    bool whole;
} cmy_look_t;

struct commy_watcher {
    cmy_lookout_t *lookout;
    commy_watcher_t *next;
    cmy_watch_kind_t kind;
    bool filtered;
    cmy_key_t key; /* of the name or id in `text` */
    char text[COMMY_LIMIT_ID_BYTES + 1];
    char tag[COMMY_LIMIT_TAG_BYTES + 1], version[COMMY_LIMIT_VERSION_BYTES + 1], zone[COMMY_LIMIT_ZONE_BYTES + 1];

    pthread_mutex_t turn;
    cmy_look_t known; /* under turn */
    int ends[2];      /* under turn until `feed` is set: the program's, and ours; -1: none */
    _Atomic int feed; /* ends[1], for whoever feeds */
    _Atomic bool fed;
    _Atomic uint32_t bell; /* futex of those who wait */
    _Atomic uint32_t wakes, answered;

    /* The lookout's own. */
    cmy_look_t seen;
    uint64_t
        moved_at_ns; /* when the version was first seen to differ from known's, with the same digest; 0: it does not */
    uint64_t look_at_ns; /* read-only: when to look without being woken */
};

/* The handle's, made by the first who asks. Null: no memory. */
cmy_lookout_t *cmy_lookout_of(commy_mesh_t *mesh);

/* Counts a holder, and counts one off. */
void cmy_lookout_hold(cmy_lookout_t *lookout);
void cmy_lookout_let_go(cmy_lookout_t *lookout);

/* Somebody needs the thread, which is started for the first, and somebody does not any more. Errors: LIMIT. */
commy_status_t cmy_lookout_use(cmy_lookout_t *lookout);
void cmy_lookout_disuse(cmy_lookout_t *lookout);

/* The thread looks again. */
void cmy_lookout_ring(cmy_lookout_t *lookout);

/* Everybody who waits on a watcher of this mesh looks up, and every descriptor is fed: the handle stops or goes. */
void cmy_lookout_alarm(commy_mesh_t *mesh);

/* ---------------------------------------------------------------- looking */

/* Looks at what is watched. Errors: CORRUPT, and those of a query. */
commy_status_t cmy_watch_look(const commy_mesh_t *mesh, const commy_watcher_t *watcher, cmy_look_t *look);

/* What a look says to sleep on. */
static inline cmy_wait_for_t cmy_watch_sleeps_on(const cmy_look_t *look)
{
    return (cmy_wait_for_t){look->whole ? NULL : &look->name_hash, look->stripe_version};
}

/* Whether anything was announced since a look. */
static inline bool cmy_watch_moved(const commy_mesh_t *mesh, const cmy_look_t *look)
{
    return cmy_wait_version(mesh->region, look->whole ? NULL : &look->name_hash) != look->stripe_version;
}

/* When to look again, after a look that took so long: so that looking takes a twentieth of the time at most. But within a
 * second, since a thread that was stopped in its look has not looked all the while. */
static inline uint64_t cmy_watch_again_ns(uint64_t began_ns)
{
    uint64_t now_ns = cmy_clock_monotonic_ns(), pause_ns = (now_ns - began_ns) * 20;
    return now_ns + (pause_ns < 1000000000u ? pause_ns : 1000000000u);
}

#define CMY_WATCH_SLICE_NS (CMY_WAIT_SLICE_MS * 1000000ull)

/* --------------------------------------------------------------- watchers */

/* A byte for the descriptor, if there is one and it has none. Keeps errno; a signal handler may call it. */
void cmy_watcher_feed(commy_watcher_t *watcher);

/* Those who wait look up. */
void cmy_watcher_ring(commy_watcher_t *watcher);

/* Asked at least every 100 ms during a wait, and when it is rung: anything but SUCCESS ends it, with that. */
typedef commy_status_t cmy_watch_ask_fn(void *user);

/* commy_watcher_wait(), and asks. ask: may be null. */
commy_status_t cmy_watcher_wait(commy_watcher_t *watcher, int32_t timeout_ms, uint64_t *version, cmy_watch_ask_fn *ask,
                                void *user);

#endif /* CMY_MESH_LOOKOUT_H */
