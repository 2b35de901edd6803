"""The package's own names load late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from naslib_ecnas import training
from naslib_ecnas.errors import ConfigError


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


def test_a_worker_without_torch_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from naslib_ecnas.campaign import DataChoice, Settings, make_plan, work\n"
        "data = DataChoice(kind='synthetic', images_per_file=4)\n"
        "make_plan((0,), name='c', vertices=4, data=data).write(Path('c'))\n"
        "work(Path('c'), Settings())\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "MissingDependencyError: training needs the package torch" in out.stderr


@pytest.mark.parametrize("device", ["cuda:99", "cuda", "gpu", "cpu:x"])
def test_a_device_that_is_not_there(device: str) -> None:
    torch = pytest.importorskip("torch")
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("it is there")
    from naslib_ecnas.training import check_device

    check_device("cpu")
    with pytest.raises(ConfigError, match="no such device"):
        check_device(device)
