/*
 * Claiming and releasing records; see slab.h.
 *
 * claim:    set the bit, then CAS the state. Killed in between: the bit hides a FREE record until a repair.
 * release:  CAS the state, then clear the bit. Killed in between: the same.
 * The bit operations are acq_rel: whoever sees a bit cleared by a release sees the record FREE.
 * repair:   FREE record, bit set: clear it. Raced by a claimer between its bit and its CAS: the record is claimed under
 *           a clear bit, which the next claimer to come sets again.
 */
#include "slab/slab.h"

#define BITS 64u

typedef bool cmy_take_fn(cmy_actor_t *actor, cmy_word64_t *word, uint64_t *state);

static bool take_claim(cmy_actor_t *actor, cmy_word64_t *word, uint64_t *state)
{
    uint64_t seen = cmy_load64_acquire(word);
    if (cmy_state_phase(seen) != CMY_FREE)
        return false;
    *state = cmy_state_with(seen, actor->owner, CMY_CLAIMED);
    if (!cmy_swap64_acq_rel(word, seen, *state))
        return false;
    cmy_fence_release(); /* pairs with the acquire fence before every reader's second look at the state */
    return true;
}

static bool take_pick(cmy_actor_t *actor, cmy_word64_t *word, uint64_t *state)
{
    (void)actor;
    *state = cmy_load64_acquire(word);
    return cmy_state_phase(*state) == CMY_FREE;
}

/* Looks for a clear bit among `records`, from the cursor once around. */
static bool search(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t records, cmy_take_fn *take, uint32_t *index,
                   uint64_t *state)
{
    uint32_t words = (records + BITS - 1) / BITS;
    uint32_t from = atomic_load_explicit(&actor->cursor[kind], memory_order_relaxed) / BITS;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t w = (from + i) % words;
        cmy_word64_t *map = cmy_slab_map(actor->region, kind, w * BITS);
        uint64_t valid = records - w * BITS >= BITS ? ~0ull : (1ull << (records - w * BITS)) - 1;
        uint64_t clear = ~cmy_load64_relaxed(map) & valid;
        while (clear != 0) {
            uint64_t bit = clear & -clear;
            clear &= ~bit;
            if (cmy_or64_acq_rel(map, bit) & bit)
                continue;
            *index = w * BITS + (uint32_t)__builtin_ctzll(bit);
            if (take(actor, cmy_state_at(actor->region, kind, *index), state)) {
                atomic_store_explicit(&actor->cursor[kind], *index, memory_order_relaxed);
                return true;
            }
        }
    }
    return false;
}

static commy_status_t take_record(cmy_actor_t *actor, cmy_slab_kind_t kind, cmy_take_fn *take, uint32_t *index,
                                  uint64_t *state)
{
    const cmy_slab_layout_t *slab = &actor->region->layout.slab[kind];
    /* Each turn but two ends with a larger slab, so the turns are bounded by its chunks. */
    for (uint32_t turn = 0; turn < slab->limit / slab->chunk + 4; turn++) {
        uint32_t records = cmy_region_reserved_again(actor->region, kind);
        if (records > 0 && search(actor, kind, records, take, index, state))
            return COMMY_STATUS_SUCCESS;
        commy_status_t status = cmy_region_grow(actor->region, kind, records);
        if (status == COMMY_STATUS_SUCCESS)
            atomic_store_explicit(&actor->cursor[kind], records, memory_order_relaxed);
        else if (cmy_slab_repair(actor->region, kind) == 0)
            return status; /* full, or no memory for more, and nothing hidden */
    }
    return COMMY_STATUS_FULL;
}

commy_status_t cmy_slab_claim(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t *index, uint64_t *state)
{
    return take_record(actor, kind, take_claim, index, state);
}

commy_status_t cmy_slab_pick(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t *index, uint64_t *state)
{
    return take_record(actor, kind, take_pick, index, state);
}

bool cmy_slab_release(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t index, uint64_t from)
{
    if (!cmy_swap64_acq_rel(cmy_state_at(actor->region, kind, index), from, cmy_state_released(from)))
        return false;
    cmy_slab_hint_free(actor, kind, index);
    return true;
}

void cmy_slab_hint_free(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t index)
{
    cmy_and64_acq_rel(cmy_slab_map(actor->region, kind, index), ~(1ull << index % BITS));
    atomic_store_explicit(&actor->cursor[kind], index, memory_order_relaxed);
}

uint32_t cmy_slab_repair(const cmy_region_t *region, cmy_slab_kind_t kind)
{
    uint32_t wrong = 0, records = cmy_region_reserved_again(region, kind);
    for (uint32_t base = 0; base < records; base += BITS) {
        cmy_word64_t *map = cmy_slab_map(region, kind, base);
        uint64_t set = cmy_load64_relaxed(map);
        for (; set != 0; set &= set - 1) {
            uint32_t index = base + (uint32_t)__builtin_ctzll(set);
            if (index >= records)
                break;
            if (cmy_state_phase(cmy_load64_relaxed(cmy_state_at(region, kind, index))) != CMY_FREE)
                continue;
            cmy_and64_acq_rel(map, ~(1ull << index % BITS));
            wrong++;
        }
    }
    return wrong;
}
