/*
 * Names and their instances: counting, discovering and walking them while they come and go; groups and member lines are
 * given back, so that a small region serves any number of names one after the other.
 */
#include "support_registry.h"

TestSuite(names, .init = set_up, .fini = tear_down, .timeout = 60);

Test(names, an_unknown_name_has_no_instances)
{
    begin(64);
    size_t count = 5;
    commy_iterator_t walk;
    commy_view_t view;
    cr_assert_eq(commy_name_count(mesh, "nobody", &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, 0);
    cr_assert_eq(commy_iterate_name(mesh, "nobody", &walk), COMMY_STATUS_SUCCESS);
    cr_assert_not(commy_iterate_next(mesh, &walk, &view));
    cr_assert_not(commy_iterate_next(mesh, &walk, &view), "and after the end");
    cr_assert_eq(commy_iterate_all(mesh, &walk), COMMY_STATUS_SUCCESS);
    cr_assert_not(commy_iterate_next(mesh, &walk, &view));
}

Test(names, discovering_fills_the_room_there_is_and_tells_the_full_number)
{
    begin(128);
    char id[16];
    commy_service_info_t out[100];
    bool seen[60] = {false};
    size_t count;
    for (int i = 0; i < 60; i++) { /* a group, a line, and some of another */
        snprintf(id, sizeof id, "a-%d", i);
        add(mesh, "a", id);
        snprintf(id, sizeof id, "b-%d", i);
        add(mesh, "b", id);
    }
    for (size_t room = 0; room <= 100; room += 25) {
        memset(out, 0x7f, sizeof out);
        cr_assert_eq(commy_name_discover(mesh, "a", out, room, &count), COMMY_STATUS_SUCCESS);
        cr_assert_eq(count, 60);
        for (size_t i = room; i < 100; i++)
            cr_assert_eq(out[i].name[0], 0x7f, "nothing behind the room was written");
    }
    for (size_t i = 0; i < 60; i++) {
        int number = atoi(out[i].id + 2);
        cr_assert_str_eq(out[i].name, "a");
        cr_assert(number >= 0 && number < 60 && !seen[number], "%s comes once", out[i].id);
        seen[number] = true;
    }
    cr_assert_eq(commy_name_discover(mesh, NULL, out, 100, &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, 120, "all services of the mesh");
    audit();
}

Test(names, any_number_of_names_goes_through_a_small_region)
{
    begin(64);
    char name[32];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "stays-%d", i);
        add(mesh, name, name);
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "passes-%d", i);
        add(mesh, name, "passing");
        if (i % 1000 == 0) {
            cr_assert_eq(count_of(mesh, name), 1);
            for (int k = 0; k < 10; k++) {
                snprintf(name, sizeof name, "stays-%d", k);
                cr_assert_eq(count_of(mesh, name), 1);
            }
        }
        drop(mesh, "passing");
    }
    snprintf(name, sizeof name, "passes-%d", 99998);
    cr_assert_eq(count_of(mesh, name), 0);
    cr_assert_leq(records_in_use(mesh, CMY_GROUPS), mesh->region->layout.slab[CMY_GROUPS].limit);
    audit();
}

Test(names, more_names_than_a_region_is_made_for_are_refused_as_services_first)
{
    begin(16);
    char name[16];
    for (int i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "n%d", i);
        add(mesh, name, name);
    }
    expect(try_add(mesh, "n16", "n16"), COMMY_STATUS_FULL, "16 of 16 services");
}

/* Instances i-0 to i-(n-1) of one name; which of them are there. */
enum { MANY = 512 };
static bool is_there[MANY];

static void put(int i, bool wanted)
{
    char id[16];
    if (is_there[i] == wanted)
        return;
    snprintf(id, sizeof id, "i-%d", i);
    if (wanted)
        add(mesh, "many", id);
    else
        drop(mesh, id);
    is_there[i] = wanted;
}

static void many_are_exact(void)
{
    static commy_service_info_t out[MANY];
    size_t count, wanted = 0;
    bool seen[MANY] = {false};
    for (int i = 0; i < MANY; i++)
        wanted += is_there[i];
    cr_assert_eq(commy_name_discover(mesh, "many", out, MANY, &count), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, wanted);
    for (size_t i = 0; i < count; i++) {
        int number = atoi(out[i].id + 2);
        cr_assert(is_there[number] && !seen[number], "%s", out[i].id);
        seen[number] = true;
    }
}

