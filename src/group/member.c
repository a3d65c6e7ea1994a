/*
 * Joining and leaving a group.
 *
 * join, state by state (S is the service, CLAIMED; G the group; X a container of G):
 *   looking     reads only, except: making a linked line LIVE, unlinking a line that went to somebody else, linking a
 *               FREE line. Killed: nothing of S is anywhere. Every turn looks at G first, or lines would be linked
 *               for ever while they are torn down.
 *   placed      S.position = (X, j), then cell j of X = S. Killed: the executor of S finds the cell by S.position.
 *   confirmed   G was LIVE at its version after the cell was written (or was taken from CLOSING back to LIVE): no
 *               collector that began before can retire G, and none that begins later overlooks the cell.
 *   refused     G was retired: the cell is cleared and everything starts over with another G.
 */
#include "base/error.h"
#include "group/internal.h"

#define RETRIES 100000u

typedef enum cmy_step { STEP_DONE, STEP_AGAIN, STEP_FAILED } cmy_step_t;

/* A walk of a joiner through a group. */
typedef struct cmy_joiner {
    cmy_actor_t *actor;
    uint32_t service, group;
    uint32_t cell; /* of `at`, once placed */
    uint64_t group_state;
    cmy_container_t at;
    uint64_t walked; /* containers entered, in all turns: the bound of the whole join */
    bool elsewhere;  /* containers before the one that the walk began with may have free cells */
    commy_status_t failed;
} cmy_joiner_t;

static cmy_word64_t *position_of(const cmy_region_t *region, uint32_t service)
{
    return &cmy_service_at(region, service)->position;
}

/* Writes the hint: a free cell was seen in a container of this life of the group. */
static void write_hint(cmy_group_shm_t *group, uint64_t group_state, const cmy_container_t *at, bool elsewhere)
{
    bool line = at->number & 1;
    uint64_t hint = cmy_next(elsewhere ? CMY_NEXT_CLOSED : CMY_NEXT_LINE, line ? at->number >> 1 : CMY_NEXT_NO_LINE,
                             line ? cmy_state_version(at->state) : 0, cmy_state_version(group_state));
    if (cmy_load64_relaxed(&group->hint) != hint)
        cmy_store64_relaxed(&group->hint, hint);
}

/* Starts at the container that the hint names, if it is of this life of the group, else at the group itself. */
static void begin(cmy_joiner_t *joiner)
{
    const cmy_region_t *region = joiner->actor->region;
    cmy_container_open(region, cmy_container_of_group(joiner->group), joiner->group_state, &joiner->at);
    joiner->elsewhere = false;
    uint64_t hint = cmy_load64_relaxed(&cmy_group_at(region, joiner->group)->hint);
    if (cmy_next_kind(hint) == CMY_NEXT_NIL || !cmy_next_owned(hint, joiner->group_state) ||
        cmy_next_line(hint) == CMY_NEXT_NO_LINE)
        return;
    cmy_container_t line;
    if (!cmy_container_open(region, cmy_container_of_line(cmy_next_line(hint)), 0, &line))
        return;
    line.state = cmy_load64_acquire(line.state_word);
    if (cmy_state_phase(line.state) != CMY_LIVE || !cmy_line_is_version(line.state, hint))
        return;
    joiner->at = line;
    joiner->elsewhere = cmy_next_kind(hint) == CMY_NEXT_CLOSED;
}

/* Takes a cell of the container at hand, if one is empty. */
static bool place(cmy_joiner_t *joiner)
{
    const cmy_region_t *region = joiner->actor->region;
    for (uint32_t i = 0; i < joiner->at.cells; i++) {
        if (cmy_load32_relaxed(&joiner->at.cell[i]) != 0)
            continue;
        cmy_store64_release(position_of(region, joiner->service), cmy_position(joiner->group, joiner->at.number, i));
        joiner->cell = i;
        if (cmy_swap32_seq_cst(&joiner->at.cell[i], 0, joiner->service + 1))
            return true;
    }
    return false;
}

