package commy

// #include <commy/ffi.h>
import "C"

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// Options say which mesh to open, and how. The zero value is the default mesh.
type Options struct {
	Mesh         string // its name: 1-63 of A-Z a-z 0-9 . _ -; default $COMMY_MESH, else "default"
	Dir          string // where regions lie; default $COMMY_DIR, else /dev/shm/commy-<euid>
	Group        string // that may use a region made here
	Capacity     int    // services in a region made here: 16 to 1,048,576; default 8,192
	Mode         int    // permissions of a region made here; default 0600, with a group 0660 or 0640
	ReadOnly     bool   // lookups and waits only; the region must exist
	MustExist    bool   // never make a region
	MustNotExist bool   // make the region, or fail with ErrExists
}

// A Mesh is one attachment to a mesh. It is cleaned up by Cleanup, or by the garbage collector when it is not reachable any
// more, and with it goes what it registered: keep it.
type Mesh struct {
	nodeID  string
	port    int
	options *Options

	handle atomic.Uint64
	era    atomic.Uint64 // in which the handle was opened; 0: it is not open
	turn   sync.Mutex    // of initializing and destroying
	known  endpoints
}

// era counts the lives of the library in this process: CleanupAll ends one, and with it every handle.
var era atomic.Uint64

func init() {
	era.Store(1)
}

func (m *Mesh) attached() bool {
	return m.era.Load() == era.Load()
}

// New stands for the default mesh, and attaches nothing yet. nodeID: 1-63 of A-Z a-z 0-9 . _ -; port: where this node
// listens, for others to see, 1-65535.
func New(nodeID string, port int) (*Mesh, error) {
	return newMesh(nodeID, port, nil)
}

// NewWithOptions stands for the mesh that the options name. Node id and port may be empty and 0.
func NewWithOptions(nodeID string, port int, options Options) (*Mesh, error) {
	return newMesh(nodeID, port, &options)
}

func newMesh(nodeID string, port int, options *Options) (*Mesh, error) {
	if err := checkText("node id", nodeID); err != nil {
		return nil, err
	}
	if err := checkPort(port); err != nil {
		return nil, err
	}
	if options != nil {
		if err := options.check(); err != nil {
			return nil, err
		}
	}
	return &Mesh{nodeID: nodeID, port: port, options: options}, nil
}

func (o *Options) check() error {
	if err := checkTexts("mesh", o.Mesh, "dir", o.Dir, "group", o.Group); err != nil {
		return err
	}
	if err := checkRange("capacity", o.Capacity, math.MaxUint32); err != nil {
		return err
	}
	return checkRange("mode", o.Mode, math.MaxUint32)
}

// Initialize attaches; makes the region where it is missing. Initializing twice is success.
func (m *Mesh) Initialize() error {
	m.turn.Lock()
	defer m.turn.Unlock()
	if m.attached() {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := era.Load()
	handle := m.open()
	if handle == 0 {
		return lastFailure()
	}
	m.known.forget()
	m.handle.Store(uint64(handle))
	m.era.Store(now)
	runtime.SetFinalizer(m, nil)
	runtime.SetFinalizer(m, func(m *Mesh) { _ = m.Cleanup() })
	return nil
}

func (m *Mesh) open() C.uint64_t {
	var texts strs
	defer texts.free()
	if m.options == nil {
		return C.commy_create_mesh(texts.add(m.nodeID), C.uint16_t(m.port)).instance_id
	}
	options := C.commy_open_options_t{
		flags: flag(C.COMMY_OPEN_READ_ONLY, m.options.ReadOnly) | flag(C.COMMY_OPEN_MUST_EXIST, m.options.MustExist) |
			flag(C.COMMY_OPEN_MUST_NOT_EXIST, m.options.MustNotExist),
		mesh:        texts.orNull(m.options.Mesh),
		dir:         texts.orNull(m.options.Dir),
		node_id:     texts.orNull(m.nodeID),
		group:       texts.orNull(m.options.Group),
		capacity:    C.uint32_t(m.options.Capacity),
		mode:        C.uint32_t(m.options.Mode),
		listen_port: C.uint16_t(m.port),
	}
	options.size = C.sizeof_commy_open_options_t
	return C.commy_open_mesh(&options).instance_id
}

// h is the handle for a call. Who uses it keeps the Mesh alive until the call is over.
func (m *Mesh) h() C.commy_handle_t {
	return C.commy_handle_t{instance_id: C.uint64_t(m.handle.Load())}
}

// do makes a call with the mesh's handle.
func (m *Mesh) do(function func(h C.commy_handle_t) C.int32_t) error {
	defer runtime.KeepAlive(m)
	return call(func() C.int32_t { return function(m.h()) })
}

// count makes a call with the mesh's handle that returns a count or a flag.
func (m *Mesh) count(function func(h C.commy_handle_t) C.int32_t) (int, error) {
	defer runtime.KeepAlive(m)
	return counted(func() C.int32_t { return function(m.h()) })
}

// Start joins the mesh, as the first change to it does by itself. Starting twice is success.
func (m *Mesh) Start() error {
	return m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_start_mesh(h) })
}

