"""What outlives a call: garbage, forks, signals and the end of the interpreter."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import commy
from commy import CommyMesh

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_collected_mesh_leaves(mesh: CommyMesh) -> None:
    dropped = CommyMesh("dropped", 1)
    dropped.register_service("web", "w", "h", 80)
    assert mesh.find("w").port == 80
    del dropped
    gc.collect()
    with pytest.raises(commy.NotFound):
        mesh.find("w")


def test_a_mesh_in_a_cycle_leaves(mesh: CommyMesh) -> None:
    dropped = CommyMesh("dropped", 1)
    dropped.register_service("web", "w", "h", 80)
    dropped.itself = dropped  # type: ignore[attr-defined]
    del dropped
    gc.collect()
    with pytest.raises(commy.NotFound):
        mesh.find("w")


def test_many_are_made_and_dropped() -> None:
    for i in range(2000):
        CommyMesh("dropped", 1, capacity=16).register_service("web", f"w-{i}", "h", 80)
    assert CommyMesh.attach().get_active_service_count() <= 1


def test_a_forked_child_attaches_again(mesh: CommyMesh) -> None:
    mesh.register_service("web", "parent", "h", 80)
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            try:
                mesh.find("parent")
            except commy.ForkedChild as problem:
                status = 0 if problem.code == 15 else 1
            mesh.initialize()
            mesh.register_service("web", "child", "h", 81)
            status = status or (0 if mesh.find("parent").port == 80 else 2)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert mesh.find("parent").port == 80
    with pytest.raises(commy.NotFound):
        mesh.find("child")


def test_a_forked_child_that_ends_takes_nothing_along(mesh: CommyMesh, program: Program) -> None:
    done = program(
        """
import os, sys
from commy import CommyMesh
with CommyMesh("parent", 1) as mesh:
    mesh.register_service("web", "w", "h", 80)
    pid = os.fork()
    if pid == 0:
        sys.exit(0)  # leaves the block and ends the interpreter, in the child
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert mesh.find("w").port == 80
print("fine")
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


def test_multiprocessing_by_fork(mesh: CommyMesh, program: Program) -> None:
    done = program(
        """
import multiprocessing
from commy import CommyMesh
mesh = CommyMesh("parent", 1)
mesh.register_service("web", "w", "h", 80)
def work(i):
    mesh.initialize()
    mesh.register_service("web", f"w-{i}", "h", 81)
    return mesh.find("w").port + mesh.find(f"w-{i}").port
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(work, range(4)))
    print(mesh.find("w").port)
"""
    )
    assert (done.returncode, done.stdout) == (0, "[161, 161, 161, 161]\n80\n"), done.stderr


@pytest.mark.parametrize("ending", ["pass", "import sys; sys.exit(0)", "raise SystemExit(0)", "import os; os._exit(0)"])
def test_the_end_of_the_interpreter_leaves(mesh: CommyMesh, program: Program, ending: str) -> None:
    done = program(
        f"""
from commy import CommyMesh
mesh = CommyMesh("leaves", 1)
mesh.register_service("web", "w", "h", 80)
{ending}
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            mesh.find("w")
        except commy.NotFound:
            return
    pytest.fail("it is still there")


def test_the_end_while_a_thread_waits(program: Program) -> None:
    done = program(
        """
import threading, time
from commy import CommyMesh
mesh = CommyMesh("waits", 1)
def forever():
    mesh.wait("web", mesh.wait("web"))
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
"""
    )
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr


@pytest.mark.parametrize("after_s", [0.05, 0.1, 0.1, 0.1, 0.25])  # the library sleeps for 100 ms at a time
def test_a_wait_can_be_interrupted(directory: str, after_s: float) -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal\nfrom commy import CommyMesh\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell in the background ignores it
            "with CommyMesh('w', 1) as m:\n v = m.wait('web')\n print('go', flush=True)\n"
            " try: m.wait('web', v)\n except KeyboardInterrupt: print('stopped')",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout and child.stdout.readline() == "go\n"
    time.sleep(after_s)
    child.send_signal(signal.SIGINT)
    try:
        assert child.communicate(timeout=10)[0] == "stopped\n" and child.returncode == 0
    finally:
        child.kill()


def test_a_signal_does_not_end_a_wait(mesh: CommyMesh) -> None:
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        began = time.monotonic()
        with pytest.raises(commy.TimedOut):
            mesh.wait("web", mesh.wait("web"), timeout=0.3)
        assert 0.28 < time.monotonic() - began < 5 and len(seen) > 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_killed_process_is_gone(mesh: CommyMesh) -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time\nfrom commy import CommyMesh\nm = CommyMesh('victim', 1)\nm.register_service('web', 'w', 'h', 80)\n"
            "print('go', flush=True)\ntime.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout and child.stdout.readline() == "go\n"
    assert mesh.find("w").port == 80
    version = mesh.wait("web")
    child.kill()
    mesh.wait("web", version, timeout=10)
    child.wait()
    with pytest.raises(commy.NotFound):
        mesh.find("w")


def test_without_the_library_the_sentence_says_how_to_install(program: Program) -> None:
    done = program(
        """
try:
    import commy
except ImportError as problem:
    print(type(problem).__name__, problem)
""",
        COMMY_LIBRARY="/nowhere/libcommy.so.1",
    )
    assert done.stdout.startswith("CommyLibraryError /nowhere/libcommy.so.1 cannot be loaded")
    assert "meson install" in done.stdout and "COMMY_LIBRARY" in done.stdout


def test_another_library_is_named(program: Program) -> None:
    done = program(
        """
try:
    import commy
except ImportError as problem:
    print(problem)
""",
        COMMY_LIBRARY="libc.so.6",
    )
    assert done.stdout.startswith("libc.so.6 is not commy's: it has no commy_ffi_version(); install commy")
