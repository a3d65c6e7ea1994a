/*
 * stopping.c - see stopping.h.
 *
 * A signal that comes between a look at stopping() and the system call that follows does not interrupt that call; the
 * callers therefore never sleep longer than 100 ms at a time.
 */
#include "stopping.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

void stopping_prepare(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}

bool stopping(void)
{
    return stop_signal != 0;
}
