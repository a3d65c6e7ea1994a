#!/usr/bin/env python3
"""`commy top`: what it prints once, and what its screen shows on a terminal of 80x24 and 200x60, driven by keys.

    top_shows.py        $COMMY_TOOL: the command; $COMMY_LIBRARY: the shared library

The terminal is a pty, and a VT100 of this test's own that ncurses writes to. Each comparison is a test; the last line is
"N passed, N failed".
"""

import ctypes
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "python"))
import sanitized  # noqa: E402, F401
from ctypes_mesh import SUCCESS, ServiceConfig, Target, lib  # noqa: E402

TOOL = os.environ["COMMY_TOOL"]
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what} {detail}", flush=True)


def commy(*arguments):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


# ---------------------------------------------------------------------- the mesh


class Mesh:
    """A participant that owns services and sends them requests."""

    def __init__(self):
        self.handle = lib.commy_create_mesh(b"stage", 7000)
        assert lib.commy_start_mesh(self.handle) == SUCCESS, lib.commy_last_error_message()
        self.references = {}

    def register(self, name, ident, **more):
        config = ServiceConfig(service_name=name, service_id=ident, endpoint=b"127.0.0.1", port=8080, weight=70, **more)
        assert lib.commy_register_service(self.handle, ctypes.byref(config)) == SUCCESS, lib.commy_last_error_message()
        target = Target()
        assert lib.commy_find(self.handle, ident, ctypes.byref(target)) == SUCCESS
        self.references[ident] = target.reference

    def report(self, ident, count, success=1, latency_ms=2):
        for _ in range(count):
            lib.commy_report(self.handle, self.references[ident], latency_ms * 1000000, success)

    def begin(self, ident):
        token = ctypes.c_uint64()
        assert lib.commy_begin_request(self.handle, self.references[ident], ctypes.byref(token)) == SUCCESS


# ------------------------------------------------------------------ the terminal


