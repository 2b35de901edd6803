"""Small good files of every kind that the package reads, to be spoilt."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from naslib_ecnas.data.table import Columns
from naslib_ecnas.space import Space

# What others' files hold lies beside the tests of their readers.
sys.path.append(str(Path(__file__).parents[1] / "data"))
from foreign import content, put, results, synthetic
from foreign import header_of as header_of
from foreign import with_header as with_header


@dataclass(frozen=True)
class Kind:
    """One kind of file: how a good one is made, and how it is read."""

    make: Callable[[Path], Path]
    """Writes into a folder; returns the file that is spoilt."""
    read: Callable[[Path], Any]
    """Reads what the spoilt file is part of."""


def _by(name: str, up: int = 0) -> Callable[[Path], Any]:
    """A function of the package, imported at the first call, on a file or a folder above it."""
    return lambda path: resolve_name(f"naslib_ecnas.{name}")([path, *path.parents][up])


_read_any, _read_run = _by("data.convert:read"), _by("report:read_run", 1)


def _text(name: str, content: Any) -> Callable[[Path], Path]:
    """What writes a file of a text, or of JSON."""

    def make(folder: Path) -> Path:
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return folder / name

    return make


CELLS = [{"row": 3}, {"row": 5}, 7]
CONFIG = "dataset: cifar10\nseed: 1\noptimizer: rs\nsearch:\n  epochs: 3\n  seed: 2\n"


def columns(energy: bool = True) -> Columns:
    """Made-up columns of three cells."""
    from naslib_ecnas.data.nasbench_tfrecord import ECNAS, NASBENCH

    made: Columns = synthetic(ECNAS if energy else NASBENCH, cells=3, budgets=(4,), repeats=1)
    return made


# -- tables ----------------------------------------------------------------------------------


def _read_table(path: Path) -> Any:
    from naslib_ecnas.data.table import Table

    table = Table.open(path)
    table.verify()
    return table.to_columns()


def _written(name: str, writer: str, energy: bool = True) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        resolve_name(f"naslib_ecnas.data.{writer}")(folder / name, columns(energy))
        return folder / name

    return make


def _pickle(folder: Path) -> Path:
    (folder / "x.pkl").write_bytes(pickle.dumps(content(vertices=4, n=2, repeats=1)))
    return folder / "x.pkl"


def _results(folder: Path) -> Path:
    cell = Space(4).cell(40)
    return put(folder / "tree", cell, 4, 1, results(cell, 4, 0.004))


# -- searches and comparisons ------------------------------------------------------------------


def _found(folder: Path) -> Any:
    """A search of three cells, written below a folder."""
    from naslib_ecnas import search
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.data.table import Table, write_table

    write_table(folder / "toy.ecnas", columns())
    bench = Benchmark(Table.open(folder / "toy.ecnas"))
    return search.run(bench, "random", evaluations=3, seed=1, out=folder / "found")


def _search(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _found(folder)
        return folder / "found" / name

    return make


def _run_file(folder: Path) -> Path:
    from naslib_ecnas.comparison.runs import Run

    Run.of(_found(folder), table="toy").write(folder / "seed-1.json")
    return folder / "seed-1.json"


def _rules(folder: Path) -> Path:
    from naslib_ecnas.comparison.experiment import prepare

    prepare(folder / "compared", {"evaluations": 3, "epochs": None, "objectives": ["a", "b"]})
    return folder / "compared" / "comparison.json"


def _read_rules(path: Path) -> Any:
    from naslib_ecnas.comparison.experiment import prepare
    from naslib_ecnas.report.runs import compared_runs

    list(compared_runs(path.parent))
    prepare(path.parent, {"evaluations": 3, "epochs": None, "objectives": ["a", "b"]})


# -- models ------------------------------------------------------------------------------------


def _weights(folder: Path) -> Path:
    from naslib_ecnas.surrogate.models import Weights

    arrays = {"a": np.arange(6.0), "b": np.eye(2)}
    Weights({"target": "x", "seed": 0}, arrays).save(folder / "x.safetensors")
    return folder / "x.safetensors"


def _calibration(folder: Path) -> Path:
    from naslib_ecnas.surrogate.models import Weights

    held = Weights.shipped("devices")
    Weights({**held.header, "device": "titan-xp"}, held.arrays).save(folder / "gpu.safetensors")
    return folder / "gpu.safetensors"


# -- campaigns, meters and images ---------------------------------------------------------------


def _plan(folder: Path) -> Path:
    from naslib_ecnas.campaign import DataChoice, make_plan

    data = DataChoice(kind="synthetic", images_per_file=4)
    make_plan((0, 2), name="made-up", vertices=4, data=data).write(folder / "campaign")
    return next((folder / "campaign").glob("*plan*"))


def _claim(folder: Path) -> Path:
    from naslib_ecnas.campaign import Plan
    from naslib_ecnas.campaign.claims import Claim
    from naslib_ecnas.campaign.worker import attempts_folder

    unit = Plan.read(_plan(folder).parent).units[0]
    claim = Claim(attempts_folder(folder / "campaign", unit), 1)
    assert claim.take()
    claim.end("failed", "made up")
    return claim.path


def _record(folder: Path) -> Path:
    """A training of one step, on made-up images and without a meter."""
    from naslib_ecnas.campaign import Settings, work

    campaign = _plan(folder).parent
    small = Settings(meter="none", baseline_s=0, steps=1, batch_size=2, evaluate_images=2)
    work(campaign, small, limit=1)
    return next((campaign / "records").glob("*.json"))


def _read_record(path: Path) -> Any:
    from naslib_ecnas.campaign import status, validate

    validate(path.parents[1])
    return status(path.parents[1])


def _cifar(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        rng = np.random.default_rng(3)
        pixels = rng.integers(0, 256, (2, 3072), dtype=np.uint8)
        path = folder / name
        if name == "cifar.bin":
            path.write_bytes(b"".join(b"\x03" + row.tobytes() for row in pixels))
        else:
            path.write_bytes(pickle.dumps({b"data": pixels, b"labels": [3, 4]}, protocol=2))
        return path

    return make


# -- all else ----------------------------------------------------------------------------------


KINDS: dict[str, Kind] = {
    "table": Kind(_written("x.ecnas", "table:write_table"), _read_table),
    "ecnas-tfrecord": Kind(_written("x.tfrecord", "nasbench_tfrecord:write_ecnas"), _read_any),
    "nasbench-tfrecord": Kind(
        _written("x.tfrecord", "nasbench_tfrecord:write_nasbench", energy=False), _read_any
    ),
    "csv": Kind(_written("x.csv", "long_form:write_csv"), _read_any),
    "parquet": Kind(_written("x.parquet", "long_form:write_parquet"), _read_any),
    "naslib-pickle": Kind(_pickle, _by("data.unpickle:read_nasbench_pickle")),
    "results-tree": Kind(_results, _by("data.results_tree:read_results_tree", 5)),
    "search-config": Kind(_search("config.json"), _read_run),
    "search-front": Kind(_search("front.json"), _read_run),
    "search-spent": Kind(_search("spent.json"), _read_run),
    "search-history": Kind(_search("history.jsonl"), _read_run),
    "run-file": Kind(_run_file, _by("comparison.runs:Run.read")),
    "comparison-rules": Kind(_rules, _read_rules),
    "weights": Kind(_weights, _by("surrogate.models:Weights.load")),
    "calibration": Kind(_calibration, _by("surrogate.modelled:calibration_of")),
    "plan": Kind(_plan, _by("campaign:status", 1)),
    "claim": Kind(_claim, _by("campaign:status", 3)),
    "record": Kind(_record, _read_record),
    "cifar10-binary": Kind(_cifar("cifar.bin"), _by("training.data:read_binary")),
    "cifar10-pickle": Kind(_cifar("data_batch_1"), _by("training.data:read_python")),
    "naslib-config": Kind(_text("config.yaml", CONFIG), _by("adapters.naslib_config:read")),
    "cells": Kind(_text("cells.json", CELLS), _by("campaign.plan:file_rows")),
}
#: Those whose files are JSON, or lines of it, without a checksum.
JSON_KINDS = (
    *("results-tree", "search-config", "search-front", "search-spent", "search-history"),
    *("run-file", "comparison-rules", "plan", "claim", "cells"),
)
