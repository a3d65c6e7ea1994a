/*
 * A million services: four processes register them in a region of that capacity, under 100,000 names; everything is then
 * verified record by record, listed by the command, counted in memory, and killed.
 *
 *   million [SERVICES [PROCESSES]]     COMMY_TOOL: the command to list with; without it that part is skipped, and said so
 *
 * Prints what it measured, and `N passed, N failed` as its last line.
 */
#include <commy/commy.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GOAL_BYTES 1280.0
#define PROCESSES_MAX 16

static unsigned services = 1000000, processes = 4;
static unsigned passed, failed;
static char dir[64];
static pid_t children[PROCESSES_MAX];

static void check(bool ok, const char *what)
{
    printf("%s  %s\n", ok ? "ok    " : "FAILED", what);
    if (ok)
        passed++;
    else
        failed++;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned names(void)
{
    return services / 10 ? services / 10 : 1;
}

/* What service number n was registered as; ids of 20 bytes and more. */
typedef struct expected {
    char id[40], name[32], endpoint[32], version[16], zone[16], tag[16];
    const char *tags[1];
    commy_service_config_t config;
} expected_t;

static void expect(unsigned n, expected_t *e)
{
    snprintf(e->id, sizeof e->id, "instance-of-service-%07u", n);
    snprintf(e->name, sizeof e->name, "name-%06u", n % names());
    snprintf(e->endpoint, sizeof e->endpoint, "10.%u.%u.%u", n >> 16 & 255, n >> 8 & 255, n & 255);
    snprintf(e->version, sizeof e->version, "1.%u", n % 7);
    snprintf(e->zone, sizeof e->zone, "zone-%u", n % 5);
    snprintf(e->tag, sizeof e->tag, "tag-%u", n % 3);
    e->tags[0] = e->tag;
    e->config = (commy_service_config_t){
        .size = sizeof e->config,
        .service_name = e->name,
        .service_id = e->id,
        .endpoint = e->endpoint,
        .version = e->version,
        .zone = e->zone,
        .tags = e->tags,
        .tag_count = 1,
        .weight = 1 + n % 1000,
        .port = (uint16_t)(1 + n % 65535),
    };
}

static commy_mesh_t *attach(uint32_t flags)
{
    commy_mesh_t *mesh;
    commy_open_options_t options = {.size = sizeof options, .dir = dir, .capacity = services, .flags = flags};
    if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS) {
        fprintf(stderr, "%s\n", commy_last_error_message());
        exit(2);
    }
    return mesh;
}

