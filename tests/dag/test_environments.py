"""The DAG's commands run with only the conda environments' packages: no Snakemake, and SteadyTune not installed."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ONE_CELL = [{"encoders": ["mini"], "methods": ["vanilla"], "tasks": ["mini-rte"], "seeds": 1}]
# Runs `python -m steadytune COMMAND …` in the environment of the rule that has this command.
PYTHON = """#!/bin/bash
case "$3" in
{cases}
    *) echo "no rule has the command $3" >&2; exit 2 ;;
esac
"""
# Stands in for Apptainer: logs the call `apptainer … exec … IMAGE bash -c COMMAND`, and runs its command.
APPTAINER = """#!/bin/bash
[ "$1" = --version ] && { echo "apptainer version 1.3.0"; exit; }
echo "$*" >> apptainer.log
while [ "$1" != -c ]; do shift; done
exec bash -c "$2"
"""


def closure(packages):
    """The installed distributions of `packages` and of everything that they depend on."""
    found, open_ = {}, [Requirement(package) for package in packages]
    while open_:
        asked = open_.pop()
        key = (re.sub(r"[-_.]+", "-", asked.name).lower(), *sorted(asked.extras))
        if key in found:
            continue
        try:
            found[key] = importlib.metadata.distribution(asked.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another device or system
        for line in found[key].requires or ():
            wanted = Requirement(line)
            extras = asked.extras or {""}
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
                open_.append(wanted)
    return {found[key].metadata["Name"]: found[key] for key in found}.values()


def build(folder, packages):
    """Make a Python that sees `packages` and their dependencies, and nothing else of this environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Notebook templates and the kernel's description: data that wheels install outside site-packages.
    (folder / "share").symlink_to(Path(sys.prefix) / "share")
    for distribution in closure(packages):
        for file in distribution.files or ():
            top = file.parts[0]
            if top != ".." and not (site / top).exists():
                (site / top).symlink_to(Path(distribution.locate_file(top)).resolve())
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def pythons(root, tmp_path_factory):
    """The Python of each environment file, by name."""
    built = {}
    for name in ("train", "analysis"):
        listed = yaml.safe_load((root / f"workflow/envs/{name}.yaml").read_text())["dependencies"]
        (packages,) = [entry["pip"] for entry in listed if isinstance(entry, dict)]
        built[name] = build(tmp_path_factory.mktemp("envs") / name, packages)
    return built


@pytest.fixture
def commands(root, tmp_path, pythons):
    """A folder with a `python` that runs every rule's command in the rule's environment, and an `apptainer`."""
    cases = {}
    for file in (root / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^(?:use )?rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            command = re.search(r"python -m steadytune ([\w-]+)", rule)
            if command:
                cases[command[1]] = re.search(r'conda:\s+"\.\./envs/(\w+)\.yaml"', rule)[1]
    lines = [f'    {command}) exec {pythons[name]} "$@" ;;' for command, name in sorted(cases.items())]
    assert {"finetune", "stage", "render", "collect"} <= cases.keys()
    folder = tmp_path / "commands"
    folder.mkdir()
    for name, text in (("python", PYTHON.format(cases="\n".join(lines))), ("apptainer", APPTAINER)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("name", ["train", "analysis"])
def test_environment_has_neither_steadytune_snakemake_nor_pytest(pythons, name):
    for module in ("steadytune", "snakemake", "pytest"):
        done = subprocess.run([pythons[name], "-c", f"import {module}"], capture_output=True, text=True, check=False,
                              env={})  # fmt: skip
        assert f"No module named '{module}'" in done.stderr


def test_whole_dag_runs_in_its_conda_environments(project, commands):
    project.edit("config/mini.yaml", lambda value: value.update(grid=ONE_CELL))
    path = project.environment()["PATH"]
    # The data are staged already; the next test covers staging.
    anew = ("--forcerun", "pretrain", "--until", "report")
    done = project.run("snakemake", "--cores", "2", *anew, PATH=f"{commands}:{path}")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (project.results / "report.html").exists()


def test_apptainer_job_runs_in_the_image_with_the_package_on_its_path(project, commands):
    (project.folder / "steadytune.sif").touch()
    path, target = project.environment()["PATH"], "store/datasets/steadytune/mini/cola/receipt.json"
    done = project.run("snakemake", "--cores", "1", "--sdm", "apptainer", "--apptainer-args=--nv", "--", target,
                       PATH=f"{commands}:{path}")  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    (call,) = (project.folder / "apptainer.log").read_text().splitlines()
    assert re.search(r"exec .*--nv .*steadytune\.sif bash -c", call)
    assert f"export PYTHONPATH={project.folder}/src" in call
