/*
 * What must hold of a region at a stop.
 *
 * Of the bytes as they stand, in a private copy:
 *
 *   as the victim is stopped   the call's subject is as it was before the call or as the call makes it, through every
 *                              query alike, and never the former again after the latter; every other service is as it
 *                              was
 *   as the victim is dead      what was its own is not returned by the next lookup; all else is
 *   after one reap             the same; the exact audit, for which nothing may be in flight, finds nothing; and a count
 *                              of its own, of records, bits, links and slots, finds nothing that nobody has
 *
 * and of another copy in which others act first: each operation comes to its end as it must (others.c), the victim then
 * dies, and the audit and the count are clean again.
 */
#include "kill.h"

property_t p_audit = {"after a reap the exact audit finds nothing", 0, 0};
property_t p_whole = {"every call is all or nothing at every instruction", 0, 0};
property_t p_unhurt = {"services that the call is not about stay as they were", 0, 0};
property_t p_no_leak = {"no record, block, bit or slot is left behind", 0, 0};
property_t p_dead_unseen = {"lookups return nothing of the dead, before any reap", 0, 0};
property_t p_result = {"the call returns what its starting state says", 0, 0};
property_t p_told = {"who waits is told of what a call has changed, and counters are exact", 0, 0};
property_t p_progress = {"others complete every operation while the victim is stopped", 0, 0};
property_t p_bound = {"each within its bound of instructions and time", 0, 0};
property_t p_watched = {"no store falls outside what is watched", 0, 0};
uint64_t longest_operation_ns;
size_t longest_operation;
bool first_only;

#define OPERATION_BOUND_NS 100000000ull /* of the processor's time */

bool run_holds(run_t *run, property_t *property, bool holds, const char *format, ...)
{
    char what[512];
    property->looked++;
    if (holds)
        return true;
    run->tally.violations++;
    if (property->violated++ >= SHOWN_VIOLATIONS)
        return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    printf("  violated: %s: %s from \"%s\", stop %" PRIu64 ", change %" PRIu64 ": %s\n", property->what,
           run->scene->call->name, run->scene->state, run->stop, run->change, what);
    if (first_only) {
        printf("FAILED %s\n0 passed, 1 failed\n", property->what);
        exit(1); /* victims end with their tracer */
    }
    return false;
}

/* -------------------------------------------------------------------- looking */

static void look_at(const commy_mesh_t *mesh, const commy_view_t *view, sight_t *sight)
{
    static char text[COMMY_LIMIT_METADATA_BYTES + 1];
    size_t bytes = 0;
    commy_service_stats_t stats = {0};
    memset(sight, 0, sizeof *sight);
    if (commy_view_info(mesh, view, &sight->info) != COMMY_STATUS_SUCCESS)
        return;
    commy_service_metadata(mesh, sight->info.id, text, sizeof text, &bytes);
    commy_service_stats(mesh, sight->info.id, &stats);
    sight->text_hash = XXH3_64bits(text, bytes);
    sight->reference = view->reference;
    sight->requests = stats.total_requests;
    sight->in_flight = stats.in_flight;
    sight->open = cmy_load64_relaxed(&cmy_service_at(mesh->region, view->_index)->condition) & CMY_CONDITION_OPEN;
    sight->lease_end = cmy_load64_relaxed(&cmy_service_at(mesh->region, view->_index)->lease) >> 1;
}

static void look(const commy_mesh_t *mesh, panorama_t *panorama)
{
    commy_iterator_t iterator;
    commy_view_t view;
    cmy_counts_t counts;
    panorama->count = 0;
    if (commy_iterate_all(mesh, &iterator) == COMMY_STATUS_SUCCESS)
        while (panorama->count < SIGHTS && commy_iterate_next(mesh, &iterator, &view))
            look_at(mesh, &view, &panorama->sight[panorama->count++]);
    cmy_counter_read_mesh(mesh->region, &counts);
    panorama->successes = counts.successes;
    panorama->failures = counts.failures;
    panorama->latency_ns = counts.latency_ns;
    panorama->participants = cmy_life_count(mesh->region);
}

