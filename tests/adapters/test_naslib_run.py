"""NASLib's unchanged runners and scripts like them on EC-NAS tables: results, records, sweeps."""

from __future__ import annotations

import json
import logging
import pickle
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import search
from naslib_ecnas.adapters import naslib_patches, naslib_run, naslib_space
from naslib_ecnas.adapters.naslib_run import NaslibRun, Sweep, sweep
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cli import main
from naslib_ecnas.comparison.results import gather
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    MissingDependencyError,
    ProvenanceError,
    UnknownBudgetError,
    UnknownMetricError,
    UnknownTableError,
)
from naslib_ecnas.loading import load
from naslib_ecnas.progress import listening

Run = Callable[..., NaslibRun]
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "naslib"
#: NASLib's own config of each runner.
CONFIGS = {name: f"{name}/discrete_config.yaml" for name in ("nas", "bbo", "nas_predictors")}
CONFIGS["predictors"] = "predictors/predictor_config.yaml"
CONFIGS["statistics"] = "statistics/statistics_config.yaml"
EPOCHS = 14
#: A short search. NASLib's default predictor_type needs pyro, which may be missing.
SEARCH = {
    "search.epochs": EPOCHS,
    "search.fidelity": -1,
    "search.predictor_type": "rf",
    "search.num_init": 6,
    "search.num_candidates": 6,
    "search.num_ensemble": 2,
    "search.k": 3,
    "search.population_size": 8,
    "search.sample_size": 4,
}


@pytest.fixture
def script(naslib: Any, tmp_path: Path) -> Path:
    """NASLib's nas runner without its other spaces, whose construction takes seconds."""
    runner = naslib_patches.ensure() / "naslib" / "runners" / "nas" / "runner.py"
    slow = re.compile("NasBench(201|301|NLP|ASR)|TransBench")
    lines = [line for line in runner.read_text().splitlines() if not slow.search(line)]
    (tmp_path / "script.py").write_text("\n".join(lines))
    return tmp_path / "script.py"


@pytest.fixture
def run(naslib: Any, modelled: None, script: Path, tmp_path: Path) -> Run:
    """Runs the script, or a runner with NASLib's own config, on the modelled 5V table."""
    naslib_patches.require("torch").set_num_threads(1)
    home = naslib_patches.ensure() / "naslib" / "runners"

    def start(
        runner: Any = script,
        *,
        config: str | None = None,
        example: str = "re",
        sections: dict[str, Any] | None = None,
        **settings: Any,
    ) -> NaslibRun:
        file = EXAMPLES / f"{example}.yaml"
        if config or runner in CONFIGS:
            file = home / (config or CONFIGS[runner])
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        pairs: dict[str, Any] = {"search_space": "ecnas", "dataset": "5v", "out_dir": out}
        if runner not in ("predictors", "statistics"):
            pairs |= SEARCH
        flat = [str(word) for pair in (pairs | settings).items() for word in pair]
        return naslib_run.run(runner, file, flat, objectives=sections)

    return start


@pytest.fixture
def bench(modelled: None) -> Benchmark:
    return load("5v")


def history(done: NaslibRun) -> list[dict[str, Any]]:
    assert done.folder is not None
    return [json.loads(line) for line in (done.folder / "history.jsonl").read_text().splitlines()]


def trajectory(done: NaslibRun) -> dict[str, Any]:
    """NASLib's errors.json without the measured times; NaN as None."""
    assert done.folder is not None
    text = (done.folder / "errors.json").read_text().replace("NaN", "null")
    found: dict[str, Any] = json.loads(text)[1]
    found.pop("runtime")
    return found


