"""The measurement of one unit: all that a campaign does, for one training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from naslib_ecnas.campaign.attempts import AttemptLog, LoggedMeter
from naslib_ecnas.campaign.claims import Owner
from naslib_ecnas.campaign.measurement import Measurement
from naslib_ecnas.campaign.meters import opened
from naslib_ecnas.campaign.plan import Plan, Unit
from naslib_ecnas.campaign.settings import Settings
from naslib_ecnas.campaign.warmth import WARM_UP, Warmth
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import EcnasError

if TYPE_CHECKING:
    from naslib_ecnas.training import Cifar10

__all__ = ["measure_unit"]


def measure_unit(
    unit: Unit,
    plan: Plan,
    settings: Settings,
    *,
    data: Cifar10,
    log: AttemptLog,
    attempt: int = 1,
    check: Callable[[], object] = lambda: None,
    warmth: Warmth | None = None,
    stepped: Callable[[int, int], None] = lambda made, due: None,
) -> Measurement:
    """Train a unit's cell and measure it.

    Around the training, while its network and images hold their memory on a GPU or not yet, a
    rest is measured, since what the machine uses without the training is part of every figure.
    Where the device is cold it is warmed up first, in a window of its own.

    Args:
        unit: what to train.
        plan: the campaign's.
        settings: how.
        data: images of the plan.
        log: gets the meter's windows as they end.
        attempt: number of the attempt.
        check: called after every step; what it raises ends the training.
        warmth: of the worker that has measured units before; a device is cold without.
        stepped: hears of the steps that were submitted and those to make; 0 of 0 before the first.

    Raises:
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        RuntimeError: torch failed, as where the GPU's memory is too small.
    """
    from naslib_ecnas.training import RECIPES, train
    from naslib_ecnas.training.warm_up import warm_up

    warmth = warmth or Warmth()
    owner = Owner.here()
    recipe = replace(RECIPES[plan.recipe], images=settings.images)
    if settings.batch_size is not None:
        recipe = replace(recipe, batch_size=settings.batch_size)
    steps = settings.steps
    if steps is not None and steps >= recipe.steps(unit.epochs, len(data.train)):
        steps = None
    cell = Cell.from_row(unit.row)
    if str(cell) != unit.cell:
        raise EcnasError(
            "the plan's cell is not that of its row", value=unit.cell, expected=str(cell)
        )

    def on_step(made: int, due: int) -> None:
        check()
        stepped(made, due)

    stepped(0, 0)
    with opened(settings) as found:
        meter = LoggedMeter(found.meter, log)
        if settings.warm_up_s and warmth.cold:
            with meter.window(WARM_UP):
                warm_up(
                    cell,
                    epochs=unit.epochs,
                    recipe=recipe,
                    data=data,
                    seconds=settings.warm_up_s,
                    device=settings.device,
                    check=check,
                )
        rests = found.label.kind != "none" and settings.baseline_s > 0
        if rests:
            with meter.window("rest-before"):
                time.sleep(settings.baseline_s)
        training = train(
            cell,
            epochs=unit.epochs,
            recipe=recipe,
            data=data,
            seed=unit.seed,
            meter=meter,
            device=settings.device,
            steps=steps,
            evaluate_images=settings.evaluate_images,
            progress=on_step,
        )
        if rests:
            with meter.window("rest-after"):
                time.sleep(settings.baseline_s)
        windows = found.meter.windows
    warmth.keep()
    return Measurement(
        unit=unit,
        attempt=attempt,
        plan=plan.checksum,
        owner=owner,
        settings=settings,
        meter=found.label,
        training=training,
        windows=windows,
    )
