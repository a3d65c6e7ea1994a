/* The property's first half: every query, and what must hold of its answer whatever the bytes are. */
#include <stdlib.h>
#include <string.h>

#include "mesh/events.h"
#include "property.h"

static void ends(const char *text, size_t room, const char *what)
{
    if (!memchr(text, '\0', room))
        fuzz_broken("%s has no end within its %zu bytes", what, room);
}
#define ENDS(field) ends(field, sizeof(field), #field)

static void judge_target(const commy_target_t *target)
{
    ENDS(target->endpoint);
    if (target->reference == 0)
        fuzz_broken("a target without a reference");
    if (target->status < COMMY_HEALTH_UNKNOWN || target->status > COMMY_HEALTH_DEGRADED)
        fuzz_broken("status %d", (int)target->status);
    if (target->weight > COMMY_LIMIT_WEIGHT)
        fuzz_broken("weight %u", target->weight);
}

static void judge_info(const commy_service_info_t *info)
{
    ENDS(info->name);
    ENDS(info->id);
    ENDS(info->endpoint);
    ENDS(info->version);
    ENDS(info->zone);
    ENDS(info->node_id);
    if (info->tag_count > COMMY_LIMIT_TAGS)
        fuzz_broken("%u tags", info->tag_count);
    for (uint32_t i = 0; i < info->tag_count; i++)
        ENDS(info->tags[i]);
    if (info->weight > COMMY_LIMIT_WEIGHT)
        fuzz_broken("weight %u", info->weight);
    if (info->status < COMMY_HEALTH_UNKNOWN || info->status > COMMY_HEALTH_DEGRADED)
        fuzz_broken("status %d", (int)info->status);
    if (info->admin < COMMY_ADMIN_ENABLED || info->admin > COMMY_ADMIN_MAINTENANCE)
        fuzz_broken("admin state %d", (int)info->admin);
    if (info->metadata_bytes > COMMY_LIMIT_METADATA_BYTES)
        fuzz_broken("%llu bytes of metadata", (unsigned long long)info->metadata_bytes);
}

/* Reads every byte that a view offers. */
static volatile unsigned char sum;
static void touch(const commy_view_t *view)
{
    unsigned char seen = 0;
    for (size_t i = 0; i < view->id_bytes; i++)
        seen ^= (unsigned char)view->id[i];
    for (size_t i = 0; i < view->name_bytes; i++)
        seen ^= (unsigned char)view->name[i];
    for (size_t i = 0; i < view->endpoint_bytes; i++)
        seen ^= (unsigned char)view->endpoint[i];
    sum = seen;
}

/* ----------------------------------------------------------------- the mesh */

static void finding(void *user, const char *where, const char *what)
{
    uint64_t *told = user;
    if (!where[0] || !what[0])
        fuzz_broken("a finding without words");
    ++*told;
}

static void ask_mesh(const commy_mesh_t *mesh, const fuzz_plan_t *plan)
{
    commy_mesh_info_t info;
    commy_mesh_stats_t stats;
    size_t count = 0, again = 0;
    CALL(CALL_INFO, commy_mesh_info(mesh, &info));
    if (CALL(CALL_PARTICIPANTS, commy_mesh_participants(mesh, NULL, 0, &count)) == COMMY_STATUS_SUCCESS) {
        if (count > COMMY_LIMIT_PARTICIPANTS)
            fuzz_broken("%zu participants", count);
        commy_participant_t *participants = fuzz_exactly(count * sizeof *participants);
        CALL(CALL_PARTICIPANTS, commy_mesh_participants(mesh, participants, count, &again));
        for (size_t i = 0; i < count && i < again; i++)
            ENDS(participants[i].node_id);
        free(participants);
    }
    if (CALL(CALL_STATS, commy_mesh_stats(mesh, &stats)) == COMMY_STATUS_SUCCESS &&
        (stats.total_services > plan->seed->capacity ||
         stats.healthy_services + stats.unhealthy_services > stats.total_services))
        fuzz_broken("%u services of %u, %u healthy, %u not", stats.total_services, plan->seed->capacity,
                    stats.healthy_services, stats.unhealthy_services);
}

