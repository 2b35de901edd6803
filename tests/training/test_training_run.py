"""Whole trainings, tiny: a few steps of the smallest cell on synthetic images; and the warm-up."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import Cell
from naslib_ecnas.energy import NullMeter
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import from_plain, to_plain
from naslib_ecnas.network import parameters
from naslib_ecnas.progress import listening

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from naslib_ecnas.training import RECIPES, Cifar10, TrainingRecord, build, synthetic, train
from naslib_ecnas.training.data import Split
from naslib_ecnas.training.device import GraphedPass, arithmetic
from naslib_ecnas.training.run import Trainer, Windows, warm_up

CELL = Cell([[0, 1], [0, 0]], ["input", "output"])
TINY = replace(RECIPES["ecnas"], batch_size=4)
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data() -> Cifar10:
    return synthetic(seed=0, images_per_file=8)


def _train(data: Cifar10, **options: Any) -> TrainingRecord:
    options = {"epochs": 4, "recipe": TINY, "seed": 1, "evaluate_images": 4, "steps": 3, **options}
    return train(CELL, data=data, **options)


def _outcome(record: TrainingRecord) -> list[float]:
    """All that the seed decides."""
    losses = [x for s in record.segments for x in (s.mean_loss, s.last_loss)]
    return losses + [found.accuracy for found in record.evaluations]


def test_four_steps_from_end_to_end(data: Cifar10, tmp_path: Path) -> None:
    meter, seen = NullMeter(), []
    file = tmp_path / "weights.npz"
    with listening(lambda task, done, total, unit: seen.append((task, done, total, unit))):
        record = _train(
            data,
            steps=None,
            epochs=1,
            recipe=replace(RECIPES["nasbench101"], batch_size=8),
            evaluate_images=None,
            meter=meter,
            checkpoint=file,
        )
    assert (record.steps, record.budget_steps) == (4, 4)
    inner = ["init"]
    for number, when in enumerate(("start", "middle", "end")):
        inner += [f"train-{number}", *(f"evaluate-{when}-{split}" for split in SPLITS)]
    inner.append("checkpoint")
    assert [window.name for window in meter.windows] == [*inner, "total"]  # as they ended
    assert [window.name for window in record.windows] == ["total", *inner]  # as they began
    assert [window.index for window in record.windows] == list(range(len(inner) + 1))
    assert [(s.first_step, s.steps) for s in record.segments] == [(0, 1), (1, 1), (2, 2)]
    assert [(e.when, e.split, e.steps) for e in record.evaluations] == [
        (when, split, steps)
        for when, steps in (("start", 1), ("middle", 2), ("end", 4))
        for split in SPLITS
    ]
    assert {e.images for e in record.evaluations} == {8}
    assert seen == [(f"training row {CELL.row}", done, 4, "steps") for done in (1, 2, 3, 4)]
    assert record.parameters == parameters([CELL.row])[0]
    assert Cell(record.cell) == CELL
    assert record.nasbench_hash == CELL.nasbench_hash
    took = {window.name: window.seconds for window in record.windows}
    assert record.training_time_s == math.fsum(took[f"train-{number}"] for number in range(3))
    assert (record.total_time_s, record.start_up_s) == (took.pop("total"), took["init"])
    assert record.training_time_s + record.start_up_s < sum(took.values()) <= record.total_time_s
    assert all(0 <= e.accuracy <= 1 for e in record.evaluations)
    for wanted in (("test", "late"), ("training", "end")):
        with pytest.raises(ConfigError, match="train, validation, test at one of start, middle"):
            record.accuracy(*wanted)
    for change in ({"when": "late"}, {"split": "all"}, {"images": 0}, {"steps": -1}):
        with pytest.raises(ConfigError, match="an evaluation"):
            replace(record.evaluations[0], **change)
    assert record.departures == ("batch_size 8 for 256", "a budget of 1 epochs", "synthetic data")
    assert record.versions["torch"] == torch.__version__
    assert record.device_name
    assert from_plain(TrainingRecord, to_plain(record)) == record
    with np.load(file, allow_pickle=False) as weights:
        network = build(CELL, TINY, seed=0)
        state = {name: torch.from_numpy(weights[name]) for name in weights.files}
    network.load_state_dict(state)
    assert network.stem[1].num_batches_tracked == 4


def test_the_first_step_moves_no_weight(data: Cifar10, tmp_path: Path) -> None:
    meter = NullMeter()
    with meter.window("before"):
        pass
    record = _train(data, steps=1, seed=6, meter=meter, checkpoint=tmp_path / "w.npz")
    found = {window.index: window.name for window in meter.windows}
    # The record names windows by the meter's own numbers, whatever order they end in.
    assert [w.index for w in record.windows] == list(range(1, len(record.windows) + 1))
    assert all(found[w.index] == w.name for w in record.windows if w.index is not None)
    assert [segment.window.name for segment in record.segments] == ["train-0"]
    assert len(record.evaluations) == 9
    weights, _ = np.random.SeedSequence(6).spawn(2)
    start = build(CELL, TINY, seed=int(weights.generate_state(1)[0])).state_dict()
    with np.load(tmp_path / "w.npz", allow_pickle=False) as end:
        moved = {name for name, x in start.items() if not np.array_equal(end[name], x.numpy())}
    assert moved == {name for name in start if "running" in name or "tracked" in name}


def test_it_learns() -> None:
    """Dark and bright images are two classes: twenty steps bring the loss near 0."""
    labels = torch.arange(8) % 2
    images = (labels.to(torch.uint8) * 200)[:, None, None, None].expand(8, 3, 32, 32).contiguous()
    split = Split(images, labels)
    easy = Cifar10(split, split, split, name="synthetic", sha256="0" * 64)
    recipe = replace(RECIPES["ecnas"], batch_size=2, batch_norm_momentum=0.5, base_rate=0.03)
    record = _train(easy, recipe=recipe, epochs=5, steps=None, evaluate_images=2)
    assert record.steps == 20
    assert record.segments[0].mean_loss > 1.5
    assert record.segments[-1].last_loss < 0.3
    assert record.accuracy("test") == 1.0


def test_a_loss_that_is_not_finite_is_recorded(data: Cifar10) -> None:
    record = _train(data, recipe=replace(TINY, base_rate=1e30), steps=4)
    assert record.first_bad_step is not None
    assert 2 <= record.first_bad_step < 4
    assert record.bad_steps == 4 - record.first_bad_step
    assert math.isnan(record.segments[-1].last_loss)
    assert math.isnan(record.accuracy("validation"))
    assert math.isfinite(record.accuracy("validation", "start"))


class _Reads(TorchDispatchMode):
    """Counts operations that bring a number from the device to Python."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_seed_alone_decides_and_no_step_reads_from_the_device(data: Cifar10) -> None:
    cudnn = torch.backends.cudnn
    flags = cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    with _Reads() as reads:
        first = _train(data)
    assert reads.count == 0
    assert (cudnn.enabled, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic) == flags
    assert first.departures == (
        "batch_size 4 for 256",
        "stopped after 3 of 32 steps",
        "evaluations on at most 4 images",
        "synthetic data",
    )
    torch.manual_seed(99)
    # A callback that reads shows in the count.
    with _Reads() as reads, listening(lambda *args, **options: torch.ones(1).item()):
        again = _train(data)
    assert reads.count == 3
    assert _outcome(again) == _outcome(first)
    measured = {name: getattr(first, name) for name in ("windows", "segments", "evaluations")}
    assert replace(again, **measured) == first
    assert _outcome(_train(data, seed=2)) != _outcome(first)
    # Images of the host give the same training.
    with _Reads() as reads:
        host = _train(data, recipe=replace(TINY, images="host"))
    assert reads.count == 0
    assert _outcome(host) == _outcome(first)
    assert set(host.departures) - set(first.departures) == {"images host for device"}


