"""Outside a clone: the project's files are found, and an installed wheel runs a suite on the user's own data."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

from steadytune.layout import LOCK, project_file
from steadytune.suite.loading import find_suite, load_suite

SUITE = {
    "suite": "mine",
    "title": "Bücher",
    "encoders": {"tiny": {"model": "steadytune/tiny-en"}},
    "tasks": {"pairs": {"train": "train.csv", "evaluation": "dev.csv", "text": ["review", "summary"]}},
    "protocol": {"epochs": 1, "batch_size": 4, "max_length": 16, "threads": 1},
    "grid": [{"encoders": ["tiny"], "methods": ["vanilla", "hype-n"], "tasks": ["pairs"], "seeds": 2}],
}


def test_project_files_are_found_from_any_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project_file(LOCK) == root / LOCK
    assert load_suite(find_suite("mini")).path == root / "config/mini.yaml"
    (tmp_path / "mini.yaml").write_text("suite: other\n")
    assert find_suite("mini") == Path("mini.yaml")
    monkeypatch.chdir(root)
    assert project_file(LOCK) == LOCK


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory) -> Path:
    """The `bin` folder of a fresh environment with the wheel; its libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if not name.startswith(("tests/", "published/recorded/")):
            (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "clone" / name).write_bytes((root / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "clone"]
    subprocess.run(wheel, check=True)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    (made,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", made], check=True)
    site = next((folder / "venv/lib").glob("*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv/bin"


@pytest.mark.slow
def test_installed_wheel_runs_a_suite_on_own_data_in_an_empty_folder(installed, tmp_path):
    folder = tmp_path / "mein Ordner ü"
    folder.mkdir()
    lines = [f'"Ein Stuhl, ""{i}""",Stuhl {i % 3},{"ja" if i % 2 else "nein"}\n' for i in range(12)]
    for name in ("train.csv", "dev.csv"):
        (folder / name).write_text("review,summary,label\n" + "".join(lines), encoding="utf-8")
    (folder / "mine.yaml").write_text(yaml.safe_dump(SUITE), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "STEADYTUNE_STORE")}

    def steadytune(*arguments: str) -> str:
        command = [installed / "steadytune", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = "import steadytune; print(steadytune.__file__)"
    found = subprocess.run([installed / "python", "-c", where], env=environment, capture_output=True, text=True).stdout
    assert Path(found).is_relative_to(installed.parent)
    steadytune("run", "mine.yaml", "--cores", "2")
    assert (folder / "results/mine/report.html").is_file()
    assert len(list((folder / "results/mine/cells").rglob("record.json"))) == 4
    assert (folder / "store/models/steadytune/tiny-en/receipt.json").is_file()
    assert "4 fresh" in steadytune("status", "mine")
    clone = installed.parents[1] / "clone"
    assert str(clone) not in (folder / "results/mine/report.html").read_text(encoding="utf-8")
