/* top_keys.c - what a key does in `commy top`. */
#include <curses.h>
#include <stdio.h>
#include <string.h>

#include "common.h"
#include "service.h"
#include "top.h"

#define KEY_ESCAPE 27
#define KEY_CONTROL_H 8
#define KEY_CONTROL_U 21
#define KEY_DELETE 127

static void tell(struct top_view *view, const char *what)
{
    snprintf(view->message, sizeof(view->message), "%s", what);
}

/* Drains what is enabled, enables what is not. */
static void drain(struct top_view *view, commy_mesh_t *mesh)
{
    struct top_row *row = top_view_selected(view);

    if (row == NULL) {
        tell(view, "nothing is selected");
        return;
    }
    int32_t admin = row->admin == COMMY_ADMIN_ENABLED ? COMMY_ADMIN_DRAINING : COMMY_ADMIN_ENABLED;
    if (commy_service_set_admin(mesh, row->id, admin) != COMMY_STATUS_SUCCESS) {
        tell(view, commy_last_error_message());
        return;
    }
    row->admin = admin; /* not only at the next look */
    snprintf(view->message, sizeof(view->message), "%s is %s", row->id, admin_name(admin));
}

static void type_filter(struct top_view *view, int key)
{
    size_t length = strlen(view->filter);

    switch (key) {
    case '\r':
    case '\n':
    case KEY_ENTER:
        view->mode = TOP_LIST;
        return;
    case KEY_ESCAPE:
        memcpy(view->filter, view->filter_before, sizeof(view->filter));
        view->mode = TOP_LIST;
        return;
    case KEY_BACKSPACE:
    case KEY_CONTROL_H:
    case KEY_DELETE:
        /* A whole character. */
        while (length != 0 && ((unsigned char)view->filter[--length] & 0xc0) == 0x80)
            ;
        view->filter[length] = '\0';
        return;
    case KEY_CONTROL_U:
        view->filter[0] = '\0';
        return;
    default:
        if (key < ' ' || key > 0xff || length + 1 >= sizeof(view->filter))
            return;
        view->filter[length] = (char)key;
        view->filter[length + 1] = '\0';
    }
}

static bool move_selection(struct top_view *view, int key)
{
    long page = top_lines() > 1 ? top_lines() - 1 : 1, all = (long)view->count;

    switch (key) {
    case KEY_UP:
    case 'k':
        top_view_move(view, -1);
        return true;
    case KEY_DOWN:
    case 'j':
        top_view_move(view, 1);
        return true;
    case KEY_PPAGE:
        top_view_move(view, -page);
        return true;
    case KEY_NPAGE:
        top_view_move(view, page);
        return true;
    case KEY_HOME:
    case 'g':
        top_view_move(view, -all);
        return true;
    case KEY_END:
    case 'G':
        top_view_move(view, all);
        return true;
    default:
        return false;
    }
}

static void list_key(struct top_view *view, commy_mesh_t *mesh, int key)
{
    switch (key) {
    case 's':
        view->sort = (enum top_sort)((view->sort + 1) % TOP_SORTS);
        snprintf(view->message, sizeof(view->message), "sorted by %s", top_sort_name(view->sort));
        return;
    case '/':
        memcpy(view->filter_before, view->filter, sizeof(view->filter));
        view->mode = TOP_FILTER;
        return;
    case 'd':
        drain(view, mesh);
        return;
    case '\r':
    case '\n':
    case KEY_ENTER:
        view->mode = TOP_DETAILS;
        return;
    case KEY_ESCAPE:
        view->filter[0] = '\0';
        return;
    default:
        move_selection(view, key);
    }
}

void top_key(struct top_view *view, commy_mesh_t *mesh, int key)
{
    view->message[0] = '\0';
    if (key == KEY_RESIZE)
        return; /* what is drawn next has the new size */
    if (view->mode == TOP_FILTER) {
        type_filter(view, key);
    } else if (key == 'q') {
        view->quit = true;
    } else if (key == '?') {
        view->mode = view->mode == TOP_HELP ? TOP_LIST : TOP_HELP;
    } else if (view->mode == TOP_LIST) {
        list_key(view, mesh, key);
    } else if (key == 'd' && view->mode == TOP_DETAILS) {
        drain(view, mesh);
    } else if (key == KEY_ESCAPE || key == '\r' || key == '\n' || key == KEY_ENTER) {
        view->mode = TOP_LIST;
    }
}
