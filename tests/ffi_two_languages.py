#!/usr/bin/env python3
"""Two languages in one mesh: this process (Python, ctypes) and a C one register, discover, wait and count in one region.

    ffi_two_languages.py PEER        PEER: the program made from ffi_peer.c; $COMMY_LIBRARY: the library to load
    ffi_two_languages.py --peer      what PEER does, in Python

Both know nothing but the language ABI. Two further processes, one of each language, are attached read-only; after every
step all four are asked everything that can be asked, and must answer alike. Each comparison is a test; the last line is
"N passed, N failed".
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "python"))

import sanitized  # noqa: E402, F401
import ctypes_mesh as cm  # noqa: E402
from ctypes_mesh import lib  # noqa: E402

ROOM = 64


def text(value):
    return None if value is None else value.decode()


def raw(value):
    return None if value is None else str(value).encode()


def structure(value):
    """A structure's fields as JSON has them."""
    fields = {}
    for name, _ in value._fields_:
        field = getattr(value, name)
        if isinstance(field, bytes):
            fields[name] = field.decode()
        elif name == "tags":
            fields[name] = [field[i].value.decode() for i in range(value.tag_count)]
        elif name not in ("tag_count", "reserved"):
            fields[name] = field
    return fields


class Python:
    """The calls of ffi_peer.c, on one handle of this process."""

    language = "Python"

    def __init__(self):
        self.h = cm.Handle(0)

    def ask(self, call, *words):
        return getattr(self, "do_" + call)(*words)

    def do_open(self, directory, mesh, node, flags, capacity):
        options = cm.OpenOptions(flags=int(flags), dir=raw(directory), mesh=raw(mesh), node_id=raw(node),
                                 capacity=int(capacity))
        self.h = lib.commy_open_mesh(ctypes.byref(options))
        return {"code": 0 if self.h.instance_id else lib.commy_last_error()}

    def do_version(self):
        return {"code": lib.commy_ffi_init(), "version": text(lib.commy_ffi_version())}

    def do_cleanup(self):
        return {"code": lib.commy_ffi_cleanup()}

    def do_start(self):
        return {"code": lib.commy_start_mesh(self.h)}

    def do_stop(self):
        return {"code": lib.commy_stop_mesh(self.h)}

    def do_running(self):
        return {"code": lib.commy_is_mesh_running(self.h)}

    def do_destroy(self):
        return {"code": lib.commy_destroy_mesh(self.h)}

    def do_node(self):
        pointer = lib.commy_get_node_id(self.h)
        node = text(ctypes.string_at(pointer)) if pointer else None
        code = 0 if pointer else lib.commy_last_error()
        lib.commy_free_string(pointer)
        return {"code": code, "node": node}

    def do_stats(self):
        stats = cm.MeshStats()
        code = lib.commy_get_mesh_stats(self.h, ctypes.byref(stats))
        return {"code": code, **structure(stats)}

    def do_register_simple(self, name, service, endpoint, port):
        return {"code": lib.commy_register_service_simple(self.h, raw(name), raw(service), raw(endpoint), int(port))}

    def do_register(self, name, service, endpoint, port, version, zone, weight, ttl_ms, metadata, *tags):
        config = cm.ServiceConfig(service_name=raw(name), service_id=raw(service), endpoint=raw(endpoint),
                                  port=int(port), version=raw(version), zone=raw(zone), weight=int(weight),
                                  ttl_ms=int(ttl_ms), metadata=raw(metadata),
                                  tags=(ctypes.c_char_p * len(tags))(*map(raw, tags)), tag_count=len(tags))
        return {"code": lib.commy_register_service(self.h, ctypes.byref(config))}

    def do_unregister(self, service):
        return {"code": lib.commy_unregister_service(self.h, raw(service))}

    def do_count(self, name):
        return {"code": lib.commy_discover_services_count(self.h, raw(name))}

    def do_active(self):
        return {"code": lib.commy_get_active_service_count(self.h)}

    def _list(self, capacity, call, *words):
        out = (cm.ServiceInfo * int(capacity))() if int(capacity) else None
        count = ctypes.c_size_t()
        code = call(self.h, *words, out, int(capacity), ctypes.byref(count))
        filled = min(count.value, int(capacity)) if code == 0 else 0
        return {"code": code, "count": count.value,
                "services": [{"at": i, **structure(out[i])} for i in range(filled)]}

    def do_discover(self, name, capacity):
        return self._list(capacity, lib.commy_discover_services, raw(name))

    def do_all(self, capacity):
        return self._list(capacity, lib.commy_get_all_services)

    def do_get(self, service):
        info = cm.ServiceInfo()
        code = lib.commy_get_service(self.h, raw(service), ctypes.byref(info))
        return {"code": code, **structure(info)}

    def do_find(self, service):
        target = cm.Target()
        code = lib.commy_find(self.h, raw(service), ctypes.byref(target))
        return {"code": code, **structure(target)}

    def do_configure(self, algorithm, enable, threshold, timeout_ms):
        config = cm.LoadBalancerConfig(int(algorithm), int(enable), int(threshold), int(timeout_ms))
        return {"code": lib.commy_configure_load_balancer(self.h, ctypes.byref(config))}

    def do_select(self, name, client):
        target = cm.Target()
        code = lib.commy_select_service(self.h, raw(name), raw(client), ctypes.byref(target))
        return {"code": code, **structure(target)}

    def do_breaker(self, service):
        state, failures = ctypes.c_int32(-1), ctypes.c_uint32()
        code = lib.commy_get_circuit_breaker_status(self.h, raw(service), ctypes.byref(state), ctypes.byref(failures))
        return {"code": code, "state": ctypes.c_uint64(state.value).value, "failures": failures.value}

    def do_reset_breaker(self, service):
        return {"code": lib.commy_reset_circuit_breaker(self.h, raw(service))}

    def do_find_many(self, *services):
        n = len(services)
        targets, codes = (cm.Target * n)(), (ctypes.c_int32 * n)()
        code = lib.commy_find_many(self.h, (ctypes.c_char_p * n)(*map(raw, services)), n, targets, codes)
        return {"code": code, "found": [{"code": codes[i], **(structure(targets[i]) if codes[i] == 0 else {})}
                                        for i in range(n)]}

    def do_metadata(self, service, capacity):
        out = ctypes.create_string_buffer(int(capacity)) if int(capacity) else None
        length = ctypes.c_size_t()
        code = lib.commy_get_service_metadata(self.h, raw(service), out, int(capacity), ctypes.byref(length))
        return {"code": code, "text": text(out.value) if out else "", "length": length.value}

    def do_set_metadata(self, service, metadata):
        return {"code": lib.commy_update_service_metadata(self.h, raw(service), raw(metadata))}

    def do_weight(self, service, weight):
        return {"code": lib.commy_set_service_weight(self.h, raw(service), int(weight))}

    def do_set_health(self, service, status):
        return {"code": lib.commy_set_health(self.h, raw(service), int(status))}

    def do_set_admin(self, service, admin):
        return {"code": lib.commy_set_admin(self.h, raw(service), int(admin))}

    def do_balancer_stats(self, name):
        total, successful, failed = ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_uint64()
        average = ctypes.c_double()
        code = lib.commy_get_load_balancer_stats(self.h, raw(name), ctypes.byref(total), ctypes.byref(successful),
                                                 ctypes.byref(failed), ctypes.byref(average))
        return {"code": code, "total": total.value, "successful": successful.value, "failed": failed.value,
                "average_us": int(average.value * 1000 + 0.5)}

    def do_heartbeat(self, service):
        return {"code": lib.commy_heartbeat(self.h, raw(service))}

    def do_report_id(self, service, milliseconds, success):
        return {"code": lib.commy_report_service_performance(self.h, raw(service), int(milliseconds), int(success))}

    def do_report(self, reference, nanoseconds, success):
        return {"code": lib.commy_report(self.h, int(reference), int(nanoseconds), int(success))}

    def do_begin(self, reference):
        token = ctypes.c_uint64()
        return {"code": lib.commy_begin_request(self.h, int(reference), ctypes.byref(token)), "token": token.value}

    def do_end(self, token, nanoseconds, success):
        return {"code": lib.commy_end_request(self.h, int(token), int(nanoseconds), int(success))}

    def do_latency(self, of, quantile):
        ns = ctypes.c_uint64()
        return {"code": lib.commy_get_latency(self.h, raw(of), float(quantile), ctypes.byref(ns)), "ns": ns.value}

    def do_wait(self, name, version, timeout_ms):
        new = ctypes.c_uint64()
        code = lib.commy_wait(self.h, raw(name), int(version), int(timeout_ms), ctypes.byref(new))
        return {"code": code, "version": new.value}

    def do_error(self):
        return {"code": lib.commy_last_error(), "message": text(lib.commy_last_error_message())}

    def do_string(self, code):
        return {"code": 0, "text": text(lib.commy_status_string(int(code)))}


