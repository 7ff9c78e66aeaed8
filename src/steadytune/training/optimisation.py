"""The optimiser and its learning rate: AdamW with a linear warm-up and decay."""

from torch import nn
from torch.optim import AdamW, Optimizer

from steadytune.methods.support.tensors import is_weight
from steadytune.suite.protocol import Protocol


def build_optimizer(parameters: dict[str, nn.Parameter], protocol: Protocol) -> AdamW:
    """AdamW over the trainable parameters; matrices are decayed, biases and LayerNorm weights are not."""
    decayed = [p for name, p in parameters.items() if is_weight(name, p)]
    others = [p for name, p in parameters.items() if not is_weight(name, p)]
    groups = [{"params": decayed, "weight_decay": protocol.weight_decay}, {"params": others, "weight_decay": 0.0}]
    betas = (protocol.beta1, protocol.beta2)
    return AdamW(groups, lr=protocol.learning_rate, betas=betas, eps=protocol.epsilon, fused=True)


def learning_rate(protocol: Protocol, step: int, total: int) -> float:
    """The learning rate of step `step` (0-based) of `total`: from 0 up to the peak, then linearly down to 0.

    The convention of transformers' linear schedule: the very first warm-up step has rate 0.
    """
    warmup = protocol.warmup_steps(total)
    if step < warmup:
        return protocol.learning_rate * step / warmup
    return protocol.learning_rate * max(0.0, (total - step) / max(1, total - warmup))


def set_learning_rate(optimizer: Optimizer, value: float) -> None:
    """Use `value` for the next step, in every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = value
