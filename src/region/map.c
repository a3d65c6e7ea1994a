/*
 * Mapping a region, and telling a forked child apart.
 *
 * a. What is mapped is the very inode whose header was checked: one descriptor serves both.
 * b. Afterwards no descriptor is needed, so that a program that closes all of them loses nothing.
 * c. A forked child inherits no mapping (MADV_DONTFORK) but does inherit this process's memory: a private page that the
 *    kernel wipes in the child (MADV_WIPEONFORK) tells it so, however it was forked. There the region's addresses may
 *    belong to anybody: they are neither touched nor unmapped.
 *
 * A process that is killed in here leaves nothing in the region: mapping writes nothing to it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "region/internal.h"

static commy_status_t map_failed(const cmy_region_name_t *name, uint64_t bytes)
{
    struct rlimit limit;
    if (errno != ENOMEM)
        return cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be mapped", name->dir, name->mesh);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        return cmy_fail(
            COMMY_STATUS_NO_MEMORY,
            "region %s/%s takes %llu bytes of addresses, and this process may have %llu in all; raise `ulimit "
            "-v`",
            name->dir, name->mesh, (unsigned long long)bytes, (unsigned long long)limit.rlim_cur);
    return cmy_fail(COMMY_STATUS_NO_MEMORY,
                    "region %s/%s takes %llu bytes of addresses, which this process does not get; see `sysctl "
                    "vm.max_map_count` and the host's free memory",
                    name->dir, name->mesh, (unsigned long long)bytes);
}

/* madvise(2) wants memory for itself, or does not know what it was asked for. */
static commy_status_t advise_failed(const cmy_region_name_t *name, uint64_t bytes, const char *what)
{
    if (errno == ENOMEM || errno == EAGAIN) {
        errno = ENOMEM;
        return map_failed(name, bytes);
    }
    return cmy_fail_errno(COMMY_STATUS_KERNEL, "region %s/%s cannot be mapped: this kernel does not %s", name->dir,
                          name->mesh, what);
}

static commy_status_t map_alive_page(const cmy_region_name_t *name, cmy_region_t *region)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return map_failed(name, bytes);
    if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
        commy_status_t status = advise_failed(name, bytes, "wipe a page on fork (MADV_WIPEONFORK, Linux 4.14)");
        munmap(page, bytes);
        return status;
    }
    *page = 1;
    region->alive_page = page;
    return COMMY_STATUS_SUCCESS;
}

void cmy_region_place(cmy_region_t *region)
{
    unsigned char *base = region->base;
    const cmy_layout_t *layout = &region->layout;
    region->header = (cmy_header_shm_t *)base;
    region->life = (cmy_life_shm_t *)(base + layout->life);
    region->participants = (cmy_participant_shm_t *)(base + layout->participants);
    region->stripes = (cmy_stripe_shm_t *)(base + layout->stripes);
    region->events = (cmy_event_ring_shm_t *)(base + layout->events);
    region->ids = (cmy_index_line_shm_t *)(base + layout->ids);
    region->names = (cmy_index_line_shm_t *)(base + layout->names);
    region->services = (cmy_service_shm_t *)(base + layout->slab[CMY_SERVICES].offset);
    region->cold = (cmy_service_cold_shm_t *)(base + layout->slab[CMY_SERVICES].cold_offset);
    region->groups = (cmy_group_shm_t *)(base + layout->slab[CMY_GROUPS].offset);
    region->lines = (cmy_line_shm_t *)(base + layout->slab[CMY_LINES].offset);
    region->stats = (cmy_stat_shm_t *)(base + layout->slab[CMY_STATS].offset);
    region->tallies = (cmy_tally_shm_t *)(base + layout->slab[CMY_STATS].cold_offset);
    cmy_salt_make(region->seed, &region->salt);
}

