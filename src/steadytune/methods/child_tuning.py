"""Raise a Child in Large Language Model: Towards Effective and Generalizable Fine-tuning (arXiv 2109.05687).

Child-Tuning updates only a subset of the parameters, the child network: it masks the gradients of the others.

    F:  g <- g * m / p,   m ~ Bernoulli(p) for every entry, fresh at every step
    D:  g <- g * m,       m = 1 for the fraction p of the entries of largest Fisher information, fixed before training

The diagonal of the (empirical) Fisher information is the mean over the training examples of the squared gradient of an
example's loss, at the pretrained weights. AdamW sees a gradient of 0 at masked entries: weight decay still acts on
them, and in F so does momentum from earlier steps.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from steadytune.methods.base import Hyperparameters, Method, Setup, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadytune.encoders.batching import Batch
    from steadytune.streams import Streams

# Norm to which the released code clips each tensor's gradient before squaring it: its trainer's default.
RELEASED_CLIP = 1.0


@dataclass(frozen=True, kw_only=True)
class ChildTuningFSettings(Hyperparameters):
    """Child-Tuning-F's hyper-parameters."""

    p: float = setting(0.3, above=0, at_most=1)
    """Share of gradient entries kept; HyPe's grid is 0.2, 0.3, 0.4."""


@dataclass(frozen=True, kw_only=True)
class ChildTuningDSettings(Hyperparameters):
    """Child-Tuning-D's hyper-parameters."""

    p: float = setting(0.3, above=0, at_most=1)
    """Share of entries trained; HyPe's grid is 0.1, 0.2, 0.3."""
    fisher: Literal["examples", "batches"] = "examples"
    """Whose squared gradients are averaged. `examples`: those of single examples, without dropout (ours). `batches`:
    those of batches, with dropout, each tensor's gradient first clipped to norm 1, as in the released code."""
    scope: Literal["encoder", "layers"] = "encoder"
    """Which parameters are masked; all others are trained freely. `encoder`: every parameter of the pretrained encoder
    (ours). `layers`: those with "layer" in their name, as in the released code, which leaves out embeddings and
    pooler."""
    fisher_examples: int | None = setting(None, at_least=1)
    """Number of training examples used to estimate the Fisher information: the first ones in the first epoch's order,
    rounded up to whole batches if `fisher` is `batches`. `null` uses all, as in the released code."""


class ChildTuningF(Method):
    """A fresh random mask on the whole gradient at every step."""

    Settings = ChildTuningFSettings
    names = {"child-tuning-f": {}}
    source = "arXiv 2109.05687"

    @property
    def moves_every_word(self) -> bool:
        """False: a zero gradient stays zero under any mask."""
        return False

    def gradients(self, parameters: dict[str, "nn.Parameter"], streams: "Streams") -> None:
        """Mask and rescale the gradients."""
        from steadytune.encoders.masks import draw_mask

        if self.settings.p == 1:
            return
        for parameter in parameters.values():
            if (gradient := parameter.grad) is not None:
                mask = draw_mask(gradient, 1 - self.settings.p, streams.noise)
                mask.select_(gradient).mul_(mask.scale)


class ChildTuningD(Method):
    """A fixed mask that keeps the entries with the most Fisher information."""

    Settings = ChildTuningDSettings
    names = {"child-tuning-d": {}, "child-tuning-d-released": {"fisher": "batches", "scope": "layers"}}
    source = "arXiv 2109.05687"
    needs_weights = True

    @property
    def moves_every_word(self) -> bool:
        """True unless nothing is masked: the masks have the shape of the whole table of words."""
        return self.settings.p < 1

    def prepare(self, setup: Setup) -> None:
        """Estimate the Fisher information and choose the entries. Deterministic: a resumed cell gets the same masks."""
        self.masks: dict[str, Tensor] = {}
        if self.settings.p < 1:
            parameters = {
                name: p
                for name, p in setup.encoder.encoder_parameters().items()
                if p.requires_grad and (self.settings.scope == "encoder" or "layer" in name)
            }
            fisher = self._fisher(setup, parameters)
            size = sum(tensor.numel() for tensor in fisher.values())
            kept = max(1, round(self.settings.p * size))
            if self.settings.fisher == "batches":
                # The released code keeps entries at or above numpy's percentile 100 (1 - p), which may lie between two.
                kept = size - math.ceil((1 - self.settings.p) * (size - 1))
            self.masks = _largest(fisher, kept)

    def gradients(self, parameters: dict[str, "nn.Parameter"], streams: "Streams") -> None:
        """Mask the gradients."""
        for name, mask in self.masks.items():
            if name in parameters and (gradient := parameters[name].grad) is not None:
                gradient.mul_(mask)

    def _fisher(self, setup: Setup, parameters: "dict[str, nn.Parameter]") -> "dict[str, Tensor]":
        """The sum of squared gradients of each parameter, in its shape: the Fisher diagonal up to a factor."""
        import torch

        model, released = setup.encoder.model, self.settings.fisher == "batches"
        training = model.training
        model.train(released)
        if released:
            # Dropout draws from the default generators, so seed them from the cell's noise stream.
            noise = setup.streams.noise
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=noise, device=noise.device)))
        totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
        # A single example uses few words: take the gradient of their embeddings, not of the whole table.
        table = cast("nn.Embedding", model.get_input_embeddings()).weight
        words = next((name for name, p in parameters.items() if p is table and not released), None)
        others = {name: p for name, p in parameters.items() if name != words}
        for batch in self._batches(setup):
            read: list[Tensor] = []
            watch = None if words is None else partial(_as_leaf, read)
            loss = setup.objective.loss(setup.encoder(batch.inputs, on_embeddings=watch).logits, batch.labels)
            found = torch.autograd.grad(loss, [*others.values(), *read], allow_unused=True)
            for name, gradient in zip(others, found, strict=False):
                if gradient is not None:
                    if released:
                        gradient *= (RELEASED_CLIP / (gradient.norm() + 1e-6)).clamp(max=1)
                    totals[name].addcmul_(gradient, gradient)
            if words is not None:
                rows, places = batch.inputs["input_ids"][0].unique(return_inverse=True)
                summed = table.new_zeros(len(rows), table.shape[1]).index_add_(0, places, found[-1][0])
                totals[words].index_add_(0, rows, summed.square_())
        model.train(training)
        return totals

    def _batches(self, setup: Setup) -> "Iterator[Batch]":
        """The training split in the first epoch's order, as batches or as single examples."""
        order, limit = setup.train.order(setup.streams.order(0)), self.settings.fisher_examples
        if self.settings.fisher == "examples":
            order = [rows[i : i + 1] for rows in order for i in range(len(rows))]
        elif limit is not None:
            limit = math.ceil(limit / setup.train.batch_size)
        return map(setup.train.batch, order[:limit])


def _as_leaf(read: "list[Tensor]", words: "Tensor") -> "Tensor":
    """Detach word embeddings (1, T, width) from their table, so that gradients stop there; append them to `read`."""
    read.append(words.detach().requires_grad_())
    return read[-1]


def _largest(fisher: "dict[str, Tensor]", kept: int) -> "dict[str, Tensor]":
    """Return a mask per tensor, true at values above 0 that are among the `kept` largest of all tensors together."""
    import torch

    values = torch.cat([tensor.flatten() for tensor in fisher.values()])
    threshold = values.topk(kept, sorted=False).values.amin()
    # Words that no example uses have information 0: with a threshold of 0 they would all be kept.
    return {name: (tensor >= threshold) & (tensor > 0) for name, tensor in fisher.items()}
