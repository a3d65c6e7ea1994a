/* A process of the soak test: registers, looks up, reports, changes and unregisters at random, and keeps the log. */
#include "soak.h"

/* --------------------------------------------------------------- contents */

void soak_id(char id[64], uint32_t worker, uint32_t entry)
{
    snprintf(id, 64, entry % 3 ? "w%u-%u" : "w%u-%u-whose-id-is-longer-than-the-hot-half", worker, entry);
}

contents_t soak_contents(uint64_t drawn)
{
    uint64_t random = drawn;
    static const uint32_t bytes[] = {0, 1, 40, 496, 497, 2500, 4096, 0};
    contents_t c = {.name = below(&random, NAMES), .port = 1 + below(&random, 65535)};
    c.weight = below(&random, 65536);
    c.tag_count = below(&random, 17);
    c.long_endpoint = below(&random, 2);
    c.metadata_bytes = bytes[below(&random, 8)];
    c.letter = (char)('a' + below(&random, 26));
    return c;
}

const char *soak_name(uint32_t name)
{
    static const char *const names[NAMES] = {
        "api",  "web",  "db", "cache",  "queue", "a-name-of-sixty-three-bytes-----------------------------------x",
        "auth", "mail", "s",  "sensor", "game",  "feed"};
    return names[name];
}

const char *soak_endpoint(const contents_t *c)
{
    return c->long_endpoint ? "unix:/run/some/where/deep/down/where/paths/are/long.sock" : "10.0.0.1";
}

const char *soak_tag(uint32_t i)
{
    static const char *const tags[16] = {
        "a",  "bb", "ccc", "dddd", "eeeee", "f", "g", "h",
        "ii", "j",  "k",   "l",    "m",     "n", "o", "pppppppppppppppppppppppppppppp"};
    return tags[i];
}

/* ---------------------------------------------------------------- a worker */

static void complain(life_t *life, const char *what, const char *id)
{
    if (atomic_fetch_add(&life->me->violations, 1) < SHOWN_VIOLATIONS)
        printf("  worker %u: %s %s: %s\n", life->number, what, id, commy_last_error_message());
}

static void begin_change(entry_t *entry)
{
    atomic_fetch_add(&entry->turn, 1);
}

static void end_change(entry_t *entry)
{
    atomic_fetch_add(&entry->turn, 1);
}

static void put(life_t *life, entry_t *entry, const char *id)
{
    uint64_t drawn = chance(&life->random), reference = 0;
    contents_t c = soak_contents(drawn);
    char text[4097];
    const char *tags[16];
    memset(text, c.letter, c.metadata_bytes);
    text[c.metadata_bytes] = '\0';
    for (uint32_t i = 0; i < c.tag_count; i++)
        tags[i] = soak_tag(i);
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = soak_name(c.name),
                                           .service_id = id,
                                           .endpoint = soak_endpoint(&c),
                                           .metadata = text,
                                           .tags = tags,
                                           .tag_count = c.tag_count,
                                           .weight = c.weight,
                                           .port = (uint16_t)c.port};
    begin_change(entry);
    if (commy_service_register(life->mesh, &config, &reference) != COMMY_STATUS_SUCCESS) {
        complain(life, "could not register", id);
    } else {
        atomic_store(&entry->drawn, drawn);
        atomic_store(&entry->text_drawn, drawn);
        atomic_store(&entry->reference, reference);
        atomic_store(&entry->successes, 0);
        atomic_store(&entry->failures, 0);
        atomic_store(&entry->present, 1);
    }
    end_change(entry);
}

static void take_away(life_t *life, entry_t *entry, const char *id)
{
    begin_change(entry);
    if (commy_service_unregister(life->mesh, id) != COMMY_STATUS_SUCCESS)
        complain(life, "lost", id);
    atomic_store(&entry->present, 0);
    end_change(entry);
}

static void replace_text(life_t *life, entry_t *entry, const char *id)
{
    uint64_t drawn = chance(&life->random);
    contents_t c = soak_contents(drawn);
    char text[4097];
    memset(text, c.letter, c.metadata_bytes);
    text[c.metadata_bytes] = '\0';
    begin_change(entry);
    if (commy_service_set_metadata(life->mesh, id, text) != COMMY_STATUS_SUCCESS)
        complain(life, "could not replace the metadata of", id);
    else
        atomic_store(&entry->text_drawn, drawn);
    end_change(entry);
}

