"""A whole campaign with every trouble at once, and what is made of it.

Six cells, two repeats, two workers; one is killed in a training, one claim of another machine is
left behind. The energies are replayed from a synthetic trace of 100 W.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas import cli
from naslib_ecnas.campaign import Measurement, Plan, Settings, export, status, validate
from naslib_ecnas.campaign.claims import Owner, attempts
from naslib_ecnas.campaign.record import record_path, recorded
from naslib_ecnas.campaign.worker import attempts_folder
from naslib_ecnas.files import to_plain

torch = pytest.importorskip("torch")

ROWS = (0, 1, 2, 3, 4, 5)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Tiny, and with energies."""
    trace = tmp_path / "synthetic.json"
    trace.write_text(json.dumps({"times_s": [0, 1e5], "powers_w": [100, 100]}))
    return replace(settings, meter="replay", replay=str(trace), baseline_s=0.0)


def _in_a_training(folder: Path, pid: int) -> bool:
    for claim in folder.glob("attempts/*/*.claim"):
        log = claim.with_suffix(".log")
        if not log.is_file() or json.loads(claim.read_text() or '{"pid": 0}')["pid"] != pid:
            continue
        text = log.read_text()
        if '"init"' in text and '"mark": "end"' not in text:
            return True
    return False


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_counted_twice(
    tmp_path: Path,
    plan: Callable[..., Plan],
    worker: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "c"
    planned = plan(rows=ROWS, repeats=2)
    planned.write(folder)
    left = attempts_folder(folder, planned.units[4])
    left.mkdir(parents=True)
    (left / "0001.claim").write_text(json.dumps(to_plain(replace(Owner.here(), host="elsewhere"))))
    pace = {"beat_s": 0.5, "stale_s": 4.0}
    victim, other = worker(folder, **pace), worker(folder, **pace)
    for _ in range(4000):
        if _in_a_training(folder, victim.pid):
            break
        assert victim.poll() is None
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    other.communicate(timeout=180)
    assert other.returncode == 0
    assert recorded(folder) == set(planned.by_name)
    ends = [a.ended for u in planned.units for a in attempts(attempts_folder(folder, u))]
    # A kill just after a record leaves that record without the mark of its end.
    assert ends.count("recorded") in (11, 12)
    assert status(folder).lost.attempts in (1, 2)
    found = validate(folder)
    assert (found.good, found.records, found.missing) == (True, 12, ())
    table = tmp_path / "c.ecnas"
    columns = export(folder, table, allow_synthetic=True)
    bench = ecnas.load(table)
    assert bench.rows.tolist() == list(ROWS)
    energy = bench.values("total_energy_kwh", 4)[list(ROWS)]
    for row in ROWS:
        of = [u for u in planned.units if u.row == row]
        totals = [Measurement.read(record_path(folder, u)).window("total") for u in of]
        kwh = np.mean([100 * total.seconds / 3.6e6 for total in totals if total is not None])
        assert energy[row] == pytest.approx(kwh, rel=1e-5)
    assert columns.values["energy_kwh"].shape == (6, 1, 2)
    assert np.isfinite(columns.values["energy_kwh"]).all()
    monkeypatch.chdir(tmp_path)
    search = ["search", "--table", str(table), "--evaluations", "20", "--epochs", "4"]
    assert cli.main([*search, "--method", "random", "--out", "run", "--no-plot"]) == 0, (
        capsys.readouterr().err
    )
    assert list((tmp_path / "run").iterdir()) != []
