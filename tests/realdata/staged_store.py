"""The staged store that these tests read: the folder in STEADYTUNE_STORE, or else `../shared/store`."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STORE = Path(os.environ.get("STEADYTUNE_STORE") or REPOSITORY.parent / "shared/store").resolve()
MANIFEST = STORE / "MANIFEST.csv"
