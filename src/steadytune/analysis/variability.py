"""Hidden-state variability: how well each layer of a pretrained encoder already separates a task's classes.

Xie et al., "Hidden State Variability of Pretrained Language Models Can Guide Computation Reduction for Transfer
Learning" (Findings of EMNLP 2022), section 3.1. With h_n one vector an example and layer, hbar_y the mean of class y
and hbar the unweighted mean of the class means,

    Sigma_w = 1/|Y| sum_y 1/|G_y| sum_{h in G_y} (h - hbar_y)(h - hbar_y)^T
    Sigma_b = 1/|Y| sum_y (hbar_y - hbar)(hbar_y - hbar)^T
    nu(l)   = 1/|Y| trace(Sigma_w Sigma_b^+)

Lower is better specialised; the selected layer is the argmin over l = 1..L. Y is the set of classes with examples.
"""

import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from steadytune.errors import SteadyTuneError, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from steadytune.encoders.encoder import Encoder
    from steadytune.training.batching import Batcher

logger = logging.getLogger(__name__)

# The paper speaks of "non-CLS tokens"; the code that made its numbers leaves out `<s>`, `</s>` and padding, and that
# is the default here. Padding never counts.
TOKENS = {
    "mean_without_special": "mean over the tokens that are not special",
    "mean_without_cls": "mean over all tokens but the one that the head reads",
    "mean": "mean over all tokens",
    "cls": "the token that the head reads",
}

# A regression target has no classes. Rounding to the nearest integer (halves up) is this project's rule; the paper's
# code groups by the exact value.
REGRESSION_CLASSES = ("round", "exact")


@dataclass(frozen=True)
class VariabilityResult:
    """nu for layers 0..L (0 = embedding output), the selected layer, and the classes with their example counts.

    A layer whose class means do not differ has nu = inf: it does not tell the classes apart at all.
    """

    nu: tuple[float, ...]
    best_layer: int
    classes: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass
class _Sums:
    """The running sums of all layers, of features shifted by `shift`.

    shift (layers, 1, width), by_class (layers, classes, width), moments (layers, width, width), squares (layers,).
    """

    shift: Tensor
    by_class: Tensor
    moments: Tensor
    squares: Tensor
    epsilon: float


