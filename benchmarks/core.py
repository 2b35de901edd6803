"""Speed of the core against other implementations: `python benchmarks/core.py`.

Every line is a ratio or a rate with its goal. The peer is NASLib's copy of the NAS-Bench-101 API if
NASLib is found (`NASLIB_HOME`, else ~/NASLib), otherwise a straightforward implementation of the
same (networks of dicts, an MD5 of the graph for every look-up). Since times vary on a shared
machine, both run alternately in one process, and the best round of each counts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import conversion
import numpy as np

from naslib_ecnas import topologies as topologies_module
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.nasbench_hash import cell_hash
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS

ROUNDS = 5
ACCURACIES = ("train_accuracy", "validation_accuracy", "test_accuracy")
NAMES = [prefix + name for prefix in ("halfway_", "") for name in ("training_time_s", *ACCURACIES)]


def best(run: Callable[[], object], rounds: int | None = None) -> float:
    """Seconds of the fastest round."""
    times = []
    for _ in range(ROUNDS if rounds is None else rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def turns(
    theirs: Callable[[], object], ours: Callable[[], object], rounds: int | None = None
) -> tuple[float, float]:
    """Processor seconds of the fastest rounds of two functions that run alternately.

    Unlike the time of the clock it does not count what else the machine does.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS if rounds is None else rounds):
        for run, taken in zip((theirs, ours), times, strict=True):
            start = time.process_time()
            run()
            taken.append(time.process_time() - start)
    return min(times[0]), min(times[1])


def peer() -> tuple[str, ModuleType | None]:
    """NASLib's NAS-Bench-101 API as a single module, without importing the rest of NASLib."""
    home = Path(os.environ.get("NASLIB_HOME", Path.home() / "NASLib"))
    file = home / "naslib" / "utils" / "nb101_api.py"
    if not file.exists():
        return "straightforward reference", None
    found = importlib.util.spec_from_file_location("nb101_api", file)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return "NASLib's nb101_api", module


class PlainSpec:
    """The reference if NASLib is not found: prunes in plain Python, hashes by MD5."""

    def __init__(self, matrix: np.ndarray, ops: list[str]) -> None:
        last = len(matrix) - 1
        forward, backward = {0}, {last}
        for j in range(1, last + 1):
            forward |= {j} if any(matrix[i, j] for i in forward) else set()
        for i in range(last - 1, -1, -1):
            backward |= {i} if any(matrix[i, j] for j in backward) else set()
        kept = sorted(forward & backward)
        self.matrix = matrix[np.ix_(kept, kept)]
        self.ops = [ops[v] for v in kept]

    def hash_spec(self, names: list[str]) -> str:
        labels = [names.index(op) for op in self.ops[1:-1]]
        return cell_hash(self.matrix.tolist(), labels)


def specs_of(rows: np.ndarray) -> list[tuple[np.ndarray, list[str]]]:
    """Matrices and operation names of cells, in the form that a search has them."""
    cells = [Cell.from_row(int(row)) for row in rows]
    return [(np.array(c.matrix, dtype=int), list(c.ops)) for c in cells]


def synthetic(
    n_cells: int,
    budgets: tuple[int, ...],
    repeats: int,
    names: Sequence[str] = NAMES,
    seed: int = 0,
) -> Columns:
    """A synthetic table of random numbers, for timing only."""
    rng = np.random.default_rng(seed)
    values = {}
    for name in names:
        draws = rng.integers(1, 9985, (n_cells, len(budgets), repeats)).astype(np.float32)
        values[name] = (draws / np.float32(9984)).astype(np.float64)
    rows = np.sort(rng.choice(len(Space(7)), n_cells, replace=False)).astype(np.int32)
    origin = dict.fromkeys(names, Provenance("synthetic", note="random numbers, for timing"))
    return Columns("synthetic", 7, rows, budgets, repeats, values, origin)


