"""Carbon intensities: numbers, and published figures with their source and year."""

from __future__ import annotations

import pytest

from naslib_ecnas.data.carbon import carbon_intensity, countries
from naslib_ecnas.errors import ConfigError


def test_every_figure_has_a_source_and_a_year() -> None:
    found = countries()
    assert len(found) > 200
    for code, figure in found.items():
        assert code == "world" or (len(code) == 2 and code.isupper())
        assert 10 < figure.g_per_kwh < 1500
        assert f"{code} 202" in figure.about
        assert "Ember" in figure.about


@pytest.mark.parametrize(
    ("names", "figure"),
    [
        (("fr", " FR ", "FRA", "france"), 56),
        (("World", "global"), 481),
        (("EU", "eu27", "European  Union"), 236),
        (("GB", "GBR", "UK", "United Kingdom", "great britain"), 238),
        (("Réunion", "RE"), 573),
        ((300, 300.0, "300"), 300),
        (("NO", "Norway"), 30),  # and no boolean of YAML
    ],
)
def test_a_place_by_its_codes_and_names(names: tuple[str | float, ...], figure: float) -> None:
    assert {carbon_intensity(name).g_per_kwh for name in names} == {figure}


def test_an_unknown_place_gets_the_nearest_names() -> None:
    for typed, nearest in (("Germani", "Germany"), ("swizerland", "Switzerland")):
        with pytest.raises(ConfigError, match=f"nearest names are {nearest}"):
            carbon_intensity(typed)
    with pytest.raises(ConfigError, match=r"EU or world, got 'Atlantis'$"):
        carbon_intensity("Atlantis")
    for number in ("1_0", "٣٠٠", "inf", True):
        with pytest.raises(ConfigError):
            carbon_intensity(number)
    assert "as set" in carbon_intensity("5e1").about
