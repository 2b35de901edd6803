"""The package's own names load late."""

from __future__ import annotations

import subprocess
import sys

import pytest

from naslib_ecnas import training


@pytest.mark.parametrize("name", training.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(training, name) is not None
    assert name in dir(training)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="optimizer"):
        _ = training.optimizer  # type: ignore[attr-defined]


def _child(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    return run.stdout.strip()


def test_the_package_and_its_recipes_come_without_torch() -> None:
    code = (
        "import sys; from naslib_ecnas.training import RECIPES, TrainingRecord;"
        "print('torch' in sys.modules)"
    )
    assert _child(code) == "False"


def test_without_torch_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from naslib_ecnas.errors import MissingDependencyError\n"
        "from naslib_ecnas import training\n"
        "try:\n    training.train\nexcept MissingDependencyError as error:\n    print(error)"
    )
    assert "naslib-ecnas[measure]" in _child(code)
