"""Features: every column against loops over the vertices and paths of a cell."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import features as module
from naslib_ecnas.surrogate.features import (
    CHANNELS,
    COSTS,
    FEATURES,
    OPERATORS,
    features,
    topology_arrays,
)
from naslib_ecnas.topologies import topologies

NAMES = [feature.name for feature in FEATURES]
SIDES = (32, 16, 8)
#: Every cell of up to five vertices, every topology once, and a draw of the rest.
DRAWN = Space(7).sample(np.random.default_rng(11), 5000)
ROWS = np.concatenate([np.arange(len(Space(5))), topology_arrays().row, DRAWN])
SHORT = {"conv3x3-bn-relu": "conv3x3", "conv1x1-bn-relu": "conv1x1", "maxpool3x3": "maxpool3x3"}


# -- the list ------------------------------------------------------------------------------------


def test_the_list_describes_every_column_once() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert len({feature.description for feature in FEATURES}) == len(FEATURES)
    assert all(f.description and "{" not in f.name + f.description for f in FEATURES)
    assert features([0]).shape == (1, len(FEATURES))
    assert features([0]).dtype == np.float32
    assert NAMES[COSTS - 1] == "longest_conv3x3"


def test_no_column_is_constant_or_another_rescaled() -> None:
    x = features(ROWS).astype(float)
    assert (np.ptp(x, axis=0) > 0).all()
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    close = np.abs(z.T @ z / len(z)) > 0.99999
    for a, b in np.argwhere(np.triu(close, 1)):
        sign = np.sign(z[:, a] @ z[:, b])
        assert np.abs(z[:, a] - sign * z[:, b]).max() > 1e-3, (NAMES[a], NAMES[b])


def test_channels_and_their_truncations_are_all_that_occur() -> None:
    found = np.stack([network.channels(width) for width, _ in network.STACKS], axis=-1)
    assert {tuple(t) for t in found.reshape(-1, 3).tolist()} == {(0, 0, 0), *CHANNELS}
    # Truncations are of one kind: how much is cut off is no feature of its own.
    arrays = topology_arrays()
    source, target = arrays.channels[0][:, None], arrays.channels[0]
    cut = (arrays.inner > 0) & (source > target)
    kinds = np.stack(np.broadcast_arrays(source, target), axis=-1)[cut]
    assert np.unique(kinds, axis=0).tolist() == [[43, 42]]


# -- rows ----------------------------------------------------------------------------------------


def test_rows_are_independent_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ROWS[::5]
    whole = features(rows)
    assert np.isfinite(whole).all()
    order = np.random.default_rng(2).permutation(len(rows))
    assert (features(rows[order]) == whole[order]).all()
    monkeypatch.setattr(module, "_CHUNK", 7)
    assert (features(rows[:100]) == whole[:100]).all()
    assert (features(int(rows[5])) == whole[5]).all()
    assert features([]).shape == (0, len(FEATURES))
    with pytest.raises(UnknownCellError):
        features([0, 423_624])


# -- against loops over one cell -----------------------------------------------------------------


def paths_from(matrix: np.ndarray, start: int = 0) -> list[list[int]]:
    """Interior vertices of every path from `start` to the output."""
    last = len(matrix) - 1
    if start == last:
        return [[]]
    return [
        ([v] if v != last else []) + rest
        for v in np.flatnonzero(matrix[start]).tolist()
        for rest in paths_from(matrix, v)
    ]


def along_paths(matrix: np.ndarray, ops: list[str], width: list[float]) -> dict[str, float]:
    """Columns of paths, distances and chains, by enumeration."""
    paths, inner = paths_from(matrix), range(1, len(ops) - 1)
    out = {"paths": len(paths), "log_paths": np.log(len(paths))}
    kinds = {op: {op: 1} for op in OPERATORS} | {"vertex": dict.fromkeys(OPERATORS, 1)}
    kinds |= {"convolution": {"conv3x3": 1, "conv1x1": 1}, "reach": {"conv3x3": 2, "maxpool3x3": 2}}
    for kind, weight in kinds.items():
        costs = [sum(weight.get(ops[v], 0) for v in path) for path in paths]
        most = {"conv3x3": "longest_conv3x3", "vertex": "longest_vertices"}
        out[most.get(kind, f"path_{kind}_most")] = max(costs)
        out[f"path_{kind}_least"] = min(costs)
        out[f"path_{kind}_mean"] = np.mean(costs)
        out["skip" if kind == "vertex" else f"path_{kind}_without"] = costs.count(0)
    taps = {"conv3x3": 9, "conv1x1": 1}
    out["longest_width"] = max(sum(width[v] for v in p) for p in paths)
    out["longest_work"] = max(sum(taps.get(ops[v], 0) * width[v] ** 2 for v in p) for p in paths)
    ends = {
        "input": {v: [p.index(v) + 1 for p in paths if v in p] for v in inner},
        "output": {v: [len(p) - p.index(v) for p in paths if v in p] for v in inner},
    }
    for (end, lengths), op in product(ends.items(), OPERATORS):
        for name, pick in (("nearest", min), ("farthest", max)):
            found = [pick(lengths[v]) for v in lengths if ops[v] == op]
            out[f"{op}_{name}_{end}_sum"] = sum(found)
            out[f"{op}_{name}_{end}_most"] = max(found, default=0)
    walk = [(a, b) for a in inner for b in inner if matrix[a, b]]
    for a, b in product(OPERATORS, OPERATORS):
        out[f"input_{a}_output"] = sum(matrix[0, v] * matrix[v, -1] for v in inner if ops[v] == a)
        pairs = [(u, v) for u, v in walk if (ops[u], ops[v]) == (a, b)]
        out[f"{a}_{b}"] = len(pairs)
        out[f"input_{a}_{b}"] = sum(matrix[0, u] for u, _ in pairs)
        out[f"{a}_{b}_output"] = sum(matrix[v, -1] for _, v in pairs)
        for c in OPERATORS:
            out[f"{a}_{b}_{c}"] = sum(ops[w] == c for _, v in pairs for u, w in walk if u == v)
    return out


def over_vertices(matrix: np.ndarray, ops: list[str], wide: list[list[int]]) -> dict[str, float]:
    """Columns that are sums over vertices, from the channels of all stacks."""
    vertices, width = range(1, len(ops) - 1), [c / 128 for c in wide[0]]
    into, out_of = matrix.sum(axis=0) - 1, matrix.sum(axis=1) - 1
    inner = [(u, v) for u in vertices for v in vertices if matrix[u, v]]
    out = {
        "edges": matrix.sum(),
        "edges_width": sum(width[v] for _, v in inner),
        "no_vertices": int(not vertices),
        "truncations": sum(wide[0][u] > wide[0][v] for u, v in inner),
        "projections_width": sum(matrix[0, v] * width[v] for v in vertices),
    }
    for op in (*OPERATORS, "vertices"):
        own = [v for v in vertices if op in (ops[v], "vertices")]
        every = {
            "": len(own),
            "_projected": sum(matrix[0, v] for v in own),
            "_concatenated": sum(matrix[v, -1] for v in own),
            "_additions": sum(into[v] for v in own),
            "_unaligned": sum(wide[0][v] % 8 > 0 for v in own),
            "_width": sum(width[v] for v in own),
            "_additions_width": sum(into[v] * width[v] for v in own),
            "_reuses_width": sum(out_of[v] * width[v] for v in own),
            "_output_width": sum(matrix[v, -1] * width[v] for v in own),
            "_width_squared": sum(width[v] ** 2 for v in own),
        }
        out |= {f"{op}{end}": number for end, number in every.items()}
    for end in ("concatenated", "additions_width", "reuses_width"):
        out[end] = out[f"vertices_{end}"]
    out["projections"] = out["vertices_projected"]
    for triple in CHANNELS:
        own = [v for v in vertices if tuple(stack[v] for stack in wide) == triple]
        at = "at_{}_{}_{}".format(*triple)
        out[f"additions_{at}"] = sum(into[v] for v in own)
        out[f"projections_{at}"] = sum(matrix[0, v] for v in own)
        for op in OPERATORS:
            out[f"{op}_{at}"] = sum(ops[v] == op for v in own)
    tiled, tiled_3x3, below = 0, 0, 128
    for (output, side), own in zip(network.STACKS, wide, strict=True):
        adds = {"conv3x3": 0, "conv1x1": 0, "projection": matrix[0, -1] * output}
        for v in vertices:
            taps = {"conv3x3": 9, "conv1x1": 1}.get(ops[v], 0)
            if taps:
                adds[ops[v]] += 3 * taps * own[v] ** 2
            adds["projection"] += matrix[0, v] * own[v]
            c32, c64 = (int(np.ceil(own[v] / tile)) * tile for tile in (32, 64))
            tiled += side**2 * (3 * taps * c32**2 + matrix[0, v] * c32 * (below + 2 * output))
            tiled_3x3 += side**2 * 3 * (taps == 9) * 9 * c64**2
        adds["projection"] *= below + 2 * output
        for layers, number in adds.items():
            out[f"{layers}_multiply_adds_{side}"] = side**2 * number * 1e-9
        tiled += side**2 * matrix[0, -1] * output * (below + 2 * output)
        below = output
    out["multiply_adds_tile_32"] = tiled * 1e-9
    out["conv3x3_multiply_adds_tile_64"] = tiled_3x3 * 1e-9
    return out


@settings(max_examples=100, deadline=None)
@given(row=st.integers(0, len(Space(7)) - 1))
@example(row=0)  # one edge
@example(row=1)
def test_every_column_equals_loops_over_one_cell(row: int) -> None:
    cell = Cell.from_row(row)
    matrix = np.asarray(cell.matrix).astype(int)
    ops = [SHORT.get(op, op) for op in cell.ops]
    topology = topologies().row_topology[row]
    wide = [[0, *network.channels(w)[topology].tolist()] for w, _ in network.STACKS]
    wanted = along_paths(matrix, ops, [c / 128 for c in wide[0]])
    wanted |= over_vertices(matrix, ops, wide)
    stem_and_dense = 27 * 128 * 1024 + 5120
    wanted["multiply_adds"] = (network.multiply_adds(row)[0] - stem_and_dense) * 1e-9
    traffic = sum(wanted[f"{name}_width"] for name in ("vertices", "projections", "additions"))
    logarithms = {
        "multiply_adds": 0.05 + wanted["multiply_adds"],
        "multiply_adds_tile_32": 0.05 + wanted["multiply_adds_tile_32"],
        "vertices_width": 0.2 + wanted["vertices_width"],
        "conv3x3_multiply_adds": 0.1 + sum(wanted[f"conv3x3_multiply_adds_{s}"] for s in SIDES),
        "conv3x3_width": 0.2 + wanted["conv3x3_width"],
        "traffic": 0.3 + traffic + wanted["skip"],
        "parameters": 0.3 + network.parameters(row)[0] / 1e6,
    }
    wanted |= {f"log_{name}": np.log(number) for name, number in logarithms.items()}
    found = dict(zip(NAMES, features([row])[0].tolist(), strict=True))
    assert found == pytest.approx({name: wanted[name] for name in NAMES}, rel=1e-6, abs=1e-6)