def escape(word):
    if word is None:
        return "*"
    return str(word).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescape(word):
    if word == "*":
        return None
    out, rest = "", iter(word)
    for c in rest:
        if c == "\\":
            c = next(rest)
            c = {"n": "\n", "t": "\t"}.get(c, c)
        out += c
    return out


class Process:
    """The same calls, made by another process."""

    def __init__(self, language, command):
        self.language = language
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8")

    def send(self, *words):
        self.process.stdin.write("\t".join(map(escape, words)) + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.language} process ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, *words):
        self.send(*words)
        return self.receive()

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def be_a_peer():
    peer = Python()
    for line in sys.stdin:
        print(json.dumps(peer.ask(*map(unescape, line.rstrip("\n").split("\t")))), flush=True)


# ---------------------------------------------------------------------------------------------------------- checks

passed = failed = 0


def check(what, condition, detail=""):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what} {detail}", flush=True)


def equal(what, got, expected):
    check(what, got == expected, f"\n    got      {got}\n    expected {expected}")


def code(who, expected, *words):
    """A call comes to a code; returns the whole answer."""
    answer = who.ask(*words)
    if answer["code"] != expected:
        answer["error"] = who.ask("error")
    check(f"{who.language}: {' '.join(map(str, words))} is {expected}", answer["code"] == expected, answer)
    return answer


