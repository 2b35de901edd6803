"""Worlds: means, spreads and likeness of their fields, and worlds as tables."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import ClosedTableError, ConfigError, UnknownMetricError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.tables import chosen, embedded
from naslib_ecnas.surrogate.worlds import MOVED, Likeness, WorldTable

CELLS = len(Space(5))


@pytest.fixture
def base(modelled: None) -> Table:
    return Table.open(embedded(chosen("5v")))


def test_likeness_is_a_direction() -> None:
    coordinates = Likeness.shipped()(np.array([0, 5, 90, 400_000])).astype(np.float64) / 2**14
    assert coordinates.shape == (4, 32)
    np.testing.assert_allclose((coordinates**2).sum(axis=1), 1, atol=1e-3)


def test_fields_have_variance_one_and_are_alike_for_like_cells(base: Table) -> None:
    fields = np.stack([WorldTable(base, number).field(3) for number in range(200)])
    assert abs(fields.mean()) < 0.1  # cells are alike: its standard deviation is about .04
    spread = fields.std(axis=0)
    assert spread.mean() == pytest.approx(1, abs=0.02)
    assert spread.std() < 0.08  # of 200 draws it is .05
    rng, space = np.random.default_rng(0), Space(5)
    near = [(row, space.neighbours(row)[0]) for row in rng.choice(CELLS, 300, replace=False)]
    far = rng.choice(CELLS, (300, 2))
    like, unlike = (
        float(np.mean([fields[:, a] * fields[:, b] for a, b in pairs])) for pairs in (near, far)
    )
    smooth = Likeness.shipped().smooth
    assert unlike + 0.1 < like < smooth
    world = WorldTable(base, 7)
    np.testing.assert_array_equal(world.field(3), fields[7])
    assert abs(np.corrcoef(world.field(4), fields[7])[0, 1]) < 0.5


def test_worlds_spread_by_the_doubt_around_the_table(base: Table) -> None:
    worlds = [WorldTable(base, number) for number in range(60)]
    for name in MOVED:
        for budget in (0, 3):
            mean = base.at_budget(name, budget)[:, 0]
            std = base.at_budget(f"{name}_std", budget)[:, 0]
            repeats = base.at_budget(f"{name}_repeat_std", budget)[:, 0]
            doubt = np.sqrt(np.maximum(std**2 - repeats**2, 0))
            sure = doubt > 1e-4 * mean  # a little doubt is lost in the rounding to float32
            found = np.stack([world.at_budget(name, budget)[:, 0] for world in worlds])
            if not name.endswith("accuracy"):
                found, doubt, mean = np.log(found), doubt / mean, np.log(mean)
            z = ((found - mean) / np.where(sure, doubt, 1))[:, sure]
            assert abs(z.mean()) < 0.1, name
            assert np.sqrt((z**2).mean()) == pytest.approx(1, abs=0.1), name
            np.testing.assert_array_equal(worlds[0].at_budget(f"{name}_std", budget)[:, 0], repeats)
    for name in ("failure_probability", "gpu_share"):
        np.testing.assert_array_equal(worlds[0].at_budget(name, 1), base.at_budget(name, 1))


def test_a_world_is_a_table(modelled: None) -> None:
    bench, other = ecnas.load("5v", world=3), ecnas.load("5v", world=4)
    assert bench.name == "5v-world-3"
    assert bench.table.attributes["world"] == "3"
    assert len({bench.table.checksum, other.table.checksum, ecnas.load("5v").table.checksum}) == 3
    record = bench.query(100, 108)
    assert record.energy_kwh == bench.values("energy_kwh", 108)[100]
    assert record != other.query(100, 108)
    assert pickle.loads(pickle.dumps(bench)).query(100, 108) == record  # noqa: S301
    there = bench.at(pue=1).query(100, 108)
    assert there.energy_kwh == pytest.approx(record.energy_kwh / 1.59)
    assert there.validation_accuracy == record.validation_accuracy
    front = bench.front(epochs=108)
    assert (front.values[0] == bench.query_many(front.rows[:1], 108)["energy_kwh"][0]).any()
    bench.table.verify()
    with pytest.raises(UnknownMetricError):
        bench.table.at_budget("co2_g", 0)
    bench.close()
    assert bench.table.closed
    with pytest.raises(ClosedTableError):
        bench.values("energy_kwh", 36)


def test_what_has_no_worlds(base: Table) -> None:
    with pytest.raises(ConfigError, match="world"):
        ecnas.load("4v", world=-1)
    with pytest.raises(ConfigError, match="7v, 5v and 4v"):
        ecnas.load(base.path, world=1)
