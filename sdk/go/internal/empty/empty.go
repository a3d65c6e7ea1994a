// Package empty has calls that do nothing, to measure what calling costs.
package empty

// #include <stddef.h>
// #include <stdint.h>
//
// typedef struct glance {
//     uint64_t reference;
//     uint64_t rest;
// } glance_t;
//
// static int32_t empty(void)
// {
//     return 0;
// }
//
// static glance_t empty_find(uint64_t handle, const char *id, size_t bytes)
// {
//     return (glance_t){handle + (uintptr_t)id, bytes};
// }
import "C"

import "unsafe"

// Call calls a C function that does nothing.
func Call() int32 {
	return int32(C.empty())
}

// Find calls a C function that takes and gives what a lookup does, and does nothing.
func Find(handle uint64, id *byte, bytes int) uint64 {
	return uint64(C.empty_find(C.uint64_t(handle), (*C.char)(unsafe.Pointer(id)), C.size_t(bytes)).reference)
}
