package main

import (
	"context"
	"time"

	"commy"
)

// Of the mesh: health, breakers, and watches.

var watches = map[string]*commy.Watch{}

func health(a arguments) *commy.HealthConfig {
	if !a.has("check_interval_ms") {
		return nil
	}
	return &commy.HealthConfig{CheckInterval: a.duration("check_interval_ms", time.Millisecond),
		Timeout: a.duration("timeout_ms", time.Millisecond), MaxFailures: a.integer("max_failures"),
		RecoveryChecks: a.integer("recovery_checks")}
}

func configure(m *commy.Mesh, a arguments) error {
	var healthConfig *commy.HealthConfig
	var balancer *commy.LoadBalancer
	if inner, given := a.values["health"].(object); given {
		healthConfig = health(arguments{inner})
	}
	if inner, given := a.values["load_balancer"].(object); given {
		made := loadBalancer(arguments{inner})
		balancer = &made
	}
	return m.Configure(healthConfig, balancer)
}

func healthObject(health commy.HealthStatus, err error) (any, error) {
	return object{"status": health.Status, "response_time_ms": ms(health.ResponseTime)}, err
}

func openWatch(m *commy.Mesh, a arguments) (any, error) {
	open := m.OpenWatchAny
	if a.has("name") {
		open = func() (*commy.Watch, error) { return m.OpenWatch(a.text("name")) }
	}
	watch, err := open()
	if err == nil {
		watches[a.text("watch")] = watch
	}
	return nil, err
}

// onWatch is for calls on a watch.
func onWatch(function func(w *commy.Watch, a arguments) (any, error)) func(*commy.Mesh, arguments) (any, error) {
	return func(_ *commy.Mesh, a arguments) (any, error) {
		watch := watches[a.text("watch")]
		if watch == nil {
			refuse(commy.ErrNoHandle, "no watch was opened as %s", a.text("watch"))
		}
		return function(watch, a)
	}
}

// changes gives the versions of so many changes, from a channel.
func changes(m *commy.Mesh, a arguments) (any, error) {
	ctx, cancel := within(a)
	defer cancel()
	open := m.WatchAny
	if a.has("name") {
		open = func(ctx context.Context) (<-chan commy.Change, error) { return m.Watch(ctx, a.text("name")) }
	}
	channel, err := open(ctx)
	if err != nil {
		return nil, err
	}
	versions := []string{}
	for change := range channel {
		if change.Err != nil {
			return nil, change.Err
		}
		versions = append(versions, decimal(change.Version))
		if len(versions) == a.integer("count") {
			return versions, nil
		}
	}
	refuse(commy.ErrTimedOut, "only %d changes came in time", len(versions))
	return nil, nil
}

func init() {
	for name, c := range map[string]call{
		"configure_mesh": {"Configure", done(configure)},
		"start_health_monitoring": {"StartHealthMonitoring", done(func(m *commy.Mesh, a arguments) error {
			return m.StartHealthMonitoring(a.text("id"), health(a))
		})},
		"stop_health_monitoring": {"StopHealthMonitoring", done(func(m *commy.Mesh, a arguments) error {
			return m.StopHealthMonitoring(a.text("id"))
		})},
		"get_service_health": {"ServiceHealth", func(m *commy.Mesh, a arguments) (any, error) {
			return healthObject(m.ServiceHealth(a.text("id")))
		}},
		"manual_health_check": {"ManualHealthCheck", func(m *commy.Mesh, a arguments) (any, error) {
			return healthObject(m.ManualHealthCheck(context.Background(), a.text("id")))
		}},
		"set_health": {"SetHealth", done(func(m *commy.Mesh, a arguments) error {
			return m.SetHealth(a.text("id"), commy.Health(a.integer32("status")))
		})},
		"set_admin": {"SetAdmin", done(func(m *commy.Mesh, a arguments) error {
			return m.SetAdmin(a.text("id"), commy.Admin(a.integer32("admin")))
		})},
		"get_load_balancer_stats": {"LoadBalancerStatistics", func(m *commy.Mesh, a arguments) (any, error) {
			stats, err := m.LoadBalancerStatistics(a.text("name"))
			return object{"total": decimal(stats.TotalRequests), "successful": decimal(stats.SuccessfulRequests),
				"failed": decimal(stats.FailedRequests), "average_ms": ms(stats.AverageResponseTime)}, err
		}},
		"get_circuit_breaker_status": {"CircuitBreakerStatus", func(m *commy.Mesh, a arguments) (any, error) {
			state, failures, err := m.CircuitBreakerStatus(a.text("id"))
			return object{"state": state, "failures": failures}, err
		}},
		"reset_circuit_breaker": {"ResetCircuitBreaker", done(func(m *commy.Mesh, a arguments) error {
			return m.ResetCircuitBreaker(a.text("id"))
		})},
		"watch_open": {"OpenWatch", openWatch},
		"watch_fd":   {"OpenWatch", onWatch(func(w *commy.Watch, _ arguments) (any, error) { return w.Readable() })},
		"watch_wait": {"OpenWatch", onWatch(func(w *commy.Watch, a arguments) (any, error) {
			ctx, cancel := within(a)
			defer cancel()
			version, err := w.Wait(ctx)
			return decimal(version), err
		})},
		"watch_wake":    {"OpenWatch", onWatch(func(w *commy.Watch, _ arguments) (any, error) { return nil, w.Wake() })},
		"watch_close":   {"OpenWatch", onWatch(func(w *commy.Watch, _ arguments) (any, error) { return nil, w.Close() })},
		"watch_changes": {"Watch", changes},
	} {
		calls[name] = c
	}
}
