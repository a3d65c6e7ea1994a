/* Odd hosts: names that are no names, a /proc that is not there or tells nonsense, programs with large threads, others
 * that write where nobody should. */
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/fork.h"
#include "base/node.h"
#include "base/rcu.h"
#include "base/text.h"
#include "life/life.h"
#include "life/sign.h"
#include "support_region.h"

TestSuite(host, .init = setup, .fini = teardown, .timeout = 60);

/* ------------------------------------------------------------------- names */

static void expect_node(const char *host, const char *wanted)
{
    char node[COMMY_LIMIT_MESH_BYTES + 1], whole[128];
    cr_assert_eq(sethostname(host, strlen(host)), 0);
    cmy_node_default(node);
    snprintf(whole, sizeof whole, "%s-%d", wanted, (int)getpid());
    cr_assert_str_eq(node, whole);
    cr_assert_eq(cmy_text_check_token("node id", node, NULL), COMMY_STATUS_SUCCESS, "%s", node);
}

Test(host, a_node_has_a_name_whatever_the_host_is_called)
{
    char longest[64], cut[64];
    need_root();
    if (unshare(CLONE_NEWUTS) != 0)
        cr_skip_test("this environment lets nobody name a host");
    expect_node("alpha.example", "alpha.example");
    expect_node("a b/c\n", "a-b-c-");
    expect_node("AZaz09._-", "AZaz09._-");
    expect_node("@[`{/:", "------");
    expect_node("", "localhost");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    int suffix = snprintf(NULL, 0, "-%d", (int)getpid());
    snprintf(cut, sizeof cut, "%.*s", COMMY_LIMIT_MESH_BYTES - suffix, longest);
    expect_node(longest, cut);
}

Test(host, a_file_system_without_a_name_is_shown_by_its_number)
{
    char name_of[CMY_FILE_SYSTEM_BYTES];
    int file = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC); /* nsfs, which holds no files that people make */
    cr_assert(file >= 0);
    cr_assert_str_eq(cmy_file_system(file, name_of), "file system type 0x6e736673");
    close(file);
    cr_assert_str_eq(cmy_file_system(-1, name_of), "an unknown file system");
}

/* -------------------------------------------------------------------- /proc */

/* Puts a file, or with a type a file system, in the place of another, for this process alone. */
static void hide(const char *type, const char *from, const char *path)
{
    need_root();
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(from, path, type, strcmp(type, "none") == 0 ? MS_BIND : 0, NULL) != 0)
        cr_skip_test("this environment lets nobody mount a file system");
}

