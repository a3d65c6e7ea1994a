/*
 * top_draw.c - the screen of `commy top`: a header of four lines, a table, a line of keys.
 *
 * A line is drawn whole each time; ncurses sends what differs. Everything is cut to the columns that there are, down to none.
 */
#include <curses.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "common.h"
#include "service.h"
#include "table.h"
#include "text.h"
#include "top.h"

enum { HEADER_LINES = 4, FIRST_ROW = HEADER_LINES + 1, ROWS_MEASURED = 1000 };

enum { PAIR_NONE, PAIR_GOOD, PAIR_SO_SO, PAIR_BAD };

bool top_screen_open(void)
{
    static SCREEN *screen;
    const char *terminal = getenv("TERM");

    screen = newterm(NULL, stdout, stdin);
    const char *move = screen != NULL ? tigetstr("cup") : NULL;
    if (move == NULL || move == (const char *)-1) {
        if (screen != NULL) {
            endwin();
            delscreen(screen);
        }
        complain("the terminal '%s' is not known, or cannot move its cursor; use --once", terminal ? terminal : "");
        return false;
    }
    set_term(screen);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    if (colors_wanted() && has_colors() && start_color() == OK) {
        use_default_colors();
        init_pair(PAIR_GOOD, COLOR_GREEN, -1);
        init_pair(PAIR_SO_SO, COLOR_YELLOW, -1);
        init_pair(PAIR_BAD, COLOR_RED, -1);
    }
    return true;
}

void top_screen_close(void)
{
    endwin();
}

int top_lines(void)
{
    int lines = LINES - FIRST_ROW - 1;

    return lines > 0 ? lines : 0;
}

/* -------------------------------------------------------------------- text */

#define WIDE_CHARACTERS 512

/* As many characters of a text as fit in `width` columns; those of the whole text. Returns the columns that they take. */
static int widen(const char *text, int width, wchar_t wide[WIDE_CHARACTERS + 1])
{
    mbstate_t state = {0};
    wchar_t ellipsis = MB_CUR_MAX > 1 ? L'\u2026' : L'~';
    size_t count = 0;
    int columns = 0;

    while (*text != '\0' && count < WIDE_CHARACTERS) {
        wchar_t character = L'?';
        size_t length = mbrtowc(&character, text, MB_CUR_MAX, &state);
        if (length == (size_t)-1 || length == (size_t)-2) { /* not of this locale */
            memset(&state, 0, sizeof(state));
            character = L'?';
            length = 1;
        }
        int more = wcwidth(character);
        if (more < 0)
            character = L'?', more = 1;
        if (columns + more > width) { /* one more than fits: cut */
            while (count != 0 && columns + 1 > width)
                columns -= wcwidth(wide[--count]);
            if (width > 0)
                wide[count++] = ellipsis, columns++;
            break;
        }
        wide[count++] = character;
        columns += more;
        text += length;
    }
    wide[count] = L'\0';
    return columns;
}

void top_put(int line, int column, int width, bool right, const char *text)
{
    wchar_t wide[WIDE_CHARACTERS + 1];

    if (line < 0 || line >= LINES || column >= COLS || width <= 0)
        return;
    if (width > COLS - column)
        width = COLS - column;
    char *safe = escape_text(text);
    int columns = widen(safe, width, wide);
    free(safe);
    move(line, column);
    hline(' ', width);
    mvaddwstr(line, column + (right ? width - columns : 0), wide);
}

