"""The files and the JSON that the result of a search is written as."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import exists, is_folder, storage_error, to_json, write_together
from naslib_ecnas.metrics import metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.search.result import SearchResult

# Plots of a search, which `ecnas search` adds to its files.
_PLOTS = ("front.png", "front.pdf")

# The rules of counting, as stated in the results.
_COUNTED = {
    "front": "only evaluations at the run's own budget (epochs) enter front, hypervolume, knee, "
    "extremes and anytime curve",
    "spent": "every evaluation in the history is charged as a whole training at its own budget",
    "end": "the first evaluation that would take a sum past its limit is not made",
}


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

    Plots of an earlier search are removed. `notes` are further columns of the history, n values
    for each name.

    Raises:
        ConfigError: a note has not one value for each evaluation.
        StorageError: the folder cannot be written or the disk is full.
    """
    whole = document(result)
    parts = {"config": whole.pop("config"), "spent": whole.pop("spent"), "front": whole}
    texts = {f"{name}.json": to_json(part, indent=2) + "\n" for name, part in parts.items()}
    lines = _history(result, notes or {})
    texts["history.jsonl"] = "".join(to_json(line) + "\n" for line in lines)
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
    origins = settings.pop("provenance").items()
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
            "kind": "nadir",
            "ideal": dict(zip(names, scale.ideal, strict=True)),
            "reference": dict(zip(names, scale.reference, strict=True)),
            "volume": scale.volume,
        },
        "anytime": {
            "evaluations": result.anytime_counts.tolist(),
            "hypervolume": result.anytime_hypervolume.tolist(),
        },
        "distinct_cells": len(set(result.rows.tolist())),
        **_noise(result),
        "skipped": result.skipped,
        "answered": result.answered,
        "ended_by": result.ended_by,
        "spent": result.spent.to_dict(),
        "config": {
            **settings,
            "provenance": {name: {"text": str(p), **p.to_json()} for name, p in origins},
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
        **_seen(result, index),
    }


def _objectives(result: SearchResult, index: int) -> dict[str, float]:
    values = zip(result.config.objectives, result.values[index].tolist(), strict=True)
    return {name: _number(name, value) for name, value in values}


def _number(name: str, value: float) -> float:
    """The value, as an integer if the metric is a count."""
    return int(value) if name in DERIVED and math.isfinite(value) else value


def _seen(result: SearchResult, index: int) -> dict[str, dict[str, float]]:
    """The objectives of an evaluation as the method saw them, where these are not the means."""
    if not result.config.noise:
        return {}
    values = result.seen[index].tolist()
    return {"seen": dict(zip(result.config.objectives, values, strict=True))}


def optimism_text(optimism: Mapping[str, float]) -> str:
    """`SearchResult.optimism` as a text."""
    metrics = zip(map(metric, optimism), optimism.values(), strict=True)
    return ", ".join(f"{m.about} {off:+.3g} {m.unit}".strip() for m, off in metrics)


def _noise(result: SearchResult) -> dict[str, Any]:
    """How much better the cells on the front looked than they are, in a run with noise."""
    if not result.config.noise:
        return {}
    looked = result.scale.hypervolume(result.seen[result.front])
    about = "front, knee and extremes are chosen by single trainings (seen); values and "
    about += "hypervolume are the table's means; optimism is seen less true, mean over the front"
    return {"noise": {"about": about, "optimism": result.optimism, "hypervolume_seen": looked}}


def _history(result: SearchResult, notes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """The evaluations in order, each with what had been spent by then."""
    short = [name for name, values in notes.items() if len(values) != len(result.rows)]
    if short:
        raise ConfigError(f"notes need {len(result.rows)} values, one each evaluation", value=short)
    cells = {row: Cell.from_row(row) for row in set(result.rows.tolist())}
    known = {row: (str(cell), cell.nasbench_hash) for row, cell in cells.items()}
    spent = {name: column.tolist() for name, column in result.cumulative.items()}
    spent |= {name: list(map(int, spent[name])) for name in ("evaluations", "epochs")}
    evaluations = zip(result.rows.tolist(), result.epochs.tolist(), strict=True)
    for index, (row, epochs) in enumerate(evaluations):
        yield {
            "index": index,
            "row": row,
            "cell": known[row][0],
            "nasbench_hash": known[row][1],
            "epochs": epochs,
            **_objectives(result, index),
            **_seen(result, index),
            **{name: values[index] for name, values in notes.items()},
            "spent": {name: column[index] for name, column in spent.items()},
        }
