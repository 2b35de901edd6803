"""Operations along the paths from input to output: most, least, mean, and paths without them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.feature import Feature
from naslib_ecnas.surrogate.paths import blocked, free, longest, shortest

__all__ = ["PATH_COSTS", "path_costs"]

_MOST, _LEAST, _MEAN, _WITHOUT = "most", "least", "mean", "without"
#: Name -> (cost of each operation, unit, words, what of it is a column).
#:
#: Left out is what `cost_features` has: the most conv3x3 (`longest_conv3x3`), the most vertices
#: (`longest_vertices`), and the paths without a vertex (`skip`).
_COSTS: dict[str, tuple[tuple[int, int, int], str, str, tuple[str, ...]]] = {
    "conv3x3": ((1, 0, 0), "", "vertices conv3x3", (_LEAST, _MEAN, _WITHOUT)),
    "convolution": ((1, 1, 0), "", "convolutions", (_MOST, _LEAST, _MEAN, _WITHOUT)),
    "maxpool3x3": ((0, 0, 1), "", "vertices maxpool3x3", (_MOST, _LEAST, _MEAN, _WITHOUT)),
    "conv1x1": ((0, 1, 0), "", "vertices conv1x1", (_MOST, _LEAST, _MEAN, _WITHOUT)),
    # Every 3 x 3 window widens the receptive field by two pixels.
    "reach": (
        (2, 0, 2),
        "pixels",
        "growth of the receptive field",
        (_MOST, _LEAST, _MEAN, _WITHOUT),
    ),
    "vertex": ((1, 1, 1), "", "vertices", (_LEAST, _MEAN)),
}
_WORDS = {
    _MOST: "most {} on a path",
    _LEAST: "least {} on a path",
    _MEAN: "{} on a path, mean over all paths",
    _WITHOUT: "paths without {}",
}

PATH_COSTS: tuple[Feature, ...] = (
    Feature("paths", "", "paths from the input to the output"),
    Feature("log_paths", "", "logarithm of the number of paths"),
    *(
        Feature(f"path_{name}_{kind}", unit if kind != _WITHOUT else "", _WORDS[kind].format(words))
        for name, (_, unit, words, kinds) in _COSTS.items()
        for kind in kinds
    ),
)


def path_costs(
    edge: NDArray[np.float32],
    one: NDArray[np.float32],
    ahead: NDArray[np.float32],
    behind: NDArray[np.float32],
) -> list[NDArray[np.float32]]:
    """Rows of (1, n) in the order of `PATH_COSTS`.

    Args:
        edge: (7, 7, n) adjacency.
        one: (5, 3, n) is 1 where the slot has the operation.
        ahead: (7, n) paths from the input to each vertex.
        behind: (7, n) paths from each vertex to the output.
    """
    paths = behind[0]
    # A vertex lies on (paths to it) x (paths from it) paths, so means need no path of their own.
    mean = (one * (ahead * behind)[1:-1, None]).sum(axis=0) / paths
    barred = blocked(edge)
    out = [paths, np.log(paths)]
    for weights, _, _, kinds in _COSTS.values():
        weight = np.array(weights, dtype=np.float32)
        cost = list((one * weight[:, None]).sum(axis=1))
        for kind in kinds:
            if kind == _MOST:
                out.append(longest(barred, cost))
            elif kind == _LEAST:
                out.append(shortest(barred, cost))
            elif kind == _MEAN:
                out.append((mean * weight[:, None]).sum(axis=0))
            else:
                out.append(free(edge, cost))
    return [row[None] for row in out]
