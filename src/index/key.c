/* Keys that are long, and hashes alone; see key.h. */
#include "index/key.h"

uint64_t cmy_key_hash_long(const char *text, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(text, bytes, seed);
}

uint64_t cmy_key_hash(const char *text, size_t bytes, uint64_t seed)
{
    cmy_key_t key = {0};
    if (bytes > 0)
        cmy_key_make(&key, seed, text, bytes);
    return key.hash;
}

bool cmy_key_equal_long(const cmy_key_t *key, const cmy_word64_t *words)
{
    uint64_t word, differ = 0;
    size_t whole = key->bytes / 8;
    for (size_t i = 0; i < whole; i++) {
        memcpy(&word, key->text + 8 * i, 8);
        differ |= word ^ cmy_load64_relaxed(&words[i]);
    }
    if (key->bytes % 8 != 0)
        differ |= cmy_text_tail(key->text, key->bytes) ^ cmy_load64_relaxed(&words[whole]);
    return differ == 0;
}
