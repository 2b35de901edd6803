"""`ecnas compare`: every method on every table with every seed, resumable, as one tidy file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from naslib_ecnas.commands.options import (
    JSON,
    add_limits,
    add_style_options,
    add_table_options,
    chosen,
    command,
    limits_of,
    styled,
    table_options,
)
from naslib_ecnas.comparison.experiment import Grid, compare, rules_of
from naslib_ecnas.comparison.results import FILE, Reference, Summary, gather, summarise
from naslib_ecnas.comparison.worlds import WorldRanking
from naslib_ecnas.console import print_json, print_table, progress, split_words
from naslib_ecnas.errors import ConfigError, MissingDependencyError, check_numbers, counted
from naslib_ecnas.figures.summary import write_figures


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = command(
        parser,
        run,
        "ecnas compare --methods ehvi,semoa:population=20,random --tables 4v,5v \\\n"
        "    --seeds 5 --max-energy 20 --out comparison",
        "ecnas compare --methods my_module:MyMethod --tables 5v \\\n"
        "    --against reference --out mine",
        "ecnas report comparison --out comparison.html",
    )
    about = "methods of `ecnas search`, of other libraries (nsga2, sms-emoa, motpe, optuna-nsga2, "
    about += "nsga3, qnehvi), of your own (module:Class); settings follow a name: "
    about += "semoa:population=20:preset=shipped (%(default)s)"
    add("--methods", "METHODS", about, default="ehvi,semoa,random")
    add("--tables", "TABLES", "tables or files, comma-separated (%(default)s)", default="7v")
    add("--seeds", "N", "how many seeds, or which: 3,7,9 (%(default)s)", default="10")
    add_limits(add, "each run")
    objectives = "energy_kwh,validation_accuracy"
    add("--objectives", "METRICS", "two or more metrics (%(default)s)", default=objectives)
    add("--epochs", "E", "training budget that is compared (the largest)", type=int)
    about = "methods see single noisy trainings; results are measured by the tables' means"
    add("--noise", help=about)
    about = "run in worlds of modelled tables, too: how many, or which: 3,7. Says in how many of "
    about += "them a ranking of the methods holds"
    add("--worlds", "N", about)
    about = "compare all others with this method only, which takes fewer runs; the folder keeps "
    about += "what was chosen before its runs (default: every pair)"
    add("--baseline", "METHOD", about)
    about = "set the runs of another comparison's folder, or those that ship with the package, "
    about += "beside these: DIR or reference"
    add("--against", "DIR", about)
    about = "differences of the hypervolume that do not matter (%(default)s)"
    add("--rope", "SHARE", about, default=0.01)
    about = "simulated workers of each run, which train side by side (%(default)s)"
    add("--workers", "N", about, default=1)
    add("--jobs", "N", "runs in parallel (%(default)s)", default=1)
    about = "run as jobs of a cluster, through submitit"
    add("--cluster", help=about, choices=("slurm", "local"))
    add("--out", "DIR", "folder of the comparison", required=True)
    add_style_options(add)
    add("--no-plot", help="write no figures")
    add(*JSON)
    add_table_options(add)


def run(args: argparse.Namespace) -> None:
    """Run every method on every table with every seed under the same rules, and write one tidy
    file, figures and tables. A stopped comparison continues where it stopped: finished runs are not
    repeated."""
    options = chosen(args, "methods tables objectives epochs noise workers baseline")
    for name in ("methods", "tables", "objectives"):
        options[name] = split_words(options[name])
    options |= limits_of(args) | {"charge_repeats": not args.free_repeats}
    setting, out, look = table_options(args), args.out, styled(args)
    options["worlds"] = () if args.worlds is None else seed_list(args.worlds, "worlds")
    grid = Grid(seeds=seed_list(args.seeds), setting=setting, **options)
    check_numbers("a comparison", least=0, rope=args.rope)
    if args.against is not None:
        if grid.worlds:
            raise ConfigError("other runs are on the tables themselves: --against or --worlds")
        # First, so that what cannot be compared is an error before the runs are made.
        Reference.of(args.against).results(grid.tables, setting, grid.rules())
    with progress():
        units = compare(grid, out, **chosen(args, "jobs cluster"))
    planned = rules_of(out).get("baseline")
    baseline = args.baseline or (planned if planned in grid.methods else None)
    tests = {"against": baseline, "planned": baseline == planned, "rope": args.rope}
    shown_as = {"json": args.json, "plot": not args.no_plot, "look": look}
    finish(out, units, reference=args.against, **shown_as, **tests)


def finish(
    out: Path,
    units: Sequence[Any],
    *,
    json: bool,
    plot: bool,
    look: AbstractContextManager[None] | None = None,
    reference: str | None = None,
    **tests: Any,
) -> None:
    """Write the tidy file, the summaries and the figures of a comparison, and print its report.

    `reference` names the runs to set beside them (see `gather`), `look` gives the style of the
    figures, `tests` are arguments of `summarise`.
    """
    with progress():
        results = gather(out, units, against=reference)
    results.sheet.write(out / FILE)
    if len(results.worlds):
        results.worlds.write(out / "worlds.csv")
    summary = summarise(results, **tests)
    summary.write(out)
    if plot:
        try:
            with look or nullcontext():
                write_figures(results, summary, out)
        except MissingDependencyError as error:
            print(f"figures skipped: {error}", file=sys.stderr)
    if json:
        print_json(summary.document())
    else:
        _report(summary)
        print(f"written to: {out}")


def _report(summary: Summary) -> None:
    for table, lines in summary.by_table().items():
        print(f"\n{table}: share of the true front's hypervolume, median (quartiles) over seeds\n")
        headings = ["method", "hypervolume", "area", "IGD+", "evaluations", "kWh", "rank"]
        for other in {line.against for line in lines} - {""}:  # one, or none to compare with
            headings += [f"beats {other}", "p"]
        shown = [line.shown()[: len(headings)] for line in lines]
        print_table(headings, shown, right=range(1, len(headings)))
    overall = summary.findings.overall()
    if len(summary.findings.scores.tables) > 1:
        about = "interquartile mean of the runs (95 % interval over seeds) and mean rank of tables"
        print(f"\n{counted(overall[0]['tables'], 'table')}: {about}\n")
        shown = [
            (
                line["method"],
                f"{line['interquartile_mean']:.4f} ({line['lower']:.4f}-{line['upper']:.4f})",
                f"{line['mean_rank']:.2f}",
            )
            for line in overall
        ]
        print_table(("method", "hypervolume", "rank"), shown, right=(1, 2))
    for note in summary.notes:
        print(f"\n{note}")
    for ranking in summary.worlds:
        _report_worlds(ranking)
    print()


def _report_worlds(ranking: WorldRanking) -> None:
    worlds = counted(len(ranking.worlds), "world")
    about = "hypervolume on the table and, median (quartiles), in the worlds; number of worlds in "
    about += "which a method is the best, and better than another"
    print(f"\n{ranking.table} and {worlds} as plausible: {about}\n")
    headings = ("method", "table", "worlds", "best", *(f"> {name}" for name in ranking.methods))
    print_table(headings, ranking.shown(), right=range(1, len(headings)))
    holds = ranking.order_holds.tolist()
    print(f"\norder on the table: {' > '.join(ranking.methods)}")
    print(f"    holds in {holds[-1]} of {worlds}, its first place in {holds[0]}")


def seed_list(text: str, what: str = "seeds") -> tuple[int, ...]:
    """Seeds (or worlds) from `"10"` (seeds 0 to 9) or from a list such as `"3,7,9"`.

    Raises:
        ConfigError: the text is neither.
    """
    try:
        numbers = [int(word) for word in split_words(text)]
    except ValueError:
        numbers = []
    one = len(numbers) == 1 and "," not in text
    if not numbers or (one and numbers[0] < 1):
        raise ConfigError(f"{what} must be their number, such as 10, or a list: 3,7,9", value=text)
    return tuple(range(numbers[0]) if one else numbers)
