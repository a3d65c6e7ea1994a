/*
 * The audit finds every kind of damage there is: each test plants one by writing words behind the library's back, and is
 * named after what should be true.
 */
#include "event/event.h"
#include "stat/breaker.h"
#include "support_check.h"

static void set_up_filled(void)
{
    set_up();
    fill_with(mesh, false);
}

static void expect_told(const char *where, const char *what)
{
    for (const char *line = found; *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n'), *a = strstr(line, where), *b = strstr(line, what);
        if (a && b && a < end && b < end)
            return;
    }
    cr_assert_fail("'%s: %s' is not among\n%s", where, what, found);
}

static void expect_found(const char *where, const char *what)
{
    cr_assert_neq(audit(reader), 0, "found nothing");
    expect_told(where, what);
}

/* What may be somebody's next instruction to mend is no finding while somebody lives, however long that takes. */
static void expect_found_at_rest(const char *where, const char *what)
{
    uint64_t told = 0, findings = 0;
    audit(reader);
    cr_assert_null(strstr(found, what));
    found[0] = '\0';
    cr_assert_eq(cmy_check_region(reader->region, true, note, &told, &findings), COMMY_STATUS_SUCCESS);
    cr_assert_neq(findings, 0, "found nothing");
    expect_told(where, what);
}

static uint32_t service_of(const char *id)
{
    cmy_key_t key;
    uint32_t record;
    uint64_t state;
    cmy_key_make(&key, region->seed, id, strlen(id));
    cr_assert(cmy_service_find(region, &key, &record, &state));
    return record;
}

static cmy_service_shm_t *hot_of(const char *id)
{
    return cmy_service_at(region, service_of(id));
}

static cmy_service_cold_shm_t *cold_of(const char *id)
{
    return cmy_cold_at(region, service_of(id));
}

/* The first or second line of "many". */
static uint32_t line_number(int which)
{
    uint32_t line = cmy_next_line(cmy_load64_relaxed(&group_of("many")->next));
    return which == 0 ? line : cmy_next_line(cmy_load64_relaxed(&cmy_line_at(region, line)->next));
}

static cmy_line_shm_t *line_of(int which)
{
    return cmy_line_at(region, line_number(which));
}

/* The home line of a record in an index, and the number of its cell in the window. */
static cmy_index_line_shm_t *home_of(cmy_slab_kind_t slab, uint64_t hash)
{
    return &cmy_index_lines(region, slab)[cmy_index_home(hash, cmy_index_homes(region, slab))];
}

static uint32_t cell_of(cmy_slab_kind_t slab, uint64_t hash, uint32_t record)
{
    for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++)
        if (cmy_load32_relaxed(cmy_window_cell(home_of(slab, hash), i)) == cmy_index_cell(hash, record))
            return i;
    cr_assert_fail("record %u is not in its window", record);
    return 0;
}

static uint32_t empty_cell(cmy_index_line_shm_t *home)
{
    for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++)
        if (cmy_load32_relaxed(cmy_window_cell(home, i)) == 0)
            return i;
    cr_assert_fail("the window is full");
    return 0;
}

/* Replaces bytes of a text. */
static void scribble(cmy_word64_t *words, size_t at, char byte)
{
    uint64_t word = cmy_load64_relaxed(&words[at / 8]);
    memcpy((char *)&word + at % 8, &byte, 1);
    cmy_store64_relaxed(&words[at / 8], word);
}

static void change_shape(const char *id, void (*change)(cmy_shape_t *))
{
    cmy_service_shm_t *hot = hot_of(id);
    cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&hot->shape));
    change(&shape);
    cmy_store64_relaxed(&hot->shape, cmy_shape_pack(shape));
}

static uint32_t nobody_there(void)
{
    return cmy_owner(1000, 77);
}

TestSuite(fault, .init = set_up_filled, .fini = tear_down, .timeout = 60);

/* ------------------------------------------------------- header, marks, maps */

Test(fault, a_header_is_what_it_was)
{
    region->header->seed ^= 1;
    expect_found("header", "its seed is");
    region->header->seed ^= 1;
    region->header->capacity++;
    expect_found("header", "its capacity is");
}

Test(fault, marks_are_within_their_slabs)
{
    cmy_store64_relaxed(&region->header->reserved[CMY_STATS], 100000);
    expect_found("slab of statistics", "100000 records are marked reserved");
}

Test(fault, marks_never_go_down)
{
    expect_clean();
    cmy_store64_relaxed(&region->header->reserved[CMY_LINES], 0);
    expect_found("slab of member lines", "fewer than before");
}

Test(fault, marks_are_whole_chunks)
{
    cmy_store64_relaxed(&region->header->reserved[CMY_LARGE_TEXTS], 65);
    expect_found("slab of large texts", "whole number of chunks");
}

