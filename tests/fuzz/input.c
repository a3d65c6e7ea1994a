/*
 * Inputs as such: changing them by whole edits, and as lines of text. What an edit means is for edit.c to know; that it
 * has so many bytes, of which the first two choose what is done and the others with what, is all that counts here.
 */
#include <string.h>

#include "fuzz.h"

void fuzz_random_edit(uint8_t edit[FUZZ_EDIT_BYTES], uint64_t *chance)
{
    for (int i = 0; i < FUZZ_EDIT_BYTES; i++)
        edit[i] = (uint8_t)fuzz_chance(chance);
    if (fuzz_below(chance, 8) < 5) /* composed values reach furthest */
        edit[1] = (uint8_t)((edit[1] & 0xf8) | 4);
    if (fuzz_below(chance, 2))
        edit[1] &= 0x3f; /* among the first records, where they are in use */
}

/* One in 16 asks for everything; the others for a quarter of it, less often for the audit, and few changes. */
static void choose_parts(uint8_t *head, uint64_t *chance)
{
    if (fuzz_below(chance, 16) == 0) {
        head[2] = FUZZ_ALL;
        head[3] = 40;
        return;
    }
    head[2] = (uint8_t)(fuzz_chance(chance) & fuzz_chance(chance));
    if (fuzz_below(chance, 4) != 0)
        head[2] &= (uint8_t)~FUZZ_AUDIT;
    head[3] = (uint8_t)(fuzz_below(chance, 4) << 6 | (fuzz_chance(chance) & fuzz_chance(chance) & FUZZ_MOST_CHANGES));
}

static void change_head(uint8_t *head, uint64_t *chance)
{
    switch (fuzz_below(chance, 5)) {
    case 0:
        head[0] = (uint8_t)fuzz_chance(chance);
        break;
    case 1:
        head[1] = (uint8_t)(fuzz_below(chance, 8) | fuzz_below(chance, 24) << 3);
        break;
    case 2:
        choose_parts(head, chance);
        break;
    default:
        head[4 + fuzz_below(chance, 8)] = (uint8_t)fuzz_chance(chance);
    }
}

size_t fuzz_mutate(uint8_t *input, size_t bytes, size_t room, uint64_t chance)
{
    if (room > FUZZ_INPUT_BYTES)
        room = FUZZ_INPUT_BYTES;
    if (room < FUZZ_HEAD_BYTES + FUZZ_EDIT_BYTES)
        return bytes < room ? bytes : room;
    if (bytes < FUZZ_HEAD_BYTES) {
        memset(input + bytes, 0, FUZZ_HEAD_BYTES - bytes);
        bytes = FUZZ_HEAD_BYTES;
    }
    size_t edits = (bytes - FUZZ_HEAD_BYTES) / FUZZ_EDIT_BYTES;
    if (edits > FUZZ_EDITS)
        edits = FUZZ_EDITS;
    uint8_t *list = input + FUZZ_HEAD_BYTES;
    if (fuzz_below(&chance, 4) != 0)
        choose_parts(input, &chance);
    for (uint32_t turns = 1 + fuzz_below(&chance, 4); turns > 0; turns--) {
        size_t which = edits ? fuzz_below(&chance, (uint32_t)edits) * FUZZ_EDIT_BYTES : 0;
        switch (fuzz_below(&chance, 8)) {
        case 0:
            change_head(input, &chance);
            break;
        case 1:
            if (edits > 0) {
                memmove(list + which, list + which + FUZZ_EDIT_BYTES,
                        edits * FUZZ_EDIT_BYTES - which - FUZZ_EDIT_BYTES);
                edits--;
            }
            break;
        case 2:
        case 3:
            if (edits > 0)
                list[which + fuzz_below(&chance, FUZZ_EDIT_BYTES)] = (uint8_t)fuzz_chance(&chance);
            break;
        case 4:
            if (edits > 0)
                list[which + fuzz_below(&chance, FUZZ_EDIT_BYTES)] ^= (uint8_t)(1u << fuzz_below(&chance, 8));
            break;
        default:
            if (FUZZ_HEAD_BYTES + (edits + 1) * FUZZ_EDIT_BYTES <= room)
                fuzz_random_edit(list + edits++ * FUZZ_EDIT_BYTES, &chance);
        }
    }
    return FUZZ_HEAD_BYTES + edits * FUZZ_EDIT_BYTES;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t fuzz_from_text(const char *line, uint8_t input[FUZZ_INPUT_BYTES])
{
    size_t bytes = 0;
    for (; digit(line[0]) >= 0 && digit(line[1]) >= 0 && bytes < FUZZ_INPUT_BYTES; line += 2)
        input[bytes++] = (uint8_t)(digit(line[0]) << 4 | digit(line[1]));
    return *line == '\0' || *line == '\n' || *line == ' ' ? bytes : 0;
}
