/* Leases that ended: declared expired, and detached services among them taken away. */
#ifndef CMY_REAP_LEASE_H
#define CMY_REAP_LEASE_H

#include "service/service.h"

/* Declares leases that ended, for whoever waits where nobody has a keeper that would. Takes nothing away, so that it needs
 * no owner. Does nothing before the soonest end that is known of. */
void cmy_lease_declare(cmy_region_t *region);

/* Notes all leases that have not been declared, after a death: the dead may have published one and not noted it. */
void cmy_lease_note_all(cmy_region_t *region);

/* Does nothing before the soonest end that is known of. Returns how many services it took away. */
uint32_t cmy_reap_leases(cmy_actor_t *actor);

#endif /* CMY_REAP_LEASE_H */
