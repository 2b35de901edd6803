"""What a NASLib search evaluated, and objectives by config alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_patches, naslib_run, naslib_space
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, EcnasError, ProvenanceError

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "naslib"
BOTH = "[validation_accuracy, energy_kwh]"
Run = Callable[..., naslib_run.NaslibRun]


@pytest.fixture
def run(naslib: Any, tmp_path: Path) -> Run:
    """Runs an example on the embedded 5V table."""
    for module in ("naslib.defaults.trainer", "naslib.optimizers"):
        naslib_patches.require(module)

    def start(
        example: str = "re",
        *overrides: str,
        out: str = "out",
        runner: Any = "nas",
        sections: dict[str, Any] | None = None,
    ) -> naslib_run.NaslibRun:
        settings = {"dataset": "5v", "out_dir": str(tmp_path / out), "search.epochs": "30"}
        settings |= {"search.num_init": "8", "search.num_candidates": "10", "search.k": "4"}
        settings |= dict(zip(overrides[::2], overrides[1::2], strict=True))
        flat = [word for pair in settings.items() for word in pair]
        return naslib_run.run(runner, EXAMPLES / f"{example}.yaml", flat, objectives=sections)

    return start


def history(done: naslib_run.NaslibRun) -> list[dict[str, Any]]:
    assert done.folder is not None
    return [json.loads(line) for line in (done.folder / "history.jsonl").read_text().splitlines()]


def errors(done: naslib_run.NaslibRun) -> dict[str, Any]:
    assert done.folder is not None
    found: dict[str, Any] = json.loads((done.folder / "errors.json").read_text())[1]
    found.pop("runtime")  # of the clock
    return found


@pytest.mark.parametrize("optimizer", ["rs", "re", "ls", "bananas", "npenas"])
def test_each_example_runs_and_leaves_its_record(run: Run, optimizer: str) -> None:
    done = run(optimizer)
    lines = history(done)
    assert len(lines) == 30
    assert [line["index"] for line in lines] == list(range(30))
    assert {line["epochs"] for line in lines} == {108}
    assert all(line["score"] <= 100 for line in lines)
    bench = done.benchmark
    assert bench is not None
    for line in lines:
        for name in ("validation_accuracy", "energy_kwh"):
            assert line[name] == bench.values(name)[line["row"]]
    spent = json.loads((done.folder / "spent.json").read_text())  # type: ignore[operator]
    assert spent["energy_kwh"] == pytest.approx(sum(line["energy_kwh"] for line in lines))
    assert lines[-1]["spent"]["energy_kwh"] == pytest.approx(spent["energy_kwh"])
    front = json.loads((done.folder / "front.json").read_text())  # type: ignore[operator]
    assert 0 < front["hypervolume"] <= 1
    assert front["objectives"] == ["validation_accuracy", "energy_kwh"]
    # NASLib's own file is as it ever was.
    assert len(errors(done)["valid_acc"]) == 30


def test_base_predictor_by_a_script(run: Run) -> None:
    lines = history(run("re", runner=EXAMPLES / "base_predictor.py"))
    assert len(lines) == 30


def test_the_optimiser_gets_our_number(run: Run) -> None:
    many = "search.epochs", "100"
    accuracy = run("re", *many, sections={"metrics": ["validation_accuracy"]}, out="a")
    energy = run("re", *many, sections={"metrics": ["energy_kwh"]}, out="e")
    both = run("re", *many, out="b")

    def incumbent_of(done: naslib_run.NaslibRun) -> dict[str, Any]:
        return max(history(done), key=lambda line: float(line["score"]))

    costs = [incumbent_of(done)["energy_kwh"] for done in (energy, both, accuracy)]
    assert costs == sorted(costs)
    assert costs[2] > 2 * costs[1] > 4 * costs[0]
    gains = [incumbent_of(done)["validation_accuracy"] for done in (energy, both, accuracy)]
    assert gains == sorted(gains)
    # What NASLib reports is the incumbent of that number.
    lines = history(energy)
    incumbent = max(lines, key=lambda line: line["score"])
    assert incumbent["energy_kwh"] == min(line["energy_kwh"] for line in lines)
    assert errors(energy)["valid_acc"][-1] == pytest.approx(100 * incumbent["validation_accuracy"])


def test_equal_seeds_are_equal_records(run: Run) -> None:
    section = {"metrics": ["validation_accuracy", "energy_kwh"], "chebyshev": True}
    runs = [run("re", "seed", seed, out=out, sections=section) for out, seed in ("a4", "b4", "c5")]
    first, second, third = (history(done) for done in runs)
    assert first == second != third
    assert len({tuple(line["weights"]) for line in first}) == 30


def test_without_objectives_a_run_is_naslibs_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain.yaml"
    text = (EXAMPLES / "re.yaml").read_text()
    start, end = text.index("objectives:"), text.index("# NASLib's runner")
    plain.write_text(text[:start] + text[end:])
    settings = ["dataset", "5v", "search.epochs", "30", "out_dir", str(tmp_path / "with")]
    recorded = naslib_run.run("nas", plain, settings)
    lines = history(recorded)
    assert [line["score"] for line in lines] == pytest.approx(
        [100 * line["validation_accuracy"] for line in lines]
    )
    assert recorded.result is not None
    assert recorded.result.config.objectives == ("energy_kwh", "validation_accuracy")
    # The same run with no recorder in the way.
    original = naslib_space.dataset_api

    def bare(*arguments: Any, **settings: Any) -> dict[str, Any]:
        return {k: v for k, v in original(*arguments, **settings).items() if k != "recorder"}

    monkeypatch.setattr(naslib_space, "dataset_api", bare)
    monkeypatch.setattr(naslib_run, "_written", lambda api, folders: None)
    unrecorded = naslib_run.run("nas", plain, [*settings[:-1], str(tmp_path / "without")])
    assert errors(recorded) == errors(unrecorded)


def test_an_error_on_the_way_loses_nothing(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    text = (EXAMPLES / "base_predictor.py").read_text()
    script.write_text(text.replace("BasePredictor", "RandomSearch") + "\nraise OSError('late')\n")
    with pytest.raises(OSError, match="late"):
        run("rs", runner=script)
    (record,) = (tmp_path / "out").rglob("history.jsonl")
    assert len(record.read_text().splitlines()) == 30


def test_a_budget_for_every_evaluation(run: Run) -> None:
    section = {"metrics": ["validation_accuracy"], "epochs": 12}
    for optimizer in ("rs", "re"):
        done = run(optimizer, "search.fidelity", "36", sections=section, out=optimizer)
        assert {line["epochs"] for line in history(done)} == {12}


def test_the_limit_is_kept(run: Run) -> None:
    done = run("budget", "search.epochs", "60", "objectives.limits.energy_kwh", "0.2")
    lines = history(done)
    best = max(lines, key=lambda line: line["score"])
    assert best["energy_kwh"] <= 0.2
    kept = [line["validation_accuracy"] for line in lines if line["energy_kwh"] <= 0.2]
    assert best["validation_accuracy"] == max(kept)


def test_in_python(api: dict[str, Any], measured: Benchmark, search: Callable[..., Any]) -> None:
    from naslib.optimizers import RandomSearch

    search(RandomSearch, epochs=20)
    recorder = api["recorder"]
    assert len(recorder) == 20
    found = recorder.result()
    assert found.spent.energy_kwh == pytest.approx(
        float(measured.values("energy_kwh", 4)[found.rows].sum())
    )


def test_power_where_it_is_sound(
    run: Run, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = {"metrics": ["TRAIN_POWER", "VAL_ACCURACY"], "weights": [0.5, 0.5]}
    # Modelled energy and modelled time are not of one training.
    with pytest.raises(ProvenanceError, match="same trainings"):
        run("rs", sections=section)
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    done = run("rs", "dataset", "5v-4epochs", sections=section)
    assert all(line["average_power_w"] > 0 for line in history(done))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ("objectives.metrics [energy]", "objectives"),
        ("objectives.weights [0.5,0.6]", "sum to 1"),
        ("objectives.weights 1", "objectives.weights"),
        ("objectives.chebyshev True", "one way"),
        ("objectives.epochs 5", "4, 12, 36, 108"),
        ("objectives.goal 3", "no such key"),
        ("search_space nasbench201 dataset cifar10", "search space ecnas"),
        ("seed -1", "seed"),
    ],
)
def test_what_is_not_possible(run: Run, overrides: str, says: str) -> None:
    with pytest.raises(EcnasError, match=says) as caught:
        run("re", *overrides.split())
    assert "\n" not in str(caught.value)


def test_objectives_are_for_searches(run: Run) -> None:
    with pytest.raises(ConfigError, match="nas or bbo"):
        run("re", runner="statistics")
