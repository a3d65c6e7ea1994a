/* What the audit asks of every record, whatever it holds: its state, its owner, its bit in the free map, its texts. */
#include "registry/check.h"

#include "base/text.h"

const char *cmy_phase_name(cmy_phase_t phase)
{
    static const char *const names[] = {
        [CMY_FREE] = "FREE",       [CMY_CLAIMED] = "CLAIMED", [CMY_LIVE] = "LIVE",
        [CMY_CLOSING] = "CLOSING", [CMY_DYING] = "DYING",
    };
    return (size_t)phase < sizeof names / sizeof names[0] ? names[phase] : "no phase";
}

/* ----------------------------------------------------------------- owners */

/* A slot whose word the kernel has marked, or that is DEAD already; phase: the phase word. */
static bool is_dead(const cmy_region_t *region, uint32_t slot, uint64_t phase)
{
    switch (cmy_life_phase(phase)) {
    case CMY_SLOT_DEAD:
        return true;
    case CMY_SLOT_ARMED:
    case CMY_SLOT_LEAVING:
        return cmy_load32_acquire(&region->life[slot].word) & FUTEX_OWNER_DIED;
    default:
        return false;
    }
}

/*
 * Raced by the slot's next tenant, this may say ALIVE of one who is gone: a finding less, until the next audit. It
 * never says GONE too soon: an incarnation that has passed, has passed.
 */
cmy_standing_t cmy_check_standing(const cmy_region_t *region, uint32_t owner)
{
    uint32_t slot = cmy_owner_slot(owner);
    if (slot >= COMMY_LIMIT_PARTICIPANTS)
        return CMY_STANDING_GONE;
    uint64_t phase = cmy_load64_acquire(&region->life[slot].phase);
    if (cmy_life_incarnation(phase) != cmy_owner_incarnation(owner) || cmy_life_phase(phase) == CMY_SLOT_FREE ||
        cmy_life_phase(phase) == CMY_SLOT_JOINING) /* which owns nothing yet */
        return CMY_STANDING_GONE;
    return is_dead(region, slot, phase) ? CMY_STANDING_DEAD : CMY_STANDING_ALIVE;
}

bool cmy_check_anybody(const cmy_look_t *look)
{
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS && !look->audit->quiescent; slot++) {
        cmy_life_phase_t phase = cmy_life_phase(cmy_load64_acquire(&look->region->life[slot].phase));
        if (phase == CMY_SLOT_ARMED || phase == CMY_SLOT_LEAVING || phase == CMY_SLOT_DEAD)
            return true; /* one that is joining owns nothing yet */
    }
    return false;
}

/* ----------------------------------------------------------------- states */

/*
 * A claimer sets the bit before it takes the record, and a releaser clears it behind the release: a set bit over a FREE
 * record is their business for as long as they live, and that of the dead until the repair that goes with reaping
 * (check.c, d). Who may be there is looked for after the bit and in front of the guard: had one left it, and been reaped
 * by then, the repair had cleared it.
 */
static void check_hidden(const cmy_look_t *look, cmy_slab_kind_t slab)
{
    const cmy_word64_t *map = cmy_slab_map(look->region, slab, look->index);
    uint64_t bit = 1ull << look->index % 64;
    if (!(cmy_load64_relaxed(map) & bit))
        return;
    if (!cmy_check_anybody(look) && (cmy_load64_relaxed(map) & bit))
        cmy_look_wrong(look, "is FREE, but its bit in the free map hides it from whoever wants one");
}

void cmy_check_free(const cmy_look_t *look, cmy_slab_kind_t slab)
{
    if (cmy_state_owner(look->seen) != CMY_NOBODY)
        cmy_look_wrong(look, "is FREE, but its state names an owner (%#x)", cmy_state_owner(look->seen));
    check_hidden(look, slab);
}

void cmy_check_held(const cmy_look_t *look)
{
    uint32_t owner = cmy_state_owner(look->seen);
    const char *phase = cmy_phase_name(cmy_state_phase(look->seen));
    if (owner == CMY_NOBODY)
        cmy_look_wrong(look, "is %s by nobody", phase);
    else if (cmy_check_standing(look->region, owner) == CMY_STANDING_GONE)
        cmy_look_wrong(look, "is %s by participant slot %u in its life %u, which is not there: it is lost", phase,
                       cmy_owner_slot(owner), cmy_owner_incarnation(owner));
    else if (look->audit->quiescent)
        cmy_look_wrong(look, "is %s by participant slot %u, and nobody is at work", phase, cmy_owner_slot(owner));
}

void cmy_check_no_phase(const cmy_look_t *look)
{
    cmy_look_wrong(look, "is in phase %u (%s), which it cannot be in", (unsigned)cmy_state_phase(look->seen),
                   cmy_phase_name(cmy_state_phase(look->seen)));
}

/* ------------------------------------------------------------------ texts */

bool cmy_check_text(const cmy_look_t *look, const char *what, const cmy_word64_t *words, size_t count, size_t bytes,
                    size_t min, bool multiline, char *out)
{
    size_t room = count * sizeof words[0];
    cmy_text_load(words, room, out);
    size_t length = strnlen(out, room);
    if (bytes != CMY_ANY_BYTES && length != bytes) {
        cmy_look_wrong(look, "its %s should have %zu bytes and has %zu", what, bytes, length);
        return false;
    }
    if (length == room && bytes != room) {
        cmy_look_wrong(look, "its %s does not end within its %zu bytes", what, room);
        return false;
    }
    for (size_t i = length; i < room; i++) {
        if (out[i] == '\0')
            continue;
        cmy_look_wrong(look, "behind its %s of %zu bytes there is something at byte %zu", what, length, i);
        return false;
    }
    if (cmy_text_check(what, out, min, room, multiline, NULL) == COMMY_STATUS_SUCCESS)
        return true;
    cmy_look_wrong(look, "its %s is no text that could have been registered: %s", what, commy_last_error_message());
    return false;
}
