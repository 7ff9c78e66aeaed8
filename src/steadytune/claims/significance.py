"""Tests over seeds, and a correction for many tests. Arrays are (tasks, runs), as in `statistics`.

Tests of paired differences return the one-sided p-value for a mean above 0: negate the differences for the other side,
and subtract a bound to test against it. NaN stands for a pair that is left out on its task.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from steadytune.claims.sign_flips import flip_interval, sign_flips
from steadytune.claims.statistics import LEVEL, stratified_mean

OneSided = Callable[[np.ndarray], Any]
BETS = 2.0 ** np.arange(-6, 3)
"""The betting rates of `e_value`, per point of difference."""
FAR = 1e6
"""Factor by which `inverted` extends its search if it finds no rejected shift near the differences."""


def e_value(differences: np.ndarray) -> Any:
    """Anytime-valid evidence that differences (in points) lie above 0.

    E is the mean over rates of the product over all pairs of exp(rate d) / cosh(rate d), a test martingale under random
    signs. If differences are symmetric about 0, its expectation is at most 1, and 1 / E is a p-value however often one
    looks (Ville's inequality).
    """
    # A left-out pair counts as a difference of 0, which does not change the product.
    values = np.nan_to_num(differences)
    logs = [
        (rate * values - np.logaddexp(rate * values, -rate * values) + np.log(2)).sum(axis=(-2, -1)) for rate in BETS
    ]
    return np.exp(np.logaddexp.reduce(logs) - np.log(len(BETS)))


def anytime(differences: np.ndarray) -> Any:
    """One-sided p-value that stays valid even if one looks after every seed: 1 / `e_value`."""
    return np.minimum(1.0, 1 / np.maximum(e_value(differences), 1e-300))


def by_seed(differences: np.ndarray) -> Any:
    """One-sided t test of each seed's mean over tasks, valid even if all tasks share a seed's luck."""
    return t_test(np.nanmean(differences, axis=-2, keepdims=True))


def t_test(differences: np.ndarray, extra: float = 0.0) -> Any:
    """One-sided t test of the mean over tasks, with Welch-Satterthwaite degrees of freedom for several tasks.

    If the pairs of each task are all equal, as a few pairs with coarse scores can be, their spread is unknown and the
    sign-flip test is used instead.

    Args:
        differences: (..., tasks, pairs), at least two pairs each.
        extra: a standard error from another source, such as the choice of examples, added in quadrature.
    """
    found = stratified_mean(differences, extra)
    alike = found.error == 0
    return np.where(alike, sign_flips(differences), found.p)[()] if np.any(alike) else found.p


def t_interval(differences: np.ndarray, extra: float = 0.0) -> tuple[float, float]:
    """The shifts that `t_test` rejects on neither side, for one study, (tasks, pairs)."""
    found = stratified_mean(differences, extra)
    return flip_interval(differences) if found.error == 0 else found.interval()


def inverted(test: OneSided, differences: np.ndarray) -> tuple[float, float]:
    """The shifts that a test rejects on neither side; its p-value must increase with the shift."""
    tail, near_by = (1 - LEVEL) / 2, 8 * float(np.nanmax(np.abs(differences))) + 1

    def end(sign: int) -> float:
        def excess(shift: float) -> float:
            return test(sign * (differences - shift)) - tail

        # An anytime-valid test rejects no shift of a few points, however small the differences are.
        beyond = (reach for reach in (near_by, FAR * near_by) if excess(-sign * reach) <= 0)
        far, near = -sign * next(beyond, np.inf), float(np.nanmean(differences))
        if np.isinf(far):
            return far
        if excess(near) <= 0:
            return near
        return float(optimize.bisect(excess, far, near, xtol=1e-6))  # pyright: ignore[reportArgumentType]

    return end(1), end(-1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values (tests,): at most alpha if Holm's procedure rejects at family-wise error rate alpha."""
    order = np.argsort(p_values)
    steps = (len(p_values) - np.arange(len(p_values))) * np.asarray(p_values)[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