static const sight_t *sight_of(const panorama_t *panorama, const char *id)
{
    for (uint32_t i = 0; i < panorama->count; i++)
        if (strcmp(panorama->sight[i].info.id, id) == 0)
            return &panorama->sight[i];
    return NULL;
}

static bool is_victims(const run_t *run, const sight_t *sight)
{
    return run->victim_pid != 0 && (pid_t)sight->info.owner_pid == run->victim_pid;
}

/* All ways to look agree on every service and on the subject's name. */
static void judge_queries(run_t *run, const commy_mesh_t *mesh, const panorama_t *now)
{
    const commy_service_config_t *subject = run->scene->call->config;
    commy_target_t target = {0};
    size_t count = 0, named = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        const sight_t *sight = &now->sight[i];
        named += strcmp(sight->info.name, subject->service_name) == 0;
        commy_status_t status = commy_service_find(mesh, sight->info.id, &target);
        run_holds(run, &p_whole,
                  status == COMMY_STATUS_SUCCESS && target.reference == sight->reference &&
                      strcmp(target.endpoint, sight->info.endpoint) == 0 && target.port == sight->info.port,
                  "'%s' is listed, and found by id it is not what was listed", sight->info.id);
    }
    if (!sight_of(now, subject->service_id))
        run_holds(run, &p_whole, commy_service_find(mesh, subject->service_id, &target) == COMMY_STATUS_NOT_FOUND,
                  "the subject is found by id, and not listed");
    commy_status_t status = commy_name_count(mesh, subject->service_name, &count);
    run_holds(run, &p_whole, status == COMMY_STATUS_SUCCESS && count == named,
              "discovering finds %zu instances of the subject's name, and listing %zu", count, named);
}

/* Those that the call is not about. Records do not move, so both lists are in one order. */
static void judge_bystanders(run_t *run, const panorama_t *now)
{
    const call_t *call = run->scene->call;
    const panorama_t *before = &run->before;
    uint32_t i = 0, j = 0;
    while (i < before->count || j < now->count) {
        const sight_t *was = i < before->count ? &before->sight[i] : NULL, *is = j < now->count ? &now->sight[j] : NULL;
        if (was && strcmp(was->info.id, call->config->service_id) == 0) {
            i++;
        } else if (is && strcmp(is->info.id, call->config->service_id) == 0) {
            j++;
        } else if (was && is && sight_same(was, is)) {
            i++;
            j++;
        } else if (was && call->flags & CALL_ENDS && is_victims(run, was)) {
            i++; /* whole, or gone */
        } else {
            run_holds(run, &p_unhurt, false, "'%s' is not what it was", was ? was->info.id : is->info.id);
            return;
        }
    }
    p_unhurt.looked++;
}

static void judge_totals(run_t *run, const panorama_t *now)
{
    const panorama_t *before = &run->before;
    bool reports = is_counting(run->scene->call), fails = is_failing(run->scene->call);
    uint64_t successes = now->successes - before->successes, failures = now->failures - before->failures;
    uint64_t latency = now->latency_ns - before->latency_ns, more = fails ? failures : successes;
    run_holds(run, &p_unhurt,
              more <= reports && (fails ? successes : failures) == 0 && (latency == 0 || (reports && latency == 1000)),
              "the mesh counts %" PRIu64 " successes, %" PRIu64 " failures and %" PRIu64 " ns more than before",
              successes, failures, latency);
}

static void judge_participants(run_t *run, const commy_mesh_t *mesh)
{
    commy_participant_t victim;
    if (run->victim_pid == 0 || !cmy_life_describe(mesh->region, SLOT_VICTIM, &victim))
        return;
    run_holds(run, &p_whole,
              strcmp(victim.node_id, "victim") == 0 && (pid_t)victim.pid == run->victim_pid &&
                  victim.listen_port == 4711 && victim.joined_at_ns != 0,
              "the victim is a participant, and not the one that joined: %s, process %u, port %u", victim.node_id,
              victim.pid, victim.listen_port);
}