/* Links a FREE line behind the container at hand; next is the NIL word that was seen there. */
static cmy_step_t append(cmy_joiner_t *joiner, uint64_t next)
{
    uint32_t line;
    uint64_t free_state;
    commy_status_t status = cmy_slab_pick(joiner->actor, CMY_LINES, &line, &free_state);
    if (status == COMMY_STATUS_FULL) {
        cmy_region_t *region = joiner->actor->region;
        if (cmy_group_collect_all(joiner->actor) > 0)
            return STEP_AGAIN; /* names without instances had lines */
        uint32_t limit = region->layout.slab[CMY_LINES].limit;
        status = cmy_fail(COMMY_STATUS_FULL,
                          "region %s/%s is full: %u of %u member lines are in use by names that "
                          "have or had many instances; create one with a larger --capacity",
                          region->dir, region->mesh, limit, limit);
    }
    if (status != COMMY_STATUS_SUCCESS) {
        joiner->failed = status;
        return STEP_FAILED;
    }
    uint64_t link = cmy_next(CMY_NEXT_LINE, line, cmy_state_version(free_state), cmy_state_version(joiner->at.state));
    if (!cmy_swap64_seq_cst(joiner->at.next, next, link)) /* seq_cst for the collector; see group.h, c */
        cmy_slab_hint_free(joiner->actor, CMY_LINES, line);
    return STEP_AGAIN; /* whoever comes, we among them, makes it LIVE */
}

/* One look at the container's next word; DONE when the joiner stands in another container. */
static cmy_step_t step(cmy_joiner_t *joiner)
{
    cmy_region_t *region = joiner->actor->region;
    cmy_container_t *at = &joiner->at;
    uint64_t next = cmy_load64_acquire(at->next);
    uint64_t now = cmy_load64_acquire(&cmy_group_at(region, joiner->group)->state);
    if (!cmy_group_in_use(now) || cmy_state_version(now) != cmy_state_version(joiner->group_state) ||
        !cmy_next_owned(next, at->state) || cmy_next_kind(next) == CMY_NEXT_CLOSED) {
        joiner->failed = COMMY_STATUS_SUCCESS; /* not a failure: the group went, look for it anew */
        return STEP_FAILED;
    }
    if (cmy_next_kind(next) != CMY_NEXT_LINE) {
        if (!joiner->elsewhere)
            return append(joiner, next);
        joiner->elsewhere = false; /* once around before the chain grows */
        cmy_container_open(region, cmy_container_of_group(joiner->group), now, at);
        return STEP_DONE;
    }
    cmy_container_t line;
    uint64_t nil = cmy_next(CMY_NEXT_NIL, 0, 0, cmy_state_version(at->state));
    if (!cmy_container_open(region, cmy_container_of_line(cmy_next_line(next)), 0, &line)) {
        cmy_swap64_acq_rel(at->next, next, nil);
        return STEP_AGAIN;
    }
    line.state = cmy_load64_acquire(line.state_word);
    if (cmy_line_is_live(line.state, next, at->number)) {
        *at = line;
        return STEP_DONE;
    }
    if (cmy_line_is_free(line.state, next))
        cmy_swap64_seq_cst(line.state_word, line.state, cmy_state_with(line.state, at->number, CMY_LIVE));
    else
        cmy_swap64_acq_rel(at->next, next, nil); /* it went to another container first */
    return STEP_AGAIN;
}

/* After the cell was written: is the group still there? */
static bool confirm(const cmy_joiner_t *joiner)
{
    cmy_word64_t *word = &cmy_group_at(joiner->actor->region, joiner->group)->state;
    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        uint64_t now = cmy_load64_seq_cst(word);
        if (cmy_state_version(now) != cmy_state_version(joiner->group_state))
            return false;
        if (cmy_state_phase(now) == CMY_LIVE)
            return true;
        if (cmy_state_phase(now) != CMY_CLOSING)
            return false;
        if (cmy_swap64_seq_cst(word, now, cmy_state_with(now, cmy_state_owner(now), CMY_LIVE)))
            return true;
    }
    return false;
}

