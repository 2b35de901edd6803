"""Which GPU a training runs on, a GPU's reading from two of its points, and what is imported."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import naslib_ecnas.energy
from naslib_ecnas.energy import EnergyMeter, GpuProcess, GpuState, UnknownDevice
from naslib_ecnas.energy.nvml import (
    Gpu,
    GpuPoint,
    GpuSource,
    _throttle_names,
    resolve,
    torch_uuid,
    visible,
)
from naslib_ecnas.energy.readings import CounterTrack, PowerTrack
from naslib_ecnas.errors import MissingDependencyError

# -- imports --------------------------------------------------------------------------------------


def test_importing_brings_in_nothing_heavy_and_one_file_uses_pynvml(tmp_path: Path) -> None:
    code = "import naslib_ecnas.energy, sys; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "naslib_ecnas.energy.meter" in out.stdout.split()
    assert not {"pynvml", "torch", "zeus", "scipy"} & set(out.stdout.split())
    folder = Path(naslib_ecnas.energy.__file__).parent
    using = [
        path.name
        for path in sorted(folder.glob("*.py"))
        if re.search(r"import_module\(\"pynvml|import pynvml", path.read_text(encoding="utf-8"))
    ]
    assert using == ["nvml.py"]


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingDependencyError, match=r"naslib-ecnas\[measure\]"):
        EnergyMeter()
    with EnergyMeter(devices=(), cpu=False) as meter, meter.window("train") as w:
        pass
    assert (w.window.energy_j, w.window.cpu_state.kind) == ({}, "off")


def test_the_bits_of_throttling_have_names() -> None:
    assert _throttle_names(0) == ()
    assert _throttle_names(0x101) == ("gpu-idle", "display-clock")
    assert _throttle_names(0x200) == ("other-0x200",)
    assert _throttle_names(0x602) == ("application-clocks", "other-0x600")


# -- the device -----------------------------------------------------------------------------------

UUIDS = ("GPU-aaaa1111-x", "GPU-aaaa2222-y", "GPU-bbbb3333-z")
GPUS = tuple(Gpu(uuid, "A100", i, False) for i, uuid in enumerate(UUIDS))
MIXED = (*GPUS[:2], Gpu(UUIDS[2], "T4", 2, False))


def setting(value: str | None) -> dict[str, str]:
    return {} if value is None else {"CUDA_VISIBLE_DEVICES": value}


def test_what_cuda_shows() -> None:
    for value, shown in (
        (None, [0, 1, 2]), ("", []), ("2,0", [2, 0]), (" 1 , 2 ", [1, 2]), ("0,-1,2", [0]),
        ("-1", []), ("NoDevFiles", []), ("1,7,0", [1]), ("1,3,0", [1]), ("1,1,0", [1]),
        ("GPU-bbbb,GPU-aaaa1", ["GPU-bbbb", "GPU-aaaa1"]), ("GPU-bbbb,0", ["GPU-bbbb"]),
        ("0,GPU-bbbb", [0]), ("MIG-1234", ["MIG-1234"]),
    ):  # fmt: skip
        assert visible(setting(value), 3) == shown


def test_a_device_is_one_gpu() -> None:
    for device, value, gpu in (
        (0, None, 0), (2, None, 2), ("cuda", None, 0), ("cuda:1", "2,0", 0), ("1", "2,0", 0),
        (0, "2", 2), (0, UUIDS[1], 1), (1, "GPU-bbbb,GPU-aaaa1", 0), (UUIDS[0], "2", 0),
        ("GPU-b", None, 2), ("GPU-BBBB3333-Z", None, 2), ("MIG-GPU-bbbb3333-z/7/0", None, 2),
        (0, "MIG-GPU-aaaa2222-y/1/0", 1),
    ):  # fmt: skip
        assert resolve(device, GPUS, environ=setting(value)).gpu.uuid == UUIDS[gpu]
    for device, value in (  # no GPU matches, several do, or a MIG instance cannot be looked up
        (3, None), (9, None), (1, "2"), (0, ""), (-1, None), ("cpu", None), ("cuda:x", None),
        ("GPU-aaaa", None), ("GPU-cccc", None), (0, "GPU-aaaa"), ("MIG-1234", None),
    ):  # fmt: skip
        with pytest.raises(UnknownDevice):
            resolve(device, GPUS, environ=setting(value))


def test_an_index_among_different_models_needs_an_order() -> None:
    with pytest.raises(UnknownDevice, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        resolve(0, MIXED, environ={})
    assert resolve(2, MIXED, environ={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}).gpu == MIXED[2]
    assert resolve(0, MIXED, environ={}, runtime_uuid=UUIDS[2]).gpu == MIXED[2]
    assert resolve(0, MIXED, environ=setting(UUIDS[1])).gpu == MIXED[1]


def test_a_mig_instance_is_named_beside_its_gpu() -> None:
    parents = {"MIG-1234": UUIDS[1]}.__getitem__
    for device, runtime in (("MIG-1234", None), (0, "GPU-1234")):
        chosen = resolve(device, GPUS, environ={}, parent_of_mig=parents, runtime_uuid=runtime)
        assert (chosen.gpu, chosen.mig) == (GPUS[1], "MIG-1234")


def test_torch_is_asked_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in torch: the machine that runs this needs no GPU."""
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        current_device=lambda: 1,
        get_device_properties=lambda i: SimpleNamespace(uuid=f"{UUIDS[i][4:]}"),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    for device, uuid in ((0, UUIDS[0]), ("cuda", UUIDS[1]), ("cuda:1", UUIDS[1])):
        assert torch_uuid(device) == uuid
    assert torch_uuid(2) is torch_uuid(9) is torch_uuid("GPU-b") is None
    cuda.get_device_properties = lambda i: SimpleNamespace()
    assert torch_uuid(0) is None  # before torch 2.4
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_uuid(0) is None


