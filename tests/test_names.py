"""The names of the package itself, which are imported when they are first used."""

from __future__ import annotations

from importlib import import_module

import pytest

import naslib_ecnas as ecnas


@pytest.mark.parametrize("name", ecnas.__all__)
def test_every_name_is_there(name: str) -> None:
    value = getattr(ecnas, name)
    assert getattr(ecnas, name) is value
    assert name in dir(ecnas)
    if callable(value):
        home = import_module(value.__module__)
        assert value.__module__.startswith("naslib_ecnas.")
        assert getattr(home, name) is value


def test_nothing_else_is() -> None:
    assert dir(ecnas) == sorted(ecnas.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ecnas.nothing  # noqa: B018