Test(fault, nothing_is_taken_that_is_not_reserved)
{
    uint32_t reserved = cmy_region_reserved_again(region, CMY_LARGE_TEXTS);
    cr_assert_lt(reserved, region->layout.slab[CMY_LARGE_TEXTS].limit);
    flip(cmy_slab_map(region, CMY_LARGE_TEXTS, reserved), 1ull << reserved % 64);
    expect_found("slab of large texts", "which is not reserved");
}

Test(fault, no_free_record_is_hidden)
{
    uint32_t record = free_record(CMY_STATS);
    flip(cmy_slab_map(region, CMY_STATS, record), 1ull << record % 64);
    expect_found_at_rest("statistics block", "hides it");
}

Test(fault, a_clear_bit_over_a_taken_record_is_no_fault)
{
    uint32_t record = service_of("auth-1");
    flip(cmy_slab_map(region, CMY_SERVICES, record), 1ull << record % 64);
    expect_clean();
}

Test(fault, a_free_record_has_no_owner)
{
    set_state(CMY_LARGE_TEXTS, free_record(CMY_LARGE_TEXTS), 5, CMY_FREE);
    expect_found("large text", "names an owner");
}

Test(fault, a_record_is_held_by_somebody_who_is_there)
{
    set_state(CMY_SERVICES, free_record(CMY_SERVICES), nobody_there(), CMY_CLAIMED);
    expect_found("service", "is CLAIMED by participant slot 1000 in its life 77");
    set_state(CMY_GROUPS, free_record(CMY_GROUPS), CMY_NOBODY, CMY_DYING);
    expect_found("group", "is DYING by nobody");
    set_state(CMY_STATS, free_record(CMY_STATS), nobody_there(), CMY_CLAIMED);
    expect_found("statistics block", "it is lost");
}

Test(fault, a_record_is_in_a_phase_of_its_kind)
{
    set_state(CMY_SERVICES, free_record(CMY_SERVICES), 0, CMY_CLOSING);
    expect_found("service", "is in phase 3 (CLOSING)");
    set_state(CMY_LINES, free_record(CMY_LINES), 0, CMY_DYING);
    expect_found("member line", "is in phase 4 (DYING)");
    set_state(CMY_GROUPS, free_record(CMY_GROUPS), 0, (cmy_phase_t)7);
    expect_found("group", "is in phase 7 (no phase)");
    set_state(CMY_SMALL_TEXTS, free_record(CMY_SMALL_TEXTS), 0, CMY_DYING);
    expect_found("small text", "is in phase 4 (DYING)");
}

/* ---------------------------------------------------- participants, stripes */

static uint32_t my_slot(void)
{
    return cmy_owner_slot(mesh->actor.owner);
}

Test(fault, a_slot_is_in_a_phase_there_is)
{
    cmy_store64_relaxed(&region->life[9].phase, 6);
    expect_found("participant slot 9", "is in phase 6");
    cmy_store64_relaxed(&region->life[9].phase, cmy_life_word(CMY_SLOT_FREE, 0, 3, 4711));
    expect_found("participant slot 9", "is FREE, but names a keeper");
    cmy_store64_relaxed(&region->life[9].phase, cmy_life_word(CMY_SLOT_JOINING, 0, 3, 0));
    expect_found("participant slot 9", "names no keeper");
    cmy_store64_relaxed(&region->life[9].phase, 0);
    cmy_store32_relaxed(&region->life[9].reserved, 1);
    expect_found("participant slot 9", "reserved word");
}

Test(fault, a_life_word_is_its_keepers_or_the_kernels)
{
    cmy_word32_t *word = &region->life[my_slot()].word;
    uint32_t was = cmy_load32_relaxed(word);
    cmy_store32_relaxed(word, was + 1);
    expect_found("participant slot", "its life word");
    cmy_store32_relaxed(word, was);
    expect_clean();
}

Test(fault, a_participant_says_who_it_is)
{
    cmy_participant_shm_t *tenant = &region->participants[my_slot()];
    scribble(tenant->node_id, 0, '\n');
    expect_found("participant slot", "node id");
    scribble(tenant->node_id, 0, '/');
    expect_found("participant slot", "its node id could not have been given");
    cmy_store32_relaxed(&tenant->pid, 0);
    expect_found("participant slot", "its process id is 0");
    cmy_store32_relaxed(&tenant->listen_port, 70000);
    expect_found("participant slot", "its port is 70000");
    cmy_store32_relaxed(&tenant->leaves, 2);
    expect_found("participant slot", "whether it leaves is 2");
    flip(&tenant->pid_namespace, 1);
    expect_found("participant slot", "PID namespace");
}

Test(fault, nobody_waits_for_a_version_to_come)
{
    cmy_store64_relaxed(&region->stripes[7].waiting, 1000000);
    expect_found("stripe 7", "version 1000000");
}

/* -------------------------------------------------------------------- events */

/* The entry that was written last of all, and its place. */
static cmy_event_shm_t *event_entry(uint32_t *place)
{
    cmy_event_t event;
    for (*place = 0; *place < COMMY_LIMIT_EVENTS; ++*place)
        if (cmy_event_read(region, *place, &event))
            return &region->events[*place / CMY_EVENT_ENTRIES].entry[*place % CMY_EVENT_ENTRIES];
    cr_assert_fail("there is no event");
    return NULL;
}

