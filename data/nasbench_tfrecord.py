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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, cached_property, lru_cache, partial
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import INPUT, OUTPUT, Cell
from naslib_ecnas.data.assemble import NOWHERE, Assembler, Source
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
from naslib_ecnas.errors import InvalidCellError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.nasbench_hash import hashes_of, wrong_hashes
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS

__all__ = [
    "ECNAS",
    "NASBENCH",
    "NASBENCH_PROVENANCE",
    "Kind",
    "cell_rows",
    "from_seconds",
    "has_energy",
    "read_ecnas",
    "read_nasbench",
    "to_seconds",
    "write_ecnas",
    "write_nasbench",
]

#: Ying et al. 2019, section 2.3 of the supplement: every model was trained on a TPU v2.
NASBENCH_PROVENANCE = Provenance("measured", device="TPU v2")

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int32]
Values = NDArray[np.float64]
#: The place in a file of one of several records, for errors.
At = Callable[[int], Source]

# -- messages ----
#
# A message has one evaluation (at the end of the training) or three (at its start, halfway and at
# its end). The metrics of the last one have no prefix. A value whose name is no metric is not kept:
# checkpoint paths, predictions of earlier evaluations, all but the first GPU and the first two CPU
# packages.

_EVALUATION, _POWER, _DEVICE = 1, 9, 3  # numbers of fields that are messages themselves
_PREFIXES = {1: ("",), 3: ("initial_", "halfway_", "")}
_SORTS = {1: "gpu", 2: "cpu"}
_USAGES = {1: "power_w", 2: "energy_j"}
_PARAMETERS, _CHECKPOINT = "trainable parameters", "checkpoint path"
_PLAIN = ("epoch", "training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")
_ENERGY = ("energy_kwh", "co2_g", "carbon_intensity_g_per_kwh", "started_unix_s", "stopped_unix_s")
_PREDICTED = tuple(f"predicted_{name}" for name in (*_ENERGY[:2], "time_s", _ENERGY[2]))
_TOTAL = tuple(f"total_{name}" for name in ("time_s", *_ENERGY[:2], *_ENERGY[3:], _ENERGY[2]))


@dataclass(frozen=True)
class Kind:
    """The names of a message's values by field number; those that are kept are metrics."""

    benchmark: str
    evaluation: Mapping[int, str]
    run: Mapping[int, str]
    has_power: bool = False

    @cached_property
    def metrics(self) -> frozenset[str]:
        """The metrics that such messages can hold."""
        names = {prefix + name for prefix in _PREFIXES[3] for name in self.evaluation.values()}
        for sort in ("gpu", "cpu", "cpu1") if self.has_power else ():
            names |= {f"{sort}_{usage}" for usage in _USAGES.values()}
        return frozenset(METRICS) & names.union(self.run.values())


NASBENCH = Kind(
    "NAS-Bench-101",
    dict(enumerate((*_PLAIN, _CHECKPOINT), 1)),
    dict(enumerate((_PARAMETERS, "total_time_s"), 2)),
)
ECNAS = Kind(
    "EC-NAS",
    dict(enumerate((*_PLAIN, *_ENERGY, *_PREDICTED, _CHECKPOINT), 1)),
    dict(enumerate((_PARAMETERS, *_TOTAL), 2)),
    has_power=True,
)


def _leaves(message: bytes, kind: Kind, source: Source) -> Iterator[tuple[str, Field]]:
    """The values of a message with their names; unknown fields are named "".

    Messages that occur twice are merged: of a value that comes again the last one counts.
    """

    def within(outer: Field) -> Iterator[Field]:
        _check_type(outer, LENGTH, "a message", source)
        return fields(message, outer.start, outer.stop, source)

    run = list(fields(message, source=source))
    count = sum(one.number == _EVALUATION for one in run)
    if count not in _PREFIXES:
        expected = "a training must have 1 evaluation (at its end) or 3 (start, halfway, end)"
        raise source.fault(expected, value=count)
    prefixes = iter(_PREFIXES[count])
    seen: Counter[tuple[int, int]] = Counter()
    for one in run:
        if one.number == _EVALUATION:
            prefix = next(prefixes)
            for leaf in within(one):
                name = kind.evaluation.get(leaf.number, "")
                yield name and prefix + name, leaf
        elif one.number == _POWER and kind.has_power:
            for sort in within(one):
                if sort.number not in _SORTS:
                    yield "", sort
                    continue
                for usage in within(sort):
                    place = seen[sort.number, usage.number]
                    seen[sort.number, usage.number] += 1
                    name = _SORTS[sort.number]
                    if usage.number in _USAGES:
                        name += f"{place or ''}_{_USAGES[usage.number]}"
                    elif usage.number != _DEVICE:
                        yield "", usage
                        continue
                    for leaf in within(usage):
                        yield name if leaf.number == 1 else "", leaf
        else:
            yield kind.run.get(one.number, ""), one


