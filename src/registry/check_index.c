/*
 * The audit of the unique index: of its lines, and of the place that a record has in it.
 *
 * At every instant a committed bit stands over a cell, and a cell in the window of the home of its record's key, which
 * is not FREE: inserters put the cell before the bit, executors take the bit before the cell, and the cell before the
 * record is FREE. A cell without a bit is nothing: somebody inserts it or takes it out. And a record in use has one
 * committed cell, from before it is in use until after: its state guards all of that.
 */
#include "registry/check.h"

typedef struct cmy_index_look {
    cmy_slab_kind_t slab;
    cmy_index_line_shm_t *lines;
    uint32_t homes, line;
    const char *record; /* what people call what is in it */
} cmy_index_look_t;

static uint64_t hash_of(const cmy_region_t *region, cmy_slab_kind_t slab, uint32_t record)
{
    return cmy_load64_relaxed(slab == CMY_SERVICES ? &cmy_service_at(region, record)->hash
                                                   : &cmy_group_at(region, record)->hash);
}

/* A committed cell: not empty, and of a key that lives in this line. The line's word is the guard. */
static void check_bit(const cmy_look_t *look, const cmy_index_look_t *at, uint32_t bit)
{
    uint32_t cell = cmy_load32_acquire(cmy_window_cell(&at->lines[at->line], bit));
    uint32_t record = (cell & CMY_CELL_RECORD_MASK) - 1;
    if (cell == 0)
        cmy_look_wrong(look, "commits cell %u of its window, which is empty", bit);
    if (cell == 0 || !cmy_region_holds(look->region, at->slab, record))
        return; /* the cell's own line says so */
    uint32_t home = cmy_index_home(hash_of(look->region, at->slab, record), at->homes);
    if (home != at->line)
        cmy_look_wrong(look, "commits cell %u of its window, which holds %s %u, whose key lives in line %u", bit,
                       at->record, record, home);
}

/* A cell of the line itself. The record's state is the guard, and the cell is looked at twice under it. */
static void check_cell(const cmy_look_t *line, const cmy_index_look_t *at, uint32_t i)
{
    const cmy_word32_t *word = &at->lines[at->line].cell[i];
    uint32_t cell = cmy_load32_acquire(word); /* pairs with the inserter's CAS: the key is there */
    uint32_t record = (cell & CMY_CELL_RECORD_MASK) - 1;
    if (cell == 0)
        return;
    if (!cmy_region_holds(line->region, at->slab, record)) {
        cmy_look_wrong(line, "its cell %u names %s %u, which is not reserved", i, at->record, record);
        return;
    }
    cmy_look_t look =
        cmy_look_begin(line->audit, line->subject, line->index, cmy_state_at(line->region, at->slab, record), ~0ull);
    uint64_t hash = hash_of(line->region, at->slab, record);
    uint32_t home = cmy_index_home(hash, at->homes);
    if (cmy_load32_acquire(word) != cell)
        return;
    if (cmy_state_phase(look.seen) == CMY_FREE)
        cmy_look_wrong(&look, "its cell %u names %s %u, which is FREE", i, at->record, record);
    else if (cmy_index_tag(hash) != cell >> 22)
        cmy_look_wrong(&look, "its cell %u has tag %#x, but the key of %s %u has tag %#x", i, cell >> 22, at->record,
                       record, cmy_index_tag(hash));
    else if (at->line != home && at->line != home + 1)
        cmy_look_wrong(&look, "its cell %u names %s %u, whose key lives in line %u", i, at->record, record, home);
}

