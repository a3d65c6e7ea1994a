/*
 * cmd_dump.c - `commy dump`: the inside of a region, live or copied, sound or not.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "common.h"
#include "dump.h"

enum { KEY_CHECK = KEY_FIRST };

struct arguments {
    const char *file;
    bool records, check;
};

static const struct argp_option options[] = {
    {"records", 'r', NULL, 0, "Also every record that is in use, with phase and owner", 0},
    {"check", KEY_CHECK, NULL, 0, "Also audit what was read; for regions that `commy check' cannot attach to", 0},
    {0},
};

static const char doc[] =
    "Show the inside of a region: of the mesh, or of FILE, which may be a copy, damaged, or something else.\v"
    "Only reads, and needs nothing but permission to. What others change meanwhile is shown as it was at some moment, "
    "not all of it at the same.\n\n"
    "Example:\n"
    "  commy dump --records | less\n"
    "  cp /dev/shm/commy-1000/default /tmp/region && commy dump --check /tmp/region\n\n"
    "Exits with 0 where everything could be shown, 1 where the file is missing, or is damaged, truncated or no region "
    "and "
    "was shown as far as it goes, or where the audit has findings, 2 where nothing can be read.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case 'r':
        to->records = true;
        return 0;
    case KEY_CHECK:
        to->check = true;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->file, arg);
    case ARGP_KEY_END:
        if (to->file != NULL && (tool.mesh != NULL || tool.dir != NULL))
            refuse(state, "which one: the file '%s', or the mesh of --mesh and --dir?", to->file);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int show(struct image *image, const struct arguments *wanted)
{
    uint64_t findings = 0;

    dump_open();
    dump_header(image);
    dump_wrong(image);
    if (image->laid_out) {
        dump_participants(image);
        dump_slabs(image);
        dump_indexes(image);
        dump_counters(image);
        dump_events(image);
        if (wanted->records)
            dump_records(image);
        if (wanted->check)
            findings = dump_findings(image);
    }
    dump_close();
    return image->damaged || findings != 0 ? EXIT_NO : EXIT_YES;
}

int cmd_dump(int argc, char **argv)
{
    const struct argp_child children[] = {COMMON_CHILD, {0}};
    struct argp argp = {options, parse, "[FILE]", doc, children, NULL, NULL};
    struct arguments wanted = {0};
    struct image image;
    char dir[PATH_MAX], path[2 * PATH_MAX];

    argp_parse(&argp, argc, argv, 0, NULL, &wanted);
    snprintf(path, sizeof(path), "%s/%s", mesh_directory(dir), mesh_name());
    if (wanted.file == NULL && access(path, F_OK) != 0 && errno == ENOENT)
        return complain_no_mesh();
    int code = image_open(wanted.file != NULL ? wanted.file : path, &image);
    if (code != EXIT_YES)
        return code;
    code = show(&image, &wanted);
    image_close(&image);
    return code;
}
