"""Paths in a suite file: `~`, environment variables, and symbolic links to the suite file."""

from pathlib import Path

import pytest
import yaml
from test_outside_methods import forget  # noqa: F401 (a fixture)
from test_run_cell import write_encoder

from steadytune.claims.files import suite_claims
from steadytune.dag.dag import Dag
from steadytune.dag.targets import Targets
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.methods.registry import methods
from steadytune.places import expanded
from steadytune.store.lock import suite_lock
from steadytune.store.own_changes import check_unchanged
from steadytune.store.pinning_own import pin_new
from steadytune.suite.loading import load_suite
from steadytune.suite.own import lock_path

METHOD = """
from steadytune.methods.base import Method

class Beside(Method):
    names = {"beside-the-link": {}}
"""
CLAIMS = """
paper: Ours
source: a test
claims:
  - {id: of-ours, sentence: It is better., where: here, statistic: difference, encoders: [bert], tasks: [own],
     method: beside-the-link, against: [vanilla], margin: 1}
"""


@pytest.fixture
def home(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with every kind of file that a suite can name; the working directory is the project's."""
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "home"))
    monkeypatch.delenv("STEADYTUNE_STORE", raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "a.csv").write_text("body,label\n" + "some words,x\nother words,y\n" * 4)
    (folder / "plan.md").write_text("What is asked.")
    (folder / "beside.py").write_text(METHOD)
    (folder / "claims.yaml").write_text(CLAIMS)
    write_encoder(folder / "encoder")
    return folder


def write_suite(path: Path, below: str, **more: object) -> Path:
    """Write a suite whose file paths all start with `below`."""
    value = {
        "suite": "written",
        "title": "As people write",
        "store": f"{below}store",
        "sources": {"local": f"{below}elsewhere"},
        "encoders": {"mini": {"model": "steadytune/mini"}, "bert": {"model": f"{below or './'}encoder"}},
        "tasks": {"own": {"train": f"{below}a.csv", "evaluation": f"{below}a.csv", "text": "body"}},
        "methods_from": [f"{below}beside.py"],
        "analysis_plan": f"{below}plan.md",
        "protocol": {"max_length": 16},
        "grid": [{"encoders": ["bert"], "methods": ["beside-the-link"], "tasks": ["own"], "seeds": 1}],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(value | more))
    return path


def check_all_found(path: Path, home: Path) -> None:
    """Check that every file that the suite at `path` names is found in `home`."""
    pin_new(path)
    assert lock_path(path).is_file()
    suite = load_suite(path)
    check_unchanged(suite)
    assert suite.analysis_plan == sha256(home / "plan.md")
    assert "beside-the-link" in methods()
    pin = suite_lock(suite).entry("models", suite.own_model("bert")).pins()["own"]
    assert pin.folder.samefile(home / "encoder")  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("below", ["~/", "$HOME/", "${SCRATCH}/", "$SCRATCH/../home/"])
def test_tilde_and_environment_variables_in_paths_are_expanded(below, home, tmp_path):
    path = write_suite(tmp_path / "suites/written.yaml", below, claims=f"{below}claims.yaml")
    check_all_found(path, home)
    suite = load_suite(path)
    assert suite.file.store.resolve() == home / "store"
    assert suite.sources.local is not None and suite.sources.local.resolve() == home / "elsewhere"
    assert "of-ours" in {claim.id for claim in suite_claims(suite)}
    assert (home / "claims.yaml").resolve() in {Path(name).resolve() for name in Targets(suite).claim_files}


def test_paths_in_a_symlinked_suite_are_relative_to_the_link(home, tmp_path):
    real = write_suite(tmp_path / "elsewhere/written.yaml", "", claims="claims.yaml")
    link = home / "written.yaml"
    link.symlink_to(real)
    check_all_found(link, home)
    assert "of-ours" in {claim.id for claim in suite_claims(load_suite(link))}
    assert {path.name for path in real.parent.iterdir()} == {"written.yaml"}


@pytest.mark.parametrize(
    "written", ["$UNSET_HERE/x.yaml", "${UNSET_HERE}/x.yaml", "$EMPTY/x.yaml", "~nobody-here/x.yaml"]
)
@pytest.mark.parametrize("key", ["store", "analysis_plan", "methods_from", "claims", "sources", "tasks", "encoders"])
def test_unset_variable_or_unknown_user_in_a_path_is_a_one_line_error(key, written, home, tmp_path, monkeypatch):
    monkeypatch.setenv("EMPTY", "")
    value = {
        "methods_from": [written],
        "sources": {"local": written},
        "tasks": {"own": {"train": written, "holdout": 0.5, "text": "body"}},
        "encoders": {"bert": {"model": written}},
    }.get(key, written)
    path = write_suite(tmp_path / "suites/written.yaml", "~/", **{key: value})
    with pytest.raises(SteadyTuneError) as refused:
        pin_new(path)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{path}: {key}") and written in line
    assert any(name in line.replace(written, "") for name in ("UNSET_HERE", "EMPTY", "nobody-here"))


@pytest.mark.parametrize("name", ["a.csv", "./a.csv", "~backup.csv", "5$.csv", "a~b/c.csv", "/a/b.csv"])
def test_paths_without_home_or_variable_stay_unchanged(name):
    assert expanded(name) == name


def test_dag_spells_suite_paths_relative_to_the_working_directory(entries, root, tmp_path_factory):
    (entries / "config/mini.yaml").write_bytes((root / "config/mini.yaml").read_bytes())
    home = tmp_path_factory.mktemp("elsewhere") / "home"
    home.symlink_to(entries)
    for named in ("config/mini.yaml", entries / "config/mini.yaml", home / "config/mini.yaml"):
        assert Dag.load([str(named)], {}).file == "config/mini.yaml"
    (entries / "linked").mkdir()
    (entries / "linked/mini.yaml").symlink_to(entries / "config/mini.yaml")
    assert Dag.load([str(home / "linked/mini.yaml")], {}).file == "linked/mini.yaml", "the file's own link stays"
    other = home.parent / "mini.yaml"
    other.symlink_to(entries / "config/mini.yaml")
    assert Dag.load([str(other)], {}).file == str(other)
