package commy

// #include <commy/ffi.h>
import "C"

import (
	"context"
	"math"
	"time"
)

// c gives the library's structure; nil for nil.
func (config *LoadBalancer) c() (*C.commy_load_balancer_config_t, error) {
	if config == nil {
		return nil, nil
	}
	if err := checkRange("circuit breaker's threshold", config.CircuitBreakerThreshold, math.MaxUint32); err != nil {
		return nil, err
	}
	timeout, err := milliseconds("circuit breaker's timeout", config.CircuitBreakerTimeout)
	if err != nil {
		return nil, err
	}
	return &C.commy_load_balancer_config_t{
		algorithm:                  C.int32_t(config.Algorithm),
		enable_circuit_breaker:     C.uint32_t(boolean(config.EnableCircuitBreaker)),
		circuit_breaker_threshold:  C.uint32_t(config.CircuitBreakerThreshold),
		circuit_breaker_timeout_ms: C.uint64_t(timeout),
	}, nil
}

// ConfigureLoadBalancer says how this Mesh selects from now on. Allowed before Start and after Stop.
func (m *Mesh) ConfigureLoadBalancer(config LoadBalancer) error {
	made, err := config.c()
	if err != nil {
		return err
	}
	return m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_configure_load_balancer(h, made) })
}

// ReportServicePerformance counts one request that is over, by id; its time in whole milliseconds.
func (m *Mesh) ReportServicePerformance(id string, responseTime time.Duration, success bool) error {
	ns, err := nanoseconds("response time", responseTime)
	if err != nil {
		return err
	}
	ms := (ns + uint64(time.Millisecond)/2) / uint64(time.Millisecond)
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_report_service_performance(h, id, C.uint64_t(ms), boolean(success))
	})
}

// Latency gives a quantile (0 to 1) of what was reported of a service or, where no service has that id, of a name.
func (m *Mesh) Latency(idOrName string, quantile float64) (time.Duration, error) {
	var ns C.uint64_t
	err := m.withText("service id or name", idOrName, func(h C.commy_handle_t, text *C.char) C.int32_t {
		return C.commy_get_latency(h, text, C.double(quantile), &ns)
	})
	return duration(uint64(ns)), err
}

// MeshLatency gives a quantile (0 to 1) of what was reported in the whole mesh.
func (m *Mesh) MeshLatency(quantile float64) (time.Duration, error) {
	var ns C.uint64_t
	err := m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_get_latency(h, nil, C.double(quantile), &ns) })
	return duration(uint64(ns)), err
}

// duration of nanoseconds; the longest there is for what is longer.
func duration(ns uint64) time.Duration {
	if ns > math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}

// Request selects an instance of a name and counts work on it as one request: in flight, how long it took, and failed if
// it returns an error, which Request returns.
func (m *Mesh) Request(ctx context.Context, name, clientID string, work func(context.Context, Target) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target, err := m.SelectService(name, clientID)
	if err != nil {
		return err
	}
	token, err := m.BeginRequest(target.Reference)
	if err != nil {
		return err
	}
	began, success := time.Now(), false
	defer func() { _ = m.EndRequest(token, time.Since(began), success) }() // fails only if the mesh was stopped meanwhile
	err = work(ctx, target)
	success = err == nil
	return err
}
