"""RMSProp as TensorFlow 1 computes it, which differs from torch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from naslib_ecnas.errors import ConfigError, check_numbers

__all__ = ["RMSProp"]


class RMSProp(torch.optim.Optimizer):
    """RMSProp of `tf.train.RMSPropOptimizer` (`ApplyRMSProp` in `training_ops.cc`).

    For a parameter w with gradient g, where the L2 term of the loss adds its own gradient::

        g += l2 * w
        s  = decay * s + (1 - decay) * g * g          s starts at 1
        m  = momentum * m + rate * g / sqrt(s + epsilon)
        w -= m

    `torch.optim.RMSprop` starts s at 0, adds epsilon outside the root and multiplies by the
    rate after the momentum; with epsilon 1 and a falling rate that is another method.

    No step waits for the device. The rate is read from the groups at every step.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        decay, momentum, epsilon: as above.
        l2: weight of half the sum of squares of the parameters in the loss (`tf.nn.l2_loss`).

    Raises:
        ConfigError: a value is not possible, or a gradient is sparse.
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
        """Update every parameter that has a gradient; gradients stay as they are.

        Returns:
            The value of `closure`, or None without one.
        """
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
        grads, squares, moments = [], [], []
        for p in params:
            grad = p.grad
            if grad is None or grad.is_sparse:
                raise ConfigError("RMSProp takes dense gradients only")
            state = self.state[p]
            if not state:
                state["mean_square"] = torch.ones_like(p, memory_format=torch.preserve_format)
                state["moment"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            grads.append(grad)
            squares.append(state["mean_square"])
            moments.append(state["moment"])
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
