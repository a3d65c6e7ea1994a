/* What the files of this room share: steps from a name to a checked file, and reserving memory. */
#ifndef CMY_REGION_INTERNAL_H
#define CMY_REGION_INTERNAL_H

#include <sys/stat.h>

#include "region/region.h"

/* The end of a command line that a sentence suggests, for "%s%s": how the directory is named where it must be. */
#define CMY_DIR_OPTION(name) (name)->own_dir ? "" : " --dir ", (name)->own_dir ? "" : (name)->dir

/* How often a system call that a signal interrupted is made again. */
#define CMY_INTERRUPTIONS 1000

/* The code that an errno of the file system comes to: PERMISSION, LIMIT, NO_MEMORY, NO_SPACE, KERNEL, or INTERNAL. */
commy_status_t cmy_status_of(int error);

/* MESH_NOT_FOUND, with the sentence. */
commy_status_t cmy_mesh_not_found(const cmy_region_name_t *name);

/*
 * Opens and checks the directory; *dir is good for *at() calls only. make: the default directory is made where it is
 * missing. Errors: MESH_NOT_FOUND, PERMISSION, INVALID and those of cmy_status_of().
 */
commy_status_t cmy_dir_open(const cmy_region_name_t *name, bool make, int *dir);

/* Opens the file of that name where it is a regular one. Errors: MESH_NOT_FOUND, NOT_A_REGION and as above. */
commy_status_t cmy_file_open(const cmy_region_name_t *name, int dir, bool writable, int *file);

/* What people call the file system that a descriptor is on. */
#define CMY_FILE_SYSTEM_BYTES 32u
const char *cmy_file_system(int descriptor, char name[CMY_FILE_SYSTEM_BYTES]);

/* The random number that the kernel drew when it started. Errors: KERNEL and those of cmy_status_of(). */
commy_status_t cmy_boot_id(uint8_t id[16]);

/* Fills in the header of a region to be made in `file`, whose first chunks are reserved. */
commy_status_t cmy_header_fill(int file, const cmy_layout_t *layout, cmy_header_shm_t *header);

/* Copies the header. Errors: NOT_A_REGION, CORRUPT (shorter than a header). */
commy_status_t cmy_header_read(const cmy_region_name_t *name, int file, cmy_header_shm_t *header);

/*
 * Whether this library may map a file that has this header. On success the layout is filled in.
 * Errors, in the order in which they are looked for: LAYOUT, OTHER_BOOT, REMOVED (a copy), CORRUPT, REMOVED (by rm);
 * and those of cmy_boot_id(), which say nothing about the file.
 */
commy_status_t cmy_header_check(const cmy_region_name_t *name, int file, const cmy_header_shm_t *header,
                                cmy_layout_t *layout);

/* Maps a file whose header was checked. The descriptor stays the caller's. */
commy_status_t cmy_region_map_file(const cmy_region_name_t *name, int file, const cmy_header_shm_t *header,
                                   const cmy_layout_t *layout, bool writable, cmy_region_t **region);

/* Records in the first chunk of those slabs that a new region has one of; 0 for the others. */
uint32_t cmy_slab_first_chunk(const cmy_slab_layout_t *slab, cmy_slab_kind_t kind);

/* Bytes that hold the first `records` records of a slab, in whole pages; hot and cold together. */
uint64_t cmy_slab_bytes(const cmy_slab_layout_t *slab, uint32_t records);

/* Bytes reserved under these marks: the fixed part and the slabs. The marks are within their limits. */
uint64_t cmy_layout_reserved_bytes(const cmy_layout_t *layout, const uint32_t marks[CMY_SLABS]);

/* Reserves a range of a file; returns 0 or an errno, EINTR after CMY_INTERRUPTIONS of them. Leaves the size alone. */
int cmy_file_reserve(int file, uint64_t offset, uint64_t bytes);

/* Reserves a range of the region's file through a new descriptor. `what` is for the sentence. */
commy_status_t cmy_region_reserve_by_file(const cmy_region_t *region, uint64_t offset, uint64_t bytes,
                                          const char *what);

#endif /* CMY_REGION_INTERNAL_H */
