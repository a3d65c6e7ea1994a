/*
 * The audit of services: what a record that is LIVE says of itself, and that everything around agrees.
 *
 * All that is looked at here is there before the record is LIVE and until after it is not: identity is written while
 * CLAIMED; the member cell is put and confirmed before the index is entered, and keeps its group, and its line, in use;
 * condition and links carry the record's version and are moved by CAS within it. So the record's state guards all.
 */
#include "registry/check.h"

#include "base/text.h"
#include "service/checker.h"
#include "stat/breaker.h"

#define WORDS(field) (sizeof(field) / sizeof((field)[0]))

typedef struct cmy_service_look {
    cmy_look_t look;
    const cmy_service_shm_t *hot;
    const cmy_service_cold_shm_t *cold;
    cmy_shape_t shape;
} cmy_service_look_t;

/* --------------------------------------------------------------- identity */

static void check_owner(const cmy_service_look_t *at)
{
    const cmy_look_t *look = &at->look;
    uint32_t owner = cmy_state_owner(look->seen);
    bool detached = at->shape.flags & CMY_SHAPE_DETACHED;
    if (owner == CMY_NOBODY && !detached)
        cmy_look_wrong(look, "is nobody's, but was not registered as detached");
    if (owner == CMY_NOBODY)
        return;
    if (detached)
        cmy_look_wrong(look, "was registered as detached, but names an owner");
    if (cmy_check_standing(look->region, owner) == CMY_STANDING_GONE)
        cmy_look_wrong(look, "belongs to participant slot %u in its life %u, which is not there: it is lost",
                       cmy_owner_slot(owner), cmy_owner_incarnation(owner));
}

static void check_lease(const cmy_service_look_t *at)
{
    uint64_t lease = cmy_load64_acquire(&at->hot->lease), ttl_ms = cmy_load64_relaxed(&at->cold->ttl_ms);
    if ((at->shape.flags & CMY_SHAPE_DETACHED) && lease == 0)
        cmy_look_wrong(&at->look, "is detached, but has no lease that would end it");
    else if ((lease == 0) != (ttl_ms == 0) || ttl_ms > COMMY_LIMIT_TTL_MS)
        cmy_look_wrong(&at->look, "has a TTL of %llu ms, but %s", (unsigned long long)ttl_ms,
                       lease == 0 ? "no lease" : "its lease says something else");
    else if (!(at->shape.flags & CMY_SHAPE_LEASED) != (lease == 0))
        cmy_look_wrong(&at->look, "%s, but its shape says otherwise", lease == 0 ? "has no lease" : "has a lease");
}

static void check_shape(const cmy_service_look_t *at)
{
    const cmy_look_t *look = &at->look;
    cmy_shape_t shape = at->shape;
    if (shape.id_bytes == 0 || shape.id_bytes > COMMY_LIMIT_ID_BYTES)
        cmy_look_wrong(look, "its id has %u bytes", shape.id_bytes);
    if (shape.name_bytes == 0 || shape.name_bytes > COMMY_LIMIT_NAME_BYTES)
        cmy_look_wrong(look, "its name has %u bytes", shape.name_bytes);
    if (shape.endpoint_bytes == 0)
        cmy_look_wrong(look, "its endpoint is empty");
    if (shape.tag_count > COMMY_LIMIT_TAGS)
        cmy_look_wrong(look, "it has %u tags", shape.tag_count);
    if ((shape.flags & ~(CMY_SHAPE_DETACHED | CMY_SHAPE_LEASED)) != 0 || shape.reserved != 0)
        cmy_look_wrong(look, "its shape has bits that mean nothing");
}

static void check_endpoint(const cmy_service_look_t *at)
{
    char text[sizeof at->cold->endpoint + 1];
    bool hot = at->shape.endpoint_bytes < CMY_HOT_ENDPOINT_BYTES, sound;
    if (hot)
        sound = cmy_check_text(&at->look, "endpoint", at->hot->endpoint, WORDS(at->hot->endpoint),
                               at->shape.endpoint_bytes, 1, false, text);
    else
        sound = cmy_check_text(&at->look, "endpoint", at->cold->endpoint, WORDS(at->cold->endpoint),
                               at->shape.endpoint_bytes, 1, false, text);
    if (sound && at->shape.port == 0 && strncmp(text, "unix:", 5) != 0)
        cmy_look_wrong(&at->look, "its port is 0, but its endpoint is not unix:/path");
}

static void check_details(const cmy_service_look_t *at)
{
    const cmy_look_t *look = &at->look;
    const cmy_service_cold_shm_t *cold = at->cold;
    char text[sizeof cold->name + 1];
    cmy_check_text(look, "name", cold->name, WORDS(cold->name), at->shape.name_bytes, 1, false, text);
    cmy_check_text(look, "version", cold->version, WORDS(cold->version), CMY_ANY_BYTES, 0, false, text);
    cmy_check_text(look, "zone", cold->zone, WORDS(cold->zone), CMY_ANY_BYTES, 0, false, text);
    for (uint32_t i = 0; i < at->shape.tag_count && i < COMMY_LIMIT_TAGS; i++)
        cmy_check_text(look, "tag", cold->tags[i], WORDS(cold->tags[i]), CMY_ANY_BYTES, 1, false, text);
}

