/*
 * The audit.
 *
 * Others work while it looks. It is sound because of what it looks for, how it looks, and how often.
 *
 * a. What it looks for holds at every instant, wherever processes were stopped or killed: the protocols of index/,
 *    group/ and stat/ are made so that a record which is LIVE has all that belongs to it from before it is LIVE until
 *    after it is not, and that whatever else is half done belongs to a record which is CLAIMED or DYING and names who
 *    is at it. Such a record is in flight while its owner lives, and waits to be reaped when the owner is dead; neither
 *    is a finding. One that names an owner whose slot was reaped is lost, since a slot is given back only after all
 *    that it owned.
 *
 * b. A look at a subject reads a guard, a word with a version (a record's state, an index line's word), then all else,
 *    then the guard again. Unchanged means: at the instant of each read in between, the guard said what it said. Two
 *    words that must fit at one instant are one read under the other as a guard, or are constant under the same one.
 *
 * c. What looks wrong becomes a suspect: the subject, and a hash of the sentence and of the life it was seen in. Suspects
 *    are looked at again in rounds, with pauses that grow, and a suspect that does not come up in a round is dropped.
 *    What is told looked wrong, in the same life of the record, in every round. This covers what b does not: cells and
 *    free maps hold no versions, and a value may have gone and come back between two reads.
 *
 * d. Two things no word tells, because only their maker's next instruction makes them right: a block that was taken out
 *    of its link and is still LIVE, and a FREE record with its bit set in the free map. Whoever lives may be stopped right
 *    there, for as long as it pleases, and reaping ends both for the dead. So they are told only where nobody lives and
 *    nobody waits to be reaped, or where the caller says that nobody is at work. Neither does harm meanwhile: a repair
 *    finds them when there is no other room.
 *
 * Not looked at: hints (a group's free cell, the soonest lease end), which may be wrong and do no harm.
 *
 * Reads only, and everything it follows is a number that was checked against what is reserved; every walk is bounded.
 * Time: one look at each record, line and slot, and a few more at each suspect. Memory: 4 bytes a member line, 16 a
 * suspect.
 */
#include "registry/check.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "registry/mesh.h"

/* Suspects are settled in batches; a region of nothing but damage needs no more memory than this. */
#define BATCH 8192u

/* Before each round, in milliseconds. Paid only while there are suspects, and no more than the budget in one audit. */
static const uint32_t pauses_ms[] = {0, 1, 5, 20, 50, 100};
#define ROUNDS (sizeof pauses_ms / sizeof pauses_ms[0])
#define PAUSES_BUDGET_MS 1000u

struct cmy_suspect {
    uint64_t identity;
    uint32_t index;
    uint16_t subject;
    bool again; /* came up in this round */
};

static uint32_t one(const cmy_region_t *region)
{
    (void)region;
    return 1;
}
static uint32_t slabs(const cmy_region_t *region)
{
    (void)region;
    return CMY_SLABS;
}
static uint32_t slots(const cmy_region_t *region)
{
    (void)region;
    return COMMY_LIMIT_PARTICIPANTS;
}
static uint32_t stripes(const cmy_region_t *region)
{
    (void)region;
    return CMY_STRIPES + 1;
}
static uint32_t events(const cmy_region_t *region)
{
    (void)region;
    return CMY_EVENT_RINGS * CMY_EVENT_ENTRIES;
}
static uint32_t id_lines(const cmy_region_t *region)
{
    return region->layout.id_lines + 1;
}
static uint32_t name_lines(const cmy_region_t *region)
{
    return region->layout.name_lines + 1;
}

/* What there is to look at. Records are as many as are reserved when their turn comes; what is reserved later was made
 * by a library that works. */
static const struct {
    const char *name;
    void (*look)(cmy_audit_t *audit, uint32_t index);
    uint32_t (*count)(const cmy_region_t *region); /* null: a slab's records */
} subjects[CMY_SUBJECTS] = {
    [CMY_SUBJECT_HEADER] = {"header", cmy_check_header, one},
    [CMY_SUBJECT_SLAB] = {"slab", cmy_check_slab, slabs},
    [CMY_SUBJECT_SLOT] = {"participant slot", cmy_check_slot, slots},
    [CMY_SUBJECT_STRIPE] = {"stripe", cmy_check_stripe, stripes},
    [CMY_SUBJECT_EVENT] = {"event", cmy_check_event, events},
    [CMY_SUBJECT_ID_LINE] = {"index of ids, line", cmy_check_id_line, id_lines},
    [CMY_SUBJECT_NAME_LINE] = {"index of names, line", cmy_check_name_line, name_lines},
    [CMY_SUBJECT_SERVICE] = {"service", cmy_check_service, NULL},
    [CMY_SUBJECT_GROUP] = {"group", cmy_check_group, NULL},
    [CMY_SUBJECT_LINE] = {"member line", cmy_check_line, NULL},
    [CMY_SUBJECT_STAT] = {"statistics block", cmy_check_stat, NULL},
    [CMY_SUBJECT_SMALL_TEXT] = {"small text", cmy_check_small_text, NULL},
    [CMY_SUBJECT_LARGE_TEXT] = {"large text", cmy_check_large_text, NULL},
    [CMY_SUBJECT_CELLS] = {"record of cells", cmy_check_cells, NULL},
};