def _check_type(value: Field, wire_type: int, what: str, source: Source) -> None:
    if value.wire_type != wire_type:
        message = f"{what} must have wire type {wire_type}"
        remedy = "NAS-Bench-101's and EC-NAS's messages differ: read each as what it is"
        raise source.fault(message, value=value.wire_type, remedy=remedy)


def _wire_type(name: str) -> int:
    if name == _PARAMETERS:
        return VARINT
    text = name.endswith(("_unix_s", _CHECKPOINT)) or name in _SORTS.values()
    return LENGTH if text else FIXED64


@dataclass
class _Layout:
    """Where the values of a message lie, in all messages that differ from it in values only."""

    message: Bytes
    """(length,) bytes of one of the messages."""
    fixed: Bytes
    """(length,) the bits that all of them share: whatever is no value, and whether a byte of a
    varint is its last one."""
    places: dict[str, slice] = field(default_factory=dict)
    """The bytes of each metric, and of the trainable parameters."""
    devices: dict[str, list[str]] = field(default_factory=dict)
    """Names of the devices by sort."""

    @classmethod
    def of(cls, message: bytes, kind: Kind, source: Source) -> _Layout:
        """The layout of one message.

        Raises:
            FormatError: it is not a message of this kind.
        """
        raw = np.frombuffer(message, dtype=np.uint8)
        found = cls(raw, np.full(len(raw), 0xFF, dtype=np.uint8))
        for name, leaf in _leaves(message, kind, source):
            place = slice(leaf.start, leaf.stop)
            if name:
                _check_type(leaf, _wire_type(name), name, source)
            if name in _SORTS.values():
                text = message[place].decode("utf-8", "replace")
                found.devices.setdefault(name, []).append(text)
                continue
            found.fixed[place] = 0x80 if leaf.wire_type == VARINT else 0
            if name in kind.metrics or name == _PARAMETERS:
                found.places[name] = place
                if name.endswith("_unix_s") and leaf.stop - leaf.start != len(_TIME):
                    to_seconds(message[place].decode("latin-1"), source)
        return found

    def fits(self, messages: Bytes) -> NDArray[np.bool_]:
        """(n,) whether each of (n, length) messages has this layout."""
        at = np.flatnonzero(self.fixed)
        differ = (messages[:, at] ^ self.message[at]) & self.fixed[at]
        fits: NDArray[np.bool_] = ~differ.any(axis=1)
        return fits


#: In place of trainable parameters that a message does not state; no message can state it.
_ABSENT = -1 << 40


def _decoded(
    messages: Sequence[bytes], kind: Kind, at: At, devices: dict[str, dict[str, None]]
) -> tuple[dict[str, Values], NDArray[np.int64]]:
    """The metrics of n messages, NaN where missing, and their trainable parameters or `_ABSENT`.

    The names of the devices are added to `devices`, which holds them in order by sort.

    Raises:
        FormatError: a message is malformed, located by `at`.
    """
    values: dict[str, Values] = defaultdict(lambda: np.full(len(messages), np.nan))
    parameters = np.full(len(messages), _ABSENT, dtype=np.int64)
    lengths = np.array([len(message) for message in messages])
    for length in dict.fromkeys(lengths.tolist()):
        left = np.flatnonzero(lengths == length)
        joined = b"".join([messages[i] for i in left.tolist()])
        block = np.frombuffer(joined, dtype=np.uint8).reshape(len(left), length)
        while len(left):
            first = int(left[0])
            layout = _Layout.of(messages[first], kind, at(first))
            same = layout.fits(block)
            places = left[same]
            for name, place in layout.places.items():
                raw = np.ascontiguousarray(block[same, place])
                if name == _PARAMETERS:
                    parameters[places] = _whole_numbers(raw)
                elif name.endswith("_unix_s"):
                    values[name][places] = _many_seconds(raw, at, places)
                else:
                    values[name][places] = raw.view("<f8")[:, 0]
            for sort, names in layout.devices.items():
                devices.setdefault(sort, {})[", ".join(names)] = None
            left, block = left[~same], block[~same]
    return dict(values), parameters


