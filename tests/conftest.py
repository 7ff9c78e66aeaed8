"""What every test shares: the helpers beside the tests are importable, and jobs find the package."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("unit", "dag")]


SLOW = ("cluster", "dag", "realdata")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs, clusters and real data take minutes: `make test` leaves their folders to `make test-all`."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """One thread a process, as the DAG's jobs have, so that tests side by side do not fight for cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pdflatex() -> str:
    """LaTeX, which .ci/run installs."""
    from absence import absent

    return shutil.which("pdflatex") or absent("no pdflatex on this machine")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """A hub of our own that `huggingface_hub` and urllib reach without a proxy, with a token that must not get out."""
    from hub_server import HubServer
    from huggingface_hub import close_session

    from steadytune.offline import VARIABLES

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server
        close_session()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty folder to work in, and what writes a suite with made-up results there."""
    from worlds import World

    monkeypatch.chdir(tmp_path)
    # The folder is the project's because it has a lock.
    (tmp_path / "config").mkdir()
    (tmp_path / "config/lock.yaml").write_text("{}")
    return World(tmp_path)


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> Path:
    """An empty folder to work in, with the entries of the project that suites name."""
    monkeypatch.chdir(tmp_path)
    for name in ("config/lock.yaml", "config/claims", "config/encoders", "published"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(root / name)
    return tmp_path
