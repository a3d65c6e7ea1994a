/*
 * What becomes of the file under its users, and what other users of the host may do to it.
 *
 * 1. The file is unlinked or replaced by hand, punched or truncated while programs use it. Unlinked or replaced by hand, its
 *    users go on among themselves; newcomers find nothing, or the new one; only `commy rm` tells users (code 22). With holes
 *    punched into it every call returns. Truncated, it raises SIGBUS in who touches what is gone: no library can keep
 *    that from a mapped file, and so the test says who can truncate: only who may write the file.
 * 2. The region of another boot, with another boot's id where the kernel shows it.
 * 3. Another user: a default directory that was squatted, a region and a directory with every kind of permission missing,
 *    a region that may only be read and is held.
 */
#include "people.h"

#include <grp.h>

static property_t unlinked = {"users of a region that was unlinked or replaced by hand go on among themselves", 0, 0};
static property_t newcomers = {"newcomers find no region then, or the new one, and nothing of the old", 0, 0};
static property_t told = {"a removal tells users of that region only, and changes nothing of its successor", 0, 0};
static property_t punched = {"with holes punched under it every call returns", 0, 0};
static property_t truncated = {"truncated, a region is refused to newcomers and can be removed", 0, 0};
static property_t sigbus = {"a reader of a truncated region gets SIGBUS, as the documents say, and nobody else does", 0,
                            0};
static property_t powerless = {"who may only read can neither truncate, punch, write, rename nor remove", 0, 0};
static property_t read_only = {"who may only read is answered every query, and his death harms nobody", 0, 0};
static property_t unhurt = {"a user who may not signal the living takes none of them for dead", 0, 0};
static property_t boots = {"a region of another boot is code 18 to all, and can be removed and made again", 0, 0};
static property_t squatted = {"a default directory that is not the user's own and private is code 8", 0, 0};
static property_t missing = {"each permission that is missing is code 8 and a sentence, and no more than that", 0, 0};
static property_t sound = {"the audit finds nothing after each", 0, 0};

static commy_status_t attach_in(const char *dir, const char *name, uint32_t flags, commy_mesh_t **mesh)
{
    const commy_open_options_t options = {
        .size = sizeof options, .flags = flags, .dir = dir, .mesh = name, .node_id = "f", .capacity = 64};
    return commy_mesh_attach(&options, mesh);
}

static commy_status_t remove_in(const char *dir, const char *name)
{
    const commy_open_options_t options = {.size = sizeof options, .dir = dir, .mesh = name};
    return commy_mesh_remove(&options, true);
}

/* ------------------------------------------------------------- unlinked, replaced */

