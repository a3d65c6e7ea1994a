/*
 * Seven threads that select through one handle that writes and one that reads, by every policy, while instances come,
 * go, and change under them, and more names are asked for than there are pickers. What they get they report on, so that
 * circuit breakers open and close all the time. A plain program, made to be run under
 * the thread sanitizer; by itself it holds what was selected against what the instances say of themselves. Ends with an
 * audit.
 *
 * Usage: tsan_select [SECONDS]           3 seconds
 */
#include <pthread.h>
#include <stdarg.h>

#include "acceptance.h"

#define THREADS 7u
#define IDS 24u
#define NAMES 4u
#define LONERS 2500u /* names with one instance each */
#define CROWD 150u   /* instances of one name, so many that the next ones are asked for ahead */

static commy_mesh_t *mesh, *reader;
static _Atomic bool over;
static _Atomic uint64_t calls;
static property_t sound = {"the audit finds nothing", 0, 0};

/* Counted by all threads, in a way that orders nothing among them. */
enum { ALLOWED, RIGHT, SHUT, OPEN, PROPERTIES };
static _Atomic uint64_t looked[PROPERTIES], violated[PROPERTIES];

static void __attribute__((format(printf, 3, 4))) judge(int property, bool holds, const char *format, ...)
{
    va_list arguments;
    atomic_fetch_add_explicit(&looked[property], 1, memory_order_relaxed);
    if (holds || atomic_fetch_add_explicit(&violated[property], 1, memory_order_relaxed) >= SHOWN_VIOLATIONS)
        return;
    va_start(arguments, format);
    printf("  violated: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

static commy_status_t select_from(commy_mesh_t *from, const char *name, uint64_t *random, commy_target_t *target)
{
    static const int32_t policies[] = {COMMY_POLICY_ROUND_ROBIN, COMMY_POLICY_WEIGHTED_ROUND_ROBIN,
                                       COMMY_POLICY_RANDOM,      COMMY_POLICY_LEAST_CONNECTIONS,
                                       COMMY_POLICY_PERFORMANCE, COMMY_POLICY_CONSISTENT_HASH};
    char client[16];
    snprintf(client, sizeof client, "%u", below(random, 1000));
    /* A table of places takes a while to make under the sanitizer. */
    const commy_select_options_t options = {
        .size = sizeof options,
        .policy = policies[below(random, below(random, 16) ? 5 : 6)],
        .client_id = client,
        .tag = below(random, 4) ? NULL : "all", /* which all have */
    };
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    commy_status_t status = commy_service_select(from, name, &options, target);
    judge(ALLOWED,
          status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_FOUND || status == COMMY_STATUS_NO_HEALTHY ||
              status == COMMY_STATUS_BUSY || status == COMMY_STATUS_CIRCUIT_OPEN,
          "%d: %s", (int)status, commy_last_error_message());
    uint64_t token;
    if (status == COMMY_STATUS_SUCCESS && from == mesh && below(random, 2) &&
        commy_service_begin(from, target->reference, &token) == COMMY_STATUS_SUCCESS)
        commy_service_end(from, token, below(random, 1000), below(random, 8) > 0);
    if (status == COMMY_STATUS_SUCCESS)
        judge(RIGHT,
              (target->status == COMMY_HEALTH_HEALTHY || target->status == COMMY_HEALTH_DEGRADED) &&
                  strcmp(target->endpoint, name) == 0,
              "%s of status %d for %s", target->endpoint, (int)target->status, name);
    return status;
}

/* An instance's endpoint is its name. */
static commy_status_t enroll(const char *name, const char *id, uint64_t *reference)
{
    static const char *const tags[] = {"all"};
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = name,
                                           .service_id = id,
                                           .endpoint = name,
                                           .tags = tags,
                                           .tag_count = 1,
                                           .port = 80};
    return commy_service_register(mesh, &config, reference);
}

static void change(uint64_t *random)
{
    char id[32], name[16];
    snprintf(id, sizeof id, "id-%u", below(random, IDS));
    snprintf(name, sizeof name, "name-%u", below(random, NAMES));
    switch (below(random, 7)) {
    case 6:
        commy_service_reset_breaker(mesh, id);
        break;
    case 0:
        commy_service_unregister(mesh, id);
        break;
    case 1:
        commy_service_set_weight(mesh, id, below(random, 3));
        break;
    case 2:
        commy_service_set_health(mesh, id, (int32_t)below(random, 4));
        break;
    case 3:
        commy_service_set_admin(mesh, id, (int32_t)below(random, 3));
        break;
    default:
        enroll(name, id, NULL);
    }
}

/* A third of the requests fail. */
static void report(const commy_target_t *target, uint64_t *random)
{
    uint64_t token;
    if (below(random, 2))
        commy_service_report(mesh, target->reference, 1000, below(random, 3) != 0);
    else if (commy_service_begin(mesh, target->reference, &token) == COMMY_STATUS_SUCCESS)
        judge(ALLOWED, commy_service_end(mesh, token, 1000, below(random, 3) != 0) == COMMY_STATUS_SUCCESS, "%s",
              commy_last_error_message());
}

/* Whether one instance is among those that are selected now. */
static bool comes(const char *name, uint64_t reference, uint64_t *random)
{
    commy_target_t target;
    for (int i = 0; i < 40; i++)
        if (select_from(below(random, 2) ? mesh : reader, name, random, &target) == COMMY_STATUS_SUCCESS &&
            target.reference == reference)
            return true;
    return false;
}

/* One instance among others, which only this thread changes. */
static void shut_one(uint32_t number, uint64_t *random)
{
    char id[32], name[16];
    uint64_t reference;
    snprintf(id, sizeof id, "shut-%u", number);
    snprintf(name, sizeof name, "name-%u", below(random, NAMES));
    if (enroll(name, id, &reference) != COMMY_STATUS_SUCCESS)
        return;
    comes(name, reference, random);
    commy_service_set_admin(mesh, id, COMMY_ADMIN_DRAINING);
    judge(SHUT, !comes(name, reference, random), "%s is draining", id);
    commy_service_set_admin(mesh, id, COMMY_ADMIN_ENABLED);
    commy_service_set_health(mesh, id, COMMY_HEALTH_UNHEALTHY);
    judge(SHUT, !comes(name, reference, random), "%s is unhealthy", id);
    commy_service_set_health(mesh, id, COMMY_HEALTH_DEGRADED);
    comes(name, reference, random);
    commy_service_unregister(mesh, id);
    judge(SHUT, !comes(name, reference, random), "%s is gone", id);
}

/* The only instance of a name of its own. */
static void open_one(uint32_t number, uint64_t *random)
{
    char name[32];
    uint64_t reference;
    commy_target_t target;
    snprintf(name, sizeof name, "own-%u", number);
    judge(OPEN, enroll(name, name, &reference) == COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    for (int i = 0; i < 20; i++) {
        commy_mesh_t *from = below(random, 2) ? mesh : reader;
        judge(OPEN, select_from(from, name, random, &target) == COMMY_STATUS_SUCCESS && target.reference == reference,
              "%s: %s", name, commy_last_error_message());
        commy_service_set_admin(mesh, name, COMMY_ADMIN_MAINTENANCE);
        judge(SHUT, select_from(from, name, random, &target) == COMMY_STATUS_NO_HEALTHY, "%s in maintenance", name);
        commy_service_set_admin(mesh, name, COMMY_ADMIN_ENABLED);
    }
    commy_service_unregister(mesh, name);
    judge(SHUT, select_from(mesh, name, random, &target) == COMMY_STATUS_NOT_FOUND, "%s is gone", name);
}

static void *work(void *argument)
{
    uint32_t number = (uint32_t)(uintptr_t)argument;
    uint64_t random = number * 7919u + 1;
    commy_target_t target;
    char name[16];
    while (!atomic_load(&over)) {
        commy_mesh_t *from = below(&random, 2) ? mesh : reader;
        switch (below(&random, 32)) {
        case 0:
            shut_one(number, &random);
            break;
        case 1:
            open_one(number, &random);
            break;
        case 2:
        case 3:
        case 4:
        case 5:
            snprintf(name, sizeof name, "loner-%u", below(&random, LONERS));
            judge(OPEN, select_from(from, name, &random, &target) == COMMY_STATUS_SUCCESS, "%s: %s", name,
                  commy_last_error_message());
            break;
        case 6:
        case 7:
        case 8:
            change(&random);
            break;
        default:
            if (below(&random, 4) == 0)
                strcpy(name, "crowd");
            else
                snprintf(name, sizeof name, "name-%u", below(&random, NAMES));
            if (select_from(from, name, &random, &target) == COMMY_STATUS_SUCCESS)
                report(&target, &random);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    pthread_t thread[THREADS];
    char name[16];
    test_begin((unsigned)seconds + 100);
    mesh = attach_or_exit(4096, COMMY_OPEN_MUST_NOT_EXIST, "mesh");
    reader = attach_or_exit(0, COMMY_OPEN_READ_ONLY, "reader");
    const commy_breaker_config_t config = {.size = sizeof config,
                                           .enabled = 1,
                                           .consecutive_failures = 3,
                                           .failure_percent = 60,
                                           .minimum_requests = 5,
                                           .most_ejected_percent = 70,
                                           .open_ms = 1,
                                           .longest_open_ms = 100};
    if (commy_mesh_set_breaker(mesh, &config) != COMMY_STATUS_SUCCESS)
        return 2;
    for (uint32_t i = 0; i < LONERS; i++) {
        snprintf(name, sizeof name, "loner-%u", i);
        if (enroll(name, name, NULL) != COMMY_STATUS_SUCCESS)
            return 2;
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        snprintf(name, sizeof name, "crowd-%u", i);
        if (enroll("crowd", name, NULL) != COMMY_STATUS_SUCCESS)
            return 2;
    }
    for (uint32_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i) != 0)
            return 2;
    sleep_us((uint64_t)(seconds * 1e6));
    atomic_store(&over, true);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    hold(&sound, is_clean(mesh), "when all is quiet");
    commy_mesh_detach(&mesh);
    hold(&sound, is_clean(reader), "when all have left");
    commy_mesh_detach(&reader);
    printf("%" PRIu64 " selections in %.0f s\n", atomic_load(&calls), seconds);
    static property_t all[PROPERTIES + 1] = {
        {"every selection comes to a code that it may come to", 0, 0},
        {"what is selected is an instance of the name, healthy or degraded", 0, 0},
        {"what was drained, was made unhealthy or is gone is not selected any more", 0, 0},
        {"what was registered or enabled again is selected", 0, 0},
    };
    for (int i = 0; i < PROPERTIES; i++) {
        all[i].looked = atomic_load(&looked[i]);
        all[i].violated = atomic_load(&violated[i]);
    }
    all[PROPERTIES] = sound;
    return verdict(all, sizeof all / sizeof all[0]);
}
