/* Electing a service's checker and keeping its results; see checker.h. */
#include "service/checker.h"

#include "event/event.h"

#define RETRIES 1000u

/* What the newest result makes of a service's health; what it is now where it makes nothing of it. */
static uint32_t judge(uint64_t checked, uint32_t health, uint32_t max_failures, uint32_t recovery_checks)
{
    uint32_t run = cmy_checked_run(checked);
    if (cmy_checked_failed(checked))
        return run >= max_failures || health == COMMY_HEALTH_UNKNOWN ? COMMY_HEALTH_UNHEALTHY : health;
    if (health == COMMY_HEALTH_DEGRADED)
        return health;
    return run >= recovery_checks || health == COMMY_HEALTH_UNKNOWN ? COMMY_HEALTH_HEALTHY : health;
}

/* Makes the health what the result says (checked 0: unknown) and announces the change. */
static void settle(cmy_region_t *region, uint32_t owner, uint32_t record, uint64_t state, uint64_t checked,
                   uint32_t max_failures, uint32_t recovery_checks)
{
    cmy_word64_t *word = &cmy_service_at(region, record)->condition;
    uint64_t seen = cmy_load64_acquire(word);
    for (uint32_t turn = 0; turn < RETRIES && cmy_condition_of(seen, state); turn++) {
        uint32_t health = cmy_condition_health(seen);
        uint32_t wanted = checked ? judge(checked, health, max_failures, recovery_checks) : COMMY_HEALTH_UNKNOWN;
        if (wanted == health)
            return;
        uint64_t mask = 3ull << CMY_HEALTH_SHIFT;
        if (!cmy_cas64_acq_rel(word, &seen, (seen & ~mask) | (uint64_t)wanted << CMY_HEALTH_SHIFT))
            continue;
        cmy_service_note(region, record, state, owner, COMMY_EVENT_CHECK, cmy_event_change(health, wanted));
        cmy_wait_announce(region, cmy_service_name_hash(region, record));
        return;
    }
}

/* Whether a word that is another's may be taken. */
static bool takeable(cmy_region_t *region, uint64_t checker, uint64_t checked, cmy_checker_watch_t *watch,
                     uint64_t patience_ns, uint64_t now_ns)
{
    uint32_t owner = cmy_state_owner(checker);
    if (owner == CMY_NOBODY || cmy_owner_slot(owner) >= COMMY_LIMIT_PARTICIPANTS || cmy_life_dead(region, owner))
        return true;
    if (watch->checker == checker && watch->checked == checked && watch->since_ns != 0)
        return now_ns - watch->since_ns >= patience_ns;
    *watch = (cmy_checker_watch_t){checker, checked, now_ns};
    return false;
}

bool cmy_checker_elect(cmy_region_t *region, uint32_t owner, uint32_t record, uint64_t state,
                       cmy_checker_watch_t *watch, uint64_t patience_ns, uint64_t now_ns)
{
    cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    uint64_t checker = cmy_load64_acquire(&cold->checker), mine = cmy_checker_word(state, owner);
    if (checker == mine)
        return true;
    uint64_t checked = cmy_load64_acquire(&cold->checked);
    if (!cmy_checker_of(checker, state) || !takeable(region, checker, checked, watch, patience_ns, now_ns))
        return false;
    *watch = (cmy_checker_watch_t){0};
    if (!cmy_swap64_acq_rel(&cold->checker, checker, mine)) /* pairs with the acquire loads of other candidates */
        return false;
    checked = cmy_load64_acquire(&cold->checked);
    if (cmy_checked_of(checked, state) && cmy_checked_run(checked) == 0)
        settle(region, owner, record, state, 0, 0, 0);
    return true;
}

void cmy_checker_give_back(cmy_region_t *region, uint32_t owner, uint32_t record, uint64_t state)
{
    cmy_swap64_acq_rel(&cmy_cold_at(region, record)->checker, cmy_checker_word(state, owner),
                       cmy_checker_word(state, CMY_NOBODY));
}

uint64_t cmy_checked_read(const cmy_region_t *region, uint32_t record)
{
    return cmy_load64_acquire(&cmy_cold_at(region, record)->checked);
}

bool cmy_checker_note(cmy_region_t *region, uint32_t owner, uint32_t record, uint64_t state, uint64_t before,
                      bool failed, uint64_t latency_us, uint32_t max_failures, uint32_t recovery_checks)
{
    cmy_service_cold_shm_t *cold = cmy_cold_at(region, record);
    uint64_t next = cmy_checked_next(before, failed, latency_us);
    if (!cmy_checked_of(before, state) || cmy_load64_acquire(&cold->checker) != cmy_checker_word(state, owner) ||
        !cmy_swap64_acq_rel(&cold->checked, before, next))
        return false;
    settle(region, owner, record, state, next, max_failures, recovery_checks);
    return true;
}
