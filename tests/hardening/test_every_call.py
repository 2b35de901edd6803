"""Every public call with every kind of bad argument: a typed error that says what and what to do.

A wrong type of an argument that is an object of this package (a benchmark, a scale) counts as bad.
"""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from call_cases import ARGUMENTS, BY_NAME, BY_TYPE, CALLS, GOOD, OTHERS, Thing

from naslib_ecnas.errors import EcnasError

#: Public names, or patterns of them, that are not called with bad arguments, by the reason.
EXEMPT: dict[str, str] = {
    "what calls give back, which users do not make": """
        Front Metric Provenance Record Records Spent
        adapters.naslib_run.NaslibRun
        analysis.AnytimeBand
        analysis.Estimate analysis.PairTest analysis.Practical analysis.Profile
        analysis.RankTest analysis.Scale
        campaign.Done campaign.Measurement campaign.Status campaign.Unit campaign.Validation
        comparison.Findings comparison.Line comparison.Results comparison.Summary comparison.Unit
        comparison.WorldRanking
        data.carbon.CarbonIntensity data.catalog.Citation data.catalog.FileEntry
        data.catalog.TableEntry
        energy.Baseline energy.CpuState energy.GpuProcess energy.GpuSetup energy.GpuState energy.Net
        energy.PartsCheck energy.Reading
        figures.Clouds figures.DeviceEnergies figures.LearningCurve figures.Predictions
        figures.Saved figures.Study figures.Swaps
        quality.Quality quality.QualityLine quality.Scores report.Page report.Run report.Finding
        search.Batch search.SearchConfig search.SearchResult
        surrogate.calibrate.Calibration surrogate.calibrate.Measurements
        surrogate.calibrate.Report surrogate.calibrate.Suspicious
        training.Cifar10 training.TrainingRecord""",
    "a protocol, an abstract class or a type": """
        energy.Meter energy.OpenWindow progress.Progress progress.listening search.Optimiser""",
    "takes objects of this package and numbers that they hold": """
        analysis.friedman analysis.groups analysis.mean_ranks campaign.measure_unit
        comparison.gather comparison.summarise report.find_findings
        energy.check_parts energy.net figures.spaces_sheet report.html
        surrogate.calibrate.measurements_of surrogate.features.features
        training.Network training.RMSProp training.build training.train""",
    "draws or writes what this package has made and checked": "figures.*_figure figures.save",
    "takes nothing, or says what is there": """
        comparison.method_names data.carbon.countries data.catalog.tables network.channels""",
    "the same as energy.EnergyMeter": "EnergyMeter",
    "answers as NAS-Bench-101's own class does, by is_valid_spec and its own errors": """
        nasbench101.ModelSpec ecnasbench.ModelSpec""",
    "is tested with its library": "adapters.* energy.*_callback",
}

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def public() -> set[str]:
    """The names of docs/api.md, below the package."""
    return set(re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def named(dotted: str) -> Any:
    """What a name below the package stands for; it may be a method of a class."""
    home, _, name = f"naslib_ecnas.{dotted}".rpartition(".")
    outer, _, holder = home.rpartition(".")
    module = import_module(outer if holder[0].isupper() else home)
    return getattr(getattr(module, holder) if holder[0].isupper() else module, name)


def test_every_public_call_has_its_bad_arguments() -> None:
    """A new public name must be added to the calls, or to the exempt with a reason.

    The calls may be more than the public names; a method stands for its class.
    """
    exempt = {
        pattern: set(fnmatch.filter(public(), pattern))
        for patterns in EXEMPT.values()
        for pattern in patterns.split()
    }
    assert [pattern for pattern, names in exempt.items() if not names] == []
    free = set().union(*exempt.values())
    called = set(CALLS) | {name.rpartition(".")[0] for name in CALLS}
    rest = {name: named(name) for name in public() - free - called}
    errors = {n for n, v in rest.items() if inspect.isclass(v) and issubclass(v, Exception)}
    assert {n for n, v in rest.items() if callable(v)} - errors == set()
    assert free & called == set()


def bad_values(name: str) -> Iterator[tuple[str, Any]]:
    """The arguments of a call, each with every value that is not possible."""
    special = CALLS[name]
    for argument, about in inspect.signature(named(name)).parameters.items():
        types, own = str(about.annotation).split(" | "), special.get(argument)
        if own == ():
            continue
        kind = types[0] if set(types[1:]) <= {"None"} else ""
        follows = BY_NAME.get(argument, OTHERS.get(kind, ())) if own is None else ()
        for value in (*BY_TYPE.get(kind, ()), *follows):
            if value is not None or "None" not in types:
                yield argument, Path(value) if kind == "Path" else value
        yield from ((argument, value) for value in own or ())


@pytest.fixture(scope="module")
def things(
    small_file: Path, small_columns: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Good arguments, by the names of arguments or those that the cases give them."""
    from naslib_ecnas import search
    from naslib_ecnas.analysis import RunScores, Scale
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.campaign import Cluster, DataChoice, Settings, make_plan
    from naslib_ecnas.comparison import Grid, Run
    from naslib_ecnas.data import long_form
    from naslib_ecnas.data.table import Table
    from naslib_ecnas.energy import NullMeter, Window
    from naslib_ecnas.report import gather
    from naslib_ecnas.space import Space
    from naslib_ecnas.surrogate import shipped
    from naslib_ecnas.surrogate.calibrate import measurements_of

    tmp_path = tmp_path_factory.mktemp("things")
    (tmp_path / "GARBAGE").write_bytes(b"nothing that anybody could read\n" * 40)
    bench, rng = Benchmark(Table.open(small_file)), np.random.default_rng(0)
    names = ("energy_kwh", "validation_accuracy")
    points = np.array([[0.2, 0.5], [0.4, 0.9]])
    found = search.run(bench, "random", evaluations=4, seed=0, out=tmp_path / "found")
    Run.of(found, table="small").write(tmp_path / "run.json")
    long_form.write_csv(tmp_path / "made.csv", small_columns)
    data = DataChoice(kind="synthetic", images_per_file=4)
    make_plan((0, 2), name="x", vertices=4, data=data).write(tmp_path / "campaign")
    scores = {name: {"4v": [0.1, 0.2], "5v": [0.3]} for name in "ab"}
    settings = Settings(meter="none", steps=1, batch_size=2, evaluate_images=2, baseline_s=0)
    made = {"rng": rng, "space": Space(4), "bench": bench}
    made |= {"problem": search.Problem(Space(4), rng), "objectives": names, "values": points}
    made |= {"costs": points, "front": points, "scale": Scale.of(points, names)}
    made |= {"scores": RunScores.of(scores, maximise=True), "data": data}
    made |= {"settings": settings, "cluster": Cluster(kind="local")}
    made |= {"grid": Grid(("random",), (str(small_file),), (0,), 4), "page": gather(bench)}
    made |= {"table": bench.table, "path": small_file, "columns": small_columns}
    made |= {"measurements": measurements_of(bench.table), "weights": shipped("devices")}
    made |= {"provenance": {"energy_kwh": bench.provenance["energy_kwh"]}}
    made |= {"window": Window("x", "x", 0, None, 0.0, 1.0, 0.0, 1.0).to_dict()}
    made |= {"null_meter": NullMeter(), "tmp": tmp_path}
    places = {"folder": "campaign", "run": "found", "run_file": "run.json", "csv": "made.csv"}
    places |= {"new_csv": "x.csv", "out": "compared"}
    return made | {name: tmp_path / file for name, file in places.items()}


def good_arguments(name: str, things: dict[str, Any]) -> dict[str, Any]:
    """An accepted value for each argument of a call that has no default."""
    good = {
        argument: GOOD.get(argument, Thing(argument))
        for argument, about in inspect.signature(named(name)).parameters.items()
        if about.default is about.empty and about.kind is not about.VAR_KEYWORD
    } | ARGUMENTS.get(name, {})
    for each, held in good.items():
        if isinstance(held, Thing):
            good[each] = things[held]
        elif isinstance(held, list) and held and isinstance(held[0], Thing):
            good[each] = [things[held[0]]]
    return good


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
def test_bad_arguments_are_refused(
    name: str, things: dict[str, Any], warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(things["tmp"])
    if name.startswith(("training.", "campaign.work", "surrogate.paper.PaperModel")):
        pytest.importorskip("torch")
    if name == "data.long_form.write_parquet":
        pytest.importorskip("pyarrow")
    call, faults = named(name), []
    for argument, value in bad_values(name):
        fault = fault_of(call, good_arguments(name, things) | {argument: value})
        if fault:
            faults.append(f"{name}({argument}={str(value)[:90]}) {fault}")
    assert not faults, "\n".join(faults)


#: Calls of each room that take whole numbers and are done at once.
QUICK = """Space Benchmark.query nasbench101.NASBench search.run search.Limits search.Semoa
    search.Ehvi search.result_of analysis.checkpoints campaign.make_plan campaign.Cluster
    training.synthetic surrogate.calibrate.choose"""


@pytest.mark.parametrize("name", QUICK.split())
def test_integers_of_numpy_are_taken(
    name: str, things: dict[str, Any], warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(things["tmp"])
    if name.startswith("training."):
        pytest.importorskip("torch")
    taken = 0
    for argument, about in inspect.signature(named(name)).parameters.items():
        good = good_arguments(name, things)
        value = good.get(argument, {"epochs": 4, "repeat": 0, "seed": 3}.get(argument))
        value = about.default if value is None else value
        if "int" in str(about.annotation).split(" | ") and isinstance(value, int):
            named(name)(**good | {argument: np.int64(value)})
            taken += 1
    assert taken
