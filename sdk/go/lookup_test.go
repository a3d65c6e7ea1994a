package commy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

func find(t testing.TB, mesh *Mesh, id string) Target {
	t.Helper()
	target, err := mesh.Find(id)
	must(t, err)
	return target
}

func TestFindIsWhatIsNow(t *testing.T) {
	mesh := started(t, Options{})
	must(t, mesh.RegisterService("web", "web-1", "127.0.0.1", 80))
	first := find(t, mesh, "web-1")
	equal(t, find(t, mesh, "web-1"), first)
	must(t, mesh.SetServiceWeight("web-1", 3))
	first.Weight = 3
	equal(t, find(t, mesh, "web-1"), first)
	must(t, mesh.UnregisterService("web-1"))
	_, err := mesh.Find("web-1")
	mustBe(t, err, ErrNotFound)
	must(t, mesh.RegisterService("web", "web-1", "127.0.0.2", 81))
	again := find(t, mesh, "web-1")
	equal(t, again, Target{Reference: again.Reference, Endpoint: "127.0.0.2", Port: 81, Weight: 100, Status: HealthHealthy})
	if again.Reference == first.Reference {
		t.Fatal("a reference names one registration")
	}
}

// Ids of every length go through copying in blocks, in which nothing of another id may stay.
func TestFindTakesIdsOfEveryLength(t *testing.T) {
	mesh := started(t, Options{Capacity: 512})
	var ids []string
	for length := 1; length <= 127; length++ {
		var id strings.Builder
		for i := 0; i < length; i++ {
			id.WriteByte(byte('!' + (i*7+length)%90))
		}
		ids = append(ids, id.String())
		must(t, mesh.RegisterService("lengths", id.String(), "h", length))
	}
	must(t, mesh.RegisterService("lengths", "prefix", "h", 1))
	_, err := mesh.Find("prefix\x00and more")
	mustBe(t, err, ErrInvalid)
	for round := 0; round < 3; round++ {
		for i, id := range ids {
			equal(t, find(t, mesh, id).Port, i+1)
			_, err := mesh.Find(id[:i] + "~")
			mustBe(t, err, ErrNotFound)
			for at := range id {
				_, err := mesh.Find(id[:at] + "\x00" + id[at+1:])
				mustBe(t, err, ErrInvalid)
			}
		}
	}
	for _, id := range []string{"", "a\x00", "\x00", ids[9] + "\x00", strings.Repeat("i", 128), strings.Repeat("i", 40) + "\x00"} {
		_, err := mesh.Find(id)
		mustBe(t, err, ErrInvalid)
	}
}

func TestMeshesWithTheSameReferencesDoNotMix(t *testing.T) {
	a, b := started(t, Options{}), started(t, Options{})
	must(t, a.RegisterService("web", "web-1", "10.0.0.1", 1))
	must(t, b.RegisterService("web", "web-1", "10.0.0.2", 2))
	for i := 0; i < 3; i++ {
		equal(t, find(t, a, "web-1").Endpoint, "10.0.0.1")
		equal(t, find(t, b, "web-1").Endpoint, "10.0.0.2")
	}
}

func TestManyAtOnce(t *testing.T) {
	mesh := started(t, Options{Capacity: 8192})
	ids := make([]string, 3000)
	for i := range ids {
		ids[i] = fmt.Sprintf("service-%d", i)
		must(t, mesh.RegisterService("many", ids[i], fmt.Sprintf("10.0.0.%d", i%256), 1+i))
	}
	for round := 0; round < 2; round++ {
		found, err := mesh.FindMany(append(append([]string{}, ids...), "nobody", "", "a\x00b", strings.Repeat("i", 128)))
		must(t, err)
		for i := range ids {
			must(t, found[i].Err)
			equal(t, found[i].Target, find(t, mesh, ids[i]))
			equal(t, found[i].Target.Port, 1+i)
			equal(t, found[i].Target.Endpoint, fmt.Sprintf("10.0.0.%d", i%256))
		}
		mustBe(t, found[3000].Err, ErrNotFound)
		for _, f := range found[3001:] {
			mustBe(t, f.Err, ErrInvalid)
		}
	}
	services, err := mesh.DiscoverServices("many")
	must(t, err)
	equal(t, len(services), 3000)
	services, err = mesh.AllServices()
	must(t, err)
	equal(t, len(services), 3000)
	count, err := mesh.DiscoverServicesCount("many")
	must(t, err)
	equal(t, count, 3000)
	count, err = mesh.ActiveServiceCount()
	must(t, err)
	equal(t, count, 3000)
	longest := make([]string, 200)
	for i := range longest {
		longest[i] = fmt.Sprintf("%0127d", i)
		must(t, mesh.RegisterService("long", longest[i], "h", 1+i))
	}
	found, err := mesh.FindMany(longest)
	must(t, err)
	for i := range longest {
		equal(t, found[i].Target.Port, 1+i)
	}
}

