"""Snakemake takes every cluster profile, with the executor that its lock pins, and plans the default suite with it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from absence import absent
from dag_project import Project, copy_staged

# Runs what a pod would run, notes what it would get, and answers as Kubernetes does.
KUBECTL = """#!/usr/bin/env python3
import json, pathlib, subprocess, sys
note = pathlib.Path("kubectl.json")
if sys.argv[1] == "create":
    note.write_text(sys.stdin.read())
    (pod,) = json.loads(note.read_text())["spec"]["template"]["spec"]["containers"]
    pathlib.Path("script").write_text(pathlib.Path(pod["command"][-1]).read_text())
    with open("pod.log", "w") as log:
        done = subprocess.run(pod["command"], cwd=pod["workingDir"], stdout=log, stderr=log)
    pathlib.Path("pod.status").write_text("failed" if done.returncode else "succeeded")
    print("job.batch/steadytune-x")
else:
    assert sys.argv[1:3] == ["get", "job.batch/steadytune-x"], sys.argv
    print(json.dumps({"status": {pathlib.Path("pod.status").read_text(): 1}}))
"""

# Starts a job as PBS does: with an environment of its own, which has the submitter's variables after -V alone.
QSUB = """#!/usr/bin/env python3
import os, pathlib, subprocess, sys
pathlib.Path("qsub").write_text("\\n".join(sys.argv[1:]))
own = {"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin", "PBS_JOBID": "7"}
environment = os.environ | {"PBS_JOBID": "7"} if "-V" in sys.argv else own
with open("job.log", "w") as log:
    subprocess.run(["bash", sys.argv[-1]], cwd="/", env=environment, stdout=log, stderr=log)
print("7.server")
"""

PROFILES = ("generic", "kubernetes", "slurm")


PRETRAINED = Path("store/models/steadytune/mini/receipt.json")


@pytest.fixture(scope="module")
def copied(root, staged, tmp_path_factory) -> Project:
    """A copy whose data are staged and whose encoder is not pretrained."""
    copy = copy_staged(root, staged, tmp_path_factory.mktemp("copied"))
    shutil.rmtree(copy.folder / PRETRAINED.parent)
    return copy


def is_unreachable(said: str) -> bool:
    """Whether pip came to no index: one that it reaches names the versions that it has of a package."""
    return "connection broken by" in said and "(from versions: none)" in said


@pytest.fixture(params=PROFILES)
def profile(request, root, tmp_path) -> tuple[str, str]:
    """A profile's name, and a folder with its executor, apart from this environment."""
    lock = root / "profiles" / request.param / "requirements.lock"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, "-r", lock]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if is_unreachable(done.stderr):
        absent(f"pip reaches no index for the {lock.parent.name} executor: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return request.param, str(tmp_path)


def test_snakemake_plans_the_suite_with_the_profile(profile, copied):
    name, site = profile
    done = copied.run("snakemake", "--profile", f"profiles/{name}", "--dry-run", PYTHONPATH=site)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"^finetune +(\d+)$", done.stdout, re.MULTILINE)[1]) == 6
    assert re.search(r"^rule finetune:.*?\n    resources: .*mem_mb=8000.*runtime=240, gpu=1", done.stdout,
                     re.MULTILINE | re.DOTALL)  # fmt: skip


@pytest.mark.parametrize("profile", ["kubernetes"], indirect=True)
def test_a_job_runs_as_a_pod(profile, copied, tmp_path):
    _, site = profile
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    path = f"{tmp_path}:{copied.environment()['PATH']}"
    variables = {"PYTHONPATH": site, "PATH": path, "STEADYTUNE_IMAGE": "image:1", "STEADYTUNE_VOLUME": "claim"}
    done = copied.run("snakemake", "--profile", "profiles/kubernetes", "--", str(PRETRAINED), **variables)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (copied.folder / PRETRAINED).exists()
    pod = json.loads((copied.folder / "kubectl.json").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "image:1"
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "8000M", "nvidia.com/gpu": "1"}
    assert pod["activeDeadlineSeconds"] == 240 * 60
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "claim"
    assert container["volumeMounts"][0]["mountPath"] == container["workingDir"] == str(copied.folder)
    script = (copied.folder / "script").read_text()
    assert "python -m snakemake" in script and f"{Path(sys.executable).parent}/python" not in script, "the image's"


@pytest.mark.parametrize("profile", ["generic"], indirect=True)
def test_a_job_of_pbs_finds_the_environment_that_it_was_submitted_from(profile, copied, tmp_path):
    _, site = profile
    (tmp_path / "qsub").write_text(QSUB)
    (tmp_path / "qsub").chmod(0o755)
    (copied.folder / PRETRAINED).unlink(missing_ok=True)
    path = f"{tmp_path}:{copied.environment()['PATH']}"
    done = copied.run("snakemake", "--profile", "profiles/generic", "--retries", "0", "--latency-wait", "1", "--",
                      str(PRETRAINED), PYTHONPATH=site, PATH=path)  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + (copied.folder / "job.log").read_text()
    assert (copied.folder / PRETRAINED).exists()
    asked = (copied.folder / "qsub").read_text().splitlines()
    assert "select=1:ncpus=1:mem=8000mb:ngpus=1" in asked and "walltime=240:00" in asked


@pytest.mark.parametrize(
    ("answers", "word", "asked"),
    [
        (['echo \'{"status": {"succeeded": 1}}\''], "success", 1),
        (['echo \'{"status": {"failed": 1}}\''], "failed", 1),
        (['echo \'{"status": {"active": 1}}\''], "running", 1),
        (["exit 1", 'echo \'{"status": {"succeeded": 1}}\''], "success", 2),
        (["exit 1", "exit 1", "exit 1"], "running", 3),
        (["echo 'Error from server (NotFound): jobs.batch \"x\" not found' >&2; exit 1"], "failed", 1),
    ],
)
def test_only_what_kubernetes_does_not_know_or_calls_failed_has_failed(answers, word, asked, root, tmp_path):
    lines = [f"{number}) {answer} ;;" for number, answer in enumerate(answers, 1)]
    tool = tmp_path / "kubectl"
    tool.write_text("\n".join(["#!/bin/sh", "echo asked >> asked", 'case "$(grep -c . asked)" in', *lines, "esac"]))
    tool.chmod(0o755)
    done = subprocess.run([sys.executable, root / "profiles/kubernetes/pods.py", "status", "job.batch/x"], text=True,
                          cwd=tmp_path, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
                          capture_output=True, check=True)  # fmt: skip
    assert done.stdout == f"{word}\n"
    assert len((tmp_path / "asked").read_text().splitlines()) == asked


def test_a_pods_command_passes_the_signal_on_and_keeps_the_status(root, tmp_path):
    sys.path.insert(0, str(root / "profiles" / "kubernetes"))
    from pods import COMMAND

    script = tmp_path / "script"
    # Everything that the signal would reach: without a namespace of its own the test must not send it.
    # The script may be up before its number has a name.
    command = COMMAND.replace("kill -TERM -1", "kill -TERM $!")
    script.write_text("trap 'echo asked to end; exit 7' TERM; echo up; while :; do sleep 0.1; done")
    process = subprocess.Popen(["bash", "-c", command, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert process.communicate(timeout=60)[0] == "asked to end\n"
    assert process.returncode == 7
    script.write_text("exit 3")
    assert subprocess.run(["bash", "-c", command, script], check=False).returncode == 3