def alike(step, everybody, services, names):
    """Everybody answers every query alike. What a handle owns is its own affair."""
    questions = [("stats",), ("active",), ("all", ROOM), ("all", 1), ("all", 0),
                 ("find_many", *services, "nobody")]
    questions += [q for name in names for q in (("count", name), ("discover", name, ROOM), ("discover", name, 1),
                                                ("discover", name, 0), ("wait", name, 0, 0))]
    questions += [("wait", None, 0, 0)]
    questions += [q for s in services for q in (("get", s), ("find", s), ("metadata", s, 4097), ("metadata", s, 0),
                                                ("metadata", s, 5))]
    for question in questions:
        answers = [who.ask(*question) for who in everybody]
        for answer in answers:
            answer.pop("registered_services", None)
        for who, answer in zip(everybody[1:], answers[1:]):
            equal(f"{step}: {who.language} and {everybody[0].language} on {question}", answer, answers[0])


def in_the_background(function, *arguments):
    result = []
    thread = threading.Thread(target=lambda: result.append(function(*arguments)))
    thread.start()
    return lambda: (thread.join(), result[0])[1]


# ---------------------------------------------------------------------------------------------------------- script

def meet(directory, python, peer, readers):
    """Opening, starting and what everybody is called."""
    code(peer, cm.MESH_NOT_FOUND, "open", directory, "m", "peer", cm.OPEN_MUST_EXIST, 0)
    code(readers[0], cm.MESH_NOT_FOUND, "open", directory, "m", None, cm.OPEN_READ_ONLY, 0)
    code(python, 0, "open", directory, "m", "snake", 0, 256)
    code(peer, cm.EXISTS, "open", directory, "m", "peer", cm.OPEN_MUST_NOT_EXIST, 0)
    code(peer, 0, "open", directory, "m", "peer", cm.OPEN_MUST_EXIST, 0)
    for reader in readers:
        code(reader, 0, "open", directory, "m", None, cm.OPEN_READ_ONLY, 0)
    equal("both have their names", [python.ask("node"), peer.ask("node")],
          [{"code": 0, "node": "snake"}, {"code": 0, "node": "peer"}])
    equal("one library", python.ask("version"), peer.ask("version"))
    for number in list(range(-1, 27)) + [99, -99]:
        equal(f"words for code {number}", python.ask("string", number), peer.ask("string", number))
    alike("an empty mesh", [python, peer, *readers], ["c-1"], ["web"])
    code(peer, 0, "running")
    code(peer, 0, "start")
    code(peer, 1, "running")
    code(python, 0, "running")


