"""Without a staged store these tests are skipped; in CI, which has one, they fail."""

import pytest
from absence import absent
from staged_store import MANIFEST


@pytest.fixture(autouse=True, scope="session")
def _store() -> None:
    if not MANIFEST.is_file():
        absent(f"no staged store: {MANIFEST} does not exist; STEADYTUNE_STORE names another")
