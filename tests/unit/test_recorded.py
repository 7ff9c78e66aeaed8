"""The recorded runs in published/recorded: intact, planned by their suites, and in line with the documentation."""

import gzip
import json
import re
import subprocess
import sys
import tracemalloc
from collections import defaultdict
from statistics import mean

import pandas as pd
import pytest
import yaml
from alterations import replace
from test_run_cell import SUITE, changed, outcome, suite  # noqa: F401 (a fixture)

from steadytune.cells.record import damaged_file, read_record
from steadytune.cells.recorded import restore, write_recorded
from steadytune.dag import repair
from steadytune.dag.products import Products
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256, write_json, write_text
from steadytune.layout import RECORDED, cell_folder, looks_path, record_path, variability_path
from steadytune.looks import Look, keep_looks, read_looks
from steadytune.manifests import write_manifest
from steadytune.seals import SEAL, seal_of, write_sealed
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite


def lines_of(folder):
    return gzip.decompress((folder / "cells.jsonl.gz").read_bytes()).decode().splitlines()


def pack(folder, text):
    (folder / "cells.jsonl.gz").write_bytes(gzip.compress(text.encode()))


CELLS = {"mini": 63, "tiny-check": 100, "glue-tiny": 599, "study-sweep": 60, "start": 28, "minilm-1k": 180}


@pytest.mark.parametrize("name", CELLS)
def test_recorded_cells_are_intact_and_planned_by_their_suite(name, root, tmp_path):
    planned, folder = load_suite(root / f"config/{name}.yaml").cells, root / RECORDED / name
    restored = restore(folder, tmp_path)
    assert len(restored) == len(set(restored)) == CELLS[name]
    assert set(restored) <= set(planned)
    for cell in restored:
        record = read_record(record_path(tmp_path, cell))
        assert damaged_file(record, cell_folder(tmp_path, cell)) is None


def test_recorded_suites_take_less_than_12_mb(root):
    assert sum(path.stat().st_size for path in (root / RECORDED).rglob("*")) < 12e6


@pytest.mark.parametrize(("name", "last"), [("glue-tiny", 26), ("minilm-1k", 20)])
def test_study_cells_ran_under_the_analysis_plan(name, last, root):
    """Every cell has the plan's hash, and a seed that neither the sweep nor the earlier run used."""
    plan = sha256(root / "docs/study-plan.md")
    cells = list(map(json.loads, lines_of(root / RECORDED / name)))
    assert {cell["analysis_plan"] for cell in cells} == {plan}
    assert {cell["spec"]["seed"] for cell in cells} <= set(range(10, last + 1))


def test_minilm_settings_are_the_best_of_its_sweep(root):
    """The plan selects by the best mean over tasks on held-out examples; the page has every mean."""
    scores = defaultdict(lambda: defaultdict(list))
    for cell in map(json.loads, lines_of(root / RECORDED / "study-sweep")):
        spec = cell["spec"]
        (held_out,) = (each for each in cell["evaluations"] if each["kind"] == "held_out")
        point = spec["protocol"]["epochs"], spec["protocol"]["learning_rate"]
        scores[point][spec["task"]].append(100 * held_out["metrics"][held_out["headline"]])
    assert {len(seeds) for tasks in scores.values() for seeds in tasks.values()} == {2}
    tasks = ["rte@1k", "mrpc@1k", "stsb@1k", "cola@1k", "sst2@1k"]
    means = {point: [mean(found[task]) for task in tasks] for point, found in scores.items()}
    protocol = yaml.safe_load((root / "config/minilm-1k.yaml").read_text())["protocol"]
    assert max(means, key=lambda point: mean(means[point])) == (protocol["epochs"], protocol["learning_rate"])
    rows = re.findall(r"^\| \**(\d+), (\S+?)\** \| (.*) \|$", (root / "docs/selection.md").read_text(), re.MULTILINE)
    printed = {(int(epochs), float(rate)): row.replace("*", "").split(" | ") for epochs, rate, row in rows}
    assert printed == {point: [f"{score:.1f}" for score in (*row, mean(row))] for point, row in means.items()}


