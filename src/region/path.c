/*
 * From a name to a directory.
 *
 * a. A directory is looked at through its descriptor and everything in it is reached from there, so that nobody can
 *    exchange it between the look and the use.
 * b. The default directory is the caller's own and private, or refused: whoever may write a region may damage it.
 * c. A directory that somebody named is trusted with any owner, but never when all the world may write to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "region/internal.h"

#define DEFAULT_PARENT "/dev/shm"

/* Where a relative directory lies now: growth may have to find the region again after the program went elsewhere. */
static void make_absolute(char *dir, size_t capacity)
{
    char here[COMMY_LIMIT_ENDPOINT_BYTES + 1], both[2 * sizeof(here)];
    if (dir[0] == '/' || !getcwd(here, sizeof(here)))
        return;
    int bytes = snprintf(both, sizeof(both), "%s/%s", strcmp(here, "/") == 0 ? "" : here, dir);
    if (bytes > 0 && (size_t)bytes < capacity)
        memcpy(dir, both, (size_t)bytes + 1);
}

commy_status_t cmy_region_resolve(const char *dir, const char *mesh, cmy_region_name_t *name)
{
    commy_status_t status;
    size_t bytes;

    memset(name, 0, sizeof(*name));
    if (!mesh || !*mesh)
        mesh = secure_getenv("COMMY_MESH");
    if (!mesh || !*mesh)
        mesh = "default";
    status = cmy_text_check_token("mesh name", mesh, &bytes);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    memcpy(name->mesh, mesh, bytes);

    if (!dir || !*dir)
        dir = secure_getenv("COMMY_DIR");
    if (!dir || !*dir) {
        name->own_dir = true;
        snprintf(name->dir, sizeof(name->dir), DEFAULT_PARENT "/commy-%u", (unsigned)geteuid());
        return COMMY_STATUS_SUCCESS;
    }
    status = cmy_text_check("directory", dir, 1, COMMY_LIMIT_ENDPOINT_BYTES, false, &bytes);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    while (bytes > 1 && dir[bytes - 1] == '/')
        bytes--;
    memcpy(name->dir, dir, bytes);
    make_absolute(name->dir, sizeof(name->dir));
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_mesh_not_found(const cmy_region_name_t *name)
{
    return cmy_fail(COMMY_STATUS_MESH_NOT_FOUND, "no mesh %s in %s; create it with `commy create --mesh %s%s%s`",
                    name->mesh, name->dir, name->mesh, CMY_DIR_OPTION(name));
}

static commy_status_t dir_missing(const cmy_region_name_t *name)
{
    if (name->own_dir)
        return cmy_mesh_not_found(name);
    return cmy_fail(COMMY_STATUS_MESH_NOT_FOUND,
                    "no mesh %s: the directory %s is missing; make it with `mkdir -p -m 0700 %s`", name->mesh,
                    name->dir, name->dir);
}

static commy_status_t dir_make(const cmy_region_name_t *name)
{
    if (mkdir(name->dir, 0700) == 0 || errno == EEXIST)
        return COMMY_STATUS_SUCCESS;
    if (errno == ENOENT)
        return cmy_fail(COMMY_STATUS_KERNEL,
                        "the default directory %s cannot be made for mesh %s: this system has no %s; mount a tmpfs "
                        "there, or name a directory with --dir or COMMY_DIR",
                        name->dir, name->mesh, DEFAULT_PARENT);
    return cmy_fail_errno(cmy_status_of(errno),
                          "the default directory %s cannot be made for mesh %s; name another with --dir or COMMY_DIR",
                          name->dir, name->mesh);
}

static commy_status_t dir_open_failed(const cmy_region_name_t *name)
{
    switch (errno) {
    case ENOENT:
        return dir_missing(name);
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        if (name->own_dir)
            return cmy_fail(COMMY_STATUS_PERMISSION,
                            "%s should be the private directory of user %u, but is no directory; remove it, or name "
                            "another with --dir or COMMY_DIR",
                            name->dir, (unsigned)geteuid());
        return cmy_fail_errno(COMMY_STATUS_INVALID, "%s is no directory for mesh %s; name another with --dir",
                              name->dir, name->mesh);
    case EMFILE:
    case ENFILE:
        return cmy_fail(
            COMMY_STATUS_LIMIT,
            "directory %s of mesh %s cannot be opened: no descriptor is left; close some, or raise `ulimit -n`",
            name->dir, name->mesh);
    default:
        return cmy_fail_errno(cmy_status_of(errno), "directory %s of mesh %s cannot be opened", name->dir, name->mesh);
    }
}

static commy_status_t dir_check(const cmy_region_name_t *name, int dir)
{
    struct stat st;
    if (fstat(dir, &st) != 0)
        return cmy_fail_errno(cmy_status_of(errno), "directory %s of mesh %s cannot be looked at", name->dir,
                              name->mesh);
    unsigned mode = st.st_mode & 07777u;
    if (!name->own_dir) {
        if (!(mode & S_IWOTH))
            return COMMY_STATUS_SUCCESS;
        if (mode & S_ISVTX) /* it is meant for everybody, as /tmp is */
            return cmy_fail(COMMY_STATUS_PERMISSION,
                            "directory %s of mesh %s is refused: everybody may write to it (owner %u, mode %04o); make "
                            "one below it with `mkdir -m 0700`, and name that with --dir or COMMY_DIR",
                            name->dir, name->mesh, (unsigned)st.st_uid, mode);
        return cmy_fail(
            COMMY_STATUS_PERMISSION,
            "directory %s of mesh %s is refused: everybody may write to it (owner %u, mode %04o); run `chmod "
            "o-w %s`, or make one below it with `mkdir -m 0700`",
            name->dir, name->mesh, (unsigned)st.st_uid, mode, name->dir);
    }
    if (st.st_uid != geteuid())
        return cmy_fail(COMMY_STATUS_PERMISSION,
                        "directory %s of mesh %s is refused: it belongs to user %u (mode %04o), not to user %u; remove "
                        "it, or name another with --dir or COMMY_DIR",
                        name->dir, name->mesh, (unsigned)st.st_uid, mode, (unsigned)geteuid());
    if (mode & 077)
        return cmy_fail(
            COMMY_STATUS_PERMISSION,
            "directory %s of mesh %s is refused: it is open to others (owner %u, mode %04o); run `chmod 0700 "
            "%s`, or share one of another name with --dir",
            name->dir, name->mesh, (unsigned)st.st_uid, mode, name->dir);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_dir_open(const cmy_region_name_t *name, bool make, int *dir)
{
    commy_status_t status;

    *dir = -1;
    if (name->own_dir && make) {
        status = dir_make(name);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
    }
    /* O_PATH: a directory may be shared with people who can search it and not list it. */
    int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | (name->own_dir ? O_NOFOLLOW : 0);
    int opened = open(name->dir, flags);
    if (opened < 0)
        return dir_open_failed(name);
    status = dir_check(name, opened);
    if (status != COMMY_STATUS_SUCCESS) {
        close(opened);
        return status;
    }
    *dir = opened;
    return COMMY_STATUS_SUCCESS;
}
