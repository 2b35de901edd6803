"""Make the reference results that ship with the package: methods x seeds x tables.

`python benchmarks/reference.py --out FOLDER --jobs 2` makes the runs that the folder lacks, in some
minutes, and packs them as `data/reference_runs.jsonl.gz`. Run it anew, in a new folder, when a
table or a method has changed.
"""

from __future__ import annotations

import argparse
import gzip
import platform
from importlib.metadata import version
from pathlib import Path

from naslib_ecnas.comparison import Grid, compare
from naslib_ecnas.comparison.results import Reference
from naslib_ecnas.console import progress
from naslib_ecnas.files import to_json

TABLES = ("4v", "5v", "7v")
SEEDS = tuple(range(10))
#: Folder -> methods and the limit of each run. Trainings of methods that use several budgets are
#: many and cheap.
GRIDS = {
    "full": (
        ("ehvi", "semoa", "semoa:preset=shipped", "mse-hvi", "ls", "re", "random"),
        {"evaluations": 400},
    ),
    "several": (("sh-emoa", "mf-ehvi"), {"max_energy_kwh": 50.0}),
}
_TARGET = Path(__file__).parents[1] / "data" / "reference_runs.jsonl.gz"


def main() -> None:
    """Make, pack and say how large the file is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    runs = []
    for name, (methods, limits) in GRIDS.items():
        with progress():
            grid = Grid(methods, TABLES, SEEDS, **limits)
            compare(grid, args.out / name, jobs=args.jobs)
        runs += Reference.of(str(args.out / name)).runs
    versions = {name: version(name) for name in ("naslib-ecnas", "numpy", "scipy")}
    versions["python"] = platform.python_version()
    lines = [to_json({"versions": versions}), *(run.to_json() for run in runs)]
    packed = gzip.compress("\n".join(lines).encode(), compresslevel=9, mtime=0)
    _TARGET.write_bytes(packed)  # equal runs give equal bytes
    print(f"{len(runs)} runs, {_TARGET.stat().st_size:,} bytes: {_TARGET}")


if __name__ == "__main__":
    main()
