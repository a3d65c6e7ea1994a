/* Errors and text: what base/ promises. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/version.h"

static commy_status_t check(const char *text, size_t min, size_t max, bool multiline)
{
    return cmy_text_check("thing", text, min, max, multiline, NULL);
}

Test(error, a_failure_leaves_its_code_and_sentence_and_keeps_errno)
{
    errno = E2BIG;
    cr_assert_eq(cmy_fail(COMMY_STATUS_FULL, "all %d taken", 7), COMMY_STATUS_FULL);
    cr_assert_eq(errno, E2BIG);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_FULL);
    cr_assert_str_eq(commy_last_error_message(), "all 7 taken");
}

Test(error, before_the_first_failure_there_is_an_empty_sentence)
{
    cr_assert_eq(commy_last_error(), COMMY_STATUS_SUCCESS);
    cr_assert_str_eq(commy_last_error_message(), "");
}

Test(error, the_reason_of_the_system_comes_last)
{
    errno = ENOSPC;
    cmy_fail_errno(COMMY_STATUS_NO_SPACE, "cannot grow %s", "it");
    cr_assert_eq(errno, ENOSPC);
    cr_assert_str_eq(commy_last_error_message(), "cannot grow it: No space left on device");
}

Test(error, a_sentence_that_is_too_long_ends_in_an_ellipsis_and_stays_utf8)
{
    char text[1200];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', sizeof(text));
        for (size_t i = shift; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        text[sizeof(text) - 4 + 0] = '\0';
        cmy_fail(COMMY_STATUS_INTERNAL, "%s", text);
        const char *message = commy_last_error_message();
        size_t length = strlen(message);
        cr_assert(length < CMY_ERROR_BYTES && length > CMY_ERROR_BYTES - 8, "%zu", length);
        cr_assert_str_eq(message + length - 3, "...");
        cr_assert_eq(check(message, 1, 4096, false), COMMY_STATUS_SUCCESS);
    }
    memset(text, 'y', 511);
    text[511] = '\0';
    cmy_fail(COMMY_STATUS_INTERNAL, "%s", text);
    cr_assert_str_eq(commy_last_error_message(), text, "what fits is not cut");
}

Test(error, a_sentence_may_quote_the_one_before_it)
{
    cmy_fail(COMMY_STATUS_INVALID, "inner");
    cmy_fail(COMMY_STATUS_INTERNAL, "outer (%s)", commy_last_error_message());
    cr_assert_str_eq(commy_last_error_message(), "outer (inner)");
}

Test(error, what_was_recorded_can_be_set_aside)
{
    cmy_error_t before;
    cmy_fail(COMMY_STATUS_FULL, "first");
    cmy_error_save(&before);
    cmy_fail(COMMY_STATUS_INVALID, "second");
    cmy_error_restore(&before);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_FULL);
    cr_assert_str_eq(commy_last_error_message(), "first");
}

static void *fail_elsewhere(void *unused)
{
    (void)unused;
    cmy_fail(COMMY_STATUS_BUSY, "elsewhere");
    return NULL;
}

Test(error, each_thread_has_its_own)
{
    pthread_t other;
    cmy_fail(COMMY_STATUS_FULL, "here");
    cr_assert_eq(pthread_create(&other, NULL, fail_elsewhere, NULL), 0);
    pthread_join(other, NULL);
    cr_assert_eq(commy_last_error(), COMMY_STATUS_FULL);
    cr_assert_str_eq(commy_last_error_message(), "here");
}

Test(error, every_code_has_a_string_also_when_negated)
{
    for (int code = 0; code <= COMMY_STATUS_MESH_NOT_FOUND; code++) {
        cr_assert_str_neq(commy_status_string(code), "unknown code", "%d", code);
        cr_assert_str_eq(commy_status_string(-code), commy_status_string(code));
        for (int other = 0; other < code; other++)
            cr_assert_str_neq(commy_status_string(code), commy_status_string(other), "%d and %d", code, other);
    }
    cr_assert_str_eq(commy_status_string(COMMY_STATUS_INTERNAL), "internal error");
    cr_assert_str_eq(commy_status_string(26), "unknown code");
    cr_assert_str_eq(commy_status_string(INT32_MIN), "unknown code");
}

Test(text, lengths_are_bounds_in_bytes)
{
    char text[70];
    size_t bytes = 0;
    memset(text, 'a', sizeof(text));
    text[63] = '\0';
    cr_assert_eq(cmy_text_check("service name", text, 1, 63, false, &bytes), COMMY_STATUS_SUCCESS);
    cr_assert_eq(bytes, 63);
    text[63] = 'a';
    text[64] = '\0';
    cr_assert_eq(cmy_text_check("service name", text, 1, 63, false, NULL), COMMY_STATUS_INVALID);
    cr_assert(strstr(commy_last_error_message(), "service name") && strstr(commy_last_error_message(), "63"));
    cr_assert_eq(check("", 1, 63, false), COMMY_STATUS_INVALID);
    cr_assert_eq(check(NULL, 1, 63, false), COMMY_STATUS_INVALID);
    cr_assert_eq(check("", 0, 63, false), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_text_check("zone", NULL, 0, 31, false, &bytes), COMMY_STATUS_SUCCESS);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(check("a", 2, 3, false), COMMY_STATUS_INVALID);
}

Test(text, no_byte_behind_the_bound_is_read)
{
    char *exact = malloc(4); /* the address sanitizer watches its end */
    memcpy(exact, "abcd", 4);
    cr_assert_eq(check(exact, 1, 3, false), COMMY_STATUS_INVALID);
    free(exact);
}

