/*
 * Makes one system call of a process fail, whichever it is.
 *
 * A tracer runs a victim from a BEGIN mark to an END mark and numbers the system calls in between, thread by thread: the
 * first thread is role 0, the threads that it starts are 1, 2, ... A dry run lists the call sites; then each is run again
 * with an error in place of the call, once, or from there on for every call of that kind until END. The kernel never sees
 * a call that fails, but for close(2), which is made and then reported as failed, as the kernel does it.
 *
 * Why a tracer: it sees what syscall(2) makes and what libraries make, in every thread, and needs nothing of the code
 * under test. Threads interleave as they like, so that a site is the nth call of a kind in one thread; a run in which a thread does
 * not come so far counts as not reached.
 *
 * Allocations are sites too: the program's malloc() and calloc() ask with a call that no kernel has, and take the answer
 * ENOMEM for their own.
 *
 * What is left alone, since no program survives it or it cannot fail: calls that glibc ends the process over (rseq, its
 * own locks' futexes but for spurious returns), and exits.
 */
#ifndef COMMY_TESTS_FAULTS_INJECT_H
#define COMMY_TESTS_FAULTS_INJECT_H

#include "../acceptance.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

/* Calls that no kernel has: they fail with ENOSYS and change nothing. */
#define MARK_CALL 100001L /* 1: begin, 2: end */
#define ALLOCATE_CALL 100002L
enum { MARK_BEGIN = 1, MARK_END = 2 };

static inline void mark(long which)
{
    syscall(MARK_CALL, which);
}

/* ------------------------------------------------------------------------ sites */

#define MOST_ERRORS 11
typedef struct kind {
    long number;
    const char *name;
    int errors[MOST_ERRORS]; /* what this call may plausibly come to; ends with 0 */
} kind_t;

static const kind_t kinds[] = {
    {SYS_open, "open", {EACCES, EMFILE, ENFILE, ENOMEM, EINTR, EPERM}},
    {SYS_openat, "openat", {EACCES, EPERM, EMFILE, ENFILE, ENOMEM, ENOSPC, EDQUOT, EINTR, ENOENT, ELOOP}},
    {SYS_mkdir, "mkdir", {EACCES, EPERM, ENOSPC, EDQUOT, ENOMEM, ENOENT}},
    {SYS_mkdirat, "mkdirat", {EACCES, EPERM, ENOSPC, EDQUOT, ENOMEM}},
    {SYS_fstat, "fstat", {ENOMEM, EACCES}},
    {SYS_newfstatat, "newfstatat", {EACCES, ENOMEM, EPERM}},
    {SYS_fstatfs, "fstatfs", {ENOSYS, EINTR, ENOMEM}},
    {SYS_faccessat, "faccessat", {EACCES, ENOMEM}},
    {SYS_faccessat2, "faccessat2", {EACCES, ENOMEM}},
    {SYS_read, "read", {EIO, EPERM}}, /* of /proc, which does not sleep */
    {SYS_pread64, "pread64", {EINTR, EIO, ENOMEM}},
    {SYS_pwrite64, "pwrite64", {ENOSPC, EDQUOT, EINTR, ENOMEM, EPERM}},
    {SYS_ftruncate, "ftruncate", {ENOSPC, EDQUOT, EPERM, EINTR, ENOMEM, EFBIG}},
    {SYS_fallocate, "fallocate", {ENOSPC, EDQUOT, ENOSYS, EINTR, EPERM, ENOMEM, EOPNOTSUPP}},
    {SYS_fchmod, "fchmod", {EPERM, EACCES}},
    {SYS_fchown, "fchown", {EPERM, EDQUOT, EINVAL}},
    {SYS_linkat, "linkat", {ENOSPC, EDQUOT, EACCES, EPERM, ENOMEM, ENOENT}},
    {SYS_unlinkat, "unlinkat", {EACCES, EPERM, ENOMEM}},
    {SYS_mmap, "mmap", {ENOMEM, EPERM, EACCES, ENFILE}},
    {SYS_mremap, "mremap", {ENOMEM}},
    {SYS_mprotect, "mprotect", {ENOMEM, EACCES}},
    {SYS_munmap, "munmap", {ENOMEM}},
    {SYS_madvise, "madvise", {ENOMEM, EINVAL, EFAULT, EINTR, EAGAIN, ENOSYS, EPERM}},
    {SYS_getrandom, "getrandom", {ENOSYS, EINTR, EPERM}},
    {SYS_futex, "futex", {EINTR, EAGAIN, ENOSYS, EPERM, ENOMEM}},
    {449, "futex_waitv", {ENOSYS, EINTR, ENOMEM, EPERM, EINVAL}},
    {SYS_clone, "clone", {EAGAIN, ENOMEM, EPERM, ENOSYS}},
    {SYS_clone3, "clone3", {EAGAIN, ENOMEM, EPERM, ENOSYS}},
    {SYS_set_robust_list, "set_robust_list", {ENOSYS, EPERM}},
    {SYS_get_robust_list, "get_robust_list", {ENOSYS, EPERM}},
    {SYS_membarrier, "membarrier", {ENOSYS, EPERM, ENOMEM}},
    {436, "close_range", {ENOSYS, EPERM, ENOMEM, EMFILE}},
    {SYS_close, "close", {EINTR, EIO}},
    {SYS_tgkill, "tgkill", {EPERM, ENOSYS}},
    {SYS_tkill, "tkill", {EPERM, ENOSYS}},
    {SYS_prctl, "prctl", {EPERM, ENOSYS}},
    {SYS_uname, "uname", {EPERM}},
    {SYS_getcwd, "getcwd", {ENOMEM, EACCES}},
    {ALLOCATE_CALL, "allocation", {ENOMEM}},
};

