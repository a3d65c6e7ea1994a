/* Making, mapping and removing regions that are as they should be. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "support_region.h"

TestSuite(region, .init = setup, .fini = teardown, .timeout = 120);

/* ------------------------------------------------------------------------ layout */

Test(layout, areas_follow_each_other_and_nothing_overlaps)
{
    for (uint32_t capacity = COMMY_LIMIT_SERVICES_MIN; capacity <= COMMY_LIMIT_SERVICES_MAX;
         capacity += capacity < 4096 ? 1 : 997) {
        cmy_layout_t l;
        cmy_layout_compute(capacity, &l);
        uint64_t end = sizeof(cmy_header_shm_t);
        struct {
            uint64_t start, bytes, alignment;
        } areas[32];
        int n = 0;
#define AREA(at, count, align) (areas[n].start = (at), areas[n].bytes = (count), areas[n].alignment = (align), n++)
        AREA(l.life, 16 * 1024, 64);
        AREA(l.participants, 128 * 1024, 64);
        AREA(l.stripes, 64 * 129, 64);
        AREA(l.events, 16448 * 8, 64);
        for (int kind = 0; kind < CMY_SLABS; kind++)
            AREA(l.slab[kind].map_offset, (l.slab[kind].limit + 63) / 64 * 8, 64);
        AREA(l.ids, 64ull * (l.id_lines + 1), 64);
        AREA(l.names, 64ull * (l.name_lines + 1), 64);
        for (int kind = 0; kind < CMY_SLABS; kind++) {
            const cmy_slab_layout_t *slab = &l.slab[kind];
            cr_assert_eq((uint64_t)slab->stride * slab->chunk % CMY_PAGE, 0);
            cr_assert_eq((uint64_t)slab->cold_stride * slab->chunk % CMY_PAGE, 0);
            cr_assert(slab->limit < 1u << 22, "numbers fit into cells");
            AREA(slab->offset, (uint64_t)slab->stride * slab->limit, CMY_PAGE);
            if (slab->cold_stride)
                AREA(slab->cold_offset, (uint64_t)slab->cold_stride * slab->limit, CMY_PAGE);
        }
        for (int i = 0; i < n; i++) {
            cr_assert(areas[i].start >= end && areas[i].start % areas[i].alignment == 0, "%u: area %d", capacity, i);
            end = areas[i].start + areas[i].bytes;
        }
        cr_assert(l.ids < l.fixed_bytes && l.names + 64 * (l.name_lines + 1ull) <= l.fixed_bytes);
        cr_assert(l.slab[CMY_SERVICES].offset >= l.fixed_bytes);
        cr_assert(end <= l.region_bytes && l.region_bytes % CMY_PAGE == 0);
        cr_assert(l.id_lines >= 8 && l.id_lines * 3.5 >= capacity, "a quarter of the cells suffices");
        cr_assert(l.name_lines * 3.5 >= l.slab[CMY_GROUPS].limit);
    }
}

Test(layout, the_fingerprint_is_a_constant_of_the_library)
{
    cr_assert_eq(cmy_layout_fingerprint(), cmy_layout_fingerprint());
    cr_assert_neq(cmy_layout_fingerprint(), 0);
}

Test(layout, the_default_region_keeps_its_footprint)
{
    cmy_layout_t l;
    uint32_t first[CMY_SLABS], all[CMY_SLABS];
    cmy_layout_compute(COMMY_DEFAULT_CAPACITY, &l);
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        first[kind] = cmy_slab_first_chunk(&l.slab[kind], (cmy_slab_kind_t)kind);
        all[kind] = l.slab[kind].limit;
    }
    cr_assert(cmy_layout_reserved_bytes(&l, first) < 8u << 20);
    cr_assert(cmy_layout_reserved_bytes(&l, all) < 64u << 20);
    all[CMY_STATS] = all[CMY_CELLS] = 0; /* which come with the first reports */
    cr_assert(cmy_layout_reserved_bytes(&l, all) < 32u << 20);
    cr_assert_leq(cmy_layout_reserved_bytes(&l, all), l.region_bytes);
}

/* ------------------------------------------------------------------------ making */

