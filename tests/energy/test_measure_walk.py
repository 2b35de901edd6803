"""The walk "put your GPU into the table" from its plan to its table, by the page's own commands.

Neither a GPU nor CIFAR-10 is needed: made-up images stand in files of CIFAR-10's format, and the
real pynvml measures the stand-in. What that changes of each command is in `HERE`.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas

pytest.importorskip("torch")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "walk-measure.md"
IMAGES = 64
SMALL = "--baseline 0.1 --steps 2 --batch-size 2 --evaluate-images 2"
HERE = {
    "~/cifar-10-batches-py": f"cifar-10-batches-py --images-per-file {IMAGES}",
    "--device cuda:0": f"--device cpu --gpu GPU-a05f {SMALL}",
    "--out my-gpu.csv": "--out my-gpu.csv --allow-synthetic",
}


def commands() -> list[str]:
    """The page's commands on the campaign `my-gpu`, changed as `HERE` says."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    found = [line for block in blocks for line in block.splitlines() if "my-gpu" in line]
    found = [line for line in found if line.startswith("ecnas measure")]
    for text, here in HERE.items():
        assert sum(text in line for line in found) == 1, text
        found = [line.replace(text, here) for line in found]
    return found


@pytest.mark.slow
def test_the_walk_to_its_end(standin_folder: Path, tmp_path: Path) -> None:
    folder, rng = tmp_path / "cifar-10-batches-py", np.random.default_rng(0)
    folder.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        pixels = rng.integers(0, 256, (IMAGES, 3072), dtype=np.uint8)
        content = {b"data": pixels, b"labels": rng.integers(0, 10, IMAGES).tolist()}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(standin_folder),
        "STANDIN_NVML": "power=250,period=0.02,states=0",
        "OMP_NUM_THREADS": "1",
    }

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    assert re.search(r"energy of Stand-in GPU.* good ", run("ecnas doctor"))
    plan, measure, validate, export = commands()
    assert "20 units planned" in run(plan)
    assert "20 units recorded" in run(measure)
    assert "0 faults" in run(validate)
    run(export)
    said = run("ecnas surrogate calibrate --measurements my-gpu.csv --out my-gpu.npz")
    assert "20 runs fitted" in said
    mine = ecnas.load("5v", device=str(tmp_path / "my-gpu.npz"))
    assert mine.provenance["energy_kwh"].kind == "synthetic"
    assert (mine.values("energy_kwh", 108) > 0).all()
