/*
 * What the listeners of a handle were told, and what there is to tell: the difference between that and the region.
 *
 * A sighting stands for a record. Each listener has its own part of it: the state under which it knows the record (0: not),
 * and what it knows of it. Killed: all of it is private memory.
 *
 * A walk goes over all records twice, so that an id that was registered anew goes before it comes: the first time it tells
 * of who went, the second time of who went since, and of newcomers, but only of those that the first time has found. Such
 * a one was there by then, and its id under no other record any more: that is told by the first time, further on, or by the
 * second, further down. Who came later has to wait for the next walk.
 */
#include "mesh/notices.h"

#include <stdlib.h>

#include "base/log.h"
#include "mesh/policy.h"

struct cmy_sighting {
    uint64_t told;   /* state that the listener for services knows */
    uint64_t looks;  /* weight, admin state, metadata: as told */
    uint64_t judged; /* state that the listener for health knows */
    int32_t health;  /* as told, or healthy, which every service is at first */
    uint64_t found;  /* state that the first time of this walk saw */
    char *text;      /* name, NUL, id; while one of the states is not 0 */
};

/* What is to be seen of a record now. */
typedef struct glance {
    uint64_t state; /* 0: no visible service */
    uint64_t looks;
    int32_t health;
} glance_t;

/* Who listens, as of the beginning of a walk. */
typedef struct ears {
    bool open[CMY_LISTENERS];
} ears_t;

static glance_t glance(const cmy_region_t *region, uint32_t record)
{
    glance_t seen = {0};
    if (!cmy_region_holds(region, CMY_SERVICES, record))
        return seen;
    const cmy_service_shm_t *service = cmy_service_at(region, record);
    uint64_t state = cmy_load64_acquire(&service->state);
    if (!cmy_service_visible(region, service, state))
        return seen;
    uint64_t condition = cmy_load64_relaxed(&service->condition);
    uint64_t looks = (uint64_t)cmy_condition_admin(condition) << 32 | cmy_condition_weight(condition);
    looks = cmy_mix(looks + CMY_MIX_STEP) + cmy_load64_relaxed(cmy_block_link(region, CMY_SMALL_TEXTS, record));
    int32_t health = cmy_service_health(service);
    if (cmy_service_same(service, state))
        seen = (glance_t){state, looks, health};
    return seen;
}

/* ---------------------------------------------------------------- telling */

static bool tell(cmy_notices_t *notices, const cmy_sighting_t *sighting, cmy_listener_kind_t kind, int32_t before,
                 int32_t now)
{
    cmy_notice_t notice = {.kind = kind, .epoch = notices->epoch[kind], .before = before, .now = now};
    size_t name_bytes = strnlen(sighting->text, sizeof notice.name - 1);
    memcpy(notice.name, sighting->text, name_bytes);
    memcpy(notice.id, sighting->text + name_bytes + 1, strlen(sighting->text + name_bytes + 1));
    return cmy_notices_put(notices, &notice);
}

static void forget_text(cmy_sighting_t *sighting)
{
    if (sighting->told || sighting->judged)
        return;
    free(sighting->text);
    sighting->text = NULL;
}

/* Those who went. False: no room. */
static bool tell_gone(cmy_notices_t *notices, cmy_sighting_t *sighting, const glance_t *now)
{
    if (sighting->judged != now->state)
        sighting->judged = 0;
    if (sighting->told && sighting->told != now->state) {
        if (!tell(notices, sighting, CMY_FOR_SERVICES, 0, 2))
            return false;
        sighting->told = 0;
    }
    forget_text(sighting);
    return true;
}

/* Names a service that nobody was told of yet. False: it went; or there is no memory, and *whole is cleared. */
static bool learn(const cmy_region_t *region, uint32_t record, cmy_sighting_t *sighting, const glance_t *now,
                  bool *whole)
{
    commy_service_info_t info;
    if (sighting->text)
        return true;
    cmy_service_copy_info(region, record, now->state, &info);
    if (!cmy_service_same(cmy_service_at(region, record), now->state))
        return false;
    size_t name_bytes = strlen(info.name) + 1, id_bytes = strlen(info.id) + 1;
    sighting->text = malloc(name_bytes + id_bytes);
    if (!sighting->text)
        return *whole = false;
    memcpy(sighting->text, info.name, name_bytes);
    memcpy(sighting->text + name_bytes, info.id, id_bytes);
    return true;
}

/* Those who came or changed. False: no room. */
static bool tell_there(cmy_notices_t *notices, const ears_t *ears, cmy_sighting_t *sighting, const glance_t *now)
{
    if (ears->open[CMY_FOR_SERVICES] && (!sighting->told || sighting->looks != now->looks)) {
        if (!tell(notices, sighting, CMY_FOR_SERVICES, 0, sighting->told ? 3 : 1))
            return false;
        sighting->told = now->state;
        sighting->looks = now->looks;
    }
    if (ears->open[CMY_FOR_HEALTH] && !sighting->judged) {
        sighting->judged = now->state;
        sighting->health = COMMY_HEALTH_HEALTHY;
    }
    if (ears->open[CMY_FOR_HEALTH] && sighting->health != now->health) {
        if (!tell(notices, sighting, CMY_FOR_HEALTH, sighting->health, now->health))
            return false;
        sighting->health = now->health;
    }
    return true;
}

