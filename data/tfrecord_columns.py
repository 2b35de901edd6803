"""Fast reading of NAS-Bench-101's and EC-NAS's TFRecord files into columns.

Whatever has the official form is decoded for a whole batch of frames at once, in numpy: rows
(`RowSplitter`), base64 (`decode_base64`), messages (`Layout`) and cells (`LabelledGraphs`).
Everything else is read one by one by the exact readers of `tfrecord.py` and `protobuf.py`.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isqrt
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import INPUT, OUTPUT, Cell
from naslib_ecnas.data import protobuf
from naslib_ecnas.data.assemble import Assembler, Source
from naslib_ecnas.data.protobuf import (
    TIMESTAMP_LENGTH,
    Message,
    MessagePath,
    ModelMetrics,
    ModelMetricsEnergy,
    check_evaluations,
    decode,
    is_device,
    many_to_seconds,
    metric_of,
    specs,
    to_metrics,
)
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.tfrecord import HASH_LENGTH, Frames, decode_row, read_batches
from naslib_ecnas.errors import InvalidCellError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS

__all__ = ["LabelledGraphs", "Layout", "RowBatch", "RowSplitter", "decode_base64", "read_columns"]


# -- messages of one layout -----------------------------------------------------------------------
#
# The messages of a file differ in their numbers only: tags, lengths and the order of fields are
# the same in thousands of them. A `Layout` is learned from one message by the exact reader. Another
# message of the same length has this layout if all bytes that are not values (tags, lengths, names
# of devices) are equal, which is compared for all messages in one step. Then every value is a
# column of bytes. Messages without a layout are read one by one.

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Leaf:
    """Place and kind of one value of a message."""

    path: MessagePath
    kind: str
    start: int
    stop: int


@dataclass(frozen=True)
class Decoded:
    """The content of n messages."""

    values: dict[str, NDArray[np.float64]]
    """(n,) values of each metric in the layout."""
    parameters: NDArray[np.int64] | None
    """(n,) trainable parameters; None if the layout has none."""
    good: NDArray[np.bool_]
    """(n,) whether the message was decoded; the others need the exact reader."""


@dataclass(frozen=True)
class Layout:
    """Places of the values in messages of one layout."""

    template: Bytes
    """(length,) bytes of the message that the layout was learned from."""
    fixed: NDArray[np.intp]
    """Positions of the bytes that are equal in all messages of this layout."""
    doubles: tuple[tuple[str, int], ...]
    """Metric and position of each number."""
    times: tuple[tuple[str, int], ...]
    """Metric and position of each time."""
    parameters: tuple[int, int] | None
    """Start and stop of the trainable parameters' varint."""
    devices: tuple[tuple[str, str], ...]
    """Sort of device and their names, comma-separated."""

    @classmethod
    def learn(cls, message: type[Message], data: bytes) -> Layout | None:
        """The layout of a message that the exact reader accepts.

        Returns:
            None if the message has unknown fields, a field twice, a time of another form or
            other texts.
        """
        leaves = _walk(message, data, 0, ())
        if leaves is None:
            return None
        count = sum(field.number == 1 for field in protobuf.fields(data))
        check_evaluations(count)
        free = np.zeros(len(data), dtype=bool)
        doubles, times, parameters = [], [], None
        devices: dict[str, list[str]] = {}
        for leaf in leaves:
            metric = metric_of(leaf.path, count)
            if is_device(leaf.path):
                name = data[leaf.start : leaf.stop].decode()
                devices.setdefault(str(leaf.path[1]), []).append(name)
                continue
            free[leaf.start : leaf.stop] = True
            if leaf.kind == "int32":
                parameters = (leaf.start, leaf.stop)
            elif metric is not None and leaf.kind == "double":
                doubles.append((metric, leaf.start))
            elif metric is not None:
                if leaf.stop - leaf.start != TIMESTAMP_LENGTH:
                    return None
                times.append((metric, leaf.start))
            elif leaf.kind == "string":
                return None  # only the exact reader checks texts
        return cls(
            template=np.frombuffer(data, dtype=np.uint8),
            fixed=np.flatnonzero(~free),
            doubles=tuple(doubles),
            times=tuple(times),
            parameters=parameters,
            devices=tuple((sort, ", ".join(names)) for sort, names in devices.items()),
        )

    def fits(self, messages: Bytes) -> NDArray[np.bool_]:
        """(n,) whether each of (n, length) messages has this layout."""
        fits: NDArray[np.bool_] = (messages[:, self.fixed] == self.template[self.fixed]).all(axis=1)
        return fits

    def decode(self, messages: Bytes) -> Decoded:
        """Read (n, length) messages of this layout."""
        good = np.ones(len(messages), dtype=bool)
        values = {}
        for metric, start in self.doubles:
            column = np.ascontiguousarray(messages[:, start : start + 8])
            values[metric] = column.view("<f8")[:, 0].astype(np.float64, copy=False)
        if self.times:
            texts = np.concatenate([messages[:, s : s + TIMESTAMP_LENGTH] for _, s in self.times])
            seconds, known = many_to_seconds(texts)
            good &= known.reshape(len(self.times), -1).all(axis=0)
            split = seconds.reshape(len(self.times), -1)
            values.update({metric: split[i] for i, (metric, _) in enumerate(self.times)})
        parameters = None
        if self.parameters is not None:
            parameters, plain = _varints(messages[:, slice(*self.parameters)])
            good &= plain
        return Decoded(values, parameters, good)


