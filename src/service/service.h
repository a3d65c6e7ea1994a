/*
 * Service records: filling them in, telling whether they count, reading them, retiring them.
 *
 * A service counts (is visible) while its state is LIVE and its owner alive; a detached one, which is nobody's, while its
 * lease has not ended. Order of looking: state, owner or lease, whatever is wanted of the record, state again.
 *
 *     claim, fill -> join the group -> enter the index -> LIVE            (registry/register.c)
 *     LIVE -> DYING(me) -> out of index, group, blocks -> FREE(v + 1)     (retire.c)
 *
 * Only the executor named in DYING finishes a record; if it dies, another makes itself the executor and starts over.
 * Every step of finishing is one CAS that expects what it takes away, so doing it twice does nothing twice.
 */
#ifndef CMY_SERVICE_SERVICE_H
#define CMY_SERVICE_SERVICE_H

#include "base/clock.h"
#include "group/group.h"
#include "life/life.h"
#include "stat/counter.h"
#include "stat/flight.h"
#include "wait/wait.h"

/* -------------------------------------------------------------- words */

static inline cmy_shape_t cmy_shape_unpack(uint64_t word)
{
    cmy_shape_t shape;
    memcpy(&shape, &word, sizeof shape);
    return shape;
}
static inline uint64_t cmy_shape_pack(cmy_shape_t shape)
{
    uint64_t word;
    memcpy(&word, &shape, sizeof word);
    return word;
}

/* Whether a record of this shape has an id of so many bytes (up to 255), an endpoint that lies in the hot record, no TTL. */
static inline bool cmy_shape_is_hot(uint64_t shape, size_t id_bytes)
{
    const cmy_shape_t looked_at = {
        .id_bytes = 0xff, .endpoint_bytes = 0x100 - CMY_HOT_ENDPOINT_BYTES, .flags = CMY_SHAPE_LEASED};
    return ((shape ^ id_bytes * cmy_shape_pack((cmy_shape_t){.id_bytes = 1})) & cmy_shape_pack(looked_at)) == 0;
}

/*
 * Condition: version of the record (30), health (2), breaker (14), admin (2), weight (16). Health and weight lie as
 * commy_target_t has them: what else there is has to be masked, not moved. The breaker's bits are registry/breaker.h's:
 *
 *     31        23 22      19   18
 *    +------------+----------+------+
 *    | changes (9)| exponent | open |
 *    +------------+----------+------+
 */
#define CMY_HEALTH_SHIFT 32u
#define CMY_OPEN_SHIFT 18u
#define CMY_EXPONENT_SHIFT 19u
#define CMY_CHANGES_SHIFT 23u
#define CMY_EXPONENT_MAX 15u
#define CMY_CONDITION_OPEN (1ull << CMY_OPEN_SHIFT)
#define CMY_CONDITION_BREAKER (0x3fffull << CMY_OPEN_SHIFT)
#define CMY_ADMIN_SHIFT 16u
static inline uint64_t cmy_condition(uint64_t state, uint32_t weight, uint32_t health, uint32_t admin)
{
    return (uint64_t)cmy_state_version(state) << 34 | (uint64_t)(health & 3) << CMY_HEALTH_SHIFT |
           (uint64_t)(admin & 3) << CMY_ADMIN_SHIFT | (weight & 0xffffu);
}
static inline bool cmy_condition_of(uint64_t condition, uint64_t state)
{
    return (uint32_t)(condition >> 34) == cmy_state_version(state);
}
static inline uint32_t cmy_condition_weight(uint64_t condition)
{
    return (uint32_t)condition & 0xffffu;
}
static inline uint32_t cmy_condition_health(uint64_t condition)
{
    return (uint32_t)(condition >> CMY_HEALTH_SHIFT) & 3;
}
static inline uint32_t cmy_condition_admin(uint64_t condition)
{
    return (uint32_t)(condition >> CMY_ADMIN_SHIFT) & 3;
}

static inline uint32_t cmy_condition_exponent(uint64_t condition)
{
    return (uint32_t)(condition >> CMY_EXPONENT_SHIFT) & CMY_EXPONENT_MAX;
}
/* The same but for the breaker, which takes one step to another state: its changes are counted, so that it is not mistaken
 * for what it was. */
