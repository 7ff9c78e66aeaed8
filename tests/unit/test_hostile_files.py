"""Hostile input files, and leftovers of killed processes."""

import json
import os
import resource
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from test_own_data import write_suite

from steadytune.cells.verify import verifying
from steadytune.dag.leftovers import clear_leftovers
from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_path, read_json, write_text
from steadytune.layout import (
    RECORD,
    checkpoint_path,
    handover_path,
    looks_path,
    record_path,
    running_path,
    store_lock_path,
    verification_folder,
)
from steadytune.locks import hold
from steadytune.safe_yaml import read_yaml
from steadytune.store.pinning_own import pin_new
from steadytune.suite.loading import load_suite
from steadytune.suite.own import lock_path

LAUGHS = "a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
SUITE = """
suite: demo
title: {title}
encoders: {{mini: {{model: steadytune/mini}}}}
methods: {methods}
grid: [{{encoders: [mini], methods: [vanilla], tasks: [mini-rte], seeds: {seeds}}}]
"""


def suite_text(title: str = "Demo", methods: str = "{}", seeds: str = "1") -> str:
    return SUITE.format(title=title, methods=methods, seeds=seeds)


AXES = ", ".join(
    f"{key}: [{', '.join(f'{n}.0e-3' for n in range(1, 200))}]" for key in ("learning_rate", "weight_decay", "warmup")
)
HOSTILE = {
    "laughs": LAUGHS + suite_text("*j"),
    "laughs of an unknown key": suite_text() + LAUGHS,
    "an alias of itself": "title: &a [*a]",
    "nested lists": suite_text("[" * 100_000),
    "nested keys": suite_text("{a: " * 5_000 + "}" * 5_000),
    "nul": suite_text("a\0b"),
    "escaped nul": suite_text('"a\\0b"'),
    "bell": suite_text('"a\\ab"'),
    "line separator": suite_text('"a\\u2028b"'),
    "seeds": suite_text(seeds="100000000"),
    "listed seeds": suite_text(seeds="[1" + "0" * 5000 + "]"),
    "grid": suite_text(methods="{vanilla: {grid: {" + AXES + "}}}"),
    "date": suite_text("2001-99-99"),
    "number": suite_text(seeds="1" + "0" * 5000),
    "number of hex digits": suite_text(seeds="0x1" + "0" * 5000),
    "listed numbers of hex digits": suite_text(seeds="[0x1" + "0" * 5000 + "]"),
    "title of hex digits": suite_text(title="[0x1" + "0" * 5000 + "]"),
    "axis of hex digits": suite_text(methods="{vanilla: {grid: {epochs: [0x1" + "0" * 5000 + "]}}}"),
    "setting of hex digits": suite_text(methods="{r-drop: {alpha: 0x1" + "0" * 5000 + "}}"),
    "a mapping as a key": suite_text("{{ title }}"),
    "a list as a key": suite_text("{[a]: b}"),
    "tag": suite_text("!!python/object/apply:os.system [id]"),
    "truth by tag": suite_text("!!bool x"),
    "time by tag": suite_text("!!timestamp x"),
    "nothing by tag": suite_text("!!int ''"),
    "mapping by tag": suite_text("!!map x"),
    "size": "# " + "a" * 30_000_000,
    "latin": b"title: \xff",
    "surrogate": suite_text('"\\ud800"'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_suite_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.yaml"
    text = HOSTILE[name]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(SteadyTuneError) as caught:
        load_suite(path)
    after = resource.getrusage(resource.RUSAGE_SELF)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    # Expanding aliases or reading them repeatedly would take hours.
    assert after.ru_utime - before.ru_utime < 60
    assert after.ru_maxrss - before.ru_maxrss < 300_000  # KiB


def test_ordinary_yaml_anchors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {b: [1, 2]}\nc: {<<: *a, d: *a}\n")
    assert read_yaml(path) == {"a": {"b": [1, 2]}, "c": {"b": [1, 2], "d": {"b": [1, 2]}}}
    path.write_text("")
    assert read_yaml(path) is None


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000)
    with pytest.raises(SteadyTuneError, match="nested"):
        read_json(path)


def test_folder_in_place_of_a_file_or_the_reverse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(SteadyTuneError, match="folder"):
        read_yaml(tmp_path / "a.yaml")
    write_text(tmp_path / "file", "")
    with pytest.raises(SteadyTuneError, match="file: expected a folder, found a file"):
        read_json(tmp_path / "file/a.json")


# Leftovers of killed processes

KILLED = """
import os, sys
from pathlib import Path
from steadytune.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


def killed_write(path: Path) -> Path:
    """The temporary file of a process that was killed while writing `path`."""
    before = set(path.parent.iterdir()) if path.parent.is_dir() else set()
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    (left,) = set(path.parent.iterdir()) - before
    return left


@pytest.fixture
def suite(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "config").symlink_to(root / "config")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "demo.yaml"
    path.write_text(suite_text(seeds="3"))
    return load_suite(path)


def test_run_clears_leftovers_of_killed_processes(suite) -> None:
    first, second, third = suite.cells
    store = suite.file.store
    left = [
        killed_write(record_path(suite, first)),
        killed_write(checkpoint_path(suite, first)),
        killed_write(suite.results / "metrics.parquet"),
        killed_write(store / "datasets/steadytune/mini/rte/train.parquet"),
    ]
    bundle = store / ".downloads/bundle-x/models/a.txt"
    finished, unfinished = checkpoint_path(suite, second), checkpoint_path(suite, third)
    for path in (bundle, record_path(suite, second), finished, unfinished):
        write_text(path, "{}")
    clear_leftovers(suite)
    assert not any(path.exists() for path in (*left, bundle, finished))
    assert record_path(suite, second).exists() and unfinished.exists()


def test_run_keeps_files_that_live_processes_are_writing(suite) -> None:
    cell, store = suite.cells[0], suite.file.store
    staged = "datasets/steadytune/mini/rte"
    verified = verification_folder(suite, suite.cells[1])
    written = [record_path(suite, cell), handover_path(suite, cell), store / staged / "train.parquet",
               looks_path(suite), verified / RECORD, verified / "checkpoint.safetensors"]  # fmt: skip
    with (
        hold(running_path(suite, cell)),
        hold(running_path(suite, "looks")),
        verifying(suite, suite.cells[1]),
        hold(store_lock_path(store, staged)),
        ExitStack() as files,
    ):
        for path in written:
            files.enter_context(atomic_path(path)).write_text("half")
        clear_leftovers(suite)
    assert {path.read_text() for path in written} == {"half"}


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_written_files_follow_the_current_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


def test_folder_is_fsynced_after_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(Path(f"/proc/self/fd/{descriptor}").resolve()))
    write_text(tmp_path / "a.txt", "text")
    assert flushed[-1] == tmp_path.resolve() and len(flushed) == 2


# A user's data


def refused_data(folder: Path, name: str, **entry: str) -> str:
    """The error when `stage` pins a new suite with a task that reads the file or folder `name`."""
    task = {"train": name, "evaluation": name, "text": "body"} | entry
    path = write_suite(folder, {"t": {key: value for key, value in task.items() if value}})
    with pytest.raises(SteadyTuneError) as caught:
        pin_new(path)
    assert not lock_path(path).exists()
    return str(caught.value)


@pytest.mark.parametrize("column", ["body", "label"])
def test_lone_surrogate_is_reported_with_its_column_and_row(tmp_path: Path, column: str) -> None:
    rows = [{"body": "a", "label": "x"}, {"body": "b", "label": "y"}, {"body": "c", "label": "x"}]
    rows[1][column] = "cut \ud83d"
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = refused_data(tmp_path, "a.jsonl").splitlines()
    assert f"column '{column}'" in said[1] and "\\ud83d" in said[1] and "(row 1 and 1 more)" in said[1]


def test_surrogate_pair_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "\\ud83d\\ude00", "label": "x"}\n{"body": "b", "label": "y"}\n')
    path = write_suite(tmp_path, {"t": {"train": "a.jsonl", "evaluation": "a.jsonl", "text": "body"}})
    pin_new(path)
    assert lock_path(path).exists()


@pytest.mark.parametrize(
    ("form", "expected"), [("csv", "csv"), ("squad", "squad"), ("jsonl", "jsonl"), ("", "parquet")]
)
def test_folder_in_place_of_a_data_file_is_refused(tmp_path: Path, form: str, expected: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.csv").write_text("body,label\na,x\nb,y\n")
    squad = {"text": "", "metric": "span_f1"} if form == "squad" else {}
    said = refused_data(tmp_path, "data", format=form, **squad)
    assert "\n" not in said and f"{tmp_path / 'data'}" in said and "a folder" in said and expected in said


def test_file_in_place_of_a_saved_dataset_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body,label\na,x\nb,y\n")
    said = refused_data(tmp_path, "a.csv", format="datasets")
    assert "\n" not in said and "a file" in said


@pytest.mark.parametrize(("info", "state"), [("{}", None), ("{", None), ("{}", "{}"), ("{}", "[]"), ("[]", "{}")])
def test_incomplete_saved_dataset_folder_is_refused(tmp_path: Path, info: str, state: str | None) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dataset_info.json").write_text(info)
    if state is not None:
        (tmp_path / "data/state.json").write_text(state)
    said = refused_data(tmp_path, "data")
    assert "\n" not in said and f"{tmp_path / 'data'}" in said


def test_file_not_in_its_declared_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body;label\na;x\nb;y\n")
    said = refused_data(tmp_path, "a.csv", encoding="utf-16")
    assert "\n" not in said and f"{tmp_path / 'a.csv'}" in said


def test_score_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    rows = [{"body": "a", "label": 1.5}, {"body": "b", "label": 10**400}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = refused_data(tmp_path, "a.jsonl", metric="pearson_spearman").splitlines()
    assert "expected a finite number" in said[1] and "(row 1 and 1 more)" in said[1]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_deeply_nested_data_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"body": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    squad = {"text": "", "metric": "span_f1", "format": "squad"} if name == "a.json" else {}
    said = refused_data(tmp_path, name, **squad)
    assert "\n" not in said and len(said) < 500 and f"{tmp_path / name}" in said
    assert name == "a.json" or "line 1" in said
