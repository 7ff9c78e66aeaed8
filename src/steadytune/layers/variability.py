"""Hidden-state variability: how well each layer of a pretrained encoder already separates a task's classes.

Xie et al., "Hidden State Variability of Pretrained Language Models Can Guide Computation Reduction for Transfer
Learning" (Findings of EMNLP 2022), section 3.1. With h_n one vector per example and layer, hbar_y the mean of class y
and hbar the unweighted mean of the class means,

    Sigma_w = 1/|Y| sum_y 1/|G_y| sum_{h in G_y} (h - hbar_y)(h - hbar_y)^T
    Sigma_b = 1/|Y| sum_y (hbar_y - hbar)(hbar_y - hbar)^T
    nu(l)   = 1/|Y| trace(Sigma_w Sigma_b^+)

Lower is better specialised; the selected layer is the argmin over l = 1..L. Y is the set of classes with examples.
`NuSettings` has variants: classes weighted by size, and hbar as the mean of all examples.
"""

import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from torch import Tensor

from steadytune.errors import SteadyTuneError, unknown
from steadytune.layers.pooling import pooled_states
from steadytune.suite.variability import PAPER, NuSettings, Regression

if TYPE_CHECKING:
    from steadytune.encoders.batching import Batcher
    from steadytune.encoders.encoder import Encoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VariabilityResult:
    """nu for layers 0..L (0 = embedding output), the selected layer, and the classes with their example counts.

    A layer whose class means do not differ has nu = inf: it does not separate the classes at all.
    """

    nu: tuple[float, ...]
    best_layer: int
    classes: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass
class _Sums:
    """Running sums of all layers; all but `squares` are of features minus `shift`.

    shift (layers, 1, width), by_class (layers, classes, width), moments (layers, width, width), squares (layers,).
    """

    shift: Tensor
    by_class: Tensor
    moments: Tensor
    squares: Tensor
    epsilon: float


class VariabilityAccumulator:
    """Compute nu of every layer in one pass, in float64, in memory that does not grow with the number of examples.

    The class sizes, and so the weight of every example, are known in advance. One weighted second moment (width, width)
    per layer is therefore enough for all classes.

    counts: number of examples of each class index; classes without examples are left out of Y.
    """

    def __init__(self, counts: Sequence[int], settings: NuSettings = PAPER) -> None:
        self._counts = torch.tensor(counts, dtype=torch.float64)
        self._settings = settings
        present = int((self._counts > 0).sum())
        if present < 2:
            raise SteadyTuneError(f"variability needs examples of at least 2 classes, got {present}")
        if int(self._counts.max()) < 2:
            raise SteadyTuneError("variability needs a class with at least 2 examples, got one example a class")
        self._seen = torch.zeros_like(self._counts)
        self._weights = class_weights(self._counts, settings) / self._counts.clamp(min=1)
        self._sums: _Sums | None = None

    def update(self, hidden_means: Tensor, labels: Tensor) -> None:
        """Add examples: `hidden_means` (layers, batch, width) in any float type, `labels` (batch,) class indices."""
        features = hidden_means.detach().double()
        if self._sums is None:
            self._sums = self._start(features, torch.finfo(hidden_means.dtype).eps)
        # A matrix product, because index_add's order of summation varies between runs on a GPU.
        members = torch.nn.functional.one_hot(labels, len(self._counts)).double()
        self._seen += members.sum(dim=0).cpu()
        members = members.to(features.device)
        weights = members @ self._weights.to(features.device)
        shifted = features - self._sums.shift
        scaled = shifted * weights.sqrt()[:, None]
        self._sums.by_class += members.T @ shifted
        self._sums.moments.baddbmm_(scaled.transpose(1, 2), scaled)
        self._sums.squares += (features**2).sum(dim=2) @ weights

    def result(self) -> tuple[float, ...]:
        """Return nu of every layer.

        Raises SteadyTuneError if the class sizes are not those announced or a layer's features are not finite.
        """
        if self._sums is None or not torch.equal(self._seen, self._counts):
            raise SteadyTuneError(
                f"variability was given {self._seen.int().tolist()} examples a class, "
                f"announced were {self._counts.int().tolist()}"
            )
        present = self._counts > 0
        counts = self._counts[present]
        means = self._sums.by_class.cpu()[:, present] / counts[:, None]
        moments, scales = self._sums.moments.cpu(), self._sums.squares.sqrt().tolist()
        for layer, moment in enumerate(moments):
            if not moment.isfinite().all():
                raise SteadyTuneError(f"variability: the hidden states of layer {layer} are not finite")
        return tuple(
            self._ratio(moment, mean, counts, self._sums.epsilon * scale)
            for moment, mean, scale in zip(moments, means, scales, strict=True)
        )

    def _start(self, features: Tensor, epsilon: float) -> _Sums:
        layers, _, width = features.shape
        return _Sums(
            # Scatter does not depend on the origin; an origin near the data avoids cancellation in second moments.
            shift=features.mean(dim=1, keepdim=True),
            by_class=features.new_zeros(layers, len(self._counts), width),
            moments=features.new_zeros(layers, width, width),
            squares=features.new_zeros(layers),
            epsilon=epsilon,
        )

    def _ratio(self, moment: Tensor, means: Tensor, counts: Tensor, resolution: float) -> float:
        """Compute nu of one layer from its weighted second moment (width, width) and class means (classes, width)."""
        within = moment - means.T @ (class_weights(counts, self._settings)[:, None] * means)
        axes, inverse = separating_axes(means, counts, self._settings, resolution)
        spread = torch.einsum("kd,de,ke->k", axes, within, axes)
        return float(ratio(spread, inverse, len(counts)))


