/*
 * Queries make no system call and write nothing to shared memory.
 *
 * Usage: quiet [REPEATS]                   10,000 of each query in each way to be attached, a few seconds
 *        quiet --added-getpid [REPEATS]    adds one getpid() to each run of a query; must fail
 *
 * A process attaches (writing but not joined, joined, read-only) and runs every query between two marker calls, writes to
 * descriptors that cannot be; its tracer counts what it asks the kernel for in between (ptrace(2), PTRACE_SYSCALL). That
 * the counting works is seen by the same runs with a getpid() added: each must then count exactly one.
 *
 * Nothing is written: a read-only mapping would end the process with SIGSEGV, and every byte of the region is the same
 * before and after all queries of an attachment that may write, but for selecting in turn, which counts the turn there.
 */
#include "acceptance.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>

#define CAPACITY 1024u
#define INSTANCES 100u /* of one name: a group and its lines */
#define BEGIN_MARK (-4242)
#define END_MARK (-4243)
#define CASES 40

static property_t silent = {"no query makes a system call", 0, 0};
static property_t counting = {"one added getpid() is counted once in every run", 0, 0};
static property_t answered = {"the queries answered what they should", 0, 0};
static property_t untouched = {"no byte of the region changes while somebody queries who may write", 0, 0};
static property_t unwritable = {"a read-only attachment maps nothing for writing", 0, 0};
static property_t survived = {"every query runs on a read-only mapping", 0, 0};
static property_t no_call_for_time = {"the host tells time without a system call", 0, 0};

static uint32_t repeats = 10000;

/* What a traced process ran, by the order of its marks; what it came to. Shared with the tracer. */
static struct board {
    _Atomic uint32_t cases;
    _Atomic uint32_t wrong;
    char what[CASES][64];
} * board;

/* -------------------------------------------------------------------- queries */

typedef struct queried {
    commy_mesh_t *mesh;
    uint64_t reference;
    commy_view_t view;
} queried_t;

typedef bool query_fn(queried_t *on);

static bool find_hit(queried_t *on)
{
    commy_target_t target;
    return commy_service_find(on->mesh, "many-7", &target) == COMMY_STATUS_SUCCESS && target.port == 8080;
}

static bool find_with_long_id(queried_t *on)
{
    commy_target_t target;
    return commy_service_find(on->mesh, "an-id-that-does-not-fit-into-the-hot-half-of-a-record", &target) == 0;
}

static bool find_miss(queried_t *on)
{
    commy_target_t target;
    return commy_service_find(on->mesh, "nobody", &target) == COMMY_STATUS_NOT_FOUND;
}

static bool find_bad_input(queried_t *on)
{
    commy_target_t target;
    return commy_service_find(on->mesh, "", &target) == COMMY_STATUS_INVALID;
}

static bool find_with_ttl(queried_t *on)
{
    commy_target_t target;
    return commy_service_find(on->mesh, "leased", &target) == COMMY_STATUS_SUCCESS;
}

static bool find_detached(queried_t *on)
{
    commy_target_t target;
    return commy_service_find(on->mesh, "detached", &target) == COMMY_STATUS_SUCCESS;
}

static bool find_many(queried_t *on)
{
    static const char *const ids[] = {"many-1", "many-2", "many-3", "leased", "many-4", "many-5",
                                      "many-6", "many-7", "many-8", "many-9", "own",    "nobody"};
    enum { IDS = sizeof ids / sizeof ids[0] };
    commy_target_t targets[IDS];
    int32_t codes[IDS];
    return commy_service_find_many(on->mesh, ids, IDS, targets, codes) == COMMY_STATUS_NOT_FOUND && codes[0] == 0;
}

static bool get(queried_t *on)
{
    commy_service_info_t info;
    return commy_service_get(on->mesh, "own", &info) == COMMY_STATUS_SUCCESS && info.tag_count == 2;
}

static bool view(queried_t *on)
{
    commy_view_t fresh;
    return commy_service_view(on->mesh, "own", &fresh) == COMMY_STATUS_SUCCESS && commy_view_valid(on->mesh, &fresh);
}

