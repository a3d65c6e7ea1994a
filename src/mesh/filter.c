/* Filters of selections; see filter.h. */
#include "mesh/filter.h"

#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

_Static_assert(sizeof(cmy_filter_t) == 16 + CMY_FILTER_TEXTS * 32, "no padding");
_Static_assert(COMMY_LIMIT_TAG_BYTES < 32 && COMMY_LIMIT_VERSION_BYTES < 32 && COMMY_LIMIT_ZONE_BYTES < 32, "room");

static commy_status_t take(cmy_filter_t *filter, cmy_filter_text_t what, const char *title, const char *text)
{
    size_t bytes;
    if (!text)
        return COMMY_STATUS_SUCCESS;
    commy_status_t status = cmy_text_check(title, text, 1, sizeof filter->text[what] - 1, false, &bytes);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    memcpy(filter->text[what], text, bytes);
    filter->asks[what] = 1;
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_filter_make(const cmy_region_t *region, const commy_select_options_t *options, cmy_filter_t *filter)
{
    *filter = (cmy_filter_t){.prefer_zone = (options->flags & COMMY_SELECT_PREFER_ZONE) != 0};
    if (filter->prefer_zone && !options->zone)
        return cmy_fail(COMMY_STATUS_INVALID, "options.flags has COMMY_SELECT_PREFER_ZONE and options.zone is null; "
                                              "name the zone that is preferred");
    commy_status_t status = take(filter, CMY_FILTER_TAG, "options.tag", options->tag);
    if (status == COMMY_STATUS_SUCCESS)
        status = take(filter, CMY_FILTER_VERSION, "options.version", options->version);
    if (status == COMMY_STATUS_SUCCESS)
        status = take(filter, CMY_FILTER_ZONE, "options.zone", options->zone);
    const size_t from = offsetof(cmy_filter_t, asks);
    filter->hash = cmy_key_hash((const char *)filter + from, sizeof *filter - from, region->seed) | 1;
    return status;
}

/* A field of four words, which holds a text padded with NUL, where nothing is damaged. */
static bool has(const cmy_word64_t field[4], const char text[32])
{
    uint64_t word[4], differs = 0;
    memcpy(word, text, sizeof word);
    for (int i = 0; i < 4; i++)
        differs |= cmy_load64_relaxed(&field[i]) ^ word[i];
    return differs == 0;
}

static bool has_tag(const cmy_region_t *region, uint32_t record, const char text[32])
{
    const cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    uint32_t tags = cmy_shape_unpack(cmy_load64_relaxed(&cmy_service_at(region, record)->shape)).tag_count;
    for (uint32_t i = 0; i < tags && i < COMMY_LIMIT_TAGS; i++)
        if (has(cold->tags[i], text))
            return true;
    return false;
}

bool cmy_filter_finds(const cmy_filter_t *filter, cmy_filter_text_t what, const cmy_region_t *region, uint32_t record)
{
    const cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    if (!filter->asks[what])
        return true;
    if (what == CMY_FILTER_TAG)
        return has_tag(region, record, filter->text[what]);
    return has(what == CMY_FILTER_VERSION ? cold->version : cold->zone, filter->text[what]);
}

bool cmy_filter_prefers(const cmy_filter_t *filter, const cmy_region_t *region, uint32_t record)
{
    return filter->prefer_zone && cmy_filter_finds(filter, CMY_FILTER_ZONE, region, record);
}