static void audit(const commy_mesh_t *mesh)
{
    uint64_t told = 0, findings = 0;
    commy_status_t status = CALL(CALL_CHECK, commy_mesh_check(mesh, finding, &told, &findings));
    if ((status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_CORRUPT) &&
        (told != findings || (status == COMMY_STATUS_SUCCESS) != (findings == 0)))
        fuzz_broken("status %d with %llu findings, %llu told", (int)status, (unsigned long long)findings,
                    (unsigned long long)told);
}

static void ask_wait(const commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name)
{
    uint64_t version = 0;
    if (CALL(CALL_WAIT, commy_mesh_wait(mesh, name, 0, 0, &version)) != COMMY_STATUS_SUCCESS && version != 0)
        return;
    CALL(CALL_WAIT, commy_mesh_wait(mesh, name, version, plan->waits ? 2 : 0, &version));
}

/* The first wait comes at once, to a success or an error; the second one within its time. */
static void ask_watch(commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *id, const char *name)
{
    commy_watcher_t *watcher;
    uint64_t version;
    const commy_watch_options_t options = {
        .size = sizeof options,
        .id = id,
        .name = name,
        .tag = name && plan->chance & 1 ? "blue" : NULL,
        .zone = name && plan->chance & 2 ? "north" : NULL,
    };
    if (CALL(CALL_WATCH, commy_watcher_create(mesh, &options, &watcher)) != COMMY_STATUS_SUCCESS)
        return;
    CALL(CALL_WATCH_WAIT, commy_watcher_wait(watcher, 0, &version));
    CALL(CALL_WATCH_WAIT, commy_watcher_wait(watcher, plan->waits ? 2 : 0, &version));
    commy_watcher_destroy(&watcher);
}

/* What the lookout does for callbacks, without its thread: all that it walks over twice, and takes what it tells. */
static void ask_events(commy_mesh_t *mesh)
{
    cmy_events_t *events = cmy_events_of(mesh);
    cmy_event_t event;
    cmy_listener_t listener;
    if (!events)
        return;
    for (uint32_t turn = 1; turn <= 2; turn++) {
        events->listener[CMY_FOR_SERVICES] = (cmy_listener_t){(void (*)(void))abort, NULL, turn};
        events->listener[CMY_FOR_HEALTH] = (cmy_listener_t){(void (*)(void))abort, NULL, turn};
        events->walk_at_ns = 0;
        fuzz_begin(CALL_EVENTS);
        cmy_events_look(events, mesh);
        fuzz_end(CALL_EVENTS, COMMY_STATUS_SUCCESS);
        while (cmy_events_take(events, &event, &listener)) {
            ENDS(event.name);
            ENDS(event.id);
        }
    }
}

/* ------------------------------------------------------------------ by id */

static void ask_metadata(const commy_mesh_t *mesh, const char *id)
{
    size_t length = 0;
    if (CALL(CALL_METADATA, commy_service_metadata(mesh, id, NULL, 0, &length)) != COMMY_STATUS_SUCCESS)
        return;
    if (length > COMMY_LIMIT_METADATA_BYTES)
        fuzz_broken("%zu bytes of metadata", length);
    const size_t rooms[] = {1, 16, length + 1};
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        char *text = fuzz_exactly(rooms[i]);
        if (CALL(CALL_METADATA, commy_service_metadata(mesh, id, text, rooms[i], NULL)) == COMMY_STATUS_SUCCESS)
            ends(text, rooms[i], "metadata");
        free(text);
    }
}

/* An hour, and what it may be off. */
static void judge_latency(commy_status_t status, uint64_t ns)
{
    if (status == COMMY_STATUS_SUCCESS && ns > CMY_LATENCY_LIMIT_NS / 100 * 107)
        fuzz_broken("a latency of %llu ns", (unsigned long long)ns);
}

