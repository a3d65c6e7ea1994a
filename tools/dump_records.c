/*
 * dump_records.c - every record that is not FREE: its phase and owner, what it says, and what it names.
 */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "common.h"
#include "dump.h"
#include "group/group.h"
#include "registry/check.h"
#include "service/checker.h"
#include "service/service.h"
#include "stat/breaker.h"
#include "text.h"

#define NUMBER_BYTES 24

/* What every record begins with. */
struct start {
    uint64_t state;
    char number[NUMBER_BYTES], version[NUMBER_BYTES], owner[OWNER_TEXT_BYTES];
    const char *phase;
};

static bool start_record(const struct image *image, cmy_slab_kind_t kind, uint32_t number, struct start *start)
{
    start->state = cmy_load64_relaxed(cmy_state_at(&image->region, kind, number));
    if (cmy_state_phase(start->state) == CMY_FREE)
        return false;
    start->phase = cmy_phase_name(cmy_state_phase(start->state));
    snprintf(start->number, sizeof(start->number), "%u", number);
    snprintf(start->version, sizeof(start->version), "%u", cmy_state_version(start->state));
    owner_text(image, cmy_state_owner(start->state), start->owner);
    return true;
}

static const char *container_text(uint32_t container, char text[NUMBER_BYTES])
{
    snprintf(text, NUMBER_BYTES, "%s %u", container & 1 ? "line" : "group", container >> 1);
    return text;
}

static const char *next_text(uint64_t next, char text[64])
{
    static const char *const kinds[] = {"NIL", "", "CLOSED", "no kind"};

    if (cmy_next_kind(next) == CMY_NEXT_LINE)
        snprintf(text, 64, "line %u, version %u", cmy_next_line(next), cmy_next_line_version(next));
    else
        snprintf(text, 64, "%s", kinds[next & 3]);
    return text;
}

static const char *members_text(const cmy_word32_t *cell, uint32_t cells, char text[NUMBER_BYTES])
{
    uint32_t members = 0;

    for (uint32_t i = 0; i < cells; i++)
        members += cmy_load32_relaxed(&cell[i]) != 0;
    snprintf(text, NUMBER_BYTES, "%u", members);
    return text;
}

static const char *link_text(uint64_t link, char text[NUMBER_BYTES])
{
    text[0] = '\0';
    if (cmy_link_names_block(link))
        snprintf(text, NUMBER_BYTES, "%u", cmy_link_block(link));
    return text;
}

/* ------------------------------------------------------------------- services */

/* The newest result of a health check, and how many like it came in a row; empty: there was none. */
static const char *checked_text(uint64_t checked, char text[64])
{
    text[0] = '\0';
    if (cmy_checked_run(checked) > 0)
        snprintf(text, 64, "%u %s, %.3f ms", cmy_checked_run(checked), cmy_checked_failed(checked) ? "failed" : "well",
                 cmy_checked_latency_us(checked) / 1000.0);
    return text;
}

static void service(void *user, const struct image *image, uint32_t number)
{
    static const char *const healths[] = {"unknown", "healthy", "unhealthy", "degraded"};
    static const char *const admins[] = {"enabled", "draining", "maintenance", "none"};
    const cmy_service_shm_t *hot = cmy_service_at(&image->region, number);
    const cmy_service_cold_shm_t *cold = cmy_cold_at(&image->region, number);
    struct start start;
    commy_service_info_t info;
    char address[ADDRESS_TEXT_BYTES], weight[NUMBER_BYTES], lease[NUMBER_BYTES] = "", group[NUMBER_BYTES], place[64];
    char container[NUMBER_BYTES], stats[NUMBER_BYTES], text[NUMBER_BYTES], metadata[64] = "", hash[NUMBER_BYTES];
    char checker[OWNER_TEXT_BYTES] = "", checked[64];

    (void)user;
    if (!start_record(image, CMY_SERVICES, number, &start))
        return;
    cmy_service_copy_info(&image->region, number, start.state, &info);
    uint64_t condition = cmy_load64_relaxed(&hot->condition), position = cmy_load64_relaxed(&hot->position);
    uint64_t link = cmy_load64_relaxed(&cold->metadata), end = cmy_load64_relaxed(&hot->lease);
    snprintf(weight, sizeof(weight), "%u", info.weight);
    if (end != 0)
        snprintf(lease, sizeof(lease), "%" PRIu64, (end >> 1) / 1000000);
    snprintf(group, sizeof(group), "%u", cmy_position_group(position));
    snprintf(place, sizeof(place), "%s, cell %u", container_text(cmy_position_container(position), container),
             cmy_position_cell(position));
    if (cmy_link_names_block(link))
        snprintf(metadata, sizeof(metadata), "%s %s", cmy_link_large(link) ? "large" : "small", link_text(link, text));
    if (cmy_state_owner(cmy_load64_relaxed(&cold->checker)) != CMY_NOBODY)
        owner_text(image, cmy_state_owner(cmy_load64_relaxed(&cold->checker)), checker);
    snprintf(hash, sizeof(hash), "%016" PRIx64, cmy_load64_relaxed(&hot->hash));
    dump_row((const char *[]){start.number, start.phase, start.version, start.owner, info.id, info.name,
                              address_text(info.endpoint, info.port, address), weight,
                              healths[cmy_condition_health(condition)], admins[cmy_condition_admin(condition)],
                              condition & CMY_CONDITION_OPEN ? "open" : "closed", lease, group, place,
                              link_text(cmy_load64_relaxed(&hot->stats), stats), metadata, checker,
                              checked_text(cmy_load64_relaxed(&cold->checked), checked), hash});
}

