/*
 * snapshot.h - what `commy watch` saw at its last look, and what has become of it since.
 */
#ifndef COMMY_TOOL_SNAPSHOT_H
#define COMMY_TOOL_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include <commy/commy.h>

enum change { UNCHANGED, ADDED, CHANGED };

/* One registration. Its reference tells it from a later one under the same id. */
struct sighting {
    uint64_t reference;
    uint64_t digest; /* of all that may change about it */
    char *text;      /* as it is printed; null once a later snapshot has taken it over */
    enum change change;
};

/* Ordered by reference. */
struct snapshot {
    struct sighting *sightings;
    size_t count, room;
};

/*
 * Looks at all services, or those of a name. Compares with `before`, whose texts it takes over where the registration
 * is still there: the texts left in `before` afterwards are those of registrations that are gone.
 * Errors: those of the walk; `now` is then of no use and `before` has kept its texts but for their changes.
 */
commy_status_t snapshot_take(const commy_mesh_t *mesh, const char *name, struct snapshot *before, struct snapshot *now);

void snapshot_free(struct snapshot *snapshot);

#endif /* COMMY_TOOL_SNAPSHOT_H */
