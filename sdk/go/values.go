package commy

import (
	"encoding/json"
	"math"
	"strings"
	"time"
)

// Limits of the library that this package has to know, in bytes.
const (
	idBytes       = 127
	endpointBytes = 255
	metadataBytes = 4096
)

// Health of a service.
type Health int32

// What a Health may be.
const (
	HealthUnknown   Health = 0
	HealthHealthy   Health = 1
	HealthUnhealthy Health = 2
	HealthDegraded  Health = 3
)

// Admin is what its operators want of a service.
type Admin int32

// What an Admin may be.
const (
	AdminEnabled     Admin = 0
	AdminDraining    Admin = 1
	AdminMaintenance Admin = 2
)

// Algorithm says how one instance of a name is selected.
type Algorithm int32

// What an Algorithm may be.
const (
	RoundRobin         Algorithm = 0 // in turn: one rotation for the whole host
	LeastConnections   Algorithm = 1 // the better of two by the requests in flight of all processes
	WeightedRoundRobin Algorithm = 2 // in turn, by weight, evenly spread
	Performance        Algorithm = 3 // the better of two by latency
	Random             Algorithm = 4 // by weight
	ConsistentHash     Algorithm = 5 // by client id: the same client, the same instance, while it can be
)

// A ServiceConfig is what a service is registered with.
type ServiceConfig struct {
	Name     string // 1-63 bytes
	ID       string // 1-127 bytes, unique in the mesh
	Endpoint string // a host, an address or unix:/path: 1-255 bytes
	Port     int    // 1-65535; 0 only with unix:
	Version  string // up to 31 bytes
	Zone     string // up to 31 bytes
	Tags     []string
	Weight   int           // 1-65535; 0: 100 (SetServiceWeight sets 0)
	TTL      time.Duration // 0: none. Missing it makes the service unhealthy, and ends a detached one
	Metadata string        // JSON of up to 4,096 bytes, or nothing
	Detached bool          // owned by nobody: lives until its TTL expires
}

// A ServiceInfo is everything known about a service, but for its metadata.
type ServiceInfo struct {
	Name, ID, Endpoint, Version, Zone, NodeID string
	Tags                                      []string
	Port                                      int
	Weight                                    int
	OwnerPID                                  int // 0 for a detached service
	Status                                    Health
	Admin                                     Admin
	RegisteredAt                              time.Time
	MetadataBytes                             int
	ResponseTime                              time.Duration // the average of those reported; 0 before the first
}

// A Target is what a client needs to connect to a service and to report on it.
type Target struct {
	Reference uint64 // names this registration and no later one
	Endpoint  string
	Port      int
	Weight    int
	Status    Health
}

// Statistics are the mesh in numbers. Degraded services count as healthy; registered ones are this Mesh's own.
type Statistics struct {
	TotalServices, HealthyServices, UnhealthyServices, RegisteredServices int
	TotalRequests, SuccessfulRequests, FailedRequests                     uint64
	AverageResponseTime                                                   time.Duration
}

// A LoadBalancer says how a Mesh selects. Without a circuit breaker, its threshold and timeout mean nothing.
type LoadBalancer struct {
	Algorithm               Algorithm
	EnableCircuitBreaker    bool
	CircuitBreakerThreshold int           // failures; 1 or more
	CircuitBreakerTimeout   time.Duration // 1 ms or more
}

// checkText refuses a string that would end early on its way.
func checkText(what, value string) error {
	if strings.IndexByte(value, 0) >= 0 {
		return invalid("the %s %.80q holds a NUL: leave it out", what, value)
	}
	return nil
}

func checkTexts(values ...string) error {
	for i := 0; i+1 < len(values); i += 2 {
		if err := checkText(values[i], values[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func checkRange(what string, value, most int) error {
	if value < 0 || value > most {
		return invalid("the %s %d is not within 0 to %d", what, value, most)
	}
	return nil
}

func checkPort(port int) error {
	return checkRange("port", port, math.MaxUint16)
}

func checkMetadata(metadata string) error {
	if metadata == "" || json.Valid([]byte(metadata)) {
		return checkText("metadata", metadata)
	}
	return invalid("the metadata %.80q is not JSON", metadata)
}

// nanoseconds of a duration, which may not be negative.
func nanoseconds(what string, duration time.Duration) (uint64, error) {
	if duration < 0 {
		return 0, invalid("the %s %v is negative", what, duration)
	}
	return uint64(duration), nil
}

// milliseconds of a duration, rounded up, so that nothing short becomes nothing.
func milliseconds(what string, duration time.Duration) (uint64, error) {
	ns, err := nanoseconds(what, duration)
	return (ns + uint64(time.Millisecond) - 1) / uint64(time.Millisecond), err
}

func durationOfMs(ms float64) time.Duration {
	return time.Duration(math.Round(ms * float64(time.Millisecond)))
}

func unixTime(ns uint64) time.Time {
	return time.Unix(int64(ns/uint64(time.Second)), int64(ns%uint64(time.Second)))
}