def key_of_a_cell(api: ModuleType | None, lines: list[Any]) -> None:
    """Row or hash of matrices in the three forms that programs have; nothing is remembered."""
    space, names = Space(7), list(OPERATIONS)
    specs = specs_of(space.sample(np.random.default_rng(0), 2_000))
    small = [(matrix.astype(np.int8), ops) for matrix, ops in specs]
    listed = [(matrix.tolist(), ops) for matrix, ops in specs]
    make = api.ModelSpec if api else PlainSpec

    def theirs() -> None:
        for matrix, ops in specs[:300]:
            make(matrix, ops).hash_spec(names)

    def ours() -> None:
        for matrix, ops in (*specs, *small, *listed):
            space.row(matrix, ops)

    ours()
    slow, fast = turns(theirs, ours)
    slow, fast = slow / 300, fast / 6_000
    about = f"{slow * 1e6:.0f} us against {fast * 1e6:.1f} us"
    lines.append(("key of a cell", f"{slow / fast:,.0f} x", 20, slow / fast, about))


def full_record(api: ModuleType | None, folder: Path, lines: list[Any]) -> None:
    columns = synthetic(len(Space(7)), (108,), 3)
    write_table(folder / "all.ecnas", columns)
    bench = Benchmark(Table.open(folder / "all.ecnas"))
    rows = Space(7).sample(np.random.default_rng(0), 2_000)
    cells = [Cell.from_row(int(row)) for row in rows]
    specs = specs_of(rows)
    nasbench: Any = (
        _naslib_table(api, columns, rows, folder) if api else _plain_table(columns, rows)
    )
    make = api.ModelSpec if api else PlainSpec

    def theirs() -> None:
        for matrix, ops in specs[:300]:
            nasbench.query(make(matrix, ops))

    def ours() -> None:
        for cell in cells:
            bench.query(cell, 108, repeat=1)

    def from_matrices() -> None:
        for matrix, ops in specs:
            bench.query(bench.space.row(matrix, ops), 108, repeat=1)

    from_matrices()
    raw = best(from_matrices) / 2_000
    slow, fast = turns(theirs, ours)
    slow, fast = slow / 300, fast / 2_000
    lines.append(
        (
            "full record of a cell",
            f"{slow / fast:,.0f} x",
            50,
            slow / fast,
            f"{slow * 1e6:.0f} us against {fast * 1e6:.1f} us",
        )
    )
    lines.append(
        (
            "full record from a raw matrix",
            f"{slow / raw:,.0f} x",
            None,
            slow / raw,
            f"{slow * 1e6:.0f} us against {raw * 1e6:.1f} us",
        )
    )


