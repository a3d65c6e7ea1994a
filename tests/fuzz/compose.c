/*
 * New values for fields: composed of parts that fit together, for random words seldom do. A state has the version that
 * the record has and an owner who lives or died; a link names a block in the version that the block has; a cell has the
 * tag of a record's hash. One part in a few does not fit.
 */
#include <string.h>
#include <unistd.h>

#include "edit.h"
#include "event/event.h"
#include "stat/breaker.h"

/* ------------------------------------------------------------------ places */

uint32_t edit_records(const cmy_layout_t *layout, area_t area)
{
    switch (area) {
    case AREA_HEADER:
        return 1;
    case AREA_LIFE:
    case AREA_PARTICIPANT:
        return COMMY_LIMIT_PARTICIPANTS;
    case AREA_STRIPE:
        return CMY_STRIPES + 1;
    case AREA_RING:
        return CMY_EVENT_RINGS;
    case AREA_EVENT:
        return COMMY_LIMIT_EVENTS;
    case AREA_MAP:
        return CMY_SLABS;
    case AREA_ID_LINE:
        return layout->id_lines + 1;
    case AREA_NAME_LINE:
        return layout->name_lines + 1;
    case AREA_COLD:
        return layout->slab[CMY_SERVICES].limit;
    case AREA_TALLY:
        return layout->slab[CMY_STATS].limit;
    default:
        return layout->slab[area - AREA_SLAB].limit;
    }
}

void *edit_place(const editor_t *editor, area_t area, uint32_t record)
{
    const cmy_layout_t *layout = editor->layout;
    uint64_t offset;
    switch (area) {
    case AREA_HEADER:
        offset = 0;
        break;
    case AREA_LIFE:
        offset = layout->life + record * sizeof(cmy_life_shm_t);
        break;
    case AREA_PARTICIPANT:
        offset = layout->participants + record * sizeof(cmy_participant_shm_t);
        break;
    case AREA_STRIPE:
        offset = layout->stripes + record * sizeof(cmy_stripe_shm_t);
        break;
    case AREA_RING:
        offset = layout->events + record * sizeof(cmy_event_ring_shm_t);
        break;
    case AREA_EVENT:
        offset = layout->events + record % CMY_EVENT_RINGS * sizeof(cmy_event_ring_shm_t) +
                 offsetof(cmy_event_ring_shm_t, entry) + record / CMY_EVENT_RINGS * sizeof(cmy_event_shm_t);
        break;
    case AREA_MAP:
        offset = layout->slab[record].map_offset;
        break;
    case AREA_ID_LINE:
        offset = layout->ids + record * sizeof(cmy_index_line_shm_t);
        break;
    case AREA_NAME_LINE:
        offset = layout->names + record * sizeof(cmy_index_line_shm_t);
        break;
    case AREA_COLD:
        offset = layout->slab[CMY_SERVICES].cold_offset + record * sizeof(cmy_service_cold_shm_t);
        break;
    case AREA_TALLY:
        offset = layout->slab[CMY_STATS].cold_offset + record * sizeof(cmy_tally_shm_t);
        break;
    default:
        offset = layout->slab[area - AREA_SLAB].offset + (uint64_t)record * layout->slab[area - AREA_SLAB].stride;
    }
    return editor->image + offset;
}

uint64_t edit_load(const void *at, uint32_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, at, bytes);
    return word;
}

static uint64_t state_of(const editor_t *editor, cmy_slab_kind_t kind, uint32_t record)
{
    return edit_load(edit_place(editor, AREA_SLAB + (area_t)kind, record % editor->layout->slab[kind].limit), 8);
}

/* A number near the beginning, where records are in use, seldom any. */
static uint32_t number(uint64_t choice, uint32_t count)
{
    uint32_t near = count < 12 ? count : 12;
    return choice % 256 < 224 ? (uint32_t)(choice % near) : (uint32_t)(choice * 2654435761u) % (count + 2);
}

uint32_t edit_nearly(uint32_t v, uint64_t choice)
{
    static const uint32_t more[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, ~0u, ~0u, 0x3fffffffu};
    return v + more[choice % 16];
}

uint64_t edit_at_limits(const cmy_layout_t *layout, uint64_t choice)
{
    const uint64_t limits[] = {0,
                               1,
                               2,
                               3,
                               4,
                               7,
                               8,
                               15,
                               31,
                               63,
                               64,
                               127,
                               255,
                               256,
                               495,
                               496,
                               497,
                               4095,
                               4096,
                               4097,
                               65535,
                               65536,
                               1u << 20,
                               (1u << 20) - 1,
                               (1u << 22) - 1,
                               1u << 30,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               1ull << 32,
                               INT64_MAX,
                               1ull << 63,
                               ~0ull,
                               ~0ull - 1,
                               layout->capacity - 1,
                               layout->capacity,
                               layout->slab[CMY_GROUPS].limit,
                               layout->slab[CMY_LINES].limit,
                               layout->region_bytes,
                               COMMY_LIMIT_PARTICIPANTS,
                               0x4141414141414141};
    return limits[choice % (sizeof limits / sizeof limits[0])];
}

