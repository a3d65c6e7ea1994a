/*
 * A lookup by id, as it usually goes: in straight code without a call, which leaves everything in registers.
 *
 * Usual is: the first candidate lies in the home line and is the service, its texts are short, it has an owner and no lease.
 * Whatever is not so, or not any more when it is looked at again, cmy_find_any() looks at properly, from the start. The
 * order of looking is that of all lookups: word, cell, state, what is wanted of the record, owner's life, state.
 */
#ifndef CMY_REGISTRY_FIND_H
#define CMY_REGISTRY_FIND_H

#include "registry/mesh.h"

/* Any lookup, and whatever may be wrong with it. Errors: those of commy_service_find(). */
commy_status_t cmy_find_any(const cmy_region_t *region, const char *id, commy_target_t *target);

/* A lookup of an id that was measured: of up to 16 bytes, or over 32, which goes the way of all. */
commy_status_t cmy_find_to_16(const cmy_region_t *region, const char *id, commy_target_t *target, uint32_t bytes);

#define CMY_INLINE static inline __attribute__((always_inline))

/* NONE: there is no such service. UNUSUAL: ask cmy_find_any(). */
typedef enum cmy_found { CMY_FOUND, CMY_FOUND_NONE, CMY_FOUND_UNUSUAL } cmy_found_t;

/* The first cell of the home line that may be the key's. */
CMY_INLINE cmy_found_t cmy_find_cell(const cmy_region_t *region, uint64_t hash, uint32_t *cell)
{
    const cmy_index_line_shm_t *home = &region->ids[cmy_index_home(hash, region->layout.id_lines)];
    uint64_t word = cmy_load64_acquire(&home->word); /* pairs with the CAS that committed */
    uint32_t committed = (uint32_t)word << 2;        /* of which the highest two bits are the version's */
    uint32_t found = cmy_line_match(home, cmy_index_tag(hash)) & committed;
    if (__builtin_expect(found == 0, 0))
        return (committed & (uint32_t)(CMY_MAP_MASK << 2)) >> (CMY_LINE_CELLS + 2) == 0 ? CMY_FOUND_NONE
                                                                                        : CMY_FOUND_UNUSUAL;
    *cell = cmy_load32_acquire(&home->cell[__builtin_ctz(found) - 2]);
    return CMY_FOUND;
}

/* Whether the cell's record is that of the id, which has up to 32 bytes, and as usual; the answer, if so. */
CMY_INLINE bool cmy_find_answer(const cmy_region_t *region, uint32_t cell, const char *id, size_t bytes,
                                commy_target_t *target)
{
    uint32_t number = cell & CMY_CELL_RECORD_MASK; /* of the record, + 1 */
    if (number - 1 >= cmy_region_reserved(region, CMY_SERVICES))
        return false;
    const cmy_service_shm_t *service = cmy_service_at(region, number) - 1;
    uint64_t state = cmy_load64_acquire(&service->state);
    uint64_t shape = cmy_load64_relaxed(&service->shape);
    if (cmy_state_phase(state) != CMY_LIVE || !cmy_shape_is_hot(shape, bytes))
        return false;
    if (!(bytes > 16  ? cmy_bytes_same_17_to_32(service->id, id, bytes)
          : bytes > 8 ? cmy_bytes_same_9_to_16(service->id, id, bytes)
                      : cmy_bytes_same(service->id, id, bytes)) ||
        !cmy_life_owns(region, state))
        return false;
    target->reference = cmy_reference(number - 1, state);
    cmy_condition_tell(cmy_load64_relaxed(&service->condition), target);
    target->port = cmy_shape_unpack(shape).port;
    cmy_bytes_load(target->endpoint, service->endpoint, CMY_HOT_ENDPOINT_BYTES);
    target->endpoint[CMY_HOT_ENDPOINT_BYTES - 1] = '\0'; /* whatever is there */
    return cmy_service_same(service, state);
}

/* A lookup of an id of up to 32 bytes that was hashed. */
CMY_INLINE cmy_found_t cmy_find_usual(const cmy_region_t *region, const char *id, size_t bytes, uint64_t hash,
                                      commy_target_t *target)
{
    uint32_t cell = 0;
    cmy_found_t found = cmy_find_cell(region, hash, &cell);
    if (__builtin_expect(found != CMY_FOUND, 0))
        return found;
    return __builtin_expect(cmy_find_answer(region, cell, id, bytes, target), 1) ? CMY_FOUND : CMY_FOUND_UNUSUAL;
}

/* The same, to the end. */
CMY_INLINE commy_status_t cmy_find_hashed(const cmy_region_t *region, const char *id, size_t bytes, uint64_t hash,
                                          commy_target_t *target)
{
    cmy_found_t found = cmy_find_usual(region, id, bytes, hash, target);
    if (__builtin_expect(found == CMY_FOUND, 1))
        return COMMY_STATUS_SUCCESS;
    if (found == CMY_FOUND_NONE)
        return cmy_fail_no_short_service(region->place, id, bytes);
    return cmy_find_any(region, id, target);
}

/* Any lookup. */
CMY_INLINE commy_status_t cmy_find(const cmy_region_t *region, const char *id, commy_target_t *target)
{
    if (__builtin_expect(!id, 0) || __builtin_expect(!cmy_region_is_usable(region), 0) || __builtin_expect(!target, 0))
        return cmy_find_any(region, id, target);
    uint32_t bytes = cmy_bytes_short_length(id);
    if (__builtin_expect(bytes - 17 > 15, 0))
        return cmy_find_to_16(region, id, target, bytes);
    return cmy_find_hashed(region, id, bytes, cmy_hash_17_to_32(&region->salt, id, bytes), target);
}

#endif /* CMY_REGISTRY_FIND_H */
