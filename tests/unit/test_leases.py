"""GPU leases, with a fake nvidia-smi on the PATH that lists two devices."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from steadytune.cells import leases
from steadytune.cells.leases import gpu_slots, leased_gpu, visible_gpus
from steadytune.errors import SteadyTuneError
from steadytune.planning.device import this_device

HOLD = """
import sys, time
from steadytune.cells.leases import leased_gpu
with leased_gpu() as gpu:
    import os
    print(gpu, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Two GPUs, with leases that no other test shares."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aaa'\necho '1, GPU-bbb'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(leases.tempfile, "tempdir", None)
    for name in ("CUDA_VISIBLE_DEVICES", leases.SLOTS_VARIABLE, *leases.SCHEDULED):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


SMI = """#!/bin/sh
case "$1" in
-L) cat <<'END'
GPU 0: NVIDIA H200 (UUID: GPU-aaa)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-bbb)
  MIG 3g.40gb     Device  0: (UUID: MIG-c7384736-a75d)
  MIG 1g.10gb     Device  1: (UUID: MIG-a28ad590-3fda)
END
;;
*) echo '0, GPU-aaa'; echo '1, GPU-bbb';;
esac
"""


@pytest.mark.parametrize(
    ("visible", "name"),
    [("0", "NVIDIA H200"), ("1,0", "NVIDIA A100-SXM4-80GB"),
     # The name that torch.cuda.get_device_name gives, and so every record.
     ("MIG-a28ad590-3fda", "NVIDIA A100-SXM4-80GB MIG 1g.10gb"), ("MIG-c7", "NVIDIA A100-SXM4-80GB MIG 3g.40gb"),
     ("MIG-unknown", "MIG-unknown")],
)  # fmt: skip
def test_planned_device_is_the_first_gpu_visible_to_cuda(machine, tmp_path, visible, name):
    (tmp_path / "nvidia-smi").write_text(SMI)
    machine.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert this_device(1).name == name


class Holder:
    """A process that holds a lease until it is told to end."""

    def __init__(self, before=""):
        self.process = subprocess.Popen([sys.executable, "-c", before + HOLD], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)  # fmt: skip

    def gpu(self):
        return self.process.stdout.readline().split()

    def end(self):
        self.process.communicate("\n", timeout=20)

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=20)


def test_visible_gpus_are_uuids_filtered_by_cuda_visible_devices(machine):
    assert visible_gpus() == ["GPU-aaa", "GPU-bbb"]
    machine.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_gpus() == ["GPU-bbb"]
    machine.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbb,GPU-aaa")
    assert visible_gpus() == ["GPU-bbb", "GPU-aaa"]
    machine.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


