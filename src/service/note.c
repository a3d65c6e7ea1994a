/*
 * What the flight recorder keeps of services; see service.h.
 *
 * Called when the change has been made, and before it is announced, so that who is woken by the announcement finds the event.
 * Killed in between: the change stands, and its event is missing.
 */
#include "event/event.h"
#include "service/service.h"

/* Texts that an entry has no room for. */
static __attribute__((noinline, cold)) void record_cut(cmy_region_t *region, const cmy_event_source_t *source)
{
    cmy_word64_t id[CMY_EVENT_TEXT_WORDS], name[CMY_EVENT_TEXT_WORDS];
    cmy_event_source_t cut = *source;
    if (source->id_bytes > CMY_EVENT_TEXT_BYTES) {
        cut.id_bytes = cmy_event_cut(id, source->id);
        cut.id = id;
        cut.what |= CMY_EVENT_CUT_ID;
    }
    if (source->name_bytes > CMY_EVENT_TEXT_BYTES) {
        cut.name_bytes = cmy_event_cut(name, source->name);
        cut.name = name;
        cut.what |= CMY_EVENT_CUT_NAME;
    }
    cmy_event_record_source(region, &cut);
}

/* Identity is constant while the version is the same, whatever the phase. */
static __attribute__((noinline)) void note(cmy_region_t *region, uint32_t record, uint64_t state, uint32_t owner,
                                           uint64_t deed, uint64_t time_ns)
{
    const cmy_service_shm_t *hot = cmy_service_at(region, record);
    const cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape));
    cmy_event_source_t source = {
        .time_ns = time_ns,
        .what = deed | cmy_event_owner(region, owner),
        .id = shape.id_bytes < CMY_HOT_ID_BYTES ? hot->id : cold->id,
        .name = cold->name,
        .id_bytes = shape.id_bytes,
        .name_bytes = shape.name_bytes,
        .state = &hot->state,
        .version = cmy_state_version(state),
    };
    if (__builtin_expect(shape.id_bytes > CMY_EVENT_TEXT_BYTES || shape.name_bytes > CMY_EVENT_TEXT_BYTES, 0))
        record_cut(region, &source);
    else
        cmy_event_record(region, &source);
}

void cmy_service_note(cmy_region_t *region, uint32_t record, uint64_t state, uint32_t owner, commy_event_kind_t kind,
                      uint32_t reason)
{
    note(region, record, state, owner, cmy_event_deed(kind, reason), cmy_clock_real_ns());
}

void cmy_service_note_registered(cmy_actor_t *actor, uint32_t record, uint64_t claimed)
{
    uint64_t time_ns = cmy_load64_relaxed(&cmy_cold_at(actor->region, record)->registered_at_ns);
    note(actor->region, record, claimed, actor->owner, cmy_event_deed(COMMY_EVENT_REGISTERED, COMMY_REASON_NONE),
         time_ns);
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
