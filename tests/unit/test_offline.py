"""At run time nothing reaches out: a whole cell in a process that may not open a connection."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_run_cell import suite  # noqa: F401 (a fixture)

from steadytune.cells.record import read_record
from steadytune.offline import VARIABLES

# Read by Python at its start. An attempt is written down, because a library may well swallow the refusal.
GUARD = """
import os, socket

def refuse(*arguments, **options):
    with open(os.environ["ATTEMPTS"], "a") as handle:
        handle.write(f"{arguments}\\n")
    raise OSError("this test forbids connections")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = refuse
"""


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that may not open a connection, and in which no library is told to stay offline."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard/sitecustomize.py").write_text(GUARD)
    kept = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    paths = os.pathsep.join([str(tmp_path / "guard"), *sys.path])
    return kept | {"PYTHONPATH": paths, "ATTEMPTS": str(tmp_path / "attempts"), "HF_HOME": str(tmp_path / "cache")}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_guard_forbids_connections_and_notices_attempts(guarded: dict[str, str], tmp_path: Path) -> None:
    ask = "import huggingface_hub; huggingface_hub.HfApi(endpoint='http://127.0.0.1:9').repo_info('a/b')"
    done = run(guarded, "-c", ask)
    assert done.returncode == 1 and "this test forbids connections" in done.stderr
    assert "127.0.0.1" in (tmp_path / "attempts").read_text()


def test_a_whole_cell_asks_nothing_of_a_network(suite, guarded: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    done = run(guarded, "-m", "steadytune", "finetune", "demo.yaml", "tiny/vanilla/cola/seed-0")
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "results/demo/cells/tiny/vanilla/cola/seed-0/record.json").status == "ok"
    assert not (tmp_path / "attempts").exists()


@pytest.mark.parametrize(("command", "expected"), [("collect", "1"), ("stage", None), ("run", None)])
def test_every_command_but_those_that_stage_is_told_to_stay_offline(
    guarded: dict[str, str], command: str, expected: str | None
) -> None:
    # Without the suite the command does nothing: what matters is what was set before.
    told = f"from steadytune.cli import main; print(main(['{command}', 'none.yaml']))"
    done = run(guarded, "-c", f"import os; {told}; print([os.environ.get(name) for name in {VARIABLES}])")
    assert done.stdout.splitlines() == ["2", str([expected] * len(VARIABLES))], done.stderr
