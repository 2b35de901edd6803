"""Whole trainings, tiny: three steps of a small cell on synthetic images."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from naslib_ecnas import Cell
from naslib_ecnas.energy import NullMeter
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import to_json
from naslib_ecnas.network import parameters
from naslib_ecnas.training import RECIPES, Cifar10, TrainingRecord, build, synthetic, train
from naslib_ecnas.training.data import Split
from naslib_ecnas.training.run import Trainer

CELL = Cell([[0, 1], [0, 0]], ["input", "output"])
TINY = replace(RECIPES["ecnas"], batch_size=4)


class Log:
    """A meter that keeps what was opened and closed."""

    @dataclass(frozen=True)
    class Handle:
        index: int

    def __init__(self) -> None:
        self.edges: list[str] = []
        self._count = 0

    @contextmanager
    def window(self, name: str) -> Iterator[Log.Handle]:
        self.edges.append(f"+{name}")
        self._count += 1
        yield Log.Handle(self._count - 1)
        self.edges.append(f"-{name}")


@pytest.fixture(scope="module")
def data() -> Cifar10:
    return synthetic(seed=0, images_per_file=8)


def _train(data: Cifar10, **options: Any) -> TrainingRecord:
    options = {"epochs": 4, "recipe": TINY, "seed": 1, "evaluate_images": 4, "steps": 5, **options}
    return train(CELL, data=data, **options)


def _outcome(record: TrainingRecord) -> list[float]:
    """All that the seed decides."""
    losses = [x for s in record.segments for x in (s.mean_loss, s.last_loss)]
    return losses + [found.accuracy for found in record.evaluations]


def test_three_steps_from_end_to_end(data: Cifar10, tmp_path: Path) -> None:
    meter, seen = Log(), []
    file = tmp_path / "weights.npz"
    record = _train(
        data,
        steps=None,
        epochs=1,
        recipe=replace(TINY, batch_size=8),
        evaluate_images=None,
        meter=meter,
        checkpoint=file,
        progress=lambda done, steps: seen.append((done, steps)),
    )
    assert (record.steps, record.budget_steps) == (4, 4)
    splits = ("train", "validation", "test")
    inner = [
        "init",
        "train-0",
        *(f"evaluate-start-{split}" for split in splits),
        "train-1",
        *(f"evaluate-half-{split}" for split in splits),
        "train-2",
        *(f"evaluate-end-{split}" for split in splits),
        "checkpoint",
    ]
    flat = [edge for name in inner for edge in (f"+{name}", f"-{name}")]
    assert meter.edges == ["+total", *flat, "-total"]
    assert [window.name for window in record.windows] == ["total", *inner]
    assert [window.index for window in record.windows] == list(range(len(inner) + 1))
    assert [(s.first_step, s.steps) for s in record.segments] == [(0, 1), (1, 1), (2, 2)]
    assert [(e.when, e.split, e.steps) for e in record.evaluations] == [
        (when, split, steps)
        for when, steps in (("start", 1), ("half", 2), ("end", 4))
        for split in splits
    ]
    assert {e.images for e in record.evaluations} == {8}
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert record.parameters == parameters([CELL.row])[0]
    assert Cell(record.cell) == CELL
    assert record.nasbench_hash == CELL.nasbench_hash
    parts = sum(window.seconds for window in record.windows[1:])
    assert 0 < record.training_time_s < parts <= record.total_time_s
    assert all(0 <= e.accuracy <= 1 and e.latency_s > 0 for e in record.evaluations)
    assert not record.diverged
    assert record.departures == ("batch_size 8 for 256", "a budget of 1 epochs", "synthetic data")
    assert record.versions["torch"] == torch.__version__
    assert TrainingRecord.from_json(json.loads(to_json(record.to_json()))) == record
    with np.load(file, allow_pickle=False) as weights:
        network = build(CELL, TINY, seed=0)
        state = {name: torch.from_numpy(weights[name]) for name in weights.files}
    network.load_state_dict(state)
    assert network.stem[1].num_batches_tracked == 4


def test_windows_are_found_in_the_package_meter(data: Cifar10) -> None:
    """The record names windows by the meter's own numbers, whatever order they end in."""
    with NullMeter() as meter:
        with meter.window("before"):
            pass
        record = _train(data, steps=1, meter=meter)
        found = {window.index: window for window in meter.windows}
    assert [w.index for w in record.windows] == list(range(1, len(record.windows) + 1))
    for window in record.windows:
        assert window.index is not None
        assert found[window.index].name == window.name
        assert found[window.index].seconds == pytest.approx(window.seconds, rel=0.1, abs=0.05)


def test_the_seed_alone_decides(data: Cifar10) -> None:
    first = _train(data)
    torch.manual_seed(99)
    again = _train(data)
    assert _outcome(again) == _outcome(first)
    assert replace(again, windows=(), segments=(), evaluations=()) == replace(
        first, windows=(), segments=(), evaluations=()
    )
    assert _outcome(_train(data, seed=2)) != _outcome(first)
    assert first.departures == (
        "batch_size 4 for 256",
        "stopped after 5 of 32 steps",
        "evaluations on at most 4 images",
        "synthetic data",
    )