Test(fault, an_event_is_where_its_ticket_belongs)
{
    uint32_t place;
    char where[32];
    cmy_event_shm_t *entry = event_entry(&place);
    uint64_t number = cmy_event_number(cmy_load64_relaxed(&entry->ticket));
    snprintf(where, sizeof where, "event %u", place);
    cmy_store64_relaxed(&entry->ticket, cmy_event_ticket(number + 1, false));
    expect_found(where, "belongs to another place");
    cmy_store64_relaxed(&entry->ticket, cmy_event_ticket(number + 100 * CMY_EVENT_ENTRIES, true));
    expect_found(where, "was never given");
    cmy_store64_relaxed(&entry->ticket, 1);
    expect_found(where, "its ticket 0");
    cmy_store64_relaxed(&entry->ticket, cmy_event_ticket(number, true));
    expect_clean(); /* its writer may have been killed */
}

/* ------------------------------------------------------------------ services */

Test(fault, a_live_service_belongs_to_somebody_who_is_there)
{
    set_state(CMY_SERVICES, service_of("auth-1"), nobody_there(), CMY_LIVE);
    expect_found("(id 'auth-1')", "belongs to participant slot 1000");
}

Test(fault, only_a_detached_service_is_nobodys)
{
    uint32_t record = service_of("auth-2");
    set_state(CMY_SERVICES, record, CMY_NOBODY, CMY_LIVE);
    expect_found("(id 'auth-2')", "is nobody's");
}

static void detach(cmy_shape_t *shape)
{
    shape->flags = CMY_SHAPE_DETACHED;
}

Test(fault, a_detached_service_is_nobodys_and_has_a_lease)
{
    change_shape("mail-1", detach);
    expect_found("(id 'mail-1')", "was registered as detached, but names an owner");
    expect_found("(id 'mail-1')", "has no lease");
}

Test(fault, a_lease_goes_with_a_ttl)
{
    cmy_store64_relaxed(&cold_of("auth-2")->ttl_ms, 0);
    expect_found("(id 'auth-2')", "TTL of 0 ms");
    cmy_store64_relaxed(&cold_of("auth-1")->ttl_ms, 5);
    expect_found("(id 'auth-1')", "TTL of 5 ms, but no lease");
}

Test(fault, who_checks_a_service_does_so_in_this_life_of_it)
{
    cmy_word64_t *checker = &cold_of("auth-1")->checker, *checked = &cold_of("auth-1")->checked;
    uint64_t nobody = cmy_load64_relaxed(checker), none = cmy_load64_relaxed(checked);
    cmy_store64_relaxed(checker, nobody + (1ull << 34));
    expect_found("(id 'auth-1')", "its checker word is of another life");
    cmy_store64_relaxed(checker, nobody | 1);
    expect_found("(id 'auth-1')", "its checker word is of another life");
    cmy_store64_relaxed(checker, nobody | 2 << 3);
    expect_found("(id 'auth-1')", "its checker word names no participant");
    cmy_store64_relaxed(checker, nobody);
    cmy_store64_relaxed(checked, none + (1ull << 44));
    expect_found("(id 'auth-1')", "its result of a health check is of another life");
    cmy_store64_relaxed(checked, none | 5);
    expect_found("(id 'auth-1')", "its result of a health check says something, but of no check");
    cmy_store64_relaxed(checked, none | 1ull << 28);
    expect_clean();
}

static void turn_leased(cmy_shape_t *shape)
{
    shape->flags ^= CMY_SHAPE_LEASED;
}

Test(fault, a_shape_says_whether_there_is_a_lease)
{
    change_shape("auth-1", turn_leased);
    expect_found("(id 'auth-1')", "has no lease, but its shape says otherwise");
    change_shape("auth-2", turn_leased);
    expect_found("(id 'auth-2')", "has a lease, but its shape says otherwise");
}

static void spoil_shape(cmy_shape_t *shape)
{
    shape->name_bytes = 64;
    shape->endpoint_bytes = 0;
    shape->tag_count = 17;
    shape->flags = 128;
}
static void spoil_id_bytes(cmy_shape_t *shape)
{
    shape->id_bytes = 200;
}
static void drop_port(cmy_shape_t *shape)
{
    shape->port = 0;
}

Test(fault, a_shape_is_within_the_limits)
{
    uint32_t record = service_of("auth-1");
    change_shape("auth-1", spoil_shape);
    char where[32];
    snprintf(where, sizeof where, "service %u ", record);
    expect_found(where, "its name has 64 bytes");
    expect_found(where, "its endpoint is empty");
    expect_found(where, "it has 17 tags");
    expect_found(where, "bits that mean nothing");
    change_shape("auth-2", spoil_id_bytes);
    expect_found("service", "its id has 200 bytes");
    change_shape("mail-1", drop_port);
    expect_found("(id 'mail-1')", "its port is 0");
}

