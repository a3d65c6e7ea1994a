/* What unit tests share: a private directory for each. A test is a process of its own, and so is its static data. */
#ifndef COMMY_TESTS_SUPPORT_H
#define COMMY_TESTS_SUPPORT_H

#include <dirent.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often to do what costs a process each time: valgrind takes the processor for a second for each of them. */
static inline int test_rounds(int rounds)
{
    const char *under = getenv("COMMY_UNDER");
    return under && strcmp(under, "valgrind") == 0 ? (rounds + 9) / 10 : rounds;
}

static char test_dir[64];

/* Makes a fresh directory below /dev/shm (mode 0700); its path is in test_dir until test_dir_destroy(). */
static inline void test_dir_make(void)
{
    strcpy(test_dir, "/dev/shm/commy-test-XXXXXX");
    if (!mkdtemp(test_dir)) {
        perror("mkdtemp in /dev/shm");
        exit(1);
    }
}

static inline int test_delete_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    remove(path);
    return 0;
}

/* Deletes that directory and all that is in it. */
static inline void test_dir_destroy(void)
{
    if (test_dir[0] != '\0')
        nftw(test_dir, test_delete_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    test_dir[0] = '\0';
}

/* "TEST_DIR/NAME", in one of a few buffers that are used in turn. */
static inline const char *test_path(const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", test_dir, name);
    return path;
}

/* Entries of a directory, "." and ".." not counted; -1 where it cannot be read. */
static inline int test_dir_count(const char *dir)
{
    DIR *open = opendir(dir);
    if (!open)
        return -1;
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(open));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(open);
    return count;
}

/* Whether every other thread of the process sleeps. */
static inline bool test_others_sleep(void)
{
    char path[300], line[256];
    bool all = true;
    DIR *tasks = opendir("/proc/self/task");
    for (const struct dirent *entry; tasks && all && (entry = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        FILE *stat = entry->d_name[0] != '.' && atoi(entry->d_name) != gettid() ? fopen(path, "re") : NULL;
        if (!stat)
            continue;
        const char *end = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL; /* of the thread's name */
        all = !end || end[1] == '\0' || end[2] == 'S';
        fclose(stat);
    }
    if (tasks)
        closedir(tasks);
    return all;
}

/*
 * fork(2), if possible while all other threads sleep. What one that runs holds of the address sanitizer's own locks (of
 * gcc 12) stays held in the child, which then waits for ever.
 */
static inline pid_t test_fork(void)
{
    for (int turn = 0; turn < 1000 && !test_others_sleep(); turn++)
        usleep(1000);
    return fork();
}

#endif /* COMMY_TESTS_SUPPORT_H */
