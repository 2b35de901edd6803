"""Reading the tree of `results.json` files that EC-NAS's trainings write.

One training is `<epochs>_epochs/<first two digits>/<hash>/repeat_<n>/results.json`
(EC-NAS-Bench, `train_model_results/energy/...`). The files contain no adjacency matrix: the cell
is found by its hash.

The energies of the three evaluations are sums of the meter's windows around `estimator.train()`:
start-up and training steps until then, without evaluations (`evaluate.py` there). Their training
times are those of the steps alone, 0 at the first. The totals cover everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from naslib_ecnas.data.assemble import UNSTATED, Assembler, Source, check_parameters, reading
from naslib_ecnas.data.nasbench_tfrecord import to_seconds
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import (
    FormatError,
    StorageError,
    UnknownCellError,
    UnknownTableError,
    printable,
)
from naslib_ecnas.files import from_json, is_folder, read_bytes
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES

# -- what a file holds ----

#: The metrics of an evaluation and of a whole training by their keys; each may be missing.
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


class _Usage(msgspec.Struct):
    """Mean power, energy and names of the devices of one sort; the files nest each list."""

    watts: list[list[float] | float] = msgspec.field(name="avg_power_usages (W)", default=[])
    joules: list[list[float] | float] = msgspec.field(name="avg_energy_usages (J)", default=[])
    devices: list[list[str] | str] = []


class _Power(msgspec.Struct):
    gpu: _Usage = msgspec.field(default_factory=_Usage)
    cpu: _Usage = msgspec.field(default_factory=_Usage)


class _Run(msgspec.Struct):
    """A whole file, apart from the metrics of the run."""

    evaluation_results: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=3, max_length=3)]
    trainable_params: float | None = None
    power: _Power | None = msgspec.field(name="avg_power_usages:", default=None)
    """The released files have this colon."""
    power_without_colon: _Power | None = msgspec.field(name="avg_power_usages", default=None)


def _values(
    data: Mapping[str, Any], keys: Mapping[str, str], prefix: str, source: Source
) -> dict[str, float]:
    """The metrics of an object; predictions are kept only of the last evaluation."""
    named = {prefix + metric: data[key] for key, metric in keys.items() if key in data}
    times = {name: value for name, value in named.items() if name.endswith("_unix_s")}
    others = {n: value for n, value in named.items() if n in METRICS and n not in times}
    values = msgspec.convert(others, dict[str, float])
    for name, text in msgspec.convert(times, dict[str, str]).items():
        characters = np.frombuffer(text.encode(), dtype=np.uint8)[None]
        values[name] = to_seconds(characters, lambda _: source, [0]).item()
    return values


def _training(
    raw: bytes, row: int, epochs: int, devices: dict[str, dict[str, None]], source: Source
) -> dict[str, float]:
    """The metrics in one file, with the names of the devices added to an assembler's `devices`."""
    try:
        data = from_json(raw)
        run = msgspec.convert(data, _Run)
        values = _values(data, _TOTAL, "", source)
        for prefix, found in zip(("initial_", "halfway_", ""), run.evaluation_results, strict=True):
            values |= _values(found, _EVALUATION, prefix, source)
    except FormatError:
        raise
    except ValueError as error:
        raise source.fault(f"the file must be EC-NAS's results of a training: {error}") from error
    stated = UNSTATED if run.trainable_params is None else run.trainable_params
    check_parameters(np.array([row]), np.array([stated]), lambda _: source)
    if values.get("epoch", epochs) != epochs:
        message = f"a training in this folder must end after {epochs} epochs"
        raise source.fault(message, value=values["epoch"])
    power = run.power or run.power_without_colon or _Power()
    for sort, usage in (("gpu", power.gpu), ("cpu", power.cpu)):
        for what, lists in (("power_w", usage.watts), ("energy_j", usage.joules)):
            for i, number in enumerate(_flat(lists)):
                metric = f"{sort}{i or ''}_{what}"
                if metric in METRICS:
                    values[metric] = number
        names = ", ".join(name.strip() for name in _flat(usage.devices))
        if names:
            devices[sort][names] = None
    return values