def _whole_numbers(raw: Bytes) -> NDArray[np.int64]:
    """(n,) values of (n, width) varints; negative numbers are written as 64 bits."""
    shifts = np.arange(0, 7 * raw.shape[1], 7, dtype=np.uint64)
    bits = (raw & 0x7F).astype(np.uint64) << shifts
    return bits.sum(axis=1, dtype=np.uint64).view(np.int64)


def _message(
    kind: Kind, values: Mapping[str, float], parameters: int, devices: Mapping[str, str]
) -> bytes:
    """A message with three evaluations, as the official readers expect: the fields in ascending
    order, those without a value left out."""
    out = [pack(_EVALUATION, _packed(kind.evaluation, values, prefix)) for prefix in _PREFIXES[3]]
    out.append(_packed(kind.run, {**values, _PARAMETERS: parameters}))
    power = b""
    for number, sort in _SORTS.items() if kind.has_power else ():
        usages = b""
        for usage, what in _USAGES.items():
            second = values.get(f"{sort}1_{what}")
            both = [values.get(f"{sort}_{what}"), *([] if second is None else [second])]
            if both != [None]:
                averages = [b"" if value is None else pack(1, float(value)) for value in both]
                usages += b"".join(pack(usage, average) for average in averages)
        if usages:
            names = [pack(1, name.encode()) for name in devices.get(sort, "").split(", ") if name]
            power += pack(number, usages + b"".join(pack(_DEVICE, name) for name in names))
    return b"".join(out) + (pack(_POWER, power) if power else b"")


def _packed(names: Mapping[int, str], values: Mapping[str, float], prefix: str = "") -> bytes:
    """The fields of those values that are there."""
    out = []
    for number, name in names.items():
        value = values.get(prefix + name)
        if value is not None:
            time = name.endswith("_unix_s")
            out.append(pack(number, from_seconds(value).encode() if time else value))
    return b"".join(out)


# -- times ----
#
# EC-NAS's tracker writes local times without a zone. They are converted to seconds since 1970 as if
# they were UTC, so that differences are right and a text comes back as it was.

_EPOCH = datetime(1970, 1, 1)
_TIME = np.frombuffer(b"0000-00-00 00:00:00", dtype=np.uint8)
_YEAR_1 = -62_135_596_800


def to_seconds(text: str, source: Source = NOWHERE) -> float:
    """Seconds since 1970 of a text such as `2022-05-29 06:03:58`.

    Raises:
        FormatError: the text is not a time of this form.
    """
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.isoformat(sep=" ") == text and len(text) == len(_TIME):
            return (moment - _EPOCH).total_seconds()
    raise source.fault("a time must be written YYYY-mm-dd HH:MM:SS", value=text)


def _many_seconds(raw: Bytes, at: At, places: NDArray[np.intp]) -> Values:
    """`to_seconds` of (n, 19) characters, of records `places`."""
    digits = (raw >= ord("0")) & (raw <= ord("9"))
    if (np.where(digits, _TIME[0], raw) == _TIME).all():
        with suppress(ValueError):
            seconds = raw.view("S19")[:, 0].astype("M8[s]").astype(np.float64)
            if seconds.min() >= _YEAR_1:
                return seconds
    texts = [row.tobytes().decode("latin-1") for row in raw]
    pairs = zip(texts, places.tolist(), strict=True)
    return np.array([to_seconds(text, at(place)) for text, place in pairs])


def from_seconds(seconds: float, source: Source = NOWHERE) -> str:
    """The inverse of `to_seconds`.

    Raises:
        FormatError: the seconds are not whole, or the year is not from 1 to 9999.
    """
    with suppress(ValueError, OverflowError):
        if seconds == int(seconds):
            return (_EPOCH + timedelta(seconds=int(seconds))).isoformat(sep=" ")
    message = "a time must be in whole seconds and of a year from 1 to 9999"
    raise source.fault(message, value=seconds)


# -- cells ----

_LABEL = {name: label for label, name in enumerate(OPERATIONS)}


_space = cache(Space)


@lru_cache(1 << 12)  # a file has hundreds of different texts
def _labels(ops: str, vertices: int) -> tuple[int, ...] | None:
    """Labels of the operations between input and output, -1 if unknown; None if malformed."""
    first, *names, last = ops.split(",") if "," in ops else ("", "")
    if len(names) != vertices - 2 or (first, last) != (INPUT, OUTPUT):
        return None
    return tuple(_LABEL.get(name, -1) for name in names)


