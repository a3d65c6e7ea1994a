/*
 * One number that says how a library reads a region: every size, offset and constant of shm.h, and what the layout's
 * rules make of three capacities. Whatever is changed there without raising CMY_LAYOUT_VERSION is noticed at attach.
 */
#include <stddef.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "region/layout.h"

static void add(uint64_t *hash, uint64_t number)
{
    *hash = XXH3_64bits_withSeed(&number, sizeof(number), *hash);
}

#define ADD_FIELD(hash, type, field) (add((hash), offsetof(type, field)), add((hash), sizeof(((type *)0)->field)))

static void add_types(uint64_t *hash)
{
    add(hash, sizeof(cmy_header_shm_t));
    ADD_FIELD(hash, cmy_header_shm_t, magic);
    ADD_FIELD(hash, cmy_header_shm_t, layout_version);
    ADD_FIELD(hash, cmy_header_shm_t, byte_order);
    ADD_FIELD(hash, cmy_header_shm_t, fingerprint);
    ADD_FIELD(hash, cmy_header_shm_t, region_bytes);
    ADD_FIELD(hash, cmy_header_shm_t, capacity);
    ADD_FIELD(hash, cmy_header_shm_t, seed);
    ADD_FIELD(hash, cmy_header_shm_t, boot_id);
    ADD_FIELD(hash, cmy_header_shm_t, device);
    ADD_FIELD(hash, cmy_header_shm_t, inode);
    ADD_FIELD(hash, cmy_header_shm_t, created_at_ns);
    ADD_FIELD(hash, cmy_header_shm_t, maker_pid);
    ADD_FIELD(hash, cmy_header_shm_t, maker);
    ADD_FIELD(hash, cmy_header_shm_t, removed);
    ADD_FIELD(hash, cmy_header_shm_t, reserved);
    ADD_FIELD(hash, cmy_header_shm_t, death_epoch);
    ADD_FIELD(hash, cmy_header_shm_t, next_expiry);
    ADD_FIELD(hash, cmy_header_shm_t, stray_successes);
    ADD_FIELD(hash, cmy_header_shm_t, stray_failures);
    ADD_FIELD(hash, cmy_header_shm_t, stray_latency_ns);
    ADD_FIELD(hash, cmy_header_shm_t, breaker_rules);
    ADD_FIELD(hash, cmy_header_shm_t, breaker_times);

    add(hash, sizeof(cmy_life_shm_t));
    ADD_FIELD(hash, cmy_life_shm_t, phase);
    ADD_FIELD(hash, cmy_life_shm_t, word);

    add(hash, sizeof(cmy_participant_shm_t));
    ADD_FIELD(hash, cmy_participant_shm_t, node_id);
    ADD_FIELD(hash, cmy_participant_shm_t, pid_namespace);
    ADD_FIELD(hash, cmy_participant_shm_t, joined_at_ns);
    ADD_FIELD(hash, cmy_participant_shm_t, pid);
    ADD_FIELD(hash, cmy_participant_shm_t, uid);
    ADD_FIELD(hash, cmy_participant_shm_t, listen_port);
    ADD_FIELD(hash, cmy_participant_shm_t, leaves);

    add(hash, sizeof(cmy_stripe_shm_t));
    ADD_FIELD(hash, cmy_stripe_shm_t, version);
    ADD_FIELD(hash, cmy_stripe_shm_t, waiting);

    ADD_FIELD(hash, cmy_event_shm_t, ticket);
    ADD_FIELD(hash, cmy_event_shm_t, time_ns);
    ADD_FIELD(hash, cmy_event_shm_t, what);
    ADD_FIELD(hash, cmy_event_shm_t, sum);
    ADD_FIELD(hash, cmy_event_shm_t, id);
    ADD_FIELD(hash, cmy_event_shm_t, name);
    ADD_FIELD(hash, cmy_event_ring_shm_t, cursor);
    ADD_FIELD(hash, cmy_event_ring_shm_t, entry);

    add(hash, sizeof(cmy_index_line_shm_t));
    ADD_FIELD(hash, cmy_index_line_shm_t, word);
    ADD_FIELD(hash, cmy_index_line_shm_t, cell);
}

