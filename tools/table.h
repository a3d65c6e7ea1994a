/*
 * table.h - tables for people, over libsmartcols. In a pipe all columns are there and nothing is cut; on a terminal,
 * columns that do not fit are left out. Colours only on a terminal and only without NO_COLOR.
 */
#ifndef COMMY_TOOL_TABLE_H
#define COMMY_TOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table;

/* Whether what goes to the output may be in colours. */
bool colors_wanted(void);

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER,     /* aligned to the right */
    COLUMN_EXTRA_TEXT, /* left out where the terminal is too narrow for all columns */
    COLUMN_EXTRA_NUMBER
};

struct column {
    const char *heading;
    enum column_kind kind;
};

struct table *table_open(const struct column *columns, size_t count);

/* A table of two columns without headings; see table_pair(). */
struct table *table_open_pairs(void);

/* Orders the rows by the texts of one column, and those that are equal there by another's. */
void table_sort(struct table *table, size_t first, size_t second);

/* Adds a row of as many cells as there are columns; the texts are copied. */
void table_row(struct table *table, const char *const *cells);

/* Colours a cell of the row added last: a name that libsmartcols knows, or null for none. */
void table_paint(struct table *table, size_t column, const char *color);

/* Adds a row of a heading and a value. */
void table_pair(struct table *table, const char *heading, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints what has not been printed yet, frees the table and clears the pointer. */
void table_close(struct table **table);

#endif /* COMMY_TOOL_TABLE_H */
