"""Fixtures and settings shared by all tests, which can import the helper modules in `unit` and `dag`."""

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
    """Mark whole runs, clusters and real data as slow: they take minutes, so only `make test-all` runs them."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """One thread per process, as in the DAG's jobs, so that parallel tests do not compete for cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pdflatex() -> str:
    """The path of pdflatex, which .ci/run installs."""
    from absence import absent

    return shutil.which("pdflatex") or absent("no pdflatex on this machine")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """A local hub that `huggingface_hub` and urllib reach without a proxy, and a token that must not leak."""
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
    """Make retries immediate."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A helper that writes a suite with made-up results to an empty working folder."""
    from worlds import World

    monkeypatch.chdir(tmp_path)
    # A folder with a lock is a project.
    (tmp_path / "config").mkdir()
    (tmp_path / "config/lock.yaml").write_text("{}")
    return World(tmp_path)


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> Path:
    """An empty working folder with links to the project files that suites refer to."""
    monkeypatch.chdir(tmp_path)
    for name in ("config/lock.yaml", "config/claims", "config/encoders", "published"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(root / name)
    return tmp_path
