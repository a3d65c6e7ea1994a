/*
 * check_command.c - see check_command.h.
 *
 * Between fork and exec the child makes only async-signal-safe calls, since the attachment has a thread of its own. It
 * dies with the wrapper (parent-death signal), reads nothing, and says what it has to say on stderr.
 */
#include "check_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "text.h"

#define MS 1000000u

static void set_health(const struct check_command *check, int32_t health)
{
    commy_target_t target;

    /* A failure needs no word here: the registration is gone, which the caller learns. */
    if (commy_service_find(check->mesh, check->id, &target) != COMMY_STATUS_SUCCESS || target.status == health)
        return;
    (void)commy_service_set_health(check->mesh, check->id, health);
}

void check_command_start(struct check_command *check, commy_mesh_t *mesh, const char *id,
                         const struct child_signals *signals)
{
    check->mesh = mesh;
    check->id = id;
    check->signals = signals;
    check->due_ns = monotonic_ns();
    if (check->command != NULL)
        set_health(check, COMMY_HEALTH_UNKNOWN);
}

/* In the child. */
static void become(const struct check_command *check, pid_t parent)
{
    int nothing;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_OWN_FAILURE);
    setpgid(0, 0);
    sigaction(SIGCHLD, &check->signals->chld, NULL);
    sigprocmask(SIG_SETMASK, &check->signals->before, NULL);
    nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    if (nothing > STDERR_FILENO)
        close(nothing);
    execl("/bin/sh", "sh", "-c", check->command, (char *)NULL);
    _exit(EXIT_NO_SUCH_COMMAND);
}

static void begin(struct check_command *check, uint64_t now)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0)
        become(check, parent);
    check->due_ns = now + check->interval_ms * MS;
    if (pid < 0) { /* which says nothing about the program */
        complain("the check of %s could not be started: %s", check->id, strerror(errno));
        return;
    }
    setpgid(pid, pid); /* both do, since either may come first */
    check->pid = pid;
    check->late_ns = now + check->timeout_ms * MS;
    check->killed = false;
}

static void kill_group(const struct check_command *check)
{
    kill(-check->pid, SIGKILL);
    kill(check->pid, SIGKILL); /* should it not have a group of its own yet */
}

static int32_t health_of(int status)
{
    if (!WIFEXITED(status))
        return COMMY_HEALTH_UNHEALTHY;
    switch (WEXITSTATUS(status)) {
    case 0:
        return COMMY_HEALTH_HEALTHY;
    case 1:
        return COMMY_HEALTH_DEGRADED;
    default:
        return COMMY_HEALTH_UNHEALTHY;
    }
}

static void look_at_running(struct check_command *check, uint64_t now)
{
    siginfo_t ended = {0};
    int status = 0;

    /* It is seen to have ended, what it left behind is killed, and only then does its number become free. */
    if (waitid(P_PID, (id_t)check->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == check->pid) {
        kill_group(check);
        waitpid(check->pid, &status, 0);
        check->pid = 0;
        if (!check->killed)
            set_health(check, health_of(status));
    } else if (!check->killed && now >= check->late_ns) {
        kill_group(check);
        check->killed = true;
        set_health(check, COMMY_HEALTH_UNHEALTHY);
    }
}

void check_command_look(struct check_command *check)
{
    if (check->command == NULL || check->ended)
        return;
    uint64_t now = monotonic_ns();
    if (check->pid != 0)
        look_at_running(check, now);
    else if (now >= check->due_ns)
        begin(check, now);
}

uint64_t check_command_pause_ns(const struct check_command *check, uint64_t most_ns)
{
    if (check->command == NULL || check->ended || check->killed)
        return most_ns;
    uint64_t now = monotonic_ns(), then = check->pid != 0 ? check->late_ns : check->due_ns;
    uint64_t left = then > now ? then - now : 0;
    return left < most_ns ? left : most_ns;
}

void check_command_end(struct check_command *check)
{
    check->ended = true;
    if (check->pid == 0)
        return;
    kill_group(check);
    while (waitpid(check->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    check->pid = 0;
}
