/*
 * Read-copy-update for what the threads of one process read concurrently. The only include of liburcu.
 *
 * a. What is reachable from a pointer read with cmy_rcu_load() between cmy_rcu_read_lock() and cmy_rcu_read_unlock()
 *    stays allocated until the unlock, if whoever takes it away unpublishes it first, then calls cmy_rcu_synchronize(),
 *    then frees it.
 * b. Any thread may read, without registering, from its first instruction to its last; so may a signal handler. Read
 *    sections nest.
 * c. Reading is wait-free and makes no system call (but for a thread's first section, which enters liburcu's registry).
 *    cmy_rcu_synchronize() waits for the sections that are open when it is called; it must not be called inside one,
 *    nor under a lock that is taken inside one.
 * d. No code of the library's users runs inside a read section.
 * e. A child of fork() reads and synchronises at once (rcu.c).
 *
 * The flavour is -bp, because threads that we did not make come and go as they like. Its read side is compiled in
 * (_LGPL_SOURCE): measured around an empty lookup, a section then costs 6 ns, and 7.5 as calls into liburcu.so, where the
 * lookup itself takes 10 and more. The licence allows it for any program: the functions have ten lines at most, which is what
 * section 5 of the LGPL 2.1 sets free, and what liburcu's own comments say of them; the layouts that they rely on are
 * fixed within liburcu's soname. Builds with a sanitizer make the calls: liburcu 0.13 keeps its readers at addresses less
 * aligned than it declares, which is harmless, but not to the undefined-behaviour sanitizer. So does clang's analyser,
 * which does not know that the first section's registration sets the pointer that is read next.
 *
 * Pointers are published with the compiler's atomics instead of liburcu's macros: the code is the same, but liburcu
 * stores through inline assembly and volatile, which the thread sanitizer takes for a race.
 *
 * What the sanitizer cannot see, because liburcu is not compiled with it, are the edges of a grace period:
 *
 *     reader's unlock  -->  synchronize() returns      what the section read is read before it is freed
 *     synchronize() is called  -->  a later lock       what was unpublished before is not found after
 *
 * They are told to it on two different addresses: on one, each reader's unlock would also seem to order the next
 * reader's lock, and races between readers would go unseen.
 */
#ifndef CMY_BASE_RCU_H
#define CMY_BASE_RCU_H

#include <stdbool.h>

#if defined(__SANITIZE_THREAD__)
#define CMY_RCU_TSAN 1
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || defined(__clang_analyzer__)
#define CMY_RCU_CALLS 1
#endif
#if defined(__has_feature) /* clang's way to say the same */
#if __has_feature(thread_sanitizer)
#define CMY_RCU_TSAN 1
#endif
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define CMY_RCU_CALLS 1
#endif
#endif

#if !defined(CMY_RCU_CALLS) && !defined(_LGPL_SOURCE)
#define _LGPL_SOURCE
#endif
#include <urcu-bp.h>

#if !defined(CMY_RCU_CALLS) && defined(__GLIBC__)
/* The reader's pointer at a fixed offset from the thread's; asking for its address costs more than the section does. As
 * with base/error.c's, the eight bytes that liburcu has there fit into what glibc keeps for libraries opened later. */
extern __thread struct urcu_bp_reader *urcu_bp_reader __attribute__((tls_model("initial-exec")));
#endif

#ifdef CMY_RCU_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
extern char cmy_rcu_readers_left, cmy_rcu_grace_begun; /* their addresses stand for the edges */
#define CMY_RCU_ACQUIRE(edge) __tsan_acquire(&(edge))
#define CMY_RCU_RELEASE(edge) __tsan_release(&(edge))
#else
#define CMY_RCU_ACQUIRE(edge) ((void)0)
#define CMY_RCU_RELEASE(edge) ((void)0)
#endif

/* Opens a read section. */
static inline void cmy_rcu_read_lock(void)
{
    urcu_bp_read_lock();
    CMY_RCU_ACQUIRE(cmy_rcu_grace_begun);
}

/* Closes it. */
static inline void cmy_rcu_read_unlock(void)
{
    CMY_RCU_RELEASE(cmy_rcu_readers_left);
    urcu_bp_read_unlock();
}

/* Reads a published pointer; pairs with cmy_rcu_store(), _exchange() and _swap(). place: address of the pointer. */
#define cmy_rcu_load(place) __atomic_load_n((place), __ATOMIC_CONSUME)

/* Publishes a pointer: whoever loads it sees what was written before. */
#define cmy_rcu_store(place, pointer) __atomic_store_n((place), (pointer), __ATOMIC_RELEASE)

/* The same, and returns what was there. */
#define cmy_rcu_exchange(place, pointer) __atomic_exchange_n((place), (pointer), __ATOMIC_ACQ_REL)

/* Publishes `to` if `*seen` is still there; otherwise stores what is there in *seen and returns false. */
#define cmy_rcu_swap(place, seen, to)                                                                                  \
    __atomic_compare_exchange_n((place), (seen), (to), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* Waits until every read section that is open now has been closed. Blocks for as long as the longest of them. */
void cmy_rcu_synchronize(void);

/*
 * Installs the fork handlers; done by a constructor, and again harmlessly by anybody. Returns false if that failed for
 * want of memory: forked children are then no better off than after a raw clone.
 */
bool cmy_rcu_ready(void);

/* False in a child that was made past the fork handlers: cmy_rcu_synchronize() may wait for readers it does not have. */
bool cmy_rcu_sound(void);

#endif /* CMY_BASE_RCU_H */