def cell_rows(cells: Sequence[tuple[str, str]]) -> Rows:
    """Rows of the seven-vertex space of cells as the official files have them.

    Args:
        cells: n pairs of texts, the bits of the adjacency matrix row by row, and the operations
            with commas between them.

    Returns:
        (n,) rows; -1 for what is not a cell. An unknown operation is an error only at a vertex that
        is kept.
    """
    rows = np.full(len(cells), -1, dtype=np.int32)
    alike: dict[int, list[tuple[int, str, tuple[int, ...]]]] = defaultdict(list)
    for i, (bits, ops) in enumerate(cells):
        vertices = round(len(bits) ** 0.5)
        labels = _labels(ops, vertices)
        if labels is not None and vertices**2 == len(bits) and vertices <= MAX_VERTICES:
            alike[vertices].append((i, bits, labels))
    for vertices, some in alike.items():
        places, texts, labels_of = zip(*some, strict=True)
        entries = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
        matrices = (entries - ord("0")).reshape(-1, vertices, vertices)
        labels = np.array(labels_of, dtype=np.int8).reshape(len(some), vertices - 2)
        rows[list(places)] = _space().rows(matrices, labels)
    return rows


def why_no_cell(bits: str, ops: str) -> str:
    """The reason why `cell_rows` does not accept a cell."""
    try:
        return (
            f"{Cell(f'{bits}:{ops}')!r} has over {MAX_VERTICES} vertices before pruning, or spaces"
        )
    except InvalidCellError as error:
        return str(error)


# -- files ----

_FORM = '["<hash>", <epochs>, "<v*v bits>", "<v operations>", "<base64>"]'
_Epochs = Annotated[int, msgspec.Meta(ge=1, le=999_999)]
_Row = tuple[str, _Epochs, str, str, str]
_decode_row = msgspec.json.Decoder(_Row).decode


def _parsed(
    records: Sequence[bytes], offsets: Sequence[int], path: str
) -> tuple[list[_Row], list[bytes]]:
    """The rows (hash, epochs, bits, operations, base64) and messages of the records of a file."""
    try:
        rows = [_decode_row(data) for data in records]
        texts = [row[4].replace("\n", "") for row in rows]
        return rows, msgspec.convert(texts, list[bytes])
    except ValueError as error:
        for data, offset in zip(records, offsets, strict=True) if len(records) > 1 else ():
            _parsed([data], [offset], path)  # raises for the first one that is malformed
        message = f"a row must be {_FORM} ({error})"
        raise _at(path, offsets, 0).fault(message, value=records[0]) from error


def _read(
    path: str | PathLike[str],
    kind: Kind,
    default: Provenance,
    name: str | None,
    vertices: int | None,
    provenance: Mapping[str, Provenance] | None,
    check_hashes: bool,
) -> Columns:
    """Read a file of messages of a kind."""
    assembler = Assembler(Source(str(path), None))
    digest = sha256()
    devices: dict[str, dict[str, None]] = {}
    for offsets, records in read_batches(path, digest=digest):
        at = partial(_at, str(path), offsets)
        trainings, messages = _parsed(records, offsets, str(path))
        numbers: dict[tuple[str, str, str], int] = {}
        which = [
            numbers.setdefault((stated, bits, ops), len(numbers))
            for stated, _, bits, ops, _ in trainings
        ]
        cells = list(numbers)
        rows = cell_rows([(bits, ops) for _, bits, ops in cells])
        for i in np.flatnonzero(rows < 0).tolist():
            message = "a row must have a cell of NAS-Bench-101's space"
            raise at(which.index(i)).fault(f"{message}: {why_no_cell(*cells[i][1:])}")
        for i in wrong_hashes(rows, [stated for stated, _, _ in cells], whole=check_hashes):
            true = Cell.from_row(int(rows[i])).nasbench_hash
            message = f"the hash of a row must be its cell's, {true}"
            raise at(which.index(i)).fault(message, value=cells[i][0])
        rows = rows[which]
        values, stated = _decoded(messages, kind, at, devices)
        true = network.parameters(rows)
        for i in np.flatnonzero((stated != true) & (stated != _ABSENT)).tolist():
            message = f"the cell has {true[i]} trainable parameters"
            raise at(i).fault(message, value=int(stated[i]))
        assembler.add(
            rows, np.array([row[1] for row in trainings], dtype=np.int32), values, offsets=offsets
        )
    return assembler.finish(
        name or Path(path).stem,
        vertices=vertices,
        provenance=provenance,
        default=replace(default, source=Path(path).name, sha256=digest.hexdigest()),
        attributes={sort: "; ".join(names) for sort, names in devices.items()},
        drop_zero_co2=True,
    )


