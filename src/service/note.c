/*
 * What the flight recorder keeps of services; see service.h.
 *
 * Called when the change has been made, and before it is announced, so that who is woken by the announcement finds the event.
 * Killed in between: the change stands, and its event is missing.
 */
#include "event/event.h"
#include "service/service.h"

/* The first bytes of id and name. Identity is constant while the version is the same, whatever the phase. */
static bool load_texts(const cmy_region_t *region, uint32_t record, uint64_t state, cmy_event_t *event)
{
    const cmy_service_shm_t *hot = cmy_service_at(region, record);
    const cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape));
    bool is_hot = shape.id_bytes < CMY_HOT_ID_BYTES;
    const cmy_word64_t *id = is_hot ? hot->id : cold->id;
    for (uint32_t i = 0; i < CMY_HOT_ID_BYTES / 8; i++)
        event->id[i] = cmy_load64_relaxed(&id[i]);
    event->id[CMY_HOT_ID_BYTES / 8] = is_hot ? 0 : cmy_load64_relaxed(&cold->id[CMY_HOT_ID_BYTES / 8]);
    for (uint32_t i = 0; i < CMY_EVENT_TEXT_WORDS; i++)
        event->name[i] = cmy_load64_relaxed(&cold->name[i]);
    if (shape.id_bytes > CMY_EVENT_TEXT_BYTES && cmy_event_cut(event->id))
        event->what |= CMY_EVENT_CUT_ID;
    if (shape.name_bytes > CMY_EVENT_TEXT_BYTES && cmy_event_cut(event->name))
        event->what |= CMY_EVENT_CUT_NAME;
    cmy_fence_acquire(); /* pairs with the release fence behind the claim of the record's next life */
    return cmy_state_version(cmy_load64_relaxed(&hot->state)) == cmy_state_version(state);
}
_Static_assert(CMY_HOT_ID_BYTES / 8 + 1 == CMY_EVENT_TEXT_WORDS, "one word more than a hot record has");

static void note(cmy_region_t *region, uint32_t record, uint64_t state, uint32_t owner, commy_event_kind_t kind,
                 uint32_t reason, uint64_t time_ns)
{
    cmy_event_t event;
    event.time_ns = time_ns;
    event.what = cmy_event_actor(region, owner) | cmy_event_what(kind, reason, CMY_EVENT_NO_SLOT, 0);
    if (load_texts(region, record, state, &event))
        cmy_event_record(region, &event);
}

void cmy_service_note(cmy_region_t *region, uint32_t record, uint64_t state, uint32_t owner, commy_event_kind_t kind,
                      uint32_t reason)
{
    note(region, record, state, owner, kind, reason, cmy_clock_real_ns());
}

void cmy_service_note_registered(cmy_actor_t *actor, uint32_t record, uint64_t claimed)
{
    uint64_t time_ns = cmy_load64_relaxed(&cmy_cold_at(actor->region, record)->registered_at_ns);
    note(actor->region, record, claimed, actor->owner, COMMY_EVENT_REGISTERED, COMMY_REASON_NONE, time_ns);
}

void cmy_service_note_retired(cmy_actor_t *actor, uint32_t record, uint64_t state, bool leaving)
{
    cmy_region_t *region = actor->region;
    uint32_t owner = cmy_state_owner(state);
    if (owner == actor->owner)
        cmy_service_note(region, record, state, owner, COMMY_EVENT_UNREGISTERED,
                         leaving ? COMMY_REASON_OWNER_LEFT : COMMY_REASON_OWNER);
    else if (owner == CMY_NOBODY && (cmy_load64_relaxed(&cmy_service_at(region, record)->lease) & 1) != 0)
        return; /* noted when its lease was declared expired */
    else if (owner != CMY_NOBODY && cmy_life_dead(region, owner))
        cmy_service_note(region, record, state, owner, COMMY_EVENT_OWNER_DIED, COMMY_REASON_NONE);
    else
        cmy_service_note(region, record, state, actor->owner, COMMY_EVENT_UNREGISTERED, COMMY_REASON_ANOTHER);
}

void cmy_service_note_lease(cmy_region_t *region, uint32_t record, uint64_t state, bool renewed)
{
    uint32_t owner = cmy_state_owner(state);
    commy_event_kind_t kind = renewed               ? COMMY_EVENT_TTL_RENEWED
                              : owner == CMY_NOBODY ? COMMY_EVENT_EXPIRED
                                                    : COMMY_EVENT_TTL_MISSED;
    cmy_service_note(region, record, state, owner, kind, COMMY_REASON_NONE);
}
