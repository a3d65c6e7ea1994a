/*
 * Growing: more of a slab gets memory before anybody touches it.
 *
 *     look at the mark --> reserve the chunk behind it --> raise the mark by CAS
 *
 * a. A record below a mark is backed by memory: reading and writing it is never a signal.
 * b. Any number may grow one slab at once: each reserves the same chunk, which costs nothing twice, and the mark moves
 *    once. Whoever is stopped or killed in between holds nobody up; memory that he reserved is reserved again by the
 *    next, and only that.
 * c. Marks never go down; the private copies follow them up. A mark beyond its slab's limit, in a region that somebody
 *    damaged, counts as the limit.
 *
 * Memory is reserved through the mapping (MADV_POPULATE_WRITE, Linux 5.14), which needs no descriptor and no path.
 * Before that kernel the file is opened again and compared with the one that is mapped. What a populating call took
 * from a file system that then ran full stays with the region, for the next attempt.
 *
 * Progress: lock-free; it blocks in the kernel for as long as reserving a chunk takes.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "region/internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const char *const slab_names[CMY_SLABS] = {
    [CMY_SERVICES] = "services",        [CMY_GROUPS] = "service names", [CMY_LINES] = "instances of names",
    [CMY_STATS] = "statistics",         [CMY_SMALL_TEXTS] = "metadata", [CMY_LARGE_TEXTS] = "large metadata",
    [CMY_CELLS] = "requests in flight",
};

/* Raises the private copy; returns what it is then. The copy is this process's own, also of a region it only reads. */
static uint32_t raise_private(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t mark)
{
    _Atomic uint32_t *copy = (_Atomic uint32_t *)(uintptr_t)&region->reserved[kind];
    uint32_t seen = atomic_load_explicit(copy, memory_order_relaxed);
    while (seen < mark &&
           !atomic_compare_exchange_weak_explicit(copy, &seen, mark, memory_order_relaxed, memory_order_relaxed))
        ;
    return seen < mark ? mark : seen;
}

uint32_t cmy_region_reserved_again(const cmy_region_t *region, cmy_slab_kind_t kind)
{
    uint32_t limit = region->layout.slab[kind].limit;
    uint64_t mark = cmy_load64_acquire(&region->header->reserved[kind]); /* pairs with raise_shared() */
    return raise_private(region, kind, mark < limit ? (uint32_t)mark : limit);
}

/* Bounded: marks only grow, so each failure is a chunk that somebody else added. Where somebody scribbles on the mark
 * and that does not hold, the private copy still goes up. */
static void raise_shared(cmy_region_t *region, cmy_slab_kind_t kind, uint32_t mark)
{
    const cmy_slab_layout_t *slab = &region->layout.slab[kind];
    cmy_word64_t *shared = &region->header->reserved[kind];
    uint64_t seen = cmy_load64_acquire(shared);
    for (uint32_t turn = 0; turn <= slab->limit / slab->chunk + 1 && seen < mark; turn++)
        if (cmy_cas64_acq_rel(shared, &seen, mark))
            break;
    raise_private(region, kind, mark);
}

static commy_status_t reserve_failed(const cmy_region_t *region, int error, const char *what)
{
    errno = error;
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EFAULT: /* how a populating call says that the file system is full */
        return cmy_fail(COMMY_STATUS_NO_SPACE,
                        "no room for more %s in region %s/%s: its file system or this process's memory limit is "
                        "exhausted; make room (`df %s`)",
                        what, region->dir, region->mesh, region->dir);
    default:
        return cmy_fail_errno(cmy_status_of(error), "room for more %s in region %s/%s cannot be reserved", what,
                              region->dir, region->mesh);
    }
}

static commy_status_t replaced(const cmy_region_t *region)
{
    return cmy_fail(COMMY_STATUS_REMOVED,
                    "region %s/%s cannot grow: its file is gone or another has its name; detach, and attach again",
                    region->dir, region->mesh);
}