static const char *const slab_names[CMY_SLABS] = {
    [CMY_SERVICES] = "services", [CMY_GROUPS] = "groups",           [CMY_LINES] = "member lines",
    [CMY_STATS] = "statistics",  [CMY_SMALL_TEXTS] = "small texts", [CMY_LARGE_TEXTS] = "large texts",
    [CMY_CELLS] = "cells",
};

static uint32_t count_of(const cmy_region_t *region, cmy_subject_t subject)
{
    if (subjects[subject].count)
        return subjects[subject].count(region);
    return cmy_region_reserved_again(region, (cmy_slab_kind_t)(subject - CMY_SUBJECT_SERVICE));
}

/* ------------------------------------------------------------------ saying where */

#define WHERE_BYTES 640u

/* What people call the record, where it has a text to go by; cut and escaped, since it may be damaged. */
static void call(const cmy_look_t *look, char *out, size_t room)
{
    char text[COMMY_LIMIT_ID_BYTES + 1], quoted[4 * sizeof text];
    if (look->subject == CMY_SUBJECT_SERVICE) {
        const cmy_service_shm_t *hot = cmy_service_at(look->region, look->index);
        cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape));
        size_t bytes = shape.id_bytes < sizeof text ? shape.id_bytes : sizeof text - 1;
        cmy_text_load(bytes < CMY_HOT_ID_BYTES ? hot->id : cmy_cold_at(look->region, look->index)->id, bytes, text);
        snprintf(out, room, " (id '%s')", cmy_text_quote(text, quoted, sizeof quoted));
    } else {
        cmy_text_load(cmy_group_at(look->region, look->index)->name, COMMY_LIMIT_NAME_BYTES, text);
        snprintf(out, room, " (name '%s')", cmy_text_quote(text, quoted, sizeof quoted));
    }
}

static void say_where(const cmy_look_t *look, char where[WHERE_BYTES])
{
    int bytes;
    uint64_t state;
    switch (look->subject) {
    case CMY_SUBJECT_HEADER:
        snprintf(where, WHERE_BYTES, "header");
        return;
    case CMY_SUBJECT_SLAB:
        snprintf(where, WHERE_BYTES, "slab of %s", slab_names[look->index]);
        return;
    case CMY_SUBJECT_SERVICE:
    case CMY_SUBJECT_GROUP:
        bytes = snprintf(where, WHERE_BYTES, "%s %" PRIu32, subjects[look->subject].name, look->index);
        state = cmy_load64_acquire(
            cmy_state_at(look->region, (cmy_slab_kind_t)(look->subject - CMY_SUBJECT_SERVICE), look->index));
        if (cmy_state_phase(state) != CMY_FREE)
            call(look, where + bytes, WHERE_BYTES - (size_t)bytes);
        return;
    default:
        snprintf(where, WHERE_BYTES, "%s %" PRIu32, subjects[look->subject].name, look->index);
    }
}

/* ------------------------------------------------------------------- suspects */

cmy_look_t cmy_look_begin(cmy_audit_t *audit, cmy_subject_t subject, uint32_t index, const cmy_word64_t *guard,
                          uint64_t mask)
{
    cmy_look_t look = {.audit = audit, .region = audit->region, .subject = subject, .index = index, .guard = guard};
    if (guard) {
        look.seen = cmy_load64_acquire(guard); /* pairs with the CAS that put it there */
        look.mask = mask;
        look.evidence = look.seen & mask;
    }
    return look;
}

static void suspect(cmy_audit_t *audit, const cmy_look_t *look, uint64_t identity)
{
    if (audit->count == audit->room) {
        size_t room = audit->room ? 2 * audit->room : 256;
        cmy_suspect_t *larger = realloc(audit->suspect, room * sizeof *larger);
        if (!larger) {
            audit->no_memory = true;
            return;
        }
        audit->suspect = larger;
        audit->room = room;
    }
    audit->suspect[audit->count++] =
        (cmy_suspect_t){.identity = identity, .index = look->index, .subject = (uint16_t)look->subject};
}