def test_the_meter_follows_the_environment(standin: Any) -> None:
    standin.set(gpus=3)
    last = standin.uuid(2)
    for value, device, gpu in (("1,0", 0, 1), (last, 0, 2), ("GPU-c0", "cuda:0", 2), (None, 1, 1)):
        with standin.meter(devices=[device], environ=setting(value)) as meter:
            assert list(meter.methods) == [standin.uuid(gpu)]


def test_a_mig_instance_by_nvml(standin: Any) -> None:
    standin.set(gpus=2)
    standin.set(1, mig=1)
    environ = setting("MIG-00000001-abcd")
    with standin.meter(environ=environ, shared="flag") as meter:
        assert list(meter.methods) == [standin.uuid(1)]
        with meter.window("train") as w:
            standin.sleep(0.1)
    (reading,) = w.window.energy_j.values()
    assert (reading.valid, reading.flags) == (True, ("shared",))
    with pytest.raises(UnknownDevice, match="no such MIG instance"):
        standin.meter(environ=setting("MIG-00000000-abcd"))


# -- the reading of a GPU -------------------------------------------------------------------------

EDGES = (9.99, 19.98)


@pytest.fixture
def source(standin: Any) -> Iterator[GpuSource]:
    """A source on the stand-in that refuses shared GPUs; its points are made up below."""
    with standin.meter() as meter:
        yield meter._sensors.sources[standin.uuid()]


def points(joules: float, watts: tuple[float, float]) -> tuple[GpuPoint, GpuPoint]:
    """Ten seconds apart, from 10 s to 20 s."""
    counter, power = CounterTrack(), PowerTrack(max_gap_s=60.0)
    found = []
    for time, value, power_w in ((10.0, 5.0, watts[0]), (20.0, 5.0 + joules, watts[1])):
        counter.push(time, value)
        power.push(time, power_w)
        found.append(GpuPoint(counter.point(time), power.point(time)))
    return found[0], found[1]


