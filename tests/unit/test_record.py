"""Records: checked on reading, and collected into the long table without losing a cell."""

import io
import json
import math
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from test_suite import SUITE

from steadytune.cells import freshness, recompute
from steadytune.cells.record import BESIDE, Environment, Evaluation, Record, Training, read_record, write_record
from steadytune.dag import repair, runner
from steadytune.dag.products import making
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256, write_text
from steadytune.layout import cell_folder, metrics_path, record_path
from steadytune.results.collect import COLUMNS, collect, gather
from steadytune.results.loading import load_or_empty
from steadytune.seals import seal_of
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite
from steadytune.training.usage import Usage


def make_record(suite, cell, value=0.75):
    spec = suite.spec(cell)
    sets = [(cell.task, "in_domain"), *((name, "transfer") for name in spec.transfer)]
    return Record(
        status="ok", reason=None, spec=spec.to_dict(), fingerprint="f", inputs=[], streams={"init": 1},
        environment=Environment(python="3", torch="2", transformers="5", platform="p", device="cpu", device_name="c",
                                threads=1, git_commit=None, git_dirty=None),
        training=Training(examples=10, truncated=0, subset_digest=None, steps=1, tokens=1, real_tokens=1, flops=1.0,
                          micro_batches=1, inference_flops=1.0, layers=2, selected_layer=None,
                          trainable_parameters=1, total_parameters=1, initial_weights="w", first_order=str(cell),
                          resumed=False),
        evaluations=[Evaluation(set=name, kind=kind, headline="accuracy", metrics={"accuracy": value},
                                majority={"accuracy": 0.5}, n=4, majority_rate=0.5, truncated=0,
                                seen_in_training=0)
                     for name, kind in sets],
        timing={"total": 1.5}, memory={"host": 1},
        usage=Usage(joules=None, without_joules="no GPU", flops_per_second=1.0, peak_flops_per_second=None,
                    utilisation=None),
        files={},
    )  # fmt: skip


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE))
    return load_suite(tmp_path / "demo.yaml")


@pytest.fixture(autouse=True)
def _without_predictions(monkeypatch):
    """Records here have no predictions to check them against; `test_status` covers that."""
    monkeypatch.setattr(recompute, "refuted", lambda *_: "")
    monkeypatch.setattr(freshness, "outvoted_cells", lambda *_, **__: ())


def written(suite, cell, **changes):
    folder = cell_folder(suite, cell)
    for name in BESIDE:
        write_text(folder / name, f"{name} of {cell}")
    return sealed_again(suite, cell, **changes)


def sealed_again(suite, cell, **changes):
    """Write a record of the files in the cell's folder, and return its path."""
    folder = cell_folder(suite, cell)
    files = {name: sha256(folder / name) for name in BESIDE}
    write_record(replace(make_record(suite, cell), **{"files": files, **changes}), folder)
    return record_path(suite, cell)


def test_record_reads_back_as_written(suite):
    cell = suite.cells[0]
    assert read_record(written(suite, cell, files={})) == make_record(suite, cell)
    assert read_record(record_path(suite, cell)).cell == cell


def test_nan_and_infinity_are_written_as_null(suite):
    path = written(suite, suite.cells[0], timing={"total": math.nan, "load": math.inf})
    assert json.loads(path.read_text())["timing"] == {"total": None, "load": None}


