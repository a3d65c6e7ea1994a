/*
 * Victims: processes that are executed instruction by instruction.
 *
 * The tracer seizes a child before it touches the region. The child prepares itself (attaches, joins) at full speed, then
 * traps; from there on its calling thread is resumed by PTRACE_SINGLESTEP only, so that every user instruction, of the
 * library, the C library or the vDSO, is followed by a stop. A system call is one instruction.
 *
 * The keeper of a victim that has joined is stopped when the stepping begins, asleep in the kernel, and stays so: the
 * process as a whole is stopped at each stop, as by SIGSTOP. Only where the call waits for the keeper (join, leave,
 * detach) is the keeper stepped too, whenever the calling thread sleeps; one of the two runs at a time.
 *
 * Stepping is serial: it shows what one stopped or dead process does to others, not how two that run interleave.
 */
#include "kill.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

board_t *board;

static void impossible(const char *what)
{
    printf("the tracer failed: %s: %s\n", what, strerror(errno));
    exit(2);
}

__attribute__((noinline)) void trap(void)
{
    __asm__ volatile("int3" ::: "memory");
}

static void child(void (*body)(const void *argument), const void *argument)
{
    signal(SIGALRM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!atomic_load(&board->go))
        sched_yield();
    body(argument);
    for (;;)
        pause();
}

#define ASLEEP (-1)                /* no wait status */
#define PATIENCE_NS 30000000000ull /* with a machine that is busy with other things */
#define RUN_NS 5000000000ull       /* for a call at full speed; it is stepped again where that was too short */

/* What a resumed thread came to; handles the birth of a keeper. Returns its wait status; ASLEEP where it has not stopped
 * and the options say not to wait. */
static int wait_for(victim_t *victim, pid_t tid, int options)
{
    int status;
    for (;;) {
        pid_t got = waitpid(tid, &status, __WALL | options);
        if (got == 0)
            return ASLEEP;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            impossible("waitpid");
        if (!WIFSTOPPED(status) || status >> 16 != PTRACE_EVENT_CLONE)
            return status;
        unsigned long born;
        if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &born) != 0)
            impossible("PTRACE_GETEVENTMSG");
        victim->keeper = (pid_t)born;
        while (waitpid(victim->keeper, &status, __WALL) < 0 && errno == EINTR)
            ;
        return SIGTRAP << 8 | 0x7f;
    }
}

static void resume(int request, pid_t tid, int signal_number)
{
    if (ptrace((enum __ptrace_request)request, tid, 0, (long)signal_number) != 0)
        impossible("resuming");
}

void victim_begin(victim_t *victim, void (*body)(const void *argument), const void *argument)
{
    *victim = (victim_t){0};
    memset(board, 0, sizeof *board);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        impossible("fork");
    if (pid == 0)
        child(body, argument);
    victim->pid = pid;
    if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) != 0)
        impossible("PTRACE_SEIZE");
    atomic_store(&board->go, 1);
    for (;;) {
        pid_t keeper = victim->keeper;
        int status = wait_for(victim, pid, 0);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            errno = 0;
            impossible("a victim ended before its call");
        }
        if (victim->keeper != keeper) {
            resume(PTRACE_CONT, victim->keeper, 0);
            resume(PTRACE_CONT, pid, 0);
            continue;
        }
        if (WSTOPSIG(status) == SIGTRAP && status >> 16 == 0)
            return;
        resume(PTRACE_CONT, pid, status >> 16 ? 0 : WSTOPSIG(status));
    }
}

/* Stops the keeper where it sleeps: in the midst of housekeeping it would hold what the next scene knows nothing of. */
void victim_freeze_keeper(victim_t *victim)
{
    struct user_regs_struct registers;
    for (int turn = 0; victim->keeper && turn < 10000; turn++) {
        if (ptrace(PTRACE_INTERRUPT, victim->keeper, 0, 0) != 0)
            impossible("PTRACE_INTERRUPT");
        wait_for(victim, victim->keeper, 0);
        if (ptrace(PTRACE_GETREGS, victim->keeper, 0, &registers) != 0)
            impossible("PTRACE_GETREGS");
        if (registers.orig_rax == 449 || registers.orig_rax == SYS_futex)
            return;
        resume(PTRACE_CONT, victim->keeper, 0);
        sleep_us(100);
    }
    if (victim->keeper)
        impossible("a keeper that never sleeps");
}

/* ------------------------------------------------------------------- stepping */

/* Somebody stopped or continued this test's process group, as a shell does; victims are none of its business. */
static bool is_job_control(int status)
{
    if (status == ASLEEP || !WIFSTOPPED(status))
        return false;
    int number = WSTOPSIG(status);
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU || number == SIGCONT;
}

