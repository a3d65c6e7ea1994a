/* The loops of main.rs as a program in C writes them. */
#include <commy/ffi.h>

uint64_t loops_find(commy_handle_t h, const char *const *ids, uint64_t n)
{
    commy_target_t target;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        if (commy_find(h, ids[i], &target) == COMMY_STATUS_SUCCESS)
            sum += target.port;
    return sum;
}

uint64_t loops_miss(commy_handle_t h, const char *const *ids, uint64_t n)
{
    commy_target_t target;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += commy_find(h, ids[i], &target) == COMMY_STATUS_NOT_FOUND;
    return sum;
}

uint64_t loops_select(commy_handle_t h, const char *name, uint64_t n)
{
    commy_target_t target;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        if (commy_select_service(h, name, (void *)0, &target) == COMMY_STATUS_SUCCESS)
            sum += target.port;
    return sum;
}

uint64_t loops_request(commy_handle_t h, uint64_t reference, uint64_t n)
{
    uint64_t token, sum = 0;
    for (uint64_t i = 0; i < n; i++)
        if (commy_begin_request(h, reference, &token) == COMMY_STATUS_SUCCESS)
            sum += commy_end_request(h, token, 1000, 1) == COMMY_STATUS_SUCCESS;
    return sum;
}

uint64_t loops_batch(commy_handle_t h, const char *const *ids, uint64_t n)
{
    commy_target_t targets[16];
    int32_t codes[16];
    uint64_t sum = 0;
    for (uint64_t i = 0; i + 16 <= n; i += 16) {
        (void)commy_find_many(h, ids + i, 16, targets, codes);
        for (int j = 0; j < 16; j++)
            if (codes[j] == COMMY_STATUS_SUCCESS)
                sum += targets[j].port;
    }
    return sum;
}
