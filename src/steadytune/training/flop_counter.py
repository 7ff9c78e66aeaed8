"""Count the encoder's FLOPs with torch."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder


def _forward(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _backward(gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


# On a CPU, torch's attention without dropout uses these kernels: in evaluation, and in training if
# `encoders/dropout.py` does not replace it. torch has the formulas for them but does not register them.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _forward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
}


def flop_counter() -> FlopCounterMode:
    """A context manager that counts the FLOPs of matrix products, including attention with any kernel."""
    return FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)


def inference_flops(encoder: Encoder, batcher: Batcher) -> float:
    """FLOPs of one forward pass over an example of the split's median length, by torch's FlopCounterMode."""
    middle = batcher.lengths.argsort(kind="stable")[[len(batcher.lengths) // 2]]
    batch = batcher.batch(middle)
    encoder.model.eval()
    with torch.no_grad(), flop_counter() as counter:
        encoder(batch.inputs)
    return float(counter.get_total_flops())