def _walk(message: type[Message], data: bytes, base: int, path: MessagePath) -> list[_Leaf] | None:
    """All values of a message in order; None if a field is unknown or occurs twice."""
    known = specs(message)
    leaves: list[_Leaf] = []
    seen: dict[str, int] = {}
    for met in protobuf.fields(data):
        spec = known.get(met.number)
        if spec is None or met.wire_type != spec.wire_type:
            return None
        place = seen.get(spec.name, 0)
        seen[spec.name] = place + 1
        if place and not spec.repeated:
            return None
        here: MessagePath = (*path, spec.name, place) if spec.repeated else (*path, spec.name)
        if spec.message is None:
            leaves.append(_Leaf(here, spec.kind, base + met.start, base + met.stop))
            continue
        inner = _walk(spec.message, data[met.start : met.stop], base + met.start, here)
        if inner is None:
            return None
        leaves.extend(inner)
    return leaves


def _varints(columns: Bytes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(n,) values of varints in (n, width) bytes, and whether each has exactly this width."""
    width = columns.shape[1]
    last = np.arange(width) == width - 1
    plain = ((columns < 0x80) == last).all(axis=1) & (width <= 4)
    value = np.zeros(len(columns), dtype=np.int64)
    for place in range(width if width <= 4 else 0):
        value |= (columns[:, place].astype(np.int64) & 0x7F) << 7 * place
    return value, plain


# -- base64 of many texts -------------------------------------------------------------------------

_ALPHABET = np.zeros(256, dtype=bool)

_ALPHABET[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = True
_LINE = 76
_BREAK = b"\\n"  # a line feed, escaped in JSON

#: Texts or rows handled together: few enough to stay in the processor's cache.
_TOGETHER = 1024


def decode_base64(texts: Bytes) -> tuple[Bytes, NDArray[np.intp]] | None:
    """Decode texts of one length.

    Args:
        texts: (n, length) characters, with an escaped line feed after every 76 characters and
            at the end.

    Returns:
        (n, m) bytes, and (n,) how many of them belong to the text: m minus its padding, or -1 if
        the text does not have this form. None if the length is impossible.
    """
    n, length = texts.shape
    step = _LINE + len(_BREAK)
    whole, rest = divmod(length, step)
    if n == 0 or length == 0 or (rest and (rest - len(_BREAK)) % 4) or rest == len(_BREAK):
        return None
    messages = np.empty((n, (whole * _LINE + max(rest - len(_BREAK), 0)) // 4 * 3), dtype=np.uint8)
    sizes = np.empty(n, dtype=np.intp)
    for start in range(0, n, _TOGETHER):
        part = slice(start, start + _TOGETHER)
        sizes[part] = _decode(texts[part], messages[part], whole, rest)
    return messages, sizes


def _decode(texts: Bytes, out: Bytes, whole: int, rest: int) -> NDArray[np.intp]:
    """Decode some of the texts into `out` and return their sizes."""
    n, length = texts.shape
    step = _LINE + len(_BREAK)
    breaks = np.array([i * step + _LINE for i in range(whole)] + ([length - 2] if rest else []))
    good = (texts[:, breaks] == _BREAK[0]).all(axis=1)
    good &= (texts[:, breaks + 1] == _BREAK[1]).all(axis=1)
    lines = texts[:, : whole * step].reshape(n, whole, step)[:, :, :_LINE].reshape(n, -1)
    plain = np.concatenate([lines, texts[:, whole * step : length - len(_BREAK)]], axis=1)
    last = plain[:, -1] == ord("=")
    both = last & (plain[:, -2] == ord("="))
    plain[last, -1] = ord("A")
    plain[both, -2] = ord("A")
    decoded = _decoded(plain)
    if decoded is None:
        bad = ~_ALPHABET[plain].all(axis=1)
        good &= ~bad
        plain[bad] = ord("A")
        decoded = binascii.a2b_base64(plain.data)
    out[:] = np.frombuffer(decoded, dtype=np.uint8).reshape(n, -1)
    return np.where(good, out.shape[1] - last.astype(np.intp) - both, -1)


def _decoded(plain: Bytes) -> bytes | None:
    """All characters, decoded as one text; None if one is not of base64's alphabet."""
    try:
        decoded = binascii.a2b_base64(plain.data)
    except binascii.Error:
        return None
    # Python skips other characters, so that the result is too short.
    return decoded if len(decoded) * 4 == plain.size * 3 else None


# -- cells of a file ------------------------------------------------------------------------------

_SLOTS = MAX_VERTICES - 2
_LABEL = {name: label for label, name in enumerate(OPERATIONS)}

#: An unknown operation; `Space.rows` accepts it only at a vertex that pruning removes.
_UNKNOWN = -1

#: The matrix without edges, which is no valid cell, in place of a malformed text.
_EMPTY = b"0" * MAX_VERTICES**2


class LabelledGraphs:
    """Numbers the distinct matrices and the distinct texts of operations in a file.

    A file of millions of rows has some thousand matrices and hundreds of texts of operations. Each
    is parsed once, so that a row of the file takes two look-ups, and pairs of the two are
    classified for many rows at once.
    """

    def __init__(self) -> None:
        self.bits: dict[bytes, int] = {}
        """Number of each matrix so far, by its text."""
        self.ops: dict[bytes, int] = {}
        """Number of each text of operations so far."""
        self._space = Space()
        self._matrices: list[bytes] = []
        self._labels: list[list[int]] = []
        self._matrix_sizes: list[int] = []
        self._ops_sizes: list[int] = []

    def number_of_bits(self, text: bytes) -> int:
        """Number of a matrix; a malformed one is stored with size 0."""
        number = self.bits.get(text)
        if number is None:
            number = self.bits[text] = len(self._matrices)
            side = isqrt(len(text))
            good = side * side == len(text) and 2 <= side <= MAX_VERTICES and not text.strip(b"01")
            whole = _EMPTY
            if good:
                # The output moves to the last vertex; the others keep their places.
                gap = b"0" * (MAX_VERTICES - side)
                lines = [text[i : i + side] for i in range(0, len(text), side)]
                wide = [line[:-1] + gap + line[-1:] for line in lines]
                unused = [b"0" * MAX_VERTICES] * (MAX_VERTICES - side)
                whole = b"".join([*wide[:-1], *unused, wide[-1]])
            self._matrices.append(whole)
            self._matrix_sizes.append(side if good else 0)
        return number

    def number_of_ops(self, text: bytes) -> int:
        """Number of a text of operations; a malformed one is stored with size -1."""
        number = self.ops.get(text)
        if number is None:
            number = self.ops[text] = len(self._labels)
            names = text.decode("ascii", "replace").split(",")
            good = 2 <= len(names) <= MAX_VERTICES and (names[0], names[-1]) == (INPUT, OUTPUT)
            labels = [_LABEL.get(name, _UNKNOWN) for name in names[1:-1]] if good else []
            self._labels.append(labels + [0] * (_SLOTS - len(labels)))
            self._ops_sizes.append(len(names) if good else -1)
        return number

    def rows(self, bits: NDArray[np.int64], ops: NDArray[np.int64]) -> NDArray[np.int32]:
        """Rows of the seven-vertex space.

        Args:
            bits: (n,) numbers of matrices.
            ops: (n,) numbers of texts of operations.

        Returns:
            (n,) rows; -1 where the two do not make a valid cell.
        """
        entries = np.frombuffer(b"".join(self._matrices), dtype=np.int8) - np.int8(ord("0"))
        matrices = entries.reshape(-1, MAX_VERTICES, MAX_VERTICES)
        labels = np.array(self._labels)
        # Consecutive rows are often repeats of one cell: classify each pair once.
        pairs, which = np.unique(bits * len(labels) + ops, return_inverse=True)
        of_bits, of_ops = np.divmod(pairs, len(labels))
        found = self._space.rows(matrices[of_bits], labels[of_ops])
        same = np.array(self._matrix_sizes)[of_bits] == np.array(self._ops_sizes)[of_ops]
        rows: NDArray[np.int32] = np.where(same, found, np.int32(-1))[which.reshape(-1)]
        return rows

    @staticmethod
    def reason(bits: str, ops: str) -> str:
        """The reason why two texts do not make a valid cell."""
        try:
            cell = Cell(f"{bits}:{ops}")
        except InvalidCellError as error:
            return str(error)
        return f"{cell!r} has more than {MAX_VERTICES} vertices before pruning"


# -- metrics of many messages ---------------------------------------------------------------------

_MAX_LAYOUTS = 16  # for each length; a file has a handful
_MAX_FAILURES = 64  # messages without a layout, after which no further layout is learned

#: In place of trainable parameters that a message does not state; no message can state it.
ABSENT = -1 << 40


class Batch:
    """Metrics of n trainings, filled in any order."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.values: dict[str, NDArray[np.float64]] = {}
        """(n,) values of each metric so far, NaN if missing."""
        self.parameters = np.full(n, ABSENT, dtype=np.int64)
        """(n,) trainable parameters that the messages state, else `ABSENT`."""

    def column(self, metric: str) -> NDArray[np.float64]:
        """The column of a metric, created at first use."""
        found = self.values.get(metric)
        if found is None:
            found = self.values[metric] = np.full(self.n, np.nan)
        return found


class MessageReader:
    """Reads the messages of a file; layouts are kept from batch to batch."""

    def __init__(self, kind: type[ModelMetrics] | type[ModelMetricsEnergy]) -> None:
        self._kind = kind
        self._layouts: dict[int, list[Layout]] = {}
        self._failures = 0
        self.devices: dict[str, dict[str, None]] = {}
        """Names of the devices so far, by sort, as an ordered set."""

    def read_texts(
        self,
        batch: Batch,
        buffer: bytes,
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        skip: NDArray[np.bool_],
    ) -> list[int]:
        """Read messages whose base64 has the official form.

        Args:
            batch: the batch to fill.
            buffer: bytes that contain the texts, in base64, escaped for JSON.
            starts: (n,) place of each text in the buffer.
            lengths: (n,) length of each text.
            skip: (n,) whether to leave a text out.

        Returns:
            Places of the texts in another form or layout, which the exact reader has to read.
        """
        left: list[int] = []
        raw = np.frombuffer(buffer, dtype=np.uint8)
        for length in np.unique(lengths[~skip]).tolist():
            places = np.flatnonzero((lengths == length) & ~skip)
            if not length:
                left.extend(places.tolist())
                continue
            block = sliding_window_view(raw, length)[starts[places]]
            decoded = decode_base64(block)
            if decoded is None:
                left.extend(places.tolist())
                continue
            messages, sizes = decoded
            left.extend(places[sizes < 0].tolist())
            for size in np.unique(sizes[sizes >= 0]).tolist():
                equal = sizes == size
                left.extend(self._read_equal(batch, places[equal], messages[equal, :size]))
        return left

    def _read_equal(
        self, batch: Batch, places: NDArray[np.int64], messages: NDArray[np.uint8]
    ) -> list[int]:
        """Read messages of one length; returns the places for the exact reader."""
        layouts = self._layouts.setdefault(messages.shape[1], [])
        left: list[int] = []
        tried = 0
        while len(places):
            if tried == len(layouts):
                if len(layouts) >= _MAX_LAYOUTS or self._failures >= _MAX_FAILURES:
                    break
                layout = self._learned(messages[0].tobytes())
                if layout is None:
                    self._failures += 1
                    left.append(int(places[0]))
                    places, messages = places[1:], messages[1:]
                    continue
                layouts.append(layout)
            layout = layouts[tried]
            tried += 1
            fits = layout.fits(messages)
            if not fits.any():
                continue
            if fits.all():
                return left + self._take(batch, layout, places, messages)
            left.extend(self._take(batch, layout, places[fits], messages[fits]))
            places, messages = places[~fits], messages[~fits]
        left.extend(places.tolist())
        return left

    def _take(
        self, batch: Batch, layout: Layout, places: NDArray[np.int64], messages: NDArray[np.uint8]
    ) -> list[int]:
        decoded = layout.decode(messages)
        for metric, values in decoded.values.items():
            batch.column(metric)[places] = values
        if decoded.parameters is not None:
            batch.parameters[places] = decoded.parameters
        for sort, names in layout.devices:
            self.devices.setdefault(sort, {})[names] = None
        left: list[int] = places[~decoded.good].tolist()
        return left

    def _learned(self, data: bytes) -> Layout | None:
        """The layout of a message; None if it has none or is malformed."""
        try:
            to_metrics(decode(self._kind, data))
        except ValueError:  # the exact reader will raise this FormatError with its place
            return None
        return Layout.learn(self._kind, data)

    def read_exactly(self, batch: Batch, place: int, data: bytes, source: Source) -> None:
        """Read one message field by field.

        Raises:
            FormatError: the bytes are not a message of this kind.
        """
        for column in batch.values.values():
            column[place] = np.nan
        batch.parameters[place] = ABSENT
        message = decode(self._kind, data, source)
        values, devices = to_metrics(message, source)
        for metric, value in values.items():
            batch.column(metric)[place] = value
        if message.trainable_parameters is not None:
            batch.parameters[place] = message.trainable_parameters
        for sort, names in devices.items():
            self.devices.setdefault(sort, {})[names] = None


# -- many rows ------------------------------------------------------------------------------------

_QUOTES = 8  # of the four texts of a row in the official form
_MAX_DIGITS = 6  # of the epochs
_WINDOW = 160  # bytes compared at most; official matrices and operations have 145 together

#: In place of the number of a text that JSON has to decode first.
_ESCAPED = -1

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RowBatch:
    """The parts of n rows; the parts of odd rows mean nothing."""

    odd: Mask
    """(n,) whether a row has another form, so that the exact reader has to read it."""
    hashes: Bytes
    """(n, 32) hexadecimal digits."""
    epochs: NDArray[np.int32]
    """(n,) training budgets."""
    bits: Places
    """(n,) numbers of the matrices among `LabelledGraphs`."""
    ops: Places
    """(n,) numbers of the operations among `LabelledGraphs`."""
    text_starts: Places
    """(n,) places of the messages in the frames' buffer: base64, line feeds escaped."""
    text_lengths: Places
    """(n,) lengths of the messages' texts."""


class _Numbers(dict[bytes, int]):
    """Numbers of texts as they stand in rows; a new text is numbered at its first use."""

    def __init__(self, number: Callable[[bytes], int]) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, text: bytes) -> int:
        found = self[text] = _ESCAPED if b"\\" in text else self._number(text)
        return found


