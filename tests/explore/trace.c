/* Names of words, and schedules run for people. */
#include <ctype.h>
#include <stdlib.h>

#include "explore.h"

#define IN(base, word, count, type)                                                                                    \
    ((const char *)(word) >= (const char *)(base) &&                                                                   \
     (const char *)(word) < (const char *)(base) + (count) * sizeof(type))

/* What a word is within a record. */
static const char *field_of(cmy_slab_kind_t kind, size_t offset, char *out, size_t room)
{
    static const struct {
        cmy_slab_kind_t kind;
        size_t offset;
        const char *name;
    } fields[] = {
        {CMY_SERVICES, 8, "hash"},     {CMY_SERVICES, 16, "shape"},     {CMY_SERVICES, 64, "position"},
        {CMY_SERVICES, 72, "lease"},   {CMY_SERVICES, 80, "condition"}, {CMY_SERVICES, 88, "statistics link"},
        {CMY_GROUPS, 8, "next"},       {CMY_GROUPS, 16, "hash"},        {CMY_GROUPS, 24, "hint"},
        {CMY_GROUPS, 192, "rotation"}, {CMY_GROUPS, 200, "rotation"},   {CMY_LINES, 8, "next"},
        {CMY_STATS, 8, "home"},        {CMY_SMALL_TEXTS, 8, "home"},    {CMY_SMALL_TEXTS, 12, "bytes"},
        {CMY_LARGE_TEXTS, 8, "home"},  {CMY_LARGE_TEXTS, 12, "bytes"},
    };
    if (offset == 0)
        return "state";
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].kind == kind && fields[i].offset == offset)
            return fields[i].name;
    if (kind == CMY_GROUPS && offset >= offsetof(cmy_group_shm_t, cell))
        snprintf(out, room, "cell %zu", (offset - offsetof(cmy_group_shm_t, cell)) / 4);
    else if (kind == CMY_LINES && offset >= offsetof(cmy_line_shm_t, cell))
        snprintf(out, room, "cell %zu", (offset - offsetof(cmy_line_shm_t, cell)) / 4);
    else
        snprintf(out, room, "+%zu", offset);
    return out;
}

static const char *index_word(const char *which, const void *base, const void *word, char *out, size_t room)
{
    size_t offset = (size_t)((const char *)word - (const char *)base), line = offset / sizeof(cmy_index_line_shm_t);
    size_t within = offset % sizeof(cmy_index_line_shm_t);
    if (within == 0)
        snprintf(out, room, "index of %s, line %zu, word", which, line);
    else
        snprintf(out, room, "index of %s, line %zu, cell %zu", which, line, (within - 8) / 4);
    return out;
}

static const char *record_word(const void *word, char *out, size_t room)
{
    static const char *const kinds[CMY_SLABS] = {"service",    "group",      "line", "statistics",
                                                 "small text", "large text", "cells"};
    const cmy_region_t *region = ex_region();
    char field[32];
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        const cmy_slab_layout_t *slab = &region->layout.slab[kind];
        size_t at = (size_t)((const unsigned char *)word - ex_base);
        if (at >= slab->map_offset && at < slab->map_offset + 8) {
            snprintf(out, room, "free map of %ss", kinds[kind]);
            return out;
        }
        if (at >= slab->offset && at < slab->offset + (uint64_t)slab->limit * slab->stride) {
            size_t offset = (at - slab->offset) % slab->stride;
            snprintf(out, room, "%s %zu, %s", kinds[kind], (at - slab->offset) / slab->stride,
                     field_of((cmy_slab_kind_t)kind, offset, field, sizeof field));
            return out;
        }
        if (slab->cold_stride && at >= slab->cold_offset &&
            at < slab->cold_offset + (uint64_t)slab->limit * slab->cold_stride) {
            size_t offset = (at - slab->cold_offset) % slab->cold_stride;
            bool link = kind == CMY_SERVICES && offset == offsetof(cmy_service_cold_shm_t, metadata);
            snprintf(out, room, "%s %zu, cold, %s%.0zu", kinds[kind], (at - slab->cold_offset) / slab->cold_stride,
                     link ? "metadata link" : "+", link ? 0 : offset);
            return out;
        }
    }
    snprintf(out, room, "region + %zu", (size_t)((const unsigned char *)word - ex_base));
    return out;
}

