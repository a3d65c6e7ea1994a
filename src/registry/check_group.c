/*
 * The audit of groups and their member lines.
 *
 * a. A group that is in use (LIVE, or CLOSING, which it may stay for good) stands in the index of names, with its hash
 *    and its chain, in one life of it: its version and "in use" are the guard, since the turn in its state moves on.
 * b. A LIVE line names its container, and that container links to it, from before it is LIVE until after: the link
 *    comes first, and only a teardown, which frees the line first, takes it away. The line's state guards that.
 * c. A link may name a line that is not LIVE for this container. FREE in the version it names: the next comer makes it
 *    LIVE. Of a later version, or LIVE elsewhere: two joiners took the same line, and this one lost; the next comer
 *    takes the link back. Nobody need come, so both stay for good. Only a version that is still to come is wrong.
 * d. Next words are of their container's life, and not CLOSED while the group is in use. While it is torn down a line's
 *    is CLOSED, then NIL of its next life; then it is FREE.
 * e. A cell that is not empty names a service whose position is that cell: the position is written first, and the
 *    executor empties the cell before the service is FREE. This holds in every container, FREE ones among them: a
 *    joiner that was stopped before its CAS may put its cell into what is another's by then, and takes it out when it
 *    looks at the group. Which cells a LIVE service may stand in is asked from its side (check_service.c).
 */
#include "registry/check.h"

#include "base/text.h"
#include "group/internal.h"

#define VERSION_MASK (~0ull << 34)
#define IN_USE_MASK (VERSION_MASK | 6) /* LIVE is 2 and CLOSING 3: the two bits tell them from every other phase */
_Static_assert((CMY_LIVE & 6) == 2 && (CMY_CLOSING & 6) == 2 && (CMY_FREE & 6) != 2 && (CMY_CLAIMED & 6) != 2 &&
                   (CMY_DYING & 6) != 2,
               "in use, in two bits");

/* ------------------------------------------------------------------ chains */

/* Root words: 0 unknown; a line that is being walked through names the next one; else the answer. */
#define WALKED 0x80000000u
#define NOWHERE 1u
#define GROUP_OFFSET 2u

/*
 * Walks up from container to container, each line once a round. What was found before the round is forgotten, so that a
 * service which is LIVE in the same life throughout a round is judged by lines that stayed as they are.
 */
uint32_t cmy_check_root(const cmy_audit_t *audit, uint32_t line)
{
    const cmy_region_t *region = audit->region;
    uint32_t *known = audit->root, root = NOWHERE, limit = region->layout.slab[CMY_LINES].limit;
    for (uint32_t at = line; cmy_region_holds(region, CMY_LINES, at);) {
        if (known[at] != 0) {
            root = known[at] & WALKED ? NOWHERE : known[at]; /* walked: a ring */
            break;
        }
        uint64_t state = cmy_load64_acquire(&cmy_line_at(region, at)->state);
        uint32_t container = cmy_state_owner(state), above = container >> 1;
        bool live = cmy_state_phase(state) == CMY_LIVE;
        if (!live || !(container & 1)) {
            if (live && cmy_region_holds(region, CMY_GROUPS, above))
                root = above + GROUP_OFFSET;
            known[at] = root;
            break;
        }
        known[at] = WALKED | above;
        at = above;
    }
    for (uint32_t at = line; at < limit && (known[at] & WALKED);) {
        uint32_t above = known[at] & ~WALKED;
        known[at] = root;
        at = above;
    }
    return root == NOWHERE ? CMY_NO_ROOT : root - GROUP_OFFSET;
}

/*
 * Whether a line may be on its way to FREE: the group that it leads up to is being torn down. A group is not in use
 * again in the same life, so that one which is in use now was so when the line's next word was read. A line that leads
 * nowhere is told by itself.
 */
