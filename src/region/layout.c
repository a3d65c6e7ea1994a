/*
 * Where everything lies.
 *
 * a. A pure function of the capacity: two libraries with the same fingerprint (fingerprint.c) agree on every offset.
 * b. Areas start at a page, fixed ones at a cache line, so that no line is shared by two structures.
 * c. Nothing overlaps, and nothing lies behind region_bytes: each area is taken from where the one before it ended.
 */
#include "region/layout.h"

#include <string.h>

static uint64_t align(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

/* Takes `bytes` from the free end of the region; returns where they start. */
static uint64_t take(uint64_t *end, uint64_t bytes, uint64_t alignment)
{
    uint64_t start = align(*end, alignment);
    *end = start + bytes;
    return start;
}

/* Home lines of an index of that many keys: one for 3.5 of them, a quarter of its cells, so that few windows fill. */
static uint32_t home_lines(uint32_t keys)
{
    uint32_t lines = (uint32_t)(((uint64_t)keys * 2 + 6) / 7) + 1;
    return lines < 8 ? 8 : lines;
}

typedef struct slab_shape {
    uint32_t stride, cold_stride, chunk;
} slab_shape_t;

static const slab_shape_t shapes[CMY_SLABS] = {
    [CMY_SERVICES] = {sizeof(cmy_service_shm_t), sizeof(cmy_service_cold_shm_t), 1024},
    [CMY_GROUPS] = {sizeof(cmy_group_shm_t), 0, 1024},
    [CMY_LINES] = {sizeof(cmy_line_shm_t), 0, 1024},
    [CMY_STATS] = {sizeof(cmy_stat_shm_t), sizeof(cmy_tally_shm_t), 64},
    [CMY_SMALL_TEXTS] = {sizeof(cmy_small_text_shm_t), 0, 256},
    [CMY_LARGE_TEXTS] = {sizeof(cmy_large_text_shm_t), 0, 64},
    [CMY_CELLS] = {sizeof(cmy_cells_shm_t), 0, 64},
};
_Static_assert(sizeof(cmy_service_shm_t) * 1024 % CMY_PAGE == 0 &&
                   sizeof(cmy_service_cold_shm_t) * 1024 % CMY_PAGE == 0 &&
                   sizeof(cmy_group_shm_t) * 1024 % CMY_PAGE == 0 && sizeof(cmy_line_shm_t) * 1024 % CMY_PAGE == 0 &&
                   sizeof(cmy_stat_shm_t) * 64 % CMY_PAGE == 0 && sizeof(cmy_tally_shm_t) * 64 % CMY_PAGE == 0 &&
                   sizeof(cmy_small_text_shm_t) * 256 % CMY_PAGE == 0 &&
                   sizeof(cmy_large_text_shm_t) * 64 % CMY_PAGE == 0 && sizeof(cmy_cells_shm_t) * 64 % CMY_PAGE == 0,
               "chunks are whole pages: growth never reserves half of a page that a neighbour counts on");

static uint32_t slab_limit(cmy_slab_kind_t kind, uint32_t capacity)
{
    switch (kind) {
    case CMY_GROUPS:
        return capacity + 64; /* every service may have a name of its own, and names outlive their services a little */
    case CMY_LINES:
        return capacity / 4 + 64;
    case CMY_LARGE_TEXTS:
        return capacity / 4 + 64;
    case CMY_STATS:
    case CMY_SMALL_TEXTS:
        return capacity + 64; /* one for every service, and one for each that is being replaced or came second */
    case CMY_CELLS:
        return 2 * capacity + 64; /* one for every statistics block, and another for nearly all */
    default:
        return capacity;
    }
}

void cmy_layout_compute(uint32_t capacity, cmy_layout_t *layout)
{
    uint64_t end = sizeof(cmy_header_shm_t);

    memset(layout, 0, sizeof(*layout));
    layout->capacity = capacity;
    layout->id_lines = home_lines(capacity);
    layout->name_lines = home_lines(slab_limit(CMY_GROUPS, capacity));

    layout->life = take(&end, sizeof(cmy_life_shm_t) * COMMY_LIMIT_PARTICIPANTS, CMY_PAGE);
    layout->participants = take(&end, sizeof(cmy_participant_shm_t) * COMMY_LIMIT_PARTICIPANTS, CMY_CACHE_LINE);
    layout->stripes = take(&end, sizeof(cmy_stripe_shm_t) * (CMY_STRIPES + 1), CMY_CACHE_LINE);
    layout->events = take(&end, sizeof(cmy_event_ring_shm_t) * CMY_EVENT_RINGS, CMY_CACHE_LINE);
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        cmy_slab_layout_t *slab = &layout->slab[kind];
        slab->stride = shapes[kind].stride;
        slab->cold_stride = shapes[kind].cold_stride;
        slab->chunk = shapes[kind].chunk;
        slab->limit = slab_limit((cmy_slab_kind_t)kind, capacity);
        slab->map_offset = take(&end, (uint64_t)(slab->limit + 63) / 64 * sizeof(uint64_t), CMY_CACHE_LINE);
    }
    layout->ids = take(&end, sizeof(cmy_index_line_shm_t) * ((uint64_t)layout->id_lines + 1), CMY_CACHE_LINE);
    layout->names = take(&end, sizeof(cmy_index_line_shm_t) * ((uint64_t)layout->name_lines + 1), CMY_CACHE_LINE);
    end = align(end, CMY_PAGE);
    layout->fixed_bytes = end;

    /* The last chunk of a slab may be short: it ends with the page that its last record lies in. */
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        cmy_slab_layout_t *slab = &layout->slab[kind];
        slab->offset = take(&end, (uint64_t)slab->limit * slab->stride, CMY_PAGE);
        if (slab->cold_stride != 0)
            slab->cold_offset = take(&end, (uint64_t)slab->limit * slab->cold_stride, CMY_PAGE);
    }
    layout->region_bytes = align(end, CMY_PAGE);
}
