/* The audit of what every region has one of, or a fixed number: header, marks, free maps, participants, stripes. */
#include "registry/check.h"

#include <inttypes.h>

#include "base/text.h"
#include "event/event.h"
#include "stat/breaker.h"

/* ----------------------------------------------------------------- header */

/* What the maker wrote was compared when the region was attached, with what this library expects, and is constant. */
void cmy_check_header(cmy_audit_t *audit, uint32_t index)
{
    const cmy_region_t *region = audit->region;
    const cmy_header_shm_t *header = region->header;
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_HEADER, index, NULL, 0);
    const struct {
        const char *what;
        uint64_t is, should;
    } words[] = {
        {"magic", header->magic, CMY_MAGIC},
        {"layout version", header->layout_version, CMY_LAYOUT_VERSION},
        {"byte order", header->byte_order, CMY_BYTE_ORDER},
        {"layout fingerprint", header->fingerprint, cmy_layout_fingerprint()},
        {"size", header->region_bytes, region->layout.region_bytes},
        {"capacity", header->capacity, region->layout.capacity},
        {"seed", header->seed, region->seed},
        {"device", header->device, region->device},
        {"inode", header->inode, region->inode},
        {"time of making", header->created_at_ns, region->created_at_ns},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].is != words[i].should)
            cmy_look_wrong(&look, "its %s is %#" PRIx64 ", and was %#" PRIx64 " when the region was attached to",
                           words[i].what, words[i].is, words[i].should);
    const cmy_rules_t rules = cmy_rules(region);
    if (cmy_load64_acquire(&header->breaker_rules) != 0 && !cmy_rules_make_sense(&rules))
        cmy_look_wrong(&look, "its circuit breakers are configured to something that cannot be given");
}

/* ------------------------------------------------------- marks and free maps */

static void check_mark(const cmy_look_t *look)
{
    const cmy_slab_layout_t *slab = &look->region->layout.slab[look->index];
    /* The private copy first: the mark may go up in between, never below what it was seen at. */
    uint32_t before = cmy_region_reserved(look->region, (cmy_slab_kind_t)look->index);
    uint64_t mark = cmy_load64_acquire(&look->region->header->reserved[look->index]);
    if (mark > slab->limit)
        cmy_look_wrong(look, "%" PRIu64 " records are marked reserved, of %u that it has", mark, slab->limit);
    else if (mark < before)
        cmy_look_wrong(look, "%" PRIu64 " records are marked reserved, fewer than before", mark);
    else if (mark != slab->limit && mark % slab->chunk != 0)
        cmy_look_wrong(look, "%" PRIu64 " records are marked reserved, which is not a whole number of chunks of %u",
                       mark, slab->chunk);
}

/* Bits of records that are not reserved yet. Claimers see the mark before they set a bit, so it is read after the bits.
 * */
static void check_tail(const cmy_look_t *look)
{
    cmy_slab_kind_t kind = (cmy_slab_kind_t)look->index;
    uint32_t limit = look->region->layout.slab[kind].limit;
    uint32_t from = cmy_region_reserved_again(look->region, kind);
    for (uint32_t base = from / 64 * 64; base < limit; base += 64) {
        uint64_t set = cmy_load64_relaxed(cmy_slab_map(look->region, kind, base));
        if (set == 0)
            continue;
        cmy_fence_acquire();
        uint32_t reserved = cmy_region_reserved_again(look->region, kind);
        for (; set != 0; set &= set - 1) {
            uint32_t index = base + (uint32_t)__builtin_ctzll(set);
            if (index >= reserved)
                cmy_look_wrong(look, "the free map says that record %u is taken, which is not reserved", index);
        }
    }
}

void cmy_check_slab(cmy_audit_t *audit, uint32_t kind)
{
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_SLAB, kind, NULL, 0);
    check_mark(&look);
    check_tail(&look);
}

/* ------------------------------------------------------------- participants */

