"""Runs for MLflow, as the local store `TARGET/mlflow.db`: `mlflow ui --backend-store-uri sqlite:///TARGET/mlflow.db`.

Settings and seeds are parameters; epochs are steps of metrics; verdicts are tags of the run `claims`.
"""

import re
from importlib import import_module
from pathlib import Path

from steadytune.exports.content import Content
from steadytune.exports.runs import Run, runs
from steadytune.files import atomic_folder
from steadytune.suite.suite import Suite

LONGEST = 5000
"""Maximum length of a tag, in characters."""


def export(suite: Suite, target: Path) -> None:
    """Write every run of a suite to a new folder."""
    mlflow, content = import_module("mlflow"), Content.load(suite)
    entities = mlflow.entities
    with atomic_folder(target) as folder:
        folder.mkdir()
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{(folder / 'mlflow.db').resolve()}")
        experiment = client.create_experiment(suite.name, artifact_location=(target / "artifacts").resolve().as_uri())
        for run in runs(content):
            tags = {_key(key): value[:LONGEST] for key, value in run.notes.items()}
            tags |= {"kind": run.kind, "group": run.group}
            made = client.create_run(experiment, run_name=run.name, tags=tags).info
            client.log_batch(
                made.run_id,
                metrics=[entities.Metric(key, value, made.start_time, step) for key, value, step in _metrics(run)],
                params=[entities.Param(_key(key), str(value)) for key, value in run.config.items()],
            )
            client.set_terminated(made.run_id)


def _metrics(run: Run) -> list[tuple[str, float, int]]:
    epochs = [(_key(f"training/{key}"), value, int(line["step"]))
              for line in run.history for key, value in line.items() if key != "step"]  # fmt: skip
    return [*epochs, *((_key(key), value, 0) for key, value in run.summary.items())]


def _key(name: str) -> str:
    """Replace the characters that MLflow does not accept in names, such as `@` in `snli@500`."""
    return re.sub(r"[^\w\-. :/]", "_", name)
