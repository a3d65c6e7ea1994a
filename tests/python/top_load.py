#!/usr/bin/env python3
"""A mesh with something to see: services of four names in four processes, and a client that sends them requests.

    top_load.py SECONDS [WEB]        $COMMY_LIBRARY: the shared library; $COMMY_DIR, $COMMY_MESH: the mesh, made where it is
                                     missing; WEB: instances of web (6)

About 2,000 requests a second to web, 1,000 to auth, 500 to db and 100 to mail; one of db fails a fifth of its requests,
one of auth is slow, one of mail is unhealthy, and some requests are always in flight. Prints "ready" when all is there.
"""

import ctypes
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctypes_mesh import SUCCESS, Handle, ServiceConfig, Target, lib  # noqa: E402

# Name, instances, requests a second of all of them, latency in ms.
NAMES = [("web", 6, 2000, 0.4), ("auth", 3, 1000, 1.5), ("db", 2, 500, 4.0), ("mail", 2, 100, 20.0)]


def start(node: str) -> Handle:
    handle = lib.commy_create_mesh(node.encode(), 7000)
    if lib.commy_start_mesh(handle) != SUCCESS:
        sys.exit(lib.commy_last_error_message().decode())
    return handle


def own(name: str, count: int) -> None:
    handle = start(f"{name}-host")
    tags = (ctypes.c_char_p * 2)(b"blue", b"canary")
    for i in range(1, count + 1):
        config = ServiceConfig(service_name=name.encode(), service_id=f"{name}-{i}".encode(), endpoint=b"127.0.0.1",
                               port=8000 + i, version=b"2.4.1", zone=b"north", tags=tags, tag_count=2,
                               metadata=b'{"build": 421}', weight=100)
        if lib.commy_register_service(handle, ctypes.byref(config)) != SUCCESS:
            sys.exit(lib.commy_last_error_message().decode())
    print("there", flush=True)
    sys.stdin.read()  # until the client ends, however it does


def latency_ns(name: str, i: int, typical_ms: float) -> int:
    slow = 8 if (name, i) == ("auth", 2) else 1
    return int(random.lognormvariate(0, 0.5) * typical_ms * slow * 1e6)


def send(seconds: float) -> None:
    handle = start("client")
    targets = {}
    for name, count, _, _ in NAMES:
        for i in range(1, count + 1):
            target = Target()
            if lib.commy_find(handle, f"{name}-{i}".encode(), ctypes.byref(target)) != SUCCESS:
                sys.exit(lib.commy_last_error_message().decode())
            targets[name, i] = target.reference
    token = ctypes.c_uint64()
    for key, reference in targets.items():
        for _ in range(random.randrange(4) if key[0] == "web" else 0):
            lib.commy_begin_request(handle, reference, ctypes.byref(token))
    print("ready", flush=True)
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        for name, count, rate, typical_ms in NAMES:
            for _ in range(rate // 20):
                i = random.randint(1, count)
                success = 0 if (name, i) == ("db", 2) and random.random() < 0.2 else 1
                lib.commy_report(handle, targets[name, i], latency_ns(name, i, typical_ms), success)
        time.sleep(max(0.0, began + 0.05 - time.monotonic()))


def main() -> None:
    if sys.argv[1] == "own":
        own(sys.argv[2], int(sys.argv[3]))
        return
    if len(sys.argv) > 2:
        NAMES[0] = ("web", int(sys.argv[2]), 2000, 0.4)
    owners = []
    for name, count, _, _ in NAMES:
        owners.append(subprocess.Popen([sys.executable, __file__, "own", name, str(count)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE))
        owners[-1].stdout.readline()
    send(float(sys.argv[1]))
    for owner in owners:
        owner.stdin.close()
        owner.wait()


main()
