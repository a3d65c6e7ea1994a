/*
 * dump_summary.c - what fits on a screen: the header, what is wrong, participants, slabs, counters.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "common.h"
#include "dump.h"
#include "event.h"
#include "event/event.h"
#include "registry/check.h"
#include "stat/breaker.h"
#include "text.h"

void dump_wrong(const struct image *image)
{
    dump_sentences("wrong", "What is wrong", image->sentence, image->sentences);
}

/* --------------------------------------------------------------------- header */

void dump_header(const struct image *image)
{
    const cmy_header_shm_t *header = &image->header;
    char boot[2 * sizeof(header->boot_id) + 1], maker[sizeof(header->maker) + 1] = "", path[PATH_MAX];

    for (size_t i = 0; i < sizeof(header->boot_id); i++)
        snprintf(boot + 2 * i, 3, "%02x", header->boot_id[i]);
    memcpy(maker, header->maker, sizeof(header->maker));
    dump_pairs_open("header", "Header");
    dump_text("file", "File", "%s", realpath(image->path, path) != NULL ? path : image->path);
    dump_bytes("file_bytes", "File size", (uint64_t)image->st.st_size);
    dump_bytes("backed_bytes", "Backed memory", (uint64_t)image->st.st_blocks * 512);
    dump_text("magic", "Magic", "%016jx", (uintmax_t)header->magic);
    dump_number("layout_version", "Layout", header->layout_version);
    dump_text("fingerprint", "Fingerprint", "%016jx", (uintmax_t)header->fingerprint);
    dump_text("byte_order", "Byte order", "%08x", header->byte_order);
    dump_number("capacity", "Capacity", header->capacity);
    dump_bytes("region_bytes", "Region size", header->region_bytes);
    dump_text("seed", "Seed", "%016jx", (uintmax_t)header->seed);
    dump_text("boot_id", "Boot", "%s", boot);
    dump_number("device", "Device", header->device);
    dump_number("inode", "Inode", header->inode);
    dump_time("created_at", "Made", header->created_at_ns);
    dump_number("maker_pid", "Maker's process", header->maker_pid);
    dump_text("maker", "Maker", "%s", maker);
    dump_number("removed", "Removed", cmy_load64_relaxed(&header->removed));
    dump_number("death_epoch", "Deaths", cmy_load64_relaxed(&header->death_epoch));
    dump_number("next_expiry_ms", "Next lease end, ms", cmy_load64_relaxed(&header->next_expiry) >> 16);
    dump_pairs_close();
}

/* --------------------------------------------------------------- participants */

const char *owner_text(const struct image *image, uint32_t owner, char text[OWNER_TEXT_BYTES])
{
    static const char *const standing[] = {
        [CMY_STANDING_ALIVE] = "alive", [CMY_STANDING_DEAD] = "dead", [CMY_STANDING_GONE] = "gone"};

    text[0] = '\0';
    if (owner != CMY_NOBODY)
        snprintf(text, OWNER_TEXT_BYTES, "slot %u, life %u, %s", cmy_owner_slot(owner), cmy_owner_incarnation(owner),
                 standing[cmy_check_standing(&image->region, owner)]);
    return text;
}

static const char *slot_phase(cmy_life_phase_t phase)
{
    static const char *const names[] = {"FREE", "JOINING", "ARMED", "LEAVING", "DEAD"};

    return (size_t)phase < sizeof(names) / sizeof(names[0]) ? names[phase] : "no phase";
}

static void count_owner(void *user, const struct image *image, uint32_t number)
{
    uint32_t *by_slot = user;
    uint64_t state = cmy_load64_relaxed(cmy_state_at(&image->region, CMY_SERVICES, number));
    uint32_t slot = cmy_owner_slot(cmy_state_owner(state));

    if (cmy_state_phase(state) == CMY_LIVE && slot < COMMY_LIMIT_PARTICIPANTS)
        by_slot[slot]++;
}

