/*
 * results.c - see results.h.
 */
#include "results.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

struct results {
    json_t *root, *figures, *memory, *checksums, *skipped, *contenders;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The first line of a file, or the value behind the first line that starts with `key`; "unknown" where there is none. */
static json_t *line_of(const char *path, const char *key)
{
    char line[256];
    FILE *file = fopen(path, "re");
    size_t skip = 0;
    bool found = false;

    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, key, strlen(key)) == 0;
    if (file)
        fclose(file);
    if (!found)
        return json_string("unknown");
    line[strcspn(line, "\n")] = '\0';
    if (*key)
        skip = strcspn(line, ":") + 1, skip += strspn(line + skip, " ");
    return json_string(line + skip);
}

static json_t *describe_machine(void)
{
    struct utsname host;
    char when[32];
    time_t now = time(NULL);
    struct tm utc;

    uname(&host);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    return json_pack("{s:s, s:o, s:I, s:s, s:s, s:o, s:o, s:s}", "date", when, "cpu",
                     line_of("/proc/cpuinfo", "model name"), "cpus", (json_int_t)bench_cpus(), "kernel", host.release,
                     "arch", host.machine, "transparent_hugepage",
                     line_of("/sys/kernel/mm/transparent_hugepage/enabled", ""), "cache",
                     line_of("/proc/cpuinfo", "cache size"), "compiler", __VERSION__);
}

results_t *results_new(const bench_options_t *options)
{
    results_t *results = calloc(1, sizeof *results);

    results->root =
        json_pack("{s:o, s:{s:b, s:b, s:I, s:I, s:I}, s:[], s:[], s:[], s:[], s:{}, s:{}}", "machine",
                  describe_machine(), "options", "quick", options->quick, "cpu_time", options->cpu_time, "seed",
                  (json_int_t)options->seed, "repeats", (json_int_t)options->repeats, "turn_ms",
                  (json_int_t)options->turn_ms, "results", "memory", "checksums", "skipped", "contenders", "numbers");
    if (!results->root)
        bench_die("results: out of memory");
    results->figures = json_object_get(results->root, "results");
    results->memory = json_object_get(results->root, "memory");
    results->checksums = json_object_get(results->root, "checksums");
    results->skipped = json_object_get(results->root, "skipped");
    results->contenders = json_object_get(results->root, "contenders");
    return results;
}

void results_contender(results_t *results, const bench_contender_t *contender)
{
    json_object_set_new(results->contenders, contender->name, json_string(contender->about));
}

/* Four digits are what a measurement is worth. */
static json_t *number(double value)
{
    char text[32];

    snprintf(text, sizeof text, "%.4g", value);
    return json_real(strtod(text, NULL));
}

static json_t *all_of(const double *values, unsigned n)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(array, number(values[i]));
    return array;
}

static double median_of(const double *values, unsigned n)
{
    double copy[BENCH_MOST_TURNS];

    memcpy(copy, values, n * sizeof *values);
    return bench_median(copy, n);
}

static json_t *quantile(const figure_t *figure, double q)
{
    return json_integer((json_int_t)figure->sorted_ns[(uint64_t)((double)(figure->samples - 1) * q + 0.5)]);
}

void results_add(results_t *results, const figure_t *figure)
{
    json_t *entry = json_pack("{s:s, s:s, s:I, s:I, s:I}", "workload", figure->workload, "contender", figure->contender,
                              "size", (json_int_t)figure->size, "workers", (json_int_t)figure->workers, "instances",
                              (json_int_t)figure->instances);

    if (figure->turns > 0) {
        json_object_set_new(entry, "ns", number(median_of(figure->repeats, figure->turns)));
        json_object_set_new(entry, "repeats_ns", all_of(figure->repeats, figure->turns));
        json_object_set_new(entry, "count", json_integer((json_int_t)figure->count));
    }
    if (figure->million_per_s)
        json_object_set_new(entry, "mops", number(median_of(figure->million_per_s, figure->turns)));
    if (figure->samples > 0) {
        json_object_set_new(entry, "samples", json_integer((json_int_t)figure->samples));
        json_object_set_new(entry, "p50_ns", quantile(figure, 0.5));
        json_object_set_new(entry, "p99_ns", quantile(figure, 0.99));
        json_object_set_new(entry, "p999_ns", quantile(figure, 0.999));
    }
    json_array_append_new(results->figures, entry);
}

void results_memory(results_t *results, const char *contender, uint64_t size, uint64_t bytes)
{
    json_array_append_new(results->memory, json_pack("{s:s, s:I, s:I}", "contender", contender, "size",
                                                     (json_int_t)size, "bytes", (json_int_t)bytes));
}

void results_checksum(results_t *results, const char *contender, uint64_t size, uint64_t sum)
{
    char text[32];

    snprintf(text, sizeof text, "%016llx", (unsigned long long)sum);
    json_array_append_new(results->checksums,
                          json_pack("{s:s, s:I, s:s}", "contender", contender, "size", (json_int_t)size, "sum", text));
}

void results_skip(results_t *results, const char *what, const char *reason)
{
    fprintf(stderr, "skipped: %s: %s\n", what, reason);
    json_array_append_new(results->skipped, json_pack("{s:s, s:s}", "what", what, "reason", reason));
}

void results_number(results_t *results, const char *key, double value)
{
    json_object_set_new(json_object_get(results->root, "numbers"), key, number(value));
}

void results_write(results_t **results, const char *path)
{
    if (json_dump_file((*results)->root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0)
        bench_die("%s could not be written", path);
    json_decref((*results)->root);
    free(*results);
    *results = NULL;
}
