/*
 * The calls that victims make, and what each may change.
 *
 * A judge compares what is seen of the call's subject with what was seen before the call: it is as it was, it is as the
 * call makes it, or the call was half done.
 */
#include "kill.h"
#include "service/checker.h"

#define ID_127                                                                                                         \
    "subject-with-an-id-of-one-hundred-and-twenty-seven-bytes-which-is-the-most-that-one-may-have-0123456789-"         \
    "abcdefghijklmnopqrstuvw"
#define ENDPOINT_255                                                                                                   \
    "unix:/a/path/that/is/as/long/as/an/endpoint/may/be/0123456789/0123456789/0123456789/0123456789/0123456789/"       \
    "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"              \
    "0123456789/0123456789/0123456789/0123456789/123456"
_Static_assert(sizeof ID_127 == 128 && sizeof ENDPOINT_255 == 256, "texts of the full length");

const char new_text[] = "{\"new\": \"text\", \"of\": 3, \"words\": [1, 2, 3]}", small_text[] = "{\"old\": true}";
#define HUNDRED "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
const char large_text[] = HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "large";

static const char *const tags[] = {"blue", "a-tag-of-thirty-one-bytes-00000"};

#define CONFIG(...)                                                                                                    \
    {                                                                                                                  \
        .size = sizeof(commy_service_config_t), .service_name = "subjects", .service_id = "subject", __VA_ARGS__       \
    }
#define HERE .endpoint = "127.0.0.1", .port = 8080
static const commy_service_config_t plain = CONFIG(HERE),
                                    with_metadata = CONFIG(HERE, .metadata = small_text, .version = "1.2.3",
                                                           .zone = "north", .tags = tags, .tag_count = 2, .weight = 7),
                                    detached = CONFIG(HERE, .flags = COMMY_SERVICE_DETACHED, .ttl_ms = 3600000,
                                                      .metadata = small_text),
                                    with_lease = CONFIG(HERE, .ttl_ms = 3600000, .metadata = small_text,
                                                        .version = "1.2.3", .zone = "north"),
                                    long_texts = {.size = sizeof(commy_service_config_t),
                                                  .service_name =
                                                      "subjects-of-a-name-of-sixty-three-bytes-as-long-as-any-may-be-1",
                                                  .service_id = ID_127,
                                                  .endpoint = ENDPOINT_255,
                                                  .metadata = large_text,
                                                  .version = "version-of-thirty-one-bytes-000",
                                                  .zone = "zone-of-thirty-one-bytes-000000",
                                                  .tags = tags,
                                                  .tag_count = 2,
                                                  .weight = 65535,
                                                  .ttl_ms = 3600000};

/* -------------------------------------------------------------------- running */

#define RUN(function) static commy_status_t function(commy_mesh_t **mesh, const call_t *call, uint64_t reference)
#define UNUSED ((void)mesh, (void)call, (void)reference)

