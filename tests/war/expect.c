/*
 * What the log lets anybody expect of the registry, while its writers and the killer go on.
 *
 * a. doom and word are read, the registry is asked, word and doom are read again. Doom is raised before a process may be
 *    dead, so that an even and unchanged one means: its process was alive throughout.
 * b. Both words HELD or UPDATING, of one registration: it was registered throughout, so it is found. Equal words in HELD:
 *    nothing was changed meanwhile, so that every byte is known. Equal words in NONE: nothing is found.
 * c. A detached service depends on no process: between two looks at its entry the lease decides. `lasts_until` was
 *    reckoned from a clock read before the call that set it, `ends_by` from one read after it.
 *    An owned one is unhealthy from the end of its lease to the next heartbeat, and what it was said to be otherwise.
 * d. Whatever changes meanwhile: what is found under an id was one registration of it. The port tells which, and that
 *    tells the rest.
 */
#include "war.h"

#define LATE_REPORTS 8u

/* ------------------------------------------------------------------ any answer */

uint32_t war_registration_of(uint32_t e, uint16_t port)
{
    uint32_t last = war_registration(atomic_load(&war_entry(e)->word));
    return last - (last + 1000 + 50000 - port) % 50000;
}

/* What the registration that a port belongs to says. */
static void describe_by_port(uint32_t e, uint16_t port, war_service_t *service)
{
    uint32_t kind = atomic_load(&war->place[e / ENTRIES].kind);
    war_describe(e, war_registration_of(e, port), kind == WAR_WRAPPER || kind == WAR_SCRIPT ? WAR_PLAIN : 0, service);
}

void war_expect_whole(uint32_t e, const commy_service_info_t *info)
{
    static _Thread_local war_service_t service;
    describe_by_port(e, info->port, &service);
    bool whole = strcmp(info->id, service.id) == 0 && strcmp(info->name, war_name(service.name)) == 0 &&
                 strcmp(info->endpoint, service.endpoint) == 0 && strcmp(info->version, service.version) == 0 &&
                 strcmp(info->zone, service.zone) == 0 && info->tag_count == service.tag_count;
    for (uint32_t i = 0; whole && i < service.tag_count; i++)
        whole = strcmp(info->tags[i], service.tags[i]) == 0;
    war_hold(WAR_WHOLE, whole, "entry %u: id %s, name %s, endpoint %s, port %u, version %s, zone %s, %u tags", e,
             info->id, info->name, info->endpoint, info->port, info->version, info->zone, info->tag_count);
}

void war_expect_target(uint32_t e, const commy_target_t *target)
{
    static _Thread_local war_service_t service;
    describe_by_port(e, target->port, &service);
    war_hold(WAR_WHOLE, target->port == service.port && strcmp(target->endpoint, service.endpoint) == 0,
             "entry %u: endpoint %s, port %u", e, target->endpoint, target->port);
}

/* ---------------------------------------------------------------- one entry */

typedef struct asked {
    commy_status_t status, text_status, stats_status;
    uint32_t pid; /* of the place's process, as it was before */
    uint64_t ended;
    commy_service_info_t info;
    commy_service_stats_t stats;
    size_t bytes;
    char text[1200];
} asked_t;

static bool same_text(const asked_t *asked, uint32_t entry, uint64_t content)
{
    char text[1024];
    size_t bytes = war_metadata(entry, content, text);
    return asked->text_status == COMMY_STATUS_SUCCESS && asked->bytes == bytes && strcmp(asked->text, text) == 0;
}

