"""Stand-ins: importable, constructible, and loud as soon as they are used."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import pytest

from naslib_ecnas.adapters.naslib_patches import StandInError, stand_in
from naslib_ecnas.errors import MissingDependencyError


def test_attributes_are_stand_ins_and_stay_the_same() -> None:
    pyro = stand_in("pyro")
    assert pyro.contrib.gp.kernels.RBF is pyro.contrib.gp.kernels.RBF
    assert repr(pyro.contrib.gp) == "<stand-in for pyro.contrib.gp>"


def test_objects_can_be_made_and_copied_but_not_used() -> None:
    model = stand_in("ngboost.NGBRegressor")(505, learning_rate=0.1)
    copy.deepcopy(model)
    with pytest.raises(StandInError, match=r"ngboost\.NGBRegressor.*pip install ngboost") as raised:
        model.fit([1], [2])
    assert isinstance(raised.value, MissingDependencyError)
    assert isinstance(raised.value, ImportError)
    assert raised.value.package == "ngboost"


@pytest.mark.parametrize(
    "use",
    [
        lambda o: o(),
        lambda o: o[0],
        lambda o: o + 1,
        lambda o: 1 * o,
        list,
        float,
        lambda o: o.anything,
        lambda o: 1 in o,
    ],
)
def test_every_use_raises(use: Any) -> None:
    with pytest.raises(StandInError):
        use(stand_in("xgboost.Booster")())


def test_calling_what_is_named_like_a_function_is_a_use() -> None:
    with pytest.raises(StandInError, match=r"xgboost\.train"):
        stand_in("xgboost").train({}, None)


def test_a_class_can_be_derived_from_one() -> None:
    base = stand_in("grakel.kernels").Kernel

    class Mixed(base, ABC):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(n_jobs=1)
            self.own = 3

        @abstractmethod
        def todo(self) -> int: ...

    class Kernel(Mixed):
        def todo(self) -> int:
            return self.own

    assert issubclass(Kernel, base)
    assert isinstance(Kernel(), base)
    assert Kernel().todo() == 3
    assert not hasattr(Kernel, "anything")
    with pytest.raises(StandInError, match="grakel"):
        Kernel().fit_transform()
    with pytest.raises(TypeError, match="abstract"):
        Mixed()


def test_packages_with_another_name_are_called_by_it() -> None:
    with pytest.raises(StandInError, match="pip install scikit-image"):
        stand_in("skimage.io").imread("a")
    with pytest.raises(StandInError, match="tkinter"):
        stand_in("turtle").position()
