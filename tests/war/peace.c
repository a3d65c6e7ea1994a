/*
 * What one process does while all others rest, in a truce: there what comes of it is exact. It leaves nothing behind.
 */
#include "war.h"

static void keep_peace(void)
{
    war_fighter_t f = {.threads = 1, .random = now_ns() | 1}; /* as if it fought under the first place, a watcher's */
    f.mesh = war_attach(COMMY_OPEN_MUST_EXIST, 0);
    if (!f.mesh || !war_called(commy_mesh_join(f.mesh, "peace", 0), "join in peace", 0))
        _exit(1);
    if (war->roomy && war_inmates(f.mesh, "ward", WARDS) == WARDS)
        war_wards_at_rest(&f);
    if (war->roomy)
        war_record_at_rest(&f);
    war_forget_turns(0);
    commy_mesh_detach(&f.mesh);
}

bool war_peace(uint32_t seconds)
{
    return war_errand(keep_peace, seconds);
}