/* With the victim stopped. */
static void judge_stopped(run_t *run, const commy_mesh_t *mesh, const panorama_t *now)
{
    const call_t *call = run->scene->call;
    const char *id = call->config->service_id;
    const sight_t *was = sight_of(&run->before, id), *is = sight_of(now, id);
    bool about = call->judge && !(call->flags & CALL_ENDS && was && !is_victims(run, was));
    verdict_kind_t verdict = about ? call->judge(call, was, is) : VERDICT_NEITHER;
    if (!about)
        verdict = (!was && !is) || (was && is && sight_same(was, is)) ? VERDICT_BEFORE : VERDICT_NEITHER;
    run_holds(run, &p_whole, verdict != VERDICT_NEITHER,
              "the subject is neither as before nor as the call makes it (%s)", is ? "found" : "not found");
    /* What looks alike before and after the call proves nothing either way. */
    bool alike = about && was && call->judge(call, was, was) == VERDICT_BEFORE && is && sight_same(was, is);
    run_holds(run, &p_whole, !(run->after && verdict == VERDICT_BEFORE && !alike), "the call was undone");
    run->after |= verdict == VERDICT_AFTER;
    judge_queries(run, mesh, now);
    judge_bystanders(run, now);
    judge_totals(run, now);
    judge_participants(run, mesh);
}

/* With the victim dead: what was seen, less what was its own. It had nothing in flight before the call. */
static void judge_dead(run_t *run, const panorama_t *seen, const panorama_t *now)
{
    uint32_t j = 0;
    for (uint32_t i = 0; i < seen->count; i++) {
        if (is_victims(run, &seen->sight[i]))
            continue;
        sight_t left = seen->sight[i];
        const sight_t *was = sight_of(&run->before, left.info.id);
        left.in_flight = was ? was->in_flight : 0;
        if (j >= now->count || !sight_same(&left, &now->sight[j])) {
            run_holds(run, &p_dead_unseen, false, "'%s' went with the victim, or changed", seen->sight[i].info.id);
            return;
        }
        j++;
    }
    run_holds(run, &p_dead_unseen, j == now->count, "'%s' outlives its owner",
              j < now->count ? now->sight[j].info.id : "");
    run_holds(run, &p_dead_unseen, now->participants == 2, "%u participants live", now->participants);
}

/* ------------------------------------------------------------------- auditing */

static void count_taken(const cmy_region_t *region, uint32_t taken[CMY_SLABS], uint32_t bits[CMY_SLABS])
{
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        uint32_t records = cmy_region_reserved_again(region, (cmy_slab_kind_t)kind);
        taken[kind] = bits[kind] = 0;
        for (uint32_t i = 0; i < records; i++) {
            const cmy_word64_t *state = cmy_state_at(region, (cmy_slab_kind_t)kind, i);
            taken[kind] += cmy_state_phase(cmy_load64_relaxed(state)) != CMY_FREE;
            bits[kind] += cmy_load64_relaxed(cmy_slab_map(region, (cmy_slab_kind_t)kind, i)) >> i % 64 & 1;
        }
    }
}

/* names_more: how many names and lines more than in the beginning may be there, without instances. bits_less: how many
 * records may be in use under a clear bit: a repair may clear the bit of a claimer that is stopped behind it. */
