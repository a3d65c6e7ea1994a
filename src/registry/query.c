/*
 * Lookups by id.
 *
 * Wait-free: one pass over the committed cells of the key's window. No system call, no write, no lock: a query runs as well
 * on a read-only mapping. What is copied counts only if the record's state is the same afterwards; if not, the pass goes
 * on, since another record may have taken the id over.
 */
#include "registry/find.h"

commy_status_t cmy_find_any(const cmy_region_t *region, const char *id, commy_target_t *target)
{
    cmy_key_t key;
    cmy_probe_t probe;
    uint32_t record;
    uint64_t state;
    commy_status_t status = cmy_region_usable(region);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_key(region, "service id", id, COMMY_LIMIT_ID_BYTES, &key);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!target)
        return cmy_mesh_null("target");
    cmy_probe_begin(&probe, region->ids, region->layout.id_lines, key.hash);
    while (cmy_service_seek(region, &key, &probe, &record, &state)) {
        cmy_service_copy_target(region, record, state, target);
        if (cmy_service_same(cmy_service_at(region, record), state))
            return COMMY_STATUS_SUCCESS;
    }
    return cmy_fail_no_service(region->place, id);
}

/* Of up to 8 bytes, or over 32. */
static __attribute__((noinline)) commy_status_t find_to_8(const cmy_region_t *region, const char *id,
                                                          commy_target_t *target, uint32_t bytes)
{
    if (__builtin_expect(bytes - 1 > 7, 0))
        return cmy_find_any(region, id, target);
    return cmy_find_hashed(region, id, bytes, cmy_hash_to_32(&region->salt, id, bytes), target);
}

commy_status_t cmy_find_to_16(const cmy_region_t *region, const char *id, commy_target_t *target, uint32_t bytes)
{
    if (bytes - 9 > 7)
        return find_to_8(region, id, target, bytes);
    return cmy_find_hashed(region, id, bytes, cmy_hash_9_to_16(&region->salt, id, bytes), target);
}

commy_status_t commy_service_find(const commy_mesh_t *mesh, const char *id, commy_target_t *target)
{
    if (__builtin_expect(!mesh, 0))
        return cmy_mesh_null("mesh");
    return cmy_find(mesh->region, id, target);
}

/* Batches are cut into this many lookups, whose cache misses overlap. */
#define BATCH 16u

/* 0 for one that is too long to be an id. */
static uint64_t hash_of_long(const cmy_region_t *region, const char *id)
{
    size_t bytes = cmy_bytes_length(id, COMMY_LIMIT_ID_BYTES + 1);
    return bytes <= COMMY_LIMIT_ID_BYTES ? cmy_key_hash(id, bytes, region->seed) : 0;
}

/* first: what the lookups of the batch before it came to. The thread's last failure stays that one's, as the code does. */
static __attribute__((cold)) commy_status_t find_one(const cmy_region_t *region, const char *id, commy_target_t *target,
                                                     commy_status_t first)
{
    cmy_error_t error;
    if (first == COMMY_STATUS_SUCCESS)
        return cmy_find_any(region, id, target);
    cmy_error_save(&error);
    commy_status_t status = cmy_find_any(region, id, target);
    cmy_error_restore(&error);
    return status;
}

/*
 * Three passes over a batch, each asking for the memory that the next one reads: the index line, then the record that its
 * first candidate names, then the lookup itself. first: what the lookups before them came to.
 */
static commy_status_t find_batch(const cmy_region_t *region, const char *const *ids, size_t n, commy_target_t *targets,
                                 int32_t *codes, commy_status_t first)
{
    uint64_t hash[BATCH];
    uint32_t bytes[BATCH], cell[BATCH] = {0};
    cmy_found_t found[BATCH];
    for (size_t i = 0; i < n; i++) {
        bytes[i] = ids[i] ? cmy_bytes_short_length(ids[i]) : 0;
        hash[i] = bytes[i] <= CMY_SHORT_KEY_BYTES ? cmy_hash_to_32(&region->salt, ids[i], bytes[i])
                                                  : hash_of_long(region, ids[i]);
        __builtin_prefetch(&region->ids[cmy_index_home(hash[i], region->layout.id_lines)]);
    }
    for (size_t i = 0; i < n; i++) {
        found[i] = cmy_find_cell(region, hash[i], &cell[i]);
        uint32_t record = (cell[i] & CMY_CELL_RECORD_MASK) - 1;
        if (record < cmy_region_reserved(region, CMY_SERVICES)) {
            __builtin_prefetch(cmy_service_at(region, record));
            __builtin_prefetch((const char *)cmy_service_at(region, record) + CMY_CACHE_LINE);
        }
    }
    for (size_t i = 0; i < n; i++) {
        commy_status_t status = COMMY_STATUS_SUCCESS;
        if (__builtin_expect(bytes[i] - 1 >= CMY_SHORT_KEY_BYTES, 0))
            status = find_one(region, ids[i], &targets[i], first);
        else if (found[i] == CMY_FOUND_NONE)
            status = first ? COMMY_STATUS_NOT_FOUND : cmy_fail_no_short_service(region->place, ids[i], bytes[i]);
        else if (found[i] != CMY_FOUND || !cmy_find_answer(region, cell[i], ids[i], bytes[i], &targets[i]))
            status = find_one(region, ids[i], &targets[i], first);
        codes[i] = (int32_t)status;
        if (first == COMMY_STATUS_SUCCESS)
            first = status;
    }
    return first;
}

