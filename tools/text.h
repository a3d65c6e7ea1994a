/*
 * text.h - text from a region on its way to a person or a program. What a region holds is anybody's bytes: nothing
 * printed here can steer a terminal or break a JSON parser.
 */
#ifndef COMMY_TOOL_TEXT_H
#define COMMY_TOOL_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of the valid UTF-8 sequence at `text`, 0 where there is none. */
size_t utf8_length(const char *text);

/* Prints text with control characters and bytes that are not UTF-8 as \xNN. */
void print_text(FILE *out, const char *text);

/* The same as a copy; to be freed. */
char *escape_text(const char *text);

/* A copy in which every byte that is not UTF-8 is U+FFFD; to be freed. */
char *utf8_repair(const char *text);

/* "2025-01-31T12:00:00.000Z" for Unix nanoseconds. */
#define TIME_TEXT_BYTES 48
const char *time_text(uint64_t unix_ns, char buffer[TIME_TEXT_BYTES]);

/* "12.5 MiB"; for tables. */
#define SIZE_TEXT_BYTES 32
const char *size_text(uint64_t bytes, char buffer[SIZE_TEXT_BYTES]);

/* "127.0.0.1:8080", "[::1]:8080", "unix:/run/web.sock". */
#define ADDRESS_TEXT_BYTES 272
const char *address_text(const char *endpoint, uint16_t port, char buffer[ADDRESS_TEXT_BYTES]);

/* Clock of deadlines. */
uint64_t monotonic_ns(void);
uint64_t realtime_ns(void);

#endif /* COMMY_TOOL_TEXT_H */