const char *ex_word_name(const void *word, char *out, size_t room)
{
    const cmy_region_t *region = ex_region();
    if (word == ex_clock_word()) {
        snprintf(out, room, "the clock");
    } else if (IN(ex_start_word(0), word, EX_ACTORS, cmy_word64_t)) {
        snprintf(out, room, "begins a call");
    } else if (IN(region->life, word, COMMY_LIMIT_PARTICIPANTS, cmy_life_shm_t)) {
        size_t offset = (size_t)((const char *)word - (const char *)region->life);
        snprintf(out, room, "slot %zu, %s", offset / 16, offset % 16 ? "life word" : "phase");
    } else if (IN(region->stripes, word, CMY_STRIPES + 1, cmy_stripe_shm_t)) {
        size_t offset = (size_t)((const char *)word - (const char *)region->stripes);
        snprintf(out, room, "stripe %zu, %s", offset / 64, offset % 64 ? "waiting" : "version");
    } else if (IN(region->events, word, CMY_EVENT_RINGS, cmy_event_ring_shm_t)) {
        static const char *const fields[] = {"ticket", "time", "what", "sum"};
        size_t offset = (size_t)((const char *)word - (const char *)region->events);
        snprintf(out, room, "event, %s", offset < 64 ? "cursor" : offset < 96 ? fields[(offset - 64) / 8] : "texts");
    } else if (IN(region->ids, word, region->layout.id_lines + 1, cmy_index_line_shm_t)) {
        return index_word("ids", region->ids, word, out, room);
    } else if (IN(region->names, word, region->layout.name_lines + 1, cmy_index_line_shm_t)) {
        return index_word("names", region->names, word, out, room);
    } else if (IN(region->header, word, 1, cmy_header_shm_t)) {
        snprintf(out, room, "header + %zu", (size_t)((const unsigned char *)word - ex_base));
    } else {
        return record_word(word, out, room);
    }
    return out;
}

/* ----------------------------------------------------------------- replaying */

static void print_step(FILE *out, uint32_t who)
{
    char name[128];
    const void *word = ex_process[who].pending;
    uint64_t before = ex_peek(word);
    bool wrote = ex_world_step(who);
    fprintf(out, "%c [%2u]  %-36s %#18llx", 'A' + who, ex_process[who].event, ex_word_name(word, name, sizeof name),
            (unsigned long long)before);
    if (wrote)
        fprintf(out, " -> %#llx", (unsigned long long)ex_peek(word));
    fprintf(out, "\n");
}

static bool print_check(const ex_case_t *what, const char *check, FILE *out)
{
    (void)what;
    fprintf(out, "then %s\n", *check == 'a' ? "the audit" : *check == 'o' ? "a bystander" : "alone");
    if (*check == 'a')
        ex_verdict_audit();
    else if (*check == 'o')
        ex_verdict_bystander();
    else if (*check >= 'A' && *check < 'A' + (int)ex_process_count && ex_process[*check - 'A'].status == EX_READY)
        ex_verdict_solo((uint32_t)(*check - 'A'));
    else
        return false;
    return true;
}

bool ex_replay(const ex_case_t *what, const char *schedule, FILE *out)
{
    if (!ex_world_make(what))
        return true;
    for (const char *at = schedule; *at && !ex_violation[0];) {
        bool dies = *at == '+';
        if (*at == '/')
            return print_check(what, at + 1, out);
        at += dies;
        uint32_t who = (uint32_t)(*at - 'A');
        if (who >= ex_process_count)
            return false;
        at++;
        if (dies) {
            ex_world_kill(who);
            fprintf(out, "%c dies\n", 'A' + who);
            continue;
        }
        char *end;
        unsigned long steps = strtoul(at, &end, 10);
        if (end == at)
            return false;
        for (at = end; steps > 0 && !ex_violation[0]; steps--) {
            if (ex_process[who].status != EX_READY)
                return false;
            print_step(out, who);
        }
    }
    if (!ex_violation[0])
        ex_verdict_end(what);
    ex_history_print(out);
    return true;
}
