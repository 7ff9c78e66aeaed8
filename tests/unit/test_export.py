"""Exporting a finished suite as an RO-Crate: complete, described and valid, or not written at all."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from absence import absent
from synthetic import Grid, mark_current

from steadytune.cli import main
from steadytune.dag import origins
from steadytune.dag.origins import gathering_code
from steadytune.dag.products import Products, making
from steadytune.errors import SteadyTuneError
from steadytune.exports import registry
from steadytune.exports.ro_crate import export
from steadytune.methods.registry import methods
from steadytune.methods.support import outside
from steadytune.suite.loading import load_suite

VARIANT = "hype-n~sigma=1e-04"


@pytest.fixture
def suite(root, tmp_path, monkeypatch):
    """A finished suite in its own project folder: three cells of one variant, one of them diverged."""
    for name in ("config/lock.yaml", "LICENSE", "CITATION.cff", "requirements.lock", "environment.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(root / name, tmp_path / name)
    grid = [{"encoders": ["mini"], "methods": [VARIANT], "tasks": ["mini-rte"], "seeds": 3}]
    file = {"suite": "demo", "title": "A demonstration", "encoders": {"mini": {"model": "steadytune/mini"}}}
    file |= {"grid": grid, "tables": ["main"], "figures": []}
    (tmp_path / "config" / "demo.yaml").write_text(yaml.safe_dump(file))
    monkeypatch.chdir(tmp_path)
    folder = Grid(methods=(VARIANT,), statuses={("mini", VARIANT, "mini-rte", 2): "diverged"}).write(Path("results"))
    for name in ("report.html", "tables/main.csv", "logs/collect.log", "checkpoints/a.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    for seed in (0, 1):
        (folder / f"cells/mini/{VARIANT}/mini-rte/seed-{seed}/predictions.parquet").write_bytes(b"PAR1" * 1000)
    return load_suite(Path("config/demo.yaml"))


@pytest.fixture(params=["crate", "crate.zip"])
def crate(suite, request, tmp_path_factory) -> Path:
    """The exported suite, as a folder or unpacked from a zip file."""
    target = Path("out", request.param)
    export(suite, target)
    assert [path.name for path in target.parent.iterdir()] == [target.name], "something is left beside it"
    if target.suffix != ".zip":
        return target.absolute()
    unpacked = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(target) as archive:
        archive.extractall(unpacked)
    return unpacked


def test_crate_holds_all_sources_of_the_numbers_with_checksums(crate):
    cell = f"results/demo/cells/mini/{VARIANT}/mini-rte"
    expected = {f"{cell}/seed-{seed}/{name}" for seed in (0, 1)
                for name in ("record.json", "predictions.parquet", "history.csv")}  # fmt: skip
    expected |= {f"{cell}/seed-2/record.json", f"{cell}/seed-2/history.csv", "config/demo.yaml", "config/lock.yaml"}
    expected |= {"LICENSE", "CITATION.cff", "requirements.lock", "environment.yml", "results/demo/report.html"}
    expected |= {"results/demo/tables/main.csv", "results/demo/metrics.parquet"}
    # The crate leaves out the layer measurements found there, because the suite asks for none.
    found = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    assert found == expected | {"ro-crate-metadata.json", "SHA256SUMS"}
    sums = dict(reversed(line.split("  ")) for line in (crate / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((crate / name).read_bytes()).hexdigest() for name in expected}


def test_metadata_names_authors_licence_inputs_and_the_run(crate):
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    top, run = entities["./"], entities["#run"]
    assert top["name"] == "A demonstration: results"
    assert top["license"] == {"@id": "https://spdx.org/licenses/Apache-2.0"}
    assert entities[top["author"]["@id"]]["name"] == "The SteadyTune developers"
    assert len(top["citation"]) == 3
    assert "0123456789abcdef" in entities[run["instrument"]["@id"]]["softwareVersion"]
    read = {item["@id"] for item in run["object"]}
    assert {"config/demo.yaml", "#datasets/steadytune/mini/mini-rte", "#models/steadytune/mini"} <= read
    assert {"@id": "results/demo/report.html"} in run["result"]
    assert "torch: 2.9.0+cpu" in run["description"]


def issues_of(root, crate):
    """The issues that the validator reports for a crate."""
    python = root / ".venv/validator/bin/python"
    if not python.is_file():
        absent("no RO-Crate validator; `make validator` installs it")
    script = Path(__file__).parent / "validate_crate.py"
    done = subprocess.run([python, script, crate], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(issue[1:3] for issue in json.loads(done.stdout))


def test_crate_is_a_valid_ro_crate(root, crate):
    # Recommended only, and unknown: the authors' URL and the publisher of the crate.
    assert issues_of(root, crate) == [
        ["ro-crate-1.1_22.3", "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`"],
        ["ro-crate-1.1_31.2", "The organization SHOULD have a URL."],
    ]


def test_user_study_is_valid_without_licence_author_and_publisher(root, study):
    export(study, Path("crate"))
    recommended = {"ro-crate-1.1_22.1": "license", "ro-crate-1.1_22.2": "author", "ro-crate-1.1_22.3": "publisher"}
    issues = issues_of(root, Path("crate").absolute())
    assert [check for check, _ in issues] == list(recommended)
    assert all(recommended[check] in said and "SHOULD" in said for check, said in issues)


METHOD = """
from steadytune.methods.base import Method

class Mine(Method):
    names = {{"{name}": {{}}}}
