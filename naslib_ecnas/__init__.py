"""EC-NAS for NASLib: NAS-Bench-101's cells with the energy of their training.

    import naslib_ecnas as ecnas

    bench = ecnas.load("7v")
    record = bench.query(ecnas.Cell(matrix, ops))
    record.energy_kwh, record.validation_accuracy

Names are imported when they are first used, so that importing the package costs little.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from naslib_ecnas._version import __version__ as __version__
from naslib_ecnas.lazy import lazily

if TYPE_CHECKING:
    from naslib_ecnas import adapters as adapters
    from naslib_ecnas import analysis as analysis
    from naslib_ecnas import campaign as campaign
    from naslib_ecnas import comparison as comparison
    from naslib_ecnas import data as data
    from naslib_ecnas import ecnasbench as ecnasbench
    from naslib_ecnas import energy as energy
    from naslib_ecnas import errors as errors
    from naslib_ecnas import figures as figures
    from naslib_ecnas import nasbench101 as nasbench101
    from naslib_ecnas import network as network
    from naslib_ecnas import progress as progress
    from naslib_ecnas import quality as quality
    from naslib_ecnas import report as report
    from naslib_ecnas import search as search
    from naslib_ecnas import surrogate as surrogate
    from naslib_ecnas import training as training
    from naslib_ecnas.benchmark import Benchmark as Benchmark
    from naslib_ecnas.cell import Cell as Cell
    from naslib_ecnas.energy import EnergyMeter as EnergyMeter
    from naslib_ecnas.errors import EcnasError as EcnasError
    from naslib_ecnas.loading import load as load
    from naslib_ecnas.metrics import METRICS as METRICS
    from naslib_ecnas.metrics import Metric as Metric
    from naslib_ecnas.metrics import metric as metric
    from naslib_ecnas.provenance import Provenance as Provenance
    from naslib_ecnas.records import Front as Front
    from naslib_ecnas.records import Record as Record
    from naslib_ecnas.records import Records as Records
    from naslib_ecnas.records import Spent as Spent
    from naslib_ecnas.space import Space as Space

__all__, __getattr__ = lazily(__name__)
__all__ += ["__version__"]

# In a checkout that is on the path without being installed, data/ and adapters/ lie beside this
# folder and not in it.
if not (Path(__file__).parent / "data").exists():
    _checkout = Path(__file__).parent.parent
    if (_checkout / "data" / "table.py").exists():
        __path__.append(str(_checkout))