static bool view_again(queried_t *on)
{
    commy_target_t target;
    commy_service_info_t info;
    return commy_view_valid(on->mesh, &on->view) && commy_view_target(on->mesh, &on->view, &target) == 0 &&
           commy_view_info(on->mesh, &on->view, &info) == 0;
}

static bool metadata(queried_t *on)
{
    char text[4097];
    size_t length;
    return commy_service_metadata(on->mesh, "own", text, sizeof text, &length) == 0 && length == 600;
}

static bool count(queried_t *on)
{
    size_t instances;
    return commy_name_count(on->mesh, "many", &instances) == 0 && instances == INSTANCES;
}

static bool discover(queried_t *on)
{
    static commy_service_info_t list[4];
    size_t instances;
    return commy_name_discover(on->mesh, "many", list, 4, &instances) == 0 && instances == INSTANCES;
}

static bool walk_name(queried_t *on)
{
    commy_iterator_t walk;
    commy_view_t each;
    size_t instances = 0;
    commy_iterate_name(on->mesh, "many", &walk);
    while (commy_iterate_next(on->mesh, &walk, &each))
        instances += each.id_bytes > 0;
    return instances == INSTANCES;
}

static bool walk_all(queried_t *on)
{
    commy_iterator_t walk;
    commy_view_t each;
    size_t services = 0;
    commy_iterate_all(on->mesh, &walk);
    while (services < 10 && commy_iterate_next(on->mesh, &walk, &each))
        services++;
    return services == 10;
}

static bool service_stats(queried_t *on)
{
    commy_service_stats_t stats;
    return commy_service_stats(on->mesh, "own", &stats) == 0 && stats.total_requests == 3;
}

static bool mesh_stats(queried_t *on)
{
    commy_mesh_stats_t stats;
    return commy_mesh_stats(on->mesh, &stats) == 0 && stats.total_services == INSTANCES + 4;
}

static bool participants(queried_t *on)
{
    commy_participant_t list[4];
    size_t members;
    return commy_mesh_participants(on->mesh, list, 4, &members) == 0 && members >= 1;
}

static bool events(queried_t *on)
{
    static commy_event_t list[COMMY_LIMIT_EVENTS];
    size_t told;
    return commy_mesh_events(on->mesh, list, COMMY_LIMIT_EVENTS, &told) == 0 && told >= INSTANCES;
}

static bool info(queried_t *on)
{
    commy_mesh_info_t about;
    return commy_mesh_info(on->mesh, &about) == 0 && about.capacity == CAPACITY;
}

static bool version_of_name(queried_t *on)
{
    uint64_t version;
    return commy_mesh_wait(on->mesh, "many", 0, 0, &version) == 0 && version > 0;
}

static bool version_of_mesh(queried_t *on)
{
    uint64_t version;
    return commy_mesh_wait(on->mesh, NULL, 0, 0, &version) == 0 && version > 0;
}

/* By a picker that is there. */
static bool selected(queried_t *on, int32_t policy)
{
    commy_target_t target;
    const commy_select_options_t how = {.size = sizeof how, .policy = policy, .client_id = "me"};
    return commy_service_select(on->mesh, "many", &how, &target) == 0 && target.port == 8080;
}

static bool select_in_turn(queried_t *on)
{
    return selected(on, COMMY_POLICY_ROUND_ROBIN);
}

static bool select_in_turn_by_weight(queried_t *on)
{
    return selected(on, COMMY_POLICY_WEIGHTED_ROUND_ROBIN);
}

static bool select_at_random(queried_t *on)
{
    return selected(on, COMMY_POLICY_RANDOM);
}

static bool select_by_client(queried_t *on)
{
    return selected(on, COMMY_POLICY_CONSISTENT_HASH);
}

static bool select_by_load(queried_t *on)
{
    return selected(on, COMMY_POLICY_LEAST_CONNECTIONS);
}

static bool select_by_latency(queried_t *on)
{
    return selected(on, COMMY_POLICY_PERFORMANCE);
}

