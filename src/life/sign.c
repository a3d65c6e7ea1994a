/*
 * Signs of death that can be had by asking the kernel about a thread.
 *
 * What is certain, and why:
 *
 * a. Thread ids mean something only inside one PID namespace of one boot. Callers have compared the namespaces; the
 *    region has compared the boots. An inode number of a namespace is used again only when that namespace is empty, and
 *    then whoever lived in it is dead.
 * b. tgkill(pid, tid, 0) answers ESRCH only when that process has no such thread. A thread leaves the table of ids
 *    after the kernel has walked its robust list (do_exit(): exit_mm(), then exit_notify()), so that GONE also means:
 *    no mark will come any more. The keeper is never the first thread of its process, so that no zombie of it stays
 *    behind. An id that is in use again answers success: not certain, hence alive. EPERM is somebody who lives.
 * c. A process with "CoreDumping: 1" will exit: its threads were all sent SIGKILL, and are stopped where they enter the
 *    kernel next. Kernels since 5.16 walk their robust lists only after the dump, which may take minutes. The number in
 *    /proc/<pid> is one of the namespace that this /proc was mounted for; it is ours exactly when our own "NSpid" there
 *    has one number.
 *
 * Not asked: start times (they shift with time namespaces), the absence of /proc entries (hidepid, other mounts).
 */
#include "life/sign.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fork.h"

/* Far more than the status of a process needs; one with thousands of groups is cut, and then not certain. */
#define STATUS_BYTES 8192

static _Thread_local bool without_files;

void cmy_life_sign_without_files(void)
{
    without_files = true;
}

/*
 * Remembered, since a process may lose its view of /proc (chroot, sandbox) after it joined; for one generation, since a
 * forked child may live in another namespace. Threads that come first together store the same.
 */
uint64_t cmy_life_namespace(void)
{
    static _Atomic uint64_t known_inode, known_in;
    uint64_t generation = cmy_fork_generation();
    if (atomic_load_explicit(&known_in, memory_order_acquire) == generation) /* pairs with the release store below */
        return atomic_load_explicit(&known_inode, memory_order_relaxed);
    struct stat status;
    if (stat("/proc/self/ns/pid", &status) != 0)
        return 0;
    atomic_store_explicit(&known_inode, status.st_ino, memory_order_relaxed);
    atomic_store_explicit(&known_in, generation, memory_order_release);
    return status.st_ino;
}

/* Reads <proc>/<who>/status and gives the text behind a line's label, or null. */
static const char *status_line(int proc, const char *who, const char *label, char text[STATUS_BYTES])
{
    char path[32];
    snprintf(path, sizeof path, "%s/status", who);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t bytes = read(fd, text, STATUS_BYTES - 1);
    close(fd);
    if (bytes <= 0)
        return NULL;
    text[bytes] = '\0';
    const char *line = strstr(text, label);
    return line && strchr(line + 1, '\n') ? line + strlen(label) : NULL;
}

static bool dumping_core(uint32_t pid)
{
    if (without_files)
        return false;
    int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return false;
    char text[STATUS_BYTES], who[16];
    snprintf(who, sizeof who, "%u", pid);
    const char *flag = status_line(proc, who, "\nCoreDumping:\t", text);
    bool certain = flag && *flag == '1';
    if (certain) {
        const char *numbers = status_line(proc, "self", "\nNSpid:\t", text);
        certain = numbers && numbers[strspn(numbers, "0123456789")] == '\n';
    }
    close(proc);
    return certain;
}

/* Whether a directory of /proc/self/task is a thread of the program's: neither one of ours nor the ended first thread. */
static bool is_programs_thread(int tasks, const char *tid)
{
    char path[32], name[32] = "";
    snprintf(path, sizeof path, "%.20s/comm", tid);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true; /* not certain */
    ssize_t bytes = read(fd, name, sizeof name - 1);
    close(fd);
    if (bytes <= 0)
        return true;
    bool ours = strcmp(name, CMY_KEEPER_NAME "\n") == 0 || strcmp(name, CMY_LOOKOUT_NAME "\n") == 0 ||
                strcmp(name, CMY_MONITOR_NAME "\n") == 0;
    return !ours && strtol(tid, NULL, 10) != getpid();
}

bool cmy_life_only_keepers(void)
{
    char text[STATUS_BYTES];
    const char *state = without_files ? NULL : status_line(AT_FDCWD, "/proc/self", "\nState:\t", text);
    if (!state || *state != 'Z') /* the first thread, which most programs end with */
        return false;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        return false;
    bool only = true;
    for (const struct dirent *entry; only && (entry = readdir(tasks)) != NULL;)
        only = entry->d_name[0] == '.' || !is_programs_thread(dirfd(tasks), entry->d_name);
    closedir(tasks);
    return only;
}

cmy_life_sign_t cmy_life_sign(uint32_t pid, uint32_t tid)
{
    if (tid == 0)
        return CMY_SIGN_NONE;
    long answer = pid ? syscall(SYS_tgkill, (pid_t)pid, (pid_t)tid, 0) : syscall(SYS_tkill, (pid_t)tid, 0);
    if (answer != 0 && errno == ESRCH)
        return CMY_SIGN_GONE;
    return pid && dumping_core(pid) ? CMY_SIGN_DUMPING : CMY_SIGN_NONE;
}
