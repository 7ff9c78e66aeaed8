"""Only staging uses the network; everything else is told to do without."""

import os

# The hub's client, data sets, metrics and transformers: each library has a variable of its own, read at its import.
VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE")


def go_offline() -> None:
    """Forbid those libraries the network, in this process and those that it starts."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
