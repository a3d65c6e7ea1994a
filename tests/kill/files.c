/*
 * Death and stopping in the calls that make, open and remove a region's file.
 *
 * Only system calls change what others see of these (and, in remove, one store). So the name and the region behind it are
 * looked at behind every system call, and victims are killed in front of and behind each, besides at a sample of all
 * other stops. What must hold there:
 *
 *   create, attach   the name is absent, or leads to a region that is whole: it can be attached to and audited, and has
 *                    the capacity that was asked for. Nothing else is in the directory. (An unnamed file is the kernel's to
 *                    free, which it does when the last descriptor goes with the victim.)
 *   remove           the region stands unmarked under its name; or marked; or marked and without its name; in this
 *                    order. Somebody attached to it may work, or is told that it was removed. (What cannot be mapped is not
 *                    marked: nobody is attached to it as far as this library can tell.)
 *   after a death    whoever comes next makes, or attaches, or removes as if nobody had been there
 *   beside a victim  each of these calls, made by another while the victim is stopped, is answered by what there is; then
 *                    the victim comes to its end, with an answer that fits before or after
 */
#include "kill.h"

#include <stddef.h>

property_t p_files = {"a region's file is absent or whole, at every instruction of making and removing it", 0, 0};

#define NAME "f"
#define CAPACITY 32u

/* What lies under the name. */
typedef enum before {
    ABSENT,
    THERE,
    OF_THE_DEAD,
    IN_USE,
    MARKED,
    OTHER_BOOT,
    OTHER_LAYOUT,
    COPY,
    EMPTY_FILE,
    FOREIGN
} before_t;
#define BEFORES (FOREIGN + 1)
static const char *const befores[BEFORES] = {
    "absent",     "there",        "of the dead", "in use",        "marked removed",
    "other boot", "other layout", "a copy",      "an empty file", "a foreign file",
};

static char dir[96], path[112];
static commy_mesh_t *onlooker; /* attached before the victim begins, where there was a region */
static run_t run;
static before_t before;

static commy_open_options_t options_with(uint32_t flags)
{
    return (commy_open_options_t){
        .size = sizeof(commy_open_options_t), .flags = flags, .dir = dir, .mesh = NAME, .capacity = CAPACITY};
}

/* ----------------------------------------------------------------------- calls */

static commy_status_t run_create(void)
{
    const commy_open_options_t options = options_with(0);
    return commy_mesh_create(&options);
}
static commy_status_t attach_with(uint32_t flags)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = options_with(flags);
    commy_status_t status = commy_mesh_attach(&options, &mesh);
    if (status == COMMY_STATUS_SUCCESS)
        commy_mesh_detach(&mesh);
    return status;
}
static commy_status_t run_attach(void)
{
    return attach_with(0);
}
static commy_status_t run_attach_read_only(void)
{
    return attach_with(COMMY_OPEN_READ_ONLY);
}
static commy_status_t run_remove(void)
{
    const commy_open_options_t options = options_with(0);
    return commy_mesh_remove(&options, false);
}
static commy_status_t run_remove_force(void)
{
    const commy_open_options_t options = options_with(0);
    return commy_mesh_remove(&options, true);
}

#define OK COMMY_STATUS_SUCCESS
#define EXISTS COMMY_STATUS_EXISTS
#define REMOVED COMMY_STATUS_REMOVED
#define NO_MESH COMMY_STATUS_MESH_NOT_FOUND
#define NONE COMMY_STATUS_NOT_A_REGION
#define BOOT COMMY_STATUS_OTHER_BOOT
#define LAYOUT COMMY_STATUS_LAYOUT
static const struct row {
    const char *call;
    commy_status_t (*run)(void);
    bool makes, removes;
    commy_status_t expected[BEFORES];
} rows[] = {
    {"create", run_create, true, false, {OK, EXISTS, EXISTS, EXISTS, EXISTS, EXISTS, EXISTS, EXISTS, EXISTS, EXISTS}},
    {"attach, or create", run_attach, true, false, {OK, OK, OK, OK, REMOVED, BOOT, LAYOUT, REMOVED, NONE, NONE}},
    {"attach, read-only",
     run_attach_read_only,
     false,
     false,
     {NO_MESH, OK, OK, OK, REMOVED, BOOT, LAYOUT, REMOVED, NONE, NONE}},
    {"remove", run_remove, false, true, {NO_MESH, OK, OK, COMMY_STATUS_BUSY, OK, OK, OK, OK, NONE, NONE}},
    {"remove, forced", run_remove_force, false, true, {NO_MESH, OK, OK, OK, OK, OK, OK, OK, NONE, NONE}},
};
#define ROWS (sizeof rows / sizeof rows[0])
static const struct row *const create = &rows[0], *const attach = &rows[1], *const force = &rows[4];
static const struct row *row;