def test_the_first_step_moves_no_weight(data: Cifar10, tmp_path: Path) -> None:
    record = _train(data, steps=1, seed=6, checkpoint=tmp_path / "w.npz")
    assert [segment.window.name for segment in record.segments] == ["train-0"]
    assert len(record.evaluations) == 9
    weights, _ = np.random.SeedSequence(6).spawn(2)
    start = build(CELL, TINY, seed=int(weights.generate_state(1)[0])).state_dict()
    with np.load(tmp_path / "w.npz", allow_pickle=False) as end:
        for name, tensor in start.items():
            moved = not np.array_equal(end[name], tensor.numpy())
            assert moved == ("running" in name or "tracked" in name), name


def test_it_learns() -> None:
    """Dark and bright images are two classes: twenty steps bring the loss near 0."""
    labels = torch.arange(8) % 2
    images = (labels.to(torch.uint8) * 200)[:, None, None, None].expand(8, 3, 32, 32).contiguous()
    split = Split(images, labels)
    easy = Cifar10(split, split, split, name="synthetic", sha256="0" * 64)
    recipe = replace(RECIPES["ecnas"], batch_size=8, batch_norm_momentum=0.5, base_rate=0.03)
    with pytest.raises(ConfigError, match="no batch"):  # the first file has two images
        _train(easy, recipe=recipe, epochs=10, steps=None, evaluate_images=None)
    recipe = replace(recipe, batch_size=2)
    record = _train(easy, recipe=recipe, epochs=5, steps=None, evaluate_images=2)
    assert record.steps == 20
    assert record.segments[0].mean_loss > 1.5
    assert record.segments[-1].last_loss < 0.3
    assert record.accuracy("test") == 1.0


def test_a_loss_that_is_not_finite_is_recorded(data: Cifar10) -> None:
    record = _train(data, recipe=replace(TINY, base_rate=1e30), steps=4)
    assert record.diverged
    assert record.first_bad_step is not None
    assert 2 <= record.first_bad_step < 4
    assert record.bad_steps == 4 - record.first_bad_step
    assert math.isnan(record.segments[-1].last_loss)
    assert math.isnan(record.accuracy("validation"))
    assert math.isfinite(record.accuracy("validation", "start"))
    assert '"accuracy": null' in to_json(record.to_json())


class _Reads(TorchDispatchMode):
    """Counts operations that bring a number from the device to Python."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_no_step_reads_from_the_device(data: Cifar10) -> None:
    with _Reads() as reads:
        _train(data, steps=4)
    assert reads.count == 0


def test_this_test_would_notice(data: Cifar10) -> None:
    with _Reads() as reads:
        _train(data, steps=4, progress=lambda _done, _steps: torch.ones(1).item())
    assert reads.count == 4


def test_departures_of_the_arithmetic_change_little(data: Cifar10) -> None:
    losses = {}
    for option in ("none", "bf16", "channels_last"):
        changes = {} if option == "none" else {option: True}
        trainer = Trainer(
            CELL,
            replace(TINY, batch_size=2, **changes),
            device=torch.device("cpu"),
            meter=None,
            budget=10,
            evaluate_images=None,
        )
        trainer.start(data, seed=1)
        losses[option] = trainer.segment("train-0", 0, 1, None).last_loss
    assert losses["channels_last"] == pytest.approx(losses["none"], rel=1e-3)
    assert losses["bf16"] == pytest.approx(losses["none"], rel=0.05)
    assert losses["bf16"] != losses["none"]


def test_images_of_the_host_give_the_same_training(data: Cifar10) -> None:
    device = _train(data)
    host = _train(data, recipe=replace(TINY, images="host"))
    assert _outcome(host) == _outcome(device)
    assert set(host.departures) - set(device.departures) == {"images host for device"}
    with pytest.raises(ConfigError, match="images"):
        replace(TINY, images="disk")
    with _Reads() as reads:
        _train(data, recipe=replace(TINY, images="host"), steps=4)
    assert reads.count == 0


def test_flags_of_torch_are_put_back(data: Cifar10) -> None:
    cudnn = torch.backends.cudnn
    before = (cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    _train(data, steps=1)
    assert (cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic) == before


def test_train_accuracy_is_on_the_first_file_and_without_augmentation() -> None:
    """Class 0 in the first file only: the splits' accuracies tell what was looked at."""
    images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)

    def split(n: int, label: int) -> Split:
        return Split(images[:1].expand(n, 3, 32, 32).contiguous(), torch.full((n,), label))

    train_labels = torch.cat([torch.zeros(8), torch.ones(24)]).long()
    made = Cifar10(
        Split(images[:1].expand(32, 3, 32, 32).contiguous(), train_labels),
        split(8, 0),
        split(8, 1),
        name="synthetic",
        sha256="0" * 64,
    )
    record = _train(made, steps=2)
    for when in ("start", "half", "end"):
        # All images are alike, so every one gets one answer.
        assert record.accuracy("train", when) == record.accuracy("validation", when)
        assert record.accuracy("train", when) + record.accuracy("test", when) in (0.0, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "number of steps"),
        ({"steps": 33}, "number of steps"),
        ({"steps": 2.0}, "number of steps"),
        ({"seed": -1}, "no seed"),
        ({"seed": None}, "no seed"),
        ({"epochs": 0}, "epochs"),
        ({"evaluate_images": 3}, "no batch"),
        ({"device": "cuda:99"}, "no such device"),
        ({"device": "toaster"}, "no such device"),
        ({"recipe": replace(TINY, batch_size=16), "evaluate_images": None}, "no batch"),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_measured(
    data: Cifar10, options: dict[str, Any], message: str
) -> None:
    meter = Log()
    with pytest.raises(ConfigError, match=message):
        _train(data, meter=meter, **options)
    assert not meter.edges
