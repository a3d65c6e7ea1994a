/* Directories and files that are not as they should be: each its own code, a sentence with the way out, no harm. */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support_region.h"

TestSuite(input, .init = setup, .fini = teardown, .timeout = 60);

static void poke(size_t offset, const void *bytes, size_t count)
{
    int file = open(test_path("m"), O_RDWR);
    cr_assert(file >= 0 && pwrite(file, bytes, count, (off_t)offset) == (ssize_t)count);
    close(file);
}

#define POKE(field, ...)                                                                                               \
    do {                                                                                                               \
        __typeof__(((cmy_header_shm_t *)0)->field) value_ = __VA_ARGS__;                                               \
        poke(offsetof(cmy_header_shm_t, field), &value_, sizeof(value_));                                              \
    } while (0)

static void put_file(const char *path, const void *bytes, size_t count)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(file >= 0 && write(file, bytes, count) == (ssize_t)count);
    close(file);
}

/* ------------------------------------------------------------ what is asked for */

Test(input, defaults_come_from_the_environment_and_then_from_the_user)
{
    char own[64];
    unsetenv("COMMY_DIR");
    unsetenv("COMMY_MESH");
    snprintf(own, sizeof(own), "/dev/shm/commy-%u", (unsigned)geteuid());
    cr_assert_eq(cmy_region_resolve(NULL, "", &name), COMMY_STATUS_SUCCESS);
    cr_assert_str_eq(name.dir, own);
    cr_assert_str_eq(name.mesh, "default");
    cr_assert(name.own_dir);
    setenv("COMMY_DIR", "/somewhere//", 1);
    setenv("COMMY_MESH", "other", 1);
    cr_assert_eq(cmy_region_resolve("", NULL, &name), COMMY_STATUS_SUCCESS);
    cr_assert_str_eq(name.dir, "/somewhere");
    cr_assert_str_eq(name.mesh, "other");
    cr_assert_not(name.own_dir);
    cr_assert_eq(cmy_region_resolve("/", "third", &name), COMMY_STATUS_SUCCESS);
    cr_assert_str_eq(name.dir, "/");
    cr_assert_str_eq(name.mesh, "third");
}

Test(input, a_relative_directory_is_kept_as_what_it_is_now)
{
    cr_assert_eq(chdir(test_dir), 0);
    cr_assert_eq(mkdir("below", 0700), 0);
    name_in("below");
    cr_assert_str_eq(name.dir, test_path("below"));
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    cr_assert(exists(test_path("below/m")));
}

Test(input, names_that_will_not_do_are_refused)
{
    char longest[300];
    cmy_region_name_t other;
    memset(longest, 'd', sizeof(longest));
    longest[0] = '/';
    longest[256] = '\0';
    cr_assert_eq(cmy_region_resolve(longest, "m", &other), COMMY_STATUS_INVALID);
    cr_assert_eq(cmy_region_resolve("/a\nb", "m", &other), COMMY_STATUS_INVALID);
    cr_assert_eq(cmy_region_resolve("/a", "../m", &other), COMMY_STATUS_INVALID);
    cr_assert_eq(cmy_region_resolve("/a", "..", &other), COMMY_STATUS_INVALID);
}

Test(input, a_capacity_out_of_bounds_is_refused_and_names_the_bounds)
{
    static const uint32_t bad[] = {1, 15, 1048577, UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char value[16];
        snprintf(value, sizeof(value), "%u", bad[i]);
        expect(cmy_region_create(&name, bad[i], NULL, 0), COMMY_STATUS_INVALID, value);
        cr_assert(strstr(commy_last_error_message(), "16 to 1048576"));
    }
    cr_assert_eq(test_dir_count(test_dir), 0);
}

Test(input, modes_and_groups_that_make_no_sense_are_refused)
{
    static const uint32_t bad[] = {0644, 0666, 0660, 0640, 0700, 02660, 01};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        expect(cmy_region_create(&name, 0, NULL, bad[i]), COMMY_STATUS_INVALID, "mode");
    cr_assert_eq(cmy_region_create(&name, 0, "no-such-group", 0660), COMMY_STATUS_INVALID);
    cr_assert(strstr(commy_last_error_message(), "no-such-group"));
    cr_assert_eq(cmy_region_create(&name, 0, "4294967295", 0660), COMMY_STATUS_INVALID);
    cr_assert_eq(cmy_region_create(&name, 0, "99999999999999999999999", 0660), COMMY_STATUS_INVALID);
    cr_assert_eq(cmy_region_create(&name, 0, "-1", 0660), COMMY_STATUS_INVALID);
    cr_assert_eq(test_dir_count(test_dir), 0);
}