static commy_status_t map_file(const cmy_region_name_t *name, int file, bool writable, cmy_region_t *region)
{
    size_t bytes = region->layout.region_bytes;
    void *base = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
    if (base == MAP_FAILED)
        return map_failed(name, bytes);
    region->base = base;
    if (madvise(base, bytes, MADV_DONTFORK) != 0)
        return advise_failed(name, bytes, "keep a mapping from forked children (MADV_DONTFORK)");
    /* A region of gigabytes helps nobody in a core file; where it cannot be left out nothing else is wrong. */
    madvise(base, bytes, MADV_DONTDUMP);
    cmy_region_place(region);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t cmy_region_map_file(const cmy_region_name_t *name, int file, const cmy_header_shm_t *header,
                                   const cmy_layout_t *layout, bool writable, cmy_region_t **region)
{
    struct stat st;
    cmy_region_t *made = calloc(1, sizeof(*made));
    commy_status_t status;

    *region = NULL;
    if (!made)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory to attach to region %s/%s", name->dir, name->mesh);
    if (fstat(file, &st) != 0) {
        status = cmy_fail_errno(cmy_status_of(errno), "region %s/%s cannot be looked at", name->dir, name->mesh);
        goto failed;
    }
    made->layout = *layout;
    made->seed = header->seed;
    made->created_at_ns = header->created_at_ns;
    for (int kind = 0; kind < CMY_SLABS; kind++)
        atomic_init(&made->reserved[kind], (uint32_t)cmy_load64_relaxed(&header->reserved[kind]));
    made->writable = writable;
    made->place = cmy_place(name->dir, name->mesh);
    memcpy(made->dir, name->dir, sizeof(made->dir));
    memcpy(made->mesh, name->mesh, sizeof(made->mesh));
    made->device = st.st_dev;
    made->inode = st.st_ino;
    made->uid = st.st_uid;
    made->gid = st.st_gid;
    made->mode = st.st_mode & 07777u;

    /* The page first: unmap tells by it whether the mapping is this process's. */
    if ((status = map_alive_page(name, made)) != COMMY_STATUS_SUCCESS ||
        (status = map_file(name, file, writable, made)) != COMMY_STATUS_SUCCESS)
        goto failed;
    *region = made;
    return COMMY_STATUS_SUCCESS;
failed:
    cmy_region_unmap(&made);
    return status;
}

commy_status_t cmy_region_map(const cmy_region_name_t *name, bool writable, cmy_region_t **region)
{
    cmy_header_shm_t header;
    cmy_layout_t layout;
    int dir = -1, file = -1;

    *region = NULL;
    commy_status_t status = cmy_dir_open(name, false, &dir);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_file_open(name, dir, writable, &file);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_header_read(name, file, &header);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_header_check(name, file, &header, &layout);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_region_map_file(name, file, &header, &layout, writable, region);
    if (file >= 0)
        close(file);
    if (dir >= 0)
        close(dir);
    return status;
}

void cmy_region_unmap(cmy_region_t **region)
{
    cmy_region_t *gone = *region;
    *region = NULL;
    if (!gone)
        return;
    if (gone->alive_page) {
        if (gone->base && !cmy_region_is_forked(gone))
            munmap(gone->base, gone->layout.region_bytes);
        munmap((void *)(uintptr_t)gone->alive_page, (size_t)sysconf(_SC_PAGESIZE));
    }
    free(gone);
}

commy_status_t cmy_region_refused(const cmy_region_t *region)
{
    if (cmy_region_is_forked(region))
        return cmy_fail(COMMY_STATUS_FORKED,
                        "this process was forked after it attached to region %s/%s; a forked child must attach again",
                        region->dir, region->mesh);
    if (cmy_load64_relaxed(&region->header->removed) != 0)
        return cmy_fail(COMMY_STATUS_REMOVED, "region %s/%s was removed; detach, and attach to the one made after it",
                        region->dir, region->mesh);
    return COMMY_STATUS_SUCCESS;
}
