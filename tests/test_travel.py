"""Public objects in other processes: by pickle, copy, fork and the tools that use them."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import analysis, campaign, comparison, figures, nasbench101, quality, search
from naslib_ecnas.adapters.choices import Choices, Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.carbon import carbon_intensity
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.energy import NullMeter
from naslib_ecnas.errors import (
    ChecksumError,
    InvalidCellError,
    MissingDependencyError,
    SeparateCounterWarning,
    StorageError,
    UnknownTableError,
)
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.surrogate.calibrate import measurements_of

ROWS = [3, 7, 50]
SPEC = nasbench101.ModelSpec([[0, 1], [0, 0]], ["input", "output"])


def table(path: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    names = ("energy_kwh", "validation_accuracy", "training_time_s")
    values = {name: rng.random((80, 2, 2)) for name in names}
    origin = dict.fromkeys(names, Provenance("measured", device="GPU", pue=1.5))
    write_table(path, Columns("own", 4, np.arange(80, dtype="i4"), (4, 12), 2, values, origin))
    return path


def objects(folder: Path) -> dict[str, Any]:
    """Public objects by name."""
    bench = ecnas.load("4v")
    own = Benchmark(Table.open(table(folder / "own.ecnas")))
    own.query(3)
    result = search.run(bench, "semoa", evaluations=20, seed=0)
    with NullMeter() as meter, meter.window("work"):
        pass
    whole = {
        "bench": bench,
        "own": own,
        "loaded": ecnas.load(folder / "own.ecnas", pue=1.1),
        "view": own.at(pue=1.2, carbon_intensity=300).at(pue=1.3),
        "device": ecnas.load("4v", device="titan-xp", carbon_intensity="dk"),
        "table": own.table,
        "nasbench": nasbench101.NASBench(own, seed=0),
        "spec": SPEC,
        "record": own.query(5, 4),
        "records": own.query_many(ROWS, 4),
        "front": own.front(),
        "spent": own.spent,
        "cell": ecnas.Cell.from_row(5),
        "space": bench.space,
        "metric": ecnas.metric("energy_kwh"),
        "provenance": own.provenance["energy_kwh"],
        "quality": bench.quality,
        "result": result,
        "config": result.config,
        "errors": [
            InvalidCellError("no cell", rule="syntax", value=3),
            MissingDependencyError("torch", feature="training", extra="measure"),
            StorageError("the disk is full", remedy="free some space"),
        ],
        "limits": search.Limits(evaluations=5),
        "scale": analysis.Scale.of(own.front().values, own.front().objectives),
        "grid": comparison.Grid(("random", "semoa"), ("4v",), (0, 1), 4),
        "unit": comparison.Unit("4v", "random", 0),
        "windows": meter.windows,
        "evaluation": Evaluation(own),
        "choices": Choices(own.space, own.rows),
        "outcome": Evaluation(own, constraints={"energy_kwh": 0.5})(5),
    }
    units = comparison.compare(whole["grid"], folder / "compared")
    results = comparison.gather(folder / "compared", units)
    found = search.run(bench, "random", evaluations=4, seed=0)
    data = campaign.DataChoice(kind="synthetic")
    plan = campaign.make_plan((0, 2), name="x", vertices=4, data=data)
    whole |= {
        "columns": own.table.to_columns(),
        "carbon": carbon_intensity("dk"),
        "scores": quality.scores([1.0, 2.0], [1.0, 3.0]),
        "batch": search.Batch(np.array([1], dtype=np.int32), 4),
        "compared": [results, comparison.summarise(results), comparison.Run.of(found, table="4v")],
        "study": figures.study(bench, ["random"], seeds=1, evaluations=4),
        "campaign": [plan, campaign.Pace(), campaign.Cluster(kind="local")],
        "settings": campaign.Settings(meter="none"),
        "measurements": measurements_of(own.table),
    }
    for name in comparison.method_names():
        with suppress(ImportError):
            kind, rng = comparison.method_class(name), np.random.default_rng(0)
            problem = search.Problem(own.space, rng, rows=own.rows, budgets=(4, 12))
            method = kind(problem)
            method.tell([3, 7], [[0.2, 0.5], [0.4, 0.1]])
            whole[f"method {name}"] = method
    for library, kind_of in (("optuna", "EcnasObjective"), ("pymoo", "EcnasProblem")):
        with suppress(ImportError):
            host = import_module(f"naslib_ecnas.adapters.{library}_host")
            whole[library] = getattr(host, kind_of)(own, epochs=4)
    with suppress(ImportError):
        from naslib_ecnas.adapters.naslib_space import dataset_api

        chosen = {"metrics": ["validation_accuracy", "energy_kwh"], "weights": [0.5, 0.5]}
        whole["dataset_api"] = dataset_api(own, objectives=chosen)
    return whole


def plain(value: Any) -> Any:
    """Something as JSON has it, with all digits."""
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return repr(value)


def _of_benchmark(bench: Benchmark) -> Any:
    asked = bench.query_many(ROWS, 4).columns, bench.query(5, 4), bench.front(epochs=4)
    return [bench.name, bench.table.checksum, *asked, bench.provenance, bench.spent]


def _of_api(api: dict[str, Any]) -> Any:
    from naslib_ecnas.adapters.naslib_metrics import Objective

    assert api["nb101_data"].benchmark is api["ecnas"]
    spec = api["api"].ModelSpec(SPEC.original_matrix, SPEC.original_ops)
    wanted = api["recorder"].recording(Objective("validation_accuracy"))
    noted = wanted.of(api["ecnas"].query(5, 4))
    return [api["nb101_data"].is_valid(spec), noted, api["dataset"]]


#: What objects are asked that do not say everything by themselves, by name or type.
ASKED: dict[Any, Callable[[Any], Any]] = {
    Benchmark: _of_benchmark,
    Table: lambda table: [table.record(3, 0, 0), table.checksum],
    search.Optimiser: lambda method: vars(method.ask()) if method.uses_budgets else method.ask(),
    nasbench101.NASBench: lambda api: [dict(api.query(SPEC, 4)), api.get_budget_counters()],
    nasbench101.ModelSpec: lambda spec: spec.hash_spec(),
    Evaluation: lambda evaluation: evaluation.values(ROWS),
    Choices: lambda choices: choices.decode(choices.encode(ROWS)),
    quality.Quality: str,
    "optuna": lambda one: [one.choices.params(3), one.evaluation.values(ROWS)],
    "pymoo": lambda one: one.evaluate(np.array(ROWS)[:, None]),
    "dataset_api": _of_api,
}


def answer(name: str, thing: Any) -> Any:
    """What an object answers, for comparison with what its copies do."""
    kinds = [kind for kind in ASKED if isinstance(kind, type) and isinstance(thing, kind)]
    ask = ASKED.get(name) or (ASKED[kinds[0]] if kinds else plain)
    return plain(ask(thing))


def test_copies_and_pickles_answer_alike_here_and_elsewhere(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Elsewhere is another process with another cache."""
    things = objects(tmp_path)
    pickled = {name: pickle.dumps(thing) for name, thing in things.items()}
    for name in ("bench", "own", "loaded", "view", "device", "table", "nasbench"):
        assert len(pickled[name]) < 6_000, f"is the table in the pickle of {name}?"
    again = [pickled, {name: pickle.dumps(copy.deepcopy(thing)) for name, thing in things.items()}]
    expected = {name: answer(name, thing) for name, thing in things.items()}
    copied = {name: pickle.loads(text) for name, text in pickled.items()}  # noqa: S301
    assert {name: answer(name, thing) for name, thing in copied.items()} == expected
    (tmp_path / "objects.pickle").write_bytes(pickle.dumps(again))
    code = (
        "import importlib.util, json, pickle, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "spec = importlib.util.spec_from_file_location('travel', sys.argv[1])\n"
        "travel = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(travel)\n"
        "again = pickle.load(open(sys.argv[2], 'rb'))\n"
        "loaded = [{n: pickle.loads(t) for n, t in each.items()} for each in again]\n"
        "print(json.dumps([{n: travel.answer(n, t) for n, t in each.items()} for each in loaded]))"
    )
    cache = tmp_path_factory.mktemp("other-cache")
    out = subprocess.run(
        [sys.executable, "-c", code, __file__, str(tmp_path / "objects.pickle")],
        env={**os.environ, "ECNAS_CACHE": str(cache)},
        cwd=cache,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    for found in json.loads(out):
        for name in things:
            assert found[name] == json.loads(json.dumps(expected[name])), name


def test_another_table_at_the_same_place_is_an_error(tmp_path: Path) -> None:
    path = table(tmp_path / "own.ecnas", seed=2)  # content that no other test has open
    bench = ecnas.load(path)
    text = pickle.dumps(bench.at(pue=1.2))
    table(path, seed=1)
    with pytest.raises(ChecksumError, match="where it was pickled"):
        pickle.loads(text)  # noqa: S301
    path.unlink()
    with pytest.raises(UnknownTableError):
        pickle.loads(text)  # noqa: S301
    assert bench.query(3).energy_kwh > 0  # its own file is still open


def test_copies_count_for_themselves(tmp_path: Path) -> None:
    bench = Benchmark(Table.open(table(tmp_path / "own.ecnas")))
    bench.query(3)
    for again in (copy.copy(bench), copy.deepcopy(bench), pickle.loads(pickle.dumps(bench))):  # noqa: S301
        again.query_many([5, 6])
        assert (bench.spent.evaluations, again.spent.evaluations) == (1, 3)
    assert copy.deepcopy(bench).table is bench.table
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bench.query, [3] * 2_000))
    assert bench.spent.evaluations == 2_001


