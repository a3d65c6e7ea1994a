/* Reaping the dead; see reap.h. */
#include "reap/reap.h"

#include "event/event.h"
#include "reap/lease.h"

#define RETRIES 100000u

/* Slots that are DEAD, as they were when the run began; `fresh` of them this actor has not reaped before. */
typedef struct cmy_dead {
    uint32_t count, fresh;
    uint16_t slot[COMMY_LIMIT_PARTICIPANTS];
    uint64_t phase[COMMY_LIMIT_PARTICIPANTS];
} cmy_dead_t;

static void list_dead(cmy_actor_t *actor, bool certify, cmy_dead_t *dead)
{
    cmy_region_t *region = actor->region;
    dead->count = dead->fresh = 0;
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        uint64_t phase = cmy_load64_acquire(&region->life[slot].phase);
        if (cmy_life_phase(phase) == CMY_SLOT_FREE)
            continue;
        if (certify)
            cmy_life_certify(region, slot);
        else
            cmy_life_dead(region, cmy_owner(slot, cmy_life_incarnation(phase))); /* moves a marked one to DEAD */
        phase = cmy_load64_acquire(&region->life[slot].phase);
        if (cmy_life_phase(phase) != CMY_SLOT_DEAD)
            continue;
        /* Once more when the mark has come: until then threads of a process that dumps core might still have acted. */
        dead->fresh += atomic_load_explicit(&actor->reaped[slot], memory_order_relaxed) != phase ||
                       (cmy_load32_acquire(&region->life[slot].word) & FUTEX_OWNER_DIED) != 0;
        dead->slot[dead->count] = (uint16_t)slot;
        dead->phase[dead->count++] = phase;
    }
}

static bool owned_by_dead(cmy_region_t *region, uint64_t state)
{
    return cmy_state_owner(state) != CMY_NOBODY && cmy_life_dead(region, cmy_state_owner(state));
}

static uint32_t reap_services(cmy_actor_t *actor)
{
    uint32_t reaped = 0, records = cmy_region_reserved_again(actor->region, CMY_SERVICES);
    for (uint32_t record = 0; record < records; record++) {
        cmy_word64_t *word = &cmy_service_at(actor->region, record)->state;
        uint64_t state = cmy_load64_acquire(word);
        /* Losing the CAS means that a helper published it or another reaper took it: look again. */
        for (uint32_t turn = 0; turn < RETRIES; turn++) {
            if (cmy_state_phase(state) == CMY_FREE || !owned_by_dead(actor->region, state))
                break;
            reaped += cmy_service_retire(actor, record, state);
            state = cmy_load64_acquire(word);
        }
    }
    return reaped;
}

static uint32_t reap_groups(cmy_actor_t *actor)
{
    uint32_t reaped = 0, records = cmy_region_reserved_again(actor->region, CMY_GROUPS);
    for (uint32_t record = 0; record < records; record++) {
        cmy_word64_t *word = &cmy_group_at(actor->region, record)->state;
        uint64_t state = cmy_load64_acquire(word);
        for (uint32_t turn = 0; turn < RETRIES; turn++) {
            cmy_phase_t phase = cmy_state_phase(state);
            if ((phase != CMY_CLAIMED && phase != CMY_DYING) || !owned_by_dead(actor->region, state))
                break;
            uint64_t dying = cmy_state_with(state, actor->owner, CMY_DYING);
            if (cmy_swap64_acq_rel(word, state, dying)) {
                cmy_group_finish(actor, record, dying);
                reaped++;
            }
            state = cmy_load64_acquire(word);
        }
    }
    return reaped;
}

static uint32_t sweep_blocks(cmy_actor_t *actor, cmy_slab_kind_t kind)
{
    uint32_t freed = 0, blocks = cmy_region_reserved_again(actor->region, kind);
    for (uint32_t block = 0; block < blocks; block++)
        freed += cmy_block_sweep(actor, kind, block, cmy_life_dead);
    return freed;
}

/* What the dead had in flight counts no more since they died; here it goes before a slot is another's. */
static void reap_requests(cmy_actor_t *actor, const cmy_dead_t *dead)
{
    uint32_t records = cmy_region_reserved_again(actor->region, CMY_CELLS);
    for (uint32_t number = 0; number < records; number++)
        cmy_flight_sweep(actor, number, cmy_life_dead);
    uint32_t owners[COMMY_LIMIT_PARTICIPANTS];
    for (uint32_t i = 0; i < dead->count; i++)
        owners[i] = cmy_owner(dead->slot[i], cmy_life_incarnation(dead->phase[i]));
    cmy_flight_forget(actor->region, owners, dead->count);
}

/* Gives back all records of whoever is dead. */
static void reap_records(cmy_actor_t *actor, const cmy_dead_t *dead, commy_reap_report_t *report)
{
    report->services += reap_services(actor);
    report->groups += reap_groups(actor);
    report->blocks +=
        sweep_blocks(actor, CMY_STATS) + sweep_blocks(actor, CMY_SMALL_TEXTS) + sweep_blocks(actor, CMY_LARGE_TEXTS);
    reap_requests(actor, dead);
    for (int kind = 0; kind < CMY_SLABS; kind++)
        cmy_slab_repair(actor->region, (cmy_slab_kind_t)kind);
    cmy_lease_note_all(actor->region);
    cmy_wait_announce_all(actor->region); /* also for changes that the dead made and did not announce */
}

/* Whoever frees the slot tells that its tenant died, if it did not say before that it leaves. */
static void free_slot(cmy_region_t *region, uint32_t slot, uint64_t phase)
{
    cmy_event_node_t node;
    cmy_event_of_participant(region, slot, COMMY_EVENT_DIED, &node);
    bool left = cmy_load32_relaxed(&region->participants[slot].leaves) != 0;
    if (cmy_life_free(region, slot, phase) && !left)
        cmy_event_record_source(region, &node.source);
}

static bool reap_dead(cmy_actor_t *actor, bool certify, commy_reap_report_t *report)
{
    cmy_dead_t dead;
    list_dead(actor, certify, &dead);
    if (dead.fresh > 0)
        reap_records(actor, &dead, report);
    report->participants += dead.fresh;
    for (uint32_t i = 0; i < dead.count; i++) {
        atomic_store_explicit(&actor->reaped[dead.slot[i]], dead.phase[i], memory_order_relaxed);
        free_slot(actor->region, dead.slot[i], dead.phase[i]);
    }
    return dead.fresh > 0;
}

bool cmy_reap(cmy_actor_t *actor, bool certify, commy_reap_report_t *report)
{
    commy_reap_report_t unwanted = {0};
    if (!report)
        report = &unwanted;
    bool died = reap_dead(actor, certify, report);
    uint32_t expired = cmy_reap_leases(actor);
    report->services += expired;
    return died || expired > 0;
}

void cmy_reap_own(cmy_actor_t *actor)
{
    uint32_t records = cmy_region_reserved_again(actor->region, CMY_SERVICES);
    for (uint32_t record = 0; record < records; record++) {
        uint64_t state = cmy_load64_acquire(&cmy_service_at(actor->region, record)->state);
        if (cmy_state_phase(state) == CMY_LIVE && cmy_state_owner(state) == actor->owner)
            cmy_service_give_up(actor, record, state);
    }
    cmy_flight_forget(actor->region, &actor->owner, 1);
}
