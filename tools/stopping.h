/*
 * stopping.h - ending on SIGINT, SIGTERM and SIGHUP in order, for commands that run until they are told to stop.
 */
#ifndef COMMY_TOOL_STOPPING_H
#define COMMY_TOOL_STOPPING_H

#include <stdbool.h>

/* Installs the handlers. They interrupt system calls. A SIGHUP that is ignored (nohup) stays ignored. */
void stopping_prepare(void);

/* Whether one of the signals has come. */
bool stopping(void);

#endif /* COMMY_TOOL_STOPPING_H */
