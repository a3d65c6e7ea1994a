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
 *    written over a newer one as a whole. (A sum of 64 bits: a mixture goes unnoticed once in about 2^64.)
 * b. Nobody waits: a writer makes one addition, two CAS and 15 stores at most, whatever they come to.
 * c. A process that is killed or stopped anywhere costs two events at most: its own, and one that stood in the entry.
 * d. Any bytes can be read: an entry counts only in the place that its ticket belongs to. A ticket that could not have
 *    been given since is taken for damage and written over.
 *
 * Written in one pass, words that count and no others, since every registration pays for it: an event takes about 200
 * instructions, and another 40 ns where it has to look at the clock. The sum has no seed, so that a region with a damaged header still tells what
 * happened; each of its steps is the folded product of wyhash (Wang Yi) and XXH3.
 */
#ifndef CMY_EVENT_EVENT_H
#define CMY_EVENT_EVENT_H

#include <commy/commy.h>

#include "base/hash.h"
#include "life/life.h"
#include "stat/cpu.h"

#define CMY_EVENT_TEXT_BYTES (8 * CMY_EVENT_TEXT_WORDS - 1)

/* What an event is made of. Texts of shared or own words, NUL-padded. */
typedef struct cmy_event_source {
    uint64_t time_ns, what; /* what: kind, reason, who */
    const cmy_word64_t *id, *name;
    uint32_t id_bytes, name_bytes;
    /* The state of the record that the texts are read from: nothing is written where its version is another afterwards.
     * Null: they cannot change. */
    const cmy_word64_t *state;
    uint32_t version;
} cmy_event_source_t;

/* An event as it was read. */
typedef struct cmy_event {
    uint64_t ticket; /* as in the entry's word */
    uint64_t time_ns, what;
    char id[CMY_EVENT_TEXT_BYTES + 1], name[CMY_EVENT_TEXT_BYTES + 1];
} cmy_event_t;

