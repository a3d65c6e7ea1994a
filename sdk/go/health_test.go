package commy

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

var atOnce = HealthConfig{CheckInterval: 20 * time.Millisecond, Timeout: time.Second, MaxFailures: 1, RecoveryChecks: 1}

// serving is an HTTP server whose answers have the given status, and its registration as web-1.
func serving(t *testing.T, mesh *Mesh) *atomic.Int32 {
	var status atomic.Int32
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	must(t, err)
	port, err := strconv.Atoi(address.Port())
	must(t, err)
	must(t, mesh.Register(ServiceConfig{Name: "web", ID: "web-1", Endpoint: "127.0.0.1", Port: port,
		Tags: []string{"check=http"}}))
	return &status
}

func selectable(mesh *Mesh) error {
	_, err := mesh.SelectService("web", "")
	return err
}

func TestHealthAndAdminStateAreSet(t *testing.T) {
	mesh := started(t, Options{})
	must(t, mesh.RegisterService("web", "web-1", "127.0.0.1", 80))
	must(t, mesh.SetHealth("web-1", HealthUnhealthy))
	equal(t, find(t, mesh, "web-1").Status, HealthUnhealthy)
	health, err := mesh.ServiceHealth("web-1")
	must(t, err)
	equal(t, health.Status, HealthUnhealthy)
	mustBe(t, selectable(mesh), ErrNoHealthy)
	must(t, mesh.SetHealth("web-1", HealthDegraded))
	must(t, selectable(mesh))
	must(t, mesh.SetAdmin("web-1", AdminDraining))
	mustBe(t, selectable(mesh), ErrNoHealthy)
	info, err := mesh.Service("web-1")
	must(t, err)
	equal(t, info.Admin, AdminDraining)
	must(t, mesh.SetAdmin("web-1", AdminEnabled))
	must(t, selectable(mesh))
	mustBe(t, mesh.SetHealth("web-1", 4), ErrInvalid)
	mustBe(t, mesh.SetAdmin("web-1", -1), ErrInvalid)
	mustBe(t, mesh.SetHealth("nobody", HealthHealthy), ErrNotFound)
	_, err = mesh.ServiceHealth("nobody")
	mustBe(t, err, ErrNotFound)
}

func TestAMonitoredServiceIsHealthyWhileItAnswers(t *testing.T) {
	mesh := started(t, Options{})
	answers := serving(t, mesh)
	becomes := func(want Health) bool {
		return eventually(func() bool {
			health, err := mesh.ServiceHealth("web-1")
			must(t, err)
			return health.Status == want
		})
	}
	must(t, mesh.Configure(&atOnce, nil))
	must(t, mesh.StartHealthMonitoring("web-1", nil))
	equal(t, becomes(HealthHealthy), true)
	answers.Store(http.StatusServiceUnavailable)
	equal(t, becomes(HealthUnhealthy), true)
	answers.Store(http.StatusNoContent)
	equal(t, becomes(HealthHealthy), true)
	must(t, mesh.StopHealthMonitoring("web-1"))
	mustBe(t, mesh.StopHealthMonitoring("web-1"), ErrNotFound)
}

func TestACheckOnDemand(t *testing.T) {
	mesh := started(t, Options{})
	answers := serving(t, mesh)
	ctx := context.Background()
	health, err := mesh.ManualHealthCheck(ctx, "web-1")
	must(t, err)
	equal(t, health.Status, HealthHealthy)
	equal(t, health.ResponseTime > 0, true)
	answers.Store(http.StatusInternalServerError)
	health, err = mesh.ManualHealthCheck(ctx, "web-1")
	must(t, err)
	equal(t, health.Status, HealthUnhealthy)
	_, err = mesh.ManualHealthCheck(ctx, "nobody")
	mustBe(t, err, ErrNotFound)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = mesh.ManualHealthCheck(ended, "web-1")
	equal(t, err == nil || errors.Is(err, context.Canceled), true)
}