Test(names, a_name_that_grows_and_shrinks_uses_its_holes_again_and_leaks_no_line)
{
    unsigned seed = 3;
    begin(MANY + 256);
    const uint32_t lines = (MANY - CMY_GROUP_CELLS + CMY_LINE_MEMBERS - 1) / CMY_LINE_MEMBERS;
    for (int i = 0; i < MANY; i++)
        put(i, true);
    many_are_exact();
    cr_assert_eq(records_in_use(mesh, CMY_LINES), lines);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < MANY; i++)
            put(i, rand_r(&seed) % 8u < (unsigned)round % 8u);
        many_are_exact();
        for (int i = 0; i < MANY; i++)
            put((i * 37) % MANY, true);
        many_are_exact();
        cr_assert_eq(records_in_use(mesh, CMY_LINES), lines, "round %d", round);
        cr_assert_eq(records_in_use(mesh, CMY_GROUPS), 1);
    }
    for (int i = 0; i < MANY; i++)
        put(i, false);
    cr_assert_eq(count_of(mesh, "many"), 0);
    audit();
    cr_assert_eq(cmy_group_collect_all(&mesh->actor), 1);
    cr_assert_eq(records_in_use(mesh, CMY_LINES), 0, "an empty name's lines go with it");
    audit();
}

Test(names, lines_of_names_that_were_large_once_serve_other_names)
{
    begin(256); /* 128 lines; a name of 250 needs nine */
    char name[32], id[32];
    for (int turn = 0; turn < 40; turn++) {
        snprintf(name, sizeof name, "large-%d", turn);
        for (int i = 0; i < 250; i++) {
            snprintf(id, sizeof id, "i-%d", i);
            add(mesh, name, id);
        }
        cr_assert_eq(count_of(mesh, name), 250);
        for (int i = 0; i < 250; i++) {
            snprintf(id, sizeof id, "i-%d", i);
            drop(mesh, id);
        }
    }
    audit();
}

/* ------------------------------------------------------ names while others collect them */

static _Atomic bool over;
static _Atomic uint64_t joined, lost;

/* Registers one id under one of more names than there is room for, and looks whether the name knows it. */
static void *use_names(void *argument)
{
    commy_mesh_t *own = argument;
    unsigned seed = cmy_owner_slot(own->actor.owner);
    commy_service_info_t list[8];
    char name[16], id[32];
    size_t count;
    snprintf(id, sizeof id, "of-%u", seed);
    while (!atomic_load(&over)) {
        snprintf(name, sizeof name, "n%d", rand_r(&seed) % 160);
        if (try_add(own, name, id) != COMMY_STATUS_SUCCESS)
            continue; /* all the room is taken by names that are about to go */
        size_t times = 0;
        commy_name_discover(own, name, list, 8, &count);
        for (size_t i = 0; i < count; i++)
            times += strcmp(list[i].id, id) == 0;
        atomic_fetch_add(&joined, 1);
        atomic_fetch_add(&lost, times != 1);
        drop(own, id);
    }
    return NULL;
}

Test(names, a_name_is_never_collected_under_who_joins_it)
{
    enum { USERS = 3 };
    pthread_t thread[USERS];
    commy_mesh_t *user[USERS];
    begin(16); /* 80 names at once */
    for (int i = 0; i < USERS; i++) {
        user[i] = attach(0);
        cr_assert_eq(commy_mesh_join(user[i], NULL, 0), COMMY_STATUS_SUCCESS);
        cr_assert_eq(pthread_create(&thread[i], NULL, use_names, user[i]), 0);
    }
    sleep_ms(2000);
    atomic_store(&over, true);
    for (int i = 0; i < USERS; i++) {
        pthread_join(thread[i], NULL);
        commy_mesh_detach(&user[i]);
    }
    cr_assert_gt(joined, 100);
    cr_assert_eq(lost, 0, "%" PRIu64 " of %" PRIu64 " were not discovered once", lost, joined);
    audit();
}

/* ------------------------------------------------------------ walks while others work */

enum { STABLE = 150, CHURNERS = 2, CHURNED = 60 };
static _Atomic uint64_t changes;

typedef struct churner {
    commy_mesh_t *with;
    int number;
} churner_t;

