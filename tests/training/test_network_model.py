"""The network: parameters, channels, paddings, and its output against another implementation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from naslib_ecnas import Cell, Space
from naslib_ecnas.network import parameters
from naslib_ecnas.training.model import CellModule, Network

SKIP = Cell([[0, 1], [0, 0]], ["input", "output"])
POOL = Cell("011001000:input,maxpool3x3,output")


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _rows() -> list[int]:
    """All cells of up to 4 vertices, 30 of those of 5, 6 and 7 each."""
    rng = np.random.default_rng(0)
    sizes = [len(Space(v)) for v in (4, 5, 6, 7)]
    rows = list(range(sizes[0]))
    for low, high in pairwise(sizes):
        rows += rng.integers(low, high, 30).tolist()
    return rows


def test_parameters_are_those_of_the_benchmark() -> None:
    rows = _rows()
    with torch.device("meta"):
        built = [_count(Network(Cell.from_row(row))) for row in rows]
    assert built == parameters(rows).tolist()


def test_parameters_of_a_known_cell() -> None:
    """By hand for the smallest network: stem, nine projections, dense."""
    stem = 27 * 128 + 256
    stacks = [(128, 128), (128, 256), (256, 512)]
    cells = sum(a * b + 2 * b + 2 * (b * b + 2 * b) for a, b in stacks)
    with torch.device("meta"):
        assert _count(Network(SKIP)) == stem + cells + 512 * 10 + 10


@pytest.mark.parametrize("row", [0, 1, 5, 40, 90])
def test_logits_for_small_cells(row: int) -> None:
    network = Network(Cell.from_row(row)).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, 16, 16)).shape == (2, 10)


def test_sides_and_channels_between_the_stacks() -> None:
    network = Network(SKIP).eval()
    shapes: list[tuple[int, ...]] = []
    for stack in network.stacks:
        stack.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    with torch.no_grad():
        network(torch.randn(1, 3, 32, 32))
    assert shapes == [(1, 128, 32, 32), (1, 256, 16, 16), (1, 512, 8, 8)]


def test_batch_normalisation_has_tensorflow_numbers() -> None:
    norms = [m for m in Network(SKIP).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 10
    assert {(m.momentum, m.eps) for m in norms} == {(0.003, 1e-5)}


def _same_pool(x: np.ndarray[Any, Any], side: int, stride: int) -> np.ndarray[Any, Any]:
    """TensorFlow's "same" max-pool by loops: what lies outside is not looked at."""
    n, c, h, w = x.shape
    out_h, out_w = -(-h // stride), -(-w // stride)
    pad_h = max((out_h - 1) * stride + side - h, 0) // 2
    pad_w = max((out_w - 1) * stride + side - w, 0) // 2
    out = np.empty((n, c, out_h, out_w), x.dtype)
    for i in range(out_h):
        for j in range(out_w):
            top, left = i * stride - pad_h, j * stride - pad_w
            rows = slice(max(top, 0), min(top + side, h))
            columns = slice(max(left, 0), min(left + side, w))
            out[:, :, i, j] = x[:, :, rows, columns].max(axis=(2, 3))
    return out


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 2, 5, 7), (1, 1, 1, 1)])
def test_pools_pad_as_tensorflow_does(shape: tuple[int, ...]) -> None:
    """Negative values: a padding with zeros would win every maximum at the border."""
    x = -1 - np.random.default_rng(0).random(shape).astype(np.float32)
    network = Network(POOL)
    inner = network.stacks[0][0].operations[0]
    np.testing.assert_array_equal(inner(torch.from_numpy(x)).numpy(), _same_pool(x, 3, 1))
    halved = network.downsample(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(halved, _same_pool(x, 2, 2))


def test_convolutions_pad_with_zeros_on_both_sides() -> None:
    cell = Cell("011001000:input,conv3x3-bn-relu,output")
    convolution = CellModule(cell, 1, 1, momentum=0.003, epsilon=1e-5).operations[0][0]
    with torch.no_grad():
        convolution.weight.fill_(1)
        out = convolution(torch.ones(1, 1, 3, 3))
    assert out[0, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_what_arrives_is_added_and_cut() -> None:
    """Three vertices share 128 channels as 43, 43, 42: edges to the last cut one channel."""
    matrix = np.zeros((5, 5), int)
    matrix[0, 1:4] = 1
    matrix[1:4, 4] = 1
    matrix[1:3, 3] = 1
    cell = Cell(matrix, ["input", *["maxpool3x3"] * 3, "output"])
    assert cell.matrix[1:3, 3].all()
    module = CellModule(cell, 128, 128, momentum=0.003, epsilon=1e-5).eval()
    x = torch.randn(1, 128, 4, 4)
    with torch.no_grad():
        out = module(x)
        pool = nn.MaxPool2d(3, 1, 1)
        edges = cell.matrix
        parts: list[torch.Tensor] = []
        widths = [43, 43, 42]
        for vertex in (1, 2, 3):
            total = module.projections[str(vertex)](x)
            for source in range(1, vertex):
                if edges[source, vertex]:
                    total = total + parts[source - 1][:, : widths[vertex - 1]]
            parts.append(pool(total))
    assert [part.shape[1] for part in parts] == widths
    torch.testing.assert_close(out, torch.cat(parts, dim=1))


def test_an_edge_to_the_output_adds_a_projection() -> None:
    cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"])
    module = CellModule(cell, 8, 128, momentum=0.003, epsilon=1e-5).eval()
    x = torch.randn(2, 8, 4, 4)
    with torch.no_grad():
        pooled = nn.functional.max_pool2d(module.projections["1"](x), 3, 1, 1)
        torch.testing.assert_close(module(x), pooled + module.projections["2"](x))


def _copied(ours: nn.Module, theirs: nn.Module) -> None:
    theirs.load_state_dict(ours.state_dict())


def test_the_output_is_that_of_nasbench_pytorch() -> None:
    """Two implementations with one set of weights, in inference."""
    other = pytest.importorskip("nasbench_pytorch.model")
    rng = np.random.default_rng(3)
    size = len(Space(7))
    for row in [0, 3, *rng.integers(0, size, 4).tolist()]:
        cell = Cell.from_row(row)
        network = Network(cell)
        with torch.no_grad():
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.from_numpy(rng.uniform(0.01, 0.1, tensor.shape)))
        theirs = other.Network((cell.matrix.astype(int), list(cell.ops)))
        layers = iter(theirs.layers)
        _copied(network.stem, next(layers).conv_bn_relu)
        for place, stack in enumerate(network.stacks):
            if place:
                next(layers)
            for module in stack:
                layer = next(layers)
                for vertex, operation in enumerate(module.operations, start=1):
                    if not isinstance(operation, nn.MaxPool2d):
                        name = "conv3x3" if "3x3" in cell.ops[vertex] else "conv1x1"
                        _copied(operation, getattr(layer.vertex_op[vertex], name).conv_bn_relu)
                for vertex, projection in module.projections.items():
                    _copied(projection, layer.input_op[int(vertex)].conv_bn_relu)
        _copied(network.dense, theirs.classifier)
        x = torch.rand(2, 3, 8, 8)
        with torch.no_grad():
            expected = theirs.eval()(x)
            found = network.eval()(x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
