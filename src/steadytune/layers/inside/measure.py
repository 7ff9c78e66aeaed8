"""Measure one encoder in one forward pass over the examples, plus reruns of the layers above injected noise."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from steadytune.layers.inside.propagation import noise_propagation
from steadytune.layers.inside.similarity import token_similarity
from steadytune.layers.pooling import pool_tokens, pooled_states
from steadytune.layers.variability import VariabilityAccumulator, class_indices
from steadytune.streams import derive

if TYPE_CHECKING:
    from steadytune.encoders.batching import Batcher
    from steadytune.encoders.encoder import Encoder


@dataclass(frozen=True)
class Measured:
    """Measurements of an encoder with L layers on n examples."""

    similarity: np.ndarray
    """Token similarity of hidden[0..L], (L + 1,): the mean over examples with at least two tokens."""
    propagation: np.ndarray
    """The relative change at layer j after noise at layer i, (L + 1, L + 1), NaN for j < i: the mean over examples."""
    nu: np.ndarray
    """Hidden-state variability, (L + 1,); infinite if a layer does not separate the classes."""
    pooled: np.ndarray
    """The mean over each example's tokens, without special tokens: (L + 1, n, d)."""

    def numbers(self) -> dict[str, Any]:
        """Everything but `pooled`, as lists."""
        return {
            "token_similarity": self.similarity.tolist(),
            "noise_propagation": self.propagation.tolist(),
            "nu": self.nu.tolist(),
        }


@torch.no_grad()
def measure(encoder: "Encoder", batcher: "Batcher", special_ids: Collection[int]) -> Measured:
    """Measure `encoder` on every example of `batcher`, without dropout; it is left in evaluation mode.

    The noise is the same for all encoders of the same size on the same examples.
    """
    generator = torch.Generator(device=encoder.device).manual_seed(derive(0, "inside", "noise"))
    special = torch.tensor(sorted(special_ids), dtype=torch.int64, device=encoder.device)
    size, layers = len(batcher.encoded), encoder.num_layers + 1
    similarity, propagation = np.empty((size, layers)), np.empty((size, layers, layers))
    pooled = np.empty((layers, size, encoder.width), dtype=np.float32)
    encoder.model.eval()
    for rows, batch in batcher.evaluation():
        mask = batch.inputs["attention_mask"]
        hidden = encoder(batch.inputs, keep_hidden=True, resumable_from=0).hidden
        framing = torch.isin(batch.inputs["input_ids"], special)
        for layer, state in enumerate(hidden):
            similarity[rows, layer] = token_similarity(state, mask).cpu().numpy()
            pooled[layer, rows] = pool_tokens(state, batch.inputs, framing).cpu().numpy()
        propagation[rows] = noise_propagation(encoder, hidden, mask, generator).cpu().numpy()
    return Measured(np.nanmean(similarity, axis=0), propagation.mean(axis=0), _nu(pooled, batcher), pooled)


def pool(encoder: "Encoder", batcher: "Batcher", special_ids: Collection[int]) -> np.ndarray:
    """Only `Measured.pooled`, from one forward pass."""
    pooled = np.empty((encoder.num_layers + 1, len(batcher.encoded), encoder.width), dtype=np.float32)
    for rows, states in pooled_states(encoder, batcher, special_ids, "mean_without_special"):
        pooled[:, rows] = states.cpu().numpy()
    return pooled


def _nu(pooled: np.ndarray, batcher: "Batcher") -> np.ndarray:
    _, indices = class_indices(batcher.encoded.labels)
    accumulator = VariabilityAccumulator(np.bincount(indices).tolist())
    accumulator.update(torch.from_numpy(pooled), torch.from_numpy(indices))
    return np.array(accumulator.result())