commy_status_t commy_service_find_many(const commy_mesh_t *mesh, const char *const *ids, size_t n,
                                       commy_target_t *targets, int32_t *codes)
{
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (n > 0 && (!ids || !targets || !codes))
        return cmy_mesh_null(!ids ? "ids" : !targets ? "targets" : "codes");
    for (size_t i = 0; i < n; i += BATCH) {
        size_t some = n - i < BATCH ? n - i : BATCH;
        status = find_batch(mesh->region, ids + i, some, targets + i, codes + i, status);
    }
    return status;
}

commy_status_t commy_service_get(const commy_mesh_t *mesh, const char *id, commy_service_info_t *info)
{
    cmy_key_t key;
    cmy_probe_t probe;
    uint32_t record;
    uint64_t state;
    if (!info)
        return cmy_mesh_null("info");
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_key(mesh->region, "service id", id, COMMY_LIMIT_ID_BYTES, &key);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const cmy_region_t *region = mesh->region;
    cmy_probe_begin(&probe, region->ids, region->layout.id_lines, key.hash);
    while (cmy_service_seek(region, &key, &probe, &record, &state)) {
        cmy_service_copy_info(region, record, state, info);
        if (cmy_service_same(cmy_service_at(region, record), state))
            return COMMY_STATUS_SUCCESS;
    }
    return cmy_mesh_no_service(mesh, id);
}

commy_status_t commy_service_stats(const commy_mesh_t *mesh, const char *id, commy_service_stats_t *stats)
{
    uint32_t record;
    uint64_t state;
    cmy_counts_t counts;
    if (!stats)
        return cmy_mesh_null("stats");
    commy_status_t status = cmy_mesh_look_up(mesh, id, &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_counter_read_service(mesh->region, record, state, &counts);
    uint32_t in_flight = cmy_flight_count(mesh->region, record, state);
    if (!cmy_service_same(cmy_service_at(mesh->region, record), state))
        return cmy_mesh_no_service(mesh, id);
    *stats = (commy_service_stats_t){
        .total_requests = counts.successes + counts.failures,
        .successful_requests = counts.successes,
        .failed_requests = counts.failures,
        .average_response_time_ms = cmy_counts_average_ms(&counts),
        .in_flight = in_flight,
    };
    return COMMY_STATUS_SUCCESS;
}

/* -------------------------------------------------------------- metadata */

/* Copies the text that a link names; false where it was replaced meanwhile. */
static bool copy_metadata(const cmy_region_t *region, uint64_t link, char *out, size_t capacity, size_t *bytes)
{
    *bytes = 0;
    if (capacity > 0)
        out[0] = '\0';
    if (!cmy_link_names_block(link))
        return true;
    cmy_slab_kind_t kind = cmy_link_large(link) ? CMY_LARGE_TEXTS : CMY_SMALL_TEXTS;
    uint64_t state;
    const cmy_block_shm_t *block = cmy_block_follow(region, kind, link, &state);
    if (!block)
        return false;
    size_t room = cmy_link_large(link) ? CMY_LARGE_TEXT_BYTES : CMY_SMALL_TEXT_BYTES;
    size_t length = cmy_load32_relaxed(&block->bytes);
    length = length < room ? length : room;
    if (capacity > 0)
        cmy_text_load((const cmy_word64_t *)(block + 1), length < capacity ? length : capacity - 1, out);
    *bytes = length;
    cmy_fence_acquire(); /* pairs with the release fence behind the claim of the block's next life */
    return cmy_block_same(block, state);
}

commy_status_t commy_service_metadata(const commy_mesh_t *mesh, const char *id, char *out, size_t capacity,
                                      size_t *length)
{
    uint32_t record;
    uint64_t state;
    size_t bytes;
    if (!out && capacity > 0)
        return cmy_mesh_null("out");
    commy_status_t status = cmy_mesh_look_up(mesh, id, &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    const cmy_word64_t *word = cmy_block_link(mesh->region, CMY_SMALL_TEXTS, record);
    for (int turn = 0; turn < 10000; turn++) {
        uint64_t link = cmy_load64_acquire(word);
        bool whole = copy_metadata(mesh->region, link, out, capacity, &bytes);
        if (!cmy_service_same(cmy_service_at(mesh->region, record), state) || !cmy_link_of(link, state))
            return cmy_mesh_no_service(mesh, id);
        if (!whole)
            continue;
        if (length)
            *length = bytes;
        return COMMY_STATUS_SUCCESS;
    }
    return cmy_fail(COMMY_STATUS_BUSY, "metadata of service id '%s' is replaced faster than it can be read; try again",
                    id);
}
