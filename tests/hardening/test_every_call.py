"""Every public call with every kind of bad argument: a typed error that says what and what to do.

Arguments that are objects of this package (a benchmark, a table, a space) are left to the type
checker; what a user types, counts, computes or reads from somewhere is not.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from call_cases_files import FILES
from call_cases_search import SEARCHES
from call_kinds import Call

from naslib_ecnas.errors import EcnasError

CALLS: dict[str, Call] = {**SEARCHES, **FILES}
#: Packages whose `__all__` is public, and folders whose modules' are.
PACKAGES = ("", "search", "analysis", "energy", "campaign", "report", "training")
FOLDERS = ("comparison", "figures")
#: Modules of folders that are internal otherwise.
MODULES = (
    *("loading", "network", "nondominated", "quality", "nasbench101"),
    *("data.carbon", "data.catalog", "data.convert", "data.fetch", "data.results_tree"),
    *("data.table", "data.nasbench_tfrecord", "data.nasbench_pickle"),
    *("surrogate.calibrate", "surrogate.models", "surrogate.evaluate", "surrogate.modelled"),
    "surrogate.paper",
)
#: Public names that are not called with bad arguments, by the reason.
EXEMPT: dict[str, str] = {
    "what calls give back, which users do not make": """
        Front Metric Provenance Record Records Spent
        analysis.AnytimeBand analysis.AttainmentDifference analysis.AttainmentSurface
        analysis.FriedmanTest analysis.PairComparison analysis.Scale
        campaign.Done campaign.Measurement campaign.Status campaign.Unit campaign.Validation
        comparison.compare.SearchUnit comparison.compare.Unit comparison.results.Results
        comparison.results.Yardstick comparison.results.Line comparison.results.Summary
        data.carbon.CarbonIntensity data.catalog.Catalog data.catalog.Citation
        data.catalog.ColumnGroup data.catalog.FileEntry data.catalog.TableEntry data.fetch.Limits
        data.convert.Format data.convert.Verdict data.table.View
        energy.Baseline energy.CpuState energy.GpuProcess energy.GpuState energy.Net
        energy.PartsCheck energy.Reading
        figures.budgets.Clouds figures.devices.DeviceEnergies figures.predictions.LearningCurve
        figures.predictions.Predictions figures.tables.Saved files.Sheet
        figures.summary.Study figures.swaps.Swaps
        quality.Quality quality.QualityLine report.Page report.Run quality.Scores
        search.Batch search.SearchConfig search.SearchResult
        surrogate.calibrate.Calibration surrogate.calibrate.Measurements
        surrogate.calibrate.Report surrogate.calibrate.Suspicious surrogate.models.DeviceModel
        training.Cifar10 training.TrainingRecord""",
    "a protocol, an abstract class or a type": """
        analysis.Reference energy.Meter energy.OpenWindow search.Optimiser""",
    "takes objects of this package and numbers that they hold": """
        analysis.friedman analysis.mean_ranks campaign.measure_unit comparison.execute.submit
        comparison.compare.clear comparison.compare.missing comparison.results.gather
        comparison.results.summarise
        data.convert.cached_table data.convert.columns_of data.fetch.fetch data.fetch.local_copy
        energy.check_parts energy.net figures.tables.saved figures.tables.spaces_sheet
        figures.summary.chosen_sheet figures.summary.mean_quantities
        nondominated.candidates nondominated.complete report.html
        surrogate.calibrate.measurements_of
        training.Network training.RMSProp training.build training.train""",
    "draws or writes what this package has made and checked": """
        figures.budgets.clouds_figure figures.summary.anytime_bands
        figures.summary.comparison_figure figures.summary.write_figures
        figures.devices.devices_figure figures.drawing.add_caption figures.drawing.line_of
        figures.drawing.new_figure
        figures.drawing.origins figures.drawing.save figures.drawing.style figures.front.axis_unit
        figures.front.front_figure figures.front.front_panel figures.front.scale_axes
        figures.predictions.predictions_figure figures.summary.radar figures.summary.radar_limits
        figures.summary.attainment_sheet figures.summary.attainment_surfaces
        figures.summary.fronts_sheet figures.summary.methods_figure figures.summary.summary_caption
        figures.summary.summary_figure figures.swaps.swapped figures.swaps.swaps_figure
        data.nasbench_tfrecord.write_ecnas_records data.nasbench_tfrecord.write_nasbench
        data.nasbench_tfrecord.write_nasbench_records""",
    "takes nothing, or says what is there": """
        comparison.compare.names data.carbon.countries data.catalog.catalog data.catalog.tables
        data.convert.tables_folder data.fetch.downloads_folder data.results_tree.is_results_tree
        surrogate.models.is_synthetic surrogate.models.shipped network.channels
        comparison.compare.seeds_of comparison.execute.only_one""",
    "is read to its end by readers that are here": """
        data.nasbench_tfrecord.read_ecnas_records data.nasbench_tfrecord.read_nasbench_records""",
    "answers as NAS-Bench-101's own class does, by is_valid_spec and its own errors": """
        nasbench101.ModelSpec""",
}


def public() -> dict[str, Any]:
    """Every public callable by its dotted name below the package."""
    homes = [*PACKAGES, *MODULES]
    for folder in FOLDERS:
        package = import_module(f"naslib_ecnas.{folder}")
        homes += [f"{folder}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    found = {}
    for home in homes:
        module = import_module("naslib_ecnas" + (f".{home}" if home else ""))
        for name in module.__all__:
            if callable(getattr(module, name)):
                found[f"{home}.{name}".lstrip(".")] = getattr(module, name)
    return found


def test_every_public_call_has_its_bad_arguments() -> None:
    """A new public name must be added to the calls, or to the exempt with a reason."""
    found = public()
    exempt = {name for names in EXEMPT.values() for name in names.split()}
    errors = {
        name
        for name, value in found.items()
        if inspect.isclass(value) and issubclass(value, EcnasError)
    }
    assert set(found) - errors - exempt - set(CALLS) == set()
    assert (exempt | set(CALLS)) - set(found) == set(), "names that are no more"
    assert exempt & set(CALLS) == set()


@pytest.fixture
def things(
    warm: Path,
    small_file: Path,
    small_columns: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SimpleNamespace]:
    """Good arguments."""
    from naslib_ecnas import search
    from naslib_ecnas.analysis import PairedScores, Scale
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.campaign import Cluster, DataChoice, Settings, make_plan
    from naslib_ecnas.comparison.compare import Grid, Run
    from naslib_ecnas.data import catalog, convert
    from naslib_ecnas.data.table import Table
    from naslib_ecnas.energy import NullMeter, Window
    from naslib_ecnas.progress import Silent
    from naslib_ecnas.report import gather
    from naslib_ecnas.space import Space
    from naslib_ecnas.surrogate.calibrate import measurements_of
    from naslib_ecnas.surrogate.models import shipped

    monkeypatch.chdir(tmp_path)
    (tmp_path / "GARBAGE").write_bytes(b"nothing that anybody could read\n" * 40)
    bench = Benchmark(Table.open(small_file))
    names = ("energy_kwh", "validation_accuracy")
    points = np.array([[0.2, 0.5], [0.4, 0.9]])
    found = search.run(bench, "random", evaluations=4, seed=0, out=tmp_path / "found")
    Run.of(found, table="small").write(tmp_path / "run.json")
    convert.write_csv(tmp_path / "made.csv", small_columns)
    data = DataChoice(kind="synthetic", images_per_file=4)
    make_plan((0, 2), name="x", vertices=4, data=data).write(tmp_path / "campaign")
    (tmp_path / "curve.json").write_text(json.dumps([{"size": 5, "mae_wh": 0.5}]))
    return SimpleNamespace(
        bench=bench,
        space=Space(4),
        rng=np.random.default_rng(0),
        names=names,
        points=points,
        scale=Scale.of(points, names),
        scores=PairedScores.of(
            {"a": dict(enumerate(range(8))), "b": dict(enumerate(range(3, 11)))}, maximise=True
        ),
        data=data,
        settings=Settings(meter="none", steps=1, batch_size=2, evaluate_images=2, baseline_s=0),
        cluster=Cluster(kind="local"),
        campaign=tmp_path / "campaign",
        null_meter=NullMeter(),
        window=Window("x", "x", 0, None, 0.0, 1.0, 0.0, 1.0).to_json(),
        run=tmp_path / "found",
        run_file=tmp_path / "run.json",
        grid=Grid(("random",), (str(small_file),), (0,), 4),
        catalog=Path(catalog.__file__).with_name("catalog.toml"),
        csv=tmp_path / "made.csv",
        curve=tmp_path / "curve.json",
        table=small_file,
        columns=small_columns,
        weights=shipped("devices"),
        measurements=measurements_of(bench.table),
        page=gather(bench),
        silent=Silent(),
        tmp=tmp_path,
    )


def fault_of(call: Any, arguments: dict[str, Any]) -> str:
    """What is wrong with how a call is refused; empty where nothing is."""
    try:
        call(**arguments)
    except EcnasError as error:
        if "\n" in str(error) or not 15 < len(str(error)) < 1500:
            return f"is no sentence: {str(error)[:100]!r}, {len(str(error))} characters"
        return ""
    except Exception as error:  # noqa: BLE001 - every fault is to be shown
        return f"{type(error).__name__}: {str(error)[:150]}"
    return "is accepted"


@pytest.mark.parametrize("name", CALLS)
def test_bad_arguments_are_refused(name: str, things: SimpleNamespace) -> None:
    case = CALLS[name]
    if name.startswith("training") or name in ("campaign.work", "surrogate.paper.PaperModel"):
        pytest.importorskip("torch")
    if name == "data.convert.write_parquet":
        pytest.importorskip("pyarrow")
    call = public()[name] if case.function is None else case.function(things)
    faults = []
    for argument, values in case.bad.items():
        for value in values:
            shown = f"{argument}={str(value)[:50]!r}"
            fault = fault_of(call, {**case.good(things), argument: value})
            if fault:
                faults.append(f"{name}({shown}) {fault}")
    for changes in case.more:
        fault = fault_of(call, {**case.good(things), **changes})
        if fault:
            faults.append(f"{name}({changes}) {fault}")
    assert not faults, "\n".join(faults)
