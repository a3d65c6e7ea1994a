/*
 * The header: filled in by the maker before the file has a name, copied and judged by whoever wants to map it.
 *
 * a. It is judged in a private copy, so that nobody can change it between the judgement and the use.
 * b. Magic, byte order, layout and fingerprint lie where they lie in every version: they are judged before anything
 *    that a version may move.
 * c. Every way of being wrong has a code of its own, and a sentence that says what to do.
 */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "base/version.h"
#include "region/internal.h"

commy_status_t cmy_header_fill(int file, const cmy_layout_t *layout, cmy_header_shm_t *header)
{
    struct stat st;
    struct timespec now;

    memset(header, 0, sizeof(*header));
    if (fstat(file, &st) != 0)
        return cmy_fail_errno(cmy_status_of(errno), "the new region's file cannot be looked at");
    ssize_t drawn = -1;
    for (int turn = 0; drawn < 0 && (turn == 0 || errno == EINTR) && turn < CMY_INTERRUPTIONS; turn++)
        drawn = getrandom(&header->seed, sizeof(header->seed), 0);
    if (drawn != (ssize_t)sizeof(header->seed))
        return cmy_fail_errno(COMMY_STATUS_KERNEL, "getrandom(2) gives no random number");
    commy_status_t status = cmy_boot_id(header->boot_id);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    clock_gettime(CLOCK_REALTIME, &now);

    header->magic = CMY_MAGIC;
    header->layout_version = CMY_LAYOUT_VERSION;
    header->byte_order = CMY_BYTE_ORDER;
    header->fingerprint = cmy_layout_fingerprint();
    header->region_bytes = layout->region_bytes;
    header->capacity = layout->capacity;
    header->device = st.st_dev;
    header->inode = st.st_ino;
    header->created_at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    header->maker_pid = (uint64_t)getpid();
    memcpy(header->maker, "commy " CMY_VERSION, sizeof("commy " CMY_VERSION));
    for (int kind = 0; kind < CMY_SLABS; kind++)
        cmy_store64_relaxed(&header->reserved[kind], cmy_slab_first_chunk(&layout->slab[kind], (cmy_slab_kind_t)kind));
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_header_read(const cmy_region_name_t *name, int file, cmy_header_shm_t *header)
{
    memset(header, 0, sizeof(*header));
    ssize_t bytes = pread(file, header, sizeof(*header), 0);
    if (bytes < 0)
        return cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be read", name->dir, name->mesh);
    if (bytes == 0)
        return cmy_fail(COMMY_STATUS_NOT_A_REGION, "%s/%s is empty, not a region; delete it, or name another mesh",
                        name->dir, name->mesh);
    if (header->magic != CMY_MAGIC && header->magic != __builtin_bswap64(CMY_MAGIC))
        return cmy_fail(COMMY_STATUS_NOT_A_REGION,
                        "%s/%s is not a region: it does not start as one; move it away, or name another mesh",
                        name->dir, name->mesh);
    if ((size_t)bytes < sizeof(*header))
        return cmy_fail(
            COMMY_STATUS_CORRUPT,
            "region %s/%s is truncated: it has %zd bytes, its header alone takes %zu; remove it with `commy rm "
            "%s%s%s`",
            name->dir, name->mesh, bytes, sizeof(*header), name->mesh, CMY_DIR_OPTION(name));
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t check_layout(const cmy_region_name_t *name, const cmy_header_shm_t *header)
{
    if (header->magic != CMY_MAGIC || header->byte_order != CMY_BYTE_ORDER)
        return cmy_fail(
            COMMY_STATUS_LAYOUT,
            "region %s/%s was made with another byte order (%#x, here %#x); remove it with `commy rm %s%s%s`",
            name->dir, name->mesh, header->byte_order, CMY_BYTE_ORDER, name->mesh, CMY_DIR_OPTION(name));

    uint64_t fingerprint = cmy_layout_fingerprint();
    if (header->layout_version == CMY_LAYOUT_VERSION && header->fingerprint == fingerprint)
        return COMMY_STATUS_SUCCESS;
    char maker[sizeof(header->maker) + 1] = "", quoted[2 * sizeof(maker)];
    memcpy(maker, header->maker, sizeof(header->maker));
    return cmy_fail(
        COMMY_STATUS_LAYOUT,
        "region %s/%s has layout %u (%016llx), made by %s; this is commy %s with layout %u (%016llx); use the "
        "library that made it, or remove it with `commy rm %s%s%s`",
        name->dir, name->mesh, header->layout_version, (unsigned long long)header->fingerprint,
        cmy_text_quote(maker, quoted, sizeof(quoted)), CMY_VERSION, CMY_LAYOUT_VERSION, (unsigned long long)fingerprint,
        name->mesh, CMY_DIR_OPTION(name));
}

static commy_status_t check_origin(const cmy_region_name_t *name, const struct stat *st, const cmy_header_shm_t *header)
{
    uint8_t boot_id[16];
    commy_status_t status = cmy_boot_id(boot_id);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (memcmp(boot_id, header->boot_id, sizeof(boot_id)) != 0)
        return cmy_fail(COMMY_STATUS_OTHER_BOOT,
                        "region %s/%s was left by another boot of the system, and nothing in it lives; remove it with "
                        "`commy rm %s%s%s`",
                        name->dir, name->mesh, name->mesh, CMY_DIR_OPTION(name));
    if (header->device != st->st_dev || header->inode != st->st_ino)
        return cmy_fail(COMMY_STATUS_REMOVED,
                        "region %s/%s is a copy: it was made as inode %llu of device %llu and is inode %llu of device "
                        "%llu; only `commy dump %s/%s` opens it",
                        name->dir, name->mesh, (unsigned long long)header->inode, (unsigned long long)header->device,
                        (unsigned long long)st->st_ino, (unsigned long long)st->st_dev, name->dir, name->mesh);
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t corrupt(const cmy_region_name_t *name, const char *what, uint64_t is, uint64_t should)
{
    return cmy_fail(
        COMMY_STATUS_CORRUPT,
        "region %s/%s is damaged: %s %llu, not %llu; look at it with `commy dump`, remove it with `commy rm "
        "%s%s%s`",
        name->dir, name->mesh, what, (unsigned long long)is, (unsigned long long)should, name->mesh,
        CMY_DIR_OPTION(name));
}

static commy_status_t check_size(const cmy_region_name_t *name, const struct stat *st, const cmy_header_shm_t *header,
                                 cmy_layout_t *layout)
{
    if (header->capacity < COMMY_LIMIT_SERVICES_MIN)
        return corrupt(name, "its capacity is below the least there is, it says", header->capacity,
                       COMMY_LIMIT_SERVICES_MIN);
    if (header->capacity > COMMY_LIMIT_SERVICES_MAX)
        return corrupt(name, "its capacity is beyond the most there is, it says", header->capacity,
                       COMMY_LIMIT_SERVICES_MAX);
    cmy_layout_compute(header->capacity, layout);
    if (header->region_bytes != layout->region_bytes)
        return corrupt(name, "its size by its header is", header->region_bytes, layout->region_bytes);
    if ((uint64_t)st->st_size != layout->region_bytes)
        return corrupt(name, "its file's size is", (uint64_t)st->st_size, layout->region_bytes);
    return COMMY_STATUS_SUCCESS;
}

/*
 * What is marked reserved must be backed, or a look at it on a full file system is a SIGBUS. tmpfs counts every page
 * that it holds or has promised in st_blocks at once; other file systems may count late, and are believed.
 */
static commy_status_t check_marks(const cmy_region_name_t *name, int file, const cmy_header_shm_t *header,
                                  const cmy_layout_t *layout)
{
    uint32_t marks[CMY_SLABS];
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        uint64_t mark = cmy_load64_relaxed(&header->reserved[kind]);
        if (mark > layout->slab[kind].limit)
            return corrupt(name, "more records are marked reserved than a slab has,", mark, layout->slab[kind].limit);
        marks[kind] = (uint32_t)mark;
    }
    /* Looked at after the header was copied: whatever a grower adds in between is backed before it is marked. */
    struct stat st;
    struct statfs fs;
    if (fstat(file, &st) != 0 || fstatfs(file, &fs) != 0)
        return cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be looked at", name->dir, name->mesh);
    uint64_t backed = (uint64_t)st.st_blocks * 512, reserved = cmy_layout_reserved_bytes(layout, marks);
    if (fs.f_type == TMPFS_MAGIC && backed < reserved)
        return corrupt(name, "the bytes that are backed are", backed, reserved);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_header_check(const cmy_region_name_t *name, int file, const cmy_header_shm_t *header,
                                cmy_layout_t *layout)
{
    struct stat st;
    if (fstat(file, &st) != 0)
        return cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be looked at", name->dir, name->mesh);
    commy_status_t status = check_layout(name, header);
    if (status == COMMY_STATUS_SUCCESS)
        status = check_origin(name, &st, header);
    if (status == COMMY_STATUS_SUCCESS)
        status = check_size(name, &st, header, layout);
    if (status == COMMY_STATUS_SUCCESS)
        status = check_marks(name, file, header, layout);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (cmy_load64_relaxed(&header->removed) != 0)
        return cmy_fail(COMMY_STATUS_REMOVED,
                        "region %s/%s was removed; finish that with `commy rm %s%s%s`, then create it again", name->dir,
                        name->mesh, name->mesh, CMY_DIR_OPTION(name));
    return COMMY_STATUS_SUCCESS;
}
