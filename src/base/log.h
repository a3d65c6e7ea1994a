/*
 * Lines for whoever listens to the library, which never prints. They wait in a table of the process's until they are taken;
 * where it is full the oldest go, and are counted. Nothing is formatted while nobody listens. A line that does not fit is cut
 * between two characters.
 *
 * Any thread may log, but no signal handler; the lock is held for the copying of a line only, never while user's code
 * runs. A forked child starts without a listener, and its parent's lock and lines are not touched.
 */
#ifndef CMY_BASE_LOG_H
#define CMY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define CMY_LOG_BYTES 256u
#define CMY_LOG_LINES 256u

typedef enum cmy_log_level { CMY_LOG_ERROR = 1, CMY_LOG_WARNING = 2, CMY_LOG_INFO = 3 } cmy_log_level_t;

typedef struct cmy_log_line {
    cmy_log_level_t level;
    char text[CMY_LOG_BYTES];
} cmy_log_line_t;

void cmy_log(cmy_log_level_t level, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* Sets who listens; null: nobody, and what waits is dropped. False: no memory. */
bool cmy_log_listen(void (*call)(void), void *user);

/* Takes the oldest line and copies who is to be told; false: there is none. */
bool cmy_log_take(cmy_log_line_t *line, void (**call)(void), void **user);

#endif /* CMY_BASE_LOG_H */
