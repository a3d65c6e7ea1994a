/*
 * dirwatch.c - see dirwatch.h. Where inotify is not to be had (its limits are small and shared by all programs of a
 * user) the sleep alone has to do; callers look again after it anyway.
 */
#include "dirwatch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

void dirwatch_open(struct dirwatch *watch)
{
    watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    watch->watched = -1;
}

void dirwatch_close(struct dirwatch *watch)
{
    if (watch->inotify >= 0)
        close(watch->inotify);
    watch->inotify = -1;
}

/* Cuts the last component off; false at the top. */
static bool to_parent(char *path)
{
    char *slash = strrchr(path, '/');

    if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
        return false;
    if (slash == NULL)
        strcpy(path, ".");
    else
        slash[slash == path] = '\0';
    return true;
}

void dirwatch_arm(struct dirwatch *watch, const char *dir)
{
    const uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    char path[PATH_MAX];
    int before = watch->watched;

    if (watch->inotify < 0)
        return;
    snprintf(path, sizeof(path), "%s", dir);
    do
        watch->watched = inotify_add_watch(watch->inotify, path, mask);
    while (watch->watched < 0 && errno == ENOENT && to_parent(path));
    if (before >= 0 && before != watch->watched)
        inotify_rm_watch(watch->inotify, before);
}

void dirwatch_sleep(struct dirwatch *watch, int timeout_ms)
{
    struct pollfd ready = {.fd = watch->inotify, .events = POLLIN};
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

    if (poll(&ready, 1, timeout_ms) <= 0)
        return;
    while (read(watch->inotify, events, sizeof(events)) > 0)
        continue;
}
