"""Features: against the network's exact costs, closed forms and path enumeration."""

from __future__ import annotations

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


def columns(rows: object) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, features(rows).T.astype(float), strict=True))


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
    source, target = arrays.channels[0][:, :, None], arrays.channels[0][:, None, :]
    cut = arrays.inner & (source > target)
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


# -- against the network's exact costs -----------------------------------------------------------


def test_sums_are_those_of_the_network() -> None:
    found = columns(ROWS)
    stem_and_dense = 27 * 128 * 1024 + 5120
    exact = (network.multiply_adds(ROWS) - stem_and_dense) * 1e-9
    np.testing.assert_allclose(found["multiply_adds"], exact, rtol=1e-6)
    np.testing.assert_allclose(found["log_multiply_adds"], np.log(exact + 0.05), atol=1e-5)
    log = np.log(network.parameters(ROWS) / 1e6 + 0.3)
    np.testing.assert_allclose(found["log_parameters"], log, atol=1e-6)
    convolutions = np.sum([found[f"conv3x3_multiply_adds_{side}"] for side in SIDES], axis=0)
    log = np.log(convolutions + 0.1)
    np.testing.assert_allclose(found["log_conv3x3_multiply_adds"], log, atol=1e-5)


# -- against enumeration of paths ----------------------------------------------------------------


def _paths(matrix: np.ndarray, start: int = 0) -> list[list[int]]:
    """Interior vertices of every path from `start` to the output."""
    last = len(matrix) - 1
    if start == last:
        return [[]]
    return [
        ([v] if v != last else []) + rest
        for v in np.flatnonzero(matrix[start]).tolist()
        for rest in _paths(matrix, v)
    ]


@settings(max_examples=40, deadline=None)
@given(row=st.integers(0, len(Space(7)) - 1))
@example(row=0)  # one edge
def test_paths_equal_enumeration(row: int) -> None:
    cell = Cell.from_row(row)
    x = {k: v[0] for k, v in columns([row]).items()}
    ops = [SHORT.get(op, op) for op in cell.ops]
    matrix = np.asarray(cell.matrix)
    paths = _paths(matrix)
    wide = network.channels(128)[topologies().row_topology[cell.row]] / 128
    assert x["paths"] == len(paths)
    assert x["log_paths"] == pytest.approx(np.log(len(paths)), rel=1e-6)
    kinds = {op: {op: 1} for op in OPERATORS} | {"vertex": dict.fromkeys(OPERATORS, 1)}
    kinds |= {"convolution": {"conv3x3": 1, "conv1x1": 1}, "reach": {"conv3x3": 2, "maxpool3x3": 2}}
    for kind, weight in kinds.items():
        costs = [sum(weight.get(ops[v], 0) for v in path) for path in paths]
        most = {"conv3x3": "longest_conv3x3", "vertex": "longest_vertices"}
        assert x[most.get(kind, f"path_{kind}_most")] == max(costs)
        assert x[f"path_{kind}_least"] == min(costs)
        assert x[f"path_{kind}_mean"] == pytest.approx(np.mean(costs), rel=1e-6)
        assert x["skip" if kind == "vertex" else f"path_{kind}_without"] == costs.count(0)
    taps = {"conv3x3": 9, "conv1x1": 1}
    assert x["longest_width"] == pytest.approx(max(sum(wide[v - 1] for v in p) for p in paths))
    work = [sum(taps.get(ops[v], 0) * wide[v - 1] ** 2 for v in p) for p in paths]
    assert x["longest_work"] == pytest.approx(max(work), rel=1e-5)

    inner = range(1, len(ops) - 1)
    ends = {
        "input": {v: [p.index(v) + 1 for p in paths if v in p] for v in inner},
        "output": {v: [len(p) - p.index(v) for p in paths if v in p] for v in inner},
    }
    for end, lengths in ends.items():
        for name, pick in (("nearest", min), ("farthest", max)):
            for op in OPERATORS:
                found = [pick(lengths[v]) for v in lengths if ops[v] == op]
                assert x[f"{op}_{name}_{end}_sum"] == sum(found)
                assert x[f"{op}_{name}_{end}_most"] == max(found, default=0)

    walk = [(a, b) for a in range(len(ops)) for b in range(len(ops)) if matrix[a, b]]
    for a in OPERATORS:
        direct = [ops[v] == a and matrix[0, v] and matrix[v, -1] for v in inner]
        assert x[f"input_{a}_output"] == sum(direct)
        for b in OPERATORS:
            pairs = [(u, v) for u, v in walk if (ops[u], ops[v]) == (a, b)]
            assert x[f"{a}_{b}"] == len(pairs)
            assert x[f"input_{a}_{b}"] == sum(matrix[0, u] for u, _ in pairs)
            assert x[f"{a}_{b}_output"] == sum(matrix[v, -1] for _, v in pairs)
            for c in OPERATORS:
                triples = [w for _, v in pairs for u, w in walk if u == v and ops[w] == c]
                assert x[f"{a}_{b}_{c}"] == len(triples)