func TestABatchOfNone(t *testing.T) {
	mesh := started(t, Options{})
	found, err := mesh.FindMany(nil)
	must(t, err)
	equal(t, len(found), 0)
	must(t, mesh.Cleanup())
	_, err = mesh.FindMany(nil)
	mustBe(t, err, ErrNoHandle)
	_, err = mesh.FindMany([]string{"a"})
	mustBe(t, err, ErrNoHandle)
}

func TestAReferenceIsForgottenWithItsRegion(t *testing.T) {
	mesh := started(t, Options{Mesh: "one"})
	other := started(t, Options{Mesh: "two"})
	must(t, mesh.RegisterService("web", "web-1", "10.0.0.1", 1))
	must(t, other.RegisterService("web", "web-1", "10.0.0.2", 2))
	equal(t, find(t, mesh, "web-1").Endpoint, "10.0.0.1")
	must(t, mesh.Cleanup())
	mesh.options.Mesh = "two"
	must(t, mesh.Initialize())
	equal(t, find(t, mesh, "web-1").Endpoint, "10.0.0.2")
}

func three(t *testing.T) *Mesh {
	mesh := started(t, Options{})
	for i := 1; i <= 3; i++ {
		must(t, mesh.RegisterService("web", fmt.Sprintf("web-%d", i), "127.0.0.1", 8000+i))
	}
	return mesh
}

