"""Runs of `ecnas compare` and `ecnas naslib sweep`, for a page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.comparison.compare import RULES
from naslib_ecnas.comparison.run_file import Run as Kept
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.json_text import from_json
from naslib_ecnas.search.history import result_of

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.search.result import SearchResult

__all__ = ["compared_runs", "comparisons"]


def comparisons(top: Path) -> list[Path]:
    """The folders of comparisons in a folder, itself included."""
    return sorted(path.parent for path in top.rglob(RULES))


def compared_runs(folder: Path) -> Iterator[tuple[str, SearchResult]]:
    """Every run of a comparison, named by method, table and seed.

    Raises:
        FormatError: a file of it is damaged.
        ConfigError: a run is of another state of its table.
        EcnasError: a table cannot be had.
    """
    try:
        setting = from_json((folder / RULES).read_bytes()).get("setting", {})
    except (OSError, ValueError, AttributeError) as error:
        raise FormatError("is damaged", path=folder / RULES) from error
    for path in sorted((folder / "runs").rglob("seed-*.json")):
        kept = Kept.read(path)
        bench = _bench(kept.table, tuple(sorted(setting.items())))
        if kept.checksum != bench.table.checksum:
            raise ConfigError(
                "a run was made on another state of its table",
                value=str(path),
                expected="runs and table with one checksum",
                remedy="run the comparison again: such runs are made anew",
            )
        yield (
            f"{kept.method}, seed {kept.seed}",
            result_of(
                bench,
                rows=kept.rows,
                epochs=kept.epochs,
                objectives=kept.objectives,
                method=kept.method,
                seed=kept.seed,
                budget=kept.budget,
            ),
        )


@lru_cache(maxsize=4)
def _bench(name: str, setting: tuple[tuple[str, Any], ...]) -> Benchmark:
    from naslib_ecnas.loading import load

    return load(name, **dict(setting))