Test(fault, texts_are_texts_and_end_with_nuls)
{
    scribble(hot_of("auth-1")->endpoint, 3, '\0');
    expect_found("(id 'auth-1')", "its endpoint should have 9 bytes and has 3");
    scribble(cold_of("auth-2")->name, 40, 'x');
    expect_found("(id 'auth-2')", "behind its name of 4 bytes there is something at byte 40");
    scribble(cold_of("mail-1")->zone, 0, '\xff');
    expect_found("(id 'mail-1')", "its zone is no text");
    scribble(cold_of("many-1")->tags[1], 2, '\x1b');
    expect_found("(id 'many-1')", "its tag is no text");
    for (int i = 0; i < 32; i++)
        scribble(cold_of("many-2")->version, i, 'v');
    expect_found("(id 'many-2')", "its version does not end");
    scribble(cold_of("an-id-of-more-than-thirty-nine-bytes-lies-in-the-cold-half")->endpoint, 60, 'x');
    expect_found("an-id-of-more", "behind its endpoint of 58 bytes");
}

Test(fault, an_id_is_what_was_hashed)
{
    uint32_t record = service_of("auth-1");
    scribble(cmy_service_at(region, record)->id, 5, '9');
    expect_found("(id 'auth-9')", "its hash is not its id's");
    record = service_of("an-id-of-more-than-thirty-nine-bytes-lies-in-the-cold-half");
    scribble(cmy_cold_at(region, record)->id, 0, 'A');
    expect_found("(id 'An-id-of-more", "its hash is not its id's");
}

Test(fault, a_condition_is_of_this_life)
{
    flip(&hot_of("auth-1")->condition, 1ull << 34);
    expect_found("(id 'auth-1')", "condition word is of another life");
    flip(&hot_of("auth-2")->condition, 3ull << CMY_ADMIN_SHIFT);
    expect_found("(id 'auth-2')", "condition word says something");
    flip(&hot_of("mail-1")->condition, 3ull << CMY_EXPONENT_SHIFT);
    expect_found("(id 'mail-1')", "is closed, and was tried in vain 3 times");
}

/* -------------------------------------------------------------------- index */

Test(fault, a_live_service_is_in_the_index)
{
    uint32_t record = service_of("auth-1");
    uint64_t hash = cmy_load64_relaxed(&hot_of("auth-1")->hash);
    cmy_index_line_shm_t *home = home_of(CMY_SERVICES, hash);
    uint32_t cell = cell_of(CMY_SERVICES, hash, record);
    flip(&home->word, 1ull << cell);
    expect_found("(id 'auth-1')", "is not committed");
    cmy_store32_relaxed(cmy_window_cell(home, cell), 0);
    expect_found("(id 'auth-1')", "no cell in the window");
}

Test(fault, a_group_in_use_is_in_the_index)
{
    uint32_t record = group_number("auth");
    uint64_t hash = cmy_load64_relaxed(&group_of("auth")->hash);
    flip(&home_of(CMY_GROUPS, hash)->word, 1ull << cell_of(CMY_GROUPS, hash, record));
    expect_found("(name 'auth')", "is not committed");
}

Test(fault, a_committed_cell_is_not_empty)
{
    uint64_t hash = cmy_load64_relaxed(&hot_of("auth-1")->hash);
    cmy_index_line_shm_t *home = home_of(CMY_SERVICES, hash);
    flip(&home->word, 1ull << empty_cell(home));
    expect_found("index of ids, line", "which is empty");
    hash = cmy_load64_relaxed(&group_of("auth")->hash);
    home = home_of(CMY_GROUPS, hash);
    flip(&home->word, 1ull << empty_cell(home));
    expect_found("index of names, line", "which is empty");
}

Test(fault, a_cell_is_committed_for_its_home_only)
{
    /* Some record stands in the first half of the window of a line that is not the first. */
    for (uint32_t i = 1; i < region->layout.id_lines; i++)
        for (uint32_t j = 0; j < CMY_LINE_CELLS; j++) {
            if (!(cmy_load64_relaxed(&region->ids[i].word) >> j & 1))
                continue;
            flip(&region->ids[i - 1].word, 1ull << (CMY_LINE_CELLS + j));
            expect_found("index of ids, line", "whose key lives in line");
            return;
        }
    cr_assert_fail("the index is empty");
}

Test(fault, a_cell_names_a_record_that_is_there)
{
    uint64_t hash = cmy_load64_relaxed(&hot_of("auth-1")->hash);
    cmy_index_line_shm_t *home = home_of(CMY_SERVICES, hash);
    cmy_store32_relaxed(cmy_window_cell(home, empty_cell(home)), 4000000);
    expect_found("index of ids, line", "names service 3999999, which is not reserved");
    cmy_store32_relaxed(cmy_window_cell(home, empty_cell(home)), cmy_index_cell(0, free_record(CMY_SERVICES)));
    expect_found("index of ids, line", "which is FREE");
    home = home_of(CMY_GROUPS, cmy_load64_relaxed(&group_of("auth")->hash));
    cmy_store32_relaxed(cmy_window_cell(home, empty_cell(home)), cmy_index_cell(0, free_record(CMY_GROUPS)));
    expect_found("index of names, line", "which is FREE");
}

