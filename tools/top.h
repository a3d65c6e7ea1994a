/*
 * top.h - what `commy top` is made of: what was seen of the mesh (top_model.c), which of it is shown and in which order
 * (top_view.c), its columns (top_columns.c), and three ways to show it: on a screen (top_draw.c, top_details.c, top_keys.c),
 * as a table and as JSON (top_print.c).
 */
#ifndef COMMY_TOOL_TOP_H
#define COMMY_TOOL_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <commy/commy.h>

/* --------------------------------------------------------------------- model */

/* A service as it was at the last look. */
struct top_row {
    uint64_t reference; /* of this registration alone */
    char name[64], id[128], node[64];
    uint32_t weight, pid;                   /* pid 0: nobody's */
    int32_t status, admin, breaker;         /* breaker: commy_breaker_state_t */
    uint64_t requests, failures, in_flight; /* of its life */
    uint64_t p50_ns, p99_ns;                /* of its life; 0: no request */
    double rate;                            /* requests a second since the look before */
    double failed;                          /* share of them, 0 to 1; negative: there was none */
};

/* What a row had counted at the look before. */
struct top_count {
    uint64_t reference, requests, failures;
};

#define TOP_MOST_ROWS 100000u /* services that are looked at */

struct top_model {
    const commy_mesh_t *mesh;
    const char *name; /* only instances of this name; null: all */
    commy_mesh_info_t about;
    commy_mesh_stats_t stats;
    struct top_row *rows;
    size_t count, room;
    size_t left_out; /* services beyond TOP_MOST_ROWS */
    uint64_t in_flight;
    double rate, failed; /* of the mesh, as of a row */
    struct top_count *before;
    size_t before_count;
    uint64_t looked_ns, total_before, failed_before;
};

/* Looks at everything. Rates are between this look and the one before. */
commy_status_t top_look(struct top_model *model);
void top_model_free(struct top_model *model);

/* ---------------------------------------------------------------------- view */

enum top_sort { TOP_BY_RATE, TOP_BY_FAILED, TOP_BY_P99, TOP_BY_IN_FLIGHT, TOP_BY_NAME, TOP_SORTS };
const char *top_sort_name(enum top_sort sort);

enum top_mode { TOP_LIST, TOP_FILTER, TOP_DETAILS, TOP_HELP };

#define TOP_FILTER_BYTES 64

struct top_view {
    enum top_sort sort;
    enum top_mode mode;
    char filter[TOP_FILTER_BYTES];        /* part of a name or an id, in any case; empty: all */
    char filter_before[TOP_FILTER_BYTES]; /* while another one is being typed */
    char message[256];                    /* until the next key */
    struct top_row **shown;
    size_t count, room;
    size_t selected, first;      /* of the shown ones; the first that is on the screen */
    uint64_t selected_reference; /* stays selected wherever it moves; 0: none */
    uint32_t interval_ms;
    bool quit;
};

/* Chooses and orders what is shown of the rows, and finds what is selected. */
void top_view_update(struct top_view *view, struct top_model *model);

/* Selects another row: so many further down. */
void top_view_move(struct top_view *view, long by);

/* Scrolls so that what is selected is among `lines` lines. */
void top_view_scroll(struct top_view *view, size_t lines);

/* The row that is selected; null where none is shown. */
struct top_row *top_view_selected(const struct top_view *view);

void top_view_free(struct top_view *view);

/* ------------------------------------------------------------------- columns */

/* One column. To add one: a line in top_columns.c. */
struct top_column {
    const char *heading;
    int width, most; /* columns that will do where there is little room; that it takes at most */
    int rank;        /* what is left out first where there is none has the highest */
    bool right;
    enum top_sort sort; /* that it shows; TOP_SORTS: none */
    void (*text)(const struct top_row *row, char *text, size_t capacity);
};
extern const struct top_column top_columns[];
extern const size_t top_column_count;
#define TOP_COLUMNS_MOST 16

#define TOP_CELL_BYTES 160

/* Numbers in few columns: "12.3k", "1.23ms", "0.4" (per cent; "-" for none). */
#define TOP_NUMBER_BYTES 24
const char *top_number_text(double number, char text[TOP_NUMBER_BYTES]);
const char *top_count_text(uint64_t count, char text[TOP_NUMBER_BYTES]);
const char *top_time_text(uint64_t ns, char text[TOP_NUMBER_BYTES]);
const char *top_share_text(double share, char text[TOP_NUMBER_BYTES]);

/* ------------------------------------------------------------------- showing */

/* All rows, as a table or as JSON. */
void top_print(struct top_model *model, struct top_view *view);

/* The screen, and what is typed: built where ncurses is there. */
#ifdef COMMY_HAVE_CURSES
bool top_screen_open(void); /* false where the terminal cannot be used; says why */
void top_screen_close(void);
void top_draw(struct top_model *model, struct top_view *view);
void top_draw_details(const struct top_model *model, const struct top_view *view);
int top_lines(void); /* rows that the screen has room for */

/* Prints text at a place, in at most `width` columns, the rest of which becomes blank; nothing in it can steer the
 * terminal. right: aligned to the right. */
void top_put(int line, int column, int width, bool right, const char *text);

/* What follows from a key; the view then has to be updated. */
void top_key(struct top_view *view, commy_mesh_t *mesh, int key);
#endif

#endif /* COMMY_TOOL_TOP_H */
