"""The files and the JSON that the result of a search is written as."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import (
    LOCK,
    exists,
    is_folder,
    only_one,
    open_file,
    storing,
    to_json,
    to_plain,
    write_together,
)
from naslib_ecnas.metrics import metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.search.result import SearchResult

# Files of a search, and texts by which they are told from files of others. The settings are written
# last: without them, a search was interrupted while it wrote.
_SETTINGS = "config.json"
_MARKS = {
    _SETTINGS: ('"checksum":', '"naslib-ecnas":'),
    "spent.json": ('"evaluations":', '"epochs":', '"seconds":'),
    "front.json": ('"hypervolume":', '"counted":'),
    "history.jsonl": ('"index":', '"row":', '"cell":', '"spent":'),
    "front.png": ("naslib-ecnas",),
    "front.pdf": ("naslib-ecnas",),
}
# Names of files that are being written, as `atomic_write` gives them.
_HALF = re.compile(rf"\.({'|'.join(map(re.escape, _MARKS))})\.[a-z0-9_]{{8}}")
# Bytes at the start of a file in which the texts are looked for.
_LOOKED_AT = 1 << 26
# Plots, which `ecnas search` adds to the files.
_PLOTS = ("front.png", "front.pdf")
# Lines of a history that are written at once.
_LINES = 10_000

# The rules of counting, as stated in the results.
_COUNTED = {
    "front": "only evaluations at the run's own budget (epochs) enter front, hypervolume, knee, "
    "extremes and anytime curve",
    "spent": "every evaluation in the history is charged as a whole training at its own budget",
    "end": "the first evaluation that would take a sum past its limit is not made",
}
_NOISE = (
    "front, knee and extremes are chosen by single trainings (seen); values and hypervolume are "
    "the table's means; optimism is seen less true, mean over the front"
)


@contextmanager
def claimed(out: str | PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """The folder of a search, which is made if need be, and is this process's until the end.

    With `overwrite` it may hold files of others beside those of an earlier search, which stay until
    `write` replaces them. What a search left that was killed while it wrote is replaced in any
    case. A new folder into which nothing was written is removed.

    Raises:
        ConfigError: it is no folder, is not empty without `overwrite`, holds another program's file
            under a name of ours, or another process is at work in it.
        StorageError: it cannot be made or read.
    """
    folder = Path(out)
    where, new = str(folder), not exists(folder)
    if not new and not is_folder(folder):
        raise ConfigError("the output must be a folder", value=where)
    try:
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"the output has no possible name ({error})", value=where) from error
    killed = exists(folder / LOCK)
    try:
        with only_one(folder):
            with storing(folder):
                _check(folder, overwrite, killed)
            yield folder
    finally:
        if new:
            with suppress(OSError):  # it has files
                folder.rmdir()


def _check(folder: Path, overwrite: bool, killed: bool) -> None:
    """Raise unless the folder may be used; remove what a killed search has half-written."""
    names = {path.name for path in folder.iterdir()} - {LOCK}
    half = {name for name in names if killed and _HALF.fullmatch(name)}
    names -= half
    foreign = sorted(name for name in names & set(_MARKS) if not _is_ours(folder / name))
    interrupted = not foreign and names <= set(_MARKS) - {*_PLOTS, _SETTINGS}
    if not overwrite and not interrupted:
        remedy = "choose another --out, or replace its search by --overwrite"
        raise ConfigError("the output folder is not empty", value=str(folder), remedy=remedy)
    if foreign:
        message = "only files of an earlier search can be replaced"
        raise ConfigError(message, value=str(folder / foreign[0]), remedy="choose another --out")
    for name in half:
        (folder / name).unlink()


def _is_ours(path: Path) -> bool:
    """Whether a file is one that this package wrote for a search."""
    try:
        with open_file(path) as file:
            content = file.read(_LOOKED_AT)
    except OSError:
        return False
    return all(text.encode() in content for text in _MARKS[path.name])


def write(
    result: SearchResult,
    folder: Path,
    *,
    notes: Mapping[str, Sequence[Any]] | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write the history, the front, the costs and the settings of a search, all or none.

    Plots of an earlier search are removed. `notes` are further columns of the history, n values
    for each name; `more` are further entries of `front`, `spent` and `config`.

    Raises:
        ConfigError: a note has not one value for each evaluation.
        StorageError: the folder cannot be written or the disk is full.
    """
    whole = document(result)
    parts = {"config": whole.pop("config"), "spent": whole.pop("spent"), "front": whole}
    parts = {name: {**part, **(more or {}).get(name, {})} for name, part in parts.items()}
    content: dict[Path, bytes | Iterable[bytes]] = {
        folder / f"{name}.json": f"{to_json(part, indent=2)}\n".encode()
        for name, part in parts.items()
    }
    content[folder / "history.jsonl"] = _history(result, notes or {})
    # Without settings, as a sign of a search that was killed before it gave all files their names.
    write_together(content, without=[folder / name for name in (*_PLOTS, _SETTINGS)])