Test(fault, a_cell_has_its_keys_tag_and_is_near_its_home)
{
    uint32_t record = service_of("auth-1");
    uint64_t hash = cmy_load64_relaxed(&hot_of("auth-1")->hash);
    cmy_index_line_shm_t *home = home_of(CMY_SERVICES, hash);
    cmy_word32_t *cell = cmy_window_cell(home, cell_of(CMY_SERVICES, hash, record));
    cmy_store32_relaxed(cell, cmy_load32_relaxed(cell) ^ 1u << 22);
    expect_found("index of ids, line", "has tag");
    cmy_store32_relaxed(cell, cmy_load32_relaxed(cell) ^ 1u << 22);
    uint32_t far = (cmy_index_home(hash, region->layout.id_lines) + 5) % region->layout.id_lines;
    cmy_store32_relaxed(cmy_window_cell(&region->ids[far], empty_cell(&region->ids[far])),
                        cmy_index_cell(hash, record));
    expect_found("index of ids, line", "whose key lives in line");
}

Test(fault, a_record_has_one_cell)
{
    uint32_t record = service_of("auth-1");
    uint64_t hash = cmy_load64_relaxed(&hot_of("auth-1")->hash);
    cmy_index_line_shm_t *home = home_of(CMY_SERVICES, hash);
    cmy_store32_relaxed(cmy_window_cell(home, empty_cell(home)), cmy_index_cell(hash, record));
    expect_found("(id 'auth-1')", "has 2 cells");
}

Test(fault, the_line_behind_the_last_home_commits_nothing)
{
    flip(&region->ids[region->layout.id_lines].word, 1);
    expect_found("index of ids, line", "is no home");
}

/* Makes a record that was never used the twin of another, down to its place in the index. */
static uint32_t make_twin(cmy_slab_kind_t slab, uint32_t record, uint64_t hash)
{
    uint32_t twin = free_record(slab);
    const cmy_slab_layout_t *layout = &region->layout.slab[slab];
    memcpy(cmy_record_at(region, slab, twin), cmy_record_at(region, slab, record), layout->stride);
    if (layout->cold_stride)
        memcpy(cmy_cold_at(region, twin), cmy_cold_at(region, record), layout->cold_stride);
    cmy_index_line_shm_t *home = home_of(slab, hash);
    uint32_t cell = empty_cell(home);
    cmy_store32_relaxed(cmy_window_cell(home, cell), cmy_index_cell(hash, twin));
    flip(&home->word, 1ull << cell);
    return twin;
}

Test(fault, an_id_is_registered_once)
{
    uint32_t record = service_of("auth-1");
    uint32_t twin = make_twin(CMY_SERVICES, record, cmy_load64_relaxed(&hot_of("auth-1")->hash));
    char what[64];
    snprintf(what, sizeof what, "so is number %u under the same key", record < twin ? record : twin);
    expect_found("(id 'auth-1')", what);
}

Test(fault, a_name_has_one_group)
{
    make_twin(CMY_GROUPS, group_number("mail"), cmy_load64_relaxed(&group_of("mail")->hash));
    expect_found("(name 'mail')", "under the same key");
}

/* ------------------------------------------------------------------- groups */

Test(fault, a_service_stands_where_its_position_says)
{
    cmy_service_shm_t *hot = hot_of("mail-1");
    uint64_t position = cmy_load64_relaxed(&hot->position);
    cmy_store64_relaxed(&hot->position, position + 1);
    expect_found("(id 'mail-1')", "does not stand in the member cell");
    expect_found("(name 'mail')", "whose place is another");
    cmy_store64_relaxed(&hot->position, cmy_position(group_number("auth"), cmy_position_container(position), 0));
    expect_found("(id 'mail-1')", "has another name");
    cmy_store64_relaxed(&hot->position, ~0ull);
    expect_found("(id 'mail-1')", "its position makes no sense");
}

Test(fault, a_services_line_belongs_to_its_group)
{
    uint32_t line = line_number(1), record = cmy_load32_relaxed(&line_of(1)->cell[0]) - 1;
    cmy_store64_relaxed(&cmy_service_at(region, record)->position,
                        cmy_position(group_number("auth"), cmy_container_of_line(line), 0));
    expect_found("service", "does not belong to its group");
}

Test(fault, a_services_group_is_in_use)
{
    set_state(CMY_GROUPS, group_number("mail"), mesh->actor.owner, CMY_DYING);
    expect_found("(id 'mail-1')", "is not in use");
}

