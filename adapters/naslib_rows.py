"""Which cells NASLib gets to see: those of a table, by their rows.

NASLib's searches draw from numpy's global state, and its `set_seed` and `Trainer` seed that. So do
the proposals made here: this is the one place of the package with global randomness, because the
seed of a NASLib run has to reproduce it.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.random.mtrand import get_bit_generator
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, UnknownCellError
from naslib_ecnas.space import Space

__all__ = ["benchmark", "mutate", "neighbours", "rng", "row_of", "sample"]

_HASH = re.compile("[0-9a-f]{32}")
#: Mutants tried, in growing batches, before a cell is drawn from the whole table instead.
_TRIES = 20_000


def rng() -> np.random.Generator:
    """A generator on numpy's global state."""
    return np.random.Generator(get_bit_generator())


def benchmark(dataset_api: Any, dataset: str | None = None) -> Benchmark:
    """The benchmark of a `dataset_api`.

    Raises:
        ConfigError: it is none of ours, or `dataset` is not what it holds.
    """
    bench = dataset_api.get("ecnas") if isinstance(dataset_api, dict) else None
    if not isinstance(bench, Benchmark):
        raise ConfigError(
            "this search space needs an EC-NAS table as its dataset_api",
            value=None if dataset_api is None else type(dataset_api).__name__,
            expected="a dict whose 'ecnas' is a Benchmark",
            remedy="pass dataset_api=naslib_ecnas.adapters.naslib_space.dataset_api(table)",
        )
    names = {"cifar10", bench.name, dataset_api.get("dataset")}
    if dataset is not None and dataset not in names:
        raise ConfigError(
            "the table is not of this dataset",
            value=dataset,
            expected=" or ".join(sorted(name for name in names if name)),
            remedy="set dataset: cifar10 in the config, or load that table",
        )
    return bench


def row_of(spec: Any, bench: Benchmark | None) -> int:
    """The row of a spec (see `EcnasSearchSpace.set_spec`), which the benchmark's table must hold.

    Raises:
        InvalidCellError: it is no cell.
        UnknownCellError: the table does not hold it.
    """
    space = Space() if bench is None else bench.space
    if isinstance(spec, int | np.integer) and not isinstance(spec, bool):
        row = space.cell(int(spec)).row
    elif isinstance(spec, str) and _HASH.fullmatch(spec):
        row = space.row_of_hash(spec)
    elif isinstance(spec, dict) and {"matrix", "ops"} <= set(spec):
        row = space.row(spec["matrix"], spec["ops"])
    else:
        row = space.row(spec)
    if bench is not None and not _holds(bench, np.array([row]))[0]:
        raise UnknownCellError(
            f"the table {bench.name} does not hold this cell",
            value=str(Cell.from_row(row)),
            expected=f"one of its {len(bench.rows):,} cells",
            remedy="take cells from sample_random_architecture, mutate or get_arch_iterator",
        )
    return row


def sample(bench: Benchmark) -> int:
    """A cell of the table, all of them equally likely."""
    return int(bench.rows[rng().integers(len(bench.rows))])


def mutate(bench: Benchmark, row: int) -> int:
    """Another cell of the table, mutated from one of its cells.

    Edges and operations change as often on average as NASLib's mutation changes them: each
    possible edge with probability 1 / vertices, each operation with 1 / 3. Where a table holds so
    few cells that no mutant is among them, any other cell of the table is taken.
    """
    space, generator = bench.space, rng()
    v = space.vertices
    changes = {"edge_changes": (v - 1) / 2, "op_changes": (v - 2) / 3}
    batch, tried = 1, 0
    while tried < _TRIES:
        found = space.mutate(np.full(batch, row), generator, **changes)
        known = found[_holds(bench, found)]
        if len(known):
            return int(known[0])
        tried += batch
        batch = min(4 * batch, 4096)
    others = bench.rows[bench.rows != row]
    return int(others[generator.integers(len(others))]) if len(others) else row


def neighbours(bench: Benchmark, row: int) -> list[int]:
    """The table's cells one edge or one operation away, in random order."""
    found = bench.space.neighbours(row)
    found = found[_holds(bench, found)]
    return [int(r) for r in rng().permutation(found)]


def _holds(bench: Benchmark, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    if len(bench.rows) == len(bench.space):
        return np.ones(len(rows), dtype=bool)
    place = np.minimum(np.searchsorted(bench.rows, rows), len(bench.rows) - 1)
    held: NDArray[np.bool_] = bench.rows[place] == rows
    return held
