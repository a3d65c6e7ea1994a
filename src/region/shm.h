/*
 * The region, byte by byte: every structure that lies in shared memory, and nothing else.
 *
 *      0  header                      one page
 *         life words                  16 bytes a participant
 *         participants                128 bytes a participant
 *         stripes                     64 bytes each: what waiters wait on
 *         events                      8 rings of 16,448 bytes: what happened last
 *         free maps                   a bit a record
 *         index of ids                64 bytes a line
 *         index of names              64 bytes a line
 *   ------------------------------------------------- reserved when the region is made; below, in chunks as they fill
 *         services (hot)              128 bytes each: all that decides and answers a lookup
 *         services (cold)             1,064 bytes each: what is rarely read
 *         groups                      256 bytes each: a name, its first 24 members, its rotations
 *         lines                       128 bytes each: 28 further members of a name
 *         statistics (hot)            128 bytes each: requests in flight of 7 participants, mean of the latest latencies
 *         statistics (cold)           2,112 bytes each: counters, latencies, breaker
 *         small texts, large texts    512 and 4,160 bytes each: metadata
 *         cells                       704 bytes each: requests in flight of 86 further participants
 *
 * Where each area lies follows from the capacity alone (layout.h), so no offset is ever read from the region. Records
 * name each other by number; a number is checked against what is reserved before it is followed.
 *
 * Memory that was never written reads as zero, and zero is the free state of everything: no area is initialised.
 *
 * Every structure says who writes each word, and what a crash leaves in it. Layouts are asserted at the end; a change
 * here is a change of CMY_LAYOUT_VERSION.
 */
#ifndef CMY_REGION_SHM_H
#define CMY_REGION_SHM_H

#include <commy/types.h>

#include "base/atomic.h"

#define CMY_MAGIC 0x00796d6d6f632e31ull /* "1.commy" */
#define CMY_LAYOUT_VERSION 1u
#define CMY_BYTE_ORDER 0x01020304u
#define CMY_CACHE_LINE 64u
#define CMY_PAGE 4096u

#define CMY_STRIPES 128u

/* Slabs: areas of records that are claimed and released one by one. */
typedef enum cmy_slab_kind {
    CMY_SERVICES,
    CMY_GROUPS,
    CMY_LINES,
    CMY_STATS,
    CMY_SMALL_TEXTS,
    CMY_LARGE_TEXTS,
    CMY_CELLS,
    CMY_SLABS
} cmy_slab_kind_t;

/*
 * A record's state word, the first word of every slab record:
 *
 *     63              34 33                           3 2     0
 *    +------------------+------------------------------+-------+
 *    | version (30)     | owner, container or turn (31)| phase |
 *    +------------------+------------------------------+-------+
 *
 *     FREE --claim--> CLAIMED --publish--> LIVE --retire--> DYING --release, version + 1--> FREE
 *
 * Owner is a participant of one incarnation: 10 bits of slot, 20 bits of incarnation, 1; 0 is nobody. A line that is LIVE
 * names its container there, a group that is LIVE or CLOSING a turn. Version wraps after 2^30 lives of one record; a process
 * that is stopped in the middle of a call for exactly that many could mistake one for another.
 */
typedef enum cmy_phase {
    CMY_FREE = 0,
    CMY_CLAIMED = 1,
    CMY_LIVE = 2,
    CMY_CLOSING = 3, /* groups only: being looked at for members */
    CMY_DYING = 4
} cmy_phase_t;

#define CMY_VERSION_BITS 30u
#define CMY_OWNER_BITS 31u
#define CMY_SLOT_BITS 10u
#define CMY_INCARNATION_BITS 20u
#define CMY_VERSION_MASK ((1u << CMY_VERSION_BITS) - 1)
#define CMY_OWNER_MASK ((1u << CMY_OWNER_BITS) - 1)
#define CMY_INCARNATION_MASK ((1u << CMY_INCARNATION_BITS) - 1)
#define CMY_NOBODY 0u

