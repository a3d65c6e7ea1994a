/*
 * Reserving memory, and counting what is reserved.
 *
 * fallocate(2) itself, never glibc's posix_fallocate(), which writes where the file system cannot reserve: that would
 * be a signal on a full one and could overwrite what others write.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "region/internal.h"

/* Where a signal interrupts a call, tmpfs gives back all that this call reserved (newer kernels do not let one). Calls
 * are kept short, so that a program with a fast timer gets on. */
#define SLICE_BYTES ((uint64_t)256 << 10)

int cmy_file_reserve(int file, uint64_t offset, uint64_t bytes)
{
    int interruptions = 0;
    for (uint64_t done = 0; done < bytes;) {
        uint64_t slice = bytes - done < SLICE_BYTES ? bytes - done : SLICE_BYTES;
        /* The range lies within the file: a file size limit has no say in it. */
        if (fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)(offset + done), (off_t)slice) == 0)
            done += slice;
        else if (errno != EINTR || ++interruptions > CMY_INTERRUPTIONS)
            return errno;
    }
    return 0;
}

uint32_t cmy_slab_first_chunk(const cmy_slab_layout_t *slab, cmy_slab_kind_t kind)
{
    if (kind != CMY_SERVICES && kind != CMY_GROUPS && kind != CMY_LINES)
        return 0; /* many meshes never report a request or carry metadata */
    return slab->chunk < slab->limit ? slab->chunk : slab->limit;
}

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + CMY_PAGE - 1) / CMY_PAGE * CMY_PAGE;
}

uint64_t cmy_slab_bytes(const cmy_slab_layout_t *slab, uint32_t records)
{
    return whole_pages((uint64_t)records * slab->stride) + whole_pages((uint64_t)records * slab->cold_stride);
}

uint64_t cmy_layout_reserved_bytes(const cmy_layout_t *layout, const uint32_t marks[CMY_SLABS])
{
    uint64_t bytes = layout->fixed_bytes;
    for (int kind = 0; kind < CMY_SLABS; kind++)
        bytes += cmy_slab_bytes(&layout->slab[kind], marks[kind]);
    return bytes;
}