static bool select_in_a_zone(queried_t *on)
{
    commy_target_t target;
    const commy_select_options_t how = {
        .size = sizeof how, .flags = COMMY_SELECT_PREFER_ZONE, .zone = "anywhere", .client_id = "me"};
    return commy_service_select(on->mesh, "many", &how, &target) == 0 && target.port == 8080;
}

static bool make_pickers(queried_t *on)
{
    return select_in_turn(on) && select_in_turn_by_weight(on) && select_at_random(on) && select_by_client(on) &&
           select_by_load(on) && select_by_latency(on) && select_in_a_zone(on);
}

static bool only_the_clock(queried_t *on)
{
    (void)on;
    return now_ns() > 0;
}

/* share: of the repeats, for queries that walk over everything. counts: a turn in the region, where it may be written to. */
static const struct {
    query_fn *query;
    const char *what;
    uint32_t share;
    bool counts;
} queries[] = {
    {only_the_clock, "clock_gettime", 1, false},
    {find_hit, "find", 1, false},
    {find_with_long_id, "find by a long id", 1, false},
    {find_miss, "find what is not there", 1, false},
    {find_bad_input, "find by an empty id", 1, false},
    {find_with_ttl, "find with a TTL", 1, false},
    {find_detached, "find a detached service", 1, false},
    {find_many, "find_many", 1, false},
    {get, "get", 1, false},
    {view, "view", 1, false},
    {view_again, "valid, target and info of a view", 1, false},
    {metadata, "metadata", 1, false},
    {count, "count", 1, false},
    {discover, "discover", 1, false},
    {walk_name, "walk over a name", 1, false},
    {walk_all, "walk over all", 1, false},
    {service_stats, "statistics of a service", 1, false},
    {mesh_stats, "statistics of the mesh", 10, false},
    {participants, "participants", 10, false},
    {events, "events", 100, false},
    {info, "info", 1, false},
    {version_of_name, "version of a name", 1, false},
    {version_of_mesh, "version of the mesh", 1, false},
    {select_in_turn, "select in turn", 1, true},
    {select_in_turn_by_weight, "select in turn by weight", 1, true},
    {select_at_random, "select at random", 1, false},
    {select_by_client, "select by a client", 1, false},
    {select_by_load, "select by least connections", 1, false},
    {select_by_latency, "select by latency", 1, false},
    {select_in_a_zone, "select, a zone preferred", 1, false},
};
enum { QUERIES = sizeof queries / sizeof queries[0] };

/* Runs query k as often as wanted; true when every answer was right. */
static bool run(uint32_t k, queried_t *on, bool marks, bool added)
{
    bool right = true;
    uint32_t times = repeats / queries[k].share + 1;
    if (marks)
        syscall(SYS_write, BEGIN_MARK, NULL, 0);
    for (uint32_t i = 0; i < times; i++)
        right &= queries[k].query(on);
    if (added)
        syscall(SYS_getpid);
    if (marks)
        syscall(SYS_write, END_MARK, NULL, 0);
    return right;
}

/* ------------------------------------------------------------------- who is traced */

typedef enum way { ATTACHED, JOINED, READ_ONLY, WAYS } way_t;
static const char *const ways[WAYS] = {"attached", "joined", "read-only"};

typedef struct traced {
    way_t way;
    bool added;
} traced_t;

static void be_traced(void *argument)
{
    const traced_t *how = argument;
    commy_mesh_t *mesh = attach_or_exit(0, how->way == READ_ONLY ? COMMY_OPEN_READ_ONLY : COMMY_OPEN_MUST_EXIST, "q");
    queried_t on = {.mesh = mesh};
    if ((how->way == JOINED && commy_mesh_join(mesh, NULL, 0) != COMMY_STATUS_SUCCESS) ||
        commy_service_view(mesh, "own", &on.view) != COMMY_STATUS_SUCCESS || !make_pickers(&on))
        exit(2);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        perror("ptrace");
        exit(3);
    }
    raise(SIGSTOP);
    for (uint32_t k = 0; k < QUERIES; k++) {
        if (!run(k, &on, true, how->added)) {
            atomic_fetch_add(&board->wrong, 1);
            snprintf(board->what[k], sizeof board->what[k], "%s", queries[k].what);
        }
    }
    commy_mesh_detach(&mesh);
}