static void check_line(cmy_audit_t *audit, cmy_subject_t subject, const cmy_index_look_t *at)
{
    cmy_look_t look = cmy_look_begin(audit, subject, at->line, &at->lines[at->line].word, ~0ull);
    look.evidence = 0; /* its version moves with every neighbour: each look proves by itself */
    if (at->line < at->homes)
        for (uint64_t bits = look.seen & CMY_MAP_MASK; bits != 0; bits &= bits - 1)
            check_bit(&look, at, (uint32_t)__builtin_ctzll(bits));
    else if (look.seen != 0)
        cmy_look_wrong(&look, "commits cells, but is no home: it is the window of the last one");
    look.guard = NULL; /* cells come and go under the same word */
    for (uint32_t i = 0; i < CMY_LINE_CELLS; i++)
        check_cell(&look, at, i);
}

void cmy_check_id_line(cmy_audit_t *audit, uint32_t line)
{
    const cmy_region_t *region = audit->region;
    cmy_index_look_t at = {CMY_SERVICES, region->ids, region->layout.id_lines, line, "service"};
    check_line(audit, CMY_SUBJECT_ID_LINE, &at);
}

void cmy_check_name_line(cmy_audit_t *audit, uint32_t line)
{
    const cmy_region_t *region = audit->region;
    cmy_index_look_t at = {CMY_GROUPS, region->names, region->layout.name_lines, line, "group"};
    check_line(audit, CMY_SUBJECT_NAME_LINE, &at);
}

/* ------------------------------------------------------- from the record's side */

/* LIVE or CLOSING: in use, whichever kind it is. */
static bool in_use(uint64_t state)
{
    return cmy_state_phase(state) == CMY_LIVE || cmy_state_phase(state) == CMY_CLOSING;
}

/*
 * Somebody else who is committed in the same window under the same tag. One key has one record in use at any instant,
 * dead owner or not: who inserts it retires whoever holds it first. Told by the one with the higher number.
 */
static void check_rival(const cmy_look_t *look, cmy_slab_kind_t slab, uint64_t hash, uint32_t rival,
                        cmy_same_key_fn *same_key)
{
    if (rival >= look->index || !cmy_region_holds(look->region, slab, rival))
        return;
    const cmy_word64_t *word = cmy_state_at(look->region, slab, rival);
    uint64_t state = cmy_load64_acquire(word);
    if (!in_use(state) || hash_of(look->region, slab, rival) != hash || !same_key(look->region, look->index, rival))
        return;
    cmy_fence_acquire();
    uint64_t again = cmy_load64_relaxed(word);
    if (in_use(again) && cmy_state_version(again) == cmy_state_version(state))
        cmy_look_wrong(look, "is registered, and so is number %u under the same key", rival);
}

void cmy_check_indexed(const cmy_look_t *look, cmy_slab_kind_t slab, uint64_t hash, cmy_same_key_fn *same_key)
{
    const cmy_region_t *region = look->region;
    uint32_t line = cmy_index_home(hash, cmy_index_homes(region, slab)), cells = 0, committed = 0;
    cmy_index_line_shm_t *home = &cmy_index_lines(region, slab)[line];
    uint32_t mine = cmy_index_cell(hash, look->index);
    const char *index = slab == CMY_SERVICES ? "ids" : "names";

    uint64_t word = cmy_load64_acquire(&home->word);
    for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++) {
        uint32_t cell = cmy_load32_acquire(cmy_window_cell(home, i));
        bool bit = word >> i & 1;
        if (cell == mine) {
            cells++;
            committed += bit;
        } else if (bit && cell >> 22 == mine >> 22 && (cell & CMY_CELL_RECORD_MASK) != 0) {
            check_rival(look, slab, hash, (cell & CMY_CELL_RECORD_MASK) - 1, same_key);
        }
    }
    if (cells == 0)
        cmy_look_wrong(look, "is in use, but no cell in the window of line %u of the index of %s names it", line,
                       index);
    else if (committed == 0)
        cmy_look_wrong(look, "is in use, but its cell in the window of line %u of the index of %s is not committed",
                       line, index);
    if (cells > 1)
        cmy_look_wrong(look, "has %u cells in the window of line %u of the index of %s", cells, line, index);
}
