/*
 * Which process this is: a number that differs on the two sides of a fork.
 *
 * Whatever was made under another generation than the present one was inherited and belongs to the parent.
 *
 * a. The word is 0 in a child before its first look, however the child was made: it lies in a page that the kernel wipes
 *    on fork (MADV_WIPEONFORK), which raw clone(2) does not get around. A child that shares its parent's memory (vfork,
 *    CLONE_VM) shares its generation too.
 * b. Where the kernel refuses the page (an emulator, no memory), the word is an ordinary one which the atfork handler of
 *    rcu.c clears; only children of raw clones go unnoticed then.
 * c. A child's generation is higher than any it inherited, so that what was made in grandparents stays foreign.
 *
 * Progress: cmy_fork_generation() is wait-free but for the first look in a process, which may map a page.
 */
#ifndef CMY_BASE_FORK_H
#define CMY_BASE_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern _Atomic(_Atomic uint64_t *) cmy_fork_word __attribute__((visibility("hidden")));

/* The first look in a process. */
uint64_t cmy_fork_generation_new(void) __attribute__((cold));

/* The generation of the calling process; never 0. */
static inline uint64_t cmy_fork_generation(void)
{
    _Atomic uint64_t *word = atomic_load_explicit(&cmy_fork_word, memory_order_acquire);
    uint64_t generation = atomic_load_explicit(word, memory_order_relaxed);
    return __builtin_expect(generation != 0, 1) ? generation : cmy_fork_generation_new();
}

/* Whether a generation, of this process or an ancestor of it, is the calling process's. */
static inline bool cmy_fork_same(uint64_t generation)
{
    _Atomic uint64_t *word = atomic_load_explicit(&cmy_fork_word, memory_order_acquire);
    return atomic_load_explicit(word, memory_order_relaxed) == generation; /* 0 before the first look: nobody's */
}

/* Called once by the atfork handler in a child, where the word may be one that the kernel did not wipe. */
void cmy_fork_in_child(void);

#endif /* CMY_BASE_FORK_H */
