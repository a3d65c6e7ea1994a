/*
 * From an input to an image: edits that know what the words of a region mean.
 *
 *     input   seed | how to go about it | parts | changes | chance (8) | edit (12) | edit (12) | ...
 *     edit    field | how | record | element | value (8)
 *
 * Random bytes thrown at half a megabyte hit nothing, and a bit flipped in a state word seldom gives another state that
 * holds together. So an edit names a field and says how its new value comes about: any value, a flipped bit, a number
 * at a limit, the same field of another record, or one composed of parts that fit (a link to a block in the version it
 * has, a cell with the right tag, an owner who lives) and a few that do not. Whole lines can be bent into rings, ranges
 * filled with noise, records copied over others.
 *
 * Every input decodes: numbers are taken modulo what there is, and what is left over behind the last edit is ignored.
 */
#include <string.h>

#include "edit.h"

#define FIELD(area, sense, type, member)                                                                               \
    {                                                                                                                  \
        area, sense, offsetof(type, member), sizeof(((type *)0)->member), 1                                            \
    }
#define ARRAY(area, sense, type, member)                                                                               \
    {                                                                                                                  \
        area, sense, offsetof(type, member), sizeof(((type *)0)->member[0]),                                           \
            sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0])                                               \
    }

static const field_t fields[] = {
    {AREA_HEADER, ANY, 0, 8, 24}, /* what the maker wrote, and the rest of its lines */
    FIELD(AREA_HEADER, ANY, cmy_header_shm_t, removed),
    ARRAY(AREA_HEADER, MARK, cmy_header_shm_t, reserved),
    FIELD(AREA_HEADER, ANY, cmy_header_shm_t, death_epoch),
    FIELD(AREA_HEADER, LEASE, cmy_header_shm_t, next_expiry),
    FIELD(AREA_HEADER, ANY, cmy_header_shm_t, stray_successes),
    FIELD(AREA_LIFE, PHASE, cmy_life_shm_t, phase),
    FIELD(AREA_LIFE, LIFE, cmy_life_shm_t, word),
    ARRAY(AREA_PARTICIPANT, TEXT, cmy_participant_shm_t, node_id),
    FIELD(AREA_PARTICIPANT, ANY, cmy_participant_shm_t, pid_namespace),
    FIELD(AREA_PARTICIPANT, ANY, cmy_participant_shm_t, joined_at_ns),
    FIELD(AREA_PARTICIPANT, LIFE, cmy_participant_shm_t, pid),
    FIELD(AREA_PARTICIPANT, ANY, cmy_participant_shm_t, listen_port),
    FIELD(AREA_STRIPE, ANY, cmy_stripe_shm_t, version),
    FIELD(AREA_STRIPE, ANY, cmy_stripe_shm_t, waiting),
    FIELD(AREA_RING, ANY, cmy_event_ring_shm_t, cursor),
    FIELD(AREA_EVENT, TICKET, cmy_event_shm_t, ticket),
    FIELD(AREA_EVENT, ANY, cmy_event_shm_t, time_ns),
    FIELD(AREA_EVENT, ANY, cmy_event_shm_t, what),
    FIELD(AREA_EVENT, SUM, cmy_event_shm_t, sum),
    ARRAY(AREA_EVENT, TEXT, cmy_event_shm_t, id),
    ARRAY(AREA_EVENT, TEXT, cmy_event_shm_t, name),
    {AREA_MAP, ANY, 0, 8, 2},
    FIELD(AREA_ID_LINE, LINE_WORD, cmy_index_line_shm_t, word),
    ARRAY(AREA_ID_LINE, ID_CELL, cmy_index_line_shm_t, cell),
    FIELD(AREA_NAME_LINE, LINE_WORD, cmy_index_line_shm_t, word),
    ARRAY(AREA_NAME_LINE, NAME_CELL, cmy_index_line_shm_t, cell),
    FIELD(AREA_SLAB + CMY_SERVICES, STATE, cmy_service_shm_t, state),
    FIELD(AREA_SLAB + CMY_SERVICES, HASH, cmy_service_shm_t, hash),
    FIELD(AREA_SLAB + CMY_SERVICES, SHAPE, cmy_service_shm_t, shape),
    ARRAY(AREA_SLAB + CMY_SERVICES, TEXT, cmy_service_shm_t, id),
    FIELD(AREA_SLAB + CMY_SERVICES, POSITION, cmy_service_shm_t, position),
    FIELD(AREA_SLAB + CMY_SERVICES, LEASE, cmy_service_shm_t, lease),
    FIELD(AREA_SLAB + CMY_SERVICES, CONDITION, cmy_service_shm_t, condition),
    FIELD(AREA_SLAB + CMY_SERVICES, LINK, cmy_service_shm_t, stats),
    ARRAY(AREA_SLAB + CMY_SERVICES, TEXT, cmy_service_shm_t, endpoint),
    ARRAY(AREA_COLD, TEXT, cmy_service_cold_shm_t, name),
    ARRAY(AREA_COLD, TEXT, cmy_service_cold_shm_t, id),
    ARRAY(AREA_COLD, TEXT, cmy_service_cold_shm_t, endpoint),
    ARRAY(AREA_COLD, TEXT, cmy_service_cold_shm_t, version),
    {AREA_COLD, TEXT, offsetof(cmy_service_cold_shm_t, tags), 8, 64},
    FIELD(AREA_COLD, LINK, cmy_service_cold_shm_t, metadata),
    FIELD(AREA_COLD, ANY, cmy_service_cold_shm_t, registered_at_ns),
    FIELD(AREA_COLD, LEASE, cmy_service_cold_shm_t, ttl_ms),
    FIELD(AREA_COLD, STATE, cmy_service_cold_shm_t, checker),
    FIELD(AREA_COLD, ANY, cmy_service_cold_shm_t, checked),
    FIELD(AREA_SLAB + CMY_GROUPS, STATE, cmy_group_shm_t, state),
    FIELD(AREA_SLAB + CMY_GROUPS, NEXT, cmy_group_shm_t, next),
    FIELD(AREA_SLAB + CMY_GROUPS, HASH, cmy_group_shm_t, hash),
    FIELD(AREA_SLAB + CMY_GROUPS, HINT, cmy_group_shm_t, hint),
    ARRAY(AREA_SLAB + CMY_GROUPS, TEXT, cmy_group_shm_t, name),
    ARRAY(AREA_SLAB + CMY_GROUPS, MEMBER, cmy_group_shm_t, cell),
    FIELD(AREA_SLAB + CMY_GROUPS, ANY, cmy_group_shm_t, rotation),
    FIELD(AREA_SLAB + CMY_GROUPS, ANY, cmy_group_shm_t, weighted_rotation),
    FIELD(AREA_SLAB + CMY_LINES, STATE, cmy_line_shm_t, state),
    FIELD(AREA_SLAB + CMY_LINES, NEXT, cmy_line_shm_t, next),
    ARRAY(AREA_SLAB + CMY_LINES, MEMBER, cmy_line_shm_t, cell),
    FIELD(AREA_SLAB + CMY_STATS, STATE, cmy_block_shm_t, state),
    FIELD(AREA_SLAB + CMY_STATS, ANY, cmy_block_shm_t, home),
    ARRAY(AREA_SLAB + CMY_STATS, FURTHER, cmy_stat_shm_t, further),
    {AREA_TALLY, ANY, 0, 8, 8 * CMY_STAT_STRIPES},
    ARRAY(AREA_SLAB + CMY_STATS, FLIGHT, cmy_stat_shm_t, cell),
    FIELD(AREA_SLAB + CMY_STATS, ANY, cmy_stat_shm_t, recent_ns),
    {AREA_TALLY, BUCKETS, offsetof(cmy_tally_shm_t, bucket), 4, CMY_LATENCY_STRIPES *CMY_LATENCY_BUCKETS},
    FIELD(AREA_SLAB + CMY_SMALL_TEXTS, STATE, cmy_block_shm_t, state),
    FIELD(AREA_SLAB + CMY_SMALL_TEXTS, ANY, cmy_block_shm_t, home),
    FIELD(AREA_SLAB + CMY_SMALL_TEXTS, ANY, cmy_block_shm_t, bytes),
    ARRAY(AREA_SLAB + CMY_SMALL_TEXTS, TEXT, cmy_small_text_shm_t, text),
    FIELD(AREA_SLAB + CMY_LARGE_TEXTS, STATE, cmy_block_shm_t, state),
    FIELD(AREA_SLAB + CMY_LARGE_TEXTS, ANY, cmy_block_shm_t, home),
    FIELD(AREA_SLAB + CMY_LARGE_TEXTS, ANY, cmy_block_shm_t, bytes),
    FIELD(AREA_SLAB + CMY_CELLS, STATE, cmy_block_shm_t, state),
    FIELD(AREA_SLAB + CMY_CELLS, FURTHER, cmy_block_shm_t, home),
    FIELD(AREA_SLAB + CMY_CELLS, ANY, cmy_block_shm_t, bytes),
    ARRAY(AREA_SLAB + CMY_CELLS, FLIGHT, cmy_cells_shm_t, cell),
    FIELD(AREA_HEADER, RULES, cmy_header_shm_t, breaker_rules),
    FIELD(AREA_HEADER, TIMES, cmy_header_shm_t, breaker_times),
    FIELD(AREA_TALLY, ANY, cmy_tally_shm_t, breaker.streak),
    FIELD(AREA_TALLY, TURN, cmy_tally_shm_t, breaker.turn),
    FIELD(AREA_TALLY, TURN, cmy_tally_shm_t, breaker.window),
    FIELD(AREA_TALLY, TURN, cmy_tally_shm_t, breaker.before),
};
#define FIELDS (sizeof fields / sizeof fields[0])

