"""A signal to a run asks Snakemake and every job to end; a second signal kills them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steadytune.dag.supervision import ENDING

# A run whose Snakemake is a process with one job; both print that they are asked to end.
RUN = """
import os, sys
from steadytune.dag.supervision import supervise
print(supervise([sys.executable, "-c", sys.argv[1]], os.environ, os.open(os.devnull, os.O_RDONLY)), flush=True)
"""
# The second signal arrives while the first one is being handled.
AT_ONCE = """
import os, signal
killpg, sent = os.killpg, []
def twice(group, number):
    killpg(group, number)
    sent.append(number)
    if len(sent) == 1:
        os.kill(os.getpid(), signal.SIGTERM)
os.killpg = twice
"""
SNAKEMAKE = """
import os, signal, sys, time
children = [pid for pid in (os.fork(), 0) if pid]
who = "parent" if children else "job"
def say(what):
    os.write(1, f"{who} {what}\\n".encode())
def end(*_):
    say("asked")
    if STUBBORN:
        return
    for pid in children:
        os.waitpid(pid, 0)
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
say(os.getpid())
while True:
    time.sleep(0.05)
    say("works")
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def run(*, stubborn=False, ignored=(), before=""):
        code = f"STUBBORN = {stubborn}\n{SNAKEMAKE}"

        def dispose():
            # If the tests run in a shell's background, the run would inherit that SIGINT is ignored.
            for number in ENDING:
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        with (tmp_path / "said").open("w") as file:
            command, path = [sys.executable, "-c", before + RUN, code], {"PYTHONPATH": os.pathsep.join(sys.path)}
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, preexec_fn=dispose,
                                       env=os.environ | path)  # fmt: skip
        started.append(process)
        wait_for(lambda: said(tmp_path).count("works") >= 2)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def said(folder):
    return (folder / "said").read_text()


def wait_for(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("not in 10 s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_asks_snakemake_and_jobs_to_end(start, tmp_path, number):
    process = start()
    process.send_signal(number)
    assert process.wait(20) == 0
    text = said(tmp_path)
    assert "parent asked" in text
    assert "job asked" in text
    assert f"({128 + number}, True)" in text


def test_second_signal_kills_snakemake_and_jobs(start, tmp_path):
    process = start(stubborn=True)
    process.terminate()
    wait_for(lambda: said(tmp_path).count("asked") == 2)
    process.terminate()
    assert process.wait(20) == 0
    pids = [int(line.split()[1]) for line in said(tmp_path).splitlines() if line.split()[-1].isdigit()]
    assert len(pids) == 2
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_second_signal_during_the_first_ends_a_stubborn_run(start):
    process = start(stubborn=True, before=AT_ONCE)
    process.terminate()
    assert process.wait(20) == 0


def test_ignored_signal_stays_ignored(start, tmp_path):
    process = start(ignored=[signal.SIGHUP])
    process.send_signal(signal.SIGHUP)
    before = said(tmp_path).count("works")
    wait_for(lambda: said(tmp_path).count("works") > before + 3)
    assert "asked" not in said(tmp_path)
    process.terminate()
    process.wait(20)


def test_sigtstp_pauses_the_whole_run_until_sigcont(start, tmp_path):
    process = start()
    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: state(process.pid) == "T")
    before = said(tmp_path)
    time.sleep(0.3)
    assert said(tmp_path) == before
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: said(tmp_path) != before)
    process.terminate()
    assert process.wait(20) == 0


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def alive(pid):
    try:
        return state(pid) != "Z"
    except OSError:
        return False


# Like the Snakemake inside a cluster job: it handles SIGTERM itself and waits. It starts its job through a shell.
INSIDE = """
import os, signal, subprocess, sys
from steadytune.dag.termination import pass_on_termination
pass_on_termination()
signal.signal(signal.SIGTERM, lambda *_: None)
shell = subprocess.Popen(["bash", "-c", '"$@"; echo the shell waited', "bash", sys.executable, "-c", sys.argv[1]])
sys.exit(shell.wait())
"""
JOB = """
import signal, sys, time
def end(*_):
    time.sleep(0.5)
    print("checkpoint", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("works", flush=True)
time.sleep(60)
"""


def test_inner_snakemake_forwards_sigterm_and_waits_for_checkpoints():
    process = subprocess.Popen([sys.executable, "-c", INSIDE, JOB], stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    process.terminate()
    assert process.communicate(timeout=30)[0] == "checkpoint\nthe shell waited\n"
    assert process.returncode == 0
