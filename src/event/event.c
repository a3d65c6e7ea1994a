/* Writing events, and reading one; see event.h. */
#include "event/event.h"

#include "base/clock.h"
#include "base/text.h"

/* ------------------------------------------------------------------ writing */

void cmy_event_record_source(cmy_region_t *region, const cmy_event_source_t *source)
{
    cmy_event_record(region, source);
}

uint32_t cmy_event_cut(cmy_word64_t to[CMY_EVENT_TEXT_WORDS], const cmy_word64_t *from)
{
    char text[CMY_EVENT_TEXT_BYTES + 2];
    size_t end = CMY_EVENT_TEXT_BYTES;
    cmy_text_load(from, end + 1, text);
    /* Of a character that would be cut in two nothing stays; four bytes are the most. */
    for (size_t i = 0; i < 3 && ((unsigned char)text[end] & 0xc0) == 0x80; i++)
        end--;
    cmy_text_store(to, CMY_EVENT_TEXT_WORDS, text, end);
    return (uint32_t)end;
}

void cmy_event_of_participant(const cmy_region_t *region, uint32_t slot, commy_event_kind_t kind,
                              cmy_event_node_t *node)
{
    const cmy_participant_shm_t *participant = &region->participants[slot];
    char text[COMMY_LIMIT_MESH_BYTES + 1];
    cmy_text_load(participant->node_id, COMMY_LIMIT_MESH_BYTES, text);
    uint32_t bytes = (uint32_t)strlen(text);
    cmy_text_store(node->node_id, 8, text, bytes);
    node->source = (cmy_event_source_t){
        .time_ns = cmy_clock_real_ns(),
        .what = cmy_event_deed(kind, 0) | cmy_event_doer(slot, cmy_load32_relaxed(&participant->pid)),
        .name = node->node_id,
        .name_bytes = bytes,
    };
    if (bytes > CMY_EVENT_TEXT_BYTES) {
        node->source.name_bytes = CMY_EVENT_TEXT_BYTES; /* of one byte a character */
        node->source.what |= CMY_EVENT_CUT_NAME;
    }
}

void cmy_event_participant(cmy_region_t *region, uint32_t slot, commy_event_kind_t kind)
{
    cmy_event_node_t node;
    cmy_event_of_participant(region, slot, kind, &node);
    cmy_event_record_source(region, &node.source);
}

/* ------------------------------------------------------------------ reading */

static uint64_t read_text(const cmy_word64_t *from, uint32_t bytes, char to[CMY_EVENT_TEXT_BYTES + 1], uint64_t sum)
{
    memset(to, 0, CMY_EVENT_TEXT_BYTES + 1);
    for (uint32_t i = 0; 8 * i < bytes; i++) {
        uint64_t word = cmy_load64_relaxed(&from[i]);
        memcpy(to + 8 * (size_t)i, &word, 8);
        sum = cmy_event_mix(sum, word);
    }
    memset(to + bytes, 0, CMY_EVENT_TEXT_BYTES + 1 - bytes);
    return sum;
}

bool cmy_event_read(const cmy_region_t *region, uint32_t place, cmy_event_t *event)
{
    const cmy_event_ring_shm_t *ring = &region->events[place / CMY_EVENT_ENTRIES];
    const cmy_event_shm_t *entry = &ring->entry[place % CMY_EVENT_ENTRIES];
    event->ticket = cmy_load64_acquire(&entry->ticket);
    if (event->ticket == 0 || (event->ticket & 1) != 0 ||
        cmy_event_number(event->ticket) % CMY_EVENT_ENTRIES != place % CMY_EVENT_ENTRIES)
        return false;
    event->time_ns = cmy_load64_relaxed(&entry->time_ns);
    event->what = cmy_load64_relaxed(&entry->what);
    uint32_t id_bytes = cmy_event_id_bytes(event->what), name_bytes = cmy_event_name_bytes(event->what);
    if (id_bytes > CMY_EVENT_TEXT_BYTES || name_bytes > CMY_EVENT_TEXT_BYTES)
        return false;
    uint64_t sum = cmy_event_sum(event->ticket, event->time_ns, event->what);
    sum = read_text(entry->id, id_bytes, event->id, sum);
    sum = read_text(entry->name, name_bytes, event->name, sum);
    uint64_t written = cmy_load64_relaxed(&entry->sum);
    cmy_fence_acquire(); /* pairs with the release fence behind the claim of whoever came next */
    return cmy_load64_relaxed(&entry->ticket) == event->ticket && sum == written;
}