/* ---------------------------------------------------------------------- tracing */

/* Counts the calls between each pair of marks; false where the process ended otherwise than it should. */
static bool trace(pid_t child, uint64_t counts[QUERIES])
{
    int status;
    uint32_t k = 0;
    bool inside = false;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return false;
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (int deliver = 0;;) {
        if (ptrace(PTRACE_SYSCALL, child, NULL, deliver) != 0 || waitpid(child, &status, 0) != child)
            return false;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            for (int i = 0; i < PROCESSES; i++)
                if (processes[i] == child)
                    processes[i] = 0;
            return WIFEXITED(status) && WEXITSTATUS(status) == 0 && k == QUERIES;
        }
        deliver = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        struct __ptrace_syscall_info call;
        if (deliver != 0 || ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call) <= 0 ||
            call.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        int64_t descriptor = call.entry.nr == SYS_write ? (int32_t)call.entry.args[0] : 0;
        if (descriptor == BEGIN_MARK) {
            inside = true;
            if (k < QUERIES)
                counts[k] = 0;
        } else if (descriptor == END_MARK) {
            inside = false;
            k++;
        } else if (inside && k < QUERIES) {
            counts[k]++;
        }
    }
}

/* Runs all queries in one way; `added` plants a getpid() in each. */
static void measure(way_t way, bool added, bool print)
{
    uint64_t counts[QUERIES] = {0};
    traced_t how = {way, added};
    memset(board, 0, sizeof *board);
    bool ended = trace(start_process(be_traced, &how), counts);
    hold(way == READ_ONLY ? &survived : &answered, ended, "%s: the process did not come to its end", ways[way]);
    hold(&answered, atomic_load(&board->wrong) == 0, "%s: %u queries", ways[way], atomic_load(&board->wrong));
    for (uint32_t k = 0; k < QUERIES; k++) {
        hold(&answered, board->what[k][0] == '\0', "%s: %s", ways[way], board->what[k]);
        if (print)
            printf("%-10s %6u times %-34s %" PRIu64 " system calls\n", ways[way], repeats / queries[k].share + 1,
                   queries[k].what, counts[k]);
        property_t *property = added ? &counting : k == 0 ? &no_call_for_time : &silent;
        hold(property, counts[k] == added, "%s, %s: %" PRIu64 " calls", ways[way], queries[k].what, counts[k]);
    }
}

/* ------------------------------------------------------------------- the region */

static char *read_region(size_t *bytes)
{
    struct stat st;
    FILE *file = fopen(region_path, "rb");
    if (!file || fstat(fileno(file), &st) != 0)
        return NULL;
    char *copy = malloc((size_t)st.st_size);
    *bytes = copy ? fread(copy, 1, (size_t)st.st_size, file) : 0;
    fclose(file);
    return copy;
}

static void compare_bytes(void)
{
    size_t before_bytes = 0, after_bytes = 0, differ = 0;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "q");
    queried_t on = {.mesh = mesh};
    commy_service_view(mesh, "own", &on.view);
    hold(&answered, make_pickers(&on), "%s", commy_last_error_message());
    char *before = read_region(&before_bytes);
    for (uint32_t k = 0; k < QUERIES; k++)
        hold(&answered, queries[k].counts || run(k, &on, false, false), "%s", queries[k].what);
    char *after = read_region(&after_bytes);
    for (size_t i = 0; before && after && i < before_bytes; i++)
        differ += before[i] != after[i];
    hold(&untouched, before && after && before_bytes == after_bytes && before_bytes > 100000 && differ == 0,
         "%zu of %zu bytes", differ, before_bytes);
    printf("%zu bytes of the region compared\n", before_bytes);
    free(before);
    free(after);
    commy_mesh_detach(&mesh);
}

