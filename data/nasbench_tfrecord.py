"""Reading and writing the TFRecord files of NAS-Bench-101 and EC-NAS.

A record is one training of one cell, written by Python's `json.dumps`:
`["<hash>", <epochs>, "<adjacency bits>", "<op,op,...>", "<base64>"]`. The base64, broken into lines
by `base64.encodebytes`, is a protocol buffer with the metrics. Its field numbers are those of
`nasbench/lib/model_metrics.proto` (google-research/nasbench, files such as
`nasbench_full.tfrecord`) or of `model_metrics_energy.proto` (EC-NAS-Bench, files such as
`energy_5V9E_4epochs.tfrecord`).

The messages of a file differ in hardly more than their numbers. So one message is parsed field by
field, which gives the places of its values, and all messages with the same bytes between the values
are taken apart in numpy at once. This is repeated for the messages that are left.
"""

from __future__ import annotations

import json
from base64 import encodebytes
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from hashlib import sha256
from itertools import islice
from os import PathLike
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.assemble import (
    UNSTATED,
    Assembler,
    At,
    Source,
    check_parameters,
    rows_with_hashes,
)
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.tfrecord import (
    FIXED64,
    LENGTH,
    VARINT,
    Field,
    fields,
    pack,
    read_batches,
    read_frames,
    write_frames,
)
from naslib_ecnas.errors import FormatError, check_types
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.nasbench_hash import hashes_of
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES

#: Ying et al. 2019, section 2.3 of the supplement: every model was trained on a TPU v2.
NASBENCH_PROVENANCE = Provenance("measured", device="TPU v2")
_UNKNOWN = Provenance("unknown")

Bytes = NDArray[np.uint8]
Values = NDArray[np.float64]

# -- messages ----

#: Names of the evaluations at the start, halfway and at the end of a training.
_PREFIXES = ("initial_", "halfway_", "")
_PARAMETERS = "trainable parameters"
_MOST_FIELDS = 256  # the known ones are under 40
_MOST_LAYOUTS = 64  # of a batch that are looked for in all of its messages


@dataclass(frozen=True, eq=False)
class Message:
    """The fields of a kind of message, numbered from 1: names of values, or messages themselves.

    A value is kept if its name is a metric's. The names of a repeated message contain `{}`, which
    stands for one of its labels.
    """

    fields: tuple[str | Message, ...]
    labels: tuple[str, ...] = ("",)
    """For each time that the message may occur."""
    origin: Provenance = _UNKNOWN
    """By default, of the values in such messages."""

    def names(self) -> Iterator[str]:
        """Names of all values."""
        for known in self.fields:
            names = [known] if isinstance(known, str) else known.names()
            yield from (name.format(label) for name in names for label in self.labels)

    @cached_property
    def metrics(self) -> frozenset[str]:
        """The metrics that such a message can hold."""
        return frozenset(METRICS).intersection(self.names())


def _evaluation(*names: str) -> Message:
    every = ("epoch", "training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")
    return Message(tuple(f"{{}}{name}" for name in (*every, *names)), _PREFIXES)


def _devices(sort: str) -> Message:
    """Mean power, energy and names of the devices of a sort, in messages of one value each."""
    names = (f"{sort}{{}}_power_w", f"{sort}{{}}_energy_j", f"{sort}{{}} device")
    labels = ("", *map(str, range(1, 16)))
    return Message(tuple(Message((name,), labels) for name in names))


NASBENCH = Message(
    (_evaluation("checkpoint path"), _PARAMETERS, "total_time_s"),
    origin=NASBENCH_PROVENANCE,
)
_WINDOW = ("energy_kwh", "co2_g", "carbon_intensity_g_per_kwh", "started_unix_s", "stopped_unix_s")
_PREDICTED = ("energy_kwh", "co2_g", "time_s", "carbon_intensity_g_per_kwh")
_TOTAL = ("time_s", "energy_kwh", "co2_g", "started_unix_s", "stopped_unix_s")
ECNAS = Message(
    (
        _evaluation(*_WINDOW, *(f"predicted_{name}" for name in _PREDICTED), "checkpoint path"),
        _PARAMETERS,
        *(f"total_{name}" for name in (*_TOTAL, "carbon_intensity_g_per_kwh")),
        Message((_devices("gpu"), _devices("cpu"))),
    )
)


