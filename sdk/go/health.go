package commy

// #include <commy/ffi.h>
import "C"

import (
	"context"
	"math"
	"time"
)

// A HealthConfig says how a service is checked. All four are above zero.
type HealthConfig struct {
	CheckInterval  time.Duration // from one check's start to the next, up to a day
	Timeout        time.Duration // after which a check has failed, up to four minutes
	MaxFailures    int           // failures in a row that make a service unhealthy: 1-255
	RecoveryChecks int           // successes in a row that make it healthy again: 1-255
}

// DefaultHealthConfig gives what the library takes where none is given.
func DefaultHealthConfig() HealthConfig {
	return HealthConfig{
		CheckInterval:  C.COMMY_DEFAULT_CHECK_INTERVAL_MS * time.Millisecond,
		Timeout:        C.COMMY_DEFAULT_CHECK_TIMEOUT_MS * time.Millisecond,
		MaxFailures:    C.COMMY_DEFAULT_MAX_FAILURES,
		RecoveryChecks: C.COMMY_DEFAULT_RECOVERY_CHECKS,
	}
}

// c gives the library's structure; nil for nil.
func (config *HealthConfig) c() (*C.commy_health_config_t, error) {
	if config == nil {
		return nil, nil
	}
	interval, err := milliseconds("check interval", config.CheckInterval)
	if err != nil {
		return nil, err
	}
	timeout, err := milliseconds("check's timeout", config.Timeout)
	if err != nil {
		return nil, err
	}
	if err := checkRange("number of failures", config.MaxFailures, math.MaxUint32); err != nil {
		return nil, err
	}
	if err := checkRange("number of recovery checks", config.RecoveryChecks, math.MaxUint32); err != nil {
		return nil, err
	}
	return &C.commy_health_config_t{
		check_interval_ms: C.uint64_t(interval),
		timeout_ms:        C.uint64_t(timeout),
		max_failures:      C.uint32_t(config.MaxFailures),
		recovery_checks:   C.uint32_t(config.RecoveryChecks),
	}, nil
}

// Configure says how this Mesh has services checked, and how it selects, where a call says nothing else. Nil: unchanged. All
// or nothing.
func (m *Mesh) Configure(health *HealthConfig, balancer *LoadBalancer) error {
	cHealth, err := health.c()
	if err != nil {
		return err
	}
	cBalancer, err := balancer.c()
	if err != nil {
		return err
	}
	return m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_configure_mesh(h, cHealth, cBalancer) })
}

// StartHealthMonitoring has a service checked, by this process or another that monitors it. Nil: as this Mesh is configured.
func (m *Mesh) StartHealthMonitoring(id string, config *HealthConfig) error {
	made, err := config.c()
	if err != nil {
		return err
	}
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_start_health_monitoring(h, id, made)
	})
}

// StopHealthMonitoring has this process check a service no more.
func (m *Mesh) StopHealthMonitoring(id string) error {
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_stop_health_monitoring(h, id)
	})
}

// A HealthStatus is how a service is.
type HealthStatus struct {
	Status       Health
	ResponseTime time.Duration
}

// ServiceHealth tells how a service is.
func (m *Mesh) ServiceHealth(id string) (HealthStatus, error) {
	var status C.int32_t
	var ms C.double
	err := m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_get_service_health(h, id, &status, &ms)
	})
	if err != nil {
		return HealthStatus{}, err
	}
	return HealthStatus{Health(status), durationOfMs(float64(ms))}, nil
}

// ManualHealthCheck checks a service once, now. When the context ends first, its error is returned, and the check goes on by
// itself until its timeout.
func (m *Mesh) ManualHealthCheck(ctx context.Context, id string) (HealthStatus, error) {
	type result struct {
		health HealthStatus
		err    error
	}
	results := make(chan result, 1)
	go func() {
		var status C.int32_t
		var ms C.double
		err := m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
			return C.commy_manual_health_check(h, id, &status, &ms)
		})
		if err != nil {
			results <- result{err: err}
			return
		}
		results <- result{HealthStatus{Health(status), durationOfMs(float64(ms))}, nil}
	}()
	select {
	case r := <-results:
		return r.health, r.err
	case <-ctx.Done():
		return HealthStatus{}, ctx.Err()
	}
}

// SetHealth says how a service is.
func (m *Mesh) SetHealth(id string, status Health) error {
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_set_health(h, id, C.int32_t(status))
	})
}

// SetAdmin says what its operators want of a service; draining and maintenance take it out of selection.
func (m *Mesh) SetAdmin(id string, admin Admin) error {
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_set_admin(h, id, C.int32_t(admin))
	})
}

// BreakerState is how the circuit breaker of a service stands.
type BreakerState int32

// What a BreakerState may be.
const (
	BreakerClosed   BreakerState = 0
	BreakerOpen     BreakerState = 1 // not selected
	BreakerHalfOpen BreakerState = 2 // one participant of the host may try it, or does
)

// CircuitBreakerStatus tells how the breaker of a service stands, and its failures in a row.
func (m *Mesh) CircuitBreakerStatus(id string) (BreakerState, int, error) {
	var state C.int32_t
	var failures C.uint32_t
	err := m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_get_circuit_breaker_status(h, id, &state, &failures)
	})
	return BreakerState(state), int(failures), err
}

// ResetCircuitBreaker closes the breaker of a service.
func (m *Mesh) ResetCircuitBreaker(id string) error {
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_reset_circuit_breaker(h, id)
	})
}

// RequestStatistics are the requests to all live instances of a name.
type RequestStatistics struct {
	TotalRequests, SuccessfulRequests, FailedRequests uint64
	AverageResponseTime                               time.Duration
}

// LoadBalancerStatistics sums up the requests to the live instances of a name. Errors: ErrNotFound (it has none).
func (m *Mesh) LoadBalancerStatistics(name string) (RequestStatistics, error) {
	var total, successful, failed C.uint64_t
	var ms C.double
	err := m.withText("service name", name, func(h C.commy_handle_t, name *C.char) C.int32_t {
		return C.commy_get_load_balancer_stats(h, name, &total, &successful, &failed, &ms)
	})
	return RequestStatistics{uint64(total), uint64(successful), uint64(failed), durationOfMs(float64(ms))}, err
}
