"""What the layers write and read: channels at full resolution, the measure of memory traffic.

Pools, batch normalisations and additions are bound by memory, so their time goes with the
elements they move. All are in widths: channels of the first stack's vertices over the 128 of the
cell's output. One width is 128 x 32 x 32 elements per image and cell in the first stack, half and
a quarter of that in the others (up to the rounding of channels), as in
`network.activation_elements`.
"""

from __future__ import annotations

from naslib_ecnas.surrogate.feature import Feature
from naslib_ecnas.surrogate.paths import longest_of_structures
from naslib_ecnas.surrogate.terms import Term, by_operator, of_structure

__all__ = ["TRAFFIC"]

_UNIT = "width"


TRAFFIC: tuple[Term, ...] = (
    *by_operator("{}_width", _UNIT, "channels that vertices {} write", lambda s: s.width),
    *by_operator(
        "{}_additions_width",
        _UNIT,
        "channels added to make inputs of {}",
        lambda s: s.additions * s.width,
    ),
    *by_operator(
        "{}_reuses_width",
        _UNIT,
        "channels of vertices {} whose gradients are added up over several successors",
        lambda s: s.reuses * s.width,
    ),
    # The squares of the convolutions' widths are their multiply-adds.
    Term(
        Feature("maxpool3x3_width_squared", "width^2", "sum of squared widths of pools"),
        of_slots=lambda s: s.width**2,
        weights=(0, 0, 1),
    ),
    of_structure(
        "vertices_width", _UNIT, "channels of all vertices", lambda s: s.width.sum(axis=1)
    ),
    of_structure(
        "projections_width",
        _UNIT,
        "channels that projections to vertices write",
        lambda s: (s.width * s.from_input).sum(axis=1),
    ),
    of_structure(
        "additions_width",
        _UNIT,
        "channels that additions write",
        lambda s: (s.width * s.additions).sum(axis=1),
    ),
    of_structure(
        "reuses_width",
        _UNIT,
        "channels whose gradients are added up over several successors",
        lambda s: (s.width * s.reuses).sum(axis=1),
    ),
    of_structure(
        "edges_width",
        _UNIT,
        "channels that pass the edges between vertices",
        lambda s: (s.inner * s.width[:, None, :]).sum(axis=(1, 2)),
    ),
    of_structure(
        "longest_width",
        _UNIT,
        "largest sum of channels over a path: the least that runs one after another",
        lambda s: longest_of_structures(s.width),
    ),
)