Test(text, utf8_is_let_in_and_nothing_that_only_looks_like_it)
{
    static const char *const good[] = {"plain",        "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac",     "\xf0\x9f\x98\x80",
                                       "\xc2\xa0",     "\xdf\xbf",           "\xe0\xa0\x80",     "\xed\x9f\xbf",
                                       "\xee\x80\x80", "\xef\xbf\xbf",       "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80", /* a continuation of nothing */
        "\xbf",
        "a\xc3", /* cut short */
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xc3\x28", /* not continued */
        "\xc0\x80",
        "\xc1\xbf", /* overlong */
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf", /* surrogates */
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", /* behind the last character */
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        cr_assert_eq(check(good[i], 1, 63, false), COMMY_STATUS_SUCCESS, "good %zu", i);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(check(bad[i], 1, 63, false), COMMY_STATUS_INVALID, "bad %zu", i);
        cr_assert(strstr(commy_last_error_message(), "UTF-8"));
    }
}

Test(text, control_characters_are_refused_but_for_newline_and_tab_where_they_are_allowed)
{
    char one[2] = "";
    for (int c = 1; c < 128; c++) {
        one[0] = (char)c;
        bool control = c < 32 || c == 127;
        cr_assert_eq(check(one, 1, 63, false), control ? COMMY_STATUS_INVALID : COMMY_STATUS_SUCCESS, "%d", c);
        cr_assert_eq(check(one, 1, 63, true),
                     control && c != '\n' && c != '\t' ? COMMY_STATUS_INVALID : COMMY_STATUS_SUCCESS, "%d", c);
    }
    cr_assert_eq(check("\xc2\x80", 1, 63, true), COMMY_STATUS_INVALID);
    cr_assert_eq(check("\xc2\x9b", 1, 63, true), COMMY_STATUS_INVALID);
    cr_assert_eq(check("ok\x1b[2J", 1, 63, false), COMMY_STATUS_INVALID);
    cr_assert_null(strchr(commy_last_error_message(), '\x1b'), "a sentence does nothing to a terminal");
    cr_assert(strstr(commy_last_error_message(), "U+001B") && strstr(commy_last_error_message(), "byte 3"));
}

Test(text, a_token_has_a_small_alphabet_and_is_no_way_out_of_a_directory)
{
    char text[70];
    size_t bytes;
    cr_assert_eq(cmy_text_check_token("mesh name", "A-z_0.9", &bytes), COMMY_STATUS_SUCCESS);
    cr_assert_eq(bytes, 7);
    cr_assert_eq(cmy_text_check_token("mesh name", "...", NULL), COMMY_STATUS_SUCCESS);
    static const char *const bad[] = {"", ".", "..", "a/b", "a b", "\xc3\xbc", "a\n", NULL};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cr_assert_eq(cmy_text_check_token("mesh name", bad[i], NULL), COMMY_STATUS_INVALID, "%zu", i);
        cr_assert(strstr(commy_last_error_message(), "mesh name"));
    }
    memset(text, 'a', sizeof(text));
    text[63] = '\0';
    cr_assert_eq(cmy_text_check_token("node id", text, NULL), COMMY_STATUS_SUCCESS);
    text[63] = 'a';
    text[64] = '\0';
    cr_assert_eq(cmy_text_check_token("node id", text, NULL), COMMY_STATUS_INVALID);
}

