/* Filling and reading service records; see service.h. */
#include "service/service.h"

#include "base/text.h"
#include "service/checker.h"

#define WORDS(field) (sizeof(field) / sizeof((field)[0]))

bool cmy_service_find(const cmy_region_t *region, const cmy_key_t *key, uint32_t *record, uint64_t *state)
{
    cmy_probe_t probe;
    cmy_probe_begin(&probe, region->ids, region->layout.id_lines, key->hash);
    while (cmy_service_seek(region, key, &probe, record, state))
        if (cmy_service_same(cmy_service_at(region, *record), *state))
            return true;
    return false;
}

void cmy_service_fill(const cmy_region_t *region, uint32_t record, uint64_t claimed, const cmy_draft_t *draft)
{
    cmy_service_shm_t *hot = cmy_service_at(region, record);
    cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    cmy_shape_t shape = {
        .id_bytes = (uint8_t)draft->id.bytes,
        .name_bytes = (uint8_t)draft->name.bytes,
        .endpoint_bytes = (uint8_t)draft->endpoint_bytes,
        .flags = (draft->detached ? CMY_SHAPE_DETACHED : 0) | (draft->ttl_ms != 0 ? CMY_SHAPE_LEASED : 0),
        .port = draft->port,
        .tag_count = (uint8_t)draft->tag_count,
    };
    cmy_store64_relaxed(&hot->hash, draft->id.hash);
    cmy_store64_relaxed(&hot->shape, cmy_shape_pack(shape));
    if (draft->id.bytes < CMY_HOT_ID_BYTES)
        cmy_text_store(hot->id, WORDS(hot->id), draft->id.text, draft->id.bytes);
    else
        cmy_text_store(cold->id, WORDS(cold->id), draft->id.text, draft->id.bytes);
    if (draft->endpoint_bytes < CMY_HOT_ENDPOINT_BYTES)
        cmy_text_store(hot->endpoint, WORDS(hot->endpoint), draft->endpoint, draft->endpoint_bytes);
    else
        cmy_text_store(cold->endpoint, WORDS(cold->endpoint), draft->endpoint, draft->endpoint_bytes);
    cmy_store64_relaxed(&hot->condition, cmy_condition(claimed, draft->weight, COMMY_HEALTH_HEALTHY, 0));
    cmy_store64_relaxed(&hot->stats, cmy_link_none(claimed));
    cmy_store64_relaxed(&hot->lease,
                        draft->ttl_ms == 0 ? 0 : (cmy_clock_monotonic_ns() + draft->ttl_ms * 1000000ull) << 1);

    cmy_text_store(cold->name, WORDS(cold->name), draft->name.text, draft->name.bytes);
    cmy_text_store(cold->version, WORDS(cold->version), draft->version, draft->version_bytes);
    cmy_text_store(cold->zone, WORDS(cold->zone), draft->zone, draft->zone_bytes);
    for (uint32_t i = 0; i < draft->tag_count; i++)
        cmy_text_store(cold->tags[i], WORDS(cold->tags[i]), draft->tags[i], strlen(draft->tags[i]));
    cmy_store64_relaxed(&cold->metadata, cmy_link_none(claimed));
    cmy_store64_relaxed(&cold->registered_at_ns, cmy_clock_real_ns());
    cmy_store64_relaxed(&cold->ttl_ms, draft->ttl_ms);
    cmy_store64_relaxed(&cold->checker, cmy_checker_word(claimed, CMY_NOBODY));
    cmy_store64_relaxed(&cold->checked, cmy_checked_none(claimed));
}

void cmy_service_copy_endpoint(const cmy_region_t *region, uint32_t record, char *to)
{
    const cmy_service_shm_t *hot = cmy_service_at(region, record);
    size_t bytes = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape)).endpoint_bytes;
    if (bytes < CMY_HOT_ENDPOINT_BYTES)
        cmy_service_copy_hot_endpoint(hot, bytes, to);
    else
        cmy_text_load(cmy_cold_at(region, record)->endpoint, bytes, to);
}