static void unlinked_by_hand(void)
{
    commy_mesh_t *old = attach_or_exit(64, 0, "old"), *peer = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "peer"), *fresh;
    hold(&unlinked, put(old, "one") == 0 && unlink(test_path("m")) == 0, "%s", commy_last_error_message());
    hold(&unlinked, put(old, "two") == 0 && put(peer, "three") == 0 && found(peer, "two") && found(old, "three"), "%s",
         commy_last_error_message());
    hold(&newcomers, attach_in(test_dir, "m", COMMY_OPEN_MUST_EXIST, &fresh) == COMMY_STATUS_MESH_NOT_FOUND, "%s",
         commy_last_error_message());
    hold(&newcomers, attach_in(test_dir, "m", 0, &fresh) == 0 && !found(fresh, "one") && put(fresh, "one") == 0, "%s",
         commy_last_error_message());
    hold(&unlinked,
         commy_service_unregister(peer, "three") == 0 && !found(fresh, "three") && found(old, "one") && is_clean(old),
         "%s", commy_last_error_message());

    /* The new one is removed: its users are told, the old ones, whose region is another file, are not. */
    hold(&told, remove_in(test_dir, "m") == 0 && put(fresh, "x") == COMMY_STATUS_REMOVED, "%s",
         commy_last_error_message());
    hold(&told, put(old, "four") == 0, "%s", commy_last_error_message());
    commy_mesh_detach(&fresh);

    /* Another region takes the name by rename(2), over one that is in use. */
    commy_mesh_t *third;
    hold(&newcomers, attach_in(test_dir, "m", 0, &fresh) == 0 && attach_in(test_dir, "n", 0, &third) == 0, "%s",
         commy_last_error_message());
    hold(&newcomers, put(fresh, "replaced") == 0 && put(third, "replacing") == 0, "%s", commy_last_error_message());
    hold(&unlinked, rename(test_path("n"), test_path("m")) == 0 && put(fresh, "more") == 0, "%s",
         commy_last_error_message());
    commy_mesh_t *last;
    hold(&newcomers, attach_in(test_dir, "m", 0, &last) == 0 && found(last, "replacing") && !found(last, "replaced"),
         "%s", commy_last_error_message());
    hold(&told, remove_in(test_dir, "m") == 0 && put(third, "x") == COMMY_STATUS_REMOVED && put(fresh, "x") == 0, "%s",
         commy_last_error_message());
    hold(&sound, is_clean(old) && is_clean(fresh), "unlinked by hand");
    commy_mesh_detach(&last);
    commy_mesh_detach(&third);
    commy_mesh_detach(&fresh);
    commy_mesh_detach(&peer);
    commy_mesh_detach(&old);
}

/* ---------------------------------------------------------- punched, truncated */

static void query_everything(const commy_mesh_t *mesh)
{
    static commy_service_info_t infos[64];
    commy_mesh_stats_t stats;
    commy_participant_t nodes[8];
    commy_target_t target;
    char text[64];
    uint64_t version, findings;
    size_t count;
    commy_service_find(mesh, "one", &target);
    commy_service_metadata(mesh, "one", text, sizeof text, &count);
    commy_name_discover(mesh, "name", infos, 64, &count);
    commy_name_discover(mesh, NULL, infos, 64, &count);
    commy_mesh_stats(mesh, &stats);
    commy_mesh_participants(mesh, nodes, 8, &count);
    commy_mesh_wait(mesh, "name", 0, 0, &version);
    commy_mesh_wait(mesh, NULL, version, 5, &version);
    commy_mesh_check(mesh, NULL, NULL, &findings);
}

typedef struct hole {
    off_t offset, bytes;
} hole_t;

/* Uses a region, has a piece of it zeroed, and uses it on: any result will do. */
static void use_punched(void *argument)
{
    const hole_t *hole = argument;
    commy_mesh_t *mesh = attach_or_exit(64, 0, "puncher");
    char id[16];
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        put(mesh, id);
    }
    int file = open(test_path("m"), O_RDWR | O_CLOEXEC);
    if (file < 0 || fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole->offset, hole->bytes) != 0)
        _exit(1);
    close(file);
    query_everything(mesh);
    for (int i = 0; i < 30; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        put(mesh, id);
        commy_service_heartbeat(mesh, id);
        commy_service_set_metadata(mesh, id, "{}");
        commy_service_unregister(mesh, id);
    }
    commy_mesh_reap(mesh, NULL);
    query_everything(mesh);
    sleep_us(1000);
    commy_mesh_detach(&mesh);
}

static void holes(void)
{
    cmy_layout_t layout;
    cmy_layout_compute(64, &layout);
    uint32_t pages = (uint32_t)(layout.region_bytes / 4096), step = pages / 60 + 1, tried = 0;
    for (uint32_t page = 0; page <= pages; page += step, tried++) {
        hole_t hole = {(off_t)page * 4096, 4096 * (off_t)step};
        if (page + step > pages)
            hole = (hole_t){0, (off_t)layout.region_bytes};
        uint64_t began = now_ns();
        int status = end_process(start_process(use_punched, &hole), false);
        hold(&punched, status == 0 && now_ns() - began < PATIENCE_NS,
             "pages %u to %u: ended with %#x after %" PRIu64 " ms", page, page + step, (unsigned)status,
             (now_ns() - began) / 1000000);
        unlink(test_path("m"));
    }
    printf("%u holes in a region of %u pages\n", tried, pages);
}