def register(python, peer, readers, everybody):
    """Each registers; the others wait for it, and see what was said."""
    before = python.ask("wait", "web", 0, 0)["version"]
    pending = in_the_background(python.ask, "wait", "web", before, 10000)
    readers[0].send("wait", "web", before, 10000)
    readers[1].send("wait", None, readers[1].ask("wait", None, 0, 0)["version"], 10000)
    time.sleep(0.05)
    code(peer, 0, "register_simple", "web", "c-1", "127.0.0.1", 8001)
    answers = [pending(), readers[0].receive(), readers[1].receive()]
    check("all who waited were woken", all(a["code"] == 0 and a["version"] > 0 for a in answers), answers)
    check("with a later version", answers[0]["version"] > before, answers)
    found = code(python, 0, "find", "c-1")
    equal("Python finds what C registered", [found["endpoint"], found["port"], found["weight"], found["status"]],
          ["127.0.0.1", 8001, 100, 1])

    before = peer.ask("wait", "web", 0, 0)["version"]
    peer.send("wait", "web", before, 10000)
    time.sleep(0.05)
    metadata = '{"schön":\n\t"ja \\"!"}'
    code(python, 0, "register", "web", "py-1", "unix:/run/web.sock", 0, "2.1", "Zürich", 250, 60000, metadata,
         "blue", "grün")
    answer = peer.receive()
    check("C waited for Python", answer["code"] == 0 and answer["version"] > before, answer)
    info = code(peer, 0, "get", "py-1")
    expected = {"name": "web", "id": "py-1", "endpoint": "unix:/run/web.sock", "version": "2.1", "zone": "Zürich",
                "node_id": "snake", "tags": ["blue", "grün"], "weight": 250, "owner_pid": os.getpid(), "status": 1,
                "admin": 0, "port": 0, "metadata_bytes": len(metadata.encode()), "response_time_ms": 0.0}
    equal("C reads what Python registered", {key: info[key] for key in expected}, expected)
    check("registered just now", abs(info["registered_at_ns"] / 1e9 - time.time()) < 60, info)
    equal("metadata is kept to the byte", peer.ask("metadata", "py-1", 4097)["text"], metadata)
    equal("both count both", [python.ask("count", "web")["code"], peer.ask("active")["code"]], [2, 2])

    code(python, cm.EXISTS, "register_simple", "web", "c-1", "127.0.0.1", 8001)
    check("the sentence names the holder's node", "peer" in python.ask("error")["message"], python.ask("error"))
    alike("two services", everybody, ["c-1", "py-1"], ["web", "nobody"])


def change(python, peer, everybody):
    """Each changes what the other registered."""
    code(peer, 0, "weight", "py-1", 7)
    code(peer, 0, "set_metadata", "py-1", '{"by": "c"}')
    code(peer, 0, "heartbeat", "py-1")
    code(python, 0, "weight", "c-1", 0)
    code(python, 0, "set_metadata", "c-1", "x" * 4096)
    code(python, 0, "heartbeat", "c-1")
    equal("weights", [python.ask("find", "py-1")["weight"], peer.ask("find", "c-1")["weight"]], [7, 0])
    alike("changed services", everybody, ["c-1", "py-1"], ["web"])