def check(done: NaslibRun, bench: Benchmark) -> None:
    """Every number that NASLib wrote is of the table and of a cell that was evaluated."""
    assert done.result is not None
    rows = done.result.rows
    assert len(rows) >= EPOCHS
    found = trajectory(done)
    for key, name, factor in (
        ("valid_acc", "validation_accuracy", 100.0),
        ("test_acc", "test_accuracy", 100.0),
        ("train_time", "training_time_s", 1.0),
    ):
        assert len(found[key]) == EPOCHS
        assert set(found[key]) <= set((factor * bench.values(name)[rows]).tolist())


# -- runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["rs", "re", "ls", "bananas", "npenas", "bp"])
def test_every_optimiser_and_example_runs_and_leaves_its_record(
    run: Run, script: Path, bench: Benchmark, optimizer: str
) -> None:
    example, source = optimizer, script
    if optimizer == "bp":  # in no runner of NASLib's
        example, optimizer, source = "re", "re", EXAMPLES / "base_predictor.py"
    runs = [run(source, example=example, optimizer=optimizer, seed=seed) for seed in (3, 3, 4)]
    found = [trajectory(done) for done in runs]
    assert found[0] == found[1] != found[2]
    assert history(runs[0]) == history(runs[1]) != history(runs[2])
    done, lines = runs[0], history(runs[0])
    check(done, bench)
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert {line["epochs"] for line in lines} == {108}
    assert all(line["score"] <= 100 for line in lines)
    for name in ("validation_accuracy", "energy_kwh"):
        assert all(line[name] == bench.values(name)[line["row"]] for line in lines)
    assert done.folder is not None
    spent = json.loads((done.folder / "spent.json").read_text())
    assert spent["energy_kwh"] == pytest.approx(sum(line["energy_kwh"] for line in lines))
    assert lines[-1]["spent"]["energy_kwh"] == pytest.approx(spent["energy_kwh"])
    front = json.loads((done.folder / "front.json").read_text())
    assert 0 < front["hypervolume"] <= 1
    assert front["objectives"] == ["validation_accuracy", "energy_kwh"]


@pytest.mark.parametrize(
    ("method", "n"), [("semoa", 40), ("random", 20), ("sh-emoa", 200), ("ehvi:initial=4", 30)]
)
def test_our_methods_under_naslibs_trainer(run: Run, bench: Benchmark, method: str, n: int) -> None:
    """They make the evaluations of `search.run` by the same seed."""
    done = run(optimizer=method, seed=3, **{"search.epochs": n})
    names = ("validation_accuracy", "energy_kwh")
    found = search.run(bench, method, objectives=names, evaluations=n, seed=3)
    lines = history(done)
    assert [line["row"] for line in lines] == found.rows.tolist()
    assert [line["epochs"] for line in lines] == found.epochs.tolist()
    assert done.result is not None
    assert done.result.hypervolume == found.hypervolume
    assert done.result.spent.evaluations == n
    whole = [line for line in lines if line["epochs"] == 108]
    best = max(whole, key=lambda line: float(line["score"]))
    assert trajectory(done)["valid_acc"][-1] == 100 * best["validation_accuracy"]
    assert done.incumbent is not None
    assert done.incumbent["index"] == best["index"]


def test_an_error_on_the_way_loses_nothing(run: Run, script: Path, tmp_path: Path) -> None:
    script.write_text(script.read_text() + "\nraise OSError('late')\n")
    with pytest.raises(OSError, match="late"):
        run(optimizer="rs")
    (record,) = tmp_path.rglob("history.jsonl")
    assert len(record.read_text().splitlines()) == EPOCHS


def test_the_nas_runner_and_the_default_table(run: Run) -> None:
    """NASLib's runner evaluates what the script does; its own table lacks the train accuracy."""
    done = run("nas", optimizer="re", seed=3, dataset="cifar10")
    assert done.filled == ("evaluation",)
    assert done.benchmark is not None
    assert len(done.benchmark.rows) == 423_624
    check(done, done.benchmark)
    assert set(trajectory(done)["train_acc"]) == {None}
    ours = run(config=CONFIGS["nas"], optimizer="re", seed=3, dataset="cifar10")
    assert trajectory(ours) == trajectory(done)


