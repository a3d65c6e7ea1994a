/*
 * Short texts on the way of a lookup: their length, whether two are the same, copying one.
 *
 * The C library does all of this, for texts of any length; a call of it, for an id of 21 bytes, costs a fifth of a lookup. A
 * text of 16 bytes or more is looked at in blocks of 16, the last of which overlaps the one before; a shorter one in two
 * words that overlap.
 *
 * What lies in shared memory is read here in blocks that are not one atomic access: somebody who writes it meanwhile is
 * told by the second look at the record's state, as for any text of several words. Builds that look at every access, for
 * the thread sanitizer and for the tests' scheduler, take the words one by one.
 */
#ifndef CMY_BASE_BYTES_H
#define CMY_BASE_BYTES_H

#include <string.h>

#include "base/atomic.h"

#if defined(__SANITIZE_ADDRESS__)
#define CMY_BYTES_OUTSIDE 0
#elif defined(__has_feature) /* clang's way to say the same */
#define CMY_BYTES_OUTSIDE !__has_feature(address_sanitizer)
#else
#define CMY_BYTES_OUTSIDE 1
#endif

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * Has a value made at this place, as one of which nothing is known. Used where gcc otherwise keeps more values at a time than
 * there are registers: halves of a product, sums that two places could share.
 */
#define CMY_SETTLE(value) __asm__("" : "+r"(value))

/*
 * strnlen(). Looks at aligned blocks, as strlen() itself does, so that what it reads in front of and behind the text lies
 * in the same cache lines; valgrind knows the habit, the address sanitizer does not.
 */
#if defined(__SSE2__) && CMY_BYTES_OUTSIDE
/* Which bytes of an aligned block are NUL: a bit each. */
static inline uint32_t cmy_bytes_ends(const char *block)
{
    __m128i bytes = _mm_load_si128((const __m128i *)(const void *)block);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
}

static inline size_t cmy_bytes_length(const char *text, size_t max)
{
    size_t before = (uintptr_t)text & 15, length = 0;
    const char *block = text - before;
    uint32_t ends = cmy_bytes_ends(block) >> before;
    for (size_t next = 16 - before; ends == 0 && next < max; next += 16) {
        length = next;
        ends = cmy_bytes_ends(block += 16);
    }
    length = ends == 0 ? max : length + (size_t)__builtin_ctz(ends);
    return length < max ? length : max;
}

/* The length of a text of up to 32 bytes; a longer one is told by any number above that. */
static inline __attribute__((always_inline)) uint32_t cmy_bytes_short_length(const char *text)
{
    size_t before = (uintptr_t)text & 15;
    const char *block = text - before;
    uint32_t ends = cmy_bytes_ends(block) >> before;
    if (ends != 0)
        return (uint32_t)__builtin_ctz(ends);
    if ((ends = cmy_bytes_ends(block += 16)) == 0 && (ends = cmy_bytes_ends(block += 16)) == 0)
        return 33;
    return (uint32_t)(block - text) + (uint32_t)__builtin_ctz(ends);
}
#else
static inline size_t cmy_bytes_length(const char *text, size_t max)
{
    return strnlen(text, max);
}

static inline uint32_t cmy_bytes_short_length(const char *text)
{
    return (uint32_t)strnlen(text, 33);
}
#endif

static inline uint64_t cmy_bytes_8(const void *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

static inline uint32_t cmy_bytes_4(const void *from)
{
    uint32_t word;
    memcpy(&word, from, 4);
    return word;
}

/* Copies up to 32 bytes. */
static inline void cmy_bytes_copy(void *to, const void *from, size_t bytes)
{
    unsigned char *into = to;
    const unsigned char *out = from;
    if (bytes >= 16) {
        memcpy(into, out, 16);
        memcpy(into + bytes - 16, out + bytes - 16, 16);
    } else if (bytes >= 8) {
        uint64_t first = cmy_bytes_8(out), last = cmy_bytes_8(out + bytes - 8);
        memcpy(into, &first, 8);
        memcpy(into + bytes - 8, &last, 8);
    } else if (bytes >= 4) {
        uint32_t first = cmy_bytes_4(out), last = cmy_bytes_4(out + bytes - 4);
        memcpy(into, &first, 4);
        memcpy(into + bytes - 4, &last, 4);
    } else if (bytes > 0) { /* the first, the middle and the last of at most three, some of which are the same */
        unsigned char first = out[0], middle = out[bytes / 2], last = out[bytes - 1];
        into[0] = first;
        into[bytes / 2] = middle;
        into[bytes - 1] = last;
    }
}

#if defined(__SSE2__) && !CMY_THREAD_SANITIZER && !defined(CMY_SCHEDULE)

/* Ones where two blocks are the same. */
static inline __m128i cmy_bytes_match(const unsigned char *a, const unsigned char *b)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)a),
                          _mm_loadu_si128((const __m128i *)(const void *)b));
}

