#!/usr/bin/env python3
"""Reads what commy-bench measured; prints tables and verdicts, and draws plots.

    report.py FILE             everything that was measured, then the verdicts
    report.py --verdict FILE   only the verdicts: measured ratio, target, met or missed
    report.py --plot FILE      draws FILE's plots beside it, as SVG (needs gnuplot)

A ratio is one of medians of the same run. A row that the run has no figure for is "not measured", with the reason.
"""

import json
import pathlib
import shutil
import subprocess
import sys

IN_PROCESS = ("ck_ht", "cds_lfht")
CONTENDERS = ("commy", "commy-ffi", "ck_ht", "cds_lfht", "boost", "lmdb", "redis", "etcd", "memory")
LARGE, MIDDLE, SMALL = 1_000_000, 65_536, 1_000


class Run:
    """One file of results, by workload, contender, size, workers and instances."""

    def __init__(self, path: str):
        with open(path, encoding="utf-8") as file:
            self.data = json.load(file)
        self.figures = {
            (f["workload"], f["contender"], f["size"], f["workers"], f["instances"]): f for f in self.data["results"]
        }
        self.cpus = self.data["machine"]["cpus"]

    def figure(self, workload, contender, size, workers=1, instances=0):
        return self.figures.get((workload, contender, size, workers, instances))

    def ns(self, *where, field="ns", **more):
        figure = self.figure(*where, **more)
        return figure.get(field) if figure else None

    def sizes(self, workload):
        return sorted({f["size"] for f in self.data["results"] if f["workload"] == workload})

    def crowds(self, workload, size):
        return sorted({f["workers"] for f in self.data["results"] if (f["workload"], f["size"]) == (workload, size)})

    def memory(self, contender, size):
        for entry in self.data["memory"]:
            if (entry["contender"], entry["size"]) == (contender, size):
                return entry["bytes"]
        return None


# ------------------------------------------------------------------------------------------------------------ verdicts


class Verdicts:
    """Rows of the table: what, measured, target, and whether it is met."""

    def __init__(self):
        self.rows = []

    def at_most(self, what, measured, target, unit="x"):
        self.add(what, measured, "<=", target, unit, lambda value: value <= target)

    def at_least(self, what, measured, target, unit="x"):
        self.add(what, measured, ">=", target, unit, lambda value: value >= target)

    def add(self, what, measured, sign, target, unit, holds):
        if measured is None:
            self.rows.append((what, "-", f"{sign} {show(target)}{unit}", "not measured"))
            return
        self.rows.append(
            (what, f"{show(measured)}{unit}", f"{sign} {show(target)}{unit}", "met" if holds(measured) else "MISSED")
        )

    def count(self, verdict):
        return sum(1 for row in self.rows if row[3] == verdict)


def show(value) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(a, b):
    return a / b if a is not None and b else None


def fastest(values):
    known = [value for value in values if value is not None]
    return min(known) if known else None


def crowd_name(workers, cpus):
    return "1 worker" if workers == 1 else f"{workers} workers" + (" (all)" if workers == cpus else "")


def judge_lookups(run, verdicts):
    crowds = sorted({1, run.cpus})
    for contender, target in (("commy", 0.6), ("commy-ffi", 1.0)):
        for workload in ("find", "miss"):
            for size in (SMALL, MIDDLE, LARGE):
                for workers in crowds:
                    best = fastest(run.ns(workload, peer, size, workers) for peer in IN_PROCESS)
                    mine = run.ns(workload, contender, size, workers)
                    verdicts.at_most(
                        f"{workload} by {contender}, {size:,} services, {crowd_name(workers, run.cpus)}, vs the faster "
                        "of ck_ht and cds_lfht",
                        ratio(mine, best),
                        target,
                    )
    for peer, factor in (("boost", 4), ("lmdb", 8)):
        for size in (MIDDLE, LARGE):
            for workers in crowds:
                verdicts.at_least(
                    f"find, {size:,} services, {crowd_name(workers, run.cpus)}: faster than {peer}",
                    ratio(run.ns("find", peer, size, workers), run.ns("find", "commy", size, workers)),
                    factor,
                )
    verdicts.at_least(
        f"find, {MIDDLE:,} services: faster than redis on its socket",
        ratio(run.ns("find", "redis", MIDDLE), run.ns("find", "commy", MIDDLE)),
        500,
    )
    verdicts.at_least(
        f"16 finds in a batch vs 16 single ones, {LARGE:,} services: faster",
        ratio(run.ns("find", "commy", LARGE), run.ns("batch", "commy", LARGE)),
        2,
    )
    verdicts.at_most(
        f"dependent finds vs dependent loads over the same footprint, {LARGE:,} services",
        ratio(run.ns("dependent", "commy", LARGE), run.ns("dependent", "memory", LARGE)),
        2.5,
    )