def _leaves(
    message: bytes,
    kind: Message,
    source: Source,
    seen: Counter[Message],
    span: tuple[int, int | None] = (0, None),
    label: str = "",
) -> Iterator[tuple[str, Field]]:
    """The values in a message, or in a part of it, with their names; unknown ones are named "".

    Messages that occur twice are merged, as protocol buffers demand: `seen` counts over all.

    Raises:
        FormatError: there are too many, or one is not written as its name demands.
    """
    found = list(islice(fields(message, source, *span), _MOST_FIELDS + 1))
    if len(found) > _MOST_FIELDS:
        raise source.fault(f"a message must have at most {_MOST_FIELDS} fields")
    for one in found:
        known = kind.fields[one.number - 1] if one.number <= len(kind.fields) else ""
        name = known.format(label) if isinstance(known, str) else "message"
        text = name.endswith(("_unix_s", "path", "device", "message"))
        expected = VARINT if name == _PARAMETERS else LENGTH if text else FIXED64
        if name and one.wire_type != expected:
            error = f"the field {name!r} must have wire type {expected}"
            remedy = "NAS-Bench-101's and EC-NAS's messages differ: read each as what it is"
            raise source.fault(error, value=one.wire_type, remedy=remedy)
        if isinstance(known, str):
            yield name, one
            continue
        place = seen[known]
        seen[known] += 1
        if known.labels is _PREFIXES:  # a single evaluation is the final one
            place += len(_PREFIXES) - sum(other.number == one.number for other in found)
        inner = known.labels[place] if place < len(known.labels) else "?"
        yield from _leaves(message, known, source, seen, (one.start, one.stop), inner)


def _layout(
    message: bytes, kind: Message, source: Source
) -> tuple[Bytes, dict[str, slice], dict[str, list[str]]]:
    """Where the values of a message are, and of all that differ from it in values only.

    Returns:
        (length,) the bits that all of them share: whatever is no value, and whether a byte of a
        varint is its last one; the bytes of each metric and of the trainable parameters; and the
        names of the devices by sort.

    Raises:
        FormatError: it is not a message of this kind.
    """
    evaluations = sum(one.number == 1 for one in fields(message, source))
    if evaluations not in (1, 3):
        expected = "a training must have 1 evaluation (at its end) or 3 (start, halfway, end)"
        raise source.fault(expected, value=evaluations)
    shared = np.full(len(message), 0xFF, dtype=np.uint8)
    places: dict[str, slice] = {}
    devices: dict[str, list[str]] = defaultdict(list)
    for name, leaf in _leaves(message, kind, source, Counter()):
        place = slice(leaf.start, leaf.stop)
        if name.endswith(" device"):
            devices[name[:3]].append(message[place].decode("utf-8", "replace"))
            continue
        shared[place] = 0x80 if leaf.wire_type == VARINT else 0
        if name in kind.metrics or name == _PARAMETERS:
            places[name] = place
    return shared, places, devices


def _decoded(
    messages: Sequence[bytes], kind: Message, at: At, devices: dict[str, dict[str, None]]
) -> tuple[dict[str, Values], NDArray[np.int64]]:
    """The metrics of n messages, NaN where missing, and their trainable parameters or `UNSTATED`.

    The names of the devices are added to an assembler's `devices`.

    Raises:
        FormatError: a message is malformed, located by `at`.
    """
    values: dict[str, Values] = defaultdict(lambda: np.full(len(messages), np.nan))
    parameters = np.full(len(messages), UNSTATED, dtype=np.int64)
    lengths = np.fromiter(map(len, messages), dtype=np.int64, count=len(messages))
    for length in dict.fromkeys(lengths.tolist()):
        left = np.flatnonzero(lengths == length)
        joined = b"".join([messages[i] for i in left.tolist()])
        block = np.frombuffer(joined, dtype=np.uint8).reshape(len(left), length)
        layouts = 0
        while len(left):
            first, layouts = int(left[0]), layouts + 1
            shared, found, names = _layout(messages[first], kind, at(first))
            fixed = np.flatnonzero(shared)
            looked = block[: None if layouts <= _MOST_LAYOUTS else 1, fixed]
            same = np.zeros(len(left), dtype=bool)
            same[: len(looked)] = ((looked ^ looked[0]) & shared[fixed] == 0).all(axis=1)
            places, part = left[same], block if same.all() else block[same]
            for name, place in found.items():
                raw = np.ascontiguousarray(part[:, place])
                if name == _PARAMETERS:  # a varint; negative numbers are written as 64 bits
                    shifts = np.arange(0, 7 * raw.shape[1], 7, dtype=np.uint64)
                    bits = (raw & 0x7F).astype(np.uint64) << shifts
                    parameters[places] = bits.sum(axis=1, dtype=np.uint64).view(np.int64)
                elif name.endswith("_unix_s"):
                    values[name][places] = to_seconds(raw, at, places.tolist())
                else:
                    values[name][places] = raw.view("<f8")[:, 0]
            for sort, each in names.items():
                devices[sort][", ".join(each)] = None
            left, block = left[~same], block[~same]
    return dict(values), parameters


