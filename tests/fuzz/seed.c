/*
 * Start states, made through the public API when a driver starts, so that no image need be kept in the tree and none
 * grows stale when the layout changes.
 *
 * Two handles own what is in them: slot 0's owner lives (it is made to be this process's first thread, so that its
 * thread id is in use for as long as anybody looks), slot 1's was marked by the kernel and nobody has reaped it.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define LONG_ID "an-id-of-more-than-thirty-nine-bytes-lies-in-the-cold-half"
#define LONG_ENDPOINT "a-host-whose-name-is-far-too-long.for-the-hot-half.example"
#define B16 "0123456789abcdef"
#define MOST_ID B16 B16 B16 B16 B16 B16 B16 "0123456789abcde"
#define MOST_NAME B16 B16 B16 "0123456789abcde"
#define MOST_ENDPOINT MOST_ID MOST_ID "x"

const char *const fuzz_ids[FUZZ_ID_COUNT] = {"auth-1", "auth-2",  "mail-1", "dead-1", LONG_ID, MOST_ID,
                                             "many-0", "many-29", "leased", "gone-1", "fresh", "never"};
const char *const fuzz_names[FUZZ_NAME_COUNT] = {"auth", "mail", "dead", "many", "gone", MOST_NAME, "fresh", "never"};

fuzz_seed_t fuzz_seeds[FUZZ_SEEDS];
char fuzz_dir[64];
static pid_t maker;

static void give_up(const char *what)
{
    fprintf(stderr, "fuzz: %s: %s; %s\n", what, strerror(errno), commy_last_error_message());
    exit(3);
}

/* ------------------------------------------------------------------ filling */

static void put(commy_mesh_t *mesh, const char *name, const char *id, const char *metadata, uint64_t ttl_ms)
{
    static const char *const tags[] = {"blue", "canary"};
    const commy_service_config_t config = {
        .size = sizeof config,
        .service_name = name,
        .service_id = id,
        .endpoint = strlen(id) == COMMY_LIMIT_ID_BYTES ? MOST_ENDPOINT
                    : strlen(id) > 39                  ? LONG_ENDPOINT
                                                       : "127.0.0.1",
        .metadata = metadata,
        .version = "1.2.3",
        .zone = "north",
        .tags = tags,
        .tag_count = 2,
        .ttl_ms = ttl_ms,
        .port = 8080,
    };
    uint64_t reference;
    if (commy_service_register(mesh, &config, &reference) != COMMY_STATUS_SUCCESS ||
        (metadata && commy_service_report(mesh, reference, 1000, true) != COMMY_STATUS_SUCCESS))
        give_up(id);
}

static void put_detached(commy_mesh_t *mesh, const char *name, const char *id)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .flags = COMMY_SERVICE_DETACHED,
                                           .service_name = name,
                                           .service_id = id,
                                           .endpoint = "unix:/run/leased",
                                           .ttl_ms = 3600000};
    if (commy_service_register(mesh, &config, NULL) != COMMY_STATUS_SUCCESS)
        give_up(id);
}

static void put_many(commy_mesh_t *mesh, const char *name, const char *prefix, int count)
{
    char id[32];
    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%s-%d", prefix, i);
        put(mesh, name, id, NULL, 0);
    }
}

/* Leaves a request in flight, or ends it. */
static void begin(commy_mesh_t *mesh, const char *id, bool end)
{
    commy_target_t target;
    uint64_t token;
    if (commy_service_find(mesh, id, &target) != COMMY_STATUS_SUCCESS ||
        commy_service_begin(mesh, target.reference, &token) != COMMY_STATUS_SUCCESS ||
        (end && commy_service_end(mesh, token, 1000, true) != COMMY_STATUS_SUCCESS))
        give_up(id);
}