# -- against sums over the vertices of one cell --------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(row=st.integers(0, len(Space(7)) - 1))
@example(row=0)
@example(row=1)
def test_counts_and_widths_equal_sums_over_vertices(row: int) -> None:
    cell = Cell.from_row(row)
    x = {k: v[0] for k, v in columns([row]).items()}
    matrix = np.asarray(cell.matrix).astype(int)
    vertices = range(1, len(matrix) - 1)
    topology = topologies().row_topology[row]
    wide = [[0, *network.channels(w)[topology]] for w, _ in network.STACKS]
    width = [c / 128 for c in wide[0]]
    into, out_of = matrix.sum(axis=0) - 1, matrix.sum(axis=1) - 1
    for op in OPERATORS:
        own = [v for v in vertices if SHORT[cell.ops[v]] == op]
        expected = {
            op: len(own),
            f"{op}_projected": sum(matrix[0, v] for v in own),
            f"{op}_concatenated": sum(matrix[v, -1] for v in own),
            f"{op}_additions": sum(into[v] for v in own),
            f"{op}_unaligned": sum(wide[0][v] % 8 > 0 for v in own),
            f"{op}_width": sum(width[v] for v in own),
            f"{op}_additions_width": sum(into[v] * width[v] for v in own),
            f"{op}_reuses_width": sum(out_of[v] * width[v] for v in own),
            f"{op}_output_width": sum(matrix[v, -1] * width[v] for v in own),
        }
        assert {k: x[k] for k in expected} == pytest.approx(expected, rel=1e-6)
    pools = sum(width[v] ** 2 for v in vertices if SHORT[cell.ops[v]] == "maxpool3x3")
    assert x["maxpool3x3_width_squared"] == pytest.approx(pools, rel=1e-6)
    inner = [(u, v) for u in vertices for v in vertices if matrix[u, v]]
    assert x["edges_width"] == pytest.approx(sum(width[v] for _, v in inner), rel=1e-6)
    assert (x["skip"], x["no_vertices"]) == (matrix[0, -1], not len(vertices))
    assert x["truncations"] == sum(wide[0][u] > wide[0][v] for u, v in inner)
    traffic = sum((1 + matrix[0, v] + into[v]) * width[v] for v in vertices) + matrix[0, -1]
    assert x["log_traffic"] == pytest.approx(np.log(0.3 + traffic), abs=1e-5)
    total = sum(width[v] for v in vertices)
    assert x["log_vertices_width"] == pytest.approx(np.log(0.2 + total), abs=1e-5)
    assert x["log_conv3x3_width"] == pytest.approx(np.log(0.2 + x["conv3x3_width"]), abs=1e-5)

    kind = {v: SHORT[cell.ops[v]] for v in vertices}
    for triple in CHANNELS:
        own = [v for v in vertices if tuple(stack[v] for stack in wide) == triple]
        at = "at_{}_{}_{}".format(*triple)
        assert x[f"additions_{at}"] == sum(into[v] for v in own)
        assert x[f"projections_{at}"] == sum(matrix[0, v] for v in own)
        for op in OPERATORS:
            assert x[f"{op}_{at}"] == sum(kind[v] == op for v in own)
    tiled, tiled_3x3, below = 0, 0, 128
    for (output, side), own in zip(network.STACKS, wide, strict=True):
        adds = {"conv3x3": 0, "conv1x1": 0, "projection": matrix[0, -1] * output}
        for v in vertices:
            taps = {"conv3x3": 9, "conv1x1": 1}.get(kind[v], 0)
            if taps:
                adds[kind[v]] += 3 * taps * own[v] ** 2
            adds["projection"] += matrix[0, v] * own[v]
            c32, c64 = (int(np.ceil(own[v] / tile)) * tile for tile in (32, 64))
            tiled += side**2 * (3 * taps * c32**2 + matrix[0, v] * c32 * (below + 2 * output))
            tiled_3x3 += side**2 * 3 * (taps == 9) * 9 * c64**2
        adds["projection"] *= below + 2 * output
        for layers, number in adds.items():
            wanted = pytest.approx(side**2 * number * 1e-9, rel=1e-6)
            assert x[f"{layers}_multiply_adds_{side}"] == wanted
        tiled += side**2 * matrix[0, -1] * output * (below + 2 * output)
        below = output
    assert x["multiply_adds_tile_32"] == pytest.approx(tiled * 1e-9, rel=1e-6)
    assert x["conv3x3_multiply_adds_tile_64"] == pytest.approx(tiled_3x3 * 1e-9, rel=1e-6)
    log = np.log(0.05 + x["multiply_adds_tile_32"])
    assert x["log_multiply_adds_tile_32"] == pytest.approx(log, abs=1e-5)