static void ask_id(const commy_mesh_t *mesh, const char *id)
{
    commy_target_t target;
    commy_service_info_t info;
    commy_service_stats_t stats;
    commy_view_t view;
    uint64_t ns = 0;
    memset(&target, 0xff, sizeof target);
    if (CALL(CALL_FIND, commy_service_find(mesh, id, &target)) == COMMY_STATUS_SUCCESS)
        judge_target(&target);
    if (CALL(CALL_GET, commy_service_get(mesh, id, &info)) == COMMY_STATUS_SUCCESS)
        judge_info(&info);
    ask_metadata(mesh, id);
    if (CALL(CALL_SERVICE_STATS, commy_service_stats(mesh, id, &stats)) == COMMY_STATUS_SUCCESS &&
        stats.in_flight > (uint64_t)COMMY_LIMIT_PARTICIPANTS * CMY_FLIGHT_COUNT_MAX)
        fuzz_broken("%llu requests in flight", (unsigned long long)stats.in_flight);
    commy_status_t timed = CALL(CALL_LATENCY, commy_service_latency(mesh, id, 0.99, &ns));
    judge_latency(timed, ns);
    if (CALL(CALL_VIEW, commy_service_view(mesh, id, &view)) != COMMY_STATUS_SUCCESS)
        return;
    touch(&view);
    commy_view_valid(mesh, &view);
    if (CALL(CALL_VIEW_TARGET, commy_view_target(mesh, &view, &target)) == COMMY_STATUS_SUCCESS)
        judge_target(&target);
    if (CALL(CALL_VIEW_INFO, commy_view_info(mesh, &view, &info)) == COMMY_STATUS_SUCCESS)
        judge_info(&info);
}

static void ask_many(const commy_mesh_t *mesh)
{
    int32_t codes[FUZZ_ID_COUNT];
    commy_target_t *targets = fuzz_exactly(FUZZ_ID_COUNT * sizeof *targets);
    commy_status_t status =
        CALL(CALL_FIND_MANY, commy_service_find_many(mesh, fuzz_ids, FUZZ_ID_COUNT, targets, codes));
    bool asked = status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_FOUND;
    for (int i = 0; asked && i < FUZZ_ID_COUNT; i++)
        if (codes[i] == COMMY_STATUS_SUCCESS)
            judge_target(&targets[i]);
    free(targets);
    CALL(CALL_FIND_MANY, commy_service_find_many(mesh, fuzz_ids, 1, &(commy_target_t){0}, codes));
}

/* ----------------------------------------------------------------- by name */

/* Walks; no more instances come than the region has records. Looks closely at the first few. */
static void walk(const commy_mesh_t *mesh, const fuzz_plan_t *plan, commy_iterator_t *iterator)
{
    commy_view_t view;
    commy_service_info_t info;
    for (uint32_t came = 0; commy_iterate_next(mesh, iterator, &view); came++) {
        if (came >= plan->seed->capacity && !plan->moves)
            fuzz_broken("more instances than there are records");
        touch(&view);
        if (came < 4 && CALL(CALL_VIEW_INFO, commy_view_info(mesh, &view, &info)) == COMMY_STATUS_SUCCESS)
            judge_info(&info);
    }
    if (!plan->moves && commy_iterate_next(mesh, iterator, &view))
        fuzz_broken("a walk that had ended went on");
}

static void discover(const commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name, call_t call)
{
    size_t count = 0, again = 0;
    if (CALL(call, commy_name_discover(mesh, name, NULL, 0, &count)) != COMMY_STATUS_SUCCESS)
        return;
    if (count > plan->seed->capacity && !plan->moves)
        fuzz_broken("%zu instances of %u", count, plan->seed->capacity);
    size_t room = count < 64 ? count : 64;
    commy_service_info_t *out = fuzz_exactly(room * sizeof *out);
    if (CALL(call, commy_name_discover(mesh, name, out, room, &again)) == COMMY_STATUS_SUCCESS)
        for (size_t i = 0; i < room && i < again; i++)
            judge_info(&out[i]);
    free(out);
}

