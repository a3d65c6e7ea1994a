/*
 * Removing a region.
 *
 *     count the living --> store REMOVED --> unlink
 *
 * a. Everybody who is attached sees REMOVED before the name is free, so that no two regions of one name are in use.
 * b. Killed in between, rm leaves a region that is marked and has its name: nobody can attach to it, and the next rm
 *    finishes. REMOVED is never taken back.
 * c. Only what starts as a region is ever unlinked. One that cannot be mapped (another boot, another layout, a copy,
 *    damage) is unlinked without a mark: there is nobody attached, or nobody whom this library could tell.
 *
 * A participant that joins between the count and the mark is told like all others. Linux unlinks names, not files: if
 * the region is removed and made again by others between the last look at the name and the unlink, the new one goes
 * unmarked. Two people who remove one mesh at once can see that; one cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "region/internal.h"

static commy_status_t mark_removed(const cmy_region_name_t *name, int file, const cmy_header_shm_t *header,
                                   const cmy_layout_t *layout, bool force, cmy_region_count_fn *count_live)
{
    cmy_region_t *region;
    commy_status_t status = cmy_region_map_file(name, file, header, layout, true, &region);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    uint32_t live = count_live ? count_live(region) : 0;
    if (live > 0 && !force)
        status = cmy_fail(COMMY_STATUS_BUSY,
                          "mesh %s in %s has %u live participant%s; stop %s, or remove it all the same with `commy rm "
                          "--force %s%s%s`",
                          name->mesh, name->dir, live, live == 1 ? "" : "s", live == 1 ? "it" : "them", name->mesh,
                          CMY_DIR_OPTION(name));
    else
        cmy_store64_relaxed(&region->header->removed, 1);
    cmy_region_unmap(&region);
    return status;
}

/* Judges the file and marks it where it can be. SUCCESS: it may be unlinked. */
static commy_status_t prepare(const cmy_region_name_t *name, int file, bool force, cmy_region_count_fn *count_live)
{
    cmy_header_shm_t header;
    cmy_layout_t layout;
    cmy_error_t before;

    cmy_error_save(&before);
    commy_status_t status = cmy_header_read(name, file, &header);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_header_check(name, file, &header, &layout);
    switch (status) {
    case COMMY_STATUS_SUCCESS:
        return mark_removed(name, file, &header, &layout, force, count_live);
    case COMMY_STATUS_LAYOUT:
    case COMMY_STATUS_CORRUPT:
    case COMMY_STATUS_OTHER_BOOT:
    case COMMY_STATUS_REMOVED:
        cmy_error_restore(&before); /* what is wrong with it is no failure of this call */
        return COMMY_STATUS_SUCCESS;
    default:
        return status;
    }
}

static commy_status_t unlink_it(const cmy_region_name_t *name, int dir, int file)
{
    struct stat mine, named;
    if (fstat(file, &mine) != 0)
        return cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be looked at", name->dir, name->mesh);
    /* Gone already, or another file by now: somebody else finished the job. */
    if (fstatat(dir, name->mesh, &named, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return COMMY_STATUS_SUCCESS;
        return cmy_fail_errno(cmy_status_of(errno),
                              "region %s/%s is marked removed, but its name could not be looked at; run rm again",
                              name->dir, name->mesh);
    }
    if (named.st_dev != mine.st_dev || named.st_ino != mine.st_ino)
        return COMMY_STATUS_SUCCESS;
    if (unlinkat(dir, name->mesh, 0) == 0 || errno == ENOENT)
        return COMMY_STATUS_SUCCESS;
    return cmy_fail_errno(cmy_status_of(errno),
                          "region %s/%s is marked removed, but user %u may not delete the file; delete it by hand",
                          name->dir, name->mesh, (unsigned)geteuid());
}

commy_status_t cmy_region_remove(const cmy_region_name_t *name, bool force, cmy_region_count_fn *count_live)
{
    int dir = -1, file = -1;

    commy_status_t status = cmy_dir_open(name, false, &dir);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_file_open(name, dir, true, &file);
    if (status == COMMY_STATUS_PERMISSION)
        status = cmy_fail(COMMY_STATUS_PERMISSION,
                          "region %s/%s may not be written to by user %u, and removing it means to mark it first; ask "
                          "its owner",
                          name->dir, name->mesh, (unsigned)geteuid());
    if (status != COMMY_STATUS_SUCCESS)
        goto out;
    /* Asked before the mark, so that nobody ends up with a region that is marked and stays. */
    if (faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        status = cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be removed: user %u may not write to %s",
                                name->dir, name->mesh, (unsigned)geteuid(), name->dir);
        goto out;
    }
    status = prepare(name, file, force, count_live);
    if (status == COMMY_STATUS_SUCCESS)
        status = unlink_it(name, dir, file);
out:
    if (file >= 0)
        close(file);
    close(dir);
    return status;
}
