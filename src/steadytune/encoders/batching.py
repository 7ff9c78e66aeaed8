"""Batches of similar length or in random order, padded only to their own longest example."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from steadytune.tasks.data import Encoded

# Examples are shuffled, then sorted by length within pools of this many batches: enough for little padding, but few
# enough that an epoch's order stays random.
POOL_BATCHES = 16


@dataclass(frozen=True)
class Batch:
    """Some examples as tensors on the training device."""

    inputs: dict[str, Tensor]
    """The encoder's inputs: `input_ids`, `attention_mask`, optionally `token_type_ids`, each (B, T) int64."""
    labels: Tensor
    """(B,): int64 class indices, or floating-point scores for regression; (B, 2): first and last token of a span."""
    rows: np.ndarray
    """(B,): the examples' row numbers in the split."""
    real_tokens: int
    """Number of positions that are not padding."""
    whole: "Batch | None" = None
    """The batch that this one is a part of, if it did not fit into memory; else None."""
    start: int = 0
    """Where this part begins in the whole batch."""

    @property
    def tokens(self) -> int:
        """Number of positions computed, padding included: B x T."""
        return self.inputs["input_ids"].numel()

    @property
    def share(self) -> float:
        """The part's share of the whole batch's examples, by which its loss is weighted."""
        return len(self.rows) / len((self.whole or self).rows)

    def before(self) -> "Batch":
        """The example before this part's first one (wrapping around), as a part; for methods that pair examples."""
        whole, place = self.whole or self, self.start - 1
        return whole._piece(slice(place, place + 1 or None))

    def split(self, parts: int) -> "list[Batch]":
        """The batch in at most `parts` pieces of near-equal size, in order; the batch itself if `parts` is 1."""
        if parts == 1:
            return [self]
        cuts = [chunk for chunk in np.array_split(np.arange(len(self.rows)), parts) if len(chunk)]
        return [self._piece(slice(chunk[0], chunk[-1] + 1)) for chunk in cuts]

    def _piece(self, rows: slice) -> "Batch":
        inputs = {name: tensor[rows] for name, tensor in self.inputs.items()}
        real = int(self.inputs["attention_mask"][rows].sum())
        return Batch(inputs, self.labels[rows], self.rows[rows], real, self, rows.start % len(self.rows))


@dataclass(frozen=True)
class Padding:
    """How to pad an encoder's sequences."""

    token: int
    left: bool
    """Whether padding comes first, because the head reads the last token."""
    device: torch.device


class Batcher:
    """Cuts an encoded split into batches, for training in a seeded order or for evaluation in a fixed one."""

    def __init__(self, encoded: "Encoded", padding: Padding, batch_size: int, *, shuffled: bool = False) -> None:
        """shuffled: train in random batches instead of batches of similar length."""
        self.encoded = encoded
        self.shuffled = shuffled
        self.padding = padding
        self.batch_size = batch_size
        self.lengths = encoded.lengths

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def order(self, generator: np.random.Generator) -> list[np.ndarray]:
        """The rows (B,) of each batch of one epoch, every row once."""
        rows = generator.permutation(len(self.lengths))
        if self.shuffled:
            return [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        pool = self.batch_size * POOL_BATCHES
        batches: list[np.ndarray] = []
        for start in range(0, len(rows), pool):
            chunk = rows[start : start + pool]
            chunk = chunk[np.argsort(self.lengths[chunk], kind="stable")]
            batches += [chunk[i : i + self.batch_size] for i in range(0, len(chunk), self.batch_size)]
        return [batches[i] for i in generator.permutation(len(batches))]

    def epoch(self, generator: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        """The training batches of one epoch, without the first `skip`."""
        return map(self.batch, self.order(generator)[skip:])

    def largest(self) -> Batch:
        """The longest examples as one batch: no batch of any epoch needs more memory."""
        return self.batch(np.argsort(-self.lengths, kind="stable")[: self.batch_size])

    def evaluation(self) -> Iterator[tuple[np.ndarray, Batch]]:
        """Batches of a fixed size in order of length, longest first, each with its rows.

        Longest first, so that running out of memory happens at once.
        """
        rows = np.argsort(-self.lengths, kind="stable")
        for start in range(0, len(rows), self.batch_size):
            chunk = rows[start : start + self.batch_size]
            yield chunk, self.batch(chunk)

    def batch(self, rows: np.ndarray) -> Batch:
        """The examples of `rows` (B,), padded to the longest of them, on the encoder's device."""
        encoded = self.encoded
        inputs = {
            "input_ids": self._padded([encoded.input_ids[row] for row in rows], self.padding.token),
            "attention_mask": self._padded([np.ones(length) for length in self.lengths[rows]], 0),
        }
        if encoded.token_type_ids is not None:
            inputs["token_type_ids"] = self._padded([encoded.token_type_ids[row] for row in rows], 0)
        # Scores in fp32, the parameters' precision: float64 labels would turn the whole loss into float64.
        labels = torch.from_numpy(encoded.labels[rows])
        labels = labels.float() if labels.is_floating_point() else labels
        return Batch(inputs, labels.to(self.padding.device), rows, int(self.lengths[rows].sum()))

    def _padded(self, sequences: list[np.ndarray], value: int) -> Tensor:
        """Sequences (T_i,) as one tensor (B, max T_i), padded on the side that the head does not read."""
        width = max(map(len, sequences))
        table = np.full((len(sequences), width), value, dtype=np.int64)
        for target, sequence in zip(table, sequences, strict=True):
            start = width - len(sequence) if self.padding.left else 0
            target[start : start + len(sequence)] = sequence
        return torch.from_numpy(table).to(self.padding.device)


def order_digest(batches: list[np.ndarray]) -> str:
    """SHA-256 of an epoch's batches, for the record: rows as int64, with -1 after each batch."""
    digest = hashlib.sha256()
    for rows in batches:
        digest.update(np.append(rows, -1).astype(np.int64).tobytes())
    return digest.hexdigest()