/* ------------------------------------------------------------------ directories */

Test(input, a_directory_by_hand_that_is_missing_is_never_made)
{
    name_in(test_path("missing"));
    expect_map(COMMY_STATUS_MESH_NOT_FOUND, "mkdir -p -m 0700");
    expect(try_make(), COMMY_STATUS_MESH_NOT_FOUND, "mkdir -p -m 0700");
    cr_assert_not(exists(test_path("missing")));
}

Test(input, a_mesh_that_is_missing_is_named_with_its_directory)
{
    expect_map(COMMY_STATUS_MESH_NOT_FOUND, "no mesh m in");
    cr_assert(strstr(commy_last_error_message(), "commy create --mesh m --dir /dev/shm/commy-test-"));
    expect(cmy_region_remove(&name, true, NULL), COMMY_STATUS_MESH_NOT_FOUND, "no mesh m in");
}

Test(input, a_file_for_a_directory_is_refused)
{
    put_file(test_path("file"), "x", 1);
    name_in(test_path("file"));
    expect_map(COMMY_STATUS_INVALID, "no directory");
    expect(try_make(), COMMY_STATUS_INVALID, "no directory");
}

Test(input, a_directory_that_all_the_world_may_write_to_is_refused_even_if_sticky)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    static const mode_t bad[] = {0777, 01777, 0702};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(chmod(test_dir, bad[i]), 0);
        expect_map(COMMY_STATUS_PERMISSION, "everybody may write");
        expect(try_make(), COMMY_STATUS_PERMISSION, bad[i] & S_ISVTX ? "; make one below it" : "chmod o-w");
        expect(cmy_region_remove(&name, true, NULL), COMMY_STATUS_PERMISSION, "(owner ");
    }
    cr_assert_eq(chmod(test_dir, 02775), 0);
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS, "a group may share a directory that somebody named");
}

Test(input, the_default_directory_is_made_private_and_refused_when_it_is_not)
{
    name_in(test_path("own"));
    name.own_dir = true;
    expect_map(COMMY_STATUS_MESH_NOT_FOUND, "no mesh m");
    cr_assert_not(exists(test_path("own")), "looking makes nothing");

    umask(0);
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    struct stat st;
    cr_assert_eq(stat(test_path("own"), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0700);
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS);

    static const mode_t bad[] = {0755, 0710, 0701, 0770};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(chmod(test_path("own"), bad[i]), 0);
        expect_map(COMMY_STATUS_PERMISSION, "chmod 0700");
        cr_assert(strstr(commy_last_error_message(), "mode 07"));
    }
    cr_assert_eq(chmod(test_path("own"), 0700), 0);
    cr_assert_eq(rename(test_path("own"), test_path("elsewhere")), 0);
    cr_assert_eq(symlink("elsewhere", test_path("own")), 0);
    expect_map(COMMY_STATUS_PERMISSION, "no directory");
    expect(try_make(), COMMY_STATUS_PERMISSION, "no directory");
}

/* ------------------------------------------------------- something else is there */

static void expect_not_a_region(const char *part)
{
    struct stat before, after;
    cr_assert_eq(lstat(test_path("m"), &before), 0);
    expect_map(COMMY_STATUS_NOT_A_REGION, part);
    expect(cmy_region_remove(&name, true, NULL), COMMY_STATUS_NOT_A_REGION, part);
    expect(try_make(), COMMY_STATUS_EXISTS, "exists");
    cr_assert_eq(lstat(test_path("m"), &after), 0, "it is left alone");
    cr_assert_eq(before.st_ino, after.st_ino);
    cr_assert_eq(before.st_size, after.st_size);
}

Test(input, a_symlink_is_not_followed_not_even_to_a_region)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    cr_assert_eq(rename(test_path("m"), test_path("real")), 0);
    cr_assert_eq(symlink("real", test_path("m")), 0);
    expect_not_a_region("symbolic link");
    cr_assert(exists(test_path("real")));
}

Test(input, a_fifo_is_refused_at_once)
{
    cr_assert_eq(mkfifo(test_path("m"), 0600), 0);
    alarm(10);
    expect_not_a_region("FIFO");
}

