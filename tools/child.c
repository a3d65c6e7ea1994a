/*
 * child.c - see child.h.
 *
 * The signals to pass on are blocked and fetched with sigtimedwait(2): none can slip between a look and a sleep, and
 * there is no handler. Between fork and exec the child makes only async-signal-safe calls, since the attachment has a
 * thread of its own.
 *
 * What a terminal sends (^C, ^Z, a new window size) goes to the whole foreground process group, the child included:
 * passing that on would deliver it twice. SIGHUP is passed on whoever sent it, because a hang-up may reach only the
 * leader of the session, which the wrapper may be.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP};

void child_signals_prepare(struct child_signals *signals)
{
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t blocked;

    sigemptyset(&signals->awaited);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        sigaddset(&signals->awaited, passed_on[i]);
    sigaddset(&signals->awaited, SIGCHLD);

    blocked = signals->awaited;
    sigaddset(&blocked, SIGPIPE); /* words for a stderr that nobody reads any more, or that is another's terminal: */
    sigaddset(&blocked, SIGTTOU); /* neither may end or stop the wrapper */
    sigprocmask(SIG_BLOCK, &blocked, &signals->before);
    sigaction(SIGCHLD, &normal, &signals->chld); /* an inherited SIG_IGN would take the child's status away */
}

/* In the child. */
static void become(char **command, const struct child_signals *signals, pid_t parent, int input, int report)
{
    int error;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(EXIT_OWN_FAILURE);
    sigaction(SIGCHLD, &signals->chld, NULL);
    if (input >= 0)
        dup2(input, STDIN_FILENO);
    sigprocmask(SIG_SETMASK, &signals->before, NULL);
    execvp(command[0], command);
    error = errno;
    while (write(report, &error, sizeof(error)) < 0 && errno == EINTR)
        continue;
    _exit(EXIT_NO_SUCH_COMMAND);
}

/* The errno that the child reports; 0 once exec has closed its end of the pipe. */
static int read_report(int pipe)
{
    int error = 0;
    ssize_t bytes;

    do
        bytes = read(pipe, &error, sizeof(error));
    while (bytes < 0 && errno == EINTR);
    return bytes == (ssize_t)sizeof(error) ? error : 0;
}

int child_start(char **command, const struct child_signals *signals, pid_t *pid, bool *from_exec)
{
    return child_start_on(command, signals, -1, pid, from_exec);
}

int child_start_on(char **command, const struct child_signals *signals, int input, pid_t *pid, bool *from_exec)
{
    int ends[2];
    pid_t parent = getpid();

    *from_exec = false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    *pid = fork();
    if (*pid == 0)
        become(command, signals, parent, input, ends[1]);
    int error = *pid < 0 ? errno : 0;
    close(ends[1]);
    if (*pid > 0) {
        error = read_report(ends[0]);
        *from_exec = error != 0;
    }
    close(ends[0]);
    if (*from_exec)
        child_kill(*pid);
    return error;
}

void child_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static bool reaches_child_already(pid_t pid, const siginfo_t *signal)
{
    return signal->si_code == SI_KERNEL && signal->si_signo != SIGHUP && getpgid(pid) == getpgrp();
}

/* Stops as if SIGTSTP had not been blocked: not at all in an orphaned process group, which nobody would continue. */
static void stop_oneself(void)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    sigprocmask(SIG_BLOCK, &stop, NULL);
}

static void pass_on(pid_t pid, const siginfo_t *signal)
{
    if (!reaches_child_already(pid, signal))
        kill(pid, signal->si_signo);
    if (signal->si_signo == SIGTSTP)
        stop_oneself();
}

bool child_await(pid_t pid, const struct child_signals *signals, uint64_t pause_ns, int *code)
{
    struct timespec pause = {.tv_sec = (time_t)(pause_ns / 1000000000u), .tv_nsec = (long)(pause_ns % 1000000000u)};
    siginfo_t signal;
    int status;

    int number = sigtimedwait(&signals->awaited, &signal, &pause);
    if (number > 0 && number != SIGCHLD)
        pass_on(pid, &signal);
    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}