def points_of(folder, *names):
    """Return in-domain points by seed, for every combination of `names` (encoder, method, task)."""
    points = defaultdict(dict)
    for cell in map(json.loads, lines_of(folder)):
        spec = cell["spec"]
        (own,) = (each for each in cell["evaluations"] if each["kind"] == "in_domain")
        points[tuple(spec[name] for name in names)][spec["seed"]] = 100 * own["metrics"][own["headline"]]
    return points


def test_readme_pretraining_gains_match_the_records(root):
    points = points_of(root / RECORDED / "tiny-check", "encoder", "task")
    drawn = {task: mean(found.values()) for (encoder, task), found in points.items() if encoder == "tiny-en-random"}
    gains = {task: mean(points["tiny-en", task].values()) - score for task, score in drawn.items()}
    assert abs(gains.pop("cola")) < 1
    page = " ".join((root / "README.md").read_text().split())
    assert f"by {min(gains.values()):.1f} to {max(gains.values()):.1f} points with ten seeds" in page


def test_study_page_numbers_for_minilm_match_the_records(root):
    """The number of seeds that all four arms have, and the gains over plain fine-tuning, on average and by task."""
    points = points_of(root / RECORDED / "minilm-1k", "method", "task")
    seeds = set.intersection(*map(set, points.values()))
    tasks = ["rte@1k", "mrpc@1k", "stsb@1k", "cola@1k", "sst2@1k"]
    assert len(points) == 4 * len(tasks)

    def above_vanilla(method):
        return {t: mean(points[method, t][seed] - points["vanilla", t][seed] for seed in seeds) for t in tasks}

    off, hype = above_vanilla("hype-n~sigma=0"), above_vanilla("hype-n")
    page = " ".join((root / "docs/study.md").read_text().split())
    assert (
        f"after {len(seeds)} of 11 seeds: dropout off without noise is {mean(off.values()):.1f} points above plain"
        in page
    )
    assert f"HyPe-N {mean(hype.values()):.1f} (" in page
    above = f"by {off['cola@1k']:.1f} points on CoLA and {off['stsb@1k']:.1f} on STS-B"
    assert f"{above}, below it by {-off['mrpc@1k']:.1f} on MRPC" in page
    assert all(abs(off[task]) < 1 for task in ("rte@1k", "sst2@1k"))
    assert max(mean(found[seed] for seed in seeds) for (_, task), found in points.items() if task == "rte@1k") < 52.7


def test_pandas_reads_a_recorded_suite_directly(root):
    records = pd.read_json(root / RECORDED / "mini/cells.jsonl.gz", lines=True)
    predictions = pd.read_parquet(root / RECORDED / "mini/predictions.parquet")
    own = [next(e for e in evaluations if e["kind"] == "in_domain") for evaluations in records["evaluations"]]
    scored = [each for each in zip(records["spec"], own, strict=True) if "accuracy" in each[1]["metrics"]]
    assert scored
    for spec, evaluation in scored:
        cell = Cell(*(spec[key] for key in ("encoder", "method", "task", "seed")))
        rows = predictions[(predictions["cell"] == str(cell)) & (predictions["evaluation_set"] == spec["task"])]
        assert (rows["prediction"] == rows["label"]).mean() == pytest.approx(evaluation["metrics"]["accuracy"])


@pytest.fixture
def packed(suite, tmp_path):  # noqa: F811
    outcome(suite)
    path = variability_path(suite, "tiny", "cola")
    write_json(path, {"nu": [1.0, 2.0]})
    write_manifest(suite, "variability/tiny/cola", [path], {})
    folder = tmp_path / "recorded"
    assert write_recorded(suite, folder) == 1
    return folder


