/*
 * Memory and limits that run out, a page or a piece at a time: an error with the right code each time, never a signal, and
 * what was acknowledged before stays right.
 *
 * Usage: space [full]      without: one RLIMIT_AS in four; full: every one, and file systems also for 1,024 services
 *
 * 1. A tmpfs of every size, in a mount namespace of its own. On each a region is made, filled until the file system is, and
 *    judged: everything acknowledged is there with its contents, everything refused is not, the audit is clean. Then the
 *    file system is enlarged and the rest has to succeed; then all is taken away, and no block may stay behind. Twice:
 *    reserving through the mapping, and through the file as before Linux 5.14. (A tmpfs of size 0 has no limit: the first
 *    size is one page.)
 * 2. RLIMIT_FSIZE of every size (the signal that goes with it ends the process), RLIMIT_AS page by page, no descriptor
 *    left, no thread left.
 */
#include "../acceptance.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "registry/mesh.h"

#define PAGE 4096u
#define MOST 1024u
#define STRANGER 65534u

static struct board {
    property_t no_signal, full_is_told, kept, not_there, clean, recovers, gives_back, file_limit, addresses,
        no_descriptor, no_thread;
    uint32_t step; /* what is being tried */
    uint32_t sizes, refused, partly, whole;
} * board;

static char place[128];
static uint32_t capacity = 16; /* of the region */

static commy_open_options_t options(const char *dir, uint32_t flags)
{
    return (commy_open_options_t){.size = sizeof(commy_open_options_t),
                                  .flags = flags,
                                  .dir = dir,
                                  .mesh = "m",
                                  .node_id = "v",
                                  .capacity = capacity};
}

/* From here on this process reserves through the file, as on a kernel that does not populate mappings. */
static void forget_populating(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 23 /* MADV_POPULATE_WRITE */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(70);
}

/* Runs a part in a process of its own, whose end by a signal is a violation. */
static int part(const char *what, void (*body)(void *), void *argument)
{
    int status = end_process(start_process(body, argument), false);
    if (WIFSIGNALED(status))
        hold(&board->no_signal, false, "%s, step %u: signal %d", what, board->step, WTERMSIG(status));
    else
        hold(&board->no_signal, true, "%s", what);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* -------------------------------------------------------------------- file systems */

static bool acknowledged[MOST];

static const char *metadata_of(uint32_t i, char text[COMMY_LIMIT_METADATA_BYTES + 1])
{
    static const uint32_t bytes[] = {0, 60, 4096, 400, 496, 100, 3000, 1}; /* a region has large ones for a part only */
    uint32_t n = bytes[i % 8];
    memset(text, 'a' + (int)(i % 26), n);
    text[n] = '\0';
    return text;
}

static commy_status_t put(commy_mesh_t *mesh, uint32_t i)
{
    char id[24], name[24], text[COMMY_LIMIT_METADATA_BYTES + 1];
    uint64_t reference;
    snprintf(id, sizeof id, "id-%u", i);
    snprintf(name, sizeof name, "name-%u", i / 2);
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = name,
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .metadata = metadata_of(i, text),
                                           .port = (uint16_t)(1 + i)};
    commy_status_t status = commy_service_register(mesh, &config, &reference);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    acknowledged[i] = true;
    return commy_service_report(mesh, reference, 1, true);
}

static void compare(const commy_mesh_t *mesh)
{
    char id[24], wanted[COMMY_LIMIT_METADATA_BYTES + 1], text[COMMY_LIMIT_METADATA_BYTES + 1];
    commy_target_t target;
    size_t length, count;
    for (uint32_t i = 0; i < capacity; i++) {
        snprintf(id, sizeof id, "id-%u", i);
        commy_status_t status = commy_service_find(mesh, id, &target);
        if (!acknowledged[i]) {
            hold(&board->not_there, status == COMMY_STATUS_NOT_FOUND, "%u pages: %s is there", board->step, id);
            continue;
        }
        metadata_of(i, wanted);
        bool right = status == COMMY_STATUS_SUCCESS && target.port == 1 + i &&
                     commy_service_metadata(mesh, id, text, sizeof text, &length) == COMMY_STATUS_SUCCESS &&
                     length == strlen(wanted) && strcmp(text, wanted) == 0;
        hold(&board->kept, right, "%u pages: %s", board->step, id);
        snprintf(id, sizeof id, "name-%u", i / 2);
        hold(&board->kept, commy_name_count(mesh, id, &count) == COMMY_STATUS_SUCCESS && count >= 1, "%u pages: %s",
             board->step, id);
    }
    hold(&board->clean, is_clean(mesh), "%u pages", board->step);
}

static void resize(uint32_t pages)
{
    char text[32];
    snprintf(text, sizeof text, "size=%uk", pages * (PAGE / 1024));
    if (mount("none", place, "tmpfs", MS_REMOUNT, text) != 0)
        _exit(71);
}

