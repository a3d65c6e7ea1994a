#!/usr/bin/env python3
"""Four clients, three HTTP servers: one fails, is spared by all clients at once, and comes back by way of one who tries.

    breaker_hosts.py                 $COMMY_LIBRARY: the library to load; $COMMY_TOOL: the command
    breaker_hosts.py --server        a server; prints its port
    breaker_hosts.py --client N DIR  a client, until its standard input ends; then prints what it got

All are processes of their own. Clients know each other by nothing but the mesh, and select, send and report as fast as
they can. What they did is counted where it arrives: at the servers. Each comparison is a test; the last line is
"N passed, N failed".
"""

import ctypes
import http.client
import http.server
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
THRESHOLD, CLIENTS, SERVERS = 10, 4, 3
OPEN_MS = 500
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok' if good else 'FAILED'}: {what} {detail}", flush=True)


# ------------------------------------------------------------------------------------------------- server


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as it is told to, and remembers who asked, when the request came and when the answer went."""

    protocol_version = "HTTP/1.1"
    mode, delay, log = "well", 0.0, []

    def log_message(self, *_):
        pass

    def answer(self, code, body=b""):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        """Control: /MODE/DELAY; answers with what was remembered until then, and forgets it."""
        _, mode, delay = self.path.split("/")
        Server.mode, Server.delay, log, Server.log = mode, float(delay), Server.log, []
        self.answer(200, json.dumps(log).encode())

    def do_GET(self):
        entry = [self.headers["Client"], time.monotonic(), None, None]
        Server.log.append(entry)
        code = 200 if Server.mode == "well" else 500
        if Server.delay:
            time.sleep(Server.delay)
        entry[2], entry[3] = time.monotonic(), code
        try:
            self.answer(code)
        except OSError:
            self.close_connection = True  # the client was killed


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


# ------------------------------------------------------------------------------------------------- client


def send(connections, port, client):
    """One request, over a connection that is kept. Whether it succeeded."""
    try:
        connection = connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=60))
        connection.request("GET", "/", headers={"Client": client})
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except OSError:
        connections.pop(port, None)
        return False


def be_client(number, directory):
    sys.path.insert(0, os.path.join(HERE, "python"))
    import sanitized  # noqa: F401
    import ctypes_mesh as cm

    end = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
    options = cm.OpenOptions(flags=cm.OPEN_MUST_EXIST, dir=directory.encode(), mesh=b"m",
                             node_id=f"client-{number}".encode())
    h = cm.lib.commy_open_mesh(ctypes.byref(options))
    assert cm.lib.commy_start_mesh(h) == 0
    target, token, connections, codes = cm.Target(), ctypes.c_uint64(), {}, {}
    while not end.is_set():
        code = cm.lib.commy_select_service(h, b"web", None, ctypes.byref(target))
        codes[code] = codes.get(code, 0) + 1
        if code != 0:
            time.sleep(0.001)
            continue
        if number % 2:
            assert cm.lib.commy_begin_request(h, target.reference, ctypes.byref(token)) == 0
        before = time.monotonic_ns()
        success = send(connections, target.port, str(number))
        took = time.monotonic_ns() - before
        if number % 2:
            assert cm.lib.commy_end_request(h, token, took, success) == 0
        else:
            assert cm.lib.commy_report(h, target.reference, took, success) == 0
    cm.lib.commy_destroy_mesh(h)
    print(json.dumps(codes))


# ------------------------------------------------------------------------------------------------- script


class Host:
    def __init__(self, directory):
        self.directory, self.processes = directory, []
        self.ports, self.clients = [], {}
        self.commy("create", "m")
        for _ in range(SERVERS):
            server = self.start("--server")
            self.ports.append(int(server.stdout.readline()))
        for i, port in enumerate(self.ports):
            held = subprocess.Popen([os.environ["COMMY_TOOL"], "--dir", directory, "--mesh", "m", "register", "--name",
                                     "web", "--id", f"web-{i}", "--endpoint", "127.0.0.1", "--port", str(port)],
                                    stdout=subprocess.PIPE, text=True)
            self.processes.append(held)
            held.stdout.readline()
        for i in range(CLIENTS):
            self.clients[str(i)] = self.start("--client", str(i), directory)

    def start(self, *words):
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), *words], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def commy(self, *words):
        done = subprocess.run([os.environ["COMMY_TOOL"], "--dir", self.directory, "--mesh", "m", *words],
                              stdout=subprocess.PIPE, text=True, check=True, timeout=60)
        return done.stdout

    def breaker(self, server=0):
        return json.loads(self.commy("breaker", f"web-{server}", "--json"))

    def tell(self, server, mode, delay=0):
        """Sets how a server answers; returns what it has remembered since the last time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[server], timeout=60)
        connection.request("POST", f"/{mode}/{delay}")
        log = json.loads(connection.getresponse().read())
        connection.close()
        return log

    def counts(self):
        """Requests at each server since the last time; the servers go on as they are, but the first is healthy."""
        return [len(self.tell(i, "well")) for i in range(SERVERS)]

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def share_of_first(host, seconds):
    host.counts()
    time.sleep(seconds)
    counts = host.counts()
    return counts[0] / sum(counts), counts


