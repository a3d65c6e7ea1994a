/*
 * Six threads on one region through two handles that write and one that reads: registering, changing, looking up, walking,
 * waiting, reporting, reaping, leaving and joining again, on ids that they fight for and on some of their own. A plain
 * program, made to be run under the thread sanitizer; by itself it counts calls that came to what they never may, and own
 * services that were not what they should be. Ends with an audit.
 *
 * Usage: tsan_registry [SECONDS]           3 seconds
 */
#include <pthread.h>

#include "acceptance.h"

#define THREADS 6u
#define IDS 12u
#define NAMES 4u
#define CAPACITY 256u

static commy_mesh_t *stable, *restless, *reader; /* one thread makes `restless` leave and join again */
static _Atomic bool over;
static _Atomic uint64_t calls, violations;

static property_t allowed = {"every call comes to a code that it may come to", 0, 0};
static property_t own = {"what a thread registered is there, as it registered it, until it takes it away", 0, 0};
static property_t sound = {"the audit finds nothing", 0, 0};
static property_t counted = {"no acknowledged report is lost, none is counted twice", 0, 0};

static _Atomic uint64_t reports, doubts;

static commy_status_t expect(const char *what, commy_status_t status, const char *codes)
{
    char code[16];
    snprintf(code, sizeof code, " %d ", (int)status);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    if (status != COMMY_STATUS_SUCCESS && !strstr(codes, code) &&
        atomic_fetch_add_explicit(&violations, 1, memory_order_relaxed) < SHOWN_VIOLATIONS)
        printf("  %s came to %d: %s\n", what, (int)status, commy_last_error_message());
    return status;
}

static commy_service_config_t draw(uint64_t *random, char *id, char *name, char *text)
{
    static const char *const tags[] = {"one", "two"};
    uint32_t bytes = (uint32_t[]){0, 30, 496, 1200}[below(random, 4)];
    uint32_t number = below(random, IDS);
    snprintf(id, 64, number % 2 ? "id-%u" : "id-%u-that-is-longer-than-the-hot-half-of-it", number);
    snprintf(name, 16, "name-%u", below(random, NAMES));
    memset(text, 't', bytes);
    text[bytes] = '\0';
    return (commy_service_config_t){.size = sizeof(commy_service_config_t),
                                    .service_name = name,
                                    .service_id = id,
                                    .endpoint = below(random, 2) ? "127.0.0.1" : "a-host-with-a-long-name.example.com",
                                    .metadata = text,
                                    .tags = tags,
                                    .tag_count = below(random, 3),
                                    .port = 80};
}

static void change(commy_mesh_t *mesh, uint64_t *random)
{
    char id[64], name[16], text[1300];
    commy_service_config_t config = draw(random, id, name, text);
    switch (below(random, 9)) {
    case 0:
        config.ttl_ms = 1 + below(random, 20);
        config.flags = COMMY_SERVICE_DETACHED;
        expect("register detached", commy_service_register(mesh, &config, NULL), " 6 12 ");
        break;
    case 1:
    case 2:
        config.ttl_ms = below(random, 30);
        expect("register", commy_service_register(mesh, &config, NULL), " 6 12 ");
        break;
    case 3:
    case 4:
        expect("unregister", commy_service_unregister(mesh, id), " 5 12 ");
        break;
    case 5:
        expect("metadata", commy_service_set_metadata(mesh, id, text), " 5 12 ");
        break;
    case 6:
        expect("heartbeat", commy_service_heartbeat(mesh, id), " 5 12 ");
        break;
    case 7:
        expect("weight", commy_service_set_weight(mesh, id, below(random, 100)), " 5 12 ");
        break;
    default:
        expect("health", commy_service_set_health(mesh, id, (int32_t)below(random, 4)), " 5 12 ");
    }
}

static void report(commy_mesh_t *mesh, uint64_t reference)
{
    atomic_fetch_add(&doubts, 1);
    if (expect("report", commy_service_report(mesh, reference, 1000, true), " 5 12 ") == COMMY_STATUS_SUCCESS)
        atomic_fetch_add(&reports, 1);
    else
        atomic_fetch_sub(&doubts, 1);
}