Test(fault, a_groups_name_is_what_was_hashed)
{
    scribble(group_of("mail")->name, 0, 'M');
    expect_found("(name 'Mail')", "its hash is not its name's");
}

Test(fault, a_member_cell_names_a_service_that_is_there)
{
    cmy_group_shm_t *group = group_of("mail");
    cmy_store32_relaxed(&group->cell[20], 100000);
    expect_found("(name 'mail')", "cell 20 names service 99999, which is not reserved");
    cmy_store32_relaxed(&group->cell[20], free_record(CMY_SERVICES) + 1);
    expect_found("(name 'mail')", "which is FREE");
    cmy_store32_relaxed(&group->cell[20], service_of("auth-1") + 1);
    expect_found("(name 'mail')", "whose place is another");
    cmy_store32_relaxed(&cmy_line_at(region, free_record(CMY_LINES))->cell[1], service_of("auth-1") + 1);
    expect_found("member line", "whose place is another");
}

Test(fault, a_chain_in_use_is_open_and_of_this_life)
{
    cmy_group_shm_t *group = group_of("mail");
    uint32_t own = cmy_state_version(cmy_load64_relaxed(&group->state));
    cmy_store64_relaxed(&group->next, cmy_next(CMY_NEXT_CLOSED, 0, 0, own));
    expect_found("(name 'mail')", "closed for good");
    cmy_store64_relaxed(&group->next, cmy_next(CMY_NEXT_NIL, 0, 0, own + 1));
    expect_found("(name 'mail')", "next word is of another life");
    cmy_store64_relaxed(&group->next, cmy_next(CMY_NEXT_NIL, 7, 0, own));
    expect_found("(name 'mail')", "is NIL, but names line 7");
    cmy_store64_relaxed(&group->next, cmy_next((cmy_next_kind_t)3, 0, 0, own));
    expect_found("(name 'mail')", "a kind that there is not");
    cmy_store64_relaxed(&group->next, cmy_next(CMY_NEXT_LINE, 100000, 0, own));
    expect_found("(name 'mail')", "links to member line 100000, which is not reserved");
    cmy_store64_relaxed(&group->next, cmy_next(CMY_NEXT_LINE, line_number(0), 3, own));
    expect_found("(name 'mail')", "a life that is still to come");
    cmy_store64_relaxed(&line_of(1)->next, cmy_next(CMY_NEXT_CLOSED, 0, 0, 0));
    expect_found("member line", "closed for good");
}

Test(fault, a_lost_race_for_a_line_is_no_fault)
{
    cmy_group_shm_t *group = group_of("mail");
    uint32_t own = cmy_state_version(cmy_load64_relaxed(&group->state));
    cmy_store64_relaxed(&group->next, cmy_next(CMY_NEXT_LINE, line_number(0), 0, own)); /* it went to "many" */
    expect_clean();
}

Test(fault, a_live_line_is_linked)
{
    uint32_t line = free_record(CMY_LINES);
    set_state(CMY_LINES, line, cmy_container_of_group(group_number("mail")), CMY_LIVE);
    expect_found("member line", "does not link to it: it is lost");
    set_state(CMY_LINES, line, cmy_container_of_group(100000), CMY_LIVE);
    expect_found("member line", "belongs to group 100000, which is not reserved");
    set_state(CMY_LINES, line, cmy_container_of_group(free_record(CMY_GROUPS)), CMY_LIVE);
    expect_found("member line", "which is FREE");
}

Test(fault, lines_in_a_ring_lead_to_no_group)
{
    uint32_t one = free_record(CMY_LINES);
    set_state(CMY_LINES, one, 1, CMY_LIVE);
    uint32_t other = free_record(CMY_LINES);
    set_state(CMY_LINES, one, cmy_container_of_line(other), CMY_LIVE);
    set_state(CMY_LINES, other, cmy_container_of_line(one), CMY_LIVE);
    cmy_store64_relaxed(&cmy_line_at(region, one)->next, cmy_next(CMY_NEXT_LINE, other, 0, 0));
    cmy_store64_relaxed(&cmy_line_at(region, other)->next, cmy_next(CMY_NEXT_LINE, one, 0, 0));
    expect_found("member line", "leads up to no group");
}

Test(fault, a_free_line_has_the_next_word_of_its_next_life)
{
    flip(&cmy_line_at(region, free_record(CMY_LINES))->next, 1ull << 44);
    expect_found("member line", "is FREE, but its next word");
}

/* ------------------------------------------------------------------- blocks */

