/*
 * Lookups make no system call and write nothing.
 *
 * A child attaches, and runs every query 1,000 times between two marker calls while this process traces its system calls:
 * there must be none in between. The child runs on a read-only mapping, where any write to the region would end it, and
 * once more on a writable one that never joins, after which the region's file must be the same to the byte. A last child
 * makes one getpid() among its queries, which must be counted: a tracer that sees nothing proves nothing.
 *
 * Prints what it counted, and `N passed, N failed` as its last line.
 */
#include <commy/commy.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 1000
#define INSTANCES 40
#define MARKER 0x636f6d6dL /* the first argument of a close() that cannot succeed */

static unsigned passed, failed;
static char dir[64];

static void check(bool ok, const char *what)
{
    printf("%s  %s\n", ok ? "ok    " : "FAILED", what);
    if (ok)
        passed++;
    else
        failed++;
}

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", what, commy_last_error_message());
    _exit(3);
}

static commy_mesh_t *attach(uint32_t flags)
{
    commy_mesh_t *mesh;
    commy_open_options_t options = {.size = sizeof options, .dir = dir, .capacity = 64, .flags = flags};
    need(commy_mesh_attach(&options, &mesh) == COMMY_STATUS_SUCCESS, "attach");
    return mesh;
}

/* Services of all kinds: short and long texts, with a lease, with metadata small and large, detached, with statistics. */
static void register_all(commy_mesh_t *mesh)
{
    static char long_id[] = "an-id-that-is-longer-than-what-the-hot-half-of-a-record-holds-by-itself";
    static char large[4000];
    const char *tags[] = {"blue", "green"};
    memset(large, 'm', sizeof large - 1);
    for (int i = 0; i < INSTANCES; i++) {
        char id[32];
        uint64_t reference;
        snprintf(id, sizeof id, "instance-%d", i);
        commy_service_config_t config = {
            .size = sizeof config,
            .flags = i == 3 ? COMMY_SERVICE_DETACHED : 0,
            .service_name = "quiet",
            .service_id = i == 1 ? long_id : id,
            .endpoint = i == 2 ? "unix:/a/path/that/is/longer/than/what/the/hot/half/holds" : "127.0.0.1",
            .metadata = i == 4   ? "{\"small\": 1}"
                        : i == 5 ? large
                                 : NULL,
            .version = "1.2.3",
            .zone = "a",
            .tags = tags,
            .tag_count = 2,
            .ttl_ms = i < 8 ? 600000 : 0,
            .port = 80,
        };
        need(commy_service_register(mesh, &config, &reference) == COMMY_STATUS_SUCCESS, "register");
        need(commy_service_report(mesh, reference, 1000, true) == COMMY_STATUS_SUCCESS, "report");
    }
}

/* Every query there is, on services of all kinds, hit and miss. */
static void query_all(const commy_mesh_t *mesh)
{
    static const char *const ids[] = {
        "instance-0", "instance-2", "instance-3",
        "instance-4", "instance-5", "an-id-that-is-longer-than-what-the-hot-half-of-a-record-holds-by-itself"};
    static const char *const many[] = {"instance-0", "instance-2", "nobody", "instance-30"};
    static commy_service_info_t info, infos[INSTANCES];
    static commy_participant_t participants[4];
    static char text[5000];
    commy_target_t target, targets[4];
    commy_service_stats_t stats;
    commy_mesh_stats_t mesh_stats;
    commy_mesh_info_t mesh_info;
    commy_iterator_t iterator;
    commy_view_t view;
    int32_t codes[4];
    size_t count;
    uint64_t version;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        need(commy_service_find(mesh, ids[i], &target) == COMMY_STATUS_SUCCESS, "find");
        need(commy_service_get(mesh, ids[i], &info) == COMMY_STATUS_SUCCESS, "get");
        need(commy_service_metadata(mesh, ids[i], text, sizeof text, &count) == COMMY_STATUS_SUCCESS, "metadata");
        need(commy_service_stats(mesh, ids[i], &stats) == COMMY_STATUS_SUCCESS, "stats");
        need(commy_service_view(mesh, ids[i], &view) == COMMY_STATUS_SUCCESS, "view");
        need(commy_view_valid(mesh, &view), "valid");
        need(commy_view_target(mesh, &view, &target) == COMMY_STATUS_SUCCESS, "view target");
        need(commy_view_info(mesh, &view, &info) == COMMY_STATUS_SUCCESS, "view info");
    }
    need(commy_service_find(mesh, "nobody", &target) == COMMY_STATUS_NOT_FOUND, "miss");
    need(commy_service_find_many(mesh, many, 4, targets, codes) == COMMY_STATUS_NOT_FOUND && codes[3] == 0,
         "find many");
    need(commy_name_count(mesh, "quiet", &count) == COMMY_STATUS_SUCCESS && count == INSTANCES, "count");
    need(commy_name_count(mesh, "nobody", &count) == COMMY_STATUS_SUCCESS && count == 0, "count none");
    need(commy_name_discover(mesh, "quiet", infos, INSTANCES, &count) == COMMY_STATUS_SUCCESS, "discover");
    need(commy_name_discover(mesh, NULL, infos, INSTANCES, &count) == COMMY_STATUS_SUCCESS, "all");
    need(commy_iterate_name(mesh, "quiet", &iterator) == COMMY_STATUS_SUCCESS, "iterate");
    while (commy_iterate_next(mesh, &iterator, &view))
        need(view.port == 80, "iterate next");
    need(commy_mesh_stats(mesh, &mesh_stats) == COMMY_STATUS_SUCCESS && mesh_stats.total_requests == INSTANCES,
         "mesh stats");
    need(commy_mesh_info(mesh, &mesh_info) == COMMY_STATUS_SUCCESS, "info");
    need(commy_mesh_participants(mesh, participants, 4, &count) == COMMY_STATUS_SUCCESS && count == 1, "participants");
    need(commy_mesh_wait(mesh, "quiet", 0, 0, &version) == COMMY_STATUS_SUCCESS, "version of a name");
    need(commy_mesh_wait(mesh, NULL, 0, 0, &version) == COMMY_STATUS_SUCCESS, "version of the mesh");
}