static void read_on(void *at)
{
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST | COMMY_OPEN_READ_ONLY, NULL);
    commy_target_t target;
    signal(SIGBUS, SIG_DFL); /* a sanitizer would handle it */
    reach(at, 1);
    for (;;)
        commy_service_find(mesh, "one", &target);
}

static void truncation(void)
{
    commy_mesh_t *owner = attach_or_exit(64, 0, "owner"), *fresh;
    reach(post, 0);
    hold(&truncated, put(owner, "one") == 0, "%s", commy_last_error_message());
    pid_t reader = start_process(read_on, post);
    hold(&sigbus, await(&post->stage, 1), "the reader does not come up");
    commy_mesh_leave(owner); /* so that no thread of this process touches it any more */
    hold(&truncated, truncate(test_path("m"), 4096) == 0, "%s", strerror(errno));
    int status = end_process(reader, false);
    hold(&sigbus, WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "the reader ended with %#x", (unsigned)status);
    hold(&truncated, attach_in(test_dir, "m", COMMY_OPEN_MUST_EXIST, &fresh) == COMMY_STATUS_CORRUPT, "%s",
         commy_last_error_message());
    hold(&truncated, attach_in(test_dir, "m", COMMY_OPEN_READ_ONLY, &fresh) == COMMY_STATUS_CORRUPT, "%s",
         commy_last_error_message());
    hold(&truncated,
         remove_in(test_dir, "m") == 0 && attach_in(test_dir, "m", 0, &fresh) == 0 && put(fresh, "one") == 0, "%s",
         commy_last_error_message());
    commy_mesh_detach(&fresh);
    commy_mesh_detach(&owner);
    remove_in(test_dir, "m");
}

/* ------------------------------------------------------------------ another user */

static bool become_stranger(uid_t uid)
{
    return setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0;
}

static bool refuses(int result, int error)
{
    return result < 0 && errno == error;
}

