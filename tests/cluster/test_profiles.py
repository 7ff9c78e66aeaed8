"""Snakemake accepts every cluster profile, with the executor pinned in its lock, and plans the default suite."""

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

# Runs what a pod would run, records the manifest it would get, and answers as Kubernetes does.
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

# Starts a job as PBS does: in a new environment, which has the submitter's variables only with -V.
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
    """A copy of the project with staged data, but without the pretrained encoder."""
    copy = copy_staged(root, staged, tmp_path_factory.mktemp("copied"))
    shutil.rmtree(copy.folder / PRETRAINED.parent)
    return copy


def is_unreachable(said: str) -> bool:
    """Whether pip reached no index: if it reaches one, the error lists the available versions of the package."""
    return "connection broken by" in said and "(from versions: none)" in said


@pytest.fixture(params=PROFILES)
def profile(request, root, tmp_path) -> tuple[str, str]:
    """A profile's name, and a folder outside this environment with its executor installed."""
    lock = root / "profiles" / request.param / "requirements.lock"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, "-r", lock]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if is_unreachable(done.stderr):
        absent(f"pip reaches no index for the {lock.parent.name} executor: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return request.param, str(tmp_path)


def test_snakemake_plans_the_default_suite_with_each_profile(profile, copied):
    name, site = profile
    done = copied.run("snakemake", "--profile", f"profiles/{name}", "--dry-run", PYTHONPATH=site)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"^finetune +(\d+)$", done.stdout, re.MULTILINE)[1]) == 6
    assert re.search(r"^rule finetune:.*?\n    resources: .*mem_mb=8000.*runtime=240, gpu=1", done.stdout,
                     re.MULTILINE | re.DOTALL)  # fmt: skip


@pytest.mark.parametrize("profile", ["kubernetes"], indirect=True)
def test_kubernetes_profile_runs_a_job_as_a_pod(profile, copied, tmp_path):
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
def test_pbs_job_inherits_the_submitting_environment(profile, copied, tmp_path):
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
def test_kubernetes_status_is_failed_only_for_failed_or_missing_jobs(answers, word, asked, root, tmp_path):
    lines = [f"{number}) {answer} ;;" for number, answer in enumerate(answers, 1)]
    tool = tmp_path / "kubectl"
    tool.write_text("\n".join(["#!/bin/sh", "echo asked >> asked", 'case "$(grep -c . asked)" in', *lines, "esac"]))
    tool.chmod(0o755)
    done = subprocess.run([sys.executable, root / "profiles/kubernetes/pods.py", "status", "job.batch/x"], text=True,
                          cwd=tmp_path, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
                          capture_output=True, check=True)  # fmt: skip
    assert done.stdout == f"{word}\n"
    assert len((tmp_path / "asked").read_text().splitlines()) == asked


def test_pod_command_forwards_sigterm_and_the_exit_status(root, tmp_path):
    sys.path.insert(0, str(root / "profiles" / "kubernetes"))
    from pods import COMMAND

    script = tmp_path / "script"
    # `kill -TERM -1` signals every process, so outside a pod the test signals only the script. It uses `$!` because the
    # script may print before `job` is set.
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
