"""A training that is thrown away changes nothing of the one after it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from naslib_ecnas import Cell
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.training import RECIPES, Cifar10, synthetic, train
from naslib_ecnas.training.run import warm_up

CELL = Cell([[0, 1], [0, 0]], ["input", "output"])
TINY = replace(RECIPES["ecnas"], batch_size=2)


@pytest.fixture(scope="module")
def data() -> Cifar10:
    return synthetic(seed=0, images_per_file=4)


def _warm_up(data: Cifar10, **options: Any) -> int:
    return warm_up(CELL, **{"epochs": 4, "recipe": TINY, "data": data, "seconds": 0.0, **options})


def _outcome(data: Cifar10) -> list[float]:
    record = train(CELL, epochs=4, recipe=TINY, data=data, seed=5, steps=3, evaluate_images=2)
    losses = [x for s in record.segments for x in (s.mean_loss, s.last_loss)]
    return losses + [found.accuracy for found in record.evaluations]


def test_a_training_after_it_is_the_same_bit_for_bit(data: Cifar10) -> None:
    cold = _outcome(data)
    images = data.train.images.clone()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global state is what is looked at
    states = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    flags = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    _warm_up(data)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == flags
    assert torch.equal(data.train.images, images)
    assert _outcome(data) == cold


def test_it_lasts_as_long_as_it_should_even_beyond_the_budget(data: Cifar10) -> None:
    began = time.monotonic()
    # One epoch of 16 images has 8 steps, which are over long before.
    steps = _warm_up(data, epochs=1, seconds=2.0)
    assert time.monotonic() - began >= 2.0
    assert steps > 8


def test_one_step_is_made_in_no_time(data: Cifar10) -> None:
    assert _warm_up(data, seconds=0) == 1


_FORGOTTEN = """
import gc
from dataclasses import replace
from naslib_ecnas import Cell
from naslib_ecnas.training import RECIPES, Network, synthetic
from naslib_ecnas.training.run import warm_up
gc.disable()
recipe, data = replace(RECIPES["ecnas"], batch_size=2), synthetic(seed=0, images_per_file=4)
kept = Network(Cell.from_row(0))
warm_up(Cell.from_row(0), epochs=4, recipe=recipe, data=data, seconds=0.0)
print(sum(isinstance(thing, Network) for thing in gc.get_objects()))
"""


def test_its_network_is_forgotten() -> None:
    """In a process of its own, since torch's first step is what holds it."""
    run = [sys.executable, "-c", _FORGOTTEN]
    said = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout
    assert said == "1\n"  # the one that is still in use


def test_it_ends_where_the_claim_was_lost(data: Cifar10) -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        _warm_up(data, seconds=60.0, check=check)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"epochs": 0}, "epochs"),
        ({"device": "cuda:99"}, "no such device"),
        ({"recipe": replace(TINY, batch_size=8)}, "no batch"),
    ],
)
def test_impossible_arguments_are_refused(
    data: Cifar10, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _warm_up(data, **options)