/* Edits that are not of one field; numbers behind the fields'. */
enum { NOISE = FIELDS, ZEROS, COPY, RING, CHAIN, BYTES, OPERATIONS };

typedef struct edit {
    uint8_t field, how, record, element;
    uint64_t value;
} edit_t;

/* ------------------------------------------------------------------- applying */

static void change(const editor_t *editor, const field_t *field, const edit_t *edit, uint32_t index)
{
    unsigned char *record = edit_place(editor, field->area, index);
    unsigned char *at = record + field->offset + edit->element % field->elements * field->bytes;
    uint64_t now = edit_load(at, field->bytes), then = edit->value;
    switch (edit->how & 7) {
    case 0:
        break;
    case 1:
        then = now ^ 1ull << edit->value % (8 * field->bytes);
        break;
    case 2:
        then = edit_at_limits(editor->layout, edit->value);
        break;
    case 3: {
        uint32_t other = (uint32_t)(edit->value % edit_records(editor->layout, field->area));
        then = edit_load((unsigned char *)edit_place(editor, field->area, other) + (at - record), field->bytes);
        break;
    }
    default:
        if (field->sense == TEXT) { /* no end, or no text */
            memset(record + field->offset, (int)(edit->value & 0xff), (size_t)field->elements * field->bytes);
            return;
        }
        then = edit_compose(editor, field, record, now, edit->value);
        if (field->sense == BUCKETS) { /* all alike: which of them counts, processor and latency decide */
            for (uint32_t i = 0; i < field->elements; i++)
                memcpy(record + field->offset + (size_t)i * field->bytes, &then, field->bytes);
            return;
        }
    }
    memcpy(at, &then, field->bytes);
}