def test_settings_that_change_while_it_trains_are_recorded(data: Cifar10) -> None:
    conv = getattr(torch.backends.cudnn, "conv", None)
    if conv is None:
        pytest.skip("torch before 2.9 has no precision of an operator")
    before = arithmetic()

    def progress(task: str, done: int, *_: object, **__: object) -> None:
        if done == 2:
            conv.fp32_precision = "tf32"
            torch.backends.cudnn.benchmark = True

    try:
        with listening(progress):
            record = _train(data)
    finally:
        torch.backends.cudnn.benchmark = bool(before["cudnn.benchmark"])
    assert record.departures[-2:] == (
        "cudnn.conv.fp32_precision changed from ieee to tf32",
        "cudnn.benchmark changed from False to True",
    )
    assert record.arithmetic["cudnn.conv.fp32_precision"] == "tf32"
    assert arithmetic() == before


def test_departures_of_the_arithmetic_change_little(data: Cifar10) -> None:
    losses = {}
    for option in ("none", "bf16", "channels_last"):
        recipe = replace(TINY, batch_size=2, **({} if option == "none" else {option: True}))
        trainer = Trainer(CELL, recipe, data, Windows(torch.device("cpu")), budget=10, seed=1)
        losses[option] = trainer.segment("train-0", 0, 1, lambda done: None).last_loss
    assert losses["channels_last"] == pytest.approx(losses["none"], rel=1e-3)
    assert losses["bf16"] == pytest.approx(losses["none"], rel=0.05)
    assert losses["bf16"] != losses["none"]


