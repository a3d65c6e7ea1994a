/*
 * json.c - see json.h.
 */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "text.h"

void json_put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new_nocheck(object, key, value) != 0)
        must_have(NULL);
}

static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);

    if (value == NULL) {
        char *repaired = utf8_repair(text);
        value = json_string(repaired);
        free(repaired);
    }
    return value;
}

void json_put_text(json_t *object, const char *key, const char *text)
{
    json_put(object, key, text_value(text));
}

void json_put_text_or_null(json_t *object, const char *key, const char *text)
{
    json_put(object, key, text == NULL || *text == '\0' ? json_null() : text_value(text));
}

void json_append_text(json_t *array, const char *text)
{
    if (json_array_append_new(array, text_value(text)) != 0)
        must_have(NULL);
}

void json_put_number(json_t *object, const char *key, uint64_t number)
{
    json_put(object, key, json_integer(number <= INT64_MAX ? (json_int_t)number : INT64_MAX));
}

void json_put_time(json_t *object, const char *key, uint64_t unix_ns)
{
    char buffer[TIME_TEXT_BYTES];

    json_put_text(object, key, time_text(unix_ns, buffer));
}

/* An object as text; frees it. JSON lets DEL and the controls above it (U+0080 to U+009F) stand as they are, and a
 * terminal acts on them. */
static char *as_text(json_t *object, size_t flags)
{
    /* As many digits as a double has for certain: 115.4, and not 115.40000000000001. */
    char *text = must_have(json_dumps(object, flags | JSON_REAL_PRECISION(15))), *escaped = NULL;
    size_t bytes;
    FILE *out = must_have(open_memstream(&escaped, &bytes));

    json_decref(object);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == 0x7f)
            fputs("\\u007f", out);
        else if (at[0] == 0xc2 && at[1] < 0xa0)
            fprintf(out, "\\u%04x", *++at);
        else
            fputc(*at, out);
    }
    fclose(out);
    free(text);
    return must_have(escaped);
}

void json_print(json_t *object)
{
    char *text = as_text(object, JSON_INDENT(2));

    puts(text);
    free(text);
}

char *json_line(json_t *object)
{
    return as_text(object, JSON_COMPACT);
}

void json_list_open(struct json_list *list)
{
    list->any = false;
    putchar('[');
}

void json_list_add(struct json_list *list, json_t *element)
{
    char *text = json_line(element);

    fputs(list->any ? ",\n" : "\n", stdout);
    fputs(text, stdout);
    free(text);
    list->any = true;
}

void json_list_close(struct json_list *list)
{
    puts(list->any ? "\n]" : "]");
}

json_t *json_parse(const char *text, char *why, size_t capacity)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (value == NULL && why != NULL)
        snprintf(why, capacity, "line %d, column %d: %s", error.line, error.column, error.text);
    return value;
}
