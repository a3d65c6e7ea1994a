/*
 * The flight recorder.
 *
 * While the war goes on, its rings come round every few milliseconds, and its writers are killed and stopped: so each event
 * that is read must be whole, and say what can have happened; and who is said to have died, must be dead. What has to be
 * there is told at rest, when few write, and nobody dies but whom we kill.
 */
#include "war.h"

#define FRESH 20u              /* services that are registered at rest */
#define ORPHANS 3u             /* services of one who dies then */
#define SLACK_NS 2000000000ull /* a clock may be set, a little */

typedef struct listed {
    commy_event_t event[COMMY_LIMIT_EVENTS];
    size_t count;
} listed_t;

static bool list(const commy_mesh_t *mesh, listed_t *listed)
{
    commy_status_t status = commy_mesh_events(mesh, listed->event, COMMY_LIMIT_EVENTS, &listed->count);
    return war_hold(WAR_CALLS, status == COMMY_STATUS_SUCCESS, "events: %s", commy_last_error_message());
}

/* ---------------------------------------------------------------- what makes sense */

static bool is_a_participants(int32_t kind)
{
    return kind >= COMMY_EVENT_JOINED && kind <= COMMY_EVENT_DIED;
}
static bool is_a_change(int32_t kind)
{
    return kind == COMMY_EVENT_HEALTH || kind == COMMY_EVENT_ADMIN || kind == COMMY_EVENT_CHECK;
}

static bool has_a_reason(const commy_event_t *event)
{
    switch (event->kind) {
    case COMMY_EVENT_UNREGISTERED:
        return event->reason >= COMMY_REASON_OWNER && event->reason <= COMMY_REASON_OWNER_LEFT;
    case COMMY_EVENT_BREAKER_OPENED:
        return event->reason >= COMMY_REASON_FAILURES && event->reason <= COMMY_REASON_PROBE_FAILED;
    case COMMY_EVENT_BREAKER_HALF_OPENED:
        return event->reason == COMMY_REASON_TIME;
    case COMMY_EVENT_BREAKER_CLOSED:
        return event->reason == COMMY_REASON_PROBE_SUCCEEDED || event->reason == COMMY_REASON_RESET ||
               event->reason == COMMY_REASON_SHARE;
    default:
        return event->reason == COMMY_REASON_NONE;
    }
}

static bool is_a_step(const commy_event_t *event)
{
    int32_t most = event->kind == COMMY_EVENT_ADMIN ? COMMY_ADMIN_MAINTENANCE : COMMY_HEALTH_DEGRADED;
    if (!is_a_change(event->kind))
        return event->from == 0 && event->to == 0;
    return event->from != event->to && event->from >= 0 && event->from <= most && event->to >= 0 && event->to <= most;
}

/* A name that something of this war is registered under, or as much of one as fits. */
static bool is_a_name(const char *name)
{
    static const char *const others[] = {"wards", "patients", "peace", "name-", "crowd-"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(name, others[i], strlen(others[i])) == 0)
            return true;
    for (uint32_t i = 0; i < NAMES; i++)
        if (strncmp(name, war_name(i), COMMY_EVENT_TEXT_BYTES - 1) == 0)
            return true;
    return false;
}

/* Under an id of the log: that very id, or as much of it as fits. */
static bool is_an_id(const commy_event_t *event)
{
    static const char *const others[] = {"shared-", "anybodys-", "brink-", "crowd-",  "probe-",
                                         "ward-",   "patient-",  "peace-", "a-peace-"};
    char id[128];
    uint32_t e;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(event->id, others[i], strlen(others[i])) == 0)
            return true;
    if (!war_entry_of(event->id, &e))
        return false;
    war_id(e, id);
    return strncmp(id, event->id, COMMY_EVENT_TEXT_BYTES - 1) == 0 &&
           event->id_cut == (strlen(id) > COMMY_EVENT_TEXT_BYTES - 1);
}

