/* top_columns.c - the columns of `commy top`, and numbers in few columns. */
#include <inttypes.h>
#include <stdio.h>

#include "service.h"
#include "top.h"

const char *top_number_text(double number, char text[TOP_NUMBER_BYTES])
{
    static const char units[] = {'\0', 'k', 'M', 'G', 'T'};
    size_t unit = 0;

    while (number >= 9999.5 && unit + 1 < sizeof(units)) {
        number /= 1000;
        unit++;
    }
    int digits = number < 9.95 || (unit != 0 && number < 99.95) ? 1 : 0;
    if (number < 0.05)
        digits = 0;
    snprintf(text, TOP_NUMBER_BYTES, "%.*f%.1s", digits, number, &units[unit]);
    return text;
}

const char *top_count_text(uint64_t count, char text[TOP_NUMBER_BYTES])
{
    if (count >= 10000)
        return top_number_text((double)count, text);
    snprintf(text, TOP_NUMBER_BYTES, "%" PRIu64, count);
    return text;
}

const char *top_time_text(uint64_t ns, char text[TOP_NUMBER_BYTES])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double number = (double)ns;
    size_t unit = 0;

    while (number >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        number /= 1000;
        unit++;
    }
    int digits = unit == 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
    snprintf(text, TOP_NUMBER_BYTES, "%.*f%s", digits, number, units[unit]);
    return text;
}

const char *top_share_text(double share, char text[TOP_NUMBER_BYTES])
{
    if (share < 0)
        snprintf(text, TOP_NUMBER_BYTES, "-");
    else
        snprintf(text, TOP_NUMBER_BYTES, "%.*f", share >= 0.9995 || share == 0 ? 0 : 1, 100 * share);
    return text;
}

static void name(const struct top_row *row, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s", row->name);
}

static void id(const struct top_row *row, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s", row->id);
}

static void status(const struct top_row *row, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s", health_name(row->status));
}

static void admin(const struct top_row *row, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s", admin_name(row->admin));
}

static void breaker(const struct top_row *row, char *text, size_t capacity)
{
    static const char *const words[] = {
        [COMMY_BREAKER_CLOSED] = "-", [COMMY_BREAKER_OPEN] = "open", [COMMY_BREAKER_HALF_OPEN] = "half"};

    snprintf(text, capacity, "%s", words[row->breaker]);
}

static void rate(const struct top_row *row, char *text, size_t capacity)
{
    char number[TOP_NUMBER_BYTES];

    snprintf(text, capacity, "%s", top_number_text(row->rate, number));
}

static void failed(const struct top_row *row, char *text, size_t capacity)
{
    char number[TOP_NUMBER_BYTES];

    snprintf(text, capacity, "%s", top_share_text(row->failed, number));
}

static void latency(uint64_t ns, uint64_t requests, char *text, size_t capacity)
{
    char number[TOP_NUMBER_BYTES];

    snprintf(text, capacity, "%s", requests != 0 ? top_time_text(ns, number) : "-");
}

static void p50(const struct top_row *row, char *text, size_t capacity)
{
    latency(row->p50_ns, row->requests, text, capacity);
}

static void p99(const struct top_row *row, char *text, size_t capacity)
{
    latency(row->p99_ns, row->requests, text, capacity);
}

static void in_flight(const struct top_row *row, char *text, size_t capacity)
{
    char number[TOP_NUMBER_BYTES];

    snprintf(text, capacity, "%s", top_count_text(row->in_flight, number));
}

static void weight(const struct top_row *row, char *text, size_t capacity)
{
    snprintf(text, capacity, "%" PRIu32, row->weight);
}

static void pid(const struct top_row *row, char *text, size_t capacity)
{
    if (row->pid != 0)
        snprintf(text, capacity, "%" PRIu32, row->pid);
    else
        snprintf(text, capacity, "-");
}

static void node(const struct top_row *row, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s", row->pid != 0 ? row->node : "detached");
}

const struct top_column top_columns[] = {
    {"NAME", 10, 63, 0, false, TOP_BY_NAME, name},   {"ID", 14, 127, 0, false, TOP_SORTS, id},
    {"STATUS", 9, 9, 1, false, TOP_SORTS, status},   {"ADMIN", 8, 11, 2, false, TOP_SORTS, admin},
    {"BREAKER", 7, 7, 3, false, TOP_SORTS, breaker}, {"RATE/S", 6, 6, 0, true, TOP_BY_RATE, rate},
    {"ERR %", 5, 5, 1, true, TOP_BY_FAILED, failed}, {"P50", 6, 6, 4, true, TOP_SORTS, p50},
    {"P99", 6, 6, 2, true, TOP_BY_P99, p99},         {"FLIGHT", 6, 6, 2, true, TOP_BY_IN_FLIGHT, in_flight},
    {"WEIGHT", 6, 6, 6, true, TOP_SORTS, weight},    {"PID", 7, 7, 5, true, TOP_SORTS, pid},
    {"NODE", 8, 63, 7, false, TOP_SORTS, node},
};
const size_t top_column_count = sizeof(top_columns) / sizeof(top_columns[0]);