static void print_services(struct image *image)
{
    static const struct dump_field fields[] = {
        {"number", "NUMBER", COLUMN_NUMBER},
        {"phase", "PHASE", COLUMN_TEXT},
        {"version", "VERSION", COLUMN_NUMBER},
        {"owner", "OWNER", COLUMN_TEXT},
        {"id", "ID", COLUMN_TEXT},
        {"name", "NAME", COLUMN_TEXT},
        {"address", "ADDRESS", COLUMN_EXTRA_TEXT},
        {"weight", "WEIGHT", COLUMN_EXTRA_NUMBER},
        {"health", "HEALTH", COLUMN_EXTRA_TEXT},
        {"admin", "ADMIN", COLUMN_EXTRA_TEXT},
        {"breaker", "BREAKER", COLUMN_EXTRA_TEXT},
        {"lease_end_ms", "LEASE END, MS", COLUMN_EXTRA_NUMBER},
        {"group", "GROUP", COLUMN_EXTRA_NUMBER},
        {"place", "PLACE", COLUMN_EXTRA_TEXT},
        {"statistics", "STATISTICS", COLUMN_EXTRA_NUMBER},
        {"metadata", "METADATA", COLUMN_EXTRA_TEXT},
        {"checker", "CHECKER", COLUMN_EXTRA_TEXT},
        {"checked", "CHECKED", COLUMN_EXTRA_TEXT},
        {"hash", "HASH", COLUMN_EXTRA_TEXT},
    };

    dump_list_open("services", "Services", fields, sizeof(fields) / sizeof(fields[0]));
    image_visit(image, CMY_SERVICES, service, NULL);
    dump_list_close();
}

/* ----------------------------------------------------------- groups and lines */

static void group(void *user, const struct image *image, uint32_t number)
{
    const cmy_group_shm_t *record = cmy_group_at(&image->region, number);
    struct start start;
    char name[sizeof(record->name) + 1], members[NUMBER_BYTES], next[64], turn[NUMBER_BYTES] = "", hash[NUMBER_BYTES];
    char rotation[NUMBER_BYTES], weighted[NUMBER_BYTES];

    (void)user;
    if (!start_record(image, CMY_GROUPS, number, &start))
        return;
    if (cmy_state_phase(start.state) == CMY_LIVE || cmy_state_phase(start.state) == CMY_CLOSING) {
        snprintf(turn, sizeof(turn), "%u", cmy_state_owner(start.state));
        start.owner[0] = '\0'; /* nobody's */
    }
    cmy_text_load(record->name, sizeof(record->name), name);
    snprintf(hash, sizeof(hash), "%016" PRIx64, cmy_load64_relaxed(&record->hash));
    snprintf(rotation, sizeof(rotation), "%" PRIu64, cmy_load64_relaxed(&record->rotation));
    snprintf(weighted, sizeof(weighted), "%" PRIu64, cmy_load64_relaxed(&record->weighted_rotation));
    dump_row((const char *[]){start.number, start.phase, start.version, start.owner, turn, name,
                              members_text(record->cell, CMY_GROUP_CELLS, members),
                              next_text(cmy_load64_relaxed(&record->next), next), hash, rotation, weighted});
}

