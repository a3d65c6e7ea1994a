/* Keys: the text of an id or a name, its hash, and its bytes as words that compare with shared ones. */
#ifndef CMY_INDEX_KEY_H
#define CMY_INDEX_KEY_H

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/atomic.h"

#define CMY_KEY_WORDS 16u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a text's first byte is its word's lowest");

typedef struct cmy_key {
    uint64_t hash;
    const char *text; /* the caller's */
    uint32_t bytes, words;
    uint64_t word[CMY_KEY_WORDS]; /* the first `words` are set, padded with NUL */
} cmy_key_t;

/* The 1 to 7 bytes behind the last whole word of a text, padded with NUL; reads nothing outside the text. */
static inline uint64_t cmy_key_tail(const char *text, size_t bytes)
{
    uint64_t tail = 0;
    size_t rest = bytes % 8;
    if (bytes > 8 && rest != 0) {
        memcpy(&tail, text + bytes - 8, 8);
        return tail >> (64 - 8 * rest);
    }
    for (size_t i = rest; i > 0; i--)
        tail = tail << 8 | (unsigned char)text[i - 1];
    return tail;
}

/* bytes: at most CMY_KEY_WORDS * 8 - 1. seed: the region's. */
static inline void cmy_key_make(cmy_key_t *key, uint64_t seed, const char *text, size_t bytes)
{
    size_t whole = bytes / 8;
    key->text = text;
    key->bytes = (uint32_t)bytes;
    key->words = (uint32_t)(bytes + 7) / 8;
    for (size_t i = 0; i < whole; i++)
        memcpy(&key->word[i], text + 8 * i, 8);
    if (bytes % 8 != 0)
        key->word[whole] = cmy_key_tail(text, bytes);
    key->hash = XXH3_64bits_withSeed(text, bytes, seed);
}

/* Whether shared words hold the key's text; their lengths were compared. */
static inline bool cmy_key_equal(const cmy_key_t *key, const cmy_word64_t *words)
{
    uint64_t differ = 0;
    for (uint32_t i = 0; i < key->words; i++)
        differ |= key->word[i] ^ cmy_load64_relaxed(&words[i]);
    return differ == 0;
}

#endif /* CMY_INDEX_KEY_H */