def judge_names(run, verdicts):
    hot = run.ns("dependent", "memory", SMALL)
    verdicts.at_most(
        "discover 10 instances of one name, read in place",
        run.ns("iterate", "commy", MIDDLE, instances=10),
        max(150, 8 * hot) if hot else 150,
        " ns",
    )
    spread = run.ns("dependent", "memory", MIDDLE)
    verdicts.at_most(
        f"discover 10 instances of names at random among {MIDDLE:,} services",
        run.ns("iterate-spread", "commy", MIDDLE, instances=10),
        max(150, 8 * spread) if spread else 150,
        " ns",
    )
    verdicts.at_most(
        f"discover 10 instances among {MIDDLE:,} services vs among {SMALL:,}",
        ratio(
            run.ns("iterate", "commy", MIDDLE, instances=10),
            run.ns("iterate", "commy", SMALL, instances=10),
        ),
        1.25,
    )
    for row, policy in SELECTS.items():
        verdicts.at_most(
            f"select one of 10,000 instances vs one of 10, {policy}",
            ratio(run.ns(row, "commy", MIDDLE, instances=10_000), run.ns(row, "commy", MIDDLE, instances=10)),
            1.3,
        )


SELECTS = {
    "select": "in turn",
    "select-least": "least connections",
    "select-weighted": "in turn by weight",
    "select-fastest": "performance",
    "select-random": "at random",
    "select-client": "by client",
}


def judge_changes(run, verdicts):
    for workers, target in ((1, 1.5), (2, 0.4)):
        mine = run.ns("register", "commy", MIDDLE, workers)
        verdicts.at_most(
            f"register and unregister, {MIDDLE:,} services, {crowd_name(workers, run.cpus)}, vs boost",
            ratio(mine, run.ns("register", "boost", MIDDLE, workers)),
            target,
        )
        verdicts.at_least(
            f"register and unregister, {MIDDLE:,} services, {crowd_name(workers, run.cpus)}: faster than lmdb",
            ratio(run.ns("register", "lmdb", MIDDLE, workers), mine),
            3,
        )
    verdicts.at_most(
        "report on one hot service, two processes vs one",
        ratio(run.ns("report", "commy", MIDDLE, 2), run.ns("report", "commy", MIDDLE)),
        1.3,
    )
    verdicts.at_most(
        "report on a service vs an uncontended atomic addition",
        ratio(run.ns("report", "commy", MIDDLE), run.ns("atomic-add", "memory", MIDDLE)),
        6,
    )


def judge_events(run, verdicts):
    verdicts.at_most(
        "change to wake, p50, vs a bare futex wake",
        ratio(
            run.ns("wake", "commy", 0, workers=2, field="p50_ns"),
            run.ns("wake", "futex", 0, workers=2, field="p50_ns"),
        ),
        2,
    )
    verdicts.at_most(
        "SIGKILL to invisible, p99, vs the kernel marking a robust futex",
        ratio(
            run.ns("kill", "commy", 0, workers=2, field="p99_ns"),
            run.ns("kill", "futex", 0, workers=2, field="p99_ns"),
        ),
        3,
    )
    attach = run.ns("attach", "commy", LARGE, field="p50_ns")
    verdicts.at_most(
        f"attach and detach, p50, {LARGE:,} services", attach / 1000 if attach else None, 500, " us"
    )
    verdicts.at_most(
        f"attach and detach, p50, {LARGE:,} services vs {SMALL:,}",
        ratio(attach, run.ns("attach", "commy", SMALL, field="p50_ns")),
        1.25,
    )
    bare, attached = (run.ns("process", who, LARGE, field="p50_ns") for who in ("bare", "commy"))
    verdicts.at_most(
        f"what attaching adds to the start of a process, p50, {LARGE:,} services",
        (attached - bare) / 1000 if bare and attached else None,
        500,
        " us",
    )


def judge_memory(run, verdicts):
    size = run.memory("commy", LARGE)
    verdicts.at_most("memory for each of 1,000,000 services", size / LARGE if size else None, 1280, " bytes")
    verdicts.at_most(
        "cache lines of the region that a find touches",
        run.data["numbers"].get("lines_per_find"),
        3,
        "",
    )


def judge(run) -> Verdicts:
    verdicts = Verdicts()
    judge_lookups(run, verdicts)
    judge_names(run, verdicts)
    judge_changes(run, verdicts)
    judge_events(run, verdicts)
    judge_memory(run, verdicts)
    return verdicts


# -------------------------------------------------------------------------------------------------------------- tables


def print_table(header, rows):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        cells = [str(cell).ljust(w) if i == 0 else str(cell).rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())
    print()


def print_verdicts(run):
    verdicts = judge(run)
    print_table(("what", "measured", "target", "verdict"), verdicts.rows)
    print(f"{verdicts.count('met')} met, {verdicts.count('MISSED')} missed, {verdicts.count('not measured')} not measured")


