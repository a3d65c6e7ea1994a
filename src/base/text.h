/* Text: checking what people pass in, and moving it in and out of shared words. */
#ifndef CMY_BASE_TEXT_H
#define CMY_BASE_TEXT_H

#include <string.h>

#include <commy/types.h>

#include "base/atomic.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a text's first byte is its word's lowest");

/*
 * The bytes of a text behind its last whole word, as a word padded with NUL: 1 to 7, since bytes is no multiple of 8.
 * Reads nothing outside the text.
 */
static inline uint64_t cmy_text_tail(const char *text, size_t bytes)
{
    size_t rest = bytes % 8;
    if (bytes > 8) {
        uint64_t last;
        memcpy(&last, text + bytes - 8, 8);
        return last >> (64 - 8 * rest);
    }
    if (rest >= 4) {
        uint32_t first, last;
        memcpy(&first, text, 4);
        memcpy(&last, text + rest - 4, 4);
        return first | (uint64_t)last << 8 * (rest - 4);
    }
    /* The first, the middle and the last of at most three, some of which are the same. */
    return (uint64_t)(unsigned char)text[0] | (uint64_t)(unsigned char)text[rest / 2] << 8 * (rest / 2) |
           (uint64_t)(unsigned char)text[rest - 1] << 8 * (rest - 1);
}

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

/* Writes `bytes` bytes and NUL padding into `words` words with relaxed stores. bytes <= words * 8. */
void cmy_text_store(cmy_word64_t *to, size_t words, const char *text, size_t bytes);

/* Copies `bytes` bytes out of shared words with relaxed loads and adds a NUL. to has room for bytes + 1. */
void cmy_text_load(const cmy_word64_t *from, size_t bytes, char *to);

#endif /* CMY_BASE_TEXT_H */
