/*
 * common.c - see common.h.
 */
#include "common.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

struct tool tool;

enum { KEY_MESH = KEY_COMMON, KEY_DIR, KEY_JSON };

static const struct argp_option options[] = {
    {"mesh", KEY_MESH, "NAME", 0, "Which mesh (default: $COMMY_MESH, else \"default\")", 0},
    {"dir", KEY_DIR, "DIR", 0, "Directory of the region (default: $COMMY_DIR, else /dev/shm/commy-<euid>)", 0},
    {"json", KEY_JSON, NULL, 0, "Print JSON", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)state;
    switch (key) {
    case KEY_MESH:
        tool.mesh = arg;
        return 0;
    case KEY_DIR:
        tool.dir = arg;
        return 0;
    case KEY_JSON:
        tool.json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp common_argp = {.options = options, .parser = parse};
const struct argp_child common_children[] = {COMMON_CHILD, {0}};

bool behind_dashes(const struct argp_state *state)
{
    return state->quoted != 0 && state->next > state->quoted;
}

void refuse(const struct argp_state *state, const char *format, ...)
{
    char *sentence = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&sentence, format, arguments);
    va_end(arguments);
    char *shown = escape_text(length >= 0 ? sentence : format); /* it quotes what was given, and that may be anything */
    argp_error(state, "%s", shown);
    exit(EXIT_USAGE);
}

uint64_t parse_number(const struct argp_state *state, const char *option, const char *text, uint64_t low, uint64_t high)
{
    char *end = NULL;

    errno = 0;
    uint64_t number = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    if (end == NULL || *end != '\0')
        refuse(state, "%s '%s' is not a whole number from %" PRIu64 " to %" PRIu64, option, text, low, high);
    if (errno == ERANGE || number < low || number > high)
        refuse(state, "%s %s is out of range: it goes from %" PRIu64 " to %" PRIu64, option, text, low, high);
    return number;
}

error_t take_argument(const struct argp_state *state, const char **slot, const char *text)
{
    if (*slot != NULL)
        refuse(state, "'%s' is one argument too many: '%s' was given already", text, *slot);
    *slot = text;
    return 0;
}

void choose_mesh(const struct argp_state *state, const char *mesh)
{
    if (mesh == NULL)
        return;
    if (tool.mesh != NULL && strcmp(mesh, tool.mesh) != 0)
        refuse(state, "which one: '%s' or --mesh '%s'?", mesh, tool.mesh);
    tool.mesh = mesh;
}

error_t parse_id(int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case ARGP_KEY_ARG:
        return take_argument(state, state->input, arg);
    case ARGP_KEY_NO_ARGS:
        refuse(state, "which service? give its id");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

error_t parse_nothing(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG)
        refuse(state, "'%s' is one argument too many: there is none to give", arg);
    return ARGP_ERR_UNKNOWN;
}

static void print_sentence(const char *sentence)
{
    fflush(stdout);
    fputs("commy", stderr);
    if (tool.command != NULL)
        fprintf(stderr, " %s", tool.command);
    fputs(": ", stderr);
    print_text(stderr, sentence);
    fputc('\n', stderr);
}

int complain(const char *format, ...)
{
    char *sentence = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&sentence, format, arguments);
    va_end(arguments);
    print_sentence(length >= 0 ? sentence : format);
    if (length >= 0)
        free(sentence);
    return EXIT_ERROR;
}

int complain_status(commy_status_t status)
{
    print_sentence(commy_last_error() == (int32_t)status ? commy_last_error_message() : commy_status_string(status));
    return exit_code(status);
}

int complain_none(const char *name, bool conditions)
{
    char dir[PATH_MAX];

    complain("mesh %s of %s has no instance of %s%s; `commy ls` shows what it has", mesh_name(), mesh_directory(dir),
             name, conditions ? " that fits" : "");
    return EXIT_NO;
}

