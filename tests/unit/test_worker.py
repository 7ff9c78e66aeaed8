"""The warm worker: jobs fork from it but behave like separate processes, and it ends with its run.

The tests use a copy of the package whose commands are a few lines, so nothing heavy is imported.
"""

import argparse
import ast
import importlib.util
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from steadytune.commands import inputs, jobs, results
from steadytune.commands.arguments import Commands, Parser
from steadytune.worker.request import ADDRESS
from steadytune.worker.server import MODULES

SOURCE = Path(__file__).resolve().parents[2] / "src/steadytune"
# Starts a worker, prints its process id and address, and lives until its own input closes.
RUN = """
import os, sys
from steadytune.worker.launch import ADDRESS, start_worker
worker = start_worker()
print(worker and worker.pid, os.environ.get(ADDRESS), flush=True)
sys.stdin.readline()
"""
CLI = """
import json, os, signal, sys, time
import steadytune.results.collect as collect
def main(arguments=None):
    _, what, *rest = arguments or sys.argv[1:]
    if what == "describe":
        print(json.dumps({"parent": os.getppid(), "folder": os.getcwd(), "arguments": rest, "own": sys.argv[3:],
                          "variable": os.environ.get("STEADYTUNE_PEAK_FLOPS"), "umask": os.umask(0),
                          "ignored": [n for n in (1, 2, 15) if signal.getsignal(n) == signal.SIG_IGN],
                          "input": sys.stdin.read(), "imported_by": collect.IMPORTED_BY}))
        print("an error", file=sys.stderr)
        return 3
    if what == "wait":
        # As training does: a signal is noted, and the job ends a moment later.
        def end(*_):
            os.write(1, b"asked to end\\n")
            time.sleep(0.3)
            sys.exit(143)
        signal.signal(signal.SIGTERM, end)
        os.write(1, f"{os.getpid()}\\n".encode())
        time.sleep(60)
    if what == "lease":
        from steadytune.cells.leases import leased_gpu
        with leased_gpu() as gpu:
            os.write(1, f"{gpu} {os.environ['CUDA_VISIBLE_DEVICES']} {os.getppid()}\\n".encode())
            sys.stdin.readline()
        return 0
    if what == "fill memory":
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        bytearray(2**31)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError(what)
"""

FULL = {
    "a folder": """
import errno, tempfile
def full(**_):
    raise OSError(errno.ENOSPC, "No space left on device")
tempfile.mkdtemp = full
""",
    "space in it": """
import errno, socket
def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")
socket.socket.bind = full
""",
}


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The environment of a run and its jobs, with the small package and a separate temporary folder."""
    package = tmp_path / "src/steadytune"
    shutil.copytree(SOURCE / "worker", package / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "cells").mkdir()
    own = (
        "__init__.py",
        "__main__.py",
        "errors.py",
        "layout.py",
        "locks.py",
        "offline.py",
        "source.py",
        "cells/leases.py",
    )
    for name in own:
        shutil.copy(SOURCE / name, package / name)
    (package / "cli.py").write_text(CLI)
    for name in MODULES["collect"]:
        path = tmp_path / "src" / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("import os\nIMPORTED_BY = os.getpid()\n")
    monkeypatch.chdir(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # pytest's temporary paths can be too long for a socket's address.
    with tempfile.TemporaryDirectory(prefix="st-") as temporary:
        yield {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "TMPDIR": temporary, "PATH": path}


class Run:
    """A run with its worker."""

    def __init__(self, environment, **variables):
        self.process = subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment | variables)  # fmt: skip
        worker, self.address = self.process.stdout.readline().split()
        self.worker = None if worker == "None" else int(worker)
        self.environment = environment | ({ADDRESS: self.address} if self.worker else {})
        self.jobs = []

    def start(self, *arguments, **options):
        """Start a job of the run."""
        command = [sys.executable, "-m", "steadytune", "collect", *arguments]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.jobs.append(subprocess.Popen(command, text=True, **{"env": self.environment, **pipes, **options}))
        return self.jobs[-1]

    def describe(self, *arguments, **options):
        """What a job reports about itself."""
        job = self.start("describe", *arguments, **options)
        said, errors = job.communicate("some input", timeout=60)
        assert (job.returncode, errors) == (3, "an error\n")
        return json.loads(said)

    def waiting(self):
        """Start a job that waits; return its client and the id of the process that waits."""
        job = self.start("wait")
        return job, int(job.stdout.readline())

    def end(self):
        """End the run; its worker follows."""
        self.process.stdin.close()
        self.process.wait(60)

    def clear(self):
        """Kill every process and close its pipes."""
        for process in (self.process, *self.jobs):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):
                    pipe.close()


@pytest.fixture
def start(environment):
    """A function that starts a run."""
    started = []

    def run():
        started.append(Run(environment))
        return started[-1]

    yield run
    for one in started:
        one.clear()
        assert one.worker is None or gone(one.worker)


@pytest.fixture
def run(start):
    return start()


def gone(pid):
    """Whether a process ends within ten seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_job_is_forked_with_its_clients_environment_and_arguments(run, tmp_path):
    folder = tmp_path / "elsewhere ü"
    folder.mkdir()
    variables = run.environment | {"STEADYTUNE_PEAK_FLOPS": "7=7\n"}
    found = run.describe("a b", "", "$HOME", cwd=folder, env=variables, umask=0o027)
    assert found["parent"] == found["imported_by"] == run.worker
    assert found["folder"] == str(folder)
    assert found["arguments"] == found["own"] == ["a b", "", "$HOME"]
    assert found["variable"] == "7=7\n"
    assert found["umask"] == 0o027
    assert found["input"] == "some input"
    other = run.describe()
    assert other["variable"] is None, "it is another job's"
    # The tests may have been started with some signals ignored.
    assert other["ignored"] == [n for n in (1, 2, 15) if signal.getsignal(n) == signal.SIG_IGN]