def count(python, peer, everybody):
    """Each reports on the other's, by id and by reference."""
    reference = peer.ask("find", "py-1")["reference"]
    for i in range(10):
        code(peer, 0, "report", reference, 2000000, 1)
        code(python, 0, "report_id", "c-1", 4, i % 2)
    code(python, cm.NOT_FOUND, "report_id", "nobody", 1, 1)
    code(python, cm.NOT_FOUND, "report", reference ^ (1 << 40), 1, 1)
    stats = code(peer, 0, "stats")
    equal("requests", [stats[key] for key in ("total_requests", "successful_requests", "failed_requests")], [20, 15, 5])
    check("average", abs(stats["average_response_time_ms"] - 3) < 0.01, stats)
    equal("each owns one", [python.ask("stats")["registered_services"], stats["registered_services"]], [1, 1])
    tokens = [asker.ask("begin", reference)["token"] for asker in (python, peer)]
    check("tokens differ", len({0, *tokens}) == 3, tokens)
    code(peer, cm.INVALID, "end", tokens[0], 1, 1)
    code(python, cm.INVALID, "end", 0, 1, 1)
    code(python, 0, "end", tokens[0], 2000000, 1)
    code(python, cm.INVALID, "end", tokens[0], 2000000, 1)
    code(peer, 0, "end", tokens[1], 2000000, 0)
    code(peer, cm.NOT_FOUND, "begin", reference ^ (1 << 40))
    equal("ended requests", code(peer, 0, "stats")["total_requests"], 22)
    for asker in everybody:
        check("a latency by id", abs(code(asker, 0, "latency", "py-1", 0.5)["ns"] - 2000000) < 140000)
        check("by name", abs(code(asker, 0, "latency", "web", 0.9)["ns"] - 4000000) < 280000)
        check("of the mesh", abs(code(asker, 0, "latency", None, 0)["ns"] - 2000000) < 140000)
        code(asker, cm.NOT_FOUND, "latency", "nobody", 0.5)
        code(asker, cm.INVALID, "latency", "web", "nan")
        came = code(asker, 0, "balancer_stats", "web")
        equal("what came of a name", [came[key] for key in ("total", "successful", "failed")], [22, 16, 6])
        check("its mean", abs(came["average_us"] - (2000 * 12 + 4000 * 10) / 22) <= 1, came)
        code(asker, cm.NOT_FOUND, "balancer_stats", "nobody")
    check("a service's own average", abs(python.ask("get", "py-1")["response_time_ms"] - 2) < 0.01)
    alike("counted", everybody, ["c-1", "py-1"], ["web"])


def balance(python, peer, everybody):
    """Each selects by its own algorithm; what is one rotation, and one choice for a client, is so in both languages."""
    code(peer, 0, "weight", "c-1", 100)
    endpoints = [who.ask("select", "web", None)["endpoint"] for who in (python, peer, python, peer)]
    check("by default, in turn, together", endpoints[0] != endpoints[1] and endpoints[:2] == endpoints[2:], endpoints)
    code(python, 0, "configure", cm.WEIGHTED_ROUND_ROBIN, 1, 5, 30000)
    code(peer, 0, "configure", cm.WEIGHTED_ROUND_ROBIN, 0, 0, 0)
    weights = [who.ask("select", "web", None)["weight"] for who in (python, peer) * 107]
    equal("by weight, together", [weights.count(7), weights.count(100)], [14, 200])
    for who in everybody:
        code(who, 0, "configure", cm.CONSISTENT_HASH, 0, 0, 0)
        code(who, cm.INVALID, "select", "web", None)
    for client in ("anna", "bert", "çelik"):
        answers = [who.ask("select", "web", client) for who in everybody]
        check(f"one instance for {client}", all(a == answers[0] and a["code"] == 0 for a in answers), answers)
    reference = peer.ask("find", "c-1")["reference"]
    token = code(python, 0, "begin", reference)["token"]
    for who in everybody:
        code(who, 0, "configure", cm.LEAST_CONNECTIONS, 0, 0, 0)
        endpoints = {code(who, 0, "select", "web", None)["reference"] for _ in range(20)}
        check("not where a request is in flight, whoever's", reference not in endpoints, endpoints)
        code(who, 0, "configure", cm.PERFORMANCE, 0, 0, 0)
        code(who, 0, "select", "web", None)
        code(who, 0, "configure", cm.CONSISTENT_HASH, 0, 0, 0)
    code(python, 0, "end", token, 4000000, 1)
    for words in [("configure", -1, 0, 0, 0),
                  ("configure", 6, 0, 0, 0), ("configure", 0, 2, 5, 1000), ("configure", 0, 1, 0, 1000),
                  ("configure", 0, 1, 5, 0), ("select", "", "me"), ("select", "web", ""),
                  ("select", "web", "x" * 256)]:
        code(python, cm.INVALID, *words)
        code(peer, cm.INVALID, *words)
        equal(f"one sentence for {words[0]}", python.ask("error"), peer.ask("error"))
    for who in everybody:
        code(who, cm.NOT_FOUND, "select", "nobody", "anna")
    code(peer, 0, "set_health", "py-1", 2)
    code(python, 0, "set_admin", "c-1", 1)
    for who in everybody:
        equal("as it was set", [who.ask("get", "py-1")["status"], who.ask("get", "c-1")["admin"]], [2, 1])
        code(who, cm.NO_HEALTHY, "select", "web", "anna")
    code(python, 0, "set_health", "py-1", 1)
    code(peer, 0, "set_admin", "c-1", 0)


