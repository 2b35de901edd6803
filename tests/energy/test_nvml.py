"""Which GPU a training runs on, and NVML's errors."""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from naslib_ecnas.energy import (
    Denied,
    EnergyMeter,
    GpuLost,
    GpuSetup,
    MeterError,
    NvmlUnavailable,
    UnknownDevice,
    Unsupported,
)
from naslib_ecnas.energy.nvml import Gpu, Nvml, torch_uuid, visible
from naslib_ecnas.energy.sensors import QueryFailed
from naslib_ecnas.errors import MissingDependencyError

# -- the library ----------------------------------------------------------------------------------


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingDependencyError, match=r"naslib-ecnas\[measure\]"):
        EnergyMeter()
    EnergyMeter(devices=(), cpu=False).close()


def test_every_error_of_the_library_is_typed(standin: Any) -> None:
    import pynvml

    def fail() -> None:
        raise pynvml.NVMLError(getattr(pynvml, f"NVML_ERROR_{code}"))

    nvml = Nvml()
    codes = {
        Unsupported: "NOT_SUPPORTED FUNCTION_NOT_FOUND INVALID_ARGUMENT",
        GpuLost: "GPU_IS_LOST RESET_REQUIRED",
        Denied: "NO_PERMISSION",
        NvmlUnavailable: "UNINITIALIZED DRIVER_NOT_LOADED LIB_RM_VERSION_MISMATCH",
        QueryFailed: "TIMEOUT UNKNOWN",
    }
    for code, kind in ((code, kind) for kind, text in codes.items() for code in text.split()):
        with pytest.raises(MeterError, match=f"the power: .*NVML_ERROR_{code}") as caught:
            nvml._call("the power", fail)
        assert type(caught.value) is kind
    nvml.close()
    assert standin.running() == 0


