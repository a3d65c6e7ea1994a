/* Short texts on the way of a lookup (base/bytes.h), beside what the C library says of them. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <sys/mman.h>

#include "base/bytes.h"

#define MOST 130u

#ifdef CMY_SCHEDULE /* the way of builds that look at every access */
void cmy_schedule_point(const void *word)
{
    (void)word;
}
#endif

/* Memory whose last byte lies in front of a page that nobody may touch, and whose first behind one. */
static char *fenced(void)
{
    char *pages = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(pages, MAP_FAILED);
    cr_assert_eq(mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE), 0);
    return pages + 4096;
}

Test(bytes, a_length_is_what_strnlen_says_wherever_the_text_lies)
{
    char *page = fenced();
    for (size_t max = 1; max <= MOST; max++)
        for (size_t length = 0; length <= max + 1; length++)
            for (size_t at = 0; at < 17; at++) {
                char *first = page + at, *last = page + 4096 - length - 1 - at;
                memset(page, 'x', 4096);
                first[length] = last[length] = '\0';
                if (at > 0)
                    first[-1] = last[-1] = '\0'; /* what stands in front of it is none of its business */
                cr_assert_eq(cmy_bytes_length(first, max), length < max ? length : max, "%zu of %zu", length, max);
                cr_assert_eq(cmy_bytes_length(last, max), length < max ? length : max, "%zu of %zu", length, max);
            }
}

Test(bytes, a_short_length_is_what_strlen_says_and_a_longer_one_is_known_to_be_longer)
{
    char *page = fenced();
    for (size_t length = 0; length <= 64; length++)
        for (size_t at = 0; at < 33; at++) {
            char *first = page + at, *last = page + 4096 - length - 1 - at;
            memset(page, 'x', 4096);
            first[length] = last[length] = '\0';
            if (at > 0)
                first[-1] = last[-1] = '\0';
            size_t begins = cmy_bytes_short_length(first), ends = cmy_bytes_short_length(last);
            cr_assert(length <= 32 ? begins == length : begins > 32, "%zu: %zu", length, begins);
            cr_assert(length <= 32 ? ends == length : ends > 32, "%zu: %zu", length, ends);
        }
}

Test(bytes, a_text_without_an_end_is_looked_at_up_to_the_bound_only)
{
    char *page = fenced();
    memset(page, 'x', 4096);
    for (size_t max = 1; max <= MOST; max++)
        cr_assert_eq(cmy_bytes_length(page + 4096 - max, max), max);
}

Test(bytes, two_texts_are_the_same_when_every_byte_is)
{
    cmy_word64_t words[(MOST + 7) / 8];
    char text[MOST];
    for (size_t i = 0; i < MOST; i++)
        text[i] = (char)(1 + i * 7);
    memset(words, 0xee, sizeof words);
    memcpy(words, text, MOST);
    for (size_t bytes = 1; bytes <= MOST - 2; bytes++) {
        cr_assert(cmy_bytes_same(words, text, bytes), "%zu", bytes);
        for (size_t at = 0; at < MOST; at++) {
            text[at] ^= 0x40;
            cr_assert_eq(cmy_bytes_same(words, text, bytes), at >= bytes, "byte %zu of %zu", at, bytes);
            if (bytes >= 9 && bytes <= 16)
                cr_assert_eq(cmy_bytes_same_9_to_16(words, text, bytes), at >= bytes, "byte %zu of %zu", at, bytes);
            if (bytes >= 17 && bytes <= 32)
                cr_assert_eq(cmy_bytes_same_17_to_32(words, text, bytes), at >= bytes, "byte %zu of %zu", at, bytes);
            text[at] ^= 0x40;
        }
    }
}

Test(bytes, a_copy_is_as_long_as_it_was_said_to_be)
{
    cmy_word64_t words[5];
    unsigned char from[40], to[56], loaded[56];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(1 + i);
    memcpy(words, from, sizeof from);
    for (size_t bytes = 0; bytes <= 32; bytes++) {
        memset(to, 0xee, sizeof to);
        memset(loaded, 0xee, sizeof loaded);
        cmy_bytes_copy(to + 8, from, bytes);
        cmy_bytes_load((char *)loaded + 8, words, bytes);
        for (size_t i = 0; i < sizeof to; i++) {
            unsigned char should = i >= 8 && i < 8 + bytes ? from[i - 8] : 0xee;
            cr_assert_eq(to[i], should, "byte %zu of %zu", i, bytes);
            cr_assert_eq(loaded[i], should, "byte %zu of %zu, shared", i, bytes);
        }
    }
}
