/*
 * dump_output.c - sections as tables or as members of one JSON object. Lists are written element by element, since
 * there may be a million of them.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common.h"
#include "dump.h"
#include "json.h"
#include "text.h"

static struct {
    bool any; /* a section was written */
    const struct dump_field *fields;
    size_t count;
    struct table *table;
    json_t *object;
    struct json_list list;
} output;

#define COLUMNS_MAX 16 /* as many as a table has */

static bool is_number(enum column_kind kind)
{
    return kind == COLUMN_NUMBER || kind == COLUMN_EXTRA_NUMBER;
}

static void begin(const char *key, const char *title)
{
    if (tool.json)
        printf("%s\"%s\": ", output.any ? ", " : "", key);
    else
        printf("%s%s\n", output.any ? "\n" : "", title);
    output.any = true;
}

void dump_open(void)
{
    output.any = false;
    if (tool.json)
        puts("{");
}

void dump_close(void)
{
    if (tool.json)
        puts("}");
}

/* ---------------------------------------------------------------------- lists */

void dump_list_open(const char *key, const char *title, const struct dump_field *fields, size_t count)
{
    struct column columns[COLUMNS_MAX];

    begin(key, title);
    output.fields = fields;
    output.count = count < COLUMNS_MAX ? count : COLUMNS_MAX;
    if (tool.json) {
        json_list_open(&output.list);
        return;
    }
    for (size_t i = 0; i < output.count; i++)
        columns[i] = (struct column){fields[i].heading, fields[i].kind};
    output.table = table_open(columns, output.count);
}

void dump_row(const char *const *texts)
{
    if (!tool.json) {
        table_row(output.table, texts);
        return;
    }
    json_t *object = must_have(json_object());
    for (size_t i = 0; i < output.count; i++) {
        const struct dump_field *field = &output.fields[i];
        if (!is_number(field->kind) || *texts[i] == '\0')
            json_put_text_or_null(object, field->key, texts[i]);
        else
            json_put_number(object, field->key, strtoull(texts[i], NULL, 10));
    }
    json_list_add(&output.list, object);
}

void dump_list_close(void)
{
    if (tool.json)
        json_list_close(&output.list);
    else
        table_close(&output.table);
}

void dump_sentences(const char *key, const char *title, char *const *sentences, size_t count)
{
    if (count == 0 && !tool.json)
        return;
    begin(key, title);
    json_t *array = tool.json ? must_have(json_array()) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (array != NULL) {
            json_append_text(array, sentences[i]);
            continue;
        }
        print_text(stdout, sentences[i]);
        putchar('\n');
    }
    if (array != NULL)
        json_print(array);
}

/* ---------------------------------------------------------------------- pairs */

void dump_pairs_open(const char *key, const char *title)
{
    begin(key, title);
    if (tool.json)
        output.object = must_have(json_object());
    else
        output.table = table_open_pairs();
}

void dump_text(const char *key, const char *heading, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        must_have(NULL);
    va_end(arguments);
    if (tool.json)
        json_put_text(output.object, key, text);
    else
        table_pair(output.table, heading, "%s", text);
    free(text);
}

void dump_number(const char *key, const char *heading, uint64_t number)
{
    if (tool.json)
        json_put_number(output.object, key, number);
    else
        table_pair(output.table, heading, "%" PRIu64, number);
}

void dump_real(const char *key, const char *heading, double number)
{
    if (tool.json)
        json_put(output.object, key, json_real(number));
    else
        table_pair(output.table, heading, "%.4f", number);
}

void dump_bytes(const char *key, const char *heading, uint64_t bytes)
{
    char text[SIZE_TEXT_BYTES];

    if (tool.json)
        json_put_number(output.object, key, bytes);
    else
        table_pair(output.table, heading, "%" PRIu64 " (%s)", bytes, size_text(bytes, text));
}

void dump_time(const char *key, const char *heading, uint64_t unix_ns)
{
    char text[TIME_TEXT_BYTES];

    dump_text(key, heading, "%s", time_text(unix_ns, text));
}

void dump_pairs_close(void)
{
    if (tool.json)
        json_print(output.object);
    else
        table_close(&output.table);
}