def resealed(text):
    value = json.loads(text)
    return json.dumps(value | {"seal": seal_of(value)})


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda text: text[: len(text) // 2], "not valid JSON"),
        (lambda text: text.replace('"ok"', '"fine"'), "seal"),
        (lambda text: resealed(text.replace('"ok"', '"fine"')), "status: 'fine': expected 'ok', 'degenerate'"),
        (lambda text: resealed(text.replace('"fingerprint"', '"fingreprint"')), "fingreprint|fingerprint"),
        (lambda text: resealed(text.replace('"seed": 0', '"seed": 1')), "another cell.*mini/vanilla/mini-rte/seed-1"),
        (lambda text: "3", "seal"),
        (lambda text: "", "not valid JSON"),
    ],
)
def test_damaged_record_is_a_one_line_error(spoil, expected, suite):
    path = written(suite, suite.cells[0])
    path.write_text(spoil(path.read_text()))
    with pytest.raises(SteadyTuneError, match=expected) as error:
        read_record(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_collect_keeps_every_cell_with_its_status(suite, caplog):
    ok, degenerate, diverged, damaged, *missing = suite.cells
    written(suite, ok)
    written(suite, degenerate, status="degenerate", reason="one answer")
    written(suite, diverged, status="diverged", reason="NaN", evaluations=[], training=None)
    broken = written(suite, damaged)
    broken.write_text(broken.read_text()[:100])
    collect(suite, as_recorded=True)
    table = pd.read_parquet(metrics_path(suite))
    own = table[table["kind"] == "in_domain"]
    status = {Cell(r.encoder, r.method, r.task, r.seed): r.status for r in own.itertuples()}
    assert status == {ok: "ok", degenerate: "degenerate", diverged: "diverged", damaged: "quarantined",
                      **dict.fromkeys(missing, "missing")}  # fmt: skip
    assert own["value"].notna().tolist() == [True, True, False, False, False, False]
    # Each cell has its task and every transfer set, one headline row each.
    sets = 1 + len(suite.spec(ok).transfer)
    assert len(table[table["headline"]]) == sets * len(suite.cells)
    assert "not valid JSON" in caplog.text
    assert str(broken) in caplog.text


def test_cells_stale_for_one_reason_are_logged_in_one_line(suite, caplog):
    first, *others = suite.cells
    for cell in suite.cells:
        written(suite, cell)
    said = [freshness.CellStatus(first, "stale", "it was not staged")] + [
        freshness.CellStatus(c, "stale", "of 2025") for c in others
    ]
    assert len(gather(suite, said)) > len(suite.cells)
    assert caplog.messages == [
        f"{first}: stale: it was not staged",
        f"{others[0]} and {len(others) - 1} more cells: stale: of 2025",
    ]


@pytest.fixture
def collected(suite):
    """A suite whose cells are recorded and collected."""
    for cell in suite.cells:
        written(suite, cell)
    gathered(suite)
    return suite


def gathered(suite):
    with making(suite, "metrics", as_recorded=True):
        collect(suite, as_recorded=True)


def test_results_are_read_from_records_if_their_table_is_missing(collected):
    states = {key: set(seeds.values()) for key, seeds in load_or_empty(collected).cells.items()}
    metrics_path(collected).unlink()
    found = load_or_empty(collected)
    assert found.cells.keys() == states.keys()
    assert not metrics_path(collected).exists()
    for cell in collected.cells:
        record_path(collected, cell).unlink()
    assert load_or_empty(collected).cells == {}


def shortened(content):
    return content[: len(content) // 2]


def with_a_flipped_bit(content):
    """Flip a bit of the last value of a column, as a faulty disk might: any bits are a valid value there."""
    column = pq.read_metadata(io.BytesIO(content)).row_group(0).column(list(COLUMNS).index("value"))
    at = column.dictionary_page_offset + column.total_compressed_size - 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("spoil", [shortened, with_a_flipped_bit, lambda content: b"", lambda content: None])
def test_damaged_table_is_detected_and_removed_by_the_next_run(spoil, collected, caplog, monkeypatch):
    path, started = metrics_path(collected), []
    whole = path.read_bytes()
    (path.unlink if spoil(whole) is None else lambda: path.write_bytes(spoil(whole)))()
    with pytest.raises(SteadyTuneError, match=rf"^{path}: (damaged|missing)"), making(collected, "tables"):
        pass
    monkeypatch.setattr(repair, "restage", lambda suite, dry=False: {})
    monkeypatch.setattr(runner, "supervise", lambda *_: started.append(1) or (0, False))
    runner.run(collected, "1", ["--dry-run"])
    assert path.exists() == (spoil(whole) is not None)
    runner.run(collected, "1", [])
    assert started
    assert not path.exists()
    assert str(path) in caplog.messages[-1]
    gathered(collected)
    runner.run(collected, "1", [])
    assert path.read_bytes() == whole


def test_collecting_twice_writes_identical_bytes(suite):
    for cell in suite.cells:
        written(suite, cell)
    collect(suite)
    first = metrics_path(suite).read_bytes()
    collect(suite)
    assert metrics_path(suite).read_bytes() == first
