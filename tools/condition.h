/*
 * condition.h - what `commy wait` waits for: so many instances of a name, in some state.
 */
#ifndef COMMY_TOOL_CONDITION_H
#define COMMY_TOOL_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include <commy/commy.h>

enum comparison { AT_LEAST, MORE_THAN, AT_MOST, LESS_THAN, EXACTLY, OTHER_THAN };

struct condition {
    char name[COMMY_LIMIT_NAME_BYTES + 1];
    enum comparison comparison;
    uint64_t count;
    int32_t health; /* -1: any. Healthy: degraded ones, too, as everywhere */
};

enum condition_error { CONDITION_FINE, CONDITION_NONE, CONDITION_NAME, CONDITION_COUNT, CONDITION_HEALTH };

/*
 * Reads "NAME OP COUNT [HEALTH]", with or without spaces: OP is one of >= > <= < = == !=, HEALTH a word of
 * health_number(). CONDITION_NONE: the text has no OP and is a name as it stands; CONDITION_NAME: what is
 * before OP cannot be a name. Nothing was written then.
 */
enum condition_error condition_parse(const char *text, struct condition *condition);

bool condition_holds(const struct condition *condition, uint64_t count);

/* Counts the instances that it speaks of. */
commy_status_t condition_count(const commy_mesh_t *mesh, const struct condition *condition, uint64_t *count);

/* ">= 2 healthy" */
#define CONDITION_TEXT_BYTES 64
const char *condition_text(const struct condition *condition, char buffer[CONDITION_TEXT_BYTES]);

#endif /* COMMY_TOOL_CONDITION_H */
