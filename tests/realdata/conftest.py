"""Without a staged store these tests are skipped; where CI promises one, they fail."""

import pytest
from absence import absent
from staged_store import MANIFEST


@pytest.fixture(autouse=True, scope="session")
def _store() -> None:
    if not MANIFEST.is_file():
        absent(f"no staged store: {MANIFEST} does not exist; STEADYTUNE_STORE names another")
