#!/usr/bin/env python3
"""commy-bench measures what it says, notices a contender that answers otherwise, and leaves nothing behind.

    test_bench.py COMMY-BENCH REPORT.PY

Each comparison is a test; the last line is "N passed, N failed".
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

BENCH, REPORT = sys.argv[1:]
SHORT = ["--sizes", "1000", "--repeats", "2", "--turn-ms", "1", "--only", "find,miss,register,iterate,wake"]
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what} {detail}", flush=True)


def left_behind():
    return {name for name in os.listdir("/dev/shm") if name.startswith("commy-bench-")}


def run(output, *options):
    return subprocess.run([BENCH, *SHORT, *options, "--output", output], capture_output=True, text=True, timeout=120)


def measures(directory):
    output = os.path.join(directory, "all.json")
    done = run(output, "--contenders", "commy,commy-ffi,ck_ht")
    check("a short run succeeds", done.returncode == 0, done.stderr)
    with open(output, encoding="utf-8") as file:
        data = json.load(file)
    measured = {(f["workload"], f["contender"]) for f in data["results"]}
    for workload in ("find", "miss", "register"):
        for contender in ("commy", "commy-ffi", "ck_ht"):
            check(f"{workload} of {contender} is measured", (workload, contender) in measured, measured)
    check("waking is measured beside the kernel's", {("wake", "commy"), ("wake", "futex")} <= measured, measured)
    check("every figure is a time", all(f.get("ns", f.get("p50_ns", 0)) > 0 for f in data["results"]))
    check("all print the same checksum", len({c["sum"] for c in data["checksums"]}) == 1, data["checksums"])
    check("three print one", len({c["contender"] for c in data["checksums"]}) == 3, data["checksums"])
    return output, data


def judges(output, data):
    done = subprocess.run([REPORT, "--verdict", output], capture_output=True, text=True, timeout=60)
    check("the verdicts are printed", done.returncode == 0, done.stderr)
    times = {f["contender"]: f["ns"] for f in data["results"] if (f["workload"], f["workers"]) == ("find", 1)}
    row = next((line for line in done.stdout.splitlines() if line.startswith("find by commy, 1,000 services, 1 w")), "")
    check("a verdict is right", ("MISSED" in row) == (times["commy"] / times["ck_ht"] > 0.6), row)
    check("what was not measured is no verdict", "not measured" in done.stdout)


def notices(directory):
    for contender in ("commy", "ck_ht"):
        done = run(os.path.join(directory, "none.json"), "--contenders", "commy,ck_ht", "--plant", contender)
        check(f"wrong answers of {contender} end it", done.returncode == 1, done.returncode)
        check(f"it names {contender}", f"{contender} answers otherwise" in done.stderr, done.stderr)
    check("no results come of it", not os.path.exists(os.path.join(directory, "none.json")))


def is_told_to_end(directory):
    output = os.path.join(directory, "none.json")
    started = subprocess.Popen(
        [BENCH, "--quick", "--sizes", "65536", "--contenders", "commy,ck_ht", "--output", output],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(1)
    started.send_signal(signal.SIGINT)
    check("a signal ends it", started.wait(timeout=30) != 0, started.returncode)


def main():
    before = left_behind()
    with tempfile.TemporaryDirectory() as directory:
        judges(*measures(directory))
        notices(directory)
        is_told_to_end(directory)
    check("nothing is left in /dev/shm", left_behind() <= before, left_behind() - before)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