static bool may_close(const cmy_look_t *look)
{
    if (look->subject != CMY_SUBJECT_LINE)
        return false;
    uint32_t root = cmy_check_root(look->audit, look->index);
    return root == CMY_NO_ROOT || !cmy_region_holds(look->region, CMY_GROUPS, root) ||
           !cmy_group_in_use(cmy_load64_acquire(&cmy_group_at(look->region, root)->state));
}

/* The next word of a container whose life is the guard. */
static void check_next(const cmy_look_t *look, const cmy_word64_t *word)
{
    uint64_t next = cmy_load64_acquire(word);
    uint32_t own = cmy_state_version(look->seen), line = cmy_next_line(next);
    cmy_next_kind_t kind = cmy_next_kind(next);
    if ((kind == CMY_NEXT_CLOSED || next == cmy_next(CMY_NEXT_NIL, 0, 0, own + 1)) && may_close(look))
        return;
    if (!cmy_next_owned(next, look->seen)) {
        cmy_look_wrong(look, "its next word is of another life of it");
        return;
    }
    switch ((unsigned)kind) {
    case CMY_NEXT_NIL:
        if (next != cmy_next(CMY_NEXT_NIL, 0, 0, own))
            cmy_look_wrong(look, "its next word is NIL, but names line %u", line);
        return;
    case CMY_NEXT_CLOSED:
        cmy_look_wrong(look, "is in use, but its chain is closed for good");
        return;
    case CMY_NEXT_LINE:
        break;
    default:
        cmy_look_wrong(look, "its next word is of a kind that there is not");
        return;
    }
    if (!cmy_region_holds(look->region, CMY_LINES, line)) {
        cmy_look_wrong(look, "links to member line %u, which is not reserved", line);
        return;
    }
    uint32_t version = cmy_state_version(cmy_load64_acquire(&cmy_line_at(look->region, line)->state));
    uint32_t ahead = (cmy_next_line_version(next) - version) & CMY_NEXT_VERSION_MASK;
    if (ahead != 0 && ahead <= CMY_NEXT_VERSION_MASK / 2)
        cmy_look_wrong(look, "links to member line %u in a life that is still to come", line);
}

/* ------------------------------------------------------------------ cells */

static void check_cell(const cmy_look_t *at, uint32_t number, const cmy_word32_t *word, uint32_t i)
{
    uint32_t cell = cmy_load32_acquire(word); /* pairs with the joiner's CAS: the position is there */
    if (cell == 0)
        return;
    if (!cmy_region_holds(at->region, CMY_SERVICES, cell - 1)) {
        cmy_look_wrong(at, "its cell %u names service %u, which is not reserved", i, cell - 1);
        return;
    }
    const cmy_service_shm_t *service = cmy_service_at(at->region, cell - 1);
    cmy_look_t look = cmy_look_begin(at->audit, at->subject, at->index, &service->state, ~0ull);
    uint64_t position = cmy_load64_relaxed(&service->position);
    cmy_fence_acquire();
    if (cmy_load32_relaxed(word) != cell)
        return;
    if (cmy_state_phase(look.seen) == CMY_FREE)
        cmy_look_wrong(&look, "its cell %u names service %u, which is FREE", i, cell - 1);
    else if (cmy_position_container(position) != number || cmy_position_cell(position) != i)
        cmy_look_wrong(&look, "its cell %u names service %u, whose place is another", i, cell - 1);
}

static void check_cells(const cmy_look_t *look, uint32_t number, const cmy_word32_t *cell, uint32_t cells)
{
    cmy_look_t at = *look;
    at.guard = NULL; /* cells are the services', whatever the container is at */
    at.evidence = 0;
    for (uint32_t i = 0; i < cells; i++)
        check_cell(&at, number, &cell[i], i);
}

/* ----------------------------------------------------------------- groups */

static bool same_name(const cmy_region_t *region, uint32_t one, uint32_t other)
{
    for (uint32_t i = 0; i < sizeof cmy_group_at(region, one)->name / sizeof(cmy_word64_t); i++)
        if (cmy_load64_relaxed(&cmy_group_at(region, one)->name[i]) !=
            cmy_load64_relaxed(&cmy_group_at(region, other)->name[i]))
            return false;
    return true;
}