class RowSplitter:
    """Splits all rows of a batch at their quotes in one step.

    Matrices and operations repeat from row to row; each is parsed at its first occurrence.
    """

    def __init__(self, cells: LabelledGraphs) -> None:
        self._bits = _Numbers(cells.number_of_bits)
        self._ops = _Numbers(cells.number_of_ops)

    def split(self, frames: Frames) -> RowBatch:
        """Split the rows of n frames."""
        n = len(frames.offsets)
        raw = np.frombuffer(frames.buffer, dtype=np.uint8)
        quotes = np.flatnonzero(raw == ord('"'))
        # Lengths and checksums between the rows may contain bytes that look like quotes.
        first = np.searchsorted(quotes, frames.starts)
        count = np.searchsorted(quotes, frames.stops) - first
        places = np.flatnonzero(count == _QUOTES)
        found = quotes[first[places] + np.arange(_QUOTES)[:, None]]
        plain = _separated(raw, found, frames.starts[places], frames.stops[places])
        places, found = places[plain], found[:, plain]

        odd = np.ones(n, dtype=bool)
        hashes = np.zeros((n, HASH_LENGTH), dtype=np.uint8)
        epochs = np.zeros(n, dtype=np.int32)
        parts = np.zeros((4, n), dtype=np.int64)
        if not len(places):
            return RowBatch(odd, hashes, epochs, *parts)
        hex_digits = sliding_window_view(raw, HASH_LENGTH)[found[0] + 1]
        hashes[places] = hex_digits
        epochs[places], good = _epochs(raw, found[1], found[2])
        good &= _are_hex(hex_digits)
        # A cell's trainings mostly follow each other, with equal matrix and operations.
        new = _new(raw, found[2], found[5])
        run = np.cumsum(new) - 1
        for i, numbers in enumerate((self._bits, self._ops)):
            before, after = found[2 + 2 * i, new].tolist(), found[3 + 2 * i, new].tolist()
            met = [numbers[frames.buffer[q + 1 : r]] for q, r in zip(before, after, strict=True)]
            parts[i, places] = np.array(met)[run]
            good &= parts[i, places] != _ESCAPED
        parts[2, places] = found[6] + 1
        parts[3, places] = found[7] - found[6] - 1
        odd[places[good]] = False
        return RowBatch(odd, hashes, epochs, *parts)


