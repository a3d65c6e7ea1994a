package commy

import "fmt"

// Code says what a call came to. As an error it stands for every error of that code: errors.Is(err, commy.ErrNotFound).
type Code int32

// The codes of the library, by the names they have as errors.
const (
	ErrInitFailed   Code = 1  // the library could not set itself up
	ErrInvalid      Code = 2  // a parameter is outside its limits
	ErrNoHandle     Code = 3  // the mesh is not initialized, or was cleaned up
	ErrNoMemory     Code = 4  // private memory ran out
	ErrNotFound     Code = 5  // no live service of that id or name
	ErrExists       Code = 6  // a live service has that id; or the region is there already
	ErrFull         Code = 7  // the region holds as many as it was made for
	ErrPermission   Code = 8  // the file system or its owner says no
	ErrLayout       Code = 9  // the region was made by an incompatible library
	ErrCorrupt      Code = 10 // what the region holds makes no sense
	ErrTimedOut     Code = 11 // the time given has passed; also context.DeadlineExceeded
	ErrNotRunning   Code = 12 // the mesh was stopped
	ErrNoHealthy    Code = 13 // no instance may be selected
	ErrCircuitOpen  Code = 14 // those that might be selected are ejected
	ErrForked       Code = 15 // a forked child must attach for itself
	ErrNoSpace      Code = 16 // the file system is full
	ErrNotARegion   Code = 17 // the file is something else
	ErrOtherBoot    Code = 18 // the region was left by an earlier boot
	ErrLimit        Code = 19 // descriptors, participants or a file size limit
	ErrKernel       Code = 20 // the kernel lacks what is needed
	ErrReadOnly     Code = 21 // attached read-only
	ErrRemoved      Code = 22 // the region was removed or replaced
	ErrBusy         Code = 23 // the bound of retries was reached, or the region is in use
	ErrInterrupted  Code = 24 // somebody interrupted the wait
	ErrMeshNotFound Code = 25 // no region of that name in that directory
	ErrInternal     Code = 99 // a defect in the library
)

// Error gives a few words for the code.
func (c Code) Error() string {
	return StatusString(c)
}

// An Error is what a call failed with.
type Error struct {
	Code    Code
	Message string // the library's sentence: it names the value and the way out
	cause   error  // of the context, where that ended a wait
}

func (e *Error) Error() string {
	return "commy: " + e.Message
}

// Is reports whether target is the error's code, or what ended its context.
func (e *Error) Is(target error) bool {
	return target == error(e.Code) || (e.cause != nil && target == e.cause)
}

func invalid(format string, values ...any) error {
	return &Error{Code: ErrInvalid, Message: fmt.Sprintf(format, values...)}
}
