/*
 * What others do while a victim is stopped: one of every operation there is, each of which must come to its end, with the
 * code that what can be seen before it calls for, and with the effect that the code tells of. Nobody else is at work, so
 * nothing is left to chance: a service that is found can be changed, one that is not found is refused, an id is given to
 * whoever asks where nobody has it or shows its holder, and a region is full only where no record is free or a dead
 * owner's. BUSY is never right: a bound of retries that is reached while nobody is at work means waiting for the victim.
 */
#include "kill.h"

#include <poll.h>
#include <sys/socket.h>

const char *const operations[] = {
    "find",      "discover", "get",  "register", "unregister", "register the subject's id", "set", "metadata",
    "heartbeat", "report",   "wait", "reap",     "statistics", "unregister the subject",
};
const size_t operations_count = sizeof operations / sizeof operations[0];
enum {
    FIND,
    DISCOVER,
    GET,
    REGISTER,
    UNREGISTER,
    REGISTER_SUBJECT,
    SET,
    METADATA,
    HEARTBEAT,
    REPORT,
    WAIT,
    REAP,
    STATISTICS,
    UNREGISTER_SUBJECT
};
_Static_assert(sizeof operations / sizeof operations[0] == UNREGISTER_SUBJECT + 1, "a name for each");

/* Why an operation is not what it must be: one that says what failed, and for codes what was told. */
static bool refuse(const char **why, const char *what)
{
    static char sentence[512];
    snprintf(sentence, sizeof sentence, "%s (last error: %s)", what, commy_last_error_message());
    *why = sentence;
    return false;
}
#define MUST(holds, what) ((holds) || refuse(why, (what)))
#define IS(call, code) MUST((call) == COMMY_STATUS_##code, #call " is not " #code)

static bool is_found(const commy_mesh_t *mesh, const char *id)
{
    commy_target_t target;
    return commy_service_find(mesh, id, &target) == COMMY_STATUS_SUCCESS;
}

static uint64_t version_of(const commy_mesh_t *mesh, const others_t *others)
{
    uint64_t version = 0;
    commy_mesh_wait(mesh, others->call->config->service_name, 0, 0, &version);
    return version;
}

