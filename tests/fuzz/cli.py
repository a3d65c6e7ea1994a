#!/usr/bin/env python3
"""The command line under any arguments, any metadata and any region: it never crashes, never hangs, answers with an exit
code that its help names, prints JSON where JSON was asked for, and sends no control character to a terminal.

    cli.py [--cases N] [--seed S] [--images REPLAY CORPUS] [--every N]        $COMMY_TOOL: the command

Half of the cases are command lines out of odd words, a quarter are metadata that must come back as they went in or be
refused, and a quarter are a region whose bytes were changed, shown by every subcommand that shows something. The same
seed makes the same cases. With --images also every Nth image of a corpus (replay.c), as `dump` shows files. The last
line is "N passed, N failed".
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

TOOL = os.environ["COMMY_TOOL"]
SHOWS = (["ls"], ["ls", "web"], ["get", "web-1"], ["stat"], ["stat", "web"], ["stat", "--id", "web-1"], ["nodes"],
         ["meshes"], ["check"], ["dump"], ["dump", "--records"], ["dump", "--check", "--records"],
         ["wait", "web", "--timeout", "1"], ["select", "web"], ["select", "web", "-n", "3", "--policy", "weighted"],
         ["select", "web", "--client", "me"], ["select", "web", "--policy", "random"],
         ["select", "web", "--policy", "least-connections", "--tag", "blue"],
         ["select", "web", "--policy", "performance", "--version", "1", "--prefer-zone", "eu-1"],
         ["check-health", "web-1", "--timeout", "50"], ["timeline"],
         ["timeline", "--since", "5m", "--id", "web-1", "--name", "web"], ["top", "--once", "--interval", "100"])
CHANGES = (["drain", "web-1", "--timeout", "60"], ["set", "web-1", "--enabled"],
           ["set", "web-1", "--weight", "7"], ["set", "web-2", "--meta", "{}"], ["heartbeat", "lease"],
           ["unregister", "web-1"], ["reap"],
           ["register", "--detached", "--ttl", "60000", "--name", "web", "--id", "web-9", "--endpoint", "h", "--port",
            "1"])

# Sentences of the C library's option parser, which quotes what it was given as it was given.
LIBC_SAYS = (b"unrecognized option", b"invalid option", b"is ambiguous", b"doesn't allow an argument")

outcomes = collections.Counter()
held = collections.Counter()
broken = collections.Counter()


def hold(what, good, detail):
    held[what] += 1
    if good:
        return
    broken[what] += 1
    if broken[what] <= 5:
        print(f"  violated: {what}: {detail}", flush=True)


def allowed(arguments):
    """Exit codes that a subcommand may answer with; see its help."""
    command = next((word for word in arguments if word in COMMANDS), None)
    codes = {0, 1, 2, 64}
    if command in ("wait", "drain"):
        codes |= {124}
    if command in ("wait", "run") and b"--" in [os.fsencode(word) for word in arguments]:
        codes |= {3, 124, 125, 126, 127}  # 3: what the child of these cases ends with
    return codes


def is_json(text, lines):
    try:
        for part in text.splitlines() if lines else [text]:
            json.loads(part)
        return True
    except ValueError:
        return False


def is_utf8(text):
    try:
        text.decode()
        return True
    except UnicodeDecodeError:
        return False


def run(directory, arguments, seconds=1):
    """One call. What does not end by itself is told to stop, as a person would with ^C."""
    environment = {"PATH": os.environ["PATH"], "COMMY_DIR": directory, "COMMY_MESH": "m", "LC_ALL": "C.UTF-8"}
    environment |= {name: value for name, value in os.environ.items() if "SAN_OPTIONS" in name}
    child = subprocess.Popen([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=environment, cwd=directory)
    stopped = False
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        stopped = True
        child.send_signal(signal.SIGTERM)
        try:
            out, err = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            hold("it ends when it is told to", False, arguments)
            return 0, b""
    code = child.returncode
    where = f"{arguments!r}: {code}, {err[-300:]!r}"
    outcomes["stopped" if stopped else code] += 1
    hold("it ends when it is told to", True, where)
    crashed = code < 0 and not (stopped and code == -signal.SIGTERM)
    hold("it does not crash", not crashed and b"Sanitizer" not in err and b"runtime error" not in err, where)
    if not stopped:
        hold("its exit code is one that its help names", code in allowed(arguments), where)
        hold("a failure has a sentence", code in (0, 1, 3, 124) or err.strip() != b"", where)
    ran_other = any(os.fsencode(word) == b"--" for word in arguments)
    for name, stream in ("stdout", out), ("stderr", err):
        if not ran_other and not any(part in err for part in LIBC_SAYS):
            hold("no control character comes out", not any(ord(char) < 32 and char != "\n" or 127 <= ord(char) < 160
                                                           for char in stream.decode(errors="replace")),
                 f"{name} of {where}: {stream[:200]!r}")
            hold("what comes out is UTF-8", is_utf8(stream), f"{name} of {where}: {stream[:200]!r}")
    if "--json" in arguments and code in (0, 1) and out and not ran_other and not {"--help", "--usage"} & set(arguments):
        hold("JSON is JSON", is_json(out, bool({"watch", "--follow", "-f"} & set(arguments))), f"{where} {out[:200]!r}")
    return code, out


COMMANDS = ("create", "rm", "meshes", "ls", "get", "select", "breaker", "check-health", "monitor", "stat", "nodes", "register", "unregister", "heartbeat", "set",
            "drain", "run", "wait", "watch", "timeline", "top", "dump", "reap", "check", "doctor", "help")
OPTIONS = ("--prefer-zone", "--wait", "--enabled", "--draining", "--maintenance", "--policy", "--client", "--mesh", "--dir", "--json", "--help", "--version", "--capacity", "--group", "--mode", "--records", "--check",
           "--tag", "--zone", "--healthy", "--node", "--detached", "--force", "--weight", "--meta", "--health",
           "--admin", "--id", "-n", "--count", "--timeout", "--name", "--endpoint", "--port", "--ttl", "--usage", "-r",
           "-x", "--follow", "-f", "--since", "--interval", "--once", "--no-such-option", "--")
WORDS = (b"", b"m", b"web", b"web-1", b"-", b"--", b".", b"..", b"/", b"/dev/null", b"/nonexistent", b"a/b", b"0", b"1",
         b"-1", b"16", b"65535", b"65536", b"4294967296", b"18446744073709551616", b"1e3", b"0x10", b" 7", b"7 ", b"+7",
         b"nan", b"0600", b"0660", b"0777", b"root", b"nobody-of-that-name", b"enabled", b"healthy", b"\xff\xfe",
         b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3\xa9t\xc3\xa9", b"\xe2\x80\xae", b"\x1b[31m", b"a\nb",
         b"a\tb", b"\x7f", b"\xc2\x9b", b"\xc2\x80q\xc2\x9f", b"%s%n%d", b"$(id)", b"'", b'"', b"{}", b'{"a":1}', b"[", b"null", b"a" * 63,
         b"a" * 64, b"a" * 127, b"a" * 128, b"a" * 255, b"a" * 256, b"a" * 4096, b"a" * 4097, b"a" * 100000,
         b"unix:/x", b"true", b"sh", b"/no/such/program", b"hash", b"weighted")

# What was found once.
FOUND = (["wait", "web", b"\x1b[31m", "1"], ["set", "web-1", b"\xc2\x9b31m", "7"],
         ["wait", "web", "--timeout", b"\xeb\t\xd1"], ["stat", "--json", b"\x7f"], ["stat", "--json", b"\xc2\x9b"])


def odd_word(chance):
    if chance.random() < 0.7:
        return chance.choice(WORDS)
    return bytes(chance.randrange(1, 256) for _ in range(chance.randrange(1, 20)))


def odd_line(chance):
    """Two in three make sense but for one word; the others need not make any."""
    if chance.random() < 0.33:
        line = [chance.choice(COMMANDS)]
        line += [chance.choice(OPTIONS) if chance.random() < 0.6 else odd_word(chance)
                 for _ in range(chance.randrange(7))]
    else:
        line = list(chance.choice(SHOWS + CHANGES + (
            ["register", "--detached", "--ttl", "1000", "--name", "w", "--id", "w-1", "--endpoint", "h", "--port", "9",
             "--tag", "t", "--zone", "z", "--version", "1", "--weight", "5", "--node", "n"],
            ["create", "--mesh", "x", "--capacity", "16"], ["rm", "x"], ["doctor"], ["watch", "web"],
            ["run", "--name", "r", "--port", "1", "--", "sh", "-c", "exit 3"],
            ["wait", "web", "-n", "1", "--timeout", "50", "--", "sh", "-c", "exit 3"])))
        end = line.index("--") if "--" in line else len(line)
        line[chance.randrange(1, end) if end > 1 else 0] = odd_word(chance)
    if chance.random() < 0.3:
        line.insert(1, "--json")
    # Elsewhere than in the directory of the test there is nothing to play with.
    return [word for word in line if not (word in ("--dir",))]


def any_json(chance, depth=0):
    kind = chance.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return None
    if kind == 1:
        return chance.choice((True, False))
    if kind == 2:
        return chance.choice((0, -1, 2**31, 2**53, -2**63, 2**63 - 1, 0.5, 1e300, -1e-300))
    if kind in (3, 4):
        return "".join(chance.choice("a\"\\/ \u00e9\u20ac\U0001f600{}[]:,") for _ in range(chance.randrange(12)))
    if kind in (5, 6):
        return {f"k{i}\u00fc": any_json(chance, depth + 1) for i in range(chance.randrange(4))}
    return [any_json(chance, depth + 1) for _ in range(chance.randrange(5))]


def metadata_case(directory, chance, number):
    """Registered, and shown again as it was; or refused, and nothing registered."""
    name = f"meta-{number}"
    value = any_json(chance)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode()
    sound = chance.random() < 0.6
    if not sound:
        place = chance.randrange(len(text) + 1)
        text = text[:place] + odd_word(chance) + text[place:]
        text = chance.choice((text, b"[" * 3000, b'{"a":' * 700, b'"' + b"x" * 5000 + b'"', b'{"a":1,"a":2}', b"\xff"))
    code, _ = run(directory, ["register", "--detached", "--ttl", "60000", "--name", "meta", "--id", name, "--endpoint",
                              "h", "--port", "1", "--meta", text], 20)
    fits = sound and len(text) <= 4096
    hold("sound metadata is taken", code == 0 or not fits, f"{text!r}: {code}")
    code, out = run(directory, ["get", "--json", name], 20)
    if fits:
        shown = json.loads(out).get("metadata") if code == 0 else None
        if isinstance(shown, str) and not isinstance(value, str):
            shown = json.loads(shown)
        hold("metadata comes back as it went in", shown == value, f"{text!r}: {out[-300:]!r}")


def set_up(directory):
    for arguments in (["create", "--capacity", "16"],
                      *(["register", "--detached", "--ttl", "3600000", "--name", "web", "--id", f"web-{i}", "--endpoint",
                         "127.0.0.1", "--port", str(8000 + i), "--tag", "t", "--meta", '{"i": %d}' % i] for i in (1, 2)),
                      ["register", "--detached", "--ttl", "3600000", "--name", "mail", "--id", "lease", "--endpoint",
                       "unix:/run/mail", "--zone", "north"]):
        code, _ = run(directory, arguments, 20)
        if code != 0:
            sys.exit(f"{arguments} ended with {code}")


def damaged_case(directory, chance, sound):
    """Some of the bytes that are in use, changed where they lie: the file stays the one that its header names."""
    used = [at for at in range(0, len(sound), 8) if sound[at:at + 8] != bytes(8)]
    content = bytearray(sound)
    for _ in range(chance.randrange(1, 40)):
        at = chance.choice(used) + chance.randrange(8)
        if at < 192 and chance.random() < 0.9:
            continue  # the header would refuse it
        content[at] = chance.choice((content[at] ^ 1 << chance.randrange(8), 0, 0xff, 0x1b, chance.randrange(256)))
    with open(f"{directory}/m", "r+b") as file:
        file.write(content)
    arguments = list(chance.choice(SHOWS if chance.random() < 0.75 else CHANGES))
    if chance.random() < 0.4:
        arguments.append("--json")
    run(directory, arguments, 20)


def show_images(directory, replay, corpus, every):
    """What a corpus stands for, as files; they are copies to the command, which only dump opens."""
    images = f"{directory}/images"
    os.mkdir(images)
    environment = {name: value for name, value in os.environ.items()}
    subprocess.run([replay, "--images", images, "--corpus", corpus], check=True, stdout=subprocess.DEVNULL,
                   env=environment)
    numbers = sorted(os.listdir(images), key=int)[::every]
    for number in numbers:
        for arguments in (["dump"], ["dump", "--check", "--records", "--json"]):
            code, out = run(directory, [*arguments, f"{images}/{number}"], 60)
            shown = code in (0, 1) and out.strip() != b"" or os.path.getsize(f"{images}/{number}") == 0
            hold("dump shows a file as far as it goes", shown, f"{arguments} {number}")
    print(f"{len(numbers)} images of a corpus were dumped")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", nargs=2, metavar=("REPLAY", "CORPUS"))
    parser.add_argument("--every", type=int, default=1)
    wanted = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="commy-cli-", dir="/dev/shm")
    try:
        set_up(directory)
        with open(f"{directory}/m", "rb") as file:
            sound = file.read()
        for arguments in FOUND:
            run(directory, arguments)
        for number in range(wanted.cases):
            chance = random.Random(wanted.seed * 1000003 + number)
            if number % 4 == 3:
                if not os.path.exists(f"{directory}/m"):  # an odd line may have removed it
                    set_up(directory)
                    with open(f"{directory}/m", "rb") as file:
                        sound = file.read()
                damaged_case(directory, chance, sound)
            elif number % 4 == 2:
                with tempfile.TemporaryDirectory(prefix="commy-cli-", dir="/dev/shm") as fresh:
                    metadata_case(fresh, chance, number)
            else:
                run(directory, odd_line(chance))
        if wanted.images:
            show_images(directory, *wanted.images, wanted.every)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{wanted.cases} cases from seed {wanted.seed}, {sum(outcomes.values())} calls; exit codes:",
          ", ".join(f"{code}: {count}" for code, count in sorted(outcomes.items(), key=str)))
    for what in held:
        print(f"{'FAILED' if broken[what] else 'ok    '} {what} (looked at {held[what]} times)")
    failed = sum(1 for what in held if broken[what])
    print(f"{len(held) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
