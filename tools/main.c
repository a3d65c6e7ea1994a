/*
 * main.c - the `commy` command: the common options, then one of the subcommands below.
 */
#include <stdlib.h>
#include <string.h>

#include <locale.h>

#include "commands.h"
#include "common.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"create", cmd_create, "Make a mesh"},
    {"rm", cmd_rm, "Remove a mesh"},
    {"meshes", cmd_meshes, "List the meshes of a directory"},
    {"ls", cmd_ls, "List services"},
    {"get", cmd_get, "Show all about one service"},
    {"select", cmd_select, "Select an instance to send a request to"},
    {"breaker", cmd_breaker, "Show, close or configure circuit breakers"},
    {"check-health", cmd_check_health, "Check a service once, as its tag says"},
    {"stat", cmd_stat, "Show counters of the mesh, a name or a service"},
    {"nodes", cmd_nodes, "List the participants"},
    {"register", cmd_register, "Register a service and hold it"},
    {"unregister", cmd_unregister, "Unregister a service"},
    {"heartbeat", cmd_heartbeat, "Renew a service's lease"},
    {"set", cmd_set, "Change weight, metadata, health or admin state"},
    {"drain", cmd_drain, "Take a service out of selection, and wait for its requests"},
    {"run", cmd_run, "Run a program and register it for as long as it lives"},
    {"wait", cmd_wait, "Wait until instances are up"},
    {"watch", cmd_watch, "Print changes as they happen"},
    {"timeline", cmd_timeline, "Print what happened last, and to whom"},
    {"top", cmd_top, "Show services and their load as it changes"},
    {"monitor", cmd_monitor, "Check the health of services until told to stop"},
    {"dump", cmd_dump, "Show the inside of a region, sound or not"},
    {"reap", cmd_reap, "Give back what the dead left"},
    {"check", cmd_check, "Audit a region"},
    {"doctor", cmd_doctor, "Tell what on this host would hurt commy"},
    {"bench", cmd_bench, "Measure what commy costs on this host"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

enum { KEY_VERSION = KEY_FIRST };

static const struct argp_option options[] = {
    {"version", KEY_VERSION, NULL, 0, "Print the version", 0},
    {0},
};

static const char doc[] = "A service registry for one host that lives in shared memory.\v"
                          "`commy COMMAND --help' tells more about a command.\n\n"
                          "Example:\n"
                          "  commy run --name web --port 8080 -- python3 -m http.server 8080 &\n"
                          "  commy wait web && commy ls\n\n"
                          "Exit codes: 0 yes or done, 1 no or not found, 2 error, 64 usage.";

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Puts the table of commands before the closing words of --help. */
static char *add_commands(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC || text == NULL)
        return (char *)text;

    char *help = NULL;
    size_t bytes = 0;
    FILE *out = must_have(open_memstream(&help, &bytes));
    fputs("Commands:\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n%s", text);
    fclose(out);
    return help;
}

/* Stops at the first word that is no option: the command, whose parser goes on from there. */
static error_t parse(int key, char *arg, struct argp_state *state)
{
    int *command = state->input;

    (void)arg;
    switch (key) {
    case KEY_VERSION:
        puts("commy " COMMY_TOOL_VERSION);
        exit(finish_output(EXIT_YES));
    case ARGP_KEY_ARG:
        *command = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        refuse(state, "a command is missing, such as `commy ls'");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run_command(int argc, char **argv)
{
    const struct command *command = find_command(argv[0]);
    char *name = NULL;

    if (command == NULL) {
        complain("there is no command '%s'; `commy --help' lists them", argv[0]);
        return EXIT_USAGE;
    }
    tool.command = command->name;
    if (asprintf(&name, "commy %s", command->name) < 0)
        must_have(NULL);
    argv[0] = name;
    int code = finish_output(command->run(argc, argv));
    free(name);
    return code;
}

/* `commy help` is `commy --help`; `commy help ls` is `commy ls --help`. */
static int run_help(const struct argp *argp, char *program, const char *about)
{
    static char help[] = "--help";

    if (about != NULL)
        return run_command(2, (char *[]){(char *)about, help, NULL});
    argp_parse(argp, 2, (char *[]){program, help, NULL}, 0, NULL, &(int){0});
    return EXIT_YES;
}

int main(int argc, char **argv)
{
    const struct argp argp = {.options = options,
                              .parser = parse,
                              .args_doc = "COMMAND [ARGUMENT...]",
                              .doc = doc,
                              .children = common_children,
                              .help_filter = add_commands};
    int command = 0;

    setlocale(LC_CTYPE, "");
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &command);
    if (strcmp(argv[command], "help") == 0)
        return run_help(&argp, argv[0], argv[command + 1]);
    return run_command(argc - command, argv + command);
}
