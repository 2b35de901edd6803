"""NAS-Bench-101's CIFAR-10 network of a cell as a torch module, and its optimiser.

Ying et al. 2019, figure 1; `model_builder.py` and `base_ops.py` of google-research/nasbench. The
channel rules are those of `naslib_ecnas.network`, which counts what is built here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache, reduce
from typing import Any

import torch
from torch import Tensor, nn

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, check_numbers
from naslib_ecnas.network import STACKS, channels
from naslib_ecnas.topologies import topologies
from naslib_ecnas.training.recipe import Recipe

_STEM_CHANNELS, _CLASSES, _CELLS = 128, 10, 3
_KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}

_channels = cache(channels)


class ConvBnRelu(nn.Sequential):
    """A square convolution without bias, batch normalisation and ReLU; sides are kept.

    With stride 1 and an odd kernel, TensorFlow's "same" is the same padding on both sides.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, **norm: Any) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs, **norm), nn.ReLU(inplace=True))


class CellModule(nn.Module):
    """One cell between `inputs` and `outputs` channels.

    An interior vertex adds up its predecessors: other interior vertices, cut to its channels, and
    a projection of the input. The output concatenates its interior predecessors and adds a
    projection of the input if there is an edge from it. `norm` are settings of `nn.BatchNorm2d`.
    """

    def __init__(self, cell: Cell, inputs: int, outputs: int, **norm: Any) -> None:
        super().__init__()
        matrix = cell.matrix.tolist()
        last = cell.vertices - 1
        topology = topologies().row_topology[cell.row]
        self._widths = [inputs, *_channels(outputs)[topology].tolist()[: last - 1], outputs]
        self._sources = [[s for s in range(1, t) if matrix[s][t]] for t in range(last + 1)]

        self.operations = nn.ModuleList()
        self.projections = nn.ModuleDict()
        for vertex, width in enumerate(self._widths):
            kernel = _KERNELS.get(cell.ops[vertex])
            pool = nn.MaxPool2d(3, stride=1, padding=1)
            if 0 < vertex < last:
                self.operations.append(ConvBnRelu(width, width, kernel, **norm) if kernel else pool)
            if matrix[0][vertex]:
                self.projections[str(vertex)] = ConvBnRelu(inputs, width, 1, **norm)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        values = [x]
        for vertex, operation in enumerate(self.operations, start=1):
            width = self._widths[vertex]
            arriving = [values[source][:, :width] for source in self._sources[vertex]]
            values.append(operation(self._sum(arriving, vertex, x)))
        joined = [values[source] for source in self._sources[-1]]
        if len(joined) > 1:
            joined = [torch.cat(joined, dim=1)]
        return self._sum(joined, len(values), x)

    def _sum(self, parts: list[Tensor], vertex: int, x: Tensor) -> Tensor:
        """Sum of the parts and, with an edge from the input, its projection to the vertex."""
        if str(vertex) in self.projections:
            parts = [*parts, self.projections[str(vertex)](x)]
        return reduce(torch.add, parts)


class Network(nn.Module):
    """The network of a cell: stem, three stacks of three cells, global average pool, dense.

    Built on torch's default device with torch's own initial values; `initialise` gives it
    NAS-Bench-101's. Trainable parameters equal `naslib_ecnas.network.parameters(cell.row)`. The
    settings of the normalisation are those of `Recipe`.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        batch_norm_momentum: float = 0.003,
        batch_norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        norm = {"momentum": batch_norm_momentum, "eps": batch_norm_epsilon}
        self.stem: ConvBnRelu = ConvBnRelu(3, _STEM_CHANNELS, 3, **norm)
        self.stacks: nn.ModuleList = nn.ModuleList()
        before = _STEM_CHANNELS
        for width, _ in STACKS:
            inputs = [before] + [width] * (_CELLS - 1)
            self.stacks.append(nn.Sequential(*(CellModule(cell, n, width, **norm) for n in inputs)))
            before = width
        # TensorFlow's "same" pads behind the last pixel of odd sides, which ceil_mode does too.
        self.downsample: nn.MaxPool2d = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.dense: nn.Linear = nn.Linear(before, _CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) standardised images to (n, 10) logits."""
        x = self.stem(images)
        for place, stack in enumerate(self.stacks):
            if place:
                x = self.downsample(x)
            x = stack(x)
        logits: Tensor = self.dense(x.mean(dim=(2, 3)))
        return logits


