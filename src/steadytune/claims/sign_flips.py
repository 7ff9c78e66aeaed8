"""Sign-flip tests: paired differences under random signs, all of them enumerated, or drawn if there are too many.

Differences are (tasks, pairs), as in `statistics`, with NaN for a pair that is left out on its task; p-values are
one-sided, that the mean is above 0.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from steadytune.claims.statistics import LEVEL

EXACT = 20
"""Up to 2^20 sign patterns are enumerated; above, `DRAWS` of them are drawn, seeded."""
DRAWS = 99_999
CHUNK = 4_000
"""Subsets drawn at a time; a multiple of eight, so that the generator gives the same ones as all at once."""
BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)


def sign_flips(differences: np.ndarray, *, exact: int = EXACT, draws: int = DRAWS) -> Any:
    """Exact paired test, stratified by task: if the two sides are exchangeable in every pair, signs are random.

    The statistic is the mean over tasks of the means over pairs. Outcomes within 1e-9 of the sum of absolute
    differences count as ties. Signs of more than `exact` unequal pairs are sampled; the observed ones then count too.

    Args:
        differences: (..., tasks, pairs).
        exact: up to 2^exact patterns are enumerated.
        draws: of more, so many are drawn.
    """
    values = _weighted(differences)[0]
    differ = (values != 0).reshape(-1, values.shape[-1]).any(axis=0)
    # Of many, equal pairs stay: they add nothing, and the same random subsets then serve every comparison of a suite.
    values = values[..., differ] if differ.sum() <= exact else values
    tie = 1e-9 * np.abs(values).sum(axis=-1, keepdims=True)
    if values.size and (values > tie).all():
        # No subset lowers the statistic: their number is all that counts.
        return np.full(values.shape[:-1], 1 / (1 + _count_subsets(values.shape[-1], exact, draws)))[()]
    sums = _subset_sums(values, exact, draws)
    # Flipping a subset lowers the statistic by twice the subset's sum.
    return (1 + (sums <= tie).sum(axis=-1)) / (1 + sums.shape[-1])


def flip_interval(differences: np.ndarray) -> tuple[float, float]:
    """The shifts that the two-sided sign-flip test does not reject; infinite if too few pairs could reject any.

    The test of `differences - shift` rejects by its rank among the means over all subsets of the pairs (Hartigan 1969).
    """
    means = np.sort(np.divide(*map(_subset_sums, _weighted(differences))))
    rank = int((1 - LEVEL) / 2 * (1 + len(means)))
    return (float(means[rank - 1]), float(means[-rank])) if rank else (-np.inf, np.inf)


def signed_ranks(differences: np.ndarray) -> float:
    """Sign flips of ranks: absolute differences are ranked within each task (Wilcoxon's test, stratified)."""
    ranks = stats.rankdata(np.abs(differences), axis=-1, nan_policy="omit")
    return sign_flips(np.sign(differences) * ranks)


def _weighted(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each pair adds to the mean over tasks, and its weight, both (..., pairs); those of no study are left out."""
    known = np.isfinite(differences)
    weights = known / (known.sum(axis=-1, keepdims=True) * differences.shape[-2])
    flat = (*differences.shape[:-2], -1)
    kept = known.reshape(flat).reshape(-1, known.shape[-2] * known.shape[-1]).any(axis=0)
    values = np.nan_to_num(differences) * weights
    return values.reshape(flat)[..., kept], weights.reshape(flat)[..., kept]


def _subset_sums(values: np.ndarray, exact: int = EXACT, draws: int = DRAWS) -> np.ndarray:
    """Sums of the values (..., pairs) over all subsets but the empty one, or over random ones: (..., subsets)."""
    pairs = values.shape[-1]
    if pairs > exact:
        if values.ndim > 1:
            return _sampled_sums(values, draws)
        # A study's tests ask for the same sums again, or for their negatives.
        negative = values[0] < 0
        sums = _known_sums((0.0 - values if negative else values + 0.0).tobytes(), draws)
        return -sums if negative else sums
    sums = np.zeros((*values.shape[:-1], 1))
    for pair in range(pairs):
        sums = np.concatenate([sums, sums + values[..., pair, None]], axis=-1)
    return sums[..., 1:]


@lru_cache(maxsize=8)
def _known_sums(values: bytes, draws: int) -> np.ndarray:
    """Sums of the float64 values of one study over random subsets of them, (draws,)."""
    found = _sampled_sums(np.frombuffer(values), draws)
    found.flags.writeable = False
    return found


def _sampled_sums(values: np.ndarray, draws: int) -> np.ndarray:
    pairs = values.shape[-1]
    drawn = _random_subsets(pairs, draws)
    # Eight pairs at a time: a table has the sums of all 256 subsets of each eight.
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
    """Random subsets of so many pairs, without the empty one: (pairs / 8, draws) uint8, a bit for each pair.

    The same as `default_rng(0).integers(0, 2, dtype=int8)` gives, which takes the highest bit of each random byte.
    """
    random, packed = np.random.default_rng(0).bit_generator, []
    for start in range(0, draws, CHUNK):
        count = min(CHUNK, draws - start)
        raw = random.random_raw(-(-count * pairs // 8)).astype("<u8").view(np.uint8)[: count * pairs]
        # Turned while it is in the processor's cache.
        packed.append(np.ascontiguousarray(np.packbits((raw & 128).reshape(count, pairs), axis=1).T))
    found = np.concatenate(packed, axis=1)
    filled = found.any(axis=0)
    return found if filled.all() else found[:, filled]
