"""Campaigns on the CPU, measured by the real pynvml on the stand-in NVML.

The synthetic GPU draws 250 W throughout, whatever the training on the CPU does, so that every
energy is known: 250 W times the length of its window; or it uses so many joules for each forward
pass.
"""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import cli
from naslib_ecnas.campaign import (
    DataChoice,
    Measurement,
    Plan,
    Settings,
    columns_of,
    make_plan,
    work,
)
from naslib_ecnas.campaign.measurement import record_path
from naslib_ecnas.campaign.worker import open_meter
from naslib_ecnas.commands import doctor
from naslib_ecnas.energy import EnergyMeter, SharedGpu

pytest.importorskip("torch", reason="torch is not installed")

WATTS = 250.0
OPTIONS = "--device cpu --gpu GPU-a05f --baseline 0.2 --batch-size 2 --evaluate-images 2"
SMALL = OPTIONS.split()


@pytest.fixture(autouse=True)
def _real_time(standin: Any) -> None:
    standin.set(clock=-1)
    standin.set(power=WATTS, period=0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign of two units."""
    data = DataChoice(kind="synthetic", images_per_file=4)
    make_plan((0, 2), name="standin", vertices=4, data=data).write(tmp_path / "c")
    return tmp_path / "c"


@pytest.fixture
def ecnas_measure(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs `ecnas measure` in this process; returns its stdout, or stderr where it fails."""

    def run(*arguments: object, code: int = 0) -> str:
        assert cli.main(["measure", *map(str, arguments)]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run


def test_from_a_run_to_a_table_every_energy_is_power_times_time(
    tmp_path: Path, folder: Path, ecnas_measure: Callable[..., str]
) -> None:
    table = tmp_path / "c.ecnas"
    assert "2 units recorded" in ecnas_measure("run", folder, *SMALL, "--steps", 2)
    records = [Measurement.read(record_path(folder, unit)) for unit in Plan.read(folder).units]
    for record in records:
        assert record.meter.kind == "nvml"
        assert list(record.meter.methods.values()) == ["counter"]
        assert any("does not use" in why for why in record.made_up)
        for window in record.windows:
            (reading,) = window.energy_j.values()
            if window.name in ("total", "rest-before", "rest-after"):
                assert reading.valid
            if reading.valid:
                off = abs(reading.energy_j - WATTS * window.seconds)
                assert off <= reading.uncertainty_j
            else:
                assert reading.reason == "too-short"
    found = json.loads(ecnas_measure("validate", folder, "--json"))
    assert (found["good"], found["records"]) == (True, 2)
    doubts = {finding["code"] for finding in found["findings"]}
    # The stand-in reports a power cap and a thermal slowdown.
    assert doubts >= {"synthetic", "departure", "clocks"}
    # 250 W before, in and after by both sensors, and no other process.
    assert not doubts & {"rest", "counter", "foreign", "unmeasured", "above-power-limit"}
    ecnas_measure("export", folder, "--out", table, code=1)
    ecnas_measure("export", folder, "--out", table, "--allow-synthetic", "--pue", "1.5")
    bench = ecnas.load(table)
    assert bench.provenance["energy_kwh"].kind == "synthetic"
    for record in records:
        total = record.window("total")
        assert total is not None
        cell = bench.query(record.unit.row, epochs=4, repeat=record.unit.repeat)
        doubt = sum(r.uncertainty_j for r in total.energy_j.values()) / (WATTS * total.seconds)
        kwh = 1.5 * WATTS * total.seconds / 3.6e6
        assert cell["total_energy_kwh"] == pytest.approx(kwh, rel=doubt)
        # Start-up and steps, window by window; what is too short is estimated.
        names = [w.name for w in record.training.windows[1:] if "evaluate" not in w.name]
        windows = [window for name in names if (window := record.window(name)) is not None]
        readings = [(w.seconds, r) for w in windows for r in w.energy_j.values()]
        doubt_j = sum(r.uncertainty_j if r.valid else WATTS * s for s, r in readings)
        joules = cell.energy_kwh * 3.6e6 / 1.5
        assert joules == pytest.approx(WATTS * sum(s for s, _ in readings), abs=doubt_j)


#: Joules of the start-up, of a training step, and of a batch of an evaluation.
START_UP_J, STEP_J, EVALUATED_J = 7.0, 50.0, 1000.0


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["ecnas", "nasbench101"])
def test_evaluations_are_in_the_total_alone(
    tmp_path: Path, standin: Any, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """Every joule is known, so energies are exact: of the start-up, each step and each batch.

    The GPU draws 64 W by a clock that only moves when something uses energy.
    """
    from torch.nn.modules import module

    from naslib_ecnas.training import Network

    steps = 16

    def use(joules: float) -> None:
        standin.sleep(joules / 64)

    def rest(_: float) -> None:  # in place of sleeping; 1/64 s is exact
        use(1.0)

    standin.set(clock=1000.0)
    standin.set(period=0, power=64)
    known = {"clock": standin.now, "sleep": rest, "patience_s": 600.0}
    monkeypatch.setattr("naslib_ecnas.campaign.worker.EnergyMeter", partial(EnergyMeter, **known))

    def built(network: Any, name: str, part: Any) -> None:
        if isinstance(network, Network) and name == "dense":
            use(START_UP_J)

    def forward(network: Any, _: object) -> None:
        if isinstance(network, Network):
            use(STEP_J if network.training else EVALUATED_J)

    data = DataChoice(kind="synthetic", images_per_file=4)
    plan = make_plan((0,), name="lumps", vertices=4, data=data, recipe=recipe)
    plan.write(tmp_path / "c")
    options = {"batch_size": 2, "evaluate_images": 4, "steps": steps, "baseline_s": 1.0}
    hooks = [
        module.register_module_module_registration_hook(built),
        module.register_module_forward_pre_hook(forward),
    ]
    try:
        work(tmp_path / "c", Settings(gpu="GPU-a05f", **options), sleep=rest)
    finally:
        for hook in hooks:
            hook.remove()
    record = Measurement.read(record_path(tmp_path / "c", plan.units[0]))
    middle = 4 if recipe == "ecnas" else 8  # an epoch of four, or half
    assert [e.steps for e in record.training.evaluations[::3]] == [1, middle, steps]
    assert record.invalid == record.unresolved == ()
    columns = columns_of(tmp_path / "c", pue=1.25, allow_synthetic=True).values
    trained = {"initial_": 1, "halfway_": middle, "": steps}
    joules = {f"{prefix}energy_kwh": START_UP_J + STEP_J * n for prefix, n in trained.items()}
    # Three splits at three times, two batches each.
    joules["total_energy_kwh"] = joules["energy_kwh"] + 18 * EVALUATED_J
    for name, expected in joules.items():
        assert columns[name].item() == pytest.approx(1.25 * expected / 3.6e6, rel=1e-12), name
    assert record.energy_kwh == pytest.approx(joules["energy_kwh"] / 3.6e6, rel=1e-12)
    steps_only = columns_of(tmp_path / "c", span="steps", allow_synthetic=True).values
    assert steps_only["energy_kwh"].item() == pytest.approx(STEP_J * steps / 3.6e6, rel=1e-12)


@pytest.mark.parametrize(
    ("others", "refused", "word"),
    [
        ({}, (), "by counter"),
        ({"drawer": 1}, ("refuse",), "shared with processes [1]"),
        ({"other": 1}, ("refuse", "graphics"), "other processes"),
        ({"other": 1, "drawer": 1}, ("refuse", "graphics"), "got [1]"),
        ({"other": 4_194_305}, ("refuse", "graphics"), "got [4194305]"),  # not in /proc
        ({"mig": 1}, ("refuse", "graphics"), "MIG"),
    ],
)
def test_doctor_and_run_judge_a_shared_gpu_alike(
    standin: Any, others: dict[str, int], refused: tuple[str, ...], word: str
) -> None:
    standin.set(**others)
    (check,) = doctor._gpus()
    state = "missing" if "graphics" in refused else "good"
    assert (check.state, word in check.found) == (state, True), check
    assert ("--shared flag" in check.fix) == (state == "missing")
    for shared in ("flag", "graphics", "refuse"):
        settings = Settings(device="cuda:0", shared=shared)
        if shared in refused:
            with pytest.raises(SharedGpu, match=re.escape("--shared flag")):
                open_meter(settings)
        else:
            meter, label = open_meter(settings)
            meter.close()
            listed = bool(others.keys() & {"drawer", "other"})
            assert any("shared with" in n for n in label.notes[standin.uuid()]) == listed


@pytest.mark.slow
def test_each_gpu_of_a_machine_gets_a_worker_that_measures_it_alone(
    folder: Path, environment: dict[str, str]
) -> None:
    environment["STANDIN_NVML"] = "gpus=2,power=250,period=0.02,states=0"
    words = OPTIONS.replace("--gpu GPU-a05f", "--gpus all --limit 1 --steps 2").split()
    run = [sys.executable, "-m", "naslib_ecnas", "measure", "run", str(folder), *words]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 units recorded" in done.stdout
    records = [Measurement.read(record_path(folder, unit)) for unit in Plan.read(folder).units]
    for record in records:
        (uuid,) = record.meter.methods
        assert record.settings.gpu == uuid
        assert f"{uuid}: {record.unit}: recorded" in done.stdout
    assert len({record.settings.gpu for record in records}) == 2
    assert len({record.owner.pid for record in records}) == 2


# -- the walk "put your GPU into the table" from its plan to its table, by the page's own commands -

PAGE = Path(__file__).resolve().parents[2] / "docs" / "walk-measure.md"
IMAGES = 64
#: What is changed in the page's commands, since neither a GPU nor CIFAR-10 is here.
HERE = {
    "~/cifar-10-batches-py": f"cifar-10-batches-py --images-per-file {IMAGES}",
    "--device cuda:0": f"{OPTIONS} --steps 2",
    "--out my-gpu.csv": "--out my-gpu.csv --allow-synthetic",
}


@pytest.mark.slow
def test_the_walk_to_its_end(environment: dict[str, str], tmp_path: Path) -> None:
    data, rng = tmp_path / "cifar-10-batches-py", np.random.default_rng(0)
    data.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        pixels = rng.integers(0, 256, (IMAGES, 3072), dtype=np.uint8)
        content = {b"data": pixels, b"labels": rng.integers(0, 10, IMAGES).tolist()}
        (data / name).write_bytes(pickle.dumps(content, protocol=2))
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["STANDIN_NVML"] = "power=250,period=0.02,states=0"

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("ecnas measure") and "my-gpu" in line]
    for text, here in HERE.items():
        assert sum(text in line for line in commands) == 1, text
        commands = [line.replace(text, here) for line in commands]
    assert re.search(r"energy of Stand-in GPU.* good ", run("ecnas doctor"))
    said = [run(command) for command in commands]
    for text, out in zip(("20 units planned", "20 units recorded", "0 faults"), said, strict=False):
        assert text in out
    out = run("ecnas surrogate calibrate --measurements my-gpu.csv --out my-gpu.safetensors")
    assert "20 runs fitted" in out
    mine = ecnas.load("5v", device=str(tmp_path / "my-gpu.safetensors"))
    assert mine.provenance["energy_kwh"].kind == "synthetic"
    assert (mine.values("energy_kwh", 108) > 0).all()
