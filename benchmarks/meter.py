"""Overhead of the meter in a training: `python benchmarks/meter.py`.

Measured are the time of its import, and the CPU seconds of a training step of the smallest cell on
this machine's CPU, of the meter's thread at 10 Hz, and of its windows. NVML is replaced by the
tests' fake library, which is compiled here and called through the real pynvml, so that no GPU is
needed; the time that a driver takes for a query is not included. Run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "tests" / "energy" / "standin_nvml.c"
LIBRARY = "libnvidia-ml.so.1"
#: Goals: share of a training step, and seconds of the import.
GOALS = {"share": 0.01, "import_s": 0.3}
_IMPORT = "import time; t = time.perf_counter(); from naslib_ecnas.energy import EnergyMeter; "
_IMPORT += "print(time.perf_counter() - t)"


def import_s(rounds: int) -> float:
    """Seconds to import the meter, median over new processes."""
    times = [
        float(
            subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, check=True).stdout
        )
        for _ in range(rounds)
    ]
    return statistics.median(times)


def step_s(steps: int, batch: int) -> float:
    """CPU seconds of a step of the smallest cell, without a meter."""
    from dataclasses import replace

    from naslib_ecnas.cell import Cell
    from naslib_ecnas.progress import listening
    from naslib_ecnas.training import RECIPES, synthetic, train

    recipe = replace(RECIPES["ecnas"], batch_size=batch)
    data = synthetic(seed=0, images_per_file=2 * batch)
    marks: list[float] = []
    with listening(lambda *args, **about: marks.append(time.process_time())):
        train(
            Cell.from_row(0),
            epochs=108,
            recipe=recipe,
            data=data,
            seed=0,
            steps=steps + 2,
            evaluate_images=batch,
        )
    # Evaluations are between some steps; the median step has none.
    return statistics.median(b - a for a, b in pairwise(marks))


def meter_s(seconds: float, windows: int) -> tuple[float, float]:
    """CPU seconds of the thread for each second, and of one window."""
    from naslib_ecnas.energy import EnergyMeter

    with EnergyMeter(cpu=False, poll_seconds=0.2) as meter:
        began = time.process_time()
        time.sleep(seconds)
        thread = (time.process_time() - began) / seconds
        began = time.process_time()
        for _ in range(windows):
            with meter.window("train"):
                pass
        window = (time.process_time() - began) / windows
    return thread, window


def measured(args: argparse.Namespace) -> dict[str, float]:
    """All figures."""
    step = step_s(args.steps, args.batch)
    thread, window = meter_s(args.seconds, 50)
    return {
        "import_s": import_s(5),
        "step_s": step,
        # The thread runs at the same time: this is its share of each second of a step.
        "thread_share": thread,
        "window_s": window,
        # A training has 14 windows, and 625 steps at 4 epochs.
        "windows_share": 14 * window / (625 * step),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6, help="steps of the training (%(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="batch size (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="seconds to sample (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if "STANDIN_NVML" not in os.environ:  # the library is looked for when a process begins
        with tempfile.TemporaryDirectory() as folder:
            compiler = shutil.which("gcc") or sys.exit("gcc is needed to compile the stand-in")
            flags = ["-O1", "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}"]
            target = str(Path(folder) / LIBRARY)
            subprocess.run([compiler, *flags, "-o", target, str(SOURCE), "-lm"], check=True)
            environ = {**os.environ, "LD_LIBRARY_PATH": folder, "STANDIN_NVML": "power=250"}
            sys.exit(
                subprocess.run([sys.executable, *sys.argv], env=environ, check=False).returncode
            )
    found = measured(args)
    share = found["thread_share"] + found["windows_share"]
    if args.json:
        print(json.dumps({**found, "share": share, "goals": GOALS}))
        return
    print(
        f"import           {1000 * found['import_s']:8.1f} ms (goal {1000 * GOALS['import_s']:g})"
    )
    print(f"a step, batch {args.batch:<3d}{1000 * found['step_s']:8.1f} ms")
    print(f"a window         {1000 * found['window_s']:8.2f} ms")
    print(f"thread           {found['thread_share']:8.2%} of the time")
    print(f"in all           {share:8.2%} of the steps' (goal {GOALS['share']:.0%})")


if __name__ == "__main__":
    main()
