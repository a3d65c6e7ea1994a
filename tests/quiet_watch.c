/*
 * Who watches costs nobody else a system call: not while nobody watches, nor while others watch another name; and whoever
 * has watched leaves nothing behind.
 *
 * Usage: quiet_watch [REPEATS]             5,000 changes each time
 *
 * A process changes services between marker calls, and its tracer counts what it asks the kernel for (as quiet.c does).
 * The tracer's other threads watch meanwhile: one sleeps in a wait, the lookout sleeps for a descriptor and for an id. That
 * the counting works is seen by changes of the name that is watched, of which some must wake somebody.
 */
#include "acceptance.h"

#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "registry/mesh.h"

#define BEGIN_MARK (-4242)
#define END_MARK (-4243)

enum step { ALONE, BESIDE, WATCHED, AFTER, STEPS };
static const char *const steps[STEPS] = {"nobody watches", "others watch another name", "the name is watched",
                                         "nobody watches any more"};

static struct board {
    _Atomic uint32_t go; /* steps that may begin */
    _Atomic uint32_t wrong;
    char other[32]; /* a name on another stripe than "web" */
} * board;

static uint32_t repeats = 5000;
static property_t silent = {"a change that nobody watches makes no system call", 0, 0};
static property_t counting = {"changes that are watched do", 0, 0};
static property_t answered = {"the changes were made, and the watchers saw them", 0, 0};

/* ------------------------------------------------------------------- who changes */

static void change(commy_mesh_t *mesh, uint32_t step)
{
    const char *id = step == WATCHED ? "web-1" : "other-1";
    syscall(SYS_write, BEGIN_MARK, NULL, 0);
    for (uint32_t i = 0; i < repeats; i++)
        if (commy_service_set_weight(mesh, id, i % 1000) != COMMY_STATUS_SUCCESS)
            atomic_fetch_add(&board->wrong, 1);
    syscall(SYS_write, END_MARK, NULL, 0);
}

static void be_traced(void *argument)
{
    (void)argument;
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "changer");
    if (commy_mesh_join(mesh, NULL, 0) != COMMY_STATUS_SUCCESS || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        exit(3);
    raise(SIGSTOP);
    for (uint32_t step = 0; step < STEPS; step++) {
        while (atomic_load(&board->go) <= step)
            sleep_us(1000);
        if (step == AFTER) /* the flag that the last sleeper has left is cleared by the first change */
            commy_service_set_weight(mesh, "web-1", 1);
        change(mesh, step);
    }
    commy_mesh_detach(&mesh);
}

/* -------------------------------------------------------------------- who watches */

static commy_mesh_t *mesh;
static commy_watcher_t *waited, *polled, *followed;
static pthread_t thread;
static _Atomic uint32_t returns;

static void *wait_again_and_again(void *argument)
{
    while (commy_watcher_wait(argument, -1, NULL) == COMMY_STATUS_SUCCESS)
        atomic_fetch_add(&returns, 1);
    return NULL;
}

static void begin_watching(void)
{
    const commy_watch_options_t by_name = {.size = sizeof by_name, .name = "web"};
    const commy_watch_options_t by_id = {.size = sizeof by_id, .id = "web-1"};
    int fd;
    bool made = commy_watcher_create(mesh, &by_name, &waited) == COMMY_STATUS_SUCCESS &&
                commy_watcher_create(mesh, &by_name, &polled) == COMMY_STATUS_SUCCESS &&
                commy_watcher_create(mesh, &by_id, &followed) == COMMY_STATUS_SUCCESS &&
                commy_watcher_fd(polled, &fd) == COMMY_STATUS_SUCCESS &&
                commy_watcher_fd(followed, &fd) == COMMY_STATUS_SUCCESS &&
                commy_watcher_wait(polled, 0, NULL) == COMMY_STATUS_SUCCESS &&
                commy_watcher_wait(followed, 0, NULL) == COMMY_STATUS_SUCCESS &&
                pthread_create(&thread, NULL, wait_again_and_again, waited) == 0;
    hold(&answered, made, "%s", commy_last_error_message());
    sleep_us(250000); /* all are asleep, and have looked again twice */
}

