/* Writing events, and reading one; see event.h. */
#include "event/event.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "stat/cpu.h"

/* As many words as the sum is over. */
_Static_assert(sizeof(cmy_event_t) == (3 + 2 * CMY_EVENT_TEXT_WORDS) * sizeof(uint64_t), "no padding");

static uint64_t sum_of(const cmy_event_t *event)
{
    return XXH3_64bits(event, sizeof *event);
}

/* Whether an entry's word was put there for a later ticket of the same place. One that is further on than any process could
 * be stopped for is damage. */
static bool overtaken(uint64_t seen, uint64_t number)
{
    uint64_t ahead = cmy_event_number(seen) - number;
    return seen != 0 && ahead != 0 && ahead < 1ull << 48 && ahead % CMY_EVENT_ENTRIES == 0;
}

static void fill(cmy_event_shm_t *entry, const cmy_event_t *event)
{
    cmy_store64_relaxed(&entry->time_ns, event->time_ns);
    cmy_store64_relaxed(&entry->what, event->what);
    for (uint32_t i = 0; i < CMY_EVENT_TEXT_WORDS; i++) {
        cmy_store64_relaxed(&entry->id[i], event->id[i]);
        cmy_store64_relaxed(&entry->name[i], event->name[i]);
    }
    cmy_store64_relaxed(&entry->sum, sum_of(event));
}

void cmy_event_record(cmy_region_t *region, cmy_event_t *event)
{
    cmy_event_ring_shm_t *ring = &region->events[cmy_cpu() % CMY_EVENT_RINGS];
    uint64_t number = cmy_add64_relaxed(&ring->cursor, 1);
    cmy_event_shm_t *entry = &ring->entry[number % CMY_EVENT_ENTRIES];
    uint64_t seen = cmy_load64_relaxed(&entry->ticket), own = cmy_event_ticket(number, true);
    event->ticket = cmy_event_ticket(number, false);
    if (overtaken(seen, number) || !cmy_swap64_acq_rel(&entry->ticket, seen, own))
        return;
    cmy_fence_release(); /* whoever reads a word of what follows sees the claim too: pairs with cmy_event_read()'s fence */
    fill(entry, event);
    cmy_swap64_acq_rel(&entry->ticket, own, event->ticket); /* pairs with the acquire load of whoever reads it */
}

uint64_t cmy_event_actor(const cmy_region_t *region, uint32_t owner)
{
    uint32_t slot = cmy_owner_slot(owner);
    if (slot >= COMMY_LIMIT_PARTICIPANTS)
        return cmy_event_what((commy_event_kind_t)0, 0, CMY_EVENT_NO_SLOT, 0);
    return cmy_event_what((commy_event_kind_t)0, 0, slot, cmy_load32_relaxed(&region->participants[slot].pid));
}

bool cmy_event_cut(uint64_t text[CMY_EVENT_TEXT_WORDS])
{
    unsigned char bytes[8 * CMY_EVENT_TEXT_WORDS];
    memcpy(bytes, text, sizeof bytes);
    size_t end = CMY_EVENT_TEXT_BYTES;
    if (bytes[end] == 0)
        return false;
    /* Of a character that would be cut in two, nothing stays; four bytes are the most. */
    for (size_t i = 0; i < 3 && (bytes[end] & 0xc0) == 0x80; i++)
        end--;
    memset(bytes + end, 0, sizeof bytes - end);
    memcpy(text, bytes, sizeof bytes);
    return true;
}

void cmy_event_of_participant(const cmy_region_t *region, uint32_t slot, commy_event_kind_t kind, cmy_event_t *event)
{
    const cmy_participant_shm_t *participant = &region->participants[slot];
    *event = (cmy_event_t){.time_ns = cmy_clock_real_ns(),
                           .what = cmy_event_what(kind, 0, slot, cmy_load32_relaxed(&participant->pid))};
    for (uint32_t i = 0; i < CMY_EVENT_TEXT_WORDS; i++)
        event->name[i] = cmy_load64_relaxed(&participant->node_id[i]);
    if (cmy_event_cut(event->name))
        event->what |= CMY_EVENT_CUT_NAME;
}

void cmy_event_participant(cmy_region_t *region, uint32_t slot, commy_event_kind_t kind)
{
    cmy_event_t event;
    cmy_event_of_participant(region, slot, kind, &event);
    cmy_event_record(region, &event);
}

bool cmy_event_read(const cmy_region_t *region, uint32_t place, cmy_event_t *event)
{
    const cmy_event_ring_shm_t *ring = &region->events[place / CMY_EVENT_ENTRIES];
    const cmy_event_shm_t *entry = &ring->entry[place % CMY_EVENT_ENTRIES];
    event->ticket = cmy_load64_acquire(&entry->ticket);
    if (event->ticket == 0 || (event->ticket & 1) != 0 ||
        cmy_event_number(event->ticket) % CMY_EVENT_ENTRIES != place % CMY_EVENT_ENTRIES)
        return false;
    event->time_ns = cmy_load64_relaxed(&entry->time_ns);
    event->what = cmy_load64_relaxed(&entry->what);
    for (uint32_t i = 0; i < CMY_EVENT_TEXT_WORDS; i++) {
        event->id[i] = cmy_load64_relaxed(&entry->id[i]);
        event->name[i] = cmy_load64_relaxed(&entry->name[i]);
    }
    uint64_t sum = cmy_load64_relaxed(&entry->sum);
    cmy_fence_acquire(); /* pairs with the release fence behind the claim of whoever came next */
    return cmy_load64_relaxed(&entry->ticket) == event->ticket && sum == sum_of(event);
}