/* Whether a record is free, or will be for whoever needs it. */
static bool has_room(const commy_mesh_t *mesh)
{
    const cmy_region_t *region = mesh->region;
    for (uint32_t i = 0; cmy_region_holds(region, CMY_SERVICES, i); i++) {
        const cmy_service_shm_t *service = cmy_service_at(region, i);
        uint64_t state = cmy_load64_relaxed(&service->state);
        uint32_t owner = cmy_state_owner(state);
        if (cmy_state_phase(state) == CMY_FREE ||
            (owner == CMY_NOBODY && !cmy_service_visible(region, service, state)) ||
            (owner != CMY_NOBODY && !cmy_life_alive(region, owner)))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------- looking */

static bool finds(const commy_mesh_t *mesh, const others_t *others, const char **why)
{
    commy_target_t target;
    const char *ids[2] = {others->call->config->service_id, "nobody"};
    commy_target_t targets[2];
    int32_t codes[2];
    commy_status_t one = commy_service_find(mesh, ids[0], &target);
    commy_service_find_many(mesh, ids, 2, targets, codes);
    return MUST(one == COMMY_STATUS_SUCCESS || one == COMMY_STATUS_NOT_FOUND, "a find ends with another code") &&
           MUST(codes[0] == (int32_t)one, "a find of many says something else") &&
           MUST(codes[1] == COMMY_STATUS_NOT_FOUND, "nobody is found");
}

static bool discovers(const commy_mesh_t *mesh, const others_t *others, const char **why)
{
    commy_service_info_t info[2];
    size_t discovered, counted;
    return IS(commy_name_discover(mesh, others->call->config->service_name, info, 2, &discovered), SUCCESS) &&
           IS(commy_name_count(mesh, others->call->config->service_name, &counted), SUCCESS) &&
           MUST(discovered == counted, "discovering and counting differ");
}

static bool gets(const commy_mesh_t *mesh, const others_t *others, const char **why)
{
    const char *id = others->call->config->service_id;
    commy_service_info_t info;
    char text[64];
    size_t bytes;
    if (!is_found(mesh, id))
        return IS(commy_service_get(mesh, id, &info), NOT_FOUND) &&
               IS(commy_service_metadata(mesh, id, text, sizeof text, &bytes), NOT_FOUND);
    return IS(commy_service_get(mesh, id, &info), SUCCESS) &&
           IS(commy_service_metadata(mesh, id, text, sizeof text, &bytes), SUCCESS) &&
           MUST(bytes == info.metadata_bytes, "the metadata has another length");
}

static bool waits(const commy_mesh_t *mesh, const others_t *others, const char **why)
{
    uint64_t version = 0;
    const char *name = others->turn % 2 ? others->call->config->service_name : NULL;
    return IS(commy_mesh_wait(mesh, name, 0, 0, &version), SUCCESS) &&
           IS(commy_mesh_wait(mesh, name, version, 0, &version), TIMED_OUT);
}

static bool sums_up(const commy_mesh_t *mesh, const char **why)
{
    commy_mesh_stats_t stats;
    commy_participant_t participants[SLOTS_WATCHED];
    commy_iterator_t iterator;
    commy_view_t view;
    size_t count;
    if (!IS(commy_mesh_stats(mesh, &stats), SUCCESS) ||
        !IS(commy_mesh_participants(mesh, participants, SLOTS_WATCHED, &count), SUCCESS) ||
        !IS(commy_iterate_all(mesh, &iterator), SUCCESS))
        return false;
    while (commy_iterate_next(mesh, &iterator, &view))
        ;
    return true;
}

/* ------------------------------------------------------------------ changing */

/* Registers, if there is nothing against it; `mine`: it did. */
static bool registers(commy_mesh_t *mesh, const others_t *others, const char *id, bool *mine, const char **why)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = others->call->config->service_name,
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .metadata = others->turn % 2 ? small_text : NULL,
                                           .ttl_ms = 3600000,
                                           .port = 7070};
    bool was = is_found(mesh, id), room = has_room(mesh);
    uint64_t version = version_of(mesh, others);
    commy_status_t status = commy_service_register(mesh, &config, NULL);
    bool is = is_found(mesh, id);
    *mine = status == COMMY_STATUS_SUCCESS;
    switch (status) {
    case COMMY_STATUS_SUCCESS:
        return MUST(!was, "an id is given away that is found") && MUST(is, "what was registered is not found") &&
               MUST(version_of(mesh, others) != version, "registering is not announced");
    case COMMY_STATUS_EXISTS:
        return MUST(is, "an id is refused as held, and nobody shows it");
    case COMMY_STATUS_FULL:
        return MUST(!room, "a region with room is full") && MUST(!is, "an id that is held is refused for want of room");
    default:
        return refuse(why, "registering ends with another code");
    }
}

static bool unregisters(commy_mesh_t *mesh, const others_t *others, const char *id, const char **why)
{
    if (!is_found(mesh, id))
        return IS(commy_service_unregister(mesh, id), NOT_FOUND);
    uint64_t version = version_of(mesh, others);
    return IS(commy_service_unregister(mesh, id), SUCCESS) &&
           MUST(!is_found(mesh, id), "what was unregistered is found") &&
           MUST(version_of(mesh, others) != version, "unregistering is not announced");
}

/* A service to change: B's, or where it has none the subject. Null where that is not found either. */
static const char *target_of(const commy_mesh_t *mesh, const others_t *others, uint64_t *reference)
{
    const char *const ids[2] = {"other", others->call->config->service_id};
    commy_target_t target;
    for (int i = 0; i < 2; i++)
        if (commy_service_find(mesh, ids[i], &target) == COMMY_STATUS_SUCCESS) {
            *reference = target.reference;
            return ids[i];
        }
    return NULL;
}

static bool sets(commy_mesh_t *mesh, const others_t *others, const char *id, const char **why)
{
    commy_service_info_t info;
    uint32_t weight = others->turn % 1000;
    int32_t health = (int32_t)(others->turn % 4), admin = (int32_t)(others->turn % 3);
    uint64_t version;
    return IS(commy_mesh_wait(mesh, NULL, 0, 0, &version), SUCCESS) &&
           IS(commy_service_set_weight(mesh, id, weight), SUCCESS) &&
           IS(commy_service_set_health(mesh, id, health), SUCCESS) &&
           IS(commy_service_set_admin(mesh, id, admin), SUCCESS) && IS(commy_service_get(mesh, id, &info), SUCCESS) &&
           MUST(info.weight == weight && info.admin == admin, "what was set is not there") &&
           IS(commy_mesh_wait(mesh, NULL, version, 0, &version), SUCCESS);
}

