/* Hashes of ids (base/hash.h, index/key.h), beside what xxHash says of them. */
#include <criterion/criterion.h>

#include "index/key.h"

#define MOST 64u

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state ^ *state >> 29;
}

static void assert_same(const char *text, size_t bytes, uint64_t seed)
{
    cmy_salt_t salt;
    cmy_key_t plain, salted;
    cmy_salt_make(seed, &salt);
    cmy_key_make(&plain, seed, text, bytes);
    cmy_key_make_salted(&salted, &salt, text, bytes);
    uint64_t should = XXH3_64bits_withSeed(text, bytes, seed);
    cr_assert_eq(plain.hash, should, "%zu bytes, seed %#llx", bytes, (unsigned long long)seed);
    cr_assert_eq(salted.hash, should, "%zu bytes, seed %#llx", bytes, (unsigned long long)seed);
    cr_assert_eq(cmy_key_hash(text, bytes, seed), should);
    cr_assert(salted.bytes == bytes && salted.text == text);
}

Test(hash, is_xxh3_at_each_length_wherever_the_text_lies_whatever_the_seed)
{
    uint64_t state = 1;
    char room[MOST + 16];
    for (size_t bytes = 1; bytes <= MOST; bytes++)
        for (size_t turn = 0; turn < 4000; turn++) {
            char *text = room + turn % 16;
            for (size_t i = 0; i < bytes; i++)
                text[i] = (char)next(&state);
            assert_same(text, bytes, next(&state));
        }
}

Test(hash, is_xxh3_where_a_carry_or_a_borrow_of_the_seed_runs_through_its_words)
{
    char text[MOST];
    memset(text, 0xff, sizeof text);
    for (size_t bytes = 1; bytes <= MOST; bytes++)
        for (unsigned bit = 0; bit < 64; bit++) {
            assert_same(text, bytes, 1ull << bit);
            assert_same(text, bytes, ~(1ull << bit));
            assert_same(text, bytes, (1ull << bit) - 1);
            assert_same(text, bytes, 0 - (1ull << bit));
        }
}

Test(hash, of_one_bit_more_or_less_is_another)
{
    cmy_salt_t salt;
    char text[32] = "payments-000-of-the-west-1-a-b-c";
    cmy_salt_make(7, &salt);
    for (size_t bytes = 9; bytes <= 32; bytes++) {
        cmy_key_t before, after;
        cmy_key_make_salted(&before, &salt, text, bytes);
        for (size_t bit = 0; bit < bytes * 8; bit++) {
            text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
            cmy_key_make_salted(&after, &salt, text, bytes);
            text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
            cr_assert_neq(before.hash, after.hash, "bit %zu of %zu bytes", bit, bytes);
        }
    }
}
