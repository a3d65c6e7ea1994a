/* The loops in C, over the language ABI. */
#include "loops.h"

uint64_t find_in_c(commy_handle_t h, const char *const *ids, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        commy_target_t target;
        if (commy_find(h, ids[i], &target) != COMMY_STATUS_SUCCESS)
            return 0;
        sum += target.port + (unsigned char)target.endpoint[0];
    }
    return sum;
}

uint64_t select_in_c(commy_handle_t h, const char *name, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        commy_target_t target;
        if (commy_select_service(h, name, NULL, &target) != COMMY_STATUS_SUCCESS)
            return 0;
        sum += target.port + (unsigned char)target.endpoint[0];
    }
    return sum;
}