def test_job_ignores_the_signals_its_client_ignores(run):
    """`nohup` makes a client ignore SIGHUP, and a shell makes its background jobs ignore SIGINT."""

    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    found = run.describe(preexec_fn=ignore)
    assert found["parent"] == run.worker
    assert found["ignored"] == [signal.SIGHUP, signal.SIGINT]


def test_job_without_a_worker_runs_in_its_own_process(run):
    variables = {name: value for name, value in run.environment.items() if name != ADDRESS}
    found = run.describe("x", env=variables)
    assert found["parent"] == os.getpid()
    assert found["arguments"] == found["own"] == ["x"]


def test_command_not_handled_by_the_worker_runs_in_its_own_process(run):
    done = subprocess.run([sys.executable, "-m", "steadytune", "stage", "describe"], env=run.environment, input="",
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert json.loads(done.stdout)["parent"] == os.getpid()


def test_changed_code_is_not_run_by_an_old_worker(run, tmp_path):
    assert run.describe()["parent"] == run.worker
    (tmp_path / "src/steadytune/results/collect.py").write_text("IMPORTED_BY = 'new code'\n")
    found = run.describe()
    assert found["imported_by"] == "new code"
    assert found["parent"] == os.getpid()


def test_job_from_another_source_tree_runs_in_its_own_process(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "src", copy)
    found = run.describe(env=run.environment | {"PYTHONPATH": str(copy)})
    assert found["parent"] == os.getpid()


def test_job_errors_and_kills_set_the_usual_exit_status(run):
    job = run.start("no such")
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "ValueError: no such" in errors
    job = run.start("die")
    job.communicate(timeout=60)
    assert job.returncode == 128 + signal.SIGKILL


def test_signal_reaches_the_job_and_its_exit_status_returns(run):
    job, process = run.waiting()
    job.send_signal(signal.SIGTERM)
    said, _ = job.communicate(timeout=60)
    assert said == "asked to end\n"
    assert job.returncode == 143
    assert gone(process)


def test_killing_a_client_ends_its_job(run):
    job, process = run.waiting()
    job.kill()
    job.communicate(timeout=60)
    assert gone(process)
    assert run.describe()["parent"] == run.worker


def test_killing_a_job_ends_its_client(run):
    job, process = run.waiting()
    os.kill(process, signal.SIGKILL)
    job.communicate(timeout=60)
    assert job.returncode == 128 + signal.SIGKILL


def test_clients_take_over_the_jobs_of_a_killed_worker(run):
    job, process = run.waiting()
    os.kill(run.worker, signal.SIGKILL)
    lines = {job.stdout.readline() for _ in range(2)}
    assert "asked to end\n" in lines, "the fork is not asked to end"
    assert f"{job.pid}\n" in lines, "the client does not take over"
    assert gone(process)
    job.kill()
    job.communicate(timeout=60)
    assert run.describe()["parent"] == os.getpid()


@pytest.mark.parametrize("how", ["killed", "at its end"])
def test_worker_and_jobs_end_with_the_run(run, how, environment):
    job, process = run.waiting()
    if how == "killed":
        run.process.kill()
    else:
        run.end()
    said, _ = job.communicate(timeout=60)
    assert (said, job.returncode) == ("asked to end\n", 143)
    assert gone(run.worker)
    assert gone(process)
    assert not list(Path(environment["TMPDIR"]).iterdir())


def test_two_runs_have_separate_workers(run, start):
    other = start()
    assert {run.describe()["parent"], other.describe()["parent"]} == {run.worker, other.worker}
    other.end()
    assert gone(other.worker)
    assert run.describe()["parent"] == run.worker


def test_concurrent_jobs_run_in_separate_processes(run):
    jobs = [run.waiting() for _ in range(4)]
    assert len({process for _, process in jobs}) == 4
    for job, _ in jobs:
        job.terminate()
        assert job.wait(30) == 143
        job.communicate()


def test_socket_folder_is_private_to_its_user(run):
    folder = Path(run.address).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_uid == os.getuid()


@pytest.mark.parametrize("lacking", ["a folder", "space in it", "a short path"])
def test_jobs_run_without_a_worker_if_no_socket_can_be_made(start, environment, tmp_path, lacking):
    (tmp_path / "src/sitecustomize.py").write_text(FULL.get(lacking, ""))
    if lacking == "a short path":
        long = tmp_path / ("long" * 50)
        long.mkdir()
        environment["TMPDIR"] = str(long)
    run = start()
    assert run.worker is None
    assert run.describe()["parent"] == os.getpid()
    run.end()
    assert "no warm worker" in run.process.stderr.read()
    assert not list(Path(environment["TMPDIR"]).iterdir())


def test_forked_jobs_lease_separate_gpus(run, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aaa'\necho '1, GPU-bbb'\n")
    tool.chmod(0o755)
    hidden = {"CUDA_VISIBLE_DEVICES", "STEADYTUNE_SLOTS_PER_GPU", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"}
    variables = {name: value for name, value in run.environment.items() if name not in hidden}
    variables |= {"PATH": f"{tmp_path}{os.pathsep}{variables['PATH']}"}
    first, second = (run.start("lease", env=variables) for _ in range(2))
    held = {job: job.stdout.readline().split() for job in (first, second)}
    assert {gpu for gpu, _, _ in held.values()} == {"GPU-aaa", "GPU-bbb"}
    assert all(gpu == visible for gpu, visible, _ in held.values())
    assert {worker for _, _, worker in held.values()} == {str(run.worker)}
    third = run.start("lease", env=variables)
    with pytest.raises(subprocess.TimeoutExpired):
        third.wait(1)
    # However a job ends, its lease becomes free: neither the worker nor another fork holds it.
    first.kill()
    assert third.stdout.readline().split()[0] == held[first][0]
    for job in (second, third):
        job.communicate("\n", timeout=60)
        assert job.returncode == 0


def test_job_out_of_memory_leaves_the_worker_running(run):
    job = run.start("fill memory")
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "MemoryError" in errors
    assert run.describe()["parent"] == run.worker


def test_job_runs_in_its_own_process_if_the_worker_cannot_fork(start, tmp_path):
    code = """
import errno, os, sys
def fork():
    raise OSError(errno.ENOMEM, "Cannot allocate memory")
if "steadytune.worker.server" in sys.orig_argv:
    os.fork = fork
"""
    (tmp_path / "src/sitecustomize.py").write_text(code)
    run = start()
    for _ in range(2):
        assert run.describe()["parent"] == os.getpid()
    os.kill(run.worker, 0)


def test_incomplete_requests_do_not_break_the_worker(run):
    for sent in (b"", b"\0", b"\0\0\0\xffabc"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(run.address)
            connection.send(sent)
    assert run.describe()["parent"] == run.worker


def test_client_avoids_slow_imports():
    code = "import sys, steadytune.worker.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"argparse", "logging", "json", "subprocess", "pydantic", "torch"} & set(done.stdout.split())


def test_every_preloaded_module_exists():
    missing = [name for names in MODULES.values() for name in names if importlib.util.find_spec(name) is None]
    assert not missing


@pytest.mark.parametrize("command", MODULES)
def test_modules_that_a_command_imports_are_preloaded(command):
    parser = Parser()
    commands = Commands(parser)
    for module in (inputs, jobs, results):
        module.add_to(commands)
    (added,) = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    function = ast.parse(textwrap.dedent(inspect.getsource(added[command].get_default("run"))))
    preloaded = set()
    waiting = list(MODULES[command])
    while waiting:
        if (name := waiting.pop()) not in preloaded:
            preloaded.add(name)
            if name.startswith("steadytune"):
                path = Path(importlib.util.find_spec(name).origin)
                waiting += imported(ast.parse(path.read_text(encoding="utf-8")).body)
    # No job of the workflow writes predictions as csv.
    assert imported(ast.walk(function)) - {"steadytune.exports.predictions"} <= preloaded


def imported(nodes):
    """The package's modules that are imported by `from … import …`."""
    found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module.startswith("steadytune.")]
    below = {f"{node.module}.{alias.name}" for node in found for alias in node.names}
    return {node.module for node in found} | {
        name for name in below if (SOURCE.parent / f"{name.replace('.', '/')}.py").is_file()
    }