static void judge_leaks(run_t *run, const commy_mesh_t *mesh, uint32_t names_more, uint32_t bits_less,
                        uint32_t participants)
{
    const cmy_region_t *region = mesh->region;
    uint32_t taken[CMY_SLABS], bits[CMY_SLABS], live = 0, stats = 0, texts = 0, slots = 0;
    count_taken(region, taken, bits);
    for (uint32_t i = 0; cmy_region_holds(region, CMY_SERVICES, i); i++) {
        const cmy_service_shm_t *service = cmy_service_at(region, i);
        uint64_t state = cmy_load64_relaxed(&service->state);
        if (!cmy_service_visible(region, service, state))
            continue;
        live++;
        stats += cmy_link_names_block(cmy_load64_relaxed(&service->stats));
        texts += cmy_link_names_block(cmy_load64_relaxed(&cmy_cold_at(region, i)->metadata));
    }
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++)
        slots += cmy_life_phase(cmy_load64_relaxed(&region->life[slot].phase)) != CMY_SLOT_FREE;
    run_holds(run, &p_no_leak, taken[CMY_SERVICES] == live, "%u service records are taken for %u services",
              taken[CMY_SERVICES], live);
    run_holds(run, &p_no_leak, taken[CMY_STATS] == stats, "%u statistics blocks are taken, and %u linked",
              taken[CMY_STATS], stats);
    run_holds(run, &p_no_leak, taken[CMY_SMALL_TEXTS] + taken[CMY_LARGE_TEXTS] == texts,
              "%u texts are taken, and %u linked", taken[CMY_SMALL_TEXTS] + taken[CMY_LARGE_TEXTS], texts);
    for (int kind = CMY_GROUPS; kind <= CMY_LINES; kind++)
        run_holds(run, &p_no_leak, taken[kind] <= run->taken[kind] + names_more,
                  "%u groups or lines are taken, after %u", taken[kind], run->taken[kind]);
    for (int kind = 0; kind < CMY_SLABS; kind++)
        run_holds(run, &p_no_leak, bits[kind] <= taken[kind] && bits[kind] + bits_less >= taken[kind],
                  "slab %d: %u bits for %u records", kind, bits[kind], taken[kind]);
    run_holds(run, &p_no_leak, slots == participants, "%u participant slots are taken", slots);
}

static void say_finding(void *user, const char *where, const char *what)
{
    uint64_t *said = user;
    if (p_audit.violated < SHOWN_VIOLATIONS && ++*said <= 3)
        printf("  check: %s: %s\n", where, what);
}

/* The planted fault: the first committed bit is cleared. */
static void spoil(const cmy_region_t *region)
{
    for (uint32_t line = 0; line < region->layout.id_lines; line++) {
        uint64_t word = cmy_load64_relaxed(&region->ids[line].word);
        if (word & CMY_MAP_MASK) {
            cmy_store64_relaxed(&region->ids[line].word, word & (word - 1));
            return;
        }
    }
}

static void judge_audit(run_t *run, const commy_mesh_t *mesh)
{
    uint64_t findings = 0, said = 0;
    if (run->plant)
        spoil(mesh->region);
    commy_status_t status = cmy_check_region(mesh->region, true, say_finding, &said, &findings);
    run->tally.audits++;
    run_holds(run, &p_audit, status == COMMY_STATUS_SUCCESS && findings == 0, "%" PRIu64 " findings", findings);
}

static void reap_image(image_t *image)
{
    uint64_t phase = cmy_load64_relaxed(&image->region.life[SLOT_VICTIM].phase);
    if (cmy_life_phase(phase) == CMY_SLOT_JOINING)
        cmy_life_certify(&image->region, SLOT_VICTIM); /* the slow sign, which needs a system call */
    cmy_reap(&image->mesh.actor, false, NULL);
}

/* ------------------------------------------------------------------ judgements */

static panorama_t now, then;

/* Of the subject's name. */
static uint64_t version_of(const run_t *run, const unsigned char *bytes)
{
    const char *name = run->scene->call->config->service_name;
    uint64_t hash = XXH3_64bits_withSeed(name, strlen(name), run->image->region.seed);
    image_load(run->image, bytes);
    return cmy_wait_version(&run->image->region, &hash);
}

void run_begin(run_t *run, const unsigned char *bytes)
{
    uint32_t bits[CMY_SLABS];
    image_load(run->image, bytes);
    look(&run->image->mesh, &run->before);
    image_kill(run->image, SLOT_VICTIM);
    reap_image(run->image);
    count_taken(&run->image->region, run->taken, bits);
    run->after = false;
    run->version = version_of(run, bytes);
}