def _encoded(kind: Message, values: Mapping[str, float | bytes], label: str = "") -> bytes:
    """A message of those values that are there, in ascending order of the fields.

    It has three evaluations, as the official readers expect, even if they are empty.
    """
    out = []
    for number, known in enumerate(kind.fields, 1):
        if isinstance(known, str):
            value = values.get(known.format(label))
            parts = [] if value is None else [value]
        else:
            parts = [_encoded(known, values, inner) for inner in known.labels]
            while parts and not parts[-1] and known.labels is not _PREFIXES:
                parts.pop()
        out += [pack(number, part) for part in parts]
    return b"".join(out)


# -- times ----
#
# EC-NAS's tracker writes local times without a zone. They are converted to seconds since 1970 as if
# they were UTC, so that differences are right and a text comes back as it was.

_EPOCH = datetime(1970, 1, 1)
_TIME = np.frombuffer(b"0000-00-00 00:00:00", dtype=np.uint8)
_YEAR_1 = -62_135_596_800


def to_seconds(texts: Bytes, at: At, places: Sequence[int]) -> Values:
    """(n,) seconds since 1970 of n texts such as `2022-05-29 06:03:58`, as (n, width) characters.

    Raises:
        FormatError: a text is not a time of this form; `at` of its place locates it.
    """
    seconds = _seconds(texts)
    if seconds is None:
        i = next(i for i in range(len(texts)) if _seconds(texts[i : i + 1]) is None)
        message = "a time must be written YYYY-mm-dd HH:MM:SS"
        raise at(places[i]).fault(message, value=texts[i].tobytes())
    return seconds


def _seconds(texts: Bytes) -> Values | None:
    """What `to_seconds` returns; None if one is no time."""
    digits = (texts >= ord("0")) & (texts <= ord("9"))
    if texts.shape[1] == len(_TIME) and (np.where(digits, ord("0"), texts) == _TIME).all():
        with suppress(ValueError):
            seconds = texts.view("S19")[:, 0].astype("M8[s]").astype(np.float64)
            return seconds if seconds.min() >= _YEAR_1 else None
    return None


def from_seconds(seconds: float, source: Source) -> str:
    """The inverse of `to_seconds`.

    Raises:
        FormatError: the seconds are not whole, or the year is not from 1 to 9999.
    """
    with suppress(ValueError, OverflowError):
        if seconds == int(seconds):
            return (_EPOCH + timedelta(seconds=int(seconds))).isoformat(sep=" ")
    message = "a time must be in whole seconds and of a year from 1 to 9999"
    raise source.fault(message, value=seconds)


# -- files ----

_FORM = '["<hash>", <epochs>, "<v*v bits>", "<v operations>", "<base64>"]'
_Epochs = Annotated[int, msgspec.Meta(ge=1, le=999_999)]
_Row = tuple[str, _Epochs, str, str, str]
_decode_row = msgspec.json.Decoder(_Row).decode


def _parsed(
    path: str | PathLike[str], records: Sequence[bytes], offsets: Sequence[int]
) -> tuple[list[_Row], list[bytes]]:
    """The rows (hash, epochs, bits, operations, base64) and messages of n records."""
    rows: list[_Row] = []
    try:
        rows += map(_decode_row, records)
        texts = [row[4].replace("\n", "") for row in rows]
        return rows, msgspec.convert(texts, list[bytes])
    except ValueError as error:
        for data, offset in zip(records, offsets, strict=True) if len(records) > 1 else ():
            _parsed(path, [data], [offset])  # raises for the first one that is malformed
        message = f"a row must be {_FORM} ({error})"
        raise Source(path, offsets[0]).fault(message, value=records[0]) from error


