"""How many layers of each kind a cell has: by operation, channels and place.

The time of a layer depends on its operation and its channels but not smoothly, since libraries
choose among kernels. The channels take six values in each stack (`compute_vertex_channels` of
google-research/nasbench's `model_builder.py`, here `network.channels`), so a count for each
operation and value lets a linear model learn any time for each. The counts by place say which
layers wait for additions, projections or the concatenation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.network import cell_depth
from naslib_ecnas.surrogate.cells import Shapes
from naslib_ecnas.surrogate.terms import Term, by_operator, of_structure

__all__ = ["BY_CHANNELS", "BY_PLACE", "CHANNELS", "OF_GRAPH"]

#: Channels of a vertex in the three stacks: all that occur, widest first.
CHANNELS = (
    (128, 256, 512),
    (64, 128, 256),
    (43, 86, 171),
    (43, 85, 171),
    (42, 85, 170),
    (32, 64, 128),
)
#: Vectorised kernels run best on channels in multiples of eight.
_ALIGNED = 8


def _having(shape: Shapes, widths: tuple[int, ...]) -> NDArray[np.bool_]:
    """(S, 5) whether a slot has these channels in the three stacks."""
    return np.asarray((np.moveaxis(shape.channels, 0, -1) == widths).all(axis=-1))


def _by_channels(widths: tuple[int, int, int]) -> list[Term]:
    at = "{}_{}_{}".format(*widths)
    words = "with {}, {}, {} channels in the three stacks".format(*widths)
    return [
        *by_operator(f"{{}}_at_{at}", "", f"vertices {{}} {words}", lambda s: _having(s, widths)),
        of_structure(
            f"projections_at_{at}",
            "",
            f"projections of the cell's input to vertices {words}",
            lambda s: (_having(s, widths) & s.from_input).sum(axis=1),
        ),
        of_structure(
            f"additions_at_{at}",
            "",
            f"additions of tensors {words}",
            lambda s: (_having(s, widths) * s.additions).sum(axis=1),
        ),
    ]


def _truncations(shape: Shapes) -> NDArray[np.int64]:
    """(S,) edges whose source is wider than their target.

    In the whole space these lead from 43 channels to 42, so how much is cut off and how much is
    kept would be this count again.
    """
    wide = shape.channels[0]
    narrower = wide[:, :, None] > wide[:, None, :]
    return np.asarray((shape.inner & narrower).sum(axis=(1, 2)))


#: Layers by operation and channels.
BY_CHANNELS: tuple[Term, ...] = tuple(term for widths in CHANNELS for term in _by_channels(widths))

#: Counts that the structure alone decides.
OF_GRAPH: tuple[Term, ...] = (
    of_structure("skip", "", "1 if an edge leads from the input to the output", lambda s: s.skip),
    of_structure(
        "concatenated",
        "",
        "vertices that the output concatenates",
        lambda s: s.to_output.sum(axis=1),
    ),
    of_structure(
        "no_vertices", "", "1 if the cell is one projection and no more", lambda s: s.slots == 0
    ),
    of_structure("truncations", "", "edges that drop a channel of their source", _truncations),
    of_structure("edges", "", "edges", lambda s: s.edge.sum(axis=(1, 2))),
    of_structure("vertices", "", "vertices with an operation", lambda s: s.slots),
    of_structure("projections", "", "projections to vertices", lambda s: s.from_input.sum(axis=1)),
    of_structure("longest_vertices", "", "most vertices on a path", lambda s: cell_depth(s.row)),
)

#: Layers by operation and neighbours.
BY_PLACE: tuple[Term, ...] = (
    *by_operator("{}", "", "vertices {}", lambda s: s.live),
    *by_operator("{}_projected", "", "vertices {} that the input feeds", lambda s: s.from_input),
    *by_operator("{}_concatenated", "", "vertices {} that feed the output", lambda s: s.to_output),
    *by_operator("{}_additions", "", "additions that make inputs of {}", lambda s: s.additions),
    *by_operator(
        "{}_unaligned",
        "",
        f"vertices {{}} whose channels are no multiple of {_ALIGNED} in the first stack",
        lambda s: s.channels[0] % _ALIGNED > 0,
    ),
)
