/*
 * common.h - what every subcommand of `commy` stands on: the common options, exit codes, sentences for people, numbers
 * from the command line, and opening a mesh.
 *
 * A subcommand is one function, `int cmd_<name>(int argc, char **argv)`, that returns an exit code; argv[0] is
 * "commy <name>". Usage errors end the program in argp with EXIT_USAGE.
 */
#ifndef COMMY_TOOL_COMMON_H
#define COMMY_TOOL_COMMON_H

#include <argp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <commy/commy.h>

enum {
    EXIT_YES = 0,              /* yes, or done */
    EXIT_NO = 1,               /* no, or not found */
    EXIT_ERROR = 2,            /* it could not be done or not be told */
    EXIT_USAGE = 64,           /* the command line makes no sense */
    EXIT_TIMED_OUT = 124,      /* `wait` has waited long enough */
    EXIT_OWN_FAILURE = 125,    /* where a child's code is passed on: it is not the child that failed */
    EXIT_NOT_EXECUTABLE = 126, /* as in sh */
    EXIT_NO_SUCH_COMMAND = 127
};

/* The common options, valid before and after the subcommand's name; the later one wins. */
struct tool {
    const char *command;    /* "ls", or null before it is known */
    const char *mesh, *dir; /* null: the library's default */
    bool json;
};
extern struct tool tool;

/* Parses --mesh, --dir and --json into `tool`; hung as the last child under every subcommand's parser. */
extern const struct argp common_argp;
#define COMMON_CHILD                                                                                                   \
    {                                                                                                                  \
        &common_argp, 0, "Common options:", 9                                                                          \
    }

/* For subcommands with no children but the common options. */
extern const struct argp_child common_children[];

/* Keys of long options that have no letter start here; those of child parsers further up. */
enum { KEY_FIRST = 256, KEY_SERVICE = 512, KEY_COMMON = 768 };

/* Whether the words from here on stand behind a `--`; to be asked for ARGP_KEY_ARG under ARGP_IN_ORDER. */
bool behind_dashes(const struct argp_state *state);

/* Ends the program with a usage error: the sentence, and where help is. */
void refuse(const struct argp_state *state, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* A whole number from an option's text, or a usage error that names option, value and range. */
uint64_t parse_number(const struct argp_state *state, const char *option, const char *text, uint64_t low,
                      uint64_t high);

/* Parsers for subcommands without options of their own: one id (input: const char **), and no argument at all. */
error_t parse_id(int key, char *arg, struct argp_state *state);
error_t parse_nothing(int key, char *arg, struct argp_state *state);

/* Takes a positional argument; refuses a second one. */
error_t take_argument(const struct argp_state *state, const char **slot, const char *text);

/* Takes over the mesh that was given as an argument (null: none was); refuses it where --mesh names another one. */
void choose_mesh(const struct argp_state *state, const char *mesh);

/* Prints "commy <command>: <sentence>" on stderr, control characters escaped; returns EXIT_ERROR. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints the library's sentence for its last failure and returns the exit code that goes with `status`. */
int complain_status(commy_status_t status);

/* Says that the mesh has no instance of the name, or none that fits the conditions; returns EXIT_NO. */
int complain_none(const char *name, bool conditions);

/* Says that there is no such mesh, to whoever does not mean to make one; returns EXIT_NO. */
int complain_no_mesh(void);

/* EXIT_YES, EXIT_NO for what was not found, EXIT_ERROR. */
int exit_code(commy_status_t status);

/* Whether a wait came to its end in a way that another one may follow: a change, the timeout, a signal. */
bool may_wait_again(commy_status_t status);

/* The exit code for a command that exec refused with this errno, as in sh; says why. */
int complain_exec(const char *file, int error);

/* Ends the program with a sentence when private memory has run out. */
void *must_have(void *pointer);

/* The options that name the mesh of the command line. */
commy_open_options_t mesh_options(uint32_t flags);

/* Attaches to the mesh of the command line; says why where that fails. Returns an exit code. */
int open_mesh(uint32_t flags, commy_mesh_t **mesh);

/*
 * Attaches read-write where that is allowed, else read-only: for waiting, since only who may leave a note in the region that
 * somebody waits is woken at once, and others look again every 100 ms; for selecting, since only who may count a turn takes
 * part in the host's rotation. Says nothing where it fails.
 */
commy_status_t attach_as_allowed(commy_mesh_t **mesh);

/* Attaches for registering: makes the mesh where it is missing, and joins it under a name (null: the library's). */
int open_mesh_as(const char *node, commy_mesh_t **mesh);

/* Where the mesh of the command line lies, by the library's rules: --dir, $COMMY_DIR, /dev/shm/commy-<euid>. */
const char *mesh_directory(char buffer[PATH_MAX]);
bool mesh_directory_given(void); /* false: it is the default one */
const char *mesh_name(void);

/* Whether the output still has a reader; can be asked while there is nothing to write, too. */
bool output_is_read(void);

/* Flushes stdout; returns `code`, or EXIT_ERROR with a sentence where the output could not be written. A
 * reader that has gone is no error: it has seen enough. */
int finish_output(int code);

#endif /* COMMY_TOOL_COMMON_H */
