/* Text: checking what people pass in, and moving it in and out of shared words. */
#ifndef CMY_BASE_TEXT_H
#define CMY_BASE_TEXT_H

#include <commy/types.h>

#include "base/atomic.h"

/*
 * Checks a string: length within bounds (read no further than max + 1 bytes), UTF-8, no control characters.
 * what: how the sentence names it ("service name"). multiline: newline and tab are allowed.
 * bytes: receives the length; may be null. Errors: INVALID, with a sentence that names the value and the bound.
 */
commy_status_t cmy_text_check(const char *what, const char *text, size_t min, size_t max, bool multiline,
                              size_t *bytes);

/* Checks a mesh or node name: 1-63 of A-Z a-z 0-9 . _ -, and neither "." nor "..". */
commy_status_t cmy_text_check_token(const char *what, const char *text, size_t *bytes);

/* Prints text into a sentence with control characters escaped and its length cut; returns out. */
const char *cmy_text_quote(const char *text, char *out, size_t capacity);

/* Ends what was cut to fill `capacity` bytes with an ellipsis in place of its last whole characters. capacity: 4 or more. */
void cmy_text_cut(char *text, size_t capacity);

/* Writes `bytes` bytes and NUL padding into `words` words with relaxed stores. bytes <= words * 8. */
void cmy_text_store(cmy_word64_t *to, size_t words, const char *text, size_t bytes);

/* Copies `bytes` bytes out of shared words with relaxed loads and adds a NUL. to has room for bytes + 1. */
void cmy_text_load(const cmy_word64_t *from, size_t bytes, char *to);

#endif /* CMY_BASE_TEXT_H */
