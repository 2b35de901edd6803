"""From float columns to few bytes: codes of 16 bits that a browser can turn back.

A column of at most `MOST_LEVELS` different values is kept exactly, as codes into the sorted list
of them. Any other one is quantised: in equal steps of `STEP_LINEAR`, or, where it spans magnitudes
and nothing in it is 0 or less, in equal steps of its natural logarithm (`STEP_LOG`). A range that
16 bits cannot hold in such steps gets wider ones; `Codes.error` says what the bound then is.

The highest code stands for a missing value. Bytes are laid out in planes (all high bytes, then
all low ones), which compresses better than pairs; a column that resembles an earlier one is stored
as the difference of the codes, modulo 2**16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MISSING", "MOST_LEVELS", "Codes", "joined", "quantise", "references", "split"]

#: Code of a value that is not known.
MISSING = 0xFFFF
MOST_LEVELS = 4096
STEP_LINEAR = 5e-5
STEP_LOG = 5e-4
_MOST_STEPS = MISSING - 1
_SAMPLE = 20_000

Code = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Codes:
    """A column as codes."""

    codes: Code
    """(n,) `MISSING` where the value is NaN."""
    log: bool
    """Whether `low` and `step` are of the natural logarithm."""
    low: float
    step: float
    levels: NDArray[np.float64] | None
    """(k,) ascending values that the codes count; None where the column is quantised."""

    @property
    def error(self) -> float:
        """Bound of the error: relative where `log`, else absolute in the column's unit; 0 if exact.

        Half a step, and a little for the rounding of the float64 on the way.
        """
        if self.levels is not None:
            return 0.0
        half = self.step / 2 + 1e-12
        return float(np.expm1(half)) if self.log else half

    def values(self) -> NDArray[np.float64]:
        """(n,) float64, as the page shows them."""
        known = self.codes != MISSING
        out = np.full(len(self.codes), np.nan)
        if self.levels is not None:
            out[known] = self.levels[self.codes[known]]
        else:
            place = self.low + self.step * self.codes[known]
            out[known] = np.exp(place) if self.log else place
        return out


def quantise(values: NDArray[np.float64], *, log: bool) -> Codes:
    """A column as codes, exact where it has few different values.

    Args:
        values: (n,) finite or NaN.
        log: whether the page shows it on a logarithmic axis; linear nevertheless where a value
            is 0 or less.
    """
    known = np.isfinite(values)
    codes = np.full(len(values), MISSING, dtype=np.uint16)
    held = values[known]
    log = log and bool((held > 0).all())
    levels, at = np.unique(held, return_inverse=True)
    if len(levels) <= MOST_LEVELS:
        codes[known] = at
        return Codes(codes, log, 0.0, 0.0, levels)
    place = np.log(held) if log else held
    low = float(place.min())
    step = max(STEP_LOG if log else STEP_LINEAR, (float(place.max()) - low) / _MOST_STEPS)
    codes[known] = np.rint((place - low) / step)
    return Codes(codes, log, low, step, None)


def references(columns: Sequence[Code]) -> list[int | None]:
    """For each column the earlier one that it is best stored as the difference from.

    Decided by the entropy over a sample of the rows. Columns of other lengths do not compare.
    """
    out: list[int | None] = []
    for index, column in enumerate(columns):
        some = slice(None, None, max(1, len(column) // _SAMPLE))
        best, chosen = _bits(column[some]), None
        for earlier in range(index):
            if len(columns[earlier]) != len(column):
                continue
            bits = _bits(column[some] - columns[earlier][some])
            # A difference has to earn its keep: it costs the reader a pass over the column.
            if bits < best - 0.5:
                best, chosen = bits, earlier
        out.append(chosen)
    return out


def split(column: Code, reference: Code | None) -> bytes:
    """Bytes of a column: two planes, high bytes first, of the codes or their difference."""
    codes = column if reference is None else column - reference
    return (codes >> 8).astype(np.uint8).tobytes() + (codes & 0xFF).astype(np.uint8).tobytes()


def joined(data: bytes, reference: Code | None) -> Code:
    """The inverse of `split`."""
    planes = np.frombuffer(data, dtype=np.uint8).reshape(2, -1).astype(np.uint16)
    codes: Code = planes[0] << 8 | planes[1]
    return codes if reference is None else codes + reference


def _bits(codes: Code) -> float:
    """Entropy in bits for each code."""
    _, count = np.unique(codes, return_counts=True)
    share = count / max(1, len(codes))
    return float(-(share * np.log2(share)).sum())