static bool writes(commy_mesh_t *mesh, const others_t *others, const char *id, const char **why)
{
    static char is[COMMY_LIMIT_METADATA_BYTES + 1];
    const char *text = others->turn % 2 ? new_text : large_text;
    size_t bytes = 0;
    return IS(commy_service_set_metadata(mesh, id, text), SUCCESS) &&
           IS(commy_service_metadata(mesh, id, is, sizeof is, &bytes), SUCCESS) &&
           MUST(bytes == strlen(text) && memcmp(is, text, bytes) == 0, "metadata is not what was set");
}

static bool reports(commy_mesh_t *mesh, const char *id, uint64_t reference, const char **why)
{
    commy_service_stats_t before, after;
    uint64_t token = 0;
    return IS(commy_service_stats(mesh, id, &before), SUCCESS) &&
           IS(commy_service_report(mesh, reference, 1000, true), SUCCESS) &&
           IS(commy_service_stats(mesh, id, &after), SUCCESS) &&
           MUST(after.total_requests == before.total_requests + 1, "a report is not counted once") &&
           IS(commy_service_begin(mesh, reference, &token), SUCCESS) &&
           IS(commy_service_stats(mesh, id, &after), SUCCESS) &&
           MUST(after.in_flight == before.in_flight + 1, "a request is not in flight once") &&
           IS(commy_service_end(mesh, token, 1000, true), SUCCESS) &&
           IS(commy_service_stats(mesh, id, &after), SUCCESS) &&
           MUST(after.in_flight == before.in_flight && after.total_requests == before.total_requests + 2,
                "a request that ended is not counted once, or still in flight");
}

/* One of those that change a service. */
static bool changes(commy_mesh_t *mesh, const others_t *others, size_t operation, const char **why)
{
    uint64_t reference = 0;
    const char *id = target_of(mesh, others, &reference);
    if (!id)
        return IS(commy_service_heartbeat(mesh, others->call->config->service_id), NOT_FOUND);
    switch (operation) {
    case SET:
        return sets(mesh, others, id, why);
    case METADATA:
        return writes(mesh, others, id, why);
    case HEARTBEAT:
        return IS(commy_service_heartbeat(mesh, id), SUCCESS);
    default:
        return reports(mesh, id, reference, why);
    }
}

bool other_operation(commy_mesh_t *mesh, others_t *others, size_t operation, const char **why)
{
    const char *subject = others->call->config->service_id;
    bool mine = false;
    others->turn++;
    switch (operation) {
    case FIND:
        return finds(mesh, others, why);
    case DISCOVER:
        return discovers(mesh, others, why);
    case GET:
        return gets(mesh, others, why);
    case REGISTER:
        return registers(mesh, others, "passer-by", &mine, why);
    case UNREGISTER:
        return unregisters(mesh, others, "passer-by", why);
    case REGISTER_SUBJECT:
        return registers(mesh, others, subject, &mine, why) && (!mine || unregisters(mesh, others, subject, why));
    case WAIT:
        return waits(mesh, others, why);
    case REAP:
        return IS(commy_mesh_reap(mesh, NULL), SUCCESS);
    case STATISTICS:
        return sums_up(mesh, why);
    case UNREGISTER_SUBJECT: /* once, or nobody would meet the subject afterwards */
        return !others->last || unregisters(mesh, others, subject, why);
    default:
        return changes(mesh, others, operation, why);
    }
}

/*
 * Puts the subject's id where another stood: the service in the lowest committed cell of the subject's window goes, and the
 * subject's id is registered and kept. Whoever looked through the window before sees the same bits after.
 */