static void print_participant(const struct image *image, uint32_t slot, uint32_t services)
{
    const cmy_life_shm_t *life = &image->region.life[slot];
    const cmy_participant_shm_t *tenant = &image->region.participants[slot];
    uint64_t phase = cmy_load64_relaxed(&life->phase);
    char number[16], incarnation[16], node[sizeof(tenant->node_id) + 1], pid[16], uid[16], keeper[16], word[16],
        port[16];
    char owned[16], joined[TIME_TEXT_BYTES];

    snprintf(number, sizeof(number), "%u", slot);
    snprintf(incarnation, sizeof(incarnation), "%u", cmy_life_incarnation(phase));
    cmy_text_load(tenant->node_id, sizeof(tenant->node_id), node);
    snprintf(pid, sizeof(pid), "%u", cmy_load32_relaxed(&tenant->pid));
    snprintf(uid, sizeof(uid), "%u", cmy_load32_relaxed(&tenant->uid));
    snprintf(keeper, sizeof(keeper), "%u", cmy_life_tid(phase));
    snprintf(word, sizeof(word), "%08x", cmy_load32_relaxed(&life->word));
    snprintf(port, sizeof(port), "%u", cmy_load32_relaxed(&tenant->listen_port));
    snprintf(owned, sizeof(owned), "%u", services);
    time_text(cmy_load64_relaxed(&tenant->joined_at_ns), joined);
    dump_row((const char *[]){number, slot_phase(cmy_life_phase(phase)), incarnation, node, pid, uid, keeper, word,
                              owned, port, joined});
}

void dump_participants(struct image *image)
{
    static const struct dump_field fields[] = {
        {"slot", "SLOT", COLUMN_NUMBER},
        {"phase", "PHASE", COLUMN_TEXT},
        {"life", "LIFE", COLUMN_NUMBER},
        {"node", "NODE", COLUMN_TEXT},
        {"pid", "PID", COLUMN_NUMBER},
        {"uid", "UID", COLUMN_EXTRA_NUMBER},
        {"keeper", "KEEPER", COLUMN_NUMBER},
        {"word", "WORD", COLUMN_TEXT},
        {"services", "SERVICES", COLUMN_NUMBER},
        {"listen_port", "PORT", COLUMN_EXTRA_NUMBER},
        {"joined_at", "JOINED", COLUMN_EXTRA_TEXT},
    };
    uint32_t by_slot[COMMY_LIMIT_PARTICIPANTS] = {0};

    image_visit(image, CMY_SERVICES, count_owner, by_slot);
    dump_list_open("participants", "Participants", fields, sizeof(fields) / sizeof(fields[0]));
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++)
        if (cmy_life_phase(cmy_load64_relaxed(&image->region.life[slot].phase)) != CMY_SLOT_FREE)
            print_participant(image, slot, by_slot[slot]);
    dump_list_close();
}

/* ---------------------------------------------------------------------- slabs */

struct census {
    cmy_slab_kind_t kind;
    uint32_t phase[8], hidden;
};

static void count_record(void *user, const struct image *image, uint32_t number)
{
    struct census *census = user;
    uint64_t state = cmy_load64_relaxed(cmy_state_at(&image->region, census->kind, number));
    uint64_t bits = cmy_load64_relaxed(cmy_slab_map(&image->region, census->kind, number));

    census->phase[cmy_state_phase(state)]++;
    census->hidden += cmy_state_phase(state) == CMY_FREE && (bits >> number % 64 & 1) != 0;
}

void dump_slabs(struct image *image)
{
    static const char *const names[CMY_SLABS] = {"services",    "groups",      "member lines", "statistics",
                                                 "small texts", "large texts", "cells"};
    static const struct dump_field fields[] = {
        {"slab", "SLAB", COLUMN_TEXT},
        {"limit", "LIMIT", COLUMN_NUMBER},
        {"reserved", "RESERVED", COLUMN_NUMBER},
        {"free", "FREE", COLUMN_NUMBER},
        {"claimed", "CLAIMED", COLUMN_NUMBER},
        {"live", "LIVE", COLUMN_NUMBER},
        {"closing", "CLOSING", COLUMN_NUMBER},
        {"dying", "DYING", COLUMN_NUMBER},
        {"damaged", "NO PHASE", COLUMN_NUMBER},
        {"hidden", "HIDDEN", COLUMN_NUMBER},
        {"record_bytes", "BYTES EACH", COLUMN_EXTRA_NUMBER},
    };

    dump_list_open("slabs", "Slabs", fields, sizeof(fields) / sizeof(fields[0]));
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        const cmy_slab_layout_t *slab = &image->region.layout.slab[kind];
        struct census census = {.kind = (cmy_slab_kind_t)kind};
        char text[10][16];
        image_visit(image, census.kind, count_record, &census);
        const uint32_t numbers[10] = {
            slab->limit,
            cmy_region_reserved(&image->region, census.kind),
            census.phase[CMY_FREE],
            census.phase[CMY_CLAIMED],
            census.phase[CMY_LIVE],
            census.phase[CMY_CLOSING],
            census.phase[CMY_DYING],
            census.phase[5] + census.phase[6] + census.phase[7],
            census.hidden,
            slab->stride + slab->cold_stride,
        };
        for (int i = 0; i < 10; i++)
            snprintf(text[i], sizeof(text[i]), "%u", numbers[i]);
        dump_row((const char *[]){names[kind], text[0], text[1], text[2], text[3], text[4], text[5], text[6], text[7],
                                  text[8], text[9]});
    }
    dump_list_close();
}

