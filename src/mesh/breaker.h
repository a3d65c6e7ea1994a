/*
 * Instances that a picker passes over, and who is the next to try one.
 *
 * What is open when a picker is made stands apart in it, with the time at which the first of them may be tried: a selection
 * compares that with the clock, and only where something is open. The times of turns only grow while nothing is opened or
 * closed, and that makes the picker anew, as does a death, which may end a turn sooner.
 *
 * Instances that opened since, and whose opener did not come to announce it, are come upon by a pick, and tried as well. One
 * that was closed, and that nobody announced, is come upon when its turn would be, and the picker is out of date from then on.
 */
#ifndef CMY_MESH_BREAKER_H
#define CMY_MESH_BREAKER_H

#include "mesh/picker.h"
#include "registry/breaker.h"

/* Stores a configuration, or switches breakers off (null), by whoever may write the region. Lock-free, and nobody's act. */
void cmy_breaker_configure(cmy_region_t *region, const cmy_rules_t *rules);

/* Checks a configuration and fills in defaults. Errors: INVALID. */
commy_status_t cmy_breaker_check(const commy_breaker_config_t *from, cmy_rules_t *rules);

/*
 * Takes the turn of one of a picker's open instances, if the handle is joined; within a read section. fits: asked before
 * that, whether it may be selected otherwise. False also where one is closed by now, and the picker out of date.
 */
typedef bool cmy_breaker_fits(void *user, const cmy_pick_t *pick);
bool cmy_breaker_seek(commy_mesh_t *mesh, cmy_picker_t *picker, cmy_breaker_fits *fits, void *user)
    __attribute__((cold));

/* Whether anything is open in it that may be looked at. */
static inline bool cmy_breaker_wants(const cmy_picker_t *picker)
{
    return picker->open_count > 0;
}

/* The time until the first of a picker's open instances may be tried, in ms; 0: now. */
uint64_t cmy_breaker_soonest_ms(const cmy_region_t *region, const cmy_picker_t *picker);

#endif /* CMY_MESH_BREAKER_H */
