/*
 * The log of a war: properties, places and entries, and what is registered under an entry.
 *
 * Contents are drawn from the numbers of the entry and of the registration, so that anybody who reads these two in the
 * log knows every byte that the registry must give.
 */
#include "war.h"

#include <fcntl.h>

war_log_t *war;

static const struct {
    const char *what;
    bool needed;
} properties[WAR_PROPERTY_COUNT] = {
#define WAR_TEXT(name, what, needed) [WAR_##name] = {what, needed},
    WAR_PROPERTIES(WAR_TEXT)
#undef WAR_TEXT
};

/* ------------------------------------------------------------- properties */

bool war_hold(war_property_t property, bool holds, const char *format, ...)
{
    atomic_fetch_add_explicit(&war->looked[property], 1, memory_order_relaxed);
    if (holds || atomic_fetch_add(&war->violated[property], 1) >= SHOWN_VIOLATIONS)
        return holds;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(1, "  violated: %s: %s\n", properties[property].what, text); /* one write, whoever else writes */
    return holds;
}

bool war_is_lost(void)
{
    for (int i = 0; i < WAR_PROPERTY_COUNT; i++)
        if (atomic_load(&war->violated[i]) > 0)
            return true;
    return false;
}

uint64_t war_patience_ns(void)
{
    bool lost = war_is_lost();
    return lost && war->planted ? 500000000u : lost || war->planted ? 2000000000u : 5000000000u;
}

bool war_is_decided(void)
{
    return war->first && war_is_lost();
}

int war_verdict(void)
{
    property_t all[WAR_PROPERTY_COUNT];
    size_t count = 0;
    for (int i = 0; i < WAR_PROPERTY_COUNT; i++) {
        uint64_t looked = atomic_load(&war->looked[i]);
        if (looked == 0 && !properties[i].needed) {
            printf("not looked at, nothing was given for it: %s\n", properties[i].what);
            continue;
        }
        all[count++] = (property_t){properties[i].what, looked, atomic_load(&war->violated[i])};
    }
    return verdict(all, count);
}

/* -------------------------------------------------------------------- the log */

