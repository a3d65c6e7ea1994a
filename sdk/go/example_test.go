package commy_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"commy"
)

// check keeps the examples short. A program would rather return the error.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// open gives a mesh of the example's own.
func open(name string) *commy.Mesh {
	mesh, err := commy.NewWithOptions("example", 8080, commy.Options{Mesh: name, Capacity: 64})
	check(err)
	check(mesh.Initialize())
	check(mesh.RegisterService("auth", "auth-1", "127.0.0.1", 3001))
	return mesh
}

func Example() {
	mesh, err := commy.New("test-node", 8080)
	check(err)
	check(mesh.Initialize())
	check(mesh.Start())
	check(mesh.RegisterService("auth-service", "auth-1", "127.0.0.1", 3001))
	services, err := mesh.DiscoverServices("auth-service")
	check(err)
	stats, err := mesh.Statistics()
	check(err)
	check(mesh.Stop())
	check(mesh.Cleanup())
	fmt.Println(services[0].ID, services[0].Endpoint, services[0].Port, stats.TotalServices)
	// Output: auth-1 127.0.0.1 3001 1
}

func ExampleMesh_Register() {
	mesh := open("register")
	defer mesh.Close()
	check(mesh.Register(commy.ServiceConfig{Name: "auth", ID: "auth-2", Endpoint: "unix:/run/auth.sock", Version: "1.2",
		Zone: "b", Tags: []string{"canary"}, Weight: 50, TTL: 5 * time.Second, Metadata: `{"build": 42}`}))
	check(mesh.Heartbeat("auth-2"))
	check(mesh.UpdateServiceMetadata("auth-2", `{"build": 43}`))
	check(mesh.SetServiceWeight("auth-2", 0))
	metadata, err := mesh.ServiceMetadata("auth-2")
	check(err)
	fmt.Println(metadata)
	check(mesh.UnregisterService("auth-2"))
	// Output: {"build": 43}
}

func ExampleMesh_SelectService() {
	mesh := open("select")
	defer mesh.Close()
	target, err := mesh.Find("auth-1")
	check(err)
	found, err := mesh.FindMany([]string{"auth-1", "nobody"})
	check(err)
	fmt.Println(target == found[0].Target, errors.Is(found[1].Err, commy.ErrNotFound))

	check(mesh.ConfigureLoadBalancer(commy.LoadBalancer{Algorithm: commy.ConsistentHash}))
	target, err = mesh.SelectService("auth", "client-7")
	check(err)
	token, err := mesh.BeginRequest(target.Reference)
	check(err)
	check(mesh.EndRequest(token, 1250*time.Microsecond, true))
	fmt.Println(target.Endpoint, target.Port)
	// Output:
	// true true
	// 127.0.0.1 3001
}

func ExampleMesh_Request() {
	mesh := open("request")
	defer mesh.Close()
	get := func(ctx context.Context, target commy.Target) error {
		fmt.Println("asks", target.Endpoint, target.Port)
		return nil
	}
	check(mesh.Request(context.Background(), "auth", "", get))
	p99, err := mesh.Latency("auth", 0.99)
	check(err)
	fmt.Println(p99 > 0)
	// Output:
	// asks 127.0.0.1 3001
	// true
}

func ExampleMesh_Watch() {
	mesh := open("watch")
	defer mesh.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	changes, err := mesh.Watch(ctx, "auth")
	check(err)
	for change := range changes {
		fmt.Println(len(change.Services), change.Err)
		cancel()
	}
	// Output: 1 <nil>
}

func ExampleMesh_StartHealthMonitoring() {
	mesh := open("health")
	defer mesh.Close()
	check(mesh.StartHealthMonitoring("auth-1", &commy.HealthConfig{CheckInterval: time.Second,
		Timeout: 200 * time.Millisecond, MaxFailures: 3, RecoveryChecks: 2}))
	health, err := mesh.ManualHealthCheck(context.Background(), "auth-1")
	check(err)
	fmt.Println(health.Status == commy.HealthUnhealthy) // nobody listens there
	check(mesh.StopHealthMonitoring("auth-1"))
	check(mesh.SetHealth("auth-1", commy.HealthDegraded))
	check(mesh.SetAdmin("auth-1", commy.AdminDraining))
	check(mesh.ConfigureLoadBalancer(commy.LoadBalancer{EnableCircuitBreaker: true, CircuitBreakerThreshold: 5,
		CircuitBreakerTimeout: 10 * time.Second}))
	state, failures, err := mesh.CircuitBreakerStatus("auth-1")
	check(err)
	fmt.Println(state == commy.BreakerClosed, failures)
	check(mesh.ResetCircuitBreaker("auth-1"))
	// Output:
	// true
	// true 0
}

func ExampleError() {
	mesh := open("error")
	defer mesh.Close()
	_, err := mesh.Find("nobody")
	fmt.Println(errors.Is(err, commy.ErrNotFound), strings.HasPrefix(err.Error(), "commy: no live service has the id nobody"))
	// Output: true true
}
