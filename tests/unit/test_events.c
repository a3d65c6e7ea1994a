/*
 * The flight recorder: each change is told with who and why, in the order of time; the newest stay; what reads as whole was
 * written as a whole, whoever was killed, stopped or overtaken.
 */
#include "support_registry.h"

#include <sched.h>
#include <sys/mman.h>

#include "base/text.h"
#include "event/event.h"

TestSuite(events, .init = set_up, .fini = tear_down, .timeout = 60);

static commy_event_t told[COMMY_LIMIT_EVENTS];

/* From here on all that this process does goes to one ring. */
static void stay(void)
{
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    cr_assert_eq(sched_setaffinity(0, sizeof here, &here), 0);
}

static cmy_event_ring_shm_t *ring(void)
{
    return &mesh->region->events[(uint32_t)sched_getcpu() % CMY_EVENT_RINGS];
}

static size_t events_of(const commy_mesh_t *in)
{
    size_t count = 99;
    cr_assert_eq(commy_mesh_events(in, told, COMMY_LIMIT_EVENTS, &count), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    for (size_t i = 1; i < count; i++)
        cr_assert_leq(told[i - 1].time_ns, told[i].time_ns, "oldest first");
    return count;
}

/* The newest event of a kind; null for none. */
static const commy_event_t *last_of(commy_event_kind_t kind)
{
    for (size_t i = events_of(mesh); i-- > 0;)
        if (told[i].kind == (int32_t)kind)
            return &told[i];
    return NULL;
}

/* The same, which is there and speaks of a service and a process. */
static const commy_event_t *expect_event(commy_event_kind_t kind, const char *id, const char *name, pid_t pid)
{
    const commy_event_t *event = last_of(kind);
    cr_assert(event, "nothing %s", commy_event_kind_name(kind));
    cr_assert_str_eq(event->id, id);
    cr_assert_str_eq(event->name, name);
    cr_assert_eq(event->pid, (uint32_t)pid, "process %u, not %d", event->pid, pid);
    cr_assert(!event->id_cut && !event->name_cut);
    return event;
}

/* ------------------------------------------------------------- what is told */

static void own_web_9(commy_mesh_t *own)
{
    add(own, "web", "web-9");
}

Test(events, who_comes_and_goes_is_told)
{
    begin(64);
    cr_assert_eq(events_of(mesh), 0, "a new region knows of nothing");
    cr_assert_eq(commy_mesh_join(mesh, NULL, 0), COMMY_STATUS_SUCCESS);
    cr_assert_eq(expect_event(COMMY_EVENT_JOINED, "", "tester", getpid())->slot, 0);
    pid_t owner = start_owner(own_web_9);
    expect_event(COMMY_EVENT_JOINED, "", "child", owner);
    expect_event(COMMY_EVENT_REGISTERED, "web-9", "web", owner);
    kill_owner(owner);
    cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    cr_assert(EVENTUALLY(last_of(COMMY_EVENT_DIED) != NULL), "the keeper may have been first");
    expect_event(COMMY_EVENT_OWNER_DIED, "web-9", "web", owner);
    expect_event(COMMY_EVENT_DIED, "", "child", owner);
    cr_assert_eq(commy_mesh_leave(mesh), COMMY_STATUS_SUCCESS);
    expect_event(COMMY_EVENT_LEFT, "", "tester", getpid());
    sleep_ms(150);
    cr_assert_str_eq(last_of(COMMY_EVENT_DIED)->name, "child", "who leaves does not die");
}

Test(events, who_leaves_among_others_does_not_die)
{
    begin(64);
    cr_assert_eq(commy_mesh_join(mesh, NULL, 0), COMMY_STATUS_SUCCESS);
    for (int round = 0; round < test_rounds(50); round++) {
        commy_mesh_t *other = attach(0);
        add(other, "web", "web-1");
        commy_mesh_detach(&other); /* whose keeper's end wakes mine, which reaps */
        const commy_event_t *event = expect_event(COMMY_EVENT_UNREGISTERED, "web-1", "web", getpid());
        cr_assert_eq(event->reason, COMMY_REASON_OWNER_LEFT);
    }
    sleep_ms(150);
    cr_assert_null(last_of(COMMY_EVENT_DIED));
}

Test(events, what_was_changed_is_told_with_who_and_why)
{
    begin(64);
    add(mesh, "web", "web-1");
    const commy_event_t *event = expect_event(COMMY_EVENT_REGISTERED, "web-1", "web", getpid());
    cr_assert_eq(event->time_ns, info_of(mesh, "web-1").registered_at_ns);
    cr_assert_eq(commy_service_set_health(mesh, "web-1", COMMY_HEALTH_DEGRADED), COMMY_STATUS_SUCCESS);
    event = expect_event(COMMY_EVENT_HEALTH, "web-1", "web", getpid());
    cr_assert(event->from == COMMY_HEALTH_HEALTHY && event->to == COMMY_HEALTH_DEGRADED && event->reason == 0);
    cr_assert_eq(commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_MAINTENANCE), COMMY_STATUS_SUCCESS);
    event = expect_event(COMMY_EVENT_ADMIN, "web-1", "web", getpid());
    cr_assert(event->from == COMMY_ADMIN_ENABLED && event->to == COMMY_ADMIN_MAINTENANCE);

    size_t before = events_of(mesh);
    cr_assert_eq(commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_MAINTENANCE), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_set_health(mesh, "web-1", COMMY_HEALTH_DEGRADED), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_set_weight(mesh, "web-1", 7), COMMY_STATUS_SUCCESS);
    cr_assert_eq(try_add(mesh, "web", "web-1"), COMMY_STATUS_EXISTS);
    cr_assert_eq(events_of(mesh), before, "what changed nothing is no event, nor is a weight");

    drop(mesh, "web-1");
    cr_assert_eq(expect_event(COMMY_EVENT_UNREGISTERED, "web-1", "web", getpid())->reason, COMMY_REASON_OWNER);
    pid_t owner = start_owner(own_web_9);
    drop(mesh, "web-9");
    cr_assert_eq(expect_event(COMMY_EVENT_UNREGISTERED, "web-9", "web", getpid())->reason, COMMY_REASON_ANOTHER);
    kill_owner(owner);
}

