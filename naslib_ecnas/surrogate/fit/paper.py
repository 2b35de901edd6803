"""The paper's recipe fitted anew: L1 loss, Adam at 5e-3, the train part of its own split."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.scores import scores
from naslib_ecnas.surrogate.fit.reference import read_measured
from naslib_ecnas.surrogate.fit.student import torch_module
from naslib_ecnas.surrogate.paper import SIZES, PaperModel, inputs
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["PAPER_FILE", "fit_paper"]

PAPER_FILE = "measured_7v_energy_4epochs.parquet"


def fit_paper(
    folder: str | PathLike[str],
    *,
    seed: int = 42,
    epochs: int = 200,
    batch: int = 32,
    progress: Callable[[str], None] | None = None,
    limit: int | None = None,
) -> Weights:
    """Fit the paper's perceptron; its weights are those of the epoch that was best on `valid`.

    Not reproduced: the paper gives neither batch size nor epochs (32 is the default of the
    authors' script, 200 is ours); their script keeps the last epoch; their start and order of the
    cells, which torch's global generator decides. The paper's test part is not among the reference
    measurements, so that the quality is that on `valid`, which also chose the epoch, and flatters
    by that little.

    Args:
        folder: of the reference measurements.
        seed: of the start and the order.
        epochs, batch: of Adam.
        progress: hears what begins.
        limit: use only so many measurements.

    Raises:
        UnknownTableError: the folder lacks the file.
        MissingDependencyError: torch or pyarrow is not installed.
    """
    torch = torch_module()
    data = read_measured(Path(folder) / PAPER_FILE)
    data = data.where(np.arange(len(data.rows))[:limit])
    train = data["paper_split"] == "train"
    x = torch.from_numpy(inputs(data.rows))
    y = torch.from_numpy((1000 * data["energy_kwh"]).astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    for i in range(len(SIZES) - 1):
        bound = SIZES[i] ** -0.5  # torch's own start of a linear layer
        for shape in ((SIZES[i], SIZES[i + 1]), (SIZES[i + 1],)):
            drawn = torch.rand(shape, generator=generator)
            parameters.append(((2 * drawn - 1) * bound).requires_grad_())
    optimiser = torch.optim.Adam(parameters, lr=5e-3)
    xs, ys = x[train], y[train]
    best, kept = float("inf"), [p.detach().clone() for p in parameters]
    for epoch in range(epochs):
        if progress is not None and epoch % 50 == 0:
            progress(f"paper: epoch {epoch} of {epochs}")
        order = torch.randperm(len(xs), generator=generator)
        for at in range(0, len(xs), batch):
            some = order[at : at + batch]
            loss = (_forward(xs[some], parameters) - ys[some]).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            error = float((_forward(x[~train], parameters) - y[~train]).abs().mean())
        if error < best:
            best, kept = error, [p.detach().clone() for p in parameters]
    arrays = [p.numpy() for p in kept]
    model = PaperModel(tuple(zip(arrays[::2], arrays[1::2], strict=True)))
    true = 1000 * data["energy_kwh"][~train]
    found = scores(true, model.wh(data.rows[~train]))
    name = "energy at 4 epochs, the paper's recipe"
    header = {
        "target": "energy",
        "seed": seed,
        "data": {data.name: data.sha256},
        "split": "train and valid of the paper's split (seed 42); valid chose the epoch",
        "quality": {
            name: {
                **found.to_json(),
                "unit": "Wh",
                "about": "the valid part, which chose the epoch",
            }
        },
        "anchors": {
            name: "the authors' own weights on their test fifth: MAE .330 Wh, MAPE 2.39 %, tau "
            ".950; their recipe at 200 epochs: .312 Wh"
        },
    }
    return Weights(header, {**model.to_arrays(), "fitted_rows": np.sort(data.rows[train])})


def _forward(x: Any, parameters: list[Any]) -> Any:
    torch = torch_module()
    h = x
    for i in range(0, len(parameters), 2):
        h = torch.addmm(parameters[i + 1], h, parameters[i])
        if i < len(parameters) - 2:
            h = torch.nn.functional.gelu(h)
    return h[:, 0]