/* ------------------------------------------------------------------- counters */

void dump_counters(struct image *image)
{
    const cmy_region_t *region = &image->region;
    uint64_t versions = 0, waited_on = 0;
    cmy_counts_t counts;

    for (uint32_t i = 0; i <= CMY_STRIPES; i++) {
        versions += cmy_load64_relaxed(&region->stripes[i].version);
        waited_on += cmy_load64_relaxed(&region->stripes[i].waiting) != 0;
    }
    image_load_slab(image, CMY_STATS);
    cmy_counter_read_mesh(region, &counts);
    dump_pairs_open("counters", "Counters");
    dump_number("successful_requests", "Successful requests", counts.successes);
    dump_number("failed_requests", "Failed requests", counts.failures);
    dump_number("stray_requests", "of them after their service",
                cmy_load64_relaxed(&region->header->stray_successes) +
                    cmy_load64_relaxed(&region->header->stray_failures));
    dump_real("average_response_time_ms", "Average response time, ms", cmy_counts_average_ms(&counts));
    const cmy_rules_t rules = cmy_rules(region);
    dump_number("breaker_enabled", "Circuit breakers", rules.on);
    dump_number("breaker_failures", "open after failures", rules.streak);
    dump_number("breaker_percent", "or percent", rules.share);
    dump_number("breaker_open_ms", "for ms", rules.open_ms);
    dump_number("breaker_longest_ms", "to ms", rules.longest_ms);
    dump_number("changes", "Changes announced", versions);
    dump_number("waited_on", "Stripes waited on", waited_on);
    dump_pairs_close();
}

/* --------------------------------------------------------------------- events */

/* What the flight recorder holds: what reads as whole, and how many were ever written. */
void dump_events(const struct image *image)
{
    static const struct dump_field fields[] = {
        {"sequence", "SEQUENCE", COLUMN_EXTRA_NUMBER},
        {"time", "TIME", COLUMN_TEXT},
        {"event", "EVENT", COLUMN_TEXT},
        {"id", "ID", COLUMN_TEXT},
        {"name", "NAME", COLUMN_TEXT},
        {"detail", "DETAIL", COLUMN_TEXT},
        {"slot", "SLOT", COLUMN_NUMBER},
        {"pid", "PID", COLUMN_NUMBER},
    };
    static commy_event_t events[COMMY_LIMIT_EVENTS];
    size_t count = cmy_event_list(&image->region, events, COMMY_LIMIT_EVENTS);

    dump_list_open("events", "Events", fields, sizeof(fields) / sizeof(fields[0]));
    for (size_t i = 0; i < count; i++) {
        const commy_event_t *event = &events[i];
        char sequence[24], when[TIME_TEXT_BYTES], id[EVENT_TEXT_BYTES], name[EVENT_TEXT_BYTES];
        char detail[EVENT_DETAIL_BYTES], slot[16] = "", pid[16] = "";
        snprintf(sequence, sizeof(sequence), "%" PRIu64, event->sequence);
        if (event->slot != UINT32_MAX)
            snprintf(slot, sizeof(slot), "%u", event->slot);
        if (event->pid != 0)
            snprintf(pid, sizeof(pid), "%u", event->pid);
        dump_row((const char *[]){sequence, time_text(event->time_ns, when), commy_event_kind_name(event->kind),
                                  event_id(event, id), event_name(event, name), event_detail(event, detail), slot,
                                  pid});
    }
    dump_list_close();
}

/* --------------------------------------------------------------------- audit */

static void print_finding(void *user, const char *where, const char *what)
{
    (void)user;
    dump_row((const char *[]){where, what});
}

uint64_t dump_findings(struct image *image)
{
    static const struct dump_field fields[] = {{"where", "WHERE", COLUMN_TEXT}, {"what", "WHAT", COLUMN_TEXT}};
    uint64_t findings = 0;

    image_load_all(image);
    dump_list_open("findings", "Findings", fields, 2);
    if (cmy_check_region(&image->region, false, print_finding, NULL, &findings) != COMMY_STATUS_SUCCESS)
        must_have(NULL);
    dump_list_close();
    return findings;
}
