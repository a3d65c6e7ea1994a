/*
 * kill -9 of an owner, again and again: the first lookup after waitpid() returns nothing of it, its ids can be taken at
 * once, and no round leaves a ghost, a record or a participant behind.
 *
 * Usage: death [ROUNDS [SEED]]                    1,000 rounds, some ten seconds
 *
 * In each round a victim joins, registers services of several names, with and without metadata and statistics, takes an
 * id over from somebody who lives and one whose lease has ended, and is killed at a random moment: while it joins, while
 * it registers, idle, or in the middle of changing what it has. An observer, which is joined and so reaps too, looks one
 * of the victim's ids up all the time and notes when it missed it first. The parent reaps in some rounds; in others the
 * keepers have to.
 */
#include "acceptance.h"

#include "registry/mesh.h"

#define CAPACITY 256u
#define NAMES 12u
#define EXTRA 8u /* ids of the victim besides "victim" */
#define SETTLE_NS 3000000000ull

enum { JOINING, READY, KILLED };

/* Between the parent, the victim and the observer. */
static struct board {
    _Atomic uint32_t round;      /* the observer looks for the victim of this round */
    _Atomic uint32_t seen, gone; /* the last round in which it was found, and missed after that */
    _Atomic uint64_t missed_ns;
    _Atomic uint64_t reference; /* of the id that is observed */
    _Atomic uint64_t looks, ghosts;
    _Atomic uint32_t stage;   /* of the victim */
    _Atomic uint32_t refused; /* calls of the victim that failed and should not have */
} * board;

static property_t unseen = {"the first lookup after waitpid() finds nothing of the dead", 0, 0};
static property_t unlisted = {"discovering and walking find nothing of the dead", 0, 0};
static property_t no_ghost = {"who looks all the time never finds it again once it was missed", 0, 0};
static property_t id_free = {"every id of the dead can be registered at once", 0, 0};
static property_t no_record = {"no record, block or participant stays behind", 0, 0};
static property_t sound = {"the audit finds nothing", 0, 0};
static property_t unhurt = {"what the living own stays", 0, 0};
static property_t worked = {"a victim's own calls succeed", 0, 0};
static property_t observed = {"the observer missed every victim that it had found", 0, 0};

static commy_service_config_t config_of(const char *name, const char *id)
{
    return (commy_service_config_t){.size = sizeof(commy_service_config_t),
                                    .service_name = name,
                                    .service_id = id,
                                    .endpoint = "127.0.0.1",
                                    .port = 8080};
}

/* ------------------------------------------------------------------------ victim */

static void must(commy_status_t status, const char *what)
{
    if (status == COMMY_STATUS_SUCCESS)
        return;
    atomic_fetch_add(&board->refused, 1);
    printf("  victim: %s: %s\n", what, commy_last_error_message());
}

static void extra_id(char *id, uint32_t i)
{
    snprintf(id, 48, i % 2 ? "extra-%u" : "extra-%u-with-an-id-that-lies-in-the-cold-half", i);
}

/* Registers extra service i under any name, with any metadata and some requests. */
static void put_extra(commy_mesh_t *mesh, uint32_t i, uint64_t *random)
{
    static char text[4097];
    char id[48], name[16];
    uint64_t reference;
    extra_id(id, i);
    snprintf(name, sizeof name, "name-%u", below(random, NAMES));
    commy_service_config_t config = config_of(name, id);
    uint32_t bytes = (uint32_t[]){0, 100, 496, 3000}[below(random, 4)];
    memset(text, 'm', bytes);
    text[bytes] = '\0';
    config.metadata = text;
    config.ttl_ms = below(random, 3) == 0 ? 60000 : 0;
    must(commy_service_register(mesh, &config, &reference), "register");
    if (below(random, 2))
        must(commy_service_report(mesh, reference, 1000, true), "report");
}

