"""Compute nu on resamples and subsets of a few examples kept in memory, without any (width, width) matrix."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from steadytune.layers.variability import class_weights, ratio, separating_axes
from steadytune.suite.variability import NuSettings
from steadytune.tasks.subsets import subset_rows

# Draws processed at once: enough for fast matrix products, few enough to need little memory.
SLICE = 50
SAMPLE_STREAM = "steadytune variability"


class Sample:
    """The pooled hidden states of a fixed stratified subset of the examples.

    Args:
        indices: the class index of every example (N,).
        size: the maximum number of examples to keep.
    """

    def __init__(self, indices: np.ndarray, size: int) -> None:
        self.rows = subset_rows(indices, min(size, len(indices)), SAMPLE_STREAM)
        """Row numbers of the kept examples, ascending, (n,)."""
        _, self.classes = np.unique(indices[self.rows], return_inverse=True)
        """Their classes (n,), renumbered: classes without examples in the subset are left out."""
        self.counts = np.bincount(self.classes)
        """Number of examples of each class (k,)."""
        self._place = np.full(len(indices), -1)
        self._place[self.rows] = np.arange(len(self.rows))
        self._features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: np.ndarray, pooled: Tensor) -> None:
        """Keep the sample's examples of a batch with rows (B,) and pooled hidden states (layers, B, width)."""
        if self._features is None:
            layers, _, width = pooled.shape
            self._features = torch.empty(layers, len(self), width, dtype=pooled.dtype)
        places = self._place[rows]
        wanted = np.flatnonzero(places >= 0)
        self._features[:, places[wanted]] = pooled[:, torch.from_numpy(wanted).to(pooled.device)].cpu()

    @property
    def features(self) -> Tensor:
        """(layers, n, width), in the precision of the encoder."""
        assert self._features is not None, "the encoder has not run"
        return self._features

    def nu(self, draws: np.ndarray, settings: NuSettings) -> np.ndarray:
        """Compute nu of every draw and layer, (R, layers), from `draws` (R, n), how often each example was drawn."""
        found = [nu_of_draws(layer, self.classes, draws, settings) for layer in self.features]
        return torch.stack(found, dim=1).numpy()


def nu_of_draws(features: Tensor, classes: np.ndarray, draws: np.ndarray, settings: NuSettings) -> Tensor:
    """Compute nu of each draw from one layer's features, in float64.

    Args:
        features: (n, width), in any float type.
        classes: the class of each example (n,), 0 to k - 1.
        draws: (R, n), how often each example is in a draw; each draw has examples of every class.
        settings: weighting and centre.

    Returns:
        (R,); inf if the class means of a draw do not differ.
    """
    wide = features.double()
    resolution = torch.finfo(features.dtype).eps * float(wide.square().sum(dim=1).mean().sqrt())
    groups = [torch.from_numpy(np.flatnonzero(classes == y)) for y in range(classes.max() + 1)]
    times = torch.from_numpy(draws).double()
    return torch.cat([_nu(wide, groups, part, settings, resolution) for part in times.split(SLICE)])


def _nu(features: Tensor, groups: list[Tensor], times: Tensor, settings: NuSettings, resolution: float) -> Tensor:
    """Compute nu of a slice of draws; the scatter is computed only along the few axes that separate the classes."""
    counts = torch.stack([times[:, rows].sum(dim=1) for rows in groups], dim=1)
    centres = torch.stack([features[rows].mean(dim=0) for rows in groups])
    # Relative to the class's mean over all examples, so that the squares below do not cancel.
    residuals = [features[rows] - centre for rows, centre in zip(groups, centres, strict=True)]
    shares = [times[:, rows] / counts[:, y, None] for y, rows in enumerate(groups)]
    shifts = torch.stack([share @ residual for share, residual in zip(shares, residuals, strict=True)], dim=1)
    axes, inverse = separating_axes(centres + shifts, counts, settings, resolution)
    axes, inverse = axes[:, : max(len(groups) - 1, 1)], inverse[:, : max(len(groups) - 1, 1)]
    weights = class_weights(counts, settings)
    spread = torch.zeros_like(inverse)
    for y, (share, residual) in enumerate(zip(shares, residuals, strict=True)):
        along = torch.einsum("nd,rad->rna", residual, axes)
        squares = torch.einsum("rn,rna->ra", share, along.square())
        means = torch.einsum("rd,rad->ra", shifts[:, y], axes)
        spread += weights[:, y, None] * (squares - means.square()).clamp(min=0)
    return ratio(spread, inverse, len(groups))


def bootstrap_draws(classes: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each example is in each resample, (resamples, n); drawn with replacement, class by class."""
    draws = np.zeros((resamples, len(classes)), dtype=np.int64)
    for y in np.unique(classes):
        rows = np.flatnonzero(classes == y)
        draws[:, rows] = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=resamples)
    return draws


def subset_draws(classes: np.ndarray, quotas: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Draws without replacement, (R, n) of 0 and 1: of each class, the `quotas` (k,) examples with the smallest keys.

    keys: (R, n), random. With the same keys, smaller draws are subsets of larger ones.
    """
    draws = np.zeros(keys.shape, dtype=np.int64)
    for y, quota in enumerate(quotas):
        rows = np.flatnonzero(classes == y)
        chosen = rows[np.argsort(keys[:, rows], axis=1, kind="stable")[:, :quota]]
        np.put_along_axis(draws, chosen, 1, axis=1)
    return draws


def half_draws(classes: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Which examples are in each half-sample, (resamples, n): half of each class, rounded up, without replacement."""
    quotas = (np.bincount(classes) + 1) // 2
    return subset_draws(classes, quotas, generator.random((resamples, len(classes))))


# To first order, a half-sample's error relative to the sample has the mean and variance of the sample's error relative
# to the population. So does a bootstrap resample's, if the width is small compared with the number of examples.
RESAMPLING: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "half": half_draws,
    "bootstrap": bootstrap_draws,
}


def best_layers(nu: np.ndarray) -> np.ndarray:
    """The layer of least nu among 1..L in each row of (R, L + 1); 0 if no layer separates the classes."""
    best = 1 + nu[:, 1:].argmin(axis=1)
    return np.where(np.isfinite(nu[:, 1:]).any(axis=1), best, 0)