def test_a_closed_benchmark_leaves_no_descriptor(tmp_path: Path) -> None:
    path, folder = table(tmp_path / "own.ecnas"), Path(f"/proc/{os.getpid()}/fd")
    if not folder.is_dir():
        pytest.skip("no /proc here")

    def held() -> int:
        return sum(os.path.realpath(one) == str(path) for one in folder.iterdir())

    with ecnas.load(path) as bench:
        bench.query(3)
        assert held()
    assert held() == 0
    bench = ecnas.load(path)
    bench.values("energy_kwh")
    del bench
    assert held() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
def test_a_fork_warns_once_and_its_count_is_brought_back(tmp_path: Path) -> None:
    bench = Benchmark(Table.open(table(tmp_path / "own.ecnas")))
    bench.query(3)
    out, end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if not child:
        with suppress(BaseException), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            before = bench.spent.evaluations
            bench.query(3)
            copy.deepcopy(bench).query(3)
            bench.reset_spent()
            bench.query_many([3, 4])
            kinds = [one.category.__name__ for one in caught]
            os.write(end, pickle.dumps((before, kinds, bench.spent)))
        os._exit(0)
    os.close(end)
    with os.fdopen(out, "rb") as pipe:
        before, kinds, spent = pickle.load(pipe)  # noqa: S301
    os.waitpid(child, 0)
    assert (before, kinds) == (1, [SeparateCounterWarning.__name__])
    assert bench.spent.evaluations == 1
    bench.absorb(spent)
    assert bench.spent.evaluations == 3
    assert bench.spent.energy_kwh == sum(bench.query(row).energy_kwh for row in (3, 3, 4))


