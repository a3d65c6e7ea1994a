package commy

// #cgo pkg-config: commy
// #include <stdlib.h>
// #include <commy/ffi.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// The library's sentence belongs to the thread that failed. So a call and the reading of its sentence are made on one
// thread: call and counted lock the goroutine to it, which costs a few nanoseconds.

// call makes a call that returns a code.
func call(function func() C.int32_t) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return failure(function())
}

// counted makes a call that returns a count or a flag, or a negated code.
func counted(function func() C.int32_t) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	value := function()
	if value < 0 {
		return 0, failure(-value)
	}
	return int(value), nil
}

// failure is the error of a code that a call on this thread returned just now; nil for success.
func failure(code C.int32_t) error {
	if code == 0 {
		return nil
	}
	return &Error{Code: Code(code), Message: C.GoString(C.commy_last_error_message())}
}

// lastFailure is the error of a call that returned no code.
func lastFailure() error {
	return failure(C.commy_last_error())
}

// strs are the C strings of a call, all freed at once.
type strs []unsafe.Pointer

func (s *strs) add(text string) *C.char {
	made := C.CString(text)
	*s = append(*s, unsafe.Pointer(made))
	return made
}

// orNull is null for the empty string, which means "none" then.
func (s *strs) orNull(text string) *C.char {
	if text == "" {
		return nil
	}
	return s.add(text)
}

// array makes an array of strings, in C's memory too, since no Go pointer may lie in what C is given.
func (s *strs) array(texts []string) **C.char {
	if len(texts) == 0 {
		return nil
	}
	made := C.calloc(C.size_t(len(texts)), C.size_t(unsafe.Sizeof((*C.char)(nil))))
	if made == nil {
		panic("commy: no memory for the strings of a call")
	}
	*s = append(*s, made)
	for i, text := range texts {
		unsafe.Slice((**C.char)(made), len(texts))[i] = s.add(text)
	}
	return (**C.char)(made)
}

func (s *strs) free() {
	for _, made := range *s {
		C.free(made)
	}
}

// goString reads a char array up to its NUL.
func goString(bytes []C.char) string {
	whole := unsafe.Slice((*byte)(unsafe.Pointer(&bytes[0])), len(bytes))
	for i, b := range whole {
		if b == 0 {
			return string(whole[:i])
		}
	}
	return string(whole)
}

func serviceInfo(info *C.commy_service_info_t) ServiceInfo {
	tags := make([]string, 0, info.tag_count)
	for i := 0; i < int(info.tag_count) && i < len(info.tags); i++ {
		tags = append(tags, goString(info.tags[i][:]))
	}
	return ServiceInfo{
		Name:          goString(info.name[:]),
		ID:            goString(info.id[:]),
		Endpoint:      goString(info.endpoint[:]),
		Version:       goString(info.version[:]),
		Zone:          goString(info.zone[:]),
		NodeID:        goString(info.node_id[:]),
		Tags:          tags,
		Port:          int(info.port),
		Weight:        int(info.weight),
		OwnerPID:      int(info.owner_pid),
		Status:        Health(info.status),
		Admin:         Admin(info.admin),
		RegisteredAt:  unixTime(uint64(info.registered_at_ns)),
		MetadataBytes: int(info.metadata_bytes),
		ResponseTime:  durationOfMs(float64(info.response_time_ms)),
	}
}

func flag(bit C.uint32_t, set bool) C.uint32_t {
	if set {
		return bit
	}
	return 0
}

func boolean(value bool) C.int32_t {
	if value {
		return 1
	}
	return 0
}