def test_the_bbo_runner(run: Run, bench: Benchmark) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    done = run("bbo", optimizer="re")
    assert done.filled == ("search.use_zc_api",)
    check(done, bench)


def test_the_nas_predictors_runner(run: Run, bench: Benchmark) -> None:
    check(run("nas_predictors", optimizer="npenas"), bench)
    with pytest.raises(ConfigError, match="bananas, npenas, got 'oneshot'"):
        run("nas_predictors", config="nas_predictors/nas_predictor_config.yaml")


def test_the_statistics_runner(run: Run, bench: Benchmark) -> None:
    """The statistics of all cells are those of the table."""
    trials = {"max_nbhd_trials": 5, "max_autocorr_trials": 2, "walks": 5}
    done = run("statistics", max_set_size=3000, **trials)
    assert done.folder is not None
    assert done.result is None
    found = json.loads((done.folder / "statistics.json").read_text())[1]
    accuracies = 100 * bench.values("validation_accuracy")
    assert found["size"] == len(accuracies) == 2532
    for name, value in (("mean", accuracies.mean()), ("maximum", accuracies.max())):
        assert found[name] == pytest.approx(value)
    assert found["mean_time"] == pytest.approx(bench.values("training_time_s").mean())
    assert found["nbhd_size_mean"] > 1
    assert len(found["autocorr_mean"]) == 36
    with pytest.raises(ConfigError, match="nas and bbo"):
        run("statistics", sections={"metrics": ["energy_kwh"]})


def test_the_predictors_runner(run: Run, bench: Benchmark) -> None:
    sizes = {"test_size": 12, "train_size_single": 12}
    done = run("predictors", predictor="rf", uniform_random=0, **sizes)
    assert done.folder is not None
    scores = json.loads((done.folder / "errors.json").read_text())[1]
    assert set(scores["full_ytest"]) <= set((100 * bench.values("validation_accuracy")).tolist())
    assert len(scores["full_ytest"]) == len(scores["full_testpred"]) == 12
    errors = np.subtract(scores["full_ytest"], scores["full_testpred"])
    assert scores["rmse"] == pytest.approx(float(np.sqrt(np.mean(errors**2))), rel=1e-5)


