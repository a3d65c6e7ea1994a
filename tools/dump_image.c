/*
 * dump_image.c - from a file to private memory that is laid out like the region; see dump.h.
 *
 * The header is judged sentence by sentence, and reading goes on for as long as it can be told where things lie: that
 * takes a capacity, which the header names; where it makes no sense, the file's size tells it, since every capacity has
 * a size of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "common.h"
#include "dump.h"
#include "region/internal.h"

void image_wrong(struct image *image, bool damage, const char *format, ...)
{
    va_list arguments;

    image->damaged = image->damaged || damage;
    if (image->sentences == IMAGE_SENTENCES)
        return;
    va_start(arguments, format);
    if (vasprintf(&image->sentence[image->sentences], format, arguments) < 0)
        must_have(NULL);
    va_end(arguments);
    image->sentences++;
}

/* ------------------------------------------------------------------- reading */

/* Reads what there is of a range; the rest stays as it was. */
static void read_range(struct image *image, void *to, uint64_t offset, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        ssize_t got = pread(image->file, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            image_wrong(image, true, "bytes %ju to %ju cannot be read: %s", (uintmax_t)(offset + done),
                        (uintmax_t)(offset + bytes), strerror(errno));
        if (got <= 0)
            return;
        done += (uint64_t)got;
    }
}

static void load(struct image *image, uint64_t offset, uint64_t bytes)
{
    read_range(image, image->region.base + offset, offset, bytes);
}

/* Forgets whole pages, which read as zeros afterwards. */
static void drop(struct image *image, uint64_t offset, uint64_t bytes)
{
    uint64_t end = (offset + bytes + CMY_PAGE - 1) / CMY_PAGE * CMY_PAGE;

    if (bytes != 0)
        madvise(image->region.base + offset, end - offset, MADV_DONTNEED);
}

void image_visit(struct image *image, cmy_slab_kind_t kind, record_fn *visit, void *user)
{
    const cmy_slab_layout_t *slab = &image->region.layout.slab[kind];
    uint32_t records = cmy_region_reserved(&image->region, kind);

    for (uint32_t first = 0; first < records; first += slab->chunk) {
        uint64_t count = records - first < slab->chunk ? records - first : slab->chunk;
        uint64_t hot = slab->offset + (uint64_t)first * slab->stride;
        uint64_t cold = slab->cold_offset + (uint64_t)first * slab->cold_stride;
        load(image, hot, count * slab->stride);
        load(image, cold, count * slab->cold_stride);
        for (uint32_t i = 0; i < count; i++)
            visit(user, image, first + i);
        drop(image, hot, count * slab->stride);
        drop(image, cold, count * slab->cold_stride);
    }
}

void image_load_slab(struct image *image, cmy_slab_kind_t kind)
{
    const cmy_slab_layout_t *slab = &image->region.layout.slab[kind];
    uint64_t records = cmy_region_reserved(&image->region, kind);

    load(image, slab->offset, records * slab->stride);
    load(image, slab->cold_offset, records * slab->cold_stride);
}

void image_load_all(struct image *image)
{
    for (int kind = 0; kind < CMY_SLABS; kind++)
        image_load_slab(image, (cmy_slab_kind_t)kind);
}

/* -------------------------------------------------------------------- judging */

static void judge_start(struct image *image)
{
    const cmy_header_shm_t *header = &image->header;

    if ((uint64_t)image->st.st_size < sizeof(*header))
        image_wrong(image, true, "it is truncated: it has %ju bytes, and a header takes %zu",
                    (uintmax_t)image->st.st_size, sizeof(*header));
    if (header->magic == __builtin_bswap64(CMY_MAGIC))
        image_wrong(image, true, "it was made with another byte order");
    else if (header->magic != CMY_MAGIC)
        image_wrong(image, true, "it does not start as a region: its magic is %#jx, not %#jx", (uintmax_t)header->magic,
                    (uintmax_t)CMY_MAGIC);
    else if (header->byte_order != CMY_BYTE_ORDER)
        image_wrong(image, true, "its byte order is %#x, not %#x", header->byte_order, CMY_BYTE_ORDER);
}

