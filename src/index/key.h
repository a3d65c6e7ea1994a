/* Keys: the text of an id or a name, its hash, and its bytes as words that compare with shared ones. */
#ifndef CMY_INDEX_KEY_H
#define CMY_INDEX_KEY_H

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/atomic.h"

#define CMY_KEY_WORDS 16u

typedef struct cmy_key {
    uint64_t hash;
    const char *text; /* the caller's */
    uint32_t bytes, words;
    uint64_t word[CMY_KEY_WORDS]; /* the first `words` are set, padded with NUL */
} cmy_key_t;

/* bytes: at most CMY_KEY_WORDS * 8 - 1. seed: the region's. */
static inline void cmy_key_make(cmy_key_t *key, uint64_t seed, const char *text, size_t bytes)
{
    key->text = text;
    key->bytes = (uint32_t)bytes;
    key->words = (uint32_t)(bytes + 7) / 8;
    key->word[bytes / 8] = 0; /* the last, partial word; memcpy covers every other */
    memcpy(key->word, text, bytes);
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