/* More participants than a statistics block has cells for, for a while: further cells stay with it. */
static void crowd(const commy_mesh_t *like, const char *id)
{
    commy_mesh_t *one[CMY_STAT_CELLS];
    const commy_open_options_t options = {.size = sizeof options, .dir = fuzz_dir, .mesh = like->region->mesh};
    for (uint32_t i = 0; i < CMY_STAT_CELLS; i++) {
        if (commy_mesh_attach(&options, &one[i]) != COMMY_STATUS_SUCCESS)
            give_up("a crowd");
        begin(one[i], id, i % 2 == 0);
    }
    for (uint32_t i = 0; i < CMY_STAT_CELLS; i++)
        commy_mesh_detach(&one[i]);
}

static void take(commy_mesh_t *mesh, const char *id)
{
    if (commy_service_unregister(mesh, id) != COMMY_STATUS_SUCCESS)
        give_up(id);
}

static void fill_none(commy_mesh_t *lives, commy_mesh_t *dies)
{
    (void)lives;
    (void)dies;
}

static void fill_one(commy_mesh_t *lives, commy_mesh_t *dies)
{
    (void)dies;
    put(lives, "auth", "auth-1", NULL, 0);
}

static void fill_all_kinds(commy_mesh_t *lives, commy_mesh_t *dies)
{
    char large[2000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    put(lives, "auth", "auth-1", "{\"a\":\n\t1}", 0);
    put(lives, "auth", "auth-2", large, 60000);
    put(dies, "dead", "dead-1", "{}", 0);
    put(lives, MOST_NAME, LONG_ID, NULL, 0);
    put(lives, "mail", MOST_ID, NULL, 0);
    put_detached(lives, "mail", "leased");
    put(lives, "gone", "gone-1", "{}", 0);
    begin(dies, "gone-1", false);
    take(lives, "gone-1");
    begin(lives, "auth-1", false);
    begin(lives, "auth-1", true);
    begin(dies, "auth-1", false);
}

static void fill_up(commy_mesh_t *lives, commy_mesh_t *dies)
{
    put_many(lives, "many", "many", 14);
    put(lives, "auth", "auth-1", "{}", 0);
    put(dies, "dead", "dead-1", NULL, 0);
}

static void fill_chain(commy_mesh_t *lives, commy_mesh_t *dies)
{
    put(lives, "auth", "auth-1", "{}", 0);
    put_many(lives, "many", "many", 30);
    put_many(dies, "many", "dead", 25);
}

/* Every kind of record has had tenants, and names without members have lines. */
static void fill_worn(commy_mesh_t *lives, commy_mesh_t *dies)
{
    char id[32];
    put_many(dies, "many", "many", 40);
    for (int i = 0; i < 39; i++) {
        snprintf(id, sizeof id, "many-%d", i);
        take(lives, id);
    }
    for (int i = 0; i < 8; i++) {
        put(lives, "auth", "auth-1", "{}", 60000);
        put(lives, "gone", "gone-1", NULL, 0);
        take(lives, "gone-1");
        take(lives, "auth-1");
    }
    put(lives, "mail", "mail-1", "{}", 0);
    crowd(lives, "mail-1");
    begin(lives, "mail-1", false);
}

/* Of a region of more than a chunk: marks that are neither 0 nor the limit. */
static void fill_large(commy_mesh_t *lives, commy_mesh_t *dies)
{
    put_many(lives, "many", "many", 100);
    put_many(dies, "dead", "dead", 30);
    put(lives, "auth", "auth-1", "{}", 60000);
}

static const struct start {
    const char *what;
    uint32_t capacity;
    void (*fill)(commy_mesh_t *lives, commy_mesh_t *dies);
} starts[FUZZ_SEEDS] = {
    {"empty", 16, fill_none},
    {"one service", 16, fill_one},
    {"all kinds of records", 16, fill_all_kinds},
    {"full", 16, fill_up},
    {"chain of lines", 64, fill_chain},
    {"worn records", 64, fill_worn},
    {"larger than a chunk", 1100, fill_large},
};

/* ------------------------------------------------------------------- making */

static commy_mesh_t *open_mesh(const fuzz_seed_t *seed, const char *node_id)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = {
        .size = sizeof options, .dir = fuzz_dir, .mesh = seed->mesh, .node_id = node_id, .capacity = seed->capacity};
    if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS || commy_mesh_join(mesh, NULL, 0) != 0)
        give_up(seed->what);
    return mesh;
}