def _at(path: str, offsets: Sequence[int], i: int) -> Source:
    return Source(path, offsets[i], exact=False)


def _write(path: str | PathLike[str], columns: Columns, kind: Kind) -> None:
    """Write columns as messages of a kind."""
    source = Source(str(path), None)
    excess = sorted(set(columns.values) - kind.metrics)
    if excess:
        remedy = "leave them out, or write Parquet, CSV or a table instead"
        message = f"{kind.benchmark}'s files cannot hold {', '.join(excess)}"
        raise source.fault(message, remedy=remedy)
    write_frames(path, _records(columns, kind))


def _records(columns: Columns, kind: Kind) -> Iterator[bytes]:
    """The trainings of a table as JSON, by cell, budget and repeat."""
    names = list(columns.values)
    values = np.stack([columns.values[name] for name in names], axis=-1)
    parameters = network.parameters(columns.rows).tolist()
    hashes = hashes_of(columns.rows).tolist()
    # With more than one set of names it is unknown which training had which.
    devices = {sort: names for sort, names in columns.attributes.items() if ";" not in names}
    for i, row in enumerate(columns.rows.tolist()):
        bits, _, ops = str(Cell.from_row(row)).partition(":")
        for j, budget in enumerate(columns.budgets):
            for numbers in values[i, j].tolist():
                there = {n: v for n, v in zip(names, numbers, strict=True) if v == v}
                if there:
                    message = _message(kind, there, parameters[i], devices)
                    text = encodebytes(message).decode("ascii")
                    yield json.dumps([hashes[i], budget, bits, ops, text]).encode("ascii")


def has_energy(path: str | PathLike[str]) -> bool:
    """Whether the first message of a file has fields that only EC-NAS's messages have.

    Raises:
        FormatError: the first frame, row or message is malformed.
    """
    for offset, data in read_frames(path):
        at = partial(_at, str(path), [offset])
        (message,) = _parsed([data], [offset], str(path))[1]
        run = list(fields(message, source=at(0)))
        evaluations = [one for one in run if (one.number, one.wire_type) == (_EVALUATION, LENGTH)]
        inner = [v for e in evaluations for v in fields(message, e.start, e.stop, at(0))]
        # Field 6 of NAS-Bench-101's evaluations is a text, the checkpoint path.
        return any(one.number > 3 for one in run) or any(
            value.number > 6 or (value.number == 6 and value.wire_type != LENGTH) for value in inner
        )
    return False


# -- NAS-Bench-101 and EC-NAS ----


def read_nasbench(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read a NAS-Bench-101 file, of all budgets or of 108 epochs only.

    Rows of the same cell and budget are its repeats, in the order of the file. The checksums, cell
    and trainable parameters of every row and the bounds of every value are checked. Takes about
    as much memory as the columns, plus one of them.

    Args:
        path: the file.
        name: short name of the table, by default the file's without its suffix.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric known better than `NASBENCH_PROVENANCE`.
        check_hashes: compare the hash of every row with its cell's. Otherwise only the hashes of
            cells of up to five vertices are compared; computing all takes under a minute, once
            for each cache folder.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        ChecksumError: it is damaged.
        FormatError: anything else is wrong; the offset is the frame's.
    """
    return _read(path, NASBENCH, NASBENCH_PROVENANCE, name, vertices, provenance, check_hashes)


def read_ecnas(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read an EC-NAS file; arguments and errors as of `read_nasbench`.

    A message may lack any field: a value that no training has gets no column, one that some lack
    is NaN there. Emissions of 0 in every training were not recorded; such a column is left out,
    with a note in the attributes. The attributes `gpu` and `cpu` are the names of the devices. The
    file does not say where its values come from, so that by default their provenance is unknown.
    """
    return _read(path, ECNAS, Provenance("unknown"), name, vertices, provenance, check_hashes)


def write_nasbench(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as a NAS-Bench-101 file that the original software reads.

    Rows are ordered by cell, budget and repeat, with the cells in canonical form. A repeat without
    any value gets no row, so later repeats move up.

    Raises:
        FormatError: the format cannot hold some of the metrics, such as energies.
        StorageError: the folder cannot be written or the disk is full.
    """
    _write(path, columns, NASBENCH)


def write_ecnas(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as an EC-NAS file that the original software reads.

    Rows are ordered as by `write_nasbench`. Every message has three evaluations, empty where the
    columns have no values.

    Raises:
        FormatError: the format cannot hold some of the metrics, or a time is not in whole seconds.
        StorageError: the folder cannot be written or the disk is full.
    """
    _write(path, columns, ECNAS)