/* Whether shared words hold a text. bytes: at least 1. */
static inline bool cmy_bytes_same(const cmy_word64_t *words, const char *text, size_t bytes)
{
    const unsigned char *a = (const void *)words, *b = (const void *)text;
    if (bytes >= 16) {
        __m128i same = cmy_bytes_match(a + bytes - 16, b + bytes - 16);
        for (size_t at = 0; at + 16 < bytes; at += 16)
            same = _mm_and_si128(same, cmy_bytes_match(a + at, b + at));
        return _mm_movemask_epi8(same) == 0xffff;
    }
    if (bytes >= 8)
        return ((cmy_bytes_8(a) ^ cmy_bytes_8(b)) | (cmy_bytes_8(a + bytes - 8) ^ cmy_bytes_8(b + bytes - 8))) == 0;
    if (bytes >= 4)
        return ((cmy_bytes_4(a) ^ cmy_bytes_4(b)) | (cmy_bytes_4(a + bytes - 4) ^ cmy_bytes_4(b + bytes - 4))) == 0;
    return ((a[0] ^ b[0]) | (a[bytes / 2] ^ b[bytes / 2]) | (a[bytes - 1] ^ b[bytes - 1])) == 0;
}

/* The same of 9 to 16 bytes. */
static inline bool cmy_bytes_same_9_to_16(const cmy_word64_t *words, const char *text, size_t bytes)
{
    CMY_SETTLE(bytes);
    const unsigned char *a = (const void *)words, *b = (const void *)text;
    return ((cmy_bytes_8(a) ^ cmy_bytes_8(b)) | (cmy_bytes_8(a + bytes - 8) ^ cmy_bytes_8(b + bytes - 8))) == 0;
}

/* The same of 17 to 32 bytes. */
static inline bool cmy_bytes_same_17_to_32(const cmy_word64_t *words, const char *text, size_t bytes)
{
    CMY_SETTLE(bytes);
    const unsigned char *a = (const void *)words, *b = (const void *)text;
    __m128i same = _mm_and_si128(cmy_bytes_match(a, b), cmy_bytes_match(a + bytes - 16, b + bytes - 16));
    return _mm_movemask_epi8(same) == 0xffff;
}

/* Copies up to 32 bytes out of shared words. */
static inline void cmy_bytes_load(char *to, const cmy_word64_t *words, size_t bytes)
{
    cmy_bytes_copy(to, words, bytes);
}

#else

static inline bool cmy_bytes_same(const cmy_word64_t *words, const char *text, size_t bytes)
{
    uint64_t differ = 0;
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = 0, kept = 0, shared = cmy_load64_relaxed(&words[at / 8]);
        size_t some = bytes - at < 8 ? bytes - at : 8;
        memcpy(&word, text + at, some);
        memcpy(&kept, &shared, some);
        differ |= word ^ kept;
    }
    return differ == 0;
}

static inline bool cmy_bytes_same_9_to_16(const cmy_word64_t *words, const char *text, size_t bytes)
{
    return cmy_bytes_same(words, text, bytes);
}

static inline bool cmy_bytes_same_17_to_32(const cmy_word64_t *words, const char *text, size_t bytes)
{
    return cmy_bytes_same(words, text, bytes);
}

static inline void cmy_bytes_load(char *to, const cmy_word64_t *words, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = cmy_load64_relaxed(&words[at / 8]);
        memcpy(to + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
}

#endif

#endif /* CMY_BASE_BYTES_H */