static void judge_layout(struct image *image)
{
    const cmy_header_shm_t *header = &image->header;

    if (header->layout_version != CMY_LAYOUT_VERSION)
        image_wrong(image, true, "it has layout %u, and this command knows layout %u", header->layout_version,
                    CMY_LAYOUT_VERSION);
    if (header->fingerprint != cmy_layout_fingerprint())
        image_wrong(image, true, "its layout has the fingerprint %016jx, and the one known here %016jx",
                    (uintmax_t)header->fingerprint, (uintmax_t)cmy_layout_fingerprint());
}

static void judge_origin(struct image *image)
{
    const cmy_header_shm_t *header = &image->header;
    uint8_t boot_id[16];

    if (cmy_boot_id(boot_id) != COMMY_STATUS_SUCCESS)
        image_wrong(image, false, "whether it is of this boot cannot be told: %s", commy_last_error_message());
    else if (memcmp(boot_id, header->boot_id, sizeof(boot_id)) != 0)
        image_wrong(image, false, "it was left by another boot: nothing in it lives");
    if (header->device != image->st.st_dev || header->inode != image->st.st_ino)
        image_wrong(image, false, "it is a copy: it was made as inode %ju of device %ju and is inode %ju of device %ju",
                    (uintmax_t)header->inode, (uintmax_t)header->device, (uintmax_t)image->st.st_ino,
                    (uintmax_t)image->st.st_dev);
    if (cmy_load64_relaxed(&header->removed) != 0)
        image_wrong(image, false, "it was removed: `commy rm` finishes that");
}

/* The capacity that a region of this size was made for; 0 for none. */
static uint32_t capacity_of_size(uint64_t bytes)
{
    uint32_t low = COMMY_LIMIT_SERVICES_MIN, high = COMMY_LIMIT_SERVICES_MAX;
    cmy_layout_t layout;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        cmy_layout_compute(middle, &layout);
        if (layout.region_bytes < bytes)
            low = middle + 1;
        else
            high = middle;
    }
    cmy_layout_compute(low, &layout);
    return layout.region_bytes == bytes ? low : 0;
}

/* Finds out where things lie; false where nothing tells. A capacity counts if a size goes with it. */
static bool find_layout(struct image *image)
{
    const cmy_header_shm_t *header = &image->header;
    cmy_layout_t *layout = &image->region.layout;
    uint64_t size = (uint64_t)image->st.st_size;
    uint32_t capacity = header->capacity;
    bool possible = capacity >= COMMY_LIMIT_SERVICES_MIN && capacity <= COMMY_LIMIT_SERVICES_MAX;

    if (possible)
        cmy_layout_compute(capacity, layout);
    if (!possible || (layout->region_bytes != header->region_bytes && layout->region_bytes != size)) {
        image_wrong(image, true,
                    "its header names a capacity of %u services and a size of %ju bytes, which do not go together",
                    capacity, (uintmax_t)header->region_bytes);
        capacity = capacity_of_size(size);
        if (capacity == 0)
            return false;
        image_wrong(image, true, "its size is that of a region of %u services; it is read as one", capacity);
        cmy_layout_compute(capacity, layout);
    } else if (layout->region_bytes != header->region_bytes) {
        image_wrong(image, true, "its header names a size of %ju bytes, not %ju", (uintmax_t)header->region_bytes,
                    (uintmax_t)layout->region_bytes);
    }
    if (size != layout->region_bytes)
        image_wrong(image, true, "it is %s: it has %ju bytes, not %ju",
                    size < layout->region_bytes ? "truncated" : "longer", (uintmax_t)size,
                    (uintmax_t)layout->region_bytes);
    return true;
}

