"""Runs for trackio, as its local store: `TRACKIO_DIR=TARGET trackio show --project SUITE`.

Groups are `encoder/method/task`; settings and seeds are in the config. A run's summary is its last step.
"""

import io
import os
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

from steadytune.exports.content import Content
from steadytune.exports.runs import runs
from steadytune.files import atomic_folder
from steadytune.suite.suite import Suite


def export(suite: Suite, target: Path) -> None:
    """Write every run of a suite to a new folder."""
    content = Content.load(suite)
    # trackio reads TRACKIO_DIR when it is imported, and prints a lot.
    with atomic_folder(target) as folder, redirect_stdout(io.StringIO()):
        folder.mkdir()
        os.environ["TRACKIO_DIR"] = str(folder.resolve())
        trackio = import_module("trackio")
        for run in runs(content):
            config = {**run.config, "kind": run.kind}
            trackio.init(project=suite.name, name=run.name, group=run.group, config=config, embed=False,
                         auto_log_gpu=False, auto_log_cpu=False)  # fmt: skip
            for line in run.history:
                # trackio reserves the key `step`.
                trackio.log({key: value for key, value in line.items() if key != "step"}, step=int(line["step"]))
            last = int(run.history[-1]["step"]) if run.history else 0
            trackio.log({**run.summary, **run.notes}, step=last + 1)
            trackio.finish()
