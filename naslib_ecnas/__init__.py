"""EC-NAS for NASLib: NAS-Bench-101's cells with the energy of their training.

    import naslib_ecnas as ecnas

    bench = ecnas.load("7v")
    record = bench.query(ecnas.Cell(matrix, ops))
    record.energy_kwh, record.validation_accuracy

Names are imported when they are first used, so that importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas._version import __version__

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark, Front, Record, Records, Spent
    from naslib_ecnas.cell import Cell
    from naslib_ecnas.errors import EcnasError
    from naslib_ecnas.loading import load
    from naslib_ecnas.metrics import METRICS, Metric, metric
    from naslib_ecnas.provenance import Provenance
    from naslib_ecnas.space import Space

__all__ = [
    "METRICS",
    "Benchmark",
    "Cell",
    "EcnasError",
    "Front",
    "Metric",
    "Provenance",
    "Record",
    "Records",
    "Space",
    "Spent",
    "__version__",
    "load",
    "metric",
]

_HOME = {
    "Benchmark": "benchmark",
    "load": "loading",
    "Cell": "cell",
    "EcnasError": "errors",
    "METRICS": "metrics",
    "Metric": "metrics",
    "metric": "metrics",
    "Provenance": "provenance",
    "Front": "benchmark",
    "Record": "benchmark",
    "Records": "benchmark",
    "Spent": "benchmark",
    "Space": "space",
}

# In a checkout that is on the path without being installed, data/ and adapters/ lie beside this
# folder and not in it.
if not (Path(__file__).parent / "data").exists():
    _checkout = Path(__file__).parent.parent
    if (_checkout / "data" / "table.py").exists():
        __path__.append(str(_checkout))


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