static inline const kind_t *kind_of_call(uint64_t number)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((uint64_t)kinds[i].number == number)
            return &kinds[i];
    return NULL;
}

typedef struct call {
    uint64_t number, args[6];
    uint32_t nth; /* of its number in its thread */
} call_t;

static inline bool is_private_futex(const call_t *call)
{
    return call->number == SYS_futex && call->args[1] != FUTEX_WAIT && call->args[1] != FUTEX_WAKE;
}

/* Whether this error makes sense for this very call. */
static inline bool plausible(const call_t *call, int error)
{
    if (is_private_futex(call)) /* glibc's, or a bell: sleeps may end for nothing, wakes do not fail */
        return (error == EINTR || error == EAGAIN) && ((call->args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT ||
                                                       (call->args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET);
    if (call->number == SYS_madvise)
        return call->args[2] == 23 /* MADV_POPULATE_WRITE */ ? error != ENOSYS
                                                             : error == ENOMEM || error == EINVAL || error == EPERM ||
                                                                   error == EAGAIN;
    if (call->number == SYS_mmap)
        return error == ENOMEM ||
               (call->args[3] & MAP_ANONYMOUS ? error == ENFILE && (call->args[3] & MAP_SHARED) : error != ENFILE);
    if (error == ELOOP) /* a link in a region's place */
        return (call->args[2] & (O_NOFOLLOW | O_NONBLOCK)) == (O_NOFOLLOW | O_NONBLOCK);
    if (call->number == SYS_openat && (call->args[2] & O_TMPFILE) != O_TMPFILE)
        return error != ENOSPC && error != EDQUOT;
    return true;
}

/* ------------------------------------------------------------------------- runs */

/* A call that fails in every run of a scenario: how an older kernel is had. number 0 ends a list. */
typedef struct lack {
    uint64_t number;
    uint64_t third; /* argument 2; UINT64_MAX: any */
    int error;
} lack_t;

typedef struct fault {
    int role; /* -1: none */
    uint64_t number;
    uint32_t nth;
    int error;
    bool for_ever;
} fault_t;

#define MOST_ROLES 4
#define MOST_SITES 96
typedef struct run {
    call_t site[MOST_ROLES][MOST_SITES];
    uint32_t sites[MOST_ROLES], seen[MOST_ROLES][sizeof kinds / sizeof *kinds];
    bool begun, over, hit, stuck;
    int status;                    /* wait status of the victim */
    int files_before, files_after; /* descriptors at the marks */
    int maps_before, maps_after;   /* mappings of files in the test's directory */
    int entries_after;             /* of the test's directory */
} run_t;

typedef struct traced {
    pid_t tid;
    int role, answer; /* answer: the errno that the call under way will be told; 0: its own */
} traced_t;

static inline int count_maps(pid_t pid)
{
    char path[64], line[512];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    while (maps && fgets(line, sizeof line, maps))
        count += strstr(line, test_dir) != NULL;
    if (maps)
        fclose(maps);
    return count;
}

static inline int count_files(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    return test_dir_count(path);
}

static inline void on_mark(run_t *run, pid_t pid, uint64_t which)
{
    if (which == MARK_BEGIN) {
        run->begun = true;
        run->files_before = count_files(pid);
        run->maps_before = count_maps(pid);
    } else {
        run->over = true;
        run->files_after = count_files(pid);
        run->maps_after = count_maps(pid);
        int own = test_dir_count(test_path("own")); /* a directory within; -1: none */
        run->entries_after = test_dir_count(test_dir) + (own < 0 ? 0 : own - 1);
    }
}

static inline bool lacking(const lack_t *lack, const call_t *call, int *error)
{
    for (; lack && lack->number != 0; lack++)
        if (lack->number == call->number && (lack->third == UINT64_MAX || lack->third == call->args[2])) {
            *error = lack->error;
            return true;
        }
    return false;
}

static inline bool gives_memory(uint64_t number)
{
    return number == SYS_mmap || number == SYS_mremap || number == ALLOCATE_CALL;
}

/* The errno that a call gets in this run; 0: none. Numbers the site. */
static inline int judge(run_t *run, const fault_t *fault, const lack_t *lack, int role, call_t *call)
{
    int error = 0;
    const kind_t *kind = kind_of_call(call->number);
    if (!run->begun || run->over || !kind)
        return 0;
    if (lacking(lack, call, &error))
        return error;
    call->nth = run->seen[role][kind - kinds]++;
    if (run->sites[role] < MOST_SITES)
        run->site[role][run->sites[role]++] = *call;
    if (fault->role == role && fault->number == call->number && fault->nth == call->nth &&
        plausible(call, fault->error)) {
        run->hit = true;
        return fault->error;
    }
    bool same = call->number == fault->number ||
                (fault->error == ENOMEM && gives_memory(call->number) && gives_memory(fault->number));
    return run->hit && fault->for_ever && same && plausible(call, fault->error) ? fault->error : 0;
}

static inline void at_syscall_stop(run_t *run, const fault_t *fault, const lack_t *lack, pid_t pid, traced_t *thread)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (thread->answer)
            ptrace(PTRACE_POKEUSER, thread->tid, offsetof(struct user_regs_struct, rax), -(long)thread->answer);
        thread->answer = 0;
        return;
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return;
    if (info.entry.nr == (uint64_t)MARK_CALL) {
        on_mark(run, pid, info.entry.args[0]);
        return;
    }
    call_t call = {.number = info.entry.nr};
    memcpy(call.args, info.entry.args, sizeof call.args);
    thread->answer = judge(run, fault, lack, thread->role, &call);
    if (thread->answer && call.number != SYS_close)
        ptrace(PTRACE_POKEUSER, thread->tid, offsetof(struct user_regs_struct, orig_rax), -1L);
}

#define MOST_THREADS 16
static inline traced_t *thread_of(traced_t *threads, pid_t pid, pid_t tid)
{
    for (int i = 0; i < MOST_THREADS; i++) {
        if (threads[i].tid == tid)
            return &threads[i];
        if (threads[i].tid == 0) {
            threads[i] = (traced_t){tid, tid == pid ? 0 : i < MOST_ROLES ? i : MOST_ROLES - 1, 0};
            return &threads[i];
        }
    }
    return &threads[MOST_THREADS - 1];
}

static inline void nothing(int number)
{
    (void)number;
}

/* Runs a victim under the tracer until it ends. It is killed when that takes longer than `patience_ms`. */
static inline void run_traced(void (*victim)(void), const fault_t *fault, const lack_t *lack, uint32_t patience_ms,
                              run_t *run)
{
    traced_t threads[MOST_THREADS] = {{0, 0, 0}};
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    const struct sigaction action = {.sa_handler = nothing};
    const struct itimerspec patience = {{0, 100000000}, {patience_ms / 1000, (long)(patience_ms % 1000) * 1000000}};
    memset(run, 0, sizeof *run);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        victim();
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    thread_of(threads, pid, pid);
    sigaction(SIGUSR1, &action, NULL);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &patience, NULL);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    for (;;) {
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR) {
            run->stuck = true;
            kill(pid, SIGKILL);
            continue;
        }
        if (tid < 0)
            break;
        if (!WIFSTOPPED(status)) {
            if (tid == pid)
                run->status = status;
            continue;
        }
        traced_t *thread = thread_of(threads, pid, tid);
        int deliver = 0;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80))
            at_syscall_stop(run, fault, lack, pid, thread);
        else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP)
            deliver = WSTOPSIG(status);
        ptrace(PTRACE_SYSCALL, tid, 0, deliver);
    }
    timer_delete(timer);
}

#endif /* COMMY_TESTS_FAULTS_INJECT_H */
