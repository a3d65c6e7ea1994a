/*
 * What a registration may consist of: every bound is accepted and read back byte by byte, one beyond it is refused with a
 * sentence that names value and bound, and what was refused left nothing behind. Also: running out of room, and back.
 */
#include "support_registry.h"

TestSuite(limits, .init = set_up, .fini = tear_down, .timeout = 60);

/* `bytes` times a letter, in one of a few buffers that are used in turn. */
static const char *letters(char letter, size_t bytes)
{
    static char buffers[32][5000];
    static unsigned turn;
    char *text = buffers[turn++ % 32];
    memset(text, letter, bytes);
    text[bytes] = '\0';
    return text;
}

static void refuse(const commy_service_config_t *config, const char *part)
{
    uint32_t services = records_in_use(mesh, CMY_SERVICES), groups = records_in_use(mesh, CMY_GROUPS);
    uint64_t version, after;
    commy_mesh_wait(mesh, NULL, 0, 0, &version);
    expect(commy_service_register(mesh, config, NULL), COMMY_STATUS_INVALID, part);
    commy_mesh_wait(mesh, NULL, 0, 0, &after);
    cr_assert_eq(records_in_use(mesh, CMY_SERVICES), services, "nothing is left of what was refused");
    cr_assert_eq(records_in_use(mesh, CMY_GROUPS), groups);
    cr_assert_eq(version, after, "nobody was woken for it");
}