static inline uint64_t cmy_state(uint32_t version, uint32_t owner, cmy_phase_t phase)
{
    return (uint64_t)(version & CMY_VERSION_MASK) << 34 | (uint64_t)(owner & CMY_OWNER_MASK) << 3 | (uint64_t)phase;
}

static inline cmy_phase_t cmy_state_phase(uint64_t state)
{
    return (cmy_phase_t)(state & 7);
}

static inline uint32_t cmy_state_owner(uint64_t state)
{
    return (uint32_t)(state >> 3) & CMY_OWNER_MASK;
}

static inline uint32_t cmy_state_version(uint64_t state)
{
    return (uint32_t)(state >> 34);
}

/* The same state with another owner and phase; the version stays. */
static inline uint64_t cmy_state_with(uint64_t state, uint32_t owner, cmy_phase_t phase)
{
    return cmy_state(cmy_state_version(state), owner, phase);
}

/* FREE, one version on. */
static inline uint64_t cmy_state_released(uint64_t state)
{
    return cmy_state(cmy_state_version(state) + 1, CMY_NOBODY, CMY_FREE);
}

static inline uint32_t cmy_owner(uint32_t slot, uint32_t incarnation)
{
    return slot << (1 + CMY_INCARNATION_BITS) | (incarnation & CMY_INCARNATION_MASK) << 1 | 1;
}

/* Out of range for CMY_NOBODY, and for bytes that are no owner. */
static inline uint32_t cmy_owner_slot(uint32_t owner)
{
    return owner & 1 ? owner >> (1 + CMY_INCARNATION_BITS) : UINT32_MAX;
}

static inline uint32_t cmy_owner_incarnation(uint32_t owner)
{
    return owner >> 1 & CMY_INCARNATION_MASK;
}

/*
 * Header. The first three lines are written by the maker before the file has a name and never again; everything below
 * is written while others look on.
 */
typedef struct cmy_header_shm {
    /*   0 */ uint64_t magic;
    /*   8 */ uint32_t layout_version, byte_order;
    /*  16 */ uint64_t fingerprint;  /* of the layout: hash of the sizes and offsets asserted below */
    /*  24 */ uint64_t region_bytes; /* the file's size */
    /*  32 */ uint32_t capacity, reserved_0;
    /*  40 */ uint64_t seed; /* of the hash; random, so that nobody can aim ids at one bucket */
    /*  48 */ uint8_t boot_id[16];
    /*  64 */ uint64_t device, inode; /* of the file: a copy has others */
    /*  80 */ uint64_t created_at_ns; /* Unix time */
    /*  88 */ uint64_t maker_pid;
    /*  96 */ char maker[32]; /* version of the library that made it */
    /* 128 */ uint8_t reserved_1[64];

    /* 192: read by everybody, changed rarely. removed: 0, then 1 for ever, stored by rm before it unlinks. */
    cmy_word64_t removed;
    /* 200: records of each slab that memory is reserved for; raised by CAS after the reservation, never lowered. A
     * crash in between leaves memory reserved that the next grower reserves again, which costs nothing. */
    cmy_word64_t reserved[CMY_SLABS];

    /* 256: raised by whoever certifies a death. */
    cmy_word64_t death_epoch;
    uint8_t pad_1[56];

    /* 320: soonest lease end that anybody knows of: milliseconds (48 bits) and a counter (16 bits) that every
     * registration with a lease bumps, so that a sweep cannot overwrite a sooner one with a later. A hint. */
    cmy_word64_t next_expiry;
    uint8_t pad_2[56];

    /* 384: requests that ended when their service had gone, which only the mesh's totals count. Relaxed additions by
     * whoever ends one, never zeroed. Killed between two of them: as in a service's block. */
    cmy_word64_t stray_successes, stray_failures, stray_latency_ns;

    /* 408: what opens a circuit breaker, and for how long (stat/breaker.h). Nobody's: each is stored whole by whoever
     * configures. 0: there is no breaker. Killed between the two: one is new. */
    cmy_word64_t breaker_rules, breaker_times;
    uint8_t pad_3[24];
} cmy_header_shm_t;

