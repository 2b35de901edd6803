"""Exact costs of cells as NAS-Bench-101's CIFAR-10 networks, for arrays of rows.

The network (Ying et al. 2019, figure 1; `model_builder.py` of google-research/nasbench) is a 3 x 3
convolution stem with 128 channels, three stacks of three cells with 128, 256 and 512 channels on
32 x 32, 16 x 16 and 8 x 8 pixels, a 2 x 2 max-pool between stacks, global average pooling and a
dense layer to ten classes. Every convolution is without bias and followed by batch normalisation,
whose scale and shift are trainable, and ReLU.

Within a cell, the output concatenates its interior predecessors, so its channels are divided among
them; if the division leaves a remainder, the first of them get one more each. Any other vertex has
as many channels as its widest successor. An edge from the input to an interior vertex is a 1 x 1
projection to that vertex's channels; an edge from the input to the output is a projection to all
channels, added to the concatenation. Edges between interior vertices truncate channels and cost
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.topologies import (
    MAX_VERTICES,
    OPERATIONS,
    adjacency,
    checked_rows,
    labels_of_rows,
    topologies,
)

Counts = NDArray[np.int64]

_SLOTS = MAX_VERTICES - 2
_OUTPUT = MAX_VERTICES - 1
_IMAGE_CHANNELS, _STEM, _CLASSES, _CELLS = 3, 128, 10, 3
#: (channels of the output, side of the image in pixels) of each stack.
STACKS = ((128, 32), (256, 16), (512, 8))
#: Side of each operation's convolution, 0 for the pool.
_KERNEL = tuple({"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}.get(name, 0) for name in OPERATIONS)


def parameters(rows: ArrayLike) -> Counts:
    """(n,) trainable parameters of the networks of (n,) rows, as published by NAS-Bench-101."""
    return _total(0, rows)


def multiply_adds(rows: ArrayLike) -> Counts:
    """(n,) multiply-adds of convolutions, projections and the dense layer for one image.

    Pooling, batch normalisation and additions have no multiply-add and are not counted.
    """
    return _total(1, rows)


def activation_elements(rows: ArrayLike) -> Counts:
    """(n,) elements that the layers write for one image.

    The outputs of the stem, of every projection, convolution and pool of the cells, of the pools
    between stacks, of the global pool and of the dense layer count once each. Batch normalisation
    and ReLU work in place and concatenation is a view, so they count nothing.
    """
    return _total(2, rows)


def cell_depth(rows: ArrayLike) -> Counts:
    """(n,) interior vertices on the longest path from input to output of one cell, 0 to 5."""
    return _depths()[topologies().row_topology[checked_rows(rows)]]


def depth(rows: ArrayLike) -> Counts:
    """(n,) layers on the longest path through the network.

    They are the stem, the two pools between stacks, nine times the longest path of the cell, and
    the dense layer. An edge from the input counts as a layer, its projection.
    """
    # Every path starts with a projection, from the input to a vertex or to the output.
    return 1 + 2 + len(STACKS) * _CELLS * (cell_depth(rows) + 1) + 1


def channels(output: int) -> Counts:
    """(n_topologies, 5) channels of the interior vertices, 0 past the last.

    They follow from the channels of the cell's output.
    """
    edge = adjacency()
    slots = topologies().vertices - 2
    to_output = edge[:, 1:_OUTPUT, _OUTPUT]
    parts = to_output.sum(axis=1)
    share, rest = np.divmod(output, np.maximum(parts, 1))
    place = np.cumsum(to_output, axis=1) - 1
    out = np.where(to_output, share[:, None] + (place < rest[:, None]), 0)
    for slot in range(_SLOTS - 1, -1, -1):
        widest = (out * edge[:, slot + 1, 1:_OUTPUT]).max(axis=1)
        out[:, slot] = np.where(to_output[:, slot], out[:, slot], widest)
    out[np.arange(_SLOTS) >= slots[:, None]] = 0
    return out.astype(np.int64)


def _total(count: int, rows: ArrayLike) -> Counts:
    rows = checked_rows(rows)
    topology, labels = topologies().row_topology[rows], labels_of_rows(rows)
    fixed, by_op = _costs()
    out: Counts = fixed[count, topology]
    for slot in range(_SLOTS):
        out = out + by_op[count, topology, slot, labels[:, slot]]
    return out


@cache
def _costs() -> tuple[Counts, Counts]:
    """Parameters, multiply-adds and activation elements of each topology.

    Returns:
        (3, n_topologies) without operations, and (3, n_topologies, 5, 3) of each operation at each
        slot; 0 past the last slot.
    """
    edge = adjacency()
    fixed = _layer(3, _IMAGE_CHANNELS, np.full(len(edge), _STEM), STACKS[0][1] ** 2)
    by_op = np.zeros((3, len(edge), _SLOTS, len(OPERATIONS)), dtype=np.int64)
    below = _STEM
    for stack, (width, side) in enumerate(STACKS):
        pixels, wide = side * side, channels(width)
        if stack:
            fixed[2] += below * pixels  # the pool between stacks
        projected = np.where(edge[:, 0, 1:_OUTPUT], wide, 0).sum(axis=1)
        projected += edge[:, 0, _OUTPUT] * width
        for inputs in (below, *[width] * (_CELLS - 1)):
            fixed += _layer(1, inputs, projected, pixels)
        for label, kernel in enumerate(_KERNEL):
            by_op[..., label] += _CELLS * _layer(kernel, wide, wide, pixels)
        below = width
    dense = below * _CLASSES
    fixed += np.array([[dense + _CLASSES], [dense], [below + _CLASSES]])
    return fixed, by_op


def _layer(kernel: int, inputs: int | Counts, outputs: Counts, pixels: int) -> Counts:
    """(3, ...) parameters, multiply-adds and elements of convolutions, or of pools for kernel 0."""
    weights = kernel * kernel * inputs * outputs
    return np.stack([weights + 2 * outputs * (kernel > 0), weights * pixels, outputs * pixels])


@cache
def _depths() -> Counts:
    """(n_topologies,) interior vertices on the longest path."""
    edge = adjacency()
    reach = np.full((len(edge), MAX_VERTICES), -_OUTPUT, dtype=np.int64)
    reach[:, 0] = 0
    for v in range(1, MAX_VERTICES):
        steps = np.where(edge[:, :v, v], reach[:, :v], -_OUTPUT).max(axis=1)
        reach[:, v] = steps + (v != _OUTPUT)
    return reach[:, _OUTPUT]


#: The metrics that follow from the cell alone, with the functions that count them.
DERIVED: dict[str, Callable[[ArrayLike], Counts]] = {
    "parameters": parameters,
    "multiply_adds": multiply_adds,
    "activation_elements": activation_elements,
    "depth": depth,
}
