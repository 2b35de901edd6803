"""NASLib's own unit tests for nasbench101, run from its clone on our space.

Left out are those that hold for NASLib's way alone: drawings of a cell that stay as they were
set, and the cells of its 30-row dummy table.
"""

from __future__ import annotations

import importlib.util
import unittest
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_compat, naslib_space


@pytest.fixture
def theirs(api: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    path = naslib_compat.ensure() / "tests" / "test_nb101_search_space.py"
    spec = importlib.util.spec_from_file_location("naslib_own_tests", path)
    if spec is None or spec.loader is None or not path.is_file():
        pytest.skip(f"this NASLib has no tests at {path}")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Eager(naslib_space.EcnasSearchSpace):  # type: ignore[misc]
        """Builds networks when a spec is set, as the random numbers of these tests expect."""

        def set_spec(self, *args: Any, **kwargs: Any) -> None:
            super().set_spec(*args, **kwargs)
            self._build()

    module.NasBench101SearchSpace = Eager
    module.create_dummy_api = lambda: api
    return module


@pytest.mark.parametrize(
    "name", ["test_forward_pass", "test_query", "test_mutate", "test_conversions"]
)
def test_passes(theirs: Any, name: str) -> None:
    result = unittest.TestResult()
    theirs.NasBench101SearchSpaceTest(name).run(result)
    assert result.testsRun == 1
    assert [text for _, text in result.errors + result.failures] == []


def test_their_hash_is_of_their_architecture(theirs: Any) -> None:
    space = naslib_space.EcnasSearchSpace()
    space.set_spec(theirs.FIXED_ARCH)
    assert space.cell.nasbench_hash == theirs.HASHSPEC
