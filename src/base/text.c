/*
 * Text: checked once where it comes in, and copied word by word where it lies in shared memory.
 *
 * UTF-8 is checked by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Control characters are those
 * of Unicode's class Cc: U+0000 to U+001F and U+007F to U+009F; a terminal acts on both ranges.
 *
 * In the region a text is an array of words that may be read while it is written. Each word is loaded and stored whole
 * and relaxed; that a reader saw all of one text, and not two halves, is for the state it checks afterwards to say.
 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

/* How much of a wrong value a sentence shows. */
#define QUOTED_BYTES 80

/* Bytes of the character that `text` starts with, 0 where that is none. Reads no byte behind a NUL. */
static size_t decode(const unsigned char *text, uint32_t *point)
{
    unsigned char first = text[0];
    if (first < 0x80) {
        *point = first;
        return first != 0;
    }
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    uint32_t value = first & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3f);
    }
    if ((length == 3 && value < 0x800) || (length == 4 && (value < 0x10000 || value > 0x10ffff)) ||
        (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return length;
}

/* Whether eight bytes are all printable ASCII: none has its top bit, is below a space, or is 0x7f. */
static bool all_plain(const char *text)
{
    const uint64_t each = 0x0101010101010101ull;
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return ((word | (word - 0x20 * each) | (word + each)) & 0x80 * each) == 0;
}

static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

/* For a text whose end was not found: shows no more of it than was looked at. */
static const char *quote_start(const char *text, size_t looked_at, char quoted[QUOTED_BYTES])
{
    char start[QUOTED_BYTES];
    size_t shown = looked_at < sizeof(start) ? looked_at : sizeof(start) - 1;
    memcpy(start, text, shown);
    start[shown] = '\0';
    return cmy_text_quote(start, quoted, QUOTED_BYTES);
}

commy_status_t cmy_text_check(const char *what, const char *text, size_t min, size_t max, bool multiline, size_t *bytes)
{
    char quoted[QUOTED_BYTES];
    size_t length = text ? strnlen(text, max + 1) : 0;
    if (length < min) {
        if (length == 0)
            return cmy_fail(COMMY_STATUS_INVALID, "%s is %s; give one of %zu to %zu bytes", what,
                            text ? "empty" : "missing", min, max);
        return cmy_fail(COMMY_STATUS_INVALID, "%s \"%s\" has %zu bytes; give one of %zu to %zu bytes", what,
                        cmy_text_quote(text, quoted, sizeof(quoted)), length, min, max);
    }
    if (length > max)
        return cmy_fail(COMMY_STATUS_INVALID, "%s \"%s\" is longer than %zu bytes; give a shorter one", what,
                        quote_start(text, length, quoted), max);
    for (size_t at = 0; at < length;) {
        if (length - at >= 8 && all_plain(text + at)) {
            at += 8;
            continue;
        }
        uint32_t point;
        size_t step = decode((const unsigned char *)text + at, &point);
        if (step == 0)
            return cmy_fail(COMMY_STATUS_INVALID, "%s \"%s\" is not UTF-8 at byte %zu", what,
                            cmy_text_quote(text, quoted, sizeof(quoted)), at + 1);
        if (is_control(point) && !(multiline && (point == '\n' || point == '\t')))
            return cmy_fail(COMMY_STATUS_INVALID,
                            "%s \"%s\" holds the control character U+%04X at byte %zu; leave it out", what,
                            cmy_text_quote(text, quoted, sizeof(quoted)), (unsigned)point, at + 1);
        at += step;
    }
    if (bytes)
        *bytes = length;
    return COMMY_STATUS_SUCCESS;
}

static bool is_token_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '.' || byte == '_' || byte == '-';
}

commy_status_t cmy_text_check_token(const char *what, const char *text, size_t *bytes)
{
    char quoted[QUOTED_BYTES];
    size_t length = text ? strnlen(text, COMMY_LIMIT_MESH_BYTES + 1) : 0;
    size_t good = 0;
    while (good < length && is_token_byte(text[good]))
        good++;
    bool dots = length > 0 && length <= 2 && memcmp(text, "..", length) == 0; /* the directory itself, or its parent */
    if (length == 0 || length > COMMY_LIMIT_MESH_BYTES || good < length || dots)
        return cmy_fail(COMMY_STATUS_INVALID,
                        "%s \"%s\" will not do; give 1 to %u characters of A-Z a-z 0-9 . _ - other than . and ..", what,
                        quote_start(text ? text : "", length, quoted), COMMY_LIMIT_MESH_BYTES);
    if (bytes)
        *bytes = length;
    return COMMY_STATUS_SUCCESS;
}

const char *cmy_text_quote(const char *text, char *out, size_t capacity)
{
    static const char ellipsis[] = "...";
    size_t used = 0, cut = 0; /* cut: how much can be kept where an ellipsis must follow */
    if (capacity == 0)
        return out;
    for (const unsigned char *at = (const unsigned char *)(text ? text : "(null)"); *at;) {
        char piece[5];
        uint32_t point = 0;
        size_t step = decode(at, &point), bytes = step;
        if (step == 0 || is_control(point)) {
            /* One byte at a time, so that bytes that are no text can be told from text that looks like them. */
            bytes = (size_t)snprintf(piece, sizeof(piece), "\\x%02x", *at);
            step = 1;
        } else {
            memcpy(piece, at, bytes);
        }
        if (used + bytes >= capacity) {
            size_t tail = capacity - 1 - cut < sizeof(ellipsis) - 1 ? capacity - 1 - cut : sizeof(ellipsis) - 1;
            memcpy(out + cut, ellipsis, tail);
            used = cut + tail;
            break;
        }
        memcpy(out + used, piece, bytes);
        used += bytes;
        if (used + sizeof(ellipsis) <= capacity)
            cut = used;
        at += step;
    }
    out[used] = '\0';
    return out;
}

void cmy_text_cut(char *text, size_t capacity)
{
    size_t end = capacity - sizeof("...");
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, "...", sizeof("..."));
}

void cmy_text_store(cmy_word64_t *to, size_t words, const char *text, size_t bytes)
{
    size_t whole = bytes / 8, i;
    for (i = 0; i < whole; i++) {
        uint64_t word;
        memcpy(&word, text + 8 * i, 8);
        cmy_store64_relaxed(&to[i], word);
    }
    if (bytes % 8 != 0) {
        uint64_t word = 0;
        cmy_bytes_copy(&word, text + 8 * i, bytes % 8);
        cmy_store64_relaxed(&to[i++], word);
    }
    for (; i < words; i++)
        cmy_store64_relaxed(&to[i], 0);
}

void cmy_text_load(const cmy_word64_t *from, size_t bytes, char *to)
{
    size_t whole = bytes / 8, rest = bytes % 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t word = cmy_load64_relaxed(&from[i]);
        memcpy(to + 8 * i, &word, 8);
    }
    if (rest != 0) {
        uint64_t word = cmy_load64_relaxed(&from[whole]);
        cmy_bytes_copy(to + 8 * whole, &word, rest);
    }
    to[bytes] = '\0';
}