Test(events, leases_that_end_are_told)
{
    begin(64);
    add_with_ttl(mesh, "web", "web-1", 0, 30);
    add_with_ttl(mesh, "web", "web-2", COMMY_SERVICE_DETACHED, 30);
    sleep_ms(40);
    cr_assert_eq(commy_mesh_reap(mesh, NULL), COMMY_STATUS_SUCCESS);
    expect_event(COMMY_EVENT_TTL_MISSED, "web-1", "web", getpid());
    cr_assert_eq(expect_event(COMMY_EVENT_EXPIRED, "web-2", "web", 0)->slot, UINT32_MAX, "nobody's");
    cr_assert_null(last_of(COMMY_EVENT_UNREGISTERED), "it went by itself");
    cr_assert_eq(commy_service_heartbeat(mesh, "web-1"), COMMY_STATUS_SUCCESS);
    expect_event(COMMY_EVENT_TTL_RENEWED, "web-1", "web", getpid());
    size_t before = events_of(mesh);
    cr_assert_eq(commy_service_heartbeat(mesh, "web-1"), COMMY_STATUS_SUCCESS);
    cr_assert_leq(events_of(mesh), before + 1, "a heartbeat in time is no event");
}

Test(events, who_is_no_longer_there_has_nobody_elses_process)
{
    begin(64);
    cr_assert_eq(commy_mesh_join(mesh, NULL, 0), COMMY_STATUS_SUCCESS);
    uint32_t mine = mesh->actor.owner, slot = cmy_owner_slot(mine);
    cr_assert_eq(cmy_event_pid(cmy_event_owner(mesh->region, mine)), (uint32_t)getpid());
    /* Reaped while somebody was about to tell of it: the slot is mine now. */
    uint64_t former = cmy_event_owner(mesh->region, cmy_owner(slot, cmy_owner_incarnation(mine) - 1));
    cr_assert_eq(cmy_event_pid(former), 0);
    cr_assert_eq(cmy_event_slot(former), slot);
    cr_assert_eq(cmy_event_slot(cmy_event_owner(mesh->region, CMY_NOBODY)), UINT32_MAX);
}

Test(events, an_id_taken_from_the_dead_is_told)
{
    begin(64);
    cr_assert_eq(commy_mesh_join(mesh, NULL, 0), COMMY_STATUS_SUCCESS);
    pid_t owner = start_owner(own_web_9);
    kill_owner(owner);
    add(mesh, "web", "web-9"); /* before or after the keeper reaps */
    expect_event(COMMY_EVENT_OWNER_DIED, "web-9", "web", owner);
    expect_event(COMMY_EVENT_REGISTERED, "web-9", "web", getpid());
}

