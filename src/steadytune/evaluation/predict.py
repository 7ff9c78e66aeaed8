"""The model's outputs on a split, in fixed-size batches."""

import numpy as np
import torch

from steadytune.encoders.encoder import Encoder
from steadytune.training.batching import Batcher
from steadytune.training.precision import Precision


def predict(encoder: Encoder, batcher: Batcher, precision: Precision) -> np.ndarray:
    """Logits (n, C) float32 in the split's own order, dropout and noise off.

    Args:
        encoder: left in evaluation mode.
        batcher: the split; its batch size is fixed by the protocol, so scores do not depend on the training batch.
        precision: the compute precision.
    """
    encoder.model.eval()
    logits = np.empty((len(batcher.lengths), encoder.num_labels), dtype=np.float32)
    with torch.inference_mode(), precision.autocast():
        for rows, batch in batcher.evaluation():
            logits[rows] = encoder(batch.inputs).logits.float().cpu().numpy()
    return logits
