/*
 * watch_command.h - `commy watch NAME -- COMMAND`: a program that is run on each change.
 */
#ifndef COMMY_TOOL_WATCH_COMMAND_H
#define COMMY_TOOL_WATCH_COMMAND_H

#include <commy/commy.h>

/*
 * Runs the command now and after each change of the instances of a name (null: of any), one run at a time; what changes
 * during a run is told by the next one, in its last state. Each gets a JSON array of the services, as `commy ls --json`
 * prints it, on its standard input. Returns an exit code, when told to stop or when the mesh is gone; the command has ended
 * then, too.
 */
int watch_command(commy_mesh_t *mesh, const char *name, char **command);

#endif /* COMMY_TOOL_WATCH_COMMAND_H */