static void accept(const commy_service_config_t *config)
{
    cr_assert_eq(commy_service_register(mesh, config, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert(there(mesh, config->service_id));
    drop(mesh, config->service_id);
}

/* A text of the configuration: both bounds and one beyond, and what is no text at all. */
static void try_text(size_t offset, size_t min, size_t max, const char *what, bool multiline)
{
    char bound[32];
    commy_service_config_t config = config_of("name", "id");
    const char **field = (const char **)((char *)&config + offset);
    snprintf(bound, sizeof bound, "%zu bytes", max);

    const size_t good[] = {min, min + 1, max - 1, max};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        *field = letters('a', good[i]);
        accept(&config);
    }
    *field = letters('q', max + 1);
    refuse(&config, bound);
    refuse(&config, what);
    refuse(&config, "qqqqqqqq");
    if (min > 0) {
        *field = "";
        refuse(&config, "empty");
        *field = NULL;
        refuse(&config, what);
    }
    *field = "bell\a";
    refuse(&config, "U+0007 at byte 5");
    *field = "rubout\x7f";
    refuse(&config, "U+007F at byte 7");
    *field = "half \xc3";
    refuse(&config, "not UTF-8 at byte 6");
    *field = "two\nlines\tand a tab";
    if (multiline)
        accept(&config);
    else
        refuse(&config, "U+000A at byte 4");
    *field = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"; /* characters of two, three and four bytes */
    accept(&config);
}

#define TEXT(field, min, max, what, multiline)                                                                         \
    try_text(offsetof(commy_service_config_t, field), min, max, what, multiline)

Test(limits, every_text_is_accepted_up_to_its_bound_and_refused_beyond)
{
    begin(16);
    TEXT(service_name, 1, 63, "service name", false);
    TEXT(service_id, 1, 127, "service id", false);
    TEXT(endpoint, 1, 255, "endpoint", false);
    TEXT(version, 0, 31, "version", false);
    TEXT(zone, 0, 31, "zone", false);
    TEXT(metadata, 0, 4096, "metadata", true);
    cr_assert_eq(numbers_of(mesh).total_services, 0);
    audit();
}

Test(limits, tags_are_accepted_up_to_their_bounds_and_refused_beyond)
{
    begin(16);
    const char *tags[17];
    commy_service_config_t config = config_of("name", "id");
    config.tags = tags;
    for (int i = 0; i < 17; i++)
        tags[i] = letters('t', 31);
    config.tag_count = 16;
    accept(&config);
    config.tag_count = 17;
    refuse(&config, "17 tags are more than the 16");
    config.tag_count = UINT32_MAX;
    refuse(&config, "16");
    config.tag_count = 3;
    tags[2] = letters('u', 32);
    refuse(&config, "31 bytes");
    tags[2] = "";
    refuse(&config, "tag is empty");
    tags[2] = NULL;
    refuse(&config, "tag");
    tags[2] = "\x80";
    refuse(&config, "not UTF-8");
    tags[2] = "t";
    accept(&config);
    config.tags = NULL;
    refuse(&config, "tags is null");
}

Test(limits, numbers_are_accepted_up_to_their_bounds_and_refused_beyond)
{
    begin(16);
    commy_service_config_t config = config_of("name", "id");
    config.weight = 65535;
    accept(&config);
    config.weight = 65536;
    refuse(&config, "weight 65536 is over 65535");
    config = config_of("name", "id");
    config.port = 65535;
    accept(&config);
    config.port = 0;
    refuse(&config, "port is 0");
    config.endpoint = "unix:/run/a.sock";
    accept(&config);
    config.port = 1;
    accept(&config);
    config = config_of("name", "id");
    config.ttl_ms = COMMY_LIMIT_TTL_MS;
    accept(&config);
    config.ttl_ms = COMMY_LIMIT_TTL_MS + 1;
    refuse(&config, "31536000001");
    config.ttl_ms = UINT64_MAX;
    refuse(&config, "18446744073709551615");
    config = config_of("name", "id");
    config.flags = 2;
    refuse(&config, "flags 0x2");
    config.flags = COMMY_SERVICE_DETACHED;
    refuse(&config, "ttl_ms");
    audit();
}

Test(limits, structures_say_how_large_they_are)
{
    begin(16);
    commy_service_config_t config = config_of("name", "id");
    config.size = 0;
    refuse(&config, "config.size is 0");
    config.size = 7;
    refuse(&config, "config.size is 7");
    config.size = 1u << 20;
    refuse(&config, "config.size is 1048576");

    /* From before the last field was thought of: what is missing is none. */
    config = config_of("name", "id");
    config.endpoint = "unix:/s";
    config.zone = "not to be looked at";
    config.size = offsetof(commy_service_config_t, zone);
    accept(&config);
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_str_eq(info_of(mesh, "id").zone, "");

    /* From a later library: what is beyond is not looked at. */
    struct {
        commy_service_config_t config;
        char more[64];
    } later = {.config = config_of("name", "later")};
    memset(later.more, 0xff, sizeof later.more);
    later.config.size = sizeof later;
    cr_assert_eq(commy_service_register(mesh, &later.config, NULL), COMMY_STATUS_SUCCESS);
}

Test(limits, what_was_registered_is_read_back_byte_by_byte)
{
    begin(64);
    char id[128], name[64], tag_text[16][32];
    const char *tags[16];
    /* Lengths on both sides of what the hot half of a record holds. */
    const size_t id_bytes[] = {1, 7, 8, 38, 39, 40, 41, 127}, endpoint_bytes[] = {1, 8, 30, 31, 32, 33, 254, 255};
    for (uint32_t i = 0; i < 8; i++) {
        snprintf(id, sizeof id, "%s", letters((char)('a' + i), id_bytes[i]));
        snprintf(name, sizeof name, "%s", letters((char)('A' + i), i == 7 ? 63 : i + 1));
        commy_service_config_t config = config_of(name, id);
        config.endpoint = letters((char)('0' + i), endpoint_bytes[i]);
        config.port = (uint16_t)(65535 - i);
        config.version = letters('v', i == 7 ? 31 : i);
        config.zone = letters('z', i == 7 ? 31 : i);
        config.metadata = letters('m', i * 500);
        config.weight = i * 9000;
        config.tags = tags;
        config.tag_count = i * 16 / 7;
        for (uint32_t t = 0; t < config.tag_count; t++) {
            snprintf(tag_text[t], sizeof tag_text[t], "%s", letters((char)('a' + t), t * 2 + 1));
            tags[t] = tag_text[t];
        }
        uint64_t reference = 0;
        cr_assert_eq(commy_service_register(mesh, &config, &reference), COMMY_STATUS_SUCCESS, "%s",
                     commy_last_error_message());

        commy_target_t target;
        cr_assert_eq(commy_service_find(mesh, id, &target), COMMY_STATUS_SUCCESS);
        cr_assert_str_eq(target.endpoint, config.endpoint);
        cr_assert_eq(target.port, config.port);
        cr_assert_eq(target.weight, i == 0 ? COMMY_DEFAULT_WEIGHT : config.weight);
        cr_assert_eq(target.status, COMMY_HEALTH_HEALTHY, "no check and no TTL");
        cr_assert_eq(target.reference, reference);
        cr_assert_neq(reference, 0);

        commy_service_info_t got = info_of(mesh, id), listed;
        size_t count;
        cr_assert_eq(commy_name_discover(mesh, name, &listed, 1, &count), COMMY_STATUS_SUCCESS);
        cr_assert_eq(count, 1);
        cr_assert_arr_eq(&got, &listed, sizeof got, "get and discover agree");
        cr_assert_str_eq(got.id, id);
        cr_assert_str_eq(got.name, name);
        cr_assert_str_eq(got.endpoint, config.endpoint);
        cr_assert_str_eq(got.version, config.version);
        cr_assert_str_eq(got.zone, config.zone);
        cr_assert_str_eq(got.node_id, "tester");
        cr_assert_eq(got.owner_pid, (uint32_t)getpid());
        cr_assert_eq(got.port, config.port);
        cr_assert_eq(got.weight, target.weight);
        cr_assert_eq(got.admin, COMMY_ADMIN_ENABLED);
        cr_assert_eq(got.metadata_bytes, i * 500);
        cr_assert_eq(got.tag_count, config.tag_count);
        for (uint32_t t = 0; t < 16; t++)
            cr_assert_str_eq(got.tags[t], t < config.tag_count ? tags[t] : "");
        cr_assert_eq(got.response_time_ms, 0.0);
        uint64_t now = (uint64_t)time(NULL);
        cr_assert(got.registered_at_ns / 1000000000 + 60 > now && got.registered_at_ns / 1000000000 <= now + 1);

        commy_view_t view;
        cr_assert_eq(commy_service_view(mesh, id, &view), COMMY_STATUS_SUCCESS);
        cr_assert_str_eq(view.id, id);
        cr_assert_str_eq(view.name, name);
        cr_assert_str_eq(view.endpoint, config.endpoint);
        cr_assert_eq(view.id_bytes, id_bytes[i]);
        cr_assert_eq(view.endpoint_bytes, endpoint_bytes[i]);
        cr_assert_eq(view.name_bytes, strlen(name));
        cr_assert_eq(view.port, config.port);
        cr_assert(commy_view_valid(mesh, &view));
    }
    cr_assert_eq(numbers_of(mesh).total_services, 8);
    audit();
}

Test(limits, ids_that_begin_alike_are_different_services)
{
    begin(512);
    char id[128] = "";
    for (int bytes = 1; bytes <= 127; bytes++) {
        memset(id, 'x', (size_t)bytes);
        add(mesh, "alike", id);
    }
    for (int bytes = 127; bytes >= 1; bytes--) {
        id[bytes] = '\0';
        cr_assert_str_eq(info_of(mesh, id).id, id);
        drop(mesh, id);
        cr_assert_not(there(mesh, id));
        cr_assert_eq(count_of(mesh, "alike"), (size_t)bytes - 1);
    }
    audit();
}

Test(limits, names_that_begin_alike_are_different_names)
{
    begin(128);
    char name[64] = "", id[16];
    for (int bytes = 1; bytes <= 63; bytes++) {
        memset(name, 'y', (size_t)bytes);
        snprintf(id, sizeof id, "%d", bytes);
        add(mesh, name, id);
    }
    for (int bytes = 63; bytes >= 1; bytes--) {
        commy_service_info_t info;
        size_t count;
        name[bytes] = '\0';
        snprintf(id, sizeof id, "%d", bytes);
        cr_assert_eq(commy_name_discover(mesh, name, &info, 1, &count), COMMY_STATUS_SUCCESS);
        cr_assert_eq(count, 1);
        cr_assert_str_eq(info.id, id);
    }
}

/* -------------------------------------------------------- running out of room */

static void add_many(uint32_t from, uint32_t to, const char *metadata)
{
    char id[16];
    for (uint32_t i = from; i < to; i++) {
        snprintf(id, sizeof id, "s%u", i);
        commy_service_config_t config = config_of("many", id);
        config.metadata = metadata;
        cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS, "%s: %s", id,
                     commy_last_error_message());
    }
}