/* A user who may read the region does all that he could think of. */
static void stranger_reads(void *at)
{
    char path[64], *mapped = NULL;
    commy_mesh_t *mesh, *other;
    uint64_t version;
    if (!become_stranger(STRANGER) || attach_in(test_dir, "m", COMMY_OPEN_READ_ONLY, &mesh) != 0)
        _exit(1);
    mapped = (char *)mesh->region->base;
    int file = open(test_path("m"), O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    bool none =
        file >= 0 && refuses(truncate(test_path("m"), 0), EACCES) && refuses(open(test_path("m"), O_RDWR), EACCES) &&
        refuses(open(test_path("m"), O_RDONLY | O_TRUNC), EACCES) && refuses(open(path, O_RDWR), EACCES) &&
        refuses(ftruncate(file, 0), EINVAL) &&
        refuses(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EBADF) &&
        refuses(mprotect(mapped, 4096, PROT_READ | PROT_WRITE), EACCES) && refuses(unlink(test_path("m")), EACCES) &&
        refuses(rename(test_path("m"), test_path("n")), EACCES) && refuses(chmod(test_path("m"), 0666), EPERM) &&
        mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED;
    atomic_store(&((signpost_t *)at)->status, none);
    query_everything(mesh);
    bool answered = found(mesh, "one") && is_clean(mesh) && put(mesh, "x") == COMMY_STATUS_READ_ONLY &&
                    commy_mesh_join(mesh, NULL, 0) == COMMY_STATUS_READ_ONLY &&
                    commy_mesh_reap(mesh, NULL) == COMMY_STATUS_READ_ONLY &&
                    attach_in(test_dir, "m", COMMY_OPEN_MUST_EXIST, &other) == COMMY_STATUS_PERMISSION &&
                    remove_in(test_dir, "m") == COMMY_STATUS_PERMISSION;
    atomic_store(&((signpost_t *)at)->other, answered);
    commy_mesh_wait(mesh, "name", 0, 0, &version); /* first: what happens from now on wakes us */
    reach(at, 1);
    while (commy_mesh_wait(mesh, "name", version, -1, &version) == 0)
        if (found(mesh, "two"))
            reach(at, 2);
    if (commy_last_error() == COMMY_STATUS_REMOVED)
        reach(at, 3);
    idle();
}

static void held_by_a_stranger(void)
{
    const commy_open_options_t options = {
        .size = sizeof options, .dir = test_dir, .mesh = "m", .capacity = 64, .group = "65534", .mode = 0640};
    commy_mesh_t *owner;
    chmod(test_dir, 0755);
    for (int round = 0; round < 2; round++) {
        hold(&read_only, commy_mesh_create(&options) == 0, "%s", commy_last_error_message());
        owner = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "owner");
        put(owner, "one");
        reach(post, 0);
        pid_t stranger = start_process(stranger_reads, post);
        bool up = await(&post->stage, 1);
        hold(&powerless, up && post->status, "one of them went through, or failed otherwise");
        hold(&read_only, up && post->other, "a query was not answered");
        hold(&read_only, put(owner, "two") == 0 && await(&post->stage, 2), "the waiting one saw no change");
        if (round == 0) {
            end_process(stranger, true); /* in its sleep */
            hold(&read_only, put(owner, "three") == 0 && found(owner, "one"), "%s", commy_last_error_message());
            hold(&sound, settles(owner, 1), "a stranger's death");
        }
        hold(&told, remove_in(test_dir, "m") == 0 && (round == 0 || await(&post->stage, 3)),
             "a reader is not told of the removal");
        if (round == 1)
            end_process(stranger, true);
        commy_mesh_detach(&owner);
    }
    chmod(test_dir, 0700);
}

/* Looks for the dead as a user who may signal nobody else: the kernel says EPERM of the living, which is no death. */
static void stranger_reaps(void *at)
{
    commy_mesh_t *mesh;
    if (!become_stranger(STRANGER) || attach_in(test_dir, "m", 0, &mesh) != 0)
        _exit(1);
    for (int i = 0; i < 20; i++) {
        if (commy_mesh_reap(mesh, NULL) != 0)
            _exit(2);
        sleep_us(1000);
    }
    atomic_store(&((signpost_t *)at)->status, found(mesh, "one"));
    commy_mesh_detach(&mesh);
}

static void reaped_by_a_stranger(void)
{
    const commy_open_options_t options = {
        .size = sizeof options, .dir = test_dir, .mesh = "m", .capacity = 64, .group = "65534", .mode = 0660};
    chmod(test_dir, 0755);
    hold(&unhurt, commy_mesh_create(&options) == 0, "%s", commy_last_error_message());
    commy_mesh_t *owner = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "owner");
    put(owner, "one");
    atomic_store(&post->status, 0);
    int status = end_process(start_process(stranger_reaps, post), false);
    hold(&unhurt, status == 0 && post->status && found(owner, "one"), "status %#x", (unsigned)status);
    hold(&sound, settles(owner, 1), "a stranger's reaping");
    commy_mesh_detach(&owner);
    remove_in(test_dir, "m");
    chmod(test_dir, 0700);
}

