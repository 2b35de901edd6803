"""Campaigns and comparisons on a real SLURM of one node, started on loopback and ended again."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from naslib_ecnas.campaign import Cluster, Pace, Plan, Settings, launch, status, validate
from naslib_ecnas.campaign.claims import attempts
from naslib_ecnas.campaign.record import recorded
from naslib_ecnas.campaign.worker import attempts_folder
from naslib_ecnas.comparison.compare import Grid, compare
from naslib_ecnas.errors import EcnasError

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "sinfo", "scancel")

_CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=requeue_setup_env_fail
KillWait=2
JobRequeue=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
#: Two devices that every machine has stand in for GPUs: SLURM hands them out and opens neither.
_GRES = "Name=gpu File=/dev/zero\nName=gpu File=/dev/full\n"


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    """A daemon in the foreground, ended by its own process."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def slurm() -> Iterator[Path]:
    """The folder of a SLURM whose commands work in this process; its node is idle."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"no SLURM can be started here: {', '.join(missing) or 'not root'}")
    pytest.importorskip("submitit")
    # Not pytest's folder: the path of a socket must be short, and munged wants it private.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, ExitStack() as stack:
        folder = Path(name)
        for part in ("munge", "state", "spool"):
            (folder / part).mkdir(mode=0o700)
        key = folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        host = socket.gethostname().partition(".")[0]
        config = folder / "slurm.conf"
        ports, cpus = _free_ports(2), os.cpu_count()
        config.write_text(_CONFIG.format(host=host, ports=ports, folder=folder, cpus=cpus))
        (folder / "gres.conf").write_text(_GRES)
        files = {"key": key, "pid": "", "log": "", "seed": "", "socket": ""}
        flags = [
            f"--{what}{'' if what == 'socket' else '-file'}={folder / 'munge' / what}"
            for what in files
        ]
        munged = ["munged", "--foreground", "--force", "--num-threads=2", *flags]
        stack.enter_context(_running(munged, folder / "munged.out"))
        _until(lambda: (folder / "munge" / "socket").exists(), 10, "munged does not start")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SLURM_CONF", str(config))
        patch.setenv("OMP_NUM_THREADS", "1")
        for daemon in ("slurmctld", "slurmd"):
            command = [daemon, "-D", "-f", str(config)]
            stack.enter_context(_running(command, folder / f"{daemon}.out"))
        _until(_idle, 30, "the node does not become idle")
        yield folder
        subprocess.run(["scancel", "--user=root"], check=False, timeout=20)
        _until(_idle, 30, "", skip=False)


def _until(good: Callable[[], bool], seconds: float, why: str, *, skip: bool = True) -> None:
    end = time.monotonic() + seconds
    while not good():
        if time.monotonic() > end:
            if skip:
                pytest.skip(f"no SLURM can be started here: {why}")
            return
        time.sleep(0.25)


def _idle() -> bool:
    try:
        shown = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False, timeout=10
        )
    except subprocess.TimeoutExpired:
        return False
    return shown.stdout.strip() == "idle"


CLUSTER = Cluster(kind="slurm", workers=2, gres="gpu:1", cpus=1, hours=0.2)


def test_a_campaign_runs_as_an_array_with_one_gpu_each(
    slurm: Path, tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    jobs = launch(folder, settings, CLUSTER, wait=True)
    assert len(jobs) == 2
    assert recorded(folder) == set(Plan.read(folder).by_name)
    assert validate(folder).good
    made = [a for u in Plan.read(folder).units for a in attempts(attempts_folder(folder, u))]
    assert {a.owner.job for a in made if a.owner is not None} <= set(jobs)
    script = next((folder / "jobs").glob("*submission*.sh")).read_text()
    assert "#SBATCH --gres=gpu:1" in script
    assert "#SBATCH --requeue" in script


@pytest.mark.slow
def test_a_job_that_is_requeued_in_a_unit_does_it_again(
    slurm: Path, tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    """As where a node is taken away: SLURM kills the job, queues it again, and it goes on."""
    folder = tmp_path / "c"
    plan(rows=(2,), repeats=2).write(folder)
    # Long enough to be met in the middle.
    slow = replace(settings, steps=120)
    jobs = launch(folder, slow, replace(CLUSTER, workers=1), pace=Pace(beat_s=1, stale_s=10))

    def in_training() -> bool:
        logs = (folder / "attempts").glob("*/*.log")
        return any(b'"init"' in log.read_bytes() for log in logs)

    _until(in_training, 60, "the job does not start", skip=False)
    assert in_training()
    subprocess.run(["scontrol", "requeue", jobs[0]], check=True, timeout=20)
    # SLURM holds it back until its old credential has expired, which _CONFIG makes soon.
    _until(lambda: len(recorded(folder)) == 2, 200, "", skip=False)
    assert recorded(folder) == set(Plan.read(folder).by_name)
    found = status(folder)
    assert (found.recorded, found.lost.attempts) == (2, 1)
    assert validate(folder).good


def test_a_request_that_no_node_has_is_one_clear_error(
    slurm: Path, tmp_path: Path, plan: Callable[..., Plan], settings: Settings
) -> None:
    folder = tmp_path / "c"
    plan().write(folder)
    with pytest.raises(EcnasError, match="could not be submitted"):
        launch(folder, settings, replace(CLUSTER, gres="gpu:9"))
    assert json.loads((folder / "plan.json").read_text())["name"] == "tiny"


def test_a_comparison_runs_as_an_array(slurm: Path, tmp_path: Path) -> None:
    """The same files as without a cluster."""
    grid = Grid(("semoa", "random"), ("4v",), (0, 1), 40)
    units = compare(grid, tmp_path / "alone")
    compare(grid, tmp_path / "array", jobs=2, cluster="slurm")
    for unit in units:
        alone, array = (tmp_path / name / unit.file for name in ("alone", "array"))
        assert alone.read_bytes() == array.read_bytes()
    assert list((tmp_path / "array" / "jobs").glob("*_submission.sh"))
