/*
 * Reaping: giving back what the dead left, and what has expired.
 *
 * Lookups never depend on it: they look at lives and leases themselves. Open to all at once; keepers do it by themselves.
 * For each record of a dead owner: make myself its executor by CAS on the very state that names the dead, then finish it.
 * A reaper that is killed leaves records that name it as executor, and is reaped in turn; one that is stopped delays
 * nothing but the records it holds.
 *
 * A slot is freed only after a pass over all records that began when its owner was dead already: the dead claim nothing,
 * and helpers only publish what was the owner's before, so that a pass leaves nothing behind.
 */
#ifndef CMY_REAP_REAP_H
#define CMY_REAP_REAP_H

#include <commy/commy.h>

#include "service/service.h"

/*
 * One run: the dead, then leases. certify: look for deaths that the kernel could not mark, too (makes system calls).
 * report: added to; may be null. Returns whether anything was given back.
 */
bool cmy_reap(cmy_actor_t *actor, bool certify, commy_reap_report_t *report);

/* Takes all services of the actor itself away; for leaving. No other thread acts for it any more but its keeper. */
void cmy_reap_own(cmy_actor_t *actor);

#endif /* CMY_REAP_REAP_H */