def breaker(python, peer, readers, everybody):
    """Circuit breakers are the mesh's: failures come together, all see what came of them, and obey."""
    code(python, 0, "configure", cm.ROUND_ROBIN, 1, 3, 60000)
    for reader in readers:
        code(reader, 0, "configure", cm.ROUND_ROBIN, 0, 0, 0)
        code(reader, cm.READ_ONLY, "configure", cm.ROUND_ROBIN, 1, 3, 60000)
        code(reader, cm.READ_ONLY, "reset_breaker", "c-1")
    code(peer, 0, "configure", cm.ROUND_ROBIN, 0, 0, 0)
    for who in (python, peer):
        code(who, cm.INVALID, "configure", cm.ROUND_ROBIN, 1, 10001, 1000)
        code(who, cm.INVALID, "configure", cm.ROUND_ROBIN, 1, 3, 3600001)
        code(who, cm.NOT_FOUND, "breaker", "nobody")
        code(who, cm.NOT_FOUND, "reset_breaker", "nobody")
        code(who, 0, "report_id", "c-1", 1, 0)
    for who in everybody:
        equal("two failures", who.ask("breaker", "c-1"), {"code": 0, "state": 0, "failures": 2})
    code(peer, 0, "report_id", "c-1", 1, 0)
    for who in everybody:
        equal("open for all", who.ask("breaker", "c-1"), {"code": 0, "state": 1, "failures": 3})
        endpoints = {who.ask("select", "web", None)["endpoint"] for _ in range(6)}
        check("nobody selects it", len(endpoints) == 1, endpoints)
    code(python, 0, "reset_breaker", "c-1")
    for who in everybody:
        equal("closed for all", who.ask("breaker", "c-1"), {"code": 0, "state": 0, "failures": 0})
        endpoints = {who.ask("select", "web", None)["endpoint"] for _ in range(6)}
        check("everybody selects it", len(endpoints) == 2, endpoints)
    for service in ("c-1", "py-1"):
        for _ in range(3):
            code(python, 0, "report_id", service, 1, 0)
    for who in everybody:
        code(who, cm.CIRCUIT_OPEN, "select", "web", None)
    code(peer, 0, "configure", cm.ROUND_ROBIN, 0, 0, 0)
    code(python, cm.CIRCUIT_OPEN, "select", "web", None)
    code(python, 0, "configure", cm.ROUND_ROBIN, 0, 0, 0)
    for who in everybody:
        code(who, 0, "select", "web", None)


def refuse(python, peer, readers):
    """Bad input comes to the same code and the same sentence in both languages; readers change nothing."""
    bad = [("register_simple", "web", "", "127.0.0.1", 80), ("register_simple", "x" * 64, "a", "127.0.0.1", 80),
           ("register_simple", "web", "a", "127.0.0.1", 0), ("register_simple", None, "a", "127.0.0.1", 80),
           ("find", ""), ("find", "x" * 128), ("get", None), ("weight", "c-1", 65536), ("unregister", None),
           ("set_health", "c-1", 4), ("set_admin", "c-1", -1), ("balancer_stats", ""),
           ("set_metadata", "c-1", "x" * 4097), ("register", "web", "a\tb", "e", 80, None, None, 0, 0, None)]
    for words in bad:
        code(python, cm.INVALID, *words)
        code(peer, cm.INVALID, *words)
        equal(f"one sentence for {words[0]}", python.ask("error"), peer.ask("error"))
    for words in [("find", "nobody"), ("get", "nobody"), ("unregister", "nobody"), ("heartbeat", "nobody"),
                  ("metadata", "nobody", 10), ("set_metadata", "nobody", "{}"), ("weight", "nobody", 1),
                  ("set_health", "nobody", 1), ("set_admin", "nobody", 1)]:
        code(python, cm.NOT_FOUND, *words)
        code(peer, cm.NOT_FOUND, *words)
    for reader in readers:
        for words in [("start",), ("register_simple", "web", "r-1", "127.0.0.1", 80), ("unregister", "c-1"),
                      ("heartbeat", "c-1"), ("weight", "c-1", 1), ("set_metadata", "c-1", "{}"),
                      ("set_health", "c-1", 1), ("set_admin", "c-1", 1),
                      ("report_id", "c-1", 1, 1), ("report", 1, 1, 1), ("begin", 1), ("end", 1, 1, 1)]:
            code(reader, cm.READ_ONLY, *words)
        code(reader, 0, "running")
        code(reader, cm.TIMED_OUT, "wait", "web", reader.ask("wait", "web", 0, 0)["version"], 20)
    equal("nothing came of it", python.ask("active")["code"], 2)


