/* People without permission, processes and file systems at their limits: an error, nothing changed, never a signal. */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "support_region.h"

#define STRANGER 65534 /* a user and a group that own nothing here */

TestSuite(limits, .init = setup, .fini = teardown, .timeout = 60);

/* Runs a check as a user who owns nothing; the check's result is its exit status. */
static int as_stranger(int (*check)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(setgroups(0, NULL) == 0 && setresgid(STRANGER, STRANGER, STRANGER) == 0 &&
                      setresuid(STRANGER, STRANGER, STRANGER) == 0
                  ? check()
                  : 255);
    return wait_for(child);
}

/* ------------------------------------------------------------------- permissions */

Test(limits, the_default_directory_of_somebody_else_is_refused)
{
    need_root();
    name_in(test_path("own"));
    name.own_dir = true;
    cr_assert_eq(mkdir(test_path("own"), 0700), 0);
    cr_assert_eq(chown(test_path("own"), STRANGER, STRANGER), 0);
    expect_map(COMMY_STATUS_PERMISSION, "belongs to user 65534");
    expect(try_make(), COMMY_STATUS_PERMISSION, "name another with --dir");
}

static int stranger_may_nothing(void)
{
    if (try_map(true) != COMMY_STATUS_PERMISSION || !strstr(commy_last_error_message(), "mode 0600"))
        return 1;
    if (try_map(false) != COMMY_STATUS_PERMISSION)
        return 2;
    return cmy_region_remove(&name, true, NULL) != COMMY_STATUS_PERMISSION ? 3 : 0;
}

Test(limits, who_may_not_open_the_file_is_told_so)
{
    need_root();
    cr_assert_eq(chmod(test_dir, 0755), 0);
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    cr_assert_eq(as_stranger(stranger_may_nothing), 0);
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS);
}

static int stranger_may_read(void)
{
    if (try_map(true) != COMMY_STATUS_PERMISSION || !strstr(commy_last_error_message(), "read-only"))
        return 1;
    return try_map(false) != COMMY_STATUS_SUCCESS ? 2 : 0;
}

Test(limits, who_may_only_read_is_told_that_he_can)
{
    need_root();
    cr_assert_eq(chmod(test_dir, 0755), 0);
    cr_assert_eq(cmy_region_create(&name, COMMY_LIMIT_SERVICES_MIN, "65534", 0640), COMMY_STATUS_SUCCESS);
    cr_assert_eq(as_stranger(stranger_may_read), 0);
}

static int stranger_may_write_but_not_remove(void)
{
    if (try_map(true) != COMMY_STATUS_SUCCESS)
        return 1;
    if (cmy_region_remove(&name, true, NULL) != COMMY_STATUS_PERMISSION)
        return 2;
    if (try_make() != COMMY_STATUS_EXISTS)
        return 3;
    strcpy(name.mesh, "other");
    return try_make() != COMMY_STATUS_PERMISSION ? 4 : 0;
}

Test(limits, who_may_not_write_the_directory_neither_marks_nor_makes)
{
    need_root();
    cr_assert_eq(chmod(test_dir, 0755), 0);
    cr_assert_eq(cmy_region_create(&name, COMMY_LIMIT_SERVICES_MIN, "65534", 0660), COMMY_STATUS_SUCCESS);
    cr_assert_eq(as_stranger(stranger_may_write_but_not_remove), 0);
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS, "not marked removed");
}

static int stranger_may_not_give_away(void)
{
    if (cmy_region_create(&name, COMMY_LIMIT_SERVICES_MIN, "0", 0660) != COMMY_STATUS_PERMISSION)
        return 1;
    return try_make() == COMMY_STATUS_SUCCESS ? 0 : 2;
}

Test(limits, a_region_cannot_be_given_to_a_group_of_others)
{
    need_root();
    cr_assert_eq(chown(test_dir, STRANGER, STRANGER), 0);
    cr_assert_eq(as_stranger(stranger_may_not_give_away), 0);
}

/* ------------------------------------------------------------------------ limits */

