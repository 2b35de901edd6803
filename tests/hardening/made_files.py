"""Small good files of every kind that the package reads, to be spoilt."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made_campaigns
import numpy as np

from naslib_ecnas import network
from naslib_ecnas.data.table import Columns
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = ["JSON_KINDS", "KINDS", "Kind", "columns"]


@dataclass(frozen=True)
class Kind:
    """One kind of file: how a good one is made, and how it is read."""

    make: Callable[[Path], Path]
    """Writes into a folder; returns the file that is spoilt."""
    read: Callable[[Path], Any]
    """Reads what the spoilt file is part of."""


def columns(energy: bool = True) -> Columns:
    """Made-up columns of three cells."""
    from naslib_ecnas.data.protobuf import ModelMetrics, ModelMetricsEnergy, metrics_of

    rng = np.random.default_rng(5)
    kind: Any = ModelMetricsEnergy if energy else ModelMetrics
    values = {}
    for name in sorted(metrics_of(kind)):
        values[name] = rng.random((3, 1, 1))
        if name.endswith("_unix_s"):
            values[name] = np.floor(1.6e9 + 1e7 * values[name])
    return Columns(
        name="made-up",
        vertices=4,
        rows=np.array([2, 40, 77], dtype=np.int32),
        budgets=(4,),
        repeats=1,
        values=values,
        provenance=dict.fromkeys(values, Provenance("synthetic", note="made up")),
        attributes={"gpu": "none", "cpu": "none"} if energy else {},
    )


# -- tables ----------------------------------------------------------------------------------


def _table(folder: Path) -> Path:
    from naslib_ecnas.data.table import write_table

    write_table(folder / "x.ecnas", columns())
    return folder / "x.ecnas"


def _read_table(path: Path) -> Any:
    from naslib_ecnas.data.table import Table

    table = Table.open(path)
    table.verify()
    return table.to_columns()


def _written(name: str, energy: bool = True) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from naslib_ecnas.data import long_form, nasbench_tfrecord

        writers: dict[str, Any] = {
            "ecnas.tfrecord": nasbench_tfrecord.write_ecnas,
            "nasbench.tfrecord": nasbench_tfrecord.write_nasbench,
            "x.csv": long_form.write_csv,
            "x.parquet": long_form.write_parquet,
        }
        writers[name](folder / name, columns(energy))
        return folder / name

    return make


def _any(path: Path) -> Any:
    from naslib_ecnas.data.convert import read

    return read(path)


def _pickle(folder: Path) -> Path:
    trained = {
        f"{when}_{what}": 0.5
        for when in ("halfway", "final")
        for what in ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
    }
    content = {}
    for row in (3, 50):
        cell = Space(4).cell(row)
        fixed = {
            "module_adjacency": cell.matrix.copy(),
            "module_operations": list(cell.ops),
            "trainable_parameters": int(network.parameters(row)[0]),
        }
        content[cell.nasbench_hash] = (fixed, {108: [trained]})
    (folder / "x.pkl").write_bytes(pickle.dumps(content))
    return folder / "x.pkl"


def _read_pickle(path: Path) -> Any:
    from naslib_ecnas.data.nasbench_pickle import read_nasbench_pickle

    return read_nasbench_pickle(path)


def _results(folder: Path) -> Path:
    def evaluation(epochs: float) -> dict[str, Any]:
        return {
            "epochs": epochs,
            "training_time": 10.0 * epochs,
            "train_accuracy": 0.5,
            "validation_accuracy": 0.25,
            "test_accuracy": 0.125,
            "energy (kWh)": 0.001 * epochs,
            "co2eq (g)": 0.1,
            "avg_intensity (gCO2/kWh)": 100.0,
            "start_emission": "1970-01-01 00:00:10",
            "stop_emission": "1970-01-01 00:01:10",
        }

    cell = Space(4).cell(40)
    content = {
        "trainable_params": int(network.parameters(40)[0]),
        "total_time": 99.0,
        "total_energy (kWh)": 0.02,
        "total_co2eq (g)": 2.0,
        "start_emission": "1970-01-01 00:00:00",
        "stop_emission": "1970-01-01 01:00:00",
        "avg_intensity (gCO2/kWh)": 100.0,
        "evaluation_results": [evaluation(epochs) for epochs in (0.0, 2.0, 4.0)],
    }
    name = cell.nasbench_hash
    place = folder / "tree" / "4_epochs" / name[:2] / name / "repeat_1"
    place.mkdir(parents=True)
    (place / "results.json").write_text(json.dumps(content))
    return place / "results.json"


def _read_results(path: Path) -> Any:
    from naslib_ecnas.data.results_tree import read_results_tree

    return read_results_tree(path.parents[4])


# -- searches and comparisons ------------------------------------------------------------------


def _toy(folder: Path) -> Any:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.data.table import Table, write_table

    rows = np.arange(91, dtype=np.int32)
    rng = np.random.default_rng(1)
    values = {"energy_kwh": rng.random((91, 1, 1)), "validation_accuracy": rng.random((91, 1, 1))}
    origin = dict.fromkeys(values, Provenance("synthetic", device="none", pue=1.0))
    write_table(folder / "toy.ecnas", Columns("toy", 4, rows, (4,), 1, values, origin))
    return Benchmark(Table.open(folder / "toy.ecnas"))


def _search(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from naslib_ecnas import search

        search.run(_toy(folder), "random", evaluations=6, seed=1, out=folder / "found")
        return folder / "found" / name

    return make


def _read_search(path: Path) -> Any:
    from naslib_ecnas.report import read_run

    return read_run(path.parent)


def _run_file(folder: Path) -> Path:
    from naslib_ecnas import search
    from naslib_ecnas.comparison.compare import Run

    result = search.run(_toy(folder), "random", evaluations=6, seed=1)
    Run.of(result, table="toy").write(folder / "seed-1.json")
    return folder / "seed-1.json"


def _read_run_file(path: Path) -> Any:
    from naslib_ecnas.comparison.compare import Run

    return Run.read(path)


def _rules(folder: Path) -> Path:
    from naslib_ecnas.comparison.compare import prepare

    prepare(folder / "compared", {"evaluations": 3, "epochs": None, "objectives": ["a", "b"]})
    return folder / "compared" / "comparison.json"


def _read_rules(path: Path) -> Any:
    from naslib_ecnas.comparison.compare import prepare
    from naslib_ecnas.report.runs import compared_runs

    list(compared_runs(path.parent))
    prepare(path.parent, {"evaluations": 3, "epochs": None, "objectives": ["a", "b"]})


def _curve(folder: Path) -> Path:
    points = [{"size": 100, "mae_wh": 0.5, "seed": 1}, {"size": 200, "mae_wh": 0.25, "seed": 1}]
    (folder / "curve.json").write_text(json.dumps(points))
    return folder / "curve.json"


def _read_curve(path: Path) -> Any:
    from naslib_ecnas.figures.predictions import read_learning_curve

    return read_learning_curve(path)


# -- models ------------------------------------------------------------------------------------


def _weights(folder: Path) -> Path:
    from naslib_ecnas.surrogate.models import Weights

    Weights({"target": "x", "seed": 0}, {"a": np.arange(6.0), "b": np.eye(2)}).save(
        folder / "x.npz"
    )
    return folder / "x.npz"


def _read_weights(path: Path) -> Any:
    from naslib_ecnas.surrogate.models import Weights

    return Weights.load(path)


def _calibration(folder: Path) -> Path:
    from naslib_ecnas.surrogate.models import Weights, shipped

    held = Weights.load(shipped("devices"))
    Weights({**held.header, "device": "titan-xp"}, held.arrays).save(folder / "gpu.npz")
    return folder / "gpu.npz"


def _read_calibration(path: Path) -> Any:
    from naslib_ecnas.surrogate.modelled import calibration_of

    return calibration_of(path)


# -- all else ----------------------------------------------------------------------------------


def _catalog(folder: Path) -> Path:
    from naslib_ecnas.data import catalog

    shutil.copy(Path(catalog.__file__).with_name("catalog.toml"), folder / "catalog.toml")
    return folder / "catalog.toml"


def _read_catalog(path: Path) -> Any:
    from naslib_ecnas.data.catalog import read_catalog

    return read_catalog(path)


def _receipt(folder: Path) -> Path:
    from naslib_ecnas.data.convert import Receipt

    (folder / "x.ecnas").write_bytes(b"")
    Receipt("0" * 64, 1, 2, "maker").write(folder / "x.ecnas")
    return folder / "x.json"


def _read_receipt(path: Path) -> Any:
    from naslib_ecnas.data.convert import Receipt

    return Receipt.read(path.with_suffix(".ecnas"))


def _array(folder: Path) -> Path:
    packed = io.BytesIO()
    np.save(packed, np.arange(3))
    (folder / "x.npz").write_bytes(packed.getvalue())
    return folder / "x.npz"


KINDS: dict[str, Kind] = {
    "table": Kind(_table, _read_table),
    "ecnas-tfrecord": Kind(_written("ecnas.tfrecord"), _any),
    "nasbench-tfrecord": Kind(_written("nasbench.tfrecord", energy=False), _any),
    "csv": Kind(_written("x.csv"), _any),
    "parquet": Kind(_written("x.parquet"), _any),
    "naslib-pickle": Kind(_pickle, _read_pickle),
    "results-tree": Kind(_results, _read_results),
    "search-config": Kind(_search("config.json"), _read_search),
    "search-front": Kind(_search("front.json"), _read_search),
    "search-spent": Kind(_search("spent.json"), _read_search),
    "search-history": Kind(_search("history.jsonl"), _read_search),
    "run-file": Kind(_run_file, _read_run_file),
    "comparison-rules": Kind(_rules, _read_rules),
    "learning-curve": Kind(_curve, _read_curve),
    "weights": Kind(_weights, _read_weights),
    "plain-array": Kind(_array, _read_weights),
    "calibration": Kind(_calibration, _read_calibration),
    "plan": Kind(made_campaigns.plan, made_campaigns.read_plan),
    "claim": Kind(made_campaigns.claim, made_campaigns.read_attempts),
    "attempt-log": Kind(made_campaigns.log, made_campaigns.read_attempts),
    "replayed-windows": Kind(made_campaigns.window, made_campaigns.read_replay),
    "replayed-trace": Kind(made_campaigns.trace, made_campaigns.read_replay),
    "record": Kind(made_campaigns.record, made_campaigns.read_record),
    "cifar10-binary": Kind(made_campaigns.cifar("cifar.bin"), made_campaigns.read_binary),
    "cifar10-pickle": Kind(made_campaigns.cifar("data_batch_1"), made_campaigns.read_python),
    "naslib-config": Kind(made_campaigns.config, made_campaigns.read_config),
    "cells": Kind(made_campaigns.cells, made_campaigns.read_cells),
    "catalog": Kind(_catalog, _read_catalog),
    "receipt": Kind(_receipt, _read_receipt),
}
#: Those whose files are JSON, or lines of it, without a checksum.
JSON_KINDS = (
    "results-tree",
    "search-config",
    "search-front",
    "search-spent",
    "search-history",
    "run-file",
    "comparison-rules",
    "learning-curve",
    "plan",
    "claim",
    "attempt-log",
    "replayed-windows",
    "replayed-trace",
    "cells",
    "receipt",
)
