"""Carbon intensities: numbers, and published figures with their source and year."""

from __future__ import annotations

from naslib_ecnas.data.carbon import carbon_intensity, countries


def test_every_figure_has_a_source_and_a_year() -> None:
    found = countries()
    assert len(found) > 20
    for code, figure in found.items():
        assert code == "world" or (len(code) == 2 and code.isupper())
        assert 10 < figure.g_per_kwh < 1000
        assert "20" in figure.about
        assert "Ember" in figure.about or "Our World in Data" in figure.about


def test_codes_and_numbers() -> None:
    assert carbon_intensity("fr") == carbon_intensity(" FR ") == countries()["FR"]
    assert carbon_intensity("World").g_per_kwh == 481
    for choice in (300, 300.0, "300"):
        assert carbon_intensity(choice).g_per_kwh == 300
        assert "as set" in carbon_intensity(choice).about
