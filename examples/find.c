/*
 * find.c - looks services up, with nothing but permission to read the region.
 *
 *     find id web-1      where one service is
 *     find name web      where all instances of a name are
 *
 * Ends with 0 when somebody was found, 1 when not, 2 when it could not look.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <commy/commy.h>

static int cannot(const char *what)
{
    fprintf(stderr, "find: cannot %s: %s\n", what, commy_last_error_message());
    return 2;
}

static int find_id(const commy_mesh_t *mesh, const char *id)
{
    commy_target_t target;
    switch (commy_service_find(mesh, id, &target)) {
    case COMMY_STATUS_SUCCESS:
        printf("%s:%" PRIu16 "\n", target.endpoint, target.port);
        return 0;
    case COMMY_STATUS_NOT_FOUND:
        return 1;
    default:
        return cannot("look it up");
    }
}

static int find_name(const commy_mesh_t *mesh, const char *name)
{
    commy_iterator_t walk;
    if (commy_iterate_name(mesh, name, &walk) != COMMY_STATUS_SUCCESS)
        return cannot("walk");

    int code = 1;
    commy_view_t view;
    while (commy_iterate_next(mesh, &walk, &view)) {
        commy_service_info_t info;
        if (commy_view_info(mesh, &view, &info) != COMMY_STATUS_SUCCESS)
            continue; /* gone since the walk met it */
        printf("%s %s:%" PRIu16 "\n", info.id, info.endpoint, info.port);
        code = 0;
    }
    return code;
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[1], "id") != 0 && strcmp(argv[1], "name") != 0)) {
        fprintf(stderr, "usage: find id ID | find name NAME\n");
        return 2;
    }

    commy_open_options_t options = {.size = sizeof options, .flags = COMMY_OPEN_READ_ONLY};
    commy_mesh_t *mesh;
    if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS)
        return cannot("attach");
    int code = strcmp(argv[1], "id") == 0 ? find_id(mesh, argv[2]) : find_name(mesh, argv[2]);
    commy_mesh_detach(&mesh);
    return code;
}
