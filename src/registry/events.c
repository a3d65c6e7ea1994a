/* Reading the flight recorder. */
#include "event/event.h"
#include "registry/mesh.h"

_Static_assert(sizeof(commy_event_t) == 144, "frozen");

commy_status_t commy_mesh_events(const commy_mesh_t *mesh, commy_event_t *out, size_t capacity, size_t *count)
{
    if (!count)
        return cmy_mesh_null("count");
    *count = 0;
    if (!out && capacity > 0)
        return cmy_mesh_null("out");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        *count = cmy_event_list(mesh->region, out, capacity);
    return status;
}
