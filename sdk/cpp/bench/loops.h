/* loops.h - the loops that are measured, in C and in C++. Each gives a sum of what it found, so that nothing is left out. */
#ifndef LOOPS_H
#define LOOPS_H

#include <commy/ffi.h>

#ifdef __cplusplus
extern "C" {
#endif

uint64_t find_in_c(commy_handle_t h, const char *const *ids, size_t n);
uint64_t select_in_c(commy_handle_t h, const char *name, size_t n);

#ifdef __cplusplus
}
#endif

#endif
