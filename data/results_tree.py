"""Reading the tree of `results.json` files that EC-NAS's trainings write.

One training is `<epochs>_epochs/<first two digits>/<hash>/repeat_<n>/results.json`
(EC-NAS-Bench, `train_model_results/energy/...`). The files contain no adjacency matrix: the cell
is found by its hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.data.assemble import ECNAS_SPACES, Assembler, Source, opened
from naslib_ecnas.data.nasbench_tfrecord import to_seconds
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import EcnasError, StorageError, UnknownCellError, UnknownTableError
from naslib_ecnas.files import is_folder
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = ["is_results_tree", "read_results_tree"]

_EPOCHS = re.compile(r"([1-9][0-9]{0,5})_epochs", re.ASCII)
_PREFIX = re.compile(r"[0-9a-f]{2}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)
_REPEAT = re.compile(r"repeat_([1-9][0-9]{0,3})", re.ASCII)
_FILE = "results.json"
_MAX_BYTES = 1 << 20

_EVALUATION = {
    "epochs": "epoch",
    "training_time": "training_time_s",
    "train_accuracy": "train_accuracy",
    "validation_accuracy": "validation_accuracy",
    "test_accuracy": "test_accuracy",
    "energy (kWh)": "energy_kwh",
    "co2eq (g)": "co2_g",
    "avg_intensity (gCO2/kWh)": "carbon_intensity_g_per_kwh",
    "start_emission": "started_unix_s",
    "stop_emission": "stopped_unix_s",
}
_PREDICTED = {
    "predicted_energy (kWh)": "predicted_energy_kwh",
    "predicted_co2eq (g)": "predicted_co2_g",
    "predicted_training_time": "predicted_time_s",
    "predicted_avg_intensity (gCO2/kWh)": "predicted_carbon_intensity_g_per_kwh",
}
_TOTAL = {
    "total_time": "total_time_s",
    "total_energy (kWh)": "total_energy_kwh",
    "total_co2eq (g)": "total_co2_g",
    "avg_intensity (gCO2/kWh)": "total_carbon_intensity_g_per_kwh",
    "start_emission": "total_started_unix_s",
    "stop_emission": "total_stopped_unix_s",
}
# The key of the devices ends in a colon in the released files.
_POWER_KEYS = ("avg_power_usages:", "avg_power_usages")
_POWER = {
    "avg_power_usages (W)": "power_w",
    "avg_energy_usages (J)": "energy_j",
}
_DEVICES = {"gpu": ("gpu_",), "cpu": ("cpu_", "cpu1_")}
_POINTS = ("initial_", "halfway_", "")


def is_results_tree(folder: str | PathLike[str]) -> bool:
    """Whether a folder contains the folder of a budget, such as `4_epochs`."""
    try:
        return any(
            _EPOCHS.fullmatch(item.name) and item.is_dir() for item in Path(folder).iterdir()
        )
    except OSError:
        return False


def read_results_tree(
    folder: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
) -> Columns:
    """Read all trainings of a tree.

    `repeat_1` becomes repeat 0. Of several GPUs the first is kept, of several CPU packages the
    first two. The trainable parameters, the budget and the bounds of every value are checked.

    Args:
        folder: the folder that contains the `<epochs>_epochs` folders.
        name: short name of the table, by default the folder's.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric that is known. The others get a checksum over the
            names and contents of all files.

    Raises:
        UnknownTableError: there is no such folder, or it contains no training.
        StorageError: a folder of the tree cannot be read.
        FormatError: the tree contains a link, or a file is not such a JSON document.
    """
    root = Path(folder)
    assembler = Assembler(Source(str(root), None))
    digest = sha256()
    rows, budgets, repeats = [], [], []
    trainings: list[dict[str, float]] = []
    devices: dict[str, dict[str, None]] = {}
    cells: dict[str, int] = {}
    for path, epochs, key, repeat in _files(root):
        source = Source(str(path), None)
        raw = _content(path, source)
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(raw)}\0".encode() + raw)
        row = cells.get(key)
        if row is None:
            row = cells[key] = _row(key, vertices, source)
        rows.append(row)
        budgets.append(epochs)
        repeats.append(repeat - 1)
        trainings.append(_training(raw, row, epochs, devices, source))
    if not rows:
        form = "<epochs>_epochs/<2 digits>/<hash>/repeat_<n>/results.json"
        raise UnknownTableError(f"{root} contains no training, {form}")
    names = dict.fromkeys(metric for training in trainings for metric in training)
    assembler.add(
        np.array(rows, dtype=np.int32),
        np.array(budgets, dtype=np.int32),
        {m: np.array([t.get(m, np.nan) for t in trainings], dtype=np.float64) for m in names},
        repeats=np.array(repeats, dtype=np.int32),
    )
    return assembler.finish(
        name or root.resolve().name,
        vertices=vertices,
        provenance=provenance,
        default=Provenance("unknown", source=root.resolve().name, sha256=digest.hexdigest()),
        attributes={sort: "; ".join(found) for sort, found in devices.items()},
        drop_zero_co2=True,
    )


def _files(root: Path) -> Iterator[tuple[Path, int, str, int]]:
    """Path, epochs, hash and repeat of every training, in a fixed order."""
    for budget, epochs in _folders(root, _EPOCHS):
        for prefix, _ in _folders(budget, _PREFIX):
            for cell, _ in _folders(prefix, _HASH):
                if not cell.name.startswith(prefix.name):
                    message = f"the folder of a cell must be in {cell.name[:2]}"
                    raise Source(str(cell), None).fault(message, value=prefix.name)
                for repeat, number in _folders(cell, _REPEAT):
                    path = repeat / _FILE
                    if path.is_symlink():
                        raise _link(path)
                    if path.is_file():
                        yield path, epochs, cell.name, number


def _folders(folder: Path, form: re.Pattern[str]) -> list[tuple[Path, int]]:
    """The folders whose names have this form, with their numbers, sorted; links are refused."""
    found = []
    try:
        for item in sorted(folder.iterdir()):
            match = form.fullmatch(item.name)
            if match is None:
                continue
            if item.is_symlink():
                raise _link(item)
            if item.is_dir():
                found.append((item, int(match[1]) if form.groups else 0))
    except (OSError, ValueError) as error:  # ValueError: the name contains a NUL
        if isinstance(error, EcnasError):
            raise
        kind = StorageError if is_folder(folder) else UnknownTableError
        reason = getattr(error, "strerror", None) or error
        raise kind(f"the folder cannot be read ({reason})", value=str(folder)) from error
    return sorted(found, key=lambda pair: (pair[1], pair[0].name))


def _link(path: Path) -> Exception:
    return Source(str(path), None).fault("a link in a tree of results is not followed")


def _content(path: Path, source: Source) -> bytes:
    with opened(path) as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise source.fault(f"a file of results must have at most {_MAX_BYTES} bytes")
    return raw


def _row(key: str, vertices: int | None, source: Source) -> int:
    # The smaller spaces first: computing the hashes of the largest takes a while.
    for size in ECNAS_SPACES if vertices is None else (vertices,):
        with suppress(UnknownCellError):
            return Space(size).row_of_hash(key)
    raise source.fault("the folder must be named by the hash of a cell of the space", value=key)


def _training(
    raw: bytes, row: int, epochs: int, devices: dict[str, dict[str, None]], source: Source
) -> dict[str, float]:
    """The metrics in one file, with the names of the devices added to `devices`."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise source.fault(f"the file is not JSON ({type(error).__name__})") from error
    evaluations = data.get("evaluation_results") if isinstance(data, dict) else None
    if not isinstance(evaluations, list) or len(evaluations) != len(_POINTS):
        raise source.fault(f"the file must be an object with {len(_POINTS)} evaluation_results")
    values: dict[str, float] = {}
    _collect(values, data, _TOTAL, "", source)
    for prefix, evaluation in zip(_POINTS, evaluations, strict=True):
        _collect(values, evaluation, _EVALUATION, prefix, source)
    _collect(values, evaluations[-1], _PREDICTED, "", source)
    _check(data, values, row, epochs, source)
    power = next((data[key] for key in _POWER_KEYS if key in data), None)
    if power is not None:
        _collect_power(values, power, devices, source)
    return values


