/*
 * The unique index: ids to services, names to groups. One cache line of it decides a lookup.
 *
 * Cells of a line hold tagged record numbers; the line's word says which cells of the window (its own 14 and the next
 * line's 14) are committed for keys that live here, and carries a version. One CAS on the word, taken after a scan under
 * that very word, makes a key present: it fails if anything was committed or withdrawn meanwhile, so a key is never
 * committed twice.
 *
 * a. find: wait-free, one pass. If the key was registered when the word was read, its bit is in the word; missing its
 *    record means that it went during the call.
 * b. insert: lock-free. A loser helps (publishes, clears, finishes) what stands in its way, but only after checking that
 *    the word is unchanged, since acting on a stale view could publish a record whose owner has withdrawn it.
 * c. A record has at most one cell, and a cell at most one bit. Bits are cleared before cells by everybody who cleans up,
 *    so no bit ever stands over a cell that means another record.
 *
 * Killed inside insert: the record is CLAIMED by a dead owner, in a cell or not, committed or not; its executor (the
 * reaper, or the next inserter of the key) finds the cell by looking through the window of the key's home.
 */
#ifndef CMY_INDEX_INDEX_H
#define CMY_INDEX_INDEX_H

#include "index/key.h"
#include "slab/slab.h"

#define CMY_MAP_MASK ((1ull << CMY_WINDOW_CELLS) - 1)
#define CMY_CELL_RECORD_MASK ((1u << 22) - 1)

/* Home line of a hash: multiply and shift of its upper half. The tag is of the lower half. */
static inline uint32_t cmy_index_home(uint64_t hash, uint32_t homes)
{
    return (uint32_t)(((hash >> 32) * homes) >> 32);
}
static inline uint32_t cmy_index_tag(uint64_t hash)
{
    return (uint32_t)hash & 0x3ffu;
}
static inline uint32_t cmy_index_cell(uint64_t hash, uint32_t record)
{
    return cmy_index_tag(hash) << 22 | (record + 1);
}

/* Cell i of a home line's window. */
static inline cmy_word32_t *cmy_window_cell(cmy_index_line_shm_t *home, uint32_t i)
{
    return i < CMY_LINE_CELLS ? &home->cell[i] : &home[1].cell[i - CMY_LINE_CELLS];
}

/*
 * Which cells of a line carry a tag: a bit for each 4 bytes of the line, of which the lowest two are its word's and mean
 * nothing. A filter: whoever uses a cell loads it again.
 */
#if defined(__SSE2__) && !CMY_THREAD_SANITIZER && !defined(CMY_SCHEDULE)
#include <emmintrin.h>
static inline uint32_t cmy_line_match(const cmy_index_line_shm_t *line, uint32_t tag)
{
    /* Loads of 16 bytes are not one atomic access, but each aligned cell within is; 14 cells behind an 8-byte word. */
    const __m128i *v = (const __m128i *)(const void *)line;
    const __m128i want = _mm_set1_epi16((short)tag);
    __m128i a = _mm_srli_epi32(_mm_load_si128(v), 22), b = _mm_srli_epi32(_mm_load_si128(v + 1), 22);
    __m128i c = _mm_srli_epi32(_mm_load_si128(v + 2), 22), d = _mm_srli_epi32(_mm_load_si128(v + 3), 22);
    __m128i low = _mm_cmpeq_epi16(_mm_packs_epi32(a, b), want), high = _mm_cmpeq_epi16(_mm_packs_epi32(c, d), want);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}
#else
static inline uint32_t cmy_line_match(const cmy_index_line_shm_t *line, uint32_t tag)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < CMY_LINE_CELLS; i++)
        found |= (uint32_t)(cmy_load32_relaxed(&line->cell[i]) >> 22 == tag) << (i + 2);
    return found;
}
#endif

/* One pass over the committed cells of a window that carry a key's tag. */
typedef struct cmy_probe {
    cmy_index_line_shm_t *home;
    uint64_t word; /* as it was when the probe began */
    uint32_t tag;
    uint32_t candidates; /* cells not looked at yet */
    uint32_t cell;       /* the one that cmy_probe_next() gave */
} cmy_probe_t;

