/*
 * json.h - JSON for programs, over jansson: objects with values of text that may be anything, and arrays that are
 * written element by element, since a mesh may hold a million services.
 */
#ifndef COMMY_TOOL_JSON_H
#define COMMY_TOOL_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Puts a value, which is taken over, into an object. Ends the program when memory has run out. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_text(json_t *object, const char *key, const char *text);
void json_put_text_or_null(json_t *object, const char *key, const char *text); /* null where empty or null */
void json_append_text(json_t *array, const char *text);
void json_put_number(json_t *object, const char *key, uint64_t number);
void json_put_time(json_t *object, const char *key, uint64_t unix_ns);

/* Prints one object over several lines, and frees it. */
void json_print(json_t *object);

/* The object on one line; frees it. The text is to be freed. */
char *json_line(json_t *object);

/* An array on stdout, one element a line: `[]`, or a line for each element between the brackets. */
struct json_list {
    bool any;
};
void json_list_open(struct json_list *list);
void json_list_add(struct json_list *list, json_t *element); /* takes the element over */
void json_list_close(struct json_list *list);

/* Parses JSON of any kind. Null where it is none; `why` (may be null) then receives a sentence with the position. */
json_t *json_parse(const char *text, char *why, size_t capacity);

#endif /* COMMY_TOOL_JSON_H */
