#!/usr/bin/env python3
"""`commy dump` shows a live region, a copy, a damaged and a foreign file, says what is wrong, and survives any bytes.

    dump_inspects.py        $COMMY_TOOL: the command; $COMMY_LIBRARY: the shared library

Each comparison is a test; the last line is "N passed, N failed".
"""

import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "python"))
import sanitized  # noqa: E402, F401

TOOL = os.environ["COMMY_TOOL"]
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what} {detail}", flush=True)


def commy(*arguments):
    return subprocess.run([TOOL, *arguments], capture_output=True, timeout=120)


def dump(path, *options):
    """Exit code and object, of a dump that must not crash."""
    done = commy("dump", "--json", *options, path)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, {"wrong": [done.stderr.decode(errors="replace")]}


def says(shown, part):
    return any(part in sentence for sentence in shown["wrong"])


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def changed(content, offset, value):
    return content[:offset] + value + content[offset + len(value):]


def make_mesh():
    subprocess.run([TOOL, "create", "--capacity", "64"], check=True, stdout=subprocess.DEVNULL)
    for number in range(30):
        subprocess.run(
            [TOOL, "register", "--name", "web", "--id", f"web-{number}", "--endpoint", "10.0.0.1", "--port", "80",
             "--meta", '{"n": %d}' % number, "--detached", "--ttl", "600000"],
            check=True, stdout=subprocess.DEVNULL)
    holder = subprocess.Popen(
        [TOOL, "register", "--name", "api", "--id", "api-1", "--endpoint", "10.0.0.2", "--port", "81"],
        stdout=subprocess.PIPE)
    holder.stdout.readline()
    return holder


def live(region):
    done = commy("dump", "--json", "--records", "--check")
    check("a live region is shown", done.returncode == 0, done.stderr)
    shown = json.loads(done.stdout)
    check("nothing is wrong with it", shown["wrong"] == [] and shown["findings"] == [], shown["wrong"])
    check("its header is shown", shown["header"]["capacity"] == 64 and shown["header"]["file"] == region)
    check("every service is there", {s["id"] for s in shown["services"]} == {f"web-{n}" for n in range(30)} | {"api-1"})
    owned = [s for s in shown["services"] if s["owner"] is not None]
    check("with phase and owner", [s["id"] for s in owned] == ["api-1"] and owned[0]["owner"].endswith("alive")
          and all(s["phase"] == "LIVE" for s in shown["services"]), owned)
    check("the participant too", [p["services"] for p in shown["participants"] if p["phase"] == "ARMED"] == [1])
    check("groups and their chains", {g["name"]: g["members"] for g in shown["groups"]} == {"web": 24, "api": 1}
          and [line["members"] for line in shown["lines"]] == [6], shown["groups"])
    check("texts", len(shown["blocks"]) == 30 and all(b["kind"] == "small text" for b in shown["blocks"]))
    check("the index is counted", shown["index_of_ids"]["keys"] == 31 and
          sum(row["cells"] * row["id_lines"] for row in shown["histogram"]) == 31)
    slabs = {slab["slab"]: slab for slab in shown["slabs"]}
    check("slabs are counted", slabs["services"]["live"] == 31 and slabs["groups"]["live"] == 2, slabs)
    text = commy("dump", "--records").stdout.decode()
    check("people get tables", "Index of ids" in text and "web-29" in text and "slot 0, life" in text)
    check("no page was allocated by looking", os.stat(region).st_blocks * 512 == shown["header"]["backed_bytes"])


class Handle(ctypes.Structure):
    _fields_ = [("instance_id", ctypes.c_uint64)]


def requests():
    library = ctypes.CDLL(os.environ["COMMY_LIBRARY"])
    library.commy_open_mesh.restype = Handle
    handle, target, token = library.commy_open_mesh(None), (ctypes.c_uint64 * 35)(), ctypes.c_uint64()
    library.commy_find(handle, b"api-1", target)
    began = [library.commy_begin_request(handle, ctypes.c_uint64(target[0]), ctypes.byref(token)) for _ in range(3)]
    ended = library.commy_end_request(handle, token, ctypes.c_uint64(1000000), 1)
    library.commy_find(handle, b"web-0", target)
    told = [library.commy_report(handle, ctypes.c_uint64(target[0]), ctypes.c_uint64(64000000), 0)
            for _ in range(2)]
    shown = json.loads(commy("dump", "--json", "--records", "--check").stdout)
    block = [b for b in shown["blocks"] if b["kind"] == "statistics"]
    check("requests begin and end", began == [0, 0, 0] and ended == 0 and told == [0, 0])
    check("counters are summed", (shown["counters"]["successful_requests"], shown["counters"]["failed_requests"]) == (1, 2),
          shown["counters"])
    check("each block has its own", [(b["in_flight"], b["successes"], b["failures"], b["failures_in_a_row"])
                                     for b in block] == [(2, 1, 0, 0), (0, 0, 2, 0)], block)
    check("latencies are shown", abs(block[0]["p50_ns"] - 1000000) < 70000
          and abs(block[1]["p50_ns"] - 64000000) < 4500000 and shown["findings"] == [], block)
    library.commy_destroy_mesh(handle)
    shown = json.loads(commy("dump", "--json", "--records", "--check").stdout)
    check("those of who left are not", [b["in_flight"] for b in shown["blocks"] if b["kind"] == "statistics"] == [0, 0])


