"""Made-up columns, spoilt headers, and files of others: EC-NAS's results, NASLib's pickle."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.nasbench_tfrecord import ECNAS, Message
from naslib_ecnas.data.table import Columns
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

# -- columns -------------------------------------------------------------------------------------


def synthetic(
    kind: Message = ECNAS,
    *,
    vertices: int = 4,
    cells: int = 9,
    budgets: tuple[int, ...] = (4, 108),
    repeats: int = 3,
    seed: int = 0,
) -> Columns:
    """Made-up values for every metric that a kind of message can hold."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(Space(vertices)), cells, replace=False)).astype(np.int32)
    values = {}
    for name in sorted(kind.metrics):
        low, high = np.clip(METRICS[name].plausible, 0, 1e9)
        values[name] = low + (high - low) * rng.random((cells, len(budgets), repeats))
        if name.endswith("_unix_s"):
            values[name] = np.floor(1.65e9 + 1e7 * rng.random(values[name].shape))
    origins = {name: Provenance("synthetic", note="made up") for name in values}
    attributes = {"gpu": "none", "cpu": "none"} if kind is ECNAS else {}
    return Columns("synthetic", vertices, rows, budgets, repeats, values, origins, attributes)


def same_values(found: Columns, wanted: Columns) -> None:
    """Fails unless two columns hold the same cells and the same numbers."""
    assert found.vertices == wanted.vertices
    assert found.rows.tolist() == wanted.rows.tolist()
    assert (found.budgets, found.repeats) == (wanted.budgets, wanted.repeats)
    assert set(found.values) == set(wanted.values)
    for name, array in wanted.values.items():
        np.testing.assert_array_equal(found.values[name], array, err_msg=name)


# -- headers of files of arrays ------------------------------------------------------------------


def header_of(raw: bytes) -> dict[str, Any]:
    """The arrays of a file, and as `about` what is said of the whole."""
    arrays = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return {"about": json.loads(arrays.pop("__metadata__")["ecnas"]), **arrays}


def with_header(raw: bytes, header: dict[str, Any]) -> bytes:
    """A file of arrays with another header, whose checksum is right."""
    arrays, about = dict(header), header.get("about")
    arrays.pop("about", None)
    if isinstance(about, dict):
        about = {"crc32": "0" * 8, **{key: about[key] for key in about if key != "crc32"}}
    text = json.dumps(about, separators=(",", ":"))
    body = json.dumps({"__metadata__": {"ecnas": text}, **arrays}, separators=(",", ":")).encode()
    body = body.replace(b"0" * 8, f"{zlib.crc32(body):08x}".encode(), 1)
    start = 8 + int.from_bytes(raw[:8], "little")
    return len(body).to_bytes(8, "little") + body + raw[start:]


# -- results.json ---------------------------------------------------------------------------------


def evaluation(epochs: float, energy: float, **more: Any) -> dict[str, Any]:
    """One evaluation with made-up numbers, in the form of the released runs."""
    times = {"training_time": 10.0 * epochs, "training_steps": 156, "predict_time": 1.5}
    times |= {"start_emission": "1970-01-01 00:00:10", "stop_emission": "1970-01-01 00:01:10"}
    accuracies = {"train_accuracy": 0.5, "validation_accuracy": 0.25, "test_accuracy": 0.125}
    energies = {"energy (kWh)": energy, "co2eq (g)": 100 * energy}
    energies["avg_intensity (gCO2/kWh)"] = 100.0
    return {"epochs": epochs, **times, **accuracies, **energies, **more}


def usage(watts: list[float], joules: list[float], *devices: str) -> dict[str, Any]:
    lists = {"avg_power_usages (W)": [watts], "avg_energy_usages (J)": [joules]}
    return {**lists, "devices": [*devices]}


PREDICTED = {"predicted_energy (kWh)": 0.3, "predicted_co2eq (g)": 0.4}
PREDICTED |= {"predicted_training_time": 5.0, "predicted_avg_intensity (gCO2/kWh)": 6.0}


def results(cell: Cell, epochs: int, energy: float) -> dict[str, Any]:
    """One file with made-up numbers."""
    last = evaluation(float(epochs), energy, **PREDICTED)
    total = {"total_time": 99.0, "total_energy (kWh)": 2 * energy, "total_co2eq (g)": 200 * energy}
    times = {"start_emission": "1970-01-01 00:00:00", "stop_emission": "1970-01-01 01:00:00"}
    return {
        "trainable_params": int(network.parameters(cell.row)[0]),
        **total,
        **times,
        "avg_intensity (gCO2/kWh)": 100.0,
        "avg_power_usages:": {
            "gpu": usage([150.5], [2000.25], "A GPU"),
            "cpu": usage([50.0, 60.0], [500.0, 600.0], "cpu:0", " cpu:1"),
        },
        "evaluation_results": [evaluation(0.0, 0.001), evaluation(epochs / 2, 0.002), last],
    }


def put(root: Path, cell: Cell, epochs: int, repeat: int, content: Any) -> Path:
    name = cell.nasbench_hash
    folder = root / f"{epochs}_epochs" / name[:2] / name / f"repeat_{repeat}"
    folder.mkdir(parents=True)
    path = folder / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# -- nasbench_only108.pkl -------------------------------------------------------------------------

FIELDS = [
    f"{when}_{what}"
    for when in ("halfway", "final")
    for what in ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
]
Content = dict[str, tuple[dict[str, Any], dict[int, list[dict[str, Any]]]]]


def content(vertices: int = 5, n: int = 12, repeats: int = 3) -> Content:
    """Made-up trainings in the form of NASLib's file."""
    rng = np.random.default_rng(0)
    space = Space(vertices)
    out: Content = {}
    for row in np.linspace(0, len(space) - 1, n).astype(int).tolist():
        cell = space.cell(row)
        fixed = {
            "module_adjacency": cell.matrix.copy(),
            "module_operations": list(cell.ops),
            "trainable_parameters": int(network.parameters(row)[0]),
        }
        trained = [{field: rng.random() for field in FIELDS} for _ in range(repeats)]
        out[cell.nasbench_hash] = (fixed, {108: trained})
    return out
