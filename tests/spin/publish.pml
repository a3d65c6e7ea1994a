/*
 * Publish and re-check (service/record.c, slab/slab.c, every reader's second look).
 *
 * A writer retires a record, frees it, claims it again, fills two words with relaxed stores, publishes it; twice. Readers
 * look at the state (acquire), read both words (relaxed), put an acquire fence, and look at the state again. Whoever
 * saw the same LIVE state twice holds two words of that very version.
 *
 * Planted faults: NO_RELEASE_FENCE behind the claim, NO_ACQUIRE_FENCE before the second look, RELAXED_PUBLISH,
 * RELAXED_FIRST_LOOK, NO_SECOND_LOOK, SAME_VERSION (a release that does not raise the version).
 */
#define LOCATIONS 3
#define WRITES 9
#define PROCESSES 3
#include "weak.pml"

#define STATE 0
#define ONE 1
#define OTHER 2

/* State: version * 4 + phase */
#define FREE 0
#define CLAIMED 1
#define LIVE 2
#define DYING 3

#ifdef RELAXED_PUBLISH
#define PUBLISH RELAXED
#else
#define PUBLISH ACQ_REL
#endif
#ifdef RELAXED_FIRST_LOOK
#define FIRST_LOOK RELAXED
#else
#define FIRST_LOOK ACQUIRE
#endif
#ifdef SAME_VERSION
#define NEXT(v) (v)
#else
#define NEXT(v) ((v) + 1)
#endif

proctype writer(byte me)
{
    byte tenant = 0, version = 0, seen;
    bool won;
    do
    :: tenant < 2 ->
        cas(me, STATE, version * 4 + FREE, version * 4 + CLAIMED, won, seen, ACQ_REL);
#ifndef NO_RELEASE_FENCE
        fence_release(me);
#endif
        tenant++;
        store(me, ONE, tenant, RELAXED);
        store(me, OTHER, tenant, RELAXED);
        cas(me, STATE, version * 4 + CLAIMED, version * 4 + LIVE, won, seen, PUBLISH);
        assert(won);
        cas(me, STATE, version * 4 + LIVE, version * 4 + DYING, won, seen, ACQ_REL);
        cas(me, STATE, version * 4 + DYING, NEXT(version) * 4 + FREE, won, seen, ACQ_REL);
        version = NEXT(version)
    :: else -> break
    od
}

proctype reader(byte me)
{
    byte state, again, one, other;
    load(me, STATE, state, FIRST_LOOK);
    if
    :: state % 4 == LIVE ->
        load(me, ONE, one, RELAXED);
        load(me, OTHER, other, RELAXED);
#ifndef NO_ACQUIRE_FENCE
        fence_acquire(me);
#endif
#ifdef NO_SECOND_LOOK
        again = state;
#else
        load(me, STATE, again, RELAXED);
#endif
        assert(again != state || (one == other && one == state / 4 + 1))
    :: else
    fi
}

init
{
    atomic {
        run writer(0);
        run reader(1);
        run reader(2)
    }
}
