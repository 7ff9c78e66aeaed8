"""What a cell uses: nested phases, sums over attempts, and energy and utilisation only if they are known."""

import sys
from types import SimpleNamespace

import pytest

from steadytune.errors import SteadyTuneError
from steadytune.training import usage
from steadytune.training.usage import Meter


@pytest.fixture
def clock(monkeypatch):
    """A clock that only a test advances."""
    now = [100.0]
    monkeypatch.setattr(usage.time, "monotonic", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


def spend(meter, clock, train, evaluate):
    with meter.phase("train"):
        clock(train)
        with meter.phase("evaluate"):
            clock(evaluate)
        clock(train)
    clock(1)


def test_inner_phase_pauses_the_outer_one(clock):
    meter = Meter()
    spend(meter, clock, 2, 5)
    assert meter.timing() == {"train": 4, "evaluate": 5, "total": 10}


def test_resumed_attempt_adds_usage_up_to_the_checkpoint(clock, monkeypatch):
    monkeypatch.setattr(usage, "peak_memory", lambda device: {"host": 70})
    first = Meter()
    with first.phase("train"):
        clock(3)
        spent = first.spent("cpu")
        clock(50)
    monkeypatch.setattr(usage, "peak_memory", lambda device: {"host": 40})
    second = Meter()
    second.resume(spent)
    spend(second, clock, 2, 5)
    assert second.timing() == {"train": 7, "evaluate": 5, "total": 13}
    assert second.memory("cpu") == {"host": 70}
    assert second.usage(flops=21.0).flops_per_second == 3


def test_usage_without_flops_has_no_rate(clock):
    meter = Meter()
    spend(meter, clock, 2, 5)
    found = meter.usage(None)
    assert (found.flops_per_second, found.utilisation, found.joules) == (None, None, None)
    assert "no GPU" in found.without_joules


def test_utilisation_is_known_only_if_the_peak_is_set(clock, monkeypatch):
    meter = Meter()
    spend(meter, clock, 2, 0)
    assert meter.usage(8.0).utilisation is None
    monkeypatch.setenv(usage.PEAK_VARIABLE, "10")
    meter = Meter()
    spend(meter, clock, 2, 0)
    found = meter.usage(8.0)
    assert (found.flops_per_second, found.peak_flops_per_second, found.utilisation) == (2, 10, 0.2)


@pytest.mark.parametrize("text", ["fast", "0", "-1", "inf", "nan", ""])
def test_invalid_peak_is_refused_when_the_meter_is_created(text, monkeypatch):
    monkeypatch.setenv(usage.PEAK_VARIABLE, text)
    with pytest.raises(SteadyTuneError, match=r"STEADYTUNE_PEAK_FLOPS is '.*', expected FLOP/s above 0"):
        Meter()


class NVMLError(Exception):
    """Stands in for pynvml's error."""


def nvml(readings, fails=False):
    def read(handle):
        assert handle == "the GPU-abc"
        if fails:
            raise NVMLError("Not Supported")
        return next(readings)

    return SimpleNamespace(NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetTotalEnergyConsumption=read,
                           nvmlDeviceGetHandleByUUID=lambda uuid: f"the {uuid}")  # fmt: skip


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: SimpleNamespace(uuid="abc"))
    monkeypatch.setattr(usage, "peak_memory", lambda device: {"host": 1})


def test_energy_is_the_increase_of_the_counter(gpu, monkeypatch):
    # Millijoules: a trial reading, the start, and two readings.
    monkeypatch.setitem(sys.modules, "pynvml", nvml(iter([5000, 6000, 8500, 9000])))
    meter = Meter()
    meter.watch("cuda")
    assert meter.spent("cuda")["joules"] == 2.5
    found = meter.usage(1.0)
    assert (found.joules, found.without_joules) == (3.0, None)


def test_energy_of_attempts_is_summed_or_unknown(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", nvml(iter([0, 1000, 3000])))
    meter = Meter()
    meter.watch("cuda")
    meter.resume({"total": 1.0, "joules": 10.0, "memory": {}})
    assert meter.usage(1.0).joules == 12.0
    meter.resume({"total": 1.0, "joules": None, "memory": {}})
    assert meter.usage(1.0).without_joules == "an earlier attempt of the cell could not read it"


@pytest.mark.parametrize(
    ("module", "why"), [(None, "nvidia-ml-py is not installed"), (nvml(iter([]), fails=True), "NVML: Not Supported")]
)
def test_usage_says_why_energy_cannot_be_read(module, why, gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", module)
    meter = Meter()
    meter.watch("cuda")
    found = meter.usage(1.0)
    assert (found.joules, found.without_joules) == (None, why)


def test_peak_memory_is_at_least_what_the_process_holds():
    held = bytearray(64 * 2**20)
    held[:: 2**12] = b"x" * len(held[:: 2**12])
    assert usage.peak_memory("cpu")["host"] > len(held)
