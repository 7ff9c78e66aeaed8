"""Rows by quotas: a number of rows per stratum, in an order that is the same on every Python version."""

from collections.abc import Iterable, Sequence
from random import Random


def quotas(shares: dict[str, float], size: int) -> dict[str, int]:
    """Whole numbers that sum to `size`, in proportion to the shares (largest remainder)."""
    whole = {name: int(share * size) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (whole[name] - shares[name] * size, name))
    for name in by_remainder[: size - sum(whole.values())]:
        whole[name] += 1
    return whole


def collect(
    rng: Random, candidates: Iterable[tuple[str, dict]], left: dict[str, int], text: Sequence[str], taken: set
) -> list[dict]:
    """Take rows from an endless stream of (stratum, row) until every quota is filled; return them shuffled.

    left: stratum -> rows still to find, counted down; rows of other strata are skipped.
    text: the columns whose text must be unique; texts in `taken` are skipped, and new ones are added to it.
    """
    found, size = [], sum(left.values())
    for stratum, row in candidates:
        key = tuple(row[name] for name in text)
        if left.get(stratum, 0) == 0 or key in taken:
            continue
        taken.add(key)
        left[stratum] -= 1
        found.append(row)
        if len(found) == size:
            break
    # Fisher-Yates with `random()` only, whose stream is the same on every Python version.
    for i in range(len(found) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        found[i], found[j] = found[j], found[i]
    return found
