/*
 * Starting states. Each is built in a private copy by the library's own calls, made in the name of the participants that
 * are to have made them, and then by what the kernel would do to the dead among those.
 *
 *   empty             nothing but the call's subject, where it needs one
 *   one entry         a service of B's besides
 *   same home line    14 ids of B's on the subject's home line of the index, three of them with its tag, and six names
 *                     on the home line of its name: the subject's cell lies in the window's second half
 *   held, live        the subject's id is B's
 *   held, dead        it is that of an owner who is DEAD and was not reaped
 *   held, unnoticed   the same, and nobody has noticed the kernel's mark yet
 *   held, expired     it is a detached service whose lease has ended
 *   nearly full       room for one service when the call begins
 *   full              no room
 *   full of the dead  no room, but for what three services of a dead owner take
 *   mid-reap          a reaper died over the leftovers of a dead owner: a record at each stage of being finished, and
 *                     claimed records, blocks, cells and groups, and requests in flight of both
 *   group's cells     23 instances of the subject's name: one cell left in the group itself
 *   group full        24: whoever joins links the first line
 *   lines             60 instances in the group and two lines, and a dozen of them gone again
 */
#include "kill.h"
#include "stat/breaker.h"

const char *const states[] = {
    "empty",       "one entry", "same home line",   "held, live", "held, dead",    "held, unnoticed", "held, expired",
    "nearly full", "full",      "full of the dead", "mid-reap",   "group's cells", "group full",      "lines",
};
enum {
    EMPTY,
    ONE,
    SAME_HOME,
    HELD_LIVE,
    HELD_DEAD,
    HELD_UNNOTICED,
    HELD_EXPIRED,
    NEARLY_FULL,
    FULL,
    FULL_OF_DEAD,
    MID_REAP,
    GROUP_CELLS,
    GROUP_FULL,
    LINES,
    STATES
};
_Static_assert(sizeof states / sizeof states[0] == STATES, "a name for each");
const size_t states_count = STATES;

static void need(commy_status_t status)
{
    if (status == COMMY_STATUS_SUCCESS)
        return;
    printf("a starting state could not be built: %s\n", commy_last_error_message());
    exit(2);
}

/* Registers in the name of a participant. */
static uint64_t put(image_t *image, uint32_t slot, const commy_service_config_t *config)
{
    uint64_t reference = 0;
    image_act_as(image, slot);
    need(commy_service_register(&image->mesh, config, &reference));
    return reference;
}

static uint64_t put_one(image_t *image, uint32_t slot, const char *name, const char *id, const char *metadata)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = name,
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .metadata = metadata,
                                           .ttl_ms = 7200000,
                                           .port = 9090};
    return put(image, slot, &config);
}

static void put_many(image_t *image, uint32_t slot, const char *name, const char *stem, uint32_t count)
{
    char id[48];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%s-%u", stem, i);
        put_one(image, slot, name, id, i % 4 == 1 ? "{}" : NULL);
    }
}

static void report(image_t *image, uint64_t reference)
{
    need(commy_service_report(&image->mesh, reference, 5000, true));
    need(commy_service_report(&image->mesh, reference, 7000, false));
}

/* Begins requests in the name of a participant, and ends none. */
static void begin(image_t *image, uint32_t slot, uint64_t reference, uint32_t count)
{
    uint32_t record;
    uint64_t state;
    cmy_flight_t flight;
    image_act_as(image, slot);
    for (uint32_t i = 0; i < count && cmy_service_refer(&image->region, reference, &record, &state); i++)
        need(cmy_flight_begin(&image->mesh.actor, record, state, &flight));
}

static uint32_t record_of(uint64_t reference)
{
    return (uint32_t)(reference & 0x3fffffu) - 1;
}

/* A lease that has ended, and that nobody has declared expired. */
static void lapse(const image_t *image, uint64_t reference)
{
    uint64_t now = cmy_clock_monotonic_ns();
    cmy_store64_relaxed(&cmy_service_at(&image->region, record_of(reference))->lease, (now - 1000000) << 1);
    cmy_store64_relaxed(&image->region.header->next_expiry, (now / 1000000 - 1) << 16);
}

/* ------------------------------------------------------------- same home line */