/* Registers and unregisters instances of the same name and of others, at random. */
static void *churn(void *argument)
{
    const churner_t *me = argument;
    unsigned seed = (unsigned)me->number + 1;
    char id[32], name[16];
    while (!atomic_load(&over)) {
        int i = rand_r(&seed) % CHURNED;
        snprintf(id, sizeof id, "churn-%d-%d", me->number, i);
        snprintf(name, sizeof name, "other-%d", i);
        if (commy_service_unregister(me->with, id) != COMMY_STATUS_SUCCESS)
            try_add(me->with, i % 3 ? "walked" : name, id);
        atomic_fetch_add(&changes, 1);
    }
    return NULL;
}

/* One walk: everything stable comes exactly once, and no registration comes twice. */
static void walk_once(const commy_mesh_t *reader, bool all)
{
    static uint64_t references[4096];
    int seen[STABLE] = {0};
    size_t count = 0;
    commy_iterator_t walk;
    commy_view_t view;
    char id[128];
    cr_assert_eq(all ? commy_iterate_all(reader, &walk) : commy_iterate_name(reader, "walked", &walk),
                 COMMY_STATUS_SUCCESS);
    while (commy_iterate_next(reader, &walk, &view)) {
        snprintf(id, sizeof id, "%.*s", (int)view.id_bytes, view.id);
        bool walked = strncmp(view.name, "walked", view.name_bytes) == 0;
        for (size_t i = 0; i < count; i++)
            cr_assert_neq(references[i], view.reference, "a registration came twice");
        references[count++] = view.reference;
        if (!commy_view_valid(reader, &view))
            continue; /* what was read of it may be anything */
        cr_assert(all || walked, "%s is no instance of this name", id);
        if (strncmp(id, "stable-", 7) == 0)
            seen[atoi(id + 7)]++;
        cr_assert_lt(count, sizeof references / sizeof references[0]);
    }
    for (int i = 0; i < STABLE; i++)
        cr_assert_eq(seen[i], 1, "stable-%d came %d times", i, seen[i]);
}

Test(names, a_walk_gives_what_is_there_throughout_exactly_once_while_others_come_and_go)
{
    pthread_t thread[CHURNERS];
    churner_t churner[CHURNERS];
    char id[32];
    unsigned walks = 0;
    static commy_service_info_t out[STABLE + CHURNERS * CHURNED];
    begin(512);
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    for (int i = 0; i < STABLE; i++) { /* a hole behind each */
        snprintf(id, sizeof id, "stable-%d", i);
        add(mesh, "walked", id);
        snprintf(id, sizeof id, "hole-%d", i);
        add(mesh, "walked", id);
    }
    for (int i = 0; i < STABLE; i++) {
        snprintf(id, sizeof id, "hole-%d", i);
        drop(mesh, id);
    }
    for (int i = 0; i < CHURNERS; i++) {
        churner[i] = (churner_t){attach(0), i};
        cr_assert_eq(pthread_create(&thread[i], NULL, churn, &churner[i]), 0);
    }
    for (uint64_t began = now_ms(); now_ms() - began < 2000; walks++) {
        walk_once(reader, false);
        walk_once(reader, true);
        size_t count, copied, stable = 0;
        cr_assert_eq(commy_name_count(reader, "walked", &count), COMMY_STATUS_SUCCESS);
        cr_assert(count >= STABLE && count <= STABLE + CHURNERS * CHURNED, "%zu", count);
        cr_assert_eq(commy_name_discover(reader, "walked", out, sizeof out / sizeof out[0], &copied),
                     COMMY_STATUS_SUCCESS);
        for (size_t i = 0; i < copied; i++) {
            cr_assert_str_eq(out[i].name, "walked");
            stable += strncmp(out[i].id, "stable-", 7) == 0;
        }
        cr_assert_eq(stable, STABLE);
    }
    atomic_store(&over, true);
    for (int i = 0; i < CHURNERS; i++)
        pthread_join(thread[i], NULL);
    cr_assert(walks > 10 && changes > 10, "%u walks, %" PRIu64 " changes", walks, changes);
    audit();
    for (int i = 0; i < CHURNERS; i++)
        commy_mesh_detach(&churner[i].with);
    commy_mesh_detach(&reader);
    cr_assert_eq(count_of(mesh, "walked"), STABLE);
    cr_assert_eq(numbers_of(mesh).total_services, STABLE);
    audit();
}

