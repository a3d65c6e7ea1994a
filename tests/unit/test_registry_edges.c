/* Calls that make little sense, and cells and views that name nobody. */
#include <fcntl.h>
#include <sys/mount.h>

#include "support_registry.h"

TestSuite(edges, .init = set_up, .fini = tear_down, .timeout = 60);

Test(edges, options_that_contradict_themselves_and_places_that_are_none_are_refused)
{
    commy_open_options_t options = options_for(16, 8);
    commy_mesh_t *made;
    commy_view_t view;
    cr_assert_eq(commy_mesh_attach(&options, &made), COMMY_STATUS_INVALID);
    expect(commy_mesh_create(&options), COMMY_STATUS_INVALID, "bits that mean nothing");
    expect(commy_mesh_remove(&options, false), COMMY_STATUS_INVALID, "bits that mean nothing");
    options.flags = COMMY_OPEN_MUST_EXIST | COMMY_OPEN_MUST_NOT_EXIST;
    expect(commy_mesh_attach(&options, &made), COMMY_STATUS_INVALID, "must not exist and must");
    options.flags = COMMY_OPEN_READ_ONLY | COMMY_OPEN_MUST_NOT_EXIST;
    expect(commy_mesh_attach(&options, &made), COMMY_STATUS_INVALID, "must not exist and must");
    cr_assert_null(made);
    begin(16);
    add(mesh, "web", "web-1");
    cr_assert_eq(commy_service_view(mesh, "web-1", &view), COMMY_STATUS_SUCCESS);
    expect(commy_view_info(mesh, &view, NULL), COMMY_STATUS_INVALID, "info is null");
    expect(commy_view_target(mesh, &view, NULL), COMMY_STATUS_INVALID, "target is null");
    audit();
}

Test(edges, a_cell_that_names_nobody_under_the_right_tag_is_passed_over)
{
    cmy_key_t key;
    begin(16);
    add(mesh, "web", "web-1");
    cmy_key_make(&key, mesh->region->seed, "web-1", 5);
    cmy_index_line_shm_t *home = &mesh->region->ids[cmy_index_home(key.hash, mesh->region->layout.id_lines)];
    uint64_t map = cmy_load64_relaxed(&home->word) & CMY_MAP_MASK;
    cmy_word32_t *cell = cmy_window_cell(home, (uint32_t)__builtin_ctzll(map));
    uint32_t was = cmy_load32_relaxed(cell);
    cmy_store32_relaxed(cell, was & ~CMY_CELL_RECORD_MASK);
    cr_assert_not(there(mesh, "web-1"));
    cmy_store32_relaxed(cell, was);
    cr_assert(there(mesh, "web-1"));
    audit();
}

Test(edges, a_hint_that_names_no_line_is_passed_over)
{
    cmy_key_t key;
    uint32_t group;
    uint64_t state;
    begin(16);
    add(mesh, "web", "web-1");
    cmy_key_make(&key, mesh->region->seed, "web", 3);
    cr_assert(cmy_group_find(mesh->region, &key, &group, &state));
    cmy_store64_relaxed(&cmy_group_at(mesh->region, group)->hint,
                        cmy_next(CMY_NEXT_LINE, CMY_NEXT_NO_LINE - 1, 0, cmy_state_version(state)));
    add(mesh, "web", "web-2");
    cr_assert_eq(count_of(mesh, "web"), 2);
    audit();
}

Test(edges, ids_are_told_apart_at_each_length)
{
    char id[COMMY_LIMIT_ID_BYTES + 1];
    begin(256);
    for (size_t bytes = 1; bytes <= COMMY_LIMIT_ID_BYTES; bytes++) {
        memset(id, 'x', bytes);
        id[bytes] = '\0';
        add(mesh, "web", id);
        cr_assert(there(mesh, id));
        id[bytes - 1] = 'y';
        cr_assert_not(there(mesh, id));
    }
    audit();
}

Test(edges, a_view_of_what_there_is_not_is_of_nothing)
{
    commy_service_info_t info;
    commy_target_t target;
    commy_open_options_t options = options_for(16, 0);
    begin(16);
    add(mesh, "web", "web-1");
    commy_view_t view;
    cr_assert_eq(commy_service_view(mesh, "web-1", &view), COMMY_STATUS_SUCCESS);
    view._index = 1u << 21;
    expect(commy_view_info(mesh, &view, &info), COMMY_STATUS_NOT_FOUND, "");
    expect(commy_view_target(mesh, &view, &target), COMMY_STATUS_NOT_FOUND, "");
    cr_assert_not(commy_view_valid(mesh, &view));
    options.node_id = "";
    commy_mesh_t *other;
    cr_assert_eq(commy_mesh_attach(&options, &other), COMMY_STATUS_SUCCESS, "an empty node id is none");
    commy_mesh_detach(&other);
}

/* Takes all that is left of the file system. */
static void fill_up(const char *path)
{
    char page[4096] = "x";
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(file >= 0);
    while (write(file, page, sizeof page) > 0)
        ;
    close(file);
}

Test(edges, a_service_for_which_memory_is_lacking_is_refused_for_that_and_fits_when_there_is_some)
{
    char id[16];
    if (geteuid() != 0)
        cr_skip_test("only root can make what this looks at");
    cr_assert_eq(mkdir(test_path("mount"), 0700), 0);
    if (mount("none", test_path("mount"), "tmpfs", 0, "size=8m,mode=0700") != 0)
        cr_skip_test("this environment lets nobody mount a file system");
    commy_open_options_t options = options_for(4096, 0);
    options.dir = test_path("mount");
    cr_assert_eq(commy_mesh_attach(&options, &mesh), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    uint32_t first = mesh->region->layout.slab[CMY_SERVICES].chunk;
    for (uint32_t i = 0; i < first; i++) {
        snprintf(id, sizeof id, "web-%u", i);
        add(mesh, "web", id);
    }
    fill_up(test_path("mount/ballast"));
    expect(try_add(mesh, "web", "one-more"), COMMY_STATUS_NO_SPACE, "no room for more services");
    cr_assert_not(there(mesh, "one-more"));
    cr_assert_eq(unlink(test_path("mount/ballast")), 0);
    add(mesh, "web", "one-more");
    cr_assert_eq(count_of(mesh, "web"), first + 1);
    audit();
    commy_mesh_detach(&mesh);
    umount2(test_path("mount"), MNT_DETACH);
}
