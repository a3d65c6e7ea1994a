/*
 * A scribbler: one process writes nonsense into a region that others read and write, and none of them crashes or hangs.
 *
 *     scribble [SECONDS] [SEED]
 *
 * P5 speaks of bytes as they are when a process attaches. This is about bytes that change under its hands, at any
 * instruction: the library loads a word once, judges what it loaded, and checks a number against what it knows itself,
 * so that nothing which changes in between is relied on. Readers ask everything over and over on read-only attachments,
 * writers change everything under real keepers, each attaching anew now and then; the scribbler makes the edits of
 * edit.c, and puts the region right again every few hundred of them, since a region that is all noise is soon refused.
 *
 * What is beyond it, plainly: whoever may write the file may also cut it short, and then a look at the part that is gone
 * is a signal (SIGBUS) that no library can take back; and one that raises a mark on a full file system makes others
 * touch memory that is not there, with the same end. The scribbler here does neither: its file has all its memory.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "property.h"

enum { READERS = 2, WRITERS = 3, WORKERS = READERS + WRITERS, SUBJECT = 4, HANGS_AFTER_SECONDS = 30 };

typedef struct shared {
    _Atomic bool stop;
    _Atomic uint64_t rounds[WORKERS], refused[WORKERS], edits;
} shared_t;

static shared_t *shared;
static pid_t processes[WORKERS + 1], starter;
static uint64_t seed_of_all = 1;

static void end_all(void)
{
    if (getpid() != starter)
        return;
    for (int i = 0; i <= WORKERS; i++)
        if (processes[i] > 0) {
            kill(processes[i], SIGKILL);
            waitpid(processes[i], NULL, 0);
        }
}

/* ----------------------------------------------------------------- workers */

static commy_mesh_t *attach(fuzz_seed_t *seed, uint32_t flags)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = {
        .size = sizeof options, .flags = flags, .dir = fuzz_dir, .mesh = seed->mesh, .node_id = "scribbled"};
    fuzz_guard(FUZZ_GUARDED);
    commy_mesh_attach(&options, &mesh);
    fuzz_guard(FUZZ_OPEN);
    return mesh;
}

static void work(int number)
{
    fuzz_seed_t *seed = &fuzz_seeds[SUBJECT];
    bool writes = number >= READERS;
    uint64_t chance = seed_of_all * 1000 + (uint64_t)number;
    fuzz_keeper_is_real(true);
    while (!atomic_load(&shared->stop)) {
        commy_mesh_t *mesh = attach(seed, writes ? COMMY_OPEN_MUST_EXIST : COMMY_OPEN_READ_ONLY);
        if (!mesh) {
            atomic_fetch_add(&shared->refused[number], 1);
            atomic_fetch_add(&shared->rounds[number], 1);
            continue;
        }
        for (int round = 0; round < 20 && !atomic_load(&shared->stop); round++) {
            fuzz_plan_t plan = fuzz_plan_for(seed, fuzz_chance(&chance));
            plan.moves = true;
            fuzz_mark();
            if (writes)
                fuzz_changes(mesh, &plan);
            else
                fuzz_queries(mesh, &plan);
            atomic_fetch_add(&shared->rounds[number], 1);
        }
        commy_mesh_detach(&mesh);
    }
}

/* Nonsense, and now and then everything put right, the words of those who are at work among it. The header is put right
 * after all edits but a few: it is looked at once, when somebody attaches, and then others are refused for a while. */
static void scribble(void)
{
    fuzz_seed_t *seed = &fuzz_seeds[SUBJECT];
    uint64_t chance = seed_of_all;
    while (!atomic_load(&shared->stop)) {
        memcpy(seed->stage, seed->image, seed->layout.region_bytes);
        fuzz_header_mend(seed, seed->stage);
        for (int edits = 0; edits < 400 && !atomic_load(&shared->stop); edits++) {
            fuzz_scribble(seed, &chance);
            if (edits % 16 != 0)
                fuzz_header_mend(seed, seed->stage);
            if (edits % 8 == 0) /* others get a turn in between, on a machine with few processors */
                usleep(50);
        }
        atomic_fetch_add(&shared->edits, 400);
    }
}

static pid_t start(int number)
{
    fflush(stdout);
    pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, SIG_DFL);
    if (getppid() != parent)
        _exit(1);
    if (number == WORKERS)
        scribble();
    else
        work(number);
    exit(0);
}

/* ---------------------------------------------------------------- watching */

static bool ended_well(int status, int number)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    printf("  process %d ended with %s %d\n", number, WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

/* Until the time is over, or somebody ends or stands still. */
static bool watch(unsigned seconds, bool *crashed)
{
    uint64_t seen[WORKERS] = {0};
    unsigned still[WORKERS] = {0};
    for (unsigned second = 0; second < seconds; second++) {
        sleep(1);
        for (int i = 0; i <= WORKERS; i++) {
            int status;
            if (waitpid(processes[i], &status, WNOHANG) == processes[i]) {
                processes[i] = 0;
                ended_well(status, i);
                *crashed = true;
                return true;
            }
        }
        for (int i = 0; i < WORKERS; i++) {
            uint64_t rounds = atomic_load(&shared->rounds[i]);
            still[i] = rounds == seen[i] ? still[i] + 1 : 0;
            seen[i] = rounds;
            if (still[i] < HANGS_AFTER_SECONDS)
                continue;
            printf("  process %d stands still\n", i);
            return false;
        }
    }
    return true;
}

/* After the word to stop everybody ends by himself. */
static bool all_end(bool *crashed)
{
    for (unsigned tenths = 0; tenths < 10 * HANGS_AFTER_SECONDS; tenths++) {
        int left = 0, status;
        for (int i = 0; i <= WORKERS; i++) {
            if (processes[i] > 0 && waitpid(processes[i], &status, WNOHANG) == processes[i]) {
                processes[i] = 0;
                *crashed |= !ended_well(status, i);
            }
            left += processes[i] > 0;
        }
        if (left == 0)
            return true;
        usleep(100000);
    }
    return false;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 3;
    bool crashed = false, came_back, worked = true;
    if (argc > 2)
        seed_of_all = strtoull(argv[2], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    fuzz_seeds_make();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 3;
    starter = getpid();
    atexit(end_all);
    for (int i = WORKERS; i >= 0; i--)
        processes[i] = start(i);
    came_back = watch(seconds, &crashed);
    atomic_store(&shared->stop, true);
    came_back = all_end(&crashed) && came_back;

    for (int i = 0; i < WORKERS; i++) {
        uint64_t rounds = atomic_load(&shared->rounds[i]), refused = atomic_load(&shared->refused[i]);
        printf("  %s %d: %" PRIu64 " rounds, %" PRIu64 " times refused\n", i < READERS ? "reader" : "writer", i, rounds,
               refused);
        worked &= rounds > refused;
    }
    uint64_t edits = atomic_load(&shared->edits);
    worked &= edits > 0;
    printf("%" PRIu64 " edits in a region in use, in %u s, seed %" PRIu64 "\n", edits, seconds, seed_of_all);
    printf("%s nobody crashes while one scribbles\n", crashed ? "FAILED" : "ok    ");
    printf("%s nobody hangs while one scribbles\n", came_back ? "ok    " : "FAILED");
    printf("%s everybody got to work while one scribbles\n", worked ? "ok    " : "FAILED");
    int failed = crashed + !came_back + !worked;
    printf("%d passed, %d failed\n", 3 - failed, failed);
    return failed ? 1 : 0;
}