static bool is_whole(const commy_event_t *event, uint64_t now_real_ns)
{
    bool of_service = !is_a_participants(event->kind);
    return event->sequence > 0 && event->kind >= COMMY_EVENT_JOINED && event->kind <= COMMY_EVENT_BREAKER_CLOSED &&
           event->time_ns + SLACK_NS >= war->began_real_ns && event->time_ns <= now_real_ns + SLACK_NS &&
           (event->slot < COMMY_LIMIT_PARTICIPANTS || event->slot == UINT32_MAX) &&
           memchr(event->id, 0, sizeof event->id) != NULL && memchr(event->name, 0, sizeof event->name) != NULL &&
           event->name[0] != '\0' && has_a_reason(event) && is_a_step(event) &&
           (of_service ? is_an_id(event) && is_a_name(event->name) : event->id[0] == '\0');
}

/* The process that had this node id has come to its end, or is about to. */
static bool has_died(const char *node)
{
    unsigned place, epoch;
    int bytes = 0;
    return sscanf(node, "n%u-%u%n", &place, &epoch, &bytes) != 2 || node[bytes] != '\0' || place >= PLACES ||
           atomic_load(&war->place[place].doom) != epoch * 2;
}

/* The process that owned an entry's service. */
static bool is_orphaned(const commy_event_t *event)
{
    uint32_t e;
    if (!war_entry_of(event->id, &e) || event->pid == 0)
        return true;
    const war_place_t *place = &war->place[e / ENTRIES];
    uint32_t doom = atomic_load(&place->doom), pid = (uint32_t)atomic_load(&place->pid);
    return doom % 2 == 1 || pid != event->pid || atomic_load(&place->doom) != doom;
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t x = ((const commy_event_t *)a)->sequence, y = ((const commy_event_t *)b)->sequence;
    return (x > y) - (x < y);
}

void war_audit_events(const commy_mesh_t *mesh)
{
    static listed_t listed;
    if (!list(mesh, &listed))
        return;
    uint64_t now = war_real_ns();
    for (size_t i = 0; i < listed.count; i++) {
        const commy_event_t *event = &listed.event[i];
        war_hold(WAR_EVENTS, is_whole(event, now) && (i == 0 || event[-1].time_ns <= event->time_ns),
                 "event %" PRIu64 ": kind %d, reason %d, %d to %d, slot %u, id %.48s, name %.48s", event->sequence,
                 (int)event->kind, (int)event->reason, (int)event->from, (int)event->to, event->slot, event->id,
                 event->name);
        if (event->kind == COMMY_EVENT_DIED)
            war_hold(WAR_OBITUARY, has_died(event->name), "%s lives", event->name);
        if (event->kind == COMMY_EVENT_OWNER_DIED)
            war_hold(WAR_OBITUARY, is_orphaned(event), "process %u lives, who owned %s", event->pid, event->id);
    }
    qsort(listed.event, listed.count, sizeof listed.event[0], by_sequence);
    for (size_t i = 1; i < listed.count; i++)
        war_hold(WAR_EVENTS, listed.event[i - 1].sequence != listed.event[i].sequence, "event %" PRIu64 " comes twice",
                 listed.event[i].sequence);
}

/* ---------------------------------------------------------------------- at rest */

/* How often the recorder tells of that; id: as much of it as fits. A process that was reaped meanwhile is not known. */
static uint32_t told(const listed_t *listed, int32_t kind, const char *id, const char *name, uint32_t pid)
{
    uint32_t times = 0;
    for (size_t i = 0; i < listed->count; i++) {
        const commy_event_t *event = &listed->event[i];
        times += event->kind == kind && strncmp(event->id, id, COMMY_EVENT_TEXT_BYTES - 1) == 0 &&
                 strcmp(event->name, name) == 0 &&
                 (event->pid == pid || (event->pid == 0 && kind == COMMY_EVENT_OWNER_DIED));
    }
    return times;
}

/* Half of them have ids that an event has no room for. */
static void fresh_id(uint32_t i, char id[128])
{
    snprintf(id, 128, i % 2 ? "peace-%d-%u" : "a-peace-%d-%u-with-an-id-that-no-event-has-room-for", (int)getpid(), i);
}

