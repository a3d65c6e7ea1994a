package commy

// #include <poll.h>
// #include <commy/ffi.h>
//
// static int32_t is_readable(int fd)
// {
//     struct pollfd one = {.fd = fd, .events = POLLIN};
//     return poll(&one, 1, 0) > 0;
// }
import "C"

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A Watch is told of changes through a descriptor, which the runtime polls: waiting takes no thread, and nothing while there
// is no change. It belongs to its Mesh: while that is stopped, its calls fail with ErrNotRunning. It has to be closed.
//
// The runtime is told once when the descriptor becomes readable. Before it sleeps, it has the library look, which empties the
// descriptor when there is no change; so whatever comes after that look wakes it.
type Watch struct {
	number C.uint64_t
	name   *string
	mesh   *Mesh
	file   *os.File // a copy of the library's descriptor
	raw    syscall.RawConn
	turn   chan struct{} // of waiting: the file has one deadline
	closed sync.Once
}

// OpenWatch watches the instances of a name.
func (m *Mesh) OpenWatch(name string) (*Watch, error) {
	return m.openWatch(&name)
}

// OpenWatchAny watches the whole mesh.
func (m *Mesh) OpenWatchAny() (*Watch, error) {
	return m.openWatch(nil)
}

func (m *Mesh) openWatch(name *string) (*Watch, error) {
	w := &Watch{name: name, mesh: m, turn: make(chan struct{}, 1)}
	var texts strs
	defer texts.free()
	var made *C.char
	if name != nil {
		if err := checkText("service name", *name); err != nil {
			return nil, err
		}
		made = texts.add(*name)
	}
	var number C.uint64_t
	if err := m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_watch_open(h, made, &number) }); err != nil {
		return nil, err
	}
	w.number = number
	if err := w.copyDescriptor(); err != nil {
		_ = w.Close()
		return nil, err
	}
	runtime.SetFinalizer(w, func(w *Watch) { _ = w.Close() })
	return w, nil
}

func (w *Watch) copyDescriptor() error {
	fd, err := w.FD()
	if err != nil {
		return err
	}
	copied, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return &Error{Code: ErrLimit, Message: "cannot copy the descriptor of a watch: " + errno.Error(), cause: errno}
	}
	w.file = os.NewFile(copied, "commy watch")
	w.raw, err = w.file.SyscallConn()
	return err
}

// FD gives the descriptor: readable when Wait would not wait. It is not to be read from, nor closed.
func (w *Watch) FD() (int, error) {
	defer runtime.KeepAlive(w)
	return counted(func() C.int32_t { return C.commy_watch_fd(w.number) })
}

// Readable reports whether Wait would not wait, as poll(2) sees it now.
func (w *Watch) Readable() (bool, error) {
	fd, err := w.FD()
	return err == nil && C.is_readable(C.int(fd)) != 0, err
}

// look is commy_watch_wait() with a timeout of 0.
func (w *Watch) look() (uint64, error) {
	var version C.uint64_t
	err := call(func() C.int32_t { return C.commy_watch_wait(w.number, 0, &version) })
	return uint64(version), err
}

// Wait waits for a change since the last wait, and gives its version; the first gives the present one at once. Errors:
// ErrInterrupted (Wake, Close), ErrNotRunning, and those of the context, as Mesh.Wait has them.
func (w *Watch) Wait(ctx context.Context) (version uint64, err error) {
	defer runtime.KeepAlive(w)
	began := time.Now()
	if !w.takeTurn(ctx) {
		return 0, ended(ctx, w.name, began)
	}
	defer func() { <-w.turn }()
	defer w.interruptAtEnd(ctx)()
	looked := false
	failed := w.raw.Read(func(uintptr) bool {
		looked = true
		version, err = w.look()
		return !errors.Is(err, ErrTimedOut)
	})
	switch {
	case failed == nil:
		return version, err
	case errors.Is(failed, os.ErrDeadlineExceeded):
		if !looked { // the context had ended before
			if version, err = w.look(); !errors.Is(err, ErrTimedOut) {
				return version, err
			}
		}
		return 0, ended(ctx, w.name, began)
	case looked:
		return 0, &Error{Code: ErrInterrupted, Message: "the watch was closed during the wait"}
	default:
		return w.look() // it was closed before: the library says so
	}
}

// takeTurn waits for its turn, unless the context ends before.
func (w *Watch) takeTurn(ctx context.Context) bool {
	select {
	case w.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case w.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// interruptAtEnd has the file's deadline pass when the context ends. What it returns is to be called after the wait.
func (w *Watch) interruptAtEnd(ctx context.Context) func() {
	_ = w.file.SetReadDeadline(time.Time{})
	if ctx.Done() == nil {
		return func() {}
	}
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-ctx.Done():
			_ = w.file.SetReadDeadline(time.Now())
		case <-over:
		}
	}()
	return func() {
		close(over)
		<-gone
	}
}

// Wake ends the wait that is under way with ErrInterrupted, or the next one.
func (w *Watch) Wake() error {
	defer runtime.KeepAlive(w)
	return call(func() C.int32_t { return C.commy_watch_wake(w.number) })
}

// Close closes the watch and its descriptor. A wait under way ends with ErrInterrupted. Again: ErrNoHandle.
func (w *Watch) Close() error {
	defer runtime.KeepAlive(w)
	runtime.SetFinalizer(w, nil)
	w.closed.Do(func() {
		if w.file != nil {
			_ = w.file.Close()
		}
	})
	return call(func() C.int32_t { return C.commy_watch_close(w.number) })
}

// A Change is what is watched, at some instant after its last change; or, as the last one, why nothing more comes.
type Change struct {
	Version  uint64
	Services []ServiceInfo
	Err      error
}

// Watch gives the instances of a name: first as they are, then after each change, of which the last is never missed. The
// channel is closed when the context ends. When the watch fails, so when the mesh is stopped, a Change with an error is the
// last.
func (m *Mesh) Watch(ctx context.Context, name string) (<-chan Change, error) {
	return m.watch(ctx, m.OpenWatch, func() ([]ServiceInfo, error) { return m.DiscoverServices(name) }, name)
}

// WatchAny gives all services of the mesh, as Watch does those of a name.
func (m *Mesh) WatchAny(ctx context.Context) (<-chan Change, error) {
	return m.watch(ctx, func(string) (*Watch, error) { return m.OpenWatchAny() }, m.AllServices, "")
}

func (m *Mesh) watch(ctx context.Context, open func(string) (*Watch, error), list func() ([]ServiceInfo, error),
	name string) (<-chan Change, error) {
	w, err := open(name)
	if err != nil {
		return nil, err
	}
	changes := make(chan Change)
	go func() {
		defer close(changes)
		defer w.Close()
		for {
			change := w.next(ctx, list)
			if change.Err != nil && ctx.Err() != nil {
				return
			}
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
			if change.Err != nil {
				return
			}
		}
	}()
	return changes, nil
}

func (w *Watch) next(ctx context.Context, list func() ([]ServiceInfo, error)) (change Change) {
	change.Version, change.Err = w.Wait(ctx)
	if change.Err == nil {
		change.Services, change.Err = list()
	}
	return change
}
