"""One case of cases.json in one language: its steps, and what is expected of them."""

import collections
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time

from driver import DriverError, namespace

EVENTUALLY_S = 10


class Unexpected(Exception):
    """A step came to something else."""


class Unable(Exception):
    """This host does not let the case be made."""


def agree(expected, got, where=""):
    """Every value in `expected` is in `got`: objects may have more fields, lists are as long."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return all(key in got and agree(value, got[key], f"{where}.{key}") for key, value in expected.items())
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(agree(e, g) for e, g in zip(expected, got))
    return expected == got and isinstance(expected, bool) == isinstance(got, bool)


def in_any_order(expected, got):
    left = list(got)
    for one in expected:
        match = next((candidate for candidate in left if agree(one, candidate)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


CHECKS = {
    "value": lambda expected, got: agree(expected, got) and agree(got, expected),
    "subset": agree,
    "any_order": lambda expected, got: isinstance(got, list) and in_any_order(expected, got),
    "length": lambda expected, got: isinstance(got, list) and len(got) == expected,
    "match": lambda expected, got: isinstance(got, str) and re.search(expected, got) is not None,
    "between": lambda expected, got: isinstance(got, str) and expected[0] <= int(got) <= expected[1],
    "greater": lambda expected, got: isinstance(got, str) and int(got) > int(expected),
    "close": lambda expected, got: all(low <= got[key] <= high for key, (low, high) in expected.items()),
}


def judge(answer, expect):
    """None, or what is wrong with an answer."""
    code = expect.get("code", 0)
    if answer["code"] not in (code if isinstance(code, list) else [code]):
        return f"code {answer['code']} ({answer.get('message', 'success')}), not {code}"
    for words in expect.get("message", []):
        if words not in answer["message"]:
            return f"the sentence {answer['message']!r} does not say {words!r}"
    for kind, expected in expect.items():
        if kind not in ("code", "message", "tally") and not CHECKS[kind](expected, answer.get("value")):
            return f"value {answer.get('value')!r}, expected {kind} {expected!r}"
    return None


class Case:
    """Runs one case; `record(call, code, wrong)` is told of every call."""

    def __init__(self, language, description, commy, record):
        self.language, self.description, self.commy, self.record = language, description, commy, record
        self.directory = tempfile.mkdtemp(prefix="commy-conformance-", dir="/dev/shm")
        self.variables = {"DIR": self.directory}
        self.drivers, self.all_drivers, self.pending, self.listeners = {}, [], {}, {}

    def run(self):
        """None, or what went wrong."""
        try:
            for step in self.description["steps"]:
                self.step(step)
            for name, driver in self.drivers.items():
                status = driver.end()
                if status != 0:
                    raise Unexpected(f"process {name} ended with {status}: {''.join(driver.complaints)[-500:]}")
            return None
        except (Unexpected, DriverError) as problem:
            return str(problem)
        finally:
            for listener in self.listeners.values():
                listener.close()
            for driver in self.all_drivers:
                driver.kill()
            shutil.rmtree(self.directory, ignore_errors=True)

    def exchanged(self):
        return [line for driver in self.all_drivers for line in driver.exchanged]

    # -------------------------------------------------------------------------------------------------------- values

    def resolve(self, value):
        """A value of the table with variables and repetitions put in."""
        if isinstance(value, dict):
            if list(value) == ["$repeat"]:
                piece, times = value["$repeat"]
                return self.resolve(piece) * times
            if list(value) == ["$join"]:
                return "".join(self.resolve(value["$join"]))
            return {key: self.resolve(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolve(one) for one in value]
        if not isinstance(value, str):
            return value
        added = re.fullmatch(r"\$\{(\w+)\}\+(\d+)", value)
        if added:
            return int(self.variables[added[1]]) + int(added[2])
        whole = re.fullmatch(r"\$\{(\w+)\}", value)
        if whole:
            return self.variables[whole[1]]
        return re.sub(r"\$\{(\w+)\}", lambda found: str(self.variables[found[1]]), value)

    def save(self, names, value):
        for variable, field in names.items():
            self.variables[variable] = value[field] if field else value

    # --------------------------------------------------------------------------------------------------------- steps

    def process(self, name):
        if name not in self.drivers:
            self.start(name)
        return self.drivers[name]

    def start(self, name, under=None):
        if under and not namespace():
            raise Unable("this host lets its users mount nothing")
        self.drivers[name] = self.language.start(self.directory, under)
        self.all_drivers.append(self.drivers[name])

    def step(self, step):
        if "call" in step:
            self.call(step)
        elif "for" in step:
            variable, low, high = step["for"]
            for i in range(low, high):
                self.variables[variable] = i
                for inner in step["steps"]:
                    self.step(inner)
        elif "join" in step:
            driver, call = self.pending.pop(step["join"])
            self.conclude(call, driver.receive(), step)
        elif "eventually" in step:
            self.eventually(step["eventually"])
        elif "start" in step:
            self.start(step["start"], step.get("under"))
        elif "kill" in step:
            self.drivers.pop(step["kill"]).kill()
        elif "end" in step:
            status = self.drivers.pop(step["end"]).end()
            if status != 0:
                raise Unexpected(f"process {step['end']} ended with {status}")
        else:
            self.around(step)

    def call(self, step):
        driver, call, args = self.process(step.get("who", "main")), step["call"], self.resolve(step.get("args", {}))
        if "async" in step:
            driver.send(call, args)
            self.pending[step["async"]] = (driver, call)
            return
        answers = [driver.ask(call, args) for _ in range(step.get("times", 1))]
        for answer in answers:
            self.conclude(call, answer, step)
        for field, counts in step.get("expect", {}).get("tally", {}).items():
            tally = collections.Counter(str(answer["value"][field]) for answer in answers)
            if set(tally) - set(counts) or any(not low <= tally[v] <= high for v, (low, high) in counts.items()):
                self.record(call, 0, "tally")
                raise Unexpected(f"{call}: {field} {dict(tally)}, expected {counts}")

    def conclude(self, call, answer, step):
        wrong = judge(answer, self.resolve(step.get("expect", {})))
        self.record(call, answer["code"], wrong)
        if wrong:
            raise Unexpected(f"{call}({self.resolve(step.get('args', {}))}): {wrong}"[:2000])
        self.save(step.get("save", {}), answer.get("value"))

    def eventually(self, step):
        driver, call, args = self.process(step.get("who", "main")), step["call"], self.resolve(step.get("args", {}))
        end = time.monotonic() + EVENTUALLY_S
        while True:
            answer = driver.ask(call, args)
            if judge(answer, self.resolve(step.get("expect", {}))) is None or time.monotonic() > end:
                return self.conclude(call, answer, step)
            time.sleep(0.01)

    def around(self, step):
        """What happens around the process: files, limits, the command."""
        (what, value), = ((key, value) for key, value in step.items() if key != "who")
        value = self.resolve(value)
        if what == "command":
            done = subprocess.run([self.commy, value[0], "--dir", self.directory, *value[1:]], text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.language.environment)
            if done.returncode != 0:
                raise Unexpected(f"commy {' '.join(value)} ended with {done.returncode}: {done.stdout}")
        elif what == "write":
            path, offset, hexadecimal = value
            with open(path, "r+b" if os.path.exists(path) else "wb") as file:
                file.seek(offset)
                file.write(bytes.fromhex(hexadecimal))
        elif what == "copy":
            shutil.copyfile(*value)
        elif what == "chmod":
            os.chmod(value[0], int(value[1], 8))
        elif what == "listen":
            self.listen(value)
        elif what == "hang up":
            self.listeners.pop(value).close()
        elif what == "sleep_ms":
            time.sleep(value / 1000)
        elif what == "limit":
            self.limit(self.process(step.get("who", "main")), value)
        else:
            raise Unexpected(f"cases.json has a step {what!r}, which nobody knows")

    def listen(self, variable):
        """Accepts connections at a port of its own; at the same again, where the variable has one."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.variables.get(variable, 0)))
        listener.listen(64)
        self.variables[variable] = listener.getsockname()[1]
        self.listeners[variable] = listener

    def limit(self, driver, limits):
        driver.ask("capabilities")  # it has started, and holds what it needs
        pid = driver.process.pid
        if "file_bytes" in limits:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limits["file_bytes"], limits["file_bytes"]))
        if "address_space_beyond" in limits:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                pages = int(file.read().split()[0])
            size = pages * resource.getpagesize() + limits["address_space_beyond"]
            resource.prlimit(pid, resource.RLIMIT_AS, (size, size))