static inline uint64_t cmy_condition_turned(uint64_t condition, bool open, uint32_t exponent)
{
    uint64_t breaker = ((condition >> CMY_CHANGES_SHIFT) + 1) << CMY_CHANGES_SHIFT |
                       (uint64_t)exponent << CMY_EXPONENT_SHIFT | (uint64_t)open << CMY_OPEN_SHIFT;
    return (condition & ~CMY_CONDITION_BREAKER) | (breaker & CMY_CONDITION_BREAKER);
}

/* Weight and health of a service, as they are set. */
static inline void cmy_condition_tell(uint64_t condition, commy_target_t *target)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t both = condition & cmy_condition(0, 0xffff, 3, 0);
    _Static_assert(offsetof(commy_target_t, status) == offsetof(commy_target_t, weight) + 4, "both at once");
    memcpy((char *)target + offsetof(commy_target_t, weight), &both, sizeof both);
#else
    target->weight = cmy_condition_weight(condition);
    target->status = (int32_t)cmy_condition_health(condition);
#endif
}

/* Lease: end in CLOCK_MONOTONIC ns, times two, plus one once declared expired. 0: none. */
static inline bool cmy_lease_ended(uint64_t lease)
{
    return lease != 0 && ((lease & 1) || cmy_clock_monotonic_ns() >= lease >> 1);
}

/* References: what a client keeps of a registration. Version of the record and its number + 1; never 0. */
static inline uint64_t cmy_reference(uint32_t record, uint64_t state)
{
    return (uint64_t)cmy_state_version(state) << 22 | (record + 1);
}

/* ------------------------------------------------------------ looking */

static inline bool cmy_service_visible(const cmy_region_t *region, const cmy_service_shm_t *service, uint64_t state)
{
    if (cmy_state_phase(state) != CMY_LIVE)
        return false;
    if (__builtin_expect(cmy_state_owner(state) == CMY_NOBODY, 0))
        return !cmy_lease_ended(cmy_load64_acquire(&service->lease));
    return cmy_life_alive(region, cmy_state_owner(state));
}

/* The second look: nothing that was read since the first one belongs to another life. */
static inline bool cmy_service_same(const cmy_service_shm_t *service, uint64_t state)
{
    cmy_fence_acquire(); /* pairs with the release fence behind every claim */
    return cmy_load64_relaxed(&service->state) == state;
}

/* Whether a record has a key's text for its id. */
static inline bool cmy_service_has_id(const cmy_region_t *region, const cmy_service_shm_t *service, uint32_t record,
                                      const cmy_key_t *key)
{
    if (cmy_shape_unpack(cmy_load64_relaxed(&service->shape)).id_bytes != key->bytes)
        return false;
    return cmy_key_equal(key, key->bytes < CMY_HOT_ID_BYTES ? service->id : cmy_cold_at(region, record)->id);
}

/*
 * The next visible service under a key that a probe was begun for; false when there is none. The caller reads what it
 * wants and then asks cmy_service_same(); if that fails it goes on with the probe.
 */
static inline __attribute__((always_inline)) bool cmy_service_seek(const cmy_region_t *region, const cmy_key_t *key,
                                                                   cmy_probe_t *probe, uint32_t *record,
                                                                   uint64_t *state)
{
    while (cmy_probe_next(probe, record)) {
        if (!cmy_region_holds(region, CMY_SERVICES, *record))
            continue;
        const cmy_service_shm_t *service = cmy_service_at(region, *record);
        *state = cmy_load64_acquire(&service->state);
        if (cmy_state_phase(*state) == CMY_LIVE && cmy_service_has_id(region, service, *record, key) &&
            cmy_service_visible(region, service, *state))
            return true;
    }
    return false;
}

/* The visible service of an id, seen twice in the same state. */
bool cmy_service_find(const cmy_region_t *region, const cmy_key_t *key, uint32_t *record, uint64_t *state);

/* The visible service that a reference names. */
static inline __attribute__((always_inline)) bool cmy_service_refer(const cmy_region_t *region, uint64_t reference,
                                                                    uint32_t *record, uint64_t *state)
{
    *record = (uint32_t)(reference & 0x3fffffu) - 1;
    if (!cmy_region_holds(region, CMY_SERVICES, *record))
        return false;
    const cmy_service_shm_t *service = cmy_service_at(region, *record);
    *state = cmy_load64_acquire(&service->state);
    return cmy_state_version(*state) == (uint32_t)(reference >> 22) && cmy_service_visible(region, service, *state);
}

