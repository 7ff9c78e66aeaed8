"""No network access at run time: a whole cell runs in a process that cannot open a connection."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_run_cell import suite  # noqa: F401 (a fixture)

from steadytune.cells.record import read_record
from steadytune.offline import VARIABLES

# Python imports this at startup. Attempts are written to a file because a library may swallow the exception.
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
    """Environment of a process that cannot open a connection, without the variables that keep libraries offline."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard/sitecustomize.py").write_text(GUARD)
    kept = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    paths = os.pathsep.join([str(tmp_path / "guard"), *sys.path])
    return kept | {"PYTHONPATH": paths, "ATTEMPTS": str(tmp_path / "attempts"), "HF_HOME": str(tmp_path / "cache")}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_guard_blocks_connections_and_logs_attempts(guarded: dict[str, str], tmp_path: Path) -> None:
    ask = "import huggingface_hub; huggingface_hub.HfApi(endpoint='http://127.0.0.1:9').repo_info('a/b')"
    done = run(guarded, "-c", ask)
    assert done.returncode == 1 and "this test forbids connections" in done.stderr
    assert "127.0.0.1" in (tmp_path / "attempts").read_text()


def test_whole_cell_needs_no_network_access(suite, guarded: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    done = run(guarded, "-m", "steadytune", "finetune", "demo.yaml", "tiny/vanilla/cola/seed-0")
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "results/demo/cells/tiny/vanilla/cola/seed-0/record.json").status == "ok"
    assert not (tmp_path / "attempts").exists()


@pytest.mark.parametrize(("command", "expected"), [("collect", "1"), ("stage", None), ("run", None)])
def test_commands_set_offline_variables_unless_they_stage(
    guarded: dict[str, str], command: str, expected: str | None
) -> None:
    # There is no such suite, so the command does nothing; only the variables that it set matter.
    told = f"from steadytune.cli import main; print(main(['{command}', 'none.yaml']))"
    done = run(guarded, "-c", f"import os; {told}; print([os.environ.get(name) for name in {VARIABLES}])")
    assert done.stdout.splitlines() == ["2", str([expected] * len(VARIABLES))], done.stderr