@pytest.mark.parametrize("status", leases.WITHOUT_GPU)
def test_machine_without_gpus_has_no_slots_and_leases_none(status, machine, tmp_path):
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho No devices were found\nexit {status}\n")
    assert gpu_slots() == 0
    with leased_gpu() as gpu:
        assert gpu is None
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_failing_nvidia_smi_is_an_error_unless_gpus_are_hidden(machine, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'Failed to initialize NVML: Unknown Error'\necho; exit 255\n")
    with pytest.raises(SteadyTuneError, match="status 255: Failed to initialize NVML: Unknown Error: expected"):
        gpu_slots()
    machine.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu_slots() == 0


def test_hanging_nvidia_smi_times_out(machine, tmp_path):
    machine.setattr(leases, "MOST_SECONDS", 1)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(SteadyTuneError, match="nvidia-smi did not answer within 1 s: expected a list of the GPUs"):
        gpu_slots()


def test_third_process_waits_for_one_of_two_gpus(machine):
    first, second = Holder(), Holder()
    held = [first.gpu(), second.gpu()]
    assert sorted(held) == [["GPU-aaa", "GPU-aaa"], ["GPU-bbb", "GPU-bbb"]]
    third = Holder()
    second.end()
    assert third.gpu() == held[1]
    third.end()
    first.end()


def test_killed_process_frees_its_gpu(machine):
    machine.setenv("CUDA_VISIBLE_DEVICES", "0")
    first = Holder()
    assert first.gpu() == ["GPU-aaa", "GPU-aaa"]
    first.kill()
    second = Holder()
    assert second.gpu() == ["GPU-aaa", "GPU-aaa"]
    second.end()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as two users")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_gpu_can_be_leased_after_another_user_created_its_lock_file(mask, machine):
    """This holds under any umask, and if the lock file belongs to another user and is read-only."""
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:
        (Path(shared) / "nvidia-smi").write_text("#!/bin/sh\necho '0, GPU-aaa'\n")
        (Path(shared) / "nvidia-smi").chmod(0o755)
        Path(shared).chmod(0o1777)
        machine.setenv("PATH", f"{shared}{os.pathsep}{os.environ['PATH']}")
        machine.setenv("TMPDIR", shared)
        # Import as root, before switching users: other users may not be able to read the checkout.
        become = "import os; from steadytune.cells.leases import leased_gpu; os.umask({}); os.setgid({}); os.setuid({})"
        first = Holder(become.format(mask, 60001, 60001))
        assert first.gpu() == ["GPU-aaa", "GPU-aaa"]
        second = Holder(become.format(mask, 60002, 60002))
        (file,) = (Path(shared) / "steadytune-leases").iterdir()
        assert file.stat().st_uid == 60001
        first.end()
        assert second.gpu() == ["GPU-aaa", "GPU-aaa"]
        second.end()
        file.chmod(0o644)
        third = Holder(become.format(mask, 60002, 60002))
        assert third.gpu() == ["GPU-aaa", "GPU-aaa"]
        third.end()


def test_slots_fill_every_gpu_before_any_is_shared(machine):
    machine.setenv(leases.SLOTS_VARIABLE, "2")
    assert gpu_slots() == 4
    holders = [Holder()]
    found = [holders[0].gpu()[0]]
    for _ in range(3):
        holders.append(Holder())
        found.append(holders[-1].gpu()[0])
    assert found == ["GPU-aaa", "GPU-bbb", "GPU-aaa", "GPU-bbb"]
    for holder in holders:
        holder.end()


def test_single_gpu_scheduler_job_keeps_its_cuda_visible_devices(machine):
    machine.setenv("SLURM_JOB_ID", "7")
    machine.setenv("CUDA_VISIBLE_DEVICES", "0")
    with leased_gpu() as gpu:
        assert gpu is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_cell_in_a_multi_gpu_scheduler_job_leases_one_gpu(machine):
    machine.setenv("SLURM_JOB_ID", "7")
    with leased_gpu() as gpu:
        assert gpu == "GPU-aaa"


@pytest.mark.parametrize("text", ["many", "0", "²"])
def test_slots_setting_must_be_a_whole_number_above_0(machine, text):
    machine.setenv(leases.SLOTS_VARIABLE, text)
    with pytest.raises(SteadyTuneError, match=f"'{text}', expected a whole number above 0"):
        gpu_slots()


@pytest.mark.parametrize("visible", ["", "0", "0,1"])
def test_bad_slots_setting_is_refused_before_training(visible, machine):
    machine.setenv("SLURM_JOB_ID", "7")
    machine.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine.setenv(leases.SLOTS_VARIABLE, "312T")
    with pytest.raises(SteadyTuneError, match=f"{leases.SLOTS_VARIABLE} is '312T', expected"), leased_gpu():
        pytest.fail("the cell would be trained")


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [("GPU-b", ["GPU-bbb"]), ("0,-1,1", ["GPU-aaa"]), ("1,7,0", ["GPU-bbb"]), ("GPU-", []), ("0,0", ["GPU-aaa"]),
     ("MIG-3f,MIG-77", ["MIG-3f", "MIG-77"])],
)  # fmt: skip
def test_cuda_visible_devices_is_parsed_as_cuda_does(visible, gpus, machine):
    """A UUID may be abbreviated if it stays unique; an unknown entry hides all entries after it."""
    machine.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == gpus
