/* Calls that make little sense, and cells and views that name nobody. */
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
