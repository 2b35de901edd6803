"""The Trainer for long runs: NASLib's file, rarely written, and never short of an epoch."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters.naslib_patches import require
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.records import Record

Make = Callable[..., Any]
EPOCHS = 20


class Stopped(Exception):
    """Raised in the middle of a search."""


@pytest.fixture
def make(search: Callable[..., Any]) -> Make:
    """Makes our trainer of regularised evolution."""
    from naslib_ecnas.adapters.naslib_trainer import EcnasTrainer

    options = {"trainer": EcnasTrainer, "epochs": EPOCHS, "only_make": True}
    return lambda **more: search("RegularizedEvolution", **options | more)[1]


def file_of(trainer: Any) -> Path:
    return Path(trainer.config.save) / "errors.json"


def epochs_in(trainer: Any) -> int:
    content = json.loads(file_of(trainer).read_text())
    return len((content[1] if trainer.lightweight_output else content)["valid_acc"])


def own_trainer() -> Any:
    return require("naslib.defaults.trainer").Trainer


@pytest.mark.parametrize("lightweight", [True, False])
def test_it_writes_the_bytes_that_naslibs_writes(make: Make, lightweight: bool) -> None:
    trainer = make(lightweight=lightweight)
    trainer.search()
    written = file_of(trainer).read_bytes()
    assert epochs_in(trainer) == EPOCHS
    file_of(trainer).unlink()
    own_trainer()._log_to_json(trainer)
    assert file_of(trainer).read_bytes() == written


@pytest.mark.parametrize(("interval", "writes"), [(0.0, EPOCHS), (math.inf, 2), (1e6, 2)])
def test_how_often_it_writes(
    make: Make, monkeypatch: pytest.MonkeyPatch, interval: float, writes: int
) -> None:
    counted = []
    original = own_trainer()._log_to_json

    def counting(self: Any) -> None:
        counted.append(1)
        original(self)

    monkeypatch.setattr(own_trainer(), "_log_to_json", counting)
    trainer = make(interval_s=interval)
    seen = []
    trainer.search(after_epoch=lambda epoch: seen.append(epochs_in(trainer)))
    assert len(counted) == writes
    assert seen == (list(range(1, EPOCHS + 1)) if interval == 0 else [1] * EPOCHS)
    assert epochs_in(trainer) == EPOCHS


def test_no_epoch_is_lost_when_the_run_stops(make: Make) -> None:
    for last, error in ((0, Stopped), (17, KeyboardInterrupt)):
        trainer = make(interval_s=math.inf)
        new_epoch = trainer.optimizer.new_epoch

        def stopping(
            epoch: int, last: int = last, error: Any = error, new_epoch: Any = new_epoch
        ) -> None:
            if epoch == last:
                raise error
            new_epoch(epoch)

        trainer.optimizer.new_epoch = stopping
        with pytest.raises(error):
            trainer.search()
        assert epochs_in(trainer) == last if last else not file_of(trainer).exists()


def test_a_write_that_is_interrupted_is_made_good(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(interval_s=0)
    original, calls = own_trainer()._log_to_json, []

    def interrupted(self: Any) -> None:
        calls.append(1)
        if len(calls) == 9:
            file_of(self).write_text('[{"half')
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(own_trainer(), "_log_to_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.search()
    assert epochs_in(trainer) == 9


def test_outside_of_a_search_it_writes_at_once_and_its_interval_is_checked(make: Make) -> None:
    trainer = make(epochs=3, interval_s=math.inf)
    trainer.search()
    trainer.search_trajectory.valid_acc.append(1.0)
    trainer._log_to_json()
    assert epochs_in(trainer) == 4
    trainer.search_trajectory.valid_acc.clear()
    trainer.search()
    assert epochs_in(trainer) == 3
    for interval in (-1.0, math.nan):
        with pytest.raises(ConfigError, match="0 or more"):
            make(interval_s=interval)


def test_a_long_run_keeps_no_record_of_an_epoch(make: Make) -> None:
    """Only the architectures of NASLib's population and history have one."""
    trainer, counts = make(epochs=400), []
    for search in (lambda: None, trainer.search):
        search()
        gc.collect()
        counts.append(sum(isinstance(thing, Record) for thing in gc.get_objects()))
    assert epochs_in(trainer) == 400
    assert counts[1] - counts[0] < 200
