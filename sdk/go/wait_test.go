package commy

import (
	"context"
	"errors"
	"testing"
	"time"
)

func version(t *testing.T, mesh *Mesh) uint64 {
	t.Helper()
	version, err := mesh.Wait(context.Background(), "web", 0)
	must(t, err)
	if version == 0 {
		t.Fatal("versions begin above 0")
	}
	return version
}

func TestAChangeEndsAWait(t *testing.T) {
	mesh := started(t, Options{})
	before := version(t, mesh)
	go func() {
		time.Sleep(250 * time.Millisecond)
		_ = mesh.RegisterService("web", "web-1", "h", 1)
	}()
	after, err := mesh.Wait(context.Background(), "web", before)
	must(t, err)
	if after <= before {
		t.Fatal(before, after)
	}
}

func TestAChangeBeforeTheWaitCounts(t *testing.T) {
	mesh := started(t, Options{})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	before, err := mesh.WaitAny(ended, 0)
	must(t, err)
	must(t, mesh.RegisterService("web", "web-1", "h", 1))
	after, err := mesh.WaitAny(ended, before)
	must(t, err)
	if after <= before {
		t.Fatal(before, after)
	}
}

func TestTheContextEndsAWait(t *testing.T) {
	mesh := started(t, Options{})
	before := version(t, mesh)
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err := mesh.Wait(ctx, "web", before)
	mustBe(t, err, ErrTimedOut)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 30*time.Millisecond || took > 2*time.Second {
		t.Fatal(took)
	}
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = mesh.WaitAny(ctx, mustVersion(mesh))
	mustBe(t, err, ErrInterrupted)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func mustVersion(mesh *Mesh) uint64 {
	version, err := mesh.WaitAny(context.Background(), 0)
	if err != nil {
		panic(err)
	}
	return version
}

func TestStoppingEndsWaits(t *testing.T) {
	mesh := started(t, Options{})
	before := version(t, mesh)
	go func() {
		time.Sleep(50 * time.Millisecond)
		_ = mesh.Stop()
	}()
	var err error
	for i := 0; i < 10 && err == nil; i++ { // leaving is a change, too
		before, err = mesh.Wait(context.Background(), "web", before)
	}
	mustBe(t, err, ErrNotRunning)
}

func TestBadNamesAreNotWaitedFor(t *testing.T) {
	mesh := started(t, Options{})
	for _, name := range []string{"", "a\x00"} {
		_, err := mesh.Wait(context.Background(), name, 0)
		mustBe(t, err, ErrInvalid)
	}
}