/* Another attachment of the same process. */
RUN(run_attach)
{
    UNUSED;
    commy_mesh_t *other;
    const commy_open_options_t options = {.size = sizeof options,
                                          .flags = COMMY_OPEN_MUST_EXIST,
                                          .dir = (*mesh)->region->dir,
                                          .mesh = (*mesh)->region->mesh};
    return commy_mesh_attach(&options, &other);
}
RUN(run_join)
{
    UNUSED;
    return commy_mesh_join(*mesh, "victim", 4711);
}
RUN(run_leave)
{
    UNUSED;
    return commy_mesh_leave(*mesh);
}
RUN(run_detach)
{
    UNUSED;
    commy_mesh_detach(mesh);
    return *mesh ? COMMY_STATUS_INTERNAL : COMMY_STATUS_SUCCESS;
}
RUN(run_register)
{
    uint64_t got = 0;
    (void)reference;
    commy_status_t status = commy_service_register(*mesh, call->config, &got);
    return status == COMMY_STATUS_SUCCESS && got == 0 ? COMMY_STATUS_INTERNAL : status;
}
RUN(run_unregister)
{
    UNUSED;
    return commy_service_unregister(*mesh, call->config->service_id);
}
RUN(run_weight)
{
    UNUSED;
    return commy_service_set_weight(*mesh, call->config->service_id, 4321);
}
RUN(run_health)
{
    UNUSED;
    return commy_service_set_health(*mesh, call->config->service_id, COMMY_HEALTH_DEGRADED);
}
RUN(run_admin)
{
    UNUSED;
    return commy_service_set_admin(*mesh, call->config->service_id, COMMY_ADMIN_DRAINING);
}
RUN(run_metadata)
{
    UNUSED;
    return commy_service_set_metadata(*mesh, call->config->service_id, new_text);
}
RUN(run_metadata_large)
{
    UNUSED;
    return commy_service_set_metadata(*mesh, call->config->service_id, large_text);
}
RUN(run_metadata_none)
{
    UNUSED;
    return commy_service_set_metadata(*mesh, call->config->service_id, "");
}
RUN(run_heartbeat)
{
    UNUSED;
    return commy_service_heartbeat(*mesh, call->config->service_id);
}
RUN(run_report)
{
    UNUSED;
    return commy_service_report(*mesh, reference, 1000, true);
}
RUN(run_report_failure)
{
    UNUSED;
    return commy_service_report(*mesh, reference, 1000, false);
}
RUN(run_reset)
{
    UNUSED;
    return commy_service_reset_breaker(*mesh, call->config->service_id);
}
RUN(run_configure)
{
    UNUSED;
    const commy_breaker_config_t config = {.size = sizeof config, .enabled = 1, .failure_percent = 50};
    return commy_mesh_set_breaker(*mesh, &config);
}
/* With a picker that is made for it. */
RUN(run_select)
{
    (void)reference;
    commy_target_t target;
    const commy_select_options_t options = {.size = sizeof options, .policy = COMMY_POLICY_WEIGHTED_ROUND_ROBIN};
    return commy_service_select(*mesh, call->config->service_name, &options, &target);
}
/* The same, where two are compared. */
RUN(run_select_least)
{
    (void)reference;
    commy_target_t target;
    const commy_select_options_t options = {.size = sizeof options,
                                            .flags = COMMY_SELECT_PREFER_ZONE,
                                            .policy = COMMY_POLICY_LEAST_CONNECTIONS,
                                            .zone = "north"};
    return commy_service_select(*mesh, call->config->service_name, &options, &target);
}
RUN(run_begin_request)
{
    uint64_t token = 0;
    (void)call;
    commy_status_t status = commy_service_begin(*mesh, reference, &token);
    return (status == COMMY_STATUS_SUCCESS) == (token == 0) ? COMMY_STATUS_INTERNAL : status;
}
RUN(run_begin_and_end)
{
    uint64_t token = 0;
    (void)call;
    commy_status_t status = commy_service_begin(*mesh, reference, &token);
    return status == COMMY_STATUS_SUCCESS ? commy_service_end(*mesh, token, 1000, true) : status;
}
/* What a monitor does in the region, from its offer to a first result; and from there to giving it back. */
static commy_status_t offer(commy_mesh_t *mesh, const char *id, bool give_back)
{
    uint32_t record, owner = mesh->actor.owner;
    uint64_t state;
    cmy_checker_watch_t watch = {0};
    commy_status_t status = cmy_mesh_look_up(mesh, id, &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!cmy_checker_elect(mesh->region, owner, record, state, &watch, UINT64_MAX, 1))
        return cmy_mesh_look_up(mesh, id, &record, &state) ? COMMY_STATUS_NOT_FOUND : COMMY_STATUS_INTERNAL;
    uint64_t before = cmy_checked_read(mesh->region, record);
    if (!cmy_checker_note(mesh->region, owner, record, state, before, true, 1000, 1, 1))
        return cmy_mesh_look_up(mesh, id, &record, &state) ? COMMY_STATUS_NOT_FOUND : COMMY_STATUS_SUCCESS;
    if (give_back)
        cmy_checker_give_back(mesh->region, owner, record, state);
    return COMMY_STATUS_SUCCESS;
}
RUN(run_monitor)
{
    (void)reference;
    return offer(*mesh, call->config->service_id, false);
}
RUN(run_unmonitor)
{
    (void)reference;
    return offer(*mesh, call->config->service_id, true);
}
/* The version is asked for and waited on; the tracer announces a change when the victim is about to sleep. */
RUN(run_wait)
{
    uint64_t version = 0;
    (void)reference;
    commy_status_t status = commy_mesh_wait(*mesh, call->config->service_name, 0, 0, &version);
    return status == COMMY_STATUS_SUCCESS
               ? commy_mesh_wait(*mesh, call->config->service_name, version, 600000, &version)
               : status;
}
RUN(run_reap)
{
    UNUSED;
    return commy_mesh_reap(*mesh, NULL);
}