/*
 * Life of a participant slot: what decides, on every lookup, whether an owner lives.
 *
 *     phase   63              42 41    24 23          4   3 2     0
 *            +------------------+--------+-------------+---+-------+
 *            | keeper tid   (22)| ns  18 |incarnation20| 1 | phase |      (see life.h for the packing)
 *
 * The lowest 24 bits are as in the state of a LIVE record whose owner is ARMED, and in no state of one that is nobody's.
 *
 *     FREE(i) --keeper--> JOINING(i) --keeper--> ARMED(i) --tenant--> LEAVING(i)
 *                            |                      \____________________\___anybody with proof--> DEAD(i)
 *                            \__anybody with proof--> FREE(i + 1)
 *     DEAD(i) --reaper, nothing left--> FREE(i + 1)
 *
 * word is a robust futex: the keeper's thread id and FUTEX_WAITERS, stored by the keeper before it arms; afterwards
 * only the kernel writes it, once: FUTEX_OWNER_DIED.
 */
typedef struct cmy_life_shm {
    cmy_word64_t phase;
    cmy_word32_t word;
    cmy_word32_t reserved;
} cmy_life_shm_t;

/* What people want to know of a participant. Written by the keeper while JOINING, constant until the slot is FREE. */
typedef struct cmy_participant_shm {
    /*  0 */ cmy_word64_t node_id[8]; /* text, NUL-padded */
    /* 64 */ cmy_word64_t pid_namespace;
    /* 72 */ cmy_word64_t joined_at_ns;
    /* 80 */ cmy_word32_t pid, uid;
    /* 88 */ cmy_word32_t listen_port;
    /* 92: 1 once the tenant has said that it leaves, so that its end is no death. Stored by the tenant, once. */
    cmy_word32_t leaves;
    /* 96 */ uint8_t pad[32];
} cmy_participant_shm_t;

/*
 * An event count: waiters sleep on the low half of version. Bumped by whoever changed something, after the change is
 * visible. waiting: 0, or the newest version that somebody sleeps on. A waker that is killed between the bump and the
 * wake delays sleepers by 100 ms at most. The last element of the array is the bell of those who wait for the mesh.
 */
typedef struct cmy_stripe_shm {
    cmy_word64_t version; /* starts at 0; readers see version + 1 */
    cmy_word64_t waiting;
    uint8_t pad[48];
} cmy_stripe_shm_t;

/*
 * The flight recorder: what happened last, in rings, of which a writer takes the one of its processor.
 *
 *     ticket 63                            1   0
 *           +-------------------------------+-----+
 *           | ticket of the ring + 1, or 0  | own |        own: being written; see event/event.h
 *           +-------------------------------+-----+
 *     what  63         42 41 39 38       28 27        22 21      16 15 14 13      6 5      0
 *           +------------+-----+-----------+------------+----------+-----+---------+--------+
 *           | process id |  0  | slot + 1  | name bytes | id bytes | cut | reason  | kind   |
 *           +------------+-----+-----------+------------+----------+-----+---------+--------+
 *
 * cursor: the next ticket; relaxed additions by whoever writes an event, never set back. An entry is of the ticket that
 * its word says, and the writer's that put it there by CAS; all else in it counts only if sum is right for it. Killed
 * after taking a ticket or while writing: that event is missing, and with the latter the one that stood there, until the
 * ring comes round. id and name: the first 47 bytes at most, of which as many words are written as they take; what stands
 * behind is of earlier events. 14 says that the id was cut, 15 the name.
 */
#define CMY_EVENT_RINGS 8u
#define CMY_EVENT_ENTRIES 128u
#define CMY_EVENT_TEXT_WORDS 6u
typedef struct cmy_event_shm {
    /*  0 */ cmy_word64_t ticket;
    /*  8 */ cmy_word64_t time_ns; /* Unix time */
    /* 16 */ cmy_word64_t what;
    /* 24 */ cmy_word64_t sum; /* of all else that counts */
    /* 32 */ cmy_word64_t id[CMY_EVENT_TEXT_WORDS];
    /* 80 */ cmy_word64_t name[CMY_EVENT_TEXT_WORDS];
} cmy_event_shm_t;