bool other_swaps(commy_mesh_t *mesh, others_t *others, const char **why)
{
    const cmy_region_t *region = mesh->region;
    const char *subject = others->call->config->service_id;
    cmy_key_t key;
    commy_service_info_t info;
    bool mine;
    cmy_key_make(&key, region->seed, subject, strlen(subject));
    cmy_index_line_shm_t *home = &region->ids[cmy_index_home(key.hash, region->layout.id_lines)];
    uint32_t committed = (uint32_t)(cmy_load64_relaxed(&home->word) & CMY_MAP_MASK);
    if (committed == 0 || is_found(mesh, subject))
        return true;
    uint32_t cell = cmy_load32_relaxed(cmy_window_cell(home, (uint32_t)__builtin_ctz(committed)));
    uint32_t record = (cell & CMY_CELL_RECORD_MASK) - 1;
    uint64_t state = cmy_load64_relaxed(&cmy_service_at(region, record)->state);
    if (!cmy_service_visible(region, cmy_service_at(region, record), state))
        return true; /* the dead's */
    cmy_service_copy_info(region, record, state, &info);
    return IS(commy_service_unregister(mesh, info.id), SUCCESS) && registers(mesh, others, subject, &mine, why);
}

/* -------------------------------------------------------------- another process */

/*
 * What needs a keeper or a file, and so a real region: attaching, joining, leaving, detaching, creating, removing; and, if
 * it is wanted, a death, so that whoever reaps next has something to reap. A process of its own does that, when it is told
 * to, so that nothing of it stays behind in this one, of which victims are forked.
 */
static pid_t helper;
static int to_helper[2]; /* a pair of sockets: ours, its */

typedef struct answer {
    bool good;
    char why[512];
} answer_t;

#define PATIENCE_MS 30000

static bool lives_and_leaves(const world_t *world, const char **why)
{
    const commy_open_options_t options = {.size = sizeof options,
                                          .flags = COMMY_OPEN_MUST_EXIST,
                                          .dir = world->dir,
                                          .mesh = world->name,
                                          .capacity = world->capacity};
    commy_mesh_t *mesh;
    if (!IS(commy_mesh_attach(&options, &mesh), SUCCESS))
        return false;
    bool good = IS(commy_mesh_join(mesh, "passer-by", 1), SUCCESS) && IS(commy_mesh_leave(mesh), SUCCESS) &&
                IS(commy_mesh_create(&options), EXISTS) && IS(commy_mesh_remove(&options, false), BUSY);
    commy_mesh_detach(&mesh);
    return good;
}

/* A process joins, registers if it can, and is killed. */
static void die(const world_t *world)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = "mortals",
                                           .service_id = "mortal",
                                           .endpoint = "127.0.0.1",
                                           .metadata = small_text,
                                           .port = 6060};
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        commy_mesh_t *mesh = attach_to(world->dir, world->name, COMMY_OPEN_MUST_EXIST);
        commy_mesh_join(mesh, "mortal", 2);
        commy_service_register(mesh, &config, NULL);
        raise(SIGKILL);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

#define WITH_DEATH 2u /* besides the world's number */

static void help(void)
{
    unsigned char number;
    signal(SIGALRM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(to_helper[1], &number, 1) == 1) {
        answer_t answer = {0};
        const char *why = "";
        answer.good = lives_and_leaves(&worlds[number & 1], &why);
        if (number & WITH_DEATH)
            die(&worlds[number & 1]);
        snprintf(answer.why, sizeof answer.why, "%s", why);
        if (write(to_helper[1], &answer, sizeof answer) != sizeof answer)
            break;
    }
    _exit(1);
}

void helper_begin(void)
{
    fflush(stdout);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, to_helper) != 0 || (helper = fork()) < 0) {
        perror("the helper");
        exit(2);
    }
    if (helper == 0)
        help();
}

void helper_end(void)
{
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    close(to_helper[0]);
    close(to_helper[1]);
}

bool other_lifecycle(const world_t *world, bool death, const char **why)
{
    static answer_t answer;
    unsigned char number = (unsigned char)((world - worlds) | (death ? WITH_DEATH : 0));
    struct pollfd ready = {.fd = to_helper[0], .events = POLLIN};
    if (write(to_helper[0], &number, 1) == 1 && poll(&ready, 1, PATIENCE_MS) == 1 &&
        read(to_helper[0], &answer, sizeof answer) == sizeof answer) {
        *why = answer.why;
        return answer.good;
    }
    helper_end();
    helper_begin();
    return refuse(why, "another process does not come to its end");
}
