/*
 * condition.c - see condition.h.
 */
#include "condition.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

/* Longer ones first. */
static const struct {
    const char *text;
    enum comparison comparison;
} operators[] = {
    {">=", AT_LEAST}, {"<=", AT_MOST},  {"==", EXACTLY}, {"!=", OTHER_THAN},
    {">", MORE_THAN}, {"<", LESS_THAN}, {"=", EXACTLY},
};
#define OPERATORS (sizeof(operators) / sizeof(operators[0]))

/* The operator that stands there; OPERATORS: none does. */
static size_t operator_at(const char *text)
{
    size_t i = 0;

    while (i < OPERATORS && strncmp(text, operators[i].text, strlen(operators[i].text)) != 0)
        i++;
    return i;
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " ");
}

enum condition_error condition_parse(const char *text, struct condition *condition)
{
    const char *at = text;
    char *end;
    size_t which = OPERATORS;

    while (*at != '\0' && (which = operator_at(at)) == OPERATORS)
        at++;
    size_t bytes = (size_t)(at - text);
    while (bytes > 0 && text[bytes - 1] == ' ')
        bytes--;
    if (which == OPERATORS)
        return CONDITION_NONE;
    if (bytes == 0 || bytes > COMMY_LIMIT_NAME_BYTES)
        return CONDITION_NAME;
    at = skip_spaces(at + strlen(operators[which].text));
    if (!isdigit((unsigned char)*at))
        return CONDITION_COUNT;
    errno = 0;
    uint64_t count = strtoull(at, &end, 10);
    if (errno != 0 || count > COMMY_LIMIT_SERVICES_MAX)
        return CONDITION_COUNT;
    at = skip_spaces(end);
    int32_t health = *at == '\0' ? -1 : health_number(at);
    if (*at != '\0' && health < 0)
        return CONDITION_HEALTH;
    *condition = (struct condition){.comparison = operators[which].comparison, .count = count, .health = health};
    memcpy(condition->name, text, bytes);
    return CONDITION_FINE;
}

bool condition_holds(const struct condition *condition, uint64_t count)
{
    switch (condition->comparison) {
    case AT_LEAST:
        return count >= condition->count;
    case MORE_THAN:
        return count > condition->count;
    case AT_MOST:
        return count <= condition->count;
    case LESS_THAN:
        return count < condition->count;
    case EXACTLY:
        return count == condition->count;
    default:
        return count != condition->count;
    }
}

static bool counts(const struct condition *condition, const commy_service_info_t *info)
{
    return condition->health == COMMY_HEALTH_HEALTHY ? is_healthy(info) : info->status == condition->health;
}

commy_status_t condition_count(const commy_mesh_t *mesh, const struct condition *condition, uint64_t *count)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_service_info_t info;
    size_t all = 0;

    *count = 0;
    if (condition->health < 0) {
        commy_status_t status = commy_name_count(mesh, condition->name, &all);
        *count = all;
        return status;
    }
    commy_status_t status = commy_iterate_name(mesh, condition->name, &iterator);
    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        status = commy_view_info(mesh, &view, &info);
        if (status == COMMY_STATUS_SUCCESS)
            *count += counts(condition, &info);
        if (status == COMMY_STATUS_NOT_FOUND)
            status = COMMY_STATUS_SUCCESS;
    }
    return status;
}

const char *condition_text(const struct condition *condition, char buffer[CONDITION_TEXT_BYTES])
{
    const char *sign = "";

    for (size_t i = 0; i < OPERATORS; i++)
        if (operators[i].comparison == condition->comparison)
            sign = operators[i].text;
    snprintf(buffer, CONDITION_TEXT_BYTES, "%s %ju%s%s", sign, (uintmax_t)condition->count,
             condition->health < 0 ? "" : " ", condition->health < 0 ? "" : health_name(condition->health));
    return buffer;
}