def document(result: SearchResult) -> dict[str, Any]:
    """The result as one JSON object: hypervolume, front, knee, extremes, spent, config."""
    names, scale = result.config.objectives, result.scale
    settings = dict(vars(result.config))
    origins = settings.pop("provenance").items()
    places = {index: _point(result, index) for index in result.front.tolist()}
    # The front is empty if the run ended before its first evaluation at its own budget.
    chosen = result.extremes if places else ()
    more: dict[str, Any] = {}
    if result.timed:
        hours, reached = (column.tolist() for column in result.anytime_hours)
        curve = {"hours": hours, "hypervolume": reached}
        workers = result.config.workers
        more["clock"] = {"workers": workers, "hours": result.hours, "anytime": curve}
    if result.config.noise:
        looked = scale.hypervolume(result.seen[result.front])
        more["noise"] = {"about": _NOISE, "optimism": result.optimism, "hypervolume_seen": looked}
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
        **more,
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
    cell, at = Cell.from_row(int(result.rows[index])), slice(index, index + 1)
    details = {name: _numbers(name, column[at]) for name, column in result.details.items()}
    (metrics,) = _lines(details | _objectives(result, result.values[at]))
    seen = _lines(_objectives(result, result.seen[at]))[0] if result.config.noise else None
    return {
        "row": cell.row,
        "cell": str(cell),
        "nasbench_hash": cell.nasbench_hash,
        "index": index,
        "energy_kwh": metrics.pop("energy_kwh", math.nan),
        **metrics,
        **({} if seen is None else {"seen": seen}),
    }


def optimism_text(optimism: Mapping[str, float]) -> str:
    """`SearchResult.optimism` as a text."""
    metrics = zip(map(metric, optimism), optimism.values(), strict=True)
    return ", ".join(f"{m.about} {off:+.3g} {m.unit}".strip() for m, off in metrics)


def _history(result: SearchResult, notes: Mapping[str, Sequence[Any]]) -> Iterator[bytes]:
    """The evaluations in order, each with what had been spent by then, as parts of a file.

    The hashes of NAS-Bench-101 are left out: no search knows them, and one takes 60 us.
    """
    count = len(result.rows)
    short = [name for name, values in notes.items() if len(values) != count]
    if short:
        raise ConfigError(f"notes need {count} values, one each evaluation", value=short)
    times = {"started_s": result.started_s, "ended_s": result.ended_s} if result.timed else {}
    for start in range(0, count, _LINES):
        at = slice(start, start + _LINES)
        rows = result.rows[at].tolist()
        columns: dict[str, Sequence[Any]] = {
            "index": range(start, start + len(rows)),
            "row": rows,
            "cell": [str(Cell.from_row(row)) for row in rows],
            "epochs": result.epochs[at].tolist(),
            **_objectives(result, result.values[at]),
        }
        if result.config.noise:
            columns["seen"] = _lines(_objectives(result, result.seen[at]))
        columns |= {name: column[at].tolist() for name, column in times.items()}
        columns |= {name: values[at] for name, values in notes.items()}
        spent = {name: _numbers(name, column[at]) for name, column in result.cumulative.items()}
        columns["spent"] = _lines(spent)
        lines = (json.dumps(line, ensure_ascii=False) for line in to_plain(_lines(columns)))
        yield "".join(f"{line}\n" for line in lines).encode()


def _lines(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The values of each line of some columns, by name."""
    return [dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True)]


def _objectives(result: SearchResult, values: NDArray[np.float64]) -> dict[str, list[float]]:
    """(n, m) objectives as lists by name."""
    named = zip(result.config.objectives, values.T, strict=True)
    return {name: _numbers(name, column) for name, column in named}


def _numbers(name: str, column: NDArray[np.float64]) -> list[float]:
    """(n,) values as a list, counts as integers."""
    whole = name in DERIVED or name in ("evaluations", "epochs")
    return [int(v) if whole and math.isfinite(v) else v for v in column.tolist()]
