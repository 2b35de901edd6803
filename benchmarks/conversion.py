"""Speed of reading TFRecords, against the method of the official loaders, in one process.

The official loaders read one line after the other: TensorFlow's iterator, which checks both
checksums of a frame (if it is not installed, reads that check them, too), `json`, `base64`,
protobuf's own decoder, and nested dicts of the message's fields. The loader of EC-NAS also turns
the power message into a dict, so this is done here, too. On whole files the original loaders took
37 to 43 us a row.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from naslib_ecnas.data.nasbench_tfrecord import (
    read_ecnas,
    read_nasbench,
    write_ecnas,
    write_nasbench,
)
from naslib_ecnas.data.table import Columns

BUDGETS = (4, 12, 36, 108)
WHEN = ("initial_", "halfway_", "")
PLAIN = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")
NASBENCH = [when + name for when in WHEN[1:] for name in PLAIN]
ECNAS = [
    *(when + name for when in WHEN for name in (*PLAIN, "energy_kwh", "co2_g")),
    "carbon_intensity_g_per_kwh",
    "total_time_s",
    "total_energy_kwh",
    "total_co2_g",
    "gpu_power_w",
    "gpu_energy_j",
    "cpu_power_w",
    "cpu_energy_j",
]

EVALUATION = ["current_epoch", "training_time", "train_accuracy"]
EVALUATION += ["validation_accuracy", "test_accuracy"]
EVALUATION_ENERGY = [*EVALUATION, "energy", "co2eq", "avg_intensity"]


def compare(
    folder: Path,
    synthetic: Callable[..., Columns],
    best: Callable[..., float],
    turns: Callable[..., tuple[float, float]],
    *,
    energy: bool,
    part: float = 1.0,
) -> tuple[str, float | None, str]:
    """The file, the ratio of the times (None without protobuf), and both times.

    `part` is the share of the rows that are read: of fewer, ours are read at a lower rate.
    """
    file = folder / "rows.tfrecord"
    name = "EC-NAS" if energy else "NAS-Bench-101"
    cells, repeats = (12_000, 1) if energy else (34_000, 3)
    cells = int(cells * part)
    columns = synthetic(cells, BUDGETS, repeats, ECNAS if energy else NASBENCH)
    (write_ecnas if energy else write_nasbench)(file, columns)
    read = read_ecnas if energy else read_nasbench
    rows = cells * repeats * len(BUDGETS)
    what = f"{name} TFRecord, a row"
    try:
        message = _message(energy)
    except ImportError:
        fast = best(lambda: read(file), 4) / rows
        return what, None, f"{fast * 1e6:.1f} us; install protobuf to compare"
    frames, how = _frames(file)
    slow, fast = turns(lambda: _official(frames(), message, energy), lambda: read(file), 3)
    slow, fast = slow / rows, fast / rows
    about = (
        f"{slow * 1e6:.1f} us by {how}, json, base64, protobuf, dicts against {fast * 1e6:.2f} us"
    )
    return what, slow / fast, about


def _official(frames: Iterator[bytes], message: Any, energy: bool) -> None:
    from google.protobuf import json_format

    fixed: dict[str, Any] = {}
    computed: dict[str, Any] = {}
    for frame in frames:
        key, epochs, bits, ops, encoded = json.loads(frame.decode())
        side = int(np.sqrt(len(bits)))
        matrix = np.array([int(b) for b in bits], dtype=np.int8).reshape(side, side)
        metrics = message.FromString(base64.b64decode(encoded))
        if key not in fixed:
            fixed[key] = (matrix, ops.split(","), metrics.trainable_parameters)
            computed[key] = {}
        half, final = metrics.evaluations[1], metrics.evaluations[2]
        training = {
            f"{when}_{name}": getattr(data, name)
            for when, data in (("halfway", half), ("final", final))
            for name in EVALUATION[1:]
        }
        if energy:
            for name in EVALUATION_ENERGY[5:]:
                training[name] = getattr(final, name)
            for name in ("total_time", "total_energy", "total_co2eq"):
                training[name] = getattr(metrics, name)
            training["power"] = json_format.MessageToDict(metrics.power)
        computed[key].setdefault(epochs, []).append(training)


def _frames(file: Path) -> tuple[Callable[[], Iterator[bytes]], str]:
    """A function that yields frames like the official loader, and its name."""
    try:
        import tensorflow
    except ImportError:
        pass
    else:
        read = tensorflow.compat.v1.python_io.tf_record_iterator
        return lambda: read(str(file)), "TensorFlow's iterator"

    def checked(data: bytes, stated: bytes) -> bytes:
        crc = google_crc32c.value(data)
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        if masked != int.from_bytes(stated, "little"):
            raise ValueError(f"{file} is damaged")
        return data

    def plain() -> Iterator[bytes]:
        with file.open("rb") as stream:
            while head := stream.read(12):
                length = int.from_bytes(checked(head[:8], head[8:]), "little")
                yield checked(stream.read(length), stream.read(4))

    return plain, "checked reads"


def _message(energy: bool) -> Any:
    """The message class of a file, for protobuf's own decoder."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="bench")
    double, integer, text, nested = 1, 5, 9, 11

    def define(name: str, fields: list[tuple[str, int, int, str | None]]) -> None:
        made = file.message_type.add(name=name)
        for place, (field, kind, label, of) in enumerate(fields, 1):
            made.field.add(name=field, number=place, type=kind, label=label, type_name=of)

    scalars = EVALUATION_ENERGY if energy else EVALUATION
    define("Evaluation", [(name, double, 1, None) for name in scalars])
    define("Usage", [("average", double, 1, None)])
    define("Device", [("name", text, 1, None)])
    define(
        "Unit",
        [
            (n, nested, 3, f".bench.{k}")
            for n, k in (("watts", "Usage"), ("joules", "Usage"), ("devices", "Device"))
        ],
    )
    define("Power", [(name, nested, 1, ".bench.Unit") for name in ("gpu", "cpu")])
    fields: list[tuple[str, int, int, str | None]] = [
        ("evaluations", nested, 3, ".bench.Evaluation"),
        ("trainable_parameters", integer, 1, None),
        ("total_time", double, 1, None),
    ]
    if energy:
        fields += [
            ("total_energy", double, 1, None),
            ("total_co2eq", double, 1, None),
            ("start_emission", text, 1, None),
            ("stop_emission", text, 1, None),
            ("overall_avg_intensity", double, 1, None),
            ("power", nested, 1, ".bench.Power"),
        ]
    define("Metrics", fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bench.Metrics"))
