"""Many rows at once: taken apart where they have the official form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from naslib_ecnas.data.drawn_cells import DrawnCells
from naslib_ecnas.data.rows import HASH_LENGTH
from naslib_ecnas.data.tfrecord import Frames

__all__ = ["RowBatch", "RowSplitter"]

#: The official form has the quotes of four texts; the message has no quote to escape.
_QUOTES = 8
_MAX_DIGITS = 6
#: Bytes that are compared at most: the official matrices and operations have 145 in all.
_WINDOW = 160
# Rows compared together: few enough to stay in the processor's cache.
_TOGETHER = 1024
#: Number of a text that JSON has to decode first.
_ESCAPED = -1

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RowBatch:
    """The parts of n rows; those of odd rows mean nothing."""

    odd: Mask
    """(n,) whether a row has another form: the exact reader has to read it."""
    hashes: Bytes
    """(n, 32) hexadecimal digits."""
    epochs: NDArray[np.int32]
    """(n,) training budgets."""
    bits: Places
    """(n,) numbers of the matrices among `DrawnCells`."""
    ops: Places
    """(n,) numbers of the operations among `DrawnCells`."""
    text_starts: Places
    """(n,) places of the messages in the frames' buffer: base64, line feeds escaped."""
    text_lengths: Places
    """(n,) lengths of the messages' texts."""


class _Numbers(dict[bytes, int]):
    """Numbers of texts as they stand in rows; that of a new one is made when it is asked for."""

    def __init__(self, number: Callable[[bytes], int]) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, text: bytes) -> int:
        found = self[text] = _ESCAPED if b"\\" in text else self._number(text)
        return found


class RowSplitter:
    """Splits rows at their quotes, all of a batch in one step.

    Matrices and operations repeat from row to row, and are parsed when they are first met.
    """

    def __init__(self, cells: DrawnCells) -> None:
        self._bits = _Numbers(cells.number_of_bits)
        self._ops = _Numbers(cells.number_of_ops)

    def split(self, frames: Frames) -> RowBatch:
        """Take the rows in n frames apart."""
        n = len(frames.offsets)
        raw = np.frombuffer(frames.buffer, dtype=np.uint8)
        quotes = np.flatnonzero(raw == ord('"'))
        # Lengths and checksums between the rows may have bytes that look like quotes.
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
        # The trainings of a cell mostly stand together: matrix and operations are those before.
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
    """(m,) whether there is just what has to be around and between the four texts of a row.

    Args:
        raw: bytes of all rows.
        quotes: (8, m) places of the quotes of each row.
        starts: (m,) places of the rows.
        stops: (m,) where they end.
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
    """(m,) whether (m, 32) characters are hexadecimal digits, lower case."""
    # What is under the first digit or letter wraps around.
    are = (digits - np.uint8(ord("0")) < 10) | (digits - np.uint8(ord("a")) < 6)
    # Eight answers in one step: `all` is slow along short axes.
    whole: Mask = (are.view(np.uint64) == np.uint64(0x0101010101010101)).all(axis=1)
    return whole


def _new(raw: Bytes, starts: Places, stops: Places) -> Mask:
    """(m,) whether the bytes of a row between two quotes are others than those of the row before.

    Those of the first row are, and those that are too long to be a matrix and operations.
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
        # The place of the first other byte; 0, where a quote is in both, if there is none.
        other = same.argmin(axis=1)
        new[some] = (other > 0) & (other < lengths[some])
    return new


def _epochs(raw: Bytes, before: Places, after: Places) -> tuple[NDArray[np.int32], Mask]:
    """(m,) the numbers that stand, with `, ` around them, between two quotes each.

    Returns:
        The numbers, and whether they are any: one to six digits, the first not 0.
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