int complain_no_mesh(void)
{
    char dir[PATH_MAX];

    complain("no mesh %s in %s; `commy meshes` lists those that are there", mesh_name(), mesh_directory(dir));
    return EXIT_NO;
}

int exit_code(commy_status_t status)
{
    switch (status) {
    case COMMY_STATUS_SUCCESS:
        return EXIT_YES;
    case COMMY_STATUS_NOT_FOUND:
    case COMMY_STATUS_NO_HEALTHY:
    case COMMY_STATUS_MESH_NOT_FOUND:
        return EXIT_NO;
    default:
        return EXIT_ERROR;
    }
}

bool may_wait_again(commy_status_t status)
{
    return status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_TIMED_OUT || status == COMMY_STATUS_INTERRUPTED;
}

int complain_exec(const char *file, int error)
{
    complain("%s cannot be run: %s", *file != '\0' ? file : "''", strerror(error));
    return error == ENOENT || error == ENOTDIR ? EXIT_NO_SUCH_COMMAND : EXIT_NOT_EXECUTABLE;
}

void *must_have(void *pointer)
{
    if (pointer == NULL) {
        complain("memory has run out; stop something else, or raise the limit (ulimit -v)");
        exit(EXIT_ERROR);
    }
    return pointer;
}

commy_open_options_t mesh_options(uint32_t flags)
{
    return (commy_open_options_t){
        .size = sizeof(commy_open_options_t), .flags = flags, .mesh = tool.mesh, .dir = tool.dir};
}

int open_mesh(uint32_t flags, commy_mesh_t **mesh)
{
    commy_open_options_t which = mesh_options(flags);
    commy_status_t status = commy_mesh_attach(&which, mesh);

    return status == COMMY_STATUS_SUCCESS ? EXIT_YES : complain_status(status);
}

commy_status_t attach_as_allowed(commy_mesh_t **mesh)
{
    commy_open_options_t which = mesh_options(COMMY_OPEN_MUST_EXIST);
    commy_status_t status = commy_mesh_attach(&which, mesh);

    if (status != COMMY_STATUS_PERMISSION)
        return status;
    which.flags = COMMY_OPEN_READ_ONLY;
    return commy_mesh_attach(&which, mesh);
}

int open_mesh_as(const char *node, commy_mesh_t **mesh)
{
    if (open_mesh(0, mesh) != EXIT_YES)
        return EXIT_ERROR;
    commy_status_t status = commy_mesh_join(*mesh, node, 0);
    if (status == COMMY_STATUS_SUCCESS)
        return EXIT_YES;
    complain_status(status);
    commy_mesh_detach(mesh);
    return EXIT_ERROR;
}

static const char *given(const char *option, const char *variable)
{
    if (option != NULL && *option != '\0')
        return option;
    const char *value = secure_getenv(variable);
    return value != NULL && *value != '\0' ? value : NULL;
}

bool mesh_directory_given(void)
{
    return given(tool.dir, "COMMY_DIR") != NULL;
}

const char *mesh_directory(char buffer[PATH_MAX])
{
    const char *dir = given(tool.dir, "COMMY_DIR");

    if (dir != NULL)
        snprintf(buffer, PATH_MAX, "%s", dir);
    else
        snprintf(buffer, PATH_MAX, "/dev/shm/commy-%ju", (uintmax_t)geteuid());
    return buffer;
}

const char *mesh_name(void)
{
    const char *name = given(tool.mesh, "COMMY_MESH");

    return name != NULL ? name : "default";
}

bool output_is_read(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) <= 0 || (out.revents & (POLLERR | POLLHUP)) == 0;
}

int finish_output(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    /* Without an errno the failure lies back, in a write that made room in the buffer. */
    int error = errno != 0 ? errno : EIO;
    clearerr(stdout);
    if (error == EPIPE || !output_is_read())
        return code;
    return complain("the output could not be written: %s", strerror(error));
}