static void check_group_in_use(const cmy_look_t *look, const cmy_group_shm_t *group)
{
    char name[sizeof group->name + 1];
    uint64_t hash = cmy_load64_relaxed(&group->hash);
    if (cmy_check_text(look, "name", group->name, sizeof group->name / sizeof group->name[0], CMY_ANY_BYTES, 1, false,
                       name) &&
        hash != cmy_key_hash(name, strlen(name), look->region->seed))
        cmy_look_wrong(look, "its hash is not its name's, so nobody finds it");
    cmy_check_indexed(look, CMY_GROUPS, hash, same_name);
    check_next(look, &group->next);
}

void cmy_check_group(cmy_audit_t *audit, uint32_t record)
{
    const cmy_group_shm_t *group = cmy_group_at(audit->region, record);
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_GROUP, record, &group->state, ~0ull);
    switch (cmy_state_phase(look.seen)) {
    case CMY_FREE:
        cmy_check_free(&look, CMY_GROUPS);
        break;
    case CMY_CLAIMED:
    case CMY_DYING:
        cmy_check_held(&look);
        break;
    case CMY_LIVE:
    case CMY_CLOSING:
        look.mask = IN_USE_MASK;
        look.evidence = look.seen & look.mask;
        check_group_in_use(&look, group);
        break;
    default:
        cmy_check_no_phase(&look);
    }
    check_cells(&look, cmy_container_of_group(record), group->cell, CMY_GROUP_CELLS);
}

/* ------------------------------------------------------------------ lines */

/* The container that a LIVE line names is there, and links to it. */
static void check_container(const cmy_look_t *look)
{
    const cmy_region_t *region = look->region;
    uint32_t number = cmy_state_owner(look->seen);
    const char *kind = number & 1 ? "member line" : "group";
    cmy_container_t above;
    if (!cmy_container_open(region, number, 0, &above)) {
        cmy_look_wrong(look, "belongs to %s %u, which is not reserved", kind, number >> 1);
        return;
    }
    above.state = cmy_load64_acquire(above.state_word);
    cmy_phase_t phase = cmy_state_phase(above.state);
    if (phase != CMY_LIVE && (number & 1 || (phase != CMY_CLOSING && phase != CMY_DYING))) {
        cmy_look_wrong(look, "belongs to %s %u, which is %s", kind, number >> 1, cmy_phase_name(phase));
        return;
    }
    uint64_t link = cmy_next(CMY_NEXT_LINE, look->index, cmy_state_version(look->seen), cmy_state_version(above.state));
    if (cmy_load64_acquire(above.next) != link)
        cmy_look_wrong(look, "belongs to %s %u, which does not link to it: it is lost", kind, number >> 1);
    else if (cmy_check_root(look->audit, look->index) == CMY_NO_ROOT)
        cmy_look_wrong(look, "leads up to no group: it is lost");
}

void cmy_check_line(cmy_audit_t *audit, uint32_t record)
{
    const cmy_line_shm_t *line = cmy_line_at(audit->region, record);
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_LINE, record, &line->state, ~0ull);
    switch (cmy_state_phase(look.seen)) {
    case CMY_FREE:
        cmy_check_free(&look, CMY_LINES);
        if (cmy_load64_relaxed(&line->next) != cmy_next(CMY_NEXT_NIL, 0, 0, cmy_state_version(look.seen)))
            cmy_look_wrong(&look, "is FREE, but its next word is not that of its next life");
        break;
    case CMY_LIVE:
        check_container(&look);
        check_next(&look, &line->next);
        break;
    default:
        cmy_check_no_phase(&look);
    }
    check_cells(&look, cmy_container_of_line(record), line->cell, CMY_LINE_MEMBERS);
}