/* An id that somebody living holds, and one that was left detached: both are the victim's in the end. */
static void take_over(commy_mesh_t *mesh, uint64_t *random)
{
    const commy_service_config_t shared = config_of("taken", "taken-over");
    if (commy_service_register(mesh, &shared, NULL) != COMMY_STATUS_EXISTS)
        must(commy_last_error(), "an id that the parent holds was given away");
    must(commy_service_unregister(mesh, "taken-over"), "unregister");
    must(commy_service_register(mesh, &shared, NULL), "take over");

    commy_service_config_t loose = config_of("taken", "loose");
    loose.flags = COMMY_SERVICE_DETACHED;
    loose.ttl_ms = 1 + below(random, 3);
    commy_status_t status = commy_service_register(mesh, &loose, NULL);
    if (status != COMMY_STATUS_EXISTS) /* the last victim's may not have expired yet */
        must(status, "register detached");
    const commy_service_config_t owned = config_of("taken", "loose");
    uint64_t began = now_ns();
    while ((status = commy_service_register(mesh, &owned, NULL)) == COMMY_STATUS_EXISTS)
        if (now_ns() - began > SETTLE_NS)
            break;
    must(status, "take over from a lease that ended");
}

static void change_something(commy_mesh_t *mesh, uint64_t *random)
{
    char id[48];
    uint32_t i = below(random, EXTRA);
    extra_id(id, i);
    switch (below(random, 6)) {
    case 0:
        must(commy_service_set_metadata(mesh, id, below(random, 2) ? "other" : NULL), "metadata");
        break;
    case 1:
        must(commy_service_set_weight(mesh, id, below(random, 1000)), "weight");
        break;
    case 2:
        must(commy_service_heartbeat(mesh, id), "heartbeat");
        break;
    default:
        must(commy_service_unregister(mesh, id), "unregister");
        put_extra(mesh, i, random);
    }
}

typedef struct fate {
    uint64_t random;
    bool takes_over, churns;
} fate_t;

static void be_victim(void *argument)
{
    fate_t fate = *(const fate_t *)argument;
    uint64_t reference;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "victim");
    const commy_service_config_t config = config_of("observed", "victim");
    must(commy_service_register(mesh, &config, &reference), "register");
    for (uint32_t i = 0; i < EXTRA; i++)
        put_extra(mesh, i, &fate.random);
    if (fate.takes_over)
        take_over(mesh, &fate.random);
    atomic_store(&board->reference, reference);
    atomic_store(&board->stage, READY);
    while (fate.churns)
        change_something(mesh, &fate.random);
    for (;;)
        pause();
}

/* ---------------------------------------------------------------------- observer */

static void observe(void *argument)
{
    (void)argument;
    commy_target_t target;
    uint32_t done = 0;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "observer");
    if (commy_mesh_join(mesh, NULL, 0) != COMMY_STATUS_SUCCESS)
        exit(2);
    for (;;) {
        uint32_t round = atomic_load_explicit(&board->round, memory_order_acquire);
        bool found = commy_service_find(mesh, "victim", &target) == COMMY_STATUS_SUCCESS;
        uint64_t now = now_ns();
        atomic_fetch_add_explicit(&board->looks, 1, memory_order_relaxed);
        if (round == 0)
            continue;
        bool is_victim = found && target.reference == atomic_load(&board->reference);
        if (round == done) {
            if (is_victim && atomic_load(&board->round) == round)
                atomic_fetch_add(&board->ghosts, 1);
        } else if (is_victim) {
            atomic_store(&board->seen, round);
        } else if (atomic_load(&board->seen) == round) {
            atomic_store(&board->missed_ns, now);
            atomic_store_explicit(&board->gone, round, memory_order_release);
            done = round;
        }
    }
}

/* ------------------------------------------------------------------------ parent */

static bool wait_until(const _Atomic uint32_t *word, uint32_t value)
{
    uint64_t began = now_ns();
    while (atomic_load(word) != value) {
        if (now_ns() - began > SETTLE_NS)
            return false;
        sleep_us(20);
    }
    return true;
}

