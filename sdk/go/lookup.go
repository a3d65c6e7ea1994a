package commy

// #include <stdint.h>
// #include <string.h>
// #include <commy/ffi.h>
//
// /* For calls that are made per request: what it gives and why it failed in one call to C, during which a goroutine
//  * stays on its thread. */
// typedef struct found {
//     commy_target_t target;
//     char why[512];
// } found_t;
//
// static int32_t told(found_t *found, int32_t code)
// {
//     if (code) {
//         strncpy(found->why, commy_last_error_message(), sizeof(found->why) - 1);
//         found->why[sizeof(found->why) - 1] = 0;
//     }
//     return code;
// }
//
// static int32_t look_up(uint64_t h, const char *id, found_t *found)
// {
//     return told(found, commy_find((commy_handle_t){h}, id, &found->target));
// }
//
// /* A target without its endpoint, in two registers. Reference 0: there is none. */
// typedef struct glance {
//     uint64_t reference;
//     uint64_t rest; /* weight, status and port, from the lowest bit: 32, 16 and 16 */
// } glance_t;
//
// /* The id is copied to get a NUL behind it; in blocks of 16 bytes stored whole, since that is how the library loads it,
//  * and a load waits for stores that are smaller than it is. */
// typedef uint64_t block_t __attribute__((vector_size(16)));
//
// static inline uint64_t load(const char *from, size_t bytes)
// {
//     uint64_t word = 0;
//     memcpy(&word, from, bytes);
//     return word;
// }
//
// static inline uint64_t load_below_8(const char *from, size_t n)
// {
//     if (n >= 4)
//         return load(from, 4) | load(from + n - 4, 4) << 8 * (n - 4);
//     return n ? load(from, 1) | load(from + n / 2, 1) << 8 * (n / 2) | load(from + n - 1, 1) << 8 * (n - 1) : 0;
// }
//
// static inline block_t load_block(const char *from, size_t n)
// {
//     if (n < 8)
//         return (block_t){load_below_8(from, n)};
//     if (n < 16)
//         return (block_t){load(from, 8), n > 8 ? load(from + n - 8, 8) >> 8 * (16 - n) : 0};
//     return (block_t){load(from, 8), load(from + 8, 8)};
// }
//
// /* Whether one of the first n bytes is a NUL; of all those behind them it is known. */
// static inline int holds_nul(uint64_t word, size_t n)
// {
//     if (n < 8)
//         word |= UINT64_MAX << 8 * n;
//     return ((word - 0x0101010101010101) & ~word & 0x8080808080808080) != 0;
// }
//
// static inline int block_holds_nul(block_t block, size_t n)
// {
//     return holds_nul(block[0], n) || (n > 8 && holds_nul(block[1], n - 8));
// }
//
// #define GLANCE_BYTES 31
//
// /* A lookup for who knows the endpoint, of an id of up to GLANCE_BYTES bytes. */
// static glance_t glance(uint64_t h, const char *id, size_t bytes)
// {
//     block_t text[2] = {load_block(id, bytes), bytes > 16 ? load_block(id + 16, bytes - 16) : (block_t){0}};
//     commy_target_t target;
//     if (block_holds_nul(text[0], bytes) || (bytes > 16 && block_holds_nul(text[1], bytes - 16)))
//         return (glance_t){0};
//     if (commy_find((commy_handle_t){h}, (const char *)text, &target))
//         return (glance_t){0};
//     uint64_t rest = target.weight | (uint64_t)(uint16_t)target.status << 32 | (uint64_t)target.port << 48;
//     return (glance_t){target.reference, rest};
// }
//
// static int32_t select_one(uint64_t h, const char *name, const char *client, found_t *found)
// {
//     return told(found, commy_select_service((commy_handle_t){h}, name, client, &found->target));
// }
//
// static int32_t begin(uint64_t h, uint64_t reference, uint64_t *token, found_t *found)
// {
//     return told(found, commy_begin_request((commy_handle_t){h}, reference, token));
// }
//
// static int32_t end(uint64_t h, uint64_t token, uint64_t latency_ns, int32_t success, found_t *found)
// {
//     return told(found, commy_end_request((commy_handle_t){h}, token, latency_ns, success));
// }
//
// static int32_t report(uint64_t h, uint64_t reference, uint64_t latency_ns, int32_t success, found_t *found)
// {
//     return told(found, commy_report((commy_handle_t){h}, reference, latency_ns, success));
// }
//
// /* The ids lie one behind the other, each with its NUL; `places` are where they begin, and become pointers here. */
// static int32_t look_up_many(uint64_t h, const char *ids, uintptr_t *places, size_t n, commy_target_t *out,
//                             int32_t *codes, char *why)
// {
//     for (size_t i = 0; i < n; i++)
//         places[i] += (uintptr_t)ids;
//     int32_t code = commy_find_many((commy_handle_t){h}, (const char *const *)places, n, out, codes);
//     if (code)
//         strncpy(why, commy_last_error_message(), 511); /* the last byte stays 0 */
//     return code;
// }
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A scratch is the memory of one call: it is lent, so that calls make no garbage.
type scratch struct {
	text   [idBytes + 1]byte
	client [endpointBytes + 1]byte
	token  C.uint64_t
	found  C.found_t
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// endpoints remembers the texts of endpoints by reference: a reference names one registration of a region, whose endpoint
// never changes. One for each place of a table, whose index is the lower part of a reference, which live services share
// only if there are more of them than places.
type endpoints struct {
	table [1024]atomic.Pointer[knownEndpoint]
}

type knownEndpoint struct {
	reference uint64
	endpoint  string
}

func (e *endpoints) place(reference uint64) *atomic.Pointer[knownEndpoint] {
	return &e.table[reference%uint64(len(e.table))]
}

// known gives the endpoint of a reference, if it is remembered.
func (e *endpoints) known(reference uint64) (string, bool) {
	known := e.place(reference).Load()
	if known == nil || known.reference != reference {
		return "", false
	}
	return known.endpoint, true
}

// of gives the endpoint of a target, and remembers it.
func (e *endpoints) of(target *C.commy_target_t) string {
	reference := uint64(target.reference)
	if endpoint, ok := e.known(reference); ok {
		return endpoint
	}
	known := &knownEndpoint{reference, goString(target.endpoint[:])}
	e.place(reference).Store(known)
	return known.endpoint
}

// forget makes room for another region, which gives the same references to others.
func (e *endpoints) forget() {
	for i := range e.table {
		e.table[i].Store(nil)
	}
}

func (m *Mesh) target(target *C.commy_target_t) Target {
	return Target{
		Reference: uint64(target.reference),
		Endpoint:  m.known.of(target),
		Port:      int(target.port),
		Weight:    int(target.weight),
		Status:    Health(target.status),
	}
}

// fits copies a text and its NUL to where C can read it, unless it is too long or holds a NUL.
func fits(room []byte, text string) bool {
	if len(text) >= len(room) {
		return false
	}
	room[copy(room, text)] = 0
	for i := 0; i < len(text); i++ {
		if text[i] == 0 {
			return false
		}
	}
	return true
}

func checkLength(what, text string, most int) error {
	if err := checkText(what, text); err != nil {
		return err
	}
	return invalid("the %s %.80q has %d bytes; at most %d are allowed", what, text, len(text), most)
}

func (s *scratch) failure(code C.int32_t) error {
	return &Error{Code: Code(code), Message: goString(s.found.why[:])}
}

// Find finds a service by id: what a client needs to connect to it. Errors: ErrNotFound.
func (m *Mesh) Find(id string) (Target, error) {
	if len(id) == 0 || len(id) > C.GLANCE_BYTES {
		return m.findNew(id)
	}
	seen := C.glance(C.uint64_t(m.handle.Load()), (*C.char)(unsafe.Pointer(stringData(id))), C.size_t(len(id)))
	runtime.KeepAlive(m)
	if endpoint, ok := m.known.known(uint64(seen.reference)); ok {
		return Target{
			Reference: uint64(seen.reference),
			Endpoint:  endpoint,
			Port:      int(seen.rest >> 48),
			Weight:    int(uint32(seen.rest)),
			Status:    Health(uint16(seen.rest >> 32)),
		}, nil
	}
	return m.findNew(id)
}

// findNew finds what was not found before, or says why nothing is.
func (m *Mesh) findNew(id string) (Target, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !fits(s.text[:], id) {
		return Target{}, checkLength("service id", id, idBytes)
	}
	code := C.look_up(C.uint64_t(m.handle.Load()), (*C.char)(unsafe.Pointer(&s.text[0])), &s.found)
	runtime.KeepAlive(m)
	if code != 0 {
		return Target{}, s.failure(code)
	}
	return m.target(&s.found.target), nil
}

// stringData gives the bytes of a string that is not empty.
func stringData(text string) *byte {
	return *(**byte)(unsafe.Pointer(&text))
}

// SelectService selects one instance of a name. clientID is for ConsistentHash; else empty, or ignored. Errors: ErrNotFound
// (the name has no instance), ErrNoHealthy (none may be selected), ErrCircuitOpen.
func (m *Mesh) SelectService(name, clientID string) (Target, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if !fits(s.text[:], name) {
		return Target{}, checkLength("service name", name, idBytes)
	}
	var client *C.char
	if clientID != "" {
		if !fits(s.client[:], clientID) {
			return Target{}, checkLength("client id", clientID, endpointBytes)
		}
		client = (*C.char)(unsafe.Pointer(&s.client[0]))
	}
	code := C.select_one(C.uint64_t(m.handle.Load()), (*C.char)(unsafe.Pointer(&s.text[0])), client, &s.found)
	runtime.KeepAlive(m)
	if code != 0 {
		return Target{}, s.failure(code)
	}
	return m.target(&s.found.target), nil
}

// A Found is one answer of FindMany: a target, or why there is none (ErrNotFound, ErrInvalid).
type Found struct {
	Target Target
	Err    error
}

const batchSize = 64

// A batch is the memory of one call to commy_find_many.
type batch struct {
	ids     [1 + batchSize*(idBytes+1)]byte
	places  [batchSize]C.uintptr_t
	targets [batchSize]C.commy_target_t
	codes   [batchSize]C.int32_t
	why     [512]C.char
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// FindMany finds many at once, in few calls to the library, which overlaps their cache misses. The error is of the call as
// a whole; each id has its own beside its target.
func (m *Mesh) FindMany(ids []string) ([]Found, error) {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	found := make([]Found, len(ids))
	for from := 0; ; from += batchSize {
		some := ids[from:]
		if len(some) > batchSize {
			some = some[:batchSize]
		}
		if err := m.findBatch(b, some, found[from:]); err != nil {
			return nil, err
		}
		if from+batchSize >= len(ids) {
			return found, nil
		}
	}
}

func (m *Mesh) findBatch(b *batch, ids []string, found []Found) error {
	b.ids[0] = 0 // the empty id, which is invalid, stands for all that can't be handed over
	next := 1
	for i, id := range ids {
		room := b.ids[next:]
		if len(room) > idBytes+1 {
			room = room[:idBytes+1]
		}
		b.places[i] = 0
		if len(id) <= idBytes && fits(room, id) {
			b.places[i] = C.uintptr_t(next)
			next += len(id) + 1
		}
	}
	b.codes[0] = -1
	code := C.look_up_many(C.uint64_t(m.handle.Load()), (*C.char)(unsafe.Pointer(&b.ids[0])), &b.places[0],
		C.size_t(len(ids)), &b.targets[0], &b.codes[0], &b.why[0])
	runtime.KeepAlive(m)
	if code != 0 && b.codes[0] == -1 {
		return &Error{Code: Code(code), Message: goString(b.why[:])}
	}
	for i := range ids {
		if b.codes[i] == 0 {
			found[i].Target = m.target(&b.targets[i])
		} else {
			found[i].Err = Code(b.codes[i])
		}
	}
	return nil
}

// A Token names a request in flight.
type Token uint64

// BeginRequest counts a request in flight, by the reference of a target.
func (m *Mesh) BeginRequest(reference uint64) (Token, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	code := C.begin(C.uint64_t(m.handle.Load()), C.uint64_t(reference), &s.token, &s.found)
	runtime.KeepAlive(m)
	if code != 0 {
		return 0, s.failure(code)
	}
	return Token(s.token), nil
}

// EndRequest ends a request in flight, and counts how it went. Errors: ErrInvalid (it has ended).
func (m *Mesh) EndRequest(token Token, latency time.Duration, success bool) error {
	ns, err := nanoseconds("latency", latency)
	if err != nil {
		return err
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	code := C.end(C.uint64_t(m.handle.Load()), C.uint64_t(token), C.uint64_t(ns), boolean(success), &s.found)
	runtime.KeepAlive(m)
	if code != 0 {
		return s.failure(code)
	}
	return nil
}

// Report counts one request that is over, by the reference of a target.
func (m *Mesh) Report(reference uint64, latency time.Duration, success bool) error {
	ns, err := nanoseconds("latency", latency)
	if err != nil {
		return err
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	code := C.report(C.uint64_t(m.handle.Load()), C.uint64_t(reference), C.uint64_t(ns), boolean(success), &s.found)
	runtime.KeepAlive(m)
	if code != 0 {
		return s.failure(code)
	}
	return nil
}