/* How many records of each slab are read: those that are marked reserved, within the limits. */
static void judge_marks(struct image *image)
{
    static const char *const names[CMY_SLABS] = {
        [CMY_SERVICES] = "services", [CMY_GROUPS] = "groups",           [CMY_LINES] = "member lines",
        [CMY_STATS] = "statistics",  [CMY_SMALL_TEXTS] = "small texts", [CMY_LARGE_TEXTS] = "large texts",
        [CMY_CELLS] = "cells",
    };
    uint32_t marks[CMY_SLABS];
    struct statfs fs;

    for (int kind = 0; kind < CMY_SLABS; kind++) {
        uint64_t mark = cmy_load64_relaxed(&image->header.reserved[kind]);
        uint32_t limit = image->region.layout.slab[kind].limit;
        if (mark > limit)
            image_wrong(image, true, "%ju %s are marked reserved, of %u that there are", (uintmax_t)mark, names[kind],
                        limit);
        marks[kind] = mark < limit ? (uint32_t)mark : limit;
        image->region.reserved[kind] = marks[kind];
    }
    uint64_t backed = (uint64_t)image->st.st_blocks * 512,
             reserved = cmy_layout_reserved_bytes(&image->region.layout, marks);
    if (fstatfs(image->file, &fs) == 0 && fs.f_type == TMPFS_MAGIC && backed < reserved)
        image_wrong(image, false,
                    "%ju bytes are backed by memory, fewer than the %ju that are reserved: it cannot be "
                    "attached to",
                    (uintmax_t)backed, (uintmax_t)reserved);
}

/* -------------------------------------------------------------------- opening */

static int open_file(const char *path, struct image *image)
{
    image->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO has nobody who writes */
    if (image->file < 0) {
        bool missing = errno == ENOENT;
        complain("%s cannot be opened: %s", path, strerror(errno));
        return missing ? EXIT_NO : EXIT_ERROR;
    }
    if (fstat(image->file, &image->st) != 0)
        return complain("%s cannot be looked at: %s", path, strerror(errno));
    if (!S_ISREG(image->st.st_mode))
        return complain("%s is no regular file, so it cannot be a region", path);
    if (image->st.st_size == 0)
        return complain("%s is empty, not a region", path);
    return EXIT_YES;
}

static int lay_out(struct image *image)
{
    cmy_region_t *region = &image->region;
    const cmy_layout_t *layout = &region->layout;
    void *base =
        mmap(NULL, layout->region_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return complain("%ju bytes of addresses for what is in %s are not to be had: %s",
                        (uintmax_t)layout->region_bytes, image->path, strerror(errno));
    region->base = base;
    region->seed = image->header.seed;
    cmy_region_place(region);
    region->device = image->header.device;
    region->inode = image->header.inode;
    region->created_at_ns = image->header.created_at_ns;
    load(image, sizeof(image->header), layout->fixed_bytes - sizeof(image->header));
    *region->header = image->header; /* what was judged */
    image->laid_out = true;
    return EXIT_YES;
}

int image_open(const char *path, struct image *image)
{
    memset(image, 0, sizeof(*image));
    image->path = path;
    int code = open_file(path, image);
    if (code != EXIT_YES) {
        image_close(image);
        return code;
    }
    read_range(image, &image->header, 0, sizeof(image->header));
    judge_start(image);
    if (image->header.magic == CMY_MAGIC) {
        judge_layout(image);
        judge_origin(image);
    }
    if (!find_layout(image))
        return EXIT_YES;
    judge_marks(image);
    code = lay_out(image);
    if (code != EXIT_YES)
        image_close(image);
    return code;
}

void image_close(struct image *image)
{
    if (image->region.base != NULL)
        munmap(image->region.base, image->region.layout.region_bytes);
    if (image->file >= 0)
        close(image->file);
    for (size_t i = 0; i < image->sentences; i++)
        free(image->sentence[i]);
    image->sentences = 0;
    image->region.base = NULL;
    image->file = -1;
}