/* -------------------------------------------------------------------- judging */

bool sight_same(const sight_t *a, const sight_t *b)
{
    return memcmp(&a->info, &b->info, sizeof a->info) == 0 && a->text_hash == b->text_hash &&
           a->reference == b->reference && a->requests == b->requests && a->in_flight == b->in_flight &&
           a->lease_end == b->lease_end && a->open == b->open;
}

static verdict_kind_t unchanged(const sight_t *before, const sight_t *now)
{
    return (!before && !now) || (before && now && sight_same(before, now)) ? VERDICT_BEFORE : VERDICT_NEITHER;
}

#define JUDGE(function) static verdict_kind_t function(const call_t *call, const sight_t *before, const sight_t *now)

static bool is_text(const char *is, const char *should)
{
    return strcmp(is, should ? should : "") == 0;
}

/* A lease of the length that was asked for, from now on or a moment ago. */
static bool lease_is_fresh(const commy_service_config_t *config, const sight_t *now)
{
    uint64_t length = config->ttl_ms * 1000000, clock = now_ns();
    return now->lease_end <= clock + length && now->lease_end > clock + length / 2;
}

static bool is_as_registered(const commy_service_config_t *config, const sight_t *now)
{
    const commy_service_info_t *info = &now->info;
    const char *text = config->metadata ? config->metadata : "";
    bool good = is_text(info->name, config->service_name) && is_text(info->id, config->service_id) &&
                is_text(info->endpoint, config->endpoint) && is_text(info->version, config->version) &&
                is_text(info->zone, config->zone) && info->tag_count == config->tag_count &&
                info->weight == (config->weight ? config->weight : COMMY_DEFAULT_WEIGHT) &&
                info->status == COMMY_HEALTH_HEALTHY && info->admin == COMMY_ADMIN_ENABLED &&
                info->port == config->port && info->registered_at_ns != 0 && info->metadata_bytes == strlen(text) &&
                now->text_hash == XXH3_64bits(text, strlen(text)) && now->requests == 0 &&
                (config->ttl_ms ? lease_is_fresh(config, now) : now->lease_end == 0);
    for (uint32_t i = 0; good && i < config->tag_count; i++)
        good = is_text(info->tags[i], config->tags[i]);
    return good && is_text(info->node_id, config->flags & COMMY_SERVICE_DETACHED ? "" : "victim");
}

JUDGE(judge_register)
{
    if (unchanged(before, now) == VERDICT_BEFORE)
        return VERDICT_BEFORE;
    return !before && now && is_as_registered(call->config, now) ? VERDICT_AFTER : VERDICT_NEITHER;
}
JUDGE(judge_unregister)
{
    (void)call;
    return before && !now ? VERDICT_AFTER : unchanged(before, now);
}

