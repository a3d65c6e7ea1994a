/*
 * A million services: four processes register them under 100,000 names, every record is verified through every query,
 * `commy ls --json` prints all of them, what they cost in memory is printed; then one process is killed, and the others
 * leave.
 *
 * Usage: million [SERVICES [PROCESSES]]     1,000,000 services, 4 processes: a minute at most, 1.7 GB of /dev/shm
 *
 * COMMY_TOOL in the environment names the command; without it that part is skipped, and says so.
 */
#include "acceptance.h"

#include <sys/statvfs.h>

#define PER_NAME 10u
#define MOST_PROCESSES 8u
#define GOAL_BYTES 1280.0 /* a service, without statistics */
#define MANY 50000u       /* from here on it counts */
#define BYTES_NEEDED 1700.0

static property_t registered = {"every registration succeeds", 0, 0};
static property_t found = {"every id is found, with the right contents", 0, 0};
static property_t discovered = {"every name gives exactly its ten services", 0, 0};
static property_t listed = {"`commy ls --json` prints every id exactly once", 0, 0};
static property_t counted = {"the mesh counts them all", 0, 0};
static property_t cheap = {"a service costs no more than the goal", 0, 0};
static property_t reported = {"every report is counted for its service and for the mesh", 0, 0};
static property_t buried = {"all that the killed process had is gone at once, and only that", 0, 0};
static property_t empty = {"nothing is left when all have left", 0, 0};
static property_t sound = {"the audit finds nothing", 0, 0};

static uint32_t services = 1000000, workers = 4;

static struct board {
    _Atomic uint32_t stage; /* 0 register, 1 report, 2 leave */
    _Atomic uint32_t ready, failures;
} * board;

/* -------------------------------------------------- what a service looks like, by its number */

static uint32_t name_count(void)
{
    return (services + PER_NAME - 1) / PER_NAME;
}

/* Instances of a name are far apart, and belong to different processes. */
static uint32_t name_of(uint32_t i)
{
    return i % name_count();
}

static uint32_t worker_of(uint32_t i)
{
    return (i / 7) % workers;
}

static void write_id(char *id, uint32_t i)
{
    snprintf(id, 64, i % 16 ? "service-%07u-of-%06u" : "service-%07u-of-%06u-with-a-rather-long-id", i, name_of(i));
}

static void write_name(char *name, uint32_t n)
{
    snprintf(name, 64, "com.example.name-%06u", n);
}

typedef struct attributes {
    char id[64], name[64], endpoint[64], version[32], zone[32];
    uint32_t weight, tag_count;
    uint16_t port;
} attributes_t;

static const char *const tags[] = {"blue", "canary", "spot"};

static void write_attributes(attributes_t *a, uint32_t i)
{
    write_id(a->id, i);
    write_name(a->name, name_of(i));
    snprintf(a->endpoint, sizeof a->endpoint, i % 5 ? "10.%u.%u.%u" : "host-%u-%u-%u.some.domain.example.com", i >> 16,
             i >> 8 & 255, i & 255);
    snprintf(a->version, sizeof a->version, i % 2 ? "%u.%u.0" : "v%u", i % 9, i % 7);
    snprintf(a->zone, sizeof a->zone, "%.*s", (int)(i % 3 * 6), "a-zone-of-twelve");
    a->weight = 1 + i % 1000;
    a->tag_count = i % 4;
    a->port = (uint16_t)(1 + i % 65535);
}

static bool is_right(const commy_service_info_t *info, uint32_t i)
{
    attributes_t a;
    write_attributes(&a, i);
    bool right = strcmp(info->id, a.id) == 0 && strcmp(info->name, a.name) == 0 &&
                 strcmp(info->endpoint, a.endpoint) == 0 && strcmp(info->version, a.version) == 0 &&
                 strcmp(info->zone, a.zone) == 0 && info->weight == a.weight && info->tag_count == a.tag_count &&
                 info->port == a.port && info->metadata_bytes == 0 && info->status == COMMY_HEALTH_HEALTHY;
    for (uint32_t t = 0; right && t < a.tag_count; t++)
        right = strcmp(info->tags[t], tags[t]) == 0;
    return right;
}

