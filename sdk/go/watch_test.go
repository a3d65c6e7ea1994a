package commy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
)

func watched(t *testing.T, mesh *Mesh) (context.Context, context.CancelFunc, <-chan Change) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	changes, err := mesh.Watch(ctx, "web")
	must(t, err)
	return ctx, cancel, changes
}

func TestAWatchGivesTheStateAndEachChange(t *testing.T) {
	mesh := started(t, Options{})
	_, cancel, changes := watched(t, mesh)
	first := <-changes
	must(t, first.Err)
	equal(t, len(first.Services), 0)
	must(t, mesh.RegisterService("web", "web-1", "h", 1))
	for change := range changes {
		must(t, change.Err)
		if len(change.Services) == 1 {
			equal(t, change.Services[0].ID, "web-1")
			equal(t, change.Version > first.Version, true)
			break
		}
	}
	cancel()
	for change := range changes {
		must(t, change.Err)
	}
}

func TestTheWholeMeshMayBeWatched(t *testing.T) {
	mesh := started(t, Options{})
	must(t, mesh.RegisterService("web", "web-1", "h", 1))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changes, err := mesh.WatchAny(ctx)
	must(t, err)
	equal(t, len((<-changes).Services), 1)
}

func TestTheLastOfManyChangesIsNeverMissed(t *testing.T) {
	mesh := started(t, Options{})
	_, _, changes := watched(t, mesh)
	go func() {
		for i := 0; i < 500; i++ {
			id := fmt.Sprintf("web-%d", i)
			_ = mesh.RegisterService("web", id, "h", 1)
			_ = mesh.UnregisterService(id)
			if i%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		_ = mesh.RegisterService("web", "last", "h", 1)
	}()
	for change := range changes {
		must(t, change.Err)
		if len(change.Services) == 1 && change.Services[0].ID == "last" {
			return
		}
	}
	t.Fatal("the last change did not come")
}

func TestDeathIsAChange(t *testing.T) {
	mesh := started(t, Options{Mesh: "life"})
	_, _, changes := watched(t, mesh)
	equal(t, len((<-changes).Services), 0)
	command := child(t, "stays")
	seen := false
	for change := range changes {
		must(t, change.Err)
		if len(change.Services) == 1 && !seen {
			seen = true
			must(t, command.Process.Kill())
		}
		if len(change.Services) == 0 && seen {
			return
		}
	}
	t.Fatal("the death was not seen")
}

func TestStoppingEndsAWatch(t *testing.T) {
	mesh := started(t, Options{})
	_, _, changes := watched(t, mesh)
	must(t, (<-changes).Err)
	must(t, mesh.Stop())
	var last error
	for change := range changes {
		last = change.Err
	}
	mustBe(t, last, ErrNotRunning)
}

func TestAnOpenedWatch(t *testing.T) {
	mesh := started(t, Options{})
	w, err := mesh.OpenWatch("web")
	must(t, err)
	ctx := context.Background()
	first, err := w.Wait(ctx)
	must(t, err)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = w.Wait(ended)
	mustBe(t, err, ErrInterrupted)
	equal(t, errors.Is(err, context.Canceled), true)
	short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	_, err = w.Wait(short)
	mustBe(t, err, ErrTimedOut)
	equal(t, errors.Is(err, context.DeadlineExceeded), true)
	readable, err := w.Readable()
	must(t, err)
	equal(t, readable, false)
	must(t, mesh.RegisterService("web", "web-1", "h", 1))
	equal(t, eventually(func() bool { readable, _ := w.Readable(); return readable }), true)
	second, err := w.Wait(ended) // what has changed is looked at before the context
	must(t, err)
	equal(t, second > first, true)
	time.AfterFunc(20*time.Millisecond, func() { _ = w.Wake() })
	_, err = w.Wait(ctx)
	mustBe(t, err, ErrInterrupted)
	time.AfterFunc(20*time.Millisecond, func() { _ = mesh.UnregisterService("web-1") })
	third, err := w.Wait(ctx)
	must(t, err)
	equal(t, third > second, true)
	time.AfterFunc(20*time.Millisecond, func() { _ = w.Close() })
	_, err = w.Wait(ctx)
	mustBe(t, err, ErrInterrupted)
	time.Sleep(50 * time.Millisecond)
	_, err = w.Wait(ctx)
	mustBe(t, err, ErrNoHandle)
	_, err = w.FD()
	mustBe(t, err, ErrNoHandle)
	mustBe(t, w.Wake(), ErrNoHandle)
	mustBe(t, w.Close(), ErrNoHandle)
}

func TestWaitsOfOneWatchTakeTurns(t *testing.T) {
	mesh := started(t, Options{})
	w, err := mesh.OpenWatchAny()
	must(t, err)
	defer w.Close()
	_, err = w.Wait(context.Background())
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	results := make(chan error, 4)
	for i := 0; i < 4; i++ {
		go func() {
			_, err := w.Wait(ctx)
			results <- err
		}()
	}
	for i := 0; i < 4; i++ {
		mustBe(t, <-results, ErrTimedOut)
	}
}

func TestWhatCannotBeWatched(t *testing.T) {
	mesh := started(t, Options{})
	for _, name := range []string{"", "a\x00"} {
		_, err := mesh.OpenWatch(name)
		mustBe(t, err, ErrInvalid)
		_, err = mesh.Watch(context.Background(), name)
		mustBe(t, err, ErrInvalid)
	}
	must(t, mesh.Cleanup())
	_, err := mesh.OpenWatch("web")
	mustBe(t, err, ErrNoHandle)
}

func TestForgottenWatchesAreClosed(t *testing.T) {
	mesh := started(t, Options{})
	for i := 0; i < 1500; i++ { // more than a process may have
		w, err := mesh.OpenWatch("web")
		must(t, err)
		_, err = w.Wait(context.Background())
		must(t, err)
		if i%100 == 99 {
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	}
}
