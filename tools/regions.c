/*
 * regions.c - see regions.h.
 */
#include "regions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/* What the attachment says: what it is, and what is in it. */
static commy_status_t look_inside(const commy_mesh_t *mesh, struct region *region)
{
    commy_status_t status = commy_mesh_info(mesh, &region->info);

    return status == COMMY_STATUS_SUCCESS ? commy_mesh_stats(mesh, &region->stats) : status;
}

static void visit_file(struct region *region, region_fn *visit, void *user)
{
    commy_open_options_t which = mesh_options(COMMY_OPEN_READ_ONLY);
    commy_mesh_t *mesh = NULL;

    which.mesh = region->mesh;
    region->status = commy_mesh_attach(&which, &mesh);
    if (region->status == COMMY_STATUS_SUCCESS)
        region->status = look_inside(mesh, region);
    region->sentence = region->status == COMMY_STATUS_SUCCESS ? NULL : commy_last_error_message();
    visit(user, region);
    commy_mesh_detach(&mesh);
}

int regions_visit(region_fn *visit, void *user)
{
    struct dirent **entries;
    char buffer[PATH_MAX];
    const char *dir = mesh_directory(buffer);
    int count = scandir(dir, &entries, NULL, alphasort);

    if (count < 0)
        return errno;
    for (int i = 0; i < count; i++) {
        struct region region = {.mesh = entries[i]->d_name};
        char path[PATH_MAX];
        int length = snprintf(path, sizeof(path), "%s/%s", dir, region.mesh);
        if (length < PATH_MAX && lstat(path, &region.file) == 0 && S_ISREG(region.file.st_mode))
            visit_file(&region, visit, user);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

const char *region_state(const struct region *region)
{
    switch (region->status) {
    case COMMY_STATUS_SUCCESS:
        return "ok";
    case COMMY_STATUS_LAYOUT:
        return "other layout";
    case COMMY_STATUS_CORRUPT:
        return "damaged";
    case COMMY_STATUS_NOT_A_REGION:
        return "not a region";
    case COMMY_STATUS_OTHER_BOOT:
        return "other boot";
    case COMMY_STATUS_REMOVED:
        return "removed or a copy";
    case COMMY_STATUS_PERMISSION:
        return "no permission";
    default:
        return commy_status_string(region->status);
    }
}

void region_file_note(struct region_file *file, const commy_mesh_t *mesh)
{
    commy_mesh_info_t info;
    struct stat now;

    *file = (struct region_file){0};
    if (commy_mesh_info(mesh, &info) != COMMY_STATUS_SUCCESS)
        return;
    snprintf(file->path, sizeof(file->path), "%s/%s", info.dir, info.mesh);
    if (stat(file->path, &now) != 0)
        return;
    file->device = now.st_dev;
    file->inode = now.st_ino;
}

bool region_file_same(const struct region_file *file)
{
    struct stat now;

    return stat(file->path, &now) == 0 && now.st_dev == file->device && now.st_ino == file->inode;
}
