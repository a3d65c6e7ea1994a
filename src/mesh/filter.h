/*
 * Filters: which instances of a name a selection may come to, besides those that are fit: of a tag, a version, a zone.
 * Each filter has pickers of its own (picker.h); its hash goes into their key, and its texts are compared.
 */
#ifndef CMY_MESH_FILTER_H
#define CMY_MESH_FILTER_H

#include <commy/commy.h>

#include "service/service.h"

typedef enum cmy_filter_text {
    CMY_FILTER_TAG,
    CMY_FILTER_VERSION,
    CMY_FILTER_ZONE,
    CMY_FILTER_TEXTS
} cmy_filter_text_t;

/* No padding: compared as bytes. */
typedef struct cmy_filter {
    uint64_t hash;                  /* of what follows, with the region's seed; 0: no filter, all of it is 0 */
    uint8_t asks[CMY_FILTER_TEXTS]; /* whether a text is asked for */
    uint8_t prefer_zone;            /* the zone's instances if one of them is fit, else any */
    uint8_t unused[4];
    char text[CMY_FILTER_TEXTS][32]; /* padded with NUL, as in the region */
} cmy_filter_t;

/* Makes a filter of options that ask for something. Errors: INVALID, with a sentence. */
commy_status_t cmy_filter_make(const cmy_region_t *region, const commy_select_options_t *options, cmy_filter_t *filter);

static inline bool cmy_filter_same(const cmy_filter_t *one, const cmy_filter_t *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}

/* Whether a record has one of the texts that a filter asks for. Followed by cmy_service_same(). */
bool cmy_filter_finds(const cmy_filter_t *filter, cmy_filter_text_t what, const cmy_region_t *region, uint32_t record);

/* Whether it is in the zone that is preferred; false where none is. */
bool cmy_filter_prefers(const cmy_filter_t *filter, const cmy_region_t *region, uint32_t record);

#endif /* CMY_MESH_FILTER_H */