/* Through the handle that leaves now and then, which ends what it has in flight, uncounted; or through the other. */
static void request(commy_mesh_t *mesh, uint64_t reference)
{
    uint64_t token;
    if (expect("begin", commy_service_begin(mesh, reference, &token), " 5 12 ") != COMMY_STATUS_SUCCESS)
        return;
    atomic_fetch_add(&doubts, 1);
    if (expect("end", commy_service_end(mesh, token, 1000, true), mesh == stable ? " " : " 2 12 ") ==
        COMMY_STATUS_SUCCESS)
        atomic_fetch_add(&reports, 1);
    else
        atomic_fetch_sub(&doubts, 1);
    expect("end, twice",
           commy_service_end(mesh, token, 1000, true) == COMMY_STATUS_SUCCESS ? COMMY_STATUS_INTERNAL
                                                                              : COMMY_STATUS_SUCCESS,
           " ");
}

static void look(const commy_mesh_t *mesh, uint64_t *random)
{
    char id[64], name[16], text[1300];
    commy_target_t target;
    commy_service_info_t info;
    size_t bytes;
    draw(random, id, name, text);
    if (expect("find", commy_service_find(mesh, id, &target), " 5 ") == COMMY_STATUS_SUCCESS) {
        report(stable, target.reference);
        request(below(random, 2) ? stable : restless, target.reference);
    }
    expect("get", commy_service_get(mesh, id, &info), " 5 ");
    if (expect("metadata", commy_service_metadata(mesh, id, text, sizeof text, &bytes), " 5 ") == COMMY_STATUS_SUCCESS)
        for (size_t i = 0; i < bytes; i++)
            if (text[i] != 't')
                atomic_fetch_add(&violations, 1);
    commy_service_stats_t stats;
    uint64_t ns;
    expect("statistics", commy_service_stats(mesh, id, &stats), " 5 ");
    expect("latency", commy_service_latency(mesh, id, 0.9, &ns), " 5 ");
}

/* Nobody is at work: each request was ended, by its thread or by a leave. */
static bool none_in_flight(const commy_mesh_t *mesh)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_service_stats_t stats;
    bool none = commy_iterate_all(mesh, &iterator) == COMMY_STATUS_SUCCESS;
    while (commy_iterate_next(mesh, &iterator, &view))
        none = none && commy_service_stats(mesh, view.id, &stats) == COMMY_STATUS_SUCCESS && stats.in_flight == 0;
    return none;
}

static void walk(const commy_mesh_t *mesh, uint64_t *random)
{
    char name[16];
    size_t count;
    commy_iterator_t iterator;
    commy_view_t view;
    commy_target_t target;
    commy_service_info_t list[8];
    commy_mesh_stats_t stats;
    commy_event_t events[16];
    snprintf(name, sizeof name, "name-%u", below(random, NAMES));
    expect("discover", commy_name_discover(mesh, name, list, 8, &count), " ");
    expect("walk", below(random, 2) ? commy_iterate_name(mesh, name, &iterator) : commy_iterate_all(mesh, &iterator),
           " ");
    while (commy_iterate_next(mesh, &iterator, &view))
        if (commy_view_valid(mesh, &view))
            expect("target", commy_view_target(mesh, &view, &target), " 5 ");
    expect("mesh statistics", commy_mesh_stats(mesh, &stats), " ");
    expect("participants", commy_mesh_participants(mesh, NULL, 0, &count), " ");
    expect("events", commy_mesh_events(mesh, events, 16, &count), " ");
}

static void wait_a_little(const commy_mesh_t *mesh, uint64_t *random)
{
    char name[16];
    uint64_t version = 0;
    bool all = below(random, 2);
    snprintf(name, sizeof name, "name-%u", below(random, NAMES));
    expect("version", commy_mesh_wait(mesh, all ? NULL : name, 0, 0, &version), " ");
    expect("wait", commy_mesh_wait(mesh, all ? NULL : name, version, (int32_t)below(random, 20), &version), " 11 24 ");
}

