/*
 * Read-copy-update across fork().
 *
 * liburcu keeps a list of reading threads, and two locks: one is held throughout a grace period, one guards the list. A
 * child inherits the list with threads it does not have and the locks as they happen to be. So both locks are taken
 * before the fork, and the child strikes all other threads from the list before it lets go of them.
 *
 * Why this does not deadlock:
 *
 * 1. Inside the library. fork() waits here for a grace period that is under way, which waits for read sections; these
 *    wait for no lock that is held across a grace period or a fork. The exception is a fork from within a section (from
 *    a signal handler that interrupted it): it would wait for the grace period, and that for it. Such a fork leaves the
 *    locks alone, and its child is not sound.
 * 2. With locks of the program. Handlers run last in, first out. A program that takes its own lock in a handler which it
 *    registered before this library was loaded takes it after ours; if other threads call commy_destroy_mesh() or
 *    commy_stop_mesh() while they hold that lock, the orders cross. Nobody but the program can avoid that: load the
 *    library first, or do not destroy under a lock that fork needs.
 * 3. With other users of liburcu-bp. The locks are not recursive, so a second library that brackets fork() with
 *    urcu_bp_before_fork() in the same process would wait for itself. liburcu leaves no way to share them. (LTTng, its
 *    best-known user, has carried a copy under names of its own since 2.13.)
 *
 * A child of raw clone(2) runs no handlers. It may have inherited a lock that is held by nobody, or a section that will
 * never be closed, exactly as it may have inherited malloc's lock. cmy_rcu_sound() tells, and those that only clean up
 * after a parent keep what they cannot safely free. Read sections of the cloning thread work in any case.
 */
#include "base/rcu.h"

#include "base/fork.h"

#ifdef CMY_RCU_TSAN
char cmy_rcu_readers_left, cmy_rcu_grace_begun;
#endif

static pthread_once_t installed = PTHREAD_ONCE_INIT;
static bool handlers_run;
static _Atomic uint64_t sound_generation; /* the one that liburcu's list of readers is right for */
static __thread bool holding;             /* between before_fork() and what follows it, in the forking thread */

static void before_fork(void)
{
    holding = !urcu_bp_read_ongoing();
    if (holding)
        urcu_bp_before_fork();
}

static void after_fork_in_parent(void)
{
    if (holding)
        urcu_bp_after_fork_parent();
    holding = false;
}

static void after_fork_in_child(void)
{
    cmy_fork_in_child();
    if (holding) {
        urcu_bp_after_fork_child();
        atomic_store_explicit(&sound_generation, cmy_fork_generation(), memory_order_relaxed);
    }
    holding = false;
}

static void install(void)
{
    atomic_store_explicit(&sound_generation, cmy_fork_generation(), memory_order_relaxed);
    handlers_run = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

/* Never undone: the library is linked with -z nodelete. */
static __attribute__((constructor)) void install_early(void)
{
    pthread_once(&installed, install);
}

bool cmy_rcu_ready(void)
{
    pthread_once(&installed, install);
    return handlers_run;
}

bool cmy_rcu_sound(void)
{
    return atomic_load_explicit(&sound_generation, memory_order_relaxed) == cmy_fork_generation();
}

void cmy_rcu_synchronize(void)
{
    CMY_RCU_RELEASE(cmy_rcu_grace_begun);
    urcu_bp_synchronize_rcu();
    CMY_RCU_ACQUIRE(cmy_rcu_readers_left);
}
