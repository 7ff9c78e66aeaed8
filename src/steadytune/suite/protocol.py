"""How a cell is trained, independent of its method: optimiser, schedule, precision and determinism."""

import math
from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The training settings of a cell; the defaults are those of HyPe (arXiv 2212.08853, App. A) for BERT-large.

    Raises:
        ValueError: a value is out of bounds; one line that names the setting.
    """

    epochs: int = 3
    """Passes over the training split."""
    steps: int | None = None
    """Optimiser steps; if given, they replace `epochs` (HyPe's XLNet settings count steps)."""
    batch_size: int = 16
    """Examples per step."""
    learning_rate: float = 2e-5
    """Peak learning rate; it decays linearly to zero after the warm-up."""
    warmup: float = 0.1
    """Length of the linear warm-up: a share of all steps if below 1, else a number of steps."""
    warmup_rounding: Literal["nearest", "up", "down"] = "nearest"
    """How a share of the steps is rounded: `up` as in transformers 4.7, `down` as in `int(share * steps)`."""
    adamw: Literal["torch", "transformers-4"] = "torch"
    """`transformers-4` is the AdamW of transformers before version 5, used by the papers' code: epsilon is added before
    the bias correction, and weights decay after the step."""
    beta1: float = 0.9
    """AdamW's decay rate for the first moment."""
    beta2: float = 0.99
    """AdamW's decay rate for the second moment."""
    epsilon: float = 1e-5
    """AdamW's epsilon."""
    weight_decay: float = 0.1
    """Decoupled weight decay, on matrices only (not on biases and LayerNorm weights, as in run_glue)."""
    gradient_clip: float = 1.0
    """Largest L2 norm of the whole gradient; 0 turns clipping off."""
    batching: Literal["grouped", "shuffled"] = "grouped"
    """`grouped`: examples of similar length share a batch, which saves padding; `shuffled`: random batches, as in all
    the papers' code."""
    holdout: float = 0.0
    """Share of the training split that is held out from training and scored at the end, for nested selection."""
    max_length: int = 128
    """Longest input in tokens, including special tokens; longer inputs are truncated."""
    doc_stride: int = 128
    """Question answering: tokens between the starts of consecutive windows of a long text (as in BERT's run_squad)."""
    evaluation_batch_size: int = 64
    """Examples per evaluation batch; independent of `batch_size`, so that scores do not depend on it."""
    evaluate_epochs: bool = True
    """Whether the development set is scored after every epoch (for the learning curve) or only at the end."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Compute precision of the forward and backward passes; weights and optimiser state stay in fp32.

    The head computes in it too, also in evaluation. bf16 scores have 8 significant bits, so many of them are equal.
    """
    attention: Literal["sdpa", "eager", "flash"] = "sdpa"
    """The encoder's attention kernel: `sdpa` is PyTorch's, `eager` plain matrix products, `flash` FlashAttention 2 (on
    GPUs, in half precision). Results differ between kernels in the last bits, and by more on padded batches. Encoders
    without `sdpa` (DeBERTa, XLNet) use their own implementation instead; the record says which one ran."""
    determinism: Literal["bitwise", "seeded", "fast"] = "bitwise"
    """`bitwise`: bit-identical results on the same machine; `seeded`: the same seeds, but kernels may round
    differently; `fast`: also TF32 and kernel autotuning."""
    threads: int = 1
    """CPU threads: a setting, because the order of floating-point sums on a CPU depends on it."""
    collapse: Literal["sum", "argmax"] = "sum"
    """How out-of-domain evaluation maps finer labels to coarser ones: add probabilities, or take the arg-max first."""

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
        """Optimiser steps of the whole training, given the number of batches per epoch."""
        return self.steps or self.epochs * batches

    def warmup_steps(self, total: int) -> int:
        """Warm-up steps out of `total` steps."""
        rounded = {"nearest": round, "up": math.ceil, "down": math.floor}[self.warmup_rounding]
        return rounded(self.warmup * total) if self.warmup < 1 else int(self.warmup)


def _expect(protocol: Protocol, name: str, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {getattr(protocol, name)!r}, expected {expected}")
