/* Where everything lies in a region of a given capacity. A pure function: nothing of it is read from the region. */
#ifndef CMY_REGION_LAYOUT_H
#define CMY_REGION_LAYOUT_H

#include "region/shm.h"

/* One slab's place. Its cold half, where it has one, has the same number of records. */
typedef struct cmy_slab_layout {
    uint64_t offset;      /* of record 0 */
    uint64_t cold_offset; /* of cold record 0; 0: none */
    uint64_t map_offset;  /* of the free map, a 64-bit word for 64 records */
    uint32_t stride, cold_stride;
    uint32_t limit; /* records at most */
    uint32_t chunk; /* records that memory is reserved for at a time; chunks are whole pages */
} cmy_slab_layout_t;

typedef struct cmy_layout {
    uint32_t capacity;
    uint32_t id_lines, name_lines; /* home lines; one more line follows, the last one's window */
    uint64_t life, participants, stripes, events, ids, names;
    uint64_t fixed_bytes;  /* the part that is reserved when the region is made */
    uint64_t region_bytes; /* all of it */
    cmy_slab_layout_t slab[CMY_SLABS];
} cmy_layout_t;

/* capacity: COMMY_LIMIT_SERVICES_MIN to COMMY_LIMIT_SERVICES_MAX. */
void cmy_layout_compute(uint32_t capacity, cmy_layout_t *layout);

/* Hash over every size and offset of shm.h: differs whenever two libraries would read the region differently. */
uint64_t cmy_layout_fingerprint(void);

#endif /* CMY_REGION_LAYOUT_H */