def test_what_cannot_run_is_said_before_the_first_evaluation(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no precomputed zero-cost scores"):
        run("zc", config="zc/zc_config.yaml", optimizer="re", predictor="params")
    lacking = [name for name in ("xgboost", "pyro", "ngboost") if find_spec(name) is None]
    for package in lacking:
        kind = {"xgboost": "xgb", "pyro": "var_sparse_gp", "ngboost": "ngb"}[package]
        with pytest.raises(MissingDependencyError, match=package):
            run(optimizer="bananas", **{"search.predictor_type": kind})
        with pytest.raises(MissingDependencyError, match=package):
            run("predictors", predictor=kind)
    with pytest.raises(ConfigError, match="no predictor of NASLib, got 'tree'"):
        run(optimizer="npenas", **{"search.predictor_type": "tree"})
    assert not list(tmp_path.rglob("history.jsonl"))


#: Rows of the table in docs/naslib.md: script, config below naslib/, and why it does not run.
SHIPPED = {
    ("nas", "runners/nas/discrete_config.yaml"): "",
    ("bbo", "runners/bbo/discrete_config.yaml"): "",
    ("bbo", "configs/example_bbo_config.yaml"): "",
    ("statistics", "runners/statistics/statistics_config.yaml"): "",
    ("nas_predictors", "runners/nas_predictors/discrete_config.yaml"): "pyro",
    ("nas_predictors", "runners/nas_predictors/nas_predictor_config.yaml"): "got 'oneshot'",
    ("predictors", "runners/predictors/predictor_config.yaml"): "predictor synflow",
    ("zc", "runners/zc/zc_config.yaml"): "no precomputed zero-cost scores",
}


def test_the_docs_have_a_row_for_every_shipped_config() -> None:
    text = (EXAMPLES.parents[1] / "naslib.md").read_text()
    for (runner, config), why in SHIPPED.items():
        row = rf"\| `{runner}` \| `{config.removeprefix('runners/')}` \| {'.' if why else 'runs'}"
        assert re.search(row, text), (runner, config)


@pytest.mark.slow
@pytest.mark.parametrize(("runner", "config"), SHIPPED)
def test_shipped_configs_with_space_and_dataset_changed(
    naslib: Any, modelled: None, tmp_path: Path, runner: str, config: str
) -> None:
    why = SHIPPED[runner, config]
    for package in ("tensorboard",) if runner == "bbo" else ():
        pytest.importorskip(package)
    file = naslib_patches.ensure() / "naslib" / config
    words = ["search_space", "ecnas", "dataset", "5v", "out_dir", str(tmp_path)]
    if why == "pyro" and find_spec("pyro") is not None:
        why = ""
    if why:
        with pytest.raises(EcnasError, match=why):
            naslib_run.run(runner, file, words)
    else:
        assert naslib_run.run(runner, file, words).folder is not None


OWN_SCRIPT = """
import helper_of_the_script, os, sys
from naslib import utils
from naslib.optimizers import RandomSearch
from naslib.search_spaces import NasBench101SearchSpace
config = utils.get_config_from_args(config_type="nas")
os.chdir("/")
sys.path.append("/nowhere")
def main():
    supported_search_spaces = {"nasbench101": NasBench101SearchSpace}
    api = utils.get_dataset_api(config.search_space, config.dataset)
    space = supported_search_spaces[config.search_space]()
    space.sample_random_architecture(dataset_api=api)
    print("cell", space.row, config.of_mine, config.search.BAD)
main()
"""


def test_a_script_of_ones_own(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, late = tmp_path / "own.py", tmp_path / "late.py"
    (tmp_path / "helper_of_the_script.py").write_text("")
    own.write_text(OWN_SCRIPT)
    late.write_text(OWN_SCRIPT.replace("    supported_search_spaces = {", "    global s; s = {"))

    def state() -> Any:
        # setuptools, which the first import of torch's tools brings, adds a folder of its own.
        path = [folder for folder in sys.path if not folder.endswith("_vendor")]
        return sys.argv, path, Path.cwd(), list(logging.getLogger("naslib").handlers)

    before = state()
    with pytest.raises(ConfigError, match=r"lacks the key search\.BAD"):
        run(own, of_mine=7)
    assert state() == before
    assert run(own, of_mine=7, **{"search.BAD": 1}).config["of_mine"] == 7
    assert "cell" in capsys.readouterr().out
    assert state() == before
    # The dictionary may have another name, but must be there before the data is asked for.
    late.write_text(late.read_text().replace("supported_search_spaces[", "s["))
    assert run(late, of_mine=7, **{"search.BAD": 1}).folder is not None
    spaces, api = re.findall(r"    global s; s.*\n|    api = .*\n", late.read_text())
    late.write_text(late.read_text().replace(spaces + api, api + spaces))
    with pytest.raises(ConfigError, match="must make a dictionary of search spaces"):
        run(late, of_mine=7)
    own.write_text("import not_there_at_all")
    with pytest.raises(MissingDependencyError, match="not_there_at_all"):
        run(own)


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ("optimizer rre", ConfigError, "bananas.*did you mean re"),
        ("optimizer darts", ConfigError, "network of all cells"),
        ("search_space ecnass", ConfigError, "need search_space: ecnas"),
        ("dataset 6v", UnknownTableError, "4v-4epochs"),
        ("search.fidelity 5", UnknownBudgetError, "4, 12, 36, 108 epochs"),
        ("search.epochs 0", ConfigError, "search.epochs must be a whole number of at least 1"),
        ("search.epochs many", ConfigError, "search.epochs must be a value like 200"),
        ("search 3", ConfigError, "section"),
        ("search.epochs.more 3", ConfigError, "epochs is a value"),
        ("search.use_zc_api True", ConfigError, "zero-cost"),
        ("--speed 3", ConfigError, "no such option"),
        ("objectives.metrics [energy]", UnknownMetricError, "got 'energy'"),
        ("objectives.metrics [a,", ConfigError, "objectives.metrics must be"),
        ("resume True", ConfigError, "resume must be left out"),
        ("sampling even", ConfigError, "nasbench101, uniform, got 'even'"),
        ("carbon_intensity Nowhere", EcnasError, "Nowhere"),
        ("objectives.epochs 5", UnknownBudgetError, "4, 12, 36, 108"),
        ("seed -1", ConfigError, "seed"),
    ],
)
def test_impossible_settings_are_refused(
    run: Run, words: str, error: type[EcnasError], says: str
) -> None:
    flat = words.split()
    with pytest.raises(error, match=says) as caught:
        run(**dict(zip(flat[::2], flat[1::2], strict=True)))
    assert "\n" not in str(caught.value)


