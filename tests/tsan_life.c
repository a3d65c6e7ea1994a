/*
 * Many threads joining and leaving one region at once, while others look at who lives, certify, bury and free. A plain
 * program, made to be run under the thread sanitizer; by itself it counts what may never be seen: a participant that is
 * not alive between its join and its leave, or is after it, a slot with two tenants, a description of nobody.
 *
 * Usage: tsan_life [SECONDS]. Works in a directory of its own and removes it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "life/life.h"

#define JOINERS 6
#define LOOKERS 2
#define SLOTS_IN_USE 32

static cmy_region_t *region;
static _Atomic bool over;
static _Atomic uint64_t joins, looks, rounds, violations;
static _Atomic uint32_t tenants[COMMY_LIMIT_PARTICIPANTS]; /* by our own count */

static void never(bool seen, const char *what)
{
    if (!seen)
        return;
    violations++;
    fprintf(stderr, "violation: %s\n", what);
}

static void housekeeping(void *user)
{
    (void)user;
    rounds++;
}

static void free_if_dead(uint32_t slot)
{
    uint64_t phase = cmy_load64_acquire(&region->life[slot].phase);
    if (cmy_life_certify(region, slot) && cmy_life_phase(phase) == CMY_SLOT_DEAD)
        cmy_life_free(region, slot, phase);
}

static void *joiner(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    while (!over) {
        cmy_participant_t *participant;
        commy_status_t status = cmy_life_join(region, "thread", (uint16_t)random, housekeeping, NULL, &participant);
        if (status != COMMY_STATUS_SUCCESS) {
            never(true, commy_last_error_message());
            return NULL;
        }
        uint32_t owner = cmy_life_owner(participant), slot = cmy_owner_slot(owner);
        never(tenants[slot]++ != 0, "a slot with two tenants");
        for (int i = rand_r(&random) % 8; i >= 0; i--) {
            never(!cmy_life_alive(region, owner), "joined, and not alive");
            never(cmy_life_dead(region, owner), "joined, and dead");
            never(cmy_life_certify(region, slot), "joined, and certified dead");
            cmy_life_nudge(participant);
        }
        tenants[slot]--;
        cmy_life_leave(&participant);
        never(cmy_life_alive(region, owner), "alive after it left");
        never(!cmy_life_dead(region, owner), "not dead after it left");
        if (slot >= SLOTS_IN_USE) /* taken while the lookers did not get to run; they do not come there */
            free_if_dead(slot);
        joins++;
    }
    return NULL;
}

static void *looker(void *unused)
{
    while (!over) {
        for (uint32_t slot = 0; slot < SLOTS_IN_USE; slot++) {
            commy_participant_t seen;
            free_if_dead(slot);
            if (cmy_life_describe(region, slot, &seen))
                never(strcmp(seen.node_id, "thread") != 0 || seen.pid != (uint32_t)getpid(), "a description of nobody");
            looks++;
        }
    }
    return unused;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
    char dir[] = "/dev/shm/commy-tsan-XXXXXX";
    cmy_region_name_t name;
    if (!mkdtemp(dir) || cmy_region_resolve(dir, "life", &name) || cmy_region_create(&name, 16, NULL, 0) ||
        cmy_region_map(&name, true, &region)) {
        fprintf(stderr, "no region: %s\n", commy_last_error_message());
        return 1;
    }
    uint64_t began = cmy_clock_monotonic_ns();
    pthread_t threads[JOINERS + LOOKERS];
    for (uintptr_t i = 0; i < JOINERS + LOOKERS; i++)
        if (pthread_create(&threads[i], NULL, i < JOINERS ? joiner : looker, (void *)(i + 1)) != 0)
            return 1;
    sleep(seconds);
    over = true;
    for (int i = 0; i < JOINERS + LOOKERS; i++)
        pthread_join(threads[i], NULL);
    uint64_t took = cmy_clock_monotonic_ns() - began, deaths = cmy_load64_relaxed(&region->header->death_epoch);
    never(deaths != joins, "the death epoch was not raised once for each");
    printf("%llu joins and leaves, %llu looks, %llu rounds of keepers in %.1f s; %llu violations\n",
           (unsigned long long)joins, (unsigned long long)looks, (unsigned long long)rounds, (double)took / 1e9,
           (unsigned long long)violations);
    cmy_region_unmap(&region);
    cmy_region_remove(&name, true, NULL);
    rmdir(dir);
    return violations == 0 && joins > 0 ? 0 : 1;
}
