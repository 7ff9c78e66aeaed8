"""`steadytune new` writes files that work as they are."""

import pytest

from steadytune.cli import main
from steadytune.suite.loading import load_suite
from steadytune.training.trial import check_method


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["suite", "task"])
def test_a_new_suite_can_be_planned_as_it_is(folder, kind, capsys):
    assert main(["new", kind]) == 0
    path = f"my-{kind}.yaml"
    assert path in capsys.readouterr().out.splitlines()
    assert main(["plan", path]) == 0
    assert f"{len(load_suite(folder / path).cells)} cells" in capsys.readouterr().out


@pytest.mark.slow
def test_a_new_method_passes_its_check(folder):
    assert main(["new", "method", "quiet-noise"]) == 0
    from steadytune.methods import registry

    assert registry.add(folder / "quiet_noise.py") == ["quiet-noise"]
    failed = [finding for finding in check_method("quiet-noise") if finding.passed is False]
    assert failed == []


def test_nothing_is_written_over_and_names_are_checked(folder, capsys):
    (folder / "mine-dev.csv").write_text("kept")
    assert main(["new", "task", "mine"]) == 2
    assert (folder / "mine-dev.csv").read_text() == "kept"
    assert not (folder / "mine.yaml").exists()
    assert main(["new", "suite", "../mine"]) == 2
    assert "'../mine'" in capsys.readouterr().err