def _flat(items: list[Any]) -> list[Any]:
    return [one for item in items for one in (item if isinstance(item, list) else [item])]


# -- the tree ----

#: Names of the folders on the way to a file, and of the file.
_LEVELS = [
    re.compile(form, re.ASCII)
    for form in (
        *("([1-9][0-9]{0,5})_epochs", "([0-9a-f]{2})", "([0-9a-f]{32})"),
        *("repeat_([1-9][0-9]{0,3})", "(results).json"),
    )
]
_MAX_BYTES = 1 << 20


def is_results_tree(folder: str | PathLike[str]) -> bool:
    """Whether a folder contains the folder of a budget, such as `4_epochs`."""
    try:
        return any(
            _LEVELS[0].fullmatch(item.name) and item.is_dir() for item in Path(folder).iterdir()
        )
    except OSError:
        return False


def read_results_tree(folder: str | PathLike[str]) -> Columns:
    """Read all trainings of a tree.

    `repeat_1` becomes repeat 0. Of several GPUs the first is kept, of several CPU packages the
    first two. The trainable parameters, the budget and the bounds of every value are checked.

    The columns get a checksum over the names and contents of all files.

    Args:
        folder: the folder that contains the `<epochs>_epochs` folders.

    Raises:
        UnknownTableError: there is no such folder, or it contains no training.
        StorageError: a folder of the tree cannot be read.
        FormatError: the tree contains a link, or a file is not such a JSON document.
    """
    root = Path(folder)
    digest, assembler = sha256(), Assembler(Source(root))
    places: list[tuple[int, int, int]] = []  # row, epochs, repeat
    trainings: list[dict[str, float]] = []
    space = Space(MAX_VERTICES)
    cells: dict[str, int] = {}
    for path, (budget, prefix, key, repeat, _) in _files(root, 0):
        source = Source(path)
        if not key.startswith(prefix):
            message = f"the folder of a cell must be in {key[:2]}"
            raise Source(path.parents[1]).fault(message, value=prefix)
        with reading(path):
            raw = read_bytes(path, most=_MAX_BYTES)
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(raw)}\0".encode() + raw)
        try:
            row = cells[key] if key in cells else space.row_of_hash(key)
        except UnknownCellError as error:
            message = "the folder must be named by the hash of a cell of the space"
            raise source.fault(message, value=key) from error
        cells[key] = row
        places.append((row, int(budget), int(repeat) - 1))
        trainings.append(_training(raw, row, int(budget), assembler.devices, source))
    if not places:
        form = "<epochs>_epochs/<2 digits>/<hash>/repeat_<n>/results.json"
        raise UnknownTableError(f"{root} contains no training, {form}")
    rows, budgets, repeats = np.array(places, dtype=np.int32).T
    metrics = dict.fromkeys(metric for training in trainings for metric in training)
    values = {m: np.array([t.get(m, np.nan) for t in trainings], dtype=float) for m in metrics}
    assembler.add(rows, budgets, values, repeats=repeats)
    name = printable(root.resolve().name)
    origin = Provenance("unknown", source=name, sha256=digest.hexdigest())
    return assembler.finish(origin, name=name)


def _files(folder: Path, level: int) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The files of results below a folder of a level, in a fixed order, each with what the names
    on the way to it say: epochs, first digits, hash, repeat and `results`."""
    try:
        # By length first, so that numbers are in order.
        items = sorted(folder.iterdir(), key=lambda item: (len(item.name), item.name))
    except (OSError, ValueError) as error:  # ValueError: the name contains a NUL
        kind = StorageError if is_folder(folder) else UnknownTableError
        reason = getattr(error, "strerror", None) or error
        raise kind(f"the folder cannot be read ({reason})", value=str(folder)) from error
    for path in items:
        found = _LEVELS[level].fullmatch(path.name)
        if found is None:
            continue
        if path.is_symlink():
            raise Source(path).fault("a link in a tree of results is not followed")
        if level == len(_LEVELS) - 1:
            yield path, (found[1],)
        elif path.is_dir():
            for file, names in _files(path, level + 1):
                yield file, (found[1], *names)