Test(region, a_new_region_is_private_backed_empty_and_tells_its_origin)
{
    struct stat st;
    uint64_t before = (uint64_t)time(NULL);
    umask(0777);
    make(0);
    cr_assert_eq(stat(test_path("m"), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    cr_assert_eq(st.st_uid, geteuid());

    cmy_region_t *region = map(true);
    const cmy_header_shm_t *header = region->header;
    cr_assert_eq(header->capacity, COMMY_DEFAULT_CAPACITY);
    cr_assert_eq(region->layout.capacity, COMMY_DEFAULT_CAPACITY);
    cr_assert_eq(header->region_bytes, (uint64_t)st.st_size);
    cr_assert_eq(header->inode, st.st_ino);
    cr_assert_eq(header->maker_pid, (uint64_t)getpid());
    cr_assert_str_eq(header->maker, "commy 1.0.0");
    cr_assert_neq(header->seed, 0);
    cr_assert_eq(region->seed, header->seed);
    cr_assert(header->created_at_ns / 1000000000u >= before && header->created_at_ns / 1000000000u <= before + 60);
    cr_assert_eq(region->created_at_ns, header->created_at_ns);
    cr_assert_eq(region->mode, 0600);
    cr_assert_eq(region->inode, st.st_ino);
    cr_assert_str_eq(region->dir, test_dir);
    cr_assert_str_eq(region->mesh, "m");
    cr_assert_eq(cmy_region_usable(region), COMMY_STATUS_SUCCESS);
    cr_assert_leq(cmy_region_reserved_bytes(region), (uint64_t)st.st_blocks * 512);
    cr_assert_eq(cmy_region_reserved(region, CMY_SERVICES), 1024);
    cr_assert_eq(cmy_region_reserved(region, CMY_GROUPS), 1024);
    cr_assert_eq(cmy_region_reserved(region, CMY_LINES), 1024);
    cr_assert_eq(cmy_region_reserved(region, CMY_STATS), 0);
    for (uint64_t at = sizeof(*header); at < region->layout.fixed_bytes; at++)
        cr_assert_eq(region->base[at], 0, "zero is the free state of everything");
    cmy_region_unmap(&region);
    cr_assert_null(region);
    cmy_region_unmap(&region);
}

Test(region, the_smallest_and_the_largest_can_be_made)
{
    make(COMMY_LIMIT_SERVICES_MIN);
    cmy_region_t *region = map(true);
    cr_assert_eq(cmy_region_reserved(region, CMY_SERVICES), COMMY_LIMIT_SERVICES_MIN);
    cr_assert_eq(cmy_region_grow(region, CMY_SERVICES, COMMY_LIMIT_SERVICES_MIN), COMMY_STATUS_FULL);
    cmy_region_unmap(&region);
    strcpy(name.mesh, "large");
    make(COMMY_LIMIT_SERVICES_MAX);
    region = map(true);
    cr_assert_lt(cmy_region_reserved_bytes(region), 64u << 20);
    cmy_region_unmap(&region);
}

Test(region, two_regions_have_two_seeds)
{
    make(16);
    cmy_region_t *one = map(false);
    strcpy(name.mesh, "n");
    make(16);
    cmy_region_t *other = map(false);
    cr_assert_neq(one->seed, other->seed);
    cmy_region_unmap(&one);
    cmy_region_unmap(&other);
}

Test(region, a_group_gets_exactly_the_mode_asked_for)
{
    struct stat st;
    char group[16];
    static const struct {
        uint32_t asked, given;
    } modes[] = {{0, 0660}, {0640, 0640}, {0660, 0660}, {0600, 0600}};
    umask(077);
    snprintf(group, sizeof(group), "%u", (unsigned)getegid());
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        snprintf(name.mesh, sizeof(name.mesh), "m%zu", i);
        cr_assert_eq(cmy_region_create(&name, 16, group, modes[i].asked), COMMY_STATUS_SUCCESS);
        cr_assert_eq(stat(test_path(name.mesh), &st), 0);
        cr_assert_eq(st.st_mode & 07777, modes[i].given);
        cr_assert_eq(st.st_gid, getegid());
    }
    if (geteuid() == 0) {
        strcpy(name.mesh, "root");
        cr_assert_eq(cmy_region_create(&name, 16, "root", 0), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    }
}

Test(region, a_region_that_exists_is_not_made_again)
{
    make(16);
    cmy_region_t *region = map(true);
    cmy_store64_relaxed(&region->header->death_epoch, 42);
    cr_assert_eq(cmy_region_create(&name, 32, NULL, 0), COMMY_STATUS_EXISTS);
    cr_assert(strstr(commy_last_error_message(), test_dir) && strstr(commy_last_error_message(), "commy rm m"));
    cr_assert_eq(cmy_load64_relaxed(&region->header->death_epoch), 42);
    cr_assert_eq(region->header->capacity, 16);
    cmy_region_unmap(&region);
}

Test(region, of_all_who_make_it_at_once_one_wins_and_all_find_it_whole)
{
    enum { RACERS = 8 };
    const int rounds = test_rounds(40);
    for (int round = 0; round < rounds; round++) {
        int start[2], won = 0;
        pid_t racer[RACERS];
        snprintf(name.mesh, sizeof(name.mesh), "m%d", round);
        cr_assert_eq(pipe(start), 0);
        for (int i = 0; i < RACERS; i++) {
            if ((racer[i] = fork()) != 0)
                continue;
            char byte;
            cmy_region_t *region;
            close(start[1]);
            if (read(start[0], &byte, 1) != 0)
                _exit(100);
            commy_status_t status = cmy_region_create(&name, 16, NULL, 0);
            _exit(cmy_region_map(&name, true, &region) == COMMY_STATUS_SUCCESS ? (int)status : 101);
        }
        close(start[0]);
        close(start[1]); /* the end of the pipe is the start of the race */
        for (int i = 0; i < RACERS; i++) {
            int status = wait_for(racer[i]);
            cr_assert(status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_EXISTS, "%d", status);
            won += status == COMMY_STATUS_SUCCESS;
        }
        cr_assert_eq(won, 1);
    }
    cr_assert_eq(test_dir_count(test_dir), rounds);
}

Test(region, a_maker_or_remover_that_is_killed_leaves_a_region_or_none)
{
    enum { ROUNDS = 300 };
    int whole = 0, marked = 0, none = 0;
    unsigned random = 12345;
    for (int round = 0; round < ROUNDS; round++) {
        cmy_region_t *region;
        pid_t child = fork();
        if (child == 0)
            for (;;)
                if (cmy_region_create(&name, 65536, NULL, 0) != COMMY_STATUS_SUCCESS ||
                    cmy_region_remove(&name, false, NULL) != COMMY_STATUS_SUCCESS)
                    _exit(1);
        random = random * 1103515245u + 12345u;
        usleep(500 + random / 65536 % 4000);
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(wait_for(child), 128 + SIGKILL);

        int files = test_dir_count(test_dir);
        cr_assert(files == 0 || files == 1, "%d files", files);
        commy_status_t status = cmy_region_map(&name, true, &region);
        cmy_region_unmap(&region);
        if (files == 0) {
            cr_assert_eq(status, COMMY_STATUS_MESH_NOT_FOUND);
            none++;
            continue;
        }
        cr_assert(status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_REMOVED, "%s", commy_last_error_message());
        whole += status == COMMY_STATUS_SUCCESS;
        marked += status == COMMY_STATUS_REMOVED;
        cr_assert_eq(cmy_region_remove(&name, false, NULL), COMMY_STATUS_SUCCESS, "the next rm finishes");
    }
    cr_assert_gt(none, 0, "kills while it was made");
    cr_log_info("killed with a whole region %d times, a marked one %d, none %d", whole, marked, none);
}

/* ----------------------------------------------------------------------- mapping */

static int count_descriptors(void)
{
    return test_dir_count("/proc/self/fd");
}

Test(region, a_mapping_keeps_no_descriptor)
{
    make(16);
    int before = count_descriptors();
    cmy_region_t *region = map(true);
    cr_assert_eq(count_descriptors(), before);
    cmy_region_unmap(&region);
    cr_assert_eq(cmy_region_create(&name, 16, NULL, 0), COMMY_STATUS_EXISTS);
    cr_assert_eq(cmy_region_remove(&name, false, NULL), COMMY_STATUS_SUCCESS);
    cr_assert_neq(cmy_region_map(&name, true, &region), COMMY_STATUS_SUCCESS);
    make(16);
    cr_assert_eq(count_descriptors(), before);
}

/* Whether the mapping that holds an address has a flag in /proc/self/smaps. */
static bool mapping_has(const void *address, const char *flag)
{
    char line[512];
    bool here = false, has = false;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    cr_assert_not_null(smaps);
    while (fgets(line, sizeof(line), smaps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (unsigned long)(uintptr_t)address >= start && (unsigned long)(uintptr_t)address < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    fclose(smaps);
    return has;
}

Test(region, a_mapping_stays_out_of_core_dumps_and_forked_children)
{
    make(16);
    cmy_region_t *region = map(true);
    cr_assert(mapping_has(region->base, " dd"), "not dumped");
    cr_assert(mapping_has(region->base, " dc"), "not copied on fork");
    cr_assert(mapping_has(region->alive_page, " wf"), "wiped on fork");
    cmy_region_unmap(&region);
}

/* In a forked child: what it inherited is refused, and giving it back touches nothing that lies there now. */
static int behave_as_child(cmy_region_t *region)
{
    unsigned char *base = region->base;
    size_t bytes = region->layout.region_bytes;
    if (cmy_region_usable(region) != COMMY_STATUS_FORKED)
        return 1;
    if (cmy_region_grow(region, CMY_STATS, 0) != COMMY_STATUS_FORKED)
        return 2;
    unsigned char resident;
    if (mincore(base, 1, &resident) == 0)
        return 3; /* the region was inherited after all */
    unsigned char *mine = mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (mine != base)
        return 7;
    memset(mine, 0x5a, bytes);
    cmy_region_unmap(&region);
    if (region)
        return 4;
    for (size_t i = 0; i < bytes; i++)
        if (mine[i] != 0x5a)
            return 5;
    if (cmy_region_map(&name, true, &region) != COMMY_STATUS_SUCCESS || cmy_region_usable(region) != 0)
        return 6;
    return 0;
}

Test(region, a_forked_child_must_attach_again_and_unmapping_there_is_harmless)
{
    const char *under = getenv("COMMY_UNDER");
    if (under && strcmp(under, "valgrind") == 0)
        cr_skip_test("valgrind puts memory of its own where the child finds none");
    make(16);
    cmy_region_t *region = map(true);
    pid_t child = fork();
    if (child == 0)
        _exit(behave_as_child(region));
    cr_assert_eq(wait_for(child), 0);
    child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* no fork handler hears of this one */
    if (child == 0)
        _exit(behave_as_child(region));
    cr_assert_eq(wait_for(child), 0);
    cr_assert_eq(cmy_region_usable(region), COMMY_STATUS_SUCCESS);
    cmy_region_unmap(&region);
}

/* ---------------------------------------------------------------------- removing */

static uint32_t nobody(const cmy_region_t *region)
{
    return region ? 0 : 99;
}

static uint32_t three(const cmy_region_t *region)
{
    return region ? 3 : 99;
}

Test(region, a_region_in_use_is_removed_only_by_force_and_everybody_is_told)
{
    make(16);
    cmy_region_t *region = map(true), *reader = map(false);
    cr_assert_eq(cmy_region_remove(&name, false, three), COMMY_STATUS_BUSY);
    cr_assert(strstr(commy_last_error_message(), "3 live") && strstr(commy_last_error_message(), "--force"));
    cr_assert_eq(cmy_region_usable(region), COMMY_STATUS_SUCCESS, "nothing changed");
    cr_assert(exists(test_path("m")));

    cr_assert_eq(cmy_region_remove(&name, true, three), COMMY_STATUS_SUCCESS);
    cr_assert_not(exists(test_path("m")));
    cr_assert_eq(cmy_region_usable(region), COMMY_STATUS_REMOVED);
    cr_assert_eq(cmy_region_usable(reader), COMMY_STATUS_REMOVED);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 0), COMMY_STATUS_REMOVED);
    cr_assert_eq(cmy_region_remove(&name, true, three), COMMY_STATUS_MESH_NOT_FOUND);
    make(16);
    cr_assert_eq(cmy_region_usable(region), COMMY_STATUS_REMOVED);
    cmy_region_unmap(&reader);
    reader = map(true);
    cr_assert_eq(cmy_region_usable(reader), COMMY_STATUS_SUCCESS, "the one made after it is another");
    cmy_region_unmap(&reader);
    cmy_region_unmap(&region);
}

Test(region, one_that_nobody_uses_is_removed_without_force)
{
    make(16);
    cr_assert_eq(cmy_region_remove(&name, false, nobody), COMMY_STATUS_SUCCESS);
    cr_assert_eq(test_dir_count(test_dir), 0);
}

Test(region, a_removal_that_was_cut_short_refuses_all_and_is_finished_by_the_next)
{
    make(16);
    cmy_region_t *region = map(true), *late;
    cmy_store64_relaxed(&region->header->removed, 1);
    cr_assert_eq(cmy_region_map(&name, true, &late), COMMY_STATUS_REMOVED);
    cr_assert(strstr(commy_last_error_message(), "commy rm m"));
    cr_assert_eq(cmy_region_create(&name, 16, NULL, 0), COMMY_STATUS_EXISTS);
    cr_assert_eq(cmy_region_remove(&name, false, three), COMMY_STATUS_SUCCESS);
    cr_assert_not(exists(test_path("m")));
    cmy_region_unmap(&region);
}

static uint32_t replace_meanwhile(const cmy_region_t *region)
{
    (void)region;
    cr_assert_eq(unlink(test_path("m")), 0);
    make(32);
    return 0;
}

Test(region, a_region_that_took_the_name_meanwhile_is_left_alone)
{
    make(16);
    cmy_region_t *old = map(true);
    cr_assert_eq(cmy_region_remove(&name, false, replace_meanwhile), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_region_usable(old), COMMY_STATUS_REMOVED);
    cmy_region_t *new = map(true);
    cr_assert_eq(new->layout.capacity, 32);
    cr_assert_eq(cmy_region_usable(new), COMMY_STATUS_SUCCESS);
    cmy_region_unmap(&new);
    cmy_region_unmap(&old);
}
