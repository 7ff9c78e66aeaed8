"""Read an export with the tool that it is for, and print it as JSON: `python read_exports.py FORMAT FOLDER`.

This runs in the environment of `make validator`, which has packages that the project itself does not need.
"""

import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def every_eval_ever(folder: str) -> Any:
    """The reports of Every Eval Ever's own validator: [valid, errors, warnings] of each file."""
    from every_eval_ever.validator.validate import _LocalRepositoryFiles, validate_file

    files = _LocalRepositoryFiles(Path(folder))
    reports = []
    for path in sorted(Path(folder).glob("data/*/*/*/*.json")):
        place = path.relative_to(folder).as_posix()
        report = validate_file(path, max_errors=50, repo_path=place, available_files=files,
                               read_repo_file=files.read_text, run_semantic_checks=True)  # fmt: skip
        reports.append([report.valid, report.errors, report.warnings])
    return reports


def mlflow(folder: str) -> Any:
    """Name -> [parameters, metrics, tags, the steps of its training loss] of every run."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{Path(folder).resolve()}/mlflow.db")
    (experiment,) = (found for found in client.search_experiments() if found.name != "Default")
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        losses = client.get_metric_history(run.info.run_id, "training/train_loss")
        found[run.info.run_name] = [run.data.params, run.data.metrics, run.data.tags, [loss.step for loss in losses]]
    return found


def trackio(folder: str) -> Any:
    """Name -> [config, logged lines] of every run."""
    os.environ["TRACKIO_DIR"] = folder
    from trackio.sqlite_storage import SQLiteStorage

    (project,) = SQLiteStorage.get_projects()
    names = SQLiteStorage.get_runs(project)
    return {
        name: [SQLiteStorage.get_run_config(project, name), SQLiteStorage.get_logs(project, name)] for name in names
    }


def wandb(folder: str) -> Any:
    """Name -> [group, config, history, summary] of every offline run, from wandb's own messages."""
    from wandb.proto import wandb_internal_pb2

    found = {}
    for path in Path(folder).glob("wandb/offline-run-*/*.wandb"):
        run, config, history, summary = None, {}, [], {}
        for data in _messages(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                run = record.run
                config |= _items(run.config.update)
            if record.HasField("history"):
                history.append(_items(record.history.item))
            if record.HasField("summary"):
                summary |= _items(record.summary.update)
        assert run is not None
        found[run.display_name] = [run.run_group, config, history, summary]
    return found


def _messages(content: bytes) -> Iterator[bytes]:
    """The messages of a .wandb file: a log in LevelDB's format after a header of 7 bytes."""
    assert content.startswith(b":W&B")
    at, message, block = 7, b"", 32768
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        message += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield message
            message = b""


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(globals()[sys.argv[1].replace("-", "_")](sys.argv[2])))
