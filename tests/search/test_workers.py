"""Simulated workers: closed forms, another simulator, every method, and emissions by a trace."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.carbon_trace import DEFER, CarbonTrace
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import SearchResult, result_of, run
from naslib_ecnas.search.accounting import Workers
from naslib_ecnas.search.methods import METHODS

NAMES = ("energy_kwh", "validation_accuracy")
DAY = CarbonTrace("day", np.repeat([300.0, 100.0], 12))


def content(result: SearchResult) -> tuple[Any, ...]:
    arrays = (result.rows, result.epochs, result.seen, result.started_s, result.ended_s)
    return (*(array.tolist() for array in arrays), result.spent, result.hypervolume)


def simulated(rows: list[int], seconds: dict[int, float], workers: int) -> list[Any]:
    """What a method is asked and told when it asks for three of the rows at a time.

    Event by event: at each time trainings end, then free workers begin.
    """
    log: list[Any] = []
    now, running, ended, queue, known = 0.0, {}, [], [], set()
    while rows or queue or running:
        while len(running) < workers and (queue or rows):
            if not queue:
                log += [("ended", row) for row in ended]
                log += [("unknown", row) for row in running if row not in known]
                known |= set(running)
                ended = []
                queue, rows = rows[:3], rows[3:]
                log += [("ask",), ("begun", *queue)]
            row = queue.pop(0)
            running[row] = now + seconds[row]
        if not running:
            break
        now = min(running.values())
        over = [row for row, end in running.items() if end == now]
        ended += over
        for row in over:
            del running[row]
    return log


@given(st.integers(2, 7), st.integers(0, 20))
def test_workers_as_an_event_loop_has_them(workers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds = {row: float(rng.integers(1, 50)) for row in range(30)}
    crew, log = Workers(workers, whole=False), []
    for batch in np.arange(30).reshape(10, 3):
        log += [("ask",), ("begun", *batch.tolist())]
        lengths = np.array([seconds[row] for row in batch.tolist()])
        ends = crew.train(lengths) + lengths
        told = zip(*crew.ended(batch, np.zeros((3, 2)), ends), strict=True)
        log += [("unknown" if np.isnan(cost).any() else "ended", int(row)) for row, cost in told]
    wanted = simulated(list(range(30)), seconds, workers)
    last = max(i for i, entry in enumerate(log) if entry == ("ask",)) + 2
    assert log[:last] == wanted[:last]


@pytest.mark.parametrize("workers", [2, 5])
def test_every_method_with_several_workers(
    toy: Benchmark, method: str, paper: bool, workers: int
) -> None:
    about: dict[str, Any] = {"evaluations": 60, "seed": 1, "paper": paper}
    result = run(toy, method, workers=workers, **about)
    assert result.config.workers == workers
    pairs = list(zip(result.rows.tolist(), result.epochs.tolist(), strict=True))
    assert paper or len(set(pairs)) == len(pairs) == 60  # no cell twice, though results come late
    starts, ends = result.started_s, result.ended_s
    np.testing.assert_array_equal(ends, starts + result.details["training_time_s"])
    assert (np.diff(starts) >= 0).all()
    assert max(int(((starts <= t) & (t < ends)).sum()) for t in starts) == workers
    assert result.hours >= result.spent.seconds / workers / 3600 - 1e-9
    reached = [column[-1] for column in result.anytime_hours]
    assert reached == [result.hours, result.hypervolume]
    assert content(run(toy, method, workers=workers, **about)) == content(result)
    kind = METHODS[method]
    if kind.uses_budgets or not kind.asynchronous or method == "random":  # they are told the same
        alone = run(toy, method, **about)
        assert (alone.rows.tolist(), alone.spent) == (result.rows.tolist(), result.spent)


def test_equal_trainings_take_their_share_of_the_time(bench_of: Any) -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.random((60, 2, 1)) for name in ("validation_accuracy", "test_accuracy")}
    values["training_time_s"] = np.full((60, 2, 1), 1800.0)
    bench = bench_of(values)
    about: dict[str, Any] = {"objectives": [*values][:2], "evaluations": 36, "seed": 0}
    for workers, method in itertools.product((1, 2, 3, 4), ("random", "ehvi", "re")):
        result = run(bench, method, workers=workers, **about)
        assert result.hours == pytest.approx(36 / 2 / workers)
    # No emissions are made up.
    assert result.spent.unknown["co2_g"] == 36
    with pytest.raises(ConfigError, match="no cell of synthetic has a known energy_kwh"):
        run(bench, carbon_trace=DAY, **about)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("defer", DEFER)
def test_emissions_by_a_trace(toy: Benchmark, defer: str, workers: int) -> None:
    about: dict[str, Any] = {"evaluations": 40, "seed": 2}
    times: dict[str, Any] = {**about, "workers": workers, "defer": defer}
    result = run(toy, "random", carbon_trace=DAY, **times)
    assert toy.spent == result.spent
    plain = run(toy, "random", **about)
    assert result.rows.tolist() == plain.rows.tolist()
    assert result.spent.energy_kwh == plain.spent.energy_kwh
    seconds, energy = result.details["training_time_s"], result.details["energy_kwh"]
    grams = energy * DAY.intensity(result.started_s, seconds)
    assert result.spent.co2_g == result.cumulative["co2_g"][-1] == pytest.approx(grams.sum())
    # All trainings take less than half a day: begun in its dirty half, or put off to the clean one.
    assert result.spent.co2_g == pytest.approx((300 if defer == "now" else 100) * energy.sum())
    assert (result.started_s[0] == 0) == (defer == "now")
    flat = run(toy, "random", carbon_trace=CarbonTrace("flat", np.full(5, 50.0)), **times)
    assert flat.spent.co2_g == pytest.approx(50 * energy.sum())


def test_what_is_written_has_the_clock(toy: Benchmark, tmp_path: Path) -> None:
    out, about = tmp_path / "out", {"noise": True, "carbon_trace": DAY, "defer": "below-mean"}
    about |= {"workers": 4, "seed": 3}
    result = run(toy, "semoa", evaluations=50, out=out, **about)
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    for name, times in (("started_s", result.started_s), ("ended_s", result.ended_s)):
        assert [line[name] for line in lines] == times.tolist()
    assert lines[-1]["spent"] == json.loads((out / "spent.json").read_text())
    clock = json.loads((out / "front.json").read_text())["clock"]
    assert clock["hours"] == clock["anytime"]["hours"][-1] == result.hours
    config = json.loads((out / "config.json").read_text())
    assert (config["workers"], config["carbon"]["defer"]) == (4, "below-mean")
    # The same result follows from the rows, the starts and the trace.
    about |= {"rows": result.rows, "epochs": result.epochs, "objectives": NAMES, "method": "semoa"}
    again = result_of(toy, starts=result.started_s, **about)
    assert content(again) == content(result)
    for wrong in ({"starts": [np.nan] * 50}, {"starts": [0.0]}, {"workers": 0}, {"seed": -1}):
        with pytest.raises(ConfigError):
            result_of(toy, **{"starts": result.started_s, **about, **wrong})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"defer": "below-mean"}, "with a carbon trace"),
        ({"defer": "later", "carbon_trace": DAY}, "now, below-mean, cheapest-window"),
        ({"carbon_trace": "nowhere.csv"}, "no hourly carbon trace"),
    ],
)
def test_what_no_worker_can_do(toy: Benchmark, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run(toy, "random", evaluations=5, seed=0, **options)
