/*
 * Tokens: what a caller holds of a request that it began, and a handle's table of what is behind them.
 *
 *      63          48 47                          16 15      0
 *     +--------------+------------------------------+---------+
 *     | life         | generation of the place      | place   |
 *     +--------------+------------------------------+---------+
 *
 *     place   FREE(g) --open--> OPEN(g) --close--> FREE(g + 1)
 *
 * a. A token closes once, and only in the handle that opened it, while that is joined as it was then: life is a number
 *    that no other joined life of a handle of this process has (of 65,535 in a row), and begins at random, so that other
 *    processes have others.
 * b. A place's generation is 32 bits: a token that is kept after it was closed is mistaken for a later one only if its
 *    place was used a multiple of 2^32 times since.
 * c. Whoever wins the CAS that closes a place owns what is in it until the place is given back.
 *
 * Places are in a list of free ones (a stack; its head has a counter against ABA) and, behind a mark, those never used, so
 * that the table, of 2 MiB, has memory for as many places as were in use at once. It is made with the first token and
 * given back when the handle leaves. Lock-free; private memory, which goes with the process.
 */
#ifndef CMY_REGISTRY_TOKEN_H
#define CMY_REGISTRY_TOKEN_H

#include <commy/commy.h>

#include "stat/flight.h"

#define CMY_TOKENS COMMY_LIMIT_TOKENS

typedef struct cmy_tokens cmy_tokens_t;

/* Errors: NO_MEMORY, with a sentence. */
commy_status_t cmy_tokens_make(cmy_tokens_t **tokens);

/* Nobody uses it any more. Clears *tokens; null is ignored. */
void cmy_tokens_free(cmy_tokens_t **tokens);

/* Opens a place for a request. Errors: LIMIT, with a sentence. */
commy_status_t cmy_token_open(cmy_tokens_t *tokens, const cmy_flight_t *flight, uint64_t *token);

/* Closes the place of a token, and copies what is in it. False where the token is not open here. */
bool cmy_token_close(cmy_tokens_t *tokens, uint64_t token, cmy_flight_t *flight);

#endif /* CMY_REGISTRY_TOKEN_H */
