"""RMSProp against its equations in numpy, a closed form, and TensorFlow where it is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.training.rmsprop import RMSProp

RATES = [0.0, 0.2, 0.19, 0.15, 0.02]
SHAPES = [(3, 4), (5,), (2, 3, 2, 2)]


def _gradients(seed: int) -> list[list[NDArray[Any]]]:
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape) for shape in SHAPES] for _ in RATES]


def _start(seed: int) -> list[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in SHAPES]


def _by_torch(l2: float, **options: float) -> list[NDArray[Any]]:
    params = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in _start(0)]
    optimiser = RMSProp(params, lr=0.0, l2=l2, **options)
    for rate, grads in zip(RATES, _gradients(1), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.from_numpy(g.copy())
        optimiser.step()
    return [p.detach().numpy() for p in params]


@pytest.mark.parametrize("l2", [0.0, 1e-2])
@pytest.mark.parametrize(("decay", "momentum", "epsilon"), [(0.9, 0.9, 1.0), (0.5, 0.0, 1e-3)])
def test_against_the_equations(l2: float, decay: float, momentum: float, epsilon: float) -> None:
    found = _by_torch(l2, decay=decay, momentum=momentum, epsilon=epsilon)
    for k, w in enumerate(_start(0)):
        square, moment = np.ones_like(w), np.zeros_like(w)
        for rate, grads in zip(RATES, _gradients(1), strict=True):
            g = grads[k] + l2 * w
            square = decay * square + (1 - decay) * g**2
            moment = momentum * moment + rate * g / np.sqrt(square + epsilon)
            w = w - moment
        np.testing.assert_allclose(found[k], w, rtol=1e-12)


def test_one_step_in_closed_form() -> None:
    """s = 0.9 + 0.1 * 4 = 1.3; the move is 0.2 * 2 / sqrt(2.3)."""
    p = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    p.grad = torch.full((1,), 2.0, dtype=torch.float64)
    RMSProp([p], lr=0.2).step()
    assert p.item() == pytest.approx(-0.4 / 2.3**0.5, rel=1e-14)


def test_rate_zero_moves_the_mean_square_only() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    p.grad = torch.tensor([1.0, 3.0])
    optimiser = RMSProp([p], lr=0.0)
    optimiser.step()
    assert torch.equal(p.detach(), torch.ones(2))
    torch.testing.assert_close(optimiser.state[p]["mean_square"], torch.tensor([1.0, 1.8]))


def test_it_is_not_the_method_of_torch() -> None:
    """Same numbers for the settings, another path."""
    ends = []
    for kind in (RMSProp, torch.optim.RMSprop):
        p = torch.nn.Parameter(torch.zeros(1))
        names = ("epsilon", "decay") if kind is RMSProp else ("eps", "alpha")
        optimiser = kind([p], lr=0.2, momentum=0.9, **dict(zip(names, (1.0, 0.9), strict=True)))
        for _ in range(3):
            p.grad = torch.full((1,), 3.0)
            optimiser.step()
        ends.append(p.item())
    assert abs(ends[0] - ends[1]) > 0.05


def test_the_l2_term_is_that_of_the_loss() -> None:
    """l2 in the optimiser moves as half the sum of squares, weighted, does in the loss."""
    start = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    ends = []
    for inside in (True, False):
        p = torch.nn.Parameter(start.clone())
        optimiser = RMSProp([p], lr=0.1, l2=0.0 if inside else 1e-2)
        for _ in range(4):
            optimiser.zero_grad()
            loss = torch.sin(p).sum() + (1e-2 * 0.5 * (p**2).sum() if inside else 0.0)
            loss.backward()
            optimiser.step()
        ends.append(p.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-13, atol=0)


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


@pytest.mark.parametrize(
    "change", [{"lr": -1.0}, {"decay": 1.0}, {"epsilon": 0.0}, {"l2": -1.0}, {"momentum": 1.0}]
)
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        RMSProp([torch.nn.Parameter(torch.ones(1))], **{"lr": 0.1, **change})


def test_sparse_gradients_are_refused() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3).to_sparse()
    with pytest.raises(ConfigError, match="dense"):
        RMSProp([p], lr=0.1).step()


@pytest.mark.parametrize(
    ("factor", "within"),
    # TensorFlow takes decay and momentum through float32, where 0.9 is 2e-8 off and 0.875 exact.
    [(0.9, 1e-7), (0.875, 1e-14)],
)
def test_against_tensorflow(factor: float, within: float) -> None:
    tf = pytest.importorskip("tensorflow")
    v1 = tf.compat.v1
    found = _by_torch(0.0, decay=factor, momentum=factor)
    with tf.Graph().as_default(), v1.Session() as session:
        rate = v1.placeholder(tf.float64, ())
        variables = [v1.Variable(w) for w in _start(0)]
        grads = [v1.placeholder(tf.float64, shape) for shape in SHAPES]
        optimiser = v1.train.RMSPropOptimizer(rate, decay=factor, momentum=factor, epsilon=1.0)
        move = optimiser.apply_gradients(list(zip(grads, variables, strict=True)))
        session.run(v1.global_variables_initializer())
        for number, values in zip(RATES, _gradients(1), strict=True):
            fed = dict(zip(grads, values, strict=True))
            session.run(move, feed_dict={**fed, rate: number})
        for ours, theirs in zip(found, session.run(variables), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=within)