/* ---------------------------------------------------------------- walking */

/* A sighting for each record that is reserved. */
static bool make_room(cmy_notices_t *notices, const cmy_region_t *region)
{
    uint32_t records = cmy_region_reserved_again(region, CMY_SERVICES);
    if (records <= notices->sightings)
        return true;
    cmy_sighting_t *grown = realloc(notices->sighting, records * sizeof *grown);
    if (!grown)
        return false;
    memset(&grown[notices->sightings], 0, (records - notices->sightings) * sizeof *grown);
    notices->sighting = grown;
    notices->sightings = records;
    return true;
}

static bool walk(cmy_notices_t *notices, const ears_t *ears, const cmy_region_t *region)
{
    bool whole = true;
    if (!make_room(notices, region))
        return false;
    for (uint32_t record = 0; record < notices->sightings; record++) {
        cmy_sighting_t *sighting = &notices->sighting[record];
        const glance_t now = glance(region, record);
        sighting->found = now.state;
        if (sighting->text && !tell_gone(notices, sighting, &now))
            return false;
    }
    for (uint32_t record = 0; record < notices->sightings; record++) {
        cmy_sighting_t *sighting = &notices->sighting[record];
        const glance_t now = glance(region, record);
        if (sighting->text && !tell_gone(notices, sighting, &now)) /* since the first time */
            return false;
        whole &= now.state == 0 || now.state == sighting->found;
        if (now.state == 0 || now.state != sighting->found || !learn(region, record, sighting, &now, &whole))
            continue;
        if (!tell_there(notices, ears, sighting, &now))
            return false;
        forget_text(sighting);
    }
    return whole;
}

/* A listener that was set since the last walk knows nothing. */
static void start_anew(cmy_notices_t *notices, cmy_listener_kind_t kind)
{
    for (uint32_t record = 0; record < notices->sightings; record++) {
        cmy_sighting_t *sighting = &notices->sighting[record];
        if (kind == CMY_FOR_SERVICES)
            sighting->told = 0;
        else
            sighting->judged = 0;
        forget_text(sighting);
    }
}

static bool listen(cmy_notices_t *notices, ears_t *ears)
{
    uint32_t epoch[CMY_LISTENERS];
    bool any = false;
    pthread_mutex_lock(&notices->turn);
    for (int kind = 0; kind < CMY_LISTENERS; kind++) {
        ears->open[kind] = notices->listener[kind].call != NULL;
        epoch[kind] = notices->listener[kind].epoch;
        any |= ears->open[kind];
    }
    pthread_mutex_unlock(&notices->turn);
    for (int kind = 0; kind < CMY_LISTENERS; kind++) {
        if (epoch[kind] == notices->epoch[kind])
            continue;
        notices->epoch[kind] = epoch[kind];
        notices->version = 0;
        start_anew(notices, (cmy_listener_kind_t)kind);
    }
    return any;
}

/* The walk ended early. Whether there is room by now, so that nobody will say so. */
static bool room_by_now(cmy_notices_t *notices)
{
    if (cmy_notices_waiting(notices) < CMY_NOTICES / 2)
        return true; /* it was memory that lacked */
    cmy_log(CMY_LOG_WARNING,
            "%u notices wait: what changes before commy_dispatch() runs is told in its last state only",
            CMY_NOTICES - 1);
    atomic_store(&notices->full, true);
    return cmy_notices_waiting(notices) <= CMY_NOTICES / 2 && atomic_exchange(&notices->full, false);
}

uint64_t cmy_notices_look(cmy_notices_t *notices, const commy_mesh_t *mesh)
{
    ears_t ears;
    uint64_t now_ns = cmy_clock_monotonic_ns();
    if (!listen(notices, &ears) || atomic_load(&notices->full)) /* whoever makes room rings */
        return 0;
    uint64_t version = cmy_wait_version(mesh->region, NULL);
    if (version == notices->version && mesh->region->writable)
        return CMY_NOTICES_ON_CHANGE;
    if (now_ns < notices->walk_at_ns)
        return notices->walk_at_ns;
    bool whole = walk(notices, &ears, mesh->region);
    notices->walk_at_ns = cmy_watch_again_ns(now_ns);
    notices->version = whole ? version : 0;
    if (whole)
        return CMY_NOTICES_ON_CHANGE;
    return room_by_now(notices) ? notices->walk_at_ns : 0;
}

/* ----------------------------------------------------------------- ending */

void cmy_notices_end(cmy_notices_t *notices, bool forked)
{
    if (!notices || forked)
        return; /* a child keeps what the thread may have been changing */
    for (uint32_t record = 0; record < notices->sightings; record++)
        free(notices->sighting[record].text);
    free(notices->sighting);
    pthread_mutex_destroy(&notices->setting);
    pthread_mutex_destroy(&notices->turn);
    free(notices);
}
