package commy

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain gives the tests a directory of regions of their own. Children that tests start are this program, too.
func TestMain(m *testing.M) {
	if child := os.Getenv("COMMY_TEST_CHILD"); child != "" {
		children[child]()
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "commy-go-")
	if err != nil {
		panic(err)
	}
	os.Setenv("COMMY_DIR", dir)
	os.Unsetenv("COMMY_MESH")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t testing.TB, err error, code Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("the error is %v, not %d (%v)", err, int(code), code)
	}
}

func equal[T comparable](t testing.TB, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%v, not %v", got, want)
	}
}

var meshes atomic.Int32

// started makes a mesh in a region of its own, unless one is named, and cleans it up after the test.
func started(t testing.TB, options Options) *Mesh {
	t.Helper()
	if options.Mesh == "" {
		options.Mesh = fmt.Sprintf("mesh-%d", meshes.Add(1))
	}
	if options.Capacity == 0 {
		options.Capacity = 64
	}
	mesh, err := NewWithOptions("test-node", 8080, options)
	must(t, err)
	must(t, mesh.Initialize())
	must(t, mesh.Start())
	t.Cleanup(func() { must(t, mesh.Cleanup()) })
	return mesh
}

// eventually tries for two seconds.
func eventually(condition func() bool) bool {
	for i := 0; i < 200; i++ {
		if condition() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