/* A user's own files, with a permission missing; each line: mode of the file, of the directory, and what is refused. */
static void own_permissions(void *unused)
{
    static const struct {
        mode_t file, dir;
        bool writes, reads;
    } cases[] = {{0600, 0700, true, true},   {0400, 0700, false, true}, {0200, 0700, false, false},
                 {0000, 0700, false, false}, {0600, 0100, true, true},  {0600, 0500, true, true},
                 {0600, 0000, false, false}, {0600, 0600, false, false}};
    commy_mesh_t *mesh;
    (void)unused;
    if (!become_stranger(STRANGER))
        _exit(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *dir = test_path("own");
        chmod(dir, 0700);
        unlink(test_path("own/m"));
        if (attach_in(dir, "m", 0, &mesh) != 0)
            _exit(2);
        commy_mesh_detach(&mesh);
        chmod(test_path("own/m"), cases[i].file);
        chmod(dir, cases[i].dir);
        for (int write = 0; write < 2; write++) {
            bool may = write ? cases[i].writes : cases[i].reads;
            commy_status_t status = attach_in(dir, "m", write ? COMMY_OPEN_MUST_EXIST : COMMY_OPEN_READ_ONLY, &mesh);
            hold(&missing, status == (may ? COMMY_STATUS_SUCCESS : COMMY_STATUS_PERMISSION),
                 "file %04o, directory %04o: code %d, %s", cases[i].file, cases[i].dir, (int)status,
                 commy_last_error_message());
            hold(&missing, may || strlen(commy_last_error_message()) > 16, "no sentence");
            commy_mesh_detach(&mesh);
        }
        bool makes = (cases[i].dir & 0300) == 0300;
        commy_status_t status = attach_in(dir, "n", COMMY_OPEN_MUST_NOT_EXIST, &mesh);
        hold(&missing, status == (makes ? COMMY_STATUS_SUCCESS : COMMY_STATUS_PERMISSION),
             "directory %04o: code %d, %s", cases[i].dir, (int)status, commy_last_error_message());
        commy_mesh_detach(&mesh);
        unlink(test_path("own/n"));
    }
    chmod(test_path("own"), 0700);
    _exit(missing.violated == 0 && missing.looked > 0 ? 0 : 3);
}

/* The default directory of a user whom nobody knows. */
static uid_t squatter_target(char path[64])
{
    struct stat st;
    for (uid_t uid = 1999999000; uid < 1999999100; uid++) {
        snprintf(path, 64, "/dev/shm/commy-%u", uid);
        if (lstat(path, &st) != 0)
            return uid;
    }
    return 0;
}

static uid_t default_user;
static void attach_default(void *unused)
{
    commy_mesh_t *mesh;
    (void)unused;
    unsetenv("COMMY_DIR");
    unsetenv("COMMY_MESH");
    if (!become_stranger(default_user))
        _exit(1);
    commy_status_t status = commy_mesh_attach(NULL, &mesh);
    if (status == COMMY_STATUS_PERMISSION && strstr(commy_last_error_message(), "/dev/shm/commy-") == NULL)
        _exit(2);
    if (status == COMMY_STATUS_SUCCESS)
        remove_in(NULL, NULL);
    _exit(100 + (int)status);
}

static int default_code(void)
{
    int status = end_process(start_process(attach_default, NULL), false);
    return WIFEXITED(status) ? WEXITSTATUS(status) - 100 : -1;
}

static void squatting(void)
{
    char path[64];
    default_user = squatter_target(path);
    hold(&squatted, default_code() == COMMY_STATUS_SUCCESS, "without a squatter: %d", default_code());
    rmdir(path);
    static const mode_t open_to_others[] = {0777, 0770, 0755, 0701, 01777};
    for (size_t i = 0; i < 2 + sizeof open_to_others / sizeof *open_to_others; i++) {
        mode_t mode = i < 2 ? (i == 0 ? 0700 : 0777) : open_to_others[i - 2];
        mkdir(path, 0700);
        chmod(path, mode);
        if (i >= 2 && chown(path, default_user, default_user) != 0)
            hold(&squatted, false, "%s", strerror(errno));
        int code = default_code();
        hold(&squatted, code == COMMY_STATUS_PERMISSION, "%s, mode %04o: code %d",
             i < 2 ? "somebody else's" : "his own", mode, code);
        hold(&squatted, test_dir_count(path) == 0, "something was put into it");
        rmdir(path);
    }
    const char *own = test_path("private");
    chmod(test_dir, 0711);
    mkdir(own, 0700);
    hold(&squatted, chown(own, default_user, default_user) == 0, "%s", strerror(errno));
    const char *const targets[] = {own, "/nowhere/at/all", "/dev/null"};
    for (size_t i = 0; i < 3; i++) {
        hold(&squatted, symlink(targets[i], path) == 0, "%s", strerror(errno));
        int code = default_code();
        hold(&squatted, code == COMMY_STATUS_PERMISSION && test_dir_count(own) == 0, "a link to %s: code %d",
             targets[i], code);
        unlink(path);
    }
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    hold(&squatted, default_code() == COMMY_STATUS_PERMISSION, "a file");
    unlink(path);
    chmod(test_dir, 0700);
}

