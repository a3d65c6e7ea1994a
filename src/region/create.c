/*
 * Making a region.
 *
 * a. Whole or absent: the file has no name until its memory is reserved and its header written. A maker that is killed
 *    leaves nothing: the kernel frees an unnamed file with its last descriptor.
 * b. Once: linkat(2) gives the name to one of those who race; the others get EXISTS and find the winner's region whole.
 * c. Nothing is touched before it is reserved: the header is written through the descriptor, so that no failure of the
 *    file system is a signal here. The file size limit, which would be one, is asked first.
 *
 * Technique: O_TMPFILE and linkat(2) through /proc/self/fd, see open(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "region/internal.h"

#define NO_GROUP ((gid_t)-1)

/* What the caller asked for, checked, with its defaults. */
typedef struct request {
    const cmy_region_name_t *name;
    cmy_layout_t layout;
    const char *group; /* as it was given; null: none */
    gid_t gid;
    mode_t mode;
} request_t;

static commy_status_t find_group(const char *group, gid_t *gid)
{
    char *buffer = NULL, quoted[80];
    struct group entry, *found = NULL;

    if (group[strspn(group, "0123456789")] == '\0') {
        errno = 0;
        unsigned long long number = strtoull(group, NULL, 10);
        if (errno == 0 && number < NO_GROUP) {
            *gid = (gid_t)number;
            return COMMY_STATUS_SUCCESS;
        }
        return cmy_fail(COMMY_STATUS_INVALID, "group \"%s\" is no group number; give a name or 0 to %u",
                        cmy_text_quote(group, quoted, sizeof(quoted)), NO_GROUP - 1);
    }
    /* The entry holds all members' names; whoever has more than a megabyte of them gives the number. */
    int error = ERANGE;
    for (size_t bytes = 4096; error == ERANGE && bytes <= (size_t)1 << 20; bytes *= 2) {
        free(buffer);
        buffer = malloc(bytes);
        if (!buffer)
            return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory to look for group \"%s\"",
                            cmy_text_quote(group, quoted, sizeof(quoted)));
        error = getgrnam_r(group, &entry, buffer, bytes, &found);
    }
    *gid = found ? found->gr_gid : NO_GROUP;
    free(buffer);
    if (!found)
        return cmy_fail(COMMY_STATUS_INVALID, "there is no group \"%s\"; see `getent group`",
                        cmy_text_quote(group, quoted, sizeof(quoted)));
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t check_request(const cmy_region_name_t *name, uint32_t capacity, const char *group, uint32_t mode,
                                    request_t *request)
{
    memset(request, 0, sizeof(*request));
    request->name = name;
    if (capacity == 0)
        capacity = COMMY_DEFAULT_CAPACITY;
    if (capacity < COMMY_LIMIT_SERVICES_MIN || capacity > COMMY_LIMIT_SERVICES_MAX)
        return cmy_fail(COMMY_STATUS_INVALID, "capacity %u of mesh %s in %s is out of bounds; give %u to %u services",
                        capacity, name->mesh, name->dir, COMMY_LIMIT_SERVICES_MIN, COMMY_LIMIT_SERVICES_MAX);
    cmy_layout_compute(capacity, &request->layout);

    request->group = group && *group ? group : NULL;
    request->gid = NO_GROUP;
    if (mode == 0)
        mode = request->group ? 0660 : 0600;
    if (mode != 0600 && mode != 0640 && mode != 0660)
        return cmy_fail(COMMY_STATUS_INVALID, "mode %04o of mesh %s in %s will not do; give 0600, 0640 or 0660", mode,
                        name->mesh, name->dir);
    if (mode != 0600 && !request->group)
        return cmy_fail(
            COMMY_STATUS_INVALID,
            "mode %04o opens mesh %s in %s to a group; say which one with --group, or leave the mode at 0600", mode,
            name->mesh, name->dir);
    request->mode = mode;
    return request->group ? find_group(request->group, &request->gid) : COMMY_STATUS_SUCCESS;
}

