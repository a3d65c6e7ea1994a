/*
 * The audit's parts: what each kind of structure must look like, and how a look at it is judged while others work. See
 * check.c for why it is sound.
 */
#ifndef CMY_REGISTRY_CHECK_H
#define CMY_REGISTRY_CHECK_H

#include <commy/commy.h>

#include "service/service.h"

/* What is looked at by itself: one number of one of these. */
typedef enum cmy_subject {
    CMY_SUBJECT_HEADER,
    CMY_SUBJECT_SLAB, /* by cmy_slab_kind_t: mark and free map */
    CMY_SUBJECT_SLOT,
    CMY_SUBJECT_STRIPE,
    CMY_SUBJECT_EVENT,
    CMY_SUBJECT_ID_LINE,
    CMY_SUBJECT_NAME_LINE,
    CMY_SUBJECT_SERVICE, /* from here on in the order of cmy_slab_kind_t */
    CMY_SUBJECT_GROUP,
    CMY_SUBJECT_LINE,
    CMY_SUBJECT_STAT,
    CMY_SUBJECT_SMALL_TEXT,
    CMY_SUBJECT_LARGE_TEXT,
    CMY_SUBJECT_CELLS,
    CMY_SUBJECTS
} cmy_subject_t;

typedef struct cmy_suspect cmy_suspect_t;

typedef enum cmy_audit_stage {
    CMY_AUDIT_COLLECTS, /* what looks wrong becomes a suspect */
    CMY_AUDIT_CONFIRMS, /* suspects that look wrong again stay */
    CMY_AUDIT_REPORTS   /* the same, and each is told */
} cmy_audit_stage_t;

/* One run of the audit. */
typedef struct cmy_audit {
    const cmy_region_t *region;
    bool quiescent; /* nobody is at work: nothing may be in flight */
    commy_finding_fn *finding;
    void *user;
    uint64_t findings;

    uint32_t *root; /* by line: the group it leads up to, remembered for one round; see cmy_check_root() */

    cmy_audit_stage_t stage;
    cmy_suspect_t *suspect;
    size_t count, room;
    size_t from, to; /* suspects of the subject that is being looked at again */
    bool no_memory;
    uint32_t paused_ms;
} cmy_audit_t;

/*
 * A look at a subject. The guard is a word that says whether what was read since `seen` was read from it belongs
 * together; only the bits of `mask` count. A guard names a life by a version, so that equal means unchanged throughout.
 */
typedef struct cmy_look {
    cmy_audit_t *audit;
    const cmy_region_t *region;
    cmy_subject_t subject;
    uint32_t index;
    const cmy_word64_t *guard; /* null: what is looked at is constant, or one word */
    uint64_t seen, mask;
    uint64_t evidence; /* what must be the same in every round, besides the sentence */
} cmy_look_t;

/* Begins a look under a guard: reads it, and takes what it says for evidence. */
cmy_look_t cmy_look_begin(cmy_audit_t *audit, cmy_subject_t subject, uint32_t index, const cmy_word64_t *guard,
                          uint64_t mask);

/* Whether the guard still says what it said. Orders what was read before in front of this look at it. */
static inline bool cmy_look_holds(const cmy_look_t *look)
{
    if (!look->guard)
        return true;
    cmy_fence_acquire(); /* pairs with the releasing CAS of whoever moves the guard on */
    return ((cmy_load64_relaxed(look->guard) ^ look->seen) & look->mask) == 0;
}

/* Something is wrong, if the guard still holds. The sentence holds only what is the same at every look. */
void cmy_look_wrong(const cmy_look_t *look, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ------------------------------------------------- any record (check_record.c) */

/* What an owner that a record names has come to. */
typedef enum cmy_standing {
    CMY_STANDING_ALIVE, /* at work, or may be: what it holds is in flight */
    CMY_STANDING_DEAD,  /* waits to be reaped: so does what it left */
    CMY_STANDING_GONE   /* reaped, or was never there: nothing may name it */
} cmy_standing_t;
cmy_standing_t cmy_check_standing(const cmy_region_t *region, uint32_t owner);

/* Whether anybody may be in the midst of something that no word tells: lives, or is dead and not reaped yet, in an audit
 * during which others may be at work. */
bool cmy_check_anybody(const cmy_look_t *look);

/* A record that is FREE; one that is CLAIMED or DYING; one in a phase that its kind does not have. Seen under the
 * guard. */
void cmy_check_free(const cmy_look_t *look, cmy_slab_kind_t slab);
void cmy_check_held(const cmy_look_t *look);
void cmy_check_no_phase(const cmy_look_t *look);

const char *cmy_phase_name(cmy_phase_t phase);

/* Words that hold a text of `bytes` bytes (of min bytes at least where bytes is CMY_ANY_BYTES), then NULs to their end;
 * none behind a text that fills them, if it should. The text is left in `out`, which has room for all words and a NUL.
 * Returns whether it is sound. */
#define CMY_ANY_BYTES SIZE_MAX
bool cmy_check_text(const cmy_look_t *look, const char *what, const cmy_word64_t *words, size_t count, size_t bytes,
                    size_t min, bool multiline, char *out);

/* ------------------------------------------- what several rooms' records share */

/* A record in use: stands in the window of its home once, committed, and nobody else in use has its key. */
typedef bool cmy_same_key_fn(const cmy_region_t *region, uint32_t one, uint32_t other);
void cmy_check_indexed(const cmy_look_t *look, cmy_slab_kind_t slab, uint64_t hash, cmy_same_key_fn *same_key);

/* The group that a LIVE line's containers lead up to; CMY_NO_ROOT where they lead nowhere. */
#define CMY_NO_ROOT UINT32_MAX
uint32_t cmy_check_root(const cmy_audit_t *audit, uint32_t line);

/* -------------------------------------------------------------- looks at a subject */

void cmy_check_header(cmy_audit_t *audit, uint32_t index);
void cmy_check_slab(cmy_audit_t *audit, uint32_t kind);
void cmy_check_slot(cmy_audit_t *audit, uint32_t slot);
void cmy_check_stripe(cmy_audit_t *audit, uint32_t number);
void cmy_check_event(cmy_audit_t *audit, uint32_t place);
void cmy_check_id_line(cmy_audit_t *audit, uint32_t line);
void cmy_check_name_line(cmy_audit_t *audit, uint32_t line);
void cmy_check_service(cmy_audit_t *audit, uint32_t record);
void cmy_check_group(cmy_audit_t *audit, uint32_t record);
void cmy_check_line(cmy_audit_t *audit, uint32_t record);
void cmy_check_stat(cmy_audit_t *audit, uint32_t block);
void cmy_check_small_text(cmy_audit_t *audit, uint32_t block);
void cmy_check_large_text(cmy_audit_t *audit, uint32_t block);
void cmy_check_cells(cmy_audit_t *audit, uint32_t number);

/*
 * The whole audit. quiescent: nobody is at work, and nobody dead waits: whatever is in flight is a finding too.
 * Errors: NO_MEMORY, with a sentence. Leaves the thread's last error alone otherwise.
 */
commy_status_t cmy_check_region(const cmy_region_t *region, bool quiescent, commy_finding_fn *finding, void *user,
                                uint64_t *findings);

#endif /* CMY_REGISTRY_CHECK_H */