/* --------------------------------------------------------------------- two boots */

static void other_boot(void *unused)
{
    static const char id[] = "01234567-89ab-cdef-0123-456789abcdef\n";
    commy_mesh_t *mesh;
    (void)unused;
    int file = open(test_path("boot"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (write(file, id, sizeof id - 1) != sizeof id - 1 || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(test_path("boot"), "/proc/sys/kernel/random/boot_id", NULL, MS_BIND, NULL) != 0)
        _exit(72);
    close(file);
    bool refused = attach_in(test_dir, "m", 0, &mesh) == COMMY_STATUS_OTHER_BOOT &&
                   strstr(commy_last_error_message(), "commy rm") &&
                   attach_in(test_dir, "m", COMMY_OPEN_READ_ONLY, &mesh) == COMMY_STATUS_OTHER_BOOT &&
                   attach_in(test_dir, "m", COMMY_OPEN_MUST_NOT_EXIST, &mesh) == COMMY_STATUS_EXISTS;
    bool made = remove_in(test_dir, "m") == 0 && attach_in(test_dir, "m", 0, &mesh) == 0 && put(mesh, "one") == 0 &&
                is_clean(mesh);
    commy_mesh_detach(&mesh);
    _exit(!refused ? 1 : !made ? 2 : 0);
}

static void two_boots(void)
{
    commy_mesh_t *mesh = attach_or_exit(64, 0, "boot"), *again;
    put(mesh, "one");
    commy_mesh_detach(&mesh);
    int status = end_process(start_process(other_boot, NULL), false);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 72) {
        printf("another boot: not run, no other boot id can be shown here\n");
        boots.looked++;
        return;
    }
    hold(&boots, status == 0, "in the next boot: %#x", (unsigned)status);
    hold(&boots, attach_in(test_dir, "m", 0, &again) == COMMY_STATUS_OTHER_BOOT, "the other way round: %s",
         commy_last_error_message());
    hold(&boots, remove_in(test_dir, "m") == 0, "%s", commy_last_error_message());
}

int main(void)
{
    test_begin(300);
    post = share(SIGNPOSTS * sizeof *post);
    unlinked_by_hand();
    truncation();
    holes();
    if (geteuid() != 0) {
        printf("other users and boots: not run, only root can be somebody else\n");
        const property_t some[] = {unlinked, newcomers, told, punched, truncated, sigbus, sound};
        return verdict(some, sizeof some / sizeof *some);
    }
    two_boots();
    held_by_a_stranger();
    reaped_by_a_stranger();
    chmod(test_dir, 0711);
    if (mkdir(test_path("own"), 0700) != 0 || chown(test_path("own"), STRANGER, STRANGER) != 0)
        return 1;
    hold(&missing, end_process(start_process(own_permissions, NULL), false) == 0, "see above");
    squatting();
    const property_t all[] = {unlinked,  newcomers, told,  punched,  truncated, sigbus, powerless,
                              read_only, unhurt,    boots, squatted, missing,   sound};
    return verdict(all, sizeof all / sizeof *all);
}