static commy_status_t already_there(const cmy_region_name_t *name)
{
    return cmy_fail(COMMY_STATUS_EXISTS, "mesh %s exists in %s; attach to it, or remove it with `commy rm %s%s%s`",
                    name->mesh, name->dir, name->mesh, CMY_DIR_OPTION(name));
}

static commy_status_t no_space(const request_t *request)
{
    return cmy_fail_errno(COMMY_STATUS_NO_SPACE,
                          "mesh %s of %u services cannot be created in %s; make room there (`df %s`), or ask for a "
                          "smaller --capacity",
                          request->name->mesh, request->layout.capacity, request->name->dir, request->name->dir);
}

static commy_status_t open_unnamed(const request_t *request, int dir, int *file)
{
    const cmy_region_name_t *name = request->name;
    char fs[CMY_FILE_SYSTEM_BYTES];

    *file = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*file >= 0)
        return COMMY_STATUS_SUCCESS;
    switch (errno) {
    case EOPNOTSUPP:
    case EISDIR: /* what a file system or kernel without O_TMPFILE takes the flags for */
    case EINVAL:
        return cmy_fail(COMMY_STATUS_KERNEL,
                        "mesh %s cannot be created in %s: the file system there (%s) has no unnamed files (O_TMPFILE); "
                        "name a directory on a tmpfs with --dir",
                        name->mesh, name->dir, cmy_file_system(dir, fs));
    case ENOENT:
        return cmy_fail(COMMY_STATUS_MESH_NOT_FOUND, "mesh %s cannot be created in %s: the directory was just removed",
                        name->mesh, name->dir);
    case EMFILE:
    case ENFILE:
        return cmy_fail(COMMY_STATUS_LIMIT,
                        "mesh %s cannot be created in %s: no descriptor is left; close some, or raise `ulimit -n`",
                        name->mesh, name->dir);
    case ENOSPC:
    case EDQUOT:
        return no_space(request);
    case EACCES:
        return cmy_fail(COMMY_STATUS_PERMISSION,
                        "mesh %s cannot be created in %s: user %u may not write there; ask its owner, or name another "
                        "directory with --dir",
                        name->mesh, name->dir, (unsigned)geteuid());
    default:
        return cmy_fail_errno(cmy_status_of(errno), "mesh %s cannot be created in %s by user %u", name->mesh, name->dir,
                              (unsigned)geteuid());
    }
}