static void write_boot(const char *text)
{
    int file = open(test_path("boot"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert(file >= 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

Test(host, what_is_no_boot_id_is_not_taken_for_one)
{
    write_boot("none\n");
    hide("none", test_path("boot"), "/proc/sys/kernel/random/boot_id");
    static const char *const none[] = {"none\n", "", "01234567-89ab-cdef-0123-456789abcde\n",
                                       "01234567-89ab-cdef-0123-456789ABCDEF\n"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        write_boot(none[i]);
        cr_assert_eq(try_make(), COMMY_STATUS_KERNEL);
        cr_assert(strstr(commy_last_error_message(), "holds no boot id"), "%s", commy_last_error_message());
    }
    write_boot("01234567-89ab-cdef-0123-456789abcdef\n");
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

Test(host, nobody_is_taken_for_dead_where_proc_cannot_be_read)
{
    uint32_t pid = (uint32_t)getpid();
    struct rlimit none = {0, 0}, before;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    cmy_life_sign_t without_descriptors = cmy_life_sign(pid, pid);
    bool only_keepers = cmy_life_only_keepers();
    setrlimit(RLIMIT_NOFILE, &before);
    cr_assert_eq(without_descriptors, CMY_SIGN_NONE);
    cr_assert_not(only_keepers);

    hide("tmpfs", "none", "/proc");
    cr_assert_eq(cmy_life_sign(pid, pid), CMY_SIGN_NONE);
    cr_assert_not(cmy_life_only_keepers());
    cmy_life_sign_without_files();
    cr_assert_eq(cmy_life_sign(pid, pid), CMY_SIGN_NONE);
    cr_assert_not(cmy_life_only_keepers());
}

/* The keeper's thread is gone, but who cannot tell his own namespace cannot tell whose thread that was. */
Test(host, nobody_is_declared_dead_by_who_does_not_know_his_namespace)
{
    make(COMMY_LIMIT_SERVICES_MIN);
    cmy_region_t *region = map(true);
    uint32_t nobody = 4194303;
    hide("tmpfs", "none", "/proc");
    cmy_store64_relaxed(&region->participants[3].pid_namespace, 0);
    cmy_store32_relaxed(&region->participants[3].pid, nobody);
    cmy_store32_relaxed(&region->life[3].word, nobody);
    cmy_store64_relaxed(&region->life[3].phase, cmy_life_word(CMY_SLOT_ARMED, 0, 1, nobody));
    cr_assert_eq(cmy_life_namespace(), 0);
    cr_assert_not(cmy_life_certify(region, 3));
    cr_assert(cmy_life_alive(region, cmy_owner(3, 1)));
    cr_assert(cmy_life_alive(region, CMY_NOBODY));
    cmy_region_unmap(&region);
}

Test(host, an_owner_whose_slot_is_still_to_be_filled_is_neither_alive_nor_dead)
{
    make(COMMY_LIMIT_SERVICES_MIN);
    cmy_region_t *region = map(true);
    cr_assert_not(cmy_life_alive(region, cmy_owner(3, 0)));
    cr_assert_not(cmy_life_dead(region, cmy_owner(3, 0)));
    cr_assert_not(cmy_life_alive(region, cmy_owner(COMMY_LIMIT_PARTICIPANTS, 0)));
    cr_assert(cmy_life_dead(region, cmy_owner(COMMY_LIMIT_PARTICIPANTS, 0)));
    cmy_region_unmap(&region);
}

/* ------------------------------------------------------------------ threads */

/* More than the stack that a keeper asks for. */
static _Thread_local char large[1 << 20];

Test(host, a_program_whose_threads_need_much_room_can_join)
{
    cmy_participant_t *participant;
    large[sizeof large - 1] = 1;
    make(COMMY_LIMIT_SERVICES_MIN);
    cmy_region_t *region = map(true);
    cr_assert_eq(cmy_life_join(region, "node", 0, NULL, NULL, &participant), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    cr_assert(cmy_life_alive(region, cmy_life_owner(participant)));
    cmy_life_leave(&participant);
    cmy_region_unmap(&region);
}

typedef struct thief {
    cmy_word64_t *phase;
    _Atomic bool stop;
} thief_t;

/* Takes a slot away from whoever has just begun to join. */
static void *steal(void *argument)
{
    thief_t *thief = argument;
    while (!atomic_load_explicit(&thief->stop, memory_order_relaxed)) {
        uint64_t phase = cmy_load64_relaxed(thief->phase);
        if (cmy_life_phase(phase) == CMY_SLOT_JOINING)
            cmy_swap64_acq_rel(thief->phase, phase, cmy_life_word(CMY_SLOT_FREE, 0, 7, 0));
    }
    return NULL;
}

Test(host, who_loses_his_slot_while_he_joins_is_told_and_keeps_nothing)
{
    pthread_t thread;
    make(COMMY_LIMIT_SERVICES_MIN);
    cmy_region_t *region = map(true);
    thief_t thief = {.phase = &region->life[0].phase};
    cr_assert_eq(pthread_create(&thread, NULL, steal, &thief), 0);
    int told = 0;
    for (int i = 0; i < 3000 && told < 3; i++) {
        cmy_participant_t *participant;
        commy_status_t status = cmy_life_join(region, "node", 0, NULL, NULL, &participant);
        cr_assert(status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_CORRUPT, "%s", commy_last_error_message());
        cr_assert_eq(status == COMMY_STATUS_SUCCESS, participant != NULL);
        if (participant)
            cmy_life_leave(&participant);
        else
            cr_assert(strstr(commy_last_error_message(), "was taken away while it was being filled"));
        told += status == COMMY_STATUS_CORRUPT;
        cmy_store64_relaxed(&region->life[0].phase, cmy_life_word(CMY_SLOT_FREE, 0, (uint32_t)i + 8, 0));
    }
    atomic_store(&thief.stop, true);
    pthread_join(thread, NULL);
    if (told == 0)
        cr_skip_test("on this machine the thief always came too late");
    cmy_region_unmap(&region);
}

/* ------------------------------------------------------------- default directory */

#define STRANGER 61357u

static void poke(const char *path, size_t offset, uint64_t value)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || pwrite(file, &value, sizeof value, (off_t)offset) != (ssize_t)sizeof value)
        _exit(2);
    close(file);
}

/* Where no directory was given, none is to be given to `commy rm` either. */
static bool advises(commy_status_t got, commy_status_t wanted)
{
    const char *sentence = commy_last_error_message();
    bool good = got == wanted && strstr(sentence, "commy rm ") && !strstr(sentence, "--dir");
    if (!good)
        fprintf(stderr, "%d, not %d: %s\n", (int)got, (int)wanted, sentence);
    return good;
}

static bool advises_for(const char *path, size_t offset, uint64_t value, commy_status_t wanted)
{
    bool made = try_make() == COMMY_STATUS_SUCCESS;
    poke(path, offset, value);
    bool good = made && advises(try_map(true), wanted);
    unlink(path);
    return good;
}

static bool all_advise(void)
{
    char path[400];
    cmy_region_t *region;
    cmy_participant_t *participant;
    unsetenv("COMMY_DIR");
    if (cmy_region_resolve(NULL, "m", &name) != COMMY_STATUS_SUCCESS || !name.own_dir)
        return false;
    snprintf(path, sizeof path, "%s/m", name.dir);
    unlink(path); /* of a run that was killed */
    bool good = advises_for(path, offsetof(cmy_header_shm_t, byte_order), 0, COMMY_STATUS_LAYOUT) &&
                advises_for(path, offsetof(cmy_header_shm_t, fingerprint), 1, COMMY_STATUS_LAYOUT) &&
                advises_for(path, offsetof(cmy_header_shm_t, boot_id), 1, COMMY_STATUS_OTHER_BOOT) &&
                advises_for(path, offsetof(cmy_header_shm_t, region_bytes), 1, COMMY_STATUS_CORRUPT) &&
                advises_for(path, offsetof(cmy_header_shm_t, removed), 1, COMMY_STATUS_REMOVED);
    good = good && try_make() == COMMY_STATUS_SUCCESS && advises(try_make(), COMMY_STATUS_EXISTS);
    good = good && cmy_region_map(&name, true, &region) == COMMY_STATUS_SUCCESS &&
           cmy_life_join(region, "node", 0, NULL, NULL, &participant) == COMMY_STATUS_SUCCESS &&
           advises(cmy_region_remove(&name, false, cmy_life_count), COMMY_STATUS_BUSY);
    if (good) {
        cmy_life_leave(&participant);
        cmy_region_unmap(&region);
    }
    good = good && truncate(path, 100) == 0 && advises(try_map(true), COMMY_STATUS_CORRUPT);
    unlink(path);
    rmdir(name.dir);
    return good;
}

Test(host, in_the_default_directory_the_way_out_names_no_directory)
{
    need_root();
    pid_t child = fork();
    if (child == 0) { /* a user of his own, whose default directory nobody else uses */
        if (setgroups(0, NULL) != 0 || setresgid(STRANGER, STRANGER, STRANGER) != 0 ||
            setresuid(STRANGER, STRANGER, STRANGER) != 0)
            _exit(3);
        _exit(all_advise() ? 0 : 1);
    }
    cr_assert_eq(wait_for(child), 0);
}

/* --------------------------------------------------------------- other places */

Test(host, a_region_may_lie_on_a_disk)
{
    char dir[] = "/var/tmp/commy-test-XXXXXX", kind[CMY_FILE_SYSTEM_BYTES];
    cr_assert(mkdtemp(dir));
    int file = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool disk = strcmp(cmy_file_system(file, kind), "ext4") == 0 || strcmp(cmy_file_system(file, kind), "xfs") == 0;
    close(file);
    name_in(dir);
    commy_status_t made = disk ? try_make() : COMMY_STATUS_SUCCESS,
                   mapped = disk ? try_map(true) : COMMY_STATUS_SUCCESS;
    char path[400];
    snprintf(path, sizeof path, "%s/m", dir);
    unlink(path);
    rmdir(dir);
    if (!disk)
        cr_skip_test("/var/tmp is on no disk whose files can be nameless");
    cr_assert_eq(made, COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(mapped, COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

Test(host, a_limit_that_leaves_room_is_none)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 1ull << 40;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    make(COMMY_LIMIT_SERVICES_MIN);
}

/* --------------------------------------------------------------- generations */

Test(host, a_process_is_of_one_generation_however_often_it_asks)
{
    uint64_t generation = cmy_fork_generation();
    cr_assert_neq(generation, 0);
    cr_assert_eq(cmy_fork_generation_new(), generation);
    pid_t child = fork();
    if (child == 0)
        _exit(cmy_fork_generation() != generation && cmy_fork_generation_new() == cmy_fork_generation() ? 0 : 1);
    cr_assert_eq(wait_for(child), 0);
}

Test(host, a_child_that_was_forked_in_the_middle_of_a_change_knows_that_its_locks_are_not_sound)
{
    cr_assert(cmy_rcu_ready());
    cr_assert(cmy_rcu_sound());
    for (int inside = 0; inside < 2; inside++) {
        if (inside)
            cmy_rcu_read_lock();
        pid_t child = fork();
        if (child == 0)
            _exit(cmy_rcu_sound() == !inside ? 0 : 1);
        if (inside)
            cmy_rcu_read_unlock();
        cr_assert_eq(wait_for(child), 0, "%s", inside ? "inside" : "outside");
    }
}
