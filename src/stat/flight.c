/* Requests in flight; see flight.h. */
#include "stat/flight.h"

#include "base/error.h"

#define RETRIES 100000u

static uint32_t further_of(uint32_t slot)
{
    return (slot - CMY_STAT_CELLS) / CMY_FURTHER_CELLS;
}

/* Record of cells that a number names, if it is one; null otherwise. */
static cmy_cells_shm_t *cells_of(const cmy_region_t *region, uint32_t number)
{
    if (number == 0 || !cmy_region_holds(region, CMY_CELLS, number - 1))
        return NULL;
    return cmy_record_at(region, CMY_CELLS, number - 1);
}

/* A slot's cell in a block; null where no record holds it yet. */
static cmy_word64_t *cell_at(const cmy_region_t *region, cmy_stat_shm_t *stat, uint32_t slot)
{
    if (slot < CMY_STAT_CELLS)
        return &stat->cell[slot];
    cmy_cells_shm_t *cells = cells_of(region, cmy_load32_acquire(&stat->further[further_of(slot)]));
    return cells ? &cells->cell[(slot - CMY_STAT_CELLS) % CMY_FURTHER_CELLS] : NULL;
}

/* ------------------------------------------------------------------ records of cells */

static commy_status_t no_cells(const cmy_region_t *region)
{
    return cmy_fail(
        COMMY_STATUS_FULL,
        "region %s/%s is full: %u of %u records for requests in flight; create one with a larger --capacity",
        region->dir, region->mesh, region->layout.slab[CMY_CELLS].limit, region->layout.slab[CMY_CELLS].limit);
}

/* Gives a block the cells of a slot, or finds that somebody else has. */
static commy_status_t attach_cells(cmy_actor_t *actor, uint32_t block, uint32_t slot)
{
    cmy_region_t *region = actor->region;
    cmy_word32_t *word = &cmy_stat_at(region, block)->further[further_of(slot)];
    uint32_t number, seen = cmy_load32_acquire(word);
    uint64_t claimed;
    if (seen != 0)
        return cells_of(region, seen)
                   ? COMMY_STATUS_SUCCESS
                   : cmy_fail(COMMY_STATUS_CORRUPT,
                              "region %s/%s is damaged: statistics block %u names cells that are not there; "
                              "run `commy check`",
                              region->dir, region->mesh, block);
    commy_status_t status = cmy_slab_claim(actor, CMY_CELLS, &number, &claimed);
    if (status == COMMY_STATUS_FULL)
        return no_cells(region);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_cells_shm_t *cells = cmy_record_at(region, CMY_CELLS, number);
    cmy_store32_relaxed(&cells->block.home, block);
    cmy_store32_relaxed(&cells->block.bytes, further_of(slot));
    if (cmy_swap32_acq_rel(word, 0, number + 1))
        cmy_swap64_acq_rel(&cells->block.state, claimed, cmy_state_with(claimed, CMY_NOBODY, CMY_LIVE));
    else
        cmy_slab_release(actor, CMY_CELLS, number, claimed);
    return COMMY_STATUS_SUCCESS;
}

bool cmy_flight_linked(const cmy_region_t *region, uint32_t block, uint32_t number)
{
    if (!cmy_region_holds(region, CMY_STATS, block))
        return false;
    for (uint32_t i = 0; i < CMY_STAT_FURTHER; i++)
        if (cmy_load32_acquire(&cmy_stat_at(region, block)->further[i]) == number + 1)
            return true;
    return false;
}

void cmy_flight_sweep(cmy_actor_t *actor, uint32_t number, bool (*dead)(cmy_region_t *region, uint32_t owner))
{
    cmy_region_t *region = actor->region;
    cmy_cells_shm_t *cells = cmy_record_at(region, CMY_CELLS, number);
    uint64_t state = cmy_load64_acquire(&cells->block.state);
    if (cmy_state_phase(state) != CMY_CLAIMED || !dead(region, cmy_state_owner(state)))
        return;
    /* The link, if the dead made it, is there for good; home may be what an earlier claimer left: it was not linked. */
    if (cmy_flight_linked(region, cmy_load32_relaxed(&cells->block.home), number))
        cmy_swap64_acq_rel(&cells->block.state, state, cmy_state_with(state, CMY_NOBODY, CMY_LIVE));
    else
        cmy_slab_release(actor, CMY_CELLS, number, state);
}

/* ------------------------------------------------------------------ beginning */

/* One request more in a cell. mine: what the cell is, but for the count. */
static commy_status_t count_up(cmy_word64_t *cell, const cmy_stat_shm_t *stat, uint64_t state, uint64_t mine)
{
    uint64_t seen = cmy_load64_acquire(cell);
    for (uint32_t turn = 0; turn < RETRIES; turn++) {
        uint64_t to = seen + 1;
        if (!cmy_flight_fits(seen, mine)) {
            /* Of another life. Ours is the latest if the block still is in it: acquire, in the load or the CAS, pairs with
             * the CAS of a thread of ours that had seen the block in a later one. */
            if (!cmy_block_same(&stat->block, state))
                return COMMY_STATUS_NOT_FOUND;
            to = mine | 1;
        } else if (cmy_flight_count_of(seen) == CMY_FLIGHT_COUNT_MAX) {
            return cmy_fail(COMMY_STATUS_LIMIT, "%u requests of this handle to one service are in flight; end some",
                            CMY_FLIGHT_COUNT_MAX);
        }
        if (cmy_cas64_acq_rel(cell, &seen, to))
            return COMMY_STATUS_SUCCESS;
    }
    return cmy_fail(COMMY_STATUS_BUSY,
                    "other threads changed the count of requests in flight %u times meanwhile; try again", RETRIES);
}

