/*
 * text.c - see text.h.
 */
#include "text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"

static bool continues(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    if (s[0] == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || !continues(s[1]))
        return 0;
    if (s[0] < 0xe0)
        return 2;
    if (!continues(s[2]))
        return 0;
    if (s[0] < 0xf0) {
        bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
        bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    bool outside = s[0] > 0xf4 || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90);
    return outside || !continues(s[3]) ? 0 : 4;
}

/* C0, DEL and C1: what a terminal may obey. */
static bool is_control(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

void print_text(FILE *out, const char *text)
{
    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length != 0 && !is_control(text)) {
            fwrite(text, 1, length, out);
            text += length;
        } else {
            fprintf(out, "\\x%02x", (unsigned char)*text++);
        }
    }
}

char *escape_text(const char *text)
{
    char *copy = NULL;
    size_t bytes;
    FILE *out = must_have(open_memstream(&copy, &bytes));
    print_text(out, text);
    fclose(out);
    return must_have(copy);
}

char *utf8_repair(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *copy = must_have(malloc(strlen(text) * (sizeof(replacement) - 1) + 1));
    char *to = copy;

    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length != 0) {
            to = mempcpy(to, text, length);
            text += length;
        } else {
            to = mempcpy(to, replacement, sizeof(replacement) - 1);
            text++;
        }
    }
    *to = '\0';
    return copy;
}

const char *time_text(uint64_t unix_ns, char buffer[TIME_TEXT_BYTES])
{
    time_t seconds = (time_t)(unix_ns / 1000000000u);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    size_t length = strftime(buffer, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(buffer + length, TIME_TEXT_BYTES - length, ".%03uZ", (unsigned)(unix_ns / 1000000u % 1000u));
    return buffer;
}

const char *size_text(uint64_t bytes, char buffer[SIZE_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = (double)bytes;
    size_t unit = 0;

    while (size >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        size /= 1024;
        unit++;
    }
    snprintf(buffer, SIZE_TEXT_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return buffer;
}

const char *address_text(const char *endpoint, uint16_t port, char buffer[ADDRESS_TEXT_BYTES])
{
    bool bare_ipv6 = strchr(endpoint, ':') != NULL && endpoint[0] != '[';

    if (port == 0 || strncmp(endpoint, "unix:", 5) == 0) /* a socket in a file has none, even where one was given */
        snprintf(buffer, ADDRESS_TEXT_BYTES, "%s", endpoint);
    else if (bare_ipv6)
        snprintf(buffer, ADDRESS_TEXT_BYTES, "[%s]:%u", endpoint, port);
    else
        snprintf(buffer, ADDRESS_TEXT_BYTES, "%s:%u", endpoint, port);
    return buffer;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}
