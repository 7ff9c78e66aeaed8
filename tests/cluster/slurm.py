"""A private SLURM cluster on this machine: munge, a controller and a few simulated nodes, all on the loopback.

It neither uses nor stops the machine's own services: it picks free ports, keeps keys, sockets, state and logs in a
separate folder, and ends only the daemons that it started. Only slurm.conf and gres.conf are outside that folder, in
`/etc/slurm`, because the executor plugin's jobs do not see `SLURM_CONF`. Another `/etc/slurm/slurm.conf` is an error.
"""

import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

CONFIG = Path("/etc/slurm/slurm.conf")
GPUS = CONFIG.with_name("gres.conf")
FILES = (CONFIG, GPUS)
MARK = "# Written by tests/cluster/slurm.py, which removes it again."
DAEMONS = ("munged", "slurmctld", "slurmd")

# Each node claims one core, enough memory for the rules' requests, and a GPU. SLURM therefore grants the requests as on
# a real cluster, but CUDA shows the jobs no device.
TEMPLATE = """{mark}
ClusterName=steadytune
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
# A requeued job waits until its credential has expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.log
# No cgroups, which containers often do not grant.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={nodes} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]}-{ports[2]} CPUs=1 RealMemory=16000 Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """The cluster, running inside a `with` block.

    folder: an empty folder for keys, state and logs; `jobs.log` gets a line each time a job ends.
    nodes: number of nodes, at least two.
    """

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.folder = folder.absolute()
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]

    def __enter__(self) -> "Slurm":
        for file in FILES:
            if file.exists() and not file.read_text().startswith(MARK):
                raise RuntimeError(f"{file}: this machine has a SLURM already, expected none")
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        nodes, first = f"node[1-{len(self.nodes)}]", _free_ports(len(self.nodes) + 1)
        ports = (first, first + 1, first + len(self.nodes))
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(TEMPLATE.format(mark=MARK, folder=self.folder, nodes=nodes, ports=ports))
        GPUS.write_text(f"{MARK}\nNodeName={nodes} Name=gpu File=/dev/null\n")
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self.run("munged", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket",
                 f"--pid-file={self.folder}/munged.pid", f"--seed-file={self.folder}/munge.seed",
                 f"--log-file={self.folder}/munged.log")  # fmt: skip
        self.run("slurmctld")
        for node in self.nodes:
            self.run("slurmd", "-N", node)
        wait_for(lambda: self._states() == ["idle"], f"idle nodes, see {self.folder}/slurmctld.log", 30)

    def _states(self) -> list[str]:
        try:
            return self.run("sinfo", "--noheader", "--format=%T").split()
        except RuntimeError:  # the controller does not answer yet
            return []

    def __exit__(self, *_: object) -> None:
        if (self.folder / "slurmctld.pid").exists():
            self._cancel()
        for file in sorted(self.folder.glob("*.pid"), key=lambda path: path.name == "munged.pid"):
            _end(int(file.read_text()))
        for file in FILES:
            file.unlink(missing_ok=True)

    def _cancel(self) -> None:
        """Leave no job behind, however the test ended."""
        with suppress(RuntimeError, TimeoutError):
            self.run("scancel", "--state=PENDING")
            self.run("scancel", "--state=RUNNING", "--full", "--signal=KILL")
            wait_for(lambda: not self.run("squeue", "--noheader").strip(), "jobs to end", 30)

    def run(self, *command: str) -> str:
        """Return what a SLURM command prints; RuntimeError if it fails."""
        # Daemons keep their outputs open, so use a file rather than pipes.
        with (self.folder / "commands.log").open("a+") as file:
            start = file.seek(0, os.SEEK_END)
            done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False, timeout=60)
            file.seek(start)
            printed = file.read()
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {printed}")
        return printed

    def node_of(self, job: str) -> str:
        """The node that runs a job or an array task (`12_3`); empty while it waits."""
        return self.run("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()

    def state(self, node: str) -> str:
        """A node's state: idle, mixed, draining, drained …"""
        return self.run("sinfo", "--noheader", "--Node", f"--nodes={node}", "--format=%T").strip()

    def ended(self) -> list[dict[str, str]]:
        """One entry for each time a job ended, including by a requeue: JobId, JobState, NodeList, StartTime …"""
        file = self.folder / "jobs.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]


def wait_for(condition, what: str, seconds: float) -> None:
    """Poll `condition` until it holds; TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.1)


def _free_ports(count: int) -> int:
    """The first of `count` consecutive free ports."""
    for first in range(26800, 30000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


def _end(pid: int) -> None:
    """Stop a daemon that was started here, and wait until it is gone."""
    try:
        process = psutil.Process(pid)
        if process.name() not in DAEMONS:
            return
        process.terminate()
        wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE, f"process {pid} to end", 10)
    except psutil.NoSuchProcess:
        pass
    except TimeoutError:
        process.kill()
