"""RMSProp against its equations in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError

pytest.importorskip("torch", reason="torch is not installed")

import torch

from naslib_ecnas.training.model import RMSProp

RATES = [0.0, 0.2, 0.19, 0.15, 0.02]
SHAPES = [(3, 4), (5,), (2, 3, 2, 2)]


@pytest.mark.parametrize("l2", [0.0, 1e-2])
@pytest.mark.parametrize(("decay", "momentum", "epsilon"), [(0.9, 0.9, 1.0), (0.5, 0.0, 1e-3)])
def test_against_the_equations(l2: float, decay: float, momentum: float, epsilon: float) -> None:
    rng = np.random.default_rng(0)
    start, *gradients = ([rng.normal(size=shape) for shape in SHAPES] for _ in range(6))
    params = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    optimiser = RMSProp(params, lr=0.0, l2=l2, decay=decay, momentum=momentum, epsilon=epsilon)
    for rate, grads in zip(RATES, gradients, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.from_numpy(g.copy())
        optimiser.step()
    for k, w in enumerate(start):
        square, moment = np.ones_like(w), np.zeros_like(w)
        for rate, grads in zip(RATES, gradients, strict=True):
            g = grads[k] + l2 * w
            square = decay * square + (1 - decay) * g**2
            moment = momentum * moment + rate * g / np.sqrt(square + epsilon)
            w = w - moment
        np.testing.assert_allclose(params[k].detach().numpy(), w, rtol=1e-12)


def test_gradients_are_left_and_parameters_without_one_stay() -> None:
    p, idle = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    p.grad = torch.full((3,), 0.5)
    RMSProp([p, idle], lr=0.1, l2=0.1).step()
    assert torch.equal(p.grad, torch.full((3,), 0.5))
    assert torch.equal(idle.detach(), torch.ones(3))
    assert (p < 1).all()


def test_a_closure_gives_the_loss() -> None:
    p = torch.nn.Parameter(torch.ones(1))

    def closure() -> torch.Tensor:
        p.grad = None
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert RMSProp([p], lr=0.1).step(closure).item() == 1.0
    assert p.item() < 1


def test_state_goes_through_a_state_dict() -> None:
    def moved(twice: bool) -> torch.Tensor:
        p = torch.nn.Parameter(torch.ones(2))
        optimiser = RMSProp([p], lr=0.1)
        p.grad = torch.tensor([1.0, -1.0])
        optimiser.step()
        if twice:
            fresh = RMSProp([p], lr=0.3)
            fresh.load_state_dict(optimiser.state_dict())
            optimiser = fresh
        optimiser.step()
        return p.detach()

    assert torch.equal(moved(False), moved(True))


def test_impossible_settings_and_sparse_gradients_are_refused() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    for name, value in (("lr", -1), ("decay", 1), ("epsilon", 0), ("l2", -1), ("momentum", 1)):
        with pytest.raises(ConfigError, match=f"{name} of RMSProp"):
            RMSProp([p], **{"lr": 0.1, name: value})
    p.grad = torch.ones(3).to_sparse()
    with pytest.raises(ConfigError, match="dense"):
        RMSProp([p], lr=0.1).step()
