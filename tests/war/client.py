#!/usr/bin/env python3
"""A fighter of the random war that speaks the language ABI: registers, changes, reports, looks, and logs what it is told.

    client.py DIR MEMORY TRUCE PLACE CELL ENTRY NUMBER SEED EPOCH NAMES    (as the war starts it; offsets are those of war.h)

Ends with 1 and a sentence when a call comes to something else than it must.
"""

import ctypes
import mmap
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))

import sanitized  # noqa: E402, F401
import ctypes_mesh as cm  # noqa: E402
from ctypes_mesh import lib  # noqa: E402

NAMES = ["api", "web", "db", "cache", "queue", "mail", "search", "games", "feed", "auth", "metrics",
         "a name of sixty-three bytes, which is as long as names may get"]
NONE, ENTERING, HELD, UPDATING, LEAVING = range(5)
PLAIN = 1 << 21
ENTRIES = 8
ALL = 64 * ENTRIES
MASK = (1 << 64) - 1

directory, numbers = sys.argv[1], [int(word) for word in sys.argv[2:]]
memory, truce_at, place_at, cell_at, entry_at, place, seed, epoch, names = numbers
log = mmap.mmap(memory, 0)
rand = random.Random(seed)


def word_at(offset, kind=ctypes.c_uint64):
    """One word of the log; a store to it is a single one."""
    return kind.from_buffer(log, offset)


truce = word_at(truce_at, ctypes.c_uint32)
threads = word_at(place_at + 12, ctypes.c_uint32)
joined = word_at(place_at + 16, ctypes.c_uint32)
operations = word_at(place_at + cell_at)
begun = [word_at(place_at + cell_at + 8 + 8 * i) for i in range(2)]
done = [word_at(place_at + cell_at + 24 + 8 * i) for i in range(2)]
refused = [word_at(place_at + cell_at + 40 + 8 * i) for i in range(2)]
parked = word_at(place_at + cell_at + 56, ctypes.c_uint32)


def mix(x):
    x = (x + 0x9e3779b97f4a7c15) & MASK
    x = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ x >> 27) * 0x94d049bb133111eb) & MASK
    return x ^ x >> 31


def say(complaint):
    print(f"  client.py: {complaint}", flush=True)
    sys.exit(1)


def must(code, what, *others):
    if code not in (cm.SUCCESS,) + others:
        say(f"{what}: code {code}, {lib.commy_last_error_message().decode()}")
    return code == cm.SUCCESS


def identity(entry):
    long = "-an-id-that-is-too-long-for-the-hot-half-of-a-record" if entry % 4 == 3 else ""
    return f"w{entry // ENTRIES}-{entry % ENTRIES}{long}".encode()