def read_trainings(path: str | PathLike[str], kind: Message) -> Columns:
    """Read a file of messages of a kind, `read_nasbench` or `read_ecnas`.

    Rows of the same cell and budget are its repeats, in the order of the file. The checksums,
    cell, hash and trainable parameters of every row and the bounds of every value are checked.
    Takes about as much memory as the columns, plus one of them.

    A message may lack any field: a value that no training has gets no column, one that some lack
    is NaN there. Emissions of 0 in every training were not recorded; such a column is left out,
    with a note in the attributes. The attributes `gpu` and `cpu` are the names of the devices.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        ChecksumError: it is damaged.
        FormatError: anything else is wrong; the offset is the frame's.
    """
    assembler = Assembler(Source(path))
    digest = sha256()
    forms = np.zeros(len(Space(MAX_VERTICES)), dtype=np.int64)  # hashes of the texts of cells
    for offsets, records in read_batches(path, digest=digest):
        at = partial(_at, path, offsets)
        trainings, messages = _parsed(path, records, offsets)
        seen: dict[tuple[str, str, str], int] = {}
        which = [seen.setdefault((row[0], *row[2:4]), len(seen)) for row in trainings]
        firsts = np.unique(which, return_index=True)[1]
        first = partial(_at, path, [offsets[i] for i in firsts.tolist()])
        hashes, cells = [key[0] for key in seen], [key[1:] for key in seen]
        distinct = rows_with_hashes(cells, hashes, first)
        marks = np.array([hash(cell) | 1 for cell in cells], dtype=np.int64)
        forms[distinct] = np.where(forms[distinct] == 0, marks, forms[distinct])
        for i in np.flatnonzero(forms[distinct] != marks).tolist():
            raise first(i).fault("a cell stands in two forms in the file", value=":".join(cells[i]))
        rows = distinct[which]
        values, parameters = _decoded(messages, kind, at, assembler.devices)
        check_parameters(rows, parameters, at)
        budgets = np.array([row[1] for row in trainings], dtype=np.int32)
        assembler.add(rows, budgets, values, offsets=offsets)
    return assembler.finish(replace(kind.origin, sha256=digest.hexdigest()))


def _at(path: str | PathLike[str], offsets: Sequence[int], i: int) -> Source:
    return Source(path, offsets[i])


def write_trainings(path: str | PathLike[str], columns: Columns, kind: Message) -> None:
    """Write columns as a file that the original software reads, `write_nasbench` or `write_ecnas`.

    Rows are ordered by cell, budget and repeat, with the cells in canonical form. A repeat without
    any value gets no row, so later repeats move up.

    Raises:
        FormatError: such messages cannot hold some of the metrics, or a time is not in whole
            seconds.
        StorageError: the folder cannot be written or the disk is full.
    """
    check_types(Columns, columns=columns)
    source = Source(path)
    excess = sorted(set(columns.values) - kind.metrics)
    if excess:
        remedy = "leave them out, or write Parquet, CSV or a table instead"
        raise source.fault(f"such a file cannot hold {', '.join(excess)}", remedy=remedy)
    write_frames(path, _records(columns, kind, source))


def _records(columns: Columns, kind: Message, source: Source) -> Iterator[bytes]:
    names = list(columns.values)
    values = np.stack([columns.values[name] for name in names], axis=-1)
    parameters = network.parameters(columns.rows).tolist()
    hashes = hashes_of(columns.rows).tolist()
    devices = {
        f"{sort}{i or ''} device": device.encode()
        for sort in {name[:3] for name in names} & {"gpu", "cpu"} & set(columns.attributes)
        # With more than one set of names it is unknown which training had which.
        if ";" not in columns.attributes[sort]
        for i, device in enumerate(columns.attributes[sort].split(", "))
    }
    for i, row in enumerate(columns.rows.tolist()):
        bits, _, ops = str(Cell.from_row(row)).partition(":")
        for j, budget in enumerate(columns.budgets):
            for numbers in values[i, j].tolist():
                there: dict[str, float | bytes] = {
                    name: from_seconds(number, source).encode() if "unix" in name else number
                    for name, number in zip(names, numbers, strict=True)
                    if number == number
                }
                if there:
                    there |= {_PARAMETERS: parameters[i], **devices}
                    text = encodebytes(_encoded(kind, there)).decode("ascii")
                    yield json.dumps([hashes[i], budget, bits, ops, text]).encode("ascii")


def has_energy(path: str | PathLike[str]) -> bool:
    """Whether the first message of a file has fields that only EC-NAS's messages have.

    Raises:
        FormatError: the first frame or row is malformed.
    """
    for offset, data in read_frames(path):
        (message,) = _parsed(path, [data], [offset])[1]
        try:
            leaves = _leaves(message, NASBENCH, Source(path, offset), Counter())
            return any(not name for name, _ in leaves)
        except FormatError:
            return True
    return False


read_nasbench = partial(read_trainings, kind=NASBENCH)
read_ecnas = partial(read_trainings, kind=ECNAS)
write_nasbench = partial(write_trainings, kind=NASBENCH)
write_ecnas = partial(write_trainings, kind=ECNAS)
