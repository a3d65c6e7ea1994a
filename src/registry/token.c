/* Tokens of requests; see token.h. */
#include "registry/token.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

/* State: generation (32), and whether the place is open. */
typedef struct place {
    _Atomic uint64_t state;
    _Atomic uint32_t next; /* of the free ones; number + 1, 0: none */
    cmy_flight_t flight;   /* whoever opened it writes; whoever closed it reads */
} place_t;

#define STATE_OPEN 1u
static uint64_t state_of(uint32_t generation, bool open)
{
    return (uint64_t)generation << 1 | (open ? STATE_OPEN : 0);
}

struct cmy_tokens {
    uint64_t life;         /* 1 to 65,535 */
    _Atomic uint64_t free; /* counter (32), number of the first free place + 1 (32) */
    _Atomic uint32_t used; /* places from here on were never used */
    place_t place[CMY_TOKENS];
};

static _Atomic uint64_t lives;

/* The first is drawn: no secret is needed, only a number that other processes do not have. */
static uint64_t next_life(void)
{
    uint64_t none = 0, drawn = (cmy_clock_monotonic_ns() ^ (uint64_t)getpid() << 32) * 0x9e3779b97f4a7c15ull >> 16 | 1;
    atomic_compare_exchange_strong_explicit(&lives, &none, drawn, memory_order_relaxed, memory_order_relaxed);
    return atomic_fetch_add_explicit(&lives, 1, memory_order_relaxed) % 0xffffu + 1;
}

commy_status_t cmy_tokens_make(cmy_tokens_t **tokens)
{
    /* Pages that are not touched take no memory. */
    void *memory =
        mmap(NULL, sizeof **tokens, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for a table of %zu bytes for requests in flight",
                        sizeof **tokens);
    *tokens = memory;
    (*tokens)->life = next_life();
    return COMMY_STATUS_SUCCESS;
}

void cmy_tokens_free(cmy_tokens_t **tokens)
{
    if (*tokens)
        munmap(*tokens, sizeof **tokens);
    *tokens = NULL;
}

/* ------------------------------------------------------------------ places */

static bool take_free(cmy_tokens_t *tokens, uint32_t *number)
{
    uint64_t head = atomic_load_explicit(&tokens->free, memory_order_acquire);
    while ((uint32_t)head != 0) {
        *number = (uint32_t)head - 1;
        /* What is read may belong to a later place in the list; the counter then has moved on. */
        uint64_t next = atomic_load_explicit(&tokens->place[*number].next, memory_order_relaxed);
        uint64_t to = ((head >> 32) + 1) << 32 | next;
        if (atomic_compare_exchange_weak_explicit(&tokens->free, &head, to, memory_order_acquire, memory_order_acquire))
            return true;
    }
    return false;
}

static bool take_unused(cmy_tokens_t *tokens, uint32_t *number)
{
    *number = atomic_load_explicit(&tokens->used, memory_order_relaxed);
    while (*number < CMY_TOKENS)
        if (atomic_compare_exchange_weak_explicit(&tokens->used, number, *number + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static void give_back(cmy_tokens_t *tokens, uint32_t number)
{
    uint64_t head = atomic_load_explicit(&tokens->free, memory_order_relaxed), to;
    do {
        atomic_store_explicit(&tokens->place[number].next, (uint32_t)head, memory_order_relaxed);
        to = ((head >> 32) + 1) << 32 | (number + 1);
    } while (
        !atomic_compare_exchange_weak_explicit(&tokens->free, &head, to, memory_order_release, memory_order_relaxed));
}

/* ------------------------------------------------------------------ tokens */

commy_status_t cmy_token_open(cmy_tokens_t *tokens, const cmy_flight_t *flight, uint64_t *token)
{
    uint32_t number;
    if (!take_free(tokens, &number) && !take_unused(tokens, &number))
        return cmy_fail(COMMY_STATUS_LIMIT, "%u requests of this handle are in flight, which is the most: end some",
                        CMY_TOKENS);
    place_t *place = &tokens->place[number];
    uint32_t generation = (uint32_t)(atomic_load_explicit(&place->state, memory_order_relaxed) >> 1);
    place->flight = *flight;
    /* Pairs with the CAS of whoever closes it. */
    atomic_store_explicit(&place->state, state_of(generation, true), memory_order_release);
    *token = tokens->life << 48 | (uint64_t)generation << 16 | number;
    return COMMY_STATUS_SUCCESS;
}

bool cmy_token_close(cmy_tokens_t *tokens, uint64_t token, cmy_flight_t *flight)
{
    uint32_t number = (uint32_t)(token & 0xffffu), generation = (uint32_t)(token >> 16);
    if (token >> 48 != tokens->life || number >= CMY_TOKENS)
        return false;
    place_t *place = &tokens->place[number];
    uint64_t open = state_of(generation, true);
    if (!atomic_compare_exchange_strong_explicit(&place->state, &open, state_of(generation + 1, false),
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    *flight = place->flight;
    give_back(tokens, number);
    return true;
}
