"""Speed of NASLib on EC-NAS against NASLib on nasbench101: `python benchmarks/naslib_search.py`.

The same optimiser, Trainer and number of epochs run in one process, once with NASLib's own
`NasBench101SearchSpace` (the peer) and once with `EcnasSearchSpace`. NASLib's data file is not
needed: its `dataset_api` is made here from NASLib's `ModelSpec` and this package's NAS-Bench-101
calls, which are faster than NASLib's and so favour the peer. The peer's time is mostly spent in
NASLib, which builds a network for every candidate. Both run alternately, and the medians of their
processor time count.

(The file is not called `naslib.py`, since a script's folder is first on the path and that name
would hide NASLib.)
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import logging
import os
import pstats
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

# NASLib's predictors are many times slower if several threads share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from naslib_ecnas.adapters import naslib_patches, naslib_space
from naslib_ecnas.nasbench101 import NASBench

ROUNDS = 3
#: Optimiser -> epochs, and the goal for its evaluations per second relative to the peer.
SEARCHES = {
    "RegularizedEvolution": (40, 10.0),
    "RandomSearch": (30, 1.0),
    "LocalSearch": (20, 1.0),
    "Bananas": (15, 1.0),
    "Npenas": (15, 1.0),
}
NEIGHBOURHOOD_GOAL = 300.0
#: Epochs of the runs that are profiled.
LONG = 1_000


def seconds(run: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def interleaved(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Medians of the processor time of two calls that run alternately."""
    rounds = []
    for _ in range(ROUNDS):
        took = seconds(first)
        # The peer's networks, gigabytes of them, are in reference cycles.
        gc.collect()
        rounds.append((took, seconds(second)))
    one, two = zip(*rounds, strict=True)
    return statistics.median(one), statistics.median(two)


class Lines:
    """Results, printed one by one, since the peer is slow."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.report: list[dict[str, Any]] = []

    def add(self, what: str, ratio: float, goal: float, about: str) -> None:
        met = ratio >= goal
        line = {"what": what, "ratio": ratio, "goal": goal, "met": met, "about": about}
        self.report.append(line)
        if not self.quiet:
            verdict = "met" if met else "MISSED"
            figure = f"{ratio:7,.1f} x  goal >= {goal:<5g}"
            print(f"{what:40} {figure} {verdict:7} {about}", flush=True)


class Peer(NASBench):
    """NASLib's own space asks for the train accuracy, of which modelled tables have none."""

    def query(self, *args: Any, **options: Any) -> dict[str, Any]:
        return {"train_accuracy": float("nan"), **super().query(*args, **options)}