static void change_field(const editor_t *editor, const edit_t *edit)
{
    enum { ALL = 0x80, ANYWHERE = 0x40 };
    const field_t *field = &fields[edit->field % FIELDS];
    uint32_t count = edit_records(editor->layout, field->area);
    uint32_t near = count < 24 ? count : 24;
    edit_t each = *edit;
    if ((edit->how & ALL) && edit->record >= 192) {
        for (uint32_t i = 0; i < count && i < 128; i++) {
            change(editor, field, &each, i);
            each.value += edit->record & 1 ? 1 : 0;
        }
    } else if (edit->how & ANYWHERE) {
        change(editor, field, edit, edit->record * count / 256);
    } else {
        change(editor, field, edit, edit->record % near);
    }
}

/* Line a links to line b and b back to a, each LIVE for the other; a group may lead into it. */
static void bend(const editor_t *editor, const edit_t *edit)
{
    uint32_t lines = editor->layout->slab[CMY_LINES].limit;
    uint32_t from = edit->record % 8 % lines, length = 1 + edit->element % 4;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t a = (from + i) % lines, b = (from + (i + 1) % length) % lines;
        cmy_line_shm_t *line = edit_place(editor, AREA_SLAB + CMY_LINES, a),
                       *behind = edit_place(editor, AREA_SLAB + CMY_LINES, b);
        uint32_t version = cmy_state_version(cmy_load64_relaxed(&line->state));
        cmy_store64_relaxed(&line->next,
                            cmy_next(CMY_NEXT_LINE, b, cmy_state_version(cmy_load64_relaxed(&behind->state)), version));
        uint64_t container = i == 0 && (edit->how & 8)
                                 ? cmy_container_of_group((uint32_t)edit->value % 4)
                                 : cmy_container_of_line((from + (i + length - 1) % length) % lines);
        cmy_store64_relaxed(&line->state, cmy_state(version, (uint32_t)container, CMY_LIVE));
    }
    cmy_group_shm_t *group = edit_place(editor, AREA_SLAB + CMY_GROUPS, (uint32_t)edit->value % 4);
    cmy_line_shm_t *first = edit_place(editor, AREA_SLAB + CMY_LINES, from);
    cmy_store64_relaxed(&group->next,
                        cmy_next(CMY_NEXT_LINE, from, cmy_state_version(cmy_load64_relaxed(&first->state)),
                                 cmy_state_version(cmy_load64_relaxed(&group->state))));
}