static bool report(life_t *life, uint64_t reference, bool success)
{
    atomic_fetch_add(&life->me->begun, 1);
    bool counted_ = commy_service_report(life->mesh, reference, 1000, success) == COMMY_STATUS_SUCCESS;
    atomic_fetch_add(!counted_ ? &life->me->refused : success ? &life->me->successes : &life->me->failures, 1);
    return counted_;
}

static void report_own(life_t *life, entry_t *entry, const char *id)
{
    bool success = below(&life->random, 3) != 0;
    begin_change(entry);
    if (!report(life, atomic_load(&entry->reference), success))
        complain(life, "could not report to", id);
    else
        atomic_fetch_add(success ? &entry->successes : &entry->failures, 1);
    end_change(entry);
}

static void report_anchor(life_t *life)
{
    uint32_t i = below(&life->random, ANCHORS);
    atomic_fetch_add(&life->me->anchor_begun[i], 1);
    if (report(life, atomic_load(&board->anchor[i]), true))
        atomic_fetch_add(&life->me->anchor_done[i], 1);
    else
        complain(life, "could not report to", "an anchor");
}

static void want_shared(life_t *life)
{
    char id[16];
    snprintf(id, sizeof id, "shared-%u", below(&life->random, SHARED));
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = soak_name(below(&life->random, NAMES)),
                                           .service_id = id,
                                           .endpoint = "shared",
                                           .port = 1};
    commy_status_t status = below(&life->random, 2) ? commy_service_register(life->mesh, &config, NULL)
                                                    : commy_service_unregister(life->mesh, id);
    if (status != COMMY_STATUS_SUCCESS && status != COMMY_STATUS_EXISTS && status != COMMY_STATUS_NOT_FOUND)
        complain(life, "got another code for", id);
}

/* A look at anybody's: what is found must be a service under that very id. */
static void look(life_t *life)
{
    char id[64];
    commy_service_info_t info;
    commy_target_t target;
    soak_id(id, below(&life->random, WORKERS), below(&life->random, ENTRIES));
    for (int i = 0; i < 8; i++) {
        commy_status_t status = commy_service_find(life->mesh, id, &target);
        if (status == COMMY_STATUS_SUCCESS && i == 0)
            report(life, target.reference, true);
        else if (status != COMMY_STATUS_SUCCESS && status != COMMY_STATUS_NOT_FOUND)
            complain(life, "could not look for", id);
    }
    if (commy_service_get(life->mesh, id, &info) == COMMY_STATUS_SUCCESS && strcmp(info.id, id) != 0)
        complain(life, "got another service for", id);
    atomic_fetch_add(&life->me->operations, 8);
}

static void walk(life_t *life)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_service_info_t info;
    const char *name = soak_name(below(&life->random, NAMES));
    commy_iterate_name(life->mesh, name, &iterator);
    for (int i = 0; i < 300 && commy_iterate_next(life->mesh, &iterator, &view); i++)
        if (commy_view_info(life->mesh, &view, &info) == COMMY_STATUS_SUCCESS && strcmp(info.name, name) != 0)
            complain(life, "walked into another name from", name);
}

static void step(life_t *life)
{
    char id[64];
    uint32_t i = below(&life->random, ENTRIES);
    entry_t *entry = &life->me->entry[i];
    soak_id(id, life->number, i);
    bool present = atomic_load(&entry->present);
    uint32_t what = below(&life->random, 12);
    if (i >= CALM && what < 6 && (atomic_load(&board->at_rest) || below(&life->random, 256) != 0))
        what = 11;
    switch (what) {
    case 0:
    case 1:
        if (present)
            take_away(life, entry, id);
        else
            put(life, entry, id);
        break;
    case 2:
        if (present)
            replace_text(life, entry, id);
        break;
    case 3:
        if (present &&
            commy_service_set_health(life->mesh, id, (int32_t)below(&life->random, 4)) != COMMY_STATUS_SUCCESS)
            complain(life, "could not set the health of", id);
        break;
    case 4:
    case 5:
        if (present)
            report_own(life, entry, id);
        break;
    case 6:
        report_anchor(life);
        break;
    case 7:
        want_shared(life);
        break;
    case 8:
        walk(life);
        break;
    default:
        look(life);
    }
    atomic_fetch_add(&life->me->operations, 1);
}

void soak_work(life_t *life)
{
    char id[64];
    for (uint32_t i = CALM; i < ENTRIES; i++) {
        soak_id(id, life->number, i);
        put(life, &life->me->entry[i], id);
    }
    while (!atomic_load(&board->over))
        step(life);
}
