#!/usr/bin/env python3
"""What scripts/coverage prints: shares of lines and branches for each room, and what no test reached.

tests/coverage-exclusions.txt says how an exclusion is written.
"""

import collections
import json
import pathlib
import re
import sys

GOAL = 95.0


def read_exclusions(path):
    lines = collections.defaultdict(list)
    branches = collections.defaultdict(list)
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        file, text, reason = line.split(" | ")
        if not reason:
            sys.exit(f"{path}: no reason: {line}")
        kind = lines
        if file.startswith("branches "):
            kind, file = branches, file.removeprefix("branches ")
        file, _, function = file.partition(":")
        kind[file].append((function, text))
    return lines, branches


def statement(source, number):
    """Line numbers from this one on to the end of its statement."""
    end = number
    while end < len(source) and not source[end - 1].split("/*")[0].rstrip().endswith((";", "{", "}", ":")):
        end += 1
    return range(number, end + 1)


def body(source, function):
    """Line numbers of a function, as clang-format leaves it: from its name to a brace at the margin."""
    if not function:
        return range(1, len(source) + 1)
    begin = next((number for number, line in enumerate(source, 1)
                  if re.match(rf"\S.*\b{function}\(", line) and not line.endswith(";")), None)
    if begin is None:
        sys.exit(f"there is no function {function}")
    return range(begin, next(number for number in range(begin, len(source) + 1) if source[number - 1] == "}") + 1)


def excused(source, entries, used):
    numbers = set()
    for function, text in entries:
        for number in body(source, function):
            if text in source[number - 1]:
                numbers.update(statement(source, number))
                used.add((function, text))
    return numbers


def main():
    directory, exclusions, show_branches = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3] == "yes"
    library = json.loads((directory / "library.json").read_text())["files"]
    elsewhere = collections.defaultdict(list)
    for copy in directory.glob("copy-*.json"):
        for file in json.loads(copy.read_text())["files"]:
            for line in file["lines"]:
                elsewhere[file["file"], line["line_number"]].append(line)
    line_texts, branch_texts = read_exclusions(exclusions)
    rooms = collections.defaultdict(collections.Counter)
    unexplained, unused = [], []
    for file in library:
        path = file["file"]
        room = rooms[path.split("/")[1]]
        source = pathlib.Path(path).read_text().splitlines()
        used = set()
        no_line, no_branch = excused(source, line_texts[path], used), excused(source, branch_texts[path], used)
        unused += [f"{path}: {entry}" for entry in line_texts[path] + branch_texts[path] if entry not in used]
        for line in file["lines"]:
            number = line["line_number"]
            if line.get("gcovr/noncode"):
                continue
            others = elsewhere[path, number]
            reached = line["count"] > 0 or any(other["count"] for other in others)
            branches = [branch["count"] for branch in line["branches"]]
            for other in others:
                if len(other["branches"]) == len(branches):
                    branches = [count + branch["count"] for count, branch in zip(branches, other["branches"])]
            room["lines"] += 1
            room["reached"] += reached
            room["lines excused"] += not reached and number in no_line
            if not reached and number not in no_line and not path.startswith("src/ffi/"):
                unexplained.append(f"{path}:{number}: {source[number - 1].strip()}")
            missed = branches.count(0)
            room["branches"] += len(branches)
            room["taken"] += len(branches) - missed
            excuse = number in no_line or number in no_branch
            room["branches excused"] += missed if excuse else 0
            if show_branches and missed and not excuse and line["count"]:
                print(f"  {path}:{number}: {missed} of {len(branches)} branches never taken: {source[number - 1].strip()}")
    failed = bool(unexplained)
    total = collections.Counter()
    for name in [name for name in sorted(rooms) if name != "ffi"] + ["core", "ffi"]:
        room = total if name == "core" else rooms[name]
        if name not in ("core", "ffi"):
            total.update(room)
        share = 100 * room["reached"] / room["lines"]
        failed |= name != "ffi" and share < GOAL
        print(f"{name:9} lines {room['reached']:5} of {room['lines']:5} = {share:5.1f} % ({room['lines excused']} excused), "
              f"branches {room['taken']:5} of {room['branches']:5} = {100 * room['taken'] / room['branches']:5.1f} %, "
              f"{100 * (room['taken'] + room['branches excused']) / room['branches']:5.1f} % with those excused")
    for line in unexplained:
        print(f"  never reached, and not explained: {line}")
    for text in unused:
        print(f"  an exclusion that excludes nothing: {text}")
    return 1 if failed or unused else 0


if __name__ == "__main__":
    sys.exit(main())