class Terminal:
    """As much of a VT100 as ncurses needs."""

    SEQUENCE = re.compile(r"\x1b(?:\[([?0-9;]*)([A-Za-z@])|[()]([0-9A-B])|([=>78MDEHc]))")

    def __init__(self, lines, columns):
        self.lines, self.columns, self.rest = lines, columns, ""
        self.cells = [self.blank(columns) for _ in range(lines)]
        self.line = self.column = 0
        self.top, self.bottom = 0, lines - 1
        self.reverse = False

    @staticmethod
    def blank(columns):
        return [(" ", False)] * columns  # a character, and whether it is in reverse

    def resize(self, lines, columns):
        cells = [self.blank(columns) for _ in range(lines)]
        for line in range(min(lines, self.lines)):
            for column in range(min(columns, self.columns)):
                cells[line][column] = self.cells[line][column]
        self.cells, self.lines, self.columns = cells, lines, columns
        self.line, self.column = min(self.line, lines - 1), min(self.column, columns - 1)
        self.top, self.bottom = 0, lines - 1

    def scroll(self):
        if self.line == self.bottom:
            del self.cells[self.top]
            self.cells.insert(self.bottom, self.blank(self.columns))
        elif self.line < self.lines - 1:
            self.line += 1

    def scroll_back(self):
        if self.line == self.top:
            del self.cells[self.bottom]
            self.cells.insert(self.top, self.blank(self.columns))
        elif self.line > 0:
            self.line -= 1

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.scroll()
        elif character == "\t":
            self.column = min(self.columns - 1, self.column // 8 * 8 + 8)
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character >= " ":
            if self.column >= self.columns:
                self.column = 0
                self.scroll()
            self.cells[self.line][self.column] = (character, self.reverse)
            self.column += 1

    def sequence(self, arguments, final):
        numbers = [int(part) if part.isdigit() else 0 for part in (arguments or "").split(";")]
        first = max(1, numbers[0])
        if final in "Hf":
            self.line = min(self.lines, first) - 1
            self.column = min(self.columns, max(1, numbers[1] if len(numbers) > 1 else 1)) - 1
        elif final in "ABCD":
            self.line = max(0, min(self.lines - 1, self.line + {"A": -first, "B": first}.get(final, 0)))
            self.column = max(0, min(self.columns - 1, self.column + {"D": -first, "C": first}.get(final, 0)))
        elif final == "K":
            start, end = {0: (self.column, self.columns), 1: (0, self.column + 1), 2: (0, self.columns)}[numbers[0]]
            self.cells[self.line][start:end] = self.blank(end - start)
        elif final == "J":
            if numbers[0] == 2:
                self.line = self.column = 0
            self.sequence("0", "K")
            for line in range(self.line + 1, self.lines):
                self.cells[line] = self.blank(self.columns)
        elif final == "r":
            self.top = first - 1
            self.bottom = (numbers[1] if len(numbers) > 1 and numbers[1] else self.lines) - 1
            self.line = self.column = 0
        elif final == "m":
            for number in numbers:
                self.reverse = number == 7 or (self.reverse and number not in (0, 27))

    def write(self, text):
        text = self.rest + text
        self.rest = ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self.put(text[at])
                at += 1
                continue
            match = self.SEQUENCE.match(text, at)
            if match is None:
                self.rest = text[at:]
                if len(self.rest) > 20:
                    raise ValueError(f"a sequence that is not understood: {self.rest[:20]!r}")
                return
            if match.group(2):
                self.sequence(match.group(1), match.group(2))
            elif match.group(4) == "M":
                self.scroll_back()
            at = match.end()

    def text(self):
        return ["".join(character for character, _ in line).rstrip() for line in self.cells]

    def selected(self):
        """The second word of the row that is in reverse: its id."""
        rows = [text for text, cells in zip(self.text()[5:], self.cells[5:]) if cells[0][1]]
        return rows[0].split()[1] if len(rows) == 1 else None


class Screen:
    """commy top on a terminal."""

    def __init__(self, lines, columns, *arguments, **environment):
        self.terminal = Terminal(lines, columns)
        self.process, self.master = pty.fork()
        if self.process == 0:
            os.environ.update({"TERM": "vt100", "LC_ALL": "C.UTF-8"} | environment)
            os.execv(TOOL, [TOOL, "top", *arguments])
        self.size(lines, columns)

    def size(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, lines, columns):
        self.terminal.resize(lines, columns)
        self.size(lines, columns)

    def read(self, seconds):
        readable, _, _ = select.select([self.master], [], [], seconds)
        if not readable:
            return False
        try:
            content = os.read(self.master, 65536)
        except OSError:  # it has ended
            return False
        self.terminal.write(content.decode(errors="replace"))
        return bool(content)

    def until(self, condition, seconds=30, meanwhile=lambda: None):
        """The lines, once they are as they should be; what they are instead, when they never are. meanwhile: done over and
        over, for what is shown of the last moment only."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition(self.terminal.text()):
                return self.terminal.text()
            meanwhile()
            self.read(0.1)
        return self.terminal.text()

    def shows(self, what, condition, meanwhile=lambda: None):
        lines = self.until(condition, meanwhile=meanwhile)
        check(what, condition(lines), "\n" + "\n".join(lines))
        return lines

    def type(self, keys):
        os.write(self.master, keys.encode())

    def end(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            self.read(0.05)
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                while self.read(5):  # what it wrote may be on its way yet; behind it comes an end
                    pass
                os.close(self.master)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        return "it did not end"


def row_of(lines, ident):
    return next((line for line in lines if re.search(rf"(^| ){re.escape(ident)} ", line)), "")


# ----------------------------------------------------------------------- tests


def once(mesh):
    table = commy("top", "--interval", "100").stdout.splitlines()
    check("a heading and a line a service", len(table) == 5 and table[0].split()[:3] == ["NAME", "ID", "STATUS"], table)
    check("all columns in a pipe", all(word in table[0] for word in ("RATE/S", "ERR %", "P50", "P99", "FLIGHT", "WEIGHT",
                                                                     "PID", "NODE")), table[0])
    check("by name where nothing happens", [line.split()[1] for line in table[1:]] == ["db-1", "mail-1", "web-1", "web-2"])
    mesh.report(b"web-1", 30)
    mesh.report(b"web-1", 10, success=0)
    mesh.begin(b"web-2")
    seen = json.loads(commy("top", "--json", "--interval", "100").stdout)
    web = {service["id"]: service for service in seen["services"]}
    check("what was counted", (web["web-1"]["total_requests"], web["web-1"]["failed_requests"]) == (40, 10), web["web-1"])
    check("no rate of what was before", web["web-1"]["requests_per_second"] == 0 and web["web-1"]["failed_share"] is None)
    check("in flight", web["web-2"]["in_flight"] == 1 and seen["in_flight"] == 1)
    check("percentiles", 1.8e6 < web["web-1"]["p50_ns"] < 2.2e6 and web["db-1"]["p50_ns"] == 0, web["web-1"])
    check("who owns it", web["web-1"]["pid"] == os.getpid() and web["web-1"]["node"].startswith("stage"), web["web-1"])

    process = subprocess.Popen([TOOL, "top", "--json", "--interval", "1000"], stdout=subprocess.PIPE, text=True)
    time.sleep(0.4)  # between its two looks
    mesh.report(b"web-2", 500)
    mesh.report(b"web-2", 500, success=0)
    seen = json.loads(process.communicate(timeout=20)[0])
    busy = seen["services"][0]
    check("the busiest comes first", busy["id"] == "web-2", busy)
    check("with its rate", 500 < busy["requests_per_second"] <= 1000 and 0.4999 < busy["failed_share"] < 0.5001, busy)
    check("which is the mesh's", 500 < seen["requests_per_second"] <= 1000, seen["requests_per_second"])
    only = json.loads(commy("top", "web", "--json", "--interval", "100").stdout)
    check("only one name", [service["name"] for service in only["services"]] == ["web", "web"])
    check("of a name that is not there", json.loads(commy("top", "absent", "--json", "--interval", "100").stdout)["services"] == [])


def bad_input():
    for arguments in (["--interval", "99"], ["--interval", "60001"], ["--interval", "soon"], ["a", "b"]):
        done = commy("top", *arguments)
        check(f"{arguments}", done.returncode == 64 and done.stderr != "", done)
    done = commy("top", "--mesh", "absent")
    check("a mesh that is not there", done.returncode == 1 and "absent" in done.stderr, done)


def unknown_terminal():
    for terminal in ("no-such-terminal", "dumb"):  # dumb: known, but its cursor cannot be moved
        screen = Screen(24, 80, TERM=terminal)
        lines = screen.until(lambda lines: any("is not known" in line for line in lines))
        check(f"a terminal that is {terminal}", any("is not known" in line for line in lines), lines)
        check("is an error", screen.end() == 2)


def screens(mesh):
    screen = Screen(24, 80, "--interval", "200")
    lines = screen.shows("a table", lambda lines: row_of(lines, "web-1") and "ID" in lines[4] and "q quit" in lines[23])
    check("a header", lines[0].startswith("commy top  /") and "4 services" in lines[1] and "participant" in lines[1], lines)
    check("keys", "q quit" in lines[23], lines[23])
    check("all but weight and node in 80 columns",
          lines[4].split() == ["NAME", "ID", "STATUS", "ADMIN", "BREAKER", "RATE/S", "ERR", "%", "P50", "P99", "FLIGHT", "PID"],
          lines[4])
    check("the process", str(os.getpid()) in row_of(lines, "web-1"), row_of(lines, "web-1"))

    screen.shows("the busiest on top, with its rate",
                 lambda lines: lines[5].split()[1:2] == ["mail-1"] and int(float(lines[5].split()[5].rstrip("k"))) > 0,
                 meanwhile=lambda: mesh.report(b"mail-1", 400))

    screen.type("ssss")
    screen.shows("sorted by name", lambda lines: lines[3].startswith("by name") and lines[5].split()[1] == "db-1")
    screen.type("g")
    screen.shows("the first is selected", lambda _: screen.terminal.selected() == "db-1")
    screen.type("jj")
    screen.shows("two further down", lambda _: screen.terminal.selected() == "web-1")
    screen.type("\x1bOA")  # the arrow, as a keypad in application mode sends it
    screen.shows("one up", lambda _: screen.terminal.selected() == "mail-1")
    screen.type("s")
    screen.shows("what is selected stays so where it moves", lambda lines: lines[3].startswith("by rate") and
                 lines[5].split()[1] == "web-2" and screen.terminal.selected() == "mail-1",
                 meanwhile=lambda: mesh.report(b"web-2", 100))

    screen.type("d")
    screen.shows("drained", lambda lines: "draining" in row_of(lines, "mail-1"))
    services = {service["id"]: service["admin"] for service in json.loads(commy("ls", "--json").stdout)}
    check("that one alone", [ident for ident, admin in services.items() if admin == "draining"] == ["mail-1"], services)
    screen.type("d")
    screen.shows("and taken back", lambda lines: "mail-1 is enabled" in lines[23])
    check("for everybody", json.loads(commy("get", "mail-1", "--json").stdout)["admin"] == "enabled")

    screen.type("/WEB-2")
    screen.shows("a filter is typed", lambda lines: lines[23].startswith("filter: WEB-2"))
    screen.type("\r")
    screen.shows("one is left", lambda lines: "1 of 4 shown" in lines[3] and row_of(lines, "web-2") and
                 not row_of(lines, "web-1"))
    screen.type("\r")
    screen.shows("all about it", lambda lines: any(line.split() == ["address", "127.0.0.1:8080"] for line in lines) and
                 any(line.split() == ["tags", "blue"] for line in lines) and any('{"build": 7}' in line for line in lines) and
                 any("registered  process" in line for line in lines))
    screen.type("\x1b")
    screen.shows("back", lambda lines: "NAME" in lines[4])
    screen.type("\x1b")
    screen.shows("all again", lambda lines: "4 of 4 shown" in lines[3])
    screen.type("/zzz\r")
    screen.shows("nothing matches", lambda lines: "nothing matches" in lines[5])
    screen.type("d")
    screen.shows("nothing to drain", lambda lines: "nothing is selected" in lines[23])
    screen.type("\x1b")
    screen.type("?")
    screen.shows("help", lambda lines: any("PgUp, PgDn" in line for line in lines))
    screen.type("?")
    screen.shows("no help", lambda lines: "NAME" in lines[4])

    screen.resize(60, 200)
    lines = screen.shows("a larger terminal", lambda lines: "q quit" in lines[59] and "NODE" in lines[4])
    check("with the node", "stage" in row_of(lines, "web-1"), row_of(lines, "web-1"))
    screen.resize(5, 30)
    screen.shows("a tiny one", lambda lines: "q quit" in lines[4] and lines[0].startswith("commy top"))
    screen.resize(24, 80)
    screen.shows("and back", lambda lines: row_of(lines, "web-1") and "q quit" in lines[23])
    screen.type("q")
    check("quits", screen.end() == 0)


def comes_and_goes(mesh):
    screen = Screen(24, 80, "--interval", "200")
    screen.shows("what is there", lambda lines: row_of(lines, "web-1"))
    mesh.register(b"late", b"late-1")
    screen.shows("what comes", lambda lines: row_of(lines, "late-1"))
    lib.commy_unregister_service(mesh.handle, b"late-1")
    screen.shows("what goes", lambda lines: row_of(lines, "web-1") and not row_of(lines, "late-1"))
    for i in range(40):
        mesh.register(b"many", b"many-%02d" % i)
    screen.type("ssss")
    screen.shows("more than fit", lambda lines: "44 of 44" in lines[3] and row_of(lines, "many-00"))
    screen.type("G")
    screen.shows("the last", lambda lines: row_of(lines, "web-2") and not row_of(lines, "many-00"))
    screen.type("g")
    screen.shows("the first", lambda lines: row_of(lines, "db-1") and not row_of(lines, "web-2"))
    os.kill(screen.process, signal.SIGTERM)
    check("ends in order when it is told to", screen.end() == 0)


def strange(mesh):
    mesh.register("web-naïve".encode(), "naïve-1".encode())
    screen = Screen(24, 80, "web-naïve", "--interval", "200")
    screen.shows("any letters", lambda lines: row_of(lines, "naïve-1").startswith("web-naïve"))
    screen.type("q")
    check("quits", screen.end() == 0)
    os.chmod(os.path.join(os.environ["COMMY_DIR"], "default"), 0o400)
    screen = Screen(24, 80, "web", "--interval", "200")
    screen.shows("read-only", lambda lines: row_of(lines, "web-1"))
    screen.type("d")
    if os.geteuid() != 0:
        screen.shows("says why not", lambda lines: "read-only" in lines[23])
    screen.type("q")
    check("quits", screen.end() == 0)
    os.chmod(os.path.join(os.environ["COMMY_DIR"], "default"), 0o600)
    screen = Screen(24, 80, "web", "--interval", "200")
    screen.shows("a table", lambda lines: row_of(lines, "web-1"))
    commy("rm", "default", "--force")
    check("a mesh that is removed", screen.end() == 2)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="commy-top-") as place:
        os.environ["COMMY_DIR"] = place
        os.environ.pop("COMMY_MESH", None)
        mesh = Mesh()
        tags = (ctypes.c_char_p * 1)(b"blue")
        for name, ident in ((b"web", b"web-1"), (b"web", b"web-2"), (b"db", b"db-1"), (b"mail", b"mail-1")):
            mesh.register(name, ident, tags=tags, tag_count=1, metadata=b'{"build": 7}')
        once(mesh)
        bad_input()
        help_text = commy("top", "--help").stdout
        check("help", "Keys:" in help_text, help_text)
        if sys.argv[1:] != ["--once"]:
            unknown_terminal()
            screens(mesh)
            comes_and_goes(mesh)
            strange(mesh)
        lib.commy_destroy_mesh(mesh.handle)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