static uint64_t used_blocks(void)
{
    struct statvfs fs;
    return statvfs(place, &fs) == 0 ? fs.f_blocks - fs.f_bfree : UINT64_MAX;
}

#define LARGE 65536u /* pages; far more than the region takes */

/* A region on a file system of so many pages. Returns whether it could be filled. */
static bool try_size(uint32_t pages)
{
    const commy_open_options_t at = options(place, 0);
    commy_mesh_t *mesh;
    uint32_t refused = 0;
    board->step = pages;
    board->sizes++;
    memset(acknowledged, 0, sizeof acknowledged);
    resize(pages);
    commy_status_t status = commy_mesh_attach(&at, &mesh);
    if (status != COMMY_STATUS_SUCCESS) {
        board->refused++;
        hold(&board->full_is_told, status == COMMY_STATUS_NO_SPACE && strstr(commy_last_error_message(), place),
             "%u pages: %s", pages, commy_last_error_message());
        hold(&board->gives_back, used_blocks() == 0 && test_dir_count(place) == 0, "%u pages: %" PRIu64 " blocks",
             pages, used_blocks());
        return false;
    }
    for (uint32_t i = 0; i < capacity; i++) {
        status = put(mesh, i);
        refused += status != COMMY_STATUS_SUCCESS;
        if (status != COMMY_STATUS_SUCCESS)
            hold(&board->full_is_told, status == COMMY_STATUS_NO_SPACE && strstr(commy_last_error_message(), place),
                 "%u pages: %s", pages, commy_last_error_message());
    }
    compare(mesh);
    board->partly += refused > 0;
    board->whole += refused == 0;
    resize(LARGE);
    for (uint32_t i = 0; i < capacity; i++)
        if (!acknowledged[i])
            hold(&board->recovers, put(mesh, i) == COMMY_STATUS_SUCCESS, "%u pages: %s", pages,
                 commy_last_error_message());
    compare(mesh);
    commy_mesh_detach(&mesh);
    status = commy_mesh_remove(&at, false);
    hold(&board->gives_back, status == COMMY_STATUS_SUCCESS && used_blocks() == 0, "%u pages: %" PRIu64 " blocks",
         pages, used_blocks());
    return refused == 0;
}

static void file_systems(void *argument)
{
    const bool *by_file = argument;
    char text[64];
    snprintf(text, sizeof text, "size=%uk,mode=0700", PAGE / 1024);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", place, "tmpfs", 0, text) != 0)
        _exit(72);
    if (*by_file)
        forget_populating();
    uint32_t whole = 0;
    for (uint32_t pages = 1; whole < 3 && pages < LARGE; pages++)
        whole += try_size(pages);
    hold(&board->recovers, whole == 3, "no size was enough");
}

/* ------------------------------------------------------------------------- limits */

static void set_limit(__rlimit_resource_t resource, rlim_t most)
{
    struct rlimit limit;
    getrlimit(resource, &limit);
    limit.rlim_cur = most;
    if (setrlimit(resource, &limit) != 0)
        _exit(73);
}

