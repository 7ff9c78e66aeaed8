"""The suites of the papers cover the papers' tables and claims, with the papers' settings."""

import time

import pytest

from steadytune.claims.claim import Comparison
from steadytune.claims.files import suite_claims
from steadytune.claims.verdicts import judge
from steadytune.cli import main
from steadytune.rendering.papers.layout import Column
from steadytune.rendering.tables.papers import LAYOUTS
from steadytune.results.loading import load_or_empty
from steadytune.suite.cell import Cell
from steadytune.suite.loading import find_suite, load_suite
from steadytune.suite.suite import Suite

PAPERS = ("hype", "variability", "lnsr")


@pytest.fixture(scope="module", params=PAPERS)
def suite(request, root) -> Suite:
    return loaded(request.param, root)


def loaded(paper: str, root) -> Suite:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return load_suite(find_suite(f"paper-{paper}"))


@pytest.fixture(scope="module")
def hype(root) -> Suite:
    return loaded("hype", root)


def test_grid_covers_every_score_of_the_papers_tables(suite):
    planned = {(cell.encoder, cell.method, cell.task) for cell in suite.cells}
    layouts = [layout for name, layout in LAYOUTS.items() if name in suite.file.tables]
    assert {layout.paper for layout in layouts} == {suite.name.removeprefix("paper-")}
    for layout in layouts:
        for group in layout.groups:
            for row in group.rows:
                for column in layout.columns_of(group):
                    if not isinstance(column, Column) or not column.task:
                        continue
                    variants = suite.named[row.method]
                    found = [name for name in variants if (group.encoder, name, column.task) in planned]
                    assert found, (layout.name, group.encoder, row.method, column.task)
                    spec = suite.spec(Cell(group.encoder, found[0], column.task, 0))
                    assert column.set in (column.task, *spec.transfer), (layout.name, column.printed)


def test_every_table_of_a_paper_is_in_its_suite(suite):
    paper = suite.name.removeprefix("paper-")
    assert {name for name, layout in LAYOUTS.items() if layout.paper == paper} <= set(suite.file.tables)


def test_every_claim_refers_to_planned_cells(suite, root, monkeypatch):
    monkeypatch.chdir(root)
    judged = {claim.id: claim for claim in judge(suite, load_or_empty(suite))}
    for claim in suite_claims(suite):
        entry = judged[claim.id]
        assert entry.outside == (), claim.id
        if isinstance(claim, Comparison) and claim.unreachable is None:
            assert entry.missing, claim.id
            assert entry.cost == len(entry.missing)


def test_planning_takes_less_than_a_minute(suite, root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    before = time.process_time()
    assert main(["plan", suite.name]) == 0
    # Planning each cell separately would take minutes.
    assert time.process_time() - before < 60
    assert f"{len(suite.cells)} cells, " in capsys.readouterr().out


def test_hype_protocol_settings_match_the_paper(hype):
    def protocol(encoder: str, task: str, method: str = "vanilla~lr=1e-05"):
        return hype.spec(Cell(encoder, method, task, 0)).protocol

    # HyPe, App. A and Table 11.
    bert = protocol("bert-large", "rte")
    assert (bert.batch_size, bert.epochs, bert.warmup, bert.steps) == (16, 3, 0.1, None)
    assert (bert.beta1, bert.beta2, bert.epsilon, bert.weight_decay, bert.max_length) == (0.9, 0.99, 1e-5, 0.1, 128)
    electra = {task: protocol("electra-large", task) for task in ("mrpc", "cola", "rte", "stsb")}
    assert {task: found.epochs for task, found in electra.items()} == {"mrpc": 3, "cola": 3, "rte": 10, "stsb": 10}
    assert {found.batch_size for found in electra.values()} == {32}
    xlnet = [protocol("xlnet-large", task) for task in ("mrpc", "rte", "stsb", "cola")]
    assert [(found.batch_size, found.steps, found.warmup) for found in xlnet] == [
        (32, 800, 200), (32, 800, 200), (32, 3000, 500), (64, 1200, 120)]  # fmt: skip
    deberta = protocol("deberta-xlarge", "cola", "vanilla~lr=8e-06")
    assert (deberta.epochs, deberta.warmup, deberta.learning_rate) == (6, 100, 8e-6)


def test_deberta_starts_from_mnli_except_on_cola(hype):
    models = {
        task: hype.spec(Cell("deberta-large", "vanilla~lr=1e-05", task, 0)).model
        for task in ("mrpc", "rte", "stsb", "cola")
    }
    tuned = "microsoft/deberta-large-mnli"
    assert models == {"mrpc": tuned, "rte": tuned, "stsb": tuned, "cola": "microsoft/deberta-large"}
    assert {tuned, "microsoft/deberta-large"} <= set(hype.models())


def test_hype_grids_match_the_paper(hype):
    assert len(hype.named["vanilla"]) == 4 + 4
    assert len([name for name in hype.named["hype-n"] if "lr=1e-05" in name]) == 2
    # Combined with other methods, sigma is 1e-5: three values of alpha, four learning rates.
    assert len(hype.named["hype-n+r-drop"]) == 12
    assert all(name.endswith("~sigma=1e-05") for name in hype.named["hype-n+r-drop"])
    assert set(hype.named["hype-n~sigma=1e-05"]) <= set(hype.named["hype-n"])
    assert len({cell.seed for cell in hype.cells}) == 3
