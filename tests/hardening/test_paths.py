"""Names from users and files that become paths stay in the folder that they belong to."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.campaign import DataChoice, make_plan, requeue
from naslib_ecnas.comparison.runs import Unit
from naslib_ecnas.data.cache import tables_folder
from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.long_form import write_csv
from naslib_ecnas.errors import EcnasError
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.tables import chosen, embedded

ESCAPES = ("..", "../x", "../../x", "/etc/passwd", "a/../../x", ".", "-", "", "\\..\\x", "x\ny")
names = st.sampled_from(ESCAPES) | st.text(alphabet=string.printable + "é\u2028", max_size=30)


@given(table=names, method=names, seed=st.integers(0, 99))
def test_a_run_of_any_name_is_kept_below_its_comparison(table: str, method: str, seed: int) -> None:
    path = Unit(table, method, seed).file
    assert not path.is_absolute()
    assert len(path.parts) == 4
    assert not {"..", "."} & set(path.parts)
    assert not any(part.startswith(".") for part in path.parts)


@pytest.mark.parametrize("name", ["..a", "a b", "é", "x" * 200, "-", "a\nb"])
def test_the_table_of_a_file_of_any_name_lies_in_the_cache(
    name: str, tmp_path: Path, small_columns: Any
) -> None:
    source = tmp_path / f"{name}.csv"
    write_csv(source, small_columns)
    made = converted(source)
    assert made.parent == tables_folder()
    assert made.is_file()


def test_the_table_of_a_device_of_any_name_lies_in_the_cache(tmp_path: Path) -> None:
    held = Weights.shipped("devices")
    place = tmp_path / "..a" / "..b.safetensors"
    place.parent.mkdir()
    Weights({**held.header, "device": "titan-xp"}, held.arrays).save(place)
    made = embedded(chosen("4v", device=place))
    assert made.parent == tables_folder()
    for device in ("../../x", "/etc/passwd", ".."):
        with pytest.raises(EcnasError):
            embedded(chosen("4v", device=device))
    assert {path.parent for path in tables_folder().parent.rglob("*.ecnas")} == {tables_folder()}


@pytest.mark.parametrize("name", ["../../x", "..", "/etc/passwd", "no-such-unit"])
def test_a_unit_of_no_plan_is_not_requeued(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    data = DataChoice(kind="synthetic", images_per_file=4)
    make_plan((0,), name="x", vertices=4, data=data).write(folder)
    (tmp_path / "x.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert requeue(folder, [name]) == []
    assert sorted(tmp_path.rglob("*")) == before
