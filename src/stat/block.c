/* Blocks that hang on a service; the states and what a crash leaves are argued in block.h. */
#include "stat/block.h"

bool cmy_block_same(const cmy_block_shm_t *block, uint64_t state)
{
    uint64_t now = cmy_load64_relaxed(&block->state);
    return cmy_state_version(now) == cmy_state_version(state) && cmy_state_phase(now) != CMY_FREE;
}

commy_status_t cmy_block_claim(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t service, uint32_t *block,
                               uint64_t *state)
{
    commy_status_t status = cmy_slab_claim(actor, kind, block, state);
    if (status == COMMY_STATUS_SUCCESS)
        cmy_store32_relaxed(&((cmy_block_shm_t *)cmy_record_at(actor->region, kind, *block))->home, service);
    return status;
}

void cmy_block_linked(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t block, uint64_t claimed)
{
    cmy_swap64_acq_rel(cmy_state_at(actor->region, kind, block), claimed,
                       cmy_state_with(claimed, CMY_NOBODY, CMY_LIVE));
}

void cmy_block_unlinked(cmy_actor_t *actor, cmy_slab_kind_t kind, uint64_t link)
{
    uint64_t state;
    /* CLAIMED may turn LIVE under our hands, once; so two tries are enough. */
    for (int turn = 0; turn < 2; turn++)
        if (!cmy_block_follow(actor->region, kind, link, &state) ||
            cmy_slab_release(actor, kind, cmy_link_block(link), state))
            return;
}

/* Whether the link of the block's home names it. */
static bool is_linked(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t block, uint64_t state)
{
    const cmy_block_shm_t *record = cmy_record_at(region, kind, block);
    uint32_t home = cmy_load32_relaxed(&record->home);
    if (!cmy_region_holds(region, CMY_SERVICES, home))
        return false;
    uint64_t link = cmy_load64_acquire(cmy_block_link(region, kind, home));
    return cmy_link_names_block(link) && cmy_link_block(link) == block && cmy_link_fits(link, state) &&
           cmy_link_large(link) == (kind == CMY_LARGE_TEXTS);
}

bool cmy_block_sweep(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t block,
                     bool (*dead)(cmy_region_t *region, uint32_t owner))
{
    cmy_region_t *region = actor->region;
    uint64_t state = cmy_load64_acquire(cmy_state_at(region, kind, block));
    cmy_phase_t phase = cmy_state_phase(state);
    if (phase == CMY_CLAIMED && !dead(region, cmy_state_owner(state)))
        return false;
    if (phase != CMY_CLAIMED && phase != CMY_LIVE)
        return false;
    if (!is_linked(region, kind, block, state))
        return cmy_slab_release(actor, kind, block, state);
    if (phase == CMY_CLAIMED)
        cmy_block_linked(actor, kind, block, state);
    return false;
}
