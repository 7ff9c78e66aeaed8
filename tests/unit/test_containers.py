"""`make` and the container images install the same: the lock file, the package and a supported Python."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

INSTALLS = ["--requirement requirements.lock", "--no-deps --no-build-isolation --editable ."]


def installed(text):
    """The arguments of each `pip install`, in order, without `--quiet`."""
    return [match.replace("--quiet ", "") for match in re.findall(r"pip install (.+)$", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def dockerfile(root):
    return (root / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def apptainer(root):
    """The sections of apptainer.def by name; the lines before the first section are `header`."""
    name, sections = "header", {"header": []}
    for line in (root / "apptainer.def").read_text().splitlines():
        if line.startswith("%"):
            name = line[1:].strip()
            sections[name] = []
        elif line.strip() and not line.startswith("#"):
            sections[name].append(line.strip())
    return sections


def test_images_install_the_same_as_make(root, dockerfile, apptainer):
    recipe = re.search(r"^\$\(READY\):.*\n((?:\t.*\n)+)", (root / "Makefile").read_text(), re.MULTILINE)
    assert installed(recipe[1]) == INSTALLS
    assert installed(dockerfile) == INSTALLS
    assert installed("\n".join(apptainer["post"])) == INSTALLS
    for words in (dockerfile, "\n".join(apptainer["post"])):
        assert not re.search(r"\b(apt|apt-get|conda|mamba|uv|npm)\b", words), "installs what the lock does not name"


@pytest.mark.parametrize("linked", [True, False])
def test_make_does_not_install_into_a_venv_linked_from_elsewhere(root, tmp_path, linked):
    here, other = tmp_path / "here", tmp_path / "other"
    here.mkdir()
    other.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(root / name, here)
    if linked:
        (here / ".venv").symlink_to(other)
    done = subprocess.run(["make", "--dry-run", "test"], cwd=here, capture_output=True, text=True, check=True)
    assert ("pip install" in done.stdout) is not linked
    assert "bin/python -m pytest" in done.stdout


def test_images_and_conda_environments_share_one_supported_python(root, dockerfile, apptainer):
    (base,) = re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE)
    assert f"From: {base}" in apptainer["header"]
    version = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", base)[1]
    wanted = tomllib.loads((root / "pyproject.toml").read_text())["project"]["requires-python"]
    assert tuple(map(int, version.split("."))) >= tuple(map(int, wanted.removeprefix(">=").split(".")))
    for file in ("environment.yml", "workflow/envs/train.yaml", "workflow/envs/analysis.yaml"):
        assert f"python={version}" in yaml.safe_load((root / file).read_text())["dependencies"], file


@pytest.mark.parametrize("file", ["environment.yml", "workflow/envs/train.yaml", "workflow/envs/analysis.yaml"])
def test_pip_accepts_the_options_in_conda_environment_files(root, file):
    # conda writes the list to a requirements file, where pip accepts fewer options than on its command line.
    entries = yaml.safe_load((root / file).read_text())["dependencies"]
    (asked,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    options = {line.split()[0] for line in asked if line.startswith("-")}
    assert options <= {"--requirement", "-r", "--editable", "-e", "--constraint", "-c"}, "refused in a file"


def test_both_images_copy_the_same_project_files(root, apptainer):
    let_through = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    targets = dict(line.split() for line in apptainer["files"])
    copied = targets.keys()
    assert copied == let_through
    # Docker keeps a file's folder below the target; Apptainer needs it spelled out.
    assert targets == {name: f"/opt/steadytune/{name}"[: -len(Path(name).name)] for name in copied}
    assert all((root / name).exists() for name in copied)
    package = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert {package["readme"], *package["license-files"], "pyproject.toml", "src"} <= copied, (
        "the package would not build"
    )


def test_workflow_jobs_use_the_image_built_from_apptainer_def(root):
    (image,) = re.findall(r'^container: "(.+)"$', (root / "Snakefile").read_text(), re.MULTILINE)
    comment = (root / "apptainer.def").read_text().splitlines()[0]
    assert f"apptainer build {image} apptainer.def" in comment


def test_profile_locks_pin_the_plugins_of_their_dependency_group(root):
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    for profile in sorted((root / "profiles").glob("*/config.yaml")):
        executor = yaml.safe_load(profile.read_text())["executor"]
        lock = profile.with_name("requirements.lock").read_text().splitlines()
        pinned = dict(line.split("==") for line in lock if not line.startswith("#"))
        asked = [re.split(r"[<>=]", entry)[0] for entry in groups[profile.parent.name]]
        assert asked == [f"snakemake-executor-plugin-{executor}"]
        assert set(asked) <= pinned.keys()
        base = (root / "requirements.lock").read_text()
        assert not any(f"\n{name}==" in base for name in pinned), "pinned twice"