/* Of a breaker that was seen open: its statistics are there and a turn was set before, which is of a time that comes. */
static void check_turn(const cmy_service_look_t *at)
{
    uint64_t now_ns = cmy_clock_monotonic_ns();
    const cmy_tally_shm_t *tally = cmy_tally_linked(at->look.region, at->look.index, at->look.seen);
    uint64_t turn = tally ? cmy_load64_acquire(&tally->breaker.turn) : 0;
    uint32_t owner = cmy_turn_owner(turn);
    if (turn == 0)
        cmy_look_wrong(&at->look, "its circuit breaker is open, and nobody's turn to try it comes");
    else if (owner != CMY_NOBODY && cmy_owner_slot(owner) >= COMMY_LIMIT_PARTICIPANTS)
        cmy_look_wrong(&at->look, "its circuit breaker is tried by a participant of slot %u", cmy_owner_slot(owner));
    else if (cmy_turn_tick(turn) > cmy_tick_after(now_ns, CMY_RULES_MOST_LONGEST_MS) + 1)
        cmy_look_wrong(&at->look, "its circuit breaker stays open longer than any does");
}

static void check_condition(const cmy_service_look_t *at)
{
    uint64_t condition = cmy_load64_acquire(&at->hot->condition);
    if (!cmy_condition_of(condition, at->look.seen))
        cmy_look_wrong(&at->look, "its condition word is of another life of the record");
    if (cmy_condition_admin(condition) > COMMY_ADMIN_MAINTENANCE)
        cmy_look_wrong(&at->look, "its condition word says something that cannot be set");
    if (!(condition & CMY_CONDITION_OPEN)) {
        if (cmy_condition_exponent(condition) != 0)
            cmy_look_wrong(&at->look, "its circuit breaker is closed, and was tried in vain %u times",
                           cmy_condition_exponent(condition));
        return;
    }
    check_turn(at);
}

/* Who checks it, and what came of it. A checker that is dead awaits another. */
static void check_checker(const cmy_service_look_t *at)
{
    const cmy_look_t *look = &at->look;
    uint64_t checker = cmy_load64_acquire(&at->cold->checker), checked = cmy_load64_acquire(&at->cold->checked);
    if (!cmy_checker_of(checker, look->seen) || cmy_state_phase(checker) != CMY_FREE)
        cmy_look_wrong(look, "its checker word is of another life of the record");
    else if (cmy_state_owner(checker) != CMY_NOBODY &&
             cmy_owner_slot(cmy_state_owner(checker)) >= COMMY_LIMIT_PARTICIPANTS)
        cmy_look_wrong(look, "its checker word names no participant");
    if (!cmy_checked_of(checked, look->seen))
        cmy_look_wrong(look, "its result of a health check is of another life of the record");
    else if (cmy_checked_run(checked) == 0 && checked != cmy_checked_none(look->seen))
        cmy_look_wrong(look, "its result of a health check says something, but of no check");
}

/* ------------------------------------------------------------------ index */

static const cmy_word64_t *id_words(const cmy_region_t *region, uint32_t record, uint32_t bytes)
{
    return bytes < CMY_HOT_ID_BYTES ? cmy_service_at(region, record)->id : cmy_cold_at(region, record)->id;
}

static bool same_id(const cmy_region_t *region, uint32_t one, uint32_t other)
{
    cmy_shape_t a = cmy_shape_unpack(cmy_load64_relaxed(&cmy_service_at(region, one)->shape));
    cmy_shape_t b = cmy_shape_unpack(cmy_load64_relaxed(&cmy_service_at(region, other)->shape));
    if (a.id_bytes != b.id_bytes || a.id_bytes > COMMY_LIMIT_ID_BYTES)
        return false;
    for (uint32_t i = 0; i < (a.id_bytes + 7u) / 8; i++)
        if (cmy_load64_relaxed(&id_words(region, one, a.id_bytes)[i]) !=
            cmy_load64_relaxed(&id_words(region, other, a.id_bytes)[i]))
            return false;
    return true;
}

static void check_id(const cmy_service_look_t *at)
{
    const cmy_look_t *look = &at->look;
    char id[sizeof at->cold->id + 1];
    uint32_t bytes = at->shape.id_bytes;
    if (bytes == 0 || bytes > COMMY_LIMIT_ID_BYTES)
        return; /* told with the shape */
    size_t words = bytes < CMY_HOT_ID_BYTES ? WORDS(at->hot->id) : WORDS(at->cold->id);
    uint64_t hash = cmy_load64_relaxed(&at->hot->hash);
    if (cmy_check_text(look, "id", id_words(look->region, look->index, bytes), words, bytes, 1, false, id) &&
        hash != cmy_key_hash(id, bytes, look->region->seed))
        cmy_look_wrong(look, "its hash is not its id's, so no lookup finds it");
    cmy_check_indexed(look, CMY_SERVICES, hash, same_id);
}

/* --------------------------------------------------------------- position */