Test(fault, a_link_is_of_this_life_and_names_a_block_of_this_service)
{
    cmy_word64_t *link = &hot_of("many-1")->stats;
    uint64_t was = cmy_load64_relaxed(link);
    flip(link, 1ull << 43);
    expect_found("(id 'many-1')", "link to statistics is of another life");
    cmy_store64_relaxed(link, was | 1);
    expect_found("(id 'many-1')", "link to statistics names a text");
    cmy_store64_relaxed(link, was ^ 1ull << 23);
    expect_found("(id 'many-1')", "which is not taken, or by somebody else");
    cmy_store64_relaxed(link, (was & ~0x7ffffeull) | 0x3ffffeull);
    expect_found("(id 'many-1')", "which is not reserved");
    cmy_store64_relaxed(link, cmy_load64_relaxed(&hot_of("many-2")->stats));
    expect_found("(id 'many-1')", "whose home is service");
    cmy_store64_relaxed(link, (was & ~0x7fffffull) | 1ull << 23);
    expect_found("(id 'many-1')", "names no block, but a block's life");
}

Test(fault, a_link_to_metadata_names_a_text_that_is_taken)
{
    uint64_t link = cmy_load64_relaxed(&cold_of("auth-1")->metadata);
    cmy_word64_t *state = cmy_state_at(region, CMY_SMALL_TEXTS, cmy_link_block(link));
    cmy_store64_relaxed(state, cmy_state_released(cmy_load64_relaxed(state)));
    expect_found("(id 'auth-1')", "link to metadata names block");
}

Test(fault, a_block_that_is_taken_is_linked)
{
    for (cmy_slab_kind_t kind = CMY_STATS; kind <= CMY_LARGE_TEXTS; kind++) {
        uint32_t block = free_record(kind);
        set_state(kind, block, CMY_NOBODY, CMY_LIVE);
        ((cmy_block_shm_t *)cmy_record_at(region, kind, block))->bytes = (cmy_word32_t){600};
        expect_found_at_rest(kind == CMY_STATS         ? "statistics block"
                             : kind == CMY_SMALL_TEXTS ? "small text"
                                                       : "large text",
                             "does not link to it: it is lost");
    }
    uint32_t block = free_record(CMY_STATS);
    set_state(CMY_STATS, block, CMY_NOBODY, CMY_LIVE);
    cmy_store32_relaxed(&((cmy_block_shm_t *)cmy_record_at(region, CMY_STATS, block))->home, 100000);
    expect_found("statistics block", "its home is service 100000");
}

Test(fault, a_block_that_is_linked_is_nobodys)
{
    uint64_t link = cmy_load64_relaxed(&hot_of("many-1")->stats);
    set_state(CMY_STATS, cmy_link_block(link), mesh->actor.owner, CMY_LIVE);
    expect_found("statistics block", "still names who claimed it");
}

Test(fault, counters_never_go_back)
{
    uint64_t link = cmy_load64_relaxed(&hot_of("many-1")->stats);
    cmy_store64_relaxed(&cmy_tally_of(region, link)->stripe[2].base_failures, 5);
    expect_found("statistics block", "count of failures in stripe 2");
}

static cmy_stat_shm_t *stat_of(const char *id, uint32_t *block)
{
    *block = cmy_link_block(cmy_load64_relaxed(&hot_of(id)->stats));
    return cmy_stat_at(region, *block);
}

static uint64_t in_flight_of(const cmy_stat_shm_t *stat, uint32_t incarnation, uint32_t ahead, uint32_t count)
{
    uint64_t state = cmy_load64_relaxed(&stat->block.state);
    return cmy_flight_cell(cmy_owner(0, incarnation), cmy_state(cmy_state_version(state) + ahead, CMY_NOBODY, CMY_LIVE),
                           count);
}

Test(fault, requests_in_flight_are_of_who_is_there)
{
    uint32_t block, life = cmy_owner_incarnation(mesh->actor.owner), slot = cmy_owner_slot(mesh->actor.owner);
    cmy_stat_shm_t *stat = stat_of("many-1", &block);
    cmy_store64_relaxed(&stat->cell[slot], in_flight_of(stat, life, 0, 5));
    cmy_store64_relaxed(&stat->cell[slot + 1], in_flight_of(stat, 7, 0, 0));
    cr_assert_eq(audit(reader), 0, "%s", found);
    cmy_store64_relaxed(&stat->cell[slot + 1], in_flight_of(stat, 7, 0, 5));
    expect_found("statistics block",
                 "5 requests in flight are of participant slot 1 in its life 7, which is not there");
    cmy_store64_relaxed(&stat->cell[slot + 1], 0);
    cmy_store64_relaxed(&stat->cell[slot], in_flight_of(stat, life, 1, 5));
    expect_found("statistics block", "are of a life of it that is to come");
    cmy_store64_relaxed(&stat->cell[slot], in_flight_of(stat, life, (uint32_t)-1, 5));
    expect_clean();
}