/* ------------------------------------------------------------------ composing */

static uint32_t owner(const editor_t *editor, uint64_t choice, uint32_t now)
{
    uint32_t slot = choice % 8 < 4 ? 0 : choice % 8 < 6 ? 1 : (uint32_t)choice % COMMY_LIMIT_PARTICIPANTS;
    uint64_t phase = edit_load(edit_place(editor, AREA_LIFE, slot), 8);
    switch (choice / 8 % 8) {
    case 0:
        return CMY_NOBODY;
    case 1:
        return now;
    case 2:
        return (uint32_t)choice & CMY_OWNER_MASK;
    case 3:
        return cmy_container_of_line(number(choice / 64, editor->layout->slab[CMY_LINES].limit));
    case 4:
        return cmy_container_of_group(number(choice / 64, editor->layout->slab[CMY_GROUPS].limit));
    default:
        return cmy_owner(slot, edit_nearly(cmy_life_incarnation(phase), choice / 64));
    }
}

static uint64_t tagged(const editor_t *editor, cmy_slab_kind_t kind, uint64_t choice)
{
    uint32_t record = number(choice, editor->layout->slab[kind].limit);
    uint32_t at = record % editor->layout->slab[kind].limit;
    size_t offset = kind == CMY_SERVICES ? offsetof(cmy_service_shm_t, hash) : offsetof(cmy_group_shm_t, hash);
    uint64_t hash = edit_load((unsigned char *)edit_place(editor, AREA_SLAB + (area_t)kind, at) + offset, 8);
    return cmy_index_cell(hash, record);
}

static uint64_t next_word(const editor_t *editor, const uint8_t c[8], uint64_t own_state)
{
    uint32_t line = number(c[1], editor->layout->slab[CMY_LINES].limit);
    uint32_t version = edit_nearly(cmy_state_version(state_of(editor, CMY_LINES, line)), c[2]);
    return cmy_next((cmy_next_kind_t)(c[0] & 3), c[3] < 16 ? CMY_NEXT_NO_LINE : line, version,
                    edit_nearly(cmy_state_version(own_state), c[4]));
}

static uint64_t link_word(const editor_t *editor, const uint8_t c[8], uint64_t own_state, bool text)
{
    bool large = text ? c[0] & 1 : c[0] >= 250;
    cmy_slab_kind_t kind = large ? CMY_LARGE_TEXTS : text ? CMY_SMALL_TEXTS : CMY_STATS;
    uint32_t block = number(c[1], editor->layout->slab[kind].limit);
    uint64_t state = state_of(editor, kind, block);
    uint64_t own = cmy_state(edit_nearly(cmy_state_version(own_state), c[2]), 0, CMY_LIVE);
    return cmy_link_to(own, block, cmy_state(edit_nearly(cmy_state_version(state), c[3]), 0, CMY_LIVE), large);
}

static uint64_t phase_word(const uint8_t c[8], uint64_t now)
{
    const uint32_t tids[] = {(uint32_t)getpid(), 0, 0x3fffff, cmy_life_tid(now)};
    uint64_t namespace_inode = c[1] < 192 ? cmy_life_namespace() : c[1];
    return cmy_life_word((cmy_life_phase_t)(c[0] & 7), namespace_inode, edit_nearly(cmy_life_incarnation(now), c[2]),
                         tids[c[3] & 3]);
}

static uint32_t incarnation_of(const editor_t *editor, uint32_t slot)
{
    const cmy_life_shm_t *life = edit_place(editor, AREA_LIFE, slot);
    return cmy_life_incarnation(cmy_load64_relaxed(&life->phase));
}

static uint64_t lease_word(const uint8_t c[8])
{
    uint64_t now = cmy_clock_monotonic_ns();
    const uint64_t leases[] = {0,
                               1,
                               2,
                               3,
                               now << 1,
                               (now - 1000000000u) << 1,
                               (now + 60000000000u) << 1 | 1,
                               (now + 60000000000u) << 1,
                               INT64_MAX,
                               ~0ull,
                               ~1ull,
                               now / 1000000 << 16,
                               1u << 16};
    return leases[c[0] % (sizeof leases / sizeof leases[0])];
}

static uint64_t life_word(const uint8_t c[8])
{
    const uint64_t words[] = {(uint32_t)getpid() | FUTEX_WAITERS,
                              (uint32_t)getpid(),
                              FUTEX_OWNER_DIED,
                              FUTEX_OWNER_DIED | FUTEX_WAITERS,
                              0,
                              ~0u};
    return words[c[0] % 6];
}