/* Null, or which part is not as the log has it. */
static const char *other_content(const asked_t *asked, uint32_t entry, uint64_t word, uint64_t content, bool deep)
{
    war_service_t service;
    char text[1024];
    const commy_service_info_t *info = &asked->info;
    bool detached = content & WAR_DETACHED, leased = atomic_load(&war_entry(entry)->ttl_ns) != 0;
    war_describe(entry, war_registration(word), content, &service);
    if (strcmp(info->id, service.id) != 0)
        return "id";
    if (strcmp(info->name, war_name(service.name)) != 0)
        return "name";
    if (strcmp(info->endpoint, service.endpoint) != 0 || info->port != service.port)
        return "endpoint";
    if (strcmp(info->version, service.version) != 0 || strcmp(info->zone, service.zone) != 0)
        return "version or zone";
    if (info->tag_count != service.tag_count)
        return "number of tags";
    for (uint32_t i = 0; i < service.tag_count; i++)
        if (strcmp(info->tags[i], service.tags[i]) != 0)
            return "tag";
    if (info->weight != (content & 0xffff))
        return "weight";
    if (info->admin != (int32_t)(content >> 18 & 3) || (!leased && info->status != (int32_t)(content >> 16 & 3)))
        return "health or admin state";
    if (info->owner_pid != (detached ? 0 : asked->pid))
        return "owner";
    if (info->metadata_bytes != war_metadata(entry, content, text))
        return "length of the metadata";
    if (deep && !same_text(asked, entry, content))
        return "metadata";
    return NULL;
}

static void ask(const commy_mesh_t *mesh, uint32_t entry, bool deep, asked_t *asked)
{
    char id[128];
    war_id(entry, id);
    memset(&asked->info, 0, sizeof asked->info);
    asked->status = commy_service_get(mesh, id, &asked->info);
    asked->ended = now_ns();
    if (asked->status == COMMY_STATUS_SUCCESS)
        war_expect_whole(entry, &asked->info);
    if (!deep)
        return;
    asked->bytes = 0;
    asked->text_status = commy_service_metadata(mesh, id, asked->text, sizeof asked->text, &asked->bytes);
    asked->stats_status = commy_service_stats(mesh, id, &asked->stats);
}

static void expect_detached(const asked_t *asked, uint32_t e, uint64_t word, uint64_t began, uint64_t lasts,
                            uint64_t by)
{
    const war_entry_t *entry = war_entry(e);
    uint64_t ended = now_ns(), again = atomic_load(&entry->word);
    if (!war_is_in(word) || !war_is_in(again) || war_registration(word) != war_registration(again))
        return;
    if (ended < lasts)
        war_hold(WAR_LEASE, asked->status == COMMY_STATUS_SUCCESS,
                 "entry %u is not found %" PRIu64 " us before its end", e, (lasts - ended) / 1000);
    if (began > by && again == word)
        war_hold(WAR_LEASE, asked->status == COMMY_STATUS_NOT_FOUND, "entry %u is found %" PRIu64 " us after its end",
                 e, (began - by) / 1000);
}

/*
 * At least what was acknowledged before the look; at most what was begun before its end, and a few: the report of one that
 * was stopped in it for so long that its service is gone counts in whichever has the block by then. How many reports
 * strangers begin is not written down.
 */
static void expect_counts(const asked_t *asked, uint32_t e, uint32_t registration, uint64_t reports)
{
    uint64_t tried = atomic_load(&war_entry(e)->tried), seen = asked->stats.total_requests;
    if (reports >> 32 == registration)
        war_hold(WAR_COUNTED, seen >= (reports & 0xffffffffu),
                 "entry %u has %" PRIu64 " requests, %" PRIu64 " were acknowledged", e, seen, reports & 0xffffffffu);
    if (tried >> 32 == registration && !(atomic_load(&war_entry(e)->content) & WAR_PLAIN))
        war_hold(WAR_COUNTED, seen <= (tried & 0xffffffffu) + LATE_REPORTS,
                 "entry %u has %" PRIu64 " requests, %" PRIu64 " were begun", e, seen, tried & 0xffffffffu);
}