def test_the_powers_and_the_skew_of_the_edges_are_in_the_uncertainty(source: GpuSource) -> None:
    start, stop = points(2_000, (100.0, 300.0))
    states = GpuState(temperature_c=40.0), GpuState(temperature_c=60.0)
    found = source.reading(start, stop, edges=EDGES, states=states)
    skew = 2 * (0.01 + 0.02)
    assert (found.energy_j, found.method) == (2_000, "counter")
    assert found.uncertainty_j == pytest.approx(300 * (source.period_s + skew) + 1e-3)
    assert (found.start, found.stop) == states
    assert (found.integral_j, found.agreement, found.flags) == (2_000, "agree", ())
    assert source.reading(start, stop, edges=(10.0, 20.0), states=states).uncertainty_j < (
        found.uncertainty_j
    )


def test_the_timing_of_both_sensors_excuses_a_difference(source: GpuSource) -> None:
    """The trapezoid of a change of 200 W in 10 s is 1 kJ wide: 10 % are within it."""
    start, stop = points(2_200, (100.0, 300.0))
    assert source.reading(start, stop, edges=EDGES, states=(None, None)).agreement == "undecided"
    start, stop = points(2_200, (200.0, 200.0))
    apart = source.reading(start, stop, edges=EDGES, states=(None, None))
    assert (apart.agreement, apart.flags) == ("apart", ("counter-against-power",))
    # Half a second off at both edges explains it again.
    late = source.reading(start, stop, edges=(9.5, 19.5), states=(None, None))
    assert late.agreement == "undecided"


def test_power_alone_has_its_skew_in_the_uncertainty(standin: Any) -> None:
    standin.set(counter=0)
    start, stop = points(0, (100.0, 300.0))
    start, stop = GpuPoint(None, start.power), GpuPoint(None, stop.power)
    with standin.meter() as meter:
        source = meter._sensors.sources[standin.uuid()]
        found = source.reading(start, stop, edges=EDGES, states=(None, None))
        assert math.isnan(source.period_s)  # a steady power shows none
    assert (found.energy_j, found.method) == (2_000, "instant-power")
    assert found.uncertainty_j == pytest.approx(1_000 + 0.1 * 200 + 0.06 * 300 + 1e-3)


def test_above_the_limit_is_beyond_the_higher_limit_and_the_uncertainty(source: GpuSource) -> None:
    """Of two limits the higher counts, 1.2 of it: 300 W allow 3,600 J in 10 s."""

    def flags(joules: float, *limits: float) -> tuple[str, ...]:
        start, stop = points(joules, (joules / 10, joules / 10))
        states = [GpuState(power_limit_w=limit) for limit in limits]
        reading = source.reading(start, stop, edges=(10.0, 20.0), states=(states[0], states[1]))
        assert reading.valid
        return reading.flags

    doubt = 360 * source.period_s
    for limits in ((300.0, 200.0), (200.0, 300.0), (math.nan, 300.0), (300.0, math.nan)):
        assert flags(3_600 + 0.5 * doubt, *limits) == ()
        assert flags(3_600 + 1.5 * doubt, *limits) == ("above-power-limit",)
    assert flags(99_999, math.nan, math.nan) == ()


def test_others_at_either_edge_are_named_once_and_in_order(source: GpuSource) -> None:
    def state(*pids: int) -> GpuState:
        return GpuState(others=tuple(GpuProcess(pid, 1.0, True) for pid in pids))

    start, stop = points(1_000, (100.0, 100.0))
    for pair in ((state(9, 4), state(9)), (state(9), state(4, 9)), (state(4, 9), None)):
        found = source.reading(start, stop, edges=EDGES, states=pair)
        assert (found.reason, found.detail) == ("shared", "other processes used the GPU: [4, 9]")
        assert (found.method, found.update_period_s) == ("counter", source.period_s)
        assert (found.start, found.stop) == pair
    assert source.reading(start, stop, edges=EDGES, states=(state(), GpuState())).valid


def test_power_may_be_missing_for_five_samples_and_a_second_at_least(standin: Any) -> None:
    for sample_hz, gap_s in ((0.5, 10.0), (10.0, 1.0)):
        with standin.meter(sample_hz=sample_hz) as meter:
            source = meter._sensors.sources[standin.uuid()]
        assert source._power is not None
        assert source._power._max_gap_s == gap_s