static commy_status_t set_access(const request_t *request, int file)
{
    const cmy_region_name_t *name = request->name;

    if (request->gid != NO_GROUP && fchown(file, (uid_t)-1, request->gid) != 0)
        return cmy_fail_errno(errno == EINVAL ? COMMY_STATUS_INVALID : cmy_status_of(errno),
                              "mesh %s in %s cannot be given to group %s, which user %u may not be a member of",
                              name->mesh, name->dir, request->group, (unsigned)geteuid());
    /* By hand: the mask of the process must not close what was asked for. */
    if (fchmod(file, request->mode) != 0)
        return cmy_fail_errno(cmy_status_of(errno), "mesh %s in %s cannot be given mode %04o", name->mesh, name->dir,
                              (unsigned)request->mode);
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t set_size(const request_t *request, int file)
{
    const cmy_region_name_t *name = request->name;
    uint64_t bytes = request->layout.region_bytes;
    struct rlimit limit;

    /* Beyond the limit ftruncate(2) does not only fail, it raises SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur)
        return cmy_fail(
            COMMY_STATUS_LIMIT,
            "mesh %s in %s takes a file of %llu bytes, and this process may make one of %llu; raise `ulimit "
            "-f`, or ask for a smaller --capacity than %u",
            name->mesh, name->dir, (unsigned long long)bytes, (unsigned long long)limit.rlim_cur,
            request->layout.capacity);
    if (ftruncate(file, (off_t)bytes) == 0)
        return COMMY_STATUS_SUCCESS;
    if (cmy_status_of(errno) == COMMY_STATUS_NO_SPACE)
        return no_space(request);
    return cmy_fail_errno(cmy_status_of(errno),
                          "mesh %s in %s cannot be given %llu bytes; ask for a smaller --capacity", name->mesh,
                          name->dir, (unsigned long long)bytes);
}

static commy_status_t reserve(const request_t *request, int file)
{
    const cmy_region_name_t *name = request->name;
    const cmy_layout_t *layout = &request->layout;
    char fs[CMY_FILE_SYSTEM_BYTES];

    int error = cmy_file_reserve(file, 0, layout->fixed_bytes);
    for (int kind = 0; kind < CMY_SLABS && error == 0; kind++) {
        const cmy_slab_layout_t *slab = &layout->slab[kind];
        uint64_t records = cmy_slab_first_chunk(slab, (cmy_slab_kind_t)kind);
        error = cmy_file_reserve(file, slab->offset, records * slab->stride);
        if (error == 0)
            error = cmy_file_reserve(file, slab->cold_offset, records * slab->cold_stride);
    }
    errno = error;
    switch (error) {
    case 0:
        return COMMY_STATUS_SUCCESS;
    case EOPNOTSUPP:
        return cmy_fail(COMMY_STATUS_KERNEL,
                        "mesh %s cannot be created in %s: the file system there (%s) cannot reserve memory "
                        "(fallocate); name a directory on a tmpfs with --dir",
                        name->mesh, name->dir, cmy_file_system(file, fs));
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
        return no_space(request);
    default:
        return cmy_fail_errno(cmy_status_of(error), "memory for mesh %s in %s cannot be reserved", name->mesh,
                              name->dir);
    }
}

static commy_status_t write_header(const request_t *request, int file)
{
    cmy_header_shm_t header;
    commy_status_t status = cmy_header_fill(file, &request->layout, &header);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (pwrite(file, &header, sizeof(header), 0) == (ssize_t)sizeof(header))
        return COMMY_STATUS_SUCCESS;
    if (cmy_status_of(errno) == COMMY_STATUS_NO_SPACE)
        return no_space(request);
    return cmy_fail_errno(cmy_status_of(errno), "the header of mesh %s in %s cannot be written", request->name->mesh,
                          request->name->dir);
}

static commy_status_t give_name(const request_t *request, int dir, int file)
{
    const cmy_region_name_t *name = request->name;
    char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (linkat(AT_FDCWD, path, dir, name->mesh, AT_SYMLINK_FOLLOW) == 0)
        return COMMY_STATUS_SUCCESS;
    /* Without /proc there is the descriptor itself, for whoever is privileged or has a newer kernel. */
    if (errno == ENOENT && linkat(file, "", dir, name->mesh, AT_EMPTY_PATH) == 0)
        return COMMY_STATUS_SUCCESS;
    switch (errno) {
    case EEXIST:
        return already_there(name);
    case ENOENT:
        return cmy_fail(COMMY_STATUS_KERNEL,
                        "mesh %s cannot be put in place in %s: the directory was removed meanwhile, or /proc is not "
                        "mounted",
                        name->mesh, name->dir);
    case ENOSPC:
    case EDQUOT:
        return no_space(request);
    default:
        return cmy_fail_errno(cmy_status_of(errno), "mesh %s cannot be put in place in %s by user %u", name->mesh,
                              name->dir, (unsigned)geteuid());
    }
}

commy_status_t cmy_region_create(const cmy_region_name_t *name, uint32_t capacity, const char *group, uint32_t mode)
{
    request_t request;
    struct stat st;
    int dir = -1, file = -1;

    commy_status_t status = check_request(name, capacity, group, mode, &request);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_dir_open(name, true, &dir);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    /* linkat() decides; this look only spares the loser the work. */
    if (fstatat(dir, name->mesh, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        status = already_there(name);
        goto out;
    }
    if ((status = open_unnamed(&request, dir, &file)) != COMMY_STATUS_SUCCESS ||
        (status = set_access(&request, file)) != COMMY_STATUS_SUCCESS ||
        (status = set_size(&request, file)) != COMMY_STATUS_SUCCESS ||
        (status = reserve(&request, file)) != COMMY_STATUS_SUCCESS ||
        (status = write_header(&request, file)) != COMMY_STATUS_SUCCESS)
        goto out;
    status = give_name(&request, dir, file);
out:
    if (file >= 0)
        close(file);
    close(dir);
    return status;
}