Test(limits, a_full_region_says_so_with_both_numbers_and_recovers)
{
    begin(16);
    char sentence[512];
    add_many(0, 16, NULL);
    for (int turn = 0; turn < 3; turn++) {
        expect(try_add(mesh, "many", "one-more"), COMMY_STATUS_FULL, "16 of 16 services");
        snprintf(sentence, sizeof sentence, "region %s/m is full", test_dir);
        expect(try_add(mesh, "other", "one-more"), COMMY_STATUS_FULL, sentence);
        cr_assert(strstr(commy_last_error_message(), "--capacity"), "the way out");
        cr_assert_eq(count_of(mesh, "many"), 16, "nothing was lost");
        cr_assert_not(there(mesh, "one-more"));
        drop(mesh, "s7");
        add(mesh, "many", "one-more");
        drop(mesh, "one-more");
        add_many(7, 8, NULL);
    }
    audit();
}

Test(limits, a_live_id_is_refused_as_such_in_a_full_region_too)
{
    begin(16);
    add_many(0, 16, NULL);
    expect(try_add(mesh, "many", "s3"), COMMY_STATUS_EXISTS, "s3");
}

Test(limits, every_service_of_a_full_region_may_have_metadata_and_replace_it)
{
    begin(16);
    char id[16];
    add_many(0, 16, "small");
    for (uint32_t i = 0; i < 16; i++) {
        snprintf(id, sizeof id, "s%u", i);
        cr_assert_eq(commy_service_set_metadata(mesh, id, "other"), COMMY_STATUS_SUCCESS, "%s",
                     commy_last_error_message());
    }
    audit();
}