/* Everything as before but for what the call sets. */
static verdict_kind_t judge_set(const sight_t *before, const sight_t *now, const sight_t *set)
{
    if (unchanged(before, now) == VERDICT_BEFORE)
        return VERDICT_BEFORE;
    return before && now && sight_same(set, now) ? VERDICT_AFTER : VERDICT_NEITHER;
}
#define JUDGE_SET(function, assignment)                                                                                \
    JUDGE(function)                                                                                                    \
    {                                                                                                                  \
        sight_t set = {0};                                                                                             \
        (void)call;                                                                                                    \
        if (before)                                                                                                    \
            set = *before;                                                                                             \
        assignment;                                                                                                    \
        return judge_set(before, now, &set);                                                                           \
    }
#define SET_TEXT(text) (set.text_hash = XXH3_64bits((text), strlen(text)), set.info.metadata_bytes = strlen(text))
JUDGE_SET(judge_weight, set.info.weight = 4321)
JUDGE_SET(judge_health, set.info.status = COMMY_HEALTH_DEGRADED)
JUDGE_SET(judge_admin, set.info.admin = COMMY_ADMIN_DRAINING)
JUDGE_SET(judge_metadata, SET_TEXT(new_text))
JUDGE_SET(judge_metadata_large, SET_TEXT(large_text))
JUDGE_SET(judge_metadata_none, SET_TEXT(""))

/* The lease ends later, and what was unhealthy for want of a heartbeat is healthy. */
JUDGE(judge_heartbeat)
{
    sight_t set = {0};
    if (!before || !now || now->lease_end <= before->lease_end || !lease_is_fresh(call->config, now))
        return unchanged(before, now);
    set = *before;
    set.lease_end = now->lease_end;
    set.info.status = COMMY_HEALTH_HEALTHY;
    return judge_set(before, now, &set);
}

/* The outcome and its latency are two adds: the average may be seen between them. */
JUDGE(judge_report)
{
    (void)call;
    if (!before || !now)
        return unchanged(before, now);
    sight_t set = *now;
    set.info.response_time_ms = before->info.response_time_ms;
    if (sight_same(before, &set))
        return VERDICT_BEFORE;
    set.requests--;
    return sight_same(before, &set) ? VERDICT_AFTER : VERDICT_NEITHER;
}

/* It is counted, and then the breaker opens or closes, or does not. */
JUDGE(judge_breaker)
{
    if (!before || !now)
        return unchanged(before, now);
    sight_t set = *now;
    set.open = before->open;
    verdict_kind_t verdict = judge_report(call, before, &set);
    return verdict == VERDICT_BEFORE && now->open != before->open ? VERDICT_NEITHER : verdict;
}
JUDGE_SET(judge_reset, set.open = 0)

JUDGE_SET(judge_begin, set.in_flight++)

/* In flight, counted, and not in flight any more; in flight for as long as nobody has read otherwise. */
JUDGE(judge_begin_and_end)
{
    if (!before || !now)
        return unchanged(before, now);
    sight_t set = *now;
    set.in_flight -= set.in_flight == before->in_flight + 1;
    return judge_report(call, before, &set);
}

/* It is as before, then of unknown health, then unhealthy. */
JUDGE(judge_monitor)
{
    (void)call;
    if (!before || !now)
        return unchanged(before, now);
    sight_t set = *before;
    set.info.status = COMMY_HEALTH_UNKNOWN;
    if (sight_same(&set, now))
        return VERDICT_BEFORE;
    set.info.status = COMMY_HEALTH_UNHEALTHY;
    return judge_set(before, now, &set);
}

/* ---------------------------------------------------------------------- table */

#define CHANGES (WANT_JOINED | WANT_SUBJECT)
/* Nothing of the subject changes, whether or not it was selected. */
JUDGE(judge_select)
{
    (void)call;
    return unchanged(before, now);
}

