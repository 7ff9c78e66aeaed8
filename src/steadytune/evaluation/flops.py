"""How much arithmetic the encoder does, counted by torch."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from steadytune.encoders.encoder import Encoder
from steadytune.training.batching import Batcher


def inference_flops(encoder: Encoder, batcher: Batcher) -> float:
    """FLOPs of one forward pass over an example of the split's median length, by torch's FlopCounterMode."""
    middle = batcher.lengths.argsort(kind="stable")[[len(batcher.lengths) // 2]]
    batch = batcher.batch(middle)
    encoder.model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(batch.inputs)
    return float(counter.get_total_flops())
