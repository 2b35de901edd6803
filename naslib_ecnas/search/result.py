"""The result of a search (`SearchResult`) and the files and JSON that it is written as."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import Scale, checkpoints, costs_of, extremes, knee, nondominated
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import exists, is_folder, storage_error, to_json, write_together
from naslib_ecnas.provenance import Provenance
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
    rows: NDArray[np.int32]
    """(n,) row of each evaluation, repeated for repeated cells."""
    epochs: NDArray[np.int64]
    """(n,) budget of each evaluation."""
    values: NDArray[np.float64]
    """(n, m) objectives of each evaluation, in the metrics' units."""
    details: Mapping[str, NDArray[np.float64]]
    """(n,) further metrics of each evaluation, as far as the table holds them."""
    cumulative: Mapping[str, NDArray[np.float64]]
    """(n,) what was spent up to and with each evaluation, by the names of `Spent`."""
    spent: Spent
    """Total cost of the trainings of all evaluations."""
    scale: Scale
    """The scale of the table at this budget."""
    front: NDArray[np.int64]
    """(k,) evaluations on the front found, from the best to the worst in the first objective; of
    equal points only the first evaluation."""
    hypervolume: float
    """Hypervolume of the front as a share of the true front's, 0 to 1."""
    anytime_counts: NDArray[np.int64]
    """(c,) numbers of evaluations."""
    anytime_hypervolume: NDArray[np.float64]
    """(c,) hypervolume after so many evaluations."""
    skipped: int = 0
    """Proposals of a paper setting that were invalid or not in the table: neither evaluated nor
    charged."""
    answered: int = 0
    """Repeated cells answered without a charge (`charge_repeats` off)."""
    ended_by: str = "evaluations"
    """The quantity whose limit ended the run, by the names of `Spent`, or `repeats`."""

    @property
    def knee(self) -> int:
        """Evaluation of the front's knee (r_k).

        Raises:
            ConfigError: the front is empty.
        """
        self._need_a_front()
        return int(self.front[knee(self.front_values, self.config.objectives)])

    @property
    def extremes(self) -> tuple[int, ...]:
        """Evaluations of the best cell in each objective (r_0, r_1, ...).

        Raises:
            ConfigError: the front is empty.
        """
        self._need_a_front()
        found = extremes(self.front_values, self.config.objectives)
        return tuple(int(self.front[i]) for i in found)

    def _need_a_front(self) -> None:
        if not len(self.front):
            name, epochs = self.config.method, self.config.epochs
            message = f"the search {name} ended before its first evaluation at {epochs} epochs"
            raise ConfigError(message, remedy="raise its limits, such as the evaluations")

    @property
    def front_rows(self) -> NDArray[np.int32]:
        """(k,) rows on the front found."""
        return self.rows[self.front]

    @property
    def front_values(self) -> NDArray[np.float64]:
        """(k, m) objectives on the front found, in the metrics' units."""
        return self.values[self.front]

    @classmethod
    def of(
        cls,
        config: SearchConfig,
        *,
        rows: NDArray[np.int32],
        values: NDArray[np.float64],
        details: Mapping[str, NDArray[np.float64]],
        cumulative: Mapping[str, NDArray[np.float64]],
        spent: Spent,
        scale: Scale,
        epochs: NDArray[np.int64] | None = None,
        skipped: int = 0,
        answered: int = 0,
        ended_by: str = "evaluations",
    ) -> SearchResult:
        """The result of a history, from which front and hypervolume are computed.

        Args:
            epochs: (n,) budget of each evaluation; the run's own by default.
        """
        each = np.full(len(rows), config.epochs) if epochs is None else np.asarray(epochs)
        # Values at other budgets become NaN, which is on no front.
        own = np.where((each == config.epochs)[:, None], values, np.nan)
        costs = costs_of(own, config.objectives)
        front = np.flatnonzero(nondominated(costs))
        front = front[np.lexsort(costs[front].T[::-1])]
        counts = checkpoints(len(rows))
        return cls(
            config=config,
            rows=rows,
            epochs=each.astype(np.int64),
            values=values,
            details=details,
            cumulative=cumulative,
            spent=spent,
            scale=scale,
            front=front,
            hypervolume=scale.hypervolume(own[front]),
            anytime_counts=counts,
            anytime_hypervolume=scale.anytime(own, counts),
            skipped=skipped,
            answered=answered,
            ended_by=ended_by,
        )


# -- files and JSON ----


def prepare(folder: Path, *, overwrite: bool) -> Path:
    """Make the folder of a search; files of an earlier search stay until `write` replaces them.

    Raises:
        ConfigError: it is no folder, or it is not empty and `overwrite` is not set.
        StorageError: it cannot be made or read.
    """
    try:
        if exists(folder) and not is_folder(folder):
            raise ConfigError("the output must be a folder", value=str(folder))
        folder.mkdir(parents=True, exist_ok=True)
        if not overwrite and any(folder.iterdir()):
            raise ConfigError(
                "the output folder is not empty",
                value=str(folder),
                remedy="choose another --out, or replace its search by --overwrite",
            )
    except OSError as error:
        raise storage_error(error, folder) from error
    except ConfigError:
        raise
    except ValueError as error:  # a NUL in the name
        raise ConfigError(
            f"the output has no possible name ({error})", value=str(folder)
        ) from error
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
    config = result.config
    return {
        "hypervolume": result.hypervolume,
        "objectives": list(config.objectives),
        "epochs": config.epochs,
        "counted": _COUNTED,
        "front": [_point(result, index) for index in result.front.tolist()],
        # The front is empty if the run ended before its first evaluation at its own budget.
        "knee": _point(result, result.knee) if len(result.front) else None,
        "extremes": {
            name: _point(result, index)
            for name, index in zip(
                config.objectives, result.extremes if len(result.front) else (), strict=False
            )
        },
        "scale": {
            "ideal": dict(zip(config.objectives, result.scale.ideal, strict=True)),
            "reference": dict(zip(config.objectives, result.scale.reference, strict=True)),
            "volume": result.scale.volume,
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
        "config": _config(config),
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


def _config(config: SearchConfig) -> dict[str, Any]:
    origin = {name: {"text": str(p), **p.to_json()} for name, p in config.provenance.items()}
    return {
        **{key: value for key, value in vars(config).items() if key != "provenance"},
        "provenance": origin,
        "versions": dict(config.versions),
        "limits": dict(config.limits),
        "options": dict(config.options),
    }


def _history(result: SearchResult, notes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    short = [name for name, values in notes.items() if len(values) != len(result.rows)]
    if short:
        raise ConfigError(f"notes need {len(result.rows)} values, one each evaluation", value=short)
    cells: dict[int, tuple[str, str]] = {}
    spent = {name: column.tolist() for name, column in result.cumulative.items()}
    epochs = result.epochs.tolist()
    lines = []
    for index, row in enumerate(result.rows.tolist()):
        if row not in cells:
            cell = Cell.from_row(row)
            cells[row] = (str(cell), cell.nasbench_hash)
        text, key = cells[row]
        lines.append(
            {
                "index": index,
                "row": row,
                "cell": text,
                "nasbench_hash": key,
                "epochs": epochs[index],
                **_objectives(result, index),
                **{name: values[index] for name, values in notes.items()},
                "spent": {
                    name: int(column[index]) if name in ("evaluations", "epochs") else column[index]
                    for name, column in spent.items()
                },
            }
        )
    return lines