/* Writes the next text of a stem whose home line is that of `like`, with its tag if so wanted. */
static void collide(const image_t *image, const char *like, uint32_t lines, const char *stem, bool same_tag,
                    uint32_t *number, char *out, size_t room)
{
    uint64_t seed = image->region.seed, hash = cmy_key_hash(like, strlen(like), seed), other;
    do {
        snprintf(out, room, "%s-%u", stem, (*number)++);
        other = cmy_key_hash(out, strlen(out), seed);
    } while (cmy_index_home(hash, lines) != cmy_index_home(other, lines) ||
             (same_tag && cmy_index_tag(hash) != cmy_index_tag(other)));
}

static void fill_home(image_t *image, const call_t *call)
{
    char id[48], name[48] = "";
    uint32_t ids = 0, names = 0;
    for (uint32_t i = 0; i < 14; i++) {
        collide(image, call->config->service_id, image->region.layout.id_lines, "id", i < 3, &ids, id, sizeof id);
        if (i < 6)
            collide(image, call->config->service_name, image->region.layout.name_lines, "name", i < 2, &names, name,
                    sizeof name);
        put_one(image, SLOT_B, name, id, NULL);
    }
}

/* ------------------------------------------------------------------- mid-reap */

/* Takes a record of the dead owner's through the first steps of finishing it (service/retire.c), by the dead reaper. */
static void finish_partly(image_t *image, uint64_t reference, int steps)
{
    cmy_region_t *region = &image->region;
    cmy_actor_t *actor = &image->mesh.actor;
    uint32_t record = record_of(reference);
    cmy_service_shm_t *hot = cmy_service_at(region, record);
    uint64_t hash = cmy_load64_relaxed(&hot->hash), state = cmy_load64_relaxed(&hot->state);

    image_act_as(image, SLOT_REAPER);
    uint64_t dying = cmy_state_with(state, actor->owner, CMY_DYING);
    cmy_store64_relaxed(&hot->state, dying);
    if (steps >= 1) {
        cmy_index_line_shm_t *home = &region->ids[cmy_index_home(hash, region->layout.id_lines)];
        uint64_t word = cmy_load64_relaxed(&home->word);
        for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++)
            if (cmy_load32_relaxed(cmy_window_cell(home, i)) == cmy_index_cell(hash, record))
                cmy_store64_relaxed(&home->word, (word & ~(1ull << i)) + (1ull << CMY_WINDOW_CELLS));
    }
    if (steps >= 2)
        cmy_index_remove(actor, CMY_SERVICES, hash, record);
    if (steps >= 3)
        cmy_group_leave(actor, record, cmy_load64_relaxed(&hot->position), true);
    if (steps >= 4) /* the statistics are out of their link, and not free yet */
        cmy_store64_relaxed(&hot->stats, cmy_link_none(cmy_state_released(dying)));
}

static void die_reaping(image_t *image, uint64_t other)
{
    uint64_t reference[5], state;
    uint32_t record;
    char id[32];
    image_seat(image, SLOT_DEAD);
    image_seat(image, SLOT_REAPER);
    begin(image, SLOT_DEAD, other, 3);
    begin(image, SLOT_REAPER, other, 1);
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "dying-%d", i);
        reference[i] = put_one(image, SLOT_DEAD, i % 2 ? "subjects" : "dying", id, small_text);
        report(image, reference[i]);
    }
    put_one(image, SLOT_DEAD, "dying", "left", small_text);
    for (int i = 0; i < 5; i++)
        finish_partly(image, reference[i], i);

    /* Both died while they registered, too: nothing more than claimed, or hidden in a free map. */
    for (uint32_t slot = SLOT_DEAD; slot <= SLOT_REAPER; slot++) {
        image_act_as(image, slot);
        need(cmy_slab_claim(&image->mesh.actor, CMY_SERVICES, &record, &state));
        need(cmy_slab_claim(&image->mesh.actor, CMY_GROUPS, &record, &state));
        need(cmy_block_claim(&image->mesh.actor, CMY_SMALL_TEXTS, 0, &record, &state));
        need(cmy_slab_claim(&image->mesh.actor, CMY_CELLS, &record, &state));
        need(cmy_slab_pick(&image->mesh.actor, CMY_LINES, &record, &state));
    }
    /* And the reaper had begun to take an empty group away. */
    put_one(image, SLOT_B, "deserted", "deserter", NULL);
    need(commy_service_unregister(&image->mesh, "deserter"));
    cmy_key_t key;
    cmy_key_make(&key, image->region.seed, "deserted", strlen("deserted"));
    image_act_as(image, SLOT_REAPER);
    if (cmy_group_find(&image->region, &key, &record, &state))
        cmy_store64_relaxed(&cmy_group_at(&image->region, record)->state,
                            cmy_state_with(state, image->mesh.actor.owner, CMY_DYING));
    image_bury(image, SLOT_DEAD, true);
    image_bury(image, SLOT_REAPER, false);
}