static void make_call(const void *argument)
{
    (void)argument;
    trap();
    board->status = (int)row->run();
    atomic_store(&board->done, 1);
    trap();
}

/* ----------------------------------------------------------- starting states */

static void need(bool holds)
{
    if (holds)
        return;
    printf("a starting state could not be built: %s\n", commy_last_error_message());
    exit(2);
}

/* A participant as those of the worlds, who lives as far as its word says, or is dead; and a service of its own. */
static void occupy(commy_mesh_t *mesh, bool lives)
{
    const commy_service_config_t config = {
        .size = sizeof config, .service_name = "n", .service_id = "i", .endpoint = "127.0.0.1", .port = 1};
    cmy_life_shm_t *life = &mesh->region->life[0];
    const cmy_region_t *model = worlds[0].region;
    memcpy(life, &model->life[SLOT_A], sizeof *life);
    memcpy(mesh->region->participants, &model->participants[SLOT_A], sizeof *model->participants);
    mesh->actor.owner = cmy_owner(0, cmy_life_incarnation(cmy_load64_relaxed(&life->phase)));
    atomic_store(&mesh->phase, CMY_MESH_JOINED);
    need(commy_service_register(mesh, &config, NULL) == OK);
    atomic_store(&mesh->phase, CMY_MESH_LEFT); /* there is no keeper to leave with */
    if (!lives)
        cmy_store32_relaxed(&life->word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
}

static void prepare(void)
{
    unlink(path);
    onlooker = NULL;
    if (before == ABSENT)
        return;
    if (before == FOREIGN || before == EMPTY_FILE) {
        FILE *file = fopen(path, "w");
        need(file && (before == EMPTY_FILE || fputs("something else\n", file) >= 0) && fclose(file) == 0);
        return;
    }
    need(run_create() == OK);
    onlooker = attach_to(dir, NAME, COMMY_OPEN_MUST_EXIST);
    cmy_header_shm_t *header = onlooker->region->header;
    if (before == IN_USE || before == OF_THE_DEAD)
        occupy(onlooker, before == IN_USE);
    if (before == MARKED)
        cmy_store64_relaxed(&header->removed, 1);
    if (before == OTHER_BOOT)
        header->boot_id[0] ^= 1;
    if (before == OTHER_LAYOUT)
        header->fingerprint ^= 1;
    if (before == COPY)
        header->inode ^= 1;
}

static void tidy(victim_t *victim)
{
    victim_kill(victim);
    commy_mesh_detach(&onlooker);
    unlink(path);
}

/* ------------------------------------------------------------------- judging */

static void check(bool holds, const char *what)
{
    run_holds(&run, &p_files, holds, "%s", what);
}

static bool is_there(void)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static bool marked(void)
{
    return onlooker && cmy_load64_relaxed(&onlooker->region->header->removed) != 0;
}

/* What lies under the name now. made: by others than the state's maker. */
static before_t state_now(bool made)
{
    if (!is_there())
        return ABSENT;
    if (made || before == ABSENT)
        return THERE;
    return marked() && before <= IN_USE ? MARKED : before;
}

/* Whether it can be attached to, has the capacity that was asked for, and is sound. */
static bool is_whole(void)
{
    commy_mesh_t *mesh;
    commy_mesh_info_t info;
    const commy_open_options_t options = options_with(COMMY_OPEN_READ_ONLY);
    if (commy_mesh_attach(&options, &mesh) != OK)
        return false;
    bool whole = commy_mesh_info(mesh, &info) == OK && info.capacity == CAPACITY && is_clean(mesh);
    commy_mesh_detach(&mesh);
    return whole;
}

/* What others see, behind a system call. seen: what they saw last; 0 nothing, 1 the name, 2 with a mark, 3 no name. */
static int judge(int seen)
{
    bool there = is_there(), mark = marked(), marks = before <= IN_USE;
    int now = there ? 1 + mark : before == ABSENT ? 0 : 3;
    if (now == seen)
        return now;
    run.change++;
    run.tally.audits++;
    if (row->removes) {
        check(now >= seen && (now != 3 || mark || !marks), "it is removed by steps: marked, then without its name");
        commy_target_t target;
        commy_status_t status = onlooker ? commy_service_find(onlooker, "nobody", &target) : OK;
        check(status == (mark ? REMOVED : COMMY_STATUS_NOT_FOUND), "who is attached is told");
    } else {
        check(now == 1 && seen == 0, "it appears, once");
        check(is_whole(), "it is whole when it appears");
    }
    check(test_dir_count(dir) == (there ? 1 : 0), "nothing else is in the directory");
    return now;
}

/* After the victim's death, others do the same, and then what is left to do until there is a region. */
static void judge_after(void)
{
    before_t now = state_now(false);
    check(now == before || (row->removes ? now == MARKED || now == ABSENT : now == THERE && before == ABSENT),
          "it is as it was, or as the call makes it");
    check(row->run() == row->expected[now], "whoever comes next is answered by what there is");
    now = state_now(now == ABSENT && row->makes);
    check(test_dir_count(dir) == (now == ABSENT ? 0 : 1), "nothing is left in the directory");
    if (before == FOREIGN || before == EMPTY_FILE) {
        check(now == before, "a foreign file is left alone");
        return;
    }
    if (now == THERE || now == OF_THE_DEAD || now == IN_USE) {
        check(is_whole(), "it can be attached to");
        return;
    }
    check(force->run() == force->expected[now], "what cannot be used can be removed");
    check(!is_there() && create->run() == OK && attach->run() == OK && is_whole(), "and made anew");
}

/* ------------------------------------------------------------------- running */

#define STOPS_NOTED 100000u
static uint64_t address[STOPS_NOTED + 1], at_calls[2048];
static uint64_t at_calls_count;

static bool bring_to(victim_t *victim, uint64_t stop)
{
    uint64_t times = 0;
    for (uint64_t i = 1; i <= stop; i++)
        times += address[i] == address[stop] && address[i - 1] != address[stop];
    prepare();
    victim_begin(victim, make_call, NULL);
    run.stop = stop;
    return victim_run_to(victim, address[stop], times);
}

static void kill_file_call_at(uint64_t stop)
{
    victim_t victim;
    bool there = bring_to(&victim, stop);
    victim_kill(&victim);
    run.tally.kills += there;
    run.tally.missed += !there;
    judge_after();
    commy_mesh_detach(&onlooker);
}

static void no_wake(const void *argument)
{
    (void)argument;
}

/* Two who met. The victim's answer fits the state that it began in, or the one that the other left, or, where it looked
 * while the other was at work, a region marked removed. */
static void judge_both(before_t met, const struct row *other, commy_status_t theirs)
{
    bool made = met == ABSENT && other->makes;
    commy_status_t its = (commy_status_t)board->status;
    before_t left = other->removes && theirs == OK ? ABSENT : made ? THERE : met;
    check(theirs == other->expected[met], "another is answered by what there is");
    check(its == row->expected[before] || its == row->expected[met] || its == row->expected[left] ||
              (left == ABSENT && met != ABSENT && its == row->expected[MARKED]),
          "the victim's answer fits before or after");
    bool there = is_there();
    if (row->makes && its == OK && !other->removes)
        check(there, "what was made is there");
    if (row->removes && its == OK && !other->makes)
        check(!there, "what was removed is not");
    check(test_dir_count(dir) == there, "nothing else is in the directory");
    if (there && (before == ABSENT || made || (before <= IN_USE && !marked())))
        check(is_whole(), "what is there is whole");
}

/* Somebody else makes one of these calls while the victim is stopped in front of or behind a system call. */
static void stop_file_call_at(uint64_t stop, const struct row *other)
{
    victim_t victim;
    if (bring_to(&victim, stop)) {
        before_t met = state_now(false);
        commy_status_t theirs = other->run();
        run.tally.real_others++;
        check(victim_finish(&victim, no_wake, NULL), "the victim comes to its end beside another");
        judge_both(met, other, theirs);
    } else {
        run.tally.missed++;
    }
    tidy(&victim);
}

static void judge_file(void)
{
    victim_t victim;
    prepare();
    victim_begin(&victim, make_call, NULL);
    int seen = is_there() ? 1 + marked() : 0;
    step_t step;
    bool enters = victim_calls(&victim), store = row->removes;
    at_calls_count = 0;
    while ((step = victim_step(&victim)) == STEP_STOPPED && run.stop < STOPS_NOTED) {
        address[++run.stop] = victim_address(&victim);
        if (enters || store)
            seen = judge(seen);
        bool was = enters;
        enters = victim_calls(&victim);
        if ((was || enters) && at_calls_count < sizeof at_calls / sizeof at_calls[0])
            at_calls[at_calls_count++] = run.stop;
    }
    run.tally.stops = run.stop;
    run.tally.changes = run.change;
    run_holds(&run, &p_killed, step == STEP_DONE, "it did not come to its end");
    commy_status_t expected = row->expected[before];
    run_holds(&run, &p_result, board->status == (int)expected, "it returned %d (%s)", board->status,
              commy_status_string(board->status));
    bool there = before == ABSENT ? row->makes && expected == OK : !(row->removes && expected == OK);
    check(is_there() == there, "the name is there, or not, as the call says");
    tidy(&victim);
}

uint32_t files_run(const char *in, bool full, bool (*wanted)(const char *call, const char *state),
                   void (*print)(const char *call, const char *state, const tally_t *tally))
{
    uint64_t random = 7;
    uint32_t left_out = 0;
    snprintf(dir, sizeof dir, "%s/files", in);
    snprintf(path, sizeof path, "%s/" NAME, dir);
    if (mkdir(dir, 0700) != 0)
        exit(2);
    for (size_t i = 0; i < ROWS * BEFORES; i++) {
        row = &rows[i % ROWS];
        before = (before_t)(i / ROWS);
        if (!wanted(row->call, befores[before]))
            continue;
        /* The slice: making, and removing by steps; of the rest, which opens and refuses alike, some. */
        bool changes = before == ABSENT ? row->makes : row->removes && before <= IN_USE && row->expected[before] == OK;
        if (!full && !changes && i % 7 != 3) {
            left_out++;
            continue;
        }
        static call_t call;
        static scene_t scene;
        call.name = row->call;
        scene = (scene_t){.call = &call, .state = befores[before]};
        run = (run_t){.scene = &scene};
        judge_file();
        uint64_t stops = run.stop, each = full ? 1 : 4;
        for (uint64_t at = 0; at < at_calls_count; at += each) {
            kill_file_call_at(at_calls[at]);
            for (size_t other = 0; other < ROWS; other++)
                if (full || (at / each + i) % ROWS == other)
                    stop_file_call_at(at_calls[at], &rows[other]);
        }
        for (uint64_t kill = 0; kill < stops / 100 && kill < (full ? UINT64_MAX : 10); kill++)
            kill_file_call_at(1 + below(&random, (uint32_t)stops));
        print(row->call, befores[before], &run.tally);
    }
    rmdir(dir);
    return left_out;
}
