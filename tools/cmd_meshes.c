/*
 * cmd_meshes.c - `commy meshes`: the regions of the directory, with what is wrong with those that cannot be used.
 */
#include <errno.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "regions.h"
#include "table.h"
#include "text.h"

static const char doc[] =
    "List the meshes of the directory.\v"
    "Example:\n"
    "  commy meshes\n"
    "  commy meshes --json | jq -r '.[] | select(.state != \"ok\") | .error'\n\n"
    "Exits with 0 also where there is none, and with 1 where a directory was named that is missing.";

struct listing {
    const char *dir;
    struct table *table;
    struct json_list json;
};

static void add_json(struct listing *listing, const struct region *region)
{
    bool sound = region->status == COMMY_STATUS_SUCCESS;
    json_t *object = must_have(json_object());
    char mode[8];

    snprintf(mode, sizeof(mode), "%04o", (unsigned)(region->file.st_mode & 07777));
    json_put_text(object, "mesh", region->mesh);
    json_put_text(object, "dir", listing->dir);
    json_put_text(object, "state", region_state(region));
    json_put_text_or_null(object, "error", region->sentence);
    json_put_number(object, "owner_uid", region->file.st_uid);
    json_put_number(object, "owner_gid", region->file.st_gid);
    json_put_text(object, "mode", mode);
    json_put_number(object, "file_bytes", (uint64_t)region->file.st_size);
    json_put_number(object, "backed_bytes", (uint64_t)region->file.st_blocks * 512u);
    if (sound) {
        json_put_number(object, "capacity", region->info.capacity);
        json_put_number(object, "services", region->stats.total_services);
        json_put_number(object, "participants", region->info.participants);
        json_put_time(object, "created_at", region->info.created_at_ns);
    }
    json_list_add(&listing->json, object);
}

static void add_row(struct listing *listing, const struct region *region)
{
    bool sound = region->status == COMMY_STATUS_SUCCESS;
    char services[16] = "", capacity[16] = "", participants[16] = "", mode[8], made[TIME_TEXT_BYTES] = "";
    char memory[SIZE_TEXT_BYTES];

    if (sound) {
        snprintf(services, sizeof(services), "%u", region->stats.total_services);
        snprintf(capacity, sizeof(capacity), "%u", region->info.capacity);
        snprintf(participants, sizeof(participants), "%u", region->info.participants);
        time_text(region->info.created_at_ns, made);
        strcpy(made + 19, "Z"); /* whole seconds do for a list */
    }
    snprintf(mode, sizeof(mode), "%04o", (unsigned)(region->file.st_mode & 07777));
    size_text((uint64_t)region->file.st_blocks * 512u, memory);
    table_row(listing->table, (const char *[]){region->mesh, region_state(region), services, capacity, participants,
                                               memory, mode, made});
    table_paint(listing->table, 1, sound ? "green" : "red");
}

static void add(void *user, const struct region *region)
{
    struct listing *listing = user;

    if (tool.json)
        add_json(listing, region);
    else
        add_row(listing, region);
}

int cmd_meshes(int argc, char **argv)
{
    static const struct column columns[] = {
        {"MESH", COLUMN_TEXT},    {"STATE", COLUMN_TEXT},    {"SERVICES", COLUMN_NUMBER}, {"CAPACITY", COLUMN_NUMBER},
        {"NODES", COLUMN_NUMBER}, {"MEMORY", COLUMN_NUMBER}, {"MODE", COLUMN_TEXT},       {"MADE", COLUMN_EXTRA_TEXT},
    };
    struct argp argp = {NULL, parse_nothing, NULL, doc, common_children, NULL, NULL};
    struct listing listing = {0};
    char dir[PATH_MAX];

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    listing.dir = mesh_directory(dir);
    if (tool.json)
        json_list_open(&listing.json);
    else
        listing.table = table_open(columns, sizeof(columns) / sizeof(columns[0]));
    int error = regions_visit(add, &listing);
    if (tool.json)
        json_list_close(&listing.json);
    table_close(&listing.table);
    if (error == 0 || (error == ENOENT && !mesh_directory_given())) /* no directory: nobody has made a mesh yet */
        return EXIT_YES;
    if (error == ENOENT) {
        complain("the directory %s is missing; make it with `mkdir -p -m 0700 %s`, or name another with --dir", dir,
                 dir);
        return EXIT_NO;
    }
    return complain("directory %s cannot be listed: %s; give another one with --dir", dir, strerror(error));
}