def test_pools_of_processes(modelled: None) -> None:
    bench = ecnas.load("4v")
    here = [search.run(bench, "semoa", evaluations=20, seed=seed) for seed in (0, 1)]
    for start in ("fork", "spawn"):
        with ProcessPoolExecutor(1, mp_context=get_context(start)) as pool:
            run = partial(pool.submit, search.run, bench, "semoa", evaluations=20)
            found = [job.result() for job in [run(seed=0), run(seed=1)]]
        assert [r.rows.tolist() for r in found] == [r.rows.tolist() for r in here]
        assert [r.spent for r in found] == [r.spent for r in here]
    assert bench.spent.evaluations == 40
    joblib, view = pytest.importorskip("joblib"), bench.at(carbon_intensity=300)
    records = joblib.Parallel(n_jobs=2)(joblib.delayed(view.query)(row, 4) for row in ROWS)
    assert records == [view.query(row, 4) for row in ROWS]


def test_pymoo_saves_its_history(tmp_path: Path) -> None:
    pytest.importorskip("pymoo", reason="pymoo is not installed")
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    from naslib_ecnas.adapters.pymoo_host import EcnasProblem, operators

    bench = Benchmark(Table.open(table(tmp_path / "own.ecnas")))
    problem = EcnasProblem(bench)
    algorithm = NSGA2(pop_size=6, **operators())
    result = minimize(problem, algorithm, ("n_gen", 4), seed=0, save_history=True)
    assert len(result.history) == 4
    assert bench.spent.evaluations == result.algorithm.evaluator.n_eval
    assert pickle.loads(pickle.dumps(result.history[-1])).n_gen == 4  # noqa: S301