static step_t judge_stop(int status)
{
    if (WIFEXITED(status) || WIFSIGNALED(status))
        return STEP_CRASHED;
    if (atomic_load_explicit(&board->done, memory_order_relaxed))
        return STEP_DONE;
    if (WSTOPSIG(status) != SIGTRAP) {
        printf("  the victim got signal %d\n", WSTOPSIG(status));
        return STEP_CRASHED;
    }
    return STEP_STOPPED;
}

/* Whether a thread sleeps in the kernel. */
static bool sleeps(pid_t pid, pid_t tid)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (bytes <= 0)
        return false;
    text[bytes] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] == 'S';
}

/* Waits until a thread stopped, or sleeps. */
static int stopped_or_asleep(victim_t *victim, pid_t tid)
{
    int status;
    for (uint64_t until = now_ns() + PATIENCE_NS; now_ns() < until;) {
        if ((status = wait_for(victim, tid, WNOHANG)) != ASLEEP)
            return status;
        if (sleeps(victim->pid, tid) && sleeps(victim->pid, tid))
            return wait_for(victim, tid, WNOHANG);
        sched_yield();
    }
    errno = ETIMEDOUT;
    impossible("a thread that neither runs nor sleeps");
    return ASLEEP;
}

static uint64_t address_of(pid_t tid)
{
    return (uint64_t)ptrace(PTRACE_PEEKUSER, tid, offsetof(struct user_regs_struct, rip), 0);
}

/* The first two bytes of what a thread is about to execute. */
static uint16_t instruction_of(pid_t tid)
{
    errno = 0;
    long word = ptrace(PTRACE_PEEKTEXT, tid, address_of(tid), 0);
    return errno ? 0 : (uint16_t)word;
}

/* Makes a step. Only in a system call can a thread fall asleep, and for long only where it waits for its keeper. runs: it
 * was resumed already, and had not stopped. */
static int step_or_sleep(victim_t *victim, pid_t tid, bool *runs)
{
    int status;
    do {
        bool enters = *runs || (victim->blocks && instruction_of(tid) == 0x050f);
        if (!*runs)
            resume(PTRACE_SINGLESTEP, tid, 0);
        status = enters ? stopped_or_asleep(victim, tid) : wait_for(victim, tid, 0);
        *runs = status == ASLEEP;
    } while (is_job_control(status));
    return status;
}

/*
 * The calling thread waits for its keeper: a step of the keeper, unless the former has been woken meanwhile. A thread that
 * was woken still sleeps until it gets a processor, and the keeper sleeps for a tenth of a second at most: only if both are
 * found asleep for long do they wait for each other.
 */
static step_t step_keeper(victim_t *victim)
{
    int status;
    for (uint64_t until = now_ns() + PATIENCE_NS; now_ns() < until; sched_yield()) {
        status = wait_for(victim, victim->pid, WNOHANG);
        if (status != ASLEEP) {
            victim->main_runs = false;
            return judge_stop(status);
        }
        if (!victim->keeper || victim->keeper_gone)
            continue;
        status = step_or_sleep(victim, victim->keeper, &victim->keeper_runs);
        if (status == ASLEEP)
            continue;
        victim->keeper_gone = WIFEXITED(status) || WIFSIGNALED(status);
        return STEP_STOPPED;
    }
    return STEP_STUCK;
}

step_t victim_step(victim_t *victim)
{
    if (victim->main_runs)
        return step_keeper(victim);
    int status = step_or_sleep(victim, victim->pid, &victim->main_runs);
    return status == ASLEEP ? step_keeper(victim) : judge_stop(status);
}

bool victim_finish(victim_t *victim, void (*wake)(const void *argument), const void *argument)
{
    if (victim->keeper && !victim->keeper_gone && !victim->keeper_runs)
        resume(PTRACE_CONT, victim->keeper, 0);
    if (!victim->main_runs)
        resume(PTRACE_CONT, victim->pid, 0);
    for (uint64_t until = now_ns() + 20000000000u; now_ns() < until;) {
        int status;
        pid_t born = victim->keeper, got = waitpid(-1, &status, __WALL | WNOHANG);
        if (got == 0 || (got < 0 && errno == EINTR)) {
            wake(argument);
            sched_yield();
            continue;
        }
        if (got == victim->pid) {
            if (!WIFSTOPPED(status) || atomic_load(&board->done))
                return WIFSTOPPED(status);
            if (status >> 16 == PTRACE_EVENT_CLONE)
                ptrace(PTRACE_GETEVENTMSG, got, 0, &born);
            resume(PTRACE_CONT, got, status >> 16 || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status));
        } else if (got > 0 && WIFSTOPPED(status)) {
            resume(PTRACE_CONT, got, 0);
        } else if (got == victim->keeper) {
            victim->keeper_gone = true;
        }
        victim->keeper = born;
    }
    return false;
}

