"""How a claim's runs are compared with one baseline, and what their number of seeds can show."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from steadytune.claims import power
from steadytune.claims.evidence import Test


@dataclass(frozen=True)
class Design:
    """How runs are compared with one baseline."""

    alpha: float
    """The claim's share of its family's error rate."""
    chance: float
    """The chance with which an effect of the claim's size should be detected."""
    test: Test
    interim: bool
    """Whether p-values must be anytime-valid."""
    error: float | None
    """The standard error over examples, if known."""

    @property
    def by_mean(self) -> bool:
        """Whether a t test of the mean may be used in addition to the test."""
        return not self.interim and self.test in ("its own", "over examples")

    @property
    def extra(self) -> float:
        """The standard error over examples if it enters the test, otherwise 0."""
        return self.error or 0.0 if self.test == "over examples" else 0.0


def power_of(
    size: float,
    differences: np.ndarray,
    design: Design,
    *,
    both: bool = False,
    unequal: Fraction | None = None,
    either: bool = False,
) -> tuple[int | None, tuple[int | None, int | None] | None, float]:
    """(seeds needed, their 80 % range, what these seeds detect) for an effect, or a distance to a bound, of `size`."""
    variances, runs = _variances(differences), _runs(differences)

    def needed(confidence: float) -> int | None:
        upper = power.upper_variances(variances, runs, confidence)
        return power.seeds_for_mean(
            size, upper, design.alpha, chance=design.chance, both=both, unequal=unequal, either=either
        )

    upper = power.upper_variances(variances, runs)
    reach = power.detectable_effect(upper, runs, design.alpha, chance=design.chance, both=both)
    return needed(power.POWER), (needed(0.1), needed(0.9)) if design.test == "its own" else None, reach


def _variances(differences: np.ndarray) -> np.ndarray:
    return np.nanvar(differences, axis=1, ddof=1)


def _runs(differences: np.ndarray) -> int:
    return int(np.isfinite(differences).sum(axis=1).min())