/* Prints a line of text, and blanks up to the end. */
static void put_line(int line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_line(int line, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    top_put(line, 0, COLS, false, text);
}

/* ------------------------------------------------------------------ header */

static void draw_header(const struct top_model *model, const struct top_view *view)
{
    const commy_mesh_stats_t *stats = &model->stats;
    char rate[TOP_NUMBER_BYTES], failed[TOP_NUMBER_BYTES], flying[TOP_NUMBER_BYTES], all[TOP_NUMBER_BYTES],
        mean[TOP_NUMBER_BYTES];
    char when[TIME_TEXT_BYTES], clock[64];
    uint32_t unknown = stats->total_services - stats->healthy_services - stats->unhealthy_services;
    bool quiet = model->failed < 0;

    attron(A_BOLD);
    put_line(0, "commy top  %s/%s", model->about.dir, model->about.mesh);
    attroff(A_BOLD);
    time_text(realtime_ns(), when);
    snprintf(clock, sizeof(clock), "  %.8sZ  every %.1f s", when + 11, view->interval_ms / 1000.0);
    if (COLS > (int)strlen(clock) + 30)
        top_put(0, COLS - (int)strlen(clock), (int)strlen(clock), false, clock);
    put_line(1, "%u services: %u healthy, %u unhealthy, %u unknown    %u participants", stats->total_services,
             stats->healthy_services, stats->unhealthy_services, unknown, model->about.participants);
    put_line(2, "%s requests/s, %s%s failed, %s in flight    %s in all, %s on average",
             top_number_text(model->rate, rate), quiet ? "none" : top_share_text(model->failed, failed),
             quiet ? "" : " %", top_count_text(model->in_flight, flying), top_count_text(stats->total_requests, all),
             top_time_text((uint64_t)(stats->average_response_time_ms * 1e6), mean));
    put_line(3, "by %s%s%s%s    %zu of %zu shown%s", top_sort_name(view->sort), model->name ? ", instances of " : "",
             model->name ? model->name : "", view->filter[0] != '\0' && view->mode != TOP_FILTER ? ", filtered" : "",
             view->count, model->count + model->left_out, model->left_out != 0 ? ", too many to look at all" : "");
}

/* ------------------------------------------------------------------- table */

/* Columns that a column's texts need. Of a long list the rest counts for nothing: it is cut where it is longer. */
static int needed(const struct top_column *column, const struct top_view *view)
{
    char text[TOP_CELL_BYTES];
    size_t most = strlen(column->heading);

    if (column->width == column->most)
        return column->width;
    for (size_t i = 0; i < view->count && i < ROWS_MEASURED; i++) {
        column->text(view->shown[i], text, sizeof(text));
        size_t length = strlen(text);
        most = length > most ? length : most;
    }
    return most < (size_t)column->most ? (int)most : column->most;
}

/* Widths by column; 0: left out. What there is little room for gets no more than will do, then the highest ranks go, from the
 * right; what room is left goes round, a column each. */
static void fit_columns(const struct top_view *view, int width[TOP_COLUMNS_MOST])
{
    int need[TOP_COLUMNS_MOST], used = -1, worst = 0;

    for (size_t i = 0; i < top_column_count; i++) {
        need[i] = needed(&top_columns[i], view);
        width[i] = need[i] < top_columns[i].width ? need[i] : top_columns[i].width;
        used += width[i] + 1;
        worst = top_columns[i].rank > worst ? top_columns[i].rank : worst;
    }
    for (; worst > 0 && used > COLS; worst--)
        for (size_t i = top_column_count; i-- > 0 && used > COLS;)
            if (top_columns[i].rank == worst) {
                used -= width[i] + 1;
                width[i] = 0;
            }
    for (bool grew = true; grew && used < COLS;) {
        grew = false;
        for (size_t i = 0; i < top_column_count && used < COLS; i++)
            if (width[i] != 0 && width[i] < need[i]) {
                width[i]++;
                used++;
                grew = true;
            }
    }
}

static int pair_of(const struct top_row *row)
{
    if (row->status == COMMY_HEALTH_UNHEALTHY)
        return PAIR_BAD;
    return row->status == COMMY_HEALTH_HEALTHY && row->admin == COMMY_ADMIN_ENABLED ? PAIR_GOOD : PAIR_SO_SO;
}

static void draw_headings(const struct top_view *view, const int width[TOP_COLUMNS_MOST])
{
    int column = 0;

    attron(A_REVERSE);
    put_line(HEADER_LINES, "%s", "");
    for (size_t i = 0; i < top_column_count; i++) {
        if (width[i] == 0)
            continue;
        bool sorted = top_columns[i].sort == view->sort;
        if (sorted)
            attron(A_BOLD | A_UNDERLINE);
        top_put(HEADER_LINES, column, width[i], top_columns[i].right, top_columns[i].heading);
        if (sorted)
            attroff(A_BOLD | A_UNDERLINE);
        column += width[i] + 1;
    }
    attroff(A_REVERSE);
}

static void draw_row(int line, const struct top_row *row, bool selected, const int width[TOP_COLUMNS_MOST])
{
    char text[TOP_CELL_BYTES];
    int column = 0;

    if (selected)
        attron(A_REVERSE);
    put_line(line, "%s", "");
    for (size_t i = 0; i < top_column_count; i++) {
        if (width[i] == 0)
            continue;
        bool colored = top_columns[i].heading[0] == 'S' && !selected;
        top_columns[i].text(row, text, sizeof(text));
        if (colored)
            attron(COLOR_PAIR(pair_of(row)));
        top_put(line, column, width[i], top_columns[i].right, text);
        if (colored)
            attroff(COLOR_PAIR(pair_of(row)));
        column += width[i] + 1;
    }
    if (selected)
        attroff(A_REVERSE);
}

static void draw_table(struct top_view *view)
{
    int width[TOP_COLUMNS_MOST], lines = top_lines();

    fit_columns(view, width);
    draw_headings(view, width);
    top_view_scroll(view, (size_t)lines);
    for (int line = 0; line < lines; line++) {
        size_t at = view->first + (size_t)line;
        if (at < view->count)
            draw_row(FIRST_ROW + line, view->shown[at], at == view->selected, width);
        else
            put_line(FIRST_ROW + line, "%s", "");
    }
    if (view->count == 0)
        put_line(FIRST_ROW, "%s", view->filter[0] != '\0' ? "nothing matches the filter" : "there is no service");
}

/* -------------------------------------------------------------------- help */

static void draw_help(void)
{
    static const char *const lines[] = {
        "",
        "  Up, Down, j, k        select a service; PgUp, PgDn, Home, End go further",
        "  Enter                 all about it: owner, tags, metadata, percentiles, events",
        "  s                     sort by rate, errors, p99, in flight, or name",
        "  /                     show only names and ids that contain what follows",
        "  Esc                   show all again",
        "  d                     drain what is selected (no new requests), or enable it",
        "  q                     quit",
        "",
        "  RATE/S and ERR % are of the time between two looks; P50, P99 of all requests",
        "  of the service's life; FLIGHT counts requests that were begun and not ended.",
        "  The mesh's own numbers in the header count services that have gone, too.",
    };

    for (int line = HEADER_LINES; line < LINES - 1; line++)
        put_line(line, "%s",
                 (size_t)(line - HEADER_LINES) < sizeof(lines) / sizeof(lines[0]) ? lines[line - HEADER_LINES] : "");
}

static void draw_last_line(const struct top_view *view)
{
    static const char *const keys[] = {
        [TOP_LIST] = "q quit  s sort  / filter  d drain  Enter details  ? help",
        [TOP_DETAILS] = "Esc back  d drain  q quit",
        [TOP_HELP] = "Esc back  q quit",
    };

    if (view->mode == TOP_FILTER)
        put_line(LINES - 1, "filter: %s_", view->filter);
    else if (view->message[0] != '\0')
        put_line(LINES - 1, "%s", view->message);
    else if (view->mode == TOP_LIST && view->filter[0] != '\0')
        put_line(LINES - 1, "%s  Esc all    filter: %s", keys[TOP_LIST], view->filter);
    else
        put_line(LINES - 1, "%s", keys[view->mode]);
}

void top_draw(struct top_model *model, struct top_view *view)
{
    erase();
    draw_header(model, view);
    if (view->mode == TOP_HELP)
        draw_help();
    else if (view->mode == TOP_DETAILS)
        top_draw_details(model, view);
    else
        draw_table(view);
    if (LINES > 1)
        draw_last_line(view);
    refresh();
}