void cmy_service_copy_target(const cmy_region_t *region, uint32_t record, uint64_t state, commy_target_t *target)
{
    const cmy_service_shm_t *hot = cmy_service_at(region, record);
    uint64_t condition = cmy_load64_relaxed(&hot->condition);
    target->reference = cmy_reference(record, state);
    target->weight = cmy_condition_weight(condition);
    target->status = cmy_service_health(hot);
    target->port = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape)).port;
    cmy_service_copy_endpoint(region, record, target->endpoint);
}

/* A short text of a fixed field: up to its NUL, and never past the field. */
static void copy_field(const cmy_word64_t *words, size_t count, char *to)
{
    cmy_text_load(words, count * 8 - 1, to);
}

/* Length of the metadata: of a text that was linked when it was read, if it is not replaced every time we look. */
static size_t metadata_bytes(const cmy_region_t *region, const cmy_service_cold_shm_t *cold)
{
    for (int turn = 0; turn < 1000; turn++) {
        uint64_t link = cmy_load64_acquire(&cold->metadata), state;
        if (!cmy_link_names_block(link))
            return 0;
        size_t room = cmy_link_large(link) ? CMY_LARGE_TEXT_BYTES : CMY_SMALL_TEXT_BYTES;
        const cmy_block_shm_t *block =
            cmy_block_follow(region, cmy_link_large(link) ? CMY_LARGE_TEXTS : CMY_SMALL_TEXTS, link, &state);
        size_t bytes = block ? cmy_load32_relaxed(&block->bytes) : 0;
        cmy_fence_acquire(); /* pairs with the release fence behind the claim of the block's next life */
        if (block && cmy_block_same(block, state))
            return bytes < room ? bytes : room;
        if (cmy_load64_relaxed(&cold->metadata) == link)
            break; /* a link that leads nowhere: the record is being finished, or damaged */
    }
    return 0;
}

void cmy_service_copy_info(const cmy_region_t *region, uint32_t record, uint64_t state, commy_service_info_t *info)
{
    const cmy_service_shm_t *hot = cmy_service_at(region, record);
    const cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape));
    uint64_t condition = cmy_load64_relaxed(&hot->condition);

    memset(info, 0, sizeof *info);
    size_t id_bytes = shape.id_bytes <= COMMY_LIMIT_ID_BYTES ? shape.id_bytes : COMMY_LIMIT_ID_BYTES;
    cmy_text_load(id_bytes < CMY_HOT_ID_BYTES ? hot->id : cold->id, id_bytes, info->id);
    cmy_service_copy_endpoint(region, record, info->endpoint);
    copy_field(cold->name, WORDS(cold->name), info->name);
    copy_field(cold->version, WORDS(cold->version), info->version);
    copy_field(cold->zone, WORDS(cold->zone), info->zone);
    info->tag_count = shape.tag_count <= COMMY_LIMIT_TAGS ? shape.tag_count : COMMY_LIMIT_TAGS;
    for (uint32_t i = 0; i < info->tag_count; i++)
        copy_field(cold->tags[i], WORDS(cold->tags[i]), info->tags[i]);
    info->weight = cmy_condition_weight(condition);
    info->admin = (int32_t)cmy_condition_admin(condition);
    if (info->admin > COMMY_ADMIN_MAINTENANCE) /* no such state: damaged, so nothing to send requests to */
        info->admin = COMMY_ADMIN_MAINTENANCE;
    info->status = cmy_service_health(hot);
    info->port = shape.port;
    info->registered_at_ns = cmy_load64_relaxed(&cold->registered_at_ns);

    info->metadata_bytes = metadata_bytes(region, cold);

    cmy_counts_t counts;
    cmy_counter_read_service(region, record, state, &counts);
    info->response_time_ms = cmy_counts_average_ms(&counts);

    commy_participant_t owner;
    if (cmy_state_owner(state) != CMY_NOBODY &&
        cmy_life_describe(region, cmy_owner_slot(cmy_state_owner(state)), &owner)) {
        memcpy(info->node_id, owner.node_id, sizeof info->node_id);
        info->owner_pid = owner.pid;
    }
}

uint64_t cmy_service_name_hash(const cmy_region_t *region, uint32_t record)
{
    char name[COMMY_LIMIT_NAME_BYTES + 1];
    cmy_text_load(cmy_cold_at(region, record)->name, COMMY_LIMIT_NAME_BYTES, name);
    return cmy_key_hash(name, strlen(name), region->seed);
}