/* A service that nobody else touches, through the handle that stays. */
static uint64_t keep_own(uint32_t number, uint64_t *random, uint64_t *broken)
{
    char id[32], name[16];
    uint64_t reference;
    commy_target_t target;
    snprintf(id, sizeof id, "own-%u", number);
    snprintf(name, sizeof name, "name-%u", below(random, NAMES));
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = name,
                                           .service_id = id,
                                           .endpoint = "own",
                                           .port = (uint16_t)(1 + below(random, 1000))};
    bool good = commy_service_register(stable, &config, &reference) == COMMY_STATUS_SUCCESS;
    for (int i = 0; i < 20 && good; i++) {
        good = commy_service_find(reader, id, &target) == COMMY_STATUS_SUCCESS && target.reference == reference &&
               target.port == config.port && strcmp(target.endpoint, "own") == 0;
        report(stable, reference);
    }
    good = good && commy_service_unregister(stable, id) == COMMY_STATUS_SUCCESS &&
           commy_service_find(reader, id, &target) == COMMY_STATUS_NOT_FOUND;
    *broken += !good;
    return 1;
}

typedef struct thread {
    pthread_t thread;
    uint32_t number;
    uint64_t looked, broken;
} thread_t;

static void *work(void *argument)
{
    thread_t *me = argument;
    uint64_t random = me->number * 7919u + 1;
    while (!atomic_load(&over)) {
        commy_mesh_t *mesh = below(&random, 2) ? stable : restless;
        const commy_mesh_t *from = below(&random, 2) ? reader : mesh;
        switch (below(&random, 16)) {
        case 0:
            walk(from, &random);
            break;
        case 1:
            wait_a_little(from, &random);
            break;
        case 2:
            expect("reap", commy_mesh_reap(mesh, NULL), " 12 ");
            break;
        case 3:
            if (me->number == 0) {
                expect("leave", commy_mesh_leave(restless), " ");
                expect("join", commy_mesh_join(restless, "again", 0), " ");
            }
            break;
        case 4:
            me->looked += keep_own(me->number, &random, &me->broken);
            break;
        case 5:
        case 6:
        case 7:
        case 8:
            look(from, &random);
            break;
        default:
            change(mesh, &random);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    thread_t thread[THREADS] = {0};
    commy_mesh_stats_t stats;
    test_begin((unsigned)seconds + 100);
    stable = attach_or_exit(CAPACITY, COMMY_OPEN_MUST_NOT_EXIST, "stable");
    restless = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "restless");
    reader = attach_or_exit(0, COMMY_OPEN_READ_ONLY, "reader");
    for (uint32_t i = 0; i < THREADS; i++) {
        thread[i].number = i;
        if (pthread_create(&thread[i].thread, NULL, work, &thread[i]) != 0)
            return 2;
    }
    for (uint64_t began = now_ns(); (double)(now_ns() - began) < seconds * 1e9;) {
        hold(&sound, is_clean(reader), "while others work");
        sleep_us(200000);
    }
    atomic_store(&over, true);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i].thread, NULL);
        hold(&own, thread[i].looked > 0 && thread[i].broken == 0, "thread %u: %" PRIu64 " of %" PRIu64, i,
             thread[i].broken, thread[i].looked);
    }
    commy_mesh_stats(reader, &stats);
    hold(&counted, stats.successful_requests == atomic_load(&reports) && atomic_load(&doubts) == atomic_load(&reports),
         "%" PRIu64 " of %" PRIu64, stats.successful_requests, atomic_load(&reports));
    hold(&counted, none_in_flight(reader), "requests are in flight when all is quiet");
    hold(&sound, is_clean(stable), "when all is quiet");
    commy_mesh_detach(&restless);
    commy_mesh_detach(&stable);
    hold(&sound, is_clean(reader), "when all have left");
    commy_mesh_detach(&reader);
    hold(&allowed, atomic_load(&violations) == 0, "%" PRIu64 " of %" PRIu64, atomic_load(&violations),
         atomic_load(&calls));
    printf("%" PRIu64 " calls, %" PRIu64 " reports in %.0f s\n", atomic_load(&calls), atomic_load(&reports), seconds);
    const property_t all[] = {allowed, own, counted, sound};
    return verdict(all, sizeof all / sizeof all[0]);
}
