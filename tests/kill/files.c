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
 *                    order. Somebody attached to it may work, or is told that it was removed.
 *   after a death    whoever comes next makes, or attaches, or removes as if nobody had been there
 *   beside a victim  two who make a region at once end with one that made it and one that did not; the victim comes to its
 *                    end
 */
#include "kill.h"

property_t p_files = {"a region's file is absent or whole, at every instruction of making and removing it", 0, 0};

#define NAME "f"
#define CAPACITY 32u

typedef enum before { ABSENT, THERE, OCCUPIED, FOREIGN } before_t;

static const struct row {
    const char *call, *state;
    before_t before;
    commy_status_t (*run)(void);
    commy_status_t expected;
    bool makes, removes;
} * row;

static char dir[96], path[112];
static commy_mesh_t *onlooker; /* attached before the victim begins, where the region was there */
static run_t run;

static commy_open_options_t options_with(uint32_t flags)
{
    return (commy_open_options_t){
        .size = sizeof(commy_open_options_t), .flags = flags, .dir = dir, .mesh = NAME, .capacity = CAPACITY};
}

static commy_status_t try_attach(uint32_t flags, bool checked)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = options_with(flags);
    commy_status_t status = commy_mesh_attach(&options, &mesh);
    uint64_t findings = 0;
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    commy_mesh_info_t info;
    if (checked && (commy_mesh_info(mesh, &info) != COMMY_STATUS_SUCCESS || info.capacity != CAPACITY ||
                    commy_mesh_check(mesh, print_finding, NULL, &findings) != COMMY_STATUS_SUCCESS))
        status = COMMY_STATUS_CORRUPT;
    commy_mesh_detach(&mesh);
    return status;
}

static commy_status_t run_create(void)
{
    const commy_open_options_t options = options_with(0);
    return commy_mesh_create(&options);
}
static commy_status_t run_attach(void)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = options_with(0);
    return commy_mesh_attach(&options, &mesh);
}
static commy_status_t run_attach_read_only(void)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = options_with(COMMY_OPEN_READ_ONLY);
    return commy_mesh_attach(&options, &mesh);
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
static const struct row rows[] = {
    {"create", "absent", ABSENT, run_create, OK, true, false},
    {"create", "there", THERE, run_create, COMMY_STATUS_EXISTS, true, false},
    {"create", "a foreign file", FOREIGN, run_create, COMMY_STATUS_EXISTS, false, false},
    {"attach, or create", "absent", ABSENT, run_attach, OK, true, false},
    {"attach, or create", "there", THERE, run_attach, OK, true, false},
    {"attach, or create", "in use", OCCUPIED, run_attach, OK, true, false},
    {"attach, or create", "a foreign file", FOREIGN, run_attach, COMMY_STATUS_NOT_A_REGION, false, false},
    {"attach, read-only", "there", THERE, run_attach_read_only, OK, true, false},
    {"attach, read-only", "absent", ABSENT, run_attach_read_only, COMMY_STATUS_MESH_NOT_FOUND, true, false},
    {"remove", "absent", ABSENT, run_remove, COMMY_STATUS_MESH_NOT_FOUND, false, true},
    {"remove", "there", THERE, run_remove, OK, false, true},
    {"remove", "in use", OCCUPIED, run_remove, COMMY_STATUS_BUSY, false, true},
    {"remove, forced", "in use", OCCUPIED, run_remove_force, OK, false, true},
    {"remove, forced", "a foreign file", FOREIGN, run_remove_force, COMMY_STATUS_NOT_A_REGION, false, false},
};

static void make_call(const void *argument)
{
    (void)argument;
    trap();
    board->status = (int)row->run();
    atomic_store(&board->done, 1);
    trap();
}

/* ------------------------------------------------------------------- judging */

static bool is_there(void)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void check(bool holds, const char *what)
{
    run_holds(&run, &p_files, holds, "%s", what);
}

/* A participant that lives as far as its word says. */
static void occupy(const commy_mesh_t *mesh)
{
    cmy_life_shm_t *life = &mesh->region->life[0];
    cmy_store32_relaxed(&life->word, (uint32_t)getpid() | FUTEX_WAITERS);
    cmy_store64_relaxed(&life->phase, cmy_life_word(CMY_SLOT_ARMED, 0, 0, (uint32_t)getpid()));
}

static void prepare(void)
{
    unlink(path);
    onlooker = NULL;
    if (row->before == FOREIGN) {
        FILE *file = fopen(path, "w");
        if (!file || fputs("something else\n", file) < 0 || fclose(file) != 0)
            exit(2);
    } else if (row->before != ABSENT) {
        if (run_create() != OK)
            exit(2);
        onlooker = attach_to(dir, NAME, COMMY_OPEN_MUST_EXIST);
        if (row->before == OCCUPIED)
            occupy(onlooker);
    }
}

static void tidy(victim_t *victim)
{
    victim_kill(victim);
    commy_mesh_detach(&onlooker);
    unlink(path);
}

