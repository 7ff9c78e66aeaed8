"""How a cell is trained, whatever its method: the optimiser, the schedule, precision and determinism."""

import math
from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The training settings of a cell; the defaults are those of HyPe (arXiv 2212.08853, App. A) for BERT-large.

    Raises:
        ValueError: a value outside its bounds, in one line naming the setting.
    """

    epochs: int = 3
    """Passes over the training split."""
    steps: int | None = None
    """Optimiser steps; where given, it replaces `epochs` (HyPe's XLNet settings count steps)."""
    batch_size: int = 16
    """Examples a step."""
    learning_rate: float = 2e-5
    """Peak learning rate; it decays linearly to zero after the warm-up."""
    warmup: float = 0.1
    """Linear warm-up: a share of all steps where below 1, else a number of steps."""
    warmup_rounding: Literal["nearest", "up", "down"] = "nearest"
    """How a share of the steps becomes a number: `up` as in transformers 4.7, `down` as in `int(share * steps)`."""
    adamw: Literal["torch", "transformers-4"] = "torch"
    """`transformers-4` is the AdamW of transformers before version 5, which the papers' code trains with: epsilon is
    added before the bias correction, and weights decay after the step."""
    beta1: float = 0.9
    """AdamW's decay rate of the first moment."""
    beta2: float = 0.99
    """AdamW's decay rate of the second moment."""
    epsilon: float = 1e-5
    """AdamW's epsilon."""
    weight_decay: float = 0.1
    """Decoupled weight decay, on matrices only (biases and LayerNorm weights are left out, as in run_glue)."""
    gradient_clip: float = 1.0
    """Largest L2 norm of the whole gradient; 0 leaves gradients as they are."""
    batching: Literal["grouped", "shuffled"] = "grouped"
    """`grouped`: batches of similar length, which need little padding; `shuffled`: random batches, as all the papers'
    code has them."""
    holdout: float = 0.0
    """Share of the training split that is kept from training and scored at the end: what nested selection looks at."""
    max_length: int = 128
    """Tokens an input keeps, special tokens included."""
    doc_stride: int = 128
    """Question answering: tokens by which one window of a long text follows the other (BERT's run_squad)."""
    evaluation_batch_size: int = 64
    """Examples an evaluation batch: fixed, so that scores do not depend on the training batch."""
    evaluate_epochs: bool = True
    """Whether the development set is scored after every epoch (for the learning curve) or only at the end."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Compute precision of forward and backward; weights and optimiser state stay in fp32.

    The head's outputs are in it, too, in evaluation as well: scores in bf16 have 8 significant bits, so many are equal.
    """
    attention: Literal["sdpa", "eager", "flash"] = "sdpa"
    """The kernel of the encoder's attention. Kernels differ in their last bits, and on padded batches in more. `sdpa`
    is PyTorch's, `eager` plain products, `flash` FlashAttention 2 (on GPUs, in half precision). Encoders without `sdpa`
    (DeBERTa, XLNet) have their own in its place; the record says which one ran."""
    determinism: Literal["bitwise", "seeded", "fast"] = "bitwise"
    """`bitwise`: the same bits again on the same machine; `seeded`: the same seeds, kernels free to differ in
    rounding; `fast`: also TF32 and kernel autotuning."""
    threads: int = 1
    """CPU threads: part of the settings, because the order of float sums on a CPU follows it."""
    collapse: Literal["sum", "argmax"] = "sum"
    """How a finer label space is read as a coarser one out of domain: add probabilities, or take the arg-max first."""

    def __post_init__(self) -> None:
        positive = (
            "epochs",
            "batch_size",
            "learning_rate",
            "epsilon",
            "max_length",
            "doc_stride",
            "evaluation_batch_size",
            "threads",
        )
        for declared in fields(self):
            value = getattr(self, declared.name)
            _expect(self, declared.name, not isinstance(value, float) or math.isfinite(value), "a finite number")
        for name in positive:
            _expect(self, name, getattr(self, name) > 0, "above 0")
        _expect(self, "steps", self.steps is None or self.steps > 0, "above 0")
        for name in ("warmup", "weight_decay", "gradient_clip"):
            _expect(self, name, getattr(self, name) >= 0, "0 or more")
        for name in ("beta1", "beta2", "holdout"):
            _expect(self, name, 0 <= getattr(self, name) < 1, "in [0, 1)")

    def total_steps(self, batches: int) -> int:
        """Optimiser steps of the whole training, of so many batches an epoch."""
        return self.steps or self.epochs * batches

    def warmup_steps(self, total: int) -> int:
        """Warm-up steps of `total` steps."""
        rounded = {"nearest": round, "up": math.ceil, "down": math.floor}[self.warmup_rounding]
        return rounded(self.warmup * total) if self.warmup < 1 else int(self.warmup)


def _expect(protocol: Protocol, name: str, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {getattr(protocol, name)!r}, expected {expected}")