func TestSelecting(t *testing.T) {
	mesh := three(t)
	picks := map[int]int{}
	for i := 0; i < 300; i++ {
		target, err := mesh.SelectService("web", "")
		must(t, err)
		picks[target.Port]++
	}
	equal(t, fmt.Sprint(picks), "map[8001:100 8002:100 8003:100]")
	must(t, mesh.ConfigureLoadBalancer(LoadBalancer{Algorithm: ConsistentHash}))
	for i := 0; i < 100; i++ {
		client := fmt.Sprintf("client-%d", i)
		first, err := mesh.SelectService("web", client)
		must(t, err)
		second, err := mesh.SelectService("web", client)
		must(t, err)
		equal(t, first, second)
	}
	for _, client := range []string{strings.Repeat("c", 256), "a\x00"} {
		_, err := mesh.SelectService("web", client)
		mustBe(t, err, ErrInvalid)
	}
	_, err := mesh.SelectService("nobody", "c")
	mustBe(t, err, ErrNotFound)
	_, err = mesh.SelectService(strings.Repeat("n", 200), "c")
	mustBe(t, err, ErrInvalid)
	must(t, mesh.ConfigureLoadBalancer(LoadBalancer{Algorithm: WeightedRoundRobin}))
	for i := 1; i <= 3; i++ {
		must(t, mesh.SetServiceWeight(fmt.Sprintf("web-%d", i), 0))
	}
	_, err = mesh.SelectService("web", "")
	mustBe(t, err, ErrNoHealthy)
	for _, bad := range []LoadBalancer{{Algorithm: 9}, {EnableCircuitBreaker: true}, {CircuitBreakerThreshold: -1},
		{CircuitBreakerTimeout: -1}} {
		mustBe(t, mesh.ConfigureLoadBalancer(bad), ErrInvalid)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	mesh := three(t)
	reference := find(t, mesh, "web-1").Reference
	token, err := mesh.BeginRequest(reference)
	must(t, err)
	must(t, mesh.EndRequest(token, 2*time.Millisecond, true))
	mustBe(t, mesh.EndRequest(token, 1, true), ErrInvalid)
	must(t, mesh.Report(reference, 4*time.Millisecond, false))
	must(t, mesh.ReportServicePerformance("web-1", 6*time.Millisecond, true))
	stats, err := mesh.Statistics()
	must(t, err)
	equal(t, [3]uint64{stats.TotalRequests, stats.SuccessfulRequests, stats.FailedRequests}, [3]uint64{3, 2, 1})
	if math.Abs(float64(stats.AverageResponseTime-4*time.Millisecond)) > 1e4 {
		t.Fatal(stats.AverageResponseTime)
	}
	for _, latency := range []func() (time.Duration, error){
		func() (time.Duration, error) { return mesh.Latency("web-1", 0.5) },
		func() (time.Duration, error) { return mesh.Latency("web", 0.5) },
		func() (time.Duration, error) { return mesh.MeshLatency(0.5) },
	} {
		median, err := latency()
		must(t, err)
		if math.Abs(float64(median-4*time.Millisecond)) > 0.07*4e6 {
			t.Fatal(median)
		}
	}
	_, err = mesh.Latency("nobody", 0.5)
	mustBe(t, err, ErrNotFound)
	_, err = mesh.MeshLatency(1.5)
	mustBe(t, err, ErrInvalid)
	_, err = mesh.BeginRequest(0)
	mustBe(t, err, ErrNotFound)
	for _, err := range []error{mesh.Report(reference, -1, true), mesh.EndRequest(0, -1, true),
		mesh.ReportServicePerformance("web-1", -1, true)} {
		mustBe(t, err, ErrInvalid)
	}
}

func TestRequestCountsWhatItsWorkComesTo(t *testing.T) {
	mesh := three(t)
	ctx, refused := context.Background(), errors.New("refused")
	must(t, mesh.Request(ctx, "web", "", func(context.Context, Target) error { return nil }))
	err := mesh.Request(ctx, "web", "", func(context.Context, Target) error { return refused })
	equal(t, errors.Is(err, refused), true)
	func() {
		defer func() { _ = recover() }()
		_ = mesh.Request(ctx, "web", "", func(context.Context, Target) error { panic("out") })
	}()
	stats, err := mesh.Statistics()
	must(t, err)
	equal(t, [2]uint64{stats.SuccessfulRequests, stats.FailedRequests}, [2]uint64{1, 2})
	mustBe(t, mesh.Request(ctx, "nobody", "", nil), ErrNotFound)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	err = mesh.Request(ended, "web", "", nil)
	equal(t, errors.Is(err, context.Canceled), true)
}

// Every goroutine fails in its own way, and reads its own sentence; handles come and go meanwhile.
func TestGoroutinesDoNotDisturbEachOther(t *testing.T) {
	mesh := started(t, Options{Mesh: "goroutines", Capacity: 4096})
	var group sync.WaitGroup
	for g := 0; g < 16; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			own, err := NewWithOptions("own", 1, Options{Mesh: "goroutines"})
			if err != nil {
				t.Error(err)
				return
			}
			for i := 0; i < 50; i++ {
				id := fmt.Sprintf("g-%d-%d", g, i)
				if _, err := mesh.Find(id); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), id+" ") {
					t.Errorf("%s: %v", id, err)
				}
				if _, err := mesh.Service(id); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), id+" ") {
					t.Errorf("%s: %v", id, err)
				}
				if err := own.Initialize(); err != nil {
					t.Error(err)
				}
				if err := own.RegisterService("web", id, "h", 1+g); err != nil {
					t.Error(err)
				}
				if target, err := mesh.Find(id); err != nil || target.Port != 1+g {
					t.Errorf("%s: %v %v", id, target, err)
				}
				if err := own.Cleanup(); err != nil {
					t.Error(err)
				}
			}
		}(g)
	}
	group.Wait()
	count, err := mesh.ActiveServiceCount()
	must(t, err)
	equal(t, count, 0)
}
