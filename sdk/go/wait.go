package commy

// #include <commy/ffi.h>
import "C"

import (
	"context"
	"fmt"
	"time"
)

// Waiting sleeps in the library, which occupies a thread; so it is done in slices, after each of which the context is looked
// at. Who waits is told of the context's end at once; the slice that it waited in ends by itself.
const slice = 100 * time.Millisecond

// Wait waits until something changed among the instances of a name since version, and gives the version to wait for next.
// Version 0 gives the present one at once. A change before the call counts; a return without a change is possible. When the
// context ends, the error is ErrTimedOut and context.DeadlineExceeded, or ErrInterrupted and context.Canceled; whether
// something has changed is looked at before that.
func (m *Mesh) Wait(ctx context.Context, name string, version uint64) (uint64, error) {
	return m.wait(ctx, &name, version)
}

// WaitAny waits, as Wait does, for any change in the mesh.
func (m *Mesh) WaitAny(ctx context.Context, version uint64) (uint64, error) {
	return m.wait(ctx, nil, version)
}

func (m *Mesh) wait(ctx context.Context, name *string, version uint64) (uint64, error) {
	began := time.Now()
	if next, err := m.sleep(name, version, 0); !isTimeout(err) {
		return next, err
	}
	type result struct {
		next uint64
		err  error
	}
	results := make(chan result, 1)
	go func() {
		for ctx.Err() == nil {
			next, err := m.sleep(name, version, slice)
			if !isTimeout(err) {
				results <- result{next, err}
				return
			}
		}
	}()
	select {
	case r := <-results:
		return r.next, r.err
	case <-ctx.Done():
		return 0, ended(ctx, name, began)
	}
}

// isTimeout reports whether there was no change, and nothing wrong either.
func isTimeout(err error) bool {
	failed, ok := err.(*Error)
	return ok && (failed.Code == ErrTimedOut || failed.Code == ErrInterrupted)
}

// ended is the error of a wait that began then and was ended by its context.
func ended(ctx context.Context, name *string, began time.Time) error {
	what := "in the mesh"
	if name != nil {
		what = fmt.Sprintf("among the instances of %q", *name)
	}
	message := fmt.Sprintf("nothing changed %s until the context was canceled", what)
	failed := &Error{Code: ErrInterrupted, Message: message, cause: ctx.Err()}
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == context.DeadlineExceeded {
		failed.Code = ErrTimedOut
		failed.Message = fmt.Sprintf("nothing changed %s within %v", what, deadline.Sub(began).Round(time.Millisecond))
	}
	return failed
}

// sleep is commy_wait().
func (m *Mesh) sleep(name *string, version uint64, timeout time.Duration) (uint64, error) {
	var texts strs
	defer texts.free()
	var made *C.char
	if name != nil {
		if err := checkText("service name", *name); err != nil {
			return 0, err
		}
		made = texts.add(*name)
	}
	var next C.uint64_t
	err := m.do(func(h C.commy_handle_t) C.int32_t {
		return C.commy_wait(h, made, C.uint64_t(version), C.int32_t(timeout/time.Millisecond), &next)
	})
	if err != nil {
		return 0, err
	}
	return uint64(next), nil
}
