/*
 * holding.c - see holding.h.
 *
 * A registration is known by its reference, not by its id: when somebody unregisters the id and registers it anew, ours
 * is gone all the same. Between the look and the unregistering in holding_end() somebody else may take the id; that
 * needs two changes by others within the microsecond before this process gives the id up anyway.
 */
#include "holding.h"

#include "text.h"

#define LOOK_AGAIN_NS 100000000u

void holding_start(struct holding *holding, commy_mesh_t *mesh, const char *id, uint64_t reference, uint64_t ttl_ms)
{
    *holding = (struct holding){.mesh = mesh, .id = id, .reference = reference};
    if (ttl_ms != 0) {
        holding->renew_every_ns = ttl_ms * 1000000u / 3;
        holding->renew_at_ns = monotonic_ns() + holding->renew_every_ns;
    }
    holding->gone =
        commy_service_view(mesh, id, &holding->view) != COMMY_STATUS_SUCCESS || holding->view.reference != reference;
}

static void renew(struct holding *holding)
{
    uint64_t now = monotonic_ns();

    if (holding->renew_every_ns == 0 || now < holding->renew_at_ns)
        return;
    holding->renew_at_ns = now + holding->renew_every_ns;
    /* A failure needs no word here: either the registration is gone, which the caller learns, or the next one works. */
    (void)commy_service_heartbeat(holding->mesh, holding->id);
}

bool holding_look(struct holding *holding)
{
    if (holding->gone)
        return false;
    if (!commy_view_valid(holding->mesh, &holding->view)) {
        holding->gone = true;
        return false;
    }
    renew(holding);
    return true;
}

const char *holding_lost(const struct holding *holding)
{
    commy_view_t view;

    switch (commy_service_view(holding->mesh, holding->id, &view)) {
    case COMMY_STATUS_SUCCESS:
        return "somebody else unregistered it, and the id has been registered anew";
    case COMMY_STATUS_NOT_FOUND:
        return "somebody else unregistered it";
    default:
        return commy_last_error_message();
    }
}

uint64_t holding_pause_ns(const struct holding *holding)
{
    if (holding->renew_every_ns == 0 || holding->gone)
        return LOOK_AGAIN_NS;
    uint64_t now = monotonic_ns();
    if (now >= holding->renew_at_ns)
        return 0;
    uint64_t left = holding->renew_at_ns - now;
    return left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS;
}

void holding_end(struct holding *holding)
{
    if (!holding->gone && commy_view_valid(holding->mesh, &holding->view))
        commy_service_unregister(holding->mesh, holding->id);
    holding->gone = true;
}
