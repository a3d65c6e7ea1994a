/*
 * The audit of blocks: statistics and their cells, and the texts of metadata.
 *
 * A block that is LIVE was linked, and is nobody's; its content is constant (a text) or grows (counters) until it is
 * released, which its state guards. Whoever takes it out of its link releases it next. In between nothing says so; see
 * check.c, d.
 */
#include "registry/check.h"

static cmy_slab_kind_t kind_of(const cmy_look_t *look)
{
    return (cmy_slab_kind_t)(look->subject - CMY_SUBJECT_SERVICE);
}

/* In this order: the link, whether anybody may be about to release the block, the guard. Nobody then: nobody before. */
static void check_linked(const cmy_look_t *look, const cmy_block_shm_t *block)
{
    const cmy_region_t *region = look->region;
    cmy_slab_kind_t kind = kind_of(look);
    uint32_t home = cmy_load32_relaxed(&block->home);
    if (!cmy_region_holds(region, CMY_SERVICES, home)) {
        cmy_look_wrong(look, "its home is service %u, which is not reserved", home);
        return;
    }
    uint64_t link = cmy_load64_acquire(cmy_block_link(region, kind, home));
    if (cmy_link_names_block(link) && cmy_link_block(link) == look->index && cmy_link_fits(link, look->seen) &&
        cmy_link_large(link) == (kind == CMY_LARGE_TEXTS))
        return;
    if (!cmy_check_anybody(look))
        cmy_look_wrong(look, "is taken, but its home, service %u, does not link to it: it is lost", home);
}

static void check_counters(const cmy_look_t *look, const cmy_tally_shm_t *tally)
{
    for (uint32_t i = 0; i < CMY_STAT_STRIPES; i++) {
        const cmy_stat_stripe_shm_t *stripe = &tally->stripe[i];
        const struct {
            const char *what;
            const cmy_word64_t *base, *now;
        } counters[] = {
            {"successes", &stripe->base_successes, &stripe->successes},
            {"failures", &stripe->base_failures, &stripe->failures},
            {"latency", &stripe->base_latency_ns, &stripe->latency_ns},
        };
        for (size_t j = 0; j < sizeof counters / sizeof counters[0]; j++) {
            uint64_t base = cmy_load64_relaxed(counters[j].base);
            if ((int64_t)(cmy_load64_relaxed(counters[j].now) - base) < 0)
                cmy_look_wrong(look, "its count of %s in stripe %u is below what it began with", counters[j].what, i);
        }
    }
}

/*
 * Cells: of nobody, or of a tenant that the slot has had. One that counts something is of a tenant that is there, or dead
 * and not reaped, and of this life of the block or an earlier one, which is compared as the cells do: 28 bits, of which
 * the half in front is to come. Its tenant may be gone by the second look: it did not count for anybody then.
 */
static void check_cells(const cmy_look_t *look, const cmy_word64_t *cells, uint32_t count, uint32_t slot,
                        uint64_t state)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t cell = cmy_load64_acquire(&cells[i]);
        uint32_t owner = cmy_owner(slot + i, cmy_flight_incarnation(cell)), in_flight = cmy_flight_count_of(cell);
        if (cell == 0)
            continue;
        if (slot + i >= COMMY_LIMIT_PARTICIPANTS)
            cmy_look_wrong(look, "its cell %u is in use, and of no participant slot", slot + i);
        else if (in_flight == 0)
            continue;
        else if (cmy_check_standing(look->region, owner) == CMY_STANDING_GONE)
            cmy_look_wrong(look, "%u requests in flight are of participant slot %u in its life %u, which is not there",
                           in_flight, slot + i, cmy_flight_incarnation(cell));
        else if (cmy_flight_ahead(cell, state))
            cmy_look_wrong(look, "%u requests in flight of participant slot %u are of a life of it that is to come",
                           in_flight, slot + i);
    }
}

