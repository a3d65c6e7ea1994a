/* Growing: memory is there before anybody touches it, and a full file system is an error. */
#include <fcntl.h>

#include "support_region.h"

TestSuite(growth, .init = setup, .fini = teardown, .timeout = 60);

Test(growth, every_slab_grows_to_its_limit_and_every_record_can_be_written)
{
    make(3000);
    cmy_region_t *region = map(true), *reader = map(false);
    for (int k = 0; k < CMY_SLABS; k++) {
        cmy_slab_kind_t kind = (cmy_slab_kind_t)k;
        const cmy_slab_layout_t *slab = &region->layout.slab[kind];
        uint32_t mark;
        while ((mark = cmy_region_reserved(region, kind)) < slab->limit) {
            cr_assert_not(cmy_region_holds(region, kind, mark));
            cr_assert_eq(cmy_region_grow(region, kind, mark), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
            uint32_t now = cmy_region_reserved(region, kind);
            cr_assert(now > mark && now <= slab->limit && (now % slab->chunk == 0 || now == slab->limit));
        }
        cmy_fail(COMMY_STATUS_INTERNAL, "before");
        cr_assert_eq(cmy_region_grow(region, kind, slab->limit), COMMY_STATUS_FULL);
        cr_assert_str_eq(commy_last_error_message(), "before", "the caller knows better what to say");
        for (uint32_t i = 0; i < slab->limit; i++) {
            memset(cmy_record_at(region, kind, i), 0xa5, slab->stride);
            cr_assert(cmy_region_holds(reader, kind, i));
        }
        cr_assert_not(cmy_region_holds(reader, kind, slab->limit));
        cr_assert_eq(cmy_slab_reserved_bytes(reader, kind), cmy_slab_bytes(slab, slab->limit));
    }
    for (uint32_t i = 0; i < 3000; i++)
        memset(cmy_cold_at(region, i), 0xa5, sizeof(cmy_service_cold_shm_t));
    struct stat st;
    cr_assert_eq(stat(test_path("m"), &st), 0);
    cr_assert_eq((uint64_t)st.st_size, region->layout.region_bytes);
    cr_assert_leq(cmy_region_reserved_bytes(region), (uint64_t)st.st_blocks * 512);
    cmy_region_unmap(&region);
    cmy_region_unmap(&reader);
    region = map(true); /* what grew is still accepted */
    cmy_region_unmap(&region);
}

Test(growth, growing_beyond_several_chunks_at_once_does_it)
{
    make(8192);
    cmy_region_t *region = map(true);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 1000), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_region_reserved(region, CMY_STATS), 1024);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 1000), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_region_reserved(region, CMY_STATS), 1024, "what is there is not reserved again");
    cmy_region_unmap(&region);
}

Test(growth, processes_that_grow_at_once_agree)
{
    enum { GROWERS = 4 };
    pid_t grower[GROWERS];
    make(8192);
    for (int i = 0; i < GROWERS; i++) {
        if ((grower[i] = fork()) != 0)
            continue;
        cmy_region_t *region;
        if (cmy_region_map(&name, true, &region) != COMMY_STATUS_SUCCESS)
            _exit(1);
        for (int kind = 0; kind < CMY_SLABS; kind++)
            for (uint32_t mark; (mark = cmy_region_reserved(region, kind)) < region->layout.slab[kind].limit;)
                if (cmy_region_grow(region, (cmy_slab_kind_t)kind, mark) != COMMY_STATUS_SUCCESS)
                    _exit(2);
        _exit(0);
    }
    for (int i = 0; i < GROWERS; i++)
        cr_assert_eq(wait_for(grower[i]), 0);
    cmy_region_t *region = map(true);
    for (int kind = 0; kind < CMY_SLABS; kind++)
        cr_assert_eq(cmy_region_reserved(region, (cmy_slab_kind_t)kind), region->layout.slab[kind].limit);
    cmy_region_unmap(&region);
}

Test(growth, marks_that_somebody_scribbled_on_lead_nowhere)
{
    make(8192);
    cmy_region_t *region = map(true);
    cmy_word64_t *mark = &region->header->reserved[CMY_STATS];
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 0), COMMY_STATUS_SUCCESS);
    cmy_store64_relaxed(mark, 0);
    cr_assert_eq(cmy_region_reserved_again(region, CMY_STATS), 64, "what was seen backed stays so");
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 64), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_region_reserved(region, CMY_STATS), 128);
    cmy_store64_relaxed(mark, UINT64_MAX);
    uint32_t limit = region->layout.slab[CMY_STATS].limit;
    cr_assert_not(cmy_region_holds(region, CMY_STATS, limit));
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, limit), COMMY_STATUS_FULL);
    cr_assert_leq(cmy_region_reserved_bytes(region), region->layout.region_bytes);
    cmy_region_unmap(&region);
}

Test(growth, a_read_only_mapping_does_not_grow)
{
    make(16);
    cmy_region_t *region = map(false);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 0), COMMY_STATUS_READ_ONLY);
    cr_assert_eq(cmy_region_reserved_again(region, CMY_STATS), 0);
    cmy_region_unmap(&region);
}

