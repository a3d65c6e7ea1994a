/* What is explored. A case's name says what should be true in all of its runs. */
#include "explore.h"

const ex_case_t ex_cases[] = {
    {.name = "one-of-two-registers", .setup = "", .program = "R11|R11"},
    {.name = "register-unregister-twice", .setup = "", .program = "R11 U1|R11 U1"},
    {.name = "register-against-find", .setup = "", .program = "R11 U1|F1 F1|R11", .deaths = 0},
    {.name = "register-and-death", .setup = "", .program = "R11|R11|P", .deaths = 1},
};
const size_t ex_case_count = sizeof ex_cases / sizeof ex_cases[0];
