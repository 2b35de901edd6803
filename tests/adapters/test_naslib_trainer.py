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
    """Makes a trainer of regularised evolution; `kind` is a Trainer class, ours by default."""

    def made(kind: Any = None, *, epochs: int = EPOCHS, **more: Any) -> Any:
        options = {"trainer": kind or ours(), "epochs": epochs, "only_make": True, **more}
        return search("RegularizedEvolution", **options)[1]

    return made


def file_of(trainer: Any) -> Path:
    return Path(trainer.config.save) / "errors.json"


def epochs_in(trainer: Any) -> int:
    content = json.loads(file_of(trainer).read_text())
    return len((content[1] if trainer.lightweight_output else content)["valid_acc"])


def stop_at(trainer: Any, epoch: int, error: type[BaseException]) -> None:
    """Have the optimiser raise when an epoch begins."""
    new_epoch = trainer.optimizer.new_epoch

    def raising(e: int) -> None:
        if e == epoch:
            raise error
        new_epoch(e)

    trainer.optimizer.new_epoch = raising


def own_trainer() -> Any:
    return require("naslib.defaults.trainer").Trainer


def ours() -> Any:
    from naslib_ecnas.adapters.naslib_trainer import EcnasTrainer

    return EcnasTrainer


def test_the_run_and_its_bytes_are_naslibs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for lightweight in (True, False):
        trainer = make(lightweight=lightweight)
        trainer.search()
        written = file_of(trainer).read_bytes()
        assert epochs_in(trainer) == EPOCHS
        # NASLib's own code writes the same trajectory.
        file_of(trainer).unlink()
        own_trainer()._log_to_json(trainer)
        assert file_of(trainer).read_bytes() == written
    # Two runs, one by each Trainer: every byte is equal once the clock and the folder are.
    module = require("naslib.defaults.trainer")
    monkeypatch.setattr(module.time, "time", lambda: 0.0)
    found = []
    for kind in (own_trainer(), ours()):
        trainer = make(kind)
        trainer.search()
        folder = trainer.config.save.encode()
        found.append(file_of(trainer).read_bytes().replace(folder, b"FOLDER"))
    assert found[0] == found[1]


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
    for error in (Stopped, KeyboardInterrupt):
        for epoch in (0, 17):
            trainer = make(interval_s=math.inf)
            stop_at(trainer, epoch, error)
            with pytest.raises(error):
                trainer.search()
            assert file_of(trainer).exists() == (epoch > 0)
            assert not epoch or epochs_in(trainer) == epoch


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


def test_outside_of_a_search_it_writes_at_once(make: Make) -> None:
    trainer = make(epochs=3, interval_s=math.inf)
    trainer.search()
    trainer.search_trajectory.valid_acc.append(1.0)
    trainer._log_to_json()
    assert epochs_in(trainer) == 4
    trainer.search_trajectory.valid_acc.clear()
    trainer.search()
    assert epochs_in(trainer) == 3


def test_it_checks_its_interval(make: Make) -> None:
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
