#!/usr/bin/env python3
"""The commands that check health, with real servers: check-health, monitor, register --check, run --check-cmd.

Ends with "N passed, N failed"; needs COMMY_TOOL.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOOL = os.environ["COMMY_TOOL"]
results = {}
started = []


def hold(what, good, detail=""):
    looked, wrong = results.get(what, (0, 0))
    results[what] = (looked + 1, wrong + (not good))
    if not good:
        print(f"  violated: {what}: {detail}", flush=True)


class Server(http.server.BaseHTTPRequestHandler):
    status = 200
    requests = 0

    def do_GET(self):  # noqa: N802, the name that http.server calls
        Server.requests += 1
        self.send_response(Server.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def commy(*arguments):
    done = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def start(*arguments, line=True):
    """A command that runs on. line: it prints one when it is ready."""
    child = subprocess.Popen([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    started.append(child)
    if line:
        child.stdout.readline()
    return child


def stop(child, number=signal.SIGTERM):
    child.send_signal(number)
    return child.wait(timeout=30)


def status_of(service):
    code, out, _ = commy("get", service, "--json")
    return json.loads(out)["status"] if code == 0 else None


def becomes(what, service, status, seconds=5):
    began = time.monotonic()
    while (seen := status_of(service)) != status and time.monotonic() - began < seconds:
        time.sleep(0.02)
    hold(what, seen == status, f"{service} is {seen}, not {status}")


def check_on_the_spot(port):
    code, out, _ = commy("check-health", "web-1")
    hold("a service that answers is healthy, exit 0", code == 0 and out.startswith("web-1 healthy "), (code, out))
    code, out, _ = commy("check-health", "web-2", "--json")
    told = json.loads(out)
    hold("one that answers 404 is not, exit 1, and says why",
         code == 1 and told["status"] == "unhealthy" and told["http_status"] == 404 and "404" in told["reason"], told)
    code, out, _ = commy("check-health", "closed", "--timeout", "500")
    hold("a closed port is unhealthy, exit 1", code == 1 and "unhealthy" in out, (code, out))
    code, _, err = commy("check-health", "nobody")
    hold("no such service, exit 1", code == 1 and "nobody" in err, (code, err))
    code, _, err = commy("check-health", "left")
    hold("one that is not to be checked, exit 2, and says so", code == 2 and "check=none" in err, (code, err))
    for wrong in (["check-health"], ["check-health", "a", "b"], ["check-health", "a", "--timeout", "0"],
                  ["monitor", "--interval", "0"], ["monitor", "--failures", "256"], ["monitor", "--recoveries", "x"],
                  ["register", "--name", "a", "--id", "a", "--endpoint", "h", "--port", "1", "--check", "exec:sh"],
                  ["register", "--name", "a", "--id", "a", "--endpoint", "h", "--port", "1", "--check", "http:/" + "x" * 30],
                  ["run", "--name", "a", "--port", "1", "--check-timeout", "5", "--", "true"],
                  ["run", "--name", "a", "--port", "1", "--check-cmd", "", "--", "true"]):
        code, _, err = commy(*wrong)
        hold("what makes no sense, exit 64, with a sentence", code == 64 and err, (wrong, code, err))
    hold("the checks by hand changed nothing", status_of("web-2") == "healthy")
    hold("the port was asked", Server.requests >= 2, port)


def monitors():
    first = start("monitor", "--interval", "50", "--failures", "2", "--recoveries", "1", line=False)
    becomes("a monitor finds out who is well", "web-1", "healthy")
    becomes("and who is not", "web-2", "unhealthy")
    becomes("a closed port too", "closed", "unhealthy")
    hold("a service that does not say how is not checked", status_of("plain") == "healthy")
    Server.status = 500
    becomes("failures are noticed", "web-1", "unhealthy")
    second = start("monitor", "web", "--interval", "50", "--recoveries", "1", line=False)
    time.sleep(0.3)
    first.kill()
    first.wait()
    Server.status = 200
    began = time.monotonic()
    becomes("when a monitor is killed, another goes on", "web-1", "healthy")
    hold("within half a second", time.monotonic() - began < 0.7, time.monotonic() - began)
    late = start("register", "--name", "web", "--id", "late", "--endpoint", "127.0.0.1", "--port", "1", "--check", "tcp")
    becomes("what comes later is checked too", "late", "unhealthy")
    stop(late)
    hold("a monitor ends with 0 when it is told to", stop(second) == 0)


def own_command(directory):
    answer = os.path.join(directory, "answer")

    def say(code):
        with open(answer + ".new", "w", encoding="utf-8") as file:
            file.write(str(code))
        os.rename(answer + ".new", answer)

    say(3)
    child = start("run", "--name", "own", "--id", "own-1", "--port", "9", "--check-cmd", f"exit $(cat {answer})",
                  "--check-interval", "50", "--check-timeout", "2000", "--", "sleep", "100", line=False)
    becomes("a command that exits with 3 says unhealthy", "own-1", "unhealthy")
    say(0)
    becomes("with 0 healthy", "own-1", "healthy")
    say(1)
    becomes("with 1 degraded", "own-1", "degraded")
    stop(child)

    mark = f"7{os.getpid()}"
    child = start("run", "--name", "own", "--id", "own-2", "--port", "9", "--check-cmd",
                  f"sleep {mark} & sleep {mark}", "--check-interval", "100", "--check-timeout", "150", "--", "sleep", "1",
                  line=False)
    becomes("before its first end it is unknown", "own-2", "unknown")
    becomes("a command without an end says unhealthy", "own-2", "unhealthy")
    hold("the program's exit code is passed on", child.wait(timeout=30) == 0)
    left = subprocess.run(["pgrep", "-fc", f"sleep {mark}"], capture_output=True, text=True, check=False).stdout.strip()
    hold("nothing of its process group is left", left == "0", left)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = str(server.server_address[1])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        os.environ |= {"COMMY_DIR": directory, "COMMY_MESH": "m"}
        here = ["--endpoint", "127.0.0.1", "--port"]
        start("register", "--name", "web", "--id", "web-1", *here, port, "--check", "http:/health")
        start("register", "--name", "web", "--id", "web-2", *here, port, "--tag", "check=http")
        start("register", "--name", "db", "--id", "closed", *here, "1", "--check", "tcp")
        start("register", "--name", "db", "--id", "left", *here, "1", "--check", "none")
        start("register", "--name", "db", "--id", "plain", *here, "1")
        try:
            check_on_the_spot(port)
            monitors()
            own_command(directory)
            code, out, _ = commy("check")
            hold("the audit finds nothing", code == 0, out)
        finally:
            for child in started:
                if child.poll() is None:
                    child.kill()
                child.wait()
    for what, (looked, wrong) in results.items():
        print(f"{'FAILED' if wrong else 'ok    '} {what} (looked at {looked} times)")
    failed = sum(1 for _, wrong in results.values() if wrong)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