Test(events, long_texts_are_cut_between_characters)
{
    char id[COMMY_LIMIT_ID_BYTES + 1], name[COMMY_LIMIT_NAME_BYTES + 1];
    begin(64);
    for (size_t before = 0; before < 4; before++) { /* letters of three bytes, at each place */
        memset(id, 'i', sizeof id);
        memset(name, 'n', sizeof name);
        for (size_t i = before; i + 3 < sizeof id; i += 3)
            memcpy(id + i, "\xe2\x82\xac", 3);
        id[before + 120] = '\0';
        name[47 + before] = '\0';
        add(mesh, name, id);
        const commy_event_t *event = last_of(COMMY_EVENT_REGISTERED);
        size_t whole = before + (COMMY_EVENT_TEXT_BYTES - 1 - before) / 3 * 3;
        cr_assert_eq(strlen(event->id), whole, "%zu bytes, not %zu", strlen(event->id), whole);
        cr_assert(strncmp(event->id, id, whole) == 0 && event->id_cut);
        cr_assert_eq(strlen(event->name), COMMY_EVENT_TEXT_BYTES - 1);
        cr_assert_eq(event->name_cut, before > 0);
    }
    audit();
}

Test(events, every_kind_and_reason_has_a_word)
{
    for (int32_t kind = COMMY_EVENT_JOINED; kind <= COMMY_EVENT_BREAKER_CLOSED; kind++)
        cr_assert_str_neq(commy_event_kind_name(kind), "unknown");
    for (int32_t reason = COMMY_REASON_OWNER; reason <= COMMY_REASON_SHARE; reason++)
        cr_assert_str_neq(commy_event_reason_name(reason), "unknown");
    cr_assert_str_eq(commy_event_reason_name(COMMY_REASON_NONE), "");
    const int32_t none[] = {INT32_MIN, -1, 0, COMMY_EVENT_BREAKER_CLOSED + 1, 255, INT32_MAX};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        cr_assert_str_eq(commy_event_kind_name(none[i]), "unknown");
    cr_assert_str_eq(commy_event_reason_name(-1), "unknown");
    cr_assert_str_eq(commy_event_reason_name(COMMY_REASON_SHARE + 1), "unknown");
}

/* -------------------------------------------------------------- how many */

static void record(uint64_t number)
{
    const cmy_event_source_t source = {.time_ns = number, .what = cmy_event_deed(COMMY_EVENT_CHECK, (uint32_t)number)};
    cmy_event_record_source(mesh->region, &source);
}

Test(events, the_newest_of_a_ring_stay)
{
    begin(64);
    stay();
    for (uint64_t i = 1; i <= 3 * CMY_EVENT_ENTRIES + 5; i++) {
        record(i);
        size_t kept = i < CMY_EVENT_ENTRIES ? i : CMY_EVENT_ENTRIES;
        cr_assert_eq(events_of(mesh), kept);
        for (size_t j = 0; j < kept; j++)
            cr_assert_eq(told[j].time_ns, i - kept + 1 + j);
    }
    audit();
}