void war_log_make(void)
{
    int memory = memfd_create("war", 0); /* no MFD_CLOEXEC: clients in other languages map it from what they inherit */
    if (memory < 0 || ftruncate(memory, sizeof *war) != 0) {
        perror("memfd_create");
        exit(1);
    }
    war = mmap(NULL, sizeof *war, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (war == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    war->memory = memory;
    for (uint32_t p = 0; p < PLACES; p++)
        atomic_store(&war->place[p].doom, 1);
}

void war_log_clear(void)
{
    for (uint32_t p = 0; p < PLACES; p++) {
        war_place_t *place = &war->place[p];
        for (uint32_t i = 0; i < ENTRIES; i++) {
            war_entry_t *entry = &place->entry[i];
            atomic_store(&entry->word, war_next(war_next(atomic_load(&entry->word), WAR_ENTERING), WAR_NONE));
            atomic_store(&entry->content, 0);
        }
        for (uint32_t t = 0; t < THREADS; t++) {
            war_cell_t *cell = &place->cell[t];
            atomic_store(&place->failing[t], 0);
            atomic_store(&place->failed[t], 0);
            for (int success = 0; success < 2; success++) {
                atomic_store(&cell->begun[success], 0);
                atomic_store(&cell->done[success], 0);
                atomic_store(&cell->refused[success], 0);
            }
        }
    }
    atomic_store(&war->breakers, 0);
    for (uint32_t i = 0; i < WARDS; i++)
        atomic_store(&war->ward[i], 0);
    for (uint32_t i = 0; i < PATIENTS; i++)
        atomic_store(&war->patient[i], 0);
    for (uint32_t i = 0; i < SHARED; i++)
        atomic_store(&war->holder[i], 0);
    for (uint32_t i = 0; i < BRINKS; i++)
        atomic_store(&war->brink[i], 0);
}

void war_place_clear(uint32_t number)
{
    war_place_t *place = &war->place[number];
    for (uint32_t i = 0; i < ENTRIES; i++) {
        war_entry_t *entry = &place->entry[i];
        uint64_t word = atomic_load(&entry->word);
        /* What is detached stays as it is; the next process here goes on with it. */
        if (war_state(word) != WAR_NONE && !(atomic_load(&entry->content) & WAR_DETACHED))
            atomic_store(&entry->word, war_next(word, WAR_NONE));
    }
    atomic_store(&place->threads, 0);
    atomic_store(&place->joined, 0);
    atomic_store(&place->pid, 0);
    atomic_store(&place->watched, 0);
    atomic_store(&place->turn, 0);
    for (uint32_t t = 0; t < THREADS; t++)
        atomic_store(&place->cell[t].parked, 0);
    war_forget_turns(number);
    for (uint32_t i = 0; i < PATIENTS; i++)
        atomic_store(&place->monitors[i], 0);
    for (uint32_t i = 0; i < THREADS * OPEN; i++)
        atomic_store(&place->open[i / OPEN][i % OPEN], 0);
    atomic_store(&place->taken, 0);
}

/* -------------------------------------------------------------- contents */

/* splitmix64, Steele and others 2014. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

const char *war_name(uint32_t name)
{
    static const char *const names[NAMES] = {
        "api",   "web",  "db",      "cache",
        "queue", "mail", "search",  "games",
        "feed",  "auth", "metrics", "a name of sixty-three bytes, which is as long as names may get"};
    static _Thread_local char more[8][32]; /* good for so many calls */
    static _Thread_local unsigned turn;
    if (name < NAMES)
        return names[name];
    snprintf(more[++turn % 8], sizeof more[0], "name-%u", name);
    return more[turn % 8];
}

void war_id(uint32_t entry, char id[128])
{
    bool is_long = entry % 4 == 3;
    snprintf(id, 128, is_long ? "w%u-%u-an-id-that-is-too-long-for-the-hot-half-of-a-record" : "w%u-%u",
             entry / ENTRIES, entry % ENTRIES);
}

bool war_entry_of(const char *id, uint32_t *entry)
{
    unsigned place, index;
    if (sscanf(id, "w%u-%u", &place, &index) != 2 || place >= PLACES || index >= ENTRIES)
        return false;
    *entry = place * ENTRIES + index;
    return true;
}

void war_node(uint32_t place, uint32_t epoch, char node[64])
{
    snprintf(node, 64, "n%u-%u", place, epoch);
}

static uint64_t draw(uint32_t entry, uint32_t registration)
{
    return mix((uint64_t)entry << 32 | registration);
}

uint32_t war_name_of(uint32_t entry, uint32_t registration)
{
    return (uint32_t)(draw(entry, registration) % war->names);
}

/* client.py draws a plain one the same way. */
void war_describe(uint32_t entry, uint32_t registration, uint64_t content, war_service_t *service)
{
    memset(service, 0, sizeof *service);
    war_id(entry, service->id);
    service->name = war_name_of(entry, registration);
    service->port = (uint16_t)(1000 + registration % 50000);
    strcpy(service->endpoint, "127.0.0.1");
    if (content & WAR_PLAIN)
        return;
    uint64_t random = draw(entry, registration) | 1;
    unsigned a = below(&random, 256), b = below(&random, 256);
    snprintf(service->endpoint, sizeof service->endpoint,
             below(&random, 2) ? "10.0.%u.%u" : "a-host-name-that-the-hot-half-cannot-hold.%u.%u.example", a, b);
    if (below(&random, 2))
        snprintf(service->version, sizeof service->version, "%u.%u", a, b);
    if (below(&random, 2))
        snprintf(service->zone, sizeof service->zone, "zone-%u-of-thirty-one-bytes", b);
    service->tag_count = below(&random, 5);
    for (uint32_t i = 0; i < service->tag_count; i++) {
        snprintf(service->tags[i], sizeof service->tags[i], "tag-%u-%u", i, a);
        service->tag[i] = service->tags[i];
    }
}

size_t war_metadata(uint32_t entry, uint64_t content, char text[1024])
{
    static const size_t lengths[4] = {0, 40, 496, 900};
    uint64_t number = content >> 32, random = mix((uint64_t)entry << 32 | number) | 1;
    size_t length = content & (WAR_PLAIN | WAR_DETACHED) ? 0 : lengths[number % 4];
    char first = (char)('a' + below(&random, 26));
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + (first - 'a' + i * 7 + number) % 26);
    text[length] = '\0';
    return length;
}