Test(limits, a_region_without_room_for_large_metadata_says_so_and_recovers)
{
    begin(16);
    uint32_t room = mesh->region->layout.slab[CMY_LARGE_TEXTS].limit, fit = 0;
    const char *large = letters('l', 497);
    commy_status_t status;
    cr_assert_lt(room, 100);
    add_many(0, 16, NULL);
    char id[16];
    do {
        snprintf(id, sizeof id, "s%u", fit);
        status = commy_service_set_metadata(mesh, id, large);
    } while (status == COMMY_STATUS_SUCCESS && ++fit < 16);
    /* The region may hold more than it has services; otherwise the sentence says what ran out. */
    if (fit < 16) {
        expect(status, COMMY_STATUS_FULL, "large metadata");
        cr_assert_eq(info_of(mesh, id).metadata_bytes, 0, "nothing was changed");
        cr_assert_eq(commy_service_set_metadata(mesh, "s0", "small"), COMMY_STATUS_SUCCESS);
        cr_assert_eq(commy_service_set_metadata(mesh, id, large), COMMY_STATUS_SUCCESS, "%s",
                     commy_last_error_message());
    }
    audit();
}

Test(limits, the_dead_make_room_in_a_full_region)
{
    begin(16);
    add_many(0, 8, NULL);
    pid_t owner = test_fork();
    if (owner == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        commy_mesh_detach(&mesh); /* the parent's: of no use here */
        mesh = attach(COMMY_OPEN_MUST_EXIST);
        add_many(8, 16, "of the dead");
        kill(getpid(), SIGKILL);
    }
    cr_assert_eq(waitpid(owner, NULL, 0), owner);
    cr_assert_eq(count_of(mesh, "many"), 8);
    add_many(8, 16, "of the living");
    cr_assert_eq(count_of(mesh, "many"), 16);
    expect(try_add(mesh, "many", "one-more"), COMMY_STATUS_FULL, "16 of 16");
    audit();
}

