"""Runs for Weights & Biases, as offline runs: `wandb sync TARGET/wandb/offline-run-*` uploads them.

Groups are `encoder/method/task`; settings and seeds are in the config, means and verdicts in summaries.
"""

import hashlib
from importlib import import_module
from pathlib import Path

from steadytune.exports.content import Content
from steadytune.exports.runs import Run, runs
from steadytune.files import atomic_folder
from steadytune.suite.suite import Suite


def export(suite: Suite, target: Path) -> None:
    """Write every run of a suite to a new folder, without network access."""
    wandb, content = import_module("wandb"), Content.load(suite)
    with atomic_folder(target) as folder:
        folder.mkdir()
        for run in runs(content):
            settings = wandb.Settings(console="off", silent=True, disable_git=True, disable_code=True,
                                      x_disable_stats=True, x_disable_meta=True)  # fmt: skip
            logged = wandb.init(project=suite.name, name=run.name, group=run.group, job_type=run.kind,
                                id=run_id(suite, run), config=run.config, mode="offline", dir=str(folder.resolve()),
                                settings=settings)  # fmt: skip
            for line in run.history:
                logged.log(line, step=int(line["step"]))
            logged.summary.update({**run.summary, **run.notes})
            logged.finish()
        wandb.teardown()


def run_id(suite: Suite, run: Run) -> str:
    """The run's ID: the same in every export, so that a later upload replaces an earlier one."""
    return hashlib.sha256(f"{suite.name}/{run.kind}/{run.name}".encode()).hexdigest()[:16]