/* How much a walk over everything, and one over each name, gives of the dead process. */
static void look_for(const commy_mesh_t *mesh, pid_t dead)
{
    static commy_service_info_t list[CAPACITY];
    commy_iterator_t walk;
    commy_view_t view;
    commy_service_info_t info;
    char name[16];
    size_t count, ghosts = 0;
    commy_iterate_all(mesh, &walk);
    while (commy_iterate_next(mesh, &walk, &view))
        ghosts += commy_view_info(mesh, &view, &info) == COMMY_STATUS_SUCCESS && info.owner_pid == (uint32_t)dead;
    for (uint32_t i = 0; i < NAMES + 2; i++) {
        snprintf(name, sizeof name, "name-%u", i);
        commy_name_discover(mesh, i == NAMES ? "observed" : i > NAMES ? "taken" : name, list, CAPACITY, &count);
        for (size_t k = 0; k < count; k++)
            ghosts += list[k].owner_pid == (uint32_t)dead;
    }
    hold(&unlisted, ghosts == 0, "%zu times", ghosts);
}

/* Takes every id that the dead may have had, and gives it back. */
static void take_ids(commy_mesh_t *mesh)
{
    char id[48];
    for (uint32_t i = 0; i <= EXTRA; i++) {
        if (i == EXTRA)
            strcpy(id, "victim");
        else
            extra_id(id, i);
        const commy_service_config_t config = config_of("heir", id);
        bool taken = commy_service_register(mesh, &config, NULL) == COMMY_STATUS_SUCCESS;
        if (hold(&id_free, taken, "%s: %s", id, commy_last_error_message()))
            hold(&unhurt, commy_service_unregister(mesh, id) == COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    }
}

/* "taken-over" is the parent's, or was the victim's, or nobody's where the victim died between the two. */
static void take_back(commy_mesh_t *mesh)
{
    const commy_service_config_t config = config_of("taken", "taken-over");
    commy_target_t target;
    if (commy_service_find(mesh, "taken-over", &target) == COMMY_STATUS_NOT_FOUND)
        hold(&id_free, commy_service_register(mesh, &config, NULL) == COMMY_STATUS_SUCCESS, "%s",
             commy_last_error_message());
}

/* What is in use when nobody but the living has anything: "taken-over" and "own", which has requests and metadata. */
static bool is_settled(const commy_mesh_t *mesh, char *why, size_t room)
{
    static const uint32_t wanted[CMY_SLABS] = {[CMY_SERVICES] = 2, [CMY_STATS] = 1, [CMY_SMALL_TEXTS] = 1};
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        uint32_t used = 0, moving = 0, records = cmy_region_reserved_again(mesh->region, (cmy_slab_kind_t)kind);
        for (uint32_t i = 0; i < records; i++) {
            uint64_t state = cmy_load64_acquire(cmy_state_at(mesh->region, (cmy_slab_kind_t)kind, i));
            used += cmy_state_phase(state) != CMY_FREE;
            moving += cmy_state_phase(state) != CMY_FREE && cmy_state_phase(state) != CMY_LIVE;
        }
        /* Groups and lines outlive their members; a few names need a few of them. */
        bool kept = kind == CMY_GROUPS || kind == CMY_LINES;
        snprintf(why, room, "slab %d has %u records in use, %u of them on their way", kind, used, moving);
        if (moving > 0 || (kept ? used > NAMES + 4 : used != wanted[kind]))
            return false;
    }
    size_t participants;
    commy_mesh_participants(mesh, NULL, 0, &participants);
    snprintf(why, room, "%zu participants", participants);
    return participants == 2;
}

static void settle(commy_mesh_t *mesh, bool reap)
{
    char why[128];
    uint64_t began = now_ns();
    bool settled = false;
    while (!settled && now_ns() - began < SETTLE_NS) {
        if (reap)
            commy_mesh_reap(mesh, NULL);
        settled = is_settled(mesh, why, sizeof why);
        if (!settled && !reap)
            sleep_us(1000);
    }
    hold(&no_record, settled, "%s", why);
}

static void check_own(const commy_mesh_t *mesh)
{
    char text[16];
    commy_service_stats_t stats;
    hold(&unhurt,
         commy_service_metadata(mesh, "own", text, sizeof text, NULL) == COMMY_STATUS_SUCCESS &&
             strcmp(text, "of the living") == 0 && commy_service_stats(mesh, "own", &stats) == COMMY_STATUS_SUCCESS &&
             stats.total_requests == 1,
         "%s", commy_last_error_message());
}

