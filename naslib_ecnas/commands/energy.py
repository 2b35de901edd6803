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
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from naslib_ecnas.commands.options import add_shared, check_out, command
from naslib_ecnas.console import duration_text, print_table, quantity_text, split_words
from naslib_ecnas.errors import ConfigError, EcnasError, check_numbers
from naslib_ecnas.files import atomic_write, to_json, to_plain

if TYPE_CHECKING:
    from naslib_ecnas.data.carbon import CarbonIntensity
    from naslib_ecnas.energy import EnergyMeter, Window

#: Exit codes of shells for a command that does not exist, cannot be run, or was killed.
_NOT_FOUND, _NOT_EXECUTABLE, _KILLED = 127, 126, 128
#: Signals that are meant for the command, if only this process gets them.
_PASSED_ON = ("SIGTERM", "SIGHUP")


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
    from naslib_ecnas.data.carbon import carbon_intensity

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise ConfigError("name the command to measure, after --", value=" ".join(args.command))
    check_numbers(least=1, most=100, pue=args.pue)
    carbon = None if args.carbon_intensity is None else carbon_intensity(args.carbon_intensity)
    out = args.out
    check_out(out)
    with _open_meter(args) as meter:
        try:
            with meter.window("command") as span:
                code = _run(words)
        except OSError as error:
            print(f"ecnas: error: cannot run {words[0]}: {error.strerror}", file=sys.stderr)
            return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    found = _result(span.window, meter, words, code, args.pue, carbon)
    _print(found, span.window, meter)
    if out is not None:
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
    from naslib_ecnas.energy import EnergyMeter

    devices, why = _devices(args.gpus)
    meter = EnergyMeter(devices=devices, cpu=not args.no_cpu, shared=args.shared)
    if not devices and meter.cpu_state.kind != "measured":
        state = meter.cpu_state
        meter.close()
        text = f"nothing can be measured; GPUs: {why}; CPU: {state.detail or state.kind}"
        raise EcnasError(text, remedy="see: ecnas doctor")
    return meter


def _devices(asked: str | None) -> tuple[list[int | str], str]:
    """The GPUs to measure, and why there are none."""
    from naslib_ecnas.energy.nvml import Nvml, visible

    if asked == "none":
        return [], "not asked for"
    if asked not in (None, "all"):
        named = list(split_words(str(asked)))
        if not named:
            raise ConfigError("--gpus takes all, none, or indices and UUIDs", value=asked)
        return [*named], ""
    try:
        with closing(Nvml()) as nvml:
            gpus = nvml.gpus()
    except EcnasError as error:
        if asked == "all":
            raise
        return [], str(error)
    if asked is None and "CUDA_VISIBLE_DEVICES" in os.environ:
        return [*range(len(visible(os.environ, len(gpus))))], "CUDA_VISIBLE_DEVICES shows none"
    return [gpu.uuid for gpu in gpus], "NVML lists none"


# -- the command ----------------------------------------------------------------------------------


def _run(words: list[str]) -> int:
    """Exit code of a command, which gets this process's input and output."""
    started: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []
    with _signals(started, waiting):
        started.append(subprocess.Popen(words))
        for number in waiting:
            started[0].send_signal(number)
        code = started[0].wait()
    return code if code >= 0 else _KILLED - code


@contextmanager
def _signals(started: list[subprocess.Popen[bytes]], waiting: list[int]) -> Iterator[None]:
    """Survive the signals that end the command, so that its energy is still told.

    Ctrl-C reaches the command by itself; what only this process gets is passed on to it.
    """

    def pass_on(number: int, _: object) -> None:
        if started:
            started[0].send_signal(number)
        else:
            waiting.append(number)

    handlers: dict[int, Any] = {signal.SIGINT: lambda *_: None}
    handlers |= {getattr(signal, n): pass_on for n in _PASSED_ON if hasattr(signal, n)}
    before = {}
    if threading.current_thread() is threading.main_thread():  # others get no signals
        for number, handler in handlers.items():
            # With nohup the command ignores it too; None is a handler that is not Python's.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- the result -----------------------------------------------------------------------------------


def _result(
    window: Window,
    meter: EnergyMeter,
    words: list[str],
    code: int,
    pue: float,
    carbon: CarbonIntensity | None,
) -> dict[str, Any]:
    """What the JSON file contains; an energy that is not known is null."""
    found: dict[str, Any] = {"command": words, "exit_code": code}
    found |= window.totals(pue=pue, carbon=carbon)
    found |= {"setups": meter.setups, "window": window.to_dict()}
    return dict(to_plain(found))


def _print(found: dict[str, Any], window: Window, meter: EnergyMeter) -> None:
    """Print the energies of all devices and their sum to stderr."""
    seconds, rows = window.seconds, []

    def row(name: str, joules: float | None, note: str) -> tuple[str, ...]:
        known = math.nan if joules is None else joules
        watts = known / seconds if seconds > 0 else math.nan
        return name, quantity_text(known, ",.1f"), quantity_text(watts, ",.1f"), note

    for name, reading in window.readings().items():
        setup = meter.setups.get(name)
        note = f"+- {reading.uncertainty_j:,.1f} J" if reading.valid else reading.detail
        shown = f"{name} {setup.name}" if setup else name
        rows.append(row(shown, reading.energy_j, ", ".join([note, *reading.flags])))
    rows.append(row("total", found["energy_j"], ""))
    with suppress(BrokenPipeError):
        command_line, took = shlex.join(found["command"]), duration_text(seconds)
        print(f"ecnas: {command_line}: {took}, exit code {found['exit_code']}", file=sys.stderr)
        print_table(("", "J", "mean W", ""), rows, right=(1, 2), file=sys.stderr)
        kwh, grams = found["energy_kwh"], found.get("co2_g", 0.0)
        text = quantity_text(math.nan if kwh is None else kwh, ".4g", "kWh")
        if "co2_g" in found:
            text += ", " + quantity_text(math.nan if grams is None else grams, ".4g", "gCO2eq")
        print(f"{text} at a PUE of {found['pue']:g}", file=sys.stderr)
        if not window.cpu_energy_j and meter.cpu_state.kind != "off":
            print(f"CPU: {meter.cpu_state.kind}: {meter.cpu_state.detail}", file=sys.stderr)
