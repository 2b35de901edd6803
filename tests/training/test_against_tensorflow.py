"""The training step for step against TensorFlow's own operations, where it is installed.

The same weights, batches and rates go through both, in float64, so that what remains is rounding;
TensorFlow's graph is built from its own convolution, pooling, moments and RMSProp.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.cell import Cell

pytest.importorskip("torch", reason="torch is not installed")

import torch

from naslib_ecnas.training.model import CellModule, ConvBnRelu, Network, RMSProp, build
from naslib_ecnas.training.recipe import RECIPES

pytestmark = pytest.mark.slow
# 0.875 is exact in float32, through which TensorFlow takes these two.
RECIPE = replace(RECIPES["ecnas"], batch_size=4, decay=0.875, momentum=0.875)
RMSPROP = {name: getattr(RECIPE, name) for name in ("decay", "momentum", "epsilon")}
STEPS, SIDE = 6, 8
RATES = [RECIPE.rate(step, 20) for step in range(STEPS)]
#: All three operations, two vertices that meet, projections within and to the output.
CELL = Cell("0111100010000110000100000:input,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,output")


@pytest.fixture(scope="module")
def tf() -> Any:
    return pytest.importorskip("tensorflow", reason="tensorflow is not installed")


class Graph:
    """A network in TensorFlow, with the weights of one in torch."""

    def __init__(self, tf: Any, network: Network) -> None:
        self._tf = tf
        self.variables: dict[str, Any] = {}
        self._known = {id(p): name for name, p in network.named_parameters()}
        self.statistics: dict[str, tuple[Any, Any]] = {}

    def _variable(self, parameter: torch.Tensor, *turned: int) -> Any:
        value = self._tf.compat.v1.Variable(parameter.detach().numpy().transpose(turned))
        self.variables[self._known[id(parameter)]] = value
        return value

    def conv(self, module: ConvBnRelu, x: Any) -> Any:
        tf, (conv, norm, _) = self._tf, module
        # NHWC and HWIO, as TensorFlow has them on a CPU.
        x = tf.nn.conv2d(x, self._variable(conv.weight, 2, 3, 1, 0), 1, "SAME")
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        self.statistics[self._known[id(norm.weight)][: -len("weight")]] = mean, variance
        scale, shift = self._variable(norm.weight, 0), self._variable(norm.bias, 0)
        x = tf.nn.batch_normalization(x, mean, variance, shift, scale, norm.eps)
        return tf.nn.relu(x)

    def cell(self, module: CellModule, x: Any) -> Any:
        tf, values = self._tf, [x]
        for vertex, operation in enumerate(module.operations, start=1):
            width = module._widths[vertex]
            parts = [values[source][..., :width] for source in module._sources[vertex]]
            if str(vertex) in module.projections:
                parts.append(self.conv(module.projections[str(vertex)], x))
            total = tf.add_n(parts)
            values.append(
                self.conv(operation, total)
                if isinstance(operation, ConvBnRelu)
                else tf.nn.max_pool2d(total, 3, 1, "SAME")
            )
        out = tf.concat([values[source] for source in module._sources[-1]], axis=-1)
        key = str(len(values))
        return out + self.conv(module.projections[key], x) if key in module.projections else out

    def logits(self, network: Network, images: Any) -> Any:
        tf, x = self._tf, self.conv(network.stem, images)
        for place, stack in enumerate(network.stacks):
            if place:
                x = tf.nn.max_pool2d(x, 2, 2, "SAME")
            for module in stack:
                x = self.cell(module, x)
        x = tf.reduce_mean(x, [1, 2])
        dense = network.dense
        return tf.matmul(x, self._variable(dense.weight, 1, 0)) + self._variable(dense.bias, 0)


RNG = np.random.default_rng(4)
BATCHES = [
    (RNG.normal(size=(RECIPE.batch_size, 3, SIDE, SIDE)), RNG.integers(0, 10, 4))
    for _ in range(STEPS)
]


def _of_tensorflow(tf: Any, network: Network) -> tuple[list[float], dict[str, Any], dict[str, Any]]:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float64, (None, SIDE, SIDE, 3))
        labels, rate = v1.placeholder(tf.int64, (None,)), v1.placeholder(tf.float64, ())
        graph = Graph(tf, network)
        logits = graph.logits(network, images)
        entropy = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
        variables = list(graph.variables.values())
        loss = entropy + RECIPE.l2 * tf.add_n([tf.nn.l2_loss(v) for v in variables])
        move = v1.train.RMSPropOptimizer(rate, **RMSPROP).minimize(loss, var_list=variables)
        session.run(v1.global_variables_initializer())
        losses, first = [], {}
        for (x, y), number in zip(BATCHES, RATES, strict=True):
            feed = {images: x.transpose(0, 2, 3, 1), labels: y, rate: number}
            statistics, value, _ = session.run([graph.statistics, entropy, move], feed)
            first = first or statistics
            losses.append(float(value))
        turned = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
        weights = {
            name: value.transpose(turned[value.ndim])
            for name, value in session.run(graph.variables).items()
        }
    return losses, weights, first


def _of_torch(network: Network) -> tuple[list[float], dict[str, Any], dict[str, Any]]:
    optimiser = RMSProp(network.parameters(), lr=0.0, l2=RECIPE.l2, **RMSPROP)
    losses, first = [], {}
    network.train()
    for (x, y), number in zip(BATCHES, RATES, strict=True):
        optimiser.param_groups[0]["lr"] = number
        logits = network(torch.from_numpy(x))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        buffers = network.named_buffers()
        first = first or {k: v.numpy().copy() for k, v in buffers if "running" in k}
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    return losses, weights, first


def test_losses_and_weights_of_a_training(tf: Any) -> None:
    """Six steps at the first rates of the cosine: losses, every weight, running statistics."""
    network = build(CELL, RECIPE, seed=7).double()
    before = {name: p.detach().numpy().copy() for name, p in network.named_parameters()}
    their_losses, their_weights, batch = _of_tensorflow(tf, network)
    losses, weights, running = _of_torch(network)
    assert set(their_weights) == set(weights)
    np.testing.assert_allclose(losses, their_losses, rtol=1e-9)
    moved = 0.0
    for name, ours in weights.items():
        np.testing.assert_allclose(ours, their_weights[name], rtol=0, atol=1e-9, err_msg=name)
        moved = max(moved, float(np.abs(ours - before[name]).max()))
    assert moved > 1e-3  # or else nothing was compared
    # After one batch: 0.003 of its mean, and 0.997 of 1 + 0.003 of its variance over n - 1.
    assert len(batch) * 2 == len(running)
    for place, (mean, variance) in batch.items():
        side = {"0": SIDE, "1": SIDE // 2, "2": SIDE // 4}
        across = SIDE if place.startswith("stem") else side[place.split(".")[1]]
        n = RECIPE.batch_size * across**2
        np.testing.assert_allclose(running[f"{place}running_mean"], 0.003 * mean, atol=1e-12)
        np.testing.assert_allclose(
            running[f"{place}running_var"], 0.997 + 0.003 * variance * n / (n - 1), rtol=1e-9
        )
