"""The matrix language x function, from the log of a run; and docs/conformance.md."""

import collections

TITLES = {"cpp": "C++", "go": "Go", "node": "Node.js", "python": "Python", "rust": "Rust"}


def cell(language, function, log):
    """How often a function was called and came to what was expected; or why that is not enough."""
    if not log.of("capability", language=language, call=function):
        return "missing"
    calls = log.of("call", language=language, call=function)
    if any(not call["ok"] for call in calls):
        return "failed"
    if not any(call["code"] == 0 for call in calls):
        return "untested"
    return str(len(calls))


def cells(table, languages, log):
    return {(language, function): cell(language, function, log) for function in table["functions"] for language in languages}


def gaps(table, languages, log):
    """What a language lacks, and what no case ever saw succeed."""
    return [key for key, value in cells(table, languages, log).items() if value in ("missing", "untested")]


def text(table, languages, log):
    made = cells(table, languages, log)
    width = max(map(len, table["functions"]))
    lines = [" " * width + "".join(f"{TITLES.get(one, one):>10}" for one in languages)]
    for function in table["functions"]:
        lines.append(f"{function:<{width}}" + "".join(f"{made[one, function]:>10}" for one in languages))
    return "\n".join("  " + line for line in lines)


def page(table, languages, log):
    made = cells(table, languages, log)
    titles = [TITLES.get(one, one) for one in languages]
    lines = ["# Conformance of the languages", "",
             "One table of calls (`tests/conformance/cases.json`) was given to the SDK of each language through its public API; "
             "`tests/conformance/run --write-docs`", "wrote this page from the log of a run in which nothing failed.", "",
             "## Functions", "",
             "How many calls came to what the table expects. A function that a language lacks, or that never succeeded, fails "
             "the run.", "",
             "| function | " + " | ".join(titles) + " |", "|---|" + "--:|" * len(titles)]
    lines += [f"| `{function}` | " + " | ".join(made[one, function] for one in languages) + " |"
              for function in table["functions"]]
    lines += ["", "`commy_free_string`, `commy_last_error` and `commy_last_error_message` are inside of every SDK: each error "
              "that the table", "expects was compared by its code, and has a sentence.", "", "## Cases", "",
              "| case | " + " | ".join(titles) + " |", "|---|" + ":-:|" * len(titles)]
    for case in table["cases"]:
        results = {entry["language"]: "yes" if entry["ok"] else "no" for entry in log.of("case", name=case["name"])}
        lines.append(f"| {case['name']} | " + " | ".join(results.get(one, "left out") for one in languages) + " |")
    lines += ["", "## Error codes", "", "How many calls came to each code, as the table expects them.", "",
              "| code | " + " | ".join(titles) + " |", "|--:|" + "--:|" * len(titles)]
    tally = collections.Counter((e["language"], e["code"]) for e in log.of("call") if e["ok"])
    for code in sorted({code for _, code in tally}):
        lines.append(f"| {code} | " + " | ".join(str(tally[one, code]) for one in languages) + " |")
    lines += ["", "Not among them: " + "; ".join(f"{code} ({why})" for code, why in table["not provoked"].items()) + ".", "",
              "## Between languages", "",
              "One process of each language in one mesh: each registers while all others wait for it, all read, count and select "
              "alike, then one", "after the other is killed while those that are left wait. Checks that passed:", "",
              "| " + " | ".join(titles) + " |", "|" + "--:|" * len(titles)]
    passed = collections.Counter(entry["language"] for entry in log.of("round") if entry["ok"])
    lines += ["| " + " | ".join(str(passed[one]) for one in languages) + " |", ""]
    return "\n".join(lines)
