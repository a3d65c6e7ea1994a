/* Hashes; see key.h. */
#include "index/key.h"

uint64_t cmy_key_hash(const char *text, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(text, bytes, seed);
}
