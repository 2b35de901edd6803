"""CPU time of searches: `python benchmarks/search.py`.

Measured are the CPU seconds of each method for a number of evaluations on a loaded table (the best
of several rounds), and those of a table's true front with its hypervolume. Run it with
OMP_NUM_THREADS=1: the linear algebra is small, and the CPU seconds of several threads add up.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import naslib_ecnas as ecnas
from naslib_ecnas.analysis import Scale
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search import METHODS, run

#: Goals in CPU seconds on one idle core; those that fit models have 300 evaluations at most.
GOALS = {"search": 1.0, "ehvi": 5.0, "mf-ehvi": 5.0, "front": 0.060}
SLOW = ("ehvi", "mf-ehvi")


def best(run_once: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest round, after one that fills the caches."""
    run_once()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run_once()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", default="7v", help="table to search (%(default)s)")
    parser.add_argument("--evaluations", type=int, default=1000, help="of each run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the best counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    bench = ecnas.load(args.table)
    numbers = dict.fromkeys(METHODS, args.evaluations)
    numbers |= dict.fromkeys(SLOW, min(300, args.evaluations))
    seconds = {
        name: best(partial(run, bench, name, evaluations=number, seed=0), args.rounds)
        for name, number in numbers.items()
    }
    front = best(lambda: bench.front(OBJECTIVES), args.rounds)

    def with_hypervolume() -> float:
        values = np.column_stack([bench.values(name) for name in OBJECTIVES])
        return Scale.of(values, OBJECTIVES).volume

    volume = best(with_hypervolume, args.rounds)
    if args.json:
        found = {"table": args.table, "evaluations": numbers, "search": seconds}
        found |= {"front": front, "front_and_hypervolume": volume, "goals": GOALS}
        print(json.dumps(found))
        return
    print(f"searches of {args.table}: evaluations, CPU seconds (goal)")
    for name, taken in seconds.items():
        goal = GOALS.get(name, GOALS["search"])
        print(f"  {name:10s} {numbers[name]:6,} {taken:7.3f} ({goal})")
    print(f"true front of {args.table}, CPU milliseconds (goal {1000 * GOALS['front']:.0f})")
    print(f"  front                {1000 * front:7.1f}")
    print(f"  scale, hypervolume   {1000 * volume:7.1f}")


if __name__ == "__main__":
    main()