static bool marked(void)
{
    return onlooker && cmy_load64_relaxed(&onlooker->region->header->removed) != 0;
}

/* What others see, behind a system call. before: what they saw last; 0 nothing, 1 the name, 2 with a mark, 3 no name. */
static int judge(int before)
{
    bool there = is_there(), mark = marked(), audits = row->before != OCCUPIED && row->before != FOREIGN;
    int now = there ? 1 + mark : row->before == ABSENT ? 0 : 3;
    if (now == before)
        return now;
    run.change++;
    run.tally.audits++;
    if (row->removes) {
        check(now >= before && (now != 3 || mark), "it is removed by steps: marked, then without its name");
        commy_target_t target;
        commy_status_t status = commy_service_find(onlooker, "nobody", &target);
        check(status == (mark ? COMMY_STATUS_REMOVED : COMMY_STATUS_NOT_FOUND), "who is attached is told");
    } else {
        check(now == 1 && before == 0 && audits, "it appears, once");
        check(try_attach(COMMY_OPEN_READ_ONLY, true) == OK, "it is whole when it appears");
    }
    check(test_dir_count(dir) == (there ? 1 : 0), "nothing else is in the directory");
    return now;
}

/* After the victim's death, somebody else does the same. */
static void judge_after(void)
{
    bool there = is_there();
    if (row->before == FOREIGN) {
        check(there && try_attach(0, false) == COMMY_STATUS_NOT_A_REGION, "a foreign file is left alone");
    } else if (row->removes) {
        commy_status_t status = run_remove_force();
        check(status == (there ? OK : COMMY_STATUS_MESH_NOT_FOUND), "what is left can be removed");
        check(!is_there() && run_create() == OK && try_attach(0, true) == OK, "and made anew");
    } else {
        commy_status_t status = run_create();
        check(status == (there ? COMMY_STATUS_EXISTS : OK), "it can be made by the next who comes");
        check(try_attach(0, row->before != OCCUPIED) == OK, "and attached to");
    }
    check(test_dir_count(dir) == 1, "nothing is left in the directory");
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

/* Somebody else makes the same call while the victim is stopped in front of or behind a system call. */
static void stop_file_call_at(uint64_t stop)
{
    victim_t victim;
    if (bring_to(&victim, stop)) {
        bool there = is_there();
        commy_status_t mine = row->run();
        run.tally.real_others++;
        bool good = victim_finish(&victim, no_wake, NULL);
        commy_status_t its = (commy_status_t)board->status;
        check(good, "the victim comes to its end beside another");
        if (row->run == run_create && row->before == ABSENT)
            check((mine == OK) != (its == OK) && (mine == OK ? its : mine) == COMMY_STATUS_EXISTS &&
                      (mine == OK) == !there,
                  "of two who make it, one does");
        else if (row->removes && row->expected == OK)
            check((mine == OK || mine == COMMY_STATUS_MESH_NOT_FOUND) &&
                      (its == OK || its == COMMY_STATUS_MESH_NOT_FOUND) && !is_there(),
                  "two who remove it both find it gone");
        else
            check(mine == row->expected && its == row->expected, "two who make the same call get the same");
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
    int seen = is_there() ? 1 : 0;
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
    run_holds(&run, &p_result, board->status == (int)row->expected, "it returned %d (%s)", board->status,
              commy_status_string(board->status));
    check(is_there() == (row->removes && row->expected == OK              ? false
                         : row->makes && row->run != run_attach_read_only ? true
                                                                          : row->before != ABSENT),
          "the name is there, or not, as the call says");
    tidy(&victim);
}

uint32_t files_run(const char *in, bool full, void (*print)(const char *call, const char *state, const tally_t *tally))
{
    uint64_t random = 7;
    uint32_t left_out = 0;
    snprintf(dir, sizeof dir, "%s/files", in);
    snprintf(path, sizeof path, "%s/" NAME, dir);
    if (mkdir(dir, 0700) != 0)
        exit(2);
    for (row = rows; row < rows + sizeof rows / sizeof rows[0]; row++) {
        /* Opening and refusing a region that is there is alike in all of them. */
        if (!full && row->before != ABSENT && !(row->removes && row->expected == OK) && (row - rows) % 3 != 1) {
            left_out++;
            continue;
        }
        static call_t call;
        static scene_t scene;
        call.name = row->call;
        scene = (scene_t){.call = &call, .state = row->state};
        run = (run_t){.scene = &scene};
        judge_file();
        uint64_t stops = run.stop, each = full ? 1 : 4;
        for (uint64_t i = 0; i < at_calls_count; i += each) {
            kill_file_call_at(at_calls[i]);
            stop_file_call_at(at_calls[i]);
        }
        for (uint64_t i = 0; i < stops / 100 && i < (full ? UINT64_MAX : 10); i++)
            kill_file_call_at(1 + below(&random, (uint32_t)stops));
        print(row->call, row->state, &run.tally);
    }
    rmdir(dir);
    return left_out;
}
