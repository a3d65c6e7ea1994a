/*
 * An allocator that refuses on demand, and calls somebody else first; the same for threads and mappings. The linker puts what is here in
 * the place of the C library's (--wrap), for the library and for the test.
 */
#ifndef COMMY_TESTS_SUPPORT_SCARCE_H
#define COMMY_TESTS_SUPPORT_SCARCE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct {
    _Atomic bool on;
    bool elsewhere; /* on all threads but the caller's; or else on this one alone */
    pthread_t caller;
    int first, last; /* of those asked for meanwhile: which fail */
    _Atomic int asked, refused;
} scarcity;

static inline void run_short(bool elsewhere, int first, int times)
{
    scarcity.elsewhere = elsewhere;
    scarcity.caller = pthread_self();
    scarcity.first = first;
    scarcity.last = first + times - 1;
    atomic_store(&scarcity.asked, 0);
    atomic_store(&scarcity.refused, 0);
    atomic_store(&scarcity.on, true);
}

/* Returns how many were refused. */
static inline int run_plenty(void)
{
    atomic_store(&scarcity.on, false);
    return atomic_load(&scarcity.refused);
}

/* What somebody does while a call allocates, on the same thread: as if that had stopped there. It is told whether the
 * allocation is an aligned one, which is how pickers and handles begin. Its own allocations call nobody. */
static _Thread_local void (*meanwhile)(bool aligned);

static inline bool refuse(bool aligned)
{
    void (*call)(bool) = meanwhile;
    if (call) {
        meanwhile = NULL;
        call(aligned);
        meanwhile = call;
    }
    if (!atomic_load(&scarcity.on) || !pthread_equal(pthread_self(), scarcity.caller) != scarcity.elsewhere)
        return false;
    int number = atomic_fetch_add(&scarcity.asked, 1) + 1;
    if (number < scarcity.first || number > scarcity.last)
        return false;
    atomic_fetch_add(&scarcity.refused, 1);
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
    return refuse(false) ? NULL : __real_malloc(bytes);
}

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes)
{
    return refuse(false) ? NULL : __real_calloc(count, bytes);
}

void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes)
{
    return refuse(false) ? NULL : __real_realloc(old, bytes);
}

void *__real_reallocarray(void *old, size_t count, size_t bytes);
void *__wrap_reallocarray(void *old, size_t count, size_t bytes);
void *__wrap_reallocarray(void *old, size_t count, size_t bytes)
{
    return refuse(false) ? NULL : __real_reallocarray(old, count, bytes);
}

void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return refuse(true) ? NULL : __real_aligned_alloc(alignment, bytes);
}

/* How many threads are not to be had from now on. */
static _Atomic int threads_refused;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    if (atomic_load(&threads_refused) > 0) {
        atomic_fetch_sub(&threads_refused, 1);
        return EAGAIN;
    }
    return __real_pthread_create(thread, attributes, run, argument);
}

/* The same of mappings. */
static _Atomic int mappings_refused;

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    if (atomic_load(&mappings_refused) > 0) {
        atomic_fetch_sub(&mappings_refused, 1);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap64(at, bytes, protection, flags, file, offset);
}

#endif /* COMMY_TESTS_SUPPORT_SCARCE_H */