/* The number in an id of ours; UINT32_MAX where it is none. */
static uint32_t number_of(const char *id)
{
    char wanted[64];
    unsigned i;
    if (sscanf(id, "service-%7u", &i) != 1 || i >= services)
        return UINT32_MAX;
    write_id(wanted, i);
    return strncmp(id, wanted, strlen(wanted)) == 0 ? i : UINT32_MAX;
}

/* ------------------------------------------------------------------------ workers */

static void fail(const char *what)
{
    if (atomic_fetch_add(&board->failures, 1) < SHOWN_VIOLATIONS)
        printf("  %s: %s\n", what, commy_last_error_message());
}

static void await(uint32_t stage)
{
    atomic_fetch_add(&board->ready, 1);
    while (atomic_load(&board->stage) < stage)
        sleep_us(2000);
}

static void work(void *argument)
{
    uint32_t me = (uint32_t)(uintptr_t)argument;
    attributes_t a;
    uint64_t *references = calloc(services, sizeof *references);
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "worker");
    if (!references)
        exit(2);
    for (uint32_t i = 0; i < services; i++) {
        if (worker_of(i) != me)
            continue;
        write_attributes(&a, i);
        const commy_service_config_t config = {.size = sizeof config,
                                               .service_name = a.name,
                                               .service_id = a.id,
                                               .endpoint = a.endpoint,
                                               .version = a.version,
                                               .zone = a.zone,
                                               .tags = tags,
                                               .tag_count = a.tag_count,
                                               .weight = a.weight,
                                               .port = a.port};
        if (commy_service_register(mesh, &config, &references[i]) != COMMY_STATUS_SUCCESS)
            fail(a.id);
    }
    await(1);
    for (uint32_t i = 0; i < services; i++)
        if (references[i] != 0 &&
            commy_service_report(mesh, references[i], 1000000, i % 10 != 0) != COMMY_STATUS_SUCCESS)
            fail("report");
    await(2);
    commy_mesh_detach(&mesh);
    free(references);
}

static void move_on(uint32_t stage)
{
    atomic_store(&board->ready, 0);
    atomic_store(&board->stage, stage);
}

static void await_workers(void)
{
    while (atomic_load(&board->ready) < workers)
        sleep_us(1000);
}

/* ------------------------------------------------------------------------- checks */

static double seconds_since(uint64_t began)
{
    return (double)(now_ns() - began) / 1e9;
}

static void check_ids(const commy_mesh_t *mesh)
{
    attributes_t a;
    commy_target_t target;
    commy_service_info_t info;
    for (uint32_t i = 0; i < services; i++) {
        write_attributes(&a, i);
        bool there = commy_service_find(mesh, a.id, &target) == COMMY_STATUS_SUCCESS &&
                     commy_service_get(mesh, a.id, &info) == COMMY_STATUS_SUCCESS;
        hold(&found,
             there && is_right(&info, i) && target.port == a.port && target.weight == a.weight &&
                 strcmp(target.endpoint, a.endpoint) == 0,
             "%s: %s", a.id, there ? "other contents" : commy_last_error_message());
    }
}

static void check_names(const commy_mesh_t *mesh)
{
    commy_service_info_t list[PER_NAME + 1];
    char name[64];
    for (uint32_t n = 0; n < name_count(); n++) {
        uint32_t wanted = (services - n + name_count() - 1) / name_count(), seen = 0;
        size_t count;
        write_name(name, n);
        commy_status_t status = commy_name_discover(mesh, name, list, PER_NAME + 1, &count);
        for (size_t k = 0; k < count && k <= PER_NAME; k++) {
            uint32_t i = number_of(list[k].id);
            if (i != UINT32_MAX && name_of(i) == n && is_right(&list[k], i))
                seen |= 1u << (i / name_count());
        }
        hold(&discovered, status == COMMY_STATUS_SUCCESS && count == wanted && seen == (1u << wanted) - 1,
             "%s gives %zu, of which 0x%x are its own", name, count, seen);
    }
}

