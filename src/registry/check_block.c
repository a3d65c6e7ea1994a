/*
 * The audit of blocks: statistics, and the texts of metadata.
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

static void check_counters(const cmy_look_t *look, const cmy_stat_shm_t *stat)
{
    for (uint32_t i = 0; i < CMY_STAT_STRIPES; i++) {
        const cmy_stat_stripe_shm_t *stripe = &stat->stripe[i];
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
    if (kind_of(look) == CMY_STATS)
        check_counters(look, (const cmy_stat_shm_t *)block);
    else
        check_text_block(look, block);
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