Test(events, who_asks_for_few_gets_the_newest)
{
    size_t count;
    begin(64);
    stay();
    for (uint64_t i = 1; i <= 20; i++)
        record(i);
    cr_assert_eq(commy_mesh_events(mesh, NULL, 0, &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, 20);
    cr_assert_eq(commy_mesh_events(mesh, told, 3, &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, 3);
    cr_assert(told[0].time_ns == 18 && told[1].time_ns == 19 && told[2].time_ns == 20);
    cr_assert(told[0].sequence != told[1].sequence && told[1].sequence != told[2].sequence && told[0].sequence != 0);
    count = 7;
    expect(commy_mesh_events(NULL, told, 3, &count), COMMY_STATUS_INVALID, "mesh is null");
    cr_assert_eq(count, 0);
    expect(commy_mesh_events(mesh, NULL, 3, &count), COMMY_STATUS_INVALID, "out is null");
    expect(commy_mesh_events(mesh, told, 3, NULL), COMMY_STATUS_INVALID, "count is null");
}

Test(events, a_reader_needs_permission_to_read)
{
    size_t count;
    begin(64);
    add(mesh, "web", "web-1");
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    cr_assert_eq(commy_mesh_events(reader, told, COMMY_LIMIT_EVENTS, &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(told[1].id, "web-1");
    commy_mesh_detach(&reader);
}

/* --------------------------------------------------------- torn, overtaken */

Test(events, what_was_torn_anywhere_does_not_read_as_whole)
{
    begin(64);
    stay();
    add(mesh, "web", "web-1"); /* joins, registers */
    cmy_event_shm_t *entry = &ring()->entry[1];
    cr_assert_eq(events_of(mesh), 2);
    unsigned char *bytes = (unsigned char *)entry;
    size_t counted = offsetof(cmy_event_shm_t, id) + 8; /* and a word of the name, which is looked at below */
    for (size_t bit = 0; bit < 8 * counted; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_assert_eq(events_of(mesh), 1, "bit %zu", bit);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    bytes[offsetof(cmy_event_shm_t, name)] ^= 1;
    cr_assert_eq(events_of(mesh), 1);
    bytes[offsetof(cmy_event_shm_t, name)] ^= 1;
    bytes[offsetof(cmy_event_shm_t, id) + 8] ^= 1;
    cr_assert_eq(events_of(mesh), 2, "behind the text stands nothing that counts");
}

Test(events, an_older_event_does_not_pass_for_a_newer_one)
{
    begin(64);
    stay();
    record(1);
    cmy_event_shm_t old = ring()->entry[0];
    for (uint64_t i = 2; i <= CMY_EVENT_ENTRIES + 1; i++)
        record(i);
    cmy_event_shm_t *entry = &ring()->entry[0];
    uint64_t ticket = cmy_load64_relaxed(&entry->ticket);
    *entry = old; /* all that a writer stores that was stopped right behind its claim */
    cmy_store64_relaxed(&entry->ticket, ticket);
    cr_assert_eq(events_of(mesh), CMY_EVENT_ENTRIES - 1);
    audit();
}

/* Two rings may number alike and in one instant: then the rings decide. */
Test(events, those_of_one_instant_are_listed_in_one_order)
{
    begin(64);
    stay();
    record(7);
    cmy_event_ring_shm_t *here = ring(), *rings = mesh->region->events;
    for (uint32_t other = 0; other < CMY_EVENT_RINGS; other++)
        if (&rings[other] != here) {
            memcpy(&rings[other].entry[0], &here->entry[0], sizeof here->entry[0]);
            cmy_store64_relaxed(&rings[other].cursor, 1);
        }
    cr_assert_eq(events_of(mesh), CMY_EVENT_RINGS);
    for (size_t i = 0; i < CMY_EVENT_RINGS; i++)
        cr_assert_eq(told[i].sequence, i + 1);
    audit();
}

Test(events, a_writer_that_was_overtaken_gives_up)
{
    begin(64);
    stay();
    record(1);
    cmy_event_shm_t *entry = &ring()->entry[1];
    uint64_t later = cmy_event_ticket(1 + CMY_EVENT_ENTRIES, true);
    cmy_store64_relaxed(&entry->ticket, later); /* claimed a round later, and not published yet */
    record(2);
    cr_assert_eq(cmy_load64_relaxed(&entry->ticket), later);
    cr_assert_eq(cmy_load64_relaxed(&entry->what), 0, "nothing was written");
    cmy_store64_relaxed(&ring()->cursor, 1 + CMY_EVENT_ENTRIES);
    cmy_store64_relaxed(&entry->ticket, cmy_event_ticket(1, true)); /* a writer that was killed a round before */
    record(3);
    cr_assert_eq(cmy_load64_relaxed(&entry->ticket), cmy_event_ticket(1 + CMY_EVENT_ENTRIES, false));
    audit();
}

Test(events, a_damaged_ring_heals)
{
    uint64_t random = 88172645463325252ull;
    size_t healed = 0;
    begin(64);
    stay();
    for (int round = 0; round < test_rounds(200); round++) {
        cmy_word64_t *words = (cmy_word64_t *)ring();
        for (size_t i = 0; i < sizeof(cmy_event_ring_shm_t) / sizeof *words; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            cmy_store64_relaxed(&words[i], random);
        }
        cr_assert_leq(events_of(mesh), 1u, "random bytes are no events");
        for (uint64_t i = 1; i <= CMY_EVENT_ENTRIES; i++)
            record(i);
        size_t count = events_of(mesh);
        healed += count;
    }
    cr_assert_geq(healed, (size_t)test_rounds(200) * (CMY_EVENT_ENTRIES - 1),
                  "but for a word that names a later round");
}

/* ------------------------------------------------------ many at once */

#define WRITERS 4
#define THREADS 3

/* Every word of it follows from the number. */
static void record_pattern(commy_mesh_t *in, uint64_t number)
{
    cmy_word64_t id[CMY_EVENT_TEXT_WORDS], name[CMY_EVENT_TEXT_WORDS];
    char text[CMY_EVENT_TEXT_BYTES + 1];
    uint32_t id_bytes = (uint32_t)snprintf(text, sizeof text, "id-%0*" PRIu64, (int)(number % 40), number);
    cmy_text_store(id, CMY_EVENT_TEXT_WORDS, text, id_bytes);
    uint32_t name_bytes = (uint32_t)snprintf(text, sizeof text, "name-%0*" PRIu64, (int)(number % 37), number);
    cmy_text_store(name, CMY_EVENT_TEXT_WORDS, text, name_bytes);
    const cmy_event_source_t source = {
        .time_ns = number,
        .what = cmy_event_deed(COMMY_EVENT_HEALTH, (uint32_t)number) | cmy_event_doer(number % 1024, number % 99999),
        .id = id,
        .name = name,
        .id_bytes = id_bytes,
        .name_bytes = name_bytes,
    };
    cmy_event_record_source(in->region, &source);
}

static void expect_pattern(const commy_event_t *event)
{
    char id[64], name[64];
    uint64_t number = event->time_ns;
    snprintf(id, sizeof id, "id-%0*" PRIu64, (int)(number % 40), number);
    snprintf(name, sizeof name, "name-%0*" PRIu64, (int)(number % 37), number);
    cr_assert_str_eq(event->id, id);
    cr_assert_str_eq(event->name, name);
    cr_assert_eq(event->slot, number % 1024);
    cr_assert_eq(event->pid, number % 99999);
    cr_assert_eq((uint32_t)event->from << 4 | (uint32_t)event->to, (uint32_t)number & 0xff);
}

/* Shared by all processes. */
static struct board {
    _Atomic uint64_t next;
    _Atomic bool enough;
} * board;
static commy_mesh_t *writers_mesh;

static void *write_on(void *unused)
{
    (void)unused;
    while (!atomic_load(&board->enough))
        record_pattern(writers_mesh, atomic_fetch_add(&board->next, 1));
    return NULL;
}

static void write_for_ever(commy_mesh_t *own)
{
    pthread_t thread;
    writers_mesh = own;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread, NULL, write_on, NULL);
}

static uint64_t look_at_all(void)
{
    uint64_t looked_at = 0;
    for (size_t i = events_of(mesh); i-- > 0;)
        if (told[i].kind == COMMY_EVENT_HEALTH)
            expect_pattern(&told[i]), looked_at++;
    return looked_at;
}

static void signal_all(const pid_t *writer, int number)
{
    for (int i = 0; i < WRITERS; i++)
        cr_assert_eq(kill(writer[i], number), 0);
    if (number != SIGSTOP)
        return;
    for (int i = 0; i < WRITERS; i++)
        cr_assert_eq(waitpid(writer[i], NULL, WUNTRACED), writer[i]);
}

/* Brings each ring round. */
static void overtake_all(void)
{
    cpu_set_t before, here;
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        CPU_ZERO(&here);
        CPU_SET(cpu, &here);
        if (!CPU_ISSET(cpu, &before) || sched_setaffinity(0, sizeof here, &here) != 0)
            continue;
        for (uint32_t i = 0; i < CMY_EVENT_ENTRIES; i++)
            record_pattern(mesh, atomic_fetch_add(&board->next, 1));
    }
    cr_assert_eq(sched_setaffinity(0, sizeof before, &before), 0);
}

Test(events, what_is_read_is_what_was_written)
{
    pid_t writer[WRITERS];
    uint64_t looked_at = 0;
    begin(64);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_store(&board->next, 1);
    for (int round = 0; round < test_rounds(40); round++) {
        atomic_store(&board->enough, false);
        for (int i = 0; i < WRITERS; i++)
            writer[i] = start_owner(write_for_ever);
        for (uint64_t until = now_ms() + 40; now_ms() < until;)
            looked_at += look_at_all();
        if (round % 2 == 0) { /* stopped wherever they are, overtaken, and let go on to the end of that event */
            signal_all(writer, SIGSTOP);
            atomic_store(&board->enough, true);
            overtake_all();
            signal_all(writer, SIGCONT);
            sleep_ms(10);
            looked_at += look_at_all();
        }
        for (int i = 0; i < WRITERS; i++)
            kill_owner(writer[i]); /* in every other round in the midst of it */
        looked_at += look_at_all();
        audit();
    }
    cr_assert_gt(looked_at, 1000u, "too few were seen");
}