func TestAConfigurationIsCheckedAsAWhole(t *testing.T) {
	mesh := started(t, Options{})
	must(t, mesh.RegisterService("web", "web-1", "127.0.0.1", 80))
	good := DefaultHealthConfig()
	must(t, mesh.Configure(&good, &LoadBalancer{Algorithm: Random}))
	must(t, mesh.Configure(nil, nil))
	for _, change := range []func(*HealthConfig){
		func(c *HealthConfig) { c.CheckInterval = 0 },
		func(c *HealthConfig) { c.CheckInterval = -1 },
		func(c *HealthConfig) { c.Timeout = 0 },
		func(c *HealthConfig) { c.Timeout = -1 },
		func(c *HealthConfig) { c.Timeout = time.Hour },
		func(c *HealthConfig) { c.MaxFailures = 0 },
		func(c *HealthConfig) { c.MaxFailures = -1 },
		func(c *HealthConfig) { c.RecoveryChecks = 256 },
		func(c *HealthConfig) { c.RecoveryChecks = math.MaxUint32 + 2 },
	} {
		wrong := good
		change(&wrong)
		mustBe(t, mesh.Configure(&wrong, nil), ErrInvalid)
		mustBe(t, mesh.StartHealthMonitoring("web-1", &wrong), ErrInvalid)
	}
	mustBe(t, mesh.Configure(&good, &LoadBalancer{Algorithm: 17}), ErrInvalid)
}

func TestFailuresOpenABreaker(t *testing.T) {
	mesh := started(t, Options{})
	must(t, mesh.RegisterService("web", "web-1", "127.0.0.1", 80))
	must(t, mesh.ConfigureLoadBalancer(LoadBalancer{EnableCircuitBreaker: true, CircuitBreakerThreshold: 3,
		CircuitBreakerTimeout: time.Minute}))
	state, failures, err := mesh.CircuitBreakerStatus("web-1")
	must(t, err)
	equal(t, state, BreakerClosed)
	equal(t, failures, 0)
	for i := 0; i < 3; i++ {
		must(t, mesh.Report(find(t, mesh, "web-1").Reference, time.Microsecond, false))
	}
	state, _, err = mesh.CircuitBreakerStatus("web-1")
	must(t, err)
	equal(t, state, BreakerOpen)
	if err := selectable(mesh); !errors.Is(err, ErrCircuitOpen) && !errors.Is(err, ErrNoHealthy) {
		t.Fatal(err)
	}
	must(t, mesh.ResetCircuitBreaker("web-1"))
	state, _, err = mesh.CircuitBreakerStatus("web-1")
	must(t, err)
	equal(t, state, BreakerClosed)
	must(t, selectable(mesh))
	_, _, err = mesh.CircuitBreakerStatus("nobody")
	mustBe(t, err, ErrNotFound)
	mustBe(t, mesh.ResetCircuitBreaker("nobody"), ErrNotFound)
}

func TestTheRequestsOfANameAreSummedUp(t *testing.T) {
	mesh := started(t, Options{})
	for i, id := range []string{"web-1", "web-2"} {
		must(t, mesh.RegisterService("web", id, "127.0.0.1", 80))
		must(t, mesh.Report(find(t, mesh, id).Reference, time.Duration(1+i)*time.Millisecond, i == 0))
	}
	stats, err := mesh.LoadBalancerStatistics("web")
	must(t, err)
	equal(t, [3]uint64{stats.TotalRequests, stats.SuccessfulRequests, stats.FailedRequests}, [3]uint64{2, 1, 1})
	if math.Abs(float64(stats.AverageResponseTime-1500*time.Microsecond)) > 1e4 {
		t.Fatal(stats.AverageResponseTime)
	}
	_, err = mesh.LoadBalancerStatistics("nobody")
	mustBe(t, err, ErrNotFound)
}
