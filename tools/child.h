/*
 * child.h - the programs that `commy run` and `commy watch` run.
 */
#ifndef COMMY_TOOL_CHILD_H
#define COMMY_TOOL_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What the wrapper changed about its signals, so that the child starts with what the wrapper was started with. */
struct child_signals {
    sigset_t before;       /* signal mask */
    struct sigaction chld; /* what SIGCHLD did */
    sigset_t awaited;      /* what child_await() waits for */
};

/* Blocks the signals that are to be passed on, and SIGCHLD. To be called before any thread is started. */
void child_signals_prepare(struct child_signals *signals);

/*
 * Starts a program. It dies with this process (SIGKILL as parent-death signal), which is why this has to be called on
 * the main thread. Returns 0 with *pid filled in once exec succeeded; an errno where it did not, with nothing left
 * behind; *from_exec says whether exec refused, rather than fork or pipe.
 */
int child_start(char **command, const struct child_signals *signals, pid_t *pid, bool *from_exec);

/* The same with a descriptor for its standard input; -1: this process's. */
int child_start_on(char **command, const struct child_signals *signals, int input, pid_t *pid, bool *from_exec);

/*
 * Waits for at most `pause_ns` for signals and passes them on. Returns true with the exit code as sh has it (128 +
 * signal) once the child has ended.
 */
bool child_await(pid_t pid, const struct child_signals *signals, uint64_t pause_ns, int *code);

/* Kills the child and waits until it is gone. */
void child_kill(pid_t pid);

#endif /* COMMY_TOOL_CHILD_H */