def _separated(raw: Bytes, quotes: Places, starts: Places, stops: Places) -> Mask:
    """(m,) whether exactly the official characters stand around and between the texts of a row.

    Args:
        raw: bytes of all rows.
        quotes: (8, m) places of the quotes of each row.
        starts: (m,) starts of the rows.
        stops: (m,) ends of the rows.
    """
    good: Mask = (quotes[0] == starts + 1) & (quotes[7] == stops - 2)
    good &= quotes[1] - quotes[0] == HASH_LENGTH + 1
    good &= (raw[starts] == ord("[")) & (raw[stops - 1] == ord("]"))
    for before, after in ((3, 4), (5, 6)):
        good &= quotes[after] - quotes[before] == 3
    # The epochs stand between the second and the third quote: their own commas are checked here.
    for place in (quotes[1] + 1, quotes[2] - 2, quotes[3] + 1, quotes[5] + 1):
        good &= (raw[place] == ord(",")) & (raw[place + 1] == ord(" "))
    return good


def _are_hex(digits: Bytes) -> Mask:
    """(m,) whether (m, 32) characters are hexadecimal digits in lower case."""
    # Characters below the first digit or letter wrap around to large numbers.
    are = (digits - np.uint8(ord("0")) < 10) | (digits - np.uint8(ord("a")) < 6)
    # Eight answers are compared in one step: `all` is slow along short axes.
    whole: Mask = (are.view(np.uint64) == np.uint64(0x0101010101010101)).all(axis=1)
    return whole


