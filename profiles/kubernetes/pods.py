#!/usr/bin/env python3
"""Snakemake's jobs as pods: `submit` prints a job's name, `status` says how it stands.

STEADYTUNE_IMAGE is the image, STEADYTUNE_VOLUME the claim of the volume that holds the project, which must be mounted
where Snakemake runs, at the same path.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

# A pod's first process alone is told to end, and has to pass it on: training then leaves a checkpoint.
COMMAND = """
trap 'kill -TERM -1' TERM
sh "$0" & job=$!
wait $job; status=$?
if [ $status -gt 128 ]; then wait $job; status=$?; fi
exit $status
"""
GRACE_SECONDS = 60
TRIES = 3
WAIT_SECONDS = 2.0


def manifest(options: argparse.Namespace, image: str, volume: str, folder: Path) -> dict:
    """A Kubernetes job that runs one of Snakemake's scripts, once."""
    requests = {"cpu": str(options.cpus), "memory": f"{options.memory}M"}
    if options.gpus:
        requests["nvidia.com/gpu"] = str(options.gpus)
    container = {
        "name": "job",
        "image": image,
        "command": ["bash", "-c", COMMAND, str(options.script.absolute())],
        "workingDir": str(folder),
        "resources": {"requests": requests, "limits": requests},
        "volumeMounts": [{"name": "project", "mountPath": str(folder)}],
    }
    pod = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 60 * options.minutes,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [container],
        "volumes": [{"name": "project", "persistentVolumeClaim": {"claimName": volume}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "steadytune-", "labels": {"app": "steadytune"}},
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 86400, "template": {"spec": pod}},
    }


def submit(options: argparse.Namespace) -> None:
    """Start a job and print its name."""
    missing = [name for name in ("STEADYTUNE_IMAGE", "STEADYTUNE_VOLUME") if name not in os.environ]
    if missing:
        sys.exit(f"{missing[0]} is not set")
    body = manifest(options, os.environ["STEADYTUNE_IMAGE"], os.environ["STEADYTUNE_VOLUME"], Path.cwd())
    command = ["kubectl", "create", "-f", "-", "-o", "name"]
    subprocess.run(command, input=json.dumps(body), text=True, check=True)


def status(options: argparse.Namespace) -> None:
    """Print running, success or failed."""
    sys.stdout.write(f"{state(options.job)}\n")


def state(job: str) -> str:
    """How a job stands, as Snakemake calls it.

    A question that stays unanswered says nothing of the job, and Snakemake asks again; an error would end its run.
    """
    for _ in range(TRIES):
        command = ["kubectl", "get", job, "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.returncode:
            found = json.loads(done.stdout)["status"]
            return "success" if found.get("succeeded") else "failed" if found.get("failed") else "running"
        sys.stderr.write(done.stderr)
        if "(NotFound)" in done.stderr:
            return "failed"
        time.sleep(WAIT_SECONDS)
    return "running"


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    new = commands.add_parser("submit")
    for name in ("cpus", "memory", "minutes", "gpus"):
        new.add_argument(f"--{name}", type=int, required=True)
    new.add_argument("script", type=Path)
    new.set_defaults(run=submit)
    one = commands.add_parser("status")
    one.add_argument("job")
    one.set_defaults(run=status)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