/* Waits for the ends of all threads but the first, whoever of them is known: that one's end is told last. */
static void bury_threads(pid_t pid)
{
    char path[32];
    struct dirent *entry;
    int status;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return;
    while ((entry = readdir(tasks)) != NULL) {
        pid_t tid = (pid_t)atoi(entry->d_name);
        while (tid > 0 && tid != pid && waitpid(tid, &status, __WALL) >= 0 && WIFSTOPPED(status))
            ;
    }
    closedir(tasks);
}

void victim_kill(victim_t *victim)
{
    int status;
    kill(victim->pid, SIGKILL);
    bury_threads(victim->pid);
    while (waitpid(victim->pid, &status, __WALL) >= 0 && WIFSTOPPED(status))
        ;
    *victim = (victim_t){0};
}

uint64_t victim_address(const victim_t *victim)
{
    return address_of(victim->pid);
}

/* Whether the calling thread, which runs at full speed, stops at an address. One that does not come by it may wait for its
 * keeper, which is stopped, for ever. */
static bool stops_at(pid_t pid, uint64_t address)
{
    int status;
    pid_t got;
    uint64_t began = now_ns(), waited = 0;
    while ((got = waitpid(pid, &status, __WALL | WNOHANG)) == 0 && waited < RUN_NS) {
        if (waited < 1000000)
            sched_yield();
        else
            sleep_us(500);
        waited = now_ns() - began;
    }
    return got == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP && status >> 16 == 0 &&
           address_of(pid) == address;
}

/*
 * At full speed, by the processor's own breakpoint, which changes no byte of the victim's. The kernel resumes it past the
 * instruction that it stopped before. False where it does not come by that; the victim may be running then.
 */
bool victim_run_to(const victim_t *victim, uint64_t address, uint64_t times)
{
    const size_t registers = offsetof(struct user, u_debugreg);
    bool good = ptrace(PTRACE_POKEUSER, victim->pid, registers, address) == 0 &&
                ptrace(PTRACE_POKEUSER, victim->pid, registers + 7 * sizeof(long), 1l) == 0;
    for (uint64_t i = 0; good && i < times; i++) {
        resume(PTRACE_CONT, victim->pid, 0);
        good = stops_at(victim->pid, address);
    }
    ptrace(PTRACE_POKEUSER, victim->pid, registers + 7 * sizeof(long), 0l);
    return good;
}

bool victim_calls(const victim_t *victim)
{
    return instruction_of(victim->pid) == 0x050f;
}

/* --------------------------------------------------------------------- holder */

static void join_twice(const void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++) {
        commy_mesh_t *mesh;
        const commy_open_options_t options = {
            .size = sizeof options, .dir = worlds[i].dir, .mesh = worlds[i].name, .capacity = worlds[i].capacity};
        for (int handle = 0; handle < 2; handle++)
            if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS ||
                commy_mesh_join(mesh, handle ? "live-b" : "live-a", (uint16_t)(100 + handle)) != COMMY_STATUS_SUCCESS) {
                printf("join: %s\n", commy_last_error_message());
                _exit(2);
            }
    }
    trap();
}

/* A process that holds A and B of both worlds, and is stopped, keepers and all, from then on. */
pid_t hold_participants(void)
{
    int status;
    pid_t keepers[4];
    size_t count = 0;
    memset(board, 0, sizeof *board);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        impossible("fork");
    if (pid == 0)
        child(join_twice, NULL);
    if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) != 0)
        impossible("PTRACE_SEIZE");
    atomic_store(&board->go, 1);
    victim_t holder = {.pid = pid};
    for (;;) {
        status = wait_for(&holder, pid, 0);
        if (!WIFSTOPPED(status))
            impossible("the holder of participants ended");
        if (holder.keeper && count < 4) {
            keepers[count++] = holder.keeper;
            resume(PTRACE_CONT, holder.keeper, 0);
            holder.keeper = 0;
        } else if (WSTOPSIG(status) == SIGTRAP && status >> 16 == 0) {
            break;
        }
        resume(PTRACE_CONT, pid, 0);
    }
    for (size_t i = 0; i < count; i++) {
        holder.keeper = keepers[i];
        victim_freeze_keeper(&holder);
    }
    return pid;
}