class _Graph:
    """Stands in for `torch.cuda.CUDAGraph`: repeats operations on the memory of the first time."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.replayed = 0

    @torch.no_grad()
    def replay(self) -> None:
        self.replayed += 1
        for func, args, kwargs, made in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class _Capture(TorchDispatchMode):
    def __init__(self, graph: _Graph) -> None:
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.graph.calls.append((func, args, kwargs or {}, made))
        return made


def test_steps_as_a_cuda_graph_train_as_single_kernels_do(
    data: Cifar10, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: what is recorded and when, memory, gradients and running statistics."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        **dict.fromkeys(("Stream", "current_stream"), lambda: stream),
        **dict.fromkeys(("stream", "device"), lambda _: nullcontext()),
        "CUDAGraph": _Graph,
        "graph": _Capture,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    states = []
    for graphs in (False, True):
        recipe = replace(TINY, cuda_graphs=graphs)
        trainer = Trainer(CELL, recipe, data, Windows(torch.device("cpu")), budget=10, seed=1)
        trainer.segment("train-0", 0, 1, lambda done: None)
        middle = trainer.evaluate("start", "test", 1).accuracy
        trainer.segment("train-1", 1, 4, lambda done: None)
        states.append((trainer.losses, middle, trainer.network.state_dict()))
    (losses, middle, eager), (graphed_losses, graphed_middle, graphed) = states
    assert isinstance(trainer._pass, GraphedPass)
    assert trainer._pass._graph.replayed == 4
    assert (graphed_losses, graphed_middle) == (losses, middle)
    assert all(torch.equal(value, graphed[name]) for name, value in eager.items())


def test_train_accuracy_is_on_the_first_file_and_without_augmentation() -> None:
    """Class 0 in the first file only: the splits' accuracies show which images were evaluated."""
    images = torch.zeros(32, 3, 32, 32, dtype=torch.uint8)

    def split(*labels: int) -> Split:
        return Split(images[: len(labels)], torch.tensor(labels))

    train_split, validation, test = split(*[0] * 8, *[1] * 24), split(*[0] * 8), split(*[1] * 8)
    made = Cifar10(train_split, validation, test, name="synthetic", sha256="")
    record = _train(made, steps=2)
    for when in ("start", "middle", "end"):
        # All images are alike, so every one gets one answer.
        assert record.accuracy("train", when) == record.accuracy("validation", when)
        assert record.accuracy("train", when) + record.accuracy("test", when) in (0.0, 1.0)


def test_impossible_arguments_are_refused_before_anything_is_measured(data: Cifar10) -> None:
    meter = NullMeter()
    both: list[tuple[dict[str, Any], str]] = [
        ({"epochs": 0}, "epochs"),
        ({"device": "cuda:99"}, "no such device"),
        ({"recipe": replace(TINY, batch_size=16), "evaluate_images": None}, "at least one batch"),
        (
            {"recipe": replace(TINY, cuda_graphs=True)},
            "cuda_graphs needs a GPU with CUDA, got 'cpu'",
        ),
    ]
    for options, message in (
        *both,
        *(({"steps": steps}, "from 1 to 32") for steps in (0, 33, 2.0)),
        *(({"seed": seed}, "seed") for seed in (-1, None)),
        ({"evaluate_images": 3}, "at least one batch"),
        ({"device": "toaster"}, "no such device"),
    ):
        with pytest.raises(ConfigError, match=message):
            _train(data, meter=meter, **options)
    assert not meter.windows
    for options, message in (*both, ({"seconds": -1.0}, "seconds"), ({"seconds": math.nan}, "sec")):
        options.pop("evaluate_images", None)
        with pytest.raises(ConfigError, match=message):
            _warm_up(data, **options)


# -- warm-up --------------------------------------------------------------------------------


def _warm_up(data: Cifar10, **options: Any) -> int:
    options = {"epochs": 4, "recipe": TINY, "data": data, "seconds": 0.0, **options}
    return sum(group.steps for group in warm_up(CELL, **options))


def test_a_training_after_a_warm_up_is_the_same_bit_for_bit(data: Cifar10) -> None:
    cold = _outcome(_train(data))
    images = data.train.images.clone()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global state is what is looked at
    states = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    flags = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    assert _warm_up(data) == 1  # one step in no time
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == flags
    assert torch.equal(data.train.images, images)
    assert _outcome(_train(data)) == cold


def test_a_warm_up_lasts_as_long_as_it_should_and_ends_where_the_claim_was_lost() -> None:
    """Each step takes 0.3 s of the test's clock; the budget has four steps and begins again."""
    data, now = synthetic(seed=0, images_per_file=4), 0.0

    def check(task: str, done: int, unit: str) -> None:
        nonlocal now
        now += 0.3
        if now > 60:
            raise InterruptedError

    # Groups of 1, 2, 1 (the budget's end) and 4 steps: a group that has begun is finished.
    with listening(check):
        assert _warm_up(data, epochs=1, seconds=2.0, clock=lambda: now) == 8
        now = 59.0
        with pytest.raises(InterruptedError):
            _warm_up(data, seconds=60.0, clock=lambda: now)
    assert 60 < now < 60.3


_DISCARDED = """
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


def test_the_network_of_a_warm_up_is_discarded(tmp_path: Path) -> None:
    """In a process of its own, since torch's first step is what holds it."""
    run = [sys.executable, "-c", _DISCARDED]
    out = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert out == "1\n"  # the one that is still in use