Test(text, quoting_escapes_what_is_no_text_and_fits_any_room)
{
    char out[64];
    cr_assert_str_eq(cmy_text_quote("a\tb\x7f\xff\xc2\x85", out, sizeof(out)), "a\\x09b\\x7f\\xff\\xc2\\x85");
    cr_assert_str_eq(cmy_text_quote("\xe2\x82\xac", out, sizeof(out)), "\xe2\x82\xac");
    cr_assert_str_eq(cmy_text_quote(NULL, out, sizeof(out)), "(null)");
    cr_assert_str_eq(cmy_text_quote("abcdefgh", out, 9), "abcdefgh");
    cr_assert_str_eq(cmy_text_quote("abcdefghi", out, 9), "abcde...");
    cr_assert_str_eq(cmy_text_quote("abcd\xe2\x82\xac\xe2\x82\xac", out, 10), "abcd...");
    for (size_t room = 0; room < 30; room++) {
        memset(out, '#', sizeof(out));
        cmy_text_quote("\xe2\x82\xac\xe2\x82\xac\x01\x02xyz\xe2\x82\xac\xf0\x9f\x98\x80 and more of it", out, room);
        cr_assert_eq(out[room], '#', "wrote behind a room of %zu", room);
        if (room > 0)
            cr_assert(strlen(out) < room && check(out, 0, 63, false) == COMMY_STATUS_SUCCESS, "room of %zu", room);
    }
}

Test(text, words_give_back_what_was_put_in_and_pad_with_nul)
{
    const char *text = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (size_t bytes = 0; bytes <= 32; bytes++) {
        cmy_word64_t words[5];
        char out[40];
        memset(words, 0xee, sizeof(words));
        memset(out, '#', sizeof(out));
        cmy_text_store(words, 4, text, bytes);
        cr_assert_eq(memcmp(words, text, bytes), 0, "bytes lie in order");
        for (size_t i = bytes; i < 32; i++)
            cr_assert_eq(((const char *)words)[i], '\0');
        cr_assert_eq(cmy_load64_relaxed(&words[4]), 0xeeeeeeeeeeeeeeeeull, "no word behind the last is written");
        cmy_text_load(words, bytes, out);
        cr_assert_eq(strlen(out), bytes);
        cr_assert_eq(memcmp(out, text, bytes), 0);
        cr_assert_eq(out[bytes + 1], '#');
    }
}

Test(error, a_sentence_of_bytes_that_are_no_text_is_cut_all_the_same)
{
    char text[1200];
    memset(text, '\x80', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    cmy_fail(COMMY_STATUS_INTERNAL, "%s", text);
    cr_assert_str_eq(commy_last_error_message(), "...");
}

Test(error, where_the_sentence_leaves_no_room_the_reason_is_left_out)
{
    char text[1200];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    errno = ENOSPC;
    cmy_fail_errno(COMMY_STATUS_NO_SPACE, "%s", text);
    cr_assert_eq(errno, ENOSPC);
    cr_assert_null(strstr(commy_last_error_message(), "No space"));
    cr_assert_str_eq(commy_last_error_message() + CMY_ERROR_BYTES - 5, "x...");
}

Test(text, a_token_holds_none_of_the_characters_beside_its_alphabet)
{
    static const char beside[] = "/:@[`{,^~!\x7f";
    for (size_t i = 0; beside[i]; i++) {
        const char token[] = {'a', beside[i], '\0'};
        cr_assert_eq(cmy_text_check_token("node id", token, NULL), COMMY_STATUS_INVALID, "%s", token);
    }
    cr_assert_eq(cmy_text_check_token("node id", "azAZ09._-", NULL), COMMY_STATUS_SUCCESS);
}

/* --------------------------------------------------------------------- log */

static void nobody(void)
{
}

Test(base, a_line_of_the_log_is_cut_between_characters)
{
    char text[2 * CMY_LOG_BYTES];
    for (size_t lead = 0; lead < 4; lead++) {
        cmy_log_line_t line;
        void (*call)(void);
        void *user;
        memset(text, 'x', lead);
        text[lead] = '\0';
        while (strlen(text) + 4 < sizeof text)
            strcat(text, "\xf0\x9f\x98\x80");
        cr_assert(cmy_log_listen(nobody, NULL));
        cmy_log(CMY_LOG_INFO, "%s", text);
        cr_assert(cmy_log_take(&line, &call, &user));
        cr_assert_lt(strlen(line.text), sizeof line.text);
        cr_assert_gt(strlen(line.text), sizeof line.text - 8);
        cr_assert_eq(cmy_text_check("line", line.text, 1, CMY_LOG_BYTES, false, NULL), COMMY_STATUS_SUCCESS, "%s",
                     commy_last_error_message());
        cr_assert_str_eq(line.text + strlen(line.text) - 3, "...");
    }
}