/* A registrar: every processes-th service; says how it went by one byte, then stays until it is killed. */
static void register_share(unsigned share, int says)
{
    expected_t e;
    commy_mesh_t *mesh = attach(COMMY_OPEN_MUST_EXIST);
    for (unsigned n = share; n < services; n += processes) {
        expect(n, &e);
        if (commy_service_register(mesh, &e.config, NULL) != COMMY_STATUS_SUCCESS) {
            fprintf(stderr, "service %u: %s\n", n, commy_last_error_message());
            _exit(1);
        }
    }
    if (write(says, "+", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static bool start_registrars(void)
{
    int ends[2];
    unsigned done = 0;
    char byte;
    if (pipe(ends) != 0)
        return false;
    for (unsigned i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(ends[0]);
            register_share(i, ends[1]);
        }
    }
    close(ends[1]);
    while (read(ends[0], &byte, 1) == 1 && ++done < processes)
        continue;
    close(ends[0]);
    return done == processes;
}

static void kill_registrar(unsigned i)
{
    if (children[i] <= 0)
        return;
    kill(children[i], SIGKILL);
    waitpid(children[i], NULL, 0);
    children[i] = 0;
}

static bool same(const commy_service_info_t *info, const expected_t *e)
{
    return strcmp(info->id, e->id) == 0 && strcmp(info->name, e->name) == 0 &&
           strcmp(info->endpoint, e->endpoint) == 0 && strcmp(info->version, e->version) == 0 &&
           strcmp(info->zone, e->zone) == 0 && info->tag_count == 1 && strcmp(info->tags[0], e->tag) == 0 &&
           info->weight == e->config.weight && info->port == e->config.port && info->status == COMMY_HEALTH_HEALTHY;
}

/* How many services are found by id with exactly what they were registered with. */
static unsigned count_right(const commy_mesh_t *mesh)
{
    unsigned right = 0;
    expected_t e;
    commy_target_t target;
    commy_service_info_t info;
    for (unsigned n = 0; n < services; n++) {
        expect(n, &e);
        right += commy_service_find(mesh, e.id, &target) == COMMY_STATUS_SUCCESS &&
                 strcmp(target.endpoint, e.endpoint) == 0 && target.port == e.config.port &&
                 commy_service_get(mesh, e.id, &info) == COMMY_STATUS_SUCCESS && same(&info, &e);
    }
    return right;
}

/* How many names give exactly their own instances, each once. */
static unsigned count_right_names(const commy_mesh_t *mesh)
{
    unsigned right = 0;
    char name[32];
    for (unsigned i = 0; i < names(); i++) {
        commy_iterator_t iterator;
        commy_view_t view;
        unsigned seen = 0, foreign = 0, twice = 0, bits = 0, want = services / names() + (i < services % names());
        snprintf(name, sizeof name, "name-%06u", i);
        commy_iterate_name(mesh, name, &iterator);
        while (commy_iterate_next(mesh, &iterator, &view)) {
            unsigned n = (unsigned)strtoul(view.id + strlen("instance-of-service-"), NULL, 10);
            unsigned bit = 1u << n / names() % 32;
            foreign += n % names() != i;
            twice += (bits & bit) != 0;
            bits |= bit;
            seen++;
        }
        right += seen == want && foreign == 0 && twice == 0;
    }
    return right;
}

/* Reads a listing as it comes, and ticks off each id. Returns how many different ones of ours it held, or more than
 * there are when one came twice. */
static unsigned count_listed(FILE *listing)
{
    char *line = NULL, *ticked = calloc(services, 1);
    size_t room = 0;
    unsigned listed = 0;
    while (ticked && getline(&line, &room, listing) > 0) {
        const char *id = strstr(line, "\"id\":\"instance-of-service-");
        if (!id)
            continue;
        unsigned long n = strtoul(id + strlen("\"id\":\"instance-of-service-"), NULL, 10);
        if (n >= services || ticked[n])
            listed = services;
        else
            ticked[n] = 1;
        listed++;
    }
    free(ticked);
    free(line);
    return listed;
}

static void list_by_command(const char *tool)
{
    char command[4200];
    snprintf(command, sizeof command, "'%s' ls --json --dir '%s'", tool, dir);
    double began = seconds();
    FILE *listing = popen(command, "r"); /* NOLINT(cert-env33-c): the command under test, named by whoever runs this */
    unsigned listed = listing ? count_listed(listing) : 0;
    int status = listing ? pclose(listing) : -1;
    printf("        listed in %.1f s\n", seconds() - began);
    check(status == 0 && listed == services, "the command lists every service, once");
}

static void show_memory(const commy_mesh_t *mesh, const char *when)
{
    commy_mesh_info_t info;
    struct stat file;
    char path[128];
    commy_mesh_info(mesh, &info);
    snprintf(path, sizeof path, "%s/default", dir);
    double backed = stat(path, &file) == 0 ? (double)file.st_blocks * 512 : 0;
    double each = (backed - (double)info.statistics_bytes) / services;
    printf("        %s: %.0f bytes backed for each service without statistics (goal: at most %.0f), %.0f for its "
           "statistics\n",
           when, each, GOAL_BYTES, (double)info.statistics_bytes / services);
    check(backed > 0 && (services < 100000 || each <= GOAL_BYTES),
          "a service takes at most 1.25 KiB without statistics");
}

static void report_to_all(commy_mesh_t *mesh)
{
    expected_t e;
    commy_target_t target;
    commy_mesh_stats_t stats;
    unsigned reported = 0;
    for (unsigned n = 0; n < services; n++) {
        expect(n, &e);
        reported += commy_service_find(mesh, e.id, &target) == COMMY_STATUS_SUCCESS &&
                    commy_service_report(mesh, target.reference, 1000 + n, n % 10 != 0) == COMMY_STATUS_SUCCESS;
    }
    commy_mesh_stats(mesh, &stats);
    check(reported == services && stats.total_requests == services, "a request to each service is counted");
}

/* Kills a registrar: its share is gone at once, and its records soon. */
static void kill_and_check(commy_mesh_t *mesh)
{
    expected_t e;
    commy_target_t target;
    commy_mesh_stats_t stats;
    unsigned found = 0, share = (services + processes - 1) / processes;
    kill_registrar(0);
    double began = seconds();
    for (unsigned n = 0; n < services; n += processes) {
        expect(n, &e);
        found += commy_service_find(mesh, e.id, &target) == COMMY_STATUS_SUCCESS;
    }
    check(found == 0, "nothing of a killed process is found");
    commy_mesh_stats(mesh, &stats);
    check(stats.total_services == services - share, "everything of the others is there");
    commy_mesh_reap(mesh, NULL);
    size_t participants = 0;
    for (int i = 0; i < 600; i++) {
        commy_mesh_participants(mesh, NULL, 0, &participants);
        if (participants == processes) /* the other registrars, and this one */
            break;
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    printf("        %u services of the dead looked up and reaped in %.1f s\n", share, seconds() - began);
    check(participants == processes, "the dead participant is gone");
}

static void clean_up(void)
{
    commy_open_options_t options = {.size = sizeof options, .dir = dir};
    for (unsigned i = 0; i < processes; i++)
        kill_registrar(i);
    commy_mesh_remove(&options, true);
    rmdir(dir);
}

int main(int argc, char **argv)
{
    const char *tool = getenv("COMMY_TOOL");
    if (argc > 1)
        services = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        processes = (unsigned)strtoul(argv[2], NULL, 10);
    if (services < 16 || services > COMMY_LIMIT_SERVICES_MAX || processes < 1 || processes > PROCESSES_MAX) {
        fprintf(stderr, "million: 16 to %u services, 1 to %u processes\n", COMMY_LIMIT_SERVICES_MAX, PROCESSES_MAX);
        return 64;
    }
    snprintf(dir, sizeof dir, "/dev/shm/commy-million-XXXXXX");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 2;
    }
    commy_open_options_t options = {.size = sizeof options, .dir = dir, .capacity = services};
    if (commy_mesh_create(&options) != COMMY_STATUS_SUCCESS) {
        fprintf(stderr, "%s\n", commy_last_error_message());
        rmdir(dir);
        return 2;
    }

    double began = seconds();
    check(start_registrars(), "all services are registered");
    printf("        %u services by %u processes in %.1f s\n", services, processes, seconds() - began);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    show_memory(reader, "registered");
    began = seconds();
    check(count_right(reader) == services, "every service is found with what it was registered with");
    check(count_right_names(reader) == names(), "every name gives exactly its instances, each once");
    printf("        verified in %.1f s\n", seconds() - began);
    if (tool)
        list_by_command(tool);
    else
        printf("skipped: COMMY_TOOL does not say which command to list with\n");
    began = seconds();
    check(commy_mesh_check(reader, NULL, NULL, NULL) == COMMY_STATUS_SUCCESS, "the audit finds nothing wrong");
    printf("        audited in %.1f s\n", seconds() - began);
    commy_mesh_detach(&reader);

    commy_mesh_t *writer = attach(COMMY_OPEN_MUST_EXIST);
    report_to_all(writer);
    show_memory(writer, "after a request to each");
    kill_and_check(writer);
    commy_mesh_detach(&writer);
    clean_up();
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