/* what: see region/shm.h. reason: commy_event_reason_t, or from and to of a change. slot: CMY_EVENT_NO_SLOT for nobody. */
#define CMY_EVENT_NO_SLOT UINT32_MAX
#define CMY_EVENT_PID_MASK 0x3fffffu /* process ids have 22 bits, see PID_MAX_LIMIT in the kernel's linux/threads.h */
#define CMY_EVENT_CUT_ID (1u << 14)
#define CMY_EVENT_CUT_NAME (1u << 15)
static inline uint64_t cmy_event_deed(commy_event_kind_t kind, uint32_t reason)
{
    return ((uint64_t)kind & 0x3f) | (uint64_t)(reason & 0xff) << 6;
}
static inline uint64_t cmy_event_doer(uint32_t slot, uint32_t pid)
{
    return (uint64_t)((slot + 1) & 0x7ff) << 28 | (uint64_t)(pid & CMY_EVENT_PID_MASK) << 42;
}
static inline uint64_t cmy_event_texts(uint32_t id_bytes, uint32_t name_bytes)
{
    return (uint64_t)id_bytes << 16 | (uint64_t)name_bytes << 22;
}
static inline uint32_t cmy_event_kind(uint64_t what)
{
    return (uint32_t)what & 0x3f;
}
static inline uint32_t cmy_event_reason(uint64_t what)
{
    return (uint32_t)(what >> 6) & 0xff;
}
static inline uint32_t cmy_event_id_bytes(uint64_t what)
{
    return (uint32_t)(what >> 16) & 0x3f;
}
static inline uint32_t cmy_event_name_bytes(uint64_t what)
{
    return (uint32_t)(what >> 22) & 0x3f;
}
static inline uint32_t cmy_event_slot(uint64_t what)
{
    return ((uint32_t)(what >> 28) & 0x7ff) - 1;
}
static inline uint32_t cmy_event_pid(uint64_t what)
{
    return (uint32_t)(what >> 42);
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

/* The owner as the doer. Who has been reaped meanwhile has no process: its slot may be another's, who then has filled it in. */
static inline uint64_t cmy_event_owner(const cmy_region_t *region, uint32_t owner)
{
    uint32_t slot = cmy_owner_slot(owner);
    if (slot >= COMMY_LIMIT_PARTICIPANTS)
        return 0;
    uint32_t pid = cmy_load32_relaxed(&region->participants[slot].pid);
    cmy_fence_acquire(); /* pairs with the release fence in keeper.c, claim() */
    uint32_t incarnation = cmy_life_incarnation(cmy_load64_relaxed(&region->life[slot].phase));
    return cmy_event_doer(slot, incarnation == cmy_owner_incarnation(owner) ? pid : 0);
}

/* Copies a text that has more bytes than an event holds, as many as make whole characters; returns these. */
uint32_t cmy_event_cut(cmy_word64_t to[CMY_EVENT_TEXT_WORDS], const cmy_word64_t *from);

/* ------------------------------------------------------------------ writing */

static inline uint64_t cmy_event_mix(uint64_t sum, uint64_t word)
{
    return XXH3_mul128_fold64(sum ^ word, 0x9e3779b97f4a7c15ull);
}
static inline uint64_t cmy_event_sum(uint64_t ticket, uint64_t time_ns, uint64_t what)
{
    return cmy_event_mix(cmy_event_mix(cmy_event_mix(0, ticket), time_ns), what);
}

/* Whether an entry's word was put there for a later ticket of the same place. One that is further on than any process could
 * be stopped for is damage. */
static inline bool cmy_event_overtaken(uint64_t seen, uint64_t ticket)
{
    uint64_t ahead = seen - ticket;
    return __builtin_expect(ahead < 1ull << 48, 0) && ahead >= 2 * CMY_EVENT_ENTRIES &&
           ahead / 2 % CMY_EVENT_ENTRIES == 0;
}

/* Claims the entry of a ticket of its own. Null where that was overtaken. */
static inline cmy_event_shm_t *cmy_event_claim(cmy_region_t *region, uint64_t *ticket)
{
    cmy_event_ring_shm_t *ring = &region->events[cmy_cpu() % CMY_EVENT_RINGS];
    uint64_t number = cmy_add64_relaxed(&ring->cursor, 1);
    cmy_event_shm_t *entry = &ring->entry[number % CMY_EVENT_ENTRIES];
    uint64_t seen = cmy_load64_relaxed(&entry->ticket);
    *ticket = cmy_event_ticket(number, false);
    if (cmy_event_overtaken(seen, *ticket) || !cmy_swap64_acq_rel(&entry->ticket, seen, *ticket | 1))
        return NULL;
    cmy_fence_release(); /* whoever reads a word of what follows sees the claim too: pairs with cmy_event_read()'s fence */
    return entry;
}

static inline uint64_t cmy_event_copy(cmy_word64_t *to, const cmy_word64_t *from, uint32_t bytes, uint64_t sum)
{
    for (const cmy_word64_t *end = to + (bytes + 7) / 8; to != end; to++, from++) {
        uint64_t word = cmy_load64_relaxed(from);
        cmy_store64_relaxed(to, word);
        sum = cmy_event_mix(sum, word);
    }
    return sum;
}

/* Records an event. */
static inline __attribute__((always_inline)) void cmy_event_record(cmy_region_t *region,
                                                                   const cmy_event_source_t *source)
{
    uint64_t ticket, what = source->what | cmy_event_texts(source->id_bytes, source->name_bytes);
    cmy_event_shm_t *entry = cmy_event_claim(region, &ticket);
    if (!entry)
        return;
    cmy_store64_relaxed(&entry->time_ns, source->time_ns);
    cmy_store64_relaxed(&entry->what, what);
    uint64_t sum = cmy_event_sum(ticket, source->time_ns, what);
    sum = cmy_event_copy(entry->id, source->id, source->id_bytes, sum);
    sum = cmy_event_copy(entry->name, source->name, source->name_bytes, sum);
    cmy_store64_relaxed(&entry->sum, sum);
    if (source->state) {
        cmy_fence_acquire(); /* pairs with the release fence behind the claim of the record's next life */
        if (cmy_state_version(cmy_load64_relaxed(source->state)) != source->version)
            return; /* as if killed here */
    }
    cmy_swap64_acq_rel(&entry->ticket, ticket | 1, ticket); /* pairs with the acquire load of whoever reads it */
}

/* The same of what was made ready before. */
void cmy_event_record_source(cmy_region_t *region, const cmy_event_source_t *source);

/* Records that a participant joined, left or died. The slot is still the participant's. */
void cmy_event_participant(cmy_region_t *region, uint32_t slot, commy_event_kind_t kind);

/* The same in two steps, where the slot is given away in between. */
typedef struct cmy_event_node {
    cmy_event_source_t source;
    cmy_word64_t node_id[8];
} cmy_event_node_t;
void cmy_event_of_participant(const cmy_region_t *region, uint32_t slot, commy_event_kind_t kind,
                              cmy_event_node_t *node);

/* Reads an entry. place: 0 to COMMY_LIMIT_EVENTS - 1. False where there is none that counts. */
bool cmy_event_read(const cmy_region_t *region, uint32_t place, cmy_event_t *event);

/* All events that count, oldest first; see commy_mesh_events(). */
size_t cmy_event_list(const cmy_region_t *region, commy_event_t *out, size_t capacity);

#endif /* CMY_EVENT_EVENT_H */