/* ----------------------------------------------------------------------- all */

/* Who has the subject; SLOTS_USED: nobody, since the call makes it. */
static uint32_t holder_of(const call_t *call, size_t state)
{
    switch (state) {
    case HELD_LIVE:
        return SLOT_B;
    case HELD_DEAD:
    case HELD_UNNOTICED:
        return SLOT_DEAD;
    default:
        if (state == HELD_EXPIRED)
            return SLOT_B;
        return call->flags & WANT_SUBJECT ? SLOT_VICTIM : SLOTS_USED;
    }
}

/* Has breakers in the mesh, and the subject's in the state that the call wants. */
static void put_breaker(const scene_t *scene, image_t *image)
{
    uint32_t record;
    uint64_t state, now = cmy_tick(cmy_clock_monotonic_ns());
    const cmy_rules_t rules = {.on = true,
                               .streak = 2,
                               .share = 90,
                               .minimum = 100,
                               .most = 100,
                               .window_ms = 1000000,
                               .open_ms = 3600000,
                               .longest_ms = 3600000};
    cmy_store64_relaxed(&image->region.header->breaker_times, cmy_times_pack(&rules));
    cmy_store64_relaxed(&image->region.header->breaker_rules, cmy_rules_pack(&rules));
    if (!cmy_service_refer(&image->region, scene->reference, &record, &state))
        return;
    cmy_tally_shm_t *tally = cmy_tally_linked(&image->region, record, state);
    cmy_word64_t *condition = &cmy_service_at(&image->region, record)->condition;
    cmy_store64_relaxed(&tally->breaker.streak, 1);
    if (scene->call->flags & WANT_FAILED)
        return;
    uint32_t victim = owner_in(scene->world->calm, scene->world, SLOT_VICTIM);
    cmy_store64_relaxed(&tally->breaker.turn,
                        scene->call->flags & WANT_TRIED ? cmy_turn(victim, now + 200000) : cmy_turn(CMY_NOBODY, now));
    cmy_store64_relaxed(condition, cmy_condition_turned(cmy_load64_relaxed(condition), true, 0));
}

static void put_subject(scene_t *scene, image_t *image, size_t state)
{
    uint32_t slot = holder_of(scene->call, state);
    commy_service_config_t config = *scene->call->config;
    if (slot == SLOTS_USED)
        return;
    if (state == HELD_LIVE || state == HELD_DEAD || state == HELD_UNNOTICED)
        config.flags = 0;
    if (state == HELD_EXPIRED) {
        config.flags = COMMY_SERVICE_DETACHED;
        config.ttl_ms = 3600000;
    }
    scene->reference = put(image, slot, &config);
    if (scene->call->flags & WANT_STATS)
        report(image, scene->reference);
    if (scene->call->flags & (WANT_FAILED | WANT_OPEN | WANT_TRIED))
        put_breaker(scene, image);
    if (state == HELD_EXPIRED || scene->call->flags & WANT_LAPSED)
        lapse(image, scene->reference);
}

static uint32_t services_in(const image_t *image)
{
    uint32_t count = 0;
    for (uint32_t i = 0; cmy_region_holds(&image->region, CMY_SERVICES, i); i++)
        count += cmy_state_phase(cmy_load64_relaxed(&cmy_service_at(&image->region, i)->state)) != CMY_FREE;
    return count;
}

static void fill_up(image_t *image, uint32_t to)
{
    char id[32], name[32];
    for (uint32_t i = services_in(image); i < to; i++) {
        snprintf(id, sizeof id, "filler-%u", i);
        snprintf(name, sizeof name, "fillers-%u", i % 5);
        put_one(image, SLOT_B, name, id, i % 3 ? NULL : small_text);
    }
}