def _collect(
    values: dict[str, float], found: Any, vocabulary: Mapping[str, str], prefix: str, source: Source
) -> None:
    if not isinstance(found, dict):
        raise source.fault("an evaluation must be an object", value=found)
    for key, metric in vocabulary.items():
        if key in found:
            values[prefix + metric] = _number(found[key], metric, source)


def _number(value: Any, metric: str, source: Source) -> float:
    if metric.endswith("_unix_s") and isinstance(value, str):
        return to_seconds(value, source)
    if metric.endswith("_unix_s") or isinstance(value, bool) or not isinstance(value, (int, float)):
        expected = "a time" if metric.endswith("_unix_s") else "a number"
        raise source.fault(f"the value of {metric} must be {expected}", value=value)
    try:
        return float(value)
    except OverflowError as error:
        raise source.fault(f"the value of {metric} is too large for a float") from error


def _check(
    data: dict[str, Any], values: dict[str, float], row: int, epochs: int, source: Source
) -> None:
    parameters = int(network.parameters(row)[0])
    stated = data.get("trainable_params", parameters)
    if stated != parameters:
        raise source.fault(f"the cell has {parameters} trainable parameters", value=stated)
    if values.get("epoch", epochs) != epochs:
        message = f"a training in this folder must end after {epochs} epochs"
        raise source.fault(message, value=values["epoch"])


def _collect_power(
    values: dict[str, float], power: Any, devices: dict[str, dict[str, None]], source: Source
) -> None:
    """Add power and energy of the devices; the files nest each list once more."""
    for sort, prefixes in _DEVICES.items():
        part = power.get(sort, {}) if isinstance(power, dict) else None
        if not isinstance(part, dict):
            raise source.fault(f"the power usages of {sort} must be an object", value=part)
        for key, suffix in _POWER.items():
            numbers = _flat(part.get(key, []), source)
            for prefix, number in zip(prefixes, numbers, strict=False):
                values[prefix + suffix] = _number(number, prefix + suffix, source)
        names = [str(name).strip() for name in _flat(part.get("devices", []), source)]
        if names:
            devices.setdefault(sort, {})[", ".join(names)] = None


def _flat(items: Any, source: Source) -> list[Any]:
    if not isinstance(items, list):
        raise source.fault("power usages and devices must be lists", value=items)
    return [one for item in items for one in (item if isinstance(item, list) else [item])]
