/*
 * regions.h - the regions of a directory, sound or not.
 */
#ifndef COMMY_TOOL_REGIONS_H
#define COMMY_TOOL_REGIONS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include <commy/commy.h>

/* What trying to attach to one file came to. */
struct region {
    const char *mesh;      /* the file's name */
    commy_status_t status; /* SUCCESS: the rest is filled in */
    const char *sentence;  /* the library's, where that failed */
    commy_mesh_info_t info;
    commy_mesh_stats_t stats;
    struct stat file;
};

typedef void region_fn(void *user, const struct region *region);

/* Tries each regular file of the mesh's directory, by name. Returns 0, or an errno (ENOENT: no directory). */
int regions_visit(region_fn *visit, void *user);

/* A word for the state: "ok", "other boot", "not a region", ... */
const char *region_state(const struct region *region);

/* Which file a mesh lies in, to notice a replacement that nobody announced, such as rm(1). */
struct region_file {
    char path[PATH_MAX];
    dev_t device;
    ino_t inode;
};
void region_file_note(struct region_file *file, const commy_mesh_t *mesh);
bool region_file_same(const struct region_file *file);

#endif /* COMMY_TOOL_REGIONS_H */
