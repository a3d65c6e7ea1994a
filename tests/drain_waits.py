#!/usr/bin/env python3
"""`commy drain` takes a service out of selection, and waits for the requests of all processes, dead ones apart.

    drain_waits.py        $COMMY_TOOL: the command; $COMMY_LIBRARY: the library

Each comparison is a test; the last line is "N passed, N failed".
"""

import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "python"))
from ctypes_mesh import OpenOptions, Target, lib  # noqa: E402  pylint: disable=wrong-import-position

TOOL = os.environ["COMMY_TOOL"]
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what} {detail}", flush=True)


def tool(directory, *words):
    return subprocess.run([TOOL, "--dir", directory, *words], capture_output=True, text=True, timeout=30, check=False)


def says(directory, code, part, *words):
    done = tool(directory, *words)
    check(f"{' '.join(words)} ends with {code}", done.returncode == code, f"{done.returncode}: {done.stderr}")
    check(f"and says '{part}'", part in done.stderr, done.stderr)


def start(directory, *words):
    return subprocess.Popen([TOOL, "--dir", directory, *words], stderr=subprocess.PIPE, text=True)


def open_mesh(directory, node):
    options = OpenOptions(dir=directory.encode(), node_id=node.encode())
    return lib.commy_open_mesh(options)


def begin(mesh, service):
    target, token = Target(), ctypes.c_uint64()
    check("found", lib.commy_find(mesh, service.encode(), target) == 0)
    check("begun", lib.commy_begin_request(mesh, target.reference, token) == 0, lib.commy_last_error_message())
    return token.value


def ended(process, seconds):
    """Its code, and how long it took until it ended; None where it goes on."""
    began = time.monotonic()
    try:
        return process.wait(seconds), time.monotonic() - began
    except subprocess.TimeoutExpired:
        return None, seconds


def selected(directory, *words):
    done = tool(directory, "select", "web", "-n", "40", *words)
    check(f"select {words} succeeds", done.returncode == 0, done.stderr)
    return sorted({int(line.rpartition(":")[2]) for line in done.stdout.split()})


def selects(directory):
    mesh = open_mesh(directory, "selects")
    for words in ([], ["--policy", "least-connections"], ["--policy", "performance"]):
        check(f"all, {words}", selected(directory, *words) == [1, 2, 3])
        check("by version", selected(directory, *words, "--version", "2") == [2, 3])
        check("by zone and tag", selected(directory, *words, "--zone", "eu", "--tag", "blue") == [1])
        check("in a zone rather", selected(directory, *words, "--prefer-zone", "us") == [3])
        check("in no such zone", selected(directory, *words, "--prefer-zone", "asia") == [1, 2, 3])
    tokens = [begin(mesh, service) for service in ("web-1", "web-3")]
    check("not where requests are", selected(directory, "--policy", "least-connections", "-n", "1") in ([2], [1], [3]))
    check("loaded by a process, seen by another",
          selected(directory, "--policy", "least-connections", "--version", "2") == [2])
    for token in tokens:
        lib.commy_end_request(mesh, token, 1000000, 1)
    says(directory, 1, "3 without tag 'red'", "select", "web", "--tag", "red")
    says(directory, 64, "--zone '' has 0 bytes", "select", "web", "--zone", "")
    says(directory, 64, "one too many", "select", "web", "--zone", "eu", "--prefer-zone", "us")
    says(directory, 64, "none of round-robin, least-connections", "select", "web", "--policy", "best")
    lib.commy_destroy_mesh(mesh)


def drains(directory):
    """Of two processes' requests, the one ends its own, and the other dies."""
    mesh = open_mesh(directory, "drains")
    token = begin(mesh, "web-1")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        begin(open_mesh(directory, "dies"), "web-1")
        os.write(writing, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(reading, 1)
    says(directory, 124, "2 requests to service id 'web-1' are in flight after 100 ms", "drain", "web-1", "--timeout",
         "100")
    waiting = start(directory, "drain", "web-1", "--wait")
    check("it waits for both", ended(waiting, 0.3)[0] is None)
    check("it gets nothing new", selected(directory) == [2, 3])
    lib.commy_end_request(mesh, token, 1000000, 1)
    check("it waits for the other", ended(waiting, 0.3)[0] is None)
    os.kill(child, 9)
    os.waitpid(child, 0)
    code, seconds = ended(waiting, 10)
    check("the last one died", code == 0 and seconds < 2, f"{code} after {seconds}")
    check("nothing is in flight", tool(directory, "drain", "web-1", "--timeout", "1000").returncode == 0)
    check("drained it stays", selected(directory) == [2, 3])
    check("until it is enabled", tool(directory, "set", "web-1", "--enabled").returncode == 0)
    check("and is back then", selected(directory) == [1, 2, 3])
    check("maintenance", tool(directory, "set", "web-1", "--maintenance").returncode == 0)
    says(directory, 1, "2 not of version '1', 1 in maintenance", "select", "web",
         "--version", "1")
    check("it ends", tool(directory, "set", "web-1", "--enabled").returncode == 0)
    lib.commy_destroy_mesh(mesh)


def is_taken_back(directory):
    mesh = open_mesh(directory, "back")
    token = begin(mesh, "web-2")
    waiting = start(directory, "drain", "web-2", "--wait")
    check("it waits", ended(waiting, 0.3)[0] is None)
    check("enabled meanwhile", tool(directory, "set", "web-2", "--enabled").returncode == 0)
    code, _ = ended(waiting, 10)
    check("the wait says so", code == 1 and "enabled again" in waiting.stderr.read(), code)
    waiting = start(directory, "drain", "web-2", "--wait")
    check("it waits anew", ended(waiting, 0.3)[0] is None)
    check("unregistered meanwhile", tool(directory, "unregister", "web-2").returncode == 0)
    check("there is nothing left to wait for", ended(waiting, 10)[0] == 0)
    lib.commy_end_request(mesh, token, 1000000, 1)
    says(directory, 1, "nobody", "drain", "nobody")
    says(directory, 64, "which service", "drain")
    lib.commy_destroy_mesh(mesh)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        os.chmod(directory, 0o700)
        holders = []
        for port, version, zone, tag in ((1, "1", "eu", "blue"), (2, "2", "eu", "green"), (3, "2", "us", "blue")):
            holders.append(subprocess.Popen(
                [TOOL, "--dir", directory, "register", "--name", "web", "--id", f"web-{port}", "--endpoint", "127.0.0.1",
                 "--port", str(port), "--version", version, "--zone", zone, "--tag", tag], stdout=subprocess.PIPE))
            holders[-1].stdout.readline()
        try:
            selects(directory)
            drains(directory)
            is_taken_back(directory)
        finally:
            for holder in holders:
                holder.kill()
                holder.wait()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
