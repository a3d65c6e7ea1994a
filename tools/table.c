/*
 * table.c - see table.h.
 *
 * Long tables are printed in batches, so that listing a million services needs the memory of a few thousand. Columns
 * are aligned, and rows sorted, within a batch, which is more than a person sees at once.
 */
#include "table.h"

#include <libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "text.h"

#define BATCH_ROWS 4096u
#define MAX_COLUMNS 16u

struct table {
    struct libscols_table *scols;
    struct libscols_line *last;
    size_t columns, rows;
    struct libscols_column *order[2]; /* the lesser one first: the sort is stable */
    bool extra[MAX_COLUMNS];          /* may be left out */
    bool hidden[MAX_COLUMNS];         /* has been left out, for all batches to come */
    bool filled[MAX_COLUMNS];         /* has a cell that is not empty in this batch */
    size_t width[MAX_COLUMNS];        /* of the widest cell or the heading */
};

bool colors_wanted(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    if (no_color != NULL && *no_color != '\0')
        return false;
    return isatty(STDOUT_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

struct table *table_open(const struct column *columns, size_t count)
{
    struct table *table = must_have(calloc(1, sizeof(*table)));

    table->columns = count < MAX_COLUMNS ? count : MAX_COLUMNS;
    table->scols = must_have(scols_new_table());
    scols_table_enable_colors(table->scols, colors_wanted());
    for (size_t i = 0; i < table->columns; i++) {
        enum column_kind kind = columns[i].kind;
        bool number = kind == COLUMN_NUMBER || kind == COLUMN_EXTRA_NUMBER;
        must_have(scols_table_new_column(table->scols, columns[i].heading, 0, number ? SCOLS_FL_RIGHT : 0));
        table->extra[i] = kind == COLUMN_EXTRA_TEXT || kind == COLUMN_EXTRA_NUMBER;
        table->width[i] = strlen(columns[i].heading);
    }
    return table;
}

struct table *table_open_pairs(void)
{
    static const struct column columns[] = {{"NAME", COLUMN_TEXT}, {"VALUE", COLUMN_TEXT}};
    struct table *table = table_open(columns, 2);

    scols_table_enable_noheadings(table->scols, 1);
    scols_column_set_flags(scols_table_get_column(table->scols, 1), SCOLS_FL_WRAP);
    return table;
}

void table_sort(struct table *table, size_t first, size_t second)
{
    const size_t columns[] = {second, first};

    for (size_t i = 0; i < 2; i++) {
        table->order[i] = scols_table_get_column(table->scols, columns[i]);
        scols_column_set_cmpfunc(table->order[i], scols_cmpstr_cells, NULL);
    }
}

static size_t full_width(const struct table *table)
{
    size_t width = 0;

    for (size_t i = 0; i < table->columns; i++)
        if (!table->hidden[i])
            width += table->width[i] + 1;
    return width - 1; /* no blank behind the last one */
}

/* Leaves out what a narrow terminal has no room for: columns without a value first, then from the right. */
static void fit(struct table *table)
{
    size_t room = scols_table_get_termwidth(table->scols);
    size_t width = full_width(table);

    if (!isatty(STDOUT_FILENO))
        return;
    for (int filled = 0; filled <= 1; filled++) {
        for (size_t i = table->columns; i-- > 0 && width > room;) {
            if (!table->extra[i] || table->hidden[i] || table->filled[i] != (bool)filled)
                continue;
            scols_column_set_flags(scols_table_get_column(table->scols, i), SCOLS_FL_HIDDEN);
            table->hidden[i] = true;
            width -= table->width[i] + 1;
        }
    }
}

static void print_batch(struct table *table)
{
    fit(table);
    for (size_t i = 0; i < 2; i++)
        if (table->order[i] != NULL)
            scols_sort_table(table->scols, table->order[i]);
    scols_print_table(table->scols);
    scols_table_remove_lines(table->scols);
    scols_table_enable_noheadings(table->scols, 1);
    table->last = NULL;
    table->rows = 0;
}

static void add_row(struct table *table)
{
    if (table->rows == BATCH_ROWS)
        print_batch(table);
    table->last = must_have(scols_table_new_line(table->scols, NULL));
    table->rows++;
}

/* Characters; near enough to columns of the terminal. A byte that cannot be shown takes the four of \xNN, as does each of a
 * character that the locale does not have. */
static size_t width_of(const char *text)
{
    bool ascii_only = MB_CUR_MAX == 1;
    size_t width = 0;

    while (*text != '\0') {
        size_t length = utf8_length(text), bytes = length != 0 ? length : 1;
        bool shown = length == 1 ? (unsigned char)*text >= 0x20 : length > 1 && !ascii_only;
        width += shown ? 1 : 4 * bytes;
        text += bytes;
    }
    return width;
}

static void set_cell(struct table *table, size_t column, const char *text)
{
    size_t width = width_of(text);

    table->filled[column] |= width != 0;
    if (width > table->width[column])
        table->width[column] = width;
    if (scols_line_set_data(table->last, column, text) != 0)
        must_have(NULL);
}

void table_row(struct table *table, const char *const *cells)
{
    add_row(table);
    for (size_t i = 0; i < table->columns; i++)
        set_cell(table, i, cells[i]);
}

void table_paint(struct table *table, size_t column, const char *color)
{
    if (color != NULL && table->last != NULL)
        scols_cell_set_color(scols_line_get_cell(table->last, column), color);
}

void table_pair(struct table *table, const char *heading, const char *format, ...)
{
    char *value = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&value, format, arguments);
    va_end(arguments);
    if (length < 0)
        must_have(NULL);
    add_row(table);
    set_cell(table, 0, heading);
    set_cell(table, 1, value);
    free(value);
}

void table_close(struct table **table)
{
    if (*table == NULL)
        return;
    if ((*table)->rows != 0)
        print_batch(*table);
    scols_unref_table((*table)->scols);
    free(*table);
    *table = NULL;
}
