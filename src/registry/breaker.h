/*
 * Circuit breakers: an instance that fails is kept from all clients of the host, and tried by one of them at a time.
 *
 * Every process reports what it saw; all reports on an instance come together in its statistics block, and its condition
 * word says what came of them, which selecting compares anyway:
 *
 *            failures in a row, or their share               the time has passed: half-open
 *     CLOSED ---------------------------------> OPEN(e) ----------------------------------+
 *       ^  ^                                     |   ^                                    v
 *       |  +------------------reset--------------+   +--- failed: OPEN(e + 1) --- one participant tries
 *       +----------------------------------------------------- succeeded ---------------+
 *
 * Each arrow between CLOSED and OPEN is one CAS on the condition, which holds the record's version, so that none is drawn
 * in another registration, and a count of these changes (9 bits), so that one decided on before the last change fails.
 * Half-open is no state of its own: it is OPEN while `turn` (shm.h) says that the time has passed or somebody tries.
 *
 *     turn   (nobody, T) --T has passed: take--> (me, T + wait) --I failed--> (nobody, T')
 *                                                      `--I am dead, or T + wait has passed--> (other, ...)
 *
 * a. The turn comes before the door. `turn` is set to (nobody, T) before the CAS that opens, and to a later time before the
 *    CAS that raises e. Who sees OPEN sees a time that is its own or of a later change.
 * b. One tries. Taking the turn is a CAS from the turn that was seen: to be the only one until it fails, until the time is
 *    over, or until I am dead, which the life word says at once. Taken turns of the living are left alone.
 * c. A turn that is taken means something only while the condition is in the change in which it was looked at. So that is
 *    looked at behind it, and whoever finds another does not try.
 * d. Only the one whose turn it is decides, by its next report or end on that instance, whichever request it is of: it tells
 *    how the instance is now. What others report meanwhile is counted, and moves nothing here.
 *
 *   killed before `turn`, opening     closed; the streak stands, and the next failure opens (where not all may be open: as
 *                                     many failures later as it takes to open one)
 *   killed between `turn` and CAS     the same: while it is closed a turn means nothing
 *   killed after the CAS              open; pickers are not made anew before the reaper announces, and pass the instance over
 *                                     or try it themselves, since a pick looks at the condition
 *   killed with the turn              taken over by the next who selects
 *   killed while failing              between `turn` and CAS: the time is the longer one, e is one short
 *   killed while closing              streak and window are 0; open still, and the turn is a dead one's
 *   stopped anywhere                  delays nobody: the turn passes when its time is over, and a CAS that comes late
 *                                     expects a turn or a change that is gone
 *   stopped, its block another's      the turn is left alone: the service's state is looked at behind it (in shm.h: the rest)
 *   raced, two open                   one CAS wins; `turn` is one of their times, some instructions apart
 *   raced, opening and a reset        one after the other: the change count tells
 *
 * How many of a name may be open is counted before opening, and again after it, where who finds too many takes its own back
 * (all who do, if several were at once). Opening CAS and counting loads are seq_cst, so that of two who open at once one at
 * least sees the other (Dekker). So there are at most floor(n * most / 100) of n open, and one more for each process that is
 * stopped or killed between its two counts: what was tried meanwhile is not taken back. Instances that leave make n smaller
 * and close none.
 *
 * Where the breaker is off, condition and turn mean nothing, and a success closes.
 *
 * Progress: lock-free. A report that finds neither a streak nor an open breaker costs two loads.
 *
 * Technique: circuit breaker, Nygard, "Release It!", 2007; outlier detection as in Envoy, which each proxy does alone.
 */
#ifndef CMY_REGISTRY_BREAKER_H
#define CMY_REGISTRY_BREAKER_H

#include "registry/mesh.h"
#include "stat/breaker.h"

/* Whether a success says anything to the breaker of the service: few do. A failure may. */
static inline bool cmy_breaker_heeds(const cmy_service_shm_t *service, const cmy_tally_shm_t *tally)
{
    uint64_t open = cmy_load64_relaxed(&service->condition) & CMY_CONDITION_OPEN;
    return (open | cmy_load64_relaxed(&tally->breaker.streak)) != 0;
}

/* What a report means for the breaker of a service in a given LIVE state; after it was counted. In an open section. */
void cmy_breaker_heed(commy_mesh_t *mesh, uint32_t record, uint64_t state, bool success) __attribute__((cold));

/*
 * Takes the turn to try an instance that is open, for the handle, which is joined, in a read section. Returns whether it
 * did; *tick is then, and if not, when it may be looked at again.
 */
bool cmy_breaker_try(commy_mesh_t *mesh, uint32_t record, uint64_t state, uint64_t *tick) __attribute__((cold));

/* Closes it, and forgets what was counted. In an open section. */
void cmy_breaker_close(commy_mesh_t *mesh, uint32_t record, uint64_t state, uint32_t reason);

/* How it stands. Followed by cmy_service_same(). */
void cmy_breaker_read(const cmy_region_t *region, uint32_t record, uint64_t state, commy_breaker_status_t *status);

#endif /* CMY_REGISTRY_BREAKER_H */
