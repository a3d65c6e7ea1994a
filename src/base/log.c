/* Lines for whoever listens; see log.h. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fork.h"
#include "base/text.h"

/* Made by the first who listens in a process, and kept: a thread may be about to log. */
typedef struct log {
    uint64_t generation;
    pthread_mutex_t turn;
    void (*call)(void);
    void *user;
    uint32_t first, count;
    uint64_t lost;
    cmy_log_line_t line[CMY_LOG_LINES];
    struct log *parents; /* so that a leak checker finds it */
} log_t;

static _Atomic(log_t *) current;

/* This process's; null before anybody listened. */
static log_t *ours(void)
{
    log_t *log = atomic_load_explicit(&current, memory_order_acquire);
    return log && cmy_fork_same(log->generation) ? log : NULL;
}

void cmy_log(cmy_log_level_t level, const char *format, ...)
{
    va_list arguments;
    log_t *log = ours();
    if (!log)
        return;
    pthread_mutex_lock(&log->turn);
    if (log->call) {
        cmy_log_line_t *line = &log->line[(log->first + log->count) % CMY_LOG_LINES];
        if (log->count < CMY_LOG_LINES) {
            log->count++;
        } else {
            log->first = (log->first + 1) % CMY_LOG_LINES;
            log->lost++;
        }
        line->level = level;
        va_start(arguments, format);
        if (vsnprintf(line->text, sizeof line->text, format, arguments) >= (int)sizeof line->text)
            cmy_text_cut(line->text, sizeof line->text);
        va_end(arguments);
    }
    pthread_mutex_unlock(&log->turn);
}

bool cmy_log_listen(void (*call)(void), void *user)
{
    log_t *log = ours();
    if (!log && !call)
        return true;
    while (!log) {
        log_t *made = calloc(1, sizeof *made), *seen = atomic_load_explicit(&current, memory_order_acquire);
        if (!made)
            return false;
        made->generation = cmy_fork_generation();
        made->parents = seen;
        pthread_mutex_init(&made->turn, NULL);
        if ((seen && cmy_fork_same(seen->generation)) || !atomic_compare_exchange_strong(&current, &seen, made))
            free(made);
        log = ours();
    }
    pthread_mutex_lock(&log->turn);
    log->call = call;
    log->user = user;
    if (!call) {
        log->count = 0;
        log->lost = 0;
    }
    pthread_mutex_unlock(&log->turn);
    return true;
}

bool cmy_log_take(cmy_log_line_t *line, void (**call)(void), void **user)
{
    log_t *log = ours();
    if (!log)
        return false;
    pthread_mutex_lock(&log->turn);
    bool found = log->call && (log->count > 0 || log->lost > 0);
    if (found) {
        *call = log->call;
        *user = log->user;
    }
    if (found && log->lost > 0) {
        line->level = CMY_LOG_WARNING;
        snprintf(line->text, sizeof line->text,
                 "%llu lines of the log were lost before the next one: dispatch more often",
                 (unsigned long long)log->lost);
        log->lost = 0;
    } else if (found) {
        *line = log->line[log->first];
        log->first = (log->first + 1) % CMY_LOG_LINES;
        log->count--;
    }
    pthread_mutex_unlock(&log->turn);
    return found;
}
