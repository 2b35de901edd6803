"""Speed of the modelled tables: `python benchmarks/surrogate.py`.

The peer does what the released code does for one cell: it computes the 36 inputs of the paper's
perceptron in plain Python and torch's forward pass, cell by cell, and gives one energy at one
budget. This package computes the features and all columns of a table at four budgets of each cell.
Without torch, the forward pass uses numpy. Both run alternately in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.cell import Cell
from naslib_ecnas.network import parameters
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.paper import PaperModel

SPACE = 423_624
CODES = {"input": 1, "conv1x1-bn-relu": 2, "conv3x3-bn-relu": 3, "maxpool3x3": 4, "output": 5}

FIRST_ANSWER = """
import naslib_ecnas as ecnas
record = ecnas.load("7v").query(1000, 36)
print(record.energy_kwh)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def plain_inputs(cell: Cell, count: int) -> list[float]:
    """The 36 inputs of one cell, computed with loops."""
    n = len(cell.ops)
    matrix = [[0] * 7 for _ in range(7)]
    for i in range(n):
        for j in range(n):
            matrix[i][j] = int(cell.matrix[i][j])
    upper = [matrix[i][j] for i in range(7) for j in range(i, 7)]
    return [*upper, *([CODES[op] for op in cell.ops] + [0] * (7 - n)), count / 1e6]


def forward(model: PaperModel) -> Any:
    """The forward pass for one cell, in torch if it is installed."""
    try:
        import torch
    except ImportError:
        weights = model.layers

        def numpy_pass(given: list[float]) -> float:
            h = np.array(given, dtype=np.float32)
            for i, (weight, bias) in enumerate(weights):
                h = h @ weight + bias
                h = np.maximum(h, 0) if i < len(weights) - 1 else h
            return float(h[0])

        return numpy_pass
    torch.set_num_threads(1)
    layers: list[Any] = []
    for weight, bias in model.layers:
        linear = torch.nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = torch.tensor(weight.T), torch.tensor(bias)
        layers += [linear, torch.nn.GELU()]
    network = torch.nn.Sequential(*layers[:-1])

    def torch_pass(given: list[float]) -> float:
        with torch.no_grad():
            return float(network(torch.tensor([given]))[0, 0])

    return torch_pass


def whole_space(lines: list[Any], *, quick: bool) -> None:
    rows = np.random.default_rng(0).choice(SPACE, 500 if quick else 2_000, replace=False)
    # A quick run predicts a part of the space only, which is slower for each cell.
    predicted = np.arange(0, SPACE, 10 if quick else 1)
    cells = [Cell.from_row(int(row)) for row in rows]
    counts = parameters(rows)
    one = forward(PaperModel.shipped())
    models = Models.shipped()
    models.predict(rows)  # tables of topologies are made once
    theirs, ours = [], []
    for _ in range(2):
        start = time.perf_counter()
        for cell, count in zip(cells, counts, strict=True):
            one(plain_inputs(cell, int(count)))
        theirs.append((time.perf_counter() - start) / len(cells))
        start = time.perf_counter()
        models.predict(predicted)
        ours.append((time.perf_counter() - start) / len(predicted))
    ratio = min(theirs) / min(ours)
    about = f"{1e6 * min(theirs):.1f} us a cell against {1e6 * min(ours):.2f}"
    lines.append(("prediction of a cell", ratio, ">= 10 x", ratio >= 10, about))
    if quick:
        return
    seconds = min(ours) * SPACE
    lines.append(("whole space, 4 budgets, s", seconds, "< 5 s", seconds < 5, "14 columns"))


def first_and_later_use(lines: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "ECNAS_CACHE": folder}
        seconds, memory = [], 0.0
        for _ in range(6):
            start = time.perf_counter()
            out = subprocess.run(
                [sys.executable, "-c", FIRST_ANSWER],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(time.perf_counter() - start)
            memory = int(out.stdout.split()[1]) / 1024
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.ecnas")) / 1e6
    first, later = seconds[0], min(seconds[1:])
    about = f"a fresh process; the table takes {size:.0f} MB"
    lines.append(("first use to an answer, s", first, "< 5 s", first < 5, about))
    about = f"a fresh process, {memory:.0f} MB at its most"
    lines.append(("later use to an answer, s", later, "< 0.3 s", later < 0.3, about))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quick", action="store_true", help="only the ratio, with fewer cells")
    args = parser.parse_args()
    lines: list[Any] = []
    whole_space(lines, quick=args.quick)
    if not args.quick:
        first_and_later_use(lines)
    names = ("what", "figure", "goal", "met", "about")
    if args.json:
        print(json.dumps([dict(zip(names, line, strict=True)) for line in lines], indent=2))
    else:
        for what, figure, goal, met, about in lines:
            verdict = "met" if met else "MISSED"
            print(f"{what:30} {figure:9.3g}  {goal:10} {verdict:7} {about}")
    return 0 if all(line[3] for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
