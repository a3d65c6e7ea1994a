/*
 * Inserting into and removing from the unique index; see index.h for what it guarantees.
 *
 * insert, state by state (S is the record to insert, W the home's word):
 *   scanning    reads only, except: the word CAS that clears the bit of a DYING record, the state CAS that retires a
 *               dead owner's record, the state CAS that publishes a CLAIMED one. Each is preceded by a second look at the
 *               word. Killed, stopped, raced: nothing of S is visible; what was helped stays helped.
 *   cell taken  S's number is in an empty cell of the window. Killed here: the executor of S clears the cell. Another
 *               inserter that passes sees a cell without a bit and goes on.
 *   committed   the word CAS won: the key is S's, and anybody may publish S. Killed here: whoever inserts the same key
 *               finds the owner dead and retires S; the reaper does.
 *   published   the state CAS, ours or a helper's.
 *
 * The loops below retry only when somebody else made progress, which bounds them by the others' work; hostile bytes
 * could still feed them for ever, so they count.
 */
#include "index/index.h"

#include <ck_backoff.h>

#include "base/error.h"

#define RETRIES 100000u

/* Looks at a committed record that has the key; acts on what stands in the way. */
typedef enum cmy_verdict { VERDICT_NEXT, VERDICT_AGAIN, VERDICT_EXISTS } cmy_verdict_t;

static cmy_verdict_t judge(cmy_actor_t *actor, const cmy_index_kind_t *kind, const cmy_key_t *key,
                           const cmy_probe_t *probe, cmy_holder_t *holder)
{
    cmy_region_t *region = actor->region;
    cmy_word64_t *word = cmy_state_at(region, kind->slab, holder->record);
    uint64_t state = cmy_load64_acquire(word);
    cmy_phase_t phase = cmy_state_phase(state);
    if (phase == CMY_FREE || !kind->matches(region, holder->record, key))
        return VERDICT_NEXT;
    cmy_fence_acquire(); /* what was read above is older than this look at the word */
    if (cmy_load64_relaxed(&probe->home->word) != probe->word)
        return VERDICT_AGAIN;
    if (phase == CMY_DYING) {
        uint64_t cleared = (probe->word & ~(1ull << probe->cell)) + (1ull << CMY_WINDOW_CELLS);
        cmy_swap64_acq_rel(&probe->home->word, probe->word, cleared);
        return VERDICT_AGAIN;
    }
    if (kind->gone(region, holder->record, state)) {
        uint64_t dying = cmy_state_with(state, actor->owner, CMY_DYING);
        if (cmy_swap64_acq_rel(word, state, dying)) {
            if (phase == CMY_LIVE && kind->retired)
                kind->retired(actor, holder->record, state);
            kind->finish(actor, holder->record, dying, phase == CMY_LIVE);
        }
        return VERDICT_AGAIN;
    }
    if (phase == CMY_CLAIMED) {
        uint64_t live = kind->published(region, holder->record, state);
        if (!cmy_swap64_acq_rel(word, state, live))
            return VERDICT_AGAIN;
        kind->helped(actor, holder->record);
        state = live;
    } else if (cmy_load64_acquire(word) != state) {
        /* State, life, state: who was taken for alive may be the next tenant of the owner's slot, which was freed when
         * nothing of the owner was left, this record neither. */
        return VERDICT_AGAIN;
    }
    holder->state = state;
    return VERDICT_EXISTS;
}

/* Puts the record into an empty cell of the window; CMY_WINDOW_CELLS when there is none. */
static uint32_t take_cell(cmy_index_line_shm_t *home, uint32_t cell)
{
    for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++) {
        cmy_word32_t *at = cmy_window_cell(home, i);
        if (cmy_load32_relaxed(at) == 0 && cmy_swap32_acq_rel(at, 0, cell))
            return i;
    }
    return CMY_WINDOW_CELLS;
}

commy_status_t cmy_index_insert(cmy_actor_t *actor, const cmy_index_kind_t *kind, const cmy_key_t *key, uint32_t record,
                                uint64_t claimed, cmy_holder_t *holder)
{
    cmy_region_t *region = actor->region;
    cmy_index_line_shm_t *lines = cmy_index_lines(region, kind->slab);
    uint32_t homes = cmy_index_homes(region, kind->slab);
    uint32_t mine = CMY_WINDOW_CELLS; /* the cell that is ours; none yet */
    ck_backoff_t backoff = CK_BACKOFF_INITIALIZER;

    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        cmy_probe_t probe;
        cmy_verdict_t verdict = VERDICT_NEXT;
        cmy_probe_begin(&probe, lines, homes, key->hash);
        while (verdict == VERDICT_NEXT && cmy_probe_next(&probe, &holder->record))
            if (cmy_region_holds(region, kind->slab, holder->record))
                verdict = judge(actor, kind, key, &probe, holder);
        if (verdict == VERDICT_EXISTS)
            return COMMY_STATUS_EXISTS;
        if (verdict == VERDICT_AGAIN)
            continue;
        if (mine == CMY_WINDOW_CELLS) {
            mine = take_cell(probe.home, cmy_index_cell(key->hash, record));
            if (mine == CMY_WINDOW_CELLS)
                return COMMY_STATUS_FULL;
        }
        uint64_t committed = (probe.word | 1ull << mine) + (1ull << CMY_WINDOW_CELLS);
        if (cmy_swap64_acq_rel(&probe.home->word, probe.word, committed)) {
            /* Lost means helped: a committed record of a live owner leaves CLAIMED in no other way. */
            cmy_swap64_acq_rel(cmy_state_at(region, kind->slab, record), claimed,
                               kind->published(region, record, claimed));
            return COMMY_STATUS_SUCCESS;
        }
        ck_backoff_eb(&backoff);
    }
    return cmy_fail(COMMY_STATUS_BUSY,
                    "region %s/%s: a bucket of its index changed %u times while a registration "
                    "tried to enter it; run `commy check`",
                    region->dir, region->mesh, RETRIES);
}

/*
 * Clears the bit of a cell that is ours, word before cell: while the cell is ours the bit can only be ours, and nobody but
 * helpers clears it. The version moves even where the bit is clear already: should the cell's former owner still be on
 * its way out of a commit, its CAS fails. False, with the cell to be left as it is, only where the word never holds still.
 */
static bool clear_bit(cmy_index_line_shm_t *home, uint32_t i, const cmy_word32_t *at, uint32_t cell)
{
    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        uint64_t word = cmy_load64_acquire(&home->word);
        if (cmy_load32_acquire(at) != cell)
            return true;
        if (cmy_swap64_acq_rel(&home->word, word, (word & ~(1ull << i)) + (1ull << CMY_WINDOW_CELLS)))
            return true;
    }
    return false;
}

void cmy_index_remove(cmy_actor_t *actor, cmy_slab_kind_t slab, uint64_t hash, uint32_t record)
{
    cmy_region_t *region = actor->region;
    uint32_t cell = cmy_index_cell(hash, record);
    cmy_index_line_shm_t *home = &cmy_index_lines(region, slab)[cmy_index_home(hash, cmy_index_homes(region, slab))];

    for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++) {
        cmy_word32_t *at = cmy_window_cell(home, i);
        if (cmy_load32_acquire(at) != cell)
            continue;
        if (clear_bit(home, i, at, cell))
            cmy_swap32_acq_rel(at, cell, 0);
        return;
    }
}
