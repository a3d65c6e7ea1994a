#!/usr/bin/env python3
"""`commy wait` with conditions, and `commy watch` with a command: what they run, what they end with, what ends them.

    commands_wait.py        $COMMY_TOOL: the command

Each comparison is a test; the last line is "N passed, N failed".
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

TOOL = os.environ["COMMY_TOOL"]
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what} {detail}", flush=True)


def commy(directory, *arguments):
    return subprocess.run([TOOL, "--dir", directory, *arguments], capture_output=True, text=True, timeout=30)


def register(directory, name, port):
    """A service that stays until it is unregistered: detached, with a TTL that this test does not live to see."""
    done = commy(directory, "register", "--name", name, "--id", f"{name}-{port}", "--endpoint", "::1", "--port",
                 str(port), "--ttl", "600000", "--detach")
    check(f"{name}-{port} is registered", done.returncode == 0, done.stderr)


def eventually(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


# ---------------------------------------------------------------------- wait


def waits(directory, condition, code, *more):
    done = commy(directory, "wait", condition, "--timeout", "150", *more)
    check(f"wait {condition!r} ends with {code}", done.returncode == code, (done.returncode, done.stderr))
    return done


def conditions(directory):
    for condition in ("web=0", "web<1", "web<=0", "web != 1", "web==0", "web<=3 healthy"):
        waits(directory, condition, 0)
    for condition in ("web>=1", "web>0", "web!=0", "web", "web>=1 healthy"):
        waits(directory, condition, 124)
    for port in (1, 2, 3):
        register(directory, "web", port)
    for condition in ("web>=3", "web > 2", "web=3", "web>=3 healthy", "web=0 unhealthy", "web<4", "web!=2",
                      "web=0 degraded", "web=0 unknown"):
        waits(directory, condition, 0)
    for condition in ("web>3", "web<3", "web=2", "web>=1 unhealthy"):
        waits(directory, condition, 124)
    commy(directory, "set", "web-1", "--health", "unhealthy")
    commy(directory, "set", "web-2", "--health", "degraded")
    for condition in ("web=2 healthy", "web=1 unhealthy", "web=1 degraded", "web=3"):
        waits(directory, condition, 0)
    done = waits(directory, "web>=3 healthy", 124)
    check("it says what there is and what there is not", "web has 2 instances" in done.stderr
          and ">= 3 healthy" in done.stderr, done.stderr)
    for condition in ("web>=", "web>=x", "web>=-1", "web>=2 purple", "web>=99999999999999999999", "web=2healthyy"):
        done = waits(directory, condition, 64)
        check("it names what it does not understand", repr(condition) in done.stderr, done.stderr)
    check("with -n the argument is a name", commy(directory, "wait", "web=0", "-n", "1", "--timeout", "50").returncode
          == 124)
    check("a command runs then", commy(directory, "wait", "web>=1", "--", "sh", "-c", "exit 7").returncode == 7)
    waiting = subprocess.Popen([TOOL, "--dir", directory, "wait", "web=0", "--timeout", "20000"])
    for port in (1, 2, 3):
        commy(directory, "unregister", f"web-{port}")
    check("it sees them go", waiting.wait(20) == 0)


# --------------------------------------------------------------------- watch


class Watch:
    """A `commy watch` whose command writes each state that it gets to a line of a file."""

    def __init__(self, directory, script, *arguments):
        self.file = os.path.join(directory, "states")
        open(self.file, "w", encoding="utf-8").close()
        self.process = subprocess.Popen([TOOL, "--dir", directory, "watch", *arguments, "--", "sh", "-c", script,
                                         "sh", self.file], stderr=subprocess.PIPE, text=True)

    def states(self):
        with open(self.file, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def ids(self):
        return [sorted(service["id"] for service in state) for state in self.states()]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


ONE_LINE = 'tr -d "\\n" > "$1.part" && { cat "$1.part"; echo; } >> "$1"'


def runs_on_each_change(directory):
    register(directory, "web", 1)
    watch = Watch(directory, ONE_LINE, "web")
    check("the first run is at once", eventually(lambda: watch.ids() == [["web-1"]]), watch.states())
    register(directory, "db", 1)
    register(directory, "web", 2)
    check("a change", eventually(lambda: watch.ids() == [["web-1"], ["web-1", "web-2"]]), watch.ids())
    commy(directory, "set", "web-2", "--weight", "7")
    check("another one", eventually(lambda: len(watch.ids()) == 3), watch.ids())
    weights = {service["id"]: service["weight"] for service in watch.states()[-1]}
    check("the state is the last one", weights == {"web-1": 100, "web-2": 7}, weights)
    commy(directory, "unregister", "web-1")
    commy(directory, "unregister", "web-2")
    check("down to nothing", eventually(lambda: watch.ids()[-1] == []), watch.ids())
    runs = len(watch.ids())
    time.sleep(0.3)
    check("no run without a change", len(watch.ids()) == runs and runs <= 5, watch.ids())
    code, errors = watch.end()
    check("told to stop it ends with 0 and says nothing", (code, errors) == (0, ""), (code, errors))


def one_at_a_time(directory):
    watch = Watch(directory, 'test -e "$1.busy" && echo "[]" >> "$1.twice"; touch "$1.busy"; sleep 0.4; '
                  + ONE_LINE + '; rm "$1.busy"; exit 3')
    time.sleep(0.1)
    for port in range(1, 21):
        register(directory, "many", port)
    check("the last state is told", eventually(lambda: watch.ids() and len(watch.ids()[-1]) == 21), watch.ids())
    check("not each one in between", len(watch.ids()) < 20, len(watch.ids()))
    check("one run at a time", not os.path.exists(watch.file + ".twice"))
    code, errors = watch.end()
    check("a command that fails ends nothing", code == 0, code)
    check("and is told of", "ended with 3" in errors, errors)


def signals_end_both(directory):
    watch = Watch(directory, 'echo $$ > "$1.pid"; trap "echo told > $1.told; exit 0" TERM; while :; do sleep 0.05; done')
    check("it runs", eventually(lambda: os.path.exists(watch.file + ".pid")))
    time.sleep(0.1)
    code, _ = watch.end()
    check("the command was told", os.path.exists(watch.file + ".told"))
    check("and the watch ended with 0", code == 0, code)
    watch = Watch(directory, 'trap "" TERM; echo $$ > "$1.stubborn"; while :; do sleep 0.05; done')
    check("it runs", eventually(lambda: os.path.exists(watch.file + ".stubborn")
                                and os.path.getsize(watch.file + ".stubborn") > 1))
    with open(watch.file + ".stubborn", encoding="utf-8") as file:
        child = int(file.read())
    watch.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    check("a command that goes on is waited for", watch.process.poll() is None)
    code, _ = watch.end()
    check("a second signal kills it", code == 0 and not os.path.exists(f"/proc/{child}"), code)
    watch = Watch(directory, 'echo $$ > "$1.left"; while :; do sleep 0.05; done')
    check("it runs", eventually(lambda: os.path.exists(watch.file + ".left")
                                and os.path.getsize(watch.file + ".left") > 1))
    with open(watch.file + ".left", encoding="utf-8") as file:
        child = int(file.read())
    watch.end(signal.SIGKILL)
    check("a watch that is killed takes its command along", eventually(lambda: not os.path.exists(f"/proc/{child}")))


def cannot_run(directory):
    check("not found", commy(directory, "watch", "--", "no-such-command-anywhere").returncode == 127)
    check("not executable", commy(directory, "watch", "--", "/etc/passwd").returncode == 126)
    check("no mesh", commy(directory, "--mesh", "none", "watch", "--", "true").returncode == 1)


def mesh_goes(directory):
    watch = Watch(directory, ONE_LINE, "web")
    check("it runs", eventually(lambda: watch.ids()), watch.states())
    commy(directory, "rm", "default", "--force")
    _, errors = watch.process.communicate(timeout=30)
    check("it ends with 2 and says why", watch.process.returncode == 2 and "removed" in errors, errors)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        os.chmod(directory, 0o700)
        conditions(directory)
        runs_on_each_change(directory)
        one_at_a_time(directory)
        signals_end_both(directory)
        cannot_run(directory)
        mesh_goes(directory)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