def others(region, place):
    whole = open(region, "rb").read()
    copy = write(place + "/copy", whole)
    code, shown = dump(copy, "--check")
    check("a copy is shown", code == 0 and says(shown, "it is a copy") and shown["findings"] == [], shown["wrong"])
    code, shown = dump(write(place + "/x", changed(whole, 48, b"\0" * 16)))
    check("another boot is told", code == 0 and says(shown, "another boot"))
    code, shown = dump(write(place + "/x", changed(whole, 8, b"\x63")))
    check("another layout is told", code == 1 and says(shown, "it has layout 99"), shown["wrong"])
    code, shown = dump(write(place + "/x", changed(whole, 16, b"\xff" * 8)))
    check("another fingerprint is told", code == 1 and says(shown, "fingerprint ffffffffffffffff"), shown["wrong"])
    code, shown = dump(write(place + "/x", changed(whole, 0, whole[7::-1])))
    check("another byte order is told", code == 1 and says(shown, "another byte order"), shown["wrong"])
    code, shown = dump(write(place + "/x", changed(whole, 32, b"\xff" * 4)), "--records")
    check("a lost capacity is found again", code == 1 and says(shown, "a region of 64 services")
          and len(shown["services"]) == 31, shown["wrong"])
    for slab, what in enumerate(["services", "groups", "member lines", "statistics", "small texts", "large texts", "cells"]):
        code, shown = dump(write(place + "/x", changed(whole, 200 + 8 * slab, b"\xff" * 8)))
        check("marks beyond their slab are told", code == 1 and says(shown, f" {what} are marked reserved, of "),
              shown["wrong"])
    code, shown = dump(write(place + "/x", changed(whole, 192, b"\1")))
    check("a removal is told", code == 0 and says(shown, "it was removed"), shown["wrong"])
    code, shown = dump(write(place + "/x", whole[:len(whole) // 2]), "--records", "--check")
    check("a truncated one is shown as far as it goes",
          code == 1 and says(shown, "it is truncated") and len(shown["services"]) > 0 and "findings" in shown)
    code, shown = dump(write(place + "/x", whole[:100]))
    check("so is one shorter than a header", code == 1 and says(shown, "a header takes 448"), shown["wrong"])
    code, shown = dump(write(place + "/x", os.urandom(5000)))
    check("a foreign file is told", code == 1 and says(shown, "it does not start as a region"), shown["wrong"])
    check("an empty one", commy("dump", write(place + "/x", b"")).returncode == 2)
    check("a directory", commy("dump", place).returncode == 2)
    os.mkfifo(place + "/fifo")
    check("a FIFO", commy("dump", place + "/fifo").returncode == 2)
    check("one that is not there", commy("dump", place + "/none").returncode == 1)
    check("a file and a mesh", commy("dump", "--mesh", "m", copy).returncode == 64)
    any_bytes(whole, place)


def any_bytes(whole, place):
    source = random.Random(1)
    for turn in range(60):
        content = bytearray(whole)
        for _ in range(1 << source.randrange(14)):
            at = source.randrange(source.choice([448, 200000, len(content)]))
            content[at] = source.choice([0, 255, source.randrange(256)])
        if source.random() < 0.8:  # else even the layout is in doubt
            content[:48] = whole[:48]
        if source.random() < 0.2:
            content = content[:source.randrange(1, len(content))]
        code, shown = dump(write(place + "/x", bytes(content)), "--records", *(["--check"] if turn % 4 == 0 else []))
        check("any bytes are survived", code in (0, 1) and "header" in shown, f"turn {turn}: exit code {code}")


def main():
    place = tempfile.mkdtemp(prefix="commy-dump-", dir="/dev/shm")
    os.environ["COMMY_DIR"] = place + "/mesh"
    os.environ.pop("COMMY_MESH", None)
    os.mkdir(place + "/mesh", 0o700)
    holder = make_mesh()
    try:
        live(place + "/mesh/default")
        requests()
        others(place + "/mesh/default", place)
    finally:
        holder.send_signal(signal.SIGTERM)
        holder.wait()
        shutil.rmtree(place)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
