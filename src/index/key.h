/*
 * Keys: ids and names as they are looked up.
 *
 * The hash of a text is XXH3 with the region's seed. A short one, of up to 31 bytes, is padded with NUL to four words first,
 * which no other text pads to, since none holds a NUL: with a length that the compiler knows the hash takes half the
 * instructions, and the words are those that the text is compared by.
 */
#ifndef CMY_INDEX_KEY_H
#define CMY_INDEX_KEY_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/text.h"

#define CMY_SHORT_KEY_WORDS 4u
#define CMY_SHORT_KEY_BYTES (8 * CMY_SHORT_KEY_WORDS) /* with a NUL */

typedef struct cmy_key {
    uint64_t hash;
    const char *text; /* the caller's, which is read again where a long one is compared */
    uint32_t bytes;
    uint64_t word[CMY_SHORT_KEY_WORDS]; /* of a short one */
} cmy_key_t;

/* Pads a text of 1 to 31 bytes; reads nothing outside it. */
static inline void cmy_key_pad(const char *text, size_t bytes, uint64_t word[CMY_SHORT_KEY_WORDS])
{
    word[1] = word[2] = word[3] = 0;
    if (bytes < 8) {
        word[0] = cmy_text_tail(text, bytes);
        return;
    }
    /* The whole words, then the last eight bytes, of which those that are in a whole word already are shifted out. */
    uint64_t last;
    size_t rest = bytes % 8;
    memcpy(&last, text + bytes - 8, 8);
    last = rest ? last >> (64 - 8 * rest) : 0;
    memcpy(&word[0], text, 8);
    if (bytes < 16) {
        word[1] = last;
        return;
    }
    memcpy(&word[1], text + 8, 8);
    if (bytes < 24) {
        word[2] = last;
        return;
    }
    memcpy(&word[2], text + 16, 8);
    word[3] = last;
}

/* A long text's hash. */
uint64_t cmy_key_hash_long(const char *text, size_t bytes, uint64_t seed);

/* text: not empty. seed: the region's. */
static inline __attribute__((always_inline)) void cmy_key_make(cmy_key_t *key, uint64_t seed, const char *text,
                                                               size_t bytes)
{
    key->text = text;
    key->bytes = (uint32_t)bytes;
    if (__builtin_expect(bytes < CMY_SHORT_KEY_BYTES, 1)) {
        cmy_key_pad(text, bytes, key->word);
        key->hash = XXH3_64bits_withSeed(key->word, CMY_SHORT_KEY_BYTES, seed);
    } else {
        key->hash = cmy_key_hash_long(text, bytes, seed);
    }
}

static inline bool cmy_key_short(const cmy_key_t *key)
{
    return key->bytes < CMY_SHORT_KEY_BYTES;
}

/* Whether shared words, padded with NUL, hold a short key's text. */
static inline bool cmy_key_equal_short(const cmy_key_t *key, const cmy_word64_t *words)
{
    return ((key->word[0] ^ cmy_load64_relaxed(&words[0])) | (key->word[1] ^ cmy_load64_relaxed(&words[1])) |
            (key->word[2] ^ cmy_load64_relaxed(&words[2])) | (key->word[3] ^ cmy_load64_relaxed(&words[3]))) == 0;
}

/* Whether shared words hold a long key's text; their lengths were compared. */
bool cmy_key_equal_long(const cmy_key_t *key, const cmy_word64_t *words);

static inline bool cmy_key_equal(const cmy_key_t *key, const cmy_word64_t *words)
{
    return cmy_key_short(key) ? cmy_key_equal_short(key, words) : cmy_key_equal_long(key, words);
}

/* The hash of a text that is no key to be looked up; 0 bytes: of damaged regions only. */
uint64_t cmy_key_hash(const char *text, size_t bytes, uint64_t seed);

#endif /* CMY_INDEX_KEY_H */
