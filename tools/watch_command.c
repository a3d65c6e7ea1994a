/*
 * watch_command.c - see watch_command.h.
 *
 * One loop over two descriptors, that of a watcher and that of signals, which are blocked: no signal is missed, and none is
 * handled in the middle of something. The state lies in a file in memory that the command gets as its standard input, so
 * that a command which reads nothing stops nobody.
 *
 * To stop: the signal is passed on to the command, and what it does then is waited for; the second one kills it. If this
 * process is killed, the parent-death signal takes the command along (child.c).
 */
#include "watch_command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "common.h"
#include "regions.h"
#include "snapshot.h"

#define LOOK_AGAIN_MS 1000 /* at the region's file */

struct watching {
    commy_mesh_t *mesh;
    const char *name;
    char **command;
    commy_watcher_t *watcher;
    struct child_signals signals;
    struct region_file file;
    struct snapshot seen;
    int changes, stops; /* descriptors: of the watcher, of signals */
    pid_t child;        /* 0: none */
    bool due, stopping; /* due: the command is to be run */
    int code;           /* to end with */
};

/* ------------------------------------------------------------------ state */

/* Looks whether anything has changed since the last look. */
static commy_status_t look(struct watching *watching)
{
    struct snapshot now;
    commy_status_t status = snapshot_take(watching->mesh, watching->name, &watching->seen, &now);

    if (status != COMMY_STATUS_SUCCESS) {
        snapshot_free(&now);
        return status;
    }
    for (size_t i = 0; i < watching->seen.count; i++)
        watching->due |= watching->seen.sightings[i].text != NULL;
    for (size_t i = 0; i < now.count; i++)
        watching->due |= now.sightings[i].change != UNCHANGED;
    snapshot_free(&watching->seen);
    watching->seen = now;
    return status;
}

/* What the last look saw, so that each state that was seen is told once. */
static void write_state(const struct watching *watching, FILE *out)
{
    const struct snapshot *seen = &watching->seen;

    fputc('[', out);
    for (size_t i = 0; i < seen->count; i++)
        fprintf(out, "%s%s", i > 0 ? ",\n" : "\n", seen->sightings[i].text);
    fputs(seen->count > 0 ? "\n]\n" : "]\n", out);
}

/* A file with the state, to be read from its start; -1 where there is none, and why was said. */
static int state_file(const struct watching *watching)
{
    int file = memfd_create("commy watch", MFD_CLOEXEC), copy = file >= 0 ? dup(file) : -1;
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;

    if (out != NULL) {
        write_state(watching, out);
        if (fclose(out) == 0 && lseek(file, 0, SEEK_SET) == 0)
            return file;
    } else if (copy >= 0) {
        close(copy);
    }
    complain("the state could not be written to a file in memory: %s", strerror(errno));
    if (file >= 0)
        close(file);
    return -1;
}

/* ---------------------------------------------------------------- command */

/* An exit code where it could not be started, else EXIT_YES. */
static int start(struct watching *watching)
{
    bool from_exec;
    int file = state_file(watching);

    if (file < 0)
        return EXIT_ERROR;
    int error = child_start_on(watching->command, &watching->signals, file, &watching->child, &from_exec);
    close(file);
    watching->due = false;
    if (error == 0)
        return EXIT_YES;
    watching->child = 0;
    if (from_exec)
        return complain_exec(watching->command[0], error);
    complain("no process can be started: %s", strerror(error));
    return EXIT_ERROR;
}

/* Takes note of a command that has ended, and says so where it failed. */
static void reap(struct watching *watching)
{
    int status;

    if (watching->child == 0 || waitpid(watching->child, &status, WNOHANG) != watching->child)
        return;
    watching->child = 0;
    if (watching->stopping)
        return;
    if (WIFSIGNALED(status))
        complain("%s was killed by signal %d; watching on", watching->command[0], WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        complain("%s ended with %d; watching on", watching->command[0], WEXITSTATUS(status));
}

static void stop(struct watching *watching, int signal_number, int code)
{
    if (watching->child != 0)
        kill(watching->child, watching->stopping ? SIGKILL : signal_number);
    if (!watching->stopping)
        watching->code = code;
    watching->stopping = true;
}

static void fetch_signals(struct watching *watching)
{
    struct signalfd_siginfo signal;

    while (read(watching->stops, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
        int number = (int)signal.ssi_signo;
        if (number == SIGTERM || number == SIGINT || number == SIGHUP)
            stop(watching, number, EXIT_YES);
    }
    reap(watching);
}

/* ------------------------------------------------------------------- loop */

static void fetch_changes(struct watching *watching)
{
    commy_status_t status = commy_watcher_wait(watching->watcher, 0, NULL);

    if (status == COMMY_STATUS_SUCCESS)
        status = look(watching);
    if (status == COMMY_STATUS_SUCCESS || may_wait_again(status))
        return;
    complain_status(status);
    stop(watching, SIGTERM, EXIT_ERROR);
}

static void look_at_file(struct watching *watching)
{
    if (watching->stopping || region_file_same(&watching->file))
        return;
    complain("mesh %s is gone: %s was removed or replaced", mesh_name(), watching->file.path);
    stop(watching, SIGTERM, EXIT_ERROR);
}

/* Until it was told to stop and the command has ended. */
static int loop(struct watching *watching)
{
    while (!watching->stopping || watching->child != 0) {
        if (watching->due && watching->child == 0 && !watching->stopping) {
            int code = start(watching);
            if (code != EXIT_YES)
                return code;
        }
        struct pollfd ready[] = {
            {.fd = watching->stops, .events = POLLIN},
            {.fd = watching->stopping ? -1 : watching->changes, .events = POLLIN},
        };
        if (poll(ready, 2, LOOK_AGAIN_MS) < 0 && errno != EINTR)
            return complain("waiting for changes failed: %s", strerror(errno));
        if (ready[0].revents != 0)
            fetch_signals(watching);
        if (ready[1].revents != 0 && !watching->stopping)
            fetch_changes(watching);
        else
            look_at_file(watching);
    }
    return watching->code;
}

static int open_descriptors(struct watching *watching)
{
    const commy_watch_options_t options = {.size = sizeof(options), .name = watching->name};
    commy_status_t status = commy_watcher_create(watching->mesh, &options, &watching->watcher);

    if (status == COMMY_STATUS_SUCCESS)
        status = commy_watcher_fd(watching->watcher, &watching->changes);
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    watching->stops = signalfd(-1, &watching->signals.awaited, SFD_CLOEXEC | SFD_NONBLOCK);
    return watching->stops >= 0 ? EXIT_YES : complain("no descriptor for signals: %s", strerror(errno));
}

int watch_command(commy_mesh_t *mesh, const char *name, char **command)
{
    struct watching watching = {.mesh = mesh, .name = name, .command = command, .stops = -1, .due = true};

    child_signals_prepare(&watching.signals);
    region_file_note(&watching.file, mesh);
    tool.json = true; /* texts of sightings */
    int code = open_descriptors(&watching);
    if (code == EXIT_YES) {
        fetch_changes(&watching);
        code = loop(&watching);
    }
    if (watching.stops >= 0)
        close(watching.stops);
    commy_watcher_destroy(&watching.watcher);
    snapshot_free(&watching.seen);
    return code;
}