/* Of an owned service with a lease, at rest throughout. */
static void expect_health(const asked_t *asked, uint32_t e, uint64_t content, uint64_t began, uint64_t lasts,
                          uint64_t by)
{
    uint64_t ended = asked->ended;
    if (ended < lasts || began > by)
        war_hold(WAR_LAPSED,
                 asked->info.status == (ended < lasts ? (int32_t)(content >> 16 & 3) : COMMY_HEALTH_UNHEALTHY),
                 "entry %u is of health %d %" PRIu64 " us %s its end, and was set %d", e, (int)asked->info.status,
                 (ended < lasts ? lasts - ended : began - by) / 1000, ended < lasts ? "before" : "after",
                 (int)(content >> 16 & 3));
}

void war_expect_entry(const commy_mesh_t *mesh, uint32_t e, bool deep)
{
    static _Thread_local asked_t asked;
    const war_entry_t *entry = war_entry(e);
    const war_place_t *place = &war->place[e / ENTRIES];
    uint32_t doom = atomic_load(&place->doom);
    uint64_t word = atomic_load(&entry->word), content = atomic_load(&entry->content);
    uint64_t lasts = atomic_load(&entry->lasts_until_ns), by = atomic_load(&entry->ends_by_ns);
    uint64_t reports = atomic_load(&entry->reports), began = now_ns();
    if (war_state(word) == WAR_ENTERING || war_state(word) == WAR_LEAVING)
        return;
    asked.pid = (uint32_t)atomic_load(&place->pid);
    ask(mesh, e, deep, &asked);
    if (war_is_in(word) && (content & WAR_DETACHED)) {
        expect_detached(&asked, e, word, began, lasts, by);
        return;
    }
    uint64_t again = atomic_load(&entry->word);
    if (doom % 2 == 1 || atomic_load(&place->doom) != doom || war_registration(again) != war_registration(word))
        return;
    if (war_state(word) == WAR_NONE && again == word) {
        war_hold(WAR_ABSENT, asked.status == COMMY_STATUS_NOT_FOUND, "entry %u, word %" PRIx64 ", is found: code %d", e,
                 word, (int)asked.status);
        return;
    }
    if (!war_is_in(word) || !war_is_in(again))
        return;
    if (!war_hold(WAR_FOUND, asked.status == COMMY_STATUS_SUCCESS, "entry %u, word %" PRIx64 ": %s", e, word,
                  commy_last_error_message()))
        return;
    if (deep && asked.stats_status == COMMY_STATUS_SUCCESS)
        expect_counts(&asked, e, war_registration(word), reports);
    if (again != word || war_state(word) != WAR_HELD)
        return;
    if (atomic_load(&entry->ttl_ns) != 0)
        expect_health(&asked, e, content, began, lasts, by);
    const char *other = other_content(&asked, e, word, content, deep);
    war_hold(WAR_CONTENT, other == NULL, "entry %u, word %" PRIx64 ": %s", e, word, other);
}

/* ---------------------------------------------------------------- one name */

/* Whether the view's service was there while its id was copied. */
static bool id_of(const commy_mesh_t *mesh, const commy_view_t *view, char id[128])
{
    size_t bytes = view->id_bytes < 127 ? view->id_bytes : 127;
    memcpy(id, view->id, bytes);
    id[bytes] = '\0';
    return commy_view_valid(mesh, view);
}

typedef struct seen {
    uint64_t word[ALL], content[ALL];
    uint32_t doom[PLACES];
    uint8_t times[ALL];
    commy_service_info_t info[ALL];
} seen_t;

/* Lists a name's instances, in one of the two ways there are, or walks over all. Counts how often each entry comes. */
static void list(const commy_mesh_t *mesh, uint32_t name, seen_t *seen)
{
    commy_iterator_t walk;
    commy_view_t view;
    char id[128];
    uint32_t e;
    size_t count = 0;
    if (name != WAR_WALK && name % 2) {
        commy_name_discover(mesh, war_name(name), seen->info, ALL, &count);
        for (size_t i = 0; i < count && i < ALL; i++) {
            if (!war_entry_of(seen->info[i].id, &e))
                continue;
            war_expect_whole(e, &seen->info[i]);
            seen->times[e]++;
        }
        return;
    }
    if (name == WAR_WALK)
        commy_iterate_all(mesh, &walk);
    else
        commy_iterate_name(mesh, war_name(name), &walk);
    while (commy_iterate_next(mesh, &walk, &view))
        if (id_of(mesh, &view, id) && war_entry_of(id, &e))
            seen->times[e]++;
}