static void file_size_limits(void *unused)
{
    const commy_open_options_t at = options(test_dir, 0);
    commy_mesh_t *mesh;
    cmy_layout_t layout;
    (void)unused;
    cmy_layout_compute(capacity, &layout);
    uint64_t last = layout.region_bytes - 1, step = last / 200 | 1; /* odd: off the pages' borders too */
    for (uint64_t limit = 0; limit <= last; limit = limit < last && limit + step > last ? last : limit + step) {
        board->step = (uint32_t)limit;
        set_limit(RLIMIT_FSIZE, limit);
        commy_status_t status = commy_mesh_create(&at);
        hold(&board->file_limit,
             status == COMMY_STATUS_LIMIT && strstr(commy_last_error_message(), "ulimit -f") &&
                 test_dir_count(test_dir) == 0,
             "%" PRIu64 " bytes: code %d, %s", limit, (int)status, commy_last_error_message());
    }
    set_limit(RLIMIT_FSIZE, layout.region_bytes);
    hold(&board->file_limit, commy_mesh_create(&at) == COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    /* What is made already can be used and grows under any limit. */
    set_limit(RLIMIT_FSIZE, 0);
    for (int by_file = 0; by_file < 2; by_file++) {
        if (by_file)
            forget_populating();
        hold(&board->file_limit, commy_mesh_attach(&at, &mesh) == COMMY_STATUS_SUCCESS, "%s",
             commy_last_error_message());
        for (uint32_t i = 0; i < capacity; i++)
            hold(&board->file_limit, put(mesh, i) == COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
        commy_mesh_detach(&mesh);
    }
    commy_mesh_remove(&at, true);
}

static uint64_t address_pages(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu", &pages) != 1)
        _exit(74);
    fclose(file);
    return pages;
}

static bool is_want_of_memory(commy_status_t status)
{
    return status == COMMY_STATUS_NO_MEMORY || status == COMMY_STATUS_LIMIT || status == COMMY_STATUS_NO_SPACE;
}

/* One life with so many pages of addresses to spare; exits 0 when everything succeeded. */
static void few_addresses(void *argument)
{
    const commy_open_options_t at = options(test_dir, COMMY_OPEN_MUST_EXIST);
    uint64_t spare = *(uint64_t *)argument, version;
    commy_mesh_t *mesh;
    bool all = true;
    board->step = (uint32_t)spare;
    set_limit(RLIMIT_AS, (address_pages() + spare) * PAGE);
    commy_status_t status = commy_mesh_attach(&at, &mesh);
    hold(&board->addresses, status == COMMY_STATUS_SUCCESS || is_want_of_memory(status),
         "attach with %" PRIu64 ": %d %s", spare, (int)status, commy_last_error_message());
    if (status != COMMY_STATUS_SUCCESS)
        _exit(1);
    for (uint32_t i = 0; i < capacity; i++) {
        status = put(mesh, i);
        all &= status == COMMY_STATUS_SUCCESS;
        hold(&board->addresses, status == COMMY_STATUS_SUCCESS || is_want_of_memory(status),
             "register with %" PRIu64 ": %d %s", spare, (int)status, commy_last_error_message());
    }
    compare(mesh);
    hold(&board->addresses, commy_mesh_wait(mesh, "n", 0, 0, &version) == COMMY_STATUS_SUCCESS, "wait");
    set_limit(RLIMIT_AS, RLIM_INFINITY);
    for (uint32_t i = 0; i < capacity; i++)
        if (!acknowledged[i])
            hold(&board->addresses, put(mesh, i) == COMMY_STATUS_SUCCESS, "afterwards: %s", commy_last_error_message());
    commy_mesh_detach(&mesh);
    _exit(all ? 0 : 1);
}

static void address_limits(uint32_t step)
{
    const commy_open_options_t at = options(test_dir, 0);
    commy_status_t status = commy_mesh_create(&at);
    uint64_t spare = 0;
    uint32_t whole = 0, steps = 0;
    hold(&board->addresses, status == COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    for (; whole < 2 && spare < 100000; spare += step, steps++)
        whole += part("few addresses", few_addresses, &spare) == 0;
    hold(&board->addresses, whole == 2, "nothing was enough");
    printf("RLIMIT_AS: %u limits, all succeeds with %" PRIu64 " pages to spare\n", steps, spare - step);
    commy_mesh_remove(&at, true);
}

/* Once attached, no call needs a descriptor, but growth on a kernel that cannot populate: that says so and goes on later. */
static void no_descriptors(void *by_file)
{
    const commy_open_options_t at = options(test_dir, 0);
    commy_mesh_t *mesh, *other;
    uint64_t version;
    if (by_file)
        forget_populating();
    if (commy_mesh_attach(&at, &mesh) != COMMY_STATUS_SUCCESS)
        _exit(75);
    set_limit(RLIMIT_NOFILE, 0);
    hold(&board->no_descriptor, commy_mesh_attach(&at, &other) == COMMY_STATUS_LIMIT && other == NULL, "attach: %s",
         commy_last_error_message());
    for (int round = 0; round < 2; round++) {
        hold(&board->no_descriptor, commy_mesh_join(mesh, NULL, 0) == COMMY_STATUS_SUCCESS, "join: %s",
             commy_last_error_message());
        for (uint32_t i = 0; i < capacity; i++) {
            commy_status_t status = put(mesh, i);
            hold(&board->no_descriptor,
                 status == COMMY_STATUS_SUCCESS ||
                     (by_file && status == COMMY_STATUS_LIMIT && strstr(commy_last_error_message(), "ulimit -n")),
                 "register: %s", commy_last_error_message());
        }
        compare(mesh);
        hold(&board->no_descriptor, commy_mesh_reap(mesh, NULL) == COMMY_STATUS_SUCCESS, "reap");
        hold(&board->no_descriptor,
             commy_mesh_wait(mesh, NULL, 0, 0, &version) == COMMY_STATUS_SUCCESS &&
                 commy_mesh_wait(mesh, NULL, version, 150, &version) == COMMY_STATUS_TIMED_OUT,
             "wait: %s", commy_last_error_message());
        hold(&board->no_descriptor, commy_mesh_leave(mesh) == COMMY_STATUS_SUCCESS, "leave");
        memset(acknowledged, 0, sizeof acknowledged);
    }
    set_limit(RLIMIT_NOFILE, 64);
    hold(&board->no_descriptor, commy_mesh_join(mesh, NULL, 0) == COMMY_STATUS_SUCCESS, "join");
    for (uint32_t i = 0; i < capacity; i++)
        hold(&board->no_descriptor, put(mesh, i) == COMMY_STATUS_SUCCESS, "afterwards: %s", commy_last_error_message());
    commy_mesh_detach(&mesh);
    commy_mesh_remove(&at, true);
}

/* A user who may start no thread can read, cannot join, and can once he may. */
static void no_threads(void *unused)
{
    const commy_open_options_t at = options(place, 0);
    commy_mesh_t *mesh;
    size_t count;
    (void)unused;
    if (chmod(test_dir, 0711) != 0 || chown(place, STRANGER, STRANGER) != 0 || setgroups(0, NULL) != 0 ||
        setresgid(STRANGER, STRANGER, STRANGER) != 0 || setresuid(STRANGER, STRANGER, STRANGER) != 0)
        _exit(76);
    if (commy_mesh_attach(&at, &mesh) != COMMY_STATUS_SUCCESS)
        _exit(77);
    struct rlimit before;
    getrlimit(RLIMIT_NPROC, &before);
    set_limit(RLIMIT_NPROC, 0);
    hold(&board->no_thread,
         commy_mesh_join(mesh, NULL, 0) == COMMY_STATUS_LIMIT && strlen(commy_last_error_message()) > 16, "join: %s",
         commy_last_error_message());
    hold(&board->no_thread, put(mesh, 0) == COMMY_STATUS_LIMIT, "register: %s", commy_last_error_message());
    hold(&board->no_thread, commy_name_count(mesh, "x", &count) == COMMY_STATUS_SUCCESS && is_clean(mesh), "queries");
    set_limit(RLIMIT_NPROC, before.rlim_max);
    hold(&board->no_thread, put(mesh, 0) == COMMY_STATUS_SUCCESS, "afterwards: %s", commy_last_error_message());
    commy_mesh_detach(&mesh);
    commy_mesh_remove(&at, true);
}

/* --------------------------------------------------------------------------- main */

static void try_file_systems(bool by_file)
{
    struct board before = *board;
    uint64_t began = now_ns();
    int status = part("file systems", file_systems, &by_file);
    if (status == 72) {
        printf("file systems of every size: not run, this environment lets nobody mount a tmpfs\n");
        return;
    }
    hold(&board->recovers, status == 0, "the run itself ended with %d", status);
    printf("tmpfs, reserving through the %s: %u sizes: %u refused a region, %u were full before it was, %u held all; "
           "%.1f s\n",
           by_file ? "file" : "mapping", board->sizes - before.sizes, board->refused - before.refused,
           board->partly - before.partly, board->whole - before.whole, (double)(now_ns() - began) / 1e9);
}

int main(int argc, char **argv)
{
    bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    test_begin(full ? 3600 : 300);
    board = share(sizeof *board);
    board->no_signal.what = "nothing that runs out is a signal";
    board->full_is_told.what = "a full file system is code 16 and names the directory";
    board->kept.what = "what was acknowledged before stays right";
    board->not_there.what = "what was refused is not there";
    board->clean.what = "the audit finds nothing on a full file system";
    board->recovers.what = "what was refused succeeds when there is room";
    board->gives_back.what = "a refused or removed region keeps no block";
    board->file_limit.what = "a file size limit is code 19, and none to a region that is there";
    board->addresses.what = "running out of addresses is an error of its kind";
    board->no_descriptor.what = "an attached program needs no descriptor";
    board->no_thread.what = "who may start no thread is told so and reads on";
    snprintf(place, sizeof place, "%s/place", test_dir);
    part("file size", file_size_limits, NULL);
    bool checked = getenv("COMMY_UNDER") != NULL;
    if (checked)
        printf("RLIMIT_AS: not run, what the test runs under does not live where addresses are few\n");
    else
        address_limits(full ? 1 : 4);
    part("no descriptors", no_descriptors, NULL);
    part("no descriptors, by the file", no_descriptors, place);
    const struct board *b = board;
    if (geteuid() != 0) {
        printf("file systems and users of their own: not run, only root can make them\n");
        const property_t some[] = {b->no_signal, b->kept, b->file_limit, b->no_descriptor, b->addresses};
        return verdict(some, sizeof some / sizeof *some - checked);
    }
    mkdir(place, 0700);
    int status = part("no threads", no_threads, NULL);
    hold(&board->no_thread, status == 0, "ended with %d", status);
    capacity = full ? MOST : 16;
    try_file_systems(false);
    try_file_systems(true);
    const property_t all[] = {b->no_signal,  b->full_is_told, b->kept,          b->not_there, b->clean,    b->recovers,
                              b->gives_back, b->file_limit,   b->no_descriptor, b->no_thread, b->addresses};
    return verdict(all, sizeof all / sizeof *all - checked);
}
