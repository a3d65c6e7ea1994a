/*
 * Slabs: claiming and releasing records.
 *
 * The state word is the truth; a bit a record in the free map is a hint where to look (1: taken). A bit that is set
 * over a FREE record hides it until cmy_slab_repair() clears the bit; one that is clear over a taken record costs the
 * next claimer one look. Both come about when a process dies between two words, or is overtaken there.
 *
 * The map is ours rather than ck_bitmap's: that one keeps its size beside the bits, which would be trusted bytes, has
 * no search for a clear bit, and its words would be out of sight of the tests' scheduler.
 *
 * Lock-free: a claimer that loses a record looks at the next.
 */
#ifndef CMY_SLAB_SLAB_H
#define CMY_SLAB_SLAB_H

#include "region/region.h"

/*
 * Who acts: a region, and the owner under which records are claimed and finished. One for each joined handle, shared by
 * its threads: two of them never meet in one record, since only the winner of a CAS goes on.
 */
typedef struct cmy_actor {
    cmy_region_t *region;
    uint32_t owner;
    _Atomic uint32_t cursor[CMY_SLABS]; /* where to look first: what was released last, else behind the last claim */
    /* Phase words of the dead whose records were all given back, by slot: a slot stays DEAD while a core dump is
     * written, and need not be reaped at every sweep. Relaxed: at worst it is done again. */
    _Atomic uint64_t reaped[COMMY_LIMIT_PARTICIPANTS];
} cmy_actor_t;

/*
 * FREE(v) -> CLAIMED(v, me), with a release fence behind it: what the claimer writes next is seen by nobody who still
 * sees the record's former life. Killed afterwards: a CLAIMED record of a dead owner, for the reaper.
 *
 * Grows the slab when no record is free. Errors: FULL without a sentence (the caller knows what of), those of
 * cmy_region_grow().
 */
commy_status_t cmy_slab_claim(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t *index, uint64_t *state);

/* A record that was seen FREE, not claimed; its hint says taken. For lines, which are linked before they are LIVE. */
commy_status_t cmy_slab_pick(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t *index, uint64_t *state);

/* from -> FREE(v + 1), release. False where the record is not in that state. */
bool cmy_slab_release(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t index, uint64_t from);

/* Takes back the hint that a record is taken. */
void cmy_slab_hint_free(cmy_actor_t *actor, cmy_slab_kind_t kind, uint32_t index);

/* Clears the bits of all FREE records; returns how many were wrong. */
uint32_t cmy_slab_repair(const cmy_region_t *region, cmy_slab_kind_t kind);

/* The word of the free map that holds a record's bit. */
static inline cmy_word64_t *cmy_slab_map(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t index)
{
    return (cmy_word64_t *)(region->base + region->layout.slab[kind].map_offset) + index / 64;
}

#endif /* CMY_SLAB_SLAB_H */
