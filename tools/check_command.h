/*
 * check_command.h - a command that tells how a program is, run now and then by the wrapper of that program and by nobody
 * else: what is executed comes from this process's own command line, never from the region.
 *
 * Exit 0 is healthy, 1 degraded, anything else unhealthy, and so is a command that does not end in time: it is killed, with
 * its process group. One runs at a time.
 */
#ifndef COMMY_TOOL_CHECK_COMMAND_H
#define COMMY_TOOL_CHECK_COMMAND_H

#include "child.h"

#include <commy/commy.h>

struct check_command {
    const char *command; /* for sh -c; null: none */
    uint64_t interval_ms, timeout_ms;

    commy_mesh_t *mesh;
    const char *id;
    const struct child_signals *signals;
    pid_t pid; /* its process group; 0: none runs */
    uint64_t due_ns, late_ns;
    bool killed, ended;
};

/* Begins: the service's health is unknown until the first result. Does nothing where there is no command. */
void check_command_start(struct check_command *check, commy_mesh_t *mesh, const char *id,
                         const struct child_signals *signals);

/* Starts the command when it is due, sets the health when it has ended, kills it when it is late. Does not wait. */
void check_command_look(struct check_command *check);

/* How long to sleep until the next look is due, at most `most_ns`. Its end is told by SIGCHLD. */
uint64_t check_command_pause_ns(const struct check_command *check, uint64_t most_ns);

/* Kills what runs. */
void check_command_end(struct check_command *check);

#endif /* COMMY_TOOL_CHECK_COMMAND_H */
