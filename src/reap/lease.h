/* Leases that ended: declared expired, and detached services among them taken away. */
#ifndef CMY_REAP_LEASE_H
#define CMY_REAP_LEASE_H

#include "service/service.h"

/* Does nothing before the soonest end that is known of. Returns how many services it took away. */
uint32_t cmy_reap_leases(cmy_actor_t *actor);

#endif /* CMY_REAP_LEASE_H */
