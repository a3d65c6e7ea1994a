package commy

import (
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTheUsualFlow(t *testing.T) {
	mesh, err := New("test-node", 8080)
	must(t, err)
	must(t, mesh.Initialize())
	must(t, mesh.Start())
	must(t, mesh.RegisterService("auth-service", "auth-1", "127.0.0.1", 3001))
	services, err := mesh.DiscoverServices("auth-service")
	must(t, err)
	stats, err := mesh.Statistics()
	must(t, err)
	running, err := mesh.Running()
	must(t, err)
	equal(t, running, true)
	node, err := mesh.NodeID()
	must(t, err)
	equal(t, node, "test-node")
	must(t, mesh.Stop())
	running, err = mesh.Running()
	must(t, err)
	equal(t, running, false)
	must(t, mesh.Cleanup())

	equal(t, len(services), 1)
	service := services[0]
	if age := time.Since(service.RegisteredAt); age < -time.Second || age > time.Minute {
		t.Fatalf("registered %v ago", age)
	}
	service.RegisteredAt = time.Time{}
	want := ServiceInfo{Name: "auth-service", ID: "auth-1", Endpoint: "127.0.0.1", Port: 3001, NodeID: "test-node",
		Tags: []string{}, Weight: 100, OwnerPID: os.Getpid(), Status: HealthHealthy}
	if !reflect.DeepEqual(service, want) {
		t.Fatalf("%+v, not %+v", service, want)
	}
	equal(t, stats, Statistics{TotalServices: 1, HealthyServices: 1, RegisteredServices: 1})
}

func TestEveryFieldComesBack(t *testing.T) {
	mesh := started(t, Options{})
	given := ServiceConfig{Name: "wéb", ID: "ïd-1", Endpoint: "unix:/run/söcket", Version: "1.2.3", Zone: "zürich",
		Tags: []string{"a", "日本"}, Weight: 7, TTL: time.Minute, Metadata: `{"a": "ü"}`}
	must(t, mesh.Register(given))
	info, err := mesh.Service("ïd-1")
	must(t, err)
	info.RegisteredAt = time.Time{}
	want := ServiceInfo{Name: given.Name, ID: given.ID, Endpoint: given.Endpoint, Version: given.Version, Zone: given.Zone,
		NodeID: "test-node", Tags: given.Tags, Weight: 7, OwnerPID: os.Getpid(), Status: HealthHealthy,
		MetadataBytes: len(given.Metadata)}
	if !reflect.DeepEqual(info, want) {
		t.Fatalf("%+v, not %+v", info, want)
	}
	metadata, err := mesh.ServiceMetadata("ïd-1")
	must(t, err)
	equal(t, metadata, given.Metadata)
	must(t, mesh.UpdateServiceMetadata("ïd-1", ""))
	metadata, err = mesh.ServiceMetadata("ïd-1")
	must(t, err)
	equal(t, metadata, "")
}

func TestLimitsAreMetAndNotExceeded(t *testing.T) {
	mesh := started(t, Options{})
	most := ServiceConfig{Name: strings.Repeat("n", 63), ID: strings.Repeat("i", 127), Endpoint: strings.Repeat("e", 255),
		Port: 65535, Version: strings.Repeat("v", 31), Zone: strings.Repeat("z", 31), Weight: 65535,
		Metadata: `"` + strings.Repeat("m", 4094) + `"`}
	for i := 0; i < 16; i++ {
		most.Tags = append(most.Tags, strings.Repeat(string(rune('a'+i)), 31))
	}
	must(t, mesh.Register(most))
	metadata, err := mesh.ServiceMetadata(most.ID)
	must(t, err)
	equal(t, metadata, most.Metadata)
	target, err := mesh.Find(most.ID)
	must(t, err)
	equal(t, target.Endpoint, most.Endpoint)
	equal(t, target.Port, 65535)
	for what, change := range map[string]func(*ServiceConfig){
		"name":     func(c *ServiceConfig) { c.Name += "x" },
		"id":       func(c *ServiceConfig) { c.ID += "x" },
		"endpoint": func(c *ServiceConfig) { c.Endpoint += "x" },
		"port":     func(c *ServiceConfig) { c.Port = 65536 },
		"less":     func(c *ServiceConfig) { c.Port = -1 },
		"version":  func(c *ServiceConfig) { c.Version += "x" },
		"zone":     func(c *ServiceConfig) { c.Zone += "x" },
		"weight":   func(c *ServiceConfig) { c.Weight = 65536 },
		"more":     func(c *ServiceConfig) { c.Weight = math.MaxUint32 + 101 },
		"tags":     func(c *ServiceConfig) { c.Tags = append(c.Tags, "x") },
		"tag":      func(c *ServiceConfig) { c.Tags = []string{strings.Repeat("t", 32)} },
		"metadata": func(c *ServiceConfig) { c.Metadata += " " },
		"no json":  func(c *ServiceConfig) { c.Metadata = "{'a': 1}" },
		"ttl":      func(c *ServiceConfig) { c.TTL = -1 },
		"long ttl": func(c *ServiceConfig) { c.TTL = 365*24*time.Hour + 1 },
		"nul":      func(c *ServiceConfig) { c.Name = "a\x00b" },
		"nul tag":  func(c *ServiceConfig) { c.Tags = []string{"a\x00b"} },
		"no utf-8": func(c *ServiceConfig) { c.Name = "\xff" },
	} {
		config := most
		config.ID = "other"
		if what == "id" {
			config.ID = most.ID
		}
		change(&config)
		if err := mesh.Register(config); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAShortTTLIsNotNone(t *testing.T) {
	mesh := started(t, Options{})
	config := ServiceConfig{Name: "web", ID: "web-1", Endpoint: "h", Port: 1, TTL: time.Microsecond, Detached: true}
	must(t, mesh.Register(config))
	gone := eventually(func() bool {
		_, err := mesh.Find("web-1")
		return errors.Is(err, ErrNotFound)
	})
	equal(t, gone, true)
}

func TestErrorsSayWhatTheLibrarySays(t *testing.T) {
	mesh := started(t, Options{Mesh: "errors", Capacity: 16})
	_, err := mesh.Find("nobody")
	mustBe(t, err, ErrNotFound)
	var failed *Error
	if !errors.As(err, &failed) || failed.Code != ErrNotFound || !strings.Contains(err.Error(), "nobody") {
		t.Fatalf("%#v", err)
	}
	if errors.Is(err, ErrExists) || errors.Is(err, nil) {
		t.Fatal("an error is of one code")
	}
	must(t, mesh.RegisterService("web", "web-1", "127.0.0.1", 80))
	mustBe(t, mesh.RegisterService("web", "web-1", "127.0.0.1", 80), ErrExists)
	mustBe(t, mesh.RegisterService("", "web-2", "127.0.0.1", 80), ErrInvalid)
	mustBe(t, mesh.RegisterService("web", "web\x00", "127.0.0.1", 80), ErrInvalid)
	mustBe(t, mesh.RegisterService("web", "web-2", "127.0.0.1", 1<<16+80), ErrInvalid)
	for i := 0; err == nil || !errors.Is(err, ErrFull); i++ {
		if i > 20 {
			t.Fatal("the region is never full")
		}
		err = mesh.RegisterService("web", "more-"+strings.Repeat("x", i), "127.0.0.1", 80)
	}
	for code, options := range map[Code]Options{
		ErrMeshNotFound: {Mesh: "none", MustExist: true},
		ErrExists:       {Mesh: "errors", MustNotExist: true},
		ErrInvalid:      {Mesh: "a/b"},
	} {
		other, err := NewWithOptions("node", 1, options)
		must(t, err)
		mustBe(t, other.Initialize(), code)
		mustBe(t, other.Start(), ErrNoHandle)
	}
	for _, err := range []error{second(New("a\x00", 1)), second(New("a", 70000)),
		second(NewWithOptions("", 0, Options{Capacity: -1})), second(NewWithOptions("", 0, Options{Mode: -1})), second(NewWithOptions("", 0, Options{Dir: "\x00"}))} {
		mustBe(t, err, ErrInvalid)
	}
	reader, err := NewWithOptions("reader", 1, Options{Mesh: "errors", ReadOnly: true})
	must(t, err)
	must(t, reader.Initialize())
	defer reader.Close()
	_, err = reader.Find("web-1")
	must(t, err)
	mustBe(t, reader.UnregisterService("web-1"), ErrReadOnly)
	must(t, mesh.Stop())
	_, err = mesh.Find("web-1")
	mustBe(t, err, ErrNotRunning)
	must(t, mesh.Destroy())
	mustBe(t, mesh.Destroy(), ErrNoHandle)
	must(t, mesh.Cleanup())
	_, err = mesh.NodeID()
	mustBe(t, err, ErrNoHandle)
	equal(t, ErrNotFound.Error(), StatusString(5))
	equal(t, Code(1234).Error(), "unknown code")
}

func second(_ *Mesh, err error) error {
	return err
}

func TestVersionIsTheLibrarys(t *testing.T) {
	if parts := strings.Split(Version(), "."); len(parts) != 3 {
		t.Fatal(Version())
	}
	must(t, Init())
	must(t, Init())
}