/* What a block links to is that block's, or is being made so. */
static void check_further(const cmy_look_t *look, const cmy_stat_shm_t *stat)
{
    for (uint32_t i = 0; i < CMY_STAT_FURTHER; i++) {
        uint32_t number = cmy_load32_acquire(&stat->further[i]);
        if (number == 0)
            continue;
        if (!cmy_region_holds(look->region, CMY_CELLS, number - 1)) {
            cmy_look_wrong(look, "links to record of cells %u, which is not reserved", number - 1);
            continue;
        }
        const cmy_cells_shm_t *cells = cmy_record_at(look->region, CMY_CELLS, number - 1);
        if (cmy_state_phase(cmy_load64_acquire(&cells->block.state)) == CMY_FREE)
            cmy_look_wrong(look, "links to record of cells %u, which is FREE", number - 1);
        if (cmy_load32_relaxed(&cells->block.home) != look->index || cmy_load32_relaxed(&cells->block.bytes) != i)
            cmy_look_wrong(look, "links to record of cells %u, which is part %u of block %u", number - 1,
                           cmy_load32_relaxed(&cells->block.bytes), cmy_load32_relaxed(&cells->block.home));
        check_cells(look, cells->cell, CMY_FURTHER_CELLS, CMY_STAT_CELLS + i * CMY_FURTHER_CELLS, look->seen);
    }
}

static void check_text_block(const cmy_look_t *look, const cmy_block_shm_t *block)
{
    char text[COMMY_LIMIT_METADATA_BYTES + 1];
    bool large = kind_of(look) == CMY_LARGE_TEXTS;
    uint32_t bytes = cmy_load32_relaxed(&block->bytes);
    uint32_t least = large ? CMY_SMALL_TEXT_BYTES + 1 : 1, most = large ? CMY_LARGE_TEXT_BYTES : CMY_SMALL_TEXT_BYTES;
    if (bytes < least || bytes > most)
        cmy_look_wrong(look, "holds a text of %u bytes, not of %u to %u", bytes, least, most);
    else
        cmy_check_text(look, "metadata", (const cmy_word64_t *)(block + 1), (bytes + 7) / 8, bytes, 1, true, text);
}

static void check_live(const cmy_look_t *look, const cmy_block_shm_t *block)
{
    if (cmy_state_owner(look->seen) != CMY_NOBODY)
        cmy_look_wrong(look, "is linked, but still names who claimed it");
    check_linked(look, block);
    if (kind_of(look) != CMY_STATS) {
        check_text_block(look, block);
        return;
    }
    const cmy_stat_shm_t *stat = (const cmy_stat_shm_t *)block;
    check_counters(look, cmy_tally_at(look->region, look->index));
    check_cells(look, stat->cell, CMY_STAT_CELLS, 0, look->seen);
    check_further(look, stat);
}

static void check_block(cmy_audit_t *audit, cmy_subject_t subject, uint32_t number)
{
    cmy_slab_kind_t kind = (cmy_slab_kind_t)(subject - CMY_SUBJECT_SERVICE);
    const cmy_block_shm_t *block = cmy_record_at(audit->region, kind, number);
    cmy_look_t look = cmy_look_begin(audit, subject, number, &block->state, ~0ull);
    switch (cmy_state_phase(look.seen)) {
    case CMY_FREE:
        cmy_check_free(&look, kind);
        break;
    case CMY_CLAIMED:
        cmy_check_held(&look);
        break;
    case CMY_LIVE:
        check_live(&look, block);
        break;
    default:
        cmy_check_no_phase(&look);
    }
}

/* A record of cells: linked for good where it is LIVE. */
void cmy_check_cells(cmy_audit_t *audit, uint32_t number)
{
    const cmy_cells_shm_t *cells = cmy_record_at(audit->region, CMY_CELLS, number);
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_CELLS, number, &cells->block.state, ~0ull);
    switch (cmy_state_phase(look.seen)) {
    case CMY_FREE:
        cmy_check_free(&look, CMY_CELLS);
        break;
    case CMY_CLAIMED:
        cmy_check_held(&look);
        break;
    case CMY_LIVE:
        if (cmy_state_owner(look.seen) != CMY_NOBODY)
            cmy_look_wrong(&look, "is linked, but still names who claimed it");
        if (!cmy_flight_linked(audit->region, cmy_load32_relaxed(&cells->block.home), number))
            cmy_look_wrong(&look, "is taken, but its home, statistics block %u, does not link to it: it is lost",
                           cmy_load32_relaxed(&cells->block.home));
        break;
    default:
        cmy_check_no_phase(&look);
    }
}

void cmy_check_stat(cmy_audit_t *audit, uint32_t block)
{
    check_block(audit, CMY_SUBJECT_STAT, block);
}

void cmy_check_small_text(cmy_audit_t *audit, uint32_t block)
{
    check_block(audit, CMY_SUBJECT_SMALL_TEXT, block);
}

void cmy_check_large_text(cmy_audit_t *audit, uint32_t block)
{
    check_block(audit, CMY_SUBJECT_LARGE_TEXT, block);
}
