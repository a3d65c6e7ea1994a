/*
 * A mapped region: making, mapping, growing and removing it.
 *
 * a. A region is whole or absent: made in an unnamed file, reserved, initialised, and given its name last.
 * b. Nobody's bytes are trusted: the header is copied and checked once; from then on only words that may change are read
 *    from it, and numbers found in the region are checked against what is reserved.
 * c. Memory is reserved before anybody touches it, so that a full file system is an error and never a signal.
 * d. The mapping needs no descriptor, is not inherited by a forked child, and is left out of core dumps.
 */
#ifndef CMY_REGION_REGION_H
#define CMY_REGION_REGION_H

#include <sys/types.h>

#include "base/hash.h"
#include "region/layout.h"

typedef struct cmy_region {
    unsigned char *base;
    cmy_header_shm_t *header;
    cmy_life_shm_t *life;
    cmy_participant_shm_t *participants;
    cmy_stripe_shm_t *stripes; /* CMY_STRIPES, and the bell behind them */
    cmy_event_ring_shm_t *events;
    cmy_index_line_shm_t *ids, *names;
    cmy_service_shm_t *services; /* record 0 of the slabs that lookups and walks touch */
    cmy_service_cold_shm_t *cold;
    cmy_group_shm_t *groups;
    cmy_line_shm_t *lines;
    cmy_stat_shm_t *stats;
    cmy_tally_shm_t *tallies;        /* the cold halves of stats */
    const unsigned char *alive_page; /* first byte 1; the kernel clears it in a forked child */
    uint64_t seed;
    cmy_salt_t salt; /* what the hash makes of the seed */
    cmy_layout_t layout;
    /* Records known to be reserved, by slab: a private copy of the header's marks, so that the shared line is read
     * only when a number exceeds it. Relaxed; grows only. */
    _Atomic uint32_t reserved[CMY_SLABS];
    bool writable;
    char dir[COMMY_LIMIT_ENDPOINT_BYTES + 1], mesh[COMMY_LIMIT_MESH_BYTES + 1];
    dev_t device;
    ino_t inode;
    uid_t uid;
    gid_t gid;
    mode_t mode;
    uint64_t created_at_ns;
    const struct cmy_place *place; /* the same directory and mesh, for sentences (base/error.h) */
} cmy_region_t;

/* Which region: checked and defaulted copies of what the caller asked for. */
typedef struct cmy_region_name {
    char dir[COMMY_LIMIT_ENDPOINT_BYTES + 1], mesh[COMMY_LIMIT_MESH_BYTES + 1];
    bool own_dir; /* the default directory: made if missing, and must be private */
} cmy_region_name_t;

/* dir, mesh: null or empty for $COMMY_DIR, $COMMY_MESH and then the defaults. Errors: INVALID. */
commy_status_t cmy_region_resolve(const char *dir, const char *mesh, cmy_region_name_t *name);

/* Errors as commy_mesh_create(). capacity 0 and mode 0: default. group: null, a name or a number. */
commy_status_t cmy_region_create(const cmy_region_name_t *name, uint32_t capacity, const char *group, uint32_t mode);

/* Errors as commy_mesh_attach() of an existing region; MESH_NOT_FOUND without a trace in the error message's order. */
commy_status_t cmy_region_map(const cmy_region_name_t *name, bool writable, cmy_region_t **region);
/* Fills in where each area lies, and the salt, from base, layout and seed. */
void cmy_region_place(cmy_region_t *region);
void cmy_region_unmap(cmy_region_t **region);

/* Stores the REMOVED word where the file is a region that can be mapped, and unlinks it. live: participants that the
 * caller counted, or a callback to count them: called with the mapped region, null for none. */
typedef uint32_t cmy_region_count_fn(const cmy_region_t *region);
commy_status_t cmy_region_remove(const cmy_region_name_t *name, bool force, cmy_region_count_fn *count_live);

/*
 * Reserves the next chunk of a slab and raises its mark beyond `than` records. SUCCESS also when somebody else did.
 * Errors: FULL without a message (the slab is at its limit), NO_SPACE, LIMIT, REMOVED. Blocks for the reservation.
 */
commy_status_t cmy_region_grow(cmy_region_t *region, cmy_slab_kind_t kind, uint32_t than);

/* Bytes that are reserved now, all areas; and those of one slab. */
uint64_t cmy_region_reserved_bytes(const cmy_region_t *region);
uint64_t cmy_slab_reserved_bytes(const cmy_region_t *region, cmy_slab_kind_t kind);

/* FORKED in a forked child (the mapping must not be touched), REMOVED after rm, else SUCCESS. */
commy_status_t cmy_region_refused(const cmy_region_t *region) __attribute__((cold));
static inline bool cmy_region_is_forked(const cmy_region_t *region)
{
    return __builtin_expect(*(const volatile unsigned char *)region->alive_page == 0, 0);
}
static inline bool cmy_region_is_usable(const cmy_region_t *region)
{
    return !cmy_region_is_forked(region) && __builtin_expect(cmy_load64_relaxed(&region->header->removed) == 0, 1);
}
static inline commy_status_t cmy_region_usable(const cmy_region_t *region)
{
    return cmy_region_is_usable(region) ? COMMY_STATUS_SUCCESS : cmy_region_refused(region);
}

/* Whether a record may be touched. */
uint32_t cmy_region_reserved_again(const cmy_region_t *region, cmy_slab_kind_t kind);
static inline uint32_t cmy_region_reserved(const cmy_region_t *region, cmy_slab_kind_t kind)
{
    return atomic_load_explicit(&region->reserved[kind], memory_order_relaxed);
}
static inline bool cmy_region_holds(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t index)
{
    return __builtin_expect(index < cmy_region_reserved(region, kind), 1) ||
           index < cmy_region_reserved_again(region, kind);
}

/* Records by number; the number was checked with cmy_region_holds(). */
static inline void *cmy_record_at(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t index)
{
    return region->base + region->layout.slab[kind].offset + (uint64_t)index * region->layout.slab[kind].stride;
}
static inline cmy_word64_t *cmy_state_at(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t index)
{
    return cmy_record_at(region, kind, index); /* the state is every record's first word */
}
static inline cmy_service_shm_t *cmy_service_at(const cmy_region_t *region, uint32_t index)
{
    return region->services + index;
}
static inline cmy_service_cold_shm_t *cmy_cold_at(const cmy_region_t *region, uint32_t index)
{
    return region->cold + index;
}
static inline cmy_group_shm_t *cmy_group_at(const cmy_region_t *region, uint32_t index)
{
    return region->groups + index;
}
static inline cmy_line_shm_t *cmy_line_at(const cmy_region_t *region, uint32_t index)
{
    return region->lines + index;
}
static inline cmy_stat_shm_t *cmy_stat_at(const cmy_region_t *region, uint32_t index)
{
    return region->stats + index;
}
static inline cmy_tally_shm_t *cmy_tally_at(const cmy_region_t *region, uint32_t index)
{
    return region->tallies + index;
}

#endif /* CMY_REGION_REGION_H */