/* A tenant's details are constant from ARMED until the slot is FREE, and its word from before ARMED until the mark. */
static void check_tenant(const cmy_look_t *look)
{
    const cmy_participant_shm_t *tenant = &look->region->participants[look->index];
    uint64_t namespace_inode = cmy_load64_relaxed(&tenant->pid_namespace);
    uint32_t word = cmy_load32_acquire(&look->region->life[look->index].word), tid = cmy_life_tid(look->seen);
    char node_id[sizeof tenant->node_id + 1];

    if (tid == 0)
        cmy_look_wrong(look, "is taken, but names no keeper");
    if (word != (tid | FUTEX_WAITERS) && (word & ~FUTEX_WAITERS) != FUTEX_OWNER_DIED)
        cmy_look_wrong(look, "its life word is %#x, which is neither its keeper's (%u) nor the kernel's mark", word,
                       tid);
    if (cmy_life_word(0, namespace_inode, 0, 0) != cmy_life_word(0, cmy_life_space(look->seen), 0, 0))
        cmy_look_wrong(look, "its PID namespace is not the one that its phase word names");
    if (cmy_load32_relaxed(&tenant->pid) == 0)
        cmy_look_wrong(look, "its process id is 0");
    if (cmy_load32_relaxed(&tenant->listen_port) > UINT16_MAX)
        cmy_look_wrong(look, "its port is %u", cmy_load32_relaxed(&tenant->listen_port));
    if (cmy_load32_relaxed(&tenant->leaves) > 1)
        cmy_look_wrong(look, "whether it leaves is %u", cmy_load32_relaxed(&tenant->leaves));
    if (cmy_load64_relaxed(&tenant->joined_at_ns) == 0)
        cmy_look_wrong(look, "it never joined, says its time of joining");
    if (cmy_check_text(look, "node id", tenant->node_id, sizeof tenant->node_id / sizeof tenant->node_id[0],
                       CMY_ANY_BYTES, 1, false, node_id) &&
        cmy_text_check_token("node id", node_id, NULL) != COMMY_STATUS_SUCCESS)
        cmy_look_wrong(look, "its node id could not have been given: %s", commy_last_error_message());
}

void cmy_check_slot(cmy_audit_t *audit, uint32_t slot)
{
    const cmy_life_shm_t *life = &audit->region->life[slot];
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_SLOT, slot, &life->phase, ~0ull);
    switch (cmy_life_phase(look.seen)) {
    case CMY_SLOT_FREE:
        if (look.seen != 0 && look.seen != cmy_life_word(CMY_SLOT_FREE, 0, cmy_life_incarnation(look.seen), 0))
            cmy_look_wrong(&look, "is FREE, but names a keeper");
        break;
    case CMY_SLOT_JOINING:
        if (cmy_life_tid(look.seen) == 0)
            cmy_look_wrong(&look, "is taken, but names no keeper");
        break;
    case CMY_SLOT_ARMED:
    case CMY_SLOT_LEAVING:
        check_tenant(&look);
        break;
    case CMY_SLOT_DEAD:
        break;
    default:
        cmy_look_wrong(&look, "is in phase %u, which there is not", (unsigned)cmy_life_phase(look.seen));
    }
    if (cmy_load32_relaxed(&life->reserved) != 0)
        cmy_look_wrong(&look, "its reserved word is not 0");
    if (audit->quiescent &&
        cmy_check_standing(audit->region, cmy_owner(slot, cmy_life_incarnation(look.seen))) == CMY_STANDING_DEAD)
        cmy_look_wrong(&look, "is dead and was not reaped");
}

/* ---------------------------------------------------------------- stripes */

/* Who sleeps read the version first, and it only grows: what they wait for is one more than it at most. */
void cmy_check_stripe(cmy_audit_t *audit, uint32_t number)
{
    const cmy_stripe_shm_t *stripe = &audit->region->stripes[number];
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_STRIPE, number, NULL, 0);
    uint64_t waiting = cmy_load64_acquire(&stripe->waiting); /* pairs with the CAS that set it */
    uint64_t version = cmy_load64_relaxed(&stripe->version);
    if (waiting > version + 1)
        cmy_look_wrong(&look, "somebody waits for version %" PRIu64 ", which is not there yet", waiting);
}

/* ----------------------------------------------------------------- events */

/* A ticket is given by the cursor, for one place, before the entry is claimed with it. What stands in an entry may be torn
 * by a writer that was stopped for a round of the ring; what reads as whole was written so, but for who wrote it. */
void cmy_check_event(cmy_audit_t *audit, uint32_t place)
{
    const cmy_event_ring_shm_t *ring = &audit->region->events[place / CMY_EVENT_ENTRIES];
    uint32_t number = place % CMY_EVENT_ENTRIES;
    cmy_look_t look = cmy_look_begin(audit, CMY_SUBJECT_EVENT, place, &ring->entry[number].ticket, ~0ull);
    uint64_t ticket = look.seen >> 1, next = cmy_load64_acquire(&ring->cursor);
    cmy_event_t event;
    if (look.seen == 0)
        return;
    if (ticket == 0 || (ticket - 1) % CMY_EVENT_ENTRIES != number)
        cmy_look_wrong(&look, "its ticket %" PRIu64 " belongs to another place", ticket);
    else if (ticket > next)
        cmy_look_wrong(&look, "its ticket %" PRIu64 " was never given", ticket);
    else if (cmy_event_read(audit->region, place, &event) && cmy_event_kind(event.what) == 0)
        cmy_look_wrong(&look, "it is of no kind");
}