typedef struct cmy_event_ring_shm {
    /*  0 */ cmy_word64_t cursor;
    /*  8 */ uint8_t pad[56];
    /* 64 */ cmy_event_shm_t entry[CMY_EVENT_ENTRIES];
} cmy_event_ring_shm_t;

/*
 * One line of an index, a cache line:
 *
 *     word   63                          28 27                   0
 *           +------------------------------+----------------------+
 *           | version (36)                 | committed cells (28) |
 *           +------------------------------+----------------------+
 *     cell   31               22 21                               0
 *           +-------------------+---------------------------------+
 *           | tag of the key 10 | record number + 1, or 0      22 |
 *           +-------------------+---------------------------------+
 *
 * The window of a home line is its own cells (0-13) and those of the line behind it (14-27). Bit i of a home line's word
 * says: cell i of my window is committed for a key that lives here. A cell belongs to whoever put a record number there
 * until the record's executor takes it out; bits follow before cells. See index/index.h for the protocol.
 */
#define CMY_LINE_CELLS 14u
#define CMY_WINDOW_CELLS 28u
typedef struct cmy_index_line_shm {
    cmy_word64_t word;
    cmy_word32_t cell[CMY_LINE_CELLS];
} cmy_index_line_shm_t;

/*
 * A service, hot half. Identity (hash to id, endpoint) is written by the claimer while CLAIMED and constant until the
 * record is FREE again; readers read it relaxed and re-check the state. The separate atomics carry the record's version
 * or a value that never recurs, so that a writer that was stopped cannot write into the next tenant.
 *
 *       0        8          16                 24                                      64
 *      +--------+----------+------------------+---------------------------------------+
 *      | state  | id hash  | lengths, port    | id, up to 39 bytes (else in the cold) |
 *      +--------+----------+------------------+---------------------------------------+
 *      +--------+----------+----------+-------+-----+---------------------------------+
 *      |position| lease    | condition| stats       | endpoint, up to 31 bytes        |
 *      +--------+----------+----------+-------------+---------------------------------+
 *      64       72         80         88            96                                128
 */
#define CMY_HOT_ID_BYTES 40u
#define CMY_HOT_ENDPOINT_BYTES 32u
typedef struct cmy_service_shm {
    /*   0 */ cmy_word64_t state;
    /*   8 */ cmy_word64_t hash; /* of the id */
    /*  16 */ cmy_word64_t shape;
    /*  24 */ cmy_word64_t id[CMY_HOT_ID_BYTES / 8];
    /*  64: where its member cell is: group, container, cell (group/position.h); written before the cell is */
    cmy_word64_t position;
    /*  72: 0 without a TTL; else the end of the lease, CLOCK_MONOTONIC ns * 2, + 1 once somebody declared it expired.
     * Moves by CAS; an end never recurs. */
    cmy_word64_t lease;
    /*  80: record version (30), health (2), breaker: changes (9), exponent (4), open (1), admin (2), weight (16). Moves by
     * CAS. */
    cmy_word64_t condition;
    /*  88: link to the statistics block (block.h). Moves by CAS. */
    cmy_word64_t stats;
    /*  96 */ cmy_word64_t endpoint[CMY_HOT_ENDPOINT_BYTES / 8];
} cmy_service_shm_t;

/* shape: lengths and flags of a service's identity in one word. */
typedef struct cmy_shape {
    uint8_t id_bytes, name_bytes, endpoint_bytes, flags;
    uint16_t port;
    uint8_t tag_count, reserved;
} cmy_shape_t;
#define CMY_SHAPE_DETACHED 1u
#define CMY_SHAPE_LEASED 2u /* it has a TTL: only then is its lease anything but 0 */

