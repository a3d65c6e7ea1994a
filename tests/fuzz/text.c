/*
 * Any text: what people type and what a region holds, on its way in and out. The property, of bytes up to a NUL:
 *
 *   a. the library takes a text or refuses it; what it takes comes through quoting and printing as it is, and the tool
 *      thinks the same of each of its characters;
 *   b. quoted, escaped or repaired it is UTF-8, and but for the repaired holds no control character, and fits its room;
 *   c. words of a region give back what was put into them;
 *   d. what is JSON is JSON again after it was written, the same value, without a control character.
 *
 *     text [EXECUTIONS [SEED]]       by itself: texts put together from odd pieces
 *
 * With -DFUZZER it is the fuzzers' target instead; scripts/fuzz --text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/common.h"
#include "../../tools/json.h"
#include "../../tools/text.h"
#include "base/error.h"
#include "base/text.h"
#include "fuzz.h"

static void broken(const char *what, const char *text)
{
    char quoted[512];
    fprintf(stderr, "text: VIOLATION: %s: \"%s\"\n", what, cmy_text_quote(text, quoted, sizeof quoted));
    abort();
}

#define MUST(holds, what, text)                                                                                        \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            broken(what, text);                                                                                        \
    } while (0)

static bool sound(const char *text, bool multiline)
{
    return cmy_text_check("text", text, 0, 1 << 20, multiline, NULL) == COMMY_STATUS_SUCCESS;
}

static bool is_utf8(const char *text)
{
    while (*text) {
        size_t bytes = utf8_length(text);
        if (bytes == 0)
            return false;
        text += bytes;
    }
    return true;
}

/* ------------------------------------------------------------------ in and out */

static void in_and_out(const char *text, size_t bytes)
{
    char *escaped = escape_text(text), *repaired = utf8_repair(text), room[64];
    bool taken = sound(text, false);
    MUST(sound(escaped, false), "escaped it is no text", text);
    MUST(is_utf8(repaired), "repaired it is not UTF-8", text);
    if (taken) {
        MUST(strcmp(escaped, text) == 0, "a text is escaped that needs not be", text);
        MUST(strcmp(repaired, text) == 0, "a text is repaired that needs not be", text);
    } else {
        MUST(commy_last_error() == COMMY_STATUS_INVALID && sound(commy_last_error_message(), false),
             "the sentence about it is no text", text);
    }
    MUST(is_utf8(text) || !sound(text, true), "the library takes what the tool does not", text);
    for (size_t limit = 1; limit <= sizeof room; limit += 7) {
        memset(room, '#', sizeof room);
        cmy_text_quote(text, room, limit);
        MUST(memchr(room, '\0', limit) && sound(room, false), "quoted it is no text, or does not end", text);
        MUST(limit == sizeof room || room[limit] == '#', "quoting wrote behind its room", text);
        if (taken && bytes < limit)
            MUST(strcmp(room, text) == 0, "a text is quoted otherwise than it is", text);
    }
    free(escaped);
    free(repaired);
}

static void limits(const char *text, size_t bytes)
{
    size_t counted = 0;
    bool taken = cmy_text_check("name", text, 1, COMMY_LIMIT_NAME_BYTES, false, &counted) == COMMY_STATUS_SUCCESS;
    MUST(taken == (bytes >= 1 && bytes <= COMMY_LIMIT_NAME_BYTES && sound(text, false)), "limits are bounds", text);
    MUST(!taken || counted == bytes, "bytes are miscounted", text);
    if (cmy_text_check_token("mesh", text, &counted) == COMMY_STATUS_SUCCESS)
        MUST(taken && counted == bytes && !strpbrk(text, "/ \\'\"$") && strcmp(text, ".") != 0 &&
                 strcmp(text, "..") != 0,
             "a token is none", text);
}

static void words(const char *text, size_t bytes)
{
    cmy_word64_t word[16];
    char out[sizeof word + 1];
    bytes = bytes < sizeof word ? bytes : sizeof word;
    cmy_text_store(word, sizeof word / sizeof word[0], text, bytes);
    cmy_text_load(word, bytes, out);
    MUST(memcmp(out, text, bytes) == 0 && out[bytes] == '\0', "words give back something else", text);
}

static void json(const char *text)
{
    char why[256];
    json_t *value = json_parse(text, why, sizeof why);
    if (!value) {
        MUST(memchr(why, '\0', sizeof why), "no sentence says why it is no JSON", text);
        return;
    }
    MUST(is_utf8(text), "JSON that is not UTF-8 is taken", text);
    json_t *shown = json_object();
    json_put_text(shown, "as text", text);
    json_put(shown, "value", json_incref(value));
    char *line = json_line(shown);
    MUST(sound(line, false), "written it is no text", text);
    json_t *again = json_parse(line, NULL, 0);
    MUST(again && json_equal(json_object_get(again, "value"), value), "written it is another value", text);
    MUST(strcmp(json_string_value(json_object_get(again, "as text")), text) == 0, "written it is another text", text);
    json_decref(again);
    json_decref(value);
    free(line);
}

static void property(const uint8_t *input, size_t bytes)
{
    char *text = malloc(bytes + 1); /* exactly, for the sanitizer */
    if (!text)
        exit(3);
    memcpy(text, input, bytes);
    text[bytes] = '\0';
    bytes = strlen(text);
    in_and_out(text, bytes);
    limits(text, bytes);
    words(text, bytes);
    json(text);
    free(text);
}

#ifdef FUZZER

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    property(input, bytes);
    return 0;
}

#else

int main(int argc, char **argv)
{
    static const char *const pieces[] = {"a",
                                         "\"",
                                         "\\",
                                         "\\u0000",
                                         "\\ud800",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ":",
                                         ",",
                                         "1",
                                         "-0.5e9",
                                         "null",
                                         "true",
                                         "\n",
                                         "\t",
                                         "\x1b[31m",
                                         "\x7f",
                                         "\xc2\x9b",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xff",
                                         "\xc0\x80",
                                         "\xed\xa0",
                                         "\xf0\x9f",
                                         "\xf4\x90\x80",
                                         "\xf0\x9f\x98\x80",
                                         " ",
                                         "/",
                                         "..",
                                         "{\"k\":",
                                         "\"v\"",
                                         "[[[[[[[[",
                                         "%s%n",
                                         "0123456789"};
    uint64_t executions = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000,
             chance = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint8_t input[1024];
    for (uint64_t i = 0; i < executions; i++) {
        size_t bytes = 0;
        for (uint32_t n = fuzz_below(&chance, 24); n > 0 && bytes < sizeof input - 16; n--) {
            const char *piece = pieces[fuzz_below(&chance, sizeof pieces / sizeof pieces[0])];
            memcpy(input + bytes, piece, strlen(piece));
            bytes += strlen(piece);
            if (fuzz_below(&chance, 16) == 0)
                input[bytes++] = (uint8_t)fuzz_chance(&chance);
        }
        property(input, bytes);
    }
    printf("%llu texts\nok     every text is borne\n1 passed, 0 failed\n", (unsigned long long)executions);
    return 0;
}

#endif
