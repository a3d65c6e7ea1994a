/*
 * The world: one region of the smallest capacity, with a record of every write.
 *
 * A step of a process is one access. What it changed is seen by comparing the word before and after, so that a CAS that
 * failed and a store of what was there count as reads. Each change goes into a log, from which it can be taken back, and
 * into a hash of the whole region that takes no longer than the change.
 *
 * Who touched a word and who wrote it is remembered for as long as a case is explored. A word is shared if somebody
 * writes it and somebody else touches it.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "explore.h"
#include "stat/breaker.h"

#define CAPACITY COMMY_LIMIT_SERVICES_MIN
#define SEED 0x9e3779b97f4a7c15ull
#define CLOCK_BEGINS 1000000000ull
#define EXTRA_BYTES 4096u /* the clock and the start words, behind the region */

typedef struct change {
    void *word;
    uint64_t before;
    bool narrow;
} change_t;

typedef struct touch {
    uint8_t by, written_by; /* a bit an actor */
} touch_t;

unsigned char *ex_base;
uint64_t ex_world_hash;
uint64_t ex_newly_shared;

static cmy_layout_t layout; /* what the capacity gives; the case's own is smaller */
static cmy_region_t region; /* the explorer's view */
static const unsigned char alive_page = 1;
static change_t *changes;
static size_t change_count, change_room;
static touch_t *touches; /* by half word */
static bool *shared;
static bool threads;  /* the processes share a handle */
static bool counting; /* not during setups */
bool ex_observer_counts;
commy_mesh_t ex_shared_mesh;

cmy_region_t *ex_region(void)
{
    return &region;
}

cmy_word64_t *ex_clock_word(void)
{
    return (cmy_word64_t *)(void *)(ex_base + layout.region_bytes);
}

cmy_word64_t *ex_start_word(uint32_t who)
{
    return ex_clock_word() + 1 + who;
}

/* ------------------------------------------------------------------- words */

static size_t number_of(const void *word)
{
    return (size_t)((const unsigned char *)word - ex_base) / sizeof(uint32_t);
}

/* A word of 32 bits at the start of 64 is read together with its neighbour, which does not move at the same time. */
static bool is_narrow(const void *word)
{
    return (uintptr_t)word % sizeof(uint64_t) != 0;
}

uint64_t ex_peek(const void *word)
{
    return is_narrow(word) ? *(const volatile uint32_t *)word : *(const volatile uint64_t *)word;
}

static uint64_t mixed(size_t number, uint64_t value)
{
    uint64_t x = (value ^ number * 0xff51afd7ed558ccdull) * 0x9e3779b97f4a7c15ull;
    x ^= x >> 32;
    x = (x + number) * 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 29;
}

static void record(void *word, uint64_t before, uint64_t after)
{
    if (change_count == change_room) {
        change_room = change_room ? 2 * change_room : 65536;
        changes = realloc(changes, change_room * sizeof *changes);
        if (!changes)
            abort();
    }
    changes[change_count++] = (change_t){word, before, is_narrow(word)};
    ex_world_hash ^= mixed(number_of(word), before) ^ mixed(number_of(word), after);
}

size_t ex_world_mark(void)
{
    return change_count;
}

void ex_world_back_to(size_t mark)
{
    while (change_count > mark) {
        const change_t *change = &changes[--change_count];
        uint64_t now = ex_peek(change->word);
        ex_world_hash ^= mixed(number_of(change->word), change->before) ^ mixed(number_of(change->word), now);
        if (change->narrow)
            *(volatile uint32_t *)change->word = (uint32_t)change->before;
        else
            *(volatile uint64_t *)change->word = change->before;
    }
}

static void touched(uint32_t who, const void *word, bool wrote)
{
    if (!counting || (who == EX_OBSERVER && !ex_observer_counts))
        return;
    size_t number = number_of(word);
    touch_t *touch = &touches[number];
    uint8_t bit = (uint8_t)(1u << who);
    touch->by |= bit;
    if (wrote)
        touch->written_by |= bit;
    /* Somebody writes, and somebody else touches. */
    if (shared[number] || touch->written_by == 0 || (touch->by & (touch->by - 1)) == 0)
        return;
    shared[number] = true;
    ex_newly_shared++;
}

bool ex_is_shared(const void *word)
{
    return shared[number_of(word)];
}

