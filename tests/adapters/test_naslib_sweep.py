"""Sweeps over optimizers, seeds and objectives from one config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_patches
from naslib_ecnas.adapters.naslib_run import Sweep, sweep
from naslib_ecnas.cli import main
from naslib_ecnas.comparison.results import gather
from naslib_ecnas.errors import ConfigError, EcnasError

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "naslib" / "sweep.yaml"
SHORT = ("search.epochs", "12", "search.population_size", "5", "search.sample_size", "3")

Make = Callable[..., Sweep]


@pytest.fixture
def make(naslib: Any) -> Make:
    for module in ("naslib.defaults.trainer", "naslib.optimizers"):
        naslib_patches.require(module)

    def of(*overrides: str, **settings: Any) -> Sweep:
        return Sweep.of(EXAMPLE, [*SHORT, *overrides], **settings)

    return of


def test_every_combination_and_nothing_twice(make: Make, tmp_path: Path) -> None:
    chosen = make(optimizers=["rs", "re"], seeds=2)
    units = sweep(chosen, tmp_path)
    assert len(units) == len(set(units)) == 8
    assert {unit.method for unit in units} == {
        "naslib:rs/accuracy",
        "naslib:re/accuracy",
        "naslib:rs/both",
        "naslib:re/both",
    }
    results = gather(tmp_path, units, {})
    for unit in units:
        result = results.runs[unit]
        assert len(result.rows) == 12
        # The run that NASLib's own files tell of.
        optimizer, variant = unit.method.removeprefix("naslib:").split("/")
        folder = tmp_path / "naslib" / variant / "ecnas" / "5v" / optimizer / str(unit.seed)
        lines = (folder / "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["row"] for line in lines] == result.rows.tolist()
        assert (folder / "errors.json").is_file()
    told: list[int] = []
    first = {unit: (tmp_path / unit.file).stat().st_mtime_ns for unit in units}
    sweep(chosen, tmp_path, on_progress=lambda done, total, last: told.append(done))
    assert told == [8]
    assert first == {unit: (tmp_path / unit.file).stat().st_mtime_ns for unit in units}
    # One optimizer more is one optimizer more.
    more = make(optimizers=["rs", "re", "ls"], seeds=1)
    sweep(more, tmp_path, on_progress=lambda done, total, last: told.append(total - done))
    assert told[1] == 2


def test_random_search_looks_alike_whatever_it_looks_for(make: Make, tmp_path: Path) -> None:
    units = sweep(make(optimizers=["rs"], seeds=[3]), tmp_path)
    runs = gather(tmp_path, units, {}).runs
    first, second = (runs[unit].rows.tolist() for unit in units)
    assert first == second


def test_other_rules_are_another_sweep(make: Make, tmp_path: Path) -> None:
    sweep(make(optimizers=["rs"], seeds=1), tmp_path)
    with pytest.raises(ConfigError, match="other config"):
        sweep(make("search.epochs", "13", optimizers=["rs"], seeds=1), tmp_path)


def test_the_command(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    line = ["naslib", "sweep", "--config-file", str(EXAMPLE), "--out", str(out)]
    line += ["--optimizers", "rs", "--seeds", "2", "--no-plot", *SHORT]
    assert main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {line["method"] for line in document["methods"]} == {
        "naslib:rs/accuracy",
        "naslib:rs/both",
    }
    assert (out / "results.csv").read_text().startswith("table,method,seed")
    assert main(line) == 0
    assert "hypervolume" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "settings", "says"),
    [
        ("search_space nasbench201", {}, "search_space: ecnas"),
        ("sweep.speed 3", {}, "optimizers, seeds, objectives"),
        ("sweep.objectives.both.weights [0.5,0.6]", {}, "sum to 1"),
        ("", {"optimizers": ["rs", "rs"]}, "each once"),
        ("sweep.seeds 0", {}, "seeds"),
        ("", {"seeds": [0, -1]}, "seeds"),
    ],
)
def test_what_is_not_possible(
    make: Make, overrides: str, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(EcnasError, match=says):
        make(*overrides.split(), **settings)


def test_an_optimizer_that_naslib_does_not_know(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bananas"):
        sweep(make(optimizers=["rr"], seeds=1), tmp_path)