Test(growth, without_populating_calls_the_file_is_found_again_or_told_to_be_gone)
{
    make(8192);
    cmy_region_t *region = map(true);
    const cmy_slab_layout_t *slab = &region->layout.slab[CMY_LARGE_TEXTS];
    uint64_t bytes = (uint64_t)slab->chunk * slab->stride;
    struct stat before, after;
    cr_assert_eq(stat(test_path("m"), &before), 0);
    cr_assert_eq(cmy_region_reserve_by_file(region, slab->offset, bytes, "texts"), COMMY_STATUS_SUCCESS);
    cr_assert_eq(stat(test_path("m"), &after), 0);
    cr_assert_eq((uint64_t)(after.st_blocks - before.st_blocks) * 512, bytes);
    cr_assert_eq(after.st_size, before.st_size);

    cr_assert_eq(rename(test_path("m"), test_path("away")), 0);
    cr_assert_eq(cmy_region_reserve_by_file(region, slab->offset, bytes, "texts"), COMMY_STATUS_REMOVED);
    make(8192);
    cr_assert_eq(cmy_region_reserve_by_file(region, slab->offset, bytes, "texts"), COMMY_STATUS_REMOVED);
    cr_assert(strstr(commy_last_error_message(), test_dir));
    cr_assert_eq(cmy_region_grow(region, CMY_LARGE_TEXTS, 0), COMMY_STATUS_SUCCESS, "the mapping needs no name");
    cmy_region_unmap(&region);
}

static void fill_up(const char *path)
{
    static char block[65536];
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert_geq(file, 0);
    for (size_t bytes = sizeof(block); bytes > 0;)
        if (write(file, block, bytes) <= 0)
            bytes /= 2;
    close(file);
}

Test(growth, growing_on_a_full_file_system_is_an_error_and_no_signal)
{
    mount_here("tmpfs", "size=4m,mode=0700");
    make(8192);
    cmy_region_t *region = map(true);
    fill_up(test_path("mount/filler"));
    for (int kind = CMY_STATS; kind < CMY_SLABS; kind++) {
        cr_assert_eq(cmy_region_grow(region, (cmy_slab_kind_t)kind, 0), COMMY_STATUS_NO_SPACE);
        cr_assert(strstr(commy_last_error_message(), "mount/m") && strstr(commy_last_error_message(), "df "));
        cr_assert_eq(cmy_region_reserved_again(region, (cmy_slab_kind_t)kind), 0);
    }
    cr_assert_eq(cmy_region_grow(region, CMY_SERVICES, 1024), COMMY_STATUS_NO_SPACE);
    uint64_t offset = region->layout.slab[CMY_STATS].offset;
    cr_assert_eq(cmy_region_reserve_by_file(region, offset, 81920, "statistics"), COMMY_STATUS_NO_SPACE);
    memset(region->base + 4096, 0, region->layout.fixed_bytes - 4096); /* what is reserved is there */
    for (uint32_t i = 0; i < 1024; i++) {
        memset(cmy_service_at(region, i), 1, sizeof(cmy_service_shm_t));
        memset(cmy_cold_at(region, i), 1, sizeof(cmy_service_cold_shm_t));
    }
    cr_assert_eq(unlink(test_path("mount/filler")), 0);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 0), COMMY_STATUS_SUCCESS, "room again, growth again");
    cmy_region_unmap(&region);
}

/* A slab of two halves gets both or nothing, also where there is room for the first alone. */
Test(growth, where_only_the_hot_half_has_room_no_record_counts_as_reserved)
{
    mount_here("tmpfs", "size=4m,mode=0700");
    make(8192);
    cmy_region_t *region = map(true);
    const cmy_slab_layout_t *slab = &region->layout.slab[CMY_STATS];
    off_t hot = (off_t)slab->chunk * slab->stride, cold = (off_t)slab->chunk * slab->cold_stride;
    struct stat st;
    fill_up(test_path("mount/filler"));
    cr_assert_eq(stat(test_path("mount/filler"), &st), 0);
    cr_assert_eq(truncate(test_path("mount/filler"), st.st_size / 4096 * 4096 - hot), 0);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 0), COMMY_STATUS_NO_SPACE);
    cr_assert_eq(cmy_load64_acquire(&region->header->reserved[CMY_STATS]), 0);
    cr_assert_not(cmy_region_holds(region, CMY_STATS, 0));
    cr_assert_eq(truncate(test_path("mount/filler"), st.st_size / 4096 * 4096 - hot - cold), 0);
    cr_assert_eq(cmy_region_grow(region, CMY_STATS, 0), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    fill_up(test_path("mount/more"));
    for (uint32_t i = 0; i < slab->chunk; i++) { /* no signal */
        memset(cmy_stat_at(region, i), 0xa5, sizeof(cmy_stat_shm_t));
        memset(cmy_tally_at(region, i), 0xa5, sizeof(cmy_tally_shm_t));
    }
    cmy_region_unmap(&region);
}