def test_impossible_configs_are_refused(run: Run, tmp_path: Path) -> None:
    config, script = tmp_path / "c.yaml", tmp_path / "script.py"
    ours = "search_space: ecnas\noptimizer: rs\nseed: 0\n"
    for text, runner, overrides, says in (
        (f"{ours}dataset: 5v\n", script, (), "lacks the key search"),
        ("dataset: 5v\n", script, (), "lacks the key search_space"),
        (f"{ours}dataset: 5v\nsearch: {{}}\n", script, (), "lacks the key out_dir"),
        (f"{ours}dataset: [5v]\n", script, (), "dataset must be"),
        ("search: 3\n", script, (), "search must be a section"),
        ("a: [", script, (), "cannot be read"),
        ("a: 1", "nas", ("seed",), "in turn"),
        ("a: 1", "nass", (), "nas_predictors"),
    ):
        config.write_text(text)
        with pytest.raises(ConfigError, match=says):
            naslib_run.run(runner, config, overrides)
    for name in ("d.yaml", "script.py"):
        with pytest.raises(ConfigError, match=r"no config file|ends in \.yaml"):
            naslib_run.run("nas", tmp_path / name)


# -- objectives of a config -----------------------------------------------------------------


def best(done: NaslibRun) -> dict[str, Any]:
    return max(history(done), key=lambda line: float(line["score"]))


def test_the_optimiser_gets_our_number(run: Run) -> None:
    many = {"search.epochs": 100, "search.population_size": 30, "search.sample_size": 10}
    accuracy = run(sections={"metrics": ["validation_accuracy"]}, **many)
    energy = run(sections={"metrics": ["energy_kwh"]}, **many)
    both = run(**many)
    costs = [best(done)["energy_kwh"] for done in (energy, both, accuracy)]
    assert costs == sorted(costs)
    assert costs[2] > 2 * costs[1] > 4 * costs[0]
    gains = [best(done)["validation_accuracy"] for done in (energy, both, accuracy)]
    assert gains == sorted(gains)
    # NASLib reports the incumbent by that number.
    assert best(energy)["energy_kwh"] == min(line["energy_kwh"] for line in history(energy))
    reported = trajectory(energy)["valid_acc"][-1]
    assert reported == pytest.approx(100 * best(energy)["validation_accuracy"])


def saved(done: NaslibRun, name: str) -> dict[str, Any]:
    assert done.folder is not None
    found: dict[str, Any] = json.loads((done.folder / name).read_text())
    return found


