/*
 * dump_index.c - how full the two indexes are, and what a lookup in them costs: lines and records that it looks at.
 */
#include <string.h>

#include "common.h"
#include "dump.h"
#include "index/index.h"

struct index_stats {
    uint32_t homes;
    uint64_t keys, cells;               /* committed; taken, whether committed or not */
    uint64_t second;                    /* keys that stand in the second half of their window */
    uint64_t two_lines;                 /* homes from which a lookup goes on into the next line */
    uint64_t full;                      /* homes with no empty cell in their window */
    uint64_t hit_looks, max_looks;      /* records looked at until the right one is met, over all keys */
    uint64_t lines[CMY_LINE_CELLS + 1]; /* by cells taken */
};

static uint32_t tag_of(cmy_index_line_shm_t *home, uint32_t cell)
{
    return cmy_load32_relaxed(cmy_window_cell(home, cell)) >> 22;
}

static uint32_t taken(const cmy_index_line_shm_t *line)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < CMY_LINE_CELLS; i++)
        count += cmy_load32_relaxed(&line->cell[i]) != 0;
    return count;
}

static void look_at_home(cmy_index_line_shm_t *home, struct index_stats *stats)
{
    uint64_t map = cmy_load64_relaxed(&home->word) & CMY_MAP_MASK;

    stats->two_lines += map >> CMY_LINE_CELLS != 0;
    stats->full += taken(home) + taken(home + 1) == CMY_WINDOW_CELLS;
    for (uint64_t left = map; left != 0; left &= left - 1) {
        uint32_t cell = (uint32_t)__builtin_ctzll(left), looks = 1;
        for (uint64_t before = map & ((1ull << cell) - 1); before != 0; before &= before - 1)
            looks += tag_of(home, (uint32_t)__builtin_ctzll(before)) == tag_of(home, cell);
        stats->keys++;
        stats->second += cell >= CMY_LINE_CELLS;
        stats->hit_looks += looks;
        if (looks > stats->max_looks)
            stats->max_looks = looks;
    }
}

static void look_at_index(const struct image *image, cmy_slab_kind_t slab, struct index_stats *stats)
{
    cmy_index_line_shm_t *lines = cmy_index_lines(&image->region, slab);

    memset(stats, 0, sizeof(*stats));
    stats->homes = cmy_index_homes(&image->region, slab);
    for (uint32_t i = 0; i <= stats->homes; i++) {
        uint32_t cells = taken(&lines[i]);
        stats->cells += cells;
        stats->lines[cells]++;
        if (i < stats->homes)
            look_at_home(&lines[i], stats);
    }
}

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0.0 : (double)part / (double)whole;
}

static void print_index(const char *key, const char *title, const struct index_stats *stats)
{
    dump_pairs_open(key, title);
    dump_number("homes", "Home lines", stats->homes);
    dump_number("keys", "Keys", stats->keys);
    dump_number("cells", "Cells taken", stats->cells);
    dump_real("keys_per_line", "Keys a line", share(stats->keys, stats->homes));
    dump_real("overflow_share", "Share of keys in the second line of their window", share(stats->second, stats->keys));
    dump_real("two_line_share", "Share of homes whose lookups read two lines", share(stats->two_lines, stats->homes));
    dump_number("full_windows", "Full windows", stats->full);
    dump_real("looks_per_hit", "Records looked at until found, on average", share(stats->hit_looks, stats->keys));
    dump_number("looks_per_hit_max", "Records looked at until found, at most", stats->max_looks);
    dump_real("looks_per_miss", "Records looked at for nothing, on average",
              share(stats->keys, stats->homes) / (1u << 10)); /* tags have ten bits */
    dump_pairs_close();
}

void dump_indexes(const struct image *image)
{
    static const struct dump_field fields[] = {
        {"cells", "CELLS TAKEN", COLUMN_NUMBER},
        {"id_lines", "LINES OF IDS", COLUMN_NUMBER},
        {"name_lines", "LINES OF NAMES", COLUMN_NUMBER},
    };
    struct index_stats ids, names;

    look_at_index(image, CMY_SERVICES, &ids);
    look_at_index(image, CMY_GROUPS, &names);
    print_index("index_of_ids", "Index of ids", &ids);
    print_index("index_of_names", "Index of names", &names);
    dump_list_open("histogram", "Lines by cells taken", fields, sizeof(fields) / sizeof(fields[0]));
    for (uint32_t i = 0; i <= CMY_LINE_CELLS; i++) {
        char cells[16], of_ids[24], of_names[24];
        snprintf(cells, sizeof(cells), "%u", i);
        snprintf(of_ids, sizeof(of_ids), "%ju", (uintmax_t)ids.lines[i]);
        snprintf(of_names, sizeof(of_names), "%ju", (uintmax_t)names.lines[i]);
        dump_row((const char *[]){cells, of_ids, of_names});
    }
    dump_list_close();
}