/* commy_health_t as lookups report it: unhealthy once a lease ended, else what was set. */
static inline int32_t cmy_service_health(const cmy_service_shm_t *service)
{
    if (cmy_lease_ended(cmy_load64_relaxed(&service->lease)))
        return COMMY_HEALTH_UNHEALTHY;
    return (int32_t)cmy_condition_health(cmy_load64_relaxed(&service->condition));
}

/* Copies an endpoint that lies in the hot record, and its NUL. bytes: less than CMY_HOT_ENDPOINT_BYTES. */
static inline void cmy_service_copy_hot_endpoint(const cmy_service_shm_t *hot, size_t bytes, char *to)
{
    cmy_bytes_load(to, hot->endpoint, bytes + 1);
    to[bytes] = '\0'; /* whatever is there */
}

/* Copies the endpoint, wherever it lies, and its NUL; nothing in it is trusted but the field's size. */
void cmy_service_copy_endpoint(const cmy_region_t *region, uint32_t record, char *to);

/* Copies what a client needs, or everything. Followed by cmy_service_same(). */
void cmy_service_copy_target(const cmy_region_t *region, uint32_t record, uint64_t state, commy_target_t *target);
void cmy_service_copy_info(const cmy_region_t *region, uint32_t record, uint64_t state, commy_service_info_t *info);

/* Hash of a record's name, as the name's stripe needs it. */
uint64_t cmy_service_name_hash(const cmy_region_t *region, uint32_t record);

/* ----------------------------------------------------------- changing */

/* What is about to be registered, checked. Pointers are the caller's. */
typedef struct cmy_draft {
    cmy_key_t id, name;
    const char *endpoint, *metadata, *version, *zone;
    const char *const *tags;
    size_t endpoint_bytes, metadata_bytes, version_bytes, zone_bytes;
    uint32_t tag_count, weight;
    uint64_t ttl_ms;
    uint16_t port;
    bool detached;
} cmy_draft_t;

/* Fills in a record that the caller has CLAIMED. */
void cmy_service_fill(const cmy_region_t *region, uint32_t record, uint64_t claimed, const cmy_draft_t *draft);

/* How the index of ids sees services. */
extern const cmy_index_kind_t cmy_service_kind;

/* Whether a record may be taken away: its owner is dead for certain, or it is detached and its lease was declared
 * expired, here if nobody did before. */
bool cmy_service_gone(cmy_region_t *region, uint32_t record, uint64_t state);

/* state -> DYING(me), and finishes. False where the record is no longer in that state. */
bool cmy_service_retire(cmy_actor_t *actor, uint32_t record, uint64_t state);

/* The same of a service of the actor's own, which leaves. */
bool cmy_service_give_up(cmy_actor_t *actor, uint32_t record, uint64_t state);

/* Declares a lease expired. False where it was renewed meanwhile or had not ended. Announces the change. */
bool cmy_service_expire(cmy_region_t *region, uint32_t record);

/* Lowers the region's soonest lease end to this one; called after the service can be seen. */
void cmy_lease_note(cmy_region_t *region, uint64_t lease);

/* -------------------------------------------------------- remembering */

/*
 * Writes an event into the flight recorder, after the change and before it is announced. state: what the record was in when
 * it was changed; where it is another's by now, nothing is written. owner: who did it, or whom it happened to. reason:
 * commy_event_reason_t, or cmy_event_change().
 */
void cmy_service_note(cmy_region_t *region, uint32_t record, uint64_t state, uint32_t owner, commy_event_kind_t kind,
                      uint32_t reason);

/* It was registered by the actor, who claimed it; it was taken away from LIVE by the actor, who is its executor. */
void cmy_service_note_registered(cmy_actor_t *actor, uint32_t record, uint64_t claimed);
void cmy_service_note_retired(cmy_actor_t *actor, uint32_t record, uint64_t state, bool leaving);

/* Its lease was declared expired; or renewed after that. */
void cmy_service_note_lease(cmy_region_t *region, uint32_t record, uint64_t state, bool renewed);

#endif /* CMY_SERVICE_SERVICE_H */
