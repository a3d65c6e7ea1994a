"""Drivers: building them, starting them, and one request at a time. What passes between is in README.md."""

import functools
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATIENCE_S = 30


class DriverError(Exception):
    """A driver that does not answer, or not as it should."""


class Language:
    """One language's driver."""

    def __init__(self, name, prefix, build):
        self.name = name
        self.place = HERE / "drivers" / name
        self.build_dir = pathlib.Path(build) / name
        library = f"{prefix}/lib"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("COMMY_")}
        for key in os.environ.keys() & {"COMMY_PYTHON"}:
            self.environment[key] = os.environ[key]
        packages = os.environ.get("PKG_CONFIG_PATH")
        self.environment.update(
            PREFIX=str(prefix), BUILD=str(self.build_dir), PYTHON=sys.executable,
            COMMY_LIBRARY_DIR=library, LD_LIBRARY_PATH=library,
            PKG_CONFIG_PATH=f"{library}/pkgconfig" + (f":{packages}" if packages else ""))

    def build(self):
        """The text of what went wrong; empty when nothing did."""
        self.build_dir.mkdir(parents=True, exist_ok=True)
        if not (self.place / "driver").exists():
            return f"{self.place} has no executable driver"
        if not (self.place / "build").exists():
            return ""
        done = subprocess.run([str(self.place / "build")], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout[-4000:] or f"ended with {done.returncode}"

    def start(self, directory, under=None):
        command = [str(self.place / "driver")]
        return Driver(self.name, (inside(under) if under else []) + command,
                      {**self.environment, "COMMY_DIR": str(directory)})


def inside(under):
    """A command that runs its arguments where the file system is as `under` says."""
    if "tmpfs" in under:
        mount = f'mount -t tmpfs -o size={under["tmpfs"]},mode=700 none "$COMMY_DIR"'
    else:
        mount = f'mount --bind /dev/null {under["empty_file"]}'
    return [*namespace(), "sh", "-c", f'{mount} && exec "$@"', "sh"]


@functools.cache
def namespace():
    """How this host lets its users mount; empty where it does not."""
    for how in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        test = subprocess.run([*how, "mount", "-t", "tmpfs", "none", "/mnt"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)
        if test.returncode == 0:
            return how
    return []


class Driver:
    """One process."""

    def __init__(self, language, command, environment):
        self.language = language
        self.exchanged = []
        self.sequence = 0
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, encoding="utf-8")
        self.answers = queue.Queue()
        self.complaints = []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=lambda: self.complaints.extend(self.process.stderr), daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def send(self, call, args):
        self.sequence += 1
        line = json.dumps({"seq": self.sequence, "call": call, "args": args})
        self.exchanged.append("> " + line)
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError:
            raise DriverError(f"the {self.language} driver is gone at {call}: {self._last_words()}") from None

    def receive(self, patience_s=PATIENCE_S):
        try:
            line = self.answers.get(timeout=patience_s)
        except queue.Empty:
            raise DriverError(f"the {self.language} driver does not answer within {patience_s} s: {self.exchanged[-1]}") \
                from None
        if line is None:
            raise DriverError(f"the {self.language} driver ended at {self.exchanged[-1]}: {self._last_words()}")
        self.exchanged.append("< " + line.rstrip("\n"))
        try:
            answer = json.loads(line)
        except ValueError:
            raise DriverError(f"the {self.language} driver wrote {line!r}, which is not JSON") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("code"), int) or answer.get("seq") != self.sequence:
            raise DriverError(f"the {self.language} driver answered {line!r} to {self.exchanged[-2]}")
        if answer["code"] != 0 and not answer.get("message"):
            raise DriverError(f"the {self.language} driver answered {line!r}, without a sentence")
        return answer

    def ask(self, call, args=None):
        self.send(call, args or {})
        return self.receive()

    def _last_words(self):
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        return f"status {self.process.poll()}, {''.join(self.complaints)[-1500:] or 'nothing on standard error'}"

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except (OSError, ValueError):
                pass

    def end(self):
        """Ends it as a user's program ends; its exit status."""
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise DriverError(f"the {self.language} driver does not end within {PATIENCE_S} s of its input") from None