def class_weights(counts: Tensor, settings: NuSettings) -> Tensor:
    """Weight of each class, (..., classes), with sum 1; a class without examples has weight 0."""
    shares = counts if settings.weighting == "size" else (counts > 0).double()
    return shares / shares.sum(dim=-1, keepdim=True)


def separating_axes(means: Tensor, counts: Tensor, settings: NuSettings, resolution: float) -> tuple[Tensor, Tensor]:
    """The principal axes of Sigma_b, and the diagonal of its pseudo-inverse along them.

    They come from a singular value decomposition of the class means, which needs no (width, width) matrix. For every
    weighting and centre the deviations of the class means are linearly dependent, so the rank is at most |Y| - 1.
    Singular values below torch.linalg.pinv's default tolerance for Sigma_b count as 0.

    Args:
        means: class means (..., classes, width), float64.
        counts: number of examples of each class (..., classes), all above 0.
        settings: weighting and centre.
        resolution: the distance below which class means are indistinguishable in the precision of the features.

    Returns:
        Unit axes (..., r, width), and the inverse of the variance of Sigma_b along each axis (..., r): 0 if the
        classes do not differ along it.
    """
    shares = counts if settings.centre == "global_mean" else torch.ones_like(counts)
    shares = shares / shares.sum(dim=-1, keepdim=True)
    deviations = means - (shares[..., None, :] @ means)
    between = class_weights(counts, settings).sqrt()[..., None] * deviations
    _, scales, axes = torch.linalg.svd(between, full_matrices=False)
    tolerance = math.sqrt(means.shape[-1] * torch.finfo(torch.float64).eps) * scales.amax(dim=-1, keepdim=True)
    kept = scales > tolerance.clamp(min=resolution)
    return axes, torch.where(kept, scales.clamp(min=torch.finfo(torch.float64).tiny) ** -2, 0)


def ratio(spread: Tensor, inverse: Tensor, classes: int) -> Tensor:
    """Compute nu (...) from the within-class variance and the inverse between-class variance per axis, both (..., r).

    inf if the classes differ along no axis.
    """
    nu = (spread.clamp(min=0) * inverse).sum(dim=-1) / classes
    return torch.where((inverse > 0).any(dim=-1), nu, math.inf)


def class_indices(labels: np.ndarray, regression: Regression = "round") -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that occur in `labels` (n,), ascending (k,), and the class index of every example (n,).

    Integer labels are used as classes unchanged; float labels are binned by the rule `regression`.
    """
    if regression not in get_args(Regression):
        raise unknown("regression rule", regression, get_args(Regression))
    if np.issubdtype(labels.dtype, np.floating) and regression == "round":
        labels = np.floor(labels + 0.5)
    return np.unique(labels, return_inverse=True)


def variability(
    encoder: "Encoder",
    batcher: "Batcher",
    special_ids: Collection[int],
    settings: NuSettings = PAPER,
    on_batch: Callable[[np.ndarray, Tensor], None] | None = None,
) -> VariabilityResult:
    """Compute nu of every layer of `encoder` in one forward pass over the examples of `batcher`, without dropout.

    special_ids: the tokenizer's `special_token_ids`. on_batch: called for every batch with its rows (B,) and pooled
    hidden states (L + 1, B, width).

    Raises SteadyTuneError if there are fewer than two classes, if every class has one example, if an example has no
    token to average, if hidden states are not finite, or if no layer separates the classes.
    """
    classes, indices = class_indices(batcher.encoded.labels, settings.regression)
    counts = tuple(int(count) for count in np.bincount(indices))
    accumulator = VariabilityAccumulator(counts, settings)
    for rows, pooled in pooled_states(encoder, batcher, special_ids, settings.tokens):
        accumulator.update(pooled, torch.from_numpy(indices[rows]))
        if on_batch is not None:
            on_batch(rows, pooled)
    nu = accumulator.result()
    blind = [layer for layer, value in enumerate(nu) if math.isinf(value)]
    if blind:
        logger.warning("layers %s do not tell the classes apart: nu = inf", blind)
    best = min(range(1, len(nu)), key=nu.__getitem__)
    if best in blind:
        raise SteadyTuneError("variability: no layer tells the classes apart, so none can be selected")
    return VariabilityResult(nu, best, tuple(float(value) for value in classes), counts)