static void print_groups(struct image *image)
{
    static const struct dump_field fields[] = {
        {"number", "NUMBER", COLUMN_NUMBER},
        {"phase", "PHASE", COLUMN_TEXT},
        {"version", "VERSION", COLUMN_NUMBER},
        {"owner", "OWNER", COLUMN_TEXT},
        {"turn", "TURN", COLUMN_NUMBER},
        {"name", "NAME", COLUMN_TEXT},
        {"members", "MEMBERS", COLUMN_NUMBER},
        {"next", "NEXT", COLUMN_TEXT},
        {"hash", "HASH", COLUMN_EXTRA_TEXT},
        {"rotation", "ROTATION", COLUMN_EXTRA_NUMBER},
        {"weighted_rotation", "WEIGHTED", COLUMN_EXTRA_NUMBER},
    };

    dump_list_open("groups", "Groups", fields, sizeof(fields) / sizeof(fields[0]));
    image_visit(image, CMY_GROUPS, group, NULL);
    dump_list_close();
}

static void line(void *user, const struct image *image, uint32_t number)
{
    const cmy_line_shm_t *record = cmy_line_at(&image->region, number);
    struct start start;
    char container[NUMBER_BYTES], members[NUMBER_BYTES], next[64];

    (void)user;
    if (!start_record(image, CMY_LINES, number, &start))
        return;
    dump_row((const char *[]){
        start.number, start.phase, start.version, container_text(cmy_state_owner(start.state), container),
        members_text(record->cell, CMY_LINE_MEMBERS, members), next_text(cmy_load64_relaxed(&record->next), next)});
}

static void print_lines(struct image *image)
{
    static const struct dump_field fields[] = {
        {"number", "NUMBER", COLUMN_NUMBER},   {"phase", "PHASE", COLUMN_TEXT},
        {"version", "VERSION", COLUMN_NUMBER}, {"container", "CONTAINER", COLUMN_TEXT},
        {"members", "MEMBERS", COLUMN_NUMBER}, {"next", "NEXT", COLUMN_TEXT},
    };

    dump_list_open("lines", "Member lines", fields, sizeof(fields) / sizeof(fields[0]));
    image_visit(image, CMY_LINES, line, NULL);
    dump_list_close();
}

/* --------------------------------------------------------------------- blocks */

static void block(void *user, const struct image *image, uint32_t number)
{
    const cmy_slab_kind_t *kind = user;
    const cmy_block_shm_t *record = cmy_record_at(&image->region, *kind, number);
    struct start start;
    char home[NUMBER_BYTES], bytes[NUMBER_BYTES] = "", successes[NUMBER_BYTES] = "", failures[NUMBER_BYTES] = "";
    char in_flight[NUMBER_BYTES] = "", p50[NUMBER_BYTES] = "", streak[NUMBER_BYTES] = "", turn[NUMBER_BYTES] = "";
    char tries[OWNER_TEXT_BYTES] = "";

    if (!start_record(image, *kind, number, &start))
        return;
    snprintf(home, sizeof(home), "%u", cmy_load32_relaxed(&record->home));
    if (*kind == CMY_STATS) {
        const cmy_tally_shm_t *tally = cmy_tally_at(&image->region, number);
        uint64_t good = 0, bad = 0;
        for (uint32_t i = 0; i < CMY_STAT_STRIPES; i++) {
            const cmy_stat_stripe_shm_t *stripe = &tally->stripe[i];
            good += cmy_load64_relaxed(&stripe->successes) - cmy_load64_relaxed(&stripe->base_successes);
            bad += cmy_load64_relaxed(&stripe->failures) - cmy_load64_relaxed(&stripe->base_failures);
        }
        snprintf(successes, sizeof(successes), "%" PRIu64, good);
        snprintf(failures, sizeof(failures), "%" PRIu64, bad);
        cmy_latencies_t latencies = {0};
        cmy_latency_read_block(tally, &latencies);
        snprintf(in_flight, sizeof(in_flight), "%u",
                 cmy_flight_count_block(&image->region, cmy_stat_at(&image->region, number),
                                        cmy_load64_relaxed(&record->state)));
        snprintf(p50, sizeof(p50), "%" PRIu64, cmy_latency_quantile(&latencies, 0.5));
        uint64_t word = cmy_load64_relaxed(&tally->breaker.turn);
        snprintf(streak, sizeof(streak), "%" PRIu64, cmy_load64_relaxed(&tally->breaker.streak));
        snprintf(turn, sizeof(turn), "%" PRIu64, (cmy_turn_tick(word) << CMY_TICK_SHIFT) / 1000000);
        owner_text(image, cmy_turn_owner(word), tries);
    } else {
        snprintf(bytes, sizeof(bytes), "%u", cmy_load32_relaxed(&record->bytes));
    }
    const char *name = *kind == CMY_STATS ? "statistics" : *kind == CMY_SMALL_TEXTS ? "small text" : "large text";
    dump_row((const char *[]){name, start.number, start.phase, start.version, start.owner, home, bytes, successes,
                              failures, in_flight, p50, streak, turn, tries});
}