/* ------------------------------------------------------------- full windows */

static uint64_t hash_of(const char *id)
{
    cmy_key_t key;
    cmy_key_make(&key, mesh->region->seed, id, strlen(id));
    return key.hash;
}

/* An id whose home line is `home`, other than those made before; `tag` narrows it down to one tag, -1 to none. */
static const char *id_at_home(uint32_t home, int tag)
{
    static char id[512]; /* gcc looks at what the hash would do with longer texts, and warns of it */
    static unsigned turn;
    for (;;) {
        snprintf(id, sizeof id, "id-%u", turn++);
        uint64_t hash = hash_of(id);
        if (cmy_index_home(hash, mesh->region->layout.id_lines) == home &&
            (tag < 0 || cmy_index_tag(hash) == (uint32_t)tag))
            return id;
    }
}

Test(limits, a_full_window_of_the_index_says_so_and_is_used_again)
{
    begin(256);
    char ids[CMY_WINDOW_CELLS][32], more[32];
    uint32_t home = mesh->region->layout.id_lines / 2;
    for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++) {
        strcpy(ids[i], id_at_home(home, -1));
        add(mesh, "crowd", ids[i]);
    }
    strcpy(more, id_at_home(home, -1));
    for (uint32_t i = 0; i < CMY_WINDOW_CELLS; i++) {
        expect(try_add(mesh, "crowd", more), COMMY_STATUS_FULL, "28 of 28 cells");
        cr_assert(strstr(commy_last_error_message(), more), "names the id: %s", commy_last_error_message());
        cr_assert_eq(count_of(mesh, "crowd"), CMY_WINDOW_CELLS);
        expect(try_add(mesh, "crowd", ids[i]), COMMY_STATUS_EXISTS, ids[i]);
        drop(mesh, ids[i]);
        cr_assert_not(there(mesh, ids[i]));
        add(mesh, "crowd", more);
        drop(mesh, more);
        add(mesh, "crowd", ids[i]);
        for (uint32_t j = 0; j < CMY_WINDOW_CELLS; j++)
            cr_assert(there(mesh, ids[j]));
    }
    /* Neighbours share a line with the full window and have one for themselves. */
    for (int side = -1; side <= 1; side += 2) {
        for (uint32_t i = 0; i < CMY_LINE_CELLS; i++)
            add(mesh, "neighbours", id_at_home(home + (uint32_t)side, -1));
        expect(try_add(mesh, "neighbours", id_at_home(home + (uint32_t)side, -1)), COMMY_STATUS_FULL, "28 of 28 cells");
    }
    cr_assert_eq(count_of(mesh, "neighbours"), 2 * CMY_LINE_CELLS);
    audit();
}

Test(limits, ids_with_one_home_and_one_tag_are_told_apart)
{
    begin(16);
    char ids[8][32];
    for (int i = 0; i < 8; i++) {
        strcpy(ids[i], id_at_home(3, 77));
        add(mesh, ids[i], ids[i]);
    }
    for (int round = 0; round < 8; round++) {
        cr_assert_not(there(mesh, id_at_home(3, 77)));
        for (int i = 0; i < 8; i++) {
            cr_assert_eq(there(mesh, ids[i]), i >= round);
            cr_assert(i < round || strcmp(info_of(mesh, ids[i]).name, ids[i]) == 0);
        }
        drop(mesh, ids[round]);
    }
    audit();
}
