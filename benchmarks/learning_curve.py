"""Make the learning curve of figure 2 anew: the error of the energy model over its training cells.

`python benchmarks/learning_curve.py DIR` takes the folder of the reference measurements and writes
`data/learning_curve.csv`, in about four minutes on one core. Run it anew when the fit of the energy
has changed.

Cells are drawn from the train part of the paper's split, for each draw the smaller sets within the
larger ones, and errors are of its valid part. For speed the model is not the whole ensemble but one
Gaussian process, whose parameters are fitted on at most 450 cells, and the trees of one seed,
without distilling; so the last point is a little worse than the model that ships.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from naslib_ecnas.console import progress
from naslib_ecnas.metrics import J_PER_KWH
from naslib_ecnas.quality import scores
from naslib_ecnas.surrogate.exact import exp
from naslib_ecnas.surrogate.fit import common
from naslib_ecnas.surrogate.fit.energy import read_energy
from naslib_ecnas.surrogate.fit.gaussian_process import fit_gaussian_process

SIZES = (100, 200, 400, 800, 1600, 3017)
#: Weight of the Gaussian process in a fit; the rest is boosted trees'.
PROCESS = 0.75
_TARGET = Path(__file__).parents[1] / "data" / "learning_curve.csv"


def errors(folder: Path, sizes: tuple[int, ...], draws: int) -> np.ndarray:
    """(draws, sizes) mean absolute errors in Wh."""
    data = read_energy(folder)
    train, valid = (
        np.flatnonzero(data.measured["paper_split"] == part) for part in ("train", "valid")
    )
    unseen, truth, rng = data.x[valid], data.energy_wh[valid], np.random.default_rng(0)
    step = common.steps_of("fitting the learning curve", draws * len(sizes), "fits")
    found = np.empty((draws, len(sizes)))
    for draw in range(draws):
        order = rng.permutation(train)
        for i, size in enumerate(sizes):
            step()
            time, z, target, log_time = data.problem(order[:size])
            inputs = time.power_inputs(unseen)
            process = fit_gaussian_process(z, target, log_time, subset=450, steps=110, seed=draw)
            trees = common.fit_boosting(z, target, trees=600, rate=0.05, seed=draw)
            power = PROCESS * process(inputs) + (1 - PROCESS) * trees.predict(inputs)
            found[draw, i] = scores(truth, 1000 * (inputs[:, -1] * exp(power) / J_PER_KWH)).mae
    step()
    return found


def main() -> None:
    """Fit, and write a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the reference measurements")
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    with progress():
        found = errors(args.folder, SIZES, args.draws)
    means, spreads = (a.round(4) for a in (found.mean(axis=0), found.std(axis=0, ddof=1)))
    numbers = zip(SIZES, means, spreads, strict=True)
    lines = [f"{n},{mean},{sd},{args.draws}" for n, mean, sd in numbers]
    _TARGET.write_text("\n".join(["training_cells,mae_wh,mae_wh_sd,draws", *lines]) + "\n")


if __name__ == "__main__":
    main()