def _new(raw: Bytes, starts: Places, stops: Places) -> Mask:
    """(m,) whether the bytes between two places differ from the same bytes of the row before.

    True for the first row, and for more bytes than a matrix and operations have.
    """
    lengths = stops - starts
    window = min(int(lengths.max()), _WINDOW)
    alike = np.zeros(len(starts), dtype=bool)
    alike[1:] = (lengths[1:] == lengths[:-1]) & (lengths[1:] <= window)
    alike &= starts <= len(raw) - window
    new = ~alike
    places = np.flatnonzero(alike)
    windows = sliding_window_view(raw, window)
    for first in range(0, len(places), _TOGETHER):
        some = places[first : first + _TOGETHER]
        same = windows[starts[some]] == windows[starts[some - 1]]
        # Place of the first different byte; 0, where both have a quote, if all are equal.
        other = same.argmin(axis=1)
        new[some] = (other > 0) & (other < lengths[some])
    return new


def _epochs(raw: Bytes, before: Places, after: Places) -> tuple[NDArray[np.int32], Mask]:
    """(m,) epochs, which stand with `, ` around them between two quotes.

    Returns:
        The numbers, and whether they are valid: one to six digits, the first not 0.
    """
    digits = after - before - 5
    good = (digits >= 1) & (digits <= _MAX_DIGITS)
    value = np.zeros(len(digits), dtype=np.int32)
    for place in range(min(int(digits.max(initial=0)), _MAX_DIGITS)):
        inside = digits > place
        digit = raw[after - 3 - place].astype(np.int32) - ord("0")
        good &= ~inside | (digit >= 0) & (digit <= 9)
        value += np.where(inside, digit * 10**place, 0)
    good &= raw[before + 3] != ord("0")
    return value, good