Test(fault, a_breaker_that_is_open_can_be_tried)
{
    uint64_t now = cmy_tick(cmy_clock_monotonic_ns());
    cmy_word64_t *turn = &cmy_tally_of(region, cmy_load64_relaxed(&hot_of("many-1")->stats))->breaker.turn;
    flip(&hot_of("auth-1")->condition, CMY_CONDITION_OPEN);
    expect_found("(id 'auth-1')", "is open, and nobody's turn to try it comes");
    flip(&hot_of("auth-1")->condition, CMY_CONDITION_OPEN);
    flip(&hot_of("many-1")->condition, CMY_CONDITION_OPEN);
    expect_found("(id 'many-1')", "is open, and nobody's turn to try it comes");
    cmy_store64_relaxed(turn, cmy_turn(CMY_NOBODY, now + 10));
    expect_clean();
    cmy_store64_relaxed(turn, cmy_turn(mesh->actor.owner, now - 10));
    expect_clean();
    cmy_store64_relaxed(turn, cmy_turn(2, now));
    expect_found("(id 'many-1')", "is tried by a participant of slot");
    cmy_store64_relaxed(turn, cmy_turn(CMY_NOBODY, now + (87000000000000ull >> CMY_TICK_SHIFT)));
    expect_found("(id 'many-1')", "stays open longer than any does");
}

Test(fault, breakers_are_configured_to_what_can_be_given)
{
    cmy_rules_t rules = {true, 5, 0, 20, 100, 10000, 5000, 300000};
    cmy_store64_relaxed(&region->header->breaker_rules, cmy_rules_pack(&rules));
    expect_found("header", "configured to something that cannot be given");
    cmy_store64_relaxed(&region->header->breaker_times, cmy_times_pack(&rules));
    expect_clean();
    rules.streak = 0;
    cmy_store64_relaxed(&region->header->breaker_rules, cmy_rules_pack(&rules));
    expect_found("header", "configured to something that cannot be given");
}

/* Records of cells that are linked to a block: part 0 and part 11, the last. */
static cmy_cells_shm_t *link_cells(cmy_stat_shm_t *stat, uint32_t block, uint32_t part)
{
    uint32_t record;
    cr_assert_eq(cmy_region_grow(region, CMY_CELLS, 0), COMMY_STATUS_SUCCESS);
    record = free_record(CMY_CELLS);
    set_state(CMY_CELLS, record, CMY_NOBODY, CMY_LIVE);
    cmy_cells_shm_t *cells = cmy_record_at(region, CMY_CELLS, record);
    cmy_store32_relaxed(&cells->block.home, block);
    cmy_store32_relaxed(&cells->block.bytes, part);
    cmy_store32_relaxed(&stat->further[part], record + 1);
    return cells;
}

Test(fault, further_cells_are_linked_and_their_blocks)
{
    uint32_t block;
    cmy_stat_shm_t *stat = stat_of("many-1", &block);
    cmy_cells_shm_t *cells = link_cells(stat, block, 11);
    uint32_t record = cmy_load32_relaxed(&stat->further[11]) - 1;
    expect_clean();
    cmy_store64_relaxed(&cells->cell[70], in_flight_of(stat, 7, 0, 5));
    expect_found("statistics block", "5 requests in flight are of participant slot 1023 in its life 7");
    cmy_store64_relaxed(&cells->cell[70], 0);
    cmy_store64_relaxed(&cells->cell[71], 1ull << 44);
    expect_found("statistics block", "its cell 1024 is in use, and of no participant slot");
    cmy_store64_relaxed(&cells->cell[71], 0);
    cmy_store32_relaxed(&cells->block.bytes, 3);
    expect_found("statistics block", "which is part 3 of block");
    cmy_store32_relaxed(&cells->block.bytes, 11);
    set_state(CMY_CELLS, record, mesh->actor.owner, CMY_LIVE);
    expect_found("record of cells", "still names who claimed it");
    set_state(CMY_CELLS, record, CMY_NOBODY, CMY_FREE);
    expect_found("statistics block", "which is FREE");
    set_state(CMY_CELLS, record, CMY_NOBODY, CMY_DYING);
    expect_found("record of cells", "is in phase 4");
    set_state(CMY_CELLS, record, nobody_there(), CMY_CLAIMED);
    expect_found("record of cells", "which is not there: it is lost");
    set_state(CMY_CELLS, record, CMY_NOBODY, CMY_LIVE);
    cmy_store32_relaxed(&stat->further[11], 0);
    expect_found("record of cells", "does not link to it: it is lost");
    cmy_store32_relaxed(&stat->further[2], 100000);
    expect_found("statistics block", "links to record of cells 99999, which is not reserved");
}

Test(fault, a_text_fits_its_block)
{
    cmy_block_shm_t *block =
        cmy_record_at(region, CMY_SMALL_TEXTS, cmy_link_block(cmy_load64_relaxed(&cold_of("auth-1")->metadata)));
    cmy_store32_relaxed(&block->bytes, 497);
    expect_found("small text", "holds a text of 497 bytes");
    cmy_store32_relaxed(&block->bytes, 5);
    expect_found("small text", "its metadata should have 5 bytes");
    block = cmy_record_at(region, CMY_LARGE_TEXTS, cmy_link_block(cmy_load64_relaxed(&cold_of("auth-2")->metadata)));
    scribble((cmy_word64_t *)(block + 1), 100, '\x01');
    expect_found("large text", "its metadata is no text");
}
