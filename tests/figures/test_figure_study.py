"""Searches of several methods, and the paper's table of their chosen cells."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures.summary import Study, chosen_sheet, mean_quantities, study
from naslib_ecnas.network import parameters
from naslib_ecnas.search import METHODS, run


@pytest.fixture(scope="module")
def data(bench4: Benchmark) -> Study:
    return study(bench4, ("random", "semoa"), seeds=3, evaluations=40)


def test_runs_are_those_of_the_seeds(bench4: Benchmark, data: Study) -> None:
    assert list(data.runs) == ["random", "semoa"]
    assert data.seeds == (0, 1, 2)
    assert data.epochs == 108
    again = run(bench4, "semoa", evaluations=40, seed=2)
    np.testing.assert_array_equal(data.runs["semoa"][2].rows, again.rows)


def test_chosen_cells_by_brute_force(bench4: Benchmark, data: Study) -> None:
    """r0 least energy, r1 highest accuracy, rk the least sum of min-max scaled objectives."""
    lines = {(r["method"], r["cell"]): r for r in chosen_sheet(data).records()}
    assert set(lines) == {(m, c) for m in data.runs for c in ("r0", "rk", "r1")}
    for method, results in data.runs.items():
        rows: dict[str, list[int]] = {"r0": [], "rk": [], "r1": []}
        for result in results:
            front = result.front_rows
            energy = bench4.values("energy_kwh")[front]
            accuracy = bench4.values("validation_accuracy")[front]
            e = (energy - energy.min()) / (np.ptp(energy) or 1)
            a = (accuracy.max() - accuracy) / (np.ptp(accuracy) or 1)
            rows["r0"].append(front[energy.argmin()])
            rows["r1"].append(front[accuracy.argmax()])
            rows["rk"].append(front[(e + a).argmin()])
        for which, chosen in rows.items():
            line = lines[method, which]
            for name in ("energy_kwh", "validation_accuracy", "training_time_s"):
                values = bench4.values(name)[chosen]
                assert line[name] == pytest.approx(values.mean(), rel=1e-12)
                assert line[f"{name}_sd"] == pytest.approx(values.std(ddof=1), abs=1e-12)
            logs = np.log10(parameters(np.array(chosen)))
            assert line["parameters_log10"] == pytest.approx(logs.mean(), rel=1e-12)


def test_means_and_the_sheet_agree(data: Study) -> None:
    means = mean_quantities(data.runs["semoa"])
    line = next(r for r in chosen_sheet(data).records() if (r["method"], r["cell"]) ==
                ("semoa", "rk"))  # fmt: skip
    assert means["rk"]["E"] == line["energy_kwh"]
    assert means["rk"]["T"] == line["training_time_s"]
    assert means["r0"]["E"] <= means["rk"]["E"] <= means["r1"]["E"]
    assert means["r0"]["Pv"] <= means["rk"]["Pv"] <= means["r1"]["Pv"]


def test_unknown_quantities_and_single_seeds_are_nan(make_bench) -> None:  # type: ignore[no-untyped-def]
    one = study(make_bench(leave_out=("training_time_s",)), ("random",), seeds=1, evaluations=9)
    line = next(chosen_sheet(one).records())
    assert np.isnan(line["training_time_s"])
    assert np.isnan(line["energy_kwh_sd"])
    assert line["energy_kwh"] > 0


def test_every_method_there_is_by_default_and_progress(make_bench) -> None:  # type: ignore[no-untyped-def]
    told: list[tuple[int, int]] = []
    found = study(make_bench(), seeds=1, evaluations=60,
                  on_progress=lambda made, total: told.append((made, total)))  # fmt: skip
    assert set(found.runs) == set(METHODS)
    assert next(iter(found.runs)) == "semoa"
    assert told == [(i + 1, len(METHODS)) for i in range(len(METHODS))]


@pytest.mark.parametrize(
    "wrong",
    [{"methods": ()}, {"methods": ("semoa", "semoa")}, {"methods": ("nothing",)}, {"seeds": 0},
     {"seeds": True}, {"evaluations": 0}],
)  # fmt: skip
def test_impossible_settings(bench4: Benchmark, wrong: dict[str, object]) -> None:
    setting = {"methods": ("random",), "seeds": 1, "evaluations": 5, **wrong}
    with pytest.raises(ConfigError):
        study(bench4, setting.pop("methods"), **setting)  # type: ignore[arg-type]
