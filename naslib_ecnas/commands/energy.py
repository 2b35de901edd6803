"""`ecnas energy`: the energy of any command that runs on this machine."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from naslib_ecnas.commands.options import add_shared, check_out, command
from naslib_ecnas.console import duration_text, print_table, quantity_text
from naslib_ecnas.data.carbon import carbon_intensity
from naslib_ecnas.energy import EnergyMeter, Window
from naslib_ecnas.energy.nvml import named_gpus
from naslib_ecnas.errors import ConfigError, EcnasError, check_numbers
from naslib_ecnas.files import atomic_write, to_json

#: Exit codes of shells for a command that does not exist, cannot be run, or was killed.
_NOT_FOUND, _NOT_EXECUTABLE, _KILLED = 127, 126, 128


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    examples = (
        "ecnas energy -- python train.py",
        "ecnas energy --out energy.json --carbon-intensity DK -- make all",
        "ecnas energy --gpus none -- sleep 10",
    )
    add = command(parser, run, *examples)
    about = "all, none, or indices and UUIDs (default: those that CUDA_VISIBLE_DEVICES shows)"
    add("--gpus", "WHICH", about)
    add_shared(add, "flag")
    add("--no-cpu", help="do not measure the CPU")
    add("--pue", "P", "PUE to multiply kWh and grams by (%(default)s)", default=1.0)
    add("--carbon-intensity", "G", "gCO2eq/kWh, a country's code, or world")
    add("--out", "FILE", "write the result as JSON")
    add("command", "COMMAND", "what to run, after --", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace) -> int:
    """Run a command, and print the energy that GPUs and CPU used meanwhile to stderr. The output
    and the exit code are those of the command; one that a signal ended has 128 more than the
    signal, as in a shell. All of a device's energy counts, not only the command's share."""
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise ConfigError("name the command to measure, after --", value=" ".join(args.command))
    check_numbers(least=1, most=100, pue=args.pue)
    carbon = None if args.carbon_intensity is None else carbon_intensity(args.carbon_intensity)
    out: Path | None = args.out
    check_out(out)
    with _open_meter(args) as meter:
        try:
            with meter.window("command") as span:
                code = _run(words)
        except OSError as error:
            print(f"ecnas: error: cannot run {words[0]}: {error.strerror}", file=sys.stderr)
            return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    window, totals = span.window, span.window.totals(pue=args.pue, carbon=carbon)
    took = duration_text(window.seconds)
    with suppress(BrokenPipeError):
        print(f"ecnas: {shlex.join(words)}: {took}, exit code {code}", file=sys.stderr)
        _print(window, totals, meter)
    if out is not None:
        found = {"command": words, "exit_code": code, **totals}
        found |= {"setups": meter.setups, "window": window.to_dict()}
        try:
            with atomic_write(out) as file:
                file.write(to_json(found, indent=1).encode("utf-8") + b"\n")
        except EcnasError as error:  # the command's failure matters more
            print(f"ecnas: error: {error}", file=sys.stderr)
            return code or 1
    return code


# -- what is measured -----------------------------------------------------------------------------


def _open_meter(args: argparse.Namespace) -> EnergyMeter:
    """A meter of the chosen GPUs and the CPU; an EcnasError if it would measure nothing."""
    asked, devices, why = args.gpus, list[str](), "not asked for"
    if asked != "none":
        try:
            environ = {} if asked == "all" else os.environ
            gpus = named_gpus("all" if asked is None else asked, environ)
            devices = [gpu.uuid for gpu in gpus]
        except EcnasError as error:
            if asked is not None:
                raise
            why = str(error)
    meter = EnergyMeter(devices=devices, cpu=not args.no_cpu, shared=args.shared)
    if not devices and meter.cpu_state.kind != "measured":
        state = meter.cpu_state
        meter.close()
        text = f"nothing can be measured; GPUs: {why}; CPU: {state.detail or state.kind}"
        raise EcnasError(text, remedy="see: ecnas doctor")
    return meter


# -- the command ----------------------------------------------------------------------------------


def _run(words: list[str]) -> int:
    """Exit code of a command, which gets this process's input and output.

    This process survives the signals that end the command, so that its energy is still told. Ctrl-C
    reaches the command by itself; what only this process gets is passed on to it.
    """
    started: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def pass_on(number: int, _: object) -> None:
        if started:
            started[0].send_signal(number)
        else:
            waiting.append(number)

    handlers: dict[str, Any] = {"SIGINT": lambda *_: None, "SIGTERM": pass_on, "SIGHUP": pass_on}
    numbers = {name: getattr(signal, name) for name in handlers if hasattr(signal, name)}
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():  # no other one gets signals
            for name, number in numbers.items():
                # With nohup the command ignores it too; None is a handler that is not Python's.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    stack.callback(signal.signal, number, signal.signal(number, handlers[name]))
        started.append(subprocess.Popen(words))
        for number in waiting:
            started[0].send_signal(number)
        code = started[0].wait()
    return code if code >= 0 else _KILLED - code


# -- the result -----------------------------------------------------------------------------------


def _print(window: Window, totals: Mapping[str, Any], meter: EnergyMeter) -> None:
    """Print the energies of all devices and their sum to stderr."""
    found = []
    for name, reading in window.readings().items():
        setup = meter.setups.get(name)
        doubt = f"+- {reading.uncertainty_j:,.1f} J" if reading.valid else reading.detail
        note = ", ".join([doubt, *reading.flags])
        found.append((f"{name} {setup.name}" if setup else name, reading.energy_j, note))
    found.append(("total", totals["energy_j"], ""))
    seconds, rows = window.seconds or math.nan, []
    for name, joules, note in found:
        figures = (quantity_text(number, ",.1f") for number in (joules, joules / seconds))
        rows.append((name, *figures, note))
    print_table(("", "J", "mean W", ""), rows, right=(1, 2), file=sys.stderr)
    units = {"energy_kwh": "kWh", "co2_g": "gCO2eq"}
    known = [quantity_text(totals[n], ".4g", unit) for n, unit in units.items() if n in totals]
    print(f"{', '.join(known)} at a PUE of {totals['pue']:g}", file=sys.stderr)
    if not window.cpu_energy_j and meter.cpu_state.kind != "off":
        print(f"CPU: {meter.cpu_state.kind}: {meter.cpu_state.detail}", file=sys.stderr)
