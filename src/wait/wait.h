/*
 * Waiting for changes: event counts.
 *
 * A stripe holds a version, which writers bump after each visible change, and a word that says whether anybody sleeps.
 *
 *     waiter:  read version; equal to what it knows -> waiting = version; read version again; still equal -> futex wait
 *     writer:  version + 1; read waiting; not 0 -> wake all; if it spoke of an older version than mine: waiting = 0
 *
 * Both sides are seq_cst: either the writer sees that somebody sleeps, or the waiter sees the new version (Dekker). The
 * flag is cleared only by a writer whose change the sleeper did not know, and after the wake: a flag set for the version
 * that this very writer made stays. A waker killed anywhere delays sleepers by at most 100 ms, since no sleep is longer
 * without another look; so does a waiter that cannot set the flag, being attached read-only.
 *
 * Whoever waits for the whole mesh compares the sum of all versions, which grows whenever one of them does, and sleeps on
 * a stripe of its own, the bell, which writers ring only when somebody waits there.
 *
 * Deaths announce themselves: a version contains, besides what writers bumped, twice the incarnation of every slot and one
 * more for each whose tenant is dead, as anybody can read it from the life words. That sum grows with each death and each
 * reaping, needs nobody to write, and so reaches a waiter that may only read and is alone. The reaper bumps every stripe
 * as well, which wakes sleepers at once and announces what the dead had changed and not announced.
 */
#ifndef CMY_WAIT_WAIT_H
#define CMY_WAIT_WAIT_H

#include "life/life.h"

#define CMY_WAIT_SLICE_MS 100

/* After a visible change to a service of this name. hash: of the name. */
void cmy_wait_announce(cmy_region_t *region, uint64_t name_hash);

/* After a death: everybody looks again. */
void cmy_wait_announce_all(cmy_region_t *region);

/* The current version of a name's stripe (of everything, for a null hash). Above 0; grows only, but for one step back when
 * a slot has had 2^20 tenants. */
uint64_t cmy_wait_version(const cmy_region_t *region, const uint64_t *name_hash);

/*
 * The word that every change to an instance of a name raises, after it can be seen. It is of the name's stripe, so that
 * other names raise it too. Loaded with acquire: what is read afterwards is as new as every change announced until then.
 */
static inline const cmy_word64_t *cmy_wait_word(const cmy_region_t *region, uint64_t name_hash)
{
    return &region->stripes[name_hash >> 57].version;
}
_Static_assert(CMY_STRIPES == 1u << (64 - 57), "the upper bits of a hash choose the stripe");

/* Whether changes under two names raise the same word. */
static inline bool cmy_wait_same_stripe(uint64_t name_hash, uint64_t other)
{
    return name_hash >> 57 == other >> 57;
}

/*
 * Sleeps until the version is another, or for one slice of at most `slice_ms`, up to CMY_WAIT_SLICE_MS. Returns SUCCESS
 * (look again), INTERRUPTED when a signal handler ran.
 */
commy_status_t cmy_wait_slice(const cmy_region_t *region, const uint64_t *name_hash, uint64_t version, int slice_ms);

/* What is waited for: a change under a name (of anything, for a null hash) since a version. */
typedef struct cmy_wait_for {
    const uint64_t *name_hash;
    uint64_t version;
} cmy_wait_for_t;

#define CMY_WAIT_MOST 32u

/*
 * The same for up to CMY_WAIT_MOST at once, and for a word of this process, the caller's: the sleep also ends when that no
 * longer holds `heard` and is woken (FUTEX_WAKE_PRIVATE). Where the kernel cannot sleep on several words (before 5.16,
 * or a sandbox), it sleeps on the caller's alone and looks at the versions every 10 ms.
 */
commy_status_t cmy_wait_slice_any(const cmy_region_t *region, const cmy_wait_for_t *set, uint32_t count,
                                  const void *word, uint32_t heard, int slice_ms);

#endif /* CMY_WAIT_WAIT_H */
