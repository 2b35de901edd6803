"""torch's arithmetic during a training: what the recipe says, whatever was set before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from naslib_ecnas.training.device import arithmetic, arithmetic_departures

OVERRIDE = "NVIDIA_TF32_OVERRIDE"
#: Settings that a user may have made before, each in a process of its own. Without the operators'
#: precisions the third left convolutions in TF32, and the last two raised in mid-campaign: these
#: are trained.
CASES = [
    "",
    "b.cudnn.allow_tf32 = False",
    "b.fp32_precision = 'tf32'",
    "b.cudnn.fp32_precision = 'tf32'",
    "b.cudnn.conv.fp32_precision = 'tf32'",
    "b.cudnn.allow_tf32 = False; b.cudnn.conv.fp32_precision = 'tf32'",
    "torch.set_float32_matmul_precision('high')",
    "torch.set_float32_matmul_precision('medium')",
    "b.cuda.matmul.fp32_precision = 'tf32'",
    "b.mkldnn.matmul.fp32_precision = 'bf16'",
    "b.cudnn.conv.fp32_precision = 'ieee'",
    "b.fp32_precision = 'ieee'",
]
TRAINED = CASES[2:3] + CASES[-2:]

#: Forks for every case, and prints what a training reads back, with and without TF32, what is set
#: before and after it, and of some the record of a training without TF32.
_SCRIPT = """
import json, os, sys
from dataclasses import replace
import torch
from naslib_ecnas import Cell
from naslib_ecnas.files import to_plain
from naslib_ecnas.training import RECIPES, synthetic, train
from naslib_ecnas.training.device import arithmetic, arithmetic_of_training

torch.set_num_threads(1)
b, data = torch.backends, synthetic(seed=0, images_per_file=4)
for case, trained in json.loads(sys.argv[1]):
    sys.stdout.flush()
    if os.fork():
        assert os.wait()[1] == 0, case
        continue
    exec(case)
    found = {"before": arithmetic()}
    for tf32 in (False, True):
        with arithmetic_of_training(tf32=tf32):
            found[str(tf32)] = arithmetic()
    recipe = replace(RECIPES["ecnas"], batch_size=2)
    if trained:
        found["record"] = to_plain(train(
            Cell.from_row(0), epochs=4, recipe=recipe, data=data, seed=0, steps=1, evaluate_images=2
        ))
    found["after"] = arithmetic()
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("arithmetic")
    run = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        _SCRIPT,
        json.dumps([(c, c in TRAINED) for c in CASES]),
    ]
    done = subprocess.run(run, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_training_has_the_recipes_arithmetic(seen: dict[str, Any], case: str) -> None:
    found = seen[case]
    for tf32, precision in ((False, "ieee"), (True, "tf32")):
        read = found[str(tf32)]
        assert arithmetic_departures(read, read, tf32=tf32) == []
        assert read["cuda.matmul.allow_tf32"] is tf32
        # The old flag speaks of recurrent networks too, whose precision here is not a training's.
        assert read["cudnn.allow_tf32"] in (tf32, None if "cudnn.fp32" in case else tf32)
        if "cudnn.conv.fp32_precision" in read:  # since torch 2.9
            assert read["cudnn.conv.fp32_precision"] == precision
            assert read["cuda.matmul.fp32_precision"] == precision
            assert read["mkldnn.matmul.fp32_precision"] == "ieee"
    if case in TRAINED:
        assert found["record"]["arithmetic"] == found["False"]
        assert not any("precision" in text for text in found["record"]["departures"])
    # A flag that contradicted an operator is cleared; all else is as it was.
    before = {k: v for k, v in found["before"].items() if v is not None}
    assert {k: found["after"][k] for k in before} == before
    if found["before"]["cudnn.allow_tf32"] is None:
        assert found["after"]["cudnn.allow_tf32"] in (None, False)


def test_what_differs_is_a_departure() -> None:
    conv, kernel = "cudnn.conv.fp32_precision", "cudnn.benchmark"
    for start, end, tf32, expected in (
        ({conv: "ieee", kernel: True}, {conv: "ieee", kernel: True}, False, []),
        ({conv: "none"}, {conv: "none"}, False, []),  # it falls back to IEEE
        ({conv: "tf32"}, {conv: "tf32"}, False, [f"{conv} tf32 for ieee"]),
        ({conv: "none"}, {conv: "none"}, True, [f"{conv} none for tf32"]),
        ({conv: "ieee"}, {conv: "tf32"}, False, [f"{conv} changed from ieee to tf32"]),
        ({kernel: False}, {kernel: True}, False, [f"{kernel} changed from False to True"]),
        ({OVERRIDE: "1"}, {OVERRIDE: "1"}, False, [f"{OVERRIDE} 1 for 0"]),
        ({OVERRIDE: "0"}, {OVERRIDE: "0"}, False, []),
        ({OVERRIDE: "0"}, {OVERRIDE: "0"}, True, [f"{OVERRIDE} 0 for 1"]),
    ):
        assert arithmetic_departures(start, end, tf32=tf32) == expected


def test_the_override_of_nvidias_libraries_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OVERRIDE, raising=False)
    assert OVERRIDE not in arithmetic()
    monkeypatch.setenv(OVERRIDE, "1")
    assert arithmetic()[OVERRIDE] == "1"