static inline void cmy_probe_begin(cmy_probe_t *probe, cmy_index_line_shm_t *lines, uint32_t homes, uint64_t hash)
{
    probe->home = &lines[cmy_index_home(hash, homes)];
    probe->tag = cmy_index_tag(hash);
    probe->word = cmy_load64_acquire(&probe->home->word); /* pairs with the CAS that committed */
    uint32_t committed = (uint32_t)(probe->word & CMY_MAP_MASK);
    probe->candidates = cmy_line_match(probe->home, probe->tag) >> 2 & committed;
    if (__builtin_expect(committed >> CMY_LINE_CELLS != 0, 0))
        probe->candidates |= cmy_line_match(probe->home + 1, probe->tag) >> 2 << CMY_LINE_CELLS & committed;
}

/*
 * The next record number that may be the key's; false at the end. Neither the tag nor the cell's being in use is looked at
 * again: a cell that changed since it was matched names another record, which has another key, or none, which is no
 * number that a region holds.
 */
static inline bool cmy_probe_next(cmy_probe_t *probe, uint32_t *record)
{
    if (probe->candidates == 0)
        return false;
    probe->cell = (uint32_t)__builtin_ctz(probe->candidates);
    probe->candidates &= probe->candidates - 1;
    *record = (cmy_load32_acquire(cmy_window_cell(probe->home, probe->cell)) & CMY_CELL_RECORD_MASK) - 1;
    return true;
}

/* What an index needs to know of the records in it. */
typedef struct cmy_index_kind {
    cmy_slab_kind_t slab;
    bool (*matches)(const cmy_region_t *region, uint32_t record, const cmy_key_t *key);
    /* Whether a record that stands in the way may be taken away: its owner is dead for certain. */
    bool (*gone)(cmy_region_t *region, uint32_t record, uint64_t state);
    /* The LIVE state that follows a CLAIMED one. */
    uint64_t (*published)(const cmy_region_t *region, uint32_t record, uint64_t claimed);
    /* Called by a helper that published somebody else's record. */
    void (*helped)(cmy_actor_t *actor, uint32_t record);
    /* Called by whoever made a LIVE record of the dead DYING(me), before it is finished; may be null. */
    void (*retired)(cmy_actor_t *actor, uint32_t record, uint64_t state);
    /* Finishes a record that is DYING(me). live: it was LIVE right before. */
    void (*finish)(cmy_actor_t *actor, uint32_t record, uint64_t state, bool live);
} cmy_index_kind_t;

static inline cmy_index_line_shm_t *cmy_index_lines(const cmy_region_t *region, cmy_slab_kind_t slab)
{
    return slab == CMY_SERVICES ? region->ids : region->names;
}
static inline uint32_t cmy_index_homes(const cmy_region_t *region, cmy_slab_kind_t slab)
{
    return slab == CMY_SERVICES ? region->layout.id_lines : region->layout.name_lines;
}

/* Who holds a key. */
typedef struct cmy_holder {
    uint32_t record;
    uint64_t state;
} cmy_holder_t;

/*
 * Makes a filled record, CLAIMED by the actor in `claimed`, the key's, and publishes it.
 * Returns SUCCESS; EXISTS, with the holder (which is LIVE or was a moment ago); FULL without a sentence when the window
 * has no empty cell; CORRUPT. After a failure the record is the caller's to retire and finish.
 */
commy_status_t cmy_index_insert(cmy_actor_t *actor, const cmy_index_kind_t *kind, const cmy_key_t *key, uint32_t record,
                                uint64_t claimed, cmy_holder_t *holder);

/* Takes a record that is DYING(me) out of the index: bit, then cell. hash: of its key, or anything if never filled. */
void cmy_index_remove(cmy_actor_t *actor, cmy_slab_kind_t slab, uint64_t hash, uint32_t record);

#endif /* CMY_INDEX_INDEX_H */
