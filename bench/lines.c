/*
 * lines.c - see latency.h: the cache lines that a find touches.
 *
 * The probe runs under valgrind's lackey, which prints the address of every load and store. The probe says where the region
 * is mapped, and writes a marker before and after each find.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latency.h"
#include "probe.h"

#define FINDS PROBE_FINDS
#define LINE 64u
#define MOST_LINES 64u /* of the region, in one find */

typedef struct trace {
    uintptr_t from, to, marker;
    unsigned markers; /* stores to it so far: odd within a find */
    uintptr_t lines[FINDS][MOST_LINES];
    unsigned counts[FINDS];
} trace_t;

static void note_line(trace_t *trace, uintptr_t line)
{
    unsigned find = trace->markers / 2;

    for (unsigned i = 0; i < trace->counts[find]; i++)
        if (trace->lines[find][i] == line)
            return;
    if (trace->counts[find] == MOST_LINES)
        bench_die("a find touched more than %u lines", MOST_LINES);
    trace->lines[find][trace->counts[find]++] = line;
}

/* A line of lackey's: " L address,bytes"; S is a store, M both. */
static void take_access(trace_t *trace, const char *text)
{
    unsigned long address, bytes;
    char kind;

    if (sscanf(text, " %c %lx,%lu", &kind, &address, &bytes) != 3 || (kind != 'L' && kind != 'S' && kind != 'M'))
        return;
    if (kind == 'S' && address == trace->marker)
        trace->markers++;
    if (trace->markers % 2 == 0 || trace->markers / 2 >= FINDS || address < trace->from || address >= trace->to)
        return;
    for (uintptr_t line = address / LINE; line <= (address + bytes - 1) / LINE; line++)
        note_line(trace, line);
}

static bool in_every_find(const trace_t *trace, uintptr_t line)
{
    for (unsigned find = 0; find < FINDS; find++) {
        bool there = false;
        for (unsigned i = 0; i < trace->counts[find] && !there; i++)
            there = trace->lines[find][i] == line;
        if (!there)
            return false;
    }
    return true;
}

/* The probe's own words come over its standard output, which is kept apart from the trace by a file. */
static FILE *start_traced(const bench_place_t *place, const char *words, pid_t *child)
{
    char size[32], seed[32];
    const char *probe = latency_probe();
    int ends[2];
    pid_t parent = getpid();

    snprintf(size, sizeof size, "%llu", (unsigned long long)place->keys->size);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)place->keys->seed);
    if (pipe2(ends, O_CLOEXEC) != 0)
        bench_die("pipe: %s", strerror(errno));
    fflush(NULL);
    *child = fork();
    if (*child < 0)
        bench_die("fork: %s", strerror(errno));
    if (*child == 0) {
        int file = open(words, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        bench_die_with(parent);
        dup2(ends[1], STDERR_FILENO);
        dup2(file, STDOUT_FILENO);
        execlp("valgrind", "valgrind", "--tool=lackey", "--trace-mem=yes", "--basic-counts=no", probe, PROBE_LINES,
               place->dir, size, seed, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

/* The region's place is on the file before the first find is in the trace. */
static bool read_words(const char *words, trace_t *trace)
{
    unsigned long from, to, marker_at;
    FILE *file = fopen(words, "re");
    bool known = file && fscanf(file, "region %lx %lx marker %lx", &from, &to, &marker_at) == 3;

    if (file)
        fclose(file);
    if (known)
        trace->from = from, trace->to = to, trace->marker = marker_at;
    return known;
}

static int compare(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

static void conclude(results_t *results, trace_t *trace)
{
    unsigned shared = 0, own[FINDS], sum = 0;

    for (unsigned i = 0; i < trace->counts[0]; i++)
        shared += in_every_find(trace, trace->lines[0][i]);
    for (unsigned find = 0; find < FINDS; find++)
        sum += own[find] = trace->counts[find] - shared;
    qsort(own, FINDS, sizeof *own, compare);
    results_number(results, "lines_per_find", own[FINDS / 2]);
    results_number(results, "lines_per_find_mean", (double)sum / FINDS);
    results_number(results, "lines_per_find_most", own[FINDS - 1]);
    results_number(results, "lines_all_finds_share", shared);
    fprintf(stderr, "  %-14s %u of its own (mean %.2f, most %u), %u that all finds share\n", "lines of a find",
            own[FINDS / 2], (double)sum / FINDS, own[FINDS - 1], shared);
}

void latency_lines(results_t *results, const bench_place_t *place)
{
    char words[BENCH_PATH_BYTES + 8], text[256];
    trace_t *trace = calloc(1, sizeof *trace);
    pid_t child;
    int status;

    snprintf(words, sizeof words, "%s/words", place->dir);
    FILE *lines = start_traced(place, words, &child);
    while (fgets(text, sizeof text, lines))
        if (trace->marker != 0 || read_words(words, trace))
            take_access(trace, text);
    fclose(lines);
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        results_skip(results, "cache lines of a find", "there is no valgrind (Debian: valgrind)");
    else if (status != 0 || trace->markers != 2 * FINDS)
        bench_die("tracing under valgrind went wrong (status 0x%x, %u finds)", (unsigned)status, trace->markers / 2);
    else
        conclude(results, trace);
    free(trace);
}