def test_whatever_else_a_binding_raises_is_typed_or_noted(
    standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call in turn is gone, or raises, or has no answer; then the next one is tried."""
    import pynvml

    broken = ValueError("a struct has changed"), OSError("no such symbol"), AttributeError("gone")
    needed = {"nvmlInitWithFlags", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"}
    needed |= {"nvmlDeviceGetUUID", "nvmlDeviceGetName"}
    source = inspect.getsource(sys.modules[Nvml.__module__])
    calls = sorted(set(re.findall(r"nvml(?:Device|System|Init|Shutdown)\w*", source)))
    calls = [name for name in calls if hasattr(pynvml, name) and "MIG" not in name.upper()]
    assert needed < set(calls)
    assert len(calls) > 15
    for name in calls:
        for raised in (*broken, None, "the binding has no"):
            with monkeypatch.context() as patch:
                patch.setattr(pynvml, name, Mock(side_effect=raised, return_value=None))
                if isinstance(raised, str):
                    patch.delattr(pynvml, name)
                if name in needed and raised is not None:
                    with pytest.raises(MeterError, match=str(raised)):
                        standin.meter(poll_seconds=0.1)
                if name in needed:
                    continue
                meter = standin.meter(poll_seconds=0.1)
                with meter, meter.window("train") as w:
                    standin.elapse(meter, 0.1)
                assert w.window.valid
    for method, name in (("counter", "TotalEnergyConsumption"), ("instant-power", "FieldValues")):
        standin.set(counter=method == "counter")
        with standin.meter() as meter, monkeypatch.context() as patch:
            assert meter.methods == {standin.uuid(): method}
            with meter.window("train") as passing, meter.window("inner") as lasting:
                patch.setattr(pynvml, f"nvmlDeviceGet{name}", Mock(side_effect=broken[0]))
                standin.elapse(meter, 0.1)
                meter.end("inner")
                patch.undo()
        assert lasting.window.reasons == ("query-failed",)
        (reading,) = passing.window.energy_j.values()
        assert (reading.valid, reading.flags) == (True, ("failed-samples",))


def test_the_power_of_a_module_is_taken_last_and_said(standin: Any) -> None:
    """GH200 and GB200: some drivers do not know the GPU's power, but the module's."""
    standin.set(power=150, module=250)
    for changes, method, watts in (
        ({}, "counter", 150),
        ({"counter": 0}, "instant-power", 150),
        ({"instant": 0}, "average-power", 150),
        ({"average": 0}, "module-power", 400),
    ):
        standin.set(**changes)
        with standin.meter() as meter, meter.window("train") as w:
            standin.elapse(meter, 0.5)
        (reading,) = w.window.energy_j.values()
        assert (meter.methods[standin.uuid()], reading.method) == (method, method)
        assert abs(reading.energy_j - 0.5 * watts) <= reading.uncertainty_j
        alone = method != "counter"
        assert (reading.agreement == "unchecked") == math.isnan(reading.integral_j) == alone
        notes = meter.notes[standin.uuid()]
        assert any(note.startswith("counter:") for note in notes) == alone
        assert any("whole module" in note for note in notes) == (method == "module-power")
    assert reading.start is not None
    # No limit of a module is known.
    assert (reading.start.power_w, reading.flags) == (400, ("module",))
    standin.set(counter=1)  # no check of a counter of the GPU
    with standin.meter() as meter, meter.window("train") as w:
        standin.elapse(meter, 0.5)
    (reading,) = w.window.energy_j.values()
    assert (reading.method, reading.agreement) == ("counter", "unchecked")


@pytest.mark.parametrize(("hip", "mps", "word"), [("6.2", False, "ROCm"), (None, True, "Apple")])
def test_gpus_of_others_are_named(
    standin: Any, monkeypatch: pytest.MonkeyPatch, hip: str | None, mps: bool, word: str
) -> None:
    torch = SimpleNamespace(
        version=SimpleNamespace(hip=hip),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        cuda=SimpleNamespace(is_available=lambda: hip is not None, is_initialized=lambda: False),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    standin.set(driver=0)
    with pytest.raises(NvmlUnavailable, match=rf"{word}.*not measured.*devices=\(\)"):
        standin.meter()


def test_how_a_gpu_is_set_up_is_read_or_named_as_unknown(standin: Any) -> None:
    with standin.meter(devices=[0]) as meter:
        setup = meter.setups[standin.uuid()]
    limits = {"default_power_limit_w": 450.0, "enforced_power_limit_w": 400.0}
    driver = {"driver": "550.0-standin", "persistence": True, "ecc": False}
    assert setup == GpuSetup("Stand-in GPU", **driver, **limits)
    assert setup.limited
    standin.set(states=0)
    with standin.meter(devices=[0]) as meter:
        setup = meter.setups[standin.uuid()]
    assert (setup.driver, setup.persistence, setup.ecc) == ("550.0-standin", None, None)
    assert set(setup.unsupported) == {"persistence", "ecc", *limits}
    assert not setup.limited


# -- the device -----------------------------------------------------------------------------------


@pytest.fixture
def nvml(standin: Any) -> Iterator[Nvml]:
    """Of three GPUs."""
    standin.set(gpus=3)
    with closing(Nvml()) as opened:
        yield opened


def setting(value: str | None) -> dict[str, str]:
    return {} if value is None else {"CUDA_VISIBLE_DEVICES": value}


def test_what_cuda_shows() -> None:
    for value, shown in (
        (None, "0,1,2"), ("", ""), ("2,0", "2,0"), (" 1 , 2 ", "1,2"), ("0,-1,2", "0"), ("-1", ""),
        ("NoDevFiles", ""), ("1,7,0", "1"), ("1,3,0", "1"), ("1,1,0", "1"), ("1,01,0", "1"),
        ("GPU-bbbb,GPU-aaaa1", "GPU-bbbb,GPU-aaaa1"), ("GPU-bbbb,0", "GPU-bbbb"),
        ("0,GPU-bbbb", "0"), ("MIG-1234", "MIG-1234"),
    ):  # fmt: skip
        assert ",".join(visible(setting(value), 3)) == shown


def test_a_device_is_one_gpu(standin: Any, nvml: Nvml) -> None:
    a, b, c = map(standin.uuid, range(3))
    for device, value, uuid in (
        (0, None, a), (2, None, c), ("cuda", None, a), ("cuda:1", "2,0", a), ("1", "2,0", a),
        (0, "2", c), (0, b, b), (1, "GPU-c0,GPU-a05", a), (a, "2", a), ("GPU-c", None, c),
        ("GPU-C05F", None, c), (f"MIG-{c}/7/0", None, c), (0, f"MIG-{b}/1/0", b),
    ):  # fmt: skip
        found = nvml.resolve(device, setting(value))
        assert (found.uuid, found.mig) == (uuid, "MIG" in f"{device} {value}")
    for device, value in (  # no GPU matches, several do, or there is no such MIG instance
        (3, None), (9, None), (1, "2"), (0, ""), (-1, None), ("cpu", None), ("cuda:x", None),
        ("GPU-", None), ("GPU-d", None), (0, "GPU-"), ("MIG-00000001", None),
    ):  # fmt: skip
        with pytest.raises(UnknownDevice):
            nvml.resolve(device, setting(value))
    with pytest.raises(Unsupported, match="NVIDIA's GPUs and the counters of CPUs"):
        nvml.resolve("mps:0", {})


def mix(nvml: Nvml) -> Sequence[Gpu]:
    """Let the third GPU be of another model, and the first on the bus; returns all three."""
    *same, other = nvml.gpus()
    mixed = replace(other, name="T4"), *same
    nvml.gpus = lambda: mixed
    return mixed


def test_an_index_among_different_models_needs_an_order(nvml: Nvml) -> None:
    mixed = mix(nvml)
    with pytest.raises(UnknownDevice, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        nvml.resolve(0, {})
    assert nvml.resolve(0, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == mixed[0]
    assert nvml.resolve(0, setting(mixed[1].uuid)) == mixed[1]


def test_torch_is_asked_where_it_is_loaded(
    standin: Any, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in torch: the machine that runs this needs no GPU."""
    uuids = [standin.uuid(gpu) for gpu in range(2)]
    cuda = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: False,
        device_count=lambda: 2,
        current_device=lambda: 1,
        get_device_properties=lambda i: SimpleNamespace(uuid=f"{uuids[i][4:]}"),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    mix(nvml)
    for device, uuid in ((0, uuids[0]), ("cuda", uuids[1]), ("cuda:1", uuids[1])):
        assert torch_uuid(device) == uuid
        assert nvml.resolve(device).uuid == uuid  # whatever the order
    assert torch_uuid(2) is torch_uuid(9) is torch_uuid("GPU-b") is None
    # CUDA gives a MIG instance's UUID without saying that it is one.
    standin.set(1, mig=1)
    for given in ("00000001", "GPU-00000001", "MIG-00000001"):
        cuda.get_device_properties = lambda i, uuid=given: SimpleNamespace(uuid=uuid)
        found = nvml.resolve(0)
        assert (found.uuid, found.mig) == (uuids[1], True)
    cuda.get_device_properties = lambda i: SimpleNamespace()
    assert torch_uuid(0) is None  # before torch 2.4
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_uuid(0) is None


def test_the_meter_follows_the_environment(standin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.set(gpus=3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    with standin.meter(devices=["cuda:1"]) as meter:
        assert list(meter.methods) == [standin.uuid(1)]
    standin.set(1, mig=1)  # NVML knows whose instance it is
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-00000001-abcd")
    with standin.meter(shared="flag") as meter, meter.window("train") as w:
        standin.sleep(0.1)
    reading = w.window.energy_j[standin.uuid(1)]
    assert (reading.valid, reading.flags) == (True, ("shared",))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-00000000-abcd")
    with pytest.raises(UnknownDevice, match="no such MIG instance"):
        standin.meter()