/*
 * A line names the one container that links to it, so that a chain which begins at a group leads back to nothing while
 * its bytes stand still. Here they are bent into a ring behind somebody who is on his way through them.
 */
Test(names, a_walk_ends_though_its_lines_are_bent_into_a_ring_meanwhile)
{
    char id[16];
    begin(64);
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "web-%d", i);
        add(mesh, "web", id);
    }
    commy_iterator_t iterator;
    commy_view_t view;
    cr_assert_eq(commy_iterate_name(mesh, "web", &iterator), COMMY_STATUS_SUCCESS);
    for (int i = 0; i < 30; i++)
        cr_assert(commy_iterate_next(mesh, &iterator, &view));
    uint32_t here = iterator._container, first = here >> 1;
    cr_assert(here & 1, "it stands in a line");
    cmy_line_shm_t *one = cmy_line_at(mesh->region, first);
    uint32_t second = cmy_next_line(cmy_load64_relaxed(&one->next));
    cmy_line_shm_t *other = cmy_line_at(mesh->region, second);
    cmy_store64_relaxed(&one->state, cmy_state(0, cmy_container_of_line(second), CMY_LIVE));
    cmy_store64_relaxed(&other->next, cmy_next(CMY_NEXT_LINE, first, 0, 0));
    uint32_t more = 0;
    while (commy_iterate_next(mesh, &iterator, &view))
        more++;
    cr_assert_leq(more, 64 * (mesh->region->layout.slab[CMY_LINES].limit + 1));
    cr_assert_not(commy_iterate_next(mesh, &iterator, &view), "an end is an end");
}

Test(names, a_group_that_there_is_not_is_not_collected)
{
    begin(16);
    cr_assert_not(cmy_group_collect(&mesh->actor, cmy_region_reserved_again(mesh->region, CMY_GROUPS)));
    cr_assert_not(cmy_group_collect(&mesh->actor, 1u << 30));
}

Test(names, a_name_that_another_one_begins_with_is_not_taken_for_it)
{
    /* Of so many bytes that the shorter one fills its words, in one window and under one tag, so that only the look
     * behind the last word tells them apart. */
    cmy_key_t eight, longer;
    char text[300]; /* far too long, which keeps the compiler from guessing */
    begin(16);
    cmy_key_make(&eight, mesh->region->seed, "eight-by", 8);
    for (uint32_t i = 0;; i++) {
        int bytes = snprintf(text, sizeof text, "eight-by%u", i);
        cmy_key_make(&longer, mesh->region->seed, text, (size_t)bytes);
        if (cmy_index_home(longer.hash, mesh->region->layout.name_lines) ==
                cmy_index_home(eight.hash, mesh->region->layout.name_lines) &&
            cmy_index_tag(longer.hash) == cmy_index_tag(eight.hash))
            break;
    }
    add(mesh, text, "longer");
    cr_assert_eq(count_of(mesh, "eight-by"), 0);
    add(mesh, "eight-by", "shorter");
    cr_assert_eq(count_of(mesh, "eight-by"), 1);
    cr_assert_eq(count_of(mesh, text), 1);
    audit();
}

Test(names, a_walk_goes_on_in_a_group_that_is_being_looked_at_and_ends_in_one_that_went)
{
    commy_iterator_t iterator;
    commy_view_t view;
    cmy_key_t key;
    uint32_t group;
    uint64_t state;
    begin(16);
    for (int i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof id, "web-%d", i);
        add(mesh, "web", id);
    }
    cmy_key_make(&key, mesh->region->seed, "web", 3);
    cr_assert(cmy_group_find(mesh->region, &key, &group, &state));
    cmy_word64_t *word = cmy_state_at(mesh->region, CMY_GROUPS, group);
    cr_assert_eq(commy_iterate_name(mesh, "web", &iterator), COMMY_STATUS_SUCCESS);
    cr_assert(commy_iterate_next(mesh, &iterator, &view));
    cmy_store64_relaxed(word, cmy_state_with(state, 7, CMY_CLOSING));
    cr_assert(commy_iterate_next(mesh, &iterator, &view));
    cmy_store64_relaxed(word, cmy_state_with(state, 7, CMY_DYING));
    cr_assert_not(commy_iterate_next(mesh, &iterator, &view));
    cr_assert_eq(commy_iterate_name(mesh, "web", &iterator), COMMY_STATUS_SUCCESS);
    cr_assert_not(commy_iterate_next(mesh, &iterator, &view));
    cmy_store64_relaxed(word, state);
    cr_assert_eq(commy_iterate_name(mesh, "web", &iterator), COMMY_STATUS_SUCCESS);
    cr_assert(commy_iterate_next(mesh, &iterator, &view));
    cmy_store64_relaxed(word, state + (1ull << 34)); /* another life */
    cr_assert_not(commy_iterate_next(mesh, &iterator, &view));
    cmy_store64_relaxed(word, state);
    audit();
}