commy_status_t cmy_region_reserve_by_file(const cmy_region_t *region, uint64_t offset, uint64_t bytes, const char *what)
{
    cmy_region_name_t name;
    struct stat st;
    int dir = -1, file = -1;

    commy_status_t status = cmy_region_resolve(region->dir, region->mesh, &name);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_dir_open(&name, false, &dir);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_file_open(&name, dir, true, &file);
    if (status == COMMY_STATUS_MESH_NOT_FOUND || status == COMMY_STATUS_NOT_A_REGION) {
        status = replaced(region);
    } else if (status == COMMY_STATUS_SUCCESS) {
        if (fstat(file, &st) != 0) {
            status =
                cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be looked at", region->dir, region->mesh);
        } else if (st.st_dev != region->device || st.st_ino != region->inode) {
            status = replaced(region);
        } else {
            int error = cmy_file_reserve(file, offset, bytes);
            if (error != 0)
                status = reserve_failed(region, error, what);
        }
    }
    if (file >= 0)
        close(file);
    if (dir >= 0)
        close(dir);
    return status;
}

/* Reserves the pages that a range lies in. */
static commy_status_t reserve_range(const cmy_region_t *region, uint64_t offset, uint64_t bytes, const char *what)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t start = offset / page * page, end = (offset + bytes + page - 1) / page * page;

    if (bytes == 0)
        return COMMY_STATUS_SUCCESS;
    for (int interruptions = 0;;) {
        if (madvise(region->base + start, end - start, MADV_POPULATE_WRITE) == 0)
            return COMMY_STATUS_SUCCESS;
        if (errno == EINVAL)
            return cmy_region_reserve_by_file(region, offset, bytes, what);
        if ((errno != EINTR && errno != EAGAIN) || ++interruptions > CMY_INTERRUPTIONS)
            return reserve_failed(region, errno, what);
    }
}

static commy_status_t reserve_records(const cmy_region_t *region, cmy_slab_kind_t kind, uint32_t from, uint32_t to)
{
    const cmy_slab_layout_t *slab = &region->layout.slab[kind];
    uint64_t records = to - from;
    commy_status_t status =
        reserve_range(region, slab->offset + (uint64_t)from * slab->stride, records * slab->stride, slab_names[kind]);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    return reserve_range(region, slab->cold_offset + (uint64_t)from * slab->cold_stride, records * slab->cold_stride,
                         slab_names[kind]);
}

commy_status_t cmy_region_grow(cmy_region_t *region, cmy_slab_kind_t kind, uint32_t than)
{
    const cmy_slab_layout_t *slab = &region->layout.slab[kind];

    commy_status_t status = cmy_region_usable(region);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!region->writable)
        return cmy_fail(COMMY_STATUS_READ_ONLY, "region %s/%s is attached read-only; attach to it for writing",
                        region->dir, region->mesh);
    if (than >= slab->limit)
        return COMMY_STATUS_FULL;
    /* The private copy goes up by a chunk each turn at least, which bounds them. */
    for (uint32_t mark; (mark = cmy_region_reserved_again(region, kind)) <= than;) {
        uint64_t next = (uint64_t)mark - mark % slab->chunk + slab->chunk;
        if (next > slab->limit)
            next = slab->limit;
        status = reserve_records(region, kind, mark - mark % slab->chunk, (uint32_t)next);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
        raise_shared(region, kind, (uint32_t)next);
    }
    return COMMY_STATUS_SUCCESS;
}

uint64_t cmy_slab_reserved_bytes(const cmy_region_t *region, cmy_slab_kind_t kind)
{
    return cmy_slab_bytes(&region->layout.slab[kind], cmy_region_reserved_again(region, kind));
}

uint64_t cmy_region_reserved_bytes(const cmy_region_t *region)
{
    uint32_t marks[CMY_SLABS];
    for (int kind = 0; kind < CMY_SLABS; kind++)
        marks[kind] = cmy_region_reserved_again(region, (cmy_slab_kind_t)kind);
    return cmy_layout_reserved_bytes(&region->layout, marks);
}