static void marker(void)
{
    syscall(SYS_close, MARKER);
}

static void be_traced(uint32_t flags, bool added)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    commy_mesh_t *mesh = attach(flags | COMMY_OPEN_MUST_EXIST);
    query_all(mesh); /* what the first call of anything costs, once */
    marker();
    for (int i = 0; i < ROUNDS; i++)
        query_all(mesh);
    if (added)
        syscall(SYS_getpid);
    marker();
    _exit(0);
}

/* System calls between the markers; -1 where the child did not come through. */
static long count_calls(uint32_t flags, bool added)
{
    long calls = 0;
    int status, markers = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        be_traced(flags, added);
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return -1;
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (bool inside = false;;) {
        if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
            return -1;
        if (WIFEXITED(status))
            return WEXITSTATUS(status) == 0 && markers == 2 ? calls : -1;
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            return -1;
        }
        struct __ptrace_syscall_info info;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        if (info.entry.nr == SYS_close && info.entry.args[0] == MARKER) {
            inside = !inside;
            markers++;
        } else if (inside) {
            calls++;
        }
    }
}

/* A copy of the region's file, to compare with. */
static unsigned char *read_region(size_t *bytes)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s/default", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return NULL;
    unsigned char *copy = malloc((size_t)status.st_size);
    *bytes = 0;
    while (copy && *bytes < (size_t)status.st_size) {
        ssize_t more = pread(fd, copy + *bytes, (size_t)status.st_size - *bytes, (off_t)*bytes);
        if (more <= 0)
            break;
        *bytes += (size_t)more;
    }
    close(fd);
    return copy;
}

int main(void)
{
    snprintf(dir, sizeof dir, "/dev/shm/commy-quiet-XXXXXX");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 2;
    }
    commy_mesh_t *mesh = attach(0);
    register_all(mesh);

    long calls = count_calls(COMMY_OPEN_READ_ONLY, false);
    printf("        %ld system calls in %d rounds of every query, read-only\n", calls, ROUNDS);
    check(calls == 0, "no query makes a system call, and none writes: the mapping is read-only");

    size_t before_bytes, after_bytes;
    unsigned char *before = read_region(&before_bytes);
    calls = count_calls(0, false);
    unsigned char *after = read_region(&after_bytes);
    printf("        %ld system calls in %d rounds of every query, writable\n", calls, ROUNDS);
    check(calls == 0, "no query makes a system call on a writable mapping");
    check(before && after && before_bytes == after_bytes && memcmp(before, after, before_bytes) == 0,
          "queries leave the region as it was, to the byte");
    free(before);
    free(after);

    calls = count_calls(COMMY_OPEN_READ_ONLY, true);
    printf("        %ld system calls with a getpid() among them\n", calls);
    check(calls == 1, "an added getpid() is counted");

    commy_open_options_t options = {.size = sizeof options, .dir = dir};
    commy_mesh_detach(&mesh);
    commy_mesh_remove(&options, true);
    rmdir(dir);
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
