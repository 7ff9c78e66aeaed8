"""How much arithmetic the encoder does, counted by torch."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from steadytune.encoders.encoder import Encoder
from steadytune.training.batching import Batcher


def forward_flops_per_token(encoder: Encoder, batcher: Batcher) -> float:
    """FLOPs of one forward pass a token (padding included), counted on one batch of the split's middle lengths."""
    middle = batcher.lengths.argsort(kind="stable")[len(batcher.lengths) // 2 :][: batcher.batch_size]
    batch = batcher.batch(middle)
    encoder.model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(batch.inputs)
    return counter.get_total_flops() / batch.tokens
