"""Only files as they were written are read: receipts, unlisted files, manifests, the owner of results."""

import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from alterations import cut
from synthetic import Grid
from test_run_cell import SUITE, changed, suite, trained  # noqa: F401 (a fixture)

from steadytune.cells.freshness import statuses
from steadytune.dag import dates, products, repair
from steadytune.dag.checks import check_outputs
from steadytune.dag.ownership import own_results
from steadytune.dag.product_list import products_of
from steadytune.dag.products import Products, making
from steadytune.encoders.loading import load_tokenizer
from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_path, write_text
from steadytune.layout import (
    checkpoint_path,
    handover_path,
    history_path,
    lock_of,
    metrics_path,
    record_path,
    results_folder,
    running_path,
    verification_folder,
)
from steadytune.manifests import damage, write_manifest
from steadytune.staged import listed_view
from steadytune.store.checking import check_staged
from steadytune.store.inventory import Item
from steadytune.store.receipt import Receipt, measure_all, read_receipt, verify, write_receipt
from steadytune.store.staging import install
from steadytune.suite.loading import load_suite
from steadytune.tasks.reading import split_files


def verified(of, cell):
    """A file of a cell that is verified."""
    return verification_folder(of, cell) / "record.json"


DATA, ENCODER = "datasets/nyu-mll/glue/cola", "models/a/tiny"


def test_files_not_listed_in_the_receipt_are_not_read(suite):  # noqa: F811
    store = suite.file.store
    folder, task = store / ENCODER, suite.task("cola")
    words, files = len(load_tokenizer(folder)), split_files(task, "train", store)
    (folder / "added_tokens.json").write_text('{"zyzzyva": 3}')
    (folder / "special_tokens_map.json").write_text('{"additional_special_tokens": ["zyzzyva"]}')
    (store / DATA / "train").mkdir()
    shutil.copy(files[0], store / DATA / "train/0000.parquet")
    assert len(load_tokenizer(folder)) == words
    assert split_files(task, "train", store) == files
    verify(folder)


