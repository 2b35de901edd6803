"""Initial weights: TensorFlow's distributions, by the seed alone."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import nn

from naslib_ecnas import Cell
from naslib_ecnas.training.model import build
from naslib_ecnas.training.recipe import RECIPES

CELL = Cell("010001000:input,conv3x3-bn-relu,output")
RECIPE = RECIPES["nasbench101"]


def test_convolutions_are_cut_normals_of_variance_one_over_fan_in() -> None:
    layers = [m for m in build(CELL, RECIPE, seed=0).modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 19
    for layer in layers:
        weight = layer.weight.detach().double().flatten()
        wanted = 1 / math.sqrt(layer.weight[0].numel())
        n = len(weight)
        assert abs(weight.std().item() / wanted - 1) < 5 / math.sqrt(n)
        assert abs(weight.mean().item()) < 5 * wanted / math.sqrt(n)
        # Cut at two deviations of the normal before the cut, whose deviation is 0.87962... of it.
        assert weight.abs().max().item() <= 2 * wanted / 0.87962566 * (1 + 1e-5)


def test_the_shape_is_that_of_a_normal() -> None:
    """68.27 % / 95.45 % of a cut normal lie within one deviation of the uncut one."""
    network = build(CELL, RECIPE, seed=1)
    layer = network.stacks[2][2].operations[0][0]
    deviation = 1 / math.sqrt(layer.weight[0].numel()) / 0.87962566
    within = (layer.weight.abs() < deviation).double().mean().item()
    assert abs(within - math.erf(math.sqrt(0.5)) / math.erf(math.sqrt(2))) < 2e-3


def test_dense_is_glorot_uniform_without_bias() -> None:
    dense = build(CELL, RECIPE, seed=0).dense
    bound = math.sqrt(6 / (512 + 10))
    assert bound * 0.99 < dense.weight.abs().max().item() <= bound
    assert abs(dense.weight.double().var().item() / (bound * bound / 3) - 1) < 0.06
    assert not dense.bias.any()


def test_normalisation_starts_at_one_and_zero() -> None:
    recipe = replace(RECIPE, batch_norm_momentum=0.1, batch_norm_epsilon=1e-3)
    for m in build(CELL, recipe, seed=0).modules():
        if isinstance(m, nn.BatchNorm2d):
            assert (m.momentum, m.eps) == (0.1, 1e-3)
            assert (m.weight == 1).all()
            assert not m.bias.any()
            assert not m.running_mean.any()
            assert (m.running_var == 1).all()


def test_the_seed_alone_decides() -> None:
    torch.manual_seed(5)
    first = build(CELL, RECIPE, seed=3).state_dict()
    after = torch.rand(1)
    torch.manual_seed(6)
    again = build(CELL, RECIPE, seed=3).state_dict()
    other = build(CELL, RECIPE, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["dense.weight"], other["dense.weight"])
    # torch's global generator is as it was.
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