/* What fits the event as it stands, so that any words pass for one. */
static uint64_t event_sum(const cmy_event_shm_t *entry)
{
    uint64_t what = entry->what.value;
    uint64_t sum = cmy_event_sum(entry->ticket.value, entry->time_ns.value, what);
    for (uint32_t i = 0; i < CMY_EVENT_TEXT_WORDS && 8 * i < cmy_event_id_bytes(what); i++)
        sum = cmy_event_mix(sum, entry->id[i].value);
    for (uint32_t i = 0; i < CMY_EVENT_TEXT_WORDS && 8 * i < cmy_event_name_bytes(what); i++)
        sum = cmy_event_mix(sum, entry->name[i].value);
    return sum;
}

/* Mostly on, and a few failures open. */
static uint64_t rules_word(const uint8_t c[8])
{
    const cmy_rules_t rules = {.on = c[0] & 15,
                               .streak = c[1] % 4,
                               .share = c[2] % 128,
                               .minimum = c[3] % 4,
                               .most = c[4] % 128,
                               .window_ms = (uint32_t)c[5] << c[6] % 14};
    return cmy_rules_pack(&rules);
}

uint64_t edit_compose(const editor_t *editor, const field_t *field, const unsigned char *record, uint64_t now,
                      uint64_t value)
{
    static const uint8_t lengths[] = {0, 1, 2, 31, 32, 33, 39, 40, 41, 63, 64, 127, 128, 254, 255};
    const cmy_layout_t *layout = editor->layout;
    uint64_t own = edit_load(record, 8);
    uint8_t c[8];
    memcpy(c, &value, sizeof c);
    switch (field->sense) {
    case STATE:
        return cmy_state(edit_nearly(cmy_state_version(now), c[0]),
                         owner(editor, value >> 8 & 0xffffff, cmy_state_owner(now)), (cmy_phase_t)(c[4] & 7));
    case NEXT:
    case HINT:
        return next_word(editor, c, own);
    case ID_CELL:
        return tagged(editor, CMY_SERVICES, c[0]);
    case NAME_CELL:
        return tagged(editor, CMY_GROUPS, c[0]);
    case LINE_WORD:
        return c[0] < 128 ? now ^ 1ull << c[1] % CMY_WINDOW_CELLS : now | CMY_MAP_MASK;
    case SHAPE:
        return (now & ~(0xffull << c[0] % 8 * 8)) | (uint64_t)lengths[c[1] % sizeof lengths] << c[0] % 8 * 8;
    case POSITION:
        return cmy_position(number(c[0], layout->slab[CMY_GROUPS].limit),
                            c[1] & 1 ? cmy_container_of_line(number(c[2], layout->slab[CMY_LINES].limit))
                                     : cmy_container_of_group(number(c[2], layout->slab[CMY_GROUPS].limit)),
                            c[3] % 32);
    case LEASE:
        return lease_word(c);
    case CONDITION:
        return cmy_condition(cmy_state(edit_nearly(cmy_state_version(own), c[0]), 0, CMY_LIVE), c[1], c[2], c[3]) |
               (value >> 32 << CMY_OPEN_SHIFT & CMY_CONDITION_BREAKER);
    case LINK:
        if (field->area == AREA_COLD) {
            uint32_t index = (uint32_t)((record - (unsigned char *)edit_place(editor, AREA_COLD, 0)) /
                                        sizeof(cmy_service_cold_shm_t));
            return link_word(editor, c, state_of(editor, CMY_SERVICES, index), true);
        }
        return link_word(editor, c, own, false);
    case MEMBER:
        return number(c[0], layout->slab[CMY_SERVICES].limit) + (c[1] < 240);
    case PHASE:
        return phase_word(c, now);
    case LIFE:
        return life_word(c);
    case HASH:
        return edit_load((unsigned char *)edit_place(editor, field->area,
                                                     number(c[0], edit_records(layout, field->area)) %
                                                         edit_records(layout, field->area)) +
                             field->offset,
                         8);
    case FURTHER:
        return number(c[0], layout->slab[CMY_CELLS].limit) + (c[1] < 240);
    case FLIGHT:
        return cmy_flight_cell(cmy_owner(0, edit_nearly(incarnation_of(editor, c[0] & 1), c[1])),
                               cmy_state(edit_nearly(cmy_state_version(own), c[2]), 0, CMY_LIVE),
                               c[3] < 16 ? CMY_FLIGHT_COUNT_MAX : c[3]);
    case TICKET:
        return cmy_event_ticket(c[0] + (uint64_t)CMY_EVENT_ENTRIES * c[1], c[2] < 64);
    case SUM:
        return event_sum((const cmy_event_shm_t *)(const void *)record);
    case RULES:
        return rules_word(c);
    case TIMES:
        return (uint64_t)c[1] << (32 + c[2] % 25) | (uint64_t)c[0] << c[3] % 25;
    case TURN: /* soon, long ago, or never */
        return cmy_turn(owner(editor, value >> 8 & 0xffffff, cmy_turn_owner(now)),
                        c[0] < 16 ? CMY_TURN_TIME_MASK : cmy_tick(cmy_clock_monotonic_ns()) + c[0] % 8 - 4);
    case MARK:
        return edit_at_limits(layout, 34 + value % 5);
    default:
        return edit_at_limits(layout, value);
    }
}
