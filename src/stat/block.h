/*
 * Blocks: what hangs on a service by a link word (statistics, metadata).
 *
 *     link   63                43 42               23 22                1   0
 *           +--------------------+-------------------+-------------------+-----+
 *           | service version 21 | block version  20 | block number + 1  |large|
 *           +--------------------+-------------------+-------------------+-----+
 *
 *     FREE --claim--> CLAIMED(me) --link CAS, then--> LIVE --unlink CAS, then--> FREE, version + 1
 *
 * A block belongs to its claimer until the link names it, and to the link from then on, whether or not its state says LIVE
 * yet. Whoever takes it out of the link frees it, from CLAIMED or LIVE. What a crash leaves:
 *   killed before the link    CLAIMED by the dead, not linked: freed by the reaper
 *   killed after the link     CLAIMED by the dead, linked: made LIVE by the reaper
 *   killed after the unlink   LIVE or CLAIMED, not linked: freed by the reaper
 * Statistics are taken out of their link only by who finishes the service. So once the link of a service names a block of
 * statistics, it names that one for all this life of the service: pickers remember it (mesh/load.h).
 *
 * A LIVE block was linked once in this life of it, and never is again after it was unlinked: not linked is for good.
 *
 * The service's version in the link keeps a writer that was stopped from linking a block to the record's next tenant;
 * the block's version keeps a reader from following a link to the block's next tenant.
 */
#ifndef CMY_STAT_BLOCK_H
#define CMY_STAT_BLOCK_H

#include "slab/slab.h"

#define CMY_LINK_SERVICE_MASK 0x1fffffu
#define CMY_LINK_BLOCK_MASK 0xfffffu

/* No block, for one life of the service. Finishing a service leaves this word of the next life behind, so that a writer
 * that was stopped cannot link a block to a record that is FREE. */
static inline uint64_t cmy_link_none(uint64_t service_state)
{
    return (uint64_t)(cmy_state_version(service_state) & CMY_LINK_SERVICE_MASK) << 43;
}
static inline uint64_t cmy_link_to(uint64_t service_state, uint32_t block, uint64_t block_state, bool large)
{
    return cmy_link_none(service_state) | (uint64_t)(cmy_state_version(block_state) & CMY_LINK_BLOCK_MASK) << 23 |
           (uint64_t)(block + 1) << 1 | (uint64_t)large;
}
static inline bool cmy_link_of(uint64_t link, uint64_t service_state)
{
    return (uint32_t)(link >> 43) == (cmy_state_version(service_state) & CMY_LINK_SERVICE_MASK);
}
static inline bool cmy_link_names_block(uint64_t link)
{
    return (uint32_t)(link >> 1 & 0x3fffffu) != 0;
}
static inline uint32_t cmy_link_block(uint64_t link)
{
    return (uint32_t)(link >> 1 & 0x3fffffu) - 1;
}
static inline bool cmy_link_large(uint64_t link)
{
    return link & 1;
}
static inline bool cmy_link_fits(uint64_t link, uint64_t block_state)
{
    return (uint32_t)(link >> 23 & CMY_LINK_BLOCK_MASK) == (cmy_state_version(block_state) & CMY_LINK_BLOCK_MASK);
}

/*
 * Follows a link: the block, if it is within bounds and taken in the life that the link names; null otherwise. `state`
 * receives what to compare with afterwards: the content was the link's if the state's version still is the same.
 */
static inline cmy_block_shm_t *cmy_block_follow(const cmy_region_t *region, cmy_slab_kind_t kind, uint64_t link,
                                                uint64_t *state)
{
    if (!cmy_link_names_block(link) || !cmy_region_holds(region, kind, cmy_link_block(link)))
        return NULL;
    cmy_block_shm_t *block = cmy_record_at(region, kind, cmy_link_block(link));
    *state = cmy_load64_acquire(&block->state);
    cmy_phase_t phase = cmy_state_phase(*state);
    return (phase == CMY_CLAIMED || phase == CMY_LIVE) && cmy_link_fits(link, *state) ? block : NULL;
}

/* Whether a block that was followed is still in the life it was followed in. Preceded by an acquire fence. */
bool cmy_block_same(const cmy_block_shm_t *block, uint64_t state);

/* Claims a block for a service. Errors: FULL without a sentence, those of cmy_slab_claim(). */
commy_status_t cmy_block_claim(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t service, uint32_t *block,
                               uint64_t *state);

/* After the CAS that put the block into its link: CLAIMED -> LIVE. Losing it means that it was unlinked already. */
void cmy_block_linked(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t block, uint64_t claimed);

/* After the CAS that took a link out: frees the block that it named. Also gives back one that was never linked. */
void cmy_block_unlinked(cmy_actor_t *actor, cmy_slab_kind_t kind, uint64_t link);

/* The link word of a service that names blocks of a kind. */
static inline cmy_word64_t *cmy_block_link(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t service)
{
    return kind == CMY_STATS ? &cmy_service_at(region, service)->stats : &cmy_cold_at(region, service)->metadata;
}

/* A service's statistics block at one life of the service, its hot half, as cmy_block_follow() finds it; null where there is
 * none. link receives the link word, whatever it says. */
static inline cmy_stat_shm_t *cmy_stat_follow(const cmy_region_t *region, uint32_t service, uint64_t service_state,
                                              uint64_t *link, uint64_t *state)
{
    *link = cmy_load64_acquire(&cmy_service_at(region, service)->stats);
    return cmy_link_of(*link, service_state) ? (cmy_stat_shm_t *)cmy_block_follow(region, CMY_STATS, *link, state)
                                             : NULL;
}

/* The cold half, by the link word that named the block; and the hot half of a cold one. */
static inline cmy_tally_shm_t *cmy_tally_of(const cmy_region_t *region, uint64_t link)
{
    return cmy_tally_at(region, cmy_link_block(link));
}
static inline cmy_stat_shm_t *cmy_stat_of(const cmy_region_t *region, const cmy_tally_shm_t *tally)
{
    return cmy_stat_at(region, (uint32_t)(tally - region->tallies));
}

/* The cold half of a service's block, otherwise as cmy_stat_follow(). */
static inline cmy_tally_shm_t *cmy_tally_follow(const cmy_region_t *region, uint32_t service, uint64_t service_state,
                                                uint64_t *link)
{
    uint64_t state;
    return cmy_stat_follow(region, service, service_state, link, &state) ? cmy_tally_of(region, *link) : NULL;
}

/* The cold half without a look at the block, for who adds to it whosever it is by then; null while none is named. */
static inline cmy_tally_shm_t *cmy_tally_linked(const cmy_region_t *region, uint32_t service, uint64_t service_state)
{
    uint64_t link = cmy_load64_acquire(&cmy_service_at(region, service)->stats);
    bool named = cmy_link_of(link, service_state) && cmy_link_names_block(link) &&
                 cmy_region_holds(region, CMY_STATS, cmy_link_block(link));
    return named ? cmy_tally_of(region, link) : NULL;
}

/* Frees a block that is garbage, makes one LIVE that a dead claimer linked; returns whether it freed one. dead: whether
 * an owner is dead for certain. */
bool cmy_block_sweep(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t block,
                     bool (*dead)(cmy_region_t *region, uint32_t owner));

#endif /* CMY_STAT_BLOCK_H */