/* From finding the group to a confirmed cell; AGAIN when the group went meanwhile. */
static cmy_step_t try_join(cmy_joiner_t *joiner, const cmy_key_t *name)
{
    cmy_region_t *region = joiner->actor->region;
    if (!cmy_group_find(region, name, &joiner->group, &joiner->group_state)) {
        joiner->failed = cmy_group_make(joiner->actor, name, &joiner->group, &joiner->group_state);
        if (joiner->failed != COMMY_STATUS_SUCCESS)
            return STEP_FAILED;
    }
    begin(joiner);
    for (uint64_t bound = 4ull * region->layout.slab[CMY_LINES].limit + RETRIES; joiner->walked < bound;
         joiner->walked++) {
        if (place(joiner)) {
            if (confirm(joiner)) {
                write_hint(cmy_group_at(region, joiner->group), joiner->group_state, &joiner->at, joiner->elsewhere);
                return STEP_DONE;
            }
            cmy_swap32_acq_rel(&joiner->at.cell[joiner->cell], joiner->service + 1, 0);
            return STEP_AGAIN;
        }
        cmy_step_t moved = STEP_AGAIN;
        for (uint32_t turn = 0; moved == STEP_AGAIN && turn < RETRIES; turn++)
            moved = step(joiner);
        if (moved == STEP_FAILED)
            return joiner->failed == COMMY_STATUS_SUCCESS ? STEP_AGAIN : STEP_FAILED;
    }
    joiner->failed = cmy_fail(COMMY_STATUS_CORRUPT,
                              "region %s/%s is damaged: the lines of name '%.*s' have no end; run "
                              "`commy check`",
                              region->dir, region->mesh, (int)name->bytes, name->text);
    return STEP_FAILED;
}

commy_status_t cmy_group_join(cmy_actor_t *actor, const cmy_key_t *name, uint32_t service)
{
    cmy_joiner_t joiner = {.actor = actor, .service = service};
    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        cmy_step_t step = try_join(&joiner, name);
        if (step == STEP_DONE)
            return COMMY_STATUS_SUCCESS;
        if (step == STEP_FAILED)
            return joiner.failed;
    }
    return cmy_fail(COMMY_STATUS_BUSY,
                    "region %s/%s: the group of name '%.*s' changed %u times while a registration "
                    "tried to join it; run `commy check`",
                    actor->region->dir, actor->region->mesh, (int)name->bytes, name->text, RETRIES);
}

void cmy_group_leave(cmy_actor_t *actor, uint32_t service, uint64_t position, bool member)
{
    const cmy_region_t *region = actor->region;
    uint32_t group = cmy_position_group(position), cell = cmy_position_cell(position);
    cmy_container_t at;
    if (!cmy_container_open(region, cmy_position_container(position), 0, &at) || cell >= at.cells ||
        !cmy_region_holds(region, CMY_GROUPS, group))
        return;
    if (cmy_load32_acquire(&at.cell[cell]) != service + 1)
        return;
    /* While a member's cell is in place neither its group nor the container can go: this is the life that the hint
     * speaks of. The cell of a joiner that was never confirmed may stand in what is another group's by now. */
    uint64_t group_state = cmy_load64_acquire(&cmy_group_at(region, group)->state);
    at.state = cmy_load64_acquire(at.state_word);
    if (!cmy_swap32_acq_rel(&at.cell[cell], service + 1, 0) || !member)
        return;
    cmy_group_shm_t *record = cmy_group_at(region, group);
    uint64_t hint = cmy_load64_relaxed(&record->hint);
    uint32_t hinted = cmy_next_line(hint) == CMY_NEXT_NO_LINE ? cmy_container_of_group(group)
                                                              : cmy_container_of_line(cmy_next_line(hint));
    bool elsewhere =
        cmy_next_owned(hint, group_state) && (cmy_next_kind(hint) == CMY_NEXT_CLOSED || hinted != at.number);
    write_hint(record, group_state, &at, elsewhere);
}
