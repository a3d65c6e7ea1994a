/* What the tests of watchers share: their descriptors. */
#ifndef COMMY_TESTS_SUPPORT_WATCH_H
#define COMMY_TESTS_SUPPORT_WATCH_H

#include "support_registry.h"

#include <poll.h>

static inline bool readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, timeout_ms) == 1 && (poll_fd.revents & POLLIN);
}

/* The descriptor says for so long that nothing is new; once without need it may say otherwise, as commy.h has it: the thread
 * that feeds it may have looked before the wait that came last. */
static inline bool nothing_to_read(commy_watcher_t *watcher, int fd, int ms)
{
    return !readable(fd, ms) || (commy_watcher_wait(watcher, 0, NULL) == COMMY_STATUS_TIMED_OUT && !readable(fd, ms));
}

static inline int fd_of(commy_watcher_t *watcher)
{
    int fd = -1;
    cr_assert_eq(commy_watcher_fd(watcher, &fd), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_geq(fd, 0);
    return fd;
}

#endif /* COMMY_TESTS_SUPPORT_WATCH_H */
