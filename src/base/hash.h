/*
 * Hashes of ids and names: XXH3 with the region's seed.
 *
 * For texts of 9 to 32 bytes XXH3 mixes the seed into words of its secret, the same ones each time. A salt is those
 * words, made once for a region, which spares each lookup a third of its hash. The values are XXH3's, and so are the parts
 * they are put together from: what is written out here is the order of a few lines of xxhash.h, and a test holds it against
 * XXH3_64bits_withSeed() at every length.
 */
#ifndef CMY_BASE_HASH_H
#define CMY_BASE_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"

typedef struct cmy_salt {
    uint64_t seed;
    uint64_t ends[2];   /* for the two words, which may overlap, of 9 to 16 bytes */
    uint64_t halves[4]; /* for the two blocks of 16, which may overlap, of 17 to 32 bytes */
} cmy_salt_t;

void cmy_salt_make(uint64_t seed, cmy_salt_t *salt);

/* XXH3_avalanche(), so that the upper half can be seen not to depend on its last step: it is waited for first. */
static inline uint64_t cmy_hash_end(uint64_t mixed)
{
    mixed = XXH_xorshift64(mixed, 37) * 0x165667919e3779f9u;
    uint32_t upper = (uint32_t)(mixed >> 32);
    return (uint64_t)upper << 32 | ((uint32_t)mixed ^ upper);
}

/* The hash of a text of 17 to 32 bytes. */
static inline __attribute__((always_inline)) uint64_t cmy_hash_17_to_32(const cmy_salt_t *salt, const char *text,
                                                                        size_t bytes)
{
    const char *last = text + bytes - 16;
    uint64_t first_half = XXH3_mul128_fold64(XXH_readLE64(text) ^ salt->halves[0], //
                                             XXH_readLE64(text + 8) ^ salt->halves[1]);
    first_half += bytes * XXH_PRIME64_1;
    CMY_SETTLE(first_half); /* all that need not wait for the last block */
    uint64_t last_half = XXH3_mul128_fold64(XXH_readLE64(last) ^ salt->halves[2], //
                                            XXH_readLE64(last + 8) ^ salt->halves[3]);
    return cmy_hash_end(first_half + last_half);
}

/* The hash of a text of 9 to 16 bytes. */
static inline __attribute__((always_inline)) uint64_t cmy_hash_9_to_16(const cmy_salt_t *salt, const char *text,
                                                                       size_t bytes)
{
    uint64_t first = XXH_readLE64(text) ^ salt->ends[0], last = XXH_readLE64(text + bytes - 8) ^ salt->ends[1];
    return cmy_hash_end(bytes + XXH_swap64(first) + last + XXH3_mul128_fold64(first, last));
}

/* The hash of a text of up to 32 bytes. */
static inline __attribute__((always_inline)) uint64_t cmy_hash_to_32(const cmy_salt_t *salt, const char *text,
                                                                     size_t bytes)
{
    return bytes > 16  ? cmy_hash_17_to_32(salt, text, bytes)
           : bytes > 8 ? cmy_hash_9_to_16(salt, text, bytes)
                       : XXH3_64bits_withSeed(text, bytes, salt->seed);
}

#endif /* CMY_BASE_HASH_H */
