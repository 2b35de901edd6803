"""What a campaign will take: by models of a GPU, or by steps that are timed on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.campaign.plan import Plan, Settings, Unit
from naslib_ecnas.campaign.worker import open_meter, recipe_of
from naslib_ecnas.cell import Cell
from naslib_ecnas.metrics import J_PER_KWH
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import Models, calibration_of
from naslib_ecnas.training.recipe import TRAIN_IMAGES

#: The GPU whose models are used where no other is named: the fastest that EC-NAS measured.
MODELLED = "rtx-3090"
#: Cells that are timed, from the smallest to the largest of a plan, and seconds for each of them.
_CELLS, _SECONDS = 4, 2.0
#: On a CPU, where a step of 256 images takes many seconds, two cells and batches of so many images.
_CPU_BATCH = 4
#: Time of a batch in an evaluation over the time of a step, which goes forward and back.
_FORWARD = 1 / 3


@dataclass(frozen=True)
class Estimate:
    """Expected duration and energy of all units with one worker."""

    seconds: float
    """NaN if unknown."""
    energy_kwh: float
    """Without PUE; NaN if unknown."""
    basis: str
    """What both come from, in words."""


def expected(
    units: Sequence[Unit], device: str | PathLike[str] = MODELLED
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy and time of units on a GPU that is modelled, for planning.

    Args:
        units: the units.
        device: a GPU's name or the file of a calibration, as in `load`.

    Returns:
        (n,) kWh of start-up and steps without PUE, and (n,) seconds of the steps, NaN where the GPU
        was calibrated without times.

    Raises:
        ConfigError, UnknownTableError, FormatError: there is no such calibration.
    """
    model, header = calibration_of(device)
    models = Models(model, header)
    rows, epochs = ([getattr(unit, name) for unit in units] for name in ("row", "epochs"))
    budgets, which = np.unique(np.array(epochs, dtype=np.int64), return_inverse=True)
    kwh = models.energies(rows, budgets.tolist())["energy_kwh"]
    pue = models.energy_provenance.pue or 1.0
    seconds = np.full(len(rows), math.nan)
    if model.time.any():
        seconds = model.training_time_s(features(rows)) * np.array(epochs) / 4
    return kwh[np.arange(len(rows)), which] / pue, seconds


def modelled(plan: Plan, device: str | PathLike[str] = MODELLED) -> Estimate:
    """The estimate by the models of a GPU, without evaluations and rests; see `expected`."""
    kwh, seconds = expected(plan.units, device)
    whole = 4 * plan.data.images_per_file / TRAIN_IMAGES
    basis = f"on {device} by its models, without evaluations and rests"
    basis += ", in float32 and without the speed that was asked for" if plan.speed else ""
    return Estimate(whole * float(seconds.sum()), whole * float(kwh.sum()), basis)


def timed(plan: Plan, settings: Settings) -> Estimate:
    """The estimate from steps of a few cells on the device; evaluations and rests are included.

    The cells are spread over the plan's multiply-adds, and others interpolated between them. The
    images are synthetic: those of the plan need not be there yet.

    Args:
        plan: the campaign.
        settings: how it is to be measured, device and meter above all.

    Raises:
        MissingDependencyError: torch is not installed.
        ConfigError: there is no such device.
        MeterError: the GPU cannot be measured.
    """
    from naslib_ecnas.training import check_device, synthetic
    from naslib_ecnas.training.run import warm_up

    recipe = recipe_of(plan, settings)
    check_device(settings.device, cuda_graphs=recipe.cuda_graphs)
    due, on_gpu = recipe.batch_size, settings.device.startswith("cuda")
    recipe = replace(recipe, batch_size=due if on_gpu else min(due, _CPU_BATCH))
    data = synthetic(seed=0, images_per_file=recipe.batch_size)
    rows = np.array([unit.row for unit in plan.units])
    size = network.multiply_adds(rows)
    places = np.linspace(0, len(rows) - 1, _CELLS if on_gpu else 2).astype(np.int64)
    chosen = list(dict.fromkeys(rows[np.argsort(size, kind="stable")[places]].tolist()))
    found = []
    meter, label = open_meter(settings)
    with meter:
        for row in chosen:
            parts = warm_up(
                Cell.from_row(row),
                epochs=108,
                recipe=recipe,
                data=data,
                seconds=_SECONDS,
                groups=2,
                device=settings.device,
                meter=meter,
            )
            # Not the first step, which loads kernels or compiles them.
            longest = max(parts[1:], key=lambda part: part.window.seconds)
            window = next(w for w in meter.windows if w.index == longest.window.index)
            known = [j for j in (window.gpu_total_j, window.cpu_total_j) if math.isfinite(j)]
            joules = math.fsum(known) if known else math.nan
            found.append(np.array([window.seconds, joules]) / longest.steps)
    images = plan.data.images_per_file
    most = min(images, settings.evaluate_images or images)
    steps = np.array([settings.steps or unit.epochs * 4 * images // due for unit in plan.units])
    weights = (steps + 9 * _FORWARD * (most // due)) * due / recipe.batch_size
    seconds, joules = (
        float(np.interp(size, network.multiply_adds(chosen), each) @ weights)
        for each in np.transpose(found)
    )
    if label.kind != "none":
        seconds += settings.baseline_s * (len(plan.units) + 1)
    basis = f"from steps timed on {settings.device}, with evaluations and rests"
    return Estimate(seconds + (settings.warm_up_s or 0.0), joules / J_PER_KWH, basis)
