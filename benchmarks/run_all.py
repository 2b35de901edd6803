"""All benchmarks, as one table of ratios: `python benchmarks/run_all.py`.

Each suite runs in its own process. A ratio says how many times better this package is than a peer
that ran alternately in the same process or, if there is no peer, than a goal (seconds, megabytes),
which depends on the machine. With `--quick` only ratios to peers are measured, in few rounds and
with less data; a third of each goal then counts as reached, since such runs are meant for shared
machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import naslib_ecnas
from naslib_ecnas.adapters import naslib_patches
from naslib_ecnas.console import print_table

#: Factor by which a ratio of a quick run may miss its goal.
SLACK = 3.0


@dataclass(frozen=True)
class Line:
    """One figure with its comparison."""

    suite: str
    what: str
    ratio: float
    """How many times better than `against`."""
    goal: float | None
    """Ratio to reach; None if the ratio is only reported."""
    against: str
    about: str
    """Both figures as text."""

    def met(self, slack: float) -> bool | None:
        """Whether the goal was reached; None without one."""
        return None if self.goal is None else self.ratio * slack >= self.goal


def core(found: Any) -> Iterator[Line]:
    for one in found["figures"]:
        value, goal = one["value"], one["goal"]
        if value is None:  # the peer is not installed
            continue
        what, about = one["what"], one["about"]
        if one["peer"] is not None:
            yield Line("core", what, value, goal, one["peer"], about)
        else:
            ratio = goal / value if one["at_most"] else value / goal
            unit = one["figure"].partition(" ")[2]
            yield Line("core", what, ratio, 1.0, _goal(goal, unit), f"{one['figure']}, {about}")


def surrogate(found: Any) -> Iterator[Line]:
    for one in found:
        sign, limit = one["goal"].split()[:2]
        if sign == ">=":
            against = "the released code, cell by cell"
            yield Line("surrogate", one["what"], one["figure"], float(limit), against, one["about"])
        else:
            ratio = float(limit) / one["figure"]
            about = f"{one['figure']:.2f} s, {one['about']}"
            what = one["what"].removesuffix(", s")
            yield Line("surrogate", what, ratio, 1.0, _goal(float(limit), "s"), about)


def search(found: Any) -> Iterator[Line]:
    goals = found["goals"]
    for name, taken in found["search"].items():
        what = f"{name}, {found['evaluations'][name]:,} evaluations"
        goal = goals.get(name, goals["search"])
        about = f"{taken:.2f} CPU s"
        yield Line("search", what, goal / taken, 1.0, _goal(goal, "s"), about)
    taken = found["front"]
    about = f"{1000 * taken:.0f} CPU ms"
    goal = _goal(1000 * goals["front"], "ms")
    yield Line("search", "true front", goals["front"] / taken, 1.0, goal, about)


def naslib_search(found: Any) -> Iterator[Line]:
    for one in found["figures"]:
        against = "NASLib's nasbench101"
        yield Line("naslib", one["what"], one["ratio"], one["goal"], against, one["about"])


def _goal(limit: float, unit: str) -> str:
    return f"the goal, {limit:g} {unit}"


#: Script -> function from its JSON to lines, and whether it has ratios to a peer.
SUITES: dict[str, tuple[Callable[[Any], Iterator[Line]], bool]] = {
    "core": (core, True),
    "surrogate": (surrogate, True),
    "naslib_search": (naslib_search, True),
    "search": (search, False),
}


def missing(suite: str) -> str:
    """The reason why a suite cannot run; empty if it can."""
    if suite != "naslib_search":
        return ""
    if naslib_patches.naslib_home() is None:
        return "no clone of NASLib at NASLIB_HOME or ~/NASLib"
    try:
        naslib_patches.ensure()
    except naslib_ecnas.EcnasError as error:
        return str(error)
    return ""


def run(suite: str, *, quick: bool) -> list[Line]:
    """The lines of one suite."""
    script = Path(__file__).with_name(f"{suite}.py")
    command = [sys.executable, str(script), "--json", *(["--quick"] if quick else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # A suite that misses a goal ends with 1; one that failed has printed no JSON.
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"{suite} failed:\n{done.stdout}{done.stderr}") from None
    return list(SUITES[suite][0](found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only ratios to peers, in few rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--suite", action="append", choices=tuple(SUITES), help="only this suite; may be repeated"
    )
    args = parser.parse_args()
    chosen = args.suite or [name for name, (_, peers) in SUITES.items() if peers or not args.quick]
    slack = SLACK if args.quick else 1.0
    lines: list[Line] = []
    skipped = {}
    for suite in chosen:
        why = missing(suite)
        if why:
            skipped[suite] = why
            continue
        if not args.json:
            print(f"{suite} ...", file=sys.stderr, flush=True)
        lines += run(suite, quick=args.quick)
    machine = {
        "naslib-ecnas": naslib_ecnas.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }
    missed = sum(line.met(slack) is False for line in lines)
    if args.json:
        report = [{**asdict(line), "met": line.met(slack)} for line in lines]
        print(
            json.dumps(
                {"machine": machine, "quick": args.quick, "skipped": skipped, "lines": report},
                indent=2,
            )
        )
        return int(missed > 0)
    print(", ".join(f"{name} {value}" for name, value in machine.items()), end="\n\n")
    verdicts = {True: "met", False: "MISSED", None: ""}
    print_table(
        ("suite", "what", "ratio", "goal", "", "against", "figures"),
        [
            (
                line.suite,
                line.what,
                f"{line.ratio:,.3g} x" if line.ratio < 1000 else f"{line.ratio:,.0f} x",
                "" if line.goal is None else f">= {line.goal / slack:.3g}",
                verdicts[line.met(slack)],
                line.against,
                line.about,
            )
            for line in lines
        ],
        right=[2],
    )
    for suite, why in skipped.items():
        print(f"not run: {suite}: {why}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
