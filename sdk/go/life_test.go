package commy

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// children are what this program does when a test starts it again.
var children = map[string]func(){
	"stays": func() {
		registerInLife()
		fmt.Println("ready")
		time.Sleep(time.Minute)
	},
	"ends": func() { registerInLife() },
	"forgets": func() {
		forget()
		fmt.Println("ready")
		for {
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	},
}

func registerInLife() *Mesh {
	mesh, err := NewWithOptions("child", 8081, Options{Mesh: "life", Capacity: 64})
	if err == nil {
		err = mesh.Initialize()
	}
	if err == nil {
		err = mesh.RegisterService("web", "web-1", "127.0.0.1", 80)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return mesh
}

//go:noinline
func forget() {
	registerInLife()
}

// child starts a child and waits for its first line, if it is one that stays.
func child(t *testing.T, what string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "COMMY_TEST_CHILD="+what)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil && what != "ends" {
		t.Fatal(err)
	}
	return command
}

func isGone(mesh *Mesh) bool {
	_, err := mesh.Find("web-1")
	return errors.Is(err, ErrNotFound)
}

func TestAProcessKilledIsGone(t *testing.T) {
	mesh := started(t, Options{Mesh: "life"})
	command := child(t, "stays")
	equal(t, find(t, mesh, "web-1").Port, 80)
	must(t, command.Process.Kill())
	_ = command.Wait()
	equal(t, isGone(mesh), true)
}

func TestAProcessThatEndsLeavesNothing(t *testing.T) {
	mesh := started(t, Options{Mesh: "life"})
	must(t, child(t, "ends").Wait())
	equal(t, isGone(mesh), true)
}

func TestAMeshThatIsForgottenIsCleanedUp(t *testing.T) {
	mesh := started(t, Options{Mesh: "life"})
	command := child(t, "forgets")
	equal(t, eventually(func() bool { return isGone(mesh) }), true)
	equal(t, command.ProcessState == nil, true)
}

func TestAMeshMayBeInitializedAnew(t *testing.T) {
	mesh, err := New("again", 8080)
	must(t, err)
	must(t, mesh.Cleanup())
	for i := 0; i < 3; i++ {
		must(t, mesh.Initialize())
		must(t, mesh.Initialize())
		must(t, mesh.Start())
		must(t, mesh.Start())
		must(t, mesh.RegisterService("again", "again-1", "127.0.0.1", 1000+i))
		equal(t, find(t, mesh, "again-1").Port, 1000+i)
		must(t, mesh.Stop())
		must(t, mesh.Stop())
		must(t, mesh.Cleanup())
		must(t, mesh.Close())
	}
}

func TestCleaningUpAllEndsEveryMesh(t *testing.T) {
	mesh := started(t, Options{})
	must(t, mesh.RegisterService("web", "web-1", "127.0.0.1", 80))
	must(t, CleanupAll())
	_, err := mesh.Find("web-1")
	mustBe(t, err, ErrNoHandle)
	must(t, mesh.Initialize())
	equal(t, isGone(mesh), true)
}