void judge_image(run_t *run, const unsigned char *bytes)
{
    image_t *image = run->image;
    image_load(image, bytes);
    look(&image->mesh, &now);
    judge_stopped(run, &image->mesh, &now);
    image_kill(image, SLOT_VICTIM);
    look(&image->mesh, &then);
    judge_dead(run, &now, &then);
    reap_image(image);
    look(&image->mesh, &then);
    judge_dead(run, &now, &then);
    judge_audit(run, &image->mesh);
    judge_leaks(run, &image->mesh, 1, 0, 2);
}

/* Time that this thread has been on a processor: others may have the machine to themselves for as long as they like. */
static uint64_t worked_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void judge_others(run_t *run, const unsigned char *bytes, uint32_t times)
{
    others_t others = {.call = run->scene->call};
    image_t *image = run->image;
    image_load(image, bytes);
    for (uint32_t turn = 1; turn <= times; turn++) {
        others.last = turn == times;
        for (size_t operation = 0; operation < operations_count; operation++) {
            const char *why = "";
            uint64_t began = worked_ns();
            bool good = other_operation(&image->mesh, &others, operation, &why);
            uint64_t took = worked_ns() - began;
            if (took > longest_operation_ns) {
                longest_operation_ns = took;
                longest_operation = operation;
            }
            run->tally.others++;
            run_holds(run, &p_progress, good, "%s: %s", operations[operation], why);
            run_holds(run, &p_bound, took < OPERATION_BOUND_NS, "%s took %" PRIu64 " ns", operations[operation], took);
        }
    }
    image_kill(image, SLOT_VICTIM);
    reap_image(image);
    judge_audit(run, &image->mesh);
    judge_leaks(run, &image->mesh, 2, 0, 2);
}

/* A copy of the real region was judged as it stood, the victim was killed, and the kernel has said so. */
void judge_real(run_t *run)
{
    const world_t *world = run->scene->world;
    run->tally.kills++;
    look(&run->image->mesh, &now);
    judge_stopped(run, &run->image->mesh, &now);
    look(world->mesh, &then);
    judge_dead(run, &now, &then);
    run_holds(run, &p_progress, commy_mesh_reap(world->mesh, NULL) == COMMY_STATUS_SUCCESS, "reap: %s",
              commy_last_error_message());
    look(world->mesh, &then);
    judge_dead(run, &now, &then);
    judge_audit(run, world->mesh);
    judge_leaks(run, world->mesh, 1, 0, 2);
}

/* Everybody but A and B is gone, and so may be what others took away. */
void judge_remains(run_t *run, const commy_mesh_t *mesh)
{
    judge_audit(run, mesh);
    judge_leaks(run, mesh, 2, 1, 2);
}

/* Of a victim that went on beside others, and is alive: what it was told is what they may have made of it. */
void judge_answer(run_t *run, int status, bool subject_was_taken)
{
    const scene_t *scene = run->scene;
    bool good = status == (int)scene->expected;
    /* Its subject was registered, drained, or taken away, by others meanwhile; or what filled the region was. */
    if (is_registering(scene->call))
        good = good || status == COMMY_STATUS_EXISTS || status == COMMY_STATUS_FULL ||
               (subject_was_taken && status == COMMY_STATUS_SUCCESS);
    else if (scene->call->judge && !(scene->call->flags & CALL_ENDS))
        good = good || (subject_was_taken && status == COMMY_STATUS_NOT_FOUND) || status == COMMY_STATUS_NO_HEALTHY ||
               status == COMMY_STATUS_CIRCUIT_OPEN;
    run_holds(run, &p_result, good, "beside others it returned %d (%s)", status, commy_status_string(status));
    /* While it lives: what two have made of the same thing goes with one of them. Its keeper is at work, so this is not
     * the exact audit. */
    uint64_t findings = 0, said = 0;
    cmy_check_region(scene->world->region, false, say_finding, &said, &findings);
    run_holds(run, &p_whole, findings == 0, "%" PRIu64 " findings beside others", findings);
}