def _naslib_table(api: ModuleType, columns: Columns, rows: np.ndarray, folder: Path) -> Any:
    """NASLib's table object of the same synthetic numbers, read from a pickle."""
    content = {}
    for row in rows.tolist():
        cell = Cell.from_row(row)
        fixed = {
            "module_adjacency": np.array(cell.matrix),
            "module_operations": list(cell.ops),
            "trainable_parameters": 0,
        }
        trainings = [_original_keys(columns, row, 0, repeat) for repeat in range(3)]
        content[cell.nasbench_hash] = (fixed, {108: trainings})
    file = folder / "nasbench_only108.pkl"
    file.write_bytes(pickle.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        return api.NASBench(str(file))


def _original_keys(columns: Columns, cell: int, budget: int, repeat: int) -> dict[str, float]:
    out = {}
    for name in NAMES:
        key = name.removesuffix("_s")
        key = key if key.startswith("halfway_") else f"final_{key}"
        out[key] = float(columns.values[name][cell, budget, repeat])
    return out


def _plain_table(columns: Columns, rows: np.ndarray) -> Any:
    data = {
        Cell.from_row(row).nasbench_hash: [_original_keys(columns, row, 0, r) for r in range(3)]
        for row in rows.tolist()
    }
    rng = np.random.default_rng(0)

    def query(spec: PlainSpec) -> dict[str, float]:
        return dict(data[spec.hash_spec(list(OPERATIONS))][int(rng.integers(3))])

    return SimpleNamespace(query=query)


def raw_rate(lines: list[Any]) -> None:
    rng, space = np.random.default_rng(0), Space(7)
    matrices = np.triu(rng.integers(0, 2, (1_000_000, 7, 7), dtype=np.int8), 1)
    labels = rng.integers(0, 3, (1_000_000, 5), dtype=np.int8)
    space.rows(matrices[:1], labels[:1])
    rate = 1 / best(lambda: space.rows(matrices, labels))
    lines.append(("raw matrices to rows", f"{rate:.1f} M/s", 4, rate, "a million 7 x 7 matrices"))


def enumeration(lines: list[Any]) -> None:
    def run() -> None:
        topologies_module.topologies.cache_clear()
        topologies_module.topologies()

    seconds = best(run)
    lines.append(("enumerate 423,624 cells", f"{seconds:.3f} s", 0.1, seconds, "in a warm process"))


# VmHWM, since ru_maxrss of a new process starts at its parent's peak.
FIRST_ANSWER = """
import sys
import naslib_ecnas as ecnas
cell = ecnas.Cell("0110001100010000:input,conv1x1-bn-relu,conv3x3-bn-relu,output")
ecnas.load(sys.argv[1]).query(cell, epochs=108).validation_accuracy
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def whole_process(folder: Path, lines: list[Any]) -> None:
    file = folder / "full.ecnas"
    write_table(file, synthetic(len(Space(7)), (4, 12, 36, 108), 1))
    peaks: list[float] = []

    def run() -> None:
        out = subprocess.run(
            [sys.executable, "-c", FIRST_ANSWER, str(file)],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
        )
        peaks.append(float(out.stdout) / 1024)

    seconds = best(run, 9)
    size = file.stat().st_size / 2**20
    about = f"full-size synthetic 7V table of {size:.0f} MB"
    lines.append(("process start to first answer", f"{seconds:.2f} s", 0.25, seconds, about))
    lines.append(("peak memory of that process", f"{min(peaks):.0f} MB", 40, min(peaks), about))


#: Figures for which less is better.
AT_MOST = ("enumerate", "process", "peak")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quick", action="store_true", help="only the ratios, in few rounds")
    args = parser.parse_args()
    if args.quick:
        global ROUNDS
        ROUNDS = 2
    name, api = peer()
    lines: list[Any] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        key_of_a_cell(api, lines)
        full_record(api, folder, lines)
        if not args.quick:
            raw_rate(lines)
            enumeration(lines)
            whole_process(folder, lines)
        for energy in (True, False):
            what, ratio, about = conversion.compare(
                folder, synthetic, best, turns, energy=energy, part=0.3 if args.quick else 1.0
            )
            figure = "-" if ratio is None else f"{ratio:.1f} x"
            lines.append((what, figure, 8, ratio, about))
    missed = 0
    report = []
    for what, figure, goal, value, about in lines:
        lower = what.startswith(AT_MOST)
        met = None if goal is None or value is None else (value <= goal if lower else value >= goal)
        missed += met is False
        report.append(
            {
                "what": what,
                "figure": figure,
                "value": value,
                "at_most": lower,
                "goal": goal,
                "met": met,
                "peer": _peer_of(what, figure, name),
                "about": about,
            }
        )
    if args.json:
        print(json.dumps({"peer": name, "figures": report}, indent=2))
        return int(missed > 0)
    print(
        f"Peer: {name}. Peak of this process: "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB.\n"
    )
    for line in report:
        sign = "<=" if line["at_most"] else ">="
        goal = "" if line["goal"] is None else f"goal {sign} {line['goal']:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[line["met"]]
        print(f"{line['what']:34} {line['figure']:>9}  {goal:12} {verdict:7} {line['about']}")
    return int(missed > 0)


def _peer_of(what: str, figure: str, api: str) -> str | None:
    """The peer of a ratio; None for other figures."""
    if not figure.endswith(" x"):
        return None
    return "the official loaders' way" if "TFRecord" in what else api


if __name__ == "__main__":
    sys.exit(main())