Test(input, a_directory_is_refused)
{
    cr_assert_eq(mkdir(test_path("m"), 0700), 0);
    expect_not_a_region("a directory");
}

Test(input, a_socket_is_refused)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/m", test_dir);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    expect_not_a_region("a socket");
    close(listener);
}

Test(input, a_device_is_refused_unopened)
{
    need_root();
    if (mknod(test_path("m"), S_IFCHR | 0600, 1 << 8 | 3) != 0)
        cr_skip_test("this environment makes no device files");
    expect_not_a_region("a device");
}

Test(input, an_empty_file_is_not_a_region)
{
    put_file(test_path("m"), "", 0);
    expect_not_a_region("empty");
}

Test(input, a_file_of_somebody_else_is_not_a_region)
{
    char page[8192];
    memset(page, 'x', sizeof(page));
    static const size_t sizes[] = {3, 8, 100, 384, 8192};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        put_file(test_path("m"), page, sizes[i]);
        expect_not_a_region("not a region");
    }
}

/* --------------------------------------------------------------- damaged regions */

Test(input, a_truncated_region_is_corrupt_and_says_its_size)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    cr_assert_eq(truncate(test_path("m"), 200), 0);
    expect_map(COMMY_STATUS_CORRUPT, "200 bytes");
    cr_assert_eq(truncate(test_path("m"), 8), 0);
    expect_map(COMMY_STATUS_CORRUPT, "truncated");
    cr_assert_eq(cmy_region_remove(&name, false, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    cr_assert_eq(truncate(test_path("m"), 65536), 0);
    expect_map(COMMY_STATUS_CORRUPT, "65536");
    cr_assert_eq(truncate(test_path("m"), 1 << 30), 0);
    expect_map(COMMY_STATUS_CORRUPT, "1073741824");
    cr_assert(strstr(commy_last_error_message(), "commy rm m --dir "));
}

Test(input, a_capacity_that_makes_no_sense_is_corrupt)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    static const uint32_t bad[] = {0, 15, 1048577, UINT32_MAX, 1025};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        POKE(capacity, bad[i]);
        expect_map(COMMY_STATUS_CORRUPT, "damaged");
    }
    POKE(capacity, COMMY_LIMIT_SERVICES_MIN);
    POKE(region_bytes, 4096);
    expect_map(COMMY_STATUS_CORRUPT, "4096");
}

Test(input, marks_beyond_a_limit_or_beyond_what_is_backed_are_corrupt)
{
    cmy_layout_t layout;
    cmy_layout_compute(8192, &layout);
    cr_assert_eq(cmy_region_create(&name, 8192, NULL, 0), COMMY_STATUS_SUCCESS);
    size_t at = offsetof(cmy_header_shm_t, reserved) + CMY_STATS * sizeof(uint64_t);
    uint64_t mark = layout.slab[CMY_STATS].limit;
    poke(at, &mark, sizeof(mark));
    expect_map(COMMY_STATUS_CORRUPT, "backed");
    mark++;
    poke(at, &mark, sizeof(mark));
    expect_map(COMMY_STATUS_CORRUPT, "8257");
    mark = UINT64_MAX;
    poke(at, &mark, sizeof(mark));
    expect_map(COMMY_STATUS_CORRUPT, "reserved");
    mark = 0;
    poke(at, &mark, sizeof(mark));
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS);
}

Test(input, a_region_with_holes_punched_into_it_is_corrupt)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    int file = open(test_path("m"), O_RDWR);
    cr_assert_eq(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 8192), 0);
    close(file);
    expect_map(COMMY_STATUS_CORRUPT, "backed");
}

Test(input, another_layout_names_both_versions_and_the_maker)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    POKE(layout_version, 77);
    POKE(maker, "commy 7.8.9");
    expect_map(COMMY_STATUS_LAYOUT, "commy 7.8.9");
    cr_assert(strstr(commy_last_error_message(), "layout 77") && strstr(commy_last_error_message(), "layout 1"));
    POKE(layout_version, CMY_LAYOUT_VERSION);
    POKE(fingerprint, 0x1234);
    poke(offsetof(cmy_header_shm_t, maker), "\x1b[31m no end to this text, thirty-two bytes of it", 32);
    expect_map(COMMY_STATUS_LAYOUT, "\\x1b[31m no end");
    cr_assert_eq(cmy_region_remove(&name, false, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_not(exists(test_path("m")));
}

Test(input, another_byte_order_is_another_layout)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    POKE(byte_order, __builtin_bswap32(CMY_BYTE_ORDER));
    expect_map(COMMY_STATUS_LAYOUT, "byte order");
    POKE(magic, __builtin_bswap64(CMY_MAGIC));
    expect_map(COMMY_STATUS_LAYOUT, "byte order");
    cr_assert_eq(cmy_region_remove(&name, false, NULL), COMMY_STATUS_SUCCESS);
}

