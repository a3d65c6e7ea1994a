/*
 * cmd_create.c - `commy create`: makes a region.
 */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "json.h"

enum { KEY_CAPACITY = KEY_FIRST, KEY_GROUP, KEY_MODE };

struct arguments {
    uint32_t capacity, mode;
    const char *group, *mesh;
};

static const struct argp_option options[] = {
    {"capacity", KEY_CAPACITY, "N", 0, "Room for so many services, 16 to 1048576 (default: 8192)", 0},
    {"group", KEY_GROUP, "GROUP", 0, "Share it with a group: a name or a number", 0},
    {"mode", KEY_MODE, "MODE", 0, "0600; with a group 0640 (they read) or 0660 (they register; default)", 0},
    {0},
};

static const char doc[] = "Make a mesh. Nobody has to: attaching makes one of the default size.\v"
                          "Example:\n"
                          "  commy create --mesh games --capacity 100000\n"
                          "  commy --dir /dev/shm/shared create --group games --mode 0660";

static uint32_t parse_mode(const struct argp_state *state, const char *text)
{
    static const struct {
        const char *text;
        uint32_t mode;
    } modes[] = {{"0600", 0600}, {"600", 0600}, {"0640", 0640}, {"640", 0640}, {"0660", 0660}, {"660", 0660}};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(text, modes[i].text) == 0)
            return modes[i].mode;
    refuse(state, "--mode '%s' is none of 0600, 0640 and 0660", text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_CAPACITY:
        to->capacity =
            (uint32_t)parse_number(state, "--capacity", arg, COMMY_LIMIT_SERVICES_MIN, COMMY_LIMIT_SERVICES_MAX);
        return 0;
    case KEY_GROUP:
        to->group = arg;
        return 0;
    case KEY_MODE:
        to->mode = parse_mode(state, arg);
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->mesh, arg);
    case ARGP_KEY_END:
        choose_mesh(state, to->mesh);
        if ((to->mode & 077) != 0 && to->group == NULL)
            refuse(state, "--mode %04o needs a --group to share the mesh with", to->mode);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void report(uint32_t capacity)
{
    char dir[PATH_MAX];

    if (capacity == 0)
        capacity = COMMY_DEFAULT_CAPACITY;
    if (!tool.json) {
        printf("made %s/%s with room for %u services\n", mesh_directory(dir), mesh_name(), capacity);
        return;
    }
    json_t *object = must_have(json_object());
    json_put_text(object, "mesh", mesh_name());
    json_put_text(object, "dir", mesh_directory(dir));
    json_put_number(object, "capacity", capacity);
    json_print(object);
}

/* What is there already need not be a mesh that can be used: then says why it cannot. */
static void say_why_not(commy_status_t status)
{
    commy_mesh_t *mesh = NULL;

    if (status != COMMY_STATUS_EXISTS) {
        complain_status(status);
        return;
    }
    char *exists = must_have(strdup(commy_last_error_message()));
    const commy_open_options_t which = mesh_options(COMMY_OPEN_READ_ONLY);
    status = commy_mesh_attach(&which, &mesh);
    if (status == COMMY_STATUS_SUCCESS)
        complain("%s", exists);
    else
        complain_status(status);
    commy_mesh_detach(&mesh);
    free(exists);
}

int cmd_create(int argc, char **argv)
{
    struct argp argp = {options, parse, "[MESH]", doc, common_children, NULL, NULL};
    struct arguments given = {0};

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    commy_open_options_t which = mesh_options(0);
    which.capacity = given.capacity;
    which.group = given.group;
    which.mode = given.mode;
    commy_status_t status = commy_mesh_create(&which);
    if (status != COMMY_STATUS_SUCCESS) {
        say_why_not(status);
        return EXIT_ERROR; /* whatever it is: a directory that is not found answers no question here */
    }
    report(given.capacity);
    return EXIT_YES;
}