static void end_watching(void)
{
    commy_watcher_wake(waited);
    pthread_join(thread, NULL);
    hold(&answered, commy_watcher_wait(polled, 0, NULL) == COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    hold(&answered, commy_watcher_wait(followed, 0, NULL) == COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    hold(&answered, atomic_load(&returns) > 1, "%u returns", atomic_load(&returns));
    commy_watcher_destroy(&waited);
    commy_watcher_destroy(&polled);
    commy_watcher_destroy(&followed);
}

/* ------------------------------------------------------------------------ tracing */

static void before(uint32_t step)
{
    if (step == BESIDE)
        begin_watching();
    else if (step == AFTER)
        end_watching();
    atomic_store(&board->go, step + 1);
}

/* Counts the calls between each pair of marks; false where the process ended otherwise than it should. */
static bool trace(pid_t child, uint64_t counts[STEPS])
{
    int status;
    uint32_t step = 0;
    bool inside = false;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return false;
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    before(0);
    for (int deliver = 0;;) {
        struct __ptrace_syscall_info call;
        if (ptrace(PTRACE_SYSCALL, child, NULL, deliver) != 0 || waitpid(child, &status, 0) != child)
            return false;
        if (WIFEXITED(status) || WIFSIGNALED(status))
            return WIFEXITED(status) && WEXITSTATUS(status) == 0 && step == STEPS;
        deliver = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        if (deliver != 0 || ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call) <= 0 ||
            call.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        int64_t descriptor = call.entry.nr == SYS_write ? (int32_t)call.entry.args[0] : 0;
        if (descriptor == END_MARK && ++step < STEPS)
            before(step);
        counts[step < STEPS ? step : 0] += inside && descriptor != END_MARK;
        inside = descriptor == BEGIN_MARK || (inside && descriptor != END_MARK);
    }
}

static void name_others(void)
{
    uint64_t seed = mesh->region->seed, hash = cmy_key_hash("web", 3, seed);
    for (uint32_t i = 0;; i++) {
        snprintf(board->other, sizeof board->other, "other-%u", i);
        if (!cmy_wait_same_stripe(cmy_key_hash(board->other, strlen(board->other), seed), hash))
            return;
    }
}

int main(int argc, char **argv)
{
    uint64_t counts[STEPS] = {0};
    if (argc > 1)
        repeats = (uint32_t)atoi(argv[1]);
    test_begin(60);
    board = share(sizeof *board);
    mesh = attach_or_exit(64, COMMY_OPEN_MUST_NOT_EXIST, "watcher");
    name_others();
    commy_service_config_t config = {
        .size = sizeof config, .service_name = "web", .service_id = "web-1", .endpoint = "::1", .port = 80};
    hold(&answered, commy_service_register(mesh, &config, NULL) == COMMY_STATUS_SUCCESS, "web-1");
    config.service_name = board->other;
    config.service_id = "other-1";
    hold(&answered, commy_service_register(mesh, &config, NULL) == COMMY_STATUS_SUCCESS, "other-1");

    pid_t child = start_process(be_traced, NULL);
    bool ended = trace(child, counts);
    processes[0] = 0;
    hold(&answered, ended && atomic_load(&board->wrong) == 0, "%u changes failed", atomic_load(&board->wrong));
    for (uint32_t step = 0; step < STEPS; step++) {
        printf("%u changes while %-26s %" PRIu64 " system calls\n", repeats, steps[step], counts[step]);
        if (step == WATCHED)
            hold(&counting, counts[step] > 0, "none was counted");
        else
            hold(&silent, counts[step] == 0, "%s: %" PRIu64 " calls", steps[step], counts[step]);
    }
    commy_mesh_detach(&mesh);
    const property_t all[] = {silent, counting, answered};
    return verdict(all, sizeof all / sizeof all[0]);
}