/*
 * A service, cold half; same number. Identity as above, but for metadata: a link (block.h) that moves by CAS; and for who
 * checks its health and what came of it (service/checker.h), which move by CAS too and carry the record's version:
 *
 *     checker  63              34 33            3 2   0
 *             +------------------+---------------+-----+
 *             | version (30)     | owner (31)    |  0  |   owner: of whoever checks, a candidate or nobody
 *             +------------------+---------------+-----+
 *     checked  63              44 43     37 36      35   28 27                    0
 *             +------------------+---------+---------+-------+---------------------+
 *             | version (20)     | serial 7| failed 1| run 8 | latency, us (28)    |   run: results alike in a row
 *             +------------------+---------+---------+-------+---------------------+
 *
 * What a crash leaves in checker names the dead, from whom any candidate takes it; checked is whole at any time.
 */
typedef struct cmy_service_cold_shm {
    /*    0 */ cmy_word64_t name[8];
    /*   64 */ cmy_word64_t id[16];       /* the whole id where it is longer than 39 bytes, else not written */
    /*  192 */ cmy_word64_t endpoint[32]; /* the whole endpoint where it is longer than 31 bytes */
    /*  448 */ cmy_word64_t version[4];
    /*  480 */ cmy_word64_t zone[4];
    /*  512 */ cmy_word64_t tags[16][4];
    /* 1024 */ cmy_word64_t metadata;
    /* 1032 */ cmy_word64_t registered_at_ns;
    /* 1040 */ cmy_word64_t ttl_ms;
    /* 1048 */ cmy_word64_t checker, checked;
} cmy_service_cold_shm_t;

/*
 * A container's next word: NIL, a line, or closed for good; each for one life of the container only.
 *
 *     63                44 43                24 23        2 1   0
 *    +--------------------+--------------------+-----------+-----+
 *    | container version  | line version (20)  | line (22) | kind|
 *    +--------------------+--------------------+-----------+-----+
 */
typedef enum cmy_next_kind { CMY_NEXT_NIL = 0, CMY_NEXT_LINE = 1, CMY_NEXT_CLOSED = 2 } cmy_next_kind_t;

/*
 * A group: a name and its members. Name and hash are identity. Cells hold service number + 1, put there by the joiner
 * and taken out by the service's executor. hint is a next-like word: the container where a free cell was seen last,
 * tagged with the group's version; kind CMY_NEXT_CLOSED there means a line, and that other containers may have free
 * cells too. It may be wrong, never harmful.
 *
 * The rotations say how often the host has selected an instance in turn: nobody's words, raised by whoever selects, by one
 * relaxed addition each, and never set back, so that any value is right. They have a line of their own, which changes hands
 * with every selection. Killed after the addition: that turn was taken by nobody. An addition that comes after the record
 * went to another name costs that one a turn.
 */
#define CMY_GROUP_CELLS 24u
typedef struct cmy_group_shm {
    /*   0 */ cmy_word64_t state;
    /*   8 */ cmy_word64_t next;
    /*  16 */ cmy_word64_t hash;
    /*  24 */ cmy_word64_t hint;
    /*  32 */ cmy_word64_t name[8];
    /*  96 */ cmy_word32_t cell[CMY_GROUP_CELLS];
    /* 192 */ cmy_word64_t rotation, weighted_rotation;
    /* 208 */ uint8_t pad[48];
} cmy_group_shm_t;

/* Further members of a group. Linked first, made LIVE by whoever comes; see group/group.h. */
#define CMY_LINE_MEMBERS 28u
typedef struct cmy_line_shm {
    /*  0 */ cmy_word64_t state;
    /*  8 */ cmy_word64_t next;
    /* 16 */ cmy_word32_t cell[CMY_LINE_MEMBERS];
} cmy_line_shm_t;

/*
 * Blocks hang on a service by a link word. home is the service's number, written while CLAIMED. A block that is LIVE
 * and that its home does not link to is garbage, whoever left it; one that is CLAIMED belongs to its owner.
 */
typedef struct cmy_block_shm {
    cmy_word64_t state;
    cmy_word32_t home;
    cmy_word32_t bytes; /* of a text */
} cmy_block_shm_t;

