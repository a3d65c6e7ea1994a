/*
 * The flight recorder: what happened last in the mesh, by whom and why.
 *
 * Rings in the region's fixed part (region/shm.h), of which a writer takes the one of its processor, so that those who
 * register on many processors at once do not meet on a cursor. Bounded and lossy: the newest event takes the place of the
 * oldest of its ring, and a writer that finds itself overtaken gives up. What was written survives everybody's death.
 *
 * record, step by step:
 *
 *     ticket    cursor + 1                          killed here: the ring has an event less, nobody is in the way
 *     claim     entry: older -> own(ticket), CAS    killed here: the event is lost, and so is the one that stood there
 *     fill      time, what, texts, sum              killed here: the same; stopped here: the same, until it goes on
 *     publish   entry: own(ticket) -> ticket, CAS   fails when somebody a round later has claimed it: the event is lost
 *
 * Claimed by a newer ticket than mine: I was stopped for a round of the ring, and touch nothing. A writer that is stopped
 * while it fills, and goes on when the ring has come round, writes into an entry that is another's by then: that one is
 * torn.
 *
 * a. What reads as whole was written as a whole, by one writer. A reader looks at the ticket, reads, looks again: nobody
 *    claimed the entry in between. Late stores of whoever claimed it earlier change no ticket; they are told by the sum,
 *    which is over all else with the ticket, so that neither a mixture of two events fits it nor an older event that was
 *    written over a newer one as a whole. (A sum of 64 bits: one mixture in 2^64 goes unnoticed.)
 * b. Nobody waits: a writer makes one addition, two CAS and 14 stores, whatever they come to.
 * c. A process that is killed or stopped anywhere costs two events at most: its own, and one that stood in the entry.
 * d. Any bytes can be read: an entry counts only in the place that its ticket belongs to. A ticket that could not have
 *    been given since is taken for damage and written over.
 *
 * The sum is XXH3 without a seed, so that a region with a damaged header still tells what happened.
 */
#ifndef CMY_EVENT_EVENT_H
#define CMY_EVENT_EVENT_H

#include <commy/commy.h>

#include "region/region.h"

#define CMY_EVENT_TEXT_BYTES (8 * CMY_EVENT_TEXT_WORDS - 1)
_Static_assert(CMY_EVENT_RINGS *CMY_EVENT_ENTRIES == COMMY_LIMIT_EVENTS, "entries");

/* An event as it lies in an entry, without the words that say whether it counts. */
typedef struct cmy_event {
    uint64_t ticket; /* as in the entry's word */
    uint64_t time_ns;
    uint64_t what;
    uint64_t id[CMY_EVENT_TEXT_WORDS], name[CMY_EVENT_TEXT_WORDS];
} cmy_event_t;

/* what: see region/shm.h. reason: commy_event_reason_t, or from and to of a change. slot: CMY_EVENT_NO_SLOT for nobody. */
#define CMY_EVENT_NO_SLOT UINT32_MAX
#define CMY_EVENT_CUT_ID (1u << 16)
#define CMY_EVENT_CUT_NAME (1u << 17)
static inline uint64_t cmy_event_what(commy_event_kind_t kind, uint32_t reason, uint32_t slot, uint32_t pid)
{
    return ((uint64_t)kind & 0xff) | (uint64_t)(reason & 0xff) << 8 | (((uint64_t)slot + 1) & 0x7ff) << 21 |
           (uint64_t)pid << 32;
}
static inline uint32_t cmy_event_change(uint32_t from, uint32_t to)
{
    return (from & 0xf) << 4 | (to & 0xf);
}

/* The word of an entry. */
static inline uint64_t cmy_event_ticket(uint64_t number, bool own)
{
    return (number + 1) << 1 | own;
}
static inline uint64_t cmy_event_number(uint64_t ticket)
{
    return ((ticket >> 1) - 1) & (UINT64_MAX >> 1);
}

/* Who an owner is, as an event names it: slot and process. The owner's slot has not been given to another. */
uint64_t cmy_event_actor(const cmy_region_t *region, uint32_t owner);

/* Ends a text that fills its words: cut at a character's border. Returns whether it was cut. */
bool cmy_event_cut(uint64_t text[CMY_EVENT_TEXT_WORDS]);

/* Records an event; its ticket is set here. */
void cmy_event_record(cmy_region_t *region, cmy_event_t *event);

/* Records that a participant joined, left or died. The slot is still the participant's. */
void cmy_event_participant(cmy_region_t *region, uint32_t slot, commy_event_kind_t kind);

/* The same in two steps, where the slot is given away in between. */
void cmy_event_of_participant(const cmy_region_t *region, uint32_t slot, commy_event_kind_t kind, cmy_event_t *event);

/* Reads an entry. place: 0 to COMMY_LIMIT_EVENTS - 1. False where there is none that counts. */
bool cmy_event_read(const cmy_region_t *region, uint32_t place, cmy_event_t *event);

/* All events that count, oldest first; see commy_mesh_events(). */
size_t cmy_event_list(const cmy_region_t *region, commy_event_t *out, size_t capacity);

#endif /* CMY_EVENT_EVENT_H */