const call_t calls[] = {
    {"attach", 0, &with_lease, run_attach, NULL},
    {"join", CALL_BLOCKS | CALL_STORES, &with_lease, run_join, NULL},
    {"register", WANT_JOINED | CALL_STORES, &plain, run_register, judge_register},
    {"register, metadata", WANT_JOINED | CALL_STORES, &with_metadata, run_register, judge_register},
    {"register, detached", WANT_JOINED | CALL_STORES, &detached, run_register, judge_register},
    {"register, long texts", WANT_JOINED | CALL_STORES, &long_texts, run_register, judge_register},
    {"unregister", CHANGES | WANT_STATS | CALL_STORES, &with_lease, run_unregister, judge_unregister},
    {"set weight", CHANGES, &with_lease, run_weight, judge_weight},
    {"set health", CHANGES, &with_lease, run_health, judge_health},
    {"set admin", CHANGES, &with_lease, run_admin, judge_admin},
    {"metadata", CHANGES, &with_lease, run_metadata, judge_metadata},
    {"metadata, large", CHANGES, &with_lease, run_metadata_large, judge_metadata_large},
    {"metadata, none", CHANGES, &with_lease, run_metadata_none, judge_metadata_none},
    {"heartbeat", CHANGES, &with_lease, run_heartbeat, judge_heartbeat},
    {"heartbeat, late", CHANGES | WANT_LAPSED, &with_lease, run_heartbeat, judge_heartbeat},
    {"report, first", CHANGES, &with_lease, run_report, judge_report},
    {"report, later", CHANGES | WANT_STATS, &with_lease, run_report, judge_report},
    {"begin, first", CHANGES, &with_lease, run_begin_request, judge_begin},
    {"begin, later", CHANGES | WANT_STATS, &with_lease, run_begin_request, judge_begin},
    {"begin and end", CHANGES | WANT_STATS, &with_lease, run_begin_and_end, judge_begin_and_end},
    {"wait", CHANGES | CALL_SLEEPS, &with_lease, run_wait, NULL},
    {"reap", CHANGES | WANT_LEFT | CALL_CLEANS, &with_lease, run_reap, NULL},
    {"leave", CHANGES | WANT_STATS | WANT_OWN | CALL_BLOCKS | CALL_ENDS, &with_lease, run_leave, judge_unregister},
    {"detach", CHANGES | WANT_OWN | CALL_BLOCKS | CALL_ENDS, &with_lease, run_detach, judge_unregister},
    {"select", CHANGES, &with_lease, run_select, judge_select},
    {"report, opens", CHANGES | WANT_STATS | WANT_FAILED | CALL_OPENS, &with_lease, run_report_failure, judge_breaker},
    {"report, closes", CHANGES | WANT_STATS | WANT_TRIED | CALL_CLOSES, &with_lease, run_report, judge_breaker},
    {"report, tried in vain", CHANGES | WANT_STATS | WANT_TRIED | CALL_OPENS, &with_lease, run_report_failure,
     judge_breaker},
    {"select, tries", CHANGES | WANT_STATS | WANT_OPEN, &with_lease, run_select, judge_select},
    {"reset breaker", CHANGES | WANT_STATS | WANT_OPEN | CALL_CLOSES, &with_lease, run_reset, judge_reset},
    {"configure breakers", CHANGES | WANT_STATS | WANT_OPEN, &with_lease, run_configure, NULL},
    {"select, least", CHANGES | WANT_STATS, &with_lease, run_select_least, judge_select},
    {"monitor", CHANGES, &with_lease, run_monitor, judge_monitor},
    {"unmonitor", CHANGES, &with_lease, run_unmonitor, judge_monitor},
};
const size_t calls_count = sizeof calls / sizeof calls[0];

bool is_registering(const call_t *call)
{
    return call->run == run_register;
}

bool is_counting(const call_t *call)
{
    return call->run == run_report || call->run == run_report_failure || call->run == run_begin_and_end;
}

bool is_failing(const call_t *call)
{
    return call->run == run_report_failure;
}