/* Counters are never zeroed: what they held when the block was claimed is kept as base. So all blocks together hold all
 * that was ever counted, which is the mesh's total. Added to by whoever reports, relaxed; base is written while CLAIMED. */
#define CMY_STAT_STRIPES 4u
typedef struct cmy_stat_stripe_shm {
    cmy_word64_t successes, failures, latency_ns;
    cmy_word64_t base_successes, base_failures, base_latency_ns;
    uint8_t pad[16];
} cmy_stat_stripe_shm_t;

/*
 * What a circuit breaker counts, and whose turn it is to try; whether it is open says the service's condition.
 * The protocol is argued in registry/breaker.h.
 *
 *       0        8                        16                     24                       32        40
 *      +--------+------------------------+----------------------+------------------------+---------+-------+
 *      | streak | turn: owner 31, time 33| start 32, failures 32| start 32, successes 32 | opened  |       |
 *      +--------+------------------------+----------------------+------------------------+---------+-------+ 64
 *
 * streak: failures since the last success. Raised by a relaxed addition of whoever reports a failure, set to 0 by whoever
 * reports a success and finds something else. Killed or stopped before either: as if not reported.
 *
 * turn: who tries an instance that is open, and until when; or nobody, and from when on it may be tried. Time in units of
 * 2^24 ns of CLOCK_MONOTONIC, of which the 33 lowest bits recur after 4.6 years (stat/breaker.h). Means something while the
 * breaker is open only. Moves by CAS: by who is about to open it, who takes the turn, and who had it and failed. Left by the
 * dead: taken over at once.
 *
 * window, before: the time in which a share of failures is counted: when it began and the failures since; when it began
 * and how many successes there had been. The first by CAS to a new start, relaxed additions in between; the other by CAS
 * right after, by who began the window. Killed in between: the starts differ, and nothing is said of this window.
 *
 * opened: how often it was opened. A relaxed addition after the CAS that did; killed in between: one too few.
 *
 * All are set to 0 while CLAIMED. Who was stopped since the block's former life may add to streak and opened in the next, or
 * set streak and window to 0 there: one failure too many or some too few. A turn is not moved by who came from another life.
 */
typedef struct cmy_breaker_shm {
    cmy_word64_t streak, turn, window, before, opened;
    uint8_t pad[24];
} cmy_breaker_shm_t;

/*
 * Statistics of one service, hot: how much it is loaded, which selecting compares. 10,000 of these stay in the cache.
 *
 *       0        16                          64                                           120
 *      +--------+---------------------------+--------------------------------------------+---------+
 *      | block  | further cells, 12 numbers | requests in flight of slots 0 to 6          | recent  |
 *      +--------+---------------------------+--------------------------------------------+---------+ 128
 *
 * The first line is written when a block is claimed, linked, given further cells or freed, the second with every request
 * that is begun or ended.
 *
 * A cell counts what one participant has in flight at one life of the block (stat/flight.h):
 *
 *     63             44 43                     16 15         0
 *    +-----------------+-------------------------+------------+
 *    | incarnation (20)| block's version (28)    | count (16) |
 *    +-----------------+-------------------------+------------+
 *
 * It belongs to a slot, so that it has one possible writer at any time: the slot's tenant; its threads take turns by CAS.
 * It counts while the slot's tenant has this incarnation and lives and the block has this version; what a crash leaves
 * in it is out of date at once. Whoever reaps the tenant sets it to 0 before the slot is given to another.
 *
 * further: number + 1 of a record of cells, or 0. By CAS from 0, acq_rel, by whoever needs it; constant from then on,
 * through all lives of the block. So cells that were reached once are never another block's.
 *
 * recent_ns: a mean of the latencies of requests that were ended, and of one report in 64, of which the last eight make up two
 * thirds; failures count for more (stat/latency.h); 0: none yet. Relaxed stores by whoever reports, of which one may overwrite
 * another: each is a mean that was right without the other's sample. Who was stopped since a former life may store one of then.
 */