def spread(figure) -> str:
    """Half of the distance between the quartiles, in percent of the median."""
    values = sorted(figure["repeats_ns"])
    low, high = values[len(values) // 4], values[-1 - len(values) // 4]
    return f"{(high - low) / 2 / figure['ns'] * 100:.0f}%" if figure["ns"] else "-"


def print_figures(run):
    rows = []
    for figure in run.data["results"]:
        name = figure["workload"] + (f" {figure['instances']}" if figure["instances"] else "")
        tail = " / ".join(show(figure[q]) for q in ("p50_ns", "p99_ns", "p999_ns")) if "p50_ns" in figure else ""
        measured = (show(figure["ns"]), spread(figure)) if "ns" in figure else ("", "")
        together = show(figure["mops"]) if "mops" in figure else ""
        rows.append((name, figure["contender"], figure["size"] or "", figure["workers"], *measured, together, tail))
    print_table(
        ("workload", "contender", "services", "workers", "ns", "+-", "Mops/s", "p50 / p99 / p999 ns"), rows
    )


def print_memory(run):
    entries = run.data["memory"]
    rows = [(e["contender"], e["size"], show(e["bytes"] / 1e6), show(e["bytes"] / e["size"])) for e in entries]
    print_table(("memory of", "services", "MB", "bytes each"), rows)


def print_head(run):
    machine = run.data["machine"]
    options = run.data["options"]
    print(f"{machine['date']}, {machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}")
    print(f"medians of {options['repeats']} turns of {options['turn_ms']} ms, seed {options['seed']}", end="")
    print(", timed by the workers' CPU time" if options.get("cpu_time") else "")
    for skipped in run.data["skipped"]:
        print(f"skipped: {skipped['what']}: {skipped['reason']}")
    print()


# --------------------------------------------------------------------------------------------------------------- plots

PLOT = """
set terminal svg size 860,500 dynamic noenhanced background '#ffffff' font 'sans,13'
set output '{output}'
set title '{title}'
set xlabel '{x}'
set ylabel '{y}'
set key outside right
set grid
{settings}
plot {curves}
"""


COLORS = {
    "commy": "#c00000",
    "commy-ffi": "#e88080",
    "ck_ht": "#1f77b4",
    "cds_lfht": "#17a2b8",
    "boost": "#2ca02c",
    "lmdb": "#8c6d31",
    "redis": "#9467bd",
    "etcd": "#404040",
}
GREY = "#999999"


def curve_block(points):
    return "\n".join(f"{x} {y}" for x, y in points)


def plot(output, title, x, y, settings, curves):
    """curves: (name, [(x, y), ...]), drawn by gnuplot from blocks of data within its script."""
    curves = [(name, points) for name, points in curves if points]
    if not curves:
        return None
    data = "".join(f"$data{i} << EOD\n{curve_block(points)}\nEOD\n" for i, (_, points) in enumerate(curves))
    lines = ", ".join(
        f"$data{i} using 1:2 with linespoints linewidth {3 if name == 'commy' else 1.5} pointtype 7 pointsize 0.6 "
        f"linecolor rgb '{COLORS.get(name, GREY)}' {'' if name in COLORS else 'dashtype 2 '}title '{name}'"
        for i, (name, _) in enumerate(curves)
    )
    script = data + PLOT.format(output=output, title=title, x=x, y=y, settings=settings, curves=lines)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
    return output


def draw(run, path):
    if shutil.which("gnuplot") is None:
        print("skipped: the plots: there is no gnuplot (Debian: gnuplot-nox)")
        return
    stem = str(pathlib.Path(path).with_suffix(""))
    cost = [
        (name, [(s, run.ns("find", name, s)) for s in run.sizes("find") if run.ns("find", name, s)])
        for name in CONTENDERS
    ]
    cost.append(
        ("a chain of loads", [(s, ns) for s in run.sizes("dependent") if (ns := run.ns("dependent", "memory", s))])
    )
    crowds = run.crowds("find", MIDDLE)
    throughput = [
        (
            name,
            [(w, f["mops"]) for w in crowds if (f := run.figure("find", name, MIDDLE, w))],
        )
        for name in CONTENDERS
    ]
    drawn = [
        plot(
            f"{stem}-cost.svg",
            "Finding a service by id, one worker",
            "services",
            "ns for a lookup",
            "set logscale xy\nset format '%.0f'",
            cost,
        ),
        plot(
            f"{stem}-throughput.svg",
            f"Finding a service by id among {MIDDLE}, on {run.cpus} CPUs",
            "workers (processes; threads for ck_ht and cds_lfht)",
            "million lookups a second",
            "set logscale y\nset format y '%g'\nset xtics (" + ", ".join(map(str, crowds)) + ")",
            throughput,
        ),
    ]
    for output in filter(None, drawn):
        print(f"drawn: {output}")


def main() -> int:
    arguments = sys.argv[1:]
    mode = arguments.pop(0) if arguments and arguments[0].startswith("--") else None
    if len(arguments) != 1 or mode not in (None, "--verdict", "--plot"):
        print(__doc__.strip(), file=sys.stderr)
        return 64
    run = Run(arguments[0])
    if mode == "--plot":
        draw(run, arguments[0])
        return 0
    print_head(run)
    if mode is None:
        print_figures(run)
        print_memory(run)
    print_verdicts(run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
