/* Edits: fields of the region as edit.c lists them, and new values for them as compose.c makes them. */
#ifndef COMMY_TESTS_FUZZ_EDIT_H
#define COMMY_TESTS_FUZZ_EDIT_H

#include "fuzz.h"

/* Where records of a kind lie. Slabs follow in their order, then the cold halves of services and statistics. */
typedef enum area {
    AREA_HEADER,
    AREA_LIFE,
    AREA_PARTICIPANT,
    AREA_STRIPE,
    AREA_RING,
    AREA_EVENT,
    AREA_MAP,
    AREA_ID_LINE,
    AREA_NAME_LINE,
    AREA_SLAB,
    AREA_COLD = AREA_SLAB + CMY_SLABS,
    AREA_TALLY
} area_t;

/* What a field means, and so which values are worth a try. */
typedef enum sense {
    ANY,
    STATE,
    NEXT,
    HINT,
    ID_CELL,
    NAME_CELL,
    LINE_WORD,
    SHAPE,
    POSITION,
    LEASE,
    CONDITION,
    LINK,
    MEMBER,
    PHASE,
    LIFE,
    TEXT,
    MARK,
    HASH,
    FURTHER,
    FLIGHT,
    TICKET,
    SUM,
    RULES,
    TIMES,
    TURN,
    BUCKETS
} sense_t;

typedef struct field {
    area_t area;
    sense_t sense;
    uint32_t offset, bytes, elements;
} field_t;

/* An image that is being edited, and the start state that it is of. */
typedef struct editor {
    const fuzz_seed_t *seed;
    const cmy_layout_t *layout;
    unsigned char *image;
} editor_t;

/* Records of an area, and where one of them lies. */
uint32_t edit_records(const cmy_layout_t *layout, area_t area);
void *edit_place(const editor_t *editor, area_t area, uint32_t record);

/* A word of 1 to 8 bytes. */
uint64_t edit_load(const void *at, uint32_t bytes);

/* Mostly v, sometimes one more or less, or the most there is. */
uint32_t edit_nearly(uint32_t v, uint64_t choice);

/* A number that something ends at. */
uint64_t edit_at_limits(const cmy_layout_t *layout, uint64_t choice);

/* A new value for a field out of parts that fit, mostly. `record` is its record, whose first word is its state. */
uint64_t edit_compose(const editor_t *editor, const field_t *field, const unsigned char *record, uint64_t now,
                      uint64_t value);

#endif /* COMMY_TESTS_FUZZ_EDIT_H */