Test(input, a_region_of_another_boot_is_told_apart_and_can_be_removed)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    POKE(boot_id, {1, 2, 3});
    expect_map(COMMY_STATUS_OTHER_BOOT, "commy rm m");
    cmy_fail(COMMY_STATUS_FULL, "before");
    cr_assert_eq(cmy_region_remove(&name, false, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_not(exists(test_path("m")));
    cr_assert_str_eq(commy_last_error_message(), "before", "success leaves the last failure alone");
}

Test(input, a_copy_is_not_attached_to)
{
    static char bytes[4 << 20];
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    int file = open(test_path("m"), O_RDONLY);
    ssize_t count = read(file, bytes, sizeof(bytes));
    close(file);
    cr_assert(count > 0 && (size_t)count < sizeof(bytes));
    cr_assert_eq(rename(test_path("m"), test_path("original")), 0);
    put_file(test_path("m"), bytes, (size_t)count);
    expect_map(COMMY_STATUS_REMOVED, "copy");
    cr_assert(strstr(commy_last_error_message(), "commy dump"));
    cr_assert_eq(cmy_region_remove(&name, false, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_not(exists(test_path("m")));
    cr_assert_eq(rename(test_path("original"), test_path("m")), 0);
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS, "the original is still good, and not marked");
}

Test(input, no_byte_of_the_header_can_do_more_than_be_refused)
{
    cr_assert_eq(try_make(), COMMY_STATUS_SUCCESS);
    cmy_header_shm_t header;
    int file = open(test_path("m"), O_RDWR);
    cr_assert_eq(pread(file, &header, sizeof(header), 0), (ssize_t)sizeof(header));
    for (size_t at = 0; at < sizeof(header); at++) {
        for (int flip = 0; flip < 9; flip++) {
            unsigned char good = ((const unsigned char *)&header)[at];
            unsigned char bad = flip == 8 ? (unsigned char)~good : (unsigned char)(good ^ 1 << flip);
            cr_assert_eq(pwrite(file, &bad, 1, (off_t)at), 1);
            commy_status_t status = try_map(flip & 1);
            cr_assert(status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_LAYOUT ||
                          status == COMMY_STATUS_CORRUPT || status == COMMY_STATUS_OTHER_BOOT ||
                          status == COMMY_STATUS_REMOVED || status == COMMY_STATUS_NOT_A_REGION,
                      "byte %zu: %d", at, status);
            cr_assert_eq(pwrite(file, &good, 1, (off_t)at), 1);
        }
    }
    close(file);
    cr_assert_eq(try_map(true), COMMY_STATUS_SUCCESS);
}

Test(input, a_relative_directory_stays_one_where_it_cannot_be_more)
{
    char longest[250];
    cr_assert_eq(chdir("/"), 0);
    name_in("tmp");
    cr_assert_str_eq(name.dir, "/tmp");
    memset(longest, 'd', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_assert_eq(chdir(test_dir), 0);
    name_in(longest);
    cr_assert_str_eq(name.dir, longest, "together they are too long");
    cr_assert_eq(mkdir("gone", 0700), 0);
    cr_assert_eq(chdir("gone"), 0);
    cr_assert_eq(rmdir(test_path("gone")), 0);
    name_in("below");
    cr_assert_str_eq(name.dir, "below", "nobody knows where this is");
}

Test(input, empty_words_are_as_good_as_none)
{
    setenv("COMMY_DIR", "", 1);
    setenv("COMMY_MESH", "", 1);
    cr_assert_eq(cmy_region_resolve("", "", &name), COMMY_STATUS_SUCCESS);
    cr_assert_str_eq(name.mesh, "default");
    cr_assert(name.own_dir);
    name_in(test_dir);
    cr_assert_eq(cmy_region_create(&name, COMMY_LIMIT_SERVICES_MIN, "", 0), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
}