class Entry:
    """One id of this place: intent before each call, what came of it after."""

    def __init__(self, index):
        at = place_at + entry_at + 64 * index
        self.number = place * ENTRIES + index
        self.id = identity(self.number)
        self.word, self.content = word_at(at), word_at(at + 8)
        self.reports = word_at(at + 32)

    def step(self, state):
        word = self.word.value
        if state == ENTERING:
            self.word.value = ((word >> 32) + 1) << 32 | state
        else:
            self.word.value = word & ~0xffffffff | (word + 0x100) & 0xffffff00 | state

    def name(self):
        number = mix(self.number << 32 | self.word.value >> 32) % names
        return (NAMES[number] if number < len(NAMES) else f"name-{number}").encode()

    def act(self):
        if self.word.value & 0xff == NONE:
            self.enlist()
        elif rand.randrange(3) == 0:
            self.step(LEAVING)
            sight = Sight(self.name())
            must(lib.commy_unregister_service(handle, self.id), "unregister")
            sight.expect("unregistering")
            self.step(NONE)
        elif rand.randrange(2) == 0:
            self.step(UPDATING)
            weight = rand.randrange(65536)
            sight = Sight(self.name())
            must(lib.commy_set_service_weight(handle, self.id, weight), "weight")
            sight.expect("weighing")
            self.content.value = self.content.value & ~0xffff | weight
            self.step(HELD)
        else:
            self.report()

    def enlist(self):
        self.step(ENTERING)
        registration = self.word.value >> 32
        self.content.value = 100 | 1 << 16 | PLAIN
        self.reports.value = registration << 32
        sight = Sight(self.name())
        if must(lib.commy_register_service_simple(handle, self.name(), self.id, b"127.0.0.1",
                                                  1000 + registration % 50000), "register", cm.FULL, cm.NO_SPACE):
            sight.expect("registering")
            self.step(HELD)
        else:
            self.step(NONE)

    def report(self):
        target, token = cm.Target(), ctypes.c_uint64()
        must(lib.commy_find(handle, self.id, ctypes.byref(target)), "find")
        success, latency, requests = rand.randrange(2), rand.randrange(10 ** 6), rand.randrange(2)
        if requests and not must(lib.commy_begin_request(handle, target.reference, ctypes.byref(token)), "begin",
                                 cm.FULL, cm.NO_SPACE):
            return
        begun[success].value += 1
        code = (lib.commy_end_request(handle, token, latency, success) if requests
                else lib.commy_report(handle, target.reference, latency, success))
        if must(code, "end" if requests else "report", cm.FULL, cm.NO_SPACE):
            done[success].value += 1
        else:
            refused[success].value += 1
        state, failures = ctypes.c_int32(-1), ctypes.c_uint32()
        must(lib.commy_get_circuit_breaker_status(handle, self.id, ctypes.byref(state), ctypes.byref(failures)), "breaker")
        if state.value not in range(3):
            say(f"a breaker in state {state.value}")


class Sight:
    """A watch on a name, or on all, that has seen what there was before a change: once that is acknowledged, it says so."""

    watches = {}

    def __init__(self, name):
        name = name if name.decode() in NAMES and rand.randrange(2) else None
        self.watch = self.watches.get(name) if rand.randrange(4) == 0 else None
        if name not in self.watches:
            self.watches[name] = ctypes.c_uint64()
            must(lib.commy_watch_open(handle, name, ctypes.byref(self.watches[name])), "watch")
            if rand.randrange(2) and lib.commy_watch_fd(self.watches[name]) < 0:
                must(lib.commy_last_error(), "descriptor of a watch")
        if self.watch:
            must(self.wait(0), "look at a watch", cm.TIMED_OUT)

    def wait(self, timeout_ms):
        code = cm.INTERRUPTED
        while code == cm.INTERRUPTED:  # SIGSTOP and SIGCONT may do that
            code = lib.commy_watch_wait(self.watch, timeout_ms, None)
        return code

    def expect(self, what):
        if self.watch:
            must(self.wait(20000), f"wait for {what}")


def look():
    """Whatever is found under an id must bear it."""
    info = cm.ServiceInfo()
    wanted = identity(rand.randrange(ALL))
    if must(lib.commy_get_service(handle, wanted, ctypes.byref(info)), "get", cm.NOT_FOUND) and info.id != wanted:
        say(f"asked for {wanted}, given {info.id}")
    version = ctypes.c_uint64()
    must(lib.commy_wait(handle, None, 0, 0, ctypes.byref(version)), "wait")
    if lib.commy_discover_services_count(handle, rand.choice(NAMES).encode()) < 0:
        must(lib.commy_last_error(), "count")


def rest():
    now = truce.value
    if now % 2 == 0:
        return
    parked.value = now
    while truce.value == now:
        time.sleep(0.001)


options = cm.OpenOptions(flags=cm.OPEN_MUST_EXIST, mesh=b"m", dir=directory.encode(),
                         node_id=f"n{place}-{epoch}".encode())
handle = lib.commy_open_mesh(ctypes.byref(options))
must(cm.SUCCESS if handle.instance_id else lib.commy_last_error(), "open")
must(lib.commy_start_mesh(handle), "start")
joined.value = 1
entries = [Entry(index) for index in range(ENTRIES)]
threads.value = 1
end = time.monotonic() + 60
while time.monotonic() < end:
    rest()
    rand.choice(entries).act()
    look()
    operations.value += 4
