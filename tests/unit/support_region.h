/* What the tests of regions share: one mesh, "m" in the test's own directory unless a test names another. */
#ifndef COMMY_TESTS_SUPPORT_REGION_H
#define COMMY_TESTS_SUPPORT_REGION_H

#include <criterion/criterion.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "region/internal.h"
#include "region/region.h"
#include "support.h"

static cmy_region_name_t name;

static inline void name_in(const char *dir)
{
    cr_assert_eq(cmy_region_resolve(dir, "m", &name), COMMY_STATUS_SUCCESS);
}

static inline void setup(void)
{
    test_dir_make();
    name_in(test_dir);
}

static inline void teardown(void)
{
    umount2(test_path("mount"), MNT_DETACH);
    test_dir_destroy();
}

static inline void make(uint32_t capacity)
{
    cr_assert_eq(cmy_region_create(&name, capacity, NULL, 0), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static inline cmy_region_t *map(bool writable)
{
    cmy_region_t *region;
    cr_assert_eq(cmy_region_map(&name, writable, &region), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return region;
}

/* What becomes of trying to make and to map it. */
static inline commy_status_t try_make(void)
{
    return cmy_region_create(&name, COMMY_LIMIT_SERVICES_MIN, NULL, 0);
}

static inline commy_status_t try_map(bool writable)
{
    cmy_region_t *region;
    commy_status_t status = cmy_region_map(&name, writable, &region);
    cr_assert_eq(status == COMMY_STATUS_SUCCESS, region != NULL);
    cmy_region_unmap(&region);
    return status;
}

/* The sentence that goes with a code names the directory, and holds `part`. */
static inline void expect(commy_status_t got, commy_status_t wanted, const char *part)
{
    const char *sentence = commy_last_error_message();
    cr_assert_eq(got, wanted, "%s, not %s: %s", commy_status_string((int32_t)got), commy_status_string((int32_t)wanted),
                 sentence);
    cr_assert_eq((commy_status_t)commy_last_error(), wanted);
    cr_assert(strstr(sentence, name.dir), "names the directory: %s", sentence);
    cr_assert(strstr(sentence, part), "says '%s': %s", part, sentence);
}

static inline void expect_map(commy_status_t wanted, const char *part)
{
    expect(try_map(true), wanted, part);
    expect(try_map(false), wanted, part);
}

static inline bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* The child's exit status, or 128 and the signal that ended it. */
static inline int wait_for(pid_t child)
{
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void need_root(void)
{
    if (geteuid() != 0)
        cr_skip_test("only root can make what this looks at");
}

/* Mounts a file system of this test's own on TEST_DIR/mount and names the mesh there. */
static inline void mount_here(const char *type, const char *options)
{
    need_root();
    cr_assert_eq(mkdir(test_path("mount"), 0700), 0);
    if (mount("none", test_path("mount"), type, 0, options) != 0)
        cr_skip_test("this environment lets nobody mount a file system");
    name_in(test_path("mount"));
}

#endif /* COMMY_TESTS_SUPPORT_REGION_H */
