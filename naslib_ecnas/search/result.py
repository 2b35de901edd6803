"""The result of a search (`SearchResult`) and the files and JSON that it is written as."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import Scale, checkpoints, costs_of, extremes, knee, nondominated
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import exists, is_folder, storage_error, to_json, write_together
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.search.base import Floats, Rows
from naslib_ecnas.spent import Spent

__all__ = ["SearchConfig", "SearchResult", "document", "prepare", "write"]

# Plots of a search, which `ecnas search` adds to its files.
_PLOTS = ("front.png", "front.pdf")

#: The rules of counting, as stated in the results.
_COUNTED = {
    "front": "only evaluations at the run's own budget (epochs) enter front, hypervolume, knee, "
    "extremes and anytime curve",
    "spent": "every evaluation in the history is charged as a whole training at its own budget",
    "end": "the first evaluation that would take a sum past its limit is not made",
}

# Metrics that are written as integers.
_COUNTS = frozenset({"parameters", "multiply_adds", "activation_elements", "depth"})


@dataclass(frozen=True)
class SearchConfig:
    """All settings of a run: the same settings give the same run, bit for bit."""

    method: str
    paper: bool
    table: str
    checksum: str
    """SHA-256 of the table's content."""
    vertices: int
    objectives: tuple[str, ...]
    epochs: int
    """The run's own training budget: evaluations at it make the front."""
    evaluations: int
    """Number of evaluations made and charged."""
    seed: int
    provenance: Mapping[str, Provenance]
    """Origin of each objective's values."""
    versions: Mapping[str, str]
    """Versions of this package, numpy, moocore and Python."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """What the run was allowed to spend, by the names of `Spent`."""
    charge_repeats: bool = True
    """Whether a cell that came again was charged again."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Settings of the method that differ from its defaults."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A finished search. Evaluations are numbered from 0, in the order in which they were made.

    Only evaluations at the run's own budget enter the front, the hypervolume, the knee, the
    extremes and the anytime curve; evaluations at smaller budgets are only charged. A run that
    ended before its first evaluation at its own budget has an empty front.
    """

    config: SearchConfig
    rows: Rows
    """(n,) row of each evaluation, repeated for repeated cells."""
    epochs: NDArray[np.int64]
    """(n,) budget of each evaluation."""
    values: Floats
    """(n, m) objectives of each evaluation, in the metrics' units."""
    details: Mapping[str, Floats]
    """(n,) further metrics of each evaluation, as far as the table holds them."""
    cumulative: Mapping[str, Floats]
    """(n,) what was spent up to and with each evaluation, by the names of `Spent`."""
    spent: Spent
    """Total cost of the trainings of all evaluations."""
    scale: Scale
    """The scale of the table at this budget."""
    skipped: int = 0
    """Proposals of a paper setting that were invalid or not in the table: neither evaluated nor
    charged."""
    answered: int = 0
    """Repeated cells answered without a charge (`charge_repeats` off)."""
    ended_by: str = "evaluations"
    """The quantity whose limit ended the run, by the names of `Spent`, or `repeats`."""

    @cached_property
    def own_values(self) -> Floats:
        """(n, m) objectives of the evaluations at the run's own budget, NaN for the others."""
        at_budget = (self.epochs == self.config.epochs)[:, None]
        return np.asarray(np.where(at_budget, self.values, np.nan))

    @cached_property
    def front(self) -> NDArray[np.int64]:
        """(k,) evaluations on the front found, from the best to the worst in the first objective;
        of equal points only the first evaluation."""
        costs = costs_of(self.own_values, self.config.objectives)
        front = np.flatnonzero(nondominated(costs))
        return front[np.lexsort(costs[front].T[::-1])]

    @property
    def front_rows(self) -> Rows:
        """(k,) rows on the front found."""
        return self.rows[self.front]

    @property
    def front_values(self) -> Floats:
        """(k, m) objectives on the front found, in the metrics' units."""
        return self.values[self.front]

    @cached_property
    def hypervolume(self) -> float:
        """Hypervolume of the front as a share of the true front's, 0 to 1."""
        return self.scale.hypervolume(self.front_values)

    @cached_property
    def anytime_counts(self) -> NDArray[np.int64]:
        """(c,) numbers of evaluations."""
        return checkpoints(len(self.rows))

    @cached_property
    def anytime_hypervolume(self) -> Floats:
        """(c,) hypervolume after so many evaluations."""
        return self.scale.anytime(self.own_values, self.anytime_counts)

    @property
    def knee(self) -> int:
        """Evaluation of the front's knee (r_k).

        Raises:
            ConfigError: the front is empty.
        """
        return int(self.front[knee(self._some_front(), self.config.objectives)])

    @property
    def extremes(self) -> tuple[int, ...]:
        """Evaluations of the best cell in each objective (r_0, r_1, ...).

        Raises:
            ConfigError: the front is empty.
        """
        found = extremes(self._some_front(), self.config.objectives)
        return tuple(int(self.front[i]) for i in found)

    def _some_front(self) -> Floats:
        """The front's values, which must not be empty."""
        if not len(self.front):
            name, epochs = self.config.method, self.config.epochs
            message = f"the search {name} ended before its first evaluation at {epochs} epochs"
            raise ConfigError(message, remedy="raise its limits, such as the evaluations")
        return self.front_values