Test(limits, a_file_size_limit_is_an_error_and_no_signal)
{
    struct rlimit limit = {.rlim_cur = 1 << 16, .rlim_max = RLIM_INFINITY};
    cr_assert_eq(cmy_region_create(&name, 8192, NULL, 0), COMMY_STATUS_SUCCESS);
    cmy_region_t *region;
    cr_assert_eq(cmy_region_map(&name, true, &region), COMMY_STATUS_SUCCESS);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 1 << 16;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);

    /* SIGXFSZ would end this process. */
    strcpy(name.mesh, "other");
    expect(try_make(), COMMY_STATUS_LIMIT, "ulimit -f");
    cr_assert(strstr(commy_last_error_message(), "65536"));
    cr_assert_eq(test_dir_count(test_dir), 1);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 0), COMMY_STATUS_SUCCESS, "what is sized can grow");
    uint64_t offset = region->layout.slab[CMY_LARGE_TEXTS].offset;
    cr_assert_eq(cmy_region_reserve_by_file(region, offset, 4096, "x"), COMMY_STATUS_SUCCESS);
    cmy_region_unmap(&region);
}

Test(limits, running_out_of_descriptors_is_an_error_wherever_it_happens)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int taken[64], count = 0;
    while ((taken[count] = dup(0)) >= 0)
        count++;
    /* Attaching takes three: the directory, the file, the boot id. One more of them is there each time. */
    for (int spare = 0; spare < 3; spare++) {
        cr_assert_eq(try_map(true), COMMY_STATUS_LIMIT, "%d left: %s", spare, commy_last_error_message());
        cr_assert(strstr(commy_last_error_message(), "ulimit -n"));
        strcpy(name.mesh, "other");
        cr_assert_eq(try_make(), COMMY_STATUS_LIMIT, "%d left: %s", spare, commy_last_error_message());
        cr_assert(strstr(commy_last_error_message(), "ulimit -n"));
        strcpy(name.mesh, "m");
        close(taken[--count]);
    }
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    while (count > 0)
        close(taken[--count]);
    cr_assert_eq(test_dir_count(test_dir), 1);
}

Test(limits, running_out_of_addresses_is_an_error)
{
    unsigned long pages = 0;
    cr_assert_eq(cmy_region_create(&name, COMMY_LIMIT_SERVICES_MAX, NULL, 0), COMMY_STATUS_SUCCESS);
    FILE *statm = fopen("/proc/self/statm", "r");
    cr_assert(statm && fscanf(statm, "%lu", &pages) == 1);
    fclose(statm);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (256 << 20);
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    expect_map(COMMY_STATUS_NO_MEMORY, "ulimit -v");
}

static volatile sig_atomic_t ticks;
static void tick(int unused)
{
    (void)unused;
    ticks++;
}

Test(limits, a_fast_timer_does_not_keep_a_region_from_being_made)
{
    struct sigaction action = {.sa_handler = tick};
    struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    commy_status_t status = cmy_region_create(&name, COMMY_LIMIT_SERVICES_MAX, NULL, 0);
    setitimer(ITIMER_REAL, &never, NULL);
    cr_assert_eq(status, COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert(ticks > 0, "the timer ran");
}

Test(limits, a_file_system_that_is_too_small_is_an_error_and_keeps_nothing)
{
    mount_here("tmpfs", "size=1m,mode=0700");
    expect(cmy_region_create(&name, 8192, NULL, 0), COMMY_STATUS_NO_SPACE, "smaller --capacity");
    cr_assert_eq(test_dir_count(name.dir), 0);
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS, "all room was given back: %s", commy_last_error_message());
}

Test(limits, a_file_system_without_inodes_left_is_an_error)
{
    mount_here("tmpfs", "size=8m,nr_inodes=1,mode=0700");
    expect(try_make(), COMMY_STATUS_NO_SPACE, "df");
}

Test(limits, a_file_system_that_cannot_reserve_is_named)
{
    mount_here("ramfs", "mode=0700");
    expect(try_make(), COMMY_STATUS_KERNEL, "ramfs");
    cr_assert_eq(test_dir_count(name.dir), 0);
}

Test(limits, a_file_system_without_unnamed_files_is_named)
{
    need_root();
    name_in("/proc");
    expect(try_make(), COMMY_STATUS_KERNEL, "proc");
}