def test_suite_is_recorded_and_restored_byte_for_byte(packed, suite, tmp_path):  # noqa: F811
    (cell,) = suite.cells
    assert restore(packed, tmp_path / "again") == [cell]
    first, second = (cell_folder(of, cell) for of in (suite, tmp_path / "again"))
    assert {path.name for path in second.iterdir()} == {"record.json", "predictions.parquet", "history.csv"}
    for path in second.iterdir():
        assert path.read_bytes() == (first / path.name).read_bytes()
    assert restore(packed, tmp_path / "none", lambda _: False) == []


def test_restored_measurements_are_accepted_until_they_are_edited(packed, tmp_path):
    other = changed(tmp_path, variability={"encoders": ["tiny"]})
    restore(packed, other.results)
    (found,) = Products(other).status(["variability"])
    assert (found.state, found.usable) == ("recorded", True)
    assert found.why.endswith(
        "cola.json: restored as it was recorded: it cannot be compared with what it was made from"
    )
    repair.set_aside(other)
    assert variability_path(other, "tiny", "cola").exists(), "to measure again takes long"
    write_json(variability_path(other, "tiny", "cola"), {"nu": [2.0, 1.0]})
    (found,) = Products(other).status(["variability"])
    assert (found.state, found.usable) == ("damaged", False)


def test_looks_are_recorded_and_restored_with_the_suite(packed, suite, tmp_path):  # noqa: F811
    looks = {"wins": (Look(seeds=3, planned=5, plan="a plan", family=2, scored=(0, 1, 2)),)}
    keep_looks(suite, looks)
    write_recorded(suite, packed)
    assert read_looks(packed) == looks
    restore(packed, tmp_path / "again")
    assert read_looks(tmp_path / "again") == looks


def edit_record(suite):  # noqa: F811
    replace(record_path(suite, suite.cells[0]), '"steps": 48', '"steps": 49')


def edit_measurement(suite):  # noqa: F811
    path = variability_path(suite, "tiny", "cola")
    write_json(path, {"nu": [1.0, 2.0]})
    write_manifest(suite, "variability/tiny/cola", [path], {})
    write_json(path, {"nu": [2.0, 1.0]})


def edit_looks(suite):  # noqa: F811
    keep_looks(suite, {"wins": (Look(seeds=3, planned=5, plan="a plan", family=2),)})
    replace(looks_path(suite), '"seeds": 3', '"seeds": 2')


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (edit_record, "seed-0: quarantined: "),
        (edit_measurement, r"cola\.json: damaged"),
        (edit_looks, r"looks\.json: damaged"),
    ],
)
def test_damaged_file_stops_the_whole_recording(edit, said, suite, tmp_path):  # noqa: F811
    measured = changed(tmp_path, variability={"encoders": ["tiny"]})
    outcome(measured)
    edit(measured)
    with pytest.raises(SteadyTuneError, match=said):
        write_recorded(measured, tmp_path / "recorded")
    assert not (tmp_path / "recorded").exists()


def test_cell_with_other_settings_than_the_suite_is_not_recorded(packed, tmp_path):
    (packed / "cells.jsonl.gz").unlink()
    with pytest.raises(SteadyTuneError, match=r"seed-0: stale: protocol.batch_size is 4, was 8"):
        write_recorded(changed(tmp_path, protocol=SUITE["protocol"] | {"batch_size": 4}), packed)
    assert not (packed / "cells.jsonl.gz").exists()


def test_predictions_that_differ_from_the_records_are_rejected(packed, tmp_path):
    frame = pd.read_parquet(packed / "predictions.parquet")
    frame.loc[3, "prediction"] = 1 - frame.loc[3, "prediction"]
    frame.to_parquet(packed / "predictions.parquet", index=False)
    with pytest.raises(SteadyTuneError, match=r"predictions.parquet.*tiny/vanilla/cola/seed-0"):
        restore(packed, tmp_path / "again")


def test_truncated_line_is_named_in_the_error(packed, tmp_path):
    (line,) = lines_of(packed)
    pack(packed, f"{line}\n{line[:100]}")
    with pytest.raises(SteadyTuneError, match=r"cells.jsonl.gz: line 2"):
        restore(packed, tmp_path / "again")


