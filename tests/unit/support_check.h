/*
 * What the tests of the audit share: a mesh "m" in the test's own directory, with something of everything in it, and a
 * read-only attachment to it, on which audits run.
 */
#ifndef COMMY_TESTS_SUPPORT_CHECK_H
#define COMMY_TESTS_SUPPORT_CHECK_H

#include <criterion/criterion.h>

#include "group/internal.h"
#include "registry/check.h"
#include "registry/mesh.h"
#include "support.h"

enum { MANY = 60 }; /* instances of one name: its group's own cells and two lines */

static commy_mesh_t *mesh, *reader;
static cmy_region_t *region;
static commy_open_options_t options = {.size = sizeof options, .mesh = "m", .capacity = 256};

static inline void attach(commy_mesh_t **to, uint32_t flags)
{
    options.dir = test_dir;
    options.flags = flags;
    cr_assert_eq(commy_mesh_attach(&options, to), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static inline void set_up(void)
{
    test_dir_make();
    attach(&mesh, 0);
    attach(&reader, COMMY_OPEN_READ_ONLY);
    region = mesh->region;
}

static inline void tear_down(void)
{
    commy_mesh_detach(&reader);
    commy_mesh_detach(&mesh);
    test_dir_destroy();
}

static inline uint64_t put(commy_mesh_t *to, const char *name, const char *id, const char *metadata, uint64_t ttl_ms,
                           bool detached)
{
    static const char *const tags[] = {"blue", "canary"};
    uint64_t reference = 0;
    commy_service_config_t config = {
        .size = sizeof config,
        .flags = detached ? COMMY_SERVICE_DETACHED : 0,
        .service_name = name,
        .service_id = id,
        .endpoint = strlen(id) > 39 ? "a-host-whose-name-is-far-too-long.for-the-hot-half.example" : "127.0.0.1",
        .metadata = metadata,
        .version = "1.2.3",
        .zone = "north",
        .tags = tags,
        .tag_count = 2,
        .ttl_ms = ttl_ms,
        .port = 8080,
    };
    cr_assert_eq(commy_service_register(to, &config, &reference), COMMY_STATUS_SUCCESS, "%s",
                 commy_last_error_message());
    return reference;
}

/* Something of everything: short and long texts, both sizes of metadata, leases, statistics, a chain of two lines. */
static inline void fill_with(commy_mesh_t *to, bool detached)
{
    char large[2000], id[32];
    uint64_t ttl_ms = detached ? 3600000 : 0;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    put(to, "auth", "auth-1", "{\"a\":\n\t1}", ttl_ms, detached);
    put(to, "auth", "auth-2", large, 60000, detached);
    put(to, "mail", "mail-1", NULL, ttl_ms, detached);
    put(to, "long", "an-id-of-more-than-thirty-nine-bytes-lies-in-the-cold-half", NULL, ttl_ms, detached);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "many-%d", i);
        commy_service_report(to, put(to, "many", id, NULL, ttl_ms, detached), 1000, true);
    }
    put(to, "gone", "gone-1", "{}", ttl_ms, detached);
    cr_assert_eq(commy_service_unregister(to, "gone-1"), COMMY_STATUS_SUCCESS);
}

/* --------------------------------------------------------------- running it */

static char found[1 << 16];

static inline void note(void *user, const char *where, const char *what)
{
    size_t used = strlen(found);
    uint64_t *count = user;
    ++*count;
    snprintf(found + used, sizeof found - used, "%s: %s\n", where, what);
}

static inline uint64_t audit(commy_mesh_t *with)
{
    uint64_t told = 0, findings = 99;
    found[0] = '\0';
    commy_status_t status = commy_mesh_check(with, note, &told, &findings);
    cr_assert_eq(status, findings == 0 ? COMMY_STATUS_SUCCESS : COMMY_STATUS_CORRUPT, "%s", commy_last_error_message());
    cr_assert_eq(told, findings);
    if (findings)
        cr_assert(strstr(commy_last_error_message(), "findings"), "%s", commy_last_error_message());
    return findings;
}

static inline void expect_clean(void)
{
    cr_assert_eq(audit(reader), 0, "%s", found);
}

/* Nothing is wrong, and nothing is in flight. */
static inline void expect_quiet(void)
{
    uint64_t told = 0, findings = 99;
    found[0] = '\0';
    cr_assert_eq(cmy_check_region(reader->region, true, note, &told, &findings), COMMY_STATUS_SUCCESS);
    cr_assert_eq(findings, 0, "%s", found);
}

/* ------------------------------------------------------------ finding things */

static inline uint32_t group_number(const char *name)
{
    cmy_key_t key;
    uint32_t record;
    uint64_t state;
    cmy_key_make(&key, region->seed, name, strlen(name));
    cr_assert(cmy_group_find(region, &key, &record, &state));
    return record;
}

static inline cmy_group_shm_t *group_of(const char *name)
{
    return cmy_group_at(region, group_number(name));
}

static inline uint32_t free_record(cmy_slab_kind_t slab)
{
    for (uint32_t i = 0; cmy_region_holds(region, slab, i); i++)
        if (cmy_load64_relaxed(cmy_state_at(region, slab, i)) == 0)
            return i;
    cr_assert_fail("every record was used");
    return 0;
}

static inline void flip(cmy_word64_t *word, uint64_t bits)
{
    cmy_store64_relaxed(word, cmy_load64_relaxed(word) ^ bits);
}

static inline void set_state(cmy_slab_kind_t slab, uint32_t record, uint32_t owner, cmy_phase_t phase)
{
    cmy_word64_t *word = cmy_state_at(region, slab, record);
    cmy_store64_relaxed(word, cmy_state_with(cmy_load64_relaxed(word), owner, phase));
}

#endif /* COMMY_TESTS_SUPPORT_CHECK_H */