static void print_blocks(struct image *image)
{
    static const struct dump_field fields[] = {
        {"kind", "KIND", COLUMN_TEXT},
        {"number", "NUMBER", COLUMN_NUMBER},
        {"phase", "PHASE", COLUMN_TEXT},
        {"version", "VERSION", COLUMN_NUMBER},
        {"owner", "OWNER", COLUMN_TEXT},
        {"service", "SERVICE", COLUMN_NUMBER},
        {"bytes", "BYTES", COLUMN_NUMBER},
        {"successes", "SUCCESSES", COLUMN_NUMBER},
        {"failures", "FAILURES", COLUMN_NUMBER},
        {"in_flight", "IN FLIGHT", COLUMN_NUMBER},
        {"p50_ns", "P50 NS", COLUMN_EXTRA_NUMBER},
        {"failures_in_a_row", "IN A ROW", COLUMN_EXTRA_NUMBER},
        {"turn_ms", "TURN, MS", COLUMN_EXTRA_NUMBER},
        {"tried_by", "TRIED BY", COLUMN_EXTRA_TEXT},
    };

    dump_list_open("blocks", "Blocks", fields, sizeof(fields) / sizeof(fields[0]));
    image_load_slab(image, CMY_CELLS); /* which blocks of statistics look into */
    for (cmy_slab_kind_t kind = CMY_STATS; kind <= CMY_LARGE_TEXTS; kind++)
        image_visit(image, kind, block, &kind);
    dump_list_close();
}

/* Records of further cells: of which statistics block, and which of its slots they are. */
static void cells(void *user, const struct image *image, uint32_t number)
{
    const cmy_cells_shm_t *record = cmy_record_at(&image->region, CMY_CELLS, number);
    struct start start;
    char home[NUMBER_BYTES], first[NUMBER_BYTES], used[NUMBER_BYTES];
    uint32_t count = 0;

    (void)user;
    if (!start_record(image, CMY_CELLS, number, &start))
        return;
    for (uint32_t i = 0; i < CMY_FURTHER_CELLS; i++)
        count += cmy_flight_count_of(cmy_load64_relaxed(&record->cell[i])) != 0;
    snprintf(home, sizeof(home), "%u", cmy_load32_relaxed(&record->block.home));
    snprintf(first, sizeof(first), "%u", CMY_STAT_CELLS + cmy_load32_relaxed(&record->block.bytes) * CMY_FURTHER_CELLS);
    snprintf(used, sizeof(used), "%u", count);
    dump_row((const char *[]){start.number, start.phase, start.version, start.owner, home, first, used});
}

static void print_cells(struct image *image)
{
    static const struct dump_field fields[] = {
        {"number", "NUMBER", COLUMN_NUMBER},     {"phase", "PHASE", COLUMN_TEXT},
        {"version", "VERSION", COLUMN_NUMBER},   {"owner", "OWNER", COLUMN_TEXT},
        {"block", "BLOCK", COLUMN_NUMBER},       {"first_slot", "FIRST SLOT", COLUMN_NUMBER},
        {"counting", "COUNTING", COLUMN_NUMBER},
    };

    dump_list_open("cells", "Cells", fields, sizeof(fields) / sizeof(fields[0]));
    image_visit(image, CMY_CELLS, cells, NULL);
    dump_list_close();
}

void dump_records(struct image *image)
{
    print_services(image);
    print_groups(image);
    print_lines(image);
    print_blocks(image);
    print_cells(image);
}