def fails_and_is_spared(host):
    share, counts = share_of_first(host, 1)
    check("all three get an even share at first", 0.28 < share < 0.39, counts)
    for i in (1, 2):
        host.tell(i, "well")
    host.tell(0, "fail")
    check("it is ejected", until(lambda: host.breaker()["state"] != "closed"))
    time.sleep(3)
    log = host.tell(0, "fail")
    others = len(host.tell(1, "well")) + len(host.tell(2, "well"))
    # Those that came before the last failure of the threshold was answered may have been under way already.
    failures = [entry for entry in log if entry[3] == 500]
    opened = failures[THRESHOLD - 1][2]
    before, after = [e for e in log if e[1] <= opened], [e for e in log if e[1] > opened]
    late = [e for e in after if e[1] < opened + 0.9 * OPEN_MS / 1000]
    tries = [e for e in after if e[1] >= opened + 0.9 * OPEN_MS / 1000]
    unanswered = len(before) + len(late) - THRESHOLD
    check(f"{THRESHOLD} failures of all clients together are enough, but for what was under way",
          unanswered < CLIENTS, f"{len(before) + len(late)} requests")
    check("then its share is below 1 %", len(after) < 0.01 * (others + len(after)),
          f"{len(after)} of {others + len(after)}")
    check("it was tried", len(tries) >= 1, [e[1] - opened for e in tries])
    gaps = [later[1] - earlier[2] for earlier, later in zip(tries, tries[1:])]
    check("one at a time, each twice as long after the one before",
          all(gap > 0.9 * 2 ** (i + 1) * OPEN_MS / 1000 for i, gap in enumerate(gaps)), gaps)
    clients = {e[0] for e in before}
    check("several clients had failed", len(clients) > 1, clients)


def recovers(host):
    host.tell(0, "well", 0.4)
    check("it is let in again", until(lambda: host.breaker()["state"] == "closed"))
    log = host.tell(0, "well")
    tried = log[0]
    check("by a success", tried[3] == 200)
    check("while it was tried nobody else touched it",
          all(entry[1] >= tried[2] for entry in log[1:]), [e[1] - tried[2] for e in log[1:5]])
    share, counts = share_of_first(host, 1)
    check("and has an even share again", 0.28 < share < 0.39, counts)


def prober_dies(host):
    host.commy("breaker", "--open", "4000")
    host.tell(0, "fail")
    check("it is ejected again", until(lambda: host.breaker()["state"] != "closed"))
    until(lambda: host.breaker()["failures"] >= THRESHOLD)
    time.sleep(1)
    host.tell(0, "well", 3)  # who tries waits for three seconds; the others may do nothing meanwhile
    check("somebody tries", until(lambda: host.breaker()["prober_pid"] is not None))
    time.sleep(0.3)
    status = host.breaker()
    first = host.tell(0, "well", 3)
    check("one, of four clients", len(first) == 1, first)
    prober = host.clients.pop(first[0][0])
    check("the one who is named", prober.pid == status["prober_pid"], status)
    prober.send_signal(signal.SIGKILL)
    prober.wait()
    killed = time.monotonic()
    check("somebody else tries", until(lambda: host.breaker()["prober_pid"] not in (None, prober.pid)))
    took = time.monotonic() - killed
    check("at once, not when the time of the dead is over", took < 1.5, f"after {took * 1000:.0f} ms")
    time.sleep(0.3)
    second = host.tell(0, "well", 3)
    check("one again, another one", len(second) == 1 and second[0][0] != first[0][0], second)
    host.tell(0, "well")
    check("and lets it in", until(lambda: host.breaker()["state"] == "closed"))


def closes(host):
    codes = {}
    for client in host.clients.values():
        output, _ = client.communicate(timeout=60)
        check("the client ended well", client.returncode == 0, client.returncode)
        for code, count in json.loads(output or "{}").items():
            codes[code] = codes.get(code, 0) + count
    check("no selection failed", list(codes) == ["0"], codes)
    check("the mesh is sound", "[]" in host.commy("check", "--json"))


def main():
    directory = tempfile.mkdtemp(prefix="commy-breaker-", dir="/dev/shm")
    host = None
    try:
        host = Host(directory)
        host.commy("breaker", "--on", "--failures", str(THRESHOLD), "--open", str(OPEN_MS), "--longest", "60000")
        time.sleep(1)
        for part in (fails_and_is_spared, recovers, prober_dies, closes):
            part(host)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as problem:
        check("the script runs to its end", False, problem)
    finally:
        if host:
            host.end()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--server"]:
        serve()
    elif sys.argv[1:2] == ["--client"]:
        be_client(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main())
