#!/usr/bin/env python3
"""`commy timeline` tells what happened, to people and to programs, filtered, from now on, and from a copy of the dead.

    timeline_tells.py        $COMMY_TOOL: the command

Each comparison is a test; the last line is "N passed, N failed".
"""

import contextlib
import json
import os
import re
import shutil
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


def commy(*arguments):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=60)


def told(*arguments):
    return json.loads(commy("timeline", "--json", *arguments).stdout)


def words(events):
    return [(event["event"], event.get("id") or event.get("node")) for event in events]


@contextlib.contextmanager
def held(name, ident, *options):
    """A service that another process holds."""
    process = subprocess.Popen([TOOL, "register", "--name", name, "--id", ident, "--endpoint", "127.0.0.1", "--port", "80",
                                "--node", f"node-{ident[:20]}", *options], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def eventually(condition):
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def what_happened():
    check("a new mesh has no history", told() == [] and commy("timeline").stdout == "")
    with held("web", "web-1") as owner:
        commy("set", "web-1", "--admin", "draining")
        commy("set", "web-1", "--health", "unhealthy")
        owner.send_signal(signal.SIGTERM)
        owner.wait()
    with held("db", "db-1") as owner:
        owner.kill()
        owner.wait()
    commy("reap")
    events = [event for event in told() if "id" in event]
    check("in order", words(events) == [("registered", "web-1"), ("admin", "web-1"), ("health", "web-1"),
                                        ("unregistered", "web-1"), ("registered", "db-1"), ("owner-died", "db-1")],
          words(events))
    check("with from and to", (events[1]["from"], events[1]["to"]) == ("enabled", "draining") and
          (events[2]["from"], events[2]["to"]) == ("healthy", "unhealthy"))
    check("with the reason", events[3]["reason"] in ("owner", "owner-left") and events[4]["reason"] is None)
    check("with the process that died", events[5]["pid"] == owner.pid)
    check("times are RFC 3339", all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
                                    for event in events))
    died = [event for event in told() if event["event"] == "died"]
    check("a participant that died, and none that left", [event["node"] for event in died] == ["node-db-1"], died)
    left = [event["node"] for event in told() if event["event"] == "left"]
    check("a participant that left", "node-web-1" in left, left)


def filters():
    check("of one id", {event["id"] for event in told("--id", "db-1")} == {"db-1"})
    check("of one name", {event.get("id") for event in told("--name", "web")} == {"web-1"})
    check("of one node", {event["event"] for event in told("--name", "node-db-1")} == {"joined", "died"})
    check("of nobody", told("--id", "nobody") == [] and told("--name", "nobody") == [])
    check("of the last hour is all", len(told("--since", "1h")) == len(told()))
    time.sleep(1.1)
    check("of the last second is nothing", told("--since", "1s") == [])
    long_id = "i" * 60
    with held("n" * 60, long_id):
        check("a long id is found by what was kept", words(told("--id", long_id))[:1] == [("registered", "i" * 47)])
        check("and says that it was cut", told("--id", long_id)[0]["cut"] is True)
        check("a shorter one is another", told("--id", "i" * 47) == [] and told("--name", "n" * 47) == [])


def lines():
    text = commy("timeline").stdout
    rows = text.splitlines()
    check("a line an event", len(rows) == len(told()))
    check("no colours in a pipe", "\x1b" not in text)
    check("what people read", any(re.search(r"Z  health +web-1 \(web\)  healthy -> unhealthy  process \d+$", row)
                                  for row in rows), text)


def follow():
    known = len(told())
    process = subprocess.Popen([TOOL, "timeline", "--follow", "--json"], stdout=subprocess.PIPE, text=True)
    first = [json.loads(process.stdout.readline()) for _ in range(known)]
    check("what was there comes first", words(first) == words(told()), words(first))
    with held("late", "late-1") as owner:
        seen = [json.loads(process.stdout.readline()) for _ in range(2)]
        check("then what happens", words(seen) == [("joined", "node-late-1"), ("registered", "late-1")], words(seen))
        owner.kill()
        owner.wait()
        commy("reap")
        seen = []
        while ("died", "node-late-1") not in words(seen): # of others before, perhaps
            seen.append(json.loads(process.stdout.readline()))
        check("and who died", ("owner-died", "late-1") in words(seen), words(seen))
    process.send_signal(signal.SIGTERM)
    check("until it is told to stop", process.wait(timeout=10) == 0)
    numbers = [event["sequence"] for event in first]
    check("each once", len(set(numbers)) == len(numbers))
    process.stdout.close()

    process = subprocess.Popen([TOOL, "timeline", "--follow"], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    check("until nobody reads", eventually(lambda: process.poll() is not None) and process.returncode == 0,
          process.returncode)


def copies(place):
    copy = os.path.join(place, "copy")
    shutil.copy(os.path.join(os.environ["COMMY_DIR"], "default"), copy)
    shown = json.loads(commy("dump", "--json", copy).stdout)
    check("a copy tells the same", [event["event"] for event in shown["events"]] == [event["event"] for event in told()],
          shown["events"])
    dead = [event["id"] for event in shown["events"] if event["event"] == "owner-died"]
    check("of the same", dead[0] == "db-1" and "late-1" in dead, dead)
    with open(copy, "r+b") as file:
        file.write(b"\0" * 64)
    shown = json.loads(commy("dump", "--json", copy).stdout)
    check("a header that is gone says so", shown["wrong"] != [])


def bad_input():
    for since in ("", "5", "m", "5x", "-5m", "5 m", "99999999999999999999d", "366d", "5mm"):
        done = commy("timeline", "--since", since)
        check(f"--since '{since}'", done.returncode == 64 and "is no time such as" in done.stderr, done)
    done = commy("timeline", "web")
    check("an argument", done.returncode == 64, done)
    done = commy("timeline", "--mesh", "absent")
    check("a mesh that is not there", done.returncode == 1 and "absent" in done.stderr, done)


def removed():
    process = subprocess.Popen([TOOL, "timeline", "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    commy("rm", "default", "--force")
    _, complaint = process.communicate(timeout=10)
    check("a mesh that is removed", process.returncode == 2 and complaint != "", complaint)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="commy-timeline-") as place:
        os.environ["COMMY_DIR"] = place
        os.environ.pop("COMMY_MESH", None)
        commy("create")
        what_happened()
        filters()
        lines()
        follow()
        with tempfile.TemporaryDirectory() as other:
            copies(other)
        bad_input()
        check("the audit has nothing to say", commy("check").returncode == 0)
        removed()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
