"""Units of work by one process, by several and by jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from naslib_ecnas.comparison.execute import execute, only_one
from naslib_ecnas.errors import ConfigError, EcnasError


def _works() -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """Functions that go to other processes whole: those cannot import this file."""

    def leave(path: Path) -> None:
        path.write_text(str(os.getpid()))

    def fail(path: Path) -> None:
        if path.name == "3":
            raise ValueError("three is one too many")
        leave(path)

    return leave, fail


leave_a_file, fail_on_three = _works()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_unit_is_done_and_told(tmp_path: Path, jobs: int) -> None:
    units = [tmp_path / str(i) for i in range(6)]
    told: list[Path] = []
    if jobs > 1:
        pytest.importorskip("joblib")
    execute(leave_a_file, units, jobs=jobs, on_done=told.append)
    assert sorted(told) == units
    assert all(unit.exists() for unit in units)
    here = {unit.read_text() for unit in units} == {str(os.getpid())}
    assert here == (jobs == 1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_ends_it_and_what_is_done_stays(tmp_path: Path, jobs: int) -> None:
    if jobs > 1:
        pytest.importorskip("joblib")
    with pytest.raises(ValueError, match="one too many"):
        execute(fail_on_three, [tmp_path / str(i) for i in range(5)], jobs=jobs)
    assert (tmp_path / "0").exists()


def test_jobs_of_a_cluster_on_this_machine(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    units = [tmp_path / str(i) for i in range(5)]
    told: list[Path] = []
    execute(
        leave_a_file, units, jobs=2, cluster="local", folder=tmp_path / "j", on_done=told.append
    )
    assert sorted(told) == units
    # Two jobs, each with its share, and none of them this process.
    assert len({unit.read_text() for unit in units} | {str(os.getpid())}) == 3


def test_a_job_that_fails_says_where_to_look(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(EcnasError, match="one too many") as caught:
        execute(
            fail_on_three,
            [tmp_path / str(i) for i in range(4)],
            jobs=1,
            cluster="local",
            folder=tmp_path / "j",
        )
    assert str(tmp_path / "j") in str(caught.value)


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_jobs_are_a_number(jobs: int) -> None:
    with pytest.raises(ConfigError, match="jobs"):
        execute(leave_a_file, [], jobs=jobs)


def test_a_cluster_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="slurm, local"):
        execute(leave_a_file, [tmp_path], cluster="sge", folder=tmp_path)


def test_a_folder_is_for_one(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(ConfigError, match="somebody else"):
        only_one(tmp_path).__enter__()
    with only_one(tmp_path):
        pass
