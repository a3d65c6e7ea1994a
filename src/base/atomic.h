/*
 * Words of the region, and the only ways to touch them.
 *
 * Every word that processes share is a cmy_word32_t or a cmy_word64_t and is read and written only through the
 * functions below. The order is in the name; a plain access does not compile. A test build defines CMY_SCHEDULE and
 * supplies cmy_schedule_point(), which then runs before every access: a scheduler can stop or kill the caller there.
 *
 * Orders used, and what they pair with:
 *   acquire load   with the release store or acq_rel CAS that published what it reads
 *   release store  with that acquire load
 *   acq_rel CAS    both ways
 *   seq_cst        only where a store of mine must be ordered before a load of mine (Dekker): member cell and group
 *                  state, version and waiters' flag
 */
#ifndef CMY_BASE_ATOMIC_H
#define CMY_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    _Atomic uint32_t value;
} cmy_word32_t;

typedef struct {
    _Atomic uint64_t value;
} cmy_word64_t;

_Static_assert(sizeof(cmy_word32_t) == 4 && sizeof(cmy_word64_t) == 8, "words are words");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "words need no lock");

/* Whether the thread sanitizer looks on; gcc and clang say so in different words. */
#if defined(__SANITIZE_THREAD__)
#define CMY_THREAD_SANITIZER 1
#elif defined(__has_feature)
#define CMY_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define CMY_THREAD_SANITIZER 0
#endif

#ifdef CMY_SCHEDULE
void cmy_schedule_point(const void *word);
#define CMY_POINT(word) cmy_schedule_point(word)
#else
#define CMY_POINT(word) ((void)0)
#endif

#define CMY_DEFINE_WORD(bits)                                                                                          \
    static inline uint##bits##_t cmy_load##bits##_relaxed(const cmy_word##bits##_t *w)                                 \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_load_explicit(&w->value, memory_order_relaxed);                                                  \
    }                                                                                                                  \
    static inline uint##bits##_t cmy_load##bits##_acquire(const cmy_word##bits##_t *w)                                 \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_load_explicit(&w->value, memory_order_acquire);                                                  \
    }                                                                                                                  \
    static inline uint##bits##_t cmy_load##bits##_seq_cst(const cmy_word##bits##_t *w)                                 \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_load_explicit(&w->value, memory_order_seq_cst);                                                  \
    }                                                                                                                  \
    static inline void cmy_store##bits##_relaxed(cmy_word##bits##_t *w, uint##bits##_t v)                              \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        atomic_store_explicit(&w->value, v, memory_order_relaxed);                                                     \
    }                                                                                                                  \
    static inline void cmy_store##bits##_release(cmy_word##bits##_t *w, uint##bits##_t v)                              \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        atomic_store_explicit(&w->value, v, memory_order_release);                                                     \
    }                                                                                                                  \
    static inline bool cmy_cas##bits##_acq_rel(cmy_word##bits##_t *w, uint##bits##_t *seen, uint##bits##_t v)          \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_compare_exchange_strong_explicit(&w->value, seen, v, memory_order_acq_rel,                       \
                                                       memory_order_acquire);                                          \
    }                                                                                                                  \
    static inline bool cmy_cas##bits##_seq_cst(cmy_word##bits##_t *w, uint##bits##_t *seen, uint##bits##_t v)          \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_compare_exchange_strong_explicit(&w->value, seen, v, memory_order_seq_cst,                       \
                                                       memory_order_seq_cst);                                          \
    }                                                                                                                  \
    static inline uint##bits##_t cmy_add##bits##_relaxed(cmy_word##bits##_t *w, uint##bits##_t v)                      \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_fetch_add_explicit(&w->value, v, memory_order_relaxed);                                          \
    }                                                                                                                  \
    static inline uint##bits##_t cmy_add##bits##_seq_cst(cmy_word##bits##_t *w, uint##bits##_t v)                      \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_fetch_add_explicit(&w->value, v, memory_order_seq_cst);                                          \
    }                                                                                                                  \
    static inline uint##bits##_t cmy_or##bits##_acq_rel(cmy_word##bits##_t *w, uint##bits##_t v)                       \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_fetch_or_explicit(&w->value, v, memory_order_acq_rel);                                           \
    }                                                                                                                  \
    static inline uint##bits##_t cmy_and##bits##_acq_rel(cmy_word##bits##_t *w, uint##bits##_t v)                      \
    {                                                                                                                  \
        CMY_POINT(w);                                                                                                  \
        return atomic_fetch_and_explicit(&w->value, v, memory_order_acq_rel);                                          \
    }

CMY_DEFINE_WORD(32)
CMY_DEFINE_WORD(64)

#undef CMY_DEFINE_WORD

/*
 * Fences. All that they order are atomic words, which the thread sanitizer never reports, so that it need not model
 * them; gcc says so in a warning that is silenced here and nowhere else.
 */
#pragma GCC diagnostic push
#if CMY_THREAD_SANITIZER && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif
static inline void cmy_fence_acquire(void)
{
    atomic_thread_fence(memory_order_acquire);
}

static inline void cmy_fence_release(void)
{
    atomic_thread_fence(memory_order_release);
}
#pragma GCC diagnostic pop

/* CAS that does not care what it found instead. */
static inline bool cmy_swap64_acq_rel(cmy_word64_t *w, uint64_t from, uint64_t to)
{
    return cmy_cas64_acq_rel(w, &from, to);
}

static inline bool cmy_swap32_acq_rel(cmy_word32_t *w, uint32_t from, uint32_t to)
{
    return cmy_cas32_acq_rel(w, &from, to);
}

static inline bool cmy_swap64_seq_cst(cmy_word64_t *w, uint64_t from, uint64_t to)
{
    return cmy_cas64_seq_cst(w, &from, to);
}

static inline bool cmy_swap32_seq_cst(cmy_word32_t *w, uint32_t from, uint32_t to)
{
    return cmy_cas32_seq_cst(w, &from, to);
}

#endif /* CMY_BASE_ATOMIC_H */