#define CMY_STAT_CELLS 7u
#define CMY_STAT_FURTHER 12u
typedef struct cmy_stat_shm {
    /*   0 */ cmy_block_shm_t block;
    /*  16 */ cmy_word32_t further[CMY_STAT_FURTHER];
    /*  64 */ cmy_word64_t cell[CMY_STAT_CELLS];
    /* 120 */ cmy_word64_t recent_ns;
} cmy_stat_shm_t;

/*
 * Statistics of one service, cold: what is counted, and the circuit breaker. It belongs to whom the hot half of the same
 * number belongs to.
 *
 * bucket: how many latencies fell into each range (stat/latency.h). Relaxed additions; now and then all of a stripe are
 * halved. Set to 0 while CLAIMED, so that one whose report was under way since the block's former life may be counted in
 * the next.
 */
#define CMY_LATENCY_BUCKETS 223u
#define CMY_LATENCY_STRIPES 2u
typedef struct cmy_tally_shm {
    /*    0 */ cmy_stat_stripe_shm_t stripe[CMY_STAT_STRIPES];
    /*  256 */ cmy_word32_t bucket[CMY_LATENCY_STRIPES][CMY_LATENCY_BUCKETS];
    /* 2040 */ uint8_t pad[8];
    /* 2048 */ cmy_breaker_shm_t breaker;
} cmy_tally_shm_t;

/*
 * Further cells of a statistics block: those of slots 7 + 86 i to 92 + 86 i. home is the block's number and bytes is i,
 * written while CLAIMED; what is LIVE is linked, and stays so. One that is CLAIMED by the dead is linked, and then made
 * LIVE by the reaper, or not, and then freed: its cells were not used.
 */
#define CMY_FURTHER_CELLS 86u
typedef struct cmy_cells_shm {
    cmy_block_shm_t block;
    cmy_word64_t cell[CMY_FURTHER_CELLS];
} cmy_cells_shm_t;

#define CMY_SMALL_TEXT_BYTES 496u
#define CMY_LARGE_TEXT_BYTES 4096u
typedef struct cmy_small_text_shm {
    cmy_block_shm_t block;
    cmy_word64_t text[CMY_SMALL_TEXT_BYTES / 8];
} cmy_small_text_shm_t;

typedef struct cmy_large_text_shm {
    cmy_block_shm_t block;
    cmy_word64_t text[CMY_LARGE_TEXT_BYTES / 8];
    uint8_t pad[48];
} cmy_large_text_shm_t;