/* Slot 0 lives as long as this process; the kernel has marked slot 1. */
static void settle_owners(fuzz_seed_t *seed)
{
    cmy_life_shm_t *life = (cmy_life_shm_t *)(seed->image + seed->layout.life);
    uint32_t tid = (uint32_t)getpid();
    uint64_t phase = cmy_load64_relaxed(&life[0].phase);
    cmy_store64_relaxed(&life[0].phase,
                        cmy_life_word(CMY_SLOT_ARMED, cmy_life_space(phase), cmy_life_incarnation(phase), tid));
    cmy_store32_relaxed(&life[0].word, tid | FUTEX_WAITERS);
    cmy_store32_relaxed(&life[1].word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
}

void fuzz_file_fill(const fuzz_seed_t *seed)
{
    off_t bytes = (off_t)seed->layout.region_bytes;
    if (ftruncate(seed->file, bytes) != 0 || fallocate(seed->file, 0, 0, bytes) != 0)
        give_up("no room in /dev/shm");
}

void fuzz_file_make(fuzz_seed_t *seed)
{
    char path[128];
    struct stat st;
    if (seed->stage)
        munmap(seed->stage, seed->layout.region_bytes);
    if (seed->file > 0)
        close(seed->file);
    snprintf(path, sizeof path, "%s/%s", fuzz_dir, seed->mesh);
    seed->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (seed->file < 0 || fstat(seed->file, &st) != 0)
        give_up(path);
    fuzz_file_fill(seed);
    seed->device = st.st_dev;
    seed->inode = st.st_ino;
    seed->stage = mmap(NULL, seed->layout.region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, seed->file, 0);
    if (seed->stage == MAP_FAILED)
        give_up("mmap");
}

void fuzz_file_ensure(fuzz_seed_t *seed)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", fuzz_dir, seed->mesh);
    if (stat(path, &st) != 0 || st.st_ino != seed->inode)
        fuzz_file_make(seed);
}

static void make(fuzz_seed_t *seed, const struct start *start, int number)
{
    seed->what = start->what;
    seed->capacity = start->capacity;
    snprintf(seed->mesh, sizeof seed->mesh, "s%d", number);
    cmy_layout_compute(seed->capacity, &seed->layout);
    commy_mesh_t *lives = open_mesh(seed, "lives"), *dies = open_mesh(seed, "dies");
    start->fill(lives, dies);
    fuzz_file_make(seed);
    seed->image = malloc(seed->layout.region_bytes);
    if (!seed->image)
        give_up("malloc");
    memcpy(seed->image, seed->stage, seed->layout.region_bytes);
    settle_owners(seed);
    commy_mesh_detach(&dies);
    commy_mesh_detach(&lives);
}

static int delete_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void fuzz_dir_remove(void)
{
    if (getpid() == maker)
        nftw(fuzz_dir, delete_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void clean_up(void)
{
    if (getpid() != maker)
        return;
    fuzz_dir_remove();
    for (int i = 0; i < FUZZ_SEEDS; i++) {
        munmap(fuzz_seeds[i].stage, fuzz_seeds[i].layout.region_bytes);
        free(fuzz_seeds[i].image);
        close(fuzz_seeds[i].file);
    }
}

void fuzz_seeds_make(void)
{
    snprintf(fuzz_dir, sizeof fuzz_dir, "/dev/shm/commy-fuzz-%d-XXXXXX",
             (int)getpid()); /* scripts/fuzz knows the name */
    if (!mkdtemp(fuzz_dir))
        give_up("mkdtemp in /dev/shm");
    maker = getpid();
    atexit(clean_up);
    for (int i = 0; i < FUZZ_SEEDS; i++)
        make(&fuzz_seeds[i], &starts[i], i);
    fuzz_time_starts();
}
