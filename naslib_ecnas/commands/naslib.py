"""`ecnas naslib`: runs NASLib's runner scripts, unchanged, on an EC-NAS table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from naslib_ecnas.adapters import naslib_run
from naslib_ecnas.adapters.naslib_run import NaslibRun, Sweep, sweep
from naslib_ecnas.commands.compare import finish
from naslib_ecnas.commands.options import JSON, Options, command
from naslib_ecnas.commands.search import plot, report
from naslib_ecnas.console import progress
from naslib_ecnas.errors import ConfigError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command(
        parser,
        run,
        "ecnas naslib nas --config-file re.yaml seed 3 search.epochs 200",
        "ecnas naslib sweep --config-file sweep.yaml --out sweep --jobs 2",
        "ecnas naslib sweep --help",
    )
    parser.usage = (
        "ecnas naslib RUNNER --config-file FILE [KEY VALUE ...]\n"
        "       ecnas naslib sweep --config-file FILE --out DIR [options] [KEY VALUE ...]"
    )
    about = "nas, bbo, nas_predictors, predictors, statistics, the path of a script, or sweep"
    add("runner", "RUNNER", about)
    add("--config-file", "FILE", "config in the format of NASLib's runners")
    about = "values that replace those of the config, such as search.epochs 200"
    add("overrides", "KEY VALUE", about, nargs=argparse.REMAINDER)
    parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> None:
    """Run one of NASLib's runner scripts, unchanged, with search_space: ecnas in its config. There,
    dataset: cifar10 is the table 7v; it may also be the name or the file of another table. A
    section objectives makes the search optimise energy as well. With sweep, run several optimizers,
    seeds and objectives from one config."""
    # argparse leaves what follows RUNNER unparsed.
    if args.runner == "sweep":
        _sweep(args)
        return
    behind = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    behind.add_argument("--config-file", default=args.config_file)
    if {"-h", "--help"} & set(args.overrides):
        args.parser.print_help()
        return
    found, overrides = behind.parse_known_args(args.overrides)
    if found.config_file is None:
        raise ConfigError("a runner needs a config with search_space: ecnas: --config-file FILE")
    done = naslib_run.run(args.runner, found.config_file, overrides)
    # NASLib logs to stdout, so notes of ours go to stderr.
    if done.filled:
        print(f"NASLib's defaults are used for: {', '.join(done.filled)}", file=sys.stderr)
    if done.result is not None:
        if done.folder is not None and done.benchmark is not None:
            plot(done.benchmark, done.result, done.folder)
        print()
        report(done.result)
        _report_incumbent(done)
    if done.folder is not None:
        print(f"written to: {done.folder}", file=sys.stderr)


def _report_incumbent(done: NaslibRun) -> None:
    """Print the evaluation that the search was after, and whether it keeps the limits."""
    best = done.incumbent
    if best is None or done.result is None:
        return
    found = {name: best[name] for name in done.result.config.objectives}
    limits = best.get("limits", {})
    kept = ", ".join(f"{name} {value:g}" for name, value in limits.items())
    title = f"best within the limits ({kept})" if limits else "incumbent"
    if not best.get("within_limits", True):
        title = f"no evaluated cell keeps the limits ({kept}); the nearest"
    values = ", ".join(f"{name} {value:.6g}" for name, value in found.items())
    print(f"\n{title}: row {best['row']}, {values}, score {best['score']:.4g}\n  {best['cell']}")


def _sweep(args: argparse.Namespace) -> None:
    """Run `ecnas naslib sweep`, whose options are in `args.overrides`, unparsed."""
    parser = argparse.ArgumentParser(prog="ecnas naslib sweep", allow_abbrev=False)
    add = Options(parser)
    add("--config-file", "FILE", "config with a sweep", default=args.config_file)
    add("--runner", "RUNNER", "nas, bbo, or a script (%(default)s)", default="nas")
    add("--jobs", "N", "runs in parallel (%(default)s)", default=1)
    add("--out", "DIR", "folder of the sweep", required=True)
    add("--no-plot", help="write no figures")
    add(*JSON)
    add("overrides", "KEY VALUE", "values that replace those of the config", nargs="*")
    chosen = parser.parse_intermixed_args(args.overrides)
    if chosen.config_file is None:
        raise ConfigError("a sweep needs a config: --config-file FILE")
    wanted = Sweep.of(Path(chosen.config_file), chosen.overrides, runner=chosen.runner)
    with progress():
        units = sweep(wanted, chosen.out, jobs=chosen.jobs)
    finish(chosen.out, units, json=chosen.json, plot=not chosen.no_plot)