/* Whether a mapping of the region in this process may be written to. */
static size_t mappings(bool writable)
{
    char line[512];
    size_t found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        found += strstr(line, region_path) && (strchr(line, ' ')[2] == 'w') == writable;
    if (maps)
        fclose(maps);
    return found;
}

static void check_mapping(void)
{
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_READ_ONLY, "q");
    hold(&unwritable, mappings(true) == 0 && mappings(false) > 0, "%zu mappings", mappings(true));
    commy_mesh_detach(&mesh);
    mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "q");
    hold(&unwritable, mappings(true) > 0, "a writable one is not told apart");
    commy_mesh_detach(&mesh);
}

/* ------------------------------------------------------------------------ owner */

static void own(void *argument)
{
    _Atomic uint32_t *ready = argument;
    char id[64], text[601];
    static const char *const tags[] = {"a", "b"};
    uint64_t reference;
    int failures = 0;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "owner");
    commy_service_config_t config = {
        .size = sizeof config, .service_name = "many", .service_id = id, .endpoint = "127.0.0.1", .port = 8080};
    for (uint32_t i = 0; i < INSTANCES; i++) {
        snprintf(id, sizeof id, i == 50 ? "an-id-that-does-not-fit-into-the-hot-half-of-a-record" : "many-%u", i);
        failures += commy_service_register(mesh, &config, NULL) != COMMY_STATUS_SUCCESS;
    }
    memset(text, 'm', 600);
    text[600] = '\0';
    config.service_name = "single";
    config.service_id = "own";
    config.metadata = text;
    config.tags = tags;
    config.tag_count = 2;
    failures += commy_service_register(mesh, &config, &reference) != COMMY_STATUS_SUCCESS;
    for (int i = 0; i < 3; i++)
        failures += commy_service_report(mesh, reference, 1000, i > 0) != COMMY_STATUS_SUCCESS;
    config.service_id = "leased";
    config.ttl_ms = 3600000;
    failures += commy_service_register(mesh, &config, NULL) != COMMY_STATUS_SUCCESS;
    config.service_id = "detached";
    config.flags = COMMY_SERVICE_DETACHED;
    failures += commy_service_register(mesh, &config, NULL) != COMMY_STATUS_SUCCESS;
    config.flags = 0;
    config.service_id = "another";
    config.ttl_ms = 0;
    failures += commy_service_register(mesh, &config, NULL) != COMMY_STATUS_SUCCESS;
    atomic_store(ready, failures == 0 ? 1 : 2);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    bool added = argc > 1 && strcmp(argv[1], "--added-getpid") == 0;
    if (argc > 1 + added)
        repeats = (uint32_t)atoi(argv[1 + added]);
    test_begin(120);
    board = share(sizeof *board);
    _Atomic uint32_t *ready = share(sizeof *ready);
    commy_mesh_t *mesh = attach_or_exit(CAPACITY, COMMY_OPEN_MUST_NOT_EXIST, "maker");
    commy_mesh_detach(&mesh);
    start_process(own, ready);
    while (atomic_load(ready) == 0)
        sleep_us(1000);
    if (atomic_load(ready) != 1)
        return 2;

    for (way_t way = ATTACHED; way < WAYS; way++)
        measure(way, false, !added);
    if (added) { /* as above, but as if somebody had put the call into the library */
        counting.looked++;
        for (way_t way = ATTACHED; way < WAYS; way++) {
            uint64_t counts[QUERIES] = {0};
            traced_t how = {way, true};
            trace(start_process(be_traced, &how), counts);
            for (uint32_t k = 1; k < QUERIES; k++)
                hold(&silent, counts[k] == 0, "%s, %s: %" PRIu64 " calls", ways[way], queries[k].what, counts[k]);
        }
    } else {
        for (way_t way = ATTACHED; way < WAYS; way++)
            measure(way, true, false);
    }
    compare_bytes();
    check_mapping();
    const property_t all[] = {silent, counting, answered, untouched, unwritable, survived, no_call_for_time};
    return verdict(all, sizeof all / sizeof all[0]);
}