void war_expect_name(const commy_mesh_t *mesh, uint32_t name)
{
    static _Thread_local seen_t *seen;
    if (!seen && !(seen = malloc(sizeof *seen)))
        return;
    memset(seen->times, 0, sizeof seen->times);
    for (uint32_t p = 0; p < PLACES; p++)
        seen->doom[p] = atomic_load(&war->place[p].doom);
    for (uint32_t e = 0; e < ALL; e++) {
        seen->word[e] = atomic_load(&war_entry(e)->word);
        seen->content[e] = atomic_load(&war_entry(e)->content);
    }
    list(mesh, name, seen);
    for (uint32_t e = 0; e < ALL; e++) {
        uint64_t word = seen->word[e], again = atomic_load(&war_entry(e)->word);
        uint32_t doom = seen->doom[e / ENTRIES], registration = war_registration(word);
        if (war_registration(again) != registration || (seen->content[e] & WAR_DETACHED) || doom % 2 == 1 ||
            atomic_load(&war->place[e / ENTRIES].doom) != doom)
            continue;
        if (war_is_in(word) && war_is_in(again)) {
            uint32_t wanted = name == WAR_WALK || war_name_of(e, registration) == name;
            war_hold(WAR_ONCE, seen->times[e] == wanted, "entry %u, word %" PRIx64 ", comes %u times in %s, not %u", e,
                     word, seen->times[e], name == WAR_WALK ? "all" : war_name(name), wanted);
        } else if (war_state(word) == WAR_NONE && again == word) {
            war_hold(WAR_ABSENT, seen->times[e] == 0, "entry %u, word %" PRIx64 ", is listed in %s", e, word,
                     name == WAR_WALK ? "all" : war_name(name));
        }
    }
}

/* ------------------------------------------------------------------- digests */

static uint64_t hash(uint64_t seed, const void *bytes, size_t count)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < count; i++)
        seed = (seed ^ byte[i]) * 0x100000001b3u; /* FNV-1a */
    return seed;
}

static uint64_t digest_of(const commy_service_info_t *info, uint64_t reference)
{
    uint32_t e;
    if (war_entry_of(info->id, &e))
        war_expect_whole(e, info);
    const uint64_t numbers[] = {info->weight,    (uint64_t)info->status, (uint64_t)info->admin,
                                info->owner_pid, info->registered_at_ns, info->metadata_bytes,
                                reference};
    return hash(hash(0xcbf29ce484222325u, info->id, strlen(info->id)), numbers, sizeof numbers) | 1;
}

uint64_t war_digest(const commy_mesh_t *mesh, const char *name)
{
    commy_iterator_t walk;
    commy_view_t view;
    commy_service_info_t info;
    uint64_t sum = 0;
    if ((name ? commy_iterate_name(mesh, name, &walk) : commy_iterate_all(mesh, &walk)) != COMMY_STATUS_SUCCESS)
        return 0;
    while (commy_iterate_next(mesh, &walk, &view)) {
        if (commy_view_info(mesh, &view, &info) != COMMY_STATUS_SUCCESS)
            continue;
        sum += digest_of(&info, view.reference);
    }
    return sum;
}

uint64_t war_digest_watched(const commy_mesh_t *mesh, uint64_t watched)
{
    char id[128];
    commy_service_info_t info;
    if (watched <= NAMES)
        return war_digest(mesh, watched ? war_name((uint32_t)watched - 1) : NULL);
    war_id((uint32_t)watched - NAMES - 1, id);
    return commy_service_get(mesh, id, &info) == COMMY_STATUS_SUCCESS ? digest_of(&info, 0) : 0;
}