static void put_bystanders(image_t *image, const call_t *call, size_t state)
{
    const char *name = call->config->service_name;
    char id[32];
    uint64_t other = 0;
    if (state != EMPTY) {
        other = put_one(image, SLOT_B, "others", "other", small_text);
        report(image, other);
        begin(image, SLOT_B, other, 2);
    }
    /* Whoever comes next gets records, blocks and cells that had another life. */
    report(image, put_one(image, SLOT_B, "others", "past", large_text));
    need(commy_service_unregister(&image->mesh, "past"));
    if (state == SAME_HOME)
        fill_home(image, call);
    if (state == MID_REAP)
        die_reaping(image, other);
    if (state == GROUP_CELLS || state == GROUP_FULL)
        put_many(image, SLOT_B, name, "member", state == GROUP_CELLS ? 22 : 23);
    if (state == LINES) {
        put_many(image, SLOT_B, name, "member", 59);
        for (uint32_t i = 5; i < 59; i += 5) {
            snprintf(id, sizeof id, "member-%u", i);
            need(commy_service_unregister(&image->mesh, id));
        }
    }
    if ((state == GROUP_CELLS || state == GROUP_FULL) && !(call->flags & WANT_SUBJECT))
        put_many(image, SLOT_B, name, "further", 1);
    bool room = state != SAME_HOME && state != MID_REAP;
    if (call->flags & WANT_OWN && room) {
        put_one(image, SLOT_VICTIM, "own", "own-1", small_text);
        report(image, put_one(image, SLOT_VICTIM, name, "own-2", large_text));
    }
    if ((call->flags & WANT_LEFT && room) || state == FULL_OF_DEAD) {
        image_seat(image, SLOT_DEAD);
        begin(image, SLOT_DEAD, other, 3);
        report(image, put_one(image, SLOT_DEAD, "left", "left-1", small_text));
        put_one(image, SLOT_DEAD, name, "left-2", large_text);
        put_one(image, SLOT_DEAD, "left", "left-3", NULL);
    }
}

static commy_status_t expected_of(const call_t *call, size_t state)
{
    bool subject_lives = state != HELD_DEAD && state != HELD_UNNOTICED && state != HELD_EXPIRED;
    if (is_registering(call))
        return state == HELD_LIVE ? COMMY_STATUS_EXISTS : state == FULL ? COMMY_STATUS_FULL : COMMY_STATUS_SUCCESS;
    return !call->judge || call->flags & CALL_ENDS || subject_lives ? COMMY_STATUS_SUCCESS : COMMY_STATUS_NOT_FOUND;
}

void scene_make(scene_t *scene, const call_t *call, size_t state)
{
    const world_t *world = &worlds[state >= GROUP_CELLS];
    image_t image;
    *scene = (scene_t){.call = call, .state = states[state], .world = world, .expected = expected_of(call, state)};
    image_open(&image, world);
    image_seat(&image, SLOT_VICTIM);
    if (state == HELD_DEAD || state == HELD_UNNOTICED)
        image_seat(&image, SLOT_DEAD);
    put_subject(scene, &image, state);
    put_bystanders(&image, call, state);
    if (state == NEARLY_FULL)
        fill_up(&image, world->capacity - (call->flags & WANT_SUBJECT ? 0 : 1));
    if (state == FULL || state == FULL_OF_DEAD)
        fill_up(&image, world->capacity);
    if (cmy_life_phase(cmy_load64_relaxed(&image.region.life[SLOT_DEAD].phase)) == CMY_SLOT_ARMED)
        if (state != MID_REAP)
            image_bury(&image, SLOT_DEAD, state != HELD_UNNOTICED);

    /* The victim itself takes its place when it joins. */
    uint64_t vacant = (uint64_t)cmy_owner_incarnation(owner_in(world->calm, world, SLOT_VICTIM));
    cmy_store64_relaxed(&image.region.life[SLOT_VICTIM].phase, cmy_life_word(CMY_SLOT_FREE, 0, (uint32_t)vacant, 0));
    scene->bytes = malloc(world->bytes);
    if (!scene->bytes)
        exit(2);
    memcpy(scene->bytes, image.bytes, world->bytes);
    image_close(&image);
}

void scene_free(scene_t *scene)
{
    free(scene->bytes);
    scene->bytes = NULL;
}
