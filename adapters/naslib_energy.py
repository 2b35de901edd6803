"""The energy that a search of NASLib's itself takes, epoch by epoch, on any search space."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

from naslib_ecnas.adapters.naslib_patches import require
from naslib_ecnas.data.carbon import carbon_intensity
from naslib_ecnas.energy import EnergyMeter, Window
from naslib_ecnas.errors import EcnasError, check_types
from naslib_ecnas.files import to_json, to_plain

#: The file beside NASLib's `errors.json`.
FILE = "measured_energy.jsonl"


def open_meter(**options: Any) -> EnergyMeter:
    """A meter of the GPU that NASLib uses and of the CPU, or of what there is of the two.

    Raises:
        EcnasError: neither can be measured; it says why.
    """
    try:
        return EnergyMeter(**options)
    except EcnasError as error:
        meter = EnergyMeter(**{**options, "devices": ()})
        if meter.cpu_state.kind == "measured":
            return meter
        meter.close()
        cpu = meter.cpu_state
        raise EcnasError(f"GPU: {error}; CPU: {cpu.detail or cpu.kind}") from error


@contextmanager
def measured(config: Mapping[str, Any]) -> Iterator[None]:
    """Context in which NASLib's Trainer measures its searches, but not with `measure: False`.

    `measured_energy.jsonl` in the folder of a search gets a line for each epoch, one for what
    follows the last epoch, and one for the whole search: seconds, joules of GPU, CPU and memory,
    kWh by the config's `pue` (1), gCO2eq by its `carbon_intensity`, and the window with its
    uncertainties. If nothing can be measured, a note on stderr says why.

    Raises:
        ConfigError: `measure` is no truth value, or there is no such carbon intensity.
    """
    check_types(bool, measure=config.get("measure", True))
    place = config.get("carbon_intensity")
    account: dict[str, Any] = {"pue": config.get("pue") or 1.0}
    account |= {} if place is None else {"carbon": carbon_intensity(place)}
    trainer: Any = require("naslib.defaults.trainer").Trainer
    original = trainer.search

    @wraps(original)
    def search(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = signature(original).bind(self, *args, **kwargs)
        try:
            meter = open_meter()
        except EcnasError as error:
            print(f"the energy of this run is not measured: {error}", file=sys.stderr)
            return original(*call.args, **call.kwargs)
        file = (Path(self.config.save) / FILE).open("w", encoding="utf-8")
        after = call.arguments.get("after_epoch")

        def write(window: Window, **more: Any) -> None:
            found = {"part": window.name, **more, **window.totals(**account)}
            file.write(to_json(to_plain({**found, "window": window.to_dict()})) + "\n")
            file.flush()

        def next_epoch(epoch: int) -> None:
            if after is not None:
                after(epoch)
            write(meter.end("epoch"), epoch=epoch)
            meter.begin("epoch" if epoch + 1 < self.epochs else "end")

        call.arguments["after_epoch"] = next_epoch
        with meter, file:
            whole = meter.begin("search")
            meter.begin("epoch")
            failed = "an error"
            try:
                found = original(*call.args, **call.kwargs)
                failed = ""
            finally:
                meter.end("search", error=failed)
                for window in meter.windows[-2:]:  # what was open, and the whole
                    write(window)
                _report(whole.window)
        return found

    if not config.get("measure", True):
        yield
        return
    trainer.search = search
    try:
        yield
    finally:
        trainer.search = original


def _report(window: Window) -> None:
    """Print what the search itself took to stderr."""
    found = window.totals()
    joules = found["energy_j"]
    text = "unknown" if math.isnan(float(joules)) else f"{joules:,.1f} J"
    print(f"measured energy of this run: {text} in {window.seconds:,.1f} s", file=sys.stderr)