"""


@pytest.fixture
def study(suite, tmp_path_factory, monkeypatch):
    """The same suite as a user's study outside the project, with its own files."""
    folder = tmp_path_factory.mktemp("study")
    file = yaml.safe_load(suite.path.read_text()) | {"analysis_plan": "plan.md", "claims": ["claims.yaml"]}
    file["methods_from"] = ["a/method.py", str(folder.parent / "elsewhere/method.py"), str(folder.parent / "method.py")]
    for name, path in zip(("one", "two", "three"), file["methods_from"], strict=True):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(METHOD.format(name=name))
    (folder / "plan.md").write_text("One method wins.\n")
    (folder / "claims.yaml").write_text("paper: mine\n")
    (folder / "demo.lock.yaml").write_text("{}\n")
    (folder / "demo.yaml").write_text(yaml.safe_dump(file))
    monkeypatch.setattr(outside, "_files", {})
    yield load_suite(folder / "demo.yaml", suite.results)
    monkeypatch.undo()
    methods.cache_clear()


def test_crate_holds_the_files_that_a_user_study_names(study):
    export(study, Path("crate"))
    own = {path.relative_to("crate/config").as_posix() for path in Path("crate/config").rglob("*") if path.is_file()}
    assert own == {"demo.yaml", "demo.lock.yaml", "lock.yaml", "plan.md", "claims.yaml",
                   "a/method.py", "method.py", "method-2.py"}  # fmt: skip
    sums = dict(reversed(line.split("  ")) for line in Path("crate/SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256(Path("crate", name).read_bytes()).hexdigest() for name in sums}
    assert {f"config/{name}" for name in own} < sums.keys()


def test_user_study_does_not_get_the_projects_authors_and_licence(study):
    export(study, Path("crate"))
    graph = json.loads(Path("crate/ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert entities["./"]["license"] == "not stated: ask the authors of the study"
    assert "author" not in entities["./"]
    assert "agent" not in entities["#run"]
    assert not Path("crate/LICENSE").exists() and not Path("crate/CITATION.cff").exists()
    assert {"config/plan.md", "config/a/method.py"} <= {item["@id"] for item in entities["#run"]["object"]}


def test_cells_csv_belongs_to_the_report_of_a_large_suite_only(suite, monkeypatch):
    Path("results/demo/cells.csv").write_text("name\n")
    export(suite, Path("short"))
    assert not Path("short/results/demo/cells.csv").exists(), "left by a larger suite"
    monkeypatch.setattr("steadytune.rendering.sections.MOST_CELLS", 2)
    export(suite, Path("long"))
    assert Path("long/results/demo/cells.csv").exists()
    mark_current(suite)
    with making(suite, "report"):
        pass
    assert [status.state for status in Products(suite).status(["report"])] == ["fresh"]
    Path("results/demo/cells.csv").write_text("name\nanother\n")
    (found,) = Products(suite).status(["report"])
    assert found.state == "damaged" and "cells.csv" in found.why


def test_code_hash_ignores_bytecode_and_editor_files(tmp_path, monkeypatch):
    monkeypatch.setattr(origins, "PACKAGE", tmp_path)
    (tmp_path / "rendering/__pycache__").mkdir(parents=True)
    (tmp_path / "rendering/page.py").write_text("x = 1")
    before = gathering_code.__wrapped__()
    (tmp_path / "rendering/__pycache__/page.cpython-311.pyc.139872").write_bytes(b"half")
    (tmp_path / "rendering/.page.py.swp").write_bytes(b"")
    assert gathering_code.__wrapped__() == before
    (tmp_path / "rendering/page.css").write_text("")
    assert gathering_code.__wrapped__() != before


def test_unfinished_suite_is_refused(suite):
    Path(f"results/demo/cells/mini/{VARIANT}/mini-rte/seed-1/record.json").unlink()
    with pytest.raises(SteadyTuneError, match=r"demo: 1 of 3 cells have no record, mini/.*/seed-1 first"):
        export(suite, Path("crate"))
    assert not Path("crate").exists()


def test_suite_without_its_report_is_refused(suite):
    Path("results/demo/report.html").unlink()
    with pytest.raises(SteadyTuneError, match=r"results/demo/report\.html: not found"):
        export(suite, Path("crate.zip"))


def test_existing_target_is_not_overwritten(suite):
    Path("crate").mkdir()
    with pytest.raises(SteadyTuneError, match=r"crate: exists already; expected a new folder or .*\.zip"):
        registry.export(suite, "ro-crate", Path("crate"))
    assert list(Path("crate").iterdir()) == []


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
def test_failed_export_leaves_no_files(suite, monkeypatch, name):
    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr("rocrate.model.metadata.Metadata.write", full)
    monkeypatch.setattr("rocrate.model.metadata.Metadata.stream", full)
    with pytest.raises(OSError, match="no space left"):
        export(suite, Path("out", name))
    assert list(Path("out").iterdir()) == []


def test_missing_rocrate_error_names_the_package_to_install(suite, monkeypatch):
    monkeypatch.setitem(sys.modules, "rocrate", None)
    with pytest.raises(SteadyTuneError, match="rocrate is not installed; pip install rocrate"):
        registry.export(suite, "ro-crate", Path("crate"))


def test_quarantined_cells_are_refused_even_with_stale(suite, capsys):
    assert main(["export", "demo", "--as", "ro-crate", "--to", "crate", "--stale"]) == 2
    said = capsys.readouterr().err
    assert "seed-0: quarantined" in said
    assert "`steadytune run demo`" in said
    assert not Path("crate").exists()


def test_not_fresh_notes_are_written_next_to_the_archive(suite):
    registry.export(suite, "ro-crate", Path("crate.zip"), ["Not fresh: a cell."])
    assert Path("crate.zip.NOT-FRESH.txt").read_text() == "Not fresh: a cell.\n"
