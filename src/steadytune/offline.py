"""Forbid network access, which only staging needs."""

import os

# The hub client, datasets, evaluate and transformers each read their own variable when they are imported.
VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE")


def go_offline() -> None:
    """Keep these libraries off the network, in this process and its children."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