/* In a block that was followed. */
static commy_status_t begin_at(cmy_actor_t *actor, cmy_stat_shm_t *stat, uint64_t state, cmy_flight_t *flight)
{
    uint32_t slot = cmy_owner_slot(actor->owner);
    cmy_word64_t *cell = cell_at(actor->region, stat, slot);
    if (!cell) {
        commy_status_t status = attach_cells(actor, cmy_link_block(flight->link), slot);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
        cell = cell_at(actor->region, stat, slot);
    }
    if (!cell)
        return COMMY_STATUS_NOT_FOUND; /* a number that was there and is not: bytes that make no sense */
    flight->cell = cmy_flight_cell(actor->owner, state, 0);
    return count_up(cell, stat, state, flight->cell);
}

commy_status_t cmy_flight_begin(cmy_actor_t *actor, uint32_t service, uint64_t service_state, cmy_flight_t *flight)
{
    flight->service = service;
    for (int turn = 0; turn < 2; turn++) {
        uint64_t state = 0;
        cmy_stat_shm_t *stat = cmy_stat_follow(actor->region, service, service_state, &flight->link, &state);
        if (stat)
            return begin_at(actor, stat, state, flight);
        commy_status_t status = cmy_stat_attach(actor, service, service_state, flight->link);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
    }
    return COMMY_STATUS_NOT_FOUND; /* attached, and gone again before it could be used */
}

/* ------------------------------------------------------------------ ending */

static void count_down(cmy_word64_t *cell, uint64_t mine)
{
    uint64_t seen = cmy_load64_acquire(cell);
    for (uint32_t turn = 0; turn < RETRIES && cmy_flight_fits(seen, mine) && cmy_flight_count_of(seen) > 0; turn++)
        if (cmy_cas64_acq_rel(cell, &seen, seen - 1))
            return;
}

void cmy_flight_drop(cmy_actor_t *actor, const cmy_flight_t *flight)
{
    cmy_stat_shm_t *stat = cmy_stat_at(actor->region, cmy_link_block(flight->link));
    cmy_word64_t *cell = cell_at(actor->region, stat, cmy_owner_slot(actor->owner));
    if (cell)
        count_down(cell, flight->cell);
}

cmy_tally_shm_t *cmy_flight_end(cmy_actor_t *actor, const cmy_flight_t *flight, uint64_t latency_ns, bool success)
{
    cmy_region_t *region = actor->region;
    cmy_tally_shm_t *tally = NULL;
    if (cmy_load64_acquire(cmy_block_link(region, CMY_STATS, flight->service)) == flight->link) {
        tally = cmy_tally_of(region, flight->link);
        cmy_counter_add(region, flight->link, latency_ns, success);
    } else {
        cmy_counter_add_stray(region, latency_ns, success);
    }
    cmy_flight_drop(actor, flight);
    return tally;
}

/* ------------------------------------------------------------------ reading */

/* Cells of the slots from `slot` on that count: those of the living, at this life of the block. */
static uint32_t sum(const cmy_region_t *region, const cmy_word64_t *cells, uint32_t count, uint32_t slot,
                    uint64_t state)
{
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < count && slot + i < COMMY_LIMIT_PARTICIPANTS; i++) {
        uint64_t cell = cmy_load64_acquire(&cells[i]); /* before the life */
        uint32_t owner = cmy_owner(slot + i, cmy_flight_incarnation(cell));
        if (cmy_flight_count_of(cell) != 0 && cmy_flight_fits(cell, cmy_flight_cell(owner, state, 0)) &&
            cmy_life_alive(region, owner))
            in_flight += cmy_flight_count_of(cell);
    }
    return in_flight;
}

uint32_t cmy_flight_count_block(const cmy_region_t *region, const cmy_stat_shm_t *stat, uint64_t state)
{
    uint32_t in_flight = sum(region, stat->cell, CMY_STAT_CELLS, 0, state);
    for (uint32_t i = 0; i < CMY_STAT_FURTHER; i++) {
        const cmy_cells_shm_t *cells = cells_of(region, cmy_load32_acquire(&stat->further[i]));
        if (cells)
            in_flight += sum(region, cells->cell, CMY_FURTHER_CELLS, CMY_STAT_CELLS + i * CMY_FURTHER_CELLS, state);
    }
    return in_flight;
}

uint32_t cmy_flight_count(const cmy_region_t *region, uint32_t service, uint64_t service_state)
{
    uint64_t link, state;
    const cmy_stat_shm_t *stat = cmy_stat_follow(region, service, service_state, &link, &state);
    return stat ? cmy_flight_count_block(region, stat, state) : 0;
}

/* ------------------------------------------------------------------ forgetting */

static void forget(cmy_word64_t *cell, uint32_t owner)
{
    uint64_t seen = cell ? cmy_load64_acquire(cell) : 0;
    if (seen != 0 && cmy_flight_incarnation(seen) == cmy_owner_incarnation(owner))
        cmy_swap64_acq_rel(cell, seen, 0);
}

void cmy_flight_forget(cmy_region_t *region, const uint32_t *owners, uint32_t count)
{
    uint32_t blocks = cmy_region_reserved_again(region, CMY_STATS);
    for (uint32_t block = 0; block < blocks; block++)
        for (uint32_t i = 0; i < count; i++)
            forget(cell_at(region, cmy_stat_at(region, block), cmy_owner_slot(owners[i])), owners[i]);
}