Test(names, what_is_no_walk_gives_nothing)
{
    commy_iterator_t iterator = {._container = 1u << 20};
    commy_view_t view;
    begin(16);
    cr_assert_not(commy_iterate_next(mesh, &iterator, &view));
    cr_assert_not(commy_iterate_next(mesh, NULL, &view));
    cr_assert_not(commy_iterate_next(mesh, &iterator, NULL));
    cr_assert_not(commy_iterate_next(NULL, &iterator, &view));
}

Test(names, a_walk_comes_to_its_end_though_the_region_is_removed)
{
    enum { SERVICES = 20 }; /* more than a group's own cells */
    commy_iterator_t of_name, of_all;
    commy_view_t view;
    begin(64);
    for (int i = 0; i < SERVICES; i++) {
        char id[8];
        snprintf(id, sizeof id, "web-%d", i);
        add(mesh, "web", id);
    }
    cr_assert_eq(commy_iterate_name(mesh, "web", &of_name), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_iterate_all(mesh, &of_all), COMMY_STATUS_SUCCESS);
    cr_assert(commy_iterate_next(mesh, &of_name, &view) && commy_iterate_next(mesh, &of_all, &view));
    commy_open_options_t options = options_for(64, 0);
    cr_assert_eq(commy_mesh_remove(&options, true), COMMY_STATUS_SUCCESS);
    const int32_t failure = commy_last_error();
    for (int i = 1; i < SERVICES; i++)
        cr_assert(commy_iterate_next(mesh, &of_name, &view) && commy_iterate_next(mesh, &of_all, &view), "%d", i);
    cr_assert_not(commy_iterate_next(mesh, &of_name, &view) || commy_iterate_next(mesh, &of_all, &view));
    cr_assert_eq(commy_last_error(), failure, "an end is no failure");
    expect(commy_iterate_name(mesh, "web", &of_name), COMMY_STATUS_REMOVED, "removed");
    expect(commy_iterate_all(mesh, &of_all), COMMY_STATUS_REMOVED, "removed");
    cr_assert_not(commy_iterate_next(mesh, &of_name, &view) || commy_iterate_next(mesh, &of_all, &view));
}

Test(names, a_name_that_leads_to_a_line_that_there_is_not_is_collected_without_it)
{
    cmy_key_t key;
    uint32_t group;
    uint64_t state;
    begin(16);
    add(mesh, "web", "web-1");
    drop(mesh, "web-1");
    cmy_key_make(&key, mesh->region->seed, "web", 3);
    cr_assert(cmy_group_find(mesh->region, &key, &group, &state));
    cmy_store64_relaxed(&cmy_group_at(mesh->region, group)->next,
                        cmy_next(CMY_NEXT_LINE, 1u << 20, 0, cmy_state_version(state)));
    cr_assert(cmy_group_collect(&mesh->actor, group));
    cr_assert_not(cmy_group_find(mesh->region, &key, &group, &state));
    add(mesh, "web", "web-1");
    audit();
}

Test(names, who_joins_a_name_that_leads_to_a_line_that_there_is_not_finds_another)
{
    cmy_key_t key;
    uint32_t group;
    uint64_t state;
    char id[16];
    begin(64);
    for (uint32_t i = 0; i < CMY_GROUP_CELLS; i++) {
        snprintf(id, sizeof id, "web-%u", i);
        add(mesh, "web", id);
    }
    cmy_key_make(&key, mesh->region->seed, "web", 3);
    cr_assert(cmy_group_find(mesh->region, &key, &group, &state));
    cmy_store64_relaxed(&cmy_group_at(mesh->region, group)->next,
                        cmy_next(CMY_NEXT_LINE, 1u << 20, 0, cmy_state_version(state)));
    add(mesh, "web", "one-more");
    cr_assert_eq(count_of(mesh, "web"), CMY_GROUP_CELLS + 1);
    audit();
}
