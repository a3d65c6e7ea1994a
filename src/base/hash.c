/* Hashes; see hash.h. */
#include "base/hash.h"

static uint64_t secret(size_t at)
{
    return XXH_readLE64(XXH3_kSecret + at);
}

void cmy_salt_make(uint64_t seed, cmy_salt_t *salt)
{
    *salt = (cmy_salt_t){
        .seed = seed,
        .ends = {(secret(24) ^ secret(32)) + seed, (secret(40) ^ secret(48)) - seed},
        .halves = {secret(0) + seed, secret(8) - seed, secret(16) + seed, secret(24) - seed},
    };
}