// Stop unregisters what was registered here, ends its requests, and leaves. Stopping twice is success.
func (m *Mesh) Stop() error {
	return m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_stop_mesh(h) })
}

// Running reports whether the mesh is started.
func (m *Mesh) Running() (bool, error) {
	running, err := m.count(func(h C.commy_handle_t) C.int32_t { return C.commy_is_mesh_running(h) })
	return running != 0, err
}

// Destroy stops and detaches. Where there is nothing to detach, that is ErrNoHandle. Calls under way end first.
func (m *Mesh) Destroy() error {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.era.Store(0)
	runtime.SetFinalizer(m, nil)
	return m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_destroy_mesh(h) })
}

// Cleanup stops and detaches. Cleaning up twice is success. The Mesh may be initialized anew.
func (m *Mesh) Cleanup() error {
	if !m.attached() {
		return nil
	}
	return m.Destroy()
}

// Close is Cleanup, for io.Closer.
func (m *Mesh) Close() error {
	return m.Cleanup()
}

// NodeID gives the node id that the mesh was opened with.
func (m *Mesh) NodeID() (string, error) {
	defer runtime.KeepAlive(m)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	text := C.commy_get_node_id(m.h())
	if text == nil {
		return "", lastFailure()
	}
	defer C.commy_free_string(text)
	return C.GoString(text), nil
}

// Statistics sums up the mesh. It walks all services.
func (m *Mesh) Statistics() (Statistics, error) {
	var stats C.commy_mesh_stats_t
	err := m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_get_mesh_stats(h, &stats) })
	if err != nil {
		return Statistics{}, err
	}
	return Statistics{
		TotalServices:       int(stats.total_services),
		HealthyServices:     int(stats.healthy_services),
		UnhealthyServices:   int(stats.unhealthy_services),
		RegisteredServices:  int(stats.registered_services),
		TotalRequests:       uint64(stats.total_requests),
		SuccessfulRequests:  uint64(stats.successful_requests),
		FailedRequests:      uint64(stats.failed_requests),
		AverageResponseTime: durationOfMs(float64(stats.average_response_time_ms)),
	}, nil
}

// Version gives the library's version.
func Version() string {
	return C.GoString(C.commy_ffi_version())
}

// StatusString gives a few words for a code, "unknown code" for what is none.
func StatusString(code Code) string {
	return C.GoString(C.commy_status_string(C.int32_t(code)))
}

// Init sets the library up, which the first call does by itself.
func Init() error {
	return call(func() C.int32_t { return C.commy_ffi_init() })
}

// CleanupAll stops and destroys every mesh of this process. Each may be initialized anew.
func CleanupAll() error {
	era.Add(1)
	return call(func() C.int32_t { return C.commy_ffi_cleanup() })
}