static void register_in_peace(commy_mesh_t *mesh, const char *id)
{
    const commy_service_config_t config = {
        .size = sizeof config, .service_name = "peace", .service_id = id, .endpoint = "peace", .port = 1};
    war_called(commy_service_register(mesh, &config, NULL), "register in peace", 0);
}

static void expect_fresh(commy_mesh_t *mesh)
{
    static listed_t listed;
    char id[128];
    uint32_t pid = (uint32_t)getpid();
    for (uint32_t i = 0; i < FRESH; i++) {
        fresh_id(i, id);
        register_in_peace(mesh, id);
        war_called(commy_service_set_health(mesh, id, COMMY_HEALTH_DEGRADED), "set health in peace", i);
        war_called(commy_service_set_admin(mesh, id, COMMY_ADMIN_DRAINING), "drain in peace", i);
        if (i % 3)
            war_called(commy_service_unregister(mesh, id), "unregister in peace", i);
    }
    if (!list(mesh, &listed))
        return;
    for (uint32_t i = 0; i < FRESH; i++) {
        fresh_id(i, id);
        uint32_t came = told(&listed, COMMY_EVENT_REGISTERED, id, "peace", pid);
        uint32_t went = told(&listed, COMMY_EVENT_UNREGISTERED, id, "peace", pid);
        uint32_t health = told(&listed, COMMY_EVENT_HEALTH, id, "peace", pid);
        uint32_t admin = told(&listed, COMMY_EVENT_ADMIN, id, "peace", pid);
        war_hold(WAR_RECORDED, came == 1 && went == (i % 3 != 0) && health == 1 && admin == 1,
                 "%s: registered %u times, set %u, drained %u, unregistered %u times", id, came, health, admin, went);
        if (i % 3 == 0)
            war_called(commy_service_unregister(mesh, id), "unregister in peace", i);
    }
}

static void orphan_id(uint32_t parent, uint32_t i, char id[128])
{
    snprintf(id, 128, "peace-orphan-%u-%u", parent, i);
}

/* One who joins, registers, and is killed. 0: it could not. */
static uint32_t sacrifice(void)
{
    char id[128], byte = 0;
    int ends[2];
    if (pipe(ends) != 0)
        return 0;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const commy_open_options_t options = {
            .size = sizeof options, .flags = COMMY_OPEN_MUST_EXIST, .mesh = "m", .dir = war->dir};
        commy_mesh_t *mesh;
        if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS ||
            !war_called(commy_mesh_join(mesh, "sacrifice", 0), "join in peace", 0))
            _exit(1);
        for (uint32_t i = 0; i < ORPHANS; i++) {
            orphan_id((uint32_t)getpid(), i, id);
            register_in_peace(mesh, id);
        }
        if (write(ends[1], "!", 1) == 1)
            pause();
        _exit(1);
    }
    close(ends[1]);
    bool ready = child > 0 && read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    if (child <= 0)
        return 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return ready ? (uint32_t)child : 0;
}

/* A keeper reaps it within a while, and tells. */
static void expect_death(commy_mesh_t *mesh)
{
    static listed_t listed;
    char id[128];
    uint32_t pid = sacrifice(), died = 0, orphans = 0;
    if (pid == 0)
        return;
    for (uint64_t began = now_ns(); now_ns() - began < war_patience_ns() && (died == 0 || orphans < ORPHANS);
         sleep_us(2000)) {
        if (!list(mesh, &listed))
            return;
        died = told(&listed, COMMY_EVENT_DIED, "", "sacrifice", pid);
        orphans = 0;
        for (uint32_t i = 0; i < ORPHANS; i++) {
            orphan_id(pid, i, id);
            orphans += told(&listed, COMMY_EVENT_OWNER_DIED, id, "peace", pid);
        }
    }
    war_hold(WAR_RECORDED, died == 1 && orphans == ORPHANS,
             "process %u was killed at rest: it died %u times, and left %u services of %u", pid, died, orphans,
             ORPHANS);
}

void war_record_at_rest(war_fighter_t *f)
{
    expect_death(f->mesh);
    expect_fresh(f->mesh);
}
