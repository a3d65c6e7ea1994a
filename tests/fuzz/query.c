/* The property's first half: every query, and what must hold of its answer whatever the bytes are. */
#include <stdlib.h>
#include <string.h>

#include "mesh/notices.h"
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

static void ask_events(const commy_mesh_t *mesh)
{
    size_t count = 0, again = 0;
    if (CALL(CALL_EVENTS, commy_mesh_events(mesh, NULL, 0, &count)) != COMMY_STATUS_SUCCESS)
        return;
    if (count > COMMY_LIMIT_EVENTS)
        fuzz_broken("%zu events", count);
    commy_event_t *events = fuzz_exactly(count * sizeof *events);
    CALL(CALL_EVENTS, commy_mesh_events(mesh, events, count, &again));
    if (again > count)
        fuzz_broken("%zu events where there is room for %zu", again, count);
    for (size_t i = 0; i < again; i++) {
        ENDS(events[i].id);
        ENDS(events[i].name);
        if (events[i].sequence == 0 || (i > 0 && events[i].time_ns < events[i - 1].time_ns))
            fuzz_broken("event %zu is out of order", i);
        if (!commy_event_kind_name(events[i].kind)[0] || !commy_event_reason_name(events[i].reason))
            fuzz_broken("event %zu has no word", i);
    }
    free(events);
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
    ask_events(mesh);
    commy_breaker_config_t breaker;
    CALL(CALL_BREAKER, commy_mesh_breaker(mesh, &breaker));
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
static void ask_lookout(commy_mesh_t *mesh)
{
    cmy_notices_t *notices = cmy_notices_of(mesh);
    cmy_notice_t notice;
    cmy_listener_t listener;
    if (!notices)
        return;
    for (uint32_t turn = 1; turn <= 2; turn++) {
        notices->listener[CMY_FOR_SERVICES] = (cmy_listener_t){(void (*)(void))abort, NULL, turn};
        notices->listener[CMY_FOR_HEALTH] = (cmy_listener_t){(void (*)(void))abort, NULL, turn};
        notices->walk_at_ns = 0;
        fuzz_begin(CALL_LOOKOUT);
        cmy_notices_look(notices, mesh);
        fuzz_end(CALL_LOOKOUT, COMMY_STATUS_SUCCESS);
        while (cmy_notices_take(notices, &notice, &listener)) {
            ENDS(notice.name);
            ENDS(notice.id);
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
    commy_breaker_status_t breaker;
    memset(&breaker, 0xff, sizeof breaker);
    if (CALL(CALL_SERVICE_BREAKER, commy_service_breaker(mesh, id, &breaker)) == COMMY_STATUS_SUCCESS &&
        (breaker.state < COMMY_BREAKER_CLOSED || breaker.state > COMMY_BREAKER_HALF_OPEN ||
         !memchr(breaker.prober, '\0', sizeof breaker.prober)))
        fuzz_broken("its breaker is in state %d", (int)breaker.state);
    if (CALL(CALL_SERVICE_STATS, commy_service_stats(mesh, id, &stats)) == COMMY_STATUS_SUCCESS &&
        stats.in_flight > (uint64_t)COMMY_LIMIT_PARTICIPANTS * CMY_FLIGHT_COUNT_MAX)
        fuzz_broken("%llu requests in flight", (unsigned long long)stats.in_flight);
    int32_t health = -1;
    double ms = -1;
    if (CALL(CALL_HEALTH, commy_service_health(mesh, id, &health, &ms)) == COMMY_STATUS_SUCCESS &&
        (health < COMMY_HEALTH_UNKNOWN || health > COMMY_HEALTH_DEGRADED || !(ms >= 0)))
        fuzz_broken("health %d, %f ms", (int)health, ms);
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
    const char *const mixed[] = {fuzz_ids[0], "absent", NULL}; /* which of them does the sentence speak of? */
    int32_t codes[FUZZ_ID_COUNT];
    commy_target_t *targets = fuzz_exactly(FUZZ_ID_COUNT * sizeof *targets);
    commy_status_t status =
        CALL(CALL_FIND_MANY, commy_service_find_many(mesh, fuzz_ids, FUZZ_ID_COUNT, targets, codes));
    bool asked = status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_FOUND;
    for (int i = 0; asked && i < FUZZ_ID_COUNT; i++)
        if (codes[i] == COMMY_STATUS_SUCCESS)
            judge_target(&targets[i]);
    free(targets);
    targets = fuzz_exactly(3 * sizeof *targets);
    CALL(CALL_FIND_MANY, commy_service_find_many(mesh, mixed, 1, targets, codes));
    CALL(CALL_FIND_MANY, commy_service_find_many(mesh, mixed, 3, targets, codes));
    free(targets);
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

static bool has_tag(const commy_service_info_t *info, const char *tag)
{
    bool has = false;
    for (uint32_t i = 0; i < info->tag_count && i < COMMY_LIMIT_TAGS; i++)
        has |= strcmp(info->tags[i], tag) == 0;
    return has;
}

/* What was selected has what was asked for, as long as nothing moves. */
static void judge_filter(commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name,
                         const commy_select_options_t *options, const commy_target_t *target)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_service_info_t info;
    if (plan->moves || CALL(CALL_ITERATE_NAME, commy_iterate_name(mesh, name, &iterator)) != COMMY_STATUS_SUCCESS)
        return;
    while (commy_iterate_next(mesh, &iterator, &view))
        if (view.reference == target->reference && commy_view_info(mesh, &view, &info) == COMMY_STATUS_SUCCESS &&
            ((options->tag && !has_tag(&info, options->tag)) ||
             (options->version && strcmp(info.version, options->version) != 0) ||
             (options->zone && !options->flags && strcmp(info.zone, options->zone) != 0)))
            fuzz_broken("one was selected that does not fit");
}

/* Narrowed down to what some have (seed.c), and nobody. */
static void ask_filtered(commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name)
{
    static const char *const tags[] = {NULL, "blue", "red"}, *const versions[] = {NULL, "1.2.3", "4"},
                             *const zones[] = {NULL, "north", "south"};
    uint64_t chance = plan->chance;
    for (int i = 0; i < 3; i++, chance = chance * 6364136223846793005u + 1442695040888963407u) {
        const char *zone = zones[(chance >> 40) % 3];
        const commy_select_options_t options = {.size = sizeof options,
                                                .flags = zone && (chance >> 50) % 2 ? COMMY_SELECT_PREFER_ZONE : 0,
                                                .policy = (int32_t)((chance >> 56) % 5),
                                                .tag = tags[(chance >> 20) % 3],
                                                .version = versions[(chance >> 30) % 3],
                                                .zone = zone};
        commy_target_t target;
        memset(&target, 0xff, sizeof target);
        if (CALL(CALL_SELECT, commy_service_select(mesh, name, &options, &target)) != COMMY_STATUS_SUCCESS)
            continue;
        judge_target(&target);
        judge_filter(mesh, plan, name, &options, &target);
    }
}

/* Twice by each policy: from a picker that is made, and from one that is there. Hashing makes a table of thousands of places,
 * and is asked for less often. */
static void ask_select(commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name)
{
    const int32_t policies = COMMY_POLICY_CONSISTENT_HASH + (plan->chance % 8 == 0);
    for (int32_t i = 0; i < 2 * policies; i++) {
        const commy_select_options_t options = {.size = sizeof options, .policy = i / 2, .client_id = fuzz_ids[i / 2]};
        commy_target_t target;
        memset(&target, 0xff, sizeof target);
        if (CALL(CALL_SELECT, commy_service_select(mesh, name, &options, &target)) != COMMY_STATUS_SUCCESS)
            continue;
        judge_target(&target);
        if (target.status != COMMY_HEALTH_HEALTHY && target.status != COMMY_HEALTH_DEGRADED)
            fuzz_broken("one of status %d was selected", (int)target.status);
        if (target.weight == 0 && options.policy != COMMY_POLICY_ROUND_ROBIN &&
            options.policy != COMMY_POLICY_CONSISTENT_HASH)
            fuzz_broken("one of weight 0 was selected by weight");
    }
}

static void ask_name(commy_mesh_t *mesh, const fuzz_plan_t *plan, const char *name)
{
    commy_iterator_t iterator;
    size_t count;
    ask_select(mesh, plan, name);
    ask_filtered(mesh, plan, name);
    commy_service_stats_t stats;
    CALL(CALL_NAME_STATS, commy_name_stats(mesh, name, &stats));
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
    ask_lookout(mesh);
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
