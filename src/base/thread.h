/* Starting the library's own threads. */
#ifndef CMY_BASE_THREAD_H
#define CMY_BASE_THREAD_H

#include <pthread.h>

/*
 * Starts a thread with every signal blocked, so that no handler of the program ever runs on it. (What glibc sends itself
 * for setuid(2) is not blocked by pthread_sigmask() and must not be.) The stack has stack_bytes, but for programs whose
 * thread-local storage does not fit in it. Returns 0 or what pthread_create(3) does.
 */
int cmy_thread_start(pthread_t *thread, size_t stack_bytes, void *(*run)(void *), void *argument);

#endif /* CMY_BASE_THREAD_H */
