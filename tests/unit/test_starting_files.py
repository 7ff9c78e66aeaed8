"""`steadytune new` writes files that work without edits."""

import re

import pytest

from steadytune.cli import main
from steadytune.suite.loading import load_suite
from steadytune.trials.checking import check_method


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["suite", "task"])
def test_new_suite_can_be_planned_unedited(folder, kind, capsys):
    assert main(["new", kind]) == 0
    path = f"my-{kind}.yaml"
    assert path in capsys.readouterr().out.splitlines()
    assert main(["plan", path]) == 0
    assert f"{len(load_suite(folder / path).cells)} cells" in capsys.readouterr().out


def test_new_claim_is_judged_with_a_new_task(folder, capsys):
    assert main(["new", "task", "reviews"]) == main(["new", "claim", "expected"]) == 0
    suite = folder / "reviews.yaml"
    with suite.open("a") as file:
        file.write("claims: [expected.yaml]\n")
    assert main(["plan", "reviews"]) == 0
    assert main(["claims", "reviews"]) == 0
    said = capsys.readouterr().out
    assert "expected-average" in said and "expected-spread" in said
    claim = (folder / "expected.yaml").read_text()
    (folder / "expected.yaml").write_text(claim.replace('tasks: "*"', "tasks: [reviws]"))
    assert main(["claims", "reviews"]) == 2
    assert "did you mean 'reviews'" in capsys.readouterr().err


def test_example_suite_in_the_own_data_docs_can_be_planned(folder, root, capsys):
    page = (root / "docs/own-data.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(# reviews\.yaml\n.+?)```", page, re.DOTALL)
    assert block
    assert main(["new", "task", "reviews"]) == main(["new", "claim", "expected"]) == 0
    (folder / "data").mkdir()
    for name in ("train", "dev"):
        (folder / f"reviews-{name}.csv").rename(folder / f"data/{name}.csv")
    (folder / "reviews.yaml").write_text(block[1], encoding="utf-8")
    assert main(["plan", "reviews"]) == 0
    said = capsys.readouterr().out
    assert "16 cells" in said
    assert "expected-average  16/16 to run: 7 seeds enough to reach significance if all pairs differ" in said
    assert "expected-spread   16/16 to run: 8 seeds are too few for its test" in said
    assert main(["claims", "reviews"]) == 0


@pytest.mark.slow
def test_new_method_passes_its_check(folder):
    assert main(["new", "method", "quiet-noise"]) == 0
    from steadytune.methods import registry

    assert registry.add(folder / "quiet_noise.py") == ["quiet-noise"]
    failed = [finding for finding in check_method("quiet-noise") if finding.passed is False]
    assert failed == []


def test_new_overwrites_no_file_and_refuses_invalid_names(folder, capsys):
    (folder / "mine-dev.csv").write_text("kept")
    assert main(["new", "task", "mine"]) == 2
    assert (folder / "mine-dev.csv").read_text() == "kept"
    assert not (folder / "mine.yaml").exists()
    assert main(["new", "suite", "../mine"]) == 2
    assert "'../mine'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hype-n", "tail-", "a--b"])
def test_new_method_with_an_unusable_name_writes_nothing(folder, name, capsys):
    assert main(["new", "method", name]) == 2
    assert f"'{name}'" in capsys.readouterr().err
    assert not [*folder.iterdir()]