void cmy_look_wrong(const cmy_look_t *look, const char *format, ...)
{
    cmy_audit_t *audit = look->audit;
    char what[512], where[WHERE_BYTES];
    if (!cmy_look_holds(look))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);

    uint64_t identity = XXH3_64bits_withSeed(what, strlen(what), look->evidence);
    if (audit->stage == CMY_AUDIT_COLLECTS) {
        suspect(audit, look, identity);
        return;
    }
    for (size_t i = audit->from; i < audit->to; i++) {
        if (audit->suspect[i].identity != identity || audit->suspect[i].again)
            continue;
        audit->suspect[i].again = true;
        if (audit->stage != CMY_AUDIT_REPORTS)
            return;
        audit->findings++;
        say_where(look, where);
        if (audit->finding)
            audit->finding(audit->user, where, what);
        return;
    }
}

static void begin_round(cmy_audit_t *audit, cmy_audit_stage_t stage)
{
    audit->stage = stage;
    memset(audit->root, 0, audit->region->layout.slab[CMY_LINES].limit * sizeof *audit->root);
}

/* Looks at every suspect's subject again, and keeps those that came up again. */
static void look_again(cmy_audit_t *audit)
{
    size_t kept = 0, next;
    for (size_t i = 0; i < audit->count; i = next) {
        cmy_suspect_t first = audit->suspect[i];
        /* One look may have brought up several, which stand side by side. */
        for (next = i; next < audit->count && audit->suspect[next].subject == first.subject &&
                       audit->suspect[next].index == first.index;
             next++)
            audit->suspect[next].again = false;
        audit->from = i;
        audit->to = next;
        subjects[first.subject].look(audit, first.index);
        for (size_t j = i; j < next; j++)
            if (audit->suspect[j].again)
                audit->suspect[kept++] = audit->suspect[j];
    }
    audit->count = kept;
}

static void rest(cmy_audit_t *audit, uint32_t ms)
{
    if (audit->quiescent)
        return; /* nobody is at work who could mend it meanwhile */
    if (ms == 0 || audit->paused_ms + ms > PAUSES_BUDGET_MS) {
        sched_yield();
        return;
    }
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL); /* cut short by a signal: a shorter pause */
    audit->paused_ms += ms;
}

static void settle(cmy_audit_t *audit)
{
    for (size_t round = 0; round < ROUNDS && audit->count > 0; round++) {
        rest(audit, pauses_ms[round]);
        begin_round(audit, round + 1 == ROUNDS ? CMY_AUDIT_REPORTS : CMY_AUDIT_CONFIRMS);
        look_again(audit);
    }
    audit->count = 0;
    begin_round(audit, CMY_AUDIT_COLLECTS);
}

/* -------------------------------------------------------------------- the run */

static void look_at_all(cmy_audit_t *audit)
{
    for (int subject = 0; subject < CMY_SUBJECTS; subject++) {
        uint32_t count = count_of(audit->region, (cmy_subject_t)subject);
        for (uint32_t index = 0; index < count; index++) {
            subjects[subject].look(audit, index);
            if (audit->count >= BATCH)
                settle(audit);
            if (audit->no_memory)
                return;
        }
    }
    settle(audit);
}

commy_status_t cmy_check_region(const cmy_region_t *region, bool quiescent, commy_finding_fn *finding, void *user,
                                uint64_t *findings)
{
    cmy_audit_t audit = {.region = region, .quiescent = quiescent, .finding = finding, .user = user};
    cmy_error_t before;
    cmy_error_save(&before); /* texts are checked by functions that explain what is wrong with them */
    audit.root = calloc(region->layout.slab[CMY_LINES].limit, sizeof *audit.root);
    if (audit.root)
        look_at_all(&audit);
    bool no_memory = !audit.root || audit.no_memory;
    free(audit.suspect);
    free(audit.root);
    *findings = audit.findings;
    cmy_error_restore(&before);
    if (no_memory)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory to audit region %s/%s of %u services", region->dir,
                        region->mesh, region->layout.capacity);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_mesh_check(const commy_mesh_t *mesh, commy_finding_fn *finding, void *user, uint64_t *findings)
{
    uint64_t found = 0;
    if (findings)
        *findings = 0;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_check_region(mesh->region, false, finding, user, &found);
    if (findings)
        *findings = found;
    if (status != COMMY_STATUS_SUCCESS || found == 0)
        return status;
    return cmy_fail(COMMY_STATUS_CORRUPT,
                    "region %s/%s is damaged: %" PRIu64
                    " findings; `commy check` lists them, `commy dump` shows what is "
                    "there; stop its programs and remove it with `commy rm %s`",
                    mesh->region->dir, mesh->region->mesh, found, mesh->region->mesh);
}