# -- files ----------------------------------------------------------------------------------------

#: Hashes of cells of up to so many vertices are always checked: it takes a tenth of a second.
_CHEAP = 5


def read_columns(
    path: str | PathLike[str],
    kind: type[ModelMetrics] | type[ModelMetricsEnergy],
    *,
    name: str | None,
    vertices: int | None,
    provenance: Mapping[str, Provenance] | None,
    default: Provenance,
    check_hashes: bool,
) -> Columns:
    """Read a TFRecord file; see `read_nasbench` and `read_ecnas`."""
    reader = _Reader(str(path), kind, check_hashes)
    digest = sha256()
    for frames in read_batches(path, digest=digest):
        reader.add(frames)
    default = Provenance(
        default.kind, device=default.device, source=Path(path).name, sha256=digest.hexdigest()
    )
    return reader.assembler.finish(
        name or Path(path).stem,
        vertices=vertices,
        provenance=provenance,
        default=default,
        attributes={sort: "; ".join(names) for sort, names in reader.messages.devices.items()},
        drop_zero_co2=True,
    )


class _Reader:
    """State that is kept from batch to batch."""

    def __init__(
        self,
        path: str,
        kind: type[ModelMetrics] | type[ModelMetricsEnergy],
        check_hashes: bool,
    ) -> None:
        self.source = Source(path, None)
        self.assembler = Assembler(self.source)
        self.messages = MessageReader(kind)
        self._cells = LabelledGraphs()
        self._rows = RowSplitter(self._cells)
        self._check_hashes = check_hashes
        self._small_space = Space(_CHEAP)
        self._hashes: dict[Space, NDArray[np.bytes_]] = {}

    def add(self, frames: Frames) -> None:
        """Read one batch."""
        found = self._rows.split(frames)
        hashes, epochs, bits, ops = found.hashes, found.epochs, found.bits, found.ops
        batch = Batch(len(frames.offsets))
        left = self.messages.read_texts(
            batch, frames.buffer, found.text_starts, found.text_lengths, found.odd
        )
        exact = found.odd.copy()
        exact[left] = True
        for i in np.flatnonzero(exact).tolist():  # in order, so that the first fault is raised
            source = self._source(frames, i)
            row = decode_row(frames.content(i), source)
            hashes[i] = np.frombuffer(row.hash.encode("ascii"), dtype=np.uint8)
            epochs[i] = row.epochs
            bits[i] = self._cells.number_of_bits(row.bits.encode("ascii"))
            ops[i] = self._cells.number_of_ops(row.ops.encode("ascii", "replace"))
            self.messages.read_exactly(batch, i, row.message, source.encoded())
        rows = self._cells.rows(bits, ops)
        self._check_cells(frames, rows)
        self._check(frames, rows, hashes, batch.parameters)
        self.assembler.add(rows, epochs, batch.values, offsets=frames.offsets)

    def _source(self, frames: Frames, i: int) -> Source:
        return Source(self.source.path, frames.offsets[i], exact=False)

    def _check_cells(self, frames: Frames, rows: NDArray[np.int32]) -> None:
        wrong = np.flatnonzero(rows < 0)
        if len(wrong):
            source = self._source(frames, int(wrong[0]))
            row = decode_row(frames.content(int(wrong[0])), source)
            reason = self._cells.reason(row.bits, row.ops)
            raise source.fault(f"a row must have a cell of NAS-Bench-101's space: {reason}")

    def _check(
        self,
        frames: Frames,
        rows: NDArray[np.int32],
        hashes: NDArray[np.uint8],
        parameters: NDArray[np.int64],
    ) -> None:
        """Compare the trainable parameters and hashes that rows state with those of their cells."""
        computed = network.parameters(rows)
        for i in np.flatnonzero((parameters != computed) & (parameters != ABSENT)).tolist():
            message = f"the cell has {int(computed[i])} trainable parameters"
            raise self._source(frames, i).fault(message, value=int(parameters[i]))
        stated: NDArray[np.bytes_] = hashes.view(f"S{HASH_LENGTH}")[:, 0]
        space = self._small_space
        checked = np.flatnonzero(rows < len(space))
        if self._check_hashes and len(checked) < len(rows):
            space, checked = Space(), np.arange(len(rows))
        if not len(checked):
            return
        if space not in self._hashes:
            self._hashes[space] = space.hashes().astype(f"S{HASH_LENGTH}")
        for i in checked[stated[checked] != self._hashes[space][rows[checked]]].tolist():
            cell = Space().cell(int(rows[i]))
            message = f"the hash of a row must be its cell's, {cell.nasbench_hash}"
            raise self._source(frames, i).fault(message, value=stated[i].decode("ascii"))