/* Twice by each policy: from a picker that is made, and from one that is there. Hashing makes a table of thousands of places,
 * and is asked for less often. */
static void ask_select(commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name)
{
    static const int32_t policies[] = {COMMY_POLICY_ROUND_ROBIN, COMMY_POLICY_WEIGHTED_ROUND_ROBIN, COMMY_POLICY_RANDOM,
                                       COMMY_POLICY_CONSISTENT_HASH};
    size_t some = plan->chance % 8 == 0 ? 4 : 3;
    for (size_t i = 0; i < 2 * some; i++) {
        const commy_select_options_t options = {
            .size = sizeof options, .policy = policies[i / 2], .client_id = fuzz_ids[i]};
        commy_target_t target;
        memset(&target, 0xff, sizeof target);
        if (CALL(CALL_SELECT, commy_service_select(mesh, name, &options, &target)) != COMMY_STATUS_SUCCESS)
            continue;
        judge_target(&target);
        if (target.status != COMMY_HEALTH_HEALTHY && target.status != COMMY_HEALTH_DEGRADED)
            fuzz_broken("one of status %d was selected", (int)target.status);
        if (target.weight == 0 &&
            (options.policy == COMMY_POLICY_WEIGHTED_ROUND_ROBIN || options.policy == COMMY_POLICY_RANDOM))
            fuzz_broken("one of weight 0 was selected by weight");
    }
}

static void ask_name(commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name)
{
    commy_iterator_t iterator;
    size_t count;
    ask_select(mesh, plan, name);
    uint64_t ns = 0;
    commy_status_t timed = CALL(CALL_LATENCY, commy_name_latency(mesh, name, 0.5, &ns));
    judge_latency(timed, ns);
    if (CALL(CALL_ITERATE_NAME, commy_iterate_name(mesh, name, &iterator)) == COMMY_STATUS_SUCCESS)
        walk(mesh, plan, &iterator);
    CALL(CALL_COUNT, commy_name_count(mesh, name, &count));
    discover(mesh, plan, name, CALL_DISCOVER);
    ask_wait(mesh, plan, name);
    ask_watch(mesh, plan, NULL, name);
}

static void ask_whole(commy_mesh_t *mesh, const fuzz_plan_t *plan)
{
    commy_iterator_t iterator;
    uint64_t ns = 0;
    commy_status_t timed = CALL(CALL_LATENCY, commy_service_latency(mesh, NULL, 1, &ns));
    judge_latency(timed, ns);
    ask_many(mesh);
    if (CALL(CALL_ITERATE_ALL, commy_iterate_all(mesh, &iterator)) == COMMY_STATUS_SUCCESS)
        walk(mesh, plan, &iterator);
    discover(mesh, plan, NULL, CALL_DISCOVER_ALL);
    ask_events(mesh);
}

void fuzz_queries(commy_mesh_t *mesh, const fuzz_plan_t *plan)
{
    uint32_t from = (uint32_t)(plan->chance >> 32);
    if (plan->parts & FUZZ_MESH) {
        ask_mesh(mesh, plan);
        ask_wait(mesh, plan, NULL);
        ask_watch(mesh, plan, NULL, NULL);
    }
    if (plan->parts & FUZZ_AUDIT)
        audit(mesh);
    for (uint32_t i = 0; plan->parts & FUZZ_IDS && i < (plan->few ? plan->few : FUZZ_ID_COUNT); i++) {
        ask_id(mesh, fuzz_ids[(from + i) % FUZZ_ID_COUNT]);
        ask_watch(mesh, plan, fuzz_ids[(from + i) % FUZZ_ID_COUNT], NULL);
    }
    for (uint32_t i = 0; plan->parts & FUZZ_NAMES && i < (plan->few ? plan->few : FUZZ_NAME_COUNT); i++)
        ask_name(mesh, plan, fuzz_names[(from + i) % FUZZ_NAME_COUNT]);
    if (plan->parts & FUZZ_WHOLE)
        ask_whole(mesh, plan);
}
