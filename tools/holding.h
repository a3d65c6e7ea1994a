/*
 * holding.h - a registration that this process keeps: noticing that somebody else took it away, and renewing its lease.
 */
#ifndef COMMY_TOOL_HOLDING_H
#define COMMY_TOOL_HOLDING_H

#include <stdbool.h>
#include <stdint.h>

#include <commy/commy.h>

struct holding {
    commy_mesh_t *mesh;
    const char *id;
    commy_view_t view;
    uint64_t reference;
    uint64_t renew_every_ns, renew_at_ns; /* 0: no lease */
    bool gone;
};

/* Starts keeping what was registered under `id` as `reference`; the view is taken at once. */
void holding_start(struct holding *holding, commy_mesh_t *mesh, const char *id, uint64_t reference, uint64_t ttl_ms);

/* Renews the lease where that is due. Returns false once the registration is gone. */
bool holding_look(struct holding *holding);

/* Why it is gone: a sentence. Good until the next call. */
const char *holding_lost(const struct holding *holding);

/* How long to sleep until the next look is due; never longer than 100 ms. */
uint64_t holding_pause_ns(const struct holding *holding);

/* Unregisters what is still held, and nobody else's later registration under the same id. */
void holding_end(struct holding *holding);

#endif /* COMMY_TOOL_HOLDING_H */
