/* What a circuit breaker counts and is configured by, word by word; what is done with it: registry/breaker.h. */
#ifndef CMY_STAT_BREAKER_H
#define CMY_STAT_BREAKER_H

#include "base/clock.h"
#include "stat/block.h"

/* --------------------------------------------------------------- configuration */

/*
 * Two words of the header, each stored whole: what opens a breaker, and for how long. They can be set apart, so that
 * whoever is killed between the two leaves a configuration that means something.
 *
 *     rules   63             43 42     36 35         22 21     15 14          1    0
 *            +-----------------+---------+-------------+---------+-------------+----+
 *            | window, ms (21) | most (7)| minimum (14)| share(7)| streak (14) | on |
 *            +-----------------+---------+-------------+---------+-------------+----+
 *     times   63                           32 31                            0
 *            +-------------------------------+-------------------------------+
 *            | longest, ms (32)              | open, ms (32)                 |
 *            +-------------------------------+-------------------------------+
 */
typedef struct cmy_rules {
    bool on;
    uint32_t streak, share, minimum, most, window_ms, open_ms, longest_ms;
} cmy_rules_t;

#define CMY_RULES_ON 1ull
#define CMY_RULES_MOST_FAILURES 10000u
#define CMY_RULES_MOST_WINDOW_MS 1800000u
#define CMY_RULES_MOST_OPEN_MS 3600000u
#define CMY_RULES_MOST_LONGEST_MS 86400000u
static inline uint64_t cmy_rules_pack(const cmy_rules_t *rules)
{
    return (uint64_t)rules->window_ms << 43 | (uint64_t)rules->most << 36 | (uint64_t)rules->minimum << 22 |
           (uint64_t)rules->share << 15 | (uint64_t)rules->streak << 1 | (uint64_t)rules->on;
}
static inline uint64_t cmy_times_pack(const cmy_rules_t *rules)
{
    return (uint64_t)rules->longest_ms << 32 | rules->open_ms;
}
static inline cmy_rules_t cmy_rules_unpack(uint64_t rules, uint64_t times)
{
    return (cmy_rules_t){
        .on = rules & CMY_RULES_ON,
        .streak = (uint32_t)(rules >> 1) & 0x3fffu,
        .share = (uint32_t)(rules >> 15) & 0x7fu,
        .minimum = (uint32_t)(rules >> 22) & 0x3fffu,
        .most = (uint32_t)(rules >> 36) & 0x7fu,
        .window_ms = (uint32_t)(rules >> 43),
        .open_ms = (uint32_t)times,
        .longest_ms = (uint32_t)(times >> 32),
    };
}
static inline cmy_rules_t cmy_rules(const cmy_region_t *region)
{
    return cmy_rules_unpack(cmy_load64_acquire(&region->header->breaker_rules),
                            cmy_load64_acquire(&region->header->breaker_times));
}
static inline bool cmy_rules_on(const cmy_region_t *region)
{
    return cmy_load64_acquire(&region->header->breaker_rules) & CMY_RULES_ON;
}

/* Whether a configuration is one that can be given. */
static inline bool cmy_rules_make_sense(const cmy_rules_t *rules)
{
    return rules->streak - 1 < CMY_RULES_MOST_FAILURES && rules->share <= 100 &&
           rules->minimum - 1 < CMY_RULES_MOST_FAILURES && rules->most - 1 < 100 &&
           rules->window_ms - 1 < CMY_RULES_MOST_WINDOW_MS && rules->open_ms - 1 < CMY_RULES_MOST_OPEN_MS &&
           rules->longest_ms >= rules->open_ms && rules->longest_ms <= CMY_RULES_MOST_LONGEST_MS;
}

/* How long a breaker stays open that was tried in vain so many times. */
static inline uint64_t cmy_rules_wait_ms(const cmy_rules_t *rules, uint32_t exponent)
{
    uint64_t ms = (uint64_t)rules->open_ms << (exponent & 15);
    return ms < rules->longest_ms ? ms : rules->longest_ms;
}

/* ------------------------------------------------------------------------ time */

/* Units of 2^24 ns, 16.8 ms. */
#define CMY_TICK_SHIFT 24u
static inline uint64_t cmy_tick(uint64_t ns)
{
    return ns >> CMY_TICK_SHIFT;
}
/* The first whole unit that begins so many milliseconds from now, or later. */
static inline uint64_t cmy_tick_after(uint64_t now_ns, uint64_t ms)
{
    return cmy_tick(now_ns + ms * 1000000) + 1;
}

/* ------------------------------------------------------------------------ turn */

#define CMY_TURN_TIME_MASK ((1ull << 33) - 1)
static inline uint64_t cmy_turn(uint32_t owner, uint64_t tick)
{
    return (uint64_t)owner << 33 | (tick & CMY_TURN_TIME_MASK);
}
static inline uint32_t cmy_turn_owner(uint64_t turn)
{
    return (uint32_t)(turn >> 33);
}
static inline uint64_t cmy_turn_tick(uint64_t turn)
{
    return turn & CMY_TURN_TIME_MASK;
}
/* Units that are left until the time of a turn; 0: it has passed. Only the lowest bits of the time are there, which recur after
 * 4.6 years: what seems to come later than in 13 days, of which a day is the most that is given, is long past, or damaged. */
#define CMY_TURN_LEFT_MOST (1ull << 26)
static inline uint64_t cmy_turn_left(uint64_t turn, uint64_t tick)
{
    uint64_t left = (turn - tick) & CMY_TURN_TIME_MASK;
    return left < CMY_TURN_LEFT_MOST ? left : 0;
}

/* ---------------------------------------------------------------------- window */

static inline uint64_t cmy_window(uint32_t start, uint32_t count)
{
    return (uint64_t)start << 32 | count;
}
static inline uint32_t cmy_window_start(uint64_t window)
{
    return (uint32_t)(window >> 32);
}

/* Whether a window is over, or was never begun. One that seems to begin later, by up to 5 hours, was begun by others since I
 * looked at the clock; by more, it is damaged. */
#define CMY_WINDOW_LATER_MOST (1u << 20)
static inline bool cmy_window_over(uint64_t window, uint32_t now, uint32_t length)
{
    uint32_t start = cmy_window_start(window);
    return start == 0 || (now - start > length && start - now > CMY_WINDOW_LATER_MOST);
}

/* Forgets a block's former life. The block is CLAIMED by the caller. */
static inline void cmy_breaker_clear(cmy_tally_shm_t *tally)
{
    cmy_store64_relaxed(&tally->breaker.streak, 0);
    cmy_store64_relaxed(&tally->breaker.turn, 0);
    cmy_store64_relaxed(&tally->breaker.window, 0);
    cmy_store64_relaxed(&tally->breaker.before, 0);
    cmy_store64_relaxed(&tally->breaker.opened, 0);
}

#endif /* CMY_STAT_BREAKER_H */
