/* Groups as records: finding, making, collecting and finishing them; see group.h for what holds. */
#include "group/group.h"

#include "base/error.h"
#include "base/text.h"
#include "group/internal.h"
#include "life/life.h"

bool cmy_container_follow(const cmy_region_t *region, cmy_container_t *container)
{
    uint64_t next = cmy_load64_seq_cst(container->next); /* seq_cst for the collector; see group.h, c */
    if (cmy_next_kind(next) != CMY_NEXT_LINE || !cmy_next_owned(next, container->state))
        return false;
    cmy_container_t line;
    if (!cmy_container_open(region, cmy_container_of_line(cmy_next_line(next)), 0, &line))
        return false;
    line.state = cmy_load64_seq_cst(line.state_word);
    if (!cmy_line_is_live(line.state, next, container->number))
        return false;
    *container = line;
    return true;
}

/* ------------------------------------------------------------ as the index of names sees a group */

static bool name_matches(const cmy_region_t *region, uint32_t record, const cmy_key_t *key)
{
    const cmy_group_shm_t *group = cmy_group_at(region, record);
    if (!cmy_key_equal(key, group->name))
        return false;
    /* A longer name may start like it: what follows has to be NUL. */
    return (cmy_load64_relaxed(&group->name[key->bytes / 8]) >> 8 * (key->bytes % 8) & 0xff) == 0;
}

/* Groups are nobody's once they are LIVE; before that they belong to who makes them. */
static bool maker_gone(cmy_region_t *region, uint32_t record, uint64_t state)
{
    (void)record;
    return cmy_state_phase(state) == CMY_CLAIMED && cmy_life_dead(region, cmy_state_owner(state));
}

static uint64_t published_group(const cmy_region_t *region, uint32_t record, uint64_t claimed)
{
    (void)region;
    (void)record;
    return cmy_state_with(claimed, 0, CMY_LIVE);
}

static void helped_group(cmy_actor_t *actor, uint32_t record)
{
    (void)actor;
    (void)record; /* nobody waits for an empty group */
}

static void finish_group(cmy_actor_t *actor, uint32_t record, uint64_t state, bool live)
{
    (void)live;
    cmy_group_finish(actor, record, state);
}

static const cmy_index_kind_t names = {
    .slab = CMY_GROUPS,
    .matches = name_matches,
    .gone = maker_gone,
    .published = published_group,
    .helped = helped_group,
    .finish = finish_group,
};

bool cmy_group_find(const cmy_region_t *region, const cmy_key_t *name, uint32_t *group, uint64_t *state)
{
    cmy_probe_t probe;
    cmy_probe_begin(&probe, region->names, region->layout.name_lines, name->hash);
    while (cmy_probe_next(&probe, group)) {
        if (!cmy_region_holds(region, CMY_GROUPS, *group))
            continue;
        const cmy_word64_t *word = &cmy_group_at(region, *group)->state;
        *state = cmy_load64_acquire(word);
        if (!cmy_group_in_use(*state) || !name_matches(region, *group, name))
            continue;
        cmy_fence_acquire();
        uint64_t again = cmy_load64_relaxed(word);
        if (cmy_group_in_use(again) && cmy_state_version(again) == cmy_state_version(*state))
            return true;
    }
    return false;
}

static commy_status_t full(cmy_region_t *region, const char *what, uint32_t limit)
{
    return cmy_fail(COMMY_STATUS_FULL, "region %s/%s is full: %u of %u %s; create one with a larger --capacity",
                    region->dir, region->mesh, limit, limit, what);
}

/* Gives a group that could not be entered back. */
static void withdraw(cmy_actor_t *actor, uint32_t group, uint64_t claimed)
{
    uint64_t dying = cmy_state_with(claimed, actor->owner, CMY_DYING);
    if (cmy_swap64_acq_rel(&cmy_group_at(actor->region, group)->state, claimed, dying))
        cmy_group_finish(actor, group, dying);
}

