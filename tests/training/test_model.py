"""The network, other implementations of it, its initial weights, and the optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from naslib_ecnas import Cell, Space
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.network import parameters

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from naslib_ecnas.training.model import Network, RMSProp, build
from naslib_ecnas.training.recipe import RECIPES

CELL = Cell("010001000:input,conv3x3-bn-relu,output")
RECIPE = RECIPES["nasbench101"]
SKIP = Cell([[0, 1], [0, 0]], ["input", "output"])
POOL = Cell("011001000:input,maxpool3x3,output")


def test_parameters_agree_with_the_benchmark_and_a_count_by_hand() -> None:
    """Half of the cells of up to 4 vertices, 15 of those of 5, 6 and 7 each."""
    rng, sizes = np.random.default_rng(0), [len(Space(v)) for v in (4, 5, 6, 7)]
    rows = list(range(0, sizes[0], 2))
    for low, high in pairwise(sizes):
        rows += rng.integers(low, high, 15).tolist()
    with torch.device("meta"):
        networks = [Network(cell) for cell in (SKIP, *map(Cell.from_row, rows))]
    smallest, *built = (sum(p.numel() for p in network.parameters()) for network in networks)
    assert built == parameters(rows).tolist()
    # By hand for the smallest network: stem, nine projections, dense.
    stem = 27 * 128 + 256
    stacks = [(128, 128), (128, 256), (256, 512)]
    cells = sum(a * b + 2 * b + 2 * (b * b + 2 * b) for a, b in stacks)
    assert smallest == stem + cells + 512 * 10 + 10


def test_pools_pad_as_tensorflow_does() -> None:
    """Negative values: a padding with zeros would win every maximum at the border."""
    network = Network(POOL)
    inner = network.stacks[0][0].operations[0]
    beyond = {"mode": "constant", "cval": -np.inf}
    for shape in ((2, 3, 8, 8), (1, 2, 5, 7), (1, 1, 1, 1)):
        x = -1 - np.random.default_rng(0).random(shape).astype(np.float32)
        wanted = maximum_filter(x, (1, 1, 3, 3), **beyond)
        np.testing.assert_array_equal(inner(torch.from_numpy(x)).numpy(), wanted)
        # Of even size: the pixel itself and those behind it.
        pairs = maximum_filter(x, (1, 1, 2, 2), origin=(0, 0, -1, -1), **beyond)
        halved = network.downsample(torch.from_numpy(x)).numpy()
        np.testing.assert_array_equal(halved, pairs[:, :, ::2, ::2])


def test_the_output_equals_nasbench_pytorch_s() -> None:
    """Two implementations with one set of weights, in inference: padding, cuts, sums, shapes."""
    other = pytest.importorskip("nasbench_pytorch.model", reason="nasbench_pytorch is not there")
    rng = np.random.default_rng(3)
    # Three vertices share 128 channels: edges to the last, of 42, cut one channel.
    uneven = Cell("0111000011000110000100000:input,maxpool3x3,maxpool3x3,maxpool3x3,output")
    rows = [0, 3, *rng.integers(0, len(Space(7)), 4).tolist()]
    for cell in (uneven, *map(Cell.from_row, rows)):
        network = Network(cell)
        with torch.no_grad():
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.from_numpy(rng.uniform(0.01, 0.1, tensor.shape)))
        theirs = other.Network((cell.matrix.astype(int), list(cell.ops)))
        pairs = [(network.dense, theirs.classifier)]
        layers = iter(theirs.layers)
        pairs.append((network.stem, next(layers).conv_bn_relu))
        for place, stack in enumerate(network.stacks):
            if place:
                next(layers)
            for module in stack:
                layer = next(layers)
                for vertex, operation in enumerate(module.operations, start=1):
                    if not isinstance(operation, nn.MaxPool2d):
                        name = cell.ops[vertex].split("-")[0]
                        other_op = getattr(layer.vertex_op[vertex], name)
                        pairs.append((operation, other_op.conv_bn_relu))
                for vertex, projection in module.projections.items():
                    pairs.append((projection, layer.input_op[int(vertex)].conv_bn_relu))
        for ours, their in pairs:
            their.load_state_dict(ours.state_dict())
        x = torch.rand(2, 3, 8, 8)
        with torch.no_grad():
            expected = theirs.eval()(x)
            found = network.eval()(x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


# -- initial weights ------------------------------------------------------------------------


def test_convolutions_are_cut_normals_of_variance_one_over_fan_in() -> None:
    network = build(CELL, RECIPE, seed=0)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 19
    for layer in layers:
        weight = layer.weight.detach().double().flatten()
        wanted = 1 / math.sqrt(layer.weight[0].numel())
        n = len(weight)
        assert abs(weight.std().item() / wanted - 1) < 5 / math.sqrt(n)
        assert abs(weight.mean().item()) < 5 * wanted / math.sqrt(n)
        # Cut at two deviations of the normal before the cut, whose deviation is 0.87962... of it.
        assert weight.abs().max().item() <= 2 * wanted / 0.87962566 * (1 + 1e-5)
    # 68.27 % / 95.45 % of a cut normal lie within one deviation of the uncut one.
    layer = network.stacks[2][2].operations[0][0]
    deviation = 1 / math.sqrt(layer.weight[0].numel()) / 0.87962566
    within = (layer.weight.abs() < deviation).double().mean().item()
    assert abs(within - math.erf(math.sqrt(0.5)) / math.erf(math.sqrt(2))) < 2e-3


def test_dense_is_glorot_uniform_and_normalisation_starts_at_one_and_zero() -> None:
    network = build(CELL, replace(RECIPE, batch_norm_momentum=0.1, batch_norm_epsilon=1e-3), seed=0)
    bound = math.sqrt(6 / (512 + 10))
    weight = network.dense.weight
    assert bound * 0.99 < weight.abs().max().item() <= bound
    assert abs(weight.double().var().item() / (bound * bound / 3) - 1) < 0.06
    assert not network.dense.bias.any()
    for seed in (0, 1):
        assert torch.equal(weight, build(CELL, RECIPE, seed=seed).dense.weight) == (seed == 0)
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):
            assert (m.momentum, m.eps) == (0.1, 1e-3)
            assert (m.weight == 1).all()
            assert not m.bias.any()
            assert not m.running_mean.any()
            assert (m.running_var == 1).all()
    norms = [m for m in Network(SKIP).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.003, 1e-5)}


# -- the optimiser --------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [0.0, 1e-2])
@pytest.mark.parametrize(("decay", "momentum", "epsilon"), [(0.9, 0.9, 1.0), (0.5, 0.0, 1e-3)])
def test_rmsprop_against_its_equations(
    l2: float, decay: float, momentum: float, epsilon: float
) -> None:
    """The state goes through a `state_dict` after every step."""
    rng, rates = np.random.default_rng(0), [0.0, 0.2, 0.19, 0.15, 0.02]
    shapes = [(3, 4), (5,), (2, 3, 2, 2)]
    start, *gradients = ([rng.normal(size=shape) for shape in shapes] for _ in range(6))
    params = [nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    optimiser = RMSProp(params, lr=0.0, l2=l2, decay=decay, momentum=momentum, epsilon=epsilon)
    for rate, grads in zip(rates, gradients, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.from_numpy(g.copy())
        optimiser.step()
        state, optimiser = optimiser.state_dict(), RMSProp(params, lr=9.0)
        optimiser.load_state_dict(state)
    for k, w in enumerate(start):
        square, moment = np.ones_like(w), np.zeros_like(w)
        for rate, grads in zip(rates, gradients, strict=True):
            g = grads[k] + l2 * w
            square = decay * square + (1 - decay) * g**2
            moment = momentum * moment + rate * g / np.sqrt(square + epsilon)
            w = w - moment
        np.testing.assert_allclose(params[k].detach().numpy(), w, rtol=1e-12)


def test_gradients_are_left_parameters_without_one_stay_and_a_closure_gives_the_loss() -> None:
    p, idle = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def closure() -> torch.Tensor:
        p.grad = None
        loss = (p**2).sum()
        loss.backward()
        return loss

    groups = [{"params": [p, idle]}, {"params": [nn.Parameter(torch.ones(3))]}]
    assert RMSProp(groups, lr=0.1, l2=0.1).step(closure).item() == 3.0
    assert torch.equal(p.grad, torch.full((3,), 2.0))
    assert torch.equal(idle.detach(), torch.ones(3))
    assert (p < 1).all()


def test_impossible_settings_and_sparse_gradients_are_refused() -> None:
    p = nn.Parameter(torch.ones(3))
    for name, value in (("lr", -1), ("decay", 1), ("epsilon", 0), ("l2", -1), ("momentum", 1)):
        with pytest.raises(ConfigError, match=f"{name} of RMSProp"):
            RMSProp([p], **{"lr": 0.1, name: value})
    p.grad = torch.ones(3).to_sparse()
    with pytest.raises(ConfigError, match="dense"):
        RMSProp([p], lr=0.1).step()


# -- a training in TensorFlow's numbers -----------------------------------------------------

#: All three operations, two vertices that meet, projections within and to the output.
MEETING = Cell("0111100010000110000100000:input,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,output")
#: What TensorFlow 2.21 gave in float64 for the same weights, batches and rates, by its own conv2d,
#: max_pool2d, moments, batch_normalization, l2_loss and RMSPropOptimizer: the losses, and sums of
#: the running statistics after a batch and of the ways that the weights went, by `_weighted`.
LOSSES = (2.3457156766694056, 2.4744922954963284, 3.0415445985435765,
          2.5727212275276665, 3.3053122531990207, 2.1050824544069515)  # fmt: skip
SUMS = {
    "running_mean": 3.466962822678398,
    "running_var": 106.10990783300852,
    "0.weight": 0.1724693772570173,
    "1.weight": -0.4055750613213874,
    "1.bias": 0.14439562802040085,
    "dense": 0.10406037955633499,
}


def _weighted(values: Iterable[Any]) -> float:
    """Sum of all entries of some arrays, each times a random number."""
    rng = np.random.default_rng(0)
    return sum(float((rng.normal(size=v.shape) * v).sum()) for v in values)


def test_six_steps_are_those_of_tensorflow() -> None:
    """At the first rates of a cosine, by a decay that TensorFlow's float32 represents."""
    rng, recipe = np.random.default_rng(4), replace(RECIPES["ecnas"], decay=0.875, momentum=0.875)
    network = Network(MEETING).double().train()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.from_numpy(rng.normal(0.1, 0.05, p.shape)))
    start = {name: p.detach().numpy().copy() for name, p in network.named_parameters()}
    settings = {name: getattr(recipe, name) for name in ("decay", "momentum", "epsilon", "l2")}
    optimiser, losses = RMSProp(network.parameters(), lr=0.0, **settings), []
    for step in range(len(LOSSES)):
        images, labels = rng.normal(size=(4, 3, 8, 8)), rng.integers(0, 10, 4)
        optimiser.param_groups[0]["lr"] = recipe.rate(step, 20)
        loss = cross_entropy(network(torch.from_numpy(images)), torch.from_numpy(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if step == 0:
            found = {name: v.numpy().copy() for name, v in network.named_buffers()}
    found |= {name: p.detach().numpy() - start[name] for name, p in network.named_parameters()}
    np.testing.assert_allclose(losses, LOSSES, rtol=1e-9)
    for part, expected in SUMS.items():
        values = [v for name, v in found.items() if name.startswith(part) or name.endswith(part)]
        assert _weighted(values) == pytest.approx(expected, rel=1e-9), part
