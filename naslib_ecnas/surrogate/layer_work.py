"""Multiply-adds of the cells, by operation and resolution, exact and as kernels pad them.

A convolution of side k from c to c channels on s x s pixels takes k^2 c^2 s^2 multiply-adds; a
projection is a 1 x 1 convolution from the cell's input, whose first cell of a stack has the
channels of the stack below (`model_builder.py` of google-research/nasbench). Each stack has three
cells. The stem and the dense layer are the same for all and are left out, so the exact sums are
`network.multiply_adds` less a constant. Matrix kernels work on tiles, so a convolution of 43
channels costs about as much as one of 64: the padded sums round channels up to the tile.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.network import STACKS
from naslib_ecnas.surrogate.cells import Shapes
from naslib_ecnas.surrogate.feature import OPERATORS, Feature
from naslib_ecnas.surrogate.terms import Term, Value

__all__ = ["WORK"]

_GIGA = 1e-9
_UNIT = "1e9 multiply-adds"
_STEM = STACKS[0][0]
_CELLS = 3
_STACKS = range(len(STACKS))
#: Taps of each operation's kernel.
_CONV3X3, _CONV1X1, _BOTH = (9, 0, 0), (0, 1, 0), (9, 1, 0)


def _padded(shape: Shapes, stack: int, tile: int) -> NDArray[np.int64]:
    """(S, 5) channels rounded up to a multiple of `tile`."""
    return np.asarray(-(-shape.channels[stack] // tile) * tile)


def _squares(stacks: Iterable[int], tile: int = 1) -> Value:
    """(S, 5) channels squared times pixels of a stack's three cells, in 1e9, over stacks."""

    def value(shape: Shapes) -> NDArray[np.float64]:
        total = np.zeros(shape.channels.shape[1:])
        for stack in stacks:
            pixels = STACKS[stack][1] ** 2
            total += _padded(shape, stack, tile) ** 2 * (_CELLS * pixels * _GIGA)
        return total

    return value


def _projections(stacks: Iterable[int], tile: int = 1) -> Value:
    """(S,) multiply-adds of the projections of a stack's three cells, in 1e9, over stacks."""

    def value(shape: Shapes) -> NDArray[np.float64]:
        total = np.zeros(len(shape.slots))
        for stack in stacks:
            width, side = STACKS[stack]
            below = STACKS[stack - 1][0] if stack else _STEM
            projected = (_padded(shape, stack, tile) * shape.from_input).sum(axis=1)
            inputs = below + (_CELLS - 1) * width
            total += (projected + shape.skip * width) * (inputs * side**2 * _GIGA)
        return total

    return value


def _by_resolution(stack: int) -> list[Term]:
    side = STACKS[stack][1]
    pixels = f"on {side} x {side} pixels"
    return [
        *(
            Term(
                Feature(
                    f"{op}_multiply_adds_{side}", _UNIT, f"multiply-adds of vertices {op} {pixels}"
                ),
                of_slots=_squares([stack]),
                weights=taps,
            )
            for op, taps in zip(OPERATORS, (_CONV3X3, _CONV1X1), strict=False)
        ),
        Term(
            Feature(
                f"projection_multiply_adds_{side}",
                _UNIT,
                f"multiply-adds of all projections {pixels}",
            ),
            of_structure=_projections([stack]),
        ),
    ]


WORK: tuple[Term, ...] = (
    *(term for stack in _STACKS for term in _by_resolution(stack)),
    Term(
        Feature("multiply_adds", _UNIT, "multiply-adds of the nine cells"),
        _projections(_STACKS),
        _squares(_STACKS),
        _BOTH,
    ),
    Term(
        Feature(
            "multiply_adds_tile_32",
            _UNIT,
            "the same with the channels of vertices rounded up to multiples of 32",
        ),
        _projections(_STACKS, 32),
        _squares(_STACKS, 32),
        _BOTH,
    ),
    Term(
        Feature(
            "conv3x3_multiply_adds_tile_64",
            _UNIT,
            "multiply-adds of vertices conv3x3 with channels rounded up to multiples of 64",
        ),
        of_slots=_squares(_STACKS, 64),
        weights=_CONV3X3,
    ),
)
