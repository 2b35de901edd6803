"""Small good files of campaigns, meters and images, to be spoilt."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np


def plan(folder: Path) -> Path:
    from naslib_ecnas.campaign import DataChoice, make_plan

    data = DataChoice(kind="synthetic", images_per_file=4)
    make_plan((0, 2), name="made-up", vertices=4, data=data).write(folder / "campaign")
    return next((folder / "campaign").glob("*plan*"))


def read_plan(path: Path) -> Any:
    from naslib_ecnas.campaign import Plan, status

    Plan.read(path.parent)
    return status(path.parent)


def claim(folder: Path) -> Path:
    from naslib_ecnas.campaign import Plan
    from naslib_ecnas.campaign.claims import take
    from naslib_ecnas.campaign.worker import attempts_folder

    read = Plan.read(plan(folder).parent)
    made = take(attempts_folder(folder / "campaign", read.units[0]), 1)
    assert made is not None
    return made.path


def log(folder: Path) -> Path:
    from naslib_ecnas.campaign.claims import AttemptLog

    claimed = claim(folder)
    log = AttemptLog(claimed.parent, 1)
    log.add("open", name="x")
    log.add("window", window={"name": "x"})
    log.end("failed", "made up")
    return claimed.with_suffix(".log")


def read_attempts(path: Path) -> Any:
    from naslib_ecnas.campaign import status

    return status(path.parents[2])


def window(folder: Path) -> Path:
    from naslib_ecnas.energy.readings import Reading, Window

    window = Window("x", "x", 0, None, 0.0, 1.0, 0.0, 1.0)
    whole = replace(window, energy_j={"GPU-0": Reading(5.0, "counter")})
    (folder / "windows.json").write_text(f"[{whole.to_json()}]")
    return folder / "windows.json"


def trace(folder: Path) -> Path:
    trace = {"times_s": [0.0, 1.0, 2.0], "powers_w": [50.0, 60.0, 70.0]}
    (folder / "trace.json").write_text(json.dumps(trace))
    return folder / "trace.json"


def read_replay(path: Path) -> Any:
    from naslib_ecnas.campaign.worker import read_replay

    return read_replay(path)


def record(folder: Path) -> Path:
    """A training of one step, on made-up images and without a meter."""
    from naslib_ecnas.campaign import Plan, Settings, work

    campaign = plan(folder).parent
    small = Settings(meter="none", baseline_s=0, steps=1, batch_size=2, evaluate_images=2)
    work(campaign, small, limit=1)
    assert len(Plan.read(campaign).units) == 2
    return next((campaign / "records").glob("*.json"))


def read_record(path: Path) -> Any:
    from naslib_ecnas.campaign import status, validate

    validate(path.parents[1])
    return status(path.parents[1])


def cifar(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        rng = np.random.default_rng(3)
        pixels = rng.integers(0, 256, (2, 3072), dtype=np.uint8)
        path = folder / name
        if name == "cifar.bin":
            path.write_bytes(b"".join(b"\x03" + row.tobytes() for row in pixels))
        else:
            path.write_bytes(pickle.dumps({b"data": pixels, b"labels": [3, 4]}, protocol=2))
        return path

    return make


def read_binary(path: Path) -> Any:
    from naslib_ecnas.training.cifar10 import read_binary

    return read_binary(path)


def read_python(path: Path) -> Any:
    from naslib_ecnas.training.cifar10 import read_python

    return read_python(path)


def config(folder: Path) -> Path:
    text = "dataset: cifar10\nseed: 1\noptimizer: rs\nsearch:\n  epochs: 3\n  seed: 2\n"
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


def read_config(path: Path) -> Any:
    from naslib_ecnas.adapters import naslib_run

    return naslib_run.plain(naslib_run.read(path))


def cells(folder: Path) -> Path:
    (folder / "cells.json").write_text(json.dumps([{"row": 3}, {"row": 5}, 7]))
    return folder / "cells.json"


def read_cells(path: Path) -> Any:
    from naslib_ecnas.campaign.plan import file_rows

    return file_rows(path, vertices=4)
