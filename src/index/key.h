/* Keys: an id or a name as it is looked up. Its hash is XXH3 with the region's seed. */
#ifndef CMY_INDEX_KEY_H
#define CMY_INDEX_KEY_H

#include "base/bytes.h"
#include "base/hash.h"

typedef struct cmy_key {
    uint64_t hash;
    const char *text; /* the caller's, which is read again where the key is compared */
    uint32_t bytes;
} cmy_key_t;

/* A text's hash, of any length. */
uint64_t cmy_key_hash(const char *text, size_t bytes, uint64_t seed);

/* How long a text is whose hash is inlined, which takes half the instructions where the compiler knows so much. */
#define CMY_SHORT_KEY_BYTES 32u

/* seed: the region's. */
static inline __attribute__((always_inline)) void cmy_key_make(cmy_key_t *key, uint64_t seed, const char *text,
                                                               size_t bytes)
{
    key->text = text;
    key->bytes = (uint32_t)bytes;
    key->hash = __builtin_expect(bytes <= CMY_SHORT_KEY_BYTES, 1) ? XXH3_64bits_withSeed(text, bytes, seed)
                                                                  : cmy_key_hash(text, bytes, seed);
}

/* The same, with what was made of the seed. */
static inline __attribute__((always_inline)) void cmy_key_make_salted(cmy_key_t *key, const cmy_salt_t *salt,
                                                                      const char *text, size_t bytes)
{
    key->text = text;
    key->bytes = (uint32_t)bytes;
    key->hash = bytes > CMY_SHORT_KEY_BYTES ? cmy_key_hash(text, bytes, salt->seed) : cmy_hash_to_32(salt, text, bytes);
}

/* Whether shared words hold the key's text; their lengths were compared. */
static inline bool cmy_key_equal(const cmy_key_t *key, const cmy_word64_t *words)
{
    return cmy_bytes_same(words, key->text, key->bytes);
}

#endif /* CMY_INDEX_KEY_H */