/* Reads what the command prints, whatever its layout, and picks out the value of each "id". */
static bool count_listed(FILE *output, uint8_t *times)
{
    static const char key[] = "\"id\"";
    char id[160];
    size_t matched = 0, length = 0;
    enum { SEEK, COLON, QUOTE, VALUE } at = SEEK;
    bool strange = false;
    for (int c; (c = getc_unlocked(output)) != EOF;) {
        switch (at) {
        case SEEK:
            matched = c == key[matched] ? matched + 1 : c == key[0];
            if (matched == sizeof key - 1) {
                matched = 0;
                at = COLON;
            }
            break;
        case COLON:
            if (c == ':')
                at = QUOTE;
            else if (c != ' ')
                at = SEEK;
            break;
        case QUOTE:
            if (c == '"') {
                length = 0;
                at = VALUE;
            }
            break;
        case VALUE:
            if (c != '"' && length < sizeof id - 1) {
                id[length++] = (char)c;
                break;
            }
            id[length] = '\0';
            at = SEEK;
            uint32_t i = number_of(id);
            if (i == UINT32_MAX)
                strange = true;
            else if (times[i] < 255)
                times[i]++;
        }
    }
    return !strange;
}

static void check_command(void)
{
    char command[512];
    const char *tool = getenv("COMMY_TOOL");
    uint32_t wrong = 0;
    if (!tool || !*tool) {
        printf("skipped: `commy ls --json` (COMMY_TOOL names no command)\n");
        return;
    }
    uint8_t *times = calloc(services, 1);
    snprintf(command, sizeof command, "'%s' --dir '%s' --mesh m --json ls", tool, test_dir);
    uint64_t began = now_ns();
    FILE *output = times ? popen(command, "r") : NULL;
    bool known = output && count_listed(output, times);
    int status = output ? pclose(output) : -1;
    for (uint32_t i = 0; times && i < services; i++)
        wrong += times[i] != 1;
    hold(&listed, known && status == 0 && wrong == 0, "status 0x%x, %u ids missing or printed twice%s",
         (unsigned)status, wrong, known ? "" : ", and others");
    printf("commy ls --json printed %u services in %.1f s\n", services - wrong, seconds_since(began));
    free(times);
}

static double backed_bytes(void)
{
    struct stat st;
    return stat(region_path, &st) == 0 ? (double)st.st_blocks * 512 : 0;
}

/* Prints the memory behind the region, by the file system and by the library. */
static double print_memory(const commy_mesh_t *mesh, const char *when)
{
    commy_mesh_info_t info;
    commy_mesh_info(mesh, &info);
    double bytes = backed_bytes();
    printf("%s: %.1f MB backed, %.1f MB reserved, of which %.1f MB for statistics\n", when, bytes / 1e6,
           (double)info.reserved_bytes / 1e6, (double)info.statistics_bytes / 1e6);
    return bytes;
}

static void check_statistics(const commy_mesh_t *mesh)
{
    char id[64];
    commy_service_stats_t stats;
    commy_mesh_stats_t all;
    for (uint32_t i = 0; i < services; i++) {
        write_id(id, i);
        bool there = commy_service_stats(mesh, id, &stats) == COMMY_STATUS_SUCCESS;
        hold(&reported, there && stats.total_requests == 1 && stats.failed_requests == (i % 10 == 0), "%s", id);
    }
    commy_mesh_stats(mesh, &all);
    hold(&reported, all.total_requests == services && all.failed_requests == (services + 9) / 10, "%" PRIu64,
         all.total_requests);
}

/* ------------------------------------------------------------------------- phases */

static void kill_one(commy_mesh_t *mesh, pid_t *worker)
{
    char id[64];
    commy_target_t target;
    commy_mesh_stats_t stats;
    uint32_t left = 0;
    uint64_t began = now_ns();
    end_process(worker[0], true);
    for (uint32_t i = 0; i < services; i++) {
        bool wanted = worker_of(i) != 0;
        write_id(id, i);
        left += wanted;
        hold(&buried, (commy_service_find(mesh, id, &target) == COMMY_STATUS_SUCCESS) == wanted, "%s", id);
    }
    commy_mesh_stats(mesh, &stats);
    hold(&buried, stats.total_services == left, "%u, not %u", stats.total_services, left);
    printf("killed one process: %u services gone, %u left; looked up in %.1f s\n", services - left, left,
           seconds_since(began));
    began = now_ns();
    size_t participants = 0;
    do {
        commy_mesh_reap(mesh, NULL);
        commy_mesh_participants(mesh, NULL, 0, &participants);
    } while (participants > workers && seconds_since(began) < 60);
    hold(&buried, participants == workers, "%zu participants", participants);
    printf("reaped in %.1f s\n", seconds_since(began));
}

