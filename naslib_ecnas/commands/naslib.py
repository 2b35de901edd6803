"""`ecnas naslib`: runs NASLib's runner scripts, unchanged, on an EC-NAS table."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from naslib_ecnas.console import examples

__all__ = ["add_parser", "run"]

_CONFIG = "--config-file"
_SWEEP = "sweep"


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    parser = subparsers.add_parser(
        "naslib",
        help="run a NASLib experiment on a table",
        usage="ecnas naslib RUNNER --config-file FILE [KEY VALUE ...]\n"
        "       ecnas naslib sweep --config-file FILE --out DIR [options] [KEY VALUE ...]",
        description="Run one of NASLib's runner scripts, unchanged, with search_space: ecnas in "
        "its config. There, dataset: cifar10 is the table 7v; it may also be the name or the "
        "file of another table. A section objectives makes the search optimise energy as well. "
        "With sweep, run several optimizers, seeds and objectives from one config.",
        **examples(
            "ecnas naslib nas --config-file re.yaml seed 3 search.epochs 200",
            "ecnas naslib sweep --config-file sweep.yaml --out sweep --jobs 2",
            "ecnas naslib sweep --help",
        ),
    )
    parser.add_argument(
        "runner",
        metavar="RUNNER",
        help="nas, bbo, nas_predictors, predictors, statistics, the path of a script, or sweep",
    )
    parser.add_argument(
        _CONFIG, dest="config_file", metavar="FILE", help="config in the format of NASLib's runners"
    )
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="values that replace those of the config, such as search.epochs 200",
    )
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0.

    Raises:
        EcnasError: the runner, the config or the table is not possible, or NASLib is missing.
    """
    from naslib_ecnas.adapters import naslib_run
    from naslib_ecnas.commands.search import plot, report
    from naslib_ecnas.errors import ConfigError

    if args.runner == _SWEEP:
        return _sweep(args)
    config_file, overrides = _split(args)
    if config_file is None:
        raise ConfigError(f"a runner needs a config with search_space: ecnas: {_CONFIG} FILE")
    done = naslib_run.run(args.runner, config_file, overrides)
    # NASLib logs to stdout, so notes of ours go to stderr.
    if done.filled:
        print(f"NASLib's defaults are used for: {', '.join(done.filled)}", file=sys.stderr)
    if done.result is not None:
        if done.folder is not None and done.benchmark is not None:
            plot(done.benchmark, done.result, done.folder)
        print()
        report(done.result)
    if done.folder is not None:
        print(f"written to: {done.folder}", file=sys.stderr)
    return 0


def _sweep(args: argparse.Namespace) -> int:
    """Run `ecnas naslib sweep`; its options are in `args.overrides`, unparsed; returns 0."""
    from pathlib import Path

    from naslib_ecnas.adapters.naslib_run import Sweep, sweep
    from naslib_ecnas.commands.compare import finish, runs_progress, seed_list
    from naslib_ecnas.console import split_words
    from naslib_ecnas.errors import ConfigError

    parser = argparse.ArgumentParser(prog="ecnas naslib sweep", allow_abbrev=False)
    add = parser.add_argument
    add("--config-file", metavar="FILE", default=args.config_file, help="config with a sweep")
    add("--runner", default="nas", metavar="RUNNER", help="nas, bbo, or a script (%(default)s)")
    add("--optimizers", type=split_words, metavar="A,B", help="NASLib's names (sweep.optimizers)")
    add("--seeds", metavar="N", help="how many seeds, or which: 3,7,9 (sweep.seeds)")
    add("--jobs", type=int, default=1, metavar="N", help="runs in parallel (%(default)s)")
    add("--out", required=True, metavar="DIR", help="folder of the sweep")
    add("--no-plot", action="store_true", help="write no figures")
    add("--json", action="store_true", help="print one JSON object")
    add("overrides", nargs="*", metavar="KEY VALUE", help="values that replace those of the config")
    chosen = parser.parse_intermixed_args(args.overrides)
    if chosen.config_file is None:
        raise ConfigError(f"a sweep needs a config: {_CONFIG} FILE")
    wanted = Sweep.of(
        Path(chosen.config_file),
        chosen.overrides,
        runner=chosen.runner,
        optimizers=chosen.optimizers,
        seeds=None if chosen.seeds is None else seed_list(chosen.seeds),
    )
    out = Path(chosen.out)
    with runs_progress() as on_progress:
        units = sweep(wanted, out, jobs=chosen.jobs, on_progress=on_progress)
    finish(out, units, {}, json=chosen.json, plot=not chosen.no_plot)
    return 0


def _split(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """The config file and the overrides; argparse leaves what follows RUNNER unparsed."""
    rest, config_file = list(args.overrides), args.config_file
    if "-h" in rest or "--help" in rest:
        args.parser.print_help()
        raise SystemExit(0)
    for place, word in enumerate(rest):
        if word == _CONFIG:
            config_file = rest[place + 1] if place + 1 < len(rest) else None
            del rest[place : place + 2]
            break
        if word.startswith(f"{_CONFIG}="):
            config_file = rest.pop(place).partition("=")[2]
            break
    return config_file, rest
