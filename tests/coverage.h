/*
 * Included in front of every source of a build that counts what was run (scripts/coverage): children of tests end with
 * _exit(), which forgets the counts; here it writes them first.
 */
#ifndef COMMY_TESTS_COVERAGE_H
#define COMMY_TESTS_COVERAGE_H

#include <unistd.h>

void __gcov_dump(void);

static inline void __attribute__((noreturn, unused)) coverage_exit(int status)
{
    __gcov_dump();
    _exit(status);
}
#define _exit coverage_exit

#endif /* COMMY_TESTS_COVERAGE_H */
