"""Sign-flip tests: paired differences under random signs, all enumerated, or sampled if there are too many.

Differences are (tasks, pairs), as in `statistics`, with NaN for a pair that is left out on its task. P-values are
one-sided, for a mean above 0.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from steadytune.claims.statistics import LEVEL

EXACT = 20
"""Up to this many pairs all sign patterns (2^20) are enumerated; with more, `DRAWS` of them are drawn, seeded."""
DRAWS = 99_999
CHUNK = 4_000
"""Subsets drawn at a time; a multiple of eight, so chunks give the same subsets as a single draw."""
BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)


def sign_flips(differences: np.ndarray, *, exact: int = EXACT, draws: int = DRAWS) -> Any:
    """The p-value of the paired sign-flip test, stratified by task.

    If the two sides are exchangeable in every pair, all sign patterns are equally likely. The statistic is the mean
    over tasks of the means over pairs. Outcomes count as ties up to rounding, 1e-9 x the sum of absolute differences.
    With more than `exact` unequal pairs, patterns are sampled, and the observed one counts too.

    Args:
        differences: (..., tasks, pairs).
        exact: up to 2^exact patterns are enumerated.
        draws: number of patterns drawn if there are more.
    """
    values = _weighted(differences)[0]
    differ = (values != 0).reshape(-1, values.shape[-1]).any(axis=0)
    # If there are many, equal pairs stay: they add nothing, and all comparisons can share the same random subsets.
    values = values[..., differ] if differ.sum() <= exact else values
    tie = 1e-9 * np.abs(values).sum(axis=-1, keepdims=True)
    if values.size and (values > tie).all():
        # Flipping any subset lowers the statistic, so only the number of subsets counts.
        return np.full(values.shape[:-1], 1 / (1 + _count_subsets(values.shape[-1], exact, draws)))[()]
    sums = _subset_sums(values, exact, draws)
    # Flipping a subset lowers the statistic by twice the subset's sum.
    return (1 + (sums <= tie).sum(axis=-1)) / (1 + sums.shape[-1])


def flip_interval(differences: np.ndarray) -> tuple[float, float]:
    """The shifts that the two-sided sign-flip test does not reject; infinite if there are too few pairs to reject any.

    A shift is rejected by its rank among the means over all non-empty subsets of the pairs (Hartigan 1969).
    """
    means = np.sort(np.divide(*map(_subset_sums, _weighted(differences))))
    rank = int((1 - LEVEL) / 2 * (1 + len(means)))
    return (float(means[rank - 1]), float(means[-rank])) if rank else (-np.inf, np.inf)


def signed_ranks(differences: np.ndarray) -> float:
    """The p-value of sign flips of ranks of absolute differences within each task (Wilcoxon's test, stratified)."""
    ranks = stats.rankdata(np.abs(differences), axis=-1, nan_policy="omit")
    return sign_flips(np.sign(differences) * ranks)


def _weighted(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each pair adds to the mean over tasks, and its weight, (..., pairs) each, without pairs no study has."""
    known = np.isfinite(differences)
    weights = known / (known.sum(axis=-1, keepdims=True) * differences.shape[-2])
    flat = (*differences.shape[:-2], -1)
    kept = known.reshape(flat).reshape(-1, known.shape[-2] * known.shape[-1]).any(axis=0)
    values = np.nan_to_num(differences) * weights
    return values.reshape(flat)[..., kept], weights.reshape(flat)[..., kept]


def _subset_sums(values: np.ndarray, exact: int = EXACT, draws: int = DRAWS) -> np.ndarray:
    """Sums of the values (..., pairs) over all non-empty subsets, or over random ones: (..., subsets)."""
    pairs = values.shape[-1]
    if pairs > exact:
        if values.ndim > 1:
            return _sampled_sums(values, draws)
        # Cached, because a study's tests need the same sums again, or their negatives.
        negative = values[0] < 0
        sums = _known_sums((0.0 - values if negative else values + 0.0).tobytes(), draws)
        return -sums if negative else sums
    sums = np.zeros((*values.shape[:-1], 1))
    for pair in range(pairs):
        sums = np.concatenate([sums, sums + values[..., pair, None]], axis=-1)
    return sums[..., 1:]


@lru_cache(maxsize=8)
def _known_sums(values: bytes, draws: int) -> np.ndarray:
    """Sums of one study's float64 values over random subsets, (draws,)."""
    found = _sampled_sums(np.frombuffer(values), draws)
    found.flags.writeable = False
    return found


def _sampled_sums(values: np.ndarray, draws: int) -> np.ndarray:
    pairs = values.shape[-1]
    drawn = _random_subsets(pairs, draws)
    # Eight pairs at a time, from a table of the sums of all 256 subsets of the eight.
    eights = np.zeros((*values.shape[:-1], 8 * len(drawn)))
    eights[..., :pairs] = values
    tables = eights.reshape(*values.shape[:-1], -1, 8) @ BITS.T
    total = np.zeros((*values.shape[:-1], drawn.shape[1]))
    for place, subsets in enumerate(drawn):
        total += tables[..., place, :].take(subsets, axis=-1)
    return total


def _count_subsets(pairs: int, exact: int, draws: int) -> int:
    return 2**pairs - 1 if pairs <= exact else _random_subsets(pairs, draws).shape[1]


@lru_cache(maxsize=4)
def _random_subsets(pairs: int, draws: int) -> np.ndarray:
    """Random non-empty subsets of `pairs` pairs: (pairs / 8, draws) uint8, one bit for each pair.

    They equal those of `default_rng(0).integers(0, 2, dtype=int8)`, which takes the highest bit of each random byte.
    """
    random, packed = np.random.default_rng(0).bit_generator, []
    for start in range(0, draws, CHUNK):
        count = min(CHUNK, draws - start)
        raw = random.random_raw(-(-count * pairs // 8)).astype("<u8").view(np.uint8)[: count * pairs]
        # Transpose each chunk while it is in the CPU cache.
        packed.append(np.ascontiguousarray(np.packbits((raw & 128).reshape(count, pairs), axis=1).T))
    found = np.concatenate(packed, axis=1)
    filled = found.any(axis=0)
    return found if filled.all() else found[:, filled]
