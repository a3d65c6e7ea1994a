/*
 * From a directory to an open file, and what the file system's answers mean.
 *
 * Nothing but a regular file is ever opened: opening a FIFO or a device can already do something.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/error.h"
#include "region/internal.h"

commy_status_t cmy_status_of(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
        return COMMY_STATUS_PERMISSION;
    case EMFILE:
    case ENFILE:
    case EFBIG:
        return COMMY_STATUS_LIMIT;
    case ENOMEM:
    case EAGAIN:
        return COMMY_STATUS_NO_MEMORY;
    case ENOSPC:
    case EDQUOT:
        return COMMY_STATUS_NO_SPACE;
    case EOPNOTSUPP:
    case ENOSYS:
        return COMMY_STATUS_KERNEL;
    case EINTR:
        return COMMY_STATUS_INTERRUPTED;
    default:
        return COMMY_STATUS_INTERNAL;
    }
}

/* What people call the kind of a file. */
static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFLNK:
        return "a symbolic link";
    case S_IFIFO:
        return "a FIFO";
    case S_IFDIR:
        return "a directory";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "no regular file";
    }
}

static commy_status_t not_a_file(const cmy_region_name_t *name, mode_t mode)
{
    return cmy_fail(COMMY_STATUS_NOT_A_REGION,
                    "%s/%s is %s, not a region; move it away, or name another mesh with --mesh or COMMY_MESH",
                    name->dir, name->mesh, kind_of(mode));
}

static commy_status_t file_open_failed(const cmy_region_name_t *name, int dir, bool writable, const struct stat *st)
{
    int error = errno;
    switch (error) {
    case ENOENT:
        return cmy_mesh_not_found(name);
    case ELOOP: /* these were something else at the first look: somebody replaced them in between */
    case ENXIO:
    case EISDIR:
    case ENODEV:
        return not_a_file(name, 0);
    case EACCES:
    case EPERM:
    case EROFS:
        return cmy_fail(COMMY_STATUS_PERMISSION,
                        "region %s/%s (owner %u, group %u, mode %04o) may not be opened for %s by user %u; %s",
                        name->dir, name->mesh, (unsigned)st->st_uid, (unsigned)st->st_gid,
                        (unsigned)st->st_mode & 07777u, writable ? "writing" : "reading", (unsigned)geteuid(),
                        writable && faccessat(dir, name->mesh, R_OK, AT_EACCESS) == 0
                            ? "it can be attached to read-only"
                            : "its owner can open it to a group with `chgrp` and `chmod 0640`, or 0660");
    case EMFILE:
    case ENFILE:
        return cmy_fail(COMMY_STATUS_LIMIT,
                        "region %s/%s cannot be opened: no descriptor is left; close some, or raise `ulimit -n`",
                        name->dir, name->mesh);
    default:
        errno = error;
        return cmy_fail_errno(cmy_status_of(error), "region %s/%s cannot be opened", name->dir, name->mesh);
    }
}

commy_status_t cmy_file_open(const cmy_region_name_t *name, int dir, bool writable, int *file)
{
    struct stat st;

    *file = -1;
    if (fstatat(dir, name->mesh, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return cmy_mesh_not_found(name);
        if (errno == EACCES)
            return cmy_fail(
                COMMY_STATUS_PERMISSION,
                "mesh %s in %s cannot be looked at: user %u may not enter that directory; ask its owner, or "
                "name another with --dir",
                name->mesh, name->dir, (unsigned)geteuid());
        return cmy_fail_errno(cmy_status_of(errno), "mesh %s in %s cannot be looked at", name->mesh, name->dir);
    }
    if (!S_ISREG(st.st_mode))
        return not_a_file(name, st.st_mode);

    /* Still careful: what is there now need not be what was there a moment ago. */
    int flags = (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int opened = openat(dir, name->mesh, flags);
    if (opened < 0)
        return file_open_failed(name, dir, writable, &st);
    commy_status_t status = COMMY_STATUS_SUCCESS;
    if (fstat(opened, &st) != 0)
        status = cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be looked at", name->dir, name->mesh);
    else if (!S_ISREG(st.st_mode))
        status = not_a_file(name, st.st_mode);
    if (status == COMMY_STATUS_SUCCESS)
        *file = opened;
    else
        close(opened);
    return status;
}

const char *cmy_file_system(int descriptor, char name[CMY_FILE_SYSTEM_BYTES])
{
    static const struct {
        uint32_t magic;
        const char *name;
    } known[] = {
        {TMPFS_MAGIC, "tmpfs"},
        {RAMFS_MAGIC, "ramfs"},
        {EXT4_SUPER_MAGIC, "ext4"},
        {XFS_SUPER_MAGIC, "xfs"},
        {NFS_SUPER_MAGIC, "nfs"},
        {BTRFS_SUPER_MAGIC, "btrfs"},
        {OVERLAYFS_SUPER_MAGIC, "overlay"},
        {FUSE_SUPER_MAGIC, "fuse"},
        {V9FS_MAGIC, "9p"},
        {MSDOS_SUPER_MAGIC, "vfat"},
        {PROC_SUPER_MAGIC, "proc"},
        {SYSFS_MAGIC, "sysfs"},
    };
    struct statfs fs;
    if (fstatfs(descriptor, &fs) != 0)
        return "an unknown file system";
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].magic == (uint32_t)fs.f_type)
            return known[i].name;
    snprintf(name, CMY_FILE_SYSTEM_BYTES, "file system type %#x", (unsigned)fs.f_type);
    return name;
}
