"""Exports opened with the tools that they are meant for; `make validator` installs these tools."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from absence import absent
from test_exports import METHODS, matthews, project, suite  # noqa: F401 (fixtures)

pytestmark = pytest.mark.slow
CELL, MEAN = "tiny/hype-n~sigma=1e-02/cola/seed-1", "tiny/vanilla/cola"


@pytest.fixture
def opened(root, suite, tmp_path):  # noqa: F811
    """A function that exports the suite in a format and returns what the format's own tool reads."""
    python = root / ".venv/consumers/bin/python"
    if not python.is_file():
        absent("no tools to read exports; `make validator` has them")
    # Without network access or the user's settings.
    quiet = {"PYTHONPATH": str(root / "src"), "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = os.environ | quiet | {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}

    def opened(form):
        reader, target = str(Path(__file__).parent / "read_exports.py"), str(tmp_path / "out")
        export = ["-m", "steadytune", "export", "demo.yaml", "--as", form, "--to", target]
        for arguments in (export, [reader, form, target]):
            done = subprocess.run([python, *arguments], capture_output=True, text=True, check=False, env=environment)
            assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return opened


def check(found, suite):  # noqa: F811
    """Check the summaries of a cell and of a mean over seeds: (cell, mean)."""
    cell, mean = found
    assert cell["cola/matthews"] == pytest.approx(matthews(suite, METHODS[1])[1])
    values = matthews(suite, "vanilla")
    assert mean["cola/matthews"] == pytest.approx(np.mean(values))
    assert mean["cola/matthews/sd"] == pytest.approx(np.std(values, ddof=1))
    assert mean["cola/matthews/seeds"] == 2


def test_every_eval_ever_validates_every_exported_file(opened):
    assert opened("every-eval-ever") == [[True, [], []]] * 6


def test_mlflow_shows_cells_means_and_verdicts(opened, suite):  # noqa: F811
    found = opened("mlflow")
    assert len(found) == 7
    parameters, metrics, tags, steps = found[CELL]
    assert (parameters["seed"], parameters["hype-n/sigma"]) == ("1", "0.01")
    assert (tags["kind"], tags["status"]) == ("cell", "ok")
    assert steps == [8, 16, 24]
    check((metrics, found[MEAN][1]), suite)
    assert found["claims"][2]["mini-gain/verdict"] == "reproduced"
    assert found["claims"][1]["mini-gain/effect"] == 2.4


def test_wandb_has_offline_runs_of_cells_means_and_verdicts(opened, suite):  # noqa: F811
    found = opened("wandb")
    assert len(found) == 7
    group, config, history, summary = found[CELL]
    assert group == CELL.removesuffix("/seed-1")
    assert (config["seed"], config["hype-n/sigma"]) == (1, 0.01)
    assert [line["_step"] for line in history] == [8, 16, 24]
    check((summary, found[MEAN][3]), suite)
    assert found["claims"][3]["mini-gain/verdict"] == "reproduced"


def test_trackio_has_cells_means_and_verdicts(opened, suite):  # noqa: F811
    found = opened("trackio")
    assert len(found) == 7
    config, lines = found[CELL]
    assert (config["seed"], config["hype-n/sigma"], config["_Group"]) == (1, 0.01, CELL.removesuffix("/seed-1"))
    assert [line["step"] for line in lines] == [8, 16, 24, 25]
    check((lines[-1], found[MEAN][1][-1]), suite)
    assert found["claims"][1][-1]["mini-gain/verdict"] == "reproduced"
