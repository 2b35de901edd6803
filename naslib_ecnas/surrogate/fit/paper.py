"""The paper's energy model fitted anew: L1 loss, Adam at 5e-3, the train part of its own split."""

from __future__ import annotations

from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.quality import QualityLine, scores
from naslib_ecnas.surrogate.fit import common
from naslib_ecnas.surrogate.fit.reference import Files, optional, read_measured
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.paper import SIZES, PaperModel
from naslib_ecnas.surrogate.paper import inputs as paper_inputs


def fit_paper(
    folder: str | PathLike[str],
    *,
    seed: int = 42,
    epochs: int = 200,
    batch: int = 32,
) -> Weights:
    """Fit the paper's perceptron and keep the epoch that is best on the `valid` part.

    Differences to the paper: it gives neither batch size nor epochs (32 is the default of the
    authors' script, 200 is ours); their script keeps the last epoch; their initial weights and
    order of the cells depend on torch's global generator. The paper's test part is not among the
    reference measurements, so the quality is the one on `valid`, which also chose the epoch and is
    a little optimistic.

    Args:
        epochs, batch: of Adam.
    """
    data = read_measured(Path(folder) / Files.SEVEN_VERTICES)
    torch = optional("torch")
    train = data["paper_split"] == "train"
    x = torch.from_numpy(paper_inputs(data.rows))
    y = torch.from_numpy((1000 * data["energy_kwh"]).astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    for fan_in, fan_out in pairwise(SIZES):
        bound = fan_in**-0.5  # as torch initialises a linear layer
        for shape in ((fan_in, fan_out), (fan_out,)):
            drawn = torch.rand(shape, generator=generator)
            parameters.append(((2 * drawn - 1) * bound).requires_grad_())

    def error(inputs: Any, wh: Any) -> Any:
        output = common.forward(inputs, parameters, torch.nn.functional.gelu)
        return (output[:, 0] - wh).abs().mean()

    xs, ys = x[train], y[train]
    best, kept = float("inf"), [p.detach().clone() for p in parameters]
    step = common.steps_of("fitting the paper's model", epochs, "epochs")
    step()
    plan = common.Plan(epochs, batch, rate=5e-3, decay=0, rising=0)
    for _ in common.trained(parameters, lambda i: error(xs[i], ys[i]), len(xs), plan, generator):
        step()
        with torch.no_grad():
            valid = float(error(x[~train], y[~train]))
        if valid < best:
            best, kept = valid, [p.detach().clone() for p in parameters]
    arrays = [p.numpy() for p in kept]
    model = PaperModel(tuple(zip(arrays[::2], arrays[1::2], strict=True)))
    line = QualityLine(
        "energy at 4 epochs, the paper's recipe",
        "the paper's valid part, used only to choose the epoch",
        "Wh",
        scores(1000 * data["energy_kwh"][~train], model.wh(data.rows[~train])).to_json(),
        anchor="the authors' own weights on their test fifth: MAE .330 Wh, MAPE 2.39 %, tau .950; "
        "their recipe at 200 epochs: .312 Wh",
    )
    return common.weights_of(
        "energy",
        seed,
        [data],
        "train and valid of the paper's split (seed 42); valid chose the epoch",
        [line],
        {**model.to_arrays(), "fitted_rows": np.sort(data.rows[train])},
    )
