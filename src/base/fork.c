/* Generations: see fork.h. */
#include "base/fork.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t ordinary_word;
static _Atomic uint64_t last_generation; /* private memory: a child goes on from its parent's */
static pthread_once_t mapped = PTHREAD_ONCE_INIT;

/* Nobody gets a generation before map_word() has settled which word holds it: until then this one reads as 0. */
_Atomic(_Atomic uint64_t *) cmy_fork_word = &ordinary_word;

static void map_word(void)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, bytes, MADV_WIPEONFORK)) {
        munmap(page, bytes);
        return;
    }
    atomic_store_explicit(&cmy_fork_word, (_Atomic uint64_t *)page, memory_order_release);
}

uint64_t cmy_fork_generation_new(void)
{
    pthread_once(&mapped, map_word);
    _Atomic uint64_t *word = atomic_load_explicit(&cmy_fork_word, memory_order_acquire);
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    if (seen)
        return seen;
    /* Threads that race here draw a number each; one of them is the process's, the others are never used. */
    uint64_t mine = atomic_fetch_add_explicit(&last_generation, 1, memory_order_relaxed) + 1;
    if (atomic_compare_exchange_strong_explicit(word, &seen, mine, memory_order_acq_rel, memory_order_acquire))
        return mine;
    return seen;
}

void cmy_fork_in_child(void)
{
    _Atomic uint64_t *word = atomic_load_explicit(&cmy_fork_word, memory_order_acquire);
    atomic_store_explicit(word, 0, memory_order_relaxed);
}