def test_edited_receipt_is_refused_as_damaged(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    write_receipt(tmp_path, Receipt("local", "a test", None, "lock", measure_all(tmp_path, ["a.txt"])))
    path = tmp_path / "receipt.json"
    assert read_receipt(tmp_path).origin == "a test"
    path.write_text(path.read_text().replace("a test", "another"))
    with pytest.raises(SteadyTuneError, match="damaged receipt"):
        read_receipt(tmp_path)


@pytest.mark.parametrize("name", ["{outside}/x.txt", "../outside/x.txt", "a/../../outside/x.txt", "a\0b.txt", ""])
def test_receipt_naming_outside_files_is_damaged_and_deletes_none(name, tmp_path):
    folder, victim = tmp_path / "folder", tmp_path / "outside/x.txt"
    write_text(victim, "mine")
    write_text(folder / "a.txt", "x")
    (staged,) = measure_all(folder, ["a.txt"]).values()
    receipt = Receipt("local", "a test", None, "lock", {"a.txt": staged})
    write_receipt(folder, replace(receipt, files={name.format(outside=victim.parent): staged}))
    with pytest.raises(SteadyTuneError, match="damaged receipt"):
        read_receipt(folder)
    install(folder, receipt, {"a.txt": folder / "a.txt"})
    assert victim.read_text() == "mine"
    assert read_receipt(folder) == receipt


def test_listed_view_makes_no_links_outside_itself(tmp_path):
    write_receipt(tmp_path / "folder", Receipt("local", "a test", None, "lock", {}))
    target = tmp_path / "outside/link.txt"
    (tmp_path / "folder/receipt.json").write_text(json.dumps({"files": {str(target): {}}}))
    with listed_view(tmp_path / "folder"):
        assert not target.parent.exists()


@pytest.mark.parametrize("mistake", [{"predict": {"cola": "tset"}}, {"empty_texts": "refuse"}])
def test_data_refused_by_one_suite_stays_staged(mistake, suite):  # noqa: F811
    folder = suite.file.store / DATA
    table = pa.table({"sentence": ["the dog", " "], "label": [0, 1]})
    pq.write_table(table, folder / "train-00000-of-00001.parquet")
    write_receipt(folder, replace(read_receipt(folder), files=measure_all(folder, read_receipt(folder).files)))
    suite.path.write_text(yaml.safe_dump(SUITE | mistake))
    with pytest.raises(SteadyTuneError, match=r"tset|1 empty texts in column 'sentence'"):
        check_staged(load_suite(suite.path), Item("datasets", "nyu-mll/glue/cola"))
    verify(folder)


def test_unreadable_data_is_unstaged(suite):  # noqa: F811
    folder, item = suite.file.store / DATA, Item("datasets", "nyu-mll/glue/cola")
    pq.write_table(pa.table({"sentence": ["the dog"], "label": [7]}), folder / "train-00000-of-00001.parquet")
    for _ in range(2):
        # The second time the receipt is gone, as if another process had removed it.
        with pytest.raises(SteadyTuneError, match="label"):
            check_staged(suite, item)
        assert not (folder / "receipt.json").exists()


def test_status_reports_cells_with_damaged_inputs_as_stale(suite):  # noqa: F811
    path = next((suite.file.store / DATA).glob("*.parquet"))
    from steadytune.cells.run import run_cell

    run_cell(suite, suite.cells[0])
    assert statuses(suite)[0].state == "fresh"
    path.write_bytes(path.read_bytes() + b"x")
    found = statuses(suite)[0]
    assert (found.state, found.cause) == ("stale", "unstaged")
    assert path.name in found.why


def test_two_files_with_the_same_suite_name_are_refused(suite, tmp_path):  # noqa: F811
    check_outputs(suite)
    shutil.copy(suite.path, tmp_path / "copy.yaml")
    with pytest.raises(SteadyTuneError, match=r"demo\.yaml.*copy\.yaml has the same name"):
        check_outputs(load_suite(suite.path))


@pytest.mark.parametrize(
    "text", ["'suite': demo", "suite : demo", "{suite: demo, title: x}", "suite: !!str demo", "\ufeffsuite: demo # x"]
)
def test_same_suite_name_is_found_in_any_yaml_spelling(text, suite, tmp_path):  # noqa: F811
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(SteadyTuneError, match=r"other\.yaml has the same name"):
        check_outputs(suite)


@pytest.mark.parametrize("text", ["suite: demo-2", "# suite demo\nsuite: other", "suite: [demo", "- suite: demo"])
def test_yaml_files_with_other_names_do_not_clash_with_a_suite(text, suite, tmp_path):  # noqa: F811
    (tmp_path / "other.yaml").write_text(text)
    check_outputs(suite)


def test_damaged_suite_txt_is_refused(own):
    Path("results/demo/suite.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(SteadyTuneError, match=r"suite\.txt: not UTF-8"):
        check_outputs(own)


@pytest.fixture
def own(suite, tmp_path):  # noqa: F811
    """A suite in its own folder, recorded as the owner of its results."""
    (tmp_path / "a").mkdir()
    own = load_suite(suite.path.rename(tmp_path / "a/demo.yaml"))
    own_results(own)
    return own


def test_same_suite_name_in_another_folder_is_refused(own, tmp_path):
    check_outputs(own)
    (tmp_path / "b").mkdir()
    other = load_suite(Path(shutil.copy(own.path, tmp_path / "b/demo.yaml")))
    said = r"b/demo\.yaml: suite: 'demo': results/demo holds the results of a/demo\.yaml, .* delete .*/suite\.txt"
    for look in (check_outputs, own_results):
        with pytest.raises(SteadyTuneError, match=said):
            look(other)
    with pytest.raises(SteadyTuneError, match=said), making(other, "metrics"):
        pass
    check_outputs(own)
    # Each remedy that the message suggests works.
    Path("results/demo/suite.txt").unlink()
    own_results(other)
    with pytest.raises(SteadyTuneError, match=r"holds the results of b/demo\.yaml"):
        check_outputs(own)
    other.path.write_text(other.path.read_text().replace("suite: demo", "suite: another"))
    own_results(own)


def test_results_follow_a_moved_or_copied_suite(own, tmp_path):
    moved = load_suite(own.path.rename(tmp_path / "moved.yaml"))
    check_outputs(moved)
    own_results(moved)
    assert Path("results/demo/suite.txt").read_text() == "../../moved.yaml\n"
    # A copy of everything belongs to the copied suite file.
    copy = tmp_path / "elsewhere/copy"
    shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("elsewhere"))
    check_outputs(load_suite(copy / "moved.yaml", copy / "results/demo"))
    # Results copied alone: there is no suite file at the place that they record.
    shutil.copytree("results/demo", tmp_path / "far/away/results/demo")
    own_results(load_suite(copy / "moved.yaml", tmp_path / "far/away/results/demo"))


@pytest.mark.parametrize("pretrained", [False, True])
def test_dry_restage_names_what_it_would_stage_again(suite, monkeypatch, caplog, pretrained):  # noqa: F811
    item = Item("models", "a/tiny", pretrained)
    monkeypatch.setattr(repair, "inventory", lambda *_: [item])
    monkeypatch.setattr(repair.InputCheck, "outdated", lambda *_: "not what the lock pins")
    repair.restage(suite, dry=True)
    assert caplog.messages == [
        f"models/a/tiny: not what the lock pins: to be {'trained' if pretrained else 'staged'} again"
    ]


def test_restage_keeps_the_date_of_an_encoder_if_training_is_killed(suite, monkeypatch):  # noqa: F811
    path = suite.file.store / ENCODER / "receipt.json"
    os.utime(path, ns=(7, 7 * 10**9))
    monkeypatch.setattr(repair, "inventory", lambda *_: [Item("models", "a/tiny", True)])
    monkeypatch.setattr(repair.InputCheck, "outdated", lambda *_: "of other settings")
    assert repair.restage(suite) == {path: 7 * 10**9}
    assert not path.exists()
    # If the run that should train it is killed, the next run finds the same date.
    assert repair.restage(suite) == {path: 7 * 10**9}


@pytest.mark.parametrize("place", ["record", "receipt"])
def test_files_dated_in_the_future_are_redated_to_now(place, suite, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr(dates, "inventory", lambda *_: [Item("models", "a/tiny", False)])
    (cell,) = suite.cells
    record, table, checkpoint = record_path(suite, cell), metrics_path(suite), checkpoint_path(suite, cell)
    receipt, hour = suite.file.store / ENCODER / "receipt.json", 3600 * 10**9
    before = time.time_ns()
    for path in (record, table, checkpoint, receipt):
        write_text(path, path.read_text() if path == receipt else "x")
        os.utime(path, ns=(before - hour, before - hour))
    ahead = {"record": record, "receipt": receipt}[place]
    os.utime(ahead, ns=(before + hour, before + hour))
    dates.redate_future(suite, dry=True)
    assert ahead.stat().st_mtime_ns == before + hour
    dates.redate_future(suite)
    assert caplog.messages == [f"1 file dated in the future, {ahead} first: dated now"] * 2
    assert before <= ahead.stat().st_mtime_ns <= time.time_ns()
    dated = [path.stat().st_mtime_ns for path in (record, table, checkpoint)]
    # Otherwise the table would be older than the record that it is made from.
    assert dated[0] == dated[1] and dated[2] == before - hour
    dates.redate_future(suite)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("path_of", [record_path, history_path, checkpoint_path, handover_path, verified])
def test_temporary_files_of_a_cell_are_guarded_by_the_lock_of_its_writer(path_of, tmp_path):
    cell = "tiny/vanilla/cola/seed-0"
    path = path_of(tmp_path, cell)
    with atomic_path(path) as temporary:
        temporary.write_text("")
        found = lock_of(tmp_path, temporary)
    assert found == running_path(tmp_path, f"verify/{cell}" if path_of is verified else cell)


def test_editor_links_and_folders_next_to_a_suite_are_ignored(suite):  # noqa: F811
    suite.path.with_name(".#demo.yaml").symlink_to("nobody@nowhere")
    suite.path.with_name("folder.yaml").mkdir()
    check_outputs(suite)


def test_manifest_check_detects_missing_edited_and_damaged_files(tmp_path):
    one, two = tmp_path / "tables/a.csv", tmp_path / "tables/b.csv"
    for path in (one, two):
        write_text(path, path.name)
    assert "no readable manifest" in damage(tmp_path, "tables", [one])
    write_manifest(tmp_path, "tables", [one, two], {})
    assert damage(tmp_path, "tables", [one, two]) == ""
    one.write_text("b.csv")
    assert str(one) in damage(tmp_path, "tables", [one, two])
    one.unlink()
    assert "missing" in damage(tmp_path, "tables", [one, two])
    path = tmp_path / "made/tables.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"made_from": {"code": "0"}}))
    assert "damaged" in damage(tmp_path, "tables", [two])


def test_new_table_makes_tables_stale_and_only_user_files_are_kept(world):
    before = world.build(Grid(), tables=["main", "cost"])
    with making(before, "tables"):
        for file in products_of(before)["tables"].files:
            write_text(file, "made")
    assert [status.state for status in Products(before).status(["tables"])] == ["fresh"]
    stranger = results_folder(before) / "tables" / "notes.txt"
    write_text(stranger, "of the user's own")
    content = yaml.safe_load(before.path.read_text()) | {"tables": ["main", "coverage"]}
    before.path.write_text(yaml.safe_dump(content))
    now = load_suite(before.path)
    (status,) = Products(now).status(["tables"])
    assert status.state == "stale"
    assert re.search(r"coverage\.\w+: not made yet", status.why)
    repair.set_aside(now)
    assert [path.name for path in stranger.parent.iterdir()] == [stranger.name]


@pytest.fixture
def both(suite, tmp_path):  # noqa: F811
    """The suite with two seeds that have run, and the paths of their records."""
    made = trained(tmp_path, 2)
    return made, [record_path(made, cell) for cell in made.cells]


def age(made):
    """The suite with settings that differ from those of its records."""
    return changed(made.path.parent, grid=yaml.safe_load(made.path.read_text())["grid"], protocol={"epochs": 7})


def damage_records(made):
    for cell in made.cells:
        cut(record_path(made, cell))
    return made


@pytest.mark.parametrize(
    ("spoil", "name", "state", "why"),
    [
        (age, "record.json.stale", "missing", "a stale record was set aside"),
        (damage_records, "record.json.quarantined", "quarantined", "a damaged record was set aside"),
    ],
)
def test_stale_or_damaged_record_is_set_aside(spoil, name, state, why, both):
    made, paths = both
    made = spoil(made)
    before = [path.read_bytes() for path in paths]
    repair.set_aside(made, [str(paths[0])])
    assert (paths[0].exists(), paths[1].read_bytes()) == (False, before[1]), "only what is asked for"
    repair.set_aside(made)
    assert [path.with_name(name).read_bytes() for path in paths] == before
    assert [(found.state, found.why) for found in statuses(made)] == [(state, why)] * 2
    paths[0].write_text("another damaged record")
    repair.set_aside(made)
    assert paths[0].with_name("record.json.quarantined").read_text() == "another damaged record"
    assert before[0] in [path.read_bytes() for path in paths[0].parent.glob("record.json.*")], "the first one stays"


def test_measurements_judge_only_the_cells_that_they_depend_on(both, monkeypatch):
    made, _ = both
    inside = {"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["cola"], "seeds": 2}
    grid = yaml.safe_load(made.path.read_text())["grid"]
    made = changed(made.path.parent, grid=grid, inside=inside, variability={"encoders": ["tiny"]})
    first, second = made.cells
    judged = note_judged(monkeypatch, products)
    for name, cells in (
        ("variability/tiny/cola", None),
        ("inside/tiny/before/cola", None),
        (f"inside/{first}", [first]),
    ):
        with making(made, name, cells=cells):
            for path in products_of(made)[name].files:
                write_text(path, "made")
    assert judged == [(first,)]
    states = {status.product.name: status.state for status in Products(made).status(["variability", "inside"])}
    assert states.pop(f"inside/{second}") == "missing"
    assert set(states.values()) == {"fresh"}, "what all cells together would give"


def test_cells_are_judged_again_only_if_a_record_was_set_aside(both, monkeypatch):
    made, _ = both
    with making(made, "metrics"):
        write_text(metrics_path(made), "made")
    judged = note_judged(monkeypatch, repair, products)
    repair.set_aside(made)
    assert judged == [made.cells]
    repair.set_aside(age(made))
    assert judged == [made.cells] * 3


def note_judged(monkeypatch, *modules):
    """The cells of each later call of `statuses` from some modules."""
    judged = []

    def note(*args, **kwargs):
        found = statuses(*args, **kwargs)
        judged.append(tuple(status.cell for status in found))
        return found

    for module in modules:
        monkeypatch.setattr(module, "statuses", note)
    return judged


def test_manifest_naming_files_in_other_folders_deletes_none_of_them(world):
    made = world.build(Grid())
    tables = products_of(made)["tables"].files
    others = [results_folder(made) / "kept.txt", results_folder(made) / "tables/more/kept.txt"]
    for file in (*tables, *others):
        write_text(file, "made")
    write_manifest(made, "tables", [*tables, *others], {"settings": "others"})
    assert [status.state for status in Products(made).status(["tables"])] == ["stale"]
    repair.set_aside(made)
    assert not any(file.exists() for file in tables)
    assert all(file.exists() for file in others)