static void add_records(uint64_t *hash)
{
    ADD_FIELD(hash, cmy_service_shm_t, state);
    ADD_FIELD(hash, cmy_service_shm_t, hash);
    ADD_FIELD(hash, cmy_service_shm_t, shape);
    ADD_FIELD(hash, cmy_service_shm_t, id);
    ADD_FIELD(hash, cmy_service_shm_t, position);
    ADD_FIELD(hash, cmy_service_shm_t, lease);
    ADD_FIELD(hash, cmy_service_shm_t, condition);
    ADD_FIELD(hash, cmy_service_shm_t, stats);
    ADD_FIELD(hash, cmy_service_shm_t, endpoint);
    ADD_FIELD(hash, cmy_shape_t, id_bytes);
    ADD_FIELD(hash, cmy_shape_t, name_bytes);
    ADD_FIELD(hash, cmy_shape_t, endpoint_bytes);
    ADD_FIELD(hash, cmy_shape_t, flags);
    ADD_FIELD(hash, cmy_shape_t, port);
    ADD_FIELD(hash, cmy_shape_t, tag_count);
    ADD_FIELD(hash, cmy_service_cold_shm_t, name);
    ADD_FIELD(hash, cmy_service_cold_shm_t, id);
    ADD_FIELD(hash, cmy_service_cold_shm_t, endpoint);
    ADD_FIELD(hash, cmy_service_cold_shm_t, version);
    ADD_FIELD(hash, cmy_service_cold_shm_t, zone);
    ADD_FIELD(hash, cmy_service_cold_shm_t, tags);
    ADD_FIELD(hash, cmy_service_cold_shm_t, metadata);
    ADD_FIELD(hash, cmy_service_cold_shm_t, registered_at_ns);
    ADD_FIELD(hash, cmy_service_cold_shm_t, ttl_ms);
    ADD_FIELD(hash, cmy_service_cold_shm_t, checker);
    ADD_FIELD(hash, cmy_service_cold_shm_t, checked);

    ADD_FIELD(hash, cmy_group_shm_t, state);
    ADD_FIELD(hash, cmy_group_shm_t, next);
    ADD_FIELD(hash, cmy_group_shm_t, hash);
    ADD_FIELD(hash, cmy_group_shm_t, hint);
    ADD_FIELD(hash, cmy_group_shm_t, name);
    ADD_FIELD(hash, cmy_group_shm_t, cell);
    ADD_FIELD(hash, cmy_group_shm_t, rotation);
    ADD_FIELD(hash, cmy_group_shm_t, weighted_rotation);
    ADD_FIELD(hash, cmy_line_shm_t, state);
    ADD_FIELD(hash, cmy_line_shm_t, next);
    ADD_FIELD(hash, cmy_line_shm_t, cell);

    ADD_FIELD(hash, cmy_block_shm_t, state);
    ADD_FIELD(hash, cmy_block_shm_t, home);
    ADD_FIELD(hash, cmy_block_shm_t, bytes);
    ADD_FIELD(hash, cmy_stat_shm_t, further);
    ADD_FIELD(hash, cmy_stat_shm_t, cell);
    ADD_FIELD(hash, cmy_stat_shm_t, recent_ns);
    ADD_FIELD(hash, cmy_tally_shm_t, stripe);
    ADD_FIELD(hash, cmy_tally_shm_t, bucket);
    ADD_FIELD(hash, cmy_tally_shm_t, breaker);
    ADD_FIELD(hash, cmy_breaker_shm_t, streak);
    ADD_FIELD(hash, cmy_breaker_shm_t, turn);
    ADD_FIELD(hash, cmy_breaker_shm_t, window);
    ADD_FIELD(hash, cmy_breaker_shm_t, before);
    ADD_FIELD(hash, cmy_breaker_shm_t, opened);
    ADD_FIELD(hash, cmy_stat_stripe_shm_t, successes);
    ADD_FIELD(hash, cmy_stat_stripe_shm_t, failures);
    ADD_FIELD(hash, cmy_stat_stripe_shm_t, latency_ns);
    ADD_FIELD(hash, cmy_stat_stripe_shm_t, base_successes);
    ADD_FIELD(hash, cmy_stat_stripe_shm_t, base_failures);
    ADD_FIELD(hash, cmy_stat_stripe_shm_t, base_latency_ns);
    ADD_FIELD(hash, cmy_small_text_shm_t, text);
    ADD_FIELD(hash, cmy_large_text_shm_t, text);
    ADD_FIELD(hash, cmy_cells_shm_t, cell);
}

