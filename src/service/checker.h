/*
 * Who checks a service's health, and what came of it.
 *
 * Any number of participants may offer to check a service (candidates); one of them does. Two words of the cold record:
 *
 *     checker   nobody(v) --candidate--> A(v) --A, gives it back--> nobody(v)
 *                                        A(v), dead or silent --candidate B--> B(v)
 *     checked   none(v) --A, a check ended--> 1 result --A--> 2 alike --> ...
 *
 * v is the record's version. Both are set while the record is CLAIMED and move by CAS from the value that was seen, so that
 * whoever was stopped changes nothing of the record's next life.
 *
 * a. Candidates that want the word at once: one CAS wins. A dead checker's word is taken only from one that is dead for
 *    certain (cmy_life_dead()), by whoever looks first; every candidate looks at least every 100 ms.
 * b. A checker that is stopped would leave the service unchecked. So a candidate whose patience has ended, for that long
 *    neither word having moved, takes the word from the living. The former finds out before its next check. A result that it
 *    had in its hands by then is dropped where its successor had one meanwhile (checked moved, and its serial with it),
 *    and otherwise counts: it is one.
 * c. Killed before, between or after claiming, checking and writing the result: the successor goes on from what `checked`
 *    says; at most the check under way is lost.
 * d. What the results decide (healthy, unhealthy) is made so in the service's condition after each result, not only when
 *    the decision turns. So a checker that was killed between the two words is made up for by the next result, and a
 *    late write of one that had been stopped there is corrected by it.
 *
 * Progress: lock-free. Readers of `checked` take one load.
 */
#ifndef CMY_SERVICE_CHECKER_H
#define CMY_SERVICE_CHECKER_H

#include "service/service.h"

/* -------------------------------------------------------------- words */

static inline uint64_t cmy_checker_word(uint64_t state, uint32_t owner)
{
    return cmy_state_with(state, owner, CMY_FREE);
}

/* Whether a checker word is of a record's life. */
static inline bool cmy_checker_of(uint64_t checker, uint64_t state)
{
    return cmy_state_version(checker) == cmy_state_version(state);
}

#define CMY_CHECKED_VERSION_BITS 20u
#define CMY_CHECKED_SERIAL_BITS 7u
#define CMY_CHECKED_RUN_MAX 255u
#define CMY_CHECKED_LATENCY_MAX_US ((1u << 28) - 1)

static inline uint64_t cmy_checked_none(uint64_t state)
{
    return (uint64_t)cmy_state_version(state) << 44;
}
static inline bool cmy_checked_of(uint64_t checked, uint64_t state)
{
    return checked >> 44 == cmy_checked_none(state) >> 44;
}
static inline bool cmy_checked_failed(uint64_t checked)
{
    return checked >> 36 & 1;
}
/* Results alike in a row, up to the newest; 0: there was no check. */
static inline uint32_t cmy_checked_run(uint64_t checked)
{
    return (uint32_t)(checked >> 28) & CMY_CHECKED_RUN_MAX;
}
static inline uint32_t cmy_checked_latency_us(uint64_t checked)
{
    return (uint32_t)checked & CMY_CHECKED_LATENCY_MAX_US;
}

/* What follows on a result when the next one is there. */
static inline uint64_t cmy_checked_next(uint64_t checked, bool failed, uint64_t latency_us)
{
    uint64_t serial = ((checked >> 37) + 1) & ((1u << CMY_CHECKED_SERIAL_BITS) - 1), run = cmy_checked_run(checked);
    run = run == 0 || cmy_checked_failed(checked) != failed ? 1 : run < CMY_CHECKED_RUN_MAX ? run + 1 : run;
    latency_us = latency_us < CMY_CHECKED_LATENCY_MAX_US ? latency_us : CMY_CHECKED_LATENCY_MAX_US;
    return checked >> 44 << 44 | serial << 37 | (uint64_t)failed << 36 | run << 28 | latency_us;
}

/* ------------------------------------------------------------ changes */

/* What a candidate remembers between two looks. Zero: it has not looked yet. */
typedef struct cmy_checker_watch {
    uint64_t checker, checked, since_ns;
} cmy_checker_watch_t;

/*
 * Whether `owner`, as whom the caller acts, checks the service whose record is in this state; takes the word if it can be had. When it takes it and
 * nobody ever checked this registration, the service's health becomes unknown until the first result.
 *
 * patience_ns: after which a living checker that shows nothing new loses the word. now_ns: CLOCK_MONOTONIC.
 */
bool cmy_checker_elect(cmy_region_t *region, uint32_t owner, uint32_t record, uint64_t state,
                       cmy_checker_watch_t *watch, uint64_t patience_ns, uint64_t now_ns);

/* Gives the word back, where the caller has it. */
void cmy_checker_give_back(cmy_region_t *region, uint32_t owner, uint32_t record, uint64_t state);

/* The result before which a check is begun. */
uint64_t cmy_checked_read(const cmy_region_t *region, uint32_t record);

/*
 * Writes a check's result, and makes the service's health what the results say: `max_failures` in a row unhealthy,
 * `recovery_checks` in a row healthy, any one where it was unknown. Degraded counts as healthy and is left alone.
 *
 * before: cmy_checked_read() when the check was begun. Returns whether the result counts: false where the caller does not
 * check the service any more, or another result came first.
 */
bool cmy_checker_note(cmy_region_t *region, uint32_t owner, uint32_t record, uint64_t state, uint64_t before,
                      bool failed, uint64_t latency_us, uint32_t max_failures, uint32_t recovery_checks);

#endif /* CMY_SERVICE_CHECKER_H */
