"""The optimiser and its learning rate: AdamW with a linear warm-up and decay."""

from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from steadytune.methods.support.tensors import is_weight
from steadytune.suite.protocol import Protocol


class TransformersAdamW(AdamW):
    """AdamW as transformers had it before version 5.

    With the moments m and v, and t the number of steps including this one,

        theta <- (theta - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)) * (1 - lr * decay)

    This equals torch's step with epsilon / sqrt(1 - beta2^t) as epsilon and with lr * (1 - lr * decay) as the learning
    rate, except for the decay, which stays lr * decay. So torch's fused kernel can do the work.
    """

    _taken: int | None = None

    def step(self, closure: Any = None) -> Any:
        """Update the parameters; the groups' settings are restored afterwards."""
        if self._taken is None:
            self._taken = max((int(state["step"]) for state in self.state.values()), default=0)
        self._taken += 1
        before = [{key: group[key] for key in ("lr", "eps", "weight_decay")} for group in self.param_groups]
        for group in self.param_groups:
            decayed = group["lr"] * group["weight_decay"]
            group["lr"] *= 1 - decayed
            group["weight_decay"] = decayed / group["lr"] if group["lr"] else 0.0
            group["eps"] /= (1 - group["betas"][1] ** self._taken) ** 0.5
        try:
            return super().step(closure)
        finally:
            for group, settings in zip(self.param_groups, before, strict=True):
                group.update(settings)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the moments in `state_dict` and their step count."""
        super().load_state_dict(state_dict)
        self._taken = None


ADAMW = {"torch": AdamW, "transformers-4": TransformersAdamW}


def build_optimizer(parameters: dict[str, nn.Parameter], protocol: Protocol) -> AdamW:
    """The protocol's AdamW over the trainable parameters; it decays matrices, but not biases or LayerNorm weights."""
    decayed = [p for name, p in parameters.items() if is_weight(name, p)]
    others = [p for name, p in parameters.items() if not is_weight(name, p)]
    groups = [{"params": decayed, "weight_decay": protocol.weight_decay}, {"params": others, "weight_decay": 0.0}]
    betas = (protocol.beta1, protocol.beta2)
    return ADAMW[protocol.adamw](groups, lr=protocol.learning_rate, betas=betas, eps=protocol.epsilon, fused=True)


def learning_rate(protocol: Protocol, step: int, total: int) -> float:
    """The learning rate of step `step` (0-based) of `total`: from 0 up to the peak, then linearly down to 0.

    It follows transformers' linear schedule: the very first warm-up step has rate 0.
    """
    warmup = protocol.warmup_steps(total)
    if step < warmup:
        return protocol.learning_rate * step / warmup
    return protocol.learning_rate * max(0.0, (total - step) / max(1, total - warmup))


def set_learning_rate(optimizer: Optimizer, value: float) -> None:
    """Use `value` for the next step, in every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = value