def apis(table: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `dataset_api` of NASLib's nasbench101 and of ecnas, over the same table."""
    ours = naslib_space.dataset_api(table)
    theirs = naslib_patches.require("naslib.utils.nb101_api")
    return {"api": theirs, "nb101_data": Peer(ours["ecnas"], seed=0)}, ours


def config(folder: str, epochs: int) -> Any:
    from fvcore.common.config import CfgNode

    for name in ("search", "eval"):
        Path(folder, name).mkdir(exist_ok=True)
    search = {
        "seed": 0,
        "epochs": epochs,
        "fidelity": 108,
        "checkpoint_freq": 1_000_000,
        "sample_size": 10,
        "population_size": 10,
        "num_init": 10,
        "k": 10,
        "num_ensemble": 2,
        "predictor_type": "rf",
        "acq_fn_type": "its",
        "acq_fn_optimization": "mutation",
        "encoding_type": "adjacency_one_hot",
        "num_arches_to_mutate": 2,
        "max_mutations": 1,
        "num_candidates": 10,
        "debug_predictor": False,
    }
    return CfgNode({"dataset": "cifar10", "save": folder, "search": search})


def search_of(name: str, epochs: int, space: Any, api: Any, trainer: Any) -> Callable[[], object]:
    """A whole search, ready to be called once; `trainer` is a Trainer class."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            settings = config(folder, epochs)
            optimizer = getattr(naslib_patches.require("naslib.optimizers"), name)(settings)
            optimizer.adapt_search_space(space(), dataset_api=api)
            trainer(optimizer, settings, lightweight_output=True).search()

    return run


def searches(theirs: Any, ours: Any, lines: Lines, *, quick: bool) -> None:
    peer = naslib_patches.require("naslib.search_spaces").NasBench101SearchSpace
    trainer = naslib_patches.require("naslib.defaults.trainer").Trainer
    candidate = naslib_space.EcnasSearchSpace
    search_of("RegularizedEvolution", 30, candidate, ours, trainer)()
    for name, (epochs, goal) in list(SEARCHES.items())[: 1 if quick else None]:
        slow, fast = interleaved(
            search_of(name, epochs, peer, theirs, trainer),
            search_of(name, epochs, candidate, ours, trainer),
        )
        about = f"{epochs / slow:,.1f} against {epochs / fast:,.1f} evaluations/s"
        lines.add(f"{name}, {epochs} epochs", slow / fast, goal, about)


def neighbourhood(theirs: Any, ours: Any, lines: Lines) -> None:
    """One `get_nbhd` of the same cells in both."""
    peer = naslib_patches.require("naslib.search_spaces").NasBench101SearchSpace
    bench = ours["ecnas"]
    rows = bench.space.sample(np.random.default_rng(0), 1)
    specs = []
    for row in rows:
        arch = naslib_space.EcnasSearchSpace()
        arch.set_spec(int(row))
        specs.append(arch.get_spec())

    def made(space: Any) -> list[Any]:
        found = [space() for _ in specs]
        for arch, spec in zip(found, specs, strict=True):
            arch.set_spec(spec)
        return found

    pairs = made(peer), made(naslib_space.EcnasSearchSpace)
    pairs[1][0].get_nbhd(ours)  # tables of the space are made once
    repeats = 20
    slow, fast = interleaved(
        lambda: [arch.get_nbhd(theirs) for arch in pairs[0]],
        lambda: [arch.get_nbhd(ours) for _ in range(repeats) for arch in pairs[1]],
    )
    slow, fast = slow / len(specs), fast / len(specs) / repeats
    about = f"{1e3 * slow:,.0f} ms against {1e3 * fast:.2f} ms"
    lines.add("LocalSearch's neighbourhood, get_nbhd", slow / fast, NEIGHBOURHOOD_GOAL, about)


def profiled(ours: Any, trainer: Any) -> dict[str, float]:
    """Shares of the time of a long search by regularised evolution on ecnas."""
    run = search_of("RegularizedEvolution", LONG, naslib_space.EcnasSearchSpace, ours, trainer)
    profile = cProfile.Profile()
    profile.runcall(run)
    stats: Any = pstats.Stats(profile)
    shares = dict.fromkeys(("errors.json", "optimiser", "statistics", "query", "mutate"), 0.0)
    places = {
        ("trainer.py", "_log_to_json"): "errors.json",
        ("optimizer.py", "new_epoch"): "optimiser",
        ("optimizer.py", "train_statistics"): "statistics",
        ("optimizer.py", "test_statistics"): "statistics",
        ("naslib_architecture.py", "query"): "query",
        ("naslib_architecture.py", "mutate"): "mutate",
    }
    for (file, _, name), (_, _, _, cumulative, _) in stats.stats.items():
        part = places.get((Path(file).name, name))
        if part is not None:
            shares[part] += cumulative / stats.total_tt
    return shares


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--table", default="7v", help="name of the table (7v)")
    parser.add_argument(
        "--quick", action="store_true", help="one neighbourhood and one optimiser, in one round"
    )
    args = parser.parse_args()
    if args.quick:
        global ROUNDS
        ROUNDS = 1
    warnings.simplefilter("ignore")
    naslib_patches.ensure()
    naslib_patches.require("naslib.optimizers")
    naslib_patches.require("torch").set_num_threads(1)
    logging.disable(logging.INFO)
    theirs, ours = apis(args.table)
    if not args.json:
        print(f"Peer: NASLib's nasbench101. Table: {args.table}.\n")
    lines = Lines(quiet=args.json)
    neighbourhood(theirs, ours, lines)
    searches(theirs, ours, lines, quick=args.quick)
    if args.quick:
        return finished(lines, args, {})
    own = naslib_patches.require("naslib.defaults.trainer").Trainer
    return finished(lines, args, {"Trainer": profiled(ours, own)})


def finished(lines: Lines, args: argparse.Namespace, shares: dict[str, dict[str, float]]) -> int:
    """Print the remaining results; returns the exit code."""
    missed = sum(not line["met"] for line in lines.report)
    if args.json:
        print(
            json.dumps({"table": args.table, "figures": lines.report, "shares": shares}, indent=2)
        )
        return int(missed > 0)
    if not shares:
        return int(missed > 0)
    print(
        f"\nShares of {LONG:,} epochs of RE on ecnas, under the profiler (query is within the "
        "optimiser's\nand the statistics, mutate within the optimiser's):"
    )
    for name, parts in shares.items():
        shown = ", ".join(f"{part} {share:.0%}" for part, share in parts.items())
        print(f"{name:14} {shown}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