@pytest.mark.parametrize(
    "spoil", [lambda found: found[:-20], lambda found: found[:40] + bytes(20) + found[60:], lambda _: b"no archive"]
)
def test_damaged_archive_of_records_is_named_in_the_error(spoil, packed, tmp_path):
    path = packed / "cells.jsonl.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SteadyTuneError, match=r"cells\.jsonl\.gz: damaged: ") as refused:
        restore(packed, tmp_path / "again")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "again").exists()


def test_line_that_unpacks_to_300_mb_is_rejected_in_little_memory(packed, tmp_path):
    with gzip.open(packed / "cells.jsonl.gz", "wb") as handle:
        for _ in range(300):
            handle.write(b" " * (1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(SteadyTuneError, match="line 1: damaged"):
            restore(packed, tmp_path / "again")
        assert tracemalloc.get_traced_memory()[1] < 150e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:200])])
def test_missing_or_damaged_predictions_are_named_in_the_error(spoil, packed, tmp_path):
    spoil(packed / "predictions.parquet")
    with pytest.raises(SteadyTuneError, match=r"predictions\.parquet: cannot be read"):
        restore(packed, tmp_path / "again")


def below(folder):
    return sorted(path for path in folder.rglob("*"))


def respell(packed, **names):
    """Rename the recorded cell and reseal its line, as anyone who sends records could."""
    (text,) = lines_of(packed)
    line = json.loads(text)
    line["spec"] |= names
    pack(packed, json.dumps(line | {SEAL: seal_of(line)}))


NO_PARTS = ["", ".", "..", "../../../outside", "{outside}", "a/b", "a\\b", "a\0b", 7]


@pytest.mark.parametrize("part", ["encoder", "method", "task"])
@pytest.mark.parametrize("name", NO_PARTS)
def test_unsafe_cell_names_are_rejected_before_anything_is_written(part, name, packed, tmp_path):
    name = name.format(outside=tmp_path / "outside") if isinstance(name, str) else name
    respell(packed, **{part: name})
    before = below(tmp_path)
    with pytest.raises(SteadyTuneError, match=rf"cells\.jsonl\.gz: line 1: {part}: ") as refused:
        restore(packed, tmp_path / "again")
    assert "\n" not in str(refused.value)
    assert below(tmp_path) == before


def test_line_without_a_required_key_is_reported_as_damaged(packed, tmp_path):
    (text,) = lines_of(packed)
    line = {key: value for key, value in json.loads(text).items() if key != "history"}
    pack(packed, json.dumps(line | {SEAL: seal_of(line)}))
    with pytest.raises(SteadyTuneError, match="line 1: damaged"):
        restore(packed, tmp_path / "restored")


@pytest.mark.parametrize("seed", [True, "0/../../../../outside", 1.0, None])
def test_seeds_that_are_not_integers_are_rejected(seed, packed, tmp_path):
    respell(packed, seed=seed)
    with pytest.raises(SteadyTuneError, match=r"cells\.jsonl\.gz: line 1: seed: "):
        restore(packed, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", NO_PARTS[:-1])
@pytest.mark.parametrize("of", ["encoder", "task"])
def test_unsafe_measurement_names_are_rejected_before_anything_is_written(name, of, packed, tmp_path):
    name = name.format(outside=tmp_path / "outside")
    write_sealed(packed / "variability.json", {name: {"cola": {}}} if of == "encoder" else {"tiny": {name: {}}})
    before = below(tmp_path)
    with pytest.raises(SteadyTuneError, match=rf"variability\.json: .*{of}: "):
        restore(packed, tmp_path / "again")
    assert below(tmp_path) == before


def test_measurements_that_the_suite_no_longer_has_are_removed(packed, suite):  # noqa: F811
    write_text(packed / "variability.json", "{}")  # left over from an earlier suite
    write_recorded(suite, packed)
    assert not (packed / "variability.json").exists()


@pytest.mark.slow
def test_documentation_tables_match_the_records(root):
    command = [sys.executable, root / "docs/tables.py", "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
