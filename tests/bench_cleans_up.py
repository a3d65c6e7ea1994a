#!/usr/bin/env python3
"""`commy bench` tells what each call costs, and leaves no mesh behind, whether it ends by itself or is told to.

    bench_cleans_up.py        $COMMY_TOOL: the command

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
KEYS = ["find_ns", "miss_ns", "find_many_ns", "discover_10_ns", "register_unregister_ns", "report_ns", "begin_end_ns",
        "wake_p50_ns"]
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what} {detail}", flush=True)


def ends_by_itself(directory):
    done = subprocess.run(
        [TOOL, "--dir", directory, "bench", "--json", "--seconds", "1", "--services", "1000"],
        capture_output=True,
        timeout=60,
    )
    check("it succeeds", done.returncode == 0, done.stderr)
    figures = json.loads(done.stdout or b"{}")
    check("it says among how many services", figures.get("services") == 1000)
    for key in KEYS:
        check(f"{key} is a time", 0 < figures.get(key, 0) < 1e9, figures)
    check("its mesh is gone", os.listdir(directory) == [], os.listdir(directory))


def is_told_to_end(directory, number):
    started = subprocess.Popen([TOOL, "--dir", directory, "bench"], stdout=subprocess.PIPE)
    end = time.monotonic() + 30
    while not os.listdir(directory) and time.monotonic() < end:
        time.sleep(0.01)
    check("its mesh is there meanwhile", os.listdir(directory) == [f"bench-{started.pid}"], os.listdir(directory))
    started.send_signal(number)
    output, _ = started.communicate(timeout=30)
    check(f"signal {number} ends it with an error", started.returncode == 2, started.returncode)
    check("it prints nothing then", output == b"", output)
    check("its mesh is gone then, too", os.listdir(directory) == [], os.listdir(directory))


def refuses_a_mesh_that_is_there(directory):
    subprocess.run([TOOL, "--dir", directory, "create", "mine"], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([TOOL, "--dir", directory, "--mesh", "mine", "bench"], capture_output=True, timeout=60)
    check("somebody's mesh is no place for it", done.returncode == 2, done.returncode)
    check("somebody's mesh stays", os.listdir(directory) == ["mine"], os.listdir(directory))


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="commy-test-") as directory:
        ends_by_itself(directory)
        is_told_to_end(directory, signal.SIGINT)
        is_told_to_end(directory, signal.SIGTERM)
        refuses_a_mesh_that_is_there(directory)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