void ex_poke32(cmy_word32_t *word, uint32_t value)
{
    uint64_t before = ex_peek(word);
    atomic_store_explicit(&word->value, value, memory_order_seq_cst);
    if (ex_running == EX_KERNEL)
        record(word, before, ex_peek(word));
}

void ex_poke64(cmy_word64_t *word, uint64_t value)
{
    uint64_t before = ex_peek(word);
    atomic_store_explicit(&word->value, value, memory_order_seq_cst);
    if (ex_running == EX_KERNEL)
        record(word, before, value);
}

/* ------------------------------------------------------------------- steps */

bool ex_world_step(uint32_t who)
{
    void *word = (void *)(uintptr_t)ex_process[who].pending;
    uint64_t before = ex_peek(word);
    ex_fiber_resume(who);
    uint64_t after = ex_peek(word);
    if (before != after)
        record(word, before, after);
    touched(who, word, before != after && who != EX_OBSERVER);
    return before != after;
}

commy_mesh_t *ex_mesh(uint32_t who)
{
    return threads && who < EX_PROCESSES ? &ex_shared_mesh : &ex_private(who)->mesh;
}

static void end_thread(uint32_t who)
{
    ex_process_t *process = &ex_process[who];
    process->status = EX_DEAD;
    process->pending = process->asleep_on = NULL;
    process->local = 0;
    ex_history_begin(ex_death_event(who));
    ex_history_end(ex_death_event(who));
}

void ex_world_kill(uint32_t who)
{
    uint32_t tid = ex_private(threads && who < EX_PROCESSES ? 0 : who)->tid;
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++) {
        ex_kernel_marks(slot, tid);
        touched(EX_KERNEL, &region.life[slot].word, true);
    }
    for (uint32_t other = 0; other < EX_ACTORS; other++)
        if (other == who || (threads && who < EX_PROCESSES && other < ex_process_count))
            end_thread(other);
}

void ex_world_time_out(uint32_t who)
{
    ex_process[who].status = EX_READY;
    ex_process[who].timed_out = true;
    ex_process[who].pending = ex_start_word(who);
    ex_poke64(ex_clock_word(), ex_peek(ex_clock_word()) + 100000000);
}

/* ------------------------------------------------------------------ making */

static void allocate(void)
{
    cmy_layout_compute(CAPACITY, &layout);
    size_t bytes = layout.region_bytes + EXTRA_BYTES;
    ex_base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    touches = calloc(bytes / sizeof(uint32_t), sizeof *touches);
    shared = calloc(bytes / sizeof(uint32_t), sizeof *shared);
    if (ex_base == MAP_FAILED || !touches || !shared)
        abort();
}

_Static_assert(COMMY_LIMIT_PARTICIPANTS <= sizeof(((cmy_stat_shm_t *)0)->cell) / sizeof(cmy_word64_t),
               "a block has a cell for each participant, where a case does not say otherwise");

static uint32_t size_or(uint8_t size, uint32_t other)
{
    return size ? size : other;
}

static void place(const ex_case_t *what)
{
    region =
        (cmy_region_t){.base = ex_base, .alive_page = &alive_page, .seed = SEED, .writable = true, .layout = layout};
    region.place = cmy_place("explore", "explore");
    cmy_region_place(&region);
    region.layout.id_lines = region.layout.name_lines = size_or(what->homes, 1);
    const uint32_t limits[CMY_SLABS] = {
        [CMY_SERVICES] = size_or(what->services, 8),  [CMY_GROUPS] = size_or(what->groups, 6),
        [CMY_LINES] = size_or(what->lines, 4),        [CMY_STATS] = size_or(what->blocks, 6),
        [CMY_SMALL_TEXTS] = size_or(what->blocks, 6), [CMY_LARGE_TEXTS] = size_or(what->blocks, 2),
        [CMY_CELLS] = size_or(what->blocks, 2),
    };
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        uint32_t mark = what->flags & EX_GROWS ? 0 : limits[kind];
        region.layout.slab[kind].limit = limits[kind];
        region.layout.slab[kind].chunk = what->flags & EX_GROWS ? 1 : limits[kind];
        atomic_store_explicit(&region.header->reserved[kind].value, mark, memory_order_relaxed);
        atomic_store_explicit(&region.reserved[kind], mark, memory_order_relaxed);
    }
    ex_sizes = (ex_sizes_t){size_or(what->line_cells, 3), size_or(what->group_cells, 2), size_or(what->line_members, 2),
                            size_or(what->stat_cells, COMMY_LIMIT_PARTICIPANTS)};
}