class VariabilityAccumulator:
    """The nu of every layer in one pass, in float64, with memory that does not grow with the number of examples.

    The class sizes are known beforehand, so the weight 1/(|Y| |G_y|) of every example is too, and one weighted second
    moment (width, width) a layer serves all classes.

    counts: examples of each class index; classes without any are left out of Y.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = torch.tensor(counts, dtype=torch.float64)
        present = self._counts > 0
        if int(present.sum()) < 2:
            raise SteadyTuneError(f"variability needs examples of at least 2 classes, got {int(present.sum())}")
        if int(self._counts.max()) < 2:
            raise SteadyTuneError("variability needs a class with at least 2 examples, got one example a class")
        self._seen = torch.zeros_like(self._counts)
        self._weights = torch.where(present, 1 / (present.sum() * self._counts.clamp(min=1)), 0)
        self._sums: _Sums | None = None

    def update(self, hidden_means: Tensor, labels: Tensor) -> None:
        """Add examples: `hidden_means` (layers, batch, width) in any float type, `labels` (batch,) class indices."""
        features = hidden_means.detach().double()
        if self._sums is None:
            self._sums = self._start(features, torch.finfo(hidden_means.dtype).eps)
        # A matrix product rather than index_add, whose order of summation differs from run to run on a GPU.
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
        """The nu of every layer.

        Raises SteadyTuneError where the examples are not those announced or a layer's features are not finite.
        """
        if self._sums is None or not torch.equal(self._seen, self._counts):
            raise SteadyTuneError(
                f"variability was given {self._seen.int().tolist()} examples a class, "
                f"announced were {self._counts.int().tolist()}"
            )
        present = self._counts > 0
        means = (self._sums.by_class.cpu() / self._counts.clamp(min=1)[:, None])[:, present]
        moments, scales = self._sums.moments.cpu(), self._sums.squares.sqrt().tolist()
        for layer, moment in enumerate(moments):
            if not moment.isfinite().all():
                raise SteadyTuneError(f"variability: the hidden states of layer {layer} are not finite")
        return tuple(
            _ratio(moment, mean, self._sums.epsilon * scale)
            for moment, mean, scale in zip(moments, means, scales, strict=True)
        )

    def _start(self, features: Tensor, epsilon: float) -> _Sums:
        layers, _, width = features.shape
        return _Sums(
            # Scatter does not depend on the origin; one near the data keeps second moments from cancelling.
            shift=features.mean(dim=1, keepdim=True),
            by_class=features.new_zeros(layers, len(self._counts), width),
            moments=features.new_zeros(layers, width, width),
            squares=features.new_zeros(layers),
            epsilon=epsilon,
        )


def _ratio(moment: Tensor, means: Tensor, resolution: float) -> float:
    """The nu of one layer from its weighted second moment (width, width) and its class means (classes, width).

    `resolution` is the distance below which two class means cannot be told apart in the precision of the features.
    The pseudo-inverse comes from the singular values of the class means, at torch.linalg.pinv's default tolerance.
    """
    classes, width = means.shape
    within = moment - means.T @ means / classes
    between = (means - means.mean(dim=0)) / math.sqrt(classes)
    _, scales, directions = torch.linalg.svd(between, full_matrices=False)
    tolerance = math.sqrt(width * torch.finfo(torch.float64).eps) * float(scales.max())
    kept = scales > max(tolerance, resolution)
    if not kept.any():
        return math.inf
    directions, scales = directions[kept], scales[kept]
    spread = torch.einsum("kd,de,ke->k", directions, within, directions).clamp(min=0)
    return float((spread / scales**2).sum()) / classes


def pool_tokens(
    hidden: Tensor,
    inputs: dict[str, Tensor],
    special_tokens_mask: Tensor,
    tokens: str = "mean_without_special",
    sentence_token: int = 0,
) -> Tensor:
    """One vector an example: `hidden` (..., batch, tokens, width) -> (..., batch, width), in the type of `hidden`.

    inputs: has `attention_mask` (batch, tokens). special_tokens_mask: (batch, tokens), true at special tokens.
    tokens: a key of `TOKENS`. sentence_token: index of the token that the head reads (`Encoder.sentence_token`).
    Raises SteadyTuneError for an unknown key and for an example without a token to average.
    """
    if tokens not in TOKENS:
        raise unknown("token choice", tokens, TOKENS)
    if tokens == "cls":
        return hidden[..., sentence_token, :]
    keep = inputs["attention_mask"].bool()
    if tokens == "mean_without_special":
        keep = keep & ~special_tokens_mask.bool()
    elif tokens == "mean_without_cls":
        keep = keep.clone()
        keep[:, sentence_token] = False
    numbers = keep.sum(dim=1)
    if not numbers.all():
        raise SteadyTuneError(f"an example has no token left to average with tokens = '{tokens}'")
    # where, not a product: a padded position may hold anything, NaN included.
    return torch.where(keep[..., None], hidden, 0).sum(dim=-2) / numbers[:, None]


def special_token_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """The ids of the tokens that frame a text: not those of unknown or masked words, which stand for content."""
    framing = (
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )
    return frozenset(value for value in framing if isinstance(value, int))


def class_indices(labels: np.ndarray, regression: str = "round") -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) -> the classes that occur, ascending (k,), and the class index of every example (n,).

    Integer labels are classes as they are; float labels (regression) become classes by the rule `regression`.
    """
    if regression not in REGRESSION_CLASSES:
        raise unknown("regression rule", regression, REGRESSION_CLASSES)
    if np.issubdtype(labels.dtype, np.floating) and regression == "round":
        labels = np.floor(labels + 0.5)
    return np.unique(labels, return_inverse=True)


@torch.inference_mode()
def variability(
    encoder: "Encoder",
    batcher: "Batcher",
    special_ids: Collection[int],
    tokens: str = "mean_without_special",
    regression: str = "round",
) -> VariabilityResult:
    """The nu of every layer of `encoder`, from one forward pass over the examples of `batcher`, without dropout.

    The encoder is left in evaluation mode. special_ids: what `special_token_ids` says of the tokenizer.
    Raises SteadyTuneError for fewer than two classes, for classes of one example each, for examples without a token to
    average and where no layer tells the classes apart.
    """
    classes, indices = class_indices(batcher.encoded.labels, regression)
    counts = tuple(int(count) for count in np.bincount(indices))
    accumulator = VariabilityAccumulator(counts)
    special = torch.tensor(sorted(special_ids), dtype=torch.int64, device=encoder.device)
    encoder.model.eval()
    for rows, batch in batcher.evaluation():
        hidden = encoder(batch.inputs, keep_hidden=True).hidden
        mask = torch.isin(batch.inputs["input_ids"], special)
        pooled = [pool_tokens(state, batch.inputs, mask, tokens, encoder.sentence_token) for state in hidden]
        accumulator.update(torch.stack(pooled), torch.from_numpy(indices[rows]))
    nu = accumulator.result()
    blind = [layer for layer, value in enumerate(nu) if math.isinf(value)]
    if blind:
        logger.warning("layers %s do not tell the classes apart: nu = inf", blind)
    best = min(range(1, len(nu)), key=nu.__getitem__)
    if best in blind:
        raise SteadyTuneError("variability: no layer tells the classes apart, so none can be selected")
    return VariabilityResult(nu, best, tuple(float(value) for value in classes), counts)
