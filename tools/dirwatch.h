/*
 * dirwatch.h - sleeping until something changes in a directory that may not exist yet.
 */
#ifndef COMMY_TOOL_DIRWATCH_H
#define COMMY_TOOL_DIRWATCH_H

struct dirwatch {
    int inotify, watched; /* -1: none */
};

void dirwatch_open(struct dirwatch *watch);
void dirwatch_close(struct dirwatch *watch);

/* Watches the directory, or where it is missing the nearest one above it that is there. Look at the directory after
 * this, then sleep: nothing is missed in between. */
void dirwatch_arm(struct dirwatch *watch, const char *dir);

/* Sleeps until something was made or moved there, or the time has passed. */
void dirwatch_sleep(struct dirwatch *watch, int timeout_ms);

#endif /* COMMY_TOOL_DIRWATCH_H */