/* The group that a position names is the one of the service's name, and in use. */
static void check_group(const cmy_service_look_t *at, uint32_t group)
{
    const cmy_look_t *look = &at->look;
    const cmy_group_shm_t *record = cmy_group_at(look->region, group);
    cmy_phase_t phase = cmy_state_phase(cmy_load64_acquire(&record->state));
    if (phase != CMY_LIVE && phase != CMY_CLOSING)
        cmy_look_wrong(look, "its group %u is not in use", group);
    for (uint32_t i = 0; i < WORDS(record->name); i++) {
        if (cmy_load64_relaxed(&record->name[i]) == cmy_load64_relaxed(&at->cold->name[i]))
            continue;
        cmy_look_wrong(look, "its group %u has another name", group);
        return;
    }
}

static void check_position(const cmy_service_look_t *at)
{
    const cmy_look_t *look = &at->look;
    const cmy_region_t *region = look->region;
    uint64_t position = cmy_load64_relaxed(&at->hot->position);
    uint32_t group = cmy_position_group(position), number = cmy_position_container(position);
    uint32_t cell = cmy_position_cell(position);
    cmy_container_t container;
    if (position != cmy_position(group, number, cell) || !cmy_region_holds(region, CMY_GROUPS, group) ||
        !cmy_container_open(region, number, 0, &container) || cell >= container.cells) {
        cmy_look_wrong(look, "its position makes no sense: group %u, container %u, cell %u", group, number, cell);
        return;
    }
    if (cmy_load32_acquire(&container.cell[cell]) != look->index + 1)
        cmy_look_wrong(look, "does not stand in the member cell that its position names: cell %u of %s %u", cell,
                       number & 1 ? "member line" : "group", number >> 1);
    uint32_t root = number & 1 ? cmy_check_root(look->audit, number >> 1) : number >> 1;
    if (root != group)
        cmy_look_wrong(look, "stands in member line %u, which does not belong to its group %u", number >> 1, group);
    check_group(at, group);
}

/* ------------------------------------------------------------------ links */

/* What a link names is taken, in the life that it names, by this service. Read twice: metadata may be replaced. */
static void check_link(const cmy_service_look_t *at, const cmy_word64_t *word, bool text)
{
    const cmy_look_t *look = &at->look;
    const char *what = text ? "metadata" : "statistics";
    uint64_t link = cmy_load64_acquire(word), block_state;
    if (!cmy_link_of(link, look->seen)) {
        cmy_look_wrong(look, "its link to %s is of another life of the record", what);
        return;
    }
    if (!cmy_link_names_block(link)) {
        if (link != cmy_link_none(look->seen))
            cmy_look_wrong(look, "its link to %s names no block, but a block's life", what);
        return;
    }
    if (!text && cmy_link_large(link)) {
        cmy_look_wrong(look, "its link to statistics names a text");
        return;
    }
    cmy_slab_kind_t kind = !text ? CMY_STATS : cmy_link_large(link) ? CMY_LARGE_TEXTS : CMY_SMALL_TEXTS;
    uint32_t number = cmy_link_block(link);
    if (!cmy_region_holds(look->region, kind, number)) {
        cmy_look_wrong(look, "its link to %s names block %u, which is not reserved", what, number);
        return;
    }
    const cmy_block_shm_t *block = cmy_block_follow(look->region, kind, link, &block_state);
    uint32_t home = block ? cmy_load32_relaxed(&block->home) : look->index;
    cmy_fence_acquire(); /* pairs with the CAS that took the block out of the link, before it was released */
    if (cmy_load64_relaxed(word) != link)
        return;
    if (!block)
        cmy_look_wrong(look, "its link to %s names block %u, which is not taken, or by somebody else", what, number);
    else if (home != look->index)
        cmy_look_wrong(look, "its link to %s names block %u, whose home is service %u", what, number, home);
}

/* ------------------------------------------------------------------- look */

static void check_live(const cmy_look_t *look)
{
    cmy_service_look_t at = {
        *look, cmy_service_at(look->region, look->index), cmy_cold_at(look->region, look->index), {0}};
    at.shape = cmy_shape_unpack(cmy_load64_relaxed(&at.hot->shape));
    check_owner(&at);
    check_lease(&at);
    check_shape(&at);
    check_endpoint(&at);
    check_details(&at);
    check_condition(&at);
    check_checker(&at);
    check_id(&at);
    check_position(&at);
    check_link(&at, &at.hot->stats, false);
    check_link(&at, &at.cold->metadata, true);
}

void cmy_check_service(cmy_audit_t *audit, uint32_t record)
{
    cmy_look_t look =
        cmy_look_begin(audit, CMY_SUBJECT_SERVICE, record, &cmy_service_at(audit->region, record)->state, ~0ull);
    switch (cmy_state_phase(look.seen)) {
    case CMY_FREE:
        cmy_check_free(&look, CMY_SERVICES);
        break;
    case CMY_CLAIMED:
    case CMY_DYING:
        cmy_check_held(&look);
        break;
    case CMY_LIVE:
        check_live(&look);
        break;
    default:
        cmy_check_no_phase(&look);
    }
}
