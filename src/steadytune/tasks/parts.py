"""Parts of a split that share no group: no article, no text.

They stand in for a training split where only an evaluation split is at hand, and for a share held out of training where
examples about one text would give each other away.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from steadytune.errors import unknown

# Shares of the groups, from .. to. Changing them, or the string below, changes what is trained on. The larger of two
# halves has room for 5,000 of the 9,815 rows of MNLI's matched development set.
PARTS = {"train": (0.0, 0.75), "rest": (0.75, 1.0), "larger": (0.0, 0.52), "smaller": (0.52, 1.0)}
STREAM = "steadytune part"


def split_name(split: str) -> tuple[str, str]:
    """A split as its files name it, and which part of it: `validation[train]` -> (validation, train), or no part."""
    name, bracket, part = split.partition("[")
    return name, part.removesuffix("]") if bracket else ""


def part_rows(groups: Sequence[str], part: str) -> np.ndarray:
    """The rows (sorted indices) of the named part of a split, whose rows belong to `groups` (n,).

    Raises:
        SteadyTuneError: a part that there is not.
    """
    if part not in PARTS:
        raise unknown("part", part, PARTS)
    return rows_between(groups, *PARTS[part])


def rows_between(groups: Sequence[str], start: float, end: float, stream: str = STREAM) -> np.ndarray:
    """The rows of the groups between two shares of them, in the order of the SHA-256 of `stream` and their names."""
    names = sorted(set(groups), key=lambda name: hashlib.sha256(f"{stream}/{name}".encode()).digest())
    chosen = set(names[round(start * len(names)) : round(end * len(names))])
    return np.flatnonzero([group in chosen for group in groups])
