"""Methods by name."""

from __future__ import annotations

import sys

import pytest

from naslib_ecnas.comparison.compare import ADAPTED, method_class, names
from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.search.methods import METHODS


def test_our_own_come_first() -> None:
    assert names()[: len(METHODS)] == tuple(METHODS)
    assert method_class("semoa") is METHODS["semoa"]


@pytest.mark.parametrize("name", list(ADAPTED))
def test_a_method_of_another_library(name: str) -> None:
    _, _, package = ADAPTED[name]
    pytest.importorskip(package)
    kind = method_class(name)
    assert kind.name == name


@pytest.mark.parametrize("name", list(ADAPTED))
def test_a_missing_library_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, package = ADAPTED[name]
    monkeypatch.delitem(sys.modules, module, raising=False)
    for known in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=package):
        method_class(name)


def test_unknown() -> None:
    with pytest.raises(ConfigError, match="semoa"):
        method_class("sema")