# -- initial weights, as TensorFlow draws them for NAS-Bench-101's network ------------------

#: Deviations at which TensorFlow cuts a normal, the probability within, and the deviation after.
_CUT = 2.0
_WITHIN = math.erf(_CUT / math.sqrt(2))
_SHRINK = math.sqrt(1 - 2 * _CUT * math.exp(-_CUT * _CUT / 2) / math.sqrt(2 * math.pi) / _WITHIN)


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights anew and reset the running statistics, in the order of the modules.

    Convolutions: `tf.variance_scaling_initializer()`, a normal of variance 1 / fan-in after it is
    cut at two deviations (TensorFlow 1.11 and later; earlier ones did not correct for the cut).
    Dense: `tf.layers.dense`'s Glorot uniform, bias 0. Batch normalisation: scale 1, shift 0.

    Network and generator are of the CPU; torch's global generator is not used.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            _cut_normal(module.weight, module.weight[0].numel(), generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            bound = math.sqrt(6 / (module.in_features + module.out_features))
            module.weight.uniform_(-bound, bound, generator=generator)
            module.bias.fill_(0)


def _cut_normal(weight: Tensor, fan_in: int, generator: torch.Generator) -> None:
    """Fill with a cut normal by inverting its distribution function, so nothing is redrawn."""
    deviation = math.sqrt(1 / fan_in) / _SHRINK
    weight.uniform_(-_WITHIN, _WITHIN, generator=generator)
    weight.erfinv_().mul_(deviation * math.sqrt(2))
    weight.clamp_(-_CUT * deviation, _CUT * deviation)


def build(cell: Cell, recipe: Recipe, *, seed: int) -> Network:
    """The initialised network of a cell, on the CPU; the same for the same seed."""
    # torch's layers draw from its global generator, which fork_rng restores.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        norm = {n: getattr(recipe, n) for n in ("batch_norm_momentum", "batch_norm_epsilon")}
        network = Network(cell, **norm)
    initialise(network, torch.Generator().manual_seed(seed))
    return network


# -- the optimiser --------------------------------------------------------------------------


class RMSProp(torch.optim.Optimizer):
    """RMSProp of `tf.train.RMSPropOptimizer` (`ApplyRMSProp` in `training_ops.cc`).

    For a parameter w with gradient g, where the L2 term of the loss adds its own gradient::

        g += l2 * w
        s  = decay * s + (1 - decay) * g * g          s starts at 1
        m  = momentum * m + rate * g / sqrt(s + epsilon)
        w -= m

    `torch.optim.RMSprop` starts s at 0, adds epsilon outside the root and multiplies by the
    rate after the momentum; with epsilon 1 and a falling rate that is another method.

    No step waits for the device. The rate `lr` is read from the groups at every step. An impossible
    value or a sparse gradient raises a ConfigError.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1.0,
        l2: float = 0.0,
    ) -> None:
        check_numbers("RMSProp", least=0, lr=lr, l2=l2)
        check_numbers("RMSProp", least=0, below=1, decay=decay, momentum=momentum)
        check_numbers("RMSProp", above=0, epsilon=epsilon)
        settings = {"lr": lr, "decay": decay, "momentum": momentum, "epsilon": epsilon, "l2": l2}
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, which stays; returns the closure's value."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads: list[Any] = [p.grad for p in params]
        if any(grad.is_sparse for grad in grads):
            raise ConfigError("RMSProp takes dense gradients only")
        for p in params:
            if not self.state[p]:
                self.state[p] = {"mean_square": torch.ones_like(p), "moment": torch.zeros_like(p)}
        squares, moments = ([self.state[p][k] for p in params] for k in ("mean_square", "moment"))
        # One launch for each kind of operation, not for each parameter.
        if group["l2"]:
            grads = list(torch._foreach_add(grads, params, alpha=group["l2"]))
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, grads, grads, value=1 - group["decay"])
        roots = torch._foreach_add(squares, group["epsilon"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(moments, group["momentum"])
        torch._foreach_addcdiv_(moments, grads, roots, value=group["lr"])
        torch._foreach_sub_(params, moments)
