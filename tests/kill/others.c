/*
 * What others do while a victim is stopped: one of every operation there is, each of which must come to an end with a code
 * that it may have, whatever the victim has half done. BUSY is none of them: a bound of retries that is reached while
 * nobody else is at work means that somebody waits for the victim.
 */
#include "kill.h"

const char *const operations[] = {
    "find",      "discover", "get",  "register", "unregister", "register the subject's id", "set", "metadata",
    "heartbeat", "report",   "wait", "reap",     "statistics",
};
const size_t operations_count = sizeof operations / sizeof operations[0];
enum {
    FIND,
    DISCOVER,
    GET,
    REGISTER,
    UNREGISTER,
    REGISTER_SUBJECT,
    SET,
    METADATA,
    HEARTBEAT,
    REPORT,
    WAIT,
    REAP,
    STATISTICS
};

static bool is_one_of(commy_status_t status, commy_status_t one, commy_status_t other, commy_status_t third,
                      const char **why)
{
    if (status == COMMY_STATUS_SUCCESS || status == one || status == other || status == third)
        return true;
    *why = commy_last_error_message();
    return false;
}
#define MAY(status, one, other, third)                                                                                 \
    is_one_of((status), COMMY_STATUS_##one, COMMY_STATUS_##other, COMMY_STATUS_##third, why)
#define FOUND(status) MAY(status, NOT_FOUND, NOT_FOUND, NOT_FOUND)

/* A service to change: B's, or where it has none the victim's. */
static const char *target_of(const commy_mesh_t *mesh, const others_t *others, uint64_t *reference)
{
    static const char other[] = "other";
    commy_target_t target = {0};
    const char *id = other;
    if (commy_service_find(mesh, id, &target) != COMMY_STATUS_SUCCESS) {
        id = others->call->config->service_id;
        commy_service_find(mesh, id, &target);
    }
    *reference = target.reference;
    return id;
}

static bool registers(commy_mesh_t *mesh, const others_t *others, const char *id, const char **why)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = others->call->config->service_name,
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .metadata = others->turn % 2 ? small_text : NULL,
                                           .ttl_ms = 3600000,
                                           .port = 7070};
    commy_status_t status = commy_service_register(mesh, &config, NULL);
    if (id != others->call->config->service_id)
        return MAY(status, FULL, FULL, FULL);
    if (!MAY(status, EXISTS, FULL, FULL))
        return false;
    return status != COMMY_STATUS_SUCCESS ||
           MAY(commy_service_unregister(mesh, id), SUCCESS, SUCCESS, SUCCESS); /* which nobody else can have done */
}

static bool sets(commy_mesh_t *mesh, const others_t *others, const char *id, const char **why)
{
    return FOUND(commy_service_set_weight(mesh, id, others->turn % 1000)) &&
           FOUND(commy_service_set_health(mesh, id, (int32_t)(others->turn % 4))) &&
           FOUND(commy_service_set_admin(mesh, id, (int32_t)(others->turn % 3)));
}

static bool waits(const commy_mesh_t *mesh, const others_t *others, const char **why)
{
    uint64_t version = 0;
    const char *name = others->turn % 2 ? others->call->config->service_name : NULL;
    return MAY(commy_mesh_wait(mesh, name, 0, 0, &version), SUCCESS, SUCCESS, SUCCESS) &&
           MAY(commy_mesh_wait(mesh, name, version, 0, &version), TIMED_OUT, TIMED_OUT, TIMED_OUT);
}

static bool sums_up(const commy_mesh_t *mesh, const char **why)
{
    commy_mesh_stats_t stats;
    commy_participant_t participants[SLOTS_WATCHED];
    commy_iterator_t iterator;
    commy_view_t view;
    size_t count;
    if (!FOUND(commy_mesh_stats(mesh, &stats)) ||
        !FOUND(commy_mesh_participants(mesh, participants, SLOTS_WATCHED, &count)) ||
        !FOUND(commy_iterate_all(mesh, &iterator)))
        return false;
    while (commy_iterate_next(mesh, &iterator, &view))
        ;
    return true;
}

bool other_operation(commy_mesh_t *mesh, others_t *others, size_t operation, const char **why)
{
    const commy_service_config_t *subject = others->call->config;
    static const char passer_by[] = "passer-by";
    commy_target_t target;
    commy_service_info_t info[2];
    char text[64];
    size_t count;
    uint64_t reference = 0;
    const char *id = operation >= SET && operation <= REPORT ? target_of(mesh, others, &reference) : NULL;
    others->turn++;
    switch (operation) {
    case FIND:
        return FOUND(commy_service_find(mesh, subject->service_id, &target)) &&
               FOUND(commy_service_find(mesh, "nobody", &target));
    case DISCOVER:
        return FOUND(commy_name_discover(mesh, subject->service_name, info, 2, &count)) &&
               FOUND(commy_name_count(mesh, "others", &count));
    case GET:
        return FOUND(commy_service_get(mesh, subject->service_id, info)) &&
               FOUND(commy_service_metadata(mesh, subject->service_id, text, sizeof text, &count));
    case REGISTER:
        return registers(mesh, others, passer_by, why);
    case UNREGISTER:
        return FOUND(commy_service_unregister(mesh, passer_by));
    case REGISTER_SUBJECT:
        return registers(mesh, others, subject->service_id, why);
    case SET:
        return sets(mesh, others, id, why);
    case METADATA:
        return FOUND(commy_service_set_metadata(mesh, id, others->turn % 2 ? new_text : large_text));
    case HEARTBEAT:
        return FOUND(commy_service_heartbeat(mesh, id));
    case REPORT:
        return reference == 0 || FOUND(commy_service_report(mesh, reference, 1000, true));
    case WAIT:
        return waits(mesh, others, why);
    case REAP:
        return MAY(commy_mesh_reap(mesh, NULL), SUCCESS, SUCCESS, SUCCESS);
    default:
        return sums_up(mesh, why);
    }
}

/* The one operation that needs a keeper, and so a real region: attach, join, leave, detach. */
bool other_joins(const world_t *world, const char **why)
{
    commy_mesh_t *mesh = attach_to(world->dir, world->name, COMMY_OPEN_MUST_EXIST);
    bool good = MAY(commy_mesh_join(mesh, "passer-by", 1), SUCCESS, SUCCESS, SUCCESS) &&
                MAY(commy_mesh_leave(mesh), SUCCESS, SUCCESS, SUCCESS);
    commy_mesh_detach(&mesh);
    return good;
}