static void leave_all(commy_mesh_t *mesh, const pid_t *worker)
{
    commy_mesh_stats_t stats;
    size_t participants = 9;
    uint64_t began = now_ns();
    move_on(2);
    for (uint32_t w = 1; w < workers; w++)
        hold(&empty, end_process(worker[w], false) == 0, "process %u ended badly", w);
    do {
        commy_mesh_reap(mesh, NULL);
        commy_mesh_stats(mesh, &stats);
        commy_mesh_participants(mesh, NULL, 0, &participants);
    } while (participants > 1 && seconds_since(began) < 60);
    printf("the others left in %.1f s\n", seconds_since(began));
    hold(&empty, stats.total_services == 0 && participants == 1, "%u services, %zu participants", stats.total_services,
         participants);
}

int main(int argc, char **argv)
{
    pid_t worker[MOST_PROCESSES];
    struct statvfs room;
    commy_mesh_stats_t stats;
    services = argc > 1 ? (uint32_t)atoi(argv[1]) : services;
    workers = argc > 2 ? (uint32_t)atoi(argv[2]) : workers;
    if (services < 1000 || services > COMMY_LIMIT_SERVICES_MAX || workers < 2 || workers > MOST_PROCESSES)
        return 64;
    test_begin(300);
    if (statvfs(test_dir, &room) != 0 || (double)room.f_bavail * (double)room.f_frsize < BYTES_NEEDED * services) {
        printf("/dev/shm has no room for %u services: %.0f MB are needed\n0 passed, 1 failed\n", services,
               BYTES_NEEDED * services / 1e6);
        return 1;
    }
    board = share(sizeof *board);
    commy_mesh_t *mesh = attach_or_exit(services, COMMY_OPEN_MUST_NOT_EXIST, "parent");
    double bare = print_memory(mesh, "empty");
    uint64_t began = now_ns();
    for (uint32_t w = 0; w < workers; w++)
        worker[w] = start_process(work, (void *)(uintptr_t)w);
    await_workers();
    double took = seconds_since(began);
    printf("%u processes registered %u services in %.1f s, %.0f a second\n", workers, services, took, services / took);
    hold(&registered, atomic_load(&board->failures) == 0, "%u calls failed", atomic_load(&board->failures));
    commy_mesh_stats(mesh, &stats);
    hold(&counted, stats.total_services == services && stats.healthy_services == services, "%u", stats.total_services);

    double plain = print_memory(mesh, "full");
    printf("a service: %.0f bytes, the tables of an empty region among them (%.0f without); goal %.0f\n",
           plain / services, (plain - bare) / services, GOAL_BYTES);
    if (services >= MANY)
        hold(&cheap, plain / services <= GOAL_BYTES, "%.0f bytes", plain / services);
    else
        printf("skipped: the goal (it is for %u services and more; the tables of few weigh more)\n", MANY);
    began = now_ns();
    check_ids(mesh);
    printf("every id found and read in %.1f s\n", seconds_since(began));
    began = now_ns();
    check_names(mesh);
    printf("every name discovered in %.1f s\n", seconds_since(began));
    check_command();
    began = now_ns();
    hold(&sound, is_clean(mesh), "full");
    printf("audited in %.1f s\n", seconds_since(began));

    move_on(1);
    await_workers();
    hold(&registered, atomic_load(&board->failures) == 0, "%u reports failed", atomic_load(&board->failures));
    double counting = print_memory(mesh, "reported to");
    printf("statistics: %.0f bytes a service\n", (counting - plain) / services);
    check_statistics(mesh);

    kill_one(mesh, worker);
    leave_all(mesh, worker);
    hold(&sound, is_clean(mesh), "empty again");
    print_memory(mesh, "empty again");
    commy_mesh_detach(&mesh);
    const property_t all[] = {registered, found, discovered, counted, reported, buried, empty, sound, listed, cheap};
    property_t looked_at[sizeof all / sizeof all[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].looked > 0 || i < sizeof all / sizeof all[0] - 2) /* the last two may be skipped, and said so */
            looked_at[count++] = all[i];
    return verdict(looked_at, count);
}