/* What the audit compares with what a handle remembers. */
static void fill_header(void)
{
    cmy_header_shm_t *header = region.header;
    header->magic = CMY_MAGIC;
    header->layout_version = CMY_LAYOUT_VERSION;
    header->byte_order = CMY_BYTE_ORDER;
    header->fingerprint = cmy_layout_fingerprint();
    header->region_bytes = layout.region_bytes;
    header->capacity = region.layout.capacity;
    header->seed = SEED;
}

static void attach(const ex_case_t *what, uint32_t who)
{
    ex_private_t *mine = ex_private(who);
    commy_mesh_t *mesh = ex_mesh(who);
    memset(mine, 0, sizeof *mine);
    memset(mesh, 0, sizeof *mesh);
    memcpy(&mine->region, &region, sizeof region);
    mesh->region = mesh->actor.region = what->flags & EX_GROWS ? &mine->region : &region;
    pthread_mutex_init(&mesh->leaving, NULL);
    pthread_mutex_init(&mesh->lifecycle, NULL);
    snprintf(mesh->node_id, sizeof mesh->node_id, "node-%u", (unsigned)who);
}

/* Runs an actor's program alone. */
static bool run_alone(uint32_t who)
{
    ex_fiber_start(who);
    for (uint32_t steps = 0; ex_process[who].status == EX_READY; steps++) {
        if (steps == 100000) {
            ex_blame("the setup does not come to its end");
            return false;
        }
        ex_world_step(who);
    }
    return true;
}

static bool run_setup(const ex_case_t *what)
{
    ex_program_t program[EX_ACTORS];
    static const ex_program_t join = {.count = 1, .first_event = EX_SCRATCH_EVENT, .op = {{.kind = 'J'}}};
    memcpy(program, ex_program, sizeof program);
    for (uint32_t who = 0; who < EX_ACTORS; who++) {
        if (!threads || who == 0 || who >= EX_PROCESSES)
            attach(what, who);
        ex_process[who].status = EX_NOBODY;
        ex_program[who] = join;
        bool joins =
            who >= EX_PROCESSES || (who < ex_process_count && !(what->flags & EX_APART) && !(threads && who > 0));
        if (joins && !run_alone(who))
            return false;
    }
    memcpy(ex_program, program, sizeof program);
    ex_history.ended = 0;
    if (!run_alone(EX_SETTLER))
        return false;
    if (what->settler_dies)
        ex_world_kill(EX_SETTLER);
    for (uint32_t who = 0; who < ex_process_count; who++)
        ex_fiber_start(who);
    return true;
}

/* Open for less than a TTL, so that a leap ends it, and doubled as often as any case does. */
static void configure_breakers(const ex_case_t *what)
{
    const cmy_rules_t rules = {.on = true,
                               .streak = what->failures,
                               .minimum = 1,
                               .most = what->most ? what->most : 100,
                               .window_ms = 1,
                               .open_ms = 100,
                               .longest_ms = 800};
    if (what->failures == 0)
        return;
    atomic_store_explicit(&ex_region()->header->breaker_rules.value, cmy_rules_pack(&rules), memory_order_relaxed);
    atomic_store_explicit(&ex_region()->header->breaker_times.value, cmy_times_pack(&rules), memory_order_relaxed);
}

bool ex_world_make(const ex_case_t *what)
{
    static const ex_case_t *last;
    if (!ex_base)
        allocate();
    memset(ex_base, 0, layout.region_bytes + EXTRA_BYTES);
    memset(&ex_history, 0, sizeof ex_history);
    place(what);
    fill_header();
    configure_breakers(what);
    atomic_store_explicit(&ex_clock_word()->value, CLOCK_BEGINS, memory_order_relaxed);
    counting = false;
    threads = what->flags & EX_THREADS;
    ex_program_choose_texts();
    if (!ex_program_parse(what))
        return false;
    if (!run_setup(what))
        return false;
    /* Sharing is a matter of the case's own processes, and is kept from one search of it to the next. */
    size_t words = (layout.region_bytes + EXTRA_BYTES) / sizeof(uint32_t);
    memset(touches, 0, words * sizeof *touches);
    if (last != what)
        memset(shared, 0, words * sizeof *shared);
    last = what;
    for (uint32_t who = 0; who < EX_ACTORS; who++)
        shared[number_of(ex_start_word(who))] = true;
    change_count = 0;
    ex_world_hash = 0;
    ex_newly_shared = 0;
    counting = true;
    return true;
}