/* All lines in one chain behind a group, every cell taken, and the last next word any of several. */
static void chain(const editor_t *editor, const edit_t *edit)
{
    uint32_t lines = editor->layout->slab[CMY_LINES].limit, group = edit->record % 4;
    cmy_group_shm_t *head = edit_place(editor, AREA_SLAB + CMY_GROUPS, group);
    cmy_word64_t *next = &head->next;
    uint32_t container = cmy_container_of_group(group), version = cmy_state_version(cmy_load64_relaxed(&head->state));
    memset(head->cell, edit->element, sizeof head->cell);
    for (uint32_t i = 0; i < lines; i++) {
        cmy_line_shm_t *line = edit_place(editor, AREA_SLAB + CMY_LINES, i);
        uint32_t own = cmy_state_version(cmy_load64_relaxed(&line->state));
        cmy_store64_relaxed(next, cmy_next(CMY_NEXT_LINE, i, own, version));
        cmy_store64_relaxed(&line->state, cmy_state(own, container, CMY_LIVE));
        memset(line->cell, edit->element, sizeof line->cell);
        next = &line->next;
        container = cmy_container_of_line(i);
        version = own;
    }
    cmy_store64_relaxed(next, cmy_next((cmy_next_kind_t)(edit->value & 3), (uint32_t)(edit->value >> 8) % lines, 0,
                                       edit_nearly(version, edit->value >> 32)));
    cmy_store64_relaxed(&((cmy_header_shm_t *)editor->image)->reserved[CMY_LINES], lines);
}

static void copy_record(const editor_t *editor, const edit_t *edit)
{
    cmy_slab_kind_t kind = (cmy_slab_kind_t)(edit->value % CMY_SLABS);
    const cmy_slab_layout_t *slab = &editor->layout->slab[kind];
    unsigned char *records = editor->image + slab->offset;
    memmove(records + (uint64_t)(edit->record % slab->limit) * slab->stride,
            records + (uint64_t)(edit->element % slab->limit) * slab->stride, slab->stride);
}

static void apply(const editor_t *editor, const edit_t *edit)
{
    unsigned operation = edit->field % OPERATIONS;
    uint64_t size = editor->layout->region_bytes, chance = edit->value;
    uint64_t from = (edit->value >> 16) % size, bytes = 1 + edit->value % 4096;
    bytes = bytes < size - from ? bytes : size - from;
    switch (operation) {
    case NOISE:
        for (uint64_t i = 0; i < bytes; i++)
            editor->image[from + i] = (unsigned char)fuzz_chance(&chance);
        break;
    case ZEROS:
        memset(editor->image + from, edit->how & 1 ? 0xff : 0, bytes);
        break;
    case COPY:
        copy_record(editor, edit);
        break;
    case RING:
        bend(editor, edit);
        break;
    case CHAIN:
        chain(editor, edit);
        break;
    case BYTES:
        from = ((uint64_t)edit->how << 16 | (uint64_t)edit->record << 8 | edit->element) % (size - 8);
        memcpy(editor->image + from, &edit->value, 8);
        break;
    default:
        change_field(editor, edit);
    }
}