static void add_constants(uint64_t *hash)
{
    const uint64_t constants[] = {
        CMY_LAYOUT_VERSION,
        CMY_CACHE_LINE,
        CMY_PAGE,
        CMY_STRIPES,
        CMY_EVENT_RINGS,
        CMY_EVENT_ENTRIES,
        CMY_EVENT_TEXT_WORDS,
        CMY_SLABS,
        CMY_FREE,
        CMY_CLAIMED,
        CMY_LIVE,
        CMY_CLOSING,
        CMY_DYING,
        CMY_VERSION_BITS,
        CMY_OWNER_BITS,
        CMY_SLOT_BITS,
        CMY_INCARNATION_BITS,
        cmy_owner_incarnation(CMY_OWNER_MASK - 1), /* changes with the order of the two */
        CMY_LINE_CELLS,
        CMY_WINDOW_CELLS,
        CMY_GROUP_CELLS,
        CMY_LINE_MEMBERS,
        CMY_STAT_STRIPES,
        CMY_STAT_CELLS,
        CMY_STAT_FURTHER,
        CMY_FURTHER_CELLS,
        CMY_LATENCY_BUCKETS,
        CMY_LATENCY_STRIPES,
        CMY_SHAPE_DETACHED,
        CMY_SHAPE_LEASED,
        CMY_HOT_ID_BYTES,
        CMY_NEXT_NIL,
        CMY_NEXT_LINE,
        CMY_NEXT_CLOSED,
        CMY_HOT_ENDPOINT_BYTES,
        COMMY_LIMIT_PARTICIPANTS,
        COMMY_LIMIT_SERVICES_MIN,
        COMMY_LIMIT_SERVICES_MAX,
        COMMY_LIMIT_NAME_BYTES,
        COMMY_LIMIT_ID_BYTES,
        COMMY_LIMIT_ENDPOINT_BYTES,
        COMMY_LIMIT_VERSION_BYTES,
        COMMY_LIMIT_ZONE_BYTES,
        COMMY_LIMIT_TAGS,
        COMMY_LIMIT_TAG_BYTES,
        COMMY_LIMIT_METADATA_BYTES,
    };
    for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++)
        add(hash, constants[i]);
}

/* What cmy_layout_compute() makes of a capacity: rules that no offset of a field would show. */
static void add_layout(uint64_t *hash, uint32_t capacity)
{
    cmy_layout_t layout;
    cmy_layout_compute(capacity, &layout);
    const uint64_t areas[] = {
        layout.capacity, layout.id_lines, layout.name_lines, layout.life,        layout.participants, layout.stripes,
        layout.events,   layout.ids,      layout.names,      layout.fixed_bytes, layout.region_bytes,
    };
    for (size_t i = 0; i < sizeof(areas) / sizeof(*areas); i++)
        add(hash, areas[i]);
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        const cmy_slab_layout_t *slab = &layout.slab[kind];
        const uint64_t places[] = {slab->offset,      slab->cold_offset, slab->map_offset, slab->stride,
                                   slab->cold_stride, slab->limit,       slab->chunk};
        for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
            add(hash, places[i]);
    }
}

uint64_t cmy_layout_fingerprint(void)
{
    uint64_t hash = 0;
    add_types(&hash);
    add_records(&hash);
    add_constants(&hash);
    add_layout(&hash, COMMY_LIMIT_SERVICES_MIN);
    add_layout(&hash, COMMY_DEFAULT_CAPACITY);
    add_layout(&hash, COMMY_LIMIT_SERVICES_MAX);
    return hash;
}