static commy_status_t make_once(cmy_actor_t *actor, const cmy_key_t *name, uint32_t *group, uint64_t *state)
{
    uint64_t claimed;
    commy_status_t status = cmy_slab_claim(actor, CMY_GROUPS, group, &claimed);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_group_shm_t *record = cmy_group_at(actor->region, *group);
    cmy_store64_relaxed(&record->hash, name->hash);
    cmy_text_store(record->name, 8, name->text, name->bytes);
    cmy_store64_relaxed(&record->hint, cmy_next(CMY_NEXT_NIL, 0, 0, cmy_state_version(claimed)));
    cmy_store64_relaxed(&record->next, cmy_next(CMY_NEXT_NIL, 0, 0, cmy_state_version(claimed)));

    cmy_holder_t holder;
    status = cmy_index_insert(actor, &names, name, *group, claimed, &holder);
    if (status == COMMY_STATUS_SUCCESS) {
        *state = cmy_state_with(claimed, 0, CMY_LIVE);
        return status;
    }
    withdraw(actor, *group, claimed);
    if (status != COMMY_STATUS_EXISTS)
        return status;
    *group = holder.record;
    *state = holder.state;
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_group_make(cmy_actor_t *actor, const cmy_key_t *name, uint32_t *group, uint64_t *state)
{
    commy_status_t status = make_once(actor, name, group, state);
    if (status == COMMY_STATUS_FULL && cmy_group_collect_all(actor) > 0)
        status = make_once(actor, name, group, state);
    if (status == COMMY_STATUS_FULL)
        return full(actor->region, "names", actor->region->layout.slab[CMY_GROUPS].limit);
    return status;
}

/* ------------------------------------------------------------ collecting and finishing */

static bool empty(const cmy_region_t *region, cmy_container_t container)
{
    /* Bounded by the number of lines; a loop of hostile bytes would end there too. */
    for (uint32_t steps = 0; steps <= region->layout.slab[CMY_LINES].limit; steps++) {
        for (uint32_t i = 0; i < container.cells; i++)
            if (cmy_load32_seq_cst(&container.cell[i]) != 0)
                return false;
        if (!cmy_container_follow(region, &container))
            return true;
    }
    return false;
}

bool cmy_group_collect(cmy_actor_t *actor, uint32_t group)
{
    cmy_container_t container;
    if (!cmy_container_open(actor->region, cmy_container_of_group(group), 0, &container))
        return false;
    container.state = cmy_load64_acquire(container.state_word);
    if (!cmy_group_in_use(container.state) || !empty(actor->region, container))
        return false; /* a first look that disturbs nobody */

    uint32_t turn = cmy_state_owner(container.state) + 1;
    uint64_t closing = cmy_state_with(container.state, turn, CMY_CLOSING);
    if (!cmy_swap64_seq_cst(container.state_word, container.state, closing))
        return false;
    container.state = closing;
    if (!empty(actor->region, container)) {
        cmy_swap64_seq_cst(container.state_word, closing, cmy_state_with(closing, turn, CMY_LIVE));
        return false;
    }
    uint64_t dying = cmy_state_with(closing, actor->owner, CMY_DYING);
    if (!cmy_swap64_seq_cst(container.state_word, closing, dying))
        return false;
    cmy_group_finish(actor, group, dying);
    return true;
}

uint32_t cmy_group_collect_all(cmy_actor_t *actor)
{
    uint32_t collected = 0, groups = cmy_region_reserved_again(actor->region, CMY_GROUPS);
    for (uint32_t group = 0; group < groups; group++)
        collected += cmy_group_collect(actor, group);
    return collected;
}

/*
 * Gives a group's lines back, last one first, closing every next word on the way so that nobody appends any more.
 * Only the group's executor runs this; appenders race it and lose or win one CAS at a time. Killed anywhere: the next
 * executor starts at the group again and finds what is left.
 */
static void teardown(cmy_actor_t *actor, uint32_t group, uint64_t state)
{
    cmy_region_t *region = actor->region;
    cmy_container_t at;
    if (!cmy_container_open(region, cmy_container_of_group(group), state, &at))
        return;
    /* Each line is entered once and left once, and each appender in flight can cost a few turns. */
    for (uint32_t turn = 0; turn < 8 * (region->layout.slab[CMY_LINES].limit + COMMY_LIMIT_PARTICIPANTS); turn++) {
        uint64_t next = cmy_load64_acquire(at.next);
        if (cmy_next_owned(next, at.state) && cmy_next_kind(next) != CMY_NEXT_CLOSED) {
            uint64_t closed = cmy_next(CMY_NEXT_CLOSED, 0, 0, cmy_state_version(at.state));
            cmy_container_t line;
            if (cmy_next_kind(next) != CMY_NEXT_LINE ||
                !cmy_container_open(region, cmy_container_of_line(cmy_next_line(next)), 0, &line)) {
                cmy_swap64_acq_rel(at.next, next, closed);
                continue;
            }
            line.state = cmy_load64_acquire(line.state_word);
            if (cmy_line_is_live(line.state, next, at.number))
                at = line;
            else if (cmy_line_is_free(line.state, next))
                cmy_swap64_acq_rel(line.state_word, line.state, cmy_state_with(line.state, at.number, CMY_LIVE));
            else
                cmy_swap64_acq_rel(at.next, next, closed);
            continue;
        }
        if (!(at.number & 1))
            return; /* back at the group, and closed */
        uint64_t released = cmy_state_released(at.state);
        uint32_t line = at.number >> 1, parent = cmy_state_owner(at.state);
        cmy_store64_relaxed(at.next, cmy_next(CMY_NEXT_NIL, 0, 0, cmy_state_version(released)));
        if (cmy_swap64_acq_rel(at.state_word, at.state, released))
            cmy_slab_hint_free(actor, CMY_LINES, line);
        if (!cmy_container_open(region, parent, 0, &at))
            return;
        at.state = cmy_load64_acquire(at.state_word);
    }
}

void cmy_group_finish(cmy_actor_t *actor, uint32_t group, uint64_t state)
{
    cmy_group_shm_t *record = cmy_group_at(actor->region, group);
    cmy_index_remove(actor, CMY_GROUPS, cmy_load64_relaxed(&record->hash), group);
    teardown(actor, group, state);
    cmy_slab_release(actor, CMY_GROUPS, group, state);
}
