#!/usr/bin/env python3
"""What the commands say to somebody who errs: the value that was wrong, where it was looked for, a way out that is one.

    commands_tell.py        $COMMY_TOOL: the command

Each comparison is a test; the last line is "N passed, N failed".
"""

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

TOOL = os.environ["COMMY_TOOL"]
passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what} {detail}", flush=True)


def commy(directory, *arguments):
    return subprocess.run([TOOL, "--dir", directory, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30)


def tells(directory, code, words, *arguments):
    """The command ends with the code; its complaint has the words, and one line, or a second one that names --help."""
    done = commy(directory, *arguments)
    check(f"{arguments} ends with {code}", done.returncode == code, (done.returncode, done.stderr))
    check(f"{arguments} says {words!r}", words in done.stderr, done.stderr)
    return done


def register(directory, id, *more, name="web", endpoint="::1", code=0):
    """A detached service, with a TTL that this test does not live to see."""
    done = commy(directory, "register", "--detached", "--ttl", "600000", "--name", name, "--id", id, "--endpoint",
                 endpoint, *more)
    check(f"registering {id} at {endpoint} ends with {code}", done.returncode == code, done.stderr)
    return done.stderr


# ------------------------------------------------------------------- what is not there


def missing_mesh(directory):
    tells(directory, 1, f"no mesh absent in {directory}; `commy meshes` lists", "rm", "absent")
    tells(directory, 124, f"in mesh absent of {directory} after 0 ms: there is no such mesh", "--mesh", "absent",
          "wait", "web", "--timeout", "0")
    tells(directory, 124, f"in mesh absent of {directory} after 0 ms, and not > 1: there is no such mesh", "--mesh",
          "absent", "wait", "web>1", "--timeout", "0")
    tells(directory, 1, "no mesh absent", "--mesh", "absent", "select", "web")
    tells(directory, 1, f"no mesh absent in {directory}; `commy meshes` lists", "--mesh", "absent", "dump")
    nowhere = os.path.join(directory, "nowhere")
    tells(nowhere, 1, f"the directory {nowhere} is missing; make it with", "meshes")
    done = tells(directory, 2, "needs one of its own: give --mesh a new name", "--mesh", "default", "bench")
    check("bench does not have a mesh removed", "rm" not in done.stderr.split(), done.stderr)
    tells(directory, 127, "'' cannot be run", "run", "--name", "x", "--port", "1", "--", "")
    check("looking makes no mesh", "absent" not in os.listdir(directory))


def missing_names(directory):
    none = f"mesh default of {directory} has no instance of nobody; `commy ls` shows what it has"
    for command in (["ls"], ["stat"], ["top", "--once", "--interval", "100"]):
        tells(directory, 1, none, *command, "nobody")
        done = commy(directory, "--json", *command, "nobody")
        check(f"{command} --json ends with 1", done.returncode == 1, done.returncode)
        check(f"{command} --json is JSON, and no complaint", json.loads(done.stdout) is not None and not done.stderr,
              done.stderr)
    tells(directory, 1, "no instance of web that fits;", "ls", "web", "--zone", "nowhere")
    tells(directory, 1, "no instance of mail that fits;", "stat", "mail", "--id", "web-1")
    tells(directory, 1, f"in mesh default of {directory}; `commy ls` shows which have", "select", "nobody")
    done = tells(directory, 124, f"in mesh default of {directory} after 0 ms", "wait", "nobody", "--timeout", "0")
    check("a mesh that is there is not said to be missing", "no such mesh" not in done.stderr, done.stderr)


# ------------------------------------------------------------------- what is wrong


def conditions(directory):
    for condition in (">=2", "=1", " != 1", "x" * 64 + ">=1"):
        tells(directory, 64, f"condition '{condition}' has no name", "wait", condition)
    tells(directory, 124, "0 of 1 instances of >=2 are up", "wait", ">=2", "-n", "1", "--timeout", "0")


def selecting(directory):
    for option, most in (("--client", 255), ("--tag", 31), ("--version", 31), ("--zone", 31), ("--prefer-zone", 31)):
        text = "x" * (most + 1)
        tells(directory, 64, f"{option} '{text}' has {most + 1} bytes: give 1 to {most}", "select", "web", option, text)
        tells(directory, 64, f"{option} '' has 0 bytes", "select", "web", option, "")


def breakers(directory):
    tells(directory, 2, "--longest 10 is less than --open, which is 20: give that or more", "breaker", "--open", "20",
          "--longest", "10")
    tells(directory, 2, "--longest 10 is less than --open, which is 5000", "breaker", "--longest", "10")
    check("what is refused changes nothing", "off" in commy(directory, "breaker").stdout)
    check("an --open beyond --longest raises that", commy(directory, "breaker", "--open", "400000").returncode == 0)
    check("what was given holds", json.loads(commy(directory, "breaker", "--json").stdout)["open_ms"] == 400000)


def arguments(directory):
    tells(directory, 64, "'extra' is one argument too many", "timeline", "extra")


def metadata(directory):
    error = register(directory, "m", "--port", "1", "--meta", "word", code=64)
    check("a bare word is told to be quoted", "double quotes" in error, error)
    error = register(directory, "m", "--port", "1", "--meta", "{", code=64)
    check("no other text is", "not JSON" in error and "quotes" not in error, error)
    register(directory, "m", "--port", "1", "--meta", '{"nul": "\\u0000"}')
    got = json.loads(commy(directory, "get", "m", "--json").stdout)
    check("a NUL in JSON is one", got["metadata"] == {"nul": "\0"}, got)


# ------------------------------------------------------------------- endpoints


def sockets(directory):
    for endpoint in ("unix:", "unix:relative"):
        error = register(directory, "s", endpoint=endpoint, code=64)
        check(f"{endpoint} is no socket", f"--endpoint '{endpoint}' names no socket: give unix:/path" in error, error)
    register(directory, "s-1", "--port", "80", name="sock", endpoint="unix:/run/s")
    check("a socket has no port", commy(directory, "select", "sock").stdout == "unix:/run/s\n")
    register(directory, "s-2", name="sock", endpoint="unix:/run/t")
    error = register(directory, "s-2", "--port", "1", code=2)
    check("nor in a complaint", "a detached registration of unix:/run/t; unregister" in error, error)
    tells(directory, 125, "id s-2 is taken by a detached registration;", "run", "--name", "x", "--id", "s-2", "--port",
          "1", "--", "true")


# ------------------------------------------------------------------- files


def no_regions(directory):
    for name, content in (("text", b"hello\n"), ("empty", b"")):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(content)
        done = tells(directory, 2, "not a region", "create", name)
        check("nobody is told to attach to it", "attach" not in done.stderr, done.stderr)
    tells(directory, 2, "mesh default exists in", "create", "default")
    check("files that are no regions stay", {"text", "empty"} <= set(os.listdir(directory)))


def places(directory):
    """Of directories that may not be used, for whoever is not root."""
    open_to_all = os.path.join(directory, "tmp")
    os.mkdir(open_to_all)
    os.chmod(open_to_all, 0o1777)
    done = tells(open_to_all, 2, "make one below it with `mkdir -m 0700`", "ls")
    check("nobody is told to close /tmp", "chmod" not in done.stderr, done.stderr)
    if os.geteuid() != 0:
        return
    commy(directory, "--mesh", "mine", "create")
    os.chmod(directory, 0o755)
    for code, words, arguments in (
        (2, "its owner can open it to a group with `chgrp` and `chmod 0640`", ["--mesh", "mine", "ls"]),
        (2, "user 65534 may not write there; ask its owner, or name another directory", ["create", "theirs"]),
    ):
        as_nobody(directory, code, words, arguments)
    os.chown(os.path.join(directory, "mine"), 0, 65534)
    os.chmod(os.path.join(directory, "mine"), 0o640)
    as_nobody(directory, 0, "", ["--mesh", "mine", "ls"])
    os.chmod(directory, 0o700)
    as_nobody(directory, 2, "user 65534 may not enter that directory; ask its owner", ["ls"])


def as_nobody(directory, code, words, arguments):
    done = subprocess.run([TOOL, "--dir", directory, *arguments], capture_output=True, text=True, timeout=30,
                          user=65534, group=65534, extra_groups=[])
    check(f"{arguments} of nobody ends with {code}", done.returncode == code, (done.returncode, done.stderr))
    check(f"{arguments} of nobody says {words!r}", words in done.stderr, done.stderr)


# ------------------------------------------------------------------- time


def draining(directory):
    done = commy(directory, "drain", "web-1", "--timeout", "0")
    check("what is idle is drained, however short the time", done.returncode == 0, done.stderr)
    check("it can be enabled", commy(directory, "set", "web-1", "--enabled").returncode == 0)


def interrupted(directory):
    child = subprocess.Popen([TOOL, "--dir", directory, "bench", "--seconds", "60"], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while f"bench-{child.pid}" not in os.listdir(directory) and time.monotonic() < end:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=30)
    check("bench says that it was stopped", "stopped by a signal" in error, error)


# ------------------------------------------------------------------- width


def widths(directory):
    """A table fits the terminal, in a locale that has not all the characters, too."""
    register(directory, "größe-1", "--port", "1", "--zone", "zöne", name="wéb")
    for locale in ("C", "C.UTF-8"):
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        subprocess.run([TOOL, "--dir", directory, "ls", "wéb"], stdin=slave, stdout=slave, timeout=30, check=False,
                       env=dict(os.environ, LC_ALL=locale, NO_COLOR="1"))
        lines = os.read(master, 65536).decode().splitlines()
        os.close(slave)
        os.close(master)
        check(f"two lines of up to 80 in {locale}", len(lines) == 2 and max(map(len, lines)) <= 80, lines)


# ------------------------------------------------------------------- completion

COMPLETE = """source "$1"; shift; COMP_WORDS=(commy "$@"); COMP_CWORD=$#; _commy 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(*words):
    """What bash offers for the last of the words."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "completions", "commy.bash")
    done = subprocess.run(["bash", "-c", COMPLETE, "bash", script, *words], capture_output=True, text=True, timeout=30,
                          env=dict(os.environ, PATH=f"{os.path.dirname(TOOL)}:{os.environ['PATH']}"))
    return set(done.stdout.split())


def completion(directory):
    listed = commy(directory, "--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    commands = {line.split()[0] for line in listed.splitlines()}
    check("every command is offered", completed("") == commands | {"help"}, completed("") ^ commands)
    for command in sorted(commands):
        help = commy(directory, command, "--help").stdout
        options = set(re.findall(r"^ +(?:-., )?(--[a-z-]+)", help, re.MULTILINE)) - {"--usage"}
        offered = completed(command, "--")
        check(f"{command}: what is offered is what there is", offered == options, offered ^ options)
    for command in ("ls", "select", "stat", "wait", "watch", "top", "monitor"):
        check(f"{command}: names are offered", "web" in completed("--dir", directory, command, "we"))
    check("--check of dump has no value", "tcp" not in completed("dump", "--check", ""))
    check("--check of run has one", "tcp" in completed("run", "--check", ""))


# ------------------------------------------------------------------- the manual


def manual(directory):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "man", "commy.1.scd")) as page:
        text = page.read()
    synopses = re.findall(r"^\*([a-z-]+)\*", text, re.MULTILINE)
    for command in sorted(completed("") - {"help"}):
        check(f"{command} is in the manual", command in synopses)
        help = commy(directory, command, "--help").stdout
        for option in set(re.findall(r"^ +(?:-., )?(--[a-z-]+)", help, re.MULTILINE)) - {"--usage", "--count"}:
            check(f"{command} {option} is in the manual", re.search(rf"{option}(?![a-z-])", text))
    child = subprocess.Popen([TOOL, "--dir", directory, "register", "--name", "here", "--id", "here", "--endpoint",
                              "::1", "--port", "1"], stdout=subprocess.PIPE)
    child.stdout.readline()
    for command in ("ls", "get here", "nodes", "meshes", "stat", "stat here", "doctor", "reap", "timeline", "breaker",
                    "breaker here", "create other", "select here", "top --interval 100", "check-health here"):
        shown = json.loads(commy(directory, *command.split(), "--json").stdout)
        for one in shown if isinstance(shown, list) else [shown]:
            wanting = [key for key in one if f"_{key}_" not in text]
            check(f"the keys of {command} are in the manual", not wanting, wanting)
    child.terminate()
    child.communicate(timeout=30)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="commy-test-") as directory:
        os.chmod(directory, 0o700)
        register(directory, "web-1", "--port", "80")
        for part in (missing_mesh, missing_names, conditions, selecting, breakers, arguments, metadata, sockets,
                     no_regions, widths, completion, manual, draining, interrupted, places):
            part(directory)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
