"""Initial weights as TensorFlow draws them for NAS-Bench-101's network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from naslib_ecnas.cell import Cell
from naslib_ecnas.training.model import Network
from naslib_ecnas.training.recipe import Recipe

__all__ = ["build", "initialise"]

# Density and probability of a standard normal within two deviations, where TensorFlow cuts it.
_CUT = 2.0
_WITHIN = math.erf(_CUT / math.sqrt(2))
_SHRINK = math.sqrt(1 - 2 * _CUT * math.exp(-_CUT * _CUT / 2) / math.sqrt(2 * math.pi) / _WITHIN)


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights anew and reset the running statistics, in the order of the modules.

    Convolutions: `tf.variance_scaling_initializer()`, a normal of variance 1 / fan-in after it is
    cut at two deviations (TensorFlow 1.11 and later; earlier ones did not make up for the cut).
    Dense: `tf.layers.dense`'s Glorot uniform, bias 0. Batch normalisation: scale 1, shift 0.

    Args:
        network: on the CPU.
        generator: of the CPU; torch's global one is not touched.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            _cut_normal(module.weight, module.weight[0].numel(), generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.weight.fill_(1)
            module.bias.fill_(0)
        elif isinstance(module, nn.Linear):
            bound = math.sqrt(6 / (module.in_features + module.out_features))
            module.weight.uniform_(-bound, bound, generator=generator)
            module.bias.fill_(0)


def _cut_normal(weight: Tensor, fan_in: int, generator: torch.Generator) -> None:
    """Fill by inverting the distribution function, which needs no redrawing."""
    deviation = math.sqrt(1 / fan_in) / _SHRINK
    weight.uniform_(-_WITHIN, _WITHIN, generator=generator)
    weight.erfinv_().mul_(deviation * math.sqrt(2))
    weight.clamp_(-_CUT * deviation, _CUT * deviation)


def build(cell: Cell, recipe: Recipe, *, seed: int) -> Network:
    """The initialised network of a cell, on the CPU; the same for the same seed."""
    # torch's layers draw from its global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network = Network(
            cell,
            batch_norm_momentum=recipe.batch_norm_momentum,
            batch_norm_epsilon=recipe.batch_norm_epsilon,
        )
    initialise(network, torch.Generator().manual_seed(seed))
    return network