def leave(python, peer, readers, everybody):
    """Unregistering, stopping, starting again, and death."""
    code(python, 0, "unregister", "c-1")
    code(peer, cm.NOT_FOUND, "find", "c-1")
    for i in range(3):
        code(peer, 0, "register_simple", f"name-{i % 2}", f"c-{i}", "127.0.0.1", 8000 + i)
    alike("more services", everybody, ["c-0", "c-1", "c-2", "py-1"], ["web", "name-0", "name-1"])

    before = python.ask("wait", "name-0", 0, 0)["version"]
    code(peer, 0, "stop")
    code(peer, 0, "stop")
    check("stopping is a change", python.ask("wait", "name-0", before, 0)["code"] == 0)
    for words in [("find", "py-1"), ("active",), ("stats",), ("register_simple", "web", "c-9", "127.0.0.1", 80),
                  ("wait", None, 0, 0)]:
        code(peer, -cm.NOT_RUNNING if words[0] == "active" else cm.NOT_RUNNING, *words)
    equal("only Python's is left", [s["id"] for s in python.ask("all", ROOM)["services"]], ["py-1"])
    code(peer, 0, "start")
    code(peer, 0, "register_simple", "name-0", "c-0", "127.0.0.1", 8000)
    alike("started again", everybody, ["c-0", "py-1"], ["web", "name-0"])

    peer.process.send_signal(signal.SIGKILL)
    peer.process.wait()
    for who in [python, *readers]:
        code(who, cm.NOT_FOUND, "find", "c-0")
        code(who, 0, "count", "name-0")
    code(python, 0, "register_simple", "name-0", "c-0", "127.0.0.1", 8000)
    alike("after a death", [python, *readers], ["c-0", "py-1"], ["web", "name-0"])

    code(python, 0, "destroy")
    code(python, cm.NO_HANDLE, "destroy")
    code(python, cm.NO_HANDLE, "find", "py-1")
    alike("an empty mesh again", readers, ["c-0", "py-1"], ["web", "name-0"])
    code(readers[0], 0, "active")
    for reader in readers:
        code(reader, 0, "destroy")
        code(reader, -cm.NO_HANDLE, "active")
        code(reader, 0, "cleanup")


def main():
    program = sys.argv[1]
    directory = tempfile.mkdtemp(prefix="commy-two-", dir="/dev/shm")
    itself = [sys.executable, os.path.abspath(__file__), "--peer"]
    python, peer = Python(), Process("C", [program])
    readers = [Process("C, read-only", [program]), Process("Python, read-only", itself)]
    everybody = [python, peer, *readers]
    try:
        meet(directory, python, peer, readers)
        register(python, peer, readers, everybody)
        change(python, peer, everybody)
        count(python, peer, everybody)
        balance(python, peer, everybody)
        breaker(python, peer, readers, everybody)
        refuse(python, peer, readers)
        leave(python, peer, readers, everybody)
    except (RuntimeError, OSError, ValueError) as problem:
        check("the script runs to its end", False, problem)
    finally:
        for reader in readers:
            equal(f"{reader.language} ends well", reader.end(), 0)
        peer.process.kill()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--peer":
        be_a_peer()
    else:
        sys.exit(main())