# -- files and JSON ----


def prepare(folder: Path, *, overwrite: bool) -> Path:
    """Make the folder of a search; files of an earlier search stay until `write` replaces them.

    Raises:
        ConfigError: it is no folder, or it is not empty and `overwrite` is not set.
        StorageError: it cannot be made or read.
    """
    where = str(folder)
    if exists(folder) and not is_folder(folder):
        raise ConfigError("the output must be a folder", value=where)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise storage_error(error, folder) from error
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"the output has no possible name ({error})", value=where) from error
    if not empty and not overwrite:
        remedy = "choose another --out, or replace its search by --overwrite"
        raise ConfigError("the output folder is not empty", value=where, remedy=remedy)
    return folder


def write(
    result: SearchResult, folder: Path, *, notes: Mapping[str, Sequence[Any]] | None = None
) -> None:
    """Write the history, the front, the costs and the settings of a search, all or none.

    Plots of an earlier search are removed.

    Args:
        result: the result to write.
        folder: the folder for its files.
        notes: further columns of the history, n values for each name.

    Raises:
        ConfigError: a note has not one value for each evaluation.
        StorageError: the folder cannot be written or the disk is full.
    """
    whole = document(result)
    history = _history(result, notes or {})
    config, spent = whole.pop("config"), whole.pop("spent")
    texts = {
        "config.json": to_json(config, indent=2) + "\n",
        "spent.json": to_json(spent, indent=2) + "\n",
        "front.json": to_json(whole, indent=2) + "\n",
        "history.jsonl": "".join(to_json(line) + "\n" for line in history),
    }
    write_together({folder / name: text.encode("utf-8") for name, text in texts.items()})
    try:
        for name in _PLOTS:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error


def document(result: SearchResult) -> dict[str, Any]:
    """The result as one JSON object: hypervolume, front, knee, extremes, spent, config."""
    names, scale = result.config.objectives, result.scale
    settings = dict(vars(result.config))
    origins = settings.pop("provenance")
    places = {index: _point(result, index) for index in result.front.tolist()}
    # The front is empty if the run ended before its first evaluation at its own budget.
    chosen = result.extremes if places else ()
    return {
        "hypervolume": result.hypervolume,
        "objectives": list(names),
        "epochs": result.config.epochs,
        "counted": _COUNTED,
        "front": list(places.values()),
        "knee": places[result.knee] if places else None,
        "extremes": {name: places[index] for name, index in zip(names, chosen, strict=False)},
        "scale": {
            "ideal": dict(zip(names, scale.ideal, strict=True)),
            "reference": dict(zip(names, scale.reference, strict=True)),
            "volume": scale.volume,
        },
        "anytime": {
            "evaluations": result.anytime_counts.tolist(),
            "hypervolume": result.anytime_hypervolume.tolist(),
        },
        "distinct_cells": len(set(result.rows.tolist())),
        "skipped": result.skipped,
        "answered": result.answered,
        "ended_by": result.ended_by,
        "spent": result.spent.to_dict(),
        "config": {
            **settings,
            "provenance": {n: {"text": str(p), **p.to_json()} for n, p in origins.items()},
        },
    }


def _point(result: SearchResult, index: int) -> dict[str, Any]:
    """One evaluation: cell, row, objectives, energy in kWh and the other details."""
    cell = Cell.from_row(int(result.rows[index]))
    metrics = {name: _number(name, float(values[index])) for name, values in result.details.items()}
    metrics |= _objectives(result, index)
    return {
        "row": cell.row,
        "cell": str(cell),
        "nasbench_hash": cell.nasbench_hash,
        "index": index,
        "energy_kwh": metrics.pop("energy_kwh", math.nan),
        **metrics,
    }


def _objectives(result: SearchResult, index: int) -> dict[str, float]:
    values = zip(result.config.objectives, result.values[index].tolist(), strict=True)
    return {name: _number(name, value) for name, value in values}


def _number(name: str, value: float) -> float:
    """The value, as an integer if the metric is a count."""
    return int(value) if name in _COUNTS and math.isfinite(value) else value


def _history(result: SearchResult, notes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """The evaluations in order, each with what had been spent by then."""
    short = [name for name, values in notes.items() if len(values) != len(result.rows)]
    if short:
        raise ConfigError(f"notes need {len(result.rows)} values, one each evaluation", value=short)
    cells = {row: Cell.from_row(row) for row in set(result.rows.tolist())}
    known = {row: (str(cell), cell.nasbench_hash) for row, cell in cells.items()}
    spent = {name: column.tolist() for name, column in result.cumulative.items()}
    spent |= {name: list(map(int, spent[name])) for name in ("evaluations", "epochs")}
    epochs = result.epochs.tolist()
    for index, row in enumerate(result.rows.tolist()):
        text, key = known[row]
        yield {
            "index": index,
            "row": row,
            "cell": text,
            "nasbench_hash": key,
            "epochs": epochs[index],
            **_objectives(result, index),
            **{name: values[index] for name, values in notes.items()},
            "spent": {name: column[index] for name, column in spent.items()},
        }