/* -------------------------------------------------------------------- decoding */

void fuzz_header_mend(const fuzz_seed_t *seed, unsigned char *image)
{
    cmy_header_shm_t *header = (cmy_header_shm_t *)image;
    const cmy_header_shm_t *sound = (const cmy_header_shm_t *)seed->image;
    memcpy(header, sound, offsetof(cmy_header_shm_t, removed));
    header->device = seed->device;
    header->inode = seed->inode;
    cmy_store64_relaxed(&header->removed, 0);
    for (int kind = 0; kind < CMY_SLABS; kind++)
        if (cmy_load64_relaxed(&header->reserved[kind]) > seed->layout.slab[kind].limit)
            cmy_store64_relaxed(&header->reserved[kind], seed->layout.slab[kind].limit);
}

void fuzz_scribble(const fuzz_seed_t *seed, uint64_t *chance)
{
    uint8_t bytes[FUZZ_EDIT_BYTES];
    fuzz_random_edit(bytes, chance);
    const editor_t editor = {seed, &seed->layout, seed->stage};
    const edit_t edit = {bytes[0], bytes[1], bytes[2], bytes[3], edit_load(bytes + 4, 8)};
    apply(&editor, &edit);
}

fuzz_plan_t fuzz_plan_for(fuzz_seed_t *seed, uint64_t chance)
{
    return (fuzz_plan_t){
        .seed = seed, .parts = FUZZ_ALL, .changes = 40, .chance = chance, .file_bytes = seed->layout.region_bytes};
}

/* Most pages are as they were, and to look is cheaper than to write. */
static void restore(const fuzz_seed_t *seed)
{
    for (uint64_t at = 0; at < seed->layout.region_bytes; at += CMY_PAGE)
        if (memcmp(seed->stage + at, seed->image + at, CMY_PAGE) != 0)
            memcpy(seed->stage + at, seed->image + at, CMY_PAGE);
}

void fuzz_decode(const uint8_t *input, size_t bytes, fuzz_plan_t *plan)
{
    uint8_t head[FUZZ_HEAD_BYTES] = {0};
    memcpy(head, input, bytes < sizeof head ? bytes : sizeof head);
    fuzz_seed_t *seed = &fuzz_seeds[head[0] >= 248 ? FUZZ_LARGE : head[0] % FUZZ_LARGE];
    *plan = fuzz_plan_for(seed, edit_load(head + 4, 8));
    plan->parts = head[2];
    plan->changes = head[3] & FUZZ_MOST_CHANGES;
    plan->few = head[3] >> 6;
    plan->header_is_hostile = (head[1] & 7) == 7;
    switch (head[1] >> 3) {
    case 1:
        plan->real_keeper = true;
        break;
    case 2:
        plan->waits = true;
        break;
    case 3:
        plan->removes = true;
        break;
    case 4: /* cut, or longer than it should be */
        plan->file_bytes = plan->chance % (seed->layout.region_bytes + CMY_PAGE);
        break;
    default:
        break;
    }

    fuzz_file_ensure(seed);
    editor_t editor = {seed, &seed->layout, seed->stage};
    restore(seed);
    fuzz_header_mend(seed, editor.image);
    fuzz_time_is_own(!plan->real_keeper,
                     plan->chance); /* leases and turns are written in the time in which they are read */
    for (size_t at = FUZZ_HEAD_BYTES, edits = 0; at + FUZZ_EDIT_BYTES <= bytes && edits < FUZZ_EDITS; edits++) {
        const edit_t edit = {input[at], input[at + 1], input[at + 2], input[at + 3], edit_load(input + at + 4, 8)};
        apply(&editor, &edit);
        at += FUZZ_EDIT_BYTES;
    }
    fuzz_time_is_own(false, 0);
    if (!plan->header_is_hostile)
        fuzz_header_mend(seed, editor.image);
}