def test_the_answer_of_a_search_with_limits(
    run: Run, script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The most accurate cell within the limit is saved, shown and NASLib's own incumbent."""
    limit = {"search.epochs": 60, "objectives.limits.energy_kwh": 0.2}
    done = run(example="budget", **limit)
    kept = [line for line in history(done) if line["energy_kwh"] <= 0.2]
    wanted = max(kept, key=lambda line: float(line["validation_accuracy"]))
    answer = saved(done, "front.json")["incumbent"]
    assert answer == json.loads(json.dumps(done.incumbent))
    assert answer["index"] == wanted["index"]
    assert (answer["within_limits"], answer["limits"]) == (True, {"energy_kwh": 0.2})
    assert trajectory(done)["valid_acc"][-1] == 100 * answer["validation_accuracy"]
    assert saved(done, "config.json")["scalarisation"]["limits"] == {"energy_kwh": 0.2}
    assert set(saved(done, "config.json")["versions_of_naslib"]) == {"naslib", "torch"}
    # Where nothing keeps the limit, the nearest is shown as what it is.
    words = ["search_space", "nasbench101", "dataset", "ecnas:5v", "out_dir", str(tmp_path / "o")]
    words += [str(word) for pair in SEARCH.items() for word in pair]
    words += ["objectives.limits.energy_kwh", "0.0738", "optimizer", "rs", "seed", "1"]
    line = ["naslib", str(script), "--config-file", str(EXAMPLES / "budget.yaml"), *words]
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert "no evaluated cell keeps the limits (energy_kwh 0.0738); the nearest: row" in shown


def test_tables_settings_and_lists_of_a_config(run: Run, bench: Benchmark) -> None:
    """Emissions, device and sampling are chosen by keys, and lists on the command line."""
    chosen = {"objectives.metrics": "[co2_g, validation_accuracy]", "carbon_intensity": "DK"}
    done = run(optimizer="rs", device="titan-xp", sampling="uniform", **chosen)
    table = load("5v", device="titan-xp", carbon_intensity="DK")
    lines = history(done)
    assert all(line["co2_g"] == table.values("co2_g")[line["row"]] for line in lines)
    assert saved(done, "config.json")["sampling"] == "uniform"
    # NASLib's name of the space, with a table of ours.
    plain = run(optimizer="re", seed=3)
    named = run(optimizer="re", seed=3, search_space="nasbench101", dataset="ecnas:5v")
    assert history(named) == history(plain)
    # A fidelity holds for optimisers that ignore it, too, and scales the scores.
    done = run(optimizer="re", **{"search.fidelity": 12})
    assert {line["epochs"] for line in history(done)} == {12}
    assert saved(done, "config.json")["scalarisation"]["epochs"] == 12


def test_chebyshev_a_budget_and_power(
    run: Run, measured_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ["validation_accuracy", "energy_kwh"]
    section = {"metrics": both, "chebyshev": True}
    first, second, third = (history(run(seed=n, sections=section)) for n in (4, 4, 5))
    assert first == second != third
    for optimizer in ("rs", "re"):
        one_budget = {"metrics": ["validation_accuracy"], "epochs": 12}
        done = run(optimizer=optimizer, sections=one_budget, **{"search.fidelity": 36})
        assert {line["epochs"] for line in history(done)} == {12}
    # Modelled energy and modelled time are not of one training; measured ones are.
    section = {"metrics": ["TRAIN_POWER", "VAL_ACCURACY"], "weights": [0.5, 0.5]}
    with pytest.raises(ProvenanceError, match="same trainings"):
        run(optimizer="rs", sections=section)
    monkeypatch.setenv("ECNAS_CACHE", str(measured_cache))
    done = run(optimizer="rs", sections=section, dataset="5v-4epochs")
    assert all(line["average_power_w"] > 0 for line in history(done))


def test_without_objectives_a_run_is_naslibs_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: dict[str, Any] = {"config": CONFIGS["nas"], "optimizer": "re"}
    recorded = run(**plain)
    lines = history(recorded)
    accuracies = [100 * line["validation_accuracy"] for line in lines]
    assert [line["score"] for line in lines] == pytest.approx(accuracies)
    assert recorded.result is not None
    assert recorded.result.config.objectives == ("energy_kwh", "validation_accuracy")
    # The same run without a recorder.
    original = naslib_space.dataset_api

    def bare(*arguments: Any, **settings: Any) -> dict[str, Any]:
        return original(*arguments, **settings) | {"recorder": None}

    monkeypatch.setattr(naslib_space, "dataset_api", bare)
    assert trajectory(recorded) == trajectory(run(**plain))


# -- sweeps ---------------------------------------------------------------------------------

SWEEP = EXAMPLES / "sweep.yaml"
SHORT = ("search.epochs", "12", "search.population_size", "5", "search.sample_size", "3")


@pytest.fixture
def make(run: Run, script: Path) -> Callable[..., Sweep]:
    return lambda *overrides: Sweep.of(SWEEP, [*SHORT, *overrides], runner=str(script))


def swept(names: str, seeds: int) -> list[str]:
    return ["sweep.optimizers", f"[{names}]", "sweep.seeds", str(seeds)]


def test_a_sweep_makes_every_combination_and_nothing_twice(
    make: Callable[..., Sweep], tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    chosen = make(*swept("rs,re", 2))
    assert pickle.loads(pickle.dumps(chosen)) == chosen  # noqa: S301
    units = sweep(chosen, out)
    assert len(units) == len(set(units)) == 8
    runs = gather(out, units).runs
    for unit in units:
        result = runs[unit]
        assert len(result.rows) == 12
        optimizer, variant = unit.method.removeprefix("naslib:").split("/")
        folder = out / "naslib" / variant / "ecnas" / "5v" / optimizer / str(unit.seed)
        lines = (folder / "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["row"] for line in lines] == result.rows.tolist()
        assert (folder / "errors.json").is_file()
        if optimizer == "rs":  # random search does not depend on the objectives
            twin = next(u for u in units if u.seed == unit.seed and u.method == "naslib:rs/both")
            assert runs[twin].rows.tolist() == result.rows.tolist()
    calls: list[tuple[int, int]] = []

    def progress(task: str, done: int, total: int, *, unit: str) -> None:
        calls.append((done, total))

    with listening(progress):
        sweep(chosen, out)
    assert calls == [(8, 8)]
    # One optimizer more is one optimizer more; other rules are another sweep.
    more = make(*swept("rs,re,ls", 1))
    with listening(progress):
        sweep(more, out)
    assert calls[1] == (4, 6)
    with pytest.raises(ConfigError, match="config"):
        sweep(make("search.epochs", "13", *swept("rs", 1)), out)


def test_the_command_sweep(
    make: Callable[..., Sweep], script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["naslib", "sweep", "--config-file", str(SWEEP), "--out", str(out)]
    line += ["--runner", str(script), "--no-plot", *SHORT, *swept("rs", 2)]
    assert main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    names = {line["method"] for line in document["methods"]}
    assert names == {"naslib:rs/accuracy", "naslib:rs/both"}
    assert (out / "results.csv").read_text().startswith("table,method,seed")
    assert main(line) == 0
    assert "hypervolume" in capsys.readouterr().out


def test_impossible_sweeps_are_refused(make: Callable[..., Sweep], tmp_path: Path) -> None:
    for words, says in (
        ("search_space nasbench201", "search_space: ecnas"),
        ("sweep.speed 3", "optimizers, seeds, objectives"),
        ("sweep.objectives.both.weights [0.5,0.6]", "sum to 1"),
        ("sweep.optimizers [rs,rs]", "each once"),
        ("sweep.seeds 0", "seeds"),
        ("sweep.seeds -1", "seeds"),
    ):
        with pytest.raises(EcnasError, match=says):
            make(*words.split())
    with pytest.raises(ConfigError, match="bananas"):
        sweep(make(*swept("rr", 1)), tmp_path / "sweep")