#define CMY_AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)
CMY_AT(cmy_header_shm_t, seed, 40);
CMY_AT(cmy_header_shm_t, boot_id, 48);
CMY_AT(cmy_header_shm_t, device, 64);
CMY_AT(cmy_header_shm_t, maker, 96);
CMY_AT(cmy_header_shm_t, removed, 192);
CMY_AT(cmy_header_shm_t, reserved, 200);
CMY_AT(cmy_header_shm_t, death_epoch, 256);
CMY_AT(cmy_header_shm_t, next_expiry, 320);
CMY_AT(cmy_header_shm_t, stray_successes, 384);
CMY_AT(cmy_header_shm_t, breaker_rules, 408);
CMY_AT(cmy_header_shm_t, breaker_times, 416);
_Static_assert(sizeof(cmy_header_shm_t) == 448, "header");
CMY_AT(cmy_life_shm_t, word, 8);
_Static_assert(sizeof(cmy_life_shm_t) == 16, "life");
CMY_AT(cmy_participant_shm_t, pid_namespace, 64);
CMY_AT(cmy_participant_shm_t, pid, 80);
CMY_AT(cmy_participant_shm_t, listen_port, 88);
CMY_AT(cmy_participant_shm_t, leaves, 92);
_Static_assert(sizeof(cmy_participant_shm_t) == 128, "participant");
CMY_AT(cmy_stripe_shm_t, waiting, 8);
_Static_assert(sizeof(cmy_stripe_shm_t) == 64, "stripe");
CMY_AT(cmy_event_shm_t, time_ns, 8);
CMY_AT(cmy_event_shm_t, what, 16);
CMY_AT(cmy_event_shm_t, sum, 24);
CMY_AT(cmy_event_shm_t, id, 32);
CMY_AT(cmy_event_shm_t, name, 80);
_Static_assert(sizeof(cmy_event_shm_t) == 2 * CMY_CACHE_LINE, "event");
CMY_AT(cmy_event_ring_shm_t, entry, 64);
_Static_assert(sizeof(cmy_event_ring_shm_t) == 16448, "ring of events");
_Static_assert(CMY_EVENT_RINGS *CMY_EVENT_ENTRIES == COMMY_LIMIT_EVENTS, "all events");
CMY_AT(cmy_index_line_shm_t, cell, 8);
_Static_assert(sizeof(cmy_index_line_shm_t) == CMY_CACHE_LINE, "index line");
CMY_AT(cmy_service_shm_t, hash, 8);
CMY_AT(cmy_service_shm_t, shape, 16);
CMY_AT(cmy_service_shm_t, id, 24);
CMY_AT(cmy_service_shm_t, position, 64);
CMY_AT(cmy_service_shm_t, lease, 72);
CMY_AT(cmy_service_shm_t, condition, 80);
CMY_AT(cmy_service_shm_t, stats, 88);
CMY_AT(cmy_service_shm_t, endpoint, 96);
_Static_assert(sizeof(cmy_service_shm_t) == 2 * CMY_CACHE_LINE, "service, hot");
_Static_assert(sizeof(cmy_shape_t) == 8, "shape");
CMY_AT(cmy_service_cold_shm_t, id, 64);
CMY_AT(cmy_service_cold_shm_t, endpoint, 192);
CMY_AT(cmy_service_cold_shm_t, tags, 512);
CMY_AT(cmy_service_cold_shm_t, metadata, 1024);
CMY_AT(cmy_service_cold_shm_t, checker, 1048);
CMY_AT(cmy_service_cold_shm_t, checked, 1056);
_Static_assert(sizeof(cmy_service_cold_shm_t) == 1064, "service, cold");
CMY_AT(cmy_group_shm_t, name, 32);
CMY_AT(cmy_group_shm_t, cell, 96);
CMY_AT(cmy_group_shm_t, rotation, 192);
CMY_AT(cmy_group_shm_t, weighted_rotation, 200);
_Static_assert(sizeof(cmy_group_shm_t) == 4 * CMY_CACHE_LINE, "group");
CMY_AT(cmy_line_shm_t, cell, 16);
_Static_assert(sizeof(cmy_line_shm_t) == 2 * CMY_CACHE_LINE, "line");
CMY_AT(cmy_stat_shm_t, further, 16);
CMY_AT(cmy_stat_shm_t, cell, 64);
CMY_AT(cmy_stat_shm_t, recent_ns, 120);
_Static_assert(sizeof(cmy_stat_shm_t) == 2 * CMY_CACHE_LINE, "statistics, hot");
CMY_AT(cmy_tally_shm_t, bucket, 256);
CMY_AT(cmy_tally_shm_t, breaker, 2048);
_Static_assert(sizeof(cmy_tally_shm_t) == 33 * CMY_CACHE_LINE, "statistics, cold");
CMY_AT(cmy_breaker_shm_t, turn, 8);
CMY_AT(cmy_breaker_shm_t, opened, 32);
_Static_assert(sizeof(cmy_breaker_shm_t) == CMY_CACHE_LINE, "breaker");
CMY_AT(cmy_cells_shm_t, cell, 16);
_Static_assert(sizeof(cmy_cells_shm_t) == 11 * CMY_CACHE_LINE, "cells");
_Static_assert(CMY_STAT_CELLS + CMY_STAT_FURTHER * CMY_FURTHER_CELLS >= COMMY_LIMIT_PARTICIPANTS,
               "a cell for each slot");
_Static_assert(sizeof(cmy_small_text_shm_t) == 8 * CMY_CACHE_LINE, "small text");
_Static_assert(sizeof(cmy_large_text_shm_t) == 65 * CMY_CACHE_LINE, "large text");
#undef CMY_AT

#endif /* CMY_REGION_SHM_H */