/* What can be seen of the subject has changed, but for its counters. */
static bool shows(const sight_t *was, const sight_t *is)
{
    if (!was || !is)
        return was || is;
    sight_t set = *is;
    set.requests = was->requests;
    set.in_flight = was->in_flight;
    set.lease_end = was->lease_end;
    set.info.response_time_ms = was->info.response_time_ms;
    return !sight_same(was, &set);
}

/* Of a call that has returned and is not counted among the dead: announced if it shows, and counted once. */
static void judge_told(run_t *run, const unsigned char *bytes, int status)
{
    const call_t *call = run->scene->call;
    const sight_t *was = sight_of(&run->before, call->config->service_id);
    const sight_t *is = sight_of(&now, call->config->service_id);
    uint64_t reported = is_counting(call) && status == COMMY_STATUS_SUCCESS;
    bool fails = is_failing(call);
    uint64_t successes = now.successes - run->before.successes, failures = now.failures - run->before.failures;
    uint64_t latency = now.latency_ns - run->before.latency_ns;
    run_holds(run, &p_told, !shows(was, is) || version_of(run, bytes) != run->version,
              "the subject is not what it was, and the version of its name is");
    run_holds(
        run, &p_told,
        (fails ? failures : successes) == reported && latency == 1000 * reported && (fails ? successes : failures) == 0,
        "the mesh counts %" PRIu64 " successes, %" PRIu64 " failures and %" PRIu64 " ns more for %" PRIu64 " reports",
        successes, failures, latency, reported);
    if (was && is && call->flags & (CALL_OPENS | CALL_CLOSES) && status == COMMY_STATUS_SUCCESS)
        run_holds(run, &p_told, !is->open == !(call->flags & CALL_OPENS), "the subject's breaker is %s",
                  is->open ? "open" : "closed");
    if (was && is)
        run_holds(run, &p_told, is->requests == was->requests + reported,
                  "the subject has %" PRIu64 " requests after %" PRIu64, is->requests, was->requests);
}

/* The call has returned. */
void judge_end(run_t *run, const unsigned char *bytes, int status)
{
    const call_t *call = run->scene->call;
    image_t *image = run->image;
    uint32_t mine = 0;
    bool joined = call->flags & (WANT_JOINED | CALL_BLOCKS) && !(call->flags & CALL_ENDS);
    image_load(image, bytes);
    look(&image->mesh, &now);
    judge_stopped(run, &image->mesh, &now);
    run_holds(run, &p_result, status == (int)run->scene->expected, "it returned %d (%s), not %d", status,
              commy_status_string(status), (int)run->scene->expected);
    for (uint32_t i = 0; i < now.count; i++)
        mine += is_victims(run, &now.sight[i]);
    if (call->flags & CALL_ENDS)
        run_holds(run, &p_result, mine == 0, "%u services of it are left", mine);
    else if (call->judge) {
        const sight_t *was = sight_of(&run->before, call->config->service_id);
        const sight_t *is = sight_of(&now, call->config->service_id);
        bool alike = was && is && sight_same(was, is);
        run_holds(run, &p_result, run->after == (status == COMMY_STATUS_SUCCESS) || alike, "it returned %d, and %s",
                  status, run->after ? "has taken effect" : "has had no effect");
    }
    judge_told(run, bytes, status);
    /* Alive and at rest: a reap takes what the scene's dead left, nothing of the victim, and all is clean. After a call
     * that itself reaps it is so at once. */
    image_load(image, bytes);
    if (!(call->flags & CALL_CLEANS))
        reap_image(image);
    look(&image->mesh, &then);
    run_holds(run, &p_result, then.count == now.count, "a reap takes %u services of the living",
              now.count - then.count);
    judge_audit(run, &image->mesh);
    judge_leaks(run, &image->mesh, 1, 0, joined ? 3 : 2);
}
