"""Does the choice of a layer survive class imbalance and scarce data? Compute nu on many draws of few examples.

The paper's abstract says that nu is robust to both, but not how this was tested, so the experiments are ours.
"""

from collections.abc import Sequence

import numpy as np

from steadytune.layers.resampling import Sample, best_layers, subset_draws
from steadytune.results.variability import Draws
from steadytune.suite.variability import NuSettings

# With fewer examples in a draw, a class would have no scatter.
LEAST_OF_A_CLASS = 2


def scarcity(
    sample: Sample, best: int, sizes: Sequence[int], settings: NuSettings, draws: int, generator: np.random.Generator
) -> tuple[Draws, ...]:
    """Draws of `sizes` examples, with the classes in the proportions of the data.

    Sizes that cannot hold two examples of every class, or that leave no choice among the kept examples, are left out.
    Smaller draws are subsets of larger ones.
    """
    counts, keys = sample.counts, generator.random((draws, len(sample)))
    fitting = [quotas_of(counts, counts / counts.sum(), size) for size in sizes if size < len(sample)]
    return tuple(_over(sample, best, quotas, keys, settings) for quotas in fitting if quotas is not None)


def imbalance(
    sample: Sample, best: int, shares: Sequence[float], settings: NuSettings, draws: int, generator: np.random.Generator
) -> tuple[Draws, ...]:
    """Draws in which the most frequent class has each of `shares`, the other classes in the proportions of the data.

    All draws have one size, the largest at which every share can be drawn, so that imbalance is not confounded with
    scarcity. Every class keeps two examples even if this changes the share; results report the actual share. With more
    than two classes, a small share may leave another class the most frequent; such a share is left out.
    """
    if not shares:
        return ()
    counts, largest = sample.counts, int(sample.counts.argmax())
    others = np.where(np.arange(len(counts)) == largest, 0, counts)
    size = int(min(counts[largest] / max(shares), others.sum() / (1 - min(shares))))
    keys = generator.random((draws, len(sample)))
    found = []
    for share in shares:
        parts = (1 - share) * others / others.sum()
        parts[largest] = share
        quotas = quotas_of(counts, parts, size)
        # Halves of an odd number differ by one.
        if quotas is not None and quotas[largest] + 1 >= quotas.max():
            found.append(_over(sample, best, quotas, keys, settings))
    return tuple(found)


def quotas_of(counts: np.ndarray, parts: np.ndarray, size: int) -> np.ndarray | None:
    """Number of examples of each class in a draw of `size`, in proportion to `parts` (k,), out of `counts` (k,).

    A class gets at least two, or one if it has only one; None if that adds up to more than `size`.
    """
    least = np.minimum(LEAST_OF_A_CLASS, counts)
    if size < least.sum():
        return None
    quotas = np.maximum(_apportion(parts, size), least)
    while quotas.sum() > size:
        quotas[np.argmax(quotas - least)] -= 1
    return quotas


def _apportion(parts: np.ndarray, total: int) -> np.ndarray:
    """Split `total` into whole numbers in proportion to `parts` (k,), which sum to 1, by largest remainder."""
    # Rounded, so that 0.95 * 100 is 95 despite binary fractions.
    exact = np.round(parts * total, 6)
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]] += 1
    return quotas


def _over(sample: Sample, best: int, quotas: np.ndarray, keys: np.ndarray, settings: NuSettings) -> Draws:
    nu = sample.nu(subset_draws(sample.classes, quotas, keys), settings)
    chosen = best_layers(nu)
    distances = np.abs(chosen - best)[chosen > 0]
    # Quantiles without interpolation, because nu may be infinite.
    low, middle, high = np.quantile(nu, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
    return Draws(
        examples=int(quotas.sum()),
        share=float(quotas.max() / quotas.sum()),
        agreement=float((chosen == best).mean()),
        distance=float(distances.mean()) if len(distances) else float("nan"),
        nu=tuple(middle.tolist()),
        nu_low=tuple(low.tolist()),
        nu_high=tuple(high.tolist()),
    )
