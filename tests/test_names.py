"""The names of the package itself, which are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

import naslib_ecnas as ecnas


def test_every_name_is_there_and_nothing_else() -> None:
    for name in dir(ecnas):
        value = getattr(ecnas, name)
        assert getattr(ecnas, name) is value
        if isinstance(value, ModuleType):
            assert value.__name__ == f"naslib_ecnas.{name}"
        elif callable(value):
            assert value.__module__.startswith("naslib_ecnas.")
            assert getattr(import_module(value.__module__), name) is value
    assert set(ecnas.__all__) < set(dir(ecnas))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ecnas.nothing  # noqa: B018
