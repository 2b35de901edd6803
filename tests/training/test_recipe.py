"""NAS-Bench-101's numbers, its schedule, what counts as a departure; and all that without torch."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.training.recipe import BUDGETS, RECIPES


def test_the_published_values() -> None:
    """`config.py` of google-research/nasbench; two TPU shards double the rate of 0.1."""
    recipe = RECIPES["nasbench101"]
    assert (recipe.base_rate, recipe.batch_size, recipe.l2) == (0.2, 256, 1e-4)
    assert (recipe.decay, recipe.momentum, recipe.epsilon) == (0.9, 0.9, 1.0)
    assert recipe.batch_norm_momentum == pytest.approx(1 - 0.997)
    ecnas = replace(recipe, name="ecnas", base_rate=0.1, middle="first-epoch")
    assert RECIPES["ecnas"] == ecnas


def test_steps_of_the_budgets() -> None:
    for recipe in RECIPES.values():
        assert [recipe.steps(epochs) for epochs in BUDGETS] == [625, 1875, 5625, 16875]
    # Batches reach across epochs: 3 epochs of 10 images are 7 batches of 4, not 6.
    assert replace(RECIPES["ecnas"], batch_size=4).steps(3, 10) == 7


def test_the_evaluation_in_the_middle() -> None:
    """NAS-Bench-101 evaluates at half of the steps; EC-NAS's raw runs have it at 156 steps."""
    for name, middles in (("nasbench101", [312, 937, 2812, 8437]), ("ecnas", [156] * 4)):
        recipe = RECIPES[name]
        assert [recipe.middle_step(e, recipe.steps(e)) for e in BUDGETS] == middles
    changed = replace(RECIPES["ecnas"], middle="half")
    assert changed.departures() == ("middle half for first-epoch",)
    assert changed.middle_step(4, 1) == 1


def test_the_cosine() -> None:
    recipe = RECIPES["nasbench101"]
    assert recipe.rate(0, 625) == 0.0
    assert recipe.rate(1, 4) == pytest.approx(0.1 * (1 + math.sqrt(0.5)))
    assert recipe.rate(2, 4) == pytest.approx(0.1)
    assert recipe.rate(3, 4) == pytest.approx(0.1 * (1 - math.sqrt(0.5)))
    assert recipe.rate(625, 625) == pytest.approx(0.0, abs=1e-15)
    rates = [RECIPES["ecnas"].rate(step, 625) for step in range(1, 626)]
    assert rates[0] < 0.1
    assert all(a > b for a, b in pairwise(rates))


def test_departures_name_what_was_changed() -> None:
    recipe = RECIPES["ecnas"]
    assert recipe.departures() == ()
    changed = replace(recipe, batch_size=32, bf16=True, channels_last=True, compile=True)
    assert changed.departures() == (
        "batch_size 32 for 256",
        "bf16 True for False",
        "channels_last True for False",
        "compile True for False",
    )
    assert replace(recipe, base_rate=0.2).departures() == ("base_rate 0.2 for 0.1",)


def test_impossible_values_and_budgets_are_refused() -> None:
    for name, value in (
        ("name", "mine"),
        *(("images", "disk"), ("middle", "quarter")),
        *(("batch_size", size) for size in (1, 8.0)),
        *(("base_rate", rate) for rate in (0.0, math.nan)),
        *(("l2", weight) for weight in (-1e-4, math.inf)),
        *(("decay", 1.0), ("momentum", -0.1)),
        ("epsilon", 0.0),
        ("batch_norm_epsilon", 0),
        *(("batch_norm_momentum", share) for share in (0.0, 997)),
    ):
        with pytest.raises(ConfigError, match=name):
            replace(RECIPES["ecnas"], **{name: value})  # type: ignore[arg-type]
    for epochs in (0, -4, 4.0, True):
        with pytest.raises(ConfigError, match="epochs"):
            RECIPES["ecnas"].steps(epochs)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="batch_size"):
        RECIPES["ecnas"].steps(1, 255)


WITHOUT_TORCH = """
import sys
from naslib_ecnas.training import RECIPES, TrainingRecord
assert "torch" not in sys.modules
sys.modules["torch"] = None
from pathlib import Path
from naslib_ecnas import training
from naslib_ecnas.campaign import DataChoice, Settings, make_plan, work
from naslib_ecnas.errors import MissingDependencyError
data = DataChoice(kind="synthetic", images_per_file=4)
make_plan((0,), name="c", vertices=4, data=data).write(Path("c"))
for use in (lambda: training.train, lambda: work(Path("c"), Settings())):
    try:
        use()
    except MissingDependencyError as error:
        print(error)
"""


def test_without_torch_recipes_load_and_the_rest_says_what_to_install(tmp_path: Path) -> None:
    run = [sys.executable, "-c", WITHOUT_TORCH]
    out = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    first, second = out.splitlines()
    assert first == second
    assert first.startswith("training needs the package torch, which cannot be imported (")
    assert first.endswith("; install or repair it: pip install 'naslib-ecnas[measure]'")
