/*
 * Requests in flight: how many each participant has begun at a service and not ended.
 *
 * A service's statistics block has a cell for each participant slot: seven in the block, others in records of 86 that are
 * linked to the block when the first participant needs one. A cell holds a count, and of whom: the incarnation of the
 * slot's tenant, and the version of the block (cmy_stat_shm_t). What is in flight is the sum of the cells that have the
 * block's version and whose tenant is alive. So
 *
 * a. The requests of who dies are gone at the instant of its death, and nobody undoes anything: whoever reads the cell
 *    looks at the life behind it.
 * b. A cell has one possible writer at any time: the slot's tenant, whose threads take turns by CAS. The tenant before
 *    has no thread any more (it left: the gate was drained; it died: the process is gone).
 * c. Nothing can drift: a request is raised and lowered in one cell at one life of the block, or is out of date.
 *
 *     cell   old --begin--> (me, v, 1) --begin--> (me, v, 2) --end--> (me, v, 1) --end--> (me, v, 0)
 *                 `---- old: 0, or of another incarnation or version            \--- my death: out of date
 *
 *   begin      killed before its CAS: not begun. After: in flight until the death, which is now.
 *              Stopped before its CAS, the service goes meanwhile: the CAS succeeds only if no thread of mine began
 *              in the block's next life, and makes a cell of a former version, which does not count. Not the other way
 *              round either: version v is written over another only if the block still is at v, looked at after the cell.
 *   end        killed before its CAS: as above. Raced by the end of the service: lowers what does not count, or
 *              finds another version and leaves it alone.
 *   death      the reaper sets the dead's cells to 0 before its slot is freed, so that 2^20 tenants later none counts
 *              again. Killed before, in between: another reaper does it. Stopped before its CAS: that expects what the
 *              dead wrote, and nobody writes that again.
 *   leave      its cells are set to 0 likewise, when the gate is drained.
 *   linking    a record of cells is claimed, and linked by a CAS from 0; the loser frees its own. Links stay, so that
 *              a number read once is right for ever. Killed in between: see cmy_cells_shm_t.
 *
 * Bounds: 1,024 participants, 65,535 requests of one at one service; 704 bytes for each 86 slots beyond the seventh that a
 * service was ever used from, given back only with the region; twice the capacity and 64 of these. A participant takes the
 * lowest free slot, so that on a host of seven participants a reader looks at two lines of the block and the life words of
 * those who have something in flight.
 *
 * Progress: begin and end are lock-free, and retry only when another thread of the process was faster; reading is
 * wait-free, one pass over at most 1,024 cells.
 */
#ifndef CMY_STAT_FLIGHT_H
#define CMY_STAT_FLIGHT_H

#include "life/life.h"
#include "stat/counter.h"

#define CMY_FLIGHT_COUNT_MAX 0xffffu

/* Cells. */
static inline uint64_t cmy_flight_cell(uint32_t owner, uint64_t block_state, uint32_t count)
{
    return (uint64_t)cmy_owner_incarnation(owner) << 44 |
           (uint64_t)(cmy_state_version(block_state) & 0xfffffffu) << 16 | (count & CMY_FLIGHT_COUNT_MAX);
}
static inline uint32_t cmy_flight_count_of(uint64_t cell)
{
    return (uint32_t)cell & CMY_FLIGHT_COUNT_MAX;
}
static inline uint32_t cmy_flight_incarnation(uint64_t cell)
{
    return (uint32_t)(cell >> 44);
}
/* Whether two cells differ in the count at most: of one tenant, at one life of a block. */
static inline bool cmy_flight_fits(uint64_t cell, uint64_t other)
{
    return (cell ^ other) >> 16 == 0;
}

/* Whether a cell is of a life of its block that has not begun. */
static inline bool cmy_flight_ahead(uint64_t cell, uint64_t block_state)
{
    uint32_t lives = ((uint32_t)(cell >> 16) - cmy_state_version(block_state)) & 0xfffffffu;
    return lives != 0 && lives < 1u << 27;
}

/* One request that was begun: of which service, linked to which block, and what its cell is but for the count. */
typedef struct cmy_flight {
    uint32_t service;
    uint64_t link, cell;
} cmy_flight_t;

/*
 * Begins a request to a service in a given LIVE state. Errors: NOT_FOUND without a sentence (the record's life ended);
 * FULL, CORRUPT, BUSY and LIMIT with one; those of cmy_slab_claim(). On failure nothing is in flight.
 */
commy_status_t cmy_flight_begin(cmy_actor_t *actor, uint32_t service, uint64_t service_state, cmy_flight_t *flight);

/* Ends it: counts it as cmy_counter_report() does, in the mesh's totals only if its service has gone, and lowers its cell.
 * By the actor that began it, in the same incarnation, once. Returns the cold half of the block that it is counted in; null: none. */
cmy_tally_shm_t *cmy_flight_end(cmy_actor_t *actor, const cmy_flight_t *flight, uint64_t latency_ns, bool success);

/* Takes it back: it was not begun. */
void cmy_flight_drop(cmy_actor_t *actor, const cmy_flight_t *flight);

/* What is in flight at a block in a given state. */
uint32_t cmy_flight_count_block(const cmy_region_t *region, const cmy_stat_shm_t *stat, uint64_t state);

/* What is in flight at a service. Followed by cmy_service_same(). */
uint32_t cmy_flight_count(const cmy_region_t *region, uint32_t service, uint64_t service_state);

/* Sets all cells of owners that are dead, or have no thread at work any more, to 0. One pass over the blocks. */
void cmy_flight_forget(cmy_region_t *region, const uint32_t *owners, uint32_t count);

/* Frees a record of cells that a dead claimer did not link, makes one LIVE that it did. dead: as cmy_block_sweep(). */
void cmy_flight_sweep(cmy_actor_t *actor, uint32_t number, bool (*dead)(cmy_region_t *region, uint32_t owner));

/* Whether a statistics block links to a record of cells. */
bool cmy_flight_linked(const cmy_region_t *region, uint32_t block, uint32_t number);

#endif /* CMY_STAT_FLIGHT_H */