/* One death. Returns nanoseconds from the signal to the observer's first miss, 0 where it was not to observe. */
static uint64_t play(commy_mesh_t *mesh, uint32_t round, uint64_t *random)
{
    commy_target_t target;
    fate_t fate = {.random = chance(random) | 1, .takes_over = below(random, 3) == 0, .churns = below(random, 3) != 0};
    bool early = below(random, 4) == 0;
    atomic_store(&board->stage, JOINING);
    pid_t victim = start_process(be_victim, &fate);
    if (!early) {
        wait_until(&board->stage, READY);
        atomic_store_explicit(&board->round, round, memory_order_release);
        hold(&observed, wait_until(&board->seen, round), "it was never found");
    }
    sleep_us(below(random, early ? 3000 : 1500));

    uint64_t signalled = now_ns();
    kill(victim, SIGKILL);
    end_process(victim, false);
    commy_status_t first = commy_service_find(mesh, "victim", &target);
    hold(&unseen, first == COMMY_STATUS_NOT_FOUND, "round %u: code %d", round, (int)first);
    look_for(mesh, victim);
    uint64_t took = 0;
    if (!early && hold(&observed, wait_until(&board->gone, round), "round %u: it is found on and on", round))
        took = atomic_load(&board->missed_ns) - signalled;
    atomic_store(&board->stage, KILLED);

    bool reap = below(random, 8) != 0, take_first = below(random, 2);
    if (take_first)
        take_ids(mesh);
    take_back(mesh);
    settle(mesh, reap);
    if (!take_first)
        take_ids(mesh);
    hold(&sound, is_clean(mesh), "round %u", round);
    check_own(mesh);
    atomic_store(&board->round, 0);
    return took;
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000;
    uint64_t random = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 0x9e3779b97f4a7c15u, reference;
    test_begin(60 + rounds / 4);
    board = share(sizeof *board);
    uint64_t *took = calloc(rounds + 1, sizeof *took);
    size_t observations = 0;

    commy_mesh_t *mesh = attach_or_exit(CAPACITY, 0, "parent");
    commy_service_config_t config = config_of("living", "own");
    config.metadata = "of the living";
    if (!took || commy_service_register(mesh, &config, &reference) != COMMY_STATUS_SUCCESS ||
        commy_service_report(mesh, reference, 1, true) != COMMY_STATUS_SUCCESS)
        return 2;
    config = config_of("taken", "taken-over");
    if (commy_service_register(mesh, &config, NULL) != COMMY_STATUS_SUCCESS)
        return 2;
    pid_t observer = start_process(observe, NULL);
    uint64_t began = now_ns();
    /* What stays behind stays for good, and costs every round its time. */
    for (uint32_t round = 1; round <= rounds && no_record.violated < SHOWN_VIOLATIONS; round++) {
        uint64_t one = play(mesh, round, &random);
        if (one > 0)
            took[observations++] = one;
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    hold(&no_ghost, atomic_load(&board->ghosts) == 0, "%" PRIu64 " times", atomic_load(&board->ghosts));
    hold(&worked, atomic_load(&board->refused) == 0, "%u calls were refused", atomic_load(&board->refused));
    end_process(observer, true);
    commy_mesh_detach(&mesh);

    qsort(took, observations, sizeof *took, compare_u64);
    printf("%u rounds in %.1f s; %zu deaths were observed by one who looked %" PRIu64 " times\n", rounds, seconds,
           observations, atomic_load(&board->looks));
    printf("from the signal to the first miss: median %.1f us, 99th percentile %.1f us, at most %.1f us\n",
           (double)quantile(took, observations, 0.5) / 1e3, (double)quantile(took, observations, 0.99) / 1e3,
           (double)quantile(took, observations, 1) / 1e3);
    free(took);
    const property_t all[] = {unseen, unlisted, no_ghost, id_free, no_record, sound, unhurt, worked, observed};
    return verdict(all, sizeof all / sizeof all[0]);
}
